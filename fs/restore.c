#include "fs/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "fetch/base/clock.h"
#include "fetch/base/file.h"
#include "fetch/base/rand.h"
#include "fs/restore_inside.h"

enum { WORKERS_MOST = 32, PROGRESS_NS = 100 * 1000 * 1000 };

/* ---- telling ---- */

void restore_tell(struct restore *r, enum restore_what what, const struct trail *trail, struct slice name, enum err code)
{
    if (!r->options->event)
        return;
    AUTO(buf) path = BUF_EMPTY;
    trail_path(trail, name, &path);
    struct restore_event event = {what, buf_slice(&path), code, code == ERR_OK ? "" : err_text()};
    pthread_mutex_lock(&r->lock);
    r->options->event(r->options->context, &event);
    pthread_mutex_unlock(&r->lock);
}

void restore_stop(struct restore *r, enum err code)
{
    pthread_mutex_lock(&r->lock);
    if (r->stop.code == ERR_OK)
        err_take(code, &r->stop);
    pthread_mutex_unlock(&r->lock);
    atomic_store(&r->stopping, true);
    if (r->queue)
        queue_close(r->queue);
}

enum err restore_entry_failed(struct restore *r, const struct trail *trail, struct slice name, enum err code)
{
    switch (code) {
    case ERR_CORRUPT:
    case ERR_AUTH:
        atomic_fetch_add(&r->damaged, 1);
        restore_tell(r, RESTORE_DAMAGED, trail, name, code);
        return ERR_OK;
    case ERR_NOMEM:
    case ERR_NO_KEY:
    case ERR_NO_STORE:
    case ERR_UNREACHABLE:
    case ERR_AGAIN:
    case ERR_FULL:
    case ERR_FENCED:
    case ERR_CANCELED: {
        AUTO(buf) path = BUF_EMPTY, text = BUF_EMPTY;
        struct err_note note;
        err_take(code, &note);
        trail_path(trail, name, &path);
        if (text_escape(buf_slice(&path), &text) == ERR_OK && text.len)
            return err_set(code, "%s: %s", (const char *)text.data, note.text);
        return err_raise(&note);
    }
    default:
        atomic_fetch_add(code == ERR_UNSUPPORTED ? &r->newer : &r->failed, 1);
        restore_tell(r, RESTORE_FAILED, trail, name, code);
        return ERR_OK;
    }
}

static void progress_tell(struct restore *r)
{
    struct restore_progress now = {atomic_load(&r->entries), atomic_load(&r->bytes), r->total_entries, r->total_bytes};
    pthread_mutex_lock(&r->lock);
    r->options->progress(r->options->context, &now);
    pthread_mutex_unlock(&r->lock);
}

void restore_step(struct restore *r, uint64_t entries)
{
    uint64_t count = atomic_fetch_add_explicit(&r->entries, entries, memory_order_relaxed);
    if (!r->options->progress || count % 16)
        return;
    uint64_t at = clock_monotonic_ns();
    uint_fast64_t last = atomic_load(&r->progress_ns);
    if (at - last >= PROGRESS_NS && atomic_compare_exchange_strong(&r->progress_ns, &last, at))
        progress_tell(r);
}

/* ---- which paths ---- */

/* A path as people type it, cut into names: "./a//b/" is "a", "b". */
struct parts {
    struct slice *names;
    size_t count;
};

static void parts_clear(struct parts *parts)
{
    free(parts->names);
    *parts = (struct parts){0};
}

static enum err parts_of(const char *path, struct parts *ret_parts)
{
    size_t len = strlen(path);
    struct slice *names = calloc(len / 2 + 1, sizeof *names);
    if (!names)
        return err_set(ERR_NOMEM, "no memory for a path");
    size_t count = 0;
    for (const char *at = path; *at;) {
        size_t n = strcspn(at, "/");
        struct slice name = slice_of(at, n);
        at += n + (at[n] == '/');
        if (n == 0 || slice_equal(name, slice_str(".")))
            continue;
        if (slice_equal(name, slice_str(".."))) {
            free(names);
            return err_set(ERR_INVALID, "%s: a path in a snapshot has no ..", path);
        }
        names[count++] = name;
    }
    *ret_parts = (struct parts){names, count};
    return ERR_OK;
}

