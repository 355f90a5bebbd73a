/*
 * check: trees. Everything that a snapshot reaches is there, decodes, and adds up; else the path is told.
 *
 * Pages and lists that were found clean are remembered with what they add up to: what snapshots share is walked once. What is not clean is
 * walked again for each snapshot, so that all paths are told.
 */
#include <stdlib.h>

#include "writers/care/check_inside.h"

enum { LEVELS_MAX = 16 };

/* A clean page (its sum) or list (its lengths). */
struct clean {
    struct chunk_id id;
    bool used;
    uint64_t sums[6];
};

struct trees {
    struct check *check;
    const struct snapshot_info *snapshot;
    struct buf path; /* of the directory at hand */
    struct clean *clean;
    size_t clean_count, clean_cap; /* a power of two */
};

/* A subdirectory or page still to be walked. */
struct child {
    struct slice name; /* empty: a page of the same directory */
    struct summary below;
    size_t offset; /* of the name in the names buf */
};
struct children {
    struct child *all;
    size_t count, cap;
    struct buf names;
};

static void children_clear(struct children *children)
{
    free(children->all);
    buf_clear(&children->names);
}

/* ---- telling ---- */

static void touched(struct trees *t, struct slice name, enum err code)
{
    size_t own = t->path.len;
    struct err_note note;
    err_take(code, &note);
    if (own && name.len)
        buf_put_u8(&t->path, '/');
    buf_put_slice(&t->path, name);
    struct check_finding finding = {
        .what = CHECK_TOUCHED, .snapshot = t->snapshot, .path = buf_slice(&t->path), .code = code, .text = note.text};
    atomic_fetch_add(code == ERR_UNSUPPORTED ? &t->check->newer : &t->check->touched, 1);
    if (t->check->options->finding) {
        pthread_mutex_lock(&t->check->lock);
        t->check->options->finding(t->check->options->context, &finding);
        pthread_mutex_unlock(&t->check->lock);
    }
    t->path.len = own;
}

/* Damage at name in the directory at hand: told; what stops the check is returned. */
static enum err at_name(struct trees *t, struct slice name, enum err e, bool *ret_clean)
{
    switch (e) {
    case ERR_OK:
        return e;
    case ERR_NOMEM:
    case ERR_NO_STORE:
    case ERR_UNREACHABLE:
    case ERR_AGAIN:
    case ERR_CANCELED:
        return e;
    default:
        *ret_clean = false;
        touched(t, name, e);
        return ERR_OK;
    }
}

/* ---- what is known to be clean ---- */

static struct clean *clean_slot(struct clean *table, size_t cap, const struct chunk_id *id)
{
    uint64_t h;
    memcpy(&h, id->bytes, 8);
    for (size_t i = (size_t)h & (cap - 1);; i = (i + 1) & (cap - 1))
        if (!table[i].used || memcmp(table[i].id.bytes, id->bytes, 32) == 0)
            return &table[i];
}

static const struct clean *clean_find(const struct trees *t, const struct chunk_id *id)
{
    const struct clean *slot = t->clean_cap ? clean_slot(t->clean, t->clean_cap, id) : NULL;
    return slot && slot->used ? slot : NULL;
}

