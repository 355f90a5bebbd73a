/*
 * A fetcher over a store of packs made here, and a guide that knows where every chunk lies. The store counts what is read, and can
 * hold reads back: so a test says what many threads must share, and does not hope for it.
 */
#include "fetch/fetch.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "fetch/base/clock.h"
#include "fetch/base/log.h"
#include "fetch/crypto/aead.h"
#include "fetch/format/frame.h"
#include "tests/support/keys.h"
#include "tests/support/test.h"

/* ---- a store that counts, and holds back ---- */

struct counting {
    struct store base;
    struct store *inner;
    pthread_mutex_t lock;
    pthread_cond_t turned;
    unsigned gets;         /* begun; guarded by lock */
    unsigned held;         /* waiting at the gate; guarded by lock */
    bool closed;           /* the gate; guarded by lock */
};

static enum err counting_get(struct store *store, const char *name, uint64_t offset, size_t len, struct buf *ret_bytes)
{
    struct counting *c = (struct counting *)store;
    pthread_mutex_lock(&c->lock);
    c->gets++;
    c->held++;
    pthread_cond_broadcast(&c->turned);
    while (c->closed)
        pthread_cond_wait(&c->turned, &c->lock);
    c->held--;
    pthread_mutex_unlock(&c->lock);
    return store_get(c->inner, name, offset, len, ret_bytes);
}

static enum err counting_head(struct store *store, const char *name, uint64_t *ret_size_bytes)
{
    return store_head(((struct counting *)store)->inner, name, ret_size_bytes);
}

static const struct store_ops counting_ops = {.get = counting_get, .head = counting_head};

static void gate_set(struct counting *c, bool closed)
{
    pthread_mutex_lock(&c->lock);
    c->closed = closed;
    pthread_cond_broadcast(&c->turned);
    pthread_mutex_unlock(&c->lock);
}

