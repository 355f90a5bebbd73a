/*
 * restore: a snapshot, or parts of it, as files on this machine.
 *
 *     one walker, in tree order > bounded queue of batches > workers: fetch, verify, write,
 * attributes, rename
 *
 * Nothing is written outside the target: every step goes from an open folder to a name in it, and
 * no link is followed. A file appears whole: it is written under a dot name beside its own, each
 * chunk checked against its name, and renamed when it is complete. Folders get their owner, mode
 * and times when everything below them is done. What is written is as durable as after cp(1): call
 * sync(1) before pulling the plug.
 *
 * Source:  DESIGN section 9; openat2(2), renameat2(2).
 * Threads: any; one restore in a process at a time (it raises RLIMIT_NOFILE). The event function is
 * called by several threads, one at a time.
 */
#pragma once

#include "index/walk.h"

enum restore_overwrite {
    OVERWRITE_NEVER,   /* a name that is there already is a clash */
    OVERWRITE_CHANGED, /* files of other kind, size or modification time are replaced; attributes
                          are set */
    OVERWRITE_ALWAYS,  /* every file is replaced */
};

enum restore_what {
    RESTORE_CLASH,     /* OVERWRITE_NEVER: this name is there already */
    RESTORE_DAMAGED,   /* left out: the note says which object is damaged */
    RESTORE_FAILED,    /* left out: this system refused */
    RESTORE_ATTRIBUTE, /* restored, but an attribute could not be set */
    RESTORE_REMOVED,   /* with remove_others: was there and is no more (dry run: would be) */
};

struct restore_event {
    enum restore_what what;
    struct slice path; /* below the target; any bytes */
    enum err code;     /* with its sentence; ERR_OK when there is none to tell */
    const char *text;
};

struct restore_progress {
    uint64_t entries, bytes;             /* done */
    uint64_t total_entries, total_bytes; /* 0: not known */
};

struct restore_options {
    struct reader *reader; /* borrowed, like all below */
    const struct snapshot_view *view;
    const char *const *paths; /* NULL-ended; NULL or none: the snapshot's root */
    const char *target;
    enum restore_overwrite overwrite;
    bool remove_others;          /* remove what the restored folders hold and the snapshot does not;
                                    OVERWRITE_ALWAYS only */
    bool dry_run;                /* look and count; write nothing */
    unsigned workers;            /* 0: one a processor */
    const char *const *keep_out; /* NULL-ended or NULL: folders the target must not lie in (the
                                    store, the cache) */
    void (*event)(void *context, const struct restore_event *event); /* NULL: nobody listens */
    void (*progress)(void *context,
                     const struct restore_progress *progress); /* about ten times a second; NULL */
    void *context;
};

struct restore_report {
    uint64_t files, dirs, others,
        links;          /* restored; links: names given to a file restored before */
    uint64_t bytes;     /* written */
    uint64_t unchanged; /* OVERWRITE_CHANGED: files left as they were */
    uint64_t removed;
    uint64_t clashes, damaged, failed;
    uint64_t newer;                      /* left out: they need a newer version of the program */
    uint64_t owners_not_set; /* for lack of the right; so are set-id bits then */
    uint64_t devices_not_made;
    uint64_t xattrs_refused;     /* for lack of the right */
    uint64_t attributes_not_set; /* for any other reason; each was an event */
};

/*
 * Restore. One folder (or the root): its contents go into the target, which is made if it is
 * missing. One file: it becomes the target, or goes into it if that is a folder. Several paths:
 * each keeps its path below the target, folders on the way being made.
 *
 * The target itself gets the attributes of the folder whose contents it takes if it was made or
 * empty, or unless OVERWRITE_NEVER.
 *
 *   ERR_OK           done, but for what the report counts as damaged, failed ...
 *   ERR_EXISTS       OVERWRITE_NEVER and names are there already: each was an event, nothing was
 * written ERR_INVALID      options that make no sense, or a target in keep_out · ERR_NOT_FOUND  the
 * snapshot has no such path ERR_FULL, ERR_UNREACHABLE, ERR_NO_KEY, ERR_CANCELED ...  stopped
 * half-way; what is there is whole
 */
enum err restore_run(const struct restore_options *options, struct restore_report *ret_report);
