/*
 * err: one error type for the whole program, named by what the caller can do about it.
 *
 * The code travels as the return value; the sentence that explains it is a note kept per thread. Whoever
 * detects an error states the facts with err_set, whoever passes it on may add a noun with err_add,
 * whoever ends it (a command, a FUSE reply, a job) logs err_text once.
 *
 * Threads: the note is thread-local. To carry an error to another thread, err_take it into an
 *          err_note there and err_raise it here.
 */
#pragma once

#include <stddef.h>

enum err {
    ERR_OK = 0,
    ERR_NOMEM,       /* memory or a memory bound is used up */
    ERR_INVALID,     /* the request makes no sense: usage or configuration (exit 1) */
    ERR_NOT_FOUND,   /* the thing named does not exist */
    ERR_EXISTS,      /* the thing to be made is there already */
    ERR_CORRUPT,     /* bytes break the format, or do not match their name: damage (exit 7) */
    ERR_AUTH,        /* a tag or signature does not verify: damage or forgery (exit 7) */
    ERR_NO_KEY,      /* the keys at hand do not open this (exit 3) */
    ERR_DENIED,      /* wrong password, or the right is lacking: 401, 403, EACCES (exit 3) */
    ERR_UNSUPPORTED, /* written by a newer version (exit 6) */
    ERR_NO_STORE,    /* there is no store at that place (exit 4) */
    ERR_UNREACHABLE, /* the store does not answer, after all retries (exit 4) */
    ERR_AGAIN,       /* a passing fault: the same call may succeed soon */
    ERR_FULL,        /* no space or quota left (exit 5) */
    ERR_FENCED,      /* this session was fenced, or another host owns the job (exit 8) */
    ERR_CANCELED,    /* somebody asked to stop */
    ERR_IO,          /* the system refused for another reason; the note has the errno text (exit 9) */
};

/* Longest sentence kept; longer ones are cut. */
enum { ERR_TEXT_MAX = 1024 };

/* An error lifted out of its thread. */
struct err_note {
    enum err code;
    char text[ERR_TEXT_MAX];
};

/* State an error: replaces this thread's note. Returns code, so that `return err_set(...)` reads well. */
enum err err_set(enum err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* State the error behind errno (ENOSPC and EDQUOT: ERR_FULL, ENOENT: ERR_NOT_FOUND, EEXIST: ERR_EXISTS,
 * EACCES and EPERM: ERR_DENIED, ENOMEM: ERR_NOMEM, else ERR_IO); its text is appended to the sentence. */
enum err err_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Put "noun: " before the note of an error that is passed on. Returns code; does nothing for ERR_OK. */
enum err err_add(enum err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence of this thread's last error; never NULL. */
const char *err_text(void);

/* Move this thread's note out (code as given), and back in. */
void err_take(enum err code, struct err_note *ret_note);
enum err err_raise(const struct err_note *note);

/* A short fixed word for a code: "corrupt", "not-found". For JSON and logs. */
const char *err_word(enum err code);
