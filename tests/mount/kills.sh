#!/bin/bash
# kill -9 at random moments: of a writer whose tree changes all the time, and of a mount that is being read.
# YORE_KILLS: how many of each (25; a soak takes 200). YORE_SEED: the moments.
. "$(dirname "$0")/common.sh"
KILLS=${YORE_KILLS:-25}
SEED=${YORE_SEED:-$RANDOM}
RANDOM=$SEED
echo "seed $SEED, $KILLS kills"
SRC=$TMP/src
make_store

# change N: some files new, some changed, some gone; 6 MB of new bytes each time.
change()
{
    /usr/bin/python3 - "$SRC" "$SEED" "$1" <<'PYTHON'
import os, random, sys
top, rng = sys.argv[1], random.Random(f'{sys.argv[2]}/{sys.argv[3]}')
os.makedirs(top, exist_ok=True)
for _ in range(60):
    folder = f'{top}/{rng.randrange(20)}'
    os.makedirs(folder, exist_ok=True)
    path = f'{folder}/{rng.randrange(40)}'
    if rng.random() < 0.2 and os.path.exists(path): os.unlink(path)
    elif rng.random() < 0.3:
        with open(path, 'ab') as f: f.write(rng.randbytes(rng.randrange(100_000)))
    else:
        with open(path, 'wb') as f: f.write(rng.randbytes(rng.choice((0, 10, 5_000, 100_000, 400_000))))
PYTHON
}

# Milliseconds that one of those backups takes, passphrase included.
change 0
backup web "$SRC" >/dev/null
change 1
started=$(date +%s%N)
backup web "$SRC" >/dev/null
whole_ms=$((($(date +%s%N) - started) / 1000000))

committed=2 killed=0 most=0
for n in $(seq 2 $((KILLS + 1))); do
    change "$n"
    "$YORE" backup files web "$SRC" -q >/dev/null 2>"$TMP/said" &
    writer=$!
    sleep "$(printf '%d.%03d' $((RANDOM * whole_ms / 32768 / 1000)) $((RANDOM * whole_ms / 32768 % 1000)))"
    kill -9 $writer 2>/dev/null || true
    status=0
    wait $writer 2>/dev/null || status=$?
    case $status in
    137) killed=$((killed + 1)) ;;
    0) ;;
    *) fail "seed $SEED, kill $n: the writer ended by itself with $status: $(cat "$TMP/said")" ;;
    esac
    # Whoever looks now sees whole snapshots only, each with all its files.
    "$YORE" snapshots web --json >"$TMP/snapshots" || fail "seed $SEED, kill $n: the store does not open"
    now=$(wc -l <"$TMP/snapshots")
    [ "$now" -ge $committed ] && [ "$now" -le $((committed + 1)) ] || fail "seed $SEED, kill $n: $now snapshots after $committed"
    [ $status != 0 ] || [ "$now" -gt $committed ] || fail "seed $SEED, kill $n: a backup said it was done, and is not there"
    committed=$now
    "$YORE" ls web/latest -R >/dev/null 2>"$TMP/said" ||
        fail "seed $SEED, kill $n: the newest cannot be listed: $(cat "$TMP/said")"
    if [ $((n % 8)) = 0 ]; then
        "$YORE" check >"$TMP/said" 2>&1 || fail "seed $SEED, kill $n: check: $(cat "$TMP/said")"
    fi
done
"$YORE" backup files web "$SRC" --json -q >"$TMP/json" 2>"$TMP/said" || fail "seed $SEED: the last backup: $(cat "$TMP/said")"
"$YORE" check --read-data >"$TMP/said" 2>&1 || fail "seed $SEED: check: $(cat "$TMP/said")"
"$YORE" restore web/latest "$TMP/back" -q
same "$SRC" "$TMP/back"
[ "$killed" -gt 0 ] || fail "seed $SEED: no kill came in time"
echo "the writer: $killed of $KILLS killed before their end, $committed snapshots, all whole"

# Killed late in 600 MB: what was put is found again, only open packs and what no segment names is put once more.
mkdir "$TMP/big"
for n in $(seq 200); do head -c 3000000 /dev/urandom >"$TMP/big/$n"; done
"$YORE" backup files big "$TMP/big" -q >/dev/null 2>&1 &
writer=$!
there() { [ "$(find "$STORE/packs" -type f -newer "$TMP/big/200" -printf '%s\n' | awk '{n += $1} END {print n + 0}')" -gt 500000000 ]; }
for _ in $(seq 600); do there && break || sleep 0.05; done
kill -9 $writer 2>/dev/null || true
wait $writer 2>/dev/null || true
again=$("$YORE" backup files big "$TMP/big" --json 2>/dev/null | jq .totals.stored_bytes)
echo "killed after 500 of 600 MB: the next run stored $((again / 1000000)) MB"
# A segment every two packs of 32 MiB: at most so much, the packs that were open, and those waiting to be put.
[ "$again" -lt 300000000 ] || fail "the next run stored $again bytes of 600000000 again"
"$YORE" restore big/latest "$TMP/big-back" -q
same "$TMP/big" "$TMP/big-back"
rm -rf "$TMP/big" "$TMP/big-back"

# --- the mount, killed while it is read
mounts=$((KILLS < 10 ? KILLS : KILLS / 3 + 1))
for n in $(seq $mounts); do
    "$YORE" mount "$MNT" || fail "seed $SEED: mount $n after a kill"
    (cd "$MNT/web/latest" && find . -type f -exec cat {} + >/dev/null 2>&1) 2>/dev/null &
    looking=$!
    sleep "0.$(printf '%03d' $((RANDOM % 400)))"
    for pid in $(serving); do kill -9 "$pid"; done
    wait $looking 2>/dev/null || true
done
"$YORE" mount "$MNT"
[ "$(grep -c " $MNT fuse.yore" /proc/mounts)" = 1 ] || fail "a dead mount is still below"
same "$SRC" "$(readlink -f "$MNT/web/latest")"
"$YORE" umount "$MNT"
"$YORE" check >"$TMP/said" 2>&1 || fail "check after killed mounts: $(cat "$TMP/said")"
echo "the mount: killed $mounts times while it was read, and works"
