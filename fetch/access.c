#include "fetch/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/base/file.h"
#include "fetch/crypto/digest.h"
#include "fetch/keystore.h"
#include "fetch/store/names.h"

enum err access_peek(struct store *store, struct store_head_object *ret_head)
{
    AUTO(buf) object = BUF_EMPTY;
    enum err e = store_get_all(store, "yore", RECORD_MAX_BYTES, &object);
    if (e == ERR_NOT_FOUND)
        return err_set(ERR_NO_STORE, "no store at %s: check the place, or make one with: yore init --store %s", store->url, store->url);
    TRY(e);
    return err_add(yore_open(buf_slice(&object), ret_head), "%s: yore", store->url);
}

enum err access_keystore_url(const char *store_url, const struct store_head_object *head, struct buf *ret_url)
{
    if (head->keystore_in_store)
        buf_put_format(ret_url, "%s%s", store_url, store_url[0] && store_url[strlen(store_url) - 1] == '/' ? "keys" : "/keys");
    else if (geteuid() == 0)
        buf_put_format(ret_url, "/etc/yore/keys/%s", hex_of(head->store.bytes, 16).text);
    else {
        const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
        if (config && config[0] == '/')
            buf_put_format(ret_url, "%s/yore/keys/%s", config, hex_of(head->store.bytes, 16).text);
        else if (home && home[0] == '/')
            buf_put_format(ret_url, "%s/.config/yore/keys/%s", home, hex_of(head->store.bytes, 16).text);
        else
            return err_set(ERR_INVALID, "no home folder to look for the keystore in: give --keystore");
    }
    buf_put_u8(ret_url, 0);
    TRY(buf_check(ret_url));
    ret_url->len--;
    return ERR_OK;
}

void access_free(struct access *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->cert_count; i++)
        buf_clear(&a->certs[i].object);
    free(a->certs);
    free(a->admins);
    config_clear(&a->config);
    keyring_free(a->keys);
    store_free(a->store);
    free(a);
}

/* ---- admins ---- */

static enum err admins_add(struct access *a, const uint8_t public[32])
{
    for (size_t i = 0; i < a->admin_count; i++)
        if (memcmp(a->admins[i], public, 32) == 0)
            return ERR_OK;
    void *grown = realloc(a->admins, (a->admin_count + 1) * sizeof *a->admins);
    if (!grown)
        return err_set(ERR_NOMEM, "no memory for %zu admins", a->admin_count + 1);
    a->admins = grown;
    memcpy(a->admins[a->admin_count++], public, 32);
    return ERR_OK;
}

/* By the admin it names, if that is one of ours; otherwise the first admin's key says what is wrong with it. */
static const uint8_t *admin_of(const struct access *a, const struct record *record)
{
    for (size_t i = 0; i < a->admin_count; i++) {
        struct uid id = key_id_of(a->admins[i]);
        if (memcmp(id.bytes, record->signer.bytes, sizeof id.bytes) == 0)
            return a->admins[i];
    }
    return a->head.first_admin;
}

enum err access_admin_record(const struct access *a, const char *name, enum record_type type, struct buf *ret_object,
                             struct record *ret_record)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record record;
    TRY(store_get_all(a->store, name, RECORD_MAX_BYTES, &object));
    enum err e = record_parse(buf_slice(&object), &record);
    if (e == ERR_OK)
        e = record_verify(buf_slice(&object), admin_of(a, &record));
    if (e == ERR_OK && (record.type != type || memcmp(record.store.bytes, a->head.store.bytes, 16) != 0))
        e = err_set(ERR_CORRUPT, "another record in its place");
    TRY(err_add(e, "%s", name));
    buf_move(ret_object, &object);
    *ret_record = record;
    return ERR_OK;
}

/* ---- keys ---- */

/* The newest recovery record. */
static enum err recovery_record(struct access *a, struct buf *ret_object, struct record *ret_record)
{
    AUTO(name_list) names = {0};
    TRY(store_names(a->store, "recovery/", &names));
    if (names.count == 0)
        return err_set(ERR_CORRUPT, "%s: its recovery/ record is missing", a->store->url);
    return access_admin_record(a, names.names[names.count - 1], RECORD_RECOVERY, ret_object, ret_record);
}

static enum err keys_by_recovery(struct access *a, const struct slot_secret *secret)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record record;
    TRY(recovery_record(a, &object, &record));
    TRY(recovery_decode(&a->head.store, record.fields, secret->key, &a->keys));
    a->by_recovery = true;
    return ERR_OK;
}

