#include "writers/source/remember.h"

#include <stdlib.h>

void remember_entry(struct buf *rows, const struct entry *entry, const struct found *found)
{
    entry_encode(entry, rows);
    buf_put_varint(rows, found->inode);
    buf_put_u8(rows, found->fresh);
    buf_put_u8(rows, found->cut_class);
}

enum err remember_blob(const struct summary *below, size_t entries, const struct buf *rows, struct buf *ret_blob)
{
    ret_blob->len = 0;
    buf_put_u8(ret_blob, REMEMBER_VERSION);
    buf_put(ret_blob, below->page.bytes, sizeof below->page.bytes);
    buf_put_varint(ret_blob, below->entries);
    buf_put_varint(ret_blob, below->nodes);
    buf_put_varint(ret_blob, below->files);
    buf_put_varint(ret_blob, below->path_bytes);
    buf_put_varint(ret_blob, below->marks);
    buf_put_varint(ret_blob, below->bytes);
    buf_put_varint(ret_blob, entries);
    buf_put_slice(ret_blob, buf_slice(rows));
    TRY(buf_check(rows));
    return buf_check(ret_blob);
}

static enum err decode(struct cursor *c, struct known_dir *known)
{
    cursor_require(c, cursor_u8(c) == REMEMBER_VERSION);
    cursor_copy(c, known->below.page.bytes, sizeof known->below.page.bytes);
    known->below.entries = cursor_varint(c);
    known->below.nodes = cursor_varint(c);
    known->below.files = cursor_varint(c);
    known->below.path_bytes = cursor_varint(c);
    known->below.marks = cursor_varint(c);
    known->below.bytes = cursor_varint(c);
    size_t count = cursor_varint_max(c, cursor_left(c) / 8);
    TRY(cursor_check(c, "files cache"));
    known->entries = malloc((count + 1) * sizeof *known->entries);
    if (!known->entries)
        return err_set(ERR_NOMEM, "no memory for the files cache");
    for (size_t i = 0; i < count; i++) {
        struct known_entry *k = &known->entries[i];
        TRY(entry_decode(c, false, &k->entry));
        k->inode = cursor_varint(c);
        k->fresh = cursor_u8(c) != 0;
        k->cut_class = cursor_u8(c);
    }
    known->count = count;
    return cursor_finish(c, "files cache");
}

enum err remember_decode(struct buf *blob, struct known_dir *known)
{
    buf_move(&known->blob, blob);
    struct cursor c = cursor_of(buf_slice(&known->blob));
    enum err e = decode(&c, known);
    if (e != ERR_OK)
        known_dir_clear(known);
    return e == ERR_NOMEM ? e : ERR_OK;
}

bool remember_same(const struct known_entry *known, const struct found *f)
{
    const struct entry *e = &known->entry;
    if (known->fresh || e->kind != (enum node_kind)f->kind || known->inode != f->inode || e->mode != f->mode || e->uid != f->uid ||
        e->gid != f->gid)
        return false;
    if (e->mtime.secs != f->mtime_secs || e->mtime.nanos != f->mtime_nanos || e->ctime.secs != f->ctime_secs ||
        e->ctime.nanos != f->ctime_nanos)
        return false;
    if (e->kind == NODE_FILE)
        return e->content.length == f->size;
    if (e->kind == NODE_BLOCK || e->kind == NODE_CHAR)
        return e->major == f->major && e->minor == f->minor;
    return true;
}

bool remember_has_chunk(const struct known_entry *known)
{
    struct cursor c = cursor_of(known->entry.xattrs);
    struct xattr xattr;
    while (xattr_next(&c, &xattr))
        if (xattr.in_chunk)
            return true;
    return false;
}

bool summary_equal(const struct summary *a, const struct summary *b)
{
    return memcmp(a->page.bytes, b->page.bytes, sizeof a->page.bytes) == 0 && a->entries == b->entries && a->nodes == b->nodes &&
           a->files == b->files && a->path_bytes == b->path_bytes && a->marks == b->marks && a->bytes == b->bytes;
}
