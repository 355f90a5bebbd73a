#include "fetch/base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fetch/base/rand.h"
#include "tests/support/test.h"

/* As the C library reads it: needs no zone files. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"

static const struct timestamp noon = {1795176000, 250000000}; /* 2026-11-20T12:00:00.25Z */

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

TEST(utc_times_are_written_as_the_calendar_says)
{
    static const struct {
        int64_t secs;
        const char *compact, *rfc3339;
    } cases[] = {
        {0, "19700101T000000Z", "1970-01-01T00:00:00Z"},
        {-1, "19691231T235959Z", "1969-12-31T23:59:59Z"},
        {951782400, "20000229T000000Z", "2000-02-29T00:00:00Z"},
        {4107542400, "21000301T000000Z", "2100-03-01T00:00:00Z"},
        {-2203891200, "19000301T000000Z", "1900-03-01T00:00:00Z"},
        {1795183200, "20261120T140000Z", "2026-11-20T14:00:00Z"},
        {2147483648, "20380119T031408Z", "2038-01-19T03:14:08Z"},
        {-62167219200, "00000101T000000Z", "0000-01-01T00:00:00Z"},
        {253402300799, "99991231T235959Z", "9999-12-31T23:59:59Z"},
        {-62167219201, "@-62167219201", "@-62167219201"},
        {253402300800, "@253402300800", "@253402300800"},
        {INT64_MIN, "@-9223372036854775808", "@-9223372036854775808"},
        {INT64_MAX, "@9223372036854775807", "@9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TIME_TEXT_MAX];
        struct timestamp t = {cases[i].secs, 0};
        clock_format_compact(t, text);
        CHECK_STR(text, cases[i].compact);
        clock_format_rfc3339(t, 0, text);
        CHECK_STR(text, cases[i].rfc3339);
    }
}

TEST(decimals_are_cut_not_rounded)
{
    char text[TIME_TEXT_MAX];
    struct timestamp t = {-1, 999999999};
    clock_format_rfc3339(t, 9, text);
    CHECK_STR(text, "1969-12-31T23:59:59.999999999Z");
    clock_format_rfc3339(t, 3, text);
    CHECK_STR(text, "1969-12-31T23:59:59.999Z");
    clock_format_rfc3339(t, 0, text);
    CHECK_STR(text, "1969-12-31T23:59:59Z");
    clock_format_rfc3339(t, 12, text);
    CHECK_STR(text, "1969-12-31T23:59:59.999999999Z");
}

TEST(the_calendar_agrees_with_the_c_library)
{
    rand_seed_for_test(1492);
    for (int i = 0; i < 20000; i++) {
        int64_t secs = (int64_t)rand_below(315569520000u) - 62167219200;
        time_t t = (time_t)secs;
        struct tm tm;
        CHECK(gmtime_r(&t, &tm) != NULL);
        char expected[64], text[TIME_TEXT_MAX];
        snprintf(expected, sizeof expected, "%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        clock_format_compact((struct timestamp){secs, 0}, text);
        CHECK_STR(text, expected);
        struct timestamp back;
        CHECK_OK(clock_parse_compact(text, &back));
        CHECK_INT(back.secs, secs);
    }
}

TEST(rfc3339_survives_the_round_trip_with_all_nanoseconds)
{
    rand_seed_for_test(1789);
    for (int i = 0; i < 5000; i++) {
        struct timestamp t = {(int64_t)rand_below(315569520000u) - 62167219200,
                              (uint32_t)rand_below(1000000000)};
        char text[TIME_TEXT_MAX];
        clock_format_rfc3339(t, 9, text);
        struct timestamp back;
        CHECK_OK(clock_parse_rfc3339(text, &back));
        CHECK_INT(timestamp_compare(t, back), 0);
    }
}

TEST(local_text_names_the_same_instant)
{
    static const char *const zones[] = {"UTC0", BERLIN, NEW_YORK, "LMT-0:53:28", "LMT0:25:21", "IST-5:30", "LINT-14"};
    rand_seed_for_test(1848);
    for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
        set_zone(zones[z]);
        for (int i = 0; i < 500; i++) {
            struct timestamp t = {(int64_t)rand_below(6000000000u) - 3000000000, 0}, back;
            char text[TIME_TEXT_MAX];
            clock_format_local(t, text);
            CHECK_OK(clock_parse_rfc3339(text, &back));
            CHECK_INT(back.secs, t.secs);
        }
    }
    set_zone(BERLIN);
    char text[TIME_TEXT_MAX];
    clock_format_local(noon, text);
    CHECK_STR(text, "2026-11-20T13:00:00+01:00");
    set_zone(NEW_YORK);
    clock_format_local(noon, text);
    CHECK_STR(text, "2026-11-20T07:00:00-05:00");
}

TEST(local_text_at_the_ends_of_four_digit_years_stays_in_them)
{
    char text[TIME_TEXT_MAX];
    set_zone(BERLIN);
    clock_format_local((struct timestamp){253402300799, 0}, text);
    CHECK_STR(text, "@253402300799");
    clock_format_local((struct timestamp){INT64_MAX, 0}, text);
    CHECK_STR(text, "@9223372036854775807");
    set_zone(NEW_YORK);
    clock_format_local((struct timestamp){-62167219200, 0}, text);
    CHECK_STR(text, "@-62167219200");
}

TEST(when_takes_all_its_forms)
{
    static const struct {
        const char *zone, *text;
        int64_t secs;
        uint32_t nanos;
    } cases[] = {
        {"UTC0", "20261120T140000Z", 1795183200, 0},
        {BERLIN, "20261120T140000Z", 1795183200, 0},
        {BERLIN, "19691231T235959Z", -1, 0},
        {BERLIN, "99991231T235959Z", 253402300799, 0},
        {BERLIN, "00000101T000000Z", -62167219200, 0},
        {BERLIN, "2026-11-20T14:00:00Z", 1795183200, 0},
        {BERLIN, "2026-11-20t14:00:00z", 1795183200, 0},
        {BERLIN, "2026-11-20 14:00:00Z", 1795183200, 0},
        {BERLIN, "2026-11-20T14:00:00+01:00", 1795179600, 0},
        {BERLIN, "2026-11-20T14:00:00-05:30", 1795203000, 0},
        {BERLIN, "2026-11-20T14:00:00-00:00", 1795183200, 0},
        {BERLIN, "2026-11-20T14:00:00.5Z", 1795183200, 500000000},
        {BERLIN, "2026-11-20T14:00:00.1234567899Z", 1795183200, 123456789},
        {BERLIN, "2016-12-31T23:59:60Z", 1483228800, 0},
        {BERLIN, "1901-02-03T04:05:06.000000007+23:59", -2174586894 - 86340, 7},
        {BERLIN, "0000-01-01T00:00:00+23:59", -62167219200 - 86340, 0},
        {"UTC0", "2026-11-20 14:00", 1795183200, 0},
        {BERLIN, "2026-11-20 14:00", 1795179600, 0},
        {BERLIN, "2026-11-20T14:00", 1795179600, 0},
        {BERLIN, "2026-11-20 14:00:59", 1795179659, 0},
        {BERLIN, "2026-07-01 14:00", 1782907200, 0},
        {NEW_YORK, "2026-11-20 14:00", 1795201200, 0},
        {NEW_YORK, "1969-12-31 19:00", 0, 0},
        {NEW_YORK, "1969-12-31 18:59:59", -1, 0},
        {BERLIN, "2500-01-01 00:00", 16725225600 - 3600, 0},
        /* The hour the clocks skip in spring is 02:00 to 02:59:59, the one they repeat in autumn too. */
        {BERLIN, "2026-03-29 01:59:59", 1774745999, 0},
        {BERLIN, "2026-03-29 03:00", 1774746000, 0},
        {BERLIN, "2026-10-25 01:59:59", 1792886399, 0},
        {BERLIN, "2026-10-25 03:00", 1792893600, 0},
        {BERLIN, "2026-10-25T02:30:00+02:00", 1792888200, 0},
        {BERLIN, "2026-10-25T02:30:00+01:00", 1792891800, 0},
        {BERLIN, "0s", 1795176000, 250000000},
        {BERLIN, "30s", 1795175970, 250000000},
        {BERLIN, "15m", 1795175100, 250000000},
        {BERLIN, "3h", 1795165200, 250000000},
        {BERLIN, "2d", 1795003200, 250000000},
        {BERLIN, "1w", 1794571200, 250000000},
        {BERLIN, "60000d", 1795176000 - INT64_C(5184000000), 250000000},
        {BERLIN, "0000000000000000000000000000001h", 1795172400, 250000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_zone(cases[i].zone);
        struct timestamp t = {0};
        enum err e = clock_parse_when(cases[i].text, noon, &t);
        if (e != ERR_OK || t.secs != cases[i].secs || t.nanos != cases[i].nanos)
            test_fail(__FILE__, __LINE__, "%s in %s is %lld.%09u, not %lld.%09u (%s)", cases[i].text,
                      cases[i].zone, (long long)t.secs, t.nanos, (long long)cases[i].secs, cases[i].nanos,
                      e ? err_text() : "parsed");
    }
}

TEST(when_refuses_what_is_none_of_its_forms)
{
    static const char *const cases[] = {
        "", " ", "now", "yesterday", "2026", "2026-11-20", "20261120", "20261120T140000", "20261120T140000z",
        "20261120t140000Z", "20261120T140000ZZ", "20261120T140000Z ", " 20261120T140000Z", "20261120T140060Z",
        "20260230T000000Z", "20250229T000000Z", "21000229T000000Z", "20261301T000000Z", "20260001T000000Z",
        "20260100T000000Z", "20260101T240000Z", "20260101T006000Z", "-0261120T140000Z", "2026112OT140000Z",
        "2026-11-20T14:00:61Z", "2026-11-20T14:00:00.Z", "2026-11-20T14:00:00+0100",
        "2026-11-20T14:00:00+24:00", "2026-11-20T14:00:00+01:60", "2026-11-20T14:00:00+1:00",
        "2026-11-20T14:00Z", "2026-11-20T14:00:00,5Z", "2026-02-30 14:00", "2026-11-20 14", "2026-11-20 14:",
        "2026-11-20 14:00:", "2026-11-20 14:00:0", "2026-11-20 14:00:60", "2026-11-20 24:00", "2026-11-20 1:00",
        "2026-11-20  14:00", "h", "3", "3H", "3 h", "3hh", "3h ", "-3h", "+3h", "1.5h", "1h30m", "3y", "3M",
        "99999999999999999999999999w", "522000000w", "@1795183200", "2026-11-20 14:00\n",
    };
    set_zone(BERLIN);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct timestamp t = {7, 7};
        if (clock_parse_when(cases[i], noon, &t) != ERR_INVALID)
            test_fail(__FILE__, __LINE__, "\"%s\" was taken as %lld", cases[i], (long long)t.secs);
        else if (t.secs != 7 || t.nanos != 7)
            test_fail(__FILE__, __LINE__, "\"%s\" left a result behind", cases[i]);
    }
}

TEST(a_local_time_that_happens_twice_is_refused_with_what_to_type)
{
    set_zone(BERLIN);
    struct timestamp t;
    CHECK_ERR(ERR_INVALID, clock_parse_when("2026-10-25 02:30", noon, &t));
    CHECK_STR(err_text(), "\"2026-10-25 02:30\" happens twice in the local zone, where the clocks change; "
                          "write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00");
    CHECK_ERR(ERR_INVALID, clock_parse_when("2026-10-25 02:00", noon, &t));
    CHECK_ERR(ERR_INVALID, clock_parse_when("2026-10-25 02:59:59", noon, &t));
}

TEST(a_local_time_that_is_skipped_is_refused_with_what_to_type)
{
    set_zone(BERLIN);
    struct timestamp t;
    CHECK_ERR(ERR_INVALID, clock_parse_when("2026-03-29 02:30", noon, &t));
    CHECK_STR(err_text(), "\"2026-03-29 02:30\" does not exist in the local zone, where the clocks change; "
                          "write 2026-03-29T02:30:00+01:00 or 2026-03-29T02:30:00+02:00");
    set_zone(NEW_YORK);
    CHECK_ERR(ERR_INVALID, clock_parse_when("2026-03-08 02:00", noon, &t));
}

TEST(an_age_before_all_time_is_refused)
{
    struct timestamp t;
    CHECK_ERR(ERR_INVALID, clock_parse_when("1s", (struct timestamp){INT64_MIN, 0}, &t));
}

TEST(every_valid_local_time_survives_a_year_of_hours)
{
    set_zone(BERLIN);
    int refused = 0;
    for (int64_t secs = 1767222000; secs < 1767222000 + 365 * 86400; secs += 1800) {
        char text[TIME_TEXT_MAX];
        clock_format_local((struct timestamp){secs, 0}, text);
        text[19] = 0; /* without its offset */
        struct timestamp back;
        if (clock_parse_when(text, noon, &back) == ERR_OK)
            CHECK_INT(back.secs, secs);
        else
            refused++;
    }
    CHECK_INT(refused, 4); /* two half hours, twice */
}

TEST(a_frozen_clock_moves_only_when_told)
{
    clock_freeze((struct timestamp){100, 999999999});
    uint64_t before_ns = clock_monotonic_ns();
    CHECK_INT(clock_now().secs, 100);
    clock_advance_ns(2);
    CHECK_INT(clock_now().secs, 101);
    CHECK_INT(clock_now().nanos, 1);
    clock_sleep_ns(UINT64_C(3600000000000));
    CHECK_INT(clock_now().secs, 3701);
    CHECK_INT(clock_monotonic_ns() - before_ns, UINT64_C(3600000000002));
    clock_thaw();
    CHECK(clock_now().secs > 1700000000);
}

TEST(a_running_clock_does_not_step_back)
{
    uint64_t last_ns = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now_ns = clock_monotonic_ns();
        CHECK(now_ns >= last_ns);
        last_ns = now_ns;
    }
    uint64_t before_ns = clock_monotonic_ns();
    clock_sleep_ns(2000000);
    CHECK(clock_monotonic_ns() - before_ns >= 2000000);
}

TEST(timestamps_compare_by_seconds_then_nanos)
{
    struct timestamp a = {-1, 5}, b = {0, 1}, c = {0, 2};
    CHECK_INT(timestamp_compare(a, b), -1);
    CHECK_INT(timestamp_compare(c, b), 1);
    CHECK_INT(timestamp_compare(c, c), 0);
    CHECK_INT(timestamp_compare(b, c), -1);
}

TEST_MAIN(utc_times_are_written_as_the_calendar_says, decimals_are_cut_not_rounded,
          the_calendar_agrees_with_the_c_library, rfc3339_survives_the_round_trip_with_all_nanoseconds,
          local_text_names_the_same_instant, local_text_at_the_ends_of_four_digit_years_stays_in_them,
          when_takes_all_its_forms, when_refuses_what_is_none_of_its_forms,
          a_local_time_that_happens_twice_is_refused_with_what_to_type,
          a_local_time_that_is_skipped_is_refused_with_what_to_type, an_age_before_all_time_is_refused,
          every_valid_local_time_survives_a_year_of_hours, a_frozen_clock_moves_only_when_told,
          a_running_clock_does_not_step_back, timestamps_compare_by_seconds_then_nanos)
