# SPDX-License-Identifier: ISC
"""Mail from one node of a cluster to another: qmail-rspawn's lane @NODE, and a
listener of the kind --node."""
import contextlib
import os
import re
import signal
import ssl
import uuid
from pathlib import Path

import pytest

from cluster_peer import (Rspawn, Wire, make_certificate, node_value,
                          write_nodes)
from node import wait_until
from smtp_peer import any_certificate, smtpd

MESSAGE = b"Received: from outside\nSubject: x\n\nHello.\n"
ALICE, BOB = "alice@example.test", "bob@example.test"


class Pair:
    """Node a has the mail, node b the mailboxes."""

    def __init__(self, a_home, node):
        self.node = node
        self.pins = {"a": make_certificate(a_home, "a"),
                     "b": make_certificate(node.home, "b")}
        self.a = Rspawn(a_home, node.environment())
        self.server = None

    def meet(self, port=None, **other):
        """Each knows the other; b is at that port."""
        self.tell_a(b=node_value(port or self.server.port, [self.pins["b"]]),
                    **other)
        self.tell_b(a=node_value(2525, [self.pins["a"]]))

    def tell_a(self, **nodes):
        write_nodes(self.a.home, "a", **nodes)

    def tell_b(self, **nodes):
        write_nodes(self.node.home, "b", b=node_value(
            2525, [self.pins["b"]]), **nodes)

    def client(self, shows="a"):
        """Says to b what a test wants to say, in TLS."""
        context = any_certificate()
        if shows is not None:
            home = self.a.home if shows == "a" else self.node.home
            context.load_cert_chain(home / "tls/nodecert.pem")
        client = self.server.client()
        client.hello()
        client.start_tls(context)
        return client


@pytest.fixture
def pair(memory_path, node):
    (memory_path / "a").mkdir()
    both = Pair(memory_path / "a", node)
    with smtpd(node, "--node") as server:
        both.server = server
        both.meet()
        yield both
        both.a.stop()


def test_a_message_goes_to_the_node(pair):
    with pair.a.lane("@b") as lane:
        (outcome, text), = lane.send(MESSAGE, ALICE)
        assert (outcome, text.split()[:3]) == (
            "K", ["b", "(127.0.0.1)", "accepted"])
        found, = pair.node.wait_messages("alice", 1)
        assert b"(HELO a.example.test) (a@127.0.0.1)" in found
        assert b"\n  (cluster hop 1)\n  id " in found
        assert found.endswith(MESSAGE)
        # Several recipients and messages, over the same connection.
        lane.put(MESSAGE * 2000, ALICE, BOB)
        assert [each[0] for each in lane.results(2)] == ["K", "K"]
        # No more of them at once: the window grows with each success.
        for _ in range(4):
            for _ in range(5):
                lane.put(MESSAGE, BOB)
            assert {each[0] for each in lane.results(5)} == {"K"}
        pair.node.wait_messages("alice", 2)
        pair.node.wait_messages("bob", 21)
    assert "verified by its pin" in pair.a.log
    # 23 messages, and no more connections than the first window has.
    assert len(re.findall(r"tls b 127\.0\.0\.1", pair.a.log)) <= 6


@pytest.mark.parametrize("nodes, words", [
    ({}, "knows none of that name"),
    ({"b": {"pins": []}}, "it was revoked"),
    ({"b": {"pins": ["0" * 64]}}, "none of the pins"),
    ({"b": {"is_alive": False}}, "it is not alive"),
])
def test_why_mail_waits(pair, nodes, words):
    def values(options):
        options = {"pins": [pair.pins["b"]], **options}
        return node_value(pair.server.port, **options)

    pair.tell_a(**{name: values(options) for name, options in nodes.items()})
    with pair.a.lane("@b") as lane:
        seconds, reason = lane.rest()
        assert words in reason
        assert re.search(r"\bb\b", reason)
        assert seconds <= 6
        # What clusterd writes counts at once.
        pair.meet()
        lane.wait(b"w", lambda packet: b"@b" in packet)
        (outcome, _), = lane.send(MESSAGE, ALICE)
        assert outcome == "K"
        # Also for a connection that is open.
        pair.tell_a()
        lane.wait(b"w", lambda packet: b"@b" in packet)
        assert "knows none of that name" in lane.rest()[1]
    assert pair.node.wait_messages("alice", 1)


