#!/usr/bin/env python3
"""Explicit-state check of the deletion protocol (docs/consistency.md).

Writers, a forgetting user, a pinning reader and one keeper run in every order their single
puts, lists and deletes allow. After every step, in every order:

    1. a valid snapshot can be read: each chunk has an indexed copy in the store, and a copy
       that is a delta has a plain copy of its base there too;
    2. an acknowledged snapshot stays valid until somebody forgets it;
    3. an acknowledged pin keeps its snapshot readable, forgotten or not;
    4. a session that ended never looks active again.

Time is the adversary's: any live session may be fenced at any moment, and a writer may stop for
ever between any two of its steps (the orders in which it is not scheduled again; so there is no
extra crash step). The keeper may be killed and started anew `kills` times.

Two chunks, X and Y. A copy of one is plain, or a delta on the other; that is the hardest case,
for each may be the other's base. A set of copies is four bits: XP YP XD YD. Packs, sessions and
snapshots are bits of small integers. A snapshot names chunks only, never packs, and its
references are found by walking it: no object of the store holds a list of them.
"""

import argparse
import sys
import time
from collections import deque

X, Y = 1, 2
XP, YP, XD, YD = 1, 2, 4, 8

KIND_BITS = 4

# The index is lanes of pack bits: the lowest, each session's own segments; then one for each
# writer's merged segment. SLOTS bounds the packs of a setting.
SLOTS = 12
ALL_SLOTS = (1 << SLOTS) - 1


def lanes(rows):
    """All rows of the index, whoever's segment they are in."""
    all_rows = rows & ALL_SLOTS
    while rows > ALL_SLOTS:
        rows >>= SLOTS
        all_rows |= rows & ALL_SLOTS
    return all_rows


# Every mutant leaves out, or reorders, one thing the protocol asks for.
MUTANTS = {
    # the eight of the first model
    "gc-listed-before-start": "writer lists gc/ before it puts its session",
    "stale-index": "writer trusts an index it read before its session",
    "no-last-fence-look": "writer reports success without listing its fence after the snapshot",
    "no-fence": "keeper stops waiting for a session without fencing it",
    "no-recheck": "keeper deletes what it condemned without looking at snapshots again",
    "sessions-before-gc": "keeper lists the sessions to wait for before it puts gc/<n>",
    "fences-removed": "keeper removes fences when a generation is done",
    "decide-before-fence": "keeper accepts or rejects from a list older than the fence",
    # two layers: each alone is safe, both violate
    "late-segments-used": "writer uses segments of fenced sessions nobody accepted",
    "records-dropped-early": "condemned lists are dropped as soon as their generation is done",
    # reuse without look-up
    "reuse-while-open": "reuse without look-up though a generation is open",
    "reuse-forgotten": "reuse from a forgotten snapshot",
    "reuse-fenced": "reuse from a fenced session's snapshot",
    "reuse-lists-before-start": "lists for reuse made before the session's put",
    "reuse-gc-listed-last": "snapshots and forgets listed before gc/, all after the session's put",
    # merged segments
    "merge-keeps-condemned": "a writer merging segments copies rows of condemned packs",
    "merge-keeps-fenced": "a writer merging segments copies segments of fenced sessions",
    # delta bases
    "hit-without-base": "writer takes a delta as a hit without a plain copy of its base",
    "repack-drops-base": "choosing what to condemn after a repack ignores bases",
    "dedup-drops-base": "choosing which duplicate to condemn ignores bases",
    "verdict-trusts-choice": "verdict looks again only at chunks that were not referenced before",
    "keeper-ignores-bases": "keeper never adds bases, neither condemning nor rescuing",
    "rescue-ignores-bases": "rescue does not add bases",
    "dead-delta-counts": "rescue takes a delta without a base for another copy",
    # sessions, decisions, pins
    "session-cleaned-early": "session objects deleted once its segments are compacted, ended or not",
    "end-deleted-first": "sessions/<s>/end deleted before sessions/<s>/start",
    "decisions-dropped": "accepted and rejected sessions forgotten with the record that said so",
    "pin-not-rechecked": "reader looks at forgets before it puts its pin, not after",
    # changes that do not matter: a second look makes up for them
    "pins-before-forgets": "keeper lists pins/ before forgets/",
    "condemn-active": "keeper condemns packs of active sessions too",
}

