#include "fs/scratch.h"

#include <pthread.h>
#include <stdlib.h>

struct scratch {
    size_t size;
    char bytes[];
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    pthread_key_create(&key, free);
}

void *scratch_get(size_t size)
{
    pthread_once(&once, make_key);
    struct scratch *s = pthread_getspecific(key);
    if (s && s->size >= size)
        return s->bytes;
    pthread_setspecific(key, NULL);
    free(s);
    s = malloc(sizeof *s + size);
    if (!s)
        return NULL;
    s->size = size;
    if (pthread_setspecific(key, s) != 0) {
        free(s);
        return NULL;
    }
    return s->bytes;
}
