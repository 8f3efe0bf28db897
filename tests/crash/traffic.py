# SPDX-License-Identifier: ISC
"""Mail under which processes are killed, and the account of it afterwards.

Every message carries its id, its recipients and a checksum of its body, so
each file in a Maildir can be held against what was sent:

- a message that got 250 is in the Maildir of each of its recipients;
- no file is cut short, altered, or in the Maildir of somebody else;
- no message is there twice: a delivery that is repeated finds its own file.
  And it is repeated only where a kill fell into the first, between its start
  and the note of its end (delivery_log.py).
"""
import collections
import hashlib
import os
import random
import smtplib
import subprocess
import threading
import time

from delivery_log import Kill, find_faults
from node import BUILD, SLOW, wait_until

USERS = ["alice", "bob"] + [f"u{i}" for i in range(10)]
CHECKSUM = b"checksum "


class Message:
    def __init__(self, number, users, domain, size):
        self.id = f"crash-{number}"
        self.sender = f"{self.id}@example.net"
        self.users = users
        lines = [b".begins with a dot", b"From inside", b""]
        while sum(map(len, lines)) < size:
            lines.append(random.randbytes(random.randrange(1, 35)).hex()
                         .encode())
        body = b"\n".join(lines) + b"\n"
        digest = hashlib.sha256(body).hexdigest().encode()
        to = ", ".join(f"{user}@{domain}" for user in users)
        self.text = (f"From: {self.sender}\nTo: {to}\n"
                     f"Subject: {self.id}\nX-Crash-Id: {self.id}\n"
                     f"X-Crash-To: {' '.join(users)}\n\n").encode()
        self.text += body + CHECKSUM + digest + b"\n"


def read_message(data):
    """(id, users) of a stored message; AssertionError when it is damaged."""
    head, _, body = data.partition(b"\n\n")
    fields = {}
    for line in head.split(b"\n"):
        name, _, value = line.partition(b": ")
        fields[name] = value.decode()
    assert b"X-Crash-Id" in fields, f"not a message of this test: {data!r}"
    body, mark, digest = body.rpartition(CHECKSUM)
    assert mark and digest.endswith(b"\n"), (
        f"{fields[b'X-Crash-Id']} is cut short")
    assert hashlib.sha256(body).hexdigest().encode() == digest[:-1], (
        f"{fields[b'X-Crash-Id']} is altered")
    return fields[b"X-Crash-Id"], fields[b"X-Crash-To"].split()


