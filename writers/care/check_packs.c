/* check: packs, every byte of them. */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/file.h"
#include "fetch/base/log.h"
#include "fetch/crypto/digest.h"
#include "writers/care/check_inside.h"

/* A pack to be read. */
struct pack_ref {
    const struct object *object;
    struct hash sha256;  /* of its name: the order of sampling */
    uint32_t number;     /* in the local index; 0: in none, only its SHA-256 can be checked */
};

struct reading {
    struct pack_ref *packs;
    size_t count, first, wanted; /* wanted packs from first on, around the end */
};

/* ---- one pack ---- */

static const struct pack_claim *claims_of(const struct check *c, const char *name)
{
    size_t low = 0, high = c->claim_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(c->claims[middle].name.text, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->claim_count && strcmp(c->claims[low].name.text, name) == 0 ? &c->claims[low] : NULL;
}

/* Does every segment say of this pack what its own directory says? */
static enum err directory_check(const struct check *c, const char *name, const struct pack_directory *d, const struct hash *sha256)
{
    uint64_t mark = 0;
    for (size_t i = 0; i < d->frame_count; i++) {
        uint32_t place = 0;
        for (size_t k = d->frames[i].first_chunk; k < (size_t)d->frames[i].first_chunk + d->frames[i].chunk_count; k++) {
            mark += check_row_mark(&d->chunks[k].id, &d->frames[i].place, place, d->chunks[k].length);
            place += d->chunks[k].length;
        }
    }
    for (const struct pack_claim *claim = claims_of(c, name); claim && claim < c->claims + c->claim_count; claim++) {
        if (strcmp(claim->name.text, name) != 0)
            break;
        if (memcmp(claim->directory_sha256.bytes, sha256->bytes, 32) != 0)
            return err_set(ERR_CORRUPT, "its directory is not the one that a segment's signed row names");
        if (claim->rows != d->chunk_count || claim->mark != mark)
            return err_set(ERR_CORRUPT, "a segment's %llu rows differ from its directory of %zu chunks", (unsigned long long)claim->rows,
                           d->chunk_count);
    }
    return ERR_OK;
}

/* All chunks of one decoded frame are what they are named. */
static enum err names_check(const struct id_keys *keys, const struct frame_chunk *chunks, size_t count, const uint8_t *raw,
                            struct id_job *jobs, uint32_t frame_offset)
{
    for (size_t i = 0; i < count; i++) {
        jobs[i].data = slice_of(raw, chunks[i].length);
        raw += chunks[i].length;
    }
    chunk_ids(keys, jobs, count);
    for (size_t i = 0; i < count; i++)
        if (memcmp(jobs[i].id.bytes, chunks[i].id.bytes, 32) != 0)
            return err_set(ERR_CORRUPT, "chunk %s in the frame at %u holds %s", hex_of(chunks[i].id.bytes, 32).text, frame_offset,
                           hex_short(jobs[i].id.bytes).text);
    return ERR_OK;
}

static enum err frame_check(struct check *c, const struct pack_keys *keys, struct slice object, const struct pack_directory *d,
                            const struct pack_frame *frame, const struct id_keys *ids, uint8_t *raw, struct id_job *jobs)
{
    const struct frame_place *place = &frame->place;
    if (place->key_record >= keys->count)
        return err_set(ERR_CORRUPT, "frame at %u names key record %u of %zu", place->offset, place->key_record, keys->count);
    const struct pack_key *key = &keys->keys[place->key_record];
    if (!key->opened)
        return err_raise(&key->why);
    AUTO(chunk_ref) base = CHUNK_REF_EMPTY;
    if (place->has_base)
        TRY(err_add(reader_chunk(c->reader, keys->info.domain, keys->info.kind, &place->base, &base), "base of the frame at %u",
                    place->offset));
    struct frame_binding binding = keys->binding;
    binding.origin = key->origin;
    struct slice stored = slice_of(object.data + place->offset, place->stored_len);
    TRY(err_add(frame_open(&binding, key->key, place, stored, base.bytes, raw), "frame at %u", place->offset));
    atomic_fetch_add_explicit(&c->chunks_read, frame->chunk_count, memory_order_relaxed);
    return names_check(ids, d->chunks + frame->first_chunk, frame->chunk_count, raw, jobs, place->offset);
}

static enum err frames_check(struct check *c, const struct pack_keys *keys, struct slice object, const struct pack_directory *d)
{
    const struct domain_keys *domain;
    TRY(keyring_find_domain(c->access->keys, keys->info.domain, &domain));
    const struct id_keys *ids = domain_ids(domain, keys->info.kind);
    size_t most = 0;
    for (size_t i = 0; i < d->frame_count; i++)
        most = d->frames[i].chunk_count > most ? d->frames[i].chunk_count : most;
    AUTO_MEM uint8_t *raw = malloc(CHUNK_MAX_BYTES);
    AUTO_MEM struct id_job *jobs = calloc(most + 1, sizeof *jobs);
    if (!raw || !jobs)
        return err_set(ERR_NOMEM, "no memory to check a pack");
    for (size_t i = 0; i < d->frame_count; i++)
        TRY(frame_check(c, keys, object, d, &d->frames[i], ids, raw, jobs));
    return ERR_OK;
}

static enum err pack_check(struct check *c, const struct pack_ref *p)
{
    AUTO(buf) object = BUF_EMPTY;
    AUTO(pack_header) header = {0};
    AUTO(pack_directory) directory = {0};
    struct hash found;
    const struct pack_keys *keys;
    size_t need;
    TRY(store_get_all(c->access->store, p->object->name, PACK_MAX_BYTES, &object));
    check_progress(c, object.len);
    sha256_of(buf_slice(&object), found.bytes);
    if (memcmp(found.bytes, p->sha256.bytes, 32) != 0)
        return err_set(ERR_CORRUPT, "its SHA-256 is not the one in its name");
    if (p->number == 0)
        return ERR_OK;
    TRY(packs_get(c->packs, p->number, &keys));
    enum err e = pack_header_parse(buf_slice(&object), &header, &need);
    if (e == ERR_AGAIN)
        e = err_set(ERR_CORRUPT, "its header is larger than the pack");
    TRY(e);
    if (header.domain != keys->info.domain || header.kind != keys->info.kind ||
        memcmp(header.store.bytes, c->access->head.store.bytes, 16) != 0 ||
        memcmp(header.uid.bytes, keys->keys[0].origin.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "its header is of another pack");
    if (!keys->keys[0].opened)
        return err_raise(&keys->keys[0].why);
    if ((uint64_t)header.directory_offset + header.directory_len > object.len)
        return err_set(ERR_CORRUPT, "its directory lies outside of it");
    struct slice sealed = slice_of(object.data + header.directory_offset, header.directory_len);
    TRY(pack_directory_open(&header, keys->keys[0].key, sealed, object.len, &directory, &found));
    TRY(directory_check(c, p->object->name, &directory, &found));
    return frames_check(c, keys, buf_slice(&object), &directory);
}

static enum err pack_job(struct check *c, void *context, size_t i)
{
    const struct reading *r = context;
    const struct pack_ref *p = &r->packs[(r->first + i) % r->count];
    atomic_fetch_add(&c->packs_read, 1);
    enum err e = pack_check(c, p);
    if (e == ERR_OK)
        return ERR_OK;
    if (p->number)
        atomic_store(&c->suspect[p->number], 1);
    return check_object_failed(c, p->object->name, e);
}

/* ---- which packs ---- */

static int refs_compare(const void *a, const void *b)
{
    return memcmp(((const struct pack_ref *)a)->sha256.bytes, ((const struct pack_ref *)b)->sha256.bytes, 32);
}

struct numbered {
    struct object_name name;
    uint32_t number;
};

static int numbered_compare(const void *a, const void *b)
{
    return strcmp(((const struct numbered *)a)->name.text, ((const struct numbered *)b)->name.text);
}

/* The numbers of all packs that the local index knows, by name. */
static enum err numbers_load(struct check *c, struct numbered **ret_all, size_t *ret_count)
{
    struct numbered *all = calloc((size_t)c->pack_max + 1, sizeof *all);
    size_t count = 0;
    if (!all)
        return err_set(ERR_NOMEM, "no memory to check packs");
    for (uint32_t number = 1; number <= c->pack_max; number++) {
        struct fetch_pack pack;
        if (index_pack(c->index, number, &pack) != ERR_OK)
            continue;
        free(pack.keys);
        all[count++] = (struct numbered){name_pack(pack.domain, &pack.name), number};
    }
    qsort(all, count, sizeof *all, numbered_compare);
    *ret_all = all;
    *ret_count = count;
    return ERR_OK;
}

static enum err refs_load(struct check *c, struct reading *r)
{
    AUTO_MEM struct numbered *numbers = NULL;
    size_t first, end, number_count = 0;
    check_range(c, "packs/", &first, &end);
    TRY(numbers_load(c, &numbers, &number_count));
    r->packs = calloc(end - first + 1, sizeof *r->packs);
    if (!r->packs)
        return err_set(ERR_NOMEM, "no memory to check packs");
    for (size_t i = first; i < end; i++) {
        struct pack_ref *p = &r->packs[r->count];
        struct pack_name name;
        uint32_t domain;
        struct numbered key;
        enum err e = name_parse_pack(c->objects.all[i].name, &domain, &name);
        if (e != ERR_OK) {
            TRY(check_object_failed(c, c->objects.all[i].name, e));
            continue;
        }
        key.name = name_pack(domain, &name);
        const struct numbered *found = bsearch(&key, numbers, number_count, sizeof *numbers, numbered_compare);
        *p = (struct pack_ref){&c->objects.all[i], name.sha256, found ? found->number : 0};
        r->count++;
    }
    qsort(r->packs, r->count, sizeof *r->packs, refs_compare);
    return ERR_OK;
}

/* ---- a part of all, another each time ---- */

static enum err cursor_path(const struct check *c, struct buf *ret_path)
{
    buf_put_format(ret_path, "%s/check-cursor", c->options->state_dir);
    buf_put_u8(ret_path, 0);
    return buf_check(ret_path);
}

/* Behind the pack that was checked last. Names are hashes: their order is random, and so is each part. */
static void cursor_read(const struct check *c, struct reading *r)
{
    AUTO(buf) path = BUF_EMPTY, text = BUF_EMPTY;
    struct pack_ref last;
    r->first = 0;
    if (!c->options->state_dir || cursor_path(c, &path) != ERR_OK ||
        file_read_all((const char *)path.data, 1024, &text) != ERR_OK || text.len < 64 ||
        !hex_parse((const char *)text.data, 64, last.sha256.bytes, 32))
        return;
    while (r->first < r->count && refs_compare(&r->packs[r->first], &last) <= 0)
        r->first++;
    if (r->first == r->count)
        r->first = 0;
}

static void cursor_write(const struct check *c, const struct reading *r)
{
    AUTO(buf) path = BUF_EMPTY, text = BUF_EMPTY;
    if (!c->options->state_dir || r->wanted == 0)
        return;
    const struct pack_ref *last = &r->packs[(r->first + r->wanted - 1) % r->count];
    buf_put_format(&text, "%s\n", hex_of(last->sha256.bytes, 32).text);
    enum err e = cursor_path(c, &path);
    if (e == ERR_OK)
        e = file_write_atomic((const char *)path.data, buf_slice(&text), 0600);
    if (e != ERR_OK)
        log_err(LOG_LEVEL_WARN, e, "where the check got to is not remembered");
}

enum err check_pack_bytes(struct check *c)
{
    struct reading r = {0};
    enum err e = refs_load(c, &r);
    if (e == ERR_OK && r.count) {
        r.wanted = (r.count * c->options->read_percent + 99) / 100;
        if (r.wanted < r.count)
            cursor_read(c, &r);
        for (size_t i = 0; i < r.wanted; i++)
            c->total_bytes += r.packs[(r.first + i) % r.count].object->size_bytes;
        e = check_parallel(c, r.wanted, pack_job, &r);
        if (e == ERR_OK && r.wanted < r.count)
            cursor_write(c, &r);
    }
    free(r.packs);
    return e;
}
