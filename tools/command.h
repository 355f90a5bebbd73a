/*
 * command: what a command is to main.c: a name, words for --help, options, a function.
 *
 * A cmd_*.c parses nothing itself: main.c has done it by the tables. It calls library functions and prints.
 */
#pragma once

#include "tools/args.h"
#include "tools/settings.h"

struct run {
    const struct settings *settings;
    char **words;        /* arguments that are no options, NULL-ended */
    size_t word_count;
    char **rest;         /* behind "--", or NULL */
    int status;          /* exit status when the function returns ERR_OK; 0 at first */
};

struct command {
    const char *name;            /* "backup files" */
    const char *usage;           /* "SERVICE PATH..." */
    const char *summary;         /* one line */
    const char *details;         /* paragraphs, or NULL */
    const struct arg *args;
    size_t arg_count;
    size_t least_words, most_words; /* most: SIZE_MAX for any number */
    enum err (*run)(struct run *run);
};

/* One table per cmd_*.c. */
extern const struct command cmd_init, cmd_backup_files, cmd_backup_stream, cmd_mount, cmd_umount, cmd_snapshots, cmd_ls, cmd_cat,
    cmd_find, cmd_diff, cmd_versions, cmd_stats, cmd_restore, cmd_check, cmd_key_list, cmd_key_add, cmd_key_remove, cmd_key_passwd,
    cmd_key_recover, cmd_completion, cmd_version;

/* All of them, NULL-ended, in the order of --help. */
extern const struct command *const commands[];

/* The program's name when it is called as mount.yore: arguments as mount(8) gives them become those of `yore mount`. */
enum err mount_helper_arguments(int argc, char **argv, char ***ret_argv, int *ret_argc);