static void gate_wait_held(struct counting *c, unsigned count)
{
    pthread_mutex_lock(&c->lock);
    while (c->held < count)
        pthread_cond_wait(&c->turned, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static unsigned gets_of(struct counting *c)
{
    pthread_mutex_lock(&c->lock);
    unsigned gets = c->gets;
    pthread_mutex_unlock(&c->lock);
    return gets;
}

/* ---- packs, and a guide to them ---- */

enum { PACKS_MAX = 16, COPIES_MAX = 4096, CHUNK_BYTES = 5000 };

struct rig {
    struct keyring *keys;
    struct counting counting;
    struct fetch_pack packs[PACKS_MAX]; /* [number]; 0 is none */
    unsigned pack_count;
    struct copy {
        struct chunk_id id;
        struct location where;
    } *copies; /* constant while a fetcher is at work */
    size_t copy_count;
    bool by_header;                     /* keys are in the packs' headers only */
    atomic_uint asked;                  /* how often for another copy */
    struct fetch_guide guide;
};

static enum err rig_pack(void *context, uint32_t number, struct fetch_pack *ret_pack)
{
    const struct rig *rig = context;
    if (number == 0 || number > rig->pack_count)
        return err_set(ERR_NOT_FOUND, "no pack %u", number);
    *ret_pack = rig->packs[number];
    ret_pack->keys = NULL;
    if (rig->by_header) {
        ret_pack->key_count = 0;
        return ERR_OK;
    }
    ret_pack->keys = calloc(ret_pack->key_count, sizeof *ret_pack->keys);
    if (!ret_pack->keys)
        return err_set(ERR_NOMEM, "no memory");
    memcpy(ret_pack->keys, rig->packs[number].keys, ret_pack->key_count * sizeof *ret_pack->keys);
    return ERR_OK;
}

/* The copy after not_this, round and round. */
static enum err rig_locate(void *context, uint32_t domain, enum chunk_kind kind, const struct chunk_id *id,
                           const struct location *not_this, struct location *ret_location)
{
    struct rig *rig = context;
    size_t start = 0;
    atomic_fetch_add(&rig->asked, 1);
    for (size_t i = 0; not_this && i < rig->copy_count; i++)
        if (rig->copies[i].where.pack == not_this->pack && rig->copies[i].where.frame.offset == not_this->frame.offset &&
            rig->copies[i].where.place == not_this->place && memcmp(rig->copies[i].id.bytes, id->bytes, 32) == 0)
            start = i + 1;
    for (size_t i = 0; i + (not_this != NULL) < rig->copy_count + (not_this == NULL); i++) {
        const struct copy *copy = &rig->copies[(start + i) % rig->copy_count];
        const struct fetch_pack *pack = &rig->packs[copy->where.pack];
        if (pack->domain == domain && pack->kind == kind && memcmp(copy->id.bytes, id->bytes, 32) == 0) {
            *ret_location = copy->where;
            return ERR_OK;
        }
    }
    return err_set(ERR_NOT_FOUND, "no other copy");
}

static void rig_clear(struct rig *rig)
{
    for (unsigned i = 1; i <= rig->pack_count; i++)
        free(rig->packs[i].keys);
    free(rig->copies);
    keyring_free(rig->keys);
    store_free(rig->counting.inner);
    pthread_mutex_destroy(&rig->counting.lock);
    pthread_cond_destroy(&rig->counting.turned);
}

static void rig_init(struct rig *rig)
{
    *rig = (struct rig){.guide = {rig_pack, rig_locate, rig}};
    rig->counting.base.ops = &counting_ops;
    pthread_mutex_init(&rig->counting.lock, NULL);
    pthread_cond_init(&rig->counting.turned, NULL);
    rig->keys = test_keyring();
    rig->copies = calloc(COPIES_MAX, sizeof *rig->copies);
    CHECK(rig->keys && rig->copies);
    CHECK_OK(store_mem_open(&rig->counting.inner));
}

/* Bytes that are the same each run and hardly compress. */
static void chunk_fill(unsigned series, unsigned n, uint8_t *to, size_t len)
{
    uint64_t state = (uint64_t)series << 32 | (n + 1);
    for (size_t i = 0; i < len; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        to[i] = (uint8_t)(state >> 56);
    }
}

static void rig_id(const struct rig *rig, struct slice bytes, struct chunk_id *ret_id)
{
    const struct domain_keys *domain;
    CHECK_OK(keyring_find_domain(rig->keys, 1, &domain));
    chunk_id_of(domain_ids(domain, CHUNK_DATA), bytes, ret_id);
}

static struct fetch_pack *rig_new_pack(struct rig *rig, const struct uid *origin, const uint8_t key[32])
{
    struct fetch_pack *pack = &rig->packs[++rig->pack_count];
    *pack = (struct fetch_pack){.domain = 1, .kind = CHUNK_DATA, .key_count = 1};
    pack->keys = calloc(1, sizeof *pack->keys);
    if (!pack->keys)
        return NULL;
    pack->keys->origin = *origin;
    if (pack_key_seal_epoch(rig->keys, 1, CHUNK_DATA, origin, key, &pack->keys->epoch, pack->keys->sealed) != ERR_OK)
        return NULL;
    return pack;
}

static void rig_copies(struct rig *rig, const struct pack_directory *directory)
{
    for (size_t i = 0; i < directory->frame_count; i++) {
        const struct pack_frame *frame = &directory->frames[i];
        uint32_t place = 0;
        for (size_t k = 0; k < frame->chunk_count; k++) {
            const struct frame_chunk *chunk = &directory->chunks[frame->first_chunk + k];
            CHECK(rig->copy_count < COPIES_MAX);
            rig->copies[rig->copy_count++] =
                (struct copy){chunk->id, {rig->pack_count, frame->place, place, chunk->length}};
            place += chunk->length;
        }
    }
}

/* A pack of `frames` frames of `each` chunks: chunk n of a series is frame n / each. Two packs of one series are copies. */
static void rig_add_pack(struct rig *rig, unsigned series, unsigned frames, unsigned each)
{
    AUTO_PTR(pack_builder) builder = NULL;
    AUTO(pack_sealed) sealed = {0};
    struct uid session = {{(uint8_t)(rig->pack_count + 1)}};
    CHECK(each <= 8);
    CHECK_OK(pack_builder_new(rig->keys, 1, CHUNK_DATA, 16 << 20, &builder));
    for (unsigned i = 0; i < frames; i++) {
        uint8_t raw[8 * CHUNK_BYTES];
        struct frame_chunk chunks[8];
        uint32_t number;
        for (unsigned k = 0; k < each; k++) {
            struct slice bytes = slice_of(raw + k * CHUNK_BYTES, CHUNK_BYTES);
            chunk_fill(series, i * each + k, raw + k * CHUNK_BYTES, CHUNK_BYTES);
            CHECK_CALL(rig_id(rig, bytes, &chunks[k].id));
            chunks[k].length = CHUNK_BYTES;
        }
        CHECK_OK(pack_builder_add(builder, slice_of(raw, (size_t)each * CHUNK_BYTES), chunks, each, 0, &number));
    }
    CHECK_OK(pack_builder_seal(builder, &session, &sealed));
    CHECK_OK(store_put(rig->counting.inner, name_pack(1, &sealed.name).text, buf_slice(&sealed.object), true));
    struct fetch_pack *pack = rig_new_pack(rig, &sealed.uid, sealed.key);
    CHECK(pack);
    pack->name = sealed.name;
    pack->size_bytes = sealed.object.len;
    CHECK_CALL(rig_copies(rig, &sealed.directory));
}

static void rig_open(struct rig *rig, const struct fetch_options *options, struct fetcher **ret_fetcher)
{
    CHECK_OK(fetcher_new(&rig->counting.base, rig->keys, &rig->guide, options, ret_fetcher));
}

static struct buf *rig_bytes(struct rig *rig, uint32_t pack)
{
    struct buf *bytes = NULL;
    return store_mem_bytes(rig->counting.inner, name_pack(1, &rig->packs[pack].name).text, &bytes) == ERR_OK ? bytes : NULL;
}

static void flip(struct rig *rig, const struct location *where)
{
    struct buf *bytes = rig_bytes(rig, where->pack);
    CHECK(bytes && where->frame.offset + 40 < bytes->len);
    bytes->data[where->frame.offset + 40] ^= 4;
}

static void cut(struct rig *rig, uint32_t pack, size_t len)
{
    struct buf *bytes = rig_bytes(rig, pack);
    CHECK(bytes && bytes->len > len);
    bytes->len = len;
}

static bool is_chunk(unsigned series, unsigned n, struct slice bytes)
{
    uint8_t expected[CHUNK_BYTES];
    chunk_fill(series, n, expected, sizeof expected);
    return slice_equal(bytes, slice_of(expected, sizeof expected));
}

static void check_fetch(struct fetcher *fetcher, const struct copy *copy, unsigned series, unsigned n)
{
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    CHECK_OK(fetch_chunk(fetcher, &copy->id, &copy->where, &ref));
    CHECK(is_chunk(series, n, ref.bytes));
}

static void check_fails(struct fetcher *fetcher, const struct copy *copy, enum err code)
{
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    CHECK_ERR(code, fetch_chunk(fetcher, &copy->id, &copy->where, &ref));
    CHECK(!ref.frame);
}

/* Workers are at it: done when so many frames were read ahead. Bounded by the clock, not by a guess how long they take. */
static bool wait_ahead(struct fetcher *fetcher, uint64_t frames)
{
    struct fetch_stats stats;
    uint64_t end = clock_monotonic_ns() + UINT64_C(20000000000);
    do {
        fetcher_stats(fetcher, &stats);
        sched_yield();
    } while (stats.frames_ahead < frames && clock_monotonic_ns() < end);
    return stats.frames_ahead >= frames;
}

static const struct fetch_options no_workers = {0};

/* ---- one flight for all ---- */

enum { READERS = 8 };

struct reader_thread {
    pthread_t thread;
    struct fetcher *fetcher;
    const struct copy *copy;
    unsigned series, n;
    atomic_uint *started;
    enum err result;
    bool right;
};

static void *read_one(void *context)
{
    struct reader_thread *t = context;
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    atomic_fetch_add(t->started, 1);
    t->result = fetch_chunk(t->fetcher, &t->copy->id, &t->copy->where, &ref);
    t->right = t->result == ERR_OK ? is_chunk(t->series, t->n, ref.bytes) : strstr(err_text(), "told to fail") != NULL;
    return NULL;
}

/* All readers ask while the one read is held back. */
static void read_together(struct rig *rig, struct fetcher *fetcher, struct reader_thread threads[READERS])
{
    atomic_uint started = 0;
    gate_set(&rig->counting, true);
    for (unsigned i = 0; i < READERS; i++) {
        threads[i] = (struct reader_thread){.fetcher = fetcher, .copy = &rig->copies[i % 4], .series = 1, .n = i % 4, .started = &started};
        CHECK(pthread_create(&threads[i].thread, NULL, read_one, &threads[i]) == 0);
    }
    while (atomic_load(&started) < READERS)
        sched_yield();
    gate_wait_held(&rig->counting, 1);
    for (int i = 0; i < 1000; i++)
        sched_yield(); /* room for a second read to begin, if there were one */
    gate_set(&rig->counting, false);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i].thread, NULL);
}

