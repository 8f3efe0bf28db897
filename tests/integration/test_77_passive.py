# SPDX-License-Identifier: ISC
"""QMTP and QMQP: the servers, and the product's own clients with them."""
import os
import re
import socket
import subprocess
import time

import pytest

import ports
from node import BIN, SLOW, wait_until
from remote_peer import Link as RemoteLink
from remote_peer import Peer, make_home, send
from smtp_peer import shared_node, smtpd


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        yield made


def netstring(data):
    data = data if isinstance(data, bytes) else data.encode()
    return b"%d:%s," % (len(data), data)


def package(message, *recipients, sender="s@example.net"):
    return (netstring(message) + netstring(sender) +
            netstring(b"".join(map(netstring, recipients))))


def qmqp(message, *recipients, sender="s@example.net"):
    return netstring(netstring(message) + netstring(sender) +
                     b"".join(map(netstring, recipients)))


def arrived(node, user, text):
    """Waits for a message that has it; gives it."""
    def found():
        return [message for message in (path.read_bytes() for path in
                                        node.messages(user))
                if text in message]
    return wait_until(found, lambda: f"{text} for {user}\n{node.logs()}")[0]


class Link:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port),
                                               timeout=30 * SLOW)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def write(self, data):
        self.socket.sendall(data)

    def answer(self):
        length = b""
        while not length.endswith(b":"):
            byte = self.file.read(1)
            assert byte, f"closed after {length}"
            length += byte
        text = self.file.read(int(length[:-1]) + 1)
        assert text.endswith(b","), text
        return text[:-1].decode()

    def is_closed(self):
        return self.file.read() == b""


# -- QMTP

def test_a_package(node):
    """Both kinds of line ends; the next package follows without waiting."""
    with smtpd(node, "--qmtp") as server, Link(server.port) as link:
        link.write(package("\nSubject: lf\n\nx\n", "alice@example.test") +
                   package("\rSubject: crlf\r\n\r\ny\r\n",
                           "alice@example.test", sender=""))
        for _ in range(2):
            assert re.fullmatch(r"Kok \d+ qp \d+", link.answer())
    message = arrived(node, "alice", b"\nSubject: lf\n\nx\n")
    assert b" with QMTP\n" in message
    arrived(node, "alice", b"\nSubject: crlf\n\ny\n")
    assert re.search(r"qmail-qmtpd: pid \d+ from 127.0.0.1  HELO <> MAIL from "
                     r"<s@example.net> RCPT <alice@example.test>", server.log)


def test_each_recipient_has_an_answer(node):
    with smtpd(node, "--qmtp", RELAYCLIENT=None) as server, \
            Link(server.port) as link:
        link.write(package(
            "\nx\n", "nobody@example.test", "alice@example.test",
            "x@elsewhere.example", "two words@", "", "bob@example.test"))
        answers = [link.answer() for _ in range(6)]
    assert [answer[0] for answer in answers] == list("DKDDDK")
    assert "#5.1.1" in answers[0] and "#5.7.1" in answers[2]
    assert answers[1] == answers[5]


def test_relay(node):
    with smtpd(node, "--qmtp", RELAYCLIENT="", NULLQUEUE="1") as server, \
            Link(server.port) as link:
        link.write(package("\nx\n", "x@elsewhere.example"))
        assert link.answer()[0] == "K"


@pytest.mark.parametrize("message, env, status", [
    ("\n" + "x" * 101 + "\n", {"DATABYTES": 100}, "#5.3.4"),
    ("\n" + "Received: x\n" * 101 + "\n", {}, "#5.4.6"),
    ("\nx\n", {"QMAILQUEUE": "/nonexistent"}, "#4.3.0"),
])
def test_refused_for_all(node, message, env, status):
    """... and the session goes on."""
    with smtpd(node, "--qmtp", **env) as server, Link(server.port) as link:
        for _ in range(2):
            link.write(package(message, "alice@example.test",
                               "bob@example.test", "no@where.example"))
            answers = [link.answer() for _ in range(3)]
            letter = "Z" if status.startswith("#4") else "D"
            assert [each[0] for each in answers[:2]] == [letter] * 2
            assert status in answers[0]


def test_a_bad_sender(node):
    with smtpd(node, "--qmtp") as server, Link(server.port) as link:
        link.write(package("\nx\n", "alice@example.test", sender="a@b\n"))
        assert link.answer().startswith("Dsyntax error")


