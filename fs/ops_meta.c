#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "fs/nodes.h"
#include "fs/ops.h"
#include "fs/reply.h"
#include "fs/root.h"
#include "fs/snapshots.h"

/* ---- attributes ---- */

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)info;
    struct fs *fs = fuse_req_userdata(req);
    struct stat st;
    double timeout = FOREVER_SECS;
    enum err e;
    atomic_fetch_add(&fs->counts.getattrs, 1);
    if (inode_snapshot(ino) == 0) {
        e = root_getattr(fs, ino, &st, &timeout);
    } else {
        struct held *h = NULL;
        e = nodes_get(fs->nodes, ino, &h);
        if (e == ERR_OK)
            stat_of_entry(&fs->rules, &h->node->entry, ino, h->links, &st);
        nodes_put(fs->nodes, h);
    }
    if (e == ERR_OK)
        fuse_reply_attr(req, &st, timeout);
    else
        reply_err(req, ino, e, ESTALE, "attributes");
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct fs *fs = fuse_req_userdata(req);
    char target[TARGET_MAX_BYTES + 1];
    enum err e;
    if (inode_snapshot(ino) == 0) {
        e = root_readlink(fs, ino, target);
    } else {
        struct held *h = NULL;
        e = nodes_get(fs->nodes, ino, &h);
        if (e == ERR_OK && h->node->entry.kind != NODE_SYMLINK)
            e = err_set(ERR_INVALID, "no symlink");
        if (e == ERR_OK) {
            struct slice t = h->node->entry.target;
            memcpy(target, t.data, t.len);
            target[t.len] = 0;
        }
        nodes_put(fs->nodes, h);
    }
    if (e == ERR_OK)
        fuse_reply_readlink(req, target);
    else
        reply_err(req, ino, e, ESTALE, "symlink");
}

/* ---- extended attributes ---- */

static enum err count_item(void *context, uint64_t offset, const struct item *item)
{
    (void)offset;
    uint64_t *chunks = context;
    *chunks += item->what == ITEM_DATA;
    return ERR_OK;
}

/*
 * Ours, readable but not listed, so that copies made with all attributes do not carry them:
 *     user.yore.snapshot   service/name
 *     user.yore.sha256     of a regular file, hex, if it was recorded
 *     user.yore.chunks     how many a regular file consists of
 */
static enum err own_xattr(struct fs *fs, uint64_t ino, const struct node *node, const char *name,
                          struct buf *out)
{
    const struct entry *entry = &node->entry;
    if (strcmp(name, "snapshot") == 0) {
        struct snapshot_facts snapshot;
        struct service_facts service;
        TRY(snapshots_number(fs->snapshots, inode_snapshot(ino), &snapshot));
        TRY(snapshots_service_number(fs->snapshots, snapshot.service, &service));
        buf_put_format(out, "%s/%s", service.name, snapshot.name);
    } else if (strcmp(name, "sha256") == 0 && entry->has_sha256) {
        buf_put_slice(out, slice_str(hex_of(entry->sha256, 32).text));
    } else if (strcmp(name, "chunks") == 0 && entry->kind == NODE_FILE) {
        uint64_t chunks = 0;
        TRY(reader_items(fs->reader, node->domain, CHUNK_DATA, &entry->content, 0, count_item,
                         &chunks));
        buf_put_format(out, "%llu", (unsigned long long)chunks);
    } else {
        return err_set(ERR_NOT_FOUND, "no such attribute");
    }
    return buf_check(out);
}

static enum err find_xattr(struct fs *fs, uint64_t ino, const struct node *node, const char *name,
                           struct buf *out)
{
    struct cursor list = cursor_of(node->entry.xattrs);
    struct xattr xattr;
    while (xattr_next(&list, &xattr))
        if (slice_equal(xattr.name, slice_str(name)))
            return reader_xattr(fs->reader, node->domain, &xattr, out);
    if (strncmp(name, "user.yore.", 10) == 0)
        return own_xattr(fs, ino, node, name + 10, out);
    return err_set(ERR_NOT_FOUND, "no such attribute");
}

/* What both have in common: the size alone is asked with size 0. */
static void reply_bytes(fuse_req_t req, const struct buf *bytes, size_t size)
{
    if (size == 0)
        fuse_reply_xattr(req, bytes->len);
    else if (bytes->len > size)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, (const char *)bytes->data, bytes->len);
}

/* Never ENOSYS: that would end all attributes for the life of the mount. */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct fs *fs = fuse_req_userdata(req);
    AUTO(buf) value = BUF_EMPTY;
    struct held *h = NULL;
    if (inode_snapshot(ino) == 0) {
        fuse_reply_err(req, ENODATA);
        return;
    }
    enum err e = nodes_get(fs->nodes, ino, &h);
    if (e == ERR_NOT_FOUND) {
        fuse_reply_err(req, ESTALE);
        return;
    }
    if (e == ERR_OK)
        e = find_xattr(fs, ino, h->node, name, &value);
    nodes_put(fs->nodes, h);
    if (e == ERR_OK)
        reply_bytes(req, &value, size);
    else
        reply_err(req, ino, e, ENODATA, "extended attribute");
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct fs *fs = fuse_req_userdata(req);
    AUTO(buf) names = BUF_EMPTY;
    struct held *h = NULL;
    enum err e = inode_snapshot(ino) == 0 ? ERR_OK : nodes_get(fs->nodes, ino, &h);
    if (e == ERR_OK && h) {
        struct cursor list = cursor_of(h->node->entry.xattrs);
        struct xattr xattr;
        while (xattr_next(&list, &xattr)) {
            buf_put_slice(&names, xattr.name);
            buf_put_u8(&names, 0);
        }
        e = buf_check(&names);
    }
    nodes_put(fs->nodes, h);
    if (e == ERR_OK)
        reply_bytes(req, &names, size);
    else
        reply_err(req, ino, e, ESTALE, "extended attributes");
}

/* ---- the whole ---- */

/* What the snapshots hold in the store, all used: nothing can be written here. */
void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    struct fs *fs = fuse_req_userdata(req);
    struct snapshots_totals totals;
    snapshots_get_totals(fs->snapshots, &totals);
    enum { BLOCK = 4096 };
    struct statvfs st = {
        .f_bsize = BLOCK,
        .f_frsize = BLOCK,
        .f_blocks = (totals.stored_bytes + BLOCK - 1) / BLOCK,
        .f_files = totals.nodes,
        .f_namemax = NAME_MAX_BYTES,
    };
    fuse_reply_statfs(req, &st);
}
