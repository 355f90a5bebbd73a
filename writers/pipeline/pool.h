/*
 * pool: packs that are being filled, and a bound on how many there are in memory.
 *
 *     worker: take > add a frame > give back, or hand to the uploader when full > (uploader) release
 *
 * A pack is held only while a frame is added, so that few packs serve many workers: nobody waits for one who does something else.
 * Each worker gets its own as long as memory allows, so that a pack holds whole runs of one source. More packs than workers and
 * uploads can use are not made, however much memory there is: fresh memory is dear, and a queue makes a store no faster.
 *
 * Threads: any.
 */
#pragma once

#include "fetch/format/pack.h"
#include "writers/pipeline/stop.h"

struct pool;

struct pool_options {
    const struct keyring *keys;
    uint32_t domain;
    size_t pack_bytes, memory_bytes; /* memory_bytes holds four packs at least */
    unsigned uploads;                /* packs on their way at once */
    struct stop *stop;               /* borrowed */
};
enum err pool_new(const struct pool_options *options, struct pool **ret_pool);
void pool_free(struct pool *pool);
DEFINE_AUTO_PTR(pool);

/* A pack to fill: the owner's, an ownerless, a new or anybody's, in this order; waits when memory is used up. The stop's error. */
enum err pool_take(struct pool *pool, enum chunk_kind kind, const void *owner, struct pack_builder **ret_pack);
/* Back, not full. */
void pool_give(struct pool *pool, enum chunk_kind kind, const void *owner, struct pack_builder *pack);
/* One owner more, who will take packs; one less: its packs are anybody's. */
void pool_join(struct pool *pool, enum chunk_kind kind);
void pool_leave(struct pool *pool, enum chunk_kind kind, const void *owner);

/* Take a pack that nobody fills out of the pool, to put it; NULL: none. */
struct pack_builder *pool_drain(struct pool *pool, enum chunk_kind kind);
/* A pack that was taken is done with. room: the memory of its object, kept for the next pack; empty after. */
void pool_release(struct pool *pool, enum chunk_kind kind, struct buf *room);
/* Wait until all packs taken are released and none is left. The stop's error. */
enum err pool_wait_empty(struct pool *pool, enum chunk_kind kind);

/* The most packs that were in memory at one time, of both kinds. */
size_t pool_most(struct pool *pool);

/* Wake all who wait: the stop was set. */
void pool_wake(struct pool *pool);
