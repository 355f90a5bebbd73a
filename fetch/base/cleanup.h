/*
 * cleanup: a resource and its release on one line.
 *
 *     AUTO(buf) plain = BUF_EMPTY;            struct buf, buf_clear at the end of the scope
 *     AUTO_PTR(keyring) keys = NULL;          struct keyring *, keyring_free at the end
 *     AUTO_FD fd = open(...);                 closed if >= 0
 *     AUTO_MEM char *name = strdup(...);      freed
 *     *ret = TAKE(keys);                      hands a pointer over and forgets it
 *
 * AUTO_PTR(T) needs DEFINE_AUTO_PTR(T) beside T's declaration. gcc and clang on Linux.
 * The clean-up does not run on longjmp or pthread_cancel; we use neither.
 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include "fetch/base/err.h"

#define AUTO(type) __attribute__((cleanup(type##_clear))) struct type
#define AUTO_PTR(type) __attribute__((cleanup(type##_auto_free))) struct type *
#define DEFINE_AUTO_PTR(type)                                                                      \
    static inline void type##_auto_free(struct type **where)                                       \
    {                                                                                              \
        type##_free(*where);                                                                       \
    }                                                                                              \
    struct type

static inline void cleanup_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void cleanup_mem(void *where)
{
    free(*(void **)where);
}
#define AUTO_FD __attribute__((cleanup(cleanup_fd))) int
#define AUTO_MEM __attribute__((cleanup(cleanup_mem)))

#define TAKE(pointer)                                                                              \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

/* Pass an error on. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum err try_err_ = (expression);                                                          \
        if (try_err_ != ERR_OK)                                                                    \
            return try_err_;                                                                       \
    } while (0)
