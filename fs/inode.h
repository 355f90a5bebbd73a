/*
 * inode: numbers of files, by arithmetic. They are the FUSE nodeids too: there is no table of nodes.
 *
 *     63        36 35         0
 *     | snapshot  | position |    a node of a snapshot: 28 bits of its envelope's hash, 36 of position
 *     |     0     | kind arg |    a made-up node: 8 bits of kind, 28 of what it belongs to
 *
 * Source:  docs/format.md sections 11.2 and 11.3.
 * Threads: no state in inode_*; struct numbers: the owner's lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fetch/base/err.h"

enum { INODE_POSITION_BITS = 36, INODE_NUMBER_BITS = 28 };
enum { INODE_NUMBER_MAX = (1 << INODE_NUMBER_BITS) - 1 };
#define INODE_POSITION_MAX ((UINT64_C(1) << INODE_POSITION_BITS) - 1)

/* What the levels above a snapshot's root are made of. The argument is said behind each. */
enum made {
    MADE_FIXED = 0,     /* 1 the root of the mount, 2 .yore */
    MADE_SERVICE = 1,   /* <service>: number of the service */
    MADE_LATEST = 2,    /* latest: number of the snapshot it points to */
    MADE_META_SERVICE,  /* .yore/<service>: number of the service */
    MADE_META_SNAPSHOT, /* .yore/<service>/<name>: number of the snapshot, here and below */
    MADE_MANIFEST,
    MADE_SUMS,
    MADE_LOG,
    MADE_STATUS,  /* status.json: version */
    MADE_METRICS, /* metrics.prom: version */
};
#define INODE_ROOT UINT64_C(1) /* FUSE_ROOT_ID */
#define INODE_META UINT64_C(2)

/* A node of a snapshot. snapshot 1 to INODE_NUMBER_MAX, position up to INODE_POSITION_MAX. */
uint64_t inode_of(uint32_t snapshot, uint64_t position);
/* A made-up node. argument up to INODE_NUMBER_MAX. */
uint64_t inode_made(enum made kind, uint32_t argument);

/* And back. The snapshot is 0 for a made-up node. */
uint32_t inode_snapshot(uint64_t ino);
uint64_t inode_position(uint64_t ino);
enum made inode_made_kind(uint64_t ino); /* may be none of the above: numbers come from outside */
uint32_t inode_made_argument(uint64_t ino);

/*
 * Numbers for things with a hash: the first four bytes (little-endian), low 28 bits, 0 counting as
 * 1; the next free one where that is taken. Remembered until cleared, so never given to another
 * thing.
 */
struct numbers {
    struct number *all; /* open addressing */
    size_t room, used;
};
#define NUMBERS_EMPTY ((struct numbers){0})
struct number {
    uint32_t number; /* 0: free */
    uint8_t hash[32];
    void *owner; /* the user's */
};
/* Its entry, made on first asking (owner NULL then). Valid until the next numbers_take. ERR_NOMEM;
 * ERR_INVALID when all are taken. */
enum err numbers_take(struct numbers *numbers, const uint8_t hash[32], struct number **ret_number);
/* By number; NULL when not given out. */
struct number *numbers_find(const struct numbers *numbers, uint32_t number);
/* By hash; NULL when not given out. */
struct number *numbers_find_hash(const struct numbers *numbers, const uint8_t hash[32]);
/* The number a hash has when nothing stands in its way. */
uint32_t number_wanted(const uint8_t hash[32]);
void numbers_clear(struct numbers *numbers);
