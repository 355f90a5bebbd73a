#include "fetch/format/fields.h"

#include "tests/support/test.h"

static struct cursor cursor_of_buf(const struct buf *b)
{
    return cursor_of(buf_slice(b));
}

TEST(what_is_put_comes_back_in_order)
{
    AUTO(buf) fields = BUF_EMPTY, object = BUF_EMPTY;
    fields_put(&fields, 1, true, slice_str("one"));
    fields_put_varint(&fields, 7, false, 300);
    fields_put(&fields, 7, false, SLICE_EMPTY);
    fields_put(&fields, UINT32_MAX, true, slice_str("last"));
    fields_seal(&object, &fields);
    buf_put_u8(&object, 0xee); /* what follows is left alone */
    CHECK_OK(buf_check(&object));

    struct cursor c = cursor_of_buf(&object);
    struct cursor block = cursor_of(fields_take(&c, 1000));
    CHECK_INT(cursor_u8(&c), 0xee);
    CHECK_OK(cursor_finish(&c, "object"));

    struct field f;
    uint64_t number;
    char text[5] = "";
    CHECK(fields_next(&block, &f));
    CHECK_INT(f.number, 1);
    CHECK(f.critical);
    CHECK(slice_equal(f.value, slice_str("one")));
    CHECK(fields_next(&block, &f));
    CHECK(!f.critical);
    CHECK_OK(field_varint(&f, "object", &number));
    CHECK_INT(number, 300);
    CHECK(fields_next(&block, &f));
    CHECK_INT(f.number, 7);
    CHECK_INT(f.value.len, 0);
    CHECK(fields_next(&block, &f));
    CHECK_INT(f.number, UINT32_MAX);
    CHECK_OK(field_fixed(&f, "object", text, 4));
    CHECK_STR(text, "last");
    CHECK(!fields_next(&block, &f));
    CHECK(!block.bad);
}

TEST(malformed_blocks_are_refused_as_a_whole)
{
    static const struct {
        const char *why;
        const char *bytes;
        size_t len;
    } cases[] = {
        {"nothing at all", "", 0},
        {"length beyond the end", "\x03\x02\x00", 3},
        {"length in two bytes where one would do", "\x80\x00", 2},
        {"value beyond the block", "\x03\x02\x02\x00", 4},
        {"a key without a value", "\x01\x02", 2},
        {"a long key", "\x03\x82\x00\x00", 4},
        {"numbers descend", "\x04\x04\x00\x02\x00", 5},
        {"numbers descend after a repeat", "\x06\x04\x00\x04\x00\x02\x00", 7},
        {"a number beyond 32 bits", "\x06\x80\x80\x80\x80\x20\x00", 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cursor c = cursor_of(slice_of(cases[i].bytes, cases[i].len));
        CHECK_INT(fields_take(&c, 1000).len, 0);
        if (!c.bad)
            test_fail(__FILE__, __LINE__, "taken: %s", cases[i].why);
    }
}

TEST(a_block_longer_than_allowed_is_refused)
{
    AUTO(buf) fields = BUF_EMPTY, object = BUF_EMPTY;
    fields_put(&fields, 1, false, slice_str("12345678"));
    fields_seal(&object, &fields);
    struct cursor c = cursor_of_buf(&object);
    fields_take(&c, fields.len - 1);
    CHECK(c.bad);
    c = cursor_of_buf(&object);
    CHECK_INT(fields_take(&c, fields.len).len, fields.len);
    CHECK(!c.bad);
}

TEST(only_critical_unknown_fields_stop_a_reader)
{
    AUTO(buf) fields = BUF_EMPTY, object = BUF_EMPTY;
    fields_put(&fields, 3, false, slice_str("from later"));
    fields_seal(&object, &fields);
    struct cursor c = cursor_of_buf(&object);
    CHECK_OK(fields_skip(&c, "object"));
    CHECK_OK(cursor_finish(&c, "object"));

    buf_clear(&object);
    fields_put(&fields, 4, true, slice_str("must know"));
    fields_seal(&object, &fields);
    c = cursor_of_buf(&object);
    CHECK_ERR(ERR_UNSUPPORTED, fields_skip(&c, "an object"));
    CHECK(strstr(err_text(), "an object has field 4"));

    c = cursor_of(slice_of("\x02\x02", 2));
    CHECK_ERR(ERR_CORRUPT, fields_skip(&c, "object"));
}

TEST(values_of_another_shape_are_damage)
{
    uint64_t number = 77;
    uint8_t bytes[4];
    CHECK_ERR(ERR_CORRUPT, field_varint(&(struct field){1, true, slice_of("\x80", 1)}, "object", &number));
    CHECK_ERR(ERR_CORRUPT, field_varint(&(struct field){1, true, slice_of("\x01\x01", 2)}, "object", &number));
    CHECK_ERR(ERR_CORRUPT, field_varint(&(struct field){1, true, SLICE_EMPTY}, "object", &number));
    CHECK_INT(number, 77);
    CHECK_ERR(ERR_CORRUPT, field_fixed(&(struct field){1, true, slice_str("12345")}, "object", bytes, sizeof bytes));
    CHECK_ERR(ERR_CORRUPT, field_fixed(&(struct field){1, true, slice_str("123")}, "object", bytes, sizeof bytes));
}

TEST(a_field_that_comes_once_is_refused_twice)
{
    uint64_t seen = 0;
    CHECK_OK(field_once(&(struct field){.number = 5}, "object", &seen));
    CHECK_OK(field_once(&(struct field){.number = 63}, "object", &seen));
    CHECK_ERR(ERR_CORRUPT, field_once(&(struct field){.number = 5}, "object", &seen));
}

TEST_MAIN(what_is_put_comes_back_in_order, malformed_blocks_are_refused_as_a_whole, a_block_longer_than_allowed_is_refused,
          only_critical_unknown_fields_stop_a_reader, values_of_another_shape_are_damage,
          a_field_that_comes_once_is_refused_twice)
