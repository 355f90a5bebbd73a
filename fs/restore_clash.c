/* restore: what is in the target already: clashes, told before anything is written, and leftovers, removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs/restore_inside.h"

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A stream of its own over an open folder. */
static enum err list_open(int fd, DIR **ret_list)
{
    int own = openat(fd, ".", FOLDER_FLAGS);
    *ret_list = own >= 0 ? fdopendir(own) : NULL;
    if (*ret_list)
        return ERR_OK;
    enum err e = err_errno("cannot list the folder");
    if (own >= 0)
        close(own);
    return e;
}

static void list_close(DIR *const *list)
{
    if (*list)
        closedir(*list);
}

/* ---- clashes ---- */

static enum err clash_entry(struct restore *r, const struct node *node, int fd, struct trail *trail, const char *name)
{
    AUTO_PTR(node) child = NULL;
    enum err e = reader_lookup(r->reader, node, slice_str(name), &child);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_CORRUPT || e == ERR_AUTH || e == ERR_UNSUPPORTED) { /* it might be one: say so */
        atomic_fetch_add(&r->clashes, 1);
        restore_tell(r, RESTORE_CLASH, trail, slice_str(name), e);
        return ERR_OK;
    }
    TRY(e);
    bool there;
    return clash_name(r, child, fd, trail, &there);
}

enum err clash_name(struct restore *r, const struct node *node, int fd, struct trail *trail, bool *ret_there)
{
    char name[NAME_MAX_BYTES + 1];
    struct stat st;
    memcpy(name, node->entry.name.data, node->entry.name.len);
    name[node->entry.name.len] = 0;
    *ret_there = fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_there)
        return errno == ENOENT ? ERR_OK : err_errno("cannot look at %s", name);
    atomic_fetch_add(&r->clashes, 1);
    restore_tell(r, RESTORE_CLASH, trail, node->entry.name, ERR_OK);
    if (!S_ISDIR(st.st_mode) || node->entry.kind != NODE_DIR)
        return ERR_OK;
    AUTO_FD below = openat(fd, name, FOLDER_FLAGS);
    if (below < 0)
        return ERR_OK; /* named already; what lies in it is not for us to see */
    struct trail *own = trail_new(trail, node->entry.name);
    if (!own)
        return err_set(ERR_NOMEM, "no memory for a path");
    enum err e = clash_contents(r, node, below, own);
    trail_unref(own);
    return e;
}

enum err clash_contents(struct restore *r, const struct node *node, int fd, struct trail *trail)
{
    __attribute__((cleanup(list_close))) DIR *list = NULL;
    TRY(list_open(fd, &list));
    for (struct dirent *at; (at = readdir(list));)
        if (!is_dots(at->d_name))
            TRY(clash_entry(r, node, fd, trail, at->d_name));
    return ERR_OK;
}

/* ---- leftovers ---- */

/* Empty a folder of which fd is a descriptor. Depth is that of what is removed. */
static enum err empty_folder(int fd, dev_t device)
{
    __attribute__((cleanup(list_close))) DIR *list = NULL;
    TRY(list_open(fd, &list));
    for (struct dirent *at; (at = readdir(list));) {
        if (is_dots(at->d_name))
            continue;
        if (unlinkat(fd, at->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return err_errno("cannot remove");
        AUTO_FD below = openat(fd, at->d_name, FOLDER_FLAGS);
        struct stat st;
        if (below < 0 || fstat(below, &st) != 0)
            return err_errno("cannot open a folder to remove");
        if (st.st_dev != device)
            return err_set(ERR_INVALID, "another file system is mounted in it");
        TRY(empty_folder(below, device));
        if (unlinkat(fd, at->d_name, AT_REMOVEDIR) != 0)
            return err_errno("cannot remove a folder");
    }
    return ERR_OK;
}

enum err remove_name(struct restore *r, int fd, const struct trail *trail, struct slice name)
{
    char text[NAME_MAX_BYTES + 1];
    if (name.len >= sizeof text)
        return err_set(ERR_INVALID, "a name of %zu bytes", name.len);
    memcpy(text, name.data, name.len);
    text[name.len] = 0;
    if (!r->options->dry_run && unlinkat(fd, text, 0) != 0) {
        struct stat here, st;
        if (errno != EISDIR && errno != EPERM)
            return err_errno("cannot remove");
        AUTO_FD below = openat(fd, text, FOLDER_FLAGS);
        if (below < 0 || fstat(below, &st) != 0 || fstat(fd, &here) != 0)
            return err_errno("cannot open a folder to remove");
        if (st.st_dev != here.st_dev)
            return err_set(ERR_INVALID, "another file system is mounted there");
        TRY(empty_folder(below, st.st_dev));
        if (unlinkat(fd, text, AT_REMOVEDIR) != 0)
            return err_errno("cannot remove a folder");
    }
    atomic_fetch_add(&r->removed, 1);
    restore_tell(r, RESTORE_REMOVED, trail, name, ERR_OK);
    return ERR_OK;
}

enum err leftovers_remove(struct restore *r, const struct node *node, struct folder *folder)
{
    if (!r->options->remove_others || folder->made || folder->fd < 0)
        return ERR_OK;
    __attribute__((cleanup(list_close))) DIR *list = NULL;
    TRY(list_open(folder->fd, &list));
    for (struct dirent *at; (at = readdir(list));) {
        AUTO_PTR(node) child = NULL;
        struct slice name = slice_str(at->d_name);
        /* Only a name that the verified directory lacks goes: where it cannot be read, all stays. */
        if (is_dots(at->d_name) || reader_lookup(r->reader, node, name, &child) != ERR_NOT_FOUND)
            continue;
        enum err e = remove_name(r, folder->fd, folder->trail, name);
        if (e != ERR_OK)
            TRY(restore_entry_failed(r, folder->trail, name, e));
    }
    return ERR_OK;
}