TEST(however_many_want_one_frame_it_is_read_once)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    struct reader_thread threads[READERS];
    struct fetch_stats stats;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 3, 4)); /* the four chunks asked for are all of frame 0 */
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(read_together(&rig, fetcher, threads));
    for (unsigned i = 0; i < READERS; i++)
        CHECK(threads[i].result == ERR_OK && threads[i].right);
    CHECK_INT(gets_of(&rig.counting), 1);
    fetcher_stats(fetcher, &stats);
    CHECK_INT(stats.frames_read, 1);
    CHECK_INT(stats.hits, READERS - 1);
}

TEST(a_failed_read_is_told_to_all_who_wait_and_not_kept)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    struct reader_thread threads[READERS];
    unsigned failed = 0;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 1, 4));
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    store_mem_fail(rig.counting.inner, "g", 0, ERR_UNREACHABLE);
    CHECK_CALL(read_together(&rig, fetcher, threads));
    for (unsigned i = 0; i < READERS; i++) {
        CHECK(threads[i].right); /* the bytes, or the sentence of the one who tried */
        CHECK(threads[i].result == ERR_OK || threads[i].result == ERR_UNREACHABLE);
        failed += threads[i].result != ERR_OK;
    }
    CHECK(failed >= 1);
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
    CHECK(gets_of(&rig.counting) <= 2);
}

