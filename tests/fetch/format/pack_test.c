#include "fetch/format/pack.h"

#include "fetch/base/rand.h"
#include "fetch/crypto/digest.h"
#include "fetch/format/frame.h"
#include "tests/support/keys.h"
#include "tests/support/test.h"

static const struct uid session = {.bytes = "a session 123456"};

/* A pack of three frames: many small chunks, one that does not compress, one large. */
struct sample {
    struct keyring *keys;
    struct buf raw[3];
    struct pack_sealed sealed;
};

static void sample_clear(struct sample *s)
{
    keyring_free(s->keys);
    for (int i = 0; i < 3; i++)
        buf_clear(&s->raw[i]);
    pack_sealed_clear(&s->sealed);
}

static enum err sample_make(struct sample *s)
{
    AUTO_PTR(pack_builder) b = NULL;
    uint32_t number;
    s->keys = test_keyring();
    TRY(pack_builder_new(s->keys, 1, CHUNK_DATA, 16 << 20, &b));
    const struct id_keys *ids = s->keys->domains[0].data_ids;
    struct frame_chunk chunks[40];
    for (int i = 0; i < 40; i++) {
        size_t at = s->raw[0].len;
        buf_put_format(&s->raw[0], "small file number %d, %0*d", i, i * 7 + 1, i);
        chunks[i].length = (uint32_t)(s->raw[0].len - at);
        chunk_id_of(ids, slice_of(s->raw[0].data + at, chunks[i].length), &chunks[i].id);
    }
    TRY(pack_builder_add(b, buf_slice(&s->raw[0]), chunks, 40, 3, &number));
    TRY(buf_resize(&s->raw[1], 70000));
    rand_bytes(s->raw[1].data, s->raw[1].len);
    chunks[0].length = 70000;
    chunk_id_of(ids, buf_slice(&s->raw[1]), &chunks[0].id);
    TRY(pack_builder_add(b, buf_slice(&s->raw[1]), chunks, 1, 3, &number));
    while (s->raw[2].len < 300000)
        buf_put_format(&s->raw[2], "%zu lines of a ledger\n", s->raw[2].len);
    chunks[0].length = (uint32_t)s->raw[2].len;
    chunk_id_of(ids, buf_slice(&s->raw[2]), &chunks[0].id);
    TRY(pack_builder_add(b, buf_slice(&s->raw[2]), chunks, 1, 1, &number));
    return pack_builder_seal(b, &session, &s->sealed);
}

/* Read the pack back as a reader does: header, key by recovery, directory, frames. */
static enum err read_back(const struct sample *s, struct slice object, struct pack_directory *directory, struct buf frames[3])
{
    AUTO(pack_header) header = {0};
    size_t need;
    uint8_t key[32];
    TRY(pack_header_parse(object, &header, &need));
    TRY(pack_key_open_recovery(s->keys, header.domain, &header.uid, header.records[0].sealed, key));
    struct hash digest;
    if (header.directory_offset > object.len || header.directory_len > object.len - header.directory_offset)
        return err_set(ERR_CORRUPT, "directory outside the object");
    TRY(pack_directory_open(&header, key, slice_of(object.data + header.directory_offset, header.directory_len), object.len,
                            directory, &digest));
    if (directory->frame_count != 3)
        return err_set(ERR_CORRUPT, "not three frames");
    struct frame_binding binding = {{header.store, header.domain}, header.kind, header.records[0].origin};
    for (int i = 0; i < 3; i++) {
        const struct frame_place *place = &directory->frames[i].place;
        TRY(buf_resize(&frames[i], place->raw_len));
        TRY(frame_open(&binding, key, place, slice_of(object.data + place->offset, place->stored_len), SLICE_EMPTY, frames[i].data));
    }
    return ERR_OK;
}

TEST(what_goes_in_comes_out)
{
    AUTO(sample) s = {0};
    CHECK_OK(sample_make(&s));
    AUTO(pack_directory) d = {0};
    struct buf frames[3] = {0};
    enum err e = read_back(&s, buf_slice(&s.sealed.object), &d, frames);
    bool same = e == ERR_OK;
    for (int i = 0; i < 3 && same; i++)
        same = slice_equal(buf_slice(&frames[i]), buf_slice(&s.raw[i]));
    for (int i = 0; i < 3; i++)
        buf_clear(&frames[i]);
    CHECK_OK(e);
    CHECK(same);
    CHECK_INT(d.chunk_count, 42);
    CHECK_INT(d.frames[1].place.compression, COMPRESS_NONE);
    CHECK_INT(d.frames[2].place.compression, COMPRESS_ZSTD);
    CHECK_INT(s.sealed.object.len, padme(s.sealed.object.len));
}

TEST(the_name_is_the_hash_of_the_object)
{
    AUTO(sample) s = {0};
    CHECK_OK(sample_make(&s));
    uint8_t digest[32];
    sha256_of(buf_slice(&s.sealed.object), digest);
    CHECK_MEM(s.sealed.name.sha256.bytes, digest, 32);
    CHECK_MEM(s.sealed.name.session.bytes, session.bytes, 16);
}

TEST(no_flipped_byte_is_read_as_good)
{
    AUTO(sample) s = {0};
    CHECK_OK(sample_make(&s));
    struct buf *object = &s.sealed.object;
    size_t directory_end = 0, wrong = 0;
    {
        AUTO(pack_header) h = {0};
        size_t need;
        CHECK_OK(pack_header_parse(buf_slice(object), &h, &need));
        directory_end = (size_t)h.directory_offset + h.directory_len;
    }
    /* Each byte of header, directory and frames (in steps: AES-GCM looks at all of them); padding is only in the name's hash. */
    for (size_t at = 0; at < directory_end; at += at < 300 || at > directory_end - 300 ? 1 : 997) {
        object->data[at] ^= 0x10;
        AUTO(pack_directory) d = {0};
        struct buf frames[3] = {0};
        wrong += read_back(&s, buf_slice(object), &d, frames) == ERR_OK;
        for (int i = 0; i < 3; i++)
            buf_clear(&frames[i]);
        object->data[at] ^= 0x10;
    }
    CHECK_INT(wrong, 0);
}

