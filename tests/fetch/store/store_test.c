/* The contract of store.h, on every driver alike; and URLs. What only one driver does: store_dir_test, store_mem_test. */
#include "fetch/store/store.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/support/test.h"
#include "tests/support/tmp.h"

/* ---- both drivers ---- */

static void on_each(void (*check)(struct store *store))
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(store) dir = NULL;
    AUTO_PTR(store) mem = NULL;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(store_dir_open(tmp.path, false, &dir));
    CHECK_CALL(check(dir));
    CHECK_OK(store_mem_open(&mem));
    CHECK_CALL(check(mem));
}

static void check_content(struct store *store, const char *name, const char *text)
{
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_OK(store_get_all(store, name, 1000, &bytes));
    CHECK(slice_equal(buf_slice(&bytes), slice_str(text)));
}

static void put_then_get(struct store *store)
{
    uint64_t size = 0;
    CHECK_OK(store_put(store, "a/b/c", slice_str("hello"), true));
    CHECK_CALL(check_content(store, "a/b/c", "hello"));
    CHECK_OK(store_head(store, "a/b/c", &size));
    CHECK_INT(size, 5);
    CHECK_OK(store_put(store, "empty", SLICE_EMPTY, true));
    CHECK_CALL(check_content(store, "empty", ""));
}
TEST(what_was_put_is_there)
{
    CHECK_CALL(on_each(put_then_get));
}

static void put_twice(struct store *store)
{
    CHECK_OK(store_put(store, "n", slice_str("first"), true));
    CHECK_ERR(ERR_EXISTS, store_put(store, "n", slice_str("second"), true));
    CHECK_CALL(check_content(store, "n", "first"));
    CHECK_OK(store_put(store, "n", slice_str("third"), false));
    CHECK_CALL(check_content(store, "n", "third"));
}
TEST(only_if_absent_leaves_what_is_there)
{
    CHECK_CALL(on_each(put_twice));
}

static void get_ranges(struct store *store)
{
    CHECK_OK(store_put(store, "n", slice_str("0123456789"), true));
    for (size_t from = 0; from <= 10; from++)
        for (size_t len = 0; len <= 10 - from; len++) {
            AUTO(buf) bytes = BUF_EMPTY;
            CHECK_OK(store_get(store, "n", from, len, &bytes));
            CHECK(slice_equal(buf_slice(&bytes), slice_of(&"0123456789"[from], len)));
        }
}
TEST(any_range_can_be_read)
{
    CHECK_CALL(on_each(get_ranges));
}

static void get_too_far(struct store *store)
{
    static const struct {
        uint64_t offset;
        size_t len;
    } cases[] = {{0, 6}, {5, 1}, {6, 0}, {1, SIZE_MAX}, {UINT64_MAX, 1}, {UINT64_MAX, SIZE_MAX}, {INT64_MAX, 1}};
    CHECK_OK(store_put(store, "n", slice_str("12345"), true));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO(buf) bytes = BUF_EMPTY;
        CHECK_ERR(ERR_CORRUPT, store_get(store, "n", cases[i].offset, cases[i].len, &bytes));
        CHECK(!bytes.data);
        CHECK(strstr(err_text(), "cut short"));
    }
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_ERR(ERR_CORRUPT, store_get_all(store, "n", 4, &bytes));
    CHECK(!bytes.data);
}
TEST(a_range_beyond_the_end_is_damage)
{
    CHECK_CALL(on_each(get_too_far));
}

static void miss(struct store *store)
{
    AUTO(buf) bytes = BUF_EMPTY;
    uint64_t size;
    CHECK_OK(store_put(store, "folder/n", slice_str("x"), true));
    static const char *const names[] = {"other", "folder", "folder/other", "other/n", "folder/n/below"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_ERR(ERR_NOT_FOUND, store_get(store, names[i], 0, 1, &bytes));
        CHECK_ERR(ERR_NOT_FOUND, store_get_all(store, names[i], 100, &bytes));
        CHECK_ERR(ERR_NOT_FOUND, store_head(store, names[i], &size));
    }
    CHECK_OK(store_remove(store, "other"));
    CHECK_OK(store_remove(store, "other/n"));
}
TEST(what_is_not_there_is_not_found)
{
    CHECK_CALL(on_each(miss));
}

