#include "fetch/init.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fetch/base/file.h"
#include "fetch/format/envelope.h"
#include "tests/support/made.h"
#include "tests/support/test.h"

/* ---- init ---- */

static enum err keep_nothing(void *context, struct slice text)
{
    (void)text;
    ++*(unsigned *)context;
    return ERR_OK;
}

static enum err refuse_to_keep(void *context, struct slice text)
{
    (void)text;
    ++*(unsigned *)context;
    return err_set(ERR_FULL, "no paper in the printer");
}

static size_t entries_in(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    if (!folder)
        return SIZE_MAX;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 2;
}

static struct init_options options_for(const char *store, const char *keystore)
{
    return (struct init_options){
        .store_url = store, .keystore_url = keystore, .passphrase = slice_str("x"), .scrypt_log2_n = MADE_LOG2_N};
}

TEST(a_recovery_key_that_cannot_be_kept_stops_all)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO(init_result) result = {0};
    unsigned calls = 0;
    CHECK_OK(tmp_dir_new(&tmp));
    struct tmp_path store = tmp_path(&tmp, "store"), keystore = tmp_path(&tmp, "keystore");
    struct init_options options = options_for(store.text, keystore.text);
    CHECK_ERR(ERR_FULL, store_init(&options, refuse_to_keep, &calls, &result));
    CHECK_INT(calls, 1);
    CHECK_INT(entries_in(tmp.path), 0);
}

static void check_refused(const struct made *made, const char *store, const char *keystore)
{
    AUTO(init_result) result = {0};
    unsigned calls = 0;
    struct init_options options = options_for(store, keystore);
    (void)made;
    CHECK_ERR(ERR_EXISTS, store_init(&options, keep_nothing, &calls, &result));
    CHECK_INT(calls, 0); /* no recovery key of a store that is not made */
}

TEST(a_used_place_is_refused_and_left_as_it_is)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) access = NULL;
    CHECK_OK(made_new(&made, false));
    struct tmp_path keystore = tmp_path(&made.tmp, "new-keys"), folder = tmp_path(&made.tmp, "photos"),
                    photo = tmp_path(&made.tmp, "photos/our holiday (1).jpg"), fresh = tmp_path(&made.tmp, "fresh");
    CHECK(mkdir(folder.text, 0700) == 0);
    CHECK_OK(file_write_new(photo.text, slice_str("x"), 0600));
    CHECK_CALL(check_refused(&made, made.store_url, keystore.text));
    CHECK(strstr(err_text(), "store"));
    CHECK_CALL(check_refused(&made, folder.text, keystore.text));
    CHECK_CALL(check_refused(&made, fresh.text, made.keystore_url)); /* the keys of another store are there */
    CHECK_INT(entries_in(folder.text), 1);
    CHECK_INT(entries_in(made.tmp.path), 3);
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &access));
}

TEST(an_empty_folder_may_become_a_store)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO(init_result) result = {0};
    unsigned calls = 0;
    CHECK_OK(tmp_dir_new(&tmp));
    struct tmp_path store = tmp_path(&tmp, "store"), trash = tmp_path(&tmp, "store/lost+found");
    CHECK(mkdir(store.text, 0700) == 0 && mkdir(trash.text, 0700) == 0); /* a disk of its own */
    struct init_options options = options_for(store.text, "in-store");
    CHECK_OK(store_init(&options, keep_nothing, &calls, &result));
    CHECK(result.in_store);
    CHECK_INT(calls, 1);
}

TEST(keys_in_the_stores_own_place_must_be_asked_for)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO(init_result) result = {0};
    unsigned calls = 0;
    CHECK_OK(tmp_dir_new(&tmp));
    struct tmp_path store = tmp_path(&tmp, "store");
    struct init_options options = options_for(store.text, store.text);
    CHECK_ERR(ERR_INVALID, store_init(&options, keep_nothing, &calls, &result));
    CHECK_INT(entries_in(tmp.path), 0);
}

TEST(two_stores_have_nothing_in_common)
{
    AUTO(made) a = MADE_NONE;
    AUTO(made) b = MADE_NONE;
    AUTO_PTR(access) first = NULL;
    AUTO_PTR(access) second = NULL;
    CHECK_OK(made_new(&a, true));
    CHECK_OK(made_new(&b, true));
    CHECK_OK(made_open(&a, MADE_PASSPHRASE, &first));
    CHECK_OK(made_open(&b, MADE_PASSPHRASE, &second));
    CHECK(memcmp(a.id.bytes, b.id.bytes, 16) != 0);
    CHECK(memcmp(a.recovery, b.recovery, 32) != 0);
    CHECK(memcmp(first->keys->domains[0].k_id, second->keys->domains[0].k_id, 32) != 0);
    CHECK(memcmp(first->head.first_admin, second->head.first_admin, 32) != 0);
}

