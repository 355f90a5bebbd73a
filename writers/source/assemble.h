/*
 * assemble: directories as they come, children first, into tree pages.
 *
 * A directory in which every entry is what the files cache says, all below included, is not encoded
 * again: its page is in the snapshot that the cache is true of. Everything else is encoded, stored,
 * and noted for the files cache.
 *
 * Threads: one, which owns the tree worker.
 */
#pragma once

#include "writers/source/run.h"

struct assembled {
    struct summary below; /* the root's */
    uint64_t dirs;        /* without the root */
};

/* Works until the walk is over and every directory is done; calls tick ten times a second or more
 * seldom. */
enum err assemble(struct files_run *run, struct sink_worker *trees, enum err (*tick)(void *context),
                  void *context, struct assembled *ret_assembled);

/* The root's entry, its extended attributes included; they live in xattrs. */
enum err assemble_root(struct files_run *run, struct sink_worker *trees,
                       const struct assembled *assembled, struct buf *xattrs,
                       struct entry *ret_entry);