/* ---- damage ---- */

TEST(a_damaged_frame_is_read_from_another_copy)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    for (int i = 0; i < 3; i++)
        CHECK_CALL(rig_add_pack(&rig, 1, 2, 2));
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(flip(&rig, &rig.copies[0].where));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[2], 1, 2)); /* the other frame is whole */
    /* Two of three damaged: the third is found. */
    CHECK_CALL(flip(&rig, &rig.copies[4].where));
    fetcher_free(fetcher);
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
}

TEST(a_lost_or_short_pack_is_read_from_another_copy)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    for (int i = 0; i < 3; i++)
        CHECK_CALL(rig_add_pack(&rig, 1, 2, 1));
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_OK(store_remove(rig.counting.inner, name_pack(1, &rig.packs[1].name).text));
    CHECK_CALL(cut(&rig, 2, 100));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[2], 1, 0));
    /* And by the header, when the keys must come from there. */
    rig.by_header = true;
    fetcher_free(fetcher);
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[1], 1, 1));
}

TEST(damage_without_another_copy_is_told_and_names_the_pack)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 3, 1));
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    const char *name = name_pack(1, &rig.packs[1].name).text;
    char kept[192];
    snprintf(kept, sizeof kept, "%s", name);
    CHECK_CALL(flip(&rig, &rig.copies[0].where));
    CHECK_CALL(check_fails(fetcher, &rig.copies[0], ERR_AUTH));
    CHECK(strstr(err_text(), kept));
    CHECK(atomic_load(&rig.asked) >= 1);
    CHECK_CALL(cut(&rig, 1, rig.copies[2].where.frame.offset + 10));
    CHECK_CALL(check_fails(fetcher, &rig.copies[2], ERR_CORRUPT));
    CHECK(strstr(err_text(), kept));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[1], 1, 1));
    /* Damage is not kept in mind either: mended, it reads. */
    CHECK_CALL(flip(&rig, &rig.copies[0].where));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
}

TEST(no_flipped_bit_of_a_frame_goes_unnoticed)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 1, 1));
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    struct buf *bytes = rig_bytes(&rig, 1);
    CHECK(bytes);
    const struct frame_place *place = &rig.copies[0].where.frame;
    for (uint32_t at = 0; at < place->stored_len; at += 13) {
        bytes->data[place->offset + at] ^= (uint8_t)(1u << at % 8);
        CHECK_CALL(check_fails(fetcher, &rig.copies[0], ERR_AUTH));
        bytes->data[place->offset + at] ^= (uint8_t)(1u << at % 8);
    }
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
}

