#!/usr/bin/python3
"""
reader_test: the second reader against the golden store.

    reader_test.py [SECONDS]    how long flipped bytes are tried, 40 if not given (YORE_READER_TEST_SECS)

What it wants to see: published vectors; every golden snapshot as expected.txt says, in memory and on disk, with a
passphrase, a key file and the recovery key alone; the golden store made again byte for byte; and that no flipped byte of
any object goes unnoticed or gives a wrong byte.
"""

import contextlib
import io
import os
import re
import stat
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, '..', 'golden')
sys.path.insert(0, HERE)
import yore_reader as reader  # noqa: E402

FAILED = []


def test(function):
    """Runs a test and prints its name, which is a sentence."""
    started = time.monotonic()
    try:
        note = function()
    except Exception as error:  # a test that breaks off has failed; the others go on
        import traceback

        traceback.print_exc()
        FAILED.append(f'{function.__name__}: {error}')
    failed = [line for line in FAILED if line.startswith(function.__name__)]
    seconds = time.monotonic() - started
    print(f'{"FAIL" if failed else "ok":4} {function.__name__.replace("_", " ")} ({seconds:.1f} s){note or ""}', flush=True)
    for line in failed[:20]:
        print(f'     {line}')


def check(condition, text):
    if not condition:
        FAILED.append(f'{sys._getframe(1).f_code.co_name}: {text}')


def golden(name):
    with open(os.path.join(GOLDEN, name), 'rb') as file:
        return file.read()


EXPECTED = golden('expected.txt').decode()


def expected_sections():
    """{SERVICE/NAME: [line of each node]}"""
    sections = {}
    for line in EXPECTED.splitlines():
        if line.startswith('snapshot '):
            here = sections.setdefault(line.split()[1], [])
        else:
            here.append(line)
    return sections


# ---- The store in memory, for thousands of damaged copies ----------------------------------------------------------------


class Memory:
    """Objects as reader.Folder gives them, some of them replaced."""

    def __init__(self, objects, replaced=None):
        self.objects, self.replaced = objects, replaced or {}

    def exists(self, name):
        return name in self.objects

    def list(self, prefix=''):
        return [name for name in self.objects if name.startswith(prefix)]

    def bytes(self, name):
        if name not in self.objects:
            raise reader.Damaged(f'{name}: not there')
        return self.replaced.get(name, self.objects[name])

    def size(self, name):
        return len(self.bytes(name))

    def read(self, name, limit=reader.OBJECT_MAX):
        return self.bytes(name)

    def read_range(self, name, offset, length):
        return self.bytes(name)[offset : offset + length]


def load_golden():
    folder = reader.Folder(os.path.join(GOLDEN, 'store'))
    return {name: folder.read(name, 1 << 30) for name in folder.list()}


OBJECTS = load_golden()



def remember(name):
    """Let a function of the reader whose arguments are all of its input be called once for each. Failures are not kept."""
    slow, known = getattr(reader, name), {}

    def quick(*arguments):
        if arguments not in known:
            known[arguments] = slow(*arguments)
        return known[arguments]

    setattr(reader, name, quick)


# Thousands of damaged stores differ from each other in one object: what they share is worked out once.
for pure in ('stretch', 'seal_open', 'x25519_public', 'check_signature', 'chunk_keys', 'gcm_open', 'decompress', 'parse_page',
             'parse_list', 'xaes_derive'):  # fmt: skip
    remember(pure)
PASSPHRASE = dict(passphrase=b'golden')
RECOVERY = dict(recovery=reader.parse_recovery_file(golden('recovery.txt').decode()))


def status_of(objects, secrets, name_hashes=True):
    """(exit status, problems) of `check`."""
    try:
        store = reader.Store(objects, reader.Secrets(**secrets))
        reader.Check(store, name_hashes).run()
        return store.report.status(), [text for _, _, text in store.report.problems]
    except reader.YoreError as error:
        return error.status, [str(error)]


def shown(objects, secrets):
    """What `show` prints: the whole content that this store gives away, read without looking at objects' hashes."""
    out = io.StringIO()
    try:
        store = reader.Store(objects, reader.Secrets(**secrets))
        reader.command_show(store, None, out)
    except reader.YoreError:
        pass
    return out.getvalue()


