/*
 * names: a list of object names in memory, for prefixes known to be small (slots, config, sessions).
 */
#pragma once

#include "fetch/store/store.h"

struct name_list {
    char **names;       /* ascending */
    uint64_t *sizes;
    size_t count, cap;
};
void name_list_clear(struct name_list *list);
enum err store_names(struct store *store, const char *prefix, struct name_list *ret_list);
