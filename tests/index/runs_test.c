#include "index/runs.h"

#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/file.h"
#include "fetch/base/rand.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

static const struct run_info info = {.cache = {"a cache's own id"}, .number = 7, .domain = 1, .kind = CHUNK_DATA, .rows = 5000};

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

/* n rows of random ids, each ninth a delta; row i lies at offset 1000 + i. */
static struct chunk_row *make_rows(unsigned n)
{
    struct chunk_row *rows = calloc(n, sizeof *rows);
    for (unsigned i = 0; rows && i < n; i++) {
        rand_bytes(rows[i].id.bytes, 32);
        rows[i].pack = 1 + i % 3;
        rows[i].frame = (struct frame_place){
            .offset = 1000 + i, .stored_len = 600, .raw_len = 900, .counter = i, .key_record = 258, .compression = 1};
        rows[i].place = i % 800;
        rows[i].length = 100;
        rows[i].frame.has_base = i % 9 == 0;
        if (rows[i].frame.has_base)
            memset(rows[i].frame.base.bytes, (int)(i % 256), 32);
    }
    qsort(rows, n, sizeof *rows, by_id);
    return rows;
}

static enum err write_run(const char *folder, const struct run_info *about, const struct chunk_row *rows, unsigned n)
{
    AUTO_PTR(run_writer) writer = NULL;
    uint64_t written;
    TRY(run_writer_new(folder, about, &writer));
    for (unsigned i = 0; i < n; i++) {
        struct run_row row;
        run_row_encode(&rows[i], rows[i].pack, &row);
        TRY(run_writer_add(writer, &row, &rows[i].frame.base));
    }
    TRY(run_writer_finish(writer, &written));
    return written == n ? ERR_OK : err_set(ERR_IO, "%llu rows of %u", (unsigned long long)written, n);
}

struct seen {
    struct chunk_row last;
    unsigned count;
};

static enum err note(void *context, const struct chunk_row *row)
{
    struct seen *seen = context;
    seen->last = *row;
    seen->count++;
    return ERR_OK;
}

TEST(every_row_is_found_as_it_was)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(run) run = NULL;
    AUTO_MEM struct chunk_row *rows = make_rows(5000);
    CHECK(rows != NULL);
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(write_run(tmp.path, &info, rows, 5000));
    CHECK_OK(run_open(tmp.path, &info, &run));
    for (unsigned i = 0; i < 5000; i++) {
        struct seen seen = {.count = 0};
        CHECK_OK(run_find(run, &rows[i].id, i % 2, note, &seen));
        CHECK_INT(seen.count, 1);
        CHECK_INT(seen.last.pack, rows[i].pack);
        CHECK_INT(seen.last.frame.offset, rows[i].frame.offset);
        CHECK_INT(seen.last.frame.counter, rows[i].frame.counter);
        CHECK_INT(seen.last.frame.key_record, 258);
        CHECK_INT(seen.last.frame.stored_len, 600);
        CHECK_INT(seen.last.frame.raw_len, 900);
        CHECK_INT(seen.last.frame.compression, 1);
        CHECK_INT(seen.last.place, rows[i].place);
        CHECK_INT(seen.last.length, 100);
        CHECK_INT(seen.last.frame.has_base, rows[i].frame.has_base);
        if (rows[i].frame.has_base)
            CHECK_MEM(seen.last.frame.base.bytes, rows[i].frame.base.bytes, 32);
    }
}

TEST(an_id_that_is_not_there_is_not_found)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(run) run = NULL;
    AUTO_MEM struct chunk_row *rows = make_rows(300);
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(write_run(tmp.path, &info, rows, 300));
    CHECK_OK(run_open(tmp.path, &info, &run));
    for (unsigned i = 0; i < 300; i++) {
        struct seen seen = {.count = 0};
        struct chunk_id near = rows[i].id;
        near.bytes[31] ^= 1;
        CHECK_OK(run_find(run, &near, false, note, &seen));
        CHECK_INT(seen.count, 0);
    }
}

