#include "writers/seen.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/log.h"

/* Sorted keys of one length. */
struct key_set {
    uint8_t *keys;
    size_t len, count, cap;
};

struct seen {
    struct index *index;
    uint32_t domain;
    bool any_generation, open_generation;
    struct key_set fences;  /* session ids */
    struct key_set forgets; /* SHA-256 of envelopes */
    struct key_set packs;   /* SHA-256 in their names; listed only if any_generation */

    pthread_mutex_t lock; /* before nothing; never held across I/O */
    uint8_t *verdicts; /* guarded by lock; [pack number in the index]: 0 not asked, 1 counts, 2 does
                          not */
    size_t verdict_cap; /* guarded by lock */
};

enum { VERDICT_UNKNOWN, VERDICT_COUNTS, VERDICT_NOT };

enum err seen_new(struct index *index, uint32_t domain, struct seen **ret_seen)
{
    struct seen *seen = calloc(1, sizeof *seen);
    if (!seen)
        return err_set(ERR_NOMEM, "no memory for a session");
    *seen = (struct seen){
        .index = index, .domain = domain, .fences.len = 16, .forgets.len = 32, .packs.len = 32};
    pthread_mutex_init(&seen->lock, NULL);
    *ret_seen = seen;
    return ERR_OK;
}

void seen_free(struct seen *seen)
{
    if (!seen)
        return;
    free(seen->fences.keys);
    free(seen->forgets.keys);
    free(seen->packs.keys);
    free(seen->verdicts);
    pthread_mutex_destroy(&seen->lock);
    free(seen);
}

/* ---- sets ---- */

static enum err keys_add(struct key_set *set, const void *key)
{
    if (set->count == set->cap) {
        size_t cap = set->cap ? set->cap * 2 : 64;
        uint8_t *grown = reallocarray(set->keys, cap, set->len);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for %zu names", cap);
        set->keys = grown;
        set->cap = cap;
    }
    memcpy(set->keys + set->count++ * set->len, key, set->len);
    return ERR_OK;
}

