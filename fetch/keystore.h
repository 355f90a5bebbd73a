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

/* The highest number of any keyring there; 0: none. */
enum err keystore_newest(struct store *keystore, uint64_t *ret_number);

/* An opened keystore. */
struct keystore_opened {
    uint8_t keyring_key[32];
    uint64_t number;      /* of the newest keyring there, ours or not: what keystore_replace wants */
    char slot[32];        /* which slot opened it */
    struct keyring *keys; /* the caller's: keyring_free */
};

/* Try every slot of the secret's kind; of the keyrings, the newest that its keyring key opens. ERR_DENIED wrong passphrase · ERR_CORRUPT damaged · ERR_NO_KEY no slot of that kind. */
enum err keystore_open(struct store *keystore, const struct uid *store, const struct slot_secret *secret,
                       struct keystore_opened *ret_opened);

/* A new slot for the keyring key; scrypt_log2_n is used by passphrase slots. */
enum err keystore_add(struct store *keystore, const struct uid *store, const uint8_t keyring_key[32],
                      const struct slot_secret *secret, unsigned scrypt_log2_n, const char *label, char ret_slot[32]);
enum err keystore_add_recovery(struct store *keystore, const struct uid *store, const uint8_t keyring_key[32],
                               const uint8_t recovery_public[32], char ret_slot[32]);
/* ERR_NOT_FOUND; ERR_INVALID when it is the last one. */
enum err keystore_remove(struct store *keystore, const struct uid *store, const char *slot);

/* Write keys as keyring-<number + 1>, read it back, then delete older ones that this keyring key opens (number: of the newest there
 * is, 0: none). One of another keyring key stays: its slots still open it. */
enum err keystore_replace(struct store *keystore, const struct keyring *keys, uint64_t number, const uint8_t keyring_key[32]);
