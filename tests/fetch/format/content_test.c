#include "fetch/format/content.h"

#include <stdlib.h>

#include "fetch/crypto/digest.h"
#include "tests/support/test.h"

struct shelf {
    struct buf chunks[4096];
    struct chunk_id ids[4096];
    size_t count;
};

static enum err shelf_put(void *context, struct slice list, struct chunk_id *ret_id)
{
    struct shelf *shelf = context;
    sha256_of(list, ret_id->bytes);
    shelf->ids[shelf->count] = *ret_id;
    buf_put_slice(&shelf->chunks[shelf->count++], list);
    return ERR_OK;
}

static struct slice shelf_get(const struct shelf *shelf, const struct chunk_id *id)
{
    for (size_t i = 0; i < shelf->count; i++)
        if (memcmp(shelf->ids[i].bytes, id->bytes, 32) == 0)
            return buf_slice(&shelf->chunks[i]);
    return SLICE_EMPTY;
}

static struct shelf *shelf_new(void)
{
    return calloc(1, sizeof(struct shelf));
}

static void shelf_free(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++)
        buf_clear(&shelf->chunks[i]);
    free(shelf);
}
DEFINE_AUTO_PTR(shelf);

static struct item data_item(unsigned i)
{
    struct item item = {ITEM_DATA, 1000 + i % 7, {{0}}};
    sha256_of(slice_of(&i, sizeof i), item.id.bytes);
    return item;
}

/* Walk lists and count bytes; items must be data_item(0), (1) ... where they are data. */
static uint64_t walk(const struct shelf *shelf, const struct chunk_id *id, unsigned *next, bool *ok)
{
    AUTO(list) list = {0};
    if (list_decode(shelf_get(shelf, id), &list) != ERR_OK) {
        *ok = false;
        return 0;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (list.level > 0) {
            bytes += walk(shelf, &list.children[i].id, next, ok);
        } else if (list.children[i].what == ITEM_DATA) {
            struct item want = data_item((*next)++);
            *ok &= memcmp(want.id.bytes, list.children[i].id.bytes, 32) == 0 && want.length == list.children[i].length;
            bytes += want.length;
        } else {
            bytes += list.children[i].length;
        }
        *ok &= list_find(&list, list.children[i].start) == &list.children[i];
        *ok &= list_find(&list, list.children[i].start + list.children[i].length - 1) == &list.children[i];
    }
    *ok &= bytes == list.length;
    return bytes;
}

TEST(items_come_back_in_order_through_levels)
{
    for (unsigned count = 2; count < 60000; count = count * 3 + 1) {
        AUTO_PTR(shelf) shelf = shelf_new();
        AUTO_PTR(list_builder) b = NULL;
        CHECK_OK(list_builder_new(2, shelf_put, shelf, &b));
        uint64_t bytes = 0;
        for (unsigned i = 0; i < count; i++) {
            struct item item = data_item(i);
            bytes += item.length;
            CHECK_OK(list_builder_add(b, &item));
        }
        struct content content;
        CHECK_OK(list_builder_finish(b, &content));
        CHECK_INT(content.how, CONTENT_LIST);
        CHECK_INT(content.length, bytes);
        unsigned next = 0;
        bool ok = true;
        CHECK_INT(walk(shelf, &content.id, &next, &ok), bytes);
        CHECK(ok);
        CHECK_INT(next, count);
    }
}

TEST(one_chunk_needs_no_list_and_nothing_needs_nothing)
{
    AUTO_PTR(shelf) shelf = shelf_new();
    AUTO_PTR(list_builder) b = NULL;
    struct content content;
    CHECK_OK(list_builder_new(2, shelf_put, shelf, &b));
    CHECK_OK(list_builder_finish(b, &content));
    CHECK_INT(content.how, CONTENT_EMPTY);
    struct item item = data_item(1);
    CHECK_OK(list_builder_add(b, &item));
    CHECK_OK(list_builder_finish(b, &content));
    CHECK_INT(content.how, CONTENT_CHUNK);
    CHECK_MEM(content.id.bytes, item.id.bytes, 32);
    CHECK_INT(shelf->count, 0);
}

TEST(neighbouring_holes_are_one_and_count_as_no_data)
{
    AUTO_PTR(shelf) shelf = shelf_new();
    AUTO_PTR(list_builder) b = NULL;
    struct content content;
    struct item hole = {.what = ITEM_HOLE, .length = UINT64_C(1) << 40}, zeros = {.what = ITEM_ZEROS, .length = 5}, data = data_item(0);
    CHECK_OK(list_builder_new(4, shelf_put, shelf, &b));
    CHECK_OK(list_builder_add(b, &hole));
    CHECK_OK(list_builder_add(b, &hole));
    CHECK_OK(list_builder_add(b, &data));
    CHECK_OK(list_builder_add(b, &zeros));
    CHECK_OK(list_builder_finish(b, &content));
    CHECK_INT(content.data_bytes, data.length + 5);
    AUTO(list) list = {0};
    CHECK_OK(list_decode(shelf_get(shelf, &content.id), &list));
    CHECK_INT(list.count, 3);
    CHECK_INT(list.children[0].length, UINT64_C(2) << 40);
    CHECK_INT(list.children[0].data_bytes, 0);
    for (size_t len = 0; len < shelf->chunks[0].len; len++) {
        AUTO(list) cut = {0};
        CHECK(list_decode(slice_of(shelf->chunks[0].data, len), &cut) != ERR_OK);
    }
}

TEST(contents_that_make_no_sense_are_refused)
{
    const struct {
        const char *why;
        uint8_t bytes[48];
        size_t len;
    } cases[] = {
        {"unknown how", {3, 1}, 34},
        {"chunk of nothing", {1, 0}, 34},
        {"chunk of more than 4 MiB", {1, 0x81, 0x80, 0x80, 0x02}, 37},
        {"more data than length", {2, 5, 6}, 35},
        {"cut short", {1, 5}, 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cursor c = cursor_of(slice_of(cases[i].bytes, cases[i].len));
        content_decode(&c);
        CHECK(c.bad);
    }
}

TEST_MAIN(items_come_back_in_order_through_levels, one_chunk_needs_no_list_and_nothing_needs_nothing,
          neighbouring_holes_are_one_and_count_as_no_data, contents_that_make_no_sense_are_refused)
