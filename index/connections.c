#include "index/connections.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fetch/base/clock.h"
#include "fetch/base/log.h"

enum { REFRESH_NS = 100000000 };
/* Longer than the ticks in which a file's times count. */
enum { SETTLED_MS = 100 };

struct connections {
    char *dir, *runs_dir, *catalog_path;
    struct uid store;
    atomic_bool distrust;
    atomic_uint_fast64_t looked_ns; /* when the catalog was looked at */

    pthread_mutex_t watching; /* taken before lock */
    struct catalog *watch;    /* guarded by watching, as is what follows */
    struct query *version;
    int64_t version_seen;
    struct stat seen;         /* the file as it was before the last look, */
    bool settled;             /* unchanged for so long that any change shows in its times */

    pthread_mutex_t lock;
    pthread_cond_t given;     /* with lock: a connection is idle */
    struct view *view;        /* guarded by lock; never NULL */
    struct connection *idle;  /* guarded by lock */
    unsigned count;           /* guarded by lock: idle and taken */
};

/* ---- views ---- */

/* Called with lock held, or when nobody else knows the view. */
static void view_unref(struct view *view)
{
    if (!view || --view->refs > 0)
        return;
    run_list_clear(&view->runs);
    number_list_clear(&view->gone);
    free(view);
}

static enum err view_read(struct catalog *catalog, struct view *view)
{
    int64_t pack_max;
    view->cache = catalog->cache;
    TRY(catalog_runs(catalog, &view->runs));
    TRY(catalog_gone_packs(catalog, &view->gone));
    TRY(db_number(catalog->db, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'packs'), 0)", &pack_max));
    view->pack_max = pack_max < 0 || pack_max > UINT32_MAX / 2 ? 0 : (uint32_t)pack_max;
    return ERR_OK;
}

static void view_install(struct connections *c, struct view *view)
{
    pthread_mutex_lock(&c->lock);
    struct view *before = c->view;
    bool anew = memcmp(before->cache.bytes, view->cache.bytes, sizeof view->cache.bytes) != 0;
    view->pack_base = anew ? before->pack_base + before->pack_max : before->pack_base;
    view->serial = before->serial + 1;
    c->view = view;
    view_unref(before);
    pthread_mutex_unlock(&c->lock);
}

/* ---- looking whether there is something new; with watching held ---- */

