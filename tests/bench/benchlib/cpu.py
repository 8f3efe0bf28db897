# SPDX-License-Identifier: ISC
"""CPU time and memory of all processes of one server.

As root each server has a control group of its own, which counts every child,
also those that have ended.  Else /proc is added up, with what ended children
left to their parents.
"""

import os
import signal
import time

CGROUPS = (
    ("/sys/fs/cgroup/cpuacct", "cpuacct.usage"),
    ("/sys/fs/cgroup/unified", "cpu.stat"),
    ("/sys/fs/cgroup", "cpu.stat"),
)
TICK = os.sysconf("SC_CLK_TCK")


def _read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def _cgroup_home():
    for path, usage in CGROUPS:
        if os.path.exists(f"{path}/cgroup.procs") and os.access(path, os.W_OK):
            return path, usage
    return None, None


class Processes:
    """The processes of one server; enter() is for subprocess' preexec_fn."""

    def __init__(self, name):
        home, self.usage = _cgroup_home()
        self.path = home and f"{home}/mqmail-bench-{os.getpid()}-{name}"
        self.root = None
        if self.path is not None:
            try:
                os.mkdir(self.path)
            except OSError:
                self.path = None

    def method(self):
        return "control group" if self.path else "/proc"

    def enter(self):
        if self.path is not None:
            with open(f"{self.path}/cgroup.procs", "w", encoding="ascii") as f:
                f.write(str(os.getpid()))

    def pids(self):
        if self.path is not None:
            return [int(pid) for pid in
                    _read(f"{self.path}/cgroup.procs").split()]
        return self._tree()

    def _tree(self):
        parents = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    stat = _read(f"/proc/{name}/stat").rpartition(")")[2]
                except OSError:
                    continue
                parents.setdefault(int(stat.split()[1]), []).append(int(name))
        found, waiting = [], [self.root] if self.root else []
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += parents.get(pid, [])
        return found

    def cpu_s(self):
        """Seconds of CPU that all have used."""
        if self.path is None:
            return sum(self._proc_cpu_s(pid) for pid in self._tree())
        text = _read(f"{self.path}/{self.usage}")
        if self.usage == "cpuacct.usage":
            return int(text) / 1e9
        return int(text.split()[1]) / 1e6

    @staticmethod
    def _proc_cpu_s(pid):
        try:
            fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        except OSError:
            return 0
        return sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICK

    def memory_kb(self):
        """Pss of all (private memory, and a share of what is shared)."""
        total = 0
        for pid in self.pids():
            try:
                for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
            except OSError:
                continue
        return total

    def end(self):
        """Ends whatever is left of what we started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + 10
            while self.pids() and time.monotonic() < deadline:
                for pid in self.pids():
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        pass
                time.sleep(0.1)
        if self.path is not None:
            os.rmdir(self.path)
