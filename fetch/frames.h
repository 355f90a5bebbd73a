/*
 * frames: decoded frames, kept while they are of use; one flight per frame however many ask.
 *
 * A frame is absent, queued (somebody means to read it ahead), loading (one thread is at it, others wait), or ready. Whoever
 * needs a queued one takes it over instead of waiting for its turn. Failures are told to those who wait and not kept.
 * A frame is known by its pack and its whole struct frame_place: rows that lie about it do not meet those that do not.
 * While a frame is loaded, only one with a base may wait for another, and that one has none: nobody waits in a circle.
 *
 * Threads: any; a lock per shard, held for look-ups only, never while a frame is loaded.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "fetch/fetch.h"

enum frame_state { FRAME_QUEUED, FRAME_LOADING, FRAME_READY, FRAME_FAILED };

/* One decoded frame. */
struct frame_data {
    uint32_t pack, offset;        /* which: constant */
    struct frame_place place;     /* constant */
    uint8_t *raw;                 /* constant once ready */
    enum frame_state state;       /* guarded by the shard's lock */
    struct err_note why;          /* guarded by it until failed, constant after */
    unsigned refs;                /* guarded by it; the table's own counts too */
    bool in_table;                /* guarded by it */
    struct frame_data *next_hash, *newer, *older; /* guarded by it */
    pthread_mutex_t checks_lock;
    struct frame_check {
        uint32_t place, length;
        struct chunk_id id;
    } *checks;                    /* chunks whose names were verified; guarded by checks_lock */
    size_t check_count, check_cap;
    atomic_bool ahead;            /* loaded before anybody asked: for the statistics */
};

struct frames;
enum err frames_new(size_t budget_bytes, struct frames **ret_frames);
void frames_free(struct frames *frames); /* nobody may hold a reference */
DEFINE_AUTO_PTR(frames);

/*
 * Look a frame up, to use it now. *ret_mine: the caller must load it and call frames_done (state is loading); otherwise the
 * frame is ready, referenced, after waiting if need be; or the error of the flight is returned.
 */
enum err frames_get(struct frames *frames, uint32_t pack, const struct frame_place *place, struct frame_data **ret_frame,
                    bool *ret_mine);

/* Reserve a frame to be read ahead: a reference in state queued, or NULL when it is there or coming already. */
struct frame_data *frames_reserve(struct frames *frames, uint32_t pack, const struct frame_place *place);
/* Start on a reserved frame: true if it is the caller's to load now, false if somebody took it over (reference dropped). */
bool frames_start(struct frames *frames, struct frame_data *frame);
/* Give a reserved frame up unread. */
void frames_give_up(struct frames *frames, struct frame_data *frame);

/* The end of a load: raw (malloc'ed, taken over) or an error whose note is this thread's. The caller keeps its reference. */
void frames_done(struct frames *frames, struct frame_data *frame, uint8_t *raw, enum err result);

void frames_unref(struct frames *frames, struct frame_data *frame);

/* Was the name of the chunk of that length at place verified already? Note that it was. */
bool frame_was_checked(struct frame_data *frame, uint32_t place, uint32_t length, const struct chunk_id *id);
void frame_note_checked(struct frame_data *frame, uint32_t place, uint32_t length, const struct chunk_id *id);
