#!/bin/bash
# All is lost but the store and the recovery key; the ways into a keystore; and a reader in another language.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
reader() { /usr/bin/python3 "$HERE/../reader/yore_reader.py" "$@"; }

# Contents, names and attributes: rsync reads all. (diff finds any two FIFOs different.)
same()
{
    local differences
    differences=$(rsync -nac --delete -HAXS --devices --specials --itemize-changes "$1/" "$2/")
    [ -z "$differences" ] || fail "$1 and $2 differ:
$differences"
}

# expect STATUS WORDS COMMAND...: exit status, and words in what it says.
expect()
{
    local status=0 said
    said=$("${@:3}" 2>&1) || status=$?
    [ "$status" = "$1" ] || fail "status $status, not $1, of: ${*:3}: $said"
    [[ $said == *"$2"* ]] || fail "no '$2' in: $said"
}

# --- files of every kind
/usr/bin/python3 - "$SRC" <<'PYTHON'
import os, random, socket, stat, sys
top = os.fsencode(sys.argv[1])
rng = random.Random(11)
os.mkdir(top)
os.chdir(top)
words = b' '.join(b'%d' % rng.randrange(10**6) for _ in range(200_000))
def put(name, data, mode=0o644):
    with open(name, 'wb') as f: f.write(data)
    os.chmod(name, mode)
