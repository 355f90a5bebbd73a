#include "fetch/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/base/cleanup.h"
#include "fetch/base/rand.h"

/* At most this in one call: Linux moves no more than 2 GiB less a page anyway. */
enum { CALL_MAX_BYTES = 1 << 30 };

static size_t one_call(size_t len)
{
    return len < CALL_MAX_BYTES ? len : CALL_MAX_BYTES;
}

static enum err check_range(uint64_t offset, size_t len)
{
    uint64_t end;
    if (__builtin_add_overflow(offset, len, &end) || end > INT64_MAX)
        return err_set(ERR_INVALID, "offset %llu is beyond any file", (unsigned long long)offset);
    return ERR_OK;
}

enum err read_full(int fd, void *to, size_t len, size_t *ret_got)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = read(fd, (uint8_t *)to + got, one_call(len - got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("cannot read");
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *ret_got = got;
    return ERR_OK;
}

enum err pread_full(int fd, void *to, size_t len, uint64_t offset, size_t *ret_got)
{
    TRY(check_range(offset, len));
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, (uint8_t *)to + got, one_call(len - got), (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("cannot read");
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *ret_got = got;
    return ERR_OK;
}

enum err write_full(int fd, struct slice bytes)
{
    size_t put = 0;
    while (put < bytes.len) {
        ssize_t n = write(fd, bytes.data + put, one_call(bytes.len - put));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("cannot write");
        put += (size_t)n;
    }
    return ERR_OK;
}

enum err pwrite_full(int fd, struct slice bytes, uint64_t offset)
{
    TRY(check_range(offset, bytes.len));
    size_t put = 0;
    while (put < bytes.len) {
        ssize_t n = pwrite(fd, bytes.data + put, one_call(bytes.len - put), (off_t)(offset + put));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("cannot write");
        put += (size_t)n;
    }
    return ERR_OK;
}

enum err file_read_all(const char *path, size_t max_bytes, struct buf *ret_bytes)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno("cannot open %s", path);
    /* Grow with what comes: st_size is 0 in /proc, and a file may grow while it is read. */
    AUTO(buf) bytes = BUF_EMPTY;
    for (;;) {
        size_t want = bytes.len < 32 * 1024 ? 64 * 1024 : bytes.len;
        if (want > max_bytes - bytes.len)
            want = max_bytes - bytes.len + (max_bytes < SIZE_MAX); /* one more tells that it is too much */
        size_t before = bytes.len, got;
        TRY(buf_resize(&bytes, before + want));
        enum err e = read_full(fd, bytes.data + before, want, &got);
        if (e != ERR_OK)
            return err_add(e, "%s", path);
        bytes.len = before + got;
        if (bytes.len > max_bytes)
            return err_set(ERR_INVALID, "%s is larger than %zu bytes", path, max_bytes);
        if (got < want)
            break;
    }
    buf_move(ret_bytes, &bytes);
    return ERR_OK;
}

/* Where the last name of path begins. */
static size_t name_start(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

static enum err fill(int fd, const char *path, struct slice bytes)
{
    enum err e = write_full(fd, bytes);
    if (e != ERR_OK)
        return err_add(e, "%s", path);
    return fsync(fd) == 0 ? ERR_OK : err_errno("cannot sync %s", path);
}

/* Give the finished file its name. link(2) refuses a taken name on every file system;
 * RENAME_NOREPLACE does not exist on all. */
static enum err name_it(int folder, const char *temp, const char *name, const char *path, bool replace)
{
    if (replace)
        return renameat(folder, temp, folder, name) == 0 ? ERR_OK : err_errno("cannot rename to %s", path);
    if (renameat2(folder, temp, folder, name, RENAME_NOREPLACE) == 0)
        return ERR_OK;
    if (errno == EEXIST)
        return err_errno("%s", path);
    if (linkat(folder, temp, folder, name, 0) != 0)
        return err_errno("cannot name %s", path);
    unlinkat(folder, temp, 0);
    return ERR_OK;
}

static enum err write_whole(const char *path, struct slice bytes, mode_t mode, bool replace)
{
    size_t start = name_start(path);
    if (!path[start])
        return err_set(ERR_INVALID, "%s names no file", path);
    AUTO_MEM char *above = start ? strndup(path, start) : strdup(".");
    if (!above)
        return err_set(ERR_NOMEM, "no memory for a path");
    AUTO_FD folder = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return err_errno("cannot open %s", above);

    char temp[40];
    snprintf(temp, sizeof temp, ".yore-tmp-%016llx", (unsigned long long)rand_u64());
    AUTO_FD fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno("cannot make a file in %s", above);
    enum err e = fill(fd, path, bytes);
    if (e == ERR_OK)
        e = name_it(folder, temp, path + start, path, replace);
    if (e != ERR_OK) {
        unlinkat(folder, temp, 0);
        return e;
    }
    return fsync(folder) == 0 ? ERR_OK : err_errno("cannot sync %s", above);
}

enum err file_write_atomic(const char *path, struct slice bytes, mode_t mode)
{
    return write_whole(path, bytes, mode, true);
}

enum err file_write_new(const char *path, struct slice bytes, mode_t mode)
{
    return write_whole(path, bytes, mode, false);
}

enum err dir_sync(const char *path)
{
    AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno("cannot open %s", path);
    return fsync(fd) == 0 ? ERR_OK : err_errno("cannot sync %s", path);
}

/* The length of path's folder: "/a/b//" and "/a/b" give 2, "b" and "/" give 0. */
static size_t parent_length(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 0 && path[len - 1] == '/')
        len--;
    return len;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Paths are as deep as they are long; the recursion is bounded by PATH_MAX / 2 small frames. */
static enum err make_first(char *path, size_t len, mode_t mode)
{
    char cut = path[len];
    path[len] = 0;
    enum err e = ERR_OK;
    if (is_folder(path))
        goto out;
    size_t above = parent_length(path, len);
    if (above > 0) {
        e = make_first(path, above, mode);
        if (e != ERR_OK)
            goto out;
    }
    if (mkdir(path, mode) == 0) {
        char next = path[above];
        path[above] = 0;
        e = dir_sync(above ? path : next == '/' ? "/" : ".");
        path[above] = next;
    } else if (errno != EEXIST) {
        e = err_errno("cannot make folder %s", path);
    } else if (!is_folder(path)) {
        e = err_set(ERR_INVALID, "%s is in the way: not a folder", path);
    }
out:
    path[len] = cut;
    return e;
}

enum err dir_make(const char *path, mode_t mode)
{
    if (!*path)
        return err_set(ERR_INVALID, "a folder needs a name");
    if (strlen(path) >= PATH_MAX)
        return err_set(ERR_INVALID, "path of a folder is too long");
    AUTO_MEM char *copy = strdup(path);
    if (!copy)
        return err_set(ERR_NOMEM, "no memory for a path");
    return make_first(copy, strlen(copy), mode);
}

enum err dir_make_parents(const char *path, mode_t mode)
{
    size_t len = parent_length(path, strlen(path));
    if (len == 0)
        return ERR_OK;
    AUTO_MEM char *above = strndup(path, len);
    if (!above)
        return err_set(ERR_NOMEM, "no memory for a path");
    return dir_make(above, mode);
}
