#include "fs/refuse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fetch/base/log.h"
#include "fs/mounts.h"
#include "fs/timename.h"

enum { DEAD_MOUNTS_MAX = 16 };

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is the folder `what` among path and the folders above it? Compared as files, so bind mounts and
 * symlinks hide nothing. */
static bool lies_in(const char *path, const struct stat *what)
{
    AUTO_MEM char *at = strdup(path);
    struct stat st;
    while (at && *at) {
        if (stat(at, &st) == 0 && same_file(&st, what))
            return true;
        char *slash = strrchr(at, '/');
        if (!slash)
            break;
        *slash = 0;
    }
    return stat("/", &st) == 0 && same_file(&st, what);
}

enum err refuse_overlap(const char *mountpoint, const char *ours, const char *what)
{
    /* What does not exist yet will be made below what does. */
    AUTO_MEM char *there = strdup(ours);
    struct stat st_mount, st_ours;
    if (!there)
        return err_set(ERR_NOMEM, "no memory for a path");
    bool exists = true;
    while (stat(there, &st_ours) != 0) {
        char *slash = strrchr(there, '/');
        if (!slash || slash == there)
            return ERR_OK;
        *slash = 0;
        exists = false;
    }
    AUTO_MEM char *real = realpath(there, NULL);
    if (!real || stat(mountpoint, &st_mount) != 0)
        return err_errno("%s", real ? mountpoint : there);
    if (lies_in(real, &st_mount))
        return err_set(ERR_INVALID, "mounting over %s would hide the %s %s", mountpoint, what,
                       ours);
    if (exists && lies_in(mountpoint, &st_ours))
        return err_set(ERR_INVALID, "%s lies in the %s %s: mount somewhere else", mountpoint, what,
                       ours);
    return ERR_OK;
}

static enum err clear_dead(const char *path)
{
    struct mounted mounted;
    for (int i = 0; i < DEAD_MOUNTS_MAX; i++) {
        TRY(mounts_find(path, &mounted));
        if (mounted.ours && !mounted.dead)
            return err_set(ERR_EXISTS, "a yore mount is at %s already", path);
        if (!mounted.dead)
            return ERR_OK;
        if (!mounted.ours)
            return err_set(ERR_INVALID,
                           "at %s is a dead mount of another program: unmount it first", path);
        log_warn("clearing away a dead mount at %s", path);
        TRY(mounts_remove(path, true));
    }
    return err_set(ERR_INVALID, "more than %d dead mounts at %s", DEAD_MOUNTS_MAX, path);
}

enum err refuse_check(const struct mount_options *options, char **ret_path)
{
    AUTO_MEM char *path = NULL;
    struct stat st;
    if (options->time_format)
        TRY(time_format_check(options->time_format));
    TRY(mounts_resolve(options->mountpoint, &path));
    TRY(clear_dead(path));
    if (stat(path, &st) != 0)
        return err_errno("mountpoint %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(ERR_INVALID, "mountpoint %s is no directory", path);
    const char *store = store_local_path(options->access->store);
    if (store)
        TRY(refuse_overlap(path, store, "store"));
    if (options->cache_dir)
        TRY(refuse_overlap(path, options->cache_dir, "cache"));
    if (options->log_path)
        TRY(refuse_overlap(path, options->log_path, "log"));
    *ret_path = TAKE(path);
    return ERR_OK;
}
