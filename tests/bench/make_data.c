/*
 * make_data: the data the benchmark backs up, the same bytes for the same seed.
 *
 *     make_data tree   DIR  SCALE SEED     106377 / SCALE entries, about 2 GB / SCALE
 *     make_data dump   FILE BYTES SEED     text like pg_dump's of pgbench's tables
 *     make_data random FILE BYTES SEED     bytes no compressor can shorten
 *
 * The tree has the shape of a working machine's: 93315 files in 8634 folders, most under 64 KiB
 * (lognormal) and a few of many megabytes, 4428 symbolic links, 928 names that are second links.
 * Two thirds of its bytes are text of words, a fifth is like machine code, the rest is like
 * pictures and archives; altogether zstd -3 halves it and a little more. A file's content follows
 * from its seed, kind and size alone, so that two processes can write the halves.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TREE_FILES = 93315,
    TREE_DIRS = 8634,
    TREE_SYMLINKS = 4428,
    TREE_HARD_LINKS = 928,
    BIG_FILES = 150,         /* they take what the many small ones leave of the total */
    MAX_DEPTH = 12,
    WORKERS = 2,
    VOCABULARY = 16384,      /* words in the language of the tree */
    FILE_WORDS = 1024,       /* words one file uses */
    WORD_MAX = 16,
    BUFFER_BYTES = 1 << 20,
};

static const double TREE_BYTES = 1.99e9;
static const double SIZE_MEDIAN = 4200, SIZE_SIGMA = 1.55;
static const int64_t OLDEST_SECS = 1500000000, AGE_SPAN_SECS = 250000000;

