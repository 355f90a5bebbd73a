/*
 * Walking trees, on the golden store: its `shapes` has divisions that our writer never makes.
 */
#include "index/walk.h"

#include <pthread.h>
#include <stdio.h>

#include "fetch/crypto/digest.h"
#include "index/compare.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

/* ---- one store for all: opening takes scrypt its time ---- */

static struct golden golden;

static void close_golden(void)
{
    golden_clear(&golden);
}

static enum err view_of(const char *name, struct snapshot_view **ret_view)
{
    if (!golden.reader) {
        golden = GOLDEN_NONE;
        TRY(golden_open(&golden, NULL, NULL));
        atexit(close_golden);
    }
    return golden_view(&golden, name, ret_view);
}

static enum err node_of(const char *snapshot, const char *path, struct snapshot_view **ret_view, struct node **ret_node)
{
    TRY(view_of(snapshot, ret_view));
    return reader_path(golden.reader, *ret_view, slice_str(path), ret_node);
}

/* ---- names ---- */

struct collected {
    uint64_t ordinals[1200], positions[1200];
    char names[1200][40];
    size_t count, stop_at;
};

static enum err collect(void *context, const struct entry *entry, uint64_t ordinal, uint64_t position)
{
    struct collected *c = context;
    if (c->count == c->stop_at)
        return ERR_CANCELED;
    c->ordinals[c->count] = ordinal;
    c->positions[c->count] = position;
    snprintf(c->names[c->count++], 40, "%.*s", (int)entry->name.len, (const char *)entry->name.data);
    return ERR_OK;
}

static void check_entries_from(const char *snapshot, const char *path, uint64_t expected)
{
    static struct collected all, some;
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) dir = NULL;
    CHECK_OK(node_of(snapshot, path, &view, &dir));
    all = (struct collected){.stop_at = 1200};
    CHECK_OK(reader_entries(golden.reader, dir, 0, collect, &all));
    CHECK_INT(all.count, expected);
    CHECK_INT(dir->entry.below.entries, expected);
    for (size_t i = 0; i < all.count; i++) {
        CHECK_INT(all.ordinals[i], i);
        CHECK(i == 0 || strcmp(all.names[i - 1], all.names[i]) < 0);
    }
    for (uint64_t first = 0; first <= expected + 1; first += 1 + expected / 97) {
        uint64_t left = first < expected ? expected - first : 0;
        some = (struct collected){.stop_at = 1200};
        CHECK_OK(reader_entries(golden.reader, dir, first, collect, &some));
        CHECK_INT(some.count, left);
        for (size_t i = 0; i < some.count; i++) {
            CHECK_INT(some.ordinals[i], first + i);
            CHECK_INT(some.positions[i], all.positions[first + i]);
            CHECK_STR(some.names[i], all.names[first + i]);
        }
    }
    some = (struct collected){.stop_at = 1};
    CHECK_ERR(expected > 1 ? ERR_CANCELED : ERR_OK, reader_entries(golden.reader, dir, 0, collect, &some));
}

TEST(entries_come_in_order_from_any_ordinal_on)
{
    CHECK_CALL(check_entries_from("many/latest", "all", 1100));    /* an index of leaves */
    CHECK_CALL(check_entries_from("shapes/latest", "pages", 30));  /* an index of indexes */
    CHECK_CALL(check_entries_from("files/20261120T140000Z", "docs", 26));
    CHECK_CALL(check_entries_from("files/20261120T140000Z", "empty-directory", 0));
    CHECK_CALL(check_entries_from("files/20261120T140000Z", "empty", 0)); /* a file has none */
}

TEST(names_beside_and_between_those_there_are_not_found)
{
    static const char *const absent[] = {"", "entry-", "entry-0000a", "entry-1100", "entry-00070", "zzz", "\xff", "Entry-0000"};
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) dir = NULL;
    AUTO_PTR(node) found = NULL;
    CHECK_OK(node_of("many/latest", "all", &view, &dir));
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        CHECK_ERR(ERR_NOT_FOUND, reader_lookup(golden.reader, dir, slice_str(absent[i]), &found));
    CHECK_OK(reader_lookup(golden.reader, dir, slice_str("entry-0007\xc3\xa9"), &found));
    CHECK_ERR(ERR_NOT_FOUND, reader_lookup(golden.reader, found, slice_str("x"), &found)); /* a file has no children */
}

