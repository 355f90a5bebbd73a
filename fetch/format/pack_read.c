/* pack, the reading half: header and directory. Frames are opened in frame.c. */
#include "fetch/format/pack.h"

#include <stdlib.h>
#include <string.h>

#include "fetch/base/bytes.h"
#include "fetch/crypto/aead.h"
#include "fetch/crypto/digest.h"
#include "fetch/format/fields.h"
#include "fetch/format/frame.h"

enum { KEY_RECORDS_MAX = 65535, HEADER_FIELDS_MAX = 65536 };

void pack_header_clear(struct pack_header *header)
{
    buf_clear(&header->bytes);
    free(header->records);
    *header = (struct pack_header){0};
}

enum err pack_header_parse(struct slice start, struct pack_header *ret_header, size_t *ret_need)
{
    struct cursor c = cursor_of(start);
    struct slice magic = cursor_take(&c, 8);
    if (!slice_equal(magic, slice_str("YOREPACK")))
        return err_set(ERR_CORRUPT, "not a pack");
    uint16_t version = cursor_u16(&c);
    uint8_t kind = cursor_u8(&c), suite = cursor_u8(&c);
    if (!c.bad && (version != FORMAT_VERSION || suite != 1))
        return err_set(ERR_UNSUPPORTED, "a pack of version %u, suite %u", version, suite);
    AUTO(pack_header) h = {0};
    h.domain = cursor_u32(&c);
    cursor_copy(&c, h.store.bytes, 16);
    cursor_copy(&c, h.uid.bytes, 16);
    uint64_t must_know = cursor_u64(&c);
    h.directory_offset = cursor_u32(&c);
    h.directory_len = cursor_u32(&c);
    h.record_count = cursor_u32(&c);
    cursor_require(&c, cursor_u32(&c) == 0);
    TRY(cursor_check(&c, "pack header"));
    if (must_know)
        return err_set(ERR_UNSUPPORTED, "a pack with features %llx", (unsigned long long)must_know);
    if ((kind != CHUNK_DATA && kind != CHUNK_TREE) || h.record_count < 1 || h.record_count > KEY_RECORDS_MAX ||
        h.directory_len < AEAD_TAG_BYTES || h.directory_offset > PACK_MAX_BYTES || h.directory_len > PACK_MAX_BYTES)
        return err_set(ERR_CORRUPT, "pack header with impossible values");
    h.kind = kind;

    size_t need = PACK_HEADER_BYTES + (size_t)h.record_count * KEY_RECORD_BYTES + 1;
    *ret_need = need;
    if (start.len < need)
        return err_set(ERR_AGAIN, "pack header of more than %zu bytes", start.len);
    h.records = calloc(h.record_count, sizeof *h.records);
    if (!h.records)
        return err_set(ERR_NOMEM, "no memory for %u key records", h.record_count);
    for (uint32_t i = 0; i < h.record_count; i++) {
        cursor_copy(&c, h.records[i].origin.bytes, 16);
        cursor_copy(&c, h.records[i].sealed, SEALED_KEY_BYTES);
    }
    struct cursor ahead = c;
    size_t fields_len = (size_t)cursor_varint_max(&ahead, HEADER_FIELDS_MAX);
    TRY(cursor_check(&ahead, "pack header"));
    *ret_need = (size_t)(ahead.at - start.data) + fields_len;
    if (start.len < *ret_need)
        return err_set(ERR_AGAIN, "pack header of more than %zu bytes", start.len);
    TRY(fields_skip(&c, "pack header"));
    if (memcmp(h.records[0].origin.bytes, h.uid.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "pack whose first key record is another pack's");
    h.header_len = (size_t)(c.at - start.data);
    if (h.directory_offset < h.header_len)
        return err_set(ERR_CORRUPT, "pack directory inside its header");
    buf_put(&h.bytes, start.data, h.header_len);
    TRY(buf_check(&h.bytes));
    *ret_header = h;
    h = (struct pack_header){0};
    return ERR_OK;
}

static enum err directory_parse(const struct pack_header *header, struct slice plain, uint64_t pack_size,
                                struct pack_directory *ret_directory)
{
    struct cursor c = cursor_of(plain);
    AUTO(pack_directory) d = {0};
    d.frame_count = cursor_u32(&c);
    d.chunk_count = cursor_u32(&c);
    TRY(cursor_check(&c, "pack directory"));
    /* Each frame and chunk takes its bytes here: counts beyond that are lies, and never allocated. */
    if (d.frame_count > d.chunk_count || d.chunk_count > PACK_MAX_CHUNKS || d.frame_count * 28 + d.chunk_count * 36 > plain.len)
        return err_set(ERR_CORRUPT, "pack directory with impossible counts");
    d.frames = calloc(d.frame_count + 1, sizeof *d.frames);
    d.chunks = calloc(d.chunk_count + 1, sizeof *d.chunks);
    if (!d.frames || !d.chunks)
        return err_set(ERR_NOMEM, "no memory for a pack directory");

