#include "fetch/crypto/chunkid.h"

#include <pthread.h>

#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/lanes.h"
#include "tests/fetch/crypto/hex_vector.h"
#include "tests/fetch/crypto/vectors.h"

static const char *const roads[] = {"portable", "sha-ni", "avx512", "avx2"};
enum { ROADS = sizeof roads / sizeof *roads };

/* The data of vectors.py. */
static struct buf pattern(size_t len)
{
    struct buf b = BUF_EMPTY;
    if (buf_resize(&b, len) == ERR_OK)
        for (size_t i = 0; i < len; i++)
            b.data[i] = (uint8_t)((uint32_t)(i * UINT32_C(2654435761)) >> 24);
    return b;
}

static struct id_keys *test_keys(void)
{
    uint8_t key[32];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    struct id_keys *keys = NULL;
    CHECK_OR(NULL, id_keys_new(key, &keys) == ERR_OK);
    return keys;
}

static void check_vectors(const struct id_keys *keys, struct slice data)
{
    enum { VECTORS = sizeof chunk_id_vectors / sizeof *chunk_id_vectors };
    struct id_job jobs[VECTORS];
    for (size_t i = 0; i < VECTORS; i++) {
        struct slice part = slice_of(data.data, chunk_id_vectors[i].len);
        struct chunk_id one;
        chunk_id_of(keys, part, &one);
        CHECK_HEX(one.bytes, chunk_id_vectors[i].id);
        jobs[i] = (struct id_job){.data = part};
    }
    chunk_ids(keys, jobs, VECTORS);
    for (size_t i = 0; i < VECTORS; i++)
        CHECK_HEX(jobs[i].id.bytes, chunk_id_vectors[i].id);
}

TEST(every_road_names_chunks_as_an_independent_program_does)
{
    AUTO_PTR(id_keys) keys = test_keys();
    AUTO(buf) data = pattern(CHUNK_ID_MAX_BYTES);
    CHECK_INT(data.len, CHUNK_ID_MAX_BYTES);
    size_t tried = 0;
    for (size_t i = 0; i < ROADS; i++) {
        if (!lanes_force(roads[i]))
            continue; /* this CPU has it not */
        tried++;
        CHECK_CALL(check_vectors(keys, buf_slice(&data)));
    }
    CHECK(tried >= 1);
    CHECK(lanes_force(NULL));
    CHECK_CALL(check_vectors(keys, buf_slice(&data)));
}

/* Lengths near what matters: blocks, leaves, full chunks. */
static size_t random_length(void)
{
    static const size_t near[] = {0, 64, 119, 128, 1000, 16384, 32768, 65536, 100000};
    size_t base = near[rand_below(sizeof near / sizeof *near)];
    return base + (size_t)rand_below(5) - (base >= 2 ? 2 : 0);
}

TEST(random_batches_have_the_same_names_on_every_road)
{
    enum { BATCHES = 40, LONGEST = 60 };
    AUTO_PTR(id_keys) keys = test_keys();
    AUTO(buf) data = pattern(200000);
    CHECK(data.len > 0);
    rand_seed_for_test(1492);
    for (int batch = 0; batch < BATCHES; batch++) {
        struct id_job jobs[LONGEST];
        struct chunk_id expected[LONGEST];
        size_t n = (size_t)rand_below(LONGEST + 1);
        for (size_t i = 0; i < n; i++)
            jobs[i].data = slice_of(data.data + rand_below(1000), random_length());
        chunkid_use_portable(true);
        chunk_ids(keys, jobs, n);
        for (size_t i = 0; i < n; i++)
            expected[i] = jobs[i].id;
        for (size_t road = 0; road < ROADS; road++) {
            if (!lanes_force(roads[road]))
                continue;
            for (size_t i = 0; i < n; i++)
                memset(&jobs[i].id, 0xee, sizeof jobs[i].id);
            chunk_ids(keys, jobs, n);
            for (size_t i = 0; i < n; i++)
                CHECK_MEM(jobs[i].id.bytes, expected[i].bytes, 32);
        }
    }
    chunkid_use_portable(false);
}

