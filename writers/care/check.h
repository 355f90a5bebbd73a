/*
 * check: is everything in the store that should be, and is it what was put there?
 *
 *     structure   the store's own records, the keystore's slots, segments, packs by name and size, envelopes, every tree
 *     read data   besides: every pack whole: SHA-256, every frame, every chunk's name, the directory against the index
 *
 * Damage of one object never stops the check: it is told, the check goes on, and in the end the trees say which snapshots and paths it
 * touches. Nothing is written to the store.
 *
 * Source:  DESIGN sections 3 and 9; docs/format.md.
 * Threads: one check_run in a process; it makes threads of its own. The finding function is called by several threads, one at a time.
 */
#pragma once

#include "index/index.h"
#include "index/walk.h"

enum check_what {
    CHECK_DAMAGE,  /* an object of the store (or keystore) */
    CHECK_TOUCHED, /* a path of a snapshot that damage touches */
    CHECK_NOTE,    /* nothing bad: an object that nobody needs, a keystore that could not be looked at */
};

struct check_finding {
    enum check_what what;
    const char *object;                   /* DAMAGE, NOTE: its name in the store */
    const struct snapshot_info *snapshot; /* TOUCHED */
    struct slice path;                    /* TOUCHED: below its root; empty: all of it */
    enum err code;
    const char *text;
};

struct check_progress {
    uint64_t done_bytes, total_bytes;     /* of packs to be read */
};

struct check_options {
    const struct access *access;          /* borrowed, like all below */
    struct index *index;                  /* brought up to date by the caller */
    const char *keystore_url;             /* NULL: where the store says */
    unsigned read_percent;                /* 0: structure only; 1 to 100: so much of all packs is read */
    const char *state_dir;                /* where read_percent < 100 remembers how far it got; NULL: it begins anew */
    unsigned workers;                     /* 0: one a processor */
    void (*finding)(void *context, const struct check_finding *finding);
    void (*progress)(void *context, const struct check_progress *progress); /* about ten times a second; NULL */
    void *context;
};

struct check_report {
    uint64_t objects, records, segments, packs, snapshots; /* looked at */
    uint64_t chunk_rows, tree_chunks, files;
    uint64_t packs_read, bytes_read, chunks_read;
    uint64_t damaged, touched;                             /* findings: exit status 7 when either is not 0 */
    uint64_t newer;                                        /* findings (ERR_UNSUPPORTED) that need a newer version: 6 */
    uint64_t orphans, orphan_bytes;                        /* packs that no segment names */
};

/* ERR_OK whatever was found (the report says); others: the check could not be done to its end. */
enum err check_run(const struct check_options *options, struct check_report *ret_report);
