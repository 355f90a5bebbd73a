/*
 * load: one frame, or a run of neighbouring frames, from the store to decoded bytes.
 *
 * Threads: any.
 */
#pragma once

#include <stdatomic.h>

#include "fetch/fetch.h"
#include "fetch/packs.h"

/* What loading needs; constant but for the counters. */
struct loader {
    struct store *store;
    const struct keyring *keys;
    struct packs *packs;
    struct fetcher *fetcher; /* for bases of deltas */
    atomic_uint_fast64_t frames_read, bytes_read, hits;
};

void loader_count(struct loader *loader, bool read, uint64_t stored_bytes);

/* Read, open and decode one frame: *ret_raw malloc'ed, place->raw_len bytes. */
enum err load_frame(struct loader *loader, uint32_t pack, const struct frame_place *place, uint8_t **ret_raw);

/* Open one frame whose stored bytes are at hand. */
enum err load_stored(struct loader *loader, uint32_t pack, const struct frame_place *place, struct slice stored, uint8_t **ret_raw);

/* fetch.c's: the bytes of a base chunk. */
enum err fetch_base(struct fetcher *fetcher, uint32_t domain, enum chunk_kind kind, const struct chunk_id *base,
                    struct chunk_ref *ret_ref);
