/* yore key ...: the ways into a keystore. */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/file.h"
#include "fetch/base/rand.h"
#include "fetch/init.h"
#include "fetch/keystore.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/site.h"

struct keystore_site {
    struct store *store, *keystore;
    struct store_head_object head;
};

static void keystore_site_clear(struct keystore_site *k)
{
    store_free(k->store);
    store_free(k->keystore);
}

static enum err keystore_site_open(const struct settings *s, struct keystore_site *ret)
{
    const char *url;
    AUTO(buf) keystore_url = BUF_EMPTY;
    TRY(site_store_url(s, &url));
    TRY(store_open(url, false, &ret->store));
    TRY(access_peek(ret->store, &ret->head));
    if (s->keystore)
        buf_put(&keystore_url, s->keystore, strlen(s->keystore) + 1);
    else
        TRY(access_keystore_url(url, &ret->head, &keystore_url));
    TRY(buf_check(&keystore_url));
    enum err e = store_open((const char *)keystore_url.data, false, &ret->keystore);
    if (e == ERR_NO_STORE)
        return err_set(ERR_NO_KEY, "no keystore at %s: give --keystore, or: yore key recover --recovery-file FILE",
                       (const char *)keystore_url.data);
    return e;
}

static enum err open_keyring(const struct settings *s, struct keystore_site *k, struct keystore_opened *ret_opened)
{
    AUTO(buf) passphrase = BUF_EMPTY;
    struct slot_secret secret;
    TRY(settings_secret(s, &secret, &passphrase));
    enum err e = keystore_open(k->keystore, &k->head.store, &secret, ret_opened);
    buf_wipe(&passphrase);
    explicit_bzero(&secret, sizeof secret);
    return e;
}

static void opened_clear(struct keystore_opened *opened)
{
    explicit_bzero(opened->keyring_key, sizeof opened->keyring_key);
    keyring_free(opened->keys);
}

static const char *kind_word(enum slot_kind kind)
{
    return kind == SLOT_PASSPHRASE ? "passphrase" : kind == SLOT_KEY_FILE ? "key-file" : "recovery";
}

/* ---- list ---- */

static enum err run_list(struct run *run)
{
    AUTO(keystore_site) k = {0};
    AUTO_MEM struct keystore_slot *slots = NULL;
    size_t count = 0;
    TRY(keystore_site_open(run->settings, &k));
    TRY(keystore_list(k.keystore, &k.head.store, &slots, &count));
    for (size_t i = 0; i < count; i++) {
        struct timestamp made = {.secs = slots[i].info.made_secs};
        char time[TIME_TEXT_MAX];
        clock_format_local(made, time);
        if (run->settings->json) {
            json_t *o = json_pack("{ss sb}", "slot", slots[i].name, "damaged", slots[i].damaged);
            if (!slots[i].damaged) {
                json_object_set_new(o, "kind", json_string(kind_word(slots[i].info.kind)));
                json_set_name(o, "label", slice_str(slots[i].info.label));
                json_set_time(o, "made", made);
            }
            TRY(print_json(o));
        } else if (slots[i].damaged) {
            printf("%s  DAMAGED\n", slots[i].name);
        } else {
            printf("%s  %-10s  %s  ", slots[i].name, kind_word(slots[i].info.kind), time);
            print_name(stdout, slice_str(slots[i].info.label));
            putchar('\n');
        }
    }
    return ERR_OK;
}

const struct command cmd_key_list = {
    .name = "key list", .usage = "", .summary = "ways into the keystore", .run = run_list};

/* ---- add ---- */

static const char *new_password_file, *new_key_file, *label;

static const struct arg add_args[] = {
    {"new-password-file", 0, ARG_TEXT, &new_password_file, "FILE", "its first line is the new passphrase (YORE_NEW_PASSWORD)"},
    {"new-key-file", 0, ARG_TEXT, &new_key_file, "FILE", "make a key file of 32 random bytes (never overwritten)"},
    {"label", 0, ARG_TEXT, &label, "TEXT", "what to call it, up to 100 bytes"},
};

static enum err new_passphrase(struct buf *ret)
{
    struct settings s = {.password_file = new_password_file};
    const char *from_environment = getenv("YORE_NEW_PASSWORD");
    if (!new_password_file && from_environment && from_environment[0]) {
        buf_put(ret, from_environment, strlen(from_environment));
        return buf_check(ret);
    }
    if (!new_password_file && getenv("YORE_PASSWORD"))
        return err_set(ERR_INVALID, "which new passphrase? give --new-password-file FILE, or set YORE_NEW_PASSWORD");
    return settings_passphrase(&s, "New passphrase", true, ret);
}

static enum err new_secret(struct slot_secret *ret_secret, struct buf *ret_passphrase)
{
    *ret_secret = (struct slot_secret){.kind = new_key_file ? SLOT_KEY_FILE : SLOT_PASSPHRASE};
    if (new_key_file) {
        rand_bytes(ret_secret->key, sizeof ret_secret->key);
        return err_add(file_write_new(new_key_file, slice_of(ret_secret->key, sizeof ret_secret->key), 0600), "%s", new_key_file);
    }
    TRY(new_passphrase(ret_passphrase));
    ret_secret->passphrase = buf_slice(ret_passphrase);
    return ERR_OK;
}

static enum err print_slot(const struct run *run, const char *slot)
{
    if (run->settings->json)
        return print_json(json_pack("{ss}", "slot", slot));
    if (!run->settings->quiet)
        printf("%s\n", slot);
    return ERR_OK;
}

