#include "fetch/base/hex.h"

#include <string.h>

#include "tests/support/test.h"

TEST(bytes_become_lower_case_hex_and_return)
{
    uint8_t bytes[32], back[32];
    for (size_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(i * 37 + 5);
    struct hex h = hex_of(bytes, 32);
    CHECK_INT(strlen(h.text), 64);
    CHECK(strncmp(h.text, "052a4f74", 8) == 0);
    CHECK(hex_parse(h.text, 64, back, 32));
    CHECK_MEM(back, bytes, 32);
    CHECK_STR(hex_short(bytes).text, "052a4f74");
    CHECK_STR(hex_of(bytes, 0).text, "");
    CHECK_STR(hex_of("\xff\x00\xa0", 3).text, "ff00a0");
}

TEST(more_than_32_bytes_are_cut)
{
    uint8_t bytes[40] = {0};
    CHECK_INT(strlen(hex_of(bytes, 40).text), 64);
}

TEST(only_exact_lower_case_hex_is_read)
{
    uint8_t out[2];
    CHECK(hex_parse("0aff", 4, out, 2));
    CHECK_MEM(out, "\x0a\xff", 2);
    CHECK(!hex_parse("0aFF", 4, out, 2));
    CHECK(!hex_parse("0afg", 4, out, 2));
    CHECK(!hex_parse("0af", 3, out, 2));
    CHECK(!hex_parse("0aff0", 5, out, 2));
    CHECK(!hex_parse("", 0, out, 2));
    CHECK(!hex_parse(" aff", 4, out, 2));
    CHECK(!hex_parse("0x0a", 4, out, 2));
    CHECK(hex_parse("", 0, out, 0));
}

TEST(names_are_escaped_for_terminals)
{
    static const struct {
        const char *raw;
        size_t len;
        const char *shown;
    } cases[] = {
        {"plain name.txt", 14, "plain name.txt"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\nb\x1b[31m", 8, "a\\x0ab\\x1b[31m"},
        {"back\\slash", 10, "back\\x5cslash"},
        {"\x7f", 1, "\\x7f"},
        {"\xc2\x9b", 2, "\\xc2\\x9b"},         /* a C1 control: CSI */
        {"\xff\xfe", 2, "\\xff\\xfe"},         /* never in UTF-8 */
        {"\xc0\xaf", 2, "\\xc0\\xaf"},         /* too long a form */
        {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"}, /* a surrogate */
        {"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
        {"\xe2\x82", 2, "\\xe2\\x82"},         /* cut short */
        {"\xc3" "a", 2, "\\xc3" "a"},
        {"a\0b", 3, "a\\x00b"},
        {"", 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO(buf) shown = BUF_EMPTY;
        CHECK_OK(text_escape(slice_of(cases[i].raw, cases[i].len), &shown));
        CHECK_STR((const char *)shown.data, cases[i].shown);
        CHECK_INT(shown.len, strlen(cases[i].shown));
    }
}

TEST(utf8_is_told_from_other_bytes)
{
    CHECK(text_is_utf8(slice_str("")));
    CHECK(text_is_utf8(slice_str("\xc3\xa4 \xf4\x8f\xbf\xbf")));
    CHECK(!text_is_utf8(slice_str("\xe0\x9f\xbf")));
    CHECK(!text_is_utf8(slice_str("\xf0\x8f\xbf\xbf")));
    CHECK(!text_is_utf8(slice_str("\x80")));
    CHECK(!text_is_utf8(slice_str("abc\xc3")));
}

TEST_MAIN(bytes_become_lower_case_hex_and_return, more_than_32_bytes_are_cut, only_exact_lower_case_hex_is_read,
          names_are_escaped_for_terminals, utf8_is_told_from_other_bytes)
