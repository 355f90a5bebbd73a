/*
 * log: lines on stderr for whoever looks after the machine.
 *
 *     plain    yore: warning: cannot read /etc/shadow: Permission denied
 *     logfmt   time=2026-11-20T14:00:00.123Z level=warn msg="cannot read /etc/shadow: Permission denied"
 *     json     {"time":"2026-11-20T14:00:00.123Z","level":"warn","msg":"cannot read ..."}
 *
 * Log where an error ends, once: whoever passes it on says nothing. Secrets never go into a line.
 * Bytes that would move a terminal or break a line (names come from outside) appear as \xNN.
 *
 * Threads: any; a line is one write(2), so lines do not mix. Set up once, before threads start.
 */
#pragma once

#include <stdbool.h>

#include "fetch/base/err.h"

/* Not LOG_ERR and so on: those are syslog's. */
enum log_level {
    LOG_LEVEL_ERROR, /* something asked for was not done */
    LOG_LEVEL_WARN,  /* it was done, but somebody should look */
    LOG_LEVEL_INFO,  /* what happened, a few lines a job */
    LOG_LEVEL_DEBUG, /* what happened inside */
};

enum log_style { LOG_STYLE_PLAIN, LOG_STYLE_LOGFMT, LOG_STYLE_JSON };

/* Before this is called: warnings and errors, plain, on stderr. fd is borrowed for good. */
void log_open(enum log_level level, enum log_style style, int fd);
/* Whether lines of that level are written: ask before costly arguments. */
bool log_wants(enum log_level level);

/* One line; a sentence without full stop or newline. Longer than 4 KiB is cut. errno stays. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The end of an error: "noun: sentence of this thread's note", with err=WORD in logfmt and json. */
void log_err(enum log_level level, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "error", "warn", "info", "debug" and back; false for anything else. */
const char *log_level_word(enum log_level level);
bool log_level_parse(const char *word, enum log_level *ret_level);
