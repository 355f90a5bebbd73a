#!/bin/bash
# Every kind of file comes back with every attribute as it was.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir "$SRC"
cd "$SRC"

# Plain, empty, large enough for a list of chunks, of 255 bytes in the name, of any byte in the name.
echo plain >plain
: >empty
head -c 3000000 /dev/urandom >large
mkdir names
echo x >"names/$(printf 'n%.0s' $(seq 255))"
for c in 1 2 3 9 10 13 27 32 34 39 42 63 92 127 128 192 255; do
    echo "$c" >"names/$(printf "byte \\x$(printf %02x "$c") byte")"
done
echo x >names/-dash
echo x >'names/*'
# Links: two names, three names in other folders, a linked symlink; symlinks relative, dangling, long.
mkdir -p links/deep/er
echo two >links/two
ln links/two links/two-again
echo three >links/deep/three
ln links/deep/three links/deep/er/three
ln links/deep/three names/three
ln -s ../plain links/relative
ln -s /nowhere/at/all links/dangling
ln -P links/dangling links/dangling-again
ln -s "$(printf 'l/%.0s' $(seq 2000))end" links/long
# Sparse: a hole first, in the middle, last; nothing but hole.
truncate -s 10M sparse
printf middle | dd of=sparse bs=1 seek=5242880 conv=notrunc status=none
printf first >sparse-end
truncate -s 7M sparse-end
truncate -s 1G all-hole
# Devices and their like.
mkdir devices
mknod devices/null c 1 3
mknod devices/block b 259 70000
mkfifo devices/fifo
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("devices/socket")'
# Modes, owners, times.
mkdir modes
for mode in 0000 0400 0644 0777 1644 2755 4755 6711; do
    echo $mode >modes/$mode
    chmod $mode modes/$mode
done
mkdir -m 1777 modes/sticky
mkdir -m 2750 modes/setgid
echo x >modes/owned
chown 12345:4294967294 modes/owned
chown -h 7:8 links/relative
touch -d '1969-12-31T23:59:58.500000001Z' modes/before-1970
touch -d '2200-01-01T00:00:00.999999999Z' modes/after-2106
touch -h -d '2001-02-03T04:05:06.070809010Z' links/dangling
# Extended attributes: text, empty, binary, large; ACLs; a capability.
mkdir xattrs
echo x >xattrs/file
setfattr -n user.text -v 'some words' xattrs/file
setfattr -n user.empty xattrs/file
setfattr -n user.binary -v 0x0001ff00 xattrs/file
setfattr -n user.large -v "$(head -c 3000 /dev/zero | tr '\0' x)" xattrs/file
setfattr -n trusted.ours -v yes xattrs/file
setfattr -n user.on-a-folder -v yes xattrs
echo x >xattrs/acl
setfacl -m u:1234:rwx,g:5678:r-x,m::rw xattrs/acl
mkdir xattrs/acl-folder
setfacl -m u:1234:rwx -d -m u:1234:r-x xattrs/acl-folder
echo x >xattrs/capable
setcap cap_net_bind_service+ep xattrs/capable 2>/dev/null || echo "(no setcap here)"
# Deep, and wide.
(d=.; for i in $(seq 300); do d=$d/d; done; mkdir -p "deep/$d"; echo bottom >"deep/$d/bottom")
mkdir wide
(cd wide; seq -f 'file-%05.0f' 3000 | xargs touch)
touch -d '2020-01-01T00:00:00Z' "$SRC"
cd /

make_store
name=$(backup all "$SRC")
"$YORE" mount "$MNT" -o allow_other
GOT=$MNT/all/$name

same "$SRC" "$GOT"
# What rsync does not compare: blocks, nanoseconds, kinds, device numbers, link counts of files.
stats()
{
    (cd "$1" && find . -printf '%p\0%y %m %U %G %s %T@ %l' -a \( -type d -printf '\n' -o -printf ' %n\n' \) | sort)
}
diff <(stats "$SRC" | sed -E '/ [0-9.]+ *$/s/^(.*\x00d [0-9]+ [0-9]+ [0-9]+) [0-9]+/\1/') \
     <(stats "$GOT" | sed -E '/ [0-9.]+ *$/s/^(.*\x00d [0-9]+ [0-9]+ [0-9]+) [0-9]+/\1/') || fail "stat differs"
