#include "fetch/format/slot.h"

#include "fetch/crypto/digest.h"
#include "fetch/format/fields.h"
#include "tests/support/test.h"

enum { CHEAP = 15 }; /* log2 of scrypt's N: the least that is allowed, a quarter of the default */

static const struct uid store_id = {{3, 1, 4, 1, 5}};
static const uint8_t keyring_key[32] = {10, 20, 30};

static struct slot_secret passphrase(const char *text)
{
    return (struct slot_secret){.kind = SLOT_PASSPHRASE, .passphrase = slice_str(text)};
}

static struct slot_secret key_file(uint8_t first)
{
    return (struct slot_secret){.kind = SLOT_KEY_FILE, .key = {first}};
}

static struct slot_secret recovery(uint8_t first)
{
    return (struct slot_secret){.kind = SLOT_RECOVERY, .key = {first}};
}

static void check_opens(const struct slot_secret *right, const struct slot_secret *wrong)
{
    AUTO(buf) object = BUF_EMPTY;
    struct slot_info info;
    uint8_t found[32];
    CHECK_OK(slot_seal(&store_id, right, CHEAP, "laptop", keyring_key, &object));
    CHECK_OK(slot_parse(buf_slice(&object), &info));
    CHECK_INT(info.kind, right->kind);
    CHECK_STR(info.label, "laptop");
    CHECK_MEM(&info.store, &store_id, sizeof store_id);
    CHECK_OK(slot_open(buf_slice(&object), &store_id, right, found));
    CHECK_MEM(found, keyring_key, 32);
    CHECK_ERR(ERR_DENIED, slot_open(buf_slice(&object), &store_id, wrong, found));
    CHECK_ERR(ERR_INVALID, slot_open(buf_slice(&object), &(struct uid){{9}}, right, found));
}

TEST(a_passphrase_opens_its_slot)
{
    struct slot_secret right = passphrase("correct horse"), wrong = passphrase("correct house");
    CHECK_CALL(check_opens(&right, &wrong));
}

TEST(a_key_file_opens_its_slot)
{
    struct slot_secret right = key_file(1), wrong = key_file(2);
    CHECK_CALL(check_opens(&right, &wrong));
    wrong = passphrase("1"); /* another kind */
    CHECK_CALL(check_opens(&right, &wrong));
}

TEST(the_recovery_key_opens_its_slot)
{
    struct slot_secret right = recovery(1), wrong = recovery(9);
    struct x25519_pair pair;
    AUTO(buf) object = BUF_EMPTY;
    struct slot_info info;
    uint8_t found[32];
    CHECK_CALL(check_opens(&right, &wrong));
    CHECK_OK(x25519_from_secret(right.key, &pair));
    CHECK_OK(slot_seal_recovery(&store_id, pair.public, "", keyring_key, &object));
    CHECK_OK(slot_parse(buf_slice(&object), &info));
    CHECK_MEM(info.recovery_public, pair.public, 32);
    CHECK_STR(info.label, "");
    CHECK_OK(slot_open(buf_slice(&object), &store_id, &right, found));
    CHECK_MEM(found, keyring_key, 32);
}

TEST(an_empty_passphrase_is_one_too)
{
    struct slot_secret right = passphrase(""), wrong = passphrase(" ");
    CHECK_CALL(check_opens(&right, &wrong));
}

TEST(costs_and_labels_out_of_bounds_are_not_written)
{
    struct slot_secret secret = passphrase("x");
    AUTO(buf) object = BUF_EMPTY;
    char label[102];
    memset(label, 'l', sizeof label);
    label[101] = 0;
    CHECK_ERR(ERR_INVALID, slot_seal(&store_id, &secret, 14, "", keyring_key, &object));
    CHECK_ERR(ERR_INVALID, slot_seal(&store_id, &secret, 22, "", keyring_key, &object));
    secret = key_file(1);
    CHECK_ERR(ERR_INVALID, slot_seal(&store_id, &secret, CHEAP, label, keyring_key, &object));
    CHECK_ERR(ERR_INVALID, slot_seal(&store_id, &secret, CHEAP, "\xff", keyring_key, &object));
    label[100] = 0;
    CHECK_OK(slot_seal(&store_id, &secret, CHEAP, label, keyring_key, &object));
    struct slot_info info;
    CHECK_OK(slot_parse(buf_slice(&object), &info));
    CHECK_STR(info.label, label);
}

/* A damaged slot is never taken for a wrong passphrase: people would go on trying. */
TEST(any_flipped_bit_is_damage)
{
    struct slot_secret secret = passphrase("right");
    AUTO(buf) object = BUF_EMPTY;
    uint8_t found[32];
    CHECK_OK(slot_seal(&store_id, &secret, CHEAP, "label", keyring_key, &object));
    for (size_t bit = 0; bit < object.len * 8; bit++) {
        object.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_ERR(ERR_CORRUPT, slot_open(buf_slice(&object), &store_id, &secret, found));
        object.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < object.len; len++)
        CHECK_ERR(ERR_CORRUPT, slot_open(slice_of(object.data, len), &store_id, &secret, found));
}

/* ---- changed by somebody who can compute a SHA-256 ---- */

static void fix_digest(struct buf *object)
{
    sha256_of(slice_of(object->data, object->len - 32), object->data + object->len - 32);
}

static void check_changed(const struct slot_secret *secret, size_t at, uint8_t value, enum err code)
{
    AUTO(buf) object = BUF_EMPTY;
    uint8_t found[32];
    CHECK_OK(slot_seal(&store_id, secret, CHEAP, "label", keyring_key, &object));
    object.data[at] = value;
    fix_digest(&object);
    CHECK_ERR(code, slot_open(buf_slice(&object), &store_id, secret, found));
}

