#include "fetch/keystore.h"

#include <stdio.h>

#include "fetch/base/log.h"
#include "tests/support/keys.h"
#include "tests/support/test.h"

enum { CHEAP = 15 };

/* A keystore in memory, with one key-file slot (a passphrase takes scrypt its time), one recovery slot, and keyring 1. */
struct site {
    struct store *store;
    struct keyring *keys;
    struct x25519_pair recovery;
    uint8_t key[32];
    char slot[32], recovery_slot[32];
};

static void site_clear(struct site *s)
{
    store_free(s->store);
    keyring_free(s->keys);
}

static struct slot_secret secret_of(const char *text)
{
    struct slot_secret secret = {.kind = SLOT_KEY_FILE};
    snprintf((char *)secret.key, sizeof secret.key, "%s", text);
    return secret;
}

static enum err add(struct site *s, const char *text, char ret_slot[32])
{
    struct slot_secret secret = secret_of(text);
    return keystore_add(s->store, &s->keys->store, s->key, &secret, 0, "a label", ret_slot);
}

static void site_new(struct site *s)
{
    *s = (struct site){.key = {5, 6, 7}};
    s->keys = test_keyring();
    CHECK(s->keys);
    CHECK_OK(store_mem_open(&s->store));
    CHECK_OK(keystore_replace(s->store, s->keys, 0, s->key));
    CHECK_OK(add(s, "first", s->slot));
    CHECK_OK(x25519_generate(&s->recovery));
    CHECK_OK(keystore_add_recovery(s->store, &s->keys->store, s->key, s->recovery.public, s->recovery_slot));
}

static enum err open_with(struct site *s, const struct slot_secret *secret, uint64_t *ret_number)
{
    struct keystore_opened opened = {0};
    TRY(keystore_open(s->store, &s->keys->store, secret, &opened));
    *ret_number = opened.number;
    bool right = memcmp(opened.keyring_key, s->key, 32) == 0 && memcmp(opened.keys->domains[0].k_id, s->keys->domains[0].k_id, 32) == 0;
    keyring_free(opened.keys);
    return right ? ERR_OK : err_set(ERR_CORRUPT, "other keys than were put in");
}

static enum err opens(struct site *s, const char *text)
{
    struct slot_secret secret = secret_of(text);
    uint64_t number;
    return open_with(s, &secret, &number);
}

static void damage(struct site *s, const char *name)
{
    struct buf *bytes;
    CHECK_OK(store_mem_bytes(s->store, name, &bytes));
    bytes->data[bytes->len / 2] ^= 1;
}

TEST(every_kind_of_secret_opens_the_same_keyring)
{
    AUTO(site) s;
    char slot[32];
    uint64_t number;
    CHECK_CALL(site_new(&s));
    struct slot_secret word = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str("a word")}, other = word;
    struct slot_secret paper = {.kind = SLOT_RECOVERY};
    memcpy(paper.key, s.recovery.secret, 32);
    other.passphrase = slice_str("A word");
    CHECK_ERR(ERR_NO_KEY, open_with(&s, &word, &number)); /* no such slot yet */
    CHECK_OK(keystore_add(s.store, &s.keys->store, s.key, &word, CHEAP, "", slot));
    CHECK_OK(open_with(&s, &word, &number));
    CHECK_INT(number, 1);
    CHECK_ERR(ERR_DENIED, open_with(&s, &other, &number));
    CHECK_OK(opens(&s, "first"));
    CHECK_ERR(ERR_DENIED, opens(&s, "First"));
    CHECK_OK(open_with(&s, &paper, &number));
    paper.key[5] ^= 1; /* not in byte 0: X25519 ignores its low bits */
    CHECK_ERR(ERR_DENIED, open_with(&s, &paper, &number));
}

TEST(slots_are_listed_with_what_they_say_of_themselves)
{
    AUTO(site) s;
    AUTO_MEM struct keystore_slot *slots = NULL;
    size_t count;
    CHECK_CALL(site_new(&s));
    CHECK_CALL(damage(&s, s.recovery_slot));
    CHECK_OK(keystore_list(s.store, &s.keys->store, &slots, &count));
    CHECK_INT(count, 2);
    CHECK(strcmp(slots[0].name, slots[1].name) < 0);
    for (size_t i = 0; i < count; i++) {
        bool first = strcmp(slots[i].name, s.slot) == 0;
        CHECK_STR(slots[i].name, first ? s.slot : s.recovery_slot);
        CHECK_INT(slots[i].damaged, !first);
        if (first)
            CHECK_STR(slots[i].info.label, "a label");
    }
}

