/*
 * sums: SHA256SUMS of a snapshot: what `sha256sum` of coreutils would print of its regular files,
 * in the order of the tree.
 *
 *     64 hex digits, two spaces, the path, a newline
 *     a backslash in front of all where the path had to be escaped
 *
 * A file whose hash was not recorded (a huge hole, say) has a comment as long as its line would be,
 * which `sha256sum -c` passes over.
 *
 * The text is nowhere stored. Its size is arithmetic (a directory's summary counts files, escaped
 * path bytes and marks below it), and so is the way to any offset: whole directories are passed
 * over by what they would add. Cursors are kept, so a reader from front to back does the work once.
 *
 * Source:  docs/format.md section 10.1; GNU coreutils 9, "md5sum invocation".
 * Threads: any; the lock inside is never held across I/O.
 */
#pragma once

#include "fs/snapshots.h"

struct sums;

enum err sums_new(struct reader *reader, struct sums **ret_sums);
void sums_free(struct sums *sums);
DEFINE_AUTO_PTR(sums);

/* ERR_NOT_FOUND: the snapshot was made without hashes of files, so there is no such file. Looks at
 * its first files for that. */
enum err sums_size(struct sums *sums, struct opened *opened, uint64_t *ret_size);

/*
 * Bytes at offset; fewer than len only at the end.
 *
 *   ERR_UNSUPPORTED  an entry on the way needs a newer version: what it adds nobody can know
 *   ERR_CORRUPT      counts that do not add up
 */
enum err sums_read(struct sums *sums, const struct opened *opened, uint64_t offset, void *to,
                   size_t len, size_t *ret_len);

/* ---- the arithmetic, apart for tests ---- */

enum { SUMS_LINE_BYTES = 67 }; /* of a line without its path and mark */

/* Append a path as it stands in a line. */
void sums_escape(struct slice path, struct buf *out);
/* Append a line. sha256: 32 bytes, or NULL when it was not recorded. path: not escaped. */
void sums_line(const uint8_t *sha256, struct slice path, struct buf *out);
/* What an entry below a directory adds to the text. prefix: escaped bytes of the directory's path
 * with its slash (0 for the root); prefix_mark: it needs the mark. */
uint64_t sums_entry_bytes(const struct entry *entry, uint64_t prefix, bool prefix_mark);
uint64_t sums_total_bytes(const struct summary *below);
