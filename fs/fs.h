/*
 * fs: the read-only mount: snapshots as folders.
 *
 *     <mountpoint>/<service>/<name>/...            the snapshot, exactly its files
 *     <mountpoint>/<service>/latest                symlink to the newest complete one
 *     <mountpoint>/.yore/<service>/<name>/         manifest.json, SHA256SUMS, log
 *     <mountpoint>/.yore/{status.json,metrics.prom}
 *
 * How a command mounts in the background (without -f):
 *
 *     fs_daemonize(&waiter, &is_parent)   before any thread is made; the parent waits in there
 *     if (is_parent) exit                 the mount answers, or the error of the child was raised
 *     index_open(...)
 *     fs_mount(&options)                  options.waiter = &waiter; runs until unmounted
 *     fs_waiter_report(&waiter, e)        does nothing when fs_mount has reported already
 *
 * Source:  DESIGN section 5; libfuse 3.14 low-level interface.
 * Threads: fs_daemonize before others are made; one fs_mount in a process. Inside: docs/threads.md.
 */
#pragma once

#include <sys/types.h>

#include "fetch/access.h"
#include "index/index.h"

/* Where the child tells its parent that the mount answers, or why not. */
struct fs_waiter {
    int fd; /* -1: nobody waits */
};
#define FS_WAITER_NONE ((struct fs_waiter){-1})

struct mount_options {
    const struct access *access; /* borrowed, like all below */
    struct index *index;
    const char *mountpoint;  /* an existing directory */
    const char *cache_dir;   /* never mounted over; NULL: none */
    const char *log_path;    /* never mounted over; NULL: none */
    const char *time_format; /* strftime, UTC, for the names of snapshots; NULL: as in the store */
    bool foreground;         /* SIGINT ends it too */
    bool
        allow_other; /* others may look; the kernel checks owners and modes (default_permissions) */
    bool real_owner; /* not root: show owners as they were, not the mounter's */
    bool has_uid, has_gid; /* everything belongs to these */
    uid_t uid;
    gid_t gid;
    mode_t umask;               /* mode bits to take away */
    unsigned sync_secs;         /* look for other hosts' snapshots this often; 0: 5 */
    size_t frames_bytes;        /* decoded frames kept; 0: 64 MiB */
    size_t pages_bytes;         /* decoded tree pages kept; 0: 32 MiB */
    unsigned read_ahead_kbytes; /* most the kernel reads ahead (root); 0: 4096 */
    unsigned threads;           /* most requests at once; 0: 32 */
    struct fs_waiter *waiter;   /* told when the mount answers; NULL: nobody */
};

/*
 * Mount, and run until it is unmounted or SIGTERM or SIGHUP (SIGINT in the foreground) comes. A
 * dead mount of ours at the mountpoint is cleared away first; the local index is brought up to date
 * (a store that does not answer is a warning when the index knows snapshots).
 *
 *   ERR_INVALID     the mountpoint is no directory, or lies in, or would hide, the store, the cache or
 *                   the log; or time_format cannot name snapshots
 *   ERR_EXISTS      a living mount of ours is there already
 *   ERR_NOT_FOUND   no such mountpoint, or no /dev/fuse
 *   ERR_DENIED      the system does not let us mount
 *   ERR_UNREACHABLE, ERR_NO_STORE ...  an index that knows nothing could not be brought up to date
 */
enum err fs_mount(const struct mount_options *options);

/*
 * Unmount. A dead mount is detached; a living one must not be in use.
 *
 *   ERR_INVALID  nothing of ours is mounted there
 *   ERR_IO       somebody still uses it
 *   ERR_DENIED   not ours to unmount
 */
enum err fs_unmount(const char *mountpoint);

/*
 * Fork. In the child: ERR_OK with *ret_is_parent false, a session of its own, stdin from /dev/null.
 * In the parent: *ret_is_parent true, after the child reported: ERR_OK, or the child's error raised
 * here.
 *
 *   ERR_IO  no child; or (parent) it ended without a word
 */
enum err fs_daemonize(struct fs_waiter *ret_waiter, bool *ret_is_parent);

/* In the child: release the parent with this outcome. After that stdout and stderr go to /dev/null (a
 * log that is to go on has a descriptor of its own). Only the first report counts. */
void fs_waiter_report(struct fs_waiter *waiter, enum err code);
