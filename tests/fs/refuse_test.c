#include "fs/refuse.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "tests/support/tmp.h"

/* a/b/c and a/other, and a/link to b */
static void make_folders(struct tmp_dir *tmp)
{
    CHECK_OK(tmp_dir_new(tmp));
    CHECK(mkdir(tmp_path(tmp, "a").text, 0700) == 0);
    CHECK(mkdir(tmp_path(tmp, "a/b").text, 0700) == 0);
    CHECK(mkdir(tmp_path(tmp, "a/b/c").text, 0700) == 0);
    CHECK(mkdir(tmp_path(tmp, "a/bc").text, 0700) == 0);
    CHECK(symlink("b", tmp_path(tmp, "a/link").text) == 0);
}

TEST(a_mount_over_its_own_store_is_refused)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_CALL(make_folders(&tmp));
    CHECK_ERR(ERR_INVALID,
              refuse_overlap(tmp_path(&tmp, "a/b").text, tmp_path(&tmp, "a/b").text, "store"));
    CHECK_ERR(ERR_INVALID,
              refuse_overlap(tmp_path(&tmp, "a/b").text, tmp_path(&tmp, "a/link").text, "store"));
    CHECK_ERR(ERR_INVALID,
              refuse_overlap(tmp_path(&tmp, "a/link").text, tmp_path(&tmp, "a/b").text, "store"));
}

TEST(a_mount_above_or_within_its_own_store_is_refused)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_CALL(make_folders(&tmp));
    CHECK_ERR(ERR_INVALID,
              refuse_overlap(tmp_path(&tmp, "a").text, tmp_path(&tmp, "a/b").text, "store"));
    CHECK_ERR(ERR_INVALID,
              refuse_overlap(tmp_path(&tmp, "a/b/c").text, tmp_path(&tmp, "a").text, "store"));
    CHECK_ERR(ERR_INVALID, refuse_overlap("/", tmp_path(&tmp, "a").text, "store"));
    CHECK_ERR(ERR_INVALID,
              refuse_overlap(tmp_path(&tmp, "a/link/c").text, tmp_path(&tmp, "a/b").text, "store"));
}

TEST(a_mount_beside_it_is_fine)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_CALL(make_folders(&tmp));
    CHECK_OK(refuse_overlap(tmp_path(&tmp, "a/bc").text, tmp_path(&tmp, "a/b").text, "store"));
    CHECK_OK(refuse_overlap(tmp_path(&tmp, "a/b").text, tmp_path(&tmp, "a/bc").text, "store"));
}

TEST(a_log_that_is_not_there_yet_counts_too)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_CALL(make_folders(&tmp));
    CHECK_ERR(ERR_INVALID, refuse_overlap(tmp_path(&tmp, "a/b").text,
                                          tmp_path(&tmp, "a/b/c/new/log").text, "log"));
    CHECK_OK(refuse_overlap(tmp_path(&tmp, "a/b/c").text, tmp_path(&tmp, "a/b/log").text, "log"));
}

TEST_MAIN(a_mount_over_its_own_store_is_refused, a_mount_above_or_within_its_own_store_is_refused,
          a_mount_beside_it_is_fine, a_log_that_is_not_there_yet_counts_too)
