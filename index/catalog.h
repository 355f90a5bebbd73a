/*
 * catalog: catalog.db: which segments, packs, runs and snapshots the local copy knows.
 *
 *     about              whose copy this is: store, random id of this copy, count of changes to snapshots
 *     segments           objects taken in: segments, and (by recovery key) packs read by their own directories
 *     packs              numbers for packs, never used twice; gone: no segment names it any more
 *     segment_packs      which segment names which packs
 *     runs               the files with rows
 *     snapshots          opened envelopes; hidden: forgotten, or of a fenced session (name '')
 *     hiders             what hides them: SHA-256 of an envelope (forgets/), or a session (fences/)
 *
 * One process writes at a time, under sync.lock; readers read the file, never the lock. A catalog that is damaged, another
 * store's or another version's is set aside and begun anew.
 *
 * Threads: a catalog belongs to one thread at a time.
 */
#pragma once

#include <sys/types.h>

#include "fetch/store/names.h"
#include "index/db.h"
#include "index/runs.h"

struct catalog {
    struct db *db;
    struct uid cache;  /* random, of this very file: run files and pack numbers belong to it */
    dev_t device;      /* which file it is, to notice when it is replaced */
    ino_t inode;
};

/* The only writer, at most until the descriptor is closed: waits up to wait_ms for others, then ERR_AGAIN. */
struct sync_lock {
    int fd; /* -1: not held */
    const char *dir;
};
#define SYNC_LOCK_NONE ((struct sync_lock){-1, NULL})
enum err sync_lock_take(const char *dir, unsigned wait_ms, struct sync_lock *ret_lock);
void sync_lock_clear(struct sync_lock *lock);
/* Is the folder we locked still the folder? ERR_AGAIN when it was removed meanwhile. */
enum err sync_lock_check(const struct sync_lock *lock);

/* To read: ERR_NOT_FOUND (none yet), ERR_CORRUPT (damaged, another store's), ERR_AGAIN (being written; a writer died). */
enum err catalog_open(const char *dir, const struct uid *store, unsigned busy_ms, struct catalog **ret_catalog);
/* To write, holding the lock: made if missing, begun anew if it is not ours. */
enum err catalog_open_write(const char *dir, const struct uid *store, struct catalog **ret_catalog);
void catalog_free(struct catalog *catalog);
DEFINE_AUTO_PTR(catalog);
/* Put the file out of the way, holding the lock; one such file is kept. */
enum err catalog_set_aside(const char *dir);
/* Is it still the file in dir? */
bool catalog_is_current(const struct catalog *catalog, const char *dir);

/* A transaction that undoes itself unless committed. */
struct transaction {
    struct db *db; /* NULL: none */
};
#define TRANSACTION_NONE ((struct transaction){NULL})
enum err transaction_begin(struct catalog *catalog, struct transaction *ret_transaction);
enum err transaction_commit(struct transaction *transaction);
void transaction_clear(struct transaction *transaction);

/* ---- what the store has and the catalog not, and the other way round ---- */

struct difference {
    size_t *fresh; /* places in the list of names */
    size_t fresh_count;
    int64_t *gone; /* row ids */
    size_t gone_count;
};
void difference_clear(struct difference *difference);
/* rows: a query that gives (id, name, stale) in ascending order of names; a stale one counts as fresh. */
enum err difference_find(struct query *rows, const struct name_list *names, struct difference *ret_difference);

/* ---- packs and segments ---- */

struct catalog_pack {
    uint32_t domain;
    enum chunk_kind kind;
    struct pack_name name;
    uint64_t size_bytes;
    const struct epoch_key_record *keys; /* borrowed */
    size_t key_count;
};
/* Its number, new or known. Keys of a newer epoch replace older ones. */
enum err catalog_put_pack(struct catalog *catalog, const struct catalog_pack *pack, uint32_t *ret_number);
/* Take in an object that names these packs (0: none), in place of what went by that name before. trust: for objects whose
 * rows were not all used, the certificates of that time; NULL when nothing is missing. */
enum err catalog_put_segment(struct catalog *catalog, uint32_t domain, const char *object, const struct hash *trust,
                             const uint32_t *packs, size_t pack_count);
enum err catalog_drop_segments(struct catalog *catalog, const int64_t *ids, size_t count);

/* ---- runs ---- */

struct run_list {
    struct run_info *runs; /* largest first: most of what is looked for lies there */
    size_t count;
};
void run_list_clear(struct run_list *list);
enum err catalog_runs(struct catalog *catalog, struct run_list *ret_list);
enum err catalog_next_run(struct catalog *catalog, uint64_t *ret_number);
enum err catalog_put_run(struct catalog *catalog, const struct run_info *run);
enum err catalog_drop_run(struct catalog *catalog, uint64_t number);

/* Numbers of packs that are gone, ascending. */
struct number_list {
    uint32_t *numbers;
    size_t count;
};
void number_list_clear(struct number_list *list);
bool number_list_has(const struct number_list *list, uint32_t number);
enum err catalog_gone_packs(struct catalog *catalog, struct number_list *ret_list);
/* Forget packs that are gone and named by no run: all of a domain and kind when its runs were merged into one. */
enum err catalog_forget_packs(struct catalog *catalog, uint32_t domain, enum chunk_kind kind, const struct number_list *gone);
