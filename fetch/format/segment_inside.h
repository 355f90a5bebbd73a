/*
 * segment_inside: what the writing and the reading half of segment.h share.
 *
 * Source: docs/format.md section 9.
 */
#pragma once

#include "fetch/format/segment.h"

enum segment_block { SEGMENT_FOOTER = 0, SEGMENT_CHUNKS = 1, SEGMENT_PACKS = 2, SEGMENT_FILTER = 3 };
enum { SEGMENT_HEADER_BYTES = 88, SEGMENT_PAGE_BYTES = 65536 };
enum { FILTER_HASHES = 7, FILTER_BITS_A_ROW = 10 }; /* one false hit in 120 */

/* The key of one segment. */
enum err segment_key(const struct domain_keys *domain, const struct uid *segment, uint8_t ret_key[32]);

/* Seal or open one block (number within the segment; the footer has none). ret_sealed: plain.len + 16 bytes. */
enum err segment_block_seal(const uint8_t key[32], struct slice header, enum segment_block kind, uint64_t number,
                            struct slice plain, uint8_t *ret_sealed);
enum err segment_block_open(const uint8_t key[32], struct slice header, enum segment_block kind, uint64_t number,
                            struct slice sealed, struct buf *ret_plain);

/* What a writer signs of a pack. */
void pack_row_signed_bytes(const struct domain_ref *where, const struct pack_name *name, const struct hash *directory,
                           struct buf *out);
