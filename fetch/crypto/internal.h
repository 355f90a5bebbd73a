/*
 * internal: what the files of this folder share, and what their tests need to reach known answers.
 * Nobody else includes it.
 */
#pragma once

#include <openssl/evp.h>

#include "fetch/crypto/hpke.h"

/* The algorithms, fetched once per process: a fetch per call costs more than a small message. */
struct algorithms {
    EVP_CIPHER *aes_gcm;
    EVP_CIPHER *aes_ecb;
};
/* NULL if the library has not what we need; the error is stated. */
const struct algorithms *crypto_algorithms(void);

/* This thread's cipher contexts, made at its first call and freed when it ends. */
struct thread_ciphers {
    EVP_CIPHER_CTX *gcm; /* aes_gcm is set */
    EVP_CIPHER_CTX *ecb; /* aes_ecb is set, no padding */
};
enum err crypto_thread_ciphers(const struct thread_ciphers **ret);

/* State what OpenSSL has against us, and empty its queue. */
enum err crypto_failed(enum err code, const char *doing);

/* HPKE with a given ephemeral pair. Using one twice for the same public key repeats a nonce. */
enum err hpke_seal_with(const struct x25519_pair *ephemeral, const uint8_t public[32], struct slice info,
                        struct slice aad, struct slice plain, uint8_t *ret_sealed);

/* scrypt without the bounds, any output length: RFC 7914's vectors have small N. */
enum err scrypt_unbounded(struct slice password, struct slice salt, uint64_t n, uint32_t r, uint32_t p,
                          uint8_t *ret, size_t len);