TEST(a_changed_secret_is_a_new_slot_and_the_old_one_gone)
{
    AUTO(site) s;
    char slot[32];
    CHECK_CALL(site_new(&s));
    CHECK_OK(add(&s, "second", slot));
    CHECK_OK(opens(&s, "first"));
    CHECK_OK(opens(&s, "second"));
    CHECK_OK(keystore_remove(s.store, &s.keys->store, s.slot));
    CHECK_ERR(ERR_DENIED, opens(&s, "first"));
    CHECK_OK(opens(&s, "second"));
    CHECK_ERR(ERR_NOT_FOUND, keystore_remove(s.store, &s.keys->store, s.slot));
}

TEST(the_last_way_in_stays)
{
    AUTO(site) s;
    char slot[32];
    CHECK_CALL(site_new(&s));
    CHECK_ERR(ERR_INVALID, keystore_remove(s.store, &s.keys->store, s.slot)); /* the recovery slot does not count */
    CHECK_OK(keystore_remove(s.store, &s.keys->store, s.recovery_slot));
    CHECK_OK(add(&s, "second", slot));
    CHECK_CALL(damage(&s, slot));
    CHECK_ERR(ERR_INVALID, keystore_remove(s.store, &s.keys->store, s.slot)); /* nor does a damaged one */
    CHECK_OK(opens(&s, "first"));
    CHECK_OK(keystore_remove(s.store, &s.keys->store, slot)); /* which may go itself */
    CHECK_OK(opens(&s, "first"));
}

TEST(a_damaged_slot_hides_no_other_and_is_told)
{
    AUTO(site) s;
    char slot[32];
    CHECK_CALL(site_new(&s));
    CHECK_CALL(damage(&s, s.slot));
    CHECK_ERR(ERR_CORRUPT, opens(&s, "first"));
    CHECK(strstr(err_text(), s.slot));
    CHECK_OK(add(&s, "second", slot));
    CHECK_OK(opens(&s, "second"));
    CHECK_ERR(ERR_DENIED, opens(&s, "first")); /* who knows whether it was this one's: both are said */
    CHECK(strstr(err_text(), s.slot) && strstr(err_text(), "damaged"));
}

TEST(another_stores_keystore_is_refused_by_name)
{
    AUTO(site) s;
    CHECK_CALL(site_new(&s));
    struct slot_secret secret = secret_of("first");
    struct keystore_opened opened = {0};
    struct uid other = {{0xee}};
    struct keystore_slot *slots = NULL;
    size_t count;
    CHECK_ERR(ERR_INVALID, keystore_open(s.store, &other, &secret, &opened));
    CHECK(strstr(err_text(), hex_of(s.keys->store.bytes, 16).text));
    CHECK_ERR(ERR_INVALID, keystore_list(s.store, &other, &slots, &count));
    CHECK(!slots && !opened.keys);
}

TEST(an_empty_keystore_says_so)
{
    AUTO(site) s = {0};
    CHECK_CALL(site_new(&s));
    AUTO_PTR(store) empty = NULL;
    struct slot_secret secret = secret_of("first");
    struct keystore_opened opened = {0};
    uint64_t number = 7;
    CHECK_OK(store_mem_open(&empty));
    CHECK_ERR(ERR_NO_KEY, keystore_open(empty, &s.keys->store, &secret, &opened));
    CHECK(strstr(err_text(), "empty"));
    CHECK_OK(keystore_newest(empty, &number));
    CHECK_INT(number, 0);
    CHECK_OK(store_remove(s.store, "keyring-0000000001"));
    CHECK_ERR(ERR_NO_KEY, opens(&s, "first"));
    CHECK(strstr(err_text(), "no keyring"));
}

/* ---- replacing the keyring ---- */

static bool is_there(struct site *s, const char *name)
{
    uint64_t size;
    return store_head(s->store, name, &size) == ERR_OK;
}

static enum err add_epoch(struct site *s)
{
    struct epoch_keys epoch = {.epoch = (uint32_t)s->keys->domains[0].epoch_count + 1};
    TRY(x25519_generate(&epoch.data));
    TRY(x25519_generate(&epoch.tree));
    return keyring_add_epoch(s->keys, 1, &epoch);
}

static size_t epochs_opened(struct site *s, uint64_t *ret_number)
{
    struct slot_secret secret = secret_of("first");
    struct keystore_opened opened = {0};
    if (keystore_open(s->store, &s->keys->store, &secret, &opened) != ERR_OK)
        return 0;
    size_t count = opened.keys->domains[0].epoch_count;
    *ret_number = opened.number;
    keyring_free(opened.keys);
    return count;
}

