/* Segments of the store into runs of the local index; and packs by their own directories, for who has only the recovery key. */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/log.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/secret.h"
#include "index/index_inside.h"
#include "index/merge.h"

/* Rows held in memory at once: some 60 MB. */
enum { BATCH_ROWS = 1 << 19, BATCH_OBJECTS = 4096, PACK_HEADER_GUESS = 4096 };

/* ---- a batch: objects of one domain and kind that become one run ---- */

struct intake {
    struct row_source source; /* first: merge.h hands us this */
    char object[192];
    struct segment segment;
    uint32_t *packs;          /* their numbers; 0: not to be used */
    struct hash trust;        /* when has_trust: rows were left out for lack of these certificates */
    bool has_trust, recovered;
    size_t at;
};

struct batch {
    uint32_t domain;
    enum chunk_kind kind;
    struct intake **items;
    size_t count, rows;
};

static void intake_free(struct intake *item)
{
    if (!item)
        return;
    segment_clear(&item->segment);
    free(item->packs);
    free(item);
}
DEFINE_AUTO_PTR(intake);

static void batch_empty(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        intake_free(batch->items[i]);
    batch->count = batch->rows = 0;
}

static void batch_clear(struct batch *batch)
{
    batch_empty(batch);
    free(batch->items);
    batch->items = NULL;
}

static enum err intake_next(struct row_source *source, struct run_row *ret_row, struct chunk_id *ret_base, bool *ret_more)
{
    struct intake *item = (struct intake *)source;
    const struct segment *s = &item->segment;
    while (item->at < s->row_count && item->packs[s->rows[item->at].pack] == 0)
        item->at++;
    *ret_more = item->at < s->row_count;
    if (*ret_more) {
        const struct chunk_row *row = &s->rows[item->at++];
        run_row_encode(row, item->packs[row->pack], ret_row);
        *ret_base = row->frame.base;
    }
    return ERR_OK;
}

/* ---- which rows may be used ---- */

/* What the certificates are at this moment, in one value. */
static struct hash trust_now(const struct access *access)
{
    struct sha256 sha;
    struct hash trust;
    sha256_init(&sha);
    for (size_t i = 0; i < access->cert_count; i++)
        sha256_update(&sha, slice_of(access->certs[i].key_id.bytes, 16));
    sha256_final(&sha, trust.bytes);
    return trust;
}

static enum err check_pack(const struct sync *sync, uint32_t domain, const struct pack_row *row)
{
    struct domain_ref where = {sync->access->head.store, domain};
    const uint8_t *public_key;
    TRY(access_find_writer(sync->access, &row->writer, &public_key));
    return pack_row_verify(&where, row, public_key);
}

/* Marks packs that nobody certified signed. */
static void check_packs(struct sync *sync, struct intake *item)
{
    const struct segment *s = &item->segment;
    for (size_t i = 0; i < s->pack_count; i++) {
        enum err e = check_pack(sync, s->domain, &s->packs[i]);
        item->packs[i] = e == ERR_OK;
        if (e == ERR_OK)
            continue;
        sync_note_damaged(sync, name_pack(s->domain, &s->packs[i].name).text, e);
        item->has_trust = true;
        item->trust = trust_now(sync->access);
    }
}

static enum err intake_make(const char *object, struct segment *take_segment, struct intake **ret_intake)
{
    AUTO_PTR(intake) item = calloc(1, sizeof *item);
    if (!item)
        return err_set(ERR_NOMEM, "no memory for a segment");
    item->segment = *take_segment;
    *take_segment = (struct segment){0};
    item->source.next = intake_next;
    snprintf(item->object, sizeof item->object, "%s", object);
    item->packs = calloc(item->segment.pack_count + 1, sizeof *item->packs);
    if (!item->packs)
        return err_set(ERR_NOMEM, "no memory for a segment");
    *ret_intake = TAKE(item);
    return ERR_OK;
}

