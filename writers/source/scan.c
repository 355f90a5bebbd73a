#include "writers/source/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "fetch/base/file.h"
#include "fetch/base/log.h"
#include "writers/source/attrs.h"
#include "writers/source/filter.h"
#include "writers/source/match.h"
#include "writers/source/remember.h"
#include "writers/source/sources.h"

enum {
    DENTS_BYTES = 256 * 1024,
    SORT_BY_INODE_FROM = 16,
};
#define FRESH_NS INT64_C(2000000000)
#define NO_DEVICE UINT64_MAX

struct scan {
    struct files_run *run;
    struct sources sources;
    struct match *match;
    struct buf path;        /* of the directory at hand in the snapshot, no slash at either end */
    struct buf source_path; /* base and that */
    uint8_t *dents;
    struct dent *rows;
    size_t rows_cap;
    struct by_inode *order;
    size_t order_cap;
    struct timestamp now;
    struct found_dir *at; /* where the walk is; what is above hangs on it */
};

/* A name as getdents64 gives it. */
struct dent {
    uint64_t prefix; /* its first bytes, big-endian: most comparisons need no more */
    uint64_t inode;
    uint32_t name_at;
    uint8_t name_len, type;
};
struct by_inode {
    uint64_t inode;
    uint32_t at;
};

enum err scan_prepare(struct files_run *run, const char *const *paths, struct scan **ret_scan)
{
    AUTO_PTR(scan) scan = calloc(1, sizeof *scan);
    if (!scan || !(scan->dents = malloc(DENTS_BYTES)))
        return err_set(ERR_NOMEM, "no memory to look at directories");
    scan->run = run;
    TRY(match_new(run, &scan->match));
    TRY(sources_prepare(&run->options->common, paths, &scan->sources));
    *ret_scan = TAKE(scan);
    return ERR_OK;
}

void scan_free(struct scan *scan)
{
    if (!scan)
        return;
    while (scan->at) { /* stopped half-way: workers are gone by now */
        struct found_dir *dir = scan->at;
        scan->at = dir->parent;
        dir_handle_unref(dir->handle);
        found_dir_free(dir);
    }
    sources_clear(&scan->sources);
    match_free(scan->match);
    buf_clear(&scan->path);
    buf_clear(&scan->source_path);
    free(scan->dents);
    free(scan->rows);
    free(scan->order);
    free(scan);
}

struct slice scan_base(const struct scan *scan)
{
    return slice_str(scan->sources.base);
}

/* ---- attributes ---- */

static void take_stat(struct found *f, uint32_t mode, uint32_t uid, uint32_t gid, uint64_t size,
                      uint64_t inode, uint64_t device)
{
    static const uint8_t kinds[16] = {
        [S_IFDIR >> 12] = NODE_DIR,     [S_IFREG >> 12] = NODE_FILE, [S_IFLNK >> 12] = NODE_SYMLINK,
        [S_IFBLK >> 12] = NODE_BLOCK,   [S_IFCHR >> 12] = NODE_CHAR, [S_IFIFO >> 12] = NODE_FIFO,
        [S_IFSOCK >> 12] = NODE_SOCKET,
    };
    f->kind = kinds[(mode & S_IFMT) >> 12];
    f->mode = mode & 07777;
    f->uid = uid;
    f->gid = gid;
    f->size = size;
    f->inode = inode;
    f->device = device;
}

static bool near(struct timestamp now, int64_t secs, uint32_t nanos)
{
    if (secs < now.secs - 3 || secs > now.secs + 3)
        return false;
    int64_t ns = (now.secs - secs) * 1000000000 + (int64_t)now.nanos - (int64_t)nanos;
    return ns < FRESH_NS && ns > -FRESH_NS;
}

/* Its times say too little: it may change once more and look the same. */
static bool is_fresh(struct timestamp now, const struct found *f)
{
    return near(now, f->mtime_secs, f->mtime_nanos) || near(now, f->ctime_secs, f->ctime_nanos) ||
           f->ctime_secs > now.secs + 2;
}

