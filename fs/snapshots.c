#include "fs/snapshots.h"

#include <pthread.h>
#include <stdlib.h>

#include "fetch/crypto/digest.h"

enum { OPENED_MOST = 256 }; /* trees kept open that nobody uses: some 3 KB each */

struct service {
    struct service_facts facts;
    uint64_t mark; /* over the hashes of its snapshots; valid once `counted` */
    bool counted;
    uint64_t seen; /* the refresh that saw it last */
};

/* A snapshot somebody looked at. */
struct known {
    struct snapshot_facts facts;
    uint32_t domain;
    char index_name[40];
    uint64_t seen; /* the refresh that saw it last */
};

struct snapshots {
    struct index *index;
    struct reader *reader;
    const char *time_format;

    pthread_mutex_t lock;            /* all below; never held across I/O */
    struct numbers service_numbers;  /* owner: struct service */
    struct numbers snapshot_numbers; /* owner: struct known */
    struct service **services;       /* by name */
    size_t service_count;
    struct opened *newest, *oldest;
    unsigned opened_count;
    struct timestamp changed;
    struct snapshots_totals totals;
    uint64_t refreshes;
};

/* ---- services ---- */

static int service_order(const void *a, const void *b)
{
    return strcmp((*(struct service *const *)a)->facts.name,
                  (*(struct service *const *)b)->facts.name);
}

/* Under the lock. The hash of a service is that of its name, so its number is the same in every
 * mount. */
