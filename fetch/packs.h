/*
 * packs: what a fetcher knows of the packs it reads: their keys, opened once, and their directories, while they are of use.
 *
 * Threads: any. Each entry has its lock; none is held while the store is at work.
 */
#pragma once

#include "fetch/fetch.h"

/* Directories kept at once; each is some 30 KiB. */
enum { PACKS_DIRECTORIES_KEPT = 128 };

struct packs;

enum err packs_new(struct store *store, const struct keyring *keys, const struct fetch_guide *guide, struct packs **ret_packs);
void packs_free(struct packs *packs);
DEFINE_AUTO_PTR(packs);

/* What it takes to open frames of one pack. Lives as long as packs. */
struct pack_keys {
    struct frame_binding binding; /* origin: of key record 0 */
    struct object_name name;
    struct fetch_pack info;
    size_t count;
    struct pack_key {
        struct uid origin;
        uint8_t key[32];
        bool opened;
        struct err_note why; /* when not opened */
    } *keys;
};

/* The keys of a pack, opened on first use: sealed to an epoch as the guide says, or by the recovery key from the pack's header. */
enum err packs_get(struct packs *packs, uint32_t number, const struct pack_keys **ret_keys);

/* Copy out up to max frames from the first whose offset is >= offset, in order; reads the directory on first use. With a copy
 * so that no lock is held over I/O. *ret_count 0: none follow. chunks (may be NULL): ids and lengths of all their chunks. */
struct frame_run {
    struct pack_frame *frames;   /* malloc'ed */
    struct frame_chunk *chunks;  /* malloc'ed; frames[i].first_chunk counts from 0 here */
    size_t count;
};
enum err packs_frames_after(struct packs *packs, uint32_t number, uint32_t offset, size_t max, struct frame_run *ret_run);
void frame_run_clear(struct frame_run *run);

/* The whole directory, copied. */
enum err packs_directory(struct packs *packs, uint32_t number, struct pack_directory *ret_directory);
