/*
 * host: which machine this is, as snapshots say it.
 *
 * Source:  machine-id(5), which asks that the id itself stays on the machine: ours is a keyed hash of it.
 * Threads: any.
 */
#pragma once

#include "fetch/format/keyring.h"

struct host {
    struct uid id;
    char name[256]; /* as the machine calls itself */
};

/*
 * The id is the same at every call on this machine, with these keys. Where there is no machine id (some containers): a random one
 * kept at state_dir/host-id, made if missing; without state_dir the host's name serves.
 *   ERR_DENIED, ERR_FULL, ERR_IO  state_dir cannot be read or written
 */
enum err host_load(const struct keyring *keys, const struct domain_keys *domain, const char *state_dir, struct host *ret_host);
