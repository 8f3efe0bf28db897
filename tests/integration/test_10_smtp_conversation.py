# SPDX-License-Identifier: ISC
"""Replies of qmail-smtpd to every verb: as it should be, and malformed."""
import re

import pytest

from smtp_peer import Client, shared_node, smtpd


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        yield made


def test_ehlo_offers_the_extensions(client):
    lines = client.hello().lines
    assert lines[0] == "250-mail.example.test"
    assert {line[4:] for line in lines[1:]} == {
        "PIPELINING", "8BITMIME", "SIZE 0", "STARTTLS", "DSN", "SMTPUTF8",
        "CHUNKING", "ENHANCEDSTATUSCODES", "HELP", "AUTH PLAIN LOGIN"}


def test_replies_after_ehlo_have_enhanced_status(client):
    client.hello()
    assert str(client.say("MAIL FROM:<a@b.example>")) == "250 2.1.0 ok"
    assert str(client.say("RCPT TO:<a@b.example>")) == (
        "553 5.7.1 sorry, that domain isn't in my list of allowed rcpthosts "
        "(#5.7.1)")
    assert str(client.say("RCPT TO:<alice@example.test>")) == "250 2.1.5 ok"
    reply = client.data("x\r\n.\r\n")
    assert re.fullmatch(r"250 2\.0\.0 ok \d+ qp \d+", str(reply))


def test_replies_after_helo_are_qmails(client):
    assert str(client.say("HELO x.example")) == "250 mail.example.test"
    for line, reply in [
            ("MAIL FROM:<a@b.example>", "250 ok"),
            ("RCPT TO:<a@b.example>", "553 sorry, that domain isn't in my "
             "list of allowed rcpthosts (#5.7.1)"),
            ("DATA", "503 RCPT first (#5.5.1)"),
            ("RCPT TO:<alice@example.test>", "250 ok"),
            ("RSET", "250 flushed"),
            ("RCPT TO:<alice@example.test>", "503 MAIL first (#5.5.1)"),
            ("DATA", "503 MAIL first (#5.5.1)"),
            ("MAIL FROM:<a b>", "555 syntax error in address (#5.1.3)"),
            ("VRFY alice", "252 Cannot VRFY user, but will accept message "
             "and attempt delivery (#2.7.0)"),
            ("NOOP", "250 ok"),
            ("MAIL FROM:<a@b.example>", "250 ok"),
            ("RCPT TO:<alice@example.test>", "250 ok"),
            ("DATA", "354 go ahead")]:
        assert str(client.say(line)) == reply, line
    client.write(".\r\n")
    assert re.fullmatch(r"250 ok \d+ qp \d+", str(client.read()))
    assert str(client.say("QUIT")) == "221 mail.example.test"
    assert client.is_closed()


def test_enhanced_status_can_be_turned_off(node):
    with smtpd(node, DISABLE_ENHANCEDSTATUSCODES="") as server:
        with server.client() as client:
            assert "ENHANCEDSTATUSCODES" not in str(client.hello())
            assert str(client.say("MAIL FROM:<a@b.example>")) == "250 ok"


HELLO = "EHLO client.example.net"
MAIL = "MAIL FROM:<a@b.example>"
RCPT = "RCPT TO:<alice@example.test>"


