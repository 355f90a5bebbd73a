#!/usr/bin/python3
"""run: measure Yore against restic and borg on the same data in the same run; see README.md."""

import argparse
import hashlib
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict

import jobs
import measure
import peers

HERE = pathlib.Path(__file__).resolve().parent
SEED = 1492
QUICK_SCALE = 20
DUMP_BYTES = 700_000_000
RANDOM_BYTES = 1 << 30


class Data:
    """The files to back up; made once, used by every later run."""

    def __init__(self, root, quick):
        self.scale = QUICK_SCALE if quick else 1
        self.root = root / ("quick" if quick else "full")
        self.tree = self.root / "tree"
        self.dump = self.root / "dump.sql"
        self.random_one = self.root / "random"
        self.random_two = self.root / "elsewhere" / "again"

    def make(self):
        # The whole of what decides the bytes: when it changes, the data are made anew.
        source = (HERE / "make_data.c").read_bytes()
        recipe = json.dumps([SEED, self.scale, DUMP_BYTES, RANDOM_BYTES, hashlib.sha256(source).hexdigest()])
        done = self.root / "recipe"
        if done.exists() and done.read_text() == recipe:
            return
        say(f"making the data in {self.root} ...")
        began = time.monotonic()
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        self.random_one.mkdir()
        self.random_two.mkdir(parents=True)
        program = self.root / "make_data"
        subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-o", program, HERE / "make_data.c", "-lm"],
                       check=True)
        for kind, path, amount in (("tree", self.tree, self.scale), ("dump", self.dump, DUMP_BYTES // self.scale),
                                   ("random", self.random_one / "bytes", RANDOM_BYTES // self.scale)):
            subprocess.run([program, kind, path, str(amount), str(SEED)], check=True)
        shutil.copyfile(self.random_one / "bytes", self.random_two / "bytes")
        os.sync()
        done.write_text(recipe)
        say(f"  made in {time.monotonic() - began:.0f} s")


def say(text):
    print(text, file=sys.stderr, flush=True)


class Results:
    """Every measurement of every run: to the JSON file at once, to the tables at the end."""

    def __init__(self, json_path):
        self.values = {}  # (row, peer) -> [Cost, ...]
        self.failures = []
        self.json_file = open(json_path, "a", encoding="utf-8") if json_path else None
        self.run = 0

    def line(self, **fields):
        if self.json_file:
            self.json_file.write(json.dumps(fields) + "\n")
            self.json_file.flush()

    def record(self, row, peer, cost):
        self.values.setdefault((row, peer.name), []).append(cost)
        fields = asdict(cost)
        fields |= fields.pop("more")
        self.line(kind="measurement", run=self.run, row=row, peer=peer.name, load1=os.getloadavg()[0],
                  **{k: round(v, 4) if isinstance(v, float) else v for k, v in fields.items()})
        say(f"  {row:<16} {peer.name:<7} {in_words(cost)}")

    def fail(self, job, peer, error):
        self.failures.append(f"run {self.run}, {job}, {peer.name}: {error}")
        self.line(kind="failure", run=self.run, job=job, peer=peer.name, error=str(error))
        say(f"  {job:<16} {peer.name:<7} FAILED: {error}")

    def get(self, row, peer, metric):
        """The median over the runs, of memory the maximum; None where it was not measured."""
        if row in ("writer", "mount"):
            if not peers.ALL[peer].has_store:
                return None  # the figure would be find's or cp's
            rows = jobs.WRITER_ROWS if row == "writer" else jobs.MOUNT_ROWS
            peaks = [c.rss_bytes for r in rows for c in self.values.get((r, peer), [])]
            return max(peaks) if peaks else None
        costs = self.values.get((row, peer))
        if not costs:
            return None
        values = [c.more[metric] if metric in c.more else getattr(c, metric) for c in costs]
        return max(values) if metric == "rss_bytes" else statistics.median(values)


def in_words(cost):
    if "bytes" in cost.more:
        return f"{cost.more['bytes'] / 1e6:.1f} MB"
    text = f"{cost.wall_secs:8.2f} s {cost.cpu_secs:8.2f} CPU s {cost.rss_bytes / 1e6:6.0f} MB"
    if "iops" in cost.more:
        text += " {iops:8.0f} IOPS, p50 {p50_us:.0f} us, p99 {p99_us:.0f} us".format(**cost.more)
    if cost.other_cpu_secs > 0.1 * max(cost.wall_secs, 0.1) * (os.cpu_count() or 1):
        text += f"   (others used {cost.other_cpu_secs:.1f} CPU s)"
    return text


def shown(value, metric):
    if value is None:
        return "-"
    if metric.endswith("_secs"):
        return f"{value:.2f} s"
    if metric == "iops":
        return f"{value:.0f}"
    return f"{value / 1e6:.1f} MB"


def judge(floor, results):
    """(ratio, pass) of one floor; ratio None when a side is missing. No peers, no verdict."""
    ours = results.get(floor.row, "yore", floor.metric)
    theirs = [v for p in ("restic", "borg") if (v := results.get(floor.row, p, floor.metric)) is not None]
    if ours is None:
        return None, None
    if floor.rule == "limit":
        return None, ours <= floor.bound
    if floor.rule == "ext4":
        plain = results.get(floor.row, "ext4", floor.metric)
        ratio = ours / plain if plain else None
        return ratio, None if ratio is None else ratio <= floor.bound
    if not theirs or not ours:
        return None, None
    if floor.metric in jobs.HIGHER_IS_BETTER:
        ratio = ours / max(theirs)
    else:
        ratio = min(theirs) / ours if floor.rule == "times" else ours / min(theirs)
    return ratio, ratio >= floor.bound if floor.rule == "times" else ratio <= floor.bound


def bound_in_words(floor):
    if floor.rule == "limit":
        return "<= " + (f"{floor.bound // jobs.MIB} MiB" if floor.metric == "rss_bytes" else f"{floor.bound} s")
    return f"{'>=' if floor.rule == 'times' else '<='} {floor.bound:.3g} x"


def print_table(head, body):
    widths = [max(len(row[i]) for row in [head] + body) for i in range(len(head))]
    for number, row in enumerate([head] + body):
        print("| " + " | ".join(cell.ljust(w) if not i else cell.rjust(w)
                                for i, (cell, w) in enumerate(zip(row, widths))) + " |")
        if number == 0:
            print("|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|")


def print_results(results, names, measured_rows):
    print("\n## Figures\n")
    body = []
    for floor in jobs.FLOORS:
        if floor.row not in measured_rows and floor.row not in ("writer", "mount"):
            continue
        ratio, passed = judge(floor, results)
        verdict = "-" if passed is None else "PASS" if passed else "FAIL"
        body.append([floor.label] + [shown(results.get(floor.row, p, floor.metric), floor.metric) for p in names]
                    + ["-" if ratio is None else f"{ratio:.2f} x", bound_in_words(floor), verdict])
        results.line(kind="figure", label=floor.label, row=floor.row, metric=floor.metric, rule=floor.rule,
                     bound=floor.bound, ratio=ratio, passed=passed,
                     values={p: results.get(floor.row, p, floor.metric) for p in names})
    print_table(["job"] + names + ["ratio", "floor", ""], body)

    print("\n## Raw: median wall s / median CPU s / largest RSS MB (runs)\n")
    body = []
    for row in measured_rows:
        cells = [row]
        for peer in names:
            costs = results.values.get((row, peer))
            if not costs:
                cells.append("-")
            elif row == "store_size":
                cells.append(f"{results.get(row, peer, 'bytes') / 1e6:.1f} MB ({len(costs)})")
            else:
                cell = (f"{results.get(row, peer, 'wall_secs'):.2f} / {results.get(row, peer, 'cpu_secs'):.2f} / "
                        f"{results.get(row, peer, 'rss_bytes') / 1e6:.0f} ({len(costs)})")
                if "iops" in costs[0].more:
                    cell = (f"{results.get(row, peer, 'iops'):.0f} IOPS, p50 {results.get(row, peer, 'p50_us'):.0f},"
                            f" p99 {results.get(row, peer, 'p99_us'):.0f} us, ") + cell.partition(" / ")[2]
                cells.append(cell)
        body.append(cells)
    print_table(["row"] + names, body)
    busy = [(r, p) for (r, p), costs in results.values.items()
            if any(c.other_cpu_secs > 0.1 * c.wall_secs * (os.cpu_count() or 1) and c.wall_secs > 0.5 for c in costs)]
    if busy:
        print(f"\nNot a quiet machine: in {len(busy)} of {len(results.values)} cells others used over a tenth of the "
              "processors, so trust no wall time there.")
    for failure in results.failures:
        print(f"\nFAILED: {failure}")


def chosen_jobs(words):
    """The jobs asked for and those whose work they need, in order."""
    want = set(words)
    for name in reversed(jobs.JOBS):
        if name in want:
            want.update(jobs.JOBS[name][3])
    return [name for name in jobs.JOBS if name in want]


def measure_run(run, options, data, results, page_cache, scratch):
    bench = jobs.Bench(data, options, page_cache, results.record, run)
    here = scratch / f"run-{run}"
    here.mkdir()
    players = []
    try:
        for name in options.only:
            player = peers.ALL[name](data, here, options)
            try:
                player.init()
                players.append(player)
            except (measure.Failed, OSError) as error:
                results.fail("init", player, error)
        for turn, name in enumerate(options.jobs):
            job, _, plain_too, _ = jobs.JOBS[name]
            first = (run - 1 + turn) % max(1, len(players))  # nobody is always first
            for player in players[first:] + players[:first]:
                if not player.has_store and not plain_too:
                    continue
                try:
                    job(bench, player)
                except (measure.Failed, OSError, ValueError, KeyError) as error:
                    results.fail(name, player, error)
    finally:
        for player in players:
            try:
                player.unmount()
            except measure.Failed as error:
                results.fail("unmount", player, error)
        if not options.keep:
            shutil.rmtree(here, ignore_errors=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    comma = lambda text: [word for word in text.split(",") if word]
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("/tmp/yore-bench"),
                        help="folder for data and scratch stores (default %(default)s); about 15 GB")
    parser.add_argument("--only", type=comma, default=list(peers.ALL), metavar="NAME,...",
                        help="of " + ",".join(peers.ALL))
    parser.add_argument("--jobs", type=comma, default=list(jobs.JOBS), metavar="NAME,...",
                        help="of " + ",".join(jobs.JOBS) + "; what they need runs too")
    parser.add_argument("--runs", type=int, default=3, help="medians are of so many (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the data: proves the kit, not a figure")
    parser.add_argument("--yore", help="the program (default: build/tools/yore, else the one in PATH)")
    parser.add_argument("--pipe", action="store_true", help="the dump comes through a pipe, not from an open file")
    parser.add_argument("--json", metavar="FILE", help="append every measurement and figure, one object a line")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds one command may take")
    parser.add_argument("--keep", action="store_true", help="leave the stores behind")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a floor is missed or a job failed")
    options = parser.parse_args()
    for word in options.only:
        if word not in peers.ALL:
            parser.error(f"--only: {word} is none of {','.join(peers.ALL)}")
    for word in options.jobs:
        if word not in jobs.JOBS:
            parser.error(f"--jobs: {word} is none of {','.join(jobs.JOBS)}")
    options.only = [name for name in peers.ALL if name in options.only]
    options.jobs = chosen_jobs(options.jobs)
    if not options.yore:
        built = [HERE.parent.parent / "build" / "tools" / "yore", HERE.parent.parent / "build" / "yore"]
        options.yore = next((str(p) for p in built if p.exists()), shutil.which("yore"))
    if "yore" in options.only and not options.yore:
        parser.error("no yore built, none in PATH: give --yore PROGRAM, or --only restic,borg,ext4")
    if options.yore:
        options.yore = str(pathlib.Path(options.yore).resolve())
    return options


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that mounts and scratch are cleaned up
    data = Data(options.data.resolve(), options.quick)
    data.make()
    results = Results(options.json)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="scratch-", dir=options.data.resolve()))
    page_cache = measure.PageCache([data.root, scratch])
    try:
        probes = scratch / "probe"
        probes.mkdir()
        versions = {name: peers.ALL[name](data, probes, options).version() for name in options.only}
        about = {"machine": f"{os.cpu_count()} processors, Linux {platform.release()}", "cold": page_cache.how,
                 "nice": os.nice(0), "quick": options.quick, "runs": options.runs,
                 "stdin": "pipe" if options.pipe else "open file", **versions}
        results.line(kind="about", **about)
        for key, value in about.items():
            print(f"{key}: {value}")
        for results.run in range(1, options.runs + 1):
            say(f"run {results.run} of {options.runs}")
            measure_run(results.run, options, data, results, page_cache, scratch)
    finally:
        if not options.keep:
            shutil.rmtree(scratch, ignore_errors=True)
    rows = [row for name in options.jobs for row in jobs.JOBS[name][1]]
    print_results(results, options.only, rows)
    if options.quick:
        print("\n--quick: a twentieth of the data. These figures prove the kit and nothing else.")
    missed = results.failures or any(judge(floor, results)[1] is False for floor in jobs.FLOORS)
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
