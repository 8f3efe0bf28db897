# SPDX-License-Identifier: ISC
"""Postfix as the sending peer of a node, which is its relayhost.

Its client does all that the server offers but CHUNKING: it never says BDAT.
"""
import random
import re

import pytest

from node import wait_until
from postfix_peer import HOSTNAME, relaying
from smtp_peer import shared_node

USERS = 120
SENDER = "sender@example.net"


@pytest.fixture(scope="module")
def node():
    with shared_node("--users", USERS) as made:
        yield made


@pytest.fixture(scope="module")
def peer(node):
    with relaying(node.smtp_port) as running:
        yield running


class Arrivals:
    """What comes for a user from now on."""

    def __init__(self, node, user):
        self.node, self.user = node, user
        self.before = set(node.messages(user))

    def files(self):
        return [file for file in self.node.messages(self.user)
                if file not in self.before]

    def wait(self, count=1):
        """(header, body) of each; none may be more."""
        wait_until(lambda: len(self.files()) >= count,
                   lambda: f"{count} messages for {self.user}")
        self.node.wait_empty()
        files = self.files()
        assert len(files) == count
        return [tuple(file.read_bytes().split(b"\n\n", 1)) for file in files]


def message(body, subject="from Postfix"):
    return b"".join(line + b"\r\n" for line in [
        b"From: <sender@example.net>", b"To: <somebody@example.test>",
        b"Subject: " + subject.encode(), b"", *body.split(b"\n")[:-1]])


def lines_of(count, seed):
    """Bytes of all values that a line may have; dots where they hurt."""
    values = random.Random(seed)
    allowed = bytes(set(range(1, 256)) - {10, 13})
    return b"".join(
        values.choice([b"", b".", b"..", b". "]) +
        bytes(values.choices(allowed, k=values.randrange(900))) + b"\n"
        for _ in range(count))


def test_what_is_negotiated(node, peer):
    """TLS, PIPELINING and 8BITMIME; what is sent is what arrives."""
    arrivals = [Arrivals(node, user) for user in ("alice", "bob")]
    body = lines_of(200, "negotiated")
    since = len(peer.log())
    peer.send(SENDER, ["alice@example.test", "bob@example.test"],
              message(body), "BODY=8BITMIME")
    for arrival in arrivals:
        (header, arrived), = arrival.wait()
        assert arrived == body
        assert header.startswith(f"Return-Path: <{SENDER}>\n".encode())
        assert re.search(rb"^Received: from \S+ \(HELO " +
                         HOSTNAME.encode() + rb"\) \(127\.0\.0\.1\)\n"
                         rb"  by mail\.example\.test with ESMTPS \(TLSv1\.3 ",
                         header, re.MULTILINE)
    said = peer.said(since)
    assert "> STARTTLS" in said
    begin = next(i for i, line in enumerate(said) if "> MAIL" in line)
    assert re.fullmatch(rf"> MAIL FROM:<{SENDER}> SIZE=\d+ BODY=8BITMIME",
                        said[begin])
    # It waits for no reply until DATA.
    assert said[begin + 1:begin + 4] == [
        *(f"> RCPT TO:<{user}@example.test> "
          f"ORCPT=rfc822;{user}@example.test" for user in ("alice", "bob")),
        "> DATA"]
    assert not any("BDAT" in line for line in said if line[0] == ">")


def test_smtputf8(node, peer):
    arrival = Arrivals(node, "alice")
    since = len(peer.log())
    peer.send("jörg@exämple.example", ["alice@example.test"],
              message("Grüße\n".encode(), "Grüße"),
              "SMTPUTF8", "BODY=8BITMIME")
    (header, body), = arrival.wait()
    assert body == "Grüße\n".encode()
    assert header.startswith(
        "Return-Path: <jörg@exämple.example>\n".encode())
    assert b" with UTF8SMTPS " in header and "Grüße".encode() in header
    mail = next(line for line in peer.said(since) if "> MAIL" in line)
    assert "SMTPUTF8" in mail.split()