TEST(paths_may_be_written_in_more_than_one_way)
{
    static const char *const same[] = {"docs/page-14.txt", "/docs/page-14.txt", "docs//page-14.txt/", "./docs/./page-14.txt"};
    static const char *const none[] = {"docs/page-99.txt", "docs/page-14.txt/x", "../docs", "docs/..", "Docs"};
    AUTO_PTR(snapshot_view) view = NULL;
    CHECK_OK(view_of("files/20261120T140000Z", &view));
    uint64_t position = 0;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        AUTO_PTR(node) node = NULL;
        CHECK_OK(reader_path(golden.reader, view, slice_str(same[i]), &node));
        CHECK(position == 0 || node->position == position);
        position = node->position;
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        AUTO_PTR(node) node = NULL;
        CHECK_ERR(ERR_NOT_FOUND, reader_path(golden.reader, view, slice_str(none[i]), &node));
    }
    AUTO_PTR(node) root = NULL;
    AUTO_PTR(node) dot = NULL;
    CHECK_OK(reader_path(golden.reader, view, SLICE_EMPTY, &root));
    CHECK_OK(reader_path(golden.reader, view, slice_str("."), &dot));
    CHECK_INT(root->position, 0);
    CHECK_INT(dot->position, 0);
}

struct visiting {
    unsigned dirs, others, stop_after;
    bool prune;
};

static enum err count_visit(void *context, struct slice path, const struct entry *entry, uint64_t position)
{
    struct visiting *v = context;
    (void)path;
    (void)position;
    v->dirs += entry->kind == NODE_DIR;
    v->others += entry->kind != NODE_DIR;
    if (v->stop_after && v->dirs + v->others == v->stop_after)
        return ERR_CANCELED;
    return v->prune && entry->kind == NODE_DIR ? VISIT_PRUNE : ERR_OK;
}

TEST(a_visit_may_leave_out_folders_or_stop)
{
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) deep = NULL;
    CHECK_OK(node_of("shapes/latest", "deep", &view, &deep));
    struct visiting all = {0}, pruned = {.prune = true}, stopped = {.stop_after = 17}, below = {0};
    CHECK_OK(reader_visit(golden.reader, view, view->root, count_visit, &all));
    CHECK_INT(all.dirs, 51);
    CHECK_INT(all.dirs + all.others, 89);
    CHECK_OK(reader_visit(golden.reader, view, view->root, count_visit, &pruned));
    CHECK_INT(pruned.dirs, 3);
    CHECK_INT(pruned.others, 0);
    CHECK_ERR(ERR_CANCELED, reader_visit(golden.reader, view, view->root, count_visit, &stopped));
    CHECK_INT(stopped.dirs + stopped.others, 17);
    CHECK_OK(reader_visit(golden.reader, view, deep, count_visit, &below));
    CHECK_INT(below.dirs + below.others, deep->entry.below.nodes);
}

/* ---- links ---- */

TEST(members_of_a_link_group_know_the_first_and_how_many)
{
    static const struct {
        const char *path, *first;
        unsigned members;
    } cases[] = {
        {"left/first", "left/first", 3}, {"right/second", "left/first", 3}, {"right/third", "left/first", 3},
        {"left/link", "left/link", 2},   {"right/link", "left/link", 2},    {"left/alone", "left/alone", 1},
        {"a", "a", 1},
    };
    AUTO_PTR(snapshot_view) view = NULL;
    CHECK_OK(view_of("files/20261120T140000Z", &view));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AUTO_PTR(node) node = NULL;
        AUTO_PTR(node) first = NULL;
        uint64_t position;
        uint32_t members;
        CHECK_OK(reader_path(golden.reader, view, slice_str(cases[i].path), &node));
        CHECK_OK(reader_path(golden.reader, view, slice_str(cases[i].first), &first));
        CHECK_OK(reader_links(golden.reader, view, &node->entry, node->position, &position, &members));
        CHECK_INT(position, first->position);
        CHECK_INT(members, cases[i].members);
    }
}

/* ---- bytes ---- */

static void check_pieces(const char *snapshot, const char *path)
{
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) node = NULL;
    AUTO(buf) whole = BUF_EMPTY, piece = BUF_EMPTY;
    size_t got;
    CHECK_OK(node_of(snapshot, path, &view, &node));
    const struct content *content = &node->entry.content;
    CHECK_OK(buf_resize(&whole, content->length + 1));
    CHECK_OK(buf_resize(&piece, 300000));
    CHECK_OK(reader_read(golden.reader, 1, CHUNK_DATA, content, 0, whole.data, whole.len, &got));
    CHECK_INT(got, content->length);
    uint32_t random = 1;
    for (int i = 0; i < 400; i++) {
        random = random * 1664525 + 1013904223;
        uint64_t offset = (random >> 4) % (content->length + 10);
        random = random * 1664525 + 1013904223;
        size_t len = (random >> 8) % (i % 4 ? 5000 : piece.len);
        uint64_t left = offset < content->length ? content->length - offset : 0;
        memset(piece.data, 0xaa, piece.len);
        CHECK_OK(reader_read(golden.reader, 1, CHUNK_DATA, content, offset, piece.data, len, &got));
        CHECK_INT(got, len < left ? len : left);
        CHECK_MEM(piece.data, whole.data + offset, got);
        CHECK(got == piece.len || piece.data[got] == 0xaa); /* and not a byte further */
    }
}

