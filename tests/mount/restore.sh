#!/bin/bash
# restore: what goes where, what is there already, what is damaged, who may do what.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir -p "$SRC/etc/deep/er" "$SRC/home"
echo one >"$SRC/etc/one"
echo two >"$SRC/etc/deep/two"
ln "$SRC/etc/one" "$SRC/etc/deep/er/one-too"
ln -s ../one "$SRC/etc/deep/link"
head -c 3000000 /dev/urandom >"$SRC/home/big"
chown 1234:1234 "$SRC/home" "$SRC/etc/deep/two"
chmod 4750 "$SRC/etc/deep/two"
mkdir "$SRC/home/devices" # (same compares what lies there by its attributes only)
mkfifo "$SRC/home/devices/fifo"
make_store
snap=web/$(backup web "$SRC")
status_is() { # EXPECTED COMMAND...: its exit status; what it says is in $TMP/said
    local want=$1 got=0
    shift
    "$@" >"$TMP/said" 2>&1 || got=$?
    [ $got = "$want" ] || fail "exit $got, not $want, of: $*: $(cat "$TMP/said")"
}
no_leftovers() { [ -z "$(find "$1" -name '.yore-*')" ] || fail "dot names are left in $1"; }

# All of it; into a folder that is missing, and into one that is empty.
status_is 0 "$YORE" restore "$snap" "$TMP/all/below"
same "$SRC" "$TMP/all/below"
mkdir "$TMP/empty"
status_is 0 "$YORE" restore "$snap" "$TMP/empty"
same "$SRC" "$TMP/empty"
no_leftovers "$TMP"

# One directory: its contents. One file: becomes the target, or goes into it.
status_is 0 "$YORE" restore "$snap" etc/deep "$TMP/deep"
[ "$(ls "$TMP/deep" | tr '\n' ' ')" = "er link two " ] || fail "contents of a directory"
status_is 0 "$YORE" restore "$snap" /etc/one "$TMP/one"
cmp "$SRC/etc/one" "$TMP/one"
mkdir "$TMP/into"
status_is 0 "$YORE" restore "$snap" etc/one "$TMP/into"
cmp "$SRC/etc/one" "$TMP/into/one"

# Several keep their paths; folders on the way get their attributes, and may be there.
status_is 0 "$YORE" restore "$snap" etc/one home/big etc/deep/er "$TMP/several"
[ "$(cd "$TMP/several" && find . -type f | sort | tr '\n' ' ')" = "./etc/deep/er/one-too ./etc/one ./home/big " ] || fail "several paths"
[ "$(stat -c %u "$TMP/several/home")" = 1234 ] || fail "a folder on the way has another owner"
[ "$TMP/several/etc/one" -ef "$TMP/several/etc/deep/er/one-too" ] || fail "a link across paths"
status_is 0 "$YORE" restore "$snap" etc/deep/two etc/deep/link "$TMP/several"

# A name that is there already: all are listed, nothing is written, exit 1.
mkdir -p "$TMP/clash/etc"
echo mine >"$TMP/clash/etc/one"
echo mine >"$TMP/clash/other"
find "$TMP/clash" -printf '%p %T@ %m\n' >"$TMP/before"
status_is 1 "$YORE" restore "$snap" "$TMP/clash"
grep -qx 'exists: etc/one' "$TMP/said" || fail "the clash is not listed: $(cat "$TMP/said")"
find "$TMP/clash" -printf '%p %T@ %m\n' | cmp - "$TMP/before" || fail "something was written"
status_is 1 "$YORE" restore "$snap" etc/one "$TMP/clash/other"
status_is 1 "$YORE" restore "$snap" etc/one home "$TMP/clash"
# A folder with other names in it is welcome.
mkdir "$TMP/others"
echo mine >"$TMP/others/mine"
status_is 0 "$YORE" restore "$snap" "$TMP/others"
[ "$(cat "$TMP/others/mine")" = mine ] || fail "a file of ours is gone"

# changed: what differs is replaced, what does not is left alone. always: all. --delete: nothing else stays.
inode=$(stat -c %i "$TMP/all/below/home/big")
echo changed >"$TMP/all/below/etc/one"
chmod 600 "$TMP/all/below/home/big"
status_is 0 "$YORE" restore --overwrite=changed "$snap" "$TMP/all/below"
same "$SRC" "$TMP/all/below"
[ "$(stat -c %i "$TMP/all/below/home/big")" = "$inode" ] || fail "an unchanged file was replaced"
mkdir -p "$TMP/all/below/stray/a/b"
echo x >"$TMP/all/below/etc/stray"
rm "$TMP/all/below/etc/deep/link"
mkdir "$TMP/all/below/etc/deep/link"
status_is 1 "$YORE" restore --delete "$snap" "$TMP/all/below"
status_is 0 "$YORE" restore --overwrite=always --delete --dry-run "$snap" "$TMP/all/below"
grep -qx 'removed: etc/stray' "$TMP/said" || fail "a dry run does not say what it would remove: $(cat "$TMP/said")"
[ -e "$TMP/all/below/etc/stray" ] || fail "a dry run removed something"
status_is 9 "$YORE" restore --overwrite=always "$snap" "$TMP/all/below"
grep -q '^failed: etc/deep/link' "$TMP/said" || fail "a folder in the way: $(cat "$TMP/said")"
status_is 0 "$YORE" restore --overwrite=always --delete "$snap" "$TMP/all/below"
same "$SRC" "$TMP/all/below"
[ "$(stat -c %i "$TMP/all/below/home/big")" != "$inode" ] || fail "always did not replace a file"

