#!/bin/bash
# Trees that resist: a million names in one folder, a thousand folders deep, unreadable, changing while read, our own store inside;
# few descriptors; a writer that is killed.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/yore-hostile.XXXXXX")
children=
finish() {
    [ -z "$children" ] || kill $children 2>/dev/null || true
    chmod -R u+rwX "$work" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# Runs a command; its exit status in $status, its words in $said.
run() {
    status=0
    said=$("$@" 2>"$work/err") || status=$?
}
expect() {
    [ "$status" = "$1" ] || fail "$2: exit $status, not $1: $(cat "$work/err")"
}
field() { /usr/bin/python3 -c 'import json,sys; v=json.loads(sys.argv[1])
for k in sys.argv[2].split("."): v=v[k]
print(v)' "$said" "$1"; }

export YORE_PASSWORD=hostile YORE_STORE=$work/store YORE_CACHE_DIR=$work/cache YORE_STATE_DIR=$work/state
"$YORE" init --keystore in-store --recovery-file "$work/recovery" >/dev/null
root=no
[ "$(id -u)" = 0 ] && root=yes

# --- a million empty files in one folder
count=${YORE_TEST_MILLION:-1000000}
/usr/bin/python3 - "$work/million" "$count" <<'PY'
import os, sys
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])): os.close(os.open('%x' % (i * 2654435761 % 2**32), os.O_CREAT | os.O_WRONLY))
PY
start=$(date +%s)
run "$YORE" backup files million "$work/million" --json
expect 0 "a million files"
[ "$(field totals.files)" = "$count" ] || fail "$(field totals.files) of $count files"
echo "$count empty files: $(($(date +%s) - start)) s"
sleep 2.1
run "$YORE" backup files million "$work/million" --json # learns times
start=$(date +%s)
run /usr/bin/time -o "$work/time" -f %M "$YORE" backup files million "$work/million" --json
expect 0 "a million files again"
[ "$(field files_unchanged)" = "$count" ] || fail "$(field files_unchanged) of $count files known again"
echo "again: $(($(date +%s) - start)) s, $(($(cat "$work/time") / 1024)) MiB"
[ "$(cat "$work/time")" -lt $((512 * 1024)) ] || fail "it took $(cat "$work/time") KiB of memory"
[ "$("$YORE" ls million/latest | wc -l)" = "$count" ] || fail "ls does not list them all"
rm -rf "$work/million"

# --- a thousand folders deep, names of 255 bytes; with 64 descriptors
/usr/bin/python3 - "$work/deep" <<'PY'
import os, sys
os.mkdir(sys.argv[1]); os.chdir(sys.argv[1])
for i in range(1000):
    with open('file', 'w') as f: f.write('level %d\n' % i)
    for side in ('a-side', 'z-side'): os.mkdir(side)
    name = ('%04d' % i).ljust(255, 'd')
    os.mkdir(name); os.chdir(name)
PY
run bash -c 'ulimit -n 64; exec "$YORE" backup files deep "$0" --json' "$work/deep"
expect 0 "a deep tree"
[ "$(field totals.dirs)" = 3000 ] && [ "$(field totals.files)" = 1000 ] || fail "deep tree: $said"
"$YORE" restore deep/latest "$work/deep-back" >/dev/null 2>"$work/err" || fail "restore of a deep tree: $(cat "$work/err")"
/usr/bin/python3 - "$work/deep-back" <<'PY' || fail "the deep tree came back wrong"
import os, sys
os.chdir(sys.argv[1])
for i in range(1000):
    assert open('file').read() == 'level %d\n' % i, i
    assert sorted(os.listdir('.'))[0].startswith('%04d' % i) and len(os.listdir('.')) == 4, os.listdir('.')
    os.chdir(('%04d' % i).ljust(255, 'd'))
PY

