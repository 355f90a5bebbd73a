#include "fs/inode.h"

#include "tests/support/test.h"

static void hash_with(uint32_t first, uint8_t rest, uint8_t ret_hash[32])
{
    memset(ret_hash, rest, 32);
    for (int i = 0; i < 4; i++)
        ret_hash[i] = (uint8_t)(first >> 8 * i);
}

TEST(a_number_goes_there_and_back)
{
    uint64_t ino = inode_of(0x0abcdef, 0x123456789);
    CHECK_INT(ino, (UINT64_C(0x0abcdef) << 36) + UINT64_C(0x123456789));
    CHECK_INT(inode_snapshot(ino), 0x0abcdef);
    CHECK_INT(inode_position(ino), 0x123456789);
    ino = inode_of(INODE_NUMBER_MAX, INODE_POSITION_MAX);
    CHECK_INT(ino, UINT64_MAX);
    CHECK_INT(inode_snapshot(ino), INODE_NUMBER_MAX);
    CHECK_INT(inode_position(ino), INODE_POSITION_MAX);
}

TEST(made_up_nodes_have_a_space_of_their_own)
{
    CHECK_INT(inode_made(MADE_FIXED, 1), INODE_ROOT);
    uint64_t ino = inode_made(MADE_METRICS, INODE_NUMBER_MAX);
    CHECK_INT(inode_snapshot(ino), 0);
    CHECK_INT(inode_made_kind(ino), MADE_METRICS);
    CHECK_INT(inode_made_argument(ino), INODE_NUMBER_MAX);
    CHECK(inode_of(1, 0) > ino);
}

TEST(the_number_is_the_first_bytes_of_the_hash)
{
    uint8_t hash[32];
    hash_with(0xf1234567, 0, hash);
    CHECK_INT(number_wanted(hash), 0x1234567);
    hash_with(0xf0000000, 9, hash);
    CHECK_INT(number_wanted(hash), 1); /* 0 is for made-up nodes */
}

TEST(who_comes_second_gets_the_next_free_number)
{
    struct numbers numbers = NUMBERS_EMPTY;
    struct number *number;
    uint8_t first[32], second[32], third[32], neighbour[32];
    hash_with(77, 1, first);
    hash_with(77, 2, second);
    hash_with(77, 3, third);
    hash_with(78, 4, neighbour);
    CHECK_OK(numbers_take(&numbers, first, &number));
    CHECK_INT(number->number, 77);
    CHECK_OK(numbers_take(&numbers, neighbour, &number));
    CHECK_INT(number->number, 78);
    CHECK_OK(numbers_take(&numbers, second, &number));
    CHECK_INT(number->number, 79);
    CHECK_OK(numbers_take(&numbers, third, &number));
    CHECK_INT(number->number, 80);
    /* And keeps it. */
    CHECK_OK(numbers_take(&numbers, second, &number));
    CHECK_INT(number->number, 79);
    CHECK_INT(numbers_find_hash(&numbers, third)->number, 80);
    CHECK_MEM(numbers_find(&numbers, 80)->hash, third, 32);
    CHECK(!numbers_find(&numbers, 81));
    CHECK(!numbers_find(&numbers, 0));
    CHECK_INT(numbers.used, 4);
    numbers_clear(&numbers);
}

TEST(behind_the_last_number_comes_the_first)
{
    struct numbers numbers = NUMBERS_EMPTY;
    struct number *number;
    uint8_t hash[32];
    hash_with(INODE_NUMBER_MAX, 1, hash);
    CHECK_OK(numbers_take(&numbers, hash, &number));
    CHECK_INT(number->number, INODE_NUMBER_MAX);
    hash_with(INODE_NUMBER_MAX, 2, hash);
    CHECK_OK(numbers_take(&numbers, hash, &number));
    CHECK_INT(number->number, 1);
    numbers_clear(&numbers);
}

TEST(many_numbers_stay_apart)
{
    enum { MANY = 5000 };
    struct numbers numbers = NUMBERS_EMPTY;
    uint32_t given[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        uint8_t hash[32];
        struct number *number;
        hash_with(i / 3 * 7, (uint8_t)(i % 3), hash); /* three want each */
        CHECK_OK(numbers_take(&numbers, hash, &number));
        CHECK(!number->owner);
        number->owner = &given[i];
        given[i] = number->number;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        CHECK(numbers_find(&numbers, given[i]));
        CHECK(numbers_find(&numbers, given[i])->owner == &given[i]);
    }
    CHECK_INT(numbers.used, MANY);
    numbers_clear(&numbers);
}

TEST_MAIN(a_number_goes_there_and_back, made_up_nodes_have_a_space_of_their_own,
          the_number_is_the_first_bytes_of_the_hash, who_comes_second_gets_the_next_free_number,
          behind_the_last_number_comes_the_first, many_numbers_stay_apart)
