#include "fetch/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/base/rand.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

static int count_names(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    int n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

TEST(what_is_written_is_read)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    static const size_t sizes[] = {0, 1, 4096, 65535, 65536, 65537, 131072, 1000003};
    rand_seed_for_test(1453);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        AUTO(buf) out = BUF_EMPTY;
        CHECK_OK(buf_resize(&out, sizes[i]));
        rand_bytes(out.data, out.len);
        CHECK_OK(file_write_atomic(tmp_path(&tmp, "f").text, buf_slice(&out), 0600));
        AUTO(buf) in = BUF_EMPTY;
        CHECK_OK(file_read_all(tmp_path(&tmp, "f").text, sizes[i], &in));
        CHECK(slice_equal(buf_slice(&in), buf_slice(&out)));
    }
    CHECK_INT(count_names(tmp.path), 1);
}

TEST(a_file_larger_than_allowed_is_refused)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(file_write_atomic(tmp_path(&tmp, "f").text, slice_str("12345"), 0600));
    AUTO(buf) in = BUF_EMPTY;
    for (size_t max = 0; max < 5; max++) {
        CHECK_ERR(ERR_INVALID, file_read_all(tmp_path(&tmp, "f").text, max, &in));
        CHECK(in.data == NULL);
    }
    CHECK_ERR(ERR_INVALID, file_read_all("/dev/zero", 200000, &in));
    CHECK_OK(file_read_all(tmp_path(&tmp, "f").text, SIZE_MAX, &in));
    CHECK_INT(in.len, 5);
}

TEST(a_file_whose_size_says_zero_is_read_whole)
{
    AUTO(buf) in = BUF_EMPTY;
    CHECK_OK(file_read_all("/proc/self/status", 1 << 20, &in));
    CHECK(in.len > 100);
}

TEST(missing_files_and_folders_are_not_found)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    AUTO(buf) in = BUF_EMPTY;
    CHECK_ERR(ERR_NOT_FOUND, file_read_all(tmp_path(&tmp, "none").text, 10, &in));
    CHECK_ERR(ERR_NOT_FOUND, file_write_atomic(tmp_path(&tmp, "none/f").text, slice_str("x"), 0600));
    CHECK_ERR(ERR_NOT_FOUND, dir_sync(tmp_path(&tmp, "none").text));
    CHECK_ERR(ERR_INVALID, file_write_atomic(tmp_path(&tmp, "").text, slice_str("x"), 0600));
    CHECK_ERR(ERR_IO, file_read_all(tmp.path, 10, &in));
}

TEST(replacing_swaps_the_file_and_sets_its_mode)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    struct tmp_path path = tmp_path(&tmp, "f");
    CHECK_OK(file_write_atomic(path.text, slice_str("old"), 0644));
    AUTO_FD before = open(path.text, O_RDONLY);
    CHECK_OK(file_write_atomic(path.text, slice_str("new!"), 0600));
    struct stat st;
    CHECK_INT(stat(path.text, &st), 0);
    CHECK_INT(st.st_mode & 07777, 0600);
    CHECK_INT(st.st_size, 4);
    char text[8];
    size_t got;
    CHECK_OK(read_full(before, text, sizeof text, &got));
    CHECK_INT(got, 3); /* who had it open still reads the old one */
    CHECK_MEM(text, "old", 3);
    CHECK_INT(count_names(tmp.path), 1);
}

TEST(a_new_file_never_replaces_anything)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(file_write_new(tmp_path(&tmp, "f").text, slice_str("one"), 0600));
    CHECK_ERR(ERR_EXISTS, file_write_new(tmp_path(&tmp, "f").text, slice_str("two"), 0600));
    CHECK_INT(symlink("nowhere", tmp_path(&tmp, "link").text), 0);
    CHECK_ERR(ERR_EXISTS, file_write_new(tmp_path(&tmp, "link").text, slice_str("two"), 0600));
    CHECK_INT(mkdir(tmp_path(&tmp, "dir").text, 0700), 0);
    CHECK_ERR(ERR_EXISTS, file_write_new(tmp_path(&tmp, "dir").text, slice_str("two"), 0600));
    AUTO(buf) in = BUF_EMPTY;
    CHECK_OK(file_read_all(tmp_path(&tmp, "f").text, 10, &in));
    CHECK(slice_equal(buf_slice(&in), slice_str("one")));
    CHECK_INT(count_names(tmp.path), 3);
}

TEST(a_failed_replacement_leaves_no_trace)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_INT(mkdir(tmp_path(&tmp, "dir").text, 0700), 0);
    CHECK(file_write_atomic(tmp_path(&tmp, "dir").text, slice_str("x"), 0600) != ERR_OK);
    CHECK_INT(count_names(tmp.path), 1);
}

TEST(a_relative_path_is_written_where_we_stand)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    AUTO_FD here = open(".", O_RDONLY | O_DIRECTORY);
    CHECK_INT(chdir(tmp.path), 0);
    enum err wrote = file_write_atomic("f", slice_str("x"), 0600);
    enum err made = dir_make("a/b", 0700);
    enum err above = dir_make_parents("g", 0700);
    CHECK_INT(fchdir(here), 0);
    CHECK_OK(wrote);
    CHECK_OK(made);
    CHECK_OK(above);
    CHECK_INT(count_names(tmp.path), 2);
}

