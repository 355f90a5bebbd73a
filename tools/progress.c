#include "tools/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "fetch/base/clock.h"
#include "fetch/base/text.h"

bool progress_wanted(const struct settings *s)
{
    return !s->no_progress && !s->quiet && !s->json && isatty(STDERR_FILENO);
}

void progress_show(void *context, const struct backup_progress *now)
{
    struct progress *p = context;
    uint64_t at = clock_monotonic_ns();
    if (p->started_ns == 0)
        p->started_ns = at;
    double secs = (double)(at - p->started_ns) / 1e9;
    uint64_t rate = secs > 0.2 ? (uint64_t)((double)now->bytes / secs) : 0;
    char line[200];
    int n = snprintf(line, sizeof line, "%s  %llu files  %s  %s/s  stored %s", p->title, (unsigned long long)now->files,
                     text_size(now->bytes).text, text_size(rate).text, text_size(now->stored_bytes).text);
    if (now->total_bytes > now->bytes && rate > 0 && n > 0 && (size_t)n < sizeof line)
        n += snprintf(line + n, sizeof line - (size_t)n, "  %d %%  %llu s left", (int)(now->bytes * 100 / now->total_bytes),
                      (unsigned long long)((now->total_bytes - now->bytes) / rate));
    fprintf(stderr, "\r%-*s", (int)p->shown, line);
    p->shown = n > 0 ? (size_t)n : 0;
}

void progress_end(struct progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r%*s\r", (int)p->shown, "");
    p->shown = 0;
}
