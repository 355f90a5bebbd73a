#include "tests/support/test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of the test that runs now. */
static atomic_uint failures;
static const char *skipped;
/* Of this program. */
static unsigned ran;

void test_fail(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* One call, so that lines of several threads do not mix. */
    fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, text);
    atomic_fetch_add(&failures, 1);
}

unsigned test_failures(void)
{
    return atomic_load(&failures);
}

void test_skip(const char *reason)
{
    skipped = reason;
}

bool test_err_is(const char *file, int line, const char *what, enum err expected, enum err got)
{
    if (got == expected)
        return true;
    test_fail(file, line, "%s is %s (%s), not %s", what, err_word(got), got ? err_text() : "no error",
              err_word(expected));
    return false;
}

/* printf knows no __int128; all our numbers fit in 64 bits with one sign or the other. */
static const char *number_text(__int128 v, char text[24])
{
    if (v < 0)
        snprintf(text, 24, "%lld", (long long)v);
    else
        snprintf(text, 24, "%llu", (unsigned long long)v);
    return text;
}

bool test_int_is(const char *file, int line, const char *what, __int128 got, __int128 expected)
{
    if (got == expected)
        return true;
    char a[24], b[24];
    test_fail(file, line, "%s is %s, not %s", what, number_text(got, a), number_text(expected, b));
    return false;
}

bool test_str_is(const char *file, int line, const char *what, const char *got, const char *expected)
{
    if (got && expected ? strcmp(got, expected) == 0 : got == expected)
        return true;
    test_fail(file, line, "%s is \"%s\", not \"%s\"", what, got ? got : "(null)",
              expected ? expected : "(null)");
    return false;
}

bool test_mem_is(const char *file, int line, const char *what, const void *got, const void *expected, size_t len)
{
    const unsigned char *a = got, *b = expected;
    if (len && (!a || !b)) {
        test_fail(file, line, "%s: one side is NULL", what);
        return false;
    }
    for (size_t i = 0; i < len; i++)
        if (a[i] != b[i]) {
            test_fail(file, line, "%s: byte %zu of %zu is %02x, not %02x", what, i, len, a[i], b[i]);
            return false;
        }
    return true;
}

/* One of ours as cmocka calls it. The body has returned and cleaned up before cmocka may longjmp. */
static void run_case(void **state)
{
    const struct test_case *test = *state;
    atomic_store(&failures, 0);
    skipped = NULL;
    ran++;
    test->body();
    if (test_failures())
        fail_msg("%u failed CHECK", test_failures());
    if (skipped) {
        print_message("%s: skipped: %s\n", test->name, skipped);
        skip();
    }
}

int test_main(const char *file, const struct test_case *const *cases, size_t count, int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    if (!tests)
        return 1;
    for (size_t i = 0; i < count; i++) {
        /* cmocka's state is not const; run_case only reads it */
        tests[i] = (struct CMUnitTest){.name = cases[i]->name,
                                       .test_func = run_case,
                                       .initial_state = (void *)(uintptr_t)cases[i]};
    }
    int failed = _cmocka_run_group_tests(file, tests, count, NULL, NULL);
    free(tests);
    if (ran == 0)
        fprintf(stderr, "no test is named %s\n", argc > 1 ? argv[1] : "at all");
    return failed || ran == 0 ? 1 : 0;
}
