/*
 * index_bench: how long the local index takes with ten million chunks: sync, open, look-ups, memory.
 *
 *     index_bench [ROWS [FOLDER]]      10000000 rows, a folder under $TMPDIR or /tmp; needs some 250 bytes a row of disk
 *
 *     meson compile -C build && gcc -O2 -std=gnu11 -D_GNU_SOURCE -I. tests/bench/index_bench.c tests/support/keys.c \
 *         tests/support/small_store.c tests/support/tmp.c build/index/libindex.a build/fetch/libfetch.a -lsqlite3 -lcrypto \
 *         -lzstd -lIPSec_MB -lpthread -o /tmp/index_bench && /tmp/index_bench
 *
 * The store is synthetic: real segments with ids out of a counter; the packs they name do not exist, nobody reads them.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "fetch/base/clock.h"
#include "fetch/base/rand.h"
#include "index/index.h"
#include "index/merge.h"
#include "tests/support/small_store.h"
#include "tests/support/tmp.h"

enum { SEGMENT_ROWS = 250000, PACK_ROWS = 500, MANY = 4096, FINDS = 400000 };

static double seconds(void)
{
    return (double)clock_monotonic_ns() / 1e9;
}

/* Since a start: by the clock, and of the processor, which others who share the machine do not take from us. */
struct lap {
    double wall, cpu;
};

static struct lap lap_since(struct lap start)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (struct lap){seconds() - start.wall, (double)t.tv_sec + (double)t.tv_nsec / 1e9 - start.cpu};
}

static struct lap lap_start(void)
{
    return lap_since((struct lap){0, 0});
}

static void print_rate(const char *what, double count, struct lap start)
{
    struct lap took = lap_since(start);
    printf("%-34s %10.0f/s  %10.0f per processor second\n", what, count / took.wall, count / took.cpu);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The i-th id. */
static struct chunk_id id_of(uint64_t i)
{
    struct chunk_id id;
    for (unsigned k = 0; k < 4; k++) {
        uint64_t word = mix(i * 4 + k + 1);
        memcpy(id.bytes + 8 * k, &word, 8);
    }
    return id;
}

/* A line of /proc/self/status in MiB. */
static double status_mib(const char *word)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, word, strlen(word)) == 0)
            kib = strtod(line + strlen(word) + 1, NULL);
    if (f)
        fclose(f);
    return kib / 1024;
}

static enum err put_segment(struct access *access, uint64_t first, uint64_t count)
{
    AUTO_PTR(segment_builder) builder = NULL;
    AUTO(buf) object = BUF_EMPTY;
    struct uid session;
    struct hash sha256;
    rand_bytes(session.bytes, sizeof session.bytes);
    TRY(segment_builder_new(access->keys, 1, CHUNK_DATA, &session, &builder));
    for (uint64_t at = first; at < first + count; at += PACK_ROWS) {
        static struct frame_chunk chunks[PACK_ROWS];
        static struct pack_frame frames[PACK_ROWS];
        struct pack_sealed pack = {.name = {.session = session}, .directory = {frames, 0, chunks, 0}};
        uint64_t n = first + count - at < PACK_ROWS ? first + count - at : PACK_ROWS;
        for (uint64_t i = 0; i < n; i++) {
            chunks[i] = (struct frame_chunk){id_of(at + i), 60000};
            frames[i] = (struct pack_frame){
                .place = {.offset = (uint32_t)(200 + i * 60032), .stored_len = 60032, .raw_len = 60000, .counter = (uint32_t)i},
                .first_chunk = (uint32_t)i,
                .chunk_count = 1};
        }
        pack.directory.frame_count = pack.directory.chunk_count = (size_t)n;
        pack.object.len = 32 << 20;
        rand_bytes(pack.name.sha256.bytes, sizeof pack.name.sha256.bytes);
        rand_bytes(pack.uid.bytes, sizeof pack.uid.bytes);
        TRY(segment_builder_add(builder, &pack));
    }
    TRY(segment_builder_seal(builder, &object, &sha256));
    return store_put(access->store, name_segment(1, CHUNK_DATA, &session, &sha256).text, buf_slice(&object), true);
}

/* ---- rows in memory into a run: what import costs without opening segments ---- */