static void die(const char *what)
{
    fprintf(stderr, "make_data: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* xoshiro256** by Blackman and Vigna, seeded through splitmix64 as they advise. */
struct rng { uint64_t s[4]; };

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct rng rng_seeded(uint64_t seed)
{
    struct rng r;
    for (int i = 0; i < 4; i++)
        r.s[i] = splitmix(&seed);
    return r;
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

static double rng_unit(struct rng *r) { return (double)(rng_next(r) >> 11) * 0x1p-53; }

static double rng_normal(struct rng *r)
{
    double u = 1.0 - rng_unit(r), v = rng_unit(r);
    return sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * v);
}

static void fill_random(struct rng *r, uint8_t *out, size_t len)
{
    for (; len >= 8; out += 8, len -= 8) {
        uint64_t x = rng_next(r);
        memcpy(out, &x, 8);
    }
    uint64_t x = rng_next(r);
    memcpy(out, &x, len);
}

/* The language: words of syllables, and a table that draws ranks as Zipf saw them drawn. */
struct word { uint8_t len; char text[WORD_MAX]; };
static struct word vocabulary[VOCABULARY];
static uint16_t rank_of[65536]; /* a uniform 16-bit number to a rank below FILE_WORDS */

static void language_init(uint64_t seed)
{
    static const char *const syllables[] = {
        "re", "con", "ta", "in", "er", "le", "ti", "on", "ar", "de", "ma", "ne", "si", "lo", "pro", "ex",
        "str", "get", "set", "key", "un", "al", "ver", "mo", "ce", "da", "fi", "po", "ru", "ed", "th", "ing"};
    struct rng r = rng_seeded(seed ^ 0x6c616e67);
    for (int i = 0; i < VOCABULARY; i++) {
        struct word *w = &vocabulary[i];
        int parts = 1 + (int)rng_below(&r, 4);
        for (int p = 0; p < parts; p++) {
            const char *s = syllables[rng_below(&r, 32)];
            size_t n = strlen(s);
            if (w->len + n < WORD_MAX)
                memcpy(w->text + w->len, s, n), w->len = (uint8_t)(w->len + n);
        }
    }
    double sum = 0, at = 0;
    for (int i = 0; i < FILE_WORDS; i++)
        sum += 1.0 / (i + 3);
    for (int i = 0, slot = 0; i < FILE_WORDS; i++) {
        at += 1.0 / (i + 3);
        for (; slot < 65536 && slot < at / sum * 65536; slot++)
            rank_of[slot] = (uint16_t)i;
        if (i == FILE_WORDS - 1)
            for (; slot < 65536; slot++)
                rank_of[slot] = (uint16_t)i;
    }
}

/* A text or source file: its own choice of words, lines, indentation, here and there a number. */
static void fill_text(struct rng *r, uint8_t *out, size_t len)
{
    static const char *const joints[] = {" ", " ", " ", " ", "_", ".", "(", ", ", " = ", "->", "\"", ": "};
    uint16_t words[FILE_WORDS];
    for (int i = 0; i < FILE_WORDS; i++) /* the common words are common everywhere */
        words[i] = (uint16_t)(i < 64 ? rng_below(r, 256) : rng_below(r, VOCABULARY));

    size_t at = 0, line = 0;
    unsigned indent = 0;
    while (at + 64 < len) {
        uint64_t x = rng_next(r);
        const struct word *w = &vocabulary[words[rank_of[x & 0xffff]]];
        memcpy(out + at, w->text, WORD_MAX); /* whole, and the rest overwritten: no loop */
        at += w->len;
        line += w->len;
        x >>= 16;
        if ((x & 31) == 0) /* an address, a hash, a version: what no dictionary has */
            at += (size_t)sprintf((char *)out + at, "0x%0*x", 4 + (int)((x >> 5) & 7) / 2 * 2,
                                  (unsigned)((x >> 12) & 0xffffff));
        x >>= 8;
        if (line > 30 + (x & 63)) {
            unsigned step = (x >> 6) & 3;
            indent = step == 0 && indent < 20 ? indent + 4 : step == 1 && indent ? indent - 4 : indent;
            if (step == 2)
                out[at++] = ';';
            out[at++] = '\n';
            memset(out + at, ' ', indent);
            at += indent;
            line = indent;
        } else {
            const char *j = joints[((x >> 8) & 0xff) % 12];
            while (*j)
                out[at++] = (uint8_t)*j++, line++;
        }
    }
    memset(out + at, '\n', len - at);
}

/* Like machine code or a table: short records whose first bytes are of few kinds. */
static void fill_code(struct rng *r, uint8_t *out, size_t len)
{
    uint64_t shapes[64];
    for (int i = 0; i < 64; i++)
        shapes[i] = rng_next(r);
    size_t at = 0;
    while (at + 16 < len) {
        uint64_t x = rng_next(r);
        unsigned kind = (unsigned)((x & 63) * (x >> 6 & 63) / 64); /* the low ones more often */
        unsigned head = 2 + kind % 4, tail = (x >> 12) & 1 ? 0 : 1 + ((x >> 13) & 1);
        memcpy(out + at, &shapes[kind], 8);
        at += head;
        x >>= 16;
        memcpy(out + at, &x, 4);
        at += tail;
        if ((x >> 40 & 7) == 0) {
            memset(out + at, 0, 6);
            at += 6;
        }
    }
    memset(out + at, 0, len - at);
}

enum kind { KIND_TEXT, KIND_CODE, KIND_RANDOM };

static void fill(enum kind kind, struct rng *r, uint8_t *out, size_t len)
{
    if (kind == KIND_TEXT)
        fill_text(r, out, len);
    else if (kind == KIND_CODE)
        fill_code(r, out, len);
    else
        fill_random(r, out, len);
}

static void write_all(int fd, const uint8_t *data, size_t len, const char *name)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0)
            die(name);
        data += n;
        len -= (size_t)n;
    }
}

/* ---- the tree ---- */

struct dir { char *path; uint32_t parent; uint16_t depth; double weight; };

struct file {
    char *path;
    uint32_t dir;
    uint32_t same_as;  /* a hard link to that file, or UINT32_MAX */
    uint64_t seed;     /* of the content; shared with another file when it is a copy of it */
    uint64_t size_bytes;
    enum kind kind;
    mode_t mode;
};

