/*
 * settings: what every command needs to know: where the store is, how its keys open, how to talk to people.
 *
 * Order: command line, environment (YORE_ and the name in capitals), configuration file, default.
 */
#pragma once

#include "fetch/format/slot.h"
#include "tools/args.h"

struct settings {
    const char *store, *keystore, *key, *password_file, *password_command, *recovery_file, *key_file;
    const char *cache_dir, *state_dir, *config, *accept_store;
    bool json, quiet, no_progress;
    int verbose;
    char *from_config[8]; /* texts read from the configuration; owned */
};

/* The options every command takes, bound to this settings. The table lives as long as settings. */
struct arg_table settings_args(struct settings *settings);
/* Fill what the command line left open. ERR_INVALID names file, line and sentence. */
enum err settings_complete(struct settings *settings);
void settings_clear(struct settings *settings);

/* The passphrase, from where the settings say, or asked on the terminal (twice when confirm). Wipe it. prompt: what is asked.
 *   ERR_INVALID no way to get one: names the four ways · ERR_DENIED a file others can read, or a command that failed */
enum err settings_passphrase(const struct settings *settings, const char *prompt, bool confirm, struct buf *ret_passphrase);
/* What opens the keystore: the recovery file, a key file, or the passphrase. *ret_passphrase holds the bytes it borrows. */
enum err settings_secret(const struct settings *settings, struct slot_secret *ret_secret, struct buf *ret_passphrase);
/* A file with secrets: not readable by others, or ERR_DENIED with the chmod to type. */
enum err secret_file_read(const char *path, size_t max_bytes, struct buf *ret_bytes);
