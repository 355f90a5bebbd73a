#include "tools/print.h"

#include <errno.h>
#include <stdlib.h>

#include "fetch/base/clock.h"
#include "fetch/base/text.h"

void print_name(FILE *to, struct slice raw)
{
    AUTO(buf) text = BUF_EMPTY;
    if (text_escape(raw, &text) == ERR_OK)
        fwrite(text.data, 1, text.len, to);
}

enum err print_json(json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    if (!line)
        return err_set(ERR_NOMEM, "no memory for a line of JSON");
    bool lost = puts(line) < 0;
    free(line);
    return lost ? err_errno("standard output") : ERR_OK;
}

static void base64(struct slice raw, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < raw.len; i += 3) {
        size_t left = raw.len - i;
        uint32_t bits = (uint32_t)raw.data[i] << 16;
        if (left > 1)
            bits |= (uint32_t)raw.data[i + 1] << 8;
        if (left > 2)
            bits |= raw.data[i + 2];
        buf_put_u8(out, (uint8_t)digits[bits >> 18]);
        buf_put_u8(out, (uint8_t)digits[bits >> 12 & 63]);
        buf_put_u8(out, left > 1 ? (uint8_t)digits[bits >> 6 & 63] : '=');
        buf_put_u8(out, left > 2 ? (uint8_t)digits[bits & 63] : '=');
    }
}

void json_set_name(json_t *object, const char *key, struct slice raw)
{
    if (text_is_utf8(raw)) {
        json_object_set_new(object, key, json_stringn((const char *)raw.data, raw.len));
        return;
    }
    AUTO(buf) text = BUF_EMPTY, encoded = BUF_EMPTY;
    char long_key[64];
    snprintf(long_key, sizeof long_key, "%.40s_base64", key);
    base64(raw, &encoded);
    if (text_escape(raw, &text) == ERR_OK)
        json_object_set_new(object, key, json_stringn((const char *)text.data, text.len));
    json_object_set_new(object, long_key, json_stringn((const char *)encoded.data, encoded.len));
}

void json_set_time(json_t *object, const char *key, struct timestamp t)
{
    char text[TIME_TEXT_MAX];
    clock_format_rfc3339(t, t.nanos ? 9 : 0, text);
    json_object_set_new(object, key, json_string(text));
}

json_t *json_of_totals(const struct totals *t)
{
    return json_pack("{sI sI sI sI sI sI sI}", "nodes", (json_int_t)t->nodes, "files", (json_int_t)t->files, "dirs",
                     (json_int_t)t->dirs, "bytes", (json_int_t)t->bytes, "new_bytes", (json_int_t)t->new_bytes, "stored_bytes",
                     (json_int_t)t->stored_bytes, "left_out", (json_int_t)t->left_out);
}

static json_t *json_of_labels(const char *joined)
{
    json_t *list = json_array();
    for (const char *at = joined; *at;) {
        size_t len = strcspn(at, "\n");
        json_array_append_new(list, json_stringn(at, len));
        at += len + (at[len] == '\n');
    }
    return list;
}

json_t *json_of_snapshot(const struct snapshot_info *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "service", json_string(s->service));
    json_object_set_new(o, "name", json_string(s->name));
    json_object_set_new(o, "kind", json_string(s->kind));
    json_set_time(o, "time", s->time);
    json_set_time(o, "finished", s->finished);
    json_object_set_new(o, "host", json_string(s->host_name));
    json_object_set_new(o, "id", json_string(hex_of(s->sha256.bytes, 32).text));
    json_object_set_new(o, "partial", json_boolean(s->flags & SNAPSHOT_PARTIAL));
    json_object_set_new(o, "held", json_boolean(s->flags & SNAPSHOT_HELD));
    json_object_set_new(o, "tags", json_of_labels(s->labels));
    json_object_set_new(o, "totals", json_of_totals(&s->totals));
    return o;
}

static const char *kind_word(enum node_kind kind)
{
    static const char *const words[] = {"unreadable", "directory", "file", "symlink", "block", "char", "fifo", "socket"};
    return (size_t)kind < sizeof words / sizeof *words ? words[kind] : "unreadable";
}

json_t *json_of_entry(struct slice path, const struct entry *e, uint64_t position)
{
    json_t *o = json_object();
    json_set_name(o, "path", path);
    json_object_set_new(o, "kind", json_string(kind_word(e->kind)));
    json_object_set_new(o, "mode", json_integer(e->mode));
    json_object_set_new(o, "uid", json_integer(e->uid));
    json_object_set_new(o, "gid", json_integer(e->gid));
    json_set_time(o, "mtime", e->mtime);
    json_object_set_new(o, "position", json_integer((json_int_t)position));
    if (e->kind == NODE_FILE)
        json_object_set_new(o, "size", json_integer((json_int_t)e->content.length));
    if (e->has_sha256)
        json_object_set_new(o, "sha256", json_string(hex_of(e->sha256, 32).text));
    if (e->kind == NODE_SYMLINK)
        json_set_name(o, "target", e->target);
    if (e->kind == NODE_BLOCK || e->kind == NODE_CHAR) {
        json_object_set_new(o, "major", json_integer(e->major));
        json_object_set_new(o, "minor", json_integer(e->minor));
    }
    return o;
}

void mode_text(const struct entry *e, char ret_text[11])
{
    static const char kinds[] = "?d-lbcps";
    ret_text[0] = (size_t)e->kind < sizeof kinds - 1 ? kinds[e->kind] : '?';
    for (int i = 0; i < 9; i++)
        ret_text[1 + i] = e->mode & (0400u >> i) ? "rwx"[i % 3] : '-';
    if (e->mode & 04000)
        ret_text[3] = e->mode & 0100 ? 's' : 'S';
    if (e->mode & 02000)
        ret_text[6] = e->mode & 0010 ? 's' : 'S';
    if (e->mode & 01000)
        ret_text[9] = e->mode & 0001 ? 't' : 'T';
    ret_text[10] = 0;
}

void print_entry(struct slice path, const struct entry *e)
{
    char mode[11], time[TIME_TEXT_MAX];
    mode_text(e, mode);
    clock_format_local(e->mtime, time);
    unsigned long long size = e->kind == NODE_FILE ? e->content.length : e->kind == NODE_DIR ? e->below.entries : 0;
    printf("%s %6u %6u %12llu %s ", mode, e->uid, e->gid, size, time);
    print_name(stdout, path);
    if (e->kind == NODE_SYMLINK) {
        fputs(" -> ", stdout);
        print_name(stdout, e->target);
    }
    putchar('\n');
}

enum err print_finish(void)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout))
        return errno ? err_errno("standard output") : err_set(ERR_IO, "standard output was lost");
    return ERR_OK;
}
