#!/bin/bash
# New snapshots appear in a mount, forgotten ones vanish, latest follows; made by others too.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir "$SRC"
echo one >"$SRC/file"
make_store
first=$(backup web "$SRC" --time 2026-01-02T03:04:05Z)
"$YORE" mount "$MNT" --sync 1
[ "$(ls "$MNT")" = web ] || fail "services: $(ls "$MNT")"
[ "$(ls "$MNT/web" | tr '\n' ' ')" = "$first latest " ] || fail "snapshots: $(ls "$MNT/web")"
[ "$(cat "$MNT/web/latest/file")" = one ] || fail "latest"

# By the same machine, whose index the mount shares.
echo two >"$SRC/file"
second=$(backup web "$SRC" --time 2026-01-02T03:05:05Z)
until_true test -d "$MNT/web/$second"
[ "$(readlink "$MNT/web/latest")" = "$second" ] || fail "latest is $(readlink "$MNT/web/latest")"
[ "$(cat "$MNT/web/latest/file")" = two ] || fail "latest"
[ "$(cat "$MNT/web/$first/file")" = one ] || fail "the first changed"
listed() { ls "$MNT/$1" | grep -qx "$2"; }
until_true listed web "$second"
until_true listed .yore/web "$second"

# By another machine: nothing but the store in common.
echo three >"$SRC/file"
YORE_CACHE_DIR=$TMP/other-cache YORE_STATE_DIR=$TMP/other-state "$YORE" backup files web "$SRC" --time 2026-01-02T03:06:05Z -q >/dev/null
third=20260102T030605Z
until_true listed web "$third"
[ "$(cat "$MNT/web/latest/file")" = three ] || fail "latest"
YORE_CACHE_DIR=$TMP/other-cache YORE_STATE_DIR=$TMP/other-state "$YORE" backup files mail "$SRC" -q >/dev/null
until_true listed . mail
until_true listed .yore mail

# Two in one second.
echo four >"$SRC/file"
backup web "$SRC" --time 2026-01-02T03:06:05Z >/dev/null
until_true listed web "$third-2"
[ "$(cat "$MNT/web/$third-2/file")" = four ] || [ "$(cat "$MNT/web/$third/file")" = four ] || fail "the second of a second"

# Forgotten while somebody has a file of it open: what was read stays, the name goes.
exec 7<"$MNT/web/$second/file"
rm "$STORE"/snapshots/*/*/20260102T030505Z-*
gone() { ! listed web "$second" && ! listed .yore/web "$second" && ! test -e "$MNT/web/$second"; }
until_true gone
[ "$(cat <&7)" = two ] || fail "an open file of a forgotten snapshot"
exec 7<&-
[ "$(cat "$MNT/web/$first/file")" = one ] || fail "the others stay"

# A service goes with its last snapshot.
mail=$("$YORE" snapshots mail --json | jq -r .id | tail -1)
find "$STORE/snapshots" -name "*-$mail" -delete
no_mail() { ! listed . mail && ! listed .yore mail; }
until_true no_mail
