#!/bin/bash
# What is not in a snapshot: .yore and its files, latest, names by time, df.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir "$SRC"
head -c 100000 /dev/urandom >"$SRC/file"
make_store
first=$(backup web "$SRC" --time 2026-01-02T03:04:05Z)
echo more >"$SRC/more"
second=$(backup web "$SRC" --time 2026-01-02T13:04:05Z)
"$YORE" mount "$MNT"

[ "$(ls -A "$MNT" | tr '\n' ' ')" = ".yore web " ] || fail "root: $(ls -A "$MNT")"
[ "$(ls -A "$MNT/.yore" | tr '\n' ' ')" = "metrics.prom status.json web " ] || fail ".yore: $(ls -A "$MNT/.yore")"
[ "$(ls -A "$MNT/.yore/web" | tr '\n' ' ')" = "$first $second " ] || fail ".yore/web: $(ls -A "$MNT/.yore/web")"
[ "$(ls -A "$MNT/.yore/web/$first" | tr '\n' ' ')" = "SHA256SUMS log manifest.json " ] || fail "files of a snapshot"
[ "$(stat -c %a "$MNT" "$MNT/.yore" "$MNT/web" "$MNT/.yore/web" "$MNT/.yore/web/$first" | sort -u)" = 755 ] || fail "modes of folders"
[ "$(stat -c %a "$MNT/.yore/web/$first"/* | sort -u)" = 400 ] || fail "modes of files that tell everything"
! ls "$MNT/nothing" 2>/dev/null && ! ls "$MNT/web/nothing" 2>/dev/null && ! ls "$MNT/.yore/web/$first/nothing" 2>/dev/null || fail "things that are not there"
[ "$(readlink "$MNT/web/latest")" = "$second" ] || fail "latest"
[ "$(find "$MNT" -xdev -printf '%i\n' | sort | uniq -d)" = "" ] || fail "a number twice"

# JSON, and what it says.
[ "$(jq -r '.totals.snapshots' "$MNT/.yore/status.json")" = 2 ] || fail "status.json: $(cat "$MNT/.yore/status.json")"
[ "$(jq -r '.services[0].name' "$MNT/.yore/status.json")" = web ] || fail "status.json: $(cat "$MNT/.yore/status.json")"
[ "$(jq -r '.service' "$MNT/.yore/web/$first/manifest.json")" = web ] || fail "manifest.json"
grep -qx 'yore_snapshots{service="web"} 2' "$MNT/.yore/metrics.prom" || fail "metrics.prom"
# The shape of Prometheus' text format.
! grep -vE '^# (HELP|TYPE) [a-z_0-9]+ .+$|^[a-z_0-9]+(\{[a-z]+="[^"]*"\})? [0-9]+$' "$MNT/.yore/metrics.prom" || fail "metrics.prom"
# It moves with what is read.
reads() { awk '/^yore_mount_read_bytes_total/ {print $2}' "$MNT/.yore/metrics.prom"; }
before=$(reads)
cat "$MNT/web/$first/file" >/dev/null
moved() { [ "$(reads)" -ge $((before + 100000)) ]; }
until_true moved

# A version is read whole however long it takes, while others read newer ones.
exec 7<"$MNT/.yore/metrics.prom"
head -c 100 <&7 >"$TMP/torn"
for n in 1 2 3 4 5; do
    cat "$MNT/web/$first/file" "$MNT/web/$second/file" "$MNT/.yore/metrics.prom" >/dev/null
    sleep 0.4
done
cat <&7 >>"$TMP/torn"
exec 7<&-
! grep -vE '^# (HELP|TYPE) [a-z_0-9]+ .+$|^[a-z_0-9]+(\{[a-z]+="[^"]*"\})? [0-9]+$' "$TMP/torn" || fail "a torn read"
tail -1 "$TMP/torn" | grep -q '^yore_newest_snapshot_age_seconds{service="web"} ' || fail "cut short"

# SHA256SUMS from any offset.
cp "$MNT/.yore/web/$second/SHA256SUMS" "$TMP/sums"
for at in 1 5 60 67 68 69 100; do
    dd if="$MNT/.yore/web/$second/SHA256SUMS" of="$TMP/part" bs=16 count=2 iflag=skip_bytes,direct skip=$at status=none 2>/dev/null ||
        dd if="$MNT/.yore/web/$second/SHA256SUMS" of="$TMP/part" bs=16 count=2 iflag=skip_bytes skip=$at status=none
    tail -c +$((at + 1)) "$TMP/sums" | head -c 32 | cmp - "$TMP/part" || fail "SHA256SUMS at $at"
done

# df: what the snapshots take, all of it used.
df -B1 --output=size,avail "$MNT" | tail -1 | { read -r size avail; [ "$size" -ge 100000 ] && [ "$avail" = 0 ]; } || fail "df: $(df -B1 "$MNT")"
"$YORE" umount "$MNT"

# Without hashes there is no file of them.
head -c 1000 /dev/urandom >"$SRC/third"
third=$(backup bare "$SRC" --no-file-hash)
"$YORE" mount "$MNT" --time-format '@GMT-%Y.%m.%d-%H.%M.%S'
[ "$(ls "$MNT/web" | tr '\n' ' ')" = "@GMT-2026.01.02-03.04.05 @GMT-2026.01.02-13.04.05 latest " ] || fail "names: $(ls "$MNT/web")"
cmp "$SRC/file" "$MNT/web/@GMT-2026.01.02-03.04.05/file" || fail "names by a format"
[ "$(readlink "$MNT/web/latest")" = "@GMT-2026.01.02-13.04.05" ] || fail "latest by a format"
[ "$(ls "$MNT/.yore/bare/"*)" = "log
manifest.json" ] || fail "SHA256SUMS without hashes: $(ls "$MNT/.yore/bare/"*)"
"$YORE" umount "$MNT"
# A day's snapshots under the day's name.
"$YORE" mount "$MNT" --time-format %Y-%m-%d
[ "$(ls "$MNT/web" | tr '\n' ' ')" = "2026-01-02 2026-01-02-2 latest " ] || fail "names: $(ls "$MNT/web")"
[ -e "$MNT/web/2026-01-02-2/more" ] && [ ! -e "$MNT/web/2026-01-02/more" ] || fail "names mixed up"
