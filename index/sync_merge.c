/* Keep the runs of one domain and kind few: a look-up asks each of them. */
#include <errno.h>
#include <stdlib.h>

#include "index/index_inside.h"
#include "index/merge.h"

enum { RUNS_RATIO = 4 };

struct merged {
    struct row_source source; /* first: merge.h hands us this */
    struct run *run;
    const struct number_list *gone;
};

struct merge {
    struct merged *runs;
    struct row_source **sources;
    size_t count;
};

static void merge_clear(struct merge *merge)
{
    for (size_t i = 0; i < merge->count; i++)
        run_free(merge->runs[i].run);
    free(merge->runs);
    free(merge->sources);
}

/* Rows of packs that no segment names any more end here. */
static enum err merged_next(struct row_source *source, struct run_row *ret_row, struct chunk_id *ret_base, bool *ret_more)
{
    struct merged *m = (struct merged *)source;
    do
        TRY(run_next(m->run, ret_row, ret_base, ret_more));
    while (*ret_more && number_list_has(m->gone, run_row_pack(ret_row)));
    return ERR_OK;
}

static int by_rows(const void *left, const void *right)
{
    const struct run_info *a = left, *b = right;
    return (a->rows > b->rows) - (a->rows < b->rows);
}

/* While runs pour in: enough of the small ones that few remain. A run joins while it is not larger than twice all before it, so
 * each row is written again only a few times. */
static size_t choose_some(const struct run_info *runs, size_t count)
{
    if (count <= RUNS_MAX)
        return 0;
    uint64_t sum = runs[0].rows + runs[1].rows;
    size_t chosen = 2;
    while (chosen < count && runs[chosen].rows <= 2 * sum)
        sum += runs[chosen++].rows;
    return chosen;
}

/* When all is in: each run shall be larger than RUNS_RATIO times all smaller ones together. So most chunks lie in the largest,
 * which is asked first, and what misses asks two or three runs and not eight; a large run is written again only when a quarter
 * of it came anew. */
static size_t choose_settled(const struct run_info *runs, size_t count)
{
    uint64_t sum = runs[0].rows;
    size_t chosen = 0;
    for (size_t i = 1; i < count; sum += runs[i++].rows)
        if (runs[i].rows <= RUNS_RATIO * sum)
            chosen = i + 1;
    return chosen ? chosen : choose_some(runs, count);
}

/* The runs of this domain and kind, small ones first; how many of them to merge. */
static size_t choose(struct run_list *list, uint32_t domain, enum chunk_kind kind, bool settle)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->runs[i].domain == domain && list->runs[i].kind == kind)
            list->runs[count++] = list->runs[i];
    list->count = count;
    if (count < 2)
        return 0;
    qsort(list->runs, count, sizeof *list->runs, by_rows);
    return settle ? choose_settled(list->runs, count) : choose_some(list->runs, count);
}

static enum err merge_open(struct sync *sync, const struct run_info *runs, size_t count, const struct number_list *gone,
                           struct merge *merge)
{
    merge->runs = calloc(count + 1, sizeof *merge->runs);
    merge->sources = calloc(count + 1, sizeof *merge->sources);
    if (!merge->runs || !merge->sources)
        return err_set(ERR_NOMEM, "no memory to merge %zu runs", count);
    for (; merge->count < count; merge->count++) {
        struct merged *m = &merge->runs[merge->count];
        m->source.next = merged_next;
        m->gone = gone;
        merge->sources[merge->count] = &m->source;
        TRY(run_open(sync->index->runs_dir, &runs[merge->count], &m->run));
    }
    return ERR_OK;
}

static enum err merge_write(struct sync *sync, const struct run_info *runs, size_t count, const struct number_list *gone,
                            struct run_info *ret_run)
{
    AUTO(merge) merge = {0};
    AUTO_PTR(run_writer) writer = NULL;
    TRY(merge_open(sync, runs, count, gone, &merge));
    *ret_run = (struct run_info){.cache = sync->catalog->cache, .domain = runs[0].domain, .kind = runs[0].kind};
    for (size_t i = 0; i < count; i++)
        ret_run->rows += runs[i].rows;
    TRY(catalog_next_run(sync->catalog, &ret_run->number));
    TRY(run_writer_new(sync->index->runs_dir, ret_run, &writer));
    TRY(merge_rows(merge.sources, count, writer));
    return run_writer_finish(writer, &ret_run->rows);
}

static enum err publish(struct sync *sync, const struct run_info *old, size_t count, bool all, const struct number_list *gone,
                        const struct run_info *run)
{
    AUTO(transaction) transaction = TRANSACTION_NONE;
    TRY(sync_begin(sync, &transaction));
    TRY(catalog_put_run(sync->catalog, run)); /* an empty one too: its number must not come again */
    for (size_t i = 0; i < count; i++)
        TRY(catalog_drop_run(sync->catalog, old[i].number));
    if (all)
        TRY(catalog_forget_packs(sync->catalog, run->domain, run->kind, gone));
    return transaction_commit(&transaction);
}

enum err sync_merge(struct sync *sync, uint32_t domain, enum chunk_kind kind, bool settle)
{
    AUTO(run_list) runs = {0};
    AUTO(number_list) gone = {0};
    struct run_info run;
    TRY(catalog_runs(sync->catalog, &runs));
    size_t count = choose(&runs, domain, kind, settle);
    if (count == 0)
        return ERR_OK;
    TRY(catalog_gone_packs(sync->catalog, &gone));
    enum err e = merge_write(sync, runs.runs, count, &gone, &run);
    if (e == ERR_CORRUPT)
        sync->rebuild = true;
    TRY(e);
    TRY(publish(sync, runs.runs, count, count == runs.count, &gone, &run));
    /* Who has them open keeps them; who comes late looks at the catalog again. */
    for (size_t i = 0; i < count; i++)
        (void)unlink(run_path(sync->index->runs_dir, runs.runs[i].number).text);
    return ERR_OK;
}
