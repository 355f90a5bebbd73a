#include "writers/pipeline/cut.h"

#include <assert.h>

#include "fetch/crypto/kdf.h"
#include "fetch/crypto/prf.h"
#include "fetch/crypto/secret.h"

_Static_assert((int)CUT_WINDOW_BYTES == (int)PRF_WINDOW_BYTES, "the PRF is defined over the window");

/* Places that passed the filter are confirmed in batches: AES units are deep pipelines. */
enum { BATCH = 256 };
/* One-pass cutting looks this far ahead at once: some 16 places, of which the first that holds is the cut. */
enum { STRIDE_BYTES = 16 * 1024 };

struct cut_scanner {
    struct cut_filter filter;
    struct cut_prf *prf;
    uint32_t places[BATCH];
    const uint8_t *windows[BATCH];
    uint64_t values[BATCH];
};

enum err cut_keys_init(const uint8_t k_cut[32], struct cut_keys *ret)
{
    uint8_t raw[24];
    TRY(hkdf_sha256(slice_of(k_cut, 32), SLICE_EMPTY, slice_str("yore/1/cut/weights"), raw, sizeof raw));
    for (size_t i = 0; i < 8; i++)
        ret->filter.weights[i] = (int16_t)(uint16_t)(raw[2 * i] | raw[2 * i + 1] << 8 | 1);
    ret->filter.constant = (uint32_t)raw[16] | (uint32_t)raw[17] << 8 | (uint32_t)raw[18] << 16 |
                           (uint32_t)raw[19] << 24;
    secret_wipe(raw, sizeof raw);
    return hkdf_sha256(slice_of(k_cut, 32), SLICE_EMPTY, slice_str("yore/1/cut/prf"), ret->prf_key,
                       sizeof ret->prf_key);
}

void cut_keys_clear(struct cut_keys *keys)
{
    secret_wipe(keys, sizeof *keys);
}

enum err cut_scanner_new(const struct cut_keys *keys, struct cut_scanner **ret)
{
    AUTO_PTR(cut_scanner) scanner = calloc(1, sizeof *scanner);
    if (!scanner)
        return err_set(ERR_NOMEM, "no memory for a scanner");
    scanner->filter = keys->filter;
    TRY(prf_new(keys->prf_key, &scanner->prf));
    *ret = TAKE(scanner);
    return ERR_OK;
}

void cut_scanner_free(struct cut_scanner *scanner)
{
    if (!scanner)
        return;
    prf_free(scanner->prf);
    secret_wipe(scanner, sizeof *scanner);
    free(scanner);
}

void cut_marks_clear(struct cut_marks *marks)
{
    free(marks->rows);
    *marks = CUT_MARKS_EMPTY;
}

void cut_ends_clear(struct cut_ends *ends)
{
    free(ends->at);
    *ends = CUT_ENDS_EMPTY;
}

static enum err marks_reserve(struct cut_marks *marks, size_t more)
{
    if (marks->cap - marks->count >= more)
        return ERR_OK;
    size_t cap = marks->cap * 2 > marks->count + more ? marks->cap * 2 : marks->count + more;
    struct cut_mark *rows = reallocarray(marks->rows, cap, sizeof *rows);
    if (!rows)
        return err_set(ERR_NOMEM, "no memory for %zu marks", cap);
    marks->rows = rows;
    marks->cap = cap;
    return ERR_OK;
}

static enum err ends_put(struct cut_ends *ends, uint64_t end)
{
    if (ends->count == ends->cap) {
        size_t cap = ends->cap ? ends->cap * 2 : 64;
        uint64_t *at = reallocarray(ends->at, cap, sizeof *at);
        if (!at)
            return err_set(ERR_NOMEM, "no memory for %zu chunk ends", cap);
        ends->at = at;
        ends->cap = cap;
    }
    ends->at[ends->count++] = end;
    return ERR_OK;
}

/*
 * Some of the marks from *from to `to`, places counted from data: their places and values go to the scanner's arrays.
 * *from moves past what was looked at.
 */
static enum err next_marks(struct cut_scanner *scanner, const uint8_t *data, size_t *from, size_t to,
                           size_t *ret_count)
{
    size_t passed = cut_scan(&scanner->filter, data, from, to, scanner->places, BATCH);
    size_t count = 0;
    for (size_t i = 0; i < passed; i++) {
        const uint8_t *window = data + scanner->places[i] - CUT_WINDOW_BYTES;
        if (memcmp(window, window + CUT_WINDOW_BYTES / 2, CUT_WINDOW_BYTES / 2) == 0)
            continue;
        scanner->places[count] = scanner->places[i];
        scanner->windows[count++] = window;
    }
    *ret_count = count;
    return prf_many(scanner->prf, scanner->windows, count, scanner->values);
}

