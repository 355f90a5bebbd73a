/*
 * The golden store's own objects, made by hand in another language (tests/golden/make_golden.py): what we read is what was
 * meant, and any reader that follows docs/format.md reads what we write.
 */
#include <stdio.h>

#include "fetch/base/file.h"
#include "fetch/crypto/digest.h"
#include "fetch/format/record.h"
#include "fetch/format/slot.h"
#include "fetch/store/store.h"
#include "tests/support/test.h"

struct golden {
    char folder[4096];
    struct store *store;
    struct uid id;
    struct keyring *keys; /* keyring 2, opened with the passphrase */
};

static void golden_clear(struct golden *g)
{
    store_free(g->store);
    keyring_free(g->keys);
}

/* The store's "random" bytes: a SHA-256 over a label. */
static void fixed(const char *label, uint8_t *ret_bytes, size_t len)
{
    char text[128];
    uint8_t digest[32];
    snprintf(text, sizeof text, "yore golden/%s/0", label);
    sha256_of(slice_str(text), digest);
    memcpy(ret_bytes, digest, len);
}

static void check_fixed(const char *label, const void *found, size_t len)
{
    uint8_t expected[32];
    fixed(label, expected, len);
    CHECK_MEM(found, expected, len);
}

static enum err golden_open(struct golden *g)
{
    const char *root = getenv("YORE_SOURCE_ROOT");
    snprintf(g->folder, sizeof g->folder, "%s/tests/golden", root ? root : ".");
    char path[4200];
    snprintf(path, sizeof path, "%s/store", g->folder);
    fixed("store id", g->id.bytes, sizeof g->id.bytes);
    return store_open(path, false, &g->store);
}

static enum err read_object(const struct golden *g, const char *name, struct buf *ret_bytes)
{
    return store_get_all(g->store, name, RECORD_MAX_BYTES, ret_bytes);
}

static enum err read_beside(const struct golden *g, const char *name, struct buf *ret_bytes)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", g->folder, name);
    return file_read_all(path, RECORD_MAX_BYTES, ret_bytes);
}

static enum err open_slot(const struct golden *g, const char *name, const struct slot_secret *secret, uint8_t ret_key[32])
{
    AUTO(buf) slot = BUF_EMPTY;
    TRY(read_object(g, name, &slot));
    return slot_open(buf_slice(&slot), &g->id, secret, ret_key);
}

static enum err open_keyring(const struct golden *g, uint64_t number, struct keyring **ret_keys)
{
    struct slot_secret secret = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str("golden")};
    uint8_t key[32];
    AUTO(buf) object = BUF_EMPTY;
    char name[64];
    snprintf(name, sizeof name, "keys/keyring-%010llu", (unsigned long long)number);
    TRY(open_slot(g, "keys/slot-00000001", &secret, key));
    TRY(read_object(g, name, &object));
    return keyring_open(buf_slice(&object), &g->id, number, key, ret_keys);
}

TEST(yore_is_read)
{
    AUTO(golden) g = {0};
    AUTO(buf) object = BUF_EMPTY;
    struct store_head_object head;
    struct sign_pair admin;
    uint8_t seed[32];
    CHECK_OK(golden_open(&g));
    CHECK_OK(read_object(&g, "yore", &object));
    CHECK_OK(yore_open(buf_slice(&object), &head));
    CHECK_CALL(check_fixed("store id", head.store.bytes, 16));
    CHECK(head.keystore_in_store);
    CHECK_INT(head.made_secs, 1793520000);
    CHECK_INT(head.may_ignore, UINT64_C(1) << 40);
    fixed("admin", seed, 32);
    CHECK_OK(sign_from_seed(seed, &admin));
    CHECK_MEM(head.first_admin, admin.public, 32);
}

