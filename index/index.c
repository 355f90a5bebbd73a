/* index: opening, and where chunks lie. Snapshots are in snapshots.c, what changes the local copy in sync.c. */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/file.h"
#include "fetch/base/log.h"
#include "index/index_inside.h"

enum { COPIES_MAX = 64, LOOKS_MAX = 16, FINDS_BETWEEN_LOOKS = 256 };

/* A writer that died in a transaction left its journal: whoever holds the lock may roll it back. */
static void roll_back(struct index *index)
{
    AUTO(sync_lock) lock = SYNC_LOCK_NONE;
    AUTO_PTR(catalog) catalog = NULL;
    enum err e = catalog_open(index->dir, &index->access->head.store, 0, &catalog);
    if (e != ERR_AGAIN || sync_lock_take(index->dir, 0, &lock) != ERR_OK)
        return;
    if (catalog_open_write(index->dir, &index->access->head.store, &catalog) == ERR_OK)
        (void)connections_refresh(index->connections, 0, NULL);
}

enum err index_open(const struct access *access, const char *cache_dir, struct index **ret_index)
{
    AUTO_PTR(index) index = calloc(1, sizeof *index);
    if (!index)
        return err_set(ERR_NOMEM, "no memory for the local index");
    index->access = access;
    if (!(index->dir = strdup(cache_dir)) || asprintf(&index->runs_dir, "%s/runs", cache_dir) < 0)
        return err_set(ERR_NOMEM, "no memory for the local index");
    TRY(dir_make(index->runs_dir, 0700));
    TRY(connections_new(index->dir, &access->head.store, &index->connections));
    roll_back(index);
    *ret_index = TAKE(index);
    return ERR_OK;
}

void index_free(struct index *index)
{
    if (!index)
        return;
    connections_free(index->connections);
    free(index->warned);
    free(index->dir);
    free(index->runs_dir);
    free(index);
}

/* ---- one chunk ---- */

/* Copies of a chunk, in the order in which they are offered. */
struct copies {
    const struct view *view;
    const struct location *skip; /* NULL: the first will do */
    struct location found[COPIES_MAX];
    size_t count;
};

static bool same_place(const struct location *a, const struct location *b)
{
    return a->pack == b->pack && a->frame.offset == b->frame.offset && a->place == b->place;
}

static enum err copy_add(void *context, const struct chunk_row *row)
{
    struct copies *copies = context;
    if (number_list_has(&copies->view->gone, row->pack))
        return ERR_OK;
    struct location *found = &copies->found[copies->count];
    *found = (struct location){copies->view->pack_base + row->pack, row->frame, row->place, row->length};
    for (size_t i = 0; i < copies->count; i++)
        if (same_place(&copies->found[i], found))
            return ERR_OK;
    copies->count++;
    return !copies->skip || copies->count == COPIES_MAX ? ERR_CANCELED : ERR_OK; /* enough */
}

/* The copy after the one that was no good, round and round: who asks again and again meets them all. */
static enum err copy_choose(const struct copies *copies, struct location *ret_location)
{
    size_t at = 0;
    for (size_t i = 0; copies->skip && i < copies->count; i++)
        if (same_place(&copies->found[i], copies->skip))
            at = (i + 1) % copies->count;
    if (copies->count == 0 || (copies->skip && same_place(&copies->found[at], copies->skip)))
        return ERR_NOT_FOUND;
    *ret_location = copies->found[at];
    return ERR_OK;
}

/* Ask the runs, largest first. *ret_sure false: a run could not be asked. */
static enum err ask_runs(struct index *index, struct connection *connection, uint32_t domain, enum chunk_kind kind,
                         const struct chunk_id *id, struct copies *copies, bool *ret_sure)
{
    const struct run_list *runs = &connection->view->runs;
    *ret_sure = true;
    for (size_t i = 0; i < runs->count; i++) {
        if (runs->runs[i].domain != domain || runs->runs[i].kind != kind)
            continue;
        struct run *run;
        enum err e = connection_run(index->connections, connection, i, &run);
        if (e == ERR_OK) {
            e = run_find(run, id, copies->skip != NULL, copy_add, copies);
            if (e == ERR_CORRUPT)
                connection_run_bad(index->connections, connection, i);
        }
        if (e == ERR_CANCELED)
            break;
        if (e == ERR_NOT_FOUND || e == ERR_CORRUPT)
            *ret_sure = false;
        else
            TRY(e);
    }
    return ERR_OK;
}

