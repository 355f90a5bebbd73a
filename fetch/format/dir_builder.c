/* The writing half of tree.h's directories: entries in, pages out. */
#include <stdlib.h>

#include "fetch/crypto/digest.h"
#include "fetch/format/tree.h"

enum { DIR_LEVELS_MAX = 8 }; /* 32 a page at least: 2^40 entries */

/* One open page per level; a closed one becomes a child in the page above. */
struct dir_level {
    struct buf body; /* encoded entries or children */
    struct buf first_name;
    size_t count;
    struct summary sum;
};

struct dir_builder {
    struct hmac_key cut;
    tree_store_fn store;
    void *context;
    struct buf last_name;
    struct dir_level levels[DIR_LEVELS_MAX];
    unsigned depth;
};

enum err dir_builder_new(const uint8_t tree_cut_key[32], tree_store_fn store, void *context, struct dir_builder **ret_builder)
{
    struct dir_builder *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(ERR_NOMEM, "no memory for a directory");
    hmac_key_init(&b->cut, tree_cut_key);
    b->store = store;
    b->context = context;
    *ret_builder = b;
    return ERR_OK;
}

void dir_builder_free(struct dir_builder *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < DIR_LEVELS_MAX; i++) {
        buf_clear(&b->levels[i].body);
        buf_clear(&b->levels[i].first_name);
    }
    buf_clear(&b->last_name);
    free(b);
}

static bool page_ends(const struct dir_builder *b, const struct dir_level *level, struct slice name)
{
    if (level->count >= PAGE_MAX_ENTRIES || level->body.len >= PAGE_MAX_BYTES)
        return true;
    if (level->count < PAGE_MIN_ENTRIES)
        return false;
    uint8_t mark[32];
    hmac_with(&b->cut, name, mark);
    return mark[0] % 128 == 0; /* the u32 of the first four bytes, little-endian, divisible by 128 */
}

static void sum_join(struct summary *to, const struct summary *more)
{
    to->entries += more->entries;
    to->nodes += more->nodes;
    to->files += more->files;
    to->path_bytes += more->path_bytes;
    to->marks += more->marks;
    to->bytes += more->bytes;
}

/* Store the open page of a level: its summary with the page's id. The first name stays until the caller has used it. */
static enum err level_close(struct dir_builder *b, unsigned number, struct summary *ret_sum)
{
    struct dir_level *level = &b->levels[number];
    AUTO(buf) page = BUF_EMPTY;
    buf_put_u8(&page, number == 0 ? 1 : 2);
    buf_put_u8(&page, FORMAT_VERSION);
    buf_put_varint(&page, level->count);
    buf_put_slice(&page, buf_slice(&level->body));
    buf_put_varint(&page, 0); /* no fields */
    TRY(buf_check(&level->body));
    TRY(buf_check(&page));
    *ret_sum = level->sum;
    TRY(b->store(b->context, buf_slice(&page), &ret_sum->page));
    level->body.len = 0;
    level->count = 0;
    level->sum = (struct summary){0};
    return ERR_OK;
}

static void child_encode(struct buf *out, struct slice first_name, const struct summary *s)
{
    buf_put_bytes(out, first_name);
    buf_put(out, s->page.bytes, 32);
    buf_put_varint(out, s->entries);
    buf_put_varint(out, s->nodes);
    buf_put_varint(out, s->files);
    buf_put_varint(out, s->path_bytes);
    buf_put_varint(out, s->marks);
    buf_put_varint(out, s->bytes);
}

/* Note the first name of a page that begins now. */
static enum err level_begin(struct dir_level *level, struct slice name)
{
    if (level->count > 0)
        return ERR_OK;
    level->first_name.len = 0;
    buf_put_slice(&level->first_name, name);
    return buf_check(&level->first_name);
}

/* Hand the closed page of level `from` to the level above, and on upward while pages end. */
static enum err level_raise(struct dir_builder *b, unsigned from, struct summary sum)
{
    for (unsigned number = from + 1;; number++) {
        if (number >= DIR_LEVELS_MAX)
            return err_set(ERR_INVALID, "a directory of too many entries");
        if (b->depth <= number)
            b->depth = number + 1;
        struct dir_level *level = &b->levels[number];
        struct slice first = buf_slice(&b->levels[number - 1].first_name);
        TRY(level_begin(level, first));
        child_encode(&level->body, first, &sum);
        level->count++;
        sum_join(&level->sum, &sum);
        if (!page_ends(b, level, first))
            return ERR_OK;
        TRY(level_close(b, number, &sum));
    }
}

static bool in_order(struct slice before, struct slice name)
{
    int order = memcmp(before.data, name.data, before.len < name.len ? before.len : name.len);
    return order < 0 || (order == 0 && before.len < name.len);
}

enum err dir_builder_add(struct dir_builder *b, const struct entry *entry)
{
    if (b->depth && !in_order(buf_slice(&b->last_name), entry->name))
        return err_set(ERR_INVALID, "directory entries out of order");
    b->last_name.len = 0;
    buf_put_slice(&b->last_name, entry->name);
    TRY(buf_check(&b->last_name));
    if (b->depth == 0)
        b->depth = 1;
    struct dir_level *leaf = &b->levels[0];
    TRY(level_begin(leaf, entry->name));
    entry_encode(entry, &leaf->body);
    leaf->count++;
    summary_add(&leaf->sum, entry);
    if (!page_ends(b, leaf, entry->name))
        return ERR_OK;
    struct summary sum;
    TRY(level_close(b, 0, &sum));
    return level_raise(b, 0, sum);
}

/* Is every level above this one empty? */
static bool is_top(const struct dir_builder *b, unsigned number)
{
    for (unsigned i = number + 1; i < b->depth; i++)
        if (b->levels[i].count)
            return false;
    return true;
}

enum err dir_builder_finish(struct dir_builder *b, struct summary *ret_below)
{
    struct summary sum = {0};
    for (unsigned i = 0; i < b->depth; i++) {
        struct dir_level *level = &b->levels[i];
        if (level->count == 0)
            continue;
        if (i > 0 && level->count == 1 && is_top(b, i)) {
            /* An index of one page says no more than the page. */
            struct cursor c = cursor_of(buf_slice(&level->body));
            cursor_bytes(&c, NAME_MAX_BYTES);
            sum = level->sum;
            cursor_copy(&c, sum.page.bytes, 32);
            break;
        }
        bool top = is_top(b, i);
        TRY(level_close(b, i, &sum));
        if (top)
            break;
        TRY(level_raise(b, i, sum));
    }
    *ret_below = sum;
    return ERR_OK;
}
