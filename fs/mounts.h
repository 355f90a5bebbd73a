/*
 * mounts: what is mounted where, and taking it away.
 *
 * Source:  proc(5), /proc/self/mountinfo.
 * Threads: no state.
 */
#pragma once

#include <stdbool.h>

#include "fetch/base/err.h"

/* How a mount of ours is called in mountinfo. */
#define MOUNT_TYPE "fuse.yore"

struct mounted {
    bool any;  /* something is mounted exactly there */
    bool ours; /* and the topmost is a mount of ours */
    bool dead; /* whose program has ended: "Transport endpoint is not connected" */
};

/* What is mounted at a path as mounts_resolve gave it. */
enum err mounts_find(const char *path, struct mounted *ret_mounted);
/* From the text of a mountinfo file; apart for tests. dead stays false. */
void mounts_parse(const char *text, const char *path, struct mounted *ret_mounted);

/* The absolute path without symlinks, also of a dead mount. malloc'ed. ERR_NOT_FOUND, ERR_DENIED,
 * ERR_IO. */
enum err mounts_resolve(const char *path, char **ret_path);

/* Take the topmost mount away; detach: even if it is in use. ERR_IO: in use; ERR_DENIED. */
enum err mounts_remove(const char *path, bool detach);