static enum err segment_intake(struct sync *sync, const char *name, struct slice object, struct intake **ret_intake)
{
    AUTO(segment) segment = {0};
    uint32_t domain;
    enum chunk_kind kind;
    struct uid session;
    struct hash sha256;
    TRY(name_parse_segment(name, &domain, &kind, &session, &sha256));
    TRY(segment_open(sync->access->keys, object, &segment));
    if (segment.domain != domain || segment.kind != kind || memcmp(segment.session.bytes, session.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "it is another segment than its name says");
    TRY(intake_make(name, &segment, ret_intake));
    check_packs(sync, *ret_intake);
    return ERR_OK;
}

static enum err read_segment(struct sync *sync, const char *name, struct intake **ret_intake)
{
    AUTO(buf) object = BUF_EMPTY;
    uint32_t domain;
    enum chunk_kind kind;
    struct uid session;
    struct hash sha256;
    TRY(name_parse_segment(name, &domain, &kind, &session, &sha256));
    TRY(sync_get(sync, name, SEGMENT_MAX_BYTES, &sha256, &object));
    return segment_intake(sync, name, buf_slice(&object), ret_intake);
}

/* ---- by recovery key: a pack speaks for itself ---- */

static enum err read_header(struct sync *sync, const char *name, uint64_t size, struct pack_header *ret_header)
{
    size_t want = size < PACK_HEADER_GUESS ? (size_t)size : PACK_HEADER_GUESS;
    for (int tries = 0; tries < 3; tries++) {
        AUTO(buf) start = BUF_EMPTY;
        size_t need = 0;
        TRY(store_get(sync->access->store, name, 0, want, &start));
        enum err e = pack_header_parse(buf_slice(&start), ret_header, &need);
        if (e != ERR_AGAIN)
            return e;
        if (need > size)
            break;
        want = need;
    }
    return err_set(ERR_CORRUPT, "its header is larger than it");
}

static enum err read_directory(struct sync *sync, const char *name, uint64_t size, struct pack_header *ret_header,
                               struct pack_directory *ret_directory)
{
    AUTO(buf) sealed = BUF_EMPTY;
    uint8_t key[32];
    TRY(read_header(sync, name, size, ret_header));
    if (memcmp(ret_header->store.bytes, sync->access->head.store.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "a pack of another store");
    TRY(pack_key_open_recovery(sync->access->keys, ret_header->domain, &ret_header->records[0].origin, ret_header->records[0].sealed,
                               key));
    enum err e = store_get(sync->access->store, name, ret_header->directory_offset, ret_header->directory_len, &sealed);
    if (e == ERR_OK)
        e = pack_directory_open(ret_header, key, buf_slice(&sealed), size, ret_directory, NULL);
    secret_wipe(key, sizeof key);
    return e;
}

static int by_id(const void *left, const void *right)
{
    const struct chunk_row *a = left, *b = right;
    return memcmp(a->id.bytes, b->id.bytes, sizeof a->id.bytes);
}

static enum err directory_rows(const struct pack_directory *d, struct segment *s)
{
    s->rows = calloc(d->chunk_count + 1, sizeof *s->rows);
    if (!s->rows)
        return err_set(ERR_NOMEM, "no memory for %zu rows", d->chunk_count);
    for (size_t i = 0; i < d->frame_count; i++) {
        const struct pack_frame *f = &d->frames[i];
        uint32_t place = 0;
        for (size_t k = 0; k < f->chunk_count; k++) {
            const struct frame_chunk *chunk = &d->chunks[f->first_chunk + k];
            s->rows[s->row_count++] =
                (struct chunk_row){.id = chunk->id, .frame = f->place, .place = place, .length = chunk->length};
            place += chunk->length;
        }
    }
    qsort(s->rows, s->row_count, sizeof *s->rows, by_id);
    return ERR_OK;
}

/* The pack as a segment of one pack without keys: fetch takes those from the header too. */
static enum err read_pack(struct sync *sync, const char *name, uint64_t size, struct intake **ret_intake)
{
    AUTO(pack_header) header = {0};
    AUTO(pack_directory) directory = {0};
    AUTO(segment) segment = {0};
    uint32_t domain;
    struct pack_name pack;
    TRY(name_parse_pack(name, &domain, &pack));
    if (size > PACK_MAX_BYTES)
        return err_set(ERR_CORRUPT, "a pack of %llu bytes", (unsigned long long)size);
    TRY(read_directory(sync, name, size, &header, &directory));
    if (header.domain != domain)
        return err_set(ERR_CORRUPT, "a pack of another domain");
    segment.domain = domain;
    segment.kind = header.kind;
    segment.session = pack.session;
    TRY(directory_rows(&directory, &segment));
    segment.packs = calloc(1, sizeof *segment.packs);
    if (!segment.packs)
        return err_set(ERR_NOMEM, "no memory for a pack");
    segment.packs[0] = (struct pack_row){.name = pack, .size_bytes = size, .uid = header.uid};
    segment.pack_count = 1;
    TRY(intake_make(name, &segment, ret_intake));
    (*ret_intake)->recovered = true;
    (*ret_intake)->packs[0] = 1;
    return ERR_OK;
}

/* ---- a batch becomes a run ---- */

static enum err number_packs(struct sync *sync, struct intake *item)
{
    for (size_t i = 0; i < item->segment.pack_count; i++) {
        const struct pack_row *row = &item->segment.packs[i];
        struct catalog_pack pack = {item->segment.domain, item->segment.kind, row->name, row->size_bytes, row->keys, row->key_count};
        if (item->packs[i])
            TRY(catalog_put_pack(sync->catalog, &pack, &item->packs[i]));
    }
    return ERR_OK;
}

static enum err batch_number_packs(struct sync *sync, struct batch *batch)
{
    AUTO(transaction) transaction = TRANSACTION_NONE;
    TRY(sync_begin(sync, &transaction));
    for (size_t i = 0; i < batch->count; i++)
        TRY(number_packs(sync, batch->items[i]));
    return transaction_commit(&transaction);
}

static enum err batch_write_run(struct sync *sync, struct batch *batch, struct run_info *run)
{
    AUTO_PTR(run_writer) writer = NULL;
    AUTO_MEM struct row_source **sources = calloc(batch->count + 1, sizeof *sources);
    if (!sources)
        return err_set(ERR_NOMEM, "no memory for %zu segments", batch->count);
    for (size_t i = 0; i < batch->count; i++)
        sources[i] = &batch->items[i]->source;
    TRY(catalog_next_run(sync->catalog, &run->number));
    TRY(run_writer_new(sync->index->runs_dir, run, &writer));
    TRY(merge_rows(sources, batch->count, writer));
    return run_writer_finish(writer, &run->rows);
}

static enum err batch_publish(struct sync *sync, struct batch *batch, const struct run_info *run)
{
    AUTO(transaction) transaction = TRANSACTION_NONE;
    TRY(sync_begin(sync, &transaction));
    if (run->rows)
        TRY(catalog_put_run(sync->catalog, run));
    for (size_t i = 0; i < batch->count; i++) {
        const struct intake *item = batch->items[i];
        TRY(catalog_put_segment(sync->catalog, batch->domain, item->object, item->has_trust ? &item->trust : NULL, item->packs,
                                item->segment.pack_count));
    }
    return transaction_commit(&transaction);
}

static enum err batch_flush(struct sync *sync, struct batch *batch)
{
    if (batch->count == 0)
        return ERR_OK;
    struct run_info run = {.cache = sync->catalog->cache, .domain = batch->domain, .kind = batch->kind, .rows = batch->rows};
    TRY(batch_number_packs(sync, batch));
    if (batch->rows)
        TRY(batch_write_run(sync, batch, &run));
    TRY(batch_publish(sync, batch, &run));
    sync->report.chunk_rows += run.rows;
    for (size_t i = 0; i < batch->count; i++)
        sync->report.segments_new += !batch->items[i]->recovered;
    batch_empty(batch);
    return sync_merge(sync, batch->domain, batch->kind, false);
}

/* The last of a batch, and what remains to be tidied. */
static enum err batch_finish(struct sync *sync, struct batch *batch)
{
    TRY(batch_flush(sync, batch));
    return sync_merge(sync, batch->domain, batch->kind, true);
}

static enum err batch_add(struct sync *sync, struct batch *batch, struct intake *take_intake)
{
    AUTO_PTR(intake) item = take_intake;
    if (!batch->items)
        batch->items = calloc(BATCH_OBJECTS, sizeof *batch->items);
    if (!batch->items)
        return err_set(ERR_NOMEM, "no memory for segments");
    batch->rows += item->segment.row_count;
    batch->items[batch->count++] = TAKE(item);
    return batch->rows >= BATCH_ROWS || batch->count == BATCH_OBJECTS ? batch_flush(sync, batch) : ERR_OK;
}

/* ---- listing ---- */

/* What the catalog has under a prefix against the names of the store. */
static enum err compare(struct sync *sync, const char *prefix, const struct name_list *names, struct difference *ret_difference)
{
    AUTO_PTR(query) rows = NULL;
    char end[64];
    struct hash trust = trust_now(sync->access);
    /* '0' follows '/'. */
    snprintf(end, sizeof end, "%.*s0", (int)strlen(prefix) - 1, prefix);
    TRY(query_new(sync->catalog->db,
                  "SELECT id, object, trust IS NOT NULL AND trust <> ? FROM segments WHERE object >= ? AND object < ? ORDER BY object",
                  &rows));
    query_set_bytes(rows, 1, slice_of(trust.bytes, sizeof trust.bytes));
    query_set_text(rows, 2, prefix);
    query_set_text(rows, 3, end);
    return difference_find(rows, names, ret_difference);
}

static enum err drop_gone(struct sync *sync, const struct difference *difference)
{
    AUTO(transaction) transaction = TRANSACTION_NONE;
    if (difference->gone_count == 0)
        return ERR_OK;
    TRY(sync_begin(sync, &transaction));
    TRY(catalog_drop_segments(sync->catalog, difference->gone, difference->gone_count));
    return transaction_commit(&transaction);
}

/* New segments first, then the old are dropped: compaction never leaves a moment without rows. */
static enum err sync_segments(struct sync *sync, uint32_t domain, enum chunk_kind kind)
{
    AUTO(name_list) names = {0};
    AUTO(difference) difference = {0};
    AUTO(batch) batch = {.domain = domain, .kind = kind};
    char prefix[32];
    snprintf(prefix, sizeof prefix, "index/%08x/%c/", domain, kind == CHUNK_TREE ? 't' : 'd');
    TRY(store_names(sync->access->store, prefix, &names));
    TRY(compare(sync, prefix, &names, &difference));
    for (size_t i = 0; i < difference.fresh_count; i++) {
        const char *name = names.names[difference.fresh[i]];
        struct intake *item = NULL;
        enum err e = read_segment(sync, name, &item);
        if (e == ERR_NOT_FOUND)
            continue; /* compacted since it was listed */
        if (sync_is_objects_own(e)) {
            sync_note_damaged(sync, name, e);
            continue;
        }
        TRY(e);
        TRY(batch_add(sync, &batch, item));
    }
    TRY(batch_finish(sync, &batch));
    sync->report.segments_gone += difference.gone_count;
    return drop_gone(sync, &difference);
}

static enum err pack_is_named(struct query *find, const char *name, bool *ret_named)
{
    uint32_t domain;
    struct pack_name pack;
    *ret_named = false;
    if (name_parse_pack(name, &domain, &pack) != ERR_OK)
        return ERR_OK; /* reading it says what is wrong */
    query_set(find, 1, domain);
    query_set_bytes(find, 2, slice_of(pack.session.bytes, 16));
    query_set_bytes(find, 3, slice_of(pack.sha256.bytes, 32));
    TRY(query_step(find, ret_named));
    query_reset(find);
    return ERR_OK;
}

/* Packs that no segment names: with index/ deleted, all. */
static enum err sync_packs(struct sync *sync, uint32_t domain)
{
    AUTO(name_list) names = {0};
    AUTO(difference) difference = {0};
    AUTO(batch) data = {.domain = domain, .kind = CHUNK_DATA};
    AUTO(batch) tree = {.domain = domain, .kind = CHUNK_TREE};
    AUTO_PTR(query) find = NULL;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "packs/%08x/", domain);
    TRY(store_names(sync->access->store, prefix, &names));
    TRY(compare(sync, prefix, &names, &difference));
    TRY(query_new(sync->catalog->db, "SELECT 1 FROM packs WHERE domain = ? AND kind IN (1, 2) AND session = ? AND sha256 = ? AND NOT gone",
                  &find));
    for (size_t i = 0; i < difference.fresh_count; i++) {
        const char *name = names.names[difference.fresh[i]];
        struct intake *item = NULL;
        bool named;
        TRY(pack_is_named(find, name, &named));
        if (named)
            continue;
        enum err e = read_pack(sync, name, names.sizes[difference.fresh[i]], &item);
        if (e == ERR_NOT_FOUND)
            continue;
        if (sync_is_objects_own(e)) {
            sync_note_damaged(sync, name, e);
            continue;
        }
        TRY(e);
        TRY(batch_add(sync, item->segment.kind == CHUNK_TREE ? &tree : &data, item));
    }
    TRY(batch_finish(sync, &data));
    TRY(batch_finish(sync, &tree));
    return drop_gone(sync, &difference);
}

enum err sync_chunks(struct sync *sync)
{
    const struct keyring *keys = sync->access->keys;
    for (size_t i = 0; i < keys->domain_count; i++) {
        TRY(sync_segments(sync, keys->domains[i].id, CHUNK_DATA));
        TRY(sync_segments(sync, keys->domains[i].id, CHUNK_TREE));
        if (sync->access->by_recovery || sync->access->recovered)
            TRY(sync_packs(sync, keys->domains[i].id));
    }
    return ERR_OK;
}

enum err sync_one_segment(struct sync *sync, const char *object_name, struct slice object)
{
    struct intake *item = NULL;
    TRY(segment_intake(sync, object_name, object, &item));
    AUTO(batch) batch = {.domain = item->segment.domain, .kind = item->segment.kind};
    TRY(batch_add(sync, &batch, item));
    return batch_finish(sync, &batch);
}
