# SPDX-License-Identifier: ISC
"""What clusterd writes into run/cluster, and a queue with mail for a node."""
import hashlib
import os
import select
import socket
import struct
import subprocess
import threading
import uuid

from node import BIN, DEADLINE_S, SLOW, wait_until


def cdb_hash(key):
    value = 5381
    for byte in key:
        value = ((value << 5) + value ^ byte) & 0xffffffff
    return value


def write_cdb(path, records):
    """A constant database of {key: value}, put in place as a whole."""
    data, tables = b"", [[] for _ in range(256)]
    for key, value in records.items():
        tables[cdb_hash(key) % 256].append((cdb_hash(key), 2048 + len(data)))
        data += struct.pack("<II", len(key), len(value)) + key + value
    head, slots = b"", b""
    for table in tables:
        count = 2 * len(table)
        head += struct.pack("<II", 2048 + len(data) + len(slots), count)
        places = [(0, 0)] * count
        for number, position in table:
            at = number // 256 % count
            while places[at][1]:
                at = (at + 1) % count
            places[at] = (number, position)
        slots += b"".join(struct.pack("<II", *place) for place in places)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(head + data + slots)
    new.rename(path)


def make_certificate(home, name="node"):
    """tls/nodecert.pem; gives its pin."""
    (home / "tls").mkdir(exist_ok=True)
    pem = home / "tls/nodecert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-days",
         "1", "-keyout", "-"], capture_output=True, check=True).stdout
    pem.write_bytes(made)
    key = subprocess.run(["openssl", "x509", "-in", pem, "-noout", "-pubkey"],
                         capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"],
                         input=key, capture_output=True, check=True).stdout
    return hashlib.sha256(der).hexdigest()


def node_value(port, pins=(), host="127.0.0.1", role="all", is_alive=True):
    return b"\0".join(str(field).encode() for field in (
        host, port, ",".join(pins), role, 0, 0, int(is_alive)))


def write_nodes(home, own, **nodes):
    """run/cluster/nodes.cdb: values of node_value() by name."""
    write_cdb(home / "run/cluster/nodes.cdb", {
        b"": own.encode(),
        **{name.encode(): value for name, value in nodes.items()}})


def text(value):
    data = os.fsencode(value)
    return struct.pack("<I", len(data) + 1) + data + b"\0"


class Lane:
    """A queue's connection to run/remote, with one lane (queue/job.h)."""

    def __init__(self, home, lane):
        self.lane = lane
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(str(home / "run/remote"))
        self.socket.settimeout(DEADLINE_S)
        self.last = 0
        assert self.socket.recv(60000)[:1] == b"h"
        assert self.socket.recv(60000)[:1] == b"t"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self):
        self.socket.sendall(b"a" + text(self.lane) + b"\0")

    def wait(self, kind, is_wanted=lambda packet: True):
        """The next packet of that kind; others are passed over."""
        while True:
            packet = self.socket.recv(60000)
            assert packet, "qmail-rspawn has gone"
            if packet[:1] == kind and is_wanted(packet):
                return packet

    def wait_room(self):
        """Until there is some, asking again after each rest."""
        self.ask()
        while True:
            packet = self.wait_any(b"nb")
            if packet[:1] == b"n" and packet[-4:] != b"\0\0\0\0":
                return
            select.select([], [], [], 0.2)
            self.ask()

    def wait_any(self, kinds):
        while True:
            packet = self.socket.recv(60000)
            assert packet, "qmail-rspawn has gone"
            if packet[:1] in [bytes([kind]) for kind in kinds]:
                return packet

    def rest(self):
        """Asks, and gives the seconds and the reason of the rest."""
        self.ask()
        packet = self.wait_any(b"b")
        length, = struct.unpack_from("<I", packet, 1)
        seconds, = struct.unpack_from("<I", packet, 5 + length)
        return seconds, packet[5 + length + 8:-1].decode()

    def put(self, message, *recipients, name=None, sender="s@example.net",
            dsn="", rcpt_dsn="", needs_tls=False):
        """A job; gives its UUID."""
        name = name or uuid.uuid4()
        first, self.last = self.last + 1, self.last + len(recipients)
        head = (b"j" + struct.pack("<Q", 1) + name.bytes + text(self.lane) +
                struct.pack("<QIQ", 1, 1, len(message)) + text(sender) +
                text("") + text(dsn) + bytes([needs_tls]) +
                struct.pack("<I", len(recipients)))
        for i, recipient in enumerate(recipients):
            head += (struct.pack("<I", first + i) + text(recipient) +
                     text("") * 4 + text(rcpt_dsn))
        if len(message) <= 16384:
            self.socket.sendall(head + b"\1" +
                                struct.pack("<I", len(message)) + message)
            return name
        file = os.memfd_create("body")
        os.write(file, message)
        socket.send_fds(self.socket, [head + b"\0"],
                        [file])
        os.close(file)
        return name

    def results(self, count=1):
        """The next ones, sorted by delivery: (outcome, text)."""
        found = {}
        while len(found) < count:
            packet = self.wait(b"r")
            at = 1
            while at < len(packet):
                number, outcome, _, length = struct.unpack_from(
                    "<IcBI", packet, at)
                at += 10
                found[number] = (outcome.decode(),
                                 packet[at:at + length - 1].decode())
                at += length
        return [found[number] for number in sorted(found)]

    def send(self, message, *recipients, **options):
        """The results of a job, once there is room."""
        self.wait_room()
        self.put(message, *recipients, **options)
        return self.results(len(recipients))


