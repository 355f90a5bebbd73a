#include "index/filescache.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fetch/base/file.h"
#include "fetch/base/log.h"
#include "tests/support/test.h"
#include "tests/support/world.h"

static struct hash hash_of(uint8_t byte)
{
    struct hash hash;
    memset(hash.bytes, byte, sizeof hash.bytes);
    return hash;
}

static enum err put(struct filescache *cache, const char *path, const char *blob)
{
    struct filescache_key key = filescache_key(cache, slice_str(path));
    return filescache_put(cache, &key, slice_str(blob));
}

static enum err keep(struct filescache *cache, const char *path)
{
    struct filescache_key key = filescache_key(cache, slice_str(path));
    return filescache_keep(cache, &key);
}

/* Is the blob of path this one? NULL: is there none? */
static bool has(struct filescache *cache, const char *path, const char *blob)
{
    struct filescache_key key = filescache_key(cache, slice_str(path));
    AUTO(buf) got = BUF_EMPTY;
    bool found;
    if (filescache_get(cache, &key, &got, &found) != ERR_OK)
        return false;
    return blob ? found && slice_equal(buf_slice(&got), slice_str(blob)) : !found;
}

static enum err reopen(const struct index *index, struct filescache **cache)
{
    filescache_free(*cache);
    *cache = NULL;
    return filescache_open(index, 1, "svc", false, cache);
}

static char *file_of(const struct index *index)
{
    char *path = NULL;
    return asprintf(&path, "%s/files/svc.db", index_folder(index)) < 0 ? NULL : path;
}

#define CACHE(world, index, cache)                                                                 \
    AUTO(world) world = WORLD_NONE;                                                                \
    CHECK_OK(world_new(&(world), WORLD_MEMORY));                                                   \
    AUTO_PTR(index) index = NULL;                                                                  \
    CHECK_OK(world_index(&(world), "a", &(index)));                                                \
    AUTO_PTR(filescache) cache = NULL;                                                             \
    CHECK_OK(filescache_open(index, 1, "svc", false, &(cache)))

TEST(rows_appear_with_the_commit_and_with_their_snapshot)
{
    CACHE(world, index, cache);
    struct hash snapshot, first = hash_of(1);
    CHECK(!filescache_snapshot(cache, &snapshot));
    CHECK(has(cache, "/a", NULL));
    CHECK_OK(put(cache, "/a", "entries of a"));
    CHECK_OK(put(cache, "/a/b", "entries of b"));
    CHECK_OK(reopen(index, &cache)); /* without commit */
    CHECK(!filescache_snapshot(cache, &snapshot) && has(cache, "/a", NULL));

    CHECK_OK(put(cache, "/a", "entries of a"));
    CHECK_OK(put(cache, "/a/b", "entries of b"));
    filescache_commit(cache, &first);
    CHECK_OK(reopen(index, &cache));
    CHECK(filescache_snapshot(cache, &snapshot));
    CHECK_MEM(snapshot.bytes, first.bytes, sizeof first.bytes);
    CHECK(has(cache, "/a", "entries of a") && has(cache, "/a/b", "entries of b") &&
          has(cache, "/c", NULL));
}

TEST(the_next_snapshot_keeps_replaces_and_drops)
{
    CACHE(world, index, cache);
    struct hash snapshot, first = hash_of(1), second = hash_of(2);
    CHECK_OK(put(cache, "/same", "1"));
    CHECK_OK(put(cache, "/changed", "1"));
    CHECK_OK(put(cache, "/gone", "1"));
    filescache_commit(cache, &first);
    CHECK_OK(reopen(index, &cache));
    CHECK_OK(keep(cache, "/same"));
    CHECK_OK(put(cache, "/changed", "2"));
    CHECK_OK(put(cache, "/new", "2"));
    filescache_commit(cache, &second);
    CHECK_OK(reopen(index, &cache));
    CHECK(filescache_snapshot(cache, &snapshot));
    CHECK_MEM(snapshot.bytes, second.bytes, sizeof second.bytes);
    CHECK(has(cache, "/same", "1") && has(cache, "/changed", "2") && has(cache, "/new", "2") &&
          has(cache, "/gone", NULL));
}

