#include "writers/session.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/log.h"
#include "fetch/base/rand.h"
#include "writers/host.h"
#include "writers/lane.h"
#include "writers/seen.h"

#ifndef YORE_VERSION
#define YORE_VERSION "0.1.0"
#endif

enum { DOMAIN_MAIN = 1 };
#define HEARTBEAT_NS (UINT64_C(600) * 1000000000)

enum outcome { OUTCOME_COMMITTED = 0, OUTCOME_FAILED = 1 };

struct session {
    const struct access *access;
    struct index *index;
    const struct domain_keys *domain;
    struct uid id;
    char service[101], kind[33];
    struct timestamp time;
    struct host host;
    struct seen *seen;
    struct lane_heads lane;

    bool started, over; /* start put; end put: the owner's thread only */
    pthread_mutex_t
        beat_lock;  /* before nothing; held across the put of a heartbeat, only with trylock */
    uint64_t beats; /* guarded by beat_lock */
    atomic_uint_fast64_t next_beat_ns;
    atomic_bool fenced;
};

/* ---- records ---- */

static enum err record_put(struct session *s, const char *what, enum record_type type,
                           uint64_t number, const struct buf *fields)
{
    const struct keyring *keys = s->access->keys;
    AUTO(buf) object = BUF_EMPTY;
    struct record head = {
        .type = type,
        .domain = s->domain->id,
        .store = keys->store,
        .number = number,
        .signer = key_id_of(keys->signing.public),
        .signed_secs = clock_now().secs,
    };
    TRY(buf_check(fields));
    TRY(record_seal(&head, fields, &keys->signing, &object));
    return store_put(s->access->store, name_session(&s->id, what).text, buf_slice(&object), true);
}

static void put_i64_field(struct buf *fields, uint32_t number, int64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((uint64_t)value >> 8 * i);
    fields_put(fields, number, true, slice_of(bytes, sizeof bytes));
}

static enum err start_put(struct session *s)
{
    AUTO(buf) fields = BUF_EMPTY;
    struct uid tag = service_tag(s->domain, s->service);
    fields_put(&fields, 1, true, slice_of(tag.bytes, sizeof tag.bytes));
    fields_put(&fields, 2, true, slice_of(s->host.id.bytes, sizeof s->host.id.bytes));
    put_i64_field(&fields, 3, clock_now().secs);
    fields_put(&fields, 4, true, slice_of(s->id.bytes, sizeof s->id.bytes));
    TRY(record_put(s, "start", RECORD_SESSION, 0, &fields));
    s->started = true;
    return ERR_OK;
}

static enum err end_put(struct session *s, enum outcome outcome)
{
    AUTO(buf) fields = BUF_EMPTY;
    put_i64_field(&fields, 1, clock_now().secs);
    fields_put_varint(&fields, 2, true, outcome);
    fields_put(&fields, 3, true, slice_of(s->id.bytes, sizeof s->id.bytes));
    s->over = true; /* not twice, whatever comes of it */
    return record_put(s, "end", RECORD_END, 0, &fields);
}

static enum err beat_put(struct session *s)
{
    char what[32];
    AUTO(buf) fields = BUF_EMPTY;
    put_i64_field(&fields, 1, clock_now().secs);
    fields_put(&fields, 3, true, slice_of(s->id.bytes, sizeof s->id.bytes));
    s->beats++;
    snprintf(what, sizeof what, "hb-%" PRIu64, s->beats);
    return record_put(s, what, RECORD_HEARTBEAT, s->beats, &fields);
}

static enum err fence_found(void *context, const struct store_entry *entry)
{
    const char **name = context;
    if (strcmp(entry->name, *name) == 0)
        *name = NULL;
    return ERR_OK;
}

/* ERR_FENCED if this session was. By a list, as the protocol says. */
static enum err fence_look(struct session *s)
{
    struct object_name name = name_fence(&s->id);
    const char *wanted = name.text;
    TRY(store_list(s->access->store, name.text, fence_found, &wanted));
    if (wanted)
        return ERR_OK;
    s->fenced = true;
    return err_set(ERR_FENCED,
                   "this backup was taken for dead and fenced (session %s): run it again",
                   hex_short(s->id.bytes).text);
}

/* ---- the rules of services ---- */

/* Snapshots come oldest first: the first fixes the kind, the last says whose it is now. */
struct service_state {
    bool any;
    char kind[33];
    struct uid host;
    char host_name[256];
};

static enum err service_see(void *context, const struct snapshot_info *info)
{
    struct service_state *state = context;
    if (!state->any)
        memcpy(state->kind, info->kind, sizeof state->kind);
    state->any = true;
    state->host = info->host;
    memcpy(state->host_name, info->host_name, sizeof state->host_name);
    return ERR_OK;
}

