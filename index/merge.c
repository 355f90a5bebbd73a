#include "index/merge.h"

#include <stdlib.h>

/* Equal rows lie together; nobody honest has more copies of one chunk than this, and more are only not compared. */
enum { COPIES_COMPARED = 64 };

struct heap {
    struct row_source **at;
    size_t count;
};

static bool before(const struct row_source *a, const struct row_source *b)
{
    return memcmp(a->row.bytes, b->row.bytes, 32) < 0;
}

static void sift_down(struct heap *h, size_t i)
{
    struct row_source *moved = h->at[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && before(h->at[child + 1], h->at[child]))
            child++;
        if (!before(h->at[child], moved))
            break;
        h->at[i] = h->at[child];
        i = child;
    }
    h->at[i] = moved;
}

/* The rows of the id that is being written. */
struct seen {
    struct run_row rows[COPIES_COMPARED];
    size_t count;
};

static bool is_new(struct seen *seen, const struct run_row *row)
{
    if (seen->count && memcmp(seen->rows[0].bytes, row->bytes, 32) != 0)
        seen->count = 0;
    for (size_t i = 0; i < seen->count; i++)
        if (memcmp(seen->rows[i].bytes, row->bytes, sizeof row->bytes) == 0)
            return false;
    if (seen->count < COPIES_COMPARED)
        seen->rows[seen->count++] = *row;
    return true;
}

static enum err heap_fill(struct heap *h, struct row_source *const *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool more;
        TRY(sources[i]->next(sources[i], &sources[i]->row, &sources[i]->base, &more));
        if (more)
            h->at[h->count++] = sources[i];
    }
    for (size_t i = h->count / 2; i-- > 0;)
        sift_down(h, i);
    return ERR_OK;
}

enum err merge_rows(struct row_source *const *sources, size_t count, struct run_writer *writer)
{
    AUTO_MEM struct row_source **at = calloc(count + 1, sizeof *at);
    AUTO_MEM struct seen *seen = calloc(1, sizeof *seen);
    if (!at || !seen)
        return err_set(ERR_NOMEM, "no memory to merge %zu runs", count);
    struct heap heap = {at, 0};
    TRY(heap_fill(&heap, sources, count));
    while (heap.count) {
        struct row_source *first = heap.at[0];
        if (is_new(seen, &first->row))
            TRY(run_writer_add(writer, &first->row, &first->base));
        bool more;
        TRY(first->next(first, &first->row, &first->base, &more));
        if (!more)
            heap.at[0] = heap.at[--heap.count];
        if (heap.count)
            sift_down(&heap, 0);
    }
    return ERR_OK;
}
