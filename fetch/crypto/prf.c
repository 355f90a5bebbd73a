#include "fetch/crypto/prf.h"

#include <endian.h>

#include "fetch/crypto/internal.h"
#include "fetch/crypto/secret.h"

/* Enough side by side to fill any AES pipeline, few enough to stay in the first-level cache. */
enum { BLOCK_BYTES = 16, BATCH = 128 };

struct cut_prf {
    EVP_CIPHER_CTX *ecb;
    uint64_t state[BATCH][2];
};

enum err prf_new(const uint8_t key[32], struct cut_prf **ret)
{
    const struct algorithms *algorithms = crypto_algorithms();
    if (!algorithms)
        return ERR_IO;
    AUTO_PTR(cut_prf) prf = calloc(1, sizeof *prf);
    if (!prf)
        return err_set(ERR_NOMEM, "no memory for the cut's PRF");
    prf->ecb = EVP_CIPHER_CTX_new();
    if (!prf->ecb || EVP_EncryptInit_ex2(prf->ecb, algorithms->aes_ecb, key, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(prf->ecb, 0) != 1)
        return crypto_failed(ERR_NOMEM, "making the cut's PRF");
    *ret = TAKE(prf);
    return ERR_OK;
}

void prf_free(struct cut_prf *prf)
{
    if (!prf)
        return;
    EVP_CIPHER_CTX_free(prf->ecb);
    secret_wipe(prf->state, sizeof prf->state);
    free(prf);
}

static bool mac_batch(struct cut_prf *prf, const uint8_t *const *windows, size_t n)
{
    memset(prf->state, 0, n * BLOCK_BYTES);
    for (size_t at = 0; at < PRF_WINDOW_BYTES; at += BLOCK_BYTES) {
        for (size_t i = 0; i < n; i++) {
            uint64_t block[2];
            memcpy(block, windows[i] + at, sizeof block);
            prf->state[i][0] ^= block[0];
            prf->state[i][1] ^= block[1];
        }
        uint8_t *bytes = (uint8_t *)prf->state;
        int done;
        if (EVP_EncryptUpdate(prf->ecb, bytes, &done, bytes, (int)(n * BLOCK_BYTES)) != 1)
            return false;
    }
    return true;
}

enum err prf_many(struct cut_prf *prf, const uint8_t *const *windows, size_t n, uint64_t *ret)
{
    while (n > 0) {
        size_t batch = n < BATCH ? n : BATCH;
        if (!mac_batch(prf, windows, batch))
            return crypto_failed(ERR_IO, "confirming cuts");
        for (size_t i = 0; i < batch; i++)
            ret[i] = le64toh(prf->state[i][0]);
        windows += batch;
        ret += batch;
        n -= batch;
    }
    return ERR_OK;
}