# --- unreadable: listed, exit 2, not the old content
mkdir -p "$work/locked/folder"
echo old >"$work/locked/file"
echo fine >"$work/locked/fine"
echo below >"$work/locked/folder/below"
chmod -R a+rX "$work/locked"
if [ $root = yes ]; then
    chmod 755 "$work"
    as="setpriv --reuid 65534 --regid 65534 --clear-groups"
    mkdir "$work/nobody"
    chown 65534 "$work/nobody"
    as="env YORE_STORE=$work/nobody/store YORE_CACHE_DIR=$work/nobody/cache YORE_STATE_DIR=$work/nobody/state $as"
    $as "$YORE" init --keystore in-store --recovery-file "$work/nobody/recovery" >/dev/null
else
    as=env
fi
run $as "$YORE" backup files locked "$work/locked" --json
expect 0 "readable"
chmod 000 "$work/locked/file" "$work/locked/folder"
run $as "$YORE" backup files locked "$work/locked" --json
expect 2 "unreadable file and folder"
[ "$(field unreadable)" = 2 ] && [ "$(field partial)" = True ] || fail "unreadable: $said"
$as "$YORE" ls "locked/$(field name)" >"$work/list" 2>&1
grep -q fine "$work/list" || fail "the readable file is missing"
! grep -q '^file$' "$work/list" || fail "an unreadable file is in the snapshot"
chmod -R u+rwX "$work/locked"

# --- a file that never holds still: kept, reported; one that vanishes: a warning only
mkdir "$work/busy"
(
    exec 2>/dev/null
    while :; do echo "$RANDOM$RANDOM$RANDOM" >>"$work/busy/log"; done
) &
children=$!
(
    exec 2>/dev/null
    i=0
    while :; do
        : >"$work/busy/tmp$((i % 50))"
        rm -f "$work/busy/tmp$(((i + 25) % 50))"
        i=$((i + 1))
    done
) &
children="$children $!"
sleep 0.3
for i in 1 2 3 4 5; do
    run "$YORE" backup files busy "$work/busy" --json
    [ "$status" = 0 ] || expect 2 "a busy folder"
    "$YORE" cat "busy/$(field name)" log >"$work/log" 2>"$work/err" || fail "cat of a file that grew: $(cat "$work/err")"
    cmp -s "$work/log" <(head -c "$(stat -c %s "$work/log")" "$work/busy/log") || fail "a file that grew was stored wrong"
done
kill $children
wait $children 2>/dev/null || true
children=

# --- our own store, cache and state inside the tree; as the argument; an argument that is not there
mkdir "$work/self"
echo x >"$work/self/x"
YORE_STORE=$work/self/store YORE_CACHE_DIR=$work/self/cache YORE_STATE_DIR=$work/self/state \
    "$YORE" init --keystore in-store --recovery-file "$work/self-recovery" >/dev/null
run env YORE_STORE=$work/self/store YORE_CACHE_DIR=$work/self/cache YORE_STATE_DIR=$work/self/state "$YORE" backup files self "$work/self" --json
expect 0 "a tree with the store in it"
run env YORE_STORE=$work/self/store YORE_CACHE_DIR=$work/self/cache YORE_STATE_DIR=$work/self/state "$YORE" find self/latest '*'
grep -q '^/\?x$' <<<"$said" || fail "x is not in the snapshot: $said"
! grep -E 'packs|snapshots|catalog|runs' <<<"$said" || fail "own store, cache or state were backed up: $said"
run "$YORE" backup files self "$work/store/packs"
expect 1 "the store as argument"
run "$YORE" backup files self "$work/nothing-here"
expect 1 "an argument that is not there"

# --- the snapshot that the files cache is true of is gone: chunks are looked up, lists are read again, nothing is stored twice
mkdir "$work/again"
/usr/bin/python3 - "$work/again" <<'PY'
import os, random, sys
os.chdir(sys.argv[1]); rng = random.Random(9)
for name, size in (('small', 5000), ('middle', 3_000_000), ('other', 70_000)):
    with open(name, 'wb') as f: f.write(rng.randbytes(size))
