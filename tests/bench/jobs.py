"""jobs: what is measured, in the order it happens, and the floor each figure is held against."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections import namedtuple

import measure

HERE = pathlib.Path(__file__).resolve().parent


class Bench:
    """One run's surroundings, shared by the jobs."""

    def __init__(self, data, options, page_cache, record, run_number):
        self.data, self.options, self.page_cache = data, options, page_cache
        self.record, self.run_number = record, run_number
        self.fio_secs = 2 if options.quick else 10

    def cold(self, peer):
        """Nothing of data, store and index in memory, the programs themselves back in it."""
        self.page_cache.empty()
        peer.warm()
        for argv in (["ls", "--version"], ["find", "--version"], ["tar", "--version"], ["cat", "--version"],
                     ["dd", "--version"], ["bash", "-c", "true"], ["fio", "--version"]):
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=False)

    def measure(self, peer, row, argv, daemon=None, **options):
        os.sync()  # what came before is written now, not while we measure
        cost = measure.run(argv, env=peer.env, scratch=peer.scratch, daemon=daemon,
                           timeout_secs=self.options.timeout, **options)
        self.record(row, peer, cost)
        return cost


# ---- backups ----

def tree_first(bench, peer):
    argv, options = peer.backup("tree", bench.data.tree)
    bench.cold(peer)
    bench.measure(peer, "tree_first", argv, **options)


def tree_again(bench, peer):
    argv, options = peer.backup("tree", bench.data.tree)
    bench.cold(peer)
    bench.measure(peer, "tree_again_cold", argv, **options)
    argv, options = peer.backup("tree", bench.data.tree)
    bench.measure(peer, "tree_again_warm", argv, **options)


def dump_stream(bench, peer):
    argv, options = peer.stream("dump", bench.data.dump)
    bench.cold(peer)
    measure.warm_file(bench.data.dump)
    bench.measure(peer, "dump_stream", argv, stdin_pipe=bench.options.pipe, **options)
    os.sync()
    bench.record("store_size", peer, measure.Cost(more={"bytes": peer.store_bytes()}))


def random_bytes(bench, peer):
    for row, folder in (("random_first", "random_one"), ("random_second", "random_two")):
        argv, options = peer.backup("random", getattr(bench.data, folder))
        bench.cold(peer)
        bench.measure(peer, row, argv, **options)


# ---- the mount ----

class mounted:
    """A fresh mount over an empty page cache, taken down whatever happens."""

    def __init__(self, bench, peer):
        self.bench, self.peer = bench, peer

    def __enter__(self):
        self.bench.cold(self.peer)
        try:
            return self.peer.mount()
        except BaseException:
            self.peer.unmount()
            raise

    def __exit__(self, *error):
        self.peer.unmount()


def mount_ls(bench, peer):
    with mounted(bench, peer) as cost:
        bench.record("mount_ls", peer, cost)


def find_ls(bench, peer):
    with mounted(bench, peer):
        for row in ("find_cold", "find_again"):
            bench.measure(peer, row, ["find", ".", "-ls"], peer.daemon, cwd=peer.tree())
        if peer.has_store and bench.run_number == 1:
            compare_trees(bench, peer, peer.tree())


def tar_tree(bench, peer):
    with mounted(bench, peer):
        bench.measure(peer, "tar_cold", ["bash", "-o", "pipefail", "-c", "tar cf - . | cat >/dev/null"],
                      peer.daemon, cwd=peer.tree())


def read_dump(bench, peer):
    with mounted(bench, peer):
        for row in ("seq_cold", "seq_again"):
            bench.measure(peer, row, ["dd", f"if={peer.dump()}", "of=/dev/null", "bs=1M"], peer.daemon)
        if peer.has_store and bench.run_number == 1:
            if subprocess.run(["cmp", str(peer.dump()), str(bench.data.dump)], check=False).returncode:
                raise measure.Failed(f"{peer.name}: the mounted dump differs from its source")


def random_reads(bench, peer):
    for jobs in (1, 4):
        with mounted(bench, peer):
            out = peer.scratch / "fio.json"
            argv = ["fio", "--name=random", f"--filename={peer.dump()}", "--readonly", "--rw=randread", "--bs=8k",
                    "--ioengine=psync", "--direct=0", f"--runtime={bench.fio_secs}", "--time_based",
                    f"--numjobs={jobs}", "--thread", "--group_reporting", "--norandommap", "--randrepeat=0",
                    f"--randseed={1000 * bench.run_number + jobs}", "--allow_file_create=0",
                    "--output-format=json"]
            os.sync()
            cost = measure.run(argv, env=peer.env, scratch=peer.scratch, daemon=peer.daemon,
                               timeout_secs=bench.options.timeout, stdout_path=out)
            text = out.read_text()
            read = json.loads(text[text.index("{"):])["jobs"][0]["read"]
            percentiles = read["clat_ns"].get("percentile", {})
            cost.more = {"iops": read["iops"], "p50_us": percentiles.get("50.000000", 0) / 1000,
                         "p99_us": percentiles.get("99.000000", 0) / 1000}
            bench.record(f"rand_{jobs}", peer, cost)


