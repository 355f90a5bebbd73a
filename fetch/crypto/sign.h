/*
 * sign: Ed25519 signatures.
 *
 * Deterministic: one key and message give one signature. Domain separation is the caller's: begin the
 * message with what it is, so that no signature of one kind can stand for another.
 *
 * Source:  RFC 8032 (pure Ed25519, no context).
 * Threads: any.
 */
#pragma once

#include "fetch/base/buf.h"

enum { SIGN_BYTES = 64 };

struct sign_pair {
    uint8_t seed[32];
    uint8_t public[32];
};

enum err sign_generate(struct sign_pair *ret);
enum err sign_from_seed(const uint8_t seed[32], struct sign_pair *ret);

/* The public half is taken from the seed, never trusted from the pair: a wrong one would leak the key. */
enum err sign_make(const struct sign_pair *pair, struct slice message, uint8_t ret[64]);

/* ERR_AUTH: not a signature of this message by this key (or public is no key at all). */
enum err sign_check(const uint8_t public[32], struct slice message, const uint8_t signature[64]);
