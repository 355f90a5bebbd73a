/*
 * progress: a bar with rate and remaining time on a terminal, silence otherwise.
 */
#pragma once

#include "tools/settings.h"
#include "writers/backup.h"

struct progress {
    const char *title;
    uint64_t started_ns; /* 0: not yet */
    size_t shown;        /* columns of the last line */
};

bool progress_wanted(const struct settings *settings);
/* Fits backup_common.progress. */
void progress_show(void *progress, const struct backup_progress *now);
void progress_end(struct progress *progress);
