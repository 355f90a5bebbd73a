#include "writers/pipeline/pieces.h"

#include <assert.h>
#include <stdlib.h>

#include "fetch/crypto/digest.h"
#include "writers/pipeline/big.h"
#include "writers/pipeline/cut.h"
#include "writers/pipeline/stop.h"

enum { PIECE_BYTES = 8 << 20 };
enum { WORKERS_MAX = 256, SLOTS = 64 /* finished pieces that wait for an earlier one */ };

/* What a worker takes upon itself: a part of one extent, or what comes of a stream. */
struct piece {
    uint64_t number;    /* 0, 1, 2 ...: all order is by it */
    uint64_t offset;    /* in the content; for streams too */
    size_t wanted, len; /* bytes to read, and read */
    size_t back;        /* bytes of its extent that stand before it, for the cut to look back at */
    uint64_t hole_before; /* not allocated bytes between the piece before and this one */
    bool begins, ends;    /* an extent (a stream is one extent) */
    bool last;            /* of the content */
};

/* A finished piece on its way into the content list. */
struct slot {
    bool ready;
    uint64_t hole_before;
    struct item *items; /* malloc'ed */
    size_t count;
};

/*
 * A turn is a number: the piece whose worker may go on. Each kind of work that needs order has its
 * own, so that one piece is cut while the one before it is hashed and those before are compressed.
 */
struct turn {
    uint64_t number;       /* guarded by lock of struct pieces */
    pthread_cond_t passed; /* with lock */
};

struct pieces {
    struct sink *sink;
    const struct piece_source *source;
    const struct piece_options *options;
    struct sink_worker *tree_worker;
    struct list_builder *list; /* whoever drains the slots; guarded by draining */
    struct cut_spec spec;
    struct cut_keys keys;
    bool by_content;   /* else in blocks of spec.max_bytes */
    size_t room_bytes; /* before a piece in its buffer: the chunk left open by the one before, and
                          what the cut looks back at */

    pthread_mutex_t lock; /* before sink's locks; never held across I/O or work */
    struct stop stop;

    /* claiming; a stream is read while it is held, by one after another */
    pthread_mutex_t claim_lock; /* before lock */
    uint64_t next_number;       /* guarded by claim_lock, as all of this block */
    uint64_t next_offset;
    size_t next_extent;
    bool all_claimed;
    uint8_t look_back[CUT_WINDOW_BYTES]; /* a stream's last bytes */

    /* in the order of pieces: only by the worker whose turn it is */
    struct turn cut_turn;
    struct cut_select select;
    uint8_t *open_chunk; /* [spec.max_bytes]: its bytes so far */
    size_t open_len;
    uint64_t extent_start; /* offset that the selection counts from */
    bool over;             /* a piece before was the last: what comes is not content */
    uint64_t length;       /* valid once over */

    struct turn hash_turn;
    struct sha256 sha;

    struct turn out_turn;     /* the next piece for the list */
    struct slot slots[SLOTS]; /* guarded by lock; [number % SLOTS] */
    bool draining;            /* guarded by lock: somebody feeds the list */
};

/* One thread's own. */
struct piece_worker {
    struct pieces *all;
    struct sink_worker *sink;
    struct cut_scanner *scanner;
    struct buf memory;
    uint8_t *buffer; /* memory.data: [room_bytes + wanted] */
    struct cut_marks marks;
    struct cut_ends ends;
    struct slice *chunks;
    struct chunk_id *ids;
    struct item *items;
    size_t room;
    pthread_t thread;
};

/* ---- turns ---- */

/* The first error anywhere ends all waiting. */
static void pieces_fail(struct pieces *p, enum err code)
{
    (void)stop_set(&p->stop, code);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->cut_turn.passed);
    pthread_cond_broadcast(&p->hash_turn.passed);
    pthread_cond_broadcast(&p->out_turn.passed);
    pthread_mutex_unlock(&p->lock);
}

