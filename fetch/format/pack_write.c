/* pack, the writing half: a builder that grows in memory, and its sealing. */
#include "fetch/format/pack.h"

#include <stdlib.h>
#include <string.h>

#include "fetch/base/rand.h"
#include "fetch/crypto/aead.h"
#include "fetch/crypto/digest.h"
#include "fetch/format/frame.h"

struct pack_builder {
    struct frame_binding binding;
    uint8_t key[32];
    uint8_t sealed_recovery[SEALED_KEY_BYTES];
    size_t target_bytes;
    struct buf body; /* header's room, then frames */
    struct pack_directory directory;
    size_t frame_cap, chunk_cap;
};

enum { OWN_HEADER_BYTES = PACK_HEADER_BYTES + KEY_RECORD_BYTES + 1 }; /* one key record, empty fields */
enum { DIRECTORY_FRAME_BYTES = 28, DIRECTORY_CHUNK_BYTES = 36 };

void pack_directory_clear(struct pack_directory *directory)
{
    free(directory->frames);
    free(directory->chunks);
    *directory = (struct pack_directory){0};
}

enum err pack_builder_new(const struct keyring *keys, uint32_t domain, enum chunk_kind kind, size_t target_bytes,
                          struct pack_builder **ret_builder)
{
    AUTO_PTR(pack_builder) b = calloc(1, sizeof *b);
    if (!b)
        return err_set(ERR_NOMEM, "no memory for a pack");
    b->binding = (struct frame_binding){{keys->store, domain}, kind, {{0}}};
    b->target_bytes = target_bytes < PACK_MAX_BYTES ? target_bytes : PACK_MAX_BYTES;
    rand_bytes(b->binding.origin.bytes, sizeof b->binding.origin.bytes);
    rand_bytes(b->key, sizeof b->key);
    TRY(pack_key_seal_recovery(keys, domain, &b->binding.origin, b->key, b->sealed_recovery));
    TRY(buf_reserve(&b->body, b->target_bytes / 2));
    buf_put_zeros(&b->body, OWN_HEADER_BYTES);
    TRY(buf_check(&b->body));
    *ret_builder = TAKE(b);
    return ERR_OK;
}

void pack_builder_free(struct pack_builder *b)
{
    if (!b)
        return;
    explicit_bzero(b->key, sizeof b->key);
    buf_clear(&b->body);
    pack_directory_clear(&b->directory);
    free(b);
}

void pack_builder_lend(struct pack_builder *b, struct buf *room)
{
    if (b->directory.frame_count == 0 && room->cap > b->body.cap) {
        memcpy(room->data, b->body.data, b->body.len);
        room->len = b->body.len;
        buf_clear(&b->body);
        buf_move(&b->body, room);
    }
    buf_clear(room);
}

static size_t directory_bytes(size_t frames, size_t chunks)
{
    return 8 + frames * (DIRECTORY_FRAME_BYTES + 32) + chunks * DIRECTORY_CHUNK_BYTES + 1 + AEAD_TAG_BYTES;
}

size_t pack_builder_bytes(const struct pack_builder *b)
{
    return b->body.len + directory_bytes(b->directory.frame_count, b->directory.chunk_count);
}

bool pack_builder_fits(const struct pack_builder *b, size_t raw_len, size_t chunk_count)
{
    if (b->directory.frame_count == 0)
        return true;
    if (b->directory.chunk_count + chunk_count > PACK_MAX_CHUNKS)
        return false;
    size_t more = raw_len + FRAME_OVERHEAD_BYTES;
    return b->body.len + more + directory_bytes(b->directory.frame_count + 1, b->directory.chunk_count + chunk_count) <=
           b->target_bytes;
}

