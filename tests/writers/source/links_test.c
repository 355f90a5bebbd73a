#include "writers/source/links.h"

#include "tests/support/test.h"
#include "tests/support/world.h"

TEST(the_first_position_of_a_group_counts_all_that_stands_before)
{
    AUTO(world) world = WORLD_NONE;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    const struct domain_keys *domain;
    CHECK_OK(keyring_find_domain(world.access->keys, 1, &domain));
    AUTO_PTR(links) links = NULL;
    CHECK_OK(links_new(domain, &links));
    /* root 0 { a 1 { x 2, y 3 }, b 4, c 5 { d 6 { x2 7 }, y2 8 } , z 9 } */
    struct link *x, *y, *z;
    bool first;
    CHECK_OK(links_find(links, 7, 100, &x, &first));
    CHECK(first);
    CHECK_OK(links_find(links, 7, 101, &y, &first));
    CHECK_OK(links_find(links, 8, 100, &z, &first)); /* another device */
    CHECK(first && z != x);
    struct link *again;
    CHECK_OK(links_find(links, 7, 100, &again, &first));
    CHECK(!first && again == x);
    struct place *root, *a, *c, *d;
    CHECK_OK(place_new(links, NULL, &root));
    CHECK_OK(place_new(links, root, &a));
    CHECK_OK(place_new(links, root, &c));
    CHECK_OK(place_new(links, c, &d));
    /* As the assembler does: children before parents. */
    CHECK_OK(link_member(links, x, d, 1));
    CHECK_OK(link_member(links, x, a, 1));
    CHECK_OK(link_member(links, y, a, 2));
    place_set(d, 1);
    CHECK_OK(link_member(links, y, c, 3));
    place_set(a, 1);
    place_set(c, 5);
    CHECK_OK(link_member(links, z, root, 9)); /* alone: left out */
    struct link_row *rows = NULL;
    size_t count;
    CHECK_OK(links_table(links, &rows, &count));
    CHECK_INT(count, 2);
    CHECK(memcmp(rows[0].group.bytes, rows[1].group.bytes, 16) < 0);
    size_t of_x = memcmp(rows[0].group.bytes, x->group.bytes, 16) == 0 ? 0 : 1;
    CHECK_INT(rows[of_x].position, 2);
    CHECK_INT(rows[of_x].members, 2);
    CHECK_INT(rows[1 - of_x].position, 3);
    CHECK_INT(rows[1 - of_x].members, 2);
    free(rows);
}

TEST(a_hundred_thousand_inodes_are_told_apart)
{
    AUTO(world) world = WORLD_NONE;
    CHECK_OK(world_new(&world, WORLD_MEMORY));
    const struct domain_keys *domain;
    CHECK_OK(keyring_find_domain(world.access->keys, 1, &domain));
    AUTO_PTR(links) links = NULL;
    CHECK_OK(links_new(domain, &links));
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 100000; i++) {
            struct link *link;
            bool first;
            CHECK_OK(links_find(links, i % 3, i << (i % 5), &link, &first));
            CHECK(link->device == i % 3 && link->inode == i << (i % 5));
            CHECK(first || round == 1 || i > 0);
        }
    }
}

TEST_MAIN(the_first_position_of_a_group_counts_all_that_stands_before,
          a_hundred_thousand_inodes_are_told_apart)
