#include "fetch/packs.h"

#include <pthread.h>
#include <stdlib.h>

#include "fetch/crypto/secret.h"

struct pack_slot {
    pthread_mutex_t lock;
    bool ready;                       /* guarded by lock; keys constant after */
    struct pack_keys keys;
    struct pack_directory *directory; /* guarded by lock */
};

struct packs {
    struct store *store;         /* borrowed */
    const struct keyring *keys;  /* borrowed */
    struct fetch_guide guide;
    pthread_mutex_t lock;        /* taken after no slot's lock */
    struct pack_slot **slots;    /* [number]; guarded by lock */
    size_t slot_count;
    struct pack_slot *kept[PACKS_DIRECTORIES_KEPT]; /* who holds a directory; guarded by lock */
    size_t kept_next;
};

enum err packs_new(struct store *store, const struct keyring *keys, const struct fetch_guide *guide, struct packs **ret_packs)
{
    struct packs *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(ERR_NOMEM, "no memory for packs");
    p->store = store;
    p->keys = keys;
    p->guide = *guide;
    pthread_mutex_init(&p->lock, NULL);
    *ret_packs = p;
    return ERR_OK;
}

static void directory_free(struct pack_directory *directory)
{
    if (!directory)
        return;
    pack_directory_clear(directory);
    free(directory);
}

void packs_free(struct packs *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->slot_count; i++) {
        struct pack_slot *s = p->slots[i];
        if (!s)
            continue;
        for (size_t k = 0; k < s->keys.count; k++)
            secret_wipe(s->keys.keys[k].key, sizeof s->keys.keys[k].key);
        free(s->keys.keys);
        free(s->keys.info.keys);
        directory_free(s->directory);
        pthread_mutex_destroy(&s->lock);
        free(s);
    }
    free(p->slots);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static struct pack_slot *slot_make(void)
{
    struct pack_slot *s = calloc(1, sizeof *s);
    if (s)
        pthread_mutex_init(&s->lock, NULL);
    return s;
}

