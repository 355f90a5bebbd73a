#!/bin/bash
# A damaged pack: its files are EIO, all others read well, and no wrong byte is ever shown.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir "$SRC"
make_store
# A pack a file: each from a run of its own.
for n in 1 2 3; do
    head -c 2000000 /dev/urandom >"$SRC/file-$n"
    name=$(backup web "$SRC")
done
# The data pack that came with file-2, by age.
pack=$(find "$STORE/packs" -type f -size +1000k -printf '%T@ %p\n' | sort -n | sed -n 2p | cut -d' ' -f2)
[ -n "$pack" ] || fail "no pack to damage"
size=$(stat -c %s "$pack")
python3 - "$pack" <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as file: # a byte in every 100,000: every frame of it
    size = file.seek(0, 2)
    for at in range(5000, size - 40000, 100000):
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))
PYTHON
[ "$(stat -c %s "$pack")" = "$size" ] || fail "the test is wrong"

"$YORE" mount "$MNT" -f 2>"$TMP/log" &
until_true test -d "$MNT/web/$name"
GOT=$MNT/web/$name
cmp "$SRC/file-1" "$GOT/file-1" || fail "file-1"
cmp "$SRC/file-3" "$GOT/file-3" || fail "file-3"
said=$(cat "$GOT/file-2" 2>&1 >"$TMP/read") && fail "file-2 read without an error"
[[ $said == *"Input/output error"* ]] || fail "not EIO: $said"
# Whatever came before the error is right.
cmp -n "$(stat -c %s "$TMP/read")" "$TMP/read" "$SRC/file-2" || fail "wrong bytes"
# And anywhere in it: right, or an error.
for at in $(seq 0 4096 1990000); do
    if dd if="$GOT/file-2" of="$TMP/piece" bs=4096 count=1 iflag=skip_bytes skip="$at" status=none 2>/dev/null; then
        cmp -i "0:$at" -n "$(stat -c %s "$TMP/piece")" "$TMP/piece" "$SRC/file-2" || fail "wrong bytes at $at"
    fi
done
grep -q 'read of inode' "$TMP/log" || fail "the log says nothing: $(cat "$TMP/log")"
grep -q "$(basename "$pack")" "$TMP/log" || fail "the log does not name the pack: $(cat "$TMP/log")"
errors=$(grep '^yore_mount_errors_total' "$MNT/.yore/metrics.prom" | awk '{n += $2} END {print n}')
[ "$errors" -gt 0 ] || fail "metrics count no error"
[ "$errors" = "$(grep -c 'of inode' "$TMP/log")" ] || fail "$errors failed requests, $(grep -c 'of inode' "$TMP/log") lines"

# Names and attributes are in other packs.
[ "$(stat -c %s "$GOT/file-2")" = 2000000 ] || fail "attributes of a damaged file"

# A pack that is gone: EIO too, and the others still read.
rm "$pack"
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
cat "$GOT/file-2" >/dev/null 2>&1 && fail "a file without its pack"
cmp "$SRC/file-1" "$GOT/file-1" || fail "file-1"