TEST(every_slot_opens_with_its_secret)
{
    AUTO(golden) g = {0};
    AUTO(buf) file = BUF_EMPTY, paper = BUF_EMPTY, object = BUF_EMPTY;
    struct slot_secret secret = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str("golden")};
    struct slot_info info;
    uint8_t key[32];
    CHECK_OK(golden_open(&g));
    CHECK_OK(open_slot(&g, "keys/slot-00000001", &secret, key));
    CHECK_CALL(check_fixed("keyring key", key, 32));
    secret.passphrase = slice_str("Golden");
    CHECK_ERR(ERR_DENIED, open_slot(&g, "keys/slot-00000001", &secret, key));

    CHECK_OK(read_beside(&g, "key-file", &file));
    CHECK_INT(file.len, 32);
    secret.kind = SLOT_KEY_FILE;
    memcpy(secret.key, file.data, 32);
    CHECK_OK(open_slot(&g, "keys/slot-00000002", &secret, key));
    CHECK_CALL(check_fixed("keyring key", key, 32));
    CHECK_ERR(ERR_DENIED, open_slot(&g, "keys/slot-00000001", &secret, key));

    CHECK_OK(read_beside(&g, "recovery.txt", &paper));
    secret.kind = SLOT_RECOVERY;
    CHECK_OK(recovery_text_parse(buf_slice(&paper), secret.key));
    CHECK_CALL(check_fixed("recovery key", secret.key, 32));
    CHECK_OK(open_slot(&g, "keys/slot-00000003", &secret, key));
    CHECK_CALL(check_fixed("keyring key", key, 32));
    CHECK_OK(read_object(&g, "keys/slot-00000003", &object));
    CHECK_OK(slot_parse(buf_slice(&object), &info));
    CHECK_STR(info.label, "recovery key");
}

static void check_domain(const struct domain_keys *d, const char *name, size_t epochs, bool erasable)
{
    static const uint8_t none[32];
    char label[64];
    const struct {
        const char *what;
        const uint8_t *key;
    } keys[] = {{"K_id", d->k_id}, {"K_cut", d->k_cut}, {"K_idx", d->k_idx}, {"K_name", d->k_name}};
    CHECK_STR(d->name, name);
    CHECK_INT(d->epoch_count, epochs);
    CHECK_INT(d->erasable, erasable);
    for (size_t i = 0; i < 4; i++) {
        snprintf(label, sizeof label, "%s/%s", name, keys[i].what);
        CHECK_CALL(check_fixed(label, keys[i].key, 32));
    }
    for (size_t i = 0; i < epochs; i++) {
        CHECK_INT(d->epochs[i].epoch, i + 1);
        snprintf(label, sizeof label, "%s/D_%zu", name, i + 1);
        CHECK_CALL(check_fixed(label, d->epochs[i].data.secret, 32));
        snprintf(label, sizeof label, "%s/T_%zu", name, i + 1);
        CHECK_CALL(check_fixed(label, d->epochs[i].tree.secret, 32));
    }
    snprintf(label, sizeof label, "%s/recovery", name);
    if (erasable)
        CHECK_CALL(check_fixed(label, d->recovery.secret, 32));
    else
        CHECK_MEM(d->recovery.secret, none, 32);
}

TEST(both_keyrings_are_read)
{
    AUTO(golden) g = {0};
    AUTO_PTR(keyring) first = NULL;
    CHECK_OK(golden_open(&g));
    CHECK_OK(open_keyring(&g, 1, &first));
    CHECK_INT(first->domain_count, 1);
    CHECK_CALL(check_domain(&first->domains[0], "main", 2, false));

    CHECK_OK(open_keyring(&g, 2, &g.keys));
    CHECK_INT(g.keys->roles, ROLES_ALL);
    CHECK(g.keys->has_admin && g.keys->has_signing);
    CHECK_CALL(check_fixed("admin", g.keys->admin.seed, 32));
    CHECK_CALL(check_fixed("writer", g.keys->signing.seed, 32));
    CHECK_MEM(g.keys->first_admin, g.keys->admin.public, 32);
    CHECK_INT(g.keys->domain_count, 2);
    CHECK_CALL(check_domain(&g.keys->domains[0], "main", 2, false));
    CHECK_CALL(check_domain(&g.keys->domains[1], "tenant", 1, true));
}

