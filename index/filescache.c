#include "index/filescache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/bytes.h"
#include "fetch/base/file.h"
#include "fetch/base/log.h"
#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/kdf.h"
#include "fetch/crypto/secret.h"
#include "fetch/crypto/xaes.h"
#include "index/db.h"
#include "index/index_inside.h"

enum { CACHE_VERSION = 1, CACHE_KIB = 2048, BUSY_MS = 2000, PATH_BYTES = 4096 };

/* Keys of the secret page. */
struct cache_keys {
    struct hmac_key path;
    uint8_t seal[32];
};

/* A set of row ids: open addressing; 0 is kept apart. */
struct id_set {
    int64_t *slots;
    size_t slot_count, count;
    bool has_zero;
};

struct filescache {
    struct cache_keys *keys;
    char path[PATH_BYTES], new_path[PATH_BYTES];
    bool read_only;

    struct db *old; /* NULL: nothing to read; a read transaction is open in it */
    struct query *get;
    bool has_snapshot;
    struct hash snapshot;
    struct id_set kept;

    struct db *new; /* NULL: cannot be written */
    struct query *put;
    uint64_t put_rows;
    struct buf sealed;
};

/* ---- a set of ids ---- */

static size_t slot_of(const struct id_set *set, int64_t id)
{
    size_t at = (size_t)((uint64_t)id >> 8) & (set->slot_count - 1); /* ids are hashes */
    while (set->slots[at] && set->slots[at] != id)
        at = (at + 1) & (set->slot_count - 1);
    return at;
}

static enum err set_add(struct id_set *set, int64_t id)
{
    if (id == 0) {
        set->has_zero = true;
        return ERR_OK;
    }
    if (set->count * 2 >= set->slot_count) {
        struct id_set grown = {.slot_count = set->slot_count ? set->slot_count * 2 : 1024};
        grown.slots = calloc(grown.slot_count, sizeof *grown.slots);
        if (!grown.slots)
            return err_set(ERR_NOMEM, "no memory for the files cache");
        for (size_t i = 0; i < set->slot_count; i++)
            if (set->slots[i])
                grown.slots[slot_of(&grown, set->slots[i])] = set->slots[i];
        free(set->slots);
        set->slots = grown.slots;
        set->slot_count = grown.slot_count;
    }
    size_t at = slot_of(set, id);
    set->count += set->slots[at] == 0;
    set->slots[at] = id;
    return ERR_OK;
}

static bool set_has(const struct id_set *set, int64_t id)
{
    return id == 0 ? set->has_zero : set->slot_count && set->slots[slot_of(set, id)] == id;
}

/* ---- opening ---- */

static enum err derive(const struct keyring *keys, const uint8_t from[32], const char *info,
                       uint8_t *ret, size_t len)
{
    return hkdf_sha256(slice_of(from, 32), slice_of(keys->store.bytes, sizeof keys->store.bytes),
                       slice_str(info), ret, len);
}

static enum err keys_derive(struct filescache *cache, const struct keyring *keys, uint32_t domain)
{
    const struct domain_keys *d;
    TRY(keyring_find_domain(keys, domain, &d));
    cache->keys = secret_alloc(sizeof *cache->keys);
    if (!cache->keys)
        return err_set(ERR_NOMEM, "no memory for the files cache");
    uint8_t path[32];
    TRY(derive(keys, d->k_name, "yore/1/cache/path", path, sizeof path));
    hmac_key_init(&cache->keys->path, path);
    secret_wipe(path, sizeof path);
    return derive(keys, d->k_name, "yore/1/cache/files", cache->keys->seal,
                  sizeof cache->keys->seal);
}

static void close_old(struct filescache *cache)
{
    query_free(cache->get);
    cache->get = NULL;
    db_free(cache->old);
    cache->old = NULL;
}

