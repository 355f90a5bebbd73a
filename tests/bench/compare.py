#!/usr/bin/python3
"""compare SOURCE COPY: the same names everywhere, and the same modes, times and bytes in a sample.

A program of its own, so that a hundred thousand names in memory do not show as anybody's peak.
"""

import os
import random
import sys

SAMPLE_FILES = 400


def names(root):
    found = []
    for folder, dirs, files in os.walk(root):
        found += [os.path.relpath(os.path.join(folder, n), root) for n in dirs + files]
    return sorted(found)


def differ(a, b):
    """What differs between two names of the same kind, or None."""
    was, now = os.lstat(a), os.lstat(b)
    if was.st_mode != now.st_mode:
        return "mode"
    if os.path.islink(a):
        return None if os.readlink(a) == os.readlink(b) else "target"
    if os.path.isfile(a):
        with open(a, "rb") as one, open(b, "rb") as two:
            if one.read() != two.read():
                return "bytes"
        if was.st_nlink != now.st_nlink:
            return "link count"
        if was.st_mtime_ns // 1000 != now.st_mtime_ns // 1000:  # borg's mount rounds through a float
            return "time"
    return None


def main(source, copy):
    source, copy = os.fsencode(source), os.fsencode(copy)
    want, have = names(source), names(copy)
    if want != have:
        odd = sorted(set(want) ^ set(have))[:3]
        return f"{os.fsdecode(copy)} has {len(have)} names, its source {len(want)}; such as {odd}"
    for name in random.Random(1).sample(want, min(SAMPLE_FILES, len(want))):
        what = differ(os.path.join(source, name), os.path.join(copy, name))
        if what:
            return f"{os.fsdecode(os.path.join(copy, name))} differs from its source: {what}"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
