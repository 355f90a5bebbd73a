#include "index/compare.h"

#include <stdlib.h>

/* Entries of one directory, copied: two directories are merged by name. */
struct names {
    struct node **nodes;
    size_t count, cap;
    uint32_t domain;
};

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        node_free(names->nodes[i]);
    free(names->nodes);
    *names = (struct names){0};
}

static enum err names_add(void *context, const struct entry *entry, uint64_t ordinal, uint64_t position)
{
    struct names *names = context;
    (void)ordinal;
    if (names->count == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 64;
        struct node **grown = realloc(names->nodes, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory to compare directories");
        names->nodes = grown;
        names->cap = cap;
    }
    const struct node shell = {.entry = *entry, .position = position, .domain = names->domain};
    TRY(node_copy(&shell, &names->nodes[names->count]));
    names->count++;
    return ERR_OK;
}

static enum err names_load(struct reader *reader, const struct node *dir, struct names *ret_names)
{
    ret_names->domain = dir ? dir->domain : 0;
    return dir ? reader_entries(reader, dir, 0, names_add, ret_names) : ERR_OK;
}

static bool same_summary(const struct summary *a, const struct summary *b)
{
    return memcmp(a->page.bytes, b->page.bytes, 32) == 0 && a->entries == b->entries;
}

bool entries_same_content(const struct entry *a, const struct entry *b)
{
    switch (a->kind) {
    case NODE_DIR:
        return same_summary(&a->below, &b->below);
    case NODE_FILE:
        if (a->content.length != b->content.length)
            return false;
        if (a->has_sha256 && b->has_sha256)
            return memcmp(a->sha256, b->sha256, 32) == 0;
        return a->content.how == b->content.how && memcmp(a->content.id.bytes, b->content.id.bytes, 32) == 0;
    case NODE_SYMLINK:
        return slice_equal(a->target, b->target);
    case NODE_BLOCK:
    case NODE_CHAR:
        return a->major == b->major && a->minor == b->minor;
    case NODE_FIFO:
    case NODE_SOCKET:
        break;
    }
    return true;
}

bool entries_same_metadata(const struct entry *a, const struct entry *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && timestamp_compare(a->mtime, b->mtime) == 0 &&
           slice_equal(a->xattrs, b->xattrs);
}

struct comparing {
    struct reader *reader;
    difference_fn each;
    void *context;
    struct buf path;
};

static enum err compare_dirs(struct comparing *c, const struct node *old_dir, const struct node *new_dir, int depth);

static enum err tell(struct comparing *c, enum difference what, const struct node *old_node, const struct node *new_node)
{
    return c->each(c->context, what, buf_slice(&c->path), old_node ? &old_node->entry : NULL, new_node ? &new_node->entry : NULL);
}

/* One name that is in either or in both. */
static enum err compare_nodes(struct comparing *c, const struct node *old_node, const struct node *new_node, int depth)
{
    size_t own = c->path.len;
    if (own)
        buf_put_u8(&c->path, '/');
    buf_put_slice(&c->path, (new_node ? new_node : old_node)->entry.name);
    TRY(buf_check(&c->path));
    bool old_dir = old_node && old_node->entry.kind == NODE_DIR, new_dir = new_node && new_node->entry.kind == NODE_DIR;
    enum err e = ERR_OK;
    if (!old_node || !new_node) {
        e = tell(c, old_node ? DIFF_REMOVED : DIFF_ADDED, old_node, new_node);
    } else if (old_node->entry.kind != new_node->entry.kind) {
        e = tell(c, DIFF_KIND, old_node, new_node);
    } else {
        bool content = old_dir || entries_same_content(&old_node->entry, &new_node->entry);
        if (!content)
            e = tell(c, DIFF_CONTENT, old_node, new_node);
        else if (!entries_same_metadata(&old_node->entry, &new_node->entry))
            e = tell(c, DIFF_METADATA, old_node, new_node);
    }
    bool equal_below = old_dir && new_dir && same_summary(&old_node->entry.below, &new_node->entry.below);
    if (e == ERR_OK && (old_dir || new_dir) && !equal_below)
        e = compare_dirs(c, old_dir ? old_node : NULL, new_dir ? new_node : NULL, depth + 1);
    c->path.len = own;
    return e;
}

static enum err compare_dirs(struct comparing *c, const struct node *old_dir, const struct node *new_dir, int depth)
{
    if (depth > TREE_MAX_DEPTH)
        return err_set(ERR_CORRUPT, "a tree deeper than %d", TREE_MAX_DEPTH);
    AUTO(names) old_names = {0}, new_names = {0};
    TRY(names_load(c->reader, old_dir, &old_names));
    TRY(names_load(c->reader, new_dir, &new_names));
    size_t i = 0, k = 0;
    while (i < old_names.count || k < new_names.count) {
        const struct node *old_node = i < old_names.count ? old_names.nodes[i] : NULL;
        const struct node *new_node = k < new_names.count ? new_names.nodes[k] : NULL;
        if (old_node && new_node) {
            struct slice a = old_node->entry.name, b = new_node->entry.name;
            int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
            order = order ? order : (a.len > b.len) - (a.len < b.len);
            if (order < 0)
                new_node = NULL;
            else if (order > 0)
                old_node = NULL;
        }
        i += old_node != NULL;
        k += new_node != NULL;
        TRY(compare_nodes(c, old_node, new_node, depth));
    }
    return ERR_OK;
}

enum err compare_trees(struct reader *reader, const struct node *old_node, const struct node *new_node, difference_fn each,
                       void *context)
{
    struct comparing c = {.reader = reader, .each = each, .context = context};
    enum err e = ERR_OK;
    if (old_node->entry.kind == NODE_DIR && new_node->entry.kind == NODE_DIR) {
        if (!same_summary(&old_node->entry.below, &new_node->entry.below))
            e = compare_dirs(&c, old_node, new_node, 0);
    } else {
        e = compare_nodes(&c, old_node, new_node, 0);
    }
    buf_clear(&c.path);
    return e;
}
