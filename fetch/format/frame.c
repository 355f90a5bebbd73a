#include "fetch/format/frame.h"

#include <string.h>

#include "fetch/crypto/aead.h"
#include "fetch/crypto/digest.h"

void frame_ids_tag(const struct frame_chunk *chunks, size_t count, uint8_t ret_tag[FRAME_TAG_BYTES])
{
    struct sha256 hash;
    uint8_t digest[32];
    sha256_init(&hash);
    for (size_t i = 0; i < count; i++)
        sha256_update(&hash, slice_of(chunks[i].id.bytes, sizeof chunks[i].id.bytes));
    sha256_final(&hash, digest);
    memcpy(ret_tag, digest, FRAME_TAG_BYTES);
}

static uint8_t *put_big(uint8_t *to, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        *to++ = (uint8_t)(v >> shift);
    return to;
}

static uint8_t *put_little(uint8_t *to, uint64_t v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *to++ = (uint8_t)(v >> 8 * i);
    return to;
}

static uint8_t *put_bytes(uint8_t *to, const void *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

void frame_nonce(uint64_t counter, uint8_t ret_nonce[12])
{
    memset(ret_nonce, 0, 4);
    put_big(ret_nonce + 4, counter);
}

void directory_nonce(uint8_t ret_nonce[12])
{
    memset(ret_nonce, 0, 12);
    ret_nonce[0] = 1; /* u32 1, little-endian: no frame counter reaches here */
}

void frame_aad(const struct frame_binding *binding, const struct frame_place *place, const uint8_t tag[FRAME_TAG_BYTES],
               uint8_t ret_aad[FRAME_AAD_BYTES])
{
    uint8_t *at = ret_aad;
    at = put_little(at, FORMAT_VERSION, 2);
    at = put_bytes(at, binding->where.store.bytes, 16);
    at = put_little(at, binding->where.domain, 4);
    at = put_bytes(at, binding->origin.bytes, 16);
    at = put_little(at, place->counter, 8);
    *at++ = (uint8_t)binding->kind;
    *at++ = place->compression;
    at = put_little(at, place->raw_len, 4);
    at = put_bytes(at, tag, FRAME_TAG_BYTES);
    if (place->has_base)
        memcpy(at, place->base.bytes, 32);
    else
        memset(at, 0, 32);
}

enum err frame_open(const struct frame_binding *binding, const uint8_t key[32], const struct frame_place *place,
                    struct slice stored, struct slice base, uint8_t *ret_raw)
{
    if (stored.len != place->stored_len || stored.len < FRAME_OVERHEAD_BYTES || place->raw_len > CHUNK_MAX_BYTES)
        return err_set(ERR_CORRUPT, "frame of %zu stored bytes where the index says %u", stored.len, place->stored_len);
    uint8_t nonce[12], aad[FRAME_AAD_BYTES];
    frame_nonce(place->counter, nonce);
    frame_aad(binding, place, stored.data, aad);
    struct slice sealed = slice_of(stored.data + FRAME_TAG_BYTES, stored.len - FRAME_TAG_BYTES);
    size_t payload_len = stored.len - FRAME_OVERHEAD_BYTES;

    if (place->compression == COMPRESS_NONE) {
        if (payload_len != place->raw_len || place->has_base)
            return err_set(ERR_CORRUPT, "plain frame of %zu bytes where %u are expected", payload_len, place->raw_len);
        return aead_open(key, nonce, slice_of(aad, sizeof aad), sealed, ret_raw);
    }
    if (place->compression != COMPRESS_ZSTD)
        return err_set(ERR_UNSUPPORTED, "frame with compression %u", place->compression);
    AUTO(buf) payload = BUF_EMPTY;
    TRY(buf_resize(&payload, payload_len ? payload_len : 1));
    TRY(aead_open(key, nonce, slice_of(aad, sizeof aad), sealed, payload.data));
    return zstd_unpack(slice_of(payload.data, payload_len), base, ret_raw, place->raw_len);
}
