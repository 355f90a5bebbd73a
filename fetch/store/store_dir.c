/*
 * store_dir: a store in a local folder. An object is a file, "/" in its name a folder.
 *
 *     put     a temporary file beside it, fsync, rename, fsync of the folder: after a power cut the object is there whole or
 *             not at all. A folder is fsynced into its parent the first time this process meets it: who made it may have
 *             died before.
 *     get     readers ask for pieces of the same packs again and again, so descriptors are kept (struct files)
 *     list    one folder after another, sorted; memory for the names of the folders on the way, not of the store
 *
 * Symlinks inside the store are not followed: everything lies below the folder opened.
 */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fetch/base/file.h"
#include "fetch/base/hex.h"
#include "fetch/base/rand.h"
#include "fetch/store/store.h"

enum {
    NAME_MAX_CHARS = 255,
    OPEN_FILES = 64,       /* descriptors kept for reading */
    KNOWN_FOLDERS = 4096,  /* remembered as durable */
    AHEAD_BYTES = 1 << 20, /* the kernel is told of reads longer than this */
};

/* A descriptor kept for the next reader. */
struct open_file {
    char *name;        /* NULL: free */
    int fd;
    unsigned readers;  /* it may be closed at 0 */
    uint64_t last_use;
    bool gone;         /* removed: nobody finds it, the last reader closes it */
};

struct store_dir {
    struct store base;
    char *path; /* absolute, for people */
    int root;

    pthread_mutex_t lock; /* before nothing; never held across I/O */
    struct open_file files[OPEN_FILES]; /* guarded by lock; fd and name are constant while there are readers */
    uint64_t uses;                      /* guarded by lock */
    char *known[KNOWN_FOLDERS];         /* guarded by lock; folders that are durable, at the place of their hash */
};

static struct store_dir *dir_of(struct store *store)
{
    return (struct store_dir *)store;
}

/* ---- folders ---- */

/* Where the last part of a name begins. */
static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

static size_t folder_hash(const char *name, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * UINT64_C(1099511628211);
    return (size_t)(h >> 32) % KNOWN_FOLDERS;
}

static bool folder_is_known(struct store_dir *dir, const char *name, size_t len)
{
    pthread_mutex_lock(&dir->lock);
    const char *known = dir->known[folder_hash(name, len)];
    bool found = known && strlen(known) == len && memcmp(known, name, len) == 0;
    pthread_mutex_unlock(&dir->lock);
    return found;
}

static void folder_remember(struct store_dir *dir, const char *name, size_t len)
{
    char *copy = strndup(name, len); /* without memory it is fsynced again, that is all */
    pthread_mutex_lock(&dir->lock);
    char **place = &dir->known[folder_hash(name, len)];
    char *before = *place;
    *place = copy;
    pthread_mutex_unlock(&dir->lock);
    free(before);
}

/*
 * Open the folder a name lies in; with make also the missing ones on the way, and each made durable.
 *   ERR_NOT_FOUND  a folder is missing, or something else than a folder is in its place
 */
