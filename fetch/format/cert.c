/*
 * cert: what a key may do, said by an admin.
 *
 * Source: docs/format.md section 5.2.
 */
#include "fetch/format/record.h"

enum { FIELD_KEY = 1, FIELD_ROLES, FIELD_NOT_AFTER, FIELD_DOMAIN, FIELD_SERVICE, FIELD_HOLDER };

static const char what[] = "a certificate";

enum err cert_encode(const struct cert *cert, const uint32_t *domains, size_t domain_count, const char *const *services,
                     size_t service_count, struct buf *ret_fields)
{
    AUTO(buf) fields = BUF_EMPTY, not_after = BUF_EMPTY;
    fields_put(&fields, FIELD_KEY, true, slice_of(cert->public_key, sizeof cert->public_key));
    fields_put_varint(&fields, FIELD_ROLES, true, cert->roles);
    buf_put_i64(&not_after, cert->not_after_secs);
    TRY(buf_check(&not_after));
    fields_put(&fields, FIELD_NOT_AFTER, true, buf_slice(&not_after));
    for (size_t i = 0; i < domain_count; i++) {
        AUTO(buf) domain = BUF_EMPTY;
        buf_put_u32(&domain, domains[i]);
        TRY(buf_check(&domain));
        fields_put(&fields, FIELD_DOMAIN, true, buf_slice(&domain));
    }
    for (size_t i = 0; i < service_count; i++)
        fields_put(&fields, FIELD_SERVICE, true, slice_str(services[i]));
    fields_put(&fields, FIELD_HOLDER, false, slice_str(cert->holder));
    TRY(buf_check(&fields));
    buf_move(ret_fields, &fields);
    return ERR_OK;
}

static enum err take_i64(const struct field *field, int64_t *ret_number)
{
    struct cursor c = cursor_of(field->value);
    *ret_number = cursor_i64(&c);
    return cursor_finish(&c, "a time in a certificate");
}

static enum err take_holder(const struct field *field, struct cert *cert)
{
    struct slice name = field->value;
    if (name.len >= sizeof cert->holder || memchr(name.data, 0, name.len) || !text_is_utf8(name))
        return err_set(ERR_CORRUPT, "%s has a malformed holder", what);
    memcpy(cert->holder, name.data, name.len);
    cert->holder[name.len] = 0;
    return ERR_OK;
}

static enum err take_field(const struct field *field, struct cert *cert)
{
    uint64_t roles;
    switch (field->number) {
    case FIELD_KEY:
        return field_fixed(field, what, cert->public_key, sizeof cert->public_key);
    case FIELD_ROLES:
        TRY(field_varint(field, what, &roles));
        cert->roles = (uint32_t)roles;
        return roles <= UINT32_MAX ? ERR_OK : err_set(ERR_CORRUPT, "the roles in %s are no set of roles", what);
    case FIELD_NOT_AFTER:
        return take_i64(field, &cert->not_after_secs);
    case FIELD_DOMAIN:
        return field->value.len == 4 ? ERR_OK : err_set(ERR_CORRUPT, "%s has a malformed domain", what);
    case FIELD_SERVICE: /* cert_allows reads them */
        return ERR_OK;
    case FIELD_HOLDER:
        return take_holder(field, cert);
    default:
        return fields_unknown(field, what);
    }
}

enum err cert_decode(struct slice fields, struct cert *ret_cert)
{
    if (!fields_valid(fields))
        return err_set(ERR_CORRUPT, "%s is cut short or malformed", what);
    struct cert cert = {0};
    struct cursor c = cursor_of(fields);
    struct field field;
    uint64_t seen = 0;
    while (fields_next(&c, &field)) {
        if (field.number <= FIELD_HOLDER && field.number != FIELD_DOMAIN && field.number != FIELD_SERVICE)
            TRY(field_once(&field, what, &seen));
        TRY(take_field(&field, &cert));
    }
    /* Without "not after" we would take it for one that never ends: what does not say so is not one. */
    uint64_t needed = 1 << FIELD_KEY | 1 << FIELD_ROLES | 1 << FIELD_NOT_AFTER;
    if ((seen & needed) != needed)
        return err_set(ERR_CORRUPT, "%s lacks a field", what);
    *ret_cert = cert;
    return ERR_OK;
}

/* Does the text fit the pattern? '*' stands for any characters. Going back to the last '*' only is enough: an earlier one could
 * not match more than that one can. */
static bool pattern_fits(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.len && pattern.data[p] == text.data[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}

enum err cert_allows(struct slice fields, uint32_t domain, const char *service, int64_t at_secs)
{
    struct cert cert;
    TRY(cert_decode(fields, &cert));
    AUTO(buf) holder = BUF_EMPTY;
    TRY(text_escape(slice_str(cert.holder), &holder));
    const char *who = (const char *)holder.data;
    if (!(cert.roles & ROLE_WRITER))
        return err_set(ERR_AUTH, "the certificate of '%s' is not a writer's", who);
    if (cert.not_after_secs != 0 && at_secs > cert.not_after_secs)
        return err_set(ERR_AUTH, "the certificate of '%s' had ended", who);
    bool domain_named = false, service_named = false;
    struct cursor c = cursor_of(fields);
    struct field field;
    while (fields_next(&c, &field)) {
        struct cursor value = cursor_of(field.value);
        if (field.number == FIELD_DOMAIN)
            domain_named |= cursor_u32(&value) == domain;
        if (field.number == FIELD_SERVICE)
            service_named |= pattern_fits(field.value, slice_str(service));
    }
    if (!domain_named)
        return err_set(ERR_AUTH, "the certificate of '%s' is not for domain %u", who, domain);
    if (!service_named)
        return err_set(ERR_AUTH, "the certificate of '%s' is not for the service '%s'", who, service);
    return ERR_OK;
}
