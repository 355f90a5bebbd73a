#include "fs/timename.h"

#include "tests/support/test.h"

TEST(names_are_utc)
{
    char name[TIME_NAME_MAX + 16];
    struct timestamp when = {
        1795183200, 999999999}; /* 2026-11-20T14:00:00Z, where the test's zone is an hour ahead */
    time_name("@GMT-%Y.%m.%d-%H.%M.%S", when, 0, name);
    CHECK_STR(name, "@GMT-2026.11.20-14.00.00");
    time_name("%Y-%m-%d", when, 1, name);
    CHECK_STR(name, "2026-11-20-2");
    time_name("%Y-%m-%d", when, 9, name);
    CHECK_STR(name, "2026-11-20-10");
}

TEST(formats_that_tell_snapshots_apart_are_fine)
{
    CHECK_OK(time_format_check("@GMT-%Y.%m.%d-%H.%M.%S"));
    CHECK_OK(time_format_check("%Y-%m-%d_%H%M"));
    CHECK_OK(time_format_check("%Y-%m-%d"));
    CHECK_OK(time_format_check("%FT%I.%M.%S%p"));
    CHECK_OK(time_format_check("%Y-%j"));
}

TEST(formats_that_mix_them_up_are_refused)
{
    CHECK_ERR(ERR_INVALID, time_format_check(""));
    CHECK_ERR(ERR_INVALID, time_format_check("backup"));
    CHECK_ERR(ERR_INVALID, time_format_check("%H:%M"));
    CHECK_ERR(ERR_INVALID, time_format_check("%Y-%m"));
    CHECK_ERR(ERR_INVALID, time_format_check("%Y-%d"));
    CHECK_ERR(ERR_INVALID, time_format_check("%m-%d %H:%M:%S"));
    CHECK_ERR(ERR_INVALID, time_format_check("%Y-%m-%d %M"));
    CHECK_ERR(ERR_INVALID,
              time_format_check("%Y-%m-%d %I:%M")); /* 2 in the night or in the afternoon? */
    CHECK_ERR(ERR_INVALID, time_format_check("%a %Y-%m %H"));
}

TEST(formats_that_make_no_names_are_refused)
{
    CHECK_ERR(ERR_INVALID, time_format_check("%Y/%m/%d"));
    CHECK_ERR(ERR_INVALID, time_format_check("latest"));
    char too_long[TIME_NAME_MAX + 40];
    memset(too_long, 'x', sizeof too_long - 20);
    memcpy(too_long + sizeof too_long - 20, "%Y%m%d", sizeof "%Y%m%d");
    CHECK_ERR(ERR_INVALID, time_format_check(too_long));
}

TEST_MAIN(names_are_utc, formats_that_tell_snapshots_apart_are_fine,
          formats_that_mix_them_up_are_refused, formats_that_make_no_names_are_refused)