static enum err find_once(struct index *index, uint32_t domain, enum chunk_kind kind, const struct chunk_id *id,
                          const struct location *skip, struct location *ret_location, bool *ret_sure, uint64_t *ret_serial)
{
    struct connection *connection;
    TRY(connection_take(index->connections, &connection));
    *ret_serial = connection->view->serial;
    bool look = ++connection->finds % FINDS_BETWEEN_LOOKS == 0;
    struct copies copies;
    copies.view = connection->view;
    copies.skip = skip;
    copies.count = 0;
    enum err e = ask_runs(index, connection, domain, kind, id, &copies, ret_sure);
    connection_give(index->connections, connection);
    if (look)
        connections_refresh_sometimes(index->connections);
    return e == ERR_OK ? copy_choose(&copies, ret_location) : e;
}

enum err index_find(struct index *index, uint32_t domain, enum chunk_kind kind, const struct chunk_id *id,
                    const struct location *skip, struct location *ret_location)
{
    bool sure = true;
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        uint64_t looked, newest;
        enum err e = find_once(index, domain, kind, id, skip, ret_location, &sure, &looked);
        if (e != ERR_NOT_FOUND)
            return e;
        /* Not in what we knew. Did another process change it, or another thread notice? */
        TRY(connections_refresh(index->connections, PATIENCE_MS, &newest));
        if (newest == looked)
            break;
    }
    if (!sure)
        connections_distrust(index->connections); /* a run is listed and not there: somebody tidied up */
    return err_set(ERR_NOT_FOUND, skip ? "no other copy of chunk %s is known" : "chunk %s is in no segment known",
                   hex_short(id->bytes).text);
}

/* ---- many chunks ---- */

struct wanted {
    const struct chunk_id *id;
    size_t place; /* in the caller's order */
};

static int wanted_by_id(const void *left, const void *right)
{
    const struct wanted *a = left, *b = right;
    return memcmp(a->id->bytes, b->id->bytes, sizeof a->id->bytes);
}

static enum err live_seen(void *context, const struct chunk_row *row)
{
    const struct view *view = context;
    return number_list_has(&view->gone, row->pack) ? ERR_OK : ERR_CANCELED;
}

static enum err find_many_in(struct run *run, struct view *view, const struct wanted *wanted, size_t count, bool *ret_found)
{
    for (size_t i = 0; i < count; i++) {
        if (ret_found[wanted[i].place])
            continue;
        enum err e = run_find(run, wanted[i].id, false, live_seen, view);
        if (e == ERR_CANCELED)
            ret_found[wanted[i].place] = true;
        else
            TRY(e);
    }
    return ERR_OK;
}

enum err index_find_many(struct index *index, uint32_t domain, enum chunk_kind kind, const struct chunk_id *ids, size_t count,
                         bool *ret_found)
{
    AUTO_MEM struct wanted *wanted = calloc(count + 1, sizeof *wanted);
    if (!wanted)
        return err_set(ERR_NOMEM, "no memory to look for %zu chunks", count);
    for (size_t i = 0; i < count; i++) {
        wanted[i] = (struct wanted){&ids[i], i};
        ret_found[i] = false;
    }
    qsort(wanted, count, sizeof *wanted, wanted_by_id);
    connections_refresh_sometimes(index->connections);
    struct connection *connection;
    TRY(connection_take(index->connections, &connection));
    const struct run_list *runs = &connection->view->runs;
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < runs->count; i++) {
        if (runs->runs[i].domain != domain || runs->runs[i].kind != kind)
            continue;
        struct run *run;
        e = connection_run(index->connections, connection, i, &run);
        if (e == ERR_OK && (e = find_many_in(run, connection->view, wanted, count, ret_found)) == ERR_CORRUPT)
            connection_run_bad(index->connections, connection, i);
        /* Not found is never wrong here: a writer then stores the chunk again. */
        if (e == ERR_NOT_FOUND || e == ERR_CORRUPT)
            e = ERR_OK;
    }
    connection_give(index->connections, connection);
    return e;
}