static enum err turn_wait(struct pieces *p, struct turn *turn, uint64_t number)
{
    enum err e;
    pthread_mutex_lock(&p->lock);
    while ((e = stop_check(&p->stop)) == ERR_OK && turn->number != number)
        pthread_cond_wait(&turn->passed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return e;
}

static void turn_pass(struct pieces *p, struct turn *turn)
{
    pthread_mutex_lock(&p->lock);
    turn->number++;
    pthread_cond_broadcast(&turn->passed);
    pthread_mutex_unlock(&p->lock);
}

/* ---- claiming and reading ---- */

static size_t look_back(const struct pieces *p, uint64_t extent_bytes_before)
{
    if (!p->by_content)
        return 0;
    return extent_bytes_before < CUT_WINDOW_BYTES ? (size_t)extent_bytes_before : CUT_WINDOW_BYTES;
}

/* With claim_lock: the next part of a file. */
static void claim_of_file(struct pieces *p, struct piece *piece)
{
    const struct piece_source *s = p->source;
    const struct extent whole = {0, s->size};
    const struct extent *extents = s->extents ? s->extents : &whole;
    size_t count = s->extents ? s->extent_count : s->size > 0;
    uint64_t before = p->next_offset;

    while (p->next_extent < count &&
           extents[p->next_extent].offset + extents[p->next_extent].length <= p->next_offset)
        p->next_extent++;
    *piece = (struct piece){
        .number = p->next_number++, .offset = s->size, .hole_before = s->size - before};
    if (p->next_extent < count && extents[p->next_extent].offset < s->size) {
        const struct extent *extent = &extents[p->next_extent];
        uint64_t end =
            extent->offset + extent->length < s->size ? extent->offset + extent->length : s->size;
        piece->offset = before > extent->offset ? before : extent->offset;
        piece->hole_before = piece->offset - before;
        piece->begins = before <= extent->offset;
        piece->back = look_back(p, piece->offset - extent->offset);
        /* Pieces lie on multiples of their size, so that fixed chunks do too. */
        uint64_t until = (piece->offset / PIECE_BYTES + 1) * PIECE_BYTES;
        piece->wanted = (size_t)((until < end ? until : end) - piece->offset);
        piece->ends = piece->offset + piece->wanted == end;
    }
    p->next_offset = piece->offset + piece->wanted;
    piece->last = p->next_offset == s->size;
    p->all_claimed = piece->last;
}

/* Read a part of a file, and before it what the cut looks back at. */
static enum err read_of_file(struct piece_worker *w, struct piece *piece)
{
    const struct piece_source *s = w->all->source;
    uint8_t *to = w->buffer + w->all->room_bytes - piece->back;
    size_t got = 0;
    if (piece->wanted == 0)
        return ERR_OK;
    TRY(s->read_at(s->context, piece->offset - piece->back, to, piece->wanted + piece->back, &got));
    piece->len = got > piece->back ? got - piece->back : 0;
    if (piece->len == piece->wanted)
        return ERR_OK;
    /* The file has become shorter. */
    piece->last = piece->ends = true;
    if (piece->len == 0) {
        piece->offset -= piece->hole_before;
        piece->hole_before = 0;
    }
    return ERR_OK;
}

/* With claim_lock: what a stream gives next. */
static enum err claim_of_stream(struct piece_worker *w, struct piece *piece)
{
    struct pieces *p = w->all;
    uint8_t *to = w->buffer + p->room_bytes;
    *piece = (struct piece){.number = p->next_number++,
                            .offset = p->next_offset,
                            .wanted = PIECE_BYTES,
                            .back = look_back(p, p->next_offset),
                            .begins = p->next_offset == 0};
    memcpy(to - piece->back, p->look_back, piece->back);
    while (piece->len < piece->wanted) {
        size_t got = 0;
        TRY(p->source->read_next(p->source->context, to + piece->len, piece->wanted - piece->len,
                                 &got));
        if (got == 0)
            break;
        piece->len += got;
    }
    piece->last = piece->ends = p->all_claimed = piece->len < piece->wanted;
    p->next_offset += piece->len;
    size_t behind = look_back(p, p->next_offset);
    memcpy(p->look_back, to + piece->len - behind, behind);
    return ERR_OK;
}

/* The next piece, read. *ret_any: there is one. */
static enum err piece_get(struct piece_worker *w, struct piece *ret_piece, bool *ret_any)
{
    struct pieces *p = w->all;
    enum err e = ERR_OK;
    pthread_mutex_lock(&p->claim_lock);
    *ret_any = !p->all_claimed;
    if (*ret_any && p->source->read_at)
        claim_of_file(p, ret_piece);
    else if (*ret_any)
        e = stop_check(&p->stop) == ERR_OK ? claim_of_stream(w, ret_piece) : stop_check(&p->stop);
    pthread_mutex_unlock(&p->claim_lock);
    if (e == ERR_OK && *ret_any && p->source->read_at)
        e = read_of_file(w, ret_piece);
    return e;
}

/* ---- cutting ---- */

static enum err block_ends(struct piece_worker *w, const struct piece *piece)
{
    uint64_t block = w->all->spec.max_bytes;
    for (uint64_t at = piece->offset, end = piece->offset + piece->len; at < end;) {
        uint64_t next = (at / block + 1) * block;
        at = next < end ? next : end;
        if (w->ends.count == w->ends.cap) {
            size_t cap = w->ends.cap ? w->ends.cap * 2 : 256;
            uint64_t *grown = reallocarray(w->ends.at, cap, sizeof *grown);
            if (!grown)
                return err_set(ERR_NOMEM, "no memory for %zu chunk ends", cap);
            w->ends.at = grown;
            w->ends.cap = cap;
        }
        w->ends.at[w->ends.count++] = at;
    }
    return ERR_OK;
}

/*
 * In turn: where chunks end in this piece, as offsets in the content. The chunk that the piece
 * before left open comes to stand before it in the buffer; the one left open here is handed on.
 * *ret_start: where the first chunk begins.
 */
static enum err piece_cut(struct piece_worker *w, struct piece *piece, uint64_t *ret_start)
{
    struct pieces *p = w->all;
    uint8_t *data = w->buffer + p->room_bytes;
    *ret_start = piece->offset;
    w->ends.count = 0;
    if (!p->by_content)
        return block_ends(w, piece);
    if (piece->wanted == 0) /* nothing but a hole at the end */
        return ERR_OK;
    if (piece->begins) {
        assert(p->open_len == 0);
        TRY(cut_select_init(&p->select, (struct cut_params){p->spec.min_bytes, p->spec.mean_bytes,
                                                            p->spec.max_bytes}));
        p->extent_start = piece->offset;
    }
    memcpy(data - p->open_len, p->open_chunk, p->open_len);
    *ret_start -= p->open_len;
    TRY(cut_select_feed(&p->select, &w->marks, piece->len, piece->ends, &w->ends));
    for (size_t i = 0; i < w->ends.count; i++)
        w->ends.at[i] += p->extent_start;
    uint64_t closed = w->ends.count ? w->ends.at[w->ends.count - 1] : *ret_start;
    p->open_len = (size_t)(piece->offset + piece->len - closed);
    memcpy(p->open_chunk, data + piece->len - p->open_len, p->open_len);
    return ERR_OK;
}

/* In turn: cut, unless the content was over before. */
static enum err piece_cut_in_turn(struct piece_worker *w, struct piece *piece, uint64_t *ret_start,
                                  bool *ret_counts)
{
    struct pieces *p = w->all;
    TRY(turn_wait(p, &p->cut_turn, piece->number));
    *ret_counts = !p->over;
    if (*ret_counts) {
        TRY(piece_cut(w, piece, ret_start));
        if (piece->last) {
            p->over = true;
            p->length = piece->offset + piece->len;
        }
    }
    turn_pass(p, &p->cut_turn);
    return ERR_OK;
}

/* ---- hashing ---- */

static void hash_zeros(struct sha256 *sha, uint64_t len)
{
    static const uint8_t zeros[65536];
    while (len > 0) {
        size_t part = len < sizeof zeros ? (size_t)len : sizeof zeros;
        sha256_update(sha, slice_of(zeros, part));
        len -= part;
    }
}

static enum err piece_hash_in_turn(struct piece_worker *w, const struct piece *piece, bool counts)
{
    struct pieces *p = w->all;
    if (!p->options->file_hash)
        return ERR_OK;
    TRY(turn_wait(p, &p->hash_turn, piece->number));
    if (counts) {
        hash_zeros(&p->sha, piece->hole_before);
        sink_hash(p->sink, &p->sha, slice_of(w->buffer + p->room_bytes, piece->len));
    }
    turn_pass(p, &p->hash_turn);
    return ERR_OK;
}

/* ---- storing ---- */

static enum err room_make(struct piece_worker *w, size_t count)
{
    if (count <= w->room)
        return ERR_OK;
    size_t room = w->room * 2 > count ? w->room * 2 : count;
    struct slice *chunks = reallocarray(w->chunks, room, sizeof *chunks);
    w->chunks = chunks ? chunks : w->chunks;
    struct chunk_id *ids = reallocarray(w->ids, room, sizeof *ids);
    w->ids = ids ? ids : w->ids;
    if (!chunks || !ids)
        return err_set(ERR_NOMEM, "no memory for %zu chunks", count);
    w->room = room;
    return ERR_OK;
}

static bool all_zero(struct slice s)
{
    return s.data[0] == 0 && memcmp(s.data, s.data + 1, s.len - 1) == 0;
}

/* Name and store the chunks that end in this piece; zeros need no chunk. Items malloc'ed for the
 * slot. */
static enum err piece_store(struct piece_worker *w, const struct piece *piece, uint64_t start,
                            struct item **ret_items)
{
    const uint8_t *data = w->buffer + w->all->room_bytes - (piece->offset - start);
    size_t count = 0;
    AUTO_MEM struct item *items = calloc(w->ends.count + 1, sizeof *items);
    if (!items)
        return err_set(ERR_NOMEM, "no memory for %zu chunks", w->ends.count);
    TRY(room_make(w, w->ends.count));
    for (size_t i = 0; i < w->ends.count; i++) {
        uint64_t from = i ? w->ends.at[i - 1] : start;
        struct slice chunk = slice_of(data + (from - start), (size_t)(w->ends.at[i] - from));
        items[i] =
            (struct item){.what = all_zero(chunk) ? ITEM_ZEROS : ITEM_DATA, .length = chunk.len};
        if (items[i].what == ITEM_DATA)
            w->chunks[count++] = chunk;
    }
    if (count)
        TRY(sink_put(w->sink, w->chunks, count, w->ids));
    for (size_t i = 0, at = 0; i < w->ends.count; i++)
        if (items[i].what == ITEM_DATA)
            items[i].id = w->ids[at++];
    *ret_items = TAKE(items);
    return ERR_OK;
}

/* ---- the list ---- */

/* Feed one slot to the list. */
static enum err slot_feed(struct pieces *p, const struct slot *slot)
{
    struct item hole = {.what = ITEM_HOLE, .length = slot->hole_before};
    TRY(list_builder_add(p->list, &hole));
    for (size_t i = 0; i < slot->count; i++)
        TRY(list_builder_add(p->list, &slot->items[i]));
    return ERR_OK;
}

/* Put what is ready and in order into the list: by whoever comes, one at a time (the tree worker is
 * one thread's at a time). */
static enum err slots_drain(struct pieces *p)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&p->lock);
    if (!p->draining) {
        p->draining = true;
        for (struct slot *slot;
             e == ERR_OK && (slot = &p->slots[p->out_turn.number % SLOTS])->ready;) {
            struct slot taken = *slot;
            *slot = (struct slot){.ready = false};
            p->out_turn.number++;
            pthread_cond_broadcast(&p->out_turn.passed);
            pthread_mutex_unlock(&p->lock);
            e = slot_feed(p, &taken);
            free(taken.items);
            pthread_mutex_lock(&p->lock);
        }
        p->draining = false;
    }
    pthread_mutex_unlock(&p->lock);
    return e;
}

