#include "index/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/bytes.h"
#include "fetch/base/file.h"
#include "fetch/base/log.h"
#include "index/db.h"

enum { RUN_VERSION = 1, SUM_BYTES = 8 };
/* Mean rows a shard, at most: with the spread of random ids a shard then stays below a page of 8 KiB. */
enum { SHARD_MEAN_ROWS = 76 };
/* No honest shard comes near: only made-up ids crowd so. The rest of such a shard is left out. */
enum { SHARD_MAX_ROWS = 1 << 17 };
enum { ROW_PACK = 32, ROW_FRAME = 36, ROW_FLAGS = 61 };

/* ---- rows ---- */

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void run_row_encode(const struct chunk_row *row, uint32_t pack, struct run_row *ret_row)
{
    struct chunk_row local = *row;
    local.pack = pack;
    chunk_row_encode(&local, ret_row->bytes);
}

enum err run_row_decode(const struct run_row *row, struct chunk_row *r)
{
    struct cursor c = cursor_of(slice_of(row->bytes, sizeof row->bytes));
    chunk_row_decode(&c, r);
    cursor_require(&c, r->pack >= 1);
    return cursor_finish(&c, "row of the local index");
}

uint32_t run_row_pack(const struct run_row *row)
{
    return get_u32(row->bytes + ROW_PACK);
}

bool run_row_has_base(const struct run_row *row)
{
    return row->bytes[ROW_FLAGS] & 1;
}

static int64_t frame_key(const struct run_row *row)
{
    return (int64_t)((uint64_t)get_u32(row->bytes + ROW_PACK) << 32 | get_u32(row->bytes + ROW_FRAME));
}

/* Against accidents of a disk, not against people: multiply and fold, 8 bytes at a time. Rows are whole words. */
static uint64_t sum_of(const uint8_t *data, size_t len)
{
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15) ^ len;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, sizeof word);
        h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    return h;
}

struct run_path run_path(const char *folder, uint64_t number)
{
    struct run_path path;
    snprintf(path.text, sizeof path.text, "%s/%llu.db", folder, (unsigned long long)number);
    return path;
}

/* The shard of an id: its first bits. */
static uint32_t shard_of(const uint8_t *id, unsigned bits)
{
    uint32_t first = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
    return bits ? first >> (32 - bits) : 0;
}

/* ---- writing ---- */

struct run_writer {
    char *folder;
    struct run_info info;
    char temp[4096]; /* "" once renamed */
    struct db *db;
    struct query *put_shard, *put_base;
    unsigned bits;
    uint32_t shard;
    struct buf rows; /* of this shard */
    uint64_t row_count;
    bool crowded;
};

static unsigned bits_for(uint64_t rows)
{
    unsigned bits = 0;
    while (bits < 30 && rows >> bits > SHARD_MEAN_ROWS)
        bits++;
    return bits;
}

static enum err write_about(struct run_writer *w)
{
    AUTO_PTR(query) about = NULL;
    TRY(query_new(w->db, "INSERT INTO about(version, cache, number, domain, kind, bits) VALUES(?,?,?,?,?,?)", &about));
    query_set(about, 1, RUN_VERSION);
    query_set_bytes(about, 2, slice_of(w->info.cache.bytes, 16));
    query_set(about, 3, (int64_t)w->info.number);
    query_set(about, 4, w->info.domain);
    query_set(about, 5, w->info.kind);
    query_set(about, 6, w->bits);
    return query_run(about);
}

enum err run_writer_new(const char *folder, const struct run_info *info, struct run_writer **ret_writer)
{
    AUTO_PTR(run_writer) w = calloc(1, sizeof *w);
    if (!w || !(w->folder = strdup(folder)))
        return err_set(ERR_NOMEM, "no memory for a run");
    w->info = *info;
    w->bits = bits_for(info->rows);
    char temp[sizeof w->temp];
    snprintf(temp, sizeof temp, "%s/.%llu.new", folder, (unsigned long long)info->number);
    if (unlink(temp) != 0 && errno != ENOENT)
        return err_errno("cannot remove %s", temp);
    memcpy(w->temp, temp, sizeof temp);
    TRY(db_open(temp, DB_BUILD, 4096, 0, &w->db));
    TRY(db_run(w->db, "CREATE TABLE about(version INTEGER, cache BLOB, number INTEGER, domain INTEGER, kind INTEGER, bits INTEGER);"
                      "CREATE TABLE shard(n INTEGER PRIMARY KEY, data BLOB);"
                      "CREATE TABLE base(frame INTEGER PRIMARY KEY, id BLOB);"
                      "BEGIN"));
    TRY(write_about(w));
    TRY(query_new(w->db, "INSERT INTO shard(n, data) VALUES(?, ?)", &w->put_shard));
    TRY(query_new(w->db, "INSERT OR IGNORE INTO base(frame, id) VALUES(?, ?)", &w->put_base));
    *ret_writer = TAKE(w);
    return ERR_OK;
}

