/*
 * recovery: what the recovery key alone opens, and the recovery key on paper.
 *
 * Source: docs/format.md sections 5.2 and 6.2.
 */
#include "fetch/base/hex.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/secret.h"
#include "fetch/format/keyring_inside.h"
#include "fetch/format/record.h"

enum { FIELD_PUBLIC = 1, FIELD_DOMAIN, FIELD_ADMIN };

static const char what[] = "a recovery record";

/* What a part of the record is sealed for. */
static void domain_info(const struct uid *store, uint32_t domain, struct buf *ret_info)
{
    buf_put_slice(ret_info, slice_str("yore/1/seal/recovery"));
    buf_put(ret_info, store->bytes, sizeof store->bytes);
    buf_put_u32(ret_info, domain);
}

static void admin_info(const struct uid *store, struct buf *ret_info)
{
    buf_put_slice(ret_info, slice_str("yore/1/seal/admin"));
    buf_put(ret_info, store->bytes, sizeof store->bytes);
}

/* ---- to bytes ---- */

static enum err seal_append(const uint8_t public[32], const struct buf *info, struct slice plain, struct buf *ret_value)
{
    size_t before = ret_value->len;
    buf_put_zeros(ret_value, plain.len + HPKE_OVERHEAD_BYTES);
    TRY(buf_check(ret_value));
    TRY(buf_check(info));
    return hpke_seal(public, buf_slice(info), SLICE_EMPTY, plain, ret_value->data + before);
}

static enum err put_domain(const struct keyring *keys, const struct domain_keys *domain, struct buf *fields)
{
    if (!domain->erasable && !key_is_held(domain->recovery.secret))
        return err_set(ERR_NO_KEY, "the recovery secret of domain %u is not at hand: its recovery record cannot be written",
                       domain->id);
    AUTO_SECRET_BUF plain = BUF_EMPTY;
    TRY(buf_reserve(&plain, domain_encoded_max(domain)));
    domain_encode(domain, !domain->erasable, false, &plain);
    TRY(buf_check(&plain));
    AUTO(buf) info = BUF_EMPTY, value = BUF_EMPTY;
    domain_info(&keys->store, domain->id, &info);
    buf_put_u32(&value, domain->id);
    TRY(seal_append(keys->recovery_public, &info, buf_slice(&plain), &value));
    fields_put(fields, FIELD_DOMAIN, true, buf_slice(&value));
    return ERR_OK;
}

enum err recovery_encode(const struct keyring *keys, struct buf *ret_fields)
{
    if (!keys->has_recovery_public)
        return err_set(ERR_NO_KEY, "this keyring has not the public recovery key");
    AUTO(buf) fields = BUF_EMPTY;
    fields_put(&fields, FIELD_PUBLIC, true, slice_of(keys->recovery_public, sizeof keys->recovery_public));
    for (size_t i = 0; i < keys->domain_count; i++)
        TRY(put_domain(keys, &keys->domains[i], &fields));
    if (keys->has_admin) {
        AUTO(buf) info = BUF_EMPTY, value = BUF_EMPTY;
        admin_info(&keys->store, &info);
        TRY(seal_append(keys->recovery_public, &info, slice_of(keys->admin.seed, sizeof keys->admin.seed), &value));
        fields_put(&fields, FIELD_ADMIN, true, buf_slice(&value));
    }
    TRY(buf_check(&fields));
    buf_move(ret_fields, &fields);
    return ERR_OK;
}

/* ---- from bytes ---- */

static enum err check_public(const struct field *field, const struct x25519_pair *pair)
{
    uint8_t public[32];
    TRY(field_fixed(field, what, public, sizeof public));
    if (memcmp(public, pair->public, sizeof public) != 0)
        return err_set(ERR_DENIED, "this recovery key is not the one of this store");
    return ERR_OK;
}

