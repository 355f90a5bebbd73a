/* yore: the table of commands, --help, and the exit status that an error means. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/base/clock.h"
#include "fetch/base/log.h"
#include "fetch/crypto/secret.h"
#include "fetch/crypto/selftest.h"
#include "tools/command.h"
#include "tools/print.h"

const struct command *const commands[] = {
    &cmd_init,     &cmd_backup_files, &cmd_backup_stream, &cmd_mount,   &cmd_umount,     &cmd_snapshots,  &cmd_ls,
    &cmd_cat,      &cmd_find,         &cmd_diff,          &cmd_versions, &cmd_stats,     &cmd_restore,    &cmd_check,
    &cmd_key_list, &cmd_key_add,      &cmd_key_remove,    &cmd_key_passwd, &cmd_key_recover, &cmd_completion, &cmd_version,
    NULL,
};

static int exit_status(enum err e)
{
    switch (e) {
    case ERR_OK:
        return 0;
    case ERR_INVALID:
    case ERR_EXISTS:
    case ERR_NOT_FOUND:
        return 1;
    case ERR_DENIED:
    case ERR_NO_KEY:
        return 3;
    case ERR_NO_STORE:
    case ERR_UNREACHABLE:
    case ERR_AGAIN:
        return 4;
    case ERR_FULL:
        return 5;
    case ERR_UNSUPPORTED:
        return 6;
    case ERR_CORRUPT:
    case ERR_AUTH:
        return 7;
    case ERR_FENCED:
        return 8;
    case ERR_NOMEM:
    case ERR_CANCELED:
    case ERR_IO:
        break;
    }
    return 9;
}

static void print_overview(void)
{
    puts("yore: backups you can look into: encrypted, deduplicated, mounted\n\nUsage: yore COMMAND [OPTION]... [ARGUMENT]...\n");
    for (const struct command *const *at = commands; *at; at++)
        printf("  %-16s %s\n", (*at)->name, (*at)->summary);
    puts("\nA SNAPSHOT is SERVICE/NAME (a unique beginning will do), SERVICE/latest, or SERVICE@WHEN.\n"
         "yore COMMAND --help says more; so do the manual pages yore(1) and yore.conf(5).");
}

static void print_help(const struct command *command, const struct arg_table *common)
{
    printf("Usage: yore %s%s%s%s\n\n%s\n", command->name, command->arg_count ? " [OPTION]..." : "", command->usage[0] ? " " : "",
           command->usage, command->summary);
    if (command->details)
        printf("\n%s\n", command->details);
    if (command->arg_count) {
        struct arg_table own = {command->args, command->arg_count};
        puts("\nOptions:");
        args_print(&own);
    }
    puts("\nFor every command:");
    args_print(common);
    puts("\nExit status: 0 ok, 1 usage or configuration, 2 committed but partial, 3 wrong password or right, 4 store unreachable or no\n"
         "store there, 5 no space, 6 newer format, 7 damage, 8 fenced, 9 anything else.");
}

/* The command whose words begin argv; *ret_used: how many words its name took. */
static const struct command *find_command(int argc, char **argv, int *ret_used)
{
    for (const struct command *const *at = commands; *at; at++) {
        const char *space = strchr((*at)->name, ' ');
        size_t first = space ? (size_t)(space - (*at)->name) : strlen((*at)->name);
        if (argc < 1 || strlen(argv[0]) != first || memcmp(argv[0], (*at)->name, first) != 0)
            continue;
        if (!space) {
            *ret_used = 1;
            return *at;
        }
        if (argc >= 2 && strcmp(argv[1], space + 1) == 0) {
            *ret_used = 2;
            return *at;
        }
    }
    return NULL;
}

/* A word that begins commands of two words ("backup", "key"): name them. */
static bool print_family(const char *word)
{
    bool any = false;
    for (const struct command *const *at = commands; *at; at++) {
        size_t len = strlen(word);
        if (strncmp((*at)->name, word, len) == 0 && (*at)->name[len] == ' ') {
            if (!any)
                fprintf(stderr, "yore %s is one of:\n", word);
            fprintf(stderr, "  yore %s %s\n", (*at)->name, (*at)->usage);
            any = true;
        }
    }
    return any;
}

static enum err run_command(const struct command *command, int argc, char **argv, struct settings *settings, int *ret_status)
{
    struct arg_table tables[] = {{command->args, command->arg_count}, settings_args(settings)};
    AUTO(arg_words) words = {0};
    bool help;
    TRY(args_parse(tables, 2, argc, argv, &words, &help));
    if (help) {
        print_help(command, &tables[1]);
        return print_finish();
    }
    if (words.count < command->least_words || words.count > command->most_words)
        return err_set(ERR_INVALID, "usage: yore %s %s (see --help)", command->name, command->usage);
    TRY(settings_complete(settings));
    log_open(settings->quiet ? LOG_LEVEL_ERROR : settings->verbose > 1 ? LOG_LEVEL_DEBUG : settings->verbose ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
             settings->json ? LOG_STYLE_JSON : LOG_STYLE_PLAIN, 2);
    TRY(crypto_selftest());
    struct run run = {settings, words.words, words.count, words.rest, 0};
    TRY(command->run(&run));
    *ret_status = run.status;
    return print_finish();
}

static void report(const struct settings *settings, enum err e)
{
    if (settings->json) {
        json_t *o = json_pack("{ss ss si}", "error", err_word(e), "message", err_text(), "exit", exit_status(e));
        char *line = o ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
        fprintf(stderr, "%s\n", line ? line : "{\"error\":\"no-memory\"}");
        free(line);
        json_decref(o);
        return;
    }
    AUTO(buf) text = BUF_EMPTY;
    if (text_escape(slice_str(err_text()), &text) == ERR_OK)
        fprintf(stderr, "yore: %s\n", (const char *)text.data);
    else
        fprintf(stderr, "yore: out of memory\n");
}

static char version_word[] = "version";

static int run(int argc, char **argv)
{
    if (argc < 1 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0) {
        print_overview();
        return print_finish() == ERR_OK ? (argc < 1 ? 1 : 0) : 9;
    }
    if (strcmp(argv[0], "--version") == 0)
        argv[0] = version_word;
    int used = 0, status = 0;
    const struct command *command = find_command(argc, argv, &used);
    if (!command) {
        if (!print_family(argv[0]))
            fprintf(stderr, "yore: no command %s (see yore --help)\n", argv[0]);
        return 1;
    }
    struct settings settings = {0};
    enum err e = run_command(command, argc - used, argv + used, &settings, &status);
    if (e != ERR_OK)
        report(&settings, e);
    settings_clear(&settings);
    return e == ERR_OK ? status : exit_status(e);
}

int main(int argc, char **argv)
{
    /* Frames and pieces come and go by the thousand: let the heap keep them instead of mapping each anew. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_ARENA_MAX, 4); /* a heap a thread would keep what each once needed */
    signal(SIGPIPE, SIG_IGN);
    secret_no_core_dumps();

    const char *name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    if (strcmp(name, "mount.yore") != 0 && strcmp(name, "mount.fuse.yore") != 0)
        return run(argc - 1, argv + 1);
    char **mount_argv;
    int mount_argc;
    if (mount_helper_arguments(argc - 1, argv + 1, &mount_argv, &mount_argc) != ERR_OK) {
        fprintf(stderr, "mount.yore: %s\n", err_text());
        return 1;
    }
    int status = run(mount_argc, mount_argv);
    free(mount_argv);
    return status ? 32 : 0; /* mount(8): 32 = mount failure */
}
