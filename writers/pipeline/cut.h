/*
 * cut: where content is cut into chunks, by what it says and a secret, not by where it lies.
 *
 * The whole definition; nothing in it may change without losing deduplication with every older snapshot.
 *
 *   Keys     from the domain's K_cut (32 bytes), HKDF-SHA-256 with an empty salt:
 *              24 bytes under "yore/1/cut/weights": bytes 2i and 2i+1, little-endian, with the lowest bit
 *                set, are weight i (0..7), signed; bytes 16..19, little-endian, are the constant;
 *                bytes 20..23 are not used;
 *              32 bytes under "yore/1/cut/prf": the AES-256 key.
 *            An odd weight is never 0 nor -32768, and no two words look alike to it mod 2^16.
 *   Place    p, 64 <= p <= length of the stream, lies between bytes p-1 and p, counted from the beginning
 *            of the stream whatever chunk or piece it falls in. Its window is bytes p-64 .. p-1.
 *   Mark     a place that passes the linear filter (cut_scan.h, over the last 16 bytes: 1 place in 1,024) and
 *            whose window's two halves differ. (So constant data, and any with period 1, 2, 4 ... 32,
 *            has no marks whatever the key: else 1 key in 1,024 would mark every place in a run of zeros.)
 *            Its value is the PRF of the window (fetch/crypto/prf.h), 64 bits.
 *   Class    min, mean, max. A mark is strong if its value < 2^64 * 256 / mean (rounded down): per byte of
 *            random data 1 in 4 * mean; it is fair if its value < 2^64 * 4096 / mean: 4 in mean.
 *   Cut      a chunk that begins at s ends at the first mark p with p - s >= min that is strong, or fair and
 *            p - s >= mean; at s + max if there is none up to there; at the end of the stream.
 *
 * On random data with min = mean / 4 and max = 4 * mean, chunks are 1.141 * mean long on average.
 *
 * Marking is most of the work and needs no order: workers mark pieces (cut_mark), one ordered pass selects
 * (cut_select_feed). Cuts are a function of stream, key and class only: not of the pieces, not of the CPU.
 *
 * Source:  Two thresholds are FastCDC's normalised chunking (Xia et al. 2016, level 2); the PRF over a window is
 *          the repair of Truong, Merz, Scarlata, Guenther and Paterson, "Breaking and Fixing Content-Defined
 *          Chunking" (2025); measurements in docs/decisions/0001-chunk-and-frame-size.md.
 * Threads: struct cut_keys may be shared once made. A cut_scanner and a cut_select belong to one thread at a time.
 */
#pragma once

#include "fetch/base/buf.h"
#include "writers/pipeline/cut_scan.h"

enum {
    CUT_WINDOW_BYTES = 64,
    CUT_MAX_BYTES = 4 * 1024 * 1024, /* no class cuts longer chunks: the format's limit */
};

/* As secret as K_cut; wipe it with cut_keys_clear. */
struct cut_keys {
    struct cut_filter filter;
    uint8_t prf_key[32];
};

enum err cut_keys_init(const uint8_t k_cut[32], struct cut_keys *ret);
void cut_keys_clear(struct cut_keys *keys);

/* 64 <= min <= mean <= max <= CUT_MAX_BYTES and mean > 4096. */
struct cut_params {
    uint32_t min_bytes, mean_bytes, max_bytes;
};

struct cut_mark {
    uint32_t offset; /* of the place, from the beginning of its piece: 1 to the piece's length */
    uint64_t value;
};

/* The marks of one piece, ascending by offset. Reuse it from piece to piece: the memory stays. */
struct cut_marks {
    struct cut_mark *rows;
    size_t count, cap;
};
#define CUT_MARKS_EMPTY ((struct cut_marks){0})
void cut_marks_clear(struct cut_marks *marks);

/* Ends of chunks, ascending. */
struct cut_ends {
    uint64_t *at;
    size_t count, cap;
};
#define CUT_ENDS_EMPTY ((struct cut_ends){0})
void cut_ends_clear(struct cut_ends *ends);

/* What a thread needs to mark: keys in working form, and room for a batch. */
struct cut_scanner;
enum err cut_scanner_new(const struct cut_keys *keys, struct cut_scanner **ret);
void cut_scanner_free(struct cut_scanner *scanner);
DEFINE_AUTO_PTR(cut_scanner);

/*
 * Mark one piece.
 *
 *   data           borrowed: what stands before the piece in the stream, then the piece, under 2 GiB together
 *   context_bytes  how much of data stands before: 64 (or more), or all there is where the stream begins
 *   ret            emptied first. Random data gives 1 mark in 1,024 bytes, hostile data at most one per byte.
 *
 *   ERR_IO  the crypto library refused (not seen to happen)
 */
enum err cut_mark(struct cut_scanner *scanner, struct slice data, size_t context_bytes,
                  struct cut_marks *ret);

/* The ordered pass over the marks of one stream. Plain storage, no destructor. */
struct cut_select {
    struct cut_params params;
    uint64_t strong, fair; /* thresholds for a mark's value */
    uint64_t start;        /* where the open chunk begins */
    uint64_t at;           /* how much of the stream was fed */
};

/* ERR_INVALID: params break their bounds. */
enum err cut_select_init(struct cut_select *select, struct cut_params params);

/*
 * Feed the marks of the next piece.
 *
 *   piece_bytes  its length, which may be 0
 *   last         the stream ends with it; nothing may be fed after
 *   ret          ends of the chunks now known, in bytes from the beginning of the stream, are appended. After
 *                the last piece the last end is the stream's length; an empty stream has no chunks.
 */
enum err cut_select_feed(struct cut_select *select, const struct cut_marks *marks, size_t piece_bytes,
                         bool last, struct cut_ends *ret);

/*
 * Cut a whole stream that lies in memory: the same cuts in one pass, without looking at the first `min` bytes of
 * any chunk.
 *
 *   content  borrowed, under 2 GiB
 *   ret      ends are appended, the last one is content.len
 *
 *   ERR_INVALID  params break their bounds
 *   ERR_IO       the crypto library refused
 */
enum err cut_buffer(struct cut_scanner *scanner, struct slice content, struct cut_params params,
                    struct cut_ends *ret);
