#include "fetch/fetch.h"

#include <pthread.h>
#include <stdlib.h>

#include "fetch/ahead.h"
#include "fetch/base/log.h"
#include "fetch/frames.h"
#include "fetch/load.h"
#include "fetch/packs.h"

enum { FRAMES_BYTES_DEFAULT = 64 << 20, AHEAD_FRAMES_DEFAULT = 64, COPIES_TRIED = 4 };

struct fetcher {
    struct fetch_guide guide;
    struct loader loader;
    struct packs *packs;
    struct frames *frames;
    struct ahead *ahead; /* NULL without workers */
};

enum err fetcher_new(struct store *store, const struct keyring *keys, const struct fetch_guide *guide,
                     const struct fetch_options *options, struct fetcher **ret_fetcher)
{
    AUTO_PTR(fetcher) f = calloc(1, sizeof *f);
    if (!f)
        return err_set(ERR_NOMEM, "no memory for a fetcher");
    f->guide = *guide;
    size_t budget = options->frames_bytes ? options->frames_bytes : FRAMES_BYTES_DEFAULT;
    TRY(packs_new(store, keys, guide, &f->packs));
    TRY(frames_new(budget, &f->frames));
    f->loader.store = store;
    f->loader.keys = keys;
    f->loader.packs = f->packs;
    f->loader.fetcher = f;
    if (options->workers) {
        unsigned most = options->ahead_frames ? options->ahead_frames : AHEAD_FRAMES_DEFAULT;
        TRY(ahead_new(&f->loader, f->frames, options->workers, most, &f->ahead));
    }
    *ret_fetcher = TAKE(f);
    return ERR_OK;
}

void fetcher_free(struct fetcher *f)
{
    if (!f)
        return;
    ahead_free(f->ahead);
    frames_free(f->frames);
    packs_free(f->packs);
    free(f);
}

void chunk_ref_clear(struct chunk_ref *ref)
{
    if (ref->frame)
        frames_unref(ref->frames, ref->frame);
    *ref = CHUNK_REF_EMPTY;
}

/* The frame, decoded: at hand, or loaded by us, or by another thread while we wait. */
static enum err frame_get(struct fetcher *f, uint32_t pack, const struct frame_place *place, struct frame_data **ret_frame)
{
    bool mine;
    struct frame_data *frame;
    TRY(frames_get(f->frames, pack, place, &frame, &mine));
    if (mine) {
        uint8_t *raw = NULL;
        enum err e = load_frame(&f->loader, pack, place, &raw);
        frames_done(f->frames, frame, raw, e);
        loader_count(&f->loader, mine, place->stored_len);
        if (e != ERR_OK) {
            frames_unref(f->frames, frame);
            return e;
        }
    } else {
        loader_count(&f->loader, false, 0);
    }
    *ret_frame = frame;
    return ERR_OK;
}

/* Authentic is not enough: a faulty writer may have stored good bytes under a wrong name. */
static enum err check_name(struct fetcher *f, struct frame_data *frame, const struct chunk_id *id, const struct location *where)
{
    if (frame_was_checked(frame, where->place, where->length, id))
        return ERR_OK;
    const struct pack_keys *pack;
    const struct domain_keys *domain;
    TRY(packs_get(f->packs, where->pack, &pack));
    TRY(keyring_find_domain(f->loader.keys, pack->info.domain, &domain));
    struct chunk_id found;
    chunk_id_of(domain_ids(domain, pack->info.kind), slice_of(frame->raw + where->place, where->length), &found);
    if (memcmp(found.bytes, id->bytes, sizeof found.bytes) != 0)
        return err_set(ERR_CORRUPT, "%s: chunk %s holds %s", pack->name.text, hex_of(id->bytes, 32).text,
                       hex_short(found.bytes).text);
    frame_note_checked(frame, where->place, where->length, id);
    return ERR_OK;
}

