#include "writers/source/remember.h"

void remember_entry(struct buf *rows, const struct entry *entry, const struct found *found)
{
    entry_encode(entry, rows);
    buf_put_varint(rows, found->inode);
    buf_put_u8(rows, found->fresh);
    buf_put_u8(rows, found->cut_class);
}

enum err remember_blob(const struct summary *below, size_t entries, const struct buf *rows,
                       struct buf *ret_blob)
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

void remember_open(struct buf *blob, struct known_dir *known)
{
    buf_move(&known->blob, blob);
    struct cursor c = cursor_of(buf_slice(&known->blob));
    cursor_require(&c, cursor_u8(&c) == REMEMBER_VERSION);
    cursor_copy(&c, known->below.page.bytes, sizeof known->below.page.bytes);
    known->below.entries = cursor_varint(&c);
    known->below.nodes = cursor_varint(&c);
    known->below.files = cursor_varint(&c);
    known->below.path_bytes = cursor_varint(&c);
    known->below.marks = cursor_varint(&c);
    known->below.bytes = cursor_varint(&c);
    known->count = cursor_varint_max(&c, cursor_left(&c) / 8);
    known->first = known->blob.len - cursor_left(&c);
    if (c.bad || known->blob.len >= UINT32_MAX)
        known_dir_clear(known);
}

enum err remember_next(const struct known_dir *known, size_t *at, uint32_t *ret_row,
                       struct known_entry *ret_entry)
{
    struct cursor c = cursor_of(slice_of(known->blob.data + *at, known->blob.len - *at));
    *ret_row = (uint32_t)*at;
    TRY(entry_decode(&c, false, &ret_entry->entry));
    ret_entry->inode = cursor_varint(&c);
    ret_entry->fresh = cursor_u8(&c) != 0;
    ret_entry->cut_class = cursor_u8(&c);
    TRY(cursor_check(&c, "files cache"));
    *at = known->blob.len - cursor_left(&c);
    return ERR_OK;
}

enum err remember_row(const struct known_dir *known, uint32_t row, struct known_entry *ret_entry)
{
    size_t at = row;
    return remember_next(known, &at, &row, ret_entry);
}

bool remember_same(const struct known_entry *known, const struct found *f)
{
    const struct entry *e = &known->entry;
    if (known->fresh || e->kind != (enum node_kind)f->kind || known->inode != f->inode ||
        e->mode != f->mode || e->uid != f->uid || e->gid != f->gid)
        return false;
    if (e->mtime.secs != f->mtime_secs || e->mtime.nanos != f->mtime_nanos ||
        e->ctime.secs != f->ctime_secs || e->ctime.nanos != f->ctime_nanos)
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
    return memcmp(a->page.bytes, b->page.bytes, sizeof a->page.bytes) == 0 &&
           a->entries == b->entries && a->nodes == b->nodes && a->files == b->files &&
           a->path_bytes == b->path_bytes && a->marks == b->marks && a->bytes == b->bytes;
}
