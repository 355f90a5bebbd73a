/* yore backup files, yore backup stream. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/base/text.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/progress.h"
#include "tools/site.h"
#include "writers/backup.h"
#include "writers/source/filter.h"

/* ---- what both have ---- */

static struct {
    struct arg_list tags;
    const char *time, *level;
    bool take_over, file_hash;
    uint64_t memory;
    int64_t workers;
} shared = {.file_hash = true};

#define SHARED_ARGS                                                                                                               \
    {"tag", 0, ARG_LIST, &shared.tags, "TEXT", "a label for the snapshot; may be given again"},                                   \
        {"time", 0, ARG_TEXT, &shared.time, "WHEN", "the time the snapshot is named by, instead of now"},                         \
        {"compression", 0, ARG_TEXT, &shared.level, "LEVEL", "zstd level, -7 to 19, or `off`"},                                   \
        {"take-over", 0, ARG_FLAG, &shared.take_over, NULL, "this host backs the service up from now on"},                        \
        {"no-file-hash", 0, ARG_UNFLAG, &shared.file_hash, NULL, "do not record SHA-256 of files (no SHA256SUMS then)"},           \
        {"memory", 0, ARG_SIZE, &shared.memory, "SIZE", "bound on memory; default 512M"},                                         \
        {"workers", 0, ARG_NUMBER, &shared.workers, "N", "threads that read, cut and compress; default one a processor"}

static enum err parse_level(int *ret_level)
{
    *ret_level = INT_MIN;
    if (!shared.level)
        return ERR_OK;
    if (strcmp(shared.level, "off") == 0) {
        *ret_level = 0;
        return ERR_OK;
    }
    char *end;
    long level = strtol(shared.level, &end, 10);
    if (end == shared.level || *end || level < -7 || level > 19 || level == 0)
        return err_set(ERR_INVALID, "--compression takes a level from -7 to 19, or `off`, not %s", shared.level);
    *ret_level = (int)level;
    return ERR_OK;
}

static enum err fill_common(const struct site *site, const struct settings *settings, const char *service, struct progress *progress,
                            struct backup_common *ret)
{
    *ret = (struct backup_common){
        .access = site->access,
        .index = site->index,
        .state_dir = site->state_dir,
        .service = service,
        .take_over = shared.take_over,
        .labels = shared.tags.count ? shared.tags.values : NULL,
        .file_hash = shared.file_hash,
        .memory_bytes = shared.memory,
    };
    if (shared.workers < 0 || shared.workers > 1024)
        return err_set(ERR_INVALID, "--workers takes a number from 1 to 1024");
    ret->workers = (unsigned)shared.workers;
    TRY(parse_level(&ret->level));
    if (shared.time)
        TRY(clock_parse_when(shared.time, clock_now(), &ret->time));
    if (progress_wanted(settings)) {
        ret->progress = progress_show;
        ret->progress_context = progress;
    }
    return ERR_OK;
}

/* The list NULL-ended, as the library wants it. */
static enum err end_list(struct arg_list *list)
{
    if (list->count == 0)
        return ERR_OK;
    const char **grown = realloc(list->values, (list->count + 1) * sizeof *grown);
    if (!grown)
        return err_set(ERR_NOMEM, "no memory for options");
    list->values = grown;
    grown[list->count] = NULL;
    return ERR_OK;
}

static enum err print_report(struct run *run, const struct backup_report *r, bool dry_run)
{
    run->status = r->partial ? 2 : 0;
    if (run->settings->json) {
        json_t *o = dry_run ? json_object() : json_of_snapshot(&r->snapshot);
        json_object_set_new(o, "dry_run", json_boolean(dry_run));
        json_object_set_new(o, "files_new", json_integer((json_int_t)r->files_new));
        json_object_set_new(o, "files_changed", json_integer((json_int_t)r->files_changed));
        json_object_set_new(o, "files_unchanged", json_integer((json_int_t)r->files_unchanged));
        json_object_set_new(o, "unreadable", json_integer((json_int_t)r->unreadable));
        json_object_set_new(o, "vanished", json_integer((json_int_t)r->vanished));
        json_object_set_new(o, "changed_while_read", json_integer((json_int_t)r->changed_while_read));
        if (dry_run)
            json_object_set_new(o, "totals", json_of_totals(&r->totals));
        return print_json(o);
    }
    if (run->settings->quiet)
        return ERR_OK;
    if (dry_run)
        printf("would back up ");
    else
        printf("%s/%s%s  ", r->snapshot.service, r->snapshot.name, r->partial ? " (partial)" : "");
    printf("%llu files, %s; new %s, stored %s\n", (unsigned long long)r->totals.files, text_size(r->totals.bytes).text,
           text_size(r->totals.new_bytes).text, text_size(r->totals.stored_bytes).text);
    if (r->unreadable || r->changed_while_read || r->vanished)
        printf("%llu unreadable, %llu changed while read, %llu vanished: the snapshot's manifest names them\n",
               (unsigned long long)r->unreadable, (unsigned long long)r->changed_while_read, (unsigned long long)r->vanished);
    return ERR_OK;
}

/* ---- files ---- */

static struct {
    struct arg_list patterns; /* --include, --exclude, --exclude-from in the order given */
    bool exclude_caches, one_file_system, rehash, dry_run, strict;
    uint64_t max_file_size;
    const char *newer_than;
} files;

