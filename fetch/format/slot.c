#include "fetch/format/slot.h"

#include "fetch/base/clock.h"
#include "fetch/base/hex.h"
#include "fetch/base/rand.h"
#include "fetch/crypto/aead.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/kdf.h"
#include "fetch/crypto/secret.h"
#include "fetch/format/keyring_inside.h"

static const char magic[8] = {'Y', 'O', 'R', 'E', 'S', 'L', 'O', 'T'};

enum { SALT_BYTES = 32, KEY_BYTES = 32, LABEL_MAX_BYTES = 100, SCRYPT_R = 8, SCRYPT_P = 1 };

/* A slot as it stands. All slices are borrowed from the object. */
struct slot {
    struct slot_info info;
    unsigned log2_n;
    uint32_t r, p;
    struct slice salt;
    struct slice proof;  /* commitment or R */
    struct slice before; /* all bytes before the sealed key: its associated data */
    struct slice sealed;
};

/* ---- to bytes ---- */

static enum err label_check(struct slice label, enum err code)
{
    if (label.len <= LABEL_MAX_BYTES && !(label.len > 0 && memchr(label.data, 0, label.len)) && text_is_utf8(label))
        return ERR_OK;
    return err_set(code, "a slot's label is at most %d bytes of text", LABEL_MAX_BYTES);
}

static enum err slot_begin(const struct uid *store, enum slot_kind kind, unsigned log2_n, const char *label,
                           const uint8_t salt[SALT_BYTES], const uint8_t proof[32], struct buf *ret_object)
{
    TRY(label_check(slice_str(label), ERR_INVALID));
    bool scrypt = kind == SLOT_PASSPHRASE;
    AUTO(buf) fields = BUF_EMPTY;
    buf_put(ret_object, magic, sizeof magic);
    buf_put_u16(ret_object, FORMAT_VERSION);
    buf_put_u8(ret_object, (uint8_t)kind);
    buf_put_u8(ret_object, (uint8_t)(scrypt ? log2_n : 0));
    buf_put_u32(ret_object, scrypt ? SCRYPT_R : 0);
    buf_put_u32(ret_object, scrypt ? SCRYPT_P : 0);
    buf_put_u32(ret_object, 0);
    buf_put(ret_object, store->bytes, sizeof store->bytes);
    buf_put_i64(ret_object, clock_now().secs);
    buf_put(ret_object, salt, SALT_BYTES);
    buf_put(ret_object, proof, 32);
    if (label[0])
        fields_put(&fields, 1, false, slice_str(label));
    fields_seal(ret_object, &fields);
    return buf_check(ret_object);
}

static enum err slot_end(struct buf *object)
{
    uint8_t digest[SHA256_BYTES];
    TRY(buf_check(object));
    sha256_of(buf_slice(object), digest);
    buf_put(object, digest, sizeof digest);
    return buf_check(object);
}

/* Two keys of one secret: the commitment says whether it is the right one, the other wraps the keyring key. */
struct slot_keys {
    uint8_t commit[32], wrap[32];
};

static enum err keys_derive(const struct slot_secret *secret, unsigned log2_n, uint32_t r, uint32_t p, struct slice salt,
                            struct slot_keys *ret_keys)
{
    uint8_t ikm[32];
    enum err e = ERR_OK;
    if (secret->kind == SLOT_PASSPHRASE)
        e = scrypt_derive(secret->passphrase, salt, UINT64_C(1) << log2_n, r, p, ikm);
    else
        memcpy(ikm, secret->key, sizeof ikm);
    struct slice key = slice_of(ikm, sizeof ikm);
    if (e == ERR_OK)
        e = hkdf_sha256(key, salt, slice_str("yore/1/slot/commit"), ret_keys->commit, sizeof ret_keys->commit);
    if (e == ERR_OK)
        e = hkdf_sha256(key, salt, slice_str("yore/1/slot/kek"), ret_keys->wrap, sizeof ret_keys->wrap);
    secret_wipe(ikm, sizeof ikm);
    return e;
}

/* A zero nonce is fine: the wrapping key comes from a fresh salt and seals this one message. */
static const uint8_t no_nonce[AEAD_NONCE_BYTES];

static enum err seal_with(const struct slot_keys *keys, const struct uid *store, enum slot_kind kind, unsigned log2_n,
                          const char *label, const uint8_t salt[SALT_BYTES], const uint8_t keyring_key[32],
                          struct buf *ret_object)
{
    uint8_t sealed[KEY_BYTES + AEAD_TAG_BYTES];
    AUTO(buf) object = BUF_EMPTY;
    TRY(slot_begin(store, kind, log2_n, label, salt, keys->commit, &object));
    TRY(aead_seal(keys->wrap, no_nonce, buf_slice(&object), slice_of(keyring_key, KEY_BYTES), sealed));
    buf_put(&object, sealed, sizeof sealed);
    TRY(slot_end(&object));
    buf_move(ret_object, &object);
    return ERR_OK;
}

