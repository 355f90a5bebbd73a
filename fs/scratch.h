/*
 * scratch: a buffer of this thread for the reply it is about to make, so that a read of 1 MiB does
 * not map and clear fresh memory.
 *
 * Threads: each has its own, freed when it ends.
 */
#pragma once

#include <stddef.h>

/* At least size bytes, contents undefined, valid until this thread asks again. NULL: no memory. */
void *scratch_get(size_t size);