static void remove_one(struct store *store)
{
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_OK(store_put(store, "a/n", slice_str("one"), true));
    CHECK_OK(store_get(store, "a/n", 1, 1, &bytes)); /* a part: the folder driver keeps it open */
    buf_clear(&bytes);
    CHECK_OK(store_remove(store, "a/n"));
    CHECK_ERR(ERR_NOT_FOUND, store_get(store, "a/n", 1, 1, &bytes));
    CHECK_OK(store_put(store, "a/n", slice_str("two"), true));
    CHECK_OK(store_get(store, "a/n", 1, 1, &bytes));
    CHECK_INT(bytes.data[0], 'w');
}
TEST(a_removed_object_is_gone)
{
    CHECK_CALL(on_each(remove_one));
}

/* ---- lists ---- */

struct listed {
    struct buf names; /* each with a newline */
    uint64_t bytes;
    long stop_after; /* -1: never */
    enum err code;
};

static enum err note_name(void *context, const struct store_entry *entry)
{
    struct listed *l = context;
    buf_put_format(&l->names, "%s\n", entry->name);
    l->bytes += entry->size_bytes;
    return l->stop_after-- == 0 ? err_set(l->code, "enough") : ERR_OK;
}

static void check_list(struct store *store, const char *prefix, const char *names)
{
    struct listed l = {.stop_after = -1};
    CHECK_OK(store_list(store, prefix, note_name, &l));
    buf_put_u8(&l.names, 0);
    bool same = strcmp((const char *)l.names.data, names) == 0;
    if (!same)
        test_fail(__FILE__, __LINE__, "prefix '%s' lists:\n%s", prefix, (const char *)l.names.data);
    buf_clear(&l.names);
}

