# SPDX-License-Identifier: ISC
"""The bytes of messages: what ends them, what is stored, what is refused."""
import re
import smtplib
import time

import pytest

from node import wait_until
from smtp_peer import shared_node, smtpd


UUID = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 2) as made:
        yield made


class Inbox:
    """What arrived for a user since the last look, without added fields."""

    def __init__(self, node, user="alice"):
        self.node, self.user = node, user
        self.seen = set(node.messages(user))

    def take(self, count=1):
        def new():
            return [file for file in self.node.messages(self.user)
                    if file not in self.seen]

        wait_until(lambda: len(new()) >= count,
                   lambda: f"{count} messages\n{self.node.logs()}")
        files = new()
        assert len(files) == count
        self.seen.update(files)
        return [strip_fields(file.read_bytes()) for file in files]


def strip_fields(message):
    """Without Return-Path, Delivered-To and our Received."""
    match = re.match(rb"(?:Return-Path: [^\n]*\n|Delivered-To: [^\n]*\n)*"
                     rb"Received: [^\n]*\n  by [^\n]*\n  id [^\n]*\n", message)
    assert match, message
    return message[match.end():]


@pytest.fixture
def inbox(node):
    return Inbox(node)


@pytest.mark.parametrize("sent, stored", [
    (b"Subject: x\r\n\r\nhello\r\n", b"Subject: x\n\nhello\n"),
    (b"", b""),
    (b"..\r\n...x\r\n.y\r\n", b".\n..x\ny\n"),
    (b"\0nul\0\r\n", b"\0nul\0\n"),
    (b"x" * 200000 + b"\r\n", b"x" * 200000 + b"\n"),
    (bytes(range(14, 256)) + b"\r\n", bytes(range(14, 256)) + b"\n"),
    (b"a\rb\r\r\n", b"a\rb\r\n"),
    (b"line\r\n" * 100000, b"line\n" * 100000),
], ids=["plain", "empty", "dots", "nul", "long line", "8bit", "cr", "many"])
def test_what_is_sent_is_what_is_stored(client, inbox, sent, stored):
    client.begin()
    assert client.data(sent + b".\r\n").code == 250
    assert inbox.take() == [stored]


def test_smtplib_sends_a_message(node, server, inbox):
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.sendmail("a@b.example", ["alice@example.test"],
                        "Subject: x\n\n.\n..\nend\n")
    assert inbox.take() == [b"Subject: x\n\n.\n..\nend\n"]


# Ends that are none (SMTP smuggling), each followed by commands.
SMUGGLED = b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<alice@example.test>\r\n"
ENDS = {
    "LF.LF": b"\n.\n", "LF.CRLF": b"\n.\r\n", "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r", "CR.CRLF": b"\r.\r\n", "CRLF.CR": b"\r\n.\r",
    "CRCRLF.CRCRLF": b"\r\r\n.\r\r\n", "LFLF.CRLF": b"\n\n.\r\n",
    "LFCR.CRLF": b"\n\r.\r\n", "NUL.CRLF": b"\0.\r\n",
    "CRLF.NULCRLF": b"\r\n.\0\r\n", "CRLF.SPCRLF": b"\r\n. \r\n",
}


@pytest.mark.parametrize("name", ENDS)
def test_only_crlf_dot_crlf_ends_a_message(client, inbox, name):
    has_bare_lf = re.search(rb"(?<!\r)\n", ENDS[name]) is not None
    client.begin()
    assert client.say("DATA").code == 354
    client.write(b"first" + ENDS[name] + SMUGGLED + b"\r\n.\r\nNOOP\r\n")
    reply = client.read()
    assert client.read().code == 250  # NOOP: nothing between
    if has_bare_lf:
        assert str(reply) == "554 5.6.0 Sorry, I received Bare LF. (#5.6.0)"
        assert client.say("MAIL FROM:<>").code == 250
    else:
        assert reply.code == 250
        assert SMUGGLED.replace(b"\r\n", b"\n") in inbox.take()[0]


def test_an_end_may_be_cut_anywhere(client, inbox):
    client.hello()
    message = b"a\r\n..\r\n.\r\n"
    for cut in range(1, len(message)):
        client.ok("MAIL FROM:<a@b>")
        client.ok("RCPT TO:<alice@example.test>")
        client.ok("DATA")
        client.write(message[:cut])
        time.sleep(0.01)
        client.write(message[cut:])
        assert client.read().code == 250
        assert inbox.take() == [b"a\n.\n"]


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n"])
def test_a_client_of_bare_lfs_gets_an_answer(client, end):
    """It waits for one, so the session is ended, not the message."""
    client.begin()
    assert client.data(b"Subject: x\n\nhello" + end).code == 554
    assert client.is_closed()


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n"])
def test_commands_after_a_false_end_are_never_obeyed(client, inbox, end):
    """Even when they come late, so that the end looks like one."""
    client.begin()
    assert client.data(b"first\nx" + end).code == 554
    try:
        client.write(SMUGGLED + b"DATA\r\nevil\r\n.\r\nQUIT\r\n")
    except OSError:
        pass
    assert client.is_closed()
    with inbox.node.smtp() as honest:
        honest.sendmail("a@b.example", ["alice@example.test"], "honest\n")
    assert inbox.take() == [b"honest\n"]