# name: (first packs' copies, what the old snapshot holds, what each writer saves)
SCENES = {
    "plain": ((XP | YP,), X | Y, (X | Y, X | Y, X | Y)),
    "one": ((XP,), X, (X, X, X)),
    "spread": ((XP, YP), X | Y, (Y, X | Y, X)),
    "delta": ((XP, YD), Y, (Y, Y, Y)),
    "copies": ((XP, YP, YD), Y, (Y, X | Y, X)),
    "base": ((XP,), X, (Y, Y, Y)),
    "dead": ((YD, YP), Y, (Y, Y, Y)),
    "cross": ((XP | YD, YP | XD), X | Y, (X, Y, X | Y)),
}


class Model:
    """The protocol as a function from a state to its successors."""

    def __init__(self, mutants=(), scene="plain", writers=1, generations=1, kills=0, forgets=1,
                 reuse=True, deltas=True, pins=False, late=False, clean_lag=2, record_lag=2,
                 repack=True, greedy=True, torn=False, packs_listed=False,
                 merge=False, zombie=False):
        self.mut = frozenset(mutants)
        unknown = self.mut - MUTANTS.keys()
        if unknown:
            raise SystemExit("no such mutant: " + ", ".join(sorted(unknown)))
        self.first, old_refs, wants = SCENES[scene]
        self.writers, self.generations, self.kills = writers, generations, kills
        self.forgets, self.reuse, self.deltas, self.pins = forgets, reuse, deltas, pins
        self.late, self.clean_lag, self.record_lag = late, clean_lag, record_lag
        self.repack, self.greedy, self.torn = repack, greedy, torn
        self.merge = merge                      # a writer may put one merged segment
        # Writer 0 was fenced and rejected, its pack deleted, the records of that dropped; then
        # its segment landed. (The protocol itself leads there.)
        self.zombie = zombie
        self.packs_listed = packs_listed        # writer lists packs/ after gc/, hits only those
        self.refs = tuple(wants[:writers]) + (old_refs,)
        self.old = 1 << writers                 # the old session's bit; it ended long ago
        self.pack_of = tuple(1 << (len(self.first) + i) for i in range(writers))
        self.shift_of = tuple(KIND_BITS * (len(self.first) + i) for i in range(writers))
        self.first_keeper_slot = len(self.first) + writers
        self.owned = [(1 << i, self.pack_of[i]) for i in range(writers)]
        self.kinds_memo, self.choice_memo, self.shared = {}, {}, {}

    def start(self):
        count = len(self.first)
        packs = (1 << count) - 1
        kinds = sum(k << (KIND_BITS * i) for i, k in enumerate(self.first))
        idle = ("idle", 0, 0, 0, 0)
        writer = ("start", 0, 0, 0, 0)          # step, packs to avoid, two scratch, acknowledged
        #       packs  index  kinds  snaps     forgot start end fence reject accept late pin kills
        if self.zombie:
            kinds |= self.refs[0] << self.shift_of[0]
            failed = ("failed", 0, 0, 0, 2)
            return (packs, packs | self.pack_of[0], kinds, self.old, 0, 1, 0, 1, 1, 0, 0, 0, 0,
                    (), idle, (failed,) + (writer,) * (self.writers - 1))
        return (packs, packs, kinds, self.old, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                (), idle, (writer,) * self.writers)

    # -- what can be read from which packs --------------------------------------------------------

    def copies(self, packs, kinds):
        """The copies in these packs, as XP|YP|XD|YD."""
        found = self.kinds_memo.get((packs, kinds))
        if found is None:
            found, slot = 0, 0
            while packs >> slot:
                if packs >> slot & 1:
                    found |= kinds >> (KIND_BITS * slot) & 15
                slot += 1
            self.kinds_memo[packs, kinds] = found
        return found

    @staticmethod
    def readable(copies):
        got = copies & 3                        # XP is X, YP is Y
        if copies & XD and copies & YP:
            got |= X
        if copies & YD and copies & XP:
            got |= Y
        return got

    @staticmethod
    def named(copies):
        """Chunks with a copy of any kind: what one sees who forgets bases."""
        return (copies | copies >> 2) & 3

    def packs_with(self, packs, kinds, wanted):
        """Those of packs that hold one of the wanted copies."""
        found, slot = 0, 0
        while packs >> slot:
            if packs >> slot & 1 and kinds >> (KIND_BITS * slot) & wanted:
                found |= 1 << slot
            slot += 1
        return found

    def packs_of(self, sessions):
        return sum(pack for bit, pack in self.owned if sessions & bit)

    def refs_of(self, snaps):
        got = 0
        for i, refs in enumerate(self.refs):
            if snaps >> i & 1:
                got |= refs
        return got

    # -- what must hold ---------------------------------------------------------------------------

    def wrong(self, st):
        packs, index, kinds, snaps, forgot, start, end, _, reject, _, _, pin = st[:12]
        valid = snaps & ~forgot & ~reject
        there = self.readable(self.copies(packs & lanes(index), kinds))
        if self.refs_of(valid) & ~there:
            return "a valid snapshot has lost a chunk"
        if pin == 2 and self.refs[self.writers] & ~there:
            return "a pinned snapshot has lost a chunk"
        for i, w in enumerate(st[15]):
            bit = 1 << i
            if w[4] == 1 and not bit & (forgot | valid):
                return "acknowledged snapshot %d became invalid" % i
            if w[0] == "ended" and start & ~end & bit:
                return "ended session %d looks active" % i
        return None

    # -- one step of everybody --------------------------------------------------------------------

    def successors(self, st):
        out = []
        for i in range(self.writers):
            self.writer(st, i, out)
        self.keeper(st, out)
        (packs, index, kinds, snaps, forgot, start, end, fence, reject, accept, late, pin, kills,
         gens, keeper, writers) = st
        if bin(forgot).count("1") < self.forgets:
            for i in range(self.writers + 1):
                bit = 1 << i
                if snaps & bit and not forgot & bit and (bit == self.old or writers[i][4] == 1):
                    out.append(st[:4] + (forgot | bit,) + st[5:])
        # pin: 0 none, 1 put, 2 acknowledged, 4 (a mutant's) looked at forgets, not yet put
        if self.pins and pin == 0 and "pin-not-rechecked" not in self.mut:
            out.append(st[:11] + (1,) + st[12:])
        elif self.pins and pin == 0 and not forgot & self.old:
            out.append(st[:11] + (4,) + st[12:])
        elif pin == 4 or pin == 1 and not forgot & self.old:
            out.append(st[:11] + (2,) + st[12:])
        for bit, pack in self.owned:            # a put that timed out lands after all
            if late & bit:
                out.append((packs, index | pack) + st[2:10] + (late & ~bit,) + st[11:])
        return out

    def reusable(self, snaps, forgot, fence):
        if "reuse-forgotten" in self.mut:
            forgot = 0
        if "reuse-fenced" in self.mut:
            fence = 0
        return self.refs_of(snaps & ~forgot & ~fence)

    def writer(self, st, i, out):
        (packs, index, kinds, snaps, forgot, start, end, fence, reject, accept, late, pin, kills,
         gens, keeper, writers) = st
        step, avoid, a, b, ack = writers[i]
        if step in ("ended", "failed"):
            return
        bit, pack, want, mut = 1 << i, self.pack_of[i], self.refs[i], self.mut

        def emit(new, packs=packs, index=index, kinds=kinds, snaps=snaps, start=start, end=end,
                 late=late):
            w = writers[:i] + (new,) + writers[i + 1:]
            out.append((packs, index, kinds, snaps, forgot, start, end, fence, reject, accept,
                        late, pin, kills, gens, keeper, self.shared.setdefault(w, w)))

        def gc_list():
            condemned, open_ = 0, 0
            for phase, cond, _, _, _ in gens:
                if phase != "gone":
                    condemned |= cond
                if phase in ("cond", "verdict"):
                    open_ = 1
            return condemned, open_

        def rows_of_others(ignored):
            """Index rows but for those in segments of the ignored sessions."""
            rows = index & ALL_SLOTS & ~self.packs_of(ignored)
            for j in range(self.writers):
                if not ignored >> j & 1:
                    rows |= index >> (SLOTS * (j + 1)) & ALL_SLOTS
            return rows

        def look_up(reused, rows):
            copies = self.copies(rows, kinds)
            got = (self.named if "hit-without-base" in mut else self.readable)(copies)
            return want & ~got & ~reused, copies & 3

        if step == "start":
            if "gc-listed-before-start" in mut:
                condemned, open_ = gc_list()
                emit(("late-start", condemned, open_, accept, 0))
            elif "stale-index" in mut:
                miss, bases = look_up(0, lanes(index))
                emit(("stale-start", 0, miss, bases, 0))
            elif "reuse-lists-before-start" in mut:
                condemned, open_ = gc_list()
                emit(("early-start", 0, 0 if open_ else self.reusable(snaps, forgot, fence), 0, 0))
            else:
                step1 = "reuse-first" if "reuse-gc-listed-last" in mut else "gc"
                emit((step1, 0, 0, 0, 0), start=start | bit)
        elif step == "late-start":
            emit(("fences", avoid, a, b, 0), start=start | bit)
        elif step == "stale-start":
            emit(("pack" if a else "snap", 0, a, b, 0), start=start | bit)
        elif step == "early-start":
            emit(("gc", 0, a, 0, 0), start=start | bit)
        elif step == "reuse-first":             # a: reusable by these lists, if no gc/ is open
            emit(("gc", 0, self.reusable(snaps, forgot, fence), 0, 0))
        elif step == "gc":
            condemned, open_ = gc_list()
            if "reuse-while-open" in mut:
                open_ = 0
            if "reuse-gc-listed-last" in mut:
                a = 0 if open_ else a
                emit(("fences", condemned, 4 | a, accept, 0))
            elif "reuse-lists-before-start" in mut:
                emit(("fences", condemned, 4 | a, accept, 0))
            else:
                emit(("fences", condemned, open_, accept, 0))
        elif step == "fences":                  # b: sessions accepted by the gc records read
            if self.packs_listed:
                avoid |= ~packs & ALL_SLOTS
            if "late-segments-used" not in mut:
                avoid |= (fence & ~b) << SLOTS
            if not self.reuse:
                emit(("index", avoid, 0, 0, 0))
            elif a & 4:
                emit(("index", avoid, a & 3, 0, 0))
                if a & 3:
                    emit(("index", avoid, 0, 0, 0))
            elif a:
                emit(("index", avoid, 0, 0, 0))
            else:
                emit(("forgets" if self.torn else "snaps", avoid, fence, 0, 0))
        elif step == "forgets":
            emit(("snaps", avoid, a, forgot, 0))
        elif step == "snaps":                   # a: fences; b: forgets, if listed before
            reused = self.reusable(snaps, b if self.torn else forgot, a)
            emit(("index", avoid, 0, 0, 0))
            if reused & want:
                emit(("index", avoid, reused & want, 0, 0))
        elif step == "index":                   # a: chunks taken without look-up
            ignored, avoid = avoid >> SLOTS, avoid & ALL_SLOTS
            miss, bases = look_up(a, rows_of_others(ignored) & ~avoid)
            emit(("pack", 0, miss, bases, 0) if miss else ("snap", 0, 0, 0, 0))
            if self.merge:
                rows = rows_of_others(0 if "merge-keeps-fenced" in mut else ignored)
                if "merge-keeps-condemned" not in mut:
                    rows &= ~avoid
                emit(("merge", rows, miss, bases if miss else 0, 0))
        elif step == "merge":                   # avoid: the rows it merges
            emit(("pack", 0, a, b, 0) if a else ("snap", 0, 0, 0, 0),
                 index=index | avoid << (SLOTS * (i + 1)))
        elif step == "pack":                    # a: missing chunks; b: bases with a plain copy
            forms = {a}                         # all plain
            if self.deltas:
                if a & Y and (b | a) & X:
                    forms.add(a & X | YD)
                if a & X and (b | a) & Y:
                    forms.add(a & Y | XD)
            for form in forms:
                emit(("segment", 0, 0, 0, 0), packs=packs | pack,
                     kinds=kinds | form << self.shift_of[i])
        elif step == "segment":
            emit(("snap", 0, 0, 0, 0), index=index | pack)
            if self.late:                       # timed out, put again; the first may land later
                emit(("snap", 0, 0, 0, 0), index=index | pack, late=late | bit)
        elif step == "snap":
            emit(("fence?", 0, 0, 0, 0), snaps=snaps | bit)
        elif step == "fence?":
            if fence & bit and "no-last-fence-look" not in mut:
                emit(("failed", 0, 0, 0, 2))
            else:
                emit(("end", 0, 0, 0, 1))
        elif step == "end":
            emit(("ended", 0, 0, 0, 1), end=end | bit)

    def choices(self, packs, index, kinds, eligible, refs, slot):
        """What a keeper may condemn: (condemned, repacked copies). Greedy: as much as it can."""
        key = packs, index, kinds, eligible, refs, slot
        found = self.choice_memo.get(key)
        if found is not None:
            return found
        found = set()
        live = packs & lanes(index)
        repacks = [0]
        if self.repack and refs:
            everything = self.copies(live, kinds)
            for i in range(slot):
                if eligible & live & 1 << i:
                    mine = kinds >> (KIND_BITS * i) & 15
                    keep = 0
                    if refs & X or mine & XP and everything & YD and refs & Y:
                        keep |= mine & (XP | XD)
                    if refs & Y or mine & YP and everything & XD and refs & X:
                        keep |= mine & (YP | YD)
                    if keep:
                        repacks.append(keep)
        for copy in set(repacks):
            mutant = "repack-drops-base" if copy else "dedup-drops-base"
            blind = mutant in self.mut or "keeper-ignores-bases" in self.mut
            test = self.named if blind else self.readable
            good, cond = [], eligible
            while True:                         # every subset of eligible, the largest first
                left = self.copies(live & ~cond, kinds) | copy
                if not refs & ~test(left) and not (self.greedy
                                                   and any(cond & g == cond for g in good)):
                    good.append(cond)
                if not cond:
                    break
                cond = (cond - 1) & eligible
            found.update((c, copy) for c in good if c)
        found = sorted(found) or [(0, 0)]       # an empty generation is one, too
        self.choice_memo[key] = found
        return found

    def verdict(self, packs, index, kinds, cond, refs, refs_before):
        """Condemned packs that are not rescued."""
        if "no-recheck" in self.mut:
            return cond
        if "verdict-trusts-choice" in self.mut:
            refs &= ~refs_before
        live = packs & lanes(index)
        kept, gone = live & ~cond, live & cond
        left = self.copies(kept, kinds)
        blind = "rescue-ignores-bases" in self.mut or "keeper-ignores-bases" in self.mut
        rescued = 0
        for chunk, plain, delta, base in ((X, XP, XD, YP), (Y, YP, YD, XP)):
            if not refs & chunk:
                continue
            if blind:
                if not self.named(left) & chunk:
                    rescued |= self.packs_with(gone, kinds, plain | delta)
            elif "dead-delta-counts" in self.mut:
                if not self.named(left) & chunk:
                    rescued |= self.packs_with(gone, kinds, plain | delta)
                if self.copies(live, kinds) & delta and not left & base:
                    rescued |= self.packs_with(gone, kinds, base)
            elif not self.readable(left) & chunk:
                rescued |= self.packs_with(gone, kinds, plain | delta)
                if self.copies(live, kinds) & delta:
                    rescued |= self.packs_with(gone, kinds, base)
        return cond & ~rescued

    def keeper(self, st, out):
        (packs, index, kinds, snaps, forgot, start, end, fence, reject, accept, late, pin, kills,
         gens, (step, a, b, c, d), writers) = st
        mut = self.mut

        def emit(step, a=0, b=0, c=0, d=0, packs=packs, index=index, kinds=kinds, start=start,
                 end=end, fence=fence, reject=reject, accept=accept, kills=kills, gens=gens):
            k = (step, a, b, c, d)
            out.append((packs, index, kinds, snaps, forgot, start, end, fence, reject, accept,
                        late, pin, kills, self.shared.setdefault(gens, gens),
                        self.shared.setdefault(k, k), writers))

        def last(*record):
            return gens[:-1] + (record,)

        def decide():
            """Fenced sessions not decided yet, by a list of snapshots made now."""
            open_ = fence & ~reject & ~accept
            return open_ & snaps, open_ & ~snaps

        def seen_refs(rejected, forgot=forgot, pin=pin):
            refs = self.refs_of(snaps & ~forgot & ~reject & ~rejected)
            return refs | (self.refs[self.writers] if pin & 3 else 0)

        if step != "idle" and kills < self.kills:
            emit("idle", kills=kills + 1)
        if step == "idle":
            if gens and gens[-1][0] == "cond":
                emit("sessions")
            elif gens and gens[-1][0] == "verdict":
                emit("compact")
            elif len(gens) < self.generations:
                emit("fence")
        elif step == "fence":
            active = start & ~end & ~fence
            early = "decide-before-fence" in mut
            then = "forgets-1" if self.pins else "snaps-1"
            if early:
                for bit in [0] + [x for x, _ in self.owned if active & x]:
                    emit("fence-late", snaps, bit)
                return
            emit(then)
            for bit, _ in self.owned:
                if active & bit:
                    emit(then, fence=fence | bit)
        elif step == "fence-late":
            emit("snaps-1", fence=fence | b, accept=accept | b & a, reject=reject | b & ~a)
        elif step in ("forgets-1", "forgets-2"):
            emit("pins" + step[7:], forgot if "pins-before-forgets" not in mut else pin)
        elif step in ("pins-1", "pins-2"):
            if "pins-before-forgets" in mut:
                emit("snaps" + step[4:], forgot, a)
            else:
                emit("snaps" + step[4:], a, pin)
        elif step == "snaps-1":
            acc, rej = decide()
            refs = seen_refs(rej, a, b) if self.pins else seen_refs(rej)
            emit("choose", refs, acc, rej, start & ~end & ~fence if "sessions-before-gc" in mut
                 else 0)
        elif step == "choose":                  # a: refs; b, c: accepted, rejected
            eligible = packs
            if "condemn-active" not in mut:
                eligible &= ~self.packs_of(start & ~end & ~fence)
            slot = self.first_keeper_slot + len(gens) + kills
            for cond, copy in self.choices(packs, index, kinds, eligible, a, slot):
                if copy:
                    new = 1 << slot
                    emit("condemn", cond, a, b, c | d << 8, packs=packs | new, index=index | new,
                         kinds=kinds | copy << (KIND_BITS * slot))
                else:
                    emit("condemn", cond, a, b, c | d << 8)
        elif step == "condemn":                 # a: condemned; b: refs; c, d: accepted, rejected
            new = gens + (("cond", a, b, 0, 0),)
            if "sessions-before-gc" in mut:
                emit("wait", d >> 8, gens=new, accept=accept | c, reject=reject | d & 255)
            else:
                emit("sessions", gens=new, accept=accept | c, reject=reject | d & 255)
        elif step == "sessions":
            emit("wait", start & ~end & ~fence)
        elif step == "wait":                    # a: sessions listed as active
            left = a & ~end & ~fence
            then = "forgets-2" if self.pins else "snaps-2"
            if not left or "no-fence" in mut:
                emit(then)
            # A fence may land on a session that ended since it was listed.
            for bit, _ in self.owned:
                if a & ~fence & bit:
                    emit("wait", a, fence=fence | bit)
        elif step == "snaps-2":
            acc, rej = decide()
            emit("verdict", seen_refs(rej, a, b) if self.pins else seen_refs(rej), acc, rej)
        elif step == "verdict":
            _, cond, refs_before, _, _ = gens[-1]
            gone = self.verdict(packs, index, kinds, cond, a, refs_before)
            emit("compact", gens=last("verdict", cond, 0, gone, 0), accept=accept | b,
                 reject=reject | c)
        elif step == "compact":
            _, cond, _, gone, _ = gens[-1]
            if "session-cleaned-early" in mut:
                done = sum(bit for bit, pack in self.owned if start & bit and index & pack)
            else:
                done = start & end
            everywhere = sum(gone << (SLOTS * lane) for lane in range(self.writers + 1))
            emit("delete", done, index=index & ~everywhere)
        elif step == "delete":                  # a: sessions whose segments are compacted now
            _, cond, _, gone, _ = gens[-1]
            n = len(gens) - 1
            clean = 0
            if "session-cleaned-early" in mut:
                clean = a
            elif n >= self.clean_lag:
                clean = (a if self.clean_lag == 0 else gens[n - self.clean_lag][4]) & start
            if clean:
                emit("clean", a, clean, packs=packs & ~gone)
            else:
                emit("done", a, packs=packs & ~gone)
        elif step == "clean":
            if "end-deleted-first" in mut:
                emit("clean-2", a, b, end=end & ~b)
            else:
                emit("clean-2", a, b, start=start & ~b)
        elif step == "clean-2":
            emit("done", a, start=start & ~b, end=end & ~b)
        elif step == "done":
            _, cond, _, gone, _ = gens[-1]
            new = last("done", cond, 0, 0, a)
            lag = 0 if "records-dropped-early" in mut else self.record_lag
            drop = len(new) - 1 - lag
            acc, rej, fences = accept, reject, fence
            if drop >= 0:
                new = new[:drop] + (("gone", 0, 0, 0, new[drop][4]),) + new[drop + 1:]
                if "decisions-dropped" in mut:
                    acc = rej = 0
            if "fences-removed" in mut:
                fences = acc = rej = 0
            emit("idle", gens=new, accept=acc, reject=rej, fence=fences)


