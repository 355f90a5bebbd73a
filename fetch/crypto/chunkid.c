#include "fetch/crypto/chunkid.h"

#include <assert.h>
#include <endian.h>

#include "fetch/crypto/digest.h"
#include "fetch/crypto/lanes.h"
#include "fetch/crypto/secret.h"

enum {
    LEAVES_MAX = CHUNK_ID_MAX_BYTES / CHUNK_LEAF_BYTES,
    WINDOW_ROOTS = LEAVES_MAX / 2, /* a chunk that has a root has two leaves or more */
};

struct id_keys {
    struct hmac_key small;
    struct hmac_key root;
    struct hmac_key leaf[LEAVES_MAX];
};

static void derive(const struct hmac_key *master, struct slice purpose, struct hmac_key *ret)
{
    uint8_t key[32];
    hmac_with(master, purpose, key);
    hmac_key_init(ret, key);
    secret_wipe(key, sizeof key);
}

enum err id_keys_new(const uint8_t key[32], struct id_keys **ret)
{
    struct id_keys *keys = secret_alloc(sizeof *keys);
    if (!keys)
        return err_set(ERR_NOMEM, "no memory for the naming keys");
    struct hmac_key master;
    hmac_key_init(&master, key);
    derive(&master, slice_of((uint8_t[]){0x00}, 1), &keys->small);
    derive(&master, slice_of((uint8_t[]){0x01}, 1), &keys->root);
    for (uint32_t i = 0; i < LEAVES_MAX; i++) {
        uint8_t purpose[5] = {0x02};
        uint32_t position = htole32(i);
        memcpy(purpose + 1, &position, sizeof position);
        derive(&master, slice_of(purpose, sizeof purpose), &keys->leaf[i]);
    }
    secret_wipe(&master, sizeof master);
    *ret = keys;
    return ERR_OK;
}

void id_keys_free(struct id_keys *keys)
{
    secret_free(keys);
}

/*
 * What is hashed in one go: short chunks and leaves first, then the roots over the leaves' digests. As
 * many leaves as the longest chunk has: enough to fill any lanes, and it fits a thread's stack.
 */
struct window {
    struct lane_message first[LEAVES_MAX];
    size_t first_len;
    struct lane_message roots[WINDOW_ROOTS];
    size_t roots_len;
    uint8_t root_bytes[LEAVES_MAX * 32 + WINDOW_ROOTS * 8]; /* the messages of roots */
    size_t root_bytes_len;
};

static size_t leaf_count(size_t len)
{
    return len <= CHUNK_LEAF_BYTES ? 1 : (len + CHUNK_LEAF_BYTES - 1) / CHUNK_LEAF_BYTES;
}

static void window_add(struct window *w, const struct id_keys *keys, struct id_job *job)
{
    if (job->data.len <= CHUNK_LEAF_BYTES) {
        w->first[w->first_len++] = (struct lane_message){&keys->small, job->data, job->id.bytes};
        return;
    }
    uint8_t *root = w->root_bytes + w->root_bytes_len;
    uint8_t *at = root;
    uint64_t length = htole64(job->data.len);
    memcpy(at, &length, sizeof length);
    at += sizeof length;
    for (size_t i = 0; i < leaf_count(job->data.len); i++) {
        size_t begin = i * CHUNK_LEAF_BYTES;
        size_t left = job->data.len - begin;
        struct slice leaf = slice_of(job->data.data + begin, left < CHUNK_LEAF_BYTES ? left : CHUNK_LEAF_BYTES);
        w->first[w->first_len++] = (struct lane_message){&keys->leaf[i], leaf, at};
        at += 32;
    }
    size_t root_len = (size_t)(at - root);
    w->roots[w->roots_len++] = (struct lane_message){&keys->root, slice_of(root, root_len), job->id.bytes};
    w->root_bytes_len += root_len;
}

static void window_hash(struct window *w)
{
    lanes_hash(w->first, w->first_len);
    lanes_hash(w->roots, w->roots_len);
    w->first_len = w->roots_len = w->root_bytes_len = 0;
}

void chunk_ids(const struct id_keys *keys, struct id_job *jobs, size_t n)
{
    struct window w;
    w.first_len = w.roots_len = w.root_bytes_len = 0;
    for (size_t i = 0; i < n; i++) {
        assert(jobs[i].data.len <= CHUNK_ID_MAX_BYTES);
        if (w.first_len + leaf_count(jobs[i].data.len) > LEAVES_MAX)
            window_hash(&w);
        window_add(&w, keys, &jobs[i]);
    }
    window_hash(&w);
}

void chunk_id_of(const struct id_keys *keys, struct slice data, struct chunk_id *ret)
{
    struct id_job job = {.data = data};
    chunk_ids(keys, &job, 1);
    *ret = job.id;
}

void sha256_many(struct sha_job *jobs, size_t n)
{
    struct lane_message messages[LEAVES_MAX];
    while (n > 0) {
        size_t part = n < LEAVES_MAX ? n : LEAVES_MAX;
        for (size_t i = 0; i < part; i++)
            messages[i] = (struct lane_message){NULL, jobs[i].data, jobs[i].digest};
        lanes_hash(messages, part);
        jobs += part;
        n -= part;
    }
}

void chunkid_use_portable(bool portable)
{
    lanes_use_portable(portable);
}

const char *chunkid_method(void)
{
    return lanes_method();
}
