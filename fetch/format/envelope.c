#include "fetch/format/envelope.h"

#include <stdlib.h>

#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/xaes.h"

enum { ENVELOPE_HEAD_BYTES = 68, NONCE_OFFSET = 40, ENVELOPE_PAD_BYTES = 256 };

enum field_number {
    FIELD_SERVICE = 1, FIELD_KIND, FIELD_WRITER, FIELD_HOST, FIELD_HOST_NAME, FIELD_NUMBER, FIELD_HEADS, FIELD_SESSION, FIELD_TIME,
    FIELD_FINISHED, FIELD_FLAGS, FIELD_LABEL, FIELD_TOTALS, FIELD_ROOT, FIELD_PART, FIELD_VERSION, FIELD_PADDING = 31,
};

void envelope_clear(struct envelope *e)
{
    free(e->heads);
    for (size_t i = 0; i < e->label_count; i++)
        free(e->labels[i]);
    free(e->labels);
    free(e->parts);
    *e = (struct envelope){0};
}

/* ---- writing ---- */

static void put_time(struct buf *fields, uint32_t number, struct timestamp t)
{
    AUTO(buf) value = BUF_EMPTY;
    buf_put_zigzag(&value, t.secs);
    buf_put_varint(&value, t.nanos);
    fields_put(fields, number, true, buf_slice(&value));
    fields->failed |= value.failed;
}

static void put_totals(struct buf *fields, const struct totals *t)
{
    AUTO(buf) value = BUF_EMPTY;
    buf_put_varint(&value, t->nodes);
    buf_put_varint(&value, t->files);
    buf_put_varint(&value, t->dirs);
    buf_put_varint(&value, t->bytes);
    buf_put_varint(&value, t->new_bytes);
    buf_put_varint(&value, t->stored_bytes);
    buf_put_varint(&value, t->left_out);
    fields_put(fields, FIELD_TOTALS, false, buf_slice(&value));
    fields->failed |= value.failed;
}

static void put_part(struct buf *fields, const struct envelope_part *part)
{
    AUTO(buf) value = BUF_EMPTY;
    buf_put_bytes(&value, slice_str(part->name));
    buf_put_bytes(&value, slice_str(part->kind));
    fields_put(fields, FIELD_PART, true, buf_slice(&value));
    fields->failed |= value.failed;
}

/* Pad so that the sealed block is a multiple of 256 bytes: a service's name length should not show in the bucket. The field's own
 * key and length, and the block's length prefix, take 2 to 7 bytes; try until it comes out even. */
static void put_padding(struct buf *fields)
{
    for (size_t zeros = 0; zeros < 2 * ENVELOPE_PAD_BYTES && !fields->failed; zeros++) {
        AUTO(buf) trial = BUF_EMPTY, value = BUF_EMPTY, whole = BUF_EMPTY;
        buf_put_slice(&trial, buf_slice(fields));
        buf_put_zeros(&value, zeros);
        fields_put(&trial, FIELD_PADDING, false, buf_slice(&value));
        fields_seal(&whole, &trial);
        fields->failed |= trial.failed || whole.failed || value.failed;
        if (whole.len % ENVELOPE_PAD_BYTES == 0) {
            fields_put(fields, FIELD_PADDING, false, buf_slice(&value));
            return;
        }
    }
}

static void fields_encode(const struct envelope *e, struct buf *fields)
{
    fields_put(fields, FIELD_SERVICE, true, slice_str(e->service));
    fields_put(fields, FIELD_KIND, true, slice_str(e->kind));
    fields_put(fields, FIELD_WRITER, true, slice_of(e->writer.bytes, 16));
    fields_put(fields, FIELD_HOST, true, slice_of(e->host.bytes, 16));
    fields_put(fields, FIELD_HOST_NAME, false, slice_str(e->host_name));
    fields_put_varint(fields, FIELD_NUMBER, true, e->number);
    fields_put(fields, FIELD_HEADS, true, slice_of(e->heads, e->head_count * sizeof *e->heads));
    fields_put(fields, FIELD_SESSION, true, slice_of(e->session.bytes, 16));
    put_time(fields, FIELD_TIME, e->time);
    put_time(fields, FIELD_FINISHED, e->finished);
    fields_put_varint(fields, FIELD_FLAGS, true, e->flags);
    for (size_t i = 0; i < e->label_count; i++)
        fields_put(fields, FIELD_LABEL, false, slice_str(e->labels[i]));
    put_totals(fields, &e->totals);
    fields_put(fields, FIELD_ROOT, true, slice_of(e->root.bytes, 32));
    for (size_t i = 0; i < e->part_count; i++)
        put_part(fields, &e->parts[i]);
    fields_put(fields, FIELD_VERSION, false, slice_str(e->version));
    put_padding(fields);
}

static void signed_bytes(struct slice head, struct slice fields_block, struct buf *out)
{
    buf_put(out, "yore/1/envelope", 16); /* with its end mark */
    buf_put_slice(out, head);
    buf_put_slice(out, fields_block);
}

