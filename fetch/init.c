#include "fetch/init.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/clock.h"
#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/keystore.h"
#include "fetch/store/names.h"

void init_result_clear(struct init_result *result)
{
    buf_clear(&result->keystore_url);
}

/* ---- records an admin puts ---- */

static enum err put_record(struct store *store, const char *name, const struct record *head, const struct buf *fields,
                           const struct keyring *keys)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record full = *head;
    full.store = keys->store;
    full.signer = key_id_of(keys->admin.public);
    full.signed_secs = clock_now().secs;
    TRY(record_seal(&full, fields, &keys->admin, &object));
    return store_put(store, name, buf_slice(&object), true);
}

static enum err put_config(struct store *store, const struct keyring *keys)
{
    AUTO(config) config = {0};
    AUTO(buf) fields = BUF_EMPTY;
    config_init_default(&config);
    free(config.domains);
    config.domains = calloc(keys->domain_count, sizeof *config.domains);
    if (!config.domains)
        return err_set(ERR_NOMEM, "no memory for domains");
    config.domain_count = keys->domain_count;
    for (size_t i = 0; i < keys->domain_count; i++) {
        config.domains[i] = (struct config_domain){.id = keys->domains[i].id, .erasable = keys->domains[i].erasable};
        memcpy(config.domains[i].recovery_public, keys->domains[i].recovery.public, 32);
    }
    TRY(config_encode(&config, &fields));
    struct record head = {.type = RECORD_CONFIG, .number = 1};
    return put_record(store, name_record("config", 1).text, &head, &fields, keys);
}

static enum err put_epoch(struct store *store, const struct keyring *keys, const struct domain_keys *domain,
                          const struct hash *previous)
{
    const struct epoch_keys *epoch = &domain->epochs[domain->epoch_count - 1];
    AUTO(buf) fields = BUF_EMPTY;
    fields_put(&fields, 1, true, slice_of(epoch->data.public, 32));
    fields_put(&fields, 2, true, slice_of(epoch->tree.public, 32));
    TRY(buf_check(&fields));
    struct record head = {.type = RECORD_EPOCH, .domain = domain->id, .number = epoch->epoch, .previous = *previous};
    return put_record(store, name_epoch(domain->id, epoch->epoch).text, &head, &fields, keys);
}

static enum err put_cert(struct store *store, const struct keyring *keys, const char *holder)
{
    struct cert cert = {.roles = ROLES_ALL};
    memcpy(cert.public_key, keys->signing.public, 32);
    memcpy(cert.holder, holder, strlen(holder) + 1);
    AUTO(buf) fields = BUF_EMPTY;
    AUTO_MEM uint32_t *domains = calloc(keys->domain_count, sizeof *domains);
    if (!domains)
        return err_set(ERR_NOMEM, "no memory for domains");
    for (size_t i = 0; i < keys->domain_count; i++)
        domains[i] = keys->domains[i].id;
    const char *all[] = {"*"};
    TRY(cert_encode(&cert, domains, keys->domain_count, all, 1, &fields));
    struct uid id = key_id_of(cert.public_key);
    struct record head = {.type = RECORD_CERT};
    return put_record(store, name_cert(&id).text, &head, &fields, keys);
}

static enum err put_recovery(struct store *store, const struct keyring *keys)
{
    AUTO(buf) fields = BUF_EMPTY;
    TRY(recovery_encode(keys, &fields));
    struct record head = {.type = RECORD_RECOVERY, .number = 1};
    return put_record(store, name_record("recovery", 1).text, &head, &fields, keys);
}

static enum err put_yore(struct store *store, const struct keyring *keys, bool in_store)
{
    struct store_head_object head = {.store = keys->store, .keystore_in_store = in_store, .made_secs = clock_now().secs};
    memcpy(head.first_admin, keys->admin.public, 32);
    AUTO(buf) object = BUF_EMPTY;
    TRY(yore_seal(&head, &keys->admin, &object));
    return store_put(store, "yore", buf_slice(&object), true);
}

/* ---- a keystore from nothing ---- */

static enum err keystore_make(struct store *keystore, const struct keyring *keys, struct slice passphrase, unsigned log2_n)
{
    uint8_t keyring_key[32];
    char slot[32];
    struct slot_secret secret = {.kind = SLOT_PASSPHRASE, .passphrase = passphrase};
    uint64_t newest; /* of a keystore whose slots are lost, a keyring may still be there */
    TRY(keystore_newest(keystore, &newest));
    rand_bytes(keyring_key, sizeof keyring_key);
    enum err e = keystore_replace(keystore, keys, newest, keyring_key);
    if (e == ERR_OK)
        e = keystore_add(keystore, &keys->store, keyring_key, &secret, log2_n ? log2_n : SCRYPT_LOG2_N_DEFAULT, "passphrase", slot);
    if (e == ERR_OK)
        e = keystore_add_recovery(keystore, &keys->store, keyring_key, keys->recovery_public, slot);
    explicit_bzero(keyring_key, sizeof keyring_key);
    return e;
}

