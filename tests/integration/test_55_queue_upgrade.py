# SPDX-License-Identifier: ISC
"""A queue as the first release left it, taken over by this one."""
import os
import socket
import struct
import zlib

import pytest

import journal
from node import wait_until
from queue_peer import DOMAIN

HALF = 2 * 1024 * 1024


def old_journal(*envelopes):
    """lock/journal of that release, with these (number, size, record)."""
    header = b"mqmail journal 1\n" + struct.pack("<Q", 1)
    header += struct.pack("<I", zlib.crc32(header))
    half = header.ljust(512, b"\0")
    for number, size, record in envelopes:
        text = struct.pack("<QBQQQI", 1, ord("+"), number, size, 1764000000,
                           len(record)) + record
        text = struct.pack("<I", len(text)) + text
        half += struct.pack("<I", zlib.crc32(text)) + text
    return half.ljust(2 * HALF, b"\0")


class Old:
    """What the first release's qmail-send leaves in a queue of 23 folders."""

    def __init__(self, path):
        self.path = path
        (path / "lock/journal").write_bytes(old_journal())
        (path / "lock/journal").chmod(0o600)
        (path / "lock/health").write_bytes(b"mqhealth" + bytes(144))
        for name in ("intake", "workers"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
                folder = os.open(path / "lock", os.O_RDONLY)
                left.bind(f"/proc/self/fd/{folder}/{name}")
                os.close(folder)

    def file(self, folder, number):
        if folder in ("todo", "bounce", "pid"):
            return self.path / folder / str(number)
        return self.path / folder / str(number % 23) / str(number)

    def message(self, text):
        first = self.path / "pid/first"
        first.write_bytes(text)
        first.chmod(0o600)
        number = first.stat().st_ino
        first.rename(self.file("mess", number))
        return number

    def spare(self, text=b""):
        """A message file and its envelope file, both used before."""
        number = self.message(text)
        (self.path / f"pid/{number}.e").write_bytes(b"u0\0p1\0Fold@x\0Told@x\0")
        return number

    def put(self, folder, number, record):
        self.file(folder, number).write_bytes(record)
        self.file(folder, number).chmod(0o600)

    def queued(self, name, *recipients):
        """S4; its envelope file was renamed."""
        number = self.message(text(name))
        self.put("todo", number, b"u1000\0p4711\0" + b"Hx-extra: 1\n\0" +
                 b"Fs@example.net\0" +
                 b"".join(b"T%s\0" % to.encode() for to in recipients))
        return number

    def remembered(self, name, local=b"", remote=b"", bounce=None):
        number = self.message(text(name))
        self.put("info", number, b"Fs@example.net\0Hx-extra: 1\n\0")
        for folder, record in (("local", local), ("remote", remote)):
            if record:
                self.put(folder, number, record)
        if bounce is not None:
            self.put("bounce", number, bounce)
        return number


def text(name):
    return f"Subject: {name}\n\nThis is {name}.\n".encode()


def fill(queue):
    """Mail for alice and bob, mail that stays, and spare files; the latter."""
    old = Old(queue)
    for number in range(20):
        old.queued(f"todo-{number}", f"alice@{DOMAIN}", f"bob@{DOMAIN}")
    old.queued("both", f"alice@{DOMAIN}", "x@elsewhere.example")
    old.remembered("held", local=b"D%s-alice@%s\0T%s-bob@%s\0" % (
        (DOMAIN.encode(),) * 4))
    old.remembered("remote", remote=b"Tx@elsewhere.example\0")
    old.remembered("bounced", local=b"D%s-bob@%s\0" % (
        (DOMAIN.encode(),) * 2), bounce=b"<bob@x>:\nno\n\n")
    return [old.spare(text) for text in
            [b""] * 3 + [b"Subject: over\n\nThis was delivered.\n"] * 50]


def has_spares(queue):
    return (list(queue.glob("pid/*.e")) or (queue / "lock/journal").exists() or
            (queue / "lock/workers").exists())


def names(queue, folder):
    return {path.name for path in queue.glob(f"{folder}/*/*")}


@pytest.mark.parametrize("is_repaired", [False, True])
def test_its_mail_is_delivered_and_its_files_go(make_node, is_repaired):
    node = make_node("--queues", "1", "--init-only")
    queue = node.queue_dir("queue1")
    spares = fill(queue)
    count = 20 + 4
    assert node.queue("queue1")["backlog"] == count
    if is_repaired:
        said = node.run("queue-fix", "-N", queue, code=1).stdout
        assert ("would remove, since an older release left it: lock/workers"
                in said)
        assert has_spares(queue)
        node.run("queue-fix", queue)
        assert not has_spares(queue)
        assert "0 changes made" in node.run("queue-fix", "-v", queue).stdout
        assert node.queue("queue1")["backlog"] == count
    node.svctool("start")
    alice = node.wait_messages("alice", 21)
    bob = node.wait_messages("bob", 21)
    for user, messages in ((b"alice", alice), (b"bob", bob)):
        for message in messages:
            assert message.count(b"x-extra: 1\n") == 1, (user, message)
            assert b"delivered" not in message.split(b"\n\n", 1)[1]
    assert sum(b"This is held." in message for message in bob) == 1
    # What is remote stays: a half, a whole one, and the report of a failure.
    wait_until(lambda: names(queue, "mess") == names(queue, "info") and
               len(names(queue, "info")) == 3,
               lambda: f"three messages stay\n{node.logs()}")
    assert node.held("queue1") == 3
    assert not has_spares(queue)
    assert not names(queue, "mess") & {str(number) for number in spares}
    assert node.queue("queue1")["ok"]


def test_mail_in_its_journal_is_not_lost_sight_of(queue):
    """Killed, that release left envelopes where only it can find them."""
    old = Old(queue.dir)
    number = old.spare(text("killed"))
    record = f"u0\0p1\0Fs@example.net\0Tu@{DOMAIN}\0".encode()
    (queue.dir / "lock/journal").write_bytes(
        old_journal((number, len(text("killed")), record)))
    for program, *words in (("qmail-send", queue.dir),
                            ("queue-fix", queue.dir), ("qmail-qstat",),
                            ("qmail-qread",)):
        done = queue.run(program, *words, code=111)
        assert b"older release" in done.stderr, program
    assert queue.path("mess", number).read_bytes() == text("killed")
    assert (queue.dir / f"pid/{number}.e").exists()
    # Started and stopped once more, it leaves files.
    (queue.dir / "lock/journal").write_bytes(old_journal())
    (queue.dir / f"pid/{number}.e").write_bytes(record)
    (queue.dir / f"pid/{number}.e").rename(queue.path("todo", number))
    queue.start()
    worker = queue.worker()
    worker.wait_jobs(1)
    assert worker.jobs[0].message == text("killed")
    wait_until(lambda: not queue.files("mess") and not queue.files("todo"),
               "it is over")


def test_a_clean_stop_leaves_qmails_files(queue):
    """So that there is a way back, and to other systems."""
    queue.start()
    queue.inject()
    assert queue.stop() == 0
    assert len(queue.files("todo")) + len(queue.files("info")) == 1
    assert journal.live(queue.dir) == {}
    assert not has_spares(queue.dir)
