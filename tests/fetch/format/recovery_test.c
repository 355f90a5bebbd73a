#include "fetch/format/record.h"

#include "tests/support/test.h"

static const struct uid store_id = {{3, 1, 4, 1, 5}};

struct made {
    struct keyring *keys;
    uint8_t secret[32];
    struct buf fields;
};

static void made_clear(struct made *m)
{
    keyring_free(m->keys);
    buf_clear(&m->fields);
}

static enum err made_new(struct made *m)
{
    TRY(keyring_generate(&store_id, &m->keys, m->secret));
    return recovery_encode(m->keys, &m->fields);
}

TEST(the_recovery_key_alone_opens_packs_names_and_the_admin_key)
{
    AUTO(made) m = {0};
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    CHECK_OK(recovery_decode(&store_id, buf_slice(&m.fields), m.secret, &found));
    CHECK_MEM(&found->admin, &m.keys->admin, sizeof found->admin);
    CHECK(found->has_admin && !found->has_signing && found->has_recovery_public);
    CHECK_MEM(found->recovery_public, m.keys->recovery_public, 32);
    CHECK_INT(found->domain_count, 1);
    CHECK_INT(found->domains[0].epoch_count, 0);
    struct uid tag = service_tag(&m.keys->domains[0], "uploads"), found_tag = service_tag(&found->domains[0], "uploads");
    CHECK_MEM(&found_tag, &tag, sizeof tag);
    CHECK_MEM(found->domains[0].segment_key, m.keys->domains[0].segment_key, 32);

    struct uid origin = {{1}};
    uint8_t key[32] = {42}, sealed[SEALED_KEY_BYTES], opened[32];
    CHECK_OK(pack_key_seal_recovery(m.keys, 1, &origin, key, sealed));
    CHECK_OK(pack_key_open_recovery(found, 1, &origin, sealed, opened));
    CHECK_MEM(opened, key, 32);
}

TEST(an_erasable_domain_needs_its_keystore_too)
{
    AUTO(made) m = {0};
    AUTO(buf) fields = BUF_EMPTY;
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    m.keys->domains[0].erasable = true;
    CHECK_OK(recovery_encode(m.keys, &fields));
    CHECK_OK(recovery_decode(&store_id, buf_slice(&fields), m.secret, &found));
    struct uid origin = {{1}};
    uint8_t key[32] = {42}, sealed[SEALED_KEY_BYTES], opened[32];
    CHECK_OK(pack_key_seal_recovery(m.keys, 1, &origin, key, sealed));
    CHECK_ERR(ERR_NO_KEY, pack_key_open_recovery(found, 1, &origin, sealed, opened));
}

TEST(a_record_that_could_not_recover_is_not_written)
{
    AUTO(made) m = {0};
    AUTO(buf) fields = BUF_EMPTY;
    CHECK_OK(made_new(&m));
    memset(m.keys->domains[0].recovery.secret, 0, 32);
    CHECK_ERR(ERR_NO_KEY, recovery_encode(m.keys, &fields));
    m.keys->has_recovery_public = false;
    CHECK_ERR(ERR_NO_KEY, recovery_encode(m.keys, &fields));
    CHECK_INT(fields.len, 0);
}

TEST(another_recovery_key_is_denied)
{
    AUTO(made) m = {0};
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    m.secret[5] ^= 1;
    CHECK_ERR(ERR_DENIED, recovery_decode(&store_id, buf_slice(&m.fields), m.secret, &found));
    m.secret[5] ^= 1;
    CHECK_ERR(ERR_AUTH, recovery_decode(&(struct uid){{9}}, buf_slice(&m.fields), m.secret, &found));
}

TEST(no_flipped_bit_goes_unnoticed)
{
    AUTO(made) m = {0};
    CHECK_OK(made_new(&m));
    for (size_t i = 0; i < m.fields.len; i++) {
        uint8_t bit = (uint8_t)(1u << i % 8);
        AUTO_PTR(keyring) found = NULL;
        m.fields.data[i] ^= bit;
        enum err e = recovery_decode(&store_id, buf_slice(&m.fields), m.secret, &found);
        /* One flip only says "critical" otherwise than before, which a known field's reader ignores. The signature around it
         * covers that too. */
        bool is_critical_bit = e == ERR_OK && bit == 1;
        CHECK(e != ERR_OK || is_critical_bit);
        CHECK((found != NULL) == (e == ERR_OK));
        m.fields.data[i] ^= bit;
    }
    for (size_t len = 0; len < m.fields.len; len++) {
        AUTO_PTR(keyring) found = NULL;
        enum err e = recovery_decode(&store_id, slice_of(m.fields.data, len), m.secret, &found);
        CHECK(e == ERR_CORRUPT || (e == ERR_OK && !found->has_admin)); /* the admin's part is a field of its own */
    }
}

