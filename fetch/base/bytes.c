#include "fetch/base/bytes.h"

struct slice cursor_take(struct cursor *c, size_t len)
{
    if (c->bad || len > (size_t)(c->end - c->at)) {
        c->bad = true;
        return SLICE_EMPTY;
    }
    struct slice s = slice_of(c->at, len);
    c->at += len;
    return s;
}

static uint64_t little(struct cursor *c, size_t len)
{
    struct slice s = cursor_take(c, len);
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++)
        v |= (uint64_t)s.data[i] << 8 * i;
    return v;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)little(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)little(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)little(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return little(c, 8);
}

int64_t cursor_i64(struct cursor *c)
{
    return (int64_t)little(c, 8);
}

uint64_t cursor_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; !c->bad && shift < 70; shift += 7) {
        if (c->at == c->end)
            break;
        uint8_t byte = *c->at++;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            if (byte == 0 && shift > 0)
                break; /* not the shortest form */
            return v;
        }
    }
    c->bad = true;
    return 0;
}

int64_t cursor_zigzag(struct cursor *c)
{
    uint64_t v = cursor_varint(c);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

uint64_t cursor_varint_max(struct cursor *c, uint64_t max)
{
    uint64_t v = cursor_varint(c);
    if (v > max) {
        c->bad = true;
        return 0;
    }
    return v;
}

struct slice cursor_bytes(struct cursor *c, size_t max)
{
    return cursor_take(c, cursor_varint_max(c, max));
}

void cursor_copy(struct cursor *c, void *to, size_t len)
{
    struct slice s = cursor_take(c, len);
    if (s.len)
        memcpy(to, s.data, s.len);
    else if (len)
        memset(to, 0, len);
}

enum err cursor_check(const struct cursor *c, const char *what)
{
    return c->bad ? err_set(ERR_CORRUPT, "%s is cut short or malformed", what) : ERR_OK;
}

enum err cursor_finish(const struct cursor *c, const char *what)
{
    TRY(cursor_check(c, what));
    return c->at == c->end ? ERR_OK : err_set(ERR_CORRUPT, "%s has bytes too many", what);
}
