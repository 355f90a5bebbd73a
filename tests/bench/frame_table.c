/*
 * frame_table: what a mean chunk size and a frame size cost, measured on real data.
 *
 *     frame_table stream V1 V2 [V3 ...]   versions of one stream: each is stored after the one before
 *     frame_table tree TAR                the regular files of a tar (ustar or GNU)
 *
 * It does what a writer does to a stream, in one thread and in memory: cut, name, drop what is known, put neighbouring
 * new chunks into frames, compress, seal; then reads back. Times are CPU time of the thread. Bytes include what a
 * chunk and a frame cost besides their content (docs/format.md): index row 64, pack directory 36 a chunk and
 * 28 a frame, tags 32 a frame, and the content lists of the version, of which unchanged pages are shared.
 *
 * Build and data: tests/bench/frame_table.sh
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <zstd.h>

#include "fetch/base/buf.h"
#include "fetch/crypto/aead.h"
#include "fetch/crypto/chunkid.h"
#include "writers/pipeline/cut.h"

enum {
    KIB = 1024,
    PIECE_BYTES = 8 * 1024 * KIB,
    SMALL_FILE_BYTES = 256 * KIB,
    ROW_BYTES = 64,
    DIRECTORY_CHUNK_BYTES = 36,
    DIRECTORY_FRAME_BYTES = 28,
    FRAME_TAGS_BYTES = 32,
    LIST_ITEM_BYTES = 36,
    LIST_CHILD_BYTES = 38,
    READ_BYTES = 8 * KIB,
    READS = 3000,
    CACHED_FRAMES = 32,
    MAX_VERSIONS = 8,
    REPEATS = 2,
};

#define DIE(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))
#define MUST(expression) ((expression) == ERR_OK ? (void)0 : DIE("%s: %s", #expression, err_text()))

struct piece {
    struct slice data;
    struct chunk_id id;
};

/* A version as chunks. */
struct version {
    struct slice content; /* streams only */
    struct piece *chunks;
    size_t count, cap;
    double cut_secs, id_secs;
};

struct frame {
    uint8_t *sealed;
    uint32_t sealed_len, raw_len, first, chunks; /* first and chunks: in `placed` */
    bool packed;
};

/* The store: every chunk once, and the frame it lies in. */
struct place {
    const struct piece *chunk;
    uint32_t frame, at;
};
struct store {
    struct place *placed;
    size_t count;
    uint32_t *slots; /* index in placed + 1, by id */
    size_t mask;
    struct frame *frames;
    size_t frame_count;
};

static const uint8_t bench_key[32] = "a key that everybody may know...";

static double cpu_secs(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static struct slice map_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        DIE("%s: cannot be read", path);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (data == MAP_FAILED)
        DIE("%s: cannot be mapped", path);
    close(fd);
    return slice_of(data, (size_t)st.st_size);
}

static void version_put(struct version *v, struct slice data)
{
    if (v->count == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 1024;
        v->chunks = reallocarray(v->chunks, v->cap, sizeof *v->chunks);
        if (!v->chunks)
            DIE("no memory");
    }
    v->chunks[v->count++] = (struct piece){.data = data};
}

/* As workers do: mark pieces of 8 MiB, then select. */
static void cut_stream(struct version *v, struct cut_params params, struct cut_scanner *scanner)
{
    AUTO(cut_ends) ends = CUT_ENDS_EMPTY;
    AUTO(cut_marks) marks = CUT_MARKS_EMPTY;
    struct cut_select select;
    MUST(cut_select_init(&select, params));
    double began = cpu_secs();
    for (size_t at = 0; at < v->content.len; at += PIECE_BYTES) {
        size_t len = v->content.len - at < PIECE_BYTES ? v->content.len - at : PIECE_BYTES;
        size_t context = at < CUT_WINDOW_BYTES ? at : CUT_WINDOW_BYTES;
        MUST(cut_mark(scanner, slice_of(v->content.data + at - context, context + len), context, &marks));
        MUST(cut_select_feed(&select, &marks, len, at + len == v->content.len, &ends));
    }
    v->cut_secs = cpu_secs() - began;
    uint64_t start = 0;
    for (size_t i = 0; i < ends.count; start = ends.at[i++])
        version_put(v, slice_of(v->content.data + start, (size_t)(ends.at[i] - start)));
}

