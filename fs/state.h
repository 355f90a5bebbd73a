/*
 * state: what all requests of one mount share.
 *
 * Threads: constant once mounted, except what says otherwise.
 */
#pragma once

#include <stdatomic.h>

#include "fs/fs.h"
#include "fs/stat.h"
#include "index/walk.h"

struct fs_counts { /* for metrics.prom; counted by any thread */
    atomic_uint_fast64_t lookups, getattrs, listings, reads, read_bytes;
    atomic_uint_fast64_t errors[ERR_IO + 1]; /* failed requests by enum err */
    atomic_uint_fast64_t syncs, sync_failures;
};

struct fs {
    const struct mount_options *options;
    struct index *index;     /* borrowed */
    struct fetcher *fetcher; /* owned, and so on */
    struct reader *reader;
    struct snapshots *snapshots; /* which there are, their numbers */
    struct nodes *nodes;         /* nodes used lately */
    struct meta *meta;           /* status.json and metrics.prom */
    struct sums *sums;           /* cursors in SHA256SUMS */
    struct stat_rules rules;
    struct timestamp mounted;
    struct fs_counts counts;
};

/* The largest read the kernel asks for; also said as a mount option. */
enum { MAX_READ_BYTES = 1 << 20 };

/* How long the kernel may believe us, in seconds. */
#define FOREVER_SECS 1e9 /* snapshots never change */
#define SHORT_SECS 1.0   /* what lies above them does */
