#!/bin/bash
# The golden store, mounted, shows what tests/golden/expected.txt says: a store that no code of ours wrote.
. "$(dirname "$0")/common.sh"
cp -r "$HERE/../golden/store/." "$STORE"
export YORE_PASSWORD=golden
"$YORE" mount "$MNT" 2>"$TMP/log"
"$HERE/expected_tree.py" "$MNT" >"$TMP/got"
sed -E 's/^(snapshot [^ ]+) .*/\1/' "$HERE/../golden/expected.txt" >"$TMP/want"
# Two entries of a newer format: refused, and by a word of their own.
cat >"$TMP/refused" <<'END'
unreadable newer-directory: Operation not supported
unreadable newer.txt: Operation not supported
END
diff <(grep -v '^unreadable' "$TMP/got") "$TMP/want" || fail "the mount shows something else"
diff <(grep '^unreadable' "$TMP/got") "$TMP/refused" || fail "newer entries"
cd "$MNT"
for sums in .yore/*/*/SHA256SUMS; do
    snapshot=${sums#.yore/}
    snapshot=${snapshot%/SHA256SUMS}
    [[ $snapshot == future/* ]] && continue
    (cd "$snapshot" && sha256sum --quiet --strict -c "$MNT/$sums") || fail "$sums"
done
cd /
