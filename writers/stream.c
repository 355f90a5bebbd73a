/* backup_stream: what a program writes, or what comes through a descriptor, as the one file of a
 * snapshot. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <sched.h>

#include "fetch/base/clock.h"
#include "fetch/base/file.h"
#include "writers/commit.h"
#include "writers/pipeline/pieces.h"
#include "writers/source/child.h"

enum { STREAM_LEVEL = 1, PROGRESS_NS = 100 * 1000 * 1000 };
enum { PIECE_MEMORY_BYTES = 9 << 20 }; /* a worker's piece, and what else it holds */
#define MEMORY_DEFAULT_BYTES ((size_t)512 << 20)
#define SINK_MIN_BYTES ((size_t)32 << 20)

struct stream {
    const struct backup_stream_options *options;
    struct timestamp time;
    int level;
    unsigned workers;
    struct child child;
    int fd;
    struct sink *sink; /* for progress */
    uint64_t bytes;    /* read so far: by one thread at a time */
    uint64_t next_progress_ns;
};

static void stream_clear(struct stream *s)
{
    child_clear(&s->child);
}

/* ---- the source ---- */

static void progress_tell(struct stream *s, bool now)
{
    const struct backup_common *common = &s->options->common;
    if (!common->progress || (!now && clock_monotonic_ns() < s->next_progress_ns))
        return;
    struct sink_stats stats;
    sink_stats(s->sink, &stats);
    struct backup_progress progress = {
        .bytes = s->bytes, .new_bytes = stats.new_bytes, .stored_bytes = stats.stored_bytes};
    common->progress(common->progress_context, &progress);
    s->next_progress_ns = clock_monotonic_ns() + PROGRESS_NS;
}

static enum err stream_read(void *context, void *to, size_t len, size_t *ret_len)
{
    struct stream *s = context;
    ssize_t got;
    do
        got = read(s->fd, to, len);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        (void)err_errno("cannot read the stream");
        return ERR_IO; /* whatever the reason: the source failed */
    }
    s->bytes += (uint64_t)got;
    progress_tell(s, false);
    *ret_len = (size_t)got;
    return ERR_OK;
}

/* ---- options ---- */

static enum err name_check(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > NAME_MAX_BYTES || strchr(name, '/') || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return err_set(ERR_INVALID, "no name of a file: 1 to %d bytes without /, not . or ..",
                       NAME_MAX_BYTES);
    return ERR_OK;
}

static unsigned processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

static enum err options_take(struct stream *s, const struct backup_stream_options *options)
{
    const struct backup_common *common = &options->common;
    TRY(name_check(options->name));
    TRY(labels_check(common->labels));
    if (options->fd < 0 && (!options->command || !options->command[0]))
        return err_set(ERR_INVALID, "no stream to read and no command to run");
    s->options = options;
    s->level = common->level == INT_MIN ? STREAM_LEVEL : common->level;
    s->workers = common->workers ? common->workers : processors();
    s->time = common->time;
    if (s->time.secs == 0 && s->time.nanos == 0)
        s->time = clock_now();
    return ERR_OK;
}

static enum err sink_open(struct stream *s, struct session *session, struct sink **ret_sink)
{
    size_t memory =
        s->options->common.memory_bytes ? s->options->common.memory_bytes : MEMORY_DEFAULT_BYTES;
    size_t pieces = (size_t)s->workers * PIECE_MEMORY_BYTES;
    struct sink_options options = {
        .level = s->level,
        .memory_bytes = memory > pieces + SINK_MIN_BYTES ? memory - pieces : SINK_MIN_BYTES};
    return sink_new(session, &options, ret_sink);
}

/* ---- manifest ---- */

static json_t *time_json(struct timestamp time)
{
    char text[TIME_TEXT_MAX];
    clock_format_rfc3339(time, 9, text);
    return json_string(text);
}

static json_t *source_json(const struct stream *s)
{
    json_t *source = json_object();
    json_object_set_new(
        source, "name",
        json_string(s->options->name)); /* not there if it is no UTF-8: the tree has it */
    if (s->options->fd >= 0) {
        json_object_set_new(source, "descriptor", json_integer(s->options->fd));
        return source;
    }
    json_t *command = json_array();
    for (char *const *word = s->options->command; *word; word++) {
        AUTO(buf) text = BUF_EMPTY; /* arguments are any bytes */
        if (text_escape(slice_str(*word), &text) == ERR_OK)
            json_array_append_new(command, json_stringn((const char *)text.data, text.len));
    }
    json_object_set_new(source, "command", command);
    return source;
}

static json_t *statistics_json(const struct stream *s, const struct pieces_result *content)
{
    struct sink_stats stats;
    sink_stats(s->sink, &stats);
    return json_pack("{s:I, s:I, s:I, s:I}", "bytes", (json_int_t)content->length, "chunks",
                     (json_int_t)stats.chunks, "known_chunks", (json_int_t)stats.known_chunks,
                     "new_bytes", (json_int_t)stats.new_bytes);
}

