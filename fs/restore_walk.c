/* restore: the walker. It makes folders and hands batches of everything else over, in the order of the tree. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs/restore_inside.h"

struct walk {
    struct restore *restore;
    struct batch *batch;   /* being filled */
    struct folder *folder; /* being listed */
    uint32_t domain;
    uint64_t next;         /* ordinal to go on from */
    struct node *descend;  /* a directory to go into now */
    bool found_dir;
};

/* One open directory on the way down. */
struct level {
    struct node *dir;
    struct folder *folder;
    uint64_t next;
};

/* ---- batches ---- */

static enum err batch_hand_over(struct walk *w)
{
    struct restore *r = w->restore;
    if (!w->batch || w->batch->count == 0)
        return ERR_OK;
    atomic_fetch_add(&r->queued, 1);
    enum err e = queue_put(r->queue, w->batch);
    if (e == ERR_OK)
        w->batch = NULL;
    else
        atomic_fetch_sub(&r->queued, 1);
    return e;
}

static enum err batch_add(struct walk *w, const struct node *node)
{
    if (!w->batch)
        w->batch = calloc(1, sizeof *w->batch);
    if (!w->batch)
        return err_set(ERR_NOMEM, "no memory to restore");
    struct task *t = &w->batch->tasks[w->batch->count];
    TRY(node_copy(node, &t->node));
    t->folder = folder_ref(w->folder);
    w->batch->count++;
    if (node->entry.kind == NODE_FILE)
        w->batch->bytes += node->entry.content.length;
    return w->batch->count == BATCH_TASKS || w->batch->bytes >= BATCH_BYTES ? batch_hand_over(w) : ERR_OK;
}