FIELDS = ("packs index kinds snaps forgot start end fence reject accept late pin kills gens "
          "keeper writers").split()


def explore(model, cap, deadline_secs=None):
    """Breadth first, so that a trace is as short as can be: (verdict, states, trace).

    The verdict is "safe" (every reachable state seen), "capped" (as many as allowed, none
    wrong), or what went wrong, with the trace that leads there.
    """
    first = model.start()
    seen = {first: None}
    queue = deque([first])
    begun = time.process_time()
    popped = 0
    while queue:
        st = queue.popleft()
        popped += 1
        for new in model.successors(st):
            if new in seen:
                continue
            seen[new] = st
            why = model.wrong(new)
            if why:
                trace = []
                while new is not None:
                    trace.append(new)
                    new = seen[new]
                return why, len(seen), trace[::-1]
            queue.append(new)
        if len(seen) > cap or (deadline_secs and not popped & 1023
                               and time.process_time() - begun > deadline_secs):
            return "capped", len(seen), None
    return "safe", len(seen), None


def print_trace(trace):
    for before, after in zip(trace, trace[1:]):
        print("   ", "; ".join("%s: %s" % (FIELDS[i], after[i]) for i in range(len(FIELDS))
                               if after[i] != before[i]))


CAPPED, LOST = "capped", "lost"

