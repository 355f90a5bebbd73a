#include "fetch/crypto/sha_pair.h"

enum { BLOCK_BYTES = 64 };

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define SHA_NI __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t ROUNDS[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* One message's state as the unit wants it: words a b e f and c d g h. */
struct lane {
    __m128i abef, cdgh;
};

static inline SHA_NI struct lane lane_load(const uint32_t state[8])
{
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xB1);
    __m128i hgfe =
        _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1B);
    return (struct lane){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xF0)};
}

static inline SHA_NI void lane_store(struct lane lane, uint32_t state[8])
{
    __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1B);
    __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Sixteen message words, big-endian in the message. */
static inline SHA_NI void words_load(const uint8_t *block, __m128i words[4])
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        words[i] = _mm_shuffle_epi8(
            _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i)), swap);
}

/* Rounds 4r to 4r + 3, and the words of round 4r + 16 on. r is known when this is compiled. */
static inline SHA_NI void four_rounds(struct lane *lane, __m128i words[4], int r, __m128i constants)
{
    __m128i sum = _mm_add_epi32(words[r % 4], constants);
    lane->cdgh = _mm_sha256rnds2_epu32(lane->cdgh, lane->abef, sum);
    lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(sum, 0x0E));
    if (r < 12) {
        __m128i seven_back = _mm_alignr_epi8(words[(r + 3) % 4], words[(r + 2) % 4], 4);
        __m128i next =
            _mm_add_epi32(_mm_sha256msg1_epu32(words[r % 4], words[(r + 1) % 4]), seven_back);
        words[r % 4] = _mm_sha256msg2_epu32(next, words[(r + 3) % 4]);
    }
}

static SHA_NI void blocks_pair(uint32_t state_a[8], const uint8_t *a, uint32_t state_b[8],
                               const uint8_t *b, size_t blocks)
{
    struct lane lane_a = lane_load(state_a), lane_b = lane_load(state_b);
    for (; blocks > 0; blocks--) {
        struct lane before_a = lane_a, before_b = lane_b;
        __m128i words_a[4], words_b[4];
        words_load(a, words_a);
        words_load(b, words_b);
#pragma GCC unroll 16
        for (int r = 0; r < 16; r++) {
            __m128i constants = _mm_load_si128((const __m128i *)(const void *)(ROUNDS + 4 * r));
            four_rounds(&lane_a, words_a, r, constants);
            four_rounds(&lane_b, words_b, r, constants);
        }
        lane_a = (struct lane){_mm_add_epi32(lane_a.abef, before_a.abef),
                               _mm_add_epi32(lane_a.cdgh, before_a.cdgh)};
        lane_b = (struct lane){_mm_add_epi32(lane_b.abef, before_b.abef),
                               _mm_add_epi32(lane_b.cdgh, before_b.cdgh)};
        a += BLOCK_BYTES;
        b += BLOCK_BYTES;
    }
    lane_store(lane_a, state_a);
    lane_store(lane_b, state_b);
}

/* gcc 12 cannot be asked for "sha": CPUID leaf 7, EBX bit 29. SSE4.1 came long before. */
static bool have_sha_unit(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29) &&
           __builtin_cpu_supports("sse4.1");
}

#else

static bool have_sha_unit(void)
{
    return false;
}

static void blocks_pair(uint32_t state_a[8], const uint8_t *a, uint32_t state_b[8],
                        const uint8_t *b, size_t blocks)
{
    (void)state_a, (void)a, (void)state_b, (void)b, (void)blocks; /* never called */
}

#endif

/* Fill up the block a computation has begun, so that it stands between blocks. */
static struct slice block_finish(struct sha256 *sha, struct slice data)
{
    size_t missing = sha->block_len ? BLOCK_BYTES - sha->block_len : 0;
    size_t take = missing < data.len ? missing : data.len;
    sha256_update(sha, slice_of(data.data, take));
    return slice_of(data.data + take, data.len - take);
}

static void bits_add(struct sha256 *sha, uint64_t bytes)
{
    uint64_t bits = ((uint64_t)sha->bits_high << 32 | sha->bits_low) + bytes * 8;
    sha->bits_low = (uint32_t)bits;
    sha->bits_high = (uint32_t)(bits >> 32);
}

void sha256_update_pair(struct sha256 *a, struct slice data_a, struct sha256 *b,
                        struct slice data_b)
{
    if (have_sha_unit()) {
        data_a = block_finish(a, data_a);
        data_b = block_finish(b, data_b);
        size_t blocks = (data_a.len < data_b.len ? data_a.len : data_b.len) / BLOCK_BYTES;
        size_t both = blocks * BLOCK_BYTES;
        if (blocks > 0) {
            blocks_pair(a->state, data_a.data, b->state, data_b.data, blocks);
            bits_add(a, both);
            bits_add(b, both);
            data_a = slice_of(data_a.data + both, data_a.len - both);
            data_b = slice_of(data_b.data + both, data_b.len - both);
        }
    }
    sha256_update(a, data_a);
    sha256_update(b, data_b);
}