static void name_chunks(struct version *v, const struct id_keys *keys)
{
    enum { GROUP = 64 };
    struct id_job jobs[GROUP];
    double began = cpu_secs();
    for (size_t i = 0; i < v->count; i += GROUP) {
        size_t n = v->count - i < GROUP ? v->count - i : GROUP;
        for (size_t j = 0; j < n; j++)
            jobs[j].data = v->chunks[i + j].data;
        chunk_ids(keys, jobs, n);
        for (size_t j = 0; j < n; j++)
            v->chunks[i + j].id = jobs[j].id;
    }
    v->id_secs = cpu_secs() - began;
}

static uint64_t id_word(const struct chunk_id *id)
{
    uint64_t word;
    memcpy(&word, id->bytes, sizeof word);
    return word;
}

static void store_init(struct store *s, size_t most)
{
    size_t slots = 64;
    while (slots < 2 * most)
        slots *= 2;
    *s = (struct store){.mask = slots - 1};
    s->slots = calloc(slots, sizeof *s->slots);
    s->placed = calloc(most, sizeof *s->placed);
    s->frames = calloc(most, sizeof *s->frames);
    if (!s->slots || !s->placed || !s->frames)
        DIE("no memory");
}

static void store_clear(struct store *s)
{
    for (size_t i = 0; i < s->frame_count; i++)
        free(s->frames[i].sealed);
    free(s->slots);
    free(s->placed);
    free(s->frames);
}

static uint32_t *store_slot(const struct store *s, const struct chunk_id *id)
{
    for (size_t at = id_word(id) & s->mask;; at = (at + 1) & s->mask)
        if (!s->slots[at] || memcmp(&s->placed[s->slots[at] - 1].chunk->id, id, sizeof *id) == 0)
            return &s->slots[at];
}

static const struct place *store_find(const struct store *s, const struct chunk_id *id)
{
    uint32_t slot = *store_slot(s, id);
    if (!slot)
        DIE("a chunk is lost");
    return &s->placed[slot - 1];
}

struct work {
    ZSTD_CCtx *deflate;
    ZSTD_DCtx *inflate;
    uint8_t *raw, *packed;
    size_t packed_cap;
};

static void nonce_of(size_t frame, uint8_t ret[12])
{
    memset(ret, 0, 12);
    for (size_t i = 0; i < 8; i++)
        ret[11 - i] = (uint8_t)((uint64_t)frame >> 8 * i);
}

/* Compress and seal the chunks placed from `first` on; the CPU time of it. */
static double frame_close(struct store *s, struct work *w, int level, uint32_t first, size_t raw_len)
{
    struct frame *f = &s->frames[s->frame_count];
    uint8_t nonce[12];
    nonce_of(s->frame_count, nonce);
    f->first = first;
    f->chunks = (uint32_t)s->count - first;
    f->raw_len = (uint32_t)raw_len;
    double began = cpu_secs();
    size_t at = 0;
    for (size_t i = first; i < s->count; i++) {
        memcpy(w->raw + at, s->placed[i].chunk->data.data, s->placed[i].chunk->data.len);
        at += s->placed[i].chunk->data.len;
    }
    size_t len = ZSTD_compressCCtx(w->deflate, w->packed, w->packed_cap, w->raw, raw_len, level);
    if (ZSTD_isError(len))
        DIE("zstd: %s", ZSTD_getErrorName(len));
    f->packed = len < raw_len - raw_len / 32; /* kept only if it saves 3 % */
    struct slice body = f->packed ? slice_of(w->packed, len) : slice_of(w->raw, raw_len);
    uint8_t *sealed = w->raw == body.data ? w->packed : w->raw;
    MUST(aead_seal(bench_key, nonce, SLICE_EMPTY, body, sealed));
    double spent = cpu_secs() - began;
    f->sealed_len = (uint32_t)(body.len + AEAD_TAG_BYTES);
    f->sealed = malloc(f->sealed_len);
    if (!f->sealed)
        DIE("no memory");
    memcpy(f->sealed, sealed, f->sealed_len);
    s->frame_count++;
    return spent;
}

struct added {
    size_t chunks, frames;
    uint64_t raw_bytes, frame_bytes, meta_bytes;
    double secs;
};

