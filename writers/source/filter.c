#include "writers/source/filter.h"

#include <ctype.h>
#include <stdlib.h>

#include "fetch/base/file.h"

struct pattern {
    struct buf text; /* without `!`, without the slashes at its ends */
    bool keeps;      /* `!` */
    bool only_dir;   /* a slash at the end */
    bool anchored;   /* a slash elsewhere: matched against the whole path, else against the name */
    bool plain;      /* no magic in it: equal or not */
};

struct filter {
    struct pattern *patterns;
    size_t count, cap;
};

enum { FILTER_FILE_MAX_BYTES = 16 << 20 };

enum err filter_new(struct filter **ret_filter)
{
    *ret_filter = calloc(1, sizeof **ret_filter);
    return *ret_filter ? ERR_OK : err_set(ERR_NOMEM, "no memory for a filter");
}

void filter_free(struct filter *filter)
{
    if (!filter)
        return;
    for (size_t i = 0; i < filter->count; i++)
        buf_clear(&filter->patterns[i].text);
    free(filter->patterns);
    free(filter);
}

static enum err add_slice(struct filter *filter, struct slice text, bool include)
{
    struct pattern p = {.keeps = include};
    if (text.len && text.data[0] == '!') {
        p.keeps = !p.keeps;
        text = slice_of(text.data + 1, text.len - 1);
    }
    if (text.len && text.data[text.len - 1] == '/') {
        p.only_dir = true;
        text.len--;
    }
    p.anchored = text.len && memchr(text.data, '/', text.len);
    if (text.len && text.data[0] == '/')
        text = slice_of(text.data + 1, text.len - 1);
    if (text.len == 0)
        return err_set(ERR_INVALID, "an empty pattern matches nothing");
    p.plain = true;
    for (size_t i = 0; i < text.len; i++)
        if (memchr("*?[\\", text.data[i], 4))
            p.plain = false;
    if (filter->count == filter->cap) {
        size_t cap = filter->cap ? filter->cap * 2 : 16;
        struct pattern *grown = realloc(filter->patterns, cap * sizeof *grown);
        if (!grown)
            return err_set(ERR_NOMEM, "no memory for a filter");
        filter->patterns = grown;
        filter->cap = cap;
    }
    buf_put_slice(&p.text, text);
    TRY(buf_check(&p.text));
    filter->patterns[filter->count++] = p;
    return ERR_OK;
}

enum err filter_add(struct filter *filter, const char *pattern, bool include)
{
    return err_add(add_slice(filter, slice_str(pattern), include), "pattern \"%s\"", pattern);
}

/* Blanks at the end do not count, unless a backslash stands before. */
static size_t trimmed(const uint8_t *line, size_t len)
{
    size_t keep = 0;
    for (size_t i = 0; i < len; i++) {
        if (line[i] == '\\' && i + 1 < len)
            keep = ++i + 1;
        else if (line[i] != ' ')
            keep = i + 1;
    }
    return keep;
}

enum err filter_add_file(struct filter *filter, const char *path)
{
    AUTO(buf) bytes = BUF_EMPTY;
    TRY(err_add(file_read_all(path, FILTER_FILE_MAX_BYTES, &bytes), "patterns"));
    size_t at = bytes.len >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < bytes.len) {
        const uint8_t *line = bytes.data + at;
        const uint8_t *newline = memchr(line, '\n', bytes.len - at);
        size_t len = newline ? (size_t)(newline - line) : bytes.len - at;
        at += len + 1;
        if (len && line[len - 1] == '\r')
            len--;
        len = trimmed(line, len);
        if (len == 0 || line[0] == '#')
            continue;
        enum err e = add_slice(filter, slice_of(line, len), false);
        if (e == ERR_INVALID)
            continue; /* "/" and "!" alone: git takes them and they match nothing */
        TRY(e);
    }
    return ERR_OK;
}

/* ---- matching, as git's wildmatch with WM_PATHNAME ---- */

enum wild {
    WILD_NO,
    WILD_YES,
    WILD_ABORT /* no other split of this star helps */,
    WILD_ABORT_TO_DOUBLE
};

