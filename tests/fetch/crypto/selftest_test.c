#include "fetch/crypto/selftest.h"

#include "fetch/crypto/lanes.h"
#include "tests/support/test.h"

TEST(this_machine_gives_right_answers)
{
    CHECK_OK(crypto_selftest());
}

TEST(every_road_of_the_lanes_gives_right_answers)
{
    static const char *const roads[] = {"portable", "sha-ni", "avx512", "avx2"};
    for (size_t i = 0; i < sizeof roads / sizeof *roads; i++)
        if (lanes_force(roads[i]))
            CHECK_OK(crypto_selftest());
    CHECK(lanes_force(NULL));
}

TEST_MAIN(this_machine_gives_right_answers, every_road_of_the_lanes_gives_right_answers)
