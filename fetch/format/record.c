#include "fetch/format/record.h"

static const char magic[8] = {'Y', 'O', 'R', 'E', 'R', 'E', 'C', 'D'};

enum { RECORD_HEAD_BYTES = 96 };

/* What is signed: its kind, so that no signature of ours can stand for another, then the object up to the signature. */
static enum err signed_bytes(struct slice object, struct buf *ret_bytes)
{
    static const char kind[] = "yore/1/record"; /* with its \0 */
    buf_put(ret_bytes, kind, sizeof kind);
    buf_put(ret_bytes, object.data, object.len - SIGN_BYTES);
    return buf_check(ret_bytes);
}

enum err record_seal(const struct record *head, const struct buf *fields, const struct sign_pair *signer, struct buf *ret_object)
{
    struct uid key_id = key_id_of(signer->public);
    AUTO(buf) object = BUF_EMPTY, to_sign = BUF_EMPTY;
    buf_put(&object, magic, sizeof magic);
    buf_put_u16(&object, FORMAT_VERSION);
    buf_put_u8(&object, (uint8_t)head->type);
    buf_put_u8(&object, 0);
    buf_put_u32(&object, head->domain);
    buf_put(&object, head->store.bytes, sizeof head->store.bytes);
    buf_put_u64(&object, head->number);
    buf_put(&object, head->previous.bytes, sizeof head->previous.bytes);
    buf_put(&object, key_id.bytes, sizeof key_id.bytes);
    buf_put_i64(&object, head->signed_secs);
    fields_seal(&object, fields);
    buf_put_zeros(&object, SIGN_BYTES);
    TRY(buf_check(&object));
    if (object.len > RECORD_MAX_BYTES)
        return err_set(ERR_INVALID, "a record of %zu bytes is too large: at most %d", object.len, RECORD_MAX_BYTES);
    TRY(signed_bytes(buf_slice(&object), &to_sign));
    TRY(sign_make(signer, buf_slice(&to_sign), object.data + object.len - SIGN_BYTES));
    buf_move(ret_object, &object);
    return ERR_OK;
}

enum err record_parse(struct slice object, struct record *ret_record)
{
    static const char what[] = "a signed record";
    if (object.len > RECORD_MAX_BYTES)
        return err_set(ERR_CORRUPT, "%s of %zu bytes is too large", what, object.len);
    struct cursor c = cursor_of(object);
    struct slice found = cursor_take(&c, sizeof magic);
    TRY(cursor_check(&c, what));
    if (memcmp(found.data, magic, sizeof magic) != 0)
        return err_set(ERR_CORRUPT, "this is no signed record: it begins otherwise");
    uint16_t version = cursor_u16(&c);
    if (!c.bad && version > FORMAT_VERSION)
        return err_set(ERR_UNSUPPORTED, "a signed record has version %u: a newer version wrote it", version);
    cursor_require(&c, version == FORMAT_VERSION);

    struct record record;
    uint8_t type = cursor_u8(&c);
    cursor_require(&c, type >= RECORD_CONFIG && type <= RECORD_AUDIT);
    cursor_require(&c, cursor_u8(&c) == 0);
    record.type = (enum record_type)type;
    record.domain = cursor_u32(&c);
    cursor_copy(&c, record.store.bytes, sizeof record.store.bytes);
    record.number = cursor_u64(&c);
    cursor_copy(&c, record.previous.bytes, sizeof record.previous.bytes);
    cursor_copy(&c, record.signer.bytes, sizeof record.signer.bytes);
    record.signed_secs = cursor_i64(&c);
    record.fields = fields_take(&c, RECORD_MAX_BYTES);
    cursor_take(&c, SIGN_BYTES);
    TRY(cursor_finish(&c, what));
    *ret_record = record;
    return ERR_OK;
}

enum err record_verify(struct slice object, const uint8_t signer_public[32])
{
    struct record record;
    TRY(record_parse(object, &record));
    struct uid key_id = key_id_of(signer_public);
    if (memcmp(&key_id, &record.signer, sizeof key_id) != 0)
        return err_set(ERR_AUTH, "the record was signed by %s, not by %s", hex_short(record.signer.bytes).text,
                       hex_short(key_id.bytes).text);
    AUTO(buf) bytes = BUF_EMPTY;
    TRY(signed_bytes(object, &bytes));
    return err_add(sign_check(signer_public, buf_slice(&bytes), object.data + object.len - SIGN_BYTES),
                   "a record signed by %s", hex_short(key_id.bytes).text);
}