ONE = dict(scene="one", writers=1, generations=1)
TWO = dict(scene="one", writers=2, generations=1, forgets=2, deltas=False)
BASE = dict(scene="delta", writers=1, generations=1)
CLEAN = dict(scene="one", writers=1, generations=2, forgets=2, reuse=False)
MERGE = dict(scene="one", writers=2, generations=2, reuse=False, repack=False, deltas=False,
             merge=True, record_lag=0)
ZOMBIE = dict(scene="base", writers=3, generations=0, reuse=False, deltas=False, merge=True,
              zombie=True)
LATE = dict(scene="base", writers=2, generations=1, reuse=False, repack=False, deltas=False,
            late=True)
BUSY = dict(kills=1, forgets=2, pins=True)

# The protocol itself, in settings that must be safe to the last reachable state.
PROTOCOL = (
    [dict(BUSY, scene=s, writers=1, generations=1) for s in SCENES]
    + [dict(BUSY, scene=s, writers=1, generations=1, greedy=False) for s in ("delta", "dead")]
    + [dict(scene=s, writers=1, generations=2, kills=1, forgets=2)
       for s in ("plain", "spread", "delta", "cross")]
    + [dict(scene="cross", writers=1, generations=2, forgets=2, greedy=False)]
    + [dict(scene=s, writers=1, generations=3, forgets=2) for s in ("one", "delta", "cross")]
    + [dict(scene="one", writers=1, generations=3, kills=1, clean_lag=2)]
    + [dict(scene=s, writers=2, generations=1) for s in ("plain", "spread", "delta", "cross")]
    + [dict(scene="one", writers=2, generations=1, forgets=2, torn=True)]
    + [dict(scene="one", writers=2, generations=2)]
    + [dict(LATE, packs_listed=True, record_lag=0)]
)

