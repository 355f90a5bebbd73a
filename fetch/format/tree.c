#include "fetch/format/tree.h"

#include <stdlib.h>

enum { ENTRY_LINK = 1, ENTRY_SHA256 = 2, ENTRY_FIELDS = 4 };
enum { FIELD_XATTR = 1, FIELD_BTIME = 2 };

/* ---- extended attributes ---- */

void xattr_put(struct buf *list, const struct xattr *xattr)
{
    AUTO(buf) value = BUF_EMPTY;
    buf_put_bytes(&value, xattr->name);
    buf_put_u8(&value, xattr->in_chunk ? 1 : 0);
    if (xattr->in_chunk) {
        buf_put_varint(&value, xattr->length);
        buf_put(&value, xattr->chunk.bytes, 32);
    } else {
        buf_put_bytes(&value, xattr->value);
    }
    fields_put(list, FIELD_XATTR, false, buf_slice(&value));
    list->failed |= value.failed;
}

static bool xattr_decode(struct slice value, struct xattr *ret_xattr)
{
    struct cursor c = cursor_of(value);
    struct xattr x = {.name = cursor_bytes(&c, NAME_MAX_BYTES)};
    uint8_t how = cursor_u8(&c);
    cursor_require(&c, x.name.len >= 1 && how <= 1 && !memchr(x.name.data, 0, x.name.len));
    x.in_chunk = how == 1;
    if (x.in_chunk) {
        x.length = (uint32_t)cursor_varint_max(&c, XATTR_VALUE_MAX_BYTES);
        cursor_copy(&c, x.chunk.bytes, 32);
        cursor_require(&c, x.length >= 1);
    } else {
        x.value = cursor_bytes(&c, XATTR_VALUE_MAX_BYTES);
        x.length = (uint32_t)x.value.len;
    }
    if (c.bad || c.at != c.end)
        return false;
    *ret_xattr = x;
    return true;
}

bool xattr_next(struct cursor *list, struct xattr *ret_xattr)
{
    struct field f;
    while (fields_next(list, &f))
        if (f.number == FIELD_XATTR)
            return xattr_decode(f.value, ret_xattr);
    return false;
}

/* ---- names and summaries ---- */

size_t escaped_len(struct slice name, bool *ret_mark)
{
    size_t more = 0;
    for (size_t i = 0; i < name.len; i++)
        more += name.data[i] == '\\' || name.data[i] == '\n' || name.data[i] == '\r';
    *ret_mark = more != 0;
    return name.len + more;
}

void summary_add(struct summary *sum, const struct entry *entry)
{
    bool mark;
    size_t len = escaped_len(entry->name, &mark);
    sum->entries++;
    sum->nodes++;
    if (entry->kind == NODE_FILE) {
        sum->files++;
        sum->path_bytes += len;
        sum->marks += mark;
        sum->bytes += entry->content.length;
    } else if (entry->kind == NODE_DIR) {
        const struct summary *below = &entry->below;
        sum->nodes += below->nodes;
        sum->files += below->files;
        sum->path_bytes += below->path_bytes + below->files * (len + 1);
        sum->marks += mark ? below->files : below->marks;
        sum->bytes += below->bytes;
    }
}

static void summary_encode(const struct summary *s, struct buf *out)
{
    buf_put(out, s->page.bytes, 32);
    buf_put_varint(out, s->entries);
    buf_put_varint(out, s->nodes);
    buf_put_varint(out, s->files);
    buf_put_varint(out, s->path_bytes);
    buf_put_varint(out, s->marks);
    buf_put_varint(out, s->bytes);
}

static struct summary summary_decode(struct cursor *c)
{
    struct summary s;
    cursor_copy(c, s.page.bytes, 32);
    s.entries = cursor_varint_max(c, UINT64_C(1) << 36);
    s.nodes = cursor_varint_max(c, UINT64_C(1) << 36); /* a position has 36 bits */
    s.files = cursor_varint_max(c, s.nodes);
    s.path_bytes = cursor_varint_max(c, INT64_MAX);
    s.marks = cursor_varint_max(c, s.files);
    s.bytes = cursor_varint(c);
    cursor_require(c, s.entries <= s.nodes);
    return s;
}

