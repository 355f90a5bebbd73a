#include "fetch/format/fields.h"

#include <assert.h>

void fields_put(struct buf *fields, uint32_t number, bool critical, struct slice value)
{
    buf_put_varint(fields, (uint64_t)number << 1 | critical);
    buf_put_bytes(fields, value);
}

void fields_put_varint(struct buf *fields, uint32_t number, bool critical, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (uint8_t)(value | 0x80);
    bytes[len++] = (uint8_t)value;
    fields_put(fields, number, critical, slice_of(bytes, len));
}

void fields_seal(struct buf *object, const struct buf *fields)
{
    assert(fields->failed || fields_valid(buf_slice(fields))); /* the writer puts them in order */
    if (fields->failed)
        object->failed = true;
    buf_put_bytes(object, buf_slice(fields));
}

struct slice fields_take(struct cursor *c, size_t max_bytes)
{
    struct slice block = cursor_bytes(c, max_bytes);
    if (c->bad || !fields_valid(block)) {
        c->bad = true;
        return SLICE_EMPTY;
    }
    return block;
}

bool fields_valid(struct slice block)
{
    struct cursor c = cursor_of(block);
    struct field field;
    for (uint32_t last = 0; fields_next(&c, &field); last = field.number)
        if (field.number < last)
            return false;
    return !c.bad;
}

bool fields_next(struct cursor *block, struct field *ret_field)
{
    if (cursor_left(block) == 0)
        return false;
    uint64_t key = cursor_varint_max(block, (uint64_t)UINT32_MAX << 1 | 1);
    *ret_field = (struct field){
        .number = (uint32_t)(key >> 1),
        .critical = key & 1,
        .value = cursor_bytes(block, cursor_left(block)),
    };
    return !block->bad;
}

enum err field_once(const struct field *field, const char *what, uint64_t *seen)
{
    assert(field->number < 64);
    uint64_t bit = UINT64_C(1) << field->number;
    if (*seen & bit)
        return err_set(ERR_CORRUPT, "%s has field %u twice", what, field->number);
    *seen |= bit;
    return ERR_OK;
}

enum err fields_unknown(const struct field *field, const char *what)
{
    if (!field->critical)
        return ERR_OK;
    return err_set(ERR_UNSUPPORTED, "%s has field %u, which this version does not know: a newer version wrote it", what,
                   field->number);
}

enum err field_varint(const struct field *field, const char *what, uint64_t *ret_value)
{
    struct cursor c = cursor_of(field->value);
    uint64_t value = cursor_varint(&c);
    if (cursor_finish(&c, what) != ERR_OK)
        return err_set(ERR_CORRUPT, "field %u of %s is no number", field->number, what);
    *ret_value = value;
    return ERR_OK;
}

enum err field_fixed(const struct field *field, const char *what, void *ret_bytes, size_t len)
{
    if (field->value.len != len)
        return err_set(ERR_CORRUPT, "field %u of %s has %zu bytes instead of %zu", field->number, what, field->value.len, len);
    if (len > 0)
        memcpy(ret_bytes, field->value.data, len);
    return ERR_OK;
}

enum err fields_skip(struct cursor *c, const char *what)
{
    struct cursor block = cursor_of(fields_take(c, cursor_left(c)));
    TRY(cursor_check(c, what));
    struct field field;
    while (fields_next(&block, &field))
        TRY(fields_unknown(&field, what));
    return cursor_check(&block, what);
}
