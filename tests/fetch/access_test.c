#include "fetch/access.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fetch/base/file.h"
#include "fetch/crypto/digest.h"
#include "fetch/store/names.h"
#include "tests/support/golden.h"
#include "tests/support/made.h"
#include "tests/support/test.h"

/* ---- opening ---- */

static void check_opened(const struct made *made, const struct access *access)
{
    const uint8_t *public;
    CHECK(access);
    CHECK_MEM(access->keys->store.bytes, made->id.bytes, 16);
    CHECK_MEM(access->head.store.bytes, made->id.bytes, 16);
    CHECK_INT(access->keys->domain_count, 1);
    CHECK_INT(access->config.domain_count, 1);
    CHECK_MEM(access->config.domains[0].recovery_public, access->keys->domains[0].recovery.public, 32);
    CHECK(config_class(&access->config, CUT_FILE));
    CHECK_INT(access->cert_count, 1);
    if (access->by_recovery)
        return;
    CHECK_INT(access->keys->roles, ROLES_ALL);
    struct uid writer = key_id_of(access->keys->signing.public), nobody = {{1}};
    CHECK_OK(access_find_writer(access, &writer, &public));
    CHECK_MEM(public, access->keys->signing.public, 32);
    CHECK_OK(access_check_writer(access, &writer, 1, "any", 1795089600));
    CHECK_ERR(ERR_AUTH, access_check_writer(access, &writer, 2, "any", 1795089600));
    CHECK_ERR(ERR_AUTH, access_find_writer(access, &nobody, &public));
    CHECK_ERR(ERR_AUTH, access_check_writer(access, &nobody, 1, "any", 1795089600));
}

TEST(a_store_opens_with_its_passphrase_and_with_its_recovery_key)
{
    for (int in_store = 0; in_store < 2; in_store++) {
        AUTO(made) made = MADE_NONE;
        AUTO_PTR(access) access = NULL;
        AUTO_PTR(access) recovered = NULL;
        CHECK_OK(made_new(&made, in_store));
        CHECK_OK(made_open(&made, MADE_PASSPHRASE, &access));
        CHECK(!access->by_recovery);
        CHECK_CALL(check_opened(&made, access));
        CHECK_OK(made_open_recovery(&made, &recovered));
        CHECK(recovered->by_recovery);
        CHECK_CALL(check_opened(&made, recovered));
    }
}

TEST(the_keystore_inside_is_found_without_being_told)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) access = NULL;
    CHECK_OK(made_new(&made, true));
    struct access_request request = {.store_url = made.store_url,
                                     .secret = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str(MADE_PASSPHRASE)}};
    CHECK_OK(access_open(&request, &access));
    AUTO(buf) url = BUF_EMPTY, slash = BUF_EMPTY;
    CHECK_OK(access_keystore_url("/backups", &access->head, &url));
    CHECK_STR((const char *)url.data, "/backups/keys");
    CHECK_OK(access_keystore_url("/backups/", &access->head, &slash));
    CHECK_STR((const char *)slash.data, "/backups/keys");
}

TEST(a_keystore_elsewhere_has_the_stores_id_in_its_path)
{
    struct store_head_object head = {.store = {{0xab, 0xcd}}};
    AUTO(buf) url = BUF_EMPTY;
    CHECK_OK(access_keystore_url("/backups", &head, &url));
    const char *end = strrchr((const char *)url.data, '/');
    CHECK(end);
    CHECK_STR(end, "/abcd0000000000000000000000000000");
}

TEST(a_wrong_passphrase_is_denied)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) access = NULL;
    CHECK_OK(made_new(&made, false));
    CHECK_ERR(ERR_DENIED, made_open(&made, "open barley", &access));
    CHECK_ERR(ERR_DENIED, made_open(&made, "", &access));
    made.recovery[5] ^= 1;
    CHECK_ERR(ERR_DENIED, made_open_recovery(&made, &access));
    CHECK(!access);
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

