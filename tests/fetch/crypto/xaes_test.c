#include "fetch/crypto/xaes.h"

#include <openssl/evp.h>

#include "tests/fetch/crypto/hex_vector.h"

static const uint8_t NONCE[] = "ABCDEFGHIJKLMNOPQRSTUVWX";

/* The two vectors of C2SP's specification, for the two ways CMAC's subkey can come out. */
TEST(xaes_gives_the_values_of_c2sp_both_ways)
{
    static const struct {
        uint8_t key_byte;
        const char *aad, *sealed;
    } vectors[] = {
        {1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
        {3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
    };
    for (size_t i = 0; i < 2; i++) {
        uint8_t key[32], got[28], opened[12];
        memset(key, vectors[i].key_byte, sizeof key);
        CHECK_OK(xaes_seal(key, NONCE, slice_str(vectors[i].aad), slice_str("XAES-256-GCM"), got));
        CHECK_HEX(got, vectors[i].sealed);
        CHECK_OK(xaes_open(key, NONCE, slice_str(vectors[i].aad), slice_of(got, sizeof got), opened));
        CHECK_MEM(opened, "XAES-256-GCM", 12);
    }
}

/* C2SP's accumulated vector: inputs drawn from SHAKE128 of nothing, SHAKE128 over all that comes out. */
TEST(ten_thousand_random_messages_give_the_value_of_c2sp)
{
    enum { MESSAGES = 10000, STREAM_BYTES = MESSAGES * (32 + 24 + 2 + 2 * 255) };
    EVP_MD_CTX *source = EVP_MD_CTX_new();
    EVP_MD_CTX *sink = EVP_MD_CTX_new();
    AUTO(buf) stream = BUF_EMPTY;
    bool good = source && sink && buf_resize(&stream, STREAM_BYTES) == ERR_OK &&
                EVP_DigestInit_ex(source, EVP_shake128(), NULL) == 1 &&
                EVP_DigestFinalXOF(source, stream.data, stream.len) == 1 &&
                EVP_DigestInit_ex(sink, EVP_shake128(), NULL) == 1;
    const uint8_t *at = stream.data;
    for (int i = 0; i < MESSAGES && good; i++) {
        const uint8_t *key = at;
        const uint8_t *nonce = key + 32;
        struct slice plain = slice_of(nonce + 25, nonce[24]);
        const uint8_t *aad_len = plain.data + plain.len;
        struct slice aad = slice_of(aad_len + 1, *aad_len);
        at = aad.data + aad.len;
        uint8_t sealed[255 + AEAD_TAG_BYTES], opened[255];
        struct slice whole = slice_of(sealed, plain.len + AEAD_TAG_BYTES);
        good = xaes_seal(key, nonce, aad, plain, sealed) == ERR_OK &&
               xaes_open(key, nonce, aad, whole, opened) == ERR_OK &&
               memcmp(opened, plain.data, plain.len) == 0 &&
               EVP_DigestUpdate(sink, whole.data, whole.len) == 1;
    }
    uint8_t got[32];
    good = good && EVP_DigestFinalXOF(sink, got, sizeof got) == 1;
    EVP_MD_CTX_free(source);
    EVP_MD_CTX_free(sink);
    CHECK(good);
    CHECK_HEX(got, "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

TEST(no_flipped_bit_goes_unnoticed)
{
    uint8_t key[32] = {7}, nonce[24], aad[3] = {1, 2, 3}, sealed[30], out[30];
    memcpy(nonce, NONCE, sizeof nonce);
    CHECK_OK(xaes_seal(key, nonce, slice_of(aad, 3), slice_str("a small object"), sealed));
    const struct {
        uint8_t *bytes;
        size_t len;
    } parts[] = {{sealed, sizeof sealed}, {aad, 3}, {key, sizeof key}, {nonce, sizeof nonce}};
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        for (size_t bit = 0; bit < parts[part].len * 8; bit++) {
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            memset(out, 0xee, sizeof out);
            CHECK_ERR(ERR_AUTH, xaes_open(key, nonce, slice_of(aad, 3), slice_of(sealed, sizeof sealed), out));
            CHECK(all_zero(out, 14));
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    for (size_t len = 0; len < sizeof sealed; len++)
        CHECK_ERR(ERR_AUTH, xaes_open(key, nonce, slice_of(aad, 3), slice_of(sealed, len), out));
}

TEST_MAIN(xaes_gives_the_values_of_c2sp_both_ways, ten_thousand_random_messages_give_the_value_of_c2sp,
          no_flipped_bit_goes_unnoticed)
