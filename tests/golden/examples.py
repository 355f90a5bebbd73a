"""
examples: README.md of the golden store: what is in it, its secrets, and one object of each type byte by byte.

Called by make_golden.py when everything is made; the numbers and bytes come from the store itself.
"""

import make_golden as g

INTRO = """# The golden store

Made by `make_golden.py` from fixed keys, so that every byte of it can be explained; `make_golden.py` writes this page as
well. The passphrase is `golden`. `docs/format.md` is the specification, `tests/reader/yore_reader.py` reads it.

| file | what |
| --- | --- |
| `store/` | the store, its keystore inside under `keys/` |
| `recovery.txt` | the recovery file |
| `key-file` | 32 bytes that open `keys/slot-00000002` |
| `reader.role` | a role key file: a reader of domain `main` only |
| `expected.txt` | the content as text |

## expected.txt

One line a snapshot, then one line a node, in order of position (the root first, as `.`), words separated by one space:

    snapshot SERVICE/NAME KIND FLAGS nodes= files= directories= bytes= path_bytes= marks=
    PATH KIND MODE UID GID MTIME SIZE DATA SHA256 EXTRA LINK XATTRS

MODE is octal. MTIME is seconds since 1970, rounded down, a point, and nine digits of nanoseconds: half a second before 1970
is `-1.500000000`. DATA is the length without holes. EXTRA is a symlink's target or a device's major:minor. LINK is
`=PATH` of the first member for every further member of a link group. XATTRS are `name=hex`, by comma, in the order stored. What
does not apply is `-`. In paths, targets and names, all bytes but ASCII graphic characters, and the backslash, are `\\xHH`.

## What it holds

| where | what |
| --- | --- |
| `files` | three snapshots: two in one second (the second, held and labelled, is `-2`), a partial one a day later. The first has an unknown ignorable field in its envelope and in the entry `a`, and a log kept as a list of tree chunks |
| `files`, nodes | all kinds; names with newline, backslash, return, bytes that are not UTF-8, 255 bytes; times before 1970 and after 2106; xattrs inline, empty and in a chunk; holes and zeros; link groups across directories, one of symlinks, one with a single member |
| `dump` | a stream of 2,500 items: lists of two levels by the rule of 10.3. Its data chunks lie only in a repacked pack |
| `many` | 1,100 entries: an index by the rule of 10.2 |
| `shapes` | indexes of indexes, lists of four levels, 40 folders deep, a hole larger than a chunk; three parts |
| `future` | `newer.txt` and `newer-directory` have an unknown critical field: refused (status 6), their neighbours are not. `expected.txt` leaves them out but its `snapshot` line counts them |
| `tenant-a` | domain 2, erasable: its recovery secret is in the keyring only. Written by a second writer, certified by a second admin |
| packs of domain 1 | session `first`: a frame of many chunks, a big chunk alone, a frame that is not compressed. `second`: a delta against the big chunk. `repack`: two frames copied from others, one of them from a pack that is gone; copies of chunks that other packs have too |
| segments | several pages; with a filter and (session `second`) without; two pages of pack rows; unknown ignorable fields everywhere in that of session `first` |
| records | two of `config`, `epochs/00000001`, `recovery`: chains. Sessions: ended, failed, running |
| `keys/` | slots of all three kinds; two keyrings, the older without domain 2 |

"""


