#include "fetch/crypto/digest.h"
#include "fetch/format/slot.h"
#include "tests/support/test.h"

static const struct uid store_id = {{3, 1, 4, 1, 5}};
static const uint8_t key[32] = {1, 2, 3};

struct made {
    struct keyring *keys;
    struct buf object;
};

static void made_clear(struct made *m)
{
    keyring_free(m->keys);
    buf_clear(&m->object);
}

static enum err made_new(struct made *m)
{
    uint8_t secret[32];
    TRY(keyring_generate(&store_id, &m->keys, secret));
    return keyring_seal(m->keys, 7, key, &m->object);
}

TEST(a_sealed_keyring_opens_with_its_key)
{
    AUTO(made) m = {0};
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    CHECK_OK(keyring_open(buf_slice(&m.object), &store_id, 7, key, &found));
    CHECK_MEM(&found->admin, &m.keys->admin, sizeof found->admin);
    CHECK_MEM(found->domains[0].epochs, m.keys->domains[0].epochs, sizeof *found->domains[0].epochs);
}

TEST(another_key_number_or_store_does_not)
{
    AUTO(made) m = {0};
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    CHECK_ERR(ERR_AUTH, keyring_open(buf_slice(&m.object), &store_id, 7, (uint8_t[32]){1}, &found));
    CHECK_ERR(ERR_CORRUPT, keyring_open(buf_slice(&m.object), &store_id, 8, key, &found));
    CHECK_ERR(ERR_INVALID, keyring_open(buf_slice(&m.object), &(struct uid){{9}}, 7, key, &found));
    CHECK(!found);
}

TEST(no_flipped_bit_goes_unnoticed)
{
    AUTO(made) m = {0};
    CHECK_OK(made_new(&m));
    for (size_t bit = 0; bit < m.object.len * 8; bit++) {
        AUTO_PTR(keyring) found = NULL;
        size_t at = bit / 8;
        m.object.data[at] ^= (uint8_t)(1u << bit % 8);
        enum err e = keyring_open(buf_slice(&m.object), &store_id, 7, key, &found);
        enum err expected = at < 8                ? ERR_CORRUPT /* magic */
                            : at < 10             ? (m.object.data[8] || m.object.data[9] ? ERR_UNSUPPORTED : ERR_CORRUPT)
                            : at < 16             ? ERR_CORRUPT /* reserved */
                            : at < 32             ? ERR_INVALID /* store */
                            : at < 40             ? ERR_CORRUPT /* number */
                            : at >= 64 && at < 68 ? ERR_CORRUPT /* length */
                                                  : ERR_AUTH;
        if (e != expected)
            test_fail(__FILE__, __LINE__, "bit %zu: %s", bit, err_word(e));
        m.object.data[at] ^= (uint8_t)(1u << bit % 8);
    }
}

TEST(a_cut_keyring_is_refused_at_every_length)
{
    AUTO(made) m = {0};
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    for (size_t len = 0; len < m.object.len; len++)
        CHECK_ERR(ERR_CORRUPT, keyring_open(slice_of(m.object.data, len), &store_id, 7, key, &found));
    buf_put_u8(&m.object, 0);
    CHECK_ERR(ERR_CORRUPT, keyring_open(buf_slice(&m.object), &store_id, 7, key, &found));
}

TEST(two_seals_of_a_keyring_share_no_nonce)
{
    AUTO(made) m = {0};
    AUTO(buf) again = BUF_EMPTY;
    CHECK_OK(made_new(&m));
    CHECK_OK(keyring_seal(m.keys, 7, key, &again));
    CHECK(memcmp(again.data + 40, m.object.data + 40, 24) != 0);
}

/* ---- role key files ---- */

TEST(a_role_file_holds_what_its_role_holds)
{
    AUTO(made) m = {0};
    AUTO(buf) file = BUF_EMPTY;
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    m.keys->roles = ROLE_WRITER;
    m.keys->has_admin = false;
    CHECK_OK(role_file_seal(m.keys, &file));
    CHECK_OK(role_file_open(buf_slice(&file), &found));
    CHECK_MEM(&found->store, &store_id, sizeof store_id);
    CHECK_INT(found->roles, ROLE_WRITER);
    CHECK(!found->has_admin && found->has_signing);
    CHECK(!memmem(file.data, file.len, m.keys->admin.seed, 32));
    CHECK(!memmem(file.data, file.len, m.keys->domains[0].recovery.secret, 32));
}

TEST(a_damaged_role_file_is_refused)
{
    AUTO(made) m = {0};
    AUTO(buf) file = BUF_EMPTY;
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    CHECK_OK(role_file_seal(m.keys, &file));
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] ^= 0x40;
        CHECK_ERR(ERR_CORRUPT, role_file_open(buf_slice(&file), &found));
        file.data[i] ^= 0x40;
    }
    for (size_t len = 0; len < file.len; len++)
        CHECK_ERR(ERR_CORRUPT, role_file_open(slice_of(file.data, len), &found));
    file.data[8] = 2;
    sha256_of(slice_of(file.data, file.len - 32), file.data + file.len - 32);
    CHECK_ERR(ERR_UNSUPPORTED, role_file_open(buf_slice(&file), &found));
}

TEST_MAIN(a_sealed_keyring_opens_with_its_key, another_key_number_or_store_does_not, no_flipped_bit_goes_unnoticed,
          a_cut_keyring_is_refused_at_every_length, two_seals_of_a_keyring_share_no_nonce, a_role_file_holds_what_its_role_holds,
          a_damaged_role_file_is_refused)