static struct timespec some_time(struct rng *r)
{
    return (struct timespec){.tv_sec = OLDEST_SECS + rng_below(r, (uint32_t)AGE_SPAN_SECS),
                             .tv_nsec = rng_below(r, 1000000000)};
}

static void set_time(const char *path, struct rng *r)
{
    struct timespec t = some_time(r);
    if (utimensat(AT_FDCWD, path, (struct timespec[]){t, t}, AT_SYMLINK_NOFOLLOW) != 0)
        die(path);
}

static const char *word_text(struct rng *r, char *out)
{
    const struct word *w = &vocabulary[rng_below(r, VOCABULARY)];
    memcpy(out, w->text, w->len);
    out[w->len] = 0;
    return out;
}

static char *path_join(const char *dir, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        die("asprintf");
    return path;
}

static struct dir *make_dirs(const char *root, uint32_t count, struct rng *r)
{
    static const char *const usual[] = {"src", "lib", "doc", "test", "include", "share", "locale",
                                        "dist", "node_modules", "assets", "bin", "examples"};
    struct dir *dirs = calloc(count, sizeof *dirs);
    if (!dirs)
        die("calloc");
    dirs[0] = (struct dir){.path = strdup(root), .weight = 0.2};
    if (mkdir(root, 0755) != 0)
        die(root);
    for (uint32_t i = 1; i < count; i++) {
        /* Near relations: mostly a child of one of the last few, as a walk would meet them. */
        uint32_t parent;
        do {
            uint32_t window = rng_below(r, 5) ? 12 : i;
            parent = i - 1 - rng_below(r, window < i ? window : i);
        } while (dirs[parent].depth >= MAX_DEPTH);
        char word[WORD_MAX + 1], name[64];
        if (rng_below(r, 3) == 0)
            snprintf(name, sizeof name, "%s", usual[rng_below(r, 12)]);
        else
            snprintf(name, sizeof name, "%s", word_text(r, word));
        char *path = path_join(dirs[parent].path, name);
        if (mkdir(path, 0755) != 0) {
            if (errno != EEXIST)
                die(path);
            free(path);
            snprintf(name + strlen(name), sizeof name - strlen(name), "-%u", i);
            path = path_join(dirs[parent].path, name);
            if (mkdir(path, 0755) != 0)
                die(path);
        }
        dirs[i] = (struct dir){path, parent, (uint16_t)(dirs[parent].depth + 1), exp(1.3 * rng_normal(r))};
    }
    return dirs;
}

static enum kind kind_and_name(struct rng *r, uint32_t number, char *name, size_t cap)
{
    static const char *const endings[3][8] = {
        {".c", ".h", ".js", ".py", ".html", ".json", ".md", ".txt"},
        {".so", ".o", ".pyc", ".bin", ".mo", ".ttf", ".a", ".wasm"},
        {".png", ".gz", ".jpg", ".woff2", ".png", ".xz", ".webp", ".zip"}};
    uint32_t dice = rng_below(r, 100);
    enum kind kind = dice < 76 ? KIND_TEXT : dice < 92 ? KIND_CODE : KIND_RANDOM;
    char one[WORD_MAX + 1], two[WORD_MAX + 1];
    const char *end = endings[kind][rng_below(r, 8)];
    switch (rng_below(r, 8)) { /* the number keeps names apart where the words do not */
    case 0: snprintf(name, cap, "%s%u%s", word_text(r, one), number, end); break;
    case 1: snprintf(name, cap, "%s %s (%u)%s", word_text(r, one), word_text(r, two), number, end); break;
    case 2: snprintf(name, cap, "%s.%s-%x.min%s", word_text(r, one), word_text(r, two), number, end); break;
    case 3: snprintf(name, cap, "\xc3\xbc%s_%x%s", word_text(r, one), number, end); break;
    default: snprintf(name, cap, "%s_%s-%x%s", word_text(r, one), word_text(r, two), number, end);
    }
    return kind;
}

