/* restore: owners, extended attributes, modes, times. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

#include "fs/restore_inside.h"

/* What is being given its attributes: an open inode, or a name in a folder. */
struct object {
    int fd;     /* >= 0: an open inode */
    int dir_fd; /* else: a name in it */
    const char *at;
    char path[NAME_MAX_BYTES + 40]; /* of a name: /proc/self/fd/<dir>/<name> */
    const struct trail *trail;
    struct slice name;
};

static void attribute_failed(struct restore *r, const struct object *o, const char *what)
{
    atomic_fetch_add(&r->attributes_not_set, 1);
    restore_tell(r, RESTORE_ATTRIBUTE, o->trail, o->name, err_errno("%s", what));
}

static int object_chown(const struct object *o, uid_t uid, gid_t gid)
{
    return o->fd >= 0 ? fchown(o->fd, uid, gid)
                      : fchownat(o->dir_fd, o->at, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static int object_chmod(const struct object *o, mode_t mode)
{
    if (o->fd >= 0)
        return fchmod(o->fd, mode);
    /* An open path, so that no link is followed; it must not be opened for reading, it may be a
     * device. */
    AUTO_FD fd = openat(o->dir_fd, o->at, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return fd < 0 ? -1 : chmod(path, mode);
}

static int object_setxattr(const struct object *o, const char *name, struct slice value)
{
    return o->fd >= 0 ? fsetxattr(o->fd, name, value.data, value.len, 0)
                      : lsetxattr(o->path, name, value.data, value.len, 0);
}

/* Owner and group. True if they are as they should be now. */
static bool set_owner(struct restore *r, struct worker *w, const struct object *o,
                      const struct entry *entry, const struct now *now)
{
    if (now->owner_sure && now->uid == entry->uid && now->gid == entry->gid)
        return true;
    bool known_refused =
        w && w->refused && w->refused_uid == entry->uid && w->refused_gid == entry->gid;
    if (!known_refused && object_chown(o, entry->uid, entry->gid) == 0)
        return true;
    if (!known_refused && errno != EPERM && errno != EINVAL) {
        attribute_failed(r, o, "owner");
        return false;
    }
    if (w) {
        w->refused = true;
        w->refused_uid = entry->uid;
        w->refused_gid = entry->gid;
    }
    if (now->gid != entry->gid || !now->owner_sure)
        (void)!object_chown(o, (uid_t)-1, entry->gid); /* one of our groups, perhaps */
    atomic_fetch_add(&r->owners_not_set, 1);
    return false;
}

static bool listed(const struct node *node, const char *name)
{
    struct cursor list = cursor_of(node->entry.xattrs);
    struct xattr x;
    while (xattr_next(&list, &x))
        if (slice_equal(x.name, slice_str(name)))
            return true;
    return false;
}

/* Take away what it should not have: of those that belong to the user, not to the system. */
static void remove_others(const struct object *o, const struct node *node)
{
    if (o->fd < 0)
        return;
    ssize_t len = flistxattr(o->fd, NULL, 0);
    if (len <= 0)
        return;
    AUTO_MEM char *names = malloc((size_t)len);
    if (!names || (len = flistxattr(o->fd, names, (size_t)len)) <= 0)
        return;
    for (const char *at = names; at < names + len; at += strlen(at) + 1) {
        bool ours = strncmp(at, "user.", 5) == 0 || strncmp(at, "system.posix_acl_", 17) == 0 ||
                    strcmp(at, "security.capability") == 0;
        if (ours && !listed(node, at))
            fremovexattr(o->fd, at);
    }
}

static void set_xattrs(struct restore *r, const struct object *o, const struct node *node)
{
    struct cursor list = cursor_of(node->entry.xattrs);
    struct xattr x;
    while (xattr_next(&list, &x)) {
        AUTO(buf) value = BUF_EMPTY;
        char name[256];
        if (x.name.len >= sizeof name)
            continue;
        memcpy(name, x.name.data, x.name.len);
        name[x.name.len] = 0;
        enum err e = reader_xattr(r->reader, node->domain, &x, &value);
        if (e != ERR_OK) {
            atomic_fetch_add(&r->damaged, 1);
            restore_tell(r, RESTORE_DAMAGED, o->trail, o->name, err_add(e, "attribute %s", name));
            continue;
        }
        if (object_setxattr(o, name, buf_slice(&value)) == 0)
            continue;
        if (errno == EPERM && r->euid != 0)
            atomic_fetch_add(&r->xattrs_refused, 1);
        else
            attribute_failed(r, o, name);
    }
}

static void set_all(struct restore *r, struct worker *w, const struct object *o,
                    const struct node *node, const struct now *now, bool exact)
{
    const struct entry *entry = &node->entry;
    bool owned = set_owner(r, w, o, entry, now);
    if (exact)
        remove_others(o, node);
    if (entry->xattrs.len)
        set_xattrs(r, o, node);
    /* Set-id bits were given to the owner it had; another must not get them. */
    mode_t mode = owned ? entry->mode : entry->mode & 01777;
    bool mode_there = now->mode_sure && now->mode == mode && !entry->xattrs.len && !(mode & 06000);
    if (entry->kind != NODE_SYMLINK && !mode_there && object_chmod(o, mode) != 0)
        attribute_failed(r, o, "mode");
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {entry->mtime.secs, entry->mtime.nanos}};
    int set = o->fd >= 0 ? futimens(o->fd, times)
                         : utimensat(o->dir_fd, o->at, times, AT_SYMLINK_NOFOLLOW);
    if (set != 0)
        attribute_failed(r, o, "time of modification");
}

void attrs_set_fd(struct restore *r, struct worker *w, int fd, const struct node *node,
                  const struct now *now, bool exact, const struct trail *trail, struct slice name)
{
    struct object o = {.fd = fd, .trail = trail, .name = name};
    set_all(r, w, &o, node, now, exact);
}

void attrs_set_at(struct restore *r, struct worker *w, int dir_fd, const char *at,
                  const struct node *node, const struct now *now, const struct trail *trail)
{
    struct object o = {
        .fd = -1, .dir_fd = dir_fd, .at = at, .trail = trail, .name = node->entry.name};
    snprintf(o.path, sizeof o.path, "/proc/self/fd/%d/%s", dir_fd, at);
    set_all(r, w, &o, node, now, false);
}
