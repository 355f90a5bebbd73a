#include "fetch/crypto/aead.h"

#include <pthread.h>

#include "tests/fetch/crypto/hex_vector.h"

/* Test cases 13 to 16 of McGrew and Viega's GCM specification, which NIST took over. */
static const struct {
    const char *key, *nonce, *aad, *plain, *sealed;
} vectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};
enum { VECTORS = sizeof vectors / sizeof *vectors };

TEST(gcm_gives_the_published_values_both_ways)
{
    for (size_t i = 0; i < VECTORS; i++) {
        AUTO(buf) key = unhex(vectors[i].key);
        AUTO(buf) nonce = unhex(vectors[i].nonce);
        AUTO(buf) aad = unhex(vectors[i].aad);
        AUTO(buf) plain = unhex(vectors[i].plain);
        uint8_t got[128];
        CHECK_OK(aead_seal(key.data, nonce.data, buf_slice(&aad), buf_slice(&plain), got));
        CHECK_HEX(got, vectors[i].sealed);
        uint8_t opened[128];
        CHECK_OK(aead_open(key.data, nonce.data, buf_slice(&aad), slice_of(got, plain.len + AEAD_TAG_BYTES), opened));
        CHECK_MEM(opened, plain.data, plain.len);
    }
}

static const uint8_t KEY[32] = {1, 2, 3};
static const uint8_t NONCE[12] = {4, 5, 6};

/* Opens what must not open, and looks that nothing comes out. */
static void check_refused(const uint8_t key[32], const uint8_t nonce[12], struct slice aad, struct slice sealed)
{
    uint8_t out[128];
    memset(out, 0xee, sizeof out);
    CHECK_ERR(ERR_AUTH, aead_open(key, nonce, aad, sealed, out));
    CHECK(all_zero(out, sealed.len - AEAD_TAG_BYTES));
    CHECK_INT(out[sealed.len - AEAD_TAG_BYTES], 0xee);
}

TEST(no_flipped_bit_goes_unnoticed)
{
    struct slice plain = slice_str("ledger of 1492, in two columns");
    uint8_t aad[20] = "chunk 7 of pack 9", sealed[64], key[32], nonce[12];
    size_t len = plain.len + AEAD_TAG_BYTES;
    CHECK_OK(aead_seal(KEY, NONCE, slice_of(aad, sizeof aad), plain, sealed));
    memcpy(key, KEY, sizeof key);
    memcpy(nonce, NONCE, sizeof nonce);
    const struct {
        uint8_t *bytes;
        size_t len;
    } parts[] = {{sealed, len}, {aad, sizeof aad}, {key, sizeof key}, {nonce, sizeof nonce}};
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        for (size_t bit = 0; bit < parts[part].len * 8; bit++) {
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_CALL(check_refused(key, nonce, slice_of(aad, sizeof aad), slice_of(sealed, len)));
            parts[part].bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    uint8_t out[64];
    CHECK_OK(aead_open(key, nonce, slice_of(aad, sizeof aad), slice_of(sealed, len), out));
    CHECK_MEM(out, plain.data, plain.len);
}

TEST(cut_or_lengthened_messages_are_refused)
{
    struct slice plain = slice_str("ledger of 1492");
    uint8_t sealed[64] = {0}, out[64];
    size_t len = plain.len + AEAD_TAG_BYTES;
    CHECK_OK(aead_seal(KEY, NONCE, SLICE_EMPTY, plain, sealed));
    for (size_t cut = 0; cut <= len + 1; cut++)
        if (cut != len)
            CHECK_ERR(ERR_AUTH, aead_open(KEY, NONCE, SLICE_EMPTY, slice_of(sealed, cut), out));
    /* What moved between associated data and text is noticed too. */
    CHECK_ERR(ERR_AUTH, aead_open(KEY, NONCE, slice_of(sealed, 1), slice_of(sealed + 1, len - 1), out));
}

TEST(it_works_in_place)
{
    uint8_t bytes[100 + AEAD_TAG_BYTES], expected[sizeof bytes];
    for (size_t i = 0; i < 100; i++)
        bytes[i] = (uint8_t)i;
    CHECK_OK(aead_seal(KEY, NONCE, SLICE_EMPTY, slice_of(bytes, 100), expected));
    CHECK_OK(aead_seal(KEY, NONCE, SLICE_EMPTY, slice_of(bytes, 100), bytes));
    CHECK_MEM(bytes, expected, sizeof bytes);
    CHECK_OK(aead_open(KEY, NONCE, SLICE_EMPTY, slice_of(bytes, sizeof bytes), bytes));
    for (size_t i = 0; i < 100; i++)
        CHECK_INT(bytes[i], i);
}

TEST(a_refused_message_does_not_disturb_the_next)
{
    uint8_t sealed[64], again[64], out[64];
    CHECK_OK(aead_seal(KEY, NONCE, SLICE_EMPTY, slice_str("first"), sealed));
    sealed[0] ^= 1;
    CHECK_ERR(ERR_AUTH, aead_open(KEY, NONCE, SLICE_EMPTY, slice_of(sealed, 21), out));
    sealed[0] ^= 1;
    CHECK_OK(aead_open(KEY, NONCE, SLICE_EMPTY, slice_of(sealed, 21), out));
    CHECK_MEM(out, "first", 5);
    CHECK_OK(aead_seal(KEY, NONCE, SLICE_EMPTY, slice_str("first"), again));
    CHECK_MEM(again, sealed, 21);
}

static int failed; /* its address says so */

static void *seal_in_a_thread(void *arg)
{
    (void)arg;
    uint8_t sealed[32], out[16];
    for (int i = 0; i < 200; i++) {
        uint8_t key[32] = {(uint8_t)i};
        if (aead_seal(key, NONCE, SLICE_EMPTY, slice_str("0123456789abcdef"), sealed) != ERR_OK ||
            aead_open(key, NONCE, SLICE_EMPTY, slice_of(sealed, sizeof sealed), out) != ERR_OK ||
            memcmp(out, "0123456789abcdef", 16) != 0)
            return &failed;
    }
    return NULL;
}

TEST(threads_do_not_meet)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, seal_in_a_thread, NULL), 0);
    bool good = true;
    for (size_t i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        good = good && !result;
    }
    CHECK(good);
}

TEST_MAIN(gcm_gives_the_published_values_both_ways, no_flipped_bit_goes_unnoticed,
          cut_or_lengthened_messages_are_refused, it_works_in_place,
          a_refused_message_does_not_disturb_the_next, threads_do_not_meet)