/* ---- the way back ---- */

/* A pack key, sealed as a writer seals it. */
struct sealed_key {
    struct uid origin;
    uint8_t key[32], epoch_sealed[SEALED_KEY_BYTES], header_sealed[SEALED_KEY_BYTES];
    uint32_t epoch;
};

static enum err seal_key(const struct access *access, struct sealed_key *ret)
{
    *ret = (struct sealed_key){.origin = {{7}}, .key = {1, 4, 9}};
    TRY(pack_key_seal_epoch(access->keys, 1, CHUNK_DATA, &ret->origin, ret->key, &ret->epoch, ret->epoch_sealed));
    return pack_key_seal_recovery(access->keys, 1, &ret->origin, ret->key, ret->header_sealed);
}

static void check_header_opens(const struct access *access, const struct sealed_key *sealed)
{
    uint8_t key[32];
    CHECK_OK(pack_key_open_recovery(access->keys, 1, &sealed->origin, sealed->header_sealed, key));
    CHECK_MEM(key, sealed->key, 32);
}

/* Everything a backup does with keys, and what a reader does with the result. */
static void check_can_write(const struct access *access)
{
    struct sealed_key sealed;
    uint8_t key[32];
    AUTO(buf) object = BUF_EMPTY;
    AUTO(envelope) again = {0};
    struct envelope envelope = {.domain = 1, .service = "files", .kind = "files", .time = {1795089600, 0}, .finished = {1795089601, 0}};
    struct hash sha256;
    const uint8_t *public;
    CHECK_OK(seal_key(access, &sealed));
    CHECK_OK(pack_key_open_epoch(access->keys, 1, CHUNK_DATA, &sealed.origin, sealed.epoch, sealed.epoch_sealed, key));
    CHECK_MEM(key, sealed.key, 32);
    envelope.writer = key_id_of(access->keys->signing.public);
    CHECK_OK(envelope_seal(access->keys, &envelope, &object, &sha256));
    CHECK_OK(access_find_writer(access, &envelope.writer, &public));
    CHECK_OK(access_check_writer(access, &envelope.writer, 1, "files", envelope.time.secs));
    CHECK_OK(envelope_open(access->keys, buf_slice(&object), public, &again));
    CHECK_STR(again.service, "files");
}

static enum err recover(const struct made *made, const char *passphrase, bool *ret_rebuilt)
{
    AUTO(buf) url = BUF_EMPTY;
    return keystore_recover(made->store_url, made->keystore_url, made->recovery, slice_str(passphrase), MADE_LOG2_N, &url, ret_rebuilt);
}

TEST(with_the_keystore_there_recovery_adds_a_way_in)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) access = NULL;
    AUTO_PTR(access) old = NULL;
    bool rebuilt = true;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(recover(&made, "the new one", &rebuilt));
    CHECK(!rebuilt);
    CHECK_OK(made_open(&made, "the new one", &access));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &old));
    CHECK_INT(access->keys->domains[0].epoch_count, 1);
    CHECK_MEM(access->keys->signing.public, old->keys->signing.public, 32);
}

static void check_rebuild(struct made *made, const char *gone)
{
    AUTO_PTR(access) before = NULL;
    AUTO_PTR(access) after = NULL;
    AUTO_PTR(access) paper = NULL;
    AUTO_PTR(access) twice = NULL;
    struct sealed_key old;
    bool rebuilt = false;
    CHECK_OK(made_open(made, MADE_PASSPHRASE, &before));
    CHECK_OK(seal_key(before, &old));
    CHECK_OK(tmp_dir_remove(gone));
    CHECK(made_open(made, MADE_PASSPHRASE, &after) != ERR_OK);

    CHECK_OK(recover(made, "the new one", &rebuilt));
    CHECK(rebuilt);
    CHECK_OK(made_open(made, "the new one", &after));
    CHECK_ERR(ERR_DENIED, made_open(made, MADE_PASSPHRASE, &twice));
    CHECK_INT(after->cert_count, 2);
    CHECK(memcmp(after->keys->signing.public, before->keys->signing.public, 32) != 0);
    CHECK_MEM(after->keys->domains[0].k_id, before->keys->domains[0].k_id, 32); /* so chunks keep their names */
    CHECK_INT(after->keys->domains[0].epochs[after->keys->domains[0].epoch_count - 1].epoch, 2);
    CHECK_CALL(check_can_write(after));
    /* The epoch of old packs is lost: with the new keystore and with the recovery key their headers open them. */
    uint8_t key[32];
    CHECK_ERR(ERR_NO_KEY, pack_key_open_epoch(after->keys, 1, CHUNK_DATA, &old.origin, old.epoch, old.epoch_sealed, key));
    CHECK_CALL(check_header_opens(after, &old));
    CHECK_OK(made_open_recovery(made, &paper));
    CHECK_CALL(check_header_opens(paper, &old));

    /* And it is a keystore like any other: found again, with a slot for the recovery key. */
    CHECK_OK(recover(made, "a third", &rebuilt));
    CHECK(!rebuilt);
    CHECK_OK(made_open(made, "a third", &twice));
    CHECK_CALL(check_header_opens(twice, &old));
    CHECK_CALL(check_can_write(twice));
}