/* Hand in a piece's items (taken over, also on failure). Waits only if a piece long before this one
 * is not ready. */
static enum err slot_put(struct pieces *p, const struct piece *piece, bool counts,
                         struct item *items, size_t count)
{
    enum err e;
    pthread_mutex_lock(&p->lock);
    while ((e = stop_check(&p->stop)) == ERR_OK && piece->number >= p->out_turn.number + SLOTS)
        pthread_cond_wait(&p->out_turn.passed, &p->lock);
    if (e == ERR_OK)
        p->slots[piece->number % SLOTS] =
            (struct slot){true, counts ? piece->hole_before : 0, TAKE(items), count};
    pthread_mutex_unlock(&p->lock);
    free(items);
    return e == ERR_OK ? slots_drain(p) : e;
}

/* ---- workers ---- */

static enum err piece_work(struct piece_worker *w, struct piece *piece)
{
    struct pieces *p = w->all;
    uint64_t start = 0;
    bool counts = false;
    struct item *items = NULL;
    if (p->by_content) {
        struct slice seen =
            slice_of(w->buffer + p->room_bytes - piece->back, piece->len + piece->back);
        TRY(cut_mark(w->scanner, seen, piece->back, &w->marks));
    }
    TRY(piece_cut_in_turn(w, piece, &start, &counts));
    TRY(piece_hash_in_turn(w, piece, counts));
    if (counts)
        TRY(piece_store(w, piece, start, &items));
    return slot_put(p, piece, counts, items, counts ? w->ends.count : 0);
}

