#include "writers/source/filter.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fetch/base/file.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

/* Files to be there, in folders; a name that ends in a slash is a folder. */
static const char *const paths[] = {
    "a",
    "b.o",
    "c.txt",
    "!bang",
    "#hash",
    "end ",
    "x y",
    "-dash",
    "[ab]",
    "back\\slash",
    "build/",
    "build/a.o",
    "build/keep.o",
    "build/deep/",
    "build/deep/a.o",
    "doc/",
    "doc/a.txt",
    "doc/b.txt",
    "doc/a/",
    "doc/a/b/",
    "doc/a/b/c.txt",
    "doc/frotz",
    "src/",
    "src/build",
    "src/doc/",
    "src/doc/a.txt",
    "src/main.c",
    "src/main.o",
    "src/x/",
    "src/x/y/",
    "src/x/y/z/",
    "src/x/y/z/end.c",
    "src/x/end.c",
    "src/foo/",
    "src/foo/bar",
    "foo/",
    "foo/bar",
    "foo/x/",
    "foo/x/bar",
    "foo/x/y/",
    "foo/x/y/bar",
    "abc/",
    "abc/def",
    "caf\xc3\xa9",
    "\xff\xfe.bin",
    "A",
    "z9",
    "tmp/",
    "tmp/tmp/",
    "tmp/tmp/tmp",
};

/* What stands in the file of patterns. */
static const char *const pattern_files[] = {
    "*.o\n",
    "*.o\n!keep.o\n",
    "build/\n",
    "build\n",
    "/build\n",
    "!build\n",
    "*\n!src\n!src/**\n",
    "doc/a*.txt\n",
    "doc/*\n",
    "doc/**\n",
    "**/doc\n",
    "**/doc/*.txt\n",
    "a/**/c.txt\n",
    "doc/a/**/c.txt\n",
    "/**/end.c\n",
    "src/**/end.c\n",
    "foo/**/bar\n",
    "foo/*/bar\n",
    "foo/**\n!foo/x\n",
    "/foo/*\n!/foo/x\n",
    "[ab]\n",
    "\\[ab]\n",
    "[!ab]\n",
    "[^a-c]*\n",
    "[a-c].o\n",
    "[[:digit:]]*\n",
    "*[[:digit:]]\n",
    "z[[:digit:]]\n",
    "[[:nonsense:]]\n",
    "[]-]\n",
    "[a\n",
    "?\n",
    "??\n",
    "src/?/y\n",
    "src?x\n",
    "\\!bang\n",
    "!bang\n",
    "\\#hash\n",
    "#hash\n",
    "end\\ \n",
    "end \n",
    "end\n",
    "x y\n",
    "x*y\n",
    "-dash\n",
    "back\\\\slash\n",
    "back\\slash\n",
    "trailing\\\n",
    "*\n!*/\n!*.c\n",
    "/*\n!/doc\n",
    "/\n",
    "!\n",
    "\n\n  \n",
    "a\r\nc.txt\r\n",
    "\xef\xbb\xbf"
    "a\n",
    "tmp\n",
    "/tmp\n",
    "tmp/tmp\n",
    "tmp/\n!tmp/\n",
    "*/\n",
    "**\n",
    "***\n",
    "a**\n",
    "**a\n",
    "src/**\n!src/x/\n",
    "src**\n",
    "s**/main.c\n",
    "caf?\n",
    "caf??\n",
    "*.bin\n",
    "\xff*\n",
    "*\\.txt\n",
    "doc/[a-b].txt\n",
    "doc[/]a.txt\n",
    "**/x/**\n",
    "**/x/**/end.c\n",
    "foo/**/\n",
    "doc/a/\n",
    "doc/a/b\n",
    "abc/def/\n",
    "*c/d*\n",
    "*/d*f\n",
};

static enum err write_text(const char *path, const char *text)
{
    return file_write_atomic(path, slice_str(text), 0600);
}

/* What git leaves out, one path a line. */
static enum err ask_git(const struct tmp_dir *tmp, struct buf *ret)
{
    char command[1024];
    snprintf(command, sizeof command,
             "cd '%s/tree' && git -c core.excludesFile=../patterns check-ignore -z --no-index "
             "--stdin <../list",
             tmp->path);
    FILE *pipe = popen(command, "r");
    if (!pipe)
        return err_errno("git");
    char some[4096];
    for (size_t n; (n = fread(some, 1, sizeof some, pipe)) > 0;)
        buf_put(ret, some, n);
    int status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        return err_set(ERR_IO, "git check-ignore failed with status %d", status);
    return buf_check(ret);
}