TEST(a_chunk_under_a_wrong_name_is_refused)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 2, 2));
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    struct copy wrong = {rig.copies[0].id, rig.copies[1].where};
    CHECK_CALL(check_fetch(fetcher, &wrong, 1, 0)); /* its true place is known, and taken */
    wrong.id.bytes[7] ^= 1;
    CHECK_CALL(check_fails(fetcher, &wrong, ERR_CORRUPT));
    /* Right once is not right for ever: another name for the same bytes is checked anew. */
    CHECK_CALL(check_fetch(fetcher, &rig.copies[1], 1, 1));
    CHECK_CALL(check_fails(fetcher, &wrong, ERR_CORRUPT));
    /* Neither is a stretch that begins where a chunk does. */
    struct copy shorter = rig.copies[1];
    shorter.where.length--;
    rig.copy_count = 0;
    CHECK_CALL(check_fails(fetcher, &shorter, ERR_CORRUPT));
}

TEST(a_row_that_lies_about_its_frame_reaches_nothing)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 2, 1));
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    struct copy lie = rig.copies[0];
    rig.copy_count = 0;
    lie.where.length = CHUNK_MAX_BYTES;
    CHECK_CALL(check_fails(fetcher, &lie, ERR_CORRUPT));
    lie.where.frame.raw_len = CHUNK_MAX_BYTES; /* so long that the stretch fits: not what was sealed */
    CHECK_CALL(check_fails(fetcher, &lie, ERR_CORRUPT));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
    /* Now that the frame is there in truth, the lie must not find it and read on behind its end. */
    CHECK_CALL(check_fails(fetcher, &lie, ERR_CORRUPT));
    lie = rig.copies[0];
    lie.where.frame.key_record = 9;
    CHECK_CALL(check_fails(fetcher, &lie, ERR_CORRUPT));
    lie.where.pack = 7;
    CHECK_CALL(check_fails(fetcher, &lie, ERR_NOT_FOUND));
}

/* ---- deltas ---- */

/* A pack of one frame: chunk (2, n), some bytes changed from chunk (1, 0), against base. Made by the format's own pieces: our writer
 * makes no deltas yet. */
static void rig_add_delta(struct rig *rig, unsigned n, const struct chunk_id *base, unsigned base_series)
{
    AUTO(buf) packed = BUF_EMPTY, object = BUF_EMPTY;
    uint8_t old[CHUNK_BYTES], raw[CHUNK_BYTES], nonce[12], aad[FRAME_AAD_BYTES], key[32] = {(uint8_t)n, 7};
    struct uid origin = {{(uint8_t)n, 9}};
    struct frame_chunk chunk = {.length = CHUNK_BYTES};
    struct frame_place place = {.offset = 500, .raw_len = CHUNK_BYTES, .compression = COMPRESS_ZSTD, .has_base = true, .base = *base};
    size_t packed_len;
    chunk_fill(base_series, 0, old, sizeof old);
    chunk_fill(2, n, raw, sizeof raw);
    CHECK_CALL(rig_id(rig, slice_of(raw, sizeof raw), &chunk.id));
    CHECK_OK(buf_resize(&packed, zstd_bound(sizeof raw)));
    CHECK_OK(zstd_pack_delta(slice_of(raw, sizeof raw), slice_of(old, sizeof old), 3, packed.data, packed.len, &packed_len));
    place.stored_len = (uint32_t)packed_len + FRAME_OVERHEAD_BYTES;

    struct frame_binding binding = {{rig->keys->store, 1}, CHUNK_DATA, origin};
    CHECK_OK(buf_resize(&object, place.offset + place.stored_len));
    memset(object.data, 0, place.offset);
    uint8_t *tag = object.data + place.offset;
    frame_ids_tag(&chunk, 1, tag);
    frame_nonce(place.counter, nonce);
    frame_aad(&binding, &place, tag, aad);
    CHECK_OK(aead_seal(key, nonce, slice_of(aad, sizeof aad), slice_of(packed.data, packed_len), tag + FRAME_TAG_BYTES));

    struct fetch_pack *pack = rig_new_pack(rig, &origin, key);
    CHECK(pack);
    pack->name.session.bytes[0] = (uint8_t)n;
    pack->size_bytes = object.len;
    CHECK_OK(store_put(rig->counting.inner, name_pack(1, &pack->name).text, buf_slice(&object), true));
    rig->copies[rig->copy_count++] = (struct copy){chunk.id, {rig->pack_count, place, 0, CHUNK_BYTES}};
}

