/*
 * keyring_inside: what the keyring, the recovery record and the slots share in handling secrets.
 *
 * Source: docs/format.md section 6.2.
 */
#pragma once

#include "fetch/format/fields.h"
#include "fetch/format/keyring.h"

/* A buf that is wiped, not only freed. Reserve before putting: a buf that grows leaves its old bytes behind. */
#define AUTO_SECRET_BUF __attribute__((cleanup(buf_wipe))) struct buf

/* The largest encoding of a domain and its epochs. */
size_t domain_encoded_max(const struct domain_keys *domain);
/* The most the fields of a keyring take. */
size_t keyring_encoded_max(const struct keyring *keys);

/*
 * keyring_encode, for a keystore. rebuilt_may_read: a domain whose first epochs are gone (the keystore was lost and made again by the
 * recovery key) keeps its recovery secret; nothing else opens what is older, and with the epochs' secrets the keystore could
 * read all of it before.
 */
enum err keyring_encode_all(const struct keyring *keys, bool rebuilt_may_read, struct buf *ret_fields);

/*
 * One domain's fields (6.2, field 4), without total length, appended to ret_fields.
 *   with_recovery  the recovery secret too, if held
 *   with_epochs    the epochs too
 */
void domain_encode(const struct domain_keys *domain, bool with_recovery, bool with_epochs, struct buf *ret_fields);
/* Decode and derive. domain: all zeros, in locked memory; keyring_free frees what is in it, whatever comes back.
 * epochs_left: how many epochs may still come, reduced by what came. ERR_CORRUPT, ERR_UNSUPPORTED. */
enum err domain_decode(const struct uid *store, struct slice fields, size_t *epochs_left, struct domain_keys *domain);

/* An empty keyring with room for that many domains, domain_count of them (all zeros). */
enum err keyring_new(const struct uid *store, size_t domain_count, struct keyring **ret_keyring);

bool key_is_held(const uint8_t secret[32]);
