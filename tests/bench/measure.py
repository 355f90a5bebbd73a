"""measure: what one command cost in wall time, processor time and memory; and a cold page cache."""

import os
import pathlib
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A measured command did not do its work; the message says how."""


@dataclass
class Cost:
    wall_secs: float = 0.0
    cpu_secs: float = 0.0        # user + system, of the command, its children and the mount's daemon
    rss_bytes: int = 0           # the largest single process
    other_cpu_secs: float = 0.0  # what everybody else on the machine used meanwhile
    more: dict = field(default_factory=dict)  # iops, p50_us ..., where a job has them


class Daemon:
    """The processes behind a mount, known by their ids."""

    def __init__(self, pids):
        self.pids = list(pids)

    def cpu_secs(self):
        total = 0
        for pid in self.pids:
            try:
                stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                raise Failed(f"the mount's process {pid} is gone") from None
            fields = stat.rpartition(")")[2].split()
            total += sum(int(n) for n in fields[11:15])  # utime stime cutime cstime
        return total / TICKS_PER_SEC

    def rss_bytes(self):
        peak = 0
        for pid in self.pids:
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
            except OSError:
                raise Failed(f"the mount's process {pid} is gone") from None
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) * 1024)
        return peak


def machine_busy_secs():
    """Processor time used by all since the start: everything in /proc/stat but idle and iowait."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SEC


def start(argv, env=None, cwd=None, stdin=None, log=None, stdout=None):
    """Start argv in its own process group; what it says on stderr goes to the file `log`."""
    return subprocess.Popen(argv, env=env, cwd=cwd, stdin=stdin or subprocess.DEVNULL,
                            stdout=stdout or subprocess.DEVNULL, stderr=log or subprocess.DEVNULL,
                            start_new_session=True)


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait(process, timeout_secs):
    """Wait for a process of start(). Returns its exit status and resource usage."""
    late = threading.Timer(timeout_secs, kill_group, (process,))
    late.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        late.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def run(argv, *, env=None, cwd=None, stdin_path=None, stdin_pipe=False, scratch, timeout_secs,
        daemon=None, stdout_path=None):
    """Run one command to its end and return its Cost; raise Failed with its last words if it fails.

    stdin_pipe feeds stdin_path through a `cat`, whose processor time counts as somebody else's.
    """
    log_path = scratch / "stderr.log"
    with open(log_path, "wb") as log, open(stdout_path or os.devnull, "wb") as out:
        stdin, cat = None, None
        if stdin_path and stdin_pipe:
            cat = subprocess.Popen(["cat", str(stdin_path)], stdout=subprocess.PIPE)
            stdin = cat.stdout
        elif stdin_path:
            stdin = open(stdin_path, "rb")
        busy, daemon_cpu = machine_busy_secs(), daemon.cpu_secs() if daemon else 0.0
        began = time.monotonic()
        process = start([str(a) for a in argv], env, cwd, stdin, log, out)
        if stdin:
            stdin.close()
        status, usage = wait(process, timeout_secs)
        wall = time.monotonic() - began
        if cat:
            cat.wait()
    if status != 0:
        words = log_path.read_text(errors="replace").strip().splitlines()[-3:]
        late = f" (stopped after {timeout_secs} s)" if status == -signal.SIGKILL else ""
        raise Failed(f"{' '.join(map(str, argv))}: exit {status}{late}: {' | '.join(words)}")
    cpu = usage.ru_utime + usage.ru_stime
    rss = usage.ru_maxrss * 1024
    if daemon:
        cpu += daemon.cpu_secs() - daemon_cpu
        rss = daemon.rss_bytes()
    return Cost(wall, cpu, rss, max(0.0, machine_busy_secs() - busy - cpu))


class PageCache:
    """Empties the page cache; `how` says by what means, for the output."""

    DROP = pathlib.Path("/proc/sys/vm/drop_caches")

    def __init__(self, roots):
        self.roots = roots
        try:
            os.sync()
            self.DROP.write_text("1\n")
            self.how = "drop_caches (pages, folder entries and inodes)"
            self.can_drop = True
        except OSError:
            self.how = ("posix_fadvise over data and stores: folder entries and inodes stay cached, "
                        "so cold walks look faster than they are")
            self.can_drop = False

    def empty(self):
        os.sync()
        if self.can_drop:
            self.DROP.write_text("3\n")
            return
        for root in self.roots:
            for folder, _, names in os.walk(root):
                for name in names:
                    self.forget(os.path.join(folder, name))

    @staticmethod
    def forget(path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            pass
        finally:
            os.close(fd)


def warm_file(path):
    """Read a file into the page cache."""
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 20):
            pass
