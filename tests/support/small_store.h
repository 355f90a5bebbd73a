/*
 * small_store: a store for tests, opened, with packs, segments and snapshots put into it as a writer would.
 */
#pragma once

#include "fetch/access.h"
#include "fetch/base/clock.h"
#include "fetch/format/envelope.h"
#include "fetch/format/segment.h"

/* dir: a folder; NULL: in memory. Keys of all roles, and a certificate for all services of domain 1. */
enum err small_store_new(const char *dir, struct access **ret_access);

/* The i-th chunk of a series: its text and its id. */
struct small_chunk {
    char text[96];
    struct chunk_id id;
};
struct small_chunk small_chunk(const struct access *access, enum chunk_kind kind, const char *series, unsigned i);

/* Chunks first .. first + count - 1 of a series in one pack, and a segment that names it. ret_segment, ret_pack: their names;
 * may be NULL. */
enum err small_store_put_chunks(struct access *access, enum chunk_kind kind, const char *series, unsigned first, unsigned count,
                                struct object_name *ret_segment, struct object_name *ret_pack);

/* An envelope; session as the byte given. Its name; may be NULL. */
enum err small_store_put_snapshot(struct access *access, const char *service, struct timestamp time, uint32_t flags, uint8_t session,
                                  struct object_name *ret_name);

/* A signed record of that type, without fields, under a name. */
enum err small_store_put_record(struct access *access, const char *name, enum record_type type);
