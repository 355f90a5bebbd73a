/* yore diff, versions, stats: what changed, since when, and what it costs. */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/log.h"
#include "fetch/base/text.h"
#include "index/compare.h"
#include "tools/command.h"
#include "tools/print.h"
#include "tools/site.h"

/* ---- diff ---- */

static bool diff_exit_code;

static const struct arg diff_args[] = {
    {"exit-code", 0, ARG_FLAG, &diff_exit_code, NULL, "exit 1 when there are differences"},
};

struct diffing {
    const struct settings *settings;
    struct slice prefix; /* of every path */
    uint64_t count;
};

static const char *difference_word(enum difference what)
{
    switch (what) {
    case DIFF_ADDED:
        return "added";
    case DIFF_REMOVED:
        return "removed";
    case DIFF_CONTENT:
        return "content";
    case DIFF_METADATA:
        return "metadata";
    case DIFF_KIND:
        return "kind";
    }
    return "unknown";
}

static enum err print_difference(void *context, enum difference what, struct slice path, const struct entry *old_entry,
                                 const struct entry *new_entry)
{
    struct diffing *d = context;
    AUTO(buf) whole = BUF_EMPTY;
    buf_put_slice(&whole, d->prefix);
    if (whole.len && path.len)
        buf_put_u8(&whole, '/');
    buf_put_slice(&whole, path);
    TRY(buf_check(&whole));
    d->count++;
    if (d->settings->json) {
        json_t *o = json_object();
        json_object_set_new(o, "change", json_string(difference_word(what)));
        json_set_name(o, "path", buf_slice(&whole));
        if (old_entry)
            json_object_set_new(o, "old", json_of_entry(buf_slice(&whole), old_entry, 0));
        if (new_entry)
            json_object_set_new(o, "new", json_of_entry(buf_slice(&whole), new_entry, 0));
        for (int i = 0; i < 2; i++) { /* the path is said once, and positions differ without meaning */
            json_t *entry = json_object_get(o, i ? "new" : "old");
            json_object_del(entry, "path");
            json_object_del(entry, "path_base64");
            json_object_del(entry, "position");
        }
        return print_json(o);
    }
    if (d->settings->quiet)
        return ERR_OK;
    printf("%c ", what);
    print_name(stdout, buf_slice(&whole));
    putchar('\n');
    return ferror(stdout) ? err_set(ERR_IO, "standard output was lost") : ERR_OK;
}

/* One side of a diff. */
struct side {
    struct snapshot_info info;
    struct snapshot_view *view;
    struct node *node; /* NULL: it has no such path */
};

static void side_clear(struct side *side)
{
    snapshot_view_free(side->view);
    node_free(side->node);
}

