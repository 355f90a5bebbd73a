#include "fetch/store/names.h"

#include <stdlib.h>

void name_list_clear(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
    free(list->sizes);
    *list = (struct name_list){0};
}

static enum err add(void *context, const struct store_entry *entry)
{
    struct name_list *list = context;
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        char **names = realloc(list->names, cap * sizeof *names);
        if (names)
            list->names = names;
        uint64_t *sizes = realloc(list->sizes, cap * sizeof *sizes);
        if (sizes)
            list->sizes = sizes;
        if (!names || !sizes)
            return err_set(ERR_NOMEM, "no memory for %zu names", cap);
        list->cap = cap;
    }
    char *copy = strdup(entry->name);
    if (!copy)
        return err_set(ERR_NOMEM, "no memory for a name");
    list->names[list->count] = copy;
    list->sizes[list->count++] = entry->size_bytes;
    return ERR_OK;
}

enum err store_names(struct store *store, const char *prefix, struct name_list *ret_list)
{
    AUTO(name_list) list = {0};
    TRY(store_list(store, prefix, add, &list));
    *ret_list = list;
    list = (struct name_list){0};
    return ERR_OK;
}
