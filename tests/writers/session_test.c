#include "writers/session.h"

#include "fetch/base/clock.h"
#include "fetch/store/names.h"
#include "tests/support/test.h"
#include "tests/support/world.h"
#include "writers/pipeline/sink.h"

static enum err begin_as(struct world *world, struct index *index, const char *service,
                         const char *kind, struct session **ret_session)
{
    struct session_options options = {.service = service, .kind = kind, .time = {1800000000, 0}};
    return session_begin(world->access, index, &options, ret_session);
}

/* Commit an empty snapshot: a root id is all that an envelope needs. */
static enum err commit(struct session *session, struct snapshot_info *ret_info)
{
    AUTO(envelope) envelope = {.root.bytes = "root"};
    return session_commit(session, &envelope, ret_info);
}

static enum err snapshot_make(struct world *world, struct index *index, const char *service,
                              const char *kind, struct snapshot_info *ret_info)
{
    AUTO_PTR(session) session = NULL;
    TRY(begin_as(world, index, service, kind, &session));
    return commit(session, ret_info);
}

static enum err put_text(struct world *world, const char *name)
{
    return store_put(world->access->store, name, slice_str("by a later version"), true);
}

/* An envelope of another host, as that host would have put it. */
static enum err put_foreign(struct world *world, const char *service, const char *host_name)
{
    const struct keyring *keys = world->access->keys;
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    struct envelope envelope = {
        .domain = 1,
        .kind = "stream",
        .writer = key_id_of(keys->signing.public),
        .host.bytes = "somebody else's",
        .session.bytes = "some session",
        .number = 1,
        .time = {1700000000, 0},
        .finished = {1700000001, 0},
        .root.bytes = "root",
    };
    memcpy(envelope.service, service, strlen(service) + 1);
    memcpy(envelope.host_name, host_name, strlen(host_name) + 1);
    TRY(envelope_seal(keys, &envelope, &object, &sha256));
    struct uid tag = service_tag(&keys->domains[0], service);
    return store_put(world->access->store, name_envelope(1, &tag, envelope.time.secs, &sha256).text,
                     buf_slice(&object), true);
}

/* The outcome in a session's end record; -1: there is none. */
static int outcome_of(struct world *world, const struct uid *session)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record record;
    if (store_get_all(world->access->store, name_session(session, "end").text, RECORD_MAX_BYTES,
                      &object) != ERR_OK ||
        record_parse(buf_slice(&object), &record) != ERR_OK ||
        record_verify(buf_slice(&object), world->access->keys->signing.public) != ERR_OK)
        return -1;
    struct cursor c = cursor_of(record.fields);
    struct field field;
    uint64_t outcome = 99;
    while (fields_next(&c, &field))
        if (field.number == 2 && field_varint(&field, "end", &outcome) != ERR_OK)
            return -1;
    return (int)outcome;
}

static bool there(struct world *world, const char *name)
{
    uint64_t size;
    return store_head(world->access->store, name, &size) == ERR_OK;
}

TEST(a_commit_makes_a_snapshot_that_the_index_knows)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    struct snapshot_info info, found;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin_as(&world, index, "s", "stream", &session));
    CHECK(there(&world, name_session(session_id(session), "start").text));
    CHECK_INT(outcome_of(&world, session_id(session)), -1);
    CHECK_OK(commit(session, &info));
    CHECK_INT(outcome_of(&world, session_id(session)), 0);
    CHECK_STR(info.name, "20270115T080000Z");
    CHECK_STR(info.kind, "stream");
    CHECK_INT(info.lane_number, 1);
    CHECK_OK(index_snapshot(index, "s", "latest", true, &found));
    CHECK_MEM(found.sha256.bytes, info.sha256.bytes, 32);
    CHECK_MEM(found.session.bytes, session_id(session)->bytes, 16);
}