static enum err worker_go(struct piece_worker *w)
{
    struct piece piece = {0};
    bool any;
    for (;;) {
        TRY(piece_get(w, &piece, &any));
        if (!any)
            return ERR_OK;
        TRY(piece_work(w, &piece));
    }
}

static void *worker_run(void *context)
{
    struct piece_worker *w = context;
    enum err e = worker_go(w);
    if (e != ERR_OK)
        pieces_fail(w->all, e);
    /* Also after an error of the source: others may count on the chunks we took upon us. */
    e = sink_worker_finish(w->sink);
    if (e != ERR_OK)
        pieces_fail(w->all, e);
    return NULL;
}

static void piece_worker_clear(struct piece_worker *w)
{
    sink_worker_free(w->sink);
    cut_scanner_free(w->scanner);
    cut_marks_clear(&w->marks);
    cut_ends_clear(&w->ends);
    buf_clear(&w->memory);
    free(w->chunks);
    free(w->ids);
}

static enum err piece_worker_init(struct piece_worker *w, struct pieces *p, size_t piece_bytes)
{
    *w = (struct piece_worker){.all = p};
    TRY(big_alloc(p->room_bytes + piece_bytes, &w->memory));
    w->buffer = w->memory.data;
    TRY(sink_worker_new(p->sink, CHUNK_DATA, &w->sink));
    return p->by_content ? cut_scanner_new(&p->keys, &w->scanner) : ERR_OK;
}

