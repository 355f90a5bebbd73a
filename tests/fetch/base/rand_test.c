#include "fetch/base/rand.h"

#include <string.h>

#include "tests/support/test.h"

/* First: nothing is seeded yet. */
TEST(the_kernel_gives_different_bytes_each_time)
{
    uint8_t a[64], b[64];
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    rand_bytes(a, sizeof a);
    rand_bytes(b, sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    uint8_t guarded[34] = {0};
    rand_bytes(guarded + 1, 32);
    CHECK_INT(guarded[0], 0);
    CHECK_INT(guarded[33], 0);
    rand_bytes(NULL, 0);
}

TEST(every_value_below_comes_and_none_other)
{
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t v = rand_below(7);
        CHECK(v < 7);
        seen[v]++;
    }
    for (int i = 0; i < 7; i++)
        CHECK(seen[i] > 700 && seen[i] < 1300); /* 10 standard deviations */
    CHECK_INT(rand_below(1), 0);
    CHECK(rand_below(UINT64_MAX) < UINT64_MAX);
}

TEST(a_seed_makes_the_sequence_repeat)
{
    uint8_t a[37], b[37];
    rand_seed_for_test(42);
    rand_bytes(a, sizeof a);
    uint64_t next = rand_u64();
    rand_seed_for_test(42);
    rand_bytes(b, sizeof b);
    CHECK_MEM(a, b, sizeof a);
    CHECK_INT(rand_u64(), next);
    rand_seed_for_test(43);
    rand_bytes(b, sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
}

TEST_MAIN(the_kernel_gives_different_bytes_each_time, every_value_below_comes_and_none_other,
          a_seed_makes_the_sequence_repeat)
