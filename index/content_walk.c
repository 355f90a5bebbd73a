/* walk.h, the half about bytes: contents, holes, extended attributes, manifests. */
#include <pthread.h>
#include <stdlib.h>

#include "index/reader.h"

enum {
    LIST_LEVELS_MAX = 16,
    AHEAD_CHUNKS_MAX = 128,      /* looked up in one go */
    WINDOW_FIRST = 512 << 10,
    WINDOW_MOST = 8 << 20,       /* some 64 frames: a share of the frame cache */
    TEXT_MAX_BYTES = 256 << 20,  /* manifests and logs in memory */
};

/* A chunk that a verified tree names must be there: not finding it is damage. */
static enum err missing(enum err e, const struct chunk_id *id)
{
    return e == ERR_NOT_FOUND ? err_set(ERR_CORRUPT, "chunk %s is not in the store", hex_of(id->bytes, 32).text) : e;
}

/* ---- items in order ---- */

struct items {
    struct reader *reader;
    uint32_t domain;
    uint64_t from;
    item_fn each;
    void *context;
};

static enum err list_items(const struct items *w, const struct chunk_id *id, uint64_t start, int depth, unsigned level_said)
{
    struct decoded *d;
    TRY(missing(pages_get(w->reader->pages, w->domain, id, true, &d), id));
    const struct list *list = &d->list;
    enum err e = ERR_OK;
    if (depth > LIST_LEVELS_MAX || (depth > 0 && list->level != level_said))
        e = err_set(ERR_CORRUPT, "content list %s is of a level it should not be", hex_short(id->bytes).text);
    size_t i = 0;
    if (w->from > start && w->from - start < list->length)
        i = (size_t)(list_find(list, w->from - start) - list->children);
    else if (w->from > start)
        i = list->count;
    for (; e == ERR_OK && i < list->count; i++) {
        const struct list_child *child = &list->children[i];
        if (list->level > 0) {
            e = list_items(w, &child->id, start + child->start, depth + 1, list->level - 1);
        } else {
            struct item item = {child->what, child->length, child->id};
            e = w->each(w->context, start + child->start, &item);
        }
    }
    pages_put(w->reader->pages, d);
    return e;
}

enum err reader_items(struct reader *r, uint32_t domain, enum chunk_kind kind, const struct content *content, uint64_t offset,
                      item_fn each, void *context)
{
    (void)kind; /* lists are tree chunks whatever they list */
    if (content->how == CONTENT_EMPTY || offset >= content->length)
        return ERR_OK;
    if (content->how == CONTENT_CHUNK) {
        struct item item = {ITEM_DATA, content->length, content->id};
        return each(context, 0, &item);
    }
    struct items walk = {r, domain, offset, each, context};
    return list_items(&walk, &content->id, 0, 0, 0);
}

/* ---- reading ---- */

struct reading {
    struct reader *reader;
    uint32_t domain;
    enum chunk_kind kind;
    uint64_t at, end;   /* still to copy: [at, end) of the content */
    uint8_t *to;
};

static enum err copy_item(void *context, uint64_t offset, const struct item *item)
{
    struct reading *r = context;
    uint64_t end = offset + item->length < r->end ? offset + item->length : r->end;
    size_t len = (size_t)(end - r->at);
    if (item->what != ITEM_DATA) {
        memset(r->to, 0, len);
    } else {
        AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
        TRY(missing(reader_chunk(r->reader, r->domain, r->kind, &item->id, &ref), &item->id));
        if (ref.bytes.len != item->length)
            return err_set(ERR_CORRUPT, "chunk %s has %zu bytes, not %llu", hex_short(item->id.bytes).text, ref.bytes.len,
                           (unsigned long long)item->length);
        memcpy(r->to, ref.bytes.data + (r->at - offset), len);
    }
    r->to += len;
    r->at = end;
    return r->at == r->end ? ERR_CANCELED : ERR_OK;
}

/* Which stretch should be read ahead now, given that [offset, end) is being read? Empty: none. */
static void sequence_note(struct reader *r, const struct content *content, uint64_t offset, uint64_t end, uint64_t *ret_from,
                          uint64_t *ret_to)
{
    *ret_from = *ret_to = 0;
    pthread_mutex_lock(&r->lock);
    struct sequence *s = NULL, *oldest = &r->sequences[0];
    for (size_t i = 0; i < SEQUENCES && !s; i++) {
        struct sequence *this = &r->sequences[i];
        /* A forward skip within the window does not drop it. */
        if (this->stamp && memcmp(this->content.bytes, content->id.bytes, 32) == 0 && offset + WINDOW_FIRST >= this->next &&
            offset <= this->next + this->window)
            s = this;
        else if (this->stamp < oldest->stamp)
            oldest = this;
    }
    if (!s) {
        *oldest = (struct sequence){content->id, end, end, 0, ++r->stamp};
        if (offset == 0) /* the beginning is mostly the beginning of all */
            oldest->window = WINDOW_FIRST / 2;
    } else {
        s->stamp = ++r->stamp;
        s->next = end > s->next ? end : s->next;
        if (s->window == 0)
            s->window = WINDOW_FIRST / 2;
        if (s->ahead_until < s->next)
            s->ahead_until = s->next;
        if (s->ahead_until - s->next <= s->window / 2) {
            s->window = s->window * 2 < WINDOW_MOST ? s->window * 2 : WINDOW_MOST;
            *ret_from = s->ahead_until;
            *ret_to = s->next + s->window < content->length ? s->next + s->window : content->length;
            s->ahead_until = *ret_to;
        }
    }
    pthread_mutex_unlock(&r->lock);
}

