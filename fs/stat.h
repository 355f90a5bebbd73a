/*
 * stat: attributes, from an entry of a tree to struct stat.
 *
 * Threads: no state.
 */
#pragma once

#include <sys/stat.h>

#include "fetch/format/tree.h"

/* Whose everything is, and what is taken from modes. */
struct stat_rules {
    bool has_uid, has_gid;
    uid_t uid;
    gid_t gid;
    mode_t umask;
};

/* A node of a snapshot. links: names of its link group (1: none). atime is mtime: we keep none. */
void stat_of_entry(const struct stat_rules *rules, const struct entry *entry, uint64_t ino,
                   uint32_t links, struct stat *ret_stat);
/* A made-up one, of the process's own user. mode with its kind. */
void stat_of_made(const struct stat_rules *rules, uint64_t ino, mode_t mode, uint64_t size,
                  struct timestamp time, struct stat *ret_stat);
/* S_IFREG and so on; 0 for a kind that is none (a damaged entry). */
mode_t stat_kind(enum node_kind kind);
