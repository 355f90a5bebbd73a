#include "fetch/ahead.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    RUN_FRAMES = 16,         /* most frames of one job */
    RUN_BYTES = 1 << 20,     /* and of one get, unless a single frame is larger */
    JOBS_MAX = 64,           /* queued at once: more would only be stale when their turn comes */
    TRACKS = 64,             /* sequential readers followed at once */
    FIRST_WINDOW = 4,        /* frames ahead once a reader is seen to go in order; doubles up to most_frames */
    GAP_BYTES = 32 << 10,    /* read over a gap up to this rather than ask twice */
};

/* Frames of one pack, ascending, to be fetched in as few gets as may be. Either their places, or "what follows offset". */
struct job {
    uint32_t pack;
    bool follow;
    uint32_t offset;                    /* follow: the end of the last frame known */
    size_t max;                         /* follow: how many */
    struct frame_data *frames[RUN_FRAMES]; /* reserved */
    size_t count;
};

/* One reader that goes through one pack in order. */
struct track {
    uint32_t pack, last_offset, expected; /* expected: where the next frame begins */
    uint32_t ahead_end;                   /* asked for up to here */
    uint32_t used_since;                  /* frames used since the last job */
    unsigned run, window;
    uint64_t stamp;
};

struct ahead {
    struct loader *loader;
    struct frames *frames;
    unsigned most_frames;
    pthread_mutex_t lock;  /* jobs, tracks; never held across I/O */
    pthread_cond_t work;   /* with lock: a job came, or stop */
    struct job *jobs[JOBS_MAX];
    size_t first, count;   /* ring; guarded by lock */
    bool stop;             /* guarded by lock */
    struct track tracks[TRACKS];
    uint64_t stamp;
    atomic_uint_fast64_t loaded;
    pthread_t *threads;
    unsigned thread_count;
};

static void job_free(struct ahead *a, struct job *job)
{
    for (size_t i = 0; i < job->count; i++)
        frames_give_up(a->frames, job->frames[i]);
    free(job);
}

/* Queue a job, or give it up when too many wait. */
static void job_put(struct ahead *a, struct job *job)
{
    pthread_mutex_lock(&a->lock);
    bool room = a->count < JOBS_MAX && !a->stop;
    if (room) {
        a->jobs[(a->first + a->count++) % JOBS_MAX] = job;
        pthread_cond_signal(&a->work);
    }
    pthread_mutex_unlock(&a->lock);
    if (!room)
        job_free(a, job);
}

/* ---- the workers ---- */

/* Fetch frames [from, to) of a job in one get and decode each that nobody took over meanwhile. */
static void run_load(struct ahead *a, struct job *job, size_t from, size_t to)
{
    const struct frame_place *first = &job->frames[from]->place, *last = &job->frames[to - 1]->place;
    size_t len = (size_t)last->offset + last->stored_len - first->offset;
    const struct pack_keys *keys;
    AUTO(buf) stored = BUF_EMPTY;
    enum err e = packs_get(a->loader->packs, job->pack, &keys);
    if (e == ERR_OK)
        e = store_get(a->loader->store, keys->name.text, first->offset, len, &stored);
    if (e == ERR_OK)
        loader_count(a->loader, true, len);
    uint32_t base = first->offset;
    for (size_t i = from; i < to; i++) {
        struct frame_data *frame = job->frames[i];
        if (e != ERR_OK) {
            frames_give_up(a->frames, frame); /* whoever needs it asks again, and gets the error */
            continue;
        }
        if (!frames_start(a->frames, frame))
            continue;
        uint8_t *raw = NULL;
        struct slice bytes = slice_of(stored.data + (frame->place.offset - base), frame->place.stored_len);
        enum err opened = load_stored(a->loader, job->pack, &frame->place, bytes, &raw);
        atomic_store(&frame->ahead, true);
        atomic_fetch_add_explicit(&a->loaded, 1, memory_order_relaxed);
        frames_done(a->frames, frame, raw, opened);
        frames_unref(a->frames, frame);
    }
}

/* Turn "what follows" into reserved frames. */
static void job_resolve(struct ahead *a, struct job *job)
{
    struct frame_run run;
    if (packs_frames_after(a->loader->packs, job->pack, job->offset, job->max < RUN_FRAMES ? job->max : RUN_FRAMES, &run) != ERR_OK)
        return;
    for (size_t i = 0; i < run.count; i++) {
        struct frame_data *frame = frames_reserve(a->frames, job->pack, &run.frames[i].place);
        if (frame)
            job->frames[job->count++] = frame;
    }
    frame_run_clear(&run);
}

