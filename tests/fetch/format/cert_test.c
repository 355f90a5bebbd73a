#include "fetch/format/record.h"
#include "tests/support/test.h"

static void some_cert(uint32_t roles, int64_t not_after, const char *pattern, struct buf *ret_fields)
{
    struct cert cert = {.public_key = {1, 2, 3}, .roles = roles, .not_after_secs = not_after, .holder = "alpha"};
    CHECK_OK(cert_encode(&cert, (uint32_t[]){1, 7}, 2, (const char *[]){"other", pattern}, 2, ret_fields));
}

TEST(a_certificate_survives_encoding)
{
    AUTO(buf) fields = BUF_EMPTY;
    struct cert cert;
    CHECK_CALL(some_cert(ROLE_WRITER | ROLE_ADMIN, 99, "*", &fields));
    CHECK_OK(cert_decode(buf_slice(&fields), &cert));
    CHECK_INT(cert.public_key[2], 3);
    CHECK_INT(cert.roles, 17);
    CHECK_INT(cert.not_after_secs, 99);
    CHECK_STR(cert.holder, "alpha");
}

TEST(a_writer_may_write_what_its_certificate_names)
{
    AUTO(buf) fields = BUF_EMPTY;
    CHECK_CALL(some_cert(ROLE_WRITER, 1000, "postgres-*", &fields));
    struct slice f = buf_slice(&fields);
    CHECK_OK(cert_allows(f, 1, "postgres-main", 1000));
    CHECK_OK(cert_allows(f, 7, "other", -1));
    CHECK_ERR(ERR_AUTH, cert_allows(f, 2, "postgres-main", 1000)); /* domain */
    CHECK_ERR(ERR_AUTH, cert_allows(f, 1, "uploads", 1000));       /* service */
    CHECK_ERR(ERR_AUTH, cert_allows(f, 1, "postgres-main", 1001)); /* time */
    CHECK_STR(err_text(), "the certificate of 'alpha' had ended");
}

TEST(a_certificate_without_end_never_ends)
{
    AUTO(buf) fields = BUF_EMPTY;
    CHECK_CALL(some_cert(ROLE_WRITER, 0, "*", &fields));
    CHECK_OK(cert_allows(buf_slice(&fields), 1, "anything", INT64_MAX));
}

TEST(who_is_no_writer_writes_nothing)
{
    AUTO(buf) fields = BUF_EMPTY;
    CHECK_CALL(some_cert(ROLE_READER | ROLE_KEEPER | ROLE_WATCHER, 0, "*", &fields));
    CHECK_ERR(ERR_AUTH, cert_allows(buf_slice(&fields), 1, "anything", 0));
}

TEST(no_domain_and_no_service_means_none)
{
    AUTO(buf) fields = BUF_EMPTY;
    struct cert cert = {.roles = ROLE_WRITER};
    CHECK_OK(cert_encode(&cert, NULL, 0, (const char *[]){"*"}, 1, &fields));
    CHECK_ERR(ERR_AUTH, cert_allows(buf_slice(&fields), 1, "a", 0));
    buf_clear(&fields);
    CHECK_OK(cert_encode(&cert, (uint32_t[]){1}, 1, NULL, 0, &fields));
    CHECK_ERR(ERR_AUTH, cert_allows(buf_slice(&fields), 1, "a", 0));
}

TEST(patterns_match_as_people_expect)
{
    static const struct {
        const char *pattern, *service;
        bool fits;
    } cases[] = {
        {"*", "a", true},          {"a", "a", true},          {"a", "ab", false},       {"ab", "a", false},     {"a*", "a", true},
        {"*a", "a", true},         {"a*c", "abc", true},      {"a*c", "abcb", false},   {"a*c", "abcbc", true}, {"*b*", "abc", true},
        {"a*b*c", "axxbyyc", true}, {"a*b*c", "axxcyyb", false}, {"**", "x", true},      {"", "a", false},       {"a*a", "a", false},
        {"A", "a", false},         {"a.c", "abc", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO(buf) fields = BUF_EMPTY;
        CHECK_CALL(some_cert(ROLE_WRITER, 0, cases[i].pattern, &fields));
        enum err e = cert_allows(buf_slice(&fields), 1, cases[i].service, 0);
        if (e != (cases[i].fits ? ERR_OK : ERR_AUTH))
            test_fail(__FILE__, __LINE__, "pattern '%s', service '%s'", cases[i].pattern, cases[i].service);
    }
}

TEST(a_malformed_certificate_is_refused)
{
    AUTO(buf) fields = BUF_EMPTY;
    struct cert cert;
    CHECK_CALL(some_cert(ROLE_WRITER, 0, "*", &fields));
    CHECK_ERR(ERR_CORRUPT, cert_decode(slice_of(fields.data, fields.len - 1), &cert));
    CHECK_ERR(ERR_CORRUPT, cert_decode(SLICE_EMPTY, &cert));
    /* Key and roles, but no end: not one that never ends. */
    AUTO(buf) short_one = BUF_EMPTY;
    fields_put(&short_one, 1, true, slice_of((uint8_t[32]){1}, 32));
    fields_put_varint(&short_one, 2, true, ROLE_WRITER);
    fields_put(&short_one, 4, true, slice_of("\1\0\0\0", 4));
    fields_put(&short_one, 5, true, slice_str("*"));
    CHECK_ERR(ERR_CORRUPT, cert_allows(buf_slice(&short_one), 1, "a", 0));

    fields_put(&fields, 9, true, slice_str("later"));
    CHECK_ERR(ERR_UNSUPPORTED, cert_allows(buf_slice(&fields), 1, "a", 0));
}

TEST_MAIN(a_certificate_survives_encoding, a_writer_may_write_what_its_certificate_names, a_certificate_without_end_never_ends,
          who_is_no_writer_writes_nothing, no_domain_and_no_service_means_none, patterns_match_as_people_expect,
          a_malformed_certificate_is_refused)
