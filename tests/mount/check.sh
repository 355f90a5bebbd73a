#!/bin/bash
# check: nothing to say about a good store; one byte changed in any object: exit 7, naming it and the paths it touches.
. "$(dirname "$0")/common.sh"
SRC=$TMP/src
mkdir -p "$SRC/texts" "$SRC/others"
head -c 1500000 /dev/urandom >"$SRC/others/big"
for n in $(seq 40); do echo "text $n" >"$SRC/texts/$n"; done
make_store
first=$(backup web "$SRC")
head -c 300000 /dev/urandom >"$SRC/others/later"
backup web "$SRC" >/dev/null
checked() { # [OPTION...]: status of check; what it says is in $TMP/said
    local got=0
    "$YORE" check "$@" >"$TMP/said" 2>&1 || got=$?
    echo $got
}
[ "$(checked)" = 0 ] || fail "a good store: $(cat "$TMP/said")"
[ "$(checked --read-data)" = 0 ] || fail "a good store, read: $(cat "$TMP/said")"
grep -qx 'no damage' "$TMP/said" || fail "it does not say so: $(cat "$TMP/said")"
[ "$(checked --read-data=0)" = 1 ] || fail "--read-data=0"

# Parts: each run takes up where the one before ended, so that a few cover all.
packs=$(find "$STORE/packs" -type f | wc -l)
read_so_far=0
for _ in $(seq "$packs"); do
    read=$("$YORE" check --read-data=1 --json | jq 'select(.finding == "done") | .bytes_read')
    read_so_far=$((read_so_far + read))
done
[ $read_so_far = "$(find "$STORE/packs" -type f -printf '%s\n' | awk '{n += $1} END {print n}')" ] ||
    fail "parts of 1 % read $read_so_far bytes in $packs runs"

# A byte in every object, wherever it lies.
objects=$(cd "$STORE" && find . -type f -printf '%P\n' | sort)
for object in $objects; do
    cp -p "$STORE/$object" "$TMP/keep"
    /usr/bin/python3 - "$STORE/$object" >"$TMP/where" <<'PYTHON'
import random, sys
with open(sys.argv[1], "r+b") as file:
    size = file.seek(0, 2)
    at = random.randrange(size)
    file.seek(at)
    byte = file.read(1)[0]
    file.seek(at)
    file.write(bytes([byte ^ 1 << random.randrange(8)]))
    print(f"byte {at} of {size}")
PYTHON
    status=$(checked --read-data)
    # (Without a hash in its name, an object that says it is of another version may be just that: 6, where the store cannot be opened.)
    case $object,$(cat "$TMP/where") in
    yore,byte\ [89]\ * | config/*,byte\ [89]\ * | certs/*,byte\ [89]\ * | keys/*,byte\ [89]\ *) [ "$status" = 6 ] && status=7 ;;
    esac
    [ "$status" = 7 ] || fail "$object damaged ($(cat "$TMP/where")): exit $status: $(cat "$TMP/said")"
    grep -qF "$(basename "$object")" "$TMP/said" || fail "$object is not named: $(cat "$TMP/said")"
    cp -p "$TMP/keep" "$STORE/$object"
done
[ "$(checked --read-data)" = 0 ] || fail "the store is not as it was: $(cat "$TMP/said")"

# Objects that are gone, cut short, or of another kind. The paths follow.
big=$(find "$STORE/packs" -type f -size +1000k | head -1)
mv "$big" "$TMP/pack"
[ "$(checked)" = 7 ] || fail "a pack is gone: $(cat "$TMP/said")"
grep -qF "$(basename "$big"): segments name it, and it is missing" "$TMP/said" || fail "not named: $(cat "$TMP/said")"
grep -q "^touched: web/$first: others/big: " "$TMP/said" || fail "the path is not named: $(cat "$TMP/said")"
! grep -q 'others/later' "$TMP/said" || fail "a path that is whole is named: $(cat "$TMP/said")"
"$YORE" check --json >"$TMP/json" || true
[ "$(jq -r 'select(.finding == "touched") | .snapshot + " " + .path' "$TMP/json" | grep -c 'others/big$')" = 2 ] ||
    fail "both snapshots hold it: $(cat "$TMP/json")"
head -c 1000000 "$TMP/pack" >"$big"
[ "$(checked)" = 7 ] || fail "a pack cut short: $(cat "$TMP/said")"
cp "$TMP/pack" "$big"
for kind in index snapshots; do
    object=$(find "$STORE/$kind" -type f | head -1)
    mv "$object" "$TMP/keep"
    : >"$object"
    [ "$(checked)" = 7 ] || fail "an empty object in $kind: $(cat "$TMP/said")"
    mv "$TMP/keep" "$object"
done
# A pack that nothing names is left over, not damage.
stray=$(dirname "$big")/00000000000000000000000000000000-$(printf '%064d' 0)
head -c 1000 /dev/zero >"$stray"
[ "$(checked)" = 0 ] || fail "an orphan is no damage: $(cat "$TMP/said")"
grep -q 'note: packs/.*in no segment' "$TMP/said" || fail "the orphan is not told: $(cat "$TMP/said")"
rm "$stray"
# A foreign file is not read at all; the store is whole.
[ "$(checked --read-data)" = 0 ] || fail "the store is not as it was: $(cat "$TMP/said")"