static int parts_compare(const void *left, const void *right)
{
    const struct parts *a = left, *b = right;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        struct slice x = a->names[i], y = b->names[i];
        int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
        order = order ? order : (x.len > y.len) - (x.len < y.len);
        if (order)
            return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

/* The paths asked for, sorted; none doubled, none below another. */
struct selection {
    struct parts *paths;
    size_t count;
};

static void selection_clear(struct selection *s)
{
    for (size_t i = 0; i < s->count; i++)
        parts_clear(&s->paths[i]);
    free(s->paths);
    *s = (struct selection){0};
}

static bool below(const struct parts *path, const struct parts *top)
{
    if (top->count > path->count)
        return false;
    for (size_t i = 0; i < top->count; i++)
        if (!slice_equal(path->names[i], top->names[i]))
            return false;
    return true;
}

static enum err selection_make(const char *const *paths, struct selection *ret)
{
    size_t count = 0;
    while (paths && paths[count])
        count++;
    ret->paths = calloc(count + 1, sizeof *ret->paths);
    if (!ret->paths)
        return err_set(ERR_NOMEM, "no memory for paths");
    for (; ret->count < count; ret->count++)
        TRY(parts_of(paths[ret->count], &ret->paths[ret->count]));
    qsort(ret->paths, count, sizeof *ret->paths, parts_compare);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept && below(&ret->paths[i], &ret->paths[kept - 1]))
            parts_clear(&ret->paths[i]);
        else
            ret->paths[kept++] = ret->paths[i];
    }
    ret->count = kept;
    return ERR_OK;
}

/* The node of a path; the sentence names it. */
static enum err node_of(struct restore *r, const struct parts *path, struct node **ret_node)
{
    AUTO(buf) text = BUF_EMPTY, shown = BUF_EMPTY;
    for (size_t i = 0; i < path->count; i++) {
        if (i)
            buf_put_u8(&text, '/');
        buf_put_slice(&text, path->names[i]);
    }
    TRY(buf_check(&text));
    enum err e = reader_path(r->reader, r->view, buf_slice(&text), ret_node);
    if (e == ERR_OK)
        return ERR_OK;
    struct err_note note;
    err_take(e, &note);
    TRY(text_escape(buf_slice(&text), &shown));
    if (e == ERR_NOT_FOUND)
        return err_set(e, "%s/%s has no %s", r->view->info.service, r->view->info.name, (const char *)shown.data);
    return err_set(e, "%s: %s", (const char *)shown.data, note.text);
}

/* ---- several paths: folders on the way, then each ---- */

/* What lies below paths[0..count) of which the first depth names lead to folder. parent: their node. */
static enum err restore_selected(struct restore *r, const struct parts *paths, size_t count, size_t depth, const struct node *parent,
                                 struct folder *folder)
{
    for (size_t i = 0, next; i < count; i = next) {
        struct slice name = paths[i].names[depth];
        for (next = i + 1; next < count && slice_equal(paths[next].names[depth], name); next++)
            ;
        AUTO_PTR(node) node = NULL;
        struct folder *own = NULL;
        bool last = paths[i].count == depth + 1;
        TRY(reader_lookup(r->reader, parent, name, &node));
        if (last && node->entry.kind != NODE_DIR) {
            TRY(walk_one(r, node, folder));
            continue;
        }
        TRY(folder_enter(r, folder, node, !last, &own));
        if (!own)
            continue;
        enum err e = last ? walk_contents(r, node, own) : restore_selected(r, paths + i, next - i, depth + 1, node, own);
        folder_unref(r, own);
        TRY(e);
    }
    return ERR_OK;
}

/* Which of the selected are there already? Folders on the way may be. */
static enum err clash_selected(struct restore *r, const struct parts *path)
{
    AUTO_PTR(node) node = NULL;
    TRY(node_of(r, path, &node));
    struct trail *trail = NULL;
    int at = openat(r->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && at >= 0 && i + 1 < path->count; i++) {
        char name[NAME_MAX_BYTES + 1];
        snprintf(name, sizeof name, "%.*s", (int)path->names[i].len, (const char *)path->names[i].data);
        int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno != ENOENT) {
            atomic_fetch_add(&r->clashes, 1);
            restore_tell(r, RESTORE_CLASH, trail, path->names[i], err_errno("no folder"));
        }
        close(at);
        at = next;
        struct trail *longer = trail_new(trail, path->names[i]);
        trail_unref(trail);
        trail = longer;
        e = longer ? ERR_OK : err_set(ERR_NOMEM, "no memory for a path");
    }
    bool there;
    if (e == ERR_OK && at >= 0)
        e = clash_name(r, node, at, trail, &there);
    if (at >= 0)
        close(at);
    trail_unref(trail);
    return e;
}

