#include "fetch/store/store.h"

#include "fetch/base/hex.h"

enum { NAME_MAX_CHARS = 255 };

/* ---- names ---- */

/* A name, or what a name may begin with: then its last part may be cut anywhere, also before its first letter. */
static bool name_fits(const char *name, bool may_end_early)
{
    size_t part = 0; /* characters of the part we are in */
    size_t len = 0;
    for (; name[len]; len++) {
        char c = name[len];
        bool ok = c == '/'   ? part > 0
                  : c == '.' ? part > 0
                             : (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!ok || len == NAME_MAX_CHARS)
            return false;
        part = c == '/' ? 0 : part + 1;
    }
    return part > 0 || may_end_early;
}

static enum err name_check(const char *name, bool may_end_early)
{
    if (name_fits(name, may_end_early))
        return ERR_OK;
    AUTO(buf) shown = BUF_EMPTY;
    TRY(text_escape(slice_of(name, strnlen(name, NAME_MAX_CHARS)), &shown));
    return err_set(ERR_INVALID, "'%s' cannot name an object", (const char *)shown.data);
}

/* ---- URLs ---- */

/* Words in a query that come with a secret: Azure's signed URLs, S3's presigned ones, and what people make up. */
static const char *const secret_words[] = {"sig=", "signature=", "secret", "password", "token=", "key="};

/* Never shows the URL: it is the secret. */
static enum err refuse_secret(const char *url, const char *after_scheme)
{
    size_t authority = strcspn(after_scheme, "/?#");
    const char *at = memrchr(after_scheme, '@', authority);
    bool secret = at && memchr(after_scheme, ':', (size_t)(at - after_scheme));
    const char *query = strpbrk(after_scheme, "?#");
    for (size_t i = 0; query && i < sizeof secret_words / sizeof *secret_words; i++)
        secret |= strcasestr(query, secret_words[i]) != NULL;
    if (!secret)
        return ERR_OK;
    return err_set(ERR_INVALID, "the %.*s URL holds a secret, and URLs end up in logs and process lists: leave it out of the URL",
                   (int)strcspn(url, ":"), url);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The path of a file URL: %XX decoded, NUL-terminated. */
static enum err path_decode(const char *from, struct buf *ret_path)
{
    for (; *from; from++) {
        int value = (unsigned char)*from;
        if (*from == '%') {
            int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
            if (low < 0 || high + low == 0)
                return err_set(ERR_INVALID, "a file URL has '%%' only before two hex digits, other than 00");
            value = high << 4 | low;
            from += 2;
        }
        buf_put_u8(ret_path, (uint8_t)value);
    }
    buf_put_u8(ret_path, 0);
    return buf_check(ret_path);
}

enum err store_open(const char *url, bool make, struct store **ret_store)
{
    const char *colon = strstr(url, "://");
    if (url[0] == 0)
        return err_set(ERR_INVALID, "a store needs a place: a path or file:///path");
    /* A slash before it: a path that happens to hold "://". */
    if (!colon || memchr(url, '/', (size_t)(colon - url)))
        return store_dir_open(url, make, ret_store);
    TRY(refuse_secret(url, colon + 3));
    size_t scheme = (size_t)(colon - url);
    if (scheme == 4 && memcmp(url, "file", 4) == 0) {
        if (colon[3] != '/')
            return err_set(ERR_INVALID, "%s: a file URL names no host: file:///path", url);
        AUTO(buf) path = BUF_EMPTY;
        TRY(path_decode(colon + 3, &path));
        return store_dir_open((const char *)path.data, make, ret_store);
    }
    static const char *const later[] = {"s3", "gs", "azure"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (strlen(later[i]) == scheme && memcmp(url, later[i], scheme) == 0)
            return err_set(ERR_INVALID, "%s is not built in yet: give a path or file:///path", later[i]);
    return err_set(ERR_INVALID, "no kind of store is called %.*s: give a path or file:///path", (int)scheme, url);
}

void store_free(struct store *store)
{
    if (!store)
        return;
    free(store->url);
    store->ops->free(store);
}

/* ---- the calls ---- */

enum err store_put(struct store *store, const char *name, struct slice bytes, bool only_if_absent)
{
    TRY(name_check(name, false));
    return store->ops->put(store, name, bytes, only_if_absent);
}

enum err store_get(struct store *store, const char *name, uint64_t offset, size_t len, struct buf *ret_bytes)
{
    TRY(name_check(name, false));
    return store->ops->get(store, name, offset, len, ret_bytes);
}

enum err store_get_all(struct store *store, const char *name, size_t max_bytes, struct buf *ret_bytes)
{
    uint64_t size;
    TRY(store_head(store, name, &size));
    if (size > max_bytes)
        return err_set(ERR_CORRUPT, "%s has %llu bytes, at most %zu make sense", name, (unsigned long long)size, max_bytes);
    return store->ops->get(store, name, 0, (size_t)size, ret_bytes);
}

enum err store_head(struct store *store, const char *name, uint64_t *ret_size_bytes)
{
    TRY(name_check(name, false));
    return store->ops->head(store, name, ret_size_bytes);
}

enum err store_list(struct store *store, const char *prefix, store_list_fn each, void *context)
{
    TRY(name_check(prefix, true));
    return store->ops->list(store, prefix, each, context);
}

enum err store_remove(struct store *store, const char *name)
{
    TRY(name_check(name, false));
    return store->ops->remove(store, name);
}