# ---- check and restore ----

def check(bench, peer):
    argv, options = peer.check()
    bench.cold(peer)
    bench.measure(peer, "check", argv, **options)


def restore(bench, peer):
    target = peer.scratch / "restored"
    target.mkdir()
    try:
        argv, options = peer.restore(target)
        bench.cold(peer)
        bench.measure(peer, "restore", argv, **options)
        if bench.run_number == 1:
            compare_trees(bench, peer, target)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def compare_trees(bench, peer, copy):
    """A fast wrong answer is no figure."""
    peer.run([sys.executable, HERE / "compare.py", bench.data.tree, copy])


# name: (job, its rows, the files themselves take part, jobs whose work it needs)
JOBS = {
    "tree": (tree_first, ["tree_first"], False, []),
    "again": (tree_again, ["tree_again_cold", "tree_again_warm"], False, ["tree"]),
    "dump": (dump_stream, ["dump_stream", "store_size"], False, []),
    "random": (random_bytes, ["random_first", "random_second"], False, []),
    "mount": (mount_ls, ["mount_ls"], False, ["tree"]),
    "find": (find_ls, ["find_cold", "find_again"], True, ["tree"]),
    "tar": (tar_tree, ["tar_cold"], True, ["tree"]),
    "read": (read_dump, ["seq_cold", "seq_again"], True, ["dump", "tree"]),
    "fio": (random_reads, ["rand_1", "rand_4"], True, ["dump", "tree"]),
    "check": (check, ["check"], False, ["tree"]),
    "restore": (restore, ["restore"], True, ["tree"]),
}

# The figures of the work order. rule, with m the better of the measured peers:
#   times     m / ours (for IOPS ours / m) is at least the bound
#   share     ours / m is at most the bound
#   limit     ours is at most the bound, whatever the others do
#   ext4      ours / ext4's is at most the bound
Floor = namedtuple("Floor", "label row metric rule bound")
MIB = 1024 * 1024
FLOORS = [
    Floor("tree, first backup, cold: wall", "tree_first", "wall_secs", "times", 3.0),
    Floor("tree, first backup, cold: CPU", "tree_first", "cpu_secs", "share", 0.5),
    Floor("tree again, unchanged, warm", "tree_again_warm", "wall_secs", "times", 5.0),
    Floor("tree again, unchanged, cold", "tree_again_cold", "wall_secs", "times", 2.5),
    Floor("dump on stdin: wall", "dump_stream", "wall_secs", "times", 3.5),
    Floor("dump on stdin: CPU", "dump_stream", "cpu_secs", "share", 0.6),
    Floor("random bytes", "random_first", "wall_secs", "times", 4.0),
    Floor("random bytes from another path", "random_second", "wall_secs", "times", 4.0),
    Floor("store size after tree + dump", "store_size", "bytes", "share", 0.95),
    Floor("mount ready and first ls", "mount_ls", "wall_secs", "limit", 0.4),
    Floor("find -ls, cold", "find_cold", "wall_secs", "times", 12.0),
    Floor("find -ls, again, against ext4", "find_again", "wall_secs", "ext4", 1.3),
    Floor("tar of the tree, cold", "tar_cold", "wall_secs", "times", 6.0),
    Floor("tar of the tree, cold, against ext4", "tar_cold", "wall_secs", "ext4", 1.0),
    Floor("dump read in order, cold", "seq_cold", "wall_secs", "times", 2.5),
    Floor("dump read again, against ext4", "seq_again", "wall_secs", "ext4", 1 / 0.9),
    Floor("random 8 KiB reads, 1 job", "rand_1", "iops", "times", 20.0),
    Floor("random 8 KiB reads, 4 jobs", "rand_4", "iops", "times", 20.0),
    Floor("check, every byte read", "check", "wall_secs", "times", 3.0),
    Floor("restore of the tree", "restore", "wall_secs", "times", 2.0),
    Floor("peak memory, writer", "writer", "rss_bytes", "limit", 512 * MIB),
    Floor("peak memory, mount", "mount", "rss_bytes", "limit", 256 * MIB),
]
WRITER_ROWS = ["tree_first", "tree_again_cold", "tree_again_warm", "dump_stream", "random_first", "random_second"]
MOUNT_ROWS = ["mount_ls", "find_cold", "find_again", "tar_cold", "seq_cold", "seq_again", "rand_1", "rand_4"]
HIGHER_IS_BETTER = {"iops"}
