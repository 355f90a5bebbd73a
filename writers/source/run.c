#include "writers/source/run.h"

#include <errno.h>
#include <stdlib.h>

#include "fetch/base/log.h"

#define TENTH_NS 100000000L

static void batch_free(struct batch *batch);

enum err run_init(struct files_run *run)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->landed, &monotonic);
    pthread_cond_init(&run->room, &monotonic);
    pthread_condattr_destroy(&monotonic);
    TRY(queue_new(QUEUE_BATCHES, &run->batches));
    TRY(queue_new(QUEUE_BATCHES, &run->bigs));
    return notes_new(&run->notes);
}

static void drain(struct queue *queue)
{
    if (!queue)
        return;
    queue_close(queue);
    for (struct batch *batch; (batch = queue_get(queue));)
        batch_free(batch);
    queue_free(queue);
}

void run_clear(struct files_run *run)
{
    if (run->open_batch)
        batch_free(run->open_batch);
    drain(run->batches);
    drain(run->bigs);
    while (run->first) {
        struct found_dir *dir = run->first;
        run->first = dir->next;
        found_dir_free(dir);
    }
    found_extra_free(run->root.extra);
    notes_free(run->notes);
    pthread_mutex_destroy(&run->lock);
    pthread_cond_destroy(&run->landed);
    pthread_cond_destroy(&run->room);
}

enum err run_fail(struct files_run *run, enum err code)
{
    pthread_mutex_lock(&run->lock);
    bool first = run->failure.code == ERR_OK;
    if (first)
        err_take(code, &run->failure);
    atomic_store(&run->stopped, true);
    pthread_cond_broadcast(&run->landed);
    pthread_cond_broadcast(&run->room);
    pthread_mutex_unlock(&run->lock);
    if (first && run->sink) {
        err_raise(&run->failure);
        sink_fail(run->sink, code);
    }
    queue_close(run->batches);
    queue_close(run->bigs);
    return code;
}

enum err run_failure(struct files_run *run)
{
    pthread_mutex_lock(&run->lock);
    struct err_note note = run->failure;
    pthread_mutex_unlock(&run->lock);
    return note.code == ERR_OK ? ERR_OK : err_raise(&note);
}

static enum err stop_error(struct files_run *run)
{
    enum err e = run_failure(run);
    return e != ERR_OK ? e : err_set(ERR_CANCELED, "stopped");
}

/* ---- files to workers ---- */

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        dir_handle_unref(batch->items[i].handle);
    free(batch);
}

static enum err hand_over(struct files_run *run, struct queue *to, struct batch *batch)
{
    if (queue_put(to, batch) == ERR_OK)
        return ERR_OK;
    batch_free(batch);
    return stop_error(run);
}

enum err run_flush(struct files_run *run)
{
    struct batch *batch = TAKE(run->open_batch);
    return batch ? hand_over(run, run->batches, batch) : ERR_OK;
}

static enum err batch_new(struct batch **ret_batch)
{
    *ret_batch = malloc(sizeof **ret_batch);
    if (!*ret_batch)
        return err_set(ERR_NOMEM, "no memory for a batch of files");
    (*ret_batch)->count = 0;
    (*ret_batch)->bytes = 0;
    return ERR_OK;
}

static void batch_put(struct batch *batch, struct found_dir *dir, struct found *found)
{
    dir_handle_ref(dir->handle);
    atomic_fetch_add_explicit(&dir->waiting, 1, memory_order_relaxed);
    batch->items[batch->count++] = (struct batch_item){dir, found, dir->handle, -1};
    batch->bytes += found->size;
}

enum err run_add_file(struct files_run *run, struct found_dir *dir, struct found *found)
{
    if (found->size > run->whole_bytes) {
        struct batch *one;
        TRY(batch_new(&one));
        batch_put(one, dir, found);
        return hand_over(run, run->bigs, one);
    }
    if (!run->open_batch)
        TRY(batch_new(&run->open_batch));
    batch_put(run->open_batch, dir, found);
    if (run->open_batch->count == BATCH_FILES || run->open_batch->bytes >= BATCH_BYTES)
        return run_flush(run);
    return ERR_OK;
}

/* ---- directories to the assembler ---- */

enum err run_push(struct files_run *run, struct found_dir *dir)
{
    pthread_mutex_lock(&run->lock);
    dir->next = NULL;
    if (run->last)
        run->last->next = dir;
    else
        run->first = dir;
    run->last = dir;
    run->in_flight += dir->count + 1;
    bool full = run->in_flight > ENTRIES_IN_FLIGHT;
    if (++run->quiet >= WAKE_DIRS || full) {
        run->quiet = 0;
        pthread_cond_signal(&run->landed);
    }
    pthread_mutex_unlock(&run->lock);
    if (full) {
        TRY(run_flush(run));
        pthread_mutex_lock(&run->lock);
        while (run->in_flight > ENTRIES_IN_FLIGHT && !run_stopped(run))
            pthread_cond_wait(&run->room, &run->lock);
        pthread_mutex_unlock(&run->lock);
    }
    return run_stopped(run) ? stop_error(run) : ERR_OK;
}