TEST(a_pack_cut_short_anywhere_is_refused)
{
    AUTO(sample) s = {0};
    CHECK_OK(sample_make(&s));
    for (size_t len = 0; len < s.sealed.object.len / 2; len += len < 400 ? 1 : 4099) {
        AUTO(pack_directory) d = {0};
        struct buf frames[3] = {0};
        enum err e = read_back(&s, slice_of(s.sealed.object.data, len), &d, frames);
        for (int i = 0; i < 3; i++)
            buf_clear(&frames[i]);
        CHECK(e == ERR_CORRUPT || e == ERR_AGAIN || e == ERR_AUTH);
    }
}

TEST(a_frame_does_not_open_as_another_kind_or_domain_or_place)
{
    AUTO(sample) s = {0};
    CHECK_OK(sample_make(&s));
    const struct pack_frame *f = &s.sealed.directory.frames[1];
    struct slice stored = slice_of(s.sealed.object.data + f->place.offset, f->place.stored_len);
    struct frame_binding good = {{s.keys->store, 1}, CHUNK_DATA, s.sealed.uid}, bad;
    AUTO(buf) out = BUF_EMPTY;
    CHECK_OK(buf_resize(&out, f->place.raw_len));
    CHECK_OK(frame_open(&good, s.sealed.key, &f->place, stored, SLICE_EMPTY, out.data));
    bad = good;
    bad.kind = CHUNK_TREE;
    CHECK_ERR(ERR_AUTH, frame_open(&bad, s.sealed.key, &f->place, stored, SLICE_EMPTY, out.data));
    bad = good;
    bad.where.domain = 2;
    CHECK_ERR(ERR_AUTH, frame_open(&bad, s.sealed.key, &f->place, stored, SLICE_EMPTY, out.data));
    bad = good;
    bad.where.store.bytes[0] ^= 1;
    CHECK_ERR(ERR_AUTH, frame_open(&bad, s.sealed.key, &f->place, stored, SLICE_EMPTY, out.data));
    struct frame_place moved = f->place;
    moved.counter++;
    CHECK_ERR(ERR_AUTH, frame_open(&good, s.sealed.key, &moved, stored, SLICE_EMPTY, out.data));
}

TEST(a_delta_opens_only_with_its_base)
{
    AUTO(buf) base = BUF_EMPTY, raw = BUF_EMPTY, packed = BUF_EMPTY, out = BUF_EMPTY;
    CHECK_OK(buf_resize(&base, 60000));
    rand_bytes(base.data, base.len);
    buf_put_slice(&raw, buf_slice(&base));
    raw.data[30000] ^= 0xff;
    CHECK_OK(buf_resize(&packed, zstd_bound(raw.len)));
    CHECK_OK(buf_resize(&out, raw.len));
    size_t packed_len;
    CHECK_OK(zstd_pack_delta(buf_slice(&raw), buf_slice(&base), 3, packed.data, packed.len, &packed_len));
    CHECK(packed_len < 200);
    CHECK_OK(zstd_unpack(slice_of(packed.data, packed_len), buf_slice(&base), out.data, raw.len));
    CHECK_MEM(out.data, raw.data, raw.len);
    CHECK_ERR(ERR_CORRUPT, zstd_unpack(slice_of(packed.data, packed_len), SLICE_EMPTY, out.data, raw.len));
}

TEST(a_decompression_bomb_is_stopped)
{
    AUTO(buf) zeros = BUF_EMPTY, packed = BUF_EMPTY;
    buf_put_zeros(&zeros, 4 << 20);
    CHECK_OK(buf_resize(&packed, zstd_bound(zeros.len)));
    size_t packed_len;
    uint8_t out[1000];
    CHECK_OK(zstd_pack(buf_slice(&zeros), 3, packed.data, packed.len, &packed_len));
    CHECK_ERR(ERR_CORRUPT, zstd_unpack(slice_of(packed.data, packed_len), SLICE_EMPTY, out, sizeof out));
    CHECK_ERR(ERR_CORRUPT, zstd_unpack(slice_of(packed.data, packed_len - 1), SLICE_EMPTY, zeros.data, zeros.len));
}

TEST(a_full_builder_says_so)
{
    AUTO_PTR(keyring) keys = test_keyring();
    AUTO_PTR(pack_builder) b = NULL;
    CHECK_OK(pack_builder_new(keys, 1, CHUNK_TREE, 100000, &b));
    CHECK(pack_builder_fits(b, 4 << 20, 1)); /* the first always fits */
    AUTO(buf) raw = BUF_EMPTY;
    CHECK_OK(buf_resize(&raw, 60000));
    rand_bytes(raw.data, raw.len);
    struct frame_chunk chunk = {.length = 60000};
    uint32_t number;
    CHECK_OK(pack_builder_add(b, buf_slice(&raw), &chunk, 1, 0, &number));
    CHECK(pack_builder_fits(b, 30000, 1));
    CHECK(!pack_builder_fits(b, 60000, 1));
}

TEST_MAIN(what_goes_in_comes_out, the_name_is_the_hash_of_the_object, no_flipped_byte_is_read_as_good,
          a_pack_cut_short_anywhere_is_refused, a_frame_does_not_open_as_another_kind_or_domain_or_place,
          a_delta_opens_only_with_its_base, a_decompression_bomb_is_stopped, a_full_builder_says_so)