TEST(a_role_key_file_is_read)
{
    AUTO(golden) g = {0};
    AUTO(buf) file = BUF_EMPTY;
    CHECK_OK(golden_open(&g));
    CHECK_OK(read_beside(&g, "reader.role", &file));
    CHECK_OK(role_file_open(buf_slice(&file), &g.keys));
    CHECK_MEM(&g.keys->store, &g.id, sizeof g.id);
    CHECK_INT(g.keys->roles, ROLE_READER);
    CHECK(!g.keys->has_admin && !g.keys->has_signing);
    CHECK_CALL(check_domain(&g.keys->domains[0], "main", 2, false));
}

/* Parse and verify a record; it must be the one its name says, and follow `previous` (NULL: begin a chain). */
static void check_record(const struct golden *g, const char *name, enum record_type type, uint32_t domain, uint64_t number,
                         const uint8_t signer[32], const struct buf *previous, struct buf *ret_object, struct record *ret_record)
{
    uint8_t expected[32] = {0};
    CHECK_OK(read_object(g, name, ret_object));
    CHECK_OK(record_parse(buf_slice(ret_object), ret_record));
    CHECK_OK(record_verify(buf_slice(ret_object), signer));
    CHECK_INT(ret_record->type, type);
    CHECK_INT(ret_record->domain, domain);
    CHECK_INT(ret_record->number, number);
    CHECK_MEM(&ret_record->store, &g->id, sizeof g->id);
    if (previous)
        sha256_of(buf_slice(previous), expected);
    CHECK_MEM(ret_record->previous.bytes, expected, 32);
}

TEST(the_configuration_is_read)
{
    AUTO(golden) g = {0};
    AUTO(buf) first = BUF_EMPTY, second = BUF_EMPTY;
    AUTO(config) config = {0}, newer = {0};
    struct record r;
    CHECK_OK(golden_open(&g));
    CHECK_OK(open_keyring(&g, 2, &g.keys));
    const uint8_t *admin = g.keys->admin.public;
    CHECK_CALL(check_record(&g, "config/0000000001", RECORD_CONFIG, 0, 1, admin, NULL, &first, &r));
    CHECK_OK(config_decode(r.fields, &config));
    CHECK_INT(config.class_count, 5);
    CHECK_INT(config_class(&config, CUT_FIXED)->method, CUT_BY_SIZE);
    CHECK_INT(config_class(&config, CUT_COLD)->max_bytes, 4194304);
    CHECK_INT(config.frame_bytes, 131072);
    CHECK_INT(config.domain_count, 1);
    CHECK_MEM(config.domains[0].recovery_public, g.keys->domains[0].recovery.public, 32);
    CHECK_INT(config.admin_count, 0);

    CHECK_CALL(check_record(&g, "config/0000000002", RECORD_CONFIG, 0, 2, admin, &first, &second, &r));
    CHECK_OK(config_decode(r.fields, &newer));
    CHECK_INT(newer.domain_count, 2);
    CHECK(newer.domains[1].erasable);
    CHECK_INT(newer.admin_count, 1);
    struct sign_pair second_admin;
    uint8_t seed[32];
    fixed("second admin", seed, 32);
    CHECK_OK(sign_from_seed(seed, &second_admin));
    CHECK_MEM(newer.admins[0], second_admin.public, 32);
}

TEST(the_epochs_are_those_of_the_keyring)
{
    AUTO(golden) g = {0};
    CHECK_OK(golden_open(&g));
    CHECK_OK(open_keyring(&g, 2, &g.keys));
    for (size_t i = 0; i < g.keys->domain_count; i++) {
        const struct domain_keys *d = &g.keys->domains[i];
        AUTO(buf) previous = BUF_EMPTY;
        for (size_t k = 0; k < d->epoch_count; k++) {
            AUTO(buf) object = BUF_EMPTY;
            struct record r;
            struct field field;
            const struct epoch_keys *epoch = &d->epochs[k];
            CHECK_CALL(check_record(&g, name_epoch(d->id, epoch->epoch).text, RECORD_EPOCH, d->id, epoch->epoch,
                                    g.keys->admin.public, k ? &previous : NULL, &object, &r));
            struct cursor c = cursor_of(r.fields);
            CHECK(fields_next(&c, &field));
            CHECK(slice_equal(field.value, slice_of(epoch->data.public, 32)));
            CHECK(fields_next(&c, &field));
            CHECK(slice_equal(field.value, slice_of(epoch->tree.public, 32)));
            buf_clear(&previous);
            buf_move(&previous, &object);
        }
    }
}

