/*
 * tmp: a folder of its own for a test, gone with everything in it when the scope ends.
 *
 *     AUTO(tmp_dir) tmp = TMP_DIR_NONE;
 *     CHECK_OK(tmp_dir_new(&tmp));
 *     int fd = open(tmp_path(&tmp, "a/b").text, ...);
 */
#pragma once

#include "fetch/base/cleanup.h"
#include "fetch/base/err.h"

struct tmp_dir {
    char path[256]; /* absolute when TMPDIR is; "" when there is none */
};

#define TMP_DIR_NONE ((struct tmp_dir){""})

/* A new empty folder (0700) under $TMPDIR or /tmp. */
enum err tmp_dir_new(struct tmp_dir *ret_tmp);
/* Remove a folder and everything below, following no symlink; what cannot be opened is made so first. */
enum err tmp_dir_remove(const char *path);
/* Remove it; for AUTO. A folder that resists is named on stderr. */
void tmp_dir_clear(struct tmp_dir *tmp);

/* The path of a name inside, as a value. */
struct tmp_path {
    char text[4096];
};
struct tmp_path tmp_path(const struct tmp_dir *tmp, const char *name);
