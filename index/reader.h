/*
 * reader: what the two halves of walk.h (names in tree_walk.c, bytes in content_walk.c) share.
 */
#pragma once

#include "index/pages.h"
#include "index/walk.h"

enum { SEQUENCES = 64 };

/* One content that is read in order. */
struct sequence {
    struct chunk_id content;
    uint64_t next;         /* where the next read would begin */
    uint64_t ahead_until;  /* asked for up to here */
    uint64_t window;       /* bytes to be ahead */
    uint64_t stamp;        /* of the last use; 0: free */
};

struct reader {
    struct index *index;     /* borrowed */
    struct fetcher *fetcher; /* borrowed */
    struct pages *pages;
    pthread_mutex_t lock;    /* sequences; never held across I/O */
    struct sequence sequences[SEQUENCES];
    uint64_t stamp;
};
