/* yore restore. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/base/clock.h"
#include "fetch/base/log.h"
#include "fetch/base/text.h"
#include "fs/restore.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/progress.h"
#include "tools/site.h"

static const char *overwrite_word;
static bool delete_others, dry_run, strict;

static const struct arg restore_args[] = {
    {"overwrite", 0, ARG_TEXT, &overwrite_word, "WHEN",
     "what is there already: never (default: nothing is written then, exit 1), changed (other kind, size or time), always"},
    {"delete", 0, ARG_FLAG, &delete_others, NULL, "with --overwrite=always: remove what the snapshot's folders do not hold"},
    {"dry-run", 'n', ARG_FLAG, &dry_run, NULL, "say what would be done, write nothing"},
    {"strict", 0, ARG_FLAG, &strict, NULL, "exit 2 when owners or devices could not be restored for lack of the right"},
};

struct showing {
    const struct settings *settings;
    bool progress;
    uint64_t started_ns;
    int shown; /* columns of the last progress line */
};

static enum err overwrite_of(const char *word, enum restore_overwrite *ret)
{
    static const char *const words[] = {"never", "changed", "always"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!word || strcmp(word, words[i]) == 0) {
            *ret = (enum restore_overwrite)i;
            return ERR_OK;
        }
    return err_set(ERR_INVALID, "--overwrite takes never, changed or always, not %s", word);
}

static void wipe_line(struct showing *s)
{
    if (s->shown)
        fprintf(stderr, "\r%*s\r", s->shown, "");
    s->shown = 0;
}

static void show_event(void *context, const struct restore_event *event)
{
    struct showing *s = context;
    static const char *const words[] = {"exists", "damaged", "failed", "attribute", "removed"};
    if (s->settings->json) {
        json_t *o = json_object();
        json_object_set_new(o, "event", json_string(words[event->what]));
        json_set_name(o, "path", event->path);
        if (event->code != ERR_OK) {
            json_object_set_new(o, "error", json_string(err_word(event->code)));
            json_object_set_new(o, "message", json_string(event->text));
        }
        (void)print_json(o);
        return;
    }
    if (event->what == RESTORE_REMOVED && s->settings->quiet)
        return;
    wipe_line(s);
    fprintf(stderr, "%s: ", words[event->what]);
    print_name(stderr, event->path.len ? event->path : slice_str("."));
    if (event->code != ERR_OK) {
        fputs(": ", stderr);
        print_name(stderr, slice_str(event->text));
    }
    fputc('\n', stderr);
}

static void show_progress(void *context, const struct restore_progress *now)
{
    struct showing *s = context;
    double secs = (double)(clock_monotonic_ns() - s->started_ns) / 1e9;
    uint64_t rate = secs > 0.2 ? (uint64_t)((double)now->bytes / secs) : 0;
    char line[200];
    int n = snprintf(line, sizeof line, "restore  %llu of %llu entries  %s  %s/s", (unsigned long long)now->entries,
                     (unsigned long long)now->total_entries, text_size(now->bytes).text, text_size(rate).text);
    if (rate > 0 && now->total_bytes > now->bytes && n > 0 && (size_t)n < sizeof line)
        n += snprintf(line + n, sizeof line - (size_t)n, "  %llu s left",
                      (unsigned long long)((now->total_bytes - now->bytes) / rate));
    fprintf(stderr, "\r%-*s", s->shown, line);
    s->shown = n;
}

