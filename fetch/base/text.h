/*
 * text: numbers and sizes as people write them. (Names of files as text: hex.h.)
 */
#pragma once

#include <stdint.h>

#include "fetch/base/err.h"

/* Decimal digits only, within min and max. ERR_INVALID names what ("workers"), the text and the bounds. */
enum err text_parse_u64(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *ret_number);

/*
 * A size: "4096", "512M", "1.5G", "64KiB". Units K M G T P E are powers of 1024, also with iB; B is bytes.
 * A fraction needs a unit; parts of a byte are cut off. Case does not matter.
 *
 *   ERR_INVALID  not that; more than 2^64-1; or KB, MB ...: that is 1000 to some people and 1024 to others
 */
enum err text_parse_size(const char *text, uint64_t *ret_bytes);

/* "1.5 GiB", "512 MiB", "97 B": at most three digits and a decimal, rounded to nearest; for people. */
struct size_text {
    char text[16];
};
struct size_text text_size(uint64_t bytes);
