/*
 * fetch: a chunk's name and place in, its verified bytes out.
 *
 *     fetch_chunk > decoded frame at hand? > else one flight: store (or ciphertext cache) > frame_open > check the id
 *
 * The caller says where a chunk lies (struct location); fetch knows no index. What it must ask (the keys of a pack it has not
 * seen, the place of a delta's base) it asks through struct fetch_guide. However many readers want one frame, it is read and
 * decoded once. Frames that follow in a pack are read ahead when a pack is read in order.
 *
 * Threads: all functions from any thread at once. No lock is held while the store is at work.
 */
#pragma once

#include "fetch/format/segment.h"
#include "fetch/store/store.h"

struct location {
    uint32_t pack;               /* the guide's number for it, constant while the process lives */
    struct frame_place frame;
    uint32_t place, length;      /* in the raw frame */
};

/* What the guide knows of a pack. */
struct fetch_pack {
    uint32_t domain;
    enum chunk_kind kind;
    struct pack_name name;
    uint64_t size_bytes;
    struct epoch_key_record *keys; /* malloc'ed for the receiver */
    size_t key_count;              /* 0: keys must come from the pack's header and the recovery key */
};

struct fetch_guide {
    enum err (*pack)(void *context, uint32_t number, struct fetch_pack *ret_pack);
    /* Another copy than `not_this` (NULL: any) of a chunk; ERR_NOT_FOUND. */
    enum err (*locate)(void *context, uint32_t domain, enum chunk_kind kind, const struct chunk_id *id,
                       const struct location *not_this, struct location *ret_location);
    void *context;
};

struct fetch_options {
    size_t frames_bytes;      /* decoded frames kept; 0: 64 MiB */
    unsigned workers;         /* read-ahead threads; 0: none */
    unsigned ahead_frames;    /* most frames ahead of a sequential reader; 0: 64 */
};

struct fetcher;
enum err fetcher_new(struct store *store, const struct keyring *keys, const struct fetch_guide *guide,
                     const struct fetch_options *options, struct fetcher **ret_fetcher);
void fetcher_free(struct fetcher *fetcher);
DEFINE_AUTO_PTR(fetcher);

/* A chunk's bytes, kept alive until cleared. */
struct chunk_ref {
    struct slice bytes;
    struct frame_data *frame;
    struct frames *frames;
};
#define CHUNK_REF_EMPTY ((struct chunk_ref){0})
void chunk_ref_clear(struct chunk_ref *ref);

/*
 * Fetch one chunk. A copy that is damaged or missing is retried from another location (guide->locate) before failing.
 *   ERR_CORRUPT, ERR_AUTH  every copy is damaged; the note names the pack object
 *   ERR_NOT_FOUND          no copy is there · ERR_NO_KEY · ERR_UNREACHABLE, ERR_AGAIN, ERR_IO
 */
enum err fetch_chunk(struct fetcher *fetcher, const struct chunk_id *id, const struct location *where, struct chunk_ref *ret_ref);

/* These will be wanted soon, in this order: start reading them ahead. Never fails, never blocks. */
void fetch_ahead(struct fetcher *fetcher, const struct location *places, size_t count);

/* A pack's own directory (check, repack, rebuilding an index): reads header and directory from the store.
 * With keys from the guide, or by recovery key. */
enum err fetch_directory(struct fetcher *fetcher, uint32_t pack, struct pack_directory *ret_directory);

struct fetch_stats {
    uint64_t frames_read, frames_ahead, bytes_read, hits;
};
void fetcher_stats(struct fetcher *fetcher, struct fetch_stats *ret_stats);