class Dump:
    """Takes bytes off an object and notes what they are."""

    def __init__(self, data, start=0):
        self.data, self.at, self.start, self.lines = data, 0, start, []

    def take(self, count, label):
        piece = self.data[self.at : self.at + count]
        self.note(piece, label)
        return piece

    def note(self, piece, label):
        offset = self.start + self.at
        self.at += len(piece)
        shown = piece if len(piece) <= 48 else piece[:16]
        rows = [shown[at : at + 16].hex(' ') for at in range(0, len(shown), 16)] or ['']
        more = '' if shown is piece else f' ... {len(piece)} bytes'
        self.lines.append(f'{offset:6}  {rows[0]:47}  {label}{more}'.rstrip())
        self.lines += [f'{"":6}  {row}' for row in rows[1:]]

    def u(self, count, label):
        value = int.from_bytes(self.data[self.at : self.at + count], 'little')
        self.take(count, f'{label}: {value}')
        return value

    def varint(self, label, zigzag=False):
        end = self.at
        while self.data[end] & 0x80:
            end += 1
        piece = self.data[self.at : end + 1]
        value = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(piece))
        shown = (value >> 1) ^ -(value & 1) if zigzag else value
        self.note(piece, f'{label}: {shown}')
        return value

    def blob(self, label):
        length = self.varint(f'{label}, length')
        return self.take(length, label) if length else b''

    def fields(self, label='fields', names=()):
        end = self.varint(f'{label}, total length') + self.at
        while self.at < end:
            key = self.varint('field key')
            name = dict(names).get(key >> 1, 'unknown')
            self.blob(f'field {key >> 1}{", critical" if key & 1 else ""} ({name})')

    def rest(self, label):
        if self.at < len(self.data):
            self.take(len(self.data) - self.at, label)

    def text(self):
        return '\n'.join(['```', *self.lines, '```', ''])


def pairs(*found):
    return '\n'.join(['```', *(f'{name:22} {value.hex()}' for name, value in found), '```', ''])


def readme():
    parts = [INTRO, '## Secrets\n', secrets()]
    for title, text in (
        ('`yore` (5.1)', yore()), ('A record (5.2)', record()), ('A slot (6.1)', slot()), ('A keyring (6.2)', keyring()),
        ('Names of chunks (7)', names()), ('A pack (8)', pack()), ('A segment (9)', segment()),
        ('A directory leaf (10.1)', leaf()), ('A directory index (10.2)', index()), ('A content list (10.3)', content_list()),
        ('An envelope (11.1)', envelope()), ('A snapshot root and its link table (11.2)', root()),
    ):  # fmt: skip
        parts += [f'## {title}\n', text]
    return '\n'.join(parts)


def secrets():
    found = [('store id', g.STORE), ('admin seed', g.ADMIN.seed), ('signing seed', g.WRITER.seed), ('R secret', g.RECOVERY.secret),
             ('R public', g.RECOVERY.public), ('keyring key', g.KEYRING_KEY)]  # fmt: skip
    for domain in (g.MAIN, g.TENANT):
        name = domain.name
        found += [(f'{name} K_id', domain.k_id), (f'{name} K_cut', domain.k_cut), (f'{name} K_idx', domain.k_idx),
                  (f'{name} K_name', domain.k_name), (f'{name} recovery secret', domain.recovery.secret)]  # fmt: skip
        for number, epoch in enumerate(domain.epochs, 1):
            found += [(f'{name} D_{number} secret', epoch[1].secret), (f'{name} T_{number} secret', epoch[2].secret)]
    main = g.MAIN
    derived = [('data ids', main.id_keys[1]), ('tree ids', main.id_keys[2]), ('tree cut', main.tree_cut),
               ('segments', main.segments), ('envelopes', main.envelopes), ('service names', main.service_names),
               ('link groups', main.links), ('tag(files)', main.tag('files')),
               ('group of 2049, 77', main.link_group(2049, 77))]  # fmt: skip
    return pairs(*found) + '\nDerived in domain main:\n\n' + pairs(*derived)


def yore():
    dump = Dump(g.OBJECTS['yore'])
    dump.take(8, 'magic')
    dump.u(2, 'version')
    dump.u(1, 'notes: keystore in the store')
    dump.take(5, 'reserved')
    dump.take(16, 'store id')
    dump.u(8, 'seconds, when made')
    for label in ('must know to read', 'must know to write', 'may be ignored'):
        dump.take(8, f'features: {label}')
    dump.take(32, 'first admin')
    dump.fields()
    dump.rest('signature over "yore/1/store\\0" and all before')
    return dump.text()