# What --deep adds.
DEEP = (
    [dict(scene=s, writers=2, generations=2) for s in ("base", "plain", "delta")]
    + [dict(scene=s, writers=2, generations=1, kills=1, forgets=2, torn=True)
       for s in ("one", "delta", "cross")]
    + [dict(scene=s, writers=3, generations=1) for s in ("one", "base")]
    + [dict(scene="copies", writers=1, generations=2, kills=1, forgets=2, greedy=False)]
)

# Mutants that must lose something, each in a setting where the protocol itself is safe.
CAUGHT = [
    ("gc-listed-before-start", ONE), ("stale-index", ONE), ("no-last-fence-look", ONE),
    ("no-fence", ONE), ("no-recheck", ONE), ("sessions-before-gc", ONE), ("fences-removed", ONE),
    ("decide-before-fence", ONE),
    ("late-segments-used,records-dropped-early", dict(TWO, generations=2, forgets=1,
                                                      repack=False)),
    ("reuse-while-open", TWO), ("reuse-forgotten", ONE), ("reuse-fenced", TWO),
    ("reuse-lists-before-start", ONE), ("reuse-gc-listed-last", TWO),
    ("merge-keeps-condemned", MERGE), ("merge-keeps-fenced", ZOMBIE),
    ("hit-without-base", dict(BASE, reuse=False, greedy=False)),
    ("hit-without-base", dict(scene="base", writers=2, generations=1, reuse=False)),
    ("repack-drops-base,verdict-trusts-choice", BASE),
    ("dedup-drops-base,verdict-trusts-choice", BASE),
    ("keeper-ignores-bases", BASE), ("rescue-ignores-bases", BASE),
    ("dead-delta-counts", dict(BASE, scene="dead", reuse=False, greedy=False)),
    ("session-cleaned-early", CLEAN), ("end-deleted-first", dict(CLEAN, clean_lag=0)),
    ("decisions-dropped", dict(CLEAN, record_lag=0)),
    ("pin-not-rechecked", dict(ONE, pins=True)),
]

