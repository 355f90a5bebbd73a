/*
 * sources: what a backup of files is asked to take, and what it must never take: our own store,
 * cache and state, and mounted snapshots.
 *
 * One directory: it is the root of the snapshot. Several arguments, or a file: each under its full
 * path, so the root is "/" and a selection says which names are wanted at each level above them.
 * Arguments that are symlinks are followed.
 *
 * Threads: constant once prepared.
 */
#pragma once

#include "fetch/base/buf.h"
#include "writers/backup.h"

/* Names wanted at one level, of several arguments. */
struct selection {
    char *name;
    bool whole; /* all below it */
    struct selection **children;
    size_t count;
};
/* NULL: not wanted (or s is NULL). */
const struct selection *selection_find(const struct selection *s, struct slice name);

struct sources {
    char *base;             /* path of the snapshot's root; "" for "/" */
    struct selection *only; /* NULL: the base, whole */
    struct place_id {
        uint64_t device, inode;
    } * ours; /* directories never backed up */
    size_t ours_count;
    uint64_t *yore_devices; /* mounted snapshots */
    size_t yore_count;
};

/* paths: NULL-ended.
 *   ERR_INVALID  none; one does not exist, or lies in what must not be taken */
enum err sources_prepare(const struct backup_common *common, const char *const *paths,
                         struct sources *ret_sources);
void sources_clear(struct sources *sources);

/* NULL, or what that directory is which must not be taken. */
const char *sources_refuse(const struct sources *sources, uint64_t device, uint64_t inode);
