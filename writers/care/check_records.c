/* check: the store's own records, the keystore, envelopes. */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/crypto/digest.h"
#include "fetch/keystore.h"
#include "writers/care/check_inside.h"

/* A record's name holds no hash: a version nobody wrote and a damaged one look the same. This store was opened by its own rules, so an
 * odd record in it is damage. */
static enum err record_failed(struct check *c, const char *name, enum err e)
{
    return check_object_failed(c, name, e == ERR_UNSUPPORTED ? ERR_CORRUPT : e);
}

/* ---- chains: config, epochs of a domain, recovery ---- */

static uint64_t last_number(const char *name)
{
    const char *slash = strrchr(name, '/');
    return strtoull(slash ? slash + 1 : name, NULL, 10);
}

/* All records below prefix, each signed by an admin, numbered 1, 2, 3 ..., each naming the SHA-256 of the one before it. */
static enum err chain_check(struct check *c, const char *prefix, enum record_type type)
{
    struct hash before = {{0}};
    bool before_known = true; /* the one before is itself damaged: its successor cannot be blamed */
    size_t first, end;
    check_range(c, prefix, &first, &end);
    if (first == end)
        return record_failed(c, prefix, err_set(ERR_CORRUPT, "no record is there"));
    for (size_t i = first; i < end; i++) {
        const char *name = c->objects.all[i].name;
        AUTO(buf) object = BUF_EMPTY;
        struct record record;
        enum err e = access_admin_record(c->access, name, type, &object, &record);
        if (e == ERR_OK && (record.number != i - first + 1 || last_number(name) != record.number))
            e = err_set(ERR_CORRUPT, "number %llu where %zu should be", (unsigned long long)record.number, i - first + 1);
        if (e == ERR_OK && before_known && memcmp(record.previous.bytes, before.bytes, 32) != 0)
            e = err_set(ERR_CORRUPT, "does not follow the record before it");
        atomic_fetch_add(&c->records, 1);
        before_known = e == ERR_OK;
        if (e == ERR_OK)
            sha256_of(buf_slice(&object), before.bytes);
        else
            TRY(record_failed(c, name, e));
    }
    return ERR_OK;
}

/* ---- records of writers: sessions, fences, and what is reserved ---- */

/* The session that the record's body names. field: its number there. */
static enum err session_of(const struct record *record, uint32_t field, struct uid *ret_session, bool *ret_named)
{
    struct cursor c = cursor_of(record->fields);
    struct field f;
    *ret_named = false;
    while (fields_next(&c, &f))
        if (f.number == field) {
            TRY(field_fixed(&f, "session", ret_session->bytes, 16));
            *ret_named = true;
        }
    return cursor_check(&c, "session record");
}

static enum err signer_check(struct check *c, struct slice object, const struct record *record)
{
    const uint8_t *public;
    TRY(access_find_signer(c->access, &record->signer, &public));
    return record_verify(object, public);
}