static int compare_16(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static int compare_32(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static void keys_sort(struct key_set *set)
{
    if (set->count)
        qsort(set->keys, set->count, set->len, set->len == 16 ? compare_16 : compare_32);
}

static bool keys_have(const struct key_set *set, const void *key)
{
    return set->count && bsearch(key, set->keys, set->count, set->len,
                                 set->len == 16 ? compare_16 : compare_32) != NULL;
}

/* ---- lists ---- */

/* Generations of gc/: n is open until gc/<n>.done is there. Names ascend, so a record comes just
 * before its .done. */
struct generations {
    char open[192]; /* the last record without .done so far */
    bool any;
};

static enum err generation_see(void *context, const struct store_entry *entry)
{
    struct generations *g = context;
    g->any = true;
    const char *dot = strrchr(entry->name, '.');
    if (!dot && !g->open[0]) {
        snprintf(g->open, sizeof g->open, "%s", entry->name);
    } else if (dot && strcmp(dot, ".done") == 0) {
        size_t len = (size_t)(dot - entry->name);
        if (strlen(g->open) == len && memcmp(g->open, entry->name, len) == 0)
            g->open[0] = 0;
    }
    return ERR_OK;
}

/* A name that is no name of ours in these folders counts as nothing: nobody acts on it. */
static enum err fence_see(void *context, const struct store_entry *entry)
{
    uint8_t id[16];
    const char *text = entry->name + strlen("fences/");
    return hex_parse(text, strlen(text), id, sizeof id) ? keys_add(context, id) : ERR_OK;
}

static enum err forget_see(void *context, const struct store_entry *entry)
{
    uint8_t hash[32];
    const char *text = entry->name + strlen("forgets/");
    return hex_parse(text, strlen(text), hash, sizeof hash) ? keys_add(context, hash) : ERR_OK;
}

static enum err pack_see(void *context, const struct store_entry *entry)
{
    uint32_t domain;
    struct pack_name pack;
    return name_parse_pack(entry->name, &domain, &pack) == ERR_OK
               ? keys_add(context, pack.sha256.bytes)
               : ERR_OK;
}

enum err seen_lists(struct seen *seen, struct store *store)
{
    struct generations g = {.any = false};
    TRY(store_list(store, "gc/", generation_see, &g));
    seen->any_generation = g.any;
    seen->open_generation = g.open[0] != 0;
    if (seen->open_generation)
        log_warn(
            "%s is open: until garbage collection is finished nothing stored before is built on",
            g.open);
    TRY(store_list(store, "fences/", fence_see, &seen->fences));
    TRY(store_list(store, "forgets/", forget_see, &seen->forgets));
    if (seen->any_generation && !seen->open_generation)
        TRY(store_list(store, "packs/", pack_see, &seen->packs));
    keys_sort(&seen->fences);
    keys_sort(&seen->forgets);
    keys_sort(&seen->packs);
    return ERR_OK;
}

bool seen_open_generation(const struct seen *seen)
{
    return seen->open_generation;
}

bool seen_forgotten(const struct seen *seen, const struct hash *envelope)
{
    return keys_have(&seen->forgets, envelope->bytes);
}

bool seen_fenced(const struct seen *seen, const struct uid *session)
{
    return keys_have(&seen->fences, session->bytes);
}

/* ---- chunks ---- */

static uint8_t verdict_find(struct seen *seen, uint32_t pack)
{
    pthread_mutex_lock(&seen->lock);
    uint8_t verdict = pack < seen->verdict_cap ? seen->verdicts[pack] : VERDICT_UNKNOWN;
    pthread_mutex_unlock(&seen->lock);
    return verdict;
}

static void verdict_keep(struct seen *seen, uint32_t pack, uint8_t verdict)
{
    pthread_mutex_lock(&seen->lock);
    if (pack >= seen->verdict_cap) {
        size_t cap = (size_t)pack + 1024;
        uint8_t *grown = realloc(seen->verdicts, cap);
        if (grown) {
            memset(grown + seen->verdict_cap, VERDICT_UNKNOWN, cap - seen->verdict_cap);
            seen->verdicts = grown;
            seen->verdict_cap = cap;
        }
    }
    if (pack < seen->verdict_cap) /* without memory it is asked again, that is all */
        seen->verdicts[pack] = verdict;
    pthread_mutex_unlock(&seen->lock);
}

static enum err pack_counts(struct seen *seen, uint32_t number, bool *ret_counts)
{
    uint8_t verdict = verdict_find(seen, number);
    if (verdict == VERDICT_UNKNOWN) {
        struct fetch_pack pack = {0};
        enum err e = index_pack(seen->index, number, &pack);
        free(pack.keys);
        if (e != ERR_OK && e != ERR_NOT_FOUND)
            return e;
        bool counts = e == ERR_OK && !seen_fenced(seen, &pack.name.session) &&
                      (!seen->any_generation || keys_have(&seen->packs, pack.name.sha256.bytes));
        verdict = counts ? VERDICT_COUNTS : VERDICT_NOT;
        verdict_keep(seen, number, verdict);
    }
    *ret_counts = verdict == VERDICT_COUNTS;
    return ERR_OK;
}

/* A copy that counts, or one more behind it. A delta counts as none: its base would have to count,
 * too. */
static enum err chunk_counts(struct seen *seen, enum chunk_kind kind, const struct chunk_id *id,
                             bool *ret_counts)
{
    struct location first, second;
    bool counts = false;
    enum err e = index_find(seen->index, seen->domain, kind, id, NULL, &first);
    if (e == ERR_OK)
        TRY(pack_counts(seen, first.pack, &counts));
    if (e == ERR_OK && (!counts || first.frame.has_base)) {
        e = index_find(seen->index, seen->domain, kind, id, &first, &second);
        counts = false;
        if (e == ERR_OK) {
            TRY(pack_counts(seen, second.pack, &counts));
            counts = counts && !second.frame.has_base;
        }
    }
    *ret_counts = counts;
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

enum err seen_chunks(struct seen *seen, enum chunk_kind kind, const struct chunk_id *ids,
                     size_t count, bool *ret_found)
{
    if (seen->open_generation) {
        memset(ret_found, 0, count * sizeof *ret_found);
        return ERR_OK;
    }
    TRY(index_find_many(seen->index, seen->domain, kind, ids, count, ret_found));
    if (!seen->any_generation && seen->fences.count == 0)
        return ERR_OK; /* nothing was ever deleted or fenced: a row in the index is a chunk in the
                          store */
    for (size_t i = 0; i < count; i++)
        if (ret_found[i])
            TRY(chunk_counts(seen, kind, &ids[i], &ret_found[i]));
    return ERR_OK;
}