TEST(a_delta_is_opened_with_its_base_from_any_whole_copy)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 1, 1));                          /* copies[0]: the base */
    CHECK_CALL(rig_add_pack(&rig, 1, 1, 1));                          /* copies[1]: the base again */
    CHECK_CALL(rig_add_delta(&rig, 3, &rig.copies[0].id, 1));         /* copies[2] */
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[2], 2, 3));
    CHECK_INT(gets_of(&rig.counting), 2);
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0)); /* there already, as the base */
    CHECK_INT(gets_of(&rig.counting), 2);

    CHECK_CALL(flip(&rig, &rig.copies[0].where));
    fetcher_free(fetcher);
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[2], 2, 3));

    CHECK_CALL(flip(&rig, &rig.copies[1].where));
    fetcher_free(fetcher);
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(check_fails(fetcher, &rig.copies[2], ERR_AUTH));
    CHECK(strstr(err_text(), "base"));
}

TEST(deltas_of_deltas_and_circles_of_them_are_refused)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 1, 1));                          /* 0 */
    CHECK_CALL(rig_add_delta(&rig, 3, &rig.copies[0].id, 1));         /* 1: delta of 0 */
    CHECK_CALL(rig_add_delta(&rig, 0, &rig.copies[1].id, 2));         /* 2: delta of 1, sealed so */
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(check_fails(fetcher, &rig.copies[2], ERR_CORRUPT));
    CHECK(strstr(err_text(), "only as a delta"));
    /* A row that says the inner delta has no base: it is not that frame. */
    rig.copies[1].where.frame.has_base = false;
    CHECK_CALL(check_fails(fetcher, &rig.copies[2], ERR_AUTH));
    /* And one by which a delta is its own base: nobody waits for himself. */
    struct copy self = rig.copies[1];
    self.where.frame.has_base = true;
    self.where.frame.base = self.id;
    CHECK_CALL(check_fails(fetcher, &self, ERR_AUTH));
    rig.copies[1] = self;
    CHECK_CALL(check_fails(fetcher, &self, ERR_CORRUPT));
}

/* ---- memory ---- */

TEST(frames_are_dropped_when_memory_is_short_but_not_those_in_use)
{
    enum { FRAMES = 200 };
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    AUTO(chunk_ref) held = CHUNK_REF_EMPTY;
    struct fetch_options small = {.frames_bytes = 8 * 4 * CHUNK_BYTES};
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, FRAMES, 1));
    CHECK_CALL(rig_open(&rig, &small, &fetcher));
    CHECK_OK(fetch_chunk(fetcher, &rig.copies[0].id, &rig.copies[0].where, &held));
    for (unsigned i = 1; i < FRAMES; i++)
        CHECK_CALL(check_fetch(fetcher, &rig.copies[i], 1, i));
    CHECK_INT(gets_of(&rig.counting), FRAMES);
    CHECK(is_chunk(1, 0, held.bytes));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0)); /* in use, so still there */
    CHECK_INT(gets_of(&rig.counting), FRAMES);
    CHECK_CALL(check_fetch(fetcher, &rig.copies[FRAMES - 1], 1, FRAMES - 1)); /* the newest too */
    CHECK_INT(gets_of(&rig.counting), FRAMES);
    unsigned before = gets_of(&rig.counting), again = 0;
    for (unsigned i = 1; i < FRAMES; i++)
        CHECK_CALL(check_fetch(fetcher, &rig.copies[i], 1, i));
    again = gets_of(&rig.counting) - before;
    CHECK(again >= FRAMES - 1 - 32); /* 32 frames fit */
}

TEST(within_the_budget_nothing_is_read_twice)
{
    enum { FRAMES = 200 };
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, FRAMES, 1));
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < FRAMES; i++)
            CHECK_CALL(check_fetch(fetcher, &rig.copies[i], 1, i));
    CHECK_INT(gets_of(&rig.counting), FRAMES);
}

/* ---- ahead ---- */