static enum err manifest_make(const struct stream *s, const struct session *session,
                              const struct pieces_result *content, struct buf *ret_json)
{
    const struct backup_common *common = &s->options->common;
    json_t *manifest = json_object();
    json_object_set_new(manifest, "manifest", json_integer(1));
    json_object_set_new(manifest, "program", json_sprintf("yore %s", session_version()));
    json_object_set_new(manifest, "service", json_string(common->service));
    json_object_set_new(manifest, "kind", json_string("stream"));
    json_object_set_new(manifest, "host", json_string(session_host_name(session)));
    json_object_set_new(manifest, "time", time_json(s->time));
    json_object_set_new(manifest, "read_until", time_json(clock_now()));
    json_object_set_new(manifest, "source", source_json(s));
    json_object_set_new(manifest, "options",
                        json_pack("{s:i, s:b, s:b, s:b, s:i}", "level", s->level, "file_hash",
                                  common->file_hash, "take_over", common->take_over, "allow_empty",
                                  s->options->allow_empty, "workers", (int)s->workers));
    json_object_set_new(manifest, "statistics", statistics_json(s, content));
    char *text = json_dumps(manifest, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(manifest);
    if (!text)
        return err_set(ERR_NOMEM, "no memory for a manifest");
    buf_put_slice(ret_json, slice_str(text));
    buf_put_u8(ret_json, '\n');
    free(text);
    return buf_check(ret_json);
}

/* ---- the snapshot ---- */

static void owner_set(const struct stream *s, struct entry *entry, uint32_t mode)
{
    entry->mode = mode;
    entry->uid = geteuid();
    entry->gid = getegid();
    entry->mtime = entry->ctime = s->time;
}

/* The root directory with its one file. */
static enum err tree_store(const struct stream *s, const struct domain_keys *domain,
                           struct sink_worker *trees, const struct pieces_result *content,
                           struct entry *ret_root)
{
    struct entry file = {
        .name = slice_str(s->options->name),
        .kind = NODE_FILE,
        .content = content->content,
        .has_sha256 = s->options->common.file_hash,
    };
    owner_set(s, &file, 0600);
    memcpy(file.sha256, content->sha256, sizeof file.sha256);
    AUTO_PTR(dir_builder) dir = NULL;
    TRY(dir_builder_new(domain->tree_cut, sink_put_tree, trees, &dir));
    TRY(dir_builder_add(dir, &file));
    *ret_root = (struct entry){.kind = NODE_DIR};
    owner_set(s, ret_root, 0700);
    return dir_builder_finish(dir, &ret_root->below);
}

static enum err snapshot_make(struct stream *s, struct session *session, struct sink_worker *trees,
                              const struct pieces_result *content, struct backup_report *ret_report)
{
    const struct domain_keys *domain;
    TRY(keyring_find_domain(session_access(session)->keys, session_domain(session), &domain));
    struct entry root;
    AUTO(buf) manifest = BUF_EMPTY, log = BUF_EMPTY;
    TRY(tree_store(s, domain, trees, content, &root));
    TRY(manifest_make(s, session, content, &manifest));
    buf_put_format(&log, "%s: %llu bytes read\n",
                   s->options->fd >= 0 ? "stream" : s->options->command[0],
                   (unsigned long long)content->length);
    TRY(buf_check(&log));

    struct commit commit = {
        .session = session,
        .sink = s->sink,
        .trees = trees,
        .root = &root,
        .manifest = buf_slice(&manifest),
        .log = buf_slice(&log),
        .totals = {.nodes = 1, .files = 1, .bytes = content->length},
        .labels = s->options->common.labels,
    };
    struct backup_report report = {.files_new = 1};
    TRY(commit_snapshot(&commit, &report.snapshot, &report.totals));
    *ret_report = report;
    return ERR_OK;
}

/* Read to the end; know that it was the end. */
static enum err content_store(struct stream *s, struct sink_worker *trees,
                              struct pieces_result *ret_content)
{
    struct piece_source source = {.read_next = stream_read, .context = s};
    struct piece_options pieces = {.cut_class = CUT_STREAM,
                                   .file_hash = s->options->common.file_hash};
    TRY(pieces_store(s->sink, trees, &source, &pieces, s->workers, ret_content));
    if (s->child.pid > 0)
        TRY(child_finish(&s->child));
    if (ret_content->length == 0 && !s->options->allow_empty)
        return err_set(ERR_IO,
                       "the stream is empty: nothing was kept (--allow-empty keeps an empty file)");
    return ERR_OK;
}

enum err backup_stream(const struct backup_stream_options *options,
                       struct backup_report *ret_report)
{
    const struct backup_common *common = &options->common;
    AUTO(stream) s = {.child = CHILD_NONE, .fd = options->fd};
    TRY(options_take(&s, options));
    AUTO_PTR(session) session = NULL;
    AUTO_PTR(sink) sink = NULL;
    AUTO_PTR(sink_worker) trees = NULL;
    struct session_options begin = {.service = common->service,
                                    .kind = "stream",
                                    .take_over = common->take_over,
                                    .time = s.time,
                                    .state_dir = common->state_dir};
    TRY(session_begin(common->access, common->index, &begin, &session));
    TRY(sink_open(&s, session, &sink));
    TRY(sink_worker_new(sink, CHUNK_TREE, &trees));
    s.sink = sink;
    if (s.fd < 0) {
        TRY(child_start(options->command, &s.child));
        s.fd = s.child.output;
    }
    struct pieces_result content;
    TRY(content_store(&s, trees, &content));
    TRY(snapshot_make(&s, session, trees, &content, ret_report));
    progress_tell(&s, true);
    return ERR_OK;
}