def test_allow_barelf_keeps_them_as_content(node, inbox):
    with smtpd(node, ALLOW_BARELF="1") as server, server.client() as client:
        client.begin()
        assert client.data(b"a\n.\nb\n.\r\nc\r\n.\nd\r\n.\r\n").code == 250
        assert inbox.take() == [b"a\n.\nb\n.\nc\n\nd\n"]


def test_chunks(client, inbox):
    client.begin()
    client.write(b"BDAT 6\r\n.\r\na\r\nBDAT 0\r\nBDAT 2\r\n\n.BDAT 3 LAST\r\n\r\nx")
    # The second chunk begins with a bare LF: a\r\n came whole before.
    assert [client.read().code for _ in range(4)] == [250, 250, 554, 554]
    client.begin()
    client.write(b"BDAT 4\r\n.\r\naBDAT 0\r\nBDAT 1\r\n\rBDAT 5 LAST\r\n\n.\r\nx")
    replies = [client.read() for _ in range(4)]
    assert [reply.code for reply in replies] == [250] * 4
    assert replies[0].text == "2.0.0 ok 4 octets received"
    assert re.fullmatch(r"2\.0\.0 ok \d+ qp \d+", replies[3].text)
    assert inbox.take() == [b".\na\n.\nx"]


def test_chunks_out_of_order(client, inbox):
    """A chunk that cannot be taken is taken off the input all the same."""
    client.write(b"BDAT 12\r\nQUIT\r\nQUIT\r\nNOOP\r\n")
    assert [client.read().code for _ in range(2)] == [503, 250]
    client.hello()
    client.write(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    assert [client.read().code for _ in range(2)] == [503, 250]
    client.ok("MAIL FROM:<a@b>")
    client.write(b"BDAT 6\r\nQUIT\r\nNOOP\r\n")
    assert [client.read().code for _ in range(2)] == [503, 250]
    client.ok("RCPT TO:<alice@example.test>")
    client.write(b"BDAT 3\r\na\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.test>"
                 b"\r\nDATA\r\nBDAT 3 LAST\r\nb\r\n")
    assert [client.read().code for _ in range(5)] == [250, 503, 503, 503, 250]
    assert inbox.take() == [b"a\nb\n"]
    client.begin()
    client.write(b"BDAT 3\r\na\r\nRSET\r\nBDAT 3 LAST\r\nb\r\n")
    assert [client.read().code for _ in range(3)] == [250, 250, 503]


def test_databytes(node, inbox):
    with smtpd(node, DATABYTES="1000") as server, server.client() as client:
        assert "SIZE 1000" in str(client.hello())
        assert client.say("MAIL FROM:<a@b> SIZE=1001").code == 552
        assert client.say("MAIL FROM:<a@b> SIZE=99999999999999999999").code == 552
        client.ok("MAIL FROM:<a@b> SIZE=1000")
        client.ok("RCPT TO:<alice@example.test>")
        reply = client.data(b"x" * 1000 + b"\r\n.\r\n")
        assert str(reply) == ("552 5.3.4 sorry, that message size exceeds my "
                              "databytes limit (#5.3.4)")
        server.wait_log("data size exceeded: MAIL from <a@b> Size: 1001 "
                        "limit: 1000\n")
        server.wait_log("data size exceeded: MAIL from <a@b> Size: 1002 "
                        "limit: 1000\n")
        # RFC 1870: CRLF is two octets, in DATA as for SIZE
        client.begin()
        assert client.data(b"x\r\n" * 333 + b"\r\n.\r\n").code == 552
        client.begin()
        assert client.data(b"x\r\n" * 332 + b"..\r\n.\r\n").code == 250
        assert inbox.take() == [b"x\n" * 332 + b".\n"]
        client.begin()
        assert client.data(b"x" * 998 + b"\r\n.\r\n").code == 250
        assert inbox.take() == [b"x" * 998 + b"\n"]
        client.begin()
        client.write(b"BDAT 600\r\n" + b"x" * 600 + b"BDAT 600\r\n" +
                     b"y" * 600 + b"BDAT 0 LAST\r\n")
        assert [client.read().code for _ in range(3)] == [250, 552, 552]


def test_maxhops(node, client, inbox):
    (node.control / "maxhops").write_text("5\n")
    try:
        with smtpd(node) as server, server.client() as strict:
            strict.begin()
            assert strict.data(b"Received: x\r\nDelivered-To: y\r\n" * 2 +
                               b"\r\nReceived: z\r\n.\r\n").code == 250
            inbox.take()
            strict.begin()
            reply = strict.data(b"Received: x\r\nDelivered-To: y\r\n" * 2 +
                                b"rECEIVED: z\r\n\r\n.\r\n")
            assert str(reply) == ("554 5.4.6 too many hops, this message is "
                                  "looping (#5.4.6)")
    finally:
        (node.control / "maxhops").unlink()


def received(node, user="alice"):
    """The newest message's Received field, on one line."""
    newest = max(node.messages(user), key=lambda file: file.stat().st_mtime_ns)
    text = newest.read_bytes().decode()
    return re.search(r"^Received: .*(?:\n[ \t].*)*", text, re.M)[0]


def test_received_and_log_tell_the_same(node, server, client, inbox):
    client.begin()
    reply = client.data(b"x\r\n.\r\n")
    qp = re.search(r"ok \d+ qp (\d+)", reply.text)[1]
    inbox.take()
    field = received(node)
    assert re.fullmatch(
        r"Received: from unknown \(HELO client\.example\.net\) "
        r"\(127\.0\.0\.1\)\n  by mail\.example\.test with ESMTP\n"
        rf"  id {UUID}; \w+, \d+ \w+ \d+ [\d:]+ \+0000", field)
    ident = re.search(UUID, field)[0]
    line = server.wait_log(rf".* qp {qp} id {ident} .*\n")[0]
    # smtp-matchup's positions, behind multilog's timestamp
    words = ("@t " + line).split()
    assert words[1:3] == ["qmail-smtpd:", "pid"]
    assert words[4:6] == ["from", "127.0.0.1"]
    assert words[6:13] == ["HELO", "<client.example.net>", "MAIL", "from",
                           "<sender@example.net>", "RCPT",
                           "<alice@example.test>"]
    assert words[13:] == ["AUTH", "<local-rcpt>", "Size:", "2", "TLS=No",
                          "qp", qp, "id", ident, *words[-4:]]
    # And the queue's log goes on with its name, and with the UUID.
    _, name, _, number = words[-4:]
    assert words[-4:] == ["queue", name, "msg", number]
    wait_until(lambda: re.search(
        rf"info msg {number}: .* qp {qp} .*{ident}", node.log(name)),
        lambda: f"the log of {name}\n{node.log(name)}")


def test_received_of_helo_and_of_utf8(node, client, inbox):
    client.begin(verb="HELO")
    assert client.data(b"x\r\n.\r\n").code == 250
    inbox.take()
    assert "by mail.example.test with SMTP\n" in received(node)
    client.hello()
    client.ok("MAIL FROM:<j\xfc@b> SMTPUTF8 BODY=8BITMIME")
    client.ok("RCPT TO:<alice@example.test>")
    assert client.data("\xfc\r\n.\r\n").code == 250
    assert inbox.take() == ["\xfc\n".encode()]
    assert "by mail.example.test with UTF8SMTP\n" in received(node)


def test_a_hostile_helo_does_not_leave_its_field(node, client, inbox):
    client.ok('EHLO x)\t(y "<>; ' + "z" * 900)
    client.ok("MAIL FROM:<a@b>")
    client.ok("RCPT TO:<alice@example.test>")
    assert client.data(b"x\r\n.\r\n").code == 250
    inbox.take()
    field = received(node)
    assert "(HELO x???y??????z" in field
    assert all(len(line) < 400 for line in field.split("\n"))


def test_a_client_that_vanishes_leaves_nothing(node, server, inbox):
    for data in [b"half a mess", b"x\r\n.", b"x\r\n.\r", b""]:
        with server.client() as client:
            client.begin()
            client.ok("DATA")
            client.write(data)
    for chunk in [b"BDAT 10\r\nshort", b"BDAT 3\r\na\r\n"]:
        with server.client() as client:
            client.begin()
            client.write(chunk)
    server.wait_log(r"(?s)(client went away inside a transaction.*){6}")
    with server.client() as client:
        client.begin()
        assert client.data(b"whole\r\n.\r\n").code == 250
    assert inbox.take() == [b"whole\n"]
    node.wait_empty()


def test_several_messages_in_one_session(client, inbox):
    client.hello()
    for number in range(20):
        client.write("MAIL FROM:<a@b>\r\nRCPT TO:<alice@example.test>\r\n"
                     "DATA\r\n")
        assert [client.read().code for _ in range(3)] == [250, 250, 354]
        client.write(f"{number}\r\n.\r\n")
        assert client.read().code == 250
    assert sorted(inbox.take(20)) == sorted(
        f"{number}\n".encode() for number in range(20))


def test_many_recipients_are_all_delivered(node, client, inbox):
    bob = Inbox(node, "bob")
    client.begin("alice@example.test", "bob@EXAMPLE.test")
    assert client.data(b"both\r\n.\r\n").code == 250
    assert inbox.take() == [b"both\n"] and bob.take() == [b"both\n"]