/* A certificate of a seed of ours, by an admin of ours. */
static void read_cert(const struct golden *g, const char *holder, const char *admin, struct buf *ret_object, struct record *ret_record)
{
    struct sign_pair pair, by;
    struct cert cert;
    uint8_t seed[32];
    fixed(admin, seed, 32);
    CHECK_OK(sign_from_seed(seed, &by));
    fixed(holder, seed, 32);
    CHECK_OK(sign_from_seed(seed, &pair));
    struct uid id = key_id_of(pair.public);
    CHECK_CALL(check_record(g, name_cert(&id).text, RECORD_CERT, 0, 0, by.public, NULL, ret_object, ret_record));
    CHECK_OK(cert_decode(ret_record->fields, &cert));
    CHECK_MEM(cert.public_key, pair.public, 32);
}

TEST(certificates_say_who_may_write_what)
{
    AUTO(golden) g = {0};
    AUTO(buf) alpha = BUF_EMPTY, beta = BUF_EMPTY;
    struct record r;
    CHECK_OK(golden_open(&g));
    CHECK_CALL(read_cert(&g, "writer", "admin", &alpha, &r));
    CHECK_OK(cert_allows(r.fields, 1, "files", INT64_MAX));
    CHECK_OK(cert_allows(r.fields, 2, "anything", 0));
    CHECK_ERR(ERR_AUTH, cert_allows(r.fields, 3, "files", 0));
    CHECK_CALL(read_cert(&g, "tenant writer", "second admin", &beta, &r));
    CHECK_OK(cert_allows(r.fields, 2, "tenant-a", 1798761600));
    CHECK_ERR(ERR_AUTH, cert_allows(r.fields, 2, "tenant-a", 1798761601));
    CHECK_ERR(ERR_AUTH, cert_allows(r.fields, 2, "tenant-b", 0));
    CHECK_ERR(ERR_AUTH, cert_allows(r.fields, 1, "tenant-a", 0));
}

TEST(the_recovery_records_open_with_the_recovery_key)
{
    AUTO(golden) g = {0};
    AUTO(buf) paper = BUF_EMPTY, first = BUF_EMPTY, second = BUF_EMPTY;
    AUTO_PTR(keyring) older = NULL;
    AUTO_PTR(keyring) found = NULL;
    struct record r;
    uint8_t secret[32];
    CHECK_OK(golden_open(&g));
    CHECK_OK(open_keyring(&g, 2, &g.keys));
    const uint8_t *admin = g.keys->admin.public;
    CHECK_OK(read_beside(&g, "recovery.txt", &paper));
    CHECK_OK(recovery_text_parse(buf_slice(&paper), secret));
    CHECK_CALL(check_record(&g, "recovery/0000000001", RECORD_RECOVERY, 0, 1, admin, NULL, &first, &r));
    CHECK_OK(recovery_decode(&g.id, r.fields, secret, &older));
    CHECK_INT(older->domain_count, 1);
    CHECK_CALL(check_record(&g, "recovery/0000000002", RECORD_RECOVERY, 0, 2, admin, &first, &second, &r));
    CHECK_OK(recovery_decode(&g.id, r.fields, secret, &found));
    CHECK_INT(found->domain_count, 2);
    CHECK_CALL(check_fixed("admin", found->admin.seed, 32));
    CHECK_CALL(check_fixed("main/K_id", found->domains[0].k_id, 32));
    CHECK_CALL(check_fixed("main/recovery", found->domains[0].recovery.secret, 32));
    CHECK_CALL(check_fixed("tenant/K_name", found->domains[1].k_name, 32));
    static const uint8_t none[32];
    CHECK_MEM(found->domains[1].recovery.secret, none, 32); /* erasable: only in the keystore */
    CHECK_MEM(found->recovery_public, g.keys->recovery_public, 32);
}

