# SPDX-License-Identifier: ISC
"""AutoTURN, as serialmail has it: a client that connects has its mail sent to it
when its session is over, from a Maildir of its address."""
import os
import shutil
import subprocess

import pytest

import ports
from node import BIN, SLOW, wait_until
from remote_peer import Peer
from smtp_peer import Client, shared_node

# serialmail's AUTOTURN, with a port for the test.
SCRIPT = """
'{bin}/qmail-smtpd'
cd '{folder}' || exit 111
exec setlock -nx "$TCPREMOTEIP/seriallock" \\
	'{bin}/maildirsmtp' "$TCPREMOTEIP" "autoturn-$TCPREMOTEIP-" \\
	"$TCPREMOTEIP:{port}" AutoTURN
"""

pytestmark = pytest.mark.skipif(
    None in (shutil.which("tcpserver"), shutil.which("setlock")),
    reason="needs ucspi-tcp and daemontools")


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        yield made


def maildir(path, *messages):
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    for number, (recipient, text) in enumerate(messages):
        (path / f"new/{number}.x").write_text(
            f"Return-Path: <s@x.example>\nDelivered-To: {recipient}\n{text}")
    return path


def left(box):
    return sorted(path.name for part in ("cur", "new")
                  for path in (box / part).iterdir())


def run_server(node, folder, peer_port):
    port = ports.take()
    script = SCRIPT.format(bin=BIN, folder=folder, port=peer_port)
    process = subprocess.Popen(
        ["tcpserver", "-H", "-R", "-l", "0", "127.0.0.1", str(port), "sh",
         "-c", script], env=node.environment(), stderr=subprocess.DEVNULL)

    def is_up():
        """Not by a connection, which would be a client's."""
        with open("/proc/net/tcp", encoding="ascii") as table:
            return f":{port:04X} 00000000:0000 0A" in table.read()
    wait_until(is_up, "tcpserver")
    return process, port


def test_autoturn(node, tmp_path):
    box = maildir(
        tmp_path / "127.0.0.1",
        ("autoturn-127.0.0.1-carol@held.example", "Subject: one\n\n1\n"),
        ("autoturn-127.0.0.1-dave@held.example", "Subject: two\n\n2\n"))
    others = maildir(tmp_path / "127.0.0.9",
                     ("autoturn-127.0.0.9-x@y.example", "Subject: x\n\n"))
    taken = []

    def script(link):
        link.hello()
        for _ in range(2):
            link.take("MAIL", "250 ok")
            taken.append(link.take("RCPT", "250 ok"))
            link.take("DATA", "354 go")
            link.take_message("250 taken")
        link.at_end()
    with Peer(script) as peer:
        process, port = run_server(node, tmp_path, peer.port)
        try:
            # The client's own mail comes first; then its session ends.
            with Client(port) as client:
                client.begin(f"alice@{node.domain}")
                assert client.data("Subject: in\r\n\r\nx\r\n.\r\n").code == 250
                assert left(box) == ["0.x", "1.x"]
                client.say("QUIT")
            wait_until(lambda: left(box) == [], "both are sent")
        finally:
            process.terminate()
            process.wait(20 * SLOW)
    assert sorted(taken) == [f"RCPT TO:<{name}@held.example>"
                             for name in ("carol", "dave")]
    assert left(others) == ["0.x"]
    node.wait_messages("alice", 1)


def test_an_address_without_a_maildir_only_sends(node, tmp_path):
    process, port = run_server(node, tmp_path, 9)
    before = len(node.messages("alice"))
    try:
        with Client(port) as client:
            client.begin(f"alice@{node.domain}")
            assert client.data("Subject: in\r\n\r\nx\r\n.\r\n").code == 250
            client.say("QUIT")
            assert client.is_closed()
        node.wait_messages("alice", before + 1)
    finally:
        process.terminate()
        process.wait(20 * SLOW)


def test_two_sessions_send_once(node, tmp_path):
    """The second ends at the lock, while the first is at it."""
    box = maildir(tmp_path / "127.0.0.1", (
        "autoturn-127.0.0.1-carol@held.example", "Subject: one\n\n1\n"))
    process = port = None

    def script(link):
        link.hello()
        with Client(port) as second:
            second.say("QUIT")
            assert second.is_closed()
        link.transaction()
        link.at_end()
    with Peer(script) as peer:
        process, port = run_server(node, tmp_path, peer.port)
        try:
            with Client(port) as client:
                client.say("QUIT")
            wait_until(lambda: left(box) == [], "it is sent")
        finally:
            process.terminate()
            process.wait(20 * SLOW)
    assert len(peer.links) == 1
    assert os.path.exists(box / "seriallock")
