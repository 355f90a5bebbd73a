/* restore: what workers do: files, links, symlinks, devices. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "fetch/base/file.h"
#include "fs/restore_inside.h"
#include "fs/stat.h"

/* ---- names ---- */

struct text_name {
    char text[NAME_MAX_BYTES + 1];
};

static struct text_name name_of(const struct node *node)
{
    struct text_name name;
    memcpy(name.text, node->entry.name.data, node->entry.name.len);
    name.text[node->entry.name.len] = 0;
    return name;
}

static struct text_name temp_name(struct restore *r)
{
    struct text_name name;
    snprintf(name.text, sizeof name.text, "%s%x", r->temp_prefix, atomic_fetch_add(&r->temp_next, 1));
    return name;
}

/* Give what was made under a dot name its own. */
static enum err name_it(struct restore *r, const struct folder *folder, const char *temp, const char *name)
{
    if (folder->made || r->options->overwrite != OVERWRITE_NEVER) {
        if (renameat(folder->fd, temp, folder->fd, name) == 0)
            return ERR_OK;
    } else {
        if (renameat2(folder->fd, temp, folder->fd, name, RENAME_NOREPLACE) == 0)
            return ERR_OK;
        /* File systems without it: a link refuses a name that is taken, too. */
        if (errno == EINVAL && linkat(folder->fd, temp, folder->fd, name, 0) == 0 && unlinkat(folder->fd, temp, 0) == 0)
            return ERR_OK;
    }
    enum err e = err_errno("cannot rename to its name");
    unlinkat(folder->fd, temp, 0);
    return e;
}

/* ---- link groups ---- */

/* The first name given to a linked inode; later ones are links to it. */
struct link {
    struct uid group;
    struct trail *trail; /* of its folder; a reference */
    struct text_name name;
    enum { LINK_PENDING, LINK_THERE, LINK_FAILED } state; /* guarded by the table's lock */
    struct err_note why; /* when failed; constant then */
    struct link *next;
};

enum { LINK_BUCKETS = 16384 };
struct link_table {
    pthread_mutex_t lock; /* after no other */
    pthread_cond_t known; /* with lock: a state changed */
    struct link *buckets[LINK_BUCKETS];
};

enum err link_table_new(struct link_table **ret_links)
{
    struct link_table *links = calloc(1, sizeof *links);
    if (!links)
        return err_set(ERR_NOMEM, "no memory for links");
    pthread_mutex_init(&links->lock, NULL);
    pthread_cond_init(&links->known, NULL);
    *ret_links = links;
    return ERR_OK;
}

void link_table_free(struct link_table *links)
{
    if (!links)
        return;
    for (size_t i = 0; i < LINK_BUCKETS; i++)
        for (struct link *at = links->buckets[i], *next; at; at = next) {
            next = at->next;
            trail_unref(at->trail);
            free(at);
        }
    pthread_mutex_destroy(&links->lock);
    pthread_cond_destroy(&links->known);
    free(links);
}

/*
 * The link of a group. *ret_mine: this is its first name, to be made by the caller; else the first name's fate is known: it was waited
 * for. The walker hands tasks over in order, and a batch is done in order, so whoever is waited for is at work already.
 */
static enum err link_get(struct restore *r, const struct task *task, struct link **ret_link, bool *ret_mine)
{
    struct link_table *links = r->links;
    const struct uid *group = &task->node->entry.link;
    struct link **bucket = &links->buckets[((size_t)group->bytes[0] | (size_t)group->bytes[1] << 8) % LINK_BUCKETS];
    enum err e = ERR_OK;
    pthread_mutex_lock(&links->lock);
    struct link *at = *bucket;
    while (at && memcmp(at->group.bytes, group->bytes, 16) != 0)
        at = at->next;
    *ret_mine = !at;
    if (at) {
        while (at->state == LINK_PENDING)
            pthread_cond_wait(&links->known, &links->lock);
    } else if ((at = calloc(1, sizeof *at))) {
        at->group = *group;
        at->trail = trail_ref(task->folder->trail);
        at->name = name_of(task->node);
        at->next = *bucket;
        *bucket = at;
    } else {
        e = err_set(ERR_NOMEM, "no memory for links");
    }
    pthread_mutex_unlock(&links->lock);
    *ret_link = at;
    return e;
}