/* ---- one content ---- */

static void pieces_clear(struct pieces *p)
{
    for (size_t i = 0; i < SLOTS; i++)
        free(p->slots[i].items);
    list_builder_free(p->list);
    free(p->open_chunk);
    cut_keys_clear(&p->keys);
    pthread_cond_destroy(&p->cut_turn.passed);
    pthread_cond_destroy(&p->hash_turn.passed);
    pthread_cond_destroy(&p->out_turn.passed);
    pthread_mutex_destroy(&p->claim_lock);
    pthread_mutex_destroy(&p->lock);
    stop_clear(&p->stop);
}

static enum err pieces_init(struct pieces *p)
{
    stop_init(&p->stop);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->claim_lock, NULL);
    pthread_cond_init(&p->cut_turn.passed, NULL);
    pthread_cond_init(&p->hash_turn.passed, NULL);
    pthread_cond_init(&p->out_turn.passed, NULL);
    sha256_init(&p->sha);

    struct session *session = sink_session(p->sink);
    const struct access *access = session_access(session);
    const struct cut_spec *spec = config_class(&access->config, p->options->cut_class);
    if (!spec)
        return err_set(ERR_UNSUPPORTED, "the store's config has no cut class %d",
                       p->options->cut_class);
    p->spec = *spec;
    p->by_content = spec->method == CUT_BY_CONTENT;
    p->room_bytes = p->by_content
                        ? (spec->max_bytes > CUT_WINDOW_BYTES ? spec->max_bytes : CUT_WINDOW_BYTES)
                        : 0;
    if (p->by_content) {
        const struct domain_keys *domain;
        TRY(keyring_find_domain(access->keys, session_domain(session), &domain));
        TRY(cut_keys_init(domain->k_cut, &p->keys));
        p->open_chunk = malloc(spec->max_bytes);
        if (!p->open_chunk)
            return err_set(ERR_NOMEM, "no memory for a chunk");
    }
    return list_builder_new((uint8_t)p->options->cut_class, sink_put_tree, p->tree_worker,
                            &p->list);
}

