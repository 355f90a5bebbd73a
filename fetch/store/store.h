/*
 * store: named objects somewhere: put, get a range, head, list, delete.
 *
 * Objects are written once and never changed. What a driver promises:
 *   - a put that returned ERR_OK is durable, whole and visible; one that failed or was cut short left nothing
 *     under the name, or the whole object;
 *   - a get, head or list that begins after a put returned sees the object (no eventual store);
 *   - a list holds every object whose put returned before the list began and that was not deleted.
 * Names are relative, "/"-separated, of [A-Za-z0-9._-], at most 255 bytes, no part empty or beginning with a dot (others:
 * ERR_INVALID); docs/format.md section 4 lists them. What lies in the place under another kind of name is not listed.
 * Drivers: store_dir.c (a local folder), store_mem.c (memory, for tests; fails on demand).
 *
 * Threads: all functions may be called from any thread at once on one store.
 */
#pragma once

#include "fetch/base/buf.h"

struct store;

/* Where an object lies in a list. */
struct store_entry {
    const char *name; /* borrowed for the time of the call */
    uint64_t size_bytes;
    int64_t mtime_secs; /* by the store's clock */
};

/* Called per object in ascending order of names; another value than ERR_OK stops the list and is returned. */
typedef enum err (*store_list_fn)(void *context, const struct store_entry *entry);

struct store_ops {
    enum err (*put)(struct store *, const char *name, struct slice bytes, bool only_if_absent);
    enum err (*get)(struct store *, const char *name, uint64_t offset, size_t len, struct buf *ret_bytes);
    enum err (*head)(struct store *, const char *name, uint64_t *ret_size_bytes);
    enum err (*list)(struct store *, const char *prefix, store_list_fn each, void *context);
    enum err (*remove)(struct store *, const char *name);
    void (*free)(struct store *);
};

/* A driver's struct begins with this. Drivers see only names and prefixes that are in order. */
struct store {
    const struct store_ops *ops;
    char *url; /* as people may see it: never with a secret */
};

/*
 * Open the store at url: a path or file:///path (%XX decoded; other schemes: ERR_INVALID until their driver is there).
 *   make   create the folder if it is missing (0700); otherwise a missing one is ERR_NO_STORE
 *   ERR_INVALID  the URL makes no sense, or holds a secret · ERR_NO_STORE, ERR_DENIED, ERR_IO
 */
enum err store_open(const char *url, bool make, struct store **ret_store);
void store_free(struct store *store);
DEFINE_AUTO_PTR(store);

/*
 * Put an object. only_if_absent: an object of that name there already is ERR_EXISTS and stays as it was; without it
 * the object becomes these bytes at once (a put of the same bytes again: names carry hashes).
 *   ERR_FULL, ERR_DENIED, ERR_AGAIN (after the driver's own retries), ERR_UNREACHABLE, ERR_IO
 */
enum err store_put(struct store *store, const char *name, struct slice bytes, bool only_if_absent);

/* Bytes [offset, offset + len) into ret_bytes (an empty buf, untouched on failure). An object shorter than that: ERR_CORRUPT "cut short".
 * ERR_NOT_FOUND when there is no such object. */
enum err store_get(struct store *store, const char *name, uint64_t offset, size_t len, struct buf *ret_bytes);

/* The whole object; larger than max_bytes: ERR_CORRUPT before anything is allocated. */
enum err store_get_all(struct store *store, const char *name, size_t max_bytes, struct buf *ret_bytes);

/* Its size; ERR_NOT_FOUND. */
enum err store_head(struct store *store, const char *name, uint64_t *ret_size_bytes);

/* All objects whose names begin with prefix (it may end within a name; "": all), in ascending order of names as bytes. A prefix
 * that nothing begins with is an empty list. each may call the store. */
enum err store_list(struct store *store, const char *prefix, store_list_fn each, void *context);

/* Delete; ERR_OK too when it was not there. */
enum err store_remove(struct store *store, const char *name);

/* The path of the folder behind a local store, NULL for others: mounting over it must be refused. */
const char *store_local_path(const struct store *store);

/* Drivers. */
enum err store_dir_open(const char *path, bool make, struct store **ret_store);
enum err store_mem_open(struct store **ret_store);

/* store_mem for tests: the k-th call from now of the kinds in calls ("pghlr": put get head list remove) fails with
 * code and does nothing (k = 0: the next; -1: none does); then they succeed again. Bytes of an object may be changed in place
 * through store_mem_bytes, until it is put again or removed. */
void store_mem_fail(struct store *mem, const char *calls, long k, enum err code);
enum err store_mem_bytes(struct store *mem, const char *name, struct buf **ret_borrowed);
