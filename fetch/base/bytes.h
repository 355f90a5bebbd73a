/*
 * bytes: the bounded cursor. All bytes from outside are read through it, never by a cast to a struct.
 *
 * A read past the end, or a number in a forbidden form, marks the cursor bad and returns zeros from then
 * on; so a parser reads straight down and asks cursor_check once, before it believes anything. Lengths
 * must be checked (cursor_len does) before they are used to allocate.
 */
#pragma once

#include "fetch/base/buf.h"

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline struct cursor cursor_of(struct slice s)
{
    return (struct cursor){s.data, s.data + s.len, false};
}
static inline size_t cursor_left(const struct cursor *c)
{
    return c->bad ? 0 : (size_t)(c->end - c->at);
}

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
int64_t cursor_i64(struct cursor *c);
uint64_t cursor_varint(struct cursor *c);
int64_t cursor_zigzag(struct cursor *c);

/* The next len bytes, borrowed from the input; empty and bad when fewer are left. */
struct slice cursor_take(struct cursor *c, size_t len);
/* A varint length of at most max, then that many bytes. */
struct slice cursor_bytes(struct cursor *c, size_t max);
/* Copy exactly len bytes out; zeros when bad. */
void cursor_copy(struct cursor *c, void *to, size_t len);
/* A varint that must not exceed max. */
uint64_t cursor_varint_max(struct cursor *c, uint64_t max);
/* Mark bad when what was read makes no sense. */
static inline void cursor_require(struct cursor *c, bool holds)
{
    if (!holds)
        c->bad = true;
}

/* ERR_CORRUPT "WHAT is cut short or malformed" if bad. */
enum err cursor_check(const struct cursor *c, const char *what);
/* The same, and nothing may be left. */
enum err cursor_finish(const struct cursor *c, const char *what);
