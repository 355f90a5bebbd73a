#!/bin/bash
# Soak fuzz targets with clang's libFuzzer under the address and undefined-behaviour sanitizers.
#
#     tests/fuzz/run-libfuzzer.sh              every target for 60 s
#     tests/fuzz/run-libfuzzer.sh bytes 3600   one for an hour
#
# Finds grow in build-fuzz/corpus/NAME; a crash is written there too, and belongs as a file in
# tests/fuzz/corpus/NAME with the commit that mends it. Packages: soak_packages in tools/packages.sh.
set -eu
cd "$(dirname "$0")/../.."
name=${1:-all}
secs=${2:-60}
build=${YORE_FUZZ_BUILD_DIR:-build-fuzz}
: "${CC:=clang-14}"
export CC

[ -f "$build/build.ninja" ] ||
    meson setup "$build" -Dlibfuzzer=true -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized
if [ "$name" = all ]; then
    mapfile -t names < <(cd tests/fuzz && ls -- *_fuzz.c | sed 's/_fuzz\.c$//')
else
    names=("$name")
fi
ninja -C "$build" -j 2 "${names[@]/%/_fuzz_target}"

for name in "${names[@]}"; do
    mkdir -p "$build/corpus/$name" "tests/fuzz/corpus/$name"
    echo "== $name, $secs s"
    "$build/tests/fuzz/${name}_fuzz" -max_total_time="$secs" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="$build/corpus/$name/" \
        "$build/corpus/$name" "tests/fuzz/corpus/$name"
done