TEST(a_session_without_commit_ends_as_failed)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct session *session = NULL;
    struct snapshot_info info;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin_as(&world, index, "s", "stream", &session));
    struct uid id = *session_id(session);
    (void)err_set(ERR_FULL, "what really happened");
    session_free(session);
    CHECK_STR(err_text(), "what really happened");
    CHECK_INT(outcome_of(&world, &id), 1);
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot(index, "s", "latest", true, &info));
}

TEST(the_start_record_is_put_before_anything_is_listed)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    size_t count;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    store_mem_fail(world.access->store, "l", 0, ERR_UNREACHABLE);
    CHECK_ERR(ERR_UNREACHABLE, begin_as(&world, index, "s", "stream", &session));
    CHECK(strstr(err_text(), "gc/")); /* the first of the lists */
    CHECK_OK(world_count(&world, "sessions/", &count));
    CHECK_INT(count, 2); /* start and end */
}

TEST(a_service_keeps_its_kind)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    struct snapshot_info info;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &info));
    CHECK_ERR(ERR_INVALID, begin_as(&world, index, "s", "files", &session));
    CHECK(strstr(err_text(), "kind stream"));
    CHECK_OK(snapshot_make(&world, index, "t", "files", &info));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &info));
}

TEST(a_service_keeps_its_host_unless_taken_over)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    struct snapshot_info info;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(put_foreign(&world, "s", "db1"));
    CHECK_ERR(ERR_INVALID, begin_as(&world, index, "s", "stream", &session));
    CHECK(strstr(err_text(), "db1"));
    CHECK(strstr(err_text(), "--take-over"));
    struct session_options options = {
        .service = "s", .kind = "stream", .take_over = true, .time = {1800000000, 0}};
    CHECK_OK(session_begin(world.access, index, &options, &session));
    CHECK_OK(commit(session, &info));
    /* From now on it is ours without asking. */
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &info));
    CHECK_INT(info.lane_number, 2); /* the other host's is another lane */
}

TEST(names_that_are_no_services_are_refused_before_anything_is_put)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    size_t count;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    static const char *const bad[] = {"", "latest", "wal", ".yore", "a/b", "a b", "-x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ERR_INVALID, begin_as(&world, index, bad[i], "stream", &session));
    CHECK_OK(world_count(&world, "", &count));
    CHECK_INT(count, 0);
}

TEST(keys_that_may_not_write_are_refused)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    world.access->keys->roles = ROLE_READER;
    CHECK_ERR(ERR_NO_KEY, begin_as(&world, index, "s", "stream", &session));
    world.access->keys->roles = ROLES_ALL;
    world.access->certs[0].key_id.bytes[0] ^= 1; /* nobody certified us */
    CHECK_ERR(ERR_NO_KEY, begin_as(&world, index, "s", "stream", &session));
    world.access->certs[0].key_id.bytes[0] ^= 1;
    world.access->head.must_write = 1;
    CHECK_ERR(ERR_UNSUPPORTED, begin_as(&world, index, "s", "stream", &session));
}

TEST(a_fenced_session_does_not_count)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct session *session = NULL;
    struct snapshot_info info;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(begin_as(&world, index, "s", "stream", &session));
    struct uid id = *session_id(session);
    enum err put = put_text(&world, name_fence(&id).text);
    enum err e = commit(session, &info);
    session_free(session);
    CHECK_OK(put);
    CHECK_ERR(ERR_FENCED, e);
    CHECK_INT(outcome_of(&world, &id), 1);
}

TEST(another_sessions_fence_does_no_harm)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct snapshot_info info;
    struct uid other = {.bytes = "another session"};
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(put_text(&world, name_fence(&other).text));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &info));
}

