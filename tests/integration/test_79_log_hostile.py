# SPDX-License-Identifier: ISC
"""What peers say ends no field of a log line, forges none, and moves no cursor."""
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import unicodedata
from pathlib import Path

import pytest

from name_server import NameServer
from node import BIN, SLOW, wait_until
from remote_peer import Peer
from smtp_peer import Client

SIGN = "FORGED"  # wherever it stands, a peer said it

# Bytes that end lines, fields or words, or that a terminal obeys.
HOSTILE = [
    b"\x1b[2J", b"\x1b]0;x\x07", b"\x00", b"\x08\x08", b"\r", b"\t", b"\x7f",
    b"\x80\x9b2J\xff", "\x85\x9b2J".encode(), "\u00a0\u2028\u2029".encode(),
    "\u202e\u2066\u200f\u061c\ufeff\u00ad".encode(), b"\xc0\xaf\xed\xa0\x80",
    b"> RCPT <FORGED@x.test", b"> qp 1 uid 0 uuid FORGED",
    b" status: local 9/9", b" delivery 1: success: FORGED",
    b"\x0bend msg 7", b" queue FORGED msg 7", b"<FORGED>", b"%s%n%d",
    "\N{GREEK SMALL LETTER ALPHA}".encode(),
]
ALL = b"".join(HOSTILE)
WORD = r"[^ <>]*"
FIELD = rf"<{WORD}>"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
QUEUE_LINES = [re.compile(pattern) for pattern in (
    r"running|exiting", r"(?:new|end) msg (?P<msg>\d+)",
    rf"info msg (?P<msg>\d+): bytes \d+ from {FIELD} qp \d+ uid \d+"
    rf" uuid {UUID}",
    rf"starting delivery (?P<start>\d+): msg (?P<msg>\d+) to (local|remote)"
    rf" {WORD}",
    r"delivery (?P<result>\d+): (success|failure|deferral): [!-~]*",
    r"status: local \d+/\d+ remote \d+/\d+( exitasap)?",
    r"bounce msg (?P<msg>\d+) qp \d+",
    rf"lane {WORD}: rests for \d+ s: [!-~]*",
    r"warning: message (refused|not queued): (?!.*FORGED).*")]
SESSION = re.compile(
    r"qmail-smtpd: pid \d+ from 127\.0\.0\.1 "
    rf"( HELO {FIELD} MAIL from {FIELD} RCPT {FIELD} AUTH <[a-z/-]+> Size: "
    rf"\d+ TLS=No qp \d+ id {UUID} queue queue[12] msg \d+"
    rf"|syntax error: COMMAND {FIELD}"
    rf"|[A-Za-z /-]+: MAIL from {FIELD}( RCPT {FIELD})?( state <[a-z ]+>)?"
    rf"|too many errors|command too long"
    rf"|client went away[ a-z]*)")
LISTENER = re.compile(
    r"tcpserver: (status: \d+/\d+|pid \d+ from [0-9.]+|end \d+ status \d+"
    r"|(ok|deny) \d+ [a-z.]+:[0-9.:]+ :[0-9.:]+)"
    r"|qmail-smtpd: listening on [0-9.]+:\d+")
REMOTE = re.compile(
    rf"qmail-rspawn: (status: ready|exiting|destination {WORD}: rests for "
    rf"\d+ s: {WORD}|refused [a-z0-9-]+ by {WORD}: [a-z0-9 ,-]+: {WORD}"
    rf"|tls {WORD} {WORD}: wanted [a-z-]+ \([^<>]*\); [^<>]*)")


