/*
 * segment: which chunks lie where. Pages sorted by id, so that one page answers one question.
 *
 * Source:  docs/format.md section 9.
 * Threads: a builder belongs to one thread; a parsed segment is constant.
 */
#pragma once

#include "fetch/base/bytes.h"
#include "fetch/format/pack.h"

/* One chunk row. */
struct chunk_row {
    struct chunk_id id;
    uint32_t pack;             /* number of the pack row in this segment */
    struct frame_place frame;  /* key_record: index into the pack row's keys */
    uint32_t place, length;    /* in the raw frame */
};

/* The 64 bytes of a row, and back; the base of a row that has one stands elsewhere. Decoding checks all but the pack's number and marks
 * the cursor bad. Local runs keep rows in the same form. */
enum { SEGMENT_ROW_BYTES = 64 };
void chunk_row_encode(const struct chunk_row *row, uint8_t ret_bytes[SEGMENT_ROW_BYTES]);
void chunk_row_decode(struct cursor *c, struct chunk_row *ret_row);

/* A pack key sealed to an epoch. */
struct epoch_key_record {
    struct uid origin;
    uint32_t epoch;
    uint8_t sealed[SEALED_KEY_BYTES];
};

struct pack_row {
    struct pack_name name;
    uint64_t size_bytes;
    struct uid uid;
    struct epoch_key_record *keys;
    size_t key_count;
    struct uid writer;             /* key id of the first writer */
    struct hash directory_sha256;
    uint8_t signature[64];
};

/* ---- writing ---- */
struct segment_builder;
enum err segment_builder_new(const struct keyring *keys, uint32_t domain, enum chunk_kind kind, const struct uid *session,
                             struct segment_builder **ret_builder);
void segment_builder_free(struct segment_builder *builder);
DEFINE_AUTO_PTR(segment_builder);
size_t segment_builder_rows(const struct segment_builder *builder);
/* Add a finished pack with all its chunks: seals its key to the current epoch, signs its row. */
enum err segment_builder_add(struct segment_builder *builder, const struct pack_sealed *pack);
/* Sort, page, seal. */
enum err segment_builder_seal(struct segment_builder *builder, struct buf *ret_object, struct hash *ret_sha256);

/* ---- reading, whole ---- */
struct segment {
    uint32_t domain;
    enum chunk_kind kind;
    struct uid uid, session;
    struct chunk_row *rows;  /* sorted by id, pack, offset */
    size_t row_count;
    struct pack_row *packs;  /* [number] */
    size_t pack_count;
};
/* Open every page of a whole segment object. ERR_AUTH, ERR_CORRUPT, ERR_UNSUPPORTED, ERR_NO_KEY. */
enum err segment_open(const struct keyring *keys, struct slice object, struct segment *ret_segment);
void segment_clear(struct segment *segment);

/* Is the pack row signed by that writer? ERR_AUTH if not. */
enum err pack_row_verify(const struct domain_ref *where, const struct pack_row *row, const uint8_t writer_public[32]);