/* A folder may hold what no object can be called: photos of somebody's. */
static enum err refuse_used_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return err_errno("cannot list %s", path);
    enum err e = ERR_OK;
    struct dirent *entry;
    while (e == ERR_OK && (entry = readdir(folder)))
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lost+found") != 0)
            e = err_set(ERR_EXISTS, "%s is not empty: a store needs a place of its own", path);
    closedir(folder);
    return e;
}

static enum err refuse_used(struct store *store)
{
    AUTO(name_list) names = {0};
    TRY(store_names(store, "", &names));
    if (names.count == 0)
        return store_local_path(store) ? refuse_used_folder(store_local_path(store)) : ERR_OK;
    for (size_t i = 0; i < names.count; i++)
        if (strcmp(names.names[i], "yore") == 0)
            return err_set(ERR_EXISTS, "there is a store at %s already", store->url);
    return err_set(ERR_EXISTS, "%s is not empty (%s ...): a store needs a place of its own", store->url, names.names[0]);
}

/* The keys of another store may not be mixed with ours. */
static enum err refuse_used_keystore(const char *url)
{
    AUTO_PTR(store) keystore = NULL;
    AUTO(name_list) slots = {0};
    uint64_t newest;
    enum err e = store_open(url, false, &keystore);
    if (e == ERR_NO_STORE)
        return ERR_OK;
    TRY(e);
    TRY(keystore_newest(keystore, &newest));
    TRY(store_names(keystore, "slot-", &slots));
    return newest || slots.count ? err_set(ERR_EXISTS, "there is a keystore at %s already", keystore->url) : ERR_OK;
}

static enum err url_of_keystore(const struct init_options *options, const struct uid *store, struct init_result *result)
{
    struct store_head_object head = {.store = *store};
    result->in_store = options->keystore_url && strcmp(options->keystore_url, "in-store") == 0;
    head.keystore_in_store = result->in_store;
    if (!options->keystore_url || result->in_store)
        return access_keystore_url(options->store_url, &head, &result->keystore_url);
    if (strcmp(options->keystore_url, options->store_url) == 0)
        return err_set(ERR_INVALID, "the keystore may not lie in the store's own place, unless asked for: --keystore in-store");
    buf_put(&result->keystore_url, options->keystore_url, strlen(options->keystore_url) + 1);
    TRY(buf_check(&result->keystore_url));
    result->keystore_url.len--;
    return ERR_OK;
}

enum err store_init(const struct init_options *options, enum err (*save_recovery)(void *context, struct slice text),
                    void *context, struct init_result *ret_result)
{
    AUTO(init_result) result = {0};
    AUTO_PTR(keyring) keys = NULL;
    AUTO_PTR(store) store = NULL;
    AUTO_PTR(store) keystore = NULL;
    AUTO(buf) text = BUF_EMPTY;
    uint8_t recovery_secret[32];

    rand_bytes(result.store.bytes, sizeof result.store.bytes);
    TRY(url_of_keystore(options, &result.store, &result));
    enum err e = store_open(options->store_url, false, &store);
    if (e == ERR_OK)
        TRY(refuse_used(store));
    else if (e != ERR_NO_STORE)
        return e;
    TRY(refuse_used_keystore((const char *)result.keystore_url.data));
    TRY(keyring_generate(&result.store, &keys, recovery_secret));
    e = recovery_text_make(&result.store, recovery_secret, &text);
    explicit_bzero(recovery_secret, sizeof recovery_secret);
    TRY(e);
    e = save_recovery(context, buf_slice(&text));
    buf_wipe(&text);
    TRY(e);

    if (!store)
        TRY(store_open(options->store_url, true, &store));
    TRY(store_open((const char *)result.keystore_url.data, true, &keystore));
    TRY(keystore_make(keystore, keys, options->passphrase, options->scrypt_log2_n));
    TRY(put_config(store, keys));
    struct hash none = {{0}};
    for (size_t i = 0; i < keys->domain_count; i++)
        TRY(put_epoch(store, keys, &keys->domains[i], &none));
    TRY(put_cert(store, keys, "init"));
    TRY(put_recovery(store, keys));
    TRY(put_yore(store, keys, result.in_store));
    *ret_result = result;
    result = (struct init_result){0};
    return ERR_OK;
}

/* ---- back from the recovery key ---- */

