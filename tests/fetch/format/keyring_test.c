#include "fetch/format/keyring.h"

#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/kdf.h"
#include "fetch/format/fields.h"
#include "tests/support/test.h"

static const struct uid store_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static struct keyring *some_keyring(void)
{
    struct keyring *keys = NULL;
    uint8_t secret[32];
    return keyring_generate(&store_id, &keys, secret) == ERR_OK ? keys : NULL;
}

static struct keyring *again(const struct keyring *keys)
{
    AUTO(buf) fields = BUF_EMPTY;
    struct keyring *found = NULL;
    if (keyring_encode(keys, &fields) != ERR_OK || keyring_decode(&keys->store, buf_slice(&fields), &found) != ERR_OK)
        return NULL;
    return found;
}

TEST(a_fresh_keyring_has_everything)
{
    AUTO_PTR(keyring) keys = NULL;
    uint8_t secret[32];
    struct x25519_pair recovery;
    CHECK_OK(keyring_generate(&store_id, &keys, secret));
    CHECK_MEM(&keys->store, &store_id, sizeof store_id);
    CHECK_INT(keys->roles, ROLES_ALL);
    CHECK(keys->has_admin && keys->has_signing && keys->has_recovery_public);
    CHECK_MEM(keys->first_admin, keys->admin.public, 32);
    CHECK(memcmp(keys->admin.seed, keys->signing.seed, 32) != 0);
    CHECK_OK(x25519_from_secret(secret, &recovery));
    CHECK_MEM(keys->recovery_public, recovery.public, 32);
    CHECK_INT(keys->domain_count, 1);
    CHECK_INT(keys->domains[0].id, 1);
    CHECK_STR(keys->domains[0].name, "main");
    CHECK_INT(keys->domains[0].epoch_count, 1);
    CHECK_INT(keys->domains[0].epochs[0].epoch, 1);
}

TEST(a_keyring_survives_encoding)
{
    AUTO_PTR(keyring) keys = some_keyring();
    CHECK(keys);
    AUTO_PTR(keyring) found = again(keys);
    CHECK(found);
    const struct domain_keys *a = &keys->domains[0], *b = &found->domains[0];
    CHECK_INT(found->roles, keys->roles);
    CHECK_MEM(&found->admin, &keys->admin, sizeof keys->admin);
    CHECK_MEM(&found->signing, &keys->signing, sizeof keys->signing);
    CHECK_MEM(found->recovery_public, keys->recovery_public, 32);
    CHECK_MEM(found->first_admin, keys->first_admin, 32);
    CHECK_STR(b->name, a->name);
    CHECK_MEM(b->k_id, a->k_id, 32);
    CHECK_MEM(b->epochs, a->epochs, sizeof *a->epochs);
    CHECK_MEM(b->tree_cut, a->tree_cut, 32);
    CHECK_MEM(b->segment_key, a->segment_key, 32);
    CHECK_MEM(b->envelope_key, a->envelope_key, 32);
    CHECK_MEM(b->tag_key, a->tag_key, 32);
    CHECK_MEM(b->link_key, a->link_key, 32);
    CHECK_MEM(b->recovery.public, a->recovery.public, 32);
}

TEST(only_an_erasable_domains_recovery_secret_is_kept)
{
    static const uint8_t none[32];
    AUTO_PTR(keyring) keys = some_keyring();
    CHECK(keys);
    AUTO_PTR(keyring) plain = again(keys);
    CHECK(plain);
    CHECK_MEM(plain->domains[0].recovery.secret, none, 32);
    keys->domains[0].erasable = true;
    AUTO_PTR(keyring) erasable = again(keys);
    CHECK(erasable);
    CHECK(erasable->domains[0].erasable);
    CHECK_MEM(erasable->domains[0].recovery.secret, keys->domains[0].recovery.secret, 32);
}

