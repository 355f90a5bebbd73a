#include "writers/source/found.h"

#include <stdlib.h>

void known_dir_clear(struct known_dir *known)
{
    buf_clear(&known->blob);
    *known = (struct known_dir){0};
}

void found_extra_free(struct found_extra *extra)
{
    if (!extra)
        return;
    buf_clear(&extra->xattrs);
    buf_clear(&extra->target);
    free(extra);
}

void found_dir_free(struct found_dir *dir)
{
    if (!dir)
        return;
    for (size_t i = 0; i < dir->count; i++) {
        struct found *f = &dir->entries[i];
        found_extra_free(f->extra);
        if (f->kind == NODE_DIR) {
            free(f->below);
        } else if (f->state == FOUND_READ && f->result) {
            free(f->result->pieces);
            free(f->result);
        }
    }
    free(dir->entries);
    buf_clear(&dir->names);
    known_dir_clear(&dir->known);
    free(dir);
}
