/*
 * prf: the keyed cut's confirmation: a pseudo-random number for each 64-byte window.
 *
 * The chunker's fast filter is linear in its key, so its cuts alone would betray it; a candidate counts
 * only if AES says so. For a window of 4 blocks m1..m4:
 *
 *     x0 = 0,  xi = AES-256(key, xi-1 xor mi),  result = first 8 bytes of x4, little-endian
 *
 * CBC-MAC is a PRF for messages of one fixed length, and 64 bytes is all there is here. Windows are done
 * side by side, four passes of AES over a batch, because AES units are deep pipelines.
 *
 * Threads: a cut_prf belongs to one thread at a time.
 */
#pragma once

#include "fetch/base/buf.h"

enum { PRF_WINDOW_BYTES = 64 };

struct cut_prf;

enum err prf_new(const uint8_t key[32], struct cut_prf **ret);
void prf_free(struct cut_prf *prf);
static inline void cut_prf_free(struct cut_prf *prf)
{
    prf_free(prf);
}
DEFINE_AUTO_PTR(cut_prf);

/*
 *   windows  n pointers, each to PRF_WINDOW_BYTES readable bytes; they may overlap each other
 *   ret      n numbers
 *
 *   ERR_IO   the library refused; ret is undefined (not seen to happen)
 */
enum err prf_many(struct cut_prf *prf, const uint8_t *const *windows, size_t n, uint64_t *ret);