/* What would become of it: counted only. */
static void dry_entry(struct walk *w, const struct node *node)
{
    struct restore *r = w->restore;
    struct stat st;
    char name[NAME_MAX_BYTES + 1];
    memcpy(name, node->entry.name.data, node->entry.name.len);
    name[node->entry.name.len] = 0;
    bool there = w->folder->fd >= 0 && fstatat(w->folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (node->entry.kind != NODE_FILE) {
        atomic_fetch_add(&r->others, 1);
    } else if (there && r->options->overwrite == OVERWRITE_CHANGED && unchanged_file(&node->entry, &st)) {
        atomic_fetch_add(&r->unchanged, 1);
    } else {
        atomic_fetch_add(&r->files, 1);
        atomic_fetch_add(&r->bytes, node->entry.content.data_bytes);
    }
    restore_step(r, 1);
}

static enum err entry_add(struct walk *w, const struct node *node)
{
    struct restore *r = w->restore;
    if (node->entry.kind == 0) { /* the page is as it was written: by who knows more than we do */
        enum err e = err_set(ERR_UNSUPPORTED, "it needs a newer version of yore");
        return restore_entry_failed(r, w->folder->trail, node->entry.name, e);
    }
    if (!r->options->dry_run)
        return batch_add(w, node);
    dry_entry(w, node);
    return ERR_OK;
}

/* ---- down and up ---- */

static enum err walk_entry(void *context, const struct entry *entry, uint64_t ordinal, uint64_t position)
{
    struct walk *w = context;
    if (atomic_load_explicit(&w->restore->stopping, memory_order_relaxed))
        return err_set(ERR_CANCELED, "stopped");
    const struct node shell = {.entry = *entry, .position = position, .domain = w->domain};
    w->next = ordinal + 1;
    if (entry->kind != NODE_DIR)
        return entry_add(w, &shell);
    TRY(node_copy(&shell, &w->descend));
    w->found_dir = true;
    return ERR_CANCELED; /* go in, then go on here */
}

struct stack {
    struct level *levels;
    size_t depth, cap;
};

/* Takes over dir and folder. */
static enum err stack_push(struct restore *r, struct stack *s, struct node *dir, struct folder *folder)
{
    if (s->depth == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 32;
        struct level *grown = realloc(s->levels, cap * sizeof *grown);
        if (!grown) {
            node_free(dir);
            folder_unref(r, folder);
            return err_set(ERR_NOMEM, "no memory to walk a tree");
        }
        s->levels = grown;
        s->cap = cap;
    }
    s->levels[s->depth++] = (struct level){dir, folder, 0};
    return ERR_OK;
}

static void stack_pop(struct restore *r, struct stack *s)
{
    struct level *top = &s->levels[--s->depth];
    node_free(top->dir);
    folder_unref(r, top->folder);
}

/* Go into w->descend, which is in the top folder. */
static enum err walk_down(struct walk *w, struct stack *s)
{
    struct restore *r = w->restore;
    AUTO_PTR(node) dir = TAKE(w->descend);
    struct folder *parent = s->levels[s->depth - 1].folder, *folder;
    if (s->depth >= TREE_MAX_DEPTH)
        return restore_entry_failed(r, parent->trail, dir->entry.name, err_set(ERR_CORRUPT, "deeper than %d folders", TREE_MAX_DEPTH));
    TRY(folder_enter(r, parent, dir, false, &folder));
    if (!folder)
        return ERR_OK;
    enum err e = leftovers_remove(r, dir, folder);
    if (e != ERR_OK) {
        folder_unref(r, folder);
        return e;
    }
    return stack_push(r, s, TAKE(dir), folder);
}

static bool is_damage(enum err e)
{
    return e == ERR_CORRUPT || e == ERR_AUTH || e == ERR_NOT_FOUND;
}

/*
 * A page of a directory is damaged at w->next. Its entries are lost, those of other pages are not: go on behind it. How many it held
 * only it knows, so try one by one (a page has at most PAGE_MAX_ENTRIES). Returns as reader_entries did once it got on.
 */
static enum err skip_damage(struct walk *w, const struct level *top, enum err e)
{
    struct restore *r = w->restore;
    uint64_t all = top->dir->entry.below.entries, from = w->next, at = from;
    struct err_note why, result;
    err_take(e, &why);
    do {
        w->next = ++at;
        e = at < all ? reader_entries(r->reader, top->dir, at, walk_entry, w) : ERR_OK;
    } while (is_damage(e) && w->next == at && at - from < 64 * PAGE_MAX_ENTRIES);
    if (is_damage(e) && w->next == at) { /* enough: the rest counts as lost */
        w->next = at = all;
        e = ERR_OK;
    }
    err_take(e, &result);
    enum err lost = err_set(why.code == ERR_AUTH ? ERR_AUTH : ERR_CORRUPT, "%llu of its %llu entries are lost: %s",
                            (unsigned long long)(at - from), (unsigned long long)all, why.text);
    TRY(restore_entry_failed(r, top->folder->trail, SLICE_EMPTY, lost));
    return err_raise(&result);
}

static enum err walk_levels(struct walk *w, struct stack *s)
{
    while (s->depth) {
        struct level *top = &s->levels[s->depth - 1];
        w->folder = top->folder;
        w->domain = top->dir->domain;
        w->next = top->next;
        w->found_dir = false;
        enum err e = reader_entries(w->restore->reader, top->dir, top->next, walk_entry, w);
        while (is_damage(e))
            e = skip_damage(w, top, e);
        top->next = w->next;
        if (e == ERR_CANCELED && w->found_dir) {
            TRY(walk_down(w, s));
            continue;
        }
        TRY(e);
        stack_pop(w->restore, s);
    }
    return ERR_OK;
}

enum err walk_contents(struct restore *r, const struct node *node, struct folder *folder)
{
    struct walk w = {.restore = r};
    struct stack s = {0};
    struct node *dir;
    TRY(leftovers_remove(r, node, folder));
    TRY(node_copy(node, &dir));
    enum err e = stack_push(r, &s, dir, folder_ref(folder));
    if (e == ERR_OK)
        e = walk_levels(&w, &s);
    if (e == ERR_OK)
        e = batch_hand_over(&w);
    while (s.depth)
        stack_pop(r, &s);
    free(s.levels);
    batch_free(r, w.batch);
    node_free(w.descend);
    return e;
}

enum err walk_one(struct restore *r, const struct node *node, struct folder *folder)
{
    struct walk w = {.restore = r, .folder = folder, .domain = node->domain};
    enum err e = entry_add(&w, node);
    if (e == ERR_OK)
        e = batch_hand_over(&w);
    batch_free(r, w.batch);
    return e;
}
