/*
 * site: an opened store with its local index: what most commands begin with.
 */
#pragma once

#include "index/index.h"
#include "index/walk.h"
#include "tools/settings.h"

struct site {
    struct access *access;
    struct index *index;
    struct fetcher *fetcher; /* NULL until site_reader */
    struct reader *reader;   /* NULL until site_reader */
    char *cache_dir, *state_dir;
};

/* Open the store (asking for the passphrase if need be) and the local index; nothing is synced yet.
 *   ERR_CORRUPT  the place holds another store than this host remembers (--accept-store ID) */
enum err site_open(const struct settings *settings, struct site *ret_site);
/* Only the first half: the store and its keys, no folder and no thread: before a process goes to the background. */
enum err site_access(const struct settings *settings, struct site *ret_site);
/* Bring the index up to date and make a reader. workers: read-ahead threads. */
enum err site_reader(struct site *site, unsigned sync, unsigned workers);
void site_clear(struct site *site);

/* The store's URL, or ERR_INVALID that says how to give one. */
enum err site_store_url(const struct settings *settings, const char **ret_url);
/* Folders for a store: malloc'ed; made if missing. */
enum err site_cache_dir(const struct settings *settings, const struct uid *store, char **ret_dir);
enum err site_state_dir(const struct settings *settings, const struct uid *store, char **ret_dir);
