/*
 * envelope: the small signed object that makes a snapshot exist.
 *
 * Source:  docs/format.md section 11.1.
 * Threads: no state.
 */
#pragma once

#include "fetch/format/keyring.h"
#include "fetch/format/tree.h"

enum { SNAPSHOT_PARTIAL = 1, SNAPSHOT_HELD = 2 };
enum { ENVELOPE_MAX_HEADS = 256, ENVELOPE_MAX_LABELS = 64, ENVELOPE_MAX_PARTS = 64 };

struct totals {
    uint64_t nodes, files, dirs, bytes, new_bytes, stored_bytes, left_out;
};

struct envelope {
    uint32_t domain;
    char service[101], kind[33];
    struct uid writer, host, session;
    char host_name[256], version[33];
    uint64_t number;              /* in the lane */
    struct hash *heads;
    size_t head_count;
    struct timestamp time, finished;
    uint32_t flags;
    char **labels;                /* text, at most 255 bytes each */
    size_t label_count;
    struct envelope_part {
        char name[101], kind[33];
    } *parts;
    size_t part_count;
    struct totals totals;
    struct chunk_id root;
};
void envelope_clear(struct envelope *envelope);

/* Seal with a fresh nonce and sign with keys->signing. *ret_sha256 names the object. */
enum err envelope_seal(const struct keyring *keys, const struct envelope *envelope, struct buf *ret_object,
                       struct hash *ret_sha256);
/* Open, decode; the signature is checked against writer_public when it is not NULL (look the writer up first by opening
 * with NULL). ERR_AUTH, ERR_CORRUPT, ERR_UNSUPPORTED, ERR_NO_KEY. */
enum err envelope_open(const struct keyring *keys, struct slice object, const uint8_t *writer_public, struct envelope *ret_envelope);
