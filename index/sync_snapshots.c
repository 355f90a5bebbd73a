/* Envelopes of the store into the catalog: opened, their signatures and certificates checked, named as the mount names them. */
#include <stdio.h>
#include <stdlib.h>

#include "index/index_inside.h"
#include "index/snapshot_rows.h"

enum { BATCH_SNAPSHOTS = 64 };

/* ---- lists ---- */

void snapshot_names_clear(struct snapshot_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        name_list_clear(&names->domains[i]);
    free(names->domains);
    name_list_clear(&names->forgets);
    name_list_clear(&names->fences);
    *names = (struct snapshot_names){0};
}

enum err sync_list_snapshots(struct sync *sync, struct snapshot_names *ret_names)
{
    const struct keyring *keys = sync->access->keys;
    struct store *store = sync->access->store;
    AUTO(snapshot_names) names = {.domains = calloc(keys->domain_count + 1, sizeof *names.domains)};
    if (!names.domains)
        return err_set(ERR_NOMEM, "no memory for names of snapshots");
    for (; names.count < keys->domain_count; names.count++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "snapshots/%08x/", keys->domains[names.count].id);
        TRY(store_names(store, prefix, &names.domains[names.count]));
    }
    TRY(store_names(store, "forgets/", &names.forgets));
    TRY(store_names(store, "fences/", &names.fences));
    *ret_names = names;
    names = (struct snapshot_names){0};
    return ERR_OK;
}

/* ---- names, and what is hidden ---- */

#define IS_HIDDEN "(sha256 IN (SELECT what FROM hiders) OR session IN (SELECT what FROM hiders))"

struct unnamed {
    int64_t id, secs;
    unsigned ordinal; /* of its second in its service, from 1 */
};

static enum err unnamed_read(struct catalog *catalog, struct unnamed **ret_list, size_t *ret_count)
{
    AUTO_PTR(query) rows = NULL;
    AUTO_MEM struct unnamed *list = NULL;
    size_t count = 0, cap = 0;
    char service[101], before[101] = "";
    TRY(query_new(catalog->db,
                  "SELECT id, secs, service FROM snapshots WHERE name IS NULL ORDER BY service, secs, nanos, sha256", &rows));
    for (;;) {
        bool row;
        TRY(query_step(rows, &row));
        if (!row)
            break;
        if (count == cap) {
            cap = cap ? cap * 2 : BATCH_SNAPSHOTS;
            struct unnamed *grown = realloc(list, cap * sizeof *grown);
            if (!grown)
                return err_set(ERR_NOMEM, "no memory for %zu snapshots", cap);
            list = grown;
        }
        struct unnamed one = {query_get(rows, 0), query_get(rows, 1), 1};
        TRY(query_copy_text(rows, 2, service, sizeof service));
        if (count && list[count - 1].secs == one.secs && strcmp(service, before) == 0)
            one.ordinal = list[count - 1].ordinal + 1;
        memcpy(before, service, sizeof before);
        list[count++] = one;
    }
    *ret_list = TAKE(list);
    *ret_count = count;
    return ERR_OK;
}

/* Give all that have no name one. Of several in one second the later ones get -2, -3: so whoever shares a second with a new
 * or newly hidden one is named again too. */
static enum err settle_names(struct catalog *catalog)
{
    AUTO_MEM struct unnamed *list = NULL;
    AUTO_PTR(query) set = NULL;
    size_t count = 0;
    TRY(db_run(catalog->db, "UPDATE snapshots SET name = NULL WHERE (service, secs) IN"
                            " (SELECT service, secs FROM snapshots WHERE name IS NULL);"
                            "UPDATE snapshots SET hidden = " IS_HIDDEN " WHERE name IS NULL;"
                            "UPDATE snapshots SET name = '' WHERE name IS NULL AND hidden;"
                            "UPDATE about SET snapshot_changes = snapshot_changes + 1;"));
    TRY(unnamed_read(catalog, &list, &count));
    TRY(query_new(catalog->db, "UPDATE snapshots SET name = ? WHERE id = ?", &set));
    for (size_t i = 0; i < count; i++) {
        char time[TIME_TEXT_MAX], name[TIME_TEXT_MAX + 16];
        clock_format_compact((struct timestamp){list[i].secs, 0}, time);
        if (list[i].ordinal == 1)
            snprintf(name, sizeof name, "%s", time);
        else
            snprintf(name, sizeof name, "%s-%u", time, list[i].ordinal);
        query_set_text(set, 1, name);
        query_set(set, 2, list[i].id);
        TRY(query_run(set));
        query_set_null(set, 1);
    }
    return ERR_OK;
}

/* ---- what hides snapshots: forgets/ and fences/ ---- */

struct hider {
    const char *object;
    uint8_t what[32];
    size_t len; /* 32: of one envelope, 16: of all of one session */
};

