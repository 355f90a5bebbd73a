#include "index/db.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE_BYTES = 8192 };

struct db {
    sqlite3 *handle;
    char *path;
    bool damaged;
};

struct query {
    struct db *db;
    sqlite3_stmt *statement;
};

static enum err code_of(int rc)
{
    if (rc == SQLITE_READONLY_ROLLBACK || rc == SQLITE_READONLY_RECOVERY)
        return ERR_AGAIN; /* a writer died here: the next writer puts it right */
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_SCHEMA:
        return ERR_AGAIN;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR: /* our SQL is right, so the tables are not ours */
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return ERR_CORRUPT;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_CANTOPEN:
        return ERR_NOT_FOUND;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
        return ERR_DENIED;
    case SQLITE_CONSTRAINT:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

static enum err failed(struct db *db, int rc)
{
    int extended = db->handle ? sqlite3_extended_errcode(db->handle) : rc;
    enum err e = code_of((extended & 0xff) == (rc & 0xff) ? extended : rc);
    if (e == ERR_CORRUPT)
        db->damaged = true;
    return err_set(e, "%s: %s", db->path, db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
}

/* "file:" and the path with what has a meaning in a URI as %XX. */
static enum err uri_of(const char *path, struct buf *ret_uri)
{
    buf_put_format(ret_uri, "file:");
    for (const char *c = path; *c; c++) {
        if (*c == '%' || *c == '?' || *c == '#')
            buf_put_format(ret_uri, "%%%02x", (unsigned char)*c);
        else
            buf_put_u8(ret_uri, (uint8_t)*c);
    }
    buf_put_format(ret_uri, "?immutable=1");
    buf_put_u8(ret_uri, 0);
    return buf_check(ret_uri);
}

static enum err open_handle(struct db *db, enum db_mode mode)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    AUTO(buf) uri = BUF_EMPTY;
    const char *name = db->path;
    if (mode == DB_SEALED) {
        TRY(uri_of(db->path, &uri));
        name = (const char *)uri.data;
        flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
    } else if (mode == DB_READ) {
        flags |= SQLITE_OPEN_READONLY;
    } else {
        flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    }
    int rc = sqlite3_open_v2(name, &db->handle, flags, NULL);
    return rc == SQLITE_OK ? ERR_OK : failed(db, rc);
}

enum err db_open(const char *path, enum db_mode mode, unsigned cache_kib, unsigned busy_ms, struct db **ret_db)
{
    static const char *const settings[] = {
        [DB_READ] = "",
        [DB_WRITE] = "PRAGMA journal_mode=PERSIST; PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=1048576;",
        [DB_BUILD] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;",
        [DB_SEALED] = "PRAGMA locking_mode=EXCLUSIVE;",
    };
    AUTO_PTR(db) db = calloc(1, sizeof *db);
    if (!db || !(db->path = strdup(path)))
        return err_set(ERR_NOMEM, "no memory for a database");
    TRY(open_handle(db, mode));
    sqlite3_busy_timeout(db->handle, (int)busy_ms);
    char sql[512];
    /* What a damaged or planted file could do is bounded: pages are checked before they are believed, and nothing in its
     * schema may run. mmap stays off: it would count as our memory. */
    snprintf(sql, sizeof sql,
             "PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; "
             "PRAGMA page_size=%d; PRAGMA cache_size=-%u; %s",
             PAGE_BYTES, cache_kib, settings[mode]);
    TRY(db_run(db, sql));
    *ret_db = TAKE(db);
    return ERR_OK;
}

void db_set_busy(struct db *db, unsigned busy_ms)
{
    sqlite3_busy_timeout(db->handle, (int)busy_ms);
}

void db_free(struct db *db)
{
    if (!db)
        return;
    sqlite3_close_v2(db->handle);
    free(db->path);
    free(db);
}

enum err db_run(struct db *db, const char *sql)
{
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : failed(db, rc);
}

enum err db_number(struct db *db, const char *sql, int64_t *ret_number)
{
    AUTO_PTR(query) query = NULL;
    bool row;
    TRY(query_new(db, sql, &query));
    TRY(query_step(query, &row));
    if (!row)
        return err_set(ERR_NOT_FOUND, "%s: no answer", db->path);
    *ret_number = query_get(query, 0);
    return ERR_OK;
}

uint64_t db_changes(const struct db *db)
{
    return (uint64_t)sqlite3_changes64(db->handle);
}

bool db_damaged(const struct db *db)
{
    return db->damaged;
}

enum err query_new(struct db *db, const char *sql, struct query **ret_query)
{
    AUTO_PTR(query) query = calloc(1, sizeof *query);
    if (!query)
        return err_set(ERR_NOMEM, "no memory for a query");
    query->db = db;
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &query->statement, NULL);
    if (rc != SQLITE_OK)
        return failed(db, rc);
    *ret_query = TAKE(query);
    return ERR_OK;
}

void query_free(struct query *query)
{
    if (!query)
        return;
    sqlite3_finalize(query->statement);
    free(query);
}

void query_set(struct query *query, int at, int64_t number)
{
    sqlite3_bind_int64(query->statement, at, number);
}

void query_set_bytes(struct query *query, int at, struct slice bytes)
{
    /* A NULL pointer would make it NULL, not empty. */
    sqlite3_bind_blob64(query->statement, at, bytes.len ? (const void *)bytes.data : "", bytes.len, SQLITE_STATIC);
}

void query_set_text(struct query *query, int at, const char *text)
{
    sqlite3_bind_text(query->statement, at, text, -1, SQLITE_STATIC);
}

void query_set_null(struct query *query, int at)
{
    sqlite3_bind_null(query->statement, at);
}

enum err query_step(struct query *query, bool *ret_row)
{
    int rc = sqlite3_step(query->statement);
    *ret_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        return ERR_OK;
    enum err e = rc == SQLITE_DONE ? ERR_OK : failed(query->db, rc);
    sqlite3_reset(query->statement);
    return e;
}

enum err query_run(struct query *query)
{
    bool row;
    TRY(query_step(query, &row));
    if (row)
        sqlite3_reset(query->statement);
    return ERR_OK;
}

void query_reset(struct query *query)
{
    sqlite3_reset(query->statement);
}

int64_t query_get(struct query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

bool query_is_null(struct query *query, int column)
{
    return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}

struct slice query_get_bytes(struct query *query, int column)
{
    const void *data = sqlite3_column_blob(query->statement, column);
    int len = sqlite3_column_bytes(query->statement, column);
    return data && len > 0 ? slice_of(data, (size_t)len) : SLICE_EMPTY;
}

enum err query_copy(struct query *query, int column, void *ret_bytes, size_t len)
{
    struct slice bytes = query_get_bytes(query, column);
    if (bytes.len != len) {
        query->db->damaged = true;
        return err_set(ERR_CORRUPT, "%s: column %d has %zu bytes, not %zu", query->db->path, column, bytes.len, len);
    }
    memcpy(ret_bytes, bytes.data, len);
    return ERR_OK;
}

enum err query_copy_text(struct query *query, int column, char *ret_text, size_t size)
{
    struct slice text = query_get_bytes(query, column);
    if (text.len >= size || (text.len && memchr(text.data, 0, text.len))) {
        query->db->damaged = true;
        return err_set(ERR_CORRUPT, "%s: column %d has %zu bytes of text", query->db->path, column, text.len);
    }
    if (text.len)
        memcpy(ret_text, text.data, text.len);
    ret_text[text.len] = 0;
    return ERR_OK;
}