TEST(a_lost_keystore_is_built_again_from_the_recovery_key)
{
    for (int in_store = 0; in_store < 2; in_store++) {
        AUTO(made) made = MADE_NONE;
        CHECK_OK(made_new(&made, in_store));
        CHECK_CALL(check_rebuild(&made, made.keystore_url));
    }
}

TEST(what_is_lost_twice_is_built_twice)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) first = NULL;
    AUTO_PTR(access) last = NULL;
    struct sealed_key old;
    bool rebuilt = false;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(tmp_dir_remove(made.keystore_url));
    CHECK_OK(recover(&made, "second", &rebuilt));
    CHECK_OK(made_open(&made, "second", &first));
    CHECK_OK(seal_key(first, &old));
    CHECK_OK(tmp_dir_remove(made.keystore_url));
    CHECK_OK(recover(&made, "third", &rebuilt));
    CHECK_OK(made_open(&made, "third", &last));
    CHECK_INT(last->keys->domains[0].epochs[last->keys->domains[0].epoch_count - 1].epoch, 3);
    CHECK_CALL(check_header_opens(last, &old));
    CHECK_CALL(check_can_write(last));
}

/* Somebody removed the recovery slot and forgot the passphrase: who remembers it still gets in. */
TEST(a_keystore_without_a_recovery_slot_is_built_beside_the_old_one)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) before = NULL;
    AUTO_PTR(access) old = NULL;
    AUTO_PTR(access) new = NULL;
    AUTO_PTR(store) keystore = NULL;
    AUTO_MEM struct keystore_slot *slots = NULL;
    size_t count;
    bool rebuilt = false;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &before));
    CHECK_OK(store_open(made.keystore_url, false, &keystore));
    CHECK_OK(keystore_list(keystore, &made.id, &slots, &count));
    for (size_t i = 0; i < count; i++)
        if (slots[i].info.kind == SLOT_RECOVERY)
            CHECK_OK(keystore_remove(keystore, &made.id, slots[i].name));
    CHECK_OK(recover(&made, "the new one", &rebuilt));
    CHECK(rebuilt);
    CHECK_OK(made_open(&made, "the new one", &new));
    CHECK_CALL(check_can_write(new));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &old));
    struct sealed_key sealed;
    uint8_t key[32];
    CHECK_OK(seal_key(before, &sealed));
    CHECK_OK(pack_key_open_epoch(old->keys, 1, CHUNK_DATA, &sealed.origin, 1, sealed.epoch_sealed, key)); /* which no other can */
    CHECK_ERR(ERR_NO_KEY, pack_key_open_epoch(new->keys, 1, CHUNK_DATA, &sealed.origin, 1, sealed.epoch_sealed, key));
}

TEST(a_wrong_recovery_key_makes_nothing)
{
    AUTO(made) made = MADE_NONE;
    bool rebuilt = false;
    CHECK_OK(made_new(&made, false));
    made.recovery[5] ^= 1; /* not in byte 0: X25519 ignores its low bits */
    CHECK_ERR(ERR_DENIED, recover(&made, "x", &rebuilt));
    CHECK_OK(tmp_dir_remove(made.keystore_url));
    CHECK_ERR(ERR_DENIED, recover(&made, "x", &rebuilt));
    CHECK_INT(entries_in(made.tmp.path), 1);
    struct object_name name;
    CHECK_ERR(ERR_NOT_FOUND, made_find(&made, "epochs/00000001/0000000002", &name));
}

TEST_MAIN(a_recovery_key_that_cannot_be_kept_stops_all, a_used_place_is_refused_and_left_as_it_is,
          an_empty_folder_may_become_a_store, keys_in_the_stores_own_place_must_be_asked_for, two_stores_have_nothing_in_common,
          with_the_keystore_there_recovery_adds_a_way_in, a_lost_keystore_is_built_again_from_the_recovery_key,
          what_is_lost_twice_is_built_twice, a_keystore_without_a_recovery_slot_is_built_beside_the_old_one,
          a_wrong_recovery_key_makes_nothing)
