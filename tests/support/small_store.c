#include "tests/support/small_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "fetch/base/rand.h"
#include "tests/support/keys.h"

static enum err certify(struct access *a)
{
    static const char *const services[] = {"*"};
    static const uint32_t domains[] = {1};
    struct cert cert = {.roles = ROLES_ALL};
    AUTO(buf) fields = BUF_EMPTY;
    memcpy(cert.public_key, a->keys->signing.public, 32);
    snprintf(cert.holder, sizeof cert.holder, "a test");
    TRY(cert_encode(&cert, domains, 1, services, 1, &fields));
    a->certs = calloc(1, sizeof *a->certs);
    if (!a->certs)
        return err_set(ERR_NOMEM, "no memory for a certificate");
    a->cert_count = 1;
    memcpy(a->certs[0].public_key, cert.public_key, 32);
    a->certs[0].key_id = key_id_of(cert.public_key);
    struct record head = {.type = RECORD_CERT, .store = a->head.store};
    return record_seal(&head, &fields, &a->keys->admin, &a->certs[0].object);
}

enum err small_store_new(const char *dir, struct access **ret_access)
{
    AUTO_PTR(access) a = calloc(1, sizeof *a);
    if (!a || !(a->keys = test_keyring()))
        return err_set(ERR_NOMEM, "no memory for a store");
    TRY(dir ? store_dir_open(dir, true, &a->store) : store_mem_open(&a->store));
    config_init_default(&a->config);
    a->head.store = a->keys->store;
    memcpy(a->head.first_admin, a->keys->admin.public, 32);
    TRY(certify(a));
    *ret_access = TAKE(a);
    return ERR_OK;
}

struct small_chunk small_chunk(const struct access *access, enum chunk_kind kind, const char *series, unsigned i)
{
    struct small_chunk chunk;
    snprintf(chunk.text, sizeof chunk.text, "chunk %u of %s", i, series);
    chunk_id_of(domain_ids(&access->keys->domains[0], kind), slice_str(chunk.text), &chunk.id);
    return chunk;
}

static enum err seal_pack(struct access *access, enum chunk_kind kind, const char *series, unsigned first, unsigned count,
                          const struct uid *session, struct pack_sealed *ret_sealed)
{
    AUTO_PTR(pack_builder) b = NULL;
    TRY(pack_builder_new(access->keys, 1, kind, 16 << 20, &b));
    /* Ten chunks a frame. */
    for (unsigned i = first; i < first + count;) {
        AUTO(buf) raw = BUF_EMPTY;
        struct frame_chunk chunks[10];
        size_t n = 0;
        uint32_t number;
        for (; n < 10 && i < first + count; n++, i++) {
            struct small_chunk chunk = small_chunk(access, kind, series, i);
            chunks[n] = (struct frame_chunk){chunk.id, (uint32_t)strlen(chunk.text)};
            buf_put_slice(&raw, slice_str(chunk.text));
        }
        TRY(buf_check(&raw));
        TRY(pack_builder_add(b, buf_slice(&raw), chunks, n, 1, &number));
    }
    return pack_builder_seal(b, session, ret_sealed);
}

enum err small_store_put_chunks(struct access *access, enum chunk_kind kind, const char *series, unsigned first, unsigned count,
                                struct object_name *ret_segment, struct object_name *ret_pack)
{
    AUTO_PTR(segment_builder) s = NULL;
    AUTO(pack_sealed) sealed = {0};
    AUTO(buf) object = BUF_EMPTY;
    struct uid session;
    struct hash sha256;
    rand_bytes(session.bytes, sizeof session.bytes);
    TRY(seal_pack(access, kind, series, first, count, &session, &sealed));
    struct object_name pack = name_pack(1, &sealed.name);
    TRY(store_put(access->store, pack.text, buf_slice(&sealed.object), true));
    TRY(segment_builder_new(access->keys, 1, kind, &session, &s));
    TRY(segment_builder_add(s, &sealed));
    TRY(segment_builder_seal(s, &object, &sha256));
    struct object_name segment = name_segment(1, kind, &session, &sha256);
    TRY(store_put(access->store, segment.text, buf_slice(&object), true));
    if (ret_segment)
        *ret_segment = segment;
    if (ret_pack)
        *ret_pack = pack;
    return ERR_OK;
}

enum err small_store_put_snapshot(struct access *access, const char *service, struct timestamp time, uint32_t flags, uint8_t session,
                                  struct object_name *ret_name)
{
    char label[] = "by hand";
    char *labels[] = {label};
    struct envelope e = {
        .domain = 1,
        .kind = "files",
        .writer = key_id_of(access->keys->signing.public),
        .host = {"a host"},
        .session = {{session}},
        .host_name = "host.example",
        .version = "test",
        .number = 1,
        .time = time,
        .finished = {time.secs + 5, time.nanos},
        .flags = flags,
        .labels = labels,
        .label_count = 1,
        .totals = {.nodes = 7, .files = 5, .dirs = 2, .bytes = 1234, .new_bytes = 1000, .stored_bytes = 500, .left_out = 1},
        .root = {{1, 2, 3}},
    };
    AUTO(buf) object = BUF_EMPTY;
    struct hash sha256;
    snprintf(e.service, sizeof e.service, "%s", service);
    TRY(envelope_seal(access->keys, &e, &object, &sha256));
    struct uid tag = service_tag(&access->keys->domains[0], service);
    struct object_name name = name_envelope(1, &tag, time.secs, &sha256);
    TRY(store_put(access->store, name.text, buf_slice(&object), true));
    if (ret_name)
        *ret_name = name;
    return ERR_OK;
}

enum err small_store_put_record(struct access *access, const char *name, enum record_type type)
{
    AUTO(buf) fields = BUF_EMPTY, object = BUF_EMPTY;
    struct record head = {.type = type, .domain = 1, .store = access->head.store, .signed_secs = 1000};
    TRY(record_seal(&head, &fields, &access->keys->signing, &object));
    return store_put(access->store, name, buf_slice(&object), true);
}
