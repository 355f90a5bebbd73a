#include "tools/settings.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "fetch/base/file.h"
#include "fetch/format/record.h"

enum { PASSPHRASE_MAX_BYTES = 65536 };

struct arg_table settings_args(struct settings *s)
{
    static struct arg args[15];
    const struct arg all[] = {
        {"store", 0, ARG_TEXT, &s->store, "URL", "where the backups live (YORE_STORE)"},
        {"keystore", 0, ARG_TEXT, &s->keystore, "URL", "where the wrapped keys live (YORE_KEYSTORE)"},
        {"key", 0, ARG_TEXT, &s->key, "FILE", "a role key file instead of a keystore (YORE_KEY)"},
        {"password-file", 0, ARG_TEXT, &s->password_file, "FILE", "its first line is the passphrase (YORE_PASSWORD_FILE)"},
        {"password-command", 0, ARG_TEXT, &s->password_command, "COMMAND", "prints the passphrase (YORE_PASSWORD_COMMAND)"},
        {"key-file", 0, ARG_TEXT, &s->key_file, "FILE", "32 bytes that open a key-file slot"},
        {"recovery-file", 0, ARG_TEXT, &s->recovery_file, "FILE", "the recovery key instead of a passphrase"},
        {"cache-dir", 0, ARG_TEXT, &s->cache_dir, "DIR", "local index and cache; may be deleted at any time (YORE_CACHE_DIR)"},
        {"state-dir", 0, ARG_TEXT, &s->state_dir, "DIR", "what this host remembers of stores (YORE_STATE_DIR)"},
        {"config", 0, ARG_TEXT, &s->config, "FILE", "settings; default /etc/yore/yore.conf (YORE_CONFIG)"},
        {"accept-store", 0, ARG_TEXT, &s->accept_store, "ID", "accept that this place now holds another store"},
        {"json", 0, ARG_FLAG, &s->json, NULL, "one JSON object a line, for programs"},
        {"quiet", 'q', ARG_FLAG, &s->quiet, NULL, "only errors"},
        {"verbose", 'v', ARG_COUNT, &s->verbose, NULL, "more about what is done; twice for everything"},
        {"no-progress", 0, ARG_FLAG, &s->no_progress, NULL, "no progress bar"},
    };
    memcpy(args, all, sizeof all);
    return (struct arg_table){args, sizeof all / sizeof *all};
}

/* ---- configuration ---- */

/* The part of the file that all commands share; services and schedules are other sections. */
struct loading {
    struct settings *settings;
    const char *path;
    char problem[200];
};

static const char **setting_of(struct settings *s, const char *key)
{
    const struct {
        const char *key;
        const char **to;
    } known[] = {
        {"url", &s->store},
        {"keystore", &s->keystore},
        {"key", &s->key},
        {"password-file", &s->password_file},
        {"password-command", &s->password_command},
        {"cache-dir", &s->cache_dir},
        {"state-dir", &s->state_dir},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].key, key) == 0)
            return known[i].to;
    return NULL;
}

static int take_setting(void *context, const char *section, const char *key, const char *value)
{
    struct loading *l = context;
    if (strcmp(section, "store") != 0)
        return 1;
    const char **to = setting_of(l->settings, key);
    if (!to) {
        snprintf(l->problem, sizeof l->problem, "unknown setting %.60s in [store]", key);
        return 0;
    }
    if (*to)
        return 1; /* the command line or the environment said it */
    for (size_t i = 0; i < sizeof l->settings->from_config / sizeof *l->settings->from_config; i++) {
        if (l->settings->from_config[i])
            continue;
        *to = l->settings->from_config[i] = strdup(value);
        return *to != NULL;
    }
    return 0;
}

static enum err load_config(struct settings *s)
{
    bool named = s->config != NULL;
    const char *path = named ? s->config : "/etc/yore/yore.conf";
    struct loading loading = {.settings = s, .path = path};
    FILE *file = fopen(path, "re");
    if (!file)
        return named ? err_errno("configuration %s", path) : ERR_OK;
    int line = ini_parse_file(file, take_setting, &loading);
    fclose(file);
    if (line != 0)
        return err_set(ERR_INVALID, "%s:%d: %s", path, line, loading.problem[0] ? loading.problem : "this line is no setting");
    return ERR_OK;
}

enum err settings_complete(struct settings *s)
{
    const struct {
        const char *name;
        const char **to;
    } variables[] = {
        {"YORE_STORE", &s->store},
        {"YORE_KEYSTORE", &s->keystore},
        {"YORE_KEY", &s->key},
        {"YORE_PASSWORD_FILE", &s->password_file},
        {"YORE_PASSWORD_COMMAND", &s->password_command},
        {"YORE_CACHE_DIR", &s->cache_dir},
        {"YORE_STATE_DIR", &s->state_dir},
        {"YORE_CONFIG", &s->config},
    };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = getenv(variables[i].name);
        if (!*variables[i].to && value && value[0])
            *variables[i].to = value;
    }
    return load_config(s);
}

