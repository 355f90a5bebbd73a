#include "fetch/base/rand.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fetch/base/log.h"

static atomic_bool seeded;
static atomic_uint_least64_t sequence;

/* splitmix64 (Steele, Lea, Flood 2014): good enough to shake tests with. */
static uint64_t next_of_sequence(void)
{
    uint64_t z = atomic_fetch_add(&sequence, 0x9e3779b97f4a7c15u) + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void fill_from_sequence(uint8_t *to, size_t len)
{
    while (len > 0) {
        uint64_t v = next_of_sequence();
        size_t n = len < sizeof v ? len : sizeof v;
        memcpy(to, &v, n);
        to += n;
        len -= n;
    }
}

void rand_bytes(void *to, size_t len)
{
    uint8_t *at = to;
    if (atomic_load(&seeded)) {
        fill_from_sequence(at, len);
        return;
    }
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            log_error("the kernel gives no random bytes (errno %d); stopping", errno);
            abort();
        }
        at += n;
        len -= (size_t)n;
    }
}

uint64_t rand_u64(void)
{
    uint64_t v;
    rand_bytes(&v, sizeof v);
    return v;
}

uint64_t rand_below(uint64_t n)
{
    assert(n > 0);
    /* The first 2^64 mod n values would be hit once more often than the rest: draw again. */
    uint64_t uneven = -n % n, v;
    do
        v = rand_u64();
    while (v < uneven);
    return v % n;
}

void rand_seed_for_test(uint64_t seed)
{
    atomic_store(&sequence, seed);
    atomic_store(&seeded, true);
}
