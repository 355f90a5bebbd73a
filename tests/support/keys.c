#include "tests/support/keys.h"

struct keyring *test_keyring(void)
{
    struct uid store = {.bytes = "test store 12345"};
    struct keyring *keys = NULL;
    uint8_t recovery_secret[32];
    return keyring_generate(&store, &keys, recovery_secret) == ERR_OK ? keys : NULL;
}