struct memory_rows {
    struct row_source source;
    struct run_row *rows;
    size_t at, count;
};

static enum err memory_next(struct row_source *source, struct run_row *ret_row, struct chunk_id *ret_base, bool *ret_more)
{
    struct memory_rows *m = (struct memory_rows *)source;
    (void)ret_base;
    *ret_more = m->at < m->count;
    if (*ret_more)
        *ret_row = m->rows[m->at++];
    return ERR_OK;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static enum err bench_import(const char *folder)
{
    enum { SOURCES = 4, ROWS = 500000 };
    struct memory_rows sources[SOURCES];
    struct row_source *list[SOURCES];
    for (unsigned s = 0; s < SOURCES; s++) {
        sources[s] = (struct memory_rows){{.next = memory_next}, calloc(ROWS, sizeof(struct run_row)), 0, ROWS};
        if (!sources[s].rows)
            return err_set(ERR_NOMEM, "no memory for rows");
        list[s] = &sources[s].source;
        for (unsigned i = 0; i < ROWS; i++) {
            struct chunk_row row = {.id = id_of((uint64_t)s * ROWS + i), .frame = {.stored_len = 60032, .raw_len = 60000}, .length = 9};
            run_row_encode(&row, 1, &sources[s].rows[i]);
        }
        qsort(sources[s].rows, ROWS, sizeof(struct run_row), by_id);
    }
    struct run_info info = {.number = 1, .domain = 1, .kind = CHUNK_DATA, .rows = SOURCES * ROWS};
    uint64_t rows;
    struct lap start = lap_start();
    AUTO_PTR(run_writer) writer = NULL;
    TRY(run_writer_new(folder, &info, &writer));
    TRY(merge_rows(list, SOURCES, writer));
    print_rate("rows in memory into a run", (double)info.rows, start);
    TRY(run_writer_finish(writer, &rows));
    print_rate("the same with fsync", (double)rows, start);
    for (unsigned s = 0; s < SOURCES; s++)
        free(sources[s].rows);
    return unlink(run_path(folder, 1).text) == 0 ? ERR_OK : err_errno("cannot remove the run");
}

/* ---- look-ups ---- */

struct finder {
    struct index *index;
    uint64_t rows, from;
    bool missing;
    unsigned failed;
};

static void *find_many_times(void *context)
{
    struct finder *f = context;
    for (unsigned i = 0; i < FINDS; i++) {
        struct chunk_id id = id_of(mix(i + f->from) % f->rows + (f->missing ? f->rows : 0));
        struct location where;
        enum err e = index_find(f->index, 1, CHUNK_DATA, &id, NULL, &where);
        f->failed += e != (f->missing ? ERR_NOT_FOUND : ERR_OK);
    }
    return NULL;
}

static enum err bench_threads(struct index *index, uint64_t rows, unsigned count, bool missing)
{
    pthread_t threads[8];
    struct finder finders[8];
    unsigned failed = 0;
    char what[64];
    struct lap start = lap_start();
    for (unsigned i = 0; i < count; i++) {
        finders[i] = (struct finder){index, rows, (uint64_t)i << 32, missing, 0};
        if (pthread_create(&threads[i], NULL, find_many_times, &finders[i]) != 0)
            return err_set(ERR_IO, "no thread");
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        failed += finders[i].failed;
    }
    snprintf(what, sizeof what, "look-ups%s, %u thread%s", missing ? " that miss" : "", count, count == 1 ? "" : "s");
    print_rate(what, (double)FINDS * count, start);
    return failed ? err_set(ERR_CORRUPT, "%u look-ups went wrong", failed) : ERR_OK;
}

static enum err bench_many(struct index *index, uint64_t rows, bool missing)
{
    struct chunk_id *ids = calloc(MANY, sizeof *ids);
    bool found[MANY];
    if (!ids)
        return err_set(ERR_NOMEM, "no memory for ids");
    struct lap start = lap_start();
    unsigned right = 0;
    for (unsigned round = 0; round < FINDS / MANY; round++) {
        for (unsigned i = 0; i < MANY; i++)
            ids[i] = id_of(mix(round * MANY + i) % rows + (missing ? rows : 0));
        TRY(index_find_many(index, 1, CHUNK_DATA, ids, MANY, found));
        for (unsigned i = 0; i < MANY; i++)
            right += found[i] != missing;
    }
    print_rate(missing ? "4096 at once that miss" : "4096 at once", FINDS / MANY * MANY, start);
    free(ids);
    return right == FINDS / MANY * MANY ? ERR_OK : err_set(ERR_CORRUPT, "look-ups went wrong");
}

static enum err bench_reads(struct access *access, const char *cache, uint64_t rows)
{
    AUTO_PTR(index) index = NULL;
    struct location where;
    double before = status_mib("VmRSS:"), start = seconds();
    TRY(index_open(access, cache, &index));
    double opened = seconds();
    struct chunk_id id = id_of(rows / 2);
    TRY(index_find(index, 1, CHUNK_DATA, &id, NULL, &where));
    printf("open: %.1f ms; and the first look-up: %.1f ms more\n", (opened - start) * 1e3, (seconds() - opened) * 1e3);
    TRY(bench_threads(index, rows, 1, false));
    printf("memory of one thread: %.1f MiB more than before\n", status_mib("VmRSS:") - before);
    TRY(bench_threads(index, rows, 2, false));
    TRY(bench_threads(index, rows, 8, false));
    TRY(bench_threads(index, rows, 1, true));
    TRY(bench_many(index, rows, false));
    TRY(bench_many(index, rows, true));
    printf("memory: %.1f MiB more than before, %.1f in all (peak %.1f)\n", status_mib("VmRSS:") - before, status_mib("VmRSS:"),
           status_mib("VmHWM:"));
    return ERR_OK;
}

static enum err bench_sync(struct access *access, const char *cache)
{
    AUTO_PTR(index) index = NULL;
    struct sync_report report;
    TRY(index_open(access, cache, &index));
    struct lap start = lap_start();
    TRY(index_sync(index, SYNC_ALL, &report));
    print_rate("first sync, all merges in it: rows", (double)report.chunk_rows, start);
    printf("memory, peak: %.0f MiB\n", status_mib("VmHWM:"));
    double first = seconds();
    if (report.damaged)
        return err_set(ERR_CORRUPT, "%llu segments were left out", (unsigned long long)report.damaged);
    TRY(index_sync(index, SYNC_ALL, &report));
    printf("sync with nothing new: %.1f ms\n", (seconds() - first) * 1e3);
    return ERR_OK;
}

/* In a process of its own: so its memory is its own. */
static int in_child(enum err (*work)(struct access *, const char *, uint64_t), struct access *access, const char *cache, uint64_t rows)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        enum err e = work(access, cache, rows);
        if (e != ERR_OK)
            fprintf(stderr, "index_bench: %s\n", err_text());
        fflush(stdout);
        _exit(e != ERR_OK);
    }
    int status;
    return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

