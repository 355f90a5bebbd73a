#include "writers/pipeline/sink.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/support/test.h"
#include "tests/support/world.h"

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
}

static enum err begin(struct world *world, struct index *index, const char *service,
                      struct session **ret_session)
{
    struct session_options options = {.service = service, .kind = "stream", .time = clock_now()};
    return session_begin(world->access, index, &options, ret_session);
}

/* Put data as chunks of one length through one worker, and finish the worker. */
static enum err put_chunks(struct sink *sink, struct slice data, size_t chunk_bytes,
                           struct chunk_id *ret_ids)
{
    AUTO_PTR(sink_worker) worker = NULL;
    TRY(sink_worker_new(sink, CHUNK_DATA, &worker));
    for (size_t at = 0, i = 0; at < data.len; at += chunk_bytes, i++) {
        struct slice chunk =
            slice_of(data.data + at, data.len - at < chunk_bytes ? data.len - at : chunk_bytes);
        struct chunk_id id;
        TRY(sink_put(worker, &chunk, 1, &id));
        if (ret_ids)
            ret_ids[i] = id;
    }
    return sink_worker_finish(worker);
}

static void check_readable(struct world *world, struct index *index, const struct chunk_id *id,
                           struct slice expected)
{
    struct fetch_guide guide = index_guide(index);
    struct fetch_options options = {.frames_bytes = MIB};
    AUTO_PTR(fetcher) fetcher = NULL;
    struct location where;
    CHECK_OK(fetcher_new(world->access->store, world->access->keys, &guide, &options, &fetcher));
    CHECK_OK(index_find(index, 1, CHUNK_DATA, id, NULL, &where));
    struct chunk_ref ref = CHUNK_REF_EMPTY;
    CHECK_OK(fetch_chunk(fetcher, id, &where, &ref));
    bool same = slice_equal(ref.bytes, expected);
    chunk_ref_clear(&ref);
    CHECK(same);
}

TEST(a_chunk_is_stored_once_and_read_back)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO(buf) data = BUF_EMPTY;
    struct chunk_id ids[200];
    struct sink_options options = {.level = 1};
    put_random(&data, 100 * 10000, 1);
    put_random(&data, 100 * 10000, 1); /* and once more */
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin(&world, index, "s", &session));
    CHECK_OK(sink_new(session, &options, &sink));
    CHECK_OK(put_chunks(sink, buf_slice(&data), 10000, ids));
    CHECK_OK(sink_finish(sink));

    struct sink_stats stats;
    sink_stats(sink, &stats);
    CHECK_INT(stats.chunks, 200);
    CHECK_INT(stats.known_chunks, 100);
    CHECK_INT(stats.new_bytes, 1000000);
    CHECK_INT(stats.raw_bytes, 2000000);
    CHECK_INT(stats.packs, 1);
    CHECK_INT(stats.segments, 1);
    CHECK_MEM(ids[0].bytes, ids[100].bytes, 32);
    for (size_t i = 0; i < 100; i += 33)
        CHECK_CALL(check_readable(&world, index, &ids[i], slice_of(data.data + i * 10000, 10000)));
}

TEST(a_second_session_finds_what_the_first_stored)
{
    AUTO(world) world = WORLD_NONE;
    AUTO(buf) data = BUF_EMPTY;
    struct sink_options options = {.level = 1};
    put_random(&data, 1000000, 2);
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    for (int round = 0; round < 2; round++) {
        AUTO_PTR(index) index = NULL;
        AUTO_PTR(session) session = NULL;
        AUTO_PTR(sink) sink = NULL;
        /* Another cache each time: what is known comes from the store. */
        CHECK_OK(world_index(&world, round ? "b" : "a", &index));
        CHECK_OK(begin(&world, index, round ? "other" : "one", &session));
        CHECK_OK(sink_new(session, &options, &sink));
        CHECK_OK(put_chunks(sink, buf_slice(&data), 10000, NULL));
        CHECK_OK(sink_finish(sink));
        struct sink_stats stats;
        sink_stats(sink, &stats);
        CHECK_INT(stats.known_chunks, round ? 100 : 0);
        CHECK_INT(stats.packs, round ? 0 : 1);
    }
    size_t packs;
    CHECK_OK(world_count(&world, "packs/", &packs));
    CHECK_INT(packs, 1);
}

