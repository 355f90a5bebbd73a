# What the tests in this folder begin with: `. "$(dirname "$0")/common.sh"`.
#
#   $YORE   the program under test (meson sets it)      $TMP  a folder of the test's own, gone at the end
#   $STORE, $MNT   a store and a mountpoint in it
#
# A test that fails says why on its last line: use `fail`, or let `set -e` and the line number tell.
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC
: "${YORE:?the program under test}"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

[ -c /dev/fuse ] && [ -w /dev/fuse ] || { echo "skipped: no /dev/fuse"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: not root"; exit 77; }

TMP=$(mktemp -d "${TMPDIR:-/tmp}/yore-mount.XXXXXX")
STORE=$TMP/store MNT=$TMP/mnt
export YORE_PASSWORD=secret YORE_CACHE_DIR=$TMP/cache YORE_STATE_DIR=$TMP/state YORE_STORE=$STORE
mkdir "$MNT"

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# The pid of the process that serves $MNT: of those this test started only.
serving()
{
    local dir
    for dir in /proc/[0-9]*; do
        # It has our store in its environment and /dev/fuse open.
        tr '\0' '\n' 2>/dev/null <"$dir/environ" | grep -qx "YORE_STORE=$YORE_STORE" || continue
        [ "$(readlink "$dir/exe" 2>/dev/null)" = "$(readlink -f "$YORE")" ] || continue
        find "$dir/fd" -lname /dev/fuse 2>/dev/null | grep -q . && basename "$dir"
    done
    return 0
}

finish()
{
    local status=$? pid
    trap - EXIT
    cd /
    for _ in 1 2 3; do
        mountpoint -q "$MNT" 2>/dev/null || stat "$MNT" >/dev/null 2>&1 || umount -l "$MNT" 2>/dev/null || true
        ! mountpoint -q "$MNT" 2>/dev/null || umount -l "$MNT" 2>/dev/null || true
    done
    for pid in $(serving); do kill "$pid" 2>/dev/null || true; done
    rm -rf --one-file-system "$TMP"
    exit $status
}
trap finish EXIT
set -E
trap 'echo "FAILED: line $LINENO of $0: $BASH_COMMAND" >&2' ERR

# A new store at $STORE.
make_store()
{
    "$YORE" init --store "$STORE" --keystore in-store --recovery-file "$TMP/recovery" >/dev/null
}

# backup SERVICE PATH... ; prints the snapshot's name.
backup()
{
    "$YORE" backup files "$@" -q >/dev/null
    "$YORE" snapshots "$1" --json | jq -r .name | tail -1
}

# Until the command succeeds, for at most ten seconds.
until_true()
{
    local n
    for n in $(seq 100); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    fail "waited ten seconds for: $*"
}

# same FOLDER FOLDER: names, contents, and every attribute that rsync knows.
same()
{
    local differences
    # (diff finds any two devices or FIFOs different; rsync compares those.)
    diff -r --no-dereference --exclude=devices "$1" "$2" || fail "contents of $1 and $2 differ"
    differences=$(rsync -nac --delete -HAXS --devices --specials --itemize-changes "$1/" "$2/")
    [ -z "$differences" ] || fail "attributes of $1 and $2 differ:
$differences"
}
