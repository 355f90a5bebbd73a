/*
 * file: small files as a whole, bytes to the last one, folders; all of it durable when it says so.
 *
 * Interrupted system calls are continued here and nowhere else.
 *
 * Threads: no state.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "fetch/base/buf.h"
#include "fetch/base/err.h"

/*
 * A whole file into ret_bytes (empty before, untouched on failure). Never reads more than max_bytes + 1.
 *
 *   ERR_NOT_FOUND, ERR_DENIED, ERR_IO  as the system says
 *   ERR_INVALID                        larger than max_bytes
 */
enum err file_read_all(const char *path, size_t max_bytes, struct buf *ret_bytes);

/*
 * Make or replace a file, all or nothing, also when power fails: written under a dot name beside it, fsync,
 * rename, fsync of the folder. mode as for open, before the umask. A failure leaves no dot file, and
 * either the old file or the new one.
 *
 *   ERR_FULL, ERR_DENIED, ERR_NOT_FOUND (no folder), ERR_IO  as the system says
 */
enum err file_write_atomic(const char *path, struct slice bytes, mode_t mode);
/* The same, but ERR_EXISTS if the name is taken (by anything, a dangling symlink too). */
enum err file_write_new(const char *path, struct slice bytes, mode_t mode);

/* Make the folder and those above that are missing (each fsynced into its parent). Fine if it is there.
 * ERR_INVALID: something else than a folder is in the way. */
enum err dir_make(const char *path, mode_t mode);
/* The same for the folders above path. */
enum err dir_make_parents(const char *path, mode_t mode);
/* fsync a folder: names made, renamed or removed in it are durable after. */
enum err dir_sync(const char *path);

/* Read len bytes or to the end of file; *ret_got < len only there. */
enum err read_full(int fd, void *to, size_t len, size_t *ret_got);
enum err pread_full(int fd, void *to, size_t len, uint64_t offset, size_t *ret_got);
/* Write all of it. */
enum err write_full(int fd, struct slice bytes);
enum err pwrite_full(int fd, struct slice bytes, uint64_t offset);