static bool git_says(const struct buf *out, const char *path)
{
    for (size_t at = 0; at < out->len; at += strlen((const char *)out->data + at) + 1)
        if (strcmp((const char *)out->data + at, path) == 0)
            return true;
    return false;
}

TEST(every_pattern_means_what_it_means_to_git)
{
    if (system("git --version >/dev/null 2>&1") != 0)
        TEST_SKIP("no git here");
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(dir_make(tmp_path(&tmp, "tree").text, 0700));
    char command[512];
    snprintf(command, sizeof command, "git init -q '%s/tree'", tmp.path);
    CHECK_INT(system(command), 0);
    AUTO(buf) list = BUF_EMPTY;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char in_tree[256], plain[256];
        snprintf(plain, sizeof plain, "%s", paths[i]);
        snprintf(in_tree, sizeof in_tree, "tree/%s", paths[i]);
        size_t len = strlen(plain);
        if (plain[len - 1] == '/')
            CHECK_OK(dir_make(tmp_path(&tmp, in_tree).text, 0700));
        else
            CHECK_OK(write_text(tmp_path(&tmp, in_tree).text, "x"));
        if (plain[len - 1] == '/')
            plain[len - 1] = 0;
        buf_put(&list, plain, strlen(plain) + 1);
    }
    CHECK_OK(file_write_atomic(tmp_path(&tmp, "list").text, buf_slice(&list), 0600));
    for (size_t i = 0; i < sizeof pattern_files / sizeof *pattern_files; i++) {
        CHECK_OK(write_text(tmp_path(&tmp, "patterns").text, pattern_files[i]));
        AUTO(buf) git = BUF_EMPTY;
        CHECK_OK(ask_git(&tmp, &git));
        AUTO_PTR(filter) filter = NULL;
        CHECK_OK(filter_new(&filter));
        CHECK_OK(filter_add_file(filter, tmp_path(&tmp, "patterns").text));
        for (size_t k = 0; k < sizeof paths / sizeof *paths; k++) {
            char plain[256];
            snprintf(plain, sizeof plain, "%s", paths[k]);
            size_t len = strlen(plain);
            bool is_dir = plain[len - 1] == '/';
            if (is_dir)
                plain[len - 1] = 0;
            bool ours = filter_match_deep(filter, slice_str(plain), is_dir);
            if (ours != git_says(&git, plain))
                test_fail(__FILE__, __LINE__, "pattern %zu \"%s\" on \"%s\": we say %d", i,
                          pattern_files[i], plain, ours);
        }
    }
}

TEST(the_last_pattern_wins_and_include_is_an_exclude_undone)
{
    AUTO_PTR(filter) filter = NULL;
    CHECK_OK(filter_new(&filter));
    CHECK(!filter_match(filter, slice_str("a.log"), false));
    CHECK_OK(filter_add(filter, "*.log", false));
    CHECK_OK(filter_add(filter, "keep*", true));
    CHECK(filter_match(filter, slice_str("x/a.log"), false));
    CHECK(!filter_match(filter, slice_str("x/keep.log"), false));
    CHECK_OK(filter_add(filter, "x/keep.log", false));
    CHECK(filter_match(filter, slice_str("x/keep.log"), false));
    CHECK(!filter_match(filter, slice_str("y/keep.log"), false));
    CHECK_OK(filter_add(filter, "!#not a comment", false));
    CHECK_ERR(ERR_INVALID, filter_add(filter, "", false));
    CHECK_ERR(ERR_INVALID, filter_add(filter, "/", false));
}

TEST(a_hundred_stars_are_no_reason_to_hang)
{
    AUTO_PTR(filter) filter = NULL;
    CHECK_OK(filter_new(&filter));
    CHECK_OK(filter_add(filter, "a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", false));
    char path[256];
    memset(path, 'a', 255);
    path[255] = 0;
    CHECK(!filter_match(filter, slice_str(path), false));
}

TEST(a_missing_file_of_patterns_is_named)
{
    AUTO_PTR(filter) filter = NULL;
    CHECK_OK(filter_new(&filter));
    CHECK_ERR(ERR_NOT_FOUND, filter_add_file(filter, "/nonexistent/patterns"));
}

TEST_MAIN(every_pattern_means_what_it_means_to_git,
          the_last_pattern_wins_and_include_is_an_exclude_undone,
          a_hundred_stars_are_no_reason_to_hang, a_missing_file_of_patterns_is_named)
