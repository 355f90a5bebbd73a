#include "writers/source/links.h"

#include <stdlib.h>

struct place {
    struct place *above;
    uint64_t offset;
    uint64_t position;
};

struct member {
    struct link *link;
    const struct place *place;
    uint64_t offset;
};

struct links {
    const struct domain_keys *domain;
    struct link **slots; /* open addressing */
    size_t slot_count, count;
    struct place **places; /* in the order they were made: those above first */
    size_t place_count, place_cap;
    struct member *members;
    size_t member_count, member_cap;
};

enum err links_new(const struct domain_keys *domain, struct links **ret_links)
{
    struct links *links = calloc(1, sizeof *links);
    if (!links)
        return err_set(ERR_NOMEM, "no memory for links");
    links->domain = domain;
    *ret_links = links;
    return ERR_OK;
}

void links_free(struct links *links)
{
    if (!links)
        return;
    for (size_t i = 0; i < links->slot_count; i++) {
        if (!links->slots[i])
            continue;
        if (links->slots[i]->result)
            free(links->slots[i]->result->pieces);
        free(links->slots[i]->result);
        free(links->slots[i]);
    }
    for (size_t i = 0; i < links->place_count; i++)
        free(links->places[i]);
    free(links->slots);
    free(links->places);
    free(links->members);
    free(links);
}

static size_t slot_of(const struct links *links, uint64_t device, uint64_t inode)
{
    uint64_t h = (inode ^ device << 32) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(h >> 20) & (links->slot_count - 1);
    while (links->slots[at] &&
           (links->slots[at]->inode != inode || links->slots[at]->device != device))
        at = (at + 1) & (links->slot_count - 1);
    return at;
}

static enum err slots_grow(struct links *links)
{
    size_t old_count = links->slot_count;
    struct link **old = links->slots;
    size_t count = old_count ? old_count * 2 : 256;
    struct link **slots = calloc(count, sizeof(struct link *));
    if (!slots)
        return err_set(ERR_NOMEM, "no memory for links");
    links->slots = slots;
    links->slot_count = count;
    for (size_t i = 0; i < old_count; i++)
        if (old[i])
            slots[slot_of(links, old[i]->device, old[i]->inode)] = old[i];
    free(old);
    return ERR_OK;
}

enum err links_find(struct links *links, uint64_t device, uint64_t inode, struct link **ret_link,
                    bool *ret_first)
{
    if (links->count * 2 >= links->slot_count)
        TRY(slots_grow(links));
    size_t at = slot_of(links, device, inode);
    *ret_first = !links->slots[at];
    if (*ret_first) {
        struct link *link = calloc(1, sizeof *link);
        if (!link)
            return err_set(ERR_NOMEM, "no memory for links");
        link->device = device;
        link->inode = inode;
        link->group = link_group(links->domain, device, inode);
        links->slots[at] = link;
        links->count++;
    }
    *ret_link = links->slots[at];
    return ERR_OK;
}

/* Rows with room for one more: the same, or moved. NULL: no memory. */
static void *rows_room(void *rows, size_t row_bytes, size_t count, size_t *cap)
{
    if (count < *cap)
        return rows;
    size_t more = *cap ? *cap * 2 : 64;
    void *grown = realloc(rows, more * row_bytes);
    if (grown)
        *cap = more;
    else
        err_set(ERR_NOMEM, "no memory for links");
    return grown;
}

enum err place_new(struct links *links, struct place *above, struct place **ret_place)
{
    struct place **places =
        rows_room(links->places, sizeof *places, links->place_count, &links->place_cap);
    if (!places)
        return ERR_NOMEM;
    links->places = places;
    struct place *place = calloc(1, sizeof *place);
    if (!place)
        return err_set(ERR_NOMEM, "no memory for links");
    place->above = above;
    links->places[links->place_count++] = place;
    *ret_place = place;
    return ERR_OK;
}

void place_set(struct place *place, uint64_t offset)
{
    place->offset = offset;
}

enum err link_member(struct links *links, struct link *link, const struct place *place,
                     uint64_t offset)
{
    struct member *members =
        rows_room(links->members, sizeof *members, links->member_count, &links->member_cap);
    if (!members)
        return ERR_NOMEM;
    links->members = members;
    links->members[links->member_count++] = (struct member){link, place, offset};
    link->members++;
    return ERR_OK;
}

static int row_order(const void *a, const void *b)
{
    return memcmp(((const struct link_row *)a)->group.bytes,
                  ((const struct link_row *)b)->group.bytes, 16);
}

enum err links_table(struct links *links, struct link_row **ret_rows, size_t *ret_count)
{
    for (size_t i = 0; i < links->place_count; i++) {
        struct place *place = links->places[i];
        place->position = place->above ? place->above->position + place->offset : 0;
    }
    for (size_t i = 0; i < links->member_count; i++) {
        const struct member *m = &links->members[i];
        uint64_t position = m->place->position + m->offset;
        if (m->link->first == 0 || position < m->link->first)
            m->link->first = position;
    }
    struct link_row *rows = malloc((links->count + 1) * sizeof *rows);
    if (!rows)
        return err_set(ERR_NOMEM, "no memory for links");
    size_t count = 0;
    for (size_t i = 0; i < links->slot_count; i++) {
        const struct link *link = links->slots[i];
        if (link && link->members > 1)
            rows[count++] = (struct link_row){
                .group = link->group, .position = link->first, .members = link->members};
    }
    qsort(rows, count, sizeof *rows, row_order);
    *ret_rows = rows;
    *ret_count = count;
    return ERR_OK;
}