static enum err service_learn(struct snapshots *s, const struct service_info *info,
                              struct service **ret_service, bool *ret_new)
{
    uint8_t hash[32];
    sha256_of(slice_str(info->service), hash);
    struct number *number;
    TRY(numbers_take(&s->service_numbers, hash, &number));
    *ret_new = !number->owner;
    if (!number->owner) {
        struct service **grown = reallocarray(s->services, s->service_count + 1, sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for services");
        s->services = grown;
        struct service *service = calloc(1, sizeof *service);
        if (!service)
            return err_set(ERR_NOMEM, "no memory for services");
        service->facts.number = number->number;
        memcpy(service->facts.name, info->service, sizeof service->facts.name);
        service->facts.changed = info->newest;
        number->owner = service;
        s->services[s->service_count++] = service;
        qsort(s->services, s->service_count, sizeof *s->services, service_order);
    }
    struct service *service = number->owner;
    memcpy(service->facts.kind, info->kind, sizeof service->facts.kind);
    memcpy(service->facts.host_name, info->host_name, sizeof service->facts.host_name);
    service->facts.snapshots = info->snapshots;
    service->facts.newest = info->newest;
    if (timestamp_compare(info->newest, s->changed) > 0 && s->refreshes == 0)
        s->changed = info->newest;
    *ret_service = service;
    return ERR_OK;
}

static enum err first_service(void *context, const struct service_info *info)
{
    struct snapshots *s = context;
    struct service *service;
    bool is_new;
    pthread_mutex_lock(&s->lock);
    enum err e = service_learn(s, info, &service, &is_new);
    pthread_mutex_unlock(&s->lock);
    return e;
}

enum err snapshots_new(struct index *index, struct reader *reader, const char *time_format,
                       struct snapshots **ret_snapshots)
{
    AUTO_PTR(snapshots) s = calloc(1, sizeof *s);
    if (!s)
        return err_set(ERR_NOMEM, "no memory for snapshots");
    pthread_mutex_init(&s->lock, NULL);
    s->index = index;
    s->reader = reader;
    s->time_format = time_format;
    TRY(index_services(index, first_service, s));
    *ret_snapshots = TAKE(s);
    return ERR_OK;
}

static void opened_free(struct opened *o)
{
    snapshot_view_free(o->view);
    free(o);
}

void snapshots_free(struct snapshots *s)
{
    if (!s)
        return;
    for (struct opened *o = s->newest, *next; o; o = next) {
        next = o->older;
        opened_free(o);
    }
    for (size_t i = 0; i < s->service_count; i++)
        free(s->services[i]);
    free(s->services);
    for (size_t i = 0; i < s->snapshot_numbers.room; i++)
        free(s->snapshot_numbers.all[i].owner);
    numbers_clear(&s->service_numbers);
    numbers_clear(&s->snapshot_numbers);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

enum err snapshots_service(struct snapshots *s, const char *name, struct service_facts *ret_service)
{
    enum err e = ERR_NOT_FOUND;
    pthread_mutex_lock(&s->lock);
    for (size_t low = 0, high = s->service_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(s->services[middle]->facts.name, name);
        if (order == 0) {
            *ret_service = s->services[middle]->facts;
            e = ret_service->gone ? ERR_NOT_FOUND : ERR_OK;
            break;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    pthread_mutex_unlock(&s->lock);
    return e == ERR_OK ? ERR_OK : err_set(ERR_NOT_FOUND, "no service of that name");
}

enum err snapshots_service_number(struct snapshots *s, uint32_t number,
                                  struct service_facts *ret_service)
{
    pthread_mutex_lock(&s->lock);
    const struct number *found = numbers_find(&s->service_numbers, number);
    if (found)
        *ret_service = ((const struct service *)found->owner)->facts;
    pthread_mutex_unlock(&s->lock);
    return found ? ERR_OK : err_set(ERR_NOT_FOUND, "no service of number %u", number);
}

enum err snapshots_services(struct snapshots *s, uint64_t first, service_facts_fn each,
                            void *context)
{
    /* One at a time by place: services are few, and each may do anything. */
    enum err e = ERR_OK;
    uint64_t ordinal = 0;
    for (size_t i = 0; e == ERR_OK; i++) {
        struct service_facts facts;
        pthread_mutex_lock(&s->lock);
        bool is_there = i < s->service_count;
        if (is_there)
            facts = s->services[i]->facts;
        pthread_mutex_unlock(&s->lock);
        if (!is_there)
            break;
        if (facts.gone)
            continue;
        if (ordinal >= first)
            e = each(context, &facts, ordinal);
        ordinal++;
    }
    return e;
}

/* ---- snapshots ---- */

/* Remember a snapshot under its number and its name in the mount. */
static enum err snapshot_learn(struct snapshots *s, uint32_t service,
                               const struct snapshot_info *info, const char *name,
                               struct snapshot_facts *ret_facts)
{
    enum err e = ERR_OK;
    struct number *number;
    pthread_mutex_lock(&s->lock);
    e = numbers_take(&s->snapshot_numbers, info->sha256.bytes, &number);
    if (e == ERR_OK && !number->owner) {
        struct known *known = calloc(1, sizeof *known);
        if (known) {
            known->facts.number = number->number;
            known->facts.service = service;
            known->facts.time = info->time;
            known->facts.new_bytes = info->totals.new_bytes;
            known->domain = info->domain;
            known->seen = s->refreshes;
            number->owner = known;
        } else {
            e = err_set(ERR_NOMEM, "no memory for a snapshot");
        }
    }
    if (e == ERR_OK) {
        struct known *known = number->owner;
        memcpy(known->index_name, info->name, sizeof known->index_name);
        snprintf(known->facts.name, sizeof known->facts.name, "%s", name);
        known->facts.gone = false;
        *ret_facts = known->facts;
    }
    pthread_mutex_unlock(&s->lock);
    return e;
}

/* Names in a listing by time: a format may give several the same. */
struct naming {
    const char *format;
    char last[TIME_NAME_MAX + 16];
    unsigned nth;
    char name[TIME_NAME_MAX + 16];
};

static void name_next(struct naming *n, const struct snapshot_info *info)
{
    if (!n->format) {
        snprintf(n->name, sizeof n->name, "%s", info->name);
        return;
    }
    time_name(n->format, info->time, 0, n->name);
    n->nth = strcmp(n->name, n->last) == 0 ? n->nth + 1 : 0;
    memcpy(n->last, n->name, sizeof n->last);
    if (n->nth)
        time_name(n->format, info->time, n->nth, n->name);
}

struct listing {
    struct snapshots *snapshots;
    uint32_t service;
    struct naming naming;
    uint64_t ordinal, first;
    snapshot_facts_fn each;
    void *context;
};

static enum err list_one(void *context, const struct snapshot_info *info)
{
    struct listing *l = context;
    name_next(&l->naming, info);
    if (l->ordinal++ < l->first)
        return ERR_OK;
    struct snapshot_facts facts;
    TRY(snapshot_learn(l->snapshots, l->service, info, l->naming.name, &facts));
    return l->each(l->context, &facts, l->ordinal - 1);
}

enum err snapshots_list(struct snapshots *s, const struct service_facts *service, uint64_t first,
                        snapshot_facts_fn each, void *context)
{
    struct listing listing = {.snapshots = s,
                              .service = service->number,
                              .naming = {.format = s->time_format},
                              .first = first,
                              .each = each,
                              .context = context};
    return index_snapshots(s->index, service->name, list_one, &listing);
}

/* In a listing with names of their own: the one of this name, or of this hash. */
struct search {
    const char *name;
    const struct hash *sha256;
    struct naming naming;
    struct snapshot_info *found;
    bool done;
};

static enum err search_one(void *context, const struct snapshot_info *info)
{
    struct search *f = context;
    name_next(&f->naming, info);
    if (f->name ? strcmp(f->naming.name, f->name) != 0
                : memcmp(f->sha256, &info->sha256, sizeof info->sha256) != 0)
        return ERR_OK;
    *f->found = *info;
    f->done = true;
    return ERR_CANCELED;
}

static enum err search(struct snapshots *s, const char *service, const char *name,
                       const struct hash *sha256, struct snapshot_info *ret_info,
                       char ret_name[TIME_NAME_MAX + 16])
{
    struct search search = {name, sha256, {.format = s->time_format}, ret_info, false};
    enum err e = index_snapshots(s->index, service, search_one, &search);
    if (e != ERR_OK && !search.done)
        return e;
    if (!search.done)
        return err_set(ERR_NOT_FOUND, "no snapshot of that name");
    memcpy(ret_name, search.naming.name, TIME_NAME_MAX + 16);
    return ERR_OK;
}

enum err snapshots_find(struct snapshots *s, const struct service_facts *service, const char *name,
                        struct snapshot_facts *ret_snapshot)
{
    struct snapshot_info info;
    char shown[TIME_NAME_MAX + 16];
    if (s->time_format) {
        TRY(search(s, service->name, name, NULL, &info, shown));
        return snapshot_learn(s, service->number, &info, shown, ret_snapshot);
    }
    if (strcmp(name, "latest") == 0)
        return err_set(ERR_NOT_FOUND, "latest is no snapshot's own name");
    TRY(index_snapshot(s->index, service->name, name, true, &info));
    return snapshot_learn(s, service->number, &info, info.name, ret_snapshot);
}

enum err snapshots_latest(struct snapshots *s, const struct service_facts *service,
                          struct snapshot_facts *ret_snapshot)
{
    struct snapshot_info info;
    TRY(index_snapshot(s->index, service->name, "latest", true, &info));
    char shown[TIME_NAME_MAX + 16];
    snprintf(shown, sizeof shown, "%s", info.name);
    if (s->time_format) {
        struct hash sha256 = info.sha256;
        TRY(search(s, service->name, NULL, &sha256, &info, shown));
    }
    return snapshot_learn(s, service->number, &info, shown, ret_snapshot);
}

/* A number never given out here: walk all snapshots as they would get their numbers. */
struct adoption {
    struct snapshots *snapshots;
    uint32_t number;
    char service[101];
    bool found;
};

static enum err adopt_one(void *context, const struct snapshot_info *info)
{
    struct adoption *a = context;
    if (number_wanted(info->sha256.bytes) != a->number)
        return ERR_OK;
    memcpy(a->service, info->service, sizeof a->service);
    a->found = true;
    return ERR_CANCELED;
}

static enum err ignore_snapshot(void *context, const struct snapshot_facts *snapshot,
                                uint64_t ordinal)
{
    (void)context, (void)snapshot, (void)ordinal;
    return ERR_OK;
}

static bool number_known(struct snapshots *s, uint32_t number, struct snapshot_facts *ret_snapshot)
{
    pthread_mutex_lock(&s->lock);
    const struct number *found = numbers_find(&s->snapshot_numbers, number);
    if (found)
        *ret_snapshot = ((const struct known *)found->owner)->facts;
    pthread_mutex_unlock(&s->lock);
    return found;
}

enum err snapshots_number(struct snapshots *s, uint32_t number, struct snapshot_facts *ret_snapshot)
{
    if (number_known(s, number, ret_snapshot))
        return ERR_OK;
    struct adoption adoption = {.snapshots = s, .number = number};
    enum err e = index_snapshots(s->index, NULL, adopt_one, &adoption);
    if (e != ERR_OK && !adoption.found)
        return e;
    struct service_facts service;
    if (adoption.found && snapshots_service(s, adoption.service, &service) == ERR_OK)
        TRY(snapshots_list(s, &service, 0, ignore_snapshot, NULL));
    if (number_known(s, number, ret_snapshot))
        return ERR_OK;
    return err_set(ERR_NOT_FOUND, "no snapshot of number %u", number);
}

bool snapshots_gone(struct snapshots *s, uint32_t number)
{
    struct snapshot_facts facts;
    return number != 0 && number_known(s, number, &facts) && facts.gone;
}

/* ---- opened trees ---- */

static void list_remove(struct snapshots *s, struct opened *o)
{
    *(o->newer ? &o->newer->older : &s->newest) = o->older;
    *(o->older ? &o->older->newer : &s->oldest) = o->newer;
    o->newer = o->older = NULL;
}

static void list_add_newest(struct snapshots *s, struct opened *o)
{
    o->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = o;
    s->newest = o;
}

/* Under the lock. */
static struct opened *opened_find(struct snapshots *s, uint32_t number)
{
    struct opened *o = s->newest;
    while (o && o->number != number)
        o = o->older;
    if (!o)
        return NULL;
    o->refs++;
    list_remove(s, o);
    list_add_newest(s, o);
    return o;
}

struct opened *snapshots_opened(struct snapshots *s, uint32_t number)
{
    pthread_mutex_lock(&s->lock);
    struct opened *o = opened_find(s, number);
    pthread_mutex_unlock(&s->lock);
    return o;
}

static enum err open_tree(struct snapshots *s, uint32_t number, struct opened **ret_opened)
{
    struct snapshot_facts facts;
    TRY(snapshots_number(s, number, &facts));
    struct service_facts service;
    TRY(snapshots_service_number(s, facts.service, &service));

    char index_name[40];
    uint8_t sha256[32];
    pthread_mutex_lock(&s->lock);
    const struct number *found = numbers_find(&s->snapshot_numbers, number);
    memcpy(index_name, ((const struct known *)found->owner)->index_name, sizeof index_name);
    memcpy(sha256, found->hash, sizeof sha256);
    pthread_mutex_unlock(&s->lock);

    struct snapshot_info info;
    TRY(index_snapshot(s->index, service.name, index_name, true, &info));
    if (memcmp(info.sha256.bytes, sha256, sizeof sha256) != 0) {
        /* It moved from -2 to -1 when the one before it was forgotten. */
        char shown[TIME_NAME_MAX + 16];
        struct hash wanted;
        memcpy(wanted.bytes, sha256, sizeof sha256);
        TRY(search(s, service.name, NULL, &wanted, &info, shown));
    }
    struct opened *o = calloc(1, sizeof *o);
    if (!o)
        return err_set(ERR_NOMEM, "no memory for a snapshot");
    o->number = number;
    o->refs = 1;
    atomic_init(&o->hashed, -1);
    enum err e = reader_open_snapshot(s->reader, &info, &o->view);
    if (e == ERR_OK && o->view->root->entry.below.nodes > INODE_POSITION_MAX)
        e = err_set(ERR_UNSUPPORTED, "snapshot %s/%s has more nodes than inode numbers",
                    info.service, info.name);
    if (e != ERR_OK) {
        opened_free(o);
        return e;
    }
    *ret_opened = o;
    return ERR_OK;
}

enum err snapshots_open(struct snapshots *s, uint32_t number, struct opened **ret_opened)
{
    if ((*ret_opened = snapshots_opened(s, number)))
        return ERR_OK;
    struct opened *fresh = NULL;
    TRY(open_tree(s, number, &fresh));

    pthread_mutex_lock(&s->lock);
    *ret_opened = opened_find(s, number); /* another thread may have been quicker */
    if (!*ret_opened) {
        *ret_opened = TAKE(fresh);
        list_add_newest(s, *ret_opened);
        s->opened_count++;
    }
    struct opened *out = NULL;
    for (struct opened *o = s->oldest; o && s->opened_count > OPENED_MOST && !out; o = o->newer)
        if (o->refs == 0)
            out = o;
    if (out) {
        list_remove(s, out);
        s->opened_count--;
    }
    pthread_mutex_unlock(&s->lock);
    if (out)
        opened_free(out);
    if (fresh)
        opened_free(fresh);
    return ERR_OK;
}

void snapshots_close(struct snapshots *s, struct opened *o)
{
    if (!o)
        return;
    pthread_mutex_lock(&s->lock);
    o->refs--;
    pthread_mutex_unlock(&s->lock);
}

/* ---- changes ---- */

struct refresh {
    struct snapshots *snapshots;
    const struct snapshots_changes *changes;
    struct snapshots_totals totals;
    bool services_changed;
    /* of the service whose snapshots go by */
    char service[101];
    uint64_t mark;
};

/* Order does not matter to it, and a hash in it or not shows. */
static uint64_t mark_of(const struct hash *sha256)
{
    uint64_t mark;
    memcpy(&mark, sha256->bytes + 8, sizeof mark);
    return mark;
}

static void end_service(struct refresh *r)
{
    struct snapshots *s = r->snapshots;
    uint8_t hash[32];
    uint32_t changed = 0;
    sha256_of(slice_str(r->service), hash);
    pthread_mutex_lock(&s->lock);
    const struct number *found = numbers_find_hash(&s->service_numbers, hash);
    struct service *service = found ? found->owner : NULL;
    if (service && service->counted && service->mark != r->mark) {
        service->facts.changed = clock_now();
        changed = service->facts.number;
    }
    if (service) {
        service->mark = r->mark;
        service->counted = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (changed)
        r->changes->service(r->changes->context, changed);
}

static enum err refresh_snapshot(void *context, const struct snapshot_info *info)
{
    struct refresh *r = context;
    struct snapshots *s = r->snapshots;
    if (strcmp(r->service, info->service) != 0) {
        if (r->service[0])
            end_service(r);
        memcpy(r->service, info->service, sizeof r->service);
        r->mark = 0;
    }
    r->mark += mark_of(&info->sha256);
    r->totals.snapshots++;
    r->totals.nodes += info->totals.nodes;
    r->totals.stored_bytes += info->totals.stored_bytes;
    pthread_mutex_lock(&s->lock);
    const struct number *found = numbers_find_hash(&s->snapshot_numbers, info->sha256.bytes);
    if (found && found->owner)
        ((struct known *)found->owner)->seen = s->refreshes;
    pthread_mutex_unlock(&s->lock);
    return ERR_OK;
}

static enum err refresh_service(void *context, const struct service_info *info)
{
    struct refresh *r = context;
    struct snapshots *s = r->snapshots;
    struct service *service = NULL;
    bool is_new;
    pthread_mutex_lock(&s->lock);
    bool first_time = s->refreshes == 1;
    enum err e = service_learn(s, info, &service, &is_new);
    if (e == ERR_OK) {
        if (is_new || service->facts.gone)
            r->services_changed = true;
        if (is_new && !first_time)
            service->counted =
                true; /* with no snapshot until now, so that its first ones are a change */
        service->facts.gone = false;
        service->seen = s->refreshes;
    }
    pthread_mutex_unlock(&s->lock);
    r->totals.services++;
    return e;
}

/* Known snapshots the last refresh did not see are forgotten: tell of one after the other. */
static bool take_forgotten(struct snapshots *s, size_t *at, struct snapshot_facts *ret_snapshot)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (; *at < s->snapshot_numbers.room && !found; (*at)++) {
        struct known *known = s->snapshot_numbers.all[*at].owner;
        if (!known || known->facts.gone || known->seen == s->refreshes)
            continue;
        known->facts.gone = true;
        *ret_snapshot = known->facts;
        found = true;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* A service all of whose snapshots are gone goes too. */
static bool services_vanish(struct snapshots *s, const struct snapshots_changes *changes)
{
    bool vanished = false;
    for (size_t i = 0;; i++) {
        uint32_t number = 0;
        pthread_mutex_lock(&s->lock);
        bool is_there = i < s->service_count;
        if (is_there && s->services[i]->seen != s->refreshes && !s->services[i]->facts.gone) {
            s->services[i]->facts.gone = true;
            s->services[i]->facts.snapshots = 0;
            s->services[i]->facts.changed = clock_now();
            s->services[i]->mark = 0;
            number = s->services[i]->facts.number;
        }
        pthread_mutex_unlock(&s->lock);
        if (!is_there)
            return vanished;
        if (number) {
            vanished = true;
            changes->service(changes->context, number);
        }
    }
}

enum err snapshots_refresh(struct snapshots *s, const struct snapshots_changes *changes)
{
    struct refresh refresh = {.snapshots = s, .changes = changes};
    pthread_mutex_lock(&s->lock);
    s->refreshes++;
    pthread_mutex_unlock(&s->lock);

    TRY(index_services(s->index, refresh_service, &refresh));
    TRY(index_snapshots(s->index, NULL, refresh_snapshot, &refresh));
    if (refresh.service[0])
        end_service(&refresh);

    struct snapshot_facts facts;
    for (size_t at = 0; take_forgotten(s, &at, &facts);)
        changes->forgotten(changes->context, &facts);
    if (services_vanish(s, changes))
        refresh.services_changed = true;

    pthread_mutex_lock(&s->lock);
    s->totals = refresh.totals;
    if (refresh.services_changed)
        s->changed = clock_now();
    pthread_mutex_unlock(&s->lock);
    if (refresh.services_changed)
        changes->services(changes->context);
    return ERR_OK;
}

void snapshots_get_totals(struct snapshots *s, struct snapshots_totals *ret_totals)
{
    pthread_mutex_lock(&s->lock);
    *ret_totals = s->totals;
    pthread_mutex_unlock(&s->lock);
}

struct timestamp snapshots_changed(struct snapshots *s)
{
    pthread_mutex_lock(&s->lock);
    struct timestamp changed = s->changed;
    pthread_mutex_unlock(&s->lock);
    return changed;
}
