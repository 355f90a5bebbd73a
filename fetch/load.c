#include "fetch/load.h"

#include <stdlib.h>

void loader_count(struct loader *l, bool read, uint64_t stored_bytes)
{
    if (!read) {
        atomic_fetch_add_explicit(&l->hits, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&l->frames_read, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->bytes_read, stored_bytes, memory_order_relaxed);
}

enum err load_stored(struct loader *l, uint32_t pack, const struct frame_place *place, struct slice stored, uint8_t **ret_raw)
{
    const struct pack_keys *keys;
    TRY(packs_get(l->packs, pack, &keys));
    if (place->key_record >= keys->count)
        return err_set(ERR_CORRUPT, "%s: frame at %u names key record %u of %zu", keys->name.text, place->offset,
                       place->key_record, keys->count);
    const struct pack_key *key = &keys->keys[place->key_record];
    if (!key->opened)
        return err_raise(&key->why);
    if (place->raw_len == 0 || place->raw_len > CHUNK_MAX_BYTES)
        return err_set(ERR_CORRUPT, "%s: frame at %u of %u bytes", keys->name.text, place->offset, place->raw_len);

    AUTO(chunk_ref) base = CHUNK_REF_EMPTY;
    if (place->has_base) {
        enum err e = fetch_base(l->fetcher, keys->info.domain, keys->info.kind, &place->base, &base);
        if (e != ERR_OK)
            return err_add(e, "%s: base of the frame at %u", keys->name.text, place->offset);
    }
    struct frame_binding binding = keys->binding;
    binding.origin = key->origin;
    AUTO_MEM uint8_t *raw = malloc(place->raw_len);
    if (!raw)
        return err_set(ERR_NOMEM, "no memory for a frame of %u bytes", place->raw_len);
    enum err e = frame_open(&binding, key->key, place, stored, base.bytes, raw);
    if (e != ERR_OK)
        return err_add(e, "%s: frame at %u", keys->name.text, place->offset);
    *ret_raw = TAKE(raw);
    return ERR_OK;
}

enum err load_frame(struct loader *l, uint32_t pack, const struct frame_place *place, uint8_t **ret_raw)
{
    const struct pack_keys *keys;
    TRY(packs_get(l->packs, pack, &keys));
    AUTO(buf) stored = BUF_EMPTY;
    TRY(store_get(l->store, keys->name.text, place->offset, place->stored_len, &stored));
    return load_stored(l, pack, place, buf_slice(&stored), ret_raw);
}
