/*
 * make_index: a store with very many chunks that nobody had to back up.
 *
 *     make_index STORE_DIR [CHUNKS]      10000000 chunks; the passphrase is "bench", the keystore lies in the store
 *
 * Everything a reader looks at is real: the `yore` object, keys, records, a service `bench` with one snapshot of a small tree (a
 * folder of 100 files and a file beside it) whose packs are there, and segments of about a million rows each, sealed and signed.
 * Only the packs that those rows name do not exist: nothing reads them. Sizes are those of docs/decisions/0001: chunks of 16 KiB,
 * eight a frame, a thousand a pack.
 *
 * With tests/bench/open_index.c it measures the row "mount ready and first ls with an index of 10 million chunks".
 * Built by hand, as tests/bench/README.md says.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/clock.h"
#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/format/envelope.h"
#include "fetch/format/segment.h"
#include "fetch/init.h"

enum {
    CHUNK_BYTES = 16384,
    FRAME_CHUNKS = 8,
    PACK_FRAMES = 128,
    PACK_CHUNKS = FRAME_CHUNKS * PACK_FRAMES,
    SEGMENT_CHUNKS = 1000 * PACK_CHUNKS,
    FRAME_STORED_BYTES = 80000, /* as if compressed */
    FILES = 100,
};

static enum err forget(void *context, struct slice text)
{
    (void)context;
    (void)text;
    return ERR_OK; /* nobody will miss this store's recovery key */
}

static enum err make_store(const char *dir, struct access **ret_access)
{
    AUTO(init_result) result = {0};
    struct init_options options = {
        .store_url = dir, .keystore_url = "in-store", .passphrase = slice_str("bench"), .scrypt_log2_n = SCRYPT_LOG2_N_DEFAULT};
    TRY(store_init(&options, forget, NULL, &result));
    struct access_request request = {.store_url = dir, .secret = {.kind = SLOT_PASSPHRASE, .passphrase = options.passphrase}};
    return access_open(&request, ret_access);
}

/* ---- rows of packs that are not there ---- */

static void pack_invent(const struct uid *session, size_t chunks, struct pack_sealed *pack, struct pack_frame *frames,
                        struct frame_chunk *places)
{
    *pack = (struct pack_sealed){.name.session = *session};
    rand_bytes(pack->name.sha256.bytes, sizeof pack->name.sha256.bytes);
    rand_bytes(pack->uid.bytes, sizeof pack->uid.bytes);
    rand_bytes(pack->key, sizeof pack->key);
    rand_bytes(pack->directory_sha256.bytes, sizeof pack->directory_sha256.bytes);
    rand_bytes(places, chunks * sizeof *places); /* ids; the lengths follow */
    for (size_t i = 0; i < chunks; i++)
        places[i].length = CHUNK_BYTES;
    size_t count = (chunks + FRAME_CHUNKS - 1) / FRAME_CHUNKS;
    for (size_t i = 0; i < count; i++) {
        size_t first = i * FRAME_CHUNKS, here = chunks - first < FRAME_CHUNKS ? chunks - first : FRAME_CHUNKS;
        frames[i] = (struct pack_frame){
            .place = {.offset = (uint32_t)(200 + i * FRAME_STORED_BYTES), .stored_len = FRAME_STORED_BYTES,
                      .raw_len = (uint32_t)(here * CHUNK_BYTES), .counter = (uint32_t)i, .compression = COMPRESS_ZSTD},
            .first_chunk = (uint32_t)first,
            .chunk_count = (uint32_t)here,
        };
    }
    pack->object.len = 200 + count * FRAME_STORED_BYTES + 40000; /* its size is all that a segment tells of it */
    pack->directory = (struct pack_directory){frames, count, places, chunks};
}

static enum err put_segment(struct access *access, struct segment_builder *builder, enum chunk_kind kind, const struct uid *session)
{
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    TRY(segment_builder_seal(builder, &object, &sha256));
    return store_put(access->store, name_segment(1, kind, session, &sha256).text, buf_slice(&object), true);
}

static enum err make_segment(struct access *access, size_t chunks)
{
    static struct pack_frame frames[PACK_FRAMES];
    static struct frame_chunk places[PACK_CHUNKS];
    AUTO_PTR(segment_builder) builder = NULL;
    struct uid session;
    rand_bytes(session.bytes, sizeof session.bytes);
    TRY(segment_builder_new(access->keys, 1, CHUNK_DATA, &session, &builder));
    for (size_t left = chunks; left;) {
        struct pack_sealed pack;
        size_t here = left < PACK_CHUNKS ? left : PACK_CHUNKS;
        pack_invent(&session, here, &pack, frames, places);
        TRY(segment_builder_add(builder, &pack));
        left -= here;
    }
    return put_segment(access, builder, CHUNK_DATA, &session);
}

/* ---- a snapshot that is there ---- */

/* Chunks of one kind on their way into one pack, one a frame. */
struct packing {
    struct access *access;
    enum chunk_kind kind;
    struct uid session;
    struct pack_builder *builder;
};

static enum err packing_start(struct access *access, enum chunk_kind kind, const struct uid *session, struct packing *ret)
{
    *ret = (struct packing){.access = access, .kind = kind, .session = *session};
    return pack_builder_new(access->keys, 1, kind, access->config.pack_bytes, &ret->builder);
}

