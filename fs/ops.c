#include "fs/ops.h"

#include "fs/state.h"

/* What we want of the kernel: each only where it is offered, since asking for more is refused. */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    const struct fs *fs = userdata;
    unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                    FUSE_CAP_READDIRPLUS | /* always plus, without _AUTO */
                    FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT |
                    FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_CACHE_SYMLINKS;
    if (fs->options->allow_other)
        want |= FUSE_CAP_POSIX_ACL; /* a group's bits of a file with an ACL are its mask */
    conn->want = want & conn->capable;
    conn->max_read = MAX_READ_BYTES;
    conn->max_readahead = MAX_READ_BYTES;
    conn->max_background = 64;
    /* max_write stays: lowering it cut reads to 4 KiB, measured. */
}

/* No forget: there is no table of nodes. No release: open is never answered. */
const struct fuse_lowlevel_ops fs_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .open = op_open,
    .read = op_read,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .lseek = op_lseek,
};