/* Wait for a tenth of a second at most; false: it went by. */
static bool wait_a_tenth(pthread_cond_t *cond, pthread_mutex_t *lock)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TENTH_NS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

struct found_dir *files_run_next(struct files_run *run, bool *ret_timeout)
{
    *ret_timeout = false;
    pthread_mutex_lock(&run->lock);
    while (!run->first && !run->scanned && !run_stopped(run) && !*ret_timeout)
        *ret_timeout = !wait_a_tenth(&run->landed, &run->lock);
    struct found_dir *dir = run_stopped(run) ? NULL : run->first;
    if (dir) {
        *ret_timeout = false;
        run->first = dir->next;
        if (!run->first)
            run->last = NULL;
    }
    pthread_mutex_unlock(&run->lock);
    return dir;
}

void run_return(struct files_run *run, struct found_dir *dir)
{
    pthread_mutex_lock(&run->lock);
    dir->next = run->first;
    run->first = dir;
    if (!run->last)
        run->last = dir;
    pthread_mutex_unlock(&run->lock);
}

/* Is there an entry whose content is still to come? */
static bool content_missing(struct found_dir *dir)
{
    if (atomic_load_explicit(&dir->waiting, memory_order_acquire) > 0)
        return true;
    if (!dir->place)
        return false;
    for (size_t i = 0; i < dir->count; i++) {
        const struct found *f = &dir->entries[i];
        if (f->state == FOUND_LINKED && !atomic_load_explicit(&f->link->done, memory_order_acquire))
            return true;
    }
    return false;
}

enum err run_wait_content(struct files_run *run, struct found_dir *dir)
{
    if (!content_missing(dir))
        return ERR_OK;
    enum err e = ERR_OK;
    pthread_mutex_lock(&run->lock);
    while (content_missing(dir) && e == ERR_OK) {
        if (run_stopped(run))
            e = ERR_CANCELED;
        else if (!wait_a_tenth(&run->landed, &run->lock))
            e = ERR_AGAIN;
    }
    pthread_mutex_unlock(&run->lock);
    return e == ERR_CANCELED ? stop_error(run) : e;
}

void run_assembled(struct files_run *run, uint64_t entries)
{
    pthread_mutex_lock(&run->lock);
    bool was_full = run->in_flight > ENTRIES_IN_FLIGHT;
    run->in_flight -= entries;
    if (was_full)
        pthread_cond_signal(&run->room);
    pthread_mutex_unlock(&run->lock);
}

void run_landed(struct files_run *run)
{
    pthread_mutex_lock(&run->lock);
    pthread_cond_signal(&run->landed);
    pthread_cond_signal(&run->room);
    pthread_mutex_unlock(&run->lock);
}

/* ---- open directories ---- */

void dir_handle_ref(struct dir_handle *handle)
{
    atomic_fetch_add_explicit(&handle->refs, 1, memory_order_relaxed);
}

void dir_handle_unref(struct dir_handle *handle)
{
    if (!handle || atomic_fetch_sub_explicit(&handle->refs, 1, memory_order_acq_rel) > 1)
        return;
    close(handle->fd);
    atomic_fetch_sub(handle->open_count, 1);
    free(handle);
}

/* ---- names for people ---- */

enum err files_run_path(const struct files_run *run, const struct found_dir *dir,
                        const struct found *found, struct buf *ret_path)
{
    /* Root first: collect the chain, then write it backwards. */
    size_t depth = 0;
    for (const struct found_dir *d = dir; d->parent; d = d->parent)
        depth++;
    AUTO_MEM const struct found_dir **chain = malloc((depth + 1) * sizeof(struct found_dir *));
    if (!chain)
        return err_set(ERR_NOMEM, "no memory for a path");
    size_t at = depth;
    for (const struct found_dir *d = dir; d->parent; d = d->parent)
        chain[--at] = d;
    buf_put_slice(ret_path, run->base);
    for (size_t i = 0; i < depth; i++) {
        buf_put_u8(ret_path, '/');
        buf_put_slice(ret_path, found_name(chain[i]->parent, chain[i]->self));
    }
    if (found) {
        buf_put_u8(ret_path, '/');
        buf_put_slice(ret_path, found_name(dir, found));
    }
    if (ret_path->len == 0)
        buf_put_u8(ret_path, '/');
    return buf_check(ret_path);
}

void run_note_text(struct files_run *run, enum note_what what, const struct found_dir *dir,
                   const struct found *found, const char *why)
{
    AUTO(buf) path = BUF_EMPTY;
    if (files_run_path(run, dir, found, &path) == ERR_OK)
        notes_add(run->notes, what, buf_slice(&path), why);
}

void run_note(struct files_run *run, enum note_what what, const struct found_dir *dir,
              const struct found *found, int error)
{
    char text[128];
    run_note_text(run, what, dir, found, strerror_r(error, text, sizeof text));
}
