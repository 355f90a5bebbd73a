#include "fetch/base/bytes.h"

#include <stdlib.h>
#include <string.h>

#include "fetch/base/rand.h"
#include "tests/support/test.h"

/* A copy of exactly len bytes on the heap, so that a sanitizer sees a read past the end. */
static uint8_t *exact_copy(const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (copy && len)
        memcpy(copy, bytes, len);
    return copy;
}

static void put_one_of_each(struct buf *b)
{
    buf_put_u8(b, 0xab);
    buf_put_u16(b, 0xbeef);
    buf_put_u32(b, 0xdeadbeef);
    buf_put_u64(b, UINT64_C(0x0123456789abcdef));
    buf_put_i64(b, -2);
    buf_put_varint(b, UINT64_MAX);
    buf_put_zigzag(b, INT64_MIN);
    buf_put_bytes(b, slice_str("ledger"));
    buf_put(b, "tail", 4);
}

/* Reads it back; returns whether the cursor holds to the end. */
static bool read_one_of_each(struct cursor *c)
{
    char tail[4];
    bool same = cursor_u8(c) == 0xab;
    same &= cursor_u16(c) == 0xbeef;
    same &= cursor_u32(c) == 0xdeadbeef;
    same &= cursor_u64(c) == UINT64_C(0x0123456789abcdef);
    same &= cursor_i64(c) == -2;
    same &= cursor_varint(c) == UINT64_MAX;
    same &= cursor_zigzag(c) == INT64_MIN;
    same &= slice_equal(cursor_bytes(c, 6), slice_str("ledger"));
    cursor_copy(c, tail, 4);
    return same & (memcmp(tail, "tail", 4) == 0);
}

TEST(what_was_put_comes_back)
{
    AUTO(buf) b = BUF_EMPTY;
    put_one_of_each(&b);
    CHECK_OK(buf_check(&b));
    struct cursor c = cursor_of(buf_slice(&b));
    CHECK_INT(cursor_left(&c), b.len);
    CHECK(read_one_of_each(&c));
    CHECK_OK(cursor_finish(&c, "sample"));
    CHECK_INT(cursor_left(&c), 0);
}

TEST(numbers_are_little_endian)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put_u16(&b, 0x0102);
    buf_put_u32(&b, 0x03040506);
    buf_put_i64(&b, -1);
    CHECK_MEM(b.data, "\x02\x01\x06\x05\x04\x03\xff\xff\xff\xff\xff\xff\xff\xff", 14);
}

TEST(every_truncation_is_noticed)
{
    AUTO(buf) b = BUF_EMPTY;
    put_one_of_each(&b);
    CHECK_OK(buf_check(&b));
    for (size_t len = 0; len < b.len; len++) {
        AUTO_MEM uint8_t *cut = exact_copy(b.data, len);
        struct cursor c = cursor_of(slice_of(cut, len));
        read_one_of_each(&c);
        CHECK_ERR(ERR_CORRUPT, cursor_check(&c, "sample"));
        CHECK_ERR(ERR_CORRUPT, cursor_finish(&c, "sample"));
    }
}

TEST(a_byte_too_many_is_noticed_by_finish_only)
{
    struct cursor c = cursor_of(slice_of("\x01\x02", 2));
    CHECK_INT(cursor_u8(&c), 1);
    CHECK_OK(cursor_check(&c, "sample"));
    CHECK_ERR(ERR_CORRUPT, cursor_finish(&c, "sample"));
    CHECK_STR(err_text(), "sample has bytes too many");
}

TEST(after_bad_everything_reads_as_zero)
{
    uint8_t four[4] = {1, 2, 3, 4};
    char out[3] = "xyz";
    struct cursor c = cursor_of(slice_of(four, 4));
    CHECK_INT(cursor_u64(&c), 0);
    CHECK(c.bad);
    CHECK_INT(cursor_left(&c), 0);
    CHECK_INT(cursor_u8(&c), 0);
    CHECK_INT(cursor_u16(&c), 0);
    CHECK_INT(cursor_u32(&c), 0);
    CHECK_INT(cursor_i64(&c), 0);
    CHECK_INT(cursor_varint(&c), 0);
    CHECK_INT(cursor_zigzag(&c), 0);
    CHECK_INT(cursor_take(&c, 0).len, 0);
    CHECK_INT(cursor_bytes(&c, 10).len, 0);
    cursor_copy(&c, out, 3);
    CHECK_MEM(out, "\0\0\0", 3);
    CHECK_ERR(ERR_CORRUPT, cursor_check(&c, "sample"));
    CHECK_STR(err_text(), "sample is cut short or malformed");
}

