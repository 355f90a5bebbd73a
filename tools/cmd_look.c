/* yore snapshots, ls, cat, find: look without mounting. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/base/file.h"
#include "fetch/base/text.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/site.h"

/* ---- snapshots ---- */

struct printing {
    const struct settings *settings;
    uint64_t count;
};

static enum err print_snapshot(void *context, const struct snapshot_info *s)
{
    struct printing *p = context;
    p->count++;
    if (p->settings->json)
        return print_json(json_of_snapshot(s));
    char time[TIME_TEXT_MAX];
    clock_format_local(s->time, time);
    printf("%-40s %s %10llu files %12s  %s%s%s\n", s->service, time, (unsigned long long)s->totals.files,
           text_size(s->totals.bytes).text, s->name, s->flags & SNAPSHOT_PARTIAL ? "  partial" : "",
           s->flags & SNAPSHOT_HELD ? "  held" : "");
    return ERR_OK;
}

static enum err run_snapshots(struct run *run)
{
    AUTO(site) site = {0};
    TRY(site_open(run->settings, &site));
    TRY(index_sync(site.index, SYNC_SNAPSHOTS, NULL));
    struct printing printing = {run->settings, 0};
    TRY(index_snapshots(site.index, run->words[0], print_snapshot, &printing));
    if (printing.count == 0 && run->words[0])
        return err_set(ERR_NOT_FOUND, "no snapshots of a service %s", run->words[0]);
    if (printing.count == 0 && !run->settings->json && !run->settings->quiet)
        puts("no snapshots yet; make one with: yore backup files SERVICE PATH");
    return ERR_OK;
}

const struct command cmd_snapshots = {
    .name = "snapshots",
    .usage = "[SERVICE]",
    .summary = "list snapshots",
    .most_words = 1,
    .run = run_snapshots,
};

/* ---- opening one ---- */

struct opened {
    struct site site;
    struct snapshot_view *view;
};

static void opened_clear(struct opened *o)
{
    snapshot_view_free(o->view);
    site_clear(&o->site);
}

static enum err open_snapshot(const struct run *run, const char *text, unsigned workers, struct opened *ret)
{
    struct snapshot_info info;
    TRY(site_open(run->settings, &ret->site));
    TRY(site_reader(&ret->site, SYNC_ALL, workers));
    TRY(index_snapshot_parse(ret->site.index, text, &info));
    return reader_open_snapshot(ret->site.reader, &info, &ret->view);
}

static enum err find_path(struct opened *o, const char *path, struct node **ret_node)
{
    enum err e = reader_path(o->site.reader, o->view, slice_str(path), ret_node);
    if (e != ERR_NOT_FOUND)
        return e;
    return err_set(ERR_NOT_FOUND, "%s/%s has no %s", o->view->info.service, o->view->info.name, path);
}

/* ---- ls ---- */

static bool ls_long, ls_recursive, ls_null;

static const struct arg ls_args[] = {
    {"long", 'l', ARG_FLAG, &ls_long, NULL, "mode, owner, size, time"},
    {"recursive", 'R', ARG_FLAG, &ls_recursive, NULL, "everything below"},
    {"null", '0', ARG_FLAG, &ls_null, NULL, "names as they are, each ended by a zero byte"},
};

static enum err print_one(const struct settings *settings, struct slice path, const struct entry *entry, uint64_t position)
{
    if (settings->json)
        return print_json(json_of_entry(path, entry, position));
    if (ls_null) {
        fwrite(path.data, 1, path.len, stdout);
        putchar(0);
    } else if (ls_long) {
        print_entry(path, entry);
    } else {
        print_name(stdout, path);
        putchar('\n');
    }
    return ferror(stdout) ? err_set(ERR_IO, "standard output was lost") : ERR_OK;
}

static enum err ls_entry(void *context, const struct entry *entry, uint64_t ordinal, uint64_t position)
{
    (void)ordinal;
    return print_one(context, entry->name, entry, position);
}

static enum err ls_visit(void *context, struct slice path, const struct entry *entry, uint64_t position)
{
    return print_one(context, path, entry, position);
}

static enum err run_ls(struct run *run)
{
    AUTO(opened) o = {0};
    AUTO_PTR(node) node = NULL;
    TRY(open_snapshot(run, run->words[0], 1, &o));
    TRY(find_path(&o, run->word_count > 1 ? run->words[1] : "", &node));
    void *settings = (void *)(uintptr_t)run->settings;
    if (node->entry.kind != NODE_DIR)
        return print_one(run->settings, node->entry.name, &node->entry, node->position);
    return ls_recursive ? reader_visit(o.site.reader, o.view, node, ls_visit, settings)
                        : reader_entries(o.site.reader, node, 0, ls_entry, settings);
}

