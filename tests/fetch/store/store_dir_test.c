#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fetch/base/file.h"
#include "fetch/store/store.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

struct place {
    struct tmp_dir tmp;
    struct store *store;
};

static void place_clear(struct place *p)
{
    store_free(p->store);
    tmp_dir_clear(&p->tmp);
}

static enum err place_new(struct place *ret_place)
{
    TRY(tmp_dir_new(&ret_place->tmp));
    return store_dir_open(ret_place->tmp.path, false, &ret_place->store);
}

static enum err count(void *context, const struct store_entry *entry)
{
    (void)entry;
    ++*(unsigned *)context;
    return ERR_OK;
}

static int folder_entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    if (!d)
        return -1;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

TEST(objects_are_private_files)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    struct stat st;
    mode_t before = umask(0);
    enum err made = place_new(&p);
    enum err e = made == ERR_OK ? store_put(p.store, "keys/slot-1", slice_str("secret"), true) : made;
    umask(before);
    CHECK_OK(e);
    CHECK_INT(stat(tmp_path(&p.tmp, "keys").text, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0700);
    CHECK_INT(stat(tmp_path(&p.tmp, "keys/slot-1").text, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0600);
    CHECK_INT(st.st_nlink, 1);
    CHECK_INT(folder_entries(tmp_path(&p.tmp, "keys").text), 1); /* no temporary file is left */
}

TEST(a_refused_put_leaves_nothing)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    CHECK_OK(place_new(&p));
    CHECK_OK(store_put(p.store, "a/n", slice_str("x"), true));
    CHECK_ERR(ERR_EXISTS, store_put(p.store, "a/n", slice_str("y"), true));
    CHECK_INT(mkdir(tmp_path(&p.tmp, "a/folder").text, 0700), 0);
    CHECK(store_put(p.store, "a/folder", slice_str("y"), false) != ERR_OK);
    CHECK_INT(folder_entries(tmp_path(&p.tmp, "a").text), 2);
}

/* RLIMIT_FSIZE stands in for a full disk: the write stops half-way. */
TEST(a_write_that_stops_half_way_leaves_nothing)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    CHECK_OK(place_new(&p));
    CHECK_OK(store_put(p.store, "a/small", slice_str("x"), true));
    AUTO(buf) big = BUF_EMPTY;
    buf_put_zeros(&big, 1 << 20);
    struct rlimit before, limit;
    getrlimit(RLIMIT_FSIZE, &before);
    limit = (struct rlimit){64 << 10, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    enum err e = store_put(p.store, "a/big", buf_slice(&big), true);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    CHECK_ERR(ERR_IO, e);
    CHECK_INT(folder_entries(tmp_path(&p.tmp, "a").text), 1);
    CHECK_OK(store_put(p.store, "a/big", buf_slice(&big), true));
}

TEST(a_full_disk_is_told_and_leaves_nothing)
{
    /* A tiny file system of our own, where the machine lets us have one. */
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(store) store = NULL;
    CHECK_OK(tmp_dir_new(&tmp));
    if (mount("yore-test", tmp.path, "tmpfs", 0, "size=256k") != 0)
        TEST_SKIP("this needs the right to mount");
    AUTO(buf) big = BUF_EMPTY;
    buf_put_zeros(&big, 1 << 20);
    enum err opened = store_dir_open(tmp.path, false, &store);
    enum err e = opened == ERR_OK ? store_put(store, "a/big", buf_slice(&big), true) : opened;
    int left = folder_entries(tmp_path(&tmp, "a").text);
    store_free(TAKE(store));
    umount2(tmp.path, MNT_DETACH);
    CHECK_ERR(ERR_FULL, e);
    CHECK_INT(left, 0);
}

TEST(what_is_not_ours_is_not_listed)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    unsigned seen = 0;
    CHECK_OK(place_new(&p));
    CHECK_OK(store_put(p.store, "a/n", slice_str("x"), true));
    CHECK_OK(file_write_new(tmp_path(&p.tmp, "a/.tmp-0123456789abcdef").text, slice_str("half"), 0600));
    CHECK_OK(file_write_new(tmp_path(&p.tmp, "a/odd name").text, slice_str("x"), 0600));
    CHECK_INT(mkdir(tmp_path(&p.tmp, ".trash").text, 0700), 0);
    CHECK_OK(file_write_new(tmp_path(&p.tmp, ".trash/n").text, slice_str("x"), 0600));
    CHECK_INT(symlink("n", tmp_path(&p.tmp, "a/link").text), 0);
    CHECK_INT(symlink(".", tmp_path(&p.tmp, "a/circle").text), 0);
    CHECK_INT(mkfifo(tmp_path(&p.tmp, "a/fifo").text, 0600), 0);
    CHECK_OK(store_list(p.store, "", count, &seen));
    CHECK_INT(seen, 1);
}

TEST(symlinks_do_not_lead_out_of_the_store)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    AUTO(tmp_dir) outside = TMP_DIR_NONE;
    AUTO(buf) bytes = BUF_EMPTY;
    uint64_t size;
    CHECK_OK(place_new(&p));
    CHECK_OK(tmp_dir_new(&outside));
    CHECK_OK(file_write_new(tmp_path(&outside, "n").text, slice_str("not ours"), 0600));
    CHECK_INT(symlink(outside.path, tmp_path(&p.tmp, "folder").text), 0);
    CHECK_INT(symlink(tmp_path(&outside, "n").text, tmp_path(&p.tmp, "file").text), 0);
    CHECK(store_get(p.store, "folder/n", 0, 1, &bytes) != ERR_OK);
    CHECK(store_get(p.store, "file", 0, 1, &bytes) != ERR_OK);
    CHECK(store_head(p.store, "file", &size) != ERR_OK);
    CHECK(store_put(p.store, "folder/m", slice_str("x"), true) != ERR_OK);
    CHECK_OK(store_remove(p.store, "folder/n"));
    CHECK_INT(folder_entries(outside.path), 1);
    CHECK_OK(store_put(p.store, "file", slice_str("ours"), false)); /* takes the link's place */
    CHECK_OK(store_get_all(p.store, "file", 10, &bytes));
    CHECK(slice_equal(buf_slice(&bytes), slice_str("ours")));
}

