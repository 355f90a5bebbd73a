/*
 * merge: many sorted rows into one run.
 *
 * Every location of a chunk is kept; only rows that are equal to the last bit become one.
 *
 * Threads: one caller.
 */
#pragma once

#include "index/runs.h"

/* Rows in ascending order of ids. Embedded at the start of a struct of the caller's. */
struct row_source {
    /* ret_base: set when the row has one. *ret_more false: no row, the end. */
    enum err (*next)(struct row_source *source, struct run_row *ret_row, struct chunk_id *ret_base, bool *ret_more);
    struct run_row row; /* the source's head; merge's own */
    struct chunk_id base;
};

/* All rows of all sources into writer. */
enum err merge_rows(struct row_source *const *sources, size_t count, struct run_writer *writer);