TEST(unknown_fields_are_skipped_unless_critical)
{
    AUTO(made) m = {0};
    AUTO_PTR(keyring) found = NULL;
    CHECK_OK(made_new(&m));
    fields_put(&m.fields, 20, false, slice_str("later"));
    CHECK_OK(recovery_decode(&store_id, buf_slice(&m.fields), m.secret, &found));
    keyring_free(TAKE(found));
    fields_put(&m.fields, 21, true, slice_str("later"));
    CHECK_ERR(ERR_UNSUPPORTED, recovery_decode(&store_id, buf_slice(&m.fields), m.secret, &found));
}

/* ---- the recovery file ---- */

TEST(the_file_gives_the_key_back)
{
    AUTO(made) m = {0};
    AUTO(buf) text = BUF_EMPTY;
    uint8_t found[32];
    CHECK_OK(made_new(&m));
    CHECK_OK(recovery_text_make(&store_id, m.secret, &text));
    CHECK_OK(recovery_text_parse(buf_slice(&text), found));
    CHECK_MEM(found, m.secret, 32);
}

/* SHA-256 of 32 zero bytes begins 66687aad. */
#define ZEROS "00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000"

TEST(people_may_type_it_as_they_like)
{
    static const char *const good[] = {
        "key: " ZEROS " 66687aad",
        "key:" ZEROS "66687AAD\n",
        "hello\r\nkey: " ZEROS " 66687aad\r\nmore\r\n",
        "a\n\nkey:\t0000-0000-00000000 00000000 00000000 00000000 00000000 00000000 00000000 66 68 7a ad\nkey ends\n",
    };
    static const uint8_t zeros[32];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint8_t found[32] = {1};
        CHECK_OK(recovery_text_parse(slice_str(good[i]), found));
        CHECK_MEM(found, zeros, 32);
    }
}

TEST(what_is_wrong_with_the_file_is_said)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "no line begins with"},
        {"the key: " ZEROS " 66687aad", "no line begins with"},
        {"key: " ZEROS, "64 digits instead of 72"},
        {"key: " ZEROS " 66687aad0", "73 digits instead of 72"},
        {"key: " ZEROS " 66687aae", "typing mistake"},
        {"key: 1" ZEROS " 6687aad", "typing mistake"},
        {"key: O" ZEROS " 66687aad", "at place 2 "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t found[32];
        CHECK_ERR(ERR_INVALID, recovery_text_parse(slice_str(bad[i].text), found));
        if (!strstr(err_text(), bad[i].says))
            test_fail(__FILE__, __LINE__, "says: %s", err_text());
    }
}

TEST(any_one_wrong_digit_is_noticed)
{
    AUTO(buf) made = BUF_EMPTY;
    uint8_t secret[32];
    for (size_t i = 0; i < 32; i++)
        secret[i] = (uint8_t)(i * 7);
    CHECK_OK(recovery_text_make(&store_id, secret, &made));
    uint8_t *key = memmem(made.data, made.len, "key:", 4);
    CHECK(key);
    for (uint8_t *at = key + 4; at < made.data + made.len; at++) {
        if (*at == ' ' || *at == '\n')
            continue;
        uint8_t before = *at, found[32];
        *at = before == '0' ? '1' : '0';
        CHECK_ERR(ERR_INVALID, recovery_text_parse(buf_slice(&made), found));
        *at = before;
    }
}

TEST_MAIN(the_recovery_key_alone_opens_packs_names_and_the_admin_key, an_erasable_domain_needs_its_keystore_too,
          a_record_that_could_not_recover_is_not_written, another_recovery_key_is_denied, no_flipped_bit_goes_unnoticed,
          unknown_fields_are_skipped_unless_critical, the_file_gives_the_key_back, people_may_type_it_as_they_like,
          what_is_wrong_with_the_file_is_said, any_one_wrong_digit_is_noticed)
