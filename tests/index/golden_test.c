/*
 * The golden store, made by hand in another language, read with all we have: access, index, fetch and walk. What comes out is
 * compared with tests/golden/expected.txt line by line: every name, every attribute, the hash of every byte.
 */
#include <stdio.h>

#include "fetch/crypto/digest.h"
#include "fetch/format/tree.h"
#include "index/compare.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

/* ---- a snapshot as text, in the form of expected.txt ---- */

enum { GROUPS_MAX = 64 };

struct telling {
    struct golden *golden;
    const struct snapshot_view *view;
    struct buf *out;
    struct group {
        struct uid id;
        uint64_t position;
        char path[1024];
    } groups[GROUPS_MAX];
    size_t group_count;
    unsigned refused;
};

static void put_printable(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c > 0x20 && c < 0x7f && c != '\\')
            buf_put_u8(out, c);
        else
            buf_put_format(out, "\\x%02x", c);
    }
}

/* Lengths that divide nothing, so that reads begin and end inside of chunks. */
static enum err hash_content(struct telling *t, const struct entry *entry, uint8_t ret_digest[32])
{
    static uint8_t piece[70001];
    struct sha256 sha;
    uint64_t at = 0;
    sha256_init(&sha);
    for (;;) {
        size_t got;
        TRY(reader_read(t->golden->reader, t->view->info.domain, CHUNK_DATA, &entry->content, at, piece, sizeof piece, &got));
        if (got == 0)
            break;
        sha256_update(&sha, slice_of(piece, got));
        at += got;
    }
    sha256_final(&sha, ret_digest);
    if (at != entry->content.length)
        return err_set(ERR_CORRUPT, "%llu bytes read of %llu", (unsigned long long)at, (unsigned long long)entry->content.length);
    if (entry->has_sha256 && memcmp(entry->sha256, ret_digest, 32) != 0)
        return err_set(ERR_CORRUPT, "the entry says another SHA-256");
    return ERR_OK;
}

static enum err put_content(struct telling *t, const struct entry *entry)
{
    uint8_t digest[32];
    if (entry->kind != NODE_FILE) {
        buf_put_format(t->out, " - - -");
        return ERR_OK;
    }
    TRY(hash_content(t, entry, digest));
    buf_put_format(t->out, " %llu %llu %s", (unsigned long long)entry->content.length,
                   (unsigned long long)entry->content.data_bytes, hex_of(digest, 32).text);
    return ERR_OK;
}

static void put_extra(struct telling *t, const struct entry *entry)
{
    buf_put_u8(t->out, ' ');
    if (entry->kind == NODE_SYMLINK)
        put_printable(t->out, entry->target);
    else if (entry->kind == NODE_BLOCK || entry->kind == NODE_CHAR)
        buf_put_format(t->out, "%u:%u", entry->major, entry->minor);
    else
        buf_put_u8(t->out, '-');
}

/* The first member by our own count, which reader_links must agree with. */
static enum err put_link(struct telling *t, const struct entry *entry, struct slice path, uint64_t position)
{
    uint64_t first;
    uint32_t members;
    struct group *group = NULL;
    TRY(reader_links(t->golden->reader, t->view, entry, position, &first, &members));
    for (size_t i = 0; entry->has_link && i < t->group_count; i++)
        if (memcmp(t->groups[i].id.bytes, entry->link.bytes, 16) == 0)
            group = &t->groups[i];
    if (group) {
        if (first != group->position || members < 2)
            return err_set(ERR_CORRUPT, "link group is said to begin at %llu", (unsigned long long)first);
        buf_put_format(t->out, " =");
        put_printable(t->out, slice_str(group->path));
        return ERR_OK;
    }
    if (first != position || members < 1 || (!entry->has_link && members != 1))
        return err_set(ERR_CORRUPT, "the first of a link group is said to be at %llu", (unsigned long long)first);
    if (entry->has_link && t->group_count < GROUPS_MAX) {
        group = &t->groups[t->group_count++];
        group->id = entry->link;
        group->position = position;
        snprintf(group->path, sizeof group->path, "%.*s", (int)path.len, (const char *)path.data);
    }
    buf_put_format(t->out, " -");
    return ERR_OK;
}

