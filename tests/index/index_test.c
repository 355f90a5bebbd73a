#include "index/index.h"

#include <stdio.h>
#include <stdlib.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "fetch/base/file.h"
#include "fetch/base/log.h"
#include "fetch/crypto/digest.h"
#include "tests/support/small_store.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

/* A store in memory, a cache folder, an index. */
struct set {
    struct tmp_dir tmp;
    struct access *access;
    struct index *index;
};
#define SET_NONE ((struct set){0})

static void set_clear(struct set *set)
{
    index_free(set->index);
    access_free(set->access);
    tmp_dir_clear(&set->tmp);
}

static enum err set_open(struct set *set)
{
    TRY(tmp_dir_new(&set->tmp));
    TRY(small_store_new(NULL, &set->access));
    return index_open(set->access, tmp_path(&set->tmp, "cache").text, &set->index);
}

static enum err find(struct set *set, enum chunk_kind kind, const char *series, unsigned i, struct location *ret_location)
{
    struct small_chunk chunk = small_chunk(set->access, kind, series, i);
    return index_find(set->index, 1, kind, &chunk.id, NULL, ret_location);
}

/* The chunk's bytes, by way of index and fetch. */
static enum err fetched(struct set *set, const char *series, unsigned i)
{
    struct small_chunk chunk = small_chunk(set->access, CHUNK_DATA, series, i);
    struct fetch_guide guide = index_guide(set->index);
    struct fetch_options options = {0};
    AUTO_PTR(fetcher) fetcher = NULL;
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    struct location where;
    TRY(fetcher_new(set->access->store, set->access->keys, &guide, &options, &fetcher));
    TRY(index_find(set->index, 1, CHUNK_DATA, &chunk.id, NULL, &where));
    TRY(fetch_chunk(fetcher, &chunk.id, &where, &ref));
    return slice_equal(ref.bytes, slice_str(chunk.text)) ? ERR_OK : err_set(ERR_CORRUPT, "other bytes");
}

TEST(chunks_of_new_segments_are_found_and_fetched)
{
    AUTO(set) set = SET_NONE;
    struct sync_report report;
    struct location where;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 100, NULL, NULL));
    CHECK_ERR(ERR_NOT_FOUND, find(&set, CHUNK_DATA, "a", 3, &where));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.segments_new, 1);
    CHECK_INT(report.chunk_rows, 100);
    CHECK_INT(report.damaged, 0);
    for (unsigned i = 0; i < 100; i++)
        CHECK_OK(fetched(&set, "a", i));
    CHECK_ERR(ERR_NOT_FOUND, find(&set, CHUNK_DATA, "a", 100, &where));
    CHECK_ERR(ERR_NOT_FOUND, find(&set, CHUNK_TREE, "a", 3, &where));
}

TEST(a_second_sync_reads_only_what_is_new)
{
    AUTO(set) set = SET_NONE;
    struct sync_report report;
    struct object_name old;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 20, &old, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    /* It would be noticed now if it were read again. */
    struct buf *bytes;
    CHECK_OK(store_mem_bytes(set.access->store, old.text, &bytes));
    bytes->data[bytes->len / 2] ^= 1;
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_TREE, "b", 0, 30, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.segments_new, 1);
    CHECK_INT(report.chunk_rows, 30);
    CHECK_INT(report.damaged, 0);
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.segments_new + report.segments_gone + report.chunk_rows + report.damaged, 0);
    struct location where;
    CHECK_OK(find(&set, CHUNK_TREE, "b", 29, &where));
    CHECK_OK(find(&set, CHUNK_DATA, "a", 19, &where));
}