/* ---- entries ---- */

static void time_encode(struct timestamp t, struct buf *out)
{
    buf_put_zigzag(out, t.secs);
    buf_put_varint(out, t.nanos);
}

static struct timestamp time_decode(struct cursor *c)
{
    struct timestamp t = {.secs = cursor_zigzag(c)};
    t.nanos = (uint32_t)cursor_varint_max(c, 999999999);
    return t;
}

void entry_encode(const struct entry *e, struct buf *out)
{
    bool has_fields = e->xattrs.len || e->has_btime;
    buf_put_bytes(out, e->name);
    buf_put_u8(out, (uint8_t)e->kind);
    buf_put_u8(out, (uint8_t)((e->has_link ? ENTRY_LINK : 0) | (e->has_sha256 ? ENTRY_SHA256 : 0) |
                              (has_fields ? ENTRY_FIELDS : 0)));
    buf_put_varint(out, e->mode);
    buf_put_varint(out, e->uid);
    buf_put_varint(out, e->gid);
    time_encode(e->mtime, out);
    time_encode(e->ctime, out);
    if (e->has_link)
        buf_put(out, e->link.bytes, 16);
    switch (e->kind) {
    case NODE_DIR:
        summary_encode(&e->below, out);
        break;
    case NODE_FILE:
        content_encode(&e->content, out);
        if (e->has_sha256)
            buf_put(out, e->sha256, 32);
        break;
    case NODE_SYMLINK:
        buf_put_bytes(out, e->target);
        break;
    case NODE_BLOCK:
    case NODE_CHAR:
        buf_put_varint(out, e->major);
        buf_put_varint(out, e->minor);
        break;
    case NODE_FIFO:
    case NODE_SOCKET:
        break;
    }
    if (!has_fields)
        return;
    AUTO(buf) fields = BUF_EMPTY;
    buf_put_slice(&fields, e->xattrs);
    if (e->has_btime) {
        AUTO(buf) value = BUF_EMPTY;
        time_encode(e->btime, &value);
        fields_put(&fields, FIELD_BTIME, false, buf_slice(&value));
        fields.failed |= value.failed;
    }
    fields_seal(out, &fields);
    out->failed |= fields.failed;
}

static bool name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES || memchr(name.data, '/', name.len) || memchr(name.data, 0, name.len))
        return false;
    return !(name.data[0] == '.' && (name.len == 1 || (name.len == 2 && name.data[1] == '.')));
}

/* The fields block of an entry: sets xattrs and birth time. Taken off the cursor before: the walk goes on whatever it holds. */
static enum err entry_fields(struct slice inside, struct entry *e)
{
    struct cursor block = cursor_of(inside);
    struct field f;
    const uint8_t *xattrs_end = inside.data;
    while (fields_next(&block, &f)) {
        if (f.number == FIELD_XATTR) {
            struct xattr ignored;
            if (!xattr_decode(f.value, &ignored))
                return err_set(ERR_CORRUPT, "malformed extended attribute");
            xattrs_end = block.at;
        } else if (f.number == FIELD_BTIME) {
            struct cursor value = cursor_of(f.value);
            e->btime = time_decode(&value);
            e->has_btime = true;
            TRY(cursor_finish(&value, "birth time"));
        } else {
            TRY(fields_unknown(&f, "directory entry"));
        }
    }
    TRY(cursor_check(&block, "directory entry"));
    e->xattrs = slice_of(inside.data, (size_t)(xattrs_end - inside.data));
    return ERR_OK;
}

