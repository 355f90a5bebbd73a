/*
 * pack: many frames in one object, and a directory of them.
 *
 *     header (key records) | frame frame frame ... | directory, sealed | zeros to the Padme length
 *     frame = ids tag[16] || AES-256-GCM( zstd(chunk || chunk || ...) )
 *
 * Source:  docs/format.md section 8.
 * Threads: a builder belongs to one thread at a time; reading functions have no state.
 */
#pragma once

#include "fetch/base/buf.h"
#include "fetch/format/compress.h"
#include "fetch/format/ids.h"
#include "fetch/format/keyring.h"

enum { PACK_HEADER_BYTES = 72, KEY_RECORD_BYTES = 96, FRAME_OVERHEAD_BYTES = 32, FRAME_MAX_CHUNKS = 65536 };

/* One chunk inside a frame. */
struct frame_chunk {
    struct chunk_id id;
    uint32_t length;
};

/* Where one frame lies and what its associated data needs: all a reader must know to open it. */
struct frame_place {
    uint32_t offset, stored_len, raw_len;
    uint32_t counter;
    uint16_t key_record;
    uint8_t compression;
    bool has_base;
    struct chunk_id base; /* when has_base */
};

/* One frame of a parsed or growing directory. */
struct pack_frame {
    struct frame_place place;
    uint32_t first_chunk, chunk_count; /* into pack_directory.chunks */
};

struct pack_directory {
    struct pack_frame *frames;
    size_t frame_count;
    struct frame_chunk *chunks;
    size_t chunk_count;
};
void pack_directory_clear(struct pack_directory *directory);

/* ---- writing ---- */

/* A growing pack, in memory. */
struct pack_builder;

enum err pack_builder_new(const struct keyring *keys, uint32_t domain, enum chunk_kind kind, size_t target_bytes,
                          struct pack_builder **ret_builder);
void pack_builder_free(struct pack_builder *builder);
DEFINE_AUTO_PTR(pack_builder);

/* Let a builder without frames grow in this memory; room is empty after. An object that was put serves for the next pack: fresh
 * memory costs a page fault every 4 KiB, which is as much as encrypting them. */
void pack_builder_lend(struct pack_builder *builder, struct buf *room);

/* Bytes so far, as it would be stored without padding. */
size_t pack_builder_bytes(const struct pack_builder *builder);
/* Would a frame of raw_len and chunk_count chunks still fit the target (worst case)? An empty builder always says yes. */
bool pack_builder_fits(const struct pack_builder *builder, size_t raw_len, size_t chunk_count);

/*
 * Compress (if it saves 3 %; level 0: never), encrypt and append one frame.
 *   raw     borrowed; the chunks one after another, at most CHUNK_MAX_BYTES
 *   chunks  borrowed; lengths add up to raw.len
 *   ret_frame_number  0, 1, 2 ... in this pack
 */
enum err pack_builder_add(struct pack_builder *builder, struct slice raw, const struct frame_chunk *chunks, size_t chunk_count,
                          int level, uint32_t *ret_frame_number);

/* A finished pack: the object's bytes and all a segment says of it. */
struct pack_sealed {
    struct buf object;
    struct pack_name name;          /* session as given, SHA-256 of the object */
    struct uid uid;
    uint8_t key[32];                /* to seal to the epoch; wiped by clear */
    struct hash directory_sha256;
    struct pack_directory directory;
};
/* Close: write the directory, pad. The builder is empty after (its content moved) and only good for freeing. The SHA-256 in the
 * name is for the caller to fill in: with other hashing at the same time it costs half. */
enum err pack_builder_close(struct pack_builder *builder, const struct uid *session, struct pack_sealed *ret_sealed);
/* Close, and hash. */
enum err pack_builder_seal(struct pack_builder *builder, const struct uid *session, struct pack_sealed *ret_sealed);
void pack_sealed_clear(struct pack_sealed *sealed);

/* ---- reading ---- */

struct pack_key_record {
    struct uid origin;
    uint8_t sealed[SEALED_KEY_BYTES];
};

struct pack_header {
    struct uid store, uid;
    uint32_t domain;
    enum chunk_kind kind;
    uint32_t directory_offset, directory_len;
    uint32_t record_count;
    size_t header_len;     /* where frames begin */
    struct buf bytes;      /* the header verbatim: the directory's associated data */
    struct pack_key_record *records;
};
void pack_header_clear(struct pack_header *header);

/* Parse the header from the first bytes of a pack (give at least PACK_HEADER_BYTES; when the key records reach further than
 * start.len: ERR_AGAIN and *ret_need says how many bytes to read). ERR_CORRUPT, ERR_UNSUPPORTED. */
enum err pack_header_parse(struct slice start, struct pack_header *ret_header, size_t *ret_need);

/* Open and check the directory (sealed: the directory_len bytes at directory_offset); pack_size bounds the offsets. */
enum err pack_directory_open(const struct pack_header *header, const uint8_t key[32], struct slice sealed, uint64_t pack_size,
                             struct pack_directory *ret_directory, struct hash *ret_sha256);

/*
 * Open one frame: tag checked, decompressed to exactly raw_len. Chunk ids are NOT yet checked: chunks_verify does that.
 *   where   what it is sealed for: store, domain, kind, origin uid of its key record
 *   stored  exactly place->stored_len bytes
 *   base    plaintext of the base chunk when place->has_base, else SLICE_EMPTY
 *   ret_raw room for place->raw_len bytes
 *   ERR_AUTH damaged or forged · ERR_CORRUPT authentic but malformed
 */
struct frame_binding {
    struct domain_ref where;
    enum chunk_kind kind;
    struct uid origin;
};
enum err frame_open(const struct frame_binding *binding, const uint8_t key[32], const struct frame_place *place,
                    struct slice stored, struct slice base, uint8_t *ret_raw);
