/*
 * xaes: XAES-256-GCM, authenticated encryption under a long-lived key with random nonces.
 *
 *     sealed = ciphertext (as long as the plaintext) || tag (16 bytes)
 *
 * The first 12 nonce bytes and the key give a fresh AES-256 key (NIST SP 800-108 counter mode with CMAC),
 * the last 12 are GCM's nonce. 24 random bytes are enough for 2^80 messages a key, by any number of
 * writers that know nothing of each other. The caller draws the nonce (rand_bytes) and stores it.
 * Costs three AES blocks and a key schedule more than aead.h.
 *
 * Source:  C2SP XAES-256-GCM (c2sp.org/XAES-256-GCM).
 * Threads: any, as aead.h.
 */
#pragma once

#include "fetch/crypto/aead.h"

enum { XAES_NONCE_BYTES = 24 };

/* As aead_seal. */
enum err xaes_seal(const uint8_t key[32], const uint8_t nonce[24], struct slice aad, struct slice plain,
                   uint8_t *ret_sealed);
/* As aead_open. */
enum err xaes_open(const uint8_t key[32], const uint8_t nonce[24], struct slice aad, struct slice sealed,
                   uint8_t *ret_plain);
