/*
 * pages: decoded directory pages and content lists, kept while they are of use.
 *
 * Threads: any; one lock, never held while a chunk is fetched.
 */
#pragma once

#include "fetch/format/tree.h"
#include "index/index.h"

/* A decoded tree chunk with the bytes it borrows from. */
struct decoded {
    struct chunk_id id;
    uint32_t domain;
    bool is_list;
    struct buf bytes;
    struct page page;   /* !is_list */
    struct list list;   /* is_list */
    unsigned refs;      /* guarded by the cache's lock */
    struct decoded *next_hash, *newer, *older;
};

struct pages;
enum err pages_new(struct index *index, struct fetcher *fetcher, size_t budget_bytes, struct pages **ret_pages);
void pages_free(struct pages *pages);
DEFINE_AUTO_PTR(pages);

/* The page or list of that name, fetched and decoded if need be; give it back with pages_put. */
enum err pages_get(struct pages *pages, uint32_t domain, const struct chunk_id *id, bool is_list, struct decoded **ret_decoded);
void pages_put(struct pages *pages, struct decoded *decoded);
