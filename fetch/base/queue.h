/*
 * queue: hand jobs from threads to threads, at most so many at a time.
 *
 * First in, first out. A full queue makes producers wait: that is how a slow uploader slows a fast reader
 * instead of filling memory. Closing ends both sides: nothing more goes in, what is in comes out, then
 * every get says that it is over.
 *
 * Ownership: an item belongs to the queue's user on either side; the queue never looks at it. After a
 *            failure, close, join the threads, and get until the end to free what was left.
 * Threads:   put, get and close from any; new and free when no other thread uses it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fetch/base/cleanup.h"
#include "fetch/base/err.h"

struct queue;

/* room > 0 items. */
enum err queue_new(size_t room, struct queue **ret_queue);
void queue_free(struct queue *q);
DEFINE_AUTO_PTR(queue);

/* Wait for room, then append; item is not NULL. ERR_CANCELED: closed, and item is still the caller's. */
enum err queue_put(struct queue *q, void *item);
/* Wait for an item and take it; NULL when the queue is closed and empty. */
void *queue_get(struct queue *q);
/* Take one if it is there; NULL when there is none now. */
void *queue_try_get(struct queue *q);
/* End it; wakes everybody who waits. More than once is fine. */
void queue_close(struct queue *q);
