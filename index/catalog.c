#include "index/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>

#include "fetch/base/clock.h"
#include "fetch/base/file.h"
#include "fetch/base/log.h"
#include "fetch/base/rand.h"

enum { CATALOG_VERSION = 1, CATALOG_CACHE_KIB = 2048, WRITER_BUSY_MS = 5000, LOCK_TRY_MS = 20, EPOCH_KEY_BYTES = 100 };

static const char schema[] =
    "CREATE TABLE about(store BLOB, cache BLOB, snapshot_changes INTEGER);"
    "CREATE TABLE segments(id INTEGER PRIMARY KEY AUTOINCREMENT, domain INTEGER, object TEXT UNIQUE, trust BLOB);"
    "CREATE TABLE packs(id INTEGER PRIMARY KEY AUTOINCREMENT, domain INTEGER, kind INTEGER, session BLOB, sha256 BLOB,"
    " size_bytes INTEGER, epoch INTEGER, keys BLOB, gone INTEGER, UNIQUE(domain, kind, session, sha256));"
    "CREATE INDEX packs_gone ON packs(id) WHERE gone;"
    "CREATE TABLE segment_packs(segment INTEGER, pack INTEGER, PRIMARY KEY(segment, pack)) WITHOUT ROWID;"
    "CREATE INDEX packs_segment ON segment_packs(pack);"
    "CREATE TABLE runs(id INTEGER PRIMARY KEY AUTOINCREMENT, domain INTEGER, kind INTEGER, row_count INTEGER);"
    "CREATE TABLE snapshots(id INTEGER PRIMARY KEY AUTOINCREMENT, object TEXT UNIQUE, sha256 BLOB, domain INTEGER,"
    " service TEXT, kind TEXT, name TEXT, secs INTEGER, nanos INTEGER, finished_secs INTEGER, finished_nanos INTEGER,"
    " flags INTEGER, writer BLOB, host BLOB, session BLOB, host_name TEXT, lane_number INTEGER, nodes INTEGER, files INTEGER,"
    " dirs INTEGER, bytes INTEGER, new_bytes INTEGER, stored_bytes INTEGER, left_out INTEGER, root BLOB, labels TEXT,"
    " hidden INTEGER);"
    "CREATE INDEX snapshots_time ON snapshots(service, secs, nanos, sha256);"
    "CREATE INDEX snapshots_unnamed ON snapshots(service, secs) WHERE name IS NULL;"
    "CREATE TABLE hiders(id INTEGER PRIMARY KEY, object TEXT UNIQUE, what BLOB);"
    "CREATE INDEX hiders_what ON hiders(what);";

struct file_path {
    char text[4096];
};

static struct file_path catalog_path(const char *dir, const char *name)
{
    struct file_path path;
    snprintf(path.text, sizeof path.text, "%s/%s", dir, name);
    return path;
}

/* ---- the lock ---- */

static bool same_file(int fd, const char *path)
{
    struct stat ours, theirs;
    return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

enum err sync_lock_take(const char *dir, unsigned wait_ms, struct sync_lock *ret_lock)
{
    struct file_path path = catalog_path(dir, "sync.lock");
    TRY(dir_make(catalog_path(dir, "runs").text, 0700));
    for (unsigned waited = 0;; waited += LOCK_TRY_MS) {
        AUTO_FD fd = open(path.text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_errno("cannot open %s", path.text);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (same_file(fd, path.text)) {
                *ret_lock = (struct sync_lock){fd, dir};
                fd = -1;
                return ERR_OK;
            }
        } else if (errno != EWOULDBLOCK && errno != EINTR) {
            return err_errno("cannot lock %s", path.text);
        }
        if (waited >= wait_ms)
            return err_set(ERR_AGAIN, "%s: another process holds it", path.text);
        clock_sleep_ns((uint64_t)LOCK_TRY_MS * 1000000);
    }
}

void sync_lock_clear(struct sync_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    *lock = SYNC_LOCK_NONE;
}

enum err sync_lock_check(const struct sync_lock *lock)
{
    if (!same_file(lock->fd, catalog_path(lock->dir, "sync.lock").text))
        return err_set(ERR_AGAIN, "%s was removed meanwhile", lock->dir);
    return ERR_OK;
}

/* ---- opening ---- */

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    db_free(catalog->db);
    free(catalog);
}