# ---- Vectors ----------------------------------------------------------------------------------------------------------------


@test
def primitives_agree_with_published_vectors():
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    # C2SP XAES-256-GCM
    nonce = b'ABCDEFGHIJKLMNOPQRSTUVWX'
    for byte, aad, wanted in (
        (b'\1', b'', 'ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271'),
        (b'\3', b'c2sp.org/XAES-256-GCM', '986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d'),
    ):
        sealed = AESGCM(reader.xaes_derive(byte * 32, nonce)).encrypt(nonce[12:], b'XAES-256-GCM', aad)
        check(sealed.hex() == wanted, f'XAES {sealed.hex()}')

    # RFC 9180 A.1.1: the same key encapsulation and schedule, with AES-128-GCM
    enc = bytes.fromhex('37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431')
    secret = bytes.fromhex('4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8')
    info = bytes.fromhex('4f6465206f6e2061204772656369616e2055726e')
    private = reader.X25519PrivateKey.from_private_bytes(secret)
    shared = private.exchange(reader.X25519PublicKey.from_public_bytes(enc))
    key, base_nonce = reader.hpke_key(shared, enc, reader.x25519_public(secret), info, aead_id=1, key_bytes=16)
    check(key.hex() == '4531685d41d65f03dc48f6b8302c05b0', f'HPKE key {key.hex()}')
    check(base_nonce.hex() == '56d890e5accaaf011cff4b7d', f'HPKE nonce {base_nonce.hex()}')

    # RFC 5869 test case 1
    okm = reader.hkdf(b'\x0b' * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    check(okm.hex().startswith('3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf3400'), f'HKDF {okm.hex()}')
    check([reader.padme(n) for n in (9, 100, 65_537)] == [10, 104, 67_584], 'Padme')


# ---- The golden store, sound ---------------------------------------------------------------------------------------------------


@test
def golden_store_is_made_again_byte_for_byte():
    if reader.zstandard.ZSTD_VERSION != (1, 5, 4):
        return ': left out, zstd is not 1.5.4'
    with tempfile.TemporaryDirectory() as target:
        subprocess.run([sys.executable, os.path.join(GOLDEN, 'make_golden.py'), target], check=True, stdout=subprocess.DEVNULL)
        made = reader.Folder(target)
        there = reader.Folder(GOLDEN)
        wanted = [name for name in there.list() if not name.endswith('.py') and '__pycache__' not in name]
        check(made.list() == wanted, 'other files than here')
        for name in made.list():
            check(there.exists(name) and made.read(name) == there.read(name), name)
    return None


@test
def content_is_what_expected_txt_says():
    check(shown(Memory(OBJECTS), PASSPHRASE) == EXPECTED, 'with the passphrase')
    check(shown(Memory(OBJECTS), dict(key_file=golden('key-file'))) == EXPECTED, 'with the key file')
    check(shown(Memory(OBJECTS), RECOVERY) == EXPECTED, 'with the recovery key and the keystore')


@test
def recovery_key_opens_a_store_without_keys_and_index():
    """All but the erasable domain, whose recovery secret was in the keyring."""
    bare = {name: data for name, data in OBJECTS.items() if not name.startswith(('keys/', 'index/'))}
    wanted = EXPECTED[: EXPECTED.index('snapshot tenant-a/')]
    check(shown(Memory(bare), RECOVERY) == wanted, 'content')
    status, problems = status_of(Memory(bare), RECOVERY)
    check(status == 6, f'status {status}')
    check(all('c028e8bc3e80a763a1f2371d66973de3' in p or 'domain 2' in p for p in problems), problems)


@test
def index_can_be_lost_where_the_recovery_key_is_at_hand():
    bare = {name: data for name, data in OBJECTS.items() if not name.startswith('index/')}
    check(shown(Memory(bare), RECOVERY) == EXPECTED, 'content')


@test
def role_file_of_a_reader_opens_its_domain_only():
    text = shown(Memory(OBJECTS), dict(role_file=golden('reader.role')))
    check(text == EXPECTED[: EXPECTED.index('snapshot tenant-a/')], 'content')


@test
def only_the_future_is_refused():
    """The sound store checks as 6, for two entries of one snapshot."""
    for secrets in (PASSPHRASE, RECOVERY):
        status, problems = status_of(Memory(OBJECTS), secrets)
        check(status == 6 and len(problems) == 2, f'{status} {problems}')
        check(all('field 21 is unknown and critical' in problem for problem in problems), problems)


@test
def statuses_are_those_of_the_page():
    check(status_of(Memory(OBJECTS), dict(passphrase=b'wrong'))[0] == 3, 'wrong passphrase')
    check(status_of(Memory(OBJECTS), {})[0] == 3, 'no passphrase')
    check(status_of(Memory({}), PASSPHRASE)[0] == 4, 'no store')
    check(status_of(Memory(OBJECTS), dict(recovery=b'\7' * 32))[0] == 3, 'wrong recovery key')
    for name in ('yore', 'config/0000000002'):
        newer = OBJECTS[name][:8] + b'\2\0' + OBJECTS[name][10:]
        status, problems = status_of(Memory(OBJECTS, {name: newer}), PASSPHRASE)
        check(any('version 2' in problem for problem in problems), f'{name}: {status} {problems}')


def essence(line):
    """
    A line less what may honestly change when other objects are lost: the next name of a linked file counts as its first, the
    next snapshot of a second gets the name without a number.
    """
    if line.startswith('snapshot '):
        return re.sub(r'Z-\d+ ', 'Z ', line)
    words = line.split(' ')
    return ' '.join(words[:10] + words[11:])


TRUE_LINES = {essence(line) for line in EXPECTED.splitlines()}


def wrong_lines(text):
    return [line for line in text.splitlines() if essence(line) not in TRUE_LINES]


@test
def lost_object_gives_no_wrong_byte():
    for lost in (name for name in OBJECTS if name.startswith(('packs/', 'index/', 'certs/'))):
        objects = Memory({name: data for name, data in OBJECTS.items() if name != lost})
        wrong = wrong_lines(shown(objects, PASSPHRASE))
        check(not wrong, f'{lost}: {wrong[:1]}')


# ---- On disk ------------------------------------------------------------------------------------------------------------------


def can_make_devices():
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.mknod(os.path.join(folder, 'null'), stat.S_IFCHR | 0o600, os.makedev(1, 3))
            return True
        except OSError:
            return False


def can_set_xattrs(folder):
    try:
        os.setxattr(folder, 'user.large', b'x' * 3000)
        os.removexattr(folder, 'user.large')
        return True
    except OSError:
        return False


def scan(target, with_xattrs):
    """The lines of expected.txt, from the file system, told by lstat, readlink and the like."""
    lines, seen, root = [], {}, os.fsencode(target)

    def visit(path):
        place = os.path.join(root, path) if path else root
        info = os.lstat(place)
        kinds = {stat.S_IFDIR: 'dir', stat.S_IFREG: 'file', stat.S_IFLNK: 'symlink', stat.S_IFBLK: 'block',
                 stat.S_IFCHR: 'char', stat.S_IFIFO: 'fifo', stat.S_IFSOCK: 'socket'}  # fmt: skip
        kind = kinds[stat.S_IFMT(info.st_mode)]
        size, digest, extra = '-', '-', '-'
        if kind == 'file':
            with open(place, 'rb') as file:
                digest = reader.hashlib.sha256(file.read()).hexdigest()
            size = info.st_size
        elif kind == 'symlink':
            extra = reader.printable(os.readlink(place))
        elif kind in ('block', 'char'):
            extra = f'{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}'
        first = seen.setdefault(info.st_ino, path)
        link = '=' + reader.printable(first) if first != path else '-'
        xattrs = '-'
        if with_xattrs:
            names = sorted(name for name in os.listxattr(place, follow_symlinks=False) if name.startswith('user.'))
            values = (f'{name}={os.getxattr(place, name, follow_symlinks=False).hex()}' for name in names)
            xattrs = ','.join(values) or '-'
        seconds, nanoseconds = divmod(info.st_mtime_ns, 10**9)
        owner = (info.st_uid, info.st_gid) if os.geteuid() == 0 else ('-', '-')
        lines.append(f'{reader.printable(path) or "."} {kind} {stat.S_IMODE(info.st_mode):o} {owner[0]} {owner[1]} '
                     f'{seconds}.{nanoseconds:09} {size} - {digest} {extra} {link} {xattrs}')  # fmt: skip
        for name in sorted(os.listdir(place)) if kind == 'dir' else ():
            visit(path + b'/' + name if path else name)

    visit(b'')
    return lines


def as_scanned(line, with_xattrs, with_devices):
    """A line of expected.txt less what this machine and this user cannot show (bytes of data never can)."""
    words = line.split(' ')
    if words[1] in ('block', 'char') and not with_devices:
        return None
    if os.geteuid() != 0:
        words[3] = words[4] = '-'
    words[7] = '-'
    if not with_xattrs:
        words[11] = '-'
    return ' '.join(words)


@test
def extracted_files_are_those_expected():
    """Through the command line: every snapshot; `future` gives all but what it must refuse, and 6."""
    with tempfile.TemporaryDirectory(dir=os.environ.get('YORE_TEST_TMP')) as folder:
        with_xattrs, with_devices = can_set_xattrs(folder), can_make_devices()
        for number, (name, lines) in enumerate(expected_sections().items()):
            target = os.path.join(folder, str(number))
            command = [sys.executable, '-B', os.path.join(HERE, 'yore_reader.py'), 'extract', os.path.join(GOLDEN, 'store'), name]
            done = subprocess.run([*command, target], env=os.environ | {'YORE_PASSWORD': 'golden'}, capture_output=True, text=True)
            check(done.returncode == (6 if name.startswith('future/') else 0), f'{name}: {done.returncode} {done.stderr}')
            wanted = [as_scanned(line, with_xattrs, with_devices) for line in lines]
            found = scan(target, with_xattrs)
            for a, b in zip(sorted(filter(None, wanted)), sorted(found), strict=True):
                check(a == b, f'{name}: wanted {a[:200]}, found {b[:200]}')
        sparse = os.stat(os.path.join(folder, '1', 'sparse.img'))
        check(sparse.st_blocks * 512 < sparse.st_size // 4, 'holes were filled')
        again = subprocess.run([*command, target], env=os.environ | {'YORE_PASSWORD': 'golden'}, capture_output=True)
        check(again.returncode == 1, 'a folder that is not empty is refused')
    missing = [what for what, there in (('xattrs', with_xattrs), ('devices', with_devices)) if not there]
    return f': without {" and ".join(missing)}, which this machine refuses' if missing else None


@test
def latest_is_the_newest_complete_snapshot():
    store = reader.Store(Memory(OBJECTS), reader.Secrets(**PASSPHRASE))
    check(store.find_snapshot('files/latest')[1] == 'files/20261120T140000Z-2', 'not the partial one, not the first of its second')


# ---- The golden store, damaged --------------------------------------------------------------------------------------------------


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def places(length, count=64):
    """Spread over the object, coarse first: whenever time is up, all of it was looked at, more or less finely."""
    order = sorted(range(count), key=lambda i: int(f'{i:06b}'[::-1], 2))
    places = [length * i // count for i in order] if length > count else list(range(length))
    return list(dict.fromkeys(places))


def may_be_newer(name, at):
    """Where a flipped bit makes a newer format: the version; in what no outer hash covers, features and suite."""
    kind, _ = reader.parse_name(name)
    if kind in ('slot',):
        return False  # its own SHA-256 comes first
    if 8 <= at < 10:
        return True
    by_kind = {'pack': (range(11, 12), range(48, 56)), 'segment': (range(11, 12), range(64, 72)),
               'snapshot': (range(10, 12), range(32, 40))}  # fmt: skip
    return any(at in where for where in by_kind.get(kind, ()))


BASELINE = status_of(Memory(OBJECTS), PASSPHRASE)[1]


def try_flip(name, at, name_hashes):
    """What `check` did wrong with one bit of one object flipped: a sentence, or None."""
    objects = Memory(OBJECTS, {name: flipped(OBJECTS[name], at)})
    status, problems = status_of(objects, PASSPHRASE, name_hashes)
    news = [problem for problem in problems if problem not in BASELINE]
    if not news:
        return 'unnoticed'
    if not any(name in problem for problem in news):
        return f'noticed, but not named: {news}'
    hashed = name_hashes and reader.parse_name(name)[0] in ('pack', 'segment', 'snapshot')
    if status != 7 and (hashed or status != 6 or not may_be_newer(name, at)):
        return f'status {status}: {news}'
    return None


def flip_in_turns(seconds, attempt, least):
    """
    Every object's first place, then every object's second ... until time is up, but `least` whole turns even on a slow
    machine. How many tries, in how many turns.
    """
    until, tries, turns = time.monotonic() + seconds, 0, 0
    spread = {name: places(len(data)) for name, data in OBJECTS.items()}
    for turn in range(64):
        for name, at in spread.items():
            if turn >= len(at):
                continue
            if turns >= least and time.monotonic() > until:
                return tries, turns
            attempt(name, at[turn], turn)
            tries += 1
        turns += 1
    return tries, turns


BUDGET = float(sys.argv[1] if len(sys.argv) > 1 else os.environ.get('YORE_READER_TEST_SECS', '40'))


@test
def sha_256_in_names_finds_any_flipped_byte_of_64():
    for name, data in OBJECTS.items():
        for at in places(len(data)) if reader.parse_name(name)[0] in ('pack', 'segment', 'snapshot') else ():
            try:
                reader.check_name_hash(name, flipped(data, at))
                check(False, f'{name} byte {at}')
            except reader.Damaged:
                pass


@test
def bytes_of_a_hostile_writer_are_refused_not_tripped_over():
    """Inside the tags a writer may have put anything: parsers give an answer or a YoreError, no other exception."""
    store = reader.Store(Memory(OBJECTS), reader.Secrets(**PASSPHRASE))
    domain = store.domain(1)
    store.chunk_rows(domain, reader.TREE, reader.ZERO_ID)
    chunks = [store.chunk(domain, reader.TREE, row[2]) for row in list(store.rows) if row[:2] == (1, reader.TREE)]
    parsers = {1: reader.parse_page, 2: reader.parse_page, 3: reader.parse_list, 4: reader.parse_root}
    tries = 0
    for chunk in chunks:
        if chunk[0] not in parsers:
            continue
        for at in places(len(chunk)):
            for hostile in (flipped(chunk, at), chunk[:at], chunk[:at] + b'\xff' * 9 + b'\1' + chunk[at + 10 :]):
                tries += 1
                with contextlib.suppress(reader.YoreError):
                    parsers[chunk[0]](hostile, 'hostile')
    return f': {tries} tries'


@test
def no_flipped_byte_passes_check():
    """
    Every other turn as if nobody compared the SHA-256 in an object's name: tags, signatures and chunk names must find it by
    themselves.
    """

    def attempt(name, at, turn):
        why = try_flip(name, at, name_hashes=turn % 2 == 1)
        if why:
            FAILED.append(f'no_flipped_byte_passes_check: {name} byte {at}, turn {turn}: {why}')

    tries, turns = flip_in_turns(BUDGET * 2 / 3, attempt, least=2)
    return f': {tries} flips, {turns} whole turns'


@test
def no_flipped_byte_gives_a_wrong_byte():
    """What readers give away, who fetch ranges and never see whole objects."""

    def attempt(name, at, turn):
        wrong = wrong_lines(shown(Memory(OBJECTS, {name: flipped(OBJECTS[name], at)}), PASSPHRASE))
        if wrong:
            FAILED.append(f'no_flipped_byte_gives_a_wrong_byte: {name} byte {at}: {wrong[0][:200]}')

    tries, turns = flip_in_turns(BUDGET / 3, attempt, least=1)
    return f': {tries} flips, {turns} whole turns'


print(f'{len(FAILED)} failures' if FAILED else 'all well')
sys.exit(1 if FAILED else 0)