/* Only a keystore made again by the recovery key holds the recovery secret of a domain that is not erasable. */
static bool is_made_again(const struct keyring *keys)
{
    static const uint8_t none[32];
    for (size_t i = 0; i < keys->domain_count; i++)
        if (!keys->domains[i].erasable && memcmp(keys->domains[i].recovery.secret, none, sizeof none) != 0)
            return true;
    return false;
}

static enum err keys_by_keystore(struct access *a, const struct access_request *request)
{
    AUTO(buf) url = BUF_EMPTY;
    if (request->keystore_url) {
        buf_put(&url, request->keystore_url, strlen(request->keystore_url) + 1);
        TRY(buf_check(&url));
    } else {
        TRY(access_keystore_url(a->store->url, &a->head, &url));
    }
    AUTO_PTR(store) keystore = NULL;
    enum err e = store_open((const char *)url.data, false, &keystore);
    if (e == ERR_NO_STORE)
        return err_set(ERR_NO_KEY, "no keystore at %s: give --keystore, or: yore key recover --recovery-file FILE",
                       (const char *)url.data);
    TRY(e);
    struct keystore_opened opened = {0};
    TRY(keystore_open(keystore, &a->head.store, &request->secret, &opened));
    explicit_bzero(opened.keyring_key, sizeof opened.keyring_key);
    a->keys = opened.keys;
    a->recovered = is_made_again(a->keys);
    return ERR_OK;
}

static enum err keys_load(struct access *a, const struct access_request *request)
{
    if (request->role_file) {
        AUTO(buf) object = BUF_EMPTY;
        TRY(file_read_all(request->role_file, RECORD_MAX_BYTES, &object));
        enum err e = role_file_open(buf_slice(&object), &a->keys);
        explicit_bzero(object.data, object.len);
        TRY(err_add(e, "%s", request->role_file));
    } else if (request->secret.kind == SLOT_RECOVERY) {
        TRY(keys_by_recovery(a, &request->secret));
    } else {
        TRY(keys_by_keystore(a, request));
    }
    if (memcmp(a->keys->store.bytes, a->head.store.bytes, 16) != 0)
        return err_set(ERR_NO_KEY, "these keys belong to store %s, not to %s at %s", hex_of(a->keys->store.bytes, 16).text,
                       hex_short(a->head.store.bytes).text, a->store->url);
    if (memcmp(a->keys->first_admin, a->head.first_admin, 32) != 0)
        return err_set(ERR_AUTH, "%s: its `yore` object is signed by another admin than these keys know", a->store->url);
    return ERR_OK;
}

/* ---- signed settings ---- */

static uint64_t last_number(const char *name)
{
    const char *slash = strrchr(name, '/');
    return strtoull(slash ? slash + 1 : name, NULL, 10);
}

/* One config record, which follows the one whose hash is *before; its admins count from here on. */
static enum err config_step(struct access *a, const char *name, uint64_t number, struct hash *before)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record record;
    TRY(access_admin_record(a, name, RECORD_CONFIG, &object, &record));
    if (record.number != number || last_number(name) != number || memcmp(record.previous.bytes, before->bytes, 32) != 0)
        return err_set(ERR_CORRUPT, "%s does not follow the record before it", name);
    sha256_of(buf_slice(&object), before->bytes);
    config_clear(&a->config);
    TRY(err_add(config_decode(record.fields, &a->config), "%s", name));
    for (size_t i = 0; i < a->config.admin_count; i++)
        TRY(admins_add(a, a->config.admins[i]));
    return ERR_OK;
}

/* Every config record in order: a chain by hash; the last one counts. */
static enum err config_load(struct access *a)
{
    AUTO(name_list) names = {0};
    TRY(store_names(a->store, "config/", &names));
    if (names.count == 0)
        return err_set(ERR_CORRUPT, "%s: its config/ record is missing", a->store->url);
    struct hash before = {{0}};
    for (size_t i = 0; i < names.count; i++)
        TRY(config_step(a, names.names[i], i + 1, &before));
    return ERR_OK;
}

static enum err epoch_decode(const struct record *record, struct epoch_keys *ret_epoch)
{
    struct cursor c = cursor_of(record->fields);
    struct field f;
    *ret_epoch = (struct epoch_keys){.epoch = (uint32_t)record->number};
    while (fields_next(&c, &f)) {
        if (f.number == 1)
            TRY(field_fixed(&f, "epoch", ret_epoch->data.public, 32));
        else if (f.number == 2)
            TRY(field_fixed(&f, "epoch", ret_epoch->tree.public, 32));
        else
            TRY(fields_unknown(&f, "epoch"));
    }
    return cursor_check(&c, "epoch");
}