TEST(what_will_be_wanted_is_read_ahead_in_few_reads)
{
    enum { FRAMES = 48 };
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    struct fetch_options options = {.workers = 2};
    struct location places[FRAMES];
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, FRAMES, 1));
    CHECK_CALL(rig_open(&rig, &options, &fetcher));
    for (unsigned i = 0; i < FRAMES; i++)
        places[i] = rig.copies[i].where;
    fetch_ahead(fetcher, places, FRAMES);
    CHECK(wait_ahead(fetcher, FRAMES));
    CHECK_INT(gets_of(&rig.counting), 3); /* 16 neighbours in one */
    fetch_ahead(fetcher, places, FRAMES); /* all there: nothing to do */
    struct fetch_stats stats;
    for (unsigned i = 0; i < FRAMES; i++)
        CHECK_CALL(check_fetch(fetcher, &rig.copies[i], 1, i));
    fetcher_stats(fetcher, &stats);
    CHECK_INT(stats.hits, FRAMES);
    CHECK_INT(stats.frames_read, 3);
}

TEST(who_reads_in_order_finds_the_next_frames_there)
{
    enum { FRAMES = 300 };
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    struct fetch_options options = {.workers = 2};
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, FRAMES, 1));
    CHECK_CALL(rig_open(&rig, &options, &fetcher));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[1], 1, 1));
    CHECK(wait_ahead(fetcher, 4));
    unsigned before = gets_of(&rig.counting);
    for (unsigned i = 2; i < 6; i++) {
        struct fetch_stats stats;
        fetcher_stats(fetcher, &stats);
        uint64_t hits = stats.hits;
        CHECK_CALL(check_fetch(fetcher, &rig.copies[i], 1, i));
        fetcher_stats(fetcher, &stats);
        CHECK_INT(stats.hits, hits + 1);
    }
    for (unsigned i = 6; i < FRAMES; i++)
        CHECK_CALL(check_fetch(fetcher, &rig.copies[i], 1, i));
    struct fetch_stats stats;
    fetcher_stats(fetcher, &stats);
    CHECK(stats.frames_ahead >= 4);
    CHECK(gets_of(&rig.counting) - before < FRAMES); /* how many depends on who is quicker; never more than without */
}

TEST(a_damaged_frame_does_not_spoil_its_neighbours_read_ahead)
{
    enum { FRAMES = 16 };
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    struct fetch_options options = {.workers = 1};
    struct location places[FRAMES];
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, FRAMES, 1));
    CHECK_CALL(flip(&rig, &rig.copies[7].where));
    CHECK_CALL(rig_open(&rig, &options, &fetcher));
    for (unsigned i = 0; i < FRAMES; i++)
        places[i] = rig.copies[i].where;
    fetch_ahead(fetcher, places, FRAMES);
    CHECK(wait_ahead(fetcher, FRAMES - 1));
    for (unsigned i = 0; i < FRAMES; i++)
        if (i != 7)
            CHECK_CALL(check_fetch(fetcher, &rig.copies[i], 1, i));
    CHECK_CALL(check_fails(fetcher, &rig.copies[7], ERR_AUTH));
}

static void *free_fetcher(void *context)
{
    fetcher_free(context);
    return NULL;
}

TEST(a_fetcher_may_be_freed_while_it_reads_ahead)
{
    enum { FRAMES = 200 };
    for (unsigned workers = 1; workers <= 3; workers++) {
        AUTO(rig) rig;
        struct fetcher *fetcher = NULL;
        struct fetch_options options = {.workers = workers};
        struct location places[FRAMES];
        pthread_t thread;
        CHECK_CALL(rig_init(&rig));
        CHECK_CALL(rig_add_pack(&rig, 1, FRAMES, 1));
        CHECK_CALL(rig_open(&rig, &options, &fetcher));
        for (unsigned i = 0; i < FRAMES; i++)
            places[i] = rig.copies[i].where;
        gate_set(&rig.counting, true);
        fetch_ahead(fetcher, places, FRAMES);
        gate_wait_held(&rig.counting, workers);
        CHECK(pthread_create(&thread, NULL, free_fetcher, fetcher) == 0);
        gate_set(&rig.counting, false);
        pthread_join(thread, NULL);
    }
}

/* ---- directories, headers ---- */

TEST(a_pack_tells_its_directory_by_either_key)
{
    AUTO(rig) rig;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 5, 3));
    for (int i = 0; i < 2; i++) {
        AUTO_PTR(fetcher) fetcher = NULL;
        AUTO(pack_directory) directory = {0};
        rig.by_header = i == 1;
        CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
        CHECK_OK(fetch_directory(fetcher, 1, &directory));
        CHECK_INT(directory.frame_count, 5);
        CHECK_INT(directory.chunk_count, 15);
        CHECK_MEM(directory.chunks[14].id.bytes, rig.copies[14].id.bytes, 32);
        CHECK_CALL(check_fetch(fetcher, &rig.copies[14], 1, 14));
    }
}

