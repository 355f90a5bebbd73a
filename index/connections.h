/*
 * connections: how many threads look into the same files at once.
 *
 *     view         what the catalog said when it was last looked at: runs, packs that are gone. Constant; counted.
 *     connection   opened files of one view, used by one thread at a time; kept for the next
 *     watch        one connection to the catalog that only asks whether another process changed it
 *
 * A thread takes a connection, looks, gives it back. The last one given is the first taken, so few threads need few files, and
 * there are never more than CONNECTIONS_MAX: memory is bounded whatever the number of threads.
 *
 * Numbers of packs: a catalog's row ids, plus a base that grows when the cache was begun anew, so that one number means one
 * pack as long as this process lives.
 *
 * Threads: all functions from any thread. Locks: watching, then lock; no I/O under lock, only catalog reads under watching.
 */
#pragma once

#include "fetch/fetch.h"
#include "index/catalog.h"

enum { CONNECTIONS_MAX = 8, PATIENCE_MS = 5000 };

struct view {
    unsigned refs;           /* guarded by connections.lock */
    uint64_t serial;         /* counts up with each view of this process */
    struct uid cache;
    uint32_t pack_base;      /* number = base + row id */
    uint32_t pack_max;       /* the highest row id */
    struct run_list runs;    /* largest first */
    struct number_list gone;
};

struct connection {
    struct view *view;
    struct run **runs;       /* beside view->runs; NULL: not opened yet */
    bool *bad;               /* could not be opened or is damaged */
    struct catalog *catalog; /* NULL: not opened yet */
    struct query *pack;
    unsigned finds;
    struct connection *next;
};

struct connections;
/* dir and store are copied. Looks at the catalog once; none there is fine. */
enum err connections_new(const char *dir, const struct uid *store, struct connections **ret_connections);
void connections_free(struct connections *connections);
DEFINE_AUTO_PTR(connections);

/* A connection with the newest view; waits while all are taken. */
enum err connection_take(struct connections *connections, struct connection **ret_connection);
void connection_give(struct connections *connections, struct connection *connection);

/* Look whether the catalog changed, waiting as long as that for a writer. ret_serial: of the newest view; may be NULL. Another
 * than that of the view somebody looked into: look again. ERR_AGAIN: still being written. (No catalog, or a damaged one, is no
 * error: what was known stays.) */
enum err connections_refresh(struct connections *connections, unsigned patience_ms, uint64_t *ret_serial);
/* The same without any waiting, and not if it was done less than 100 ms ago. */
void connections_refresh_sometimes(struct connections *connections);

/* The i-th run of the view, opened; ERR_NOT_FOUND when it is no more, ERR_CORRUPT. */
enum err connection_run(struct connections *connections, struct connection *connection, size_t i, struct run **ret_run);
/* The run turned out damaged. */
void connection_run_bad(struct connections *connections, struct connection *connection, size_t i);
/* The catalog, opened; ERR_NOT_FOUND when there is none. Ask each time: it may have been replaced. */
enum err connection_catalog(struct connections *connections, struct connection *connection, struct catalog **ret_catalog);

/* Something of the cache is damaged or missing: the next sync begins anew. And: is it so (it is not any more after)? */
void connections_distrust(struct connections *connections);
bool connections_take_distrust(struct connections *connections);
