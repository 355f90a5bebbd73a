#include "writers/care/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/clock.h"
#include "writers/care/check_inside.h"

enum { WORKERS_MOST = 32, PROGRESS_NS = 100 * 1000 * 1000 };

/* ---- findings ---- */

static void tell(struct check *c, const struct check_finding *finding)
{
    if (!c->options->finding)
        return;
    pthread_mutex_lock(&c->lock);
    c->options->finding(c->options->context, finding);
    pthread_mutex_unlock(&c->lock);
}

void check_damage(struct check *c, const char *object, enum err code)
{
    /* Many sentences begin with the object's name already. */
    const char *text = err_text();
    size_t len = strlen(object);
    while (strncmp(text, object, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        text += len + 2;
    struct check_finding finding = {.what = CHECK_DAMAGE, .object = object, .code = code, .text = text};
    atomic_fetch_add(code == ERR_UNSUPPORTED ? &c->newer : &c->damaged, 1);
    tell(c, &finding);
}

void check_note(struct check *c, const char *object, const char *format, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct check_finding finding = {.what = CHECK_NOTE, .object = object, .text = text};
    tell(c, &finding);
}

enum err check_object_failed(struct check *c, const char *object, enum err code)
{
    switch (code) {
    case ERR_NOMEM:
    case ERR_NO_STORE:
    case ERR_UNREACHABLE:
    case ERR_AGAIN:
    case ERR_CANCELED:
    case ERR_FULL:
        return code;
    default: /* an object that cannot be read for whatever reason is no backup */
        check_damage(c, object, code);
        return ERR_OK;
    }
}

void check_progress(struct check *c, uint64_t bytes)
{
    uint64_t done = atomic_fetch_add(&c->bytes_read, bytes) + bytes, at = clock_monotonic_ns();
    uint_fast64_t last = atomic_load(&c->progress_ns);
    if (!c->options->progress || at - last < PROGRESS_NS || !atomic_compare_exchange_strong(&c->progress_ns, &last, at))
        return;
    struct check_progress now = {done, c->total_bytes};
    pthread_mutex_lock(&c->lock);
    c->options->progress(c->options->context, &now);
    pthread_mutex_unlock(&c->lock);
}

/* ---- threads ---- */

struct crew {
    struct check *check;
    check_job job;
    void *context;
    size_t count;
    atomic_size_t next;
    pthread_mutex_t lock; /* failed */
    struct err_note failed;
    atomic_bool stop;
};

static void *crew_member(void *context)
{
    struct crew *crew = context;
    for (size_t i; !atomic_load(&crew->stop) && (i = atomic_fetch_add(&crew->next, 1)) < crew->count;) {
        enum err e = crew->job(crew->check, crew->context, i);
        if (e == ERR_OK)
            continue;
        pthread_mutex_lock(&crew->lock);
        if (crew->failed.code == ERR_OK)
            err_take(e, &crew->failed);
        pthread_mutex_unlock(&crew->lock);
        atomic_store(&crew->stop, true);
    }
    return NULL;
}

enum err check_parallel(struct check *c, size_t count, check_job job, void *context)
{
    struct crew crew = {.check = c, .job = job, .context = context, .count = count};
    pthread_t threads[WORKERS_MOST];
    unsigned started = 0;
    pthread_mutex_init(&crew.lock, NULL);
    while (started + 1 < c->workers && started + 1 < count && pthread_create(&threads[started], NULL, crew_member, &crew) == 0)
        started++;
    crew_member(&crew); /* this thread is one of them */
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&crew.lock);
    return crew.failed.code ? err_raise(&crew.failed) : ERR_OK;
}

/* ---- what is there ---- */

static enum err objects_add(void *context, const struct store_entry *entry)
{
    struct objects *o = context;
    if (o->count == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 1024;
        struct object *grown = realloc(o->all, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for a list of objects");
        o->all = grown;
        o->cap = cap;
    }
    char *name = strdup(entry->name);
    if (!name)
        return err_set(ERR_NOMEM, "no memory for a list of objects");
    o->all[o->count++] = (struct object){name, entry->size_bytes};
    return ERR_OK;
}

void check_range(const struct check *c, const char *prefix, size_t *ret_first, size_t *ret_end)
{
    size_t len = strlen(prefix), low = 0, high = c->objects.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strncmp(c->objects.all[middle].name, prefix, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_first = low;
    while (low < c->objects.count && strncmp(c->objects.all[low].name, prefix, len) == 0)
        low++;
    *ret_end = low;
}

/* ---- from start to end ---- */

static void check_clear(struct check *c)
{
    for (size_t i = 0; i < c->objects.count; i++)
        free(c->objects.all[i].name);
    free(c->objects.all);
    free(c->claims);
    free(c->suspect);
    packs_free(c->packs);
    reader_free(c->reader);
    fetcher_free(c->fetcher);
    pthread_mutex_destroy(&c->lock);
}

static enum err check_begin(struct check *c)
{
    struct fetch_guide guide = index_guide(c->index);
    struct fetch_options options = {.workers = 0}; /* whole packs are read, and trees by those who walk */
    TRY(fetcher_new(c->access->store, c->access->keys, &guide, &options, &c->fetcher));
    TRY(reader_new(c->index, c->fetcher, 0, &c->reader));
    TRY(packs_new(c->access->store, c->access->keys, &guide, &c->packs));
    TRY(index_pack_max(c->index, &c->pack_max));
    c->suspect = calloc((size_t)c->pack_max + 1, sizeof *c->suspect);
    if (!c->suspect)
        return err_set(ERR_NOMEM, "no memory to check packs");
    return store_list(c->access->store, "", objects_add, &c->objects);
}

static enum err check_all(struct check *c)
{
    TRY(check_begin(c));
    TRY(check_records(c));
    TRY(check_segments(c));
    TRY(check_pack_names(c));
    if (c->options->read_percent)
        TRY(check_pack_bytes(c));
    TRY(check_envelopes(c));
    return check_trees(c);
}

enum err check_run(const struct check_options *options, struct check_report *ret_report)
{
    struct check c = {.options = options, .access = options->access, .index = options->index, .workers = options->workers};
    if (c.workers == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        c.workers = online > 0 ? (unsigned)online : 1;
    }
    if (c.workers > WORKERS_MOST)
        c.workers = WORKERS_MOST;
    pthread_mutex_init(&c.lock, NULL);
    enum err e = check_all(&c);
    *ret_report = (struct check_report){
        .objects = c.objects.count,
        .records = c.records,
        .segments = c.segments,
        .packs = c.packs_there,
        .snapshots = c.snapshots,
        .chunk_rows = c.chunk_rows,
        .tree_chunks = c.tree_chunks,
        .files = c.files,
        .packs_read = c.packs_read,
        .bytes_read = c.bytes_read,
        .chunks_read = c.chunks_read,
        .damaged = c.damaged,
        .touched = c.touched,
        .newer = c.newer,
        .orphans = c.orphans,
        .orphan_bytes = c.orphan_bytes,
    };
    check_clear(&c);
    return e;
}
