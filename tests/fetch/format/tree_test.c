#include "fetch/format/tree.h"

#include <stdio.h>
#include <stdlib.h>

#include "fetch/crypto/digest.h"
#include "tests/support/test.h"

/* A store of tree chunks in memory: id = SHA-256, found by linear search. */
struct shelf {
    struct buf *chunks;
    struct chunk_id *ids;
    size_t count;
};

static void shelf_clear(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++)
        buf_clear(&shelf->chunks[i]);
    free(shelf->chunks);
    free(shelf->ids);
}

static enum err shelf_put(void *context, struct slice page, struct chunk_id *ret_id)
{
    struct shelf *shelf = context;
    shelf->chunks = realloc(shelf->chunks, (shelf->count + 1) * sizeof *shelf->chunks);
    shelf->ids = realloc(shelf->ids, (shelf->count + 1) * sizeof *shelf->ids);
    sha256_of(page, ret_id->bytes);
    shelf->ids[shelf->count] = *ret_id;
    shelf->chunks[shelf->count] = BUF_EMPTY;
    buf_put_slice(&shelf->chunks[shelf->count++], page);
    return ERR_OK;
}

static struct slice shelf_get(const struct shelf *shelf, const struct chunk_id *id)
{
    for (size_t i = 0; i < shelf->count; i++)
        if (memcmp(shelf->ids[i].bytes, id->bytes, 32) == 0)
            return buf_slice(&shelf->chunks[i]);
    return SLICE_EMPTY;
}

static const uint8_t cut_key[32] = "cut key";

static enum err build(struct shelf *shelf, unsigned count, int leave_out, struct summary *sum)
{
    AUTO_PTR(dir_builder) b = NULL;
    TRY(dir_builder_new(cut_key, shelf_put, shelf, &b));
    for (unsigned i = 0; i < count; i++) {
        if ((int)i == leave_out)
            continue;
        char name[32];
        snprintf(name, sizeof name, "name-%08u", i);
        struct entry e = {.name = slice_str(name), .kind = NODE_FILE, .mode = 0644, .mtime = {i, i}};
        e.content = (struct content){CONTENT_CHUNK, 10 + i, 10 + i, {{(uint8_t)i}}};
        TRY(dir_builder_add(b, &e));
    }
    return dir_builder_finish(b, sum);
}

static uint64_t walk(const struct shelf *shelf, const struct chunk_id *id, uint64_t *next_secs)
{
    AUTO(page) page = {0};
    if (page_decode(shelf_get(shelf, id), &page) != ERR_OK)
        return 0;
    uint64_t entries = 0;
    for (size_t i = 0; i < page.count; i++) {
        if (page.is_index) {
            entries += walk(shelf, &page.children[i].below.page, next_secs);
        } else {
            entries += page.entries[i].mtime.secs == (int64_t)(*next_secs)++;
        }
    }
    return entries;
}

TEST(a_large_directory_is_cut_in_pages_and_read_back_in_order)
{
    AUTO(shelf) shelf = {0};
    struct summary sum;
    CHECK_OK(build(&shelf, 20000, -1, &sum));
    CHECK_INT(sum.entries, 20000);
    CHECK_INT(sum.nodes, 20000);
    CHECK_INT(sum.files, 20000);
    CHECK_INT(sum.path_bytes, 20000 * 13);
    CHECK(shelf.count > 100 && shelf.count < 700);
    uint64_t next = 0;
    CHECK_INT(walk(&shelf, &sum.page, &next), 20000);
}

TEST(an_insertion_changes_few_pages)
{
    AUTO(shelf) a = {0}, b = {0};
    struct summary sum_a, sum_b;
    CHECK_OK(build(&a, 20000, -1, &sum_a));
    CHECK_OK(build(&b, 20000, 9999, &sum_b));
    size_t fresh = 0;
    for (size_t i = 0; i < b.count; i++)
        fresh += shelf_get(&a, &b.ids[i]).len == 0;
    CHECK(fresh >= 1 && fresh <= 6);
}

TEST(an_empty_directory_has_no_page)
{
    AUTO(shelf) shelf = {0};
    struct summary sum;
    CHECK_OK(build(&shelf, 0, -1, &sum));
    CHECK_INT(shelf.count, 0);
    CHECK_INT(sum.entries, 0);
}

TEST(names_out_of_order_are_our_mistake)
{
    AUTO(shelf) shelf = {0};
    AUTO_PTR(dir_builder) b = NULL;
    CHECK_OK(dir_builder_new(cut_key, shelf_put, &shelf, &b));
    struct entry e = {.name = slice_str("b"), .kind = NODE_FIFO};
    CHECK_OK(dir_builder_add(b, &e));
    CHECK_ERR(ERR_INVALID, dir_builder_add(b, &e));
    e.name = slice_str("a");
    CHECK_ERR(ERR_INVALID, dir_builder_add(b, &e));
}

/* Encode one entry as a page of its own. */
static void page_of(const struct entry *e, struct buf *page)
{
    buf_put_u8(page, 1);
    buf_put_u8(page, 1);
    buf_put_varint(page, 1);
    entry_encode(e, page);
    buf_put_varint(page, 0);
}

