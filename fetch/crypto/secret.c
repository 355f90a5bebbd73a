#include "fetch/crypto/secret.h"

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* The page before the secret holds its size, so that secret_free needs no other word. */
static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *secret_alloc(size_t size)
{
    size_t page = page_bytes();
    if (size > SIZE_MAX - 2 * page)
        return NULL;
    size_t secret_bytes = (size + page - 1) / page * page;
    uint8_t *base = mmap(NULL, page + secret_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    memcpy(base, &secret_bytes, sizeof secret_bytes);
    uint8_t *secret = base + page;
    if (secret_bytes > 0) {
        (void)mlock(secret, secret_bytes);
        (void)madvise(secret, secret_bytes, MADV_DONTDUMP);
    }
    return secret;
}

void secret_free(void *secret)
{
    if (!secret)
        return;
    size_t page = page_bytes();
    uint8_t *base = (uint8_t *)secret - page;
    size_t secret_bytes;
    memcpy(&secret_bytes, base, sizeof secret_bytes);
    OPENSSL_cleanse(secret, secret_bytes);
    munmap(base, page + secret_bytes); /* unlocks too */
}

void secret_wipe(void *where, size_t len)
{
    OPENSSL_cleanse(where, len);
}

enum err secret_no_core_dumps(void)
{
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0)
        return err_errno("cannot forbid core dumps");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_errno("cannot make the process undumpable");
    return ERR_OK;
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
