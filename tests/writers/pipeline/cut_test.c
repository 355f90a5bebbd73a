#include "writers/pipeline/cut.h"

#include <inttypes.h>

#include "fetch/crypto/kdf.h"
#include "fetch/crypto/prf.h"
#include "tests/support/test.h"

enum { KIB = 1024, MIB = 1024 * KIB };

static const struct cut_params stream_class = {4 * KIB, 16 * KIB, 64 * KIB};
static const struct cut_params file_class = {16 * KIB, 64 * KIB, 256 * KIB};

static const uint8_t test_k_cut[32] = "thirty-two bytes of K_cut, a key";

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void put_random(struct buf *b, size_t len, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
    while (len >= 8) {
        buf_put_u64(b, next_random(&state));
        len -= 8;
    }
    while (len-- > 0)
        buf_put_u8(b, (uint8_t)next_random(&state));
}

/* Rows such as a dump has: mostly alike, few of the byte values. */
static void put_rows(struct buf *b, size_t len, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
    for (uint64_t row = 1; b->len < len; row++) {
        uint64_t amount = next_random(&state) % 50000;
        uint64_t user = next_random(&state) % 9000;
        buf_put_format(b, "%" PRIu64 "\t%" PRIu64 "\tuser%" PRIu64 "@example.org\tpaid\t2020-01-%02u\tno note\n", row,
                       amount, user, (unsigned)(1 + row % 28));
    }
}

static struct cut_scanner *test_scanner(void)
{
    struct cut_keys keys;
    struct cut_scanner *scanner = NULL;
    if (cut_keys_init(test_k_cut, &keys) != ERR_OK || cut_scanner_new(&keys, &scanner) != ERR_OK)
        test_fail(__FILE__, __LINE__, "no scanner: %s", err_text());
    cut_keys_clear(&keys);
    return scanner;
}

/* The definition in cut.h, word for word and one place at a time. */
static void cut_by_the_book(struct slice s, struct cut_params params, struct cut_ends *ret)
{
    struct cut_keys keys;
    AUTO_PTR(cut_prf) prf = NULL;
    CHECK_OK(cut_keys_init(test_k_cut, &keys));
    CHECK_OK(prf_new(keys.prf_key, &prf));
    uint64_t start = 0;
    ret->at = calloc(s.len / params.min_bytes + 2, sizeof *ret->at);
    CHECK(ret->at);
    for (uint64_t p = 1; p <= s.len; p++) {
        bool cut = p == s.len || p - start == params.max_bytes;
        if (!cut && p >= 64 && p - start >= params.min_bytes) {
            uint32_t f = keys.filter.constant;
            for (int t = 0; t < 8; t++) {
                const uint8_t *word = s.data + p - 16 + 2 * t;
                int32_t value = word[0] + 256 * word[1];
                f += (uint32_t)((value >= 32768 ? value - 65536 : value) * keys.filter.weights[t]);
            }
            const uint8_t *window = s.data + p - 64;
            if ((f >> 11) % 1024 == 0 && memcmp(window, window + 32, 32) != 0) {
                uint64_t value;
                CHECK_OK(prf_many(prf, &window, 1, &value));
                unsigned __int128 times = p - start < params.mean_bytes ? 256 : 4096;
                cut = value < (uint64_t)((times << 64) / params.mean_bytes);
            }
        }
        if (cut)
            ret->at[ret->count++] = start = p;
    }
}