class Rspawn:
    """A qmail-rspawn of its own, in a home that has little else."""

    def __init__(self, home, environment, **settings):
        self.home = home
        self.environment = {**environment, "MQMAIL_HOME": str(home)}
        for folder in ("control/global_vars", "run/mta-sts", "run/tls-report",
                       "run/cluster", "tls"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        for name, value in {"me": "a.example.test", "timeoutremote": 20,
                            **settings}.items():
            (home / "control" / name).write_text(f"{value}\n")
        self.log = ""
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [BIN / "qmail-rspawn"], env=self.environment, stderr=subprocess.PIPE,
            text=True, errors="replace")
        threading.Thread(target=self._read, daemon=True).start()
        wait_until(self._listens, lambda: f"run/remote: {self.log}")

    def _read(self):
        for line in self.process.stderr:
            self.log += line

    def _listens(self):
        assert self.process.poll() is None, self.log
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
            return end.connect_ex(str(self.home / "run/remote")) == 0

    def lane(self, name):
        return Lane(self.home, name)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60 * SLOW) == 0, self.log


class Wire:
    """Connections' way to a port, which a test can disturb once so many bytes of
    the client's have gone through.

    mute_after: what the host says is not passed on any more.  stall_after: nor
    what the client says, until the host has gone.  cut_after: both see the end.
    """

    def __init__(self, port):
        self.port_there = port
        self.mute_after = None
        self.stall_after = None
        self.is_stalled = False
        self.cut_after = None
        self.links = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                ours, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=[ours],
                             daemon=True).start()

    def _pass(self, ours):
        try:
            theirs = socket.create_connection(("127.0.0.1", self.port_there))
        except OSError:
            ours.close()
            return
        self.links += [ours, theirs]
        sent = 0
        while True:
            stalls = self.stall_after is not None and sent > self.stall_after
            self.is_stalled |= stalls
            ready, _, _ = select.select(
                [theirs] if stalls else [ours, theirs], [], [])
            try:
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        raise OSError
                    if end is ours:
                        sent += len(data)
                        if self.cut_after is not None and \
                                sent > self.cut_after:
                            raise OSError
                        theirs.sendall(data)
                    elif self.mute_after is None or sent <= self.mute_after:
                        ours.sendall(data)
            except (OSError, ValueError):
                for end in (ours, theirs):
                    end.close()
                return

    def cut(self):
        for link in self.links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.links = []

    def close(self):
        self.cut()
        self.listener.close()
