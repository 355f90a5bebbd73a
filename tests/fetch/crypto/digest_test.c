#include "fetch/crypto/digest.h"

#include "tests/fetch/crypto/hex_vector.h"

/* FIPS 180-4, as NIST's example values give them. */
TEST(sha256_gives_the_values_of_fips_180)
{
    uint8_t got[32];
    sha256_of(SLICE_EMPTY, got);
    CHECK_HEX(got, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_of(slice_str("abc"), got);
    CHECK_HEX(got, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_of(slice_str("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), got);
    CHECK_HEX(got, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(sha256_in_pieces_of_any_length_is_the_same)
{
    struct sha256 sha;
    sha256_init(&sha);
    uint8_t piece[997];
    memset(piece, 'a', sizeof piece);
    size_t left = 1000000, want = 1;
    while (left > 0) {
        size_t len = want < left ? want : left;
        sha256_update(&sha, slice_of(piece, len));
        left -= len;
        want = want % sizeof piece + 1;
    }
    uint8_t got[32];
    sha256_final(&sha, got);
    CHECK_HEX(got, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void check_hmac(uint8_t key_byte, size_t key_len, struct slice data, const char *expected)
{
    uint8_t key[131], got[32];
    memset(key, key_byte, key_len);
    struct hmac_key k;
    hmac_key_init_slice(&k, slice_of(key, key_len));
    hmac_with(&k, data, got);
    CHECK_HEX(got, expected);
    hmac_with(&k, data, got); /* a key outlives its messages */
    CHECK_HEX(got, expected);
}

TEST(hmac_gives_the_values_of_rfc_4231)
{
    uint8_t dd[50], got[32];
    memset(dd, 0xdd, sizeof dd);
    CHECK_CALL(check_hmac(0x0b, 20, slice_str("Hi There"),
                          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
    CHECK_CALL(check_hmac(0xaa, 20, slice_of(dd, sizeof dd),
                          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"));
    CHECK_CALL(check_hmac(0xaa, 131, slice_str("Test Using Larger Than Block-Size Key - Hash Key First"),
                          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
    CHECK_CALL(check_hmac(0xaa, 131,
                          slice_str("This is a test using a larger than block-size key and a larger than "
                                    "block-size data. The key needs to be hashed before being used by the "
                                    "HMAC algorithm."),
                          "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"));
    struct hmac_key k;
    hmac_key_init_slice(&k, slice_str("Jefe"));
    hmac_with(&k, slice_str("what do ya want for nothing?"), got);
    CHECK_HEX(got, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(hmac_in_one_call_kept_and_in_pieces_agree)
{
    uint8_t key[32], data[300], one[32], kept[32], pieces[32];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    memcpy(key, data + 100, sizeof key);
    struct hmac_key k;
    hmac_key_init(&k, key);
    for (size_t len = 0; len <= sizeof data; len++) {
        hmac_sha256(key, slice_of(data, len), one);
        hmac_with(&k, slice_of(data, len), kept);
        struct sha256 inner;
        hmac_start(&k, &inner);
        sha256_update(&inner, slice_of(data, len / 3));
        sha256_update(&inner, slice_of(data + len / 3, len - len / 3));
        hmac_finish(&k, &inner, pieces);
        CHECK_MEM(kept, one, 32);
        CHECK_MEM(pieces, one, 32);
    }
}

TEST_MAIN(sha256_gives_the_values_of_fips_180, sha256_in_pieces_of_any_length_is_the_same,
          hmac_gives_the_values_of_rfc_4231, hmac_in_one_call_kept_and_in_pieces_agree)
