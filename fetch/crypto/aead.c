#include "fetch/crypto/aead.h"

#include "fetch/crypto/internal.h"

/* NIST SP 800-38D: 2^39 - 256 bits under one nonce. */
#define GCM_MAX_BYTES ((UINT64_C(1) << 36) - 32)

/* EVP counts in int; longer messages go in pieces. A multiple of the block, for speed. */
enum { PIECE_BYTES = 1 << 30 };

/* to is NULL for associated data. */
static bool update(EVP_CIPHER_CTX *ctx, uint8_t *to, struct slice from)
{
    while (from.len > 0) {
        int piece = from.len < PIECE_BYTES ? (int)from.len : PIECE_BYTES;
        int done;
        if (EVP_CipherUpdate(ctx, to, &done, from.data, piece) != 1)
            return false;
        from.data += piece;
        from.len -= (size_t)piece;
        if (to)
            to += piece;
    }
    return true;
}

enum err aead_seal(const uint8_t key[32], const uint8_t nonce[12], struct slice aad, struct slice plain,
                   uint8_t *ret_sealed)
{
    if (plain.len > GCM_MAX_BYTES)
        return err_set(ERR_INVALID, "%zu bytes are too many for one message", plain.len);
    const struct thread_ciphers *mine;
    TRY(crypto_thread_ciphers(&mine));
    int done;
    if (EVP_CipherInit_ex2(mine->gcm, NULL, key, nonce, 1, NULL) != 1 ||
        !update(mine->gcm, NULL, aad) || !update(mine->gcm, ret_sealed, plain) ||
        EVP_CipherFinal_ex(mine->gcm, ret_sealed + plain.len, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(mine->gcm, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, ret_sealed + plain.len) != 1)
        return crypto_failed(ERR_IO, "sealing with AES-256-GCM");
    return ERR_OK;
}

enum err aead_open(const uint8_t key[32], const uint8_t nonce[12], struct slice aad, struct slice sealed,
                   uint8_t *ret_plain)
{
    if (sealed.len < AEAD_TAG_BYTES)
        return err_set(ERR_AUTH, "%zu sealed bytes are shorter than a tag", sealed.len);
    size_t len = sealed.len - AEAD_TAG_BYTES;
    uint8_t tag[AEAD_TAG_BYTES]; /* apart, for ret_plain may be sealed, and the library wants it writable */
    memcpy(tag, sealed.data + len, sizeof tag);
    const struct thread_ciphers *mine;
    enum err e = crypto_thread_ciphers(&mine);
    if (e == ERR_OK && (len > GCM_MAX_BYTES || EVP_CipherInit_ex2(mine->gcm, NULL, key, nonce, 0, NULL) != 1 ||
                        !update(mine->gcm, NULL, aad) ||
                        !update(mine->gcm, ret_plain, slice_of(sealed.data, len)) ||
                        EVP_CIPHER_CTX_ctrl(mine->gcm, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) != 1))
        e = crypto_failed(ERR_AUTH, "opening with AES-256-GCM");
    int done;
    uint8_t nothing[AEAD_TAG_BYTES];
    if (e == ERR_OK && EVP_CipherFinal_ex(mine->gcm, nothing, &done) != 1)
        e = err_set(ERR_AUTH, "%zu sealed bytes do not verify", sealed.len);
    if (e != ERR_OK && len > 0)
        memset(ret_plain, 0, len);
    return e;
}
