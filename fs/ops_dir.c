#include <errno.h>
#include <stdlib.h>

#include "fs/nodes.h"
#include "fs/ops.h"
#include "fs/reply.h"
#include "fs/root.h"
#include "fs/scratch.h"
#include "fs/snapshots.h"

/* ---- lookup ---- */

static void entry_of(const struct fs *fs, const struct entry *entry, uint64_t ino, uint32_t links,
                     struct fuse_entry_param *ret_entry)
{
    *ret_entry = (struct fuse_entry_param){
        .ino = ino, .generation = 1, .attr_timeout = FOREVER_SECS, .entry_timeout = FOREVER_SECS};
    stat_of_entry(&fs->rules, entry, ino, links, &ret_entry->attr);
}

/* The node above one of a snapshot (NFS asks; the kernel's own walks do not). */
static enum err find_parent(struct fs *fs, struct opened *opened, uint64_t ino,
                            struct node **ret_node)
{
    AUTO(buf) path = BUF_EMPTY;
    AUTO_PTR(node) node = NULL;
    TRY(reader_position(fs->reader, opened->view, inode_position(ino), &node, &path));
    while (path.len && path.data[path.len - 1] != '/')
        path.len--;
    return reader_path(fs->reader, opened->view, buf_slice(&path), ret_node);
}

static enum err lookup_node(struct fs *fs, uint64_t parent, const char *name,
                            struct fuse_entry_param *ret_entry)
{
    struct held *dir = NULL, *found = NULL;
    struct opened *opened = NULL;
    struct node *node = NULL;
    enum err e = snapshots_open(fs->snapshots, inode_snapshot(parent), &opened);
    if (e == ERR_OK)
        e = nodes_get(fs->nodes, parent, &dir);
    if (e == ERR_NOT_FOUND)
        e = ERR_FENCED; /* the directory is not any more: another thing than a name it lacks */
    if (e == ERR_OK && strcmp(name, ".") == 0)
        e = node_copy(dir->node, &node);
    else if (e == ERR_OK && strcmp(name, "..") == 0)
        e = find_parent(fs, opened, parent, &node);
    else if (e == ERR_OK)
        e = reader_lookup(fs->reader, dir->node, slice_str(name), &node);
    if (e == ERR_OK)
        e = nodes_add(fs->nodes, opened, node, &found);
    if (e == ERR_OK)
        entry_of(fs, &found->node->entry, found->ino, found->links, ret_entry);
    nodes_put(fs->nodes, found);
    nodes_put(fs->nodes, dir);
    snapshots_close(fs->snapshots, opened);
    return e;
}

static enum err lookup_above(struct fs *fs, uint64_t ino, struct fuse_entry_param *ret_entry)
{
    struct snapshot_facts snapshot;
    TRY(snapshots_number(fs->snapshots, inode_snapshot(ino), &snapshot));
    *ret_entry = (struct fuse_entry_param){.ino = inode_made(MADE_SERVICE, snapshot.service),
                                           .generation = 1,
                                           .entry_timeout = SHORT_SECS};
    return root_getattr(fs, ret_entry->ino, &ret_entry->attr, &ret_entry->attr_timeout);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fuse_req_userdata(req);
    struct fuse_entry_param entry = {0};
    atomic_fetch_add(&fs->counts.lookups, 1);
    enum err e;
    if (inode_snapshot(parent) == 0)
        e = root_lookup(fs, parent, name, &entry);
    else if (inode_position(parent) == 0 && strcmp(name, "..") == 0)
        e = lookup_above(fs, parent, &entry);
    else
        e = lookup_node(fs, parent, name, &entry);
    if (e == ERR_OK)
        fuse_reply_entry(req, &entry);
    else
        reply_err(req, parent, e, ENOENT,
                  "lookup in a directory"); /* no negative entry: the name may come */
}

/* ---- listing ---- */

/* ENOSYS once: the kernel never opens or closes anything again, and keeps what it read. */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino, (void)info;
    fuse_reply_err(req, ENOSYS);
}

/* Offsets: 1 behind ".", 2 behind "..", n + 3 behind entry n. */
enum { DOTS = 2 };

struct filling {
    fuse_req_t req;
    struct fs *fs;
    const struct opened *opened; /* of a snapshot's directory */
    bool plus;
    char *buffer;
    size_t size, used;
};

