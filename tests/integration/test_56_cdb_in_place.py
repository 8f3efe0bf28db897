# SPDX-License-Identifier: ISC
"""Compiled files that an operator overwrites in place, under a running node.

No process may end by that, none may take a part of a file for all of it, and
all is well when the file is whole again.
"""
import os
import smtplib
from contextlib import contextmanager
from pathlib import Path

import pytest

from node import wait_until

CUTS = [0, 100, 2048, -1]


def pids(node):
    found = {}
    for pid in node.processes():
        try:
            found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            pass
    return {pid for pid, name in found.items() if name.startswith("qmail")}


@contextmanager
def cut(path, length):
    """The file, in its place, is as a copy of it under way leaves it."""
    whole = path.read_bytes()
    inode = path.stat().st_ino
    os.truncate(path, length if length >= 0 else len(whole) + length)
    try:
        yield
    finally:
        with open(path, "r+b") as file:
            file.truncate(0)
            file.write(whole)
    assert path.stat().st_ino == inode


def rcpt(node, user):
    with node.smtp() as client:
        client.ehlo()
        client.mail("s@example.net")
        return client.rcpt(f"{user}@{node.domain}")[0]


@pytest.fixture
def busy(node):
    """A node whose processes have all the files open."""
    for _ in range(3):
        node.send("alice")
    node.wait_messages("alice", 3)
    running = pids(node)
    assert len(running) > 5
    yield node
    assert pids(node) == running, node.logs()


def wait_deferred(node, user):
    """Who was found before is so for up to a second; but never refused."""
    def is_deferred():
        code = rcpt(node, user)
        assert code == 250 or code // 100 == 4
        return code // 100 == 4

    wait_until(is_deferred, f"{user} is deferred")


@pytest.mark.parametrize("name", ["users/cdb", "domains/example.test/vpasswd.cdb"])
def test_recipients_cannot_be_told(busy, name):
    assert rcpt(busy, "alice") == 250
    assert rcpt(busy, "nobody") // 100 == 5
    for length in CUTS:
        with cut(busy.home / name, length):
            wait_deferred(busy, "alice")
            assert rcpt(busy, "nobody") // 100 == 4
        assert rcpt(busy, "alice") == 250
        assert rcpt(busy, "nobody") // 100 == 5


@pytest.mark.parametrize("name", ["users/cdb", "domains/example.test/vpasswd.cdb"])
def test_deliveries_wait(busy, name):
    for queue in ("queue1", "queue2"):
        busy.svctool("queue", "hold", queue)
    wait_until(lambda: all(busy.queue(queue)["held_local"]
                           for queue in ("queue1", "queue2")), "held queues")
    busy.send("bob", "while it was cut")
    with cut(busy.home / name, 2100):
        for queue in ("queue1", "queue2"):
            busy.svctool("queue", "release", queue)
        wait_until(lambda: "deferral: " in busy.log("queue1") +
                   busy.log("queue2"), busy.logs)
        assert busy.messages("bob") == []
    busy.retry_until(lambda: busy.messages("bob"), "a message for bob")
    (message,) = busy.wait_messages("bob", 1)
    assert b"while it was cut" in message
    busy.wait_empty()


def connects(node):
    """May a client relay?  Refused for now is 421, which smtplib raises."""
    try:
        with node.smtp() as client:
            client.ehlo()
            client.mail("s@example.net")
            return client.rcpt("x@elsewhere.example")[0] == 250
    except smtplib.SMTPException:
        return False


def test_access_rules_cannot_be_told(make_node):
    node = make_node("--relay")
    assert connects(node)
    running = pids(node)
    for length in CUTS:
        with cut(node.control / "tcp.smtp.cdb", length):
            wait_until(lambda: not connects(node), "clients are refused")
        assert connects(node)
    assert pids(node) == running