bool catalog_is_current(const struct catalog *catalog, const char *dir)
{
    struct stat now;
    return stat(catalog_path(dir, "catalog.db").text, &now) == 0 && now.st_ino == catalog->inode && now.st_dev == catalog->device;
}

/* Whose copy it is. *ret_ours false: another version's or store's, or nobody's. */
static enum err read_about(struct catalog *catalog, const struct uid *store, bool *ret_ours)
{
    AUTO_PTR(query) about = NULL;
    struct uid found;
    int64_t version;
    bool row;
    *ret_ours = false;
    TRY(db_number(catalog->db, "PRAGMA user_version", &version));
    if (version != CATALOG_VERSION)
        return ERR_OK;
    TRY(query_new(catalog->db, "SELECT store, cache FROM about", &about));
    TRY(query_step(about, &row));
    if (!row)
        return ERR_OK;
    TRY(query_copy(about, 0, found.bytes, sizeof found.bytes));
    TRY(query_copy(about, 1, catalog->cache.bytes, sizeof catalog->cache.bytes));
    *ret_ours = memcmp(found.bytes, store->bytes, sizeof found.bytes) == 0;
    return ERR_OK;
}

static enum err open_mode(const char *dir, enum db_mode mode, unsigned busy_ms, struct catalog **ret_catalog)
{
    AUTO_PTR(catalog) catalog = calloc(1, sizeof *catalog);
    if (!catalog)
        return err_set(ERR_NOMEM, "no memory for a catalog");
    struct file_path path = catalog_path(dir, "catalog.db");
    struct stat file;
    TRY(db_open(path.text, mode, CATALOG_CACHE_KIB, busy_ms, &catalog->db));
    if (stat(path.text, &file) != 0)
        return err_errno("cannot find %s", path.text);
    catalog->device = file.st_dev;
    catalog->inode = file.st_ino;
    *ret_catalog = TAKE(catalog);
    return ERR_OK;
}

enum err catalog_open(const char *dir, const struct uid *store, unsigned busy_ms, struct catalog **ret_catalog)
{
    AUTO_PTR(catalog) catalog = NULL;
    bool ours;
    TRY(open_mode(dir, DB_READ, busy_ms, &catalog));
    TRY(read_about(catalog, store, &ours));
    if (!ours)
        return err_set(ERR_CORRUPT, "%s/catalog.db is not of this store and version", dir);
    *ret_catalog = TAKE(catalog);
    return ERR_OK;
}

static enum err make_tables(struct catalog *catalog, const struct uid *store)
{
    AUTO(transaction) transaction = TRANSACTION_NONE;
    AUTO_PTR(query) about = NULL;
    char version[64];
    TRY(transaction_begin(catalog, &transaction));
    TRY(db_run(catalog->db, schema));
    snprintf(version, sizeof version, "PRAGMA user_version=%d", CATALOG_VERSION);
    TRY(db_run(catalog->db, version));
    rand_bytes(catalog->cache.bytes, sizeof catalog->cache.bytes);
    TRY(query_new(catalog->db, "INSERT INTO about(store, cache, snapshot_changes) VALUES(?, ?, 1)", &about));
    query_set_bytes(about, 1, slice_of(store->bytes, 16));
    query_set_bytes(about, 2, slice_of(catalog->cache.bytes, 16));
    TRY(query_run(about));
    return transaction_commit(&transaction);
}

/* Remove files of the folder whose names begin so. */
static enum err remove_like(const char *dir, const char *begin)
{
    DIR *folder = opendir(dir);
    if (!folder)
        return err_errno("cannot list %s", dir);
    enum err e = ERR_OK;
    struct dirent *entry;
    while ((entry = readdir(folder)))
        if (strncmp(entry->d_name, begin, strlen(begin)) == 0 && unlinkat(dirfd(folder), entry->d_name, 0) != 0 && errno != ENOENT)
            e = err_errno("cannot remove %s/%s", dir, entry->d_name);
    closedir(folder);
    return e;
}

