/* segment, the writing half. */
#include <stdlib.h>

#include "fetch/base/rand.h"
#include "fetch/crypto/aead.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/kdf.h"
#include "fetch/format/segment_inside.h"

struct segment_builder {
    const struct keyring *keys; /* borrowed */
    const struct domain_keys *domain;
    enum chunk_kind kind;
    struct uid uid, session;
    struct chunk_row *rows;
    size_t row_count, row_cap;
    struct buf packs;      /* encoded pack rows */
    size_t pack_count;
    size_t pack_ends_cap;
    size_t *pack_ends;     /* [i]: where row i ends in packs */
};

enum err segment_builder_new(const struct keyring *keys, uint32_t domain, enum chunk_kind kind, const struct uid *session,
                             struct segment_builder **ret_builder)
{
    AUTO_PTR(segment_builder) b = calloc(1, sizeof *b);
    if (!b)
        return err_set(ERR_NOMEM, "no memory for a segment");
    b->keys = keys;
    TRY(keyring_find_domain(keys, domain, &b->domain));
    b->kind = kind;
    b->session = *session;
    rand_bytes(b->uid.bytes, sizeof b->uid.bytes);
    *ret_builder = TAKE(b);
    return ERR_OK;
}

void segment_builder_free(struct segment_builder *b)
{
    if (!b)
        return;
    free(b->rows);
    free(b->pack_ends);
    buf_clear(&b->packs);
    free(b);
}

size_t segment_builder_rows(const struct segment_builder *b)
{
    return b->row_count;
}

