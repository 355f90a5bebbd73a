/*
 * meta: status.json and metrics.prom: files of .yore that change.
 *
 * Whoever looks one up gets a version with a number (and so an inode) of its own, that never
 * changes after: a reader never sees half of one and half of the next. Versions are at least a
 * second apart; the last 64 are kept.
 *
 * Threads: any; the lock inside is not held while the index is asked.
 */
#pragma once

#include "fs/inode.h"
#include "fs/state.h"

struct meta;

/* fs is borrowed. */
enum err meta_new(struct fs *fs, struct meta **ret_meta);
void meta_free(struct meta *meta);
DEFINE_AUTO_PTR(meta);

/* The inode of a version that says how things are now. kind: MADE_STATUS or MADE_METRICS. */
enum err meta_now(struct meta *meta, enum made kind, uint64_t *ret_ino);
/* ERR_NOT_FOUND: a version long gone. */
enum err meta_size(struct meta *meta, uint64_t ino, uint64_t *ret_size, struct timestamp *ret_time);
enum err meta_read(struct meta *meta, uint64_t ino, uint64_t offset, void *to, size_t len,
                   size_t *ret_len);

/* What they hold; apart for tests. */
enum err meta_write_status(struct fs *fs, struct buf *out);
enum err meta_write_metrics(struct fs *fs, struct buf *out);
