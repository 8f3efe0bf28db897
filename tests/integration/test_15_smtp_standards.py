# SPDX-License-Identifier: ISC
"""What docs/rfc.md promises of the server, where no other test shows it."""
import re
import subprocess

import pytest

from node import wait_until
from smtp_peer import Client, shared_node, smtpd


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        yield made


def size_offered(client):
    return re.search(r"^250.SIZE (\d+)$", str(client.hello()), re.M)[1]


def test_size_is_that_of_the_session(node, tmp_path):
    """RFC 1870 4: what EHLO tells is what MAIL and DATA are judged by."""
    rules = tmp_path / "rules.cdb"
    subprocess.run(["tcprules", rules, f"{rules}.tmp"], check=True,
                   input=b'127.0.0.1:allow,DATABYTES="77"\n')
    with smtpd(node, DATABYTES="1000") as server, server.client() as client:
        assert size_offered(client) == "1000"
    with smtpd(node, DATABYTES="1000", TCPRULES=rules) as server:
        with server.client() as client:
            assert size_offered(client) == "77"
            assert client.say("MAIL FROM:<> SIZE=78").code == 552
            client.ok("MAIL FROM:<> SIZE=77")
            client.ok("RCPT TO:<alice@example.test>")
            assert client.data("x" * 80 + "\r\n.\r\n").code == 552


def test_lmtp_offers_and_answers_as_it_must(node):
    """RFC 2033 4 and 5: extensions, no EHLO, a reply for each recipient."""
    with smtpd(node, "--lmtp") as server:
        with Client(server.port) as client:
            for verb in ("EHLO", "HELO"):
                assert client.say(f"{verb} x").code // 100 == 5
            offers = str(client.hello("LHLO"))
            assert "PIPELINING" in offers and "ENHANCEDSTATUSCODES" in offers
            client.ok("MAIL FROM:<a@b.example>")
            assert client.say("RCPT TO:<nobody@example.test>").code == 550
            assert client.say("DATA").code == 503  # 4.2: none was taken
            for user in ("alice", "bob"):
                client.ok(f"RCPT TO:<{user}@example.test>")
            client.write("BDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\nNOOP\r\n")
            assert [client.read().code for _ in range(4)] == [250] * 4
    for user in ("alice", "bob"):
        (message,) = node.wait_messages(user, 1)
        assert message.endswith(b"\na\nb\n")


@pytest.mark.parametrize("line, code", [
    ("MAIL FROM:<alice>", 250),  # taken, although it has no domain
    ("MAIL FROM:<a..b.@x_y.example>", 250),
    ("MAIL FROM:<a@[tag:x]>", 555),
    ("MAIL FROM:<" + "l" * 100 + "@b.example>", 250),
    ("MAIL FROM:<" + "l" * 244 + "@b.example>", 250),  # a path of 256
    ("MAIL FROM:<" + "l" * 245 + "@b.example>", 501),
    ("MAIL FROM:<a@b> BODY=7BIT", 250),
    ("MAIL FROM:<a@b> BODY=8BITMIME SMTPUTF8", 250),
    ("MAIL FROM:<a@b> RET=HDRS", 250),
    ("MAIL FROM:<a\xc2\x85@b> SMTPUTF8", 555),
    ("VRFY \xfc SMTPUTF8", 252),
    ("ATRN", 502), ("ETRN x", 502), ("AUTH PLAIN =", 501), ("EXPN x", 502),
])
def test_lines(client, line, code):
    client.hello()
    reply = client.say(line)
    assert reply.code == code, reply
    if code >= 500:  # RFC 2034 4, and qmail's form behind it
        status = re.match(r"(5\.\d+\.\d+) ", reply.text)[1]
        assert reply.text.endswith(f"(#{status})")


def test_eight_bits_need_no_declaration(node, client):
    """RFC 6152: stored as it came, also from who said HELO."""
    before = len(node.messages("bob"))
    client.begin("bob@example.test", verb="HELO")
    assert client.data(b"Subject: x\r\n\r\n\xe4\xff\r\n.\r\n").code == 250
    wait_until(lambda: len(node.messages("bob")) == before + 1, "a message")
    newest = max(node.messages("bob"), key=lambda file: file.stat().st_mtime_ns)
    assert newest.read_bytes().endswith(b"\n\n\xe4\xff\n")


def test_a_command_may_have_a_thousand_octets(client):
    """RFC 5321 4.5.3.1.4 asks for 512."""
    client.hello()
    assert client.say("NOOP " + "x" * (1000 - 7)).code == 250
    assert client.say("NOOP " + "x" * (1000 - 6)).code == 553


def test_many_recipients(client):
    """RFC 5321 4.5.3.1.8: at least 100."""
    client.hello()
    client.ok("MAIL FROM:<a@b.example>")
    for _ in range(1000):
        client.ok("RCPT TO:<alice@example.test>")


def test_received_has_the_clients_name_and_address(node, client):
    """RFC 5321 4.4: FROM, BY, WITH, ID and the date, in qmail's form."""
    before = len(node.messages("alice"))
    client.begin()
    assert client.data("x\r\n.\r\n").code == 250
    wait_until(lambda: len(node.messages("alice")) == before + 1, "a message")
    newest = max(node.messages("alice"), key=lambda file: file.stat().st_mtime_ns)
    assert re.search(
        rb"^Received: from unknown \(HELO client\.example\.net\) "
        rb"\(127\.0\.0\.1\)\n  by mail\.example\.test with ESMTP\n  "
        rb"id [0-9a-f-]{36}; [A-Z][a-z]{2}, \d\d? [A-Z][a-z]{2} \d{4} "
        rb"\d\d:\d\d:\d\d [+-]\d{4}\n", newest.read_bytes(), re.M)