TEST(a_pack_number_gives_the_pack)
{
    AUTO(set) set = SET_NONE;
    struct location where;
    struct fetch_pack pack;
    struct object_name name;
    uint32_t max;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 5, NULL, &name));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(find(&set, CHUNK_DATA, "a", 0, &where));
    CHECK_OK(index_pack_max(set.index, &max));
    CHECK_INT(where.pack, max);
    CHECK_OK(index_pack(set.index, where.pack, &pack));
    AUTO_MEM struct epoch_key_record *keys = pack.keys;
    CHECK_STR(name_pack(pack.domain, &pack.name).text, name.text);
    CHECK_INT(pack.kind, CHUNK_DATA);
    CHECK_INT(pack.key_count, 1);
    CHECK_INT(keys[0].epoch, 1);
    CHECK_ERR(ERR_NOT_FOUND, index_pack(set.index, max + 1, &pack));
    CHECK_ERR(ERR_NOT_FOUND, index_pack(set.index, 0, &pack));
}

/* How many places of a chunk are offered, one after the other, before one comes again. */
static unsigned count_copies(struct set *set, const char *series, unsigned i)
{
    struct small_chunk chunk = small_chunk(set->access, CHUNK_DATA, series, i);
    uint32_t packs[64];
    unsigned count = 0;
    struct location where, next;
    if (index_find(set->index, 1, CHUNK_DATA, &chunk.id, NULL, &where) != ERR_OK)
        return 0;
    for (;;) {
        for (unsigned k = 0; k < count; k++)
            if (packs[k] == where.pack)
                return count;
        packs[count++] = where.pack;
        if (count == 64 || index_find(set->index, 1, CHUNK_DATA, &chunk.id, &where, &next) != ERR_OK)
            return count;
        where = next;
    }
}

static unsigned files_in(const struct set *set, const char *name)
{
    unsigned count = 0;
    DIR *dir = opendir(tmp_path(&set->tmp, name).text);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

TEST(merging_keeps_every_copy_and_few_runs)
{
    AUTO(set) set = SET_NONE;
    CHECK_OK(set_open(&set));
    /* 30 segments with chunks of their own and chunk 0 of "all", each its own sync and so its own run. */
    for (unsigned i = 0; i < 30; i++) {
        char series[16];
        snprintf(series, sizeof series, "s%u", i);
        CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, series, 0, 50, NULL, NULL));
        if (i < 20)
            CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "all", 0, 3, NULL, NULL));
        CHECK_OK(index_sync(set.index, SYNC_CHUNKS, NULL));
        CHECK(files_in(&set, "cache/runs") <= 8);
        CHECK_INT(count_copies(&set, "all", 1), i < 20 ? i + 1 : 20);
    }
    for (unsigned i = 0; i < 30; i++) {
        char series[16];
        snprintf(series, sizeof series, "s%u", i);
        CHECK_OK(fetched(&set, series, i));
    }
}

TEST(another_copy_is_fetched_when_one_is_damaged)
{
    AUTO(set) set = SET_NONE;
    struct object_name packs[3];
    CHECK_OK(set_open(&set));
    for (unsigned i = 0; i < 3; i++) {
        CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, NULL, &packs[i]));
        CHECK_OK(index_sync(set.index, SYNC_CHUNKS, NULL));
    }
    for (unsigned i = 3; i-- > 1;) {
        struct buf *bytes;
        CHECK_OK(store_mem_bytes(set.access->store, packs[i].text, &bytes));
        memset(bytes->data + 180, 0xaa, 60);
        CHECK_OK(fetched(&set, "a", 5));
    }
}

TEST(a_damaged_segment_is_left_out_and_counted)
{
    AUTO(set) set = SET_NONE;
    struct sync_report report;
    struct object_name bad;
    struct location where;
    struct buf *bytes;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, &bad, NULL));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "b", 0, 10, NULL, NULL));
    CHECK_OK(store_mem_bytes(set.access->store, bad.text, &bytes));
    bytes->data[200] ^= 1;
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 1);
    CHECK_INT(report.segments_new, 1);
    CHECK_ERR(ERR_NOT_FOUND, find(&set, CHUNK_DATA, "a", 0, &where));
    CHECK_OK(find(&set, CHUNK_DATA, "b", 0, &where));
    /* Mended, it is taken in. */
    bytes->data[200] ^= 1;
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 0);
    CHECK_OK(find(&set, CHUNK_DATA, "a", 0, &where));
}

