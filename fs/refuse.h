/*
 * refuse: places where a mount would do harm.
 *
 * A mount over (or above, or in) its own store, cache or log would read itself to answer a read.
 *
 * Threads: no state.
 */
#pragma once

#include "fs/fs.h"

/*
 * May we mount there? Clears dead mounts of ours at the place first. ret_path: the mountpoint
 * without symlinks, malloc'ed. Errors as fs_mount says.
 */
enum err refuse_check(const struct mount_options *options, char **ret_path);

/* ERR_INVALID when one is the other, or lies in it, by name or by the same folder under another
 * name. ours may not exist yet; what names it in the sentence. Both absolute. */
enum err refuse_overlap(const char *mountpoint, const char *ours, const char *what);
