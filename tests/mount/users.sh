#!/bin/bash
# Who may look: owners and modes are as they were, and the kernel checks them.
. "$(dirname "$0")/common.sh"
other() { setpriv --reuid 4242 --regid 4242 --clear-groups --inh-caps=-all "$@"; }
other true 2>/dev/null || { echo "skipped: cannot become another user"; exit 77; }
SRC=$TMP/src
mkdir "$SRC" "$SRC/closed"
for file in open closed/inside mine secret acl; do echo "$file" >"$SRC/$file"; done
chmod 700 "$SRC/closed"
chmod 600 "$SRC/mine" "$SRC/secret" "$SRC/acl"
chown 4242:4242 "$SRC/mine"
setfacl -m u:4242:r "$SRC/acl"
make_store
name=$(backup web "$SRC")
chmod 755 "$TMP"
GOT=$MNT/web/$name

# Without allow_other: only us.
"$YORE" mount "$MNT"
[ "$(cat "$GOT/secret")" = secret ] || fail "root cannot read"
! other ls "$MNT" 2>/dev/null || fail "others can look"
"$YORE" umount "$MNT"

# With it: as the files say.
"$YORE" mount -o allow_other "$MNT"
[ "$(other cat "$GOT/open")" = open ] || fail "an open file"
[ "$(other cat "$GOT/mine")" = mine ] || fail "a file of theirs"
[ "$(other cat "$GOT/acl")" = acl ] || fail "a file their ACL lets them read"
! other cat "$GOT/secret" 2>/dev/null || fail "a secret file"
! other cat "$GOT/closed/inside" 2>/dev/null || fail "in a closed folder"
! other cat "$MNT/.yore/web/$name/SHA256SUMS" 2>/dev/null || fail "the names and hashes of all"
[ "$(other jq -r .totals.snapshots "$MNT/.yore/status.json")" = 1 ] || fail "status.json"
"$YORE" umount "$MNT"

# Overrides.
"$YORE" mount -o allow_other,uid=4242,gid=7,umask=077 "$MNT"
[ "$(stat -c '%u %g %a' "$GOT/open" "$GOT" "$MNT/web" | sort -u | tr '\n' ' ')" = "4242 7 600 4242 7 700 " ] || fail "uid=, gid=, umask=: $(stat -c '%u %g %a' "$GOT/open" "$GOT" "$MNT/web")"
[ "$(other cat "$GOT/secret")" = secret ] || fail "a file that is theirs now"
