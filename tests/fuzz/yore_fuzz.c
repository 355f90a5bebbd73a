/* The first object of a store, from anybody. What opens is signed, so what opens is what its admin wrote, byte by byte. */
#include "tests/fuzz/fuzz.h"

#include "fetch/format/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_head_object head, again;
    enum err e = yore_open(slice_of(data, size), &head);
    FUZZ_CHECK(e == ERR_OK || e == ERR_CORRUPT || e == ERR_AUTH || e == ERR_UNSUPPORTED);
    if (e != ERR_OK)
        return 0;
    FUZZ_CHECK(head.must_read == 0);
    /* One byte changed, or cut off, and it opens no more. */
    uint8_t *changed = malloc(size);
    FUZZ_CHECK(changed);
    memcpy(changed, data, size);
    changed[size / 2] ^= 1;
    FUZZ_CHECK(yore_open(slice_of(changed, size), &again) != ERR_OK);
    FUZZ_CHECK(yore_open(slice_of(data, size - 1), &again) != ERR_OK);
    free(changed);
    return 0;
}
