/*
 * slot: ways into a keystore; and the keyring object they open.
 *
 * Source: docs/format.md section 6. A wrong passphrase (ERR_DENIED) and a damaged slot (ERR_CORRUPT) are told apart.
 */
#pragma once

#include "fetch/format/keyring.h"

enum slot_kind { SLOT_PASSPHRASE = 1, SLOT_KEY_FILE = 2, SLOT_RECOVERY = 3 };

struct slot_info {
    enum slot_kind kind;
    int64_t made_secs;
    char label[101];
    struct uid store;
    uint8_t recovery_public[32]; /* SLOT_RECOVERY */
};

/* What a person offers to open a slot. */
struct slot_secret {
    enum slot_kind kind;
    struct slice passphrase;   /* SLOT_PASSPHRASE, any bytes */
    uint8_t key[32];           /* SLOT_KEY_FILE: the file's bytes; SLOT_RECOVERY: R's secret */
};

/* A slot for that secret (SLOT_RECOVERY: for its public half). log2_n: of SLOT_PASSPHRASE, 15 to 21, 17 by default (0.3 s,
 * 128 MiB). label: text, at most 100 bytes. ERR_INVALID otherwise. */
enum err slot_seal(const struct uid *store, const struct slot_secret *secret, unsigned log2_n, const char *label,
                   const uint8_t keyring_key[32], struct buf *ret_object);
/* A recovery slot needs only R's public key. */
enum err slot_seal_recovery(const struct uid *store, const uint8_t recovery_public[32], const char *label,
                            const uint8_t keyring_key[32], struct buf *ret_object);
/* Without any secret. ERR_CORRUPT damaged · ERR_UNSUPPORTED */
enum err slot_parse(struct slice object, struct slot_info *ret_info);
/* ERR_DENIED not this slot's secret (or not its kind) · ERR_CORRUPT damaged · ERR_UNSUPPORTED · ERR_INVALID of another store */
enum err slot_open(struct slice object, const struct uid *store, const struct slot_secret *secret, uint8_t ret_keyring_key[32]);

/* keyring-<n> objects. seal: as keyring_encode, but a domain whose first epochs are not held keeps its recovery secret, since only
 * that opens older packs. open: ERR_AUTH damaged, forged, or of another keyring key · ERR_CORRUPT malformed, or not that number ·
 * ERR_UNSUPPORTED · ERR_INVALID of another store */
enum err keyring_seal(const struct keyring *keys, uint64_t number, const uint8_t keyring_key[32], struct buf *ret_object);
enum err keyring_open(struct slice object, const struct uid *store, uint64_t number, const uint8_t keyring_key[32],
                      struct keyring **ret_keyring);
/* Role key files: the same keys without a passphrase around them, so a secret as a whole. ERR_CORRUPT, ERR_UNSUPPORTED. */
enum err role_file_seal(const struct keyring *keys, struct buf *ret_object);
enum err role_file_open(struct slice object, struct keyring **ret_keyring);
