/*
 * The vector levels compute 64 places as four interleaved rows: a load at byte r (0..3) has in its 32-bit
 * lane j the two words that belong to place r + 4j, so one multiply-add serves every fourth place, and
 * four of them, 4 bytes apart, make the whole sum. The last load ends with the byte before the last place:
 * nothing outside the windows is read.
 */
#include "writers/pipeline/cut_scan.h"

#include <assert.h>
#include <stdatomic.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { BLOCK_PLACES = 64 };

/* A bit for each of the 64 places from p on that passes; reads data[p - 16] to data[p + 62]. */
typedef uint64_t block_fn(const struct cut_filter *filter, const uint8_t *before);

static int32_t word_at(const uint8_t *at)
{
    return (int16_t)(uint16_t)(at[0] | at[1] << 8);
}

static bool place_passes(const struct cut_filter *filter, const uint8_t *before)
{
    uint32_t sum = filter->constant;
    for (size_t i = 0; i < 8; i++)
        sum += (uint32_t)(word_at(before + 2 * i) * filter->weights[i]);
    return (sum & CUT_FILTER_MASK) == 0;
}

/* Loops of fixed length over arrays: a compiler that knows vectors makes some of it, on any CPU. */
static uint64_t block_scalar(const struct cut_filter *filter, const uint8_t *before)
{
    int16_t words[BLOCK_PLACES + 16];
    for (size_t i = 0; i < BLOCK_PLACES + 14; i++)
        words[i] = (int16_t)word_at(before + i);
    uint32_t sums[BLOCK_PLACES];
    for (size_t i = 0; i < BLOCK_PLACES; i++)
        sums[i] = filter->constant;
    for (size_t t = 0; t < 8; t++)
        for (size_t i = 0; i < BLOCK_PLACES; i++)
            sums[i] += (uint32_t)(words[i + 2 * t] * filter->weights[t]);
    uint64_t found = 0;
    for (size_t i = 0; i < BLOCK_PLACES; i++)
        found |= (uint64_t)((sums[i] & CUT_FILTER_MASK) == 0) << i;
    return found;
}

/* The loop around a block, always inlined so that each level keeps its weights in registers. */
static inline __attribute__((always_inline)) size_t scan_blocks(block_fn *block,
                                                                const struct cut_filter *filter,
                                                                const uint8_t *data, size_t *from,
                                                                size_t to, uint32_t *ret, size_t room)
{
    size_t count = 0;
    size_t p = *from;
    for (; p <= to && to - p >= BLOCK_PLACES - 1 && room - count >= BLOCK_PLACES; p += BLOCK_PLACES) {
        uint64_t found = block(filter, data + p - CUT_FILTER_BYTES);
        for (; found; found &= found - 1)
            ret[count++] = (uint32_t)(p + (size_t)__builtin_ctzll(found));
    }
    for (; p <= to && to - p < BLOCK_PLACES - 1 && room - count >= 1; p++)
        if (place_passes(filter, data + p - CUT_FILTER_BYTES))
            ret[count++] = (uint32_t)p;
    *from = p;
    return count;
}

typedef size_t scan_fn(const struct cut_filter *filter, const uint8_t *data, size_t *from, size_t to,
                       uint32_t *ret, size_t room);

static size_t scan_scalar(const struct cut_filter *filter, const uint8_t *data, size_t *from, size_t to,
                          uint32_t *ret, size_t room)
{
    return scan_blocks(block_scalar, filter, data, from, to, ret, room);
}

#ifdef __x86_64__

static inline __attribute__((always_inline)) int32_t weight_pair(const struct cut_filter *filter, size_t t)
{
    int32_t pair;
    memcpy(&pair, filter->weights + 2 * t, sizeof pair);
    return pair;
}

/* Bits 0 to 15 of row to bits 0, 4, 8 ... 60. */
static inline uint64_t spread_by_four(uint64_t row)
{
    row = (row | row << 24) & 0x000000ff000000ff;
    row = (row | row << 12) & 0x000f000f000f000f;
    row = (row | row << 6) & 0x0303030303030303;
    row = (row | row << 3) & 0x1111111111111111;
    return row;
}

static inline uint64_t join_rows(const uint32_t rows[4])
{
    return spread_by_four(rows[0]) | spread_by_four(rows[1]) << 1 | spread_by_four(rows[2]) << 2 |
           spread_by_four(rows[3]) << 3;
}

static inline __attribute__((always_inline)) uint64_t block_sse2(const struct cut_filter *filter,
                                                                 const uint8_t *before)
{
    const __m128i mask = _mm_set1_epi32(CUT_FILTER_MASK);
    const __m128i constant = _mm_set1_epi32((int32_t)filter->constant);
    uint64_t found = 0;
    for (size_t quarter = 0; quarter < 4; quarter++, before += 16) {
        __m128i zero[4];
        for (size_t r = 0; r < 4; r++) {
            __m128i sum = constant;
            for (size_t t = 0; t < 4; t++) {
                __m128i words = _mm_loadu_si128((const __m128i_u *)(const void *)(before + r + 4 * t));
                sum = _mm_add_epi32(sum, _mm_madd_epi16(words, _mm_set1_epi32(weight_pair(filter, t))));
            }
            zero[r] = _mm_cmpeq_epi32(_mm_and_si128(sum, mask), _mm_setzero_si128());
        }
        __m128i any = _mm_or_si128(_mm_or_si128(zero[0], zero[1]), _mm_or_si128(zero[2], zero[3]));
        if (__builtin_expect(_mm_movemask_epi8(any) == 0, 1))
            continue;
        uint32_t rows[4];
        for (size_t r = 0; r < 4; r++)
            rows[r] = (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(zero[r]));
        found |= join_rows(rows) << 16 * quarter;
    }
    return found;
}