TEST(a_segment_under_another_name_is_left_out)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) object = BUF_EMPTY;
    struct sync_report report;
    struct object_name name;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, &name, NULL));
    CHECK_OK(store_get_all(set.access->store, name.text, 1 << 20, &object));
    CHECK_OK(store_remove(set.access->store, name.text));
    struct uid session = {"another session"};
    struct hash sha256;
    sha256_of(buf_slice(&object), sha256.bytes);
    CHECK_OK(store_put(set.access->store, name_segment(1, CHUNK_DATA, &session, &sha256).text, buf_slice(&object), true));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 1);
    CHECK_INT(report.segments_new, 0);
}

TEST(packs_of_an_uncertified_writer_are_used_once_it_is_certified)
{
    AUTO(set) set = SET_NONE;
    struct sync_report report;
    struct location where;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, NULL, NULL));
    set.access->cert_count = 0;
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 1);
    CHECK_ERR(ERR_NOT_FOUND, find(&set, CHUNK_DATA, "a", 0, &where));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.segments_new, 0); /* not read again for nothing */
    set.access->cert_count = 1;
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 0);
    CHECK_OK(find(&set, CHUNK_DATA, "a", 0, &where));
}

TEST(chunks_of_segments_that_went_are_not_found)
{
    AUTO(set) set = SET_NONE;
    struct sync_report report;
    struct object_name first, again;
    struct location where;
    AUTO(buf) object = BUF_EMPTY;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, &first, NULL));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "b", 0, 10, &again, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(store_get_all(set.access->store, first.text, 1 << 20, &object));
    CHECK_OK(store_remove(set.access->store, first.text));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.segments_gone, 1);
    CHECK_ERR(ERR_NOT_FOUND, find(&set, CHUNK_DATA, "a", 0, &where));
    CHECK_OK(find(&set, CHUNK_DATA, "b", 0, &where));
    /* And it may come back. */
    CHECK_OK(store_put(set.access->store, first.text, buf_slice(&object), true));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_OK(find(&set, CHUNK_DATA, "a", 0, &where));
}

TEST(rows_of_gone_packs_end_with_the_next_merge)
{
    AUTO(set) set = SET_NONE;
    struct object_name first;
    AUTO(buf) object = BUF_EMPTY;
    struct location where;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, &first, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(store_get_all(set.access->store, first.text, 1 << 20, &object));
    CHECK_OK(store_remove(set.access->store, first.text));
    for (unsigned i = 0; i < 12; i++) {
        CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "b", 10 * i, 10, NULL, NULL));
        CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    }
    CHECK_ERR(ERR_NOT_FOUND, find(&set, CHUNK_DATA, "a", 0, &where));
    CHECK_OK(store_put(set.access->store, first.text, buf_slice(&object), true));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(fetched(&set, "a", 0));
    CHECK_OK(fetched(&set, "b", 77));
}

TEST(many_are_looked_for_at_once)
{
    AUTO(set) set = SET_NONE;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 400, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 400, 400, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    AUTO_MEM struct chunk_id *ids = calloc(1000, sizeof *ids);
    bool found[1000];
    for (unsigned i = 0; i < 1000; i++)
        ids[i] = small_chunk(set.access, CHUNK_DATA, "a", 999 - i).id;
    CHECK_OK(index_find_many(set.index, 1, CHUNK_DATA, ids, 1000, found));
    for (unsigned i = 0; i < 1000; i++)
        CHECK_INT(found[i], 999 - i < 800);
    CHECK_OK(index_find_many(set.index, 1, CHUNK_DATA, ids, 0, found));
}

TEST(a_writers_own_segment_is_taken_in_at_once)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) object = BUF_EMPTY;
    struct object_name name;
    struct sync_report report;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, &name, NULL));
    CHECK_OK(store_get_all(set.access->store, name.text, 1 << 20, &object));
    CHECK_OK(index_add_segment(set.index, name.text, buf_slice(&object)));
    CHECK_OK(fetched(&set, "a", 9));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.segments_new, 0);
}

