#!/bin/bash
# Include lines follow the arrows, and one place owns each library:
#
#     tools -> { fs, writers } -> index -> fetch ( fetch.h <- format <- crypto, store <- base )
set -u
cd "${YORE_SOURCE_ROOT:-$(dirname "$0")/..}" || exit 1
bad=0
seen=0

# may FOLDER ALLOWED: files below FOLDER include, of ours, only what the expression allows.
may() {
    [ -d "$1" ] || return
    local found
    seen=$((seen + $(find "$1" -name '*.[ch]' | wc -l)))
    found=$(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$1" | grep -vE "include[[:space:]]*\"($2)")
    [ -z "$found" ] && return
    printf '%s may not include:\n%s\n' "$1" "$found" >&2
    bad=1
}

# owns LIBRARY HEADER OWNERS: only files whose path matches OWNERS include <HEADER...>.
owns() {
    local found
    found=$(grep -rnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($2)" \
        fetch index fs writers tools 2>/dev/null | grep -vE "^($3)")
    [ -z "$found" ] && return
    printf '%s is included outside of its place (%s):\n%s\n' "$1" "$3" "$found" >&2
    bad=1
}

may fetch/base 'fetch/base/'
may fetch/crypto 'fetch/(base|crypto)/'
may fetch/store 'fetch/(base|store)/'
may fetch/format 'fetch/(base|crypto|store|format)/'
may fetch 'fetch/'
may index '(fetch|index)/'
may fs '(fetch|index|fs)/'
may writers '(fetch|index|writers)/'
may tools '(fetch|index|fs|writers|tools)/'

owns OpenSSL 'openssl/' 'fetch/crypto/'
owns IPSec_MB 'intel-ipsec-mb|ipsec-mb' 'fetch/crypto/'
owns zstd 'zstd' 'fetch/format/compress\.c'
owns libs3 'libs3' 'fetch/store/'
owns libcurl 'curl/' 'fetch/store/'
owns SQLite 'sqlite3' 'index/db\.c'
owns FUSE 'fuse' 'fs/'
owns libpq 'libpq|postgres' 'writers/'
owns hiredis 'hiredis' 'writers/'
owns inih 'ini\.h' 'tools/'
owns libmicrohttpd 'microhttpd' 'tools/'

# A fixed sequence where a key is made would be the end of all secrets.
if found=$(grep -rnw --include='*.[ch]' rand_seed_for_test fetch index fs writers tools | grep -v '^fetch/base/rand\.[ch]:'); then
    printf 'only tests may call rand_seed_for_test:\n%s\n' "$found" >&2
    bad=1
fi

[ "$seen" -gt 0 ] || { echo "no sources found" >&2; exit 1; }
[ "$bad" = 0 ] && echo "the arrows hold"
exit "$bad"
