#include <stdio.h>
#include <stdlib.h>

#include "index/index.h"
#include "tests/support/small_store.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

struct set {
    struct tmp_dir tmp;
    struct access *access;
    struct index *index;
};
#define SET_NONE ((struct set){0})

static void set_clear(struct set *set)
{
    clock_thaw();
    index_free(set->index);
    access_free(set->access);
    tmp_dir_clear(&set->tmp);
}

static enum err set_open(struct set *set)
{
    TRY(tmp_dir_new(&set->tmp));
    TRY(small_store_new(NULL, &set->access));
    return index_open(set->access, tmp_path(&set->tmp, "cache").text, &set->index);
}

/* 2026-11-20T14:00:00Z and seconds after. */
static struct timestamp at(int64_t secs, uint32_t nanos)
{
    return (struct timestamp){1795183200 + secs, nanos};
}

static enum err put(struct set *set, const char *service, int64_t secs, uint32_t nanos, struct object_name *ret_name)
{
    return small_store_put_snapshot(set->access, service, at(secs, nanos), 0, 1, ret_name);
}

/* "service/name service/name ..." */
static enum err append(void *context, const struct snapshot_info *info)
{
    buf_put_format(context, "%s/%s ", info->service, info->name);
    return ERR_OK;
}

static const char *listed(struct set *set, const char *service, struct buf *text)
{
    buf_clear(text);
    if (index_snapshots(set->index, service, append, text) != ERR_OK)
        return err_text();
    buf_put_u8(text, 0);
    return (const char *)text->data;
}

TEST(a_snapshot_is_listed_with_all_it_says)
{
    AUTO(set) set = SET_NONE;
    struct object_name name;
    struct sync_report report;
    struct snapshot_info info;
    CHECK_OK(set_open(&set));
    CHECK_OK(put(&set, "web", 0, 5, &name));
    CHECK_OK(index_sync(set.index, SYNC_SNAPSHOTS, &report));
    CHECK_INT(report.snapshots_new, 1);
    CHECK_OK(index_snapshot(set.index, "web", "20261120T140000Z", true, &info));
    CHECK_STR(info.object, name.text);
    CHECK_INT(info.domain, 1);
    CHECK_STR(info.service, "web");
    CHECK_STR(info.kind, "files");
    CHECK_INT(info.time.secs, at(0, 0).secs);
    CHECK_INT(info.time.nanos, 5);
    CHECK_INT(info.finished.secs, at(5, 0).secs);
    CHECK_STR(info.host_name, "host.example");
    CHECK_INT(info.totals.nodes, 7);
    CHECK_INT(info.totals.files, 5);
    CHECK_INT(info.totals.dirs, 2);
    CHECK_INT(info.totals.bytes, 1234);
    CHECK_INT(info.totals.new_bytes, 1000);
    CHECK_INT(info.totals.stored_bytes, 500);
    CHECK_INT(info.totals.left_out, 1);
    CHECK_INT(info.root.bytes[2], 3);
    CHECK_INT(info.session.bytes[0], 1);
    CHECK_INT(info.lane_number, 1);
    CHECK_STR(info.labels, "by hand");
}

TEST(snapshots_of_one_second_are_told_apart_by_nanoseconds)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct snapshot_info info;
    struct object_name middle;
    CHECK_OK(set_open(&set));
    CHECK_OK(put(&set, "web", 0, 300, NULL));
    CHECK_OK(put(&set, "web", 0, 200, &middle));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_STR(listed(&set, "web", &text), "web/20261120T140000Z web/20261120T140000Z-2 ");
    CHECK_OK(put(&set, "web", 0, 100, NULL));
    CHECK_OK(put(&set, "db", 0, 50, NULL));
    CHECK_OK(put(&set, "web", 1, 0, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_STR(listed(&set, "web", &text),
              "web/20261120T140000Z web/20261120T140000Z-2 web/20261120T140000Z-3 web/20261120T140001Z ");
    CHECK_OK(index_snapshot(set.index, "web", "20261120T140000Z-3", true, &info));
    CHECK_INT(info.time.nanos, 300);
    CHECK_OK(index_snapshot(set.index, "web", "20261120T140000Z", true, &info));
    CHECK_INT(info.time.nanos, 100);
    CHECK_STR(listed(&set, "db", &text), "db/20261120T140000Z ");
    /* One goes, those after it move up. */
    CHECK_OK(store_remove(set.access->store, middle.text));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_snapshot(set.index, "web", "20261120T140000Z-2", true, &info));
    CHECK_INT(info.time.nanos, 300);
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot(set.index, "web", "20261120T140000Z-3", true, &info));
}

