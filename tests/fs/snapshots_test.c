#include "fs/snapshots.h"

#include "tests/support/small_store.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

struct set {
    struct tmp_dir tmp;
    struct access *access;
    struct index *index;
    struct snapshots *snapshots;
};
#define SET_NONE ((struct set){0})

static void set_clear(struct set *set)
{
    clock_thaw();
    snapshots_free(set->snapshots);
    index_free(set->index);
    access_free(set->access);
    tmp_dir_clear(&set->tmp);
}

enum { NOON = 1795176000 }; /* 2026-11-20T12:00:00Z */

static enum err put(struct set *set, const char *service, int64_t secs, uint32_t flags,
                    struct object_name *ret_name)
{
    struct timestamp time = {NOON + secs, 0};
    return small_store_put_snapshot(set->access, service, time, flags, 1, ret_name);
}

/* Two of web, one of db. */
static enum err set_open(struct set *set, const char *format)
{
    TRY(tmp_dir_new(&set->tmp));
    TRY(small_store_new(NULL, &set->access));
    TRY(index_open(set->access, tmp_path(&set->tmp, "cache").text, &set->index));
    TRY(put(set, "web", 0, 0, NULL));
    TRY(put(set, "web", 60, 0, NULL));
    TRY(put(set, "db", 0, 0, NULL));
    TRY(index_sync(set->index, SYNC_SNAPSHOTS, NULL));
    return snapshots_new(set->index, NULL, format, &set->snapshots);
}

/* ---- what is shown, as text ---- */

static enum err add_service(void *context, const struct service_facts *service, uint64_t ordinal)
{
    buf_put_format(context, "%llu:%s=%llu ", (unsigned long long)ordinal, service->name,
                   (unsigned long long)service->snapshots);
    return ERR_OK;
}

static enum err add_snapshot(void *context, const struct snapshot_facts *snapshot, uint64_t ordinal)
{
    buf_put_format(context, "%llu:%s ", (unsigned long long)ordinal, snapshot->name);
    return ERR_OK;
}

static const char *text_of(struct buf *text)
{
    buf_put_u8(text, 0);
    text->len--;
    return (const char *)text->data;
}

static const char *services_of(struct set *set, uint64_t first, struct buf *text)
{
    text->len = 0;
    if (snapshots_services(set->snapshots, first, add_service, text) != ERR_OK)
        return err_text();
    return text_of(text);
}

static const char *listed(struct set *set, const char *name, uint64_t first, struct buf *text)
{
    struct service_facts service;
    text->len = 0;
    if (snapshots_service(set->snapshots, name, &service) != ERR_OK ||
        snapshots_list(set->snapshots, &service, first, add_snapshot, text) != ERR_OK)
        return err_text();
    return text_of(text);
}

/* ---- what is told of changes ---- */

static void told_service(void *context, uint32_t service)
{
    (void)service;
    buf_put_format(context, "service ");
}

static void told_services(void *context)
{
    buf_put_format(context, "services ");
}

static void told_forgotten(void *context, const struct snapshot_facts *snapshot)
{
    buf_put_format(context, "forgotten:%s ", snapshot->name);
}

static const char *refreshed(struct set *set, struct buf *text)
{
    const struct snapshots_changes changes = {text, told_service, told_services, told_forgotten};
    text->len = 0;
    if (index_sync(set->index, SYNC_SNAPSHOTS, NULL) != ERR_OK ||
        snapshots_refresh(set->snapshots, &changes) != ERR_OK)
        return err_text();
    return text_of(text);
}

TEST(services_and_their_snapshots_are_listed_in_order)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    CHECK_OK(set_open(&set, NULL));
    CHECK_STR(services_of(&set, 0, &text), "0:db=1 1:web=2 ");
    CHECK_STR(services_of(&set, 1, &text), "1:web=2 ");
    CHECK_STR(listed(&set, "web", 0, &text), "0:20261120T120000Z 1:20261120T120100Z ");
    CHECK_STR(listed(&set, "web", 1, &text), "1:20261120T120100Z ");
}

