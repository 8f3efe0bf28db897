# SPDX-License-Identifier: ISC
"""A log's reader that does not read: mail goes on, lines wait or are counted."""
import os
import re
import signal
import time
from pathlib import Path

from node import SLOW, wait_until

MESSAGES = 200
REFUSED = 4000  # lines of 600 bytes: more than waits for the reader


def readers(node):
    """The pids of the node's multilogs."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"multilog") and any(
                word.startswith(os.fsencode(node.home)) for word in words):
            found.append(int(folder.name))
    return found


def log(node, service):
    """All of it, also what multilog has put aside."""
    folder = node.home / "log" / service
    return "".join(file.read_text(errors="replace") for file in
                   [*sorted(folder.glob("@*")), folder / "current"])


def refuse_many(client):
    """One session whose recipients are refused, each with a line."""
    client.ehlo()
    client.mail("m" * 230 + "@example.net")
    command = b"RCPT TO:<" + b"r" * 230 + b"@elsewhere.test>\r\n"
    for _ in range(REFUSED // 100):
        client.send(command * 100)
        for _ in range(100):
            assert client.getreply()[0] == 553


def test_a_stopped_reader_stops_no_mail(node):
    pids = readers(node)
    assert len(pids) >= 3
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(MESSAGES):
            begun = time.monotonic()
            node.send(subject=f"number {number}", sender="s" * 200 + "@x.test")
            assert time.monotonic() - begun < 10 * SLOW
        node.wait_messages("alice", MESSAGES)
        begun = time.monotonic()
        with node.smtp() as client:
            refuse_many(client)
        assert time.monotonic() - begun < 10 * SLOW
        node.send("bob")
        node.wait_messages("bob", 1)
        node.wait_empty()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    service = f"qmail-smtpd.{node.smtp_port}"
    warning = (r" warning: (\d+) log lines were dropped: the log's reader did "
               r"not read\n")
    wait_until(lambda: re.search(warning, log(node, service)), node.logs)
    dropped, = re.findall(warning, log(node, service))
    assert 0 < int(dropped) < REFUSED + 100
    # Those of the queues had room.
    wait_until(lambda: (log(node, "queue1") + log(node, "queue2")).count(
        " success: ") == MESSAGES + 1, node.logs)
    assert "dropped" not in log(node, "queue1") + log(node, "queue2")