# Never through a link: neither one in the target nor one on the way.
mkdir "$TMP/outside" "$TMP/trap"
ln -s "$TMP/outside" "$TMP/trap/etc"
status_is 1 "$YORE" restore "$snap" "$TMP/trap"
status_is 1 "$YORE" restore "$snap" etc/one home/big "$TMP/trap"
status_is 0 "$YORE" restore --overwrite=always "$snap" "$TMP/trap"
[ -z "$(ls -A "$TMP/outside")" ] || fail "restore went through a link"
[ -d "$TMP/trap/etc" ] && [ ! -L "$TMP/trap/etc" ] || fail "the link was not replaced"
# Not into the store, nor its cache; no such path; nothing made then.
status_is 1 "$YORE" restore "$snap" "$STORE/restored"
status_is 1 "$YORE" restore "$snap" "$YORE_CACHE_DIR/$(ls "$YORE_CACHE_DIR" | head -1)/below"
status_is 1 "$YORE" restore "$snap" no/such "$TMP/never"
status_is 1 "$YORE" restore "$snap" ../etc "$TMP/never"
status_is 0 "$YORE" restore --dry-run "$snap" "$TMP/never"
[ ! -e "$TMP/never" ] || fail "it made the target"

# Names of 255 bytes, any bytes, a thousand folders deep: beyond PATH_MAX.
/usr/bin/python3 - "$TMP" <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
os.mkdir("deep-src")
at = os.open("deep-src", os.O_RDONLY)
for level in range(1000):
    os.mkdir("level-%04d" % level, dir_fd=at)
    below = os.open("level-%04d" % level, os.O_RDONLY, dir_fd=at)
    os.close(at)
    at = below
with os.fdopen(os.open(b"\xff" * 255, os.O_CREAT | os.O_WRONLY, dir_fd=at), "w") as file:
    file.write("bottom")
PYTHON
deep=deep/$(backup deep "$TMP/deep-src")
status_is 0 "$YORE" restore "$deep" "$TMP/deep-out"
/usr/bin/python3 - "$TMP/deep-out" <<'PYTHON'
import os, sys
at = os.open(sys.argv[1], os.O_RDONLY)
for level in range(1000):
    at, above = os.open("level-%04d" % level, os.O_RDONLY, dir_fd=at), at
    os.close(above)
with os.fdopen(os.open(b"\xff" * 255, os.O_RDONLY, dir_fd=at)) as file:
    assert file.read() == "bottom"
PYTHON

# Not root: one warning, exit 0; --strict 2. Set-id bits go with the owner they were given to.
chmod 755 "$TMP"
chmod -R a+rX "$STORE"
mkdir "$TMP/nobody"
chown nobody "$TMP/nobody"
cp "$YORE" "$TMP/yore"
as_nobody() {
    setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$TMP/nobody" YORE_CACHE_DIR="$TMP/nobody/cache" \
        YORE_STATE_DIR="$TMP/nobody/state" "$TMP/yore" "$@"
}
status_is 0 as_nobody restore "$snap" "$TMP/nobody/out"
[ "$(grep -c warning "$TMP/said")" = 1 ] || fail "not one warning: $(cat "$TMP/said")"
[ "$(stat -c '%U %a' "$TMP/nobody/out/etc/deep/two")" = "nobody 750" ] || fail "a set-uid file of somebody else's"
status_is 2 as_nobody restore --strict "$snap" "$TMP/nobody/out2"

# Damage: the file is left out and named, exit 7; all else is there.
pack=$(find "$STORE/packs" -type f -size +1000k | head -1)
printf 'X' | dd of="$pack" bs=1 seek=1500000 conv=notrunc status=none
status_is 7 "$YORE" restore "$snap" "$TMP/damaged"
grep -q '^damaged: home/big: .*packs/' "$TMP/said" || fail "the damaged file and its pack are not named: $(cat "$TMP/said")"
[ ! -e "$TMP/damaged/home/big" ] || fail "a damaged file was restored"
cmp "$SRC/etc/one" "$TMP/damaged/etc/one" || fail "another file is missing"
no_leftovers "$TMP/damaged"
"$YORE" restore --json "$snap" "$TMP/damaged2" >"$TMP/json" && fail "exit 0 in spite of damage"
[ "$(jq -r 'select(.event == "damaged") | .path' "$TMP/json")" = home/big ] || fail "JSON does not name it: $(cat "$TMP/json")"
