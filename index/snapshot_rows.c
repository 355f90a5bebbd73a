#include "index/snapshot_rows.h"

enum column {
    COLUMN_ID, COLUMN_OBJECT, COLUMN_SHA256, COLUMN_DOMAIN, COLUMN_SERVICE, COLUMN_KIND, COLUMN_NAME, COLUMN_SECS, COLUMN_NANOS,
    COLUMN_FINISHED_SECS, COLUMN_FINISHED_NANOS, COLUMN_FLAGS, COLUMN_WRITER, COLUMN_HOST, COLUMN_SESSION, COLUMN_HOST_NAME,
    COLUMN_LANE_NUMBER, COLUMN_NODES, COLUMN_FILES, COLUMN_DIRS, COLUMN_BYTES, COLUMN_NEW_BYTES, COLUMN_STORED_BYTES,
    COLUMN_LEFT_OUT, COLUMN_ROOT, COLUMN_LABELS,
};

/* Parameters count from 1; the id and the name are left NULL. */
static void set_bytes(struct query *q, enum column column, const uint8_t *bytes, size_t len)
{
    query_set_bytes(q, (int)column + 1, slice_of(bytes, len));
}

static void set(struct query *q, enum column column, uint64_t number)
{
    query_set(q, (int)column + 1, (int64_t)number);
}

static void set_text(struct query *q, enum column column, const char *text)
{
    query_set_text(q, (int)column + 1, text);
}

enum err snapshot_row_put(struct catalog *catalog, const struct snapshot_info *s)
{
    AUTO_PTR(query) q = NULL;
    TRY(query_new(catalog->db,
                  "INSERT OR IGNORE INTO snapshots(" SNAPSHOT_COLUMNS ", hidden)"
                  " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,0)",
                  &q));
    set_text(q, COLUMN_OBJECT, s->object);
    set_bytes(q, COLUMN_SHA256, s->sha256.bytes, 32);
    set(q, COLUMN_DOMAIN, s->domain);
    set_text(q, COLUMN_SERVICE, s->service);
    set_text(q, COLUMN_KIND, s->kind);
    set(q, COLUMN_SECS, (uint64_t)s->time.secs);
    set(q, COLUMN_NANOS, s->time.nanos);
    set(q, COLUMN_FINISHED_SECS, (uint64_t)s->finished.secs);
    set(q, COLUMN_FINISHED_NANOS, s->finished.nanos);
    set(q, COLUMN_FLAGS, s->flags);
    set_bytes(q, COLUMN_WRITER, s->writer.bytes, 16);
    set_bytes(q, COLUMN_HOST, s->host.bytes, 16);
    set_bytes(q, COLUMN_SESSION, s->session.bytes, 16);
    set_text(q, COLUMN_HOST_NAME, s->host_name);
    set(q, COLUMN_LANE_NUMBER, s->lane_number);
    set(q, COLUMN_NODES, s->totals.nodes);
    set(q, COLUMN_FILES, s->totals.files);
    set(q, COLUMN_DIRS, s->totals.dirs);
    set(q, COLUMN_BYTES, s->totals.bytes);
    set(q, COLUMN_NEW_BYTES, s->totals.new_bytes);
    set(q, COLUMN_STORED_BYTES, s->totals.stored_bytes);
    set(q, COLUMN_LEFT_OUT, s->totals.left_out);
    set_bytes(q, COLUMN_ROOT, s->root.bytes, 32);
    set_text(q, COLUMN_LABELS, s->labels);
    return query_run(q);
}

static uint64_t get(struct query *q, enum column column)
{
    return (uint64_t)query_get(q, (int)column);
}

enum err snapshot_row_read(struct query *q, struct snapshot_info *ret_info)
{
    struct snapshot_info s = {
        .number = get(q, COLUMN_ID),
        .domain = (uint32_t)get(q, COLUMN_DOMAIN),
        .time = {query_get(q, COLUMN_SECS), (uint32_t)get(q, COLUMN_NANOS)},
        .finished = {query_get(q, COLUMN_FINISHED_SECS), (uint32_t)get(q, COLUMN_FINISHED_NANOS)},
        .flags = (uint32_t)get(q, COLUMN_FLAGS),
        .lane_number = get(q, COLUMN_LANE_NUMBER),
        .totals =
            {
                .nodes = get(q, COLUMN_NODES),
                .files = get(q, COLUMN_FILES),
                .dirs = get(q, COLUMN_DIRS),
                .bytes = get(q, COLUMN_BYTES),
                .new_bytes = get(q, COLUMN_NEW_BYTES),
                .stored_bytes = get(q, COLUMN_STORED_BYTES),
                .left_out = get(q, COLUMN_LEFT_OUT),
            },
    };
    TRY(query_copy_text(q, COLUMN_OBJECT, s.object, sizeof s.object));
    TRY(query_copy(q, COLUMN_SHA256, s.sha256.bytes, 32));
    TRY(query_copy_text(q, COLUMN_SERVICE, s.service, sizeof s.service));
    TRY(query_copy_text(q, COLUMN_KIND, s.kind, sizeof s.kind));
    TRY(query_copy_text(q, COLUMN_NAME, s.name, sizeof s.name));
    TRY(query_copy(q, COLUMN_WRITER, s.writer.bytes, 16));
    TRY(query_copy(q, COLUMN_HOST, s.host.bytes, 16));
    TRY(query_copy(q, COLUMN_SESSION, s.session.bytes, 16));
    TRY(query_copy_text(q, COLUMN_HOST_NAME, s.host_name, sizeof s.host_name));
    TRY(query_copy(q, COLUMN_ROOT, s.root.bytes, 32));
    TRY(query_copy_text(q, COLUMN_LABELS, s.labels, sizeof s.labels));
    *ret_info = s;
    return ERR_OK;
}