TEST(a_fifo_in_an_objects_place_does_not_stop_us)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_OK(place_new(&p));
    CHECK_INT(mkfifo(tmp_path(&p.tmp, "n").text, 0600), 0);
    CHECK_ERR(ERR_NOT_FOUND, store_get(p.store, "n", 0, 1, &bytes));
}

static int open_descriptors(void)
{
    return folder_entries("/proc/self/fd");
}

TEST(parts_of_many_objects_need_few_descriptors)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    CHECK_OK(place_new(&p));
    char name[32];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "packs/%d", i);
        CHECK_OK(store_put(p.store, name, slice_of(name, sizeof name), true));
    }
    int before = open_descriptors();
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 200; i++) {
            AUTO(buf) bytes = BUF_EMPTY;
            snprintf(name, sizeof name, "packs/%d", i);
            CHECK_OK(store_get(p.store, name, 6, 2, &bytes));
            CHECK_MEM(bytes.data, name + 6, 2);
        }
    int kept = open_descriptors() - before;
    CHECK(kept > 0 && kept <= 64);
    store_free(TAKE(p.store));
    CHECK_INT(open_descriptors(), before - 1); /* the store's own folder too */
}

TEST(a_whole_object_is_not_kept_open)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_OK(place_new(&p));
    CHECK_OK(store_put(p.store, "n", slice_str("whole"), true));
    int before = open_descriptors();
    CHECK_OK(store_get_all(p.store, "n", 10, &bytes));
    CHECK_INT(open_descriptors(), before);
}

/* A mount reads while another process repairs or deletes. */
TEST(what_another_process_changed_is_noticed)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_OK(place_new(&p));
    CHECK_OK(store_put(p.store, "n", slice_str("damaged"), true));
    CHECK_OK(store_get(p.store, "n", 0, 1, &bytes));
    buf_clear(&bytes);
    CHECK_OK(file_write_atomic(tmp_path(&p.tmp, "n").text, slice_str("repaired"), 0600));
    CHECK_OK(store_get(p.store, "n", 0, 3, &bytes));
    CHECK_MEM(bytes.data, "rep", 3);
    buf_clear(&bytes);
    CHECK_INT(unlink(tmp_path(&p.tmp, "n").text), 0);
    CHECK_ERR(ERR_NOT_FOUND, store_get(p.store, "n", 0, 3, &bytes));
}

TEST(a_folder_somebody_removed_is_made_again)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_OK(place_new(&p));
    CHECK_OK(store_put(p.store, "a/b/n", slice_str("x"), true));
    CHECK_OK(tmp_dir_remove(tmp_path(&p.tmp, "a").text));
    CHECK_OK(store_put(p.store, "a/b/n", slice_str("y"), true));
    CHECK_OK(store_get_all(p.store, "a/b/n", 10, &bytes));
    CHECK(slice_equal(buf_slice(&bytes), slice_str("y")));
}

TEST(a_large_object_comes_back_whole)
{
    AUTO(place) p = {TMP_DIR_NONE, NULL};
    AUTO(buf) big = BUF_EMPTY, found = BUF_EMPTY;
    CHECK_OK(place_new(&p));
    for (uint32_t i = 0; i < 1 << 20; i++)
        buf_put_u32(&big, i * 2654435761u);
    CHECK_OK(buf_check(&big));
    CHECK_OK(store_put(p.store, "big", buf_slice(&big), true));
    CHECK_OK(store_get_all(p.store, "big", SIZE_MAX, &found));
    CHECK(slice_equal(buf_slice(&big), buf_slice(&found)));
    buf_clear(&found);
    CHECK_OK(store_get(p.store, "big", 12345, 3 << 20, &found));
    CHECK_MEM(found.data, big.data + 12345, 3 << 20);
}

TEST(a_file_is_no_store)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(store) store = NULL;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(file_write_new(tmp_path(&tmp, "f").text, slice_str("x"), 0600));
    CHECK_ERR(ERR_NO_STORE, store_dir_open(tmp_path(&tmp, "f").text, false, &store));
    CHECK_OK(store_dir_open(tmp_path(&tmp, "new/deep").text, true, &store));
    struct stat st;
    CHECK_INT(stat(tmp_path(&tmp, "new/deep").text, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0700);
}

TEST_MAIN(objects_are_private_files, a_refused_put_leaves_nothing, a_write_that_stops_half_way_leaves_nothing,
          a_full_disk_is_told_and_leaves_nothing, what_is_not_ours_is_not_listed, symlinks_do_not_lead_out_of_the_store,
          a_fifo_in_an_objects_place_does_not_stop_us, parts_of_many_objects_need_few_descriptors,
          a_whole_object_is_not_kept_open, what_another_process_changed_is_noticed, a_folder_somebody_removed_is_made_again,
          a_large_object_comes_back_whole, a_file_is_no_store)
