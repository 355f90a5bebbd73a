/*
 * session: one run of a writer, as other writers and the keeper see it.
 *
 *     start put > gc/ and fences/ listed > index synced > ... packs, segments ... > envelope put > own fence looked for > end put
 *
 * The order is what makes many writers safe without locks: docs/consistency.md. Nothing here ever deletes.
 *
 * Threads: begin, commit and abandon by one thread; the rest from any.
 */
#pragma once

#include "index/index.h"

struct session;

struct session_options {
    const char *service, *kind;     /* checked: name rule; the kind a service has keeps; its source host too */
    bool take_over;                 /* accept that the service comes from this host now */
    struct timestamp time;          /* what the snapshot is named by */
    const char *state_dir;          /* keeps a random host id where there is no machine id; NULL: the host name serves */
};

/*
 * Begin. index is synced inside (after the start record is put and gc/, fences/, forgets/ are listed).
 *   ERR_INVALID  the service's name, kind or host does not fit: the sentence says what to type
 *   ERR_NO_KEY   these keys may not write
 */
enum err session_begin(const struct access *access, struct index *index, const struct session_options *options,
                       struct session **ret_session);
void session_free(struct session *session); /* without commit: puts the end record "failed" if it can */
DEFINE_AUTO_PTR(session);

const struct uid *session_id(const struct session *session);
const struct access *session_access(const struct session *session);
struct index *session_index(const struct session *session);
uint32_t session_domain(const struct session *session);
/* This host's id: stable (from /etc/machine-id, keyed), and its name. */
const struct uid *session_host(const struct session *session);
const char *session_host_name(const struct session *session);
/* The version of this program, as envelopes and manifests name it. */
const char *session_version(void);

/* May ids taken from that snapshot (hash of its envelope) be referenced without looking each up? (docs/consistency.md:
 * present, not forgotten, not of a fenced session, and no generation open, in lists made after the start record.) */
bool session_may_reuse(const struct session *session, const struct hash *snapshot);

/* Is this chunk known: in the index, in a pack that is not condemned? found[i] for each id. */
enum err session_known(struct session *session, enum chunk_kind kind, const struct chunk_id *ids, size_t count, bool *ret_found);

/* To be called now and then by whoever works: puts a heartbeat every ten minutes, ERR_FENCED if this session was fenced. */
enum err session_beat(struct session *session);

/*
 * Commit: everything below root is durable. Fills writer, host, lane, session, times and version of the envelope, puts it, looks
 * for the fence, puts the end record.
 *   ERR_FENCED  the snapshot does not count: run again
 */
enum err session_commit(struct session *session, struct envelope *envelope, struct snapshot_info *ret_snapshot);