static void writer_close(struct run_writer *w)
{
    query_free(TAKE(w->put_shard));
    query_free(TAKE(w->put_base));
    db_free(TAKE(w->db));
}

void run_writer_free(struct run_writer *w)
{
    if (!w)
        return;
    writer_close(w);
    if (w->temp[0])
        unlink(w->temp);
    buf_clear(&w->rows);
    free(w->folder);
    free(w);
}

static enum err flush_shard(struct run_writer *w)
{
    if (w->rows.len == 0)
        return ERR_OK;
    buf_put_u64(&w->rows, sum_of(w->rows.data, w->rows.len));
    TRY(buf_check(&w->rows));
    query_set(w->put_shard, 1, w->shard);
    query_set_bytes(w->put_shard, 2, buf_slice(&w->rows));
    TRY(query_run(w->put_shard));
    w->rows.len = 0;
    return ERR_OK;
}

enum err run_writer_add(struct run_writer *w, const struct run_row *row, const struct chunk_id *base)
{
    uint32_t shard = shard_of(row->bytes, w->bits);
    if (shard != w->shard)
        TRY(flush_shard(w));
    w->shard = shard;
    if (w->rows.len >= (size_t)SHARD_MAX_ROWS * RUN_ROW_BYTES) {
        if (!w->crowded)
            log_warn("index: more than %d chunks whose ids begin alike: the rest of them is left out", SHARD_MAX_ROWS);
        w->crowded = true;
        return ERR_OK;
    }
    buf_put(&w->rows, row->bytes, sizeof row->bytes);
    w->row_count++;
    if (run_row_has_base(row)) {
        query_set(w->put_base, 1, frame_key(row));
        query_set_bytes(w->put_base, 2, slice_of(base->bytes, sizeof base->bytes));
        TRY(query_run(w->put_base));
    }
    return buf_check(&w->rows);
}

