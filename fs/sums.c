#include "fs/sums.h"

#include <pthread.h>
#include <stdlib.h>

enum { CURSORS = 8 };

/* A directory on the way to the next line. */
struct step {
    struct node *dir;
    uint64_t next;        /* ordinal of the next entry */
    size_t path_len;      /* bytes of the path up to and with its slash */
    uint64_t escaped_len; /* the same, escaped */
    bool mark;
};

/* A place between two lines. */
struct cursor_at {
    uint32_t snapshot; /* 0: none */
    uint64_t offset;   /* of the next line */
    struct step *steps;
    size_t depth, room;
    struct buf path;
    uint64_t stamp;
};

struct sums {
    struct reader *reader;
    pthread_mutex_t lock; /* all below */
    struct cursor_at cursors[CURSORS];
    uint64_t stamp;
};

/* ---- arithmetic ---- */

static char escape_of(uint8_t byte)
{
    return byte == '\\' ? '\\' : byte == '\n' ? 'n' : byte == '\r' ? 'r' : 0;
}

void sums_escape(struct slice path, struct buf *out)
{
    for (size_t i = 0; i < path.len; i++) {
        char letter = escape_of(path.data[i]);
        if (letter)
            buf_put_u8(out, '\\');
        buf_put_u8(out, letter ? (uint8_t)letter : path.data[i]);
    }
}

void sums_line(const uint8_t *sha256, struct slice path, struct buf *out)
{
    static const char no_hash[] =
        "# the SHA-256 of this file was not recorded --------------------";
    bool mark;
    escaped_len(path, &mark);
    if (mark && sha256)
        buf_put_u8(out, '\\');
    buf_put_slice(out, slice_str(sha256 ? hex_of(sha256, 32).text : no_hash));
    if (mark && !sha256)
        buf_put_u8(out, '-');
    buf_put(out, "  ", 2);
    sums_escape(path, out);
    buf_put_u8(out, '\n');
}

uint64_t sums_total_bytes(const struct summary *below)
{
    return below->files * SUMS_LINE_BYTES + below->path_bytes + below->marks;
}

uint64_t sums_entry_bytes(const struct entry *entry, uint64_t prefix, bool prefix_mark)
{
    bool mark;
    uint64_t name = escaped_len(entry->name, &mark);
    mark = mark || prefix_mark;
    if (entry->kind == NODE_FILE)
        return SUMS_LINE_BYTES + prefix + name + mark;
    if (entry->kind != NODE_DIR)
        return 0;
    const struct summary *below = &entry->below;
    return below->files * (SUMS_LINE_BYTES + prefix + name + 1) + below->path_bytes +
           (mark ? below->files : below->marks);
}

/* ---- cursors ---- */

static void cursor_at_clear(struct cursor_at *c)
{
    for (size_t i = 0; i < c->depth; i++)
        node_free(c->steps[i].dir);
    free(c->steps);
    buf_clear(&c->path);
    *c = (struct cursor_at){0};
}

enum err sums_new(struct reader *reader, struct sums **ret_sums)
{
    struct sums *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(ERR_NOMEM, "no memory for SHA256SUMS");
    s->reader = reader;
    pthread_mutex_init(&s->lock, NULL);
    *ret_sums = s;
    return ERR_OK;
}

