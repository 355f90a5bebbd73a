/*
 * buf: bytes we own; slice: bytes we borrow.
 *
 * Appending cannot be checked line by line without drowning the story, so a buf remembers that it ran
 * out of memory: appends after that do nothing, and buf_check at the end says ERR_NOMEM.
 *
 * Threads: no sharing; a buf belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fetch/base/cleanup.h"
#include "fetch/base/err.h"

struct slice {
    const uint8_t *data;
    size_t len;
};

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed; /* an append found no memory; contents are cut short */
};

#define BUF_EMPTY ((struct buf){0})
#define SLICE_EMPTY ((struct slice){0})

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){data, len};
}
static inline struct slice slice_str(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->data, b->len};
}
static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Make room for cap bytes in all; len stays. ERR_NOMEM also marks the buf failed. */
enum err buf_reserve(struct buf *b, size_t cap);
/* Set len (new bytes are undefined), growing as needed. */
enum err buf_resize(struct buf *b, size_t len);

void buf_put(struct buf *b, const void *data, size_t len);
void buf_put_slice(struct buf *b, struct slice s);
void buf_put_zeros(struct buf *b, size_t len);
void buf_put_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Little-endian numbers; varint is LEB128, 1 to 10 bytes, shortest form (docs/format.md section 2). */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_i64(struct buf *b, int64_t v);
void buf_put_varint(struct buf *b, uint64_t v);
/* Signed numbers as varint, zigzag: 0 -1 1 -2 ... become 0 1 2 3 ... */
void buf_put_zigzag(struct buf *b, int64_t v);
/* A varint length, then the bytes. */
void buf_put_bytes(struct buf *b, struct slice s);

/* ERR_NOMEM if any append failed. */
enum err buf_check(const struct buf *b);

/* Hand the bytes over: *to must be empty; from becomes empty. */
void buf_move(struct buf *to, struct buf *from);
/* Free the bytes; b is empty and usable after. */
void buf_clear(struct buf *b);
/* Overwrite with zeros, then clear: for secrets. */
void buf_wipe(struct buf *b);
