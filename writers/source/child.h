/*
 * child: a program whose standard output is a source.
 *
 * It is started without a shell; its standard error and input are ours; passwords of ours are not in its environment. How it ends
 * decides whether what it wrote may be kept: a program that fails has not written all.
 *
 * Threads: one.
 */
#pragma once

#include <sys/types.h>

#include "fetch/base/cleanup.h"
#include "fetch/base/err.h"

struct child {
    pid_t pid;      /* 0: none, or waited for */
    int output;     /* its standard output, to be read; -1: closed */
    char name[256]; /* what was run, for messages */
};
#define CHILD_NONE ((struct child){.output = -1})

/* argv: as for execvp, NULL-ended, at least one. ERR_IO: it cannot be started. */
enum err child_start(char *const *argv, struct child *ret_child);

/* After its output was read to the end: wait for it. ERR_IO "pg_dump ended with status 1", "... was ended by signal 9". */
enum err child_finish(struct child *child);

/* For AUTO: close its output; if it still runs, ask it to end, and after five seconds make it. */
void child_clear(struct child *child);