static const struct arg files_args[] = {
    {"exclude", 0, ARG_LIST, &files.patterns, "PATTERN", "leave out what matches (as in .gitignore; the last match wins)"},
    {"include", 0, ARG_LIST, &files.patterns, "PATTERN", "take in again what an earlier --exclude left out"},
    {"exclude-from", 0, ARG_LIST, &files.patterns, "FILE", "patterns from a file, a line each"},
    {"exclude-caches", 0, ARG_FLAG, &files.exclude_caches, NULL, "leave out what is below a CACHEDIR.TAG"},
    {"one-file-system", 'x', ARG_FLAG, &files.one_file_system, NULL, "do not go into other file systems"},
    {"max-file-size", 0, ARG_SIZE, &files.max_file_size, "SIZE", "leave out larger files"},
    {"newer-than", 0, ARG_TEXT, &files.newer_than, "WHEN", "leave out files not changed since"},
    {"rehash", 0, ARG_FLAG, &files.rehash, NULL, "read every file, also those that look unchanged"},
    {"strict", 0, ARG_FLAG, &files.strict, NULL, "files that vanish meanwhile count as unreadable"},
    {"dry-run", 'n', ARG_FLAG, &files.dry_run, NULL, "store nothing, say what would be backed up"},
    SHARED_ARGS,
};

static enum err make_filter(struct filter **ret_filter)
{
    AUTO_PTR(filter) filter = NULL;
    TRY(filter_new(&filter));
    for (size_t i = 0; i < files.patterns.count; i++) {
        const char *value = files.patterns.values[i], *by = files.patterns.names[i];
        if (strcmp(by, "exclude-from") == 0)
            TRY(filter_add_file(filter, value));
        else
            TRY(filter_add(filter, value, strcmp(by, "include") == 0));
    }
    *ret_filter = TAKE(filter);
    return ERR_OK;
}

static enum err run_files(struct run *run)
{
    AUTO(site) site = {0};
    AUTO_PTR(filter) filter = NULL;
    struct progress progress = {.title = run->words[0]};
    struct backup_files_options options = {
        .paths = (const char *const *)(run->words + 1),
        .exclude_caches = files.exclude_caches,
        .one_file_system = files.one_file_system,
        .rehash = files.rehash,
        .dry_run = files.dry_run,
        .strict = files.strict,
        .max_file_bytes = files.max_file_size,
    };
    TRY(make_filter(&filter));
    options.filter = filter;
    if (files.newer_than)
        TRY(clock_parse_when(files.newer_than, clock_now(), &options.newer_than));
    TRY(end_list(&shared.tags));
    TRY(service_name_check(run->words[0]));
    TRY(site_open(run->settings, &site));
    TRY(fill_common(&site, run->settings, run->words[0], &progress, &options.common));
    struct backup_report report;
    enum err e = backup_files(&options, &report);
    progress_end(&progress);
    TRY(e);
    return print_report(run, &report, files.dry_run);
}

const struct command cmd_backup_files = {
    .name = "backup files",
    .usage = "SERVICE PATH...",
    .summary = "back up a directory tree",
    .details = "One directory: its contents are the snapshot's root. Several paths: each under its full path. Files that look\n"
               "unchanged since the last snapshot (size, times, inode) are not read. Unreadable files are listed in the manifest;\n"
               "the snapshot is kept, marked partial, and the exit status is 2.",
    .args = files_args,
    .arg_count = sizeof files_args / sizeof *files_args,
    .least_words = 2,
    .most_words = SIZE_MAX,
    .run = run_files,
};

/* ---- stream ---- */

static bool allow_empty;

static const struct arg stream_args[] = {
    {"allow-empty", 0, ARG_FLAG, &allow_empty, NULL, "an empty stream is no mistake"},
    SHARED_ARGS,
};

static enum err run_stream(struct run *run)
{
    AUTO(site) site = {0};
    struct progress progress = {.title = run->words[0]};
    struct backup_stream_options options = {
        .name = run->words[1], .fd = run->rest ? -1 : STDIN_FILENO, .command = run->rest, .allow_empty = allow_empty};
    if (run->rest && !run->rest[0])
        return err_set(ERR_INVALID, "no command after --");
    if (!run->rest && isatty(STDIN_FILENO))
        return err_set(ERR_INVALID, "standard input is a terminal: pipe something in, or give a command after --");
    TRY(end_list(&shared.tags));
    TRY(service_name_check(run->words[0]));
    TRY(site_open(run->settings, &site));
    TRY(fill_common(&site, run->settings, run->words[0], &progress, &options.common));
    struct backup_report report;
    enum err e = backup_stream(&options, &report);
    progress_end(&progress);
    TRY(e);
    return print_report(run, &report, false);
}

const struct command cmd_backup_stream = {
    .name = "backup stream",
    .usage = "SERVICE NAME [-- COMMAND...]",
    .summary = "back up standard input, or what a command prints",
    .details = "The stream becomes the one file NAME of the snapshot. With a command after `--`, its failure fails the backup and\n"
               "nothing is committed.",
    .args = stream_args,
    .arg_count = sizeof stream_args / sizeof *stream_args,
    .least_words = 2,
    .most_words = 2,
    .run = run_stream,
};
