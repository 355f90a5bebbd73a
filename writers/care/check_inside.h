/*
 * check_inside: what the files of check share.
 *
 *     check.c           the order of things, findings, threads
 *     check_records.c   yore, config, epochs, certificates, recovery, sessions, fences, slots, envelopes
 *     check_segments.c  segments; packs by name and size
 *     check_packs.c     packs, every byte
 *     check_trees.c     trees: reachable, whole, and what damage touches
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "fetch/packs.h"
#include "writers/care/check.h"

/* An object as the store lists it. */
struct object {
    char *name;
    uint64_t size_bytes;
};
struct objects {
    struct object *all; /* ascending by name */
    size_t count, cap;
};

/* What one segment says of one pack. */
struct pack_claim {
    struct object_name name;
    uint64_t size_bytes;
    struct hash directory_sha256;
    uint64_t rows, mark; /* how many chunk rows, and the sum of their marks */
};

struct check {
    const struct check_options *options;
    const struct access *access;
    struct index *index;
    struct fetcher *fetcher;
    struct reader *reader;
    struct packs *packs;
    unsigned workers;

    struct objects objects;
    struct pack_claim *claims; /* guarded by lock while segments are read; then sorted by name, constant */
    size_t claim_count, claim_cap;

    atomic_uchar *suspect;     /* [pack number]: chunks in it must be read to know whether they can be */
    uint32_t pack_max;

    pthread_mutex_t lock;      /* findings, claims, progress; never held across I/O of ours */
    atomic_uint_fast64_t records, segments, snapshots, chunk_rows, tree_chunks, files, packs_read, bytes_read, chunks_read, damaged,
        touched, newer;
    uint64_t packs_there, orphans, orphan_bytes;
    uint64_t total_bytes;
    atomic_uint_fast64_t progress_ns;
};

/* ---- check.c ---- */
void check_damage(struct check *c, const char *object, enum err code);
void check_note(struct check *c, const char *object, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Damage is told and ERR_OK; what stops the check (unreachable, no memory ...) is returned. */
enum err check_object_failed(struct check *c, const char *object, enum err code);
void check_progress(struct check *c, uint64_t bytes);
/* Call job(c, context, i) for each i < count from all workers; the first error other than ERR_OK stops and is returned. */
typedef enum err (*check_job)(struct check *c, void *context, size_t i);
enum err check_parallel(struct check *c, size_t count, check_job job, void *context);
/* Objects whose names begin with prefix: [*ret_first, *ret_end) of c->objects. */
void check_range(const struct check *c, const char *prefix, size_t *ret_first, size_t *ret_end);

/* ---- the parts ---- */
enum err check_records(struct check *c);
enum err check_envelopes(struct check *c);
enum err check_segments(struct check *c);
enum err check_pack_names(struct check *c);
enum err check_pack_bytes(struct check *c);
enum err check_trees(struct check *c);

/* One row's mark; a pack's rows add up to the same sum in whatever order. */
uint64_t check_row_mark(const struct chunk_id *id, const struct frame_place *frame, uint32_t place, uint32_t length);
