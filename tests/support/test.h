/*
 * test: the spelling of our unit tests, over cmocka.
 *
 *     TEST(an_empty_chunk_is_refused)
 *     {
 *         AUTO(buf) sealed = BUF_EMPTY;
 *         CHECK_ERR(ERR_INVALID, chunk_seal(...));
 *     }
 *     TEST_MAIN(an_empty_chunk_is_refused)
 *
 * A failed CHECK prints where and what, marks the running test as failed, and RETURNS from the function
 * it stands in. It never jumps, so AUTO clean-ups run and a leak checker sees only real leaks. Hence
 * a CHECK may stand in any void function; whoever calls such a helper writes CHECK_CALL(helper(...)), which
 * returns too if something failed inside. A function with a value uses CHECK_OR(value, condition).
 *
 * A test that is defined but not listed in TEST_MAIN is a compiler warning (unused), not silence.
 * Run one test of a program: `chunk_test an_empty_chunk*`; no argument runs all.
 *
 * Threads: CHECK may fail on any thread; it marks the test that runs at that moment.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch/base/buf.h"
#include "fetch/base/cleanup.h"
#include "fetch/base/err.h"

struct test_case {
    const char *name;
    void (*body)(void);
};

#define TEST(name_)                                                                                \
    static void name_##_body(void);                                                                \
    static const struct test_case name_[1] = {{#name_, name_##_body}};                             \
    static void name_##_body(void)

#define TEST_MAIN(...)                                                                             \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct test_case *const cases[] = {__VA_ARGS__};                              \
        return test_main(__FILE__, cases, sizeof cases / sizeof *cases, argc, argv);               \
    }

/* Holds. */
#define CHECK(condition) CHECK_OR(, condition)
/* Holds, else return value. */
#define CHECK_OR(value, condition)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            test_fail(__FILE__, __LINE__, "%s", #condition);                                       \
            return value;                                                                          \
        }                                                                                          \
    } while (0)
/* Run a void helper; return if anything failed in it. */
#define CHECK_CALL(call)                                                                           \
    do {                                                                                           \
        unsigned check_before_ = test_failures();                                                  \
        call;                                                                                      \
        if (test_failures() != check_before_) {                                                    \
            test_fail(__FILE__, __LINE__, "%s", #call);                                            \
            return;                                                                                \
        }                                                                                          \
    } while (0)
/* Succeeds. */
#define CHECK_OK(expression) CHECK_ERR(ERR_OK, expression)
/* Returns exactly this code. */
#define CHECK_ERR(code, expression)                                                                \
    do {                                                                                           \
        if (!test_err_is(__FILE__, __LINE__, #expression, (code), (expression)))                   \
            return;                                                                                \
    } while (0)
/* What we got, then what we expect. Numbers of any integer type; -1 and UINT64_MAX differ. */
#define CHECK_INT(got, expected)                                                                   \
    do {                                                                                           \
        if (!test_int_is(__FILE__, __LINE__, #got, (__int128)(got), (__int128)(expected)))         \
            return;                                                                                \
    } while (0)
#define CHECK_STR(got, expected)                                                                   \
    do {                                                                                           \
        if (!test_str_is(__FILE__, __LINE__, #got, (got), (expected)))                             \
            return;                                                                                \
    } while (0)
#define CHECK_MEM(got, expected, len)                                                              \
    do {                                                                                           \
        if (!test_mem_is(__FILE__, __LINE__, #got, (got), (expected), (len)))                      \
            return;                                                                                \
    } while (0)

/* Leave the test and report it as skipped, with the reason. Only in the body of a test. */
#define TEST_SKIP(reason)                                                                          \
    do {                                                                                           \
        test_skip(reason);                                                                         \
        return;                                                                                    \
    } while (0)

/* What the macros stand on. */
int test_main(const char *file, const struct test_case *const *cases, size_t count, int argc, char **argv);
void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
unsigned test_failures(void); /* in the running test so far */
void test_skip(const char *reason);
bool test_err_is(const char *file, int line, const char *what, enum err expected, enum err got);
bool test_int_is(const char *file, int line, const char *what, __int128 got, __int128 expected);
bool test_str_is(const char *file, int line, const char *what, const char *got, const char *expected);
bool test_mem_is(const char *file, int line, const char *what, const void *got, const void *expected, size_t len);