static enum err clean_add(struct trees *t, const struct chunk_id *id, const uint64_t sums[6])
{
    if (t->clean_count * 2 >= t->clean_cap) {
        size_t cap = t->clean_cap ? t->clean_cap * 2 : 4096;
        struct clean *grown = calloc(cap, sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory to check trees");
        for (size_t i = 0; i < t->clean_cap; i++)
            if (t->clean[i].used)
                *clean_slot(grown, cap, &t->clean[i].id) = t->clean[i];
        free(t->clean);
        t->clean = grown;
        t->clean_cap = cap;
    }
    struct clean *slot = clean_slot(t->clean, t->clean_cap, id);
    *slot = (struct clean){.id = *id, .used = true};
    memcpy(slot->sums, sums, sizeof slot->sums);
    t->clean_count++;
    return ERR_OK;
}

/* ---- chunks ---- */

static enum err missing(enum err e, const struct chunk_id *id)
{
    return e == ERR_NOT_FOUND ? err_set(ERR_CORRUPT, "chunk %s is in no segment", hex_of(id->bytes, 32).text) : e;
}

/* A chunk that is only named here: is it there, as long as it should be, and, where its pack is suspect, can it be read? */
static enum err chunk_check(struct trees *t, enum chunk_kind kind, const struct chunk_id *id, uint64_t length)
{
    struct location where;
    uint32_t domain = t->snapshot->domain;
    TRY(missing(index_find(t->check->index, domain, kind, id, NULL, &where), id));
    if (where.length != length)
        return err_set(ERR_CORRUPT, "chunk %s has %u bytes, not %llu", hex_of(id->bytes, 32).text, where.length,
                       (unsigned long long)length);
    if (where.pack <= t->check->pack_max && !atomic_load(&t->check->suspect[where.pack]))
        return ERR_OK;
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    return missing(reader_chunk(t->check->reader, domain, kind, id, &ref), id);
}

static enum err tree_chunk(struct trees *t, const struct chunk_id *id, struct chunk_ref *ret_ref)
{
    atomic_fetch_add(&t->check->tree_chunks, 1);
    return missing(reader_chunk(t->check->reader, t->snapshot->domain, CHUNK_TREE, id, ret_ref), id);
}

/* ---- contents ---- */

static enum err list_check(struct trees *t, enum chunk_kind kind, const struct chunk_id *id, uint64_t length, uint64_t data_bytes,
                           int level_said)
{
    const struct clean *known = clean_find(t, id);
    const uint64_t sums[6] = {length, data_bytes, 0, 0, 0, 0};
    if (known && known->sums[0] == length && known->sums[1] == data_bytes)
        return ERR_OK;
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    AUTO(list) list = {0};
    TRY(tree_chunk(t, id, &ref));
    TRY(err_add(list_decode(ref.bytes, &list), "content list %s", hex_of(id->bytes, 32).text));
    if (list.length != length || list.data_bytes != data_bytes || (level_said >= 0 && list.level != (unsigned)level_said) ||
        list.level > LEVELS_MAX)
        return err_set(ERR_CORRUPT, "content list %s does not add up", hex_of(id->bytes, 32).text);
    for (size_t i = 0; i < list.count; i++) {
        const struct list_child *item = &list.children[i];
        if (list.level > 0)
            TRY(list_check(t, kind, &item->id, item->length, item->data_bytes, (int)list.level - 1));
        else if (item->what == ITEM_DATA)
            TRY(chunk_check(t, kind, &item->id, item->length));
    }
    return clean_add(t, id, sums);
}

static enum err content_check(struct trees *t, enum chunk_kind kind, const struct content *content)
{
    if (content->how == CONTENT_CHUNK)
        return chunk_check(t, kind, &content->id, content->length);
    return content->how == CONTENT_LIST ? list_check(t, kind, &content->id, content->length, content->data_bytes, -1) : ERR_OK;
}

static enum err entry_check(struct trees *t, const struct entry *entry)
{
    if (entry->kind == NODE_FILE) {
        atomic_fetch_add_explicit(&t->check->files, 1, memory_order_relaxed);
        TRY(content_check(t, CHUNK_DATA, &entry->content));
    }
    struct cursor list = cursor_of(entry->xattrs);
    struct xattr x;
    while (xattr_next(&list, &x)) {
        if (!x.in_chunk)
            continue;
        AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
        TRY(tree_chunk(t, &x.chunk, &ref));
        if (ref.bytes.len != x.length)
            return err_set(ERR_CORRUPT, "an extended attribute of %zu bytes, not %u", ref.bytes.len, x.length);
    }
    return ERR_OK;
}

/* ---- pages ---- */

static enum err child_add(struct children *children, struct slice name, const struct summary *below)
{
    if (children->count == children->cap) {
        size_t cap = children->cap ? children->cap * 2 : 16;
        struct child *grown = realloc(children->all, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory to check trees");
        children->all = grown;
        children->cap = cap;
    }
    children->all[children->count++] = (struct child){name, *below, children->names.len};
    buf_put_slice(&children->names, name);
    return buf_check(&children->names);
}

static void sum_add(struct summary *sum, const struct summary *other)
{
    sum->entries += other->entries;
    sum->nodes += other->nodes;
    sum->files += other->files;
    sum->path_bytes += other->path_bytes;
    sum->marks += other->marks;
    sum->bytes += other->bytes;
}

static bool sums_equal(const struct summary *a, const struct summary *b)
{
    return a->entries == b->entries && a->nodes == b->nodes && a->files == b->files && a->path_bytes == b->path_bytes &&
           a->marks == b->marks && a->bytes == b->bytes;
}

/* Its entries or pages, checked or kept for later; what they add up to. */
static enum err page_read(struct trees *t, const struct chunk_id *id, struct children *children, struct summary *ret_sum,
                          bool *ret_counts, bool *ret_clean)
{
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    AUTO(page) page = {0};
    TRY(tree_chunk(t, id, &ref));
    TRY(err_add(page_decode(ref.bytes, &page), "directory page %s", hex_of(id->bytes, 32).text));
    for (size_t i = 0; page.is_index && i < page.count; i++) {
        sum_add(ret_sum, &page.children[i].below);
        TRY(child_add(children, SLICE_EMPTY, &page.children[i].below));
    }
    for (size_t i = 0; !page.is_index && i < page.count; i++) {
        const struct entry *entry = &page.entries[i];
        if (entry->kind == 0) {
            *ret_counts = false; /* what it adds is not known; the page is as it was written, by who knows more than we do */
            TRY(at_name(t, entry->name, err_set(ERR_UNSUPPORTED, "it needs a newer version of yore"), ret_clean));
            continue;
        }
        summary_add(ret_sum, entry);
        TRY(at_name(t, entry->name, entry_check(t, entry), ret_clean));
        if (entry->kind == NODE_DIR && entry->below.entries)
            TRY(child_add(children, entry->name, &entry->below));
    }
    return ERR_OK;
}

static enum err page_check(struct trees *t, const struct summary *said, int depth, int level, bool *ret_clean);

static enum err child_check(struct trees *t, const struct children *children, const struct child *child, int depth, int level,
                            bool *ret_clean)
{
    size_t own = t->path.len;
    bool page = child->name.len == 0;
    if (!page) {
        if (own)
            buf_put_u8(&t->path, '/');
        buf_put(&t->path, children->names.data + child->offset, child->name.len);
        TRY(buf_check(&t->path));
    }
    enum err e = page_check(t, &child->below, page ? depth : depth + 1, page ? level + 1 : 0, ret_clean);
    t->path.len = own;
    return e;
}

/* A page and all below it. Damage of the page itself touches the directory at hand. */
static enum err page_check(struct trees *t, const struct summary *said, int depth, int level, bool *ret_clean)
{
    const struct clean *known = clean_find(t, &said->page);
    struct summary sum = {0};
    bool clean = true, counts = true;
    AUTO(children) children = {0};
    if (known) {
        const uint64_t *s = known->sums;
        const struct summary was = {.entries = s[0], .nodes = s[1], .files = s[2], .path_bytes = s[3], .marks = s[4], .bytes = s[5]};
        if (sums_equal(&was, said))
            return ERR_OK;
    }
    enum err e = ERR_OK;
    if (depth > TREE_MAX_DEPTH || level > LEVELS_MAX)
        e = err_set(ERR_CORRUPT, "a tree deeper than %d", TREE_MAX_DEPTH);
    if (e == ERR_OK)
        e = page_read(t, &said->page, &children, &sum, &counts, &clean);
    if (e == ERR_OK && counts && !sums_equal(&sum, said))
        e = err_set(ERR_CORRUPT, "directory page %s does not add up to what its parent says", hex_of(said->page.bytes, 32).text);
    TRY(at_name(t, SLICE_EMPTY, e, &clean));
    for (size_t i = 0; e == ERR_OK && i < children.count; i++)
        TRY(child_check(t, &children, &children.all[i], depth, level, &clean));
    if (!clean)
        *ret_clean = false;
    else if (!known)
        TRY(clean_add(t, &said->page,
                      (const uint64_t[6]){sum.entries, sum.nodes, sum.files, sum.path_bytes, sum.marks, sum.bytes}));
    return ERR_OK;
}

/* ---- snapshots ---- */

static enum err root_check(struct trees *t, const struct snapshot_root *root)
{
    const struct totals *totals = &t->snapshot->totals;
    const struct summary *below = &root->root.below;
    bool clean = true;
    static const char *const names[] = {"link table", "manifest", "log"};
    const struct content *contents[] = {&root->links, &root->manifest, &root->log};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        TRY(at_name(t, SLICE_EMPTY, err_add(content_check(t, CHUNK_TREE, contents[i]), "its %s", names[i]), &clean));
    if (totals->nodes != below->nodes || totals->files != below->files)
        TRY(at_name(t, SLICE_EMPTY,
                    err_set(ERR_CORRUPT, "its envelope says %llu nodes and %llu files, its tree %llu and %llu",
                            (unsigned long long)totals->nodes, (unsigned long long)totals->files, (unsigned long long)below->nodes,
                            (unsigned long long)below->files),
                    &clean));
    TRY(at_name(t, SLICE_EMPTY, entry_check(t, &root->root), &clean));
    return below->entries ? page_check(t, below, 0, 0, &clean) : ERR_OK;
}

static enum err snapshot_check(void *context, const struct snapshot_info *info)
{
    struct trees *t = context;
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    struct snapshot_root root;
    bool clean;
    t->snapshot = info;
    t->path.len = 0;
    atomic_fetch_add(&t->check->snapshots, 1);
    enum err e = tree_chunk(t, &info->root, &ref);
    if (e == ERR_OK)
        e = snapshot_root_decode(ref.bytes, &root);
    return e == ERR_OK ? root_check(t, &root) : at_name(t, SLICE_EMPTY, err_add(e, "its root"), &clean);
}

enum err check_trees(struct check *c)
{
    struct trees t = {.check = c};
    enum err e = index_snapshots(c->index, NULL, snapshot_check, &t);
    buf_clear(&t.path);
    free(t.clean);
    return e;
}