def test_many_bad_recipients_are_all_answered(node):
    """The session ends behind the package, which is not sent again so."""
    with smtpd(node, "--qmtp") as server, Link(server.port) as link:
        link.write(package("\nx\n", *[f"no{i}@example.test"
                                      for i in range(150)],
                           "alice@example.test"))
        letters = [link.answer()[0] for _ in range(151)]
        assert letters == ["D"] * 150 + ["K"]
        assert link.is_closed()


@pytest.mark.parametrize("bytes_", [
    b"hello", b"EHLO x\r\n", b"0:,", b"3:xx\n,", b"01:\n,", b"2:\nx;",
    b"3:\nx\n,9999999999:", b"3:\nx\n,0:,5:9:abc,", b"99999999999999999999:"])
def test_no_package(node, bytes_):
    with smtpd(node, "--qmtp") as server:
        with Link(server.port) as link:
            link.write(bytes_)
            assert link.is_closed()


def test_a_package_cut_off(node):
    """What never ended is not queued."""
    whole = package("\nSubject: cut\n\nx\n", "alice@example.test")
    with smtpd(node, "--qmtp") as server:
        for length in range(1, len(whole)):
            with Link(server.port) as link:
                link.write(whole[:length])
                link.socket.shutdown(socket.SHUT_WR)
                assert link.is_closed()
    assert "RCPT <alice" not in server.log


