/* Segments and envelopes: sealed objects, with keys at hand. Mutations reach what is in the clear and every length. */
#include <stdlib.h>

#include "fetch/format/envelope.h"
#include "fetch/format/segment.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keyring *keys;
    if (!keys) {
        struct uid store = {{0}};
        uint8_t recovery_secret[32];
        if (keyring_generate(&store, &keys, recovery_secret) != ERR_OK)
            abort();
    }
    /* Bytes 16 to 31 of both objects are the store id: take whatever it says as ours, to come further. */
    if (size >= 32)
        memcpy(keys->store.bytes, data + 16, 16);
    AUTO(segment) segment = {0};
    segment_open(keys, slice_of(data, size), &segment);
    AUTO(envelope) envelope = {0};
    envelope_open(keys, slice_of(data, size), NULL, &envelope);
    return 0;
}
