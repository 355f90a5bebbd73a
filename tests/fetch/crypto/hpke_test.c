#include "fetch/crypto/hpke.h"

#include "fetch/crypto/internal.h"
#include "tests/fetch/crypto/hex_vector.h"

/*
 * RFC 9180's test vectors, mode 0, KEM 0x0020, KDF 0x0001, AEAD 0x0002, first message. (Its appendix
 * prints other AEADs; this suite is in the JSON file the RFC points to.)
 */
static const char RECIPIENT[] = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d";
static const char RECIPIENT_PUBLIC[] = "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c";
static const char EPHEMERAL[] = "179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11";
static const char SEALED[] = "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
                             "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be99319"
                             "80a41de125a925cdad859d5b7a";
static const char PLAIN[] = "Beauty is truth, truth beauty";
static const char INFO[] = "Ode on a Grecian Urn";

static void pair_of(const char *secret_hex, struct x25519_pair *ret)
{
    AUTO(buf) secret = unhex(secret_hex);
    CHECK_INT(secret.len, 32);
    CHECK_OK(x25519_from_secret(secret.data, ret));
}

TEST(it_seals_and_opens_as_rfc_9180_does)
{
    struct x25519_pair recipient, ephemeral;
    CHECK_CALL(pair_of(RECIPIENT, &recipient));
    CHECK_HEX(recipient.public, RECIPIENT_PUBLIC);
    CHECK_CALL(pair_of(EPHEMERAL, &ephemeral));
    uint8_t sealed[29 + HPKE_OVERHEAD_BYTES], plain[29];
    CHECK_OK(hpke_seal_with(&ephemeral, recipient.public, slice_str(INFO), slice_str("Count-0"),
                            slice_str(PLAIN), sealed));
    CHECK_INT(sizeof sealed, strlen(SEALED) / 2);
    CHECK_HEX(sealed, SEALED);
    CHECK_OK(hpke_open(&recipient, slice_str(INFO), slice_str("Count-0"), slice_of(sealed, sizeof sealed), plain));
    CHECK_MEM(plain, PLAIN, sizeof plain);
}

TEST(each_seal_is_fresh_and_opens)
{
    struct x25519_pair pair;
    CHECK_OK(x25519_generate(&pair));
    uint8_t one[5 + HPKE_OVERHEAD_BYTES], two[sizeof one], plain[5];
    CHECK_OK(hpke_seal(pair.public, SLICE_EMPTY, SLICE_EMPTY, slice_str("hello"), one));
    CHECK_OK(hpke_seal(pair.public, SLICE_EMPTY, SLICE_EMPTY, slice_str("hello"), two));
    CHECK(memcmp(one, two, HPKE_ENC_BYTES) != 0);
    CHECK_OK(hpke_open(&pair, SLICE_EMPTY, SLICE_EMPTY, slice_of(one, sizeof one), plain));
    CHECK_MEM(plain, "hello", 5);
    CHECK_OK(hpke_open(&pair, SLICE_EMPTY, SLICE_EMPTY, slice_of(two, sizeof two), plain));
    CHECK_MEM(plain, "hello", 5);
    uint8_t nothing[HPKE_OVERHEAD_BYTES];
    CHECK_OK(hpke_seal(pair.public, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, nothing));
    CHECK_OK(hpke_open(&pair, SLICE_EMPTY, SLICE_EMPTY, slice_of(nothing, sizeof nothing), plain));
}

TEST(no_flipped_bit_goes_unnoticed)
{
    struct x25519_pair pair, other;
    CHECK_OK(x25519_generate(&pair));
    CHECK_OK(x25519_generate(&other));
    uint8_t sealed[5 + HPKE_OVERHEAD_BYTES], out[5], text[] = {'i', 'n', 'f', 'o', 'a', 'a', 'd'};
    struct slice info = slice_of(text, 4), aad = slice_of(text + 4, 3);
    CHECK_OK(hpke_seal(pair.public, info, aad, slice_str("hello"), sealed));
    const struct {
        uint8_t *bytes;
        size_t len;
    } parts[] = {{sealed, sizeof sealed}, {text, sizeof text}};
    for (size_t part = 0; part < 2; part++) {
        for (size_t bit = 0; bit < parts[part].len * 8; bit++) {
            /* RFC 7748 ignores the top bit of a public key; but the bytes of enc are in the KEM context. */
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            memset(out, 0xee, sizeof out);
            CHECK_ERR(ERR_AUTH, hpke_open(&pair, info, aad, slice_of(sealed, sizeof sealed), out));
            CHECK(all_zero(out, sizeof out));
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    CHECK_ERR(ERR_AUTH, hpke_open(&other, info, aad, slice_of(sealed, sizeof sealed), out));
    for (size_t len = 0; len < sizeof sealed; len++)
        CHECK_ERR(ERR_AUTH, hpke_open(&pair, info, aad, slice_of(sealed, len), out));
    CHECK_OK(hpke_open(&pair, info, aad, slice_of(sealed, sizeof sealed), out));
}

/* Points of small order: whoever sends one knows the shared secret of everybody (RFC 7748 section 6.1). */
TEST(low_order_points_are_refused_both_ways)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    };
    struct x25519_pair pair;
    CHECK_OK(x25519_generate(&pair));
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        AUTO(buf) point = unhex(points[i]);
        CHECK_INT(point.len, 32);
        uint8_t sealed[5 + HPKE_OVERHEAD_BYTES] = {0}, out[5] = {1, 1, 1, 1, 1};
        CHECK_ERR(ERR_AUTH, hpke_seal(point.data, SLICE_EMPTY, SLICE_EMPTY, slice_str("hello"), sealed));
        CHECK(all_zero(sealed, sizeof sealed));
        memcpy(sealed, point.data, 32);
        CHECK_ERR(ERR_AUTH, hpke_open(&pair, SLICE_EMPTY, SLICE_EMPTY, slice_of(sealed, sizeof sealed), out));
        CHECK(all_zero(out, sizeof out));
    }
}

TEST_MAIN(it_seals_and_opens_as_rfc_9180_does, each_seal_is_fresh_and_opens, no_flipped_bit_goes_unnoticed,
          low_order_points_are_refused_both_ways)