TEST(folders_are_made_as_deep_as_asked)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    struct stat st;
    CHECK_OK(dir_make(tmp_path(&tmp, "a/b//c/").text, 0750));
    CHECK_OK(dir_make(tmp_path(&tmp, "a/b/c").text, 0750));
    CHECK_INT(stat(tmp_path(&tmp, "a/b/c").text, &st), 0);
    CHECK(S_ISDIR(st.st_mode));
    CHECK_OK(dir_make_parents(tmp_path(&tmp, "d/e/file").text, 0700));
    CHECK_INT(count_names(tmp_path(&tmp, "d/e").text), 0);
    CHECK_OK(dir_make_parents("/file", 0700));
    CHECK_OK(dir_make("/", 0700));
    CHECK_ERR(ERR_INVALID, dir_make("", 0700));
}

TEST(a_file_in_the_way_of_a_folder_is_named)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(file_write_atomic(tmp_path(&tmp, "a").text, slice_str("x"), 0600));
    CHECK_ERR(ERR_INVALID, dir_make(tmp_path(&tmp, "a").text, 0700));
    CHECK_ERR(ERR_INVALID, dir_make(tmp_path(&tmp, "a/b/c").text, 0700));
    CHECK(strstr(err_text(), "/a is in the way") != NULL);
    CHECK_INT(symlink("nowhere", tmp_path(&tmp, "dangling").text), 0);
    CHECK_ERR(ERR_INVALID, dir_make(tmp_path(&tmp, "dangling").text, 0700));
}

TEST(reads_and_writes_at_offsets_reach_their_end)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    AUTO_FD fd = open(tmp_path(&tmp, "f").text, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    char text[16];
    size_t got = 99;
    CHECK_OK(pwrite_full(fd, slice_str("world"), 5));
    CHECK_OK(pwrite_full(fd, slice_str("hello"), 0));
    CHECK_OK(pread_full(fd, text, sizeof text, 3, &got));
    CHECK_INT(got, 7);
    CHECK_MEM(text, "loworld", 7);
    CHECK_OK(pread_full(fd, text, sizeof text, 10, &got));
    CHECK_INT(got, 0);
    CHECK_ERR(ERR_INVALID, pread_full(fd, text, 2, INT64_MAX, &got));
    CHECK_ERR(ERR_INVALID, pwrite_full(fd, slice_str("x"), UINT64_MAX));
    CHECK_ERR(ERR_IO, read_full(-1, text, 1, &got));
    CHECK_ERR(ERR_IO, write_full(-1, slice_str("x")));
}

TEST(a_full_device_is_no_space)
{
    AUTO_FD fd = open("/dev/full", O_WRONLY);
    if (fd < 0)
        TEST_SKIP("no /dev/full here");
    CHECK_ERR(ERR_FULL, write_full(fd, slice_str("x")));
}

struct trickle {
    int fd;
    pthread_t reader;
};

static void interrupt(int number)
{
    (void)number;
}

/* Writes in crumbs and interrupts the reader between them. */
static void *write_slowly(void *arg)
{
    struct trickle *t = arg;
    for (int i = 0; i < 200; i++) {
        pthread_kill(t->reader, SIGUSR1);
        if (write_full(t->fd, slice_str("crumb")) != ERR_OK)
            return arg;
    }
    close(t->fd);
    return NULL;
}

TEST(signals_and_short_reads_do_not_cut_a_read)
{
    struct sigaction act = {.sa_handler = interrupt}, old; /* no SA_RESTART: read fails with EINTR */
    sigaction(SIGUSR1, &act, &old);
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    AUTO_FD in = ends[0];
    struct trickle t = {ends[1], pthread_self()};
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, write_slowly, &t), 0);
    char text[2000];
    size_t got = 0;
    enum err e = read_full(in, text, sizeof text, &got);
    void *failed;
    pthread_join(thread, &failed);
    sigaction(SIGUSR1, &old, NULL);
    CHECK_OK(e);
    CHECK(failed == NULL);
    CHECK_INT(got, 1000);
    for (size_t i = 0; i < got; i += 5)
        CHECK_MEM(text + i, "crumb", 5);
}

TEST_MAIN(what_is_written_is_read, a_file_larger_than_allowed_is_refused, a_file_whose_size_says_zero_is_read_whole,
          missing_files_and_folders_are_not_found, replacing_swaps_the_file_and_sets_its_mode,
          a_new_file_never_replaces_anything, a_failed_replacement_leaves_no_trace,
          a_relative_path_is_written_where_we_stand, folders_are_made_as_deep_as_asked,
          a_file_in_the_way_of_a_folder_is_named, reads_and_writes_at_offsets_reach_their_end,
          a_full_device_is_no_space, signals_and_short_reads_do_not_cut_a_read)