for d in (b'names', b'sizes', b'links', b'links/below', b'sparse', b'special', b'empty', b'times', b'attrs'): os.mkdir(d)
for size in (0, 1, 4096, 65536, 262145, 1_300_000): put(b'sizes/words-%d' % size, words[:size])
for size in (1, 65536, 3_000_000): put(b'sizes/random-%d' % size, rng.randbytes(size))
put(b'sizes/copy', open(b'sizes/random-3000000', 'rb').read())
for name in (b'x' * 255, b'\xff\xfe', b'new\nline', b'-n', b' ', b'back\\slash', b'\x1b[31m', 'é'.encode()): put(b'names/' + name, b'name ' + name)
for i in range(1200): put(b'names/%05d' % i, b'%d' % (i // 3))
for mode in (0, 0o400, 0o4755, 0o7777): put(b'attrs/mode-%o' % mode, b'm', mode)
put(b'attrs/owner', b'o'); os.chown(b'attrs/owner', 4242, 2**32 - 2)
put(b'attrs/xattrs', b'x')
os.setxattr(b'attrs/xattrs', b'user.bytes', bytes(range(256))); os.setxattr(b'attrs/xattrs', b'user.empty', b'')
os.setxattr(b'attrs/xattrs', b'user.big', words[:3000])
for i, ns in enumerate((0, 999_999_999, -1_500_000_000, 4102444800 * 10**9 + 123456789)): put(b'times/%d' % i, b't'); os.utime(b'times/%d' % i, ns=(ns, ns))
put(b'links/one', b'linked'); os.link(b'links/one', b'links/below/two'); os.link(b'links/one', b'names/three')
os.symlink(b'nowhere', b'links/dangling'); os.symlink(b'/', b'links/absolute'); os.symlink(b'\xfe' * 300, b'links/long')
with open(b'sparse/middle', 'wb') as f: f.write(b'a' * 5000); f.seek(9 << 20); f.write(rng.randbytes(100_000)); f.truncate(20 << 20)
with open(b'sparse/all', 'wb') as f: f.truncate(100 << 20)
os.mkfifo(b'special/fifo'); s = socket.socket(socket.AF_UNIX); s.bind(b'special/socket'); s.close()
os.mknod(b'special/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
PYTHON
dump=$TMP/dump
seq 400000 >"$dump"
make_store
first=$(backup web "$SRC" --time 2026-01-02T03:04:05Z)
"$YORE" backup stream dump dump.sql -q <"$dump"
cp -a "$SRC" "$TMP/first"
echo later >"$SRC/later"
rm -r "$SRC/times"
second=$(backup web "$SRC" --time 2026-01-03T03:04:05Z)

# --- the other reader, in Python: every byte of a fresh store
reader check "$STORE" >"$TMP/said" || fail "the reader checks: $(cat "$TMP/said")"
reader list "$STORE" >"$TMP/said"
for name in "$first" "$second"; do grep -q "$name" "$TMP/said" || fail "the reader does not list $name: $(cat "$TMP/said")"; done
reader extract "$STORE" "web/$first" "$TMP/read-first" && same "$TMP/first" "$TMP/read-first"
reader extract "$STORE" web/latest "$TMP/read-second" && same "$SRC" "$TMP/read-second"
reader extract "$STORE" dump/latest "$TMP/read-dump" && cmp "$dump" "$TMP/read-dump/dump.sql"
YORE_PASSWORD=wrong expect 3 "" reader list "$STORE"
echo "the other reader reads it all"

# --- keystore, index and cache are gone: the recovery key restores
cp -a "$STORE" "$TMP/whole"
rm -r "$STORE/keys" "$STORE/index" "$YORE_CACHE_DIR" "$YORE_STATE_DIR"
reader --recovery-file "$TMP/recovery" extract "$STORE" "web/$first" "$TMP/read-recovered" && same "$TMP/first" "$TMP/read-recovered"
status=0
"$YORE" ls web/latest >/dev/null 2>"$TMP/said" || status=$?
[ $status = 3 ] || fail "without a keystore: exit $status: $(cat "$TMP/said")"
with_recovery() { env -u YORE_PASSWORD "$YORE" "$@" --recovery-file "$TMP/recovery"; }
with_recovery restore "web/$first" "$TMP/back-first" -q
same "$TMP/first" "$TMP/back-first"
with_recovery restore web/latest "$TMP/back-second" -q
same "$SRC" "$TMP/back-second"
with_recovery cat dump/latest dump.sql | cmp - "$dump"
echo "the recovery key restores it all"

# --- a new keystore by the recovery key: backups go on, old ones are readable with the new passphrase
expect 1 "recovery-file" env YORE_NEW_PASSWORD=new "$YORE" key recover
YORE_NEW_PASSWORD=new env -u YORE_PASSWORD "$YORE" key recover --recovery-file "$TMP/recovery" >"$TMP/said"
grep -q "new keystore" "$TMP/said" || fail "recover: $(cat "$TMP/said")"
expect 3 "passphrase" "$YORE" ls web/latest
export YORE_PASSWORD=new
"$YORE" restore "web/$first" "$TMP/again-first" -q && same "$TMP/first" "$TMP/again-first"
rm -r "$YORE_CACHE_DIR" # what the recovery key found is not needed
"$YORE" restore "web/$first" "$TMP/once-more" -q && same "$TMP/first" "$TMP/once-more"
echo more >"$SRC/more"
third=$(backup web "$SRC")
[ "$("$YORE" snapshots web | grep -c "$first\|$second\|$third")" = 3 ] || fail "snapshots: $("$YORE" snapshots web)"
rm -r "$YORE_CACHE_DIR"
"$YORE" restore web/latest "$TMP/back-third" -q && same "$SRC" "$TMP/back-third"
with_recovery restore web/latest "$TMP/back-third-too" -q && same "$SRC" "$TMP/back-third-too"
reader check "$STORE" >"$TMP/said" || fail "the reader checks: $(cat "$TMP/said")"
"$YORE" check --read-data >"$TMP/said" || fail "check: $(cat "$TMP/said")"
reader extract "$STORE" "web/$third" "$TMP/read-third" && same "$SRC" "$TMP/read-third"
"$YORE" mount "$MNT"
same "$TMP/first" "$MNT/web/$first"
same "$SRC" "$MNT/web/latest"
"$YORE" umount "$MNT"
echo "a new keystore serves old and new"

# --- a keystore that is there gets one more passphrase
rm -rf "$STORE" "$YORE_CACHE_DIR" "$YORE_STATE_DIR"
cp -a "$TMP/whole" "$STORE"
YORE_NEW_PASSWORD=other env -u YORE_PASSWORD "$YORE" key recover --recovery-file "$TMP/recovery" >"$TMP/said"
grep -q "added a passphrase" "$TMP/said" || fail "recover with a keystore: $(cat "$TMP/said")"
for passphrase in secret other; do YORE_PASSWORD=$passphrase "$YORE" ls "web/$first" >/dev/null || fail "passphrase $passphrase"; done

# --- add, list, key file, passwd, remove
export YORE_PASSWORD=secret
slots() { "$YORE" key list | wc -l; }
before=$(slots)
YORE_NEW_PASSWORD=third "$YORE" key add --label "for the night" >"$TMP/slot"
"$YORE" key add --new-key-file "$TMP/key-file" -q
expect 1 "key-file" "$YORE" key add --new-key-file "$TMP/key-file"
[ "$(stat -c '%a %s' "$TMP/key-file")" = "600 32" ] || fail "the key file: $(stat -c '%a %s' "$TMP/key-file")"
[ "$(slots)" = $((before + 2)) ] || fail "slots: $("$YORE" key list)"
"$YORE" key list | grep -q "for the night" || fail "no label: $("$YORE" key list)"
YORE_PASSWORD=third "$YORE" ls web/latest >/dev/null || fail "the added passphrase"
env -u YORE_PASSWORD "$YORE" ls web/latest --key-file "$TMP/key-file" >/dev/null || fail "the key file"
env -u YORE_PASSWORD /usr/bin/python3 "$HERE/../reader/yore_reader.py" --key-file "$TMP/key-file" list "$STORE" >/dev/null
head -c 31 "$TMP/key-file" >"$TMP/short" && chmod 600 "$TMP/short"
expect 1 "32" env -u YORE_PASSWORD "$YORE" ls web/latest --key-file "$TMP/short"
head -c 32 /dev/zero >"$TMP/wrong-key" && chmod 600 "$TMP/wrong-key"
expect 3 "" env -u YORE_PASSWORD "$YORE" ls web/latest --key-file "$TMP/wrong-key"
YORE_NEW_PASSWORD=fourth YORE_PASSWORD=third "$YORE" key passwd -q
[ "$(slots)" = $((before + 2)) ] || fail "slots after passwd: $("$YORE" key list)"
YORE_PASSWORD=third expect 3 "passphrase" "$YORE" ls web/latest
YORE_PASSWORD=fourth "$YORE" ls web/latest >/dev/null || fail "the changed passphrase"
slot=$("$YORE" key list --json | jq -r 'select(.kind == "key-file") | .slot')
"$YORE" key remove "$slot" -q
expect 3 "" env -u YORE_PASSWORD "$YORE" ls web/latest --key-file "$TMP/key-file"
expect 1 "" "$YORE" key remove "$slot"
for slot in $("$YORE" key list --json | jq -r .slot); do "$YORE" key remove "$slot" -q 2>/dev/null || true; done
[ "$(find "$STORE/keys" -name 'slot-*' | wc -l)" -ge 1 ] || fail "the last slot was removed"
echo "every way in opens and closes"
