#include "fetch/format/keyring.h"

#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/kdf.h"
#include "fetch/crypto/secret.h"
#include "fetch/format/keyring_inside.h"

enum {
    FIELD_ADMIN_SEED = 1,
    FIELD_SIGNING_SEED,
    FIELD_ROLES,
    FIELD_DOMAIN,
    FIELD_RECOVERY_PUBLIC,
    FIELD_FIRST_ADMIN,
};

enum {
    DOMAIN_ID = 1,
    DOMAIN_NAME,
    DOMAIN_K_ID,
    DOMAIN_K_CUT,
    DOMAIN_K_IDX,
    DOMAIN_K_NAME,
    DOMAIN_EPOCH,
    DOMAIN_RECOVERY_PUBLIC,
    DOMAIN_RECOVERY_SECRET,
    DOMAIN_ERASABLE,
};

enum { EPOCH_BYTES = 4 + 4 * 32 };

bool key_is_held(const uint8_t secret[32])
{
    static const uint8_t none[32];
    return !secret_equal(secret, none, sizeof none);
}

/* ---- making and freeing ---- */

enum err keyring_new(const struct uid *store, size_t domain_count, struct keyring **ret_keyring)
{
    AUTO_PTR(keyring) keys = secret_alloc(sizeof *keys);
    if (!keys)
        return err_set(ERR_NOMEM, "no memory for a keyring");
    keys->store = *store;
    if (domain_count > 0 && !(keys->domains = secret_alloc(domain_count * sizeof *keys->domains)))
        return err_set(ERR_NOMEM, "no memory for the keys of %zu domains", domain_count);
    keys->domain_count = domain_count;
    *ret_keyring = TAKE(keys);
    return ERR_OK;
}

void keyring_free(struct keyring *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->domain_count; i++) {
        id_keys_free(keys->domains[i].data_ids);
        id_keys_free(keys->domains[i].tree_ids);
        secret_free(keys->domains[i].epochs);
    }
    secret_free(keys->domains);
    secret_free(keys);
}

static enum err derive(const uint8_t key[32], const struct uid *store, const char *info, uint8_t ret_key[32])
{
    return hkdf_sha256(slice_of(key, 32), slice_of(store->bytes, sizeof store->bytes), slice_str(info), ret_key, 32);
}

static enum err derive_ids(const uint8_t k_id[32], const struct uid *store, const char *info, struct id_keys **ret_ids)
{
    uint8_t key[32];
    enum err e = derive(k_id, store, info, key);
    if (e == ERR_OK)
        e = id_keys_new(key, ret_ids);
    secret_wipe(key, sizeof key);
    return e;
}

/* All that follows from the four keys of a domain. */
static enum err domain_derive(const struct uid *store, struct domain_keys *domain)
{
    TRY(derive_ids(domain->k_id, store, "yore/1/id/data", &domain->data_ids));
    TRY(derive_ids(domain->k_id, store, "yore/1/id/tree", &domain->tree_ids));
    TRY(derive(domain->k_cut, store, "yore/1/cut/tree", domain->tree_cut));
    TRY(derive(domain->k_idx, store, "yore/1/index/segment", domain->segment_key));
    TRY(derive(domain->k_idx, store, "yore/1/index/envelope", domain->envelope_key));
    TRY(derive(domain->k_name, store, "yore/1/name/service", domain->tag_key));
    return derive(domain->k_name, store, "yore/1/name/link", domain->link_key);
}

static enum err domain_generate(const struct uid *store, struct domain_keys *domain)
{
    domain->id = 1;
    memcpy(domain->name, "main", sizeof "main");
    rand_bytes(domain->k_id, sizeof domain->k_id);
    rand_bytes(domain->k_cut, sizeof domain->k_cut);
    rand_bytes(domain->k_idx, sizeof domain->k_idx);
    rand_bytes(domain->k_name, sizeof domain->k_name);
    TRY(x25519_generate(&domain->recovery));
    domain->epochs = secret_alloc(sizeof *domain->epochs);
    if (!domain->epochs)
        return err_set(ERR_NOMEM, "no memory for an epoch's keys");
    domain->epoch_count = 1;
    domain->epochs[0].epoch = 1;
    TRY(x25519_generate(&domain->epochs[0].data));
    TRY(x25519_generate(&domain->epochs[0].tree));
    return domain_derive(store, domain);
}

