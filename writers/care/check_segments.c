/* check: segments, and packs by name and size. */
#include <stdlib.h>

#include "fetch/crypto/digest.h"
#include "writers/care/check_inside.h"

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

uint64_t check_row_mark(const struct chunk_id *id, const struct frame_place *frame, uint32_t place, uint32_t length)
{
    uint64_t a, b, h = 0;
    memcpy(&a, id->bytes, 8);
    memcpy(&b, id->bytes + 8, 8);
    h = mix(mix(h, a), b);
    h = mix(h, (uint64_t)frame->offset << 32 | frame->stored_len);
    h = mix(h, (uint64_t)frame->raw_len << 32 | frame->counter);
    h = mix(h, (uint64_t)frame->key_record << 16 | (uint64_t)frame->compression << 8 | frame->has_base);
    return mix(h, (uint64_t)place << 32 | length);
}

/* Its pack rows, with what its chunk rows add up to. */
static enum err claims_take(struct check *c, const struct segment *s)
{
    AUTO_MEM struct pack_claim *claims = calloc(s->pack_count + 1, sizeof *claims);
    if (!claims)
        return err_set(ERR_NOMEM, "no memory to check a segment");
    for (size_t i = 0; i < s->pack_count; i++)
        claims[i] = (struct pack_claim){name_pack(s->domain, &s->packs[i].name), s->packs[i].size_bytes,
                                        s->packs[i].directory_sha256, 0, 0};
    for (size_t i = 0; i < s->row_count; i++) {
        const struct chunk_row *row = &s->rows[i];
        claims[row->pack].rows++;
        claims[row->pack].mark += check_row_mark(&row->id, &row->frame, row->place, row->length);
    }
    enum err e = ERR_OK;
    pthread_mutex_lock(&c->lock);
    if (c->claim_count + s->pack_count > c->claim_cap) {
        size_t cap = (c->claim_count + s->pack_count) * 2;
        struct pack_claim *grown = realloc(c->claims, cap * sizeof *grown);
        if (grown) {
            c->claims = grown;
            c->claim_cap = cap;
        } else {
            e = err_set(ERR_NOMEM, "no memory to check a segment");
        }
    }
    if (e == ERR_OK && s->pack_count) {
        memcpy(c->claims + c->claim_count, claims, s->pack_count * sizeof *claims);
        c->claim_count += s->pack_count;
    }
    pthread_mutex_unlock(&c->lock);
    return e;
}

static enum err segment_check(struct check *c, const char *name)
{
    AUTO(buf) object = BUF_EMPTY;
    AUTO(segment) s = {0};
    uint32_t domain;
    enum chunk_kind kind;
    struct uid session;
    struct hash named, found;
    TRY(name_parse_segment(name, &domain, &kind, &session, &named));
    TRY(store_get_all(c->access->store, name, SEGMENT_MAX_BYTES, &object));
    sha256_of(buf_slice(&object), found.bytes);
    if (memcmp(named.bytes, found.bytes, 32) != 0)
        return err_set(ERR_CORRUPT, "its SHA-256 is not the one in its name");
    TRY(segment_open(c->access->keys, buf_slice(&object), &s));
    if (s.domain != domain || s.kind != kind || memcmp(s.session.bytes, session.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "another segment in its place");
    struct domain_ref where = {c->access->head.store, domain};
    for (size_t i = 0; i < s.pack_count; i++) {
        const uint8_t *public;
        enum err e = access_find_writer(c->access, &s.packs[i].writer, &public);
        if (e == ERR_OK)
            e = pack_row_verify(&where, &s.packs[i], public);
        if (e != ERR_OK)
            return err_add(e, "row of %s", name_pack(domain, &s.packs[i].name).text);
    }
    atomic_fetch_add(&c->chunk_rows, s.row_count);
    return claims_take(c, &s);
}

static enum err segment_job(struct check *c, void *first, size_t i)
{
    const char *name = c->objects.all[*(size_t *)first + i].name;
    atomic_fetch_add(&c->segments, 1);
    enum err e = segment_check(c, name);
    return e == ERR_OK ? e : check_object_failed(c, name, e);
}

static int claims_compare(const void *a, const void *b)
{
    return strcmp(((const struct pack_claim *)a)->name.text, ((const struct pack_claim *)b)->name.text);
}

enum err check_segments(struct check *c)
{
    size_t first, end;
    check_range(c, "index/", &first, &end);
    TRY(check_parallel(c, end - first, segment_job, &first));
    if (c->claim_count)
        qsort(c->claims, c->claim_count, sizeof *c->claims, claims_compare);
    return ERR_OK;
}

/* ---- packs by name ---- */

/* Packs of the local index that are not whole in the list: their chunks must be looked for elsewhere. */
static enum err suspects_mark(struct check *c, const size_t first, const size_t end)
{
    for (uint32_t number = 1; number <= c->pack_max; number++) {
        struct fetch_pack pack;
        enum err e = index_pack(c->index, number, &pack);
        if (e == ERR_NOT_FOUND)
            continue;
        TRY(e);
        free(pack.keys);
        struct object_name name = name_pack(pack.domain, &pack.name);
        size_t low = first, high = end;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (strcmp(c->objects.all[middle].name, name.text) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        bool whole = low < end && strcmp(c->objects.all[low].name, name.text) == 0 && c->objects.all[low].size_bytes == pack.size_bytes;
        if (!whole)
            atomic_store(&c->suspect[number], 1);
    }
    return ERR_OK;
}

enum err check_pack_names(struct check *c)
{
    size_t first, end, claim = 0;
    check_range(c, "packs/", &first, &end);
    c->packs_there = end - first;
    for (size_t i = first; i < end || claim < c->claim_count;) {
        const struct object *there = i < end ? &c->objects.all[i] : NULL;
        const struct pack_claim *wanted = claim < c->claim_count ? &c->claims[claim] : NULL;
        int order = !there ? 1 : !wanted ? -1 : strcmp(there->name, wanted->name.text);
        if (order < 0) {
            c->orphans++;
            c->orphan_bytes += there->size_bytes;
            check_note(c, there->name, "in no segment: of a backup that runs, or was killed");
            i++;
            continue;
        }
        if (order > 0) {
            (void)err_set(ERR_NOT_FOUND, "segments name it, and it is missing");
            check_damage(c, wanted->name.text, ERR_CORRUPT);
        } else if (there->size_bytes != wanted->size_bytes) {
            (void)err_set(ERR_CORRUPT, "%llu bytes, not %llu", (unsigned long long)there->size_bytes,
                          (unsigned long long)wanted->size_bytes);
            check_damage(c, wanted->name.text, ERR_CORRUPT);
        }
        size_t same = claim + 1;
        while (same < c->claim_count && strcmp(c->claims[same].name.text, wanted->name.text) == 0)
            same++;
        claim = same;
        i += order == 0;
    }
    return suspects_mark(c, first, end);
}