void sums_free(struct sums *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < CURSORS; i++)
        cursor_at_clear(&s->cursors[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static enum err step_push(struct cursor_at *c, const struct node *dir, size_t path_len,
                          uint64_t escaped, bool mark)
{
    if (c->depth == c->room) {
        size_t room = c->room ? c->room * 2 : 16;
        struct step *grown = reallocarray(c->steps, room, sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for SHA256SUMS");
        c->steps = grown;
        c->room = room;
    }
    if (c->depth >= TREE_MAX_DEPTH)
        return err_set(ERR_CORRUPT, "a tree deeper than %d", TREE_MAX_DEPTH);
    struct step *step = &c->steps[c->depth];
    *step = (struct step){.path_len = path_len, .escaped_len = escaped, .mark = mark};
    TRY(node_copy(dir, &step->dir));
    c->depth++;
    return ERR_OK;
}

/* Take the kept cursor of this snapshot that is nearest before offset, or one at the beginning. The
 * taker owns it: nobody waits for a lock while it walks. */
static enum err cursor_take_nearest(struct sums *s, const struct opened *opened, uint64_t offset,
                                    struct cursor_at *ret_cursor)
{
    struct cursor_at *best = NULL;
    pthread_mutex_lock(&s->lock);
    for (struct cursor_at *c = s->cursors; c < s->cursors + CURSORS; c++)
        if (c->snapshot == opened->number && c->offset <= offset &&
            (!best || c->offset > best->offset))
            best = c;
    if (best) {
        *ret_cursor = *best;
        *best = (struct cursor_at){0};
    }
    pthread_mutex_unlock(&s->lock);
    if (best)
        return ERR_OK;
    *ret_cursor = (struct cursor_at){.snapshot = opened->number};
    return step_push(ret_cursor, opened->view->root, 0, 0, false);
}

/* Keep it in place of the one longest not used. c becomes empty. */
static void cursor_keep(struct sums *s, struct cursor_at *c)
{
    pthread_mutex_lock(&s->lock);
    struct cursor_at *oldest = s->cursors;
    for (struct cursor_at *o = s->cursors; o < s->cursors + CURSORS; o++)
        if (o->stamp < oldest->stamp)
            oldest = o;
    struct cursor_at out = *oldest;
    *oldest = *c;
    oldest->stamp = ++s->stamp;
    pthread_mutex_unlock(&s->lock);
    *c = (struct cursor_at){0};
    cursor_at_clear(&out);
}

/* ---- walking ---- */

struct walk {
    struct reader *reader;
    struct cursor_at *cursor;
    uint64_t offset, end; /* of the text that is wanted */
    uint8_t *to;
    bool descend; /* the walk of this directory stopped for one below, or because all is there */
    enum err result;
};

/* Put the line of a file where it was asked for. */
static enum err put_line(struct walk *w, const struct entry *entry, uint64_t bytes)
{
    struct cursor_at *c = w->cursor;
    const struct step *top = &c->steps[c->depth - 1];
    c->path.len = top->path_len;
    buf_put_slice(&c->path, entry->name);
    AUTO(buf) line = BUF_EMPTY;
    sums_line(entry->has_sha256 ? entry->sha256 : NULL, buf_slice(&c->path), &line);
    TRY(buf_check(&c->path));
    TRY(buf_check(&line));
    if (line.len != bytes)
        return err_set(ERR_CORRUPT, "a line of SHA256SUMS has %zu bytes, not %llu", line.len,
                       (unsigned long long)bytes);
    uint64_t from = c->offset > w->offset ? c->offset : w->offset;
    uint64_t to = c->offset + bytes < w->end ? c->offset + bytes : w->end;
    memcpy(w->to + (from - w->offset), line.data + (from - c->offset), (size_t)(to - from));
    return ERR_OK;
}

/* A directory with wanted lines in it: the walk goes on in there. */
static enum err go_into(struct walk *w, const struct entry *entry, uint64_t position)
{
    struct cursor_at *c = w->cursor;
    const struct step *top = &c->steps[c->depth - 1];
    struct node dir = {.entry = *entry, .position = position, .domain = top->dir->domain};
    bool mark;
    uint64_t escaped = top->escaped_len + escaped_len(entry->name, &mark) + 1;
    mark = mark || top->mark;
    c->path.len = top->path_len;
    buf_put_slice(&c->path, entry->name);
    buf_put_u8(&c->path, '/');
    TRY(buf_check(&c->path));
    return step_push(c, &dir, c->path.len, escaped, mark);
}

static enum err walk_entry(void *context, const struct entry *entry, uint64_t ordinal,
                           uint64_t position)
{
    struct walk *w = context;
    struct cursor_at *c = w->cursor;
    struct step *top = &c->steps[c->depth - 1];
    if (!entry->kind) /* how many lines it would add nobody can know */
        return w->result = err_set(ERR_UNSUPPORTED, "an entry needs a newer version of yore");
    uint64_t bytes = sums_entry_bytes(entry, top->escaped_len, top->mark);
    bool wanted = bytes > 0 && c->offset + bytes > w->offset;
    if (wanted && entry->kind == NODE_DIR) {
        top->next = ordinal + 1;
        w->descend = true;
        w->result = go_into(w, entry, position);
        return ERR_CANCELED;
    }
    if (wanted && (w->result = put_line(w, entry, bytes)) != ERR_OK)
        return w->result;
    if (c->offset + bytes > w->end) { /* the next read begins within this line: stay before it */
        top->next = ordinal;
        return ERR_CANCELED;
    }
    c->offset += bytes;
    top->next = ordinal + 1;
    return c->offset == w->end ? ERR_CANCELED : ERR_OK;
}

/* From the cursor until the end of what is wanted. */
static enum err walk_on(struct walk *w)
{
    struct cursor_at *c = w->cursor;
    while (c->offset < w->end && c->depth > 0) {
        struct step *top = &c->steps[c->depth - 1];
        w->descend = false;
        w->result = ERR_OK;
        enum err e = reader_entries(w->reader, top->dir, top->next, walk_entry, w);
        TRY(w->result);
        if (e == ERR_CANCELED) {
            if (!w->descend)
                return ERR_OK;
            continue;
        }
        TRY(e);
        node_free(c->steps[--c->depth].dir);
    }
    if (c->offset < w->end)
        return err_set(
            ERR_CORRUPT,
            "the counts of a directory do not add up: SHA256SUMS ends at %llu, not at %llu",
            (unsigned long long)c->offset, (unsigned long long)w->end);
    return ERR_OK;
}

enum err sums_read(struct sums *s, const struct opened *opened, uint64_t offset, void *to,
                   size_t len, size_t *ret_len)
{
    uint64_t size = sums_total_bytes(&opened->view->root->entry.below);
    *ret_len = 0;
    if (offset >= size)
        return ERR_OK;
    uint64_t end = len < size - offset ? offset + len : size;
    AUTO(cursor_at) cursor = {0};
    TRY(cursor_take_nearest(s, opened, offset, &cursor));
    struct walk walk = {
        .reader = s->reader, .cursor = &cursor, .offset = offset, .end = end, .to = to};
    TRY(walk_on(&walk));
    *ret_len = (size_t)(end - offset);
    cursor_keep(s, &cursor);
    return ERR_OK;
}

/* ---- is there any? ---- */

enum { FILES_LOOKED_AT = 1024 };

struct look {
    unsigned files;
    bool hashed;
};

static enum err look_at(void *context, struct slice path, const struct entry *entry,
                        uint64_t position)
{
    (void)path, (void)position;
    struct look *look = context;
    if (entry->kind != NODE_FILE)
        return entry->kind == NODE_DIR && entry->below.files == 0 ? VISIT_PRUNE : ERR_OK;
    look->hashed = entry->has_sha256;
    return look->hashed || ++look->files == FILES_LOOKED_AT ? ERR_CANCELED : ERR_OK;
}

/* The first files tell for all; where there is no file at all, an empty list is right. */
static enum err look_hashed(struct reader *reader, const struct snapshot_view *view,
                            bool *ret_hashed)
{
    struct look look = {0};
    enum err e = reader_visit(reader, view, view->root, look_at, &look);
    *ret_hashed = look.hashed || view->root->entry.below.files == 0;
    return e == ERR_CANCELED ? ERR_OK : e;
}

enum err sums_size(struct sums *s, struct opened *opened, uint64_t *ret_size)
{
    int hashed = atomic_load(&opened->hashed);
    if (hashed < 0) {
        bool yes;
        TRY(look_hashed(s->reader, opened->view, &yes));
        hashed = yes;
        atomic_store(&opened->hashed, hashed);
    }
    if (!hashed)
        return err_set(ERR_NOT_FOUND, "the snapshot has no hashes of files");
    *ret_size = sums_total_bytes(&opened->view->root->entry.below);
    return ERR_OK;
}
