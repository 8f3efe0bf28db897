# SPDX-License-Identifier: ISC
"""A node's folder with users, and the part of qmail-send towards its worker.

Packets are those of queue/job.h, version 4.
"""

import array
import os
import pwd
import select
import signal
import socket
import struct
import subprocess
import uuid as uuid_module

BUILD = os.environ.get(
    "MQMAIL_BUILD",
    os.path.join(os.path.dirname(__file__), "../../build/plain"),
)
BIN = os.path.abspath(os.path.join(BUILD, "bin"))
TIMEOUT = 60


def _text(value):
    data = os.fsencode(value)
    return struct.pack("<I", len(data) + 1) + data + b"\0"


class Node:
    """MQMAIL_HOME with the domain example.test, made by the real commands."""

    def __init__(self, root, users=(), environment=None):
        self.root = str(root)
        self.environment = dict(
            os.environ, MQMAIL_HOME=self.root,
            MQMAIL_USER=pwd.getpwuid(os.getuid()).pw_name)
        self.environment.update(environment or {})
        for name in ("control", "users", "domains"):
            os.makedirs(os.path.join(self.root, name), exist_ok=True)
        self.run("vadddomain", "-n", "example.test")
        self.dir = os.path.join(
            self.environment.get("DOMAINDIR", self.root + "/domains"),
            "example.test",
        )
        for user in users:
            self.add_user(user)

    def run(self, *command, **more):
        return subprocess.run(
            [os.path.join(BIN, command[0]), *command[1:]],
            env=self.environment, check=True, timeout=TIMEOUT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)

    def add_user(self, user, quota="NOQUOTA"):
        self.run("vadduser", "-n", "-q", quota, user + "@example.test")

    def maildir(self, user):
        """The user's Maildir, wherever the commands have put it."""
        with open(os.path.join(self.dir, "vpasswd")) as lines:
            for line in lines:
                fields = line.rstrip("\n").split(":")
                if fields[0] == user:
                    return os.path.join(fields[5], "Maildir")
        raise KeyError(user)

    def messages(self, user, folder="new"):
        path = os.path.join(self.maildir(user), folder)
        result = []
        for name in sorted(os.listdir(path)):
            with open(os.path.join(path, name), "rb") as message:
                result.append(message.read())
        return result

    def rule(self, line):
        path = os.path.join(self.dir, ".qmail-default")
        with open(path + ".new", "w") as rule:
            rule.write(line + "\n")
        os.rename(path + ".new", path)


BODY_MAX = 16 * 1024


class Send:
    """The queue's end of one worker's connection."""

    def __init__(self, node, queue="queue1"):
        self.node = node
        self.queue = os.path.join(node.root, "queue", queue)
        os.makedirs(self.queue, exist_ok=True)
        self.connection = None
        self.worker = None
        self.take = None  # (recipients, bytes), as last told
        self.unread = b""  # results that came in one packet with others
        self.log = os.path.join(node.root, queue + ".log")

    def start(self, wrapper=(), **environment):
        """A worker, as qmail-start starts it."""
        self.connection, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with open(self.log, "ab") as log:
            self.worker = subprocess.Popen(
                [*wrapper, os.path.join(BIN, "qmail-vdeliver"), self.queue],
                env=dict(self.node.environment, **environment), stdin=theirs,
                stdout=log, stderr=log)
        theirs.close()

    def hello(self):
        """Waits for the worker's; its version and channel."""
        self.connection.settimeout(TIMEOUT)
        kind, version, channel = struct.unpack(
            "<cIc", self.connection.recv(1000))
        assert kind == b"h"
        self._read_take(self.connection.recv(1000))
        self.connection.setblocking(False)
        return version, channel.decode()

    def up(self, wrapper=(), **environment):
        self.start(wrapper, **environment)
        return self.hello()

    def _read_take(self, packet):
        kind, recipients, size, by_sender = struct.unpack("<cIQ?", packet)
        assert (kind, by_sender) == (b"t", False)
        self.take = recipients, size

    def job(self, deliveries, locals_, message, sender="a@example.org",
            header="", home=None, uuid=None, message_id=None, size=None,
            birth=1700000000, attempt=1):
        """Sends one job.

        deliveries and locals_ may be lists.  message: bytes, which go in the
        packet, or an open file's descriptor.  False when the worker takes no
        more: then results wait to be read.
        """
        if not isinstance(deliveries, (list, tuple)):
            deliveries, locals_ = [deliveries], [locals_]
        if uuid is None:
            uuid = uuid_module.uuid4()
        is_inside = isinstance(message, bytes)
        if size is None:
            size = len(message) if is_inside else os.fstat(message).st_size
        packet = b"j" + struct.pack(
            "<Q", deliveries[0] if message_id is None else message_id)
        packet += uuid.bytes + _text("virtual")
        packet += struct.pack("<QIQ", birth, attempt, size)
        packet += _text(sender) + _text(header) + _text("") + b"\0"
        packet += struct.pack("<I", len(deliveries))
        for delivery, local in zip(deliveries, locals_):
            packet += struct.pack("<I", delivery)
            packet += _text("example.test-%s@example.test" % local)
            packet += _text("example.test")
            packet += _text(home or self.node.dir) + _text("-") + _text(local)
            packet += _text("")
        packet += b"\1" if is_inside else b"\0"
        if is_inside:
            assert len(message) <= BODY_MAX
            packet += struct.pack("<I", len(message)) + message
        descriptors = array.array("i", [] if is_inside else [message])
        try:
            self.connection.sendmsg(
                [packet],
                [] if is_inside else
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        except BlockingIOError:
            return False
        return True

    def result(self):
        """The next (delivery, outcome, text); None when the worker is gone."""
        while not self.unread:
            assert select.select([self.connection], [], [], TIMEOUT)[0]
            try:
                packet = self.connection.recv(60000)
            except ConnectionResetError:
                return None
            if not packet:
                return None
            if packet[:1] == b"t":
                self._read_take(packet)
                continue
            assert packet[:1] == b"r" and len(packet) > 1
            self.unread = packet[1:]
        delivery, outcome, passed, length = struct.unpack(
            "<IcBI", self.unread[:10])
        text, self.unread = (self.unread[10:10 + length],
                             self.unread[10 + length:])
        assert passed == 0
        assert len(text) == length and text[-1:] == b"\0"
        return delivery, outcome.decode(), text[:-1].decode()

    def results(self, count, is_all=True):
        """The next count; is_all: there must be no more of them."""
        found = {}
        for _ in range(count):
            delivery, outcome, text = self.result()
            assert delivery not in found
            found[delivery] = (outcome, text)
        assert not (is_all and self.unread)
        return found

    def can_send(self, timeout):
        return bool(select.select([], [self.connection], [], timeout)[1])

    def hang_up(self):
        """Ends the connection; the worker's exit code."""
        self.connection.close()
        return self.worker.wait(TIMEOUT)

    def down(self):
        if self.connection is not None:
            self.connection.close()
        if self.worker is not None and self.worker.poll() is None:
            self.worker.send_signal(signal.SIGKILL)
            self.worker.wait(TIMEOUT)


def message_file(folder, data, name="message"):
    """A new file with data, open for reading only."""
    path = os.path.join(str(folder), name)
    with open(path, "wb") as out:
        out.write(data)
    return os.open(path, os.O_RDONLY)
