/*
 * args: command lines as tables: what a command takes, parsed into its variables, and printed as its --help.
 *
 * Long options with = or a following word, short letters, "--" ends options. Options may stand anywhere before "--". A word
 * that is no option of the command is an error that names it; nothing is guessed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch/base/err.h"

enum arg_kind {
    ARG_FLAG,   /* bool: set */
    ARG_UNFLAG, /* bool: cleared (--no-...) */
    ARG_COUNT,  /* int: one more each time */
    ARG_TEXT,   /* const char * */
    ARG_OPTIONAL, /* const char *: --name is "", --name=VALUE is VALUE */
    ARG_LIST,   /* struct arg_list: each time one more */
    ARG_SIZE,   /* uint64_t bytes: 512M */
    ARG_NUMBER, /* int64_t */
};

struct arg {
    const char *name;  /* without dashes */
    char letter;       /* 0: none */
    enum arg_kind kind;
    void *to;
    const char *value; /* name of its value in the help; NULL for flags */
    const char *help;
};

/* Values of an ARG_LIST with the name of the option each came by: order between options is kept when they share a list. */
struct arg_list {
    const char **values;
    const char **names;
    size_t count;
};
void arg_list_clear(struct arg_list *list);

/* What a command is called with: args first, then common options. words: what is left, NULL-ended, borrowed from argv; free
 * the array. rest: what stood behind "--", NULL if there was none. */
struct arg_table {
    const struct arg *args;
    size_t count;
};
struct arg_words {
    char **words;
    size_t count;
    char **rest;
};
void arg_words_clear(struct arg_words *words);

/* ERR_INVALID with the sentence. *ret_help: --help was there (nothing else is checked then). */
enum err args_parse(const struct arg_table *tables, size_t table_count, int argc, char **argv, struct arg_words *ret_words,
                    bool *ret_help);
/* Options as lines for a terminal 100 wide. */
void args_print(const struct arg_table *table);
