#include "tests/support/made.h"

#include <stdio.h>

#include "fetch/store/names.h"

static enum err keep_recovery(void *context, struct slice text)
{
    return recovery_text_parse(text, context);
}

enum err made_new(struct made *ret_made, bool in_store)
{
    AUTO(made) made = MADE_NONE;
    AUTO(init_result) result = {0};
    TRY(tmp_dir_new(&made.tmp));
    snprintf(made.store_url, sizeof made.store_url, "%s/store", made.tmp.path);
    snprintf(made.keystore_url, sizeof made.keystore_url, "%s/%s", made.tmp.path, in_store ? "store/keys" : "keystore");
    struct init_options options = {
        .store_url = made.store_url,
        .keystore_url = in_store ? "in-store" : made.keystore_url,
        .passphrase = slice_str(MADE_PASSPHRASE),
        .scrypt_log2_n = MADE_LOG2_N,
    };
    TRY(store_init(&options, keep_recovery, made.recovery, &result));
    made.id = result.store;
    *ret_made = made;
    made = MADE_NONE;
    return ERR_OK;
}

void made_clear(struct made *made)
{
    tmp_dir_clear(&made->tmp);
}

enum err made_open(const struct made *made, const char *passphrase, struct access **ret_access)
{
    struct access_request request = {
        .store_url = made->store_url,
        .keystore_url = made->keystore_url,
        .secret = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str(passphrase)},
    };
    return access_open(&request, ret_access);
}

enum err made_open_recovery(const struct made *made, struct access **ret_access)
{
    struct access_request request = {.store_url = made->store_url, .secret.kind = SLOT_RECOVERY};
    memcpy(request.secret.key, made->recovery, 32);
    return access_open(&request, ret_access);
}

/* slot-... and keyring-... lie in the keystore. */
static enum err place_of(const struct made *made, const char *name, struct store **ret_store)
{
    bool keys = strncmp(name, "slot-", 5) == 0 || strncmp(name, "keyring-", 8) == 0;
    return store_open(keys ? made->keystore_url : made->store_url, false, ret_store);
}

enum err made_put(const struct made *made, const char *name, struct slice bytes)
{
    AUTO_PTR(store) store = NULL;
    TRY(place_of(made, name, &store));
    return bytes.data ? store_put(store, name, bytes, false) : store_remove(store, name);
}

enum err made_get(const struct made *made, const char *name, struct buf *ret_bytes)
{
    AUTO_PTR(store) store = NULL;
    TRY(place_of(made, name, &store));
    return store_get_all(store, name, RECORD_MAX_BYTES, ret_bytes);
}

enum err made_find(const struct made *made, const char *prefix, struct object_name *ret_name)
{
    AUTO_PTR(store) store = NULL;
    AUTO(name_list) names = {0};
    TRY(place_of(made, prefix, &store));
    TRY(store_names(store, prefix, &names));
    if (names.count == 0)
        return err_set(ERR_NOT_FOUND, "nothing begins with %s", prefix);
    snprintf(ret_name->text, sizeof ret_name->text, "%s", names.names[0]);
    return ERR_OK;
}