TEST(where_there_is_no_store_nothing_is_made)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(access) access = NULL;
    CHECK_OK(tmp_dir_new(&tmp));
    struct tmp_path missing = tmp_path(&tmp, "missing"), empty = tmp_path(&tmp, "empty");
    CHECK(mkdir(empty.text, 0700) == 0);
    struct access_request request = {.store_url = missing.text, .secret = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str("x")}};
    CHECK_ERR(ERR_NO_STORE, access_open(&request, &access));
    request.store_url = empty.text;
    CHECK_ERR(ERR_NO_STORE, access_open(&request, &access));
    request.secret.kind = SLOT_RECOVERY;
    CHECK_ERR(ERR_NO_STORE, access_open(&request, &access));
    CHECK_INT(entries_in(tmp.path), 1);
    CHECK_INT(entries_in(empty.text), 0);
}

TEST(a_lost_keystore_and_one_of_another_store_are_told_apart)
{
    AUTO(made) made = MADE_NONE;
    AUTO(made) other = MADE_NONE;
    AUTO_PTR(access) access = NULL;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(made_new(&other, false));
    snprintf(made.keystore_url, sizeof made.keystore_url, "%s/nowhere", made.tmp.path);
    CHECK_ERR(ERR_NO_KEY, made_open(&made, MADE_PASSPHRASE, &access));
    CHECK(strstr(err_text(), "key recover"));
    CHECK_INT(entries_in(made.tmp.path), 2); /* store, keystore */
    snprintf(made.keystore_url, sizeof made.keystore_url, "%s", other.keystore_url);
    CHECK_ERR(ERR_INVALID, made_open(&made, MADE_PASSPHRASE, &access));
    CHECK(strstr(err_text(), hex_of(other.id.bytes, 16).text));
}

/* ---- damage ---- */

typedef enum err (*open_fn)(const struct made *made, struct access **ret_access);

static enum err by_passphrase(const struct made *made, struct access **ret_access)
{
    return made_open(made, MADE_PASSPHRASE, ret_access);
}

static bool tells_damage(enum err e, const char *name)
{
    /* A version or a feature that we do not know is not damage, and a flipped bit there is told as one. */
    bool newer = e == ERR_UNSUPPORTED && strstr(err_text(), "newer");
    return (e == ERR_CORRUPT || e == ERR_AUTH || newer) && strstr(err_text(), name);
}

/* Flip a bit in every stride-th byte, and cut the object short: each time opening must fail, name it, and not crash. */
static void check_damage(const struct made *made, const char *name, size_t stride, open_fn open)
{
    AUTO(buf) bytes = BUF_EMPTY;
    const size_t cuts[] = {0, 1, 40, 95};
    CHECK_OK(made_get(made, name, &bytes));
    for (size_t at = 0; at < bytes.len; at += stride) {
        AUTO_PTR(access) access = NULL;
        bytes.data[at] ^= (uint8_t)(1u << at % 8);
        CHECK_OK(made_put(made, name, buf_slice(&bytes)));
        enum err e = open(made, &access);
        if (!tells_damage(e, name))
            fprintf(stderr, "%s, byte %zu: %s (%s)\n", name, at, err_word(e), err_text());
        CHECK(tells_damage(e, name));
        bytes.data[at] ^= (uint8_t)(1u << at % 8);
    }
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        AUTO_PTR(access) access = NULL;
        CHECK_OK(made_put(made, name, slice_of(bytes.data, cuts[i])));
        CHECK(tells_damage(open(made, &access), name));
    }
    AUTO_PTR(access) whole = NULL;
    CHECK_OK(made_put(made, name, buf_slice(&bytes)));
    CHECK_OK(open(made, &whole));
}

static void check_damage_of(const struct made *made, const char *prefix, size_t stride, open_fn open)
{
    struct object_name name;
    CHECK_OK(made_find(made, prefix, &name));
    CHECK_CALL(check_damage(made, name.text, stride, open));
}

TEST(damage_of_what_the_recovery_key_needs_is_told_by_name)
{
    AUTO(made) made = MADE_NONE;
    CHECK_OK(made_new(&made, false));
    CHECK_CALL(check_damage_of(&made, "yore", 7, made_open_recovery));
    CHECK_CALL(check_damage_of(&made, "config/", 19, made_open_recovery));
    CHECK_CALL(check_damage_of(&made, "certs/", 19, made_open_recovery));
    CHECK_CALL(check_damage_of(&made, "recovery/", 17, made_open_recovery));
    CHECK_CALL(check_damage_of(&made, "epochs/", 17, made_open_recovery));
}

