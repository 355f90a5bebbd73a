#include "fetch/crypto/xaes.h"

#include <openssl/crypto.h>

#include "fetch/crypto/internal.h"

enum { BLOCK_BYTES = 16 };

static bool encrypt_block(EVP_CIPHER_CTX *ecb, uint8_t block[BLOCK_BYTES])
{
    int done;
    return EVP_CipherUpdate(ecb, block, &done, block, BLOCK_BYTES) == 1;
}

/* Multiply by x in GF(2^128) as CMAC does (SP 800-38B), without a branch on the secret. */
static void double_block(uint8_t block[BLOCK_BYTES])
{
    uint8_t carry = 0;
    for (size_t i = BLOCK_BYTES; i-- > 0;) {
        uint8_t next = block[i] >> 7;
        block[i] = (uint8_t)(block[i] << 1 | carry);
        carry = next;
    }
    block[BLOCK_BYTES - 1] ^= (uint8_t)(0x87 & -carry);
}

/* CMAC of the one full block {0, counter, 'X', 0} || nonce[0..11], for counter 1 and 2. */
static enum err message_key(const uint8_t key[32], const uint8_t nonce[24], uint8_t ret[32])
{
    const struct thread_ciphers *mine;
    TRY(crypto_thread_ciphers(&mine));
    uint8_t k1[BLOCK_BYTES] = {0};
    bool good = EVP_CipherInit_ex2(mine->ecb, NULL, key, NULL, 1, NULL) == 1 && encrypt_block(mine->ecb, k1);
    double_block(k1);
    for (uint8_t half = 0; half < 2 && good; half++) {
        uint8_t *block = ret + half * BLOCK_BYTES;
        block[0] = 0;
        block[1] = (uint8_t)(half + 1);
        block[2] = 'X';
        block[3] = 0;
        memcpy(block + 4, nonce, 12);
        for (size_t i = 0; i < BLOCK_BYTES; i++)
            block[i] ^= k1[i];
        good = encrypt_block(mine->ecb, block);
    }
    OPENSSL_cleanse(k1, sizeof k1);
    return good ? ERR_OK : crypto_failed(ERR_IO, "deriving an XAES key");
}

enum err xaes_seal(const uint8_t key[32], const uint8_t nonce[24], struct slice aad, struct slice plain,
                   uint8_t *ret_sealed)
{
    uint8_t derived[32];
    TRY(message_key(key, nonce, derived));
    enum err e = aead_seal(derived, nonce + 12, aad, plain, ret_sealed);
    OPENSSL_cleanse(derived, sizeof derived);
    return e;
}

enum err xaes_open(const uint8_t key[32], const uint8_t nonce[24], struct slice aad, struct slice sealed,
                   uint8_t *ret_plain)
{
    uint8_t derived[32];
    enum err e = message_key(key, nonce, derived);
    if (e == ERR_OK)
        e = aead_open(derived, nonce + 12, aad, sealed, ret_plain);
    else if (sealed.len > AEAD_TAG_BYTES)
        memset(ret_plain, 0, sealed.len - AEAD_TAG_BYTES);
    OPENSSL_cleanse(derived, sizeof derived);
    return e;
}