static enum err fetch_at(struct fetcher *f, const struct chunk_id *id, const struct location *where, struct chunk_ref *ret_ref)
{
    if (where->length > where->frame.raw_len || where->place > where->frame.raw_len - where->length)
        return err_set(ERR_CORRUPT, "chunk %s lies outside its frame", hex_short(id->bytes).text);
    struct frame_data *frame;
    TRY(frame_get(f, where->pack, &where->frame, &frame));
    enum err e = check_name(f, frame, id, where);
    if (e != ERR_OK) {
        frames_unref(f->frames, frame);
        return e;
    }
    if (f->ahead)
        ahead_note(f->ahead, where->pack, &where->frame);
    *ret_ref = (struct chunk_ref){slice_of(frame->raw + where->place, where->length), frame, f->frames};
    return ERR_OK;
}

/* Of a pack whose key we lack, too: a copy in a newer one may be sealed to an epoch of ours. */
static bool another_copy_may_help(enum err e)
{
    return e == ERR_CORRUPT || e == ERR_AUTH || e == ERR_NOT_FOUND || e == ERR_NO_KEY;
}

/* Copies of the chunk at where, other than that one. */
static enum err fetch_other(struct fetcher *f, const struct chunk_id *id, const struct location *where, struct chunk_ref *ret_ref)
{
    struct fetch_pack pack = {0}; /* from the guide: the pack itself may be what cannot be read */
    TRY(f->guide.pack(f->guide.context, where->pack, &pack));
    free(pack.keys);
    struct location at = *where;
    for (int i = 0; i < COPIES_TRIED; i++) {
        struct location not_this = at;
        TRY(f->guide.locate(f->guide.context, pack.domain, pack.kind, id, &not_this, &at));
        if (fetch_at(f, id, &at, ret_ref) == ERR_OK)
            return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

enum err fetch_chunk(struct fetcher *f, const struct chunk_id *id, const struct location *where, struct chunk_ref *ret_ref)
{
    enum err e = fetch_at(f, id, where, ret_ref);
    if (e == ERR_OK || !another_copy_may_help(e))
        return e;
    struct err_note first;
    err_take(e, &first);
    if (fetch_other(f, id, where, ret_ref) != ERR_OK)
        return err_raise(&first);
    log_warn("%s; read from another copy", first.text);
    return ERR_OK;
}

void fetch_ahead(struct fetcher *f, const struct location *places, size_t count)
{
    if (f->ahead)
        ahead_want(f->ahead, places, count);
}

enum err fetch_directory(struct fetcher *f, uint32_t pack, struct pack_directory *ret_directory)
{
    return packs_directory(f->packs, pack, ret_directory);
}

/* For the loader: a delta's base, from any copy that is not a delta itself. */
enum err fetch_base(struct fetcher *f, uint32_t domain, enum chunk_kind kind, const struct chunk_id *base, struct chunk_ref *ret_ref)
{
    struct location where, skip;
    struct err_note first = {0};
    TRY(f->guide.locate(f->guide.context, domain, kind, base, NULL, &where));
    for (int i = 0; i < COPIES_TRIED; i++) {
        if (!where.frame.has_base) {
            enum err e = fetch_at(f, base, &where, ret_ref);
            if (e == ERR_OK || !another_copy_may_help(e))
                return e;
            if (!first.code)
                err_take(e, &first);
        }
        skip = where;
        if (f->guide.locate(f->guide.context, domain, kind, base, &skip, &where) != ERR_OK)
            break;
    }
    return first.code ? err_raise(&first) : err_set(ERR_CORRUPT, "base chunk %s is stored only as a delta", hex_short(base->bytes).text);
}

void fetcher_stats(struct fetcher *f, struct fetch_stats *ret_stats)
{
    *ret_stats = (struct fetch_stats){
        .frames_read = atomic_load(&f->loader.frames_read),
        .frames_ahead = f->ahead ? ahead_count(f->ahead) : 0,
        .bytes_read = atomic_load(&f->loader.bytes_read),
        .hits = atomic_load(&f->loader.hits),
    };
}