TEST(equal_times_are_told_apart_by_hash)
{
    AUTO(set) set = SET_NONE;
    struct snapshot_info first, second;
    CHECK_OK(set_open(&set));
    CHECK_OK(put(&set, "web", 0, 7, NULL));
    CHECK_OK(put(&set, "web", 0, 7, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_snapshot(set.index, "web", "20261120T140000Z", true, &first));
    CHECK_OK(index_snapshot(set.index, "web", "20261120T140000Z-2", true, &second));
    CHECK(memcmp(first.sha256.bytes, second.sha256.bytes, 32) < 0);
}

TEST(latest_is_the_newest_complete_one)
{
    AUTO(set) set = SET_NONE;
    struct snapshot_info info;
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_snapshot(set.access, "web", at(0, 0), SNAPSHOT_PARTIAL, 1, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_snapshot(set.index, "web", "latest", true, &info)); /* no other */
    CHECK_OK(small_store_put_snapshot(set.access, "web", at(10, 0), 0, 1, NULL));
    CHECK_OK(small_store_put_snapshot(set.access, "web", at(5, 0), SNAPSHOT_HELD, 1, NULL));
    CHECK_OK(small_store_put_snapshot(set.access, "web", at(20, 0), SNAPSHOT_PARTIAL | SNAPSHOT_HELD, 1, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_snapshot(set.index, "web", "latest", true, &info));
    CHECK_INT(info.time.secs, at(10, 0).secs);
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot(set.index, "db", "latest", true, &info));
}

TEST(the_beginning_of_a_name_will_do_when_it_is_unique)
{
    AUTO(set) set = SET_NONE;
    struct snapshot_info info;
    CHECK_OK(set_open(&set));
    CHECK_OK(put(&set, "web", 0, 0, NULL));
    CHECK_OK(put(&set, "web", 0, 1, NULL));
    CHECK_OK(put(&set, "web", 3600, 0, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_snapshot(set.index, "web", "20261120T15", false, &info));
    CHECK_STR(info.name, "20261120T150000Z");
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot(set.index, "web", "20261120T15", true, &info));
    CHECK_ERR(ERR_INVALID, index_snapshot(set.index, "web", "20261120T14", false, &info));
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot(set.index, "web", "2027", false, &info));
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot(set.index, "web", "%", false, &info));
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot(set.index, "web", "", false, &info));
    /* A whole name wins over names that go on. */
    CHECK_OK(index_snapshot(set.index, "web", "20261120T140000Z", false, &info));
    CHECK_INT(info.time.nanos, 0);
}

TEST(people_say_service_and_name_or_time)
{
    AUTO(set) set = SET_NONE;
    struct snapshot_info info;
    CHECK_OK(set_open(&set));
    clock_freeze(at(7200, 0));
    CHECK_OK(put(&set, "web", 0, 400000000, NULL));
    CHECK_OK(put(&set, "web", 3600, 0, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_snapshot_parse(set.index, "web/latest", &info));
    CHECK_STR(info.name, "20261120T150000Z");
    CHECK_OK(index_snapshot_parse(set.index, "web/20261120T14", &info));
    CHECK_STR(info.name, "20261120T140000Z");
    CHECK_OK(index_snapshot_parse(set.index, "web@20261120T140000Z", &info)); /* .4 s after, but of that name */
    CHECK_STR(info.name, "20261120T140000Z");
    CHECK_OK(index_snapshot_parse(set.index, "web@2026-11-20T15:59:59+01:00", &info));
    CHECK_STR(info.name, "20261120T140000Z");
    CHECK_OK(index_snapshot_parse(set.index, "web@2026-11-20T15:00:00Z", &info));
    CHECK_STR(info.name, "20261120T150000Z");
    CHECK_OK(index_snapshot_parse(set.index, "web@90m", &info));
    CHECK_STR(info.name, "20261120T140000Z");
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot_parse(set.index, "web@1d", &info));
    CHECK_ERR(ERR_INVALID, index_snapshot_parse(set.index, "web@yesterday", &info));
    CHECK_ERR(ERR_INVALID, index_snapshot_parse(set.index, "web", &info));
    CHECK_ERR(ERR_INVALID, index_snapshot_parse(set.index, "web/", &info));
    CHECK_ERR(ERR_INVALID, index_snapshot_parse(set.index, "/x", &info));
    CHECK_ERR(ERR_NOT_FOUND, index_snapshot_parse(set.index, "db/latest", &info));
}

