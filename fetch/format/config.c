/*
 * config: how a store cuts, frames and packs, and who its domains and admins are.
 *
 * Source: docs/format.md section 5.2; the sizes are of docs/decisions/0001-chunk-and-frame-size.md.
 */
#include "fetch/format/record.h"

enum { FIELD_CLASS = 1, FIELD_FRAME, FIELD_PACK, FIELD_DOMAIN, FIELD_ADMIN };

static const char what[] = "the store's configuration";

void config_init_default(struct config *ret_config)
{
    enum { KIB = 1024, MIB = 1024 * KIB };
    *ret_config = (struct config){
        .classes =
            {
                {CUT_WHOLE, CUT_NOT, 1, 256 * KIB, 256 * KIB},
                {CUT_FILE, CUT_BY_CONTENT, 16 * KIB, 64 * KIB, 256 * KIB},
                {CUT_STREAM, CUT_BY_CONTENT, 4 * KIB, 16 * KIB, 64 * KIB},
                {CUT_FIXED, CUT_BY_SIZE, 64 * KIB, 64 * KIB, 64 * KIB},
                {CUT_COLD, CUT_BY_CONTENT, 256 * KIB, 1 * MIB, 4 * MIB},
            },
        .class_count = 5,
        .frame_bytes = 128 * KIB,
        .pack_bytes = 32 * MIB,
    };
}

void config_clear(struct config *config)
{
    free(config->domains);
    *config = (struct config){0};
}

const struct cut_spec *config_class(const struct config *config, enum cut_class which)
{
    for (size_t i = 0; i < config->class_count; i++)
        if (config->classes[i].cut_class == which)
            return &config->classes[i];
    return NULL;
}

/* ---- to bytes ---- */

static void put_value(struct buf *fields, uint32_t number, const struct buf *value)
{
    fields_put(fields, number, true, buf_slice(value));
    fields->failed |= value->failed;
}

static void put_class(struct buf *fields, const struct cut_spec *spec)
{
    AUTO(buf) value = BUF_EMPTY;
    buf_put_u8(&value, spec->cut_class);
    buf_put_u8(&value, spec->method);
    buf_put_u32(&value, spec->min_bytes);
    buf_put_u32(&value, spec->mean_bytes);
    buf_put_u32(&value, spec->max_bytes);
    put_value(fields, FIELD_CLASS, &value);
}

static void put_u32(struct buf *fields, uint32_t number, uint32_t n)
{
    AUTO(buf) value = BUF_EMPTY;
    buf_put_u32(&value, n);
    put_value(fields, number, &value);
}

static void put_domain(struct buf *fields, const struct config_domain *domain)
{
    AUTO(buf) value = BUF_EMPTY;
    buf_put_u32(&value, domain->id);
    buf_put(&value, domain->recovery_public, sizeof domain->recovery_public);
    buf_put_u8(&value, domain->erasable);
    put_value(fields, FIELD_DOMAIN, &value);
}

enum err config_encode(const struct config *config, struct buf *ret_fields)
{
    AUTO(buf) fields = BUF_EMPTY;
    for (size_t i = 0; i < config->class_count; i++)
        put_class(&fields, &config->classes[i]);
    put_u32(&fields, FIELD_FRAME, config->frame_bytes);
    put_u32(&fields, FIELD_PACK, config->pack_bytes);
    for (size_t i = 0; i < config->domain_count; i++)
        put_domain(&fields, &config->domains[i]);
    for (size_t i = 0; i < config->admin_count; i++)
        fields_put(&fields, FIELD_ADMIN, true, slice_of(config->admins[i], sizeof config->admins[i]));
    TRY(buf_check(&fields));
    buf_move(ret_fields, &fields);
    return ERR_OK;
}

/* ---- from bytes ---- */

static enum err take_class(const struct field *field, struct config *config)
{
    struct cursor c = cursor_of(field->value);
    struct cut_spec spec = {
        .cut_class = cursor_u8(&c),
        .method = cursor_u8(&c),
        .min_bytes = cursor_u32(&c),
        .mean_bytes = cursor_u32(&c),
        .max_bytes = cursor_u32(&c),
    };
    cursor_require(&c, spec.min_bytes > 0 && spec.min_bytes <= spec.mean_bytes && spec.mean_bytes <= spec.max_bytes);
    cursor_require(&c, spec.max_bytes <= CHUNK_MAX_BYTES);
    cursor_require(&c, config->class_count < CONFIG_MAX_CLASSES && !config_class(config, spec.cut_class));
    TRY(cursor_finish(&c, "a cut class in the store's configuration"));
    config->classes[config->class_count++] = spec;
    return ERR_OK;
}

static enum err take_size(const struct field *field, uint32_t max, uint32_t *ret_bytes)
{
    struct cursor c = cursor_of(field->value);
    *ret_bytes = cursor_u32(&c);
    cursor_require(&c, *ret_bytes > 0 && *ret_bytes <= max);
    return cursor_finish(&c, "a size in the store's configuration");
}

static enum err take_domain(const struct field *field, struct config *config)
{
    struct cursor c = cursor_of(field->value);
    struct config_domain domain = {.id = cursor_u32(&c)};
    cursor_copy(&c, domain.recovery_public, sizeof domain.recovery_public);
    uint8_t erasable = cursor_u8(&c);
    domain.erasable = erasable;
    cursor_require(&c, domain.id > 0 && erasable <= 1 && config->domain_count < CONFIG_MAX_DOMAINS);
    for (size_t i = 0; i < config->domain_count; i++)
        cursor_require(&c, config->domains[i].id != domain.id);
    TRY(cursor_finish(&c, "a domain in the store's configuration"));
    struct config_domain *grown = reallocarray(config->domains, config->domain_count + 1, sizeof *grown);
    if (!grown)
        return err_set(ERR_NOMEM, "no memory for the domains of a store");
    config->domains = grown;
    config->domains[config->domain_count++] = domain;
    return ERR_OK;
}

static enum err take_admin(const struct field *field, struct config *config)
{
    if (config->admin_count == CONFIG_MAX_ADMINS)
        return err_set(ERR_CORRUPT, "%s names more than %d admins", what, CONFIG_MAX_ADMINS);
    return field_fixed(field, what, config->admins[config->admin_count++], 32);
}

static enum err take_field(const struct field *field, struct config *config)
{
    switch (field->number) {
    case FIELD_CLASS:
        return take_class(field, config);
    case FIELD_FRAME:
        return take_size(field, CHUNK_MAX_BYTES, &config->frame_bytes);
    case FIELD_PACK:
        return take_size(field, PACK_MAX_BYTES, &config->pack_bytes);
    case FIELD_DOMAIN:
        return take_domain(field, config);
    case FIELD_ADMIN:
        return take_admin(field, config);
    default:
        return fields_unknown(field, what);
    }
}

enum err config_decode(struct slice fields, struct config *ret_config)
{
    if (!fields_valid(fields))
        return err_set(ERR_CORRUPT, "%s is cut short or malformed", what);
    AUTO(config) config = {0};
    struct cursor c = cursor_of(fields);
    struct field field;
    uint64_t seen = 0;
    while (fields_next(&c, &field)) {
        if (field.number == FIELD_FRAME || field.number == FIELD_PACK)
            TRY(field_once(&field, what, &seen));
        TRY(take_field(&field, &config));
    }
    if (config.frame_bytes == 0 || config.pack_bytes == 0)
        return err_set(ERR_CORRUPT, "%s lacks its sizes", what);
    *ret_config = config;
    config = (struct config){0};
    return ERR_OK;
}
