#include "fs/sums.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/base/file.h"
#include "fetch/crypto/digest.h"
#include "tests/support/test.h"
#include "tests/support/tmp.h"

/* Names that sha256sum writes in every way it has. */
static const char *const names[] = {"plain",         "with blank", "back\\slash", "new\nline",
                                    "re\rturn",      "\\",         "\n\n",        "*star",
                                    "uml\xc3\xa4ut", "\xff\xfe"};
enum { NAMES = sizeof names / sizeof *names };

/* What the coreutils say of the files just made. */
static enum err run_sha256sum(const char *folder, const char *path, struct buf *ret_text)
{
    int ends[2];
    if (pipe(ends) != 0)
        return err_errno("pipe");
    pid_t child = fork();
    if (child == 0) {
        if (chdir(folder) == 0 && dup2(ends[1], 1) == 1)
            execlp("sha256sum", "sha256sum", "--", path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    AUTO_FD from = ends[0];
    char piece[4096];
    size_t got;
    do {
        TRY(read_full(from, piece, sizeof piece, &got));
        buf_put(ret_text, piece, got);
    } while (got == sizeof piece);
    return buf_check(ret_text);
}

TEST(a_line_is_what_sha256sum_prints)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    for (int i = 0; i < NAMES; i++) {
        AUTO(buf) expected = BUF_EMPTY;
        AUTO(buf) got = BUF_EMPTY;
        uint8_t sha256[32];
        CHECK_OK(file_write_new(tmp_path(&tmp, names[i]).text, slice_str(names[i]), 0600));
        CHECK_OK(run_sha256sum(tmp.path, names[i], &expected));
        sha256_of(slice_str(names[i]), sha256);
        sums_line(sha256, slice_str(names[i]), &got);
        CHECK_INT(got.len, expected.len);
        CHECK_MEM(got.data, expected.data, got.len);
    }
}

TEST(a_line_has_as_many_bytes_as_arithmetic_says)
{
    static const uint8_t sha256[32] = {1};
    for (int i = 0; i < NAMES; i++) {
        for (int d = 0; d < NAMES; d++) {
            AUTO(buf) path = BUF_EMPTY;
            AUTO(buf) line = BUF_EMPTY;
            buf_put_format(&path, "%s/%s", names[d], names[i]);
            sums_line(sha256, buf_slice(&path), &line);
            bool mark;
            uint64_t prefix = escaped_len(slice_str(names[d]), &mark) + 1;
            struct entry file = {.name = slice_str(names[i]), .kind = NODE_FILE};
            CHECK_INT(sums_entry_bytes(&file, prefix, mark), line.len);
            line.len = 0;
            sums_line(NULL, buf_slice(&path), &line); /* and so has the comment in its place */
            CHECK_INT(sums_entry_bytes(&file, prefix, mark), line.len);
            CHECK(line.data[0] == '#');
        }
    }
}

TEST(a_folder_adds_what_its_files_add)
{
    static const uint8_t sha256[32] = {1};
    /* <top>/<dir>/<all the names>, and a few things that are no files */
    for (int t = 0; t < NAMES; t++) {
        for (int d = 0; d < NAMES; d++) {
            AUTO(buf) text = BUF_EMPTY;
            struct entry dir = {.name = slice_str(names[d]), .kind = NODE_DIR};
            for (int i = 0; i < NAMES; i++) {
                AUTO(buf) path = BUF_EMPTY;
                struct entry file = {.name = slice_str(names[i]), .kind = NODE_FILE};
                summary_add(&dir.below, &file);
                buf_put_format(&path, "%s/%s/%s", names[t], names[d], names[i]);
                sums_line(sha256, buf_slice(&path), &text);
            }
            struct entry link = {
                .name = slice_str("a\nlink"), .kind = NODE_SYMLINK, .target = slice_str("x")};
            summary_add(&dir.below, &link);
            bool mark;
            uint64_t prefix = escaped_len(slice_str(names[t]), &mark) + 1;
            CHECK_INT(sums_entry_bytes(&dir, prefix, mark), text.len);
            CHECK_INT(sums_entry_bytes(&link, prefix, mark), 0);

            struct entry top = {.name = slice_str(names[t]), .kind = NODE_DIR};
            summary_add(&top.below, &dir);
            CHECK_INT(sums_entry_bytes(&top, 0, false), text.len);
            struct summary root = {0};
            summary_add(&root, &top);
            CHECK_INT(sums_total_bytes(&root), text.len);
        }
    }
}

TEST_MAIN(a_line_is_what_sha256sum_prints, a_line_has_as_many_bytes_as_arithmetic_says,
          a_folder_adds_what_its_files_add)
