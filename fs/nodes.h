/*
 * nodes: by inode number, the nodes used lately, so that a read or a getattr needs no way down from
 * the root.
 *
 * A miss costs that way (pages are mostly in the reader's cache) and nothing else: nothing depends
 * on a node being here.
 *
 * Threads: any; locks inside, never held across I/O.
 */
#pragma once

#include "fs/snapshots.h"

struct nodes;

/* One node, counted; constant. */
struct held {
    uint64_t ino;
    struct node *node;
    uint32_t links; /* names of its link group in the snapshot; 1: none */
    unsigned refs;  /* guarded by the shard's lock, like all below */
    struct held *next_hash, *newer, *older;
};

/* Keeps at most about most nodes. Both borrowed. */
enum err nodes_new(struct reader *reader, struct snapshots *snapshots, unsigned most,
                   struct nodes **ret_nodes);
void nodes_free(struct nodes *nodes);
DEFINE_AUTO_PTR(nodes);

/* The node of a number of a snapshot. ERR_NOT_FOUND: its snapshot was forgotten, or there is no
 * such node. */
enum err nodes_get(struct nodes *nodes, uint64_t ino, struct held **ret_held);
/* A node that was just found in an opened snapshot: number it (a linked one gets that of the
 * group's first name) and remember it. node is taken. */
enum err nodes_add(struct nodes *nodes, const struct opened *opened, struct node *node,
                   struct held **ret_held);
void nodes_put(struct nodes *nodes, struct held *held);

/* The number and names of an entry, without remembering it. */
enum err nodes_number(struct nodes *nodes, const struct opened *opened, const struct entry *entry,
                      uint64_t position, uint64_t *ret_ino, uint32_t *ret_links);
