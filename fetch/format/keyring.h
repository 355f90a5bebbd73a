/*
 * keyring: the keys that one process holds: what it may sign, write, read; and the sealing rules that use them.
 *
 * A keyring is loaded once (from a keystore through slot.h, a role key file, or the recovery key) and constant after
 * that. Secrets live in locked memory and are wiped by keyring_free.
 *
 * Source:  docs/format.md sections 3 and 6.2.
 * Threads: constant after loading; shared by all threads.
 */
#pragma once

#include "fetch/base/bytes.h"
#include "fetch/crypto/hpke.h"
#include "fetch/crypto/sign.h"
#include "fetch/format/ids.h"

enum role { ROLE_WRITER = 1, ROLE_READER = 2, ROLE_KEEPER = 4, ROLE_WATCHER = 8, ROLE_ADMIN = 16 };
#define ROLES_ALL (ROLE_WRITER | ROLE_READER | ROLE_KEEPER | ROLE_WATCHER | ROLE_ADMIN)

struct epoch_keys {
    uint32_t epoch;
    struct x25519_pair data, tree;     /* secret all zero where not held */
};

struct domain_keys {
    uint32_t id;
    char name[101];
    bool erasable;
    uint8_t k_id[32], k_cut[32], k_idx[32], k_name[32];
    struct x25519_pair recovery;       /* secret all zero where not held */
    struct epoch_keys *epochs;         /* ascending; the last is the one to seal to */
    size_t epoch_count;
    /* derived when the keyring is built (docs/format.md section 3) */
    struct id_keys *data_ids, *tree_ids;
    uint8_t tree_cut[32], segment_key[32], envelope_key[32], tag_key[32], link_key[32];
};

struct keyring {
    struct uid store;
    uint32_t roles;
    bool has_admin, has_signing, has_recovery_public;
    struct sign_pair admin, signing;
    uint8_t first_admin[32];
    uint8_t recovery_public[32];       /* R */
    struct domain_keys *domains;
    size_t domain_count;
};

/* A fresh keyring with every role, domain 1 "main" (not erasable), epoch 1, all keys random. ret_recovery_secret gets R's secret: show it
 * once, then wipe it; the keyring keeps only the public part. */
enum err keyring_generate(const struct uid *store, struct keyring **ret_keyring, uint8_t ret_recovery_secret[32]);

enum { KEYRING_MAX_DOMAINS = 1024, KEYRING_MAX_EPOCHS = 100000 /* of all domains */ };

/* The fields of docs/format.md 6.2 (the inside of the block), to seal (plain bytes full of secrets: buf_wipe them), and back.
 * The recovery secret of a domain that is not erasable is left out: it belongs sealed to R (record.h, recovery_encode), and
 * in a keystore made again by the recovery key (slot.h, keyring_seal). Unknown ignorable fields are not kept. decode: ERR_CORRUPT, ERR_UNSUPPORTED. */
enum err keyring_encode(const struct keyring *keys, struct buf *ret_fields);
enum err keyring_decode(const struct uid *store, struct slice fields, struct keyring **ret_keyring);

void keyring_free(struct keyring *keyring);
DEFINE_AUTO_PTR(keyring);

/* While a keyring is still one thread's own: add or complete an epoch (newer ones come from the store's epochs/ records). */
enum err keyring_add_epoch(struct keyring *keyring, uint32_t domain, const struct epoch_keys *epoch);

/* ERR_NO_KEY "domain 2 is not in this keyring". */
enum err keyring_find_domain(const struct keyring *keys, uint32_t domain, const struct domain_keys **ret_domain);

/* The key id of a public key: first 16 bytes of its SHA-256. */
struct uid key_id_of(const uint8_t public_key[32]);
/* A service's folder in the store; and what linked files of one source have in common. */
struct uid service_tag(const struct domain_keys *domain, const char *service);
struct uid link_group(const struct domain_keys *domain, uint64_t device, uint64_t inode);
/* The id keys for chunks of one kind. */
const struct id_keys *domain_ids(const struct domain_keys *domain, enum chunk_kind kind);

enum { SEALED_KEY_BYTES = 80 };

/* Pack keys: sealed to the current epoch (segment) and to the domain's recovery pair (pack header), and opened again.
 * open: ERR_NO_KEY when this keyring lacks the secret, ERR_AUTH when the bytes are forged or damaged. */
enum err pack_key_seal_epoch(const struct keyring *keys, uint32_t domain, enum chunk_kind kind, const struct uid *origin,
                             const uint8_t pack_key[32], uint32_t *ret_epoch, uint8_t ret_sealed[SEALED_KEY_BYTES]);
enum err pack_key_open_epoch(const struct keyring *keys, uint32_t domain, enum chunk_kind kind, const struct uid *origin,
                             uint32_t epoch, const uint8_t sealed[SEALED_KEY_BYTES], uint8_t ret_pack_key[32]);
enum err pack_key_seal_recovery(const struct keyring *keys, uint32_t domain, const struct uid *origin,
                                const uint8_t pack_key[32], uint8_t ret_sealed[SEALED_KEY_BYTES]);
enum err pack_key_open_recovery(const struct keyring *keys, uint32_t domain, const struct uid *origin,
                                const uint8_t sealed[SEALED_KEY_BYTES], uint8_t ret_pack_key[32]);
