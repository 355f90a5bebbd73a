#!/usr/bin/python3
"""The verdicts point the right way: faster is better, smaller is better, more IOPS are better."""

import unittest

import jobs
import measure
import run


class Player:
    def __init__(self, name):
        self.name = name


def verdict(rule, bound, metric="wall_secs", **values):
    results = run.Results(None)
    run.say = lambda text: None
    for name, value in values.items():
        for v in value if isinstance(value, list) else [value]:
            cost = measure.Cost(more={metric: v}) if metric in ("iops", "bytes") else measure.Cost(**{metric: v})
            results.record("row", Player(name), cost if metric != "iops" else
                           measure.Cost(more={"iops": v, "p50_us": 0, "p99_us": 0}))
    return run.judge(jobs.Floor("", "row", metric, rule, bound), results)


class Verdicts(unittest.TestCase):
    def test_time_is_held_against_the_faster_peer(self):
        self.assertEqual(verdict("times", 3, restic=30, borg=60, yore=10), (3, True))
        self.assertEqual(verdict("times", 3, restic=60, borg=20, yore=10), (2, False))

    def test_iops_are_held_against_the_peer_with_more(self):
        self.assertEqual(verdict("times", 20, "iops", restic=200, borg=100, yore=4000), (20, True))
        self.assertEqual(verdict("times", 20, "iops", restic=400, borg=100, yore=4000), (10, False))

    def test_a_share_is_ours_of_the_smaller_peer(self):
        self.assertEqual(verdict("share", 0.5, "cpu_secs", restic=40, borg=30, yore=15), (0.5, True))
        self.assertEqual(verdict("share", 0.5, "bytes", restic=40, borg=20, yore=15), (0.75, False))

    def test_against_ext4_the_peers_do_not_count(self):
        self.assertEqual(verdict("ext4", 1.3, restic=1, ext4=10, yore=13), (1.3, True))
        self.assertEqual(verdict("ext4", 1.3, restic=90, ext4=10, yore=14), (1.4, False))

    def test_a_limit_needs_nobody_else(self):
        self.assertEqual(verdict("limit", 0.4, yore=0.4), (None, True))
        self.assertEqual(verdict("limit", 0.4, restic=9, yore=0.5), (None, False))

    def test_without_a_side_there_is_no_verdict(self):
        self.assertEqual(verdict("times", 3, restic=30, borg=60), (None, None))
        self.assertEqual(verdict("times", 3, yore=1), (None, None))
        self.assertEqual(verdict("ext4", 1.3, restic=1, yore=1), (None, None))

    def test_medians_are_compared_not_means(self):
        self.assertEqual(verdict("times", 3, restic=[30, 30, 300], yore=[10, 10, 1]), (3, True))

    def test_a_job_brings_along_what_it_needs(self):
        self.assertEqual(run.chosen_jobs(["find"]), ["tree", "find"])
        self.assertEqual(run.chosen_jobs(["fio"]), ["tree", "dump", "fio"])


if __name__ == "__main__":
    unittest.main()
