#include "fetch/format/ids.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "fetch/base/clock.h"

static const char *uid_hex(struct hex *keep, const struct uid *uid)
{
    *keep = hex_of(uid->bytes, sizeof uid->bytes);
    return keep->text;
}

static const char *hash_hex(struct hex *keep, const struct hash *hash)
{
    *keep = hex_of(hash->bytes, sizeof hash->bytes);
    return keep->text;
}

/* ---- names ---- */

static struct object_name __attribute__((format(printf, 1, 2))) name_format(const char *format, ...)
{
    struct object_name name;
    va_list args;
    va_start(args, format);
    vsnprintf(name.text, sizeof name.text, format, args);
    va_end(args);
    return name;
}

struct object_name name_pack(uint32_t domain, const struct pack_name *pack)
{
    struct hex session, sha;
    return name_format("packs/%08x/%02x/%s-%s", domain, pack->sha256.bytes[0], uid_hex(&session, &pack->session),
                       hash_hex(&sha, &pack->sha256));
}

struct object_name name_segment(uint32_t domain, enum chunk_kind kind, const struct uid *session, const struct hash *sha256)
{
    struct hex of_session, sha;
    return name_format("index/%08x/%c/%s-%s", domain, kind == CHUNK_TREE ? 't' : 'd', uid_hex(&of_session, session),
                       hash_hex(&sha, sha256));
}

struct object_name name_envelope(uint32_t domain, const struct uid *tag, int64_t time_secs, const struct hash *sha256)
{
    struct hex of_tag, sha;
    char time[TIME_TEXT_MAX];
    clock_format_compact((struct timestamp){.secs = time_secs}, time);
    return name_format("snapshots/%08x/%s/%s-%s", domain, uid_hex(&of_tag, tag), time, hash_hex(&sha, sha256));
}

struct object_name name_record(const char *folder, uint64_t number)
{
    return name_format("%s/%010" PRIu64, folder, number);
}

struct object_name name_epoch(uint32_t domain, uint32_t epoch)
{
    return name_format("epochs/%08x/%010u", domain, epoch);
}

struct object_name name_cert(const struct uid *key_id)
{
    struct hex hex;
    return name_format("certs/%s", uid_hex(&hex, key_id));
}

struct object_name name_session(const struct uid *session, const char *what)
{
    struct hex hex;
    return name_format("sessions/%s/%s", uid_hex(&hex, session), what);
}

struct object_name name_fence(const struct uid *session)
{
    struct hex hex;
    return name_format("fences/%s", uid_hex(&hex, session));
}

/* ---- and back ---- */

/* A name being read from the left; a step that does not fit makes it bad, and the rest of the steps nothing. */
struct name_cursor {
    const char *at;
    size_t left;
    bool bad;
};

static struct name_cursor name_cursor_of(const char *name)
{
    return (struct name_cursor){name, strlen(name), false};
}

static const char *name_take(struct name_cursor *c, size_t len)
{
    if (c->bad || c->left < len) {
        c->bad = true;
        return NULL;
    }
    const char *text = c->at;
    c->at += len;
    c->left -= len;
    return text;
}

static void name_expect(struct name_cursor *c, const char *text)
{
    const char *found = name_take(c, strlen(text));
    if (found && memcmp(found, text, strlen(text)) != 0)
        c->bad = true;
}

static void name_take_hex(struct name_cursor *c, void *ret_bytes, size_t len)
{
    memset(ret_bytes, 0, len);
    const char *text = name_take(c, 2 * len);
    if (text && !hex_parse(text, 2 * len, ret_bytes, len))
        c->bad = true;
}