@pytest.mark.parametrize("before, line, code", [
    ([], "", 500),
    ([], " ", 500),
    ([], b"\x00", 500),
    ([], b"EHLO a\x00b", 500),
    ([], b"\x16\x03\x01\x02\x00\x01\x00", 500),
    ([], "FOO", 502),
    ([], "FOO bar", 502),
    ([], "LHLO x", 502),
    ([], "HELO", 501),
    ([], "EHLO", 501),
    ([], "EHLO [127.0.0.1]", 250),
    ([], "EHLO " + "x" * 900, 250),
    ([], "EHLO \xff\xfe", 250),
    ([], MAIL, 503),
    ([], RCPT, 503),
    ([], "DATA", 503),
    ([HELLO], "STARTTLS x", 501),
    ([HELLO], "MAIL", 501),
    ([HELLO], "MAIL <a@b>", 555),
    ([HELLO], "MAIL FROM", 555),
    ([HELLO], "MAIL FROM:", 555),
    ([HELLO], "MAIL FROM:<", 555),
    ([HELLO], "MAIL FROM:<a@b", 555),
    ([HELLO], "MAIL FROM:a b", 555),
    ([HELLO], "MAIL FROM:<a@b>x", 555),
    ([HELLO], b"MAIL FROM:<a\xff@b>", 555),
    ([HELLO], "MAIL FROM:<a@" + "b" * 64 + ">", 555),
    ([HELLO], "MAIL FROM:<" + "a" * 300 + "@b>", 501),
    ([HELLO], "MAIL FROM:<> SIZE=x", 501),
    ([HELLO], "MAIL FROM:<> SIZE", 501),
    ([HELLO], "MAIL FROM:<> SIZE=1 SIZE=1", 501),
    ([HELLO], "MAIL FROM:<> BODY=BINARYMIME", 555),
    ([HELLO], "MAIL FROM:<> FOO=BAR", 555),
    ([HELLO], "MAIL FROM:<> AUTH=<>", 250),
    ([HELLO], "MAIL FROM:<j\xfc@b>", 553),
    ([HELLO], "MAIL FROM:<j\xfc@b> SMTPUTF8", 250),
    (["HELO x"], "MAIL FROM:<a@b> SIZE=1", 555),
    ([HELLO], "MAIL FROM: <a@b>", 250),
    ([HELLO], "mail from:a@b", 250),
    ([HELLO], "MAIL FROM:<>", 250),
    ([HELLO, MAIL], MAIL, 503),
    ([HELLO, MAIL], "RCPT", 501),
    ([HELLO, MAIL], "RCPT FROM:<a@b>", 555),
    ([HELLO, MAIL], "RCPT TO:<>", 555),
    ([HELLO, MAIL], "RCPT TO:<alice>", 555),
    ([HELLO, MAIL], "RCPT TO:<@example.test>", 555),
    ([HELLO, MAIL], "RCPT TO:<alice@example.test> NOTIFY=NEVER,DELAY", 501),
    ([HELLO, MAIL], "RCPT TO:<alice@example.test> <", 501),
    ([HELLO, MAIL], "RCPT TO:<\xfc@example.test>", 553),
    ([HELLO, MAIL], "RCPT TO:<@x.example:alice@example.test>", 250),
    ([HELLO, MAIL], 'RCPT TO:<"alice"@example.test>', 250),
    ([HELLO, MAIL], "RCPT TO:<Postmaster>", 250),
    ([HELLO, MAIL], "RCPT TO:<postmaster@example.test>", 250),
    ([HELLO, MAIL], "DATA", 503),
    ([HELLO, MAIL, RCPT], "DATA x", 501),
    ([HELLO], "BDAT 0", 503),
    ([HELLO, MAIL], "BDAT 0 LAST", 503),
    ([HELLO, MAIL, RCPT], "BDAT 0 LAST", 250),
    ([], "RSET x", 501),
    ([], "RSET", 250),
    ([], "NOOP x y", 250),
    ([], "VRFY", 501),
    ([], "VRFY x", 252),
    ([], "HELP", 214),
    ([], "HELP MAIL", 214),
    ([], "EXPN x", 502),
    ([], "TURN", 502),
    ([], "ETRN x", 502),
    ([], "SEND FROM:<a@b>", 502),
    ([], "AUTH PLAIN", 503),
    ([], "QUIT x", 501),
    ([], "QUIT", 221),
])
def test_verbs(client, before, line, code):
    for command in before:
        client.ok(command)
    reply = client.say(line)
    assert reply.code == code, reply
    if code != 221:  # whatever it was, the session goes on
        assert client.say("NOOP").code == 250


@pytest.mark.parametrize("chunk", ["", "x", "-1", "1 FIRST", "1LAST", "1 LAST x",
                                   "99999999999999999999"])
def test_a_malformed_bdat_ends_the_session(client, chunk):
    """What follows it would be taken for commands."""
    client.begin()
    client.write(f"BDAT {chunk}\r\nRSET\r\n")
    assert client.read().code == 501
    assert client.is_closed()


def test_no_reply_echoes_raw_bytes(client):
    client.hello()
    client.ok("MAIL FROM:<j\xfc@b.example> SMTPUTF8")
    for address in ["\xfc@example.test", '"a\\>b c"@example.test',
                    '"' + "x" * 200 + ' "@example.test', "x" * 230 + "@example.test"]:
        reply = client.say(f"RCPT TO:<{address}>")
        assert reply.code == 550
        assert "is absent on this domain (#5.1.1)" in reply.text
    assert "x" * 230 in reply.text  # plain, so it is shown


