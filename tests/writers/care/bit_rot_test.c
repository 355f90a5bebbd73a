/*
 * Bit rot: one byte of one object changed, object after object, byte after byte. check --read-data finds each and names the
 * object; whoever reads meanwhile gets the bytes that were stored, or an error, and always gets the files that are whole.
 *
 * Small objects: every byte. Large ones: every byte of their first and last half kilobyte, and a stride between. In passes, so that
 * where the time runs out (sanitizers, a busy machine) every object was looked at alike; the last line says how far it got.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fetch/base/clock.h"
#include "fetch/base/file.h"
#include "fetch/base/rand.h"
#include "fetch/store/names.h"
#include "index/walk.h"
#include "tests/support/made.h"
#include "tests/support/test.h"
#include "writers/backup.h"
#include "writers/care/check.h"
#include "writers/session.h"

enum {
    WHOLE_BYTES = 4096,  /* an object up to here: every byte */
    EDGE_BYTES = 512,    /* a larger one: every byte of so much at both ends, */
    BETWEEN = 150,       /* and so many between */
    READ_EVERY = 150,    /* after every so many flips all files are read, through a fresh cache */
    PASSES = 16,         /* each takes another sixteenth of those places, of all objects */
    SECONDS_MOST = 40,   /* no new pass after that */
    FILES_MOST = 16,
};

struct rot {
    struct made made;
    struct slot_secret key_file; /* opens without scrypt */
    struct access *access;       /* opened while all was well */
    struct index *index;
    size_t cache_number;
    struct known_file {
        char service[16], path[32];
        struct buf bytes;
    } files[FILES_MOST];
    size_t file_count;
    struct name_list names;
};

static void rot_clear(struct rot *r)
{
    for (size_t i = 0; i < r->file_count; i++)
        buf_clear(&r->files[i].bytes);
    name_list_clear(&r->names);
    index_free(r->index);
    access_free(r->access);
    made_clear(&r->made);
}

static enum err rot_open(const struct rot *r, struct access **ret_access)
{
    struct access_request request = {
        .store_url = r->made.store_url, .keystore_url = r->made.keystore_url, .secret = r->key_file};
    return access_open(&request, ret_access);
}

static struct tmp_path object_path(const struct rot *r, const char *name)
{
    struct tmp_path path;
    snprintf(path.text, sizeof path.text, "%s/%s", r->made.store_url, name);
    return path;
}

/* ---- the store ---- */

/* A key file's slot, besides the passphrase's and the recovery key's. */
static enum err add_key_file(struct rot *r)
{
    AUTO_PTR(store) keystore = NULL;
    struct keystore_opened opened;
    struct slot_secret passphrase = {.kind = SLOT_PASSPHRASE, .passphrase = slice_str(MADE_PASSPHRASE)};
    char slot[32];
    r->key_file = (struct slot_secret){.kind = SLOT_KEY_FILE};
    rand_bytes(r->key_file.key, sizeof r->key_file.key);
    TRY(store_open(r->made.keystore_url, false, &keystore));
    TRY(keystore_open(keystore, &r->made.id, &passphrase, &opened));
    keyring_free(opened.keys);
    return keystore_add(keystore, &r->made.id, opened.keyring_key, &r->key_file, 0, "for the test", slot);
}

/* A file of random bytes, which we keep to compare with. */
static enum err make_file(struct rot *r, const char *service, const char *path, size_t len)
{
    struct known_file *file = &r->files[r->file_count++];
    AUTO(buf) below = BUF_EMPTY;
    snprintf(file->service, sizeof file->service, "%s", service);
    snprintf(file->path, sizeof file->path, "%s", path);
    TRY(buf_resize(&file->bytes, len));
    rand_bytes(file->bytes.data, len);
    buf_put_format(&below, "%s/%s", service, path);
    buf_put_u8(&below, 0);
    TRY(buf_check(&below));
    return file_write_new(tmp_path(&r->made.tmp, (const char *)below.data).text, buf_slice(&file->bytes), 0644);
}