enum err keyring_generate(const struct uid *store, struct keyring **ret_keyring, uint8_t ret_recovery_secret[32])
{
    AUTO_PTR(keyring) keys = NULL;
    TRY(keyring_new(store, 1, &keys));
    keys->roles = ROLES_ALL;
    keys->has_admin = keys->has_signing = keys->has_recovery_public = true;
    TRY(sign_generate(&keys->admin));
    TRY(sign_generate(&keys->signing));
    memcpy(keys->first_admin, keys->admin.public, sizeof keys->first_admin);
    TRY(domain_generate(store, &keys->domains[0]));

    struct x25519_pair recovery;
    TRY(x25519_generate(&recovery));
    memcpy(keys->recovery_public, recovery.public, sizeof keys->recovery_public);
    memcpy(ret_recovery_secret, recovery.secret, sizeof recovery.secret);
    secret_wipe(&recovery, sizeof recovery);
    *ret_keyring = TAKE(keys);
    return ERR_OK;
}

/* ---- to bytes ---- */

size_t domain_encoded_max(const struct domain_keys *domain)
{
    return 512 + domain->epoch_count * (EPOCH_BYTES + 16); /* 6 keys, a name, an id, with room for lengths */
}

size_t keyring_encoded_max(const struct keyring *keys)
{
    size_t max = 512;
    for (size_t i = 0; i < keys->domain_count; i++)
        max += domain_encoded_max(&keys->domains[i]) + 16;
    return max;
}

static void put_u32_field(struct buf *fields, uint32_t number, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    fields_put(fields, number, true, slice_of(bytes, sizeof bytes));
}

static void put_key(struct buf *fields, uint32_t number, const uint8_t key[32])
{
    fields_put(fields, number, true, slice_of(key, 32));
}

static void epoch_encode(const struct epoch_keys *epoch, struct buf *fields)
{
    AUTO_SECRET_BUF value = BUF_EMPTY;
    (void)buf_reserve(&value, EPOCH_BYTES); /* a failure is remembered */
    buf_put_u32(&value, epoch->epoch);
    buf_put(&value, epoch->data.public, 32);
    buf_put(&value, epoch->data.secret, 32);
    buf_put(&value, epoch->tree.public, 32);
    buf_put(&value, epoch->tree.secret, 32);
    fields_put(fields, DOMAIN_EPOCH, true, buf_slice(&value));
    fields->failed |= value.failed;
}

