# SPDX-License-Identifier: ISC
"""kill -9 between any two steps of the state table (docs/queue.md).

strace kills qmail-send, or its worker, just before the Nth call of one kind:
before each sync, each rename, each answer.  Then the queue starts again by
itself, and every acknowledged message must be where the table says.
"""
import contextlib
import itertools
import os
import re
import subprocess
import threading

import pytest

import journal
from node import SLOW, wait_until
from syscalls import Tracer

CALLS = {
    "qmail-send": ["pwritev2", "write", "sendmsg", "recvmsg", "openat",
                   "pwrite64", "fdatasync", "fsync", "renameat", "unlinkat"],
    "qmail-vdeliver": ["openat", "writev", "fdatasync", "fsync", "renameat2",
                       "sendmsg", "recvmsg"],
}
NTH = (1, 2, 4) if os.environ.get("MQMAIL_CRASH_ROUNDS", "1") != "1" else (1,)


def pids(node, program):
    found = []
    for pid in node.processes():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                if comm.read() == program + "\n":
                    found.append(pid)
    return found


class Account:
    """Three kinds of messages, and what each has to leave."""

    def __init__(self, node):
        self.node = node
        self.lock = threading.Lock()
        self.sent = {"good": [], "bounce": [], "both": []}
        self.number = 0

    def send(self, kind):
        recipients = {
            "good": ["alice@example.test"],
            "bounce": ["nobody@example.test"],
            "both": ["alice@example.test", "someone@elsewhere.example"],
        }[kind]
        with self.lock:
            self.number += 1
            number = self.number
        code = self.node.inject(
            *recipients, sender="bob@example.test",
            text=f"X-Number: {number}\n\n" + "line\n" * 50)
        if code == 0:
            with self.lock:
                self.sent[kind].append(number)

    def send_all(self):
        threads = [threading.Thread(target=self.send, args=(kind,))
                   for kind in self.sent]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def numbers(self, user):
        found = []
        for file in self.node.messages(user):
            found += map(int, re.findall(rb"^X-Number: (\d+)$",
                                         file.read_bytes(), re.MULTILINE))
        return found

    def missing(self):
        """What was acknowledged and is not where it belongs."""
        alice, bob = set(self.numbers("alice")), set(self.numbers("bob"))
        return (set(self.sent["good"] + self.sent["both"]) - alice |
                set(self.sent["bounce"]) - bob)

    def check(self):
        node = self.node
        node.retry_until(lambda: not self.missing(),
                         "every acknowledged message, or its bounce, is there",
                         30 * SLOW)
        # Only those with a remote recipient stay; perhaps also some whose
        # client was not answered.
        held = len(self.sent["both"])
        node.retry_until(
            lambda: held <= node.held("queue1") <= self.number // 3 and
            not list(node.queue_dir("queue1").glob("todo/*")) and
            not list(node.queue_dir("queue1").glob("local/*/*")) and
            not list(node.queue_dir("queue1").glob("bounce/*")) and
            not journal.live(node.queue_dir("queue1")),
            f"only what has a remote recipient is held ({held})", 30 * SLOW)
        remote = list(node.queue_dir("queue1").glob("remote/*/*"))
        assert len(remote) == node.held("queue1")
        for file in remote:
            assert file.read_bytes() == b"Tsomeone@elsewhere.example\0"
        for user in ("alice", "bob"):
            for file in node.messages(user):
                assert b"line\n" * 50 in file.read_bytes(), file
            # A delivery that is repeated finds its own file.
            numbers = self.numbers(user)
            assert len(numbers) == len(set(numbers)), (
                f"{user}: {sorted(numbers)}\n{node.logs()}")


@pytest.mark.parametrize("program", CALLS)
def test_killed_before_a_call(make_node, program):
    node = make_node("--queues", "1")
    account = Account(node)
    account.send_all()  # one of each kind is held
    kills = set()
    for call, nth in itertools.product(CALLS[program], NTH):
        (victim,) = wait_until(lambda: pids(node, program),
                               f"{program} runs")
        wait_until(lambda: node.queue("queue1")["workers"] == 1,
                   "the worker is connected")
        with Tracer(victim, call, f"{call}:signal=KILL:when={nth}") as tracer:
            account.send_all()
            # strace counts the calls of each thread: later ones may not come.
            with contextlib.suppress(subprocess.TimeoutExpired):
                tracer.process.wait(20 * SLOW if nth == 1 else 1)
            if tracer.process.poll() is not None:
                kills.add(call)
        # Waits until the queue takes mail again.
        wait_until(lambda: node.svctool("start", code=None).returncode == 0,
                   lambda: f"the node runs\n{node.logs()}")
    account.check()
    assert "0 errors" in node.svctool("check").stdout
    assert kills == set(CALLS[program])
