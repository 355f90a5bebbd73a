/* segment, the reading half; and the sealing of blocks. */
#include <stdlib.h>

#include "fetch/crypto/aead.h"
#include "fetch/crypto/kdf.h"
#include "fetch/format/fields.h"
#include "fetch/format/frame.h"
#include "fetch/format/segment_inside.h"

enum err segment_key(const struct domain_keys *domain, const struct uid *segment, uint8_t ret_key[32])
{
    return hkdf_sha256(slice_of(domain->segment_key, 32), slice_of(segment->bytes, 16), slice_str("yore/1/segment"), ret_key, 32);
}

static enum err block_aad(struct slice header, enum segment_block kind, uint64_t number, struct buf *out, uint8_t nonce[12])
{
    buf_put_slice(out, header);
    buf_put_u8(out, (uint8_t)kind);
    buf_put_u64(out, number);
    if (kind == SEGMENT_FOOTER)
        directory_nonce(nonce);
    else
        frame_nonce(number, nonce);
    return buf_check(out);
}

enum err segment_block_seal(const uint8_t key[32], struct slice header, enum segment_block kind, uint64_t number,
                            struct slice plain, uint8_t *ret_sealed)
{
    AUTO(buf) aad = BUF_EMPTY;
    uint8_t nonce[12];
    TRY(block_aad(header, kind, number, &aad, nonce));
    return aead_seal(key, nonce, buf_slice(&aad), plain, ret_sealed);
}

enum err segment_block_open(const uint8_t key[32], struct slice header, enum segment_block kind, uint64_t number,
                            struct slice sealed, struct buf *ret_plain)
{
    AUTO(buf) aad = BUF_EMPTY, plain = BUF_EMPTY;
    uint8_t nonce[12];
    if (sealed.len < AEAD_TAG_BYTES)
        return err_set(ERR_CORRUPT, "segment block of %zu bytes", sealed.len);
    TRY(block_aad(header, kind, number, &aad, nonce));
    TRY(buf_resize(&plain, sealed.len));
    TRY(aead_open(key, nonce, buf_slice(&aad), sealed, plain.data));
    plain.len -= AEAD_TAG_BYTES;
    buf_move(ret_plain, &plain);
    return ERR_OK;
}

enum err pack_row_verify(const struct domain_ref *where, const struct pack_row *row, const uint8_t writer_public[32])
{
    AUTO(buf) claim = BUF_EMPTY;
    pack_row_signed_bytes(where, &row->name, &row->directory_sha256, &claim);
    TRY(buf_check(&claim));
    return sign_check(writer_public, buf_slice(&claim), row->signature);
}

void segment_clear(struct segment *segment)
{
    free(segment->rows);
    for (size_t i = 0; i < segment->pack_count; i++)
        free(segment->packs[i].keys);
    free(segment->packs);
    *segment = (struct segment){0};
}

static uint8_t *put_u32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        *to++ = (uint8_t)(v >> 8 * i);
    return to;
}

void chunk_row_encode(const struct chunk_row *row, uint8_t ret_bytes[SEGMENT_ROW_BYTES])
{
    uint8_t *at = ret_bytes;
    memcpy(at, row->id.bytes, 32);
    at = put_u32(at + 32, row->pack);
    at = put_u32(at, row->frame.offset);
    at = put_u32(at, row->frame.stored_len);
    at = put_u32(at, row->frame.raw_len);
    at = put_u32(at, row->place);
    at = put_u32(at, row->length);
    at = put_u32(at, row->frame.counter);
    *at++ = row->frame.compression;
    *at++ = row->frame.has_base ? 1 : 0;
    *at++ = (uint8_t)row->frame.key_record;
    *at = (uint8_t)(row->frame.key_record >> 8);
}

void chunk_row_decode(struct cursor *c, struct chunk_row *r)
{
    cursor_copy(c, r->id.bytes, 32);
    r->pack = cursor_u32(c);
    r->frame.offset = cursor_u32(c);
    r->frame.stored_len = cursor_u32(c);
    r->frame.raw_len = cursor_u32(c);
    r->place = cursor_u32(c);
    r->length = cursor_u32(c);
    r->frame.counter = cursor_u32(c);
    r->frame.compression = cursor_u8(c);
    uint8_t flags = cursor_u8(c);
    r->frame.has_base = flags & 1;
    r->frame.key_record = cursor_u16(c);
    cursor_require(c, flags <= 1 && r->length >= 1 && r->frame.raw_len <= CHUNK_MAX_BYTES &&
                          r->frame.stored_len >= FRAME_OVERHEAD_BYTES && r->frame.stored_len <= PACK_MAX_BYTES &&
                          (uint64_t)r->place + r->length <= r->frame.raw_len);
}