static int by_dir(const void *a, const void *b)
{
    uint32_t x = ((const struct file *)a)->dir, y = ((const struct file *)b)->dir;
    return (x > y) - (x < y);
}

static struct file *plan_files(const struct dir *dirs, uint32_t dir_count, uint32_t count, uint32_t links,
                               double total_bytes, uint32_t big, struct rng *r)
{
    struct file *files = calloc(count, sizeof *files);
    double *below = calloc(dir_count, sizeof *below);
    if (!files || !below)
        die("calloc");
    double sum = 0;
    for (uint32_t i = 0; i < dir_count; i++)
        below[i] = sum += dirs[i].weight;
    for (uint32_t i = 0; i < count; i++) {
        double at = rng_unit(r) * sum;
        uint32_t low = 0, high = dir_count - 1;
        while (low < high) {
            uint32_t mid = (low + high) / 2;
            if (below[mid] > at)
                high = mid;
            else
                low = mid + 1;
        }
        files[i].dir = low;
    }
    free(below);
    qsort(files, count, sizeof *files, by_dir); /* written folder by folder, as an installation is */

    double small_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct file *f = &files[i];
        char name[128];
        f->kind = kind_and_name(r, i, name, sizeof name);
        f->path = path_join(dirs[f->dir].path, name);
        f->seed = rng_next(r);
        f->same_as = UINT32_MAX;
        f->mode = rng_below(r, 10) == 0 ? 0755 : rng_below(r, 50) == 0 ? 0600 : 0644;
        double size = rng_below(r, 100) == 0 ? 0 : SIZE_MEDIAN * exp(SIZE_SIGMA * rng_normal(r));
        f->size_bytes = size > 4e6 ? 4000000 : (uint64_t)size;
        small_bytes += (double)f->size_bytes;
    }
    double big_weight[BIG_FILES], big_sum = 0;
    for (uint32_t i = 0; i < big; i++)
        big_sum += big_weight[i] = exp(1.0 * rng_normal(r));
    for (uint32_t i = 0; i < big && total_bytes > small_bytes; i++) {
        struct file *f = &files[rng_below(r, count)];
        f->size_bytes = (uint64_t)((total_bytes - small_bytes) * big_weight[i] / big_sum);
    }
    for (uint32_t i = 1; i < count; i++) /* copies: licences, vendored libraries */
        if (rng_below(r, 50) == 0) {
            const struct file *of = &files[rng_below(r, i)];
            if (of->size_bytes < 1000000)
                files[i].seed = of->seed, files[i].size_bytes = of->size_bytes, files[i].kind = of->kind;
        }
    for (uint32_t i = 0; i < links;) { /* always to an earlier name: no circles */
        uint32_t at = 1 + rng_below(r, count - 1), to = rng_below(r, at);
        if (files[at].same_as == UINT32_MAX)
            files[at].same_as = to, i++;
    }
    for (uint32_t i = 0; i < count; i++) /* the target became a link itself: on to the true one */
        while (files[i].same_as != UINT32_MAX && files[files[i].same_as].same_as != UINT32_MAX)
            files[i].same_as = files[files[i].same_as].same_as;
    return files;
}

static void write_files(const struct file *files, uint32_t from, uint32_t to)
{
    size_t cap = 0;
    uint8_t *buffer = NULL;
    for (uint32_t i = from; i < to; i++) {
        const struct file *f = &files[i];
        if (f->same_as != UINT32_MAX)
            continue;
        if (f->size_bytes > cap) {
            cap = f->size_bytes * 2;
            free(buffer);
            buffer = malloc(cap);
            if (!buffer)
                die("malloc");
        }
        struct rng r = rng_seeded(f->seed);
        fill(f->kind, &r, buffer, f->size_bytes);
        int fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, f->mode);
        if (fd < 0)
            die(f->path);
        write_all(fd, buffer, f->size_bytes, f->path);
        if (fchmod(fd, f->mode) != 0)
            die(f->path);
        r = rng_seeded(f->seed ^ i);
        struct timespec t = some_time(&r);
        if (futimens(fd, (struct timespec[]){t, t}) != 0 || close(fd) != 0)
            die(f->path);
    }
    free(buffer);
}