static enum err put_xattrs(struct telling *t, const struct entry *entry)
{
    struct cursor list = cursor_of(entry->xattrs);
    struct xattr xattr;
    bool any = false;
    while (xattr_next(&list, &xattr)) {
        AUTO(buf) value = BUF_EMPTY;
        TRY(reader_xattr(t->golden->reader, t->view->info.domain, &xattr, &value));
        buf_put_u8(t->out, any ? ',' : ' ');
        put_printable(t->out, xattr.name);
        buf_put_u8(t->out, '=');
        for (size_t i = 0; i < value.len; i++)
            buf_put_format(t->out, "%02x", value.data[i]);
        any = true;
    }
    if (!any)
        buf_put_format(t->out, " -");
    return ERR_OK;
}

static enum err put_line(struct telling *t, struct slice path, const struct entry *entry, uint64_t position)
{
    static const char *const words[] = {"?", "dir", "file", "symlink", "block", "char", "fifo", "socket"};
    put_printable(t->out, path.len ? path : slice_str("."));
    buf_put_format(t->out, " %s %o %u %u %lld.%09u", words[entry->kind], entry->mode, entry->uid, entry->gid,
                   (long long)entry->mtime.secs, entry->mtime.nanos);
    TRY(put_content(t, entry));
    put_extra(t, entry);
    TRY(put_link(t, entry, path, position));
    TRY(put_xattrs(t, entry));
    buf_put_u8(t->out, '\n');
    return ERR_OK;
}

static enum err tell_node(void *context, struct slice path, const struct entry *entry, uint64_t position)
{
    struct telling *t = context;
    if (!entry->kind) {
        t->refused++;
        return ERR_OK;
    }
    return err_add(put_line(t, path, entry, position), "%.*s", (int)path.len, (const char *)path.data);
}

static enum err tell_snapshot(struct golden *golden, const struct snapshot_info *info, struct buf *out, unsigned *ret_refused)
{
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_MEM struct telling *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    TRY(reader_open_snapshot(golden->reader, info, &view));
    *t = (struct telling){.golden = golden, .view = view, .out = out};
    const struct summary *below = &view->root->entry.below;
    buf_put_format(out,
                   "snapshot %s/%s %s %s nodes=%llu files=%llu directories=%llu bytes=%llu path_bytes=%llu marks=%llu\n",
                   info->service, info->name, info->kind,
                   info->flags == SNAPSHOT_PARTIAL ? "partial" : info->flags == SNAPSHOT_HELD ? "held" : "complete",
                   (unsigned long long)below->nodes, (unsigned long long)below->files, (unsigned long long)info->totals.dirs,
                   (unsigned long long)below->bytes, (unsigned long long)below->path_bytes, (unsigned long long)below->marks);
    if (info->totals.nodes != below->nodes || info->totals.files != below->files || info->totals.bytes != below->bytes)
        return err_set(ERR_CORRUPT, "envelope and root count differently");
    TRY(put_line(t, SLICE_EMPTY, &view->root->entry, 0));
    TRY(reader_visit(golden->reader, view, view->root, tell_node, t));
    *ret_refused += t->refused;
    return buf_check(out);
}

struct telling_all {
    struct golden *golden;
    struct buf *out;
    uint32_t domain; /* only this; 0: all */
    unsigned refused;
};

static enum err tell_one(void *context, const struct snapshot_info *info)
{
    struct telling_all *all = context;
    if (all->domain && info->domain != all->domain)
        return ERR_OK;
    return err_add(tell_snapshot(all->golden, info, all->out, &all->refused), "%s/%s", info->service, info->name);
}

/* ---- line by line ---- */

static struct slice take_line(struct slice *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end ? (size_t)(end - text->data) : text->len;
    struct slice line = slice_of(text->data, len);
    text->data += len + (end != NULL);
    text->len -= len + (end != NULL);
    return line;
}

static void check_lines(struct slice got, struct slice expected, unsigned expected_lines)
{
    unsigned lines = 0;
    while (got.len && expected.len) {
        struct slice a = take_line(&got), b = take_line(&expected);
        lines++;
        if (!slice_equal(a, b))
            fprintf(stderr, "line %u\n  we read   %.*s\n  expected  %.*s\n", lines, (int)a.len, (const char *)a.data, (int)b.len,
                    (const char *)b.data);
        CHECK(slice_equal(a, b));
    }
    CHECK_INT(got.len, 0);
    CHECK_INT(expected.len, 0);
    CHECK_INT(lines, expected_lines);
}

TEST(every_snapshot_reads_as_expected_txt_says)
{
    AUTO(golden) golden = GOLDEN_NONE;
    AUTO(buf) text = BUF_EMPTY, expected = BUF_EMPTY;
    CHECK_OK(golden_file("expected.txt", &expected));
    CHECK_OK(golden_open(&golden, NULL, NULL));
    CHECK_INT(golden.report.damaged, 0);
    struct telling_all all = {&golden, &text, 0, 0};
    CHECK_OK(index_snapshots(golden.index, NULL, tell_one, &all));
    CHECK_INT(all.refused, 2);
    CHECK_CALL(check_lines(buf_slice(&text), buf_slice(&expected), 1407));
}