/* ---- the target ---- */

/* The target as the kernel knows it: of what does not exist yet, the names behind what does. */
static enum err resolve(const char *path, struct buf *ret_path)
{
    AUTO_MEM char *head = strdup(path);
    if (!head)
        return err_set(ERR_NOMEM, "no memory for a path");
    size_t len = strlen(head);
    char *real = realpath(len ? head : ".", NULL);
    while (!real && len) {
        while (len && head[len - 1] == '/')
            len--;
        while (len && head[len - 1] != '/')
            len--;
        head[len] = 0;
        real = realpath(len ? head : ".", NULL);
    }
    if (!real)
        return err_errno("%s", path);
    buf_put(ret_path, real, strlen(real));
    if (path[len] && path[len] != '/')
        buf_put_u8(ret_path, '/');
    buf_put(ret_path, path + len, strlen(path + len) + 1);
    free(real);
    return buf_check(ret_path);
}

static bool lies_in(const char *path, const char *top)
{
    size_t len = strlen(top);
    while (len > 1 && top[len - 1] == '/')
        len--;
    return strncmp(path, top, len) == 0 && (path[len] == 0 || path[len] == '/' || len == 1);
}

static enum err check_target(const struct restore_options *o)
{
    AUTO(buf) target = BUF_EMPTY;
    TRY(resolve(o->target, &target));
    for (size_t i = 0; o->keep_out && o->keep_out[i]; i++) {
        AUTO(buf) other = BUF_EMPTY;
        TRY(resolve(o->keep_out[i], &other));
        const char *a = (const char *)target.data, *b = (const char *)other.data;
        if (lies_in(a, b))
            return err_set(ERR_INVALID, "%s lies in %s, which yore itself needs", a, b);
        if (lies_in(b, a) && o->remove_others)
            return err_set(ERR_INVALID, "--delete in %s would remove %s, which yore itself needs", a, b);
    }
    return ERR_OK;
}

static bool folder_is_empty(int fd)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = own >= 0 ? fdopendir(own) : NULL;
    if (!list) {
        if (own >= 0)
            close(own);
        return false;
    }
    bool empty = true;
    for (struct dirent *at; empty && (at = readdir(list));)
        empty = strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0;
    closedir(list);
    return empty;
}

struct target {
    int fd;       /* the folder; -1: missing (dry run) */
    bool made, empty;
};

/* Open the target folder, made if missing. */
static enum err target_open(const struct restore_options *o, const char *path, struct target *ret)
{
    *ret = (struct target){.fd = -1};
    if (!o->dry_run) {
        TRY(dir_make_parents(path, 0755));
        ret->made = mkdir(path, 0700) == 0;
        if (!ret->made && errno != EEXIST)
            return err_errno("cannot make %s", path);
    }
    ret->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ret->fd < 0 && !(o->dry_run && errno == ENOENT))
        return errno == ENOTDIR ? err_set(ERR_INVALID, "%s is no folder", path) : err_errno("cannot open %s", path);
    ret->empty = ret->fd < 0 || folder_is_empty(ret->fd);
    return ERR_OK;
}

/* ---- from start to end ---- */

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum err workers_start(struct restore *r)
{
    unsigned want = r->options->workers;
    if (want == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        want = online > 0 ? (unsigned)online : 1;
    }
    if (want > WORKERS_MOST)
        want = WORKERS_MOST;
    TRY(queue_new(4 * want, &r->queue));
    r->threads = calloc(want, sizeof *r->threads);
    while (r->threads && r->thread_count < want &&
           pthread_create(&r->threads[r->thread_count], NULL, restore_worker, r) == 0)
        r->thread_count++;
    return r->thread_count ? ERR_OK : err_set(ERR_NOMEM, "no threads to restore with");
}

