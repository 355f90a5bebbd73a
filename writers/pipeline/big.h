/*
 * big: memory in large pieces, on large pages where the kernel gives them.
 *
 * A page fault every 4 KiB costs as much as encrypting those 4 KiB.
 *
 * Source:  madvise(2), MADV_HUGEPAGE.
 * Threads: any.
 */
#pragma once

#include "fetch/base/buf.h"

/* An empty buf with room for bytes; free it as any. The memory is not yet in use: what is never written costs nothing. */
enum err big_alloc(size_t bytes, struct buf *ret_buf);