TEST(hostile_costs_are_refused_before_any_work)
{
    struct slot_secret secret = passphrase("right");
    struct slot_info info;
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{11, 14}, {11, 22}, {11, 63}, {11, 64}, {11, 255}, {12, 0}, {12, 17}, {15, 1}, {16, 0}, {16, 5}, {19, 1}, {20, 1}};
    AUTO(buf) object = BUF_EMPTY;
    CHECK_OK(slot_seal(&store_id, &secret, CHEAP, "", keyring_key, &object));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t before = object.data[cases[i].at];
        object.data[cases[i].at] = cases[i].value;
        fix_digest(&object);
        CHECK_ERR(ERR_CORRUPT, slot_parse(buf_slice(&object), &info));
        object.data[cases[i].at] = before;
    }
    /* Each within its bounds, too much together: 4 GiB. */
    object.data[11] = 21;
    object.data[12] = 16;
    fix_digest(&object);
    CHECK_ERR(ERR_CORRUPT, slot_parse(buf_slice(&object), &info));
    CHECK(strstr(err_text(), "out of bounds"));
}

TEST(a_changed_slot_does_not_open)
{
    struct slot_secret file = key_file(1), paper = recovery(1);
    CHECK_CALL(check_changed(&file, 0, 'X', ERR_CORRUPT));
    CHECK_CALL(check_changed(&file, 8, 2, ERR_UNSUPPORTED));
    CHECK_CALL(check_changed(&file, 8, 0, ERR_CORRUPT));
    CHECK_CALL(check_changed(&file, 10, 0, ERR_CORRUPT)); /* kind */
    CHECK_CALL(check_changed(&file, 10, 4, ERR_CORRUPT));
    CHECK_CALL(check_changed(&file, 11, 17, ERR_CORRUPT)); /* cost where there is none */
    CHECK_CALL(check_changed(&file, 20, 1, ERR_CORRUPT));  /* reserved */
    CHECK_CALL(check_changed(&file, 24, 99, ERR_INVALID)); /* store */
    CHECK_CALL(check_changed(&file, 40, 0xff, ERR_CORRUPT)); /* time: under the tag */
    CHECK_CALL(check_changed(&file, 116, 'L', ERR_CORRUPT)); /* label: under the tag */
    CHECK_CALL(check_changed(&paper, 40, 0xff, ERR_CORRUPT));
    CHECK_CALL(check_changed(&paper, 50, 0xff, ERR_CORRUPT));
}

/* The commitment is part of what the secret must fit. */
TEST(a_changed_commitment_denies)
{
    struct slot_secret secret = key_file(1);
    for (size_t at = 80; at < 112; at++) {
        AUTO(buf) object = BUF_EMPTY;
        uint8_t found[32];
        CHECK_OK(slot_seal(&store_id, &secret, CHEAP, "", keyring_key, &object));
        object.data[at] ^= 1;
        fix_digest(&object);
        CHECK_ERR(ERR_DENIED, slot_open(buf_slice(&object), &store_id, &secret, found));
    }
}

/* With the right passphrase, a key that was changed is damage and not a wrong passphrase. */
TEST(a_changed_key_behind_the_right_passphrase_is_damage)
{
    struct slot_secret secret = passphrase("right");
    AUTO(buf) object = BUF_EMPTY;
    uint8_t found[32];
    CHECK_OK(slot_seal(&store_id, &secret, CHEAP, "", keyring_key, &object));
    for (size_t back = 33; back <= 80; back += 13) {
        object.data[object.len - back] ^= 1;
        fix_digest(&object);
        CHECK_ERR(ERR_CORRUPT, slot_open(buf_slice(&object), &store_id, &secret, found));
        object.data[object.len - back] ^= 1;
    }
}

/* A key-file slot with other fields in place of its label. It still parses: the tag is only looked at with the secret. */
static void with_field(uint32_t number, bool critical, struct slice value, struct buf *ret_object)
{
    AUTO(buf) object = BUF_EMPTY, fields = BUF_EMPTY;
    struct slot_secret secret = key_file(1);
    CHECK_OK(slot_seal(&store_id, &secret, CHEAP, "", keyring_key, &object)); /* fields: one byte at 112 */
    fields_put(&fields, number, critical, value);
    buf_put(ret_object, object.data, 112);
    fields_seal(ret_object, &fields);
    buf_put(ret_object, object.data + 113, object.len - 113);
    fix_digest(ret_object);
}

TEST(unknown_fields_are_skipped_unless_critical)
{
    AUTO(buf) ignorable = BUF_EMPTY, critical = BUF_EMPTY, long_label = BUF_EMPTY;
    struct slot_info info;
    char label[101];
    memset(label, 'l', sizeof label);
    CHECK_CALL(with_field(20, false, slice_str("later"), &ignorable));
    CHECK_OK(slot_parse(buf_slice(&ignorable), &info));
    CHECK_CALL(with_field(21, true, slice_str("later"), &critical));
    CHECK_ERR(ERR_UNSUPPORTED, slot_parse(buf_slice(&critical), &info));
    CHECK_CALL(with_field(1, false, slice_of(label, sizeof label), &long_label));
    CHECK_ERR(ERR_CORRUPT, slot_parse(buf_slice(&long_label), &info));
}

TEST_MAIN(a_passphrase_opens_its_slot, a_key_file_opens_its_slot, the_recovery_key_opens_its_slot, an_empty_passphrase_is_one_too,
          costs_and_labels_out_of_bounds_are_not_written, any_flipped_bit_is_damage, hostile_costs_are_refused_before_any_work,
          a_changed_slot_does_not_open, a_changed_commitment_denies, a_changed_key_behind_the_right_passphrase_is_damage,
          unknown_fields_are_skipped_unless_critical)