struct class_name {
    const char *name;
    int (*test)(int c);
};
static const struct class_name class_names[] = {
    {"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
    {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
    {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit},
};

/* One [set]. *at stands after the opening bracket and is left on the closing one. WILD_ABORT: the
 * set never ends, or names a class nobody knows. */
static enum wild set_match(const uint8_t **at, const uint8_t *end, uint8_t c)
{
    const uint8_t *p = *at;
    bool negated = p < end && (*p == '!' || *p == '^');
    if (negated)
        p++;
    bool matched = false, first = true;
    int before = -1; /* the low end of a range */
    for (;; first = false, p++) {
        if (p >= end)
            return WILD_ABORT;
        if (*p == ']' && !first)
            break;
        if (*p == '-' && before >= 0 && p + 1 < end && p[1] != ']') {
            p++;
            if (*p == '\\' && ++p >= end)
                return WILD_ABORT;
            if (c >= before && c <= *p)
                matched = true;
            before = -1;
            continue;
        }
        if (*p == '[' && p + 1 < end && p[1] == ':') {
            const uint8_t *name = p + 2, *close = name;
            while (close < end && *close != ']')
                close++;
            if (close >= end)
                return WILD_ABORT;
            if (close - name < 1 || close[-1] != ':') {
                /* no ":]": the bracket stands for itself */
                if (c == '[')
                    matched = true;
                before = '[';
                continue;
            }
            size_t len = (size_t)(close - 1 - name), i = 0,
                   known = sizeof class_names / sizeof *class_names;
            while (i < known && !(strlen(class_names[i].name) == len &&
                                  memcmp(class_names[i].name, name, len) == 0))
                i++;
            if (i == known)
                return WILD_ABORT;
            if (c < 128 && class_names[i].test(c))
                matched = true;
            p = close;
            before = -1;
            continue;
        }
        if (*p == '\\' && ++p >= end)
            return WILD_ABORT;
        if (c == *p)
            matched = true;
        before = *p;
    }
    *at = p;
    return matched != negated && c != '/' ? WILD_YES : WILD_NO;
}

static enum wild wild_match(const uint8_t *p, const uint8_t *p_end, const uint8_t *t,
                            const uint8_t *t_end, const uint8_t *whole)
{
    for (; p < p_end; p++, t++) {
        if (t >= t_end && *p != '*')
            return WILD_ABORT;
        switch (*p) {
        case '\\':
            if (++p >= p_end)
                return WILD_ABORT;
            if (*t != *p)
                return WILD_NO;
            break;
        case '?':
            if (*t == '/')
                return WILD_NO;
            break;
        case '[': {
            p++;
            enum wild in = set_match(&p, p_end, *t);
            if (in != WILD_YES)
                return in;
            break;
        }
        case '*': {
            const uint8_t *star = p;
            bool crosses = false; /* this star goes over slashes */
            while (p + 1 < p_end && p[1] == '*')
                p++;
            if (p > star && (star == whole || star[-1] == '/') &&
                (p + 1 == p_end || p[1] == '/' || (p[1] == '\\' && p + 2 < p_end && p[2] == '/'))) {
                crosses = true;
                /* "**" with a slash behind may stand for no folder at all */
                if (p + 1 < p_end && p[1] == '/' &&
                    wild_match(p + 2, p_end, t, t_end, whole) == WILD_YES)
                    return WILD_YES;
            }
            p++;
            if (p == p_end) {
                if (!crosses && memchr(t, '/', (size_t)(t_end - t)))
                    return WILD_ABORT_TO_DOUBLE;
                return WILD_YES;
            }
            if (!crosses && *p == '/') {
                /* one star, then a slash: it takes all up to the next slash */
                const uint8_t *slash = memchr(t, '/', (size_t)(t_end - t));
                if (!slash)
                    return WILD_ABORT;
                t = slash;
                break; /* the loop steps over both slashes */
            }
            for (;; t++) {
                if (t >= t_end)
                    return WILD_ABORT;
                enum wild rest = wild_match(p, p_end, t, t_end, whole);
                if (rest != WILD_NO) {
                    if (!crosses || rest != WILD_ABORT_TO_DOUBLE)
                        return rest;
                } else if (!crosses && *t == '/') {
                    return WILD_ABORT_TO_DOUBLE;
                }
            }
        }
        default:
            if (*t != *p)
                return WILD_NO;
        }
    }
    return t >= t_end ? WILD_YES : WILD_NO;
}

static bool pattern_match(const struct pattern *p, struct slice path, struct slice name,
                          bool is_dir)
{
    if (p->only_dir && !is_dir)
        return false;
    struct slice text = p->anchored ? path : name, pattern = buf_slice(&p->text);
    if (p->plain)
        return slice_equal(text, pattern);
    return wild_match(pattern.data, pattern.data + pattern.len, text.data, text.data + text.len,
                      pattern.data) == WILD_YES;
}

bool filter_match(const struct filter *filter, struct slice path, bool is_dir)
{
    if (!filter || filter->count == 0)
        return false;
    const uint8_t *slash = memrchr(path.data, '/', path.len);
    struct slice name = path;
    if (slash)
        name = slice_of(slash + 1, path.len - (size_t)(slash + 1 - path.data));
    for (size_t i = filter->count; i-- > 0;)
        if (pattern_match(&filter->patterns[i], path, name, is_dir))
            return !filter->patterns[i].keeps;
    return false;
}

bool filter_match_deep(const struct filter *filter, struct slice path, bool is_dir)
{
    for (size_t i = 1; i < path.len; i++)
        if (path.data[i] == '/' && filter_match(filter, slice_of(path.data, i), true))
            return true;
    return filter_match(filter, path, is_dir);
}
