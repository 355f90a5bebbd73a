#include "fetch/format/content.h"

#include <stdlib.h>

void content_encode(const struct content *content, struct buf *out)
{
    buf_put_u8(out, (uint8_t)content->how);
    if (content->how == CONTENT_EMPTY)
        return;
    buf_put_varint(out, content->length);
    if (content->how == CONTENT_LIST)
        buf_put_varint(out, content->data_bytes);
    buf_put(out, content->id.bytes, 32);
}

struct content content_decode(struct cursor *c)
{
    struct content content = {.how = cursor_u8(c)};
    cursor_require(c, content.how <= CONTENT_LIST);
    if (c->bad || content.how == CONTENT_EMPTY)
        return (struct content){0};
    content.length = cursor_varint_max(c, INT64_MAX);
    content.data_bytes = content.length;
    if (content.how == CONTENT_LIST)
        content.data_bytes = cursor_varint_max(c, content.length);
    cursor_copy(c, content.id.bytes, 32);
    cursor_require(c, content.length >= 1 && (content.how != CONTENT_CHUNK || content.length <= CHUNK_MAX_BYTES));
    return c->bad ? (struct content){0} : content;
}

static void list_head(struct buf *out, unsigned level, uint8_t cut_class, size_t count)
{
    buf_put_u8(out, 3);
    buf_put_u8(out, FORMAT_VERSION);
    buf_put_u8(out, (uint8_t)level);
    buf_put_u8(out, cut_class);
    buf_put_varint(out, count);
}

/* ---- building ---- */

/* One open list per level; a closed one becomes an item of the level above. */
struct level {
    struct buf items; /* encoded */
    size_t count;
    uint64_t length, data_bytes;
};

enum { LEVELS_MAX = 8 }; /* 32 items a list at least: 2^40 items; lengths are at most 2^63 */

struct list_builder {
    uint8_t cut_class;
    list_store_fn store;
    void *context;
    struct level levels[LEVELS_MAX];
    unsigned depth;       /* levels in use */
    struct item waiting;  /* a hole or zeros that the next item may lengthen; length 0: none */
    struct item only;     /* the first item, for a content of one chunk */
    uint64_t items;
    uint64_t length;
};

enum err list_builder_new(uint8_t cut_class, list_store_fn store, void *context, struct list_builder **ret_builder)
{
    struct list_builder *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(ERR_NOMEM, "no memory for a content list");
    b->cut_class = cut_class;
    b->store = store;
    b->context = context;
    *ret_builder = b;
    return ERR_OK;
}

void list_builder_free(struct list_builder *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < LEVELS_MAX; i++)
        buf_clear(&b->levels[i].items);
    free(b);
}

static bool list_ends(const struct list_builder *b, const struct level *level, const struct chunk_id *id)
{
    if (level->count >= LIST_MAX_ITEMS)
        return true;
    if (!id)
        return false;
    if (b->cut_class == 4 /* fixed */)
        return level == &b->levels[0] ? b->length % LIST_FIXED_BYTES == 0 : level->count >= 256;
    uint32_t mark = (uint32_t)id->bytes[0] | (uint32_t)id->bytes[1] << 8 | (uint32_t)id->bytes[2] << 16 |
                    (uint32_t)id->bytes[3] << 24;
    return level->count >= LIST_MIN_ITEMS && mark % 128 == 0;
}

/* Store the open list of a level: its id and what it holds. */
static enum err level_close(struct list_builder *b, unsigned number, struct list_child *ret_child)
{
    struct level *level = &b->levels[number];
    AUTO(buf) list = BUF_EMPTY;
    list_head(&list, number, b->cut_class, level->count);
    buf_put_slice(&list, buf_slice(&level->items));
    buf_put_varint(&list, 0); /* no fields */
    TRY(buf_check(&level->items));
    TRY(buf_check(&list));
    *ret_child = (struct list_child){.length = level->length, .data_bytes = level->data_bytes};
    TRY(b->store(b->context, buf_slice(&list), &ret_child->id));
    level->items.len = 0;
    level->count = 0;
    level->length = level->data_bytes = 0;
    return ERR_OK;
}

static enum err level_add_child(struct list_builder *b, unsigned number, const struct list_child *child)
{
    struct list_child add = *child;
    for (;; number++) {
        if (number >= LEVELS_MAX)
            return err_set(ERR_INVALID, "a content of too many items");
        if (b->depth <= number)
            b->depth = number + 1;
        struct level *level = &b->levels[number];
        buf_put_varint(&level->items, add.length);
        buf_put_varint(&level->items, add.data_bytes);
        buf_put(&level->items, add.id.bytes, 32);
        level->count++;
        level->length += add.length;
        level->data_bytes += add.data_bytes;
        if (!list_ends(b, level, &add.id))
            return ERR_OK;
        TRY(level_close(b, number, &add));
    }
}