static enum err open_domain(const struct uid *store, const struct field *field, const struct x25519_pair *pair,
                            struct domain_keys *domain)
{
    struct cursor c = cursor_of(field->value);
    uint32_t id = cursor_u32(&c);
    cursor_require(&c, cursor_left(&c) >= HPKE_OVERHEAD_BYTES);
    struct slice sealed = cursor_take(&c, cursor_left(&c));
    TRY(cursor_finish(&c, "a domain in a recovery record"));
    AUTO(buf) info = BUF_EMPTY;
    AUTO_SECRET_BUF plain = BUF_EMPTY;
    domain_info(store, id, &info);
    TRY(buf_check(&info));
    TRY(buf_resize(&plain, sealed.len - HPKE_OVERHEAD_BYTES));
    uint8_t none;
    enum err e = hpke_open(pair, buf_slice(&info), SLICE_EMPTY, sealed, plain.data ? plain.data : &none);
    if (e != ERR_OK)
        return err_add(e, "the keys of domain %u in a recovery record", id);
    size_t no_epochs = 0;
    TRY(domain_decode(store, buf_slice(&plain), &no_epochs, domain));
    if (domain->id != id)
        return err_set(ERR_CORRUPT, "the keys of domain %u in a recovery record are domain %u's", id, domain->id);
    return ERR_OK;
}

static enum err open_admin(const struct uid *store, const struct field *field, const struct x25519_pair *pair,
                           struct keyring *keys)
{
    uint8_t sealed[32 + HPKE_OVERHEAD_BYTES], seed[32];
    TRY(field_fixed(field, what, sealed, sizeof sealed));
    AUTO(buf) info = BUF_EMPTY;
    admin_info(store, &info);
    TRY(buf_check(&info));
    enum err e = hpke_open(pair, buf_slice(&info), SLICE_EMPTY, slice_of(sealed, sizeof sealed), seed);
    if (e == ERR_OK)
        e = sign_from_seed(seed, &keys->admin);
    secret_wipe(seed, sizeof seed);
    if (e != ERR_OK)
        return err_add(e, "the admin key in a recovery record");
    keys->has_admin = true;
    memcpy(keys->first_admin, keys->admin.public, sizeof keys->first_admin);
    return ERR_OK;
}

static enum err open_fields(const struct uid *store, struct slice fields, const struct x25519_pair *pair, struct keyring *keys)
{
    struct cursor c = cursor_of(fields);
    struct field field;
    struct domain_keys *next = keys->domains;
    uint64_t seen = 0;
    while (fields_next(&c, &field)) {
        if (field.number != FIELD_DOMAIN && field.number <= FIELD_ADMIN)
            TRY(field_once(&field, what, &seen));
        if (field.number == FIELD_PUBLIC) {
            TRY(check_public(&field, pair));
        } else if (field.number == FIELD_DOMAIN) {
            TRY(open_domain(store, &field, pair, next));
            for (const struct domain_keys *before = keys->domains; before < next; before++)
                if (before->id == next->id)
                    return err_set(ERR_CORRUPT, "%s has domain %u twice", what, next->id);
            next++;
        } else if (field.number == FIELD_ADMIN) {
            TRY(open_admin(store, &field, pair, keys));
        } else {
            TRY(fields_unknown(&field, what));
        }
    }
    if (!(seen & 1 << FIELD_PUBLIC))
        return err_set(ERR_CORRUPT, "%s does not say whose it is", what);
    return ERR_OK;
}

enum err recovery_decode(const struct uid *store, struct slice fields, const uint8_t recovery_secret[32],
                         struct keyring **ret_keyring)
{
    if (!fields_valid(fields))
        return err_set(ERR_CORRUPT, "%s is cut short or malformed", what);
    struct cursor c = cursor_of(fields);
    struct field field;
    size_t domains = 0;
    while (fields_next(&c, &field))
        domains += field.number == FIELD_DOMAIN;
    if (domains > KEYRING_MAX_DOMAINS)
        return err_set(ERR_CORRUPT, "%s has more than %d domains", what, KEYRING_MAX_DOMAINS);

    AUTO_PTR(keyring) keys = NULL;
    TRY(keyring_new(store, domains, &keys));
    struct x25519_pair pair;
    TRY(x25519_from_secret(recovery_secret, &pair));
    enum err e = open_fields(store, fields, &pair, keys);
    keys->has_recovery_public = true;
    memcpy(keys->recovery_public, pair.public, sizeof keys->recovery_public);
    keys->roles = ROLE_READER | (keys->has_admin ? ROLE_ADMIN : 0);
    secret_wipe(&pair, sizeof pair);
    TRY(e);
    *ret_keyring = TAKE(keys);
    return ERR_OK;
}