static void workers_finish(struct restore *r)
{
    if (r->queue)
        queue_close(r->queue);
    for (unsigned i = 0; i < r->thread_count; i++)
        pthread_join(r->threads[i], NULL);
    for (struct batch *left; r->queue && (left = queue_try_get(r->queue));)
        batch_free(r, left);
    free(r->threads);
    queue_free(r->queue);
    r->threads = NULL;
    r->queue = NULL;
    r->thread_count = 0;
}

/* The walk, with workers beside it. root: takes the contents, or the one file. */
typedef enum err (*walk_fn)(struct restore *r, const void *what, struct folder *root);

static enum err run_walk(struct restore *r, struct folder *root, walk_fn walk, const void *what)
{
    enum err e = r->options->dry_run ? ERR_OK : workers_start(r);
    if (e == ERR_OK)
        e = walk(r, what, root);
    /* When a worker stopped all, its reason counts, not that the queue was closed. */
    if (e != ERR_OK)
        restore_stop(r, e);
    workers_finish(r);
    folder_unref(r, root);
    return r->stop.code ? err_raise(&r->stop) : ERR_OK;
}

static enum err walk_dir_into(struct restore *r, const void *node, struct folder *root)
{
    return walk_contents(r, node, root);
}

static enum err walk_file_into(struct restore *r, const void *node, struct folder *root)
{
    return walk_one(r, node, root);
}

static enum err walk_selection(struct restore *r, const void *selection, struct folder *root)
{
    const struct selection *s = selection;
    return restore_selected(r, s->paths, s->count, 0, r->view->root, root);
}

static enum err clashes_end(const struct restore *r)
{
    uint64_t n = atomic_load(&r->clashes);
    if (n == 0)
        return ERR_OK;
    return err_set(ERR_EXISTS, "%llu name%s there already, nothing was written (--overwrite=changed or always replaces)",
                   (unsigned long long)n, n == 1 ? " is" : "s are");
}

/* Contents of one directory into the target. */
static enum err restore_dir(struct restore *r, const struct node *node, const struct target *target)
{
    const struct restore_options *o = r->options;
    if (o->overwrite == OVERWRITE_NEVER && r->root_fd >= 0 && !target->empty) {
        TRY(clash_contents(r, node, r->root_fd, NULL));
        TRY(clashes_end(r));
    }
    struct node *own = NULL;
    struct folder *root;
    if (target->made || target->empty || o->overwrite != OVERWRITE_NEVER)
        TRY(node_copy(node, &own));
    if (o->dry_run) {
        node_free(own);
        own = NULL;
    }
    r->total_entries = node->entry.below.nodes;
    r->total_bytes = node->entry.below.bytes;
    TRY(folder_new(r, r->root_fd >= 0 ? fcntl(r->root_fd, F_DUPFD_CLOEXEC, 3) : -1, NULL, own, target->made, &root));
    return run_walk(r, root, walk_dir_into, node);
}

/* One file as `name` (its own when it goes into a folder) in the folder r->root_fd. */
static enum err restore_one(struct restore *r, const struct node *node, const char *name)
{
    struct node shell = *node;
    AUTO_PTR(node) renamed = NULL;
    bool there;
    shell.entry.name = slice_str(name);
    if (shell.entry.name.len > NAME_MAX_BYTES)
        return err_set(ERR_INVALID, "%s: a name of more than %d bytes", name, NAME_MAX_BYTES);
    TRY(node_copy(&shell, &renamed));
    if (r->options->overwrite == OVERWRITE_NEVER && r->root_fd >= 0) {
        TRY(clash_name(r, renamed, r->root_fd, NULL, &there));
        TRY(clashes_end(r));
    }
    struct folder *root;
    r->total_entries = 1;
    r->total_bytes = node->entry.kind == NODE_FILE ? node->entry.content.length : 0;
    TRY(folder_new(r, r->root_fd >= 0 ? fcntl(r->root_fd, F_DUPFD_CLOEXEC, 3) : -1, NULL, NULL, false, &root));
    return run_walk(r, root, walk_file_into, renamed);
}