enum err slot_seal(const struct uid *store, const struct slot_secret *secret, unsigned log2_n, const char *label,
                   const uint8_t keyring_key[32], struct buf *ret_object)
{
    if (secret->kind == SLOT_RECOVERY) {
        struct x25519_pair pair;
        TRY(x25519_from_secret(secret->key, &pair));
        secret_wipe(pair.secret, sizeof pair.secret);
        return slot_seal_recovery(store, pair.public, label, keyring_key, ret_object);
    }
    if (secret->kind == SLOT_PASSPHRASE && (log2_n < 15 || log2_n > 21))
        return err_set(ERR_INVALID, "a slot's scrypt cost is 2^15 to 2^21, not 2^%u", log2_n);
    uint8_t salt[SALT_BYTES];
    rand_bytes(salt, sizeof salt);
    struct slot_keys keys;
    TRY(keys_derive(secret, log2_n, SCRYPT_R, SCRYPT_P, slice_of(salt, sizeof salt), &keys));
    enum err e = seal_with(&keys, store, secret->kind, log2_n, label, salt, keyring_key, ret_object);
    secret_wipe(&keys, sizeof keys);
    return e;
}

static enum err recovery_info(const struct uid *store, struct buf *ret_info)
{
    buf_put_slice(ret_info, slice_str("yore/1/slot/recovery"));
    buf_put(ret_info, store->bytes, sizeof store->bytes);
    return buf_check(ret_info);
}

enum err slot_seal_recovery(const struct uid *store, const uint8_t recovery_public[32], const char *label,
                            const uint8_t keyring_key[32], struct buf *ret_object)
{
    uint8_t salt[SALT_BYTES], sealed[KEY_BYTES + HPKE_OVERHEAD_BYTES];
    rand_bytes(salt, sizeof salt);
    AUTO(buf) object = BUF_EMPTY, info = BUF_EMPTY;
    TRY(slot_begin(store, SLOT_RECOVERY, 0, label, salt, recovery_public, &object));
    TRY(recovery_info(store, &info));
    TRY(hpke_seal(recovery_public, buf_slice(&info), buf_slice(&object), slice_of(keyring_key, KEY_BYTES), sealed));
    buf_put(&object, sealed, sizeof sealed);
    TRY(slot_end(&object));
    buf_move(ret_object, &object);
    return ERR_OK;
}

/* ---- from bytes ---- */

/* The last 32 bytes are the SHA-256 of all before. */
static bool digest_fits(struct slice object)
{
    uint8_t digest[SHA256_BYTES];
    if (object.len < sizeof digest)
        return false;
    struct slice before = slice_of(object.data, object.len - sizeof digest);
    sha256_of(before, digest);
    return memcmp(digest, object.data + before.len, sizeof digest) == 0;
}

static bool costs_fit(const struct slot *slot)
{
    if (slot->info.kind != SLOT_PASSPHRASE)
        return slot->log2_n == 0 && slot->r == 0 && slot->p == 0;
    /* Memory as scrypt_derive bounds it, so that a slot that parses can be tried. */
    return slot->log2_n >= 15 && slot->log2_n <= 21 && slot->r >= 1 && slot->r <= 16 && slot->p >= 1 && slot->p <= 4 &&
           UINT64_C(128) * slot->r << slot->log2_n <= UINT64_C(1) << 31;
}

static enum err label_take(struct slice fields, struct slot_info *info)
{
    struct cursor block = cursor_of(fields);
    struct field field;
    uint64_t seen = 0;
    info->label[0] = 0;
    while (fields_next(&block, &field)) {
        if (field.number != 1) {
            TRY(fields_unknown(&field, "a slot"));
            continue;
        }
        TRY(field_once(&field, "a slot", &seen));
        TRY(label_check(field.value, ERR_CORRUPT));
        if (field.value.len > 0)
            memcpy(info->label, field.value.data, field.value.len);
        info->label[field.value.len] = 0;
    }
    return ERR_OK;
}