os.link('other', 'linked')
os.setxattr('small', 'user.big', b'v' * 3500)
PY
sleep 2.1
"$YORE" backup files again "$work/again" >/dev/null 2>&1
run "$YORE" backup files again "$work/again" --json
[ "$(field files_unchanged)" = 4 ] || fail "not all known: $said"
newest=$(find "$work/store/snapshots" -type f -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
rm "$newest"
run "$YORE" backup files again "$work/again" --json
expect 0 "after the newest snapshot was lost"
[ "$(field files_unchanged)" = 3 ] || fail "one chunk each is known, a list is not: $said"
[ "$(field totals.new_bytes)" -lt 20000 ] || fail "stored again: $said"
"$YORE" restore again/latest "$work/again-back" >/dev/null 2>&1
diff -r "$work/again" "$work/again-back" || fail "the tree differs after the newest snapshot was lost"

# --- several arguments: each under its full path
mkdir -p "$work/many/a/b" "$work/many/c"
echo 1 >"$work/many/a/b/one"
echo 2 >"$work/many/c/two"
echo 3 >"$work/many/c/not"
chmod 750 "$work/many/a"
run "$YORE" backup files many "$work/many/a/b" "$work/many/c/two" --json
expect 0 "several arguments"
"$YORE" restore many/latest "$work/many-back" >/dev/null 2>&1
[ "$(cat "$work/many-back$work/many/a/b/one" "$work/many-back$work/many/c/two")" = "1
2" ] || fail "several arguments came back wrong"
[ ! -e "$work/many-back$work/many/c/not" ] || fail "a file that was not asked for"
[ "$(stat -c %a "$work/many-back$work/many/a")" = 750 ] || fail "the folder above an argument lost its mode"

# --- options that leave out
mkdir -p "$work/pick/cache" "$work/pick/keep"
echo 'Signature: 8a477f597d28d172789f06886806bc55' >"$work/pick/cache/CACHEDIR.TAG"
echo junk >"$work/pick/cache/junk"
head -c 5000 /dev/zero >"$work/pick/keep/large"
echo small >"$work/pick/keep/small"
echo old >"$work/pick/keep/old"
touch -d '2001-01-01' "$work/pick/keep/old"
run "$YORE" backup files pick "$work/pick" --exclude-caches --max-file-size 4K --newer-than 2020-01-01T00:00:00Z --json
expect 0 "left out"
"$YORE" restore pick/latest "$work/pick-back" >/dev/null 2>&1
[ "$(cd "$work/pick-back" && find . -type f | sort | tr '\n' ' ')" = "./cache/CACHEDIR.TAG ./keep/small " ] ||
    fail "left out: $(cd "$work/pick-back" && find . -type f)"
run "$YORE" backup files pick "$work/pick" --dry-run --json
expect 0 "dry run"
[ "$("$YORE" snapshots pick | wc -l)" = 1 ] || fail "a dry run made a snapshot"

# --- killed half-way: the next run finds the packs that were put
/usr/bin/python3 - "$work/big" <<'PY'
import os, random, sys
os.mkdir(sys.argv[1]); rng = random.Random(1)
for i in range(6000):
    with open('%s/f%d' % (sys.argv[1], i), 'wb') as f: f.write(rng.randbytes(60_000))
PY
export YORE_STORE=$work/killed
"$YORE" init --keystore in-store --recovery-file "$work/killed-recovery" >/dev/null
"$YORE" backup files big "$work/big" >/dev/null 2>&1 &
child=$!
# What is in a segment is known to the next run: a segment comes every two packs of 32 MiB.
for i in $(seq 3000); do
    [ "$(du -sb "$work/killed" | cut -f1)" -lt 230000000 ] || break
    kill -0 $child 2>/dev/null || break
    sleep 0.02
done
kill -9 $child 2>/dev/null || fail "the backup was over before it could be killed"
wait $child 2>/dev/null || true
put=$(du -sb "$work/killed" | cut -f1)
run "$YORE" backup files big "$work/big" --json
expect 0 "after a kill"
again=$(field totals.stored_bytes)
echo "killed after $put bytes; the next run stored $again of 360000000"
# Two packs that no segment names yet, and two that were being put.
[ "$again" -lt $((360000000 - put + 140000000)) ] || fail "the next run stored $again bytes again"
"$YORE" restore big/latest "$work/big-back" >/dev/null 2>&1
diff -rq "$work/big" "$work/big-back" || fail "the tree after a kill differs"
echo "no tree was too hostile"
