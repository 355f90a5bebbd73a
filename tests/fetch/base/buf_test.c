#include "fetch/base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

TEST(appending_keeps_order_and_length)
{
    AUTO(buf) b = BUF_EMPTY;
    for (int i = 0; i < 1000; i++)
        buf_put_u8(&b, (uint8_t)i);
    CHECK_OK(buf_check(&b));
    CHECK_INT(b.len, 1000);
    CHECK(b.cap >= b.len);
    for (size_t i = 0; i < b.len; i++)
        CHECK_INT(b.data[i], i & 0xff);
}

TEST(nothing_appended_allocates_nothing)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put(&b, NULL, 0);
    buf_put_slice(&b, SLICE_EMPTY);
    buf_put_zeros(&b, 0);
    CHECK(b.data == NULL);
    CHECK_INT(b.len, 0);
    CHECK_OK(buf_check(&b));
}

TEST(zeros_are_zero_also_in_reused_memory)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put(&b, "xxxxxxxx", 8);
    b.len = 2;
    buf_put_zeros(&b, 4);
    CHECK_INT(b.len, 6);
    CHECK_MEM(b.data, "xx\0\0\0\0", 6);
}

TEST(format_appends_text_without_its_end)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put_format(&b, "%s-%03d", "pack", 7);
    buf_put_format(&b, "%s", "");
    buf_put_format(&b, "/%200s", "x");
    CHECK_OK(buf_check(&b));
    CHECK_INT(b.len, 8 + 201);
    CHECK_MEM(b.data, "pack-007/ ", 10);
    CHECK_INT(b.data[b.len - 1], 'x');
}

TEST(out_of_memory_is_remembered_and_stops_appends)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put(&b, "abc", 3);
    CHECK_ERR(ERR_NOMEM, buf_reserve(&b, SIZE_MAX / 2));
    buf_put(&b, "def", 3);
    buf_put_zeros(&b, 1);
    buf_put_format(&b, "%d", 1);
    buf_put_varint(&b, 1);
    CHECK_INT(b.len, 3);
    CHECK_MEM(b.data, "abc", 3);
    CHECK_ERR(ERR_NOMEM, buf_check(&b));
}

TEST(a_length_that_wraps_is_out_of_memory)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put(&b, "abc", 3);
    buf_put(&b, "d", SIZE_MAX - 1);
    CHECK_ERR(ERR_NOMEM, buf_check(&b));
    CHECK_INT(b.len, 3);
}

TEST(zeros_whose_length_wraps_are_out_of_memory)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put(&b, "abc", 3);
    buf_put_zeros(&b, SIZE_MAX - 1);
    CHECK_ERR(ERR_NOMEM, buf_check(&b));
    CHECK_INT(b.len, 3);
}

TEST(resize_keeps_what_was_there)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put(&b, "abc", 3);
    CHECK_OK(buf_resize(&b, 100000));
    CHECK_INT(b.len, 100000);
    CHECK_MEM(b.data, "abc", 3);
    CHECK_OK(buf_resize(&b, 2));
    CHECK_INT(b.len, 2);
    CHECK_MEM(b.data, "ab", 2);
}

TEST(moving_hands_the_bytes_over)
{
    AUTO(buf) from = BUF_EMPTY;
    AUTO(buf) to = BUF_EMPTY;
    buf_put(&from, "abc", 3);
    const uint8_t *data = from.data;
    buf_move(&to, &from);
    CHECK(to.data == data);
    CHECK_INT(to.len, 3);
    CHECK(from.data == NULL);
    CHECK_INT(from.len, 0);
    CHECK_INT(from.cap, 0);
}

TEST(cleared_and_wiped_bufs_are_usable_again)
{
    AUTO(buf) b = BUF_EMPTY;
    buf_put(&b, "secret", 6);
    buf_wipe(&b);
    CHECK(b.data == NULL);
    buf_put(&b, "abc", 3);
    buf_clear(&b);
    buf_clear(&b);
    buf_wipe(&b);
    buf_put(&b, "de", 2);
    CHECK_MEM(b.data, "de", 2);
    CHECK_INT(b.len, 2);
}

TEST(slices_are_equal_by_content)
{
    CHECK(slice_equal(slice_str("abc"), slice_of("abcd", 3)));
    CHECK(!slice_equal(slice_str("abc"), slice_str("abd")));
    CHECK(!slice_equal(slice_str("abc"), slice_str("ab")));
    CHECK(slice_equal(SLICE_EMPTY, slice_str("")));
}

TEST_MAIN(appending_keeps_order_and_length, nothing_appended_allocates_nothing, zeros_are_zero_also_in_reused_memory,
          format_appends_text_without_its_end, out_of_memory_is_remembered_and_stops_appends,
          a_length_that_wraps_is_out_of_memory, zeros_whose_length_wraps_are_out_of_memory,
          resize_keeps_what_was_there, moving_hands_the_bytes_over, cleared_and_wiped_bufs_are_usable_again,
          slices_are_equal_by_content)