/* Walk over one entry. The return value says whether what follows can be found; *ret_why whether this entry may be used. */
static enum err entry_walk(struct cursor *c, bool allow_root, struct entry *ret_entry, enum err *ret_why)
{
    *ret_why = ERR_OK;
    struct entry e = {.name = cursor_bytes(c, NAME_MAX_BYTES)};
    uint8_t kind = cursor_u8(c), flags = cursor_u8(c);
    TRY(cursor_check(c, "directory entry"));
    e.kind = kind;
    if (kind < NODE_DIR || kind > NODE_SOCKET || flags > 7)
        return err_set(ERR_UNSUPPORTED, "directory entry of kind %u, flags %u", kind, flags);
    if (!name_is_valid(e.name) && !(allow_root && e.name.len == 0 && kind == NODE_DIR))
        *ret_why = err_set(ERR_CORRUPT, "directory entry with an impossible name");
    e.mode = (uint32_t)cursor_varint_max(c, 07777);
    e.uid = (uint32_t)cursor_varint_max(c, UINT32_MAX);
    e.gid = (uint32_t)cursor_varint_max(c, UINT32_MAX);
    e.mtime = time_decode(c);
    e.ctime = time_decode(c);
    e.has_link = flags & ENTRY_LINK;
    if (e.has_link)
        cursor_copy(c, e.link.bytes, 16);
    e.has_sha256 = flags & ENTRY_SHA256;
    cursor_require(c, !e.has_sha256 || kind == NODE_FILE);
    switch (e.kind) {
    case NODE_DIR:
        e.below = summary_decode(c);
        break;
    case NODE_FILE:
        e.content = content_decode(c);
        if (e.has_sha256)
            cursor_copy(c, e.sha256, 32);
        break;
    case NODE_SYMLINK:
        e.target = cursor_bytes(c, TARGET_MAX_BYTES);
        cursor_require(c, e.target.len >= 1 && !memchr(e.target.data, 0, e.target.len));
        break;
    case NODE_BLOCK:
    case NODE_CHAR:
        e.major = (uint32_t)cursor_varint_max(c, UINT32_MAX);
        e.minor = (uint32_t)cursor_varint_max(c, UINT32_MAX);
        break;
    case NODE_FIFO:
    case NODE_SOCKET:
        break;
    }
    TRY(cursor_check(c, "directory entry"));
    if (flags & ENTRY_FIELDS) {
        struct slice inside = fields_take(c, CHUNK_MAX_BYTES);
        TRY(cursor_check(c, "directory entry"));
        enum err e_fields = entry_fields(inside, &e);
        *ret_why = *ret_why != ERR_OK ? *ret_why : e_fields;
    }
    *ret_entry = e;
    return ERR_OK;
}

enum err entry_decode(struct cursor *c, bool allow_root, struct entry *ret_entry)
{
    struct entry e;
    enum err why;
    TRY(entry_walk(c, allow_root, &e, &why));
    if (why == ERR_OK)
        *ret_entry = e;
    return why;
}

/* ---- pages ---- */

void page_clear(struct page *page)
{
    free(page->entries);
    free(page->nodes_before);
    free(page->children);
    *page = (struct page){0};
}

