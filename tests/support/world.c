#include "tests/support/world.h"

#include <stdlib.h>

#include "fetch/base/clock.h"

/* The writer's certificate, as an admin would sign it. */
static enum err cert_make(struct access *a)
{
    struct cert cert = {.roles = ROLES_ALL, .holder = "test"};
    memcpy(cert.public_key, a->keys->signing.public, 32);
    uint32_t domain = a->keys->domains[0].id;
    const char *all[] = {"*"};
    AUTO(buf) fields = BUF_EMPTY;
    TRY(cert_encode(&cert, &domain, 1, all, 1, &fields));
    struct record head = {
        .type = RECORD_CERT, .store = a->keys->store, .signed_secs = clock_now().secs};
    a->certs = calloc(1, sizeof *a->certs);
    if (!a->certs)
        return err_set(ERR_NOMEM, "no memory for a certificate");
    a->cert_count = 1;
    a->certs[0].key_id = key_id_of(cert.public_key);
    memcpy(a->certs[0].public_key, cert.public_key, 32);
    return record_seal(&head, &fields, &a->keys->admin, &a->certs[0].object);
}

static enum err access_make(struct access *a, const struct tmp_dir *tmp, enum world_place place)
{
    struct uid store = {.bytes = "world of testing"};
    uint8_t recovery_secret[32];
    if (place == WORLD_MEMORY)
        TRY(store_mem_open(&a->store));
    else
        TRY(store_dir_open(tmp_path(tmp, "store").text, true, &a->store));
    TRY(keyring_generate(&store, &a->keys, recovery_secret));
    config_init_default(&a->config);
    a->head.store = store;
    return cert_make(a);
}

enum err world_new(struct world *ret_world, enum world_place place)
{
    AUTO(world) world = WORLD_NONE;
    TRY(tmp_dir_new(&world.tmp));
    world.access = calloc(1, sizeof *world.access);
    if (!world.access)
        return err_set(ERR_NOMEM, "no memory for a world");
    TRY(access_make(world.access, &world.tmp, place));
    *ret_world = world;
    world = WORLD_NONE;
    return ERR_OK;
}

void world_clear(struct world *world)
{
    access_free(world->access);
    tmp_dir_clear(&world->tmp);
    *world = WORLD_NONE;
}

enum err world_index(struct world *world, const char *name, struct index **ret_index)
{
    return index_open(world->access, tmp_path(&world->tmp, name).text, ret_index);
}

static enum err count_see(void *context, const struct store_entry *entry)
{
    (void)entry;
    ++*(size_t *)context;
    return ERR_OK;
}

enum err world_count(struct world *world, const char *prefix, size_t *ret_count)
{
    *ret_count = 0;
    return store_list(world->access->store, prefix, count_see, ret_count);
}
