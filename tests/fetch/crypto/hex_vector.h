/*
 * hex_vector: known answers as they stand in their RFCs.
 */
#pragma once

#include "fetch/base/hex.h"
#include "tests/support/test.h"

/* The bytes of a hex string, now the caller's; empty and a failed test if it is none. */
static inline struct buf unhex(const char *text)
{
    struct buf b = BUF_EMPTY;
    size_t len = strlen(text) / 2;
    CHECK_OR(b, buf_resize(&b, len) == ERR_OK && hex_parse(text, 2 * len, b.data, len));
    return b;
}

#define CHECK_HEX(got, expected_hex)                                                               \
    do {                                                                                           \
        AUTO(buf) expected_ = unhex(expected_hex);                                                 \
        CHECK_MEM((got), expected_.data, expected_.len);                                           \
    } while (0)

static inline bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}
