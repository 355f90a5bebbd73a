/*
 * access: an opened store: its settings, its people, and the keys we hold for it.
 *
 * Everything above (index, writers, fs, tools) starts from a struct access. Opening verifies the `yore` object, the config,
 * epochs and certificates that the keys need, and refuses a store whose id is not the one remembered for that URL.
 *
 * Source:  docs/format.md sections 5 and 6.
 * Threads: constant once opened; shared by all threads.
 */
#pragma once

#include "fetch/format/record.h"
#include "fetch/format/slot.h"
#include "fetch/store/store.h"

struct access {
    struct store *store;
    struct store_head_object head;
    struct config config;
    struct keyring *keys;
    bool by_recovery;          /* opened with the recovery key: packs are opened through their headers */
    bool recovered;            /* a keystore made again by the recovery key: packs of before it may be in no segment */
    struct cert_entry {
        struct uid key_id;
        uint8_t public_key[32];
        struct buf object;     /* the verified record */
    } *certs;
    size_t cert_count;
    uint8_t (*admins)[32];     /* the first admin, and those that config records ever named */
    size_t admin_count;
};

/* How a person opens a store. All borrowed. */
struct access_request {
    const char *store_url;
    const char *keystore_url;     /* NULL: by the rules of DESIGN 9 (in-store note, else the default folder) */
    struct slot_secret secret;    /* passphrase, key file or recovery secret (then keys may be lost) */
    const char *role_file;        /* a role key file instead of a keystore; NULL otherwise */
};

/* Only the `yore` object, no key: to know the store id and where its keystore is. ERR_NO_STORE when there is none. */
enum err access_peek(struct store *store, struct store_head_object *ret_head);
/* Default keystore URL of a store (in-store, /etc/yore/keys/<id>, or $XDG_CONFIG_HOME/yore/keys/<id>). */
enum err access_keystore_url(const char *store_url, const struct store_head_object *head, struct buf *ret_url);

/* ERR_NO_STORE, ERR_DENIED (wrong passphrase), ERR_CORRUPT, ERR_UNSUPPORTED, ERR_INVALID (keystore of another store) ... */
enum err access_open(const struct access_request *request, struct access **ret_access);
void access_free(struct access *access);
DEFINE_AUTO_PTR(access);

/* A record that an admin signs (config, epoch, certificate, recovery, revoked), its signature, store and type checked; the object's
 * bytes hold what the record borrows. ERR_AUTH not an admin's, or damaged · ERR_CORRUPT another record in its place; named. */
enum err access_admin_record(const struct access *access, const char *name, enum record_type type, struct buf *ret_object,
                             struct record *ret_record);

/* The signing key behind a key id, verified by an admin; ERR_AUTH "no certificate for ...". */
enum err access_find_writer(const struct access *access, const struct uid *key_id, const uint8_t **ret_public);
/* The key behind the signer of any record: an admin's, or a certified writer's. ERR_AUTH. */
enum err access_find_signer(const struct access *access, const struct uid *key_id, const uint8_t **ret_public);
/* May that writer write this service? ERR_AUTH when its certificate says no. */
enum err access_check_writer(const struct access *access, const struct uid *key_id, uint32_t domain, const char *service,
                             int64_t at_secs);
