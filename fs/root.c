#include "fs/root.h"

#include "fs/meta.h"
#include "fs/nodes.h"
#include "fs/snapshots.h"
#include "fs/sums.h"

/* Nobody needs them but whoever may see everything: they name all files and their hashes. */
enum {
    MODE_PRIVATE_FILE = S_IFREG | 0400,
    MODE_PUBLIC_FILE = S_IFREG | 0444,
    MODE_DIR = S_IFDIR | 0755,
    MODE_LINK = S_IFLNK | 0777
};

static const struct {
    const char *name;
    enum made kind;
} snapshot_files[] = {
    {"manifest.json", MADE_MANIFEST}, {"log", MADE_LOG}, {"SHA256SUMS", MADE_SUMS}};
enum { SNAPSHOT_FILES = sizeof snapshot_files / sizeof *snapshot_files };

static const struct {
    const char *name;
    enum made kind;
} changing_files[] = {{"status.json", MADE_STATUS}, {"metrics.prom", MADE_METRICS}};
enum { CHANGING_FILES = sizeof changing_files / sizeof *changing_files };

/* ---- attributes ---- */

/* A file about a snapshot. ERR_NOT_FOUND also when there is no SHA256SUMS to give. */
static enum err snapshot_file_size(struct fs *fs, enum made kind, uint32_t number,
                                   uint64_t *ret_size)
{
    struct opened *opened;
    enum err e = ERR_OK;
    TRY(snapshots_open(fs->snapshots, number, &opened));
    if (kind == MADE_MANIFEST)
        *ret_size = opened->view->manifest.length;
    else if (kind == MADE_LOG)
        *ret_size = opened->view->log.length;
    else
        e = sums_size(fs->sums, opened, ret_size);
    snapshots_close(fs->snapshots, opened);
    return e;
}

enum err root_getattr(struct fs *fs, uint64_t ino, struct stat *ret_stat, double *ret_timeout)
{
    uint32_t argument = inode_made_argument(ino);
    struct service_facts service;
    struct snapshot_facts snapshot;
    uint64_t size = 0;
    mode_t mode = MODE_DIR;
    struct timestamp time = {0};
    *ret_timeout = SHORT_SECS;
    switch (inode_made_kind(ino)) {
    case MADE_FIXED:
        if (ino != INODE_ROOT && ino != INODE_META)
            return err_set(ERR_NOT_FOUND, "no such inode");
        time = snapshots_changed(fs->snapshots);
        break;
    case MADE_SERVICE:
    case MADE_META_SERVICE:
        TRY(snapshots_service_number(fs->snapshots, argument, &service));
        time = service.changed;
        break;
    case MADE_LATEST:
        TRY(snapshots_number(fs->snapshots, argument, &snapshot));
        mode = MODE_LINK;
        size = strlen(snapshot.name);
        time = snapshot.time;
        break;
    case MADE_META_SNAPSHOT:
        TRY(snapshots_number(fs->snapshots, argument, &snapshot));
        time = snapshot.time;
        break;
    case MADE_MANIFEST:
    case MADE_SUMS:
    case MADE_LOG:
        TRY(snapshots_number(fs->snapshots, argument, &snapshot));
        TRY(snapshot_file_size(fs, inode_made_kind(ino), argument, &size));
        mode = MODE_PRIVATE_FILE;
        time = snapshot.time;
        *ret_timeout = FOREVER_SECS;
        break;
    case MADE_STATUS:
    case MADE_METRICS:
        TRY(meta_size(fs->meta, ino, &size, &time));
        mode = MODE_PUBLIC_FILE;
        *ret_timeout = FOREVER_SECS; /* a version never changes */
        break;
    default:
        return err_set(ERR_NOT_FOUND, "no such inode");
    }
    stat_of_made(&fs->rules, ino, mode, size, time, ret_stat);
    return ERR_OK;
}

/* ---- names ---- */

/* An entry for a made-up node. */
static enum err made_entry(struct fs *fs, uint64_t ino, double entry_timeout,
                           struct fuse_entry_param *ret_entry)
{
    struct fuse_entry_param e = {.ino = ino, .generation = 1, .entry_timeout = entry_timeout};
    TRY(root_getattr(fs, ino, &e.attr, &e.attr_timeout));
    *ret_entry = e;
    return ERR_OK;
}

/* An entry for the root of a snapshot. */
static void tree_entry(struct fs *fs, const struct opened *opened,
                       struct fuse_entry_param *ret_entry)
{
    struct fuse_entry_param e = {.ino = inode_of(opened->number, 0),
                                 .generation = 1,
                                 .entry_timeout = SHORT_SECS,
                                 .attr_timeout = FOREVER_SECS};
    stat_of_entry(&fs->rules, &opened->view->root->entry, e.ino, 1, &e.attr);
    *ret_entry = e;
}

