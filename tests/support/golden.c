#include "tests/support/golden.h"

#include <stdio.h>

#include "fetch/base/file.h"

struct tmp_path golden_path(const char *name)
{
    const char *root = getenv("YORE_SOURCE_ROOT");
    struct tmp_path path;
    snprintf(path.text, sizeof path.text, "%s/tests/golden/%s", root ? root : ".", name);
    return path;
}

enum err golden_file(const char *name, struct buf *ret_bytes)
{
    return file_read_all(golden_path(name).text, 1 << 20, ret_bytes);
}

enum err golden_recovery(struct slot_secret *ret_secret)
{
    AUTO(buf) text = BUF_EMPTY;
    TRY(golden_file("recovery.txt", &text));
    *ret_secret = (struct slot_secret){.kind = SLOT_RECOVERY};
    return recovery_text_parse(buf_slice(&text), ret_secret->key);
}

struct copying {
    struct store *from, *to;
    const char *without, *without_too;
};

static bool begins(const char *name, const char *prefix)
{
    return prefix && strncmp(name, prefix, strlen(prefix)) == 0;
}

static enum err copy_one(void *context, const struct store_entry *entry)
{
    const struct copying *c = context;
    if (begins(entry->name, c->without) || begins(entry->name, c->without_too))
        return ERR_OK;
    AUTO(buf) bytes = BUF_EMPTY;
    TRY(store_get_all(c->from, entry->name, 64 << 20, &bytes));
    return store_put(c->to, entry->name, buf_slice(&bytes), true);
}

enum err golden_copy(const char *to, const char *without, const char *without_too)
{
    AUTO_PTR(store) old = NULL;
    AUTO_PTR(store) new = NULL;
    TRY(store_open(golden_path("store").text, false, &old));
    TRY(store_open(to, true, &new));
    struct copying copying = {old, new, without, without_too};
    return store_list(old, "", copy_one, &copying);
}

enum err golden_open(struct golden *ret_golden, const char *dir, const struct slot_secret *secret)
{
    AUTO(golden) g = GOLDEN_NONE;
    struct tmp_path path = golden_path("store");
    struct access_request request = {
        .store_url = dir ? dir : path.text,
        .secret = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str("golden")},
    };
    if (secret)
        request.secret = *secret;
    TRY(tmp_dir_new(&g.tmp));
    TRY(access_open(&request, &g.access));
    TRY(index_open(g.access, tmp_path(&g.tmp, "cache").text, &g.index));
    TRY(index_sync(g.index, SYNC_ALL, &g.report));
    struct fetch_guide guide = index_guide(g.index);
    struct fetch_options options = {.workers = 2};
    TRY(fetcher_new(g.access->store, g.access->keys, &guide, &options, &g.fetcher));
    TRY(reader_new(g.index, g.fetcher, 0, &g.reader));
    *ret_golden = g;
    g = GOLDEN_NONE;
    return ERR_OK;
}

void golden_clear(struct golden *g)
{
    reader_free(g->reader);
    fetcher_free(g->fetcher);
    index_free(g->index);
    access_free(g->access);
    tmp_dir_clear(&g->tmp);
    *g = GOLDEN_NONE;
}

enum err golden_view(struct golden *g, const char *name, struct snapshot_view **ret_view)
{
    struct snapshot_info info;
    TRY(index_snapshot_parse(g->index, name, &info));
    return reader_open_snapshot(g->reader, &info, ret_view);
}