static enum err side_open(struct site *site, const char *snapshot, const char *path, struct side *ret)
{
    TRY(index_snapshot_parse(site->index, snapshot, &ret->info));
    TRY(reader_open_snapshot(site->reader, &ret->info, &ret->view));
    enum err e = reader_path(site->reader, ret->view, slice_str(path), &ret->node);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* A path that only one side has: all of it is added, or removed. */
static enum err diff_missing(struct site *site, struct diffing *d, const struct side *old_side, const struct side *new_side)
{
    bool added = new_side->node != NULL;
    const struct node *there = added ? new_side->node : old_side->node;
    TRY(print_difference(d, added ? DIFF_ADDED : DIFF_REMOVED, SLICE_EMPTY, added ? NULL : &there->entry,
                         added ? &there->entry : NULL));
    if (there->entry.kind != NODE_DIR)
        return ERR_OK;
    struct node nothing = {.entry = {.kind = NODE_DIR}, .domain = there->domain};
    return compare_trees(site->reader, added ? &nothing : there, added ? there : &nothing, print_difference, d);
}

static enum err run_diff(struct run *run)
{
    AUTO(site) site = {0};
    AUTO(side) old_side = {0}, new_side = {0};
    const char *path = run->word_count > 2 ? run->words[2] : "";
    while (*path == '/')
        path++;
    size_t len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    struct diffing d = {.settings = run->settings, .prefix = slice_of(path, len)};
    TRY(site_open(run->settings, &site));
    TRY(site_reader(&site, SYNC_ALL, 1));
    TRY(side_open(&site, run->words[0], path, &old_side));
    TRY(side_open(&site, run->words[1], path, &new_side));
    if (!old_side.node && !new_side.node)
        return err_set(ERR_NOT_FOUND, "neither snapshot has %s", path);
    if (!old_side.node || !new_side.node) {
        TRY(diff_missing(&site, &d, &old_side, &new_side));
    } else {
        /* Comparing files tells their names: then what lies before the name is the prefix. */
        bool dirs = old_side.node->entry.kind == NODE_DIR && new_side.node->entry.kind == NODE_DIR;
        while (!dirs && d.prefix.len && d.prefix.data[d.prefix.len - 1] != '/')
            d.prefix.len--;
        while (!dirs && d.prefix.len && d.prefix.data[d.prefix.len - 1] == '/')
            d.prefix.len--;
        TRY(compare_trees(site.reader, old_side.node, new_side.node, print_difference, &d));
    }
    run->status = diff_exit_code && d.count ? 1 : 0;
    return ERR_OK;
}

const struct command cmd_diff = {
    .name = "diff",
    .usage = "SNAPSHOT SNAPSHOT [PATH]",
    .summary = "what changed from one snapshot to another",
    .details = "+ added, - removed, M content changed, m only mode, owner, time or attributes, T another kind. Unchanged directories are\n"
               "not read, so it costs what changed, not what is there.",
    .args = diff_args,
    .arg_count = sizeof diff_args / sizeof *diff_args,
    .least_words = 2,
    .most_words = 3,
    .run = run_diff,
};

/* ---- versions ---- */

/* Snapshots in a row that hold the same content. */
struct versions {
    const struct run *run;
    struct site *site;
    struct node *node; /* of the version at hand; NULL: none */
    char first[40], last[40];
    struct timestamp first_time, last_time;
    uint64_t snapshots, count, damaged;
};

static enum err print_version(struct versions *v)
{
    const struct entry *e = v->node ? &v->node->entry : NULL;
    if (!e)
        return ERR_OK;
    v->count++;
    uint64_t size = e->kind == NODE_FILE ? e->content.length : e->kind == NODE_DIR ? e->below.bytes : 0;
    if (v->run->settings->json) {
        json_t *o = json_of_entry(slice_str(v->run->words[1]), e, v->node->position);
        json_object_del(o, "position"); /* differs from snapshot to snapshot */
        json_object_set_new(o, "first", json_string(v->first));
        json_object_set_new(o, "last", json_string(v->last));
        json_set_time(o, "first_time", v->first_time);
        json_set_time(o, "last_time", v->last_time);
        json_object_set_new(o, "snapshots", json_integer((json_int_t)v->snapshots));
        return print_json(o);
    }
    char time[TIME_TEXT_MAX];
    clock_format_local(e->mtime, time);
    printf("%10s  %s  %s  %s..%s  %llu snapshot%s\n", text_size(size).text, time, e->has_sha256 ? hex_of(e->sha256, 32).text : "-",
           v->first, v->last, (unsigned long long)v->snapshots, v->snapshots == 1 ? "" : "s");
    return ferror(stdout) ? err_set(ERR_IO, "standard output was lost") : ERR_OK;
}

static enum err version_end(struct versions *v)
{
    TRY(print_version(v));
    node_free(TAKE(v->node));
    v->snapshots = 0;
    return ERR_OK;
}

static enum err version_in(void *context, const struct snapshot_info *info)
{
    struct versions *v = context;
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) node = NULL;
    enum err e = reader_open_snapshot(v->site->reader, info, &view);
    if (e == ERR_OK)
        e = reader_path(v->site->reader, view, slice_str(v->run->words[1]), &node);
    if (e == ERR_NOT_FOUND)
        return version_end(v);
    if (e == ERR_CORRUPT || e == ERR_AUTH) { /* the others are still worth seeing */
        log_err(LOG_LEVEL_WARN, e, "%s/%s", info->service, info->name);
        v->damaged++;
        return ERR_OK;
    }
    TRY(e);
    bool same = v->node && v->node->entry.kind == node->entry.kind && entries_same_content(&v->node->entry, &node->entry);
    if (!same) {
        TRY(version_end(v));
        v->node = TAKE(node);
        snprintf(v->first, sizeof v->first, "%s", info->name);
        v->first_time = info->time;
    }
    snprintf(v->last, sizeof v->last, "%s", info->name);
    v->last_time = info->time;
    v->snapshots++;
    return ERR_OK;
}

static enum err run_versions(struct run *run)
{
    AUTO(site) site = {0};
    struct versions v = {.run = run, .site = &site};
    TRY(site_open(run->settings, &site));
    TRY(site_reader(&site, SYNC_ALL, 1));
    enum err e = index_snapshots(site.index, run->words[0], version_in, &v);
    if (e == ERR_OK)
        e = version_end(&v);
    node_free(v.node);
    TRY(e);
    if (v.count == 0 && !v.damaged)
        return err_set(ERR_NOT_FOUND, "no snapshot of %s has %s", run->words[0], run->words[1]);
    run->status = v.damaged ? 7 : 0;
    return ERR_OK;
}

const struct command cmd_versions = {
    .name = "versions",
    .usage = "SERVICE PATH",
    .summary = "versions of one file through all snapshots of a service",
    .details = "One line for snapshots in a row that hold the same content: size, time of modification, SHA-256, first and last snapshot.",
    .least_words = 2,
    .most_words = 2,
    .run = run_versions,
};