static enum err signed_record(struct check *c, const char *name, struct buf *object, struct record *ret_record)
{
    TRY(store_get_all(c->access->store, name, RECORD_MAX_BYTES, object));
    TRY(record_parse(buf_slice(object), ret_record));
    TRY(signer_check(c, buf_slice(object), ret_record));
    if (memcmp(ret_record->store.bytes, c->access->head.store.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "a record of another store");
    return ERR_OK;
}

/* sessions/<s>/start, hb-<k>, end; fences/<s>. */
static enum err session_record(struct check *c, const char *name)
{
    AUTO(buf) object = BUF_EMPTY;
    struct record record;
    struct uid said, named = {{0}};
    bool is_named;
    TRY(signed_record(c, name, &object, &record));
    const char *id = strchr(name, '/') + 1, *what = strchr(id, '/');
    enum record_type type = !what                            ? RECORD_FENCE
                            : strcmp(what, "/start") == 0    ? RECORD_SESSION
                            : strcmp(what, "/end") == 0      ? RECORD_END
                            : strncmp(what, "/hb-", 4) == 0  ? RECORD_HEARTBEAT
                                                             : (enum record_type)0;
    if (record.type != type || !hex_parse(id, what ? (size_t)(what - id) : strlen(id), said.bytes, 16))
        return err_set(ERR_CORRUPT, "another record in its place");
    TRY(session_of(&record, type == RECORD_SESSION ? 4 : 3, &named, &is_named));
    if (!is_named || memcmp(said.bytes, named.bytes, 16) != 0)
        return err_set(ERR_CORRUPT, "a record of another session");
    if (type == RECORD_HEARTBEAT && record.number != strtoull(what + 4, NULL, 10))
        return err_set(ERR_CORRUPT, "another heartbeat in its place");
    return ERR_OK;
}

static enum err session_job(struct check *c, void *first, size_t i)
{
    const char *name = c->objects.all[*(size_t *)first + i].name;
    atomic_fetch_add(&c->records, 1);
    enum err e = session_record(c, name);
    return e == ERR_OK ? e : record_failed(c, name, e);
}

static enum err reserved_job(struct check *c, void *first, size_t i)
{
    const char *name = c->objects.all[*(size_t *)first + i].name;
    AUTO(buf) object = BUF_EMPTY;
    struct record record;
    atomic_fetch_add(&c->records, 1);
    enum err e = signed_record(c, name, &object, &record);
    return e == ERR_OK ? e : record_failed(c, name, e);
}

static enum err below(struct check *c, const char *prefix, check_job job)
{
    size_t first, end;
    check_range(c, prefix, &first, &end);
    return check_parallel(c, end - first, job, &first);
}

static enum err cert_job(struct check *c, void *first, size_t i)
{
    const char *name = c->objects.all[*(size_t *)first + i].name;
    AUTO(buf) object = BUF_EMPTY;
    struct record record;
    struct cert cert;
    enum err e = access_admin_record(c->access, name, RECORD_CERT, &object, &record);
    if (e == ERR_OK)
        e = cert_decode(record.fields, &cert);
    if (e == ERR_OK) {
        struct uid id = key_id_of(cert.public_key);
        if (strcmp(name_cert(&id).text, name) != 0)
            e = err_set(ERR_CORRUPT, "another certificate in its place");
    }
    atomic_fetch_add(&c->records, 1);
    return e == ERR_OK ? e : record_failed(c, name, e);
}

/* ---- keystore ---- */

/* A slot put over another is whole, but the way in that it replaced is lost. */
static enum err copies_check(struct check *c, struct store *keystore, const struct keystore_slot *slots, size_t count)
{
    AUTO_MEM struct hash *hashes = calloc(count + 1, sizeof *hashes);
    if (!hashes)
        return err_set(ERR_NOMEM, "no memory to check the keystore");
    for (size_t i = 0; i < count; i++) {
        AUTO(buf) object = BUF_EMPTY;
        if (slots[i].damaged || store_get_all(keystore, slots[i].name, RECORD_MAX_BYTES, &object) != ERR_OK)
            continue; /* told already */
        sha256_of(buf_slice(&object), hashes[i].bytes);
        for (size_t k = 0; k < i; k++) {
            if (slots[k].damaged || memcmp(hashes[k].bytes, hashes[i].bytes, 32) != 0)
                continue;
            /* Which of the two is the copy, nobody knows. */
            for (size_t of = k;; of = i) {
                char name[64];
                snprintf(name, sizeof name, "keys/%s", slots[of].name);
                (void)err_set(ERR_CORRUPT, "the same bytes as another slot: a way into the keystore was overwritten");
                check_damage(c, name, ERR_CORRUPT);
                if (of == i)
                    break;
            }
        }
    }
    return ERR_OK;
}

static enum err keystore_check(struct check *c)
{
    AUTO(buf) url = BUF_EMPTY;
    AUTO_PTR(store) keystore = NULL;
    AUTO_MEM struct keystore_slot *slots = NULL;
    size_t count = 0;
    const struct store_head_object *head = &c->access->head;
    if (c->options->keystore_url) {
        buf_put(&url, c->options->keystore_url, strlen(c->options->keystore_url) + 1);
        TRY(buf_check(&url));
    } else {
        TRY(access_keystore_url(c->access->store->url, head, &url));
    }
    enum err e = store_open((const char *)url.data, false, &keystore);
    if (e == ERR_OK)
        e = keystore_list(keystore, &head->store, &slots, &count);
    if (e != ERR_OK && !head->keystore_in_store) {
        check_note(c, "keystore", "not looked at: %s", err_text());
        return ERR_OK;
    }
    if (e != ERR_OK)
        return record_failed(c, "keys/", e);
    for (size_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "keys/%s", slots[i].name);
        atomic_fetch_add(&c->records, 1);
        if (slots[i].damaged) {
            (void)err_set(ERR_CORRUPT, "the slot is damaged; the others open the keystore: remove it, and add a new one");
            check_damage(c, name, ERR_CORRUPT);
        }
    }
    if (count == 0)
        return record_failed(c, "keys/", err_set(ERR_CORRUPT, "the keystore has no slot"));
    return copies_check(c, keystore, slots, count);
}

