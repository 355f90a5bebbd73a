/*
 * Records and what is in them. Nothing hostile parses and then surprises: a body that is taken can be written and taken again as
 * it was, and what is refused leaves nothing behind. No input verifies: the key that could sign it is nowhere.
 */
#include "tests/fuzz/fuzz.h"

#include "fetch/format/record.h"

static void check_config(struct slice fields)
{
    struct config config = {0}, again = {0};
    struct buf bytes = BUF_EMPTY, bytes_again = BUF_EMPTY;
    if (config_decode(fields, &config) == ERR_OK) {
        FUZZ_CHECK(config.class_count <= CONFIG_MAX_CLASSES && config.frame_bytes <= CHUNK_MAX_BYTES);
        FUZZ_CHECK(config_encode(&config, &bytes) == ERR_OK);
        FUZZ_CHECK(config_decode(buf_slice(&bytes), &again) == ERR_OK);
        FUZZ_CHECK(config_encode(&again, &bytes_again) == ERR_OK);
        FUZZ_CHECK(slice_equal(buf_slice(&bytes), buf_slice(&bytes_again)));
    } else {
        FUZZ_CHECK(!config.domains);
    }
    config_clear(&config);
    config_clear(&again);
    buf_clear(&bytes);
    buf_clear(&bytes_again);
}

static void check_cert(struct slice fields)
{
    struct cert cert;
    enum err decoded = cert_decode(fields, &cert);
    enum err allowed = cert_allows(fields, 1, "service", 0);
    if (decoded == ERR_OK) {
        FUZZ_CHECK(memchr(cert.holder, 0, sizeof cert.holder));
        FUZZ_CHECK(allowed == ERR_OK || allowed == ERR_AUTH);
        FUZZ_CHECK(allowed != ERR_OK || cert.roles & ROLE_WRITER);
    } else {
        FUZZ_CHECK(allowed == decoded);
    }
}

static void check_recovery(struct slice fields)
{
    static const struct uid store = {{1}};
    static const uint8_t secret[32] = {1};
    struct keyring *keys = NULL;
    enum err e = recovery_decode(&store, fields, secret, &keys);
    FUZZ_CHECK((e == ERR_OK) == (keys != NULL));
    keyring_free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t nobody[32] = {2};
    struct slice object = slice_of(data, size);
    struct record record;
    uint8_t secret[32];
    FUZZ_CHECK(record_verify(object, nobody) != ERR_OK);
    if (record_parse(object, &record) == ERR_OK) {
        FUZZ_CHECK(record.type >= RECORD_CONFIG && record.type <= RECORD_AUDIT);
        FUZZ_CHECK(record.fields.data >= data && record.fields.data + record.fields.len + 64 <= data + size);
        FUZZ_CHECK(fields_valid(record.fields));
        check_config(record.fields);
        check_cert(record.fields);
        check_recovery(record.fields);
    }
    /* The bodies alone too: a mutation hits them sooner. */
    check_config(object);
    check_cert(object);
    check_recovery(object);
    enum err e = recovery_text_parse(object, secret);
    FUZZ_CHECK(e == ERR_OK || e == ERR_INVALID);
    return 0;
}
