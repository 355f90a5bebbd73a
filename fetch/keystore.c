#include "fetch/keystore.h"

#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/rand.h"
#include "fetch/crypto/secret.h"
#include "fetch/store/names.h"

static struct object_name keyring_name(uint64_t number)
{
    struct object_name name;
    snprintf(name.text, sizeof name.text, "keyring-%010llu", (unsigned long long)number);
    return name;
}

/* Parse keyring-<10 digits>; 0 for anything else. */
static uint64_t keyring_number(const char *name)
{
    unsigned long long number = 0;
    int end = 0;
    if (sscanf(name, "keyring-%10llu%n", &number, &end) != 1 || name[end])
        return 0;
    return number;
}

enum err keystore_list(struct store *keystore, const struct uid *store, struct keystore_slot **ret_slots, size_t *ret_count)
{
    AUTO(name_list) names = {0};
    TRY(store_names(keystore, "slot-", &names));
    AUTO_MEM struct keystore_slot *slots = calloc(names.count + 1, sizeof *slots);
    if (!slots)
        return err_set(ERR_NOMEM, "no memory for slots");
    size_t count = 0;
    for (size_t i = 0; i < names.count; i++) {
        struct keystore_slot *slot = &slots[count];
        if (strlen(names.names[i]) >= sizeof slot->name)
            continue;
        memcpy(slot->name, names.names[i], strlen(names.names[i]) + 1);
        AUTO(buf) object = BUF_EMPTY;
        enum err e = store_get_all(keystore, slot->name, RECORD_MAX_BYTES, &object);
        if (e == ERR_OK)
            e = slot_parse(buf_slice(&object), &slot->info);
        if (e == ERR_OK && memcmp(slot->info.store.bytes, store->bytes, 16) != 0)
            e = err_set(ERR_INVALID, "keystore %s: %s belongs to another store", keystore->url, slot->name);
        if (e == ERR_INVALID || e == ERR_UNSUPPORTED || e == ERR_UNREACHABLE || e == ERR_DENIED)
            return err_add(e, "%s", slot->name);
        slot->damaged = e != ERR_OK;
        count++;
    }
    *ret_slots = TAKE(slots);
    *ret_count = count;
    return ERR_OK;
}

enum err keystore_newest(struct store *keystore, uint64_t *ret_number)
{
    AUTO(name_list) names = {0};
    TRY(store_names(keystore, "keyring-", &names));
    *ret_number = 0;
    for (size_t i = 0; i < names.count; i++)
        if (keyring_number(names.names[i]) > *ret_number)
            *ret_number = keyring_number(names.names[i]);
    return ERR_OK;
}

static enum err keyring_get(struct store *keystore, const struct uid *store, uint64_t number, const uint8_t keyring_key[32],
                            struct keyring **ret_keys)
{
    AUTO(buf) object = BUF_EMPTY;
    struct object_name name = keyring_name(number);
    TRY(store_get_all(keystore, name.text, RECORD_MAX_BYTES, &object));
    return err_add(keyring_open(buf_slice(&object), store, number, keyring_key, ret_keys), "keystore %s: %s", keystore->url, name.text);
}

/* The newest keyring that the keyring key opens: one that is damaged, or of another key, hides no older one. */
static enum err keyring_find(struct store *keystore, const struct uid *store, struct keystore_opened *opened)
{
    AUTO(name_list) names = {0};
    struct err_note newest = {0};
    TRY(keystore_newest(keystore, &opened->number));
    TRY(store_names(keystore, "keyring-", &names));
    for (size_t i = names.count; i-- > 0;) {
        uint64_t number = keyring_number(names.names[i]);
        if (number == 0)
            continue;
        enum err e = keyring_get(keystore, store, number, opened->keyring_key, &opened->keys);
        if (e == ERR_INVALID) /* it names another store, where our slot lies beside it: damage, or somebody's mixing */
            e = err_set(ERR_CORRUPT, "%s", err_text());
        if (e != ERR_AUTH && e != ERR_CORRUPT)
            return e;
        if (!newest.code)
            err_take(e, &newest);
    }
    return newest.code ? err_raise(&newest) : err_set(ERR_NO_KEY, "keystore %s holds no keyring", keystore->url);
}

