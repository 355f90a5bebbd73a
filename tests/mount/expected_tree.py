#!/usr/bin/python3
"""The lines of tests/golden/expected.txt, made from a mounted golden store.

    expected_tree.py MOUNTPOINT [SERVICE...]

Prints one line a node in order of position, the snapshot lines without their counts, so that
`diff` with the same lines of expected.txt says what the mount shows differently.
"""

import errno
import hashlib
import os
import stat
import sys

KINDS = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "symlink", stat.S_IFBLK: "block",
         stat.S_IFCHR: "char", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


def escape(raw):
    return "".join(chr(b) if 33 <= b <= 126 and b != 92 else "\\x%02x" % b for b in raw)


def nanos(ns):
    return "%d.%09d" % divmod(ns, 10**9)


def data_bytes(path, size):
    """Bytes outside of holes, as SEEK_DATA and SEEK_HOLE say."""
    total = at = 0
    fd = os.open(path, os.O_RDONLY)
    try:
        while at < size:
            try:
                data = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(fd, data, os.SEEK_HOLE)
            total += at - data
    finally:
        os.close(fd)
    return total


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def recorded_sha256(path):
    try:
        return os.getxattr(path, "user.yore.sha256").decode()
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return None


def line(root, path, seen):
    whole = os.path.join(root, path) if path else root
    st = os.lstat(whole)
    kind = KINDS[stat.S_IFMT(st.st_mode)]
    size = data = digest = extra = link = "-"
    if kind == "file":
        size, data, digest = st.st_size, data_bytes(whole, st.st_size), sha256(whole)
        recorded = recorded_sha256(whole)
        if recorded and recorded != digest:
            digest = "recorded-" + recorded
    elif kind == "symlink":
        extra = escape(os.readlink(whole))
    elif kind in ("block", "char"):
        extra = "%d:%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
    if kind != "dir":
        first = seen.setdefault(st.st_ino, (path, []))
        first[1].append(st.st_nlink)
        if first[0] != path:
            link = "=" + escape(first[0])
    xattrs = ",".join("%s=%s" % (name, os.getxattr(whole, name, follow_symlinks=False).hex())
                      for name in os.listxattr(whole, follow_symlinks=False)) or "-"
    return " ".join(str(field) for field in (
        escape(path) or ".", kind, "%o" % (st.st_mode & 0o7777), st.st_uid, st.st_gid, nanos(st.st_mtime_ns),
        size, data, digest, extra, link, xattrs))


def walk(root, path, seen, unreadable):
    yield line(root, path, seen)
    whole = os.path.join(root, path) if path else root
    if not stat.S_ISDIR(os.lstat(whole).st_mode):
        return
    for name in sorted(os.listdir(whole)):
        below = os.path.join(path, name) if path else name
        try:
            os.lstat(os.path.join(root, below))
        except OSError as error:
            unreadable.append((below, error.errno))
            continue
        yield from walk(root, below, seen, unreadable)


def main():
    mountpoint = os.fsencode(sys.argv[1])
    services = [os.fsencode(name) for name in sys.argv[2:]] or sorted(
        name for name in os.listdir(mountpoint) if not name.startswith(b"."))
    for service in services:
        folder = os.path.join(mountpoint, service)
        for name in sorted(n for n in os.listdir(folder) if n != b"latest"):
            seen, unreadable = {}, []
            print("snapshot %s/%s" % (service.decode(), name.decode()))
            for text in walk(os.path.join(folder, name), b"", seen, unreadable):
                print(text)
            for path, links in seen.values():
                if links != [len(links)] * len(links):
                    print("link counts of %s: %s, but %d names" % (escape(path), links, len(links)))
            for path, number in unreadable:
                print("unreadable %s: %s" % (escape(path), os.strerror(number)))


main()