static struct backup_common common_of(struct rot *r, const char *service)
{
    return (struct backup_common){
        .access = r->access, .index = r->index, .service = service, .level = INT_MIN, .file_hash = true, .workers = 1};
}

static enum err back_up_files(struct rot *r)
{
    struct backup_report report;
    TRY(dir_make(tmp_path(&r->made.tmp, "web").text, 0755));
    TRY(dir_make(tmp_path(&r->made.tmp, "web/below").text, 0755));
    TRY(make_file(r, "web", "small", 100));
    TRY(make_file(r, "web", "below/text", 3000));
    TRY(make_file(r, "web", "below/random", 20000));
    TRY(make_file(r, "web", "large", 300000));
    struct tmp_path root = tmp_path(&r->made.tmp, "web");
    const char *paths[] = {root.text, NULL};
    struct backup_files_options options = {.common = common_of(r, "web"), .paths = paths};
    TRY(backup_files(&options, &report));
    return report.partial ? err_set(ERR_CORRUPT, "a partial snapshot of three files") : ERR_OK;
}

static enum err back_up_stream(struct rot *r)
{
    struct backup_report report;
    TRY(dir_make(tmp_path(&r->made.tmp, "dump").text, 0755));
    TRY(make_file(r, "dump", "dump.sql", 150000));
    int fd = open(tmp_path(&r->made.tmp, "dump/dump.sql").text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno("dump.sql");
    struct backup_stream_options options = {.common = common_of(r, "dump"), .name = "dump.sql", .fd = fd};
    enum err e = backup_stream(&options, &report);
    close(fd);
    return e;
}

static enum err fail_a_session(struct rot *r)
{
    struct session *session;
    struct session_options options = {.service = "web", .kind = "files", .time = clock_now()};
    TRY(session_begin(r->access, r->index, &options, &session));
    session_free(session);
    return ERR_OK;
}

static enum err rot_new(struct rot *r)
{
    TRY(made_new(&r->made, true));
    TRY(add_key_file(r));
    TRY(rot_open(r, &r->access));
    TRY(index_open(r->access, tmp_path(&r->made.tmp, "cache").text, &r->index));
    TRY(index_sync(r->index, SYNC_ALL, NULL));
    TRY(back_up_files(r));
    TRY(back_up_stream(r));
    TRY(fail_a_session(r));
    return store_names(r->access->store, "", &r->names);
}

/* ---- what check says ---- */

struct heard {
    const char *object; /* the one that is damaged */
    bool named;
    uint64_t touched;
};

static void hear(void *context, const struct check_finding *finding)
{
    struct heard *heard = context;
    if (finding->what == CHECK_DAMAGE && strcmp(finding->object, heard->object) == 0)
        heard->named = true;
    heard->touched += finding->what == CHECK_TOUCHED;
}

/* Opening names it, or check does. */
static bool is_found(struct rot *r, const char *name)
{
    AUTO_PTR(access) again = NULL;
    struct heard heard = {.object = name};
    struct check_report report = {0};
    struct check_options options = {
        .access = r->access, .index = r->index, .workers = 1, .finding = hear, .context = &heard};
    /* What the structure's check finds, the whole one finds too: packs take their time. */
    if (strncmp(name, "packs/", 6) == 0)
        options.read_percent = 100;
    if (strncmp(name, "keys/keyring-", 13) == 0) /* read by those who open the store: there is one for each keyring key */
        return rot_open(r, &again) != ERR_OK && strstr(err_text(), name + 5);
    if (check_run(&options, &report) != ERR_OK)
        return strstr(err_text(), name);
    return report.damaged && heard.named;
}

/* ---- what readers get ---- */

enum got { GOT_RIGHT, GOT_ERROR, GOT_WRONG };

static enum err read_file(struct reader *reader, struct index *index, const struct known_file *file, struct buf *ret_bytes)
{
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) node = NULL;
    struct snapshot_info info;
    size_t len;
    TRY(index_snapshot(index, file->service, "latest", true, &info));
    TRY(reader_open_snapshot(reader, &info, &view));
    TRY(reader_path(reader, view, slice_str(file->path), &node));
    TRY(buf_resize(ret_bytes, file->bytes.len + 1));
    TRY(reader_read(reader, info.domain, CHUNK_DATA, &node->entry.content, 0, ret_bytes->data, ret_bytes->len, &len));
    return buf_resize(ret_bytes, len);
}