static enum err append_service(void *context, const struct service_info *info)
{
    char time[TIME_TEXT_MAX];
    clock_format_compact(info->newest, time);
    buf_put_format(context, "%s:%s:%llu:%s ", info->service, info->kind, (unsigned long long)info->snapshots, time);
    return ERR_OK;
}

TEST(services_come_by_name_and_snapshots_by_time)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    CHECK_OK(set_open(&set));
    CHECK_STR(listed(&set, NULL, &text), "");
    for (int i = 0; i < 150; i++)
        CHECK_OK(put(&set, i % 3 ? "web" : "db", 1000 - i, 0, NULL));
    CHECK_OK(put(&set, "a", 5, 0, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    buf_clear(&text);
    CHECK_OK(index_services(set.index, append_service, &text));
    buf_put_u8(&text, 0);
    CHECK_STR((char *)text.data, "a:files:1:20261120T140005Z db:files:50:20261120T141640Z web:files:100:20261120T141639Z ");
    AUTO(buf) all = BUF_EMPTY, a = BUF_EMPTY, db = BUF_EMPTY, web = BUF_EMPTY;
    listed(&set, "a", &a);
    listed(&set, "db", &db);
    listed(&set, "web", &web);
    buf_clear(&text);
    buf_put_format(&text, "%s%s%s", (char *)a.data, (char *)db.data, (char *)web.data);
    buf_put_u8(&text, 0);
    CHECK_STR(listed(&set, NULL, &all), (char *)text.data);
    CHECK_INT(web.len, 100 * strlen("web/20261120T140000Z ") + 1);
    CHECK_STR(listed(&set, "nobody", &all), "");
}

static const char *forget_name(const struct object_name *envelope, struct object_name *keep)
{
    snprintf(keep->text, sizeof keep->text, "forgets/%s", envelope->text + strlen(envelope->text) - 64);
    return keep->text;
}

TEST(a_forgotten_snapshot_is_not_listed)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct object_name first, forget;
    CHECK_OK(set_open(&set));
    CHECK_OK(put(&set, "web", 0, 0, &first));
    CHECK_OK(put(&set, "web", 0, 1, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_STR(listed(&set, "web", &text), "web/20261120T140000Z web/20261120T140000Z-2 ");
    CHECK_OK(small_store_put_record(set.access, forget_name(&first, &forget), RECORD_FORGET));
    CHECK_OK(index_sync(set.index, SYNC_SNAPSHOTS, NULL));
    CHECK_STR(listed(&set, "web", &text), "web/20261120T140000Z ");
    struct snapshot_info info;
    CHECK_OK(index_snapshot(set.index, "web", "latest", true, &info));
    CHECK_INT(info.time.nanos, 1);
    /* Taken back, it is there again. */
    CHECK_OK(store_remove(set.access->store, forget.text));
    CHECK_OK(index_sync(set.index, SYNC_SNAPSHOTS, NULL));
    CHECK_STR(listed(&set, "web", &text), "web/20261120T140000Z web/20261120T140000Z-2 ");
}

TEST(a_forget_record_that_nobody_signed_hides_nothing)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct object_name first, forget;
    struct sync_report report;
    CHECK_OK(set_open(&set));
    CHECK_OK(put(&set, "web", 0, 0, &first));
    CHECK_OK(store_put(set.access->store, forget_name(&first, &forget), slice_str("no record"), true));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 1);
    CHECK_STR(listed(&set, "web", &text), "web/20261120T140000Z ");
    CHECK_OK(store_remove(set.access->store, forget.text));
    CHECK_OK(small_store_put_record(set.access, forget.text, RECORD_PIN));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 1);
    CHECK_STR(listed(&set, "web", &text), "web/20261120T140000Z ");
}

