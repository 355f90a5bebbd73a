#include "fetch/format/record.h"

#include "tests/support/test.h"

static struct sign_pair signer;

/* A record with a field of each sort a newer version might add: one known to nobody, ignorable. */
static void some_record(struct buf *ret_object)
{
    AUTO(buf) fields = BUF_EMPTY;
    struct record head = {.type = RECORD_FENCE, .domain = 3, .store = {{9}}, .number = 77, .previous = {{1, 2}}, .signed_secs = -5};
    CHECK_OK(sign_generate(&signer));
    fields_put(&fields, 1, false, slice_str("body"));
    CHECK_OK(record_seal(&head, &fields, &signer, ret_object));
}

TEST(a_record_says_what_it_was_told)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record r;
    struct field field;
    CHECK_CALL(some_record(&object));
    CHECK_OK(record_parse(buf_slice(&object), &r));
    CHECK_INT(r.type, RECORD_FENCE);
    CHECK_INT(r.domain, 3);
    CHECK_INT(r.store.bytes[0], 9);
    CHECK_INT(r.number, 77);
    CHECK_INT(r.previous.bytes[1], 2);
    CHECK_INT(r.signed_secs, -5);
    struct uid key_id = key_id_of(signer.public);
    CHECK_MEM(&r.signer, &key_id, sizeof key_id);
    struct cursor c = cursor_of(r.fields);
    CHECK(fields_next(&c, &field));
    CHECK(slice_equal(field.value, slice_str("body")));
    CHECK_OK(record_verify(buf_slice(&object), signer.public));
}

TEST(no_flipped_bit_goes_unnoticed)
{
    AUTO(buf) object = BUF_EMPTY;
    CHECK_CALL(some_record(&object));
    for (size_t bit = 0; bit < object.len * 8; bit++) {
        object.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum err e = record_verify(buf_slice(&object), signer.public);
        bool is_version = bit / 8 == 8 || bit / 8 == 9;
        CHECK(e == ERR_CORRUPT || e == ERR_AUTH || (is_version && e == ERR_UNSUPPORTED));
        object.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    CHECK_OK(record_verify(buf_slice(&object), signer.public));
}

TEST(the_head_is_checked_byte_by_byte)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record r;
    CHECK_CALL(some_record(&object));
    static const struct {
        size_t at;
        uint8_t value;
        enum err code;
    } cases[] = {{0, 'X', ERR_CORRUPT}, {7, 'X', ERR_CORRUPT}, {8, 0, ERR_CORRUPT}, {8, 2, ERR_UNSUPPORTED}, {9, 1, ERR_UNSUPPORTED},
                 {10, 0, ERR_CORRUPT}, {10, 18, ERR_CORRUPT}, {11, 1, ERR_CORRUPT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t before = object.data[cases[i].at];
        object.data[cases[i].at] = cases[i].value;
        CHECK_ERR(cases[i].code, record_parse(buf_slice(&object), &r));
        object.data[cases[i].at] = before;
    }
}

TEST(a_cut_or_longer_record_is_refused)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record r;
    CHECK_CALL(some_record(&object));
    for (size_t len = 0; len < object.len; len++)
        CHECK_ERR(ERR_CORRUPT, record_parse(slice_of(object.data, len), &r));
    buf_put_u8(&object, 0);
    CHECK_ERR(ERR_CORRUPT, record_parse(buf_slice(&object), &r));
    buf_put_zeros(&object, RECORD_MAX_BYTES);
    CHECK_ERR(ERR_CORRUPT, record_parse(buf_slice(&object), &r));
}

TEST(another_signer_is_refused)
{
    AUTO(buf) object = BUF_EMPTY;
    struct sign_pair other;
    CHECK_CALL(some_record(&object));
    CHECK_OK(sign_generate(&other));
    CHECK_ERR(ERR_AUTH, record_verify(buf_slice(&object), other.public));
}

TEST(a_record_too_large_to_read_is_not_written)
{
    AUTO(buf) fields = BUF_EMPTY, value = BUF_EMPTY, object = BUF_EMPTY;
    buf_put_zeros(&value, RECORD_MAX_BYTES);
    fields_put(&fields, 1, false, buf_slice(&value));
    CHECK_OK(sign_generate(&signer));
    CHECK_ERR(ERR_INVALID, record_seal(&(struct record){.type = RECORD_PIN}, &fields, &signer, &object));
    CHECK_INT(object.len, 0);
}

TEST_MAIN(a_record_says_what_it_was_told, no_flipped_bit_goes_unnoticed, the_head_is_checked_byte_by_byte,
          a_cut_or_longer_record_is_refused, another_signer_is_refused, a_record_too_large_to_read_is_not_written)
