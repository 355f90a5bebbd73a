#include "tools/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/base/cleanup.h"
#include "fetch/base/text.h"

void arg_list_clear(struct arg_list *list)
{
    free(list->values);
    free(list->names);
    *list = (struct arg_list){0};
}

void arg_words_clear(struct arg_words *words)
{
    free(words->words);
    *words = (struct arg_words){0};
}

static enum err list_add(struct arg_list *list, const char *name, const char *value)
{
    const char **values = realloc(list->values, (list->count + 1) * sizeof *values);
    if (values)
        list->values = values;
    const char **names = realloc(list->names, (list->count + 1) * sizeof *names);
    if (names)
        list->names = names;
    if (!values || !names)
        return err_set(ERR_NOMEM, "no memory for options");
    list->values[list->count] = value;
    list->names[list->count++] = name;
    return ERR_OK;
}

static bool takes_value(const struct arg *arg)
{
    return arg->kind != ARG_FLAG && arg->kind != ARG_UNFLAG && arg->kind != ARG_COUNT && arg->kind != ARG_OPTIONAL;
}

static enum err set_size(const struct arg *arg, const char *value)
{
    enum err e = text_parse_size(value, arg->to);
    return err_add(e, "--%s", arg->name);
}

static enum err set_number(const struct arg *arg, const char *value)
{
    char *end;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end)
        return err_set(ERR_INVALID, "--%s takes a whole number, not %s", arg->name, value);
    *(int64_t *)arg->to = number;
    return ERR_OK;
}

static enum err set(const struct arg *arg, const char *value)
{
    switch (arg->kind) {
    case ARG_FLAG:
        *(bool *)arg->to = true;
        return ERR_OK;
    case ARG_UNFLAG:
        *(bool *)arg->to = false;
        return ERR_OK;
    case ARG_COUNT:
        ++*(int *)arg->to;
        return ERR_OK;
    case ARG_TEXT:
        *(const char **)arg->to = value;
        return ERR_OK;
    case ARG_OPTIONAL:
        *(const char **)arg->to = value ? value : "";
        return ERR_OK;
    case ARG_LIST:
        return list_add(arg->to, arg->name, value);
    case ARG_SIZE:
        return set_size(arg, value);
    case ARG_NUMBER:
        return set_number(arg, value);
    }
    return ERR_OK;
}

static const struct arg *find_long(const struct arg_table *tables, size_t count, const char *name, size_t len)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (strlen(tables[t].args[i].name) == len && memcmp(tables[t].args[i].name, name, len) == 0)
                return &tables[t].args[i];
    return NULL;
}

static const struct arg *find_letter(const struct arg_table *tables, size_t count, char letter)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (tables[t].args[i].letter == letter)
                return &tables[t].args[i];
    return NULL;
}

static enum err parse_long(const struct arg_table *tables, size_t count, char **argv, int *at)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct arg *arg = find_long(tables, count, name, len);
    if (!arg)
        return err_set(ERR_INVALID, "unknown option --%.*s (see --help)", (int)len, name);
    if (arg->kind == ARG_OPTIONAL)
        return set(arg, equals ? equals + 1 : NULL);
    if (!takes_value(arg))
        return equals ? err_set(ERR_INVALID, "--%s takes no value", arg->name) : set(arg, NULL);
    const char *value = equals ? equals + 1 : argv[*at + 1];
    if (!value)
        return err_set(ERR_INVALID, "--%s needs %s", arg->name, arg->value);
    if (!equals)
        ++*at;
    return set(arg, value);
}

static enum err parse_letters(const struct arg_table *tables, size_t count, char **argv, int *at)
{
    for (const char *letter = argv[*at] + 1; *letter; letter++) {
        const struct arg *arg = find_letter(tables, count, *letter);
        if (!arg)
            return err_set(ERR_INVALID, "unknown option -%c (see --help)", *letter);
        if (!takes_value(arg)) {
            TRY(set(arg, NULL));
            continue;
        }
        const char *value = letter[1] ? letter + 1 : argv[*at + 1];
        if (!value)
            return err_set(ERR_INVALID, "-%c needs %s", *letter, arg->value);
        if (!letter[1])
            ++*at;
        return set(arg, value);
    }
    return ERR_OK;
}

enum err args_parse(const struct arg_table *tables, size_t table_count, int argc, char **argv, struct arg_words *ret_words,
                    bool *ret_help)
{
    AUTO(arg_words) words = {.words = calloc((size_t)argc + 1, sizeof(char *))};
    if (!words.words)
        return err_set(ERR_NOMEM, "no memory for arguments");
    *ret_help = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--") == 0) {
            words.rest = argv + i + 1;
            break;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *ret_help = true;
            return ERR_OK;
        }
        if (word[0] == '-' && word[1] == '-')
            TRY(parse_long(tables, table_count, argv, &i));
        else if (word[0] == '-' && word[1])
            TRY(parse_letters(tables, table_count, argv, &i));
        else
            words.words[words.count++] = argv[i];
    }
    *ret_words = words;
    words = (struct arg_words){0};
    return ERR_OK;
}

enum { HELP_COLUMN = 30, HELP_WIDTH = 98 };

/* Words of text from column HELP_COLUMN on, broken before HELP_WIDTH. */
static void print_wrapped(const char *text, int column)
{
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, " ");
        if (column > HELP_COLUMN && column + 1 + (int)len > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (at != text) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)len, at);
        column += (int)len;
        at += len;
        at += strspn(at, " ");
    }
    putchar('\n');
}

void args_print(const struct arg_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct arg *arg = &table->args[i];
        char left[80];
        int n = arg->letter ? snprintf(left, sizeof left, "  -%c, --%s", arg->letter, arg->name)
                            : snprintf(left, sizeof left, "      --%s", arg->name);
        if (arg->value)
            n += snprintf(left + n, sizeof left - (size_t)n, arg->kind == ARG_OPTIONAL ? "[=%s]" : " %s", arg->value);
        printf("%s", left);
        if (n + 2 > HELP_COLUMN)
            printf("\n%*s", HELP_COLUMN, "");
        else
            printf("%*s", HELP_COLUMN - n, "");
        print_wrapped(arg->help, HELP_COLUMN);
    }
}
