/*
 * hpke: seal to somebody's public key; and X25519 key pairs.
 *
 * RFC 9180 base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message per call:
 *
 *     sealed = enc (32 bytes, an ephemeral public key) || ciphertext || tag (16 bytes)
 *
 * Each seal draws its own ephemeral pair, so there is no nonce to keep. Base mode does not say who
 * sealed: anybody who has the public key can. What must be known to come from a writer is signed.
 *
 * Source:  RFC 9180 sections 4 to 6; X25519 is RFC 7748.
 * Threads: any.
 */
#pragma once

#include "fetch/base/buf.h"

enum {
    HPKE_ENC_BYTES = 32,
    HPKE_OVERHEAD_BYTES = 48,
};

struct x25519_pair {
    uint8_t secret[32];
    uint8_t public[32];
};

enum err x25519_generate(struct x25519_pair *ret);
enum err x25519_from_secret(const uint8_t secret[32], struct x25519_pair *ret);

/*
 *   info, aad   bound to the message, not stored here
 *   ret_sealed  plain.len + HPKE_OVERHEAD_BYTES bytes; no overlap with plain
 *
 *   ERR_AUTH    public is no usable key (a low-order point, which gives all a shared secret of zeros)
 */
enum err hpke_seal(const uint8_t public[32], struct slice info, struct slice aad, struct slice plain,
                   uint8_t *ret_sealed);

/*
 *   ret_plain  sealed.len - HPKE_OVERHEAD_BYTES bytes; no overlap with sealed; all zeros on failure
 *
 *   ERR_AUTH   forged, damaged, shorter than the overhead (then ret_plain is not touched), other info
 *              or aad, or sealed to somebody else
 */
enum err hpke_open(const struct x25519_pair *pair, struct slice info, struct slice aad,
                   struct slice sealed, uint8_t *ret_plain);