static enum err folder_open(struct store_dir *dir, const char *name, bool make, int *ret_fd)
{
    AUTO_FD at = fcntl(dir->root, F_DUPFD_CLOEXEC, 0);
    if (at < 0)
        return err_errno("cannot open %s", dir->path);
    for (const char *slash = strchr(name, '/'), *part = name; slash; part = slash + 1, slash = strchr(part, '/')) {
        char text[NAME_MAX_CHARS + 1] = "";
        memcpy(text, part, (size_t)(slash - part));
        size_t so_far = (size_t)(slash - name);
        bool unknown = make && !folder_is_known(dir, name, so_far);
        bool made = unknown && mkdirat(at, text, 0700) == 0;
        if (unknown && !made && errno != EEXIST)
            return err_errno("cannot make the folder %s/%.*s", dir->path, (int)so_far, name);
        int next = openat(at, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && make && !unknown) {
            /* Known, and yet somebody removed it. */
            unknown = true;
            if (mkdirat(at, text, 0700) != 0 && errno != EEXIST)
                return err_errno("cannot make the folder %s/%.*s", dir->path, (int)so_far, name);
            next = openat(at, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (next < 0)
            return err_errno("cannot open the folder %s/%.*s", dir->path, (int)so_far, name);
        if (unknown) {
            if (fsync(at) != 0) {
                enum err e = err_errno("cannot sync the folder above %s/%.*s", dir->path, (int)so_far, name);
                close(next);
                return e;
            }
            folder_remember(dir, name, so_far);
        }
        close(at);
        at = next;
    }
    *ret_fd = at;
    at = -1;
    return ERR_OK;
}

static enum err no_such_object(const struct store_dir *dir, const char *name)
{
    return err_set(ERR_NOT_FOUND, "there is no object %s in %s", name, dir->path);
}

/* ---- put ---- */

/* Give the temporary file its name; on success the temporary name is gone. */
static enum err put_name(int folder, int fd, const char *temp, const char *name, bool only_if_absent)
{
    if (!only_if_absent)
        return renameat(folder, temp, folder, name) == 0 ? ERR_OK : err_errno("cannot rename to %s", name);
    if (renameat2(folder, temp, folder, name, RENAME_NOREPLACE) == 0)
        return ERR_OK;
    if (errno != EINVAL && errno != ENOSYS)
        return err_errno("cannot rename to %s", name);
    /* NFS and others cannot rename without replacing, but link. When an answer of NFS was lost, the repeated call finds its own
     * work there: the second link tells. */
    if (linkat(folder, temp, folder, name, 0) != 0) {
        int number = errno;
        struct stat st;
        if (number != EEXIST || fstat(fd, &st) != 0 || st.st_nlink != 2) {
            errno = number;
            return err_errno("cannot link to %s", name);
        }
    }
    (void)unlinkat(folder, temp, 0); /* it has its name; lists skip the other */
    return ERR_OK;
}

static enum err put_file(int folder, const char *name, struct slice bytes, bool only_if_absent)
{
    char temp[32];
    snprintf(temp, sizeof temp, ".tmp-%016" PRIx64, rand_u64());
    AUTO_FD fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno("cannot make a file");
    enum err e = write_full(fd, bytes);
    if (e == ERR_OK && fsync(fd) != 0)
        e = err_errno("cannot sync");
    if (e == ERR_OK)
        e = put_name(folder, fd, temp, name, only_if_absent);
    if (e != ERR_OK) {
        (void)unlinkat(folder, temp, 0);
        return e;
    }
    return fsync(folder) == 0 ? ERR_OK : err_errno("cannot sync the folder");
}

static enum err dir_put(struct store *store, const char *name, struct slice bytes, bool only_if_absent)
{
    struct store_dir *dir = dir_of(store);
    AUTO_FD folder = -1;
    TRY(folder_open(dir, name, true, &folder));
    enum err e = put_file(folder, last_part(name), bytes, only_if_absent);
    return e == ERR_EXISTS ? err_set(e, "%s is in %s already", name, dir->path) : err_add(e, "%s/%s", dir->path, name);
}

/* ---- files kept open ---- */

/* A descriptor for reading, kept or not. */
struct reader {
    int fd;
    struct open_file *kept; /* NULL: the reader closes fd */
};

/* With lock: what is left to be done without it. */
static struct open_file file_take(struct open_file *file)
{
    struct open_file taken = *file;
    *file = (struct open_file){0};
    return taken;
}

/* Without lock: closing may wait for a disk. */
static void file_close(struct open_file taken)
{
    if (taken.name)
        close(taken.fd);
    free(taken.name);
}

static void reader_close(struct store_dir *dir, struct reader *reader)
{
    if (!reader->kept) {
        close(reader->fd);
        return;
    }
    struct open_file taken = {0};
    pthread_mutex_lock(&dir->lock);
    if (--reader->kept->readers == 0 && reader->kept->gone)
        taken = file_take(reader->kept);
    pthread_mutex_unlock(&dir->lock);
    file_close(taken);
}

/* With lock. */
static struct open_file *file_find(struct store_dir *dir, const char *name)
{
    for (struct open_file *file = dir->files; file < dir->files + OPEN_FILES; file++)
        if (file->name && !file->gone && strcmp(file->name, name) == 0)
            return file;
    return NULL;
}

static bool reader_find(struct store_dir *dir, const char *name, struct reader *ret_reader)
{
    pthread_mutex_lock(&dir->lock);
    struct open_file *file = file_find(dir, name);
    if (file) {
        file->readers++;
        file->last_use = ++dir->uses;
        *ret_reader = (struct reader){file->fd, file};
    }
    pthread_mutex_unlock(&dir->lock);
    if (!file)
        return false;
    /* Another process may have removed it, or put it anew after finding it damaged: then it has no name any more. */
    struct stat st;
    if (fstat(ret_reader->fd, &st) == 0 && st.st_nlink > 0)
        return true;
    pthread_mutex_lock(&dir->lock);
    file->gone = true;
    pthread_mutex_unlock(&dir->lock);
    reader_close(dir, ret_reader);
    *ret_reader = (struct reader){-1, NULL};
    return false;
}

/* Keep an open file for the next reader, in the place of the one longest unused; if all are in use, do not. */
static void reader_keep(struct store_dir *dir, const char *name, struct reader *reader)
{
    char *copy = strdup(name);
    if (!copy)
        return;
    struct open_file taken = {0};
    pthread_mutex_lock(&dir->lock);
    struct open_file *oldest = NULL;
    for (struct open_file *file = dir->files; file < dir->files + OPEN_FILES; file++)
        if (file->readers == 0 && (!oldest || file->last_use < oldest->last_use))
            oldest = file;
    if (oldest && !file_find(dir, name)) { /* there: another reader was faster */
        taken = file_take(oldest);
        *oldest = (struct open_file){.name = TAKE(copy), .fd = reader->fd, .readers = 1, .last_use = ++dir->uses};
        reader->kept = oldest;
    }
    pthread_mutex_unlock(&dir->lock);
    file_close(taken);
    free(copy);
}

static void reader_forget(struct store_dir *dir, const char *name)
{
    struct open_file taken = {0};
    pthread_mutex_lock(&dir->lock);
    struct open_file *file = file_find(dir, name);
    if (file && file->readers > 0)
        file->gone = true;
    else if (file)
        taken = file_take(file);
    pthread_mutex_unlock(&dir->lock);
    file_close(taken);
}

/* ---- get, head, remove ---- */

static enum err object_open(struct store_dir *dir, const char *name, int *ret_fd)
{
    AUTO_FD folder = -1;
    enum err e = folder_open(dir, name, false, &folder);
    if (e == ERR_NOT_FOUND)
        return no_such_object(dir, name);
    TRY(e);
    /* O_NONBLOCK: a FIFO that got there must not stop us; it is refused below. */
    AUTO_FD fd = openat(folder, last_part(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? no_such_object(dir, name) : err_errno("cannot open %s/%s", dir->path, name);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno("cannot look at %s/%s", dir->path, name);
    if (!S_ISREG(st.st_mode))
        return no_such_object(dir, name);
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

static enum err read_range(const struct store_dir *dir, int fd, const char *name, uint64_t offset, size_t len,
                           struct buf *ret_bytes, bool *ret_whole)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno("cannot look at %s/%s", dir->path, name);
    uint64_t size = (uint64_t)st.st_size;
    *ret_whole = offset == 0 && len == size;
    if (offset > size || len > size - offset)
        return err_set(ERR_CORRUPT, "%s is cut short: it has %" PRIu64 " bytes, wanted are %zu at %" PRIu64, name, size, len,
                       offset);
    if (len > AHEAD_BYTES)
        (void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
    AUTO(buf) bytes = BUF_EMPTY;
    TRY(buf_resize(&bytes, len));
    size_t got;
    enum err e = pread_full(fd, bytes.data, len, offset, &got);
    if (e != ERR_OK)
        return err_add(e, "%s/%s", dir->path, name);
    if (got < len)
        return err_set(ERR_CORRUPT, "%s is cut short: it ends at byte %" PRIu64, name, offset + got);
    buf_move(ret_bytes, &bytes);
    return ERR_OK;
}

static enum err dir_get(struct store *store, const char *name, uint64_t offset, size_t len, struct buf *ret_bytes)
{
    struct store_dir *dir = dir_of(store);
    struct reader reader = {-1, NULL};
    if (!reader_find(dir, name, &reader))
        TRY(object_open(dir, name, &reader.fd));
    bool whole = false;
    enum err e = read_range(dir, reader.fd, name, offset, len, ret_bytes, &whole);
    /* What is read in one go (a record, a segment) is hardly read again. */
    if (e == ERR_OK && !whole && !reader.kept)
        reader_keep(dir, name, &reader);
    reader_close(dir, &reader);
    return e;
}

static enum err dir_head(struct store *store, const char *name, uint64_t *ret_size_bytes)
{
    struct store_dir *dir = dir_of(store);
    AUTO_FD folder = -1;
    enum err e = folder_open(dir, name, false, &folder);
    if (e == ERR_NOT_FOUND)
        return no_such_object(dir, name);
    TRY(e);
    struct stat st;
    if (fstatat(folder, last_part(name), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? no_such_object(dir, name) : err_errno("cannot look at %s/%s", dir->path, name);
    if (!S_ISREG(st.st_mode))
        return no_such_object(dir, name);
    *ret_size_bytes = (uint64_t)st.st_size;
    return ERR_OK;
}

static enum err dir_remove(struct store *store, const char *name)
{
    struct store_dir *dir = dir_of(store);
    AUTO_FD folder = -1;
    enum err e = folder_open(dir, name, false, &folder);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(e);
    reader_forget(dir, name); /* so that its space comes free */
    if (unlinkat(folder, last_part(name), 0) != 0)
        return errno == ENOENT ? ERR_OK : err_errno("cannot remove %s/%s", dir->path, name);
    return fsync(folder) == 0 ? ERR_OK : err_errno("cannot sync the folder of %s/%s", dir->path, name);
}

/* ---- list ---- */

/* The names in one folder that objects may have; folders end with "/", so that they sort as their objects do. */
struct names {
    char **items;
    size_t count, cap;
};

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct names){0};
}

static enum err names_add(struct names *names, const char *name, bool folder)
{
    if (names->count == names->cap) {
        size_t cap = names->cap ? 2 * names->cap : 64;
        char **grown = reallocarray(names->items, cap, sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for the names of a folder");
        names->items = grown;
        names->cap = cap;
    }
    if (asprintf(&names->items[names->count], "%s%s", name, folder ? "/" : "") < 0)
        return err_set(ERR_NOMEM, "no memory for the names of a folder");
    names->count++;
    return ERR_OK;
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool name_is_ours(const char *name)
{
    return name[0] != '.' &&
           name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == 0;
}

static enum err names_read(int folder, const char *begin, struct names *names)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a place of its own in the folder */
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        enum err e = err_errno("cannot list");
        if (copy >= 0)
            close(copy);
        return e;
    }
    enum err e = ERR_OK;
    struct dirent *found;
    while (e == ERR_OK && (errno = 0, found = readdir(d))) {
        if (!name_is_ours(found->d_name) || strncmp(found->d_name, begin, strlen(begin)) != 0)
            continue;
        unsigned char type = found->d_type;
        struct stat st;
        if (type == DT_UNKNOWN && fstatat(folder, found->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_LNK;
        if (type == DT_DIR || type == DT_REG)
            e = names_add(names, found->d_name, type == DT_DIR);
    }
    if (e == ERR_OK && errno != 0)
        e = err_errno("cannot list");
    closedir(d);
    if (e == ERR_OK && names->count > 0)
        qsort(names->items, names->count, sizeof *names->items, names_compare);
    return e;
}

struct lister {
    const struct store_dir *dir;
    store_list_fn each;
    void *context;
    char name[NAME_MAX_CHARS + 1]; /* of the folder we are in, with its slash */
};

static enum err list_folder(struct lister *l, int folder, size_t name_len, const char *begin);

static enum err list_item(struct lister *l, int folder, size_t name_len, const char *item)
{
    size_t len = strlen(item);
    if (name_len + len > NAME_MAX_CHARS)
        return ERR_OK; /* nothing of ours has so long a name */
    memcpy(l->name + name_len, item, len + 1);
    if (item[len - 1] != '/') {
        struct stat st;
        if (fstatat(folder, item, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return errno == ENOENT ? ERR_OK : err_errno("cannot look at %s/%s", l->dir->path, l->name);
        struct store_entry entry = {l->name, (uint64_t)st.st_size, (int64_t)st.st_mtim.tv_sec};
        return S_ISREG(st.st_mode) ? l->each(l->context, &entry) : ERR_OK;
    }
    AUTO_FD below = openat(folder, item, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0) /* gone meanwhile */
        return errno == ENOENT ? ERR_OK : err_errno("cannot open %s/%s", l->dir->path, l->name);
    return list_folder(l, below, name_len + len, "");
}

static enum err list_folder(struct lister *l, int folder, size_t name_len, const char *begin)
{
    AUTO(names) names = {0};
    enum err e = names_read(folder, begin, &names);
    if (e != ERR_OK) {
        l->name[name_len] = 0;
        return err_add(e, "%s/%s", l->dir->path, l->name);
    }
    for (size_t i = 0; e == ERR_OK && i < names.count; i++)
        e = list_item(l, folder, name_len, names.items[i]);
    return e;
}

static enum err dir_list(struct store *store, const char *prefix, store_list_fn each, void *context)
{
    struct store_dir *dir = dir_of(store);
    AUTO_FD folder = -1;
    enum err e = folder_open(dir, prefix, false, &folder);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(e);
    struct lister l = {.dir = dir, .each = each, .context = context};
    const char *begin = last_part(prefix);
    memcpy(l.name, prefix, (size_t)(begin - prefix));
    return list_folder(&l, folder, (size_t)(begin - prefix), begin);
}

/* ---- the store ---- */

static void dir_free(struct store *store)
{
    struct store_dir *dir = dir_of(store);
    for (size_t i = 0; i < OPEN_FILES; i++)
        file_close(dir->files[i]);
    for (size_t i = 0; i < KNOWN_FOLDERS; i++)
        free(dir->known[i]);
    if (dir->root >= 0)
        close(dir->root);
    pthread_mutex_destroy(&dir->lock);
    free(dir->path);
    free(dir);
}

static const struct store_ops dir_ops = {dir_put, dir_get, dir_head, dir_list, dir_remove, dir_free};

const char *store_local_path(const struct store *store)
{
    return store->ops == &dir_ops ? ((const struct store_dir *)store)->path : NULL;
}

static enum err root_open(struct store_dir *dir, const char *path)
{
    dir->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->root < 0 && errno == ENOENT)
        return err_set(ERR_NO_STORE,
                       "no store at %s: there is no such folder. Is its disk mounted? `yore init --store %s` makes a new store",
                       path, path);
    if (dir->root < 0 && errno == ENOTDIR)
        return err_set(ERR_NO_STORE, "no store at %s: that is not a folder. Give the folder the store is in", path);
    if (dir->root < 0)
        return err_errno("cannot open the store at %s", path);
    dir->path = realpath(path, NULL);
    if (!dir->path)
        return err_errno("cannot open the store at %s", path);
    dir->base.url = strdup(dir->path);
    return dir->base.url ? ERR_OK : err_set(ERR_NOMEM, "no memory for a store");
}

enum err store_dir_open(const char *path, bool make, struct store **ret_store)
{
    if (make)
        TRY(dir_make(path, 0700));
    struct store_dir *dir = calloc(1, sizeof *dir);
    if (!dir)
        return err_set(ERR_NOMEM, "no memory for a store");
    dir->base.ops = &dir_ops;
    dir->root = -1;
    pthread_mutex_init(&dir->lock, NULL);
    enum err e = root_open(dir, path);
    if (e != ERR_OK) {
        store_free(&dir->base);
        return e;
    }
    *ret_store = &dir->base;
    return ERR_OK;
}