TEST(a_cache_of_another_store_is_set_aside)
{
    AUTO(set) set = SET_NONE;
    AUTO_PTR(index) other = NULL;
    struct location where;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    /* The same keys would open it: only the store's id tells. */
    struct access another = *set.access;
    another.head.store.bytes[0] ^= 1;
    AUTO_PTR(store) empty = NULL;
    CHECK_OK(store_mem_open(&empty));
    another.store = empty;
    CHECK_OK(index_open(&another, tmp_path(&set.tmp, "cache").text, &other));
    struct small_chunk chunk = small_chunk(set.access, CHUNK_DATA, "a", 1);
    CHECK_ERR(ERR_NOT_FOUND, index_find(other, 1, CHUNK_DATA, &chunk.id, NULL, &where));
    CHECK_OK(index_sync(other, SYNC_ALL, NULL));
    CHECK_ERR(ERR_NOT_FOUND, index_find(other, 1, CHUNK_DATA, &chunk.id, NULL, &where));
    CHECK_INT(files_in(&set, "cache/runs"), 0);
    /* And the first takes it back with its next sync. */
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(fetched(&set, "a", 1));
    unsigned aside = 0;
    DIR *dir = opendir(tmp_path(&set.tmp, "cache").text);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        aside += strstr(entry->d_name, ".damaged-") != NULL;
    closedir(dir);
    CHECK_INT(aside, 1);
}

TEST(a_damaged_catalog_is_begun_anew)
{
    AUTO(set) set = SET_NONE;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    index_free(TAKE(set.index));
    static const size_t places[] = {0, 17, 8192 + 5};
    for (size_t i = 0; i < 3; i++) {
        AUTO(buf) bytes = BUF_EMPTY;
        struct tmp_path path = tmp_path(&set.tmp, "cache/catalog.db");
        CHECK_OK(file_read_all(path.text, 1 << 24, &bytes));
        memset(bytes.data + places[i], 0x5a, 40);
        CHECK_OK(file_write_atomic(path.text, buf_slice(&bytes), 0600));
        CHECK_OK(index_open(set.access, tmp_path(&set.tmp, "cache").text, &set.index));
        CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
        CHECK_OK(fetched(&set, "a", 3));
        index_free(TAKE(set.index));
    }
}

TEST(a_run_that_was_deleted_is_made_anew)
{
    AUTO(set) set = SET_NONE;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    index_free(TAKE(set.index));
    CHECK(unlink(tmp_path(&set.tmp, "cache/runs/1.db").text) == 0);
    CHECK_OK(index_open(set.access, tmp_path(&set.tmp, "cache").text, &set.index));
    struct location where;
    CHECK_ERR(ERR_NOT_FOUND, find(&set, CHUNK_DATA, "a", 1, &where));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(fetched(&set, "a", 1));
}

TEST(a_deleted_cache_folder_comes_back_with_the_next_sync)
{
    AUTO(set) set = SET_NONE;
    struct location before, after;
    struct fetch_pack pack = {0};
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(find(&set, CHUNK_DATA, "a", 1, &before));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(tmp_dir_remove(tmp_path(&set.tmp, "cache").text));
        (void)find(&set, CHUNK_DATA, "a", 2, &after); /* any answer, no crash */
        uint64_t stamp = 0;
        bool changed;
        (void)index_changed(set.index, &stamp, &changed);
        (void)index_pack(set.index, before.pack, &pack);
        free(TAKE(pack.keys));
        CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
        CHECK_OK(fetched(&set, "a", 3));
    }
    /* A number never means another pack in one process. */
    CHECK_OK(find(&set, CHUNK_DATA, "a", 1, &after));
    CHECK(after.pack > before.pack);
    CHECK_ERR(ERR_NOT_FOUND, index_pack(set.index, before.pack, &pack));
}

