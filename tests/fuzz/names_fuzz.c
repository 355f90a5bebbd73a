/* Names come from whoever can write to the store. A name that parses is the one spelling of what was parsed. */
#include "tests/fuzz/fuzz.h"

#include "fetch/format/ids.h"
#include "fetch/store/store.h"

static void check_names(const char *name)
{
    uint32_t domain;
    struct pack_name pack;
    struct uid uid;
    struct hash hash;
    enum chunk_kind kind;
    int64_t secs;
    unsigned kinds = 0;
    if (name_parse_pack(name, &domain, &pack) == ERR_OK) {
        kinds++;
        FUZZ_CHECK(strcmp(name_pack(domain, &pack).text, name) == 0);
    }
    if (name_parse_segment(name, &domain, &kind, &uid, &hash) == ERR_OK) {
        kinds++;
        FUZZ_CHECK(strcmp(name_segment(domain, kind, &uid, &hash).text, name) == 0);
    }
    if (name_parse_envelope(name, &domain, &uid, &secs, &hash) == ERR_OK) {
        kinds++;
        FUZZ_CHECK(strcmp(name_envelope(domain, &uid, secs, &hash).text, name) == 0);
    }
    FUZZ_CHECK(kinds <= 1);
    if (service_name_check(name) == ERR_OK)
        FUZZ_CHECK(!strchr(name, '/') && strlen(name) <= 100 && name[0] != '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = malloc(size + 1);
    FUZZ_CHECK(name);
    memcpy(name, data, size);
    name[size] = 0;
    check_names(name);
    /* A store takes it as a name or not at all, and then lists it as it is. */
    struct store *mem = NULL;
    uint64_t bytes;
    FUZZ_CHECK(store_mem_open(&mem) == ERR_OK);
    enum err e = store_put(mem, name, SLICE_EMPTY, true);
    FUZZ_CHECK(e == ERR_OK || e == ERR_INVALID);
    FUZZ_CHECK(store_head(mem, name, &bytes) == e);
    FUZZ_CHECK(e != ERR_OK || (strlen(name) <= 255 && name[0] != '/' && name[0] != '.' && !strstr(name, "/.")));
    store_free(mem);
    free(name);
    return 0;
}
