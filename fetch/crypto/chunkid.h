/*
 * chunkid: the names of chunks, and hashing many messages at once.
 *
 * A chunk's name is a keyed hash of its plaintext: equal content is stored once, and nobody without the
 * key can test for content they know. A long chunk is hashed as 16 KiB leaves, so that one chunk alone
 * can fill the lanes of a multi-buffer SHA-256.
 *
 * From a 32-byte key K, with || for concatenation and HMAC for HMAC-SHA-256:
 *
 *     K_small   = HMAC(K, 0x00)
 *     K_root    = HMAC(K, 0x01)
 *     K_leaf[i] = HMAC(K, 0x02 || u32le i)              i = 0 .. 255
 *
 *     up to 16384 bytes:  id  = HMAC(K_small, data)
 *     longer:             L_i = HMAC(K_leaf[i], leaf i)  leaves of 16384 bytes, the last may be shorter
 *                         id  = HMAC(K_root, u64le length || L_0 || L_1 ...)
 *
 * Source:  docs/format.md (normative). Multi-buffer hashing as in libipsec-mb; where the CPU has no lanes
 *          worth using, OpenSSL computes the same values one by one.
 * Threads: struct id_keys may be shared by all threads once made. The lanes belong to the calling thread:
 *          made at its first call, freed when it ends. A call takes some 20 KiB of stack.
 */
#pragma once

#include "fetch/base/buf.h"

enum {
    CHUNK_LEAF_BYTES = 16384,
    CHUNK_ID_MAX_BYTES = 4 * 1024 * 1024, /* the longest chunk that has a name: 256 leaves */
};

struct chunk_id {
    uint8_t bytes[32];
};

/* The naming key, expanded to the states of all 258 derived keys. Kept in locked memory. */
struct id_keys;

/* key is borrowed; *ret is the caller's. */
enum err id_keys_new(const uint8_t key[32], struct id_keys **ret);
void id_keys_free(struct id_keys *keys);
DEFINE_AUTO_PTR(id_keys);

struct id_job {
    struct slice data;  /* in: borrowed, at most CHUNK_ID_MAX_BYTES */
    struct chunk_id id; /* out */
};

/*
 * Name many chunks. The leaves of all of them share the lanes, so more chunks per call is faster, up to
 * some 256 KiB of data in all; beyond that it makes no difference. Cannot fail: without memory for
 * lanes it hashes one by one.
 */
void chunk_ids(const struct id_keys *keys, struct id_job *jobs, size_t n);

/* Name one chunk. */
void chunk_id_of(const struct id_keys *keys, struct slice data, struct chunk_id *ret);

/* Plain SHA-256 of many messages: up to 65534 bytes in lanes, longer ones by the streaming function. */
struct sha_job {
    struct slice data;  /* in: borrowed */
    uint8_t digest[32]; /* out */
};

void sha256_many(struct sha_job *jobs, size_t n);

/* For tests and comparisons: hash one by one with OpenSSL from now on, in every thread. */
void chunkid_use_portable(bool portable);

/* How this machine hashes a full batch: "sha-ni", "avx512", "avx2" or "portable". For logs. */
const char *chunkid_method(void);
