/*
 * digest: SHA-256 and HMAC-SHA-256 of one message.
 *
 * Nothing here allocates or fails, and the states are plain values: copying one forks the computation.
 * For many messages at once see chunkid.h, which fills all lanes of the CPU.
 *
 * Source:  SHA-256 is FIPS 180-4, HMAC is RFC 2104 (tests: RFC 4231).
 * Threads: no shared state; a struct hmac_key may be read by all threads once made.
 */
#pragma once

#include "fetch/base/buf.h"

enum { SHA256_BYTES = 32 };

/* A running SHA-256. The fields are the library's; digest.c checks that they agree. */
struct sha256 {
    uint32_t state[8];
    uint32_t bits_low, bits_high;
    uint32_t block[16];
    unsigned block_len, digest_len;
};

void sha256_init(struct sha256 *sha);
void sha256_update(struct sha256 *sha, struct slice data);
/* Afterwards sha must be initialised anew. */
void sha256_final(struct sha256 *sha, uint8_t ret[32]);

void sha256_of(struct slice data, uint8_t ret[32]);

/* HMAC in one call; where the key stays, keep a struct hmac_key: it saves two of four compressions. */
void hmac_sha256(const uint8_t key[32], struct slice data, uint8_t ret[32]);

/* A key ready for use: the states after its inner and outer block. As secret as the key itself. */
struct hmac_key {
    uint32_t inner[8];
    uint32_t outer[8];
};

void hmac_key_init(struct hmac_key *k, const uint8_t key[32]);
/* For keys of another length (HKDF salts); over 64 bytes they are hashed first, as RFC 2104 says. */
void hmac_key_init_slice(struct hmac_key *k, struct slice key);
void hmac_with(const struct hmac_key *k, struct slice data, uint8_t ret[32]);

/* A message in pieces: start, sha256_update for each piece, finish. */
void hmac_start(const struct hmac_key *k, struct sha256 *ret_inner);
void hmac_finish(const struct hmac_key *k, struct sha256 *inner, uint8_t ret[32]);