static enum err chunk_page_decode(struct slice plain, struct segment *s, size_t *at, uint32_t rows_said)
{
    struct cursor c = cursor_of(plain);
    uint32_t n = cursor_u32(&c);
    cursor_require(&c, n == rows_said && n <= s->row_count - *at);
    TRY(cursor_check(&c, "segment page"));
    struct chunk_row *rows = s->rows + *at;
    uint32_t with_base = 0;
    for (uint32_t i = 0; i < n && !c.bad; i++) {
        struct chunk_row *r = &rows[i];
        chunk_row_decode(&c, r);
        with_base += r->frame.has_base;
        cursor_require(&c, r->pack < s->pack_count &&
                               (*at + i == 0 || memcmp(s->rows[*at + i - 1].id.bytes, r->id.bytes, 32) <= 0));
    }
    cursor_require(&c, cursor_u32(&c) == with_base);
    for (uint32_t i = 0; i < with_base && !c.bad; i++) {
        uint32_t row = cursor_u32(&c);
        cursor_require(&c, row < n && rows[row].frame.has_base);
        if (!c.bad)
            cursor_copy(&c, rows[row].frame.base.bytes, 32);
    }
    TRY(cursor_check(&c, "segment page"));
    TRY(fields_skip(&c, "segment page"));
    *at += n;
    return cursor_finish(&c, "segment page");
}

static enum err pack_page_decode(struct slice plain, struct segment *s, size_t *at, uint32_t rows_said)
{
    struct cursor c = cursor_of(plain);
    uint32_t n = cursor_u32(&c);
    cursor_require(&c, n == rows_said && n <= s->pack_count - *at);
    TRY(cursor_check(&c, "segment pack page"));
    for (uint32_t i = 0; i < n; i++, (*at)++) {
        struct pack_row *p = &s->packs[*at];
        cursor_require(&c, cursor_u32(&c) == *at);
        cursor_copy(&c, p->name.session.bytes, 16);
        cursor_copy(&c, p->name.sha256.bytes, 32);
        p->size_bytes = cursor_u64(&c);
        cursor_copy(&c, p->uid.bytes, 16);
        uint16_t keys = cursor_u16(&c);
        cursor_require(&c, keys >= 1 && p->size_bytes <= PACK_MAX_BYTES && cursor_left(&c) / 100 >= keys);
        TRY(cursor_check(&c, "segment pack row"));
        p->keys = calloc(keys, sizeof *p->keys);
        if (!p->keys)
            return err_set(ERR_NOMEM, "no memory for pack keys");
        p->key_count = keys;
        for (uint16_t k = 0; k < keys; k++) {
            cursor_copy(&c, p->keys[k].origin.bytes, 16);
            p->keys[k].epoch = cursor_u32(&c);
            cursor_copy(&c, p->keys[k].sealed, SEALED_KEY_BYTES);
        }
        cursor_copy(&c, p->writer.bytes, 16);
        cursor_copy(&c, p->directory_sha256.bytes, 32);
        cursor_copy(&c, p->signature, 64);
        TRY(cursor_check(&c, "segment pack row"));
        TRY(fields_skip(&c, "segment pack row"));
    }
    return cursor_finish(&c, "segment pack page");
}

struct segment_header {
    uint64_t footer_offset;
    uint32_t footer_len;
    struct slice bytes;
};

