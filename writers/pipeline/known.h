/*
 * known: the ids of the chunks that are new in this session, so that two workers never store one twice.
 *
 * Threads: any; the set is in shards, each with a lock of its own.
 */
#pragma once

#include "fetch/format/ids.h"

struct known;
enum err known_new(struct known **ret_known);
void known_free(struct known *known);
DEFINE_AUTO_PTR(known);

/* Is it there? */
bool known_has(struct known *known, const struct chunk_id *id);

/* Add it. *ret_added: it was not there, so the caller stores it; nobody else will. */
enum err known_add(struct known *known, const struct chunk_id *id, bool *ret_added);