/* ---- stats ---- */

enum object_sort { SORT_PACKS, SORT_SEGMENTS, SORT_SNAPSHOTS, SORT_OTHERS, SORT_COUNT };
static const char *const sort_words[SORT_COUNT] = {"packs", "segments", "envelopes", "others"};

struct statistics {
    const struct settings *settings;
    struct index *index;
    struct {
        uint64_t objects, bytes;
    } sorts[SORT_COUNT];
    uint64_t services, snapshots, raw_bytes;                /* of all */
    uint64_t service_raw, service_stored, newest_bytes;     /* of the service at hand */
};

static enum err count_object(void *context, const struct store_entry *entry)
{
    struct statistics *s = context;
    static const char *const folders[] = {"packs/", "index/", "snapshots/"};
    size_t sort = 0;
    while (sort < SORT_OTHERS && strncmp(entry->name, folders[sort], strlen(folders[sort])) != 0)
        sort++;
    s->sorts[sort].objects++;
    s->sorts[sort].bytes += entry->size_bytes;
    return ERR_OK;
}

static enum err count_snapshot(void *context, const struct snapshot_info *info)
{
    struct statistics *s = context;
    s->service_raw += info->totals.bytes;
    s->service_stored += info->totals.stored_bytes;
    s->newest_bytes = info->totals.bytes;
    return ERR_OK;
}

static enum err count_service(void *context, const struct service_info *service)
{
    struct statistics *s = context;
    s->service_raw = s->service_stored = s->newest_bytes = 0;
    TRY(index_snapshots(s->index, service->service, count_snapshot, s));
    s->services++;
    s->snapshots += service->snapshots;
    s->raw_bytes += s->service_raw;
    if (s->settings->json)
        return print_json(json_pack("{ss ss ss sI sI sI sI}", "service", service->service, "kind", service->kind, "host",
                                    service->host_name, "snapshots", (json_int_t)service->snapshots, "newest_bytes",
                                    (json_int_t)s->newest_bytes, "raw_bytes", (json_int_t)s->service_raw, "stored_bytes",
                                    (json_int_t)s->service_stored));
    printf("%-40s %6llu snapshots  newest %10s  all %10s  stored for it %10s\n", service->service,
           (unsigned long long)service->snapshots, text_size(s->newest_bytes).text, text_size(s->service_raw).text,
           text_size(s->service_stored).text);
    return ERR_OK;
}

static enum err print_store(const struct statistics *s)
{
    uint64_t stored = 0, packs = s->sorts[SORT_PACKS].bytes;
    double ratio = packs ? (double)s->raw_bytes / (double)packs : 0;
    json_t *o = json_object();
    for (size_t i = 0; i < SORT_COUNT; i++) {
        stored += s->sorts[i].bytes;
        json_object_set_new(o, sort_words[i],
                            json_pack("{sI sI}", "objects", (json_int_t)s->sorts[i].objects, "bytes", (json_int_t)s->sorts[i].bytes));
    }
    if (s->settings->json) {
        json_object_set_new(o, "services", json_integer((json_int_t)s->services));
        json_object_set_new(o, "snapshots", json_integer((json_int_t)s->snapshots));
        json_object_set_new(o, "raw_bytes", json_integer((json_int_t)s->raw_bytes));
        json_object_set_new(o, "stored_bytes", json_integer((json_int_t)stored));
        json_object_set_new(o, "ratio", json_real(ratio));
        return print_json(o);
    }
    json_decref(o);
    for (size_t i = 0; i < SORT_COUNT; i++)
        printf("%-40s %6llu objects    %10s\n", sort_words[i], (unsigned long long)s->sorts[i].objects,
               text_size(s->sorts[i].bytes).text);
    printf("%llu snapshots of %llu services hold %s; stored are %s: %.1f times less than all snapshots' bytes\n",
           (unsigned long long)s->snapshots, (unsigned long long)s->services, text_size(s->raw_bytes).text, text_size(stored).text,
           ratio);
    return ERR_OK;
}

static enum err run_stats(struct run *run)
{
    AUTO(site) site = {0};
    TRY(site_open(run->settings, &site));
    TRY(index_sync(site.index, SYNC_SNAPSHOTS, NULL));
    struct statistics s = {.settings = run->settings, .index = site.index};
    TRY(store_list(site.access->store, "", count_object, &s));
    TRY(index_services(site.index, count_service, &s));
    return print_store(&s);
}

const struct command cmd_stats = {
    .name = "stats",
    .usage = "",
    .summary = "what the store holds, and what it takes",
    .details = "\"stored for it\" is what its snapshots added to the store when they were made; what they share with others counts for the first.",
    .most_words = 0,
    .run = run_stats,
};