enum err cut_mark(struct cut_scanner *scanner, struct slice data, size_t context_bytes,
                  struct cut_marks *ret)
{
    assert(context_bytes <= data.len && data.len < (size_t)1 << 31);
    ret->count = 0;
    size_t from = context_bytes + 1 > CUT_WINDOW_BYTES ? context_bytes + 1 : CUT_WINDOW_BYTES;
    while (from <= data.len) {
        size_t count;
        TRY(next_marks(scanner, data.data, &from, data.len, &count));
        TRY(marks_reserve(ret, count));
        for (size_t i = 0; i < count; i++)
            ret->rows[ret->count++] = (struct cut_mark){
                .offset = (uint32_t)(scanner->places[i] - context_bytes),
                .value = scanner->values[i],
            };
    }
    return ERR_OK;
}

/* floor(2^64 * times / mean); fits, as times < mean. */
static uint64_t threshold(uint32_t times, uint32_t mean_bytes)
{
    return (uint64_t)(((unsigned __int128)times << 64) / mean_bytes);
}

enum err cut_select_init(struct cut_select *select, struct cut_params params)
{
    if (params.min_bytes < CUT_WINDOW_BYTES || params.min_bytes > params.mean_bytes ||
        params.mean_bytes > params.max_bytes || params.max_bytes > CUT_MAX_BYTES || params.mean_bytes <= 4096)
        return err_set(ERR_INVALID, "no cut class: min %u, mean %u, max %u bytes", params.min_bytes,
                       params.mean_bytes, params.max_bytes);
    *select = (struct cut_select){
        .params = params,
        .strong = threshold(256, params.mean_bytes),
        .fair = threshold(4096, params.mean_bytes),
    };
    return ERR_OK;
}

/* Does a mark end a chunk of this length? */
static bool mark_holds(const struct cut_select *select, uint64_t length, uint64_t value)
{
    if (length < select->params.min_bytes)
        return false;
    return value < (length < select->params.mean_bytes ? select->strong : select->fair);
}

static enum err cut_at(struct cut_select *select, uint64_t end, struct cut_ends *ret)
{
    TRY(ends_put(ret, end));
    select->start = end;
    return ERR_OK;
}

/* End the chunks that reached their greatest length at `upto` or before. */
static enum err cut_longest(struct cut_select *select, uint64_t upto, struct cut_ends *ret)
{
    while (upto - select->start >= select->params.max_bytes)
        TRY(cut_at(select, select->start + select->params.max_bytes, ret));
    return ERR_OK;
}

enum err cut_select_feed(struct cut_select *select, const struct cut_marks *marks, size_t piece_bytes,
                         bool last, struct cut_ends *ret)
{
    for (size_t i = 0; i < marks->count; i++) {
        const struct cut_mark *mark = &marks->rows[i];
        uint64_t place = select->at + mark->offset;
        TRY(cut_longest(select, place, ret));
        if (mark_holds(select, place - select->start, mark->value))
            TRY(cut_at(select, place, ret));
    }
    select->at += piece_bytes;
    TRY(cut_longest(select, select->at, ret));
    if (last && select->at > select->start)
        TRY(cut_at(select, select->at, ret));
    return ERR_OK;
}

/* The end of the chunk that begins at select->start. */
static enum err find_end(struct cut_scanner *scanner, struct slice content, const struct cut_select *select,
                         size_t *ret_end)
{
    size_t start = (size_t)select->start;
    size_t longest = content.len - start < select->params.max_bytes ? content.len - start : select->params.max_bytes;
    size_t from = start + select->params.min_bytes;
    while (from <= start + longest) {
        size_t to = start + longest - from < STRIDE_BYTES ? start + longest : from + STRIDE_BYTES;
        size_t count;
        TRY(next_marks(scanner, content.data, &from, to, &count));
        for (size_t i = 0; i < count; i++) {
            if (mark_holds(select, scanner->places[i] - start, scanner->values[i])) {
                *ret_end = scanner->places[i];
                return ERR_OK;
            }
        }
    }
    *ret_end = start + longest;
    return ERR_OK;
}

enum err cut_buffer(struct cut_scanner *scanner, struct slice content, struct cut_params params,
                    struct cut_ends *ret)
{
    assert(content.len < (size_t)1 << 31);
    struct cut_select select;
    TRY(cut_select_init(&select, params));
    while (select.start < content.len) {
        size_t end = 0;
        TRY(find_end(scanner, content, &select, &end));
        TRY(cut_at(&select, end, ret));
    }
    return ERR_OK;
}