TEST(a_long_session_shows_that_it_lives_and_learns_of_its_fence)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) session = NULL;
    const uint64_t minute = UINT64_C(60) * 1000000000;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    clock_freeze((struct timestamp){1800000000, 0});
    enum err e = begin_as(&world, index, "s", "stream", &session);
    if (e == ERR_OK) {
        clock_advance_ns(9 * minute);
        e = session_beat(session);
    }
    bool early = e != ERR_OK || there(&world, name_session(session_id(session), "hb-1").text);
    if (!early) {
        clock_advance_ns(2 * minute);
        e = session_beat(session);
    }
    bool beaten = e == ERR_OK && there(&world, name_session(session_id(session), "hb-1").text);
    if (beaten && put_text(&world, name_fence(session_id(session)).text) == ERR_OK) {
        clock_advance_ns(11 * minute);
        e = session_beat(session);
    }
    clock_thaw();
    CHECK(!early);
    CHECK(beaten);
    CHECK_INT(e, ERR_FENCED);
    CHECK(!there(&world, name_session(session_id(session), "hb-2").text));
    CHECK_ERR(ERR_FENCED, session_beat(session)); /* from now on at once */
}

/* ---- what may be built on ---- */

/* Store one chunk in a session of its own. */
static enum err chunk_store(struct world *world, struct index *index, const char *text,
                            struct chunk_id *ret_id, struct uid *ret_session)
{
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO_PTR(sink_worker) worker = NULL;
    struct sink_options options = {.level = 1};
    struct slice chunk = slice_str(text);
    TRY(begin_as(world, index, "chunks", "stream", &session));
    TRY(sink_new(session, &options, &sink));
    TRY(sink_worker_new(sink, CHUNK_DATA, &worker));
    TRY(sink_put(worker, &chunk, 1, ret_id));
    TRY(sink_worker_finish(worker));
    *ret_session = *session_id(session);
    return sink_finish(sink);
}

static enum err is_known(struct world *world, struct index *index, const struct chunk_id *id,
                         bool *ret_known)
{
    AUTO_PTR(session) session = NULL;
    TRY(begin_as(world, index, "later", "stream", &session));
    return session_known(session, CHUNK_DATA, id, 1, ret_known);
}

TEST(nothing_is_built_on_while_a_generation_is_open)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO(name_list) packs = {0};
    struct snapshot_info info;
    struct chunk_id id;
    struct uid by;
    bool known = false;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &info));
    CHECK_OK(chunk_store(&world, index, "a chunk", &id, &by));
    CHECK_OK(is_known(&world, index, &id, &known));
    CHECK(known);

    CHECK_OK(put_text(&world, "gc/0000000001"));
    CHECK_OK(put_text(&world, "gc/0000000001.verdict"));
    {
        AUTO_PTR(session) session = NULL;
        CHECK_OK(begin_as(&world, index, "s", "stream", &session));
        CHECK(!session_may_reuse(session, &info.sha256));
        CHECK_OK(session_known(session, CHUNK_DATA, &id, 1, &known));
        CHECK(!known);
    }
    /* Finished: what is still there counts again, and what was deleted does not, whatever the index
     * says. */
    CHECK_OK(put_text(&world, "gc/0000000001.done"));
    CHECK_OK(is_known(&world, index, &id, &known));
    CHECK(known);
    CHECK_OK(store_names(world.access->store, "packs/", &packs));
    CHECK_INT(packs.count, 1);
    CHECK_OK(store_remove(world.access->store, packs.names[0]));
    CHECK_OK(is_known(&world, index, &id, &known));
    CHECK(!known);
}

TEST(packs_of_fenced_sessions_are_not_built_on)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct chunk_id fenced_id, fine_id;
    struct uid fenced, fine;
    bool known = true;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(chunk_store(&world, index, "one", &fenced_id, &fenced));
    CHECK_OK(chunk_store(&world, index, "two", &fine_id, &fine));
    CHECK_OK(put_text(&world, name_fence(&fenced).text));
    CHECK_OK(is_known(&world, index, &fenced_id, &known));
    CHECK(!known);
    CHECK_OK(is_known(&world, index, &fine_id, &known));
    CHECK(known);
}

