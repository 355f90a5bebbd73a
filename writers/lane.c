#include "writers/lane.h"

#include <stdlib.h>

/* Envelopes read to tell heads from others: more than enough for any lane that did not fork at
 * every step. */
enum { READ_MAX = 64 };

struct member {
    struct hash sha256;
    char object[192];
    uint64_t number;
    bool named; /* by a later one */
};

struct members {
    const struct lane *lane;
    struct member *list;
    size_t count, cap;
};

static void members_clear(struct members *members)
{
    free(members->list);
}

void lane_heads_clear(struct lane_heads *heads)
{
    free(heads->heads);
    *heads = (struct lane_heads){0};
}

static enum err member_add(void *context, const struct snapshot_info *info)
{
    struct members *m = context;
    if (memcmp(info->writer.bytes, m->lane->writer.bytes, 16) != 0 ||
        memcmp(info->host.bytes, m->lane->host.bytes, 16) != 0)
        return ERR_OK;
    if (m->count == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 64;
        struct member *grown = reallocarray(m->list, cap, sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu snapshots", cap);
        m->list = grown;
        m->cap = cap;
    }
    struct member *member = &m->list[m->count++];
    *member = (struct member){.sha256 = info->sha256, .number = info->lane_number};
    memcpy(member->object, info->object, sizeof member->object);
    return ERR_OK;
}

/* Highest number first. */
static int member_compare(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    if (a->number != b->number)
        return a->number > b->number ? -1 : 1;
    return memcmp(a->sha256.bytes, b->sha256.bytes, 32);
}

/* Mark what one envelope names. One that cannot be read names nothing. */
static void names_mark(const struct access *access, const struct member *reader, struct members *m)
{
    AUTO(buf) object = BUF_EMPTY;
    AUTO(envelope) envelope = {0};
    if (store_get_all(access->store, reader->object, RECORD_MAX_BYTES, &object) != ERR_OK ||
        envelope_open(access->keys, buf_slice(&object), NULL, &envelope) != ERR_OK)
        return;
    for (size_t h = 0; h < envelope.head_count; h++)
        for (size_t i = 0; i < m->count; i++)
            if (memcmp(m->list[i].sha256.bytes, envelope.heads[h].bytes, 32) == 0)
                m->list[i].named = true;
}

/*
 * From the end of the lane backwards, level by level of numbers. A level's only envelope is named
 * by the level above, since a number is one more than the largest number named; a level with
 * several must be asked for: the nearest level above first.
 */
static void heads_mark(const struct access *access, struct members *m)
{
    size_t reads = 0;
    AUTO_MEM bool *read =
        calloc(m->count, sizeof *read); /* without memory nothing is read: all count as heads */
    for (size_t begin = 0, end; begin < m->count; begin = end) {
        for (end = begin; end < m->count && m->list[end].number == m->list[begin].number;)
            end++;
        bool follows = begin > 0 && m->list[begin - 1].number == m->list[begin].number + 1;
        if (end - begin == 1 && follows) {
            m->list[begin].named = true;
            continue;
        }
        bool open = begin > 0;
        for (size_t above = begin; open && read && above-- > 0 && reads < READ_MAX;) {
            if (!read[above]) {
                names_mark(access, &m->list[above], m);
                read[above] = true;
                reads++;
            }
            open = false;
            for (size_t i = begin; i < end; i++)
                open = open || !m->list[i].named;
        }
    }
}

enum err lane_find_heads(const struct access *access, struct index *index, const struct lane *lane,
                         struct lane_heads *ret_heads)
{
    AUTO(members) m = {.lane = lane};
    TRY(index_snapshots(index, lane->service, member_add, &m));
    AUTO(lane_heads) found = {.number = 1};
    if (m.count) {
        qsort(m.list, m.count, sizeof *m.list, member_compare);
        heads_mark(access, &m);
        found.number = m.list[0].number + 1;
        found.heads = calloc(m.count, sizeof *found.heads);
        if (!found.heads)
            return err_set(ERR_NOMEM, "no memory for %zu heads", m.count);
    }
    for (size_t i = 0; i < m.count && found.count < ENVELOPE_MAX_HEADS; i++)
        if (!m.list[i].named)
            found.heads[found.count++] = m.list[i].sha256;
    *ret_heads = found;
    found = (struct lane_heads){0};
    return ERR_OK;
}
