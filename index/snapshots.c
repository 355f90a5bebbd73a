/* Which snapshots there are: questions to the catalog. No read is held open while the caller's function is at work. */
#include <stdio.h>
#include <stdlib.h>

#include "index/index_inside.h"
#include "index/snapshot_rows.h"

enum { PAGE_SNAPSHOTS = 64 };

#define LISTED "SELECT " SNAPSHOT_COLUMNS " FROM snapshots WHERE NOT hidden AND "

/* One question, asked of a connection that is given back whatever comes of it. */
struct question {
    struct index *index;
    struct connection *connection;
    struct catalog *catalog; /* NULL: there is none, so nothing is known */
    struct query *query;
};

static void question_clear(struct question *q)
{
    query_free(q->query);
    if (q->connection)
        connection_give(q->index->connections, q->connection);
}

static enum err question_new(struct index *index, const char *sql, struct question *ret_question)
{
    struct question q = {.index = index};
    TRY(connection_take(index->connections, &q.connection));
    enum err e = connection_catalog(index->connections, q.connection, &q.catalog);
    if (e == ERR_NOT_FOUND)
        e = ERR_OK;
    else if (e == ERR_OK)
        e = query_new(q.catalog->db, sql, &q.query);
    if (e == ERR_CORRUPT)
        connections_distrust(index->connections);
    if (e != ERR_OK) {
        question_clear(&q);
        return e;
    }
    *ret_question = q;
    return ERR_OK;
}

static enum err question_step(struct question *q, bool *ret_row)
{
    *ret_row = false;
    enum err e = q->query ? query_step(q->query, ret_row) : ERR_OK;
    if (e == ERR_CORRUPT)
        connections_distrust(q->index->connections);
    return e;
}

/* Up to count snapshots. */
static enum err question_read(struct question *q, struct snapshot_info *ret_infos, size_t count, size_t *ret_count)
{
    *ret_count = 0;
    while (*ret_count < count) {
        bool row;
        TRY(question_step(q, &row));
        if (!row)
            break;
        TRY(snapshot_row_read(q->query, &ret_infos[(*ret_count)++]));
    }
    return ERR_OK;
}

/* ---- lists ---- */

/* The first page after a snapshot (NULL: from the start). */
static enum err page_read(struct index *index, const char *service, const struct snapshot_info *after, struct snapshot_info *page,
                          size_t *ret_count)
{
    static const char all[] = LISTED "(service, secs, nanos, sha256) > (?1, ?2, ?3, ?4)"
                                     " ORDER BY service, secs, nanos, sha256 LIMIT 64";
    static const char one[] = LISTED "service = ?1 AND (secs, nanos, sha256) > (?2, ?3, ?4) ORDER BY secs, nanos, sha256 LIMIT 64";
    AUTO(question) q = {0};
    TRY(question_new(index, service ? one : all, &q));
    if (q.query) {
        query_set_text(q.query, 1, service ? service : after ? after->service : "");
        query_set(q.query, 2, after ? after->time.secs : INT64_MIN);
        query_set(q.query, 3, after ? (int64_t)after->time.nanos : -1);
        query_set_bytes(q.query, 4, after ? slice_of(after->sha256.bytes, 32) : SLICE_EMPTY);
    }
    return question_read(&q, page, PAGE_SNAPSHOTS, ret_count);
}

enum err index_snapshots(struct index *index, const char *service, snapshot_fn each, void *context)
{
    AUTO_MEM struct snapshot_info *page = calloc(PAGE_SNAPSHOTS, sizeof *page);
    if (!page)
        return err_set(ERR_NOMEM, "no memory for snapshots");
    struct snapshot_info last;
    const struct snapshot_info *after = NULL;
    size_t count;
    do {
        TRY(page_read(index, service, after, page, &count));
        for (size_t i = 0; i < count; i++)
            TRY(each(context, &page[i]));
        if (count) {
            last = page[count - 1];
            after = &last;
        }
    } while (count == PAGE_SNAPSHOTS);
    return ERR_OK;
}

/* The service after a name. */
static enum err service_next(struct index *index, const char *after, struct service_info *ret_service, bool *ret_more)
{
    AUTO(question) q = {0};
    TRY(question_new(index,
                     "SELECT service, kind, host_name, domain, secs, nanos, (SELECT count(*) FROM snapshots AS all_of"
                     " WHERE all_of.service = newest.service AND NOT all_of.hidden) FROM snapshots AS newest"
                     " WHERE NOT hidden AND service = (SELECT min(service) FROM snapshots WHERE service > ? AND NOT hidden)"
                     " ORDER BY secs DESC, nanos DESC, sha256 DESC LIMIT 1",
                     &q));
    if (q.query)
        query_set_text(q.query, 1, after);
    TRY(question_step(&q, ret_more));
    if (!*ret_more)
        return ERR_OK;
    *ret_service = (struct service_info){
        .domain = (uint32_t)query_get(q.query, 3),
        .newest = {query_get(q.query, 4), (uint32_t)query_get(q.query, 5)},
        .snapshots = (uint64_t)query_get(q.query, 6),
    };
    TRY(query_copy_text(q.query, 0, ret_service->service, sizeof ret_service->service));
    TRY(query_copy_text(q.query, 1, ret_service->kind, sizeof ret_service->kind));
    return query_copy_text(q.query, 2, ret_service->host_name, sizeof ret_service->host_name);
}

enum err index_services(struct index *index, service_fn each, void *context)
{
    struct service_info service = {0};
    for (;;) {
        char after[sizeof service.service];
        bool more;
        memcpy(after, service.service, sizeof after);
        TRY(service_next(index, after, &service, &more));
        if (!more)
            return ERR_OK;
        TRY(each(context, &service));
    }
}

