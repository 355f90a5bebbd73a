/* A pack: header, and its directory as if the key had been right. */
#include "fetch/crypto/aead.h"
#include "fetch/format/frame.h"
#include "fetch/format/pack.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(pack_header) header = {0};
    size_t need = 0;
    if (pack_header_parse(slice_of(data, size), &header, &need) != ERR_OK)
        return 0;
    /* Behind the header: the directory's plaintext, sealed here, so that what is behind the tag is reached. */
    static const uint8_t key[32] = {1};
    uint8_t nonce[12];
    size_t len = size - header.header_len;
    AUTO(buf) sealed = BUF_EMPTY;
    if (buf_resize(&sealed, len + AEAD_TAG_BYTES) != ERR_OK)
        return 0;
    directory_nonce(nonce);
    if (aead_seal(key, nonce, buf_slice(&header.bytes), slice_of(data + header.header_len, len), sealed.data) != ERR_OK)
        return 0;
    header.directory_len = (uint32_t)sealed.len;
    AUTO(pack_directory) directory = {0};
    struct hash digest;
    pack_directory_open(&header, key, buf_slice(&sealed), PACK_MAX_BYTES, &directory, &digest);
    return 0;
}
