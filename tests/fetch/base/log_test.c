#include "fetch/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "fetch/base/clock.h"
#include "fetch/base/file.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

/* A log into a file of a folder; back to stderr when the scope ends. */
struct logged {
    struct tmp_dir tmp;
    int fd;
    char text[256 * 1024];
};

static void logged_clear(struct logged *l)
{
    log_open(LOG_LEVEL_WARN, LOG_STYLE_PLAIN, STDERR_FILENO);
    clock_thaw();
    close(l->fd);
    tmp_dir_clear(&l->tmp);
}

static struct logged logged_new(enum log_level level, enum log_style style)
{
    struct logged l = {.fd = -1};
    if (tmp_dir_new(&l.tmp) == ERR_OK)
        l.fd = open(tmp_path(&l.tmp, "log").text, O_RDWR | O_CREAT | O_APPEND, 0600);
    log_open(level, style, l.fd);
    clock_freeze((struct timestamp){1795183200, 123456789});
    return l;
}

static const char *text_of(struct logged *l)
{
    size_t got = 0;
    if (pread_full(l->fd, l->text, sizeof l->text - 1, 0, &got) != ERR_OK)
        return "(unreadable)";
    l->text[got] = 0;
    return l->text;
}

TEST(plain_lines_are_for_people)
{
    AUTO(logged) l = logged_new(LOG_LEVEL_INFO, LOG_STYLE_PLAIN);
    log_error("pack %d is gone", 7);
    log_warn("clock stepped");
    log_info("done");
    log_debug("not shown");
    CHECK_STR(text_of(&l), "yore: error: pack 7 is gone\nyore: warning: clock stepped\nyore: done\n");
}

TEST(logfmt_lines_are_for_grep)
{
    AUTO(logged) l = logged_new(LOG_LEVEL_DEBUG, LOG_STYLE_LOGFMT);
    log_debug("say \"hi\"");
    log_err(LOG_LEVEL_ERROR, err_set(ERR_CORRUPT, "tag does not match"), "pack %s", "ab12");
    CHECK_STR(text_of(&l), "time=2026-11-20T14:00:00.123Z level=debug msg=\"say \\\"hi\\\"\"\n"
                           "time=2026-11-20T14:00:00.123Z level=error err=corrupt "
                           "msg=\"pack ab12: tag does not match\"\n");
}

TEST(json_lines_are_for_programs)
{
    AUTO(logged) l = logged_new(LOG_LEVEL_INFO, LOG_STYLE_JSON);
    log_info("a \"b\" \\ c");
    log_err(LOG_LEVEL_WARN, err_set(ERR_FULL, "bucket is full"), "upload");
    CHECK_STR(text_of(&l), "{\"time\":\"2026-11-20T14:00:00.123Z\",\"level\":\"info\",\"msg\":\"a \\\"b\\\" \\\\ c\"}\n"
                           "{\"time\":\"2026-11-20T14:00:00.123Z\",\"level\":\"warn\",\"err\":\"no-space\","
                           "\"msg\":\"upload: bucket is full\"}\n");
}

TEST(bytes_from_outside_cannot_break_a_line_or_move_a_terminal)
{
    AUTO(logged) l = logged_new(LOG_LEVEL_INFO, LOG_STYLE_PLAIN);
    log_info("%s", "a\nyore: error: forged \x1b[2J \xc2\x9b \xff \xc3\xa4");
    log_open(LOG_LEVEL_INFO, LOG_STYLE_JSON, l.fd);
    log_info("%s", "\n\xff\xc3\xa4");
    CHECK_STR(text_of(&l), "yore: a\\x0ayore: error: forged \\x1b[2J \\xc2\\x9b \\xff \xc3\xa4\n"
                           "{\"time\":\"2026-11-20T14:00:00.123Z\",\"level\":\"info\",\"msg\":\"\\\\x0a\\\\xff\xc3\xa4\"}\n");
}

TEST(a_long_line_is_cut_and_still_ends)
{
    AUTO(logged) l = logged_new(LOG_LEVEL_INFO, LOG_STYLE_PLAIN);
    char text[10000];
    memset(text, '\1', sizeof text);
    text[sizeof text - 1] = 0;
    log_info("%s", text);
    log_info("next");
    const char *end = strchr(text_of(&l), '\n');
    CHECK(end != NULL);
    CHECK_STR(end + 1, "yore: next\n");
}

TEST(errno_stays_as_it_was)
{
    AUTO(logged) l = logged_new(LOG_LEVEL_INFO, LOG_STYLE_PLAIN);
    log_open(LOG_LEVEL_INFO, LOG_STYLE_PLAIN, -1);
    errno = ENOSPC;
    log_info("to nowhere");
    CHECK_INT(errno, ENOSPC);
}

TEST(levels_have_words)
{
    enum log_level level = LOG_LEVEL_INFO;
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        CHECK(log_level_parse(log_level_word((enum log_level)i), &level));
        CHECK_INT(level, i);
    }
    CHECK(!log_level_parse("loud", &level));
    CHECK(!log_level_parse("", &level));
}

static void *chatter(void *word)
{
    for (int i = 0; i < 500; i++)
        log_info("%s %s %s", (const char *)word, (const char *)word, (const char *)word);
    return NULL;
}

TEST(lines_of_several_threads_do_not_mix)
{
    AUTO(logged) l = logged_new(LOG_LEVEL_INFO, LOG_STYLE_PLAIN);
    static char words[3][8] = {"aaa", "bbb", "ccc"};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, chatter, words[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    int lines = 0;
    for (const char *at = text_of(&l); *at; lines++) {
        CHECK(strncmp(at, "yore: aaa aaa aaa\n", 18) == 0 || strncmp(at, "yore: bbb bbb bbb\n", 18) == 0 ||
              strncmp(at, "yore: ccc ccc ccc\n", 18) == 0);
        at += 18;
    }
    CHECK_INT(lines, 1500);
}

TEST_MAIN(plain_lines_are_for_people, logfmt_lines_are_for_grep, json_lines_are_for_programs,
          bytes_from_outside_cannot_break_a_line_or_move_a_terminal, a_long_line_is_cut_and_still_ends,
          errno_stays_as_it_was, levels_have_words, lines_of_several_threads_do_not_mix)