/* Epochs newer than our keys: a writer seals to their public halves. */
static enum err epochs_load(struct access *a, const struct domain_keys *domain)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "epochs/%08x/", domain->id);
    AUTO(name_list) names = {0};
    TRY(store_names(a->store, prefix, &names));
    uint32_t newest = domain->epoch_count ? domain->epochs[domain->epoch_count - 1].epoch : 0;
    for (size_t i = 0; i < names.count; i++) {
        if (last_number(names.names[i]) <= newest)
            continue;
        AUTO(buf) object = BUF_EMPTY;
        struct record record;
        struct epoch_keys epoch;
        TRY(access_admin_record(a, names.names[i], RECORD_EPOCH, &object, &record));
        if (record.domain != domain->id || record.number != last_number(names.names[i]))
            return err_set(ERR_CORRUPT, "%s: another record in its place", names.names[i]);
        TRY(epoch_decode(&record, &epoch));
        TRY(keyring_add_epoch(a->keys, domain->id, &epoch));
    }
    return ERR_OK;
}

static enum err certs_load(struct access *a)
{
    AUTO(name_list) names = {0};
    TRY(store_names(a->store, "certs/", &names));
    a->certs = calloc(names.count + 1, sizeof *a->certs);
    if (!a->certs)
        return err_set(ERR_NOMEM, "no memory for certificates");
    for (size_t i = 0; i < names.count; i++) {
        struct cert_entry *entry = &a->certs[a->cert_count++];
        struct record record;
        struct cert cert;
        TRY(access_admin_record(a, names.names[i], RECORD_CERT, &entry->object, &record));
        TRY(err_add(cert_decode(record.fields, &cert), "%s", names.names[i]));
        memcpy(entry->public_key, cert.public_key, 32);
        entry->key_id = key_id_of(cert.public_key);
        if (strcmp(names.names[i], name_cert(&entry->key_id).text) != 0)
            return err_set(ERR_CORRUPT, "%s: another certificate in its place", names.names[i]);
    }
    return ERR_OK;
}

enum err access_open(const struct access_request *request, struct access **ret_access)
{
    AUTO_PTR(access) a = calloc(1, sizeof *a);
    if (!a)
        return err_set(ERR_NOMEM, "no memory to open a store");
    TRY(store_open(request->store_url, false, &a->store));
    TRY(access_peek(a->store, &a->head));
    TRY(admins_add(a, a->head.first_admin));
    TRY(config_load(a)); /* before the keys: by recovery key, those stand in a record of an admin's too */
    TRY(keys_load(a, request));
    for (size_t i = 0; i < a->keys->domain_count; i++)
        TRY(epochs_load(a, &a->keys->domains[i]));
    TRY(certs_load(a));
    *ret_access = TAKE(a);
    return ERR_OK;
}

/* ---- people ---- */

static const struct cert_entry *cert_find(const struct access *a, const struct uid *key_id)
{
    for (size_t i = 0; i < a->cert_count; i++)
        if (memcmp(a->certs[i].key_id.bytes, key_id->bytes, 16) == 0)
            return &a->certs[i];
    return NULL;
}

enum err access_find_writer(const struct access *a, const struct uid *key_id, const uint8_t **ret_public)
{
    const struct cert_entry *entry = cert_find(a, key_id);
    if (!entry)
        return err_set(ERR_AUTH, "no certificate for writer %s", hex_of(key_id->bytes, 16).text);
    *ret_public = entry->public_key;
    return ERR_OK;
}

enum err access_find_signer(const struct access *a, const struct uid *key_id, const uint8_t **ret_public)
{
    for (size_t i = 0; i < a->admin_count; i++) {
        struct uid admin = key_id_of(a->admins[i]);
        if (memcmp(admin.bytes, key_id->bytes, sizeof admin.bytes) != 0)
            continue;
        *ret_public = a->admins[i];
        return ERR_OK;
    }
    return access_find_writer(a, key_id, ret_public);
}

enum err access_check_writer(const struct access *a, const struct uid *key_id, uint32_t domain, const char *service, int64_t at_secs)
{
    const struct cert_entry *entry = cert_find(a, key_id);
    if (!entry)
        return err_set(ERR_AUTH, "no certificate for writer %s", hex_of(key_id->bytes, 16).text);
    struct record record;
    TRY(record_parse(buf_slice(&entry->object), &record));
    return err_add(cert_allows(record.fields, domain, service, at_secs), "writer %s", hex_short(key_id->bytes).text);
}
