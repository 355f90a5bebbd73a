/*
 * keystore: where wrapped private keys live: slots, and the keyring they open.
 *
 * Every write is put, read back and opened before anything older is removed.
 *
 * Source:  docs/format.md section 6.
 * Threads: one caller at a time on one keystore; other processes may read meanwhile.
 */
#pragma once

#include "fetch/format/slot.h"
#include "fetch/store/store.h"

struct keystore_slot {
    char name[32]; /* slot-1a2b3c4d */
    bool damaged;  /* info is empty then */
    struct slot_info info;
};

/* All slots, ascending by name; malloc'ed. */
enum err keystore_list(struct store *keystore, const struct uid *store, struct keystore_slot **ret_slots, size_t *ret_count);

/* An opened keystore. */
struct keystore_opened {
    uint8_t keyring_key[32];
    uint64_t number;      /* of the keyring object */
    char slot[32];        /* which slot opened it */
    struct keyring *keys; /* the caller's: keyring_free */
};

/* Try every slot of the secret's kind. ERR_DENIED wrong passphrase · ERR_CORRUPT damaged · ERR_NO_KEY no slot of that kind. */
enum err keystore_open(struct store *keystore, const struct uid *store, const struct slot_secret *secret,
                       struct keystore_opened *ret_opened);

/* A new slot for the keyring key; scrypt_log2_n is used by passphrase slots. */
enum err keystore_add(struct store *keystore, const struct uid *store, const uint8_t keyring_key[32],
                      const struct slot_secret *secret, unsigned scrypt_log2_n, const char *label, char ret_slot[32]);
enum err keystore_add_recovery(struct store *keystore, const struct uid *store, const uint8_t keyring_key[32],
                               const uint8_t recovery_public[32], char ret_slot[32]);
/* ERR_NOT_FOUND; ERR_INVALID when it is the last one. */
enum err keystore_remove(struct store *keystore, const struct uid *store, const char *slot);

/* Write keys as keyring-<number + 1>, read it back, then delete keyring-<number> (number 0: there is none yet). */
enum err keystore_replace(struct store *keystore, const struct keyring *keys, uint64_t number, const uint8_t keyring_key[32]);
