#!/usr/bin/python3
"""
make_golden: makes the golden store by hand, from fixed keys and fixed "random" bytes.

    make_golden.py [DIR]      DIR is this folder if not given; gets store/, recovery.txt, key-file, reader.role,
                              expected.txt, README.md

The same bytes every time, given the zstd of Debian 12 (1.5.4): frames are the only part that another zstd may write
otherwise. It encodes by docs/format.md and shares nothing with the reader but two primitives that have published
vectors (the key derivation of XAES-256-GCM, the key schedule of HPKE), so that the two check each other. What it
counts (paths, positions, totals) it counts by listing, not by the arithmetic of the format.
"""

import datetime
import hashlib
import hmac
import os
import shutil
import struct
import sys

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'reader'))
sys.dont_write_bytecode = True
from yore_reader import hpke_key, xaes_derive  # noqa: E402  (both checked against published vectors by reader_test.py)

DATA, TREE = 1, 2
ZERO = bytes(32)
PASSPHRASE = b'golden'

# ---- Bytes ------------------------------------------------------------------------------------------------------------


def fixed(label, count=32):
    """The store's "random" bytes: SHA-256 in counter mode over a label."""
    blocks = (sha256(f'yore golden/{label}/{i}'.encode()) for i in range((count + 31) // 32))
    return b''.join(blocks)[:count]


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.digest(key, data, 'sha256')


def hkdf(key, salt, info):
    """32 bytes: one block of RFC 5869."""
    return mac(mac(salt, key), info + b'\1')


def u8(n):
    return struct.pack('<B', n)


def u16(n):
    return struct.pack('<H', n)


def u32(n):
    return struct.pack('<I', n)


def u64(n):
    return struct.pack('<Q', n)


def i64(n):
    return struct.pack('<q', n)


def varint(n):
    out = b''
    while n >= 0x80:
        out, n = out + u8(n & 0x7F | 0x80), n >> 7
    return out + u8(n)


def zigzag(n):
    return varint(2 * n if n >= 0 else -2 * n - 1)


def blob(data):
    return varint(len(data)) + data


def bare_fields(*fields):
    """Each (number, value) or (number, value, critical)"""
    return b''.join(varint(f[0] << 1 | (len(f) > 2 and f[2])) + blob(f[1]) for f in fields)


def fields(*each):
    return blob(bare_fields(*each))


UNKNOWN = (20, b'from a later version')  # ignorable
CRITICAL = (21, b'from a later version, critical', 1)


def padme(length):
    e = length.bit_length() - 1
    s = e.bit_length()
    step = 1 << (e - s)
    return (length + step - 1) // step * step


def seconds(stamp):
    moment = datetime.datetime.strptime(stamp, '%Y%m%dT%H%M%SZ')
    return (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)


def escape(path):
    return path.replace(b'\\', b'\\\\').replace(b'\n', b'\\n').replace(b'\r', b'\\r')


# ---- Keys -------------------------------------------------------------------------------------------------------------


class Pair:
    """X25519"""

    def __init__(self, label):
        self.secret = fixed(label)
        self.public = raw_public(X25519PrivateKey.from_private_bytes(self.secret))


class Signer:
    """Ed25519"""

    def __init__(self, label):
        self.seed = fixed(label)
        self.key = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = raw_public(self.key)
        self.id = sha256(self.public)[:16]

    def sign(self, message):
        return self.key.sign(message)


def raw_public(private):
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def seal(public, info, aad, plain, label):
    ephemeral = Pair(f'seal/{label}')
    shared = X25519PrivateKey.from_private_bytes(ephemeral.secret).exchange(X25519PublicKey.from_public_bytes(public))
    key, nonce = hpke_key(shared, ephemeral.public, public, info)
    return ephemeral.public + AESGCM(key).encrypt(nonce, plain, aad)


def xaes_seal(key, nonce, aad, plain):
    return AESGCM(xaes_derive(key, nonce)).encrypt(nonce[12:], plain, aad)


STORE = fixed('store id', 16)
MADE = seconds('20261101T080000Z')
ADMIN, ADMIN_2 = Signer('admin'), Signer('second admin')
WRITER, TENANT_WRITER = Signer('writer'), Signer('tenant writer')
RECOVERY = Pair('recovery key')
HOST = fixed('host', 16)
KEYRING_KEY = fixed('keyring key')


class Domain:
    def __init__(self, number, name, epochs, erasable):
        self.id, self.name, self.erasable = number, name, erasable
        self.k_id, self.k_cut, self.k_idx, self.k_name = (fixed(f'{name}/{k}') for k in ('K_id', 'K_cut', 'K_idx', 'K_name'))
        self.epochs = [{DATA: Pair(f'{name}/D_{e}'), TREE: Pair(f'{name}/T_{e}')} for e in range(1, epochs + 1)]
        self.recovery = Pair(f'{name}/recovery')
        self.id_keys = {DATA: hkdf(self.k_id, STORE, b'yore/1/id/data'), TREE: hkdf(self.k_id, STORE, b'yore/1/id/tree')}
        self.tree_cut = hkdf(self.k_cut, STORE, b'yore/1/cut/tree')
        self.segments = hkdf(self.k_idx, STORE, b'yore/1/index/segment')
        self.envelopes = hkdf(self.k_idx, STORE, b'yore/1/index/envelope')
        self.service_names = hkdf(self.k_name, STORE, b'yore/1/name/service')
        self.links = hkdf(self.k_name, STORE, b'yore/1/name/link')

    def chunk_id(self, kind, chunk):
        key = self.id_keys[kind]
        if len(chunk) <= 16_384:
            return mac(mac(key, b'\0'), chunk)
        leaves = [chunk[at : at + 16_384] for at in range(0, len(chunk), 16_384)]
        macs = [mac(mac(key, b'\2' + u32(i)), leaf) for i, leaf in enumerate(leaves)]
        return mac(mac(key, b'\1'), u64(len(chunk)) + b''.join(macs))

    def tag(self, service):
        return mac(self.service_names, service.encode())[:16]

    def link_group(self, device, inode):
        return mac(self.links, u64(device) + u64(inode))[:16]

    def fields(self, epochs, recovery_secret):
        found = [(1, u32(self.id)), (2, self.name.encode()), (3, self.k_id), (4, self.k_cut), (5, self.k_idx), (6, self.k_name)]
        for number, pairs in enumerate(self.epochs, 1):
            d, t = pairs[DATA], pairs[TREE]
            found += [(7, u32(number) + d.public + d.secret + t.public + t.secret)] if epochs else []
        found.append((8, self.recovery.public))
        found += [(9, self.recovery.secret)] if recovery_secret else []
        found.append((10, varint(self.erasable)))
        return bare_fields(*found)


MAIN = Domain(1, 'main', 2, 0)
TENANT = Domain(2, 'tenant', 1, 1)

# ---- Objects ----------------------------------------------------------------------------------------------------------

OBJECTS = {}  # name -> bytes: the store
EXAMPLES = {}  # for README.md: what -> anything


def put(name, data):
    assert name not in OBJECTS, name
    OBJECTS[name] = data
    return data


RECORD = {'config': 1, 'epoch': 2, 'cert': 3, 'recovery': 4, 'start': 5, 'heartbeat': 6, 'end': 7}


def put_record(name, kind, signer, body, domain=0, number=0, previous=None, when=MADE):
    head = b'YORERECD' + u16(1) + u8(RECORD[kind]) + u8(0) + u32(domain) + STORE + u64(number)
    head += (sha256(previous) if previous else ZERO) + signer.id + i64(when) + body
    return put(name, head + signer.sign(b'yore/1/record\0' + head))


def put_yore():
    head = b'YORESTOR' + u16(1) + u8(1) + bytes(5) + STORE + i64(MADE) + u64(0) + u64(0) + u64(1 << 40)
    head += ADMIN.public + fields(UNKNOWN)
    put('yore', head + ADMIN.sign(b'yore/1/store\0' + head))


CLASSES = [(1, 3, 1, 262_144, 262_144), (2, 1, 16_384, 65_536, 262_144), (3, 1, 8_192, 32_768, 131_072),
           (4, 2, 65_536, 65_536, 65_536), (5, 1, 262_144, 1_048_576, 4_194_304)]  # fmt: skip


def put_records():
    cuts = [(1, struct.pack('<BBIII', *cut)) for cut in CLASSES]
    sizes = [(2, u32(131_072)), (3, u32(16 << 20))]

    def domain_field(domain):
        return (4, u32(domain.id) + domain.recovery.public + u8(domain.erasable))

    first = fields(*cuts, *sizes, domain_field(MAIN), UNKNOWN)
    first = put_record('config/0000000001', 'config', ADMIN, first, number=1)
    second = fields(*cuts, *sizes, domain_field(MAIN), domain_field(TENANT), (5, ADMIN_2.public))
    put_record('config/0000000002', 'config', ADMIN, second, number=2, previous=first, when=MADE + 60)

    for domain in (MAIN, TENANT):
        previous = None
        for number, pairs in enumerate(domain.epochs, 1):
            body = fields((1, pairs[DATA].public), (2, pairs[TREE].public))
            name = f'epochs/{domain.id:08x}/{number:010}'
            previous = put_record(name, 'epoch', ADMIN, body, domain.id, number, previous, MADE + 120 * number)

    put_cert(WRITER, ADMIN, 31, 0, [1, 2], ['*'], 'alpha')
    put_cert(TENANT_WRITER, ADMIN_2, 1, seconds('20270101T000000Z'), [2], ['tenant-a'], 'beta')

    only_main = put_recovery(1, [MAIN], None)
    put_recovery(2, [MAIN, TENANT], only_main)


def put_cert(holder, admin, roles, not_after, domains, services, name):
    body = [(1, holder.public), (2, varint(roles)), (3, i64(not_after))]
    body += [(4, u32(d)) for d in domains] + [(5, s.encode()) for s in services] + [(6, name.encode())]
    put_record(f'certs/{holder.id.hex()}', 'cert', admin, fields(*body))


def put_recovery(number, domains, previous):
    body = [(1, RECOVERY.public)]
    for domain in domains:
        plain = domain.fields(epochs=False, recovery_secret=not domain.erasable)
        info = b'yore/1/seal/recovery' + STORE + u32(domain.id)
        body.append((2, u32(domain.id) + seal(RECOVERY.public, info, b'', plain, f'recovery/{number}/{domain.id}')))
    body.append((3, seal(RECOVERY.public, b'yore/1/seal/admin' + STORE, b'', ADMIN.seed, f'admin/{number}')))
    name = f'recovery/{number:010}'
    return put_record(name, 'recovery', ADMIN, fields(*body), number=number, previous=previous, when=MADE + number)


# Keystore


def put_slots():
    head = b'YORESLOT' + u16(1)
    when = STORE + i64(MADE)

    def secret_slot(number, secret, head, label):
        salt = fixed(f'slot/{number}')
        key = secret(salt)
        body = head + salt + hkdf(key, salt, b'yore/1/slot/commit') + fields((1, label))
        body += AESGCM(hkdf(key, salt, b'yore/1/slot/kek')).encrypt(bytes(12), KEYRING_KEY, body)
        put(f'keys/slot-{number:08x}', body + sha256(body))

    scrypt_head = head + u8(1) + u8(15) + u32(8) + u32(1) + bytes(4) + when
    secret_slot(1, lambda salt: hashlib.scrypt(PASSPHRASE, salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32), scrypt_head,
                'passphrase'.encode())  # fmt: skip
    secret_slot(2, lambda _: fixed('key file'), head + u8(2) + bytes(13) + when, b'key file')

    body = head + u8(3) + bytes(13) + when + fixed('slot/3') + RECOVERY.public + fields((1, b'recovery key'))
    body += seal(RECOVERY.public, b'yore/1/slot/recovery' + STORE, body, KEYRING_KEY, 'slot/3')
    put('keys/slot-00000003', body + sha256(body))


def keyring_fields(domains, roles=31):
    found = [(1, ADMIN.seed), (2, WRITER.seed)] if roles == 31 else []
    found.append((3, varint(roles)))
    found += [(4, domain.fields(epochs=True, recovery_secret=domain.erasable and roles == 31)) for domain in domains]
    return fields(*found, (5, RECOVERY.public), (6, ADMIN.public), UNKNOWN)


def put_keyring(number, domains):
    plain, nonce = keyring_fields(domains), fixed(f'keyring/{number}', 24)
    head = b'YOREKEYS' + u16(1) + bytes(6) + STORE + u64(number) + nonce + u32(len(plain) + 16)
    put(f'keys/keyring-{number:010}', head + xaes_seal(KEYRING_KEY, nonce, head, plain))


def role_file():
    body = b'YOREROLE' + u16(1) + bytes(6) + STORE + keyring_fields([MAIN], roles=2)
    return body + sha256(body)


def recovery_text():
    digits = RECOVERY.secret.hex() + sha256(RECOVERY.secret).hex()[:8]
    groups = ' '.join(digits[at : at + 8] for at in range(0, 72, 8))
    return f'The recovery key of the golden store {STORE.hex()}.\nIt opens the store without its keystore.\nkey: {groups}\n'


# ---- Packs ------------------------------------------------------------------------------------------------------------


class Frame:
    def __init__(self, pack, chunks, counter, compression, base, level=3):
        domain, kind = pack.domain, pack.kind
        self.ids = [domain.chunk_id(kind, chunk) for chunk in chunks]
        self.lengths = [len(chunk) for chunk in chunks]
        self.counter, self.compression, self.origin = counter, compression, pack
        self.base = domain.chunk_id(kind, base) if base else None
        raw = b''.join(chunks)
        self.raw = len(raw)
        self.ids_tag = sha256(b''.join(self.ids))[:16]
        payload = compress(raw, base, level) if compression else raw
        self.nonce = bytes(4) + struct.pack('>Q', counter)
        self.aad = u16(1) + STORE + u32(domain.id) + pack.uid + u64(counter) + u8(kind) + u8(compression) + u32(self.raw)
        self.aad += self.ids_tag + (self.base or ZERO)
        assert len(self.aad) == 100
        self.stored = self.ids_tag + AESGCM(pack.key).encrypt(self.nonce, payload, self.aad)


def compress(raw, base, level):
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
    sizes = zstandard.ZstdCompressionParameters.from_level(level, source_size=len(raw), dict_size=len(base or b''))
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=sizes).compress(raw)


class Pack:
    def __init__(self, domain, kind, session, label, epoch=1, writer=WRITER):
        self.domain, self.kind, self.session, self.epoch, self.writer, self.label = domain, kind, session, epoch, writer, label
        self.uid, self.key = fixed(f'pack uid/{label}', 16), fixed(f'pack key/{label}')
        self.origins, self.frames, self.header_fields = [self], [], fields()

    def add(self, *chunks, compression=1, base=None):
        counter = sum(frame.origin is self for frame in self.frames)
        self.frames.append(Frame(self, chunks, counter, compression, base))
        return self.frames[-1]

    def copy(self, frame):
        """As repack does: the frame's bytes and its origin's key, nothing decrypted."""
        if frame.origin not in self.origins:
            self.origins.append(frame.origin)
        self.frames.append(frame)

    def header(self, directory_at, directory_length):
        head = b'YOREPACK' + u16(1) + u8(self.kind) + u8(1) + u32(self.domain.id) + STORE + self.uid + u64(0)
        head += u32(directory_at) + u32(directory_length) + u32(len(self.origins)) + u32(0)
        for origin in self.origins:
            info = b'yore/1/seal/pack/recovery' + STORE + u32(self.domain.id) + origin.uid
            head += origin.uid + seal(self.domain.recovery.public, info, b'', origin.key, f'pack/{origin.label}')
        return head + self.header_fields

    def finish(self, store=True):
        at = len(self.header(0, 0))
        directory = u32(len(self.frames)) + u32(sum(len(frame.ids) for frame in self.frames))
        for frame in self.frames:
            frame_at = (at, len(frame.stored))
            self.places = getattr(self, 'places', {}) | {id(frame): frame_at}
            directory += u32(at) + u32(len(frame.stored)) + u32(frame.raw) + u8(frame.compression) + u8(bool(frame.base))
            directory += u16(self.origins.index(frame.origin)) + u64(frame.counter) + u32(len(frame.ids)) + (frame.base or b'')
            directory += b''.join(chunk + u32(length) for chunk, length in zip(frame.ids, frame.lengths))
            at += len(frame.stored)
        directory += self.header_fields
        self.directory = directory
        head = self.header(at, len(directory) + 16)
        body = head + b''.join(frame.stored for frame in self.frames)
        body += AESGCM(self.key).encrypt(u32(1) + u64(0), directory, head)
        self.bytes = body + bytes(padme(len(body)) - len(body))
        self.hash = sha256(self.bytes)
        self.name = f'packs/{self.domain.id:08x}/{self.hash.hex()[:2]}/{self.session.hex()}-{self.hash.hex()}'
        if store:
            put(self.name, self.bytes)
        return self

    # Its rows in a segment

    def chunk_rows(self, number):
        for frame in self.frames:
            at, place = self.places[id(frame)], 0
            for chunk, length in zip(frame.ids, frame.lengths):
                row = chunk + struct.pack('<7I', number, *at, frame.raw, place, length, frame.counter)
                row += u8(frame.compression) + u8(bool(frame.base)) + u16(self.origins.index(frame.origin))
                yield (chunk, number, at[0]), row, frame.base
                place += length

    def pack_row(self, number):
        row = u32(number) + self.session + self.hash + u64(len(self.bytes)) + self.uid + u16(len(self.origins))
        public = self.domain.epochs[self.epoch - 1][self.kind].public
        for origin in self.origins:
            info = b'yore/1/seal/pack/epoch' + STORE + u32(self.domain.id) + u32(self.epoch) + u8(self.kind) + origin.uid
            row += origin.uid + u32(self.epoch) + seal(public, info, b'', origin.key, f'epoch/{self.label}/{origin.label}')
        digest = sha256(self.directory)
        message = b'yore/1/pack\0' + STORE + u32(self.domain.id) + self.session + self.hash + digest
        return row + self.writer.id + digest + self.writer.sign(message)


# ---- Segments ---------------------------------------------------------------------------------------------------------


def put_segment(domain, kind, session, packs, rows_a_page=16, k=7, more=()):
    uid = fixed(f'segment/{domain.id}/{kind}/{session.hex()}', 16)
    key = hkdf(domain.segments, uid, b'yore/1/segment')
    rows = sorted((row for number, pack in enumerate(packs) for row in pack.chunk_rows(number)), key=lambda row: row[0])
    pages = [rows[at : at + rows_a_page] for at in range(0, len(rows), rows_a_page)]
    plain = [(1, chunk_page(page, more), len(page), page[0][0][0]) for page in pages]
    plain.append((3, filter_block(rows, k), 0, ZERO))
    pack_rows = [pack.pack_row(number) + fields(*more) for number, pack in enumerate(packs)]
    for group in (pack_rows[at : at + 2] for at in range(0, len(pack_rows), 2)):
        plain.append((2, u32(len(group)) + b''.join(group), len(group), ZERO))

    length = 88 + len(fields(*more))
    at, footer = length, u32(len(rows)) + u32(len(packs)) + u32(len(plain))
    for block, data, count, first in plain:
        footer += u8(block) + u64(at) + u32(len(data) + 16) + u32(count) + first
        at += len(data) + 16
    footer += fields(*more)

    head = b'YORESEGM' + u16(1) + u8(kind) + u8(1) + u32(domain.id) + STORE + uid + session + u64(0)
    head += u64(at) + u32(len(footer) + 16) + u32(0) + fields(*more)
    body = head
    for number, (block, data, _, _) in enumerate(plain):
        body += AESGCM(key).encrypt(bytes(4) + struct.pack('>Q', number), data, head + u8(block) + u64(number))
    body += AESGCM(key).encrypt(u32(1) + u64(0), footer, head + u8(0) + u64(0))
    body += bytes(padme(len(body)) - len(body))
    name = f'index/{domain.id:08x}/{" dt"[kind]}/{session.hex()}-{sha256(body).hex()}'
    put(name, body)
    EXAMPLES[f'segment {session.hex()} {kind}'] = (name, head, key, plain, footer)


def chunk_page(page, more):
    bases = [(number, base) for number, (_, _, base) in enumerate(page) if base]
    return u32(len(page)) + b''.join(row for _, row, _ in page) + u32(len(bases)) + b''.join(
        u32(number) + base for number, base in bases) + fields(*more)  # fmt: skip


def filter_block(rows, k):
    if k == 0:
        return u32(0) + u32(0)
    words = max(1, (len(rows) * 10 + 63) // 64)
    bits = bytearray(8 * words)
    for (chunk, _, _), _, _ in rows:
        h1, h2 = int.from_bytes(chunk[:8], 'little'), int.from_bytes(chunk[8:16], 'little') | 1
        for i in range(k):
            bit = (h1 + i * h2) % 2**64 % (words * 64)
            bits[bit // 8] |= 1 << bit % 8
    return u32(k) + u32(words) + bytes(bits)


# ---- Trees: a model of files, and its chunks -----------------------------------------------------------------------------


class Node:
    """One file, directory, or other thing in the model that both the store and expected.txt are written from."""

    def __init__(self, kind, mode=0o644, uid=0, gid=0, mtime=(1_700_000_000, 0), ctime=None, birth=None, xattrs=(), link=None,
                 children=None, items=(), target=None, device=None, more=(), hashed=True, shape='rule', cut=2):  # fmt: skip
        self.kind, self.mode, self.uid, self.gid, self.mtime = kind, mode, uid, gid, mtime
        self.ctime, self.birth, self.xattrs, self.link = ctime or mtime, birth, list(xattrs), link
        self.children, self.items, self.target, self.device = children, list(items), target, device
        self.more, self.hashed, self.shape, self.cut = more, hashed, shape, cut

    @property
    def newer(self):
        return CRITICAL in self.more

    def ordered(self):
        return sorted(self.children.items())

    def size(self):
        return sum(length(item) for item in self.items)

    def data_bytes(self):
        return sum(length(item) for item in self.items if item[0] != HOLE)

    def digest(self):
        whole = hashlib.sha256()
        for item in self.items:
            whole.update(item[1] if item[0] == PIECE else bytes(item[1]))
        return whole.digest()


def directory(children, mode=0o755, **more):
    return Node(1, mode, children={(k if isinstance(k, bytes) else k.encode()): v for k, v in children.items()}, **more)


def file(*items, **more):
    return Node(2, items=[(PIECE, item) if isinstance(item, bytes) else item for item in items if item], **more)


PIECE, HOLE, ZEROS = 0, 1, 2


def length(item):
    return len(item[1]) if item[0] == PIECE else item[1]


def files_below(children, prefix=b''):
    for name, node in children:
        if node.kind == 2:
            yield prefix + name, node
        elif node.kind == 1:
            yield from files_below(node.ordered(), prefix + name + b'/')


def nodes_below(children):
    return sum(1 + (nodes_below(node.ordered()) if node.kind == 1 else 0) for _, node in children)


def counts(children):
    """The six numbers of a summary, by listing what lies below."""
    found = list(files_below(children))
    escaped = [escape(path) for path, _ in found]
    marks = sum(path != e for (path, _), e in zip(found, escaped))
    return (len(children), nodes_below(children), len(found), sum(map(len, escaped)), marks, sum(node.size() for _, node in found))


class Tree:
    """The tree chunks of one snapshot, in the order they were made."""

    def __init__(self, domain):
        self.domain, self.chunks, self.data = domain, {}, {}

    def put(self, chunk):
        name = self.domain.chunk_id(TREE, chunk)
        self.chunks[name] = chunk
        return name

    def put_data(self, chunk):
        name = self.domain.chunk_id(DATA, chunk)
        self.data[name] = chunk
        return name

    def summary(self, node):
        children = node.ordered()
        if not children:
            return ZERO + bytes(6)
        pages = []
        for group in split(children, node.shape, self.domain, lambda child: child[0]):
            leaf = u8(1) + u8(1) + varint(len(group)) + b''.join(self.entry(*child) for child in group) + fields()
            pages.append((group[0][0], group, leaf))
        while len(pages) > 1:
            groups = split(pages, node.shape, self.domain, lambda page: page[0])
            pages = [self.index_page(group) for group in groups]
        return self.summary_of(pages[0])

    def index_page(self, pages):
        page = u8(2) + u8(1) + varint(len(pages))
        for first, children, chunk in pages:
            page += blob(first) + self.summary_of((first, children, chunk))
        return pages[0][0], [child for _, children, _ in pages for child in children], page + fields()

    def summary_of(self, page):
        return self.put(page[2]) + b''.join(varint(number) for number in counts(page[1]))

    def entry(self, name, node):
        found = [(1, self.xattr(*xattr)) for xattr in node.xattrs]
        found += [(2, zigzag(node.birth[0]) + varint(node.birth[1]))] if node.birth else []
        found += node.more
        hashed = node.kind == 2 and node.hashed
        flags = bool(node.link) | hashed << 1 | bool(found) << 2
        out = blob(name) + u8(node.kind) + u8(flags) + varint(node.mode) + varint(node.uid) + varint(node.gid)
        out += zigzag(node.mtime[0]) + varint(node.mtime[1]) + zigzag(node.ctime[0]) + varint(node.ctime[1])
        out += self.domain.link_group(*node.link) if node.link else b''
        if node.kind == 1:
            out += self.summary(node)
        elif node.kind == 2:
            out += self.content(node.items, DATA, node.cut, node.shape) + (node.digest() if hashed else b'')
        elif node.kind == 3:
            out += blob(node.target)
        elif node.kind in (4, 5):
            out += varint(node.device[0]) + varint(node.device[1])
        return out + (fields(*found) if found else b'')

    def xattr(self, name, value, how):
        return blob(name) + u8(how) + (varint(len(value)) + self.put(value) if how else blob(value))

    def content(self, items, kind, cut, shape='rule'):
        if not items:
            return u8(0)
        put = self.put_data if kind == DATA else self.put
        if len(items) == 1 and items[0][0] == PIECE:
            return u8(1) + varint(len(items[0][1])) + put(items[0][1])
        rows = []
        for item in items:
            row = u8(item[0]) + varint(length(item))
            chunk = put(item[1]) if item[0] == PIECE else b''
            rows.append((chunk, row + chunk, length(item), 0 if item[0] == HOLE else length(item)))
        level = 0
        while True:
            lists = [self.list_chunk(level, cut, group) for group in split_list(rows, shape)]
            if len(lists) == 1:
                chunk, _, total, data = lists[0]
                return u8(2) + varint(total) + varint(data) + chunk
            rows, level = lists, level + 1

    def list_chunk(self, level, cut, rows):
        total, data = sum(row[2] for row in rows), sum(row[3] for row in rows)
        body = u8(3) + u8(1) + u8(level) + u8(cut) + varint(len(rows)) + b''.join(row[1] for row in rows) + fields()
        chunk = self.put(body)
        return chunk, varint(total) + varint(data) + chunk, total, data

    def root(self, node, manifest, log):
        entry = self.entry(b'', node)
        links = link_table(node, self.domain)
        chunk = u8(4) + u8(1) + entry + b''.join(
            self.content([(PIECE, part) for part in parts if part], TREE, 1, 'threes') for parts in ([links], [manifest], log))
        return self.put(chunk + fields())  # fmt: skip


def split(pages, shape, domain, name_of):
    """Where a writer ends directory pages (10.2); or in threes, which a reader must take as well."""
    if shape == 'threes':
        return [pages[at : at + 3] for at in range(0, len(pages), 3)]
    return split_where(pages, lambda page: int.from_bytes(mac(domain.tree_cut, name_of(page))[:4], 'little') % 128 == 0)


def split_list(rows, shape):
    if shape == 'threes':
        return [rows[at : at + 3] for at in range(0, len(rows), 3)]
    return split_where(rows, lambda row: row[0] and int.from_bytes(row[0][:4], 'little') % 128 == 0)


def split_where(rows, ends):
    groups, group = [], []
    for row in rows:
        group.append(row)
        if (len(group) >= 32 and ends(row)) or len(group) == 1024:
            groups, group = groups + [group], []
    return groups + ([group] if group else [])


def positions(node):
    """Every node in order of position."""
    yield node
    for _, child in node.ordered() if node.kind == 1 else ():
        yield from positions(child)


def link_table(root, domain):
    groups = {}
    for position, node in enumerate(positions(root)):
        if node.link:
            groups.setdefault(domain.link_group(*node.link), []).append(position)
    rows = [group + u64(found[0]) + u32(len(found)) + u32(0) for group, found in sorted(groups.items()) if len(found) > 1]
    return b''.join(rows)


# ---- Snapshots --------------------------------------------------------------------------------------------------------

SNAPSHOTS = []  # (service, time, hash, kind, flags, root node): for expected.txt


def put_snapshot(tree, service, root, when, session, number=1, heads=(), kind='files', flags=0, labels=(), parts=(), log=(),
                 writer=WRITER, more=(), left_out=0):  # fmt: skip
    """Adds the root to the tree's chunks, and the envelope to the store. Returns the envelope's SHA-256."""
    domain = tree.domain
    manifest = b'{"service":"%s","source":"made by hand"}' % service.encode()
    root_id = tree.root(root, manifest, log)
    _, nodes, files, _, _, size = counts(root.ordered())
    directories = sum(node.kind == 1 for node in positions(root)) - 1
    found = [(1, service.encode()), (2, kind.encode()), (3, writer.id), (4, HOST), (5, b'alpha'), (6, varint(number)),
             (7, b''.join(heads)), (8, session), (9, zigzag(when[0]) + varint(when[1])),
             (10, zigzag(when[0] + 7) + varint(5)), (11, varint(flags))]  # fmt: skip
    found += [(12, label) for label in labels]
    totals = (nodes, files, directories, size, 0, 0, left_out)
    found += [(13, b''.join(map(varint, totals))), (14, root_id)]
    found += [(15, blob(name) + blob(kind)) for name, kind in parts] + [(16, b'golden 1')] + list(more)
    block = padded(found)

    nonce = fixed(f'envelope/{service}/{when}', 24)
    head = b'YORESNAP' + u16(1) + u16(1) + u32(domain.id) + STORE + u64(0) + nonce + u32(len(block) + 64 + 16)
    plain = block + writer.sign(b'yore/1/envelope\0' + head + block)
    data = head + xaes_seal(domain.envelopes, nonce, head, plain)
    stamp = (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=when[0])).strftime('%Y%m%dT%H%M%SZ')
    name = f'snapshots/{domain.id:08x}/{domain.tag(service).hex()}/{stamp}-{sha256(data).hex()}'
    put(name, data)
    SNAPSHOTS.append((service, when, sha256(data), stamp, kind, flags, root))
    EXAMPLES[f'envelope {service} {number}'] = (name, head, domain, block, plain[len(block) :])
    return sha256(data)


def padded(found):
    """With field 31 so long that the block, its own length included, is a multiple of 256."""
    for zeros in range(600):
        block = fields(*found, (31, bytes(zeros)))
        if len(block) % 256 == 0:
            return block
    raise AssertionError


def put_session(session, domain, service, start, beats=1, outcome=0, writer=WRITER):
    body = fields((1, domain.tag(service)), (2, HOST), (3, i64(start)), (4, session))
    put_record(f'sessions/{session.hex()}/start', 'start', writer, body, domain.id, when=start)
    for beat in range(1, beats + 1):
        body = fields((1, i64(start + 600 * beat)), (3, session))
        name = f'sessions/{session.hex()}/hb-{beat:010}'
        put_record(name, 'heartbeat', writer, body, domain.id, beat, when=start + 600 * beat)
    if outcome is not None:
        body = fields((1, i64(start + 900)), (2, varint(outcome)), (3, session))
        put_record(f'sessions/{session.hex()}/end', 'end', writer, body, domain.id, when=start + 900)


def put_tree(tree, session, epoch=2, writer=WRITER, chunks=None, rows_a_page=16, k=7):
    """One tree pack with all chunks of a snapshot (or those given), some 128 KiB a frame; and its segment."""
    pack = Pack(tree.domain, TREE, session, f'tree {session.hex()}', epoch, writer)
    batch = []
    for chunk in (tree.chunks if chunks is None else chunks).values():
        if batch and sum(map(len, batch)) + len(chunk) > 131_072:
            pack.add(*batch)
            batch = []
        batch.append(chunk)
    pack.add(*batch)
    put_segment(tree.domain, TREE, session, [pack.finish()], rows_a_page, k)
    return pack


# ---- The story of the golden store ---------------------------------------------------------------------------------------


def ledger(first, count, changed=()):
    """Text that compresses well, a bit different on every line."""
    return b''.join(b'%06d  paid %s to %s%s\n' % (n, fixed(f'sum {n % 50}', 2).hex().encode(),
                    (b'Antonia', b'Boris', b'Clara')[n % 3], b', corrected' if n in changed else b'')
                    for n in range(first, first + count))  # fmt: skip


LEDGER = ledger(0, 3000)
LEDGER_CHANGED = ledger(0, 3000, changed=(17, 1400, 2999))
NOISE = fixed('noise', 6000)
SMALL = [b'small file %d: %s\n' % (n, fixed(f'small {n}', n * 3).hex().encode()) for n in range(40)]
ALPHA, SHARED, LINKED = b'alpha\n', b'the same bytes in two packs\n' * 9, b'one inode, three names\n'
SPARSE = ledger(9000, 400)
NEW = b'new in the second snapshot\n'
STREAM = [ledger(20_000 + 10 * n, 1 + n % 7) for n in range(20)]
LARGE_XATTR = b'in a chunk of its own; ' * 130
BEFORE_1970, AFTER_2106 = (-86_401, 500_000_000), (7_258_118_400, 999_999_999)
NOON = (seconds('20261119T120000Z'), 123_456_789)


def files_tree(second=False, partial=False):
    names = [b'new\nline', b'back\\slash', b'return\r', b'not utf-8 \xff\xfe', b'n' * 255, b'-dash', b' space ', b'star*', '日本'.encode()]
    odd = {name: file(SMALL[n], mtime=NOON) for n, name in enumerate(names)}
    root = {
        'a': file(ALPHA, mtime=NOON, more=(UNKNOWN,), birth=(-1, 999_999_999)),
        'a.b': file(SMALL[10], mtime=NOON, mode=0o600, uid=1000, gid=100),
        'a b': file(SMALL[11], mtime=NOON),
        'ab': file(SMALL[12], mtime=NOON, hashed=False),
        'B': file(SMALL[13], mtime=NOON, mode=0o4755),
        'docs': directory({f'page-{n}.txt': file(SMALL[n], mtime=NOON, uid=1000, gid=1000) for n in range(14, 40)}, uid=1000, gid=1000),
        'empty': file(mtime=NOON, mode=0),
        'empty-directory': directory({}, mode=0o1777),
        'ledger.txt': file(LEDGER_CHANGED if second else LEDGER, mtime=NOON, xattrs=[(b'user.large', LARGE_XATTR, 1)]),
        'noise.bin': file(NOISE, mtime=NOON, xattrs=[(b'user.binary', bytes(range(256)), 0), (b'user.color', b'blue', 0),
                                                     (b'user.none', b'', 0)]),
        'sparse.img': file((HOLE, 1 << 20), SPARSE, (ZEROS, 65_536), (HOLE, 300_000), SPARSE, (HOLE, 4096), cut=4, mtime=NOON),
        'all-hole': file((HOLE, 70_000), mtime=NOON, cut=4),
        'left': directory({'first': file(LINKED, link=(2049, 77), mtime=NOON), 'alone': file(ALPHA, link=(2049, 78), mtime=NOON),
                           'link': Node(3, 0o777, target=b'first', link=(2049, 79), mtime=NOON)}),
        'right': directory({'second': file(LINKED, link=(2049, 77), mtime=NOON), 'third': file(LINKED, link=(2049, 77), mtime=NOON),
                            'link': Node(3, 0o777, target=b'first', link=(2049, 79), mtime=NOON)}),
        'things': directory({
            'symlink': Node(3, 0o777, target=b'../a', mtime=NOON),
            'dangling': Node(3, 0o777, target=b'/nowhere/\xff\n', mtime=BEFORE_1970),
            'long': Node(3, 0o777, target=b'./' * 2047 + b'a', mtime=NOON),
            'fifo': Node(6, 0o640, mtime=NOON), 'socket': Node(7, 0o777, mtime=NOON),
            'loop': Node(4, 0o660, gid=6, device=(7, 0), mtime=NOON), 'null': Node(5, 0o666, device=(1, 3), mtime=NOON),
            'far': Node(5, 0o600, device=(511, 1_048_575), mtime=NOON)}, mtime=NOON),
        'names': directory(odd | {b'dir\n\\': directory({'plain': file(ALPHA, mtime=NOON), 'r\r': file(ALPHA, mtime=NOON)})}),
        'times': directory({'before-1970': file(ALPHA, mtime=BEFORE_1970), 'after-2106': file(ALPHA, mtime=AFTER_2106),
                            'epoch': file(ALPHA, mtime=(0, 0))}, mtime=BEFORE_1970),
    }  # fmt: skip
    if second:
        root |= {'new.txt': file(NEW, mtime=NOON), 'shared.txt': file(SHARED, mtime=NOON)}
    if partial:
        del root['docs']
    return directory(root, mtime=NOON, xattrs=[(b'user.root', b'yes', 0)])


def session_id(name):
    return fixed(f'session/{name}', 16)


def main_data():
    """The data packs of the main domain, and their segments."""
    first = Pack(MAIN, DATA, session_id('first'), 'first')
    first.header_fields = fields(UNKNOWN)
    small = first.add(ALPHA, LINKED, SHARED, *SMALL)
    first.add(LEDGER)
    first.add(NOISE, compression=0)
    first.add(SPARSE)
    put_segment(MAIN, DATA, session_id('first'), [first.finish()], more=(UNKNOWN,))

    second = Pack(MAIN, DATA, session_id('second'), 'second', epoch=2)
    second.add(LEDGER_CHANGED, base=LEDGER)
    second.add(NEW, SHARED)
    put_segment(MAIN, DATA, session_id('second'), [second.finish()], k=0)

    # A pack that repack took frames from and that was deleted then: only its key record and its frames live on.
    gone = Pack(MAIN, DATA, session_id('gone'), 'gone')
    gone.add(b'no snapshot needs this any more\n')
    stream = gone.add(*STREAM)
    gone.finish(store=False)

    repacked = Pack(MAIN, DATA, session_id('repack'), 'repacked', epoch=2)
    repacked.add(*(b'plain %d\n' % n for n in range(3)))
    repacked.copy(stream)
    repacked.copy(small)
    others = [Pack(MAIN, DATA, session_id('repack'), f'repacked {n}', epoch=n) for n in (1, 2)]
    others[0].add(b'x', compression=0)
    others[1].add(SHARED, b'x')
    put_segment(MAIN, DATA, session_id('repack'), [repacked.finish(), *(pack.finish() for pack in others)], rows_a_page=1000)
    EXAMPLES['small pack'] = others[1]


def put_files_snapshots():
    lane = []
    story = [('first', {}, '20261120T140000Z', 100_000_000, 0), ('second', {'second': True}, '20261120T140000Z', 900_000_000, 2),
             ('partial', {'second': True, 'partial': True}, '20261121T140000Z', 0, 1)]  # fmt: skip
    seen = {}
    for number, (name, how, stamp, nanoseconds, flags) in enumerate(story, 1):
        tree, session = Tree(MAIN), session_id(name)
        put_session(session, MAIN, 'files', seconds(stamp) - 30, beats=2 if name == 'partial' else 0)
        lane.append(put_snapshot(tree, 'files', files_tree(**how), (seconds(stamp), nanoseconds), session, number, lane[-1:],
                                 flags=flags, labels=[b'before the move', b'two'] if flags == 2 else [],
                                 log=[b'line one\n', b'line two\n', b'line one\n', b'line four\n'] if number == 1 else [],
                                 more=(UNKNOWN,) if number == 1 else (), left_out=flags & 1))  # fmt: skip
        fresh = {chunk: data for chunk, data in tree.chunks.items() if chunk not in seen}
        put_tree(tree, session, epoch=1 if name == 'first' else 2, chunks=fresh)
        seen |= tree.chunks
        EXAMPLES[f'tree {name}'] = tree


def put_one(service, root, stamp, **more):
    """A service of the main domain with one snapshot; its data lie in the packs already."""
    tree, session = Tree(MAIN), session_id(service)
    put_session(session, MAIN, service, seconds(stamp) - 30)
    put_snapshot(tree, service, root, (seconds(stamp), 5), session, **more)
    put_tree(tree, session, rows_a_page=1000)
    EXAMPLES[f'tree {service}'] = tree


def put_dump():
    """2,500 items: by the rule of 10.3 a list of lists."""
    dump = file(*(STREAM[n * n % 20] for n in range(2500)), mtime=NOON, cut=3)
    put_one('dump', directory({'dump.sql': dump}), '20261120T150000Z', kind='stream')


def put_many():
    """1,100 names: by the rule of 10.2 an index of leaves."""
    names = {f'entry-{n:04}{"é" if n % 100 == 7 else ""}': file(b'x' if n % 10 == 0 else None, mtime=NOON, hashed=False)
             for n in range(1100)}  # fmt: skip
    put_one('many', directory({'all': directory(names), 'zz': file(ALPHA)}), '20261120T160000Z')


def put_shapes():
    """Divisions that our writer never makes and a reader takes: an index of indexes, lists three levels high, deep folders."""
    deep = directory({'bottom': file(ALPHA)})
    for level in range(40):
        deep = directory({f'{level}\\': deep, 'beside': Node(6, 0o600)} if level % 10 == 0 else {f'{level}': deep})
    pages = directory({f'name-{n:02}': directory({'in': file(b'plain %d\n' % (n % 3))}) if n % 4 == 0 else file(mtime=NOON)
                       for n in range(30)}, shape='threes')  # fmt: skip
    items = [item for n in range(7) for item in (b'plain %d\n' % (n % 3), (HOLE, 1000 + n), (ZEROS, 10 + n), b'x')]
    lists = directory({'list': file(*items, shape='threes', mtime=NOON), 'zeros': file((ZEROS, 100_000)), 'hole': file((HOLE, 5 << 20))})
    root = directory({'deep': deep, 'pages': pages, 'lists': lists})
    put_one('shapes', root, '20261120T170000Z', parts=[(b'deep', b'files'), (b'lists', b'stream'), (b'pages', b'files')])


def put_future():
    """What a newer version may do to an entry, and what this one must refuse."""
    root = directory({'plain.txt': file(ALPHA), 'newer.txt': file(ALPHA, more=(CRITICAL,)),
                      'newer-directory': directory({'hidden': file(ALPHA)}, more=(UNKNOWN, CRITICAL)), 'zz': file(ALPHA)})  # fmt: skip
    put_one('future', root, '20261120T180000Z')


def put_tenant():
    session, start = session_id('tenant'), seconds('20261120T190000Z')
    put_session(session, TENANT, 'tenant-a', start - 30, writer=TENANT_WRITER)
    tree = Tree(TENANT)
    root = directory({'a': file(ALPHA, mtime=NOON), 'ledger.txt': file(LEDGER, mtime=NOON),
                      'linked': file(LINKED, link=(2049, 77)), 'linked too': file(LINKED, link=(2049, 77))})  # fmt: skip
    put_snapshot(tree, 'tenant-a', root, (start, 0), session, writer=TENANT_WRITER)
    put_tree(tree, session, epoch=1, writer=TENANT_WRITER)
    pack = Pack(TENANT, DATA, session, 'tenant', writer=TENANT_WRITER)
    pack.add(ALPHA, LINKED)
    pack.add(LEDGER)
    put_segment(TENANT, DATA, session, [pack.finish()])


# ---- expected.txt -------------------------------------------------------------------------------------------------------


def printable(name):
    return ''.join(chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x5C else f'\\x{byte:02x}' for byte in name)


def expected():
    lines, seen = [], {}
    for service, when, digest, stamp, kind, flags, root in sorted(SNAPSHOTS, key=lambda s: s[:3]):
        seen[service, stamp] = seen.get((service, stamp), 0) + 1
        name = stamp if seen[service, stamp] == 1 else f'{stamp}-{seen[service, stamp]}'
        flag = {0: 'complete', 1: 'partial', 2: 'held'}[flags]
        _, nodes, files, path_bytes, marks, size = counts(root.ordered())
        directories = sum(node.kind == 1 for node in positions(root)) - 1
        lines.append(f'snapshot {service}/{name} {kind} {flag} nodes={nodes} files={files} directories={directories} '
                     f'bytes={size} path_bytes={path_bytes} marks={marks}')  # fmt: skip
        lines += expected_nodes(b'', root, {})
    return '\n'.join(lines) + '\n'


def expected_nodes(path, node, groups):
    if node.newer:
        return
    words = {1: 'dir', 2: 'file', 3: 'symlink', 4: 'block', 5: 'char', 6: 'fifo', 7: 'socket'}
    first = groups.setdefault(node.link, path) if node.link else path
    numbers = (node.size(), node.data_bytes(), node.digest().hex()) if node.kind == 2 else ('-', '-', '-')
    extra = printable(node.target) if node.target else ':'.join(map(str, node.device)) if node.device else '-'
    xattrs = ','.join(f'{printable(name)}={value.hex()}' for name, value, _ in node.xattrs) or '-'
    link = '-' if first == path else '=' + printable(first)
    yield (f'{printable(path) or "."} {words[node.kind]} {node.mode:o} {node.uid} {node.gid} {node.mtime[0]}.{node.mtime[1]:09} '
           f'{numbers[0]} {numbers[1]} {numbers[2]} {extra} {link} {xattrs}')  # fmt: skip
    for name, child in node.ordered() if node.kind == 1 else ():
        yield from expected_nodes(path + b'/' + name if path else name, child, groups)


# ---- All of it -----------------------------------------------------------------------------------------------------------


def make():
    """Fills OBJECTS; returns {file name: bytes} of what lies beside the store."""
    put_yore()
    put_records()
    put_slots()
    put_keyring(1, [MAIN])
    put_keyring(2, [MAIN, TENANT])
    put_session(session_id('repack'), MAIN, 'files', seconds('20261120T143000Z'))
    put_session(session_id('running'), MAIN, 'files', seconds('20261122T100000Z'), outcome=None)
    put_session(session_id('failed'), MAIN, 'dump', seconds('20261119T100000Z'), outcome=1)
    main_data()
    put_files_snapshots()
    put_dump()
    put_many()
    put_shapes()
    put_future()
    put_tenant()

    from examples import readme

    return {'recovery.txt': recovery_text().encode(), 'key-file': fixed('key file'), 'reader.role': role_file(),
            'expected.txt': expected().encode(), 'README.md': readme().encode()}  # fmt: skip


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else HERE
    beside = make()
    shutil.rmtree(os.path.join(target, 'store'), ignore_errors=True)
    for name, data in [*((f'store/{name}', data) for name, data in OBJECTS.items()), *beside.items()]:
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as out:
            out.write(data)
    print(f'{len(OBJECTS)} objects, {sum(map(len, OBJECTS.values()))} bytes')


if __name__ == '__main__':
    # So that `from make_golden import ...` in examples.py sees this very module.
    sys.modules['make_golden'] = sys.modules['__main__']
    main()