static enum err rows_grow(struct segment_builder *b, size_t more)
{
    if (b->row_count + more > b->row_cap) {
        size_t cap = (b->row_count + more) * 2;
        struct chunk_row *grown = realloc(b->rows, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu index rows", cap);
        b->rows = grown;
        b->row_cap = cap;
    }
    if (b->pack_count == b->pack_ends_cap) {
        size_t cap = b->pack_ends_cap ? b->pack_ends_cap * 2 : 16;
        size_t *grown = realloc(b->pack_ends, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu packs", cap);
        b->pack_ends = grown;
        b->pack_ends_cap = cap;
    }
    return ERR_OK;
}

void pack_row_signed_bytes(const struct domain_ref *where, const struct pack_name *name, const struct hash *directory,
                           struct buf *out)
{
    buf_put(out, "yore/1/pack", 12); /* with its end mark */
    buf_put(out, where->store.bytes, 16);
    buf_put_u32(out, where->domain);
    buf_put(out, name->session.bytes, 16);
    buf_put(out, name->sha256.bytes, 32);
    buf_put(out, directory->bytes, 32);
}

static enum err pack_row_encode(struct segment_builder *b, const struct pack_sealed *pack)
{
    struct domain_ref where = {b->keys->store, b->domain->id};
    uint32_t epoch;
    uint8_t sealed[SEALED_KEY_BYTES], signature[64];
    TRY(pack_key_seal_epoch(b->keys, b->domain->id, b->kind, &pack->uid, pack->key, &epoch, sealed));
    AUTO(buf) claim = BUF_EMPTY;
    pack_row_signed_bytes(&where, &pack->name, &pack->directory_sha256, &claim);
    TRY(buf_check(&claim));
    if (!b->keys->has_signing)
        return err_set(ERR_NO_KEY, "these keys may not write: no signing key");
    TRY(sign_make(&b->keys->signing, buf_slice(&claim), signature));
    struct uid writer = key_id_of(b->keys->signing.public);

    struct buf *out = &b->packs;
    buf_put_u32(out, (uint32_t)b->pack_count);
    buf_put(out, pack->name.session.bytes, 16);
    buf_put(out, pack->name.sha256.bytes, 32);
    buf_put_u64(out, pack->object.len);
    buf_put(out, pack->uid.bytes, 16);
    buf_put_u16(out, 1);
    buf_put(out, pack->uid.bytes, 16);
    buf_put_u32(out, epoch);
    buf_put(out, sealed, sizeof sealed);
    buf_put(out, writer.bytes, 16);
    buf_put(out, pack->directory_sha256.bytes, 32);
    buf_put(out, signature, sizeof signature);
    buf_put_varint(out, 0); /* no fields */
    TRY(buf_check(out));
    b->pack_ends[b->pack_count] = out->len;
    return ERR_OK;
}

enum err segment_builder_add(struct segment_builder *b, const struct pack_sealed *pack)
{
    const struct pack_directory *d = &pack->directory;
    TRY(rows_grow(b, d->chunk_count));
    TRY(pack_row_encode(b, pack));
    for (size_t i = 0; i < d->frame_count; i++) {
        const struct pack_frame *f = &d->frames[i];
        uint32_t place = 0;
        for (size_t k = 0; k < f->chunk_count; k++) {
            const struct frame_chunk *chunk = &d->chunks[f->first_chunk + k];
            b->rows[b->row_count++] = (struct chunk_row){
                .id = chunk->id, .pack = (uint32_t)b->pack_count, .frame = f->place, .place = place, .length = chunk->length};
            place += chunk->length;
        }
    }
    b->pack_count++;
    return ERR_OK;
}

static int row_compare(const void *left, const void *right)
{
    const struct chunk_row *a = left, *b = right;
    int order = memcmp(a->id.bytes, b->id.bytes, sizeof a->id.bytes);
    if (order)
        return order;
    if (a->pack != b->pack)
        return a->pack < b->pack ? -1 : 1;
    return (a->frame.offset > b->frame.offset) - (a->frame.offset < b->frame.offset);
}

/* ---- sealing: blocks first in a list, since the header that seals them names the footer's place ---- */

struct block {
    enum segment_block kind;
    struct buf plain;
    uint32_t rows;
    struct chunk_id first;
};

struct blocks {
    struct block *list;
    size_t count, cap;
};

static void blocks_clear(struct blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++)
        buf_clear(&blocks->list[i].plain);
    free(blocks->list);
}

static enum err blocks_add(struct blocks *blocks, enum segment_block kind, struct block **ret_block)
{
    if (blocks->count == blocks->cap) {
        size_t cap = blocks->cap ? blocks->cap * 2 : 16;
        struct block *grown = realloc(blocks->list, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu pages", cap);
        blocks->list = grown;
        blocks->cap = cap;
    }
    *ret_block = &blocks->list[blocks->count++];
    **ret_block = (struct block){.kind = kind};
    return ERR_OK;
}

static enum err chunk_pages(struct segment_builder *b, struct blocks *blocks)
{
    qsort(b->rows, b->row_count, sizeof *b->rows, row_compare);
    for (size_t at = 0; at < b->row_count;) {
        /* As many rows as fit: each takes 64 bytes, and 36 more with a base. */
        size_t n = 0, bases = 0, bytes = 4 + 4 + 1;
        while (at + n < b->row_count) {
            size_t more = SEGMENT_ROW_BYTES + (b->rows[at + n].frame.has_base ? 36 : 0);
            if (bytes + more > SEGMENT_PAGE_BYTES)
                break;
            bytes += more;
            bases += b->rows[at + n].frame.has_base;
            n++;
        }
        struct block *page;
        TRY(blocks_add(blocks, SEGMENT_CHUNKS, &page));
        page->rows = (uint32_t)n;
        page->first = b->rows[at].id;
        TRY(buf_reserve(&page->plain, bytes));
        buf_put_u32(&page->plain, (uint32_t)n);
        for (size_t i = 0; i < n; i++) {
            uint8_t row[SEGMENT_ROW_BYTES];
            chunk_row_encode(&b->rows[at + i], row);
            buf_put(&page->plain, row, sizeof row);
        }
        buf_put_u32(&page->plain, (uint32_t)bases);
        for (size_t i = 0; i < n; i++) {
            if (!b->rows[at + i].frame.has_base)
                continue;
            buf_put_u32(&page->plain, (uint32_t)i);
            buf_put(&page->plain, b->rows[at + i].frame.base.bytes, 32);
        }
        buf_put_varint(&page->plain, 0);
        TRY(buf_check(&page->plain));
        at += n;
    }
    return ERR_OK;
}

static enum err filter_block(const struct segment_builder *b, struct blocks *blocks)
{
    struct block *block;
    TRY(blocks_add(blocks, SEGMENT_FILTER, &block));
    uint32_t words = (uint32_t)((b->row_count * FILTER_BITS_A_ROW + 63) / 64);
    if (words == 0)
        words = 1;
    buf_put_u32(&block->plain, FILTER_HASHES);
    buf_put_u32(&block->plain, words);
    buf_put_zeros(&block->plain, (size_t)words * 8);
    TRY(buf_check(&block->plain));
    uint8_t *bits = block->plain.data + 8;
    for (size_t i = 0; i < b->row_count; i++) {
        struct cursor c = cursor_of(slice_of(b->rows[i].id.bytes, 16));
        uint64_t h1 = cursor_u64(&c), h2 = cursor_u64(&c) | 1;
        for (uint32_t k = 0; k < FILTER_HASHES; k++) {
            uint64_t bit = (h1 + k * h2) % ((uint64_t)words * 64);
            bits[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
    }
    return ERR_OK;
}

static enum err pack_pages(const struct segment_builder *b, struct blocks *blocks)
{
    for (size_t at = 0; at < b->pack_count;) {
        size_t begin = at ? b->pack_ends[at - 1] : 0, n = 0;
        while (at + n < b->pack_count && (n == 0 || b->pack_ends[at + n] - begin + 4 <= SEGMENT_PAGE_BYTES))
            n++;
        struct block *page;
        TRY(blocks_add(blocks, SEGMENT_PACKS, &page));
        page->rows = (uint32_t)n;
        buf_put_u32(&page->plain, (uint32_t)n);
        buf_put(&page->plain, b->packs.data + begin, b->pack_ends[at + n - 1] - begin);
        TRY(buf_check(&page->plain));
        at += n;
    }
    return ERR_OK;
}

static void header_encode(const struct segment_builder *b, uint64_t footer_offset, uint32_t footer_len, struct buf *out)
{
    buf_put(out, "YORESEGM", 8);
    buf_put_u16(out, FORMAT_VERSION);
    buf_put_u8(out, (uint8_t)b->kind);
    buf_put_u8(out, 1);
    buf_put_u32(out, b->domain->id);
    buf_put(out, b->keys->store.bytes, 16);
    buf_put(out, b->uid.bytes, 16);
    buf_put(out, b->session.bytes, 16);
    buf_put_u64(out, 0);
    buf_put_u64(out, footer_offset);
    buf_put_u32(out, footer_len);
    buf_put_u32(out, 0);
    buf_put_varint(out, 0); /* no fields */
}

enum { HEADER_BYTES = SEGMENT_HEADER_BYTES + 1 };

enum err segment_builder_seal(struct segment_builder *b, struct buf *ret_object, struct hash *ret_sha256)
{
    AUTO(blocks) blocks = {0};
    TRY(chunk_pages(b, &blocks));
    TRY(filter_block(b, &blocks));
    TRY(pack_pages(b, &blocks));

    AUTO(buf) footer = BUF_EMPTY, header = BUF_EMPTY, object = BUF_EMPTY;
    buf_put_u32(&footer, (uint32_t)b->row_count);
    buf_put_u32(&footer, (uint32_t)b->pack_count);
    buf_put_u32(&footer, (uint32_t)blocks.count);
    uint64_t offset = HEADER_BYTES;
    for (size_t i = 0; i < blocks.count; i++) {
        const struct block *block = &blocks.list[i];
        uint32_t stored = (uint32_t)block->plain.len + AEAD_TAG_BYTES;
        buf_put_u8(&footer, (uint8_t)block->kind);
        buf_put_u64(&footer, offset);
        buf_put_u32(&footer, stored);
        buf_put_u32(&footer, block->rows);
        buf_put(&footer, block->first.bytes, 32);
        offset += stored;
    }
    buf_put_varint(&footer, 0);
    TRY(buf_check(&footer));
    uint32_t footer_len = (uint32_t)footer.len + AEAD_TAG_BYTES;
    header_encode(b, offset, footer_len, &header);
    TRY(buf_check(&header));

    uint64_t whole = padme(offset + footer_len);
    if (whole > SEGMENT_MAX_BYTES)
        return err_set(ERR_INVALID, "a segment of more than %llu bytes", (unsigned long long)SEGMENT_MAX_BYTES);
    uint8_t key[32];
    TRY(segment_key(b->domain, &b->uid, key));
    TRY(buf_reserve(&object, whole));
    buf_put_slice(&object, buf_slice(&header));
    for (size_t i = 0; i < blocks.count; i++) {
        const struct block *block = &blocks.list[i];
        TRY(segment_block_seal(key, buf_slice(&header), block->kind, i, buf_slice(&block->plain), object.data + object.len));
        object.len += block->plain.len + AEAD_TAG_BYTES;
    }
    TRY(segment_block_seal(key, buf_slice(&header), SEGMENT_FOOTER, 0, buf_slice(&footer), object.data + object.len));
    object.len += footer_len;
    buf_put_zeros(&object, whole - object.len);
    TRY(buf_check(&object));
    explicit_bzero(key, sizeof key);
    sha256_of(buf_slice(&object), ret_sha256->bytes);
    buf_move(ret_object, &object);
    return ERR_OK;
}
