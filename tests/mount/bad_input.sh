#!/bin/bash
# What people and machines do wrong: each ends with its exit status, one line that says what to do, and nothing half-done.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir "$SRC"
echo one >"$SRC/file"
head -c 300000 /dev/urandom >"$SRC/large"
make_store
first=$(backup web "$SRC")

trap 'kept=$?; umount -l "$TMP/small" "$TMP/read-only" 2>/dev/null || true; set +e; (exit $kept); finish' EXIT

# expect STATUS WORDS COMMAND...: exit status, words in what it says, on one line.
expect()
{
    local status=0 said
    said=$("${@:3}" 2>&1 >"$TMP/out") || status=$?
    [ "$status" = "$1" ] || fail "status $status, not $1, of: ${*:3}: $said"
    [[ $said == *"$2"* ]] || fail "no '$2' in what ${*:3} says: $said"
    [ "$(wc -l <<<"$said")" = 1 ] || fail "more than one line from ${*:3}: $said"
}
objects() { (cd "$STORE" && find . -type f | sort | sha256sum); }
before=$(objects)

# --- what was typed
expect 1 "no-such-command" "$YORE" no-such-command
expect 1 "--no-such" "$YORE" ls web/latest --no-such
expect 1 "--no-such" "$YORE" backup files web "$SRC" --no-such=3
expect 1 "--tag" "$YORE" backup files web "$SRC" --tag
expect 1 "--max-file-size" "$YORE" backup files web "$SRC" --max-file-size 10XB
expect 1 "--max-file-size" "$YORE" backup files web "$SRC" --max-file-size -1
expect 1 "--memory" "$YORE" backup files web "$SRC" --memory 99999999999999999999
expect 1 "--workers" "$YORE" backup files web "$SRC" --workers many
expect 1 "--compression" "$YORE" backup files web "$SRC" --compression 99
expect 1 "yesterdayish" "$YORE" backup files web "$SRC" --time yesterdayish
expect 1 "2026-13" "$YORE" backup files web "$SRC" --newer-than 2026-13-45
expect 1 "usage" "$YORE" backup files web
expect 1 "" "$YORE" backup files web "$TMP/nothing-here"
expect 1 "" "$YORE" backup files web "$SRC" --exclude-from "$TMP/nothing-here"
expect 1 "" "$YORE" ls web/19990101
expect 1 "" "$YORE" ls nobody/latest
expect 1 "" "$YORE" ls web/latest no-such-file
expect 1 "which store" env -u YORE_STORE "$YORE" snapshots
for name in '' . .. a/b 'a b' .hidden "$(printf '%0101d' 0)" $'new\nline' $'\e[31m'; do
    expect 1 "" "$YORE" backup files "$name" "$SRC"
done
expect 1 "files" "$YORE" backup stream web name -- echo
[ "$(objects)" = "$before" ] || [ "$("$YORE" snapshots web | wc -l)" = 1 ] || fail "something was stored"