TEST(a_replaced_keyring_leaves_no_older_one)
{
    AUTO(site) s;
    uint64_t number = 0;
    CHECK_CALL(site_new(&s));
    CHECK_OK(add_epoch(&s));
    CHECK_OK(keystore_replace(s.store, s.keys, 1, s.key));
    CHECK(!is_there(&s, "keyring-0000000001") && is_there(&s, "keyring-0000000002"));
    CHECK_INT(epochs_opened(&s, &number), 2);
    CHECK_INT(number, 2);
    CHECK_ERR(ERR_EXISTS, keystore_replace(s.store, s.keys, 1, s.key)); /* somebody else was quicker */
    CHECK_INT(epochs_opened(&s, &number), 2);
}

TEST(a_replacement_cut_short_anywhere_opens_and_is_finished_by_the_next)
{
    for (long calls = 0;; calls++) {
        AUTO(site) s;
        uint64_t number = 0;
        CHECK_CALL(site_new(&s));
        CHECK_OK(add_epoch(&s));
        store_mem_fail(s.store, "pghlr", calls, ERR_IO);
        enum err e = keystore_replace(s.store, s.keys, 1, s.key);
        store_mem_fail(s.store, "pghlr", -1, ERR_IO);
        size_t epochs = epochs_opened(&s, &number);
        CHECK(epochs == 2 || (e != ERR_OK && epochs == 1));
        CHECK_OK(add_epoch(&s));
        CHECK_OK(keystore_replace(s.store, s.keys, number, s.key));
        CHECK_INT(epochs_opened(&s, &number), 3);
        size_t left = is_there(&s, "keyring-0000000001") + is_there(&s, "keyring-0000000002") + is_there(&s, "keyring-0000000003");
        CHECK_INT(left, 1);
        if (e == ERR_OK) {
            CHECK(calls > 3); /* put, get, list, remove at least could fail */
            break;
        }
    }
}

TEST(a_damaged_newest_keyring_gives_way_to_the_one_before)
{
    AUTO(site) s;
    AUTO(buf) old = BUF_EMPTY;
    uint64_t number = 0;
    CHECK_CALL(site_new(&s));
    CHECK_OK(store_get_all(s.store, "keyring-0000000001", 1 << 20, &old));
    CHECK_OK(add_epoch(&s));
    CHECK_OK(keystore_replace(s.store, s.keys, 1, s.key));
    CHECK_OK(store_put(s.store, "keyring-0000000001", buf_slice(&old), true)); /* as a crash would have left it */
    CHECK_INT(epochs_opened(&s, &number), 2);
    CHECK_CALL(damage(&s, "keyring-0000000002"));
    CHECK_INT(epochs_opened(&s, &number), 1);
    CHECK_INT(number, 2); /* so the next is 3, and not in its way */
    CHECK_CALL(damage(&s, "keyring-0000000001"));
    CHECK_ERR(ERR_AUTH, opens(&s, "first"));
    CHECK(strstr(err_text(), "keyring-0000000002"));
}

TEST(a_keyring_of_another_key_is_left_to_its_slots)
{
    AUTO(site) s;
    uint64_t number = 0;
    uint8_t other[32] = {1};
    CHECK_CALL(site_new(&s));
    CHECK_OK(keystore_replace(s.store, s.keys, 1, other));
    CHECK(is_there(&s, "keyring-0000000001"));
    CHECK_INT(epochs_opened(&s, &number), 1);
    CHECK_OK(keystore_replace(s.store, s.keys, number, s.key));
    CHECK(is_there(&s, "keyring-0000000002") && !is_there(&s, "keyring-0000000001"));
}

TEST(a_full_disk_while_a_slot_is_added_loses_nothing)
{
    AUTO(site) s;
    char slot[32];
    CHECK_CALL(site_new(&s));
    store_mem_fail(s.store, "p", 0, ERR_FULL);
    CHECK_ERR(ERR_FULL, add(&s, "second", slot));
    CHECK_OK(opens(&s, "first"));
    CHECK_ERR(ERR_DENIED, opens(&s, "second"));
}

TEST_MAIN(every_kind_of_secret_opens_the_same_keyring, slots_are_listed_with_what_they_say_of_themselves,
          a_changed_secret_is_a_new_slot_and_the_old_one_gone, the_last_way_in_stays,
          a_damaged_slot_hides_no_other_and_is_told, another_stores_keystore_is_refused_by_name, an_empty_keystore_says_so,
          a_replaced_keyring_leaves_no_older_one, a_replacement_cut_short_anywhere_opens_and_is_finished_by_the_next,
          a_damaged_newest_keyring_gives_way_to_the_one_before, a_keyring_of_another_key_is_left_to_its_slots,
          a_full_disk_while_a_slot_is_added_loses_nothing)
