#include "fetch/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum err buf_reserve(struct buf *b, size_t cap)
{
    if (cap <= b->cap)
        return ERR_OK;
    size_t want = b->cap < 64 ? 64 : b->cap + b->cap / 2;
    if (want < cap)
        want = cap;
    uint8_t *grown = realloc(b->data, want);
    if (!grown) {
        b->failed = true;
        return err_set(ERR_NOMEM, "no memory for %zu bytes", want);
    }
    b->data = grown;
    b->cap = want;
    return ERR_OK;
}

enum err buf_resize(struct buf *b, size_t len)
{
    TRY(buf_reserve(b, len));
    b->len = len;
    return ERR_OK;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
    if (b->failed || len == 0)
        return;
    if (len > SIZE_MAX - b->len || buf_reserve(b, b->len + len) != ERR_OK) {
        b->failed = true;
        return;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.data, s.len);
}

void buf_put_zeros(struct buf *b, size_t len)
{
    if (b->failed || len == 0)
        return;
    if (len > SIZE_MAX - b->len || buf_reserve(b, b->len + len) != ERR_OK) {
        b->failed = true;
        return;
    }
    memset(b->data + b->len, 0, len);
    b->len += len;
}

void buf_put_format(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && !b->failed && buf_reserve(b, b->len + (size_t)n + 1) == ERR_OK) {
        vsnprintf((char *)b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

static void put_little(struct buf *b, uint64_t v, size_t len)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(v >> 8 * i);
    buf_put(b, bytes, len);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    put_little(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    put_little(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    put_little(b, v, 8);
}

void buf_put_i64(struct buf *b, int64_t v)
{
    put_little(b, (uint64_t)v, 8);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    buf_put(b, bytes, n);
}

void buf_put_zigzag(struct buf *b, int64_t v)
{
    buf_put_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void buf_put_bytes(struct buf *b, struct slice s)
{
    buf_put_varint(b, s.len);
    buf_put_slice(b, s);
}

enum err buf_check(const struct buf *b)
{
    return b->failed ? err_set(ERR_NOMEM, "no memory for a buffer of more than %zu bytes", b->cap) : ERR_OK;
}

void buf_move(struct buf *to, struct buf *from)
{
    *to = *from;
    *from = BUF_EMPTY;
}

void buf_clear(struct buf *b)
{
    free(b->data);
    *b = BUF_EMPTY;
}

void buf_wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_clear(b);
}