/* Cut in pieces whose lengths come from a seed: 0 is one piece, 1 to 8 that many of one length, else random. */
static void cut_in_pieces(struct cut_scanner *scanner, struct slice s, struct cut_params params, uint64_t split,
                          struct cut_ends *ret)
{
    AUTO(cut_marks) marks = CUT_MARKS_EMPTY;
    struct cut_select select;
    CHECK_OK(cut_select_init(&select, params));
    uint64_t state = split;
    size_t at = 0;
    do {
        size_t len = s.len - at;
        if (split > 8)
            len = next_random(&state) % 8 == 0 ? next_random(&state) % 100 : next_random(&state) % (256 * KIB);
        else if (split > 0)
            len = s.len / split + 1;
        len = len < s.len - at ? len : s.len - at;
        size_t context = at < CUT_WINDOW_BYTES ? at : CUT_WINDOW_BYTES;
        /* A copy of its own, so that a sanitizer sees every byte read outside of it. */
        AUTO_MEM uint8_t *copy = malloc(context + len + 1);
        CHECK(copy);
        memcpy(copy, s.data + at - context, context + len);
        CHECK_OK(cut_mark(scanner, slice_of(copy, context + len), context, &marks));
        at += len;
        CHECK_OK(cut_select_feed(&select, &marks, len, at == s.len, ret));
    } while (at < s.len);
}

static void check_same_ends(const struct cut_ends *got, const struct cut_ends *expected)
{
    CHECK_INT(got->count, expected->count);
    for (size_t i = 0; i < got->count; i++)
        CHECK_INT(got->at[i], expected->at[i]);
}

static void check_all_ways_agree(struct slice s, struct cut_params params)
{
    AUTO_PTR(cut_scanner) scanner = test_scanner();
    AUTO(cut_ends) expected = CUT_ENDS_EMPTY;
    CHECK_CALL(cut_by_the_book(s, params, &expected));
    for (int level = 0; level <= (int)cut_scan_best(); level++) {
        CHECK_OK(cut_scan_use((enum cut_level)level));
        AUTO(cut_ends) whole = CUT_ENDS_EMPTY;
        CHECK_OK(cut_buffer(scanner, s, params, &whole));
        CHECK_CALL(check_same_ends(&whole, &expected));
        static const uint64_t splits[] = {0, 1, 2, 7, 100, 101, 102};
        for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
            AUTO(cut_ends) pieces = CUT_ENDS_EMPTY;
            CHECK_CALL(cut_in_pieces(scanner, s, params, splits[i], &pieces));
            CHECK_CALL(check_same_ends(&pieces, &expected));
        }
    }
    CHECK_OK(cut_scan_use(cut_scan_best()));
}

TEST(every_level_and_every_split_cuts_as_defined)
{
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 700 * KIB + 13, 1);
    put_rows(&data, 1700 * KIB, 2);
    buf_put_zeros(&data, 300 * KIB + 7);
    put_random(&data, 100 * KIB, 3);
    CHECK_OK(buf_check(&data));
    CHECK_CALL(check_all_ways_agree(buf_slice(&data), stream_class));
    CHECK_CALL(check_all_ways_agree(buf_slice(&data), file_class));
    /* A class so dense that a window may reach before its chunk, and the stream's first windows count. */
    CHECK_CALL(check_all_ways_agree(slice_of(data.data, 300 * KIB), (struct cut_params){64, 4097, 8 * KIB}));
}

TEST(short_streams_are_cut_as_defined)
{
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 70 * KIB, 4);
    CHECK_OK(buf_check(&data));
    static const size_t lengths[] = {1, 15, 16, 17, 63, 64, 65, 127, 128, 4095, 4096, 4097, 65535, 65536, 65537};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        CHECK_CALL(check_all_ways_agree(slice_of(data.data, lengths[i]), stream_class));
}

TEST(an_empty_stream_has_no_chunks)
{
    AUTO_PTR(cut_scanner) scanner = test_scanner();
    AUTO(cut_ends) ends = CUT_ENDS_EMPTY;
    CHECK_OK(cut_buffer(scanner, SLICE_EMPTY, stream_class, &ends));
    CHECK_CALL(cut_in_pieces(scanner, slice_str(""), stream_class, 0, &ends));
    CHECK_INT(ends.count, 0);
}