static struct added store_version(struct store *s, struct work *w, const struct version *v,
                                  size_t frame_bytes, int level)
{
    struct added a = {.chunks = s->count, .frames = s->frame_count};
    uint32_t first = (uint32_t)s->count;
    size_t raw_len = 0;
    for (size_t i = 0; i < v->count; i++) {
        const struct piece *chunk = &v->chunks[i];
        uint32_t *slot = store_slot(s, &chunk->id);
        if (*slot)
            continue;
        if (raw_len && raw_len + chunk->data.len > frame_bytes) {
            a.secs += frame_close(s, w, level, first, raw_len);
            first = (uint32_t)s->count;
            raw_len = 0;
        }
        s->placed[s->count] = (struct place){chunk, (uint32_t)s->frame_count, (uint32_t)raw_len};
        *slot = (uint32_t)++s->count;
        raw_len += chunk->data.len;
        a.raw_bytes += chunk->data.len;
    }
    if (raw_len)
        a.secs += frame_close(s, w, level, first, raw_len);
    a.chunks = s->count - a.chunks;
    a.frames = s->frame_count - a.frames;
    for (size_t i = s->frame_count - a.frames; i < s->frame_count; i++)
        a.frame_bytes += s->frames[i].sealed_len + FRAME_TAGS_BYTES - AEAD_TAG_BYTES;
    a.meta_bytes = a.chunks * (ROW_BYTES + DIRECTORY_CHUNK_BYTES) + a.frames * DIRECTORY_FRAME_BYTES;
    return a;
}

/* Bytes of content-list pages that `v` does not share with `before` (docs/format.md 10.3). */
static uint64_t list_bytes(const struct version *v, const struct version *before)
{
    uint64_t bytes = 0, pages = 0;
    size_t set_mask = (1 << 18) - 1;
    uint64_t *seen = calloc(set_mask + 1, sizeof *seen);
    if (!seen)
        DIE("no memory");
    for (int pass = before ? 0 : 1; pass < 2; pass++) {
        const struct version *of = pass ? v : before;
        uint64_t hash = 0, items = 0;
        for (size_t i = 0; i < of->count; i++) {
            uint64_t word = id_word(&of->chunks[i].id);
            hash = (hash ^ word) * 0x9e3779b97f4a7c15;
            hash ^= hash >> 29;
            items++;
            bool ends = i + 1 == of->count || items == 1024 || (items >= 32 && (uint32_t)word % 128 == 0);
            if (!ends)
                continue;
            hash |= 1;
            size_t at = hash & set_mask;
            while (seen[at] && seen[at] != hash)
                at = (at + 1) & set_mask;
            pages += pass ? 1 : 0;
            if (pass && !seen[at])
                bytes += items * LIST_ITEM_BYTES + ROW_BYTES + DIRECTORY_CHUNK_BYTES;
            seen[at] = hash;
            hash = items = 0;
        }
    }
    free(seen);
    return bytes + pages * LIST_CHILD_BYTES;
}

static void frame_open(const struct store *s, struct work *w, size_t index, uint8_t *ret_raw)
{
    const struct frame *f = &s->frames[index];
    uint8_t nonce[12];
    nonce_of(index, nonce);
    uint8_t *body = f->packed ? w->packed : ret_raw;
    MUST(aead_open(bench_key, nonce, SLICE_EMPTY, slice_of(f->sealed, f->sealed_len), body));
    if (f->packed && ZSTD_decompressDCtx(w->inflate, ret_raw, f->raw_len, w->packed,
                                         f->sealed_len - AEAD_TAG_BYTES) != f->raw_len)
        DIE("a frame does not unpack");
}

