#include "writers/source/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fetch/base/file.h"
#include "fetch/crypto/chunkid.h"
#include "fetch/crypto/digest.h"
#include "writers/pipeline/pieces.h"
#include "writers/source/attrs.h"

enum { EXTENTS_MAX = 1 << 20, BIG_RETRY_MAX_BYTES = 64 * 1024 * 1024 };

/* One worker's things. */
struct reader_state {
    struct files_run *run;
    struct sink_worker *sink;
    struct cut_scanner *scanner;
    struct buf bytes; /* the small files of a batch, one behind the other */
    struct buf whole; /* one middle file */
    struct cut_ends ends;
    size_t waiting; /* small files in bytes, not put yet */
    struct batch_item *items[BATCH_FILES];
    size_t at[BATCH_FILES], lens[BATCH_FILES];
    struct slice chunks[BATCH_FILES];
    struct chunk_id ids[BATCH_FILES];
    struct sha_job shas[BATCH_FILES];
    struct slice *parts; /* of one middle file */
    struct chunk_id *part_ids;
    size_t parts_cap;
};

static void reader_state_clear(struct reader_state *r)
{
    sink_worker_free(r->sink);
    cut_scanner_free(r->scanner);
    buf_clear(&r->bytes);
    buf_clear(&r->whole);
    cut_ends_clear(&r->ends);
    free(r->parts);
    free(r->part_ids);
}

/* ---- opening ---- */

static const char *item_name(const struct batch_item *item)
{
    return (const char *)item->dir->names.data + item->found->name_at;
}

/* Never blocks, never follows: what was a file may be something else by now. */
static int open_file(const struct batch_item *item)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = openat(item->handle->fd, item_name(item), flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? openat(item->handle->fd, item_name(item), flags) : fd;
}

/* The disk may begin with these. Whatever fails here fails again, and is reported, when it is read.
 */
static void open_ahead(const struct files_run *run, struct batch *batch)
{
    for (size_t i = 0; i < batch->count && i < run->ahead_files; i++) {
        int fd = open_file(&batch->items[i]);
        if (fd < 0)
            continue;
        posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
        batch->items[i].fd = fd;
    }
}

static void item_close(struct batch_item *item)
{
    if (item->fd >= 0)
        close(item->fd);
    item->fd = -1;
}

/* ---- has it changed? ---- */

static bool is_as_found(const struct found *f, const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_ino == f->inode && (uint64_t)st->st_size == f->size &&
           st->st_mtim.tv_sec == f->mtime_secs && (uint32_t)st->st_mtim.tv_nsec == f->mtime_nanos &&
           st->st_ctim.tv_sec == f->ctime_secs && (uint32_t)st->st_ctim.tv_nsec == f->ctime_nanos;
}

/* What it is now. It will not be trusted next time. */
static void take_now(struct found *f, const struct stat *st)
{
    f->mode = st->st_mode & 07777;
    f->uid = st->st_uid;
    f->gid = st->st_gid;
    f->size = (uint64_t)st->st_size;
    f->inode = st->st_ino;
    f->mtime_secs = st->st_mtim.tv_sec;
    f->mtime_nanos = (uint32_t)st->st_mtim.tv_nsec;
    f->ctime_secs = st->st_ctim.tv_sec;
    f->ctime_nanos = (uint32_t)st->st_ctim.tv_nsec;
    f->fresh = true;
}

/* ---- results ---- */

static struct file_result *result_new(void)
{
    struct file_result *result = calloc(1, sizeof *result);
    if (!result)
        err_set(ERR_NOMEM, "no memory for the content of a file");
    return result;
}

/* Hand the result to its entry. NULL: it could not be read. */
static void item_done(struct files_run *run, struct batch_item *item, struct file_result *result)
{
    struct found *f = item->found;
    item_close(item);
    if (result) {
        atomic_fetch_add_explicit(&run->done_files, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&run->done_bytes, result->content.length, memory_order_relaxed);
    }
    if (f->state == FOUND_LINKED) {
        struct link *link = f->link;
        link->unreadable = !result;
        link->result = result;
        atomic_store_explicit(&link->done, true, memory_order_release);
    } else {
        f->result = result;
        if (!result)
            f->state = FOUND_LEFT_OUT;
    }
    atomic_fetch_sub_explicit(&item->dir->waiting, 1,
                              memory_order_release); /* the entry is not ours any more */
    dir_handle_unref(item->handle);
    item->handle = NULL;
}

