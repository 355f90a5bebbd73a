/*
 * scan: walk a source tree, depth first, names in order, and hand what is found to the workers and
 * the assembler.
 *
 * Directories are reached by descriptors from their parents, links are never followed, paths have
 * no length limit; of a deep chain only the nearest are held open, the others are opened again by
 * ".." (and checked to be the same) on the way back. Entries are statted in inode order, which is
 * how disks like it, and kept sorted by name. What the files cache knows is compared here: an entry
 * that is what it was is not read.
 *
 * Left out: what the filter says; our own store, cache and state, and mounted snapshots (with a
 * notice); with the options, other file systems (an empty directory stays), caches (all but
 * CACHEDIR.TAG), older and larger files.
 *
 * Source:  measured in docs/decisions; CACHEDIR.TAG: bford.info/cachedir.
 * Threads: scan_prepare by the caller, scan_walk by one thread.
 */
#pragma once

#include "writers/source/run.h"

struct scan;

/*
 * Look at the arguments: make them absolute, find what is never backed up.
 *   ERR_INVALID  an argument does not exist, or lies in our own store, cache or in mounted
 * snapshots
 */
enum err scan_prepare(struct files_run *run, const char *const *paths, struct scan **ret_scan);
void scan_free(struct scan *scan); /* workers must be gone */
DEFINE_AUTO_PTR(scan);

/* The path of the snapshot's root in the source. Borrowed. */
struct slice scan_base(const struct scan *scan);

/* The walk. In a dry run nothing is handed over: only run's counters move. Sets run->root. */
enum err scan_walk(struct scan *scan);
