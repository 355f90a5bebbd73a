/*
 * fields: tagged fields with a critical bit, the room to grow of every object.
 *
 * Source: docs/format.md section 2.
 */
#pragma once

#include "fetch/base/bytes.h"

/* Writing: fields_put for each in ascending order, into a buf that holds only fields; then fields_seal appends the total
 * length and them to an object. */
void fields_put(struct buf *fields, uint32_t number, bool critical, struct slice value);
void fields_put_varint(struct buf *fields, uint32_t number, bool critical, uint64_t value);
void fields_seal(struct buf *object, const struct buf *fields);

/* Reading. */
struct field {
    uint32_t number;
    bool critical;
    struct slice value;
};

/* Take the length-prefixed block off the cursor: its inside, to be walked with fields_next. Checked as a whole here
 * (fields_valid), so that a walk cannot meet a malformed field half-way. Over max_bytes, cut short or not valid: c is bad. */
struct slice fields_take(struct cursor *c, size_t max_bytes);

/* Is this the inside of a block: whole fields, numbers ascending or repeated, to the last byte? For blocks that do not come
 * from fields_take. */
bool fields_valid(struct slice block);

/* The next field of a valid block (struct cursor c = cursor_of(block)); false at the end, or when bad (c->bad tells). Whether a
 * number may repeat is for the caller to say: it alone knows which fields are lists. */
bool fields_next(struct cursor *block, struct field *ret_field);

/* ERR_CORRUPT "WHAT has field N twice" unless *seen, a set of the numbers 0 to 63, has not got this one; then puts it in.
 * For fields that must not repeat. */
enum err field_once(const struct field *field, const char *what, uint64_t *seen);

/* For a default: branch: ERR_OK for an ignorable unknown field, ERR_UNSUPPORTED "WHAT has field N..." for a critical one. */
enum err fields_unknown(const struct field *field, const char *what);

/* A value that is one varint, or fixed bytes; ERR_CORRUPT otherwise. */
enum err field_varint(const struct field *field, const char *what, uint64_t *ret_value);
enum err field_fixed(const struct field *field, const char *what, void *ret_bytes, size_t len);

/* A whole block in which no field is defined: refuses critical ones only. */
enum err fields_skip(struct cursor *c, const char *what);
