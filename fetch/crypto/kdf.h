/*
 * kdf: keys from keys (HKDF) and keys from passwords (scrypt).
 *
 * Source:  HKDF-SHA-256 is RFC 5869; scrypt is RFC 7914.
 * Threads: any.
 */
#pragma once

#include "fetch/base/buf.h"

/*
 * Extract and expand. An empty salt is the RFC's default of 32 zero bytes. ikm must be a key, that is
 * hard to guess: for a password use scrypt_derive.
 *
 *   ret  len bytes
 *
 *   ERR_INVALID  len over 255 * 32
 */
enum err hkdf_sha256(struct slice ikm, struct slice salt, struct slice info, uint8_t *ret, size_t len);

/*
 * scrypt. Slow by intent: N = 2^17, r = 8, p = 1 takes about a third of a second and 128 MiB.
 *
 * n, r and p come from a stored slot, that is from outside, so they are bounded before anything is
 * allocated: N a power of two, 2^15 <= N <= 2^21, 1 <= r <= 16, 1 <= p <= 4, and 128 * N * r at most
 * 2 GiB. Too little would be a downgrade, too much a denial of service.
 *
 *   ERR_CORRUPT  refused: outside the bounds
 *   ERR_NOMEM    the machine has not that much memory to give
 */
enum err scrypt_derive(struct slice password, struct slice salt, uint64_t n, uint32_t r, uint32_t p,
                       uint8_t ret[32]);