/* ---- the recovery file ---- */

enum { CHECK_DIGITS = 8, KEY_DIGITS = 64 + CHECK_DIGITS };

enum err recovery_text_make(const struct uid *store, const uint8_t secret[32], struct buf *ret_text)
{
    uint8_t digest[SHA256_BYTES];
    sha256_of(slice_of(secret, 32), digest);
    struct hex key = hex_of(secret, 32), check = hex_of(digest, CHECK_DIGITS / 2);
    AUTO_SECRET_BUF text = BUF_EMPTY;
    TRY(buf_reserve(&text, 1024)); /* so that it does not grow */
    buf_put_format(&text,
                   "Yore recovery key\n"
                   "\n"
                   "Whoever has this can read every backup in the store it belongs to, also when all other\n"
                   "keys and passphrases are lost. Keep it offline, in more than one place, on paper too.\n"
                   "The last group of the key tells typing mistakes; spaces and dashes do not count.\n"
                   "\n"
                   "store: %s\n"
                   "key:",
                   hex_of(store->bytes, sizeof store->bytes).text);
    for (size_t i = 0; i < 64; i += 8)
        buf_put_format(&text, " %.8s", key.text + i);
    buf_put_format(&text, " %s\n", check.text);
    secret_wipe(&key, sizeof key);
    TRY(buf_check(&text));
    buf_move(ret_text, &text);
    return ERR_OK;
}

static uint8_t digit_lower(uint8_t c)
{
    return c >= 'A' && c <= 'F' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* The digits behind "key:", as they count. ERR_INVALID when they cannot be a key. */
static enum err key_digits(struct slice line, char ret_digits[KEY_DIGITS])
{
    size_t count = 0;
    for (size_t i = 0; i < line.len; i++) {
        uint8_t c = digit_lower(line.data[i]);
        if (c == ' ' || c == '-' || c == '\t' || c == '\r')
            continue;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return err_set(ERR_INVALID, "the recovery key has a character at place %zu that is not one of 0-9 and a-f", i + 1);
        if (count < KEY_DIGITS)
            ret_digits[count] = (char)c;
        count++;
    }
    if (count != KEY_DIGITS)
        return err_set(ERR_INVALID, "the recovery key has %zu digits instead of %d: some are missing or too many", count,
                       KEY_DIGITS);
    return ERR_OK;
}

static enum err key_line_parse(struct slice line, uint8_t ret_secret[32])
{
    char digits[KEY_DIGITS];
    uint8_t secret[32], check[CHECK_DIGITS / 2], digest[SHA256_BYTES];
    enum err e = key_digits(line, digits);
    if (e == ERR_OK) {
        bool parsed = hex_parse(digits, 64, secret, sizeof secret) && hex_parse(digits + 64, CHECK_DIGITS, check, sizeof check);
        sha256_of(slice_of(secret, sizeof secret), digest);
        if (!parsed || !secret_equal(check, digest, sizeof check))
            e = err_set(ERR_INVALID, "the recovery key has a typing mistake: its last %d digits do not fit the others",
                        CHECK_DIGITS);
        else
            memcpy(ret_secret, secret, sizeof secret);
    }
    secret_wipe(digits, sizeof digits);
    secret_wipe(secret, sizeof secret);
    return e;
}

enum err recovery_text_parse(struct slice text, uint8_t ret_secret[32])
{
    static const char mark[] = "key:";
    for (size_t at = 0; at < text.len;) {
        const uint8_t *line = text.data + at;
        const uint8_t *end = memchr(line, '\n', text.len - at);
        size_t len = end ? (size_t)(end - line) : text.len - at;
        if (len >= strlen(mark) && memcmp(line, mark, strlen(mark)) == 0)
            return key_line_parse(slice_of(line + strlen(mark), len - strlen(mark)), ret_secret);
        at += len + 1;
    }
    return err_set(ERR_INVALID, "this is no recovery file: no line begins with '%s'", mark);
}