static void list_prefixes(struct store *store)
{
    CHECK_CALL(check_list(store, "", ""));
    static const char *const names[] = {"z", "a/b/2", "a/b/1", "a-1", "a.x", "a0", "ab/c", "a/c", "B", "a/b-1/x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_OK(store_put(store, names[i], slice_str(names[i]), true));
    /* By bytes of the whole name: '-' and '.' come before '/', a folder's name does not end it. */
    CHECK_CALL(check_list(store, "", "B\na-1\na.x\na/b-1/x\na/b/1\na/b/2\na/c\na0\nab/c\nz\n"));
    CHECK_CALL(check_list(store, "a", "a-1\na.x\na/b-1/x\na/b/1\na/b/2\na/c\na0\nab/c\n"));
    CHECK_CALL(check_list(store, "a/", "a/b-1/x\na/b/1\na/b/2\na/c\n"));
    CHECK_CALL(check_list(store, "a/b", "a/b-1/x\na/b/1\na/b/2\n"));
    CHECK_CALL(check_list(store, "a/b/", "a/b/1\na/b/2\n"));
    CHECK_CALL(check_list(store, "a/b/2", "a/b/2\n"));
    CHECK_CALL(check_list(store, "a/b/3", ""));
    CHECK_CALL(check_list(store, "a/b/2/", ""));
    CHECK_CALL(check_list(store, "none/", ""));
    CHECK_CALL(check_list(store, "none/at/all", ""));
    CHECK_CALL(check_list(store, "zz", ""));
}
TEST(lists_are_in_order_and_know_prefixes)
{
    CHECK_CALL(on_each(list_prefixes));
}

static void list_stops(struct store *store)
{
    static const char *const names[] = {"1", "2", "3/4", "5"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_OK(store_put(store, names[i], slice_str("sixsix"), true));
    struct listed l = {.stop_after = 2, .code = ERR_CANCELED};
    CHECK_ERR(ERR_CANCELED, store_list(store, "", note_name, &l));
    bool right = slice_equal(buf_slice(&l.names), slice_str("1\n2\n3/4\n"));
    uint64_t bytes = l.bytes;
    buf_clear(&l.names);
    CHECK(right);
    CHECK_INT(bytes, 18);
}
TEST(a_list_stops_when_asked_to)
{
    CHECK_CALL(on_each(list_stops));
}

static enum err remove_listed(void *context, const struct store_entry *entry)
{
    struct store *store = context;
    char name[256];
    snprintf(name, sizeof name, "%s", entry->name);
    return store_remove(store, name);
}

static void list_and_remove(struct store *store)
{
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d/%d", i % 7, i);
        CHECK_OK(store_put(store, name, SLICE_EMPTY, true));
    }
    CHECK_OK(store_list(store, "", remove_listed, store));
    CHECK_CALL(check_list(store, "", ""));
}
TEST(a_list_may_remove_what_it_sees)
{
    CHECK_CALL(on_each(list_and_remove));
}

/* ---- names ---- */

static void refuse_names(struct store *store)
{
    static const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", ".tmp-1", "a/.b", "a b", "a\nb", "a\\b",
                                      "\xc3\xa9", "a*", "a:b"};
    AUTO(buf) bytes = BUF_EMPTY;
    uint64_t size;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_ERR(ERR_INVALID, store_put(store, bad[i], SLICE_EMPTY, false));
        CHECK_ERR(ERR_INVALID, store_get(store, bad[i], 0, 0, &bytes));
        CHECK_ERR(ERR_INVALID, store_get_all(store, bad[i], 0, &bytes));
        CHECK_ERR(ERR_INVALID, store_head(store, bad[i], &size));
        CHECK_ERR(ERR_INVALID, store_remove(store, bad[i]));
    }
    static const char *const bad_prefixes[] = {"/", "a//", "../", ".", "a/.", "*"};
    for (size_t i = 0; i < sizeof bad_prefixes / sizeof *bad_prefixes; i++)
        CHECK_ERR(ERR_INVALID, store_list(store, bad_prefixes[i], remove_listed, store));

    char longest[258];
    memset(longest, 'n', sizeof longest);
    longest[256] = 0;
    CHECK_ERR(ERR_INVALID, store_put(store, longest, SLICE_EMPTY, false));
    longest[255] = 0;
    CHECK_OK(store_put(store, longest, SLICE_EMPTY, false));
    longest[0] = 'm';
    longest[100] = '/';
    CHECK_OK(store_put(store, longest, slice_str("deep"), false));
    CHECK_CALL(check_content(store, longest, "deep"));
    struct listed l = {.stop_after = -1};
    CHECK_OK(store_list(store, "m", note_name, &l));
    size_t len = l.names.len;
    buf_clear(&l.names);
    CHECK_INT(len, 256);
}
TEST(names_that_could_leave_the_store_are_refused)
{
    CHECK_CALL(on_each(refuse_names));
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 60 };

struct worker {
    struct store *store;
    unsigned number;
    unsigned won; /* put only if absent */
    bool failed;
};

/* All put, read parts of and remove the same few names, and race for one name a round. */
static void *work(void *context)
{
    struct worker *w = context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char name[64], race[64];
        AUTO(buf) bytes = BUF_EMPTY;
        snprintf(name, sizeof name, "shared/%u", i % 3);
        snprintf(race, sizeof race, "race/%u", i);
        w->failed |= store_put(w->store, name, slice_str("the same bytes"), false) != ERR_OK;
        enum err e = store_get(w->store, name, 4, 4, &bytes);
        w->failed |= e != ERR_NOT_FOUND && (e != ERR_OK || memcmp(bytes.data, "same", 4) != 0);
        if (i % 5 == w->number)
            w->failed |= store_remove(w->store, name) != ERR_OK;
        e = store_put(w->store, race, slice_str("mine"), true);
        w->failed |= e != ERR_OK && e != ERR_EXISTS;
        w->won += e == ERR_OK;
    }
    return NULL;
}

