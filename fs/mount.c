/* fs.h: one mount from its beginning to its end. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/base/log.h"
#include "fs/meta.h"
#include "fs/nodes.h"
#include "fs/ops.h"
#include "fs/refuse.h"
#include "fs/snapshots.h"
#include "fs/sums.h"
#include "fs/watch.h"

enum {
    FRAMES_BYTES = 64 << 20,
    PAGES_BYTES = 32 << 20,
    NODES_MOST = 4096,
    THREADS_MOST = 32,
    THREADS_IDLE = 8,
};

/* ---- what all requests share ---- */

static void fs_clear(struct fs *fs)
{
    sums_free(fs->sums);
    meta_free(fs->meta);
    nodes_free(fs->nodes);
    snapshots_free(fs->snapshots);
    reader_free(fs->reader);
    fetcher_free(fs->fetcher);
}

static struct stat_rules rules_of(const struct mount_options *o)
{
    struct stat_rules rules = {.has_uid = o->has_uid,
                               .has_gid = o->has_gid,
                               .uid = o->uid,
                               .gid = o->gid,
                               .umask = o->umask};
    if (geteuid() != 0 && !o->real_owner) { /* everything reads as the mounter's */
        if (!rules.has_uid)
            rules.uid = geteuid();
        if (!rules.has_gid)
            rules.gid = getegid();
        rules.has_uid = rules.has_gid = true;
    }
    return rules;
}

static enum err count_service(void *context, const struct service_info *service)
{
    (void)service;
    *(bool *)context = true;
    return ERR_CANCELED;
}

/* What the index knows is good enough to begin with when the store does not answer. */
static enum err first_sync(struct index *index)
{
    enum err e = index_sync(index, SYNC_ALL, NULL);
    if (e == ERR_OK)
        return ERR_OK;
    struct err_note note;
    bool any = false;
    err_take(e, &note);
    index_services(index, count_service, &any);
    err_raise(&note);
    if (!any)
        return err_add(e, "the index cannot be brought up to date");
    log_err(LOG_LEVEL_WARN, e, "going on with what the index knows");
    return ERR_OK;
}

static enum err fs_init(struct fs *fs, const struct mount_options *o)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct fetch_options fetch = {
        .frames_bytes = o->frames_bytes ? o->frames_bytes : FRAMES_BYTES,
        .workers = processors > 1 ? (unsigned)processors : 1,
    };
    struct fetch_guide guide = index_guide(o->index);
    fs->options = o;
    fs->index = o->index;
    fs->rules = rules_of(o);
    fs->mounted = clock_now();
    TRY(first_sync(o->index));
    TRY(fetcher_new(o->access->store, o->access->keys, &guide, &fetch, &fs->fetcher));
    TRY(reader_new(o->index, fs->fetcher, o->pages_bytes ? o->pages_bytes : PAGES_BYTES,
                   &fs->reader));
    TRY(snapshots_new(o->index, fs->reader, o->time_format, &fs->snapshots));
    TRY(nodes_new(fs->reader, fs->snapshots, NODES_MOST, &fs->nodes));
    TRY(meta_new(fs, &fs->meta));
    return sums_new(fs->reader, &fs->sums);
}

/* ---- signals ---- */

/* Waits for a signal in a thread of its own: all others have them blocked. */
struct signals {
    struct fuse_session *session;
    pthread_t thread, main;
    sigset_t set, before;
    atomic_bool ended; /* the session's loop has */
};

static void wake(int number)
{
    (void)number; /* only interrupts what the main thread waits in */
}

static void *wait_for_signal(void *context)
{
    struct signals *s = context;
    int number;
    if (sigwait(&s->set, &number) != 0 || atomic_load(&s->ended))
        return NULL;
    log_info("ending on signal %d", number);
    fuse_session_exit(s->session);
    while (!atomic_load(&s->ended)) { /* again and again: it may look away for a moment */
        pthread_kill(s->main, SIGUSR2);
        usleep(20000);
    }
    return NULL;
}

/* Before any thread is made. */
static void signals_block(struct signals *s, bool interrupt_too)
{
    struct sigaction action = {.sa_handler = wake}; /* without SA_RESTART */
    sigaction(SIGUSR2, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&s->set);
    sigaddset(&s->set, SIGTERM);
    sigaddset(&s->set, SIGHUP);
    if (interrupt_too)
        sigaddset(&s->set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &s->set, &s->before);
    s->main = pthread_self();
}

static enum err signals_start(struct signals *s, struct fuse_session *session)
{
    s->session = session;
    errno = pthread_create(&s->thread, NULL, wait_for_signal, s);
    return errno ? err_errno("cannot start a thread") : ERR_OK;
}

static void signals_stop(struct signals *s)
{
    atomic_store(&s->ended, true);
    pthread_kill(s->thread, SIGTERM); /* if it still waits for one */
    pthread_join(s->thread, NULL);
}

