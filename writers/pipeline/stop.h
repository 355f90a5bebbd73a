/*
 * stop: the first error of many threads, and everybody's reason to stop.
 *
 * Threads: any. Whoever waits on something else is woken by whoever sets the stop.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fetch/base/err.h"

struct stop {
    atomic_bool set;
    pthread_mutex_t lock; /* after all others, before nothing */
    struct err_note note; /* guarded by lock until set, constant after */
};

void stop_init(struct stop *stop);
void stop_clear(struct stop *stop);

/* Keep this thread's note as the reason, if none is there yet. Returns code. ERR_OK does nothing. */
enum err stop_set(struct stop *stop, enum err code);

/* ERR_OK, or the first error with its note, whoever met it. */
enum err stop_check(struct stop *stop);
