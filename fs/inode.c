#include "fs/inode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t inode_of(uint32_t snapshot, uint64_t position)
{
    assert(snapshot > 0 && snapshot <= INODE_NUMBER_MAX && position <= INODE_POSITION_MAX);
    return (uint64_t)snapshot << INODE_POSITION_BITS | position;
}

uint64_t inode_made(enum made kind, uint32_t argument)
{
    assert(argument <= INODE_NUMBER_MAX);
    return (uint64_t)kind << INODE_NUMBER_BITS | argument;
}

uint32_t inode_snapshot(uint64_t ino)
{
    return (uint32_t)(ino >> INODE_POSITION_BITS);
}

uint64_t inode_position(uint64_t ino)
{
    return ino & INODE_POSITION_MAX;
}

enum made inode_made_kind(uint64_t ino)
{
    return (enum made)(inode_position(ino) >> INODE_NUMBER_BITS);
}

uint32_t inode_made_argument(uint64_t ino)
{
    return (uint32_t)(ino & INODE_NUMBER_MAX);
}

uint32_t number_wanted(const uint8_t hash[32])
{
    uint32_t first = (uint32_t)hash[0] | (uint32_t)hash[1] << 8 | (uint32_t)hash[2] << 16 |
                     (uint32_t)hash[3] << 24;
    first &= INODE_NUMBER_MAX;
    return first ? first : 1;
}

/* The slot of a number, or the free one where it belongs. room is a power of two and never full. */
static struct number *slot_of(struct number *all, size_t room, uint32_t number)
{
    size_t at = (number * UINT32_C(2654435761)) & (room - 1);
    while (all[at].number && all[at].number != number)
        at = (at + 1) & (room - 1);
    return &all[at];
}

static enum err grow(struct numbers *n)
{
    size_t room = n->room ? n->room * 2 : 16;
    struct number *all = calloc(room, sizeof *all);
    if (!all)
        return err_set(ERR_NOMEM, "no memory for inode numbers");
    for (size_t i = 0; i < n->room; i++)
        if (n->all[i].number)
            *slot_of(all, room, n->all[i].number) = n->all[i];
    free(n->all);
    n->all = all;
    n->room = room;
    return ERR_OK;
}

enum err numbers_take(struct numbers *n, const uint8_t hash[32], struct number **ret_number)
{
    if (n->used == INODE_NUMBER_MAX)
        return err_set(ERR_INVALID, "all %d inode numbers are taken", INODE_NUMBER_MAX);
    if (n->used * 2 >= n->room && grow(n) != ERR_OK)
        return ERR_NOMEM;
    uint32_t number = number_wanted(hash);
    struct number *slot;
    while ((slot = slot_of(n->all, n->room, number))->number && memcmp(slot->hash, hash, 32) != 0)
        number = number == INODE_NUMBER_MAX ? 1 : number + 1;
    if (!slot->number) {
        slot->number = number;
        memcpy(slot->hash, hash, 32);
        n->used++;
    }
    *ret_number = slot;
    return ERR_OK;
}

struct number *numbers_find(const struct numbers *n, uint32_t number)
{
    if (!n->room || !number)
        return NULL;
    struct number *slot = slot_of(n->all, n->room, number);
    return slot->number ? slot : NULL;
}

struct number *numbers_find_hash(const struct numbers *n, const uint8_t hash[32])
{
    uint32_t number = number_wanted(hash);
    struct number *slot;
    while ((slot = numbers_find(n, number)) && memcmp(slot->hash, hash, 32) != 0)
        number = number == INODE_NUMBER_MAX ? 1 : number + 1;
    return slot;
}

void numbers_clear(struct numbers *n)
{
    free(n->all);
    *n = NUMBERS_EMPTY;
}