/* Look which snapshot the rows are of, and keep a read transaction so that they stay so. */
static enum err open_old(struct filescache *cache)
{
    TRY(db_open(cache->path, DB_WRITE, CACHE_KIB, BUSY_MS, &cache->old));
    AUTO_PTR(query) head = NULL;
    TRY(db_run(cache->old, "BEGIN"));
    TRY(query_new(cache->old, "SELECT version, snapshot FROM head", &head));
    bool row;
    TRY(query_step(head, &row));
    if (!row || query_get(head, 0) != CACHE_VERSION)
        return err_set(ERR_NOT_FOUND, "%s: of another version", cache->path);
    TRY(query_copy(head, 1, cache->snapshot.bytes, sizeof cache->snapshot.bytes));
    TRY(query_new(cache->old, "SELECT blob FROM dirs WHERE id = ?1", &cache->get));
    cache->has_snapshot = true;
    return ERR_OK;
}

static enum err open_new(struct filescache *cache)
{
    unlink(cache->new_path);
    TRY(db_open(cache->new_path, DB_BUILD, CACHE_KIB, 0, &cache->new));
    TRY(db_run(cache->new,
               "CREATE TABLE head (version INTEGER NOT NULL, snapshot BLOB NOT NULL);"
               "CREATE TABLE dirs (id INTEGER PRIMARY KEY, blob BLOB NOT NULL); BEGIN"));
    return query_new(cache->new, "INSERT OR REPLACE INTO dirs (id, blob) VALUES (?1, ?2)",
                     &cache->put);
}

/* Nothing of it is wanted any more. A journal left behind would be played into the next file of
 * that name. */
static void remove_old(struct filescache *cache)
{
    close_old(cache);
    cache->has_snapshot = false;
    char journal[PATH_BYTES + 16];
    snprintf(journal, sizeof journal, "%s-journal", cache->path);
    unlink(cache->path);
    unlink(journal);
}

static void close_new(struct filescache *cache)
{
    query_free(cache->put);
    cache->put = NULL;
    db_free(cache->new);
    if (cache->new)
        unlink(cache->new_path);
    cache->new = NULL;
}

const char *index_folder(const struct index *index)
{
    return index->dir;
}

enum err filescache_open(const struct index *index, uint32_t domain, const char *service,
                         bool read_only, struct filescache **ret_cache)
{
    const char *folder = index_folder(index);
    AUTO_PTR(filescache) cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_set(ERR_NOMEM, "no memory for the files cache");
    cache->read_only = read_only;
    TRY(keys_derive(cache, index->access->keys, domain));
    int len = snprintf(cache->path, sizeof cache->path, "%s/files/%s.db", folder, service);
    snprintf(cache->new_path, sizeof cache->new_path, "%s/files/%s.new-%d", folder, service,
             (int)getpid());
    enum err e = ERR_OK;
    if (len < 0 || (size_t)len + 16 >= sizeof cache->path)
        e = err_set(ERR_INVALID, "a cache folder with too long a name");
    if (e == ERR_OK)
        e = dir_make_parents(cache->path, 0700);
    if (e == ERR_OK && access(cache->path, F_OK) == 0) {
        e = open_old(cache);
        if (e != ERR_OK) {
            struct err_note note;
            err_take(e, &note);
            close_old(cache);
            cache->has_snapshot = false;
            err_raise(&note);
            if (e == ERR_CORRUPT || e == ERR_NOT_FOUND) {
                log_err(LOG_LEVEL_WARN, e, "the files cache of %s begins anew", service);
                remove_old(cache);
                e = ERR_OK;
            }
        }
    }
    if (e == ERR_OK && !read_only)
        e = open_new(cache);
    if (e != ERR_OK) {
        log_err(LOG_LEVEL_WARN, e, "no files cache for %s", service);
        close_new(cache);
    }
    *ret_cache = TAKE(cache);
    return ERR_OK;
}

void filescache_free(struct filescache *cache)
{
    if (!cache)
        return;
    close_old(cache);
    close_new(cache);
    free(cache->kept.slots);
    buf_clear(&cache->sealed);
    secret_free(cache->keys);
    free(cache);
}

