# SPDX-License-Identifier: ISC
"""Mail to other hosts while processes are killed with -9 at any moment.

At the end every recipient has the message, whole; or its sender has the report,
if the host has refused it.  It is there twice only if a kill fell between its
being taken and its result's being remembered.  MQMAIL_CRASH_ROUNDS (make crash)
is how often; MQMAIL_CRASH_SEED another order of things.
"""
import collections
import contextlib
import hashlib
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from delivery_log import REMEMBERED_S, SLACK_S
from name_server import NameServer
from node import NO_LEAKS, SLOW, wait_until
from remote_peer import Peer, make_home, start_remote
from syscalls import Tracer
from test_74_remote_delivery import LOCAL, ZONE, World

ROUNDS = int(os.environ.get("MQMAIL_CRASH_ROUNDS", "1"))
SEED = int(os.environ.get("MQMAIL_CRASH_SEED", "1"))
QUEUES = ("queue1", "queue2")


@pytest.fixture(scope="module")
def name_server():
    made = NameServer({"peer.test": ZONE})
    yield made
    made.close()


@pytest.fixture
def world(make_node, name_server):
    made = World(make_node, name_server)
    # Few threads: strace follows each.
    (made.node.control / "remoteslots").write_text("12\n")
    for name, value in NO_LEAKS.items():
        (made.node.control / "global_vars" / name).write_text(f"{value}\n")
    made.node.up()
    yield made
    made.close()
    for service in ("remote", "resolver", *QUEUES):
        assert "Sanitizer" not in made.node.log(service)


class Taken(list):
    """What a host has taken, with the time."""

    def append(self, message):
        super().append((time.time(), *message))