def test_nobody_is_there(pair):
    pair.meet(port=1)
    with pair.a.lane("@b") as lane:
        seconds, reason = lane.rest()
        assert "b at 127.0.0.1 port 1" in reason
        assert seconds <= 6


def test_the_other_does_not_know_us(pair):
    pair.tell_b()
    with pair.a.lane("@b") as lane:
        assert "does not take me for a node" in lane.rest()[1]
        pair.meet()
        (outcome, _), = lane.send(MESSAGE, ALICE)
        assert outcome == "K"
        # Revoked while it is connected.
        pair.tell_b()
        lane.put(MESSAGE, ALICE)
        (outcome, text), = lane.results()
        assert outcome == "Z"
        assert "cluster" in text


def test_a_stranger_gets_nothing(pair):
    with pair.server.client() as client:
        reply = client.hello()
        assert "STARTTLS" in reply.text
        for word in ("XNODE", "AUTH", "ETRN"):
            assert word not in reply.text
        assert client.say("MAIL FROM:<>").code == 530
        assert client.say("AUTH PLAIN AGEAYg==").code >= 500
        assert client.say("ETRN example.test").code >= 500
    with pair.client(shows=None) as client:
        assert "XNODE" not in client.hello().text
        assert client.say("MAIL FROM:<>").code == 421
        assert client.is_closed()
    pair.tell_b()
    with pair.client() as client:
        assert "XNODE" not in client.hello().text
        assert client.say(f"MAIL FROM:<> XUUID={uuid.uuid4()} XHOPS=1"
                          ).code == 421
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        with pair.server.client(context=any_certificate()) as client:
            client.hello()


def test_what_a_node_may_say(pair):
    name = uuid.uuid4()
    with pair.client() as client:
        assert "XNODE" in client.hello().text
        for parameter, code in (
                ("", 250), (f" XUUID={name}", 250), (" XHOPS=1", 250),
                (f" XUUID={name} XHOPS=5 SIZE=999999999999", 250),
                (f" XUUID={name} XHOPS=6", 451), (" XHOPS=65535", 451),
                (" XHOPS=65536", 501), (" XHOPS=0", 501), (" XHOPS=-1", 501),
                (" XHOPS", 501), (" XUUID", 501), (" XUUID=", 501),
                (" XHOPS=1 XHOPS=2", 501),
                (f" XUUID={name} XUUID={name}", 501),
                (f" XUUID={str(name)[:-1]}", 501), (f" XUUID={name}0", 501),
                (" XUUID=00000000-0000-0000-0000-000000000000", 501),
                (" XUUID=0190163d-8694-739b-aea5-966c26f8ad9g", 501)):
            assert client.say(f"MAIL FROM:<a@b>{parameter}").code == code, \
                parameter
            if code == 250:
                client.ok("RSET")
        client.ok("MAIL FROM:<>")
        assert client.say("RCPT TO:<x@elsewhere.example>").code == 451
        # Whom this node does not know is for its deliveries to say.
        assert client.say("RCPT TO:<nobody@example.test>").code == 250
    with pair.client(shows="b") as client:  # its own queues, too
        assert "XNODE" in client.hello().text


def test_a_loop_ends(pair):
    hop = (b"Received: from x\n  by y with ESMTPS\n  (cluster hop %d)\n"
           b"  id z; now\n")
    with pair.a.lane("@b") as lane:
        (outcome, _), = lane.send(hop % 4 + MESSAGE, ALICE)
        assert outcome == "K"
        (outcome, text), = lane.send(hop % 5 + MESSAGE, ALICE)
        assert outcome == "Z"
        assert "they disagree" in text
    found, = pair.node.wait_messages("alice", 1)
    assert b"\n  (cluster hop 5)\n" in found


def test_a_lost_answer_is_no_second_message(pair):
    """The receiver has it, and its answer never comes."""
    wire = Wire(pair.server.port)
    pair.meet(port=wire.port)
    big = MESSAGE + b"line\n" * 20000
    with pair.a.lane("@b") as lane:
        lane.wait_room()
        wire.mute_after = 50000
        name = lane.put(big, ALICE, BOB)
        pair.node.wait_messages("alice", 1)
        pair.node.wait_messages("bob", 1)
        wire.cut()
        outcomes = lane.results(2)
        assert {each[0] for each in outcomes} == {"Z"}
        assert "Possible duplicate!" in outcomes[0][1]
        wire.mute_after = None
        for _ in range(2):
            assert [each[0] for each in lane.send(
                big, ALICE, BOB, name=name)] == ["K", "K"]
        # What comes later is behind what could have come.
        assert lane.send(MESSAGE, BOB)[0][0] == "K"
        pair.node.wait_messages("bob", 2)
    pair.node.wait_empty()
    assert len(pair.node.messages("alice")) == 1
    wire.close()


