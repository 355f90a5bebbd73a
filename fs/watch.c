#include "fs/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fetch/base/log.h"
#include "fs/inode.h"
#include "fs/snapshots.h"

enum { SYNC_SECS = 5, READ_AHEAD_KBYTES = 4096 };

struct watch {
    struct fs *fs;
    struct fuse_session *session;
    const char *mountpoint;
    pthread_t thread;
    uint64_t stamp; /* of the index as we last saw it */
    bool failing;   /* the last synchronisation failed: said once */

    pthread_mutex_t lock;
    pthread_cond_t wake; /* with lock: stop is set */
    bool stop;           /* guarded by lock */
};

/* ---- what changed, to the kernel ---- */

/* A directory's listing is not what it was. ENOENT: the kernel does not know it, which is as good.
 */
static void forget_listing(struct watch *w, uint64_t ino)
{
    fuse_lowlevel_notify_inval_inode(w->session, ino, 0, 0);
}

static void service_changed(void *context, uint32_t service)
{
    forget_listing(context, inode_made(MADE_SERVICE, service));
    forget_listing(context, inode_made(MADE_META_SERVICE, service));
}

static void services_changed(void *context)
{
    forget_listing(context, INODE_ROOT);
    forget_listing(context, INODE_META);
}

static void snapshot_forgotten(void *context, const struct snapshot_facts *snapshot)
{
    struct watch *w = context;
    size_t len = strlen(snapshot->name);
    fuse_lowlevel_notify_inval_entry(w->session, inode_made(MADE_SERVICE, snapshot->service),
                                     snapshot->name, len);
    fuse_lowlevel_notify_inval_entry(w->session, inode_made(MADE_META_SERVICE, snapshot->service),
                                     snapshot->name, len);
}

static void refresh(struct watch *w)
{
    const struct snapshots_changes changes = {w, service_changed, services_changed,
                                              snapshot_forgotten};
    enum err e = snapshots_refresh(w->fs->snapshots, &changes);
    if (e != ERR_OK)
        log_err(LOG_LEVEL_WARN, e, "looking for new snapshots");
}

static void synchronise(struct watch *w)
{
    atomic_fetch_add(&w->fs->counts.syncs, 1);
    enum err e = index_sync(w->fs->index, SYNC_ALL, NULL);
    if (e != ERR_OK) {
        atomic_fetch_add(&w->fs->counts.sync_failures, 1);
        if (!w->failing)
            log_err(LOG_LEVEL_WARN, e, "the index cannot be brought up to date");
    } else if (w->failing) {
        log_info("the index is up to date again");
    }
    w->failing = e != ERR_OK;
}

static void look_for_changes(struct watch *w)
{
    bool changed = false;
    enum err e = index_changed(w->fs->index, &w->stamp, &changed);
    if (e == ERR_OK && changed && w->stamp == 0) { /* the cache was deleted: not a moment longer without */
        synchronise(w);
        e = index_changed(w->fs->index, &w->stamp, &changed);
        changed = true;
    }
    if (e != ERR_OK)
        log_err(LOG_LEVEL_WARN, e, "looking for new snapshots");
    else if (changed)
        refresh(w);
}

/* ---- the beginning ---- */

/* A request and its answer: from then on the mount answers, and the kernel has done what it does at
 * the beginning. */
static bool wait_until_it_answers(struct watch *w, struct statx *ret_stat)
{
    for (;;) {
        if (statx(AT_FDCWD, w->mountpoint, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, ret_stat) == 0)
            return true;
        if (errno != EINTR && errno != ETIMEDOUT)
            return false; /* unmounted already */
    }
}

/* The kernel reads ahead 128 KiB at first, and asks for no more at once; with this it asks for 1
 * MiB. Only root may. */
static void raise_read_ahead(const struct watch *w, const struct statx *st)
{
    unsigned kbytes =
        w->fs->options->read_ahead_kbytes ? w->fs->options->read_ahead_kbytes : READ_AHEAD_KBYTES;
    char path[64];
    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", st->stx_dev_major,
             st->stx_dev_minor);
    AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dprintf(fd, "%u\n", kbytes) < 0)
        log_debug("read-ahead stays as it is: cannot write %s", path);
}

/* ---- the thread ---- */

/* A second, or until we shall stop. */
static bool wait_a_second(struct watch *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_mutex_lock(&w->lock);
    while (!w->stop && pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0)
        ;
    bool stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return !stop;
}

static void *run(void *context)
{
    struct watch *w = context;
    struct statx st;
    if (wait_until_it_answers(w, &st)) {
        raise_read_ahead(w, &st);
        fs_waiter_report(w->fs->options->waiter, ERR_OK);
    }
    bool changed;
    if (index_changed(w->fs->index, &w->stamp, &changed) != ERR_OK)
        w->stamp = 0;
    refresh(w); /* what later changes are measured by */
    unsigned every = w->fs->options->sync_secs ? w->fs->options->sync_secs : SYNC_SECS;
    for (unsigned second = 1; wait_a_second(w); second++) {
        if (second % every == 0)
            synchronise(w);
        look_for_changes(w);
    }
    return NULL;
}

enum err watch_start(struct fs *fs, struct fuse_session *session, const char *mountpoint,
                     struct watch **ret_watch)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(ERR_NOMEM, "no memory for a thread");
    w->fs = fs;
    w->session = session;
    w->mountpoint = mountpoint;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    errno = pthread_create(&w->thread, NULL, run, w);
    if (errno) {
        free(w);
        return err_errno("cannot start a thread");
    }
    *ret_watch = w;
    return ERR_OK;
}

void watch_stop(struct watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