def test_many_recipients(node, peer):
    arrivals = [Arrivals(node, f"u{i}") for i in range(USERS)]
    body = lines_of(20, "many")
    peer.send(SENDER, [f"u{i}@example.test" for i in range(USERS)],
              message(body))
    for arrival in arrivals:
        (_, arrived), = arrival.wait()
        assert arrived == body


def test_a_large_message(node, peer):
    arrival = Arrivals(node, "bob")
    body = lines_of(15000, "large")
    assert len(body) > 6_000_000
    peer.send(SENDER, ["bob@example.test"], message(body), "BODY=8BITMIME")
    (_, arrived), = arrival.wait()
    assert arrived == body


def test_many_messages_at_once(node, peer):
    """By several connections, of which Postfix uses some again."""
    arrivals = {user: Arrivals(node, user) for user in ("alice", "bob")}
    bodies = {user: [lines_of(i % 13, f"{user}{i}") for i in range(60)]
              for user in arrivals}
    with peer.smtp() as client:
        for pair in zip(*bodies.values()):
            for user, body in zip(bodies, pair):
                client.sendmail(SENDER, [f"{user}@example.test"],
                                message(body), ["BODY=8BITMIME"])
    for user, arrival in arrivals.items():
        arrived = [body for _, body in arrival.wait(60)]
        assert sorted(arrived) == sorted(bodies[user])


def test_a_refused_recipient_bounces(node, peer):
    """By Postfix, to the sender; the other recipient has the message."""
    sender, other = Arrivals(node, "alice"), Arrivals(node, "bob")
    peer.send("alice@example.test",
              ["nobody@example.test", "bob@example.test"], message(b"x\n"))
    assert [body for _, body in other.wait()] == [b"x\n"]
    (header, report), = sender.wait()
    assert header.startswith(b"Return-Path: <>\n")
    assert f"\nReporting-MTA: dns; {HOSTNAME}\n".encode() in report
    assert b"Final-Recipient: rfc822; nobody@example.test\n" in report
    assert b"\nAction: failed\nStatus: 5.1.1\n" in report
    assert (b"550 5.1.1 sorry, alice@example.test mailbox "
            b"<nobody@example.test>") in report.replace(b"\n    ", b" ")
    assert b"bob@example.test" not in report.split(b"Subject: from Postfix")[0]


def test_a_temporary_refusal_is_deferred(node, peer):
    sender, arrival = Arrivals(node, "alice"), Arrivals(node, "u7")
    users = node.home / "domains" / node.domain / "vpasswd.cdb"
    away = users.with_suffix(".away")
    users.rename(away)
    try:
        with node.smtp() as client:  # what was known a moment ago is used
            client.ehlo()
            client.mail(SENDER)
            wait_until(lambda: client.rcpt("u7@example.test")[0] == 451,
                       "451 for whom cannot be looked up")
        peer.send("alice@example.test", ["u7@example.test"], message(b"x\n"))
        peer.wait_log(r"to=<u7@example\.test>, .*, dsn=4\.3\.2, "
                      r"status=deferred \(host \S+ said: 451 4\.3\.2 Sorry")
        assert "u7@example.test" in peer.queued()
    finally:
        away.rename(users)
    peer.flush()
    assert [body for _, body in arrival.wait()] == [b"x\n"]
    wait_until(lambda: "Mail queue is empty" in peer.queued(), peer.log)
    assert sender.files() == []


def test_one_that_says_helo(node):
    """No extension at all, also not 8BITMIME: the bytes come as they are."""
    arrival = Arrivals(node, "alice")
    body = lines_of(50, "helo")
    with relaying(node.smtp_port, "smtp_never_send_ehlo = yes\n") as plain:
        plain.send(SENDER, ["alice@example.test"], message(body))
        (header, arrived), = arrival.wait()
        assert "> HELO " + HOSTNAME in plain.said()
    assert arrived == body
    assert b" with SMTP\n" in header