TEST(sha256_of_many_is_sha256_of_each)
{
    static const size_t lengths[] = {0,  1,  55,    56,    63,    64,    65,    119,   120,    127,    128,
                                     16, 17, 16384, 32767, 65533, 65534, 65535, 65536, 100000, 200000, 3};
    enum { N = sizeof lengths / sizeof *lengths, MANY = 700 };
    AUTO(buf) data = pattern(200000);
    CHECK(data.len > 0);
    for (size_t road = 0; road < ROADS; road++) {
        if (!lanes_force(roads[road]))
            continue;
        static struct sha_job jobs[MANY];
        for (size_t n = 0; n <= MANY; n = n < 40 ? n + 1 : n + 330) {
            for (size_t i = 0; i < n; i++)
                jobs[i] = (struct sha_job){.data = slice_of(data.data, lengths[(i + n) % N] / (n < 40 ? 1 : 16))};
            sha256_many(jobs, n);
            for (size_t i = 0; i < n; i++) {
                uint8_t expected[32];
                sha256_of(jobs[i].data, expected);
                CHECK_MEM(jobs[i].digest, expected, 32);
            }
        }
    }
    CHECK(lanes_force(NULL));
}

TEST(a_name_depends_on_key_length_and_place)
{
    AUTO_PTR(id_keys) keys = test_keys();
    AUTO_PTR(id_keys) others = NULL;
    CHECK_OK(id_keys_new((uint8_t[32]){9}, &others));
    AUTO(buf) zeros = BUF_EMPTY;
    buf_put_zeros(&zeros, 3 * CHUNK_LEAF_BYTES);
    CHECK_OK(buf_check(&zeros));
    struct chunk_id a, b;
    for (size_t len = CHUNK_LEAF_BYTES - 1; len <= CHUNK_LEAF_BYTES + 1; len++) {
        chunk_id_of(keys, slice_of(zeros.data, len), &a);
        chunk_id_of(others, slice_of(zeros.data, len), &b);
        CHECK(memcmp(&a, &b, sizeof a) != 0);
        chunk_id_of(keys, slice_of(zeros.data, len + 1), &b);
        CHECK(memcmp(&a, &b, sizeof a) != 0);
    }
    /* Two leaves swapped are another chunk: each position has its key. */
    zeros.data[0] = 1;
    chunk_id_of(keys, buf_slice(&zeros), &a);
    zeros.data[0] = 0;
    zeros.data[CHUNK_LEAF_BYTES] = 1;
    chunk_id_of(keys, buf_slice(&zeros), &b);
    CHECK(memcmp(&a, &b, sizeof a) != 0);
}

static void *hash_in_a_thread(void *arg)
{
    AUTO(buf) data = pattern(65536);
    uint8_t expected[32] = {0};
    if (data.len == 0 || !hex_parse(chunk_id_vectors[9].id, 64, expected, 32))
        return arg; /* not NULL: failed */
    for (int i = 0; i < 50; i++) {
        struct chunk_id id;
        chunk_id_of(arg, buf_slice(&data), &id);
        if (memcmp(id.bytes, expected, 32) != 0)
            return arg;
    }
    return NULL;
}

TEST(threads_share_the_keys_and_have_their_own_lanes)
{
    enum { THREADS = 8 };
    CHECK_INT(chunk_id_vectors[9].len, 65536);
    AUTO_PTR(id_keys) keys = test_keys();
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, hash_in_a_thread, keys), 0);
    bool good = true;
    for (size_t i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        good = good && !result;
    }
    CHECK(good);
}

TEST(the_method_is_named_and_portable_can_be_asked_for)
{
    CHECK(strlen(chunkid_method()) > 0);
    chunkid_use_portable(true);
    CHECK_STR(chunkid_method(), "portable");
    chunkid_use_portable(false);
    CHECK(!lanes_force("abacus"));
}

TEST_MAIN(every_road_names_chunks_as_an_independent_program_does,
          random_batches_have_the_same_names_on_every_road, sha256_of_many_is_sha256_of_each,
          a_name_depends_on_key_length_and_place, threads_share_the_keys_and_have_their_own_lanes,
          the_method_is_named_and_portable_can_be_asked_for)
