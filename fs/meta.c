#include "fs/meta.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "fetch/fetch.h"
#include "fs/snapshots.h"

enum { VERSIONS = 64 };
#define FRESH_NS UINT64_C(1000000000)

struct version {
    uint32_t number; /* 0: none yet */
    struct buf text;
    struct timestamp made;
};

struct changing {
    struct version versions[VERSIONS]; /* by number modulo VERSIONS */
    uint32_t newest;                   /* its number; 0: none yet */
    uint64_t newest_ns;                /* when it was made or found still true */
};

struct meta {
    struct fs *fs;
    pthread_mutex_t lock; /* all below */
    struct changing status, metrics;
};

enum err meta_new(struct fs *fs, struct meta **ret_meta)
{
    struct meta *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(ERR_NOMEM, "no memory for status.json");
    m->fs = fs;
    pthread_mutex_init(&m->lock, NULL);
    *ret_meta = m;
    return ERR_OK;
}

static void changing_clear(struct changing *c)
{
    for (size_t i = 0; i < VERSIONS; i++)
        buf_clear(&c->versions[i].text);
}

void meta_free(struct meta *m)
{
    if (!m)
        return;
    changing_clear(&m->status);
    changing_clear(&m->metrics);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct changing *changing_of(struct meta *m, enum made kind)
{
    return kind == MADE_STATUS ? &m->status : &m->metrics;
}

/* ---- versions ---- */

/* Under the lock: text becomes the newest version, unless it says what that said. */
static uint32_t add_version(struct changing *c, struct buf *text)
{
    struct version *newest = &c->versions[c->newest % VERSIONS];
    if (c->newest && slice_equal(buf_slice(&newest->text), buf_slice(text)))
        return c->newest;
    c->newest = c->newest == INODE_NUMBER_MAX ? 1 : c->newest + 1;
    struct version *v = &c->versions[c->newest % VERSIONS];
    buf_clear(&v->text);
    buf_move(&v->text, text);
    v->number = c->newest;
    v->made = clock_now();
    return c->newest;
}

enum err meta_now(struct meta *m, enum made kind, uint64_t *ret_ino)
{
    struct changing *c = changing_of(m, kind);
    uint64_t now = clock_monotonic_ns();
    pthread_mutex_lock(&m->lock);
    uint32_t number = c->newest && now - c->newest_ns < FRESH_NS ? c->newest : 0;
    pthread_mutex_unlock(&m->lock);
    if (!number) {
        AUTO(buf) text = BUF_EMPTY;
        TRY(kind == MADE_STATUS ? meta_write_status(m->fs, &text)
                                : meta_write_metrics(m->fs, &text));
        pthread_mutex_lock(&m->lock);
        number = add_version(c, &text);
        c->newest_ns = now;
        pthread_mutex_unlock(&m->lock);
    }
    *ret_ino = inode_made(kind, number);
    return ERR_OK;
}

/* Under the lock. */
static const struct version *find_version(struct meta *m, uint64_t ino)
{
    uint32_t number = inode_made_argument(ino);
    const struct version *v = &changing_of(m, inode_made_kind(ino))->versions[number % VERSIONS];
    return number && v->number == number ? v : NULL;
}

enum err meta_size(struct meta *m, uint64_t ino, uint64_t *ret_size, struct timestamp *ret_time)
{
    pthread_mutex_lock(&m->lock);
    const struct version *v = find_version(m, ino);
    if (v) {
        *ret_size = v->text.len;
        *ret_time = v->made;
    }
    pthread_mutex_unlock(&m->lock);
    return v ? ERR_OK : err_set(ERR_NOT_FOUND, "a version that is not kept any more");
}

enum err meta_read(struct meta *m, uint64_t ino, uint64_t offset, void *to, size_t len,
                   size_t *ret_len)
{
    pthread_mutex_lock(&m->lock);
    const struct version *v = find_version(m, ino);
    *ret_len = 0;
    if (v && offset < v->text.len) {
        *ret_len = len < v->text.len - offset ? len : v->text.len - (size_t)offset;
        memcpy(to, v->text.data + offset, *ret_len);
    }
    pthread_mutex_unlock(&m->lock);
    return v ? ERR_OK : err_set(ERR_NOT_FOUND, "a version that is not kept any more");
}

/* ---- what they say ---- */

static json_t *time_json(struct timestamp t)
{
    char text[TIME_TEXT_MAX];
    clock_format_rfc3339(t, 0, text);
    return json_string(text);
}

static enum err status_service(void *context, const struct service_facts *service, uint64_t ordinal)
{
    (void)ordinal;
    json_t *services = context;
    json_t *one = json_pack("{s:s, s:s, s:s, s:I, s:o}", "name", service->name, "kind",
                            service->kind, "host", service->host_name, "snapshots",
                            (json_int_t)service->snapshots, "newest", time_json(service->newest));
    return json_array_append_new(services, one) == 0
               ? ERR_OK
               : err_set(ERR_NOMEM, "no memory for status.json");
}

enum err meta_write_status(struct fs *fs, struct buf *out)
{
    struct snapshots_totals totals;
    snapshots_get_totals(fs->snapshots, &totals);
    const struct access *access = fs->options->access;
    json_t *services = json_array();
    enum err e = snapshots_services(fs->snapshots, 0, status_service, services);
    json_t *all =
        json_pack("{s:{s:s, s:s}, s:o, s:{s:I, s:I, s:I, s:I}, s:o}", "store", "id",
                  hex_of(access->head.store.bytes, 16).text, "url", access->store->url, /* */
                  "mounted", time_json(fs->mounted),                                    /* */
                  "totals", "services", (json_int_t)totals.services, "snapshots",
                  (json_int_t)totals.snapshots, "nodes", (json_int_t)totals.nodes, "stored_bytes",
                  (json_int_t)totals.stored_bytes, /* */
                  "services", services);
    AUTO_MEM char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    TRY(e);
    if (!text)
        return err_set(ERR_NOMEM, "no memory for status.json");
    buf_put_slice(out, slice_str(text));
    buf_put_u8(out, '\n');
    return buf_check(out);
}

static void put_metric(struct buf *out, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    buf_put_format(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,
                   (unsigned long long)value);
}

struct per_service {
    struct buf *out;
    bool ages;
    struct timestamp now;
};

static enum err metrics_service(void *context, const struct service_facts *service,
                                uint64_t ordinal)
{
    (void)ordinal;
    const struct per_service *p = context;
    /* Names of services need no escaping: docs/format.md has only letters, digits, dot, dash,
     * underscore. */
    if (p->ages)
        buf_put_format(p->out, "yore_newest_snapshot_age_seconds{service=\"%s\"} %lld\n",
                       service->name, (long long)(p->now.secs - service->newest.secs));
    else
        buf_put_format(p->out, "yore_snapshots{service=\"%s\"} %llu\n", service->name,
                       (unsigned long long)service->snapshots);
    return ERR_OK;
}

enum err meta_write_metrics(struct fs *fs, struct buf *out)
{
    struct fs_counts *c = &fs->counts;
    struct fetch_stats stats;
    fetcher_stats(fs->fetcher, &stats);
    put_metric(out, "yore_mount_lookups_total", "counter", "Names looked up.",
               atomic_load(&c->lookups));
    put_metric(out, "yore_mount_getattrs_total", "counter", "Attributes asked for.",
               atomic_load(&c->getattrs));
    put_metric(out, "yore_mount_listings_total", "counter", "Pieces of directories listed.",
               atomic_load(&c->listings));
    put_metric(out, "yore_mount_reads_total", "counter", "Reads of files.", atomic_load(&c->reads));
    put_metric(out, "yore_mount_read_bytes_total", "counter", "Bytes read from files.",
               atomic_load(&c->read_bytes));
    put_metric(out, "yore_mount_cache_hits_total", "counter",
               "Chunks whose frame was decoded already.", stats.hits);
    put_metric(out, "yore_mount_frames_read_total", "counter", "Frames read from the store.",
               stats.frames_read);
    put_metric(out, "yore_mount_frames_ahead_total", "counter", "Frames read ahead.",
               stats.frames_ahead);
    put_metric(out, "yore_mount_store_bytes_total", "counter", "Bytes read from the store.",
               stats.bytes_read);
    put_metric(out, "yore_mount_syncs_total", "counter", "Times the index was brought up to date.",
               atomic_load(&c->syncs));
    put_metric(out, "yore_mount_sync_failures_total", "counter", "Times it could not be.",
               atomic_load(&c->sync_failures));

    buf_put_slice(out, slice_str("# HELP yore_mount_errors_total Requests that failed, by kind.\n# "
                                 "TYPE yore_mount_errors_total counter\n"));
    for (int code = ERR_OK + 1; code <= ERR_IO; code++)
        if (code != ERR_NOT_FOUND)
            buf_put_format(out, "yore_mount_errors_total{kind=\"%s\"} %llu\n",
                           err_word((enum err)code),
                           (unsigned long long)atomic_load(&c->errors[code]));

    struct per_service each = {out, false, clock_now()};
    buf_put_slice(
        out,
        slice_str("# HELP yore_snapshots Snapshots of a service.\n# TYPE yore_snapshots gauge\n"));
    TRY(snapshots_services(fs->snapshots, 0, metrics_service, &each));
    buf_put_slice(out,
                  slice_str("# HELP yore_newest_snapshot_age_seconds Age of the newest snapshot.\n"
                            "# TYPE yore_newest_snapshot_age_seconds gauge\n"));
    each.ages = true;
    TRY(snapshots_services(fs->snapshots, 0, metrics_service, &each));
    return buf_check(out);
}
