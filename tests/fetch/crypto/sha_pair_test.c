#include "fetch/crypto/sha_pair.h"

#include "tests/support/test.h"

enum { BYTES = 5000 };

static void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

TEST(a_pair_gives_what_two_single_ones_give)
{
    uint8_t a[BYTES], b[BYTES], got[32], expected[32];
    fill(a, sizeof a, 1);
    fill(b, sizeof b, 2);
    static const size_t lengths[] = {0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 1000, 4096, BYTES};
    enum { N = sizeof lengths / sizeof *lengths };
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < N; k++) {
            struct sha256 sha_a, sha_b;
            sha256_init(&sha_a);
            sha256_init(&sha_b);
            sha256_update_pair(&sha_a, slice_of(a, lengths[i]), &sha_b, slice_of(b, lengths[k]));
            sha256_final(&sha_a, got);
            sha256_of(slice_of(a, lengths[i]), expected);
            CHECK_MEM(got, expected, 32);
            sha256_final(&sha_b, got);
            sha256_of(slice_of(b, lengths[k]), expected);
            CHECK_MEM(got, expected, 32);
        }
    }
}

TEST(computations_may_be_paired_and_parted_at_any_byte)
{
    uint8_t a[BYTES], b[BYTES], got[32], expected[32];
    fill(a, sizeof a, 3);
    fill(b, sizeof b, 4);
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct sha256 sha_a, sha_b;
        uint8_t steps[200];
        fill(steps, sizeof steps, seed);
        sha256_init(&sha_a);
        sha256_init(&sha_b);
        size_t at_a = 0, at_b = 0;
        for (size_t s = 0; s + 2 < sizeof steps; s += 3) {
            size_t take_a = steps[s] % 4 ? steps[s] : 0,
                   take_b = steps[s + 1] % 4 ? steps[s + 1] : 0;
            take_a = take_a < sizeof a - at_a ? take_a : sizeof a - at_a;
            take_b = take_b < sizeof b - at_b ? take_b : sizeof b - at_b;
            if (steps[s + 2] % 3 == 0)
                sha256_update(&sha_a, slice_of(a + at_a, take_a));
            else
                sha256_update_pair(&sha_a, slice_of(a + at_a, take_a), &sha_b,
                                   slice_of(b + at_b, take_b));
            at_a += take_a;
            at_b += steps[s + 2] % 3 == 0 ? 0 : take_b;
        }
        sha256_final(&sha_a, got);
        sha256_of(slice_of(a, at_a), expected);
        CHECK_MEM(got, expected, 32);
        sha256_final(&sha_b, got);
        sha256_of(slice_of(b, at_b), expected);
        CHECK_MEM(got, expected, 32);
    }
}

TEST(lengths_over_four_gigabits_are_counted)
{
    /* 600 MiB in one message: its length in bits does not fit 32. */
    enum { PART = 1 << 20, PARTS = 600 };
    AUTO(buf) part = BUF_EMPTY;
    CHECK_OK(buf_resize(&part, PART));
    fill(part.data, PART, 5);
    struct sha256 a, b, single;
    uint8_t got[32], expected[32];
    sha256_init(&a);
    sha256_init(&b);
    sha256_init(&single);
    for (int i = 0; i < PARTS; i++) {
        sha256_update_pair(&a, buf_slice(&part), &b, buf_slice(&part));
        sha256_update(&single, buf_slice(&part));
    }
    sha256_final(&single, expected);
    sha256_final(&a, got);
    CHECK_MEM(got, expected, 32);
    sha256_final(&b, got);
    CHECK_MEM(got, expected, 32);
}

TEST_MAIN(a_pair_gives_what_two_single_ones_give, computations_may_be_paired_and_parted_at_any_byte,
          lengths_over_four_gigabits_are_counted)
