/*
 * lanes: SHA-256 and HMAC-SHA-256 of many short messages side by side. Only for chunkid.c and tests.
 *
 * Two roads give the same values: libipsec-mb (a CPU's SHA units fed with two messages at a time, or 8 to
 * 16 messages in one vector), and OpenSSL one by one. Which is fastest depends on the CPU and on how
 * many messages there are, so it is measured once, at the first call (about 1 ms).
 *
 * Source:  libipsec-mb 1.3, job API.
 * Threads: any. Each thread has its own managers (0.2 MB each), made at need, freed when it ends.
 */
#pragma once

#include "fetch/crypto/digest.h"

/* Longer messages are hashed one by one: the lanes count in 16 bits. */
enum { LANE_MAX_BYTES = 65534 };

struct lane_message {
    const struct hmac_key *key; /* NULL for plain SHA-256 */
    struct slice data;
    uint8_t *ret; /* 32 bytes */
};

void lanes_hash(const struct lane_message *messages, size_t n);

/* One by one from now on, in every thread; or again as measured. */
void lanes_use_portable(bool portable);

/* How sixteen messages are hashed: "sha-ni", "avx512", "avx2", "portable". */
const char *lanes_method(void);

/* The lanes of a road: what is there to try, and force it (NULL: as measured). False if this machine has it
 * not. For tests and benchmarks, one thread at a time. */
bool lanes_force(const char *method);
