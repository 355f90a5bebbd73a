/*
 * attrs: extended attributes of files, POSIX ACLs and capabilities among them, and targets of
 * symlinks.
 *
 * Source:  xattr(7): ACLs are system.posix_acl_access and _default, file capabilities
 * security.capability. Threads: any.
 */
#pragma once

#include "writers/source/found.h"

/*
 * Read all extended attributes of an open file or directory, or of a name in an open directory (a
 * symlink: its own) through /proc/self/fd. A file without any leaves *extra as it is; otherwise it
 * is made if need be. What cannot be read is counted in *ret_unreadable, with the last one's errno
 * in *ret_errno.
 */
enum err attrs_read_fd(int fd, struct found_extra **extra, unsigned *ret_unreadable,
                       int *ret_errno);
enum err attrs_read_at(int dir_fd, const char *name, struct found_extra **extra,
                       unsigned *ret_unreadable, int *ret_errno);

/* The target of a symlink into *extra; size_hint as st_size says. ERR_NOT_FOUND, ERR_DENIED, ERR_IO
 * with errno kept. */
enum err attrs_read_target(int dir_fd, const char *name, struct found_extra **extra);
