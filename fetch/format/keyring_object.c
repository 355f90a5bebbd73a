/*
 * keyring_object: a keyring as it is stored: sealed in a keystore, or as a role key file.
 *
 * Source: docs/format.md section 6.2.
 */
#include "fetch/base/hex.h"
#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/xaes.h"
#include "fetch/format/keyring_inside.h"
#include "fetch/format/slot.h"

static const char keyring_magic[8] = {'Y', 'O', 'R', 'E', 'K', 'E', 'Y', 'S'};
static const char role_magic[8] = {'Y', 'O', 'R', 'E', 'R', 'O', 'L', 'E'};

enum { KEYRING_HEAD_BYTES = 68 };

/* The keyring's fields with their total length: what is sealed. */
static enum err block_encode(const struct keyring *keys, bool rebuilt_may_read, struct buf *ret_block)
{
    AUTO_SECRET_BUF fields = BUF_EMPTY, block = BUF_EMPTY;
    TRY(keyring_encode_all(keys, rebuilt_may_read, &fields));
    TRY(buf_reserve(&block, fields.len + 10));
    fields_seal(&block, &fields);
    TRY(buf_check(&block));
    buf_move(ret_block, &block);
    return ERR_OK;
}

/* Magic, version, six reserved bytes, store id: both kinds of object begin so. */
static void head_put(const char object_magic[8], const struct uid *store, struct buf *object)
{
    buf_put(object, object_magic, 8);
    buf_put_u16(object, FORMAT_VERSION);
    buf_put_zeros(object, 6);
    buf_put(object, store->bytes, sizeof store->bytes);
}

static enum err head_take(struct cursor *c, const char object_magic[8], const char *what, struct uid *ret_store)
{
    struct slice found = cursor_take(c, 8);
    TRY(cursor_check(c, what));
    if (memcmp(found.data, object_magic, 8) != 0)
        return err_set(ERR_CORRUPT, "this is not %s: it begins otherwise", what);
    uint16_t version = cursor_u16(c);
    if (!c->bad && version > FORMAT_VERSION)
        return err_set(ERR_UNSUPPORTED, "%s has version %u: a newer version wrote it", what, version);
    cursor_require(c, version == FORMAT_VERSION);
    cursor_require(c, cursor_u16(c) == 0);
    cursor_require(c, cursor_u32(c) == 0);
    cursor_copy(c, ret_store->bytes, sizeof ret_store->bytes);
    return cursor_check(c, what);
}

/* ---- keyring-<n> ---- */

enum err keyring_seal(const struct keyring *keys, uint64_t number, const uint8_t keyring_key[32], struct buf *ret_object)
{
    AUTO_SECRET_BUF block = BUF_EMPTY;
    TRY(block_encode(keys, true, &block));
    size_t sealed_len = block.len + AEAD_TAG_BYTES;
    if (sealed_len > RECORD_MAX_BYTES - KEYRING_HEAD_BYTES)
        return err_set(ERR_INVALID, "a keyring of %zu bytes is too large: at most %d", sealed_len, RECORD_MAX_BYTES);
    uint8_t nonce[XAES_NONCE_BYTES];
    rand_bytes(nonce, sizeof nonce);
    AUTO(buf) object = BUF_EMPTY;
    head_put(keyring_magic, &keys->store, &object);
    buf_put_u64(&object, number);
    buf_put(&object, nonce, sizeof nonce);
    buf_put_u32(&object, (uint32_t)sealed_len);
    buf_put_zeros(&object, sealed_len);
    TRY(buf_check(&object));
    TRY(xaes_seal(keyring_key, nonce, slice_of(object.data, KEYRING_HEAD_BYTES), buf_slice(&block),
                  object.data + KEYRING_HEAD_BYTES));
    buf_move(ret_object, &object);
    return ERR_OK;
}

enum err keyring_open(struct slice object, const struct uid *store, uint64_t number, const uint8_t keyring_key[32],
                      struct keyring **ret_keyring)
{
    static const char what[] = "a keyring";
    if (object.len > RECORD_MAX_BYTES)
        return err_set(ERR_CORRUPT, "%s of %zu bytes is too large", what, object.len);
    struct cursor c = cursor_of(object);
    struct uid found;
    TRY(head_take(&c, keyring_magic, what, &found));
    uint64_t found_number = cursor_u64(&c);
    struct slice nonce = cursor_take(&c, XAES_NONCE_BYTES);
    uint32_t sealed_len = cursor_u32(&c);
    cursor_require(&c, sealed_len >= AEAD_TAG_BYTES);
    struct slice sealed = cursor_take(&c, sealed_len);
    TRY(cursor_finish(&c, what));
    if (memcmp(&found, store, sizeof found) != 0)
        return err_set(ERR_INVALID, "this keyring is of another store (%s)", hex_short(found.bytes).text);
    if (found_number != number)
        return err_set(ERR_CORRUPT, "keyring %llu lies under the name of keyring %llu", (unsigned long long)found_number,
                       (unsigned long long)number);

    AUTO_SECRET_BUF plain = BUF_EMPTY;
    TRY(buf_resize(&plain, sealed.len)); /* the tag's room too: never empty */
    plain.len = sealed.len - AEAD_TAG_BYTES;
    enum err e = xaes_open(keyring_key, nonce.data, slice_of(object.data, KEYRING_HEAD_BYTES), sealed, plain.data);
    if (e != ERR_OK)
        return err_add(e, "keyring %llu", (unsigned long long)number);
    struct cursor inside = cursor_of(buf_slice(&plain));
    struct slice fields = fields_take(&inside, RECORD_MAX_BYTES);
    TRY(cursor_finish(&inside, what));
    return keyring_decode(store, fields, ret_keyring);
}

/* ---- role key files ---- */

enum err role_file_seal(const struct keyring *keys, struct buf *ret_object)
{
    AUTO_SECRET_BUF block = BUF_EMPTY, object = BUF_EMPTY;
    uint8_t digest[SHA256_BYTES];
    TRY(block_encode(keys, false, &block));
    TRY(buf_reserve(&object, 32 + block.len + sizeof digest));
    head_put(role_magic, &keys->store, &object);
    buf_put_slice(&object, buf_slice(&block));
    sha256_of(buf_slice(&object), digest);
    buf_put(&object, digest, sizeof digest);
    TRY(buf_check(&object));
    buf_move(ret_object, &object);
    return ERR_OK;
}

enum err role_file_open(struct slice object, struct keyring **ret_keyring)
{
    static const char what[] = "a role key file";
    uint8_t digest[SHA256_BYTES];
    if (object.len < sizeof digest || object.len > RECORD_MAX_BYTES)
        return err_set(ERR_CORRUPT, "%s has not %zu bytes", what, object.len);
    struct slice before = slice_of(object.data, object.len - sizeof digest);
    sha256_of(before, digest);
    if (memcmp(digest, object.data + before.len, sizeof digest) != 0)
        return err_set(ERR_CORRUPT, "%s is damaged: its checksum does not fit", what);
    struct cursor c = cursor_of(before);
    struct uid store;
    TRY(head_take(&c, role_magic, what, &store));
    struct slice fields = fields_take(&c, RECORD_MAX_BYTES);
    TRY(cursor_finish(&c, what));
    return keyring_decode(&store, fields, ret_keyring);
}