enum err run_writer_finish(struct run_writer *w, uint64_t *ret_rows)
{
    TRY(flush_shard(w));
    TRY(db_run(w->db, "COMMIT"));
    writer_close(w);
    AUTO_FD fd = open(w->temp, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return err_errno("cannot make %s durable", w->temp);
    struct run_path path = run_path(w->folder, w->info.number);
    if (rename(w->temp, path.text) != 0)
        return err_errno("cannot rename %s", w->temp);
    w->temp[0] = 0;
    TRY(dir_sync(w->folder));
    *ret_rows = w->row_count;
    return ERR_OK;
}

/* ---- reading ---- */

struct run {
    struct db *db;
    struct query *get_shard, *get_base, *all;
    unsigned bits;
    uint64_t number;
    struct slice scan; /* rows of the shard that run_next is in */
    size_t scan_at;
};

void run_free(struct run *run)
{
    if (!run)
        return;
    query_free(run->get_shard);
    query_free(run->get_base);
    query_free(run->all);
    db_free(run->db);
    free(run);
}

static enum err read_about(struct run *run, const struct run_info *info)
{
    AUTO_PTR(query) about = NULL;
    bool row;
    struct uid cache;
    TRY(query_new(run->db, "SELECT version, cache, number, domain, kind, bits FROM about", &about));
    TRY(query_step(about, &row));
    if (!row || query_get(about, 0) != RUN_VERSION)
        return err_set(ERR_CORRUPT, "run %llu of the local index says nothing of itself", (unsigned long long)info->number);
    TRY(query_copy(about, 1, cache.bytes, sizeof cache.bytes));
    int64_t bits = query_get(about, 5);
    if (memcmp(cache.bytes, info->cache.bytes, 16) != 0 || query_get(about, 2) != (int64_t)info->number ||
        query_get(about, 3) != info->domain || query_get(about, 4) != (int64_t)info->kind || bits < 0 || bits > 30)
        return err_set(ERR_CORRUPT, "run %llu of the local index is another one", (unsigned long long)info->number);
    run->bits = (unsigned)bits;
    return ERR_OK;
}

enum err run_open(const char *folder, const struct run_info *info, struct run **ret_run)
{
    AUTO_PTR(run) run = calloc(1, sizeof *run);
    if (!run)
        return err_set(ERR_NOMEM, "no memory for a run");
    run->number = info->number;
    /* Inner pages only: about 12 bytes a shard. Leaves are the kernel's to keep. */
    uint64_t cache_kib = 64 + info->rows / SHARD_MEAN_ROWS * 2 * 16 / 1024;
    TRY(db_open(run_path(folder, info->number).text, DB_SEALED, cache_kib < 8192 ? (unsigned)cache_kib : 8192, 0, &run->db));
    TRY(read_about(run, info));
    TRY(query_new(run->db, "SELECT data FROM shard WHERE n = ?", &run->get_shard));
    TRY(query_new(run->db, "SELECT id FROM base WHERE frame = ?", &run->get_base));
    *ret_run = TAKE(run);
    return ERR_OK;
}

/* The rows of a shard as stored, the checksum looked at or not. */
static enum err shard_rows(const struct run *run, struct slice data, bool verify, struct slice *ret_rows)
{
    if (data.len < SUM_BYTES || (data.len - SUM_BYTES) % RUN_ROW_BYTES != 0)
        return err_set(ERR_CORRUPT, "run %llu of the local index: a shard of %zu bytes", (unsigned long long)run->number, data.len);
    struct slice rows = {data.data, data.len - SUM_BYTES};
    if (verify) {
        struct cursor c = cursor_of(slice_of(data.data + rows.len, SUM_BYTES));
        if (cursor_u64(&c) != sum_of(rows.data, rows.len))
            return err_set(ERR_CORRUPT, "run %llu of the local index: a shard is damaged", (unsigned long long)run->number);
    }
    *ret_rows = rows;
    return ERR_OK;
}

static enum err base_of(struct run *run, const struct run_row *row, struct chunk_id *ret_base)
{
    bool found;
    query_set(run->get_base, 1, frame_key(row));
    TRY(query_step(run->get_base, &found));
    if (!found)
        return err_set(ERR_CORRUPT, "run %llu of the local index: a delta without base", (unsigned long long)run->number);
    enum err e = query_copy(run->get_base, 0, ret_base->bytes, sizeof ret_base->bytes);
    query_reset(run->get_base);
    return e;
}

/* The first row whose id is not below: rows are sorted, a shard has some dozens. */
static size_t lower_bound(struct slice rows, const struct chunk_id *id)
{
    size_t low = 0, high = rows.len / RUN_ROW_BYTES;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(rows.data + middle * RUN_ROW_BYTES, id->bytes, 32) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum err find_in(struct run *run, struct slice rows, const struct chunk_id *id, run_row_fn each, void *context)
{
    for (size_t i = lower_bound(rows, id); i < rows.len / RUN_ROW_BYTES; i++) {
        struct run_row raw;
        struct chunk_row row;
        memcpy(raw.bytes, rows.data + i * RUN_ROW_BYTES, sizeof raw.bytes);
        if (memcmp(raw.bytes, id->bytes, 32) != 0)
            break;
        TRY(run_row_decode(&raw, &row));
        if (row.frame.has_base)
            TRY(base_of(run, &raw, &row.frame.base));
        TRY(each(context, &row));
    }
    return ERR_OK;
}

enum err run_find(struct run *run, const struct chunk_id *id, bool verify, run_row_fn each, void *context)
{
    bool found;
    query_set(run->get_shard, 1, shard_of(id->bytes, run->bits));
    TRY(query_step(run->get_shard, &found));
    if (!found)
        return ERR_OK;
    struct slice rows;
    enum err e = shard_rows(run, query_get_bytes(run->get_shard, 0), verify, &rows);
    if (e == ERR_OK)
        e = find_in(run, rows, id, each, context);
    query_reset(run->get_shard);
    return e;
}

enum err run_next(struct run *run, struct run_row *ret_row, struct chunk_id *ret_base, bool *ret_more)
{
    if (!run->all)
        TRY(query_new(run->db, "SELECT data FROM shard ORDER BY n", &run->all));
    while (run->scan_at == run->scan.len) {
        TRY(query_step(run->all, ret_more));
        if (!*ret_more)
            return ERR_OK;
        TRY(shard_rows(run, query_get_bytes(run->all, 0), true, &run->scan));
        run->scan_at = 0;
    }
    memcpy(ret_row->bytes, run->scan.data + run->scan_at, RUN_ROW_BYTES);
    run->scan_at += RUN_ROW_BYTES;
    *ret_more = true;
    return run_row_has_base(ret_row) ? base_of(run, ret_row, ret_base) : ERR_OK;
}
