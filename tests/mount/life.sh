#!/bin/bash
# A mount's beginnings and ends: background, foreground, signals, dead mounts, and places it refuses.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir "$SRC"
echo one >"$SRC/file"
make_store
name=$(backup web "$SRC")

# expect STATUS WORDS COMMAND...: exit status, and words in what it says.
expect()
{
    local status=0 said
    said=$("${@:3}" 2>&1) || status=$?
    [ "$status" = "$1" ] || fail "status $status, not $1, of: ${*:3}: $said"
    [[ $said == *"$2"* ]] || fail "no '$2' in: $said"
}
unmounted() { ! mountpoint -q "$MNT"; }
nobody() { [ -z "$(serving)" ]; }

# In the background: it answers when the command returns, nothing of it stays open here, and umount ends it.
"$YORE" mount "$MNT" </dev/null | cat
[ "$(cat "$MNT/web/$name/file")" = one ] || fail "not there when mount returned"
[ "$(serving | wc -l)" = 1 ] || fail "not one process: $(serving)"
expect 1 "already" "$YORE" mount "$MNT"
cd "$MNT/web"
expect 9 "in use" "$YORE" umount "$MNT"
cd /
"$YORE" umount "$MNT"
unmounted || fail "still mounted"
until_true nobody
expect 1 "no mount of yore" "$YORE" umount "$MNT"
expect 1 "no mount of yore" "$YORE" umount /proc

# By umount(8).
"$YORE" mount "$MNT"
umount "$MNT"
until_true nobody

# In the foreground, ended by each signal, also while somebody has a file open.
for signal in TERM HUP INT; do
    # (A shell without job control starts background commands with SIGINT ignored: python puts it back.)
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$YORE" mount -f "$MNT" &
    pid=$!
    until_true test -e "$MNT/web/$name/file"
    exec 7<"$MNT/web/$name/file"
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    [ $status = 0 ] || fail "status $status after SIG$signal"
    unmounted || fail "still mounted after SIG$signal"
    exec 7<&-
done

# Killed: the mount is dead; the next mount clears it away, and so does umount.
kill_it()
{
    local pid
    pid=$(serving)
    [ -n "$pid" ] || fail "nobody serves"
    kill -9 $pid
    dead() { ! stat "$MNT" >/dev/null 2>&1; }
    until_true dead
}
"$YORE" mount "$MNT"
kill_it
[[ $(ls "$MNT" 2>&1) == *"not connected"* ]] || fail "not dead"
"$YORE" mount "$MNT"
[ "$(cat "$MNT/web/$name/file")" = one ] || fail "after a dead mount"
[ "$(grep -c " $MNT fuse.yore" /proc/mounts)" = 1 ] || fail "the dead mount is still below"
kill_it
"$YORE" umount "$MNT"
unmounted || fail "a dead mount stays"

# What cannot be: told on the terminal of who asked, although the work is done in the background.
expect 1 "store" "$YORE" mount "$STORE"
expect 1 "store" "$YORE" mount "$TMP"
mkdir "$STORE/below" && expect 1 "store" "$YORE" mount "$STORE/below" && rmdir "$STORE/below"
expect 1 "cache" "$YORE" mount "$YORE_CACHE_DIR"
expect 1 "directory" "$YORE" mount "$SRC/file"
"$YORE" mount "$TMP/none" 2>/dev/null && fail "mounted on nothing"
expect 1 "%H" "$YORE" mount --time-format %H "$MNT"
YORE_PASSWORD=wrong expect 3 "pass" "$YORE" mount "$MNT"
expect 4 "" "$YORE" mount --store "$TMP/no-store" "$MNT"
unmounted || fail "something is mounted"
until_true nobody

# Names with blanks and the like; a relative path.
mkdir "$TMP/a b\\c"
cd "$TMP"
"$YORE" mount 'a b\c'
[ "$(cat "a b\\c/web/latest/file")" = one ] || fail "a mountpoint with a blank"
"$YORE" umount 'a b\c'