def test_on_descriptors(node):
    """Under tcpserver; a program of its own name."""
    done = subprocess.run(
        [BIN / "qmail-qmtpd"], input=package("\nx\n", "alice@example.test"),
        env={**node.environment(), "TCPREMOTEIP": "192.0.2.1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * SLOW)
    assert re.fullmatch(rb"\d+:Kok \d+ qp \d+,", done.stdout), done


@pytest.mark.parametrize("program, option", [
    ("qmail-qmtpd", "--qmqp"), ("qmail-qmqpd", "--lmtp"),
    ("qmail-qmtpd", "--submission"), ("qmail-qmqpd", "x")])
def test_a_name_is_a_protocol(node, program, option):
    done = node.run(program, option, code=100)
    assert done.stderr.startswith(f"{program}: fatal: ")
    assert f"usage: {program}" in done.stderr


def test_qmail_remote_and_our_server(node, tmp_path):
    with smtpd(node, "--qmtp") as server:
        report = send(make_home(tmp_path), server.port,
                      b"Subject: transport\n\nx\n", variable="QMTPROUTE",
                      recipients=["alice@example.test", "no@example.test"])
    assert report.letters == "rhK"
    assert "#5.1.1" in report.recipients[1]
    arrived(node, "alice", b"Subject: transport\n")


# -- QMQP

def test_qmqp(node):
    """One answer, one message a connection; absent users bounce later."""
    with smtpd(node, "--qmqp", RELAYCLIENT="") as server, \
            Link(server.port) as link:
        link.write(qmqp("Subject: q\n\nx\n", "alice@example.test",
                        "nobody@example.test", sender="bob@example.test"))
        assert re.fullmatch(r"Kok \d+ qp \d+", link.answer())
        assert link.is_closed()
    assert b" with QMQP\n" in arrived(node, "alice", b"Subject: q\n")


@pytest.mark.parametrize("relay, recipients, letter", [
    (None, ["alice@example.test"], "D"),  # no client of ours
    ("", ["alice@example.test", "x\ny@z"], "D"),
    ("", [], "D"),
])
def test_qmqp_refused(node, relay, recipients, letter):
    with smtpd(node, "--qmqp", RELAYCLIENT=relay) as server, \
            Link(server.port) as link:
        link.write(qmqp("x\n", *recipients))
        assert link.answer()[0] == letter
        assert link.is_closed()


@pytest.mark.parametrize("bytes_", [
    b"hello", b"0:,", b"5:2:xx,,", b"9:2:xx,0:,1,", b"8:20:xx,0:,"])
def test_no_qmqp(node, bytes_):
    with smtpd(node, "--qmqp", RELAYCLIENT="") as server, \
            Link(server.port) as link:
        link.write(bytes_)
        link.socket.shutdown(socket.SHUT_WR)
        assert link.is_closed()


def test_svctool_makes_the_listeners(node):
    """They have no greeting, and are up all the same."""
    port = ports.take(2)
    node.svctool("init", "--qmtp", f"127.0.0.1:{port}",
                 "--qmqp", f"127.0.0.1:{port + 1}")
    node.svctool("start")
    assert re.search(rf"qmail-smtpd\.{port} .*up",
                     node.svctool("status").stdout)
    with Link(port) as link:
        link.write(package("\nx\n", "bob@example.test"))
        assert link.answer()[0] == "K"
    with Link(port + 1) as link:
        link.write(qmqp("x\n", "bob@example.test"))
        assert link.answer()[0] in "KD"  # as the node's rules have it


# -- qmail-qmqpc

def qmqpc(node, *servers, message=b"Subject: c\n\nx\n",
          envelope=b"Fs@example.net\0Talice@example.test\0\0", **env):
    """Its exit code; the envelope comes by descriptor 1."""
    (node.control / "qmqpservers").write_text(
        "".join(f"{server}\n" for server in servers))
    read, write = os.pipe()
    os.write(write, envelope)
    os.close(write)
    try:
        return subprocess.run(
            [BIN / "qmail-qmqpc"], input=message, stdout=read,
            env={**node.environment(), **env},
            stderr=subprocess.DEVNULL, timeout=120 * SLOW).returncode
    finally:
        os.close(read)
        (node.control / "qmqpservers").unlink()


def test_qmqpc(node):
    """A host that is down is passed over."""
    dead = ports.take()
    with smtpd(node, "--qmqp", RELAYCLIENT="") as server:
        assert qmqpc(node, f"127.0.0.1:{dead}", f"127.0.0.1:{server.port}",
                     message=b"Subject: from qmqpc\n\nx\n") == 0
        assert qmqpc(node, "127.0.0.1", PORT_QMQP=str(server.port)) == 0
    arrived(node, "alice", b"Subject: from qmqpc\n")


def test_qmqpc_refused(node):
    with smtpd(node, "--qmqp", RELAYCLIENT=None) as server:
        assert qmqpc(node, f"127.0.0.1:{server.port}") == 31
    with smtpd(node, "--qmqp", RELAYCLIENT="",
               QMAILQUEUE="/nonexistent") as server:
        assert qmqpc(node, f"127.0.0.1:{server.port}") == 71


def test_qmqpc_without_a_host(node):
    assert qmqpc(node) == 55
    assert qmqpc(node, "host.example") == 55
    assert qmqpc(node, f"127.0.0.1:{ports.take()}") == 56
    assert qmqpc(node, "127.0.0.1:1", envelope=b"what\0\0") == 79


@pytest.mark.parametrize("answer", [b"", b"3:Kok", b"3:Kok;", b"01:K,",
                                    b"9999:K", b"3:xok,"])
def test_qmqpc_nonsense(node, answer):
    """Never 0: the sender keeps the message."""
    def script(link):
        link.take_bytes(20)
        link.socket.sendall(answer)
        link.socket.shutdown(socket.SHUT_WR)
        link.at_end()
    with Peer(script) as peer:
        assert qmqpc(node, f"127.0.0.1:{peer.port}") == 74


def test_qmqpc_as_qmailqueue(node):
    """qmail-smtpd hands its mail on by QMQP."""
    with smtpd(node, "--qmqp", RELAYCLIENT="") as server:
        (node.control / "qmqpservers").write_text(
            f"127.0.0.1:{server.port}\n")
        try:
            with smtpd(node, QMAILQUEUE=BIN / "qmail-qmqpc") as front, \
                    front.client() as client:
                client.begin("alice@example.test")
                assert client.data("Subject: twice\r\n\r\nx\r\n.\r\n"
                                   ).code == 250
        finally:
            (node.control / "qmqpservers").unlink()
    arrived(node, "alice", b"Subject: twice\n")


# -- serialmail

def maildir_of(folder, *messages, prefix=""):
    """A Maildir with (sender, recipient, text) in it, the first the oldest."""
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i, (sender, recipient, text) in enumerate(messages):
        path = folder / ("cur" if i % 2 else "new") / f"{i}.x"
        path.write_text(f"Return-Path: <{sender}>\n"
                        f"Delivered-To: {prefix}{recipient}\n{text}")
        os.utime(path, (time.time() - 100 + i,) * 2)
    return folder


def files(folder):
    return sorted(path.name for part in ("new", "cur")
                  for path in (folder / part).iterdir())


def run(node, program, *arguments, **env):
    return subprocess.run(
        [BIN / program, *map(str, arguments)], stdout=subprocess.PIPE,
        env={**node.environment(), **env}, stderr=subprocess.PIPE, text=True,
        timeout=120 * SLOW)


def queue_stub(folder):
    """A QMAILQUEUE that keeps envelope and message."""
    path = folder / "queue-stub"
    path.write_text(f"#!/bin/sh\ncat > {folder}/bounce\n"
                    f"cat <&1 > {folder}/envelope\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("protocol", ["smtp", "qmtp"])
def test_maildir_to_our_server(node, tmp_path, protocol):
    """One connection; delivered goes, another prefix stays."""
    box = maildir_of(
        tmp_path / "m", ("s@example.net", "alice@example.test",
                         f"Subject: first {protocol}\n\nx\n"),
        ("", "bob@example.test", f"Subject: second {protocol}\n\n.x\n"),
        prefix="isp-")
    (box / "new/other").write_text(
        "Return-Path: <>\nDelivered-To: else-a@b\n\n")
    (box / "new/bare").write_text("Subject: none of ours\n\n")
    helo = ["me.example"] if protocol == "smtp" else []
    options = ["--qmtp"] if protocol == "qmtp" else []
    with smtpd(node, *options) as server:
        done = run(node, f"maildir{protocol}", box, "isp-",
                   f"127.0.0.1:{server.port}", *helo)
    assert done.returncode == 0, done.stderr
    assert files(box) == ["bare", "other"]
    assert server.log.count(" from 127.0.0.1\n") == 1
    message = arrived(node, "alice", f"Subject: first {protocol}\n".encode())
    assert b"Delivered-To: isp-" not in message
    assert b"\n.x\n" in arrived(
        node, "bob", f"Subject: second {protocol}\n".encode())


def test_maildirsmtp_failures(node, tmp_path):
    """For good: a bounce; for now: it stays."""
    box = maildir_of(
        tmp_path / "m", ("s@example.org", "bad@example.net", "a: b\n\nx\n"),
        ("s@example.org", "later@example.net", "a: b\n\ny\n"),
        ('"a b"@example.org', "good@example.net", "a: b\n\nz\n"))

    def script(link):
        link.hello()
        for answer in ("550 no such user", "450 not now", "250 ok"):
            link.take("MAIL", "250 ok")
            link.take("RCPT", answer)
            if answer.startswith("250"):
                link.take("DATA", "354 go")
                link.take_message("250 ok")
            else:
                link.take("RSET", "250 ok")
        link.at_end()
    with Peer(script) as peer:
        done = run(node, "maildirsmtp", box, "", f"127.0.0.1:{peer.port}",
                   "me.example", QMAILQUEUE=str(queue_stub(tmp_path)))
    assert done.returncode == 111, done.stderr
    assert files(box) == ["1.x"]
    assert "MAIL FROM:<\"a b\"@example.org>" in peer.links[0].commands
    assert (tmp_path / "envelope").read_bytes() == \
        b"F\0Ts@example.org\0\0"
    bounce = (tmp_path / "bounce").read_text()
    assert "<bad@example.net>:" in bounce and "no such user" in bounce
    assert "Status: 5." in bounce


def test_maildirsmtp_too_old(node, tmp_path):
    box = maildir_of(tmp_path / "m", ("", "old@example.net", "a: b\n\nx\n"))
    os.utime(box / "new/0.x", (1, 1))

    def script(link):
        link.say("220 x")
        link.take("EHLO", "250 x")
        link.take("MAIL", "450 not now")
        link.at_end()
    with Peer(script) as peer:
        done = run(node, "maildirsmtp", box, "", f"127.0.0.1:{peer.port}",
                   "me.example", QMAILQUEUE=str(queue_stub(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert files(box) == []
    assert (tmp_path / "envelope").read_bytes().startswith(
        b"F#@[]\0Tpostmaster@")


def test_a_bounce_that_cannot_be_queued_keeps_the_message(node, tmp_path):
    box = maildir_of(tmp_path / "m", ("s@x.example", "a@y.example", "a: b\n"))

    def script(link):
        link.hello()
        link.take("MAIL", "550 no")
        link.at_end()
    with Peer(script) as peer:
        done = run(node, "maildirsmtp", box, "", f"127.0.0.1:{peer.port}",
                   "me.example", QMAILQUEUE="/nonexistent")
    assert done.returncode == 111
    assert files(box) == ["0.x"]


def test_maildirsmtp_without_a_host(node, tmp_path):
    box = maildir_of(tmp_path / "m", ("s@x.example", "a@y.example", "a: b\n"))
    done = run(node, "maildirsmtp", box, "", f"127.0.0.1:{ports.take()}", "me")
    assert done.returncode == 111
    assert files(box) == ["0.x"]
    assert run(node, "maildirsmtp", tmp_path / "none", "", "127.0.0.1", "me"
               ).returncode == 111


def test_a_maildir_is_sent_once(node, tmp_path):
    """A second one does not begin while the first is at it."""
    box = maildir_of(tmp_path / "m", ("s@x.example", "a@y.example", "a: b\n"))
    seconds = []

    def script(link):
        link.hello()
        seconds.append(run(node, "maildirsmtp", box, "", "127.0.0.1:9", "me"))
        link.transaction()
        link.at_end()
    with Peer(script) as peer:
        done = run(node, "maildirsmtp", box, "", f"127.0.0.1:{peer.port}",
                   "me.example")
    assert done.returncode == 0, done.stderr
    assert seconds[0].returncode == 111 and "lock" in seconds[0].stderr


# tcpclient's part: a connection on descriptors 6 and 7.
CLIENT = """
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
os.dup2(s.fileno(), 6)
os.dup2(s.fileno(), 7)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("protocol", ["smtp", "qmtp"])
def test_maildirserial(node, tmp_path, protocol):
    box = maildir_of(
        tmp_path / "m", ("s@x.example", "alice@example.test",
                         f"Subject: serial {protocol}\n\nx\n"),
        ("s@x.example", "nobody@example.test", "a: b\n\nx\n"))
    helo = ["me.example"] if protocol == "smtp" else []
    options = ["--qmtp"] if protocol == "qmtp" else []
    with smtpd(node, *options) as server:
        done = run(node, "maildirserial", box, "", "/usr/bin/python3", "-c",
                   CLIENT, server.port, BIN / f"serial{protocol}", "", *helo)
    assert done.returncode == 111, done.stderr
    assert files(box) == ["1.x"]  # no -b: it stays
    assert "cur/1.x failed: MAIL from <s@x.example> RCPT" in done.stderr
    arrived(node, "alice", f"Subject: serial {protocol}\n".encode())


@pytest.mark.parametrize("client, left", [
    ("", ["0.x", "1.x"]),
    ("printf 'new/0.x\\0Kok\\n'; exit 1", ["1.x"]),
    ("printf 'new/0.x\\0Kok'", ["0.x", "1.x"]),  # cut short
    ("printf '../../etc/passwd\\0Kok\\n'", ["0.x", "1.x"]),
    ("printf 'new/0.x\\0?ok\\n'", ["0.x", "1.x"]),
    ("tr '\\0' '\\n' | while read n; do printf \"$n\\0Kok\\n\"; done", []),
])
def test_maildirserial_and_its_client(node, tmp_path, client, left):
    box = maildir_of(tmp_path / "m", ("s@x", "a@y", "a\n"), ("s@x", "b@y", ""))
    done = run(node, "maildirserial", box, "", "/bin/sh", "-c", client)
    assert files(box) == left, done.stderr
    assert done.returncode == (111 if left else 0)


# -- ETRN, ATRN

def with_etrn(node, *lines):
    (node.control / "etrnhosts").write_text("".join(f"{x}\n" for x in lines))
    return node.control / "etrnhosts"


def test_etrn(node, tmp_path):
    """The mail goes to the host, and the session goes on meanwhile."""
    box = maildir_of(tmp_path / "m",
                     ("s@x.example", "a@held.example", "a: b\n"),
                     ("s@x.example", "b@held.example", "a: b\n"))

    def script(link):
        link.hello()
        link.transaction()
        link.transaction()
        link.at_end()
    with Peer(script) as peer:
        setting = with_etrn(
            node, f"held.example 127.0.0.1 {box} - 127.0.0.1:{peer.port}")
        try:
            with smtpd(node) as server, server.client() as client:
                assert "ETRN" in client.hello().text.splitlines()
                assert "ETRN" in client.say("HELP").text.split()
                reply = client.say("ETRN Held.Example")
                assert (reply.code, "2 pending" in reply.text) == (253, True)
                assert client.say("NOOP").code == 250
                wait_until(lambda: files(box) == [], "it is sent")
                assert client.say("ETRN held.example").code == 251
                assert "ETRN <held.example> messages: 2" in server.wait_log(
                    "ETRN.*messages: 2 queues: 0\n")[0]
        finally:
            setting.unlink()
    assert len(peer.links) == 1


def test_etrn_has_queues_try_a_lane(node, tmp_path):
    """What rests goes out at once, whether there is a Maildir or not, and only
    for whom etrnhosts allows it."""
    port = ports.take()
    (node.control / "smtproutes").write_text(f":[127.0.0.1]:{port}\n")
    (node.control / "tcptopenalty").write_text("1\n")  # at once
    (node.control / "tlspolicy").write_text("*:none\n")  # no DNS is asked
    setting = with_etrn(node, "held.example 127.0.0.1 -",
                        f"both.example 127.0.0.1 {tmp_path}/none",
                        "other.example 192.0.2.1 -")
    services = [node.home / "service" / name for name in ("remote", "queue1")]
    hangup = ["/usr/bin/env", "svc", "-h", *services]
    before = node.log("remote").count("read again")
    node.run(*hangup)
    wait_until(lambda: node.log("remote").count("read again") > before, "HUP")
    try:
        names = ["held", "both", "other"]
        for name in names:
            assert node.inject(f"x@{name}.example") == 0
        wait_until(lambda: all(
            re.search(rf"lane {name}\.example: rests", node.log("queue1"))
            for name in names), lambda: "they rest\n" + node.logs() + node.svctool(
                       "queue", "destinations").stdout)
        wait_until(lambda: node.backlog() == 3, "they are kept")
        taken = []

        def script(link):
            link.hello()
            taken.append(link.transaction())
            link.at_end()
        with socket.create_server(("127.0.0.1", port)) as listener, \
                smtpd(node) as server, server.client() as client:
            listener.settimeout(60 * SLOW)
            client.hello()
            assert client.say("ETRN other.example").code == 459
            for name in ("held", "both"):
                reply = client.say(f"ETRN {name}.example")
                assert (reply.code, f"{name}.example started" in
                        reply.text) == (252, True)
                link, _ = listener.accept()
                link = RemoteLink(link)
                script(link)
                link.socket.close()
            wait_until(lambda: node.backlog() == 1, "two are sent")
            assert client.say("ETRN held.example").code == 251
        assert len(taken) == 2
        node.wait_log("queue1", "retry lane held.example by uid")
        assert "retry lane other.example" not in node.log("queue1")
        node.svctool("queue", "delete", "--all")
        node.wait_empty()
    finally:
        setting.unlink()
        (node.control / "smtproutes").unlink()
        node.run(*hangup)


def test_etrn_answers(node, tmp_path):
    setting = with_etrn(
        node, f"held.example 127.0.0.1 {tmp_path}/none",
        f"other.example 192.0.2.1 {tmp_path}/none")
    try:
        with smtpd(node) as server, server.client() as client:
            assert client.say("ETRN held.example").code == 503  # no hello
            client.hello()
            for line, code in [
                    ("ETRN", 501), ("ETRN a b", 501), ("ETRN <x>", 501),
                    ("ETRN held.example", 458), ("ETRN @held.example", 458),
                    ("ETRN #queue", 458), ("ETRN unknown.example", 459),
                    ("ETRN other.example", 459)]:
                assert client.say(line).code == code, line
            client.ok("MAIL FROM:<>")
            assert client.say("ETRN held.example").code == 503
    finally:
        setting.unlink()


def test_etrn_on_descriptors(node, tmp_path):
    """What goes on does not hold the client's connection."""
    box = maildir_of(tmp_path / "m", ("s@x.example", "a@held.example", "a\n"))
    done = []

    def script(link):
        link.hello()
        while not done:
            time.sleep(0.01)
        link.transaction()
        link.at_end()
    with Peer(script) as peer:
        setting = with_etrn(
            node, f"held.example 127.0.0.1 {box} - 127.0.0.1:{peer.port}")
        try:
            done.append(subprocess.run(
                [BIN / "qmail-smtpd"], stderr=subprocess.DEVNULL,
                input=b"EHLO x\r\nETRN held.example\r\nQUIT\r\n",
                env={**node.environment(), "TCPREMOTEIP": "127.0.0.1"},
                stdout=subprocess.PIPE, timeout=60 * SLOW).stdout)
        finally:
            setting.unlink()
            done.append(None)
        assert b"\r\n253 " in done[0]
        wait_until(lambda: files(box) == [], "it is sent")


def test_without_etrnhosts(node):
    with smtpd(node) as server, server.client() as client:
        assert "ETRN" not in client.hello().text
        assert client.say("ETRN held.example").code == 502
        assert client.say("ATRN held.example").code == 502  # needs AUTH


def test_a_bad_etrnhosts_is_named(node):
    setting = with_etrn(node, "held.example somewhere /m")
    try:
        done = node.run("qmail-smtpd", "--listen", "127.0.0.1:0", code=100)
        assert "etrnhosts" in done.stderr and "somewhere" in done.stderr
    finally:
        setting.unlink()