static enum err service_check(struct session *s, bool take_over)
{
    struct service_state state = {.any = false};
    TRY(index_snapshots(s->index, s->service, service_see, &state));
    if (!state.any)
        return ERR_OK;
    if (strcmp(state.kind, s->kind) != 0)
        return err_set(
            ERR_INVALID,
            "service %s holds snapshots of kind %s, not %s: give this backup another service name",
            s->service, state.kind, s->kind);
    if (memcmp(state.host.bytes, s->host.id.bytes, 16) != 0 && !take_over)
        return err_set(ERR_INVALID,
                       "service %s is backed up from host %s: add --take-over if it comes from %s "
                       "now, or give this backup another "
                       "service name",
                       s->service, state.host_name, s->host.name);
    return ERR_OK;
}

static enum err writer_check(const struct access *access, const char *service, int64_t at_secs)
{
    const struct keyring *keys = access->keys;
    if (access->head.must_write)
        return err_set(ERR_UNSUPPORTED, "%s may be written only by a newer version",
                       access->store->url);
    if (!keys->has_signing || !(keys->roles & (ROLE_WRITER | ROLE_ADMIN)))
        return err_set(ERR_NO_KEY, "these keys may not write to %s", access->store->url);
    struct uid writer = key_id_of(keys->signing.public);
    enum err e = access_check_writer(access, &writer, DOMAIN_MAIN, service, at_secs);
    return e == ERR_AUTH ? err_add(err_set(ERR_NO_KEY, "%s", err_text()), "service %s", service)
                         : e;
}

/* ---- begin and end ---- */

static enum err options_take(struct session *s, const struct session_options *options)
{
    TRY(service_name_check(options->service));
    size_t kind_len = strlen(options->kind);
    if (kind_len == 0 || kind_len >= sizeof s->kind)
        return err_set(ERR_INVALID, "a kind of %zu bytes", kind_len);
    memcpy(s->service, options->service, strlen(options->service) + 1);
    memcpy(s->kind, options->kind, kind_len + 1);
    s->time = options->time;
    return ERR_OK;
}

enum err session_begin(const struct access *access, struct index *index,
                       const struct session_options *options, struct session **ret_session)
{
    AUTO_PTR(session) s = calloc(1, sizeof *s);
    if (!s)
        return err_set(ERR_NOMEM, "no memory for a session");
    pthread_mutex_init(&s->beat_lock, NULL);
    s->access = access;
    s->index = index;
    TRY(options_take(s, options));
    TRY(writer_check(access, s->service, s->time.secs));
    TRY(keyring_find_domain(access->keys, DOMAIN_MAIN, &s->domain));
    TRY(host_load(access->keys, s->domain, options->state_dir, &s->host));
    TRY(seen_new(index, s->domain->id, &s->seen));
    rand_bytes(s->id.bytes, sizeof s->id.bytes);

    /* Everything is listed after the start record is there: whoever deletes either waits for us, or
     * we see what they intend. */
    TRY(start_put(s));
    s->next_beat_ns = clock_monotonic_ns() + HEARTBEAT_NS;
    TRY(seen_lists(s->seen, access->store));
    TRY(index_sync(index, SYNC_ALL, NULL));

    TRY(service_check(s, options->take_over));
    struct lane lane = {key_id_of(access->keys->signing.public), s->host.id, s->service};
    TRY(lane_find_heads(access, index, &lane, &s->lane));
    *ret_session = TAKE(s);
    return ERR_OK;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    if (s->started && !s->over) {
        /* Whoever frees us after an error still wants to read its note. */
        struct err_note note;
        err_take(ERR_IO, &note);
        enum err e = end_put(s, OUTCOME_FAILED);
        if (e != ERR_OK)
            log_err(LOG_LEVEL_DEBUG, e, "end of session %s", hex_short(s->id.bytes).text);
        (void)err_raise(&note);
    }
    lane_heads_clear(&s->lane);
    seen_free(s->seen);
    pthread_mutex_destroy(&s->beat_lock);
    free(s);
}

const struct uid *session_id(const struct session *s)
{
    return &s->id;
}

const struct access *session_access(const struct session *s)
{
    return s->access;
}

struct index *session_index(const struct session *s)
{
    return s->index;
}

uint32_t session_domain(const struct session *s)
{
    return s->domain->id;
}

const struct uid *session_host(const struct session *s)
{
    return &s->host.id;
}

const char *session_host_name(const struct session *s)
{
    return s->host.name;
}

const char *session_version(void)
{
    return YORE_VERSION;
}

/* ---- while it runs ---- */

struct reuse {
    const struct hash *wanted;
    const struct seen *seen;
    bool fine;
};

static enum err reuse_see(void *context, const struct snapshot_info *info)
{
    struct reuse *reuse = context;
    if (memcmp(info->sha256.bytes, reuse->wanted->bytes, 32) == 0)
        reuse->fine = !seen_fenced(reuse->seen, &info->session);
    return ERR_OK;
}

bool session_may_reuse(const struct session *s, const struct hash *snapshot)
{
    if (seen_open_generation(s->seen) || seen_forgotten(s->seen, snapshot))
        return false;
    struct reuse reuse = {snapshot, s->seen, false};
    return index_snapshots(s->index, NULL, reuse_see, &reuse) == ERR_OK && reuse.fine;
}

