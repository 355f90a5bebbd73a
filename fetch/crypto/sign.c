#include "fetch/crypto/sign.h"

#include "fetch/base/rand.h"
#include "fetch/crypto/internal.h"
#include "fetch/crypto/secret.h"

enum err sign_from_seed(const uint8_t seed[32], struct sign_pair *ret)
{
    struct sign_pair pair;
    memcpy(pair.seed, seed, 32);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, 32);
    size_t len = 32;
    bool good = key && EVP_PKEY_get_raw_public_key(key, pair.public, &len) == 1 && len == 32;
    EVP_PKEY_free(key);
    if (good)
        *ret = pair;
    secret_wipe(&pair, sizeof pair);
    return good ? ERR_OK : crypto_failed(ERR_IO, "making an Ed25519 key");
}

enum err sign_generate(struct sign_pair *ret)
{
    uint8_t seed[32];
    rand_bytes(seed, sizeof seed);
    enum err e = sign_from_seed(seed, ret);
    secret_wipe(seed, sizeof seed);
    return e;
}

enum err sign_make(const struct sign_pair *pair, struct slice message, uint8_t ret[64])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, pair->seed, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = SIGN_BYTES;
    bool good = key && ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
                EVP_DigestSign(ctx, ret, &len, message.data, message.len) == 1 && len == SIGN_BYTES;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good ? ERR_OK : crypto_failed(ERR_IO, "signing");
}

enum err sign_check(const uint8_t public[32], struct slice message, const uint8_t signature[64])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, public, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = key && ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
                EVP_DigestVerify(ctx, signature, SIGN_BYTES, message.data, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good ? ERR_OK : crypto_failed(ERR_AUTH, "checking a signature");
}