# The same fault, from the protocol as first worded: a late segment, no list of packs/.
CAUGHT_LATE = [("records-dropped-early", LATE, dict(LATE, packs_listed=True))]
CAUGHT_LATE_DEEP = [("", dict(LATE, generations=3), dict(LATE, generations=3, packs_listed=True))]

# One of two layers gone: must still be safe.
LAYERS = [
    ("late-segments-used", dict(TWO, generations=2, forgets=1, repack=False)),
    ("records-dropped-early", dict(TWO, generations=2, forgets=1, repack=False)),
    ("repack-drops-base", BASE), ("dedup-drops-base", BASE), ("verdict-trusts-choice", BASE),
    ("condemn-active", dict(scene="one", writers=2, generations=1)),
    ("pins-before-forgets", dict(ONE, scene="cross", pins=True, kills=1)),
]


def tell(setting):
    """A setting in words: scene writers x generations, then what differs from the default."""
    rest = {k: v for k, v in setting.items() if k not in ("scene", "writers", "generations")}
    words = ["%s %dx%d" % (setting["scene"], setting["writers"], setting["generations"])]
    for k, v in sorted(rest.items()):
        words.append(k if v is True else "no-" + k if v is False else "%s=%s" % (k, v))
    return " ".join(words)


class Run:
    """Runs checks, prints a line for each, counts surprises."""

    def __init__(self, cap, secs, budget_secs):
        self.cap, self.secs = cap, secs
        self.until = time.process_time() + budget_secs
        self.known, self.surprises, self.checks, self.states = {}, 0, 0, 0

    def one(self, mutants, setting):
        key = mutants, tuple(sorted(setting.items()))
        if key not in self.known:
            begun = time.process_time()
            secs = self.secs            # a mutant is always looked for as long as it takes
            if not mutants:
                secs = min(secs, max(self.until - begun, 0.5))
            why, states, trace = explore(Model(mutants.split(",") if mutants else (), **setting),
                                         self.cap, secs)
            self.known[key] = why, states, trace, time.process_time() - begun
            self.states += states
        return self.known[key]

    def check(self, kind, mutants, setting, expected):
        if kind == "beside" and ("", tuple(sorted(setting.items()))) in self.known:
            return
        why, states, trace, secs = self.one(mutants, setting)
        got = why if why in ("safe", CAPPED) else LOST
        good = got == expected or (got == CAPPED and expected == "safe")
        self.checks += 1
        self.surprises += not good
        what = (why + " in %d steps" % (len(trace) - 1) if trace else
                "no violation, stopped at the bound" if why == CAPPED else why)
        print("%-8s %-8s %-42s %-58s %9d states %5.1fs  %s"
              % ("ok" if good else "SURPRISE", kind, mutants or "-", tell(setting), states, secs,
                 what), flush=True)
        if not good and trace:
            print_trace(trace)


