#include "writers/pipeline/upload.h"

#include <stdlib.h>
#include <time.h>

#include "fetch/base/clock.h"

/* A data segment is put after so many packs, or so long after its first one. */
enum { SEGMENT_PACKS = 8 };
#define SEGMENT_NS (UINT64_C(60) * 1000000000)

enum { THREADS_MAX = 64, IDLE_SECS = 60 /* an idle uploader looks after the heartbeat */ };

struct job {
    struct job *next;
    enum chunk_kind kind;
    struct pack_builder *pack;
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
    pthread_cond_t wanted;     /* with lock: a job, or closed */
    struct job *first, **last; /* guarded by lock, as all below */
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
static enum err pack_put(struct upload *u, const struct job *job, struct buf *ret_room)
{
    __attribute__((cleanup(pack_sealed_clear))) struct pack_sealed sealed = {.object = BUF_EMPTY};
    TRY(pack_builder_seal(job->pack, session_id(u->session), &sealed));
    struct object_name name = name_pack(session_domain(u->session), &sealed.name);
    enum err e =
        store_put(session_access(u->session)->store, name.text, buf_slice(&sealed.object), true);
    if (e != ERR_OK && e != ERR_EXISTS)
        return e;

    pthread_mutex_lock(&u->lock);
    e = rows_add(u, job->kind, &sealed);
    AUTO_PTR(segment_builder) due = e == ERR_OK ? rows_due(u, job->kind) : NULL;
    pthread_mutex_unlock(&u->lock);
    TRY(e);
    buf_move(ret_room, &sealed.object);
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
    pack_builder_free(job->pack);
    free(job);
}

/* The next job; NULL when closed. While there is none the heartbeat goes on: a source may be silent
 * for hours. */
static struct job *job_wait(struct upload *u)
{
    pthread_mutex_lock(&u->lock);
    while (!u->first && !u->closed) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += IDLE_SECS;
        if (pthread_cond_timedwait(&u->wanted, &u->lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&u->lock);
        if (stop_set(u->stop, session_beat(u->session)) != ERR_OK)
            pool_wake(u->pool);
        pthread_mutex_lock(&u->lock);
    }
    struct job *job = u->first;
    if (job) {
        u->first = job->next;
        if (!u->first)
            u->last = &u->first;
    }
    pthread_mutex_unlock(&u->lock);
    return job;
}

static void *upload_run(void *context)
{
    struct upload *u = context;
    for (struct job *job; (job = job_wait(u)) != NULL;) {
        enum chunk_kind kind = job->kind;
        enum err e = ERR_OK;
        AUTO(buf) room = BUF_EMPTY;
        if (!u->stop->set) {
            e = pack_put(u, job, &room);
            if (e == ERR_OK)
                e = session_beat(u->session);
        }
        job_free(job);
        (void)stop_set(u->stop, e);
        pool_release(u->pool, kind, &room); /* wakes those who wait, for the stop too */
    }
    return NULL;
}

enum err upload_put(struct upload *u, enum chunk_kind kind, struct pack_builder *pack)
{
    struct job *job = malloc(sizeof *job);
    if (!job) {
        pack_builder_free(pack);
        pool_release(u->pool, kind, &(struct buf){0});
        return err_set(ERR_NOMEM, "no memory to put a pack");
    }
    *job = (struct job){NULL, kind, pack};
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
    /* Whoever frees us without having finished does not want the rest: let it be dropped, not put.
     */
    pthread_mutex_lock(&u->lock);
    u->closed = true;
    struct job *dropped = TAKE(u->first);
    u->last = &u->first;
    pthread_cond_broadcast(&u->wanted);
    pthread_mutex_unlock(&u->lock);
    while (dropped) {
        struct job *job = dropped;
        dropped = job->next;
        pool_release(u->pool, job->kind, &(struct buf){0});
        job_free(job);
    }
    for (unsigned i = 0; i < u->thread_count; i++)
        pthread_join(u->threads[i], NULL);
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
