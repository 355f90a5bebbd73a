#include <errno.h>
#include <stdlib.h>

#include "fs/meta.h"
#include "fs/nodes.h"
#include "fs/ops.h"
#include "fs/reply.h"
#include "fs/scratch.h"
#include "fs/snapshots.h"
#include "fs/sums.h"

/* ENOSYS once: the kernel never opens or closes anything again, and keeps what it read. */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino, (void)info;
    fuse_reply_err(req, ENOSYS);
}

static enum err read_snapshot_file(struct fs *fs, uint64_t ino, uint64_t offset, void *to,
                                   size_t len, size_t *ret_len)
{
    struct opened *o;
    enum err e;
    TRY(snapshots_open(fs->snapshots, inode_made_argument(ino), &o));
    if (inode_made_kind(ino) == MADE_SUMS)
        e = sums_read(fs->sums, o, offset, to, len, ret_len);
    else
        e = reader_read(fs->reader, o->view->info.domain, CHUNK_TREE,
                        inode_made_kind(ino) == MADE_LOG ? &o->view->log : &o->view->manifest,
                        offset, to, len, ret_len);
    snapshots_close(fs->snapshots, o);
    return e;
}

static enum err read_made(struct fs *fs, uint64_t ino, uint64_t offset, void *to, size_t len,
                          size_t *ret_len)
{
    switch (inode_made_kind(ino)) {
    case MADE_MANIFEST:
    case MADE_LOG:
    case MADE_SUMS:
        return read_snapshot_file(fs, ino, offset, to, len, ret_len);
    case MADE_STATUS:
    case MADE_METRICS:
        return meta_read(fs->meta, ino, offset, to, len, ret_len);
    default:
        return err_set(ERR_INVALID, "no file");
    }
}

static enum err read_node(struct fs *fs, uint64_t ino, uint64_t offset, void *to, size_t len,
                          size_t *ret_len)
{
    struct held *h;
    TRY(nodes_get(fs->nodes, ino, &h));
    enum err e = h->node->entry.kind == NODE_FILE
                     ? reader_read(fs->reader, h->node->domain, CHUNK_DATA, &h->node->entry.content,
                                   offset, to, len, ret_len)
                     : err_set(ERR_INVALID, "no regular file");
    nodes_put(fs->nodes, h);
    return e;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info)
{
    (void)info;
    struct fs *fs = fuse_req_userdata(req);
    size_t got = 0;
    void *to = scratch_get(size);
    atomic_fetch_add(&fs->counts.reads, 1);
    enum err e;
    if (!to)
        e = err_set(ERR_NOMEM, "no memory for a read of %zu bytes", size);
    else if (inode_snapshot(ino) == 0)
        e = read_made(fs, ino, (uint64_t)offset, to, size, &got);
    else
        e = read_node(fs, ino, (uint64_t)offset, to, size, &got);
    if (e != ERR_OK) {
        reply_err(req, ino, e, ESTALE, "read");
        return;
    }
    atomic_fetch_add(&fs->counts.read_bytes, got);
    fuse_reply_buf(req, to, got);
}

/* SEEK_DATA and SEEK_HOLE; the kernel does the others itself. */
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *info)
{
    (void)info;
    struct fs *fs = fuse_req_userdata(req);
    struct held *h = NULL;
    uint64_t found = (uint64_t)offset;
    if ((whence != SEEK_DATA && whence != SEEK_HOLE) || inode_snapshot(ino) == 0) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    enum err e = nodes_get(fs->nodes, ino, &h);
    if (e != ERR_OK) {
        reply_err(req, ino, e, ESTALE, "seek");
        return;
    }
    if (h->node->entry.kind != NODE_FILE)
        e = err_set(ERR_INVALID, "no regular file");
    else if (offset < 0)
        e = ERR_NOT_FOUND;
    else
        e = reader_seek(fs->reader, h->node->domain, &h->node->entry.content, (uint64_t)offset,
                        whence == SEEK_DATA, &found);
    nodes_put(fs->nodes, h);
    if (e == ERR_OK)
        fuse_reply_lseek(req, (off_t)found);
    else
        reply_err(req, ino, e, ENXIO, "seek");
}
