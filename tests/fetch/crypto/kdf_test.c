#include "fetch/crypto/kdf.h"

#include "fetch/crypto/internal.h"
#include "tests/fetch/crypto/hex_vector.h"

static void check_hkdf(const char *ikm_hex, const char *salt_hex, const char *info_hex, const char *expected)
{
    AUTO(buf) ikm = unhex(ikm_hex);
    AUTO(buf) salt = unhex(salt_hex);
    AUTO(buf) info = unhex(info_hex);
    uint8_t got[128];
    CHECK_OK(hkdf_sha256(buf_slice(&ikm), buf_slice(&salt), buf_slice(&info), got, strlen(expected) / 2));
    CHECK_HEX(got, expected);
}

TEST(hkdf_gives_the_values_of_rfc_5869)
{
    CHECK_CALL(check_hkdf("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
                          "f0f1f2f3f4f5f6f7f8f9",
                          "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                          "34007208d5b887185865"));
    CHECK_CALL(check_hkdf("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                          "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
                          "404142434445464748494a4b4c4d4e4f",
                          "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
                          "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
                          "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
                          "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
                          "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
                          "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
                          "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                          "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                          "cc30c58179ec3e87c14c01d5c1f3434f1d87"));
    CHECK_CALL(check_hkdf("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
                          "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                          "9d201395faa4b61a96c8"));
}

TEST(hkdf_gives_no_more_than_its_bound)
{
    static uint8_t got[255 * 32 + 1];
    CHECK_OK(hkdf_sha256(slice_str("k"), SLICE_EMPTY, SLICE_EMPTY, got, 255 * 32));
    CHECK_ERR(ERR_INVALID, hkdf_sha256(slice_str("k"), SLICE_EMPTY, SLICE_EMPTY, got, 255 * 32 + 1));
}

TEST(scrypt_gives_the_values_of_rfc_7914)
{
    uint8_t got[64];
    CHECK_OK(scrypt_unbounded(SLICE_EMPTY, SLICE_EMPTY, 16, 1, 1, got, sizeof got));
    CHECK_HEX(got, "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                   "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
    CHECK_OK(scrypt_unbounded(slice_str("password"), slice_str("NaCl"), 1024, 8, 16, got, sizeof got));
    CHECK_HEX(got, "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                   "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
    CHECK_OK(scrypt_unbounded(slice_str("pleaseletmein"), slice_str("SodiumChloride"), 16384, 8, 1, got,
                              sizeof got));
    CHECK_HEX(got, "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                   "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
}

/* The library refuses even 2^15 unless it is told how much memory it may take. */
TEST(scrypt_works_at_the_least_cost_we_accept)
{
    uint8_t bounded[32], plain[32];
    CHECK_OK(scrypt_derive(slice_str("swordfish"), slice_str("salt"), 1 << 15, 8, 1, bounded));
    CHECK_OK(scrypt_unbounded(slice_str("swordfish"), slice_str("salt"), 1 << 15, 8, 1, plain, 32));
    CHECK_MEM(bounded, plain, 32);
}

TEST(scrypt_out_of_bounds_is_refused_before_any_memory_is_taken)
{
    static const struct {
        uint64_t n;
        uint32_t r, p;
    } bad[] = {
        {0, 8, 1},       {1 << 14, 8, 1},       {(1 << 15) + 1, 8, 1}, {1 << 22, 8, 1},
        {1 << 15, 0, 1}, {1 << 15, 17, 1},      {1 << 15, 8, 0},       {1 << 15, 8, 5},
        {1 << 21, 9, 1}, {UINT64_MAX, 8, 1},    {1 << 21, 16, 1},      {UINT64_C(1) << 63, 16, 1},
        {1 << 20, 16 + (1u << 31), 1}, {1 << 22, 1, 1},
    };
    uint8_t got[32];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ERR_CORRUPT, scrypt_derive(slice_str("p"), slice_str("s"), bad[i].n, bad[i].r, bad[i].p, got));
}

TEST_MAIN(hkdf_gives_the_values_of_rfc_5869, hkdf_gives_no_more_than_its_bound,
          scrypt_gives_the_values_of_rfc_7914, scrypt_works_at_the_least_cost_we_accept,
          scrypt_out_of_bounds_is_refused_before_any_memory_is_taken)