TEST(a_snapshot_is_found_by_name_and_by_number)
{
    AUTO(set) set = SET_NONE;
    struct service_facts service;
    struct snapshot_facts one, same;
    CHECK_OK(set_open(&set, NULL));
    CHECK_OK(snapshots_service(set.snapshots, "web", &service));
    CHECK_OK(snapshots_find(set.snapshots, &service, "20261120T120100Z", &one));
    CHECK_OK(snapshots_number(set.snapshots, one.number, &same));
    CHECK_STR(same.name, "20261120T120100Z");
    CHECK_INT(same.service, service.number);
    CHECK_ERR(ERR_NOT_FOUND, snapshots_find(set.snapshots, &service, "20261120T120200Z", &one));
    CHECK_ERR(ERR_NOT_FOUND, snapshots_find(set.snapshots, &service, "20261120T1201", &one));
    CHECK_ERR(ERR_NOT_FOUND, snapshots_find(set.snapshots, &service, "latest", &one));
    CHECK_ERR(ERR_NOT_FOUND, snapshots_service(set.snapshots, "we", &service));
}

TEST(a_number_of_another_mount_is_found_again)
{
    AUTO(set) set = SET_NONE;
    struct service_facts service;
    struct snapshot_facts one, same;
    CHECK_OK(set_open(&set, NULL));
    CHECK_OK(snapshots_service(set.snapshots, "db", &service));
    CHECK_OK(snapshots_find(set.snapshots, &service, "20261120T120000Z", &one));
    snapshots_free(TAKE(set.snapshots));
    CHECK_OK(snapshots_new(set.index, NULL, NULL, &set.snapshots));
    CHECK_OK(snapshots_number(set.snapshots, one.number, &same));
    CHECK_STR(same.name, one.name);
    CHECK_INT(same.service, service.number);
    CHECK_ERR(ERR_NOT_FOUND, snapshots_number(set.snapshots, one.number ^ 1, &same));
}

TEST(latest_is_the_newest_complete_one)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct service_facts service;
    struct snapshot_facts latest;
    CHECK_OK(set_open(&set, NULL));
    CHECK_OK(put(&set, "web", 120, SNAPSHOT_PARTIAL, NULL));
    refreshed(&set, &text);
    CHECK_OK(snapshots_service(set.snapshots, "web", &service));
    CHECK_OK(snapshots_latest(set.snapshots, &service, &latest));
    CHECK_STR(latest.name, "20261120T120100Z");
}

TEST(names_follow_the_format_and_stay_apart)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct service_facts service;
    struct snapshot_facts first, second;
    CHECK_OK(set_open(&set, "%Y-%m-%d"));
    CHECK_STR(listed(&set, "web", 0, &text), "0:2026-11-20 1:2026-11-20-2 ");
    CHECK_STR(listed(&set, "web", 1, &text), "1:2026-11-20-2 ");
    CHECK_OK(snapshots_service(set.snapshots, "web", &service));
    CHECK_OK(snapshots_latest(set.snapshots, &service, &second));
    CHECK_STR(second.name, "2026-11-20-2");
    CHECK_OK(snapshots_find(set.snapshots, &service, "2026-11-20", &first));
    CHECK_INT(first.time.secs, NOON);
    CHECK_INT(second.time.secs, NOON + 60);
    CHECK_ERR(ERR_NOT_FOUND, snapshots_find(set.snapshots, &service, "20261120T120000Z", &first));
}

TEST(the_first_look_tells_nothing)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    CHECK_OK(set_open(&set, NULL));
    CHECK_STR(refreshed(&set, &text), "");
    CHECK_STR(refreshed(&set, &text), "");
    struct snapshots_totals totals;
    snapshots_get_totals(set.snapshots, &totals);
    CHECK_INT(totals.services, 2);
    CHECK_INT(totals.snapshots, 3);
}

