#include "fetch/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char note[ERR_TEXT_MAX];

enum err err_set(enum err code, const char *format, ...)
{
    char text[ERR_TEXT_MAX]; /* apart, for an argument may be err_text() itself */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(note, text, sizeof note);
    return code;
}

static enum err code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

enum err err_errno(const char *format, ...)
{
    int number = errno;
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char why[128];
    const char *reason = strerror_r(number, why, sizeof why);
    return err_set(code_of_errno(number), "%s: %s", text, reason);
}

enum err err_add(enum err code, const char *format, ...)
{
    if (code == ERR_OK)
        return code;
    char noun[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(noun, sizeof noun, format, args);
    va_end(args);
    return err_set(code, "%s: %s", noun, note);
}

const char *err_text(void)
{
    return note;
}

void err_take(enum err code, struct err_note *ret_note)
{
    ret_note->code = code;
    memcpy(ret_note->text, note, sizeof note);
}

enum err err_raise(const struct err_note *from)
{
    if (from->code != ERR_OK)
        memcpy(note, from->text, sizeof note);
    return from->code;
}

const char *err_word(enum err code)
{
    static const char *const words[] = {
        [ERR_OK] = "ok",
        [ERR_NOMEM] = "no-memory",
        [ERR_INVALID] = "invalid",
        [ERR_NOT_FOUND] = "not-found",
        [ERR_EXISTS] = "exists",
        [ERR_CORRUPT] = "corrupt",
        [ERR_AUTH] = "not-authentic",
        [ERR_NO_KEY] = "no-key",
        [ERR_DENIED] = "denied",
        [ERR_UNSUPPORTED] = "newer-format",
        [ERR_NO_STORE] = "no-store",
        [ERR_UNREACHABLE] = "unreachable",
        [ERR_AGAIN] = "try-again",
        [ERR_FULL] = "no-space",
        [ERR_FENCED] = "fenced",
        [ERR_CANCELED] = "canceled",
        [ERR_IO] = "io",
    };
    return (size_t)code < sizeof words / sizeof *words && words[code] ? words[code] : "unknown";
}
