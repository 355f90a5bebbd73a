#include "fetch/base/err.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/support/test.h"

TEST(a_set_error_keeps_its_code_and_sentence)
{
    CHECK_ERR(ERR_CORRUPT, err_set(ERR_CORRUPT, "pack %d is %s", 7, "torn"));
    CHECK_STR(err_text(), "pack 7 is torn");
}

TEST(adding_a_noun_puts_it_in_front)
{
    enum err e = err_set(ERR_AUTH, "tag does not match");
    e = err_add(e, "chunk %s", "ab12");
    CHECK_ERR(ERR_AUTH, err_add(e, "snapshot %d", 3));
    CHECK_STR(err_text(), "snapshot 3: chunk ab12: tag does not match");
}

TEST(adding_to_success_does_nothing)
{
    err_set(ERR_IO, "old news");
    CHECK_ERR(ERR_OK, err_add(ERR_OK, "snapshot"));
    CHECK_STR(err_text(), "old news");
}

TEST(the_old_sentence_may_be_part_of_the_new_one)
{
    err_set(ERR_IO, "disk fell out");
    err_set(ERR_IO, "backup failed: %s", err_text());
    CHECK_STR(err_text(), "backup failed: disk fell out");
}

TEST(errno_becomes_what_the_caller_can_do)
{
    static const struct {
        int number;
        enum err code;
    } cases[] = {
        {ENOSPC, ERR_FULL},   {EDQUOT, ERR_FULL},  {ENOENT, ERR_NOT_FOUND}, {ENOTDIR, ERR_NOT_FOUND},
        {EEXIST, ERR_EXISTS}, {EACCES, ERR_DENIED}, {EPERM, ERR_DENIED},     {EROFS, ERR_DENIED},
        {ENOMEM, ERR_NOMEM},  {EIO, ERR_IO},        {EINVAL, ERR_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        errno = cases[i].number;
        CHECK_ERR(cases[i].code, err_errno("cannot open %s", "/etc/x"));
    }
    errno = ENOENT;
    err_errno("cannot open %s", "/etc/x");
    CHECK_STR(err_text(), "cannot open /etc/x: No such file or directory");
}

TEST(a_long_sentence_is_cut_and_terminated)
{
    char text[3 * ERR_TEXT_MAX];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    err_set(ERR_IO, "%s", text);
    CHECK_INT(strlen(err_text()), ERR_TEXT_MAX - 1);
    err_add(ERR_IO, "noun");
    CHECK_INT(strlen(err_text()), ERR_TEXT_MAX - 1);
    CHECK(strncmp(err_text(), "noun: aaa", 9) == 0);
}

static void *fail_elsewhere(void *ret_note)
{
    err_take(err_set(ERR_FULL, "bucket is full"), ret_note);
    return NULL;
}

TEST(an_error_travels_to_another_thread_only_when_carried)
{
    err_set(ERR_IO, "mine");
    struct err_note note;
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, fail_elsewhere, &note), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_STR(err_text(), "mine");
    CHECK_ERR(ERR_FULL, err_raise(&note));
    CHECK_STR(err_text(), "bucket is full");
}

TEST(raising_success_keeps_the_note)
{
    err_set(ERR_IO, "mine");
    struct err_note fine = {.code = ERR_OK, .text = "not to be seen"};
    CHECK_OK(err_raise(&fine));
    CHECK_STR(err_text(), "mine");
}

TEST(every_code_has_a_word_of_its_own)
{
    for (int a = ERR_OK; a <= ERR_IO; a++) {
        CHECK(strcmp(err_word((enum err)a), "unknown") != 0);
        for (int b = ERR_OK; b < a; b++)
            CHECK(strcmp(err_word((enum err)a), err_word((enum err)b)) != 0);
    }
    CHECK_STR(err_word((enum err)(ERR_IO + 1)), "unknown");
}

TEST_MAIN(a_set_error_keeps_its_code_and_sentence, adding_a_noun_puts_it_in_front,
          adding_to_success_does_nothing, the_old_sentence_may_be_part_of_the_new_one,
          errno_becomes_what_the_caller_can_do, a_long_sentence_is_cut_and_terminated,
          an_error_travels_to_another_thread_only_when_carried, raising_success_keeps_the_note,
          every_code_has_a_word_of_its_own)