/* A forget record counts when an admin or a certified writer signed it. */
static enum err check_forget(struct sync *sync, struct hider *hider)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record record;
    const uint8_t *signer;
    TRY(store_get_all(sync->access->store, hider->object, RECORD_MAX_BYTES, &object));
    TRY(record_parse(buf_slice(&object), &record));
    TRY(access_find_signer(sync->access, &record.signer, &signer));
    TRY(record_verify(buf_slice(&object), signer));
    if (record.type != RECORD_FORGET || memcmp(record.store.bytes, sync->access->head.store.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "another record in its place");
    return ERR_OK;
}

/* A fence counts by being there: whoever put it may since have deleted what the session wrote. */
static enum err hider_read(struct sync *sync, const char *prefix, const char *object, struct hider *ret_hider)
{
    bool forget = strcmp(prefix, "forgets/") == 0;
    const char *digits = object + strlen(prefix);
    *ret_hider = (struct hider){.object = object, .len = forget ? 32 : 16};
    if (!hex_parse(digits, strlen(digits), ret_hider->what, ret_hider->len))
        return err_set(ERR_CORRUPT, "it names no snapshot or session");
    return forget ? check_forget(sync, ret_hider) : ERR_OK;
}

static enum err hiders_write(struct sync *sync, const struct hider *fresh, size_t count, const struct difference *difference)
{
    AUTO(transaction) transaction = TRANSACTION_NONE;
    AUTO_PTR(query) put = NULL;
    AUTO_PTR(query) drop = NULL;
    TRY(sync_begin(sync, &transaction));
    TRY(query_new(sync->catalog->db, "INSERT OR IGNORE INTO hiders(object, what) VALUES(?, ?)", &put));
    TRY(query_new(sync->catalog->db, "DELETE FROM hiders WHERE id = ?", &drop));
    for (size_t i = 0; i < count; i++) {
        query_set_text(put, 1, fresh[i].object);
        query_set_bytes(put, 2, slice_of(fresh[i].what, fresh[i].len));
        TRY(query_run(put));
    }
    for (size_t i = 0; i < difference->gone_count; i++) {
        query_set(drop, 1, difference->gone[i]);
        TRY(query_run(drop));
    }
    TRY(db_run(sync->catalog->db, "UPDATE snapshots SET name = NULL WHERE hidden <> " IS_HIDDEN));
    TRY(settle_names(sync->catalog));
    return transaction_commit(&transaction);
}

static enum err sync_hiders(struct sync *sync, const char *prefix, const struct name_list *names)
{
    AUTO_PTR(query) rows = NULL;
    AUTO(difference) difference = {0};
    char end[16];
    snprintf(end, sizeof end, "%.*s0", (int)strlen(prefix) - 1, prefix); /* '0' follows '/' */
    TRY(query_new(sync->catalog->db, "SELECT id, object, 0 FROM hiders WHERE object >= ? AND object < ? ORDER BY object", &rows));
    query_set_text(rows, 1, prefix);
    query_set_text(rows, 2, end);
    TRY(difference_find(rows, names, &difference));
    AUTO_MEM struct hider *fresh = calloc(difference.fresh_count + 1, sizeof *fresh);
    if (!fresh)
        return err_set(ERR_NOMEM, "no memory for %s", prefix);
    size_t count = 0;
    for (size_t i = 0; i < difference.fresh_count; i++) {
        const char *name = names->names[difference.fresh[i]];
        enum err e = hider_read(sync, prefix, name, &fresh[count]);
        if (sync_is_objects_own(e))
            sync_note_damaged(sync, name, e);
        else if (e != ERR_NOT_FOUND)
            TRY(e);
        count += e == ERR_OK;
    }
    return count || difference.gone_count ? hiders_write(sync, fresh, count, &difference) : ERR_OK;
}

/* ---- envelopes ---- */

static void copy_labels(const struct envelope *envelope, struct snapshot_info *info)
{
    size_t at = 0;
    for (size_t i = 0; i < envelope->label_count; i++) {
        size_t len = strlen(envelope->labels[i]);
        if (at + (at > 0) + len >= sizeof info->labels)
            break; /* all would take 16 KiB a snapshot; the envelope has them */
        if (at)
            info->labels[at++] = '\n';
        memcpy(info->labels + at, envelope->labels[i], len);
        at += len;
    }
    info->labels[at] = 0;
}

static enum err check_name(const struct sync *sync, const struct envelope *envelope, uint32_t domain, const struct uid *tag,
                           int64_t time_secs)
{
    const struct domain_keys *keys;
    TRY(service_name_check(envelope->service));
    TRY(keyring_find_domain(sync->access->keys, domain, &keys));
    struct uid right = service_tag(keys, envelope->service);
    if (envelope->domain != domain || memcmp(right.bytes, tag->bytes, sizeof right.bytes) != 0 || envelope->time.secs != time_secs)
        return err_set(ERR_CORRUPT, "it is another snapshot than its name says");
    return ERR_OK;
}

