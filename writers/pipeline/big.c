#include "writers/pipeline/big.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { LARGE_PAGE_BYTES = 2 << 20 };

enum err big_alloc(size_t bytes, struct buf *ret_buf)
{
    /* Small ones would only waste what they do not fill. */
    bool large = bytes >= 2 * LARGE_PAGE_BYTES;
    size_t whole =
        large ? (bytes + LARGE_PAGE_BYTES - 1) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES : bytes;
    void *data = large ? aligned_alloc(LARGE_PAGE_BYTES, whole) : malloc(whole ? whole : 1);
    if (!data)
        return err_set(ERR_NOMEM, "no memory for %zu bytes", bytes);
    if (large)
        (void)madvise(data, whole, MADV_HUGEPAGE);
    *ret_buf = (struct buf){.data = data, .cap = whole};
    return ERR_OK;
}
