#include "fetch/crypto/hpke.h"

#include <openssl/crypto.h>

#include "fetch/base/rand.h"
#include "fetch/crypto/aead.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/internal.h"
#include "fetch/crypto/secret.h"

static enum err x25519_public(const uint8_t secret[32], uint8_t ret[32])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, secret, 32);
    size_t len = 32;
    bool good = key && EVP_PKEY_get_raw_public_key(key, ret, &len) == 1 && len == 32;
    EVP_PKEY_free(key);
    return good ? ERR_OK : crypto_failed(ERR_IO, "making an X25519 key");
}

enum err x25519_from_secret(const uint8_t secret[32], struct x25519_pair *ret)
{
    struct x25519_pair pair;
    memcpy(pair.secret, secret, 32);
    TRY(x25519_public(pair.secret, pair.public));
    *ret = pair;
    secret_wipe(&pair, sizeof pair);
    return ERR_OK;
}

enum err x25519_generate(struct x25519_pair *ret)
{
    uint8_t secret[32];
    rand_bytes(secret, sizeof secret);
    enum err e = x25519_from_secret(secret, ret);
    secret_wipe(secret, sizeof secret);
    return e;
}

/* A low-order peer passes set_peer; only the result of derive tells (RFC 7748 6.1: all zeros). */
static enum err x25519_shared(const uint8_t secret[32], const uint8_t peer[32], uint8_t ret[32])
{
    EVP_PKEY *mine = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, secret, 32);
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, peer, 32);
    EVP_PKEY_CTX *ctx = mine ? EVP_PKEY_CTX_new_from_pkey(NULL, mine, NULL) : NULL;
    size_t len = 32;
    bool good = theirs && ctx && EVP_PKEY_derive_init(ctx) == 1 &&
                EVP_PKEY_derive_set_peer(ctx, theirs) == 1 && EVP_PKEY_derive(ctx, ret, &len) == 1 &&
                len == 32;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(mine);
    return good ? ERR_OK : crypto_failed(ERR_AUTH, "agreeing on an X25519 secret");
}

/* RFC 9180 section 4: every HMAC begins with version, suite and label. */
struct suite {
    uint8_t id[10];
    size_t len;
};
static const struct suite KEM_SUITE = {{'K', 'E', 'M', 0x00, 0x20}, 5};
static const struct suite HPKE_SUITE = {{'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x02}, 10};

static void put_label(struct sha256 *sha, const struct suite *suite, const char *label)
{
    sha256_update(sha, slice_str("HPKE-v1"));
    sha256_update(sha, slice_of(suite->id, suite->len));
    sha256_update(sha, slice_str(label));
}

static void labeled_extract(const struct suite *suite, struct slice salt, const char *label,
                            struct slice ikm, uint8_t ret[32])
{
    struct hmac_key k;
    struct sha256 sha;
    hmac_key_init_slice(&k, salt);
    hmac_start(&k, &sha);
    put_label(&sha, suite, label);
    sha256_update(&sha, ikm);
    hmac_finish(&k, &sha, ret);
    secret_wipe(&k, sizeof k);
}

/* len at most 32: one round of HKDF-Expand. */
static void labeled_expand(const struct suite *suite, const uint8_t prk[32], const char *label,
                           struct slice info, uint8_t *ret, uint8_t len)
{
    struct hmac_key k;
    struct sha256 sha;
    uint8_t block[32];
    hmac_key_init(&k, prk);
    hmac_start(&k, &sha);
    sha256_update(&sha, slice_of((uint8_t[]){0, len}, 2));
    put_label(&sha, suite, label);
    sha256_update(&sha, info);
    sha256_update(&sha, slice_of((uint8_t[]){1}, 1));
    hmac_finish(&k, &sha, block);
    memcpy(ret, block, len);
    secret_wipe(&k, sizeof k);
    secret_wipe(block, sizeof block);
}

struct message_key {
    uint8_t key[AEAD_KEY_BYTES];
    uint8_t nonce[AEAD_NONCE_BYTES];
};

/* Encap or Decap after the Diffie-Hellman, then KeyScheduleBase. */
static void schedule(const uint8_t dh[32], const uint8_t enc[32], const uint8_t recipient[32],
                     struct slice info, struct message_key *ret)
{
    uint8_t kem_context[64];
    memcpy(kem_context, enc, 32);
    memcpy(kem_context + 32, recipient, 32);
    uint8_t prk[32], shared[32], secret[32];
    labeled_extract(&KEM_SUITE, SLICE_EMPTY, "eae_prk", slice_of(dh, 32), prk);
    labeled_expand(&KEM_SUITE, prk, "shared_secret", slice_of(kem_context, 64), shared, 32);

    uint8_t context[65] = {0}; /* mode base */
    labeled_extract(&HPKE_SUITE, SLICE_EMPTY, "psk_id_hash", SLICE_EMPTY, context + 1);
    labeled_extract(&HPKE_SUITE, SLICE_EMPTY, "info_hash", info, context + 33);
    labeled_extract(&HPKE_SUITE, slice_of(shared, 32), "secret", SLICE_EMPTY, secret);
    struct slice whole = slice_of(context, sizeof context);
    labeled_expand(&HPKE_SUITE, secret, "key", whole, ret->key, sizeof ret->key);
    labeled_expand(&HPKE_SUITE, secret, "base_nonce", whole, ret->nonce, sizeof ret->nonce);
    secret_wipe(prk, sizeof prk);
    secret_wipe(shared, sizeof shared);
    secret_wipe(secret, sizeof secret);
}

enum err hpke_seal_with(const struct x25519_pair *ephemeral, const uint8_t public[32], struct slice info,
                        struct slice aad, struct slice plain, uint8_t *ret_sealed)
{
    uint8_t dh[32];
    TRY(x25519_shared(ephemeral->secret, public, dh));
    struct message_key message;
    schedule(dh, ephemeral->public, public, info, &message);
    memcpy(ret_sealed, ephemeral->public, HPKE_ENC_BYTES);
    enum err e = aead_seal(message.key, message.nonce, aad, plain, ret_sealed + HPKE_ENC_BYTES);
    secret_wipe(dh, sizeof dh);
    secret_wipe(&message, sizeof message);
    return e;
}

enum err hpke_seal(const uint8_t public[32], struct slice info, struct slice aad, struct slice plain,
                   uint8_t *ret_sealed)
{
    struct x25519_pair ephemeral;
    TRY(x25519_generate(&ephemeral));
    enum err e = hpke_seal_with(&ephemeral, public, info, aad, plain, ret_sealed);
    secret_wipe(&ephemeral, sizeof ephemeral);
    return e;
}

enum err hpke_open(const struct x25519_pair *pair, struct slice info, struct slice aad,
                   struct slice sealed, uint8_t *ret_plain)
{
    if (sealed.len < HPKE_OVERHEAD_BYTES)
        return err_set(ERR_AUTH, "%zu sealed bytes are shorter than a sealed nothing", sealed.len);
    struct slice body = slice_of(sealed.data + HPKE_ENC_BYTES, sealed.len - HPKE_ENC_BYTES);
    uint8_t dh[32];
    enum err e = x25519_shared(pair->secret, sealed.data, dh);
    if (e != ERR_OK) {
        memset(ret_plain, 0, sealed.len - HPKE_OVERHEAD_BYTES);
        return e;
    }
    struct message_key message;
    schedule(dh, sealed.data, pair->public, info, &message);
    e = aead_open(message.key, message.nonce, aad, body, ret_plain);
    secret_wipe(dh, sizeof dh);
    secret_wipe(&message, sizeof message);
    return e;
}
