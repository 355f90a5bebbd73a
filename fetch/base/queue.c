#include "fetch/base/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct queue {
    pthread_mutex_t lock; /* nothing is taken under it; guards all below */
    pthread_cond_t got;   /* an item went out, or closed */
    pthread_cond_t put;   /* an item came in, or closed */
    bool closed;
    size_t room;
    size_t first;
    size_t count;
    void *items[]; /* a ring: first, first + 1, ... modulo room */
};

enum err queue_new(size_t room, struct queue **ret_queue)
{
    assert(room > 0);
    size_t bytes;
    if (__builtin_mul_overflow(room, sizeof(void *), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct queue), &bytes))
        return err_set(ERR_NOMEM, "no memory for a queue of %zu", room);
    struct queue *q = calloc(1, bytes);
    if (!q)
        return err_set(ERR_NOMEM, "no memory for a queue of %zu", room);
    q->room = room;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->got, NULL);
    pthread_cond_init(&q->put, NULL);
    *ret_queue = q;
    return ERR_OK;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->put);
    pthread_cond_destroy(&q->got);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

enum err queue_put(struct queue *q, void *item)
{
    assert(item);
    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->count == q->room)
        pthread_cond_wait(&q->got, &q->lock);
    bool closed = q->closed;
    if (!closed) {
        q->items[(q->first + q->count) % q->room] = item;
        q->count++;
        pthread_cond_signal(&q->put);
    }
    pthread_mutex_unlock(&q->lock);
    return closed ? err_set(ERR_CANCELED, "the queue is closed") : ERR_OK;
}

static void *take_first(struct queue *q)
{
    if (q->count == 0)
        return NULL;
    void *item = q->items[q->first];
    q->first = (q->first + 1) % q->room;
    q->count--;
    pthread_cond_signal(&q->got);
    return item;
}

void *queue_get(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->count == 0)
        pthread_cond_wait(&q->put, &q->lock);
    void *item = take_first(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

void *queue_try_get(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    void *item = take_first(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->got);
    pthread_cond_broadcast(&q->put);
    pthread_mutex_unlock(&q->lock);
}
