#include "fetch/format/envelope.h"

#include <stdio.h>

#include "tests/support/keys.h"
#include "tests/support/test.h"

static enum err make(const struct keyring *keys, const char *service, struct buf *object, struct hash *sha256)
{
    static struct hash heads[2] = {{{1}}, {{2}}};
    char nightly[] = "nightly", before[] = "before the update", *labels[] = {nightly, before};
    struct envelope e = {
        .domain = 1, .kind = "files", .host_name = "db1", .version = "0.1.0", .number = 7, .heads = heads, .head_count = 2,
        .time = {1763647200, 5}, .finished = {1763647260, 6}, .flags = SNAPSHOT_PARTIAL, .labels = labels, .label_count = 2,
        .totals = {10, 9, 1, 12345, 100, 50, 2}, .root = {{42}},
    };
    snprintf(e.service, sizeof e.service, "%s", service);
    e.writer = key_id_of(keys->signing.public);
    return envelope_seal(keys, &e, object, sha256);
}

TEST(what_was_sealed_comes_back)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    CHECK_OK(make(keys, "uploads", &object, &sha256));
    AUTO(envelope) e = {0};
    CHECK_OK(envelope_open(keys, buf_slice(&object), keys->signing.public, &e));
    CHECK_STR(e.service, "uploads");
    CHECK_STR(e.kind, "files");
    CHECK_INT(e.number, 7);
    CHECK_INT(e.head_count, 2);
    CHECK_INT(e.heads[1].bytes[0], 2);
    CHECK_INT(e.label_count, 2);
    CHECK_STR(e.labels[1], "before the update");
    CHECK_INT(e.totals.left_out, 2);
    CHECK_INT(e.root.bytes[0], 42);
    CHECK_INT(e.time.nanos, 5);
}

TEST(another_writers_signature_is_refused)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    CHECK_OK(make(keys, "uploads", &object, &sha256));
    AUTO(envelope) e = {0};
    CHECK_ERR(ERR_AUTH, envelope_open(keys, buf_slice(&object), keys->admin.public, &e));
}

TEST(lengths_come_in_steps_of_256)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO(buf) a = BUF_EMPTY, b = BUF_EMPTY;
    struct hash sha256;
    CHECK_OK(make(keys, "a", &a, &sha256));
    CHECK_OK(make(keys, "a-service-with-a-name-of-forty-characters", &b, &sha256));
    CHECK_INT((b.len - a.len) % 256, 0);
}

TEST(no_flipped_byte_and_no_cut_is_read_as_good)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    CHECK_OK(make(keys, "uploads", &object, &sha256));
    for (size_t at = 0; at < object.len; at++) {
        AUTO(envelope) e = {0};
        object.data[at] ^= 1;
        CHECK(envelope_open(keys, buf_slice(&object), keys->signing.public, &e) != ERR_OK);
        object.data[at] ^= 1;
        CHECK(envelope_open(keys, slice_of(object.data, at), keys->signing.public, &e) != ERR_OK);
    }
}

TEST_MAIN(what_was_sealed_comes_back, another_writers_signature_is_refused, lengths_come_in_steps_of_256,
          no_flipped_byte_and_no_cut_is_read_as_good)
