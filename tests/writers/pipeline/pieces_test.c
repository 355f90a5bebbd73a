#include "writers/pipeline/pieces.h"

#include <inttypes.h>

#include "fetch/crypto/digest.h"
#include "index/walk.h"
#include "tests/support/test.h"
#include "tests/support/world.h"
#include "writers/pipeline/cut.h"

enum { KIB = 1024, MIB = 1024 * KIB };

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
    for (; len >= 8; len -= 8)
        buf_put_u64(b, next_random(&state));
    while (len-- > 0)
        buf_put_u8(b, (uint8_t)next_random(&state));
}

static void put_rows(struct buf *b, size_t len, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
    for (uint64_t row = 1; b->len < len; row++)
        buf_put_format(b, "%" PRIu64 "\t%" PRIu64 "\tuser%" PRIu64 "@example.org\tpaid\n", row,
                       next_random(&state) % 50000, next_random(&state) % 9000);
}

/* A source in memory. */
struct memory {
    struct slice bytes;
    size_t shown;     /* what is left of it by the time it is read; others see a shorter file */
    uint64_t at;      /* streams */
    size_t mouthful;  /* streams: at most so many bytes a read */
    uint64_t fail_at; /* an error when a read reaches this offset; 0: none */
};

static enum err memory_read_at(void *context, uint64_t offset, void *to, size_t len,
                               size_t *ret_len)
{
    const struct memory *m = context;
    if (m->fail_at && offset + len > m->fail_at)
        return err_set(ERR_IO, "no byte %" PRIu64, m->fail_at);
    size_t left = offset < m->shown ? m->shown - (size_t)offset : 0;
    *ret_len = len < left ? len : left;
    memcpy(to, m->bytes.data + (*ret_len ? offset : 0), *ret_len);
    return ERR_OK;
}

static enum err memory_read_next(void *context, void *to, size_t len, size_t *ret_len)
{
    struct memory *m = context;
    size_t most = len < m->mouthful ? len : m->mouthful;
    TRY(memory_read_at(context, m->at, to, most, ret_len));
    m->at += *ret_len;
    return ERR_OK;
}

/* A store, and what one content needs. */
struct scene {
    struct world world;
    struct index *index;
};

static void scene_clear(struct scene *scene)
{
    index_free(scene->index);
    world_clear(&scene->world);
}

static enum err scene_new(struct scene *ret_scene)
{
    TRY(world_new(&ret_scene->world, WORLD_MEMORY));
    return world_index(&ret_scene->world, "cache", &ret_scene->index);
}

/* Store one content in a session of its own, up to the segments; the cache then knows where it
 * lies. */
static enum err store(struct scene *scene, const struct piece_source *source,
                      enum cut_class cut_class, unsigned workers, struct pieces_result *ret_result)
{
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO_PTR(sink_worker) trees = NULL;
    struct session_options begin = {.service = "s", .kind = "stream", .time = clock_now()};
    struct sink_options options = {.level = 1, .memory_bytes = 64 * MIB};
    struct piece_options pieces = {.cut_class = cut_class, .file_hash = true};
    TRY(session_begin(scene->world.access, scene->index, &begin, &session));
    TRY(sink_new(session, &options, &sink));
    TRY(sink_worker_new(sink, CHUNK_TREE, &trees));
    TRY(pieces_store(sink, trees, source, &pieces, workers, ret_result));
    TRY(sink_worker_finish(trees));
    return sink_finish(sink);
}

static struct piece_source file_source(struct memory *m)
{
    return (struct piece_source){.read_at = memory_read_at, .context = m, .size = m->bytes.len};
}

static struct piece_source stream_source(struct memory *m)
{
    m->at = 0;
    return (struct piece_source){.read_next = memory_read_next, .context = m};
}

/* What readers get is what was there, and its hash. */
static void check_content(struct scene *scene, const struct pieces_result *result,
                          struct slice expected)
{
    uint8_t sha256[32];
    sha256_of(expected, sha256);
    CHECK_INT(result->length, expected.len);
    CHECK_INT(result->content.length, expected.len);
    CHECK_MEM(result->sha256, sha256, 32);

    struct fetch_guide guide = index_guide(scene->index);
    struct fetch_options options = {.frames_bytes = 8 * MIB};
    AUTO_PTR(fetcher) fetcher = NULL;
    AUTO_PTR(reader) reader = NULL;
    AUTO(buf) got = BUF_EMPTY;
    size_t len;
    CHECK_OK(fetcher_new(scene->world.access->store, scene->world.access->keys, &guide, &options,
                         &fetcher));
    CHECK_OK(reader_new(scene->index, fetcher, 0, &reader));
    CHECK_OK(buf_resize(&got, expected.len + 1));
    CHECK_OK(reader_read(reader, 1, CHUNK_DATA, &result->content, 0, got.data, got.len, &len));
    CHECK_INT(len, expected.len);
    CHECK(memcmp(got.data, expected.data, expected.len) == 0);
}