static enum got try_file(struct reader *reader, struct index *index, const struct known_file *file)
{
    AUTO(buf) bytes = BUF_EMPTY;
    if (read_file(reader, index, file, &bytes) != ERR_OK)
        return GOT_ERROR;
    return bytes.len == file->bytes.len && memcmp(bytes.data, file->bytes.data, bytes.len) == 0 ? GOT_RIGHT : GOT_WRONG;
}

/* All files, by somebody who begins with an empty cache. */
static void check_reading(struct rot *r, const struct access *access)
{
    AUTO_PTR(index) index = NULL;
    AUTO_PTR(fetcher) fetcher = NULL;
    AUTO_PTR(reader) reader = NULL;
    char cache[32];
    size_t right = 0;
    snprintf(cache, sizeof cache, "cache-%zu", r->cache_number++);
    struct tmp_path dir = tmp_path(&r->made.tmp, cache);
    CHECK_OK(index_open(access, dir.text, &index));
    CHECK_OK(index_sync(index, SYNC_ALL, NULL));
    struct fetch_guide guide = index_guide(index);
    struct fetch_options options = {.frames_bytes = 1 << 20};
    CHECK_OK(fetcher_new(access->store, access->keys, &guide, &options, &fetcher));
    CHECK_OK(reader_new(index, fetcher, 0, &reader));
    for (size_t i = 0; i < r->file_count; i++) {
        enum got got = try_file(reader, index, &r->files[i]);
        CHECK(got != GOT_WRONG);
        right += got == GOT_RIGHT;
    }
    CHECK(right > 0); /* whatever object it is: not all is lost */
    CHECK_OK(tmp_dir_remove(dir.text));
}

/* By a program that was open before, and by one that opens now, if it can. */
static void check_readers(struct rot *r)
{
    AUTO_PTR(access) again = NULL;
    CHECK_CALL(check_reading(r, r->access));
    if (rot_open(r, &again) == ERR_OK)
        CHECK_CALL(check_reading(r, again));
}

/* ---- the sweeps ---- */