/* ---- the `yore` object, and all ---- */

static enum err yore_check(struct check *c)
{
    struct store_head_object head;
    enum err e = access_peek(c->access->store, &head);
    if (e == ERR_OK && memcmp(head.first_admin, c->access->head.first_admin, 32) != 0)
        e = err_set(ERR_CORRUPT, "changed while it was checked");
    atomic_fetch_add(&c->records, 1);
    return e == ERR_OK ? e : record_failed(c, "yore", e);
}

/* Folders that an object may lie in. */
static bool is_known(const char *name)
{
    static const char *const folders[] = {"config/", "epochs/", "certs/",    "revoked/",   "attest/", "audit/", "recovery/", "keys/", "packs/",
                                          "index/",  "tails/",  "sessions/", "snapshots/", "fences/", "gc/",    "forgets/",  "pins/", "catalogs/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strncmp(name, folders[i], strlen(folders[i])) == 0)
            return true;
    return strcmp(name, "yore") == 0;
}

enum err check_records(struct check *c)
{
    TRY(yore_check(c));
    TRY(chain_check(c, "config/", RECORD_CONFIG));
    TRY(chain_check(c, "recovery/", RECORD_RECOVERY));
    for (size_t i = 0; i < c->access->keys->domain_count; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "epochs/%08x/", c->access->keys->domains[i].id);
        TRY(chain_check(c, prefix, RECORD_EPOCH));
    }
    TRY(below(c, "certs/", cert_job));
    TRY(below(c, "sessions/", session_job));
    TRY(below(c, "fences/", session_job));
    static const char *const reserved[] = {"revoked/", "attest/", "audit/", "gc/", "forgets/", "pins/", "catalogs/"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        TRY(below(c, reserved[i], reserved_job));
    for (size_t i = 0; i < c->objects.count; i++)
        if (!is_known(c->objects.all[i].name))
            check_note(c, c->objects.all[i].name, "no object of a store");
    return keystore_check(c);
}

/* ---- envelopes ---- */

static enum err envelope_check(struct check *c, const char *name)
{
    AUTO(buf) object = BUF_EMPTY;
    AUTO(envelope) envelope = {0};
    uint32_t domain;
    struct uid tag;
    int64_t secs;
    struct hash named, found;
    const uint8_t *public;
    const struct domain_keys *keys;
    TRY(name_parse_envelope(name, &domain, &tag, &secs, &named));
    TRY(store_get_all(c->access->store, name, RECORD_MAX_BYTES, &object));
    sha256_of(buf_slice(&object), found.bytes);
    if (memcmp(named.bytes, found.bytes, 32) != 0)
        return err_set(ERR_CORRUPT, "its SHA-256 is not the one in its name");
    TRY(envelope_open(c->access->keys, buf_slice(&object), NULL, &envelope));
    TRY(access_find_writer(c->access, &envelope.writer, &public));
    AUTO(envelope) verified = {0};
    TRY(envelope_open(c->access->keys, buf_slice(&object), public, &verified));
    TRY(access_check_writer(c->access, &envelope.writer, envelope.domain, envelope.service, envelope.time.secs));
    TRY(keyring_find_domain(c->access->keys, envelope.domain, &keys));
    struct uid own = service_tag(keys, envelope.service);
    if (envelope.domain != domain || memcmp(own.bytes, tag.bytes, 16) != 0 || envelope.time.secs != secs)
        return err_set(ERR_CORRUPT, "its name says another service or time");
    return ERR_OK;
}

static enum err envelope_job(struct check *c, void *first, size_t i)
{
    const char *name = c->objects.all[*(size_t *)first + i].name;
    enum err e = envelope_check(c, name);
    return e == ERR_OK ? e : check_object_failed(c, name, e);
}

enum err check_envelopes(struct check *c)
{
    return below(c, "snapshots/", envelope_job);
}
