#include "writers/source/match.h"

#include <stdlib.h>

#include "writers/source/remember.h"

struct match {
    struct files_run *run;
    struct buf blob;
    struct chunk_id *ids; /* to be looked up, and whose they are */
    struct found **ids_of;
    bool *ids_known;
    size_t ids_cap;
};

enum err match_new(struct files_run *run, struct match **ret_match)
{
    *ret_match = calloc(1, sizeof **ret_match);
    if (!*ret_match)
        return err_set(ERR_NOMEM, "no memory for the files cache");
    (*ret_match)->run = run;
    return ERR_OK;
}

void match_free(struct match *match)
{
    if (!match)
        return;
    buf_clear(&match->blob);
    free(match->ids);
    free(match->ids_of);
    free(match->ids_known);
    free(match);
}

static enum err ids_reserve(struct match *match, size_t count)
{
    if (count <= match->ids_cap)
        return ERR_OK;
    free(match->ids);
    free(match->ids_of);
    free(match->ids_known);
    match->ids_cap = 0;
    match->ids = malloc(count * sizeof *match->ids);
    match->ids_of = malloc(count * sizeof(struct found *));
    match->ids_known = malloc(count * sizeof *match->ids_known);
    if (!match->ids || !match->ids_of || !match->ids_known)
        return err_set(ERR_NOMEM, "no memory to look up %zu chunks", count);
    match->ids_cap = count;
    return ERR_OK;
}

/* May what the cache has of this entry be used as it is? *ret_look_up: if its one chunk is still
 * stored. */
static bool usable(const struct match *match, const struct known_entry *known, bool *ret_look_up)
{
    const struct files_run *run = match->run;
    *ret_look_up = false;
    const struct content *content = &known->entry.content;
    if (known->entry.kind == NODE_FILE && run->file_hash && !known->entry.has_sha256 &&
        content->length - content->data_bytes <= HOLES_HASHED_MAX_BYTES)
        return false;
    if (run->may_reuse || !run->session)
        return true;
    if (remember_has_chunk(known))
        return false;
    if (known->entry.kind != NODE_FILE || content->how == CONTENT_EMPTY)
        return true;
    *ret_look_up = content->how == CONTENT_CHUNK;
    return *ret_look_up;
}

static int name_order(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Is this entry what the cache knows? *ret_look_up: if its chunk is. Directories are looked at
 * again when they are open. */
static bool is_known(const struct match *match, const struct found *f,
                     const struct known_entry *known, bool *ret_look_up)
{
    if (f->state == FOUND_LEFT_OUT || f->kind == NODE_DIR || !remember_same(known, f))
        return false;
    if (f->kind == NODE_FILE && match->run->options->rehash)
        return false;
    if (known->entry.has_link != (f->link != NULL))
        return false;
    if (f->link) {
        struct uid group = link_group(match->run->domain, f->device, f->inode);
        if (memcmp(group.bytes, known->entry.link.bytes, sizeof group.bytes) != 0)
            return false;
    }
    return usable(match, known, ret_look_up);
}

/* Name by name: which entries are what they were. Others keep their row, for its class. */
static enum err match_known(struct match *match, struct found_dir *dir)
{
    struct files_run *run = match->run;
    size_t at = dir->known.first, asked = 0, i = 0;
    for (size_t k = 0; k < dir->known.count; k++) {
        struct known_entry known;
        uint32_t row;
        if (remember_next(&dir->known, &at, &row, &known) != ERR_OK)
            break; /* not ours after all; what was found so far was sealed by us */
        while (i < dir->count &&
               name_order(found_name(dir, &dir->entries[i]), known.entry.name) < 0)
            i++;
        if (i == dir->count)
            break;
        struct found *f = &dir->entries[i];
        if (!slice_equal(found_name(dir, f), known.entry.name))
            continue;
        f->known = row;
        f->cut_class = known.cut_class;
        bool look_up;
        if (!is_known(match, f, &known, &look_up))
            continue;
        if (look_up) {
            TRY(ids_reserve(match, dir->known.count));
            match->ids[asked] = known.entry.content.id;
            match->ids_of[asked++] = f;
        } else {
            f->state = FOUND_SAME;
        }
    }
    if (asked == 0)
        return ERR_OK;
    TRY(session_known(run->session, CHUNK_DATA, match->ids, asked, match->ids_known));
    for (size_t k = 0; k < asked; k++)
        if (match->ids_known[k])
            match->ids_of[k]->state = FOUND_SAME;
    return ERR_OK;
}

enum err match_dir(struct match *match, struct slice path, struct found_dir *dir)
{
    struct filescache_key key = filescache_key(match->run->cache, path);
    memcpy(dir->key, key.bytes, sizeof dir->key);
    bool found;
    TRY(filescache_get(match->run->cache, &key, &match->blob, &found));
    if (!found)
        return ERR_OK;
    remember_open(&match->blob, &dir->known);
    return match_known(match, dir);
}

bool match_self(const struct match *match, const struct found_dir *parent, const struct found *self)
{
    struct known_entry known;
    bool look_up;
    return self->known != KNOWN_NONE &&
           remember_row(&parent->known, self->known, &known) == ERR_OK &&
           remember_same(&known, self) && usable(match, &known, &look_up);
}
