/*
 * root: the made-up levels: the services, their snapshots' names, latest, and .yore with all in it.
 *
 * Threads: any.
 */
#pragma once

#include "fs/fuse_api.h"
#include "fs/state.h"
#include "fs/timename.h"

/* parent is a made-up directory. ERR_NOT_FOUND: no such name. Fills in all of the entry, time-outs
 * too. */
enum err root_lookup(struct fs *fs, uint64_t parent, const char *name,
                     struct fuse_entry_param *ret_entry);

/* The directory above a made-up directory. */
uint64_t root_parent(struct fs *fs, uint64_t ino);

/* ERR_NOT_FOUND: it is not any more. */
enum err root_getattr(struct fs *fs, uint64_t ino, struct stat *ret_stat, double *ret_timeout);

/*
 * Names in a made-up directory from the first-th on. An entry with ino 0 has only attr.st_ino and a
 * kind in attr.st_mode: the rest is left for a lookup, because it costs a fetch or must not be
 * remembered.
 */
typedef enum err (*root_entry_fn)(void *context, const char *name, uint64_t ordinal,
                                  const struct fuse_entry_param *entry);
enum err root_list(struct fs *fs, uint64_t ino, uint64_t first, root_entry_fn each, void *context);

/* Where latest points; room for a name. ERR_NOT_FOUND. */
enum err root_readlink(struct fs *fs, uint64_t ino, char ret_target[TIME_NAME_MAX + 16]);