TEST(any_piece_of_a_file_is_what_it_is_in_the_whole)
{
    CHECK_CALL(check_pieces("files/20261120T140000Z", "sparse.img"));
    CHECK_CALL(check_pieces("files/20261120T140000Z", "ledger.txt"));
    CHECK_CALL(check_pieces("dump/latest", "dump.sql"));
    CHECK_CALL(check_pieces("shapes/latest", "lists/list"));
    CHECK_CALL(check_pieces("shapes/latest", "lists/hole"));
}

struct layout {
    struct {
        enum item_what what;
        uint64_t offset, length;
    } items[64];
    size_t count;
};

static enum err lay(void *context, uint64_t offset, const struct item *item)
{
    struct layout *l = context;
    if (l->count == 64)
        return ERR_CANCELED;
    l->items[l->count].what = item->what;
    l->items[l->count].offset = offset;
    l->items[l->count++].length = item->length;
    return ERR_OK;
}

/* For every item and its edges, what SEEK_DATA and SEEK_HOLE must say, told from the layout by another way of thinking. */
static void check_seeks(const char *snapshot, const char *path, size_t items)
{
    static struct layout l;
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) node = NULL;
    CHECK_OK(node_of(snapshot, path, &view, &node));
    const struct content *content = &node->entry.content;
    l.count = 0;
    CHECK_OK(reader_items(golden.reader, 1, CHUNK_DATA, content, 0, lay, &l));
    CHECK_INT(l.count, items);
    uint64_t end = 0;
    for (size_t i = 0; i < l.count; i++) {
        CHECK_INT(l.items[i].offset, end);
        end += l.items[i].length;
    }
    CHECK_INT(end, content->length);
    for (size_t i = 0; i < l.count; i++) {
        uint64_t tries[] = {l.items[i].offset, l.items[i].offset + l.items[i].length / 2, l.items[i].offset + l.items[i].length - 1};
        for (size_t k = 0; k < 3; k++)
            for (int data = 0; data < 2; data++) {
                uint64_t expected = data ? UINT64_MAX : content->length, found = 0;
                for (size_t at = l.count; at-- > i;)
                    if ((l.items[at].what != ITEM_HOLE) == (data == 1))
                        expected = at == i ? tries[k] : l.items[at].offset;
                enum err e = reader_seek(golden.reader, 1, content, tries[k], data, &found);
                CHECK_INT(e, expected == UINT64_MAX ? ERR_NOT_FOUND : ERR_OK);
                CHECK(e != ERR_OK || found == expected);
            }
    }
    uint64_t found;
    CHECK_ERR(ERR_NOT_FOUND, reader_seek(golden.reader, 1, content, content->length, false, &found));
    CHECK_ERR(ERR_NOT_FOUND, reader_seek(golden.reader, 1, content, content->length, true, &found));
}

TEST(holes_are_where_they_were)
{
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) sparse = NULL;
    uint64_t found;
    /* sparse.img: a hole of 1 MiB, data, 64 KiB zeros, a hole of 300,000, data, a hole of 4,096 (tests/golden/make_golden.py) */
    CHECK_OK(node_of("files/20261120T140000Z", "sparse.img", &view, &sparse));
    const struct content *content = &sparse->entry.content;
    CHECK_OK(reader_seek(golden.reader, 1, content, 0, true, &found));
    CHECK_INT(found, 1 << 20);
    CHECK_OK(reader_seek(golden.reader, 1, content, 1 << 20, false, &found));
    uint64_t hole = found;
    CHECK_OK(reader_seek(golden.reader, 1, content, hole, true, &found));
    CHECK_INT(found, hole + 300000);
    CHECK_OK(reader_seek(golden.reader, 1, content, found, false, &found));
    CHECK_INT(found, content->length - 4096);
    CHECK_ERR(ERR_NOT_FOUND, reader_seek(golden.reader, 1, content, found, true, &found));
    CHECK_CALL(check_seeks("files/20261120T140000Z", "sparse.img", 6));
    CHECK_CALL(check_seeks("files/20261120T140000Z", "all-hole", 1));
    CHECK_CALL(check_seeks("files/20261120T140000Z", "ledger.txt", 1));
    CHECK_CALL(check_seeks("shapes/latest", "lists/list", 28)); /* lists four levels high */
    CHECK_CALL(check_seeks("shapes/latest", "lists/zeros", 1)); /* zeros are data */
}

