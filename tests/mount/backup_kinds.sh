#!/bin/bash
# Every kind of file goes into a snapshot and comes back the same: content, attributes, links, holes, names of any bytes.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/yore-kinds.XXXXXX")
mounted=
finish() {
    [ -z "$mounted" ] || "$YORE" umount "$mounted" >/dev/null 2>&1 || fusermount3 -u "$mounted" || true
    chmod -R u+rwX "$work" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

export YORE_PASSWORD=kinds YORE_STORE=$work/store YORE_CACHE_DIR=$work/cache YORE_STATE_DIR=$work/state
"$YORE" init --keystore in-store --recovery-file "$work/recovery" >/dev/null
tree=$work/tree
mkdir "$tree"
root=no
[ "$(id -u)" = 0 ] && root=yes

/usr/bin/python3 - "$tree" $root <<'PY'
import os, random, socket, stat, struct, sys
top, root = os.fsencode(sys.argv[1]), sys.argv[2] == 'yes'
rng = random.Random(5)
def path(*p): return os.path.join(top, *p)
def put(name, data, mode=0o644):
    with open(path(name), 'wb') as f: f.write(data)
    os.chmod(path(name), mode)
for d in (b'sizes', b'names', b'attrs', b'links', b'links/a', b'links/b', b'sparse', b'special', b'empty', b'times'):
    os.mkdir(path(d))
# sizes around every limit the writer knows
words = b' '.join(b'%d' % rng.randrange(10**6) for _ in range(3_000_000))
for size in (0, 1, 15, 16, 17, 4095, 4096, 65534, 65535, 65536, 131072, 262143, 262144, 262145, 1 << 20, (1 << 24) - 1, 1 << 24, (1 << 24) + 1):
    put(b'sizes/words-%d' % size, words[:size])
    if size <= 1 << 20: put(b'sizes/random-%d' % size, rng.randbytes(size))
put(b'sizes/pages.sqlite', b'SQLite format 3\0' + rng.randbytes(700_000))
put(b'sizes/zeros', bytes(3_000_000))
# names: every byte but / and 0, lengths, what shells and parsers stumble over
for i in range(1, 256):
    if i != 0x2f: put(b'names/byte-%c' % i, b'%d\n' % i)
for name in (b'x' * 255, b'\xff' * 255, b' ', b'  lead', b'trail ', b'-n', b'--', b'new\nline', b'tab\t', b'\x1b[31m', b'back\\slash',
             b'quote"\'', b'*', b'[a-z]', b'.hidden', b'...', 'café'.encode(), 'café'.encode('latin1')):
    put(b'names/' + name, b'name ' + name)
os.mkdir(path(b'names', b'\xc3\x28dir')); put(b'names/\xc3\x28dir/below', b'1')
# owners, modes, times
for mode in (0, 0o1, 0o400, 0o644, 0o4755, 0o2755, 0o1777, 0o7777): put(b'attrs/mode-%o' % mode, b'm', mode)
if root:
    for uid in (0, 1, 65534, 2**32 - 2):
        put(b'attrs/owner-%d' % uid, b'o'); os.chown(path(b'attrs/owner-%d' % uid), uid, uid)
    os.mkdir(path(b'attrs/setgid')); os.chmod(path(b'attrs/setgid'), 0o2775)
for i, ns in enumerate((0, 1, 999_999_999, -1, -1_500_000_000, 2**31 * 10**9, 4102444800 * 10**9 + 123456789)):
    put(b'times/t%d' % i, b't'); os.utime(path(b'times/t%d' % i), ns=(ns, ns))
# links: within a directory, across, symlinks good, dangling, circular, long
put(b'links/a/one', b'linked content')
os.link(path(b'links/a/one'), path(b'links/a/two')); os.link(path(b'links/a/one'), path(b'links/b/three'))
put(b'links/b/alone', b'x' * 300_000); os.link(path(b'links/b/alone'), path(b'links/z-last'))
put(b'links/empty1', b''); os.link(path(b'links/empty1'), path(b'links/empty2'))
os.symlink(b'a/one', path(b'links/good')); os.symlink(b'nowhere', path(b'links/dangling')); os.symlink(b'self', path(b'links/self'))
os.symlink(b'/', path(b'links/absolute')); os.symlink(b'\xfe' * 4000, path(b'links/long')); os.symlink(b'..', path(b'links/up'))
os.link(path(b'links/good'), path(b'links/good-too'), follow_symlinks=False)
# holes at the front, the end, in the middle; nothing but a hole
def sparse(name, size, *at):
    with open(path(b'sparse', name), 'wb') as f:
        for where, data in at: f.seek(where); f.write(data)
        f.truncate(size)
sparse(b'all', 1 << 30); sparse(b'front', 200_000, (150_000, b'end' * 1000)); sparse(b'tail', 10 << 20, (0, words[:5000]))
sparse(b'middle', 40 << 20, (0, words[:100_000]), (20 << 20, rng.randbytes(3 << 20)), (39 << 20, b'!' * 5000))
sparse(b'huge', 4 << 40, (1 << 40, b'one byte far away'))
# special files
os.mkfifo(path(b'special/fifo'), 0o640)
s = socket.socket(socket.AF_UNIX); here = os.getcwd(); os.chdir(path(b'special')); s.bind('socket'); os.chdir(here); s.close()
if root:
    os.mknod(path(b'special/null'), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(path(b'special/block'), stat.S_IFBLK | 0o600, os.makedev(259, 65537))
# extended attributes, ACLs, capabilities
put(b'attrs/x', b'x')
for name, value in ((b'user.empty', b''), (b'user.bytes', bytes(range(256))), (b'user.\xc3\xa9', b'e'), (b'user.big', words[:3000])):
    os.setxattr(path(b'attrs/x'), name, value); os.setxattr(path(b'attrs'), name, value)
put(b'attrs/x-empty-file', b''); os.setxattr(path(b'attrs/x-empty-file'), b'user.only', b'1')
if root: os.setxattr(path(b'links/dangling'), b'trusted.link', b'on the link itself', follow_symlinks=False)
PY
setfacl -m u:1234:rwx,g:99:r "$tree/attrs/x" 2>/dev/null || echo "no ACLs on this file system"
setfacl -d -m u:4321:rx "$tree/attrs" 2>/dev/null || true
[ $root = no ] || setcap cap_net_raw+ep "$tree/attrs/mode-400" 2>/dev/null || true

options=-nacHAXS
[ $root = yes ] || options=-nacHAX
# Extended attributes of everything below a folder, in one order for all.
attributes() { (cd "$1" && find . -print0 | sort -z | xargs -0 getfattr -hd -m - 2>/dev/null); }
# dir dir: what differs, one line each
differences() {
    diff -r --no-dereference "$1" "$2" 2>&1 | grep -v 'is a \(fifo\|socket\|character\|block\)' || true
    rsync $options --delete --itemize-changes --exclude=/sparse/huge "$1/" "$2/"
    diff <(cd "$1" && find . -printf '%P %y %m %U %G %T@ %s %n %l\n' | grep -av ' d .* [0-9]* [0-9]* $' | sort) \
        <(cd "$2" && find . -printf '%P %y %m %U %G %T@ %s %n %l\n' | grep -av ' d .* [0-9]* [0-9]* $' | sort) || true
    diff <(attributes "$1") <(attributes "$2") || true
}
# /sparse/huge is 4 TB of nothing: compared by its blocks and its few bytes, not by diff
huge() {
    [ "$(stat -c %s "$1/sparse/huge")" = $((4 << 40)) ] && [ "$(stat -c %b "$1/sparse/huge")" -lt 1000 ] &&
        [ "$(dd if="$1/sparse/huge" bs=4096 skip=$((1 << 28)) count=1 2>/dev/null | head -c 17)" = "one byte far away" ]
}

start=$(date +%s)
timeout 120 "$YORE" backup files kinds "$tree" >"$work/out" 2>&1 || fail "backup: exit $?: $(cat "$work/out")"
[ $(($(date +%s) - start)) -lt 60 ] || fail "the backup took more than a minute"
"$YORE" restore kinds/latest "$work/back" >/dev/null 2>"$work/err" || fail "restore: $(cat "$work/err")"
huge "$work/back" || fail "sparse/huge came back wrong"
for dir in "$tree" "$work/back"; do mv "$dir/sparse/huge" "$dir.huge"; done
touch -d @0 "$tree/sparse" "$work/back/sparse"
out=$(differences "$tree" "$work/back")
[ -z "$out" ] || fail "restored tree differs: $out"
mv "$tree.huge" "$tree/sparse/huge"
touch -d @0 "$tree/sparse"

# The same again, when times are old enough to be trusted: nothing is read, almost nothing is stored.
sleep 2.1
"$YORE" backup files kinds "$tree" >/dev/null 2>&1
before=$(du -sb "$work/store" | cut -f1)
out=$("$YORE" backup files kinds "$tree" --json 2>/dev/null)
after=$(du -sb "$work/store" | cut -f1)
[ $((after - before)) -lt 20000 ] || fail "an unchanged tree added $((after - before)) bytes"
if command -v strace >/dev/null && strace -f -e trace=openat -o "$work/trace" "$YORE" backup files kinds "$tree" >/dev/null 2>&1; then
    ! grep -q 'words-65536' "$work/trace" || fail "an unchanged file was opened"
fi

if [ -c /dev/fuse ] && [ $root = yes ]; then
    mkdir "$work/mnt"
    if "$YORE" mount "$work/mnt" >/dev/null 2>"$work/err"; then
        mounted=$work/mnt
        seen=$(readlink -f "$work/mnt/kinds/latest")
        huge "$seen" || fail "sparse/huge is wrong in the mount"
        # sha256sum would read 4 TB of zeros: a snapshot without it.
        "$YORE" backup files kinds "$tree" --exclude /sparse/huge >/dev/null 2>&1
        sleep 1.5
        seen=$(readlink -f "$work/mnt/kinds/latest")
        [ ! -e "$seen/sparse/huge" ] || fail "--exclude did not exclude, or the newest snapshot is not to be seen"
        (cd "$seen" && timeout 60 sha256sum -c --quiet "$work/mnt/.yore/kinds/$(basename "$seen")/SHA256SUMS") >"$work/err" 2>&1 ||
            fail "sha256sum -c: $(head -5 "$work/err")"
        mv "$tree/sparse/huge" "$tree.huge"
        touch -d @0 "$tree/sparse"
        out=$(rsync $options --delete --itemize-changes --exclude=/sparse "$tree/" "$seen/")
        [ -z "$out" ] || fail "the mounted tree differs: $out"
        out=$(diff <(attributes "$tree") <(attributes "$seen") || true)
        [ -z "$out" ] || fail "attributes differ in the mount: $out"
        mv "$tree.huge" "$tree/sparse/huge"
    else
        echo "no mount here: $(cat "$work/err")"
    fi
fi
echo "every kind of file came back the same"
