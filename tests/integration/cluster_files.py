# SPDX-License-Identifier: ISC
"""The files of run/cluster, written as clusterd writes them."""
import os
import struct
import threading
import time
from pathlib import Path

RENEW_S, LEASE_MS = 1, 10000


def _hash(key):
    value = 5381
    for byte in key:
        value = (value * 33 & 0xffffffff) ^ byte
    return value


def write_cdb(path, rows):
    """A constant database (cr.yp.to/cdb/cdb.txt), put in place whole."""
    data, tables = b"", [[] for _ in range(256)]
    for key, value in rows.items():
        number = _hash(key)
        tables[number % 256].append((number, 2048 + len(data)))
        data += struct.pack("<II", len(key), len(value)) + key + value
    head, tail = b"", b""
    for table in tables:
        slots = [(0, 0)] * (2 * len(table))
        for number, at in table:
            i = (number >> 8) % len(slots)
            while slots[i] != (0, 0):
                i = (i + 1) % len(slots)
            slots[i] = (number, at)
        head += struct.pack("<II", 2048 + len(data) + len(tail), len(slots))
        tail += b"".join(struct.pack("<II", *slot) for slot in slots)
    put(path, head + data + tail)


def put(path, data):
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    new.chmod(0o644)
    new.rename(path)


class ClusterFiles:
    """Those of one node, whose leases are renewed until they are lost."""

    def __init__(self, home, name):
        self.home, self.name = home, name
        self.folder = home / "run/cluster"
        self.folder.mkdir(exist_ok=True)
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self.stores, self.lock = {}, threading.Lock()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._renew_on, daemon=True)
        self.thread.start()

    def domains(self, *names, aliases=None):
        owner = os.stat(self.home / "domains")
        rows = {}
        for key, real in {**{name: name for name in names},
                          **(aliases or {})}.items():
            rows[key.encode()] = "\0".join(
                [real, str(self.home / "domains" / real), str(owner.st_uid),
                 str(owner.st_gid), ""]).encode()
        write_cdb(self.folder / "domains.cdb", rows)

    def leases(self, **epochs):
        """This node serves these stores, under these epochs."""
        with self.lock:
            self.stores = epochs
            self._write()

    def lapse(self):
        """They are not renewed any more, and over."""
        self.is_over.set()
        self.thread.join()
        self._write(deadline_ms=1)

    def close(self):
        self.is_over.set()
        self.thread.join()

    def _write(self, deadline_ms=None):
        if deadline_ms is None:
            deadline_ms = int(time.clock_gettime(time.CLOCK_BOOTTIME) *
                              1000) + LEASE_MS
        lines = [f"node {self.name} 1 {deadline_ms} {self.boot} "
                 "0198b1d4-0000-7000-8000-000000000000"]
        lines += [f"{store} {epoch} {deadline_ms} {self.home}/domains"
                  for store, epoch in self.stores.items()]
        put(self.folder / "leases", ("\n".join(lines) + "\n").encode())

    def _renew_on(self):
        while not self.is_over.wait(RENEW_S):
            with self.lock:
                self._write()
