/* Made by vectors.py. The key is bytes 0 to 31, byte i of the data is (i * 2654435761 mod 2^32) >> 24. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static const struct {
    size_t len;
    const char *id;
} chunk_id_vectors[] = {
    {0, "6a8ded03f1d0c3b43ae104a0453e0f7c855702b952d02c0a8815de3fd3035f2a"},
    {1, "ba9a2cddf57c631556b0f46e51252e5e2360719f24b69ccf2dc30ee12a1e9bbf"},
    {63, "d71e53d19a66217d92b2f07531b19cb6bac7295cd522002cafadc5a78c38ed48"},
    {64, "1c0491048e5a4c76b2d090dd8a4c4eda2e97d7deb224a8584ff5ed190655fb8e"},
    {65, "d3da0cb7e6bee5df41c913cd140256bf493238c674eb72d6c151fb973b3f3bf8"},
    {16383, "2d7c730d490b0223de42ae8997c19b8d82d4a513b9868c03e9c0fd8016695ac0"},
    {16384, "dc78c4fabfee72da4e976d7e0ca33413f029e6be2f4f38ec0d9a0a2d65c7f938"},
    {16385, "ab5763a4b2a37a727d4eaf2291531b4ed14471aaef372172acec021682654d74"},
    {32768, "ac062f8f17c923ca16bcb8c6fdc4614c0206cf94924d6239ac6fabc1963d42e0"},
    {65536, "6517270a726005c8b9574ff6d9faea9512e8d096e98978cc1232759a4eef02b7"},
    {100000, "636234eba46b2d2cf33831e56755422e0b3cebd0a118c59d8f5743da45acab0e"},
    {262144, "abac1ad1b21be2fec40c6c3f1890a6a3b59f1f3912b45c63a9e5b3dca19d9f02"},
    {4194303, "6dcd0989eef8f7870ecdfad4a2fd15c8fdc36a8d552b96ab3934e2c229ae3117"},
    {4194304, "816d95d80b27c27a3513a2f27aee332c9f63c2b7b3d45d5b91da92d33165f13b"},
};

/* The window at each of these offsets of the same data. */
static const struct {
    size_t offset;
    uint64_t value;
} prf_vectors[] = {
    {0, UINT64_C(0x7a6912b02d32e3b4)},
    {1, UINT64_C(0x64dca52b854cd215)},
    {7, UINT64_C(0xb59089c4a673bd94)},
    {64, UINT64_C(0xf7f8a366bf602580)},
    {1000, UINT64_C(0x68e2b234cf18a732)},
    {65536, UINT64_C(0x1982b31b8ce66779)},
};

/* In selftest.c, for a key of zeros:
 * 16385 bytes of zeros  a09208e835dcfb39b343a8e7f8a8ce1d45b6c2fbcf7eeda924d1bbcb617c0c27
 * a window of zeros     0xe9ae802519cc0d5d */