static void check_chunk(const struct id_keys *keys, const struct place *place, const uint8_t *raw)
{
    struct chunk_id found;
    chunk_id_of(keys, slice_of(raw + place->at, place->chunk->data.len), &found);
    if (memcmp(&found, &place->chunk->id, sizeof found) != 0)
        DIE("a chunk has changed");
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct reads {
    double mean_us, p95_us, fetched_bytes;
};

/* Uncached reads of 8 KiB at random places: open the frame or frames, check the chunks read. With
 * whole_chunks, read one random chunk instead (a small file). */
static struct reads read_at_random(const struct store *s, struct work *w, const struct version *v,
                                   const struct id_keys *keys, bool whole_chunks)
{
    uint64_t *ends = calloc(v->count, sizeof *ends);
    double *spent = calloc(READS, sizeof *spent);
    if (!ends || !spent)
        DIE("no memory");
    uint64_t total = 0;
    for (size_t i = 0; i < v->count; i++)
        ends[i] = total += v->chunks[i].data.len;
    struct reads ret = {0};
    uint64_t random = 88172645463325252;
    for (size_t n = 0; n < READS; n++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t from = random % (total / READ_BYTES) * READ_BYTES;
        size_t low = 0, high = v->count - 1;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (ends[middle] > from)
                high = middle;
            else
                low = middle + 1;
        }
        uint64_t upto = from + READ_BYTES;
        if (whole_chunks) {
            do
                low = (low + 1) % v->count;
            while (v->chunks[low].data.len > 64 * KIB);
            upto = ends[low];
        }
        uint32_t opened = UINT32_MAX;
        double began = cpu_secs();
        for (size_t i = low; i < v->count && (i == low || ends[i - 1] < upto); i++) {
            const struct place *place = store_find(s, &v->chunks[i].id);
            if (place->frame != opened) {
                frame_open(s, w, place->frame, w->raw);
                ret.fetched_bytes += s->frames[place->frame].sealed_len;
            }
            opened = place->frame;
            check_chunk(keys, place, w->raw);
        }
        spent[n] = (cpu_secs() - began) * 1e6;
        ret.mean_us += spent[n] / READS;
    }
    ret.fetched_bytes /= READS;
    qsort(spent, READS, sizeof *spent, by_number);
    ret.p95_us = spent[READS * 95 / 100];
    free(ends);
    free(spent);
    return ret;
}

/* Read a version from end to end with a small cache of opened frames; MB/s of one thread. */
static double read_in_order(const struct store *s, struct work *w, const struct version *v,
                            const struct id_keys *keys)
{
    struct {
        uint8_t *raw;
        uint32_t frame;
        uint64_t used;
    } cache[CACHED_FRAMES];
    for (size_t i = 0; i < CACHED_FRAMES; i++) {
        cache[i].raw = malloc(CUT_MAX_BYTES);
        cache[i].frame = UINT32_MAX;
        cache[i].used = 0;
        if (!cache[i].raw)
            DIE("no memory");
    }
    struct id_job *jobs = calloc(s->count, sizeof *jobs);
    if (!jobs)
        DIE("no memory");
    uint64_t total = 0;
    double began = cpu_secs();
    for (size_t i = 0; i < v->count; i++) {
        const struct place *place = store_find(s, &v->chunks[i].id);
        size_t at = 0, oldest = 0;
        for (; at < CACHED_FRAMES && cache[at].frame != place->frame; at++)
            if (cache[at].used < cache[oldest].used)
                oldest = at;
        if (at == CACHED_FRAMES) {
            at = oldest;
            frame_open(s, w, place->frame, cache[at].raw);
            cache[at].frame = place->frame;
            const struct frame *f = &s->frames[place->frame];
            for (size_t j = 0; j < f->chunks; j++)
                jobs[j].data = slice_of(cache[at].raw + s->placed[f->first + j].at,
                                        s->placed[f->first + j].chunk->data.len);
            chunk_ids(keys, jobs, f->chunks);
            for (size_t j = 0; j < f->chunks; j++)
                if (memcmp(&jobs[j].id, &s->placed[f->first + j].chunk->id, sizeof jobs[j].id) != 0)
                    DIE("a chunk has changed");
        }
        cache[at].used = i + 1;
        total += v->chunks[i].data.len;
    }
    double spent = cpu_secs() - began;
    for (size_t i = 0; i < CACHED_FRAMES; i++)
        free(cache[i].raw);
    free(jobs);
    return (double)total / 1e6 / spent;
}