/* It cannot be read: say so, leave it out. */
static void item_failed(struct files_run *run, struct batch_item *item, int error)
{
    bool gone =
        error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO || error == ESTALE;
    run_note(run, gone ? NOTE_VANISHED : NOTE_UNREADABLE, item->dir, item->found, error);
    item_done(run, item, NULL);
}

static void note_changed(struct files_run *run, const struct batch_item *item)
{
    item->found->fresh = true;
    run_note_text(run, NOTE_CHANGED, item->dir, item->found,
                  "it did not hold still; kept as it was read");
}

static enum err read_attrs(struct files_run *run, struct batch_item *item)
{
    unsigned unreadable = 0;
    int error = 0;
    TRY(attrs_read_fd(item->fd, &item->found->extra, &unreadable, &error));
    if (unreadable)
        run_note(run, NOTE_UNREADABLE, item->dir, item->found, error);
    return ERR_OK;
}

/* ---- small files ---- */

/* All that was read so far: names, chunks, results, in the order of the directory. */
static enum err put_waiting(struct reader_state *r)
{
    size_t n = r->waiting;
    if (n == 0)
        return ERR_OK;
    for (size_t i = 0; i < n; i++) {
        r->chunks[i] = slice_of(r->bytes.data + r->at[i], r->lens[i]);
        r->shas[i].data = r->chunks[i];
    }
    TRY(sink_put(r->sink, r->chunks, n, r->ids));
    if (r->run->file_hash)
        sha256_many(r->shas, n);
    for (size_t i = 0; i < n; i++) {
        struct file_result *result = result_new();
        if (!result)
            return ERR_NOMEM;
        result->content = (struct content){
            .how = CONTENT_CHUNK,
            .length = r->lens[i],
            .data_bytes = r->lens[i],
            .id = r->ids[i],
        };
        result->cut_class = CUT_WHOLE;
        result->has_sha256 = r->run->file_hash;
        memcpy(result->sha256, r->shas[i].digest, sizeof result->sha256);
        item_done(r->run, r->items[i], result);
    }
    r->waiting = 0;
    r->bytes.len = 0;
    run_landed(r->run);
    return ERR_OK;
}

static enum err empty_result(struct files_run *run, struct batch_item *item)
{
    struct file_result *result = result_new();
    if (!result)
        return ERR_NOMEM;
    result->has_sha256 = run->file_hash;
    sha256_of(SLICE_EMPTY, result->sha256);
    item_done(run, item, result);
    return ERR_OK;
}

enum got { GOT_IT, GOT_BIGGER /* than room: it grew */, GOT_ERROR /* errno */ };