def record():
    name = 'epochs/00000001/0000000002'
    dump = Dump(g.OBJECTS[name])
    dump.take(8, 'magic')
    dump.u(2, 'version')
    dump.u(1, 'type, epoch')
    dump.take(1, 'reserved')
    dump.u(4, 'domain')
    dump.take(16, 'store id')
    dump.u(8, 'number')
    dump.take(32, 'SHA-256 of epochs/00000001/0000000001')
    dump.take(16, 'key id of the admin')
    dump.u(8, 'seconds, when signed')
    dump.fields(names={1: 'D public', 2: 'T public'})
    dump.rest('signature over "yore/1/record\\0" and all before')
    return f'`{name}`\n\n' + dump.text()


def slot():
    data = g.OBJECTS['keys/slot-00000001']
    dump = Dump(data)
    dump.take(8, 'magic')
    dump.u(2, 'version')
    dump.u(1, 'kind, passphrase')
    dump.u(1, 'log2 N')
    dump.u(4, 'r')
    dump.u(4, 'p')
    dump.take(4, 'reserved')
    dump.take(16, 'store id')
    dump.u(8, 'seconds, when made')
    salt = dump.take(32, 'salt')
    dump.take(32, 'commitment')
    dump.fields(names={1: 'label'})
    dump.take(48, 'keyring key, sealed with all before as associated data')
    dump.rest('SHA-256 of all before')
    secret = g.hashlib.scrypt(g.PASSPHRASE, salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)
    return '`keys/slot-00000001`\n\n' + dump.text() + '\n' + pairs(
        ('scrypt("golden")', secret), ('commitment', g.hkdf(secret, salt, b'yore/1/slot/commit')),
        ('key that seals', g.hkdf(secret, salt, b'yore/1/slot/kek')))  # fmt: skip


def keyring():
    dump = Dump(g.OBJECTS['keys/keyring-0000000001'])
    dump.take(8, 'magic')
    dump.u(2, 'version')
    dump.take(6, 'reserved')
    dump.take(16, 'store id')
    dump.u(8, 'n')
    dump.take(24, 'nonce')
    dump.u(4, 'length of the rest')
    dump.rest('XAES under the keyring key, of:')
    plain = Dump(g.keyring_fields([g.MAIN]))
    plain.fields(names={1: 'admin seed', 2: 'signing seed', 3: 'roles', 4: 'domain', 5: 'R public', 6: 'first admin'})
    return '`keys/keyring-0000000001`\n\n' + dump.text() + '\n' + plain.text()


def names():
    main, small, long = g.MAIN, g.ALPHA, g.LEDGER
    found = [('data id of "alpha\\n"', main.chunk_id(1, small)), ('tree id of "alpha\\n"', main.chunk_id(2, small)),
             ('16,384 zeros, data', main.chunk_id(1, bytes(16_384))), ('16,385 zeros, data', main.chunk_id(1, bytes(16_385))),
             ('4 MiB of zeros, data', main.chunk_id(1, bytes(4 << 20))),
             (f'ledger, {len(long)} bytes', main.chunk_id(1, long))]  # fmt: skip
    return 'In domain main:\n\n' + pairs(*found)


def pack():
    example = g.EXAMPLES['small pack']
    dump = Dump(example.bytes)
    dump.take(8, 'magic')
    dump.u(2, 'version')
    dump.u(1, 'kind, data')
    dump.u(1, 'suite')
    dump.u(4, 'domain')
    dump.take(16, 'store id')
    dump.take(16, 'pack uid')
    dump.take(8, 'features: must know to read')
    at = dump.u(4, 'offset of the directory')
    length = dump.u(4, 'its stored length')
    dump.u(4, 'key records')
    dump.take(4, 'reserved')
    dump.take(16, 'origin uid')
    dump.take(80, 'pack key, sealed to the recovery pair')
    dump.fields()
    frame = example.frames[0]
    dump.take(16, 'frame: ids tag')
    dump.take(len(frame.stored) - 16, 'frame: ciphertext and tag')
    assert dump.at == at
    dump.take(length, 'directory, sealed')
    dump.rest('padding')
    plain = Dump(example.directory)
    plain.u(4, 'frames')
    plain.u(4, 'chunks')
    plain.u(4, 'frame: offset')
    plain.u(4, 'stored length')
    plain.u(4, 'raw length')
    plain.u(1, 'compression')
    plain.u(1, 'flags')
    plain.u(2, 'key record')
    plain.u(8, 'counter')
    for _ in range(plain.u(4, 'chunks in it')):
        plain.take(32, 'chunk id')
        plain.u(4, 'its length')
    plain.fields()
    return f'`{example.name}`\n\n' + dump.text() + '\nIts directory:\n\n' + plain.text() + '\nIts frame:\n\n' + pairs(
        ('pack key', example.key), ('nonce', frame.nonce), ('associated data', frame.aad), ('stored', frame.stored))  # fmt: skip