struct filescache_key filescache_key(const struct filescache *cache, struct slice path)
{
    struct filescache_key key;
    hmac_with(&cache->keys->path, path, key.bytes);
    return key;
}

bool filescache_snapshot(const struct filescache *cache, struct hash *ret_snapshot)
{
    if (cache->has_snapshot)
        *ret_snapshot = cache->snapshot;
    return cache->has_snapshot;
}

/* ---- rows ---- */

/* The row of a directory: the first 8 bytes of its key; the whole key is in the associated data. */
static int64_t row_of(const struct filescache_key *key)
{
    uint64_t id = 0;
    for (int i = 0; i < 8; i++)
        id |= (uint64_t)key->bytes[i] << 8 * i;
    return (int64_t)id;
}

enum err filescache_get(struct filescache *cache, const struct filescache_key *key,
                        struct buf *ret_blob, bool *ret_found)
{
    *ret_found = false;
    ret_blob->len = 0;
    if (!cache->get)
        return ERR_OK;
    query_set(cache->get, 1, row_of(key));
    bool row = false;
    enum err e = query_step(cache->get, &row);
    if (e != ERR_OK) {
        log_err(LOG_LEVEL_WARN, e, "files cache");
        remove_old(cache); /* nothing more of it, and nothing is merged into it */
        return ERR_OK;
    }
    if (!row)
        return ERR_OK;
    struct slice sealed = query_get_bytes(cache->get, 0);
    if (sealed.len > XAES_NONCE_BYTES + AEAD_TAG_BYTES) {
        size_t len = sealed.len - XAES_NONCE_BYTES - AEAD_TAG_BYTES;
        TRY(buf_resize(ret_blob, len));
        e = xaes_open(cache->keys->seal, sealed.data, slice_of(key->bytes, sizeof key->bytes),
                      slice_of(sealed.data + XAES_NONCE_BYTES, sealed.len - XAES_NONCE_BYTES),
                      ret_blob->data);
        *ret_found = e == ERR_OK;
    }
    query_reset(cache->get);
    if (!*ret_found)
        ret_blob->len = 0;
    return ERR_OK;
}

enum err filescache_put(struct filescache *cache, const struct filescache_key *key,
                        struct slice blob)
{
    if (!cache->put)
        return ERR_OK;
    TRY(buf_resize(&cache->sealed, XAES_NONCE_BYTES + blob.len + AEAD_TAG_BYTES));
    rand_bytes(cache->sealed.data, XAES_NONCE_BYTES);
    TRY(xaes_seal(cache->keys->seal, cache->sealed.data, slice_of(key->bytes, sizeof key->bytes),
                  blob, cache->sealed.data + XAES_NONCE_BYTES));
    query_set(cache->put, 1, row_of(key));
    query_set_bytes(cache->put, 2, buf_slice(&cache->sealed));
    enum err e = query_run(cache->put);
    if (e != ERR_OK) {
        log_err(LOG_LEVEL_WARN, e, "files cache: not written any more");
        close_new(cache);
    }
    cache->put_rows++;
    return ERR_OK;
}

enum err filescache_keep(struct filescache *cache, const struct filescache_key *key)
{
    return set_add(&cache->kept, row_of(key));
}

/* ---- the end of a run ---- */

/* Write the head and make the new file the only one. */
static enum err publish_new(struct filescache *cache, const struct hash *snapshot)
{
    AUTO_PTR(query) head = NULL;
    TRY(query_new(cache->new, "INSERT INTO head (version, snapshot) VALUES (?1, ?2)", &head));
    query_set(head, 1, CACHE_VERSION);
    query_set_bytes(head, 2, slice_of(snapshot->bytes, sizeof snapshot->bytes));
    TRY(query_run(head));
    query_free(TAKE(head));
    TRY(db_run(cache->new, "COMMIT"));
    query_free(cache->put);
    cache->put = NULL;
    db_free(TAKE(cache->new));
    AUTO_FD fd = open(cache->new_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0 || rename(cache->new_path, cache->path) != 0) {
        enum err e = err_errno("%s", cache->new_path);
        unlink(cache->new_path);
        return e;
    }
    return ERR_OK;
}

