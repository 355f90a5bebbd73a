/*
 * crypto_bench: what fetch/crypto costs on this machine, as rates and as ratios.
 *
 *     gcc -O2 -D_GNU_SOURCE -DYORE_HAVE_IPSEC_MB=1 -I. tests/bench/crypto_bench.c $(ls fetch/crypto/[a-z]*.c) \
 *         $(ls fetch/base/[a-z]*.c) -lIPSec_MB -lcrypto -lpthread -o /tmp/crypto_bench && /tmp/crypto_bench
 *
 * CPU time of one thread, the best of several rounds, so that a neighbour disturbs little.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fetch/base/rand.h"
#include "fetch/crypto/aead.h"
#include "fetch/crypto/chunkid.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/hpke.h"
#include "fetch/crypto/lanes.h"
#include "fetch/crypto/prf.h"
#include "fetch/crypto/selftest.h"
#include "fetch/crypto/sign.h"
#include "fetch/crypto/xaes.h"

enum { ROUNDS = 7, DATA_BYTES = 8 << 20 };

static uint8_t *data, *other;
static struct id_keys *keys;
static struct id_job jobs[DATA_BYTES / 1024];
static struct hmac_key one_key;

static double now_secs(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* All DATA_BYTES in pieces of size, batch pieces a call. */
struct work {
    size_t size, batch;
};

static void name_chunks(const struct work *w)
{
    size_t n = DATA_BYTES / w->size;
    for (size_t i = 0; i < n; i++)
        jobs[i].data = slice_of(data + i * w->size, w->size);
    for (size_t i = 0; i < n; i += w->batch)
        chunk_ids(keys, jobs + i, n - i < w->batch ? n - i : w->batch);
}

/* What naming would cost without leaves: one HMAC a chunk, by OpenSSL. */
static void hmac_chunks(const struct work *w)
{
    for (size_t at = 0; at < DATA_BYTES; at += w->size)
        hmac_with(&one_key, slice_of(data + at, w->size), jobs[0].id.bytes);
}

static void seal(const struct work *w)
{
    for (size_t at = 0; at < DATA_BYTES; at += w->size)
        if (aead_seal(data, other, SLICE_EMPTY, slice_of(data + at, w->size), other) != ERR_OK)
            abort();
}

static void open_sealed(const struct work *w)
{
    static uint8_t plain[1 << 20];
    uint8_t nonce[12] = {0};
    if (aead_seal(data, nonce, SLICE_EMPTY, slice_of(data, w->size), other) != ERR_OK)
        abort();
    for (size_t at = 0; at < DATA_BYTES; at += w->size)
        if (aead_open(data, nonce, SLICE_EMPTY, slice_of(other, w->size + AEAD_TAG_BYTES), plain) != ERR_OK)
            abort();
}

static void seal_xaes(const struct work *w)
{
    for (size_t at = 0; at < DATA_BYTES; at += w->size)
        if (xaes_seal(data, other, SLICE_EMPTY, slice_of(data + at, w->size), other) != ERR_OK)
            abort();
}

static double rate(void (*what)(const struct work *), size_t size, size_t batch)
{
    struct work w = {size, batch};
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double began = now_secs();
        what(&w);
        double took = now_secs() - began;
        best = took < best ? took : best;
    }
    return DATA_BYTES / best / 1e9;
}

static void bench_names(void)
{
    static const char *const roads[] = {"sha-ni", "avx512", "avx2", NULL};
    printf("chunk names, GB/s (and against one HMAC a chunk by OpenSSL); chosen here: %s\n", chunkid_method());
    printf("%-10s %8s %8s", "road", "chunk", "openssl");
    static const size_t batches[] = {1, 4, 16, 64};
    for (size_t b = 0; b < 4; b++)
        printf("   batch %-5zu", batches[b]);
    static const size_t sizes[] = {1024, 4096, 16384, 65536, 262144, 1 << 20};
    for (size_t r = 0; r < 4; r++) {
        if (!lanes_force(roads[r]))
            continue;
        for (size_t s = 0; s < 6; s++) {
            double openssl = rate(hmac_chunks, sizes[s], 1);
            printf("\n%-10s %8zu %8.2f", roads[r] ? roads[r] : "chosen", sizes[s], openssl);
            for (size_t b = 0; b < 4; b++) {
                double lanes = rate(name_chunks, sizes[s], batches[b]);
                printf("   %5.2f %4.2fx", lanes, lanes / openssl);
            }
        }
    }
    printf("\n\n");
}