enum err catalog_set_aside(const char *dir)
{
    struct file_path path = catalog_path(dir, "catalog.db"), aside;
    char time[TIME_TEXT_MAX];
    if (access(path.text, F_OK) != 0 && errno == ENOENT)
        return ERR_OK;
    TRY(remove_like(dir, "catalog.db.damaged-"));
    clock_format_compact(clock_now(), time);
    snprintf(aside.text, sizeof aside.text, "%.3000s/catalog.db.damaged-%s", dir, time);
    if (rename(path.text, aside.text) != 0 && errno != ENOENT)
        return err_errno("cannot set %s aside", path.text);
    /* A journal that stays would be taken for the next catalog's. */
    if (unlink(catalog_path(dir, "catalog.db-journal").text) != 0 && errno != ENOENT)
        return err_errno("cannot remove the journal of %s", path.text);
    log_warn("%s is damaged or of another store: set aside as %s and begun anew", path.text, aside.text);
    return ERR_OK;
}

static enum err open_write_once(const char *dir, const struct uid *store, struct catalog **ret_catalog)
{
    AUTO_PTR(catalog) catalog = NULL;
    int64_t tables;
    bool ours;
    TRY(open_mode(dir, DB_WRITE, WRITER_BUSY_MS, &catalog));
    TRY(db_number(catalog->db, "SELECT count(*) FROM sqlite_schema", &tables));
    if (tables == 0)
        TRY(make_tables(catalog, store));
    TRY(read_about(catalog, store, &ours));
    if (!ours)
        return err_set(ERR_CORRUPT, "%s/catalog.db is not of this store and version", dir);
    *ret_catalog = TAKE(catalog);
    return ERR_OK;
}

enum err catalog_open_write(const char *dir, const struct uid *store, struct catalog **ret_catalog)
{
    enum err e = open_write_once(dir, store, ret_catalog);
    if (e != ERR_CORRUPT)
        return e;
    TRY(catalog_set_aside(dir));
    return open_write_once(dir, store, ret_catalog);
}

/* ---- transactions ---- */

enum err transaction_begin(struct catalog *catalog, struct transaction *ret_transaction)
{
    TRY(db_run(catalog->db, "BEGIN IMMEDIATE"));
    ret_transaction->db = catalog->db;
    return ERR_OK;
}

enum err transaction_commit(struct transaction *transaction)
{
    TRY(db_run(transaction->db, "COMMIT"));
    transaction->db = NULL;
    return ERR_OK;
}

void transaction_clear(struct transaction *transaction)
{
    if (!transaction->db)
        return;
    struct err_note why;
    err_take(ERR_IO, &why); /* the reason we are here is worth more than what undoing says */
    (void)db_run(transaction->db, "ROLLBACK");
    (void)err_raise(&why);
    transaction->db = NULL;
}

/* ---- differences ---- */

void difference_clear(struct difference *difference)
{
    free(difference->fresh);
    free(difference->gone);
    *difference = (struct difference){0};
}

