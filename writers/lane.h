/*
 * lane: the chain of one writer's snapshots of one service from one host, and where it ends now.
 *
 * An envelope names the heads that its writer saw. Two sessions at once make a fork with equal numbers, which is normal; the next
 * snapshot names both and joins them.
 *
 * Source:  docs/format.md 11.1, fields 6 and 7.
 * Threads: one caller.
 */
#pragma once

#include "index/index.h"

struct lane {
    struct uid writer, host;
    const char *service; /* borrowed */
};

struct lane_heads {
    uint64_t number;     /* for the next snapshot */
    struct hash *heads;  /* malloc'ed; at most ENVELOPE_MAX_HEADS */
    size_t count;
};
void lane_heads_clear(struct lane_heads *heads);

/* The envelopes of the lane, as the index has them, that no other one names. Reads a few envelopes, and only where the lane forked;
 * in doubt (they cannot be read, or there are many) an envelope counts as a head, which says too much and never too little. */
enum err lane_find_heads(const struct access *access, struct index *index, const struct lane *lane, struct lane_heads *ret_heads);