def segment():
    name, head, key, blocks, footer = g.EXAMPLES[f'segment {g.session_id("tenant").hex()} 1']
    dump = Dump(head)
    dump.take(8, 'magic')
    dump.u(2, 'version')
    dump.u(1, 'kind, data')
    dump.u(1, 'suite')
    dump.u(4, 'domain')
    dump.take(16, 'store id')
    dump.take(16, 'segment uid')
    dump.take(16, 'session')
    dump.take(8, 'features: must know to read')
    dump.u(8, 'offset of the footer')
    dump.u(4, 'its stored length')
    dump.take(4, 'reserved')
    dump.fields()
    parts = [f'`{name}`, header:\n', dump.text(), 'Key of this segment:\n', pairs(('key', key)), 'Footer:\n']
    dump = Dump(footer)
    dump.u(4, 'chunk rows')
    dump.u(4, 'pack rows')
    for _ in range(dump.u(4, 'blocks')):
        dump.u(1, 'block kind')
        dump.u(8, 'offset')
        dump.u(4, 'stored length')
        dump.u(4, 'rows')
        dump.take(32, 'first id')
    dump.fields()
    parts += [dump.text(), 'Block 0, a chunk page:\n', chunk_page(blocks[0][1]), 'Block 1, the filter:\n']
    dump = Dump(blocks[1][1])
    dump.u(4, 'k')
    dump.u(4, 'm')
    dump.rest('bits')
    return '\n'.join([*parts, dump.text(), 'Block 2, a pack page:\n', pack_page(blocks[2][1])])


def chunk_page(data):
    dump = Dump(data)
    for _ in range(dump.u(4, 'rows')):
        dump.take(32, 'chunk id')
        for label in ('pack number', 'frame offset', 'frame stored length', 'frame raw length', 'place', 'length', 'counter'):
            dump.u(4, label)
        dump.u(1, 'compression')
        dump.u(1, 'flags')
        dump.u(2, 'key record')
    dump.u(4, 'bases')
    dump.fields()
    return dump.text()


def pack_page(data):
    dump = Dump(data)
    for _ in range(dump.u(4, 'rows')):
        dump.u(4, 'number')
        dump.take(16, 'session')
        dump.take(32, 'SHA-256 of its name')
        dump.u(8, 'size')
        dump.take(16, 'pack uid')
        for _ in range(dump.u(2, 'key records')):
            dump.take(16, 'origin uid')
            dump.u(4, 'epoch')
            dump.take(80, 'pack key, sealed to the epoch')
        dump.take(16, 'key id of the writer')
        dump.take(32, 'SHA-256 of the directory')
        dump.take(64, 'signature')
        dump.fields('fields of this row')
    return dump.text()


def find_chunk(tree, first, where=lambda chunk: True):
    return next((name, chunk) for name, chunk in g.EXAMPLES[tree].chunks.items() if chunk[0] == first and where(chunk))


def leaf():
    name, chunk = find_chunk('tree future', 1, lambda chunk: b'newer.txt' in chunk)
    dump = Dump(chunk)
    dump.take(2, 'directory leaf, version 1')
    for _ in range(dump.varint('entries')):
        entry(dump)
    dump.fields('fields of the leaf')
    return f'The root directory of `future`, tree chunk `{name.hex()}`:\n\n' + dump.text()


