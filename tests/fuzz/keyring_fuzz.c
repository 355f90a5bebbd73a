/*
 * The inside of a keyring: from whoever knows the keyring key, or broke it. What is taken can be written and taken again with
 * the same keys; what is refused leaves nothing.
 */
#include "tests/fuzz/fuzz.h"

#include "fetch/format/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct uid store = {{1}};
    struct keyring *keys = NULL, *again = NULL;
    struct buf fields = BUF_EMPTY, fields_again = BUF_EMPTY;
    enum err e = keyring_decode(&store, slice_of(data, size), &keys);
    FUZZ_CHECK((e == ERR_OK) == (keys != NULL));
    if (keys) {
        FUZZ_CHECK(keys->domain_count <= KEYRING_MAX_DOMAINS);
        for (size_t i = 0; i < keys->domain_count; i++) {
            FUZZ_CHECK(memchr(keys->domains[i].name, 0, sizeof keys->domains[i].name));
            FUZZ_CHECK(keys->domains[i].data_ids && keys->domains[i].tree_ids);
        }
        FUZZ_CHECK(keyring_encode(keys, &fields) == ERR_OK);
        FUZZ_CHECK(keyring_decode(&store, buf_slice(&fields), &again) == ERR_OK);
        FUZZ_CHECK(keyring_encode(again, &fields_again) == ERR_OK);
        FUZZ_CHECK(slice_equal(buf_slice(&fields), buf_slice(&fields_again)));
    }
    buf_wipe(&fields);
    buf_wipe(&fields_again);
    keyring_free(keys);
    keyring_free(again);
    return 0;
}