static void work_init(struct work *w)
{
    w->deflate = ZSTD_createCCtx();
    w->inflate = ZSTD_createDCtx();
    w->packed_cap = ZSTD_compressBound(CUT_MAX_BYTES) + AEAD_TAG_BYTES;
    w->packed = malloc(w->packed_cap);
    w->raw = malloc(w->packed_cap);
    if (!w->deflate || !w->inflate || !w->packed || !w->raw)
        DIE("no memory");
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static void stream_row(struct version *versions, size_t n, struct work *w, const struct id_keys *keys,
                       uint32_t mean_kib, size_t frame_kib)
{
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        most += versions[i].count;
    struct added added[MAX_VERSIONS];
    double pack_secs = 1e9, speed_first = 0, speed_last = 0;
    struct reads first = {.mean_us = 1e9}, last = {.mean_us = 1e9};
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        struct store s;
        store_init(&s, most);
        for (size_t i = 0; i < n; i++)
            added[i] = store_version(&s, w, &versions[i], frame_kib * KIB, 1);
        pack_secs = least(pack_secs, added[0].secs);
        struct reads r = read_at_random(&s, w, &versions[0], keys, false);
        first = r.mean_us < first.mean_us ? r : first;
        r = read_at_random(&s, w, &versions[n - 1], keys, false);
        last = r.mean_us < last.mean_us ? r : last;
        double speed = read_in_order(&s, w, &versions[0], keys);
        speed_first = speed > speed_first ? speed : speed_first;
        speed = read_in_order(&s, w, &versions[n - 1], keys);
        speed_last = speed > speed_last ? speed : speed_last;
        store_clear(&s);
    }
    double mb = (double)versions[0].content.len / 1e6;
    double cpu = versions[0].cut_secs + versions[0].id_secs + pack_secs;
    printf("| %u | %zu | %zu | %.2f + %.2f |", mean_kib, frame_kib, versions[0].count,
           (double)added[0].frame_bytes / 1e6,
           (double)(added[0].meta_bytes + list_bytes(&versions[0], NULL)) / 1e6);
    for (size_t i = 1; i < n; i++)
        printf(" %.2f + %.2f (%.1f) |", (double)added[i].frame_bytes / 1e6,
               (double)(added[i].meta_bytes + list_bytes(&versions[i], &versions[i - 1])) / 1e6,
               (double)added[i].raw_bytes / 1e6);
    printf(" %.2f = %.2f + %.2f + %.2f | %.0f | %.0f / %.0f | %.0f | %.0f / %.0f |\n", cpu / mb * 1e3,
           versions[0].cut_secs / mb * 1e3, versions[0].id_secs / mb * 1e3, pack_secs / mb * 1e3, mb / cpu,
           first.mean_us, last.mean_us, first.fetched_bytes / 1e3, speed_first, speed_last);
    fflush(stdout);
}

static void run_streams(char **paths, size_t n, struct cut_scanner *scanner, const struct id_keys *keys)
{
    static const uint32_t means_kib[] = {16, 32, 64};
    static const size_t frames_kib[] = {64, 128, 256};
    struct version versions[MAX_VERSIONS] = {0};
    struct work w;
    work_init(&w);
    for (size_t i = 0; i < n; i++)
        versions[i].content = map_file(paths[i]);
    printf("| mean KiB | frame KiB | chunks | v1 MB: frames + other |");
    for (size_t i = 1; i < n; i++)
        printf(" v%zu adds MB: frames + other (raw) |", i + 1);
    printf(" ms/MB: cut + id + zstd, gcm | MB/s | 8 KiB read us: v1 / v%zu | fetched KB | in order MB/s: v1 / v%zu |\n", n, n);
    printf("|---|---|---|---|");
    for (size_t i = 1; i < n; i++)
        printf("---|");
    printf("---|---|---|---|---|\n");
    for (size_t m = 0; m < sizeof means_kib / sizeof *means_kib; m++) {
        struct cut_params params = {means_kib[m] * KIB / 4, means_kib[m] * KIB, means_kib[m] * KIB * 4};
        double cut_secs = 1e9, id_secs = 1e9;
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            for (size_t i = 0; i < n; i++) {
                versions[i].count = 0;
                cut_stream(&versions[i], params, scanner);
                name_chunks(&versions[i], keys);
            }
            cut_secs = least(cut_secs, versions[0].cut_secs);
            id_secs = least(id_secs, versions[0].id_secs);
        }
        versions[0].cut_secs = cut_secs;
        versions[0].id_secs = id_secs;
        for (size_t f = 0; f < sizeof frames_kib / sizeof *frames_kib; f++)
            stream_row(versions, n, &w, keys, means_kib[m], frames_kib[f]);
    }
}