static void take_statx(struct found *f, const struct statx *sx)
{
    take_stat(f, sx->stx_mode, sx->stx_uid, sx->stx_gid, sx->stx_size, sx->stx_ino,
              makedev(sx->stx_dev_major, sx->stx_dev_minor));
    f->mtime_secs = sx->stx_mtime.tv_sec;
    f->mtime_nanos = sx->stx_mtime.tv_nsec;
    f->ctime_secs = sx->stx_ctime.tv_sec;
    f->ctime_nanos = sx->stx_ctime.tv_nsec;
    f->sparse = f->kind == NODE_FILE && sx->stx_blocks * 512 < sx->stx_size;
    if (f->kind == NODE_BLOCK || f->kind == NODE_CHAR) {
        f->major = sx->stx_rdev_major;
        f->minor = sx->stx_rdev_minor;
    }
}

static void take_fstat(struct found *f, const struct stat *st)
{
    take_stat(f, st->st_mode, st->st_uid, st->st_gid, (uint64_t)st->st_size, st->st_ino,
              st->st_dev);
    f->mtime_secs = st->st_mtim.tv_sec;
    f->mtime_nanos = (uint32_t)st->st_mtim.tv_nsec;
    f->ctime_secs = st->st_ctim.tv_sec;
    f->ctime_nanos = (uint32_t)st->st_ctim.tv_nsec;
}