TEST(damage_of_slot_and_keyring_is_told_by_name)
{
    AUTO(made) made = MADE_NONE;
    AUTO_MEM struct keystore_slot *slots = NULL;
    AUTO_PTR(store) keystore = NULL;
    size_t count;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(store_open(made.keystore_url, false, &keystore));
    CHECK_OK(keystore_list(keystore, &made.id, &slots, &count));
    CHECK_INT(count, 2);
    CHECK_CALL(check_damage(&made, slots[slots[0].info.kind == SLOT_PASSPHRASE ? 0 : 1].name, 17, by_passphrase));
    CHECK_CALL(check_damage(&made, "keyring-0000000001", 97, by_passphrase));
}

TEST(what_is_missing_is_told_by_name)
{
    static const char *const needed[] = {"config/", "recovery/"};
    AUTO(made) made = MADE_NONE;
    CHECK_OK(made_new(&made, false));
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        AUTO(buf) bytes = BUF_EMPTY;
        AUTO_PTR(access) access = NULL;
        struct object_name name;
        CHECK_OK(made_find(&made, needed[i], &name));
        CHECK_OK(made_get(&made, name.text, &bytes));
        CHECK_OK(made_put(&made, name.text, SLICE_EMPTY));
        CHECK_ERR(ERR_CORRUPT, made_open_recovery(&made, &access));
        CHECK(strstr(err_text(), needed[i]));
        CHECK_OK(made_put(&made, name.text, buf_slice(&bytes)));
    }
}

TEST(records_under_each_others_names_are_refused)
{
    AUTO(made) made = MADE_NONE;
    AUTO(made) other = MADE_NONE;
    AUTO(buf) config = BUF_EMPTY, recovery = BUF_EMPTY, foreign = BUF_EMPTY;
    AUTO_PTR(access) access = NULL;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(made_new(&other, false));
    CHECK_OK(made_get(&made, "config/0000000001", &config));
    CHECK_OK(made_get(&made, "recovery/0000000001", &recovery));
    CHECK_OK(made_get(&other, "config/0000000001", &foreign));
    CHECK_OK(made_put(&made, "config/0000000001", buf_slice(&recovery)));
    CHECK_ERR(ERR_CORRUPT, made_open(&made, MADE_PASSPHRASE, &access));
    CHECK_OK(made_put(&made, "config/0000000001", buf_slice(&foreign)));
    CHECK_ERR(ERR_AUTH, made_open(&made, MADE_PASSPHRASE, &access));
    CHECK_OK(made_put(&made, "config/0000000001", buf_slice(&config)));
    CHECK_OK(made_put(&made, "config/0000000002", buf_slice(&config))); /* the first again is not the second */
    CHECK_ERR(ERR_CORRUPT, made_open(&made, MADE_PASSPHRASE, &access));
    CHECK(strstr(err_text(), "config/0000000002"));
    CHECK_OK(made_put(&made, "config/0000000002", SLICE_EMPTY));
    CHECK_OK(made_put(&made, "certs/00112233445566778899aabbccddeeff", buf_slice(&config)));
    CHECK_ERR(ERR_CORRUPT, made_open(&made, MADE_PASSPHRASE, &access));
}

TEST(a_store_that_another_admin_signed_is_refused)
{
    AUTO(made) made = MADE_NONE;
    AUTO(buf) object = BUF_EMPTY;
    AUTO_PTR(access) access = NULL;
    struct sign_pair thief;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(sign_generate(&thief));
    struct store_head_object head = {.store = made.id};
    memcpy(head.first_admin, thief.public, 32);
    CHECK_OK(yore_seal(&head, &thief, &object));
    CHECK_OK(made_put(&made, "yore", buf_slice(&object)));
    CHECK_ERR(ERR_AUTH, made_open(&made, MADE_PASSPHRASE, &access));
    CHECK_ERR(ERR_AUTH, made_open_recovery(&made, &access));
}

/* ---- epochs and admins that come later ---- */

