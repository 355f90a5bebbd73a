#include "fs/mounts.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fs.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

static const char text[] =
    "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "30 21 0:40 / /snapshots ro,nosuid shared:7 master:2 - fuse.yore /srv/store ro,user_id=0\n"
    "31 21 0:41 / /mnt/with\\040blank\\134 ro - fuse.yore s3://bucket ro\n"
    "32 21 0:42 / /mnt/other rw - fuse.sshfs host: rw\n"
    "33 32 0:43 / /mnt/under ro - fuse.yore x ro\n"
    "34 33 0:44 / /mnt/under rw - tmpfs tmpfs rw\n";

static void check(const char *path, bool any, bool ours)
{
    struct mounted mounted;
    mounts_parse(text, path, &mounted);
    CHECK_INT(mounted.any, any);
    CHECK_INT(mounted.ours, ours);
}

TEST(a_mount_of_ours_is_known_by_its_type)
{
    CHECK_CALL(check("/snapshots", true, true));
    CHECK_CALL(check("/mnt/with blank\\", true, true));
    CHECK_CALL(check("/mnt/other", true, false));
    CHECK_CALL(check("/", true, false));
}

TEST(only_what_lies_exactly_there_and_on_top_counts)
{
    CHECK_CALL(check("/snapshot", false, false));
    CHECK_CALL(check("/snapshots/x", false, false));
    CHECK_CALL(check("/mnt/under", true, false));
}

TEST(text_that_is_no_mountinfo_is_nothing)
{
    struct mounted mounted;
    mounts_parse("", "/", &mounted);
    CHECK(!mounted.any);
    mounts_parse("1 2\n\n3", "/", &mounted);
    CHECK(!mounted.any);
}

TEST(a_path_is_resolved_through_symlinks)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_MEM char *found = NULL;
    AUTO_MEM char *expected = NULL;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK(mkdir(tmp_path(&tmp, "real").text, 0700) == 0);
    CHECK(symlink("real", tmp_path(&tmp, "link").text) == 0);
    CHECK_OK(mounts_resolve(tmp_path(&tmp, "link").text, &found));
    expected = realpath(tmp_path(&tmp, "real").text, NULL);
    CHECK_STR(found, expected);
    AUTO_MEM char *none = NULL;
    CHECK_ERR(ERR_NOT_FOUND, mounts_resolve(tmp_path(&tmp, "none").text, &none));
}

TEST(what_is_not_ours_is_not_unmounted)
{
    CHECK_ERR(ERR_INVALID, fs_unmount("/proc"));
    CHECK_ERR(ERR_INVALID, fs_unmount("/tmp"));
}

TEST_MAIN(a_mount_of_ours_is_known_by_its_type, only_what_lies_exactly_there_and_on_top_counts,
          text_that_is_no_mountinfo_is_nothing, a_path_is_resolved_through_symlinks,
          what_is_not_ours_is_not_unmounted)
