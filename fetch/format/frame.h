/*
 * frame: the sealing of one frame, as writers and readers of packs both need it.
 *
 * Source:  docs/format.md section 8, "Frame".
 * Threads: no state.
 */
#pragma once

#include "fetch/format/pack.h"

enum { FRAME_TAG_BYTES = 16, FRAME_AAD_BYTES = 100 };

/* The first 16 bytes of SHA-256 over the ids of a frame's chunks. */
void frame_ids_tag(const struct frame_chunk *chunks, size_t count, uint8_t ret_tag[FRAME_TAG_BYTES]);

/* Nonce of frame `counter` under its pack key; and the one nonce kept for a pack's directory or a segment's footer. */
void frame_nonce(uint64_t counter, uint8_t ret_nonce[12]);
void directory_nonce(uint8_t ret_nonce[12]);

void frame_aad(const struct frame_binding *binding, const struct frame_place *place, const uint8_t tag[FRAME_TAG_BYTES],
               uint8_t ret_aad[FRAME_AAD_BYTES]);