/* Drop the rows that were not kept. */
static enum err drop_unkept(struct filescache *cache, struct db *db)
{
    int64_t rows;
    TRY(db_number(db, "SELECT count(*) FROM dirs", &rows));
    if ((uint64_t)rows == cache->kept.count + cache->kept.has_zero)
        return ERR_OK;
    AUTO(buf) gone = BUF_EMPTY;
    {
        AUTO_PTR(query) each = NULL;
        TRY(query_new(db, "SELECT id FROM dirs", &each));
        bool row;
        TRY(query_step(each, &row));
        while (row) {
            int64_t id = query_get(each, 0);
            if (!set_has(&cache->kept, id))
                buf_put_i64(&gone, id);
            TRY(query_step(each, &row));
        }
    }
    TRY(buf_check(&gone));
    AUTO_PTR(query) drop = NULL;
    TRY(query_new(db, "DELETE FROM dirs WHERE id = ?1", &drop));
    struct cursor c = cursor_of(buf_slice(&gone));
    while (cursor_left(&c)) {
        query_set(drop, 1, cursor_i64(&c));
        TRY(query_run(drop));
    }
    return ERR_OK;
}

/* Bring the rows of this run into the old file. The caller rolls back on an error. */
static enum err merge(struct filescache *cache, struct db *db, const struct hash *snapshot)
{
    {
        AUTO_PTR(query) head = NULL;
        struct hash now;
        bool row;
        TRY(query_new(db, "SELECT snapshot FROM head", &head));
        TRY(query_step(head, &row));
        if (!row)
            return err_set(ERR_AGAIN, "another backup emptied it");
        TRY(query_copy(head, 0, now.bytes, sizeof now.bytes));
        if (memcmp(now.bytes, cache->snapshot.bytes, sizeof now.bytes) != 0)
            return err_set(ERR_AGAIN, "another backup of this service was faster");
    }
    TRY(drop_unkept(cache, db));
    if (cache->put_rows)
        TRY(db_run(db, "INSERT OR REPLACE INTO dirs (id, blob) SELECT id, blob FROM new.dirs"));
    AUTO_PTR(query) head = NULL;
    TRY(query_new(db, "UPDATE head SET snapshot = ?1", &head));
    query_set_bytes(head, 1, slice_of(snapshot->bytes, sizeof snapshot->bytes));
    return query_run(head);
}

static enum err merge_all(struct filescache *cache, const struct hash *snapshot)
{
    TRY(db_run(cache->new, "COMMIT"));
    query_free(cache->put);
    cache->put = NULL;
    db_free(TAKE(cache->new));
    query_free(cache->get);
    cache->get = NULL;
    TRY(db_run(cache->old, "COMMIT"));
    if (cache->put_rows) {
        AUTO_PTR(query) attach = NULL;
        TRY(query_new(cache->old, "ATTACH ?1 AS new", &attach));
        query_set_text(attach, 1, cache->new_path);
        TRY(query_run(attach));
    }
    TRY(db_run(cache->old, "BEGIN IMMEDIATE"));
    enum err e = merge(cache, cache->old, snapshot);
    if (e == ERR_OK)
        e = db_run(cache->old, "COMMIT");
    if (e != ERR_OK) {
        struct err_note note;
        err_take(e, &note);
        db_run(cache->old, "ROLLBACK");
        return err_raise(&note);
    }
    return ERR_OK;
}

void filescache_commit(struct filescache *cache, const struct hash *snapshot)
{
    if (!cache->new)
        return;
    enum err e;
    if (cache->kept.count == 0 && !cache->kept.has_zero) {
        close_old(cache);
        e = publish_new(cache, snapshot);
    } else {
        e = cache->old ? merge_all(cache, snapshot) : err_set(ERR_AGAIN, "it went away meanwhile");
        unlink(cache->new_path);
    }
    if (e != ERR_OK)
        log_err(LOG_LEVEL_WARN, e, "the files cache is not brought up to date");
}