/* ERR_CANCELED: it is full. */
static enum err fill(struct filling *f, const char *name, const struct fuse_entry_param *entry,
                     uint64_t next)
{
    char *to = f->buffer + f->used;
    size_t left = f->size - f->used;
    size_t need = f->plus ? fuse_add_direntry_plus(f->req, to, left, name, entry, (off_t)next)
                          : fuse_add_direntry(f->req, to, left, name, &entry->attr, (off_t)next);
    if (need > left)
        return ERR_CANCELED;
    f->used += need;
    return ERR_OK;
}

static enum err fill_made(void *context, const char *name, uint64_t ordinal,
                          const struct fuse_entry_param *entry)
{
    return fill(context, name, entry, ordinal + DOTS + 1);
}

static enum err fill_node(void *context, const struct entry *entry, uint64_t ordinal,
                          uint64_t position)
{
    struct filling *f = context;
    struct fuse_entry_param param = {0};
    char name[NAME_MAX_BYTES + 1];
    if (entry->name.len == 0 || entry->name.len > NAME_MAX_BYTES)
        return ERR_OK; /* so damaged that not even its name is there */
    memcpy(name, entry->name.data, entry->name.len);
    name[entry->name.len] = 0;
    uint64_t ino = 0;
    uint32_t links = 1;
    /* One we cannot number or read is listed by its name alone; a lookup will say what is wrong. */
    if (entry->kind &&
        nodes_number(f->fs->nodes, f->opened, entry, position, &ino, &links) == ERR_OK)
        entry_of(f->fs, entry, ino, links, &param);
    else
        param.attr = (struct stat){.st_ino = inode_of(f->opened->number, position),
                                   .st_mode = stat_kind(entry->kind)};
    return fill(f, name, &param, ordinal + DOTS + 1);
}

/* "." and "..": the kernel knows them by itself and takes only their numbers. */
static enum err fill_dots(struct filling *f, uint64_t ino, uint64_t offset)
{
    bool made = inode_snapshot(ino) == 0;
    struct fuse_entry_param self = {.attr = {.st_ino = ino, .st_mode = S_IFDIR}};
    struct fuse_entry_param above = {
        .attr = {.st_ino = made ? root_parent(f->fs, ino) : ino, .st_mode = S_IFDIR}};
    if (offset < 1)
        TRY(fill(f, ".", &self, 1));
    if (offset < 2)
        TRY(fill(f, "..", &above, 2));
    return ERR_OK;
}

static enum err fill_snapshot_dir(struct filling *f, uint64_t ino, uint64_t first)
{
    struct held *dir = NULL;
    struct opened *opened = NULL;
    enum err e = snapshots_open(f->fs->snapshots, inode_snapshot(ino), &opened);
    if (e == ERR_OK)
        e = nodes_get(f->fs->nodes, ino, &dir);
    f->opened = opened;
    if (e == ERR_OK)
        e = reader_entries(f->fs->reader, dir->node, first, fill_node, f);
    nodes_put(f->fs->nodes, dir);
    snapshots_close(f->fs->snapshots, opened);
    return e;
}

static void list(fuse_req_t req, uint64_t ino, size_t size, off_t offset, bool plus)
{
    struct fs *fs = fuse_req_userdata(req);
    struct filling f = {
        .req = req, .fs = fs, .plus = plus, .buffer = scratch_get(size), .size = size};
    atomic_fetch_add(&fs->counts.listings, 1);
    enum err e = f.buffer ? fill_dots(&f, ino, (uint64_t)offset)
                          : err_set(ERR_NOMEM, "no memory for a listing");
    uint64_t first = offset > DOTS ? (uint64_t)offset - DOTS : 0;
    if (e == ERR_OK && inode_snapshot(ino) == 0)
        e = root_list(fs, ino, first, fill_made, &f);
    else if (e == ERR_OK)
        e = fill_snapshot_dir(&f, ino, first);
    /* What is there goes out; the rest, or its error, with the next request. */
    if (e == ERR_OK || e == ERR_CANCELED || f.used > 0)
        fuse_reply_buf(req, f.buffer, f.used);
    else
        reply_err(req, ino, e, ESTALE, "listing");
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *info)
{
    (void)info;
    list(req, ino, size, offset, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    (void)info;
    list(req, ino, size, offset, true);
}
