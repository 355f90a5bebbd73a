#include "fetch/crypto/selftest.h"

#include "fetch/crypto/aead.h"
#include "fetch/crypto/chunkid.h"
#include "fetch/crypto/digest.h"
#include "fetch/crypto/hpke.h"
#include "fetch/crypto/internal.h"
#include "fetch/crypto/kdf.h"
#include "fetch/crypto/lanes.h"
#include "fetch/crypto/prf.h"
#include "fetch/crypto/sign.h"
#include "fetch/crypto/xaes.h"

/* Where each answer is from stands in tests/fetch/crypto; a key here is 32 equal bytes where it can be. */

static enum err expect(bool right, const char *what)
{
    return right ? ERR_OK
                 : err_set(ERR_IO, "%s gives a wrong answer on this machine; refusing to work", what);
}

static bool same(const void *got, const void *expected, size_t len)
{
    return memcmp(got, expected, len) == 0;
}

static enum err check_digest(void)
{
    static const uint8_t abc[32] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
        0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    static const uint8_t jefe[32] = {
        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
        0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    uint8_t got[32];
    sha256_of(slice_str("abc"), got);
    TRY(expect(same(got, abc, 32), "SHA-256"));
    struct hmac_key k;
    hmac_key_init_slice(&k, slice_str("Jefe"));
    hmac_with(&k, slice_str("what do ya want for nothing?"), got);
    return expect(same(got, jefe, 32), "HMAC-SHA-256");
}

/* The lanes as this machine will use them against one by one, for both kinds and all lane counts. */
static enum err check_lanes(void)
{
    enum { MESSAGES = 16 };
    uint8_t data[MESSAGES * 20];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    static const uint8_t key[32] = {1};
    struct hmac_key k;
    hmac_key_init(&k, key);
    for (size_t n = 1; n <= MESSAGES; n *= 2) {
        uint8_t got[2 * MESSAGES][32], expected[2 * MESSAGES][32];
        struct lane_message messages[2 * MESSAGES];
        for (size_t i = 0; i < n; i++) {
            struct slice message = slice_of(data, 1 + i * 19);
            messages[2 * i] = (struct lane_message){&k, message, got[2 * i]};
            messages[2 * i + 1] = (struct lane_message){NULL, message, got[2 * i + 1]};
            hmac_with(&k, message, expected[2 * i]);
            sha256_of(message, expected[2 * i + 1]);
        }
        lanes_hash(messages, 2 * n);
        TRY(expect(same(got, expected, 2 * n * 32), "multi-buffer SHA-256"));
    }
    return ERR_OK;
}

static enum err check_chunkid(void)
{
    static const uint8_t key[32] = {0};
    static const uint8_t zeros[CHUNK_LEAF_BYTES + 1];
    /* 16385 zero bytes under a key of zeros: two leaves and a root. */
    static const uint8_t id[32] = {
        0xa0, 0x92, 0x08, 0xe8, 0x35, 0xdc, 0xfb, 0x39, 0xb3, 0x43, 0xa8, 0xe7, 0xf8, 0xa8, 0xce, 0x1d,
        0x45, 0xb6, 0xc2, 0xfb, 0xcf, 0x7e, 0xed, 0xa9, 0x24, 0xd1, 0xbb, 0xcb, 0x61, 0x7c, 0x0c, 0x27};
    AUTO_PTR(id_keys) keys = NULL;
    TRY(id_keys_new(key, &keys));
    struct chunk_id got;
    chunk_id_of(keys, slice_of(zeros, sizeof zeros), &got);
    return expect(same(got.bytes, id, 32), "naming a chunk");
}

static enum err check_xaes(void)
{
    /* C2SP's second vector; it stands on AES-256-ECB and AES-256-GCM. */
    static const uint8_t sealed[] = {
        0x98, 0x6e, 0xc1, 0x83, 0x25, 0x93, 0xdf, 0x54, 0x43, 0xa1, 0x79, 0x43, 0x7f, 0xd0,
        0x83, 0xbf, 0x3f, 0xdb, 0x41, 0xab, 0xd7, 0x40, 0xa2, 0x1f, 0x71, 0xeb, 0x76, 0x9d};
    static const uint8_t nonce[] = "ABCDEFGHIJKLMNOPQRSTUVWX";
    struct slice plain = slice_str("XAES-256-GCM");
    struct slice aad = slice_str("c2sp.org/XAES-256-GCM");
    uint8_t key[32], got[sizeof sealed];
    memset(key, 3, sizeof key);
    TRY(xaes_seal(key, nonce, aad, plain, got));
    TRY(expect(same(got, sealed, sizeof sealed), "XAES-256-GCM"));
    TRY(xaes_open(key, nonce, aad, slice_of(sealed, sizeof sealed), got));
    TRY(expect(same(got, plain.data, plain.len), "XAES-256-GCM"));
    uint8_t forged[sizeof sealed];
    memcpy(forged, sealed, sizeof sealed);
    forged[0] ^= 1;
    enum err e = xaes_open(key, nonce, aad, slice_of(forged, sizeof forged), got);
    return expect(e == ERR_AUTH, "refusing a forgery");
}

static enum err check_kdf(void)
{
    static const uint8_t expanded[32] = {
        0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f, 0x71, 0x5f, 0x80, 0x2a, 0x06, 0x3c, 0x5a, 0x31,
        0xb8, 0xa1, 0x1f, 0x5c, 0x5e, 0xe1, 0x87, 0x9e, 0xc3, 0x45, 0x4e, 0x5f, 0x3c, 0x73, 0x8d, 0x2d};
    static const uint8_t derived[32] = {
        0x77, 0xd6, 0x57, 0x62, 0x38, 0x65, 0x7b, 0x20, 0x3b, 0x19, 0xca, 0x42, 0xc1, 0x8a, 0x04, 0x97,
        0xf1, 0x6b, 0x48, 0x44, 0xe3, 0x07, 0x4a, 0xe8, 0xdf, 0xdf, 0xfa, 0x3f, 0xed, 0xe2, 0x14, 0x42};
    uint8_t ikm[22], got[32];
    memset(ikm, 0x0b, sizeof ikm);
    TRY(hkdf_sha256(slice_of(ikm, sizeof ikm), SLICE_EMPTY, SLICE_EMPTY, got, sizeof got));
    TRY(expect(same(got, expanded, sizeof got), "HKDF"));
    TRY(scrypt_unbounded(SLICE_EMPTY, SLICE_EMPTY, 16, 1, 1, got, sizeof got));
    return expect(same(got, derived, sizeof got), "scrypt");
}

static enum err check_hpke(void)
{
    static const uint8_t recipient[32] = {
        0x49, 0x7b, 0x45, 0x02, 0x66, 0x4c, 0xfe, 0xa5, 0xd5, 0xaf, 0x0b, 0x39, 0x93, 0x4d, 0xac, 0x72,
        0x24, 0x2a, 0x74, 0xf8, 0x48, 0x04, 0x51, 0xe1, 0xae, 0xe7, 0xd6, 0xa5, 0x33, 0x20, 0x33, 0x3d};
    static const uint8_t sealed[] = {
        0x6c, 0x93, 0xe0, 0x98, 0x69, 0xdf, 0x34, 0x02, 0xd7, 0xbf, 0x23, 0x1b, 0xf5, 0x40, 0xfa, 0xdd,
        0x35, 0xcd, 0x56, 0xbe, 0x14, 0xf9, 0x71, 0x78, 0xf0, 0x95, 0x4d, 0xb9, 0x4b, 0x7f, 0xc2, 0x56,
        0xe5, 0xd8, 0x4c, 0xd5, 0x31, 0xcf, 0xb5, 0x83, 0x09, 0x6e, 0x7c, 0xfa, 0x96, 0x41, 0xbd, 0x30,
        0x79, 0xcf, 0x3a, 0x91, 0xcd, 0xa8, 0x13, 0xc5, 0x2d, 0xeb, 0x5f, 0x51, 0x2b, 0xe9, 0x93, 0x19,
        0x80, 0xa4, 0x1d, 0xe1, 0x25, 0xa9, 0x25, 0xcd, 0xad, 0x85, 0x9d, 0x5b, 0x7a};
    struct x25519_pair pair;
    TRY(x25519_from_secret(recipient, &pair));
    uint8_t got[sizeof sealed - HPKE_OVERHEAD_BYTES];
    enum err e = hpke_open(&pair, slice_str("Ode on a Grecian Urn"), slice_str("Count-0"),
                           slice_of(sealed, sizeof sealed), got);
    struct slice plain = slice_str("Beauty is truth, truth beauty");
    return expect(e == ERR_OK && plain.len == sizeof got && same(got, plain.data, plain.len), "HPKE");
}

static enum err check_sign(void)
{
    static const uint8_t seed[32] = {
        0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f,
        0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb};
    static const uint8_t signature[64] = {
        0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f, 0x64, 0x25, 0x40,
        0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda,
        0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c,
        0x38, 0x7b, 0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00};
    struct sign_pair pair;
    uint8_t got[64];
    TRY(sign_from_seed(seed, &pair));
    TRY(sign_make(&pair, slice_str("r"), got));
    TRY(expect(same(got, signature, 64), "Ed25519"));
    TRY(expect(sign_check(pair.public, slice_str("r"), got) == ERR_OK, "Ed25519"));
    return expect(sign_check(pair.public, slice_str("s"), got) == ERR_AUTH, "refusing a signature");
}

static enum err check_prf(void)
{
    static const uint8_t key[32] = {0};
    static const uint8_t window[PRF_WINDOW_BYTES] = {0};
    const uint8_t *const windows[] = {window};
    AUTO_PTR(cut_prf) prf = NULL;
    TRY(prf_new(key, &prf));
    uint64_t got;
    TRY(prf_many(prf, windows, 1, &got));
    return expect(got == UINT64_C(0xe9ae802519cc0d5d), "the cut's PRF");
}

enum err crypto_selftest(void)
{
    TRY(check_digest());
    TRY(check_lanes());
    TRY(check_chunkid());
    TRY(check_xaes());
    TRY(check_kdf());
    TRY(check_hpke());
    TRY(check_sign());
    return check_prf();
}
