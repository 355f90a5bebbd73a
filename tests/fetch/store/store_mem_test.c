#include "fetch/base/hex.h"
#include "fetch/store/store.h"

#include "tests/support/test.h"

static enum err count(void *context, const struct store_entry *entry)
{
    (void)entry;
    ++*(unsigned *)context;
    return ERR_OK;
}

TEST(the_kth_call_of_a_kind_fails_once)
{
    AUTO_PTR(store) mem = NULL;
    CHECK_OK(store_mem_open(&mem));
    store_mem_fail(mem, "p", 2, ERR_FULL);
    CHECK_OK(store_put(mem, "1", slice_str("a"), true));
    uint64_t size;
    CHECK_OK(store_head(mem, "1", &size)); /* does not count */
    CHECK_OK(store_put(mem, "2", slice_str("a"), true));
    CHECK_ERR(ERR_FULL, store_put(mem, "3", slice_str("a"), true));
    CHECK_ERR(ERR_NOT_FOUND, store_head(mem, "3", &size)); /* it did nothing */
    CHECK_OK(store_put(mem, "3", slice_str("a"), true));
}

TEST(every_kind_can_fail)
{
    AUTO_PTR(store) mem = NULL;
    AUTO(buf) bytes = BUF_EMPTY;
    uint64_t size;
    unsigned seen = 0;
    CHECK_OK(store_mem_open(&mem));
    CHECK_OK(store_put(mem, "n", slice_str("a"), true));
    store_mem_fail(mem, "g", 0, ERR_AGAIN);
    CHECK_ERR(ERR_AGAIN, store_get(mem, "n", 0, 1, &bytes));
    store_mem_fail(mem, "h", 0, ERR_DENIED);
    CHECK_ERR(ERR_DENIED, store_head(mem, "n", &size));
    store_mem_fail(mem, "l", 0, ERR_UNREACHABLE);
    CHECK_ERR(ERR_UNREACHABLE, store_list(mem, "", count, &seen));
    store_mem_fail(mem, "r", 0, ERR_IO);
    CHECK_ERR(ERR_IO, store_remove(mem, "n"));
    store_mem_fail(mem, "pghlr", 1, ERR_IO);
    CHECK_OK(store_list(mem, "", count, &seen));
    CHECK_INT(seen, 1);
    CHECK_ERR(ERR_IO, store_get(mem, "n", 0, 1, &bytes));
    store_mem_fail(mem, "pghlr", 0, ERR_IO);
    store_mem_fail(mem, "pghlr", -1, ERR_IO);
    CHECK_OK(store_get(mem, "n", 0, 1, &bytes));
}

TEST(bytes_can_be_damaged_in_place)
{
    AUTO_PTR(store) mem = NULL;
    AUTO(buf) bytes = BUF_EMPTY;
    struct buf *inside = NULL;
    CHECK_OK(store_mem_open(&mem));
    CHECK_OK(store_put(mem, "n", slice_str("abc"), true));
    CHECK_OK(store_mem_bytes(mem, "n", &inside));
    for (int i = 0; i < 200; i++) /* other objects come, this one stays where it is */
        CHECK_OK(store_put(mem, hex_of(&i, sizeof i).text, SLICE_EMPTY, true));
    inside->data[1] = 'X';
    inside->len = 2;
    CHECK_OK(store_get_all(mem, "n", 10, &bytes));
    CHECK(slice_equal(buf_slice(&bytes), slice_str("aX")));
    CHECK_ERR(ERR_NOT_FOUND, store_mem_bytes(mem, "m", &inside));
}

TEST(memory_is_no_place_on_disk)
{
    AUTO_PTR(store) mem = NULL;
    CHECK_OK(store_mem_open(&mem));
    CHECK(!store_local_path(mem));
    CHECK_STR(mem->url, "memory:");
}

TEST_MAIN(the_kth_call_of_a_kind_fails_once, every_kind_can_fail, bytes_can_be_damaged_in_place, memory_is_no_place_on_disk)
