/*
 * ahead: frames read before they are asked for.
 *
 * Two sources: readers say what they will want (ahead_want), and packs that are read in order go on in order (ahead_note): writers put
 * neighbours side by side, so the next frame of a pack is the next file of a directory. Neighbouring frames are fetched in one get.
 *
 * Threads: any; workers of its own do the reading. Nothing here blocks a reader or fails it.
 */
#pragma once

#include "fetch/frames.h"
#include "fetch/load.h"

struct ahead;
enum err ahead_new(struct loader *loader, struct frames *frames, unsigned workers, unsigned most_frames, struct ahead **ret_ahead);
void ahead_free(struct ahead *ahead); /* stops the workers, gives up what is queued */

/* A reader used this frame. */
void ahead_note(struct ahead *ahead, uint32_t pack, const struct frame_place *place);
/* A reader will use these, in this order. */
void ahead_want(struct ahead *ahead, const struct location *places, size_t count);
/* Frames read ahead so far. */
uint64_t ahead_count(struct ahead *ahead);
