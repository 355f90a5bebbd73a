/*
 * commit: the last steps of every snapshot, whatever its source: link table, manifest and log, the snapshot's root, all packs and
 * segments, then the envelope.
 *
 *     links, manifest, log -> tree chunks -> snapshot root -> sink_finish -> session_commit
 *
 * Nothing of the snapshot is visible before the last of these; an error before it leaves packs and segments that the next run
 * finds.
 *
 * Source:  docs/format.md section 11.
 * Threads: the one that owns the tree worker. All other workers of the sink are finished.
 */
#pragma once

#include "writers/backup.h"
#include "writers/pipeline/sink.h"

/* All borrowed. */
struct commit {
    struct session *session;
    struct sink *sink;
    struct sink_worker *trees;      /* finished here */
    const struct entry *root;       /* the directory with an empty name, its summary of what lies below */
    const struct link_row *links;   /* ascending by group */
    size_t link_count;
    struct slice manifest;          /* JSON text */
    struct slice log;               /* text; may be empty */
    struct totals totals;           /* new_bytes and stored_bytes are filled in here */
    bool partial;
    const char *const *labels;      /* NULL-ended, or NULL */
};

/*
 * ret_totals   the totals as the envelope has them
 *   ERR_FENCED   the snapshot does not count: run again
 *   ERR_INVALID  a label is longer than 255 bytes, or there are more than 64
 */
enum err commit_snapshot(const struct commit *commit, struct snapshot_info *ret_snapshot, struct totals *ret_totals);

/* Are these labels within the format's limits? ERR_INVALID. To be asked before anything is read. */
enum err labels_check(const char *const *labels);
