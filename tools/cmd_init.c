/* yore init: make a store and its keys. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/base/file.h"
#include "fetch/init.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/site.h"

struct saving {
    const struct settings *settings;
};

/* Before anything is made: the recovery key is safe in a file, or was shown to somebody. */
static enum err save_recovery(void *context, struct slice text)
{
    const struct saving *saving = context;
    if (saving->settings->recovery_file)
        return err_add(file_write_new(saving->settings->recovery_file, text, 0600), "recovery file %s",
                       saving->settings->recovery_file);
    printf("This is the recovery key. It opens the store when the passphrase or the keystore is lost, and it is shown only now.\n"
           "Write it down, keep it away from this machine.\n\n%.*s\n",
           (int)text.len, (const char *)text.data);
    return print_finish();
}

static enum err run_init(struct run *run)
{
    const struct settings *s = run->settings;
    struct init_options options = {.keystore_url = s->keystore};
    TRY(site_store_url(s, &options.store_url));
    if (!s->recovery_file && !isatty(STDOUT_FILENO))
        return err_set(ERR_INVALID, "give --recovery-file FILE: the recovery key is shown only on a terminal, and nothing was made");
    if (s->recovery_file && access(s->recovery_file, F_OK) == 0)
        return err_set(ERR_EXISTS, "recovery file %s is there already and is never overwritten", s->recovery_file);

    AUTO(buf) passphrase = BUF_EMPTY;
    TRY(settings_passphrase(s, "New passphrase", true, &passphrase));
    options.passphrase = buf_slice(&passphrase);
    struct saving saving = {s};
    AUTO(init_result) result = {0};
    enum err e = store_init(&options, save_recovery, &saving, &result);
    buf_wipe(&passphrase);
    TRY(e);

    const char *keystore = (const char *)result.keystore_url.data;
    if (s->json)
        return print_json(json_pack("{ss ss ss sb}", "store", options.store_url, "id", hex_of(result.store.bytes, 16).text,
                                    "keystore", keystore, "in_store", result.in_store));
    if (s->quiet)
        return ERR_OK;
    printf("store     %s (%s)\nkeystore  %s\n", options.store_url, hex_of(result.store.bytes, 16).text, keystore);
    if (result.in_store)
        puts("The wrapped keys lie in the store: whoever has the store needs only the passphrase.");
    else
        printf("The passphrase alone will not open this store on another machine: copy %s, or keep the recovery key.\n", keystore);
    printf("next      yore backup files home /home --store %s\n", options.store_url);
    return ERR_OK;
}

const struct command cmd_init = {
    .name = "init",
    .usage = "",
    .summary = "make a store and its keys",
    .details = "Makes the store at --store and a keystore: at --keystore, `--keystore in-store` puts it into the store itself, without\n"
               "it /etc/yore/keys/ID (root) or ~/.config/yore/keys/ID. The recovery key goes to --recovery-file (mode 0600, never\n"
               "overwritten) or is shown once on the terminal. Without a terminal:\n\n"
               "  YORE_PASSWORD=... yore init --store DIR --keystore in-store --recovery-file FILE",
    .most_words = 0,
    .run = run_init,
};
