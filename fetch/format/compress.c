#include "fetch/format/compress.h"

#include <pthread.h>
#include <zstd.h>

/* A frame is at most 4 MiB, a delta's window covers frame and base: nothing honest needs a larger one. */
enum { WINDOW_LOG_MAX = 23 };

struct contexts {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
};

static pthread_key_t contexts_key;
static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;

static void contexts_free(void *where)
{
    struct contexts *c = where;
    ZSTD_freeCCtx(c->pack);
    ZSTD_freeDCtx(c->unpack);
    free(c);
}

static void contexts_make_key(void)
{
    pthread_key_create(&contexts_key, contexts_free);
}

static struct contexts *contexts_get(void)
{
    pthread_once(&contexts_once, contexts_make_key);
    struct contexts *c = pthread_getspecific(contexts_key);
    if (c)
        return c;
    c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->pack = ZSTD_createCCtx();
    c->unpack = ZSTD_createDCtx();
    if (!c->pack || !c->unpack || pthread_setspecific(contexts_key, c) != 0) {
        contexts_free(c);
        return NULL;
    }
    return c;
}

static enum err no_context(void)
{
    return err_set(ERR_NOMEM, "no memory for a zstd context");
}

size_t zstd_bound(size_t raw_len)
{
    return ZSTD_compressBound(raw_len);
}

enum err zstd_pack_delta(struct slice raw, struct slice prefix, int level, uint8_t *out, size_t out_cap, size_t *ret_len)
{
    struct contexts *c = contexts_get();
    if (!c)
        return no_context();
    ZSTD_CCtx_reset(c->pack, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(c->pack, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(c->pack, ZSTD_c_contentSizeFlag, 1);
    if (prefix.len) {
        unsigned log = 10;
        while (((size_t)1 << log) < raw.len + prefix.len && log < WINDOW_LOG_MAX)
            log++;
        ZSTD_CCtx_setParameter(c->pack, ZSTD_c_windowLog, (int)log);
        ZSTD_CCtx_refPrefix(c->pack, prefix.data, prefix.len);
    }
    size_t n = ZSTD_compress2(c->pack, out, out_cap, raw.data, raw.len);
    if (ZSTD_isError(n))
        return err_set(ERR_IO, "zstd: %s", ZSTD_getErrorName(n));
    *ret_len = n;
    return ERR_OK;
}

enum err zstd_pack(struct slice raw, int level, uint8_t *out, size_t out_cap, size_t *ret_len)
{
    struct contexts *c = contexts_get();
    if (!c)
        return no_context();
    size_t n = ZSTD_compressCCtx(c->pack, out, out_cap, raw.data, raw.len, level);
    if (ZSTD_isError(n))
        return err_set(ERR_IO, "zstd: %s", ZSTD_getErrorName(n));
    *ret_len = n;
    return ERR_OK;
}

enum err zstd_unpack(struct slice packed, struct slice prefix, uint8_t *out, size_t raw_len)
{
    struct contexts *c = contexts_get();
    if (!c)
        return no_context();
    if (ZSTD_isError(ZSTD_findFrameCompressedSize(packed.data, packed.len)) ||
        ZSTD_findFrameCompressedSize(packed.data, packed.len) != packed.len)
        return err_set(ERR_CORRUPT, "not one whole zstd frame");
    ZSTD_DCtx_reset(c->unpack, ZSTD_reset_session_and_parameters);
    ZSTD_DCtx_setParameter(c->unpack, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    if (prefix.len)
        ZSTD_DCtx_refPrefix(c->unpack, prefix.data, prefix.len);
    size_t n = ZSTD_decompressDCtx(c->unpack, out, raw_len, packed.data, packed.len);
    if (ZSTD_isError(n))
        return err_set(ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(n));
    if (n != raw_len)
        return err_set(ERR_CORRUPT, "zstd frame holds %zu bytes, not %zu", n, raw_len);
    return ERR_OK;
}
