/*
 * links: files with several names: content read once, and the table that ties the names together.
 *
 * A position counts depth first over the whole snapshot, so it is known only when everything below
 * every earlier entry is. Each directory that holds such a file, and all above it, get a place; the
 * assembler notes offsets in it; links_table adds them up at the end.
 *
 *     position of an entry = sum of the offsets of the places above it + its own
 *
 * Source:  docs/format.md section 11.2.
 * Threads: links_find, place_new by the scanner; results by workers; place_set, link_member and
 * links_table by the assembler.
 */
#pragma once

#include <pthread.h>

#include "fetch/format/keyring.h"
#include "writers/source/found.h"

struct link {
    uint64_t device, inode;
    struct uid group;
    atomic_bool done;           /* result is final */
    struct file_result *result; /* constant once done; NULL: empty, or */
    bool unreadable;            /* no content to be had */
    uint32_t members;           /* with an entry in the tree (assembler) */
    uint64_t first;             /* lowest position, computed at the end */
};

struct links;
enum err links_new(const struct domain_keys *domain, struct links **ret_links);
void links_free(struct links *links);
DEFINE_AUTO_PTR(links);

/* The link of this inode, made if it is the first time (*ret_first). */
enum err links_find(struct links *links, uint64_t device, uint64_t inode, struct link **ret_link,
                    bool *ret_first);

/* The place of a directory below another's (NULL: the root itself). */
enum err place_new(struct links *links, struct place *above, struct place **ret_place);
/* Where the directory is: how far behind its parent. */
void place_set(struct place *place, uint64_t offset);
/* An entry in the directory of place, `offset` behind the directory, is one of the names. */
enum err link_member(struct links *links, struct link *link, const struct place *place,
                     uint64_t offset);

/* The rows for groups with two names or more, ascending by group; malloc'ed for the caller. */
enum err links_table(struct links *links, struct link_row **ret_rows, size_t *ret_count);