/* The largest piece, and no more workers than pieces. */
static size_t piece_bytes_of(const struct piece_source *source, unsigned *workers)
{
    if (!source->read_at)
        return PIECE_BYTES;
    uint64_t pieces = source->size / PIECE_BYTES + 1;
    if (source->extents && source->extent_count > pieces)
        pieces = source->extent_count;
    if (pieces < *workers)
        *workers = (unsigned)pieces;
    return source->size < PIECE_BYTES ? (size_t)source->size : PIECE_BYTES;
}

static enum err pieces_run(struct pieces *p, unsigned workers)
{
    size_t piece_bytes = piece_bytes_of(p->source, &workers);
    workers = workers == 0 ? 1 : workers < WORKERS_MAX ? workers : WORKERS_MAX;
    AUTO_MEM struct piece_worker *team = calloc(workers, sizeof *team);
    if (!team)
        return err_set(ERR_NOMEM, "no memory for %u workers", workers);
    enum err e = ERR_OK;
    unsigned made = 0, running = 1;
    while (e == ERR_OK && made < workers)
        e = piece_worker_init(&team[made++], p, piece_bytes);
    if (e == ERR_OK) {
        /* The first one is this thread; others that cannot be started are not needed. */
        while (running < workers &&
               pthread_create(&team[running].thread, NULL, worker_run, &team[running]) == 0)
            running++;
        worker_run(&team[0]);
        for (unsigned i = 1; i < running; i++)
            pthread_join(team[i].thread, NULL);
        e = stop_check(&p->stop);
    }
    for (unsigned i = 0; i < made; i++)
        piece_worker_clear(&team[i]);
    return e;
}

enum err pieces_store(struct sink *sink, struct sink_worker *tree_worker,
                      const struct piece_source *source, const struct piece_options *options,
                      unsigned workers, struct pieces_result *ret_result)
{
    AUTO(pieces)
    p = {.sink = sink, .source = source, .options = options, .tree_worker = tree_worker};
    TRY(pieces_init(&p));
    if (options->file_hash)
        sink_hash_begin(sink);
    enum err e = pieces_run(&p, workers);
    if (options->file_hash)
        sink_hash_end(sink);
    TRY(e);
    struct pieces_result result = {.length = p.length};
    TRY(list_builder_finish(p.list, &result.content));
    if (options->file_hash)
        sha256_final(&p.sha, result.sha256);
    *ret_result = result;
    return ERR_OK;
}
