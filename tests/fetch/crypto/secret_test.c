#include "fetch/crypto/secret.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/fetch/crypto/hex_vector.h"

TEST(a_secret_is_zeroed_and_starts_a_page)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *secret = secret_alloc(sizes[i]);
        CHECK(secret);
        CHECK_INT((uintptr_t)secret % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
        CHECK(all_zero(secret, sizes[i]));
        if (sizes[i] > 0)
            memset(secret, 0xee, sizes[i]);
        secret_free(secret);
    }
    secret_free(NULL);
    CHECK(!secret_alloc(SIZE_MAX));
}

/* "dd" in smaps: do not dump. */
static bool said_in_smaps(const void *where, const char *flag)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    if (!smaps)
        return false;
    char line[512];
    bool inside = false, found = false;
    while (!found && fgets(line, sizeof line, smaps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (unsigned long)where >= from && (unsigned long)where < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    fclose(smaps);
    return found;
}

TEST(a_secret_stays_out_of_core_dumps)
{
    void *secret = secret_alloc(100);
    CHECK(secret);
    bool excluded = said_in_smaps(secret, " dd");
    secret_free(secret);
    CHECK(excluded);
}

TEST(secrets_compare_by_every_byte)
{
    uint8_t a[64] = {0}, b[64] = {0};
    CHECK(secret_equal(a, b, sizeof a));
    CHECK(secret_equal(a, b, 0));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 1;
        CHECK(!secret_equal(a, b, sizeof a));
        b[i] = 0;
    }
}

TEST(wiping_leaves_zeros)
{
    uint8_t bytes[50];
    memset(bytes, 0xee, sizeof bytes);
    secret_wipe(bytes, 49);
    CHECK(all_zero(bytes, 49));
    CHECK_INT(bytes[49], 0xee);
}

/* In a child, for it cannot be undone. */
TEST(core_dumps_can_be_forbidden)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit limit;
        bool good = secret_no_core_dumps() == ERR_OK && getrlimit(RLIMIT_CORE, &limit) == 0 &&
                    limit.rlim_cur == 0 && limit.rlim_max == 0;
        _exit(good ? 0 : 1);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_MAIN(a_secret_is_zeroed_and_starts_a_page, a_secret_stays_out_of_core_dumps,
          secrets_compare_by_every_byte, wiping_leaves_zeros, core_dumps_can_be_forbidden)
