#include "writers/source/assemble.h"

#include <stdlib.h>

#include "fetch/crypto/digest.h"
#include "writers/source/remember.h"

struct assembler {
    struct files_run *run;
    struct sink_worker *trees;
    enum err (*tick)(void *context);
    void *context;
    uint64_t ticked_ns;
    struct buf xattrs, rows, blob;
    struct assembled *result;
};

#define TICK_NS UINT64_C(100000000)

static enum err tick(struct assembler *a)
{
    uint64_t now = clock_monotonic_ns();
    if (now - a->ticked_ns < TICK_NS)
        return ERR_OK;
    a->ticked_ns = now;
    return a->tick ? a->tick(a->context) : ERR_OK;
}

/* ---- entries ---- */

/* Attributes as they were read, in the form of a page; big values become chunks. */
static enum err encode_xattrs(struct sink_worker *trees, const struct found_extra *extra,
                              struct buf *out)
{
    out->len = 0;
    if (!extra)
        return ERR_OK;
    struct cursor c = cursor_of(buf_slice(&extra->xattrs));
    while (cursor_left(&c)) {
        struct xattr xattr = {.name = cursor_bytes(&c, NAME_MAX_BYTES)};
        xattr.value = cursor_bytes(&c, XATTR_VALUE_MAX_BYTES);
        xattr.length = (uint32_t)xattr.value.len;
        if (xattr.value.len > XATTR_INLINE_BYTES) {
            xattr.in_chunk = true;
            TRY(sink_put_tree(trees, xattr.value, &xattr.chunk));
        }
        xattr_put(out, &xattr);
    }
    TRY(cursor_check(&c, "extended attributes"));
    return buf_check(out);
}

/* A list that a worker left in pieces. */
static enum err finish_content(struct sink_worker *trees, struct file_result *result)
{
    if (!result->pieces)
        return ERR_OK;
    AUTO_PTR(list_builder) builder = NULL;
    TRY(list_builder_new(result->cut_class, sink_put_tree, trees, &builder));
    for (size_t i = 0; i < result->piece_count; i++) {
        struct item item = {
            .what = ITEM_DATA, .length = result->pieces[i].length, .id = result->pieces[i].id};
        TRY(list_builder_add(builder, &item));
    }
    TRY(list_builder_finish(builder, &result->content));
    free(result->pieces);
    result->pieces = NULL;
    return ERR_OK;
}

static enum err take_result(struct assembler *a, struct file_result *result, struct found *f,
                            struct entry *entry)
{
    if (!result) { /* an empty file: nobody opened it */
        entry->has_sha256 = a->run->file_hash;
        if (entry->has_sha256)
            sha256_of(SLICE_EMPTY, entry->sha256);
        return ERR_OK;
    }
    TRY(finish_content(a->trees, result));
    entry->content = result->content;
    entry->has_sha256 = result->has_sha256;
    memcpy(entry->sha256, result->sha256, sizeof entry->sha256);
    f->cut_class = result->cut_class;
    return ERR_OK;
}

/* Everything that a stat says. */
static void entry_base(const struct found *f, struct slice name, struct entry *entry)
{
    *entry = (struct entry){
        .name = name,
        .kind = f->kind,
        .mode = f->mode,
        .uid = f->uid,
        .gid = f->gid,
        .mtime = {f->mtime_secs, f->mtime_nanos},
        .ctime = {f->ctime_secs, f->ctime_nanos},
    };
}

