/*
 * upload: full packs on their way to the store, and the segments that make them known.
 *
 *     pack_builder > sealed (hashed) > put > row in the segment; every few packs: segment put > told to the index
 *
 * Segments of data are put while the session runs: a killed run loses at most what was not in one. Segments of trees are put at the
 * end, after all data: a tree that others find must stand on data that they find.
 *
 * Threads: any; threads of its own do the work. No lock is held while the store works.
 */
#pragma once

#include "fetch/crypto/digest.h"
#include "writers/pipeline/pool.h"
#include "writers/session.h"

struct upload;

/* All borrowed. threads > 0. */
enum err upload_new(struct session *session, struct pool *pool, struct stop *stop, unsigned threads, struct upload **ret_upload);
/* Drops what is still waiting. */
void upload_free(struct upload *upload);
DEFINE_AUTO_PTR(upload);

/* Take over a pack that was taken from the pool. Never waits: the pool bounds how many there are. */
enum err upload_put(struct upload *upload, enum chunk_kind kind, struct pack_builder *pack);

/*
 * Hash data into sha, and on the way packs that wait to be hashed: two at once cost little more than one (sha_pair.h). While
 * somebody has said that more such calls will come (begins, and later not), packs wait for them, a second at most.
 */
void upload_hash_along(struct upload *upload, struct sha256 *sha, struct slice data);
void upload_along(struct upload *upload, bool begins);

/* Put the segment of all packs not yet in one. No pack of this kind is on its way. */
enum err upload_segment(struct upload *upload, enum chunk_kind kind);

struct upload_stats {
    uint64_t packs, segments, stored_bytes; /* stored: packs and segments as put */
};
void upload_stats(struct upload *upload, struct upload_stats *ret_stats);