/* ---- one ---- */

static enum err not_found(struct index *index, const char *service, const char *what)
{
    AUTO(question) q = {0};
    AUTO(buf) shown = BUF_EMPTY;
    bool there;
    TRY(text_escape(slice_str(service), &shown));
    TRY(question_new(index, "SELECT 1 FROM snapshots WHERE service = ? AND NOT hidden LIMIT 1", &q));
    if (q.query)
        query_set_text(q.query, 1, service);
    TRY(question_step(&q, &there));
    if (!there)
        return err_set(ERR_NOT_FOUND, "there is no service '%s' with snapshots", (const char *)shown.data);
    AUTO(buf) named = BUF_EMPTY;
    TRY(text_escape(slice_str(what), &named));
    return err_set(ERR_NOT_FOUND, "'%s' has no snapshot %s", (const char *)shown.data, (const char *)named.data);
}

static enum err newest(struct index *index, const char *service, struct snapshot_info *ret, size_t *ret_count)
{
    char sql[1024];
    AUTO(question) q = {0};
    /* A partial one only if there is no other. */
    snprintf(sql, sizeof sql, LISTED "service = ? ORDER BY flags & %d, secs DESC, nanos DESC, sha256 DESC LIMIT 1", SNAPSHOT_PARTIAL);
    TRY(question_new(index, sql, &q));
    if (q.query)
        query_set_text(q.query, 1, service);
    return question_read(&q, ret, 1, ret_count);
}

static enum err by_name(struct index *index, const char *service, const char *name, struct snapshot_info *ret, size_t *ret_count)
{
    AUTO(question) q = {0};
    TRY(question_new(index, LISTED "service = ? AND name = ?", &q));
    if (q.query) {
        query_set_text(q.query, 1, service);
        query_set_text(q.query, 2, name);
    }
    return question_read(&q, ret, 1, ret_count);
}

static enum err by_prefix(struct index *index, const char *service, const char *prefix, struct snapshot_info ret[2],
                          size_t *ret_count)
{
    AUTO(question) q = {0};
    TRY(question_new(index, LISTED "service = ? AND substr(name, 1, ?) = ? ORDER BY secs, nanos, sha256 LIMIT 2", &q));
    if (q.query) {
        query_set_text(q.query, 1, service);
        query_set(q.query, 2, (int64_t)strlen(prefix));
        query_set_text(q.query, 3, prefix);
    }
    return question_read(&q, ret, 2, ret_count);
}

enum err index_snapshot(struct index *index, const char *service, const char *name, bool exact, struct snapshot_info *ret)
{
    size_t count;
    if (strcmp(name, "latest") == 0)
        TRY(newest(index, service, ret, &count));
    else
        TRY(by_name(index, service, name, ret, &count));
    if (count == 0 && !exact && name[0]) {
        AUTO_MEM struct snapshot_info *two = calloc(2, sizeof *two);
        if (!two)
            return err_set(ERR_NOMEM, "no memory for snapshots");
        TRY(by_prefix(index, service, name, two, &count));
        if (count == 2)
            return err_set(ERR_INVALID, "'%s' is the beginning of several snapshots of '%s': %s, %s ...", name, service, two[0].name,
                           two[1].name);
        if (count == 1)
            *ret = two[0];
    }
    return count ? ERR_OK : not_found(index, service, name);
}

enum err index_snapshot_at(struct index *index, const char *service, struct timestamp at, struct snapshot_info *ret)
{
    size_t count;
    {
        AUTO(question) q = {0};
        TRY(question_new(index, LISTED "service = ? AND (secs, nanos) <= (?, ?) ORDER BY secs DESC, nanos DESC, sha256 DESC LIMIT 1", &q));
        if (q.query) {
            query_set_text(q.query, 1, service);
            query_set(q.query, 2, at.secs);
            query_set(q.query, 3, at.nanos);
        }
        TRY(question_read(&q, ret, 1, &count));
    }
    if (count)
        return ERR_OK;
    char time[TIME_TEXT_MAX], what[TIME_TEXT_MAX + 16];
    clock_format_local(at, time);
    snprintf(what, sizeof what, "at or before %s", time);
    return not_found(index, service, what);
}

enum err index_snapshot_parse(struct index *index, const char *text, struct snapshot_info *ret)
{
    size_t len = strcspn(text, "@/");
    char service[101];
    if (len == 0 || len >= sizeof service || !text[len] || !text[len + 1])
        return err_set(ERR_INVALID, "which snapshot? SERVICE/NAME, SERVICE/latest or SERVICE@WHEN");
    memcpy(service, text, len);
    service[len] = 0;
    if (text[len] == '/')
        return index_snapshot(index, service, text + len + 1, false, ret);
    struct timestamp at;
    TRY(clock_parse_when(text + len + 1, clock_now(), &at));
    if (at.nanos == 0)
        at.nanos = 999999999; /* who names a second means all of it: names have no fractions */
    return index_snapshot_at(index, service, at, ret);
}

/* ---- changes ---- */

enum err index_changed(struct index *index, uint64_t *stamp, bool *ret_changed)
{
    uint64_t now = 0;
    AUTO(question) q = {0};
    bool row;
    *ret_changed = false;
    enum err e = question_new(index, "SELECT snapshot_changes FROM about", &q);
    if (e == ERR_OK)
        e = question_step(&q, &row);
    if (e == ERR_AGAIN)
        return ERR_OK; /* being written: ask again in a second */
    TRY(e);
    if (row) {
        struct cursor c = cursor_of(slice_of(q.catalog->cache.bytes, 16));
        now = cursor_u64(&c) + (uint64_t)query_get(q.query, 0);
    }
    *ret_changed = now != *stamp;
    *stamp = now;
    return ERR_OK;
}