/* Read from the beginning to the end of file into at most `room` bytes at `to`. */
static enum got read_once(int fd, uint8_t *to, size_t room, size_t *ret_len)
{
    size_t len = 0;
    for (;;) {
        ssize_t n = pread(fd, to + len, room - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return GOT_ERROR;
        len += (size_t)n;
        if (len == room)
            return GOT_BIGGER;
        /* A short read of a regular file is its end, but ask where it is cheap to be sure: nothing
         * was read, or less than was there when it was statted. */
        if (n == 0 || len + 1 == room) {
            *ret_len = len;
            return GOT_IT;
        }
    }
}

/*
 * A file into memory, the same before and after if it can be had.
 *
 *   to       an empty buf, or bytes to append to
 *   max      longer files are not for here: ERR_INVALID without a note, the caller sends them
 * elsewhere ret_len  its bytes; *ret_errno: not readable
 */
static enum err read_still(struct batch_item *item, struct buf *to, uint64_t max, size_t *ret_len,
                           bool *ret_changed, int *ret_errno)
{
    struct found *f = item->found;
    size_t start = to->len;
    *ret_errno = 0;
    *ret_changed = false;
    for (unsigned tries = 0;; tries++) {
        if (f->size > max)
            return ERR_INVALID;
        size_t room = (size_t)f->size + 1, len = 0;
        TRY(buf_reserve(to, start + room));
        enum got got = read_once(item->fd, to->data + start, room, &len);
        struct stat st;
        if (got == GOT_ERROR || fstat(item->fd, &st) != 0) {
            *ret_errno = errno;
            return ERR_OK;
        }
        if (!S_ISREG(st.st_mode)) {
            *ret_errno = ENOENT; /* another thing has its name now */
            return ERR_OK;
        }
        bool still = got == GOT_IT && is_as_found(f, &st) && len == f->size;
        if (!still && tries < READ_TRIES) {
            take_now(f, &st);
            continue;
        }
        if (got == GOT_BIGGER)
            len = room; /* it grows faster than we read: this much of it */
        if (!still)
            take_now(f, &st);
        *ret_changed = !still;
        *ret_len = len;
        to->len = start + len;
        return ERR_OK;
    }
}

static enum err send_elsewhere(struct files_run *run, struct batch_item *item);

static enum err read_small(struct reader_state *r, struct batch_item *item)
{
    size_t start = r->bytes.len, len = 0;
    bool changed;
    int error;
    enum err e = read_still(item, &r->bytes, WHOLE_MAX_BYTES, &len, &changed, &error);
    if (e == ERR_INVALID)
        return send_elsewhere(r->run, item);
    TRY(e);
    if (error) {
        item_failed(r->run, item, error);
        return ERR_OK;
    }
    if (changed)
        note_changed(r->run, item);
    TRY(read_attrs(r->run, item));
    if (len == 0)
        return empty_result(r->run, item);
    item_close(item);
    r->items[r->waiting] = item;
    r->at[r->waiting] = start;
    r->lens[r->waiting] = len;
    r->waiting++;
    return ERR_OK;
}

/* ---- middle files ---- */

/* By what it holds: SQLite writes its pages in place. (PostgreSQL's relations are known by their
 * names.) */
static enum cut_class class_of(const struct found *f, struct slice bytes)
{
    static const char sqlite[16] = "SQLite format 3";
    if (f->cut_class == CUT_FIXED || f->cut_class == CUT_COLD)
        return f->cut_class;
    return bytes.len >= sizeof sqlite && memcmp(bytes.data, sqlite, sizeof sqlite) == 0 ? CUT_FIXED
                                                                                        : CUT_FILE;
}

static enum err cut_whole(struct reader_state *r, struct slice bytes, enum cut_class cut_class)
{
    const struct cut_spec *spec = config_class(&r->run->options->common.access->config, cut_class);
    if (!spec)
        return err_set(ERR_UNSUPPORTED, "this store has no cut class %d", (int)cut_class);
    r->ends.count = 0;
    if (spec->method == CUT_BY_CONTENT) {
        struct cut_params params = {spec->min_bytes, spec->mean_bytes, spec->max_bytes};
        TRY(cut_buffer(r->scanner, bytes, params, &r->ends));
    }
    size_t step = spec->max_bytes;
    size_t count = spec->method == CUT_BY_CONTENT ? r->ends.count : (bytes.len + step - 1) / step;
    if (count > r->parts_cap) {
        free(r->parts);
        free(r->part_ids);
        r->parts_cap = 0;
        r->parts = malloc(count * sizeof *r->parts);
        r->part_ids = malloc(count * sizeof *r->part_ids);
        if (!r->parts || !r->part_ids)
            return err_set(ERR_NOMEM, "no memory for the chunks of a file");
        r->parts_cap = count;
    }
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
        size_t to = spec->method == CUT_BY_CONTENT ? (size_t)r->ends.at[i] : from + step;
        if (to > bytes.len)
            to = bytes.len;
        r->parts[i] = slice_of(bytes.data + from, to - from);
        from = to;
    }
    r->ends.count = count; /* now: how many parts */
    return ERR_OK;
}

static enum err whole_result(struct reader_state *r, struct slice bytes, enum cut_class cut_class,
                             struct file_result **ret_result)
{
    size_t count = r->ends.count;
    struct file_result *result = result_new();
    if (!result)
        return ERR_NOMEM;
    result->content =
        (struct content){.how = CONTENT_LIST, .length = bytes.len, .data_bytes = bytes.len};
    result->pieces = malloc(count * sizeof *result->pieces);
    if (!result->pieces) {
        free(result);
        return err_set(ERR_NOMEM, "no memory for the chunks of a file");
    }
    for (size_t i = 0; i < count; i++)
        result->pieces[i] = (struct content_piece){(uint32_t)r->parts[i].len, r->part_ids[i]};
    result->piece_count = count;
    result->cut_class = (uint8_t)cut_class;
    if (r->run->file_hash) {
        struct sha_job job = {.data = bytes};
        sha256_many(&job, 1);
        memcpy(result->sha256, job.digest, sizeof result->sha256);
        result->has_sha256 = true;
    }
    *ret_result = result;
    return ERR_OK;
}