static void job_run(struct ahead *a, struct job *job)
{
    if (job->follow)
        job_resolve(a, job);
    for (size_t from = 0, to; from < job->count; from = to) {
        const struct frame_place *first = &job->frames[from]->place;
        for (to = from + 1; to < job->count; to++) {
            const struct frame_place *before = &job->frames[to - 1]->place, *next = &job->frames[to]->place;
            uint64_t end = (uint64_t)before->offset + before->stored_len;
            if (next->offset < end || next->offset - end > GAP_BYTES ||
                (uint64_t)next->offset + next->stored_len - first->offset > RUN_BYTES)
                break;
        }
        run_load(a, job, from, to);
    }
    free(job); /* every reservation is used up */
}

static void *worker(void *context)
{
    struct ahead *a = context;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        if (a->count == 0) {
            pthread_cond_wait(&a->work, &a->lock);
            continue;
        }
        struct job *job = a->jobs[a->first];
        a->first = (a->first + 1) % JOBS_MAX;
        a->count--;
        pthread_mutex_unlock(&a->lock);
        job_run(a, job);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

enum err ahead_new(struct loader *loader, struct frames *frames, unsigned workers, unsigned most_frames, struct ahead **ret_ahead)
{
    struct ahead *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(ERR_NOMEM, "no memory for read-ahead");
    a->loader = loader;
    a->frames = frames;
    a->most_frames = most_frames;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    a->threads = calloc(workers, sizeof *a->threads);
    while (a->threads && a->thread_count < workers &&
           pthread_create(&a->threads[a->thread_count], NULL, worker, a) == 0)
        a->thread_count++;
    if (a->thread_count < workers) {
        ahead_free(a);
        return err_set(ERR_NOMEM, "no threads for read-ahead");
    }
    *ret_ahead = a;
    return ERR_OK;
}

void ahead_free(struct ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->work);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < a->thread_count; i++)
        pthread_join(a->threads[i], NULL);
    for (size_t i = 0; i < a->count; i++)
        job_free(a, a->jobs[(a->first + i) % JOBS_MAX]);
    free(a->threads);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->work);
    free(a);
}

uint64_t ahead_count(struct ahead *a)
{
    return atomic_load(&a->loaded);
}

/* ---- following readers ---- */

/* The track this use belongs to: same frame again, or the next one; else a fresh one in the place of the oldest. */
static struct track *track_find(struct ahead *a, uint32_t pack, uint32_t offset)
{
    struct track *oldest = &a->tracks[0];
    for (size_t i = 0; i < TRACKS; i++) {
        struct track *t = &a->tracks[i];
        if (t->stamp && t->pack == pack && offset >= t->last_offset && offset <= t->expected + GAP_BYTES)
            return t;
        if (t->stamp < oldest->stamp)
            oldest = t;
    }
    *oldest = (struct track){.pack = pack, .window = FIRST_WINDOW, .last_offset = offset};
    return oldest;
}

void ahead_note(struct ahead *a, uint32_t pack, const struct frame_place *place)
{
    struct job *job = NULL;
    pthread_mutex_lock(&a->lock);
    struct track *t = track_find(a, pack, place->offset);
    t->stamp = ++a->stamp;
    if (t->run == 0 || place->offset != t->last_offset) {
        t->run++;
        t->used_since++;
        t->last_offset = place->offset;
        t->expected = place->offset + place->stored_len;
        if (t->ahead_end < t->expected)
            t->ahead_end = t->expected;
        /* Ask for more once half of what was asked for is used. */
        if (t->run >= 2 && (t->run == 2 || t->used_since >= t->window / 2)) {
            job = calloc(1, sizeof *job);
            if (job) {
                *job = (struct job){.pack = pack, .follow = true, .offset = t->ahead_end, .max = t->window};
                t->ahead_end += t->window * place->stored_len; /* a guess; frames there already are skipped */
                t->used_since = 0;
                if (t->window * 2 <= a->most_frames)
                    t->window *= 2;
            }
        }
    }
    pthread_mutex_unlock(&a->lock);
    if (job)
        job_put(a, job);
}

void ahead_want(struct ahead *a, const struct location *places, size_t count)
{
    struct job *job = NULL;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && places[i].pack == places[i - 1].pack && places[i].frame.offset == places[i - 1].frame.offset)
            continue;
        if (job && (job->pack != places[i].pack || job->count == RUN_FRAMES)) {
            job_put(a, job);
            job = NULL;
        }
        struct frame_data *frame = frames_reserve(a->frames, places[i].pack, &places[i].frame);
        if (!frame)
            continue;
        if (!job)
            job = calloc(1, sizeof *job);
        if (!job) {
            frames_give_up(a->frames, frame);
            return;
        }
        job->pack = places[i].pack;
        job->frames[job->count++] = frame;
    }
    if (job)
        job_put(a, job);
}
