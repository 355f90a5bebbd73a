#include "fetch/format/ids.h"

#include <stdio.h>

#include "tests/support/test.h"

#define HEX16 "000102030405060708090a0b0c0d0e0f"
#define HEX32 "abababababababababababababababababababababababababababababababab"

static struct uid some_uid(void)
{
    struct uid u;
    for (size_t i = 0; i < sizeof u.bytes; i++)
        u.bytes[i] = (uint8_t)i;
    return u;
}

static struct hash some_hash(void)
{
    struct hash h;
    memset(h.bytes, 0xab, sizeof h.bytes);
    return h;
}

TEST(names_are_spelt_as_the_format_says)
{
    struct uid u = some_uid();
    struct hash h = some_hash();
    struct pack_name pack = {u, h};
    CHECK_STR(name_pack(1, &pack).text, "packs/00000001/ab/" HEX16 "-" HEX32);
    CHECK_STR(name_segment(0xdeadbeef, CHUNK_DATA, &u, &h).text, "index/deadbeef/d/" HEX16 "-" HEX32);
    CHECK_STR(name_segment(1, CHUNK_TREE, &u, &h).text, "index/00000001/t/" HEX16 "-" HEX32);
    CHECK_STR(name_envelope(2, &u, 1795183200, &h).text, "snapshots/00000002/" HEX16 "/20261120T140000Z-" HEX32);
    CHECK_STR(name_record("config", 1).text, "config/0000000001");
    CHECK_STR(name_record("gc", UINT64_MAX).text, "gc/18446744073709551615");
    CHECK_STR(name_epoch(1, 12).text, "epochs/00000001/0000000012");
    CHECK_STR(name_cert(&u).text, "certs/" HEX16);
    CHECK_STR(name_session(&u, "hb-0000000001").text, "sessions/" HEX16 "/hb-0000000001");
    CHECK_STR(name_fence(&u).text, "fences/" HEX16);
}

TEST(names_parse_back)
{
    struct uid u = some_uid(), found_uid;
    struct hash h = some_hash(), found_hash;
    struct pack_name pack = {u, h}, found_pack;
    uint32_t domain;
    enum chunk_kind kind;
    int64_t secs;
    CHECK_OK(name_parse_pack(name_pack(0xfedcba98, &pack).text, &domain, &found_pack));
    CHECK_INT(domain, 0xfedcba98);
    CHECK_MEM(&found_pack, &pack, sizeof pack);
    CHECK_OK(name_parse_segment(name_segment(3, CHUNK_TREE, &u, &h).text, &domain, &kind, &found_uid, &found_hash));
    CHECK_INT(domain, 3);
    CHECK_INT(kind, CHUNK_TREE);
    CHECK_MEM(&found_uid, &u, sizeof u);
    CHECK_OK(name_parse_segment(name_segment(3, CHUNK_DATA, &u, &h).text, &domain, &kind, &found_uid, &found_hash));
    CHECK_INT(kind, CHUNK_DATA);
    CHECK_MEM(&found_hash, &h, sizeof h);
    CHECK_OK(name_parse_envelope(name_envelope(4, &u, -1, &h).text, &domain, &found_uid, &secs, &found_hash));
    CHECK_INT(domain, 4);
    CHECK_INT(secs, -1);
    CHECK_MEM(&found_uid, &u, sizeof u);
    CHECK_MEM(&found_hash, &h, sizeof h);
}

/* Every character replaced by some others, every shortening, and a longer one. */
static void check_only_this_parses(const char *name, bool (*parses)(const char *name))
{
    char text[192];
    size_t len = strlen(name);
    CHECK(parses(name));
    for (size_t i = 0; i < len; i++) {
        static const char others[] = "/-gA\n";
        for (const char *other = others; *other; other++) {
            if (name[i] == *other)
                continue;
            memcpy(text, name, len + 1);
            text[i] = *other;
            CHECK(!parses(text));
        }
        memcpy(text, name, len + 1);
        text[i] = 0;
        CHECK(!parses(text));
    }
    snprintf(text, sizeof text, "%s0", name);
    CHECK(!parses(text));
    snprintf(text, sizeof text, "0%s", name);
    CHECK(!parses(text));
}

static bool pack_parses(const char *name)
{
    uint32_t domain;
    struct pack_name pack;
    enum err e = name_parse_pack(name, &domain, &pack);
    return e != ERR_CORRUPT;
}

static bool segment_parses(const char *name)
{
    uint32_t domain;
    enum chunk_kind kind;
    struct uid u;
    struct hash h;
    enum err e = name_parse_segment(name, &domain, &kind, &u, &h);
    return e != ERR_CORRUPT;
}

static bool envelope_parses(const char *name)
{
    uint32_t domain;
    struct uid u;
    struct hash h;
    int64_t secs;
    enum err e = name_parse_envelope(name, &domain, &u, &secs, &h);
    return e != ERR_CORRUPT;
}

TEST(nothing_else_parses)
{
    CHECK_CALL(check_only_this_parses("packs/00000001/ab/" HEX16 "-" HEX32, pack_parses));
    CHECK_CALL(check_only_this_parses("index/00000001/t/" HEX16 "-" HEX32, segment_parses));
    CHECK_CALL(check_only_this_parses("snapshots/00000001/" HEX16 "/20261120T140000Z-" HEX32, envelope_parses));
    CHECK(!pack_parses("packs/00000001/ac/" HEX16 "-" HEX32)); /* not the folder of that hash */
    CHECK(!envelope_parses("snapshots/00000001/" HEX16 "/20261320T140000Z-" HEX32));
    CHECK(!segment_parses("index/00000001/x/" HEX16 "-" HEX32));
}

TEST(a_refused_name_cannot_move_a_terminal)
{
    uint32_t domain;
    struct pack_name pack;
    CHECK_ERR(ERR_CORRUPT, name_parse_pack("packs/\x1b[2J", &domain, &pack));
    CHECK_STR(err_text(), "packs/\\x1b[2J is no name of a pack");
}

TEST(services_have_plain_names)
{
    static const char *const good[] = {"a", "0", "postgres-main", "A.b_c-d", "latest2", "Latest", "wal-e",
                                       "a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j12345678"
                                       "9"};
    static const char *const bad[] = {"",    ".", "-a", "_a", "a/b", "a b", "a\n", "\xc3\xa9", "latest", "wal", "a*",
                                      "a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j12345678"
                                      "9k"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_OK(service_name_check(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ERR_INVALID, service_name_check(bad[i]));
}

TEST(padme_rounds_up_by_at_most_an_eighth)
{
    static const struct {
        uint64_t len, padded;
    } cases[] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {8, 8}, {9, 10}, {15, 16}, {100, 104}, {1000, 1024}, {1000000, 1015808}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(padme(cases[i].len), cases[i].padded);
    for (uint64_t len = 1; len < UINT64_C(1) << 40; len += len / 3 + 1) {
        CHECK(padme(len) >= len);
        CHECK((padme(len) - len) * 8 <= len);
        CHECK_INT(padme(padme(len)), padme(len));
    }
}

TEST_MAIN(names_are_spelt_as_the_format_says, names_parse_back, nothing_else_parses, a_refused_name_cannot_move_a_terminal,
          services_have_plain_names, padme_rounds_up_by_at_most_an_eighth)