static enum err read_middle(struct reader_state *r, struct batch_item *item)
{
    TRY(put_waiting(r)); /* order is what makes neighbours in a frame */
    r->whole.len = 0;
    size_t len = 0;
    bool changed;
    int error;
    enum err e = read_still(item, &r->whole, r->run->whole_bytes, &len, &changed, &error);
    if (e == ERR_INVALID)
        return send_elsewhere(r->run, item);
    TRY(e);
    if (error) {
        item_failed(r->run, item, error);
        return ERR_OK;
    }
    if (changed)
        note_changed(r->run, item);
    TRY(read_attrs(r->run, item));
    if (len == 0)
        return empty_result(r->run, item);
    struct slice bytes = slice_of(r->whole.data, len);
    enum cut_class cut_class = len <= SMALL_MAX_BYTES ? CUT_WHOLE : class_of(item->found, bytes);
    if (cut_class == CUT_WHOLE) {
        TRY(cut_whole(r, bytes, CUT_FIXED)); /* room */
        r->parts[0] = bytes;
        r->ends.count = 1;
    } else {
        TRY(cut_whole(r, bytes, cut_class));
    }
    TRY(sink_put(r->sink, r->parts, r->ends.count, r->part_ids));
    struct file_result *result = NULL;
    TRY(whole_result(r, bytes, cut_class, &result));
    item->found->cut_class = (uint8_t)cut_class;
    item_done(r->run, item, result);
    run_landed(r->run);
    return ERR_OK;
}

/* ---- batches ---- */

/* It grew beyond what a worker takes: to the one for big files. */
static enum err send_elsewhere(struct files_run *run, struct batch_item *item)
{
    struct batch *one = malloc(sizeof *one);
    if (!one)
        return err_set(ERR_NOMEM, "no memory for a batch of files");
    one->count = 1;
    one->bytes = item->found->size;
    one->items[0] = *item;
    one->items[0].fd = -1;
    item_close(item);
    item->handle = NULL;
    if (queue_put(run->bigs, one) == ERR_OK)
        return ERR_OK;
    dir_handle_unref(one->items[0].handle);
    free(one);
    return err_set(ERR_CANCELED, "stopped");
}

/* Fewer blocks than bytes: holes, or a file system that compresses. */
static bool has_hole(const struct batch_item *item)
{
    const struct found *f = item->found;
    if (!f->sparse)
        return false;
    off_t hole = lseek(item->fd, 0, SEEK_HOLE);
    return hole >= 0 && (uint64_t)hole < f->size;
}

static enum err read_one(struct reader_state *r, struct batch_item *item)
{
    if (has_hole(item))
        return send_elsewhere(r->run, item);
    return item->found->size <= SMALL_MAX_BYTES ? read_small(r, item) : read_middle(r, item);
}

static enum err read_batch(struct reader_state *r, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        if (run_stopped(r->run))
            return ERR_CANCELED;
        if (item->fd < 0)
            item->fd = open_file(item);
        if (item->fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                return err_errno("%s", item_name(item));
            item_failed(r->run, item, errno);
            continue;
        }
        TRY(read_one(r, item));
    }
    TRY(put_waiting(r));
    run_landed(r->run);
    return ERR_OK;
}

static void batch_drop(struct batch *batch)
{
    for (size_t i = 0; batch && i < batch->count; i++) {
        item_close(&batch->items[i]);
        dir_handle_unref(batch->items[i].handle);
    }
    free(batch);
}

static enum err work(struct reader_state *r)
{
    struct files_run *run = r->run;
    struct batch *batch = queue_get(run->batches);
    if (batch)
        open_ahead(run, batch);
    while (batch) {
        struct batch *next = queue_try_get(run->batches);
        if (next)
            open_ahead(run, next);
        enum err e = read_batch(r, batch);
        batch_drop(batch);
        if (e != ERR_OK) {
            batch_drop(next);
            return e;
        }
        if (!next && (next = queue_get(run->batches)))
            open_ahead(run, next);
        batch = next;
    }
    return ERR_OK;
}

enum err read_batches(struct files_run *run, const struct cut_keys *keys)
{
    struct reader_state *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(ERR_NOMEM, "no memory for a worker");
    r->run = run;
    enum err e = cut_scanner_new(keys, &r->scanner);
    if (e == ERR_OK)
        e = sink_worker_new(run->sink, CHUNK_DATA, &r->sink);
    if (e == ERR_OK)
        e = work(r);
    if (e == ERR_OK)
        e = sink_worker_finish(r->sink);
    reader_state_clear(r);
    free(r);
    return e;
}

/* ---- big files ---- */

struct big_source {
    int fd;
};

static enum err big_read(void *context, uint64_t offset, void *to, size_t len, size_t *ret_len)
{
    const struct big_source *source = context;
    return pread_full(source->fd, to, len, offset, ret_len);
}

/* The extents of data. *ret_count 0 with a size: all hole. Too many, or a file system that cannot
 * say: all data (NULL). */
