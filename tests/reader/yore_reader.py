#!/usr/bin/python3
"""
yore_reader: a second reader of Yore stores, written from docs/format.md alone.

    yore_reader.py [OPTIONS] list STORE                          services and their snapshots
    yore_reader.py [OPTIONS] extract STORE SERVICE/NAME DIR      NAME as `list` says it, or `latest`
    yore_reader.py [OPTIONS] show STORE [SERVICE/NAME]           the content as text (tests/golden/expected.txt)
    yore_reader.py [OPTIONS] check STORE                         open and verify everything

    --recovery-file FILE   the recovery key instead of a passphrase: works without keys/ and index/
    --key-file FILE        32 bytes that open a key file slot
    --role-file FILE       a role key file instead of a keystore
    --keystore DIR         the keystore, when it is not in the store

The passphrase comes from YORE_PASSWORD. A store is a folder. Exit status: 0 ok, 1 usage, 3 wrong password or key,
4 no store there, 6 newer format, 7 damage.

It wants Python 3.11, cryptography and zstandard (Debian 12: python3-cryptography, python3-zstandard). It is meant to be
read beside docs/format.md, whose order it follows, and to be right rather than fast: it holds the index in memory.
"""

import collections
import datetime
import hashlib
import hmac
import os
import re
import stat
import struct
import sys

import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# Walks recurse by directory, which may be 4,096 deep.
sys.setrecursionlimit(50_000)


class YoreError(Exception):
    status = 9


class Usage(YoreError):
    status = 1


class WrongKey(YoreError):
    status = 3


class NoStore(YoreError):
    status = 4


class NewerFormat(YoreError):
    status = 6


class Damaged(YoreError):
    status = 7


# ---- 1. Terms ---------------------------------------------------------------------------------------------------------

DATA, TREE = 1, 2
KIND_LETTER = {DATA: 'd', TREE: 't'}
ZERO_ID, ZERO_MIB = bytes(32), bytes(1 << 20)

# ---- 13. Limits (first, because everything below keeps them) -----------------------------------------------------------

CHUNK_MAX = 4 << 20
PACK_MAX, PACK_MAX_CHUNKS = 64 << 20, 1 << 20
SEGMENT_MAX, CHUNK_PAGE_MAX = 1 << 30, 64 << 10
OBJECT_MAX = 1 << 20  # record, envelope, slot, keyring
PAGE_MAX_ENTRIES, DEPTH_MAX = 1024, 4096
NAME_MAX, TARGET_MAX, XATTR_NAME_MAX, XATTR_MAX = 255, 4095, 255, 65_536
FILE_MAX = 2**63 - 1

# ---- 2. Notation ------------------------------------------------------------------------------------------------------


