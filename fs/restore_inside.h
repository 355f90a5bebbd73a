/*
 * restore_inside: what the files of restore share.
 *
 *     restore.c          the target, which paths, threads from start to end
 *     restore_walk.c     the walker: folders made, batches handed over
 *     restore_clash.c    what is there already: clashes before, leftovers removed
 *     restore_folder.c   open folders, counted; their paths
 *     restore_file.c     workers: files, links, devices
 *     restore_attrs.c    owners, modes, times, extended attributes
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "fetch/base/queue.h"
#include "fs/restore.h"

/* The path of a folder below the target, as a chain of names: deep trees share it. */
struct trail {
    atomic_uint refs;
    struct trail *parent; /* a reference; NULL: the target itself */
    size_t len;
    uint8_t name[];
};
struct trail *trail_new(struct trail *parent, struct slice name); /* NULL without memory */
struct trail *trail_ref(struct trail *trail);
void trail_unref(struct trail *trail);
/* The path of name in trail (both may be NULL or empty). */
void trail_path(const struct trail *trail, struct slice name, struct buf *ret_path);

/* A folder being filled. The last reference gives it its attributes and closes it. */
struct folder {
    atomic_uint refs;
    int fd;              /* -1: does not exist (dry run) */
    struct trail *trail; /* a reference; NULL: the target */
    struct node *node;   /* whose attributes it gets; NULL: it keeps what it has */
    bool made;           /* by us: so nothing was in it */
    bool owner_known;    /* files made in it are ours, of our group */
    bool default_acl;    /* files made in it inherit an ACL */
};

struct link_table;

struct restore {
    const struct restore_options *options;
    struct reader *reader;
    const struct snapshot_view *view;
    int root_fd; /* the target; constant while workers run */
    mode_t umask;
    uid_t euid;
    gid_t egid;
    char temp_prefix[24];
    atomic_uint temp_next;
    struct queue *queue; /* of struct batch */
    pthread_t *threads;
    unsigned thread_count;
    atomic_uint queued; /* batches handed over and not done */
    struct link_table *links;

    pthread_mutex_t lock; /* event and progress functions, stop; never held across I/O of ours */
    struct err_note stop; /* guarded by lock; why all stops */
    atomic_bool stopping;
    atomic_uint_fast64_t progress_ns; /* of the last call */

    atomic_uint_fast64_t files, dirs, others, linked, bytes, unchanged, removed, clashes, damaged,
        failed, newer, owners_not_set, devices_not_made, xattrs_refused, attributes_not_set, entries;
    uint64_t total_entries, total_bytes;
};

/* One entry to restore. */
struct task {
    struct node *node;
    struct folder *folder; /* a reference */
};
enum { BATCH_TASKS = 64, BATCH_BYTES = 512 << 10 };
struct batch {
    size_t count;
    uint64_t bytes;
    struct task tasks[BATCH_TASKS];
};

/* What one worker remembers from file to file. */
struct worker {
    struct restore *restore;
    bool refused; /* the last owner we tried was refused */
    uid_t refused_uid;
    gid_t refused_gid;
    struct trail *link_trail; /* the folder of the last link's first name, open; a reference */
    int link_fd;
};

/* ---- restore.c ---- */
void restore_tell(struct restore *r, enum restore_what what, const struct trail *trail,
                  struct slice name, enum err code);
/* An error of one entry: told and counted, or (full, unreachable, no key, no memory) the end of
 * all. ERR_OK or the error. */
enum err restore_entry_failed(struct restore *r, const struct trail *trail, struct slice name,
                              enum err code);
void restore_stop(struct restore *r, enum err code);
void restore_step(struct restore *r, uint64_t entries);

/* ---- restore_folder.c ---- */
/* Take over fd, trail (a reference) and node. */
enum err folder_new(struct restore *r, int fd, struct trail *trail, struct node *node, bool made,
                    struct folder **ret_folder);
struct folder *folder_ref(struct folder *folder);
void folder_unref(struct restore *r, struct folder *folder);
/* Open the folder of a trail, name by name, following no link. */
enum err trail_open(const struct restore *r, const struct trail *trail, int *ret_fd);
/* Make or open the folder of that entry in parent. *ret_folder NULL: it could not be, which was
 * told. */
enum err folder_enter(struct restore *r, struct folder *parent, const struct node *node,
                      bool scaffold, struct folder **ret_folder);

/* ---- restore_walk.c ---- */
/* Everything below node into folder (both borrowed); or one entry that is no folder. */
enum err walk_contents(struct restore *r, const struct node *node, struct folder *folder);
enum err walk_one(struct restore *r, const struct node *node, struct folder *folder);

/* ---- restore_clash.c ---- */
enum err clash_contents(struct restore *r, const struct node *node, int fd, struct trail *trail);
/* Tell of one name if it is there; *ret_there. */
enum err clash_name(struct restore *r, const struct node *node, int fd, struct trail *trail,
                    bool *ret_there);
/* Remove what the folder holds and the snapshot's directory does not. */
enum err leftovers_remove(struct restore *r, const struct node *node, struct folder *folder);
/* Remove one name and all below it. */
enum err remove_name(struct restore *r, int fd, const struct trail *trail, struct slice name);

/* ---- restore_file.c ---- */
void *restore_worker(void *restore);
enum err link_table_new(struct link_table **ret_links);
void link_table_free(struct link_table *links);
void task_clear(struct restore *r, struct task *task);
void batch_free(struct restore *r, struct batch *batch);
bool unchanged_file(const struct entry *entry, const struct stat *st);

/* ---- restore_attrs.c ---- */
/* An inode as it is now. mode_sure: its permission bits are exactly st_mode's, and no ACL stands
 * beside them. */
struct now {
    uid_t uid;
    gid_t gid;
    mode_t mode;
    bool owner_sure, mode_sure;
};
/* Owner, extended attributes, mode, times: in this order, since each may undo one after it. fd:
 * open, not O_PATH. exact: remove extended attributes it should not have. */
void attrs_set_fd(struct restore *r, struct worker *w, int fd, const struct node *node,
                  const struct now *now, bool exact, const struct trail *trail, struct slice name);
/* The same for what cannot be opened: symlinks, devices, FIFOs, sockets; by its name in an open
 * folder. */
void attrs_set_at(struct restore *r, struct worker *w, int dir_fd, const char *at,
                  const struct node *node, const struct now *now, const struct trail *trail);
