/*
 * match: which entries of a directory are what the files cache knows, so that they need not be
 * read.
 *
 * Same name, kind, inode, owner, mode, mtime, ctime and size, and not from a moment too near to its
 * last change (reliability: the racy rule); and what it points to may be pointed to again: the
 * snapshot it comes from is still good (session_may_reuse), or its one chunk is looked up. A file
 * of many chunks is read again in the second case.
 *
 * Threads: the scanner's.
 */
#pragma once

#include "writers/source/run.h"

struct match;
enum err match_new(struct files_run *run, struct match **ret_match);
void match_free(struct match *match);
DEFINE_AUTO_PTR(match);

/* Load what is known of a directory by its path in the source, and set FOUND_SAME and `known` in
 * its entries. Subdirectories only get their row: they are looked at again when they are open. */
enum err match_dir(struct match *match, struct slice path, struct found_dir *dir);
/* A subdirectory, now that its attributes were read again: are they, extended ones included, what
 * is known? */
bool match_self(const struct match *match, const struct found_dir *parent,
                const struct found *self);
