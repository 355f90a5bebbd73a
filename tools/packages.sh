# The Debian 12 packages we build and test with: the one list, sourced by tools/test and tools/quickstart; and how they are
# installed. The sourcing script defines die.
# shellcheck shell=bash disable=SC2034

build_packages=(
    gcc libc6-dev              # the compiler and what it compiles against
    meson ninja-build          # the build
    pkg-config                 # finds libraries
    libfuse3-dev fuse3         # fs: the mount, and fusermount3
    libzstd-dev                # fetch/format: compression
    libssl-dev                 # fetch/crypto
    libipsec-mb-dev            # fetch/crypto: multi-buffer SHA-256
    libs3-dev                  # fetch/store: S3
    libcurl4-openssl-dev       # fetch/store: what libs3 cannot
    libsqlite3-dev             # index
    libpq-dev                  # writers: PostgreSQL
    libhiredis-dev             # writers: Redis
    libinih-dev                # tools: configuration
    libjansson-dev             # JSON
    libmicrohttpd-dev          # tools: metrics and dashboard
    scdoc                      # manual pages
)

test_packages=(
    libcmocka-dev              # unit tests
    python3                    # sums up results; tests/reader, tests/model
    python3-cryptography       # tests/reader
    python3-zstandard          # tests/reader
    git                        # tests/writers/source: filters are compared with git's
    rsync attr acl libcap2-bin # tests/mount: what a restored tree must keep
    strace                     # tests/mount: what is not opened
    jq sqlite3 xxd             # tests/mount: reads --json, the local index, bytes of objects
    procps psmisc              # tests/mount: ps, pgrep
    util-linux mount           # tests/mount: mount, setpriv, unshare
)

# For soaks by hand, not for tools/test.
soak_packages=(
    clang-14 libclang-rt-14-dev # libFuzzer
    valgrind
)

# For tests/bench/run.py by hand.
bench_packages=(
    restic borgbackup python3-pyfuse3 fio
)

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root or sudo to run: $*"
    fi
}

install_missing() {
    command -v dpkg-query >/dev/null || { echo "not Debian: the packages are up to you" >&2; return; }
    local missing=() package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    echo "installing: ${missing[*]}"
    # Lists may be missing (containers) or old; a repository out of reach matters only if the install fails.
    as_root apt-get update -q || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" ||
        die "cannot install ${missing[*]}"
}