/* ---- packs ---- */

static enum err keys_decode(struct slice bytes, struct fetch_pack *pack)
{
    struct cursor c = cursor_of(bytes);
    size_t count = bytes.len / (16 + 4 + SEALED_KEY_BYTES);
    AUTO_MEM struct epoch_key_record *keys = calloc(count + 1, sizeof *keys);
    if (!keys)
        return err_set(ERR_NOMEM, "no memory for pack keys");
    for (size_t i = 0; i < count; i++) {
        cursor_copy(&c, keys[i].origin.bytes, 16);
        keys[i].epoch = cursor_u32(&c);
        cursor_copy(&c, keys[i].sealed, SEALED_KEY_BYTES);
    }
    TRY(cursor_finish(&c, "pack keys of the local index"));
    pack->keys = count ? TAKE(keys) : NULL;
    pack->key_count = count;
    return ERR_OK;
}

static enum err pack_read(struct query *query, struct fetch_pack *ret_pack)
{
    struct fetch_pack pack = {
        .domain = (uint32_t)query_get(query, 0),
        .kind = query_get(query, 1) == CHUNK_TREE ? CHUNK_TREE : CHUNK_DATA,
        .size_bytes = (uint64_t)query_get(query, 4),
    };
    TRY(query_copy(query, 2, pack.name.session.bytes, 16));
    TRY(query_copy(query, 3, pack.name.sha256.bytes, 32));
    TRY(keys_decode(query_get_bytes(query, 5), &pack));
    *ret_pack = pack;
    return ERR_OK;
}

static enum err pack_in(struct index *index, struct connection *connection, uint32_t number, struct fetch_pack *ret_pack)
{
    struct catalog *catalog;
    TRY(connection_catalog(index->connections, connection, &catalog));
    if (number <= connection->view->pack_base ||
        memcmp(catalog->cache.bytes, connection->view->cache.bytes, sizeof catalog->cache.bytes) != 0)
        return ERR_NOT_FOUND; /* a number of a catalog that was begun anew since, or of one we have not looked at */
    if (!connection->pack)
        TRY(query_new(catalog->db, "SELECT domain, kind, session, sha256, size_bytes, keys FROM packs WHERE id = ?",
                      &connection->pack));
    bool row;
    query_set(connection->pack, 1, number - connection->view->pack_base);
    TRY(query_step(connection->pack, &row));
    if (!row)
        return ERR_NOT_FOUND;
    enum err e = pack_read(connection->pack, ret_pack);
    query_reset(connection->pack);
    return e;
}

enum err index_pack(struct index *index, uint32_t pack, struct fetch_pack *ret_pack)
{
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        struct connection *connection;
        TRY(connection_take(index->connections, &connection));
        uint64_t looked = connection->view->serial, newest;
        enum err e = pack_in(index, connection, pack, ret_pack);
        connection_give(index->connections, connection);
        if (e == ERR_CORRUPT)
            connections_distrust(index->connections);
        if (e != ERR_NOT_FOUND)
            return e;
        TRY(connections_refresh(index->connections, PATIENCE_MS, &newest));
        if (newest == looked)
            break;
    }
    return err_set(ERR_NOT_FOUND, "pack number %u is not known", pack);
}

enum err index_pack_max(struct index *index, uint32_t *ret_max)
{
    struct connection *connection;
    connections_refresh_sometimes(index->connections);
    TRY(connection_take(index->connections, &connection));
    *ret_max = connection->view->pack_base + connection->view->pack_max;
    connection_give(index->connections, connection);
    return ERR_OK;
}

/* ---- for fetch ---- */

static enum err guide_pack(void *context, uint32_t number, struct fetch_pack *ret_pack)
{
    return index_pack(context, number, ret_pack);
}

static enum err guide_locate(void *context, uint32_t domain, enum chunk_kind kind, const struct chunk_id *id,
                             const struct location *not_this, struct location *ret_location)
{
    return index_find(context, domain, kind, id, not_this, ret_location);
}

struct fetch_guide index_guide(struct index *index)
{
    return (struct fetch_guide){guide_pack, guide_locate, index};
}