void settings_clear(struct settings *s)
{
    for (size_t i = 0; i < sizeof s->from_config / sizeof *s->from_config; i++)
        free(s->from_config[i]);
}

/* ---- passphrases ---- */

enum err secret_file_read(const char *path, size_t max_bytes, struct buf *ret_bytes)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno("%s", path);
    if (S_ISREG(st.st_mode) && (st.st_mode & 077))
        return err_set(ERR_DENIED, "%s can be read by others: chmod 600 %s", path, path);
    return file_read_all(path, max_bytes, ret_bytes);
}

/* Up to the end of the first line. */
static void first_line(struct buf *bytes)
{
    uint8_t *end = bytes->len ? memchr(bytes->data, '\n', bytes->len) : NULL;
    if (end)
        bytes->len = (size_t)(end - bytes->data);
}

static enum err from_command(const char *command, struct buf *ret)
{
    FILE *pipe = popen(command, "re");
    if (!pipe)
        return err_errno("password command");
    TRY(buf_reserve(ret, PASSPHRASE_MAX_BYTES));
    ret->len = fread(ret->data, 1, PASSPHRASE_MAX_BYTES, pipe);
    int status = pclose(pipe);
    if (status != 0)
        return err_set(ERR_DENIED, "the password command ended with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : status);
    first_line(ret);
    return ERR_OK;
}

static enum err ask(const char *prompt, struct buf *ret)
{
    FILE *terminal = fopen("/dev/tty", "r+e");
    if (!terminal)
        return err_set(ERR_INVALID, "no passphrase: give --password-file, --password-command, YORE_PASSWORD_FILE or YORE_PASSWORD "
                                    "(there is no terminal to ask on)");
    struct termios before, silent;
    int fd = fileno(terminal);
    tcgetattr(fd, &before);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fd, TCSAFLUSH, &silent);
    fprintf(terminal, "%s: ", prompt);
    fflush(terminal);
    TRY(buf_reserve(ret, 4096));
    char *line = fgets((char *)ret->data, 4096, terminal);
    tcsetattr(fd, TCSAFLUSH, &before);
    fputc('\n', terminal);
    fclose(terminal);
    if (!line)
        return err_set(ERR_CANCELED, "no passphrase was typed");
    ret->len = strlen(line);
    first_line(ret);
    return ERR_OK;
}

enum err settings_passphrase(const struct settings *s, const char *prompt, bool confirm, struct buf *ret)
{
    if (s->password_file) {
        TRY(secret_file_read(s->password_file, PASSPHRASE_MAX_BYTES, ret));
        first_line(ret);
    } else if (s->password_command) {
        TRY(from_command(s->password_command, ret));
    } else if (getenv("YORE_PASSWORD")) {
        const char *value = getenv("YORE_PASSWORD");
        buf_put(ret, value, strlen(value));
        TRY(buf_check(ret));
    } else {
        TRY(ask(prompt, ret));
        if (confirm) {
            AUTO(buf) again = BUF_EMPTY;
            TRY(ask("Once more", &again));
            bool same = slice_equal(buf_slice(ret), buf_slice(&again));
            buf_wipe(&again);
            if (!same)
                return err_set(ERR_INVALID, "the two passphrases differ");
        }
    }
    return ret->len ? ERR_OK : err_set(ERR_INVALID, "the passphrase is empty");
}

enum err settings_secret(const struct settings *s, struct slot_secret *ret_secret, struct buf *ret_passphrase)
{
    *ret_secret = (struct slot_secret){.kind = SLOT_PASSPHRASE};
    if (s->recovery_file) {
        AUTO(buf) text = BUF_EMPTY;
        ret_secret->kind = SLOT_RECOVERY;
        TRY(secret_file_read(s->recovery_file, 65536, &text));
        enum err e = recovery_text_parse(buf_slice(&text), ret_secret->key);
        buf_wipe(&text);
        return err_add(e, "%s", s->recovery_file);
    }
    if (s->key_file) {
        AUTO(buf) bytes = BUF_EMPTY;
        ret_secret->kind = SLOT_KEY_FILE;
        TRY(secret_file_read(s->key_file, 4096, &bytes));
        if (bytes.len != sizeof ret_secret->key)
            return err_set(ERR_INVALID, "%s has %zu bytes; a key file has 32", s->key_file, bytes.len);
        memcpy(ret_secret->key, bytes.data, sizeof ret_secret->key);
        buf_wipe(&bytes);
        return ERR_OK;
    }
    TRY(settings_passphrase(s, "Passphrase", false, ret_passphrase));
    ret_secret->passphrase = buf_slice(ret_passphrase);
    return ERR_OK;
}
