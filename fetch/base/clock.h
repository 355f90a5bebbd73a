/*
 * clock: what time it is, and times as people and programs write them.
 *
 * Time always comes from here, so that a test can hold it still. Formatting and parsing of UTC are pure
 * arithmetic (proleptic Gregorian calendar, years 0000 to 9999, no leap seconds); only the local forms ask the
 * system for its zone (TZ, /etc/localtime).
 *
 * Source:  ISO 8601 basic; RFC 3339; civil-from-days as Howard Hinnant's "chrono-compatible low-level date
 *          algorithms".
 * Threads: all functions, any thread; clock_freeze and friends are for tests.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fetch/base/err.h"

/* A point in time: seconds since 1970-01-01T00:00:00Z, negative before; nanos count forward, < 10^9. */
struct timestamp {
    int64_t secs;
    uint32_t nanos;
};

struct timestamp clock_now(void);
/* Never steps back; has no meaning but as a difference. */
uint64_t clock_monotonic_ns(void);
/* Wait. With a frozen clock: advance it and return at once. */
void clock_sleep_ns(uint64_t ns);

/* For tests: clock_now is this and stands still (the monotonic clock too); advance both; let them run. */
void clock_freeze(struct timestamp now);
void clock_advance_ns(uint64_t ns);
void clock_thaw(void);

/* -1, 0, 1 as a is before, at, after b. */
int timestamp_compare(struct timestamp a, struct timestamp b);

/* Room for any text below. */
enum { TIME_TEXT_MAX = 48 };

/* "20261120T140000Z": the names in the mount and in the store. Fractions are cut off, not rounded.
 * A year outside 0000 to 9999 is written "@SECONDS", here and below, which no parser here takes. */
void clock_format_compact(struct timestamp t, char ret_text[static TIME_TEXT_MAX]);
/* "2026-11-20T14:00:00Z" with decimals (0 to 9) of the second: JSON, logs. */
void clock_format_rfc3339(struct timestamp t, int decimals, char ret_text[static TIME_TEXT_MAX]);
/* "2026-11-20T15:00:00+01:00": for people. The same instant to the second, also where the zone's offset
 * has seconds (before about 1900), which the text cannot say: it is cut to minutes and the time moved. */
void clock_format_local(struct timestamp t, char ret_text[static TIME_TEXT_MAX]);

/* Exactly "20261120T140000Z". ERR_INVALID: not that, or no such day. */
enum err clock_parse_compact(const char *text, struct timestamp *ret_time);
/* RFC 3339 with an offset; T or space between, up to 9 decimals kept, more are cut; second 60 is the next
 * minute's 0. ERR_INVALID otherwise. */
enum err clock_parse_rfc3339(const char *text, struct timestamp *ret_time);
/* An age: digits and one of s m h d w. At most 10,000 years. ERR_INVALID otherwise. */
enum err clock_parse_age(const char *text, int64_t *ret_secs);

/*
 * WHEN, as commands take it: one of
 *     20261120T140000Z
 *     2026-11-20T14:00:00+01:00    or Z
 *     2026-11-20 14:00[:SS]        in the local zone
 *     30s 15m 3h 2d 1w             that long before now
 *
 *   ERR_INVALID  nothing of this; or a local time that happens twice or not at all because the clocks
 *                change: the sentence then names the texts that say it with an offset
 */
enum err clock_parse_when(const char *text, struct timestamp now, struct timestamp *ret_time);