TEST(names_and_ids_follow_from_the_keys)
{
    AUTO_PTR(keyring) keys = some_keyring();
    CHECK(keys);
    const struct domain_keys *d = &keys->domains[0];
    uint8_t key[32], mac[32];
    CHECK_OK(hkdf_sha256(slice_of(d->k_name, 32), slice_of(store_id.bytes, 16), slice_str("yore/1/name/service"), key, 32));
    hmac_sha256(key, slice_str("uploads"), mac);
    struct uid tag = service_tag(d, "uploads");
    CHECK_MEM(&tag, mac, 16);

    CHECK_OK(hkdf_sha256(slice_of(d->k_name, 32), slice_of(store_id.bytes, 16), slice_str("yore/1/name/link"), key, 32));
    hmac_sha256(key, slice_of("\x02\x01\0\0\0\0\0\0\xff\0\0\0\0\0\0\0", 16), mac);
    struct uid group = link_group(d, 0x102, 0xff);
    CHECK_MEM(&group, mac, 16);

    struct chunk_id data, tree, expected;
    AUTO_PTR(id_keys) ids = NULL;
    CHECK_OK(hkdf_sha256(slice_of(d->k_id, 32), slice_of(store_id.bytes, 16), slice_str("yore/1/id/data"), key, 32));
    CHECK_OK(id_keys_new(key, &ids));
    chunk_id_of(ids, slice_str("chunk"), &expected);
    chunk_id_of(domain_ids(d, CHUNK_DATA), slice_str("chunk"), &data);
    chunk_id_of(domain_ids(d, CHUNK_TREE), slice_str("chunk"), &tree);
    CHECK_MEM(&data, &expected, sizeof data);
    CHECK(memcmp(&tree, &data, sizeof data) != 0);
}

TEST(a_pack_key_opens_for_the_right_pack_only)
{
    AUTO_PTR(keyring) keys = some_keyring();
    CHECK(keys);
    struct uid origin = {{7}}, other = {{8}};
    uint8_t key[32], sealed[SEALED_KEY_BYTES], found[32];
    uint32_t epoch;
    rand_bytes(key, sizeof key);
    CHECK_OK(pack_key_seal_epoch(keys, 1, CHUNK_DATA, &origin, key, &epoch, sealed));
    CHECK_INT(epoch, 1);
    CHECK_OK(pack_key_open_epoch(keys, 1, CHUNK_DATA, &origin, epoch, sealed, found));
    CHECK_MEM(found, key, 32);
    CHECK_ERR(ERR_AUTH, pack_key_open_epoch(keys, 1, CHUNK_DATA, &other, epoch, sealed, found));
    CHECK_ERR(ERR_AUTH, pack_key_open_epoch(keys, 1, CHUNK_TREE, &origin, epoch, sealed, found));
    CHECK_ERR(ERR_NO_KEY, pack_key_open_epoch(keys, 1, CHUNK_DATA, &origin, 2, sealed, found));
    CHECK_ERR(ERR_NO_KEY, pack_key_open_epoch(keys, 2, CHUNK_DATA, &origin, epoch, sealed, found));
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        CHECK_ERR(ERR_AUTH, pack_key_open_epoch(keys, 1, CHUNK_DATA, &origin, epoch, sealed, found));
        sealed[i] ^= 1;
    }

    CHECK_OK(pack_key_seal_recovery(keys, 1, &origin, key, sealed));
    CHECK_OK(pack_key_open_recovery(keys, 1, &origin, sealed, found));
    CHECK_MEM(found, key, 32);
    CHECK_ERR(ERR_AUTH, pack_key_open_recovery(keys, 1, &other, sealed, found));
    CHECK_ERR(ERR_NO_KEY, pack_key_seal_recovery(keys, 9, &origin, key, sealed));
}

