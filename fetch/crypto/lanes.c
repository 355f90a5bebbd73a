#include "fetch/crypto/lanes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "fetch/crypto/secret.h"

static void hash_one(const struct lane_message *m)
{
    if (m->key)
        hmac_with(m->key, m->data, m->ret);
    else
        sha256_of(m->data, m->ret);
}

static void hash_one_by_one(const struct lane_message *messages, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash_one(&messages[i]);
}

#if YORE_HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>

enum road { PORTABLE, SHA_UNITS, VECTOR, ROADS };

/* Best road for at least 1, 2, 4, 8, 16 messages. Constant after once. */
enum { CLASSES = 5 };
static enum road best[CLASSES];
static size_t vector_lanes = 16; /* 8 with AVX2; constant after once */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static bool thread_key_made; /* constant after once */

static atomic_int forced = -1; /* a road, or -1: as measured */

struct managers {
    IMB_MGR *of[ROADS];
};

static void manager_free(IMB_MGR *mgr)
{
    if (!mgr)
        return;
    secret_wipe(mgr, imb_get_mb_mgr_size()); /* states of keys */
    free_mb_mgr(mgr);
}

static IMB_MGR *manager_new(enum road road)
{
    if (road == PORTABLE)
        return NULL;
    IMB_MGR *mgr = alloc_mb_mgr(road == VECTOR ? IMB_FLAG_SHANI_OFF : 0);
    if (!mgr)
        return NULL;
    bool made = false;
    if (road == SHA_UNITS && (mgr->features & IMB_CPUFLAGS_SSE_T2) == IMB_CPUFLAGS_SSE_T2) {
        init_mb_mgr_sse(mgr);
        made = true;
    } else if (road == VECTOR && (mgr->features & IMB_CPUFLAGS_AVX512) == IMB_CPUFLAGS_AVX512) {
        init_mb_mgr_avx512(mgr);
        made = true;
    } else if (road == VECTOR && (mgr->features & IMB_CPUFLAGS_AVX2) == IMB_CPUFLAGS_AVX2) {
        init_mb_mgr_avx2(mgr);
        made = true;
    }
    if (!made || imb_get_errno(mgr) != 0) {
        manager_free(mgr);
        return NULL;
    }
    return mgr;
}

static void job_fill(IMB_JOB *job, const struct lane_message *m)
{
    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->src = m->data.data;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = m->data.len;
    job->auth_tag_output = m->ret;
    job->auth_tag_output_len_in_bytes = 32;
    if (m->key) {
        job->hash_alg = IMB_AUTH_HMAC_SHA_256;
        job->u.HMAC._hashed_auth_key_xor_ipad = (const uint8_t *)m->key->inner;
        job->u.HMAC._hashed_auth_key_xor_opad = (const uint8_t *)m->key->outer;
    } else {
        job->hash_alg = IMB_AUTH_SHA_256;
    }
    memcpy(&job->user_data, &m, sizeof m); /* keeps const out of a void * */
}

/* A job the library hands back. One it refused (not seen to happen) is done here, so nobody hears of it. */
static void job_land(const IMB_JOB *job)
{
    if (job->status == IMB_STATUS_COMPLETED)
        return;
    const struct lane_message *m;
    memcpy(&m, &job->user_data, sizeof m);
    hash_one(m);
}

static void hash_in_lanes(IMB_MGR *mgr, const struct lane_message *messages, size_t n)
{
    IMB_JOB *job;
    for (size_t i = 0; i < n; i++) {
        size_t len = messages[i].data.len;
        if (len == 0 || len > LANE_MAX_BYTES) { /* the library knows neither */
            hash_one(&messages[i]);
            continue;
        }
        job_fill(IMB_GET_NEXT_JOB(mgr), &messages[i]);
        for (job = IMB_SUBMIT_JOB(mgr); job; job = IMB_GET_COMPLETED_JOB(mgr))
            job_land(job);
    }
    while ((job = IMB_FLUSH_JOB(mgr)))
        job_land(job);
}

static void managers_free(void *what)
{
    struct managers *mine = what;
    for (int road = 0; road < ROADS; road++)
        manager_free(mine->of[road]);
    free(mine);
}

/* This thread's manager for a road; NULL: there is none, go one by one. */
static IMB_MGR *manager_of(enum road road)
{
    if (road == PORTABLE || !thread_key_made)
        return NULL;
    struct managers *mine = pthread_getspecific(thread_key);
    if (!mine) {
        mine = calloc(1, sizeof *mine);
        if (!mine)
            return NULL;
        if (pthread_setspecific(thread_key, mine) != 0) {
            free(mine);
            return NULL;
        }
    }
    if (!mine->of[road])
        mine->of[road] = manager_new(road);
    return mine->of[road];
}

