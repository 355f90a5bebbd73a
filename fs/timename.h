/*
 * timename: what a snapshot is called in the mount when people want other names than ours
 * (--time-format).
 *
 * Names are strftime of UTC; of snapshots with equal names (in one second, or a coarse format) the
 * later ones get -2, -3 ... Those with equal names must follow each other in time, so a format may
 * be coarse but not leave out what is in the middle: "%Y-%m-%d" is fine, "%H:%M" and "%Y-%m-%d %M"
 * are not.
 *
 * Threads: no state.
 */
#pragma once

#include "fetch/base/clock.h"

enum { TIME_NAME_MAX = 200 };

/* ERR_INVALID says what is wrong with a format. */
enum err time_format_check(const char *format);

/* nth: 0 for the first of that name, 1 for the second ... The format was checked. A time outside
 * the years 0 to 9999 gets its compact text. */
void time_name(const char *format, struct timestamp time, unsigned nth,
               char ret_name[static TIME_NAME_MAX + 16]);