/* ---- damage: the tree says it is there, the store says no ---- */

static enum err remove_named(void *context, const struct store_entry *entry)
{
    return store_remove(context, entry->name);
}

TEST(what_the_tree_names_and_the_store_lacks_is_damage_and_not_absence)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    AUTO(golden) lost = GOLDEN_NONE;
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(snapshot_view) none = NULL;
    AUTO_PTR(node) file = NULL;
    AUTO_PTR(node) empty = NULL;
    char text[16];
    size_t got;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(golden_copy(tmp_path(&tmp, "store").text, "index/00000001/d/", NULL));
    CHECK_OK(golden_open(&lost, tmp_path(&tmp, "store").text, NULL));
    /* No data segments: names are there, bytes are not. */
    CHECK_OK(golden_view(&lost, "files/latest", &view));
    CHECK_OK(reader_path(lost.reader, view, slice_str("ledger.txt"), &file));
    CHECK_ERR(ERR_CORRUPT, reader_read(lost.reader, 1, CHUNK_DATA, &file->entry.content, 0, text, sizeof text, &got));
    CHECK(strstr(err_text(), "not in the store"));
    CHECK_INT(got, 0);
    CHECK_OK(reader_path(lost.reader, view, slice_str("empty"), &empty));
    CHECK_OK(reader_read(lost.reader, 1, CHUNK_DATA, &empty->entry.content, 0, text, sizeof text, &got));
    /* No tree segments either. */
    CHECK_OK(store_list(lost.access->store, "index/00000001/t/", remove_named, lost.access->store));
    CHECK_OK(index_sync(lost.index, SYNC_ALL, NULL));
    CHECK_ERR(ERR_CORRUPT, golden_view(&lost, "many/latest", &none));
    CHECK(strstr(err_text(), "many/20261120T160000Z"));
}

/* ---- many at once, with hardly any cache ---- */

struct walker {
    pthread_t thread;
    struct reader *reader;
    const struct snapshot_view *view;
    enum err result;
    uint64_t nodes;
    unsigned seed;
};

static enum err read_some(void *context, struct slice path, const struct entry *entry, uint64_t position)
{
    struct walker *w = context;
    char bytes[3000];
    size_t got;
    w->nodes++;
    (void)position;
    if (entry->kind == NODE_FILE && (w->nodes + w->seed) % 3 == 0)
        TRY(reader_read(w->reader, 1, CHUNK_DATA, &entry->content, entry->content.length / 2, bytes, sizeof bytes, &got));
    if (w->nodes % 5 == 0) {
        AUTO_PTR(node) again = NULL;
        TRY(reader_path(w->reader, w->view, path, &again));
    }
    return ERR_OK;
}

static void *walk_all(void *context)
{
    struct walker *w = context;
    w->result = reader_visit(w->reader, w->view, w->view->root, read_some, w);
    return NULL;
}

TEST(many_walk_at_once_through_a_small_cache)
{
    enum { WALKERS = 6 };
    AUTO_PTR(snapshot_view) many = NULL;
    AUTO_PTR(snapshot_view) shapes = NULL;
    AUTO_PTR(reader) small = NULL;
    struct walker walkers[WALKERS];
    CHECK_OK(view_of("many/latest", &many));
    CHECK_OK(view_of("shapes/latest", &shapes));
    CHECK_OK(reader_new(golden.index, golden.fetcher, 100000, &small));
    for (unsigned i = 0; i < WALKERS; i++) {
        walkers[i] = (struct walker){.reader = small, .view = i % 2 ? many : shapes, .seed = i};
        CHECK(pthread_create(&walkers[i].thread, NULL, walk_all, &walkers[i]) == 0);
    }
    for (unsigned i = 0; i < WALKERS; i++)
        pthread_join(walkers[i].thread, NULL);
    for (unsigned i = 0; i < WALKERS; i++) {
        CHECK_INT(walkers[i].result, ERR_OK);
        CHECK_INT(walkers[i].nodes, walkers[i].view->root->entry.below.nodes);
    }
}

TEST_MAIN(entries_come_in_order_from_any_ordinal_on, names_beside_and_between_those_there_are_not_found,
          paths_may_be_written_in_more_than_one_way, a_visit_may_leave_out_folders_or_stop,
          members_of_a_link_group_know_the_first_and_how_many, any_piece_of_a_file_is_what_it_is_in_the_whole,
          holes_are_where_they_were, what_the_tree_names_and_the_store_lacks_is_damage_and_not_absence,
          many_walk_at_once_through_a_small_cache)
