#include "writers/host.h"

#include <stdio.h>

#include "fetch/base/file.h"
#include "fetch/base/rand.h"
#include "fetch/crypto/kdf.h"

enum { ID_FILE_MAX = 256 };

/* Bytes that tell this machine from others; empty: nothing found. */
static enum err machine_id(struct buf *ret_id)
{
    static const char *const places[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        AUTO(buf) text = BUF_EMPTY;
        if (file_read_all(places[i], ID_FILE_MAX, &text) != ERR_OK)
            continue;
        uint8_t id[16]; /* "uninitialized" and an empty file are no ids */
        if (text.len >= 32 && hex_parse((const char *)text.data, 32, id, sizeof id)) {
            buf_put(ret_id, id, sizeof id);
            return buf_check(ret_id);
        }
    }
    return ERR_OK;
}

/* The random id kept in the state folder. */
static enum err kept_id(const char *state_dir, struct buf *ret_id)
{
    AUTO(buf) path = BUF_EMPTY;
    buf_put_format(&path, "%s/host-id", state_dir);
    buf_put_u8(&path, 0);
    TRY(buf_check(&path));
    const char *file = (const char *)path.data;
    enum err e = file_read_all(file, ID_FILE_MAX, ret_id);
    if (e != ERR_NOT_FOUND)
        return e;
    uint8_t id[16];
    rand_bytes(id, sizeof id);
    struct hex text = hex_of(id, sizeof id);
    TRY(dir_make(state_dir, 0700));
    e = file_write_new(file, slice_str(text.text), 0600);
    if (e != ERR_OK && e != ERR_EXISTS)
        return e;
    return file_read_all(file, ID_FILE_MAX,
                         ret_id); /* another process may have been faster: then its id */
}

enum err host_load(const struct keyring *keys, const struct domain_keys *domain,
                   const char *state_dir, struct host *ret_host)
{
    struct host host = {0};
    if (gethostname(host.name, sizeof host.name - 1) != 0 || !host.name[0])
        snprintf(host.name, sizeof host.name, "localhost");
    AUTO(buf) id = BUF_EMPTY;
    TRY(machine_id(&id));
    if (id.len == 0 && state_dir)
        TRY(kept_id(state_dir, &id));
    if (id.len == 0)
        buf_put_slice(&id, slice_str(host.name));
    TRY(buf_check(&id));

    AUTO(buf) info = BUF_EMPTY;
    buf_put_slice(&info, slice_str("yore/1/name/host"));
    buf_put_u8(&info, 0);
    buf_put_slice(&info, buf_slice(&id));
    TRY(buf_check(&info));
    TRY(hkdf_sha256(slice_of(domain->k_name, 32), slice_of(keys->store.bytes, 16), buf_slice(&info),
                    host.id.bytes, sizeof host.id.bytes));
    *ret_host = host;
    return ERR_OK;
}