static enum err find_extents(int fd, uint64_t size, struct extent **ret_extents, size_t *ret_count)
{
    AUTO_MEM struct extent *extents = NULL;
    size_t count = 0, cap = 0;
    uint64_t at = 0;
    *ret_extents = NULL;
    *ret_count = 0;
    while (at < size) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* nothing but a hole from here on */
        off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        if (data < 0 || hole <= data)
            return ERR_OK;
        if (count == cap) {
            cap = cap ? cap * 2 : 64;
            if (cap > EXTENTS_MAX)
                return ERR_OK;
            struct extent *grown = realloc(extents, cap * sizeof *grown);
            if (!grown)
                return err_set(ERR_NOMEM, "no memory for the holes of a file");
            extents = grown;
        }
        uint64_t end = (uint64_t)hole < size ? (uint64_t)hole : size;
        if ((uint64_t)data < end)
            extents[count++] = (struct extent){(uint64_t)data, end - (uint64_t)data};
        at = (uint64_t)hole;
    }
    if (!extents && !(extents = malloc(sizeof *extents)))
        return err_set(ERR_NOMEM, "no memory for the holes of a file");
    if (count == 1 && extents[0].offset == 0 && extents[0].length == size)
        return ERR_OK; /* no hole at all */
    *ret_extents = TAKE(extents);
    *ret_count = count;
    return ERR_OK;
}

static enum err store_big(struct files_run *run, struct sink_worker *trees, struct batch_item *item,
                          struct file_result *result, int *ret_errno)
{
    struct found *f = item->found;
    AUTO_MEM struct extent *extents = NULL;
    size_t count = 0;
    if (f->sparse)
        TRY(find_extents(item->fd, f->size, &extents, &count));
    AUTO(buf) head = BUF_EMPTY;
    TRY(buf_resize(&head, 16));
    size_t got;
    if (pread_full(item->fd, head.data, head.len, 0, &got) != ERR_OK) {
        *ret_errno = EIO;
        return ERR_OK;
    }
    struct big_source context = {item->fd};
    struct piece_source source = {
        .read_at = big_read,
        .context = &context,
        .extents = extents,
        .extent_count = count,
        .size = f->size,
    };
    uint64_t data_bytes = extents ? 0 : f->size;
    for (size_t i = 0; i < count; i++)
        data_bytes += extents[i].length;
    struct piece_options options = {
        .cut_class = class_of(f, slice_of(head.data, got)),
        .file_hash = run->file_hash && f->size - data_bytes <= HOLES_HASHED_MAX_BYTES,
    };
    struct pieces_result pieces;
    unsigned workers = f->size > run->whole_bytes ? run->workers : 1;
    TRY(pieces_store(run->sink, trees, &source, &options, workers, &pieces));
    result->content = pieces.content;
    result->has_sha256 = options.file_hash;
    memcpy(result->sha256, pieces.sha256, sizeof result->sha256);
    result->cut_class = (uint8_t)options.cut_class;
    f->cut_class = result->cut_class;
    return ERR_OK;
}

static enum err read_big(struct files_run *run, struct sink_worker *trees, struct batch_item *item)
{
    item->fd = open_file(item);
    if (item->fd < 0) {
        item_failed(run, item, errno);
        return ERR_OK;
    }
    TRY(read_attrs(run, item));
    struct file_result *result = result_new();
    if (!result)
        return ERR_NOMEM;
    for (unsigned tries = 0;; tries++) {
        int error = 0;
        enum err e = store_big(run, trees, item, result, &error);
        if (e != ERR_OK) {
            free(result);
            return e;
        }
        struct stat st;
        if (!error && fstat(item->fd, &st) != 0)
            error = errno;
        if (!error && !S_ISREG(st.st_mode))
            error = ENOENT;
        if (error) {
            free(result);
            item_failed(run, item, error);
            return ERR_OK;
        }
        if (is_as_found(item->found, &st) && result->content.length == item->found->size)
            break;
        take_now(item->found, &st);
        if (tries >= READ_TRIES || item->found->size > BIG_RETRY_MAX_BYTES) {
            note_changed(run, item);
            break;
        }
    }
    item_done(run, item, result);
    return ERR_OK;
}

enum err read_bigs(struct files_run *run)
{
    AUTO_PTR(sink_worker) trees = NULL;
    enum err e = ERR_OK;
    struct batch *batch;
    while (e == ERR_OK && (batch = queue_get(run->bigs))) {
        if (!trees)
            e = sink_worker_new(run->sink, CHUNK_TREE, &trees);
        if (e == ERR_OK)
            e = read_big(run, trees, &batch->items[0]);
        batch_drop(batch);
        run_landed(run);
    }
    if (e == ERR_OK && trees)
        e = sink_worker_finish(trees);
    return e;
}