static enum err envelope_read(struct sync *sync, const char *name, struct envelope *ret_envelope, struct hash *ret_sha256)
{
    AUTO(buf) object = BUF_EMPTY;
    AUTO(envelope) unchecked = {0};
    uint32_t domain;
    struct uid tag;
    int64_t time_secs;
    const uint8_t *writer;
    TRY(name_parse_envelope(name, &domain, &tag, &time_secs, ret_sha256));
    TRY(sync_get(sync, name, RECORD_MAX_BYTES, ret_sha256, &object));
    TRY(envelope_open(sync->access->keys, buf_slice(&object), NULL, &unchecked));
    TRY(access_find_writer(sync->access, &unchecked.writer, &writer));
    TRY(envelope_open(sync->access->keys, buf_slice(&object), writer, ret_envelope));
    TRY(check_name(sync, ret_envelope, domain, &tag, time_secs));
    return access_check_writer(sync->access, &ret_envelope->writer, domain, ret_envelope->service, ret_envelope->time.secs);
}

static enum err snapshot_read(struct sync *sync, const char *name, struct snapshot_info *ret_info)
{
    AUTO(envelope) envelope = {0};
    struct snapshot_info info = {0};
    TRY(envelope_read(sync, name, &envelope, &info.sha256));
    snprintf(info.object, sizeof info.object, "%s", name);
    info.domain = envelope.domain;
    memcpy(info.service, envelope.service, sizeof info.service);
    memcpy(info.kind, envelope.kind, sizeof info.kind);
    info.time = envelope.time;
    info.finished = envelope.finished;
    info.flags = envelope.flags;
    info.writer = envelope.writer;
    info.host = envelope.host;
    info.session = envelope.session;
    memcpy(info.host_name, envelope.host_name, sizeof info.host_name);
    info.lane_number = envelope.number;
    info.totals = envelope.totals;
    info.root = envelope.root;
    copy_labels(&envelope, &info);
    *ret_info = info;
    return ERR_OK;
}

/* Reads are outside of the transaction, which so stays short. */
static enum err snapshots_write(struct sync *sync, const struct snapshot_info *infos, size_t count)
{
    AUTO(transaction) transaction = TRANSACTION_NONE;
    TRY(sync_begin(sync, &transaction));
    for (size_t i = 0; i < count; i++)
        TRY(snapshot_row_put(sync->catalog, &infos[i]));
    TRY(settle_names(sync->catalog));
    TRY(transaction_commit(&transaction));
    sync->report.snapshots_new += count;
    return ERR_OK;
}

static enum err snapshots_drop(struct sync *sync, const struct difference *difference)
{
    AUTO(transaction) transaction = TRANSACTION_NONE;
    AUTO_PTR(query) rename = NULL;
    AUTO_PTR(query) drop = NULL;
    if (difference->gone_count == 0)
        return ERR_OK;
    TRY(sync_begin(sync, &transaction));
    TRY(query_new(sync->catalog->db,
                  "UPDATE snapshots SET name = NULL WHERE (service, secs) = (SELECT service, secs FROM snapshots WHERE id = ?)",
                  &rename));
    TRY(query_new(sync->catalog->db, "DELETE FROM snapshots WHERE id = ?", &drop));
    for (size_t i = 0; i < difference->gone_count; i++) {
        query_set(rename, 1, difference->gone[i]);
        TRY(query_run(rename));
        query_set(drop, 1, difference->gone[i]);
        TRY(query_run(drop));
    }
    TRY(settle_names(sync->catalog));
    TRY(transaction_commit(&transaction));
    sync->report.snapshots_gone += difference->gone_count;
    return ERR_OK;
}

static enum err sync_domain(struct sync *sync, uint32_t domain, const struct name_list *names)
{
    AUTO_PTR(query) rows = NULL;
    AUTO(difference) difference = {0};
    AUTO_MEM struct snapshot_info *infos = calloc(BATCH_SNAPSHOTS, sizeof *infos);
    size_t count = 0;
    if (!infos)
        return err_set(ERR_NOMEM, "no memory for snapshots");
    TRY(query_new(sync->catalog->db, "SELECT id, object, 0 FROM snapshots WHERE domain = ? ORDER BY object", &rows));
    query_set(rows, 1, domain);
    TRY(difference_find(rows, names, &difference));
    for (size_t i = 0; i < difference.fresh_count; i++) {
        const char *name = names->names[difference.fresh[i]];
        enum err e = snapshot_read(sync, name, &infos[count]);
        if (sync_is_objects_own(e))
            sync_note_damaged(sync, name, e);
        else if (e != ERR_NOT_FOUND) /* deleted since it was listed */
            TRY(e);
        count += e == ERR_OK;
        if (count == BATCH_SNAPSHOTS) {
            TRY(snapshots_write(sync, infos, count));
            count = 0;
        }
    }
    if (count)
        TRY(snapshots_write(sync, infos, count));
    return snapshots_drop(sync, &difference);
}

enum err sync_snapshots(struct sync *sync, const struct snapshot_names *names)
{
    /* What hides comes first: a forgotten snapshot does not show for a moment. */
    TRY(sync_hiders(sync, "forgets/", &names->forgets));
    TRY(sync_hiders(sync, "fences/", &names->fences));
    for (size_t i = 0; i < names->count; i++)
        TRY(sync_domain(sync, sync->access->keys->domains[i].id, &names->domains[i]));
    return ERR_OK;
}