enum err keyring_add_epoch(struct keyring *keyring, uint32_t domain, const struct epoch_keys *epoch)
{
    for (size_t i = 0; i < keyring->domain_count; i++) {
        struct domain_keys *d = &keyring->domains[i];
        if (d->id != domain)
            continue;
        if (d->epoch_count && d->epochs[d->epoch_count - 1].epoch >= epoch->epoch)
            return err_set(ERR_INVALID, "epoch %u of domain %u is not newer than what this keyring has", epoch->epoch, domain);
        struct epoch_keys *grown = secret_alloc((d->epoch_count + 1) * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for the keys of an epoch");
        if (d->epoch_count)
            memcpy(grown, d->epochs, d->epoch_count * sizeof *grown);
        grown[d->epoch_count] = *epoch;
        secret_free(d->epochs);
        d->epochs = grown;
        d->epoch_count++;
        return ERR_OK;
    }
    return err_set(ERR_NO_KEY, "domain %u is not in this keyring", domain);
}

void domain_encode(const struct domain_keys *domain, bool with_recovery, bool with_epochs, struct buf *ret_fields)
{
    put_u32_field(ret_fields, DOMAIN_ID, domain->id);
    fields_put(ret_fields, DOMAIN_NAME, true, slice_str(domain->name));
    put_key(ret_fields, DOMAIN_K_ID, domain->k_id);
    put_key(ret_fields, DOMAIN_K_CUT, domain->k_cut);
    put_key(ret_fields, DOMAIN_K_IDX, domain->k_idx);
    put_key(ret_fields, DOMAIN_K_NAME, domain->k_name);
    for (size_t i = 0; with_epochs && i < domain->epoch_count; i++)
        epoch_encode(&domain->epochs[i], ret_fields);
    put_key(ret_fields, DOMAIN_RECOVERY_PUBLIC, domain->recovery.public);
    if (with_recovery && key_is_held(domain->recovery.secret))
        put_key(ret_fields, DOMAIN_RECOVERY_SECRET, domain->recovery.secret);
    fields_put_varint(ret_fields, DOMAIN_ERASABLE, true, domain->erasable);
}

enum err keyring_encode_all(const struct keyring *keys, bool rebuilt_may_read, struct buf *ret_fields)
{
    AUTO_SECRET_BUF fields = BUF_EMPTY;
    TRY(buf_reserve(&fields, keyring_encoded_max(keys)));
    if (keys->has_admin)
        put_key(&fields, FIELD_ADMIN_SEED, keys->admin.seed);
    if (keys->has_signing)
        put_key(&fields, FIELD_SIGNING_SEED, keys->signing.seed);
    fields_put_varint(&fields, FIELD_ROLES, true, keys->roles);
    for (size_t i = 0; i < keys->domain_count; i++) {
        const struct domain_keys *domain = &keys->domains[i];
        AUTO_SECRET_BUF value = BUF_EMPTY;
        TRY(buf_reserve(&value, domain_encoded_max(domain)));
        const struct epoch_keys *first = domain->epochs;
        bool rebuilt = domain->epoch_count == 0 || first->epoch > 1 ||
                       !(key_is_held(first->data.secret) || key_is_held(first->tree.secret));
        domain_encode(domain, domain->erasable || (rebuilt && rebuilt_may_read), true, &value);
        TRY(buf_check(&value));
        fields_put(&fields, FIELD_DOMAIN, true, buf_slice(&value));
    }
    if (keys->has_recovery_public)
        put_key(&fields, FIELD_RECOVERY_PUBLIC, keys->recovery_public);
    put_key(&fields, FIELD_FIRST_ADMIN, keys->first_admin);
    TRY(buf_check(&fields));
    buf_move(ret_fields, &fields);
    return ERR_OK;
}

enum err keyring_encode(const struct keyring *keys, struct buf *ret_fields)
{
    return keyring_encode_all(keys, false, ret_fields);
}

/* ---- from bytes ---- */

static size_t fields_count(struct slice block, uint32_t number)
{
    struct cursor c = cursor_of(block);
    struct field field;
    size_t count = 0;
    while (fields_next(&c, &field))
        count += field.number == number;
    return count;
}

static enum err epoch_decode(const struct field *field, struct epoch_keys *epoch)
{
    struct cursor c = cursor_of(field->value);
    epoch->epoch = cursor_u32(&c);
    cursor_copy(&c, epoch->data.public, 32);
    cursor_copy(&c, epoch->data.secret, 32);
    cursor_copy(&c, epoch->tree.public, 32);
    cursor_copy(&c, epoch->tree.secret, 32);
    return cursor_finish(&c, "an epoch in a keyring");
}

/* A pair we seal to must be a pair: what is sealed to a wrong public key is lost. */
static enum err pair_check(const struct x25519_pair *pair, const char *what)
{
    if (!key_is_held(pair->secret))
        return ERR_OK;
    struct x25519_pair found;
    TRY(x25519_from_secret(pair->secret, &found));
    bool same = memcmp(found.public, pair->public, sizeof found.public) == 0;
    secret_wipe(&found, sizeof found);
    return same ? ERR_OK : err_set(ERR_CORRUPT, "the two halves of %s in a keyring do not belong together", what);
}

static enum err domain_name_decode(const struct field *field, struct domain_keys *domain)
{
    struct slice name = field->value;
    if (name.len == 0 || name.len >= sizeof domain->name || memchr(name.data, 0, name.len) || !text_is_utf8(name))
        return err_set(ERR_CORRUPT, "a domain in a keyring has a malformed name");
    memcpy(domain->name, name.data, name.len); /* the rest is zero */
    return ERR_OK;
}

static enum err domain_field_decode(const struct field *field, struct domain_keys *domain)
{
    static const char what[] = "a domain in a keyring";
    uint64_t number;
    uint8_t id[4];
    switch (field->number) {
    case DOMAIN_ID:
        TRY(field_fixed(field, what, id, sizeof id));
        domain->id = id[0] | (uint32_t)id[1] << 8 | (uint32_t)id[2] << 16 | (uint32_t)id[3] << 24;
        return domain->id > 0 ? ERR_OK : err_set(ERR_CORRUPT, "a domain in a keyring has the number 0");
    case DOMAIN_NAME:
        return domain_name_decode(field, domain);
    case DOMAIN_K_ID:
        return field_fixed(field, what, domain->k_id, 32);
    case DOMAIN_K_CUT:
        return field_fixed(field, what, domain->k_cut, 32);
    case DOMAIN_K_IDX:
        return field_fixed(field, what, domain->k_idx, 32);
    case DOMAIN_K_NAME:
        return field_fixed(field, what, domain->k_name, 32);
    case DOMAIN_EPOCH:
        return epoch_decode(field, &domain->epochs[domain->epoch_count++]);
    case DOMAIN_RECOVERY_PUBLIC:
        return field_fixed(field, what, domain->recovery.public, 32);
    case DOMAIN_RECOVERY_SECRET:
        return field_fixed(field, what, domain->recovery.secret, 32);
    case DOMAIN_ERASABLE:
        TRY(field_varint(field, what, &number));
        domain->erasable = number;
        return number <= 1 ? ERR_OK : err_set(ERR_CORRUPT, "domain %u in a keyring is neither erasable nor not", domain->id);
    default:
        return fields_unknown(field, what);
    }
}

enum err domain_decode(const struct uid *store, struct slice fields, size_t *epochs_left, struct domain_keys *domain)
{
    static const char what[] = "a domain in a keyring";
    if (!fields_valid(fields))
        return err_set(ERR_CORRUPT, "%s is cut short or malformed", what);
    size_t epochs = fields_count(fields, DOMAIN_EPOCH);
    if (epochs > *epochs_left)
        return err_set(ERR_CORRUPT, "a keyring has more than %d epochs", KEYRING_MAX_EPOCHS);
    *epochs_left -= epochs;
    if (epochs > 0 && !(domain->epochs = secret_alloc(epochs * sizeof *domain->epochs)))
        return err_set(ERR_NOMEM, "no memory for the keys of %zu epochs", epochs);

