/*
 * golden: the golden store (tests/golden), opened as a program would: keys, a fresh local index, a fetcher, a reader.
 *
 *     AUTO(golden) golden = GOLDEN_NONE;
 *     CHECK_OK(golden_open(&golden, NULL, NULL));
 *
 * The store itself is never written to; golden_copy makes one that may be.
 */
#pragma once

#include "index/walk.h"
#include "tests/support/tmp.h"

struct golden {
    struct tmp_dir tmp;
    struct access *access;
    struct index *index;
    struct fetcher *fetcher;
    struct reader *reader;
    struct sync_report report; /* of the first sync */
};
#define GOLDEN_NONE ((struct golden){.tmp = TMP_DIR_NONE})

/* dir: NULL for the golden store, or a copy of it. secret: NULL for the passphrase. */
enum err golden_open(struct golden *ret_golden, const char *dir, const struct slot_secret *secret);
void golden_clear(struct golden *golden);

/* A copy of the store at `to` (made), without what begins with one of the two prefixes (NULL: nothing left out). */
enum err golden_copy(const char *to, const char *without, const char *without_too);

/* A file beside the store: "expected.txt", "recovery.txt" ... */
enum err golden_file(const char *name, struct buf *ret_bytes);
/* The secret in recovery.txt. */
enum err golden_recovery(struct slot_secret *ret_secret);
/* Where the store is. */
struct tmp_path golden_path(const char *name);

/* A snapshot by SERVICE/NAME, opened. */
enum err golden_view(struct golden *golden, const char *name, struct snapshot_view **ret_view);