static void watch_close(struct connections *c)
{
    query_free(TAKE(c->version));
    catalog_free(TAKE(c->watch));
    c->version_seen = -1;
    c->settled = false;
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool is_settled(const struct stat *file)
{
    struct timestamp now = clock_now();
    return (now.secs - file->st_ctim.tv_sec) * 1000 + ((int64_t)now.nanos - file->st_ctim.tv_nsec) / 1000000 >= SETTLED_MS;
}

static enum err watch_open(struct connections *c, unsigned patience_ms)
{
    if (c->watch && !catalog_is_current(c->watch, c->dir))
        watch_close(c);
    if (c->watch) {
        db_set_busy(c->watch->db, patience_ms);
        return ERR_OK;
    }
    TRY(catalog_open(c->dir, &c->store, patience_ms, &c->watch));
    return query_new(c->watch->db, "PRAGMA data_version", &c->version);
}

static enum err read_anew(struct connections *c)
{
    struct view *view = calloc(1, sizeof *view);
    if (!view)
        return err_set(ERR_NOMEM, "no memory for the local index");
    view->refs = 1;
    enum err e = db_run(c->watch->db, "BEGIN");
    if (e == ERR_OK) {
        e = view_read(c->watch, view);
        enum err ended = db_run(c->watch->db, "COMMIT");
        e = e == ERR_OK ? ended : e;
    }
    if (e != ERR_OK) {
        view_unref(view);
        return e;
    }
    view_install(c, view);
    return ERR_OK;
}

/* Who looks for what is not there asks here each time: one stat answers, as long as the file has rested. */
static enum err watch_look(struct connections *c, unsigned patience_ms)
{
    struct stat file;
    if (stat(c->catalog_path, &file) != 0)
        return err_errno("no local catalog");
    if (c->settled && same_stat(&file, &c->seen))
        return ERR_OK;
    c->settled = false;
    TRY(watch_open(c, patience_ms));
    bool row;
    TRY(query_step(c->version, &row));
    int64_t version = row ? query_get(c->version, 0) : -1;
    query_reset(c->version);
    if (version != c->version_seen)
        TRY(read_anew(c));
    c->version_seen = version;
    c->seen = file;
    c->settled = is_settled(&file);
    return ERR_OK;
}

/* With watching held: let go of here. */
static enum err refresh_and_unlock(struct connections *c, unsigned patience_ms)
{
    enum err e = watch_look(c, patience_ms);
    if (e != ERR_OK) {
        /* No catalog yet, or a writer is at it: what we have stays good. */
        if (e != ERR_AGAIN)
            watch_close(c);
        if (e == ERR_CORRUPT)
            connections_distrust(c);
        log_debug("index: %s", err_text());
    }
    atomic_store(&c->looked_ns, clock_monotonic_ns());
    pthread_mutex_unlock(&c->watching);
    return e == ERR_AGAIN ? e : ERR_OK;
}

enum err connections_refresh(struct connections *c, unsigned patience_ms, uint64_t *ret_serial)
{
    pthread_mutex_lock(&c->watching);
    enum err e = refresh_and_unlock(c, patience_ms);
    pthread_mutex_lock(&c->lock);
    if (ret_serial)
        *ret_serial = c->view->serial;
    pthread_mutex_unlock(&c->lock);
    return e;
}

void connections_refresh_sometimes(struct connections *c)
{
    if (clock_monotonic_ns() - atomic_load(&c->looked_ns) >= REFRESH_NS && pthread_mutex_trylock(&c->watching) == 0)
        (void)refresh_and_unlock(c, 0);
}

/* ---- making and freeing ---- */

static void connection_close_catalog(struct connection *connection)
{
    query_free(TAKE(connection->pack));
    catalog_free(TAKE(connection->catalog));
}

static void connection_free(struct connection *connection)
{
    if (!connection)
        return;
    for (size_t i = 0; connection->runs && i < connection->view->runs.count; i++)
        run_free(connection->runs[i]);
    free(connection->runs);
    free(connection->bad);
    connection_close_catalog(connection);
    view_unref(connection->view);
    free(connection);
}

enum err connections_new(const char *dir, const struct uid *store, struct connections **ret_connections)
{
    AUTO_PTR(connections) c = calloc(1, sizeof *c);
    if (!c)
        return err_set(ERR_NOMEM, "no memory for the local index");
    pthread_mutex_init(&c->watching, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->given, NULL);
    c->store = *store;
    c->version_seen = -1;
    c->view = calloc(1, sizeof *c->view);
    if (!c->view || !(c->dir = strdup(dir)) || asprintf(&c->runs_dir, "%s/runs", dir) < 0 ||
        asprintf(&c->catalog_path, "%s/catalog.db", dir) < 0)
        return err_set(ERR_NOMEM, "no memory for the local index");
    c->view->refs = 1;
    (void)connections_refresh(c, 0, NULL);
    *ret_connections = TAKE(c);
    return ERR_OK;
}

void connections_free(struct connections *c)
{
    if (!c)
        return;
    while (c->idle) {
        struct connection *first = c->idle;
        c->idle = first->next;
        connection_free(first);
    }
    watch_close(c);
    view_unref(c->view);
    pthread_cond_destroy(&c->given);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->watching);
    free(c->dir);
    free(c->runs_dir);
    free(c->catalog_path);
    free(c);
}

/* ---- taking and giving ---- */

