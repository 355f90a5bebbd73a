#include "writers/source/attrs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

/* Where to ask: an open file, or (fd < 0) a path whose last part is not followed. */
struct where {
    int fd;
    const char *path;
};

static ssize_t list_names(const struct where *w, char *to, size_t len)
{
    return w->fd >= 0 ? flistxattr(w->fd, to, len) : llistxattr(w->path, to, len);
}

static ssize_t get_value(const struct where *w, const char *name, void *to, size_t len)
{
    return w->fd >= 0 ? fgetxattr(w->fd, name, to, len) : lgetxattr(w->path, name, to, len);
}

static enum err extra_need(struct found_extra **extra)
{
    if (!*extra && !(*extra = calloc(1, sizeof **extra)))
        return err_set(ERR_NOMEM, "no memory for attributes");
    return ERR_OK;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err read_values(const struct where *w, const char **names, size_t count,
                            struct found_extra **extra, unsigned *ret_unreadable, int *ret_errno)
{
    AUTO_MEM uint8_t *value = malloc(XATTR_VALUE_MAX_BYTES);
    if (!value)
        return err_set(ERR_NOMEM, "no memory for attributes");
    for (size_t i = 0; i < count; i++) {
        ssize_t len = get_value(w, names[i], value, XATTR_VALUE_MAX_BYTES);
        if (len < 0) {
            if (errno != ENODATA && errno != EOPNOTSUPP) {
                *ret_errno = errno;
                ++*ret_unreadable;
            }
            continue;
        }
        TRY(extra_need(extra));
        buf_put_bytes(&(*extra)->xattrs, slice_str(names[i]));
        buf_put_bytes(&(*extra)->xattrs, slice_of(value, (size_t)len));
        if (len > XATTR_INLINE_BYTES)
            (*extra)->has_big = true;
        TRY(buf_check(&(*extra)->xattrs));
    }
    return ERR_OK;
}

static enum err read_all(const struct where *w, struct found_extra **extra,
                         unsigned *ret_unreadable, int *ret_errno)
{
    char some[1024];
    char *list = some;
    AUTO_MEM char *more = NULL;
    ssize_t len = list_names(w, some, sizeof some);
    if (len < 0 && errno == ERANGE) {
        if (!(more = malloc(XATTR_LIST_MAX)))
            return err_set(ERR_NOMEM, "no memory for attributes");
        list = more;
        len = list_names(w, list, XATTR_LIST_MAX);
    }
    if (len < 0 && errno != EOPNOTSUPP && errno != ENODATA) {
        *ret_errno = errno;
        ++*ret_unreadable;
    }
    if (len <= 0)
        return ERR_OK;
    size_t count = 0;
    for (ssize_t at = 0; at < len; at++)
        count += list[at] == 0;
    AUTO_MEM const char **names = malloc(count * sizeof *names);
    if (!names)
        return err_set(ERR_NOMEM, "no memory for attributes");
    const char *at = list;
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        names[i] = at;
    qsort(names, count, sizeof *names, name_order);
    return read_values(w, names, count, extra, ret_unreadable, ret_errno);
}

enum err attrs_read_fd(int fd, struct found_extra **extra, unsigned *ret_unreadable, int *ret_errno)
{
    return read_all(&(struct where){.fd = fd}, extra, ret_unreadable, ret_errno);
}

enum err attrs_read_at(int dir_fd, const char *name, struct found_extra **extra,
                       unsigned *ret_unreadable, int *ret_errno)
{
    char path[64 + NAME_MAX_BYTES];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    return read_all(&(struct where){.fd = -1, .path = path}, extra, ret_unreadable, ret_errno);
}

enum err attrs_read_target(int dir_fd, const char *name, struct found_extra **extra)
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(dir_fd, name, target, sizeof target);
    if (len < 0)
        return err_errno("%s", name);
    if (len == 0 || len > TARGET_MAX_BYTES)
        return err_set(ERR_IO, "%s: a target of %zd bytes", name, len);
    TRY(extra_need(extra));
    (*extra)->target.len = 0;
    buf_put(&(*extra)->target, target, (size_t)len);
    return buf_check(&(*extra)->target);
}
