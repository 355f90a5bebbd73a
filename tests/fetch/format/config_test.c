#include "fetch/format/record.h"
#include "tests/support/test.h"

TEST(the_default_has_the_sizes_we_decided)
{
    struct config config;
    config_init_default(&config);
    CHECK_INT(config.frame_bytes, 128 * 1024);
    CHECK_INT(config.pack_bytes, 32 * 1024 * 1024);
    const struct cut_spec *stream = config_class(&config, CUT_STREAM), *file = config_class(&config, CUT_FILE);
    CHECK(stream && file && config_class(&config, CUT_WHOLE) && config_class(&config, CUT_FIXED) && config_class(&config, CUT_COLD));
    CHECK_INT(stream->min_bytes, 4096);
    CHECK_INT(stream->mean_bytes, 16384);
    CHECK_INT(stream->max_bytes, 65536);
    CHECK_INT(file->mean_bytes, 65536);
    CHECK(!config_class(&config, (enum cut_class)6));
    config_clear(&config);
}

static void some_config(struct config *ret_config)
{
    config_init_default(ret_config);
    ret_config->domains = calloc(2, sizeof *ret_config->domains);
    CHECK(ret_config->domains);
    ret_config->domain_count = 2;
    ret_config->domains[0] = (struct config_domain){1, {10}, false};
    ret_config->domains[1] = (struct config_domain){2, {20}, true};
    ret_config->admin_count = 2;
    ret_config->admins[0][0] = 30;
    ret_config->admins[1][31] = 40;
}

TEST(a_configuration_survives_encoding)
{
    AUTO(config) config = {0}, found = {0};
    AUTO(buf) fields = BUF_EMPTY, again = BUF_EMPTY;
    CHECK_CALL(some_config(&config));
    CHECK_OK(config_encode(&config, &fields));
    CHECK_OK(config_decode(buf_slice(&fields), &found));
    CHECK_OK(config_encode(&found, &again));
    CHECK(slice_equal(buf_slice(&fields), buf_slice(&again)));
    CHECK_INT(found.class_count, 5);
    CHECK_INT(found.domain_count, 2);
    CHECK_INT(found.domains[1].id, 2);
    CHECK(found.domains[1].erasable && !found.domains[0].erasable);
    CHECK_INT(found.admins[1][31], 40);
}

TEST(a_cut_configuration_is_refused)
{
    AUTO(config) config = {0}, found = {0};
    AUTO(buf) fields = BUF_EMPTY;
    CHECK_CALL(some_config(&config));
    config.domain_count = config.admin_count = 0; /* so that every end but the last lacks something */
    CHECK_OK(config_encode(&config, &fields));
    for (size_t len = 0; len < fields.len; len++)
        CHECK_ERR(ERR_CORRUPT, config_decode(slice_of(fields.data, len), &found));
    CHECK_INT(found.class_count, 0);
}

/* Encode with one thing wrong, and see it refused. */
#define CHECK_REFUSED(change)                                                                                                  \
    do {                                                                                                                       \
        AUTO(config) config = {0}, found = {0};                                                                                \
        AUTO(buf) fields = BUF_EMPTY;                                                                                          \
        CHECK_CALL(some_config(&config));                                                                                      \
        change;                                                                                                                \
        CHECK_OK(config_encode(&config, &fields));                                                                             \
        CHECK_ERR(ERR_CORRUPT, config_decode(buf_slice(&fields), &found));                                                     \
    } while (0)

TEST(values_that_make_no_sense_are_refused)
{
    CHECK_REFUSED(config.classes[1].min_bytes = 0);
    CHECK_REFUSED(config.classes[1].min_bytes = config.classes[1].mean_bytes + 1);
    CHECK_REFUSED(config.classes[1].mean_bytes = config.classes[1].max_bytes + 1);
    CHECK_REFUSED(config.classes[1].max_bytes = CHUNK_MAX_BYTES + 1);
    CHECK_REFUSED(config.classes[1].cut_class = CUT_WHOLE);
    CHECK_REFUSED(config.frame_bytes = 0);
    CHECK_REFUSED(config.frame_bytes = CHUNK_MAX_BYTES + 1);
    CHECK_REFUSED(config.pack_bytes = PACK_MAX_BYTES + 1);
    CHECK_REFUSED(config.domains[0].id = 0);
    CHECK_REFUSED(config.domains[1].id = 1);
}

TEST(classes_of_newer_versions_are_kept)
{
    AUTO(config) config = {0}, found = {0};
    AUTO(buf) fields = BUF_EMPTY;
    CHECK_CALL(some_config(&config));
    config.classes[config.class_count++] = (struct cut_spec){99, 77, 1, 2, 3};
    CHECK_OK(config_encode(&config, &fields));
    CHECK_OK(config_decode(buf_slice(&fields), &found));
    CHECK_INT(found.class_count, 6);
    CHECK_INT(found.classes[5].method, 77);
}

TEST(too_many_of_anything_is_refused)
{
    AUTO(config) found = {0};
    AUTO(buf) classes = BUF_EMPTY, admins = BUF_EMPTY;
    for (uint8_t i = 0; i < CONFIG_MAX_CLASSES + 1; i++)
        fields_put(&classes, 1, true, slice_of((uint8_t[14]){i, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}, 14));
    CHECK_ERR(ERR_CORRUPT, config_decode(buf_slice(&classes), &found));
    for (unsigned i = 0; i < CONFIG_MAX_ADMINS + 1; i++)
        fields_put(&admins, 5, true, slice_of((uint8_t[32]){1}, 32));
    CHECK_ERR(ERR_CORRUPT, config_decode(buf_slice(&admins), &found));
}

TEST(unknown_fields_are_skipped_unless_critical)
{
    AUTO(config) config = {0}, found = {0};
    AUTO(buf) fields = BUF_EMPTY;
    config_init_default(&config);
    CHECK_OK(config_encode(&config, &fields));
    fields_put(&fields, 20, false, slice_str("later"));
    CHECK_OK(config_decode(buf_slice(&fields), &found));
    config_clear(&found);
    fields_put(&fields, 21, true, slice_str("later"));
    CHECK_ERR(ERR_UNSUPPORTED, config_decode(buf_slice(&fields), &found));
}

TEST_MAIN(the_default_has_the_sizes_we_decided, a_configuration_survives_encoding, a_cut_configuration_is_refused,
          values_that_make_no_sense_are_refused, classes_of_newer_versions_are_kept, too_many_of_anything_is_refused,
          unknown_fields_are_skipped_unless_critical)
