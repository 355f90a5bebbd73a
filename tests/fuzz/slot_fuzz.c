/*
 * Slots and sealed keyrings from a keystore somebody else can write to. The checksum is made to fit, for an attacker can do that
 * too. Only slots without scrypt are opened: the point is to parse, not to wait.
 */
#include "tests/fuzz/fuzz.h"

#include "fetch/crypto/digest.h"
#include "fetch/format/slot.h"

static void check_slot(struct slice object)
{
    struct slot_info info;
    if (slot_parse(object, &info) != ERR_OK)
        return;
    FUZZ_CHECK(memchr(info.label, 0, sizeof info.label));
    if (info.kind == SLOT_PASSPHRASE)
        return;
    struct slot_secret secret = {.kind = info.kind, .key = {1}};
    uint8_t key[32];
    struct uid other = info.store;
    FUZZ_CHECK(slot_open(object, &info.store, &secret, key) != ERR_OK); /* nobody sealed to this key */
    other.bytes[0] ^= 1;
    FUZZ_CHECK(slot_open(object, &other, &secret, key) == ERR_INVALID);
}

static void check_keyring(struct slice object)
{
    static const uint8_t key[32] = {1};
    struct keyring *keys = NULL;
    struct uid store = {{0}};
    if (object.len >= 32)
        memcpy(store.bytes, object.data + 16, sizeof store.bytes);
    FUZZ_CHECK(keyring_open(object, &store, 1, key, &keys) != ERR_OK);
    FUZZ_CHECK(!keys);
    enum err e = role_file_open(object, &keys);
    FUZZ_CHECK((e == ERR_OK) == (keys != NULL));
    keyring_free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice object = slice_of(data, size);
    check_slot(object);
    check_keyring(object);
    if (size < 32)
        return 0;
    uint8_t *fitting = malloc(size);
    FUZZ_CHECK(fitting);
    memcpy(fitting, data, size);
    sha256_of(slice_of(fitting, size - 32), fitting + size - 32);
    check_slot(slice_of(fitting, size));
    check_keyring(slice_of(fitting, size));
    free(fitting);
    return 0;
}
