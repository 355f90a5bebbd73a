#include "fetch/base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NANOS_PER_SEC = 1000000000, SECS_PER_DAY = 86400 };

static struct {
    pthread_mutex_t lock; /* nothing is taken under it */
    bool frozen;
    struct timestamp now;
    uint64_t monotonic_ns;
} held = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t read_monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NANOS_PER_SEC + (uint64_t)t.tv_nsec;
}

struct timestamp clock_now(void)
{
    pthread_mutex_lock(&held.lock);
    bool frozen = held.frozen;
    struct timestamp now = held.now;
    pthread_mutex_unlock(&held.lock);
    if (frozen)
        return now;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (struct timestamp){t.tv_sec, (uint32_t)t.tv_nsec};
}

uint64_t clock_monotonic_ns(void)
{
    pthread_mutex_lock(&held.lock);
    bool frozen = held.frozen;
    uint64_t ns = held.monotonic_ns;
    pthread_mutex_unlock(&held.lock);
    return frozen ? ns : read_monotonic();
}

static void advance(uint64_t ns)
{
    uint64_t nanos = held.now.nanos + ns % NANOS_PER_SEC;
    held.now.secs += (int64_t)(ns / NANOS_PER_SEC + nanos / NANOS_PER_SEC);
    held.now.nanos = (uint32_t)(nanos % NANOS_PER_SEC);
    held.monotonic_ns += ns;
}

