# SPDX-License-Identifier: ISC
"""clientnames: listeners that ask for the names of clients."""
import socket
import subprocess

import pytest

from name_server import NameServer
from node import SLOW, wait_until

ZONES = {"127.in-addr.arpa": """
2.0.0 IN PTR wrong.peer.test.
2.0.0 IN PTR mail.peer.test.
3.0.0 IN PTR mail.peer.test.
""", "peer.test": "mail IN A 127.0.0.2\nwrong IN A 127.0.0.9\n"}


@pytest.fixture(scope="module")
def names():
    server = NameServer(ZONES)
    yield server
    server.close()


@pytest.fixture
def node(make_node, names):
    made = make_node("--init-only", "--dnsstub", names.stubs().strip())
    (made.control / "clientnames").write_text("1\n")
    set_rules(made, "127.0.0.1:allow\n127.0.0.9:allow\n=mail.peer.test:allow\n:deny\n")
    made.up()
    return made


def set_rules(node, text):
    rules = node.control / "tcp.smtp"
    rules.write_text(text)
    subprocess.run(["tcprules", f"{rules}.cdb", f"{rules}.tmp"],
                   input=text.encode(), check=True)


def greeting(node, address):
    with socket.create_connection(
            ("127.0.0.1", node.smtp_port), 60 * SLOW, (address, 0)) as client:
        return client.makefile().readline()[:3]


def test_a_name_counts_when_it_leads_back(node):
    assert greeting(node, "127.0.0.2") == "220"
    assert greeting(node, "127.0.0.3") == "554"  # another's name
    assert greeting(node, "127.0.0.4") == "554"  # none
    # svctool finds nothing wrong with the rule then
    assert "=mail" not in node.svctool("check", code=None).stdout


def test_the_name_is_told(node):
    with socket.create_connection(
            ("127.0.0.1", node.smtp_port), 60 * SLOW,
            ("127.0.0.2", 0)) as client:
        file = client.makefile("rw", newline="\r\n")
        for line in ("", "HELO x", "MAIL FROM:<>",
                     f"RCPT TO:<alice@{node.domain}>", "DATA", "Hello.\r\n.",
                     "QUIT"):
            if line:
                print(line, file=file, flush=True)
            assert file.readline()[0] in "23"
    text = node.wait_messages("alice", 1)[0]
    assert b"Received: from mail.peer.test (HELO x) (127.0.0.2)\n" in text
    wait_until(lambda: " mail.peer.test:127.0.0.2::" in node.log(
        f"qmail-smtpd.{node.smtp_port}"), node.logs)


def test_without_the_resolver_there_is_none(node):
    node.run("/usr/bin/env", "svc", "-d", node.home / "service/resolver")
    wait_until(lambda: next(
        row["state"] for row in node.status()["services"]
        if row["name"] == "resolver") != "up", "the resolver ends")
    assert greeting(node, "127.0.0.2") == "554"
    assert greeting(node, "127.0.0.9") == "220"


def test_off(node):
    (node.control / "clientnames").unlink()
    node.svctool("restart")
    assert greeting(node, "127.0.0.2") == "554"
    assert "=mail.peer.test" in node.svctool("check", code=None).stdout