static void put_epoch(const struct made *made, const struct sign_pair *admin, uint32_t number, uint32_t said,
                      struct epoch_keys *ret_epoch)
{
    AUTO(buf) fields = BUF_EMPTY, object = BUF_EMPTY;
    *ret_epoch = (struct epoch_keys){.epoch = number};
    CHECK_OK(x25519_generate(&ret_epoch->data));
    CHECK_OK(x25519_generate(&ret_epoch->tree));
    fields_put(&fields, 1, true, slice_of(ret_epoch->data.public, 32));
    fields_put(&fields, 2, true, slice_of(ret_epoch->tree.public, 32));
    struct record head = {.type = RECORD_EPOCH, .domain = 1, .store = made->id, .number = said};
    CHECK_OK(record_seal(&head, &fields, admin, &object));
    CHECK_OK(made_put(made, name_epoch(1, number).text, buf_slice(&object)));
}

TEST(an_epoch_newer_than_the_keys_is_sealed_to)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) first = NULL;
    AUTO_PTR(access) access = NULL;
    struct epoch_keys made_epoch;
    struct uid origin = {{3}};
    uint8_t key[32] = {1, 2, 3}, sealed[SEALED_KEY_BYTES], opened[32];
    uint32_t epoch;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &first));
    CHECK_CALL(put_epoch(&made, &first->keys->admin, 2, 2, &made_epoch));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &access));
    CHECK_INT(access->keys->domains[0].epoch_count, 2);
    CHECK_OK(pack_key_seal_epoch(access->keys, 1, CHUNK_DATA, &origin, key, &epoch, sealed));
    CHECK_INT(epoch, 2);
    CHECK_MEM(access->keys->domains[0].epochs[1].data.public, made_epoch.data.public, 32);
    CHECK_ERR(ERR_NO_KEY, pack_key_open_epoch(access->keys, 1, CHUNK_DATA, &origin, 2, sealed, opened));
    CHECK_CALL(check_damage(&made, name_epoch(1, 2).text, 31, made_open_recovery));
}

TEST(an_epoch_under_another_number_or_signed_by_anybody_is_refused)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) first = NULL;
    AUTO_PTR(access) access = NULL;
    struct epoch_keys epoch;
    struct sign_pair anybody;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &first));
    CHECK_OK(sign_generate(&anybody));
    CHECK_CALL(put_epoch(&made, &first->keys->admin, 2, 3, &epoch));
    CHECK_ERR(ERR_CORRUPT, made_open(&made, MADE_PASSPHRASE, &access));
    CHECK_CALL(put_epoch(&made, &anybody, 2, 2, &epoch));
    CHECK_ERR(ERR_AUTH, made_open(&made, MADE_PASSPHRASE, &access));
    CHECK(strstr(err_text(), "epochs/00000001/0000000002"));
}

static void put_cert(const struct made *made, const struct sign_pair *admin, struct uid *ret_id)
{
    AUTO(buf) fields = BUF_EMPTY, object = BUF_EMPTY;
    static const char *const services[] = {"db-*"};
    static const uint32_t domains[] = {1};
    struct sign_pair writer;
    struct cert cert = {.roles = ROLE_WRITER, .holder = "a later one"};
    CHECK_OK(sign_generate(&writer));
    memcpy(cert.public_key, writer.public, 32);
    CHECK_OK(cert_encode(&cert, domains, 1, services, 1, &fields));
    struct record head = {.type = RECORD_CERT, .store = made->id};
    CHECK_OK(record_seal(&head, &fields, admin, &object));
    *ret_id = key_id_of(writer.public);
    CHECK_OK(made_put(made, name_cert(ret_id).text, buf_slice(&object)));
}

