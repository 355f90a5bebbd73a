#include "writers/pipeline/upload.h"

#include <stdlib.h>
#include <time.h>

#include "fetch/base/clock.h"
#include "fetch/crypto/sha_pair.h"

/* A data segment is put after so many packs, or so long after its first one. */
/* What a killed run may lose beside its open packs; each segment is one more request. */
enum { SEGMENT_PACKS = 2 };
#define SEGMENT_NS (UINT64_C(10) * 1000000000)

enum { THREADS_MAX = 64 };
#define IDLE_NS (UINT64_C(60) * 1000000000) /* an idle uploader looks after the heartbeat */
#define ALONG_NS (UINT64_C(1000) * 1000000) /* how long a pack waits for company */

/*
 * A closed pack. Somebody must hash it: whoever hashes something else at the time does it on the
 * way (upload_hash_along), since two hashes at once cost little more than one. If nobody comes for
 * it, an uploader does.
 */
struct job {
    struct job *next;
    enum chunk_kind kind;
    struct pack_sealed pack; /* whoever holds it (busy) */
    struct sha256 sha;       /* of the first `hashed` bytes */
    size_t hashed;
    bool busy; /* guarded by lock: hashed by one right now */
    uint64_t since_ns;
};

/* Rows that wait for their segment. */
struct rows {
    struct segment_builder *builder; /* NULL: none */
    size_t packs;
    uint64_t since_ns;
};

struct upload {
    struct session *session;
    struct pool *pool;
    struct stop *stop;

    pthread_mutex_t lock;      /* before pool.lock; never held across I/O */
    pthread_cond_t wanted;     /* with lock: a job, one hashed, or closed */
    struct job *first, **last; /* guarded by lock, as all below; in the order of their coming */
    unsigned along;            /* contents being hashed: company for packs */
    bool closed;
    struct rows rows[2];  /* [kind == CHUNK_TREE] */
    bool putting_segment; /* one at a time: the index takes them one by one */
    struct upload_stats stats;

    pthread_t threads[THREADS_MAX];
    unsigned thread_count; /* constant once made */
};

/* ---- segments ---- */

static enum err segment_put(struct upload *u, enum chunk_kind kind, struct segment_builder *builder)
{
    const struct access *access = session_access(u->session);
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    TRY(segment_builder_seal(builder, &object, &sha256));
    struct object_name name =
        name_segment(session_domain(u->session), kind, session_id(u->session), &sha256);
    enum err e = store_put(access->store, name.text, buf_slice(&object), true);
    if (e != ERR_OK && e != ERR_EXISTS) /* names carry hashes: what is there is this */
        return e;
    pthread_mutex_lock(&u->lock);
    u->stats.segments++;
    u->stats.stored_bytes += object.len;
    pthread_mutex_unlock(&u->lock);
    e = index_add_segment(session_index(u->session), name.text, buf_slice(&object));
    return err_add(e, "index, segment %s", hex_short(sha256.bytes).text);
}

/* With lock: the rows, if their time has come and nobody else is at it. */
static struct segment_builder *rows_due(struct upload *u, enum chunk_kind kind)
{
    struct rows *rows = &u->rows[kind == CHUNK_TREE];
    if (kind == CHUNK_TREE || u->putting_segment || !rows->builder)
        return NULL;
    if (rows->packs < SEGMENT_PACKS && clock_monotonic_ns() - rows->since_ns < SEGMENT_NS)
        return NULL;
    u->putting_segment = true;
    struct segment_builder *due = rows->builder;
    *rows = (struct rows){.builder = NULL};
    return due;
}

/* With lock. */
static enum err rows_add(struct upload *u, enum chunk_kind kind, const struct pack_sealed *pack)
{
    struct rows *rows = &u->rows[kind == CHUNK_TREE];
    if (!rows->builder) {
        TRY(segment_builder_new(session_access(u->session)->keys, session_domain(u->session), kind,
                                session_id(u->session), &rows->builder));
        rows->since_ns = clock_monotonic_ns();
    }
    TRY(segment_builder_add(rows->builder, pack));
    rows->packs++;
    u->stats.packs++;
    u->stats.stored_bytes += pack->object.len;
    return ERR_OK;
}

