/*
 * cut_scan: the fast half of the content-defined cut: which places pass the linear filter.
 *
 * For a place p (between bytes p-1 and p) with 16 bytes before it, all sums mod 2^32,
 *
 *     f(p) = constant + sum over t = 0..3 of weights[2t] * w(p-16+4t) + weights[2t+1] * w(p-14+4t)
 *
 * where w(q) is the signed little-endian 16-bit number at bytes q and q+1. A place passes if bits 11 to 20
 * of f(p) are zero: 1 in 1,024 on random data. Why those ten bits: bit k of a product depends only on
 * bits 0..k of its factors, so the low bits of f never see the high byte of a word (in text, half of the
 * letters), and the high bits move only by carries when words are small. Bits 11 to 20 stand in the middle
 * of the 31-bit products, where both bytes of a word and all of its weight have their say.
 *
 * f looks back 16 bytes and at nothing else (a window, not a rolling hash), so many places are computed at once and
 * every level below finds exactly the same places: pmaddwd and vpdpwssd are this sum.
 *
 * Source:  Own; the windowed SIMD filter was measured against gear, buzhash and Rabin (docs/decisions/0001).
 * Threads: any. cut_scan_use changes the level for all of them.
 */
#pragma once

#include "fetch/base/buf.h"

enum {
    CUT_FILTER_BYTES = 16,                 /* how far f looks back */
    CUT_FILTER_MASK = ((1 << 10) - 1) << 11, /* bits 11 to 20 */
};

struct cut_filter {
    int16_t weights[8]; /* odd, hence neither 0 nor -32768 */
    uint32_t constant;
};

/*
 * Find the places that pass.
 *
 *   data  borrowed; bytes data[*from - 16] to data[to - 1] are read
 *   from  in: the first place to look at, at least 16; out: the first not looked at, to + 1 when all were
 *   to    the last place to look at
 *   ret   room for `room` offsets into data, ascending; room is at least 64
 *
 * Returns how many were found; stops early when fewer than 64 more would fit.
 */
size_t cut_scan(const struct cut_filter *filter, const uint8_t *data, size_t *from, size_t to,
                uint32_t *ret, size_t room);

/* Ways of computing it, slowest first. */
enum cut_level { CUT_SCALAR, CUT_SSE2, CUT_AVX2, CUT_AVX512, CUT_LEVELS };

/* Scan this way from now on, for tests and comparisons. ERR_UNSUPPORTED: this CPU cannot. */
enum err cut_scan_use(enum cut_level level);
/* The fastest this CPU can; what is used unless told otherwise. */
enum cut_level cut_scan_best(void);
/* "scalar", "sse2", "avx2", "avx512-vnni". */
const char *cut_level_name(enum cut_level level);
