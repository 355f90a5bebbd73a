#include <fcntl.h>
#include <limits.h>

#include "fetch/base/file.h"
#include "index/walk.h"
#include "tests/support/test.h"
#include "tests/support/world.h"
#include "writers/backup.h"

static struct backup_stream_options stream_of(struct world *world, struct index *index)
{
    return (struct backup_stream_options){
        .common = {.access = world->access,
                   .index = index,
                   .service = "dump",
                   .level = INT_MIN,
                   .file_hash = true,
                   .workers = 2,
                   .time = {1800000000, 0}},
        .name = "dump.sql",
        .fd = -1,
    };
}

/* exec takes writable words and writes none. */
static char *const *words_of(const char *const *command)
{
    return (char *const *)(uintptr_t)command;
}

static enum err backup_command(struct world *world, struct index *index, const char *const *command,
                               struct backup_report *ret)
{
    struct backup_stream_options options = stream_of(world, index);
    options.command = words_of(command);
    return backup_stream(&options, ret);
}

/* The whole store, read by somebody who starts with an empty cache: no snapshot of any service. */
static void check_no_snapshot(struct world *world)
{
    AUTO_PTR(index) index = NULL;
    struct snapshot_info info;
    size_t envelopes;
    CHECK_OK(world_count(world, "snapshots/", &envelopes));
    CHECK_INT(envelopes, 0);
    CHECK_OK(world_index(world, "somebody else's", &index));
    CHECK_OK(index_sync(index, SYNC_ALL, NULL));
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot(index, "dump", "latest", true, &info));
}

/* One file of the newest snapshot, read through a fresh cache; and its entry and its directory's.
 */
static void check_newest(struct world *world, struct slice expected)
{
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(fetcher) fetcher = NULL;
    AUTO_PTR(reader) reader = NULL;
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) node = NULL;
    AUTO(buf) got = BUF_EMPTY, json = BUF_EMPTY, log = BUF_EMPTY;
    struct snapshot_info info;
    size_t len;
    CHECK_OK(world_index(world, "reader's", &index));
    CHECK_OK(index_sync(index, SYNC_ALL, NULL));
    CHECK_OK(index_snapshot(index, "dump", "latest", true, &info));
    struct fetch_guide guide = index_guide(index);
    struct fetch_options options = {.frames_bytes = 1 << 20};
    CHECK_OK(fetcher_new(world->access->store, world->access->keys, &guide, &options, &fetcher));
    CHECK_OK(reader_new(index, fetcher, 0, &reader));
    CHECK_OK(reader_open_snapshot(reader, &info, &view));
    CHECK_INT(view->root->entry.mode, 0700);
    CHECK_INT(view->root->entry.below.entries, 1);
    CHECK_INT(view->root->entry.below.bytes, expected.len);
    CHECK_OK(reader_path(reader, view, slice_str("dump.sql"), &node));
    CHECK_INT(node->entry.mode, 0600);
    CHECK_INT(node->entry.uid, geteuid());
    CHECK(node->entry.has_sha256);
    CHECK_OK(buf_resize(&got, expected.len + 1));
    CHECK_OK(reader_read(reader, 1, CHUNK_DATA, &node->entry.content, 0, got.data, got.len, &len));
    CHECK_INT(len, expected.len);
    CHECK(expected.len == 0 || memcmp(got.data, expected.data, len) == 0);
    CHECK_OK(reader_manifest(reader, view, &json));
    buf_put_u8(&json, 0);
    CHECK(strstr((const char *)json.data, "\"kind\": \"stream\""));
    CHECK_OK(reader_log(reader, view, &log));
    CHECK(log.len > 0);
}

TEST(a_commands_output_becomes_a_snapshot)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct backup_report report;
    const char *command[] = {"printf", "%s", "CREATE TABLE t ();", NULL};
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(backup_command(&world, index, command, &report));
    CHECK_STR(report.snapshot.name, "20270115T080000Z");
    CHECK_INT(report.totals.bytes, 18);
    CHECK_INT(report.totals.files, 1);
    CHECK_INT(report.files_new, 1);
    CHECK(!report.partial);
    CHECK_CALL(check_newest(&world, slice_str("CREATE TABLE t ();")));
}

struct told {
    unsigned calls;
    struct backup_progress last;
};

static void tell(void *context, const struct backup_progress *progress)
{
    struct told *told = context;
    told->calls++;
    told->last = *progress;
}

TEST(a_descriptor_is_read_to_its_end_with_labels_and_progress)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO(buf) data = BUF_EMPTY;
    struct backup_report report;
    for (int row = 0; data.len < 9 << 20; row++)
        buf_put_format(&data, "%d\t%d\n", row, row * 797);
    CHECK_OK(world_new(&world, WORLD_FOLDER));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_OK(file_write_new(tmp_path(&world.tmp, "rows").text, buf_slice(&data), 0600));
    AUTO_FD fd = open(tmp_path(&world.tmp, "rows").text, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    const char *labels[] = {"nightly", "before upgrade", NULL};
    struct backup_stream_options options = stream_of(&world, index);
    options.fd = fd;
    options.common.labels = labels;
    struct told told = {.calls = 0};
    options.common.progress = tell;
    options.common.progress_context = &told;
    CHECK_OK(backup_stream(&options, &report));
    CHECK_STR(report.snapshot.labels, "nightly\nbefore upgrade");
    CHECK_CALL(check_newest(&world, buf_slice(&data)));
    CHECK(report.totals.stored_bytes < data.len / 2);
    CHECK(told.calls >= 2); /* once at least on the way, and at the end */
    CHECK_INT(told.last.bytes, data.len);
    CHECK_INT(told.last.stored_bytes, report.totals.stored_bytes);
}