static uint64_t tar_number(const char *text, size_t len)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len && text[i]; i++)
        if (text[i] >= '0' && text[i] <= '7')
            number = number * 8 + (uint64_t)(text[i] - '0');
    return number;
}

static void run_tree(const char *path, struct cut_scanner *scanner, const struct id_keys *keys)
{
    static const size_t frames_kib[] = {0, 64, 128, 256, 512};
    static const int levels[] = {1, 3};
    struct slice tar = map_file(path);
    struct version tree = {0};
    AUTO(cut_ends) ends = CUT_ENDS_EMPTY;
    uint64_t total = 0;
    size_t files = 0;
    for (size_t at = 0; at + 512 <= tar.len;) {
        const char *head = (const char *)tar.data + at;
        uint64_t size = tar_number(head + 124, 12);
        at += 512;
        if (size > tar.len - at)
            DIE("%s: cut short", path);
        if ((head[156] == '0' || head[156] == 0) && size) {
            struct slice content = slice_of(tar.data + at, (size_t)size);
            ends.count = 0;
            files++;
            total += size;
            if (size <= SMALL_FILE_BYTES)
                version_put(&tree, content);
            else
                MUST(cut_buffer(scanner, content, (struct cut_params){16 * KIB, 64 * KIB, 256 * KIB}, &ends));
            uint64_t start = 0;
            for (size_t i = 0; i < ends.count; start = ends.at[i++])
                version_put(&tree, slice_of(content.data + start, (size_t)(ends.at[i] - start)));
        }
        at += (size_t)((size + 511) / 512 * 512);
    }
    name_chunks(&tree, keys);
    printf("%zu files, %.1f MB, %zu chunks\n\n", files, (double)total / 1e6, tree.count);
    printf("| frame KiB | zstd | frames | stored MB: frames + other | ratio | zstd, gcm ms/MB | one small file us | p95 us | fetched KB | in order MB/s |\n");
    printf("|---|---|---|---|---|---|---|---|---|---|\n");
    struct work w;
    work_init(&w);
    for (size_t f = 0; f < sizeof frames_kib / sizeof *frames_kib; f++) {
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
            struct added added;
            struct reads best = {.mean_us = 1e9};
            double pack_secs = 1e9, speed = 0;
            for (int repeat = 0; repeat < 2; repeat++) {
                struct store s;
                store_init(&s, tree.count);
                added = store_version(&s, &w, &tree, frames_kib[f] * KIB, levels[l]);
                pack_secs = least(pack_secs, added.secs);
                struct reads r = read_at_random(&s, &w, &tree, keys, true);
                best = r.mean_us < best.mean_us ? r : best;
                double now = read_in_order(&s, &w, &tree, keys);
                speed = now > speed ? now : speed;
                store_clear(&s);
            }
            char frame_name[32];
            snprintf(frame_name, sizeof frame_name, frames_kib[f] ? "%zu" : "a chunk each", frames_kib[f]);
            printf("| %s | %d | %zu | %.2f + %.2f | %.3f | %.2f | %.0f | %.0f | %.0f | %.0f |\n", frame_name,
                   levels[l], added.frames, (double)added.frame_bytes / 1e6, (double)added.meta_bytes / 1e6,
                   (double)added.raw_bytes / (double)added.frame_bytes,
                   pack_secs / (double)added.raw_bytes * 1e9, best.mean_us, best.p95_us,
                   best.fetched_bytes / 1e3, speed);
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    AUTO_PTR(cut_scanner) scanner = NULL;
    AUTO_PTR(id_keys) ids = NULL;
    struct cut_keys keys;
    MUST(cut_keys_init(bench_key, &keys));
    MUST(cut_scanner_new(&keys, &scanner));
    MUST(id_keys_new(bench_key, &ids));
    printf("ids: %s, scan: %s, zstd %s\n\n", chunkid_method(), cut_level_name(cut_scan_best()), ZSTD_versionString());
    if (argc >= 4 && argc - 2 <= MAX_VERSIONS && strcmp(argv[1], "stream") == 0)
        run_streams(argv + 2, (size_t)argc - 2, scanner, ids);
    else if (argc == 3 && strcmp(argv[1], "tree") == 0)
        run_tree(argv[2], scanner, ids);
    else
        DIE("usage: frame_table stream V1 V2 [V3 ...] | frame_table tree TAR");
    return 0;
}
