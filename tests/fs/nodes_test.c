#include "fs/nodes.h"

#include <stdlib.h>

#include "fs/sums.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

/* The golden store, as a mount sees it. */
struct seen {
    struct golden golden;
    struct snapshots *snapshots;
    struct nodes *nodes;
    struct sums *sums;
};
#define SEEN_NONE ((struct seen){.golden = GOLDEN_NONE})

static void seen_clear(struct seen *seen)
{
    sums_free(seen->sums);
    nodes_free(seen->nodes);
    snapshots_free(seen->snapshots);
    golden_clear(&seen->golden);
}

static enum err seen_open(struct seen *seen, unsigned nodes_most)
{
    struct golden *g = &seen->golden;
    TRY(golden_open(g, NULL, NULL));
    TRY(snapshots_new(g->index, g->reader, NULL, &seen->snapshots));
    TRY(nodes_new(g->reader, seen->snapshots, nodes_most, &seen->nodes));
    return sums_new(g->reader, &seen->sums);
}

static enum err open_tree(struct seen *seen, const char *service_name, const char *name,
                          struct opened **ret_opened)
{
    struct service_facts service;
    struct snapshot_facts snapshot;
    TRY(snapshots_service(seen->snapshots, service_name, &service));
    TRY(snapshots_find(seen->snapshots, &service, name, &snapshot));
    return snapshots_open(seen->snapshots, snapshot.number, ret_opened);
}

TEST(every_number_leads_to_its_node_and_back)
{
    AUTO(seen) seen = SEEN_NONE;
    struct opened *o;
    CHECK_OK(seen_open(&seen, 16)); /* far fewer than there are: most are found from the root */
    CHECK_OK(open_tree(&seen, "shapes", "20261120T170000Z", &o));
    uint64_t nodes = o->view->root->entry.below.nodes;
    CHECK(nodes > 80);
    for (int round = 0; round < 2; round++) {
        for (uint64_t position = 0; position <= nodes; position++) {
            struct held *h;
            CHECK_OK(nodes_get(seen.nodes, inode_of(o->number, position), &h));
            CHECK_INT(h->node->position, position);
            uint64_t ino;
            uint32_t links;
            CHECK_OK(nodes_number(seen.nodes, o, &h->node->entry, position, &ino, &links));
            CHECK_INT(ino, inode_of(o->number, position));
            nodes_put(seen.nodes, h);
        }
    }
    struct held *h;
    CHECK_ERR(ERR_NOT_FOUND, nodes_get(seen.nodes, inode_of(o->number, nodes + 1), &h));
    snapshots_close(seen.snapshots, o);
}

TEST(linked_files_have_one_number_and_their_count)
{
    AUTO(seen) seen = SEEN_NONE;
    struct opened *o;
    struct held *first, *second;
    struct node *node;
    CHECK_OK(seen_open(&seen, 100));
    CHECK_OK(open_tree(&seen, "files", "20261120T140000Z", &o));
    CHECK_OK(reader_path(seen.golden.reader, o->view, slice_str("left/first"), &node));
    CHECK_OK(nodes_add(seen.nodes, o, node, &first));
    CHECK_OK(reader_path(seen.golden.reader, o->view, slice_str("right/second"), &node));
    CHECK_OK(nodes_add(seen.nodes, o, node, &second));
    CHECK_INT(second->ino, first->ino);
    CHECK(first->links >= 2);
    CHECK_INT(second->links, first->links);
    nodes_put(seen.nodes, first);
    nodes_put(seen.nodes, second);
    snapshots_close(seen.snapshots, o);
}

TEST(a_node_of_no_snapshot_is_not_found)
{
    AUTO(seen) seen = SEEN_NONE;
    struct held *h;
    CHECK_OK(seen_open(&seen, 100));
    CHECK_ERR(ERR_NOT_FOUND, nodes_get(seen.nodes, inode_of(12345, 0), &h));
}

/* ---- SHA256SUMS of a whole snapshot ---- */