/* A keeper sees trees but no data; a writer opens nothing at all. */
TEST(without_the_secret_a_key_stays_shut)
{
    AUTO_PTR(keyring) keys = some_keyring();
    CHECK(keys);
    struct uid origin = {{7}};
    uint8_t key[32] = {1}, data[SEALED_KEY_BYTES], tree[SEALED_KEY_BYTES], paper[SEALED_KEY_BYTES], found[32];
    uint32_t epoch;
    memset(keys->domains[0].epochs[0].data.secret, 0, 32);
    memset(keys->domains[0].recovery.secret, 0, 32);
    AUTO_PTR(keyring) keeper = again(keys);
    CHECK(keeper);
    CHECK_OK(pack_key_seal_epoch(keeper, 1, CHUNK_DATA, &origin, key, &epoch, data));
    CHECK_OK(pack_key_seal_epoch(keeper, 1, CHUNK_TREE, &origin, key, &epoch, tree));
    CHECK_OK(pack_key_seal_recovery(keeper, 1, &origin, key, paper));
    CHECK_ERR(ERR_NO_KEY, pack_key_open_epoch(keeper, 1, CHUNK_DATA, &origin, epoch, data, found));
    CHECK_OK(pack_key_open_epoch(keeper, 1, CHUNK_TREE, &origin, epoch, tree, found));
    CHECK_ERR(ERR_NO_KEY, pack_key_open_recovery(keeper, 1, &origin, paper, found));
    keeper->domains[0].epoch_count = 0;
    CHECK_ERR(ERR_NO_KEY, pack_key_seal_epoch(keeper, 1, CHUNK_DATA, &origin, key, &epoch, data));
}

TEST(an_unknown_domain_is_named)
{
    AUTO_PTR(keyring) keys = some_keyring();
    const struct domain_keys *d;
    CHECK(keys);
    CHECK_OK(keyring_find_domain(keys, 1, &d));
    CHECK_ERR(ERR_NO_KEY, keyring_find_domain(keys, 2, &d));
    CHECK_STR(err_text(), "domain 2 is not in this keyring");
}

/* ---- hostile bytes ---- */

/* The fields of a good keyring, to change. */
static void good_fields(struct buf *ret_fields)
{
    AUTO_PTR(keyring) keys = some_keyring();
    CHECK(keys);
    CHECK_OK(keyring_encode(keys, ret_fields));
}

TEST(unknown_fields_are_skipped_unless_critical)
{
    AUTO(buf) fields = BUF_EMPTY;
    AUTO_PTR(keyring) keys = NULL;
    CHECK_CALL(good_fields(&fields));
    fields_put(&fields, 20, false, slice_str("later"));
    CHECK_OK(keyring_decode(&store_id, buf_slice(&fields), &keys));
    keyring_free(TAKE(keys));
    fields_put(&fields, 21, true, slice_str("later"));
    CHECK_ERR(ERR_UNSUPPORTED, keyring_decode(&store_id, buf_slice(&fields), &keys));
    CHECK(!keys);
}

TEST(a_cut_keyring_is_refused_at_every_length)
{
    AUTO(buf) fields = BUF_EMPTY;
    AUTO_PTR(keyring) keys = NULL;
    CHECK_CALL(good_fields(&fields));
    for (size_t len = 0; len < fields.len; len++)
        CHECK_ERR(ERR_CORRUPT, keyring_decode(&store_id, slice_of(fields.data, len), &keys));
    fields_put(&fields, 6, true, slice_of("12345678901234567890123456789012", 32));
    CHECK_ERR(ERR_CORRUPT, keyring_decode(&store_id, buf_slice(&fields), &keys)); /* twice */
}

/* Copy the keyring, with every domain field replaced by what change makes of it. */
static void with_domain(struct slice fields, void (*change)(struct slice domain, struct buf *ret_domain), struct buf *ret_fields)
{
    struct cursor c = cursor_of(fields);
    struct field field;
    while (fields_next(&c, &field)) {
        AUTO(buf) domain = BUF_EMPTY;
        if (field.number == 4) {
            change(field.value, &domain);
            field.value = buf_slice(&domain);
        }
        fields_put(ret_fields, field.number, field.critical, field.value);
    }
}

