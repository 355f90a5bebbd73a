/*
 * runs: one file of chunk locations, sorted by id, written once and never changed.
 *
 *     shard(n, data)    rows of 64 bytes whose ids begin with the bits n, in order, then a checksum of 8 bytes
 *     base(frame, id)   the base chunk of a frame that is a delta; frame = pack << 32 | offset
 *     about             whose file this is
 *
 * A row is that of a segment's chunk page (docs/format.md section 9), its pack number being that of the catalog. Shards are so
 * many that one fits a page of the file: a look-up reads one page beside the few that lead to it.
 *
 * The checksum tells damage of this file from damage in the store. It is looked at where a mistake would last or be blamed on
 * the store: in merges, and when a reader says that the location it got was no good.
 *
 * Threads: a writer, and an opened run, belong to one thread at a time; any number may open one file.
 */
#pragma once

#include "fetch/format/segment.h"

/* A row as it lies in the file. */
enum { RUN_ROW_BYTES = 64 };
struct run_row {
    uint8_t bytes[RUN_ROW_BYTES];
};
void run_row_encode(const struct chunk_row *row, uint32_t pack, struct run_row *ret_row);
/* All but the base. ERR_CORRUPT. */
enum err run_row_decode(const struct run_row *row, struct chunk_row *ret_row);
uint32_t run_row_pack(const struct run_row *row);
bool run_row_has_base(const struct run_row *row);

struct run_info {
    struct uid cache;   /* of the catalog it belongs to */
    uint64_t number;
    uint32_t domain;
    enum chunk_kind kind;
    uint64_t rows;
};

/* "<folder>/<number>.db" */
struct run_path {
    char text[4096];
};
struct run_path run_path(const char *folder, uint64_t number);

/* ---- writing ---- */

struct run_writer;
/* info->rows: at most that many will come; decides the number of shards. */
enum err run_writer_new(const char *folder, const struct run_info *info, struct run_writer **ret_writer);
/* What was not finished is removed. */
void run_writer_free(struct run_writer *writer);
DEFINE_AUTO_PTR(run_writer);
/* In ascending order of ids. base: when the row has one. */
enum err run_writer_add(struct run_writer *writer, const struct run_row *row, const struct chunk_id *base);
/* Durable, and under its name. */
enum err run_writer_finish(struct run_writer *writer, uint64_t *ret_rows);

/* ---- reading ---- */

struct run;
/* ERR_NOT_FOUND: merged into another meanwhile. ERR_CORRUPT: damaged, or another cache's. */
enum err run_open(const char *folder, const struct run_info *info, struct run **ret_run);
void run_free(struct run *run);
DEFINE_AUTO_PTR(run);

/* Every row with that id, until each returns another value than ERR_OK, which is returned. verify: checksum first. */
typedef enum err (*run_row_fn)(void *context, const struct chunk_row *row);
enum err run_find(struct run *run, const struct chunk_id *id, bool verify, run_row_fn each, void *context);

/* All rows in order; verified. *ret_more false at the end. ret_base is set when the row has one. */
enum err run_next(struct run *run, struct run_row *ret_row, struct chunk_id *ret_base, bool *ret_more);
