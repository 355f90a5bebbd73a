#include "writers/source/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "index/filescache.h" /* index_folder */

/* ---- what is asked for ---- */

static void selection_free(struct selection *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        selection_free(s->children[i]);
    free(s->children);
    free(s->name);
    free(s);
}

static enum err selection_child(struct selection *s, const char *name, size_t len,
                                struct selection **ret_child)
{
    for (size_t i = 0; i < s->count; i++)
        if (strlen(s->children[i]->name) == len && memcmp(s->children[i]->name, name, len) == 0) {
            *ret_child = s->children[i];
            return ERR_OK;
        }
    struct selection **grown = realloc(s->children, (s->count + 1) * sizeof(struct selection *));
    if (!grown)
        return err_set(ERR_NOMEM, "no memory for the paths");
    s->children = grown;
    struct selection *child = calloc(1, sizeof *child);
    if (!child || !(child->name = strndup(name, len))) {
        free(child);
        return err_set(ERR_NOMEM, "no memory for the paths");
    }
    s->children[s->count++] = child;
    *ret_child = child;
    return ERR_OK;
}

static enum err selection_add(struct selection *root, const char *path)
{
    struct selection *s = root;
    while (*path && !s->whole) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len)
            TRY(selection_child(s, path, len, &s));
        path += len;
    }
    s->whole = true;
    return ERR_OK;
}

const struct selection *selection_find(const struct selection *s, struct slice name)
{
    for (size_t i = 0; s && i < s->count; i++)
        if (slice_equal(slice_str(s->children[i]->name), name))
            return s->children[i];
    return NULL;
}

/* ---- what is never backed up ---- */

static void ours_add(struct sources *sources, const char *path)
{
    struct stat st;
    if (!path || stat(path, &st) != 0)
        return;
    struct place_id *grown = realloc(sources->ours, (sources->ours_count + 1) * sizeof *grown);
    if (!grown)
        return;
    sources->ours = grown;
    sources->ours[sources->ours_count++] = (struct place_id){st.st_dev, st.st_ino};
}

/* Devices of mounted snapshots: lines "36 35 98:0 /root /mount options - type source ..." of
 * mountinfo. */
static void find_yore_mounts(struct sources *sources)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (!mounts)
        return;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, mounts) > 0) {
        unsigned id, parent, high, low;
        const char *type = strstr(line, " - fuse.yore");
        if (!type || sscanf(line, "%u %u %u:%u", &id, &parent, &high, &low) != 4)
            continue;
        uint64_t *grown = realloc(sources->yore_devices, (sources->yore_count + 1) * sizeof *grown);
        if (!grown)
            break;
        sources->yore_devices = grown;
        sources->yore_devices[sources->yore_count++] = makedev(high, low);
    }
    free(line);
    fclose(mounts);
}

const char *sources_refuse(const struct sources *sources, uint64_t device, uint64_t inode)
{
    for (size_t i = 0; i < sources->yore_count; i++)
        if (sources->yore_devices[i] == device)
            return "snapshots mounted by yore";
    for (size_t i = 0; i < sources->ours_count; i++)
        if (sources->ours[i].device == device && sources->ours[i].inode == inode)
            return "yore's own store or cache";
    return NULL;
}

/* An argument and all above it. */
static enum err check_argument(const struct sources *sources, const char *path)
{
    AUTO_MEM char *part = strdup(path);
    if (!part)
        return err_set(ERR_NOMEM, "no memory for the paths");
    for (;;) {
        struct stat st;
        const char *what;
        if (stat(*part ? part : "/", &st) == 0 &&
            (what = sources_refuse(sources, st.st_dev, st.st_ino)))
            return err_set(ERR_INVALID, "%s lies in %s: not a source of a backup", path, what);
        char *slash = strrchr(part, '/');
        if (!slash)
            return ERR_OK;
        *slash = 0;
    }
}

static enum err add_argument(struct sources *sources, const char *path, bool alone)
{
    AUTO_MEM char *real = realpath(path, NULL);
    struct stat st;
    if (!real || stat(real, &st) != 0) {
        enum err e = err_errno("%s", path);
        return e == ERR_NOT_FOUND || e == ERR_IO
                   ? err_set(ERR_INVALID, "%s: no such file or directory", path)
                   : e;
    }
    TRY(check_argument(sources, real));
    if (alone && S_ISDIR(st.st_mode)) {
        sources->base = TAKE(real);
        if (strcmp(sources->base, "/") == 0)
            sources->base[0] = 0;
        return ERR_OK;
    }
    if (!sources->only && !(sources->only = calloc(1, sizeof *sources->only)))
        return err_set(ERR_NOMEM, "no memory for the paths");
    return selection_add(sources->only, real);
}

enum err sources_prepare(const struct backup_common *common, const char *const *paths,
                         struct sources *sources)
{
    ours_add(sources, store_local_path(common->access->store));
    ours_add(sources, index_folder(common->index));
    ours_add(sources, common->state_dir);
    find_yore_mounts(sources);
    if (!paths || !paths[0])
        return err_set(ERR_INVALID, "no path to back up");
    for (size_t i = 0; paths[i]; i++)
        TRY(add_argument(sources, paths[i], !paths[1]));
    if (sources->only && sources->only->whole) { /* "/" was among them */
        selection_free(sources->only);
        sources->only = NULL;
    }
    if (!sources->base && !(sources->base = strdup("")))
        return err_set(ERR_NOMEM, "no memory for the paths");
    return ERR_OK;
}

void sources_clear(struct sources *sources)
{
    selection_free(sources->only);
    free(sources->base);
    free(sources->ours);
    free(sources->yore_devices);
    *sources = (struct sources){0};
}
