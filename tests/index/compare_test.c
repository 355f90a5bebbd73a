#include "index/compare.h"

#include "tests/support/golden.h"
#include "tests/support/test.h"

static enum err tell(void *context, enum difference what, struct slice path, const struct entry *old_entry,
                     const struct entry *new_entry)
{
    struct buf *out = context;
    if ((what == DIFF_ADDED && old_entry) || (what == DIFF_REMOVED && new_entry) ||
        (what != DIFF_ADDED && !old_entry) || (what != DIFF_REMOVED && !new_entry))
        return err_set(ERR_INVALID, "wrong entries for %c", what);
    buf_put_u8(out, (uint8_t)what);
    buf_put_u8(out, ' ');
    buf_put_slice(out, path);
    buf_put_u8(out, '\n');
    return buf_check(out);
}

static void compare(struct golden *g, const char *old_name, const char *new_name, struct buf *out)
{
    AUTO_PTR(snapshot_view) old_view = NULL;
    AUTO_PTR(snapshot_view) new_view = NULL;
    CHECK_OK(golden_view(g, old_name, &old_view));
    CHECK_OK(golden_view(g, new_name, &new_view));
    CHECK_OK(compare_trees(g->reader, old_view->root, new_view->root, tell, out));
    buf_put_u8(out, 0);
}

TEST(two_snapshots_differ_in_what_was_changed_and_in_nothing_else)
{
    AUTO(golden) g = GOLDEN_NONE;
    AUTO(buf) forth = BUF_EMPTY, back = BUF_EMPTY, same = BUF_EMPTY;
    CHECK_OK(golden_open(&g, NULL, NULL));
    CHECK_CALL(compare(&g, "files/20261120T140000Z", "files/20261120T140000Z-2", &forth));
    CHECK_STR((const char *)forth.data, "M ledger.txt\n+ new.txt\n+ shared.txt\n");
    CHECK_CALL(compare(&g, "files/20261120T140000Z-2", "files/20261120T140000Z", &back));
    CHECK_STR((const char *)back.data, "M ledger.txt\n- new.txt\n- shared.txt\n");
    CHECK_CALL(compare(&g, "files/20261120T140000Z", "files/20261120T140000Z", &same));
    CHECK_STR((const char *)same.data, "");
}

TEST(a_removed_folder_is_told_with_all_below_it)
{
    AUTO(golden) g = GOLDEN_NONE;
    AUTO(buf) out = BUF_EMPTY, expected = BUF_EMPTY;
    CHECK_OK(golden_open(&g, NULL, NULL));
    buf_put_format(&expected, "- docs\n");
    for (int i = 14; i < 40; i++)
        buf_put_format(&expected, "- docs/page-%d.txt\n", i);
    buf_put_u8(&expected, 0);
    CHECK_CALL(compare(&g, "files/20261120T140000Z-2", "files/20261121T140000Z", &out));
    CHECK_STR((const char *)out.data, (const char *)expected.data);
}

TEST(kinds_and_attributes_are_told_apart)
{
    AUTO(golden) g = GOLDEN_NONE;
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) left = NULL;
    AUTO_PTR(node) right = NULL;
    AUTO_PTR(node) docs = NULL;
    AUTO_PTR(node) changed = NULL;
    AUTO_PTR(node) file = NULL;
    AUTO(buf) out = BUF_EMPTY, one = BUF_EMPTY, kind = BUF_EMPTY;
    CHECK_OK(golden_open(&g, NULL, NULL));
    CHECK_OK(golden_view(&g, "files/20261120T140000Z", &view));
    CHECK_OK(reader_path(g.reader, view, slice_str("left"), &left));
    CHECK_OK(reader_path(g.reader, view, slice_str("right"), &right));
    CHECK_OK(compare_trees(g.reader, left, right, tell, &out));
    buf_put_u8(&out, 0);
    CHECK_STR((const char *)out.data, "- alone\n- first\n+ second\n+ third\n"); /* `link` is the same in both */

    /* Two files, or a file and a folder: the nodes themselves are compared. */
    CHECK_OK(reader_path(g.reader, view, slice_str("docs/page-14.txt"), &file));
    CHECK_OK(node_copy(file, &changed));
    changed->entry.mode = 0600;
    CHECK_OK(compare_trees(g.reader, file, changed, tell, &one));
    buf_put_u8(&one, 0);
    CHECK_STR((const char *)one.data, "m page-14.txt\n");
    CHECK_OK(reader_path(g.reader, view, slice_str("left"), &docs));
    CHECK_OK(compare_trees(g.reader, file, docs, tell, &kind));
    buf_put_u8(&kind, 0);
    CHECK_STR((const char *)kind.data, "T left\n+ left/alone\n+ left/first\n+ left/link\n");
}

static enum err stop_at_once(void *context, enum difference what, struct slice path, const struct entry *old_entry,
                             const struct entry *new_entry)
{
    (void)what;
    (void)path;
    (void)old_entry;
    (void)new_entry;
    ++*(unsigned *)context;
    return ERR_CANCELED;
}

TEST(a_comparison_may_be_stopped)
{
    AUTO(golden) g = GOLDEN_NONE;
    AUTO_PTR(snapshot_view) old_view = NULL;
    AUTO_PTR(snapshot_view) new_view = NULL;
    unsigned calls = 0;
    CHECK_OK(golden_open(&g, NULL, NULL));
    CHECK_OK(golden_view(&g, "files/20261120T140000Z", &old_view));
    CHECK_OK(golden_view(&g, "files/20261121T140000Z", &new_view));
    CHECK_ERR(ERR_CANCELED, compare_trees(g.reader, old_view->root, new_view->root, stop_at_once, &calls));
    CHECK_INT(calls, 1);
}

TEST_MAIN(two_snapshots_differ_in_what_was_changed_and_in_nothing_else, a_removed_folder_is_told_with_all_below_it,
          kinds_and_attributes_are_told_apart, a_comparison_may_be_stopped)
