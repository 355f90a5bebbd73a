#include "fetch/format/record.h"
#include "tests/support/test.h"

static struct sign_pair admin;

static void some_yore(uint64_t must_read, struct buf *ret_object)
{
    struct store_head_object head = {.store = {{5, 6}}, .keystore_in_store = true, .made_secs = 1795183200, .must_read = must_read,
                                     .must_write = 4, .may_ignore = UINT64_MAX};
    CHECK_OK(sign_generate(&admin));
    CHECK_OK(yore_seal(&head, &admin, ret_object));
}

TEST(the_object_says_what_it_was_told)
{
    AUTO(buf) object = BUF_EMPTY;
    struct store_head_object head;
    CHECK_CALL(some_yore(0, &object));
    CHECK_INT(object.len, 96 + 1 + 64);
    CHECK_OK(yore_open(buf_slice(&object), &head));
    CHECK_INT(head.store.bytes[1], 6);
    CHECK(head.keystore_in_store);
    CHECK_INT(head.made_secs, 1795183200);
    CHECK_MEM(head.first_admin, admin.public, 32);
    CHECK_INT(head.must_read, 0);
    CHECK_INT(head.must_write, 4); /* a writer's business */
    CHECK_INT(head.may_ignore, UINT64_MAX);
}

TEST(no_flipped_bit_goes_unnoticed)
{
    AUTO(buf) object = BUF_EMPTY;
    struct store_head_object head;
    CHECK_CALL(some_yore(0, &object));
    for (size_t bit = 0; bit < object.len * 8; bit++) {
        object.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum err e = yore_open(buf_slice(&object), &head);
        bool is_version = bit / 8 == 8 || bit / 8 == 9;
        CHECK(e == ERR_CORRUPT || e == ERR_AUTH || (is_version && e == ERR_UNSUPPORTED));
        object.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

TEST(a_cut_object_is_refused_at_every_length)
{
    AUTO(buf) object = BUF_EMPTY;
    struct store_head_object head;
    CHECK_CALL(some_yore(0, &object));
    for (size_t len = 0; len < object.len; len++)
        CHECK_ERR(ERR_CORRUPT, yore_open(slice_of(object.data, len), &head));
}

TEST(features_a_reader_must_know_stop_it)
{
    AUTO(buf) object = BUF_EMPTY;
    struct store_head_object head;
    CHECK_CALL(some_yore(2, &object));
    CHECK_ERR(ERR_UNSUPPORTED, yore_open(buf_slice(&object), &head));
    object.data[100] ^= 1; /* a damaged object must not send people to look for a newer version */
    CHECK(yore_open(buf_slice(&object), &head) != ERR_UNSUPPORTED);
}

/* The object with a field more, signed. */
static void with_field(bool critical, struct buf *object)
{
    AUTO(buf) fields = BUF_EMPTY, to_sign = BUF_EMPTY;
    CHECK_CALL(some_yore(0, object));
    object->len = 96;
    fields_put(&fields, 1, critical, slice_str("later"));
    fields_seal(object, &fields);
    buf_put(&to_sign, "yore/1/store", sizeof "yore/1/store");
    buf_put_slice(&to_sign, buf_slice(object));
    buf_put_zeros(object, 64);
    CHECK_OK(buf_check(object));
    CHECK_OK(sign_make(&admin, buf_slice(&to_sign), object->data + object->len - 64));
}

TEST(unknown_fields_are_skipped_unless_critical)
{
    AUTO(buf) object = BUF_EMPTY;
    struct store_head_object head;
    CHECK_CALL(with_field(false, &object));
    CHECK_OK(yore_open(buf_slice(&object), &head));
    buf_clear(&object);
    CHECK_CALL(with_field(true, &object));
    CHECK_ERR(ERR_UNSUPPORTED, yore_open(buf_slice(&object), &head));
}

TEST_MAIN(the_object_says_what_it_was_told, no_flipped_bit_goes_unnoticed, a_cut_object_is_refused_at_every_length,
          features_a_reader_must_know_stop_it, unknown_fields_are_skipped_unless_critical)
