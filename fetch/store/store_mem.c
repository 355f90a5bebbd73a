/*
 * store_mem: a store in memory that fails on demand, so that tests reach what disks and networks do once a year.
 */
#include <pthread.h>

#include "fetch/base/clock.h"
#include "fetch/store/store.h"

struct object {
    char *name;
    struct buf bytes;
    int64_t mtime_secs;
};

struct store_mem {
    struct store base;
    pthread_mutex_t lock;     /* before nothing; guards all below */
    struct object **objects;  /* ascending by name; apart, so that store_mem_bytes stays where it is */
    size_t count, cap;
    char fail_calls[8]; /* kinds that count */
    long fail_in;       /* calls until the one that fails; -1: none */
    enum err fail_code;
};

static struct store_mem *mem_of(struct store *store)
{
    return (struct store_mem *)store;
}

/* With lock: is this the call that must fail? */
static enum err fault(struct store_mem *mem, char call, const char *name)
{
    if (mem->fail_in < 0 || !strchr(mem->fail_calls, call))
        return ERR_OK;
    return mem->fail_in-- > 0 ? ERR_OK : err_set(mem->fail_code, "%s: the store was told to fail", name);
}

/* With lock: where the name is, or would be. */
static size_t place_of(const struct store_mem *mem, const char *name, bool *ret_found)
{
    size_t low = 0, high = mem->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(mem->objects[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < mem->count && strcmp(mem->objects[low]->name, name) == 0;
    return low;
}

/* With lock: NULL when it is not there. */
static struct object *object_find(const struct store_mem *mem, const char *name)
{
    bool found;
    size_t place = place_of(mem, name, &found);
    return found ? mem->objects[place] : NULL;
}

static enum err not_found(const char *name)
{
    return err_set(ERR_NOT_FOUND, "there is no object %s in memory", name);
}

static void object_free(struct object *object)
{
    if (!object)
        return;
    free(object->name);
    buf_clear(&object->bytes);
    free(object);
}
DEFINE_AUTO_PTR(object);

static enum err object_new(const char *name, struct slice bytes, struct object **ret_object)
{
    AUTO_PTR(object) object = calloc(1, sizeof *object);
    if (!object || !(object->name = strdup(name)))
        return err_set(ERR_NOMEM, "no memory for an object");
    buf_put_slice(&object->bytes, bytes);
    TRY(buf_check(&object->bytes));
    object->mtime_secs = clock_now().secs;
    *ret_object = TAKE(object);
    return ERR_OK;
}

/* With lock. */
static enum err put_locked(struct store_mem *mem, const char *name, struct slice bytes, bool only_if_absent)
{
    TRY(fault(mem, 'p', name));
    bool found;
    size_t place = place_of(mem, name, &found);
    if (found && only_if_absent)
        return err_set(ERR_EXISTS, "%s is in memory already", name);
    AUTO_PTR(object) object = NULL;
    TRY(object_new(name, bytes, &object));
    if (found) {
        struct object *before = mem->objects[place];
        mem->objects[place] = TAKE(object);
        object_free(before);
        return ERR_OK;
    }
    if (mem->count == mem->cap) {
        size_t cap = mem->cap ? 2 * mem->cap : 64;
        struct object **grown = reallocarray(mem->objects, cap, sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for an object");
        mem->objects = grown;
        mem->cap = cap;
    }
    memmove(mem->objects + place + 1, mem->objects + place, (mem->count - place) * sizeof *mem->objects);
    mem->objects[place] = TAKE(object);
    mem->count++;
    return ERR_OK;
}

static enum err mem_put(struct store *store, const char *name, struct slice bytes, bool only_if_absent)
{
    struct store_mem *mem = mem_of(store);
    pthread_mutex_lock(&mem->lock);
    enum err e = put_locked(mem, name, bytes, only_if_absent);
    pthread_mutex_unlock(&mem->lock);
    return e;
}

/* With lock. */
static enum err get_locked(struct store_mem *mem, const char *name, uint64_t offset, size_t len, struct buf *ret_bytes)
{
    TRY(fault(mem, 'g', name));
    const struct object *object = object_find(mem, name);
    if (!object)
        return not_found(name);
    if (offset > object->bytes.len || len > object->bytes.len - offset)
        return err_set(ERR_CORRUPT, "%s is cut short: it has %zu bytes, wanted are %zu at %llu", name, object->bytes.len, len,
                       (unsigned long long)offset);
    AUTO(buf) bytes = BUF_EMPTY;
    if (len > 0)
        buf_put(&bytes, object->bytes.data + offset, len);
    TRY(buf_check(&bytes));
    buf_move(ret_bytes, &bytes);
    return ERR_OK;
}

static enum err mem_get(struct store *store, const char *name, uint64_t offset, size_t len, struct buf *ret_bytes)
{
    struct store_mem *mem = mem_of(store);
    pthread_mutex_lock(&mem->lock);
    enum err e = get_locked(mem, name, offset, len, ret_bytes);
    pthread_mutex_unlock(&mem->lock);
    return e;
}

static enum err mem_head(struct store *store, const char *name, uint64_t *ret_size_bytes)
{
    struct store_mem *mem = mem_of(store);
    pthread_mutex_lock(&mem->lock);
    enum err e = fault(mem, 'h', name);
    const struct object *object = object_find(mem, name);
    if (e == ERR_OK && object)
        *ret_size_bytes = object->bytes.len;
    pthread_mutex_unlock(&mem->lock);
    return e != ERR_OK || object ? e : not_found(name);
}

/* The first object from `from` on (after it, if past), if it begins with prefix; false when there is none. */
static bool next_entry(struct store_mem *mem, const char *prefix, const char *from, bool past, char ret_name[256],
                       struct store_entry *ret_entry)
{
    bool found;
    pthread_mutex_lock(&mem->lock);
    size_t place = place_of(mem, from, &found);
    place += found && past;
    const struct object *object = place < mem->count ? mem->objects[place] : NULL;
    if (object && strncmp(object->name, prefix, strlen(prefix)) != 0)
        object = NULL;
    if (object) {
        memcpy(ret_name, object->name, strlen(object->name) + 1); /* names have at most 255 bytes */
        *ret_entry = (struct store_entry){ret_name, object->bytes.len, object->mtime_secs};
    }
    pthread_mutex_unlock(&mem->lock);
    return object;
}

static enum err mem_list(struct store *store, const char *prefix, store_list_fn each, void *context)
{
    struct store_mem *mem = mem_of(store);
    pthread_mutex_lock(&mem->lock);
    enum err e = fault(mem, 'l', prefix);
    pthread_mutex_unlock(&mem->lock);
    TRY(e);
    char from[256] = "", name[256];
    struct store_entry entry;
    memcpy(from, prefix, strlen(prefix) + 1);
    for (bool past = false; next_entry(mem, prefix, from, past, name, &entry); past = true) {
        TRY(each(context, &entry));
        memcpy(from, name, sizeof from);
    }
    return ERR_OK;
}

static enum err mem_remove(struct store *store, const char *name)
{
    struct store_mem *mem = mem_of(store);
    struct object *gone = NULL;
    pthread_mutex_lock(&mem->lock);
    enum err e = fault(mem, 'r', name);
    bool found = false;
    size_t place = e == ERR_OK ? place_of(mem, name, &found) : 0;
    if (found) {
        gone = mem->objects[place];
        mem->count--;
        memmove(mem->objects + place, mem->objects + place + 1, (mem->count - place) * sizeof *mem->objects);
    }
    pthread_mutex_unlock(&mem->lock);
    object_free(gone);
    return e;
}

static void mem_free(struct store *store)
{
    struct store_mem *mem = mem_of(store);
    for (size_t i = 0; i < mem->count; i++)
        object_free(mem->objects[i]);
    free(mem->objects);
    pthread_mutex_destroy(&mem->lock);
    free(mem);
}

static const struct store_ops mem_ops = {mem_put, mem_get, mem_head, mem_list, mem_remove, mem_free};

enum err store_mem_open(struct store **ret_store)
{
    struct store_mem *mem = calloc(1, sizeof *mem);
    if (!mem)
        return err_set(ERR_NOMEM, "no memory for a store");
    mem->base.ops = &mem_ops;
    mem->fail_in = -1;
    pthread_mutex_init(&mem->lock, NULL);
    mem->base.url = strdup("memory:");
    if (!mem->base.url) {
        store_free(&mem->base);
        return err_set(ERR_NOMEM, "no memory for a store");
    }
    *ret_store = &mem->base;
    return ERR_OK;
}

void store_mem_fail(struct store *store, const char *calls, long k, enum err code)
{
    struct store_mem *mem = mem_of(store);
    pthread_mutex_lock(&mem->lock);
    size_t len = strnlen(calls, sizeof mem->fail_calls - 1);
    memcpy(mem->fail_calls, calls, len);
    mem->fail_calls[len] = 0;
    mem->fail_in = k;
    mem->fail_code = code;
    pthread_mutex_unlock(&mem->lock);
}

enum err store_mem_bytes(struct store *store, const char *name, struct buf **ret_borrowed)
{
    struct store_mem *mem = mem_of(store);
    pthread_mutex_lock(&mem->lock);
    struct object *object = object_find(mem, name);
    if (object)
        *ret_borrowed = &object->bytes;
    pthread_mutex_unlock(&mem->lock);
    return object ? ERR_OK : not_found(name);
}
