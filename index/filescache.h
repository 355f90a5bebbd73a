/*
 * filescache: what a service's last backup found: one sealed blob per directory, so that unchanged
 * files need not be read.
 *
 *     files/<service>.db     directory (by a keyed hash of its path) -> blob; and the one snapshot
 * all of them are true of files/<service>.new-*  the rows of a run that is not committed yet
 *
 * All rows are always true of that one snapshot: a run's new rows become visible together with its
 * hash, in one transaction, and rows it neither kept nor replaced are dropped. Two runs of one
 * service at once: one of them leaves no trace here. What a blob says is its user's business
 * (writers/source/remember.h). It is sealed with XAES-256-GCM under a key of its own, bound to its
 * directory; a row that does not open counts as missing. Names never touch the disk in clear.
 *
 * Disposable: every trouble with the files is logged and means an empty cache.
 *
 * Source:  DESIGN section 7.
 * Threads: get by one, put and keep by one (another), commit after both are done.
 */
#pragma once

#include "index/index.h"

struct filescache;

/* service: checked by service_name_check. Never fails for the state of the files. read_only:
 * nothing will be put (a dry run). ERR_IO from the crypto library only. */
enum err filescache_open(const struct index *index, uint32_t domain, const char *service,
                         bool read_only, struct filescache **ret_cache);
void filescache_free(struct filescache *cache);
DEFINE_AUTO_PTR(filescache);

/* The key of a directory by its path in the source. */
struct filescache_key {
    uint8_t bytes[32];
};
struct filescache_key filescache_key(const struct filescache *cache, struct slice path);

/* Of which snapshot the rows are true; false: there are none. */
bool filescache_snapshot(const struct filescache *cache, struct hash *ret_snapshot);

/* Blob of a directory; *ret_found tells. ret_blob: emptied first. */
enum err filescache_get(struct filescache *cache, const struct filescache_key *key,
                        struct buf *ret_blob, bool *ret_found);
/* Its blob in the snapshot that is being made; or: its old blob stays true. Each directory at most
 * once. */
enum err filescache_put(struct filescache *cache, const struct filescache_key *key,
                        struct slice blob);
enum err filescache_keep(struct filescache *cache, const struct filescache_key *key);

/* The snapshot is committed. Troubles are logged: the next run reads more. */
void filescache_commit(struct filescache *cache, const struct hash *snapshot);

/* The folder that the index and this live in, as it was opened: nobody wants it in a backup. */
const char *index_folder(const struct index *index);