static enum err slot_read(struct slice object, struct slot *ret_slot)
{
    static const char what[] = "a key slot";
    if (object.len > RECORD_MAX_BYTES || !digest_fits(object))
        return err_set(ERR_CORRUPT, "%s is damaged: its checksum does not fit", what);
    object.len -= SHA256_BYTES;
    struct cursor c = cursor_of(object);
    struct slot slot = {0};
    struct slice found = cursor_take(&c, sizeof magic);
    TRY(cursor_check(&c, what));
    if (memcmp(found.data, magic, sizeof magic) != 0)
        return err_set(ERR_CORRUPT, "this is no key slot: it begins otherwise");
    uint16_t version = cursor_u16(&c);
    if (!c.bad && version > FORMAT_VERSION)
        return err_set(ERR_UNSUPPORTED, "%s has version %u: a newer version wrote it", what, version);
    cursor_require(&c, version == FORMAT_VERSION);
    uint8_t kind = cursor_u8(&c);
    cursor_require(&c, kind >= SLOT_PASSPHRASE && kind <= SLOT_RECOVERY);
    slot.info.kind = (enum slot_kind)kind;
    slot.log2_n = cursor_u8(&c);
    slot.r = cursor_u32(&c);
    slot.p = cursor_u32(&c);
    cursor_require(&c, cursor_u32(&c) == 0);
    cursor_copy(&c, slot.info.store.bytes, sizeof slot.info.store.bytes);
    slot.info.made_secs = cursor_i64(&c);
    slot.salt = cursor_take(&c, SALT_BYTES);
    slot.proof = cursor_take(&c, 32);
    struct slice fields = fields_take(&c, RECORD_MAX_BYTES);
    TRY(cursor_check(&c, what));
    slot.before = slice_of(object.data, (size_t)(c.at - object.data));
    slot.sealed = cursor_take(&c, KEY_BYTES + (size_t)(kind == SLOT_RECOVERY ? HPKE_OVERHEAD_BYTES : AEAD_TAG_BYTES));
    TRY(cursor_finish(&c, what));
    if (!costs_fit(&slot))
        return err_set(ERR_CORRUPT, "%s asks for scrypt with N 2^%u, r %u, p %u: out of bounds", what, slot.log2_n, slot.r,
                       slot.p);
    TRY(label_take(fields, &slot.info));
    if (kind == SLOT_RECOVERY)
        memcpy(slot.info.recovery_public, slot.proof.data, sizeof slot.info.recovery_public);
    *ret_slot = slot;
    return ERR_OK;
}

enum err slot_parse(struct slice object, struct slot_info *ret_info)
{
    struct slot slot;
    TRY(slot_read(object, &slot));
    *ret_info = slot.info;
    return ERR_OK;
}

/* Behind a commitment that fits, a key that does not open is damage: nobody mistypes a passphrase like that. */
static enum err damaged_if_forged(enum err e)
{
    return e == ERR_AUTH ? err_set(ERR_CORRUPT, "a key slot is damaged: the secret is right, but the key in it does not open") : e;
}

static enum err open_by_secret(const struct slot *slot, const struct slot_secret *secret, uint8_t ret_keyring_key[32])
{
    struct slot_keys keys;
    TRY(keys_derive(secret, slot->log2_n, slot->r, slot->p, slot->salt, &keys));
    enum err e;
    if (secret_equal(keys.commit, slot->proof.data, sizeof keys.commit))
        e = damaged_if_forged(aead_open(keys.wrap, no_nonce, slot->before, slot->sealed, ret_keyring_key));
    else
        e = err_set(ERR_DENIED, secret->kind == SLOT_PASSPHRASE ? "wrong passphrase" : "this is not the key file of this slot");
    secret_wipe(&keys, sizeof keys);
    return e;
}

static enum err open_by_recovery(const struct slot *slot, const struct slot_secret *secret, uint8_t ret_keyring_key[32])
{
    struct x25519_pair pair;
    AUTO(buf) info = BUF_EMPTY;
    TRY(recovery_info(&slot->info.store, &info));
    TRY(x25519_from_secret(secret->key, &pair));
    enum err e;
    if (secret_equal(pair.public, slot->proof.data, sizeof pair.public))
        e = damaged_if_forged(hpke_open(&pair, buf_slice(&info), slot->before, slot->sealed, ret_keyring_key));
    else
        e = err_set(ERR_DENIED, "this is not the recovery key of this slot");
    secret_wipe(&pair, sizeof pair);
    return e;
}

enum err slot_open(struct slice object, const struct uid *store, const struct slot_secret *secret, uint8_t ret_keyring_key[32])
{
    struct slot slot;
    TRY(slot_read(object, &slot));
    if (memcmp(&slot.info.store, store, sizeof *store) != 0)
        return err_set(ERR_INVALID, "this key slot is of another store (%s)", hex_short(slot.info.store.bytes).text);
    if (slot.info.kind != secret->kind)
        return err_set(ERR_DENIED, "this key slot takes another kind of secret");
    return secret->kind == SLOT_RECOVERY ? open_by_recovery(&slot, secret, ret_keyring_key)
                                         : open_by_secret(&slot, secret, ret_keyring_key);
}
