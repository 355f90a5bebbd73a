/*
 * aead: authenticated encryption of one message, AES-256-GCM.
 *
 *     sealed = ciphertext (as long as the plaintext) || tag (16 bytes)
 *
 * The nonce rule: a (key, nonce) pair seals one message, ever. Two messages under one pair give away
 * their difference and let anybody forge under that key. So a key here is one pack's own random key and
 * the nonce a counter its only writer keeps; a key that lives longer or has several users belongs in
 * xaes.h, whose nonce is long enough to be random. Opening has no such rule.
 *
 * GCM does not commit to its key: who must know that a wrong key was tried checks a commitment first.
 *
 * Source:  NIST SP 800-38D.
 * Threads: any; each thread has its own context, freed when it ends. It keeps the schedule of the
 *          thread's last key until then.
 */
#pragma once

#include "fetch/base/buf.h"

enum {
    AEAD_KEY_BYTES = 32,
    AEAD_NONCE_BYTES = 12,
    AEAD_TAG_BYTES = 16,
};

/*
 *   aad         authenticated, not stored here
 *   ret_sealed  plain.len + AEAD_TAG_BYTES bytes; may begin where plain begins, must not overlap it
 *               otherwise. Undefined on failure.
 *
 *   ERR_INVALID  over 2^36 - 32 bytes, where GCM's counter ends
 */
enum err aead_seal(const uint8_t key[32], const uint8_t nonce[12], struct slice aad, struct slice plain,
                   uint8_t *ret_sealed);

/*
 *   ret_plain  sealed.len - AEAD_TAG_BYTES bytes; may begin where sealed begins, must not overlap it
 *              otherwise. All zeros on failure: bytes that do not verify never leave this function.
 *
 *   ERR_AUTH   forged, damaged, shorter than a tag (then ret_plain is not touched), or another key's
 */
enum err aead_open(const uint8_t key[32], const uint8_t nonce[12], struct slice aad, struct slice sealed,
                   uint8_t *ret_plain);
