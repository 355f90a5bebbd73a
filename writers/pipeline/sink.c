#include "writers/pipeline/sink.h"

#include <stdlib.h>

#include "writers/pipeline/known.h"
#include "writers/pipeline/pool.h"
#include "writers/pipeline/stop.h"
#include "writers/pipeline/upload.h"

enum { TREE_LEVEL = 3, UPLOADS_DEFAULT = 2, PACKS_AT_ONCE = 8, PACK_MIN_BYTES = 1 << 20 };
#define MEMORY_DEFAULT_BYTES ((size_t)256 << 20)

struct sink {
    struct session *session;
    const struct domain_keys *domain;
    struct sink_options options; /* completed */
    struct stop stop;
    struct known *known[2]; /* [kind == CHUNK_TREE] */
    struct pool *pool;
    struct upload *upload;
    atomic_uint_fast64_t chunks, known_chunks, raw_bytes, new_bytes;
};

struct sink_worker {
    struct sink *sink;
    enum chunk_kind kind;
    const struct id_keys *ids;
    struct known *known;

    /* The open frame: chunks in a row in the caller's memory, or copied. Never both. */
    struct slice run; /* only within sink_put */
    struct buf copied;
    struct frame_chunk *chunks; /* [FRAME_MAX_CHUNKS] grown as needed */
    size_t chunk_count, chunk_cap;

    /* Room for one sink_put. */
    struct id_job *jobs;
    struct chunk_id *asked;
    uint32_t *asked_at;
    bool *found, *is_new;
    size_t room;
};

/* ---- the sink ---- */

static enum err sink_fill(struct sink *sink, struct session *session,
                          const struct sink_options *options)
{
    const struct access *access = session_access(session);
    sink->session = session;
    sink->options = *options;
    struct sink_options *o = &sink->options;
    o->frame_bytes = o->frame_bytes ? o->frame_bytes : access->config.frame_bytes;
    o->pack_bytes = o->pack_bytes ? o->pack_bytes : access->config.pack_bytes;
    o->memory_bytes = o->memory_bytes ? o->memory_bytes : MEMORY_DEFAULT_BYTES;
    o->uploads = o->uploads ? o->uploads : UPLOADS_DEFAULT;
    if (o->frame_bytes == 0 || o->frame_bytes > CHUNK_MAX_BYTES)
        return err_set(ERR_INVALID, "frames of %zu bytes", o->frame_bytes);
    /* Little memory: smaller packs, not fewer at once. */
    if (o->pack_bytes > o->memory_bytes / PACKS_AT_ONCE)
        o->pack_bytes = o->memory_bytes / PACKS_AT_ONCE;
    if (o->pack_bytes < PACK_MIN_BYTES)
        o->pack_bytes = PACK_MIN_BYTES;

    TRY(keyring_find_domain(access->keys, session_domain(session), &sink->domain));
    TRY(known_new(&sink->known[0]));
    TRY(known_new(&sink->known[1]));
    struct pool_options pool = {.keys = access->keys,
                                .domain = session_domain(session),
                                .pack_bytes = o->pack_bytes,
                                .memory_bytes = o->memory_bytes,
                                .uploads = o->uploads,
                                .stop = &sink->stop};
    TRY(pool_new(&pool, &sink->pool));
    return upload_new(session, sink->pool, &sink->stop, o->uploads, &sink->upload);
}

enum err sink_new(struct session *session, const struct sink_options *options,
                  struct sink **ret_sink)
{
    AUTO_PTR(sink) sink = calloc(1, sizeof *sink);
    if (!sink)
        return err_set(ERR_NOMEM, "no memory for a sink");
    stop_init(&sink->stop);
    TRY(sink_fill(sink, session, options));
    *ret_sink = TAKE(sink);
    return ERR_OK;
}

void sink_free(struct sink *sink)
{
    if (!sink)
        return;
    upload_free(sink->upload);
    pool_free(sink->pool);
    known_free(sink->known[0]);
    known_free(sink->known[1]);
    stop_clear(&sink->stop);
    free(sink);
}

void sink_fail(struct sink *sink, enum err code)
{
    (void)stop_set(&sink->stop, code);
    pool_wake(sink->pool);
}

/* An error in one worker stops all. */
static enum err failed(struct sink *sink, enum err code)
{
    if (code != ERR_OK)
        sink_fail(sink, code);
    return code;
}

struct session *sink_session(const struct sink *sink)
{
    return sink->session;
}

