#include "fetch/frames.h"

#include <stdlib.h>

enum { SHARDS = 8, BUCKETS = 1024 };

struct shard {
    pthread_mutex_t lock;  /* after no other lock; never held across I/O */
    pthread_cond_t landed; /* with lock: some frame became ready or failed, or a queued one was given up */
    struct frame_data *buckets[BUCKETS];
    struct frame_data *newest, *oldest; /* ready and in the table */
    size_t bytes;
};

struct frames {
    size_t shard_budget;
    struct shard shards[SHARDS];
};

enum err frames_new(size_t budget_bytes, struct frames **ret_frames)
{
    struct frames *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(ERR_NOMEM, "no memory for frames");
    f->shard_budget = budget_bytes / SHARDS;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&f->shards[i].lock, NULL);
        pthread_cond_init(&f->shards[i].landed, NULL);
    }
    *ret_frames = f;
    return ERR_OK;
}

static void frame_free(struct frame_data *frame)
{
    pthread_mutex_destroy(&frame->checks_lock);
    free(frame->checks);
    free(frame->raw);
    free(frame);
}

void frames_free(struct frames *f)
{
    if (!f)
        return;
    for (int i = 0; i < SHARDS; i++) {
        for (struct frame_data *at = f->shards[i].newest, *next; at; at = next) {
            next = at->older;
            frame_free(at);
        }
        pthread_mutex_destroy(&f->shards[i].lock);
        pthread_cond_destroy(&f->shards[i].landed);
    }
    free(f);
}