def main():
    ap = argparse.ArgumentParser(description="check the deletion protocol and mutants of it")
    ap.add_argument("--deep", action="store_true", help="larger settings too (minutes, gigabytes)")
    ap.add_argument("--cap", type=int, default=0, help="states per check")
    ap.add_argument("--secs", type=float, default=0, help="CPU seconds per check")
    ap.add_argument("--budget", type=float, default=3600,
                    help="CPU seconds for all; the protocol's last checks are cut short to keep it")
    ap.add_argument("--trace", metavar="MUTANTS", help="print the shortest loss of these mutants")
    args = ap.parse_args()
    run = Run(args.cap or (6_000_000 if args.deep or args.trace is not None else 1_500_000),
              args.secs or (600 if args.deep else 60), args.budget)

    if args.trace is not None:
        for mutants, setting in CAUGHT + [x[:2] for x in CAUGHT_LATE + CAUGHT_LATE_DEEP]:
            if mutants == args.trace:
                why, _, trace, _ = run.one(mutants, setting)
                print(mutants or "late put, no list of packs/", "in", tell(setting) + ":", why)
                if trace:
                    print_trace(trace)
        return 0

    begun = time.process_time()
    for mutants, setting in CAUGHT:
        run.check("beside", "", setting, "safe")
        run.check("mutant", mutants, setting, LOST)
    for mutants, setting, mended in CAUGHT_LATE + (CAUGHT_LATE_DEEP if args.deep else []):
        run.check("mutant", mutants, setting, LOST)
        run.check("mended", mutants, mended, "safe")
    for mutants, setting in LAYERS:
        run.check("layer", mutants, setting, "safe")
    for setting in PROTOCOL + (DEEP if args.deep else []):
        run.check("protocol", "", setting, "safe")
    print("%d checks, %d surprises, %d states, %.0f s"
          % (run.checks, run.surprises, run.states, time.process_time() - begun))
    return 1 if run.surprises else 0


if __name__ == "__main__":
    sys.exit(main())