/* Move what is opened to another view; what that does not know any more is closed. */
static enum err connection_move(struct connections *c, struct connection *connection, struct view *view)
{
    AUTO_MEM struct run **runs = calloc(view->runs.count + 1, sizeof *runs);
    AUTO_MEM bool *bad = calloc(view->runs.count + 1, sizeof *bad);
    if (!runs || !bad)
        return err_set(ERR_NOMEM, "no memory for %zu runs", view->runs.count);
    struct view *before = connection->view;
    bool same_cache = before && memcmp(before->cache.bytes, view->cache.bytes, sizeof view->cache.bytes) == 0;
    for (size_t i = 0; before && i < before->runs.count; i++) {
        size_t k = 0;
        while (same_cache && k < view->runs.count && view->runs.runs[k].number != before->runs.runs[i].number)
            k++;
        if (same_cache && k < view->runs.count)
            runs[k] = connection->runs[i];
        else
            run_free(connection->runs[i]);
    }
    free(connection->runs);
    free(connection->bad);
    connection->runs = TAKE(runs);
    connection->bad = TAKE(bad);
    connection->view = view;
    pthread_mutex_lock(&c->lock);
    view_unref(before);
    pthread_mutex_unlock(&c->lock);
    return ERR_OK;
}

enum err connection_take(struct connections *c, struct connection **ret_connection)
{
    struct connection *taken = NULL;
    pthread_mutex_lock(&c->lock);
    while (!c->idle && c->count >= CONNECTIONS_MAX)
        pthread_cond_wait(&c->given, &c->lock);
    if (c->idle) {
        taken = c->idle;
        c->idle = taken->next;
    } else if ((taken = calloc(1, sizeof *taken))) {
        c->count++;
    }
    struct view *view = c->view;
    bool move = taken && taken->view != view;
    if (move)
        view->refs++;
    pthread_mutex_unlock(&c->lock);
    if (!taken)
        return err_set(ERR_NOMEM, "no memory for a connection");
    if (move) {
        enum err e = connection_move(c, taken, view);
        if (e != ERR_OK) {
            pthread_mutex_lock(&c->lock);
            view_unref(view);
            pthread_mutex_unlock(&c->lock);
            connection_give(c, taken);
            return e;
        }
    }
    *ret_connection = taken;
    return ERR_OK;
}

void connection_give(struct connections *c, struct connection *connection)
{
    pthread_mutex_lock(&c->lock);
    connection->next = c->idle;
    c->idle = connection;
    pthread_cond_signal(&c->given);
    pthread_mutex_unlock(&c->lock);
}

/* ---- what a connection opens ---- */

void connections_distrust(struct connections *c)
{
    atomic_store(&c->distrust, true);
}

bool connections_take_distrust(struct connections *c)
{
    return atomic_exchange(&c->distrust, false);
}

void connection_run_bad(struct connections *c, struct connection *connection, size_t i)
{
    log_warn("%s; the next sync makes it anew", err_text());
    connection->bad[i] = true;
    run_free(TAKE(connection->runs[i]));
    connections_distrust(c);
}

enum err connection_run(struct connections *c, struct connection *connection, size_t i, struct run **ret_run)
{
    if (!connection->runs[i]) {
        const struct run_info *info = &connection->view->runs.runs[i];
        if (connection->bad[i])
            return err_set(ERR_NOT_FOUND, "run %llu of the local index is not there", (unsigned long long)info->number);
        enum err e = run_open(c->runs_dir, info, &connection->runs[i]);
        if (e == ERR_CORRUPT)
            connection_run_bad(c, connection, i);
        TRY(e);
    }
    *ret_run = connection->runs[i];
    return ERR_OK;
}

enum err connection_catalog(struct connections *c, struct connection *connection, struct catalog **ret_catalog)
{
    if (connection->catalog && (!catalog_is_current(connection->catalog, c->dir) || db_damaged(connection->catalog->db)))
        connection_close_catalog(connection);
    if (!connection->catalog) {
        enum err e = catalog_open(c->dir, &c->store, PATIENCE_MS, &connection->catalog);
        if (e == ERR_CORRUPT)
            connections_distrust(c);
        TRY(e);
    }
    *ret_catalog = connection->catalog;
    return ERR_OK;
}
