/* restore: open folders, counted; and their paths. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/xattr.h>

#include "fs/restore_inside.h"

/* ---- trails ---- */

struct trail *trail_new(struct trail *parent, struct slice name)
{
    struct trail *t = malloc(sizeof *t + name.len + 1);
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->parent = parent ? trail_ref(parent) : NULL;
    t->len = name.len;
    memcpy(t->name, name.data, name.len);
    t->name[name.len] = 0;
    return t;
}

struct trail *trail_ref(struct trail *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void trail_unref(struct trail *t)
{
    while (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        struct trail *parent = t->parent;
        free(t);
        t = parent;
    }
}

static size_t trail_depth(const struct trail *trail)
{
    size_t depth = 0;
    for (; trail; trail = trail->parent)
        depth++;
    return depth;
}

/* Its names from the target down; malloc'ed. */
static enum err trail_names(const struct trail *trail, const struct trail ***ret_names,
                            size_t *ret_count)
{
    size_t depth = trail_depth(trail);
    const struct trail **names = malloc((depth + 1) * sizeof *names);
    if (!names)
        return err_set(ERR_NOMEM, "no memory for a path");
    *ret_count = depth;
    for (; trail; trail = trail->parent)
        names[--depth] = trail;
    *ret_names = names;
    return ERR_OK;
}

void trail_path(const struct trail *trail, struct slice name, struct buf *ret_path)
{
    AUTO_MEM const struct trail **names = NULL;
    size_t count = 0;
    if (trail_names(trail, &names, &count) != ERR_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        if (ret_path->len)
            buf_put_u8(ret_path, '/');
        buf_put(ret_path, names[i]->name, names[i]->len);
    }
    if (name.len && ret_path->len)
        buf_put_u8(ret_path, '/');
    buf_put_slice(ret_path, name);
}

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

enum err trail_open(const struct restore *r, const struct trail *trail, int *ret_fd)
{
    AUTO_MEM const struct trail **names = NULL;
    size_t count = 0;
    TRY(trail_names(trail, &names, &count));
    int at = openat(r->root_fd, ".", FOLDER_FLAGS);
    for (size_t i = 0; at >= 0 && i < count; i++) {
        int next = openat(at, (const char *)names[i]->name, FOLDER_FLAGS);
        close(at);
        at = next;
    }
    if (at < 0)
        return err_errno("cannot open the folder of its other name");
    *ret_fd = at;
    return ERR_OK;
}

/* ---- folders ---- */

enum err folder_new(struct restore *r, int fd, struct trail *trail, struct node *node, bool made,
                    struct folder **ret_folder)
{
    struct folder *f = calloc(1, sizeof *f);
    struct stat st;
    enum err e = f ? ERR_OK : err_set(ERR_NOMEM, "no memory for a folder");
    if (e == ERR_OK && fd >= 0 && fstat(fd, &st) != 0)
        e = err_errno("cannot look at a folder");
    if (e != ERR_OK) {
        free(f);
        trail_unref(trail);
        node_free(node);
        if (fd >= 0)
            close(fd);
        return e;
    }
    atomic_init(&f->refs, 1);
    f->fd = fd;
    f->trail = trail;
    f->node = node;
    f->made = made;
    if (fd >= 0) {
        /* A set-gid folder, or one on a file system that hands groups down, gives its own group to
         * what is made in it. */
        f->owner_known =
            made && st.st_uid == r->euid && st.st_gid == r->egid && !(st.st_mode & S_ISGID);
        f->default_acl = !made && fgetxattr(fd, "system.posix_acl_default", NULL, 0) > 0;
    }
    *ret_folder = f;
    return ERR_OK;
}

struct folder *folder_ref(struct folder *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void folder_unref(struct restore *r, struct folder *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (f->fd >= 0) {
        struct stat st;
        if (f->node && !atomic_load(&r->stopping) && fstat(f->fd, &st) == 0) {
            struct now now = {st.st_uid, st.st_gid, st.st_mode & 07777, true, true};
            attrs_set_fd(r, NULL, f->fd, f->node, &now,
                         r->options->overwrite == OVERWRITE_ALWAYS && !f->made, f->trail,
                         SLICE_EMPTY);
        }
        close(f->fd);
    }
    trail_unref(f->trail);
    node_free(f->node);
    free(f);
}

/* Open a folder. Too many are open: those of handed-over batches close when their files are done. */
static int folder_open(struct restore *r, int at, const char *name)
{
    int fd = openat(at, name, FOLDER_FLAGS);
    for (int tries = 0; fd < 0 && errno == EMFILE && tries < 5000 && atomic_load(&r->queued); tries++) {
        usleep(1000);
        fd = openat(at, name, FOLDER_FLAGS);
    }
    return fd;
}

/* Something else than a folder stands where one must be. */
static enum err in_the_way(struct restore *r, const struct folder *parent, const char *name)
{
    if (r->options->overwrite == OVERWRITE_NEVER)
        return err_set(ERR_EXISTS, "something else than a folder is in the way");
    if (unlinkat(parent->fd, name, 0) != 0)
        return err_errno("cannot remove what is in the way");
    return mkdirat(parent->fd, name, 0700) == 0 ? ERR_OK : err_errno("cannot make the folder");
}

/* Make the folder, or accept the one that is there. *ret_fd -1 in a dry run when there is none. */
static enum err folder_make(struct restore *r, struct folder *parent, const struct node *node,
                            bool scaffold, int *ret_fd, bool *ret_made)
{
    char name[NAME_MAX_BYTES + 1];
    memcpy(name, node->entry.name.data, node->entry.name.len);
    name[node->entry.name.len] = 0;
    *ret_fd = -1;
    *ret_made = true;
    if (parent->fd < 0)
        return ERR_OK;
    if (!r->options->dry_run) {
        *ret_made = mkdirat(parent->fd, name, 0700) == 0;
        if (!*ret_made && errno != EEXIST)
            return err_errno("cannot make the folder");
        if (!*ret_made && r->options->overwrite == OVERWRITE_NEVER && !scaffold)
            return err_set(ERR_EXISTS, "the folder is there already");
    }
    *ret_fd = folder_open(r, parent->fd, name);
    if (*ret_fd < 0 && (errno == ENOTDIR || errno == ELOOP) && !r->options->dry_run) {
        TRY(in_the_way(r, parent, name));
        *ret_made = true;
        *ret_fd = folder_open(r, parent->fd, name);
    }
    if (r->options->dry_run) {
        *ret_made = *ret_fd < 0;
        return ERR_OK;
    }
    if (*ret_fd < 0)
        return err_errno("cannot open the folder");
    if (*ret_made && parent->default_acl) { /* it is not among our attributes */
        fremovexattr(*ret_fd, "system.posix_acl_default");
        fremovexattr(*ret_fd, "system.posix_acl_access");
        fchmod(*ret_fd, 0700);
    }
    return ERR_OK;
}

enum err folder_enter(struct restore *r, struct folder *parent, const struct node *node,
                      bool scaffold, struct folder **ret_folder)
{
    int fd;
    bool made;
    *ret_folder = NULL;
    enum err e = folder_make(r, parent, node, scaffold, &fd, &made);
    if (e != ERR_OK)
        return restore_entry_failed(r, parent->trail, node->entry.name, e);
    struct node *own = NULL;
    if (made || !scaffold)
        e = node_copy(node, &own);
    struct trail *trail = e == ERR_OK ? trail_new(parent->trail, node->entry.name) : NULL;
    if (e != ERR_OK || !trail) {
        node_free(own);
        if (fd >= 0)
            close(fd);
        return err_set(ERR_NOMEM, "no memory for a folder");
    }
    TRY(folder_new(r, fd, trail, own, made, ret_folder));
    if (!scaffold || made)
        atomic_fetch_add(&r->dirs, 1);
    restore_step(r, 1);
    return ERR_OK;
}
