/*
 * tree: directories, their pages, and the entries in them.
 *
 * Encoding and decoding only; chunks are fetched and stored by others. Encoders append to a buf; decoders borrow from the
 * chunk's bytes, which must outlive what they return.
 *
 * Source:  docs/format.md sections 10.1, 10.2, 11.2.
 * Threads: no state.
 */
#pragma once

#include "fetch/base/clock.h"
#include "fetch/format/content.h"
#include "fetch/format/fields.h"
#include "fetch/format/ids.h"

enum node_kind {
    NODE_DIR = 1, NODE_FILE = 2, NODE_SYMLINK = 3, NODE_BLOCK = 4, NODE_CHAR = 5, NODE_FIFO = 6, NODE_SOCKET = 7,
};

enum { PAGE_MAX_ENTRIES = 1024, PAGE_MIN_ENTRIES = 32, PAGE_MAX_BYTES = 256 * 1024, TREE_MAX_DEPTH = 4096 };
enum { NAME_MAX_BYTES = 255, TARGET_MAX_BYTES = 4095, XATTR_INLINE_BYTES = 4096, XATTR_VALUE_MAX_BYTES = 65536 };

/* What lies below a directory (or below one page of it). */
struct summary {
    struct chunk_id page;  /* all zero when there is nothing */
    uint64_t entries, nodes, files, path_bytes, marks, bytes;
};

struct entry {
    struct slice name;               /* empty only for a snapshot's root */
    enum node_kind kind;
    uint32_t mode;                   /* 07777 */
    uint32_t uid, gid;
    struct timestamp mtime, ctime;
    bool has_link, has_sha256, has_btime;
    struct uid link;                 /* link group */
    struct summary below;            /* NODE_DIR */
    struct content content;          /* NODE_FILE */
    uint8_t sha256[32];              /* NODE_FILE, if has_sha256 */
    struct slice target;             /* NODE_SYMLINK */
    uint32_t major, minor;           /* devices */
    struct timestamp btime;
    struct slice xattrs;             /* encoded xattr fields, for xattr_next; empty: none */
};

/* One extended attribute. Its value is inline, or a tree chunk. */
struct xattr {
    struct slice name;
    bool in_chunk;
    struct slice value;      /* inline */
    struct chunk_id chunk;   /* in_chunk */
    uint32_t length;
};
/* Append one xattr to the encoded list of an entry (names ascending); walk a list. */
void xattr_put(struct buf *list, const struct xattr *xattr);
bool xattr_next(struct cursor *list, struct xattr *ret_xattr);

/* Append an entry; the name of the root may be empty (allow_root). Decode one; checks all of docs/format.md 10.1. */
void entry_encode(const struct entry *entry, struct buf *out);
enum err entry_decode(struct cursor *c, bool allow_root, struct entry *ret_entry);

/* Add what an entry contributes to its directory's summary (page untouched; entries + 1). */
void summary_add(struct summary *sum, const struct entry *entry);
/* The length of a name escaped as sha256sum does, and whether it needs the mark. */
size_t escaped_len(struct slice name, bool *ret_mark);

/* ---- building a directory ---- */

/* Stores one finished tree chunk and returns its id (the writer's business: dedup, pack). */
typedef enum err (*tree_store_fn)(void *context, struct slice page, struct chunk_id *ret_id);

/* Takes entries in ascending order of names, cuts pages, builds index levels. */
struct dir_builder;
enum err dir_builder_new(const uint8_t tree_cut_key[32], tree_store_fn store, void *context, struct dir_builder **ret_builder);
void dir_builder_free(struct dir_builder *builder);
DEFINE_AUTO_PTR(dir_builder);
enum err dir_builder_add(struct dir_builder *builder, const struct entry *entry); /* ERR_INVALID when out of order */
enum err dir_builder_finish(struct dir_builder *builder, struct summary *ret_below);

/* ---- reading pages ---- */

/* One decoded page: a leaf with entries or an index with children; borrowed from the chunk's bytes. */
struct page {
    bool is_index;
    size_t count;
    struct entry *entries;     /* leaf */
    uint64_t *nodes_before;    /* leaf: nodes in the page before entry i: i + nodes below those */
    struct page_child {
        struct slice first_name;
        struct summary below;  /* .page is the child's chunk */
    } *children;               /* index */
};
/* A bad entry does not spoil a page: it stays with kind 0 and the page decodes (ERR_OK) when the rest can be found; a page
 * that cannot be walked is ERR_CORRUPT. */
enum err page_decode(struct slice chunk, struct page *ret_page);
void page_clear(struct page *page);

/* ---- the snapshot root ---- */
struct snapshot_root {
    struct entry root;
    struct content links, manifest, log;   /* of tree chunks */
};
enum err snapshot_root_encode(const struct snapshot_root *root, struct buf *out);
enum err snapshot_root_decode(struct slice chunk, struct snapshot_root *ret_root);

/* A row of the link table. */
enum { LINK_ROW_BYTES = 32 };
struct link_row {
    struct uid group;
    uint64_t position;
    uint32_t members;
};
void link_row_encode(const struct link_row *row, struct buf *out);
struct link_row link_row_decode(const uint8_t bytes[LINK_ROW_BYTES]);