TEST(a_command_that_fails_commits_nothing)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct backup_report report;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    const char *status[] = {"sh", "-c", "echo half of it; exit 3", NULL};
    CHECK_ERR(ERR_IO, backup_command(&world, index, status, &report));
    CHECK_STR(err_text(), "sh ended with status 3");
    CHECK_CALL(check_no_snapshot(&world));
    const char *killed[] = {"sh", "-c", "echo half of it; kill -9 $$", NULL};
    CHECK_ERR(ERR_IO, backup_command(&world, index, killed, &report));
    CHECK(strstr(err_text(), "signal 9"));
    CHECK_CALL(check_no_snapshot(&world));
    const char *missing[] = {"/nonexistent/pg_dump", NULL};
    CHECK_ERR(ERR_IO, backup_command(&world, index, missing, &report));
    CHECK(strstr(err_text(), "/nonexistent/pg_dump"));
    CHECK_CALL(check_no_snapshot(&world));
}

TEST(an_empty_stream_is_kept_only_when_allowed)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct backup_report report;
    const char *command[] = {"true", NULL};
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK_ERR(ERR_IO, backup_command(&world, index, command, &report));
    CHECK_CALL(check_no_snapshot(&world));
    struct backup_stream_options options = stream_of(&world, index);
    options.command = words_of(command);
    options.allow_empty = true;
    CHECK_OK(backup_stream(&options, &report));
    CHECK_CALL(check_newest(&world, SLICE_EMPTY));
}

TEST(names_that_are_no_files_are_refused)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct backup_report report;
    size_t objects;
    const char *command[] = {"echo", "x", NULL};
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    static const char *const bad[] = {"", ".", "..", "a/b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct backup_stream_options options = stream_of(&world, index);
        options.command = words_of(command);
        options.name = bad[i];
        CHECK_ERR(ERR_INVALID, backup_stream(&options, &report));
    }
    CHECK_OK(world_count(&world, "", &objects));
    CHECK_INT(objects, 0);
}

TEST(our_password_is_not_the_commands_business)
{
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    struct backup_report report;
    const char *command[] = {"sh", "-c", "printf '<%s>' \"$YORE_PASSWORD\"", NULL};
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    CHECK(setenv("YORE_PASSWORD", "secret", 1) == 0);
    enum err e = backup_command(&world, index, command, &report);
    (void)unsetenv("YORE_PASSWORD");
    CHECK_OK(e);
    CHECK_CALL(check_newest(&world, slice_str("<>")));
}

TEST(whichever_put_fails_no_snapshot_is_seen_and_the_error_comes_back)
{
    const char *command[] = {"sh", "-c", "seq 1 300000", NULL};
    long k = 0;
    for (bool done = false; !done; k++) {
        AUTO(world) world = WORLD_NONE;
        AUTO_PTR(index) index = NULL;
        struct backup_report report;
        CHECK(k < 100);
        CHECK_OK(world_new(&world, WORLD_MEMORY));
        CHECK_OK(world_index(&world, "a", &index));
        store_mem_fail(world.access->store, "p", k, ERR_FULL);
        enum err e = backup_command(&world, index, command, &report);
        size_t envelopes;
        CHECK_OK(world_count(&world, "snapshots/", &envelopes));
        if (e == ERR_OK) {
            done = true; /* k was the end record's put, which only warns, or there is no k-th put */
            CHECK_INT(envelopes, 1);
        } else {
            CHECK_INT(e, ERR_FULL);
            CHECK(strstr(err_text(), "told to fail"));
            CHECK_CALL(check_no_snapshot(&world));
            /* A tree that others may find stands on data that they find; and rows on packs. */
            size_t packs, data, trees;
            CHECK_OK(world_count(&world, "packs/", &packs));
            CHECK_OK(world_count(&world, "index/00000001/d/", &data));
            CHECK_OK(world_count(&world, "index/00000001/t/", &trees));
            CHECK(data <= packs && trees <= data);
            CHECK(data == 0 || packs == 2);
        }
        store_mem_fail(world.access->store, "p", -1, ERR_OK);
    }
    CHECK(k >= 6); /* start, two packs, two segments, the envelope */
}

TEST(a_killed_run_is_found_by_the_next)
{
    /* The same stream after a failed commit: everything is there already. */
    AUTO(world) world = WORLD_NONE;
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(index) fresh = NULL;
    struct backup_report report;
    const char *command[] = {"sh", "-c", "seq 1 300000", NULL};
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    CHECK_OK(world_index(&world, "a", &index));
    store_mem_fail(world.access->store, "p", 5, ERR_UNREACHABLE); /* the envelope */
    CHECK_ERR(ERR_UNREACHABLE, backup_command(&world, index, command, &report));
    CHECK_CALL(check_no_snapshot(&world));
    CHECK_OK(world_index(&world, "b", &fresh));
    CHECK_OK(backup_command(&world, fresh, command, &report));
    CHECK(report.totals.new_bytes < 10000); /* only what names this snapshot */
    CHECK_INT(report.totals.bytes, 1988895);
}

TEST_MAIN(a_commands_output_becomes_a_snapshot,
          a_descriptor_is_read_to_its_end_with_labels_and_progress,
          a_command_that_fails_commits_nothing, an_empty_stream_is_kept_only_when_allowed,
          names_that_are_no_files_are_refused, our_password_is_not_the_commands_business,
          whichever_put_fails_no_snapshot_is_seen_and_the_error_comes_back,
          a_killed_run_is_found_by_the_next)
