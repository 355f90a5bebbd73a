/*
 * content: what a file consists of: nothing, one chunk, or a list of data, holes and zeros.
 *
 * Source:  docs/format.md section 10.3.
 * Threads: no state; a builder belongs to one thread.
 */
#pragma once

#include "fetch/format/fields.h"
#include "fetch/format/ids.h"

enum content_how { CONTENT_EMPTY = 0, CONTENT_CHUNK = 1, CONTENT_LIST = 2 };

struct content {
    enum content_how how;
    uint64_t length;
    uint64_t data_bytes;    /* without holes */
    struct chunk_id id;     /* the chunk, or the list */
};
void content_encode(const struct content *content, struct buf *out);
struct content content_decode(struct cursor *c); /* marks c bad on nonsense */

enum item_what { ITEM_DATA = 0, ITEM_HOLE = 1, ITEM_ZEROS = 2 };
struct item {
    enum item_what what;
    uint64_t length;
    struct chunk_id id; /* ITEM_DATA */
};

enum { LIST_MAX_ITEMS = 1024, LIST_MIN_ITEMS = 32 };
#define LIST_FIXED_BYTES (UINT64_C(16) << 20)

/* Takes items in order and builds the lists. store: as tree_store_fn. A content of one data item becomes CONTENT_CHUNK. */
struct list_builder;
typedef enum err (*list_store_fn)(void *context, struct slice list, struct chunk_id *ret_id);
enum err list_builder_new(uint8_t cut_class, list_store_fn store, void *context, struct list_builder **ret_builder);
void list_builder_free(struct list_builder *builder);
DEFINE_AUTO_PTR(list_builder);
enum err list_builder_add(struct list_builder *builder, const struct item *item); /* joins neighbouring holes, zeros */
enum err list_builder_finish(struct list_builder *builder, struct content *ret_content);

/* One decoded content list. */
struct list_child {
    uint64_t start;        /* offset of this item or child within the list: cumulated */
    uint64_t length;
    uint64_t data_bytes;
    enum item_what what;   /* level 0 */
    struct chunk_id id;
};
struct list {
    unsigned level;
    uint8_t cut_class;
    size_t count;
    uint64_t length, data_bytes;
    struct list_child *children;
};
enum err list_decode(struct slice chunk, struct list *ret_list);
void list_clear(struct list *list);
/* The child that holds offset (offset < list->length), by binary search. */
const struct list_child *list_find(const struct list *list, uint64_t offset);