void clock_sleep_ns(uint64_t ns)
{
    pthread_mutex_lock(&held.lock);
    bool frozen = held.frozen;
    if (frozen)
        advance(ns);
    pthread_mutex_unlock(&held.lock);
    if (frozen)
        return;
    struct timespec left = {(time_t)(ns / NANOS_PER_SEC), (long)(ns % NANOS_PER_SEC)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

void clock_freeze(struct timestamp now)
{
    pthread_mutex_lock(&held.lock);
    if (!held.frozen)
        held.monotonic_ns = read_monotonic();
    held.frozen = true;
    held.now = now;
    pthread_mutex_unlock(&held.lock);
}

void clock_advance_ns(uint64_t ns)
{
    pthread_mutex_lock(&held.lock);
    advance(ns);
    pthread_mutex_unlock(&held.lock);
}

void clock_thaw(void)
{
    pthread_mutex_lock(&held.lock);
    held.frozen = false;
    pthread_mutex_unlock(&held.lock);
}

int timestamp_compare(struct timestamp a, struct timestamp b)
{
    if (a.secs != b.secs)
        return a.secs < b.secs ? -1 : 1;
    return a.nanos == b.nanos ? 0 : a.nanos < b.nanos ? -1 : 1;
}

/* ---- the calendar ------------------------------------------------------------------------------ */

struct civil {
    int year, month, day, hour, minute, second;
};

/* 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what four digits of year can say. */
static const int64_t first_sec = -62167219200, last_sec = 253402300799;

/* Days since 1970-01-01. The year is counted from March, so that the leap day is its last. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* secs within first_sec and last_sec. */
static struct civil civil_of(int64_t secs)
{
    int64_t days = secs / SECS_PER_DAY, left = secs % SECS_PER_DAY;
    if (left < 0) {
        left += SECS_PER_DAY;
        days--;
    }
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    int month = (int)(m < 10 ? m + 3 : m - 9);
    return (struct civil){
        .year = (int)(year_of_era + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(day_of_year - (153 * m + 2) / 5 + 1),
        .hour = (int)(left / 3600),
        .minute = (int)(left / 60 % 60),
        .second = (int)(left % 60),
    };
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Second 60 is allowed and counts as the next minute's 0. */
static bool civil_exists(const struct civil *c)
{
    return c->year >= 0 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= days_in_month(c->year, c->month) && c->hour >= 0 && c->hour <= 23 && c->minute >= 0 &&
           c->minute <= 59 && c->second >= 0 && c->second <= 60;
}

static int64_t secs_of(const struct civil *c)
{
    return days_of(c->year, c->month, c->day) * SECS_PER_DAY + c->hour * 3600 + c->minute * 60 + c->second;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static bool in_range(int64_t secs)
{
    return secs >= first_sec && secs <= last_sec;
}

static void format_far(int64_t secs, char *ret_text)
{
    snprintf(ret_text, TIME_TEXT_MAX, "@%lld", (long long)secs);
}

void clock_format_compact(struct timestamp t, char ret_text[static TIME_TEXT_MAX])
{
    if (!in_range(t.secs)) {
        format_far(t.secs, ret_text);
        return;
    }
    struct civil c = civil_of(t.secs);
    snprintf(ret_text, TIME_TEXT_MAX, "%04d%02d%02dT%02d%02d%02dZ", c.year, c.month, c.day, c.hour,
             c.minute, c.second);
}

void clock_format_rfc3339(struct timestamp t, int decimals, char ret_text[static TIME_TEXT_MAX])
{
    if (!in_range(t.secs)) {
        format_far(t.secs, ret_text);
        return;
    }
    struct civil c = civil_of(t.secs);
    char fraction[16] = "";
    if (decimals > 0) {
        if (decimals > 9)
            decimals = 9;
        snprintf(fraction, sizeof fraction, ".%09u", t.nanos % NANOS_PER_SEC);
        fraction[1 + decimals] = 0;
    }
    snprintf(ret_text, TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", c.year, c.month, c.day, c.hour,
             c.minute, c.second, fraction);
}

/* Seconds the local zone is ahead of UTC at that instant. */
static bool local_offset(int64_t secs, int64_t *ret_offset_secs)
{
    struct tm tm;
    time_t t = (time_t)secs;
    tzset(); /* localtime_r alone need not look at TZ */
    if (!localtime_r(&t, &tm))
        return false;
    *ret_offset_secs = tm.tm_gmtoff;
    return true;
}

static void format_offset(int64_t secs, int64_t offset_secs, char *ret_text)
{
    int64_t minutes = offset_secs / 60;
    int64_t local_secs = secs + minutes * 60;
    if (!in_range(local_secs)) {
        format_far(secs, ret_text);
        return;
    }
    struct civil c = civil_of(local_secs);
    unsigned ahead = (unsigned)(minutes < 0 ? -minutes : minutes);
    snprintf(ret_text, TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d%c%02u:%02u", c.year, c.month, c.day,
             c.hour, c.minute, c.second, minutes < 0 ? '-' : '+', ahead / 60 % 100, ahead % 60);
}

void clock_format_local(struct timestamp t, char ret_text[static TIME_TEXT_MAX])
{
    int64_t offset_secs;
    if (in_range(t.secs) && local_offset(t.secs, &offset_secs))
        format_offset(t.secs, offset_secs, ret_text);
    else
        format_far(t.secs, ret_text);
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* Each reads one thing at *at and moves on; false leaves *at anywhere. */
static bool read_digits(const char **at, int count, int *ret_number)
{
    int v = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        v = v * 10 + (**at - '0');
    }
    *ret_number = v;
    return true;
}

static bool read_char(const char **at, const char *allowed)
{
    if (!**at || !strchr(allowed, **at))
        return false;
    (*at)++;
    return true;
}

static bool read_date(const char **at, struct civil *c)
{
    return read_digits(at, 4, &c->year) && read_char(at, "-") && read_digits(at, 2, &c->month) &&
           read_char(at, "-") && read_digits(at, 2, &c->day);
}

static bool read_hour_minute(const char **at, int *ret_hour, int *ret_minute)
{
    return read_digits(at, 2, ret_hour) && read_char(at, ":") && read_digits(at, 2, ret_minute);
}

/* Decimals after a point, if there is one. */
static bool read_fraction(const char **at, uint32_t *ret_nanos)
{
    *ret_nanos = 0;
    if (**at != '.')
        return true;
    (*at)++;
    uint32_t unit = NANOS_PER_SEC / 10;
    const char *first = *at;
    for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
        *ret_nanos += (uint32_t)(**at - '0') * unit;
    return *at > first;
}

static bool read_offset(const char **at, int64_t *ret_offset_secs)
{
    if (read_char(at, "Zz")) {
        *ret_offset_secs = 0;
        return true;
    }
    int64_t sign = **at == '-' ? -1 : 1;
    int hours, minutes;
    if (!read_char(at, "+-") || !read_hour_minute(at, &hours, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_offset_secs = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool compact(const char *text, struct timestamp *ret_time)
{
    struct civil c;
    const char *at = text;
    if (!read_digits(&at, 4, &c.year) || !read_digits(&at, 2, &c.month) || !read_digits(&at, 2, &c.day) ||
        !read_char(&at, "T") || !read_digits(&at, 2, &c.hour) || !read_digits(&at, 2, &c.minute) ||
        !read_digits(&at, 2, &c.second) || !read_char(&at, "Z") || *at || !civil_exists(&c) ||
        c.second > 59) /* a name has one spelling */
        return false;
    *ret_time = (struct timestamp){secs_of(&c), 0};
    return true;
}

static bool rfc3339(const char *text, struct timestamp *ret_time)
{
    struct civil c;
    uint32_t nanos;
    int64_t offset_secs;
    const char *at = text;
    if (!read_date(&at, &c) || !read_char(&at, "Tt ") || !read_hour_minute(&at, &c.hour, &c.minute) ||
        !read_char(&at, ":") || !read_digits(&at, 2, &c.second) || !read_fraction(&at, &nanos) ||
        !read_offset(&at, &offset_secs) || *at || !civil_exists(&c))
        return false;
    *ret_time = (struct timestamp){secs_of(&c) - offset_secs, nanos};
    return true;
}

static bool local(const char *text, struct civil *ret_civil)
{
    const char *at = text;
    if (!read_date(&at, ret_civil) || !read_char(&at, " T") ||
        !read_hour_minute(&at, &ret_civil->hour, &ret_civil->minute))
        return false;
    ret_civil->second = 0;
    if (*at == ':' && (!read_char(&at, ":") || !read_digits(&at, 2, &ret_civil->second)))
        return false;
    return !*at && civil_exists(ret_civil) && ret_civil->second < 60;
}

/*
 * The instant a clock on the wall shows c. The offset that holds is the one of a day before or of a
 * day after; where both hold and differ it was shown twice, where neither holds it was skipped.
 */
static enum err resolve_local(const char *text, const struct civil *c, struct timestamp *ret_time)
{
    int64_t wall = secs_of(c), before, after, check;
    if (!local_offset(wall - SECS_PER_DAY, &before) || !local_offset(wall + SECS_PER_DAY, &after))
        return err_set(ERR_INVALID, "no local time is known for \"%s\"; write it with an offset", text);
    bool first_holds = local_offset(wall - before, &check) && check == before;
    bool second_holds = local_offset(wall - after, &check) && check == after;
    if (first_holds && (!second_holds || before == after))
        *ret_time = (struct timestamp){wall - before, 0};
    else if (second_holds && !first_holds)
        *ret_time = (struct timestamp){wall - after, 0};
    else {
        char one[TIME_TEXT_MAX], two[TIME_TEXT_MAX];
        format_offset(wall - before, before, one);
        format_offset(wall - after, after, two);
        return err_set(ERR_INVALID, "\"%s\" %s in the local zone, where the clocks change; write %s or %s",
                       text, first_holds ? "happens twice" : "does not exist", one, two);
    }
    return ERR_OK;
}

static bool age(const char *text, int64_t *ret_secs)
{
    static const struct {
        char letter;
        int64_t secs;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', SECS_PER_DAY}, {'w', 7 * SECS_PER_DAY}};
    static const int64_t longest = (int64_t)10000 * 366 * SECS_PER_DAY;
    int64_t v = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        v = v * 10 + (*at - '0');
        if (v > longest)
            return false;
    }
    if (at == text || !*at || at[1])
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*at == units[i].letter && v <= longest / units[i].secs) {
            *ret_secs = v * units[i].secs;
            return true;
        }
    return false;
}

enum err clock_parse_compact(const char *text, struct timestamp *ret_time)
{
    return compact(text, ret_time) ? ERR_OK
                                   : err_set(ERR_INVALID, "\"%s\" is no time like 20261120T140000Z", text);
}

enum err clock_parse_rfc3339(const char *text, struct timestamp *ret_time)
{
    return rfc3339(text, ret_time)
               ? ERR_OK
               : err_set(ERR_INVALID, "\"%s\" is no time like 2026-11-20T14:00:00+01:00", text);
}

enum err clock_parse_age(const char *text, int64_t *ret_secs)
{
    return age(text, ret_secs) ? ERR_OK : err_set(ERR_INVALID, "\"%s\" is no age like 30s 15m 3h 2d 1w", text);
}

enum err clock_parse_when(const char *text, struct timestamp now, struct timestamp *ret_time)
{
    if (compact(text, ret_time) || rfc3339(text, ret_time))
        return ERR_OK;
    struct civil wall;
    if (local(text, &wall))
        return resolve_local(text, &wall, ret_time);
    int64_t age_secs;
    if (age(text, &age_secs)) {
        if (__builtin_sub_overflow(now.secs, age_secs, &now.secs))
            return err_set(ERR_INVALID, "\"%s\" is before all time", text);
        *ret_time = now;
        return ERR_OK;
    }
    return err_set(ERR_INVALID,
                   "\"%s\" is no time; write 20261120T140000Z, 2026-11-20T14:00:00+01:00, "
                   "\"2026-11-20 14:00\" (local time), or an age: 30s 15m 3h 2d 1w",
                   text);
}