/* The entry as the page has it. Borrows from dir and from a's buffers until the next. */
static enum err make_entry(struct assembler *a, struct found_dir *dir, struct found *f,
                           struct entry *ret)
{
    struct known_entry known;
    if (f->state == FOUND_SAME)
        TRY(remember_row(&dir->known, f->known, &known));
    if (f->state == FOUND_SAME && f->kind != NODE_DIR) {
        *ret = known.entry;
        return ERR_OK;
    }
    entry_base(f, found_name(dir, f), ret);
    if (f->state == FOUND_SAME) {
        ret->xattrs = known.entry.xattrs;
    } else {
        TRY(encode_xattrs(a->trees, f->extra, &a->xattrs));
        ret->xattrs = buf_slice(&a->xattrs);
    }
    if (f->kind != NODE_DIR && f->link) { /* a directory has its place there */
        ret->has_link = true;
        ret->link = f->link->group;
    }
    switch (ret->kind) {
    case NODE_DIR:
        if (f->below)
            ret->below = *f->below;
        return ERR_OK;
    case NODE_FILE:
        return take_result(a,
                           f->state == FOUND_LINKED ? f->link->result
                           : f->state == FOUND_READ ? f->result
                                                    : NULL,
                           f, ret);
    case NODE_SYMLINK:
        if (f->extra)
            ret->target = buf_slice(&f->extra->target);
        return ERR_OK;
    case NODE_BLOCK:
    case NODE_CHAR:
        ret->major = f->major;
        ret->minor = f->minor;
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

/* ---- directories ---- */

static bool is_left_out(const struct found *f)
{
    return f->state == FOUND_LEFT_OUT || (f->state == FOUND_LINKED && f->link->unreadable);
}

/* Is every entry, and all below, what the snapshot has that the cache is true of? */
static bool is_unchanged(const struct files_run *run, const struct found_dir *dir)
{
    if (!run->may_reuse || dir->incomplete || !dir->known.blob.data)
        return false;
    size_t same = 0;
    static const struct summary nothing;
    for (size_t i = 0; i < dir->count; i++) {
        const struct found *f = &dir->entries[i];
        if (is_left_out(f))
            continue;
        if (f->state != FOUND_SAME)
            return false;
        struct known_entry known;
        if (f->kind == NODE_DIR &&
            (remember_row(&dir->known, f->known, &known) != ERR_OK ||
             !summary_equal(f->below ? f->below : &nothing, &known.entry.below)))
            return false;
        same++;
    }
    return same == dir->known.count;
}

static enum err encode(struct assembler *a, struct found_dir *dir, struct summary *ret_below)
{
    AUTO_PTR(dir_builder) builder = NULL;
    TRY(dir_builder_new(a->run->domain->tree_cut, sink_put_tree, a->trees, &builder));
    a->rows.len = 0;
    size_t entries = 0;
    for (size_t i = 0; i < dir->count; i++) {
        struct found *f = &dir->entries[i];
        if (is_left_out(f))
            continue;
        struct entry entry;
        TRY(make_entry(a, dir, f, &entry));
        TRY(dir_builder_add(builder, &entry));
        remember_entry(&a->rows, &entry, f);
        entries++;
    }
    TRY(dir_builder_finish(builder, ret_below));
    if (dir->incomplete)
        return ERR_OK;
    TRY(remember_blob(ret_below, entries, &a->rows, &a->blob));
    struct filescache_key key;
    memcpy(key.bytes, dir->key, sizeof key.bytes);
    return filescache_put(a->run->cache, &key, buf_slice(&a->blob));
}

/* Where linked files and the directories above them stand (links.h). */
static enum err note_places(struct files_run *run, struct found_dir *dir)
{
    uint64_t offset = 1;
    for (size_t i = 0; i < dir->count; i++) {
        const struct found *f = &dir->entries[i];
        if (is_left_out(f))
            continue;
        if (f->kind == NODE_DIR && f->place)
            place_set(f->place, offset);
        if (f->kind != NODE_DIR && f->link)
            TRY(link_member(run->links, f->link, dir->place, offset));
        offset += 1 + (f->kind == NODE_DIR && f->below ? f->below->nodes : 0);
    }
    return ERR_OK;
}

static enum err hand_up(struct assembler *a, struct found_dir *dir, const struct summary *below)
{
    if (!dir->parent) {
        a->result->below = *below;
        return ERR_OK;
    }
    a->result->dirs++;
    dir->self->place = dir->place;
    dir->self->below = malloc(sizeof *below);
    if (!dir->self->below)
        return err_set(ERR_NOMEM, "no memory for a directory");
    *dir->self->below = *below;
    return ERR_OK;
}

static enum err finish_dir(struct assembler *a, struct found_dir *dir)
{
    struct files_run *run = a->run;
    enum err e;
    while ((e = run_wait_content(run, dir)) == ERR_AGAIN)
        TRY(tick(a));
    TRY(e);
    if (dir->place)
        TRY(note_places(run, dir));
    struct summary below = {0};
    if (is_unchanged(run, dir)) {
        below = dir->known.below;
        struct filescache_key key;
        memcpy(key.bytes, dir->key, sizeof key.bytes);
        TRY(filescache_keep(run->cache, &key));
    } else {
        TRY(encode(a, dir, &below));
    }
    return hand_up(a, dir, &below);
}

static enum err finish_all(struct assembler *a)
{
    for (;;) {
        bool timeout;
        struct found_dir *dir = files_run_next(a->run, &timeout);
        TRY(tick(a));
        if (!dir && timeout)
            continue;
        if (!dir)
            return run_failure(a->run);
        uint64_t entries = dir->count + 1;
        enum err e = finish_dir(a, dir);
        if (e != ERR_OK) {
            run_return(a->run, dir);
            return e;
        }
        found_dir_free(dir);
        run_assembled(a->run, entries);
    }
}

enum err assemble(struct files_run *run, struct sink_worker *trees,
                  enum err (*tick_fn)(void *context), void *context,
                  struct assembled *ret_assembled)
{
    *ret_assembled = (struct assembled){0};
    struct assembler a = {
        .run = run, .trees = trees, .tick = tick_fn, .context = context, .result = ret_assembled};
    enum err e = finish_all(&a);
    buf_clear(&a.xattrs);
    buf_clear(&a.rows);
    buf_clear(&a.blob);
    return e;
}

enum err assemble_root(struct files_run *run, struct sink_worker *trees,
                       const struct assembled *assembled, struct buf *xattrs,
                       struct entry *ret_entry)
{
    entry_base(&run->root, SLICE_EMPTY, ret_entry);
    TRY(encode_xattrs(trees, run->root.extra, xattrs));
    ret_entry->xattrs = buf_slice(xattrs);
    ret_entry->below = assembled->below;
    return ERR_OK;
}
