#include "fetch/format/segment.h"

#include <stdio.h>

#include "fetch/base/rand.h"
#include "tests/support/keys.h"
#include "tests/support/test.h"

static const struct uid session = {.bytes = "a session 123456"};

/* A segment over `packs` packs of `chunks` chunks of a few bytes each. */
static enum err make(const struct keyring *keys, unsigned packs, unsigned chunks, struct buf *object, struct hash *sha256)
{
    AUTO_PTR(segment_builder) s = NULL;
    TRY(segment_builder_new(keys, 1, CHUNK_DATA, &session, &s));
    for (unsigned p = 0; p < packs; p++) {
        AUTO_PTR(pack_builder) b = NULL;
        AUTO(pack_sealed) sealed = {0};
        TRY(pack_builder_new(keys, 1, CHUNK_DATA, 16 << 20, &b));
        for (unsigned i = 0; i < chunks; i++) {
            char text[64];
            int n = snprintf(text, sizeof text, "chunk %u of pack %u", i, p);
            struct frame_chunk chunk = {.length = (uint32_t)n};
            uint32_t number;
            chunk_id_of(keys->domains[0].data_ids, slice_of(text, (size_t)n), &chunk.id);
            TRY(pack_builder_add(b, slice_of(text, (size_t)n), &chunk, 1, 0, &number));
        }
        TRY(pack_builder_seal(b, &session, &sealed));
        TRY(segment_builder_add(s, &sealed));
    }
    return segment_builder_seal(s, object, sha256);
}

TEST(rows_come_back_sorted_and_complete)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    CHECK_OK(make(keys, 3, 1500, &object, &sha256));
    AUTO(segment) s = {0};
    CHECK_OK(segment_open(keys, buf_slice(&object), &s));
    CHECK_INT(s.row_count, 4500);
    CHECK_INT(s.pack_count, 3);
    CHECK_MEM(s.session.bytes, session.bytes, 16);
    unsigned per_pack[3] = {0};
    for (size_t i = 0; i < s.row_count; i++) {
        per_pack[s.rows[i].pack]++;
        CHECK(i == 0 || memcmp(s.rows[i - 1].id.bytes, s.rows[i].id.bytes, 32) < 0);
    }
    CHECK_INT(per_pack[0], 1500);
    CHECK_INT(per_pack[2], 1500);
    uint8_t key[32];
    const struct epoch_key_record *r = &s.packs[1].keys[0];
    CHECK_OK(pack_key_open_epoch(keys, 1, CHUNK_DATA, &r->origin, r->epoch, r->sealed, key));
}

TEST(pack_rows_are_signed_by_their_writer)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    CHECK_OK(make(keys, 1, 3, &object, &sha256));
    AUTO(segment) s = {0};
    CHECK_OK(segment_open(keys, buf_slice(&object), &s));
    struct domain_ref where = {keys->store, 1};
    CHECK_OK(pack_row_verify(&where, &s.packs[0], keys->signing.public));
    CHECK_ERR(ERR_AUTH, pack_row_verify(&where, &s.packs[0], keys->admin.public));
    s.packs[0].name.sha256.bytes[5] ^= 1;
    CHECK_ERR(ERR_AUTH, pack_row_verify(&where, &s.packs[0], keys->signing.public));
}

TEST(no_flipped_byte_is_read_as_good)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    CHECK_OK(make(keys, 1, 20, &object, &sha256));
    AUTO(segment) whole = {0};
    CHECK_OK(segment_open(keys, buf_slice(&object), &whole));
    size_t wrong = 0, used = object.len;
    while (used && object.data[used - 1] == 0)
        used--; /* the padding is only in the name's hash */
    for (size_t at = 0; at < used; at++) {
        object.data[at] ^= 0x40;
        AUTO(segment) s = {0};
        wrong += segment_open(keys, buf_slice(&object), &s) == ERR_OK;
        object.data[at] ^= 0x40;
    }
    CHECK_INT(wrong, 0);
}

TEST(another_store_or_domain_is_refused)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO_PTR(keyring) other = test_keyring();
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    CHECK_OK(make(keys, 1, 2, &object, &sha256));
    AUTO(segment) s = {0};
    CHECK(segment_open(other, buf_slice(&object), &s) == ERR_AUTH); /* same store id, other keys */
    other->store.bytes[0] ^= 1;
    CHECK_ERR(ERR_CORRUPT, segment_open(other, buf_slice(&object), &s));
}

TEST_MAIN(rows_come_back_sorted_and_complete, pack_rows_are_signed_by_their_writer, no_flipped_byte_is_read_as_good,
          another_store_or_domain_is_refused)
