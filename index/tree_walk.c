/* walk.h, the half about names: snapshots, directories, paths, positions. */
#include <pthread.h>
#include <stdlib.h>

#include "index/reader.h"

enum { INDEX_LEVELS_MAX = 16 }; /* of one directory: 32 children a page at least */

enum err reader_new(struct index *index, struct fetcher *fetcher, size_t cache_bytes, struct reader **ret_reader)
{
    AUTO_PTR(reader) r = calloc(1, sizeof *r);
    if (!r)
        return err_set(ERR_NOMEM, "no memory for a reader");
    r->index = index;
    r->fetcher = fetcher;
    pthread_mutex_init(&r->lock, NULL);
    TRY(pages_new(index, fetcher, cache_bytes, &r->pages));
    *ret_reader = TAKE(r);
    return ERR_OK;
}

void reader_free(struct reader *r)
{
    if (!r)
        return;
    pages_free(r->pages);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

enum err reader_chunk(struct reader *r, uint32_t domain, enum chunk_kind kind, const struct chunk_id *id, struct chunk_ref *ret_ref)
{
    struct location where;
    TRY(index_find(r->index, domain, kind, id, NULL, &where));
    return fetch_chunk(r->fetcher, id, &where, ret_ref);
}

/* ---- nodes ---- */

static enum err node_make(const struct entry *entry, uint32_t domain, uint64_t position, struct node **ret_node)
{
    size_t bytes = entry->name.len + entry->target.len + entry->xattrs.len;
    struct node *node = calloc(1, sizeof *node + bytes);
    if (!node)
        return err_set(ERR_NOMEM, "no memory for a node");
    node->entry = *entry;
    node->position = position;
    node->domain = domain;
    uint8_t *at = (uint8_t *)(node + 1);
    struct slice *borrowed[] = {&node->entry.name, &node->entry.target, &node->entry.xattrs};
    for (size_t i = 0; i < sizeof borrowed / sizeof *borrowed; i++) {
        if (borrowed[i]->len)
            memcpy(at, borrowed[i]->data, borrowed[i]->len);
        borrowed[i]->data = at;
        at += borrowed[i]->len;
    }
    *ret_node = node;
    return ERR_OK;
}

void node_free(struct node *node)
{
    free(node);
}

enum err node_copy(const struct node *node, struct node **ret_node)
{
    return node_make(&node->entry, node->domain, node->position, ret_node);
}

void snapshot_view_free(struct snapshot_view *view)
{
    if (!view)
        return;
    node_free(view->root);
    free(view);
}

enum err reader_open_snapshot(struct reader *r, const struct snapshot_info *info, struct snapshot_view **ret_view)
{
    AUTO_PTR(snapshot_view) view = calloc(1, sizeof *view);
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    struct snapshot_root root;
    if (!view)
        return err_set(ERR_NOMEM, "no memory for a snapshot");
    view->info = *info;
    enum err e = reader_chunk(r, info->domain, CHUNK_TREE, &info->root, &ref);
    if (e == ERR_OK)
        e = snapshot_root_decode(ref.bytes, &root);
    if (e == ERR_NOT_FOUND)
        e = err_set(ERR_CORRUPT, "its root chunk %s is not in the store", hex_of(info->root.bytes, 32).text);
    if (e != ERR_OK)
        return err_add(e, "snapshot %s/%s", info->service, info->name);
    TRY(node_make(&root.root, info->domain, 0, &view->root));
    view->links = root.links;
    view->manifest = root.manifest;
    view->log = root.log;
    *ret_view = TAKE(view);
    return ERR_OK;
}

/* A page that a verified tree names must be there: not finding it is damage, not absence. */
static enum err page_get(struct reader *r, uint32_t domain, const struct chunk_id *id, struct decoded **ret_page)
{
    enum err e = pages_get(r->pages, domain, id, false, ret_page);
    return e == ERR_NOT_FOUND ? err_set(ERR_CORRUPT, "directory page %s is not in the store", hex_of(id->bytes, 32).text) : e;
}

/* ---- entries in order ---- */

struct listing {
    struct reader *reader;
    uint32_t domain;
    uint64_t first;
    entry_fn each;
    void *context;
};

/* Entries of one page and those below it. ordinal, position: of its first entry. */
static enum err page_entries(const struct listing *l, const struct chunk_id *id, uint64_t ordinal, uint64_t position, int level)
{
    if (level > INDEX_LEVELS_MAX)
        return err_set(ERR_CORRUPT, "directory index of more than %d levels", INDEX_LEVELS_MAX);
    struct decoded *d;
    TRY(page_get(l->reader, l->domain, id, &d));
    const struct page *page = &d->page;
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && page->is_index && i < page->count; i++) {
        const struct summary *below = &page->children[i].below;
        if (ordinal + below->entries > l->first)
            e = page_entries(l, &below->page, ordinal, position, level + 1);
        ordinal += below->entries;
        position += below->nodes;
    }
    if (!page->is_index) {
        size_t i = l->first > ordinal ? (size_t)(l->first - ordinal) : 0;
        for (; e == ERR_OK && i < page->count; i++)
            e = l->each(l->context, &page->entries[i], ordinal + i, position + page->nodes_before[i]);
    }
    pages_put(l->reader->pages, d);
    return e;
}