TEST(the_scan_finds_every_place_once_whatever_the_room)
{
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 8 * KIB, 5);
    CHECK_OK(buf_check(&data));
    /* Even weights and a constant of zero: long runs of zeros pass everywhere, so rooms overflow. */
    struct cut_filter filter = {{2, 4, 8, 16, 32, 64, 128, 256}, 0};
    memset(data.data + 3000, 0, 1500);
    AUTO_MEM uint32_t *expected = calloc(data.len, sizeof *expected);
    CHECK(expected);
    CHECK_OK(cut_scan_use(CUT_SCALAR));
    size_t from = 16;
    size_t count = cut_scan(&filter, data.data, &from, data.len, expected, data.len);
    CHECK_INT(from, data.len + 1);
    CHECK(count > 1480);
    for (int level = 0; level <= (int)cut_scan_best(); level++) {
        CHECK_OK(cut_scan_use((enum cut_level)level));
        for (size_t first = 16; first < 100; first += 7) {
            uint32_t found[97];
            size_t seen = 0;
            while (expected[seen] < first)
                seen++;
            for (from = first; from <= data.len;) {
                size_t n = cut_scan(&filter, data.data, &from, data.len, found, 97);
                CHECK_MEM(found, expected + seen, n * sizeof *found);
                seen += n;
            }
            CHECK_INT(from, data.len + 1);
            CHECK_INT(seen, count);
        }
    }
    CHECK_OK(cut_scan_use(cut_scan_best()));
}

TEST(a_level_this_cpu_lacks_is_refused)
{
    CHECK_ERR(ERR_UNSUPPORTED, cut_scan_use(CUT_LEVELS));
    CHECK_OK(cut_scan_use(CUT_SCALAR));
    CHECK_OK(cut_scan_use(cut_scan_best()));
}

TEST(the_filter_passes_one_place_in_1024)
{
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 4 * MIB, 6);
    CHECK_OK(buf_check(&data));
    AUTO_PTR(cut_scanner) scanner = test_scanner();
    AUTO(cut_marks) marks = CUT_MARKS_EMPTY;
    CHECK_OK(cut_mark(scanner, buf_slice(&data), 0, &marks));
    /* 4096 are expected, with a standard deviation of 64. */
    CHECK(marks.count > 4096 - 5 * 64 && marks.count < 4096 + 5 * 64);
    /* The values are spread evenly too: half of them below 2^63. */
    size_t low = 0;
    for (size_t i = 0; i < marks.count; i++)
        low += marks.rows[i].value >> 63 == 0 ? 1 : 0;
    CHECK(low > marks.count / 2 - 160 && low < marks.count / 2 + 160);
}

static void check_mean(struct slice s, struct cut_params params)
{
    AUTO_PTR(cut_scanner) scanner = test_scanner();
    AUTO(cut_ends) ends = CUT_ENDS_EMPTY;
    CHECK_OK(cut_buffer(scanner, s, params, &ends));
    uint64_t start = 0;
    for (size_t i = 0; i + 1 < ends.count; start = ends.at[i++]) {
        CHECK(ends.at[i] - start >= params.min_bytes);
        CHECK(ends.at[i] - start <= params.max_bytes);
    }
    CHECK_INT(ends.at[ends.count - 1], s.len);
    double mean = (double)s.len / (double)ends.count / params.mean_bytes;
    CHECK(mean > 1.09 && mean < 1.19); /* 1.141 expected */
}

TEST(random_data_gives_chunks_of_the_expected_mean_between_min_and_max)
{
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 64 * MIB, 7);
    CHECK_OK(buf_check(&data));
    CHECK_CALL(check_mean(buf_slice(&data), stream_class));
    CHECK_CALL(check_mean(buf_slice(&data), (struct cut_params){8 * KIB, 32 * KIB, 128 * KIB}));
    CHECK_CALL(check_mean(buf_slice(&data), file_class));
}