class Account:
    """What was sent, what was killed, and what has become of it."""

    def __init__(self, world, seed):
        self.world = world
        self.chance = random.Random(seed)
        self.lock = threading.Lock()
        self.sent = {}    # by number: (queue, recipients)
        self.unsure = {}  # the same, when nobody said that it was queued
        self.kills = []   # (time, program, queue)
        self.later = set()
        self.hosts = [world.host(2), world.host(3)]
        for host in self.hosts:
            host.messages = Taken()
            host.answers["RCPT"] = self.answer_recipient
            host.answers["."] = self.answer_end
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.load)
        self.thread.start()

    def answer_recipient(self, line):
        name = line.split("<")[1].split(">")[0]
        if name.startswith("no"):
            return "550 5.1.1 nobody"
        if name.startswith("later"):
            with self.lock:
                if name not in self.later:
                    self.later.add(name)
                    return "450 4.2.1 later"
        return "250 ok"

    def answer_end(self, _):
        time.sleep(random.random() * 0.03)
        return "250 taken"

    def load(self):
        number = 0
        while not self.over.is_set():
            number += 1
            self.send(number)
            time.sleep(0.01)

    def send(self, number):
        chance, queue = self.chance, self.chance.choice(QUEUES)
        recipients = sorted({
            f"{chance.choice(['u', 'u', 'u', 'no', 'later'])}{number}-{i}"
            f"@d{chance.randrange(12)}.peer.test"
            for i in range(chance.choice((1, 1, 2, 6)))})
        size = chance.choice((100, 3000, 20000, 200000))
        body = f"line of {number}\n.dot\n" * (size // 16 + 1)
        digest = hashlib.sha256(body.encode()).hexdigest()
        code = self.world.node.inject(
            *recipients, queue=queue, sender=LOCAL,
            text=f"X-Number: {number}\nX-Digest: {digest}\n\n{body}")
        rows = self.sent if code == 0 else self.unsure
        with self.lock:
            rows[number] = (queue, recipients)

    def pid(self, program, queue):
        if not queue:
            name = "remote" if program == "qmail-rspawn" else "resolver"
            rows = self.world.node.status()["services"]
            return next(row["pid"] for row in rows if row["name"] == name)
        for pid in self.world.node.processes():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                if os.path.basename(words[0]) == program.encode() and any(
                        word.endswith(b"/" + queue.encode())
                        for word in words[1:]):
                    return pid
        return 0

    def note_kill(self, program, queue):
        self.kills.append((time.time(), program, queue))

    def kill(self, program, queue=""):
        pid = wait_until(lambda: self.pid(program, queue), f"{program} runs")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.note_kill(program, queue)

    def wait_taken(self, more):
        """Deliveries go on; what was deferred is tried."""
        wanted = sum(len(host.messages) for host in self.hosts) + more
        self.world.node.retry_until(
            lambda: sum(len(host.messages) for host in self.hosts) >= wanted,
            f"{more} more are taken", 60 * SLOW)

    def stop(self):
        self.over.set()
        self.thread.join()

    # -- at the end

    def refused(self):
        """Recipients whose sender was told."""
        found = set()
        for file in self.world.node.messages("alice"):
            report = file.read_text(errors="replace")
            # Long ones may be folded.
            found |= set(re.findall(
                r"(?i)^Final-Recipient:\s*rfc822;\s*(\S+)", report, re.M))
        return found

    def copies(self):
        """By (number, recipient): the times at which it was taken."""
        found = collections.defaultdict(list)
        for host in self.hosts:
            for at, sender, recipients, data in host.messages:
                head, _, body = data.decode().replace("\r\n", "\n").replace(
                    "\n..", "\n.").partition("\n\n")
                number = int(re.search(r"^X-Number: (\d+)$", head, re.M)[1])
                digest = re.search(r"^X-Digest: (\S+)$", head, re.M)[1]
                assert hashlib.sha256(body.encode()).hexdigest() == digest, (
                    f"{number} is not whole")
                assert sender == LOCAL
                for name in recipients:
                    found[number, name].append(at)
        return found

    def is_explained(self, number, at):
        """By a kill, that it comes again after it was taken."""
        queue = {**self.sent, **self.unsure}[number][0]
        return any(
            at - SLACK_S <= kill <= at + SLACK_S +
            (REMEMBERED_S if program == "qmail-send" else 0)
            for kill, program, where in self.kills
            if where in ("", queue) and program != "resolverd")

    def check(self):
        node = self.world.node
        self.stop()

        def is_done():
            copies, refused = self.copies(), self.refused()
            missing.clear()
            missing.extend(
                (number, name)
                for number, (_, recipients) in self.sent.items()
                for name in recipients
                if (name not in refused if name.startswith("no")
                    else (number, name) not in copies))
            return not missing and node.backlog() == 0
        missing = []
        node.retry_until(is_done, lambda: f"lost: {missing}", 90 * SLOW)
        copies, refused = self.copies(), self.refused()
        known = {(number, name)
                 for rows in (self.sent, self.unsure)
                 for number, (_, names) in rows.items() for name in names}
        assert set(copies) <= known
        assert all(name.startswith("no") for name in refused), refused
        assert not any(name.startswith("no") for _, name in copies)
        repeated = {key: times for key, times in copies.items()
                    if len(times) > 1}
        unexplained = {
            key: times for key, times in repeated.items()
            if not all(self.is_explained(key[0], at)
                       for at in sorted(times)[:-1])}
        assert unexplained == {}, (unexplained, self.kills)
        print(f"{len(self.sent)} messages, {len(copies)} recipients, "
              f"{len(refused)} refused, {len(self.kills)} kills, "
              f"{len(repeated)} repeated")
        assert len(copies) > 20 and len(refused) > 0


VICTIMS = [("qmail-rspawn", ""), ("resolverd", ""), ("qmail-rspawn", ""),
           ("qmail-send", "queue1"), ("qmail-send", "queue2")]


def test_killed_at_random(world):
    account = Account(world, SEED)
    chance = random.Random(SEED + 1)
    try:
        for turn in range(6 * ROUNDS):
            account.wait_taken(10)
            victims = [VICTIMS[turn % len(VICTIMS)]]
            if chance.random() < 0.3:
                victims.append(chance.choice(VICTIMS))
            for victim in victims:
                account.kill(*victim)
                time.sleep(chance.random() * 0.1)
    finally:
        account.stop()
    account.check()


def test_rules_that_change(world):
    """Read again in the midst of deliveries, with and without a question for
    the sender: nothing is lost, and nothing comes twice."""
    account = Account(world, SEED + 3)
    routes = world.node.control / "smtproutes"
    plain = routes.read_text()
    try:
        for turn in range(8 * ROUNDS):
            account.wait_taken(8)
            routes.write_text(plain if turn % 2 else f"!@:x.test\n{plain}")
            world.service("-h")
    finally:
        account.stop()
    account.check()


# What moves mail on: jobs come and results go, hosts are written to and read.
CALLS = {
    "qmail-rspawn": ["recvmsg", "sendmsg", "connect", "sendto", "recvfrom",
                     "write", "read", "poll", "close"],
    "resolverd": ["recvmsg", "sendmsg"],
}
NTH = (1, 2, 5, 11) if ROUNDS > 1 else (2,)


@pytest.mark.parametrize("program", CALLS)
def test_killed_before_a_call(world, program):
    account, kills = Account(world, SEED + 2), collections.Counter()
    try:
        for call in CALLS[program]:
            for nth in NTH:
                account.wait_taken(3)
                pid = wait_until(lambda: account.pid(program, ""), program)
                with Tracer(pid, call, f"{call}:signal=KILL:when={nth}") as at:
                    world.service("-h")  # names are asked again
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        at.process.wait(2)
                    if at.process.poll() is not None:
                        account.note_kill(program, "")
                        kills[call] += 1
    finally:
        account.stop()
    account.check()
    assert len(kills) >= 2, kills


@pytest.mark.parametrize("delay_ms", [0, 2, 5, 10, 20] * ROUNDS)
def test_a_killed_qmail_remote(tmp_path, delay_ms):
    """A host has all of the message, or none of it."""
    body = b"0123456\n" * 500000
    home = make_home(tmp_path)
    (tmp_path / "message").write_bytes(body)
    begun = threading.Event()

    def script(link):
        link.hello("PIPELINING")
        for verb, answer in (("MAIL", "250 ok"), ("RCPT", "250 ok"),
                             ("DATA", "354 go")):
            link.take(verb, answer)
        begun.set()
        link.take_message("250 taken")
    with Peer(script) as peer, open(tmp_path / "message", "rb") as message:
        process = start_remote(home, peer.port, ["a@example.net"],
                               "s@example.org", message)
        assert begun.wait(20 * SLOW)
        time.sleep(delay_ms / 1000)
        process.kill()
        process.communicate()
    assert peer.links[0].message in (None, body.replace(b"\n", b"\r\n"))