static enum err print_report(const struct showing *s, const struct snapshot_info *info, const struct restore_report *r)
{
    const struct settings *settings = s->settings;
    if (settings->json) {
        json_t *o = json_pack("{ss so sb}", "event", "done", "snapshot", json_sprintf("%s/%s", info->service, info->name), "dry_run",
                              dry_run);
        const struct {
            const char *key;
            uint64_t value;
        } all[] = {
            {"files", r->files},         {"dirs", r->dirs},           {"others", r->others},
            {"links", r->links},         {"bytes", r->bytes},         {"unchanged", r->unchanged},
            {"removed", r->removed},     {"damaged", r->damaged},     {"failed", r->failed},       {"newer", r->newer},
            {"owners_not_set", r->owners_not_set},                    {"devices_not_made", r->devices_not_made},
            {"xattrs_refused", r->xattrs_refused},                    {"attributes_not_set", r->attributes_not_set},
        };
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            json_object_set_new(o, all[i].key, json_integer((json_int_t)all[i].value));
        return print_json(o);
    }
    if (r->owners_not_set || r->devices_not_made || r->xattrs_refused)
        log_warn("not root: %llu entries keep another owner, %llu devices were not made, %llu attributes were refused",
                 (unsigned long long)r->owners_not_set, (unsigned long long)r->devices_not_made,
                 (unsigned long long)r->xattrs_refused);
    if (!settings->quiet)
        printf("%s%s/%s: %llu files, %llu folders, %llu others, %llu links, %s in %.1f s\n", dry_run ? "would restore " : "restored ",
               info->service, info->name, (unsigned long long)r->files, (unsigned long long)r->dirs,
               (unsigned long long)r->others, (unsigned long long)r->links, text_size(r->bytes).text,
               (double)(clock_monotonic_ns() - s->started_ns) / 1e9);
    if (!settings->quiet && r->unchanged)
        printf("%llu were there already and unchanged\n", (unsigned long long)r->unchanged);
    if (!settings->quiet && r->removed)
        printf("%llu %s\n", (unsigned long long)r->removed, dry_run ? "would be removed" : "removed");
    return ERR_OK;
}

static int status_of(const struct restore_report *r)
{
    if (r->damaged)
        return 7;
    if (r->newer)
        return 6;
    if (r->failed)
        return 9;
    if (r->attributes_not_set)
        return 2;
    return strict && (r->owners_not_set || r->devices_not_made || r->xattrs_refused) ? 2 : 0;
}

static enum err run_restore(struct run *run)
{
    AUTO(site) site = {0};
    AUTO_PTR(snapshot_view) view = NULL;
    struct snapshot_info info;
    struct showing showing = {run->settings, progress_wanted(run->settings), 0, 0};
    enum restore_overwrite overwrite = OVERWRITE_NEVER;
    TRY(overwrite_of(overwrite_word, &overwrite));
    if (delete_others && overwrite != OVERWRITE_ALWAYS)
        return err_set(ERR_INVALID, "--delete goes with --overwrite=always only");
    TRY(site_open(run->settings, &site));
    TRY(site_reader(&site, SYNC_ALL, 2));
    TRY(index_snapshot_parse(site.index, run->words[0], &info));
    TRY(reader_open_snapshot(site.reader, &info, &view));

    const char *target = run->words[run->word_count - 1];
    run->words[run->word_count - 1] = NULL; /* now the words behind the first are the paths */
    const char *keep_out[] = {site.cache_dir, site.state_dir, store_local_path(site.access->store), NULL};
    struct restore_options options = {
        .reader = site.reader,
        .view = view,
        .paths = (const char *const *)(run->words + 1),
        .target = target,
        .overwrite = overwrite,
        .remove_others = delete_others,
        .dry_run = dry_run,
        .keep_out = keep_out,
        .event = show_event,
        .progress = showing.progress ? show_progress : NULL,
        .context = &showing,
    };
    struct restore_report report;
    showing.started_ns = clock_monotonic_ns();
    enum err e = restore_run(&options, &report);
    wipe_line(&showing);
    TRY(e);
    TRY(print_report(&showing, &info, &report));
    run->status = status_of(&report);
    return ERR_OK;
}

const struct command cmd_restore = {
    .name = "restore",
    .usage = "SNAPSHOT [PATH...] TARGET",
    .summary = "write files of a snapshot into a folder",
    .details = "The contents of the snapshot, or of one PATH that is a directory, go into TARGET, which is made if it is missing. One PATH that\n"
               "is a file becomes TARGET, or goes into it if that is a folder. Several PATHs keep their paths below TARGET.\n"
               "Every byte is verified; a file appears whole or not at all. Damaged files are left out and named: exit 7.",
    .args = restore_args,
    .arg_count = sizeof restore_args / sizeof *restore_args,
    .least_words = 2,
    .most_words = SIZE_MAX,
    .run = run_restore,
};
