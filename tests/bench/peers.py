"""peers: how each program is told to do the same job. A store is fresh for each run."""

import os
import shutil
import subprocess
import time

import measure

PASSPHRASE = "a passphrase only the benchmark uses"


class Peer:
    """One program. Each job returns (argv, options of measure.run); the jobs measure them."""

    name = ""
    has_store = True

    def __init__(self, data, scratch, options):
        self.data, self.options = data, options
        self.scratch = scratch / self.name
        self.scratch.mkdir()
        self.store = self.scratch / "store"
        self.mountpoint = self.scratch / "mnt"
        self.mountpoint.mkdir()
        self.env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.scratch),
                    "TMPDIR": str(self.scratch)}
        self.daemon = None
        self.process = None

    # What a program needs in memory before anything is measured, so that cold means cold data.
    warm_up = ()

    def version(self):
        return ""

    def init(self):
        pass

    def run(self, argv, **more):
        """Run something that is not measured."""
        return measure.run(argv, env=self.env, scratch=self.scratch,
                           timeout_secs=self.options.timeout, **more)

    def warm(self):
        for argv in self.warm_up:
            subprocess.run(argv, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           stdin=subprocess.DEVNULL, check=False)

    # ---- mounts ----

    mount_argv = ()
    mount_stays = True  # the command is the daemon itself, rather than leaving one behind

    def mount(self):
        """Mount and list the newest tree; return what that cost."""
        began, busy, cpu = time.monotonic(), measure.machine_busy_secs(), 0.0
        with open(self.scratch / "mount.log", "wb") as log:
            process = measure.start([str(a) for a in self.mount_argv], self.env, log=log)
            if self.mount_stays:
                self.process = process
                self.wait_until_mounted(began)
            else:
                status, usage = measure.wait(process, self.options.timeout)
                cpu += usage.ru_utime + usage.ru_stime
                if status != 0 or not self.is_mounted():
                    raise measure.Failed(f"{self.name} mount: exit {status}: {self.mount_words()}")
        listed = self.run(["ls", self.tree()])
        wall = time.monotonic() - began
        self.daemon = measure.Daemon([self.process.pid] if self.mount_stays else self.find_daemon())
        cpu += listed.cpu_secs + self.daemon.cpu_secs()
        return measure.Cost(wall, cpu, self.daemon.rss_bytes(),
                            max(0.0, measure.machine_busy_secs() - busy - cpu))

    def mount_words(self):
        return " | ".join((self.scratch / "mount.log").read_text(errors="replace").split("\n")[-4:])

    def is_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as info:
            return any(line.split()[4] == str(self.mountpoint) for line in info)

    def wait_until_mounted(self, began):
        while not self.is_mounted():
            if self.process.poll() is not None:
                raise measure.Failed(f"{self.name} mount ended: {self.mount_words()}")
            if time.monotonic() - began > self.options.timeout:
                raise measure.Failed(f"{self.name} mount: not ready in time")
            time.sleep(0.002)

    def find_daemon(self):
        """Who serves our mountpoint: holds /dev/fuse open and was told of this very path."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
                if os.fsencode(self.mountpoint) in words and any(
                        os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/fuse"
                        for fd in os.listdir(f"/proc/{pid}/fd")):
                    found.append(int(pid))
            except OSError:
                continue  # it ended while we looked
        if not found:
            raise measure.Failed(f"{self.name}: no process serves the mount")
        return found

    unmount_argv = None

    def unmount(self):
        if self.is_mounted():
            argv = self.unmount_argv or ["fusermount3" if shutil.which("fusermount3") else "fusermount",
                                         "-u", str(self.mountpoint)]
            for _ in range(50):  # a reader may hold it a moment longer
                if subprocess.run(argv, env=self.env, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=False).returncode == 0:
                    break
                time.sleep(0.1)
            if self.is_mounted():
                subprocess.run(["umount", "-l", str(self.mountpoint)], check=False)
        if self.process:
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                measure.kill_group(self.process)
                self.process.wait()
        elif self.daemon:
            pids, self.daemon = self.daemon.pids, None
            give_up = time.monotonic() + 20
            while (left := [p for p in pids if os.path.exists(f"/proc/{p}")]):
                if time.monotonic() > give_up:
                    raise measure.Failed(f"{self.name}: {left} still runs 20 s after its mount is gone")
                time.sleep(0.02)
        self.process = self.daemon = None

    # ---- after the run ----

    def store_bytes(self):
        """What `du --apparent-size` would say of the store's files; metadata of folders left out."""
        total = 0
        for folder, _, names in os.walk(self.store):
            total += sum(os.lstat(os.path.join(folder, n)).st_size for n in names)
        return total


