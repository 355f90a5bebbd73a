/*
 * compare: what differs between two snapshots, and the versions of one path through all of a service.
 *
 * Subtrees whose pages have the same names are equal and never read: a comparison costs what changed, not what is there.
 *
 * Threads: any; no state.
 */
#pragma once

#include "index/walk.h"

enum difference { DIFF_ADDED = '+', DIFF_REMOVED = '-', DIFF_CONTENT = 'M', DIFF_METADATA = 'm', DIFF_KIND = 'T' };

/* old_entry is NULL for added, new_entry for removed. An added or removed directory is told with all below it. */
typedef enum err (*difference_fn)(void *context, enum difference what, struct slice path, const struct entry *old_entry,
                                  const struct entry *new_entry);

/* Compare what lies below two nodes (directories) of the same or different snapshots. */
enum err compare_trees(struct reader *reader, const struct node *old_node, const struct node *new_node, difference_fn each,
                       void *context);

/* Is the content, or anything else that a person would see, the same? */
bool entries_same_content(const struct entry *a, const struct entry *b);
bool entries_same_metadata(const struct entry *a, const struct entry *b);