static size_t scan_sse2(const struct cut_filter *filter, const uint8_t *data, size_t *from, size_t to,
                        uint32_t *ret, size_t room)
{
    return scan_blocks(block_sse2, filter, data, from, to, ret, room);
}

#define AVX2 __attribute__((target("avx2")))

static inline AVX2 uint64_t block_avx2(const struct cut_filter *filter, const uint8_t *before)
{
    const __m256i mask = _mm256_set1_epi32(CUT_FILTER_MASK);
    const __m256i constant = _mm256_set1_epi32((int32_t)filter->constant);
    uint64_t found = 0;
    for (size_t half = 0; half < 2; half++, before += 32) {
        __m256i zero[4];
        for (size_t r = 0; r < 4; r++) {
            __m256i sum = constant;
            for (size_t t = 0; t < 4; t++) {
                __m256i words = _mm256_loadu_si256((const __m256i_u *)(const void *)(before + r + 4 * t));
                __m256i pair = _mm256_set1_epi32(weight_pair(filter, t));
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(words, pair));
            }
            zero[r] = _mm256_cmpeq_epi32(_mm256_and_si256(sum, mask), _mm256_setzero_si256());
        }
        __m256i any = _mm256_or_si256(_mm256_or_si256(zero[0], zero[1]), _mm256_or_si256(zero[2], zero[3]));
        if (__builtin_expect(_mm256_testz_si256(any, any), 1))
            continue;
        uint32_t rows[4];
        for (size_t r = 0; r < 4; r++)
            rows[r] = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(zero[r]));
        found |= join_rows(rows) << 32 * half;
    }
    return found;
}

static AVX2 size_t scan_avx2(const struct cut_filter *filter, const uint8_t *data, size_t *from, size_t to,
                             uint32_t *ret, size_t room)
{
    return scan_blocks(block_avx2, filter, data, from, to, ret, room);
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vnni")))

static inline AVX512 uint64_t block_avx512(const struct cut_filter *filter, const uint8_t *before)
{
    const __m512i mask = _mm512_set1_epi32(CUT_FILTER_MASK);
    const __m512i constant = _mm512_set1_epi32((int32_t)filter->constant);
    uint32_t rows[4];
    for (size_t r = 0; r < 4; r++) {
        __m512i sum = constant;
        for (size_t t = 0; t < 4; t++) {
            __m512i words = _mm512_loadu_si512(before + r + 4 * t);
            sum = _mm512_dpwssd_epi32(sum, words, _mm512_set1_epi32(weight_pair(filter, t)));
        }
        rows[r] = _mm512_testn_epi32_mask(sum, mask);
    }
    if (__builtin_expect((rows[0] | rows[1] | rows[2] | rows[3]) == 0, 1))
        return 0;
    return join_rows(rows);
}

static AVX512 size_t scan_avx512(const struct cut_filter *filter, const uint8_t *data, size_t *from,
                                 size_t to, uint32_t *ret, size_t room)
{
    return scan_blocks(block_avx512, filter, data, from, to, ret, room);
}

static scan_fn *const scan_levels[CUT_LEVELS] = {
    [CUT_SCALAR] = scan_scalar,
    [CUT_SSE2] = scan_sse2,
    [CUT_AVX2] = scan_avx2,
    [CUT_AVX512] = scan_avx512,
};

enum cut_level cut_scan_best(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vnni"))
        return CUT_AVX512;
    if (__builtin_cpu_supports("avx2"))
        return CUT_AVX2;
    return CUT_SSE2;
}

#else

static scan_fn *const scan_levels[CUT_LEVELS] = {[CUT_SCALAR] = scan_scalar};

enum cut_level cut_scan_best(void)
{
    return CUT_SCALAR;
}

#endif

/* The level in use; CUT_LEVELS until somebody scans or chooses. Every level gives the same answer, so
 * a thread that sees an old value is merely slower. */
static _Atomic int level_in_use = CUT_LEVELS;

enum err cut_scan_use(enum cut_level level)
{
    if (level > cut_scan_best() || !scan_levels[level])
        return err_set(ERR_UNSUPPORTED, "this CPU cannot scan with %s", cut_level_name(level));
    atomic_store_explicit(&level_in_use, (int)level, memory_order_relaxed);
    return ERR_OK;
}

const char *cut_level_name(enum cut_level level)
{
    static const char *const names[CUT_LEVELS] = {"scalar", "sse2", "avx2", "avx512-vnni"};
    return level < CUT_LEVELS ? names[level] : "unknown";
}

size_t cut_scan(const struct cut_filter *filter, const uint8_t *data, size_t *from, size_t to,
                uint32_t *ret, size_t room)
{
    assert(*from >= CUT_FILTER_BYTES && to <= UINT32_MAX && room >= BLOCK_PLACES);
    int level = atomic_load_explicit(&level_in_use, memory_order_relaxed);
    if (level == CUT_LEVELS) {
        level = (int)cut_scan_best();
        atomic_store_explicit(&level_in_use, level, memory_order_relaxed);
    }
    return scan_levels[level](filter, data, from, to, ret, room);
}