void sink_stats(struct sink *sink, struct sink_stats *ret_stats)
{
    struct upload_stats up;
    upload_stats(sink->upload, &up);
    *ret_stats = (struct sink_stats){
        .chunks = sink->chunks,
        .known_chunks = sink->known_chunks,
        .raw_bytes = sink->raw_bytes,
        .new_bytes = sink->new_bytes,
        .stored_bytes = up.stored_bytes,
        .packs = up.packs,
        .segments = up.segments,
        .packs_at_once = pool_most(sink->pool),
    };
}

void sink_hash_begin(struct sink *sink)
{
    upload_along(sink->upload, true);
}

void sink_hash(struct sink *sink, struct sha256 *sha, struct slice data)
{
    upload_hash_along(sink->upload, sha, data);
}

void sink_hash_end(struct sink *sink)
{
    upload_along(sink->upload, false);
}

static enum err packs_finish(struct sink *sink)
{
    static const enum chunk_kind kinds[] = {CHUNK_DATA, CHUNK_TREE};
    TRY(stop_check(&sink->stop));
    for (size_t k = 0; k < 2; k++)
        for (struct pack_builder *pack; (pack = pool_drain(sink->pool, kinds[k])) != NULL;)
            TRY(upload_put(sink->upload, kinds[k], pack));
    for (size_t k = 0; k < 2; k++)
        TRY(pool_wait_empty(sink->pool, kinds[k]));
    for (size_t k = 0; k < 2; k++)
        TRY(upload_segment(sink->upload, kinds[k]));
    return ERR_OK;
}

enum err sink_finish(struct sink *sink)
{
    return failed(sink, packs_finish(sink));
}

/* ---- frames ---- */

static size_t frame_bytes(const struct sink_worker *w)
{
    return w->run.len ? w->run.len : w->copied.len;
}

/* Compress, encrypt, append: everything that costs time, while no lock is held. */
static enum err frame_close(struct sink_worker *w)
{
    if (w->chunk_count == 0)
        return ERR_OK;
    struct sink *sink = w->sink;
    struct slice raw = w->run.len ? w->run : buf_slice(&w->copied);
    struct pack_builder *pack;
    TRY(pool_take(sink->pool, w->kind, w, &pack));
    while (!pack_builder_fits(pack, raw.len, w->chunk_count)) {
        TRY(upload_put(sink->upload, w->kind, pack));
        TRY(pool_take(sink->pool, w->kind, w, &pack));
    }
    uint32_t number;
    enum err e =
        pack_builder_add(pack, raw, w->chunks, w->chunk_count,
                         w->kind == CHUNK_TREE ? TREE_LEVEL : sink->options.level, &number);
    if (e != ERR_OK || pack_builder_fits(pack, sink->options.frame_bytes, 64))
        pool_give(sink->pool, w->kind, w, pack);
    else
        e = upload_put(sink->upload, w->kind,
                       pack); /* full: do not let it wait for a frame that does not fit */
    w->run = SLICE_EMPTY;
    w->copied.len = 0;
    w->chunk_count = 0;
    return e;
}

/* The caller's memory goes away: keep what is not yet stored. */
static enum err run_keep(struct sink_worker *w)
{
    buf_put_slice(&w->copied, w->run);
    w->run = SLICE_EMPTY;
    return buf_check(&w->copied);
}

