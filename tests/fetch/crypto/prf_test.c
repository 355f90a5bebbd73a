#include "fetch/crypto/prf.h"

#include "tests/fetch/crypto/hex_vector.h"
#include "tests/fetch/crypto/vectors.h"

enum { DATA_BYTES = 70000, WINDOWS = 700 };
static uint8_t data[DATA_BYTES];

static struct cut_prf *test_prf(void)
{
    uint8_t key[32];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < DATA_BYTES; i++)
        data[i] = (uint8_t)((uint32_t)(i * UINT32_C(2654435761)) >> 24);
    struct cut_prf *prf = NULL;
    CHECK_OR(NULL, prf_new(key, &prf) == ERR_OK);
    return prf;
}

TEST(it_gives_what_an_independent_program_gives)
{
    enum { N = sizeof prf_vectors / sizeof *prf_vectors };
    AUTO_PTR(cut_prf) prf = test_prf();
    const uint8_t *windows[N];
    uint64_t got[N];
    for (size_t i = 0; i < N; i++)
        windows[i] = data + prf_vectors[i].offset;
    CHECK_OK(prf_many(prf, windows, N, got));
    for (size_t i = 0; i < N; i++)
        CHECK_INT(got[i], prf_vectors[i].value);
}

TEST(a_batch_gives_what_one_by_one_gives)
{
    AUTO_PTR(cut_prf) prf = test_prf();
    const uint8_t *windows[WINDOWS];
    uint64_t many[WINDOWS], one;
    for (size_t i = 0; i < WINDOWS; i++)
        windows[i] = data + i * 13; /* they overlap */
    CHECK_OK(prf_many(prf, windows, WINDOWS, many));
    for (size_t i = 0; i < WINDOWS; i++) {
        CHECK_OK(prf_many(prf, &windows[i], 1, &one));
        CHECK_INT(one, many[i]);
    }
    CHECK_OK(prf_many(prf, windows, 0, many));
}

TEST(every_byte_of_the_window_counts_and_no_other)
{
    AUTO_PTR(cut_prf) prf = test_prf();
    const uint8_t *window = data + 1;
    uint64_t before, after;
    CHECK_OK(prf_many(prf, &window, 1, &before));
    for (size_t i = 0; i < PRF_WINDOW_BYTES + 2; i++) {
        data[i] ^= 1;
        CHECK_OK(prf_many(prf, &window, 1, &after));
        CHECK((after != before) == (i >= 1 && i <= PRF_WINDOW_BYTES));
        data[i] ^= 1;
    }
}

TEST_MAIN(it_gives_what_an_independent_program_gives, a_batch_gives_what_one_by_one_gives,
          every_byte_of_the_window_counts_and_no_other)
