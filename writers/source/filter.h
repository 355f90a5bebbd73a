/*
 * filter: which paths of a tree are left out, in the syntax of gitignore.
 *
 *     *.o            that name, anywhere              !keep.o        not left out after all
 *     build/         only a directory                 /tmp           only at the top of the
 * snapshot doc/a*.txt     a slash inside anchors too       **             any number of folders
 *
 * The last pattern that matches decides; what none matches is kept. Nothing below a directory that
 * is left out can come back: it is not looked at. Paths are those in the snapshot, without a slash
 * in front, of any bytes.
 *
 * Source:  gitignore(5); the test compares with git itself.
 * Threads: constant after the last filter_add; then any.
 */
#pragma once

#include "fetch/base/buf.h"

struct filter;

enum err filter_new(struct filter **ret_filter);
void filter_free(struct filter *filter);
DEFINE_AUTO_PTR(filter);

/* Append a pattern. include: keep what it matches (as if it had a `!` in front). ERR_INVALID:
 * nothing in it to match. */
enum err filter_add(struct filter *filter, const char *pattern, bool include);

/* Append the patterns of a file as git reads it: a line each, `#` comments, blank lines and blanks
 * at the end of lines ignored. Errors of the file as file_read_all has them. */
enum err filter_add_file(struct filter *filter, const char *path);

/* Is this path left out? Says nothing about the folders above it. path: not empty; NULL filter: no.
 */
bool filter_match(const struct filter *filter, struct slice path, bool is_dir);
/* The same with the folders above it: what a walk would come to. */
bool filter_match_deep(const struct filter *filter, struct slice path, bool is_dir);