TEST(every_kind_of_entry_comes_back_as_it_was)
{
    AUTO(buf) xattrs = BUF_EMPTY;
    struct xattr x = {.name = slice_str("user.colour"), .value = slice_str("red")};
    xattr_put(&xattrs, &x);
    x = (struct xattr){.name = slice_str("user.large"), .in_chunk = true, .length = 60000, .chunk = {{7}}};
    xattr_put(&xattrs, &x);
    struct entry entries[] = {
        {.name = slice_str("dir"), .kind = NODE_DIR, .mode = 01777, .below = {{{1}}, 3, 9, 4, 50, 1, 12345}},
        {.name = slice_str("file"), .kind = NODE_FILE, .mode = 04755, .uid = 4294967294u, .has_sha256 = true, .sha256 = {9},
         .content = {CONTENT_LIST, 1 << 20, 1 << 19, {{2}}}, .has_link = true, .link = {{3}}, .xattrs = buf_slice(&xattrs)},
        {.name = slice_str("link"), .kind = NODE_SYMLINK, .mode = 0777, .target = slice_str("../else where\n")},
        {.name = slice_str("null"), .kind = NODE_CHAR, .major = 1, .minor = 3, .mtime = {-5, 999999999}},
        {.name = slice_str("\xff\xfe\n"), .kind = NODE_SOCKET, .ctime = {4294967296 * 3, 1}, .has_btime = true, .btime = {7, 8}},
    };
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        AUTO(buf) bytes = BUF_EMPTY;
        entry_encode(&entries[i], &bytes);
        struct cursor c = cursor_of(buf_slice(&bytes));
        struct entry back;
        CHECK_OK(entry_decode(&c, false, &back));
        CHECK(c.at == c.end);
        AUTO(buf) again = BUF_EMPTY;
        entry_encode(&back, &again);
        CHECK(slice_equal(buf_slice(&bytes), buf_slice(&again)));
        CHECK_INT(timestamp_compare(back.mtime, entries[i].mtime), 0);
        CHECK(back.has_btime == entries[i].has_btime);
    }
    struct cursor list = cursor_of(buf_slice(&xattrs));
    struct xattr got;
    CHECK(xattr_next(&list, &got) && slice_equal(got.value, slice_str("red")));
    CHECK(xattr_next(&list, &got) && got.in_chunk && got.length == 60000);
    CHECK(!xattr_next(&list, &got));
}

TEST(impossible_names_spoil_their_entry_only)
{
    const char *bad[] = {".", "..", "a/b", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        AUTO(buf) page = BUF_EMPTY;
        struct entry e = {.name = slice_str(bad[i]), .kind = NODE_FIFO};
        page_of(&e, &page);
        AUTO(page) decoded = {0};
        CHECK_OK(page_decode(buf_slice(&page), &decoded));
        CHECK_INT(decoded.entries[0].kind, 0);
    }
}

TEST(an_unknown_critical_field_spoils_its_entry_only)
{
    AUTO(buf) page = BUF_EMPTY, fields = BUF_EMPTY;
    fields_put(&fields, 99, true, slice_str("from the future"));
    struct entry good = {.name = slice_str("good"), .kind = NODE_FIFO}, odd = {.name = slice_str("odd"), .kind = NODE_FIFO};
    buf_put_u8(&page, 1);
    buf_put_u8(&page, 1);
    buf_put_varint(&page, 2);
    entry_encode(&good, &page);
    size_t at = page.len;
    entry_encode(&odd, &page);
    page.data[at + 1 + odd.name.len + 1] = 4; /* flags: fields */
    fields_seal(&page, &fields);
    buf_put_varint(&page, 0);
    AUTO(page) decoded = {0};
    CHECK_OK(page_decode(buf_slice(&page), &decoded));
    CHECK_INT(decoded.entries[0].kind, NODE_FIFO);
    CHECK_INT(decoded.entries[1].kind, 0);
}

TEST(a_summary_counts_what_sha256sum_will_write)
{
    struct summary inner = {0}, outer = {0};
    struct entry plain = {.name = slice_str("plain"), .kind = NODE_FILE}, odd = {.name = slice_str("a\\b\n"), .kind = NODE_FILE};
    summary_add(&inner, &plain);
    summary_add(&inner, &odd);
    CHECK_INT(inner.path_bytes, 5 + 6);
    CHECK_INT(inner.marks, 1);
    struct entry dir = {.name = slice_str("d\r"), .kind = NODE_DIR, .below = inner};
    summary_add(&outer, &dir);
    CHECK_INT(outer.nodes, 3);
    CHECK_INT(outer.files, 2);
    CHECK_INT(outer.path_bytes, 11 + 2 * (3 + 1));
    CHECK_INT(outer.marks, 2); /* both paths now hold a carriage return */
}

TEST(a_snapshot_root_comes_back)
{
    struct snapshot_root root = {.root = {.kind = NODE_DIR, .mode = 0755, .below = {{{1}}, 1, 1, 1, 4, 0, 5}}, .manifest = {CONTENT_CHUNK, 3, 3, {{4}}}};
    AUTO(buf) bytes = BUF_EMPTY;
    CHECK_OK(snapshot_root_encode(&root, &bytes));
    struct snapshot_root back;
    CHECK_OK(snapshot_root_decode(buf_slice(&bytes), &back));
    CHECK_INT(back.root.below.bytes, 5);
    CHECK_INT(back.manifest.length, 3);
    CHECK_INT(back.links.how, CONTENT_EMPTY);
    for (size_t len = 0; len < bytes.len; len++)
        CHECK(snapshot_root_decode(slice_of(bytes.data, len), &back) != ERR_OK);
}

TEST_MAIN(a_large_directory_is_cut_in_pages_and_read_back_in_order, an_insertion_changes_few_pages, an_empty_directory_has_no_page,
          names_out_of_order_are_our_mistake, every_kind_of_entry_comes_back_as_it_was, impossible_names_spoil_their_entry_only,
          an_unknown_critical_field_spoils_its_entry_only, a_summary_counts_what_sha256sum_will_write, a_snapshot_root_comes_back)
