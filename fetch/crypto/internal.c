#include "fetch/crypto/internal.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

enum err crypto_failed(enum err code, const char *doing)
{
    char why[256] = "no reason given";
    unsigned long number = ERR_peek_last_error();
    if (number)
        ERR_error_string_n(number, why, sizeof why);
    ERR_clear_error();
    return err_set(code, "%s: %s", doing, why);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct algorithms fetched;  /* constant after once; lives as long as the process */
static pthread_key_t thread_key;   /* a struct thread_ciphers * of its thread */
static bool thread_key_made;       /* constant after once */

static void thread_ciphers_free(void *what)
{
    struct thread_ciphers *t = what;
    if (!t)
        return;
    EVP_CIPHER_CTX_free(t->gcm);
    EVP_CIPHER_CTX_free(t->ecb);
    free(t);
}

static void prepare(void)
{
    fetched.aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    fetched.aes_ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    thread_key_made = pthread_key_create(&thread_key, thread_ciphers_free) == 0;
}

const struct algorithms *crypto_algorithms(void)
{
    pthread_once(&once, prepare);
    if (!fetched.aes_gcm || !fetched.aes_ecb || !thread_key_made) {
        crypto_failed(ERR_IO, "fetching AES-256");
        return NULL;
    }
    return &fetched;
}

static enum err thread_ciphers_new(struct thread_ciphers **ret)
{
    const struct algorithms *algorithms = crypto_algorithms();
    if (!algorithms)
        return ERR_IO;
    struct thread_ciphers *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(ERR_NOMEM, "no memory for cipher contexts");
    t->gcm = EVP_CIPHER_CTX_new();
    t->ecb = EVP_CIPHER_CTX_new();
    if (!t->gcm || !t->ecb || EVP_CipherInit_ex2(t->gcm, algorithms->aes_gcm, NULL, NULL, 1, NULL) != 1 ||
        EVP_CipherInit_ex2(t->ecb, algorithms->aes_ecb, NULL, NULL, 1, NULL) != 1 ||
        pthread_setspecific(thread_key, t) != 0) {
        thread_ciphers_free(t);
        return crypto_failed(ERR_NOMEM, "making cipher contexts");
    }
    *ret = t;
    return ERR_OK;
}

enum err crypto_thread_ciphers(const struct thread_ciphers **ret)
{
    static _Thread_local struct thread_ciphers *mine; /* the thread key's value, without the call */
    if (!mine) {
        enum err e = thread_ciphers_new(&mine);
        if (e != ERR_OK)
            return e;
    }
    *ret = mine;
    return ERR_OK;
}