static enum err lookup_in_service(struct fs *fs, const struct service_facts *service,
                                  const char *name, struct fuse_entry_param *ret_entry)
{
    struct snapshot_facts snapshot;
    if (strcmp(name, "latest") == 0) {
        TRY(snapshots_latest(fs->snapshots, service, &snapshot));
        return made_entry(fs, inode_made(MADE_LATEST, snapshot.number), 0, ret_entry);
    }
    struct opened *opened;
    TRY(snapshots_find(fs->snapshots, service, name, &snapshot));
    TRY(snapshots_open(fs->snapshots, snapshot.number, &opened));
    tree_entry(fs, opened, ret_entry);
    snapshots_close(fs->snapshots, opened);
    return ERR_OK;
}

static enum err lookup_in_root(struct fs *fs, const char *name, struct fuse_entry_param *ret_entry)
{
    struct service_facts service;
    if (strcmp(name, ".yore") == 0)
        return made_entry(fs, INODE_META, FOREVER_SECS, ret_entry);
    TRY(snapshots_service(fs->snapshots, name, &service));
    return made_entry(fs, inode_made(MADE_SERVICE, service.number), SHORT_SECS, ret_entry);
}

static enum err lookup_in_meta(struct fs *fs, const char *name, struct fuse_entry_param *ret_entry)
{
    struct service_facts service;
    for (int i = 0; i < CHANGING_FILES; i++) {
        uint64_t ino;
        if (strcmp(name, changing_files[i].name) != 0)
            continue;
        TRY(meta_now(fs->meta, changing_files[i].kind, &ino));
        return made_entry(fs, ino, 0, ret_entry);
    }
    TRY(snapshots_service(fs->snapshots, name, &service));
    return made_entry(fs, inode_made(MADE_META_SERVICE, service.number), SHORT_SECS, ret_entry);
}

static enum err lookup_in_meta_snapshot(struct fs *fs, uint32_t number, const char *name,
                                        struct fuse_entry_param *ret_entry)
{
    for (int i = 0; i < SNAPSHOT_FILES; i++)
        if (strcmp(name, snapshot_files[i].name) == 0)
            return made_entry(fs, inode_made(snapshot_files[i].kind, number), FOREVER_SECS,
                              ret_entry);
    return err_set(ERR_NOT_FOUND, "no such file");
}

enum err root_lookup(struct fs *fs, uint64_t parent, const char *name,
                     struct fuse_entry_param *ret_entry)
{
    uint32_t argument = inode_made_argument(parent);
    struct service_facts service;
    struct snapshot_facts snapshot;
    if (strcmp(name, ".") == 0)
        return made_entry(fs, parent, SHORT_SECS, ret_entry);
    if (strcmp(name, "..") == 0)
        return made_entry(fs, root_parent(fs, parent), SHORT_SECS, ret_entry);
    switch (inode_made_kind(parent)) {
    case MADE_FIXED:
        if (parent == INODE_META)
            return lookup_in_meta(fs, name, ret_entry);
        return lookup_in_root(fs, name, ret_entry);
    case MADE_SERVICE:
        TRY(snapshots_service_number(fs->snapshots, argument, &service));
        return lookup_in_service(fs, &service, name, ret_entry);
    case MADE_META_SERVICE:
        TRY(snapshots_service_number(fs->snapshots, argument, &service));
        TRY(snapshots_find(fs->snapshots, &service, name, &snapshot));
        return made_entry(fs, inode_made(MADE_META_SNAPSHOT, snapshot.number), SHORT_SECS,
                          ret_entry);
    case MADE_META_SNAPSHOT:
        return lookup_in_meta_snapshot(fs, argument, name, ret_entry);
    default:
        return err_set(ERR_NOT_FOUND, "no directory");
    }
}

uint64_t root_parent(struct fs *fs, uint64_t ino)
{
    struct snapshot_facts snapshot;
    if (inode_made_kind(ino) == MADE_META_SERVICE)
        return INODE_META;
    if (inode_made_kind(ino) == MADE_META_SNAPSHOT &&
        snapshots_number(fs->snapshots, inode_made_argument(ino), &snapshot) == ERR_OK)
        return inode_made(MADE_META_SERVICE, snapshot.service);
    return INODE_ROOT;
}

/* ---- listings ---- */

struct listing {
    struct fs *fs;
    enum made kind;  /* of what is listed */
    uint64_t before; /* names in front of these */
    root_entry_fn each;
    void *context;
};

/* Only what readdir needs. */
static struct fuse_entry_param bare(uint64_t ino, mode_t kind)
{
    return (struct fuse_entry_param){.attr = {.st_ino = ino, .st_mode = kind}};
}

static enum err list_service(void *context, const struct service_facts *service, uint64_t ordinal)
{
    const struct listing *l = context;
    struct fuse_entry_param entry;
    TRY(made_entry(l->fs, inode_made(l->kind, service->number), SHORT_SECS, &entry));
    return l->each(l->context, service->name, l->before + ordinal, &entry);
}