TEST(a_new_snapshot_changes_its_service)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct service_facts before, after, other;
    CHECK_OK(set_open(&set, NULL));
    refreshed(&set, &text);
    CHECK_OK(snapshots_service(set.snapshots, "web", &before));
    CHECK_OK(put(&set, "web", 120, 0, NULL));
    CHECK_STR(refreshed(&set, &text), "service ");
    CHECK_OK(snapshots_service(set.snapshots, "web", &after));
    CHECK_OK(snapshots_service(set.snapshots, "db", &other));
    CHECK(timestamp_compare(after.changed, before.changed) > 0);
    CHECK_INT(other.changed.secs, NOON);
    CHECK_INT(after.snapshots, 3);
    CHECK_STR(refreshed(&set, &text), "");
}

TEST(a_new_service_changes_the_root)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    CHECK_OK(set_open(&set, NULL));
    refreshed(&set, &text);
    CHECK_OK(put(&set, "mail", 0, 0, NULL));
    CHECK_STR(refreshed(&set, &text), "service services ");
    CHECK_STR(services_of(&set, 0, &text), "0:db=1 1:mail=1 2:web=2 ");
}

TEST(a_forgotten_snapshot_is_told_and_its_number_stays_its_own)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct object_name third;
    struct service_facts service;
    struct snapshot_facts known, still;
    CHECK_OK(set_open(&set, NULL));
    CHECK_OK(put(&set, "web", 120, 0, &third));
    refreshed(&set, &text);
    CHECK_OK(snapshots_service(set.snapshots, "web", &service));
    CHECK_OK(snapshots_find(set.snapshots, &service, "20261120T120200Z", &known));
    CHECK(!snapshots_gone(set.snapshots, known.number));

    CHECK_OK(store_remove(set.access->store, third.text));
    CHECK_STR(refreshed(&set, &text), "service forgotten:20261120T120200Z ");
    CHECK(snapshots_gone(set.snapshots, known.number));
    CHECK_OK(snapshots_number(set.snapshots, known.number, &still));
    CHECK_STR(still.name, "20261120T120200Z");
    CHECK_ERR(ERR_NOT_FOUND, snapshots_find(set.snapshots, &service, "20261120T120200Z", &known));
    CHECK_STR(refreshed(&set, &text), "");
}

TEST(a_service_goes_with_its_last_snapshot)
{
    AUTO(set) set = SET_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct object_name only;
    struct service_facts service;
    CHECK_OK(set_open(&set, NULL));
    CHECK_OK(put(&set, "mail", 0, 0, &only));
    refreshed(&set, &text);
    CHECK_OK(snapshots_service(set.snapshots, "mail", &service));
    CHECK_OK(store_remove(set.access->store, only.text));
    CHECK_STR(refreshed(&set, &text), "service services "); /* nobody looked at its snapshot */
    CHECK_STR(services_of(&set, 0, &text), "0:db=1 1:web=2 ");
    CHECK_ERR(ERR_NOT_FOUND, snapshots_service(set.snapshots, "mail", &service));
    /* And comes back with the next, under its old number. */
    struct service_facts again;
    CHECK_OK(put(&set, "mail", 60, 0, NULL));
    CHECK_STR(refreshed(&set, &text), "service services ");
    CHECK_OK(snapshots_service(set.snapshots, "mail", &again));
    CHECK_INT(again.number, service.number);
}

TEST_MAIN(services_and_their_snapshots_are_listed_in_order,
          a_snapshot_is_found_by_name_and_by_number, a_number_of_another_mount_is_found_again,
          latest_is_the_newest_complete_one, names_follow_the_format_and_stay_apart,
          the_first_look_tells_nothing, a_new_snapshot_changes_its_service,
          a_new_service_changes_the_root, a_forgotten_snapshot_is_told_and_its_number_stays_its_own,
          a_service_goes_with_its_last_snapshot)