enum err session_known(struct session *s, enum chunk_kind kind, const struct chunk_id *ids,
                       size_t count, bool *ret_found)
{
    return seen_chunks(s->seen, kind, ids, count, ret_found);
}

enum err session_beat(struct session *s)
{
    if (s->fenced)
        return err_set(ERR_FENCED,
                       "this backup was taken for dead and fenced (session %s): run it again",
                       hex_short(s->id.bytes).text);
    if (clock_monotonic_ns() < s->next_beat_ns || pthread_mutex_trylock(&s->beat_lock) != 0)
        return ERR_OK;
    enum err e = ERR_OK;
    if (clock_monotonic_ns() >= s->next_beat_ns) {
        /* After a long pause a heartbeat would only hide that we were away: look first. */
        e = fence_look(s);
        if (e == ERR_OK)
            e = beat_put(s);
        s->next_beat_ns = clock_monotonic_ns() + HEARTBEAT_NS;
    }
    pthread_mutex_unlock(&s->beat_lock);
    return e;
}

/* ---- commit ---- */

static void envelope_fill(const struct session *s, struct envelope *envelope)
{
    envelope->domain = s->domain->id;
    memcpy(envelope->service, s->service, sizeof envelope->service);
    memcpy(envelope->kind, s->kind, sizeof envelope->kind);
    envelope->writer = key_id_of(s->access->keys->signing.public);
    envelope->host = s->host.id;
    memcpy(envelope->host_name, s->host.name, sizeof envelope->host_name);
    envelope->session = s->id;
    snprintf(envelope->version, sizeof envelope->version, "%s", YORE_VERSION);
    envelope->number = s->lane.number;
    envelope->time = s->time;
    envelope->finished = clock_now();
}

/* What the index will say of it, but for its number there. */
static void info_fill(const struct envelope *envelope, const char *object,
                      const struct hash *sha256, struct snapshot_info *ret)
{
    *ret = (struct snapshot_info){
        .sha256 = *sha256,
        .domain = envelope->domain,
        .time = envelope->time,
        .finished = envelope->finished,
        .flags = envelope->flags,
        .writer = envelope->writer,
        .host = envelope->host,
        .session = envelope->session,
        .lane_number = envelope->number,
        .totals = envelope->totals,
        .root = envelope->root,
    };
    char name[TIME_TEXT_MAX];
    clock_format_compact(envelope->time, name);
    snprintf(ret->name, sizeof ret->name, "%.39s", name);
    snprintf(ret->object, sizeof ret->object, "%s", object);
    memcpy(ret->service, envelope->service, sizeof ret->service);
    memcpy(ret->kind, envelope->kind, sizeof ret->kind);
    memcpy(ret->host_name, envelope->host_name, sizeof ret->host_name);
}

static enum err info_see(void *context, const struct snapshot_info *info)
{
    struct snapshot_info *wanted = context;
    if (memcmp(info->sha256.bytes, wanted->sha256.bytes, 32) == 0)
        *wanted = *info;
    return ERR_OK;
}

/* The snapshot is there: what fails from here on is only worth a warning. */
static void commit_tell(struct session *s, struct snapshot_info *info)
{
    enum err e = end_put(s, OUTCOME_COMMITTED);
    if (e != ERR_OK)
        log_err(LOG_LEVEL_WARN, e, "the snapshot is safe, but its session could not be ended");
    e = index_sync(s->index, SYNC_SNAPSHOTS, NULL);
    if (e == ERR_OK)
        e = index_snapshots(s->index, s->service, info_see, info);
    if (e != ERR_OK)
        log_err(LOG_LEVEL_WARN, e, "the snapshot is safe, but the index does not know it yet");
}

enum err session_commit(struct session *s, struct envelope *envelope,
                        struct snapshot_info *ret_snapshot)
{
    envelope_fill(s, envelope);
    AUTO_MEM struct hash *heads = NULL; /* envelope_clear is the caller's: it gets its own copy */
    if (s->lane.count) {
        heads = calloc(s->lane.count, sizeof *heads);
        if (!heads)
            return err_set(ERR_NOMEM, "no memory for %zu heads", s->lane.count);
        memcpy(heads, s->lane.heads, s->lane.count * sizeof *heads);
    }
    free(envelope->heads);
    envelope->heads = TAKE(heads);
    envelope->head_count = s->lane.count;

    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    TRY(envelope_seal(s->access->keys, envelope, &object, &sha256));
    struct uid tag = service_tag(s->domain, s->service);
    struct object_name name = name_envelope(s->domain->id, &tag, s->time.secs, &sha256);

    TRY(store_put(s->access->store, name.text, buf_slice(&object), true));
    /* Only after the put: whoever fenced us before it may not have seen the snapshot. */
    TRY(fence_look(s));

    struct snapshot_info info;
    info_fill(envelope, name.text, &sha256, &info);
    commit_tell(s, &info);
    *ret_snapshot = info;
    return ERR_OK;
}