class Restic(Peer):
    name = "restic"

    def __init__(self, data, scratch, options):
        super().__init__(data, scratch, options)
        self.env |= {"RESTIC_PASSWORD": PASSPHRASE, "RESTIC_REPOSITORY": str(self.store),
                     "RESTIC_CACHE_DIR": str(self.scratch / "cache")}
        self.warm_up = [["restic", "version"]]
        self.mount_argv = ["restic", "mount", self.mountpoint]

    def version(self):
        return subprocess.run(["restic", "version"], capture_output=True, text=True, check=True).stdout.strip()

    def init(self):
        self.run(["restic", "init", "--repository-version", "2"])

    def backup(self, tag, path):
        return ["restic", "backup", "--compression", "auto", "--tag", tag, "."], {"cwd": path}

    def stream(self, tag, path):
        return ["restic", "backup", "--compression", "auto", "--tag", tag, "--stdin",
                "--stdin-filename", path.name], {"stdin_path": path}

    def check(self):
        return ["restic", "check", "--read-data"], {}

    def restore(self, target):
        return ["restic", "restore", "--tag", "tree", "--target", target, "latest"], {}

    def tree(self):
        return self.mountpoint / "tags/tree/latest"

    def dump(self):
        return self.mountpoint / "tags/dump/latest" / self.data.dump.name


class Borg(Peer):
    name = "borg"

    def __init__(self, data, scratch, options):
        super().__init__(data, scratch, options)
        self.env |= {"BORG_PASSPHRASE": PASSPHRASE, "BORG_BASE_DIR": str(self.scratch / "base")}
        self.warm_up = [["borg", "--version"], ["/usr/bin/python3", "-c", "import borg.fuse"]]
        self.mount_argv = ["borg", "mount", "-f", self.store, self.mountpoint]
        self.archives = {}

    def version(self):
        return subprocess.run(["borg", "--version"], capture_output=True, text=True, check=True).stdout.strip()

    def init(self):
        self.run(["borg", "init", "-e", "repokey-blake2", self.store])

    def archive(self, tag):
        self.archives[tag] = self.archives.get(tag, 0) + 1
        return f"{self.store}::{tag}-{self.archives[tag]}"

    def newest(self, tag):
        return f"{tag}-{self.archives[tag]}"

    def backup(self, tag, path):
        return ["borg", "create", "--compression", "zstd,3", self.archive(tag), "."], {"cwd": path}

    def stream(self, tag, path):
        return ["borg", "create", "--compression", "zstd,3", "--stdin-name", path.name,
                self.archive(tag), "-"], {"stdin_path": path}

    def check(self):
        return ["borg", "check", "--verify-data", self.store], {}

    def restore(self, target):
        return ["borg", "extract", f"{self.store}::{self.newest('tree')}"], {"cwd": target}

    def tree(self):
        return self.mountpoint / self.newest("tree")

    def dump(self):
        return self.mountpoint / self.newest("dump") / self.data.dump.name


class Yore(Peer):
    name = "yore"
    mount_stays = False

    def __init__(self, data, scratch, options):
        super().__init__(data, scratch, options)
        self.yore = options.yore
        self.env |= {"YORE_PASSWORD": PASSPHRASE, "YORE_STORE": str(self.store),
                     "YORE_CACHE_DIR": str(self.scratch / "cache")}
        self.warm_up = [[self.yore, "version"]]
        self.mount_argv = [self.yore, "mount", self.mountpoint, "--store", self.store]
        self.unmount_argv = [self.yore, "umount", str(self.mountpoint)]

    def version(self):
        done = subprocess.run([self.yore, "version"], capture_output=True, text=True, check=False)
        return f"{done.stdout.strip()} ({self.yore})"

    def init(self):
        self.run([self.yore, "init", "--store", self.store, "--keystore", "in-store",
                  "--recovery-file", self.scratch / "recovery"])

    def backup(self, tag, path):
        return [self.yore, "backup", "files", tag, path], {}

    def stream(self, tag, path):
        return [self.yore, "backup", "stream", tag, path.name], {"stdin_path": path}

    def check(self):
        return [self.yore, "check", "--read-data"], {}

    def restore(self, target):
        return [self.yore, "restore", "tree/latest", target], {}

    def tree(self):
        return self.mountpoint / "tree/latest"

    def dump(self):
        return self.mountpoint / "dump/latest" / self.data.dump.name


class Plain(Peer):
    """The files themselves, on the same disk in the same cache state."""

    name = "ext4"
    has_store = False

    def version(self):
        kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", str(self.data.tree)], capture_output=True,
                              text=True, check=True).stdout.strip()
        return f"the files themselves, on {kind}"

    def mount(self):
        return measure.Cost()

    def unmount(self):
        pass

    def restore(self, target):
        return ["cp", "-a", f"{self.data.tree}/.", target], {}

    def tree(self):
        return self.data.tree

    def dump(self):
        return self.data.dump


ALL = {peer.name: peer for peer in (Restic, Borg, Plain, Yore)}