enum err envelope_seal(const struct keyring *keys, const struct envelope *e, struct buf *ret_object, struct hash *ret_sha256)
{
    const struct domain_keys *domain;
    TRY(keyring_find_domain(keys, e->domain, &domain));
    if (!keys->has_signing)
        return err_set(ERR_NO_KEY, "these keys may not write: no signing key");
    AUTO(buf) fields = BUF_EMPTY, plain = BUF_EMPTY, object = BUF_EMPTY, claim = BUF_EMPTY;
    fields_encode(e, &fields);
    fields_seal(&plain, &fields);
    TRY(buf_check(&fields));
    TRY(buf_check(&plain));

    uint8_t nonce[24], signature[64];
    rand_bytes(nonce, sizeof nonce);
    size_t rest = plain.len + sizeof signature + AEAD_TAG_BYTES;
    buf_put(&object, "YORESNAP", 8);
    buf_put_u16(&object, FORMAT_VERSION);
    buf_put_u16(&object, 1);
    buf_put_u32(&object, e->domain);
    buf_put(&object, keys->store.bytes, 16);
    buf_put_u64(&object, 0);
    buf_put(&object, nonce, sizeof nonce);
    buf_put_u32(&object, (uint32_t)rest);
    TRY(buf_check(&object));

    signed_bytes(buf_slice(&object), buf_slice(&plain), &claim);
    TRY(buf_check(&claim));
    TRY(sign_make(&keys->signing, buf_slice(&claim), signature));
    buf_put(&plain, signature, sizeof signature);
    TRY(buf_check(&plain));
    TRY(buf_reserve(&object, object.len + rest));
    TRY(xaes_seal(domain->envelope_key, nonce, buf_slice(&object), buf_slice(&plain), object.data + object.len));
    object.len += rest;
    sha256_of(buf_slice(&object), ret_sha256->bytes);
    buf_move(ret_object, &object);
    return ERR_OK;
}

/* ---- reading ---- */

/* A field that is text for people: copied, at most cap - 1 bytes, no zero byte inside. */
static enum err copy_text(const struct field *f, char *to, size_t cap)
{
    if (f->value.len >= cap || memchr(f->value.data, 0, f->value.len))
        return err_set(ERR_CORRUPT, "envelope field %u is no proper text", f->number);
    memcpy(to, f->value.data, f->value.len);
    to[f->value.len] = 0;
    return ERR_OK;
}

static enum err read_time(const struct field *f, struct timestamp *ret_time)
{
    struct cursor c = cursor_of(f->value);
    ret_time->secs = cursor_zigzag(&c);
    ret_time->nanos = (uint32_t)cursor_varint_max(&c, 999999999);
    return cursor_finish(&c, "envelope time");
}

static enum err read_totals(const struct field *f, struct totals *t)
{
    struct cursor c = cursor_of(f->value);
    t->nodes = cursor_varint(&c);
    t->files = cursor_varint(&c);
    t->dirs = cursor_varint(&c);
    t->bytes = cursor_varint(&c);
    t->new_bytes = cursor_varint(&c);
    t->stored_bytes = cursor_varint(&c);
    t->left_out = cursor_varint(&c);
    return cursor_finish(&c, "envelope totals");
}

static enum err read_heads(const struct field *f, struct envelope *e)
{
    if (f->value.len % sizeof *e->heads || f->value.len / sizeof *e->heads > ENVELOPE_MAX_HEADS || e->heads)
        return err_set(ERR_CORRUPT, "envelope with %zu bytes of heads", f->value.len);
    e->heads = malloc(f->value.len + 1);
    if (!e->heads)
        return err_set(ERR_NOMEM, "no memory for heads");
    if (f->value.len)
        memcpy(e->heads, f->value.data, f->value.len);
    e->head_count = f->value.len / sizeof *e->heads;
    return ERR_OK;
}

static enum err read_label(const struct field *f, struct envelope *e)
{
    char text[256];
    TRY(copy_text(f, text, sizeof text));
    if (e->label_count >= ENVELOPE_MAX_LABELS)
        return err_set(ERR_CORRUPT, "envelope with too many labels");
    if (!e->labels)
        e->labels = calloc(ENVELOPE_MAX_LABELS, sizeof *e->labels);
    char *copy = e->labels ? strdup(text) : NULL;
    if (!copy)
        return err_set(ERR_NOMEM, "no memory for labels");
    e->labels[e->label_count++] = copy;
    return ERR_OK;
}

static enum err read_part(const struct field *f, struct envelope *e)
{
    if (e->part_count >= ENVELOPE_MAX_PARTS)
        return err_set(ERR_CORRUPT, "envelope with too many parts");
    if (!e->parts)
        e->parts = calloc(ENVELOPE_MAX_PARTS, sizeof *e->parts);
    if (!e->parts)
        return err_set(ERR_NOMEM, "no memory for parts");
    struct envelope_part *part = &e->parts[e->part_count++];
    struct cursor c = cursor_of(f->value);
    struct field name = {.number = f->number, .value = cursor_bytes(&c, sizeof part->name - 1)};
    struct field kind = {.number = f->number, .value = cursor_bytes(&c, sizeof part->kind - 1)};
    TRY(cursor_finish(&c, "envelope part"));
    TRY(copy_text(&name, part->name, sizeof part->name));
    return copy_text(&kind, part->kind, sizeof part->kind);
}

