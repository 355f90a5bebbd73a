#include "fs/timename.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* strftime says 0 for an empty text and for one too long alike: neither is a name. */
static size_t format_time(const char *format, struct timestamp t, char *to, size_t room)
{
    struct tm tm;
    time_t secs = (time_t)t.secs;
    if (!gmtime_r(&secs, &tm))
        return 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored                                                                     \
    "-Wformat-nonliteral" /* the format is the user's: that is what it is for */
    return strftime(to, room, format, &tm);
#pragma GCC diagnostic pop
}

static bool same_name(const char *format, int64_t a_secs, int64_t b_secs)
{
    char a[TIME_NAME_MAX + 1] = "", b[TIME_NAME_MAX + 1] = "";
    format_time(format, (struct timestamp){a_secs, 0}, a, sizeof a);
    format_time(format, (struct timestamp){b_secs, 0}, b, sizeof b);
    return strcmp(a, b) == 0;
}

enum err time_format_check(const char *format)
{
    enum { SAMPLE = 1704855661 }; /* 2024-01-10T03:01:01Z */
    static const struct {
        const char *word;
        int64_t
            later_secs[3]; /* a step of this unit only; a unit may show itself in one of several */
    } units[] = {
        {"year", {366 * 86400, 0, 0}},  {"month", {60 * 86400, 0, 0}},
        {"day", {86400, 7 * 86400, 0}}, {"hour", {3600, 12 * 3600, 0}},
        {"minute", {60, 0, 0}},         {"second", {1, 0, 0}},
    };
    enum { UNITS = sizeof units / sizeof *units, DAY = 2 };
    char name[TIME_NAME_MAX + 1] = "";
    if (format_time(format, (struct timestamp){SAMPLE, 0}, name, sizeof name) == 0)
        return err_set(ERR_INVALID, "time format '%s' gives an empty name, or one over %d bytes",
                       format, TIME_NAME_MAX);
    if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strcmp(name, "latest") == 0 || strcmp(name, "wal") == 0)
        return err_set(ERR_INVALID, "time format '%s' gives '%s', which is no name for a snapshot",
                       format, name);
    int finest = -1;
    bool tells[UNITS];
    for (int u = 0; u < UNITS; u++) {
        tells[u] = true;
        for (int i = 0; i < 3 && units[u].later_secs[i]; i++)
            if (same_name(format, SAMPLE, SAMPLE + units[u].later_secs[i]))
                tells[u] = false;
        if (tells[u])
            finest = u;
    }
    for (int u = 0; u <= (finest > DAY ? finest : DAY); u++)
        if (!tells[u])
            return err_set(ERR_INVALID, "time format '%s' does not tell one %s from another",
                           format, units[u].word);
    return ERR_OK;
}

void time_name(const char *format, struct timestamp time, unsigned nth,
               char ret_name[static TIME_NAME_MAX + 16])
{
    size_t len = format_time(format, time, ret_name, TIME_NAME_MAX + 1);
    if (len == 0 || memchr(ret_name, '/', len)) {
        char compact[TIME_TEXT_MAX];
        clock_format_compact(time, compact);
        len = (size_t)snprintf(ret_name, TIME_NAME_MAX + 1, "%s", compact);
    }
    if (nth > 0)
        snprintf(ret_name + len, 16, "-%u", nth + 1);
}