static enum err whole(struct seen *seen, struct opened *o, struct buf *ret_text)
{
    uint64_t size;
    size_t got;
    TRY(sums_size(seen->sums, o, &size));
    TRY(buf_resize(ret_text, (size_t)size));
    TRY(sums_read(seen->sums, o, 0, ret_text->data, ret_text->len, &got));
    return got == size ? ERR_OK : err_set(ERR_CORRUPT, "%zu bytes of %zu", got, ret_text->len);
}

/* Compare reads of the text with the text as a whole. */
static void read_in_steps(struct seen *seen, struct opened *o, const struct buf *text, size_t step)
{
    uint8_t piece[512];
    size_t got;
    for (size_t at = 0; at < text->len; at += got) {
        CHECK_OK(sums_read(seen->sums, o, at, piece, step, &got));
        CHECK_INT(got, step < text->len - at ? step : text->len - at);
        CHECK_MEM(piece, text->data + at, got);
    }
    CHECK_OK(sums_read(seen->sums, o, text->len, piece, step, &got));
    CHECK_INT(got, 0);
}

static void read_backwards(struct seen *seen, struct opened *o, const struct buf *text)
{
    uint8_t piece[100];
    size_t got;
    for (size_t at = text->len; at-- > 0;) {
        CHECK_OK(sums_read(seen->sums, o, at, piece, sizeof piece, &got));
        CHECK_MEM(piece, text->data + at, got);
    }
}

TEST(sha256sums_is_the_same_from_every_offset)
{
    static const char *const names[][2] = {{"files", "20261120T140000Z"},
                                           {"files", "20261121T140000Z"},
                                           {"shapes", "20261120T170000Z"},
                                           {"dump", "20261120T150000Z"}};
    static const size_t steps[] = {1, 3, 64, 67, 100, 512};
    AUTO(seen) seen = SEEN_NONE;
    CHECK_OK(seen_open(&seen, 100));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        AUTO(buf) text = BUF_EMPTY;
        struct opened *o;
        CHECK_OK(open_tree(&seen, names[i][0], names[i][1], &o));
        CHECK_OK(whole(&seen, o, &text));
        CHECK(text.data[text.len - 1] == '\n');
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
            CHECK_CALL(read_in_steps(&seen, o, &text, steps[s]));
        CHECK_CALL(read_backwards(&seen, o, &text));
        snapshots_close(seen.snapshots, o);
    }
}

TEST(a_hash_that_was_not_recorded_is_a_comment)
{
    AUTO(seen) seen = SEEN_NONE;
    AUTO(buf) text = BUF_EMPTY;
    struct opened *o;
    struct node *node;
    CHECK_OK(seen_open(&seen, 100));
    CHECK_OK(open_tree(&seen, "files", "20261120T140000Z", &o));
    CHECK_OK(reader_path(seen.golden.reader, o->view, slice_str("ab"), &node));
    CHECK(!node->entry.has_sha256);
    node_free(node);
    CHECK_OK(whole(&seen, o, &text));
    static const char line[] =
        "\n# the SHA-256 of this file was not recorded --------------------  ab\n";
    CHECK(memmem(text.data, text.len, line, sizeof line - 1));
    snapshots_close(seen.snapshots, o);
}

TEST(a_snapshot_without_hashes_has_no_sha256sums)
{
    AUTO(seen) seen = SEEN_NONE;
    struct opened *o;
    uint64_t size;
    CHECK_OK(seen_open(&seen, 100));
    CHECK_OK(open_tree(&seen, "many", "20261120T160000Z", &o));
    CHECK_ERR(ERR_NOT_FOUND, sums_size(seen.sums, o, &size));
    snapshots_close(seen.snapshots, o);
}

TEST_MAIN(every_number_leads_to_its_node_and_back, linked_files_have_one_number_and_their_count,
          a_node_of_no_snapshot_is_not_found, sha256sums_is_the_same_from_every_offset,
          a_hash_that_was_not_recorded_is_a_comment, a_snapshot_without_hashes_has_no_sha256sums)
