#include "fs/reply.h"

#include <errno.h>

#include "fetch/base/log.h"
#include "fs/inode.h"
#include "fs/snapshots.h"

int reply_errno(enum err code, int not_found)
{
    switch (code) {
    case ERR_OK:
        return 0;
    case ERR_NOMEM:
        return ENOMEM;
    case ERR_INVALID:
        return EINVAL;
    case ERR_NOT_FOUND:
        return not_found;
    case ERR_EXISTS:
        return EEXIST;
    case ERR_CORRUPT:
    case ERR_AUTH:
        return EIO;
    case ERR_NO_KEY:
    case ERR_DENIED:
        return EACCES;
    case ERR_UNSUPPORTED:
        return EOPNOTSUPP;
    case ERR_NO_STORE:
    case ERR_UNREACHABLE:
    case ERR_AGAIN:
        return ETIMEDOUT;
    case ERR_FULL:
        return ENOSPC;
    case ERR_FENCED:
        return ESTALE;
    case ERR_CANCELED:
        return EINTR;
    case ERR_IO:
        return EREMOTEIO;
    }
    return EREMOTEIO;
}

void reply_err(fuse_req_t req, uint64_t ino, enum err code, int not_found, const char *what)
{
    struct fs *fs = fuse_req_userdata(req);
    if (code == ERR_NOT_FOUND) {
        fuse_reply_err(req, not_found);
        return;
    }
    bool damaged = code == ERR_CORRUPT || code == ERR_AUTH;
    if (code == ERR_FENCED || (damaged && snapshots_gone(fs->snapshots, inode_snapshot(ino)))) {
        fuse_reply_err(req, ESTALE);
        return;
    }
    atomic_fetch_add(&fs->counts.errors[code], 1);
    log_err(LOG_LEVEL_ERROR, code, "%s of inode %llu", what, (unsigned long long)ino);
    fuse_reply_err(req, reply_errno(code, not_found));
}
