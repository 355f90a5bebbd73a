#!/bin/bash
# Every header compiles alone, without banned.h in front: it includes what it needs, and nothing warns.
set -u
cd "${YORE_SOURCE_ROOT:-$(dirname "$0")/../..}" || exit 1
: "${CC:=gcc}"
export CC

mapfile -t headers < <(find fetch index fs writers tools tests/support -name '*.h' | sort)
[ ${#headers[@]} -gt 0 ] || { echo "no headers found" >&2; exit 1; }

# shellcheck disable=SC2016
printf '%s\n' "${headers[@]}" | xargs -P 2 -I{} sh -c '
    printf "#include \"%s\"\n#include \"%s\"\n" "$1" "$1" |
        $CC -x c -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wshadow -Werror -I. \
            $(pkg-config --cflags fuse3 libpq 2>/dev/null) -fsyntax-only - ||
        { echo "$1 does not compile alone" >&2; exit 1; }' sh {} || exit 1
echo "${#headers[@]} headers compile alone"
