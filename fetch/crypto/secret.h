/*
 * secret: memory for keys, what keeps keys off the disk, and comparing secrets.
 *
 * Random keys come from fetch/base/rand.h.
 *
 * Threads: any.
 */
#pragma once

#include "fetch/base/buf.h"

/*
 * Zeroed memory for a secret, page-aligned, locked against swapping where the system allows it (if not,
 * it is given all the same: RLIMIT_MEMLOCK must not decide whether a restore works) and left out of core
 * dumps. Takes whole pages: for key material, not for every small thing. NULL without memory.
 */
void *secret_alloc(size_t size);
/* Wipe and give back; NULL is fine. Only for memory of secret_alloc. */
void secret_free(void *secret);

/* Overwrite with zeros, even if nobody reads it after. */
void secret_wipe(void *where, size_t len);

/* No core file and no debugger of the same user for this process. Call at program start. */
enum err secret_no_core_dumps(void);

/* Are the bytes equal? Takes the same time wherever they differ. */
bool secret_equal(const void *a, const void *b, size_t len);