TEST(of_two_runs_at_once_one_leaves_no_trace)
{
    CACHE(world, index, cache);
    struct hash snapshot, first = hash_of(1), second = hash_of(2), third = hash_of(3);
    CHECK_OK(put(cache, "/same", "1"));
    CHECK_OK(put(cache, "/x", "1"));
    filescache_commit(cache, &first);
    CHECK_OK(reopen(index, &cache));
    AUTO_PTR(filescache) other = NULL;
    CHECK_OK(
        filescache_open(index, 1, "other", false, &other)); /* another service is not disturbed */
    CHECK(has(other, "/same", NULL));
    filescache_free(TAKE(other));
    CHECK_OK(keep(cache, "/same"));
    CHECK_OK(put(cache, "/x", "2"));
    {
        AUTO_PTR(filescache) rival = NULL;
        CHECK_OK(filescache_open(index, 1, "svc", true, &rival));
        CHECK(has(rival, "/x", "1"));
        log_open(LOG_LEVEL_ERROR, LOG_STYLE_PLAIN, 2);
        filescache_commit(cache, &second); /* the rival still reads: not now */
        CHECK(has(rival, "/x", "1") && has(rival, "/same", "1"));
    }
    CHECK_OK(reopen(index, &cache));
    CHECK(filescache_snapshot(cache, &snapshot));
    CHECK_MEM(snapshot.bytes, first.bytes, sizeof first.bytes);
    CHECK(has(cache, "/x", "1"));
    CHECK_OK(keep(cache, "/same"));
    filescache_commit(cache, &third);
    CHECK_OK(reopen(index, &cache));
    CHECK(has(cache, "/x", NULL) && has(cache, "/same", "1"));
}

TEST(no_name_and_no_entry_is_in_the_file_and_damage_is_a_miss)
{
    CACHE(world, index, cache);
    struct hash first = hash_of(1);
    CHECK_OK(put(cache, "/very-secret-folder", "very-secret-entry"));
    filescache_commit(cache, &first);
    CHECK_OK(reopen(index, &cache));
    AUTO_MEM char *path = file_of(index);
    CHECK(path != NULL);
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_OK(file_read_all(path, 1 << 20, &bytes));
    CHECK(memmem(bytes.data, bytes.len, "very-secret", 11) == NULL);
    filescache_free(TAKE(cache));
    /* Every byte of the file in turn: the right blob, or none; never another, never a crash. */
    log_open(LOG_LEVEL_ERROR, LOG_STYLE_PLAIN, 2);
    AUTO_MEM char *journal = NULL;
    CHECK(asprintf(&journal, "%s-journal", path) > 0);
    for (size_t at = 0; at < bytes.len; at += at < 120 ? 1 : 37) {
        bytes.data[at] ^= 0x41;
        CHECK_OK(file_write_atomic(path, buf_slice(&bytes), 0600));
        unlink(journal);
        CHECK_OK(filescache_open(index, 1, "svc", false, &cache));
        CHECK(has(cache, "/very-secret-folder", "very-secret-entry") ||
              has(cache, "/very-secret-folder", NULL));
        filescache_free(TAKE(cache));
        bytes.data[at] ^= 0x41;
    }
}

TEST(a_folder_that_cannot_be_used_is_an_empty_cache)
{
    CACHE(world, index, cache);
    filescache_free(TAKE(cache));
    AUTO_MEM char *path = file_of(index);
    CHECK(path != NULL);
    log_open(LOG_LEVEL_ERROR, LOG_STYLE_PLAIN, 2);
    unlink(path);
    CHECK_INT(mkdir(path, 0700), 0); /* something else in the way */
    CHECK_OK(filescache_open(index, 1, "svc", false, &cache));
    CHECK(has(cache, "/a", NULL));
    CHECK_OK(put(cache, "/a", "1"));
    struct hash first = hash_of(1);
    filescache_commit(cache, &first);
    filescache_free(TAKE(cache));
    rmdir(path);
}

TEST_MAIN(rows_appear_with_the_commit_and_with_their_snapshot,
          the_next_snapshot_keeps_replaces_and_drops, of_two_runs_at_once_one_leaves_no_trace,
          no_name_and_no_entry_is_in_the_file_and_damage_is_a_miss,
          a_folder_that_cannot_be_used_is_an_empty_cache)
