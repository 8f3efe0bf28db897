# SPDX-License-Identifier: ISC
"""A node's folder with users, and the part of qmail-send towards its worker.

Packets are those of queue/job.h.
"""

import array
import os
import pwd
import select
import signal
import socket
import struct
import subprocess

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


class Send:
    """The listening end of lock/workers, with one worker at a time."""

    def __init__(self, node, queue="queue1"):
        self.node = node
        self.queue = os.path.join(node.root, "queue", queue)
        os.makedirs(os.path.join(self.queue, "lock"), exist_ok=True)
        self.listener = None
        self.connection = None
        self.worker = None
        self.unread = b""  # results that came in one packet with others
        self.log = os.path.join(node.root, queue + ".log")

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.path.join(self.queue, "lock/workers")
        if os.path.exists(path):
            os.unlink(path)
        # Unix paths are short: name the socket by a descriptor's folder.
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        self.listener.bind("/proc/self/fd/%d/workers" % folder)
        os.close(folder)
        self.listener.listen(5)
        self.listener.settimeout(TIMEOUT)

    def start(self, wrapper=()):
        with open(self.log, "ab") as log:
            self.worker = subprocess.Popen(
                [*wrapper, os.path.join(BIN, "qmail-vdeliver"), self.queue],
                env=self.node.environment, stdout=log, stderr=log)

    def accept(self):
        """Waits for the worker; returns version and channel of its hello."""
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(TIMEOUT)
        kind, version, channel = struct.unpack(
            "<BIB", self.connection.recv(1000))
        assert kind == 1
        self.connection.setblocking(False)
        return version, chr(channel)

    def up(self, wrapper=()):
        if self.listener is None:
            self.listen()
        self.start(wrapper)
        return self.accept()

    def job(self, delivery, local, message, sender="a@example.org",
            header="", home=None):
        """Sends one job, message being an open file's descriptor.

        False when the worker takes no more: then results wait to be read.
        """
        packet = struct.pack("<BIQ", 2, delivery, delivery)
        packet += _text(sender)
        packet += _text("example.test-%s@example.test" % local)
        packet += _text("example.test")
        packet += struct.pack("<II", os.getuid(), os.getgid())
        packet += _text(home or self.node.dir) + _text("-") + _text(local)
        packet += _text(header)
        descriptors = array.array("i", [message])
        try:
            self.connection.sendmsg(
                [packet],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        except BlockingIOError:
            return False
        return True

    def result(self):
        """The next (delivery, outcome, text); None when the worker is gone."""
        if not self.unread:
            assert select.select([self.connection], [], [], TIMEOUT)[0]
            try:
                self.unread = self.connection.recv(60000)
            except ConnectionResetError:
                return None
            if not self.unread:
                return None
        kind, delivery, outcome, length = struct.unpack(
            "<BIBI", self.unread[:10])
        text, self.unread = (self.unread[10:10 + length],
                             self.unread[10 + length:])
        assert kind == 3 and len(text) == length and text[-1:] == b"\0"
        return delivery, chr(outcome), text[:-1].decode()

    def results(self, count, is_all=True):
        """The next count; is_all: there must be no more of them."""
        found = {}
        for _ in range(count):
            delivery, outcome, text = self.result()
            assert delivery not in found
            found[delivery] = (outcome, text)
        if is_all:
            assert not self.unread
            assert not select.select([self.connection], [], [], 0)[0]
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
        if self.listener is not None:
            self.listener.close()
        if self.worker is not None and self.worker.poll() is None:
            self.worker.send_signal(signal.SIGKILL)
            self.worker.wait(TIMEOUT)


def message_file(folder, data, name="message"):
    """A new file with data, open for reading only."""
    path = os.path.join(str(folder), name)
    with open(path, "wb") as out:
        out.write(data)
    return os.open(path, os.O_RDONLY)