/* The slot of a number, made if new; NULL without memory. */
static struct pack_slot *slot_get(struct packs *p, uint32_t number)
{
    struct pack_slot *found = NULL;
    pthread_mutex_lock(&p->lock);
    if (number >= p->slot_count) {
        size_t count = (size_t)number + 64;
        struct pack_slot **grown = realloc(p->slots, count * sizeof *grown);
        if (grown) {
            memset(grown + p->slot_count, 0, (count - p->slot_count) * sizeof *grown);
            p->slots = grown;
            p->slot_count = count;
        }
    }
    if (number < p->slot_count) {
        if (!p->slots[number])
            p->slots[number] = slot_make();
        found = p->slots[number];
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

/* Read a pack's header: a first guess of 4 KiB holds all but packs copied from very many others. */
static enum err header_read(struct packs *p, const struct object_name *name, uint64_t size, struct pack_header *ret_header)
{
    size_t want = size < 4096 ? (size_t)size : 4096;
    for (int tries = 0; tries < 3; tries++) {
        AUTO(buf) start = BUF_EMPTY;
        TRY(store_get(p->store, name->text, 0, want, &start));
        size_t need = 0;
        enum err e = pack_header_parse(buf_slice(&start), ret_header, &need);
        if (e != ERR_AGAIN)
            return err_add(e, "%s", name->text);
        if (need > size)
            break;
        want = need;
    }
    return err_set(ERR_CORRUPT, "%s: header larger than the pack", name->text);
}

static void key_failed(struct pack_key *key, enum err e)
{
    key->opened = false;
    err_take(e, &key->why);
}

/* Keys as segments hold them. A key that does not open spoils only its own frames. */
static bool keys_by_epoch(const struct packs *p, struct pack_keys *k)
{
    bool any = false;
    for (size_t i = 0; i < k->count; i++) {
        const struct epoch_key_record *r = &k->info.keys[i];
        k->keys[i].origin = r->origin;
        enum err e = pack_key_open_epoch(p->keys, k->info.domain, k->info.kind, &r->origin, r->epoch, r->sealed, k->keys[i].key);
        if (e == ERR_OK)
            any = k->keys[i].opened = true;
        else
            key_failed(&k->keys[i], err_add(e, "%s", k->name.text));
    }
    return any;
}

/* Keys as the pack's own header holds them, sealed to the domain's recovery pair. */
static enum err keys_by_recovery(struct packs *p, struct pack_keys *k)
{
    AUTO(pack_header) header = {0};
    TRY(header_read(p, &k->name, k->info.size_bytes, &header));
    struct pack_key *keys = calloc(header.record_count, sizeof *keys);
    if (!keys)
        return err_set(ERR_NOMEM, "no memory for pack keys");
    enum err last = ERR_OK;
    bool any = false;
    for (uint32_t i = 0; i < header.record_count; i++) {
        keys[i].origin = header.records[i].origin;
        last = pack_key_open_recovery(p->keys, k->info.domain, &header.records[i].origin, header.records[i].sealed, keys[i].key);
        if (last == ERR_OK)
            any = keys[i].opened = true;
        else
            key_failed(&keys[i], err_add(last, "%s", k->name.text));
    }
    if (!any) {
        free(keys);
        return last;
    }
    free(k->keys);
    k->keys = keys;
    k->count = header.record_count;
    return ERR_OK;
}

static enum err keys_load(struct packs *p, uint32_t number, struct pack_keys *k)
{
    TRY(p->guide.pack(p->guide.context, number, &k->info));
    k->name = name_pack(k->info.domain, &k->info.name);
    k->count = k->info.key_count;
    k->keys = k->count ? calloc(k->count, sizeof *k->keys) : NULL;
    if (k->count && !k->keys)
        return err_set(ERR_NOMEM, "no memory for pack keys");
    if (!keys_by_epoch(p, k)) {
        struct err_note first = {0};
        if (k->count)
            first = k->keys[0].why;
        enum err e = keys_by_recovery(p, k);
        if (e != ERR_OK)
            return e == ERR_NO_KEY && first.code ? err_raise(&first) : e;
    }
    k->binding = (struct frame_binding){{p->keys->store, k->info.domain}, k->info.kind, k->keys[0].origin};
    return ERR_OK;
}

enum err packs_get(struct packs *p, uint32_t number, const struct pack_keys **ret_keys)
{
    struct pack_slot *s = slot_get(p, number);
    if (!s)
        return err_set(ERR_NOMEM, "no memory for pack %u", number);
    pthread_mutex_lock(&s->lock);
    bool ready = s->ready;
    pthread_mutex_unlock(&s->lock);
    if (!ready) {
        /* Two threads may do this at once; the first to finish wins. */
        struct pack_keys fresh = {0};
        enum err e = keys_load(p, number, &fresh);
        pthread_mutex_lock(&s->lock);
        if (e == ERR_OK && !s->ready) {
            s->keys = fresh;
            s->ready = true;
            fresh = (struct pack_keys){0};
        }
        pthread_mutex_unlock(&s->lock);
        free(fresh.keys);
        free(fresh.info.keys);
        if (e != ERR_OK)
            return e;
    }
    *ret_keys = &s->keys;
    return ERR_OK;
}

static enum err directory_read(struct packs *p, const struct pack_keys *k, struct pack_directory *ret_directory)
{
    AUTO(pack_header) header = {0};
    AUTO(buf) sealed = BUF_EMPTY;
    TRY(header_read(p, &k->name, k->info.size_bytes, &header));
    if (memcmp(header.uid.bytes, k->keys[0].origin.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "%s: its header names another pack", k->name.text);
    if (!k->keys[0].opened)
        return err_raise(&k->keys[0].why);
    TRY(store_get(p->store, k->name.text, header.directory_offset, header.directory_len, &sealed));
    enum err e = pack_directory_open(&header, k->keys[0].key, buf_slice(&sealed), k->info.size_bytes, ret_directory, NULL);
    return err_add(e, "%s", k->name.text);
}

/* Give a slot its directory, and take one from whoever had it longest. Called without locks. */
static void directory_keep(struct packs *p, struct pack_slot *s, struct pack_directory *directory)
{
    struct pack_slot *oldest = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->directory) {
        pthread_mutex_unlock(&s->lock);
        directory_free(directory);
        return;
    }
    s->directory = directory;
    pthread_mutex_unlock(&s->lock);

    pthread_mutex_lock(&p->lock);
    oldest = p->kept[p->kept_next];
    p->kept[p->kept_next] = s;
    p->kept_next = (p->kept_next + 1) % PACKS_DIRECTORIES_KEPT;
    pthread_mutex_unlock(&p->lock);
    if (!oldest || oldest == s)
        return;
    pthread_mutex_lock(&oldest->lock);
    struct pack_directory *gone = oldest->directory;
    oldest->directory = NULL;
    pthread_mutex_unlock(&oldest->lock);
    directory_free(gone);
}

static enum err directory_load(struct packs *p, uint32_t number, struct pack_slot **ret_slot)
{
    const struct pack_keys *k;
    TRY(packs_get(p, number, &k));
    struct pack_slot *s = slot_get(p, number);
    *ret_slot = s;
    pthread_mutex_lock(&s->lock);
    bool there = s->directory != NULL;
    pthread_mutex_unlock(&s->lock);
    if (there)
        return ERR_OK;
    struct pack_directory *directory = calloc(1, sizeof *directory);
    if (!directory)
        return err_set(ERR_NOMEM, "no memory for a pack directory");
    enum err e = directory_read(p, k, directory);
    if (e != ERR_OK) {
        free(directory);
        return e;
    }
    directory_keep(p, s, directory);
    return ERR_OK;
}

void frame_run_clear(struct frame_run *run)
{
    free(run->frames);
    free(run->chunks);
    *run = (struct frame_run){0};
}

/* Copy frames [first, first + count) with their chunks. */
static enum err run_copy(const struct pack_directory *d, size_t first, size_t count, struct frame_run *ret_run)
{
    *ret_run = (struct frame_run){0};
    if (count == 0)
        return ERR_OK;
    size_t chunk_first = d->frames[first].first_chunk;
    const struct pack_frame *last = &d->frames[first + count - 1];
    size_t chunk_count = last->first_chunk + last->chunk_count - chunk_first;
    ret_run->frames = malloc(count * sizeof *ret_run->frames);
    ret_run->chunks = malloc(chunk_count * sizeof *ret_run->chunks);
    if (!ret_run->frames || !ret_run->chunks) {
        frame_run_clear(ret_run);
        return err_set(ERR_NOMEM, "no memory for frames");
    }
    memcpy(ret_run->frames, d->frames + first, count * sizeof *ret_run->frames);
    memcpy(ret_run->chunks, d->chunks + chunk_first, chunk_count * sizeof *ret_run->chunks);
    for (size_t i = 0; i < count; i++)
        ret_run->frames[i].first_chunk -= (uint32_t)chunk_first;
    ret_run->count = count;
    return ERR_OK;
}

enum err packs_frames_after(struct packs *p, uint32_t number, uint32_t offset, size_t max, struct frame_run *ret_run)
{
    *ret_run = (struct frame_run){0};
    struct pack_slot *s;
    TRY(directory_load(p, number, &s));
    enum err e = ERR_OK;
    pthread_mutex_lock(&s->lock);
    const struct pack_directory *d = s->directory;
    if (d) { /* else thrown out again in between: the caller does without */
        size_t low = 0, high = d->frame_count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (d->frames[middle].place.offset < offset)
                low = middle + 1;
            else
                high = middle;
        }
        size_t count = d->frame_count - low < max ? d->frame_count - low : max;
        e = run_copy(d, low, count, ret_run);
    }
    pthread_mutex_unlock(&s->lock);
    return e;
}

enum err packs_directory(struct packs *p, uint32_t number, struct pack_directory *ret_directory)
{
    const struct pack_keys *k;
    TRY(packs_get(p, number, &k));
    return directory_read(p, k, ret_directory);
}
