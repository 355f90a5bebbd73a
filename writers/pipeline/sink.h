/*
 * sink: where chunks go: known already, in flight already, or new; framed, sealed into packs, put, and told to the index.
 *
 *     worker: ids (many lanes at once) > known? > frame > pack (compress, encrypt) > full? > queue > uploader: put
 *     every few packs: a segment is put, so that a killed run loses at most its open packs
 *
 * Memory is bounded: open packs (one a worker) and packs waiting for the store count against memory_bytes; workers wait when it is used up.
 *
 * Threads: a struct sink_worker belongs to one thread; the sink is shared. The first error stops all: every call returns it.
 */
#pragma once

#include "fetch/crypto/digest.h"
#include "writers/session.h"

struct sink_options {
    int level;                 /* zstd level for data; trees use 3 */
    size_t frame_bytes, pack_bytes; /* 0: as the store's config says */
    size_t memory_bytes;       /* 0: 256 MiB */
    unsigned uploads;          /* 0: 2 */
};

struct sink;
enum err sink_new(struct session *session, const struct sink_options *options, struct sink **ret_sink);
void sink_free(struct sink *sink);
DEFINE_AUTO_PTR(sink);

struct session *sink_session(const struct sink *sink);

struct sink_worker;
enum err sink_worker_new(struct sink *sink, enum chunk_kind kind, struct sink_worker **ret_worker);
/* Closes the worker's frame; its pack goes back to the sink for the next worker, or is put at the end. */
enum err sink_worker_finish(struct sink_worker *worker);
/* Without finish: stops the sink, since others may refer to chunks that this worker took upon itself. */
void sink_worker_free(struct sink_worker *worker);
DEFINE_AUTO_PTR(sink_worker);

/*
 * Store chunks (1 to CHUNK_MAX_BYTES each), in order: new ones are copied into the worker's open frame, in order, so that
 * neighbours stay neighbours. More chunks a call are faster (hash lanes).
 *   chunks   borrowed for the call
 *   ret_ids  one per chunk
 */
enum err sink_put(struct sink_worker *worker, const struct slice *chunks, size_t count, struct chunk_id *ret_ids);

/* One tree chunk, from the thread that owns the tree worker; fits list_store_fn and tree_store_fn with the worker as context. */
enum err sink_put_tree(void *worker, struct slice chunk, struct chunk_id *ret_id);

/*
 * Hash a content in its order: like sha256_update, and packs that wait to be hashed come along at little cost. begin and end
 * frame the calls for one content.
 */
void sink_hash_begin(struct sink *sink);
void sink_hash(struct sink *sink, struct sha256 *sha, struct slice data);
void sink_hash_end(struct sink *sink);

/* All packs and segments put and durable. After this only sink_free and sink_stats. Data first, then trees. */
enum err sink_finish(struct sink *sink);
/* Stop everybody with this error (its note is kept and handed to all). */
void sink_fail(struct sink *sink, enum err code);

struct sink_stats {
    uint64_t chunks, known_chunks, raw_bytes, new_bytes, stored_bytes, packs, segments;
    uint64_t packs_at_once; /* most in memory at one time */
};
void sink_stats(struct sink *sink, struct sink_stats *ret_stats);