static enum err packing_put(void *context, struct slice chunk, struct chunk_id *ret_id)
{
    struct packing *p = context;
    const struct domain_keys *domain;
    uint32_t number;
    TRY(keyring_find_domain(p->access->keys, 1, &domain));
    chunk_id_of(domain_ids(domain, p->kind), chunk, ret_id);
    struct frame_chunk place = {*ret_id, (uint32_t)chunk.len};
    return pack_builder_add(p->builder, chunk, &place, 1, 3, &number);
}

static enum err packing_finish(struct packing *p)
{
    AUTO(pack_sealed) pack = {0};
    AUTO_PTR(segment_builder) builder = NULL;
    TRY(pack_builder_seal(p->builder, &p->session, &pack));
    TRY(store_put(p->access->store, name_pack(1, &pack.name).text, buf_slice(&pack.object), true));
    TRY(segment_builder_new(p->access->keys, 1, p->kind, &p->session, &builder));
    TRY(segment_builder_add(builder, &pack));
    return put_segment(p->access, builder, p->kind, &p->session);
}

static enum err add_file(struct packing *data, struct dir_builder *dir, const char *name, struct summary *sum)
{
    char text[64];
    int len = snprintf(text, sizeof text, "what stands in %s\n", name);
    struct entry file = {.name = slice_str(name), .kind = NODE_FILE, .mode = 0644, .mtime = {1795089600, 0}, .has_sha256 = true};
    file.content = (struct content){.how = CONTENT_CHUNK, .length = (uint64_t)len, .data_bytes = (uint64_t)len};
    sha256_of(slice_str(text), file.sha256);
    TRY(packing_put(data, slice_str(text), &file.content.id));
    summary_add(sum, &file);
    return dir_builder_add(dir, &file);
}

/* The root: folder/ with FILES files, and one file. */
static enum err make_tree(struct packing *data, struct packing *tree, struct snapshot_root *ret_root)
{
    AUTO_PTR(dir_builder) inner = NULL;
    AUTO_PTR(dir_builder) outer = NULL;
    const uint8_t *cut = tree->access->keys->domains[0].tree_cut;
    struct entry folder = {.name = slice_str("folder"), .kind = NODE_DIR, .mode = 0755, .mtime = {1795089600, 0}};
    struct summary unused = {0};
    TRY(dir_builder_new(cut, packing_put, tree, &inner));
    for (int i = 0; i < FILES; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%03d", i);
        TRY(add_file(data, inner, name, &unused));
    }
    TRY(dir_builder_finish(inner, &folder.below));
    TRY(dir_builder_new(cut, packing_put, tree, &outer));
    TRY(dir_builder_add(outer, &folder));
    TRY(add_file(data, outer, "readme", &unused));
    *ret_root = (struct snapshot_root){.root = {.kind = NODE_DIR, .mode = 0755, .mtime = {1795089600, 0}}};
    return dir_builder_finish(outer, &ret_root->root.below);
}

static enum err make_snapshot(struct access *access)
{
    struct packing data = {0}, tree = {0};
    struct snapshot_root root;
    AUTO(buf) encoded = BUF_EMPTY, object = BUF_EMPTY;
    struct envelope envelope = {.domain = 1, .service = "bench", .kind = "files", .number = 1, .time = clock_now()};
    struct hash sha256;
    rand_bytes(envelope.session.bytes, sizeof envelope.session.bytes);
    envelope.finished = envelope.time;
    envelope.writer = key_id_of(access->keys->signing.public);

    enum err e = packing_start(access, CHUNK_DATA, &envelope.session, &data);
    if (e == ERR_OK)
        e = packing_start(access, CHUNK_TREE, &envelope.session, &tree);
    if (e == ERR_OK)
        e = make_tree(&data, &tree, &root);
    if (e == ERR_OK)
        e = snapshot_root_encode(&root, &encoded);
    if (e == ERR_OK)
        e = packing_put(&tree, buf_slice(&encoded), &envelope.root);
    if (e == ERR_OK)
        e = packing_finish(&data);
    if (e == ERR_OK)
        e = packing_finish(&tree);
    pack_builder_free(data.builder);
    pack_builder_free(tree.builder);
    TRY(e);

    const struct summary *below = &root.root.below;
    envelope.totals = (struct totals){.nodes = below->nodes, .files = below->files, .dirs = 1, .bytes = below->bytes};
    TRY(envelope_seal(access->keys, &envelope, &object, &sha256));
    struct uid tag = service_tag(&access->keys->domains[0], envelope.service);
    return store_put(access->store, name_envelope(1, &tag, envelope.time.secs, &sha256).text, buf_slice(&object), true);
}

static enum err make(const char *dir, size_t chunks)
{
    AUTO_PTR(access) access = NULL;
    TRY(make_store(dir, &access));
    for (size_t left = chunks; left;) {
        size_t here = left < SEGMENT_CHUNKS ? left : SEGMENT_CHUNKS;
        TRY(make_segment(access, here));
        left -= here;
        fprintf(stderr, "\r%zu chunks", chunks - left);
    }
    fprintf(stderr, "\n");
    return make_snapshot(access);
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long long chunks = argc > 2 ? strtoull(argv[2], &end, 10) : 10000000;
    if (argc < 2 || argc > 3 || (end && *end)) {
        fprintf(stderr, "usage: make_index STORE_DIR [CHUNKS]\n");
        return 1;
    }
    if (make(argv[1], (size_t)chunks) != ERR_OK) {
        fprintf(stderr, "make_index: %s\n", err_text());
        return 1;
    }
    return 0;
}