static int name_compare(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static enum err leaf_decode(struct cursor *c, struct page *page)
{
    page->entries = calloc(page->count, sizeof *page->entries);
    page->nodes_before = calloc(page->count + 1, sizeof *page->nodes_before);
    if (!page->entries || !page->nodes_before)
        return err_set(ERR_NOMEM, "no memory for a directory page");
    struct slice before = SLICE_EMPTY;
    uint64_t nodes = 0;
    for (size_t i = 0; i < page->count; i++) {
        struct entry *e = &page->entries[i];
        enum err why;
        TRY(entry_walk(c, false, e, &why));
        if (i > 0 && name_compare(before, e->name) >= 0)
            return err_set(ERR_CORRUPT, "directory page out of order");
        before = e->name;
        page->nodes_before[i] = nodes;
        nodes += 1 + (e->kind == NODE_DIR ? e->below.nodes : 0);
        if (why != ERR_OK)
            e->kind = 0; /* this one is refused, its neighbours are not */
    }
    page->nodes_before[page->count] = nodes;
    return ERR_OK;
}

static enum err index_decode(struct cursor *c, struct page *page)
{
    page->children = calloc(page->count, sizeof *page->children);
    if (!page->children)
        return err_set(ERR_NOMEM, "no memory for a directory page");
    struct slice before = SLICE_EMPTY;
    for (size_t i = 0; i < page->count; i++) {
        struct page_child *child = &page->children[i];
        child->first_name = cursor_bytes(c, NAME_MAX_BYTES);
        child->below = summary_decode(c);
        cursor_require(c, name_is_valid(child->first_name) && child->below.entries >= 1 &&
                              (i == 0 || name_compare(before, child->first_name) < 0));
        TRY(cursor_check(c, "directory index"));
        before = child->first_name;
    }
    return ERR_OK;
}

enum err page_decode(struct slice chunk, struct page *ret_page)
{
    struct cursor c = cursor_of(chunk);
    uint8_t type = cursor_u8(&c), version = cursor_u8(&c);
    AUTO(page) page = {0};
    page.count = (size_t)cursor_varint_max(&c, PAGE_MAX_ENTRIES);
    cursor_require(&c, (type == 1 || type == 2) && page.count >= 1);
    TRY(cursor_check(&c, "directory page"));
    if (version != FORMAT_VERSION)
        return err_set(ERR_UNSUPPORTED, "directory page of version %u", version);
    page.is_index = type == 2;
    TRY(page.is_index ? index_decode(&c, &page) : leaf_decode(&c, &page));
    TRY(fields_skip(&c, "directory page"));
    TRY(cursor_finish(&c, "directory page"));
    *ret_page = page;
    page = (struct page){0};
    return ERR_OK;
}

/* ---- the snapshot root and its link table ---- */

enum err snapshot_root_encode(const struct snapshot_root *root, struct buf *out)
{
    buf_put_u8(out, 4);
    buf_put_u8(out, FORMAT_VERSION);
    entry_encode(&root->root, out);
    content_encode(&root->links, out);
    content_encode(&root->manifest, out);
    content_encode(&root->log, out);
    buf_put_varint(out, 0);
    return buf_check(out);
}

enum err snapshot_root_decode(struct slice chunk, struct snapshot_root *ret_root)
{
    struct cursor c = cursor_of(chunk);
    uint8_t type = cursor_u8(&c), version = cursor_u8(&c);
    cursor_require(&c, type == 4);
    TRY(cursor_check(&c, "snapshot root"));
    if (version != FORMAT_VERSION)
        return err_set(ERR_UNSUPPORTED, "snapshot root of version %u", version);
    struct snapshot_root root = {0};
    TRY(entry_decode(&c, true, &root.root));
    if (root.root.kind != NODE_DIR || root.root.name.len)
        return err_set(ERR_CORRUPT, "snapshot root that is no directory");
    root.links = content_decode(&c);
    root.manifest = content_decode(&c);
    root.log = content_decode(&c);
    TRY(fields_skip(&c, "snapshot root"));
    TRY(cursor_finish(&c, "snapshot root"));
    *ret_root = root;
    return ERR_OK;
}

void link_row_encode(const struct link_row *row, struct buf *out)
{
    buf_put(out, row->group.bytes, 16);
    buf_put_u64(out, row->position);
    buf_put_u32(out, row->members);
    buf_put_u32(out, 0);
}

struct link_row link_row_decode(const uint8_t bytes[LINK_ROW_BYTES])
{
    struct cursor c = cursor_of(slice_of(bytes, LINK_ROW_BYTES));
    struct link_row row;
    cursor_copy(&c, row.group.bytes, 16);
    row.position = cursor_u64(&c);
    row.members = cursor_u32(&c);
    return row;
}