TEST(by_recovery_key_packs_speak_for_themselves)
{
    AUTO(set) set = SET_NONE;
    struct object_name segment, pack, bad;
    struct sync_report report;
    struct buf *bytes;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 25, &segment, &pack));
    CHECK_OK(store_remove(set.access->store, segment.text));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_TREE, "t", 0, 5, &segment, NULL));
    CHECK_OK(store_remove(set.access->store, segment.text));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "bad", 0, 5, &segment, &bad));
    CHECK_OK(store_remove(set.access->store, segment.text));
    CHECK_OK(store_mem_bytes(set.access->store, bad.text, &bytes));
    bytes->data[40] ^= 1;
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.chunk_rows, 0);

    set.access->by_recovery = true; /* test keys hold the recovery secret of domain 1 */
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.chunk_rows, 30);
    CHECK_INT(report.segments_new, 0);
    CHECK_INT(report.damaged, 1);
    for (unsigned i = 0; i < 25; i++)
        CHECK_OK(fetched(&set, "a", i));
    struct location where;
    struct fetch_pack found;
    CHECK_OK(find(&set, CHUNK_TREE, "t", 4, &where));
    CHECK_OK(find(&set, CHUNK_DATA, "a", 24, &where));
    CHECK_OK(index_pack(set.index, where.pack, &found));
    CHECK_INT(found.key_count, 0);
    CHECK_STR(name_pack(1, &found.name).text, pack.text);
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.chunk_rows, 0);
}

TEST(an_unreachable_store_loses_nothing)
{
    AUTO(set) set = SET_NONE;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 10, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "b", 0, 10, NULL, NULL));
    for (long k = 0; k < 3; k++) {
        store_mem_fail(set.access->store, "l", k, ERR_UNREACHABLE);
        CHECK_ERR(ERR_UNREACHABLE, index_sync(set.index, SYNC_ALL, NULL));
        store_mem_fail(set.access->store, "l", -1, ERR_UNREACHABLE);
        CHECK_OK(fetched(&set, "a", 1));
    }
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(fetched(&set, "b", 1));
}

/* ---- threads ---- */

struct looker {
    struct set *set;
    atomic_bool *stop;
    unsigned seen, wrong;
};

static void *look(void *context)
{
    struct looker *l = context;
    for (unsigned i = 0; !atomic_load(l->stop); i = (i + 1) % 50) {
        struct location where;
        struct fetch_pack pack = {0};
        bool good = find(l->set, CHUNK_DATA, "a", i, &where) == ERR_OK && index_pack(l->set->index, where.pack, &pack) == ERR_OK;
        free(pack.keys);
        l->wrong += !good || find(l->set, CHUNK_DATA, "never", i, &where) != ERR_NOT_FOUND;
        l->seen++;
    }
    return NULL;
}

TEST(threads_look_while_runs_come_and_merge)
{
    AUTO(set) set = SET_NONE;
    pthread_t threads[12];
    struct looker lookers[12];
    atomic_bool stop = false;
    bool synced = true;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", 0, 50, NULL, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    for (unsigned i = 0; i < 12; i++) {
        lookers[i] = (struct looker){&set, &stop, 0, 0};
        CHECK(pthread_create(&threads[i], NULL, look, &lookers[i]) == 0);
    }
    for (unsigned i = 0; i < 25; i++) {
        synced &= small_store_put_chunks(set.access, CHUNK_DATA, "b", i * 30, 30, NULL, NULL) == ERR_OK;
        synced &= index_sync(set.index, SYNC_ALL, NULL) == ERR_OK;
    }
    atomic_store(&stop, true);
    unsigned seen = 0, wrong = 0;
    for (unsigned i = 0; i < 12; i++) {
        pthread_join(threads[i], NULL);
        seen += lookers[i].seen;
        wrong += lookers[i].wrong;
    }
    CHECK(synced);
    CHECK(seen > 0);
    CHECK_INT(wrong, 0);
}

/* ---- processes ---- */