static void check_same_content(const struct pieces_result *a, const struct pieces_result *b)
{
    CHECK_INT(a->content.how, b->content.how);
    CHECK_INT(a->content.length, b->content.length);
    CHECK_INT(a->content.data_bytes, b->content.data_bytes);
    CHECK_MEM(a->content.id.bytes, b->content.id.bytes, 32);
    CHECK_MEM(a->sha256, b->sha256, 32);
}

TEST(one_two_and_seven_workers_make_the_same_content)
{
    AUTO(scene) scene = {.index = NULL};
    AUTO(buf) data = BUF_EMPTY;
    put_rows(&data, 21 * MIB, 1);
    put_random(&data, 13 * MIB + 12345, 2);
    CHECK_OK(buf_check(&data));
    CHECK_OK(scene_new(&scene));
    static const enum cut_class classes[] = {CUT_FILE, CUT_STREAM, CUT_FIXED, CUT_COLD};
    for (size_t c = 0; c < sizeof classes / sizeof *classes; c++) {
        static const unsigned teams[] = {1, 2, 7};
        struct pieces_result first = {.length = 0}, result;
        for (size_t t = 0; t < sizeof teams / sizeof *teams; t++) {
            struct memory m = {.bytes = buf_slice(&data), .shown = data.len, .mouthful = 70000};
            struct piece_source file = file_source(&m), stream = stream_source(&m);
            CHECK_OK(store(&scene, &file, classes[c], teams[t], &result));
            if (t == 0) {
                first = result;
                CHECK_CALL(check_content(&scene, &result, buf_slice(&data)));
            }
            CHECK_CALL(check_same_content(&result, &first));
            CHECK_OK(store(&scene, &stream, classes[c], teams[t], &result));
            CHECK_CALL(check_same_content(&result, &first));
        }
    }
}

/* Collects the ends of chunks as readers see them. */
static enum err end_see(void *context, uint64_t offset, const struct item *item)
{
    struct cut_ends *ends = context;
    AUTO_MEM uint64_t *at = reallocarray(ends->at, ends->count + 1, sizeof *at);
    if (!at)
        return err_set(ERR_NOMEM, "no memory for ends");
    ends->at = TAKE(at);
    ends->at[ends->count++] = offset + item->length;
    return ERR_OK;
}

TEST(chunks_end_where_the_cut_of_the_whole_stream_says)
{
    AUTO(scene) scene = {.index = NULL};
    AUTO(buf) data = BUF_EMPTY;
    AUTO(cut_ends) found = CUT_ENDS_EMPTY, expected = CUT_ENDS_EMPTY, got = CUT_ENDS_EMPTY;
    AUTO_PTR(cut_scanner) scanner = NULL;
    struct cut_keys keys;
    const struct cut_params params = {4 * KIB, 16 * KIB, 64 * KIB};
    put_random(&data, 17 * MIB, 3);
    CHECK_OK(scene_new(&scene));
    CHECK_OK(cut_keys_init(scene.world.access->keys->domains[0].k_cut, &keys));
    CHECK_OK(cut_scanner_new(&keys, &scanner));
    /* Leave out bytes at the beginning, so that a chunk ends 20 bytes behind the seam of two
     * pieces: to see that, one must look back over it. */
    CHECK_OK(cut_buffer(scanner, buf_slice(&data), params, &found));
    size_t behind = 0;
    while (found.at[behind] < 8 * MIB + 20)
        behind++;
    size_t left_out = (size_t)found.at[behind] - (8 * MIB + 20);
    struct slice shifted = slice_of(data.data + left_out, data.len - left_out);
    CHECK_OK(cut_buffer(scanner, shifted, params, &expected));
    bool at_seam = false;
    for (size_t i = 0; i < expected.count; i++)
        at_seam = at_seam || expected.at[i] == 8 * MIB + 20;
    CHECK(at_seam);

    struct memory m = {.bytes = shifted, .shown = shifted.len, .mouthful = 100000};
    struct piece_source source = file_source(&m), stream = stream_source(&m);
    struct pieces_result result, of_stream;
    CHECK_OK(store(&scene, &source, CUT_STREAM, 2, &result));
    CHECK_OK(store(&scene, &stream, CUT_STREAM, 2, &of_stream));
    CHECK_CALL(check_same_content(&of_stream, &result));
    struct fetch_guide guide = index_guide(scene.index);
    struct fetch_options options = {.frames_bytes = 8 * MIB};
    AUTO_PTR(fetcher) fetcher = NULL;
    AUTO_PTR(reader) reader = NULL;
    CHECK_OK(fetcher_new(scene.world.access->store, scene.world.access->keys, &guide, &options,
                         &fetcher));
    CHECK_OK(reader_new(scene.index, fetcher, 0, &reader));
    CHECK_OK(reader_items(reader, 1, CHUNK_DATA, &result.content, 0, end_see, &got));
    CHECK_INT(got.count, expected.count);
    for (size_t i = 0; i < got.count; i++)
        CHECK_INT(got.at[i], expected.at[i]);
}