TEST(only_snapshots_that_stay_are_reused)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct snapshot_info kept, forgotten, fenced;
    struct hash unknown = {.bytes = "no such snapshot"};
    char forget[192] = "forgets/";
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &kept));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &forgotten));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &fenced));
    memcpy(forget + strlen(forget), hex_of(forgotten.sha256.bytes, 32).text, 65);
    CHECK_OK(put_text(&world, forget));
    CHECK_OK(put_text(&world, name_fence(&fenced.session).text));
    AUTO_PTR(session) session = NULL;
    CHECK_OK(begin_as(&world, index, "s", "stream", &session));
    CHECK(session_may_reuse(session, &kept.sha256));
    CHECK(!session_may_reuse(session, &forgotten.sha256));
    CHECK(!session_may_reuse(session, &fenced.sha256));
    CHECK(!session_may_reuse(session, &unknown));
}

/* ---- lanes ---- */

static enum err heads_of(struct world *world, const struct snapshot_info *info,
                         struct envelope *ret_envelope)
{
    AUTO(buf) object = BUF_EMPTY;
    TRY(store_get_all(world->access->store, info->object, RECORD_MAX_BYTES, &object));
    return envelope_open(world->access->keys, buf_slice(&object),
                         world->access->keys->signing.public, ret_envelope);
}

static bool names(const struct envelope *envelope, const struct snapshot_info *info)
{
    for (size_t i = 0; i < envelope->head_count; i++)
        if (memcmp(envelope->heads[i].bytes, info->sha256.bytes, 32) == 0)
            return true;
    return false;
}

TEST(a_fork_of_a_lane_is_joined_by_the_next_snapshot)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) left_session = NULL;
    AUTO_PTR(session) right_session = NULL;
    struct snapshot_info first, left, right, join, after;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &first));
    CHECK_OK(begin_as(&world, index, "s", "stream", &left_session));
    CHECK_OK(begin_as(&world, index, "s", "stream", &right_session));
    CHECK_OK(commit(left_session, &left));
    CHECK_OK(commit(right_session, &right));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &join));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &after));
    CHECK_INT(first.lane_number, 1);
    CHECK_INT(left.lane_number, 2);
    CHECK_INT(right.lane_number, 2);
    CHECK_INT(join.lane_number, 3);
    CHECK_INT(after.lane_number, 4);

    AUTO(envelope) joined = {.domain = 0};
    AUTO(envelope) last = {.domain = 0};
    CHECK_OK(heads_of(&world, &join, &joined));
    CHECK_INT(joined.head_count, 2);
    CHECK(names(&joined, &left) && names(&joined, &right));
    CHECK_OK(heads_of(&world, &after, &last));
    CHECK_INT(last.head_count, 1);
    CHECK(names(&last, &join));
}

TEST(a_slow_session_leaves_a_head_that_is_joined_later)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(session) slow = NULL;
    struct snapshot_info first, fast[3], late, join;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &first));
    CHECK_OK(begin_as(&world, index, "s", "stream", &slow));
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(snapshot_make(&world, index, "s", "stream", &fast[i]));
    CHECK_OK(commit(slow, &late));
    CHECK_INT(late.lane_number, 2);
    CHECK_OK(snapshot_make(&world, index, "s", "stream", &join));
    AUTO(envelope) joined = {.domain = 0};
    CHECK_OK(heads_of(&world, &join, &joined));
    CHECK_INT(joined.number, 5);
    CHECK_INT(joined.head_count, 2);
    CHECK(names(&joined, &late) && names(&joined, &fast[2]));
}

TEST_MAIN(a_commit_makes_a_snapshot_that_the_index_knows, a_session_without_commit_ends_as_failed,
          the_start_record_is_put_before_anything_is_listed, a_service_keeps_its_kind,
          a_service_keeps_its_host_unless_taken_over,
          names_that_are_no_services_are_refused_before_anything_is_put,
          keys_that_may_not_write_are_refused, a_fenced_session_does_not_count,
          another_sessions_fence_does_no_harm,
          a_long_session_shows_that_it_lives_and_learns_of_its_fence,
          nothing_is_built_on_while_a_generation_is_open, packs_of_fenced_sessions_are_not_built_on,
          only_snapshots_that_stay_are_reused, a_fork_of_a_lane_is_joined_by_the_next_snapshot,
          a_slow_session_leaves_a_head_that_is_joined_later)
