/*
 * snapshots: which services and snapshots the mount shows, under which names and numbers, and their
 * opened trees.
 *
 * Lists come from the index each time they are asked for, so mounting costs nothing that grows with
 * the store; what is remembered is the services, and of each snapshot that anybody looked at its
 * number and name. Numbers are never given to another snapshot while mounted, also when theirs was
 * forgotten.
 *
 * Threads: any; the lock inside is never held while the index or the store is at work.
 */
#pragma once

#include <stdatomic.h>

#include "fs/inode.h"
#include "fs/timename.h"
#include "index/walk.h"

struct snapshots;

struct service_facts {
    uint32_t number;
    char name[101], kind[33], host_name[256];
    uint64_t snapshots;
    struct timestamp newest; /* time of its newest snapshot */
    struct timestamp
        changed; /* when the set of its snapshots was last seen to change; else newest */
    bool gone;   /* no snapshot left */
};

struct snapshot_facts {
    uint32_t number;
    uint32_t service; /* number of its service */
    char name[TIME_NAME_MAX + 16];
    struct timestamp time;
    uint64_t new_bytes;
    bool gone; /* forgotten since we first saw it */
};

/* A snapshot's opened tree, counted. */
struct opened {
    struct snapshot_view *view; /* constant */
    uint32_t number;
    unsigned refs;                /* guarded by the lock of snapshots */
    struct opened *newer, *older; /* the same */
    atomic_int hashed;            /* does it record SHA-256 of files? -1 not looked yet, 0, 1 */
};

/* All borrowed. time_format: checked, or NULL. Reads the services. */
enum err snapshots_new(struct index *index, struct reader *reader, const char *time_format,
                       struct snapshots **ret_snapshots);
void snapshots_free(struct snapshots *snapshots);
DEFINE_AUTO_PTR(snapshots);

/* ---- services ---- */

enum err snapshots_service(struct snapshots *s, const char *name,
                           struct service_facts *ret_service);
enum err snapshots_service_number(struct snapshots *s, uint32_t number,
                                  struct service_facts *ret_service);
/* Those with snapshots, in order of names, from the first-th on; each with no lock held. Another
 * value than ERR_OK stops. */
typedef enum err (*service_facts_fn)(void *context, const struct service_facts *service,
                                     uint64_t ordinal);
enum err snapshots_services(struct snapshots *s, uint64_t first, service_facts_fn each,
                            void *context);

/* ---- snapshots ---- */

typedef enum err (*snapshot_facts_fn)(void *context, const struct snapshot_facts *snapshot,
                                      uint64_t ordinal);
/* Of one service, by time ascending, from the first-th on. */
enum err snapshots_list(struct snapshots *s, const struct service_facts *service, uint64_t first,
                        snapshot_facts_fn each, void *context);
/* By its name in the mount; ERR_NOT_FOUND. */
enum err snapshots_find(struct snapshots *s, const struct service_facts *service, const char *name,
                        struct snapshot_facts *ret_snapshot);
/* The newest complete one, else the newest; ERR_NOT_FOUND. */
enum err snapshots_latest(struct snapshots *s, const struct service_facts *service,
                          struct snapshot_facts *ret_snapshot);
/* By number: remembered, or looked for in the whole index (a number from another mount, over NFS).
 * ERR_NOT_FOUND. */
enum err snapshots_number(struct snapshots *s, uint32_t number,
                          struct snapshot_facts *ret_snapshot);
/* Was it forgotten? false for numbers never given out. */
bool snapshots_gone(struct snapshots *s, uint32_t number);

/* Its tree. ERR_NOT_FOUND: forgotten, or never was; else as reader_open_snapshot. */
enum err snapshots_open(struct snapshots *s, uint32_t number, struct opened **ret_opened);
/* The same if that costs nothing: NULL when it is not open. */
struct opened *snapshots_opened(struct snapshots *s, uint32_t number);
void snapshots_close(struct snapshots *s, struct opened *opened);

/* ---- changes ---- */

struct snapshots_totals {
    uint64_t services, snapshots, nodes, stored_bytes;
};
struct snapshots_changes {
    void *context;
    void (*service)(void *context, uint32_t service_number); /* its set of snapshots changed */
    void (*services)(void *context);                         /* a service came or went */
    void (*forgotten)(void *context, const struct snapshot_facts *snapshot);
};
/* Compare with the index, remember, and tell what changed since the last time (nothing on the
 * first). From one thread at a time; changes are told with no lock held. Goes over all snapshots in
 * the index. */
enum err snapshots_refresh(struct snapshots *s, const struct snapshots_changes *changes);
void snapshots_get_totals(struct snapshots *s, struct snapshots_totals *ret_totals);
/* When a service last came or went; else the newest snapshot. */
struct timestamp snapshots_changed(struct snapshots *s);