TEST(contents_of_awkward_lengths_are_whole)
{
    AUTO(scene) scene = {.index = NULL};
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 16 * MIB + 1, 4);
    CHECK_OK(scene_new(&scene));
    static const size_t lengths[] = {1,           63,           64,          65,
                                     64 * KIB,    64 * KIB + 1, 8 * MIB - 1, 8 * MIB,
                                     8 * MIB + 1, 8 * MIB + 63, 16 * MIB,    16 * MIB + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct memory m = {
            .bytes = {data.data, lengths[i]}, .shown = lengths[i], .mouthful = SIZE_MAX};
        struct piece_source file = file_source(&m), stream = stream_source(&m);
        struct pieces_result of_file, of_stream;
        CHECK_OK(store(&scene, &file, CUT_STREAM, 2, &of_file));
        CHECK_OK(store(&scene, &stream, CUT_STREAM, 2, &of_stream));
        CHECK_CALL(check_content(&scene, &of_file, m.bytes));
        CHECK_CALL(check_same_content(&of_stream, &of_file));
    }
}

TEST(nothing_is_an_empty_content)
{
    AUTO(scene) scene = {.index = NULL};
    CHECK_OK(scene_new(&scene));
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct memory m = {.bytes = slice_str(""), .mouthful = 10};
        struct piece_source file = file_source(&m), stream = stream_source(&m);
        struct pieces_result result;
        uint8_t sha256[32];
        sha256_of(SLICE_EMPTY, sha256);
        CHECK_OK(store(&scene, &file, CUT_FILE, workers, &result));
        CHECK_INT(result.content.how, CONTENT_EMPTY);
        CHECK_OK(store(&scene, &stream, CUT_STREAM, workers, &result));
        CHECK_INT(result.content.how, CONTENT_EMPTY);
        CHECK_INT(result.length, 0);
        CHECK_MEM(result.sha256, sha256, 32);
    }
}

/* Holes come back as holes, at their place. */
static enum err hole_see(void *context, uint64_t offset, const struct item *item)
{
    struct buf *seen = context;
    if (item->what != ITEM_DATA)
        buf_put_format(seen, "%s %" PRIu64 "+%" PRIu64 " ",
                       item->what == ITEM_HOLE ? "hole" : "zeros", offset, item->length);
    return ERR_OK;
}

TEST(holes_stay_holes_and_zeros_zeros)
{
    AUTO(scene) scene = {.index = NULL};
    AUTO(buf) data = BUF_EMPTY, seen = BUF_EMPTY;
    AUTO_PTR(fetcher) fetcher = NULL;
    AUTO_PTR(reader) reader = NULL;
    buf_put_zeros(&data, 1 * MIB); /* a hole */
    put_random(&data, 100 * KIB, 5);
    buf_put_zeros(&data, 12 * MIB); /* a hole, then zeros that are there */
    put_random(&data, 9 * MIB, 6);
    buf_put_zeros(&data, 3 * MIB); /* a hole to the end */
    CHECK_OK(buf_check(&data));
    struct extent extents[] = {
        {1 * MIB, 100 * KIB}, {12 * MIB, 1 * MIB + 100 * KIB}, {13 * MIB + 100 * KIB, 9 * MIB}};
    CHECK_OK(scene_new(&scene));
    struct pieces_result first = {.length = 0}, result;
    for (unsigned workers = 1; workers <= 7; workers += 3) {
        struct memory m = {.bytes = buf_slice(&data), .shown = data.len};
        struct piece_source source = file_source(&m);
        source.extents = extents;
        source.extent_count = 3;
        CHECK_OK(store(&scene, &source, CUT_FIXED, workers, &result));
        CHECK_CALL(check_content(&scene, &result, buf_slice(&data)));
        first = workers == 1 ? result : first;
        CHECK_CALL(check_same_content(&result, &first));
    }
    CHECK_INT(result.content.data_bytes, 10 * MIB + 200 * KIB);

    struct fetch_guide guide = index_guide(scene.index);
    struct fetch_options options = {.frames_bytes = 8 * MIB};
    CHECK_OK(fetcher_new(scene.world.access->store, scene.world.access->keys, &guide, &options,
                         &fetcher));
    CHECK_OK(reader_new(scene.index, fetcher, 0, &reader));
    CHECK_OK(reader_items(reader, 1, CHUNK_DATA, &result.content, 0, hole_see, &seen));
    buf_put_u8(&seen, 0);
    CHECK_STR((const char *)seen.data,
              "hole 0+1048576 hole 1150976+11431936 zeros 12582912+1150976 hole 23171072+3145728 ");
}

