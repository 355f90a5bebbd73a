#include "fetch/base/queue.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/support/test.h"

static int items[4096]; /* an item's identity is its address */

TEST(first_in_is_first_out_around_the_ring)
{
    AUTO_PTR(queue) q = NULL;
    CHECK_OK(queue_new(3, &q));
    CHECK(queue_try_get(q) == NULL);
    for (int round = 0; round < 5; round++) {
        CHECK_OK(queue_put(q, &items[0]));
        CHECK_OK(queue_put(q, &items[1]));
        CHECK(queue_get(q) == &items[0]);
        CHECK_OK(queue_put(q, &items[2]));
        CHECK(queue_try_get(q) == &items[1]);
        CHECK(queue_get(q) == &items[2]);
    }
    CHECK(queue_try_get(q) == NULL);
}

TEST(closing_refuses_puts_and_lets_what_is_in_come_out)
{
    AUTO_PTR(queue) q = NULL;
    CHECK_OK(queue_new(4, &q));
    CHECK_OK(queue_put(q, &items[0]));
    CHECK_OK(queue_put(q, &items[1]));
    queue_close(q);
    queue_close(q);
    CHECK_ERR(ERR_CANCELED, queue_put(q, &items[2]));
    CHECK(queue_get(q) == &items[0]);
    CHECK(queue_get(q) == &items[1]);
    CHECK(queue_get(q) == NULL);
    CHECK(queue_get(q) == NULL);
}

TEST(an_absurd_room_is_out_of_memory)
{
    AUTO_PTR(queue) q = NULL;
    CHECK_ERR(ERR_NOMEM, queue_new(SIZE_MAX, &q));
    CHECK_ERR(ERR_NOMEM, queue_new(SIZE_MAX / sizeof(void *), &q));
    CHECK(q == NULL);
}

static void *put_one(void *q)
{
    return queue_put(q, &items[1]) == ERR_CANCELED ? &items[0] : NULL;
}

static void *get_one(void *q)
{
    return queue_get(q);
}

TEST(a_waiting_producer_is_woken_by_close)
{
    AUTO_PTR(queue) q = NULL;
    CHECK_OK(queue_new(1, &q));
    CHECK_OK(queue_put(q, &items[0]));
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, put_one, q), 0);
    queue_close(q); /* before or while it waits: refused either way */
    void *refused;
    CHECK_INT(pthread_join(thread, &refused), 0);
    CHECK(refused == &items[0]);
}

TEST(a_waiting_consumer_is_woken_by_close)
{
    AUTO_PTR(queue) q = NULL;
    CHECK_OK(queue_new(1, &q));
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, get_one, q), 0);
    queue_close(q);
    void *got;
    CHECK_INT(pthread_join(thread, &got), 0);
    CHECK(got == NULL);
}

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 1000 };

struct crowd {
    struct queue *q;
    atomic_int next;               /* the next item to put */
    atomic_int seen[PRODUCERS * EACH]; /* how often each came out */
    atomic_int in;                 /* items that put_three got in */
};

static void *produce(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < EACH; i++)
        if (queue_put(c->q, &items[atomic_fetch_add(&c->next, 1)]) != ERR_OK)
            return arg;
    return NULL;
}

static void *consume(void *arg)
{
    struct crowd *c = arg;
    int *item;
    while ((item = queue_get(c->q)))
        atomic_fetch_add(&c->seen[item - items], 1);
    return NULL;
}

TEST(a_crowd_gets_every_item_once)
{
    static struct crowd c;
    AUTO_PTR(queue) q = NULL;
    CHECK_OK(queue_new(7, &q));
    c.q = q;
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    for (int i = 0; i < PRODUCERS; i++)
        CHECK_INT(pthread_create(&producers[i], NULL, produce, &c), 0);
    for (int i = 0; i < CONSUMERS; i++)
        CHECK_INT(pthread_create(&consumers[i], NULL, consume, &c), 0);
    void *failed = NULL, *any = NULL;
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i], &any);
        failed = failed ? failed : any;
    }
    queue_close(q);
    for (int i = 0; i < CONSUMERS; i++)
        pthread_join(consumers[i], NULL);
    CHECK(failed == NULL);
    for (int i = 0; i < PRODUCERS * EACH; i++)
        CHECK_INT(atomic_load(&c.seen[i]), 1);
}

static void *put_three(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < 3; i++) {
        queue_put(c->q, &items[i]);
        atomic_fetch_add(&c->in, 1);
    }
    return NULL;
}

TEST(a_full_queue_makes_the_producer_wait)
{
    static struct crowd c;
    AUTO_PTR(queue) q = NULL;
    CHECK_OK(queue_new(2, &q));
    c.q = q;
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, put_three, &c), 0);
    while (atomic_load(&c.in) < 2)
        sched_yield();
    for (int i = 0; i < 100; i++) {
        sched_yield();
        if (atomic_load(&c.in) != 2)
            test_fail(__FILE__, __LINE__, "a third item went into a queue of two");
    }
    for (int i = 0; i < 3; i++)
        if (queue_get(q) != &items[i])
            test_fail(__FILE__, __LINE__, "item %d came out of order", i);
    pthread_join(thread, NULL);
    CHECK_INT(atomic_load(&c.in), 3);
}

TEST_MAIN(first_in_is_first_out_around_the_ring, closing_refuses_puts_and_lets_what_is_in_come_out,
          an_absurd_room_is_out_of_memory, a_waiting_producer_is_woken_by_close,
          a_waiting_consumer_is_woken_by_close, a_crowd_gets_every_item_once, a_full_queue_makes_the_producer_wait)
