/*
 * pieces: the content of one big file or stream, cut and stored by many workers at once.
 *
 * A piece is 8 MiB of a stream with the bytes before it that the cut must see. A worker reads or receives a piece, marks
 * candidates, waits for its turn to select cuts (a function of the stream alone) and to advance the SHA-256, then names, frames
 * and packs its chunks while others do theirs. The content list is built in order at the end of the road.
 *
 * Threads: one struct pieces per content; any number of workers call pieces_work on it.
 */
#pragma once

#include "fetch/format/content.h"
#include "writers/pipeline/sink.h"

/* Where bytes come from. */
struct piece_source {
    /* Random access (a file): read exactly at offset, fewer only at the end of file. NULL for a stream. */
    enum err (*read_at)(void *context, uint64_t offset, void *to, size_t len, size_t *ret_len);
    /* A stream: called by one worker at a time, in order. */
    enum err (*read_next)(void *context, void *to, size_t len, size_t *ret_len);
    void *context;
    /* For files: the extents of data, from SEEK_DATA / SEEK_HOLE, ascending; NULL: all of it is data. Holes become ITEM_HOLE. */
    const struct extent {
        uint64_t offset, length;
    } *extents;
    size_t extent_count;
    uint64_t size;          /* of a file, as opened; ignored for streams */
};

struct piece_options {
    enum cut_class cut_class;
    bool file_hash;         /* compute SHA-256 of all bytes, holes as zeros */
};

struct pieces_result {
    struct content content;
    uint8_t sha256[32];
    uint64_t length;        /* what was read; for a file that changed while read, differs from size */
};

/*
 * Store one content with `workers` threads of its own (1: in the calling thread). Blocks until done.
 *   tree_worker  the calling thread's tree worker, for the content list
 */
enum err pieces_store(struct sink *sink, struct sink_worker *tree_worker, const struct piece_source *source,
                      const struct piece_options *options, unsigned workers, struct pieces_result *ret_result);