static enum err gone_add(struct difference *d, size_t *cap, int64_t id)
{
    if (d->gone_count == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        int64_t *grown = realloc(d->gone, more * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu objects", more);
        d->gone = grown;
        *cap = more;
    }
    d->gone[d->gone_count++] = id;
    return ERR_OK;
}

enum err difference_find(struct query *rows, const struct name_list *names, struct difference *ret_difference)
{
    AUTO(difference) d = {.fresh = calloc(names->count + 1, sizeof *d.fresh)};
    if (!d.fresh)
        return err_set(ERR_NOMEM, "no memory for %zu names", names->count);
    size_t at = 0, gone_cap = 0;
    for (;;) {
        bool row;
        char known[256];
        TRY(query_step(rows, &row));
        if (!row)
            break;
        TRY(query_copy_text(rows, 1, known, sizeof known));
        while (at < names->count && strcmp(names->names[at], known) < 0)
            d.fresh[d.fresh_count++] = at++;
        bool there = at < names->count && strcmp(names->names[at], known) == 0;
        if (!there)
            TRY(gone_add(&d, &gone_cap, query_get(rows, 0)));
        else if (query_get(rows, 2))
            d.fresh[d.fresh_count++] = at;
        at += there;
    }
    while (at < names->count)
        d.fresh[d.fresh_count++] = at++;
    *ret_difference = d;
    d = (struct difference){0};
    return ERR_OK;
}

/* ---- packs and segments ---- */

static uint32_t newest_epoch(const struct catalog_pack *pack)
{
    uint32_t newest = 0;
    for (size_t i = 0; i < pack->key_count; i++)
        if (pack->keys[i].epoch > newest)
            newest = pack->keys[i].epoch;
    return newest;
}

enum err catalog_put_pack(struct catalog *catalog, const struct catalog_pack *pack, uint32_t *ret_number)
{
    AUTO_PTR(query) put = NULL;
    AUTO(buf) keys = BUF_EMPTY;
    bool row;
    for (size_t i = 0; i < pack->key_count; i++) {
        buf_put(&keys, pack->keys[i].origin.bytes, 16);
        buf_put_u32(&keys, pack->keys[i].epoch);
        buf_put(&keys, pack->keys[i].sealed, SEALED_KEY_BYTES);
    }
    TRY(buf_check(&keys));
    TRY(query_new(catalog->db,
                  "INSERT INTO packs(domain, kind, session, sha256, size_bytes, epoch, keys, gone) VALUES(?,?,?,?,?,?,?,0)"
                  " ON CONFLICT(domain, kind, session, sha256) DO UPDATE SET"
                  " keys = CASE WHEN excluded.epoch > epoch THEN excluded.keys ELSE keys END,"
                  " epoch = max(epoch, excluded.epoch) RETURNING id",
                  &put));
    query_set(put, 1, pack->domain);
    query_set(put, 2, pack->kind);
    query_set_bytes(put, 3, slice_of(pack->name.session.bytes, 16));
    query_set_bytes(put, 4, slice_of(pack->name.sha256.bytes, 32));
    query_set(put, 5, (int64_t)pack->size_bytes);
    query_set(put, 6, newest_epoch(pack));
    query_set_bytes(put, 7, buf_slice(&keys));
    TRY(query_step(put, &row));
    int64_t number = row ? query_get(put, 0) : 0;
    if (number < 1 || number > UINT32_MAX / 2)
        return err_set(ERR_CORRUPT, "no number for a pack in the local catalog");
    *ret_number = (uint32_t)number;
    return query_run(put);
}

static enum err drop_segment(struct catalog *catalog, int64_t id)
{
    /* Packs that only this one names are gone. */
    static const char *const steps[] = {
        "UPDATE packs SET gone = 1 WHERE id IN (SELECT pack FROM segment_packs AS mine WHERE segment = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM segment_packs AS other WHERE other.pack = mine.pack AND other.segment <> ?1))",
        "DELETE FROM segment_packs WHERE segment = ?1",
        "DELETE FROM segments WHERE id = ?1",
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        AUTO_PTR(query) step = NULL;
        TRY(query_new(catalog->db, steps[i], &step));
        query_set(step, 1, id);
        TRY(query_run(step));
    }
    return ERR_OK;
}

enum err catalog_drop_segments(struct catalog *catalog, const int64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(drop_segment(catalog, ids[i]));
    return ERR_OK;
}

enum err catalog_put_segment(struct catalog *catalog, uint32_t domain, const char *object, const struct hash *trust,
                             const uint32_t *packs, size_t pack_count)
{
    AUTO_PTR(query) find = NULL;
    AUTO_PTR(query) put = NULL;
    AUTO_PTR(query) link = NULL;
    AUTO_PTR(query) mark = NULL;
    bool row;
    TRY(query_new(catalog->db, "SELECT id FROM segments WHERE object = ?", &find));
    query_set_text(find, 1, object);
    TRY(query_step(find, &row));
    if (row) {
        int64_t before = query_get(find, 0);
        query_reset(find);
        TRY(drop_segment(catalog, before));
    }
    TRY(query_new(catalog->db, "INSERT INTO segments(domain, object, trust) VALUES(?,?,?) RETURNING id", &put));
    query_set(put, 1, domain);
    query_set_text(put, 2, object);
    if (trust)
        query_set_bytes(put, 3, slice_of(trust->bytes, 32));
    TRY(query_step(put, &row));
    int64_t id = row ? query_get(put, 0) : 0;
    TRY(query_run(put));
    TRY(query_new(catalog->db, "INSERT OR IGNORE INTO segment_packs(segment, pack) VALUES(?,?)", &link));
    TRY(query_new(catalog->db, "UPDATE packs SET gone = 0 WHERE id = ? AND gone", &mark));
    for (size_t i = 0; i < pack_count; i++) {
        if (packs[i] == 0)
            continue;
        query_set(link, 1, id);
        query_set(link, 2, packs[i]);
        TRY(query_run(link));
        query_set(mark, 1, packs[i]);
        TRY(query_run(mark));
    }
    return ERR_OK;
}

/* ---- runs ---- */

void run_list_clear(struct run_list *list)
{
    free(list->runs);
    *list = (struct run_list){0};
}

enum err catalog_runs(struct catalog *catalog, struct run_list *ret_list)
{
    AUTO_PTR(query) rows = NULL;
    AUTO(run_list) list = {0};
    size_t cap = 0;
    TRY(query_new(catalog->db, "SELECT id, domain, kind, row_count FROM runs ORDER BY row_count DESC, id DESC", &rows));
    for (;;) {
        bool row;
        TRY(query_step(rows, &row));
        if (!row)
            break;
        if (list.count == cap) {
            cap = cap ? cap * 2 : 16;
            struct run_info *grown = realloc(list.runs, cap * sizeof *grown);
            if (!grown)
                return err_set(ERR_NOMEM, "no memory for %zu runs", cap);
            list.runs = grown;
        }
        list.runs[list.count++] = (struct run_info){
            .cache = catalog->cache,
            .number = (uint64_t)query_get(rows, 0),
            .domain = (uint32_t)query_get(rows, 1),
            .kind = query_get(rows, 2) == CHUNK_TREE ? CHUNK_TREE : CHUNK_DATA,
            .rows = (uint64_t)query_get(rows, 3),
        };
    }
    *ret_list = list;
    list = (struct run_list){0};
    return ERR_OK;
}

enum err catalog_next_run(struct catalog *catalog, uint64_t *ret_number)
{
    int64_t next;
    TRY(db_number(catalog->db, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'runs'), 0) + 1", &next));
    *ret_number = (uint64_t)next;
    return ERR_OK;
}

enum err catalog_put_run(struct catalog *catalog, const struct run_info *run)
{
    AUTO_PTR(query) put = NULL;
    TRY(query_new(catalog->db, "INSERT INTO runs(id, domain, kind, row_count) VALUES(?,?,?,?)", &put));
    query_set(put, 1, (int64_t)run->number);
    query_set(put, 2, run->domain);
    query_set(put, 3, run->kind);
    query_set(put, 4, (int64_t)run->rows);
    return query_run(put);
}

enum err catalog_drop_run(struct catalog *catalog, uint64_t number)
{
    AUTO_PTR(query) drop = NULL;
    TRY(query_new(catalog->db, "DELETE FROM runs WHERE id = ?", &drop));
    query_set(drop, 1, (int64_t)number);
    return query_run(drop);
}

void number_list_clear(struct number_list *list)
{
    free(list->numbers);
    *list = (struct number_list){0};
}

bool number_list_has(const struct number_list *list, uint32_t number)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count && list->numbers[low] == number;
}