/* expected.txt without the last section, which is that of the other domain. */
static struct slice without_tenant(struct slice text)
{
    const uint8_t *at = memmem(text.data, text.len, "\nsnapshot tenant-a/", 19);
    return at ? slice_of(text.data, (size_t)(at + 1 - text.data)) : SLICE_EMPTY;
}

static void check_recovered(const char *dir)
{
    AUTO(golden) golden = GOLDEN_NONE;
    AUTO(buf) text = BUF_EMPTY, expected = BUF_EMPTY;
    struct slot_secret secret;
    CHECK_OK(golden_file("expected.txt", &expected));
    CHECK_OK(golden_recovery(&secret));
    CHECK_OK(golden_open(&golden, dir, &secret));
    CHECK(golden.access->by_recovery);
    struct telling_all all = {&golden, &text, 1, 0};
    CHECK_OK(index_snapshots(golden.index, NULL, tell_one, &all));
    CHECK_CALL(check_lines(buf_slice(&text), without_tenant(buf_slice(&expected)), 1401));

    /* The erasable domain is beyond the recovery key: its snapshot is there, its bytes are not. */
    AUTO_PTR(snapshot_view) view = NULL;
    CHECK(golden_view(&golden, "tenant-a/latest", &view) != ERR_OK);
}

TEST(the_recovery_key_reads_all_without_keystore_and_index)
{
    AUTO(tmp_dir) tmp = TMP_DIR_NONE;
    CHECK_OK(tmp_dir_new(&tmp));
    CHECK_OK(golden_copy(tmp_path(&tmp, "store").text, "keys/", "index/"));
    CHECK_CALL(check_recovered(tmp_path(&tmp, "store").text));
}

TEST(the_recovery_key_reads_all_of_a_whole_store)
{
    CHECK_CALL(check_recovered(NULL));
}

/* ---- positions and look-ups ---- */

struct seen {
    struct seen_node {
        uint64_t position;
        enum node_kind kind;
        char path[5000];
        size_t path_len;
    } *nodes;
    size_t count, cap;
    uint64_t next;
};

static void seen_clear(struct seen *seen)
{
    free(seen->nodes);
}

static enum err see(void *context, struct slice path, const struct entry *entry, uint64_t position)
{
    struct seen *seen = context;
    if (seen->count == seen->cap || path.len >= sizeof seen->nodes->path)
        return err_set(ERR_INVALID, "more than the test has room for");
    struct seen_node *node = &seen->nodes[seen->count++];
    node->position = position;
    node->kind = entry->kind;
    node->path_len = path.len;
    memcpy(node->path, path.data, path.len);
    return ERR_OK;
}

static void check_node(struct golden *g, const struct snapshot_view *view, const struct seen_node *seen)
{
    AUTO_PTR(node) by_position = NULL;
    AUTO_PTR(node) by_path = NULL;
    AUTO(buf) path = BUF_EMPTY;
    if (!seen->kind) {
        CHECK_ERR(ERR_UNSUPPORTED, reader_position(g->reader, view, seen->position, &by_position, &path));
        CHECK_ERR(ERR_UNSUPPORTED, reader_path(g->reader, view, slice_of(seen->path, seen->path_len), &by_path));
        return;
    }
    CHECK_OK(reader_position(g->reader, view, seen->position, &by_position, &path));
    CHECK_INT(by_position->position, seen->position);
    CHECK_INT(by_position->entry.kind, seen->kind);
    CHECK_INT(path.len, seen->path_len);
    CHECK_MEM(path.data, seen->path, path.len);
    CHECK_OK(reader_path(g->reader, view, buf_slice(&path), &by_path));
    CHECK_INT(by_path->position, seen->position);
    CHECK(slice_equal(by_path->entry.name, by_position->entry.name));
    CHECK(entries_same_content(&by_path->entry, &by_position->entry));
}

