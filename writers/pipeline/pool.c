#include "writers/pipeline/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "writers/pipeline/big.h"

enum { PACKS_MAX = 64 }; /* of one kind, whatever the memory */

struct shelf {
    struct {
        struct pack_builder *pack;
        const void *owner; /* NULL: nobody's */
    } idle[PACKS_MAX];
    size_t idle_count;
    size_t alive, limit;         /* idle, taken, on their way to the store */
    struct buf spare[PACKS_MAX]; /* memory of packs that are gone; with alive at most limit */
    size_t spare_count;
    size_t owners;
};

struct pool {
    struct pool_options options;
    pthread_mutex_t lock;    /* before stop.lock; never held across I/O */
    pthread_cond_t changed;  /* with lock: something came back */
    struct shelf shelves[2]; /* guarded by lock, but for the limits */
    size_t most;             /* guarded by lock */
};

static struct shelf *shelf_of(struct pool *pool, enum chunk_kind kind)
{
    return &pool->shelves[kind == CHUNK_TREE];
}

enum err pool_new(const struct pool_options *options, struct pool **ret_pool)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return err_set(ERR_NOMEM, "no memory for packs");
    pool->options = *options;
    /* Trees are small: one pack to fill and one on its way. */
    size_t packs = options->memory_bytes / options->pack_bytes;
    packs = packs < 4 ? 4 : packs > PACKS_MAX ? PACKS_MAX : packs;
    shelf_of(pool, CHUNK_TREE)->limit = packs < 8 ? 1 : 2;
    shelf_of(pool, CHUNK_DATA)->limit = packs - shelf_of(pool, CHUNK_TREE)->limit;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    *ret_pool = pool;
    return ERR_OK;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < pool->shelves[k].idle_count; i++)
            pack_builder_free(pool->shelves[k].idle[i].pack);
        for (size_t i = 0; i < pool->shelves[k].spare_count; i++)
            buf_clear(&pool->shelves[k].spare[i]);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct pack_builder *idle_take(struct shelf *shelf, size_t at)
{
    struct pack_builder *pack = shelf->idle[at].pack;
    shelf->idle[at] = shelf->idle[--shelf->idle_count];
    return pack;
}

/* An idle pack of this owner (NULL: of nobody). */
static struct pack_builder *idle_take_of(struct shelf *shelf, const void *owner)
{
    for (size_t i = shelf->idle_count; i-- > 0;)
        if (shelf->idle[i].owner == owner)
            return idle_take(shelf, i);
    return NULL;
}

/* A new pack, in the memory of one that is gone, or in as much as it will ever need. */
static enum err pack_make(struct pool *pool, enum chunk_kind kind, struct buf *room,
                          struct pack_builder **ret_pack)
{
    const struct pool_options *o = &pool->options;
    AUTO_PTR(pack_builder) pack = NULL;
    TRY(pack_builder_new(o->keys, o->domain, kind, o->pack_bytes, &pack));
    if (!room->data)
        TRY(big_alloc(o->pack_bytes, room));
    pack_builder_lend(pack, room);
    *ret_pack = TAKE(pack);
    return ERR_OK;
}

enum err pool_take(struct pool *pool, enum chunk_kind kind, const void *owner,
                   struct pack_builder **ret_pack)
{
    struct shelf *shelf = shelf_of(pool, kind);
    struct pack_builder *pack = NULL;
    bool make = false;
    enum err e;
    pthread_mutex_lock(&pool->lock);
    while ((e = stop_check(pool->options.stop)) == ERR_OK) {
        pack = idle_take_of(shelf, owner);
        if (!pack)
            pack = idle_take_of(shelf, NULL);
        make = !pack && shelf->alive < shelf->limit &&
               shelf->alive < shelf->owners + pool->options.uploads + 1;
        if (!pack && !make && shelf->idle_count)
            pack = idle_take(shelf, shelf->idle_count - 1);
        if (pack || make)
            break;
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    AUTO(buf) room = BUF_EMPTY;
    if (make) {
        shelf->alive++;
        size_t alive = pool->shelves[0].alive + pool->shelves[1].alive;
        pool->most = alive > pool->most ? alive : pool->most;
        if (shelf->spare_count)
            room = shelf->spare[--shelf->spare_count];
    }
    pthread_mutex_unlock(&pool->lock);
    if (e == ERR_OK && make) {
        e = pack_make(pool, kind, &room, &pack);
        if (e != ERR_OK)
            pool_release(pool, kind, &room);
    }
    if (e == ERR_OK)
        *ret_pack = pack;
    return e;
}

void pool_give(struct pool *pool, enum chunk_kind kind, const void *owner,
               struct pack_builder *pack)
{
    struct shelf *shelf = shelf_of(pool, kind);
    pthread_mutex_lock(&pool->lock);
    assert(shelf->idle_count < PACKS_MAX);
    shelf->idle[shelf->idle_count].pack = pack;
    shelf->idle[shelf->idle_count++].owner = owner;
    pthread_cond_broadcast(
        &pool->changed); /* who waits for the other kind waits at the same place */
    pthread_mutex_unlock(&pool->lock);
}

void pool_join(struct pool *pool, enum chunk_kind kind)
{
    pthread_mutex_lock(&pool->lock);
    shelf_of(pool, kind)->owners++;
    pthread_mutex_unlock(&pool->lock);
}

void pool_leave(struct pool *pool, enum chunk_kind kind, const void *owner)
{
    struct shelf *shelf = shelf_of(pool, kind);
    pthread_mutex_lock(&pool->lock);
    shelf->owners--;
    for (size_t i = 0; i < shelf->idle_count; i++)
        if (shelf->idle[i].owner == owner)
            shelf->idle[i].owner = NULL;
    pthread_mutex_unlock(&pool->lock);
}

struct pack_builder *pool_drain(struct pool *pool, enum chunk_kind kind)
{
    struct shelf *shelf = shelf_of(pool, kind);
    pthread_mutex_lock(&pool->lock);
    struct pack_builder *pack = shelf->idle_count ? idle_take(shelf, shelf->idle_count - 1) : NULL;
    pthread_mutex_unlock(&pool->lock);
    return pack;
}

void pool_release(struct pool *pool, enum chunk_kind kind, struct buf *room)
{
    struct shelf *shelf = shelf_of(pool, kind);
    pthread_mutex_lock(&pool->lock);
    shelf->alive--;
    if (room->cap >= pool->options.pack_bytes) {
        shelf->spare[shelf->spare_count++] = *room;
        *room = BUF_EMPTY;
    }
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    buf_clear(room);
}

enum err pool_wait_empty(struct pool *pool, enum chunk_kind kind)
{
    enum err e;
    pthread_mutex_lock(&pool->lock);
    while ((e = stop_check(pool->options.stop)) == ERR_OK && shelf_of(pool, kind)->alive > 0)
        pthread_cond_wait(&pool->changed, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return e;
}

size_t pool_most(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t most = pool->most;
    pthread_mutex_unlock(&pool->lock);
    return most;
}

void pool_wake(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}
