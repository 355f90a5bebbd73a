#include "writers/pipeline/known.h"

#include <pthread.h>
#include <stdlib.h>

enum { SHARDS = 64, FIRST_CAP = 64 };

static const struct chunk_id
    EMPTY_SLOT; /* all zero: no HMAC is, but if one were it would be stored twice, no more */

/* Open addressing. Ids are uniform: their first bytes are the hash. */
struct shard {
    pthread_mutex_t lock;   /* before nothing */
    struct chunk_id *slots; /* guarded by lock, as all below */
    size_t count, cap;      /* cap is a power of two */
} __attribute__((aligned(64)));

struct known {
    struct shard shards[SHARDS];
};

enum err known_new(struct known **ret_known)
{
    struct known *known = aligned_alloc(64, sizeof *known);
    if (!known)
        return err_set(ERR_NOMEM, "no memory for the set of new chunks");
    for (size_t i = 0; i < SHARDS; i++) {
        known->shards[i] = (struct shard){.slots = NULL};
        pthread_mutex_init(&known->shards[i].lock, NULL);
    }
    *ret_known = known;
    return ERR_OK;
}

void known_free(struct known *known)
{
    if (!known)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        free(known->shards[i].slots);
        pthread_mutex_destroy(&known->shards[i].lock);
    }
    free(known);
}

static struct shard *shard_of(struct known *known, const struct chunk_id *id)
{
    return &known->shards[id->bytes[31] % SHARDS];
}

/* Where it is, or the free slot where it would be. */
static struct chunk_id *slot_find(const struct shard *shard, const struct chunk_id *id)
{
    uint64_t hash;
    memcpy(&hash, id->bytes, sizeof hash);
    for (size_t at = hash & (shard->cap - 1);; at = (at + 1) & (shard->cap - 1)) {
        struct chunk_id *slot = &shard->slots[at];
        if (memcmp(slot, id, sizeof *id) == 0 || memcmp(slot, &EMPTY_SLOT, sizeof *slot) == 0)
            return slot;
    }
}

bool known_has(struct known *known, const struct chunk_id *id)
{
    struct shard *shard = shard_of(known, id);
    pthread_mutex_lock(&shard->lock);
    bool has = shard->count && memcmp(slot_find(shard, id), id, sizeof *id) == 0;
    pthread_mutex_unlock(&shard->lock);
    return has;
}

/* With lock. At most three quarters are in use. */
static enum err shard_grow(struct shard *shard)
{
    if (shard->count < shard->cap / 4 * 3)
        return ERR_OK;
    struct shard grown = {.cap = shard->cap ? shard->cap * 2 : FIRST_CAP};
    grown.slots = calloc(grown.cap, sizeof *grown.slots);
    if (!grown.slots)
        return err_set(ERR_NOMEM, "no memory for %zu new chunks", grown.cap);
    for (size_t i = 0; i < shard->cap; i++)
        if (memcmp(&shard->slots[i], &EMPTY_SLOT, sizeof EMPTY_SLOT) != 0)
            *slot_find(&grown, &shard->slots[i]) = shard->slots[i];
    free(shard->slots);
    shard->slots = grown.slots;
    shard->cap = grown.cap;
    return ERR_OK;
}

enum err known_add(struct known *known, const struct chunk_id *id, bool *ret_added)
{
    struct shard *shard = shard_of(known, id);
    pthread_mutex_lock(&shard->lock);
    enum err e = shard_grow(shard);
    if (e == ERR_OK) {
        struct chunk_id *slot = slot_find(shard, id);
        *ret_added = memcmp(slot, id, sizeof *id) != 0;
        if (*ret_added) {
            *slot = *id;
            shard->count++;
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return e;
}
