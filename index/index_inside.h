/*
 * index_inside: what the files behind index.h share.
 */
#pragma once

#include "index/connections.h"
#include "index/index.h"

struct index {
    const struct access *access; /* borrowed */
    char *dir, *runs_dir;
    struct connections *connections;
    /* Names of damaged objects that were logged, so that a mount does not say it every minute. Guarded by sync.lock. */
    struct hash *warned;
    size_t warned_count;
};

/* One sync at work: the lock is held. */
struct sync {
    struct index *index;
    const struct access *access;
    struct sync_lock lock;
    struct catalog *catalog;
    struct sync_report report;
    bool rebuild; /* a run of ours is damaged: begin anew */
};

/* An error that is an object's own (damage, no key, newer format) and not the store's: it is left out, logged once, counted. */
bool sync_is_objects_own(enum err e);
void sync_note_damaged(struct sync *sync, const char *object, enum err e);
/* A transaction, after a look whether the cache is still there. */
enum err sync_begin(struct sync *sync, struct transaction *ret_transaction);
/* Read an object whose name says its SHA-256. */
enum err sync_get(struct sync *sync, const char *name, size_t max_bytes, const struct hash *sha256, struct buf *ret_object);

/* ---- sync_chunks.c ---- */

/* Bring segments (and by recovery key, packs) of all domains in. */
enum err sync_chunks(struct sync *sync);
enum err sync_one_segment(struct sync *sync, const char *object_name, struct slice object);

/* ---- sync_merge.c ---- */

enum { RUNS_MAX = 8 }; /* of one domain and kind, before some are merged */
/* settle: no more will come in this sync; otherwise only what is too much is merged. */
enum err sync_merge(struct sync *sync, uint32_t domain, enum chunk_kind kind, bool settle);

/* ---- sync_snapshots.c ---- */

struct snapshot_names {
    struct name_list *domains; /* beside the keyring's */
    size_t count;
    struct name_list forgets, fences;
};
void snapshot_names_clear(struct snapshot_names *names);
/* Listed before the chunks are looked at: what an envelope needs was put before it. */
enum err sync_list_snapshots(struct sync *sync, struct snapshot_names *ret_names);
enum err sync_snapshots(struct sync *sync, const struct snapshot_names *names);
