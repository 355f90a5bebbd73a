/*
 * rand: random bytes, from the kernel and from nowhere else.
 *
 * There is no error to handle: without randomness there must be no key, no nonce and no name, so if the
 * kernel refuses (it does not, after boot) the program aborts.
 *
 * Source:  getrandom(2).
 * Threads: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *to, size_t len);
uint64_t rand_u64(void);
/* Even over 0 to n-1; n > 0. */
uint64_t rand_below(uint64_t n);

/* For tests only (tests/layers_test.sh looks that nobody else does): from here on a fixed sequence. */
void rand_seed_for_test(uint64_t seed);
