# SPDX-License-Identifier: ISC
"""A network of our own: namespaces whose interfaces meet at one bridge.

The first namespace has the bridge, with an address, so whoever is in it reaches
all others.  A thread enters one by inside(); sockets that it makes and programs
that it starts there stay there, the thread comes back.  Names of other networks
on this host are never met: all have this one's token.
"""
import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

NAMED = Path("/run/netns")
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def why_not():
    """Why there can be no network here; None: there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"mq{os.urandom(4).hex()}-try"
    done = subprocess.run(
        ["sh", "-c", f"ip netns add {name} && "
         f"ip -n {name} link add br0 type bridge; "
         f"r=$?; ip netns del {name}; exit $r"],
        capture_output=True, text=True)
    return None if done.returncode == 0 else \
        f"no network namespaces here: {done.stderr.strip()}"


def ip(*words):
    done = subprocess.run(["ip", *map(str, words)], capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(map(str, words))}: {done.stderr}")


def _set(descriptor):
    if LIBC.setns(descriptor, CLONE_NEWNET) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


@contextlib.contextmanager
def inside(name):
    """This thread is in the namespace within it, and no other thread."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(NAMED / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _set(before)
    finally:
        os.close(before)


def pids(name):
    """Who runs in the namespace, but ourselves."""
    try:
        wanted = os.stat(NAMED / name)
    except FileNotFoundError:
        return []
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            has = os.stat(folder / "ns/net")
            state = (folder / "stat").read_text().rpartition(") ")[2][0]
            if (has.st_dev, has.st_ino) == (wanted.st_dev, wanted.st_ino) \
                    and state not in "ZX":
                found.append(int(folder.name))
    return found


def signal_all(name, number):
    """Reaches also those that are started meanwhile: again until there are no
    others (and with SIGKILL, until there are none)."""
    told = set()
    end = time.monotonic() + 30
    while True:
        there = set(pids(name))
        if not there - (set() if number == signal.SIGKILL else told):
            return
        for pid in there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        told |= there
        assert time.monotonic() < end, f"{name}: {there} are still there"
        if number == signal.SIGKILL:
            time.sleep(0.02)


class Network:
    """Hosts of a network: each has a namespace and one address."""

    PREFIX = "10.77.0."

    def __init__(self, token, hosts):
        """hosts: the last part of the address by the name."""
        self.token, self.hosts = token, hosts

    def namespace(self, host):
        return f"mq{self.token}-{host}"

    @property
    def client(self):
        """The namespace with the bridge; its address ends in 254."""
        return self.namespace("net")

    def address(self, host):
        return f"{self.PREFIX}{self.hosts[host]}"

    def up(self):
        """Makes what is not there."""
        bridge = self.client
        if not (NAMED / bridge).exists():
            ip("netns", "add", bridge)
            ip("-n", bridge, "link", "set", "lo", "up")
            ip("-n", bridge, "link", "add", "br0", "type", "bridge")
            ip("-n", bridge, "addr", "add", f"{self.PREFIX}254/24",
               "dev", "br0")
            ip("-n", bridge, "link", "set", "br0", "up")
        for host in self.hosts:
            name = self.namespace(host)
            if (NAMED / name).exists():
                continue
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "add", "eth0", "type", "veth",
               "peer", "name", host, "netns", bridge)
            ip("-n", bridge, "link", "set", "dev", host, "master", "br0", "up")
            ip("-n", name, "addr", "add", f"{self.address(host)}/24",
               "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")

    def down(self):
        """Ends what runs in it, and removes it."""
        for host in [*self.hosts, "net"]:
            name = self.namespace(host)
            signal_all(name, signal.SIGKILL)
            if (NAMED / name).exists():
                ip("netns", "del", name)

    def cut(self, host):
        """The cable is out: nothing comes or goes, and nobody is told."""
        ip("-n", self.client, "link", "set", "dev", host, "down")

    def join(self, host):
        ip("-n", self.client, "link", "set", "dev", host, "up")
