/*
 * selftest: one known answer for each algorithm, at program start.
 *
 * A wrong library, a wrong CPU feature or a bad build shows here, before it writes a chunk nobody can
 * read. Covers both roads of chunkid.h. Takes under 5 ms (scrypt at a small cost, by the same code).
 */
#pragma once

#include "fetch/base/err.h"

/* ERR_IO: an answer was wrong; the note names the algorithm. Do not go on. */
enum err crypto_selftest(void);
