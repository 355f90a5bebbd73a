#include "writers/source/notes.h"

#include <pthread.h>
#include <stdlib.h>

#include "fetch/base/hex.h"
#include "fetch/base/log.h"

enum { NOTES_KEPT = 10000, NOTES_WARNED = 100 };

struct notes {
    pthread_mutex_t lock; /* all below; before nothing */
    uint64_t counts[NOTE_KINDS];
    uint64_t kept, warned;
    json_t *rows;
    struct buf text;
};

static const char *const words[NOTE_KINDS] = {"unreadable", "vanished", "changed", "skipped"};
static const char *const sentences[NOTE_KINDS] = {"cannot read", "vanished", "changed while read",
                                                  "left aside"};

enum err notes_new(struct notes **ret_notes)
{
    struct notes *notes = calloc(1, sizeof *notes);
    if (!notes)
        return err_set(ERR_NOMEM, "no memory for notes");
    pthread_mutex_init(&notes->lock, NULL);
    notes->rows = json_array();
    *ret_notes = notes;
    return ERR_OK;
}

void notes_free(struct notes *notes)
{
    if (!notes)
        return;
    pthread_mutex_destroy(&notes->lock);
    json_decref(notes->rows);
    buf_clear(&notes->text);
    free(notes);
}

/* Standard base64 (RFC 4648), padded. */
static json_t *base64(struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    AUTO(buf) out = BUF_EMPTY;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t v = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            v |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            v |= bytes.data[i + 2];
        buf_put_u8(&out, (uint8_t)digits[v >> 18]);
        buf_put_u8(&out, (uint8_t)digits[v >> 12 & 63]);
        buf_put_u8(&out, left > 1 ? (uint8_t)digits[v >> 6 & 63] : '=');
        buf_put_u8(&out, left > 2 ? (uint8_t)digits[v & 63] : '=');
    }
    return buf_check(&out) == ERR_OK ? json_stringn((const char *)out.data, out.len) : NULL;
}

static void row_keep(struct notes *notes, enum note_what what, struct slice path, const char *why)
{
    AUTO(buf) name = BUF_EMPTY;
    if (text_escape(path, &name) != ERR_OK)
        return;
    bool plain = text_is_utf8(path);
    json_t *row = json_object();
    json_object_set_new(row, "path",
                        plain ? json_stringn((const char *)path.data, path.len)
                              : json_stringn((const char *)name.data, name.len));
    if (!plain)
        json_object_set_new(row, "path_base64", base64(path));
    json_object_set_new(row, "what", json_string(words[what]));
    json_object_set_new(row, "why", json_string(why));
    json_array_append_new(notes->rows, row);
    buf_put_format(&notes->text, "%s %.*s: %s\n", sentences[what], (int)name.len,
                   (const char *)name.data, why);
}

void notes_add(struct notes *notes, enum note_what what, struct slice path, const char *why)
{
    pthread_mutex_lock(&notes->lock);
    notes->counts[what]++;
    bool warn = notes->warned++ < NOTES_WARNED;
    if (notes->kept < NOTES_KEPT) {
        notes->kept++;
        row_keep(notes, what, path, why);
    }
    pthread_mutex_unlock(&notes->lock);
    if (!warn)
        return;
    if (what == NOTE_SKIPPED)
        log_info("%s %.*s: %s", sentences[what], (int)path.len, (const char *)path.data, why);
    else
        log_warn("%s %.*s: %s", sentences[what], (int)path.len, (const char *)path.data, why);
}

uint64_t notes_count(struct notes *notes, enum note_what what)
{
    pthread_mutex_lock(&notes->lock);
    uint64_t count = notes->counts[what];
    pthread_mutex_unlock(&notes->lock);
    return count;
}

json_t *notes_json(struct notes *notes)
{
    pthread_mutex_lock(&notes->lock);
    json_t *copy = json_deep_copy(notes->rows);
    pthread_mutex_unlock(&notes->lock);
    return copy;
}

enum err notes_text(struct notes *notes, struct buf *out)
{
    pthread_mutex_lock(&notes->lock);
    buf_put_slice(out, buf_slice(&notes->text));
    pthread_mutex_unlock(&notes->lock);
    return buf_check(out);
}