static void make_symlinks(const struct dir *dirs, uint32_t dir_count, const struct file *files,
                          uint32_t file_count, uint32_t count, struct rng *r)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct file *to = &files[rng_below(r, file_count)];
        const char *base = strrchr(to->path, '/') + 1;
        char name[64], *target = NULL;
        snprintf(name, sizeof name, "link-%x", i);
        uint32_t dir = to->dir;
        int done;
        if (rng_below(r, 20) == 0)
            done = asprintf(&target, "/nowhere/%s", base);
        else if (rng_below(r, 3) == 0 && dir != 0)
            done = asprintf(&target, "%s/%s", strrchr(dirs[dir].path, '/') + 1, base), dir = dirs[dir].parent;
        else
            done = asprintf(&target, "%s", base);
        if (done < 0)
            die("asprintf");
        if (dir >= dir_count)
            abort();
        char *path = path_join(dirs[dir].path, name);
        if (symlink(target, path) != 0)
            die(path);
        set_time(path, r);
        free(path);
        free(target);
    }
}

static void make_tree(const char *root, uint32_t scale, uint64_t seed)
{
    umask(0);
    struct rng r = rng_seeded(seed);
    uint32_t dir_count = TREE_DIRS / scale, file_count = TREE_FILES / scale;
    uint32_t big = BIG_FILES / scale < 4 ? 4 : BIG_FILES / scale;
    struct dir *dirs = make_dirs(root, dir_count, &r);
    struct file *files = plan_files(dirs, dir_count, file_count, TREE_HARD_LINKS / scale, TREE_BYTES / scale,
                                    big, &r);
    uint64_t total = 0, done = 0;
    for (uint32_t i = 0; i < file_count; i++)
        total += files[i].size_bytes;

    uint32_t from = 0;
    pid_t workers[WORKERS];
    for (int w = 0; w < WORKERS; w++) {
        uint32_t to = from;
        while (to < file_count && (w == WORKERS - 1 || done < total / WORKERS * (uint64_t)(w + 1)))
            done += files[to++].size_bytes;
        workers[w] = fork();
        if (workers[w] < 0)
            die("fork");
        if (workers[w] == 0) {
            write_files(files, from, to);
            _exit(0);
        }
        from = to;
    }
    for (int w = 0; w < WORKERS; w++) {
        int status;
        if (waitpid(workers[w], &status, 0) < 0 || status != 0) {
            fprintf(stderr, "make_data: a worker failed\n");
            exit(1);
        }
    }
    for (uint32_t i = 0; i < file_count; i++)
        if (files[i].same_as != UINT32_MAX && link(files[files[i].same_as].path, files[i].path) != 0)
            die(files[i].path);
    make_symlinks(dirs, dir_count, files, file_count, TREE_SYMLINKS / scale, &r);
    for (uint32_t i = 0; i < dir_count; i++)
        set_time(dirs[i].path, &r);
}

/* ---- the dump and the random file ---- */

static char *put_number(char *out, uint64_t n)
{
    char digits[24];
    int len = 0;
    do
        digits[len++] = (char)('0' + n % 10);
    while (n /= 10);
    while (len)
        *out++ = digits[--len];
    return out;
}

