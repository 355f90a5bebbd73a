/*
 * yore_object: the object that makes a folder or bucket a store. Written first, never changed, read before all others.
 *
 * Source: docs/format.md section 5.1.
 */
#include "fetch/format/record.h"

static const char magic[8] = {'Y', 'O', 'R', 'E', 'S', 'T', 'O', 'R'};

enum { NOTE_KEYSTORE_IN_STORE = 1 };

static enum err signed_bytes(struct slice object, struct buf *ret_bytes)
{
    static const char kind[] = "yore/1/store"; /* with its \0 */
    buf_put(ret_bytes, kind, sizeof kind);
    buf_put(ret_bytes, object.data, object.len - SIGN_BYTES);
    return buf_check(ret_bytes);
}

enum err yore_seal(const struct store_head_object *head, const struct sign_pair *admin, struct buf *ret_object)
{
    AUTO(buf) object = BUF_EMPTY, to_sign = BUF_EMPTY, no_fields = BUF_EMPTY;
    buf_put(&object, magic, sizeof magic);
    buf_put_u16(&object, FORMAT_VERSION);
    buf_put_u8(&object, head->keystore_in_store ? NOTE_KEYSTORE_IN_STORE : 0);
    buf_put_zeros(&object, 5);
    buf_put(&object, head->store.bytes, sizeof head->store.bytes);
    buf_put_i64(&object, head->made_secs);
    buf_put_u64(&object, head->must_read);
    buf_put_u64(&object, head->must_write);
    buf_put_u64(&object, head->may_ignore);
    buf_put(&object, admin->public, sizeof admin->public);
    fields_seal(&object, &no_fields);
    buf_put_zeros(&object, SIGN_BYTES);
    TRY(buf_check(&object));
    TRY(signed_bytes(buf_slice(&object), &to_sign));
    TRY(sign_make(admin, buf_slice(&to_sign), object.data + object.len - SIGN_BYTES));
    buf_move(ret_object, &object);
    return ERR_OK;
}

enum err yore_open(struct slice object, struct store_head_object *ret_head)
{
    static const char what[] = "the 'yore' object";
    if (object.len > RECORD_MAX_BYTES)
        return err_set(ERR_CORRUPT, "%s of %zu bytes is too large", what, object.len);
    struct cursor c = cursor_of(object);
    struct slice found = cursor_take(&c, sizeof magic);
    TRY(cursor_check(&c, what));
    if (memcmp(found.data, magic, sizeof magic) != 0)
        return err_set(ERR_CORRUPT, "%s is none: it begins otherwise", what);
    uint16_t version = cursor_u16(&c);
    if (!c.bad && version > FORMAT_VERSION)
        return err_set(ERR_UNSUPPORTED, "the store has version %u: a newer version made it", version);
    cursor_require(&c, version == FORMAT_VERSION);

    struct store_head_object head;
    uint8_t notes = cursor_u8(&c), reserved = 0;
    cursor_require(&c, (notes & ~NOTE_KEYSTORE_IN_STORE) == 0);
    head.keystore_in_store = notes & NOTE_KEYSTORE_IN_STORE;
    for (size_t i = 0; i < 5; i++)
        reserved |= cursor_u8(&c);
    cursor_require(&c, reserved == 0);
    cursor_copy(&c, head.store.bytes, sizeof head.store.bytes);
    head.made_secs = cursor_i64(&c);
    head.must_read = cursor_u64(&c);
    head.must_write = cursor_u64(&c);
    head.may_ignore = cursor_u64(&c);
    cursor_copy(&c, head.first_admin, sizeof head.first_admin);
    struct slice fields = fields_take(&c, RECORD_MAX_BYTES);
    struct slice signature = cursor_take(&c, SIGN_BYTES);
    TRY(cursor_finish(&c, what));

    /* Only what is signed may claim to be newer. */
    AUTO(buf) bytes = BUF_EMPTY;
    TRY(signed_bytes(object, &bytes));
    enum err e = sign_check(head.first_admin, buf_slice(&bytes), signature.data);
    if (e != ERR_OK)
        return err_add(e, "%s", what);
    struct cursor block = cursor_of(fields);
    struct field field;
    while (fields_next(&block, &field))
        TRY(fields_unknown(&field, what));
    if (head.must_read != 0)
        return err_set(ERR_UNSUPPORTED, "the store has features (%#llx) this version cannot read: a newer version made it",
                       (unsigned long long)head.must_read);
    *ret_head = head;
    return ERR_OK;
}