static void bench_aead(void)
{
    printf("AES-256-GCM, GB/s, a new key each call\n%8s %8s %8s %8s\n", "message", "seal", "open", "xaes");
    static const size_t sizes[] = {64, 1024, 4096, 65536, 262144, 1 << 20};
    for (size_t s = 0; s < 6; s++)
        printf("%8zu %8.2f %8.2f %8.2f\n", sizes[s], rate(seal, sizes[s], 1), rate(open_sealed, sizes[s], 1),
               rate(seal_xaes, sizes[s], 1));
}

static void bench_prf(void)
{
    struct cut_prf *prf;
    const uint8_t *windows[1024];
    uint64_t got[1024];
    if (prf_new(data, &prf) != ERR_OK)
        abort();
    for (size_t i = 0; i < 1024; i++)
        windows[i] = data + i * 100;
    printf("\ncut PRF, ns a window\n");
    for (size_t n = 1; n <= 1024; n *= 4) {
        double best = 1e9;
        for (int round = 0; round < ROUNDS; round++) {
            double began = now_secs();
            for (size_t i = 0; i < 16384 / n; i++)
                if (prf_many(prf, windows, n, got) != ERR_OK)
                    abort();
            double took = now_secs() - began;
            best = took < best ? took : best;
        }
        printf("  %4zu at once %7.1f\n", n, best / 16384 * 1e9);
    }
    prf_free(prf);
}

static void bench_public_keys(void)
{
    struct x25519_pair x;
    struct sign_pair s;
    uint8_t sealed[32 + HPKE_OVERHEAD_BYTES], plain[32], signature[64];
    if (x25519_generate(&x) != ERR_OK || sign_generate(&s) != ERR_OK)
        abort();
    double t[5];
    t[0] = now_secs();
    for (int i = 0; i < 500; i++)
        (void)hpke_seal(x.public, SLICE_EMPTY, SLICE_EMPTY, slice_of(plain, 32), sealed);
    t[1] = now_secs();
    for (int i = 0; i < 500; i++)
        (void)hpke_open(&x, SLICE_EMPTY, SLICE_EMPTY, slice_of(sealed, sizeof sealed), plain);
    t[2] = now_secs();
    for (int i = 0; i < 500; i++)
        (void)sign_make(&s, slice_of(data, 1000), signature);
    t[3] = now_secs();
    for (int i = 0; i < 500; i++)
        (void)sign_check(s.public, slice_of(data, 1000), signature);
    t[4] = now_secs();
    printf("\nus a call: hpke seal %.0f, open %.0f; sign %.0f, check %.0f\n", (t[1] - t[0]) * 2000,
           (t[2] - t[1]) * 2000, (t[3] - t[2]) * 2000, (t[4] - t[3]) * 2000);
}

int main(void)
{
    double began = now_secs();
    if (crypto_selftest() != ERR_OK)
        return 1;
    printf("self-test, first call: %.2f ms of CPU\n\n", (now_secs() - began) * 1e3);
    data = malloc(DATA_BYTES);
    other = malloc(DATA_BYTES);
    if (!data || !other)
        return 1;
    rand_bytes(data, DATA_BYTES);
    hmac_key_init(&one_key, data);
    if (id_keys_new(data, &keys) != ERR_OK)
        return 1;
    bench_names();
    bench_aead();
    bench_prf();
    bench_public_keys();
    id_keys_free(keys);
    free(data);
    free(other);
    return 0;
}
