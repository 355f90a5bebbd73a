#!/bin/sh
# Checks the deletion protocol and its mutants: a line a check, exit status 1 on a surprise.
# One core, some 75 seconds of it at most; --deep for the larger settings.
set -eu
exec python3 -B "$(dirname "$0")/gc_model.py" --budget 75 "$@"
