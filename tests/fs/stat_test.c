#include "fs/stat.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/support/test.h"

static const struct stat_rules as_it_was = {0};

TEST(a_sparse_file_has_its_size_and_the_blocks_of_its_data)
{
    struct stat st;
    struct entry entry = {.kind = NODE_FILE,
                          .mode = 04755,
                          .uid = 1000,
                          .gid = 4294967294,
                          .mtime = {-2, 500000000},
                          .ctime = {1700000000, 999999999},
                          .content = {.how = CONTENT_LIST, .length = 1 << 30, .data_bytes = 4097}};
    stat_of_entry(&as_it_was, &entry, 7, 3, &st);
    CHECK_INT(st.st_ino, 7);
    CHECK_INT(st.st_mode, S_IFREG | 04755);
    CHECK_INT(st.st_nlink, 3);
    CHECK_INT(st.st_uid, 1000);
    CHECK_INT(st.st_gid, 4294967294);
    CHECK_INT(st.st_size, 1 << 30);
    CHECK_INT(st.st_blocks, 9); /* 4,097 bytes are 8 blocks and one more */
    CHECK_INT(st.st_mtim.tv_sec, -2);
    CHECK_INT(st.st_mtim.tv_nsec, 500000000);
    CHECK_INT(st.st_ctim.tv_sec, 1700000000);
    CHECK_INT(st.st_ctim.tv_nsec, 999999999);
}

TEST(a_file_of_one_chunk_has_all_its_blocks)
{
    struct stat st;
    struct entry entry = {.kind = NODE_FILE, .content = {.how = CONTENT_CHUNK, .length = 5}};
    stat_of_entry(&as_it_was, &entry, 7, 1, &st);
    CHECK_INT(st.st_blocks, 1);
    entry.content = (struct content){.how = CONTENT_EMPTY};
    stat_of_entry(&as_it_was, &entry, 7, 1, &st);
    CHECK_INT(st.st_blocks, 0);
}

TEST(devices_links_and_folders)
{
    struct stat st;
    struct entry device = {.kind = NODE_BLOCK, .mode = 0660, .major = 259, .minor = 70000};
    stat_of_entry(&as_it_was, &device, 7, 1, &st);
    CHECK_INT(st.st_mode, S_IFBLK | 0660);
    CHECK_INT(major(st.st_rdev), 259);
    CHECK_INT(minor(st.st_rdev), 70000);
    struct entry link = {.kind = NODE_SYMLINK, .mode = 0777, .target = slice_str("elsewhere")};
    stat_of_entry(&as_it_was, &link, 7, 1, &st);
    CHECK_INT(st.st_size, 9);
    struct entry dir = {.kind = NODE_DIR, .mode = 01777};
    stat_of_entry(&as_it_was, &dir, 7, 1, &st);
    CHECK_INT(st.st_mode, S_IFDIR | 01777);
}

TEST(rules_say_whose_it_is_and_what_is_allowed)
{
    struct stat st;
    struct stat_rules rules = {.has_uid = true, .uid = 33, .has_gid = true, .gid = 0, .umask = 027};
    struct entry file = {.kind = NODE_FILE, .mode = 0666, .uid = 1, .gid = 2};
    stat_of_entry(&rules, &file, 7, 1, &st);
    CHECK_INT(st.st_uid, 33);
    CHECK_INT(st.st_gid, 0);
    CHECK_INT(st.st_mode, S_IFREG | 0640);
    struct entry link = {.kind = NODE_SYMLINK, .mode = 0777};
    stat_of_entry(&rules, &link, 7, 1, &st);
    CHECK_INT(st.st_mode,
              S_IFLNK | 0777); /* a symlink's mode means nothing, and tools expect this one */
    stat_of_made(&as_it_was, 2, S_IFDIR | 0755, 0, (struct timestamp){5, 0}, &st);
    CHECK_INT(st.st_uid, geteuid());
    CHECK_INT(st.st_mode, S_IFDIR | 0755);
}

TEST_MAIN(a_sparse_file_has_its_size_and_the_blocks_of_its_data,
          a_file_of_one_chunk_has_all_its_blocks, devices_links_and_folders,
          rules_say_whose_it_is_and_what_is_allowed)
