/*
 * reply: what an error is for the kernel: the only place that knows both enum err and errno.
 *
 *     EIO         damage on every copy, and nothing else
 *     ETIMEDOUT   the store does not answer now
 *     ENOENT      the verified directory lacks the name
 *     ESTALE      the snapshot was forgotten while it was looked at
 *     EACCES      the keys at hand, or our rights, do not open it
 *     EOPNOTSUPP  written by a newer version
 *     EREMOTEIO   the system below the store or the index refused for another reason
 *
 * Threads: any.
 */
#pragma once

#include "fs/fuse_api.h"

#include "fs/state.h"

/* not_found: the errno of ERR_NOT_FOUND, which means something else to each request. */
int reply_errno(enum err code, int not_found);

/*
 * End a request with an error: reply, count, and log it once. ERR_NOT_FOUND is an answer, not a
 * failure: neither counted nor logged. Damage in a snapshot that was forgotten is ESTALE: its
 * chunks may be gone rightly. ERR_FENCED is ESTALE by itself, and quiet.
 */
void reply_err(fuse_req_t req, uint64_t ino, enum err code, int not_found, const char *what);