/* ---- the session ---- */

static void fuse_log_line(enum fuse_log_level level, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void fuse_log_line(enum fuse_log_level level, const char *format, va_list args)
{
    char line[512];
    int len = vsnprintf(line, sizeof line, format, args);
    if (len > 0 && (size_t)len < sizeof line && line[len - 1] == '\n')
        line[len - 1] = 0;
    if (level <= FUSE_LOG_WARNING)
        log_warn("%s", line);
    else
        log_debug("%s", line);
}

static enum err session_args(const struct mount_options *o, struct fuse_args *args)
{
    char *options = NULL;
    AUTO_MEM char *source = NULL;
    AUTO_MEM char *kernel = NULL;
    if (asprintf(&source, "fsname=%s", o->access->store->url) < 0 ||
        asprintf(&kernel, "ro,nosuid,nodev,noexec,subtype=yore,max_read=%d", MAX_READ_BYTES) < 0)
        return err_set(ERR_NOMEM, "no memory for mount options");
    bool failed =
        fuse_opt_add_opt(&options, kernel) != 0 || fuse_opt_add_opt_escaped(&options, source) != 0;
    if (geteuid() == 0 || o->allow_other)
        failed = failed || fuse_opt_add_opt(&options, "default_permissions") != 0;
    if (o->allow_other)
        failed = failed || fuse_opt_add_opt(&options, "allow_other") != 0;
    failed = failed || fuse_opt_add_arg(args, "yore") != 0 || fuse_opt_add_arg(args, "-o") != 0 ||
             fuse_opt_add_arg(args, options) != 0;
    free(options);
    return failed ? err_set(ERR_NOMEM, "no memory for mount options") : ERR_OK;
}

static enum err session_new(struct fs *fs, struct fuse_session **ret_session)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    fuse_set_log_func(fuse_log_line);
    enum err e = session_args(fs->options, &args);
    if (e == ERR_OK) {
        *ret_session = fuse_session_new(&args, &fs_ops, sizeof fs_ops, fs);
        e = *ret_session ? ERR_OK : err_set(ERR_IO, "libfuse makes no session");
    }
    fuse_opt_free_args(&args);
    return e;
}

/* Answer until somebody unmounts or ends us. */
static enum err session_run(struct fs *fs, struct fuse_session *session)
{
    unsigned threads = fs->options->threads ? fs->options->threads : THREADS_MOST;
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (!config)
        return err_set(ERR_NOMEM, "no memory for a session");
    fuse_loop_cfg_set_clone_fd(config, 0);
    fuse_loop_cfg_set_max_threads(config, threads);
    fuse_loop_cfg_set_idle_threads(config, threads < THREADS_IDLE ? threads : THREADS_IDLE);
    int result = fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    if (result < 0)
        return errno = -result, err_errno("the session with the kernel ended");
    return ERR_OK;
}

static enum err serve(struct fs *fs, struct signals *signals, struct fuse_session *session,
                      const char *mountpoint)
{
    struct watch *watch = NULL;
    TRY(signals_start(signals, session));
    enum err e = watch_start(fs, session, mountpoint, &watch);
    if (e == ERR_OK)
        e = session_run(fs, session);
    signals_stop(signals);
    /* Ends what still waits for an answer, the watching thread too. */
    fuse_session_unmount(session);
    watch_stop(watch);
    return e;
}

static enum err mount_and_serve(struct fs *fs, struct signals *signals, const char *mountpoint)
{
    struct fuse_session *session = NULL;
    TRY(session_new(fs, &session));
    enum err e = ERR_OK;
    if (fuse_session_mount(session, mountpoint) != 0) {
        if (access("/dev/fuse", F_OK) != 0)
            e = err_set(
                ERR_NOT_FOUND,
                "there is no /dev/fuse: load the module fuse, or give the container the device");
        else
            e = err_set(ERR_DENIED, "the system does not let us mount at %s", mountpoint);
    } else {
        e = serve(fs, signals, session, mountpoint);
    }
    fuse_session_destroy(session);
    return e;
}

/* Many threads that allocate and free large frames make glibc keep memory for each: measured 290 MB
 * resident, against 150 with this, at the same speed. */
static void bound_memory(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

enum err fs_mount(const struct mount_options *options)
{
    AUTO_MEM char *mountpoint = NULL;
    AUTO(fs) fs = {0};
    struct signals signals = {0};
    TRY(refuse_check(options, &mountpoint));
    bound_memory();
    signals_block(&signals, options->foreground);
    enum err e = fs_init(&fs, options);
    if (e == ERR_OK)
        e = mount_and_serve(&fs, &signals, mountpoint);
    fs_waiter_report(options->waiter, e); /* nothing if it was said that the mount answers */
    pthread_sigmask(SIG_SETMASK, &signals.before, NULL);
    return e;
}