def is_safe(char):
    return " " <= char <= "~" or (ord(char) > 0x7f and unicodedata.category(
        char) not in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"))


def check_bytes(data):
    """All lines without their time, each of safe characters alone."""
    lines = []
    for line in data.decode().split("\n")[:-1]:
        match = re.fullmatch(r"(?:@[0-9a-f]{24} )?(.*)", line, re.DOTALL)
        assert all(map(is_safe, match[1])), line
        lines.append(match[1])
    return lines


def check_queue(lines):
    """Only messages that began, and deliveries of one."""
    messages, deliveries = set(), set()
    for line in lines:
        found = next((match for match in (
            pattern.fullmatch(line) for pattern in QUEUE_LINES) if match), None)
        assert found, line
        fields = found.groupdict()
        if line.startswith("new msg "):
            messages.add(fields["msg"])
        assert fields.get("msg") is None or fields["msg"] in messages, line
        if fields.get("start"):
            deliveries.add(fields["start"])
        elif fields.get("result"):
            deliveries.remove(fields["result"])


def answering(reply, at):
    """A host that says this to one command, and that is all."""
    def script(link):
        def answer(verb, ordinary):
            line = reply if at == verb else ordinary
            link.socket.sendall(line + b"\r\n")
        answer("greeting", b"220 peer")
        with contextlib.suppress(UnicodeDecodeError):
            while True:
                verb = link.line().split(":")[0].split(" ")[0].upper()
                answer(verb, b"354 go" if verb == "DATA" else b"250 ok")
                if verb == "DATA" and at != "DATA":
                    link.take_message()
                    answer("end", b"250 ok")
                if verb == "QUIT":
                    return
    return script


@contextlib.contextmanager
def remote_deliveries(node):
    """When qmail-rspawn is there: where its log lines go."""
    subprocess.run(["svc", "-t", node.home / "service/remote"], check=True)
    wait_until(lambda: node.log("remote").count("ready") == 2,
               "qmail-rspawn is ready, with the routes of now")
    yield lambda: node.log("remote").encode()


def inject(node, recipients, sender):
    """By qmail-queue; its exit code."""
    with tempfile.TemporaryFile() as message, \
            tempfile.TemporaryFile() as envelope:
        message.write(b"Subject: x\n\nHello.\n")
        envelope.write(b"F%s\0%s\0" % (sender, b"".join(
            b"T%s\0" % recipient for recipient in recipients)))
        message.seek(0)
        envelope.seek(0)
        return subprocess.run(
            [BIN / "qmail-queue"], stdin=message, stdout=envelope,
            env=node.environment(), timeout=60 * SLOW, check=False).returncode


def ended(node):
    """Messages of all queues that are over."""
    return sum(len(re.findall(r" end msg \d", node.log(queue)))
               for queue in ("queue1", "queue2"))


def results(node):
    """Of deliveries to other hosts."""
    return [line for queue in ("queue1", "queue2")
            for line in re.findall(r"@\w{24} (delivery .*)", node.log(queue))
            if " did_1" not in line]


def talk(node, piece):
    """One session with the piece wherever a client may say something."""
    client = Client(node.smtp_port)
    for line in (b"HELO a" + piece, b"EHLO b" + piece, b"x" + piece,
                 b"MAIL FROM:<a" + piece + b"@x.test>",
                 b'MAIL FROM:<"a' + piece + b'"@x.test> BODY=' + piece,
                 b'MAIL FROM:<"a' + piece + b'"@x.test>',
                 b"RSET", b"MAIL FROM:<ok@x.test>",
                 b"RCPT TO:<" + piece + b"@" + piece + b">",
                 b'RCPT TO:<"b' + piece + b'"@example.test>',
                 b'RCPT TO:<"c' + piece + b'"@elsewhere.test>',
                 b"RCPT TO:<alice@example.test>", b"DATA"):
        client.socket.sendall(line.replace(b"\n", b"") + b"\r\n")
        reply = client.read()
        if reply.code == 421:
            break
    if reply.code == 354:
        client.socket.sendall(
            b"Subject: " + piece + b"\r\nX-" + piece + b": x\r\n\r\n" + piece +
            b"\r\n.\r\n")
        reply = client.read()
    client.socket.close()
    return reply.code == 250


def check_logs(node, remote):
    for folder in sorted((node.home / "log").iterdir()):
        if not folder.is_dir():
            check_bytes(folder.read_bytes())
            continue
        lines = [line for path in [*sorted(folder.glob("@*")),
                                   folder / "current"]
                 for line in check_bytes(path.read_bytes())]
        if folder.name.startswith("queue"):
            check_queue(lines)
        elif folder.name.startswith("qmail-smtpd"):
            for line in lines:
                assert LISTENER.fullmatch(line) or SESSION.fullmatch(line), line
                # A peer's words stay between their brackets.
                assert SIGN not in re.sub(FIELD, "", line), line
    for line in check_bytes(remote):
        assert REMOTE.fullmatch(line), line
    shown = node.svctool("log", "--json").stdout
    for line in shown.splitlines():
        entry = json.loads(line)
        assert all(map(is_safe, entry["text"])), entry
        assert SIGN not in entry.get("queue", "") + entry.get("uuid", "")


def test_clients(node):
    """HELO, MAIL, RCPT, unknown commands, headers; envelopes of programs."""
    taken = sum(talk(node, piece) for piece in [*HOSTILE, ALL])
    for piece in [*HOSTILE, ALL]:
        text = piece.replace(b"\0", b"")
        taken += 0 == inject(node, [b"alice%s@example.test" % text,
                                    b"alice@example.test"], b"s%s@x.test" % text)
    # Reports to the senders wait: nothing delivers to other hosts here.
    wait_until(lambda: ended(node) >= taken, node.logs)
    assert taken > len(HOSTILE)
    assert SIGN in node.log("queue1") + node.log("queue2")
    check_logs(node, b"")


@pytest.fixture
def zone():
    """Exchanges whose names have what a name cannot have."""
    if shutil.which("nsd", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("nsd is not installed")
    server = NameServer({"dns.test": """\
m1 IN MX 10 a\\027[2J\\010end\\032msg\\0327.dns.test.
m2 IN MX 10 b\\<FORGED\\>\\226\\128\\174.dns.test.
a\\027[2J\\010end\\032msg\\0327 IN A 127.1.2.3
b\\<FORGED\\>\\226\\128\\174 IN A 127.1.2.3
m3 IN MX 10 c\\<FORGED\\>.dns.test.
c\\<FORGED\\> IN A 127.1.2.3
m3 IN TXT "\\027[2J FORGED"
"""})
    yield server
    server.stop()


def test_remote_hosts(make_node, zone):
    """Greetings, replies to each command, and names from the DNS."""
    node = make_node("--relay", "--dnsstub", f"dns.test:127.0.0.1@{zone.port}")
    where = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "end"]
    cases = [(code + b" no " + piece, at) for at in where
             for code in (b"550", b"451")
             for piece in (ALL, b" ".join(HOSTILE[12:]))]
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(*[answering(*case)] * 3))
                 for case in cases]
        (node.control / "smtproutes").write_text("".join(
            f"far{at}.test:[127.0.0.1]:{peer.port}\n"
            for at, peer in enumerate(peers)))
        remote = stack.enter_context(remote_deliveries(node))
        for at in range(len(cases)):
            assert node.inject(f"x@far{at}.test") == 0
        for name in ("m1", "m2", "m3"):
            assert node.inject(f"x@{name}.dns.test") == 0
        # A host that does not greet rests, and its mail waits with it.
        wait_until(lambda: len(results(node)) +
                   len(re.findall(b": rests for ", remote()))
                   >= len(cases) + 3,
                   lambda: f"{node.logs()}\n{remote()}")
        for at in ("DATA", "sender", "recipient", "greeting", "sent_the"):
            assert re.search(f"{at}.*{SIGN}", "\n".join(
                [*results(node), remote().decode()])), at
        check_logs(node, remote())
    said = check_bytes(
        node.svctool("dns", "txt", "m3.dns.test").stdout.encode())
    assert SIGN in said[0]
