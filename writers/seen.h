/*
 * seen: what a session saw when it listed the store: open generations, fences, forgotten snapshots, packs; and which stored
 * chunks it may build on by that.
 *
 *     gc/ listed > fences/ > forgets/ > packs/ (only where anything was ever deleted or fenced)
 *
 * This version has no format for the records of garbage collection, so it takes the safe side of each: while a generation is open
 * nothing stored before counts; a fenced session's packs never count; after a finished generation a pack counts only if it was
 * seen in the list. All of that costs space at most, never data.
 *
 * Source:  docs/consistency.md, the writer's steps 2 to 5.
 * Threads: seen_lists by one thread before all else; then from any thread.
 */
#pragma once

#include "index/index.h"

struct seen;
enum err seen_new(struct index *index, uint32_t domain, struct seen **ret_seen);
void seen_free(struct seen *seen);
DEFINE_AUTO_PTR(seen);

/* Make the lists, in their order. To be called after the start record is put and before the index is synced. */
enum err seen_lists(struct seen *seen, struct store *store);

bool seen_open_generation(const struct seen *seen);
bool seen_forgotten(const struct seen *seen, const struct hash *envelope);
bool seen_fenced(const struct seen *seen, const struct uid *session);

/* Which of these chunks are stored, in packs that this session may build on? */
enum err seen_chunks(struct seen *seen, enum chunk_kind kind, const struct chunk_id *ids, size_t count, bool *ret_found);
