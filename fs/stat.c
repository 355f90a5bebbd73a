#include "fs/stat.h"

#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    DIR_BYTES = 4096
}; /* what a small directory has on ext4: du and find then say what people know */

mode_t stat_kind(enum node_kind kind)
{
    switch (kind) {
    case NODE_DIR:
        return S_IFDIR;
    case NODE_FILE:
        return S_IFREG;
    case NODE_SYMLINK:
        return S_IFLNK;
    case NODE_BLOCK:
        return S_IFBLK;
    case NODE_CHAR:
        return S_IFCHR;
    case NODE_FIFO:
        return S_IFIFO;
    case NODE_SOCKET:
        return S_IFSOCK;
    }
    return 0;
}

static struct timespec time_of(struct timestamp t)
{
    return (struct timespec){.tv_sec = t.secs, .tv_nsec = t.nanos};
}

static void set_size(struct stat *st, uint64_t size, uint64_t data_bytes)
{
    st->st_size = (off_t)size;
    st->st_blocks = (blkcnt_t)(data_bytes / 512 + (data_bytes % 512 != 0));
}

static void set_owner(const struct stat_rules *rules, struct stat *st)
{
    if (rules->has_uid)
        st->st_uid = rules->uid;
    if (rules->has_gid)
        st->st_gid = rules->gid;
    if (!S_ISLNK(st->st_mode))
        st->st_mode &= ~(rules->umask & 07777);
}

void stat_of_entry(const struct stat_rules *rules, const struct entry *entry, uint64_t ino,
                   uint32_t links, struct stat *ret_stat)
{
    struct stat st = {
        .st_ino = ino,
        .st_mode = stat_kind(entry->kind) | (entry->mode & 07777),
        /* One link for a directory, as on btrfs: how many directories it holds is not known without
           a look. */
        .st_nlink = links,
        .st_uid = entry->uid,
        .st_gid = entry->gid,
        .st_blksize = 4096,
        .st_atim = time_of(entry->mtime),
        .st_mtim = time_of(entry->mtime),
        .st_ctim = time_of(entry->ctime),
    };
    if (entry->kind == NODE_DIR)
        set_size(&st, DIR_BYTES, DIR_BYTES);
    else if (entry->kind == NODE_FILE)
        set_size(&st, entry->content.length,
                 entry->content.how == CONTENT_LIST ? entry->content.data_bytes
                                                    : entry->content.length);
    else if (entry->kind == NODE_SYMLINK)
        set_size(&st, entry->target.len, 0);
    else if (entry->kind == NODE_BLOCK || entry->kind == NODE_CHAR)
        st.st_rdev = makedev(entry->major, entry->minor);
    set_owner(rules, &st);
    *ret_stat = st;
}

void stat_of_made(const struct stat_rules *rules, uint64_t ino, mode_t mode, uint64_t size,
                  struct timestamp time, struct stat *ret_stat)
{
    struct stat st = {
        .st_ino = ino,
        .st_mode = mode,
        .st_nlink = 1,
        .st_uid = geteuid(),
        .st_gid = getegid(),
        .st_blksize = 4096,
        .st_atim = time_of(time),
        .st_mtim = time_of(time),
        .st_ctim = time_of(time),
    };
    set_size(&st, S_ISDIR(mode) ? DIR_BYTES : size, S_ISDIR(mode) ? DIR_BYTES : size);
    set_owner(rules, &st);
    *ret_stat = st;
}
