/*
 * world: a store with its keys and settings, and caches to look at it through: what tests of index, writers and mount begin with.
 *
 *     AUTO(world) world = WORLD_NONE;
 *     CHECK_OK(world_new(&world, WORLD_MEMORY));
 *     AUTO_PTR(index) index = NULL;
 *     CHECK_OK(world_index(&world, "a", &index));
 *
 * No keystore, no passphrase: the keyring is made on the spot, with every role.
 */
#pragma once

#include "index/index.h"
#include "tests/support/tmp.h"

enum world_place { WORLD_MEMORY, WORLD_FOLDER };

struct world {
    struct tmp_dir tmp;
    struct access *access; /* with access->store */
};
#define WORLD_NONE ((struct world){.tmp = TMP_DIR_NONE})

enum err world_new(struct world *ret_world, enum world_place place);
void world_clear(struct world *world);

/* An index of its own cache folder; the same name is the same folder. */
enum err world_index(struct world *world, const char *name, struct index **ret_index);

/* How many objects begin with prefix. */
enum err world_count(struct world *world, const char *prefix, size_t *ret_count);