    struct cursor c = cursor_of(fields);
    struct field field;
    uint64_t seen = 0;
    while (fields_next(&c, &field)) {
        if (field.number <= DOMAIN_ERASABLE && field.number != DOMAIN_EPOCH)
            TRY(field_once(&field, what, &seen));
        TRY(domain_field_decode(&field, domain));
    }
    uint64_t needed = 1 << DOMAIN_ID | 1 << DOMAIN_NAME | 1 << DOMAIN_K_ID | 1 << DOMAIN_K_CUT | 1 << DOMAIN_K_IDX |
                      1 << DOMAIN_K_NAME | 1 << DOMAIN_RECOVERY_PUBLIC;
    if ((seen & needed) != needed)
        return err_set(ERR_CORRUPT, "%s lacks a field", what);
    for (size_t i = 1; i < epochs; i++)
        if (domain->epochs[i].epoch <= domain->epochs[i - 1].epoch)
            return err_set(ERR_CORRUPT, "the epochs of domain %u in a keyring do not ascend", domain->id);

    TRY(pair_check(&domain->recovery, "the recovery pair"));
    if (epochs > 0) {
        TRY(pair_check(&domain->epochs[epochs - 1].data, "the newest data epoch"));
        TRY(pair_check(&domain->epochs[epochs - 1].tree, "the newest tree epoch"));
    }
    return domain_derive(store, domain);
}

static enum err seed_decode(const struct field *field, struct sign_pair *pair, bool *has)
{
    uint8_t seed[32];
    TRY(field_fixed(field, "a keyring", seed, sizeof seed));
    enum err e = sign_from_seed(seed, pair);
    secret_wipe(seed, sizeof seed);
    *has = e == ERR_OK;
    return e;
}

static enum err keyring_field_decode(const struct field *field, struct keyring *keys, struct domain_keys **next,
                                     size_t *epochs_left)
{
    static const char what[] = "a keyring";
    uint64_t number;
    switch (field->number) {
    case FIELD_ADMIN_SEED:
        return seed_decode(field, &keys->admin, &keys->has_admin);
    case FIELD_SIGNING_SEED:
        return seed_decode(field, &keys->signing, &keys->has_signing);
    case FIELD_ROLES:
        TRY(field_varint(field, what, &number));
        keys->roles = (uint32_t)number;
        return number <= UINT32_MAX ? ERR_OK : err_set(ERR_CORRUPT, "the roles in a keyring are no set of roles");
    case FIELD_DOMAIN:
        TRY(domain_decode(&keys->store, field->value, epochs_left, *next));
        for (const struct domain_keys *before = keys->domains; before < *next; before++)
            if (before->id == (*next)->id)
                return err_set(ERR_CORRUPT, "a keyring has domain %u twice", before->id);
        (*next)++;
        return ERR_OK;
    case FIELD_RECOVERY_PUBLIC:
        keys->has_recovery_public = true;
        return field_fixed(field, what, keys->recovery_public, 32);
    case FIELD_FIRST_ADMIN:
        return field_fixed(field, what, keys->first_admin, 32);
    default:
        return fields_unknown(field, what);
    }
}

enum err keyring_decode(const struct uid *store, struct slice fields, struct keyring **ret_keyring)
{
    static const char what[] = "a keyring";
    if (!fields_valid(fields))
        return err_set(ERR_CORRUPT, "%s is cut short or malformed", what);
    size_t domains = fields_count(fields, FIELD_DOMAIN);
    if (domains > KEYRING_MAX_DOMAINS)
        return err_set(ERR_CORRUPT, "a keyring has more than %d domains", KEYRING_MAX_DOMAINS);
    AUTO_PTR(keyring) keys = NULL;
    TRY(keyring_new(store, domains, &keys));

