#include "fetch/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fetch/base/clock.h"
#include "fetch/base/hex.h"

enum { LINE_MAX_BYTES = 4096 };

static atomic_int wanted = LOG_LEVEL_WARN;
static atomic_int chosen_style = LOG_STYLE_PLAIN;
static atomic_int log_fd = STDERR_FILENO;

void log_open(enum log_level level, enum log_style style, int fd)
{
    atomic_store(&wanted, (int)level);
    atomic_store(&chosen_style, (int)style);
    atomic_store(&log_fd, fd);
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load(&wanted);
}

/* A line in the making: what does not fit is cut, and the newline always fits. */
struct line {
    char text[LINE_MAX_BYTES * 4 + 256];
    size_t len;
};

static void put(struct line *l, const char *text, size_t len)
{
    size_t room = sizeof l->text - 1 - l->len;
    if (len > room)
        len = room;
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

static void put_str(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

static void put_escaped(struct line *l, const char *text, const char *specials, bool json)
{
    for (const char *at = text; *at;) {
        unsigned char c = (unsigned char)*at;
        /* Whole UTF-8 sequences pass; control bytes and stray ones do not (C1 controls are c2 80..9f). */
        size_t n = 1;
        while (n < 4 && ((unsigned char)at[n] & 0xc0) == 0x80)
            n++;
        bool control = c < 0x20 || c == 0x7f || (c == 0xc2 && n == 2 && (unsigned char)at[1] < 0xa0);
        char out[8];
        if (control || (c >= 0x80 && !text_is_utf8(slice_of(at, n)))) {
            put(l, out, (size_t)snprintf(out, sizeof out, json ? "\\\\x%02x" : "\\x%02x", c));
            at++;
        } else if (strchr(specials, c)) {
            put(l, out, (size_t)snprintf(out, sizeof out, "\\%c", c));
            at++;
        } else {
            size_t take = c < 0x80 ? 1 : n;
            put(l, at, take);
            at += take;
        }
    }
}

static void write_line(enum log_level level, enum err code, const char *text)
{
    int saved = errno;
    struct line l = {.len = 0};
    char when[TIME_TEXT_MAX];
    switch ((enum log_style)atomic_load(&chosen_style)) {
    case LOG_STYLE_PLAIN:
        put_str(&l, level == LOG_LEVEL_ERROR  ? "yore: error: "
                    : level == LOG_LEVEL_WARN ? "yore: warning: "
                                              : "yore: ");
        put_escaped(&l, text, "", false);
        break;
    case LOG_STYLE_LOGFMT:
        clock_format_rfc3339(clock_now(), 3, when);
        put_str(&l, "time=");
        put_str(&l, when);
        put_str(&l, " level=");
        put_str(&l, log_level_word(level));
        if (code != ERR_OK) {
            put_str(&l, " err=");
            put_str(&l, err_word(code));
        }
        put_str(&l, " msg=\"");
        put_escaped(&l, text, "\"\\", false);
        put_str(&l, "\"");
        break;
    case LOG_STYLE_JSON:
        clock_format_rfc3339(clock_now(), 3, when);
        put_str(&l, "{\"time\":\"");
        put_str(&l, when);
        put_str(&l, "\",\"level\":\"");
        put_str(&l, log_level_word(level));
        if (code != ERR_OK) {
            put_str(&l, "\",\"err\":\"");
            put_str(&l, err_word(code));
        }
        put_str(&l, "\",\"msg\":\"");
        put_escaped(&l, text, "\"\\", true);
        put_str(&l, "\"}");
        break;
    }
    l.text[l.len++] = '\n';
    ssize_t n;
    do
        n = write(atomic_load(&log_fd), l.text, l.len);
    while (n < 0 && errno == EINTR);
    errno = saved; /* and a log that cannot be written has nobody to tell */
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        if (!log_wants(level))                                                                     \
            return;                                                                                \
        char text[LINE_MAX_BYTES];                                                                 \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        vsnprintf(text, sizeof text, format, args);                                                \
        va_end(args);                                                                              \
        write_line(level, ERR_OK, text);                                                           \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void log_err(enum log_level level, enum err code, const char *format, ...)
{
    if (!log_wants(level))
        return;
    char noun[LINE_MAX_BYTES - ERR_TEXT_MAX - 2];
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(noun, sizeof noun, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", noun, err_text());
    write_line(level, code, text);
}

static const char *const level_words[] = {"error", "warn", "info", "debug"};

const char *log_level_word(enum log_level level)
{
    return level_words[level];
}

bool log_level_parse(const char *word, enum log_level *ret_level)
{
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
        if (strcmp(word, level_words[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}
