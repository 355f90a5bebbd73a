#!/bin/bash
# mount.yore, called as mount(8) calls it: the store first, the mountpoint, options with a comma between.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir "$SRC"
echo inside >"$SRC/file"
make_store
backup web "$SRC" >/dev/null
ln -s "$(readlink -f "$YORE")" "$TMP/mount.yore"
(umask 077 && printf '%s\n' "$YORE_PASSWORD" >"$TMP/password")
cache=$YORE_CACHE_DIR state=$YORE_STATE_DIR store=$YORE_STORE

helper() { env -u YORE_PASSWORD -u YORE_STORE -u YORE_CACHE_DIR -u YORE_STATE_DIR "$TMP/mount.yore" "$@"; }

helper "$store" "$MNT" -o "rw,noatime,nofail,_netdev,x-systemd.automount,allow_other,password-file=$TMP/password,cache-dir=$cache,state-dir=$state"
[ "$(cat "$MNT/web/latest/file")" = inside ] || fail "nothing is mounted"
grep -q " $MNT fuse.yore ro," /proc/mounts || fail "not read-only: $(grep "$MNT" /proc/mounts)"
umount "$MNT"

# What mount(8) shows of a failure is our sentence, and 32.
status=0
helper "$store" "$MNT" -o "password-file=$TMP/none" 2>"$TMP/said" || status=$?
[ $status = 32 ] || fail "exit $status for a password file that is not there"
grep -q "$TMP/none" "$TMP/said" || fail "the file is not named: $(cat "$TMP/said")"
status=0
helper "$store" "$MNT" -o "no-such-option" 2>"$TMP/said" || status=$?
[ $status = 32 ] && grep -q no-such-option "$TMP/said" || fail "an unknown option: $status, $(cat "$TMP/said")"