/* One process: put a segment, sync, find what it put so far; 6 times. */
static int work(struct access *access, const char *cache, unsigned who)
{
    AUTO_PTR(index) index = NULL;
    if (index_open(access, cache, &index) != ERR_OK)
        return 1;
    for (unsigned round = 0; round < 6; round++) {
        char series[32];
        snprintf(series, sizeof series, "of %u", who);
        if (small_store_put_chunks(access, CHUNK_DATA, series, round * 40, 40, NULL, NULL) != ERR_OK)
            return 2;
        if (index_sync(index, SYNC_ALL, NULL) != ERR_OK) {
            fprintf(stderr, "process %u: %s\n", who, err_text());
            return 3;
        }
        for (unsigned i = 0; i < (round + 1) * 40; i++) {
            struct small_chunk chunk = small_chunk(access, CHUNK_DATA, series, i);
            struct location where;
            struct fetch_pack pack;
            if (index_find(index, 1, CHUNK_DATA, &chunk.id, NULL, &where) != ERR_OK) {
                fprintf(stderr, "process %u round %u chunk %u: %s\n", who, round, i, err_text());
                return 4;
            }
            if (index_pack(index, where.pack, &pack) != ERR_OK)
                return 5;
            free(pack.keys);
        }
    }
    return 0;
}

TEST(processes_share_one_cache)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    struct set set = SET_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    AUTO_PTR(access) access = NULL;
    AUTO_PTR(index) index = NULL;
    struct tmp_path cache = tmp_path(&tmp, "cache");
    CHECK_OK(small_store_new(tmp_path(&tmp, "store").text, &access));
    pid_t pids[3];
    for (unsigned i = 0; i < 3; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0)
            _exit(work(access, cache.text, i));
    }
    for (unsigned i = 0; i < 3; i++) {
        int status;
        CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), 0);
    }
    /* What they left is whole. */
    struct location where;
    struct sync_report report;
    CHECK_OK(index_open(access, cache.text, &index));
    set.access = access;
    set.index = index;
    for (unsigned i = 0; i < 240; i++) {
        CHECK_OK(find(&set, CHUNK_DATA, "of 0", i, &where));
        CHECK_OK(find(&set, CHUNK_DATA, "of 1", i, &where));
        CHECK_OK(find(&set, CHUNK_DATA, "of 2", i, &where));
    }
    CHECK_OK(index_sync(index, SYNC_ALL, &report));
    CHECK_INT(report.segments_new, 0);
    CHECK_INT(report.damaged, 0);
}

TEST(another_processs_sync_is_seen_by_a_look_up_that_misses)
{
    AUTO(set) set = SET_NONE;
    AUTO_PTR(index) other = NULL;
    struct location where;
    CHECK_OK(set_open(&set));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_open(set.access, tmp_path(&set.tmp, "cache").text, &other));
    for (unsigned i = 0; i < 20; i++) {
        CHECK_OK(small_store_put_chunks(set.access, CHUNK_DATA, "a", i, 1, NULL, NULL));
        CHECK_OK(index_sync(other, SYNC_ALL, NULL)); /* merges away runs that the first has open */
        CHECK_OK(find(&set, CHUNK_DATA, "a", i, &where));
        CHECK_OK(find(&set, CHUNK_DATA, "a", 0, &where));
    }
}

TEST_MAIN(chunks_of_new_segments_are_found_and_fetched, a_second_sync_reads_only_what_is_new, a_pack_number_gives_the_pack,
          merging_keeps_every_copy_and_few_runs, another_copy_is_fetched_when_one_is_damaged,
          a_damaged_segment_is_left_out_and_counted, a_segment_under_another_name_is_left_out,
          packs_of_an_uncertified_writer_are_used_once_it_is_certified, chunks_of_segments_that_went_are_not_found,
          rows_of_gone_packs_end_with_the_next_merge, many_are_looked_for_at_once, a_writers_own_segment_is_taken_in_at_once,
          a_cache_of_another_store_is_set_aside, a_damaged_catalog_is_begun_anew, a_run_that_was_deleted_is_made_anew,
          a_deleted_cache_folder_comes_back_with_the_next_sync, by_recovery_key_packs_speak_for_themselves,
          an_unreachable_store_loses_nothing, threads_look_while_runs_come_and_merge, processes_share_one_cache,
          another_processs_sync_is_seen_by_a_look_up_that_misses)