TEST(without_the_key_of_a_pack_another_copy_is_taken_or_the_lack_is_told)
{
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 1, 1));
    CHECK_CALL(rig_add_pack(&rig, 1, 1, 1));
    rig.packs[1].keys->epoch = 77; /* we were not there */
    memset(rig.keys->domains[0].recovery.secret, 0, 32);
    CHECK_CALL(rig_open(&rig, &no_workers, &fetcher));
    CHECK_CALL(check_fetch(fetcher, &rig.copies[0], 1, 0));
    rig.copy_count = 1;
    CHECK_CALL(check_fails(fetcher, &rig.copies[0], ERR_NO_KEY));
}

/* ---- all of it at once, for the thread sanitizer ---- */

struct storm {
    struct rig *rig;
    struct fetcher *fetcher;
    unsigned seed, frames, each;
    atomic_uint *wrong;
};

static void *storm_reads(void *context)
{
    struct storm *s = context;
    uint32_t random = s->seed;
    for (unsigned i = 0; i < 1500; i++) {
        random = random * 1664525 + 1013904223;
        unsigned n = (i % 100 < 60 ? i : random >> 8) % (s->frames * s->each); /* now in order, now not */
        const struct copy *copy = &s->rig->copies[n];
        AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
        if (i % 50 == 0) {
            struct location places[32];
            for (unsigned k = 0; k < 32; k++)
                places[k] = s->rig->copies[(n + k) % (s->frames * s->each)].where;
            fetch_ahead(s->fetcher, places, 32);
        }
        enum err e = fetch_chunk(s->fetcher, &copy->id, &copy->where, &ref);
        if (e != ERR_OK || !is_chunk(1, n, ref.bytes))
            atomic_fetch_add(s->wrong, 1);
    }
    return NULL;
}

TEST(many_readers_little_memory_and_damage_give_right_bytes)
{
    enum { THREADS = 6 };
    AUTO(rig) rig;
    AUTO_PTR(fetcher) fetcher = NULL;
    struct fetch_options options = {.workers = 2, .frames_bytes = 400000, .ahead_frames = 16};
    struct storm storms[THREADS];
    pthread_t threads[THREADS];
    atomic_uint wrong = 0;
    CHECK_CALL(rig_init(&rig));
    CHECK_CALL(rig_add_pack(&rig, 1, 100, 3));
    CHECK_CALL(rig_add_pack(&rig, 1, 100, 3));
    for (unsigned i = 0; i < 300; i += 39)
        CHECK_CALL(flip(&rig, &rig.copies[i].where)); /* in the first pack; the second has them */
    CHECK_CALL(rig_open(&rig, &options, &fetcher));
    for (unsigned i = 0; i < THREADS; i++) {
        storms[i] = (struct storm){&rig, fetcher, i * 977, 100, 3, &wrong};
        CHECK(pthread_create(&threads[i], NULL, storm_reads, &storms[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(atomic_load(&wrong), 0);
}

TEST_MAIN(however_many_want_one_frame_it_is_read_once, a_failed_read_is_told_to_all_who_wait_and_not_kept,
          a_damaged_frame_is_read_from_another_copy, a_lost_or_short_pack_is_read_from_another_copy,
          damage_without_another_copy_is_told_and_names_the_pack, no_flipped_bit_of_a_frame_goes_unnoticed,
          a_chunk_under_a_wrong_name_is_refused, a_row_that_lies_about_its_frame_reaches_nothing,
          a_delta_is_opened_with_its_base_from_any_whole_copy, deltas_of_deltas_and_circles_of_them_are_refused,
          frames_are_dropped_when_memory_is_short_but_not_those_in_use, within_the_budget_nothing_is_read_twice,
          what_will_be_wanted_is_read_ahead_in_few_reads, who_reads_in_order_finds_the_next_frames_there,
          a_damaged_frame_does_not_spoil_its_neighbours_read_ahead, a_fetcher_may_be_freed_while_it_reads_ahead,
          a_pack_tells_its_directory_by_either_key, without_the_key_of_a_pack_another_copy_is_taken_or_the_lack_is_told,
          many_readers_little_memory_and_damage_give_right_bytes)