struct seen {
    const struct keyring *keys;
    unsigned packs, segments, envelopes, others, wrong;
    bool tag_found;
    struct uid tag; /* of the service "files" */
};

static enum err parse_name(void *context, const struct store_entry *entry)
{
    struct seen *seen = context;
    struct pack_name pack;
    struct uid uid;
    struct hash hash;
    enum chunk_kind kind;
    uint32_t domain;
    int64_t secs;
    if (strncmp(entry->name, "packs/", 6) == 0) {
        seen->packs++;
        seen->wrong += name_parse_pack(entry->name, &domain, &pack) != ERR_OK || strcmp(name_pack(domain, &pack).text, entry->name) != 0;
    } else if (strncmp(entry->name, "index/", 6) == 0) {
        seen->segments++;
        seen->wrong += name_parse_segment(entry->name, &domain, &kind, &uid, &hash) != ERR_OK ||
                       strcmp(name_segment(domain, kind, &uid, &hash).text, entry->name) != 0;
    } else if (strncmp(entry->name, "snapshots/", 10) == 0) {
        seen->envelopes++;
        seen->wrong += name_parse_envelope(entry->name, &domain, &uid, &secs, &hash) != ERR_OK ||
                       strcmp(name_envelope(domain, &uid, secs, &hash).text, entry->name) != 0;
        seen->tag_found |= domain == 1 && memcmp(&uid, &seen->tag, sizeof uid) == 0;
    } else {
        seen->others++;
    }
    return ERR_OK;
}

TEST(every_name_is_one_of_ours)
{
    AUTO(golden) g = {0};
    CHECK_OK(golden_open(&g));
    CHECK_OK(open_keyring(&g, 2, &g.keys));
    struct seen seen = {.tag = service_tag(&g.keys->domains[0], "files")};
    CHECK_OK(store_list(g.store, "", parse_name, &seen));
    CHECK(seen.packs > 0 && seen.segments > 0 && seen.envelopes > 0 && seen.others > 0);
    CHECK_INT(seen.wrong, 0);
    CHECK(seen.tag_found);
}

struct parsed {
    const struct golden *g;
    unsigned sessions, wrong;
};

static enum err check_session(void *context, const struct store_entry *entry)
{
    struct parsed *p = context;
    AUTO(buf) object = BUF_EMPTY;
    struct record r;
    p->sessions++;
    TRY(read_object(p->g, entry->name, &object));
    TRY(record_parse(buf_slice(&object), &r));
    p->wrong += r.type != RECORD_SESSION && r.type != RECORD_HEARTBEAT && r.type != RECORD_END;
    /* Most are the writer's, some the tenant's. */
    struct sign_pair tenant;
    uint8_t seed[32];
    fixed("tenant writer", seed, 32);
    TRY(sign_from_seed(seed, &tenant));
    p->wrong += record_verify(buf_slice(&object), p->g->keys->signing.public) != ERR_OK &&
                record_verify(buf_slice(&object), tenant.public) != ERR_OK;
    return ERR_OK;
}

TEST(sessions_are_read)
{
    AUTO(golden) g = {0};
    CHECK_OK(golden_open(&g));
    CHECK_OK(open_keyring(&g, 2, &g.keys));
    struct parsed p = {.g = &g};
    CHECK_OK(store_list(g.store, "sessions/", check_session, &p));
    CHECK(p.sessions > 0);
    CHECK_INT(p.wrong, 0);
}

TEST_MAIN(yore_is_read, every_slot_opens_with_its_secret, both_keyrings_are_read, a_role_key_file_is_read, the_configuration_is_read,
          the_epochs_are_those_of_the_keyring, certificates_say_who_may_write_what, the_recovery_records_open_with_the_recovery_key,
          every_name_is_one_of_ours, sessions_are_read)