static enum err run_add(struct run *run)
{
    AUTO(keystore_site) k = {0};
    struct keystore_opened opened = {0};
    AUTO(buf) passphrase = BUF_EMPTY;
    struct slot_secret secret;
    char slot[32];
    TRY(keystore_site_open(run->settings, &k));
    TRY(open_keyring(run->settings, &k, &opened));
    enum err e = new_secret(&secret, &passphrase);
    if (e == ERR_OK)
        e = keystore_add(k.keystore, &k.head.store, opened.keyring_key, &secret, SCRYPT_LOG2_N_DEFAULT,
                         label ? label : kind_word(secret.kind), slot);
    opened_clear(&opened);
    buf_wipe(&passphrase);
    explicit_bzero(&secret, sizeof secret);
    TRY(e);
    return print_slot(run, slot);
}

const struct command cmd_key_add = {
    .name = "key add",
    .usage = "",
    .summary = "one more way into the keystore",
    .details = "Opens the keystore as usual, then adds a passphrase or, with --new-key-file, a key file.",
    .args = add_args,
    .arg_count = sizeof add_args / sizeof *add_args,
    .run = run_add,
};

/* ---- remove ---- */

static enum err run_remove(struct run *run)
{
    AUTO(keystore_site) k = {0};
    struct keystore_opened opened = {0};
    TRY(keystore_site_open(run->settings, &k));
    TRY(open_keyring(run->settings, &k, &opened)); /* whoever removes must be able to get in */
    opened_clear(&opened);
    TRY(keystore_remove(k.keystore, &k.head.store, run->words[0]));
    if (!run->settings->quiet && !run->settings->json)
        puts("Removed. Whoever copied the keystore before can still open that copy with the removed passphrase.");
    return ERR_OK;
}

const struct command cmd_key_remove = {
    .name = "key remove",
    .usage = "SLOT",
    .summary = "close one way into the keystore",
    .least_words = 1,
    .most_words = 1,
    .run = run_remove,
};

/* ---- passwd ---- */

static const struct arg passwd_args[] = {
    {"new-password-file", 0, ARG_TEXT, &new_password_file, "FILE", "its first line is the new passphrase (YORE_NEW_PASSWORD)"},
};

static enum err run_passwd(struct run *run)
{
    AUTO(keystore_site) k = {0};
    struct keystore_opened opened = {0};
    AUTO(buf) passphrase = BUF_EMPTY;
    char slot[32];
    TRY(keystore_site_open(run->settings, &k));
    TRY(open_keyring(run->settings, &k, &opened));
    enum err e = new_passphrase(&passphrase);
    struct slot_secret secret = {.kind = SLOT_PASSPHRASE, .passphrase = buf_slice(&passphrase)};
    if (e == ERR_OK)
        e = keystore_add(k.keystore, &k.head.store, opened.keyring_key, &secret, SCRYPT_LOG2_N_DEFAULT, "passphrase", slot);
    if (e == ERR_OK)
        e = keystore_remove(k.keystore, &k.head.store, opened.slot); /* only now that the new one is there and reads back */
    opened_clear(&opened);
    buf_wipe(&passphrase);
    TRY(e);
    return print_slot(run, slot);
}

const struct command cmd_key_passwd = {
    .name = "key passwd",
    .usage = "",
    .summary = "change the passphrase",
    .details = "The slot that opened the keystore is replaced by one for the new passphrase.",
    .args = passwd_args,
    .arg_count = sizeof passwd_args / sizeof *passwd_args,
    .run = run_passwd,
};

/* ---- recover ---- */

static enum err run_recover(struct run *run)
{
    const struct settings *s = run->settings;
    const char *url;
    AUTO(buf) text = BUF_EMPTY, passphrase = BUF_EMPTY, keystore = BUF_EMPTY;
    struct slot_secret secret;
    bool rebuilt;
    TRY(site_store_url(s, &url));
    if (!s->recovery_file)
        return err_set(ERR_INVALID, "give --recovery-file FILE");
    TRY(settings_secret(s, &secret, &text));
    if (getenv("YORE_NEW_PASSWORD") || new_password_file)
        TRY(new_passphrase(&passphrase));
    else
        TRY(settings_passphrase(s, "New passphrase", true, &passphrase));
    enum err e = keystore_recover(url, s->keystore, secret.key, buf_slice(&passphrase), 0, &keystore, &rebuilt);
    explicit_bzero(&secret, sizeof secret);
    buf_wipe(&passphrase);
    TRY(e);
    if (s->json)
        return print_json(json_pack("{ss sb}", "keystore", (const char *)keystore.data, "rebuilt", rebuilt));
    if (!s->quiet)
        printf("%s %s; the new passphrase opens it\n", rebuilt ? "built a new keystore at" : "added a passphrase to keystore",
               (const char *)keystore.data);
    return ERR_OK;
}

const struct command cmd_key_recover = {
    .name = "key recover",
    .usage = "",
    .summary = "a new passphrase by the recovery key",
    .details = "Needs only the store and --recovery-file. A keystore that is still there gets one more passphrase; a lost one is\n"
               "built anew, with new epoch keys and a new signing key. Old backups stay readable.",
    .args = passwd_args,
    .arg_count = sizeof passwd_args / sizeof *passwd_args,
    .run = run_recover,
};