enum err upload_segment(struct upload *u, enum chunk_kind kind)
{
    TRY(stop_check(u->stop));
    struct rows *rows = &u->rows[kind == CHUNK_TREE];
    pthread_mutex_lock(&u->lock);
    AUTO_PTR(segment_builder) builder = TAKE(rows->builder);
    *rows = (struct rows){.builder = NULL};
    pthread_mutex_unlock(&u->lock);
    return builder ? stop_set(u->stop, segment_put(u, kind, builder)) : ERR_OK;
}

/* ---- packs ---- */

/* *ret_room: the memory of the object, when it is done with. */
static enum err pack_put(struct upload *u, struct job *job, struct buf *ret_room)
{
    struct pack_sealed *pack = &job->pack;
    sha256_final(&job->sha, pack->name.sha256.bytes);
    struct object_name name = name_pack(session_domain(u->session), &pack->name);
    enum err e =
        store_put(session_access(u->session)->store, name.text, buf_slice(&pack->object), true);
    if (e != ERR_OK && e != ERR_EXISTS)
        return e;

    pthread_mutex_lock(&u->lock);
    e = rows_add(u, job->kind, pack);
    AUTO_PTR(segment_builder) due = e == ERR_OK ? rows_due(u, job->kind) : NULL;
    pthread_mutex_unlock(&u->lock);
    TRY(e);
    buf_move(ret_room, &pack->object);
    if (!due)
        return ERR_OK;
    e = segment_put(u, job->kind, due);
    pthread_mutex_lock(&u->lock);
    u->putting_segment = false;
    pthread_mutex_unlock(&u->lock);
    return e;
}

static void job_free(struct job *job)
{
    pack_sealed_clear(&job->pack);
    free(job);
}

/* ---- hashing ---- */

static bool job_is_hashed(const struct job *job)
{
    return job->hashed == job->pack.object.len;
}

/* With lock: the first pack that nobody hashes and somebody must. */
static struct job *job_unhashed(const struct upload *u)
{
    struct job *job = u->first;
    while (job && (job->busy || job_is_hashed(job)))
        job = job->next;
    return job;
}

void upload_hash_along(struct upload *u, struct sha256 *sha, struct slice data)
{
    while (data.len > 0) {
        pthread_mutex_lock(&u->lock);
        struct job *job = job_unhashed(u);
        if (job)
            job->busy = true;
        pthread_mutex_unlock(&u->lock);
        if (!job) {
            sha256_update(sha, data);
            return;
        }
        size_t left = job->pack.object.len - job->hashed;
        size_t len = left < data.len ? left : data.len;
        sha256_update_pair(sha, slice_of(data.data, len), &job->sha,
                           slice_of(job->pack.object.data + job->hashed, len));
        data = slice_of(data.data + len, data.len - len);
        pthread_mutex_lock(&u->lock);
        job->hashed += len;
        job->busy = false;
        pthread_cond_signal(&u->wanted);
        pthread_mutex_unlock(&u->lock);
    }
}

void upload_along(struct upload *u, bool begins)
{
    pthread_mutex_lock(&u->lock);
    u->along += begins ? 1 : -1U;
    pthread_cond_broadcast(&u->wanted);
    pthread_mutex_unlock(&u->lock);
}

/* ---- uploaders ---- */

/* With lock: the next pack to put: one that is hashed; else one that had no company for long, or
 * will have none, or one of many. */
static struct job *job_pick(struct upload *u)
{
    struct job *alone = job_unhashed(u), **at = &u->first;
    bool go = alone && (u->along == 0 || clock_monotonic_ns() - alone->since_ns >= ALONG_NS);
    size_t unhashed = 0;
    while (*at && ((*at)->busy || !job_is_hashed(*at))) {
        unhashed += !(*at)->busy;
        at = &(*at)->next;
    }
    if (!*at) {
        if (!go && unhashed < 2)
            return NULL;
        for (at = &u->first; *at != alone;)
            at = &(*at)->next;
    }
    struct job *job = *at;
    *at = job->next;
    if (!job->next)
        u->last = at;
    return job;
}

/* With lock: wait for a job, or until it is time to look again. True: nothing happened for a
 * minute. */
static bool job_sleep(struct upload *u)
{
    uint64_t pause_ns = job_unhashed(u) ? ALONG_NS : IDLE_NS;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t nanos = (uint64_t)until.tv_nsec + pause_ns % 1000000000;
    until.tv_sec += (time_t)(pause_ns / 1000000000 + nanos / 1000000000);
    until.tv_nsec = (long)(nanos % 1000000000);
    return pthread_cond_timedwait(&u->wanted, &u->lock, &until) != 0 && pause_ns == IDLE_NS;
}