/* One more way into a keystore that is still there. */
static enum err add_passphrase(struct store *keystore, const struct uid *store, const struct slot_secret *recovery,
                               struct slice passphrase, unsigned log2_n)
{
    struct keystore_opened opened = {0};
    TRY(keystore_open(keystore, store, recovery, &opened));
    char slot[32];
    struct slot_secret secret = {.kind = SLOT_PASSPHRASE, .passphrase = passphrase};
    enum err e = keystore_add(keystore, store, opened.keyring_key, &secret, log2_n ? log2_n : SCRYPT_LOG2_N_DEFAULT,
                              "passphrase, set by recovery key", slot);
    explicit_bzero(opened.keyring_key, sizeof opened.keyring_key);
    keyring_free(opened.keys);
    return e;
}

/* The next epoch of a domain: fresh pairs, chained to the newest record in the store. */
static enum err next_epoch(const struct access *access, uint32_t domain)
{
    struct store *store = access->store;
    struct keyring *keys = access->keys;
    char prefix[64];
    snprintf(prefix, sizeof prefix, "epochs/%08x/", domain);
    AUTO(name_list) names = {0};
    AUTO(buf) newest = BUF_EMPTY;
    TRY(store_names(store, prefix, &names));
    struct hash previous = {{0}};
    struct epoch_keys epoch = {.epoch = 1};
    if (names.count) {
        const char *name = names.names[names.count - 1];
        struct record record;
        TRY(access_admin_record(access, name, RECORD_EPOCH, &newest, &record));
        sha256_of(buf_slice(&newest), previous.bytes);
        epoch.epoch = (uint32_t)record.number + 1;
    }
    TRY(x25519_generate(&epoch.data));
    TRY(x25519_generate(&epoch.tree));
    enum err e = keyring_add_epoch(keys, domain, &epoch);
    explicit_bzero(&epoch, sizeof epoch);
    TRY(e);
    const struct domain_keys *d;
    TRY(keyring_find_domain(keys, domain, &d));
    return put_epoch(store, keys, d, &previous);
}

static enum err rebuild(struct store *store, const char *store_url, const char *keystore_url, const uint8_t recovery_secret[32],
                        struct slice passphrase, unsigned log2_n)
{
    AUTO_PTR(access) access = NULL;
    AUTO_PTR(store) keystore = NULL;
    struct access_request request = {.store_url = store_url, .secret.kind = SLOT_RECOVERY};
    memcpy(request.secret.key, recovery_secret, 32);
    enum err e = access_open(&request, &access);
    explicit_bzero(&request, sizeof request);
    TRY(e);
    struct keyring *keys = access->keys;
    if (!keys->has_admin)
        return err_set(ERR_CORRUPT, "%s: its recovery/ record lacks the admin key", store->url);
    TRY(store_open(keystore_url, true, &keystore)); /* now that the recovery key proved right */
    TRY(sign_generate(&keys->signing));
    keys->has_signing = true;
    keys->roles = ROLES_ALL;
    for (size_t i = 0; i < keys->domain_count; i++)
        TRY(next_epoch(access, keys->domains[i].id));
    TRY(put_cert(store, keys, "recovered"));
    return keystore_make(keystore, keys, passphrase, log2_n);
}

enum err keystore_recover(const char *store_url, const char *keystore_url, const uint8_t recovery_secret[32],
                          struct slice passphrase, unsigned scrypt_log2_n, struct buf *ret_keystore_url, bool *ret_rebuilt)
{
    AUTO_PTR(store) store = NULL;
    AUTO_PTR(store) keystore = NULL;
    struct store_head_object head;
    TRY(store_open(store_url, false, &store));
    TRY(access_peek(store, &head));
    if (keystore_url) {
        buf_put(ret_keystore_url, keystore_url, strlen(keystore_url) + 1);
        TRY(buf_check(ret_keystore_url));
        ret_keystore_url->len--;
    } else {
        TRY(access_keystore_url(store_url, &head, ret_keystore_url));
    }
    struct slot_secret recovery = {.kind = SLOT_RECOVERY};
    memcpy(recovery.key, recovery_secret, 32);
    *ret_rebuilt = false;
    enum err e = store_open((const char *)ret_keystore_url->data, false, &keystore);
    if (e == ERR_OK) {
        e = add_passphrase(keystore, &head.store, &recovery, passphrase, scrypt_log2_n);
        if (e != ERR_NO_KEY) { /* no recovery slot, or no slot at all: nothing left of it */
            explicit_bzero(&recovery, sizeof recovery);
            return e;
        }
    } else if (e != ERR_NO_STORE) {
        return e;
    }
    explicit_bzero(&recovery, sizeof recovery);
    *ret_rebuilt = true;
    return rebuild(store, store_url, (const char *)ret_keystore_url->data, recovery_secret, passphrase, scrypt_log2_n);
}