static void check_positions(struct golden *g, const struct snapshot_info *info, uint64_t *total)
{
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) beyond = NULL;
    CHECK_OK(reader_open_snapshot(g->reader, info, &view));
    uint64_t nodes = view->root->entry.below.nodes;
    AUTO(seen) seen = {.nodes = calloc(nodes, sizeof *seen.nodes), .cap = nodes};
    CHECK(seen.nodes);
    CHECK_OK(reader_visit(g->reader, view, view->root, see, &seen));
    uint64_t expected = 1;
    for (size_t i = 0; i < seen.count; i++) {
        /* What lies below a refused directory is counted, and never shown. */
        CHECK(seen.nodes[i].position == expected || (i > 0 && !seen.nodes[i - 1].kind && seen.nodes[i].position > expected));
        expected = seen.nodes[i].position + 1;
        CHECK_CALL(check_node(g, view, &seen.nodes[i]));
    }
    CHECK_ERR(ERR_NOT_FOUND, reader_position(g->reader, view, nodes + 1, &beyond, NULL));
    CHECK_ERR(ERR_NOT_FOUND, reader_position(g->reader, view, UINT64_MAX, &beyond, NULL));
    *total += seen.count;
}

struct infos {
    struct snapshot_info list[16];
    size_t count;
};

static enum err infos_add(void *context, const struct snapshot_info *info)
{
    struct infos *infos = context;
    infos->list[infos->count++] = *info;
    return infos->count < 16 ? ERR_OK : ERR_INVALID;
}

TEST(every_position_and_every_path_lead_to_the_node_that_was_visited_there)
{
    static struct infos infos;
    AUTO(golden) golden = GOLDEN_NONE;
    uint64_t total = 0;
    infos.count = 0;
    CHECK_OK(golden_open(&golden, NULL, NULL));
    CHECK_OK(index_snapshots(golden.index, NULL, infos_add, &infos));
    CHECK_INT(infos.count, 8);
    for (size_t i = 0; i < infos.count; i++)
        CHECK_CALL(check_positions(&golden, &infos.list[i], &total));
    CHECK_INT(total, 1407 - 2 * 8 + 2); /* lines of expected.txt but headings and roots, and the two it leaves out */
}

TEST(what_a_newer_version_wrote_is_refused_alone)
{
    AUTO(golden) golden = GOLDEN_NONE;
    AUTO_PTR(snapshot_view) view = NULL;
    AUTO_PTR(node) plain = NULL;
    AUTO_PTR(node) newer = NULL;
    CHECK_OK(golden_open(&golden, NULL, NULL));
    CHECK_OK(golden_view(&golden, "future/latest", &view));
    CHECK_ERR(ERR_UNSUPPORTED, reader_lookup(golden.reader, view->root, slice_str("newer.txt"), &newer));
    CHECK(strstr(err_text(), "newer.txt"));
    CHECK_ERR(ERR_UNSUPPORTED, reader_lookup(golden.reader, view->root, slice_str("newer-directory"), &newer));
    CHECK_ERR(ERR_UNSUPPORTED, reader_path(golden.reader, view, slice_str("newer-directory/hidden"), &newer));
    CHECK_OK(reader_lookup(golden.reader, view->root, slice_str("plain.txt"), &plain));
    char text[16];
    size_t got;
    CHECK_OK(reader_read(golden.reader, 1, CHUNK_DATA, &plain->entry.content, 0, text, sizeof text, &got));
    CHECK_INT(got, 6);
    CHECK_MEM(text, "alpha\n", 6);
}

TEST(manifests_and_logs_read_as_text)
{
    AUTO(golden) golden = GOLDEN_NONE;
    AUTO_PTR(snapshot_view) first = NULL;
    AUTO_PTR(snapshot_view) many = NULL;
    AUTO(buf) manifest = BUF_EMPTY, log = BUF_EMPTY, none = BUF_EMPTY;
    CHECK_OK(golden_open(&golden, NULL, NULL));
    CHECK_OK(golden_view(&golden, "files/20261120T140000Z", &first));
    CHECK_OK(golden_view(&golden, "many/latest", &many));
    CHECK_OK(reader_manifest(golden.reader, first, &manifest));
    CHECK_STR((const char *)manifest.data, "{\"service\":\"files\",\"source\":\"made by hand\"}");
    CHECK_OK(reader_log(golden.reader, first, &log)); /* a list of tree chunks, two of them the same */
    CHECK_STR((const char *)log.data, "line one\nline two\nline one\nline four\n");
    CHECK_OK(reader_log(golden.reader, many, &none));
    CHECK_INT(none.len, 0);
}

TEST_MAIN(every_snapshot_reads_as_expected_txt_says, the_recovery_key_reads_all_without_keystore_and_index,
          the_recovery_key_reads_all_of_a_whole_store, every_position_and_every_path_lead_to_the_node_that_was_visited_there,
          what_a_newer_version_wrote_is_refused_alone, manifests_and_logs_read_as_text)
