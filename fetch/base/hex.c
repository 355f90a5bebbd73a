#include "fetch/base/hex.h"

static const char digits[] = "0123456789abcdef";

struct hex hex_of(const void *bytes, size_t len)
{
    struct hex h;
    const uint8_t *from = bytes;
    if (len > 32)
        len = 32;
    for (size_t i = 0; i < len; i++) {
        h.text[2 * i] = digits[from[i] >> 4];
        h.text[2 * i + 1] = digits[from[i] & 15];
    }
    h.text[2 * len] = 0;
    return h;
}

struct hex hex_short(const void *bytes)
{
    return hex_of(bytes, 4);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool hex_parse(const char *text, size_t text_len, void *ret_bytes, size_t len)
{
    if (text_len != 2 * len)
        return false;
    uint8_t *to = ret_bytes;
    for (size_t i = 0; i < len; i++) {
        int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Length of the UTF-8 sequence at s (RFC 3629), 0 if there is none. */
static size_t utf8_length(const uint8_t *s, size_t left)
{
    uint8_t b = s[0];
    if (b < 0x80)
        return 1;
    size_t n = b >= 0xf0 && b <= 0xf4 ? 4 : b >= 0xe0 && b <= 0xef ? 3 : b >= 0xc2 && b <= 0xdf ? 2 : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((b == 0xe0 && s[1] < 0xa0) || (b == 0xed && s[1] > 0x9f) || (b == 0xf0 && s[1] < 0x90) ||
        (b == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

bool text_is_utf8(struct slice raw)
{
    for (size_t i = 0; i < raw.len;) {
        size_t n = utf8_length(raw.data + i, raw.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

enum err text_escape(struct slice raw, struct buf *out)
{
    for (size_t i = 0; i < raw.len;) {
        size_t n = utf8_length(raw.data + i, raw.len - i);
        uint8_t b = raw.data[i];
        bool control = b < 0x20 || b == 0x7f || (n == 2 && b == 0xc2 && raw.data[i + 1] < 0xa0);
        if (n == 0 || control || b == '\\') {
            buf_put_format(out, "\\x%02x", b);
            i += 1;
        } else {
            buf_put(out, raw.data + i, n);
            i += n;
        }
    }
    buf_put_u8(out, 0);
    TRY(buf_check(out));
    out->len--;
    return ERR_OK;
}
