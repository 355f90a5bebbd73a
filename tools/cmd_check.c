/* yore check. */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/clock.h"
#include "fetch/base/text.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/progress.h"
#include "tools/site.h"
#include "writers/care/check.h"

enum { TOUCHED_SHOWN = 100 }; /* paths on a terminal; --json has all */

static const char *read_data;

static const struct arg check_args[] = {
    {"read-data", 0, ARG_OPTIONAL, &read_data, "PERCENT", "read packs too: every byte, or this much of all, another part each time"},
};

struct showing {
    const struct settings *settings;
    uint64_t started_ns, touched;
    int shown;
};

static void wipe_line(struct showing *s)
{
    if (s->shown)
        fprintf(stderr, "\r%*s\r", s->shown, "");
    s->shown = 0;
}

static void show_json(const struct check_finding *f)
{
    static const char *const words[] = {"damaged", "touched", "note"};
    json_t *o = json_object();
    json_object_set_new(o, "finding", json_string(words[f->what]));
    if (f->object)
        json_object_set_new(o, "object", json_string(f->object));
    if (f->snapshot) {
        json_object_set_new(o, "snapshot", json_sprintf("%s/%s", f->snapshot->service, f->snapshot->name));
        json_set_name(o, "path", f->path);
    }
    if (f->code != ERR_OK)
        json_object_set_new(o, "error", json_string(err_word(f->code)));
    json_object_set_new(o, "message", json_string(f->text));
    (void)print_json(o);
}

static void show_finding(void *context, const struct check_finding *f)
{
    struct showing *s = context;
    if (f->what == CHECK_TOUCHED)
        s->touched++;
    if (s->settings->json) {
        show_json(f);
        return;
    }
    if ((f->what == CHECK_NOTE && s->settings->quiet) || (f->what == CHECK_TOUCHED && s->touched > TOUCHED_SHOWN))
        return;
    wipe_line(s);
    if (f->what == CHECK_TOUCHED) {
        printf("%s: %s/%s: ", f->code == ERR_UNSUPPORTED ? "newer" : "touched", f->snapshot->service, f->snapshot->name);
        print_name(stdout, f->path.len ? f->path : slice_str("."));
    } else {
        printf("%s: %s", f->what == CHECK_NOTE ? "note" : f->code == ERR_UNSUPPORTED ? "newer" : "damaged", f->object);
    }
    fputs(": ", stdout);
    print_name(stdout, slice_str(f->text));
    putchar('\n');
}

static void show_progress(void *context, const struct check_progress *now)
{
    struct showing *s = context;
    double secs = (double)(clock_monotonic_ns() - s->started_ns) / 1e9;
    uint64_t rate = secs > 0.2 ? (uint64_t)((double)now->done_bytes / secs) : 0;
    char line[160];
    int n = snprintf(line, sizeof line, "check  %s of %s  %s/s", text_size(now->done_bytes).text, text_size(now->total_bytes).text,
                     text_size(rate).text);
    fprintf(stderr, "\r%-*s", s->shown, line);
    s->shown = n;
}

static enum err print_report(const struct showing *s, const struct check_report *r)
{
    if (s->settings->json) {
        json_t *o = json_pack("{ss}", "finding", "done");
        const struct {
            const char *key;
            uint64_t value;
        } all[] = {
            {"objects", r->objects},         {"records", r->records},       {"segments", r->segments},
            {"packs", r->packs},             {"snapshots", r->snapshots},   {"chunk_rows", r->chunk_rows},
            {"tree_chunks", r->tree_chunks}, {"files", r->files},           {"packs_read", r->packs_read},
            {"bytes_read", r->bytes_read},   {"chunks_read", r->chunks_read}, {"damaged", r->damaged},
            {"touched", r->touched},         {"newer", r->newer},         {"orphans", r->orphans},       {"orphan_bytes", r->orphan_bytes},
        };
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            json_object_set_new(o, all[i].key, json_integer((json_int_t)all[i].value));
        return print_json(o);
    }
    if (s->touched > TOUCHED_SHOWN)
        printf("and %llu paths more (--json tells all)\n", (unsigned long long)(s->touched - TOUCHED_SHOWN));
    if (!s->settings->quiet)
        printf("checked %llu snapshots, %llu packs, %llu segments, %llu records, %llu tree chunks; read %s of %llu packs in %.1f s\n",
               (unsigned long long)r->snapshots, (unsigned long long)r->packs, (unsigned long long)r->segments,
               (unsigned long long)r->records, (unsigned long long)r->tree_chunks, text_size(r->bytes_read).text,
               (unsigned long long)r->packs_read, (double)(clock_monotonic_ns() - s->started_ns) / 1e9);
    if (!s->settings->quiet && r->orphans)
        printf("%llu packs of %s are in no segment: left by killed backups, or of one that runs\n", (unsigned long long)r->orphans,
               text_size(r->orphan_bytes).text);
    if (r->damaged || r->touched)
        printf("DAMAGE: %llu objects, %llu paths\n", (unsigned long long)r->damaged, (unsigned long long)r->touched);
    else if (!s->settings->quiet)
        puts(r->newer ? "no damage; some of it needs a newer version of yore" : "no damage");
    return ERR_OK;
}

static enum err percent_of(const char *word, unsigned *ret)
{
    uint64_t percent = 100;
    if (!word)
        *ret = 0;
    else if (word[0])
        TRY(text_parse_u64(word, "--read-data", 1, 100, &percent));
    if (word)
        *ret = (unsigned)percent;
    return ERR_OK;
}

static enum err run_check(struct run *run)
{
    AUTO(site) site = {0};
    struct showing showing = {.settings = run->settings, .started_ns = clock_monotonic_ns()};
    unsigned percent = 0;
    TRY(percent_of(read_data, &percent));
    TRY(site_open(run->settings, &site));
    TRY(index_sync(site.index, SYNC_ALL, NULL)); /* what is damaged the check itself tells */
    struct check_options options = {
        .access = site.access,
        .index = site.index,
        .keystore_url = run->settings->keystore,
        .read_percent = percent,
        .state_dir = site.state_dir,
        .finding = show_finding,
        .progress = progress_wanted(run->settings) ? show_progress : NULL,
        .context = &showing,
    };
    struct check_report report;
    enum err e = check_run(&options, &report);
    wipe_line(&showing);
    TRY(e);
    TRY(print_report(&showing, &report));
    run->status = report.damaged || report.touched ? 7 : report.newer ? 6 : 0;
    return ERR_OK;
}

const struct command cmd_check = {
    .name = "check",
    .usage = "",
    .summary = "is everything there, and is it what was stored?",
    .details = "Checks every record, segment, pack by name and size, envelope and tree; with --read-data every byte of every pack too. Damage is\n"
               "named, with the snapshots and paths that it touches: exit 7. An orphan (a pack in no segment) is no damage.",
    .args = check_args,
    .arg_count = sizeof check_args / sizeof *check_args,
    .most_words = 0,
    .run = run_check,
};