static enum err poke(const struct rot *r, const char *name, uint64_t at, uint8_t byte)
{
    int fd = open(object_path(r, name).text, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno("%s", name);
    enum err e = pwrite_full(fd, slice_of(&byte, 1), at);
    close(fd);
    return e;
}

/* The place after this one. */
static size_t next_place(size_t at, size_t len)
{
    bool between = len > WHOLE_BYTES && at >= EDGE_BYTES && at + EDGE_BYTES < len;
    return at + (between ? (len - 2 * EDGE_BYTES) / BETWEEN + 1 : 1);
}

static uint64_t secs_since(uint64_t started_ns)
{
    return (clock_monotonic_ns() - started_ns) / 1000000000;
}

struct sweep {
    unsigned pass;
    size_t places, flips;
};

static void flip_byte(struct rot *r, const char *name, struct slice bytes, size_t at, struct sweep *sweep)
{
    CHECK_OK(poke(r, name, at, bytes.data[at] ^ (uint8_t)(1 << at % 8)));
    if (!is_found(r, name))
        test_fail(__FILE__, __LINE__, "%s: byte %zu of %zu changed, and nothing says so: %s", name, at, bytes.len, err_text());
    if (sweep->flips++ % READ_EVERY == 0)
        CHECK_CALL(check_readers(r));
    CHECK_OK(poke(r, name, at, bytes.data[at]));
}

static void flip_object(struct rot *r, const char *name, struct sweep *sweep)
{
    AUTO(buf) bytes = BUF_EMPTY;
    size_t nth = 0;
    CHECK_OK(store_get_all(r->access->store, name, 64 << 20, &bytes));
    for (size_t at = 0; at < bytes.len; at = next_place(at, bytes.len), nth++) {
        if (sweep->pass == 0)
            sweep->places++;
        if (nth % PASSES == sweep->pass)
            CHECK_CALL(flip_byte(r, name, buf_slice(&bytes), at, sweep));
    }
}

TEST(every_changed_byte_is_found)
{
    AUTO(rot) r = {0};
    struct sweep sweep = {0};
    uint64_t started_ns = clock_monotonic_ns();
    CHECK_OK(rot_new(&r));
    CHECK(r.names.count > 20);
    for (; sweep.pass < PASSES && secs_since(started_ns) < SECONDS_MOST; sweep.pass++)
        for (size_t i = 0; i < r.names.count; i++)
            CHECK_CALL(flip_object(&r, r.names.names[i], &sweep));
    CHECK_CALL(check_readers(&r));
    printf("%zu of %zu places in %zu objects changed in turn, %u of %d passes, %llu s\n", sweep.flips, sweep.places, r.names.count,
           sweep.pass, PASSES, (unsigned long long)secs_since(started_ns));
}

/* Other bytes under its name: found, nothing wrong served; then as it was. */
static void try_object(struct rot *r, const char *name, const char *how, struct slice bytes)
{
    AUTO(buf) keep = BUF_EMPTY;
    CHECK_OK(store_get_all(r->access->store, name, 64 << 20, &keep));
    if (keep.len == bytes.len && (keep.len == 0 || memcmp(keep.data, bytes.data, keep.len) == 0))
        return;
    CHECK_OK(store_put(r->access->store, name, bytes, false));
    if (!is_found(r, name))
        test_fail(__FILE__, __LINE__, "%s %s, and nothing says so: %s", name, how, err_text());
    CHECK_CALL(check_readers(r));
    CHECK_OK(store_put(r->access->store, name, buf_slice(&keep), false));
}

/* Folder of an object: those of one folder are of one type. */
static size_t folder_len(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? (size_t)(slash - name) : 0;
}

static void maim_object(struct rot *r, size_t i)
{
    const char *name = r->names.names[i];
    AUTO(buf) bytes = BUF_EMPTY, other = BUF_EMPTY, longer = BUF_EMPTY;
    CHECK_OK(store_get_all(r->access->store, name, 64 << 20, &bytes));
    CHECK_CALL(try_object(r, name, "emptied", slice_of("", 0)));
    CHECK_CALL(try_object(r, name, "cut by a byte", slice_of(bytes.data, bytes.len - 1)));
    CHECK_CALL(try_object(r, name, "cut in half", slice_of(bytes.data, bytes.len / 2)));
    buf_put_slice(&longer, buf_slice(&bytes));
    buf_put_u8(&longer, 0);
    CHECK_OK(buf_check(&longer));
    CHECK_CALL(try_object(r, name, "longer by a byte", buf_slice(&longer)));
    size_t from = bytes.len > 8192 ? bytes.len / 2 : 0, len = bytes.len - from < 4096 ? bytes.len - from : 4096;
    CHECK_OK(buf_resize(&longer, bytes.len));
    memset(longer.data + from, 0, len);
    CHECK_CALL(try_object(r, name, "zeroed", buf_slice(&longer)));
    /* Another of its type in its place. */
    const char *next = r->names.names[(i + 1) % r->names.count];
    size_t folder = folder_len(name);
    if (folder == 0 || folder_len(next) != folder || memcmp(name, next, folder) != 0)
        return;
    CHECK_OK(store_get_all(r->access->store, next, 64 << 20, &other));
    CHECK_CALL(try_object(r, name, "is another object", buf_slice(&other)));
    CHECK_CALL(try_object(r, next, "is another object", buf_slice(&bytes)));
}

TEST(cut_grown_zeroed_and_swapped_objects_are_found)
{
    AUTO(rot) r = {0};
    CHECK_OK(rot_new(&r));
    for (size_t i = 0; i < r.names.count; i++)
        CHECK_CALL(maim_object(&r, i));
    CHECK_CALL(check_readers(&r));
}

TEST_MAIN(every_changed_byte_is_found, cut_grown_zeroed_and_swapped_objects_are_found)