enum err catalog_gone_packs(struct catalog *catalog, struct number_list *ret_list)
{
    AUTO_PTR(query) rows = NULL;
    AUTO(number_list) list = {0};
    size_t cap = 0;
    TRY(query_new(catalog->db, "SELECT id FROM packs WHERE gone ORDER BY id", &rows));
    for (;;) {
        bool row;
        TRY(query_step(rows, &row));
        if (!row)
            break;
        if (list.count == cap) {
            cap = cap ? cap * 2 : 16;
            uint32_t *grown = realloc(list.numbers, cap * sizeof *grown);
            if (!grown)
                return err_set(ERR_NOMEM, "no memory for %zu packs", cap);
            list.numbers = grown;
        }
        list.numbers[list.count++] = (uint32_t)query_get(rows, 0);
    }
    *ret_list = list;
    list = (struct number_list){0};
    return ERR_OK;
}

enum err catalog_forget_packs(struct catalog *catalog, uint32_t domain, enum chunk_kind kind, const struct number_list *gone)
{
    AUTO_PTR(query) drop = NULL;
    TRY(query_new(catalog->db, "DELETE FROM packs WHERE id = ? AND domain = ? AND kind = ? AND gone", &drop));
    for (size_t i = 0; i < gone->count; i++) {
        query_set(drop, 1, gone->numbers[i]);
        query_set(drop, 2, domain);
        query_set(drop, 3, kind);
        TRY(query_run(drop));
    }
    return ERR_OK;
}
