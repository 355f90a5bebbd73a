/* yore completion: what a shell needs to complete our words, from the tables of commands themselves. */
#include <stdio.h>
#include <string.h>

#include "tools/command.h"
#include "tools/print.h"

static bool takes_value(const struct arg *arg)
{
    return arg->value != NULL && arg->kind != ARG_OPTIONAL;
}

/* The first word of a command's name, and what follows ("" for one word). */
static size_t first_len(const struct command *c)
{
    return strcspn(c->name, " ");
}

/* Is an earlier command of the same family ("key", "backup")? Then its first word was printed. */
static bool family_seen(const struct command *const *at)
{
    size_t len = first_len(*at);
    for (const struct command *const *before = commands; before < at; before++)
        if (first_len(*before) == len && memcmp((*before)->name, (*at)->name, len) == 0)
            return true;
    return false;
}

static void print_first_words(void)
{
    for (const struct command *const *at = commands; *at; at++)
        if (!family_seen(at))
            printf("%.*s ", (int)first_len(*at), (*at)->name);
}

static void print_options(const struct arg *args, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("--%s%s ", args[i].name, takes_value(&args[i]) ? "=" : "");
        if (args[i].letter)
            printf("-%c ", args[i].letter);
    }
}

/* ---- bash and zsh (which speaks bash's through bashcompinit) ---- */

static void print_bash(const struct arg_table *common)
{
    puts("# Completion of yore for bash. In ~/.bashrc:  source <(yore completion bash)\n"
         "_yore() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
         "    if ((COMP_CWORD == 1)); then");
    fputs("        COMPREPLY=($(compgen -W '", stdout);
    print_first_words();
    puts("' -- \"$word\"))\n        return\n    fi\n    case $command in");
    for (const struct command *const *at = commands; *at; at++) {
        if ((*at)->name[first_len(*at)] == 0 || family_seen(at))
            continue;
        printf("    %.*s)\n        if ((COMP_CWORD == 2)); then\n            COMPREPLY=($(compgen -W '", (int)first_len(*at), (*at)->name);
        for (const struct command *const *k = at; *k; k++)
            if (first_len(*k) == first_len(*at) && memcmp((*k)->name, (*at)->name, first_len(*at)) == 0)
                printf("%s ", (*k)->name + first_len(*k) + 1);
        puts("' -- \"$word\"))\n            return\n        fi\n        command+=\" ${COMP_WORDS[2]}\" ;;");
    }
    puts("    esac\n    case $command in");
    for (const struct command *const *at = commands; *at; at++) {
        if (!(*at)->arg_count)
            continue;
        printf("    '%s') words='", (*at)->name);
        print_options((*at)->args, (*at)->arg_count);
        puts("' ;;");
    }
    fputs("    esac\n    if [[ $word == -* ]]; then\n        COMPREPLY=($(compgen -W \"$words ", stdout);
    print_options(common->args, common->count);
    puts("--help\" -- \"$word\"))\n"
         "        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
         "    else\n"
         "        compopt -o default\n"
         "        COMPREPLY=()\n"
         "    fi\n"
         "}\n"
         "complete -F _yore yore");
}

static void print_zsh(const struct arg_table *common)
{
    puts("#compdef yore\n"
         "# Completion of yore for zsh. In ~/.zshrc, behind compinit:  source <(yore completion zsh)\n"
         "autoload -U +X bashcompinit && bashcompinit");
    print_bash(common);
}

/* ---- fish ---- */

/* In single quotes. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void print_fish_option(const struct command *c, const struct arg *arg)
{
    fputs("complete -c yore", stdout);
    if (c) {
        const char *rest = c->name + first_len(c);
        printf(" -n '__fish_seen_subcommand_from %.*s", (int)first_len(c), c->name);
        if (*rest)
            printf("; and __fish_seen_subcommand_from%s", rest);
        putchar('\'');
    }
    printf(" -l %s", arg->name);
    if (arg->letter)
        printf(" -s %c", arg->letter);
    if (takes_value(arg))
        fputs(" -r", stdout);
    fputs(" -d ", stdout);
    print_quoted(arg->help);
    putchar('\n');
}

static void print_fish(const struct arg_table *common)
{
    puts("# Completion of yore for fish:  yore completion fish > ~/.config/fish/completions/yore.fish");
    for (const struct command *const *at = commands; *at; at++) {
        const char *rest = (*at)->name + first_len(*at);
        if (*rest)
            printf("complete -c yore -f -n '__fish_seen_subcommand_from %.*s' -a %s -d ", (int)first_len(*at), (*at)->name, rest + 1);
        else
            printf("complete -c yore -f -n __fish_use_subcommand -a %s -d ", (*at)->name);
        print_quoted((*at)->summary);
        putchar('\n');
        if (*rest && !family_seen(at))
            printf("complete -c yore -f -n __fish_use_subcommand -a %.*s\n", (int)first_len(*at), (*at)->name);
        for (size_t i = 0; i < (*at)->arg_count; i++)
            print_fish_option(*at, &(*at)->args[i]);
    }
    for (size_t i = 0; i < common->count; i++)
        print_fish_option(NULL, &common->args[i]);
}

static enum err run_completion(struct run *run)
{
    static const struct {
        const char *shell;
        void (*print)(const struct arg_table *common);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    struct settings none = {0}; /* only its names are wanted */
    struct arg_table common = settings_args(&none);
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(run->words[0], shells[i].shell) != 0)
            continue;
        shells[i].print(&common);
        return ERR_OK;
    }
    return err_set(ERR_INVALID, "completion for bash, zsh or fish, not %s", run->words[0]);
}

const struct command cmd_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "print what a shell needs to complete yore's words",
    .least_words = 1,
    .most_words = 1,
    .run = run_completion,
};