class Traffic:
    """Clients that send until stop(); may be killed under."""

    def __init__(self, node, clients=8):
        self.node = node
        self.lock = threading.Lock()
        self.is_stopping = threading.Event()
        self.next_number = 0
        self.accepted = {}  # messages that got 250, by id
        # DATA was sent, and no answer came: the queue may have died between
        # making it durable and saying so
        self.unsure = {}
        self.later = set()  # those that got 4xx: not queued
        self.refused = 0
        self.kills = []  # of delivery_log.Kill
        self.trouble = []
        self.threads = [threading.Thread(target=self._client, daemon=True)
                        for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.is_stopping.set()
        for thread in self.threads:
            thread.join(60 * SLOW)
        assert not any(thread.is_alive() for thread in self.threads), (
            "a client waits for ever")
        assert self.trouble == [], self.trouble

    def wait_accepted(self, more):
        """Waits until that many more messages got 250."""
        wanted = len(self.accepted) + more
        wait_until(lambda: len(self.accepted) >= wanted or self.trouble,
                   lambda: f"{more} more messages accepted\n"
                   f"{self.node.logs()}", 60 * SLOW)

    def _new_message(self):
        with self.lock:
            self.next_number += 1
            number = self.next_number
        users = random.sample(USERS, random.choice((1, 1, 1, 1, 2, 5)))
        # Some are larger than what the journal takes, or a session keeps.
        size = random.choice((200, 3000, 3000, 9000, 30000, 200_000 if
                              number % 20 == 0 else 3000))
        return Message(number, users, self.node.domain, size)

    def _client(self):
        try:
            while not self.is_stopping.is_set():
                self._session()
        except Exception as error:  # told by stop(), in the test's thread
            self.trouble.append(repr(error))

    def _session(self):
        try:
            with self.node.smtp() as client:
                client.ehlo()
                for _ in range(random.randrange(1, 10)):
                    if self.is_stopping.is_set():
                        return
                    self._send(client)
        except (OSError, smtplib.SMTPException):
            self.is_stopping.wait(0.05)  # killed: connect again

    def _send(self, client):
        message = self._new_message()
        code, _ = client.mail(message.sender)
        codes = [client.rcpt(f"{user}@{self.node.domain}")[0]
                 for user in message.users]
        assert all(499 >= answer for answer in [code, *codes]), (
            f"{message.id} was refused for good: {code}, {codes}")
        if code != 250 or any(answer != 250 for answer in codes):
            self.refused += 1
            client.rset()
            return
        with self.lock:
            self.unsure[message.id] = message
        code, text = client.data(message.text.replace(b"\n", b"\r\n"))
        assert code < 500, f"{message.id}: {code} {text}"
        with self.lock:
            del self.unsure[message.id]
            if code == 250:
                self.accepted[message.id] = message
            else:
                self.later.add(message.id)

    # -- the account

    def account(self):
        """Holds all Maildirs against what was sent; a line of figures."""
        copies = self._copies()
        sent = {**self.unsure, **self.accepted}
        for (name, user) in copies:
            assert name not in self.later, f"{name} got 4xx, but {user} got it"
            assert name in sent, f"{name} was never sent whole, but {user} got it"
            assert user in sent[name].users
        lost = [(message.id, user) for message in self.accepted.values()
                for user in message.users
                if (message.id, user) not in copies]
        assert lost == [], f"lost: {lost}\n{self.node.logs()}"
        repeated = {key: count for key, count in copies.items() if count > 1}
        assert repeated == {}, f"{repeated}\n{self.node.logs()}"
        faults, ended = find_faults(self.node, self.kills)
        assert faults == [], "\n".join(faults[:20])
        assert ended > 0, "the logs have no message's end"
        return (f"{len(self.accepted)} messages accepted, "
                f"{len(self.unsure)} of unsure fate, {len(self.later)} after "
                f"DATA and {self.refused} before refused for a time, "
                f"{len(self.kills)} kills, {len(copies)} deliveries, "
                f"{ended} ends")

    def _copies(self):
        """How many there are, by (id, user)."""
        copies = collections.Counter()
        for user in USERS:
            for path in self.node.messages(user):
                name, users = read_message(path.read_bytes())
                assert user in users, f"{name} for {users} came to {user}"
                copies[name, user] += 1
        return copies


def part_of(name):
    """The program and the queue ("") of a victim's name."""
    program, _, queue = name.partition(" ")
    return program, queue


class Victims:
    """The processes of a node by their part."""

    def __init__(self, node):
        self.node = node

    def names(self):
        queues = [f"queue{i + 1}" for i in range(self.node.queue_count)]
        return ["qmail-smtpd"] + [
            f"{program} {queue}" for queue in queues
            for program in ("qmail-send", "qmail-vdeliver", "qmail-start")]

    def pid(self, name):
        """Its pid now; None while there is none."""
        program, queue = part_of(name)
        mark = (str(self.node.queue_dir(queue)) if queue
                else f"127.0.0.1:{self.node.smtp_port}").encode()
        for pid in self.node.processes():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if os.path.basename(words[0]) == program.encode() and any(
                    mark in word for word in words[1:]):
                return pid
        return None

    def kill(self, name, traffic):
        """Kills it with -9; gives the pid that it had, None without one."""
        pid = self.pid(name)
        if pid is None:
            return None
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            return None
        traffic.kills.append(Kill(time.time(), *part_of(name)))
        return pid

    def wait_again(self, name, old):
        """Waits until it runs again, with another pid."""
        wait_until(lambda: self.pid(name) not in (None, old),
                   lambda: f"{name} runs again\n{self.node.logs()}")


def kill_each(node, rounds):
    """Kills every process in turn, under load; the account."""
    victims, traffic = Victims(node), Traffic(node)
    try:
        for _ in range(rounds):
            for name in victims.names():
                traffic.wait_accepted(40)
                old = victims.kill(name, traffic)
                assert old is not None, f"{name} does not run"
                victims.wait_again(name, old)
        traffic.wait_accepted(40)
    finally:
        traffic.stop()
    return settle(node, traffic)


def kill_at_random(node, kills):
    """Kills processes at any moment, also several at once; the account."""
    victims, traffic = Victims(node), Traffic(node)
    names = victims.names()
    try:
        traffic.wait_accepted(20)
        while len(traffic.kills) < kills:
            for name in random.sample(names, random.choice((1, 1, 1, 2, 7))):
                victims.kill(name, traffic)
            time.sleep(random.random() * 0.7)
    finally:
        traffic.stop()
    return settle(node, traffic)


def settle(node, traffic):
    """Nothing is killed any more: all that was accepted must arrive."""
    victims = Victims(node)
    for name in victims.names():
        victims.wait_again(name, None)

    def is_empty():
        # Deliveries that a kill deferred are tried now, not in 100 s.
        for folder in node.home.glob("service/queue*"):
            subprocess.run(["svc", "-a", folder], check=True)
        time.sleep(0.2)
        return node.backlog() == 0

    wait_until(is_empty, lambda: f"empty queues\n{node.logs()}", 60 * SLOW)
    line = traffic.account()
    print(f"{BUILD.name}: {line}")
    node.down()
    checked = node.svctool("check")
    assert " 0 errors" in checked.stdout, checked.stdout
    return line
