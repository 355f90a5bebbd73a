/*
 * remember: what the files cache keeps of a directory, as bytes and back; and whether an entry is
 * still what it was.
 *
 *     blob = u8 version, summary of what lies below, varint entries, and for each: its bytes as in
 * a directory page (docs/format.md 10.1), varint inode, u8 fresh, u8 cut class
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
enum err remember_blob(const struct summary *below, size_t entries, const struct buf *rows,
                       struct buf *ret_blob);

/* One entry, decoded; borrows from the blob. */
struct known_entry {
    struct entry entry;
    uint64_t inode;
    bool fresh;
    uint8_t cut_class;
};

/* Takes the bytes over into known (empty before). A blob that makes no sense leaves it empty. */
void remember_open(struct buf *blob, struct known_dir *known);
/* Row after row: *at is known->first at the start. *ret_row: where this one began. ERR_CORRUPT when
 * it makes no sense. */
enum err remember_next(const struct known_dir *known, size_t *at, uint32_t *ret_row,
                       struct known_entry *ret_entry);
/* The row of an entry that has one. */
enum err remember_row(const struct known_dir *known, uint32_t row, struct known_entry *ret_entry);

/* Same inode, times, owner, mode, and (files) size? Says nothing about what it may be used for. */
bool remember_same(const struct known_entry *known, const struct found *found);
/* Is a value of its extended attributes a chunk? */
bool remember_has_chunk(const struct known_entry *known);

bool summary_equal(const struct summary *a, const struct summary *b);