enum err reader_entries(struct reader *r, const struct node *dir, uint64_t first, entry_fn each, void *context)
{
    if (dir->entry.kind != NODE_DIR || first >= dir->entry.below.entries)
        return ERR_OK;
    struct listing listing = {r, dir->domain, first, each, context};
    return page_entries(&listing, &dir->entry.below.page, 0, dir->position + 1, 0);
}

/* ---- one entry ---- */

static int name_compare(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static enum err refused(const struct entry *entry)
{
    AUTO(buf) name = BUF_EMPTY;
    if (text_escape(entry->name, &name) != ERR_OK)
        return ERR_NOMEM;
    return err_set(ERR_UNSUPPORTED, "entry %s needs a newer version of yore", (const char *)name.data);
}

/* In a leaf: the entry of that name. */
static enum err leaf_lookup(const struct page *page, struct slice name, size_t *ret_at)
{
    size_t low = 0, high = page->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = name_compare(page->entries[middle].name, name);
        if (order == 0) {
            *ret_at = middle;
            return page->entries[middle].kind ? ERR_OK : refused(&page->entries[middle]);
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return err_set(ERR_NOT_FOUND, "no such entry");
}

enum err reader_lookup(struct reader *r, const struct node *dir, struct slice name, struct node **ret_node)
{
    if (dir->entry.kind != NODE_DIR || dir->entry.below.entries == 0)
        return err_set(ERR_NOT_FOUND, "no such entry");
    struct chunk_id id = dir->entry.below.page;
    uint64_t position = dir->position + 1;
    for (int level = 0; level <= INDEX_LEVELS_MAX; level++) {
        struct decoded *d;
        TRY(page_get(r, dir->domain, &id, &d));
        if (d->page.is_index) {
            size_t at = 0;
            while (at + 1 < d->page.count && name_compare(d->page.children[at + 1].first_name, name) <= 0)
                position += d->page.children[at++].below.nodes;
            id = d->page.children[at].below.page;
            pages_put(r->pages, d);
            continue;
        }
        size_t at = 0;
        enum err e = leaf_lookup(&d->page, name, &at);
        if (e == ERR_OK)
            e = node_make(&d->page.entries[at], dir->domain, position + d->page.nodes_before[at], ret_node);
        pages_put(r->pages, d);
        return e;
    }
    return err_set(ERR_CORRUPT, "directory index of more than %d levels", INDEX_LEVELS_MAX);
}

enum err reader_path(struct reader *r, const struct snapshot_view *view, struct slice path, struct node **ret_node)
{
    AUTO_PTR(node) at = NULL;
    TRY(node_copy(view->root, &at));
    for (size_t from = 0; from < path.len;) {
        const uint8_t *slash = memchr(path.data + from, '/', path.len - from);
        size_t to = slash ? (size_t)(slash - path.data) : path.len;
        struct slice name = slice_of(path.data + from, to - from);
        from = to + 1;
        if (name.len == 0 || slice_equal(name, slice_str(".")))
            continue;
        struct node *next = NULL;
        TRY(reader_lookup(r, at, name, &next));
        node_free(at);
        at = next;
    }
    *ret_node = TAKE(at);
    return ERR_OK;
}

/* The entry of dir whose own or whose descendants' position is `position` (> dir's). */
static enum err child_at(struct reader *r, const struct node *dir, uint64_t position, struct node **ret_node)
{
    struct chunk_id id = dir->entry.below.page;
    uint64_t start = dir->position + 1;
    for (int level = 0; level <= INDEX_LEVELS_MAX; level++) {
        struct decoded *d;
        TRY(page_get(r, dir->domain, &id, &d));
        const struct page *page = &d->page;
        if (page->is_index) {
            size_t at = 0;
            while (at + 1 < page->count && start + page->children[at].below.nodes <= position)
                start += page->children[at++].below.nodes;
            id = page->children[at].below.page;
            pages_put(r->pages, d);
            continue;
        }
        size_t low = 0, high = page->count;
        while (high - low > 1) {
            size_t middle = low + (high - low) / 2;
            if (start + page->nodes_before[middle] <= position)
                low = middle;
            else
                high = middle;
        }
        enum err e = page->entries[low].kind ? ERR_OK : refused(&page->entries[low]);
        if (e == ERR_OK)
            e = node_make(&page->entries[low], dir->domain, start + page->nodes_before[low], ret_node);
        pages_put(r->pages, d);
        return e;
    }
    return err_set(ERR_CORRUPT, "directory index of more than %d levels", INDEX_LEVELS_MAX);
}

enum err reader_position(struct reader *r, const struct snapshot_view *view, uint64_t position, struct node **ret_node,
                         struct buf *ret_path)
{
    AUTO_PTR(node) at = NULL;
    TRY(node_copy(view->root, &at));
    if (position > at->entry.below.nodes)
        return err_set(ERR_NOT_FOUND, "no node %llu in this snapshot", (unsigned long long)position);
    for (int depth = 0; at->position != position; depth++) {
        if (depth > TREE_MAX_DEPTH || at->entry.kind != NODE_DIR || at->entry.below.entries == 0)
            return err_set(ERR_CORRUPT, "the tree's counts do not lead to node %llu", (unsigned long long)position);
        struct node *next = NULL;
        TRY(child_at(r, at, position, &next));
        node_free(at);
        at = next;
        if (ret_path) {
            if (ret_path->len)
                buf_put_u8(ret_path, '/');
            buf_put_slice(ret_path, at->entry.name);
        }
    }
    if (ret_path)
        TRY(buf_check(ret_path));
    *ret_node = TAKE(at);
    return ERR_OK;
}

/* ---- links ---- */

enum err reader_links(struct reader *r, const struct snapshot_view *view, const struct entry *entry, uint64_t own_position,
                      uint64_t *ret_first, uint32_t *ret_members)
{
    *ret_first = own_position;
    *ret_members = 1;
    if (!entry->has_link)
        return ERR_OK;
    uint64_t low = 0, high = view->links.length / LINK_ROW_BYTES;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        uint8_t bytes[LINK_ROW_BYTES];
        size_t got;
        TRY(reader_read(r, view->info.domain, CHUNK_TREE, &view->links, middle * LINK_ROW_BYTES, bytes, sizeof bytes, &got));
        if (got != sizeof bytes)
            return err_set(ERR_CORRUPT, "link table cut short");
        struct link_row row = link_row_decode(bytes);
        int order = memcmp(row.group.bytes, entry->link.bytes, 16);
        if (order == 0) {
            *ret_first = row.position;
            *ret_members = row.members;
            return ERR_OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return ERR_OK;
}

/* ---- everything below ---- */

struct visiting {
    struct reader *reader;
    visit_fn each;
    void *context;
    uint32_t domain;
    struct buf path;       /* of the directory being listed */
    uint64_t next;         /* ordinal to go on from */
    struct node *descend;  /* a directory to go into now */
    bool found_dir;
    enum err result;       /* of each, when it stopped the walk */
};

struct level {
    struct node *dir;
    uint64_t next;
    size_t path_len;
};

static enum err visit_entry(void *context, const struct entry *entry, uint64_t ordinal, uint64_t position)
{
    struct visiting *v = context;
    size_t own = v->path.len;
    if (own)
        buf_put_u8(&v->path, '/');
    buf_put_slice(&v->path, entry->name);
    TRY(buf_check(&v->path));
    enum err e = v->each(v->context, buf_slice(&v->path), entry, position);
    v->next = ordinal + 1;
    bool go_in = e == ERR_OK && entry->kind == NODE_DIR && entry->below.entries > 0;
    if (go_in) {
        v->found_dir = true;
        return node_make(entry, v->domain, position, &v->descend) == ERR_OK ? ERR_CANCELED : ERR_NOMEM;
    }
    v->path.len = own;
    if (e == VISIT_PRUNE)
        return ERR_OK;
    v->result = e;
    return e;
}

static enum err level_push(struct level **stack, size_t *depth, size_t *cap, struct node *dir, size_t path_len)
{
    if (*depth == *cap) {
        size_t more = *cap ? *cap * 2 : 32;
        struct level *grown = realloc(*stack, more * sizeof *grown);
        if (!grown) {
            node_free(dir);
            return err_set(ERR_NOMEM, "no memory to walk a tree");
        }
        *stack = grown;
        *cap = more;
    }
    (*stack)[(*depth)++] = (struct level){dir, 0, path_len};
    return ERR_OK;
}

static enum err visit_levels(struct visiting *v, struct level **stack, size_t *depth, size_t *cap)
{
    while (*depth) {
        struct level *top = &(*stack)[*depth - 1];
        v->path.len = top->path_len;
        v->found_dir = false;
        enum err e = reader_entries(v->reader, top->dir, top->next, visit_entry, v);
        if (e == ERR_CANCELED && v->found_dir) {
            top->next = v->next;
            if (*depth >= TREE_MAX_DEPTH) {
                node_free(TAKE(v->descend));
                return err_set(ERR_CORRUPT, "a tree deeper than %d", TREE_MAX_DEPTH);
            }
            TRY(level_push(stack, depth, cap, TAKE(v->descend), v->path.len));
            continue;
        }
        TRY(e);
        node_free(top->dir);
        (*depth)--;
    }
    return ERR_OK;
}

enum err reader_visit(struct reader *r, const struct snapshot_view *view, const struct node *start, visit_fn each, void *context)
{
    struct visiting v = {.reader = r, .each = each, .context = context, .domain = view->info.domain};
    struct level *stack = NULL;
    size_t depth = 0, cap = 0;
    struct node *dir = NULL;
    enum err e = node_copy(start, &dir);
    if (e == ERR_OK)
        e = level_push(&stack, &depth, &cap, dir, 0);
    if (e == ERR_OK)
        e = visit_levels(&v, &stack, &depth, &cap);
    while (depth)
        node_free(stack[--depth].dir);
    free(stack);
    buf_clear(&v.path);
    return e;
}
