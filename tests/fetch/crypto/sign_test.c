#include "fetch/crypto/sign.h"

#include "tests/fetch/crypto/hex_vector.h"

/* RFC 8032 section 7.1, tests 1 to 3. */
static const struct {
    const char *seed, *public, *message, *signature;
} vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(it_signs_as_rfc_8032_does)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        AUTO(buf) seed = unhex(vectors[i].seed);
        AUTO(buf) message = unhex(vectors[i].message);
        struct sign_pair pair;
        uint8_t signature[64];
        CHECK_OK(sign_from_seed(seed.data, &pair));
        CHECK_HEX(pair.public, vectors[i].public);
        CHECK_OK(sign_make(&pair, buf_slice(&message), signature));
        CHECK_HEX(signature, vectors[i].signature);
        CHECK_OK(sign_check(pair.public, buf_slice(&message), signature));
    }
}

TEST(no_flipped_bit_goes_unnoticed)
{
    struct sign_pair pair;
    CHECK_OK(sign_generate(&pair));
    uint8_t message[5] = {1, 2, 3, 4, 5}, signature[64];
    CHECK_OK(sign_make(&pair, slice_of(message, 5), signature));
    const struct {
        uint8_t *bytes;
        size_t len;
    } parts[] = {{message, 5}, {signature, 64}, {pair.public, 32}};
    for (size_t part = 0; part < 3; part++) {
        for (size_t bit = 0; bit < parts[part].len * 8; bit++) {
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_ERR(ERR_AUTH, sign_check(pair.public, slice_of(message, 5), signature));
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    CHECK_ERR(ERR_AUTH, sign_check(pair.public, slice_of(message, 4), signature));
    CHECK_OK(sign_check(pair.public, slice_of(message, 5), signature));
}

TEST(generated_pairs_differ)
{
    struct sign_pair a, b;
    CHECK_OK(sign_generate(&a));
    CHECK_OK(sign_generate(&b));
    CHECK(memcmp(a.seed, b.seed, 32) != 0);
    CHECK(memcmp(a.public, b.public, 32) != 0);
}

/* With a foreign public half in it, signing would give two signatures that share a nonce. */
TEST(a_wrong_public_half_in_the_pair_changes_nothing)
{
    struct sign_pair pair;
    uint8_t right[64], also[64];
    CHECK_OK(sign_generate(&pair));
    CHECK_OK(sign_make(&pair, slice_str("m"), right));
    pair.public[0] ^= 1;
    CHECK_OK(sign_make(&pair, slice_str("m"), also));
    CHECK_MEM(also, right, 64);
}

TEST_MAIN(it_signs_as_rfc_8032_does, no_flipped_bit_goes_unnoticed, generated_pairs_differ,
          a_wrong_public_half_in_the_pair_changes_nothing)