enum err keystore_open(struct store *keystore, const struct uid *store, const struct slot_secret *secret,
                       struct keystore_opened *ret_opened)
{
    AUTO(name_list) names = {0};
    TRY(store_names(keystore, "slot-", &names));
    unsigned refused = 0, damaged = 0, others = 0;
    char bad_slot[32] = "";
    for (size_t i = 0; i < names.count; i++) {
        AUTO(buf) object = BUF_EMPTY;
        TRY(store_get_all(keystore, names.names[i], RECORD_MAX_BYTES, &object));
        struct slot_info info;
        enum err e = slot_parse(buf_slice(&object), &info);
        if (e == ERR_UNSUPPORTED)
            return err_add(e, "keystore %s: %s", keystore->url, names.names[i]);
        if (e == ERR_OK && memcmp(info.store.bytes, store->bytes, 16) != 0)
            return err_set(ERR_INVALID, "keystore %s holds the keys of another store (%s); give --keystore", keystore->url,
                           hex_of(info.store.bytes, 16).text);
        if (e == ERR_OK && info.kind != secret->kind) {
            others++;
            continue;
        }
        struct keystore_opened opened = {0};
        if (e == ERR_OK)
            e = slot_open(buf_slice(&object), store, secret, opened.keyring_key);
        if (e == ERR_OK) {
            snprintf(opened.slot, sizeof opened.slot, "%.31s", names.names[i]);
            TRY(keyring_find(keystore, store, &opened));
            *ret_opened = opened;
            return ERR_OK;
        }
        if (e == ERR_DENIED)
            refused++;
        else if (e == ERR_CORRUPT || e == ERR_AUTH) {
            damaged++;
            snprintf(bad_slot, sizeof bad_slot, "%.31s", names.names[i]);
        } else
            return err_add(e, "keystore %s: %s", keystore->url, names.names[i]);
    }
    const char *what = secret->kind == SLOT_PASSPHRASE ? "passphrase" : secret->kind == SLOT_KEY_FILE ? "key file" : "recovery key";
    if (refused && damaged)
        return err_set(ERR_DENIED, "wrong %s for %u slots of keystore %s, and %s is damaged", what, refused, keystore->url, bad_slot);
    if (refused)
        return err_set(ERR_DENIED, "wrong %s (keystore %s)", what, keystore->url);
    if (damaged)
        return err_set(ERR_CORRUPT, "keystore %s: %s is damaged; use another slot, or: yore key recover --recovery-file FILE",
                       keystore->url, bad_slot);
    if (others)
        return err_set(ERR_NO_KEY, "keystore %s has no slot for a %s", keystore->url, what);
    return err_set(ERR_NO_KEY, "keystore %s is empty: give --keystore, or: yore key recover --recovery-file FILE", keystore->url);
}

/* Put a slot under a fresh name and read it back. */
static enum err slot_put(struct store *keystore, struct slice object, char ret_slot[32])
{
    uint8_t random[4];
    rand_bytes(random, sizeof random);
    snprintf(ret_slot, 32, "slot-%.8s", hex_of(random, sizeof random).text);
    TRY(store_put(keystore, ret_slot, object, true));
    AUTO(buf) again = BUF_EMPTY;
    TRY(store_get_all(keystore, ret_slot, RECORD_MAX_BYTES, &again));
    return slice_equal(buf_slice(&again), object) ? ERR_OK
                                                  : err_set(ERR_CORRUPT, "keystore %s: %s reads back differently", keystore->url,
                                                            ret_slot);
}

enum err keystore_add(struct store *keystore, const struct uid *store, const uint8_t keyring_key[32],
                      const struct slot_secret *secret, unsigned scrypt_log2_n, const char *label, char ret_slot[32])
{
    AUTO(buf) object = BUF_EMPTY;
    TRY(slot_seal(store, secret, scrypt_log2_n, label, keyring_key, &object));
    return slot_put(keystore, buf_slice(&object), ret_slot);
}

enum err keystore_add_recovery(struct store *keystore, const struct uid *store, const uint8_t keyring_key[32],
                               const uint8_t recovery_public[32], char ret_slot[32])
{
    AUTO(buf) object = BUF_EMPTY;
    TRY(slot_seal_recovery(store, recovery_public, "recovery key", keyring_key, &object));
    return slot_put(keystore, buf_slice(&object), ret_slot);
}

enum err keystore_remove(struct store *keystore, const struct uid *store, const char *slot)
{
    AUTO_MEM struct keystore_slot *slots = NULL;
    size_t count = 0, left = 0;
    bool there = false;
    TRY(keystore_list(keystore, store, &slots, &count));
    for (size_t i = 0; i < count; i++) {
        bool this = strcmp(slots[i].name, slot) == 0;
        there |= this;
        /* A damaged slot opens nothing, and a recovery slot is a way in of its own: neither stands for the last passphrase. */
        left += !this && !slots[i].damaged && slots[i].info.kind != SLOT_RECOVERY;
    }
    if (!there)
        return err_set(ERR_NOT_FOUND, "keystore %s has no %s", keystore->url, slot);
    if (left == 0)
        return err_set(ERR_INVALID, "%s is the last way into keystore %s; add another first", slot, keystore->url);
    return store_remove(keystore, slot);
}

/* A crash may have left more than one. */
static enum err remove_older(struct store *keystore, const struct uid *store, uint64_t number, const uint8_t keyring_key[32])
{
    AUTO(name_list) names = {0};
    TRY(store_names(keystore, "keyring-", &names));
    for (size_t i = 0; i < names.count; i++) {
        AUTO_PTR(keyring) keys = NULL;
        uint64_t older = keyring_number(names.names[i]);
        if (older == 0 || older >= number)
            continue;
        if (keyring_get(keystore, store, older, keyring_key, &keys) == ERR_OK)
            TRY(store_remove(keystore, names.names[i]));
    }
    return ERR_OK;
}

enum err keystore_replace(struct store *keystore, const struct keyring *keys, uint64_t number, const uint8_t keyring_key[32])
{
    AUTO(buf) object = BUF_EMPTY;
    AUTO_PTR(keyring) opened = NULL;
    TRY(keyring_seal(keys, number + 1, keyring_key, &object));
    TRY(store_put(keystore, keyring_name(number + 1).text, buf_slice(&object), true));
    TRY(keyring_get(keystore, &keys->store, number + 1, keyring_key, &opened));
    return remove_older(keystore, &keys->store, number + 1, keyring_key);
}
