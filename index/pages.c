#include "index/pages.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKETS = 4096, BUDGET_DEFAULT = 32 << 20 };

struct pages {
    struct index *index;     /* borrowed */
    struct fetcher *fetcher; /* borrowed */
    size_t budget;
    pthread_mutex_t lock;    /* after no other */
    struct decoded *buckets[BUCKETS];
    struct decoded *newest, *oldest;
    size_t bytes;
};

enum err pages_new(struct index *index, struct fetcher *fetcher, size_t budget_bytes, struct pages **ret_pages)
{
    struct pages *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(ERR_NOMEM, "no memory for pages");
    p->index = index;
    p->fetcher = fetcher;
    p->budget = budget_bytes ? budget_bytes : BUDGET_DEFAULT;
    pthread_mutex_init(&p->lock, NULL);
    *ret_pages = p;
    return ERR_OK;
}

static void decoded_free(struct decoded *d)
{
    page_clear(&d->page);
    list_clear(&d->list);
    buf_clear(&d->bytes);
    free(d);
}

void pages_free(struct pages *p)
{
    if (!p)
        return;
    for (struct decoded *at = p->newest, *next; at; at = next) {
        next = at->older;
        decoded_free(at);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* What an entry costs in memory, roughly: bytes and the decoded arrays. */
static size_t cost(const struct decoded *d)
{
    return sizeof *d + d->bytes.cap + d->page.count * (sizeof(struct entry) + 8) + d->list.count * sizeof(struct list_child);
}

static struct decoded **bucket_of(struct pages *p, const struct chunk_id *id)
{
    return &p->buckets[((size_t)id->bytes[0] | (size_t)id->bytes[1] << 8) % BUCKETS];
}

static struct decoded *find(struct pages *p, uint32_t domain, const struct chunk_id *id, bool is_list)
{
    struct decoded *at = *bucket_of(p, id);
    while (at && (at->domain != domain || at->is_list != is_list || memcmp(at->id.bytes, id->bytes, 32) != 0))
        at = at->next_hash;
    return at;
}

static void list_remove(struct pages *p, struct decoded *d)
{
    *(d->newer ? &d->newer->older : &p->newest) = d->older;
    *(d->older ? &d->older->newer : &p->oldest) = d->newer;
    d->newer = d->older = NULL;
}

static void list_add_newest(struct pages *p, struct decoded *d)
{
    d->older = p->newest;
    d->newer = NULL;
    *(p->newest ? &p->newest->newer : &p->oldest) = d;
    p->newest = d;
}

static void evict(struct pages *p)
{
    for (struct decoded *at = p->oldest, *next; at && p->bytes > p->budget; at = next) {
        next = at->newer;
        if (at->refs > 0)
            continue;
        struct decoded **where = bucket_of(p, &at->id);
        while (*where != at)
            where = &(*where)->next_hash;
        *where = at->next_hash;
        list_remove(p, at);
        p->bytes -= cost(at);
        decoded_free(at);
    }
}

static enum err decode(struct pages *p, uint32_t domain, const struct chunk_id *id, bool is_list, struct decoded **ret_decoded)
{
    struct location where;
    AUTO(chunk_ref) ref = CHUNK_REF_EMPTY;
    TRY(index_find(p->index, domain, CHUNK_TREE, id, NULL, &where));
    TRY(fetch_chunk(p->fetcher, id, &where, &ref));
    struct decoded *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(ERR_NOMEM, "no memory for a page");
    d->id = *id;
    d->domain = domain;
    d->is_list = is_list;
    buf_put_slice(&d->bytes, ref.bytes);
    enum err e = buf_check(&d->bytes);
    if (e == ERR_OK)
        e = is_list ? list_decode(buf_slice(&d->bytes), &d->list) : page_decode(buf_slice(&d->bytes), &d->page);
    if (e != ERR_OK) {
        decoded_free(d);
        return err_add(e, "tree chunk %s", hex_of(id->bytes, 32).text);
    }
    *ret_decoded = d;
    return ERR_OK;
}

enum err pages_get(struct pages *p, uint32_t domain, const struct chunk_id *id, bool is_list, struct decoded **ret_decoded)
{
    pthread_mutex_lock(&p->lock);
    struct decoded *d = find(p, domain, id, is_list);
    if (d) {
        d->refs++;
        list_remove(p, d);
        list_add_newest(p, d);
    }
    pthread_mutex_unlock(&p->lock);
    if (d) {
        *ret_decoded = d;
        return ERR_OK;
    }
    struct decoded *fresh = NULL;
    TRY(decode(p, domain, id, is_list, &fresh));
    pthread_mutex_lock(&p->lock);
    d = find(p, domain, id, is_list); /* another thread may have been quicker */
    if (!d) {
        struct decoded **bucket = bucket_of(p, id);
        d = fresh;
        fresh = NULL;
        d->next_hash = *bucket;
        *bucket = d;
        list_add_newest(p, d);
        p->bytes += cost(d);
    }
    d->refs++;
    evict(p);
    pthread_mutex_unlock(&p->lock);
    if (fresh)
        decoded_free(fresh);
    *ret_decoded = d;
    return ERR_OK;
}

void pages_put(struct pages *p, struct decoded *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&p->lock);
    d->refs--;
    if (p->bytes > p->budget)
        evict(p);
    pthread_mutex_unlock(&p->lock);
}