def test_cut_in_the_middle(pair):
    wire = Wire(pair.server.port)
    pair.meet(port=wire.port)
    big = MESSAGE + b"line\n" * 200000
    with pair.a.lane("@b") as lane:
        lane.wait_room()
        wire.cut_after = 300000
        name = lane.put(big, ALICE)
        assert lane.results()[0][0] == "Z"
        wire.cut_after = None
        assert lane.send(big, ALICE, name=name)[0][0] == "K"
    pair.node.wait_messages("alice", 1)
    pair.node.wait_empty()
    wire.close()


def test_the_receiver_is_killed(pair, node):
    """In the middle of the message."""
    wire = Wire(pair.server.port)
    pair.meet(port=wire.port)
    big = MESSAGE + b"line\n" * 200000
    with pair.a.lane("@b") as lane:
        lane.wait_room()
        wire.stall_after = 300000
        name = lane.put(big, ALICE)
        wait_until(lambda: wire.is_stalled, "a part is there")
        pair.server.process.kill()
        pair.server.process.wait()
        assert lane.results()[0][0] == "Z"
        with smtpd(node, "--node") as again:
            pair.meet(port=again.port)
            assert lane.send(big, ALICE, name=name)[0][0] == "K"
            pair.node.wait_messages("alice", 1)
    pair.node.wait_empty()
    wire.close()
    pair.server.process.returncode = 0  # as we wanted it


def test_the_whole_receiver_is_killed(pair, node):
    """After the final dot, before the answer: what was durable is known."""
    wire = Wire(pair.server.port)
    pair.meet(port=wire.port)
    big = MESSAGE + b"line\n" * 20000
    with pair.a.lane("@b") as lane:
        lane.wait_room()
        wire.mute_after = 50000
        name = lane.put(big, ALICE)
        pair.node.wait_messages("alice", 1)
        for pid in node.processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "qmail-send\n":
                    os.kill(pid, signal.SIGKILL)
        wire.cut()
        assert lane.results()[0][0] == "Z"
        wire.mute_after = None
        assert lane.send(big, ALICE, name=name)[0][0] == "K"
        assert lane.send(MESSAGE, BOB)[0][0] == "K"
        pair.node.wait_messages("bob", 1)
    pair.node.wait_empty()
    assert len(pair.node.messages("alice")) == 1
    wire.close()


def test_one_uuid_is_many_transactions(pair):
    """Nothing is taken for what was there before, but the same again."""
    name = uuid.uuid4()
    with pair.a.lane("@b") as lane:
        for recipients in ([ALICE], [BOB], [BOB, ALICE], [ALICE, BOB]):
            assert {each[0] for each in lane.send(
                MESSAGE, *recipients, name=name)} == {"K"}
        # It has been elsewhere, and comes back.
        hop = b"Received: x\n  (cluster hop 1)\n" + MESSAGE
        assert lane.send(hop, ALICE, name=name)[0][0] == "K"
        assert lane.send(hop, ALICE, name=name)[0][0] == "K"
        pair.node.wait_messages("alice", 3)
        pair.node.wait_messages("bob", 2)
    pair.node.wait_empty()
    assert len(pair.node.messages("alice")) == 3
    assert len(pair.node.messages("bob")) == 2


def test_parameters_go_along(pair):
    message = "Subject: ü\n\nGrüße\n".encode()
    with pair.a.lane("@b") as lane:
        assert lane.send(message, ALICE, sender="jürgen@example.net",
                         needs_tls=True, dsn=" RET=HDRS ENVID=x",
                         rcpt_dsn=" NOTIFY=NEVER")[0][0] == "K"
    found, = pair.node.wait_messages("alice", 1)
    assert found.endswith(message)
    assert b"with UTF8SMTPS" in found


def test_who_is_unknown_there_bounces_from_there(pair):
    """With the sender's wishes: he gets a report, at a mailbox of this node."""
    with pair.a.lane("@b") as lane:
        assert lane.send(MESSAGE, "nobody@example.test", sender=ALICE,
                         dsn=" ENVID=mine")[0][0] == "K"
    report, = pair.node.wait_messages("alice", 1)
    assert b"Original-Envelope-Id: mine" in report
    assert b"nobody@example.test" in report