TEST(a_file_of_nothing_but_a_hole)
{
    AUTO(scene) scene = {.index = NULL};
    AUTO(buf) data = BUF_EMPTY;
    struct extent none;
    buf_put_zeros(&data, 20 * MIB);
    CHECK_OK(scene_new(&scene));
    struct memory m = {.bytes = buf_slice(&data), .shown = data.len};
    struct piece_source source = file_source(&m);
    source.extents = &none;
    source.extent_count = 0;
    struct pieces_result result;
    CHECK_OK(store(&scene, &source, CUT_FILE, 2, &result));
    CHECK_CALL(check_content(&scene, &result, buf_slice(&data)));
    CHECK_INT(result.content.data_bytes, 0);
}

TEST(a_file_that_became_shorter_is_stored_as_far_as_it_goes)
{
    AUTO(scene) scene = {.index = NULL};
    AUTO(buf) data = BUF_EMPTY;
    put_random(&data, 40 * MIB, 7);
    CHECK_OK(scene_new(&scene));
    static const size_t left[] = {0, 1, 8 * MIB, 8 * MIB + 10, 25 * MIB, 40 * MIB - 1};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        for (unsigned workers = 1; workers <= 7; workers += 3) {
            struct memory m = {.bytes = buf_slice(&data), .shown = left[i]};
            struct piece_source source = file_source(&m);
            struct pieces_result result;
            CHECK_OK(store(&scene, &source, CUT_STREAM, workers, &result));
            CHECK_CALL(check_content(&scene, &result, slice_of(data.data, left[i])));
        }
    }
}

TEST(an_error_of_the_source_ends_the_content_and_not_the_sink)
{
    AUTO(scene) scene = {.index = NULL};
    AUTO(buf) data = BUF_EMPTY;
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO_PTR(sink_worker) trees = NULL;
    struct session_options begin = {.service = "s", .kind = "files", .time = clock_now()};
    struct sink_options options = {.level = 1};
    struct piece_options pieces = {.cut_class = CUT_FILE, .file_hash = true};
    struct pieces_result result;
    put_random(&data, 30 * MIB, 8);
    CHECK_OK(scene_new(&scene));
    CHECK_OK(session_begin(scene.world.access, scene.index, &begin, &session));
    CHECK_OK(sink_new(session, &options, &sink));
    CHECK_OK(sink_worker_new(sink, CHUNK_TREE, &trees));
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct memory m = {
            .bytes = buf_slice(&data), .shown = data.len, .fail_at = 20 * MIB, .mouthful = MIB};
        struct piece_source file = file_source(&m), stream = stream_source(&m);
        CHECK_ERR(ERR_IO, pieces_store(sink, trees, &file, &pieces, workers, &result));
        CHECK(strstr(err_text(), "no byte"));
        CHECK_ERR(ERR_IO, pieces_store(sink, trees, &stream, &pieces, workers, &result));
    }
    /* The same bytes again: much of them is known already, and all must be there in the end. */
    struct memory m = {.bytes = buf_slice(&data), .shown = data.len};
    struct piece_source file = file_source(&m);
    CHECK_OK(pieces_store(sink, trees, &file, &pieces, 2, &result));
    CHECK_OK(sink_worker_finish(trees));
    CHECK_OK(sink_finish(sink));
    CHECK_CALL(check_content(&scene, &result, buf_slice(&data)));
}

TEST_MAIN(one_two_and_seven_workers_make_the_same_content,
          chunks_end_where_the_cut_of_the_whole_stream_says, contents_of_awkward_lengths_are_whole,
          nothing_is_an_empty_content, holes_stay_holes_and_zeros_zeros,
          a_file_of_nothing_but_a_hole, a_file_that_became_shorter_is_stored_as_far_as_it_goes,
          an_error_of_the_source_ends_the_content_and_not_the_sink)