TEST(varints_have_these_bytes)
{
    static const struct {
        uint64_t number;
        const char *bytes;
        size_t len;
    } cases[] = {
        {0, "\x00", 1},
        {1, "\x01", 1},
        {127, "\x7f", 1},
        {128, "\x80\x01", 2},
        {300, "\xac\x02", 2},
        {16383, "\xff\x7f", 2},
        {16384, "\x80\x80\x01", 3},
        {UINT32_MAX, "\xff\xff\xff\xff\x0f", 5},
        {UINT64_C(1) << 63, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10},
        {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO(buf) b = BUF_EMPTY;
        buf_put_varint(&b, cases[i].number);
        CHECK_INT(b.len, cases[i].len);
        CHECK_MEM(b.data, cases[i].bytes, b.len);
        struct cursor c = cursor_of(buf_slice(&b));
        CHECK_INT(cursor_varint(&c), cases[i].number);
        CHECK_OK(cursor_finish(&c, "varint"));
        for (size_t len = 0; len < b.len; len++) {
            AUTO_MEM uint8_t *cut = exact_copy(b.data, len);
            struct cursor short_one = cursor_of(slice_of(cut, len));
            CHECK_INT(cursor_varint(&short_one), 0);
            CHECK(short_one.bad);
        }
    }
}

TEST(a_varint_has_one_spelling)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x80\x00", 2},                                                 /* 0 in two bytes */
        {"\xff\x00", 2},                                                 /* 127 in two */
        {"\x80\x80\x00", 3},                                             /* 0 in three */
        {"\xac\x82\x00", 3},                                             /* 300 in three */
        {"\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10},                /* 1 in ten */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},                /* 2^64 and more */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 10},                /* bits beyond 64 */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x81\x00", 11},            /* eleven bytes */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14}, /* without end */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO_MEM uint8_t *copy = exact_copy(cases[i].bytes, cases[i].len);
        struct cursor c = cursor_of(slice_of(copy, cases[i].len));
        CHECK_INT(cursor_varint(&c), 0);
        CHECK(c.bad);
    }
}

TEST(random_numbers_survive_varint_and_zigzag)
{
    rand_seed_for_test(1685);
    for (int i = 0; i < 20000; i++) {
        uint64_t v = rand_u64() >> rand_below(64);
        AUTO(buf) b = BUF_EMPTY;
        buf_put_varint(&b, v);
        buf_put_zigzag(&b, (int64_t)v);
        buf_put_zigzag(&b, -(int64_t)(v >> 1));
        struct cursor c = cursor_of(buf_slice(&b));
        CHECK_INT(cursor_varint(&c), v);
        CHECK_INT(cursor_zigzag(&c), (int64_t)v);
        CHECK_INT(cursor_zigzag(&c), -(int64_t)(v >> 1));
        CHECK_OK(cursor_finish(&c, "numbers"));
    }
}

TEST(small_signed_numbers_are_small)
{
    static const int64_t numbers[] = {0, -1, 1, -2, 2, -64, 63};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        AUTO(buf) b = BUF_EMPTY;
        buf_put_zigzag(&b, numbers[i]);
        CHECK_INT(b.len, 1);
    }
    AUTO(buf) b = BUF_EMPTY;
    buf_put_zigzag(&b, -2);
    CHECK_INT(b.data[0], 3);
}

TEST(a_length_larger_than_allowed_or_left_is_refused)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put_bytes(&b, slice_str("ledger"));
    struct cursor c = cursor_of(buf_slice(&b));
    CHECK_INT(cursor_bytes(&c, 5).len, 0);
    CHECK(c.bad);

    AUTO(buf) lie = BUF_EMPTY;
    buf_put_varint(&lie, UINT64_MAX);
    buf_put(&lie, "abc", 3);
    c = cursor_of(buf_slice(&lie));
    CHECK_INT(cursor_bytes(&c, SIZE_MAX).len, 0);
    CHECK(c.bad);

    c = cursor_of(buf_slice(&b));
    CHECK_INT(cursor_varint_max(&c, 6), 6);
    c = cursor_of(buf_slice(&b));
    CHECK_INT(cursor_varint_max(&c, 5), 0);
    CHECK(c.bad);
}

TEST(require_marks_bad_and_never_heals)
{
    struct cursor c = cursor_of(slice_str("abc"));
    cursor_require(&c, true);
    CHECK_OK(cursor_check(&c, "sample"));
    cursor_require(&c, false);
    cursor_require(&c, true);
    CHECK_ERR(ERR_CORRUPT, cursor_check(&c, "sample"));
}

TEST(an_empty_input_is_a_whole_of_nothing)
{
    struct cursor c = cursor_of(SLICE_EMPTY);
    CHECK_INT(cursor_take(&c, 0).len, 0);
    cursor_copy(&c, NULL, 0);
    CHECK_OK(cursor_finish(&c, "nothing"));
    CHECK_INT(cursor_u8(&c), 0);
    CHECK(c.bad);
}

TEST_MAIN(what_was_put_comes_back, numbers_are_little_endian, every_truncation_is_noticed,
          a_byte_too_many_is_noticed_by_finish_only, after_bad_everything_reads_as_zero, varints_have_these_bytes,
          a_varint_has_one_spelling, random_numbers_survive_varint_and_zigzag, small_signed_numbers_are_small,
          a_length_larger_than_allowed_or_left_is_refused, require_marks_bad_and_never_heals,
          an_empty_input_is_a_whole_of_nothing)
