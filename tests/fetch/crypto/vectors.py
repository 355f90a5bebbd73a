#!/usr/bin/env python3
"""Known answers for what has no public vectors: chunk names and the cut's PRF.

Written from the definitions in fetch/crypto/chunkid.h and prf.h with hashlib, hmac and python3-cryptography,
sharing no code with what it checks.  ./vectors.py > vectors.h
"""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

LEAF = 16384


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def chunk_id(key, data):
    if len(data) <= LEAF:
        return mac(mac(key, b"\x00"), data)
    leaves = b""
    for i in range(0, (len(data) + LEAF - 1) // LEAF):
        leaves += mac(mac(key, b"\x02" + struct.pack("<I", i)), data[i * LEAF : (i + 1) * LEAF])
    return mac(mac(key, b"\x01"), struct.pack("<Q", len(data)) + leaves)


def prf(key, window):
    assert len(window) == 64
    cbc = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    last = (cbc.update(window) + cbc.finalize())[48:64]
    return struct.unpack("<Q", last[:8])[0]


def pattern(length):
    return bytes(((i * 2654435761) & 0xFFFFFFFF) >> 24 for i in range(length))


KEY = bytes(range(32))
LENGTHS = [0, 1, 63, 64, 65, 16383, 16384, 16385, 32768, 65536, 100000, 262144, 4194303, 4194304]


def main():
    data = pattern(max(LENGTHS))
    print("/* Made by vectors.py. The key is bytes 0 to 31, byte i of the data is (i * 2654435761 mod 2^32) >> 24. */")
    print("#pragma once\n\n#include <stddef.h>\n#include <stdint.h>\n")
    print("static const struct {\n    size_t len;\n    const char *id;\n} chunk_id_vectors[] = {")
    for length in LENGTHS:
        print('    {%d, "%s"},' % (length, chunk_id(KEY, data[:length]).hex()))
    print("};\n")
    print("/* The window at each of these offsets of the same data. */")
    print("static const struct {\n    size_t offset;\n    uint64_t value;\n} prf_vectors[] = {")
    for offset in [0, 1, 7, 64, 1000, 65536]:
        print("    {%d, UINT64_C(0x%016x)}," % (offset, prf(KEY, data[offset : offset + 64])))
    print("};\n")
    print("/* In selftest.c, for a key of zeros:")
    print(" * 16385 bytes of zeros  %s" % chunk_id(bytes(32), bytes(16385)).hex())
    print(" * a window of zeros     0x%016x */" % prf(bytes(32), bytes(64)))


main()
