/*
 * record: signed records (config, epochs, certificates, recovery, sessions, fences ...) and the `yore` object.
 *
 * Source:  docs/format.md section 5.
 * Threads: no state.
 */
#pragma once

#include "fetch/crypto/sign.h"
#include "fetch/format/fields.h"
#include "fetch/format/ids.h"
#include "fetch/format/keyring.h"

enum record_type {
    RECORD_CONFIG = 1, RECORD_EPOCH, RECORD_CERT, RECORD_RECOVERY, RECORD_SESSION, RECORD_HEARTBEAT, RECORD_END, RECORD_FENCE,
    RECORD_GC, RECORD_VERDICT, RECORD_DONE, RECORD_FORGET, RECORD_PIN, RECORD_CATALOG, RECORD_REVOKED, RECORD_ATTEST, RECORD_AUDIT,
};

struct record {
    enum record_type type;
    uint32_t domain;
    struct uid store;
    uint64_t number;
    struct hash previous;
    struct uid signer;
    int64_t signed_secs;
    struct slice fields;    /* inside of the fields block; borrowed from the object's bytes */
};

/* Build and sign; signer in head is set from the pair, whatever it holds. fields: a buf of fields_put. */
enum err record_seal(const struct record *head, const struct buf *fields, const struct sign_pair *signer, struct buf *ret_object);

/* Parse; the signature is not yet checked (the signer must be looked up first). ERR_CORRUPT, ERR_UNSUPPORTED. */
enum err record_parse(struct slice object, struct record *ret_record);
/* ERR_AUTH if the signature is not by that key, or the record's signer is another key. */
enum err record_verify(struct slice object, const uint8_t signer_public[32]);

/* ---- the `yore` object: yore_object.c ---- */


struct store_head_object {
    struct uid store;
    bool keystore_in_store;
    int64_t made_secs;
    uint8_t first_admin[32];
    uint64_t must_read, must_write, may_ignore;
};
enum err yore_seal(const struct store_head_object *head, const struct sign_pair *admin, struct buf *ret_object);
/* Verifies its own signature; whether first_admin is the admin one expects is for the caller to know. ERR_CORRUPT, ERR_AUTH,
 * ERR_UNSUPPORTED (version, or a feature a reader must know). A writer must refuse a store with any of must_write set. */
enum err yore_open(struct slice object, struct store_head_object *ret_head);

/* ---- config/<n>: config.c ---- */

enum cut_class { CUT_WHOLE = 1, CUT_FILE = 2, CUT_STREAM = 3, CUT_FIXED = 4, CUT_COLD = 5 };
enum cut_method { CUT_BY_CONTENT = 1, CUT_BY_SIZE = 2, CUT_NOT = 3 };
struct cut_spec {
    uint8_t cut_class, method;
    uint32_t min_bytes, mean_bytes, max_bytes;
};
enum { CONFIG_MAX_CLASSES = 16, CONFIG_MAX_DOMAINS = 1024, CONFIG_MAX_ADMINS = 16 };
struct config_domain {
    uint32_t id;
    uint8_t recovery_public[32];
    bool erasable;
};
struct config {
    struct cut_spec classes[CONFIG_MAX_CLASSES];
    size_t class_count;
    uint32_t frame_bytes, pack_bytes;
    struct config_domain *domains; /* config_clear frees */
    size_t domain_count;
    uint8_t admins[CONFIG_MAX_ADMINS][32]; /* who may sign beside the first admin */
    size_t admin_count;
};
/* No domain, no further admin. */
void config_init_default(struct config *ret_config); /* the sizes of docs/decisions/0001 */
enum err config_encode(const struct config *config, struct buf *ret_fields);
/* Classes and methods of newer versions are kept as they are: only who writes files of a class must know it. ERR_CORRUPT,
 * ERR_UNSUPPORTED. */
enum err config_decode(struct slice fields, struct config *ret_config);
void config_clear(struct config *config);
const struct cut_spec *config_class(const struct config *config, enum cut_class which); /* NULL if not there */

/* ---- recovery/<n> and the recovery file: recovery.c ---- */

/* recovery/<n>: the domains' keys and the admin seed sealed to R; and opened with R's secret into a keyring that can read
 * everything through pack headers (no epochs; erasable domains lack their recovery secret; first_admin is the admin whose seed
 * was sealed: compare it with the `yore` object's).
 *   encode: ERR_NO_KEY   R's public key, or a domain's recovery secret, is not in keys
 *   decode: ERR_DENIED   that secret is not of the R this was sealed to
 *           ERR_AUTH     it is, but a sealed part is forged or damaged · ERR_CORRUPT, ERR_UNSUPPORTED */
enum err recovery_encode(const struct keyring *keys, struct buf *ret_fields);
enum err recovery_decode(const struct uid *store, struct slice fields, const uint8_t recovery_secret[32],
                         struct keyring **ret_keyring);

/* The recovery file's text, a secret (docs/format.md 6.2): made, and parsed (ERR_INVALID with what is wrong: no key line, check digits). */
enum err recovery_text_make(const struct uid *store, const uint8_t secret[32], struct buf *ret_text);
enum err recovery_text_parse(struct slice text, uint8_t ret_secret[32]);

/* ---- certs/<key id>: cert.c ---- */

struct cert {
    uint8_t public_key[32];
    uint32_t roles;
    int64_t not_after_secs; /* 0: no end */
    char holder[256];
};
enum err cert_encode(const struct cert *cert, const uint32_t *domains, size_t domain_count, const char *const *services,
                     size_t service_count, struct buf *ret_fields);
enum err cert_decode(struct slice fields, struct cert *ret_cert);
/* May this certificate's holder write that service in that domain? It must be a writer's, not have ended, and name the domain and
 * a pattern the service fits ('*' stands for any characters, none too). ERR_AUTH if not. */
enum err cert_allows(struct slice fields, uint32_t domain, const char *service, int64_t at_secs);