/* The thread that measured has made a manager for every road; keep what will be used. */
static void manager_drop_unused(enum road road)
{
    struct managers *mine = pthread_getspecific(thread_key);
    for (size_t class = 0; class < CLASSES; class++)
        if (!mine || best[class] == road)
            return;
    manager_free(mine->of[road]);
    mine->of[road] = NULL;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void measure(void)
{
    enum { MESSAGES = 16, BYTES = 1024, RUNS = 3 };
    static uint8_t data[BYTES];
    uint8_t digests[MESSAGES][32];
    struct lane_message messages[MESSAGES];
    for (size_t i = 0; i < MESSAGES; i++)
        messages[i] = (struct lane_message){NULL, slice_of(data, BYTES), digests[i]};
    IMB_MGR *vector = manager_of(VECTOR);
    if (vector && vector->used_arch == IMB_ARCH_AVX2)
        vector_lanes = 8;

    for (size_t class = 0; class < CLASSES; class++) {
        uint64_t best_ns = UINT64_MAX;
        for (int road = PORTABLE; road < ROADS; road++) {
            IMB_MGR *mgr = manager_of((enum road)road);
            if (road != PORTABLE && !mgr)
                continue;
            uint64_t took_ns = UINT64_MAX;
            for (int run = 0; run < RUNS; run++) {
                uint64_t began_ns = now_ns();
                if (road == PORTABLE)
                    hash_one_by_one(messages, (size_t)1 << class);
                else
                    hash_in_lanes(mgr, messages, (size_t)1 << class);
                uint64_t run_ns = now_ns() - began_ns;
                took_ns = run_ns < took_ns ? run_ns : took_ns;
            }
            /* The plainer road unless the other is clearly faster. */
            if (best_ns == UINT64_MAX || took_ns < best_ns - best_ns / 16) {
                best_ns = took_ns;
                best[class] = (enum road)road;
            }
        }
    }
    for (int road = 0; road < ROADS; road++)
        manager_drop_unused((enum road)road);
}

static void prepare(void)
{
    thread_key_made = pthread_key_create(&thread_key, managers_free) == 0;
    if (thread_key_made)
        measure();
}

static enum road road_for(size_t n)
{
    int wanted = atomic_load_explicit(&forced, memory_order_relaxed);
    if (wanted >= 0)
        return (enum road)wanted;
    size_t class = 0;
    while (class + 1 < CLASSES && n >= (size_t)2 << class)
        class++;
    return best[class];
}

void lanes_hash(const struct lane_message *messages, size_t n)
{
    pthread_once(&once, prepare);
    while (n > 0) {
        enum road road = road_for(n);
        IMB_MGR *mgr = manager_of(road);
        /* A vector costs the same however few lanes are used: what does not fill one goes its own way. */
        size_t part = mgr && road == VECTOR && n > vector_lanes ? n - n % vector_lanes : n;
        if (mgr)
            hash_in_lanes(mgr, messages, part);
        else
            hash_one_by_one(messages, part);
        messages += part;
        n -= part;
    }
}

static const char *road_name(enum road road)
{
    static const char *const names[ROADS] = {"portable", "sha-ni", "avx512"};
    return road == VECTOR && vector_lanes == 8 ? "avx2" : names[road];
}

const char *lanes_method(void)
{
    pthread_once(&once, prepare);
    return road_name(road_for(16));
}

void lanes_use_portable(bool portable)
{
    atomic_store(&forced, portable ? (int)PORTABLE : -1);
}

bool lanes_force(const char *method)
{
    pthread_once(&once, prepare);
    if (!method) {
        atomic_store(&forced, -1);
        return true;
    }
    for (int road = 0; road < ROADS; road++) {
        if (strcmp(method, road_name((enum road)road)) != 0 ||
            (road != PORTABLE && !manager_of((enum road)road)))
            continue;
        atomic_store(&forced, road);
        return true;
    }
    return false;
}

#else

void lanes_hash(const struct lane_message *messages, size_t n)
{
    hash_one_by_one(messages, n);
}

const char *lanes_method(void)
{
    return "portable";
}

void lanes_use_portable(bool portable)
{
    (void)portable;
}

bool lanes_force(const char *method)
{
    return !method || strcmp(method, "portable") == 0;
}

#endif
