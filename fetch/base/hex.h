/*
 * hex: bytes as text and back; short names for messages.
 */
#pragma once

#include "fetch/base/buf.h"

/* Lower-case hex of up to 32 bytes, as a value: hex_of(id, 32).text */
struct hex {
    char text[65];
};
struct hex hex_of(const void *bytes, size_t len);
/* The first 4 bytes only, for messages. */
struct hex hex_short(const void *bytes);

/* Exactly 2*len lower-case hex digits to len bytes; false for anything else. */
bool hex_parse(const char *text, size_t text_len, void *ret_bytes, size_t len);

/* A name as people may see it on a terminal: control bytes, backslash and bytes that are no UTF-8
 * become \xNN. Borrowed input; the text is in out (a buf, NUL-terminated beyond len). */
enum err text_escape(struct slice raw, struct buf *out);
bool text_is_utf8(struct slice raw);