TEST(snapshots_of_a_fenced_session_are_not_listed)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct uid session = {{9}};
    CHECK_OK(set_open(&set));
    CHECK_OK(small_store_put_record(set.access, name_fence(&session).text, RECORD_FENCE));
    CHECK_OK(small_store_put_snapshot(set.access, "web", at(0, 0), 0, 9, NULL));
    CHECK_OK(small_store_put_snapshot(set.access, "web", at(1, 0), 0, 8, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_STR(listed(&set, "web", &text), "web/20261120T140001Z ");
    CHECK_OK(small_store_put_snapshot(set.access, "web", at(2, 0), 0, 9, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_STR(listed(&set, "web", &text), "web/20261120T140001Z ");
}

/* The bytes of one envelope under another name. */
static enum err put_again(struct set *set, const struct object_name *from, const char *name)
{
    AUTO(buf) object = BUF_EMPTY;
    TRY(store_get_all(set->access->store, from->text, 1 << 20, &object));
    return store_put(set->access->store, name, buf_slice(&object), true);
}

TEST(an_envelope_that_its_name_belies_is_left_out)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct object_name good;
    struct sync_report report;
    CHECK_OK(set_open(&set));
    CHECK_OK(put(&set, "web", 0, 0, &good));
    uint32_t domain;
    struct uid tag;
    int64_t secs;
    struct hash sha256;
    CHECK_OK(name_parse_envelope(good.text, &domain, &tag, &secs, &sha256));
    CHECK_OK(put_again(&set, &good, name_envelope(1, &tag, secs + 1, &sha256).text));
    struct uid other_tag = service_tag(&set.access->keys->domains[0], "db");
    CHECK_OK(put_again(&set, &good, name_envelope(1, &other_tag, secs, &sha256).text));
    sha256.bytes[0] ^= 1;
    CHECK_OK(put_again(&set, &good, name_envelope(1, &tag, secs, &sha256).text));
    CHECK_OK(store_put(set.access->store, "snapshots/00000001/rubbish", slice_str("x"), true));
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 4);
    CHECK_INT(report.snapshots_new, 1);
    CHECK_STR(listed(&set, NULL, &text), "web/20261120T140000Z ");
}

TEST(an_envelope_of_an_uncertified_writer_is_left_out)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct sync_report report;
    CHECK_OK(set_open(&set));
    CHECK_OK(put(&set, "web", 0, 0, NULL));
    set.access->cert_count = 0;
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_INT(report.damaged, 1);
    CHECK_STR(listed(&set, NULL, &text), "");
    set.access->cert_count = 1;
    CHECK_OK(index_sync(set.index, SYNC_ALL, &report));
    CHECK_STR(listed(&set, NULL, &text), "web/20261120T140000Z ");
}

TEST(a_change_is_noticed_once_by_each_who_asks)
{
    AUTO(set) set = SET_NONE;
    AUTO_PTR(index) other = NULL;
    uint64_t ours = 0, theirs = 0;
    bool changed;
    CHECK_OK(set_open(&set));
    CHECK_OK(index_changed(set.index, &ours, &changed));
    CHECK(!changed); /* nothing there yet */
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_open(set.access, tmp_path(&set.tmp, "cache").text, &other));
    CHECK_OK(index_changed(set.index, &ours, &changed));
    CHECK_OK(index_changed(other, &theirs, &changed));
    CHECK_OK(put(&set, "web", 0, 0, NULL));
    CHECK_OK(index_changed(other, &theirs, &changed));
    CHECK(!changed);
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_OK(index_changed(set.index, &ours, &changed));
    CHECK(changed);
    CHECK_OK(index_changed(other, &theirs, &changed));
    CHECK(changed);
    CHECK_OK(index_changed(other, &theirs, &changed));
    CHECK(!changed);
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL)); /* nothing new */
    CHECK_OK(index_changed(other, &theirs, &changed));
    CHECK(!changed);
}

static enum err stop(void *context, const struct snapshot_info *info)
{
    (void)info;
    return ++*(int *)context == 2 ? ERR_CANCELED : ERR_OK;
}

TEST(a_list_stops_when_told)
{
    AUTO(set) set = SET_NONE;
    int seen = 0;
    CHECK_OK(set_open(&set));
    for (int i = 0; i < 5; i++)
        CHECK_OK(put(&set, "web", i, 0, NULL));
    CHECK_OK(index_sync(set.index, SYNC_ALL, NULL));
    CHECK_ERR(ERR_CANCELED, index_snapshots(set.index, NULL, stop, &seen));
    CHECK_INT(seen, 2);
}

TEST_MAIN(a_snapshot_is_listed_with_all_it_says, snapshots_of_one_second_are_told_apart_by_nanoseconds,
          equal_times_are_told_apart_by_hash, latest_is_the_newest_complete_one,
          the_beginning_of_a_name_will_do_when_it_is_unique, people_say_service_and_name_or_time,
          services_come_by_name_and_snapshots_by_time, a_forgotten_snapshot_is_not_listed,
          a_forget_record_that_nobody_signed_hides_nothing, snapshots_of_a_fenced_session_are_not_listed,
          an_envelope_that_its_name_belies_is_left_out, an_envelope_of_an_uncertified_writer_is_left_out,
          a_change_is_noticed_once_by_each_who_asks, a_list_stops_when_told)