    uint64_t least = header->header_len, seen = 0;
    for (size_t i = 0; i < d.frame_count; i++) {
        struct pack_frame *f = &d.frames[i];
        f->place.offset = cursor_u32(&c);
        f->place.stored_len = cursor_u32(&c);
        f->place.raw_len = cursor_u32(&c);
        f->place.compression = cursor_u8(&c);
        uint8_t flags = cursor_u8(&c);
        f->place.key_record = cursor_u16(&c);
        uint64_t counter = cursor_u64(&c);
        f->place.counter = (uint32_t)counter;
        f->chunk_count = cursor_u32(&c);
        f->first_chunk = (uint32_t)seen;
        f->place.has_base = flags & 1;
        if (f->place.has_base)
            cursor_copy(&c, f->place.base.bytes, 32);
        cursor_require(&c, flags <= 1 && counter <= UINT32_MAX && f->place.key_record < header->record_count &&
                               f->place.offset >= least && f->place.stored_len >= FRAME_OVERHEAD_BYTES &&
                               (uint64_t)f->place.offset + f->place.stored_len <= header->directory_offset &&
                               f->place.raw_len >= 1 && f->place.raw_len <= CHUNK_MAX_BYTES && f->chunk_count >= 1 &&
                               seen + f->chunk_count <= d.chunk_count);
        uint64_t raw = 0;
        for (size_t k = 0; !c.bad && k < f->chunk_count; k++) {
            struct frame_chunk *chunk = &d.chunks[seen++];
            cursor_copy(&c, chunk->id.bytes, 32);
            chunk->length = cursor_u32(&c);
            cursor_require(&c, chunk->length >= 1);
            raw += chunk->length;
        }
        cursor_require(&c, raw == f->place.raw_len);
        TRY(cursor_check(&c, "pack directory"));
        least = (uint64_t)f->place.offset + f->place.stored_len;
    }
    if (seen != d.chunk_count || (uint64_t)header->directory_offset + header->directory_len > pack_size)
        return err_set(ERR_CORRUPT, "pack directory does not add up");
    TRY(fields_skip(&c, "pack directory"));
    TRY(cursor_finish(&c, "pack directory"));
    *ret_directory = d;
    d = (struct pack_directory){0};
    return ERR_OK;
}

enum err pack_directory_open(const struct pack_header *header, const uint8_t key[32], struct slice sealed, uint64_t pack_size,
                             struct pack_directory *ret_directory, struct hash *ret_sha256)
{
    if (sealed.len != header->directory_len || sealed.len < AEAD_TAG_BYTES)
        return err_set(ERR_CORRUPT, "pack directory cut short");
    AUTO(buf) plain = BUF_EMPTY;
    TRY(buf_resize(&plain, sealed.len));
    uint8_t nonce[12];
    directory_nonce(nonce);
    enum err e = aead_open(key, nonce, buf_slice(&header->bytes), sealed, plain.data);
    if (e != ERR_OK)
        return err_add(e, "pack directory");
    plain.len -= AEAD_TAG_BYTES;
    if (ret_sha256)
        sha256_of(buf_slice(&plain), ret_sha256->bytes);
    return directory_parse(header, buf_slice(&plain), pack_size, ret_directory);
}
