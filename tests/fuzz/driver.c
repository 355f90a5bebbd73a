/*
 * Runs a fuzz target without libFuzzer: all files of the corpus, then mutations of them from a fixed seed,
 * until RUNS or SECS are over. The same seed gives the same inputs, so a failure in CI is one at the desk.
 *
 *     bytes_fuzz tests/fuzz/corpus/bytes          what CI does
 *     bytes_fuzz crash-bytes_fuzz                 one input again
 *     YORE_FUZZ_SECS=600 YORE_FUZZ_RUNS=0 YORE_FUZZ_SEED=2 bytes_fuzz DIR     a longer one (0 runs: no limit)
 *
 * An input that crashes the target, or keeps it busy for 10 s, is left in ./crash-PROGRAM. It cannot see
 * coverage: that is what run-libfuzzer.sh is for; its finds belong in the corpus.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_MAX_BYTES = 64 * 1024, SEEDS_MAX = 4096, HANG_SECS = 10 };

extern int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

struct input {
    uint8_t *data;
    size_t len;
};

static struct input seeds[SEEDS_MAX];
static size_t seed_count;

/* The running input: it ends where an unreadable page begins, so a read past the end faults even without
 * a sanitizer. */
static uint8_t *arena_end;
static uint8_t *current;
static size_t current_len;
static char crash_path[256];

static void leave_evidence(int number)
{
    int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0 && write(fd, current, current_len) == (ssize_t)current_len) {
        static const char said[] = "the input is in ";
        (void)!write(STDERR_FILENO, said, sizeof said - 1);
        (void)!write(STDERR_FILENO, crash_path, strlen(crash_path));
        (void)!write(STDERR_FILENO, "\n", 1);
    }
    signal(number, SIG_DFL);
    raise(number);
    _exit(1); /* a signal raised in its own handler waits for the handler to return: it need not */
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void arena_open(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *arena = mmap(NULL, INPUT_MAX_BYTES + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED || mprotect(arena + INPUT_MAX_BYTES, page, PROT_NONE) != 0)
        die("mmap");
    arena_end = arena + INPUT_MAX_BYTES;
}

static void run(const uint8_t *data, size_t len)
{
    current = arena_end - len;
    current_len = len;
    memcpy(current, data, len);
    alarm(HANG_SECS);
    LLVMFuzzerTestOneInput(current, len);
    alarm(0);
}

static void seed_add(const uint8_t *data, size_t len)
{
    if (seed_count == SEEDS_MAX)
        return;
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        die("malloc");
    memcpy(copy, data, len);
    seeds[seed_count++] = (struct input){copy, len};
}

static void load_file(const char *path)
{
    static uint8_t bytes[INPUT_MAX_BYTES];
    FILE *f = fopen(path, "rb");
    if (!f)
        die(path);
    seed_add(bytes, fread(bytes, 1, sizeof bytes, f));
    fclose(f);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void load(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        die(path);
    if (!S_ISDIR(st.st_mode)) {
        load_file(path);
        return;
    }
    struct dirent **names;
    int n = scandir(path, &names, is_visible, alphasort); /* sorted: readdir's order is not the same everywhere */
    if (n < 0)
        die(path);
    for (int i = 0; i < n; i++) {
        char inside[4096];
        snprintf(inside, sizeof inside, "%s/%s", path, names[i]->d_name);
        load_file(inside);
        free(names[i]);
    }
    free(names);
}

static uint64_t sequence;

/* splitmix64; our own, so that seeding a target's rand.h does not change the inputs. */
static uint64_t draw(uint64_t below)
{
    uint64_t z = sequence += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below ? z % below : 0;
}

/* Grow or shrink by moving what stands from `at` on; false when it does not fit. */
static bool insert_room(uint8_t *data, size_t *len, size_t at, size_t room)
{
    if (*len + room > INPUT_MAX_BYTES)
        return false;
    memmove(data + at + room, data + at, *len - at);
    *len += room;
    return true;
}

static void mutate(uint8_t *data, size_t *len)
{
    static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0x81, 0xfe, 0xff, '0', '9', ' ', '-', '/'};
    size_t at = draw(*len + 1);
    size_t left = *len - at;
    size_t run_len = 1 + draw(draw(8) ? 8 : 300);
    switch (draw(8)) {
    case 0:
        if (left)
            data[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 1:
        if (left)
            data[at] = edges[draw(sizeof edges)];
        break;
    case 2:
        if (left)
            data[at] = (uint8_t)(data[at] + draw(17) - 8);
        break;
    case 3: /* random bytes in between */
        if (insert_room(data, len, at, run_len))
            for (size_t i = 0; i < run_len; i++)
                data[at + i] = (uint8_t)draw(256);
        break;
    case 4: /* one byte many times in between */
        if (insert_room(data, len, at, run_len))
            memset(data + at, edges[draw(sizeof edges)], run_len);
        break;
    case 5: /* take out */
        if (run_len > left)
            run_len = left;
        memmove(data + at, data + at + run_len, left - run_len);
        *len -= run_len;
        break;
    case 6: /* cut short */
        if (draw(4) == 0)
            *len = at;
        break;
    case 7: { /* a piece of another seed over what stands, or in between */
        const struct input *other = &seeds[draw(seed_count)];
        size_t from = draw(other->len + 1);
        size_t n = other->len - from < run_len ? other->len - from : run_len;
        if (draw(2) && n <= left)
            memcpy(data + at, other->data + from, n);
        else if (insert_room(data, len, at, n))
            memcpy(data + at, other->data + from, n);
        break;
    }
    }
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static double now_secs(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    snprintf(crash_path, sizeof crash_path, "crash-%s", slash ? slash + 1 : argv[0]);
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        signal(deadly[i], leave_evidence);
    arena_open();
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);

    bool only_files = argc > 1;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
            only_files = false;
        load(argv[i]);
    }
    for (size_t i = 0; i < seed_count; i++)
        run(seeds[i].data, seeds[i].len);
    if (only_files) {
        printf("%zu inputs\n", seed_count);
        return 0;
    }
    size_t given = seed_count;
    if (seed_count == 0)
        seed_add((const uint8_t *)"", 0);
    run((const uint8_t *)"", 0);

    uint64_t runs = setting("YORE_FUZZ_RUNS", 200000);
    double until = now_secs() + (double)setting("YORE_FUZZ_SECS", 3);
    sequence = setting("YORE_FUZZ_SEED", 1);
    static uint8_t work[INPUT_MAX_BYTES];
    uint64_t done = 0;
    for (; (runs == 0 || done < runs) && now_secs() < until; done++) {
        const struct input *base = &seeds[draw(seed_count)];
        size_t len = base->len;
        memcpy(work, base->data, len);
        for (uint64_t n = 1 + draw(6); n > 0; n--)
            mutate(work, &len);
        run(work, len);
    }
    printf("%zu seeds, %llu mutations\n", given, (unsigned long long)done);
    return 0;
}
