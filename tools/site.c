#include "tools/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/base/file.h"
#include "fetch/base/log.h"

enum err site_store_url(const struct settings *s, const char **ret_url)
{
    if (!s->store)
        return err_set(ERR_INVALID, "which store? give --store URL, or set YORE_STORE");
    *ret_url = s->store;
    return ERR_OK;
}

/* <base>/yore[/<store>]: base is the first of the option, $variable, $HOME/fallback; root: root_dir. */
static enum err local_dir(const char *option, const char *variable, const char *fallback, const char *root_dir,
                          const struct uid *store, char **ret_dir)
{
    AUTO(buf) path = BUF_EMPTY;
    const char *set = getenv(variable), *home = getenv("HOME");
    if (option)
        buf_put_format(&path, "%s", option);
    else if (geteuid() == 0)
        buf_put_format(&path, "%s", root_dir);
    else if (set && set[0] == '/')
        buf_put_format(&path, "%s/yore", set);
    else if (home && home[0] == '/')
        buf_put_format(&path, "%s/%s/yore", home, fallback);
    else
        return err_set(ERR_INVALID, "no home folder: give --cache-dir and --state-dir");
    if (store)
        buf_put_format(&path, "/%s", hex_of(store->bytes, 16).text);
    buf_put_u8(&path, 0);
    TRY(buf_check(&path));
    TRY(dir_make_parents((const char *)path.data, 0700));
    TRY(dir_make((const char *)path.data, 0700));
    *ret_dir = (char *)path.data;
    path = BUF_EMPTY;
    return ERR_OK;
}

enum err site_cache_dir(const struct settings *s, const struct uid *store, char **ret_dir)
{
    return local_dir(s->cache_dir, "XDG_CACHE_HOME", ".cache", "/var/cache/yore", store, ret_dir);
}

enum err site_state_dir(const struct settings *s, const struct uid *store, char **ret_dir)
{
    return local_dir(s->state_dir, "XDG_STATE_HOME", ".local/state", "/var/lib/yore", store, ret_dir);
}

/* ---- which store was at which place: a file of lines "<store id> <url>" ---- */

/* The line of this URL in text; its id as hex, or NULL. */
static const char *find_known(const char *text, const char *url, size_t *ret_line_len)
{
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        if (len > 33 && strlen(url) == len - 33 && memcmp(line + 33, url, len - 33) == 0) {
            *ret_line_len = len;
            return line;
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

/* A place that held one store and now holds another may be an attack or a mistake: nothing goes on before a person says so. */
static enum err check_known_store(const struct settings *s, const char *url, const struct uid *store)
{
    AUTO_MEM char *dir = NULL;
    AUTO(buf) path = BUF_EMPTY, text = BUF_EMPTY, fresh = BUF_EMPTY;
    TRY(site_state_dir(s, NULL, &dir));
    buf_put_format(&path, "%s/known-stores", dir);
    TRY(buf_check(&path));
    enum err e = file_read_all((const char *)path.data, 16 << 20, &text);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return e;
    buf_put_u8(&text, 0);
    TRY(buf_check(&text));
    struct hex id = hex_of(store->bytes, 16);
    size_t len = 0;
    const char *line = find_known((const char *)text.data, url, &len);
    if (line && memcmp(line, id.text, 32) == 0)
        return ERR_OK;
    if (line && (!s->accept_store || strcmp(s->accept_store, id.text) != 0))
        return err_set(ERR_CORRUPT, "%s holds store %s, but this host knows store %.32s there; if that is right: --accept-store %s",
                       url, id.text, line, id.text);
    size_t before = line ? (size_t)(line - (const char *)text.data) : strlen((const char *)text.data);
    buf_put(&fresh, text.data, before);
    if (line) {
        const char *after = line + len + (line[len] == '\n');
        buf_put(&fresh, after, strlen(after));
    }
    buf_put_format(&fresh, "%s %s\n", id.text, url);
    TRY(buf_check(&fresh));
    return file_write_atomic((const char *)path.data, buf_slice(&fresh), 0600);
}

enum err site_access(const struct settings *s, struct site *ret_site)
{
    AUTO(buf) passphrase = BUF_EMPTY;
    struct access_request request = {.keystore_url = s->keystore, .role_file = s->key};
    TRY(site_store_url(s, &request.store_url));
    /* First the store itself: no passphrase is asked for a place that holds none. */
    AUTO_PTR(store) store = NULL;
    struct store_head_object head;
    TRY(store_open(request.store_url, false, &store));
    TRY(access_peek(store, &head));
    TRY(check_known_store(s, store->url, &head.store));
    if (!s->key)
        TRY(settings_secret(s, &request.secret, &passphrase));
    enum err e = access_open(&request, &ret_site->access);
    buf_wipe(&passphrase);
    explicit_bzero(request.secret.key, sizeof request.secret.key);
    return e;
}

enum err site_open(const struct settings *s, struct site *ret_site)
{
    AUTO(site) site = {0};
    TRY(site_access(s, &site));
    const struct uid *store = &site.access->head.store;
    TRY(site_cache_dir(s, store, &site.cache_dir));
    TRY(site_state_dir(s, store, &site.state_dir));
    TRY(index_open(site.access, site.cache_dir, &site.index));
    *ret_site = site;
    site = (struct site){0};
    return ERR_OK;
}

enum err site_reader(struct site *site, unsigned sync, unsigned workers)
{
    struct sync_report report;
    TRY(index_sync(site->index, sync, &report));
    if (report.damaged)
        log_warn("%llu objects of the store could not be read; yore check names them", (unsigned long long)report.damaged);
    struct fetch_guide guide = index_guide(site->index);
    struct fetch_options options = {.workers = workers};
    TRY(fetcher_new(site->access->store, site->access->keys, &guide, &options, &site->fetcher));
    return reader_new(site->index, site->fetcher, 0, &site->reader);
}

void site_clear(struct site *site)
{
    reader_free(site->reader);
    fetcher_free(site->fetcher);
    index_free(site->index);
    access_free(site->access);
    free(site->cache_dir);
    free(site->state_dir);
    *site = (struct site){0};
}
