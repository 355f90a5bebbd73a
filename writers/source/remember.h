/*
 * remember: what the files cache keeps of a directory, as bytes and back; and whether an entry is still what it was.
 *
 *     blob = u8 version, summary of what lies below, varint entries, and for each: its bytes as in a directory page
 *            (docs/format.md 10.1), varint inode, u8 fresh, u8 cut class
 *
 * Local and disposable: no other program reads it, another version is dropped.
 *
 * Threads: no state.
 */
#pragma once

#include "writers/source/found.h"

enum { REMEMBER_VERSION = 1 };

/* Entries one by one, then the blob. rows: what remember_entry appended. */
void remember_entry(struct buf *rows, const struct entry *entry, const struct found *found);
enum err remember_blob(const struct summary *below, size_t entries, const struct buf *rows, struct buf *ret_blob);

/* Takes the bytes over into known (empty before). A blob that makes no sense leaves it empty: ERR_OK all the same. */
enum err remember_decode(struct buf *blob, struct known_dir *known);

/* Same inode, times, owner, mode, and (files) size? Says nothing about what it may be used for. */
bool remember_same(const struct known_entry *known, const struct found *found);
/* Is a value of its extended attributes a chunk? */
bool remember_has_chunk(const struct known_entry *known);

bool summary_equal(const struct summary *a, const struct summary *b);
