# The Debian 12 packages we build and test with: the one list, sourced by tools/test and others.
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
    python3                    # sums up results; tests/reader
    python3-cryptography       # tests/reader
    python3-zstandard          # tests/reader
    rsync attr acl libcap2-bin # tests/mount: what a restored tree must keep
    e2fsprogs                  # tests/mount: chattr, debugfs
    fio                        # tests/mount: many readers
    jq                         # tests/mount: reads --json
    sqlite3                    # tests/mount: databases to back up
    postgresql                 # tests/mount: databases to back up
    redis-server               # tests/mount: databases to back up
    procps                     # tests/mount: ps, pkill by id
    util-linux                 # tests/mount: mount, unshare
)

# For soaks by hand, not for tools/test.
soak_packages=(
    clang-14 libclang-rt-14-dev # libFuzzer
    valgrind
)
