#include "writers/commit.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 64 * 1024, LABEL_MAX_BYTES = 255 };

enum err labels_check(const char *const *labels)
{
    size_t count = 0;
    for (; labels && labels[count]; count++) {
        size_t len = strlen(labels[count]);
        if (len == 0 || len > LABEL_MAX_BYTES)
            return err_set(ERR_INVALID, "a label of %zu bytes: 1 to %d are allowed", len,
                           LABEL_MAX_BYTES);
        if (strchr(labels[count], '\n'))
            return err_set(ERR_INVALID, "a label of more than one line");
    }
    if (count > ENVELOPE_MAX_LABELS)
        return err_set(ERR_INVALID, "%zu labels: %d are allowed", count, ENVELOPE_MAX_LABELS);
    return ERR_OK;
}

/* Text as tree chunks of a fixed size: what stays the same at its beginning is not stored again. */
static enum err text_store(struct sink_worker *trees, struct slice text,
                           struct content *ret_content)
{
    AUTO_PTR(list_builder) list = NULL;
    TRY(list_builder_new(CUT_FIXED, sink_put_tree, trees, &list));
    for (size_t at = 0; at < text.len; at += BLOCK_BYTES) {
        struct slice block =
            slice_of(text.data + at, text.len - at < BLOCK_BYTES ? text.len - at : BLOCK_BYTES);
        struct item item = {.what = ITEM_DATA, .length = block.len};
        TRY(sink_put_tree(trees, block, &item.id));
        TRY(list_builder_add(list, &item));
    }
    return list_builder_finish(list, ret_content);
}

static enum err links_store(const struct commit *c, struct content *ret_content)
{
    AUTO(buf) table = BUF_EMPTY;
    TRY(buf_reserve(&table, c->link_count * LINK_ROW_BYTES));
    for (size_t i = 0; i < c->link_count; i++)
        link_row_encode(&c->links[i], &table);
    TRY(buf_check(&table));
    return text_store(c->trees, buf_slice(&table), ret_content);
}

static enum err root_store(const struct commit *c, struct chunk_id *ret_id)
{
    struct snapshot_root root = {.root = *c->root};
    TRY(links_store(c, &root.links));
    TRY(text_store(c->trees, c->manifest, &root.manifest));
    TRY(text_store(c->trees, c->log, &root.log));
    AUTO(buf) chunk = BUF_EMPTY;
    TRY(snapshot_root_encode(&root, &chunk));
    return sink_put_tree(c->trees, buf_slice(&chunk), ret_id);
}

static enum err labels_copy(const char *const *labels, struct envelope *envelope)
{
    size_t count = 0;
    while (labels && labels[count])
        count++;
    if (count == 0)
        return ERR_OK;
    envelope->labels = calloc(count, sizeof *envelope->labels);
    if (!envelope->labels)
        return err_set(ERR_NOMEM, "no memory for labels");
    for (; envelope->label_count < count; envelope->label_count++)
        if (!(envelope->labels[envelope->label_count] = strdup(labels[envelope->label_count])))
            return err_set(ERR_NOMEM, "no memory for labels");
    return ERR_OK;
}

enum err commit_snapshot(const struct commit *c, struct snapshot_info *ret_snapshot,
                         struct totals *ret_totals)
{
    AUTO(envelope) envelope = {.totals = c->totals, .flags = c->partial ? SNAPSHOT_PARTIAL : 0};
    TRY(labels_check(c->labels));
    TRY(labels_copy(c->labels, &envelope));
    TRY(root_store(c, &envelope.root));
    TRY(sink_worker_finish(c->trees));
    TRY(sink_finish(c->sink));

    struct sink_stats stats;
    sink_stats(c->sink, &stats);
    envelope.totals.new_bytes = stats.new_bytes;
    envelope.totals.stored_bytes = stats.stored_bytes;
    TRY(session_commit(c->session, &envelope, ret_snapshot));
    *ret_totals = envelope.totals;
    return ERR_OK;
}