static void link_settle(struct restore *r, struct link *link, enum err e)
{
    pthread_mutex_lock(&r->links->lock);
    if (e != ERR_OK)
        err_take(e, &link->why);
    link->state = e == ERR_OK ? LINK_THERE : LINK_FAILED;
    pthread_cond_broadcast(&r->links->known);
    pthread_mutex_unlock(&r->links->lock);
}

/* The folder of a link's first name, kept open from link to link. */
static enum err link_folder(struct worker *w, const struct link *link, const struct task *task, int *ret_fd)
{
    if (link->trail == task->folder->trail) {
        *ret_fd = task->folder->fd;
        return ERR_OK;
    }
    if (w->link_fd < 0 || w->link_trail != link->trail) {
        if (w->link_fd >= 0)
            close(w->link_fd);
        trail_unref(w->link_trail);
        w->link_trail = NULL;
        w->link_fd = -1;
        TRY(trail_open(w->restore, link->trail, &w->link_fd));
        w->link_trail = trail_ref(link->trail);
    }
    *ret_fd = w->link_fd;
    return ERR_OK;
}

/* One more name for an inode. ERR_AGAIN: this file system refuses (too many links): make a file of its own. */
static enum err link_make(struct worker *w, const struct link *link, const struct task *task)
{
    struct restore *r = w->restore;
    const struct folder *folder = task->folder;
    struct text_name name = name_of(task->node), temp = temp_name(r);
    int from;
    TRY(link_folder(w, link, task, &from));
    if (linkat(from, link->name.text, folder->fd, name.text, 0) == 0)
        return ERR_OK;
    if (errno == EMLINK || errno == EPERM || errno == EXDEV || errno == EOPNOTSUPP || errno == ENOENT)
        return ERR_AGAIN;
    if (errno != EEXIST || r->options->overwrite == OVERWRITE_NEVER)
        return err_errno("cannot link");
    struct stat a, b;
    if (fstatat(from, link->name.text, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
        fstatat(folder->fd, name.text, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return ERR_OK;
    if (linkat(from, link->name.text, folder->fd, temp.text, 0) != 0)
        return err_errno("cannot link");
    return name_it(r, folder, temp.text, name.text);
}

/* ---- contents ---- */

enum { ZEROS_ALLOCATED_BYTES = 64 << 10, GATHER = 16, GATHER_BYTES = 1 << 20 };

/* Neighbouring chunks, written with one call. */
struct writing {
    struct restore *restore;
    const struct node *node;
    int fd;
    uint64_t offset;  /* of the first gathered byte */
    size_t bytes, count;
    struct chunk_ref refs[GATHER];
    uint64_t end;     /* the file's size so far */
};

/* A chunk that the tree names must be there: not finding it is damage. */
static enum err chunk_get(struct restore *r, uint32_t domain, const struct item *item, struct chunk_ref *ret_ref)
{
    enum err e = reader_chunk(r->reader, domain, CHUNK_DATA, &item->id, ret_ref);
    if (e == ERR_NOT_FOUND)
        return err_set(ERR_CORRUPT, "chunk %s is not in the store", hex_of(item->id.bytes, 32).text);
    if (e == ERR_OK && ret_ref->bytes.len != item->length) {
        size_t len = ret_ref->bytes.len;
        chunk_ref_clear(ret_ref);
        return err_set(ERR_CORRUPT, "chunk %s has %zu bytes, not %llu", hex_short(item->id.bytes).text, len,
                       (unsigned long long)item->length);
    }
    return e;
}

static enum err write_out(struct writing *w)
{
    enum err e = ERR_OK;
    struct iovec parts[GATHER];
    for (size_t i = 0; i < w->count; i++)
        parts[i] = (struct iovec){(void *)(uintptr_t)w->refs[i].bytes.data, w->refs[i].bytes.len};
    ssize_t done = w->count ? pwritev(w->fd, parts, (int)w->count, (off_t)w->offset) : 0;
    if (done < 0 && errno != EINTR)
        e = err_errno("cannot write");
    /* The rest of a short write, part by part. */
    uint64_t at = w->offset, written = done > 0 ? (uint64_t)done : 0;
    for (size_t i = 0; e == ERR_OK && written < w->bytes && i < w->count; i++) {
        uint64_t start = at - w->offset, end = start + w->refs[i].bytes.len;
        if (end > written) {
            size_t skip = written > start ? (size_t)(written - start) : 0;
            struct slice rest = slice_of(w->refs[i].bytes.data + skip, w->refs[i].bytes.len - skip);
            e = pwrite_full(w->fd, rest, at + skip);
            written = end;
        }
        at += w->refs[i].bytes.len;
    }
    for (size_t i = 0; i < w->count; i++)
        chunk_ref_clear(&w->refs[i]);
    atomic_fetch_add_explicit(&w->restore->bytes, w->bytes, memory_order_relaxed);
    w->count = w->bytes = 0;
    return e;
}

static enum err write_zeros(struct writing *w, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[ZEROS_ALLOCATED_BYTES];
    if (len >= ZEROS_ALLOCATED_BYTES && fallocate(w->fd, 0, (off_t)offset, (off_t)len) == 0)
        return ERR_OK;
    if (len >= ZEROS_ALLOCATED_BYTES && errno != EOPNOTSUPP)
        return err_errno("cannot make room");
    while (len) {
        size_t step = len < sizeof zeros ? (size_t)len : sizeof zeros;
        TRY(pwrite_full(w->fd, slice_of(zeros, step), offset));
        offset += step;
        len -= step;
    }
    return ERR_OK;
}

static enum err write_item(void *context, uint64_t offset, const struct item *item)
{
    struct writing *w = context;
    if (atomic_load_explicit(&w->restore->stopping, memory_order_relaxed))
        return err_set(ERR_CANCELED, "stopped");
    if (item->what == ITEM_HOLE)
        return ERR_OK; /* what is not written stays a hole */
    if (w->count && (w->count == GATHER || w->bytes >= GATHER_BYTES || offset != w->offset + w->bytes))
        TRY(write_out(w));
    w->end = offset + item->length;
    if (item->what == ITEM_ZEROS) {
        TRY(write_out(w));
        return write_zeros(w, offset, item->length);
    }
    TRY(chunk_get(w->restore, w->node->domain, item, &w->refs[w->count]));
    if (w->count++ == 0)
        w->offset = offset;
    w->bytes += (size_t)item->length;
    return ERR_OK;
}

static enum err write_list(struct restore *r, const struct node *node, int fd)
{
    const struct content *content = &node->entry.content;
    struct writing w = {.restore = r, .node = node, .fd = fd};
    enum err e = reader_items(r->reader, node->domain, CHUNK_DATA, content, 0, write_item, &w);
    if (e == ERR_OK) {
        e = write_out(&w);
    } else {
        for (size_t i = 0; i < w.count; i++)
            chunk_ref_clear(&w.refs[i]);
    }
    if (e == ERR_OK && w.end > content->length)
        e = err_set(ERR_CORRUPT, "content of %llu bytes, not %llu", (unsigned long long)w.end, (unsigned long long)content->length);
    if (e == ERR_OK && w.end < content->length && ftruncate(fd, (off_t)content->length) != 0)
        e = err_errno("cannot set the size");
    return e;
}

/* ---- files ---- */

bool unchanged_file(const struct entry *entry, const struct stat *st)
{
    return S_ISREG(st->st_mode) && (uint64_t)st->st_size == entry->content.length && st->st_mtim.tv_sec == entry->mtime.secs &&
           st->st_mtim.tv_nsec == (long)entry->mtime.nanos;
}

/* With OVERWRITE_CHANGED: leave the file as it is? Its attributes are set then. */
static bool leave_file(struct worker *w, const struct task *t, const char *name)
{
    struct restore *r = w->restore;
    struct stat st;
    if (t->folder->made || r->options->overwrite != OVERWRITE_CHANGED)
        return false;
    if (fstatat(t->folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !unchanged_file(&t->node->entry, &st))
        return false;
    AUTO_FD fd = openat(t->folder->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct now now = {st.st_uid, st.st_gid, st.st_mode & 07777, true, true};
    attrs_set_fd(r, w, fd, t->node, &now, false, t->folder->trail, t->node->entry.name);
    atomic_fetch_add(&r->unchanged, 1);
    return true;
}

/* An unlinked-looking name for what is being written, opened; what it is born as. */
static enum err temp_open(struct restore *r, const struct task *t, struct text_name *ret_temp, int *ret_fd, struct now *ret_now)
{
    const struct entry *entry = &t->node->entry;
    bool ours = t->folder->owner_known && entry->uid == r->euid && entry->gid == r->egid;
    /* Nobody else may look at it before its owner is right. */
    mode_t mode = ours ? entry->mode & 0777 : 0600;
    *ret_now = (struct now){r->euid, r->egid, mode & ~r->umask, t->folder->owner_known, t->folder->made};
    for (int tries = 0; tries < 100; tries++) {
        *ret_temp = temp_name(r);
        *ret_fd = openat(t->folder->fd, ret_temp->text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (*ret_fd >= 0)
            return ERR_OK;
        if (errno != EEXIST)
            break;
    }
    return err_errno("cannot make a file");
}

static enum err restore_file(struct worker *w, const struct task *t)
{
    struct restore *r = w->restore;
    const struct content *content = &t->node->entry.content;
    struct text_name name = name_of(t->node), temp;
    if (leave_file(w, t, name.text))
        return ERR_OK;
    /* The one chunk of a small file is at hand before there is a file. */
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    if (content->how == CONTENT_CHUNK) {
        struct item item = {ITEM_DATA, content->length, content->id};
        TRY(chunk_get(r, t->node->domain, &item, &ref));
    }
    AUTO_FD fd = -1;
    struct now now;
    TRY(temp_open(r, t, &temp, &fd, &now));
    enum err e = ERR_OK;
    if (content->how == CONTENT_CHUNK) {
        e = write_full(fd, ref.bytes);
        atomic_fetch_add_explicit(&r->bytes, ref.bytes.len, memory_order_relaxed);
    } else if (content->how == CONTENT_LIST) {
        e = write_list(r, t->node, fd);
    }
    if (e != ERR_OK) {
        unlinkat(t->folder->fd, temp.text, 0);
        return e;
    }
    if (t->folder->default_acl)
        fremovexattr(fd, "system.posix_acl_access");
    attrs_set_fd(r, w, fd, t->node, &now, false, t->folder->trail, t->node->entry.name);
    TRY(name_it(r, t->folder, temp.text, name.text));
    atomic_fetch_add_explicit(&r->files, 1, memory_order_relaxed);
    return ERR_OK;
}

/* ---- what is no file ---- */

/* Make it under that name; errno. */
static int make_special(const struct task *t, const char *as)
{
    const struct entry *entry = &t->node->entry;
    if (entry->kind == NODE_SYMLINK) {
        char target[TARGET_MAX_BYTES + 1];
        memcpy(target, entry->target.data, entry->target.len);
        target[entry->target.len] = 0;
        return symlinkat(target, t->folder->fd, as);
    }
    return mknodat(t->folder->fd, as, stat_kind(entry->kind) | 0600, makedev(entry->major, entry->minor));
}

static bool same_special(const struct task *t, const char *name, struct stat *ret_st)
{
    const struct entry *entry = &t->node->entry;
    if (fstatat(t->folder->fd, name, ret_st, AT_SYMLINK_NOFOLLOW) != 0 || (ret_st->st_mode & S_IFMT) != stat_kind(entry->kind))
        return false;
    if (entry->kind == NODE_BLOCK || entry->kind == NODE_CHAR)
        return ret_st->st_rdev == makedev(entry->major, entry->minor);
    char target[TARGET_MAX_BYTES + 1];
    if (entry->kind != NODE_SYMLINK)
        return true;
    ssize_t len = readlinkat(t->folder->fd, name, target, sizeof target);
    return len >= 0 && slice_equal(slice_of(target, (size_t)len), entry->target);
}

static enum err restore_special(struct worker *w, const struct task *t)
{
    struct restore *r = w->restore;
    struct text_name name = name_of(t->node), temp = {""};
    struct stat st;
    struct now now = {r->euid, r->egid, 0, t->folder->owner_known, false};
    const char *as = name.text;
    if (!t->folder->made && r->options->overwrite != OVERWRITE_NEVER) {
        if (same_special(t, name.text, &st)) { /* nothing to replace it for */
            now = (struct now){st.st_uid, st.st_gid, st.st_mode & 07777, true, true};
            attrs_set_at(r, w, t->folder->fd, as, t->node, &now, t->folder->trail);
            atomic_fetch_add(r->options->overwrite == OVERWRITE_CHANGED ? &r->unchanged : &r->others, 1);
            return ERR_OK;
        }
        temp = temp_name(r);
        as = temp.text;
    }
    if (make_special(t, as) != 0) {
        bool device = t->node->entry.kind == NODE_BLOCK || t->node->entry.kind == NODE_CHAR;
        if (device && errno == EPERM) {
            atomic_fetch_add(&r->devices_not_made, 1);
            return ERR_OK;
        }
        return err_errno("cannot make it");
    }
    attrs_set_at(r, w, t->folder->fd, as, t->node, &now, t->folder->trail);
    if (as == temp.text)
        TRY(name_it(r, t->folder, temp.text, name.text));
    atomic_fetch_add(&r->others, 1);
    return ERR_OK;
}

/* ---- one task ---- */

/* A folder stands where something else must be: only who asked for removal gets it removed. */
static enum err clear_folder(struct restore *r, const struct task *t)
{
    struct text_name name = name_of(t->node);
    struct stat st;
    if (t->folder->made || r->options->overwrite == OVERWRITE_NEVER ||
        fstatat(t->folder->fd, name.text, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
        return ERR_OK;
    if (!r->options->remove_others)
        return err_set(ERR_EXISTS, "a folder is in the way (--overwrite=always --delete removes it)");
    return remove_name(r, t->folder->fd, t->folder->trail, t->node->entry.name);
}

static enum err restore_once(struct worker *w, const struct task *t)
{
    TRY(clear_folder(w->restore, t));
    return t->node->entry.kind == NODE_FILE ? restore_file(w, t) : restore_special(w, t);
}

static enum err restore_linked(struct worker *w, const struct task *t)
{
    struct link *link;
    bool mine;
    TRY(link_get(w->restore, t, &link, &mine));
    if (mine) {
        enum err e = restore_once(w, t);
        link_settle(w->restore, link, e);
        return e;
    }
    if (link->state == LINK_FAILED)
        return err_raise(&link->why);
    TRY(clear_folder(w->restore, t));
    enum err e = link_make(w, link, t);
    if (e == ERR_AGAIN)
        return restore_once(w, t);
    if (e == ERR_OK)
        atomic_fetch_add(&w->restore->linked, 1);
    return e;
}

void task_clear(struct restore *r, struct task *task)
{
    node_free(task->node);
    folder_unref(r, task->folder);
    *task = (struct task){0};
}

void batch_free(struct restore *r, struct batch *batch)
{
    for (size_t i = 0; batch && i < batch->count; i++)
        task_clear(r, &batch->tasks[i]);
    free(batch);
}

static void batch_run(struct worker *w, struct batch *batch)
{
    struct restore *r = w->restore;
    for (size_t i = 0; i < batch->count; i++) {
        struct task *t = &batch->tasks[i];
        if (!atomic_load(&r->stopping)) {
            enum err e = t->node->entry.has_link ? restore_linked(w, t) : restore_once(w, t);
            if (e != ERR_OK)
                e = restore_entry_failed(r, t->folder->trail, t->node->entry.name, e);
            if (e != ERR_OK)
                restore_stop(r, e);
        } else if (t->node->entry.has_link) {
            /* Nobody may wait for it. */
            struct link *link;
            bool mine;
            if (link_get(r, t, &link, &mine) == ERR_OK && mine)
                link_settle(r, link, err_set(ERR_CANCELED, "stopped"));
        }
        restore_step(r, 1);
        task_clear(r, t);
    }
    batch->count = 0;
    batch_free(r, batch);
}

void *restore_worker(void *context)
{
    struct worker w = {.restore = context, .link_fd = -1};
    for (struct batch *batch; (batch = queue_get(w.restore->queue));) {
        batch_run(&w, batch);
        atomic_fetch_sub(&w.restore->queued, 1);
    }
    if (w.link_fd >= 0)
        close(w.link_fd);
    trail_unref(w.link_trail);
    return NULL;
}
