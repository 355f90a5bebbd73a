/*
 * made: a store as `yore init` makes it, in a folder of its own, with a keystore beside it or inside, and its recovery key.
 *
 *     AUTO(made) made = MADE_NONE;
 *     CHECK_OK(made_new(&made, false));
 */
#pragma once

#include "fetch/init.h"
#include "fetch/keystore.h"
#include "tests/support/tmp.h"

enum { MADE_LOG2_N = 15 }; /* scrypt at its cheapest: 50 ms, not 300 */
#define MADE_PASSPHRASE "open sesame"

struct made {
    struct tmp_dir tmp;
    char store_url[512], keystore_url[512];
    struct uid id;
    uint8_t recovery[32];
};
#define MADE_NONE ((struct made){.tmp = TMP_DIR_NONE})

enum err made_new(struct made *ret_made, bool in_store);
void made_clear(struct made *made);

/* Opened with a passphrase, or with the recovery key. */
enum err made_open(const struct made *made, const char *passphrase, struct access **ret_access);
enum err made_open_recovery(const struct made *made, struct access **ret_access);

/* An object put in the place of what was there (SLICE_EMPTY data: removed). In the keystore when its name says so. */
enum err made_put(const struct made *made, const char *name, struct slice bytes);
enum err made_get(const struct made *made, const char *name, struct buf *ret_bytes);
/* The first object whose name begins with prefix, in the store or the keystore. */
enum err made_find(const struct made *made, const char *prefix, struct object_name *ret_name);