static enum err sync_child(struct access *access, const char *cache, uint64_t rows)
{
    (void)rows;
    return bench_sync(access, cache);
}

static enum err import_child(struct access *access, const char *cache, uint64_t rows)
{
    (void)access, (void)rows;
    return bench_import(cache);
}

static enum err make_store(struct access *access, const char *cache, uint64_t rows)
{
    (void)cache;
    for (uint64_t at = 0; at < rows; at += SEGMENT_ROWS)
        TRY(put_segment(access, at, rows - at < SEGMENT_ROWS ? rows - at : SEGMENT_ROWS));
    return ERR_OK;
}

int main(int argc, char **argv)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(access) access = NULL;
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    if (argc > 2)
        setenv("TMPDIR", argv[2], 1);
    if (rows < 1000 || tmp_dir_new(&tmp) != ERR_OK || small_store_new(tmp_path(&tmp, "store").text, &access) != ERR_OK) {
        fprintf(stderr, "index_bench: %s\n", rows < 1000 ? "at least 1000 rows" : err_text());
        return 1;
    }
    struct tmp_path cache = tmp_path(&tmp, "cache");
    double start = seconds();
    if (in_child(make_store, access, cache.text, rows))
        return 1;
    printf("%llu rows in segments of %d, made in %.1f s\n", (unsigned long long)rows, SEGMENT_ROWS, seconds() - start);
    return in_child(import_child, access, tmp.path, rows) || in_child(sync_child, access, cache.text, rows) ||
           in_child(bench_reads, access, cache.text, rows);
}
