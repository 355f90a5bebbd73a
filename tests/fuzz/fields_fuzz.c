/*
 * A block is taken whole or not at all: a walk over what was taken never goes bad, never leaves the block and never descends;
 * and its fields, put again, are the bytes it was.
 */
#include "tests/fuzz/fuzz.h"

#include "fetch/format/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(slice_of(data, size));
    struct slice block = fields_take(&c, size);
    if (c.bad) {
        FUZZ_CHECK(block.len == 0);
        c = cursor_of(slice_of(data, size));
        FUZZ_CHECK(fields_skip(&c, "input") == ERR_CORRUPT);
        return 0;
    }
    struct buf again = BUF_EMPTY;
    struct cursor walk = cursor_of(block);
    struct field field;
    uint32_t last = 0;
    bool critical = false;
    while (fields_next(&walk, &field)) {
        FUZZ_CHECK(field.number >= last);
        FUZZ_CHECK(field.value.data >= block.data && field.value.data + field.value.len <= block.data + block.len);
        last = field.number;
        critical |= field.critical;
        fields_put(&again, field.number, field.critical, field.value);
        uint64_t number;
        if (field_varint(&field, "input", &number) == ERR_OK) {
            struct buf value = BUF_EMPTY;
            buf_put_varint(&value, number);
            FUZZ_CHECK(slice_equal(buf_slice(&value), field.value));
            buf_clear(&value);
        }
    }
    FUZZ_CHECK(!walk.bad);
    FUZZ_CHECK(slice_equal(buf_slice(&again), block));
    buf_clear(&again);
    c = cursor_of(slice_of(data, size));
    FUZZ_CHECK(fields_skip(&c, "input") == (critical ? ERR_UNSUPPORTED : ERR_OK));
    return 0;
}