    struct cursor c = cursor_of(fields);
    struct field field;
    struct domain_keys *next = keys->domains;
    size_t epochs_left = KEYRING_MAX_EPOCHS;
    uint64_t seen = 0;
    while (fields_next(&c, &field)) {
        if (field.number <= FIELD_FIRST_ADMIN && field.number != FIELD_DOMAIN)
            TRY(field_once(&field, what, &seen));
        TRY(keyring_field_decode(&field, keys, &next, &epochs_left));
    }
    uint64_t needed = 1 << FIELD_ROLES | 1 << FIELD_FIRST_ADMIN;
    if ((seen & needed) != needed)
        return err_set(ERR_CORRUPT, "%s lacks a field", what);
    *ret_keyring = TAKE(keys);
    return ERR_OK;
}

/* ---- asking ---- */

static const struct domain_keys *domain_find(const struct keyring *keys, uint32_t domain)
{
    for (size_t i = 0; i < keys->domain_count; i++)
        if (keys->domains[i].id == domain)
            return &keys->domains[i];
    return NULL;
}

static enum err no_domain(uint32_t domain)
{
    return err_set(ERR_NO_KEY, "domain %u is not in this keyring", domain);
}

enum err keyring_find_domain(const struct keyring *keys, uint32_t domain, const struct domain_keys **ret_domain)
{
    *ret_domain = domain_find(keys, domain);
    return *ret_domain ? ERR_OK : no_domain(domain);
}

struct uid key_id_of(const uint8_t public_key[32])
{
    uint8_t digest[SHA256_BYTES];
    struct uid id;
    sha256_of(slice_of(public_key, 32), digest);
    memcpy(id.bytes, digest, sizeof id.bytes);
    return id;
}

static struct uid name_of(const uint8_t key[32], struct slice what)
{
    uint8_t mac[SHA256_BYTES];
    struct uid name;
    hmac_sha256(key, what, mac);
    memcpy(name.bytes, mac, sizeof name.bytes);
    return name;
}

struct uid service_tag(const struct domain_keys *domain, const char *service)
{
    return name_of(domain->tag_key, slice_str(service));
}

struct uid link_group(const struct domain_keys *domain, uint64_t device, uint64_t inode)
{
    uint8_t bytes[16];
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(device >> 8 * i);
        bytes[8 + i] = (uint8_t)(inode >> 8 * i);
    }
    return name_of(domain->link_key, slice_of(bytes, sizeof bytes));
}

const struct id_keys *domain_ids(const struct domain_keys *domain, enum chunk_kind kind)
{
    return kind == CHUNK_TREE ? domain->tree_ids : domain->data_ids;
}

/* ---- pack keys ---- */

/* What a sealed pack key is bound to. */
struct seal_info {
    uint8_t bytes[96];
    size_t len;
};

static void info_put(struct seal_info *info, const void *bytes, size_t len)
{
    memcpy(info->bytes + info->len, bytes, len);
    info->len += len;
}

static void info_put_u32(struct seal_info *info, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        info->bytes[info->len++] = (uint8_t)(value >> 8 * i);
}

static struct slice epoch_info(struct seal_info *info, const struct keyring *keys, uint32_t domain, uint32_t epoch,
                               enum chunk_kind kind, const struct uid *origin)
{
    static const char what[] = "yore/1/seal/pack/epoch";
    info->len = 0;
    info_put(info, what, sizeof what - 1);
    info_put(info, keys->store.bytes, sizeof keys->store.bytes);
    info_put_u32(info, domain);
    info_put_u32(info, epoch);
    info_put(info, &(uint8_t){(uint8_t)kind}, 1);
    info_put(info, origin->bytes, sizeof origin->bytes);
    return slice_of(info->bytes, info->len);
}