static enum err frame_add(struct sink_worker *w, struct slice chunk, const struct chunk_id *id)
{
    size_t open = frame_bytes(w);
    if (w->chunk_count &&
        (open + chunk.len > w->sink->options.frame_bytes || w->chunk_count == FRAME_MAX_CHUNKS))
        TRY(frame_close(w));
    if (w->chunk_count == w->chunk_cap) {
        size_t cap = w->chunk_cap ? w->chunk_cap * 2 : 64;
        struct frame_chunk *grown = reallocarray(w->chunks, cap, sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu chunks of a frame", cap);
        w->chunks = grown;
        w->chunk_cap = cap;
    }
    if (w->run.len && w->run.data + w->run.len == chunk.data) {
        w->run.len += chunk.len;
    } else if (w->chunk_count == 0) {
        w->run = chunk;
    } else {
        TRY(run_keep(w));
        buf_put_slice(&w->copied, chunk);
        TRY(buf_check(&w->copied));
    }
    w->chunks[w->chunk_count++] = (struct frame_chunk){*id, (uint32_t)chunk.len};
    return ERR_OK;
}

/* ---- chunks ---- */

static enum err room_make(struct sink_worker *w, size_t count)
{
    if (count <= w->room)
        return ERR_OK;
    size_t room = w->room * 2 > count ? w->room * 2 : count;
    struct id_job *jobs = reallocarray(w->jobs, room, sizeof *jobs);
    w->jobs = jobs ? jobs : w->jobs;
    struct chunk_id *asked = reallocarray(w->asked, room, sizeof *asked);
    w->asked = asked ? asked : w->asked;
    uint32_t *asked_at = reallocarray(w->asked_at, room, sizeof *asked_at);
    w->asked_at = asked_at ? asked_at : w->asked_at;
    bool *found = reallocarray(w->found, room, sizeof *found);
    w->found = found ? found : w->found;
    bool *is_new = reallocarray(w->is_new, room, sizeof *is_new);
    w->is_new = is_new ? is_new : w->is_new;
    if (!jobs || !asked || !asked_at || !found || !is_new)
        return err_set(ERR_NOMEM, "no memory for %zu chunks at once", count);
    w->room = room;
    return ERR_OK;
}

/* Which of the named chunks does nobody have? is_new[i], and from now on they are ours to store. */
static enum err new_find(struct sink_worker *w, size_t count)
{
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        w->is_new[i] = false;
        if (known_has(w->known, &w->jobs[i].id))
            continue;
        w->asked_at[asked] = (uint32_t)i;
        w->asked[asked++] = w->jobs[i].id;
    }
    if (asked == 0)
        return ERR_OK;
    TRY(session_known(w->sink->session, w->kind, w->asked, asked, w->found));
    for (size_t i = 0; i < asked; i++)
        if (!w->found[i])
            TRY(known_add(w->known, &w->asked[i], &w->is_new[w->asked_at[i]]));
    return ERR_OK;
}

static enum err chunks_put(struct sink_worker *w, const struct slice *chunks, size_t count,
                           struct chunk_id *ret_ids)
{
    TRY(stop_check(&w->sink->stop));
    TRY(session_beat(w->sink->session));
    TRY(room_make(w, count));
    uint64_t raw = 0, fresh = 0, known = 0;
    for (size_t i = 0; i < count; i++) {
        w->jobs[i].data = chunks[i];
        raw += chunks[i].len;
    }
    chunk_ids(w->ids, w->jobs, count);
    TRY(new_find(w, count));
    for (size_t i = 0; i < count; i++) {
        ret_ids[i] = w->jobs[i].id;
        known += !w->is_new[i];
        if (!w->is_new[i])
            continue;
        fresh += chunks[i].len;
        TRY(frame_add(w, chunks[i], &w->jobs[i].id));
    }
    TRY(run_keep(w));
    atomic_fetch_add_explicit(&w->sink->chunks, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->sink->known_chunks, known, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->sink->raw_bytes, raw, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->sink->new_bytes, fresh, memory_order_relaxed);
    return ERR_OK;
}

enum err sink_put(struct sink_worker *w, const struct slice *chunks, size_t count,
                  struct chunk_id *ret_ids)
{
    return failed(w->sink, chunks_put(w, chunks, count, ret_ids));
}

enum err sink_put_tree(void *worker, struct slice chunk, struct chunk_id *ret_id)
{
    return sink_put(worker, &chunk, 1, ret_id);
}

/* ---- workers ---- */

enum err sink_worker_new(struct sink *sink, enum chunk_kind kind, struct sink_worker **ret_worker)
{
    struct sink_worker *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(ERR_NOMEM, "no memory for a worker");
    w->sink = sink;
    w->kind = kind;
    w->ids = domain_ids(sink->domain, kind);
    w->known = sink->known[kind == CHUNK_TREE];
    pool_join(sink->pool, kind);
    *ret_worker = w;
    return ERR_OK;
}

enum err sink_worker_finish(struct sink_worker *w)
{
    TRY(stop_check(&w->sink->stop));
    return failed(w->sink, frame_close(w));
}

void sink_worker_free(struct sink_worker *w)
{
    if (!w)
        return;
    if (w->chunk_count && !w->sink->stop.set) {
        /* Others may already refer to what is lost with this frame. */
        struct err_note note;
        err_take(ERR_CANCELED, &note);
        sink_fail(w->sink,
                  err_set(ERR_CANCELED, "a worker was given up before its chunks were stored"));
        (void)err_raise(&note);
    }
    pool_leave(w->sink->pool, w->kind, w);
    buf_clear(&w->copied);
    free(w->chunks);
    free(w->jobs);
    free(w->asked);
    free(w->asked_at);
    free(w->found);
    free(w->is_new);
    free(w);
}
