#include "fetch/crypto/kdf.h"

#include <openssl/crypto.h>

#include "fetch/crypto/digest.h"
#include "fetch/crypto/internal.h"

enum err hkdf_sha256(struct slice ikm, struct slice salt, struct slice info, uint8_t *ret, size_t len)
{
    if (len > 255 * SHA256_BYTES)
        return err_set(ERR_INVALID, "HKDF gives at most %d bytes, not %zu", 255 * SHA256_BYTES, len);
    struct hmac_key k;
    uint8_t block[SHA256_BYTES];
    hmac_key_init_slice(&k, salt); /* an empty one is padded with zeros: the default */
    hmac_with(&k, ikm, block);
    hmac_key_init(&k, block);
    for (uint8_t count = 1; len > 0; count++) {
        struct sha256 inner;
        hmac_start(&k, &inner);
        if (count > 1)
            sha256_update(&inner, slice_of(block, sizeof block));
        sha256_update(&inner, info);
        sha256_update(&inner, slice_of(&count, 1));
        hmac_finish(&k, &inner, block);
        size_t part = len < sizeof block ? len : sizeof block;
        memcpy(ret, block, part);
        ret += part;
        len -= part;
    }
    OPENSSL_cleanse(&k, sizeof k);
    OPENSSL_cleanse(block, sizeof block);
    return ERR_OK;
}

enum err scrypt_unbounded(struct slice password, struct slice salt, uint64_t n, uint32_t r, uint32_t p,
                          uint8_t *ret, size_t len)
{
    /* OpenSSL refuses over 32 MiB unless told: with 0 already N = 2^15, r = 8 fails. */
    uint64_t max_bytes = UINT64_C(128) * n * r + UINT64_C(128) * r * p + (64 << 20);
    const char *text = password.len > 0 ? (const char *)password.data : "";
    if (EVP_PBE_scrypt(text, password.len, salt.data, salt.len, n, r, p, max_bytes, ret, len) != 1)
        return crypto_failed(ERR_NOMEM, "scrypt");
    return ERR_OK;
}

enum err scrypt_derive(struct slice password, struct slice salt, uint64_t n, uint32_t r, uint32_t p,
                       uint8_t ret[32])
{
    bool fits = n >= UINT64_C(1) << 15 && n <= UINT64_C(1) << 21 && (n & (n - 1)) == 0 && r >= 1 &&
                r <= 16 && p >= 1 && p <= 4 && UINT64_C(128) * n * r <= UINT64_C(1) << 31;
    if (!fits)
        return err_set(ERR_CORRUPT, "refused: scrypt with N %llu, r %u, p %u is out of bounds",
                       (unsigned long long)n, r, p);
    return scrypt_unbounded(password, salt, n, r, p, ret, 32);
}
