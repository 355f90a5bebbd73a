/*
 * backup: what commands call: make one snapshot of something.
 *
 * Each function begins a session, reads its source through the pipeline, stores trees, commits, and reports. Nothing is visible
 * before the commit; a killed run leaves only packs and segments that the next run finds.
 */
#pragma once

#include "index/index.h"

struct filter; /* writers/source/filter.h */

struct backup_progress {
    uint64_t files, bytes;             /* done */
    uint64_t total_files, total_bytes; /* 0: not known yet */
    uint64_t new_bytes, stored_bytes;
};

struct backup_common {
    const struct access *access;
    struct index *index;
    const char *state_dir;
    const char *service;
    bool take_over;
    struct timestamp time;      /* secs 0 and nanos 0: now */
    const char *const *labels;  /* --tag, NULL-ended or NULL */
    int level;                  /* INT_MIN: the default of the kind */
    bool file_hash;             /* true unless --no-file-hash */
    size_t memory_bytes;        /* 0: 512 MiB for the whole writer */
    unsigned workers;           /* 0: one a processor */
    /* Called about ten times a second and at the end; NULL: none. */
    void (*progress)(void *context, const struct backup_progress *progress);
    void *progress_context;
};

struct backup_report {
    struct snapshot_info snapshot;
    struct totals totals;
    uint64_t files_unchanged, files_new, files_changed, vanished, unreadable, changed_while_read;
    bool partial;               /* exit status 2 */
};

struct backup_files_options {
    struct backup_common common;
    const char *const *paths;   /* NULL-ended */
    struct filter *filter;      /* borrowed; NULL: everything */
    bool exclude_caches, one_file_system, rehash, dry_run, strict;
    uint64_t max_file_bytes;    /* 0: no limit */
    struct timestamp newer_than;/* secs 0, nanos 0: no limit */
};
/* ERR_OK also when partial (report says). dry_run: nothing is put, the report counts. */
enum err backup_files(const struct backup_files_options *options, struct backup_report *ret_report);

struct backup_stream_options {
    struct backup_common common;
    const char *name;           /* name of the one file in the snapshot */
    int fd;                     /* read to its end; -1: run command */
    char *const *command;       /* argv of a child whose standard output is stored; its failure fails the backup (ERR_IO) */
    bool allow_empty;
};
enum err backup_stream(const struct backup_stream_options *options, struct backup_report *ret_report);