struct aheading {
    struct reader *reader;
    uint32_t domain;
    enum chunk_kind kind;
    uint64_t end;
    struct location places[AHEAD_CHUNKS_MAX];
    size_t count;
};

static enum err ahead_item(void *context, uint64_t offset, const struct item *item)
{
    struct aheading *a = context;
    if (offset >= a->end || a->count == AHEAD_CHUNKS_MAX)
        return ERR_CANCELED;
    if (item->what == ITEM_DATA &&
        index_find(a->reader->index, a->domain, a->kind, &item->id, NULL, &a->places[a->count]) == ERR_OK)
        a->count++;
    return ERR_OK;
}

static void read_ahead(struct reader *r, uint32_t domain, enum chunk_kind kind, const struct content *content, uint64_t offset,
                       uint64_t end)
{
    uint64_t from, to;
    sequence_note(r, content, offset, end, &from, &to);
    if (from >= to)
        return;
    struct aheading ahead = {.reader = r, .domain = domain, .kind = kind, .end = to};
    reader_items(r, domain, kind, content, from, ahead_item, &ahead); /* failing, it helps nobody and harms nobody */
    fetch_ahead(r->fetcher, ahead.places, ahead.count);
}

enum err reader_read(struct reader *r, uint32_t domain, enum chunk_kind kind, const struct content *content, uint64_t offset,
                     void *to, size_t len, size_t *ret_len)
{
    *ret_len = 0;
    if (offset >= content->length || len == 0)
        return ERR_OK;
    uint64_t end = len < content->length - offset ? offset + len : content->length;
    if (content->how == CONTENT_LIST)
        read_ahead(r, domain, kind, content, offset, end);
    struct reading reading = {r, domain, kind, offset, end, to};
    enum err e = reader_items(r, domain, kind, content, offset, copy_item, &reading);
    if (e != ERR_OK && e != ERR_CANCELED)
        return e;
    if (reading.at != end)
        return err_set(ERR_CORRUPT, "content ends at %llu, not at %llu", (unsigned long long)reading.at,
                       (unsigned long long)content->length);
    *ret_len = (size_t)(end - offset);
    return ERR_OK;
}

/* ---- holes ---- */

struct seeking {
    bool data;
    uint64_t from, found;
    bool done;
};

static enum err seek_item(void *context, uint64_t offset, const struct item *item)
{
    struct seeking *s = context;
    if ((item->what == ITEM_HOLE) == s->data)
        return ERR_OK;
    s->found = offset > s->from ? offset : s->from;
    s->done = true;
    return ERR_CANCELED;
}

enum err reader_seek(struct reader *r, uint32_t domain, const struct content *content, uint64_t offset, bool data, uint64_t *ret_offset)
{
    if (offset >= content->length)
        return err_set(ERR_NOT_FOUND, "beyond the end");
    struct seeking seek = {.data = data, .from = offset};
    if (content->data_bytes == content->length) { /* no holes: the common case costs nothing */
        *ret_offset = data ? offset : content->length;
        return ERR_OK;
    }
    enum err e = reader_items(r, domain, CHUNK_DATA, content, offset, seek_item, &seek);
    if (e != ERR_OK && e != ERR_CANCELED)
        return e;
    if (!seek.done && data)
        return err_set(ERR_NOT_FOUND, "no data after this");
    *ret_offset = seek.done ? seek.found : content->length;
    return ERR_OK;
}

/* ---- attributes and texts ---- */

enum err reader_xattr(struct reader *r, uint32_t domain, const struct xattr *xattr, struct buf *ret_value)
{
    if (!xattr->in_chunk) {
        buf_put_slice(ret_value, xattr->value);
        return buf_check(ret_value);
    }
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    TRY(missing(reader_chunk(r, domain, CHUNK_TREE, &xattr->chunk, &ref), &xattr->chunk));
    if (ref.bytes.len != xattr->length)
        return err_set(ERR_CORRUPT, "extended attribute of %zu bytes, not %u", ref.bytes.len, xattr->length);
    buf_put_slice(ret_value, ref.bytes);
    return buf_check(ret_value);
}

static enum err read_text(struct reader *r, const struct snapshot_view *view, const struct content *content, struct buf *ret_text)
{
    if (content->length > TEXT_MAX_BYTES)
        return err_set(ERR_CORRUPT, "a text of %llu bytes", (unsigned long long)content->length);
    size_t got = 0;
    TRY(buf_resize(ret_text, (size_t)content->length + 1));
    ret_text->len = (size_t)content->length;
    ret_text->data[ret_text->len] = 0;
    return reader_read(r, view->info.domain, CHUNK_TREE, content, 0, ret_text->data, ret_text->len, &got);
}

enum err reader_manifest(struct reader *r, const struct snapshot_view *view, struct buf *ret_json)
{
    return read_text(r, view, &view->manifest, ret_json);
}

enum err reader_log(struct reader *r, const struct snapshot_view *view, struct buf *ret_text)
{
    return read_text(r, view, &view->log, ret_text);
}