static bool too_many_files(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static bool is_gone(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ESTALE;
}

static void leave_out(struct scan *scan, struct found_dir *dir, struct found *f, int error)
{
    run_note(scan->run, is_gone(error) ? NOTE_VANISHED : NOTE_UNREADABLE, dir, f, error);
    f->state = FOUND_LEFT_OUT;
}

static void note_attrs(struct scan *scan, struct found_dir *dir, const struct found *f,
                       unsigned unreadable, int error)
{
    char text[128], why[192];
    if (!unreadable || is_gone(error))
        return;
    snprintf(why, sizeof why, "extended attributes: %s", strerror_r(error, text, sizeof text));
    run_note_text(scan->run, NOTE_UNREADABLE, dir, f, why);
}

/* ---- a directory's names ---- */

static enum err rows_reserve(struct scan *scan, size_t count)
{
    if (count <= scan->rows_cap)
        return ERR_OK;
    size_t cap = scan->rows_cap ? scan->rows_cap * 2 : 1024;
    struct dent *grown = realloc(scan->rows, cap * sizeof *grown);
    if (!grown)
        return err_set(ERR_NOMEM, "no memory for a directory of %zu entries", count);
    scan->rows = grown;
    scan->rows_cap = cap;
    return ERR_OK;
}

static uint64_t prefix_of(const uint8_t *name, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | (i < len ? name[i] : 0);
    return v;
}

/* Is this name wanted, as far as can be told without a stat? */
static bool wanted(struct scan *scan, const struct found_dir *dir, const char *name, size_t len,
                   bool is_dir)
{
    if (dir->only)
        return selection_find(dir->only, slice_of(name, len)) != NULL;
    if (!scan->run->options->filter)
        return true;
    size_t before = scan->path.len;
    if (before)
        buf_put_u8(&scan->path, '/');
    buf_put(&scan->path, name, len);
    bool out = filter_match(scan->run->options->filter, buf_slice(&scan->path), is_dir);
    scan->path.len = before;
    return !out;
}

static enum err take_names(struct scan *scan, struct found_dir *dir, const uint8_t *dents,
                           size_t len, size_t *count)
{
    for (size_t at = 0; at < len;) {
        const struct dirent64 *d = (const void *)(dents + at);
        at += d->d_reclen;
        size_t name_len = strlen(d->d_name);
        if (d->d_name[0] == '.' && (name_len == 1 || (name_len == 2 && d->d_name[1] == '.')))
            continue;
        if (name_len > NAME_MAX_BYTES) {
            run_note_text(scan->run, NOTE_UNREADABLE, dir, NULL,
                          "a name in it is longer than 255 bytes");
            continue;
        }
        if (d->d_type != DT_UNKNOWN && !wanted(scan, dir, d->d_name, name_len, d->d_type == DT_DIR))
            continue;
        TRY(rows_reserve(scan, *count + 1));
        if (dir->names.len + name_len + 1 > UINT32_MAX)
            return err_set(ERR_NOMEM, "a directory with more than 4 GiB of names");
        scan->rows[(*count)++] = (struct dent){
            .prefix = prefix_of((const uint8_t *)d->d_name, name_len),
            .inode = d->d_ino,
            .name_at = (uint32_t)dir->names.len,
            .name_len = (uint8_t)name_len,
            .type = d->d_type,
        };
        buf_put(&dir->names, d->d_name, name_len + 1);
    }
    return buf_check(&dir->names);
}

static int dent_order(const void *a, const void *b, void *names)
{
    const struct dent *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    const uint8_t *base = names;
    return strcmp((const char *)base + x->name_at, (const char *)base + y->name_at);
}

static int inode_order(const void *a, const void *b)
{
    const struct by_inode *x = a, *y = b;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static enum err list_names(struct scan *scan, struct found_dir *dir, size_t *ret_count)
{
    size_t count = 0;
    for (;;) {
        long len = syscall(SYS_getdents64, dir->handle->fd, scan->dents, DENTS_BYTES);
        if (len == 0)
            break;
        if (len < 0) {
            if (errno == EINTR)
                continue;
            dir->incomplete = true;
            if (!is_gone(errno)) /* a directory removed while it is open says ENOENT */
                run_note(scan->run, NOTE_UNREADABLE, dir, NULL, errno);
            break;
        }
        TRY(take_names(scan, dir, scan->dents, (size_t)len, &count));
    }
    qsort_r(scan->rows, count, sizeof *scan->rows, dent_order, dir->names.data);
    *ret_count = count;
    return ERR_OK;
}

/* The names of several arguments need no listing. */
static enum err list_selected(struct scan *scan, struct found_dir *dir, size_t *ret_count)
{
    const struct selection *s = dir->only;
    TRY(rows_reserve(scan, s->count));
    for (size_t i = 0; i < s->count; i++) {
        size_t len = strlen(s->children[i]->name);
        scan->rows[i] = (struct dent){
            .prefix = prefix_of((const uint8_t *)s->children[i]->name, len),
            .name_at = (uint32_t)dir->names.len,
            .name_len = (uint8_t)len,
            .type = DT_UNKNOWN,
        };
        buf_put(&dir->names, s->children[i]->name, len + 1);
    }
    TRY(buf_check(&dir->names));
    qsort_r(scan->rows, s->count, sizeof *scan->rows, dent_order, dir->names.data);
    *ret_count = s->count;
    return ERR_OK;
}

/* ---- a directory's entries ---- */

static void stat_one(struct scan *scan, struct found_dir *dir, struct found *f, uint8_t type)
{
    const char *name = (const char *)dir->names.data + f->name_at;
    struct statx sx;
    if (statx(dir->handle->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
              &sx) != 0) {
        leave_out(scan, dir, f, errno);
        return;
    }
    take_statx(f, &sx);
    f->fresh = is_fresh(scan->now, f);
    f->link =
        sx.stx_nlink > 1 && f->kind != NODE_DIR ? (struct link *)-1 : NULL; /* looked up later */
    const struct backup_files_options *o = scan->run->options;
    bool out = f->kind == 0 || (type == DT_UNKNOWN && !dir->only &&
                                !wanted(scan, dir, name, f->name_len, f->kind == NODE_DIR));
    if (f->kind == NODE_FILE && !out) {
        bool old =
            (o->newer_than.secs || o->newer_than.nanos) &&
            timestamp_compare((struct timestamp){f->mtime_secs, f->mtime_nanos}, o->newer_than) < 0;
        out = old || (o->max_file_bytes && f->size > o->max_file_bytes);
        atomic_fetch_add_explicit(&scan->run->left_out, out, memory_order_relaxed);
    }
    if (out)
        f->state = FOUND_LEFT_OUT;
}

static enum err stat_all(struct scan *scan, struct found_dir *dir)
{
    size_t count = dir->count;
    scan->now = clock_now();
    bool sorted = count >= SORT_BY_INODE_FROM;
    if (sorted) {
        if (count > scan->order_cap) {
            struct by_inode *grown = realloc(scan->order, count * sizeof *grown);
            if (!grown)
                return err_set(ERR_NOMEM, "no memory for a directory of %zu entries", count);
            scan->order = grown;
            scan->order_cap = count;
        }
        for (size_t i = 0; i < count; i++)
            scan->order[i] = (struct by_inode){scan->rows[i].inode, (uint32_t)i};
        qsort(scan->order, count, sizeof *scan->order, inode_order);
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = sorted ? scan->order[i].at : i;
        stat_one(scan, dir, &dir->entries[at], scan->rows[at].type);
        if (i % 1024 == 1023) {
            scan->now = clock_now();
            if (run_stopped(scan->run))
                break;
        }
    }
    return ERR_OK;
}

/* Does the directory say that it is a cache (bford.info/cachedir)? */
static bool is_cache(struct found_dir *dir, struct found *tag)
{
    static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55";
    char head[sizeof signature - 1];
    AUTO_FD fd = openat(dir->handle->fd, (const char *)dir->names.data + tag->name_at,
                        O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    size_t got = 0;
    return fd >= 0 && read_full(fd, head, sizeof head, &got) == ERR_OK && got == sizeof head &&
           memcmp(head, signature, got) == 0;
}

static struct found *find_name(struct found_dir *dir, const char *name)
{
    struct slice want = slice_str(name);
    for (size_t i = 0; i < dir->count; i++)
        if (slice_equal(found_name(dir, &dir->entries[i]), want) &&
            dir->entries[i].state != FOUND_LEFT_OUT)
            return &dir->entries[i];
    return NULL;
}

static void leave_cache_out(struct found_dir *dir)
{
    struct found *tag = find_name(dir, "CACHEDIR.TAG");
    if (!tag || tag->kind != NODE_FILE || !is_cache(dir, tag))
        return;
    for (size_t i = 0; i < dir->count; i++)
        if (&dir->entries[i] != tag)
            dir->entries[i].state = FOUND_LEFT_OUT;
}

/* ---- each entry ---- */

/* A file's class by where it lies: a relation of PostgreSQL is named by digits. */
static bool is_relation(const struct found_dir *dir, struct slice name)
{
    return dir->tables && name.len > 0 && name.data[0] >= '0' && name.data[0] <= '9';
}

/* Metadata that a stat does not give, of what no worker will open. */
static enum err read_extra(struct scan *scan, struct found_dir *dir, struct found *f)
{
    if (!scan->run->session)
        return ERR_OK;
    const char *name = (const char *)dir->names.data + f->name_at;
    if (f->kind == NODE_SYMLINK) {
        errno = 0;
        enum err e = attrs_read_target(dir->handle->fd, name, &f->extra);
        if (e == ERR_NOMEM)
            return e;
        if (e != ERR_OK) {
            leave_out(scan, dir, f, errno ? errno : EIO);
            return ERR_OK;
        }
    }
    unsigned unreadable = 0;
    int error = 0;
    TRY(attrs_read_at(dir->handle->fd, name, &f->extra, &unreadable, &error));
    note_attrs(scan, dir, f, unreadable, error);
    return ERR_OK;
}

/* All names of a directory with links stand in the link table by its place and those above. */
static enum err need_place(struct scan *scan, struct found_dir *dir)
{
    /* The chain up to the first that has one; then downward. Iterative: a tree may be thousands
     * deep. */
    while (!dir->place) {
        struct found_dir *top = dir;
        while (top->parent && !top->parent->place)
            top = top->parent;
        TRY(place_new(scan->run->links, top->parent ? top->parent->place : NULL, &top->place));
    }
    return ERR_OK;
}

static enum err copy_result(const struct known_entry *known, struct file_result **ret_result)
{
    struct file_result *result = calloc(1, sizeof *result);
    if (!result)
        return err_set(ERR_NOMEM, "no memory for links");
    result->content = known->entry.content;
    result->has_sha256 = known->entry.has_sha256;
    memcpy(result->sha256, known->entry.sha256, sizeof result->sha256);
    result->cut_class = known->cut_class;
    *ret_result = result;
    return ERR_OK;
}

/* One of several names. *ret_read: content must be read, for the first time. */
static enum err meet_link(struct scan *scan, struct found_dir *dir, struct found *f, bool *ret_read)
{
    *ret_read = false;
    bool first;
    TRY(links_find(scan->run->links, f->device, f->inode, &f->link, &first));
    TRY(need_place(scan, dir));
    if (f->kind != NODE_FILE)
        return ERR_OK;
    if (f->state == FOUND_SAME) {
        struct known_entry known;
        TRY(remember_row(&dir->known, f->known, &known));
        if (first)
            TRY(copy_result(&known, &f->link->result));
        atomic_store_explicit(&f->link->done, true, memory_order_release);
        return ERR_OK;
    }
    f->state = FOUND_LINKED;
    if (f->size == 0 && first) {
        atomic_store_explicit(&f->link->done, true, memory_order_release);
        return ERR_OK; /* no result: an empty file */
    }
    *ret_read = first;
    return ERR_OK;
}

static void count_file(struct scan *scan, const struct found *f)
{
    struct files_run *run = scan->run;
    atomic_fetch_add_explicit(&run->seen_files, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&run->seen_bytes, f->size, memory_order_relaxed);
    if (f->state == FOUND_SAME) {
        atomic_fetch_add_explicit(&run->files_unchanged, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&run->done_files, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&run->done_bytes, f->size, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(f->known != KNOWN_NONE ? &run->files_changed : &run->files_new, 1,
                                  memory_order_relaxed);
    }
}

static enum err meet(struct scan *scan, struct found_dir *dir, struct found *f)
{
    struct files_run *run = scan->run;
    if (f->state == FOUND_LEFT_OUT || f->kind == NODE_DIR) {
        f->link = NULL;
        return ERR_OK;
    }
    bool linked = f->link != NULL, read = false;
    f->link = NULL;
    if (f->kind == NODE_FILE)
        count_file(scan, f);
    if (linked && run->session)
        TRY(meet_link(scan, dir, f, &read));
    if (f->state == FOUND_SAME)
        return ERR_OK;
    if (f->kind == NODE_FILE && !linked && f->size > 0) {
        f->state = FOUND_READ;
        read = true;
    }
    if (is_relation(dir, found_name(dir, f)))
        f->cut_class = CUT_FIXED;
    if (!read)
        return read_extra(scan, dir, f);
    return run->session ? run_add_file(run, dir, f) : ERR_OK;
}

static enum err fill(struct scan *scan, struct found_dir *dir)
{
    size_t count;
    TRY(dir->only ? list_selected(scan, dir, &count) : list_names(scan, dir, &count));
    dir->entries = calloc(count + 1, sizeof *dir->entries);
    if (!dir->entries)
        return err_set(ERR_NOMEM, "no memory for a directory of %zu entries", count);
    dir->count = count;
    for (size_t i = 0; i < count; i++) {
        struct found *f = &dir->entries[i];
        f->name_at = scan->rows[i].name_at;
        f->name_len = scan->rows[i].name_len;
        f->known = KNOWN_NONE;
    }
    TRY(stat_all(scan, dir));
    if (scan->run->options->exclude_caches && !dir->only)
        leave_cache_out(dir);
    if (!dir->database && find_name(dir, "PG_VERSION"))
        dir->database = true;
    TRY(match_dir(scan->match, buf_slice(&scan->source_path), dir));
    for (size_t i = 0; i < count; i++) {
        TRY(meet(scan, dir, &dir->entries[i]));
        if (run_stopped(scan->run))
            return run_failure(scan->run);
    }
    return ERR_OK;
}

/* ---- going down and up ---- */

/* Room for one more open directory; workers close them as they go. */
static enum err wait_for_room(struct scan *scan)
{
    struct files_run *run = scan->run;
    if (atomic_load(&run->dirs_open) < run->dirs_max)
        return ERR_OK;
    TRY(run_flush(run));
    pthread_mutex_lock(&run->lock);
    while (atomic_load(&run->dirs_open) >= run->dirs_max && !run_stopped(run)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&run->room, &run->lock, &until);
    }
    pthread_mutex_unlock(&run->lock);
    return run_stopped(run) ? run_failure(run) : ERR_OK;
}

static int open_dir(int at, const char *name, bool follow)
{
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
    int fd = openat(at, name, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? openat(at, name, flags) : fd;
}

static enum err handle_new(struct scan *scan, int fd, struct dir_handle **ret_handle)
{
    struct dir_handle *handle = malloc(sizeof *handle);
    if (!handle) {
        close(fd);
        return err_set(ERR_NOMEM, "no memory for a directory");
    }
    handle->fd = fd;
    atomic_init(&handle->refs, 1);
    handle->open_count = &scan->run->dirs_open;
    atomic_fetch_add(&scan->run->dirs_open, 1);
    *ret_handle = handle;
    return ERR_OK;
}

/* Fill what every directory has. fd is taken over. */
static enum err dir_new(struct scan *scan, struct found_dir *parent, struct found *self, int fd,
                        const struct stat *st, struct found_dir **ret_dir)
{
    struct dir_handle *handle = NULL;
    TRY(handle_new(scan, fd, &handle));
    struct found_dir *dir = calloc(1, sizeof *dir);
    if (!dir) {
        dir_handle_unref(handle);
        return err_set(ERR_NOMEM, "no memory for a directory");
    }
    dir->handle = handle;
    dir->parent = parent;
    dir->self = self;
    dir->device = st->st_dev;
    dir->inode = st->st_ino;
    dir->path_len = scan->path.len;
    dir->depth = parent ? parent->depth + 1 : 0;
    dir->stay_device = parent ? parent->stay_device : NO_DEVICE;
    *ret_dir = dir;
    return ERR_OK;
}

/* Attributes of a directory as it is now that it is open; and its extended ones. */
static enum err take_self(struct scan *scan, struct found_dir *parent, struct found *f, int fd,
                          const struct stat *st)
{
    scan->now = clock_now();
    take_fstat(f, st);
    f->fresh = is_fresh(scan->now, f);
    f->state = FOUND_PLAIN;
    if (parent && match_self(scan->match, parent, f))
        f->state = FOUND_SAME;
    if (f->state == FOUND_SAME || !scan->run->session)
        return ERR_OK;
    unsigned unreadable = 0;
    int error = 0;
    TRY(attrs_read_fd(fd, &f->extra, &unreadable, &error));
    if (parent)
        note_attrs(scan, parent, f, unreadable, error);
    return ERR_OK;
}

static void path_push(struct scan *scan, struct slice name)
{
    if (scan->path.len)
        buf_put_u8(&scan->path, '/');
    buf_put_slice(&scan->path, name);
    buf_put_u8(&scan->source_path, '/');
    buf_put_slice(&scan->source_path, name);
}

static void path_cut(struct scan *scan, size_t len)
{
    scan->path.len = len;
    scan->source_path.len = strlen(scan->sources.base) + (len ? len + 1 : 0);
}

/* Above the window, the scanner lets go of the descriptor. */
static void close_far(const struct files_run *run, const struct found_dir *dir)
{
    struct found_dir *up = dir->parent;
    for (unsigned i = 0; up && i < run->dirs_window; i++)
        up = up->parent;
    if (up && up->handle) {
        dir_handle_unref(up->handle);
        up->handle = NULL;
    }
}

/* Go into a subdirectory: *ret_dir is it, or NULL when it stays empty or out. */
static enum err enter(struct scan *scan, struct found_dir *parent, struct found *f,
                      struct found_dir **ret_dir)
{
    *ret_dir = NULL;
    if (parent->depth + 1 >= TREE_MAX_DEPTH) {
        run_note_text(scan->run, NOTE_UNREADABLE, parent, f, "deeper than 4,096 directories");
        return ERR_OK;
    }
    TRY(wait_for_room(scan));
    const char *name = (const char *)parent->names.data + f->name_at;
    int fd = open_dir(parent->handle->fd, name, false);
    if (fd < 0) {
        int error = errno;
        if (too_many_files(error))
            return err_errno("%s", name);
        if (is_gone(error))
            leave_out(scan, parent, f, error);
        else
            run_note(scan->run, NOTE_UNREADABLE, parent, f, error);
        return ERR_OK;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        leave_out(scan, parent, f, errno);
        close(fd);
        return ERR_OK;
    }
    const char *ours = sources_refuse(&scan->sources, st.st_dev, st.st_ino);
    if (ours) {
        run_note_text(scan->run, NOTE_SKIPPED, parent, f, ours);
        f->state = FOUND_LEFT_OUT;
        close(fd);
        return ERR_OK;
    }
    enum err e = take_self(scan, parent, f, fd, &st);
    if (e != ERR_OK || (parent->stay_device != NO_DEVICE && parent->stay_device != st.st_dev)) {
        close(fd);
        return e;
    }
    path_push(scan, slice_str(name));
    struct found_dir *dir;
    TRY(dir_new(scan, parent, f, fd, &st, &dir));
    *ret_dir = dir;
    const struct selection *s = selection_find(parent->only, slice_str(name));
    dir->only = s && !s->whole ? s : NULL;
    if (scan->run->options->one_file_system && !dir->only && dir->stay_device == NO_DEVICE)
        dir->stay_device = st.st_dev;
    dir->database = parent->database;
    dir->tables = parent->tables ||
                  (parent->database && (strcmp(name, "base") == 0 || strcmp(name, "global") == 0 ||
                                        strcmp(name, "pg_tblspc") == 0));
    close_far(scan->run, dir);
    return buf_check(&scan->source_path);
}

/* On the way back: the parent's descriptor again, from the child's, if it is still the same
 * directory. */
static enum err reopen_parent(struct scan *scan, struct found_dir *dir)
{
    struct found_dir *parent = dir->parent;
    if (!parent || parent->handle)
        return ERR_OK;
    int fd = open_dir(dir->handle->fd, "..", false);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == parent->device && st.st_ino == parent->inode)
        return handle_new(scan, fd, &parent->handle);
    int error = fd >= 0 ? ESTALE : errno;
    if (fd >= 0)
        close(fd);
    if (too_many_files(error))
        return err_errno("..");
    /* Moved away while we were below. What is still to be visited in it is lost to this run. */
    run_note(scan->run, NOTE_UNREADABLE, parent, NULL, error);
    parent->incomplete = true;
    return ERR_OK;
}

/* The directory at hand is done: to the assembler (a dry run frees it). */
static enum err leave(struct scan *scan, struct found_dir *dir)
{
    struct found_dir *parent = dir->parent;
    enum err e = reopen_parent(scan, dir);
    dir_handle_unref(dir->handle);
    dir->handle = NULL;
    path_cut(scan, parent ? parent->path_len : 0);
    atomic_fetch_add_explicit(&scan->run->seen_dirs, 1, memory_order_relaxed);
    if (!scan->run->session) {
        found_dir_free(dir);
        return e;
    }
    enum err pushed = run_push(scan->run, dir);
    return e != ERR_OK ? e : pushed;
}

static struct found *next_subdirectory(struct found_dir *dir)
{
    while (dir->next_child < dir->count) {
        struct found *f = &dir->entries[dir->next_child++];
        if (f->kind == NODE_DIR && f->state != FOUND_LEFT_OUT)
            return f;
    }
    return NULL;
}

static enum err open_root(struct scan *scan, struct found_dir **ret_dir)
{
    struct files_run *run = scan->run;
    const char *base = scan->sources.base[0] ? scan->sources.base : "/";
    int fd = open_dir(AT_FDCWD, base, true);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum err e = err_errno("%s", base);
        if (fd >= 0)
            close(fd);
        return e;
    }
    run->root = (struct found){.known = KNOWN_NONE, .kind = NODE_DIR};
    buf_put_slice(&scan->source_path, slice_str(scan->sources.base));
    TRY(buf_check(&scan->source_path));
    enum err e = take_self(scan, NULL, &run->root, fd, &st);
    if (e != ERR_OK) {
        close(fd);
        return e;
    }
    TRY(dir_new(scan, NULL, &run->root, fd, &st, ret_dir));
    (*ret_dir)->only = scan->sources.only;
    if (run->options->one_file_system && !(*ret_dir)->only)
        (*ret_dir)->stay_device = st.st_dev;
    return ERR_OK;
}

enum err scan_walk(struct scan *scan)
{
    TRY(open_root(scan, &scan->at));
    TRY(fill(scan, scan->at));
    while (scan->at) {
        struct found *f = scan->at->handle ? next_subdirectory(scan->at) : NULL;
        if (!f) {
            struct found_dir *done = scan->at;
            scan->at = done->parent;
            TRY(leave(scan, done));
            continue;
        }
        struct found_dir *child;
        enum err e = enter(scan, scan->at, f, &child);
        if (child)
            scan->at = child;
        TRY(e);
        if (child)
            TRY(fill(scan, child));
        if (run_stopped(scan->run))
            return run_failure(scan->run);
    }
    return run_flush(scan->run);
}