def test_a_command_that_is_too_long(client):
    client.hello()
    reply = client.say("NOOP " + "x" * 993)
    assert reply.code == 250
    reply = client.say("NOOP " + "x" * 994)
    assert reply.code == 553
    assert "the given command is too long! (#5.5.2)" in reply.text
    reply = client.say(b"NOOP \0" + b"x" * 1000000 + b"RSET")
    assert reply.code == 553
    assert client.say("NOOP").code == 250


def test_too_many_errors_end_the_session(client):
    for _ in range(19):
        assert client.say("FOO").code == 502
    assert client.say("FOO").code == 502
    assert client.read().code == 421
    assert client.is_closed()


def test_smtpgreeting_of_several_lines(node):
    file = node.control / "smtpgreeting"
    file.write_text("mx.example.test welcomes you\nno spam, please\n")
    try:
        with smtpd(node) as server:
            with server.client(greet=False) as client:
                assert str(client.read()).split("\n") == [
                    "220-mx.example.test welcomes you ESMTP",
                    "220 no spam, please"]
                reply = client.hello()
                assert reply.lines[0] == "250-mx.example.test welcomes you"
    finally:
        file.unlink()


def test_pipelined_commands_get_their_replies_in_order(client):
    client.write("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@y.example>\r\n"
                 "RCPT TO:<alice@example.test>\r\nDATA\r\n")
    assert [client.read().code for _ in range(5)] == [250, 250, 553, 250, 354]
    client.write("a\r\n.\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n")
    assert [client.read().code for _ in range(4)] == [250, 250, 250, 221]
    assert client.is_closed()


def test_replies_to_pipelined_commands_come_in_one_piece(client):
    client.hello()
    client.write("MAIL FROM:<a@b>\r\n" + "RCPT TO:<alice@example.test>\r\n" * 50)
    first = client.socket.recv(65536)
    assert first.count(b"\r\n") == 51


def test_bytes_one_by_one(client):
    for byte in b"EHLO x\r\nNOOP\r\n":
        client.write(bytes([byte]))
    assert client.read().code == 250
    assert client.read().code == 250


def test_bare_lf_ends_a_command_as_in_qmail(client):
    client.write("EHLO x\nNOOP\n")
    assert client.read().code == 250
    assert client.read().code == 250


def test_lmtp(node):
    with smtpd(node, "--lmtp") as server:
        with Client(server.port, greet=False) as client:
            assert client.read().lines == ["220 mail.example.test LMTP"]
            for line in ["EHLO x", "HELO x", "HELO"]:
                assert str(client.say(line)) == (
                    "502 this is LMTP, please say LHLO (#5.5.1)")
            for line in [MAIL, "BDAT 0"]:
                assert "LHLO" in str(client.say(line))
            assert "EHLO" not in str(client.say("HELP"))
            client.hello("LHLO")
            client.ok(MAIL)
            client.ok("RCPT TO:<alice@example.test>")
            assert client.say("RCPT TO:<nobody@example.test>").code == 550
            client.ok("RCPT TO:<bob@example.test>")
            assert client.say("DATA").code == 354
            client.write("LMTP\r\n.\r\n")
            assert [client.read().code for _ in range(2)] == [250, 250]
            # RFC 2033 4.2, 4.3: what is refused has as many replies, and
            # does so when it was refused at an earlier chunk
            client.ok(MAIL)
            client.ok("RCPT TO:<alice@example.test>")
            client.ok("RCPT TO:<bob@example.test>")
            client.write("BDAT 4\r\na\nb\nBDAT 0 LAST\r\n")
            assert [client.read().code for _ in range(3)] == [554] * 3
            client.write("MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\n"
                         "RCPT TO:<bob@example.test>\r\nDATA\r\n"
                         "a\nb\r\n.\r\nNOOP\r\n")
            assert [client.read().code for _ in range(7)] == [
                250, 250, 250, 354, 554, 554, 250]
    bodies = [message.split(b"\n\n")[-1] for message in
              node.wait_messages("bob", 1)]
    assert bodies[0].endswith(b"LMTP\n")
