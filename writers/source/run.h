/*
 * run: one backup of files: the threads of it, what they hand to each other, and how they stop.
 *
 *     scanner --batches--> workers (one a processor)      small and middle files, read and stored
 *        |    --bigs-----> one more                       files over run->whole_bytes, and files
 * with holes
 *        `----finished directories, children first--> assembler (the calling thread): pages, files
 * cache
 *
 * Threads: lock guards what says so; it is taken after and before nothing and never held across
 * I/O.
 */
#pragma once

#include <pthread.h>

#include "fetch/base/queue.h"
#include "index/filescache.h"
#include "writers/backup.h"
#include "writers/pipeline/sink.h"
#include "writers/source/found.h"
#include "writers/source/links.h"
#include "writers/source/notes.h"

enum {
    SMALL_MAX_BYTES = 256 * 1024,       /* one chunk: class whole */
    WHOLE_MAX_BYTES = 16 * 1024 * 1024, /* read into memory by one worker, at most */
    BATCH_FILES = 512,
    BATCH_BYTES = 4 * 1024 * 1024,
    QUEUE_BATCHES = 8,
    ENTRIES_IN_FLIGHT = 200 * 1000,
    WAKE_DIRS = 32, /* a wake-up a directory would cost more than the directory */
    READ_TRIES = 3,
};
/* A file with more holes than this gets no SHA-256: hashing the zeros of a 4 TB hole would take the
 * better part of an hour. */
#define HOLES_HASHED_MAX_BYTES (UINT64_C(4) << 30)

struct batch {
    size_t count;
    uint64_t bytes;
    struct batch_item {
        struct found_dir *dir;
        struct found *found;
        struct dir_handle *handle; /* counted */
        int fd;                    /* opened ahead, or -1 */
    } items[BATCH_FILES];
};

struct files_run {
    const struct backup_files_options *options;
    struct session *session; /* NULL: dry run */
    struct sink *sink;
    const struct domain_keys *domain;
    struct filescache *cache;
    bool may_reuse; /* ids of the files cache need not be looked up */
    struct notes *notes;
    struct links *links;
    struct slice base; /* path of the snapshot's root in the source: "/srv/www", or "" for "/" */
    bool file_hash;
    unsigned workers;
    uint64_t whole_bytes;
    unsigned ahead_files; /* files a worker may hold open for what comes next */
    int dirs_max;         /* open directories in all */
    unsigned dirs_window; /* of the chain above the scanner, how many stay open */

    struct queue *batches, *bigs;
    struct batch *open_batch; /* the scanner's */
    atomic_int dirs_open;
    atomic_uint_fast64_t seen_files, seen_bytes, seen_dirs, done_files, done_bytes;
    atomic_uint_fast64_t files_new, files_changed, files_unchanged, left_out;

    pthread_mutex_t lock;
    pthread_cond_t
        landed; /* a directory was pushed, content came, the walk ended: for the assembler */
    pthread_cond_t room;            /* directories were assembled or closed: for the scanner */
    struct found_dir *first, *last; /* lock */
    uint64_t in_flight;             /* lock: entries in pushed directories */
    unsigned quiet;                 /* lock: pushed since the assembler was woken */
    bool scanned;                   /* lock */
    atomic_bool stopped;
    struct err_note failure; /* lock */

    struct found root; /* the root's own attributes; the scanner's until scanned */
};

/* Set up what run.c owns (run is zeroed, options and workers are set); free it when all threads are
 * gone. */
enum err run_init(struct files_run *run);
void run_clear(struct files_run *run);

/* The first error stops all. Returns its code. */
enum err run_fail(struct files_run *run, enum err code);
static inline bool run_stopped(const struct files_run *run)
{
    return atomic_load_explicit(&run->stopped, memory_order_relaxed);
}
/* The error that stopped it, in this thread; ERR_OK when none did. */
enum err run_failure(struct files_run *run);

/* Hand a file to the workers; the scanner's only. */
enum err run_add_file(struct files_run *run, struct found_dir *dir, struct found *found);
/* What is gathered so far goes now: the scanner is going to wait. */
enum err run_flush(struct files_run *run);
/* The directory is complete but for content; all below it were pushed before. Waits while too much
 * is in flight. */
enum err run_push(struct files_run *run, struct found_dir *dir);
/* The next one; NULL when the walk is over, or stopped, or (*ret_timeout) a tenth of a second went
 * by. */
struct found_dir *files_run_next(struct files_run *run, bool *ret_timeout);
/* Put one back that could not be assembled: it is freed with the run. */
void run_return(struct files_run *run, struct found_dir *dir);
/* Wait until all content of it is there; ERR_AGAIN after a tenth of a second. */
enum err run_wait_content(struct files_run *run, struct found_dir *dir);
/* It is assembled and freed: so many entries less. */
void run_assembled(struct files_run *run, uint64_t entries);
/* Contents came: who waits may look again. */
void run_landed(struct files_run *run);

void dir_handle_ref(struct dir_handle *handle);
void dir_handle_unref(struct dir_handle *handle);

/* The path of an entry (NULL: of the directory itself) in the source, for people. */
enum err files_run_path(const struct files_run *run, const struct found_dir *dir,
                        const struct found *found, struct buf *ret_path);
/* notes_add with that path and the text of an errno. */
void run_note(struct files_run *run, enum note_what what, const struct found_dir *dir,
              const struct found *found, int error);
void run_note_text(struct files_run *run, enum note_what what, const struct found_dir *dir,
                   const struct found *found, const char *why);