TEST(rows_come_in_order)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(run) run = NULL;
    AUTO_MEM struct chunk_row *rows = make_rows(3000);
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(write_run(tmp.path, &info, rows, 3000));
    CHECK_OK(run_open(tmp.path, &info, &run));
    struct run_row row;
    struct chunk_id base;
    bool more;
    for (unsigned i = 0; i < 3000; i++) {
        CHECK_OK(run_next(run, &row, &base, &more));
        CHECK(more);
        CHECK_MEM(row.bytes, rows[i].id.bytes, 32);
        if (rows[i].frame.has_base)
            CHECK_MEM(base.bytes, rows[i].frame.base.bytes, 32);
    }
    CHECK_OK(run_next(run, &row, &base, &more));
    CHECK(!more);
}

/* Change one byte of the file. */
static enum err spoil(const char *path, size_t at)
{
    AUTO(buf) bytes = BUF_EMPTY;
    TRY(file_read_all(path, 1 << 24, &bytes));
    bytes.data[at % bytes.len] ^= 0x10;
    return file_write_atomic(path, buf_slice(&bytes), 0600);
}

TEST(a_changed_byte_is_never_believed_when_verifying)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_MEM struct chunk_row *rows = make_rows(2000);
    unsigned noticed = 0;
    CHECK_OK(tmp_dir_new(&tmp));
    for (unsigned k = 0; k < 40; k++) {
        AUTO_PTR(run) run = NULL;
        CHECK_OK(write_run(tmp.path, &info, rows, 2000));
        CHECK_OK(spoil(run_path(tmp.path, 7).text, 100 + k * 4999));
        enum err e = run_open(tmp.path, &info, &run);
        for (unsigned i = 0; e == ERR_OK && i < 2000; i++) {
            struct seen seen = {.count = 0};
            e = run_find(run, &rows[i].id, true, note, &seen);
            if (e == ERR_OK && seen.count)
                CHECK_INT(seen.last.frame.offset, rows[i].frame.offset);
        }
        noticed += e != ERR_OK;
    }
    CHECK(noticed > 20); /* the rest hit free space */
}

TEST(another_caches_run_is_refused)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(run) run = NULL;
    AUTO_MEM struct chunk_row *rows = make_rows(10);
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(write_run(tmp.path, &info, rows, 10));
    struct run_info other = info;
    other.cache.bytes[0] ^= 1;
    CHECK_ERR(ERR_CORRUPT, run_open(tmp.path, &other, &run));
    other = info;
    other.kind = CHUNK_TREE;
    CHECK_ERR(ERR_CORRUPT, run_open(tmp.path, &other, &run));
    other = info;
    other.number = 8;
    CHECK_ERR(ERR_NOT_FOUND, run_open(tmp.path, &other, &run));
    CHECK_OK(file_write_atomic(run_path(tmp.path, 8).text, slice_str("this is no database at all"), 0600));
    CHECK_ERR(ERR_CORRUPT, run_open(tmp.path, &other, &run));
}

TEST(what_was_not_finished_leaves_nothing)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_MEM struct chunk_row *rows = make_rows(10);
    CHECK_OK(tmp_dir_new(&tmp));
    {
        AUTO_PTR(run_writer) writer = NULL;
        struct run_row row;
        CHECK_OK(run_writer_new(tmp.path, &info, &writer));
        run_row_encode(&rows[0], 1, &row);
        CHECK_OK(run_writer_add(writer, &row, &rows[0].frame.base));
    }
    CHECK(rmdir(tmp.path) == 0);
    tmp = TMP_DIR_NONE;
}

TEST_MAIN(every_row_is_found_as_it_was, an_id_that_is_not_there_is_not_found, rows_come_in_order,
          a_changed_byte_is_never_believed_when_verifying, another_caches_run_is_refused, what_was_not_finished_leaves_nothing)