TEST(two_sessions_at_once_both_store_whole)
{
    AUTO(world) world = WORLD_NONE;
    AUTO(buf) data = BUF_EMPTY;
    struct sink_options options = {.level = 1};
    struct chunk_id ids[100];
    put_random(&data, 1000000, 3);
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    AUTO_PTR(index) first_index = NULL;
    AUTO_PTR(index) second_index = NULL;
    AUTO_PTR(session) first = NULL;
    AUTO_PTR(session) second = NULL;
    AUTO_PTR(sink) first_sink = NULL;
    AUTO_PTR(sink) second_sink = NULL;
    CHECK_OK(world_index(&world, "a", &first_index));
    CHECK_OK(world_index(&world, "b", &second_index));
    CHECK_OK(begin(&world, first_index, "one", &first));
    CHECK_OK(begin(&world, second_index, "two", &second));
    CHECK_OK(sink_new(first, &options, &first_sink));
    CHECK_OK(sink_new(second, &options, &second_sink));
    CHECK_OK(put_chunks(first_sink, buf_slice(&data), 10000, ids));
    CHECK_OK(put_chunks(second_sink, buf_slice(&data), 10000, ids));
    CHECK_OK(sink_finish(first_sink));
    CHECK_OK(sink_finish(second_sink));
    /* Neither saw the other's segment; both copies serve. */
    CHECK_CALL(check_readable(&world, first_index, &ids[5], slice_of(data.data + 50000, 10000)));
    CHECK_CALL(check_readable(&world, second_index, &ids[5], slice_of(data.data + 50000, 10000)));
    size_t packs;
    CHECK_OK(world_count(&world, "packs/", &packs));
    CHECK_INT(packs, 2);
}

struct team {
    struct sink *sink;
    struct slice data;
    enum err result;
};

static void *team_run(void *context)
{
    struct team *team = context;
    team->result = put_chunks(team->sink, team->data, 20000, NULL);
    return NULL;
}

TEST(workers_share_few_packs_in_little_memory)
{
    enum { WORKERS = 6 };
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO(buf) data = BUF_EMPTY;
    struct sink_options options = {.level = 0, .memory_bytes = 8 * MIB, .uploads = 1};
    put_random(&data, WORKERS * 6000000, 4);
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin(&world, index, "s", &session));
    CHECK_OK(sink_new(session, &options, &sink));
    struct team team[WORKERS];
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        team[i] = (struct team){sink, slice_of(data.data + i * 6000000, 6000000), ERR_IO};
        CHECK(pthread_create(&threads[i], NULL, team_run, &team[i]) == 0);
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < WORKERS; i++)
        CHECK_OK(team[i].result);
    CHECK_OK(sink_finish(sink));
    struct sink_stats stats;
    sink_stats(sink, &stats);
    CHECK_INT(stats.new_bytes, WORKERS * 6000000);
    CHECK(stats.packs >= 35 && stats.packs <= 45); /* of 1 MiB each, all but full */
    CHECK(stats.segments >= 4);
    CHECK(stats.packs_at_once >= 2 && stats.packs_at_once * MIB <= options.memory_bytes);
}

TEST(equal_chunks_of_many_workers_are_stored_once)
{
    enum { WORKERS = 4 };
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO(buf) data = BUF_EMPTY;
    struct sink_options options = {.level = 1};
    put_random(&data, 4000000, 5);
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin(&world, index, "s", &session));
    CHECK_OK(sink_new(session, &options, &sink));
    struct team team[WORKERS];
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        team[i] = (struct team){sink, buf_slice(&data), ERR_IO};
        CHECK(pthread_create(&threads[i], NULL, team_run, &team[i]) == 0);
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_OK(sink_finish(sink));
    struct sink_stats stats;
    sink_stats(sink, &stats);
    CHECK_INT(stats.new_bytes, 4000000);
    CHECK_INT(stats.known_chunks, (WORKERS - 1) * 200);
}