static uint32_t name_take_domain(struct name_cursor *c)
{
    uint8_t b[4];
    name_take_hex(c, b, sizeof b);
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static enum err name_finish(const struct name_cursor *c, const char *name, const char *what)
{
    if (!c->bad && c->left == 0)
        return ERR_OK;
    AUTO(buf) shown = BUF_EMPTY;
    TRY(text_escape(slice_str(name), &shown));
    return err_set(ERR_CORRUPT, "%s is no name of %s", (const char *)shown.data, what);
}

enum err name_parse_pack(const char *name, uint32_t *ret_domain, struct pack_name *ret_pack)
{
    struct name_cursor c = name_cursor_of(name);
    struct pack_name pack;
    uint8_t first;
    name_expect(&c, "packs/");
    uint32_t domain = name_take_domain(&c);
    name_expect(&c, "/");
    name_take_hex(&c, &first, 1);
    name_expect(&c, "/");
    name_take_hex(&c, pack.session.bytes, sizeof pack.session.bytes);
    name_expect(&c, "-");
    name_take_hex(&c, pack.sha256.bytes, sizeof pack.sha256.bytes);
    c.bad |= first != pack.sha256.bytes[0];
    TRY(name_finish(&c, name, "a pack"));
    *ret_domain = domain;
    *ret_pack = pack;
    return ERR_OK;
}

enum err name_parse_segment(const char *name, uint32_t *ret_domain, enum chunk_kind *ret_kind, struct uid *ret_session,
                            struct hash *ret_sha256)
{
    struct name_cursor c = name_cursor_of(name);
    struct uid session;
    struct hash sha256;
    name_expect(&c, "index/");
    uint32_t domain = name_take_domain(&c);
    name_expect(&c, "/");
    const char *kind = name_take(&c, 1);
    c.bad |= kind && *kind != 'd' && *kind != 't';
    name_expect(&c, "/");
    name_take_hex(&c, session.bytes, sizeof session.bytes);
    name_expect(&c, "-");
    name_take_hex(&c, sha256.bytes, sizeof sha256.bytes);
    TRY(name_finish(&c, name, "a segment"));
    *ret_domain = domain;
    *ret_kind = *kind == 't' ? CHUNK_TREE : CHUNK_DATA;
    *ret_session = session;
    *ret_sha256 = sha256;
    return ERR_OK;
}

/* YYYYMMDDTHHMMSSZ */
enum { NAME_TIME_CHARS = 16 };

enum err name_parse_envelope(const char *name, uint32_t *ret_domain, struct uid *ret_tag, int64_t *ret_time_secs,
                             struct hash *ret_sha256)
{
    struct name_cursor c = name_cursor_of(name);
    struct uid tag;
    struct hash sha256;
    struct timestamp time = {0};
    name_expect(&c, "snapshots/");
    uint32_t domain = name_take_domain(&c);
    name_expect(&c, "/");
    name_take_hex(&c, tag.bytes, sizeof tag.bytes);
    name_expect(&c, "/");
    const char *digits = name_take(&c, NAME_TIME_CHARS);
    if (digits) {
        char text[NAME_TIME_CHARS + 1] = "";
        memcpy(text, digits, NAME_TIME_CHARS);
        c.bad |= clock_parse_compact(text, &time) != ERR_OK;
    }
    name_expect(&c, "-");
    name_take_hex(&c, sha256.bytes, sizeof sha256.bytes);
    TRY(name_finish(&c, name, "a snapshot"));
    *ret_domain = domain;
    *ret_tag = tag;
    *ret_time_secs = time.secs;
    *ret_sha256 = sha256;
    return ERR_OK;
}

/* ---- services ---- */

enum { SERVICE_MAX_CHARS = 100 };

static bool is_alnum(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

enum err service_name_check(const char *service)
{
    size_t len = strlen(service);
    bool fits = len >= 1 && len <= SERVICE_MAX_CHARS && is_alnum(service[0]);
    for (size_t i = 1; fits && i < len; i++)
        fits = is_alnum(service[i]) || service[i] == '.' || service[i] == '_' || service[i] == '-';
    if (!fits) {
        AUTO(buf) shown = BUF_EMPTY;
        TRY(text_escape(slice_of(service, len < SERVICE_MAX_CHARS ? len : SERVICE_MAX_CHARS), &shown));
        return err_set(ERR_INVALID,
                       "'%s' cannot name a service: 1 to 100 letters, digits, '.', '_' or '-', a letter or digit first",
                       (const char *)shown.data);
    }
    /* They stand beside the snapshots in a mount. */
    if (strcmp(service, "latest") == 0 || strcmp(service, "wal") == 0)
        return err_set(ERR_INVALID, "'%s' cannot name a service: the word has a meaning in the mount", service);
    return ERR_OK;
}

uint64_t padme(uint64_t len)
{
    if (len < 2)
        return len;
    unsigned e = 63 - (unsigned)__builtin_clzll(len);
    unsigned s = 32 - (unsigned)__builtin_clz(e);
    uint64_t low = (UINT64_C(1) << (e - s)) - 1;
    return (len + low) & ~low;
}
