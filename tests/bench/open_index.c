/*
 * open_index: what a mount does before it answers, with the clock beside it: on a store of make_index.
 *
 *     open_index sync STORE_DIR CACHE_DIR     bring the local index up to date
 *     open_index ls STORE_DIR CACHE_DIR       open all, find the newest snapshot, list its root and its folder; no sync
 *
 * One JSON line: milliseconds of each step and peak memory of the process. A fresh process each time: run it, do not loop.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "fetch/base/clock.h"
#include "index/walk.h"

struct opened {
    struct access *access;
    struct index *index;
    struct fetcher *fetcher;
    struct reader *reader;
};

static void opened_clear(struct opened *o)
{
    reader_free(o->reader);
    fetcher_free(o->fetcher);
    index_free(o->index);
    access_free(o->access);
}

/* Milliseconds since the last call, told under a name. */
static void step(const char *name)
{
    static uint64_t last;
    uint64_t now = clock_monotonic_ns();
    if (name)
        printf("\"%s_ms\": %.2f, ", name, (double)(now - last) / 1e6);
    last = now;
}

static enum err count_entry(void *context, const struct entry *entry, uint64_t ordinal, uint64_t position)
{
    (void)ordinal;
    (void)position;
    *(unsigned *)context += entry->kind != 0;
    return ERR_OK;
}

static enum err list(struct opened *o)
{
    struct snapshot_info info;
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) folder = NULL;
    unsigned entries = 0;
    TRY(index_snapshot(o->index, "bench", "latest", true, &info));
    step("find_snapshot");
    struct fetch_guide guide = index_guide(o->index);
    struct fetch_options options = {.workers = 2};
    TRY(fetcher_new(o->access->store, o->access->keys, &guide, &options, &o->fetcher));
    TRY(reader_new(o->index, o->fetcher, 0, &o->reader));
    TRY(reader_open_snapshot(o->reader, &info, &view));
    TRY(reader_entries(o->reader, view->root, 0, count_entry, &entries));
    step("list_root");
    TRY(reader_path(o->reader, view, slice_str("folder"), &folder));
    TRY(reader_entries(o->reader, folder, 0, count_entry, &entries));
    step("list_folder");
    printf("\"entries\": %u, ", entries);
    return ERR_OK;
}

/* Of this process, now. The peak is scrypt's (128 MiB) while the index needs less. */
static double resident_mib(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static enum err run(const char *what, const char *store, const char *cache)
{
    AUTO(opened) o = {0};
    struct access_request request = {.store_url = store, .secret = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str("bench")}};
    step(NULL);
    TRY(access_open(&request, &o.access));
    step("keys");
    TRY(index_open(o.access, cache, &o.index));
    step("index_open");
    if (strcmp(what, "ls") == 0) {
        TRY(list(&o));
    } else {
        struct sync_report report;
        TRY(index_sync(o.index, SYNC_ALL, &report));
        step("sync");
        printf("\"segments\": %llu, \"rows\": %llu, \"damaged\": %llu, ", (unsigned long long)report.segments_new,
               (unsigned long long)report.chunk_rows, (unsigned long long)report.damaged);
    }
    printf("\"rss_mib\": %.1f, ", resident_mib());
    return ERR_OK;
}

int main(int argc, char **argv)
{
    if (argc != 4 || (strcmp(argv[1], "sync") != 0 && strcmp(argv[1], "ls") != 0)) {
        fprintf(stderr, "usage: open_index sync|ls STORE_DIR CACHE_DIR\n");
        return 1;
    }
    printf("{\"what\": \"%s\", ", argv[1]);
    if (run(argv[1], argv[2], argv[3]) != ERR_OK) {
        fprintf(stderr, "open_index: %s\n", err_text());
        return 1;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("\"peak_mib\": %.1f, \"user_s\": %.2f}\n", (double)usage.ru_maxrss / 1024,
           (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6);
    return 0;
}
