/* Tree chunks: pages, lists, snapshot roots. What decodes must encode to something that decodes. */
#include "fetch/format/tree.h"
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    AUTO(page) page = {0};
    if (page_decode(bytes, &page) == ERR_OK && !page.is_index) {
        for (size_t i = 0; i < page.count; i++) {
            struct cursor xattrs = cursor_of(page.entries[i].xattrs);
            struct xattr x;
            while (xattr_next(&xattrs, &x))
                ;
            if (page.entries[i].kind == 0)
                continue;
            AUTO(buf) again = BUF_EMPTY;
            entry_encode(&page.entries[i], &again);
            struct cursor c = cursor_of(buf_slice(&again));
            struct entry back;
            if (entry_decode(&c, false, &back) != ERR_OK)
                abort();
        }
    }
    AUTO(list) list = {0};
    if (list_decode(bytes, &list) == ERR_OK && list.length)
        list_find(&list, list.length - 1);
    struct snapshot_root root;
    snapshot_root_decode(bytes, &root);
    return 0;
}