static void many_threads(struct store *store)
{
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    unsigned started = 0, won = 0;
    bool failed = false;
    for (; started < THREADS; started++) {
        workers[started] = (struct worker){.store = store, .number = started};
        if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0)
            break;
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        failed |= workers[i].failed;
        won += workers[i].won;
    }
    CHECK_INT(started, THREADS);
    CHECK(!failed);
    CHECK_INT(won, ROUNDS);
}
TEST(threads_share_a_store_and_one_wins_each_name)
{
    CHECK_CALL(on_each(many_threads));
}

/* ---- URLs ---- */

static void check_opens(const char *url, const char *path)
{
    AUTO_PTR(store) store = NULL;
    CHECK_OK(store_open(url, false, &store));
    CHECK_STR(store_local_path(store), path);
    CHECK_STR(store->url, path);
}

TEST(a_path_and_a_file_url_open_a_folder)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(store) made = NULL;
    CHECK_OK(tmp_dir_new(&tmp));
    struct tmp_path path = tmp_path(&tmp, "my store");
    CHECK_OK(store_open(path.text, true, &made));
    CHECK_CALL(check_opens(path.text, path.text));
    char url[4200];
    snprintf(url, sizeof url, "file://%s", path.text);
    CHECK_CALL(check_opens(url, path.text));
    snprintf(url, sizeof url, "file://%s/my%%20st%%6Fre", tmp.path);
    CHECK_CALL(check_opens(url, path.text));
}

TEST(urls_that_make_no_sense_are_refused)
{
    static const char *const bad[] = {"", "s3://bucket/path", "gs://bucket", "azure://container", "ftp://host/", "file://host/path",
                                      "file:///a%0", "file:///a%zz", "file:///a%00b", "://"};
    AUTO_PTR(store) store = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERR(ERR_INVALID, store_open(bad[i], true, &store));
    CHECK_ERR(ERR_INVALID, store_open("s3://bucket", false, &store));
    CHECK(strstr(err_text(), "s3 is not built in yet"));
}

TEST(a_secret_in_a_url_is_refused_and_not_repeated)
{
    static const char *const bad[] = {"s3://KEY:hunter2@bucket/path", "ftp://user:hunter2@host", "s3://bucket?secret_access_key=hunter2",
                                      "azure://c/p?sv=1&SIG=hunter2", "file://user:hunter2@/path"};
    AUTO_PTR(store) store = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_ERR(ERR_INVALID, store_open(bad[i], true, &store));
        CHECK(strstr(err_text(), "secret"));
        CHECK(!strstr(err_text(), "hunter2"));
    }
}

TEST(no_store_at_all_is_said_with_what_to_do)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO_PTR(store) store = NULL;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_ERR(ERR_NO_STORE, store_open(tmp_path(&tmp, "missing").text, false, &store));
    CHECK(strstr(err_text(), "no store at"));
    CHECK(strstr(err_text(), "yore init"));
    CHECK(!store);
}

TEST(freeing_nothing_is_fine)
{
    store_free(NULL);
    CHECK(true);
}

TEST_MAIN(what_was_put_is_there, only_if_absent_leaves_what_is_there, any_range_can_be_read, a_range_beyond_the_end_is_damage,
          what_is_not_there_is_not_found, a_removed_object_is_gone, lists_are_in_order_and_know_prefixes,
          a_list_stops_when_asked_to, a_list_may_remove_what_it_sees, names_that_could_leave_the_store_are_refused,
          threads_share_a_store_and_one_wins_each_name, a_path_and_a_file_url_open_a_folder,
          urls_that_make_no_sense_are_refused, a_secret_in_a_url_is_refused_and_not_repeated,
          no_store_at_all_is_said_with_what_to_do, freeing_nothing_is_fine)