static enum err put_item(struct list_builder *b, const struct item *item)
{
    struct level *level = &b->levels[0];
    buf_put_u8(&level->items, (uint8_t)item->what);
    buf_put_varint(&level->items, item->length);
    if (item->what == ITEM_DATA)
        buf_put(&level->items, item->id.bytes, 32);
    level->count++;
    level->length += item->length;
    level->data_bytes += item->what == ITEM_HOLE ? 0 : item->length;
    if (b->depth == 0)
        b->depth = 1;
    if (b->items++ == 0)
        b->only = *item;
    b->length += item->length;
    if (!list_ends(b, level, item->what == ITEM_DATA ? &item->id : NULL))
        return ERR_OK;
    struct list_child closed;
    TRY(level_close(b, 0, &closed));
    return level_add_child(b, 1, &closed);
}

static enum err put_waiting(struct list_builder *b)
{
    if (b->waiting.length == 0)
        return ERR_OK;
    struct item item = b->waiting;
    b->waiting.length = 0;
    return put_item(b, &item);
}

enum err list_builder_add(struct list_builder *b, const struct item *item)
{
    if (item->length == 0)
        return ERR_OK;
    if (item->what != ITEM_DATA) {
        if (b->waiting.length && b->waiting.what == item->what) {
            b->waiting.length += item->length;
            return ERR_OK;
        }
        TRY(put_waiting(b));
        b->waiting = *item;
        return ERR_OK;
    }
    TRY(put_waiting(b));
    return put_item(b, item);
}

enum err list_builder_finish(struct list_builder *b, struct content *ret_content)
{
    TRY(put_waiting(b));
    if (b->items == 0) {
        *ret_content = (struct content){0};
        return ERR_OK;
    }
    if (b->items == 1 && b->only.what == ITEM_DATA) {
        *ret_content = (struct content){CONTENT_CHUNK, b->only.length, b->only.length, b->only.id};
        return ERR_OK;
    }
    /* Close from the ground up until one list holds everything. */
    struct list_child top = {0};
    for (unsigned i = 0;; i++) {
        if (b->levels[i].count == 0)
            continue;
        bool nothing_above = true;
        for (unsigned k = i + 1; k < b->depth; k++)
            nothing_above = nothing_above && b->levels[k].count == 0;
        if (nothing_above && i > 0 && b->levels[i].count == 1) {
            /* A top list of one child says no more than the child. */
            struct cursor c = cursor_of(buf_slice(&b->levels[i].items));
            top.length = cursor_varint(&c);
            top.data_bytes = cursor_varint(&c);
            cursor_copy(&c, top.id.bytes, 32);
            break;
        }
        TRY(level_close(b, i, &top));
        if (nothing_above)
            break;
        TRY(level_add_child(b, i + 1, &top));
    }
    *ret_content = (struct content){CONTENT_LIST, top.length, top.data_bytes, top.id};
    return ERR_OK;
}

/* ---- reading ---- */

enum err list_decode(struct slice chunk, struct list *ret_list)
{
    struct cursor c = cursor_of(chunk);
    AUTO(list) list = {0};
    cursor_require(&c, cursor_u8(&c) == 3);
    TRY(cursor_check(&c, "content list"));
    uint8_t version = cursor_u8(&c);
    if (!c.bad && version != FORMAT_VERSION)
        return err_set(ERR_UNSUPPORTED, "content list of version %u", version);
    list.level = cursor_u8(&c);
    list.cut_class = cursor_u8(&c);
    list.count = (size_t)cursor_varint_max(&c, chunk.len / 2);
    cursor_require(&c, list.level < 16 && list.count >= 1);
    TRY(cursor_check(&c, "content list"));
    list.children = calloc(list.count, sizeof *list.children);
    if (!list.children)
        return err_set(ERR_NOMEM, "no memory for a content list");
    for (size_t i = 0; i < list.count && !c.bad; i++) {
        struct list_child *child = &list.children[i];
        child->start = list.length;
        if (list.level == 0) {
            child->what = cursor_u8(&c);
            child->length = cursor_varint_max(&c, INT64_MAX);
            cursor_require(&c, child->what <= ITEM_ZEROS && child->length >= 1);
            if (child->what == ITEM_DATA) {
                cursor_require(&c, child->length <= CHUNK_MAX_BYTES);
                cursor_copy(&c, child->id.bytes, 32);
            }
            child->data_bytes = child->what == ITEM_HOLE ? 0 : child->length;
        } else {
            child->length = cursor_varint_max(&c, INT64_MAX);
            child->data_bytes = cursor_varint_max(&c, child->length);
            cursor_copy(&c, child->id.bytes, 32);
            cursor_require(&c, child->length >= 1);
        }
        cursor_require(&c, child->length <= INT64_MAX - list.length);
        list.length += child->length;
        list.data_bytes += child->data_bytes;
    }
    TRY(cursor_check(&c, "content list"));
    TRY(fields_skip(&c, "content list"));
    TRY(cursor_finish(&c, "content list"));
    *ret_list = list;
    list = (struct list){0};
    return ERR_OK;
}

void list_clear(struct list *list)
{
    free(list->children);
    *list = (struct list){0};
}

const struct list_child *list_find(const struct list *list, uint64_t offset)
{
    size_t low = 0, high = list->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (list->children[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    return &list->children[low];
}