TEST(constant_data_ends_in_chunks_of_max_size_under_any_key)
{
    AUTO(buf) data = BUF_EMPTY;
    CHECK_OK(buf_resize(&data, 200 * KIB));
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(data.data, (int)byte, data.len);
        struct cut_keys keys;
        AUTO_PTR(cut_scanner) scanner = NULL;
        CHECK_OK(cut_keys_init(test_k_cut, &keys));
        /* The worst of keys: every place of this data passes the filter. */
        int32_t sum = 0, word = (int16_t)(uint16_t)(byte * 257);
        for (int t = 0; t < 8; t++)
            sum += keys.filter.weights[t];
        keys.filter.constant = 0u - (uint32_t)sum * (uint32_t)word;
        CHECK_OK(cut_scanner_new(&keys, &scanner));
        AUTO(cut_ends) ends = CUT_ENDS_EMPTY;
        CHECK_OK(cut_buffer(scanner, buf_slice(&data), stream_class, &ends));
        CHECK_INT(ends.count, 4);
        CHECK_INT(ends.at[0], 64 * KIB);
        CHECK_INT(ends.at[1], 128 * KIB);
        CHECK_INT(ends.at[2], 192 * KIB);
        CHECK_INT(ends.at[3], 200 * KIB);
    }
}

/* How many chunks of b are not chunks of a, by content. */
static size_t count_new(struct slice a, const struct cut_ends *in_a, struct slice b, const struct cut_ends *in_b)
{
    size_t fresh = 0;
    uint64_t at_b = 0;
    for (size_t i = 0; i < in_b->count; at_b = in_b->at[i++]) {
        bool known = false;
        uint64_t at_a = 0;
        for (size_t j = 0; j < in_a->count && !known; at_a = in_a->at[j++])
            known = slice_equal(slice_of(a.data + at_a, (size_t)(in_a->at[j] - at_a)),
                                slice_of(b.data + at_b, (size_t)(in_b->at[i] - at_b)));
        fresh += !known;
    }
    return fresh;
}

TEST(an_insertion_changes_only_chunks_around_it)
{
    AUTO_PTR(cut_scanner) scanner = test_scanner();
    AUTO(buf) before = BUF_EMPTY;
    put_random(&before, 4 * MIB, 8);
    CHECK_OK(buf_check(&before));
    AUTO(cut_ends) in_before = CUT_ENDS_EMPTY;
    CHECK_OK(cut_buffer(scanner, buf_slice(&before), stream_class, &in_before));
    CHECK(in_before.count > 150);
    for (size_t where = 0; where < 4 * MIB; where += 511 * KIB) {
        AUTO(buf) after = BUF_EMPTY;
        buf_put(&after, before.data, where);
        buf_put(&after, "inserted", 8);
        buf_put(&after, before.data + where, before.len - where);
        CHECK_OK(buf_check(&after));
        AUTO(cut_ends) in_after = CUT_ENDS_EMPTY;
        CHECK_OK(cut_buffer(scanner, buf_slice(&after), stream_class, &in_after));
        size_t fresh = count_new(buf_slice(&before), &in_before, buf_slice(&after), &in_after);
        CHECK(fresh >= 1 && fresh <= 12);
    }
}

TEST(another_key_cuts_elsewhere)
{
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 4 * MIB, 9);
    CHECK_OK(buf_check(&data));
    AUTO_PTR(cut_scanner) ours = test_scanner();
    AUTO(cut_ends) our_ends = CUT_ENDS_EMPTY;
    CHECK_OK(cut_buffer(ours, buf_slice(&data), stream_class, &our_ends));

    /* One bit of K_cut, then only the PRF's key: the filter alone decides nothing. */
    struct cut_keys flipped, same_filter;
    uint8_t k_cut[32];
    memcpy(k_cut, test_k_cut, sizeof k_cut);
    k_cut[31] ^= 1;
    CHECK_OK(cut_keys_init(k_cut, &flipped));
    CHECK_OK(cut_keys_init(test_k_cut, &same_filter));
    memcpy(same_filter.prf_key, flipped.prf_key, sizeof flipped.prf_key);
    const struct cut_keys *others[] = {&flipped, &same_filter};
    for (size_t o = 0; o < 2; o++) {
        AUTO_PTR(cut_scanner) theirs = NULL;
        AUTO(cut_ends) their_ends = CUT_ENDS_EMPTY;
        CHECK_OK(cut_scanner_new(others[o], &theirs));
        CHECK_OK(cut_buffer(theirs, buf_slice(&data), stream_class, &their_ends));
        size_t common = 0;
        for (size_t i = 0, j = 0; i + 1 < our_ends.count && j + 1 < their_ends.count;) {
            common += our_ends.at[i] == their_ends.at[j];
            if (our_ends.at[i] <= their_ends.at[j])
                i++;
            else
                j++;
        }
        CHECK(common < our_ends.count / 4);
    }
}