/* The next job; NULL when closed. While there is none the heartbeat goes on: a source may be silent
 * for hours. */
static struct job *job_wait(struct upload *u)
{
    struct job *job = NULL;
    pthread_mutex_lock(&u->lock);
    while (!u->closed && !(job = job_pick(u))) {
        if (!job_sleep(u))
            continue;
        pthread_mutex_unlock(&u->lock);
        if (stop_set(u->stop, session_beat(u->session)) != ERR_OK)
            pool_wake(u->pool);
        pthread_mutex_lock(&u->lock);
    }
    pthread_mutex_unlock(&u->lock);
    return job;
}

static enum err job_do(struct upload *u, struct job *job, struct buf *ret_room)
{
    if (!job_is_hashed(job)) {
        struct slice object = buf_slice(&job->pack.object);
        upload_hash_along(u, &job->sha,
                          slice_of(object.data + job->hashed, object.len - job->hashed));
        job->hashed = object.len;
    }
    TRY(pack_put(u, job, ret_room));
    return session_beat(u->session);
}

static void *upload_run(void *context)
{
    struct upload *u = context;
    for (struct job *job; (job = job_wait(u)) != NULL;) {
        enum chunk_kind kind = job->kind;
        AUTO(buf) room = BUF_EMPTY;
        if (!u->stop->set)
            (void)stop_set(u->stop, job_do(u, job, &room));
        job_free(job);
        pool_release(u->pool, kind, &room); /* wakes those who wait, for the stop too */
    }
    return NULL;
}

static enum err job_make(struct upload *u, enum chunk_kind kind, struct pack_builder *pack,
                         struct job **ret_job)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return err_set(ERR_NOMEM, "no memory to put a pack");
    job->kind = kind;
    job->since_ns = clock_monotonic_ns();
    sha256_init(&job->sha);
    enum err e = pack_builder_close(pack, session_id(u->session), &job->pack);
    if (e == ERR_OK)
        *ret_job = job;
    else
        free(job);
    return e;
}

enum err upload_put(struct upload *u, enum chunk_kind kind, struct pack_builder *pack)
{
    struct job *job = NULL;
    enum err e = job_make(u, kind, pack, &job);
    pack_builder_free(pack);
    if (e != ERR_OK) {
        pool_release(u->pool, kind, &(struct buf){0});
        return e;
    }
    pthread_mutex_lock(&u->lock);
    *u->last = job;
    u->last = &job->next;
    pthread_cond_signal(&u->wanted);
    pthread_mutex_unlock(&u->lock);
    return ERR_OK;
}

/* ---- life ---- */

enum err upload_new(struct session *session, struct pool *pool, struct stop *stop, unsigned threads,
                    struct upload **ret_upload)
{
    AUTO_PTR(upload) u = calloc(1, sizeof *u);
    if (!u)
        return err_set(ERR_NOMEM, "no memory for uploads");
    u->session = session;
    u->pool = pool;
    u->stop = stop;
    u->last = &u->first;
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->wanted, NULL);
    threads = threads < THREADS_MAX ? threads : THREADS_MAX;
    for (; u->thread_count < threads; u->thread_count++)
        if (pthread_create(&u->threads[u->thread_count], NULL, upload_run, u) != 0)
            break;
    if (u->thread_count == 0)
        return err_set(ERR_NOMEM, "cannot start a thread");
    *ret_upload = TAKE(u);
    return ERR_OK;
}

void upload_free(struct upload *u)
{
    if (!u)
        return;
    /* Whoever frees us without having finished does not want the rest: it is dropped, not put. */
    pthread_mutex_lock(&u->lock);
    u->closed = true;
    pthread_cond_broadcast(&u->wanted);
    pthread_mutex_unlock(&u->lock);
    for (unsigned i = 0; i < u->thread_count; i++)
        pthread_join(u->threads[i], NULL);
    for (struct job *job; (job = u->first) != NULL;) {
        u->first = job->next;
        job_free(job);
    }
    segment_builder_free(u->rows[0].builder);
    segment_builder_free(u->rows[1].builder);
    pthread_cond_destroy(&u->wanted);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

void upload_stats(struct upload *u, struct upload_stats *ret_stats)
{
    pthread_mutex_lock(&u->lock);
    *ret_stats = u->stats;
    pthread_mutex_unlock(&u->lock);
}