static void make_dump(const char *path, uint64_t size_bytes, uint64_t seed)
{
    static const char head[] =
        "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\nSET client_encoding = 'UTF8';\n\n"
        "CREATE TABLE public.pgbench_accounts (\n    aid integer NOT NULL,\n    bid integer,\n"
        "    abalance integer,\n    filler character(84)\n);\n\n"
        "COPY public.pgbench_accounts (aid, bid, abalance, filler) FROM stdin;\n";
    static const char next[] =
        "\\.\n\nCREATE TABLE public.pgbench_history (\n    tid integer,\n    bid integer,\n    aid integer,\n"
        "    delta integer,\n    mtime timestamp without time zone,\n    filler character(22)\n);\n\n"
        "COPY public.pgbench_history (tid, bid, aid, delta, mtime, filler) FROM stdin;\n";
    static const char foot[] = "\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
    struct rng r = rng_seeded(seed ^ 0x64756d70);
    FILE *out = fopen(path, "wx");
    if (!out)
        die(path);
    setvbuf(out, NULL, _IOFBF, BUFFER_BYTES);
    fwrite(head, 1, sizeof head - 1, out);
    uint64_t written = sizeof head - 1, aid = 1, rows = size_bytes / 105;
    for (; written < size_bytes * 9 / 10; aid++) {
        char row[160], *p = put_number(row, aid);
        *p++ = '\t';
        p = put_number(p, (aid - 1) / 100000 + 1);
        *p++ = '\t';
        if (rng_below(&r, 2))
            *p++ = '-';
        p = put_number(p, rng_below(&r, 5000));
        *p++ = '\t';
        memset(p, ' ', 84);
        uint64_t x = rng_next(&r), y = rng_next(&r);
        for (int i = 0; i < 24; i++) /* most of an md5, as fillers are often filled; then blanks */
            p[i] = "0123456789abcdef"[(i < 16 ? x >> (4 * i) : y >> (4 * i - 64)) & 15];
        p[84] = '\n';
        size_t len = (size_t)(p + 85 - row);
        fwrite(row, 1, len, out);
        written += len;
    }
    fwrite(next, 1, sizeof next - 1, out);
    written += sizeof next - 1;
    for (uint64_t usecs = 0; written < size_bytes;) {
        usecs += rng_below(&r, 20000);
        int len = fprintf(out, "%u\t%u\t%llu\t%d\t2026-03-%02u %02u:%02u:%02u.%06u\t%22s\n", rng_below(&r, 600),
                          rng_below(&r, 60), (unsigned long long)(rng_next(&r) % (rows + 1)),
                          (int)rng_below(&r, 10000) - 5000, (unsigned)(1 + usecs / 86400000000 % 28),
                          (unsigned)(usecs / 3600000000 % 24), (unsigned)(usecs / 60000000 % 60),
                          (unsigned)(usecs / 1000000 % 60), (unsigned)(usecs % 1000000), "");
        if (len < 0)
            die(path);
        written += (uint64_t)len;
    }
    fwrite(foot, 1, sizeof foot - 1, out);
    if (fclose(out) != 0)
        die(path);
}

static void make_random(const char *path, uint64_t size_bytes, uint64_t seed)
{
    static uint8_t buffer[BUFFER_BYTES];
    struct rng r = rng_seeded(seed ^ 0x72616e64);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        die(path);
    while (size_bytes) {
        size_t len = size_bytes < sizeof buffer ? (size_t)size_bytes : sizeof buffer;
        fill_random(&r, buffer, len);
        write_all(fd, buffer, len, path);
        size_bytes -= len;
    }
    if (close(fd) != 0)
        die(path);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: make_data tree DIR SCALE SEED | dump FILE BYTES SEED | random FILE BYTES SEED\n");
        return 1;
    }
    uint64_t amount = strtoull(argv[3], NULL, 10), seed = strtoull(argv[4], NULL, 10);
    if (amount == 0) {
        fprintf(stderr, "make_data: \"%s\" is no amount\n", argv[3]);
        return 1;
    }
    language_init(seed);
    if (strcmp(argv[1], "tree") == 0)
        make_tree(argv[2], amount > 100 ? 100 : (uint32_t)amount, seed);
    else if (strcmp(argv[1], "dump") == 0)
        make_dump(argv[2], amount, seed);
    else if (strcmp(argv[1], "random") == 0)
        make_random(argv[2], amount, seed);
    else
        return fprintf(stderr, "make_data: no such kind: %s\n", argv[1]), 1;
    return 0;
}