TEST(impossible_classes_are_refused)
{
    static const struct cut_params bad[] = {
        {63, 16 * KIB, 64 * KIB},          {4 * KIB, 4 * KIB, 64 * KIB},      {32 * KIB, 16 * KIB, 64 * KIB},
        {4 * KIB, 16 * KIB, 8 * KIB},      {4 * KIB, 16 * KIB, 4 * MIB + 1},  {0, 0, 0},
    };
    struct cut_select select;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ERR_INVALID, cut_select_init(&select, bad[i]));
}

TEST(keys_are_derived_as_written)
{
    struct cut_keys keys;
    uint8_t raw[24], prf_key[32];
    CHECK_OK(cut_keys_init(test_k_cut, &keys));
    CHECK_OK(hkdf_sha256(slice_of(test_k_cut, 32), SLICE_EMPTY, slice_str("yore/1/cut/weights"), raw, 24));
    CHECK_OK(hkdf_sha256(slice_of(test_k_cut, 32), SLICE_EMPTY, slice_str("yore/1/cut/prf"), prf_key, 32));
    for (int i = 0; i < 8; i++) {
        int value = (raw[2 * i] | 1) + 256 * raw[2 * i + 1];
        CHECK_INT(keys.filter.weights[i], value < 32768 ? value : value - 65536);
    }
    CHECK_INT(keys.filter.constant, raw[16] + 256u * raw[17] + 65536u * raw[18] + 16777216u * raw[19]);
    CHECK_MEM(keys.prf_key, prf_key, 32);
}

/* What every older snapshot was cut with. If this fails, deduplication with all of them is lost. */
TEST(cuts_stay_where_they_were)
{
    AUTO_PTR(cut_scanner) scanner = test_scanner();
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 256 * KIB, 10);
    put_rows(&data, 512 * KIB, 11);
    CHECK_OK(buf_check(&data));
    AUTO(cut_ends) ends = CUT_ENDS_EMPTY;
    CHECK_OK(cut_buffer(scanner, buf_slice(&data), stream_class, &ends));
    static const uint64_t golden[] = {
        28021, 34675, 52153, 59692, 92791, 118033, 136057, 154602, 168283, 184859,
        204356, 222351, 242628, 260496, 281085, 305376, 321884, 338608, 355964, 371596,
        388593, 395779, 415077, 433305, 446972, 459495, 478451, 516750, 524308,
    };
    CHECK_INT(ends.count, sizeof golden / sizeof *golden);
    for (size_t i = 0; i < ends.count; i++)
        CHECK_INT(ends.at[i], golden[i]);
}

TEST_MAIN(every_level_and_every_split_cuts_as_defined, short_streams_are_cut_as_defined,
          an_empty_stream_has_no_chunks, the_scan_finds_every_place_once_whatever_the_room,
          a_level_this_cpu_lacks_is_refused, the_filter_passes_one_place_in_1024,
          random_data_gives_chunks_of_the_expected_mean_between_min_and_max,
          constant_data_ends_in_chunks_of_max_size_under_any_key, an_insertion_changes_only_chunks_around_it,
          another_key_cuts_elsewhere, impossible_classes_are_refused, keys_are_derived_as_written,
          cuts_stay_where_they_were)
