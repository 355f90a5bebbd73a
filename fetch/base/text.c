#include "fetch/base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char units[] = "KMGTPE";

enum err text_parse_u64(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *ret_number)
{
    uint64_t v = 0;
    const char *at = text;
    bool fits = true;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*at - '0'), &v))
            fits = false;
    if (at == text || *at)
        return err_set(ERR_INVALID, "%s: \"%s\" is no number", what, text);
    if (!fits || v < min || v > max)
        return err_set(ERR_INVALID, "%s: %s is not between %llu and %llu", what, text,
                       (unsigned long long)min, (unsigned long long)max);
    *ret_number = v;
    return ERR_OK;
}

static enum err bad_size(const char *text)
{
    return err_set(ERR_INVALID, "\"%s\" is no size; write 4096, 512M, 1.5G or 64KiB", text);
}

enum err text_parse_size(const char *text, uint64_t *ret_bytes)
{
    /* Whole and fraction apart: the fraction is digits of 10^-18, so that no size is off by a byte
     * for want of binary fractions. */
    const char *at = text;
    unsigned __int128 whole = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        whole = whole * 10 + (unsigned)(*at - '0');
        if (whole > UINT64_MAX)
            return err_set(ERR_INVALID, "size %s is too large", text);
    }
    if (at == text)
        return bad_size(text);
    static const uint64_t fraction_one = 1000000000000000000u;
    uint64_t fraction = 0;
    bool has_fraction = *at == '.';
    if (has_fraction) {
        const char *first = ++at;
        for (uint64_t unit = fraction_one / 10; *at >= '0' && *at <= '9'; at++, unit /= 10)
            fraction += (uint64_t)(*at - '0') * unit;
        if (at == first)
            return bad_size(text);
    }
    unsigned shift = 0;
    if (*at && strcasecmp(at, "B") != 0) {
        const char *unit = memchr(units, *at & ~0x20, sizeof units - 1);
        if (!unit)
            return bad_size(text);
        shift = 10 * (unsigned)(unit - units + 1);
        if (strcasecmp(at + 1, "B") == 0)
            return err_set(ERR_INVALID, "\"%s\" means two things; write %ciB for 1024s", text, *unit);
        if (at[1] && strcasecmp(at + 1, "iB") != 0)
            return bad_size(text);
    } else if (has_fraction) {
        return bad_size(text);
    }
    unsigned __int128 bytes = (whole << shift) + (((unsigned __int128)fraction << shift) / fraction_one);
    if (bytes > UINT64_MAX)
        return err_set(ERR_INVALID, "size %s is too large", text);
    *ret_bytes = (uint64_t)bytes;
    return ERR_OK;
}

struct size_text text_size(uint64_t bytes)
{
    struct size_text s;
    if (bytes < 1024) {
        snprintf(s.text, sizeof s.text, "%u B", (unsigned)bytes);
        return s;
    }
    /* The unit that leaves less than 1024 after rounding to one decimal. */
    unsigned unit = 0;
    uint64_t tenths;
    for (;; unit++) {
        unsigned shift = 10 * (unit + 1);
        tenths = (uint64_t)(((unsigned __int128)bytes * 10 + ((unsigned __int128)1 << (shift - 1))) >> shift);
        if (tenths < 10240 || unit == sizeof units - 2)
            break;
    }
    if (tenths % 10 == 0)
        snprintf(s.text, sizeof s.text, "%u %ciB", (unsigned)(tenths / 10), units[unit]);
    else
        snprintf(s.text, sizeof s.text, "%u.%u %ciB", (unsigned)(tenths / 10), (unsigned)(tenths % 10), units[unit]);
    return s;
}
