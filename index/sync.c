/* index_sync: one writer at a time brings the local copy up to date. Chunks are in sync_chunks.c and sync_merge.c, snapshots in
 * sync_snapshots.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fetch/base/log.h"
#include "fetch/crypto/digest.h"
#include "index/index_inside.h"

enum { LOCK_WAIT_MS = 60000, WARNED_MAX = 4096 };

/* ---- for the parts ---- */

bool sync_is_objects_own(enum err e)
{
    return e == ERR_CORRUPT || e == ERR_AUTH || e == ERR_UNSUPPORTED || e == ERR_NO_KEY || e == ERR_INVALID;
}

void sync_note_damaged(struct sync *sync, const char *object, enum err e)
{
    struct index *index = sync->index;
    struct hash name;
    sync->report.damaged++;
    sha256_of(slice_str(object), name.bytes);
    for (size_t i = 0; i < index->warned_count; i++)
        if (memcmp(index->warned[i].bytes, name.bytes, sizeof name.bytes) == 0)
            return;
    log_err(LOG_LEVEL_WARN, e, "%s is left out", object);
    if (index->warned_count == WARNED_MAX)
        return;
    if (!index->warned)
        index->warned = calloc(WARNED_MAX, sizeof *index->warned);
    if (index->warned)
        index->warned[index->warned_count++] = name;
}

enum err sync_begin(struct sync *sync, struct transaction *ret_transaction)
{
    TRY(sync_lock_check(&sync->lock));
    if (!catalog_is_current(sync->catalog, sync->index->dir))
        return err_set(ERR_AGAIN, "%s/catalog.db was removed meanwhile", sync->index->dir);
    return transaction_begin(sync->catalog, ret_transaction);
}

enum err sync_get(struct sync *sync, const char *name, size_t max_bytes, const struct hash *sha256, struct buf *ret_object)
{
    AUTO(buf) object = BUF_EMPTY;
    struct hash found;
    TRY(store_get_all(sync->access->store, name, max_bytes, &object));
    sha256_of(buf_slice(&object), found.bytes);
    if (memcmp(found.bytes, sha256->bytes, sizeof found.bytes) != 0)
        return err_set(ERR_CORRUPT, "its bytes are not those of its name");
    buf_move(ret_object, &object);
    return ERR_OK;
}

/* ---- the folder of runs ---- */

static bool run_is_listed(const struct run_list *runs, const char *file)
{
    for (size_t i = 0; i < runs->count; i++) {
        char name[32];
        snprintf(name, sizeof name, "%llu.db", (unsigned long long)runs->runs[i].number);
        if (strcmp(name, file) == 0)
            return true;
    }
    return false;
}

/* What a crash left behind is removed; a run that is missing means that somebody tidied up: all begins anew. */
static enum err check_runs(struct sync *sync)
{
    AUTO(run_list) runs = {0};
    TRY(catalog_runs(sync->catalog, &runs));
    for (size_t i = 0; i < runs.count; i++)
        if (access(run_path(sync->index->runs_dir, runs.runs[i].number).text, R_OK) != 0)
            sync->rebuild = true;
    DIR *folder = opendir(sync->index->runs_dir);
    if (!folder)
        return err_errno("cannot list %s", sync->index->runs_dir);
    struct dirent *entry;
    while ((entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !run_is_listed(&runs, entry->d_name))
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    return sync->rebuild ? err_set(ERR_CORRUPT, "a run of %s is missing", sync->index->dir) : ERR_OK;
}

/* ---- the whole ---- */

typedef enum err (*sync_fn)(struct sync *sync, void *context);

static enum err run_once(struct sync *sync, sync_fn work, void *context)
{
    AUTO_PTR(catalog) catalog = NULL;
    if (connections_take_distrust(sync->index->connections))
        TRY(catalog_set_aside(sync->index->dir));
    TRY(catalog_open_write(sync->index->dir, &sync->access->head.store, &catalog));
    sync->catalog = catalog;
    enum err e = check_runs(sync);
    if (e == ERR_OK)
        e = work(sync, context);
    sync->rebuild |= db_damaged(catalog->db);
    sync->catalog = NULL;
    return e;
}

/* Under the lock; once more from the start if the cache proves damaged, or is removed under our hands. */
static enum err run_sync(struct index *index, sync_fn work, void *context, struct sync_report *ret_report)
{
    enum err e = ERR_OK;
    for (int tries = 0; tries < 3; tries++) {
        struct sync sync = {.index = index, .access = index->access, .lock = SYNC_LOCK_NONE};
        TRY(sync_lock_take(index->dir, LOCK_WAIT_MS, &sync.lock));
        e = run_once(&sync, work, context);
        bool removed = e != ERR_OK && sync_lock_check(&sync.lock) != ERR_OK;
        if (sync.rebuild)
            connections_distrust(index->connections);
        sync_lock_clear(&sync.lock);
        if (ret_report)
            *ret_report = sync.report;
        if (e == ERR_OK || (!removed && !sync.rebuild))
            break;
    }
    (void)connections_refresh(index->connections, PATIENCE_MS, NULL);
    return e;
}

static enum err sync_what(struct sync *sync, void *context)
{
    unsigned what = *(unsigned *)context;
    AUTO(snapshot_names) names = {0};
    if (what & SYNC_SNAPSHOTS)
        TRY(sync_list_snapshots(sync, &names));
    if (what & SYNC_CHUNKS)
        TRY(sync_chunks(sync));
    if (what & SYNC_SNAPSHOTS)
        TRY(sync_snapshots(sync, &names));
    return ERR_OK;
}

enum err index_sync(struct index *index, unsigned what, struct sync_report *ret_report)
{
    return err_add(run_sync(index, sync_what, &what, ret_report), "local index");
}

struct own_segment {
    const char *name;
    struct slice object;
};

static enum err add_own(struct sync *sync, void *context)
{
    const struct own_segment *own = context;
    return sync_one_segment(sync, own->name, own->object);
}

enum err index_add_segment(struct index *index, const char *object_name, struct slice object)
{
    struct own_segment own = {object_name, object};
    return err_add(run_sync(index, add_own, &own, NULL), "local index");
}
