/*
 * found: what the walk found: directories and their entries, on the way from the scanner to the
 * tree.
 *
 *     scanner: makes a found_dir whole > workers: fill results > assembler: encodes it, frees it
 *
 * A found_dir belongs to the scanner until it is pushed, to the assembler after that. Its entries
 * that wait for content are filled by workers, which then count `waiting` down; the assembler looks
 * at them when it is 0.
 *
 * Threads: as said.
 */
#pragma once

#include <stdatomic.h>

#include "fetch/format/record.h"
#include "fetch/format/tree.h"

struct link;  /* links.h */
struct place; /* places.h */

/* An open directory, shared by those that still open something in it. Closed by the last. */
struct dir_handle {
    int fd;
    atomic_uint refs;
    atomic_int *open_count;
};

/* A piece of a content list that is still to be built. */
struct content_piece {
    uint32_t length;
    struct chunk_id id;
};

/* What reading a file gave. */
struct file_result {
    struct content content;       /* unless pieces says more */
    struct content_piece *pieces; /* malloc'ed; the assembler makes the list of them */
    size_t piece_count;
    uint8_t sha256[32];
    bool has_sha256;
    uint8_t cut_class;
};

/* Extended attributes as read: (bytes name, bytes value)*, names ascending; and a symlink's target.
 */
struct found_extra {
    struct buf xattrs;
    struct buf target;
    bool has_big; /* a value that must become a chunk of its own */
};

enum found_state {
    FOUND_PLAIN,    /* nothing but metadata: links, devices, empty files */
    FOUND_READ,     /* content is read by a worker */
    FOUND_LINKED,   /* content is read by way of another name */
    FOUND_SAME,     /* as in the files cache: content, attributes and all */
    FOUND_LEFT_OUT, /* unreadable or gone: no entry */
};

/* One name in a directory. Small: there may be a million. */
struct found {
    uint32_t name_at; /* in the directory's names */
    uint8_t name_len;
    uint8_t kind;  /* enum node_kind */
    uint8_t state; /* enum found_state */
    bool fresh; /* its times are too near to the scan to be trusted next time; or it changed while
                   read */
    bool sparse;
    uint8_t cut_class; /* that it had, or has by its name; 0: by size */
    uint16_t mode;
    uint32_t uid, gid;
    uint32_t mtime_nanos, ctime_nanos;
    int64_t mtime_secs, ctime_secs;
    uint64_t size, inode, device;
    union {
        struct {
            uint32_t major, minor;
        };
        struct summary *below;      /* NODE_DIR, malloc'ed, NULL: empty */
        struct file_result *result; /* FOUND_READ, by the worker; NULL when it came to nothing */
    };
    union {
        struct link *link;   /* other kinds than directories; NULL: one name */
        struct place *place; /* directories, by the assembler */
    };
    struct found_extra *extra; /* NULL: none */
    uint32_t known;            /* where its row is in the directory's blob, or KNOWN_NONE */
};

/* What the files cache knows of a directory (remember.h). Rows are decoded when they are looked at:
 * a decoded one is three times as large, and there may be a million. */
struct known_dir {
    struct buf blob; /* empty: nothing is known */
    struct summary below;
    size_t first; /* where the rows begin */
    size_t count;
};
enum { KNOWN_NONE = UINT32_MAX };
void known_dir_clear(struct known_dir *known);

struct found_dir {
    struct found_dir *parent; /* NULL: the root */
    struct found *self;       /* its entry in the parent, or the root's own */
    struct found *entries;    /* ascending by name */
    size_t count;
    struct buf names;
    struct known_dir known; /* empty: nothing known */
    uint8_t key[32];        /* in the files cache */
    bool incomplete;        /* could not be listed to its end: not to be cached */
    atomic_uint waiting;    /* entries whose content is not there yet */
    struct place *place;    /* for linked files below; NULL: none */
    struct found_dir *next; /* in the assembler's queue */

    /* The scanner's. */
    struct dir_handle *handle; /* may be NULL: closed for a while */
    size_t next_child;
    size_t path_len;
    uint64_t device, inode;
    uint64_t stay_device;         /* --one-file-system */
    const struct selection *only; /* of several arguments: just these names; NULL: all */
    unsigned depth;
    bool database; /* in a PostgreSQL data directory */
    bool tables;   /* below its base, global or pg_tblspc */
};
void found_dir_free(struct found_dir *dir);
void found_extra_free(struct found_extra *extra);

static inline struct slice found_name(const struct found_dir *dir, const struct found *f)
{
    return slice_of(dir->names.data + f->name_at, f->name_len);
}