static enum err restore_several(struct restore *r, const struct selection *s)
{
    for (size_t i = 0; i < s->count; i++) {
        AUTO_PTR(node) node = NULL;
        TRY(node_of(r, &s->paths[i], &node)); /* all must be there before anything is written */
        bool dir = node->entry.kind == NODE_DIR;
        r->total_entries += 1 + (dir ? node->entry.below.nodes : 0);
        r->total_bytes += dir ? node->entry.below.bytes : node->entry.kind == NODE_FILE ? node->entry.content.length : 0;
        if (r->options->overwrite == OVERWRITE_NEVER && r->root_fd >= 0)
            TRY(clash_selected(r, &s->paths[i]));
    }
    TRY(clashes_end(r));
    struct folder *root;
    TRY(folder_new(r, r->root_fd >= 0 ? fcntl(r->root_fd, F_DUPFD_CLOEXEC, 3) : -1, NULL, NULL, false, &root));
    return run_walk(r, root, walk_selection, s);
}

/* A file's target: a folder that is there takes it in; else its folder, and the name it gets. */
static enum err target_of_file(struct restore *r, const struct node *node, struct target *ret_target, char **ret_name)
{
    const struct restore_options *o = r->options;
    struct stat st;
    size_t len = strlen(o->target);
    bool into = (stat(o->target, &st) == 0 && S_ISDIR(st.st_mode)) || (len && o->target[len - 1] == '/');
    const char *slash = strrchr(o->target, '/');
    AUTO_MEM char *dir = into ? strdup(o->target) : slash ? strndup(o->target, (size_t)(slash - o->target) + 1) : strdup(".");
    *ret_name = into ? strndup((const char *)node->entry.name.data, node->entry.name.len) : strdup(slash ? slash + 1 : o->target);
    if (!dir || !*ret_name)
        return err_set(ERR_NOMEM, "no memory for a path");
    return target_open(o, dir, ret_target);
}

static enum err restore_into(struct restore *r, const struct selection *s)
{
    struct target target = {.fd = -1};
    AUTO_PTR(node) node = NULL;
    AUTO_MEM char *name = NULL;
    enum err e;
    if (s->count > 1) {
        TRY(target_open(r->options, r->options->target, &target));
        r->root_fd = target.fd;
        e = restore_several(r, s);
    } else {
        TRY(s->count ? node_of(r, &s->paths[0], &node) : node_copy(r->view->root, &node));
        bool dir = node->entry.kind == NODE_DIR;
        TRY(dir ? target_open(r->options, r->options->target, &target) : target_of_file(r, node, &target, &name));
        r->root_fd = target.fd;
        e = dir ? restore_dir(r, node, &target) : restore_one(r, node, name);
    }
    if (target.fd >= 0)
        close(target.fd);
    return e;
}

static void report_fill(const struct restore *r, struct restore_report *report)
{
    *report = (struct restore_report){
        .files = r->files,
        .dirs = r->dirs,
        .others = r->others,
        .links = r->linked,
        .bytes = r->bytes,
        .unchanged = r->unchanged,
        .removed = r->removed,
        .clashes = r->clashes,
        .damaged = r->damaged,
        .failed = r->failed,
        .newer = r->newer,
        .owners_not_set = r->owners_not_set,
        .devices_not_made = r->devices_not_made,
        .xattrs_refused = r->xattrs_refused,
        .attributes_not_set = r->attributes_not_set,
    };
}

enum err restore_run(const struct restore_options *options, struct restore_report *ret_report)
{
    *ret_report = (struct restore_report){0};
    if (options->remove_others && options->overwrite != OVERWRITE_ALWAYS)
        return err_set(ERR_INVALID, "--delete goes with --overwrite=always only");
    if (!options->target[0])
        return err_set(ERR_INVALID, "the target is empty");
    TRY(check_target(options));
    AUTO(selection) selection = {0};
    TRY(selection_make(options->paths, &selection));

    struct restore r = {.options = options, .reader = options->reader, .view = options->view, .root_fd = -1};
    r.euid = geteuid();
    r.egid = getegid();
    r.umask = umask(077); /* there is no way to only look; what others make in between is not laid open */
    umask(r.umask);
    snprintf(r.temp_prefix, sizeof r.temp_prefix, ".yore-%012llx-", (unsigned long long)(rand_u64() >> 16));
    pthread_mutex_init(&r.lock, NULL);
    raise_file_limit();
    enum err e = link_table_new(&r.links);
    if (e == ERR_OK)
        e = restore_into(&r, &selection);
    if (options->progress)
        progress_tell(&r);
    link_table_free(r.links);
    pthread_mutex_destroy(&r.lock);
    report_fill(&r, ret_report);
    return e;
}
