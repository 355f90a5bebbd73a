/*
 * watch: a thread that looks for new and forgotten snapshots and tells the kernel.
 *
 * Notifications wait for locks that the kernel may hold while it waits for an answer of ours, so
 * they come from this thread and never from one that answers.
 *
 * Threads: watch_start and watch_stop from the thread that mounts.
 */
#pragma once

#include "fs/fuse_api.h"
#include "fs/state.h"

struct watch;

/* First waits until the mount answers, raises the kernel's read-ahead, and reports to the waiter.
 * mountpoint is borrowed. */
enum err watch_start(struct fs *fs, struct fuse_session *session, const char *mountpoint,
                     struct watch **ret_watch);
/* End the thread and free it. The session must still be there. */
void watch_stop(struct watch *watch);
