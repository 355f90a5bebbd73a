#include "tests/support/tmp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err tmp_dir_new(struct tmp_dir *ret_tmp)
{
    const char *base = getenv("TMPDIR");
    struct tmp_dir made;
    int n = snprintf(made.path, sizeof made.path, "%s/yore-test-XXXXXX", base && *base ? base : "/tmp");
    if (n < 0 || (size_t)n >= sizeof made.path)
        return err_set(ERR_INVALID, "TMPDIR is too long");
    if (!mkdtemp(made.path))
        return err_errno("cannot make %s", made.path);
    *ret_tmp = made;
    return ERR_OK;
}

/* Remove what stands under name in the folder at. Depth is that of the tree: a test that makes one of
 * thousands of levels needs as many descriptors (ulimit -n). */
static enum err remove_at(int at, const char *name)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return ERR_OK;
    if (errno != EISDIR && errno != EPERM)
        return err_errno("cannot remove %s", name);
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno("cannot open %s", name);
    (void)!fchmod(fd, 0700); /* a read-only folder keeps its entries; refused on file systems without modes */
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return err_errno("cannot list %s", name);
    }
    enum err e = ERR_OK;
    struct dirent *entry;
    while (e == ERR_OK && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            e = remove_at(fd, entry->d_name);
    closedir(dir);
    if (e == ERR_OK && unlinkat(at, name, AT_REMOVEDIR) != 0)
        e = err_errno("cannot remove %s", name);
    return e;
}

enum err tmp_dir_remove(const char *path)
{
    return remove_at(AT_FDCWD, path);
}

void tmp_dir_clear(struct tmp_dir *tmp)
{
    if (!tmp->path[0])
        return;
    if (tmp_dir_remove(tmp->path) != ERR_OK)
        fprintf(stderr, "%s stays: %s\n", tmp->path, err_text());
    *tmp = TMP_DIR_NONE;
}

struct tmp_path tmp_path(const struct tmp_dir *tmp, const char *name)
{
    struct tmp_path p;
    snprintf(p.text, sizeof p.text, "%s/%s", tmp->path, name);
    return p;
}
