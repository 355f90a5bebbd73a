#include "fs/nodes.h"

#include <pthread.h>
#include <stdlib.h>

enum { SHARDS = 16, BUCKETS = 512 };

struct shard {
    pthread_mutex_t lock;
    struct held *buckets[BUCKETS];
    struct held *newest, *oldest;
    unsigned count;
};

struct nodes {
    struct reader *reader;
    struct snapshots *snapshots;
    unsigned most; /* in one shard */
    struct shard shards[SHARDS];
};

enum err nodes_new(struct reader *reader, struct snapshots *snapshots, unsigned most,
                   struct nodes **ret_nodes)
{
    struct nodes *n = calloc(1, sizeof *n);
    if (!n)
        return err_set(ERR_NOMEM, "no memory for nodes");
    n->reader = reader;
    n->snapshots = snapshots;
    n->most = most / SHARDS + 1;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&n->shards[i].lock, NULL);
    *ret_nodes = n;
    return ERR_OK;
}

static void held_free(struct held *h)
{
    node_free(h->node);
    free(h);
}

void nodes_free(struct nodes *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        for (struct held *h = n->shards[i].newest, *next; h; h = next) {
            next = h->older;
            held_free(h);
        }
        pthread_mutex_destroy(&n->shards[i].lock);
    }
    free(n);
}

static uint64_t mix(uint64_t ino)
{
    return (ino ^ ino >> INODE_POSITION_BITS) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct shard *shard_of(struct nodes *n, uint64_t ino)
{
    return &n->shards[mix(ino) >> 60];
}

static struct held **bucket_of(struct shard *s, uint64_t ino)
{
    return &s->buckets[mix(ino) >> 40 & (BUCKETS - 1)];
}

static void list_remove(struct shard *s, struct held *h)
{
    *(h->newer ? &h->newer->older : &s->newest) = h->older;
    *(h->older ? &h->older->newer : &s->oldest) = h->newer;
    h->newer = h->older = NULL;
}

static void list_add_newest(struct shard *s, struct held *h)
{
    h->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = h;
    s->newest = h;
}

/* Under the lock. */
static struct held *find(struct shard *s, uint64_t ino)
{
    struct held *h = *bucket_of(s, ino);
    while (h && h->ino != ino)
        h = h->next_hash;
    if (!h)
        return NULL;
    h->refs++;
    list_remove(s, h);
    list_add_newest(s, h);
    return h;
}

/* Under the lock: the oldest that nobody uses, taken out, when there are too many. */
static struct held *evict(struct shard *s, unsigned most)
{
    if (s->count <= most)
        return NULL;
    struct held *h = s->oldest;
    while (h && h->refs > 0)
        h = h->newer;
    if (!h)
        return NULL;
    struct held **where = bucket_of(s, h->ino);
    while (*where != h)
        where = &(*where)->next_hash;
    *where = h->next_hash;
    list_remove(s, h);
    s->count--;
    return h;
}

/* Remember a node; node is taken. */
static enum err keep(struct nodes *n, uint64_t ino, uint32_t links, struct node *node,
                     struct held **ret_held)
{
    struct shard *s = shard_of(n, ino);
    struct held *fresh = calloc(1, sizeof *fresh);
    if (!fresh) {
        node_free(node);
        return err_set(ERR_NOMEM, "no memory for a node");
    }
    fresh->ino = ino;
    fresh->node = node;
    fresh->links = links;

    pthread_mutex_lock(&s->lock);
    struct held *h = find(s, ino); /* another thread may have been quicker */
    if (!h) {
        h = TAKE(fresh);
        h->refs = 1;
        struct held **bucket = bucket_of(s, ino);
        h->next_hash = *bucket;
        *bucket = h;
        list_add_newest(s, h);
        s->count++;
    }
    struct held *out = evict(s, n->most);
    pthread_mutex_unlock(&s->lock);
    if (out)
        held_free(out);
    if (fresh)
        held_free(fresh);
    *ret_held = h;
    return ERR_OK;
}

enum err nodes_number(struct nodes *n, const struct opened *opened, const struct entry *entry,
                      uint64_t position, uint64_t *ret_ino, uint32_t *ret_links)
{
    uint64_t first;
    TRY(reader_links(n->reader, opened->view, entry, position, &first, ret_links));
    if (first > opened->view->root->entry.below.nodes)
        return err_set(ERR_CORRUPT, "the link table names node %llu, and there is none",
                       (unsigned long long)first);
    *ret_ino = inode_of(opened->number, first);
    return ERR_OK;
}

enum err nodes_add(struct nodes *n, const struct opened *opened, struct node *node,
                   struct held **ret_held)
{
    AUTO_PTR(node) own = node;
    uint64_t ino;
    uint32_t links;
    TRY(nodes_number(n, opened, &own->entry, own->position, &ino, &links));
    return keep(n, ino, links, TAKE(own), ret_held);
}

enum err nodes_get(struct nodes *n, uint64_t ino, struct held **ret_held)
{
    struct shard *s = shard_of(n, ino);
    pthread_mutex_lock(&s->lock);
    *ret_held = find(s, ino);
    pthread_mutex_unlock(&s->lock);
    if (*ret_held)
        return ERR_OK;

    struct opened *opened = NULL;
    AUTO_PTR(node) node = NULL;
    TRY(snapshots_open(n->snapshots, inode_snapshot(ino), &opened));
    enum err e = reader_position(n->reader, opened->view, inode_position(ino), &node, NULL);
    uint64_t first = 0;
    uint32_t links = 1;
    if (e == ERR_OK)
        e = reader_links(n->reader, opened->view, &node->entry, inode_position(ino), &first,
                         &links);
    snapshots_close(n->snapshots, opened);
    TRY(e);
    return keep(n, ino, links, TAKE(node), ret_held);
}

void nodes_put(struct nodes *n, struct held *h)
{
    if (!h)
        return;
    struct shard *s = shard_of(n, h->ino);
    pthread_mutex_lock(&s->lock);
    h->refs--;
    pthread_mutex_unlock(&s->lock);
}
