#include "fetch/base/text.h"

#include "tests/support/test.h"

TEST(sizes_are_read_as_people_write_them)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"4096", 4096},
        {"4096B", 4096},
        {"1k", 1024},
        {"1K", 1024},
        {"64KiB", 65536},
        {"64kib", 65536},
        {"512M", 536870912},
        {"1.5G", 1610612736},
        {"0.1K", 102},
        {"1.999999999999999999999K", 2047},
        {"0.5k", 512},
        {"2T", UINT64_C(2) << 40},
        {"3P", UINT64_C(3) << 50},
        {"15.5E", (UINT64_C(15) << 60) + (UINT64_C(1) << 59)},
        {"18446744073709551615", UINT64_MAX},
        {"007", 7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes;
        CHECK_OK(text_parse_size(cases[i].text, &bytes));
        CHECK_INT(bytes, cases[i].bytes);
    }
}

TEST(other_texts_are_no_sizes)
{
    static const char *const cases[] = {
        "", "K", "-1", "+1", " 1", "1 ", "1 K", "1.K", ".5K", "1.5", "1.5B", "1,5K", "1KK", "1Ki", "1KiBs", "1x",
        "1Z", "0x10", "1e3", "16E", "18446744073709551616", "99999999999999999999999999999999999999999999",
        "18014398509481984K", "1KB", "5MB", "1.5gb",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 7;
        if (text_parse_size(cases[i], &bytes) != ERR_INVALID)
            test_fail(__FILE__, __LINE__, "\"%s\" was taken for %llu", cases[i], (unsigned long long)bytes);
        CHECK_INT(bytes, 7);
    }
    uint64_t bytes;
    text_parse_size("5MB", &bytes);
    CHECK_STR(err_text(), "\"5MB\" means two things; write MiB for 1024s");
}

TEST(sizes_are_shown_short)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1536, "1.5 KiB"},
        {1075, "1 KiB"},
        {1076, "1.1 KiB"},
        {1048575, "1 MiB"},
        {1048524, "1023.9 KiB"},
        {1048525, "1 MiB"},
        {536870912, "512 MiB"},
        {UINT64_C(1) << 60, "1 EiB"},
        {UINT64_MAX, "16 EiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(text_size(cases[i].bytes).text, cases[i].text);
}

TEST(numbers_are_checked_against_their_bounds)
{
    uint64_t n = 7;
    CHECK_OK(text_parse_u64("0", "workers", 0, 4, &n));
    CHECK_INT(n, 0);
    CHECK_OK(text_parse_u64("18446744073709551615", "workers", 0, UINT64_MAX, &n));
    CHECK_INT(n, UINT64_MAX);
    CHECK_ERR(ERR_INVALID, text_parse_u64("18446744073709551616", "workers", 0, UINT64_MAX, &n));
    CHECK_ERR(ERR_INVALID, text_parse_u64("5", "workers", 1, 4, &n));
    CHECK_STR(err_text(), "workers: 5 is not between 1 and 4");
    CHECK_ERR(ERR_INVALID, text_parse_u64("0", "workers", 1, 4, &n));
    CHECK_ERR(ERR_INVALID, text_parse_u64("3x", "workers", 1, 4, &n));
    CHECK_STR(err_text(), "workers: \"3x\" is no number");
    CHECK_ERR(ERR_INVALID, text_parse_u64("", "workers", 1, 4, &n));
    CHECK_ERR(ERR_INVALID, text_parse_u64("-1", "workers", 0, 4, &n));
    CHECK_INT(n, UINT64_MAX);
}

TEST_MAIN(sizes_are_read_as_people_write_them, other_texts_are_no_sizes, sizes_are_shown_short,
          numbers_are_checked_against_their_bounds)