for device in null block; do
    [ "$(stat -c %t:%T "$SRC/devices/$device")" = "$(stat -c %t:%T "$GOT/devices/$device")" ] || fail "device number of $device"
done
each() { (cd "$1" && find . -print0 | sort -z | xargs -0 "${@:2}" 2>/dev/null) || true; }
each "$SRC" getfattr -h -d -m - >"$TMP/xattrs.src"
each "$GOT" getfattr -h -d -m - >"$TMP/xattrs.got"
grep -q trusted.ours "$TMP/xattrs.src" || fail "the source has no attributes"
diff "$TMP/xattrs.src" "$TMP/xattrs.got" || fail "extended attributes differ"
each "$SRC/xattrs" getfacl >"$TMP/acl.src"
each "$GOT/xattrs" getfacl >"$TMP/acl.got"
diff "$TMP/acl.src" "$TMP/acl.got" || fail "ACLs differ"

# Names of one file have one number; others have their own; numbers do not change.
[ "$(find "$GOT" -printf '%i\n' | sort | uniq -d | wc -l)" = 3 ] || fail "three link groups, not $(find "$GOT" -printf '%i\n' | sort | uniq -d | wc -l)"
[ "$(stat -c %i "$GOT/links/two")" = "$(stat -c %i "$GOT/links/two-again")" ] || fail "numbers of a linked file"
find "$GOT" -printf '%i %p\n' | sort >"$TMP/numbers"

# Holes: where they were, and what they cost.
holes()
{
    python3 - "$1" <<'PYTHON'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
at, size, runs = 0, os.fstat(fd).st_size, []
while at < size:
    try:
        data = os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        runs.append(("hole to the end", error.errno))
        break
    at = os.lseek(fd, data, os.SEEK_HOLE)
    runs.append((data, at))
try:
    os.lseek(fd, size, os.SEEK_HOLE)
except OSError as error:
    runs.append(error.errno)
print(size, runs)
PYTHON
}
for file in sparse sparse-end all-hole plain large empty; do
    [ "$(holes "$SRC/$file")" = "$(holes "$GOT/$file")" ] || fail "holes of $file: $(holes "$SRC/$file"), not $(holes "$GOT/$file")"
done
[ "$(stat -c %b "$GOT/all-hole")" = 0 ] || fail "blocks of a hole"

# Hashes: the file of all, and one by one.
(cd "$GOT" && sha256sum --quiet --strict -c "../../.yore/all/$name/SHA256SUMS") || fail "SHA256SUMS"
[ "$(wc -l <"$MNT/.yore/all/$name/SHA256SUMS")" = "$(find "$SRC" -type f -printf x | wc -c)" ] || fail "lines of SHA256SUMS"
[ "$(stat -c %s "$MNT/.yore/all/$name/SHA256SUMS")" = "$(wc -c <"$MNT/.yore/all/$name/SHA256SUMS")" ] || fail "size of SHA256SUMS"
[ "$(getfattr --only-values -n user.yore.sha256 "$GOT/plain" 2>/dev/null)" = "$(sha256sum <"$SRC/plain" | cut -d' ' -f1)" ] || fail "user.yore.sha256"
[ "$(getfattr --only-values -n user.yore.snapshot "$GOT/plain" 2>/dev/null)" = "all/$name" ] || fail "user.yore.snapshot"
getfattr -d -m - "$GOT/plain" 2>/dev/null | grep -q yore && fail "user.yore.* is listed"
said=$(getfattr -n user.none "$GOT/plain" 2>&1) && fail "an attribute that is not there"
[[ $said == *"No such attribute"* ]] || fail "an attribute that is not there: $said"

# Nothing can be written.
! touch "$GOT/plain" 2>/dev/null || fail "touch worked"
! : 2>/dev/null >"$GOT/more" || fail "a new file"
mount | grep " $MNT " | grep -q 'ro,nosuid,nodev,noexec' || fail "mount options"

# The same numbers in the next mount.
"$YORE" umount "$MNT"
"$YORE" mount "$MNT"
find "$GOT" -printf '%i %p\n' | sort | diff "$TMP/numbers" - || fail "inode numbers changed"