const struct command cmd_ls = {
    .name = "ls",
    .usage = "SNAPSHOT [PATH]",
    .summary = "list a directory of a snapshot",
    .args = ls_args,
    .arg_count = sizeof ls_args / sizeof *ls_args,
    .least_words = 1,
    .most_words = 2,
    .run = run_ls,
};

/* ---- cat ---- */

enum { CAT_BYTES = 1 << 20 };

static enum err cat_node(struct opened *o, const struct node *node, const char *path)
{
    if (node->entry.kind != NODE_FILE)
        return err_set(ERR_INVALID, "%s is no regular file", path);
    AUTO_MEM uint8_t *bytes = malloc(CAT_BYTES);
    if (!bytes)
        return err_set(ERR_NOMEM, "no memory to read %s", path);
    for (uint64_t at = 0; at < node->entry.content.length;) {
        size_t got;
        enum err e = reader_read(o->site.reader, node->domain, CHUNK_DATA, &node->entry.content, at, bytes, CAT_BYTES, &got);
        if (e != ERR_OK)
            return err_add(e, "%s", path);
        TRY(write_full(STDOUT_FILENO, slice_of(bytes, got)));
        at += got;
    }
    return ERR_OK;
}

static enum err run_cat(struct run *run)
{
    AUTO(opened) o = {0};
    TRY(open_snapshot(run, run->words[0], 2, &o));
    for (size_t i = 1; i < run->word_count; i++) {
        AUTO_PTR(node) node = NULL;
        TRY(find_path(&o, run->words[i], &node));
        TRY(cat_node(&o, node, run->words[i]));
    }
    return ERR_OK;
}

const struct command cmd_cat = {
    .name = "cat",
    .usage = "SNAPSHOT PATH...",
    .summary = "write files of a snapshot to standard output",
    .least_words = 2,
    .most_words = SIZE_MAX,
    .run = run_cat,
};

/* ---- find ---- */

static bool find_exit_code;

static const struct arg find_args[] = {
    {"long", 'l', ARG_FLAG, &ls_long, NULL, "mode, owner, size, time"},
    {"null", '0', ARG_FLAG, &ls_null, NULL, "names as they are, each ended by a zero byte"},
    {"exit-code", 0, ARG_FLAG, &find_exit_code, NULL, "exit 1 when nothing is found"},
};

struct finding {
    const struct run *run;
    struct site *site;
    const char *pattern;
    bool by_path;                /* the pattern holds a slash */
    const struct snapshot_info *snapshot;
    bool many;                   /* name the snapshot too */
    uint64_t found;
};

static enum err find_visit(void *context, struct slice path, const struct entry *entry, uint64_t position)
{
    struct finding *f = context;
    AUTO(buf) text = BUF_EMPTY;
    struct slice subject = f->by_path ? path : entry->name;
    buf_put_slice(&text, subject);
    buf_put_u8(&text, 0);
    TRY(buf_check(&text));
    if (fnmatch(f->pattern, (const char *)text.data, 0) != 0)
        return ERR_OK;
    f->found++;
    if (f->run->settings->json) {
        json_t *o = json_of_entry(path, entry, position);
        json_object_set_new(o, "snapshot", json_sprintf("%s/%s", f->snapshot->service, f->snapshot->name));
        return print_json(o);
    }
    if (f->many && !ls_null)
        printf("%s/%s: ", f->snapshot->service, f->snapshot->name);
    return print_one(f->run->settings, path, entry, position);
}

static enum err find_in(void *context, const struct snapshot_info *info)
{
    struct finding *f = context;
    AUTO_PTR(snapshot_view) view = NULL;
    TRY(reader_open_snapshot(f->site->reader, info, &view));
    f->snapshot = info;
    return reader_visit(f->site->reader, view, view->root, find_visit, f);
}

static enum err run_find(struct run *run)
{
    AUTO(site) site = {0};
    TRY(site_open(run->settings, &site));
    TRY(site_reader(&site, SYNC_ALL, 1));
    const char *where = run->words[0], *pattern = run->words[1];
    struct finding f = {.run = run, .site = &site, .pattern = pattern, .by_path = strchr(pattern, '/') != NULL};
    if (strpbrk(where, "/@")) {
        struct snapshot_info info;
        TRY(index_snapshot_parse(site.index, where, &info));
        TRY(find_in(&f, &info));
    } else {
        f.many = true;
        TRY(index_snapshots(site.index, where, find_in, &f));
    }
    run->status = find_exit_code && f.found == 0 ? 1 : 0;
    return ERR_OK;
}

const struct command cmd_find = {
    .name = "find",
    .usage = "SNAPSHOT|SERVICE PATTERN",
    .summary = "find names in one snapshot, or in all of a service",
    .details = "PATTERN is a shell pattern: matched against names, or against whole paths when it holds a slash.",
    .args = find_args,
    .arg_count = sizeof find_args / sizeof *find_args,
    .least_words = 2,
    .most_words = 2,
    .run = run_find,
};
