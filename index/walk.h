/*
 * walk: reading trees: pages, paths, positions, contents. What mount, restore, ls, find, diff and check stand on.
 *
 * A reader ties an index and a fetcher together for one snapshot after another. Pages are decoded once and kept in a bounded
 * cache shared by all.
 *
 * Source:  docs/format.md sections 10 and 11.
 * Threads: every function from any thread at once.
 */
#pragma once

#include "index/index.h"

struct reader;
/* cache_bytes: decoded pages and lists kept (0: 32 MiB). index and fetcher are borrowed. */
enum err reader_new(struct index *index, struct fetcher *fetcher, size_t cache_bytes, struct reader **ret_reader);
void reader_free(struct reader *reader);
DEFINE_AUTO_PTR(reader);

/* A chunk by its name only: index, then fetch. */
enum err reader_chunk(struct reader *reader, uint32_t domain, enum chunk_kind kind, const struct chunk_id *id,
                      struct chunk_ref *ret_ref);

/* An opened snapshot. */
struct snapshot_view {
    struct snapshot_info info;
    struct node *root;
    struct content links, manifest, log; /* of tree chunks */
};
/* One node with its memory: an entry that owns what it borrows. */
struct node {
    struct entry entry;       /* slices point into memory held by the node */
    uint64_t position;        /* depth first, root 0 (docs/format.md 11.2) */
    uint32_t domain;
    void *held;
};
void node_free(struct node *node);
DEFINE_AUTO_PTR(node);
enum err node_copy(const struct node *node, struct node **ret_node);

enum err reader_open_snapshot(struct reader *reader, const struct snapshot_info *info, struct snapshot_view **ret_view);
void snapshot_view_free(struct snapshot_view *view);
DEFINE_AUTO_PTR(snapshot_view);

/* Entries of a directory from the first-th (0-based) on, in order; each is borrowed for the time of the call. Stops when each
 * returns another value than ERR_OK (ERR_CANCELED is handed through). A damaged entry comes with kind 0. */
typedef enum err (*entry_fn)(void *context, const struct entry *entry, uint64_t ordinal, uint64_t position);
enum err reader_entries(struct reader *reader, const struct node *dir, uint64_t first, entry_fn each, void *context);

/* A child by name; ERR_NOT_FOUND only when the verified directory lacks it. */
enum err reader_lookup(struct reader *reader, const struct node *dir, struct slice name, struct node **ret_node);
/* By path below the root ("" or "." the root itself). */
enum err reader_path(struct reader *reader, const struct snapshot_view *view, struct slice path, struct node **ret_node);
/* By position; ERR_NOT_FOUND beyond the end. ret_path (may be NULL): its path below the root. */
enum err reader_position(struct reader *reader, const struct snapshot_view *view, uint64_t position, struct node **ret_node,
                         struct buf *ret_path);

/* Link table: first position and members of a group; 1 member and the node's own position if it is not in the table. */
enum err reader_links(struct reader *reader, const struct snapshot_view *view, const struct entry *entry, uint64_t own_position,
                      uint64_t *ret_first, uint32_t *ret_members);

/* Read content: up to len bytes at offset into to; fewer only at the end. kind: CHUNK_DATA for files, CHUNK_TREE for
 * manifests, logs, link tables. Chunks after the range are read ahead when reads follow each other. */
enum err reader_read(struct reader *reader, uint32_t domain, enum chunk_kind kind, const struct content *content, uint64_t offset,
                     void *to, size_t len, size_t *ret_len);
/* Walk a content's items in order from an offset on: for restore, holes and check. item->id valid for ITEM_DATA. */
typedef enum err (*item_fn)(void *context, uint64_t offset, const struct item *item);
enum err reader_items(struct reader *reader, uint32_t domain, enum chunk_kind kind, const struct content *content, uint64_t offset,
                      item_fn each, void *context);
/* SEEK_DATA / SEEK_HOLE; ERR_NOT_FOUND (ENXIO) beyond the last. */
enum err reader_seek(struct reader *reader, uint32_t domain, const struct content *content, uint64_t offset, bool data,
                     uint64_t *ret_offset);

/* One extended attribute's value, wherever it lies. */
enum err reader_xattr(struct reader *reader, uint32_t domain, const struct xattr *xattr, struct buf *ret_value);
/* The manifest body or the log as text. */
enum err reader_manifest(struct reader *reader, const struct snapshot_view *view, struct buf *ret_json);
enum err reader_log(struct reader *reader, const struct snapshot_view *view, struct buf *ret_text);

/* Depth-first over everything below a node (itself first when self): calls each with its path relative to the start. Iterative. */
typedef enum err (*visit_fn)(void *context, struct slice path, const struct entry *entry, uint64_t position);
enum err reader_visit(struct reader *reader, const struct snapshot_view *view, const struct node *start, visit_fn each,
                      void *context);
/* For each: return this from a visit of a directory to leave out what lies below. */
#define VISIT_PRUNE ERR_EXISTS