static enum err header_decode(const struct keyring *keys, struct slice object, struct segment *s, struct segment_header *ret_header)
{
    struct cursor c = cursor_of(object);
    if (!slice_equal(cursor_take(&c, 8), slice_str("YORESEGM")))
        return err_set(ERR_CORRUPT, "not a segment");
    uint16_t version = cursor_u16(&c);
    uint8_t kind = cursor_u8(&c), suite = cursor_u8(&c);
    if (!c.bad && (version != FORMAT_VERSION || suite != 1))
        return err_set(ERR_UNSUPPORTED, "a segment of version %u, suite %u", version, suite);
    s->domain = cursor_u32(&c);
    struct uid store;
    cursor_copy(&c, store.bytes, 16);
    cursor_copy(&c, s->uid.bytes, 16);
    cursor_copy(&c, s->session.bytes, 16);
    uint64_t must_know = cursor_u64(&c);
    ret_header->footer_offset = cursor_u64(&c);
    ret_header->footer_len = cursor_u32(&c);
    cursor_require(&c, cursor_u32(&c) == 0 && (kind == CHUNK_DATA || kind == CHUNK_TREE));
    TRY(cursor_check(&c, "segment header"));
    s->kind = kind;
    if (must_know)
        return err_set(ERR_UNSUPPORTED, "a segment with features %llx", (unsigned long long)must_know);
    if (memcmp(store.bytes, keys->store.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "a segment of another store");
    TRY(fields_skip(&c, "segment header"));
    ret_header->bytes = slice_of(object.data, (size_t)(c.at - object.data));
    if (ret_header->footer_offset > object.len || ret_header->footer_len > object.len - ret_header->footer_offset ||
        ret_header->footer_offset < ret_header->bytes.len)
        return err_set(ERR_CORRUPT, "segment cut short");
    return ERR_OK;
}

enum err segment_open(const struct keyring *keys, struct slice object, struct segment *ret_segment)
{
    AUTO(segment) s = {0};
    struct segment_header head = {0};
    TRY(header_decode(keys, object, &s, &head));
    const struct domain_keys *domain;
    uint8_t key[32];
    TRY(keyring_find_domain(keys, s.domain, &domain));
    TRY(segment_key(domain, &s.uid, key));

    AUTO(buf) footer = BUF_EMPTY;
    enum err e = segment_block_open(key, head.bytes, SEGMENT_FOOTER, 0, slice_of(object.data + head.footer_offset, head.footer_len),
                                    &footer);
    if (e != ERR_OK)
        return err_add(e, "segment footer");
    struct cursor c = cursor_of(buf_slice(&footer));
    size_t rows = cursor_u32(&c), packs = cursor_u32(&c), blocks = cursor_u32(&c);
    /* Every row takes its bytes in the object: larger counts are lies, and never allocated. */
    cursor_require(&c, rows <= object.len / SEGMENT_ROW_BYTES && packs <= object.len / 200 && blocks <= cursor_left(&c) / 49);
    TRY(cursor_check(&c, "segment footer"));
    s.rows = calloc(rows + 1, sizeof *s.rows);
    s.packs = calloc(packs + 1, sizeof *s.packs);
    if (!s.rows || !s.packs)
        return err_set(ERR_NOMEM, "no memory for a segment of %zu rows", rows);
    s.row_count = rows;
    s.pack_count = packs;
    size_t row_at = 0, pack_at = 0;
    for (size_t i = 0; i < blocks; i++) {
        uint8_t kind = cursor_u8(&c);
        uint64_t offset = cursor_u64(&c);
        uint32_t stored = cursor_u32(&c), n = cursor_u32(&c);
        cursor_take(&c, 32);
        cursor_require(&c, offset >= head.bytes.len && offset <= head.footer_offset && stored <= head.footer_offset - offset);
        TRY(cursor_check(&c, "segment footer"));
        AUTO(buf) plain = BUF_EMPTY;
        e = segment_block_open(key, head.bytes, kind, i, slice_of(object.data + offset, stored), &plain);
        if (e != ERR_OK)
            return err_add(e, "segment block %zu", i);
        if (kind == SEGMENT_CHUNKS)
            TRY(chunk_page_decode(buf_slice(&plain), &s, &row_at, n));
        else if (kind == SEGMENT_PACKS)
            TRY(pack_page_decode(buf_slice(&plain), &s, &pack_at, n));
        else if (kind != SEGMENT_FILTER)
            return err_set(ERR_CORRUPT, "segment block of kind %u", kind);
    }
    if (row_at != rows || pack_at != packs)
        return err_set(ERR_CORRUPT, "segment does not add up");
    for (size_t i = 0; i < rows; i++)
        if (s.rows[i].frame.key_record >= s.packs[s.rows[i].pack].key_count)
            return err_set(ERR_CORRUPT, "segment row without a key");
    TRY(fields_skip(&c, "segment footer"));
    TRY(cursor_finish(&c, "segment footer"));
    *ret_segment = s;
    s = (struct segment){0};
    return ERR_OK;
}
