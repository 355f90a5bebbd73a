/*
 * ids: the small fixed-size names the format is made of, each a type of its own, and what they are in object names.
 *
 * Source: docs/format.md sections 3 and 4.
 */
#pragma once

#include "fetch/base/buf.h"
#include "fetch/base/hex.h"
#include "fetch/crypto/chunkid.h" /* struct chunk_id */

struct uid {
    uint8_t bytes[16];
}; /* store id, session, pack uid, key id, host id, service tag, link group */
struct hash {
    uint8_t bytes[32];
}; /* SHA-256 of an object */

/* Two kinds of chunks, packs, segments, never mixed (docs/format.md section 1). */
enum chunk_kind { CHUNK_DATA = 1, CHUNK_TREE = 2 };

enum { FORMAT_VERSION = 1 };
enum { CHUNK_MAX_BYTES = 4 * 1024 * 1024, PACK_MAX_BYTES = 64 * 1024 * 1024, PACK_MAX_CHUNKS = 1 << 20 };
enum { RECORD_MAX_BYTES = 1 << 20 };
#define SEGMENT_MAX_BYTES (UINT64_C(1) << 30)

/* What every sealing is bound to. */
struct domain_ref {
    struct uid store;
    uint32_t domain; /* 1 = main */
};

/* The name of one object; long enough for all of them. */
struct object_name {
    char text[192];
};

/* A pack's name parts. */
struct pack_name {
    struct uid session;
    struct hash sha256;
};

struct object_name name_pack(uint32_t domain, const struct pack_name *pack);
struct object_name name_segment(uint32_t domain, enum chunk_kind kind, const struct uid *session, const struct hash *sha256);
/* time_secs: of the years 0000 to 9999, others have no name that parses. */
struct object_name name_envelope(uint32_t domain, const struct uid *tag, int64_t time_secs, const struct hash *sha256);
struct object_name name_record(const char *folder, uint64_t number);              /* "config" -> config/0000000001 */
struct object_name name_epoch(uint32_t domain, uint32_t epoch);
struct object_name name_cert(const struct uid *key_id);
struct object_name name_session(const struct uid *session, const char *what); /* "start", "end", "hb-0000000001" */
struct object_name name_fence(const struct uid *session);

/* Parse back; ERR_CORRUPT "NAME is no ... name" for anything else. */
enum err name_parse_pack(const char *name, uint32_t *ret_domain, struct pack_name *ret_pack);
enum err name_parse_segment(const char *name, uint32_t *ret_domain, enum chunk_kind *ret_kind, struct uid *ret_session,
                            struct hash *ret_sha256);
enum err name_parse_envelope(const char *name, uint32_t *ret_domain, struct uid *ret_tag, int64_t *ret_time_secs,
                             struct hash *ret_sha256);

/* [A-Za-z0-9][A-Za-z0-9._-]{0,99}, not "latest", not "wal"; else ERR_INVALID with the rule. */
enum err service_name_check(const char *service);

/* Length after Padme padding (docs/format.md section 8). len: at most 2^63. */
uint64_t padme(uint64_t len);