# --- passwords and keys
YORE_PASSWORD=wrong expect 3 "passphrase" "$YORE" snapshots
# Within a second, by its own clock: the machine may have others to serve.
spent=$( (YORE_PASSWORD=wrong "$YORE" snapshots >"$TMP/out" 2>&1 || true; times) | tail -1 | sed -E 's/0m([0-9]+)\.([0-9]{3})s .*/\1\2/')
echo "a wrong password takes $((10#$spent)) ms"
[ $((10#$spent)) -le 1000 ] || fail "a wrong password takes $spent ms"
YORE_PASSWORD= expect 1 "empty" "$YORE" snapshots
echo secret >"$TMP/password"
chmod 644 "$TMP/password"
expect 3 "chmod 600 $TMP/password" env -u YORE_PASSWORD "$YORE" snapshots --password-file "$TMP/password"
chmod 600 "$TMP/password"
env -u YORE_PASSWORD "$YORE" snapshots --password-file "$TMP/password" >/dev/null
env -u YORE_PASSWORD "$YORE" snapshots --password-command "cat '$TMP/password'" >/dev/null
expect 3 "status 3" env -u YORE_PASSWORD "$YORE" snapshots --password-command "exit 3"
expect 1 "passphrase" env -u YORE_PASSWORD setsid "$YORE" snapshots
printf '[store]\nurl = %s\nno-such = 1\n' "$STORE" >"$TMP/conf"
chmod 600 "$TMP/conf"
expect 1 "$TMP/conf:3" "$YORE" snapshots --config "$TMP/conf"

# --- places that are no store
mkdir "$TMP/empty" "$TMP/full"
echo x >"$TMP/full/file"
for place in "$TMP/none" "$TMP/empty" "$TMP/full"; do
    expect 4 "" "$YORE" snapshots --store "$place"
    expect 4 "" "$YORE" backup files web "$SRC" --store "$place"
    expect 4 "" "$YORE" mount --store "$place" "$MNT"
done
[ ! -e "$TMP/none" ] && [ -z "$(ls "$TMP/empty")" ] && [ "$(ls "$TMP/full")" = file ] || fail "something was made there"
expect 1 "gopher" "$YORE" snapshots --store gopher://host/store

# --- init
expect 1 "" "$YORE" init --store "$TMP/full" --keystore in-store --recovery-file "$TMP/recovery-2"
[ "$(ls "$TMP/full")" = file ] && [ ! -e "$TMP/recovery-2" ] || fail "init over a folder in use"
expect 1 "" "$YORE" init --store "$STORE" --keystore in-store --recovery-file "$TMP/recovery-2"
expect 1 "recovery-file" "$YORE" init --store "$TMP/new" --keystore in-store
[ ! -e "$TMP/new" ] || fail "init without a place for the recovery key made a store"
cp "$TMP/recovery" "$TMP/recovery-kept"
expect 1 "never overwritten" "$YORE" init --store "$TMP/new" --keystore in-store --recovery-file "$TMP/recovery"
cmp "$TMP/recovery" "$TMP/recovery-kept" && [ ! -e "$TMP/new" ] || fail "the recovery file"

# --- a newer format: the version in its magic
cp -a "$STORE" "$TMP/newer"
/usr/bin/python3 - "$TMP/newer/yore" <<'PYTHON'
import sys
with open(sys.argv[1], 'r+b') as file:
    file.seek(8) # docs/format.md section 5: u16 version
    file.write(bytes([2, 0]))
PYTHON
YORE_STATE_DIR=$TMP/state-newer expect 6 "" "$YORE" snapshots --store "$TMP/newer"

# --- another store at the same place
YORE_STORE=$TMP/other "$YORE" init --keystore in-store --recovery-file "$TMP/recovery-other" >/dev/null
mv "$STORE" "$TMP/ours" && mv "$TMP/other" "$STORE"
expect 7 "--accept-store" "$YORE" snapshots
expect 7 "--accept-store" "$YORE" backup files web "$SRC"
id=$("$YORE" snapshots 2>&1 | grep -o -- '--accept-store [0-9a-f]*' | cut -d' ' -f2) || true
"$YORE" snapshots --accept-store "$id" >/dev/null
"$YORE" snapshots >/dev/null
mv "$STORE" "$TMP/other" && mv "$TMP/ours" "$STORE"
"$YORE" snapshots --accept-store "$(xxd -s 16 -l 16 -p "$STORE/yore")" >/dev/null

# --- the disk is full
mkdir "$TMP/small"
if mount -t tmpfs -o size=12m tmpfs "$TMP/small" 2>/dev/null; then
    export YORE_STORE=$TMP/small/store
    "$YORE" init --keystore in-store --recovery-file "$TMP/recovery-small" >/dev/null
    "$YORE" backup files web "$SRC" -q
    mkdir "$TMP/much"
    head -c 30000000 /dev/urandom >"$TMP/much/random"
    expect 5 "" "$YORE" backup files much "$TMP/much"
    [ "$("$YORE" snapshots | wc -l)" = 1 ] || fail "a snapshot of a full disk: $("$YORE" snapshots)"
    "$YORE" cat web/latest large | cmp - "$SRC/large"
    mount -o remount,size=80m "$TMP/small"
    "$YORE" backup files much "$TMP/much" -q
    "$YORE" cat much/latest random | cmp - "$TMP/much/random"
    "$YORE" check --read-data >"$TMP/said" || fail "check after a full disk: $(cat "$TMP/said")"
    export YORE_STORE=$STORE
    umount "$TMP/small"
else
    echo "no tmpfs here: a full disk is not tried"
fi

# --- a cache that cannot be written: told in one line, and nothing hangs
mkdir "$TMP/read-only"
if mount -t tmpfs -o size=1m tmpfs "$TMP/read-only" 2>/dev/null; then
    mount -o remount,ro "$TMP/read-only"
    status=0
    timeout 60 "$YORE" cat web/latest file --cache-dir "$TMP/read-only/cache" >"$TMP/out" 2>"$TMP/said" || status=$?
    [ $status = 0 ] && cmp -s "$TMP/out" "$SRC/file" || [ $status = 9 ] || [ $status = 5 ] || [ $status = 3 ] ||
        fail "a read-only cache: exit $status: $(cat "$TMP/said")"
    [ $status = 0 ] || [[ $(cat "$TMP/said") == *read-only* ]] || fail "a read-only cache: $(cat "$TMP/said")"
    umount "$TMP/read-only"
fi

# --- output that goes nowhere
for command in "ls web/latest" "snapshots" "cat web/latest file" "find file" "stats" "--help" "check --json"; do
    status=0
    "$YORE" $command >/dev/full 2>/dev/null || status=$?
    [ $status != 0 ] || fail "$command to /dev/full says nothing"
    status=0
    "$YORE" $command >&- 2>/dev/null || status=$?
    [ $status != 0 ] || fail "$command without standard output says nothing"
done

# --- few descriptors, no home, a signal
(ulimit -n 64 && "$YORE" backup files web "$SRC" -q && "$YORE" restore web/latest "$TMP/few" -q) || fail "64 descriptors"
cmp "$SRC/large" "$TMP/few/large"
env -u HOME "$YORE" snapshots >/dev/null || fail "without HOME"
mkdir "$TMP/slow"
for n in 1 2 3 4; do head -c 40000000 /dev/urandom >"$TMP/slow/$n"; done
"$YORE" backup files slow "$TMP/slow" -q >/dev/null 2>&1 &
writer=$!
sleep 0.7
kill -TERM $writer 2>/dev/null || true
status=0
wait $writer || status=$?
shown=$("$YORE" snapshots slow 2>/dev/null | wc -l) || true
[ $status = 0 ] && [ "$shown" = 1 ] || [ $status != 0 ] && [ "$shown" = 0 ] || fail "SIGTERM: exit $status, $shown snapshots"
"$YORE" backup files slow "$TMP/slow" -q
"$YORE" restore slow/latest "$TMP/slow-back" -q && same "$TMP/slow" "$TMP/slow-back"
rm -rf "$TMP/slow" "$TMP/slow-back"

# --- the cache: deleted while mounted, between commands, made into nonsense
"$YORE" mount "$MNT" --sync 60
rm -rf "$YORE_CACHE_DIR"
until_true cmp "$MNT/web/latest/large" "$SRC/large" # at once, or with the next look at the index, a second later
echo two >"$SRC/file"
second=$(backup web "$SRC")
until_true test -e "$MNT/web/$second/file"
[ "$(cat "$MNT/web/$second/file")" = two ] || fail "a mount whose cache was deleted"
"$YORE" umount "$MNT"
for damage in 'find "$YORE_CACHE_DIR" -name "*.db" -delete' 'find "$YORE_CACHE_DIR" -name "*.db" -exec truncate -s 5000 {} +' \
    'for f in $(find "$YORE_CACHE_DIR" -name "*.db"); do head -c 20000 /dev/urandom >"$f"; done' 'rm -rf "$YORE_CACHE_DIR"'; do
    eval "$damage"
    [ "$("$YORE" cat web/latest file 2>/dev/null)" = two ] || [ "$("$YORE" cat web/latest file)" = two ] || fail "cache: $damage"
    "$YORE" check >"$TMP/said" 2>&1 || fail "check, cache: $damage: $(cat "$TMP/said")"
done

# --- objects that are gone
for kind in packs index/00000001/d index/00000001/t snapshots; do
    object=$(find "$STORE/$kind" -type f | head -1)
    mv "$object" "$TMP/kept"
    rm -rf "$YORE_CACHE_DIR"
    status=0
    "$YORE" check >"$TMP/said" 2>&1 || status=$?
    if [ $kind = snapshots ]; then
        [ $status = 0 ] || [ $status = 7 ] || fail "a missing snapshot: exit $status: $(cat "$TMP/said")"
    else
        [ $status = 7 ] || fail "$object is gone: exit $status: $(cat "$TMP/said")"
        grep -q '^touched: ' "$TMP/said" || fail "$object is gone: no path is named: $(cat "$TMP/said")"
        readable=0
        for snapshot in web/latest "web/$first" slow/latest; do
            for file in file large 1 2; do
                "$YORE" cat "$snapshot" "$file" >"$TMP/out" 2>/dev/null || continue
                [ -s "$TMP/out" ] && readable=$((readable + 1))
            done
        done
        [ $readable -gt 0 ] || fail "$object is gone, and nothing can be read"
    fi
    mv "$TMP/kept" "$object"
done
rm -rf "$YORE_CACHE_DIR"
"$YORE" check --read-data >"$TMP/said" 2>&1 || fail "the store is not as it was: $(cat "$TMP/said")"
echo "all bad input was told"
