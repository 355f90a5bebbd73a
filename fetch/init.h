/*
 * init: make a store and its keys; and make a keystore again when only the recovery key is left.
 *
 * Source:  docs/format.md sections 5 and 6.
 * Threads: one caller.
 */
#pragma once

#include "fetch/access.h"

enum { SCRYPT_LOG2_N_DEFAULT = 17 };

struct init_options {
    const char *store_url;
    const char *keystore_url;  /* "in-store", a URL, or NULL for the default folder */
    struct slice passphrase;
    unsigned scrypt_log2_n;    /* 0: 17 */
};
struct init_result {
    struct uid store;
    bool in_store;
    struct buf keystore_url;
};
void init_result_clear(struct init_result *result);

/*
 * Make a store. save_recovery gets the text of the recovery file before anything is written; its error stops all. The `yore`
 * object is put last: a store exists whole or not at all.
 *   ERR_EXISTS  there is something at that place already, or a keystore where the keys should go
 */
enum err store_init(const struct init_options *options, enum err (*save_recovery)(void *context, struct slice text),
                    void *context, struct init_result *ret_result);

/*
 * A new passphrase by the recovery key. A keystore that is still there gets one more slot; a lost one is built anew from the
 * store's recovery/ record: new epoch pairs, a new signing key and certificate; old packs open through their headers.
 */
enum err keystore_recover(const char *store_url, const char *keystore_url, const uint8_t recovery_secret[32],
                          struct slice passphrase, unsigned scrypt_log2_n, struct buf *ret_keystore_url, bool *ret_rebuilt);
