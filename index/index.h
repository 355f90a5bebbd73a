/*
 * index: which snapshots there are, and where chunks lie: a local SQLite copy of the store's catalogue.
 *
 *     catalog.db        which segments, runs, packs and snapshots there are (rollback journal, short transactions)
 *     runs/<n>.db       chunk locations, sorted, in small blob shards; immutable once renamed into place
 *     sync.lock         held by the one process that changes the two above
 *
 * All of it is disposable: lost, damaged or of another store, it is set aside and rebuilt from the store. Opening costs nothing
 * that grows with the store. Many processes (mount, backups, commands) share one cache folder at once.
 *
 * Source:  DESIGN 7; docs/format.md sections 9 and 11.
 * Threads: all functions from any thread; a sync waits for another (of any process) up to a minute, then ERR_AGAIN. Not over a
 *          fork: open it after.
 */
#pragma once

#include "fetch/access.h"
#include "fetch/fetch.h"
#include "fetch/format/envelope.h"

struct index;

/* cache_dir: the folder for this store (.../yore/<store id>), made if missing. Reads nothing from the store yet. */
enum err index_open(const struct access *access, const char *cache_dir, struct index **ret_index);
void index_free(struct index *index);
DEFINE_AUTO_PTR(index);

enum { SYNC_SNAPSHOTS = 1, SYNC_CHUNKS = 2, SYNC_ALL = 3 };
struct sync_report {
    uint64_t segments_new, segments_gone, snapshots_new, snapshots_gone, chunk_rows;
    uint64_t damaged; /* objects that could not be opened: logged, left out, tried again next time */
};
/* Bring the copy up to date: list the store, read what is new, drop what is gone. With an access opened by the recovery key and
 * no readable segments, chunk rows come from the packs' own directories. ret_report may be NULL. */
enum err index_sync(struct index *index, unsigned what, struct sync_report *ret_report);

/* Where a chunk lies. ERR_NOT_FOUND when no segment known names it. skip: a location that was no good: the copy after it is
 * given, round and round, so that asking again with each answer meets all copies; ERR_NOT_FOUND when there is no other. */
enum err index_find(struct index *index, uint32_t domain, enum chunk_kind kind, const struct chunk_id *id,
                    const struct location *skip, struct location *ret_location);
/* The same for many ids at once, sorted inside; found[i] tells. For writers. */
enum err index_find_many(struct index *index, uint32_t domain, enum chunk_kind kind, const struct chunk_id *ids, size_t count,
                         bool *ret_found);
/* A pack by its number; keys malloc'ed for the caller. */
enum err index_pack(struct index *index, uint32_t pack, struct fetch_pack *ret_pack);
/* The highest number of a pack: 1 .. index_pack_max; index_pack says ERR_NOT_FOUND for gaps. A number means one pack as long as
 * this process lives, whatever becomes of the cache. */
enum err index_pack_max(struct index *index, uint32_t *ret_max);
/* The guide that fetcher_new wants; borrowed from index. */
struct fetch_guide index_guide(struct index *index);

/* A writer's own new segment: taken in at once, without reading it back. */
enum err index_add_segment(struct index *index, const char *object_name, struct slice object);

/* ---- snapshots ---- */

struct snapshot_info {
    uint64_t number;                 /* row in the catalog */
    char object[192];                /* name of the envelope */
    struct hash sha256;              /* of the envelope */
    uint32_t domain;
    char service[101], kind[33];
    char name[40];                   /* as in the mount: 20261120T140000Z, ...-2 */
    struct timestamp time, finished;
    uint32_t flags;                  /* SNAPSHOT_* */
    struct uid writer, host, session;
    char host_name[256];
    uint64_t lane_number;
    struct totals totals;
    struct chunk_id root;
    char labels[1024];               /* joined by '\n'; as many as fit */
};

struct service_info {
    char service[101], kind[33], host_name[256];
    uint32_t domain;
    uint64_t snapshots;
    struct timestamp newest;
};

/* Called in order (services by name, snapshots by time ascending); another value than ERR_OK stops. */
typedef enum err (*service_fn)(void *context, const struct service_info *service);
typedef enum err (*snapshot_fn)(void *context, const struct snapshot_info *snapshot);
enum err index_services(struct index *index, service_fn each, void *context);
enum err index_snapshots(struct index *index, const char *service, snapshot_fn each, void *context); /* NULL: all */

/* One by its name in the mount (unique prefix allowed when exact is false), or "latest" (newest complete, else newest).
 * ERR_NOT_FOUND; ERR_INVALID when a prefix is not unique. */
enum err index_snapshot(struct index *index, const char *service, const char *name, bool exact, struct snapshot_info *ret);
/* The newest at or before a time, to the nanosecond. */
enum err index_snapshot_at(struct index *index, const char *service, struct timestamp at, struct snapshot_info *ret);
/* SERVICE/NAME, SERVICE/latest or SERVICE@WHEN as people type it; a WHEN without a fraction means the whole second, since names
 * have no fractions. ERR_INVALID for anything else. */
enum err index_snapshot_parse(struct index *index, const char *text, struct snapshot_info *ret);

/* Did the set of snapshots change since *stamp (by this or another process)? Updates it; cheap enough for every second. */
enum err index_changed(struct index *index, uint64_t *stamp, bool *ret_changed);