TEST(an_admin_named_by_an_admin_may_certify)
{
    AUTO(made) made = MADE_NONE;
    AUTO_PTR(access) first = NULL;
    AUTO_PTR(access) access = NULL;
    AUTO(buf) config = BUF_EMPTY, fields = BUF_EMPTY, object = BUF_EMPTY;
    struct sign_pair second;
    struct uid writer;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &first));
    CHECK_OK(sign_generate(&second));
    CHECK_CALL(put_cert(&made, &second, &writer));
    CHECK_ERR(ERR_AUTH, made_open(&made, MADE_PASSPHRASE, &access)); /* nobody named that admin */

    memcpy(first->config.admins[0], second.public, 32);
    first->config.admin_count = 1;
    struct record head = {.type = RECORD_CONFIG, .store = made.id, .number = 2};
    CHECK_OK(made_get(&made, "config/0000000001", &config));
    sha256_of(buf_slice(&config), head.previous.bytes);
    CHECK_OK(config_encode(&first->config, &fields));
    CHECK_OK(record_seal(&head, &fields, &second, &object)); /* nor may he name himself */
    CHECK_OK(made_put(&made, "config/0000000002", buf_slice(&object)));
    CHECK_ERR(ERR_AUTH, made_open(&made, MADE_PASSPHRASE, &access));
    buf_clear(&object);
    CHECK_OK(record_seal(&head, &fields, &first->keys->admin, &object));
    CHECK_OK(made_put(&made, "config/0000000002", buf_slice(&object)));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &access));
    CHECK_OK(access_check_writer(access, &writer, 1, "db-main", 1795089600));
    CHECK_ERR(ERR_AUTH, access_check_writer(access, &writer, 1, "files", 1795089600));
}

/* ---- role key files ---- */

TEST(a_role_key_file_opens_its_own_store_only)
{
    AUTO(made) made = MADE_NONE;
    AUTO(made) other = MADE_NONE;
    AUTO_PTR(access) access = NULL;
    AUTO_PTR(access) by_role = NULL;
    AUTO_PTR(access) none = NULL;
    AUTO(buf) file = BUF_EMPTY;
    CHECK_OK(made_new(&made, false));
    CHECK_OK(made_new(&other, false));
    CHECK_OK(made_open(&made, MADE_PASSPHRASE, &access));
    CHECK_OK(role_file_seal(access->keys, &file));
    struct tmp_path path = tmp_path(&made.tmp, "role");
    CHECK_OK(file_write_new(path.text, buf_slice(&file), 0600));
    struct access_request request = {.store_url = made.store_url, .role_file = path.text};
    CHECK_OK(access_open(&request, &by_role));
    CHECK_MEM(by_role->keys->domains[0].k_id, access->keys->domains[0].k_id, 32);
    request.store_url = other.store_url;
    CHECK_ERR(ERR_NO_KEY, access_open(&request, &none));
    request.store_url = made.store_url;
    file.data[file.len / 2] ^= 1;
    CHECK_OK(file_write_atomic(path.text, buf_slice(&file), 0600));
    CHECK_ERR(ERR_CORRUPT, access_open(&request, &none));
    CHECK(strstr(err_text(), path.text));
}

TEST(the_golden_store_opens_by_key_file_and_by_role)
{
    AUTO_PTR(access) by_file = NULL;
    AUTO_PTR(access) by_role = NULL;
    AUTO(buf) key = BUF_EMPTY;
    struct tmp_path store = golden_path("store"), role = golden_path("reader.role");
    struct access_request request = {.store_url = store.text, .secret.kind = SLOT_KEY_FILE};
    CHECK_OK(golden_file("key-file", &key));
    CHECK_INT(key.len, 32);
    memcpy(request.secret.key, key.data, 32);
    CHECK_OK(access_open(&request, &by_file));
    CHECK_INT(by_file->keys->domain_count, 2);
    CHECK_INT(by_file->cert_count, 2); /* one of them by the second admin */
    request.role_file = role.text;
    CHECK_OK(access_open(&request, &by_role));
    CHECK_INT(by_role->keys->domain_count, 1);
}

TEST_MAIN(a_store_opens_with_its_passphrase_and_with_its_recovery_key, the_keystore_inside_is_found_without_being_told,
          a_keystore_elsewhere_has_the_stores_id_in_its_path, a_wrong_passphrase_is_denied,
          where_there_is_no_store_nothing_is_made, a_lost_keystore_and_one_of_another_store_are_told_apart,
          damage_of_what_the_recovery_key_needs_is_told_by_name, damage_of_slot_and_keyring_is_told_by_name,
          what_is_missing_is_told_by_name, records_under_each_others_names_are_refused,
          a_store_that_another_admin_signed_is_refused, an_epoch_newer_than_the_keys_is_sealed_to,
          an_epoch_under_another_number_or_signed_by_anybody_is_refused, an_admin_named_by_an_admin_may_certify,
          a_role_key_file_opens_its_own_store_only, the_golden_store_opens_by_key_file_and_by_role)