static struct slice recovery_info(struct seal_info *info, const struct keyring *keys, uint32_t domain, const struct uid *origin)
{
    static const char what[] = "yore/1/seal/pack/recovery";
    info->len = 0;
    info_put(info, what, sizeof what - 1);
    info_put(info, keys->store.bytes, sizeof keys->store.bytes);
    info_put_u32(info, domain);
    info_put(info, origin->bytes, sizeof origin->bytes);
    return slice_of(info->bytes, info->len);
}

enum err pack_key_seal_epoch(const struct keyring *keys, uint32_t domain, enum chunk_kind kind, const struct uid *origin,
                             const uint8_t pack_key[32], uint32_t *ret_epoch, uint8_t ret_sealed[SEALED_KEY_BYTES])
{
    const struct domain_keys *d = domain_find(keys, domain);
    if (!d)
        return no_domain(domain);
    if (d->epoch_count == 0)
        return err_set(ERR_NO_KEY, "domain %u has no epoch in this keyring to seal a pack to", domain);
    const struct epoch_keys *epoch = &d->epochs[d->epoch_count - 1];
    const struct x25519_pair *pair = kind == CHUNK_TREE ? &epoch->tree : &epoch->data;
    struct seal_info info;
    TRY(hpke_seal(pair->public, epoch_info(&info, keys, domain, epoch->epoch, kind, origin), SLICE_EMPTY, slice_of(pack_key, 32),
                  ret_sealed));
    *ret_epoch = epoch->epoch;
    return ERR_OK;
}

static const struct epoch_keys *epoch_find(const struct domain_keys *domain, uint32_t epoch)
{
    size_t low = 0, high = domain->epoch_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (domain->epochs[middle].epoch == epoch)
            return &domain->epochs[middle];
        if (domain->epochs[middle].epoch < epoch)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

enum err pack_key_open_epoch(const struct keyring *keys, uint32_t domain, enum chunk_kind kind, const struct uid *origin,
                             uint32_t epoch, const uint8_t sealed[SEALED_KEY_BYTES], uint8_t ret_pack_key[32])
{
    const struct domain_keys *d = domain_find(keys, domain);
    if (!d)
        return no_domain(domain);
    const struct epoch_keys *found = epoch_find(d, epoch);
    const struct x25519_pair *pair = !found ? NULL : kind == CHUNK_TREE ? &found->tree : &found->data;
    if (!pair || !key_is_held(pair->secret))
        return err_set(ERR_NO_KEY, "this keyring does not open %s packs of domain %u, epoch %u",
                       kind == CHUNK_TREE ? "tree" : "data", domain, epoch);
    struct seal_info info;
    return err_add(hpke_open(pair, epoch_info(&info, keys, domain, epoch, kind, origin), SLICE_EMPTY,
                             slice_of(sealed, SEALED_KEY_BYTES), ret_pack_key),
                   "the key of pack %s, sealed to epoch %u", hex_short(origin->bytes).text, epoch);
}

enum err pack_key_seal_recovery(const struct keyring *keys, uint32_t domain, const struct uid *origin,
                                const uint8_t pack_key[32], uint8_t ret_sealed[SEALED_KEY_BYTES])
{
    const struct domain_keys *d = domain_find(keys, domain);
    if (!d)
        return no_domain(domain);
    struct seal_info info;
    return hpke_seal(d->recovery.public, recovery_info(&info, keys, domain, origin), SLICE_EMPTY, slice_of(pack_key, 32),
                     ret_sealed);
}

enum err pack_key_open_recovery(const struct keyring *keys, uint32_t domain, const struct uid *origin,
                                const uint8_t sealed[SEALED_KEY_BYTES], uint8_t ret_pack_key[32])
{
    const struct domain_keys *d = domain_find(keys, domain);
    if (!d)
        return no_domain(domain);
    if (!key_is_held(d->recovery.secret))
        return err_set(ERR_NO_KEY, "this keyring has not the recovery key of domain %u", domain);
    struct seal_info info;
    return err_add(hpke_open(&d->recovery, recovery_info(&info, keys, domain, origin), SLICE_EMPTY,
                             slice_of(sealed, SEALED_KEY_BYTES), ret_pack_key),
                   "the key of pack %s, sealed to the recovery key", hex_short(origin->bytes).text);
}