static uint64_t mix(uint32_t pack, uint32_t offset)
{
    return ((uint64_t)pack << 32 | offset) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct shard *shard_of(struct frames *f, uint32_t pack, uint32_t offset)
{
    return &f->shards[mix(pack, offset) >> 61];
}

static struct frame_data **bucket_of(struct shard *s, uint32_t pack, uint32_t offset)
{
    return &s->buckets[mix(pack, offset) >> 40 & (BUCKETS - 1)];
}

static bool same_place(const struct frame_place *a, const struct frame_place *b)
{
    return a->offset == b->offset && a->stored_len == b->stored_len && a->raw_len == b->raw_len && a->counter == b->counter &&
           a->key_record == b->key_record && a->compression == b->compression && a->has_base == b->has_base &&
           (!a->has_base || memcmp(a->base.bytes, b->base.bytes, sizeof a->base.bytes) == 0);
}

/* Two rows that describe the bytes at one offset differently are two frames, of which one will not open. So a row can neither
 * reach behind the end of what another one loaded, nor make a frame without a base wait for one that has this as its base. */
static struct frame_data *table_find(struct shard *s, uint32_t pack, const struct frame_place *place)
{
    struct frame_data *at = *bucket_of(s, pack, place->offset);
    while (at && (at->pack != pack || !same_place(&at->place, place)))
        at = at->next_hash;
    return at;
}

static void list_remove(struct shard *s, struct frame_data *frame)
{
    *(frame->newer ? &frame->newer->older : &s->newest) = frame->older;
    *(frame->older ? &frame->older->newer : &s->oldest) = frame->newer;
    frame->newer = frame->older = NULL;
}

static void list_add_newest(struct shard *s, struct frame_data *frame)
{
    frame->older = s->newest;
    frame->newer = NULL;
    *(s->newest ? &s->newest->newer : &s->oldest) = frame;
    s->newest = frame;
}

/* Out of the table; the table's reference goes. */
static void table_remove(struct shard *s, struct frame_data *frame)
{
    struct frame_data **where = bucket_of(s, frame->pack, frame->offset);
    while (*where != frame)
        where = &(*where)->next_hash;
    *where = frame->next_hash;
    if (frame->state == FRAME_READY) {
        list_remove(s, frame);
        s->bytes -= frame->place.raw_len;
    }
    frame->in_table = false;
    if (--frame->refs == 0)
        frame_free(frame);
}

static void evict(struct frames *f, struct shard *s)
{
    for (struct frame_data *at = s->oldest, *next; at && s->bytes > f->shard_budget; at = next) {
        next = at->newer;
        if (at->refs == 1)
            table_remove(s, at);
    }
}

static struct frame_data *table_add(struct shard *s, uint32_t pack, const struct frame_place *place, enum frame_state state)
{
    struct frame_data *frame = calloc(1, sizeof *frame);
    if (!frame)
        return NULL;
    frame->pack = pack;
    frame->offset = place->offset;
    frame->place = *place;
    frame->state = state;
    frame->refs = 2; /* the table's, and the caller's */
    frame->in_table = true;
    pthread_mutex_init(&frame->checks_lock, NULL);
    struct frame_data **bucket = bucket_of(s, pack, place->offset);
    frame->next_hash = *bucket;
    *bucket = frame;
    return frame;
}

enum err frames_get(struct frames *f, uint32_t pack, const struct frame_place *place, struct frame_data **ret_frame,
                    bool *ret_mine)
{
    struct shard *s = shard_of(f, pack, place->offset);
    struct err_note why = {0};
    *ret_mine = false;
    pthread_mutex_lock(&s->lock);
    struct frame_data *frame = table_find(s, pack, place);
    if (!frame) {
        frame = table_add(s, pack, place, FRAME_LOADING);
        *ret_mine = true;
    } else {
        frame->refs++;
        if (frame->state == FRAME_QUEUED) {
            frame->state = FRAME_LOADING;
            *ret_mine = true;
        }
        while (!*ret_mine && frame->state == FRAME_LOADING)
            pthread_cond_wait(&s->landed, &s->lock);
        if (frame->state == FRAME_READY && frame->in_table) {
            list_remove(s, frame);
            list_add_newest(s, frame);
        } else if (frame->state == FRAME_FAILED) {
            why = frame->why;
            if (--frame->refs == 0)
                frame_free(frame);
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (!frame)
        return err_set(ERR_NOMEM, "no memory for a frame");
    if (why.code != ERR_OK)
        return err_raise(&why);
    *ret_frame = frame;
    return ERR_OK;
}

struct frame_data *frames_reserve(struct frames *f, uint32_t pack, const struct frame_place *place)
{
    struct shard *s = shard_of(f, pack, place->offset);
    struct frame_data *frame = NULL;
    pthread_mutex_lock(&s->lock);
    if (!table_find(s, pack, place))
        frame = table_add(s, pack, place, FRAME_QUEUED);
    pthread_mutex_unlock(&s->lock);
    return frame;
}

bool frames_start(struct frames *f, struct frame_data *frame)
{
    struct shard *s = shard_of(f, frame->pack, frame->offset);
    pthread_mutex_lock(&s->lock);
    bool mine = frame->state == FRAME_QUEUED;
    if (mine)
        frame->state = FRAME_LOADING;
    else if (--frame->refs == 0)
        frame_free(frame);
    pthread_mutex_unlock(&s->lock);
    return mine;
}

void frames_give_up(struct frames *f, struct frame_data *frame)
{
    struct shard *s = shard_of(f, frame->pack, frame->offset);
    pthread_mutex_lock(&s->lock);
    if (frame->state == FRAME_QUEUED)
        table_remove(s, frame);
    if (--frame->refs == 0)
        frame_free(frame);
    pthread_mutex_unlock(&s->lock);
}

void frames_done(struct frames *f, struct frame_data *frame, uint8_t *raw, enum err result)
{
    struct shard *s = shard_of(f, frame->pack, frame->offset);
    pthread_mutex_lock(&s->lock);
    if (result == ERR_OK) {
        frame->raw = raw;
        frame->state = FRAME_READY;
        s->bytes += frame->place.raw_len;
        list_add_newest(s, frame);
        evict(f, s);
    } else {
        free(raw);
        err_take(result, &frame->why);
        frame->state = FRAME_FAILED;
        table_remove(s, frame);
    }
    pthread_cond_broadcast(&s->landed);
    pthread_mutex_unlock(&s->lock);
}

void frames_unref(struct frames *f, struct frame_data *frame)
{
    struct shard *s = shard_of(f, frame->pack, frame->offset);
    pthread_mutex_lock(&s->lock);
    if (--frame->refs == 0)
        frame_free(frame);
    else if (s->bytes > f->shard_budget)
        evict(f, s);
    pthread_mutex_unlock(&s->lock);
}

/* Places are noted mostly in order, and asked for in order: search from the end. */
bool frame_was_checked(struct frame_data *frame, uint32_t place, uint32_t length, const struct chunk_id *id)
{
    bool found = false;
    pthread_mutex_lock(&frame->checks_lock);
    size_t low = 0, high = frame->check_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (frame->checks[middle].place < place)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < frame->check_count && frame->checks[low].place == place && frame->checks[low].length == length)
        found = memcmp(frame->checks[low].id.bytes, id->bytes, sizeof id->bytes) == 0;
    pthread_mutex_unlock(&frame->checks_lock);
    return found;
}

void frame_note_checked(struct frame_data *frame, uint32_t place, uint32_t length, const struct chunk_id *id)
{
    pthread_mutex_lock(&frame->checks_lock);
    if (frame->check_count == frame->check_cap) {
        size_t cap = frame->check_cap ? frame->check_cap * 2 : 8;
        struct frame_check *grown = realloc(frame->checks, cap * sizeof *grown);
        if (!grown) {
            pthread_mutex_unlock(&frame->checks_lock);
            return; /* it will be checked again */
        }
        frame->checks = grown;
        frame->check_cap = cap;
    }
    size_t at = frame->check_count;
    while (at > 0 && frame->checks[at - 1].place > place)
        at--;
    if (at == 0 || frame->checks[at - 1].place != place) {
        memmove(frame->checks + at + 1, frame->checks + at, (frame->check_count - at) * sizeof *frame->checks);
        frame->checks[at] = (struct frame_check){place, length, *id};
        frame->check_count++;
    }
    pthread_mutex_unlock(&frame->checks_lock);
}
