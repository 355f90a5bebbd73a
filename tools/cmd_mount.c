/* yore mount, yore umount, and mount.yore for mount(8). */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/base/log.h"
#include "fs/fs.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/site.h"

static struct {
    bool foreground, allow_other, real_owner;
    const char *time_format, *log_file;
    struct arg_list options; /* -o, each may hold several */
    int64_t sync_secs;
} given;

static const struct arg mount_args[] = {
    {"foreground", 'f', ARG_FLAG, &given.foreground, NULL, "stay in the foreground"},
    {"options", 'o', ARG_LIST, &given.options, "OPTS", "as for mount(8): allow_other,real-owner,uid=,gid=,umask=,keystore=,..."},
    {"allow-other", 0, ARG_FLAG, &given.allow_other, NULL, "others may look; the kernel checks owners and modes"},
    {"real-owner", 0, ARG_FLAG, &given.real_owner, NULL, "not root: show owners as they were"},
    {"time-format", 0, ARG_TEXT, &given.time_format, "FORMAT", "names of snapshots, as strftime(3), UTC"},
    {"sync", 0, ARG_NUMBER, &given.sync_secs, "SECS", "look for other hosts' snapshots this often; default 5"},
};

/* Options of mount(8) that mean nothing here, or what we always do; it says rw when nobody said ro. */
static bool is_for_others(const char *name)
{
    static const char *const known[] = {"ro",      "rw",       "nosuid",   "suid",      "nodev",      "dev",       "noexec",
                                        "exec",    "auto",     "noauto",   "nofail",    "user",       "users",     "nouser",
                                        "owner",   "group",    "_netdev",  "defaults",  "async",      "sync",      "atime",
                                        "noatime", "relatime", "diratime", "nodiratime", "norelatime", "strictatime",
                                        "default_permissions"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return strncmp(name, "x-", 2) == 0 || strncmp(name, "comment=", 8) == 0;
}

static enum err number_of(const char *option, const char *value, int base, unsigned long *ret)
{
    char *end;
    *ret = strtoul(value, &end, base);
    if (end == value || *end || *ret > UINT32_MAX)
        return err_set(ERR_INVALID, "mount option %s takes a number, not %s", option, value);
    return ERR_OK;
}

/* Settings that may stand among the mount options: where they go. */
static const char **setting_of(struct settings *s, const char *name, size_t len)
{
    const struct {
        const char *name;
        const char **to;
    } known[] = {
        {"store", &s->store},         {"keystore", &s->keystore},   {"password-file", &s->password_file},
        {"cache-dir", &s->cache_dir}, {"state-dir", &s->state_dir}, {"config", &s->config},
        {"key", &s->key},             {"key-file", &s->key_file},   {"recovery-file", &s->recovery_file},
        {"password-command", &s->password_command},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0)
            return known[i].to;
    return NULL;
}

static enum err take_option(char *option, struct settings *s, struct mount_options *m)
{
    unsigned long number;
    char *equals = strchr(option, '=');
    size_t len = equals ? (size_t)(equals - option) : strlen(option);
    const char **setting = equals ? setting_of(s, option, len) : NULL;
    if (setting) {
        *setting = equals + 1;
    } else if (strcmp(option, "allow_other") == 0) {
        m->allow_other = true;
    } else if (strcmp(option, "real-owner") == 0) {
        m->real_owner = true;
    } else if (strncmp(option, "time-format=", 12) == 0) {
        m->time_format = equals + 1;
    } else if (strncmp(option, "uid=", 4) == 0) {
        TRY(number_of("uid", equals + 1, 10, &number));
        m->has_uid = true;
        m->uid = (uid_t)number;
    } else if (strncmp(option, "gid=", 4) == 0) {
        TRY(number_of("gid", equals + 1, 10, &number));
        m->has_gid = true;
        m->gid = (gid_t)number;
    } else if (strncmp(option, "umask=", 6) == 0) {
        TRY(number_of("umask", equals + 1, 8, &number));
        m->umask = (mode_t)number & 0777;
    } else if (!is_for_others(option)) {
        return err_set(ERR_INVALID, "unknown mount option %s", option);
    }
    return ERR_OK;
}

/* Walk the -o lists; the texts are cut at commas in place (copies live as long as the program). */
static enum err take_options(struct settings *s, struct mount_options *m)
{
    for (size_t i = 0; i < given.options.count; i++) {
        char *copy = strdup(given.options.values[i]), *rest = copy, *option;
        if (!copy)
            return err_set(ERR_NOMEM, "no memory for mount options");
        while ((option = strsep(&rest, ",")))
            if (*option)
                TRY(take_option(option, s, m));
    }
    return ERR_OK;
}

/* In the process that stays: index, then the mount, until it is unmounted. */
static enum err serve(const struct settings *s, struct site *site, struct mount_options *m)
{
    TRY(site_cache_dir(s, &site->access->head.store, &site->cache_dir));
    TRY(index_open(site->access, site->cache_dir, &site->index));
    m->access = site->access;
    m->index = site->index;
    m->cache_dir = site->cache_dir;
    return fs_mount(m);
}

static enum err run_mount(struct run *run)
{
    struct settings settings = *run->settings;
    struct mount_options m = {.mountpoint = run->words[0],
                              .foreground = given.foreground,
                              .allow_other = given.allow_other,
                              .real_owner = given.real_owner,
                              .time_format = given.time_format};
    if (given.sync_secs < 0 || given.sync_secs > 86400)
        return err_set(ERR_INVALID, "--sync takes seconds, from 1 to 86400");
    m.sync_secs = (unsigned)given.sync_secs;
    TRY(take_options(&settings, &m));
    AUTO(site) site = {0};
    struct fs_waiter waiter = FS_WAITER_NONE;
    /* The passphrase is asked here, where the terminal is; then the process goes to the background; threads come after that. */
    TRY(site_access(&settings, &site));
    if (!given.foreground) {
        bool is_parent;
        TRY(fs_daemonize(&waiter, &is_parent));
        if (is_parent)
            return ERR_OK;
    }
    m.waiter = &waiter;
    enum err e = serve(&settings, &site, &m);
    fs_waiter_report(&waiter, e);
    return e;
}

const struct command cmd_mount = {
    .name = "mount",
    .usage = "MOUNTPOINT",
    .summary = "show all snapshots as folders",
    .details = "Returns when the mount answers. MOUNTPOINT/SERVICE/NAME/... are the snapshots, MOUNTPOINT/SERVICE/latest is the newest;\n"
               "MOUNTPOINT/.yore holds manifests, SHA256SUMS and the state. New snapshots appear by themselves.",
    .args = mount_args,
    .arg_count = sizeof mount_args / sizeof *mount_args,
    .least_words = 1,
    .most_words = 1,
    .run = run_mount,
};

static enum err run_umount(struct run *run)
{
    return fs_unmount(run->words[0]);
}

const struct command cmd_umount = {
    .name = "umount",
    .usage = "MOUNTPOINT",
    .summary = "take a mount away; also a dead one",
    .least_words = 1,
    .most_words = 1,
    .run = run_umount,
};

/* mount(8) calls: mount.yore STORE MOUNTPOINT [-sfnv] [-o OPTS] [-t TYPE] */
enum err mount_helper_arguments(int argc, char **argv, char ***ret_argv, int *ret_argc)
{
    AUTO_MEM char **out = calloc((size_t)argc + 8, sizeof *out);
    const char *words[2];
    int word_count = 0, count = 0;
    static char mount[] = "mount", store[] = "--store", options[] = "-o";
    if (!out)
        return err_set(ERR_NOMEM, "no memory for arguments");
    out[count++] = mount;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
            out[count++] = options;
            out[count++] = argv[++i];
        } else if (strcmp(argv[i], "-t") == 0 && i + 1 < argc) {
            i++;
        } else if (argv[i][0] == '-' && strspn(argv[i] + 1, "sfnv") == strlen(argv[i] + 1)) {
            continue; /* sloppy, fake, no mtab, verbose: nothing to do about */
        } else if (argv[i][0] != '-' && word_count < 2) {
            words[word_count++] = argv[i];
        } else {
            return err_set(ERR_INVALID, "cannot make sense of %s", argv[i]);
        }
    }
    if (word_count != 2)
        return err_set(ERR_INVALID, "usage: mount.yore STORE MOUNTPOINT [-o OPTIONS]");
    out[count++] = store;
    out[count++] = argv[0] == words[0] ? argv[0] : (char *)(uintptr_t)words[0];
    out[count++] = (char *)(uintptr_t)words[1];
    *ret_argv = TAKE(out);
    *ret_argc = count;
    return ERR_OK;
}
