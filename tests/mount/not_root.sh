#!/bin/bash
# A user who is not root mounts through fusermount3: only they can look, and all is theirs.
. "$(dirname "$0")/common.sh"
command -v fusermount3 >/dev/null || { echo "skipped: no fusermount3"; exit 77; }
getent passwd nobody >/dev/null || { echo "skipped: no user nobody"; exit 77; }
# Where /dev/fuse is root's alone, a copy of it for everybody, in mounts of our own.
mknod -m 666 "$TMP/fuse" c 10 229 2>/dev/null && unshare -m true 2>/dev/null || { echo "skipped: no mounts of our own"; exit 77; }
chmod 755 "$TMP"
mkdir "$TMP/home"
chown nobody "$TMP/home"
cat >"$TMP/steps" <<'STEPS'
set -euo pipefail
fail() { echo "FAILED: $*" >&2; exit 1; }
cd "$1"
export HOME=$1 YORE_PASSWORD=x YORE_STORE=$1/store YORE_CACHE_DIR=$1/cache YORE_STATE_DIR=$1/state
unset XDG_CACHE_HOME XDG_STATE_HOME XDG_CONFIG_HOME
mkdir src src/folder mnt
echo hi >src/file
chmod 640 src/file
"$YORE" init --store "$YORE_STORE" --keystore in-store --recovery-file "$1/recovery" >/dev/null
"$YORE" backup files web src -q >/dev/null
"$YORE" mount mnt
grep " $1/mnt " /proc/mounts | grep -q 'ro,nosuid,nodev,noexec' || fail "options: $(grep " $1/mnt " /proc/mounts)"
[ "$(cat mnt/web/latest/file)" = hi ] || fail "reading"
[ "$(stat -c '%U %a' mnt/web mnt/web/latest/file | tr '\n' ' ')" = "nobody 755 nobody 640 " ] || fail "owners"
"$YORE" umount mnt
! mountpoint -q mnt || fail "still mounted"
"$YORE" umount mnt 2>/dev/null && fail "unmounted twice"
# Killed, and mounted again over the dead mount.
"$YORE" mount -f mnt &
pid=$!
for n in $(seq 100); do [ -e mnt/web ] && break; sleep 0.1; done
kill -9 $pid
wait $pid 2>/dev/null || true
for n in $(seq 100); do ls mnt >/dev/null 2>&1 || break; sleep 0.1; done
"$YORE" mount mnt 2>/dev/null
[ "$(cat mnt/web/latest/file)" = hi ] || fail "after a dead mount"
"$YORE" umount mnt
STEPS
export YORE TMP
unshare -m bash -c '
    mount --make-rprivate / && mount --bind "$TMP/fuse" /dev/fuse &&
    setpriv --reuid nobody --regid nogroup --clear-groups bash "$TMP/steps" "$TMP/home"' || fail "the steps"