static void copy_but(struct slice domain, uint32_t skip, struct buf *ret_domain)
{
    struct cursor c = cursor_of(domain);
    struct field field;
    while (fields_next(&c, &field))
        if (field.number != skip)
            fields_put(ret_domain, field.number, field.critical, field.value);
}

static uint32_t skipped;
static void leave_out(struct slice domain, struct buf *ret_domain)
{
    copy_but(domain, skipped, ret_domain);
}

static void newer_critical(struct slice domain, struct buf *ret_domain)
{
    copy_but(domain, 0, ret_domain);
    fields_put(ret_domain, 11, true, slice_str("?"));
}

static void epoch_twice(struct slice domain, struct buf *ret_domain)
{
    struct cursor c = cursor_of(domain);
    struct field field;
    while (fields_next(&c, &field)) {
        fields_put(ret_domain, field.number, field.critical, field.value);
        if (field.number == 7)
            fields_put(ret_domain, field.number, field.critical, field.value);
    }
}

static void wrong_public(struct slice domain, struct buf *ret_domain)
{
    struct cursor c = cursor_of(domain);
    struct field field;
    while (fields_next(&c, &field)) {
        AUTO(buf) value = BUF_EMPTY;
        buf_put_slice(&value, field.value);
        if (field.number == 7)
            value.data[4] ^= 1; /* D public */
        fields_put(ret_domain, field.number, field.critical, buf_slice(&value));
    }
}

static void long_name(struct slice domain, struct buf *ret_domain)
{
    struct cursor c = cursor_of(domain);
    struct field field;
    char text[101];
    memset(text, 'n', sizeof text);
    while (fields_next(&c, &field))
        fields_put(ret_domain, field.number, field.critical, field.number == 2 ? slice_of(text, 101) : field.value);
}

TEST(a_domain_that_is_wrong_inside_is_refused)
{
    AUTO(buf) good = BUF_EMPTY;
    AUTO_PTR(keyring) keys = NULL;
    CHECK_CALL(good_fields(&good));
    static const struct {
        void (*change)(struct slice domain, struct buf *ret_domain);
        enum err code;
    } cases[] = {{newer_critical, ERR_UNSUPPORTED}, {epoch_twice, ERR_CORRUPT}, {wrong_public, ERR_CORRUPT}, {long_name, ERR_CORRUPT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO(buf) fields = BUF_EMPTY;
        CHECK_CALL(with_domain(buf_slice(&good), cases[i].change, &fields));
        CHECK_ERR(cases[i].code, keyring_decode(&store_id, buf_slice(&fields), &keys));
        CHECK(!keys);
    }
    static const uint32_t needed[] = {1, 2, 3, 4, 5, 6, 8};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        AUTO(buf) fields = BUF_EMPTY;
        skipped = needed[i];
        CHECK_CALL(with_domain(buf_slice(&good), leave_out, &fields));
        CHECK_ERR(ERR_CORRUPT, keyring_decode(&store_id, buf_slice(&fields), &keys));
    }
}

TEST(too_many_domains_are_refused_before_any_is_made)
{
    AUTO(buf) fields = BUF_EMPTY;
    AUTO_PTR(keyring) keys = NULL;
    for (unsigned i = 0; i < KEYRING_MAX_DOMAINS + 1; i++)
        fields_put(&fields, 4, true, SLICE_EMPTY);
    CHECK_ERR(ERR_CORRUPT, keyring_decode(&store_id, buf_slice(&fields), &keys));
    CHECK(strstr(err_text(), "more than"));
}

TEST_MAIN(a_fresh_keyring_has_everything, a_keyring_survives_encoding, only_an_erasable_domains_recovery_secret_is_kept,
          names_and_ids_follow_from_the_keys, a_pack_key_opens_for_the_right_pack_only, without_the_secret_a_key_stays_shut,
          an_unknown_domain_is_named, unknown_fields_are_skipped_unless_critical, a_cut_keyring_is_refused_at_every_length,
          a_domain_that_is_wrong_inside_is_refused, too_many_domains_are_refused_before_any_is_made)