def entry(dump):
    dump.blob('name')
    kind = dump.u(1, 'kind')
    flags = dump.u(1, 'flags')
    dump.varint('mode')
    dump.varint('uid')
    dump.varint('gid')
    for label in ('mtime', 'ctime'):
        dump.varint(f'{label}, seconds', zigzag=True)
        dump.varint('nanoseconds')
    if flags & 1:
        dump.take(16, 'link group')
    if kind == 1:
        summary(dump)
    elif kind == 2:
        content(dump, 'content')
        if flags & 2:
            dump.take(32, 'SHA-256 of the content')
    if flags & 4:
        dump.fields('fields of the entry', {1: 'xattr', 2: 'birth time'})


def summary(dump):
    dump.take(32, 'page')
    for label in ('entries', 'nodes below', 'files below', 'bytes of escaped paths', 'marks', 'bytes of sizes'):
        dump.varint(label)


def content(dump, label):
    how = dump.u(1, f'{label}: how')
    if how:
        dump.varint('length')
        if how == 2:
            dump.varint('data bytes')
        dump.take(32, 'chunk' if how == 1 else 'content list')


def index():
    name, chunk = find_chunk('tree many', 2)
    dump = Dump(chunk)
    dump.take(2, 'directory index, version 1')
    for _ in range(dump.varint('children')):
        dump.blob('first name')
        summary(dump)
    dump.fields()
    return f'The folder `all` of `many`, tree chunk `{name.hex()}`:\n\n' + dump.text()


def content_list():
    name, chunk = find_chunk('tree first', 3, lambda chunk: chunk[3] == 4 and chunk[4] > 1)
    dump = Dump(chunk)
    dump.take(2, 'content list, version 1')
    dump.u(1, 'level')
    dump.u(1, 'cut class')
    for _ in range(dump.varint('items')):
        what = dump.u(1, 'what')
        dump.varint('length')
        if what == 0:
            dump.take(32, 'data chunk')
    dump.fields()
    return f'`sparse.img` of `files`, tree chunk `{name.hex()}`:\n\n' + dump.text()


ENVELOPE_FIELDS = {1: 'service', 2: 'kind', 3: 'writer', 4: 'host id', 5: 'host name', 6: 'number in the lane', 7: 'heads',
                   8: 'session', 9: 'time', 10: 'finished', 11: 'flags', 12: 'label', 13: 'totals', 14: 'root', 15: 'part',
                   16: 'program', 31: 'padding'}  # fmt: skip


def envelope():
    name, head, domain, block, signature = g.EXAMPLES['envelope files 2']
    dump = Dump(head)
    dump.take(8, 'magic')
    dump.u(2, 'version')
    dump.u(2, 'suite')
    dump.u(4, 'domain')
    dump.take(16, 'store id')
    dump.take(8, 'features: must know to read')
    dump.take(24, 'nonce')
    dump.u(4, 'length of the rest')
    plain = Dump(block + signature)
    plain.fields(names=ENVELOPE_FIELDS)
    plain.rest('signature')
    return f'`{name}`\n\n' + dump.text() + '\nThen XAES under the envelope key of:\n\n' + plain.text()


def root():
    name, chunk = find_chunk('tree first', 4)
    dump = Dump(chunk)
    dump.take(2, 'snapshot root, version 1')
    entry(dump)
    for label in ('link table', 'manifest', 'log'):
        content(dump, label)
    dump.fields()
    rows = Dump(g.link_table(g.files_tree(), g.MAIN))
    for at in range(0, len(rows.data), 32):
        rows.take(16, 'group')
        rows.u(8, 'position of the first member')
        rows.u(4, 'members')
        rows.take(4, 'reserved')
    return f'The first snapshot of `files`, tree chunk `{name.hex()}`:\n\n' + dump.text() + '\nIts link table:\n\n' + rows.text()