class Cursor:
    """Takes values off hostile bytes; running out of them is damage, never an exception of Python's."""

    def __init__(self, data, what, at=0):
        self.data, self.what, self.at = data, what, at

    def bad(self, why):
        return Damaged(f'{self.what}: {why}')

    def take(self, count):
        if count > len(self.data) - self.at:
            raise self.bad('it is cut short')
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), 'little')

    def u32(self):
        return int.from_bytes(self.take(4), 'little')

    def u64(self):
        return int.from_bytes(self.take(8), 'little')

    def i64(self):
        return int.from_bytes(self.take(8), 'little', signed=True)

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 64 or (byte == 0 and shift > 0):
                    raise self.bad('a varint is too big, or not in its shortest form')
                return value
        raise self.bad('a varint is longer than 10 bytes')

    def zigzag(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def bytes(self, limit=OBJECT_MAX):
        length = self.varint()
        if length > limit:
            raise self.bad(f'{length} bytes where at most {limit} are allowed')
        return self.take(length)

    def text(self):
        try:
            return self.bytes().decode()
        except UnicodeDecodeError:
            raise self.bad('text is not UTF-8') from None

    def reserved(self, count):
        if any(self.take(count)):
            raise self.bad('reserved bytes are not zero')

    def left(self):
        return len(self.data) - self.at

    def end(self):
        if self.left():
            raise self.bad(f'{self.left()} bytes too many')


def parse_fields(cursor, known=(), repeats=(), limit=CHUNK_MAX):
    """`fields`, with the total length before them: {number: value}, or {number: [values]} for those that may repeat."""
    return parse_bare_fields(cursor.bytes(limit), cursor.what, known, repeats)


def parse_bare_fields(data, what, known=(), repeats=()):
    cursor, found, last = Cursor(data, what), {}, -1
    while cursor.left():
        key = cursor.varint()
        number, critical, value = key >> 1, key & 1, cursor.bytes(CHUNK_MAX)
        is_known = number in known or number in repeats
        if number < last or (number == last and number in known):
            raise cursor.bad(f'field {number} is out of order, or there twice')
        last = number
        if critical and not is_known:
            raise NewerFormat(f'{what}: field {number} is unknown and critical')
        if number in repeats:
            found.setdefault(number, []).append(value)
        elif is_known:
            found[number] = value
    return found


def field_varint(found, number, what, default=0):
    if number not in found:
        return default
    cursor = Cursor(found[number], what)
    value = cursor.varint()
    cursor.end()
    return value


def field_fixed(found, number, what, length):
    value = found.get(number)
    if value is None or len(value) != length:
        raise Damaged(f'{what}: field {number} must be there and {length} bytes long')
    return value


def open_head(data, magic, what):
    """A cursor behind magic and version. The version comes first: of a newer one we know nothing else."""
    cursor = Cursor(data, what)
    if cursor.take(8) != magic:
        raise cursor.bad(f'it does not start with {magic.decode()}')
    version = cursor.u16()
    if version > 1:
        raise NewerFormat(f'{what}: version {version}')
    if version == 0:
        raise cursor.bad('version 0')
    return cursor


def check_suite(suite, what):
    if suite != 1:
        raise NewerFormat(f'{what}: suite {suite}')


def check_must_know(features, what):
    if features:
        raise NewerFormat(f'{what}: features {features:#x} must be known to read it')


def sha256(data):
    return hashlib.sha256(data).digest()


def hmac256(key, data):
    return hmac.digest(key, data, 'sha256')


def hkdf_expand(prk, info, length=32):
    out, block = b'', b''
    while len(out) < length:
        block = hmac256(prk, block + info + bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def hkdf(key, salt, info, length=32):
    return hkdf_expand(hmac256(salt, key), info, length)


def gcm_open(key, nonce, aad, sealed, what):
    if len(sealed) < 16:
        raise Damaged(f'{what}: too short for its tag')
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Damaged(f'{what}: its tag is wrong') from None


def xaes_derive(key, nonce):
    """C2SP XAES-256-GCM: the AES-256-GCM key that 32 bytes of key and the first 12 of the nonce give (a CMAC KDF)."""
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    top = int.from_bytes(aes.update(bytes(16)), 'big')
    k1 = (top << 1) & (2**128 - 1) ^ (0x87 if top >> 127 else 0)
    blocks = (b'\0' + bytes([i]) + b'X\0' + nonce[:12] for i in (1, 2))
    return b''.join(aes.update((int.from_bytes(m, 'big') ^ k1).to_bytes(16, 'big')) for m in blocks)


def xaes_open(key, nonce, aad, sealed, what):
    return gcm_open(xaes_derive(key, nonce), nonce[12:], aad, sealed, what)


def hpke_labeled_extract(suite, salt, label, ikm):
    return hmac256(salt, b'HPKE-v1' + suite + label + ikm)


def hpke_labeled_expand(suite, prk, label, info, length):
    return hkdf_expand(prk, struct.pack('>H', length) + b'HPKE-v1' + suite + label + info, length)


def hpke_key(shared, enc, public, info, aead_id=2, key_bytes=32):
    """RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256): key and base nonce from a Diffie-Hellman result."""
    kem = b'KEM' + struct.pack('>H', 0x0020)
    secret = hpke_labeled_extract(kem, b'', b'eae_prk', shared)
    secret = hpke_labeled_expand(kem, secret, b'shared_secret', enc + public, 32)
    suite = b'HPKE' + struct.pack('>HHH', 0x0020, 1, aead_id)
    context = b'\0' + hpke_labeled_extract(suite, b'', b'psk_id_hash', b'')
    context += hpke_labeled_extract(suite, b'', b'info_hash', info)
    secret = hpke_labeled_extract(suite, secret, b'secret', b'')
    key = hpke_labeled_expand(suite, secret, b'key', context, key_bytes)
    return key, hpke_labeled_expand(suite, secret, b'base_nonce', context, 12)


def x25519_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def seal_open(secret, info, aad, sealed, what):
    """What seal(public, info, aad, plain) of section 2 made."""
    enc = sealed[:32]
    try:
        shared = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(enc))
    except ValueError:
        raise Damaged(f'{what}: no key was sealed here') from None
    key, nonce = hpke_key(shared, enc, x25519_public(secret), info)
    return gcm_open(key, nonce, aad, sealed[32:], what)


def check_signature(public, signature, message, what):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Damaged(f'{what}: its signature is wrong') from None


# ---- 3. Keys ----------------------------------------------------------------------------------------------------------

Epoch = collections.namedtuple('Epoch', 'data_public data_secret tree_public tree_secret')


def key_id(public):
    return sha256(public)[:16]


class Domain:
    """The keys of one domain, as the keyring or the recovery record gives them, and what is derived from them."""

    def __init__(self, data, store_id, what):
        found = parse_bare_fields(data, what, (1, 2, 3, 4, 5, 6, 8, 9, 10), (7,))
        self.id = int.from_bytes(field_fixed(found, 1, what, 4), 'little')
        self.name = found.get(2, b'').decode('utf-8', 'replace')
        k_id, k_idx, k_name = (field_fixed(found, n, what, 32) for n in (3, 5, 6))
        self.k_cut = field_fixed(found, 4, what, 32)
        self.epochs = dict(parse_epoch(value, what) for value in found.get(7, []))
        self.recovery_public = field_fixed(found, 8, what, 32)
        self.recovery_secret = field_fixed(found, 9, what, 32) if 9 in found else None
        self.erasable = field_varint(found, 10, what)
        if self.recovery_secret and x25519_public(self.recovery_secret) != self.recovery_public:
            raise Damaged(f'{what}: the two halves of a recovery pair do not belong together')

        self.chunk_keys = {
            DATA: chunk_keys(hkdf(k_id, store_id, b'yore/1/id/data')),
            TREE: chunk_keys(hkdf(k_id, store_id, b'yore/1/id/tree')),
        }
        self.segments = hkdf(k_idx, store_id, b'yore/1/index/segment')
        self.envelopes = hkdf(k_idx, store_id, b'yore/1/index/envelope')
        self.service_names = hkdf(k_name, store_id, b'yore/1/name/service')

    def tag(self, service):
        return hmac256(self.service_names, service.encode())[:16]

    def epoch_secret(self, epoch, kind):
        pair = self.epochs.get(epoch)
        secret = pair and (pair.data_secret if kind == DATA else pair.tree_secret)
        return secret if secret and any(secret) else None


def parse_epoch(value, what):
    if len(value) != 4 + 4 * 32:
        raise Damaged(f'{what}: an epoch of {len(value)} bytes')
    epoch = Epoch(*(value[4 + 32 * i : 36 + 32 * i] for i in range(4)))
    for public, secret in ((epoch.data_public, epoch.data_secret), (epoch.tree_public, epoch.tree_secret)):
        if any(secret) and x25519_public(secret) != public:
            raise Damaged(f'{what}: the two halves of an epoch pair do not belong together')
    return int.from_bytes(value[:4], 'little'), epoch


# ---- 4. Objects and their names -----------------------------------------------------------------------------------------


class Folder:
    """A store (or a keystore) in a folder."""

    def __init__(self, root):
        self.root = root

    def path(self, name):
        return os.path.join(self.root, name)

    def exists(self, name):
        return os.path.isfile(self.path(name))

    def list(self, prefix=''):
        names = []
        for folder, _, files in os.walk(self.path(prefix)):
            names += (os.path.relpath(os.path.join(folder, file), self.root) for file in files)
        return sorted(names)

    def size(self, name):
        try:
            return os.stat(self.path(name)).st_size
        except OSError as error:
            raise Damaged(f'{name}: {error.strerror}') from None

    def read(self, name, limit=OBJECT_MAX):
        size = self.size(name)
        if size > limit:
            raise Damaged(f'{name}: larger than {limit} bytes')
        return self.read_range(name, 0, size)

    def read_range(self, name, offset, length):
        try:
            with open(self.path(name), 'rb') as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise Damaged(f'{name}: {error.strerror}') from None


HEX8, HEX32, HEX64, NUMBER = '[0-9a-f]{8}', '[0-9a-f]{32}', '[0-9a-f]{64}', r'\d{10}'
NAMES = {
    'yore': 'yore',
    'config': f'config/({NUMBER})',
    'epochs': f'epochs/({HEX8})/({NUMBER})',
    'certs': f'certs/({HEX32})',
    'recovery': f'recovery/({NUMBER})',
    'slot': f'keys/slot-({HEX8})',
    'keyring': f'keys/keyring-({NUMBER})',
    'pack': f'packs/({HEX8})/([0-9a-f][0-9a-f])/({HEX32})-({HEX64})',
    'segment': f'index/({HEX8})/([dt])/({HEX32})-({HEX64})',
    'snapshot': f'snapshots/({HEX8})/({HEX32})/(\\d{{8}}T\\d{{6}}Z)-({HEX64})',
    'start': f'sessions/({HEX32})/start',
    'heartbeat': f'sessions/({HEX32})/hb-({NUMBER})',
    'end': f'sessions/({HEX32})/end',
    'fence': f'fences/({HEX32})',
    'revoked': f'revoked/({NUMBER})',
    'attest': f'attest/({HEX32})-({HEX64})',
    'audit': f'audit/({NUMBER})',
    'gc': f'gc/({NUMBER})',
    'verdict': f'gc/({NUMBER}).verdict',
    'done': f'gc/({NUMBER}).done',
    'forget': f'forgets/({HEX64})',
    'pin': f'pins/({HEX32})',
    'catalog': f'catalogs/({NUMBER})',
}


def parse_name(name):
    """What an object is, by its name: (type, parts), or (None, ()) for a name that section 4 does not know."""
    for kind, pattern in NAMES.items():
        match = re.fullmatch(pattern, name)
        if match:
            return kind, match.groups()
    return None, ()


def check_name_hash(name, data):
    """Objects named by their SHA-256 can be checked without any key."""
    kind, parts = parse_name(name)
    if kind in ('pack', 'segment', 'snapshot', 'attest') and sha256(data).hex() != parts[-1]:
        raise Damaged(f'{name}: its SHA-256 is not the one in its name')
    if kind == 'pack' and parts[1] != parts[3][:2]:
        raise Damaged(f'{name}: it lies in the wrong folder')


def time_name(seconds):
    try:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    except OverflowError:
        raise Damaged(f'{seconds} seconds are no year of four digits') from None
    return f'{moment.year:04}{moment:%m%dT%H%M%S}Z'


# ---- 5. The store's own objects ------------------------------------------------------------------------------------------

StoreHead = collections.namedtuple('StoreHead', 'id first_admin keystore_inside')


def open_yore(data):
    """5.1"""
    cursor = open_head(data, b'YORESTOR', 'yore')
    notes = cursor.u8()
    cursor.reserved(5)
    store_id, _made = cursor.take(16), cursor.i64()
    must_read, _must_write, _ignorable = cursor.u64(), cursor.u64(), cursor.u64()
    first_admin = cursor.take(32)
    # The signature comes before the fields are believed; it is always the last 64 bytes.
    check_signature(first_admin, data[-64:], b'yore/1/store\0' + data[:-64], 'yore')
    check_must_know(must_read, 'yore')
    parse_fields(cursor)
    cursor.take(64)
    cursor.end()
    if notes & ~1:
        raise cursor.bad('unknown notes')
    return StoreHead(store_id, first_admin, bool(notes & 1))


RECORD_TYPES = {
    'config': 1, 'epochs': 2, 'certs': 3, 'recovery': 4, 'start': 5, 'heartbeat': 6, 'end': 7, 'fence': 8, 'gc': 9,
    'verdict': 10, 'done': 11, 'forget': 12, 'pin': 13, 'catalog': 14, 'revoked': 15, 'attest': 16, 'audit': 17,
}  # fmt: skip
BY_ADMIN = ('config', 'epochs', 'certs', 'recovery', 'revoked')
CHAINED = ('config', 'epochs', 'recovery', 'audit')
WRITER, READER, KEEPER, WATCHER, ADMIN = 1, 2, 4, 8, 16
Record = collections.namedtuple('Record', 'type domain number previous signer time fields hash')
Certificate = collections.namedtuple('Certificate', 'public roles not_after domains services holder')


def parse_record(data, name, store_id):
    """5.2, all but the signature: the fields stay bytes, because what they are hangs on the type."""
    kind, parts = parse_name(name)
    cursor = open_head(data, b'YORERECD', name)
    type_number = cursor.u8()
    cursor.reserved(1)
    domain, store, number = cursor.u32(), cursor.take(16), cursor.u64()
    previous, signer, when = cursor.take(32), cursor.take(16), cursor.i64()
    fields = cursor.bytes()
    cursor.take(64)
    cursor.end()

    named_number = int(parts[-1]) if parts and re.fullmatch(NUMBER, parts[-1]) else 0
    if store != store_id:
        raise cursor.bad('it is of another store')
    if type_number != RECORD_TYPES[kind] or number != named_number:
        raise cursor.bad('it is not the record that its name says')
    if kind in BY_ADMIN[:4] and domain != (int(parts[0], 16) if kind == 'epochs' else 0):
        raise cursor.bad('it is of another domain')
    if (kind not in CHAINED or number == 1) and any(previous):
        raise cursor.bad('it names a previous record where there is none')
    return Record(kind, domain, number, previous, signer, when, fields, sha256(data))


def check_record_signature(data, public, name):
    check_signature(public, data[-64:], b'yore/1/record\0' + data[:-64], name)


def parse_config(record, name):
    found = parse_bare_fields(record.fields, name, (2, 3), (1, 4, 5))
    sizes = {1: 14, 4: 37, 5: 32}
    for number, length in sizes.items():
        if any(len(value) != length for value in found.get(number, [])):
            raise Damaged(f'{name}: a field {number} that is not {length} bytes long')
    for number in (2, 3):
        if number in found:
            field_fixed(found, number, name, 4)
    domains = {int.from_bytes(value[:4], 'little'): (value[4:36], value[36]) for value in found.get(4, [])}
    return domains, found.get(5, [])


def parse_certificate(record, name):
    found = parse_bare_fields(record.fields, name, (1, 2, 3, 6), (4, 5))
    public = field_fixed(found, 1, name, 32)
    if key_id(public).hex() != parse_name(name)[1][0]:
        raise Damaged(f'{name}: it certifies another key')
    not_after = int.from_bytes(field_fixed(found, 3, name, 8), 'little', signed=True) if 3 in found else 0
    if any(len(value) != 4 for value in found.get(4, [])):
        raise Damaged(f'{name}: a domain that is not 4 bytes long')
    domains = [int.from_bytes(value, 'little') for value in found.get(4, [])]
    services = [value.decode('utf-8', 'replace') for value in found.get(5, [])]
    holder = found.get(6, b'').decode('utf-8', 'replace')
    return Certificate(public, field_varint(found, 2, name), not_after, domains, services, holder)


class Signers:
    """Who may sign what: the admins, and the writers they certified. Built while config and certs are read."""

    def __init__(self, first_admin):
        self.admins = {key_id(first_admin): first_admin}
        self.certificates = {}

    def admin(self, signer, what):
        if signer not in self.admins:
            raise Damaged(f'{what}: signed by {signer.hex()}, who is no admin')
        return self.admins[signer]

    def writer(self, signer, what, domain=0, service=None, at=None):
        """The public key of a signer, if its certificate covers that domain and service at that time."""
        if signer in self.admins:
            return self.admins[signer]
        cert = self.certificates.get(signer)
        if cert is None:
            raise Damaged(f'{what}: signed by {signer.hex()}, who has no valid certificate')
        if domain and domain not in cert.domains:
            raise Damaged(f'{what}: {cert.holder} may not write in domain {domain}')
        if service is not None and not cert.roles & (WRITER | ADMIN):
            raise Damaged(f'{what}: {cert.holder} is no writer')
        if service is not None and '*' not in cert.services and service not in cert.services:
            raise Damaged(f'{what}: {cert.holder} may not write {service}')
        if at is not None and cert.not_after and at > cert.not_after:
            raise Damaged(f'{what}: the certificate of {cert.holder} had ended')
        return cert.public


def open_recovery(record, name, secret, store_id):
    """Domains from recovery/<n> with the recovery key. Its admin seed is of no use to a reader, but must open."""
    found = parse_bare_fields(record.fields, name, (1, 3), (2,))
    if field_fixed(found, 1, name, 32) != x25519_public(secret):
        raise WrongKey(f'{name}: made for another recovery key')
    domains = {}
    for value in found.get(2, []):
        info = b'yore/1/seal/recovery' + store_id + value[:4]
        domain = Domain(seal_open(secret, info, b'', value[4:], name), store_id, name)
        if domain.id.to_bytes(4, 'little') != value[:4]:
            raise Damaged(f'{name}: the keys of domain {domain.id} under another number')
        domains[domain.id] = domain
    if 3 in found and len(seal_open(secret, b'yore/1/seal/admin' + store_id, b'', found[3], name)) != 32:
        raise Damaged(f'{name}: an admin seed that is not 32 bytes long')
    return domains


SESSION_FIELDS = {'start': {1: 16, 2: 16, 3: 8, 4: 16}, 'heartbeat': {1: 8, 3: 16}, 'end': {1: 8, 3: 16}, 'fence': {1: 8, 3: 16}}
SESSION_FIELD = {'start': 4, 'heartbeat': 3, 'end': 3, 'fence': 3}


def check_session_record(record, name):
    sizes = SESSION_FIELDS[record.type]
    known = (*sizes, 2) if record.type == 'end' else tuple(sizes)
    found = parse_bare_fields(record.fields, name, known)
    for number, length in sizes.items():
        field_fixed(found, number, name, length)
    if found[SESSION_FIELD[record.type]].hex() != parse_name(name)[1][0]:
        raise Damaged(f'{name}: it is of another session')
    if record.type == 'end' and field_varint(found, 2, name) > 1:
        raise Damaged(f'{name}: an unknown outcome')


# ---- 6. Keystore ----------------------------------------------------------------------------------------------------------

PASSPHRASE, KEY_FILE, RECOVERY_KEY = 1, 2, 3
Slot = collections.namedtuple('Slot', 'name kind n r p salt check before sealed')


def parse_slot(data, name, store_id):
    """6.1, without its secret"""
    if len(data) < 32 or sha256(data[:-32]) != data[-32:]:
        raise Damaged(f'{name}: the slot is damaged, its SHA-256 is wrong')
    cursor = open_head(data[:-32], b'YORESLOT', name)
    kind, log2_n, r, p = cursor.u8(), cursor.u8(), cursor.u32(), cursor.u32()
    cursor.reserved(4)
    store, _made, salt, check = cursor.take(16), cursor.i64(), cursor.take(32), cursor.take(32)
    parse_fields(cursor, (1,))
    before = cursor.data[: cursor.at]
    sealed = cursor.take(80 if kind == RECOVERY_KEY else 48)
    cursor.end()
    if store != store_id:
        raise cursor.bad('it is of another store')
    if kind == PASSPHRASE:
        if not (15 <= log2_n <= 21 and 1 <= r <= 16 and 1 <= p <= 4):
            raise cursor.bad('scrypt would cost more, or less, than allowed')
    elif kind not in (KEY_FILE, RECOVERY_KEY) or log2_n or r or p:
        raise cursor.bad('an unknown kind of slot')
    return Slot(name, kind, 1 << log2_n, r, p, salt, check, before, sealed)


def open_slot(slot, store_id, secrets):
    """The keyring key, or None when what we hold is not this slot's."""
    if slot.kind == RECOVERY_KEY:
        if not secrets.recovery or x25519_public(secrets.recovery) != slot.check:
            return None
        return seal_open(secrets.recovery, b'yore/1/slot/recovery' + store_id, slot.before, slot.sealed, slot.name)
    secret = secrets.key_file
    if slot.kind == PASSPHRASE:
        secret = secrets.passphrase is not None and stretch(secrets.passphrase, slot.salt, slot.n, slot.r, slot.p)
    if not secret or not hmac.compare_digest(hkdf(secret, slot.salt, b'yore/1/slot/commit'), slot.check):
        return None
    return gcm_open(hkdf(secret, slot.salt, b'yore/1/slot/kek'), bytes(12), slot.before, slot.sealed, slot.name)


def stretch(passphrase, salt, n, r, p):
    return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, maxmem=160 * n * r + (1 << 20), dklen=32)


