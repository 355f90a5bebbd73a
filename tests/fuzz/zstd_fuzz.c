/* Frames' payloads: the decompressor with its bounds. The first byte says how long a prefix to take off the rest. */
#include "fetch/format/compress.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[1 << 16];
    if (size < 3)
        return 0;
    size_t prefix = data[0] < size - 1 ? data[0] : 0;
    size_t raw_len = (size_t)data[1] << 8;
    zstd_unpack(slice_of(data + 1 + prefix, size - 1 - prefix), slice_of(data + 1, prefix), out, raw_len);
    return 0;
}
