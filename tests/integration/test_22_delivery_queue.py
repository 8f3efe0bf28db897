# SPDX-License-Identifier: ISC
"""qmail-vdeliver under qmail-start, with the real qmail-send."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

import delivery_peer
from node import BIN, wait_until


def start(queue):
    with open(queue.log_path, "ab") as log:
        queue.process = subprocess.Popen(
            [BIN / "qmail-start", queue.dir], env=queue.environment(),
            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    queue.wait_log("^running$")


def worker_pids(queue):
    """Of the workers of this queue."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"qmail-vdeliver") and \
                    words[1] == os.fsencode(queue.dir):
                found.append(int(folder.name))
    return found


@pytest.fixture
def node(queue):
    """example.test with alice and bob, in the folder of the queue's home."""
    domains = str(queue.home / "domains")
    node = delivery_peer.Node(queue.home / "node", users=("alice", "bob"),
                              environment={"DOMAINDIR": domains})
    queue.assign(f"+example.test-:example.test:{os.getuid()}:{os.getgid()}:"
                 f"{node.dir}:-::\n.\n")
    return node


def test_one_message_to_all_kinds_of_users(queue, node):
    node.add_user("small", quota="10S")
    start(queue)
    queue.inject(("alice@example.test", "bob@example.test",
                  "nobody@example.test", "small@example.test"),
                 sender="alice@example.test")
    queue.wait_log(r"^end msg ", 2)  # the message and its bounce
    first, second = sorted(node.messages("alice"), key=len)
    assert first.startswith(
        b"Return-Path: <alice@example.test>\n"
        b"Delivered-To: example.test-alice@example.test\n"
        b"Received: ")
    assert second.startswith(b"Return-Path: <>\n")
    assert b"no account nobody@example.test here by that name. (#5.1.1)" \
        in second
    assert b"account small@example.test has insufficient quota. " in second
    assert len(node.messages("bob")) == 1
    assert "success: did_1+0+0/" in queue.log()
    assert queue.stop() == 0
    wait_until(lambda: not worker_pids(queue), "the worker ends")


def test_a_killed_worker_is_started_again(queue, node):
    start(queue)
    wanted = set()
    for number in range(30):
        queue.inject(("alice@example.test",),
                     body=b"Subject: %d\n\nbody\n" % number)
        wanted.add(b"Subject: %d\n" % number)
        if number % 10 == 5:
            old = wait_until(lambda: worker_pids(queue), "a worker")
            os.kill(old[0], signal.SIGKILL)
    # Deferred by the kill: all are tried again at once.
    def all_there():
        queue.send_signal(signal.SIGALRM)
        found = {line + b"\n" for message in node.messages("alice")
                 for line in message.split(b"\n")
                 if line.startswith(b"Subject: ")}
        return found == wanted
    wait_until(all_there, "30 messages")
    assert queue.stop() == 0


def test_a_line_from_another_system_is_followed(make_node):
    """A CR at the end of .qmail-default held up the domain's users' mail."""
    made = make_node("--queues", 1)
    default = made.home / "domains" / made.domain / ".qmail-default"
    default.write_bytes(b"| vdelivermail '' bounce-no-mailbox\r\n")
    made.send("alice")
    made.wait_messages("alice", 1)
    # What no line is holds up only those who are no users.
    default.write_bytes(b"")
    made.send("alice")
    made.wait_messages("alice", 2)
    made.inject(f"nobody@{made.domain}")
    wait_until(lambda: "deferral: " in made.log("queue1"), made.logs)
    default.write_bytes(b"| vdelivermail '' delete\n")
    made.retry_until(lambda: made.backlog() == 0, "the rule is followed")