static enum err list_snapshot(void *context, const struct snapshot_facts *snapshot,
                              uint64_t ordinal)
{
    const struct listing *l = context;
    struct fuse_entry_param entry = bare(inode_of(snapshot->number, 0), S_IFDIR);
    struct opened *opened = snapshots_opened(l->fs->snapshots, snapshot->number);
    if (opened)
        tree_entry(l->fs, opened, &entry);
    snapshots_close(l->fs->snapshots, opened);
    return l->each(l->context, snapshot->name, l->before + ordinal, &entry);
}

static enum err list_meta_snapshot(void *context, const struct snapshot_facts *snapshot,
                                   uint64_t ordinal)
{
    const struct listing *l = context;
    struct fuse_entry_param entry;
    TRY(made_entry(l->fs, inode_made(MADE_META_SNAPSHOT, snapshot->number), SHORT_SECS, &entry));
    return l->each(l->context, snapshot->name, l->before + ordinal, &entry);
}

static uint64_t beyond(uint64_t first, uint64_t before)
{
    return first > before ? first - before : 0;
}

static enum err list_meta(struct fs *fs, uint64_t first, root_entry_fn each, void *context)
{
    for (uint64_t i = first; i < CHANGING_FILES; i++) {
        struct fuse_entry_param entry = bare(inode_made(changing_files[i].kind, 0), S_IFREG);
        TRY(each(context, changing_files[i].name, i, &entry));
    }
    struct listing listing = {fs, MADE_META_SERVICE, CHANGING_FILES, each, context};
    return snapshots_services(fs->snapshots, beyond(first, CHANGING_FILES), list_service, &listing);
}

static enum err list_root(struct fs *fs, uint64_t first, root_entry_fn each, void *context)
{
    if (first == 0) {
        struct fuse_entry_param entry;
        TRY(made_entry(fs, INODE_META, FOREVER_SECS, &entry));
        TRY(each(context, ".yore", 0, &entry));
    }
    struct listing listing = {fs, MADE_SERVICE, 1, each, context};
    return snapshots_services(fs->snapshots, beyond(first, 1), list_service, &listing);
}

static enum err list_in_service(struct fs *fs, const struct service_facts *service, uint64_t first,
                                root_entry_fn each, void *context)
{
    struct snapshot_facts latest;
    if (first == 0 && snapshots_latest(fs->snapshots, service, &latest) == ERR_OK) {
        struct fuse_entry_param entry = bare(inode_made(MADE_LATEST, latest.number), S_IFLNK);
        TRY(each(context, "latest", 0, &entry));
    }
    struct listing listing = {fs, MADE_SERVICE, 1, each, context};
    return snapshots_list(fs->snapshots, service, beyond(first, 1), list_snapshot, &listing);
}

static enum err list_meta_snapshot_files(struct fs *fs, uint32_t number, uint64_t first,
                                         root_entry_fn each, void *context)
{
    for (uint64_t i = first; i < SNAPSHOT_FILES; i++) {
        struct fuse_entry_param entry;
        enum err e =
            made_entry(fs, inode_made(snapshot_files[i].kind, number), FOREVER_SECS, &entry);
        if (e == ERR_NOT_FOUND)
            continue;
        TRY(e);
        TRY(each(context, snapshot_files[i].name, i, &entry));
    }
    return ERR_OK;
}

enum err root_list(struct fs *fs, uint64_t ino, uint64_t first, root_entry_fn each, void *context)
{
    uint32_t argument = inode_made_argument(ino);
    struct service_facts service;
    switch (inode_made_kind(ino)) {
    case MADE_FIXED:
        return ino == INODE_META ? list_meta(fs, first, each, context)
                                 : list_root(fs, first, each, context);
    case MADE_SERVICE:
        TRY(snapshots_service_number(fs->snapshots, argument, &service));
        return list_in_service(fs, &service, first, each, context);
    case MADE_META_SERVICE: {
        TRY(snapshots_service_number(fs->snapshots, argument, &service));
        struct listing listing = {fs, MADE_META_SNAPSHOT, 0, each, context};
        return snapshots_list(fs->snapshots, &service, first, list_meta_snapshot, &listing);
    }
    case MADE_META_SNAPSHOT:
        return list_meta_snapshot_files(fs, argument, first, each, context);
    default:
        return err_set(ERR_NOT_FOUND, "no directory");
    }
}

enum err root_readlink(struct fs *fs, uint64_t ino, char ret_target[TIME_NAME_MAX + 16])
{
    struct snapshot_facts snapshot;
    if (inode_made_kind(ino) != MADE_LATEST)
        return err_set(ERR_INVALID, "no symlink");
    TRY(snapshots_number(fs->snapshots, inode_made_argument(ino), &snapshot));
    memcpy(ret_target, snapshot.name, sizeof snapshot.name);
    return ERR_OK;
}