static enum err read_field(const struct field *f, struct envelope *e)
{
    uint64_t flags;
    switch (f->number) {
    case FIELD_SERVICE:
        return copy_text(f, e->service, sizeof e->service);
    case FIELD_KIND:
        return copy_text(f, e->kind, sizeof e->kind);
    case FIELD_WRITER:
        return field_fixed(f, "envelope writer", e->writer.bytes, 16);
    case FIELD_HOST:
        return field_fixed(f, "envelope host", e->host.bytes, 16);
    case FIELD_HOST_NAME:
        return copy_text(f, e->host_name, sizeof e->host_name);
    case FIELD_NUMBER:
        return field_varint(f, "envelope number", &e->number);
    case FIELD_HEADS:
        return read_heads(f, e);
    case FIELD_SESSION:
        return field_fixed(f, "envelope session", e->session.bytes, 16);
    case FIELD_TIME:
        return read_time(f, &e->time);
    case FIELD_FINISHED:
        return read_time(f, &e->finished);
    case FIELD_FLAGS:
        TRY(field_varint(f, "envelope flags", &flags));
        e->flags = (uint32_t)flags;
        return ERR_OK;
    case FIELD_LABEL:
        return read_label(f, e);
    case FIELD_TOTALS:
        return read_totals(f, &e->totals);
    case FIELD_ROOT:
        return field_fixed(f, "envelope root", e->root.bytes, 32);
    case FIELD_PART:
        return read_part(f, e);
    case FIELD_VERSION:
        return copy_text(f, e->version, sizeof e->version);
    case FIELD_PADDING:
        return ERR_OK;
    default:
        return fields_unknown(f, "envelope");
    }
}

/* The clear head of the object: domain, and the length of what follows checked. */
static enum err head_decode(const struct keyring *keys, struct slice object, uint32_t *ret_domain)
{
    struct cursor c = cursor_of(object);
    struct uid store;
    if (!slice_equal(cursor_take(&c, 8), slice_str("YORESNAP")))
        return err_set(ERR_CORRUPT, "not an envelope");
    uint16_t version = cursor_u16(&c), suite = cursor_u16(&c);
    if (!c.bad && (version != FORMAT_VERSION || suite != 1))
        return err_set(ERR_UNSUPPORTED, "an envelope of version %u, suite %u", version, suite);
    *ret_domain = cursor_u32(&c);
    cursor_copy(&c, store.bytes, 16);
    uint64_t must_know = cursor_u64(&c);
    cursor_take(&c, 24);
    uint32_t rest = cursor_u32(&c);
    TRY(cursor_check(&c, "envelope"));
    if (must_know)
        return err_set(ERR_UNSUPPORTED, "an envelope with features %llx", (unsigned long long)must_know);
    if (rest != cursor_left(&c) || rest < AEAD_TAG_BYTES + 64 + 1 || object.len > RECORD_MAX_BYTES)
        return err_set(ERR_CORRUPT, "envelope cut short, or with bytes too many");
    if (memcmp(store.bytes, keys->store.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "an envelope of another store");
    return ERR_OK;
}

enum err envelope_open(const struct keyring *keys, struct slice object, const uint8_t *writer_public, struct envelope *ret_envelope)
{
    AUTO(envelope) e = {0};
    TRY(head_decode(keys, object, &e.domain));
    const struct domain_keys *domain;
    TRY(keyring_find_domain(keys, e.domain, &domain));
    AUTO(buf) plain = BUF_EMPTY;
    struct slice head = slice_of(object.data, ENVELOPE_HEAD_BYTES);
    struct slice sealed = slice_of(object.data + ENVELOPE_HEAD_BYTES, object.len - ENVELOPE_HEAD_BYTES);
    TRY(buf_resize(&plain, sealed.len));
    enum err err = xaes_open(domain->envelope_key, object.data + NONCE_OFFSET, head, sealed, plain.data);
    if (err != ERR_OK)
        return err_add(err, "envelope");
    plain.len -= AEAD_TAG_BYTES;
    struct slice block = slice_of(plain.data, plain.len - 64);
    if (writer_public) {
        AUTO(buf) claim = BUF_EMPTY;
        signed_bytes(head, block, &claim);
        TRY(buf_check(&claim));
        err = sign_check(writer_public, buf_slice(&claim), plain.data + block.len);
        if (err != ERR_OK)
            return err_add(err, "envelope");
    }
    struct cursor c = cursor_of(block);
    struct cursor fields = cursor_of(fields_take(&c, RECORD_MAX_BYTES));
    TRY(cursor_finish(&c, "envelope"));
    struct field f;
    while (fields_next(&fields, &f))
        TRY(read_field(&f, &e));
    TRY(cursor_check(&fields, "envelope"));
    if (!e.service[0] || !e.kind[0])
        return err_set(ERR_CORRUPT, "envelope without a service or kind");
    *ret_envelope = e;
    e = (struct envelope){0};
    return ERR_OK;
}
