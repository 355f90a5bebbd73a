/*
 * The cursor never leaves its input, whatever is asked of it; bad stays bad and reads as zero; and numbers
 * have one spelling: what was read, written again, is the bytes it was read from.
 */
#include "tests/fuzz/fuzz.h"

#include "fetch/base/bytes.h"

/* The bytes from `from` to the cursor are those of `again`. */
static void check_same(const uint8_t *from, const struct cursor *c, struct buf *again)
{
    FUZZ_CHECK(slice_equal(slice_of(from, (size_t)(c->at - from)), buf_slice(again)));
    buf_clear(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(slice_of(data, size));
    struct buf again = BUF_EMPTY;
    while (!c.bad && cursor_left(&c) > 0) {
        uint8_t what = cursor_u8(&c);
        const uint8_t *from = c.at;
        uint8_t copy[8];
        uint64_t number = 0;
        struct slice s = SLICE_EMPTY;
        switch (what % 10) {
        case 0:
            buf_put_u16(&again, cursor_u16(&c));
            break;
        case 1:
            buf_put_u32(&again, cursor_u32(&c));
            break;
        case 2:
            buf_put_u64(&again, cursor_u64(&c));
            break;
        case 3:
            buf_put_i64(&again, cursor_i64(&c));
            break;
        case 4:
            number = cursor_varint(&c);
            buf_put_varint(&again, number);
            break;
        case 5:
            buf_put_zigzag(&again, cursor_zigzag(&c));
            break;
        case 6:
            number = cursor_varint_max(&c, what);
            FUZZ_CHECK(number <= what);
            buf_put_varint(&again, number);
            break;
        case 7:
            s = cursor_bytes(&c, what % 2 ? SIZE_MAX : what);
            FUZZ_CHECK(s.len <= size);
            buf_put_bytes(&again, s);
            break;
        case 8:
            s = cursor_take(&c, what);
            buf_put_slice(&again, s);
            break;
        case 9:
            cursor_copy(&c, copy, sizeof copy);
            buf_put(&again, copy, sizeof copy);
            break;
        }
        FUZZ_CHECK(c.at >= from && c.at <= data + size);
        if (!c.bad)
            check_same(from, &c, &again);
        buf_clear(&again);
    }
    FUZZ_CHECK((cursor_check(&c, "input") == ERR_OK) == !c.bad);
    FUZZ_CHECK((cursor_finish(&c, "input") == ERR_OK) == !c.bad);
    if (c.bad) {
        FUZZ_CHECK(cursor_left(&c) == 0);
        FUZZ_CHECK(cursor_u64(&c) == 0);
        FUZZ_CHECK(cursor_varint(&c) == 0);
        FUZZ_CHECK(cursor_bytes(&c, SIZE_MAX).len == 0);
    }
    return 0;
}
