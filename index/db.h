/*
 * db: SQLite, as much of it as we use. The only place that knows the library.
 *
 * A damaged or foreign file is ERR_CORRUPT, a file that another process writes at this moment ERR_AGAIN (after the time given),
 * a missing one ERR_NOT_FOUND.
 *
 * Source:  sqlite.org/c3ref; "How To Corrupt An SQLite Database File": never open() a database but through SQLite.
 * Threads: a db and its queries belong to one thread at a time. Never carried over a fork.
 */
#pragma once

#include "fetch/base/buf.h"

enum db_mode {
    DB_READ,  /* shared with writers; never changes the file, not even to roll back what a crashed writer left (ERR_AGAIN) */
    DB_WRITE, /* made if missing; rollback journal, kept between transactions; a power cut may lose the last ones, not break it */
    DB_BUILD, /* a file that nobody else sees yet: no journal, no sync */
    DB_SEALED /* a file that never changes: no locks */
};

struct db;
/* cache_kib: pages kept in memory. busy_ms: how long to wait for another process. */
enum err db_open(const char *path, enum db_mode mode, unsigned cache_kib, unsigned busy_ms, struct db **ret_db);
/* Wait longer or shorter from now on. */
void db_set_busy(struct db *db, unsigned busy_ms);
/* All its queries must be freed before. */
void db_free(struct db *db);
DEFINE_AUTO_PTR(db);

/* Statements without rows or values. */
enum err db_run(struct db *db, const char *sql);
/* The first value of the first row of a query without parameters; ERR_NOT_FOUND without a row. */
enum err db_number(struct db *db, const char *sql, int64_t *ret_number);
/* Rows changed by the last statement. */
uint64_t db_changes(const struct db *db);
/* Has any call on it said ERR_CORRUPT? */
bool db_damaged(const struct db *db);

struct query;
enum err query_new(struct db *db, const char *sql, struct query **ret_query);
void query_free(struct query *query);
DEFINE_AUTO_PTR(query);

/* Parameters count from 1. Bytes and texts are borrowed until query_reset. */
void query_set(struct query *query, int at, int64_t number);
void query_set_bytes(struct query *query, int at, struct slice bytes);
void query_set_text(struct query *query, int at, const char *text);
void query_set_null(struct query *query, int at);

/* *ret_row: there is a row, or (false) it is done, and is reset. After an error it is reset too. */
enum err query_step(struct query *query, bool *ret_row);
/* For a statement without rows: step, expecting none. */
enum err query_run(struct query *query);
/* Back to the start: rows and locks are let go. Values set stay. */
void query_reset(struct query *query);

/* Columns count from 0. Bytes are borrowed until the next step or reset. */
int64_t query_get(struct query *query, int column);
bool query_is_null(struct query *query, int column);
struct slice query_get_bytes(struct query *query, int column);
/* Copies; ERR_CORRUPT when the column has another length, or the text no room. */
enum err query_copy(struct query *query, int column, void *ret_bytes, size_t len);
enum err query_copy_text(struct query *query, int column, char *ret_text, size_t size);