TEST(equal_chunks_of_one_call_are_stored_once)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO_PTR(sink_worker) worker = NULL;
    struct sink_options options = {.level = 1};
    struct slice chunks[] = {slice_str("the same"), slice_str("another"), slice_str("the same")};
    struct chunk_id ids[3];
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin(&world, index, "s", &session));
    CHECK_OK(sink_new(session, &options, &sink));
    CHECK_OK(sink_worker_new(sink, CHUNK_DATA, &worker));
    CHECK_OK(sink_put(worker, chunks, 3, ids));
    struct sink_stats stats;
    sink_stats(sink, &stats);
    CHECK_INT(stats.known_chunks, 1);
    CHECK_INT(stats.new_bytes, 15);
    CHECK_OK(sink_worker_finish(worker));
}

TEST(a_chunk_larger_than_a_frame_is_a_frame_of_its_own)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO_PTR(sink_worker) worker = NULL;
    AUTO(buf) data = BUF_EMPTY;
    struct sink_options options = {.level = 1};
    struct chunk_id ids[3];
    struct location where[3];
    put_random(&data, 2 * MIB, 6);
    struct slice chunks[] = {
        {data.data, 5000}, {data.data + 5000, MIB}, {data.data + 5000 + MIB, 7000}};
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin(&world, index, "s", &session));
    CHECK_OK(sink_new(session, &options, &sink));
    CHECK_OK(sink_worker_new(sink, CHUNK_DATA, &worker));
    CHECK_OK(sink_put(worker, chunks, 3, ids));
    CHECK_OK(sink_worker_finish(worker));
    CHECK_OK(sink_finish(sink));
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(index_find(index, 1, CHUNK_DATA, &ids[i], NULL, &where[i]));
        CHECK_INT(where[i].frame.raw_len, chunks[i].len);
        CHECK_CALL(check_readable(&world, index, &ids[i], chunks[i]));
    }
}

TEST(a_put_that_fails_stops_all_with_its_error)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO(buf) data = BUF_EMPTY;
    struct sink_options options = {.level = 0, .memory_bytes = 8 * MIB};
    put_random(&data, 16 * MIB, 7);
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin(&world, index, "s", &session));
    CHECK_OK(sink_new(session, &options, &sink));
    store_mem_fail(world.access->store, "p", 2, ERR_FULL);
    enum err e = put_chunks(sink, buf_slice(&data), 20000, NULL);
    CHECK(e == ERR_OK || e == ERR_FULL); /* who is faster */
    CHECK_ERR(ERR_FULL, sink_finish(sink));
    CHECK(strstr(err_text(), "told to fail"));
    store_mem_fail(world.access->store, "p", -1, ERR_OK);
    CHECK_ERR(ERR_FULL, put_chunks(sink, buf_slice(&data), 20000, NULL));
}

TEST(a_worker_given_up_with_chunks_stops_the_sink)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    struct sink_worker *worker = NULL;
    struct sink_options options = {.level = 1};
    struct chunk_id id;
    struct slice chunk = slice_str("referred to by others, stored by nobody");
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin(&world, index, "s", &session));
    CHECK_OK(sink_new(session, &options, &sink));
    CHECK_OK(sink_worker_new(sink, CHUNK_DATA, &worker));
    CHECK_OK(sink_put(worker, &chunk, 1, &id));
    sink_worker_free(worker);
    CHECK_ERR(ERR_CANCELED, sink_finish(sink));
}

TEST_MAIN(a_chunk_is_stored_once_and_read_back, a_second_session_finds_what_the_first_stored,
          two_sessions_at_once_both_store_whole, workers_share_few_packs_in_little_memory,
          equal_chunks_of_many_workers_are_stored_once, equal_chunks_of_one_call_are_stored_once,
          a_chunk_larger_than_a_frame_is_a_frame_of_its_own,
          a_put_that_fails_stops_all_with_its_error, a_worker_given_up_with_chunks_stops_the_sink)