/* Make room for one more frame with its chunks. */
static enum err directory_grow(struct pack_builder *b, size_t chunks)
{
    struct pack_directory *d = &b->directory;
    if (d->frame_count == b->frame_cap) {
        size_t cap = b->frame_cap ? b->frame_cap * 2 : 64;
        struct pack_frame *grown = realloc(d->frames, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu frames", cap);
        d->frames = grown;
        b->frame_cap = cap;
    }
    if (d->chunk_count + chunks > b->chunk_cap) {
        size_t cap = (d->chunk_count + chunks) * 2;
        struct frame_chunk *grown = realloc(d->chunks, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu chunks", cap);
        d->chunks = grown;
        b->chunk_cap = cap;
    }
    return ERR_OK;
}

enum err pack_builder_add(struct pack_builder *b, struct slice raw, const struct frame_chunk *chunks, size_t chunk_count,
                          int level, uint32_t *ret_frame_number)
{
    struct pack_directory *d = &b->directory;
    TRY(directory_grow(b, chunk_count));
    struct frame_place place = {
        .offset = (uint32_t)b->body.len, .raw_len = (uint32_t)raw.len, .counter = (uint32_t)d->frame_count};

    AUTO(buf) packed = BUF_EMPTY;
    struct slice payload = raw;
    if (level != 0) {
        size_t packed_len;
        TRY(buf_reserve(&packed, zstd_bound(raw.len)));
        TRY(zstd_pack(raw, level, packed.data, packed.cap, &packed_len));
        if (packed_len < raw.len - raw.len / 32) {
            place.compression = COMPRESS_ZSTD;
            payload = slice_of(packed.data, packed_len);
        }
    }
    place.stored_len = (uint32_t)(payload.len + FRAME_OVERHEAD_BYTES);
    if (b->body.len + place.stored_len + directory_bytes(d->frame_count + 1, d->chunk_count + chunk_count) > PACK_MAX_BYTES)
        return err_set(ERR_INVALID, "a pack of more than %d bytes", PACK_MAX_BYTES);

    TRY(buf_reserve(&b->body, b->body.len + place.stored_len));
    uint8_t nonce[12], aad[FRAME_AAD_BYTES], *tag = b->body.data + b->body.len;
    frame_ids_tag(chunks, chunk_count, tag);
    frame_nonce(place.counter, nonce);
    frame_aad(&b->binding, &place, tag, aad);
    TRY(aead_seal(b->key, nonce, slice_of(aad, sizeof aad), payload, tag + FRAME_TAG_BYTES));
    b->body.len += place.stored_len;

    d->frames[d->frame_count] =
        (struct pack_frame){place, (uint32_t)d->chunk_count, (uint32_t)chunk_count};
    memcpy(d->chunks + d->chunk_count, chunks, chunk_count * sizeof *chunks);
    d->chunk_count += chunk_count;
    *ret_frame_number = (uint32_t)d->frame_count++;
    return ERR_OK;
}

static void directory_encode(const struct pack_directory *d, struct buf *out)
{
    buf_put_u32(out, (uint32_t)d->frame_count);
    buf_put_u32(out, (uint32_t)d->chunk_count);
    for (size_t i = 0; i < d->frame_count; i++) {
        const struct pack_frame *f = &d->frames[i];
        buf_put_u32(out, f->place.offset);
        buf_put_u32(out, f->place.stored_len);
        buf_put_u32(out, f->place.raw_len);
        buf_put_u8(out, f->place.compression);
        buf_put_u8(out, f->place.has_base ? 1 : 0);
        buf_put_u16(out, f->place.key_record);
        buf_put_u64(out, f->place.counter);
        buf_put_u32(out, f->chunk_count);
        if (f->place.has_base)
            buf_put(out, f->place.base.bytes, 32);
        for (size_t k = 0; k < f->chunk_count; k++) {
            const struct frame_chunk *chunk = &d->chunks[f->first_chunk + k];
            buf_put(out, chunk->id.bytes, 32);
            buf_put_u32(out, chunk->length);
        }
    }
    buf_put_varint(out, 0); /* no fields */
}

static void header_encode(const struct pack_builder *b, size_t directory_len, struct buf *out)
{
    buf_put(out, "YOREPACK", 8);
    buf_put_u16(out, FORMAT_VERSION);
    buf_put_u8(out, (uint8_t)b->binding.kind);
    buf_put_u8(out, 1);
    buf_put_u32(out, b->binding.where.domain);
    buf_put(out, b->binding.where.store.bytes, 16);
    buf_put(out, b->binding.origin.bytes, 16);
    buf_put_u64(out, 0);
    buf_put_u32(out, (uint32_t)b->body.len);
    buf_put_u32(out, (uint32_t)directory_len);
    buf_put_u32(out, 1);
    buf_put_u32(out, 0);
    buf_put(out, b->binding.origin.bytes, 16);
    buf_put(out, b->sealed_recovery, SEALED_KEY_BYTES);
    buf_put_varint(out, 0); /* no fields */
}

enum err pack_builder_close(struct pack_builder *b, const struct uid *session, struct pack_sealed *ret_sealed)
{
    AUTO(buf) directory = BUF_EMPTY, header = BUF_EMPTY;
    directory_encode(&b->directory, &directory);
    TRY(buf_check(&directory));
    size_t directory_len = directory.len + AEAD_TAG_BYTES;
    header_encode(b, directory_len, &header);
    TRY(buf_check(&header));
    memcpy(b->body.data, header.data, OWN_HEADER_BYTES);

    size_t whole = (size_t)padme(b->body.len + directory_len);
    TRY(buf_reserve(&b->body, whole));
    uint8_t nonce[12];
    directory_nonce(nonce);
    TRY(aead_seal(b->key, nonce, buf_slice(&header), buf_slice(&directory), b->body.data + b->body.len));
    b->body.len += directory_len;
    buf_put_zeros(&b->body, whole - b->body.len);

    *ret_sealed = (struct pack_sealed){.uid = b->binding.origin, .name.session = *session};
    memcpy(ret_sealed->key, b->key, sizeof b->key);
    sha256_of(buf_slice(&directory), ret_sealed->directory_sha256.bytes);
    buf_move(&ret_sealed->object, &b->body);
    ret_sealed->directory = b->directory;
    b->directory = (struct pack_directory){0};
    return ERR_OK;
}

enum err pack_builder_seal(struct pack_builder *b, const struct uid *session, struct pack_sealed *ret_sealed)
{
    TRY(pack_builder_close(b, session, ret_sealed));
    sha256_of(buf_slice(&ret_sealed->object), ret_sealed->name.sha256.bytes);
    return ERR_OK;
}

void pack_sealed_clear(struct pack_sealed *sealed)
{
    explicit_bzero(sealed->key, sizeof sealed->key);
    buf_clear(&sealed->object);
    pack_directory_clear(&sealed->directory);
}
