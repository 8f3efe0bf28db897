# SPDX-License-Identifier: ISC
"""kill -9 between any two steps of the state table (docs/queue.md).

strace kills qmail-send, or its worker, just before the Nth call of one kind:
before each sync, each rename, each answer.  Then the queue starts again by
itself, and every acknowledged message must be where the table says.
"""
import contextlib
import re
import subprocess
import threading

import pytest

from node import SLOW, wait_until

CALLS = {
    "qmail-send": ["write", "pwrite64", "sync_file_range", "fdatasync",
                   "fsync", "unlinkat", "openat", "fcntl",
                   "sendmsg", "recvmsg"],
    "qmail-vdeliver": ["openat", "writev", "fdatasync", "fsync", "renameat2",
                       "sendmsg", "recvmsg"],
}
NTH = (1, 2, 4)


def pids(node, program):
    found = []
    for pid in node.processes():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                if comm.read() == program + "\n":
                    found.append(pid)
    return found


class Killer:
    """Kills a process before its Nth call of one kind (in any thread)."""

    def __init__(self, pid, call, nth):
        self.pid = pid
        self.strace = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-e", f"trace={call}", "-e",
             f"inject={call}:signal=KILL:when={nth}", "-o", "/dev/null"],
            stderr=subprocess.PIPE, text=True)
        line = self.strace.stderr.readline()
        assert "attached" in line, (
            f"strace cannot attach (kernel.yama.ptrace_scope?): {line}")

    def is_done(self):
        """Has it killed?  strace ends with the process."""
        return self.strace.poll() is not None

    def end(self):
        """Lets go of a process that never came to its Nth call."""
        self.strace.terminate()
        self.strace.wait(60)
        self.strace.stderr.close()


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
            not list(node.queue_dir("queue1").glob("bounce/*")),
            f"only what has a remote recipient is held ({held})", 30 * SLOW)
        remote = list(node.queue_dir("queue1").glob("remote/*/*"))
        assert len(remote) == node.held("queue1")
        for file in remote:
            assert file.read_bytes() == b"Tsomeone@elsewhere.example\0"
        for user in ("alice", "bob"):
            for file in node.messages(user):
                assert b"line\n" * 50 in file.read_bytes(), file


@pytest.mark.parametrize("program, call", [
    (program, call) for program, calls in CALLS.items() for call in calls])
def test_killed_before_a_call(make_node, program, call):
    node = make_node("--queues", "1")
    account = Account(node)
    account.send_all()  # spares are there, and a message of each kind is held
    kills = 0
    for nth in NTH:
        (victim,) = wait_until(lambda: pids(node, program),
                               f"{program} runs")
        wait_until(lambda: node.queue("queue1")["workers"] == 1,
                   "the worker is connected")
        killer = Killer(victim, call, nth)
        account.send_all()
        with contextlib.suppress(subprocess.TimeoutExpired):
            killer.strace.wait(1)
        if killer.is_done():
            kills += 1
        killer.end()
        node.svctool("start")  # waits until the queue takes mail again
    account.check()
    assert "0 errors" in node.svctool("check").stdout
    assert kills >= 2  # the rarest call may not come four times