class Keyring:
    def __init__(self, data, store_id, what):
        found = parse_bare_fields(data, what, (1, 2, 3, 5, 6), (4,))
        for number in (1, 2, 5, 6):
            if number in found:
                field_fixed(found, number, what, 32)
        self.first_admin = found.get(6)
        self.domains = {}
        for value in found.get(4, []):
            domain = Domain(value, store_id, what)
            self.domains[domain.id] = domain


def open_keyring(data, name, store_id, keyring_key):
    """6.2"""
    cursor = open_head(data, b'YOREKEYS', name)
    cursor.reserved(6)
    store, number, nonce, length = cursor.take(16), cursor.u64(), cursor.take(24), cursor.u32()
    if store != store_id or number != int(name[-10:]):
        raise cursor.bad('it is not the keyring that its name says')
    sealed = cursor.take(length)
    cursor.end()
    plain = Cursor(xaes_open(keyring_key, nonce, data[:68], sealed, name), name)
    fields = plain.bytes()
    plain.end()
    return Keyring(fields, store_id, name)


def open_role_file(data, name, store_id):
    if len(data) < 32 or sha256(data[:-32]) != data[-32:]:
        raise Damaged(f'{name}: its SHA-256 is wrong')
    cursor = open_head(data[:-32], b'YOREROLE', name)
    cursor.reserved(6)
    if cursor.take(16) != store_id:
        raise WrongKey(f'{name}: it is for another store')
    fields = cursor.bytes()
    cursor.end()
    return Keyring(fields, store_id, name)


def parse_recovery_file(text):
    for line in text.splitlines():
        if line.startswith('key:'):
            digits = re.sub('[ -]', '', line[4:].strip()).lower()
            if not re.fullmatch('[0-9a-f]{72}', digits):
                raise WrongKey('the recovery key is not 72 hex digits')
            secret = bytes.fromhex(digits[:64])
            if sha256(secret).hex()[:8] != digits[64:]:
                raise WrongKey('the recovery key is mistyped: its check digits are wrong')
            return secret
    raise WrongKey('no line of the recovery file starts with key:')


# ---- 7. Chunks and their names --------------------------------------------------------------------------------------------

LEAF = 16_384


