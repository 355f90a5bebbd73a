#include "fs/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fetch/base/file.h"
#include "fs/fs.h"

extern char **environ;

enum { MOUNTINFO_MAX_BYTES = 16 << 20 };

/* A field of mountinfo: blanks, tabs, newlines and backslashes stand as \ooo. */
static bool field_is(const char *field, size_t len, const char *path)
{
    size_t i = 0;
    for (; i < len && *path; path++) {
        unsigned char c = (unsigned char)field[i];
        if (c == '\\' && i + 3 < len) {
            c = (unsigned char)((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 |
                                (field[i + 3] - '0'));
            i += 4;
        } else {
            i++;
        }
        if (c != (unsigned char)*path)
            return false;
    }
    return i == len && !*path;
}

/* The n-th field (0-based) of a line; its length. */
static const char *field_at(const char *line, const char *end, int n, size_t *ret_len)
{
    for (; n > 0 && line < end; n--) {
        const char *blank = memchr(line, ' ', (size_t)(end - line));
        line = blank ? blank + 1 : end;
    }
    const char *blank = memchr(line, ' ', (size_t)(end - line));
    *ret_len = (size_t)((blank ? blank : end) - line);
    return line;
}

void mounts_parse(const char *text, const char *path, struct mounted *ret_mounted)
{
    *ret_mounted = (struct mounted){0};
    for (const char *line = text; *line;) {
        const char *end = strchrnul(line, '\n');
        size_t len;
        const char *field = field_at(line, end, 4, &len);
        if (field_is(field, len, path)) {
            /* Optional fields end with a lone dash; the type follows it. Later lines lie on top. */
            const char *dash = memmem(field, (size_t)(end - field), " - ", 3);
            const char *type = dash ? dash + 3 : end;
            size_t left = (size_t)(end - type), type_len = strlen(MOUNT_TYPE);
            ret_mounted->any = true;
            ret_mounted->ours = left > type_len && memcmp(type, MOUNT_TYPE " ", type_len + 1) == 0;
        }
        line = *end ? end + 1 : end;
    }
}

/* The kernel may still remember attributes of a dead mount: it must ask. */
static bool is_dead(const char *path)
{
    struct statx st;
    return statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) != 0 &&
           (errno == ENOTCONN || errno == ECONNABORTED);
}

enum err mounts_find(const char *path, struct mounted *ret_mounted)
{
    AUTO(buf) text = BUF_EMPTY;
    TRY(file_read_all("/proc/self/mountinfo", MOUNTINFO_MAX_BYTES, &text));
    buf_put_u8(&text, 0);
    TRY(buf_check(&text));
    mounts_parse((const char *)text.data, path, ret_mounted);
    if (ret_mounted->any)
        ret_mounted->dead = is_dead(path);
    return ERR_OK;
}

enum err mounts_resolve(const char *path, char **ret_path)
{
    char *whole = realpath(path, NULL);
    if (whole) {
        *ret_path = whole;
        return ERR_OK;
    }
    if (errno != ENOTCONN)
        return err_errno("mountpoint %s", path);
    /* Nothing of a dead mount can be looked at, not even itself: resolve what is above it. */
    AUTO_MEM char *copy = strdup(path);
    if (!copy)
        return err_set(ERR_NOMEM, "no memory for a path");
    for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
        copy[len - 1] = 0;
    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy;
    if (slash)
        *slash = 0;
    AUTO_MEM char *above = realpath(slash ? (*copy ? copy : "/") : ".", NULL);
    if (!above)
        return err_errno("mountpoint %s", path);
    if (asprintf(&whole, "%s/%s", strcmp(above, "/") == 0 ? "" : above, name) < 0)
        return err_set(ERR_NOMEM, "no memory for a path");
    *ret_path = whole;
    return ERR_OK;
}

/* Who is not root asks the helper that libfuse brings. */
static enum err remove_by_helper(const char *path, bool detach)
{
    char *argv[] = {
        (char[]){"fusermount3"}, (char[]){"-u"}, (char[]){"-q"}, (char[]){"-z"}, NULL, NULL, NULL};
    size_t argc = detach ? 4 : 3;
    AUTO_MEM char *copy = strdup(path);
    if (!copy)
        return err_set(ERR_NOMEM, "no memory for a path");
    argv[argc++] = (char[]){"--"};
    argv[argc++] = copy;
    argv[argc] = NULL;
    pid_t child;
    int status = 0;
    errno = posix_spawnp(&child, argv[0], NULL, NULL, argv, environ);
    if (errno)
        return err_errno("cannot run fusermount3, which unmounts for users (package fuse3)");
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno("cannot wait for fusermount3");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ERR_OK;
    return err_set(ERR_IO, "fusermount3 did not unmount %s: it is in use, or not yours", path);
}

enum err mounts_remove(const char *path, bool detach)
{
    if (geteuid() != 0)
        return remove_by_helper(path, detach);
    if (umount2(path, UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0)) == 0)
        return ERR_OK;
    if (errno == EBUSY)
        return err_set(ERR_IO, "%s is in use: close what is open in it (fuser -vm %s tells)", path,
                       path);
    return err_errno("cannot unmount %s", path);
}

enum err fs_unmount(const char *mountpoint)
{
    AUTO_MEM char *path = NULL;
    struct mounted mounted;
    TRY(mounts_resolve(mountpoint, &path));
    TRY(mounts_find(path, &mounted));
    if (!mounted.ours)
        return err_set(ERR_INVALID, "%s is no mount of yore", path);
    return mounts_remove(path, mounted.dead);
}
