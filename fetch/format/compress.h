/*
 * compress: zstd with reused contexts and a size bound; zstd lives here and nowhere else.
 *
 * Source:  RFC 8878; docs/format.md section 8.
 * Threads: contexts are kept per thread inside.
 */
#pragma once

#include "fetch/base/buf.h"

enum compression { COMPRESS_NONE = 0, COMPRESS_ZSTD = 1 };

/* The most bytes zstd_pack may write for raw_len bytes. */
size_t zstd_bound(size_t raw_len);

/* Compress raw at level into out (room for zstd_bound). *ret_len is what was written. */
enum err zstd_pack(struct slice raw, int level, uint8_t *out, size_t out_cap, size_t *ret_len);

/* Decompress one whole zstd frame that must give exactly raw_len bytes, into out (room for raw_len; 0 when raw_len is
 * larger than the caller's bound is the caller's business). prefix: the base of a delta, or SLICE_EMPTY.
 *   ERR_CORRUPT  not a zstd frame, more or fewer bytes than said, bytes behind it, a window above 8 MiB */
enum err zstd_unpack(struct slice packed, struct slice prefix, uint8_t *out, size_t raw_len);

/* Compress against a prefix (tests and, later, delta writers). */
enum err zstd_pack_delta(struct slice raw, struct slice prefix, int level, uint8_t *out, size_t out_cap, size_t *ret_len);