def chunk_keys(key):
    return {
        'small': hmac256(key, b'\0'),
        'root': hmac256(key, b'\1'),
        'leaf': [hmac256(key, b'\2' + struct.pack('<I', i)) for i in range(CHUNK_MAX // LEAF)],
    }


def chunk_name(keys, chunk):
    if len(chunk) <= LEAF:
        return hmac256(keys['small'], chunk)
    leaves = (chunk[at : at + LEAF] for at in range(0, len(chunk), LEAF))
    macs = (hmac256(key, leaf) for key, leaf in zip(keys['leaf'], leaves))
    return hmac256(keys['root'], struct.pack('<Q', len(chunk)) + b''.join(macs))


# ---- 8. Packs and frames --------------------------------------------------------------------------------------------------

PackHeader = collections.namedtuple('PackHeader', 'kind domain uid directory_at directory_length keys length')
Frame = collections.namedtuple('Frame', 'offset stored raw compression key counter base chunks')


def padme(length):
    e = length.bit_length() - 1
    low = e - e.bit_length()  # E - S, where S = floor(log2 E) + 1
    mask = (1 << low) - 1 if e > 0 and low > 0 else 0
    return (length + mask) & ~mask


def check_padding(data, end, what):
    if len(data) != padme(end) or any(data[end:]):
        raise Damaged(f'{what}: it is not padded as it must be')


def parse_pack_header(data, name, store_id):
    cursor = open_head(data, b'YOREPACK', name)
    kind, suite, domain, store, uid = cursor.u8(), cursor.u8(), cursor.u32(), cursor.take(16), cursor.take(16)
    check_must_know(cursor.u64(), name)
    directory_at, directory_length, count = cursor.u32(), cursor.u32(), cursor.u32()
    cursor.reserved(4)
    check_suite(suite, name)
    if kind not in (DATA, TREE) or not 1 <= count <= 65_535:
        raise cursor.bad('a kind or a number of keys that version 1 does not have')
    if store != store_id or domain != int(parse_name(name)[1][0], 16):
        raise cursor.bad('it is of another store or domain')
    keys = [(cursor.take(16), cursor.take(80)) for _ in range(count)]
    parse_fields(cursor)
    if keys[0][0] != uid:
        raise cursor.bad('its first key is not its own')
    if directory_at < cursor.at or directory_at + directory_length > PACK_MAX:
        raise cursor.bad('its directory lies nowhere')
    return PackHeader(kind, domain, uid, directory_at, directory_length, keys, cursor.at)


def open_directory(data, header, pack_key, name):
    """The frames of a pack, and the plaintext they stand in."""
    sealed = data[header.directory_at : header.directory_at + header.directory_length]
    nonce = struct.pack('<IQ', 1, 0)
    plain = gcm_open(pack_key, nonce, data[: header.length], sealed, f'{name}: directory')
    cursor = Cursor(plain, f'{name}: directory')
    frame_count, chunk_count = cursor.u32(), cursor.u32()
    if chunk_count > PACK_MAX_CHUNKS:
        raise cursor.bad(f'{chunk_count} chunks')
    frames = [parse_directory_frame(cursor) for _ in range(frame_count)]
    parse_fields(cursor)
    cursor.end()
    check_frames(frames, header, chunk_count, cursor)
    return frames, plain


def parse_directory_frame(cursor):
    offset, stored, raw, compression, flags = cursor.u32(), cursor.u32(), cursor.u32(), cursor.u8(), cursor.u8()
    key, counter, count = cursor.u16(), cursor.u64(), cursor.u32()
    if flags > 1:
        raise cursor.bad('unknown flags')
    base = cursor.take(32) if flags & 1 else None
    chunks = [(cursor.take(32), cursor.u32()) for _ in range(count)]
    return Frame(offset, stored, raw, compression, key, counter, base, chunks)


def check_frames(frames, header, chunk_count, cursor):
    end = header.length
    for frame in frames:
        lengths = [length for _, length in frame.chunks]
        if frame.offset < end or not lengths or 0 in lengths or sum(lengths) != frame.raw or frame.key >= len(header.keys):
            raise cursor.bad(f'the frame at {frame.offset} is impossible')
        end = frame.offset + frame.stored
    if end > header.directory_at:
        raise cursor.bad('frames lie beyond the directory')
    if sum(len(frame.chunks) for frame in frames) != chunk_count:
        raise cursor.bad('it miscounts its chunks')
    if len({(frame.key, frame.counter) for frame in frames}) != len(frames):
        raise cursor.bad('a counter is used twice')


def open_frame(stored, pack, row, base, what):
    """The raw bytes of a frame. `row` has compression, counter, raw, base; `pack` the rest of the associated data."""
    if row.compression > 1:
        raise NewerFormat(f'{what}: compression {row.compression}')
    if row.raw > CHUNK_MAX or (row.base and row.compression == 0):
        raise Damaged(f'{what}: too long, or a base without compression')
    if len(stored) != row.stored or len(stored) < 32:
        raise Damaged(f'{what}: it is cut short')
    origin, key = pack.key(row.key)
    ids_tag = stored[:16]
    aad = struct.pack('<H', 1) + pack.store_id + struct.pack('<I', pack.domain.id) + origin
    aad += struct.pack('<QBBI', row.counter, pack.kind, row.compression, row.raw) + ids_tag + (row.base or ZERO_ID)
    nonce = bytes(4) + struct.pack('>Q', row.counter)
    payload = gcm_open(key, nonce, aad, stored[16:], what)
    return payload_raw(payload, row, base, what), ids_tag


def payload_raw(payload, row, base, what):
    raw = decompress(payload, row.raw, base, what) if row.compression else payload
    if len(raw) != row.raw:
        raise Damaged(f'{what}: {len(raw)} bytes where {row.raw} were promised')
    return raw


def decompress(payload, raw_length, base, what):
    """One zstd frame and nothing behind it, never more than raw_length + 1 bytes of it at first."""
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=2 * CHUNK_MAX)
    try:
        if len(decompressor.stream_reader(payload).read(raw_length + 1)) != raw_length:
            raise Damaged(f'{what}: it does not decompress to {raw_length} bytes')
        whole = decompressor.decompressobj()
        raw = whole.decompress(payload)
        if not whole.eof or whole.unused_data:
            raise Damaged(f'{what}: not exactly one zstd frame')
        return raw
    except zstandard.ZstdError as error:
        raise Damaged(f'{what}: {error}') from None


# ---- 9. Segments ----------------------------------------------------------------------------------------------------------

CHUNK_PAGE, PACK_PAGE, FILTER = 1, 2, 3
Block = collections.namedtuple('Block', 'kind offset length rows first')
Row = collections.namedtuple('Row', 'id pack offset stored raw place length counter compression key base')
KeyRecord = collections.namedtuple('KeyRecord', 'origin epoch sealed')


class Pack:
    """Where frames lie and what opens them: a pack row of a segment, or a pack's own header."""

    def __init__(self, store_id, domain, kind, name, size, uid, keys):
        self.store_id, self.domain, self.kind, self.name, self.size = store_id, domain, kind, name, size
        self.uid, self.keys, self.directory_hash = uid, keys, None
        self.opened = {}

    def key(self, number):
        """(origin uid, pack key) of a key record."""
        if number >= len(self.keys):
            raise Damaged(f'{self.name}: there is no key record {number}')
        if number not in self.opened:
            self.opened[number] = self.open_key(self.keys[number], f'{self.name}: key record {number}')
        return self.keys[number].origin, self.opened[number]

    def open_key(self, record, what):
        place = self.store_id + struct.pack('<I', self.domain.id)
        if record.epoch is None:
            secret, info = self.domain.recovery_secret, b'yore/1/seal/pack/recovery' + place + record.origin
        else:
            secret = self.domain.epoch_secret(record.epoch, self.kind)
            info = b'yore/1/seal/pack/epoch' + place + struct.pack('<IB', record.epoch, self.kind) + record.origin
        if secret is None:
            raise WrongKey(f'{what}: the key that opens it is not here')
        key = seal_open(secret, info, b'', record.sealed, what)
        if len(key) != 32:
            raise Damaged(f'{what}: a pack key of {len(key)} bytes')
        return key


def open_segment(data, name, store, report):
    """
    All rows and packs of a segment: ([Row], [Pack]). A damaged block is reported and left out: other segments, or other
    rows, may have what it held.
    """
    _, (domain_hex, letter, session, _) = parse_name(name)
    cursor = open_head(data, b'YORESEGM', name)
    kind, suite, domain_id, store_id = cursor.u8(), cursor.u8(), cursor.u32(), cursor.take(16)
    uid, header_session = cursor.take(16), cursor.take(16)
    check_must_know(cursor.u64(), name)
    footer_at, footer_length = cursor.u64(), cursor.u32()
    cursor.reserved(4)
    parse_fields(cursor)
    header = data[: cursor.at]
    check_suite(suite, name)
    if KIND_LETTER.get(kind) != letter or domain_id != int(domain_hex, 16):
        raise cursor.bad('its kind or domain is not what its name says')
    if store_id != store.head.id or header_session.hex() != session:
        raise cursor.bad('it is of another store or session')
    domain = store.domain(domain_id)
    key = hkdf(domain.segments, uid, b'yore/1/segment')

    def block_open(number, block):
        nonce = bytes(4) + struct.pack('>Q', number)
        aad = header + struct.pack('<BQ', block.kind, number)
        sealed = data[block.offset : block.offset + block.length]
        return Cursor(gcm_open(key, nonce, aad, sealed, f'{name}: block {number}'), f'{name}: block {number}')

    sealed = data[footer_at : footer_at + footer_length]
    plain = gcm_open(key, struct.pack('<IQ', 1, 0), header + struct.pack('<BQ', 0, 0), sealed, f'{name}: footer')
    blocks = parse_footer(Cursor(plain, f'{name}: footer'), len(header), footer_at)
    check_padding(data, footer_at + footer_length, name)

    rows, packs, filters = [], {}, []
    for number, block in enumerate(blocks):
        with report.catching(name):
            block_cursor = block_open(number, block)
            if block.kind == CHUNK_PAGE:
                rows += parse_chunk_page(block_cursor, block)
            elif block.kind == PACK_PAGE:
                packs.update(parse_pack_page(block_cursor, block, kind, domain, store))
            else:
                filters.append(parse_filter(block_cursor))
    with report.catching(name):
        check_segment(rows, packs, filters, blocks, name)
    return [row._replace(pack=packs[row.pack]) for row in rows if row.pack in packs], list(packs.values())


def parse_footer(cursor, header_length, footer_at):
    chunk_rows, pack_rows, count = cursor.u32(), cursor.u32(), cursor.u32()
    blocks = [Block(cursor.u8(), cursor.u64(), cursor.u32(), cursor.u32(), cursor.take(32)) for _ in range(count)]
    parse_fields(cursor)
    cursor.end()
    end, order = header_length, {CHUNK_PAGE: 0, FILTER: 1, PACK_PAGE: 2}
    for block in blocks:
        if block.kind not in order or block.offset < end:
            raise cursor.bad(f'the block at {block.offset} is of no kind, or overlaps')
        if block.kind != CHUNK_PAGE and (any(block.first) or (block.kind == FILTER and block.rows)):
            raise cursor.bad(f'the block at {block.offset} has ids or rows where there are none')
        end = block.offset + block.length
    kinds = [order[block.kind] for block in blocks]
    if end > footer_at or kinds != sorted(kinds) or kinds.count(1) > 1:
        raise cursor.bad('its blocks are out of order')
    firsts = [block.first for block in blocks if block.kind == CHUNK_PAGE]
    counted = [sum(block.rows for block in blocks if block.kind == kind) for kind in (CHUNK_PAGE, PACK_PAGE)]
    if firsts != sorted(firsts) or counted != [chunk_rows, pack_rows]:
        raise cursor.bad('its pages are out of order or miscounted')
    return blocks


def parse_chunk_page(cursor, block):
    if len(cursor.data) > CHUNK_PAGE_MAX:
        raise cursor.bad('a page larger than 64 KiB')
    plain_rows, flags, count = [], [], cursor.u32()
    for _ in range(count):
        chunk, (pack, offset, stored, raw, place, length, counter) = cursor.take(32), struct.unpack('<7I', cursor.take(28))
        compression, flag, key = cursor.u8(), cursor.u8(), cursor.u16()
        plain_rows.append(Row(chunk, pack, offset, stored, raw, place, length, counter, compression, key, None))
        flags.append(flag)
    bases = [(cursor.u32(), cursor.take(32)) for _ in range(cursor.u32())]
    parse_fields(cursor)
    cursor.end()

    if [number for number, _ in bases] != [number for number, flag in enumerate(flags) if flag & 1] or max(flags, default=0) > 1:
        raise cursor.bad('its bases are not those of its rows')
    for number, base in bases:
        plain_rows[number] = plain_rows[number]._replace(base=base)
    if count != block.rows or not plain_rows or plain_rows[0].id != block.first:
        raise cursor.bad('it is not the page that the footer says')
    for row in plain_rows:
        if row.length == 0 or row.place + row.length > row.raw or row.raw > CHUNK_MAX:
            raise cursor.bad(f'chunk {row.id.hex()} lies outside its frame')
    return plain_rows


def parse_pack_page(cursor, block, kind, domain, store):
    """Pack rows, each signed by the pack's first writer."""
    packs, count = {}, cursor.u32()
    for _ in range(count):
        number, session, name_hash, size, uid = cursor.u32(), cursor.take(16), cursor.take(32), cursor.u64(), cursor.take(16)
        keys = [KeyRecord(cursor.take(16), cursor.u32(), cursor.take(80)) for _ in range(cursor.u16())]
        writer, directory_hash, signature = cursor.take(16), cursor.take(32), cursor.take(64)
        name = f'packs/{domain.id:08x}/{name_hash.hex()[:2]}/{session.hex()}-{name_hash.hex()}'
        what = f'{cursor.what}: {name}'
        if not keys or keys[0].origin != uid or size > PACK_MAX or number in packs:
            raise Damaged(f'{what}: an impossible row')
        message = b'yore/1/pack\0' + store.head.id + struct.pack('<I', domain.id) + session + name_hash + directory_hash
        check_signature(store.signers.writer(writer, what, domain.id), signature, message, what)
        packs[number] = Pack(store.head.id, domain, kind, name, size, uid, keys)
        packs[number].directory_hash = directory_hash
        parse_fields(cursor)
    cursor.end()
    if count != block.rows:
        raise cursor.bad('it is not the page that the footer says')
    return packs


def parse_filter(cursor):
    k, words = cursor.u32(), cursor.u32()
    bits = cursor.take(8 * words)
    cursor.end()
    if k > 0 and words == 0:
        raise cursor.bad('a filter without bits')
    return k, bits


def filter_has(k, bits, chunk):
    h1, h2 = int.from_bytes(chunk[:8], 'little'), int.from_bytes(chunk[8:16], 'little') | 1
    places = (((h1 + i * h2) % 2**64) % (len(bits) * 8) for i in range(k))
    return all(bits[place // 8] >> place % 8 & 1 for place in places)


def check_segment(rows, packs, filters, blocks, name):
    if sorted(packs) != list(range(sum(block.rows for block in blocks if block.kind == PACK_PAGE))):
        raise Damaged(f'{name}: its packs are not numbered 0, 1, 2 ...')
    order = [(row.id, row.pack, row.offset) for row in rows]
    if order != sorted(order) or any(row.pack not in packs for row in rows):
        raise Damaged(f'{name}: rows out of order, or of no pack')
    for k, bits in filters:
        if not all(filter_has(k, bits, row.id) for row in rows):
            raise Damaged(f'{name}: its filter denies a chunk that it has')


# ---- 10. Trees --------------------------------------------------------------------------------------------------------------

DIRECTORY, REGULAR, SYMLINK, BLOCK_DEVICE, CHAR_DEVICE, FIFO, SOCKET = range(1, 8)
KIND_WORD = {1: 'dir', 2: 'file', 3: 'symlink', 4: 'block', 5: 'char', 6: 'fifo', 7: 'socket'}
Entry = collections.namedtuple('Entry', 'name kind mode uid gid mtime ctime group body sha256 xattrs birth refused')
Content = collections.namedtuple('Content', 'how length data_bytes id')
Xattr = collections.namedtuple('Xattr', 'name value length id')
Item = collections.namedtuple('Item', 'what length data_bytes id')
Root = collections.namedtuple('Root', 'entry links manifest log')


class Summary:
    """What lies below a directory, or below one child of its index."""

    NUMBERS = ('entries', 'nodes', 'files', 'path_bytes', 'marks', 'size_bytes')

    def __init__(self, chunk=ZERO_ID, numbers=(0,) * 6):
        self.id = chunk
        self.entries, self.nodes, self.files, self.path_bytes, self.marks, self.size_bytes = numbers

    def numbers(self):
        return tuple(getattr(self, number) for number in self.NUMBERS)

    def add(self, other):
        for number in self.NUMBERS:
            setattr(self, number, getattr(self, number) + getattr(other, number))

    def add_entry(self, entry):
        """10.1: what one entry adds to its directory."""
        escaped = escape(entry.name)
        marked = escaped != entry.name
        self.entries += 1
        self.nodes += 1
        if entry.kind == REGULAR:
            self.files += 1
            self.path_bytes += len(escaped)
            self.marks += marked
            self.size_bytes += entry.body.length
        elif entry.kind == DIRECTORY:
            below = entry.body
            self.nodes += below.nodes
            self.files += below.files
            self.path_bytes += below.path_bytes + below.files * (len(escaped) + 1)
            self.marks += below.files if marked else below.marks
            self.size_bytes += below.size_bytes


def escape(name):
    return name.replace(b'\\', b'\\\\').replace(b'\n', b'\\n').replace(b'\r', b'\\r')


def parse_summary(cursor):
    summary = Summary(cursor.take(32), [cursor.varint() for _ in range(6)])
    if (summary.id == ZERO_ID) != (summary.entries == 0) or (summary.id == ZERO_ID and any(summary.numbers())):
        raise cursor.bad('an empty directory with something in it, or the other way round')
    return summary


def parse_time(cursor):
    seconds, nanoseconds = cursor.zigzag(), cursor.varint()
    return seconds, nanoseconds


def parse_page(data, what):
    """A directory leaf gives its entries, an index its (first name, Summary) pairs: ('leaf' or 'index', list)."""
    cursor = Cursor(data, what)
    first, version = cursor.u8(), cursor.u8()
    if first not in (1, 2):
        raise cursor.bad('it is no page of a directory')
    check_tree_version(version, what)
    count = cursor.varint()
    if not 1 <= count <= PAGE_MAX_ENTRIES:
        raise cursor.bad(f'{count} entries in a page')
    if first == 1:
        page = [parse_entry(cursor) for _ in range(count)]
        names = [entry.name for entry in page]
    else:
        page = [(cursor.bytes(NAME_MAX), parse_summary(cursor)) for _ in range(count)]
        names = [name for name, _ in page]
    parse_fields(cursor)
    cursor.end()
    if any(a >= b for a, b in zip(names, names[1:])):
        raise cursor.bad('names out of order')
    return ('leaf' if first == 1 else 'index'), page


def check_tree_version(version, what):
    if version > 1:
        raise NewerFormat(f'{what}: version {version} of a tree chunk')
    if version == 0:
        raise Damaged(f'{what}: version 0')


def parse_entry(cursor, is_root=False):
    """One entry. What is wrong with it alone goes to `refused`; only what hides the next entry is raised."""
    name, kind, flags = cursor.bytes(CHUNK_MAX), cursor.u8(), cursor.u8()
    what = f'{cursor.what}: entry {printable(name)}'
    if flags & ~7:
        raise NewerFormat(f'{what}: unknown flags {flags:#x}')
    if kind not in KIND_WORD:
        raise NewerFormat(f'{what}: unknown kind {kind}')
    mode, uid, gid = cursor.varint(), cursor.varint(), cursor.varint()
    mtime, ctime = parse_time(cursor), parse_time(cursor)
    group = cursor.take(16) if flags & 1 else None
    digest = None
    if kind == DIRECTORY:
        body = parse_summary(cursor)
    elif kind == REGULAR:
        body = parse_content(cursor)
    elif kind == SYMLINK:
        body = cursor.bytes(CHUNK_MAX)
    elif kind in (BLOCK_DEVICE, CHAR_DEVICE):
        body = (cursor.varint(), cursor.varint())
    else:
        body = None
    if flags & 2:
        if kind != REGULAR:
            raise Damaged(f'{what}: a SHA-256 of what is no file')
        digest = cursor.take(32)
    fields = cursor.bytes(CHUNK_MAX) if flags & 4 else b''
    entry = Entry(name, kind, mode, uid, gid, mtime, ctime, group, body, digest, [], None, None)
    try:
        check_entry(entry, what, is_root)
        xattrs, birth = parse_entry_fields(fields, what)
        return entry._replace(xattrs=xattrs, birth=birth)
    except YoreError as error:
        return entry._replace(refused=error)


def check_entry(entry, what, is_root):
    name = entry.name
    if (is_root and (name or entry.kind != DIRECTORY)) or (not is_root and not 1 <= len(name) <= NAME_MAX):
        raise Damaged(f'{what}: a name of {len(name)} bytes')
    if b'/' in name or b'\0' in name or name in (b'.', b'..'):
        raise Damaged(f'{what}: not a name')
    if entry.mode > 0o7777 or max(entry.uid, entry.gid) > 2**32 - 1:
        raise Damaged(f'{what}: an impossible mode or owner')
    if max(entry.mtime[1], entry.ctime[1]) >= 10**9:
        raise Damaged(f'{what}: more than a second of nanoseconds')
    if entry.kind == SYMLINK and (not 1 <= len(entry.body) <= TARGET_MAX or b'\0' in entry.body):
        raise Damaged(f'{what}: not a link target')
    if entry.kind == DIRECTORY and entry.group:
        raise Damaged(f'{what}: a directory in a link group')


def parse_entry_fields(data, what):
    found = parse_bare_fields(data, what, (2,), (1,))
    xattrs = [parse_xattr(Cursor(value, what)) for value in found.get(1, [])]
    birth = None
    if 2 in found:
        cursor = Cursor(found[2], what)
        birth = parse_time(cursor)
        cursor.end()
    return xattrs, birth


def parse_xattr(cursor):
    name, how = cursor.bytes(XATTR_NAME_MAX), cursor.u8()
    if how == 0:
        value = cursor.bytes(XATTR_MAX)
        xattr = Xattr(name, value, len(value), None)
    elif how == 1:
        xattr = Xattr(name, None, cursor.varint(), cursor.take(32))
    else:
        raise cursor.bad(f'an xattr kept in an unknown way ({how})')
    cursor.end()
    if not name or b'\0' in name or xattr.length > XATTR_MAX:
        raise cursor.bad('an xattr without a name, or too long')
    return xattr


def parse_content(cursor):
    """10.3"""
    how = cursor.u8()
    if how == 0:
        return Content(0, 0, 0, None)
    length = cursor.varint()
    if how == 1:
        content = Content(1, length, length, cursor.take(32))
    elif how == 2:
        content = Content(2, length, cursor.varint(), cursor.take(32))
    else:
        raise cursor.bad(f'content kept in an unknown way ({how})')
    if not 1 <= length <= (CHUNK_MAX if how == 1 else FILE_MAX):
        raise cursor.bad(f'content of {length} bytes')
    return content


def parse_list(data, what):
    cursor = Cursor(data, what)
    if cursor.u8() != 3:
        raise cursor.bad('it is no content list')
    check_tree_version(cursor.u8(), what)
    level, _cut_class, count = cursor.u8(), cursor.u8(), cursor.varint()
    if not 1 <= count <= PAGE_MAX_ENTRIES:
        raise cursor.bad(f'{count} items in a list')
    items = [parse_item(cursor, level) for _ in range(count)]
    parse_fields(cursor)
    cursor.end()
    return level, items


DATA_ITEM, HOLE, ZEROS = 0, 1, 2


def parse_item(cursor, level):
    if level > 0:
        return Item('list', cursor.varint(), cursor.varint(), cursor.take(32))
    what, length = cursor.u8(), cursor.varint()
    if what > ZEROS or length == 0 or (what == DATA_ITEM and length > CHUNK_MAX):
        raise cursor.bad('an impossible item')
    return Item(what, length, 0 if what == HOLE else length, cursor.take(32) if what == DATA_ITEM else None)


# ---- 11. Snapshots ----------------------------------------------------------------------------------------------------------

Totals = collections.namedtuple('Totals', 'nodes files directories size_bytes new_bytes stored_bytes left_out')


class Snapshot:
    """An envelope that was opened and whose signature is right."""

    def __init__(self, data, name, store):
        _, (domain_hex, tag, stamp, _) = parse_name(name)
        cursor = open_head(data, b'YORESNAP', name)
        suite, domain_id, store_id = cursor.u16(), cursor.u32(), cursor.take(16)
        check_must_know(cursor.u64(), name)
        nonce, length = cursor.take(24), cursor.u32()
        check_suite(suite, name)
        if domain_id != int(domain_hex, 16) or store_id != store.head.id:
            raise cursor.bad('it is of another domain or store')
        self.name, self.hash, self.domain = name, sha256(data), store.domain(domain_id)
        sealed = cursor.take(length)
        cursor.end()
        plain = Cursor(xaes_open(self.domain.envelopes, nonce, data[:68], sealed, name), name)
        found = parse_fields(plain, (*range(1, 12), 13, 14, 16, 31), (12, 15))
        block = plain.data[: plain.at]
        signature = plain.take(64)
        plain.end()

        self.read_fields(found)
        if len(block) % 256 or any(found.get(31, b'')):
            raise plain.bad('it is not padded as it must be')
        if self.domain.tag(self.service).hex() != tag or time_name(self.time[0]) != stamp:
            raise plain.bad('its name is of another service or time')
        public = store.signers.writer(self.writer, name, domain_id, self.service, self.time[0])
        check_signature(public, signature, b'yore/1/envelope\0' + data[:68] + block, name)

    def read_fields(self, found):
        name = self.name
        missing = [number for number in (1, 2, 9, 13) if number not in found]
        if missing:
            raise Damaged(f'{name}: field {missing[0]} is missing')
        self.service, self.kind = found[1].decode('utf-8', 'replace'), found[2].decode('utf-8', 'replace')
        self.writer = field_fixed(found, 3, name, 16)
        self.number, self.session = field_varint(found, 6, name), field_fixed(found, 8, name, 16)
        heads = found.get(7, b'')
        if len(heads) % 32:
            raise Damaged(f'{name}: heads that are no row of hashes')
        self.heads = [heads[at : at + 32] for at in range(0, len(heads), 32)]
        self.time = parse_time(Cursor(found[9], name))
        self.flags = field_varint(found, 11, name)
        self.labels = [label.decode('utf-8', 'replace') for label in found.get(12, [])]
        cursor = Cursor(found[13], name)
        self.totals = Totals(*(cursor.varint() for _ in range(7)))
        self.root_id = field_fixed(found, 14, name, 32)
        for part in found.get(15, []):
            cursor = Cursor(part, name)
            cursor.bytes()
            cursor.bytes()
            cursor.end()

    @property
    def partial(self):
        return bool(self.flags & 1)

    def flag_words(self):
        words = [word for bit, word in ((1, 'partial'), (2, 'held')) if self.flags & bit]
        return '+'.join(words) or 'complete'


def mount_names(snapshots):
    """{name in a mount: Snapshot} for one service: 20261120T140000Z, then -2, -3 for others of that second."""
    named, in_second = {}, collections.Counter()
    for snapshot in sorted(snapshots, key=lambda snapshot: (snapshot.time, snapshot.hash)):
        stamp = time_name(snapshot.time[0])
        in_second[stamp] += 1
        named[stamp if in_second[stamp] == 1 else f'{stamp}-{in_second[stamp]}'] = snapshot
    return named


def parse_root(data, what):
    """11.2"""
    cursor = Cursor(data, what)
    if cursor.u8() != 4:
        raise cursor.bad('it is no snapshot root')
    check_tree_version(cursor.u8(), what)
    entry = parse_entry(cursor, is_root=True)
    if entry.refused:
        raise entry.refused
    root = Root(entry, parse_content(cursor), parse_content(cursor), parse_content(cursor))
    parse_fields(cursor)
    cursor.end()
    return root


def parse_links(data, what):
    cursor, links, last = Cursor(data, what), {}, b''
    while cursor.left():
        group, position, members = cursor.take(16), cursor.u64(), cursor.u32()
        cursor.reserved(4)
        if group <= last or members == 0:
            raise cursor.bad('link groups out of order, or empty')
        links[group], last = (position, members), group
    return links


# ---- The store as a whole ----------------------------------------------------------------------------------------------------


class Secrets:
    """What the person gave us to open the keystore with."""

    def __init__(self, passphrase=None, key_file=None, recovery=None, role_file=None):
        self.passphrase, self.key_file, self.recovery, self.role_file = passphrase, key_file, recovery, role_file


class Report:
    """What is wrong, one line an object; a reader goes on with the rest."""

    def __init__(self):
        self.problems = []
        self.notes = []

    def add(self, where, error):
        text = str(error)
        problem = (error.status, where, text if text.startswith(where) else f'{where}: {text}')
        if problem not in self.problems:
            self.problems.append(problem)

    def catching(self, where):
        return Catching(self, where)

    def status(self):
        """Damage outranks everything; a newer format outranks a missing key."""
        found = {status for status, _, _ in self.problems}
        return next((status for status in (7, 6, 3) if status in found), 0)


class Catching:
    def __init__(self, report, where):
        self.report, self.where = report, where

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, YoreError):
            self.report.add(self.where, error)
            return True
        return False


class Store:
    def __init__(self, objects, secrets, keystore=None):
        self.objects, self.secrets, self.report = objects, secrets, Report()
        if not objects.exists('yore'):
            raise NoStore('there is no store here: no object `yore`')
        self.head = open_yore(objects.read('yore'))
        self.keystore = keystore or objects
        self.signers = Signers(self.head.first_admin)
        self.read_records()
        self.domains = self.open_keys()
        self.rows, self.packs, self.loaded = {}, {}, set()
        self.frames = collections.OrderedDict()

    # Records: config first, because it names admins; then certificates, because they name writers.

    def read_records(self):
        self.config_domains, previous = {}, None
        for name in self.objects.list('config'):
            with self.report.catching(name):
                record = self.read_record(name)
                self.check_chain(record, previous, name)
                previous = record
                self.config_domains, admins = parse_config(record, name)
                self.signers.admins.update((key_id(public), public) for public in admins)
        for name in self.objects.list('certs'):
            with self.report.catching(name):
                cert = parse_certificate(self.read_record(name), name)
                self.signers.certificates[key_id(cert.public)] = cert

    def read_record(self, name):
        data = self.objects.read(name)
        if parse_name(name)[0] not in RECORD_TYPES:
            raise Damaged(f'{name}: not a name that an object can have')
        record = parse_record(data, name, self.head.id)
        if record.type in BY_ADMIN:
            public = self.signers.admin(record.signer, name)
        else:
            public = self.signers.writer(record.signer, name, record.domain, at=record.time)
        check_record_signature(data, public, name)
        return record

    def check_chain(self, record, previous, name):
        """A record names the one before it, where that one is still there."""
        if previous and record.number == previous.number + 1 and record.previous != previous.hash:
            raise Damaged(f'{name}: it does not follow the record before it')

    # Keys.

    def open_keys(self):
        """{domain id: Domain}, from a role file, the keystore, or recovery/<n>; and never fewer than can be had."""
        if self.secrets.role_file:
            return open_role_file(self.secrets.role_file, 'role key file', self.head.id).domains
        if self.secrets.recovery:
            domains = self.recovery_domains()
            for number, domain in self.keystore_domains(optional=True).items():
                domains.setdefault(number, domain)
                if domain.epochs:
                    # Of an erasable domain only the keyring has the recovery secret; of the others only recovery/<n>.
                    domain.recovery_secret = domain.recovery_secret or domains[number].recovery_secret
                    domains[number] = domain
            return domains
        return self.keystore_domains(optional=False)

    def recovery_domains(self):
        names = self.objects.list('recovery')
        if not names:
            raise Damaged('recovery/: there is no recovery record')
        for name in reversed(names):
            with self.report.catching(name):
                return open_recovery(self.read_record(name), name, self.secrets.recovery, self.head.id)
        raise self.first_problem('recovery/')

    def first_problem(self, prefix):
        for status, where, text in self.report.problems:
            if where.startswith(prefix):
                kinds = {3: WrongKey, 6: NewerFormat}
                return kinds.get(status, Damaged)(text)
        return Damaged(f'{prefix}: nothing there')

    def keystore_names(self, what):
        prefix = 'keys/' if self.keystore is self.objects else ''
        return [name for name in self.keystore.list(prefix) if name.startswith(prefix + what)]

    def keystore_domains(self, optional):
        for name in self.keystore_names('slot-'):
            with self.report.catching(name):
                keyring_key = open_slot(parse_slot(self.keystore.read(name), name, self.head.id), self.head.id, self.secrets)
                if keyring_key:
                    return self.read_keyring(keyring_key).domains
        if optional:
            return {}
        if any(where.startswith(tuple(self.keystore_names(''))) for _, where, _ in self.report.problems):
            raise self.first_problem('keys/' if self.keystore is self.objects else '')
        if not self.keystore_names('slot-'):
            raise WrongKey('no keystore here: give --keystore or --recovery-file')
        raise WrongKey('wrong passphrase or key')

    def read_keyring(self, keyring_key):
        """The keyring with the highest number that opens."""
        for name in reversed(self.keystore_names('keyring-')):
            with self.report.catching(name):
                keyring = open_keyring(self.keystore.read(name), name, self.head.id, keyring_key)
                if keyring.first_admin and keyring.first_admin != self.head.first_admin:
                    raise Damaged(f'{name}: the store has another admin than this keyring knows')
                return keyring
        raise Damaged('no keyring opens')

    def domain(self, number):
        if number not in self.domains:
            raise WrongKey(f'the keys of domain {number} are not here')
        return self.domains[number]

    # Index: where chunks lie.

    def chunk_rows(self, domain, kind, chunk):
        """All rows of a chunk, from the segments; or from the packs' own directories when there is no epoch secret."""
        where = (domain.id, kind)
        if where not in self.loaded:
            self.loaded.add(where)
            if not domain.epochs:
                self.load_packs(domain)
            elif domain.recovery_secret and not domain.erasable:
                # A keystore made again by the recovery key: packs of before may be in no segment.
                self.load_segments(domain, DATA)
                self.load_segments(domain, TREE)
                self.load_packs(domain)
            else:
                self.load_segments(domain, kind)
        return self.rows.get(where + (chunk,), [])

    def load_segments(self, domain, kind):
        names = self.objects.list(f'index/{domain.id:08x}/{KIND_LETTER[kind]}')
        if not names and domain.recovery_secret:
            return self.load_packs(domain)
        for name in names:
            with self.report.catching(name):
                rows, packs = open_segment(self.objects.read(name, SEGMENT_MAX), name, self, self.report)
                for pack in packs:
                    self.packs.setdefault(pack.name, pack)
                for row in rows:
                    self.rows.setdefault((domain.id, kind, row.id), []).append(row)

    def load_packs(self, domain):
        """Packs that no segment names say themselves what they hold: header, recovery secret, directory."""
        if domain.recovery_secret is None:
            self.loaded -= {(domain.id, DATA), (domain.id, TREE)}
            raise WrongKey(f'domain {domain.id}: neither its epoch keys nor its recovery secret are here')
        self.loaded |= {(domain.id, DATA), (domain.id, TREE)}
        for name in self.objects.list(f'packs/{domain.id:08x}'):
            if name in self.packs:
                continue
            with self.report.catching(name):
                data = self.objects.read(name, PACK_MAX)
                header = parse_pack_header(data, name, self.head.id)
                keys = [KeyRecord(origin, None, sealed) for origin, sealed in header.keys]
                pack = Pack(self.head.id, domain, header.kind, name, len(data), header.uid, keys)
                frames, _ = open_directory(data, header, pack.key(0)[1], name)
                self.packs[name] = pack
                for row in rows_of(pack, frames):
                    self.rows.setdefault((domain.id, header.kind, row.id), []).append(row)

    # Chunks.

    def chunk(self, domain, kind, chunk, as_base=False):
        """A chunk's verified bytes, from whichever of its places is sound."""
        rows = self.chunk_rows(domain, kind, chunk)
        if as_base:
            rows = [row for row in rows if not row.base]
        failures = []
        for row in sorted(rows, key=lambda row: row.base is not None):
            try:
                data = self.read_row(domain, kind, row)
            except YoreError as error:
                failures.append(error)
                continue
            self.report.notes += [f'{failure}; another copy served' for failure in failures]
            return data
        raise failures[0] if failures else Damaged(f'chunk {chunk.hex()} of domain {domain.id} is in no index')

    def read_row(self, domain, kind, row):
        raw = self.read_frame(domain, kind, row)
        chunk = raw[row.place : row.place + row.length]
        if len(chunk) != row.length or chunk_name(domain.chunk_keys[kind], chunk) != row.id:
            raise Damaged(f'{row.pack.name}: chunk {row.id.hex()} is not what its name says')
        return chunk

    def read_frame(self, domain, kind, row):
        place = (row.pack.name, row.offset)
        cached = self.frames.get(place)
        if cached and cached[0] == frame_facts(row):
            return cached[1]
        what = f'{row.pack.name}: frame at {row.offset}'
        if self.objects.size(row.pack.name) != row.pack.size or row.offset + row.stored > row.pack.size:
            raise Damaged(f'{what}: the pack has another size')
        stored = self.objects.read_range(row.pack.name, row.offset, row.stored)
        base = self.chunk(domain, kind, row.base, as_base=True) if row.base else None
        raw, _ = open_frame(stored, row.pack, row, base, what)
        self.frames[place] = (frame_facts(row), raw)
        if len(self.frames) > 16:
            self.frames.popitem(last=False)
        return raw

    # Snapshots.

    def snapshots(self, only=None):
        """{service: {name in a mount: Snapshot}}; envelopes that do not open are reported. `only`: one service."""
        services = {}
        tags = {f'snapshots/{domain.id:08x}/{domain.tag(only).hex()}/' for domain in self.domains.values()} if only else {''}
        for name in self.objects.list('snapshots'):
            if not name.startswith(tuple(tags)):
                continue
            with self.report.catching(name):
                if parse_name(name)[0] != 'snapshot':
                    raise Damaged(f'{name}: not a name that an object can have')
                data = self.objects.read(name)
                check_name_hash(name, data)
                snapshot = Snapshot(data, name, self)
                services.setdefault(snapshot.service, []).append(snapshot)
        return {service: mount_names(found) for service, found in sorted(services.items())}

    def find_snapshot(self, wanted):
        service, _, name = wanted.partition('/')
        named = self.snapshots(service).get(service) if service else None
        if not named:
            raise self.problem_behind(f'no service {service}')
        if name == 'latest':
            name = next((n for n in reversed(named) if not named[n].partial), list(named)[-1])
        if name not in named:
            raise self.problem_behind(f'no snapshot {wanted}')
        return named[name], f'{service}/{name}'

    def problem_behind(self, text):
        """Not found, because it is not there; or because what is there does not open."""
        kinds = {7: Damaged, 6: NewerFormat, 3: WrongKey}
        return kinds.get(self.report.status(), Usage)(text)


def frame_facts(row):
    return row.stored, row.raw, row.counter, row.compression, row.key, row.base


def rows_of(pack, frames):
    """The rows that a segment would have for a pack's frames."""
    for frame in frames:
        place = 0
        for chunk, length in frame.chunks:
            yield Row(chunk, pack, frame.offset, frame.stored, frame.raw, place, length, frame.counter, frame.compression,
                      frame.key, frame.base)  # fmt: skip
            place += length


# ---- Walking a snapshot --------------------------------------------------------------------------------------------------------


class Walk:
    """
    Visits every node of a snapshot in order of position: visit(path, entry, position), after which directories' counts are
    compared with what their summaries promised. Paths are bytes, b'' for the root.
    """

    def __init__(self, store, snapshot, visit):
        self.store, self.snapshot, self.visit = store, snapshot, visit
        self.domain, self.report = snapshot.domain, store.report
        self.directories = 0

    def tree_chunk(self, chunk):
        return self.store.chunk(self.domain, TREE, chunk)

    def run(self):
        what = f'{self.snapshot.name}: root'
        self.root = parse_root(self.tree_chunk(self.snapshot.root_id), what)
        self.visit(b'', self.root.entry, 0)
        summary = self.root.entry.body
        sound = self.directory(summary, b'', 1, 1)
        totals = self.snapshot.totals
        promised = (totals.nodes, totals.files, totals.directories, totals.size_bytes)
        if sound and promised != (summary.nodes, summary.files, self.directories, summary.size_bytes):
            self.report.add(self.snapshot.name, Damaged('its totals are not those of its tree'))

    def directory(self, summary, path, position, depth):
        """True if all below was sound, so that counts can be trusted and compared."""
        what = f'{self.snapshot.name}: directory {printable(path) or "/"}'
        with self.report.catching(self.snapshot.name):
            if depth > DEPTH_MAX:
                raise Damaged(f'{what}: deeper than {DEPTH_MAX}')
            if summary.id == ZERO_ID:
                return True
            _, sound, _ = self.page(summary, path, position, depth, what)
            return sound
        return False

    def page(self, summary, path, position, depth, what, levels=0):
        """(height of the page, was all sound, first and last name)"""
        if levels > 64:
            raise Damaged(f'{what}: an index of more than 64 levels')
        kind, page = parse_page(self.tree_chunk(summary.id), what)
        tally, sound = Summary(summary.id), True
        if kind == 'leaf':
            for entry in page:
                sound &= self.entry(entry, path, position + tally.nodes, depth)
                tally.add_entry(entry)
            height, span = 0, (page[0].name, page[-1].name)
        else:
            heights, spans = set(), []
            for first, child in page:
                child_height, child_sound, child_span = self.page(child, path, position + tally.nodes, depth, what, levels + 1)
                if child_span[0] != first or (spans and spans[-1][1] >= child_span[0]):
                    raise Damaged(f'{what}: a page is not where its index says')
                heights.add(child_height)
                spans.append(child_span)
                sound &= child_sound
                tally.add(child)
            if len(heights) != 1:
                raise Damaged(f'{what}: leaves and indexes side by side')
            height, span = heights.pop() + 1, (spans[0][0], spans[-1][1])
        if tally.numbers() != summary.numbers():
            raise Damaged(f'{what}: its counts are not what its summary says')
        return height, sound, span

    def entry(self, entry, path, position, depth):
        path = path + b'/' + entry.name if path else entry.name
        if entry.kind == DIRECTORY:
            self.directories += 1
        if entry.refused:
            self.report.add(self.snapshot.name, entry.refused)
            return False
        with self.report.catching(self.snapshot.name):
            self.visit(path, entry, position)
            return entry.kind != DIRECTORY or self.directory(entry.body, path, position + 1, depth + 1)
        return False

    def content(self, content, kind):
        """Yields bytes for data, and (HOLE or ZEROS, length) for what reads as zeros."""
        if content.how == 1:
            yield self.piece(kind, content.id, content.length)
        elif content.how == 2:
            item = Item('list', content.length, content.data_bytes, content.id)
            yield from self.list(item, kind, None)

    def piece(self, kind, chunk, length):
        data = self.store.chunk(self.domain, kind, chunk)
        if len(data) != length:
            raise Damaged(f'chunk {chunk.hex()} is {len(data)} bytes long, not {length}')
        return data

    def list(self, item, kind, expected_level):
        level, items = parse_list(self.tree_chunk(item.id), f'content list {item.id.hex()}')
        if expected_level not in (None, level):
            raise Damaged(f'content list {item.id.hex()}: of level {level}, not {expected_level}')
        if (sum(i.length for i in items), sum(i.data_bytes for i in items)) != (item.length, item.data_bytes):
            raise Damaged(f'content list {item.id.hex()}: its lengths do not add up')
        for inner in items:
            if inner.what == 'list':
                yield from self.list(inner, kind, level - 1)
            elif inner.what == DATA_ITEM:
                yield self.piece(kind, inner.id, inner.length)
            else:
                yield inner.what, inner.length

    def whole(self, content, kind, limit=256 << 20):
        """Content that fits in memory: link table, manifest, log."""
        if content.length > limit:
            raise Damaged(f'{content.length} bytes are too many')
        return b''.join(piece if isinstance(piece, bytes) else bytes(piece[1]) for piece in self.content(content, kind))

    def xattr(self, xattr):
        return xattr.value if xattr.id is None else self.piece(TREE, xattr.id, xattr.length)

    def hash(self, entry, write=lambda piece: None):
        """SHA-256 of a file's content, each piece handed on as it is verified; compared with the one recorded."""
        digest = hashlib.sha256()
        for piece in self.content(entry.body, DATA):
            write(piece)
            if isinstance(piece, bytes):
                digest.update(piece)
                continue
            for at in range(0, piece[1], len(ZERO_MIB)):
                digest.update(ZERO_MIB[: piece[1] - at])
        if entry.sha256 and digest.digest() != entry.sha256:
            raise Damaged('the content of a file is not what its SHA-256 says')
        return digest.hexdigest()


def printable(name):
    """Bytes as one word of ASCII: all but graphic characters, and the backslash, as \\xHH."""
    return ''.join(chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x5C else f'\\x{byte:02x}' for byte in name)


# ---- Commands --------------------------------------------------------------------------------------------------------------------


def command_list(store, out):
    for service, named in store.snapshots().items():
        for name, snapshot in named.items():
            totals = ' '.join(f'{key}={value}' for key, value in snapshot.totals._asdict().items())
            labels = ''.join(f' label={printable(label.encode())}' for label in snapshot.labels)
            print(f'{service}/{name} {snapshot.kind} {snapshot.flag_words()} {totals}{labels}', file=out)


def command_show(store, wanted, out):
    for service, named in store.snapshots().items():
        for name, snapshot in named.items():
            if wanted in (None, f'{service}/{name}'):
                show_snapshot(store, snapshot, f'{service}/{name}', out)


def show_snapshot(store, snapshot, name, out):
    """The lines of tests/golden/expected.txt (its README says what they mean)."""
    lines, groups = [], {}

    def visit(path, entry, position):
        size, data, digest, extra = '-', '-', '-', '-'
        if entry.kind == REGULAR:
            size, data, digest = entry.body.length, entry.body.data_bytes, walk.hash(entry)
        elif entry.kind == SYMLINK:
            extra = printable(entry.body)
        elif entry.kind in (BLOCK_DEVICE, CHAR_DEVICE):
            extra = f'{entry.body[0]}:{entry.body[1]}'
        first = groups.setdefault(entry.group, path) if entry.group else path
        link = '=' + printable(first) if first != path else '-'
        xattrs = ','.join(f'{printable(x.name)}={walk.xattr(x).hex()}' for x in entry.xattrs) or '-'
        lines.append(
            f'{printable(path) or "."} {KIND_WORD[entry.kind]} {entry.mode:o} {entry.uid} {entry.gid} '
            f'{entry.mtime[0]}.{entry.mtime[1]:09} {size} {data} {digest} {extra} {link} {xattrs}'
        )

    walk = Walk(store, snapshot, visit)
    with store.report.catching(snapshot.name):
        walk.run()
        below = walk.root.entry.body
        print(f'snapshot {name} {snapshot.kind} {snapshot.flag_words()} nodes={below.nodes} files={below.files} '
              f'directories={snapshot.totals.directories} bytes={below.size_bytes} path_bytes={below.path_bytes} marks={below.marks}',
              file=out)  # fmt: skip
        print('\n'.join(lines), file=out)


class Extract:
    """Puts a snapshot's nodes into an empty folder. Nothing that was not verified is left there."""

    def __init__(self, store, snapshot, target):
        self.store, self.target = store, os.fsencode(target)
        self.groups, self.directories, self.skipped = {}, [], collections.Counter()
        self.walk = Walk(store, snapshot, self.visit)

    def run(self):
        os.makedirs(self.target, exist_ok=True)
        if os.listdir(self.target):
            raise Usage(f'{os.fsdecode(self.target)} is not empty')
        with self.store.report.catching(self.walk.snapshot.name):
            self.walk.run()
        for path, entry in reversed(self.directories):
            self.attributes(path, entry)
        for what, count in self.skipped.items():
            print(f'warning: {what} of {count} nodes could not be set', file=sys.stderr)

    def visit(self, path, entry, position):
        place = os.path.join(self.target, path) if path else self.target
        if entry.group and entry.group in self.groups:
            if self.attempt('link', lambda: os.link(self.groups[entry.group], place, follow_symlinks=False)):
                return
        if entry.kind == DIRECTORY:
            if path:
                os.mkdir(place, 0o700)
            self.directories.append((place, entry))
            return
        if not self.make(place, entry):
            return
        self.attributes(place, entry)
        if entry.group:
            self.groups[entry.group] = place

    def make(self, place, entry):
        if entry.kind == REGULAR:
            self.make_file(place, entry)
        elif entry.kind == SYMLINK:
            os.symlink(entry.body, place)
        else:
            formats = {BLOCK_DEVICE: stat.S_IFBLK, CHAR_DEVICE: stat.S_IFCHR, FIFO: stat.S_IFIFO, SOCKET: stat.S_IFSOCK}
            device = os.makedev(*entry.body) if entry.body else 0
            return self.attempt('device', os.mknod, place, formats[entry.kind] | 0o600, device)
        return True

    def make_file(self, place, entry):
        try:
            with open(place, 'xb') as file:
                self.walk.hash(entry, lambda piece: write_piece(file, piece))
                file.truncate(entry.body.length)
        except YoreError:
            os.unlink(place)
            raise

    def attributes(self, place, entry):
        for xattr in entry.xattrs:
            value = self.walk.xattr(xattr)
            self.attempt('xattrs', lambda: os.setxattr(place, xattr.name, value, follow_symlinks=False))
        if os.geteuid() == 0:
            self.attempt('owner', lambda: os.chown(place, entry.uid, entry.gid, follow_symlinks=False))
        if entry.kind != SYMLINK:
            self.attempt('mode', os.chmod, place, entry.mode)
        when = entry.mtime[0] * 10**9 + entry.mtime[1]
        self.attempt('time', lambda: os.utime(place, ns=(when, when), follow_symlinks=False))

    def attempt(self, what, call, *arguments):
        try:
            call(*arguments)
            return True
        except (OSError, OverflowError):
            self.skipped[what] += 1
            return False


def write_piece(file, piece):
    if isinstance(piece, bytes):
        file.write(piece)
    elif piece[0] == HOLE:
        file.seek(piece[1], os.SEEK_CUR)
    else:
        for at in range(0, piece[1], 1 << 20):
            file.write(ZERO_MIB[: piece[1] - at])


class Check:
    """Opens everything that a store holds. `name_hashes` off leaves damage to the inner tags to find (for tests)."""

    def __init__(self, store, name_hashes=True):
        self.store, self.report, self.name_hashes = store, store.report, name_hashes

    def run(self):
        store = self.store
        for domain in store.domains.values():
            with self.report.catching(f'domain {domain.id}'):
                for kind in (DATA, TREE):
                    store.chunk_rows(domain, kind, ZERO_ID)
        previous = None
        for name in store.objects.list():
            with self.report.catching(name):
                previous = self.object(name, previous)
        hashes = set()
        for named in store.snapshots().values():
            for snapshot in named.values():
                hashes.add(snapshot.hash)
                with self.report.catching(snapshot.name):
                    self.snapshot(snapshot)
        for named in store.snapshots().values():
            for snapshot in named.values():
                for head in snapshot.heads:
                    if head not in hashes:
                        self.report.notes.append(f'{snapshot.name}: its lane names {head.hex()}, which is not here')

    def object(self, name, previous):
        kind, parts = parse_name(name)
        if kind is None:
            raise Damaged(f'{name}: not a name that an object can have')
        if kind in ('pack', 'segment', 'snapshot', 'attest') and self.name_hashes:
            check_name_hash(name, self.store.objects.read(name, SEGMENT_MAX))
        if kind == 'pack':
            self.pack(name, int(parts[0], 16))
        elif kind == 'slot':
            parse_slot(self.store.objects.read(name), name, self.store.head.id)
        elif kind == 'keyring':
            self.keyring(name)
        elif kind in RECORD_TYPES:
            return self.record(name, kind, parts, previous)
        elif kind == 'segment':
            self.segment_read(name, int(parts[0], 16))
        return None

    def record(self, name, kind, parts, previous):
        """Names sort so that the records of a chain follow each other."""
        record = self.store.read_record(name)
        if kind in CHAINED and previous and (previous.type, previous.domain) == (kind, record.domain):
            self.store.check_chain(record, previous, name)
        if kind == 'config':
            for domain in self.store.domains.values():
                public, erasable = parse_config(record, name)[0].get(domain.id, (domain.recovery_public, domain.erasable))
                if (public, erasable) != (domain.recovery_public, domain.erasable):
                    raise Damaged(f'{name}: domain {domain.id} is another than in the keyring')
        elif kind == 'epochs':
            self.epoch(record, name)
        elif kind == 'certs':
            parse_certificate(record, name)
        elif kind == 'recovery':
            if self.store.secrets.recovery:
                open_recovery(record, name, self.store.secrets.recovery, self.store.head.id)
            else:
                parse_bare_fields(record.fields, name, (1, 3), (2,))
        elif kind in SESSION_FIELDS:
            check_session_record(record, name)
        return record

    def epoch(self, record, name):
        found = parse_bare_fields(record.fields, name, (1, 2))
        publics = field_fixed(found, 1, name, 32), field_fixed(found, 2, name, 32)
        domain = self.store.domains.get(record.domain)
        held = domain and domain.epochs.get(record.number)
        if held and publics != (held.data_public, held.tree_public):
            raise Damaged(f'{name}: its keys are not those of the keyring')

    def keyring(self, name):
        """Any slot that opens gives the key; a keyring that it does not open is a damaged one, or a replaced one."""
        if self.store.secrets.role_file:
            return
        for slot_name in self.store.keystore_names('slot-'):
            try:
                slot = parse_slot(self.store.keystore.read(slot_name), slot_name, self.store.head.id)
                keyring_key = open_slot(slot, self.store.head.id, self.store.secrets)
            except YoreError:
                continue
            if keyring_key:
                open_keyring(self.store.keystore.read(name), name, self.store.head.id, keyring_key)
                return

    def segment_read(self, name, domain_id):
        """Segments were read for the index, unless the index came from packs."""
        domain = self.store.domain(domain_id)
        if not domain.epochs:
            open_segment(self.store.objects.read(name, SEGMENT_MAX), name, self.store, self.report)

    def pack(self, name, domain_id):
        store, domain = self.store, self.store.domain(domain_id)
        data = store.objects.read(name, PACK_MAX)
        header = parse_pack_header(data, name, store.head.id)
        check_padding(data, header.directory_at + header.directory_length, name)
        recovery = [KeyRecord(origin, None, sealed) for origin, sealed in header.keys]
        own = Pack(store.head.id, domain, header.kind, name, len(data), header.uid, recovery)
        pack = store.packs.get(name) or (own if domain.recovery_secret else None)
        if pack is None:
            self.report.notes.append(f'{name}: in no segment, or its key is not here')
            return
        if (pack.kind, pack.uid, pack.size) != (header.kind, header.uid, len(data)):
            raise Damaged(f'{name}: its index row is of another pack')
        if [record.origin for record in pack.keys] != [origin for origin, _ in header.keys]:
            raise Damaged(f'{name}: its key records are not those of its index row')
        if domain.recovery_secret and any(own.key(i) != pack.key(i) for i in range(len(recovery))):
            raise Damaged(f'{name}: the recovery key opens other keys than the epoch does')
        frames, plain = open_directory(data, header, pack.key(0)[1], name)
        if pack.directory_hash and pack.directory_hash != sha256(plain):
            raise Damaged(f'{name}: its directory is not the one that its writer signed')
        self.frames(name, domain, header.kind, pack, frames)

    def frames(self, name, domain, kind, pack, frames):
        store = self.store
        for frame in frames:
            with self.report.catching(name):
                what = f'{name}: frame at {frame.offset}'
                base = store.chunk(domain, kind, frame.base, as_base=True) if frame.base else None
                stored = store.objects.read_range(name, frame.offset, frame.stored)
                raw, ids_tag = open_frame(stored, pack, frame, base, what)
                if ids_tag != sha256(b''.join(chunk for chunk, _ in frame.chunks))[:16]:
                    raise Damaged(f'{what}: its ids tag is wrong')
                for row in rows_of(pack, [frame]):
                    if chunk_name(domain.chunk_keys[kind], raw[row.place : row.place + row.length]) != row.id:
                        raise Damaged(f'{what}: chunk {row.id.hex()} is not what its name says')
        described = {row[0:1] + row[2:] for row in rows_of(pack, frames)}
        for rows in list(store.rows.values()):
            for row in rows:
                if row.pack.name == name and row[0:1] + row[2:] not in described:
                    raise Damaged(f'{name}: an index row of chunk {row.id.hex()} is not what its directory says')

    def snapshot(self, snapshot):
        """Every node, every content, every xattr, and the link table."""
        groups = {}

        def visit(path, entry, position):
            if entry.kind == REGULAR:
                walk.hash(entry)
            for xattr in entry.xattrs:
                walk.xattr(xattr)
            if entry.group:
                groups.setdefault(entry.group, []).append(position)

        walk = Walk(self.store, snapshot, visit)
        walk.run()
        links = parse_links(walk.whole(walk.root.links, TREE), f'{snapshot.name}: link table')
        walk.whole(walk.root.manifest, TREE)
        walk.whole(walk.root.log, TREE)
        if not self.report.problems:
            found = {group: (positions[0], len(positions)) for group, positions in groups.items()}
            needed = {group: value for group, value in found.items() if value[1] > 1}
            if any(found.get(group) != value for group, value in links.items()) or not needed.items() <= links.items():
                raise Damaged(f'{snapshot.name}: its link table is not that of its tree')


def print_problems(report, out):
    for note in sorted(set(report.notes)):
        print(f'note: {note}', file=out)
    words = {3: 'no key', 6: 'newer format', 7: 'damaged'}
    for status, _, text in report.problems:
        print(f'{words[status]}: {text}', file=out)


def read_secrets(options):
    secrets = Secrets()
    if '--recovery-file' in options:
        with open(options['--recovery-file'], encoding='utf-8') as file:
            secrets.recovery = parse_recovery_file(file.read())
    if '--key-file' in options:
        with open(options['--key-file'], 'rb') as file:
            secrets.key_file = file.read(33)
    if '--role-file' in options:
        with open(options['--role-file'], 'rb') as file:
            secrets.role_file = file.read(OBJECT_MAX)
    if 'YORE_PASSWORD' in os.environ:
        secrets.passphrase = os.environb[b'YORE_PASSWORD']
    return secrets


def parse_arguments(arguments):
    options = {}
    while arguments and arguments[0].startswith('--'):
        option = arguments.pop(0)
        if option not in ('--recovery-file', '--key-file', '--role-file', '--keystore') or not arguments:
            raise Usage(__doc__.strip())
        options[option] = arguments.pop(0)
    counts = {'list': (2,), 'extract': (4,), 'show': (2, 3), 'check': (2,)}
    if not arguments or len(arguments) not in counts.get(arguments[0], ()):
        raise Usage(__doc__.strip())
    return options, arguments


def run(arguments, out):
    options, arguments = parse_arguments(arguments)
    command, place = arguments[0], arguments[1]
    keystore = Folder(options['--keystore']) if '--keystore' in options else None
    store = Store(Folder(place), read_secrets(options), keystore)
    if command == 'list':
        command_list(store, out)
    elif command == 'show':
        command_show(store, arguments[2] if len(arguments) == 3 else None, out)
    elif command == 'extract':
        snapshot, _ = store.find_snapshot(arguments[2])
        Extract(store, snapshot, arguments[3]).run()
    else:
        Check(store).run()
    print_problems(store.report, out if command == 'check' else sys.stderr)
    return store.report.status()


def main():
    try:
        return run(sys.argv[1:], sys.stdout)
    except YoreError as error:
        print(f'yore_reader: {error}', file=sys.stderr)
        return error.status
    except OSError as error:
        print(f'yore_reader: {error}', file=sys.stderr)
        return 9


if __name__ == '__main__':
    sys.exit(main())
