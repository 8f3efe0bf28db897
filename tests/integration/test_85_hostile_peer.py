# SPDX-License-Identifier: ISC
"""Hosts that answer nonsense, too much, too early or never: nothing is lost,
nothing fails for good that they did not refuse, and each result is of the
recipient whose reply it was."""
import base64
import contextlib
import os
import random
import re
import time

import pytest

from name_server import NameServer
from node import SLOW, wait_until
from remote_peer import Peer, make_home, send
from test_74_remote_delivery import LOCAL, ZONE, Host, World

PIPELINED = ("PIPELINING", "8BITMIME")
CHUNKED = (*PIPELINED, "CHUNKING")
EXTENSIONS = [(), PIPELINED, CHUNKED]
STEPS = ["greeting", "EHLO", "MAIL", "RCPT1", "RCPT2", "DATA", "."]
TWO = ("a@example.net", "b@example.net")
OK, GO, NO = b"250 ok\r\n", b"354 go\r\n", b"503 not now\r\n"


@pytest.fixture
def home(tmp_path):
    return make_home(tmp_path)


def hello_of(extensions):
    lines = ["peer", *extensions]
    return "".join(f"250{' ' if i == len(lines) - 1 else '-'}{line}\r\n"
                   for i, line in enumerate(lines)).encode()


def server(extensions=(), answers=None, say=None):
    """A host whose answers to some steps are other bytes than usual.

    say(link, step, usual) sends them, if it is given.  link.taken has the
    recipients of each message that was there to its end.
    """
    answers = answers or {}

    def script(link):
        link.taken, accepted, count, has_sender = [], [], 0, False

        def answer(step, usual):
            if say is not None:
                return say(link, step, usual)
            link.socket.sendall(answers.get(step, usual))
            return answers.get(step, usual)

        answer("greeting", b"220 peer\r\n")
        while True:
            line = link.line()
            verb = line.split(":")[0].split(" ")[0]
            if verb == "EHLO":
                answer(verb, hello_of(extensions))
            elif verb == "MAIL":
                accepted = []
                has_sender = answer(verb, OK)[:1] == b"2"
            elif verb == "RCPT":
                count += 1
                if answer(f"RCPT{count}", OK if has_sender else NO)[:1] == b"2":
                    accepted.append(line.split("<")[1].split(">")[0])
            elif verb == "BDAT":
                link.take_bytes(int(line.split()[1]))
                if accepted:
                    link.taken.append(accepted)
                answer(".", b"250 taken\r\n" if accepted else NO)
            elif verb == "DATA":
                if answer(verb, GO if accepted else NO)[:3] == b"354":
                    link.take_message()
                    link.taken.append(accepted)
                    answer(".", b"250 taken\r\n")
            elif verb == "QUIT":
                return
            else:
                answer(verb, OK)
    return script


def texts_of(report):
    return "".join([*report.recipients, report.text])


# -- replies that are none

JUNK = {
    "http": b"HTTP/1.1 400 Bad Request\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    "nothing": b"\r\n",
    "no class": b"199 x\r\n999 x\r\n",
    "NUL in the code": b"2\x0050 x\r\n",
    "NUL for the blank": b"250\0x\r\n",
    "an endless line": b"250 " + b"x" * 200000,
    "endless lines": b"250-x\r\n" * 20000,
    "lines that go astray": b"250-x\r\nand more\r\n",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("step", STEPS)
def test_junk(home, step, junk):
    for extensions in EXTENSIONS:
        if step == "DATA" and extensions == CHUNKED:
            continue
        with Peer(server(extensions, {step: junk})) as peer:
            report = send(home, peer.port, recipients=TWO)
        assert report.verdict == "Z" and "h" not in report.letters
        assert "none that I know" in texts_of(report)
        link = peer.links[0]
        assert "Possible duplicate!" in texts_of(report) or not link.taken


@pytest.mark.parametrize("step", STEPS[:-1])
@pytest.mark.parametrize("line", [
    b"%s one\n", b"%s a\rb\r\n", b"%s \0\033[2J\377\r\n", b"%s-a\n%s b\r\n",
    b"%s\r\n"])
def test_replies_that_are_odd(home, step, line):
    """Bare LF and CR, NUL, 8 bits, no text: the code is what counts."""
    code = {"greeting": b"220", "DATA": b"354"}.get(step, b"250")
    answer = line.replace(b"%s", code)
    with Peer(server((), {step: answer})) as peer:
        assert send(home, peer.port, recipients=TWO).letters == "rrK"


# -- too many replies, and out of order

@pytest.mark.parametrize("extensions", EXTENSIONS)
@pytest.mark.parametrize("answers", [
    {"greeting": b"220 a\r\n220 b\r\n"},
    {"EHLO": b"250 peer\r\n250 PIPELINING\r\n"},
    {"MAIL": OK + OK},
    {"MAIL": OK + OK, "RCPT1": b"550 5.1.1 no a\r\n"},
    {"MAIL": OK + OK, "RCPT2": b"550 5.1.1 no b\r\n"},
    {"MAIL": OK + b"550 what\r\n"},
    {"RCPT1": b"550 5.1.1 no a\r\n550 5.1.1 no a\r\n"},
    {"RCPT1": OK + OK, "RCPT2": b"550 5.1.1 no b\r\n"},
    {"RCPT2": OK + OK},
    {"MAIL": OK + OK, ".": b"451 no\r\n"},
], ids=str)
def test_more_replies_than_commands(home, extensions, answers):
    """Whose they are nobody knows: no recipient fails, none is delivered."""
    with Peer(server(extensions, answers)) as peer:
        report = send(home, peer.port, recipients=TWO)
    assert report.verdict == "Z" and "h" not in report.letters


@pytest.mark.parametrize("extensions", [(), PIPELINED])
def test_taken_before_it_was_sent(home, extensions):
    """A host cannot have what it has not read."""
    answers = {"DATA": GO + b"250 taken\r\n", ".": b""}
    with Peer(server(extensions, answers)) as peer:
        report = send(home, peer.port, recipients=TWO)
    assert report.letters == "rrZ"
    assert "Possible duplicate!" in report.text


@pytest.mark.parametrize("extensions", EXTENSIONS)
def test_421_behind_the_last_reply(home, extensions):
    """It may come at any time, and undoes nothing."""
    answers = {".": b"250 taken\r\n421 closing\r\n"}
    with Peer(server(extensions, answers)) as peer:
        assert send(home, peer.port, recipients=TWO).letters == "rrK"


@pytest.mark.parametrize("extensions", EXTENSIONS)
@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT1", "RCPT2",
                                  "."])
def test_replies_behind_421(home, extensions, step):
    """They are not read."""
    answers = {step: b"421 closing\r\n" + 5 * OK}
    with Peer(server(extensions, answers)) as peer:
        report = send(home, peer.port, recipients=TWO)
    assert report.verdict == "Z" and "h" not in report.letters
    assert "421 closing" in texts_of(report)


@pytest.mark.parametrize("extra", [b"", OK])
def test_lmtp_with_too_few_or_too_many_replies(tmp_path, extra):
    make_home(tmp_path, timeout=1)

    def script(link):
        link.hello(*PIPELINED, verb="LHLO")
        for _ in range(3):
            link.take(("MAIL", "RCPT", "RCPT")[len(link.commands) - 1],
                      "250 ok")
        link.take("DATA", "354 go")
        link.take_message("250 first")
        link.socket.sendall(extra * 2)
        link.at_end()
    with Peer(script) as peer:
        report = send(tmp_path, peer.port, route="/l", recipients=TWO)
    assert report.letters == ("rrK" if extra else "rsK")


@pytest.mark.parametrize("rounds", ["4294967295", "1000001", "", "x"])
def test_scram_rounds_are_bounded(home, rounds):
    """Each costs us time, which no time-out ends."""
    def script(link):
        link.hello("AUTH SCRAM-SHA-256")
        first = base64.b64decode(link.take("AUTH").split()[2]).decode()
        nonce = first.split("r=")[1]
        challenge = f"r={nonce}x,s=MDEyMzQ1Njc4OWFiY2RlZg==,i={rounds}"
        link.say("334 " + base64.b64encode(challenge.encode()).decode())
        link.take("*", "501 cancelled")
        link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port, secret=" joe secret")
    assert report.letters == "Z"


# -- ends, stalls, trickles

NOT_FOR_EVER_S = 20 * SLOW  # it takes two, where nothing else runs

@pytest.mark.parametrize("step", [s for s in STEPS if s != "DATA"])
def test_closed_in_a_group(home, step):
    """With the message behind the commands (CHUNKING)."""
    def say(link, at, usual):
        if at == step:
            raise EOFError
        link.socket.sendall(usual)
        return usual
    with Peer(server(CHUNKED, say=say)) as peer:
        report = send(home, peer.port, recipients=TWO)
    assert report.verdict == "Z" and "h" not in report.letters
    assert "connection died" in texts_of(report)


@pytest.mark.parametrize("extensions", EXTENSIONS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("piece", [b"", b"2", b"250-x\r\n", b"\0"],
                         ids=["stall", "bytes", "lines", "NULs"])
def test_no_step_takes_for_ever(tmp_path, step, extensions, piece):
    """Twice the time-out is the most, however the host trickles."""
    def say(link, at, usual):
        if at != step:
            link.socket.sendall(usual)
            return usual
        link.socket.settimeout(0.2)
        while True:
            with contextlib.suppress(TimeoutError):
                link.fill()
            link.socket.sendall(piece)
    if step == "DATA" and extensions == CHUNKED:
        pytest.skip("there is no DATA")
    make_home(tmp_path, timeout=1)
    begin = time.monotonic()
    with Peer(server(extensions, say=say)) as peer:
        report = send(tmp_path, peer.port, recipients=TWO)
    assert report.verdict == "Z" and "h" not in report.letters
    assert time.monotonic() - begin < NOT_FOR_EVER_S


def trickle(link, piece):
    """Until the other side has enough of it."""
    with contextlib.suppress(OSError):
        while True:
            link.socket.sendall(piece)
            time.sleep(0.2)
            if not piece:
                link.fill()


@pytest.mark.parametrize("piece", [b"", b"\x16", b"\x16\3\3\0\1\2"],
                         ids=["stall", "bytes", "records"])
def test_tls_that_never_comes_about(tmp_path, piece):
    """It has its time, and then there is the plain way."""
    def script(link):
        link.hello("STARTTLS")
        link.take("STARTTLS", "220 go")
        trickle(link, piece)

    def again(link):
        link.hello("STARTTLS")
        link.transaction(2)
    make_home(tmp_path, timeout=1)
    begin = time.monotonic()
    with Peer(script, again) as peer:
        report = send(tmp_path, peer.port, recipients=TWO)
    assert report.letters == "rrK"
    assert time.monotonic() - begin < NOT_FOR_EVER_S


@pytest.mark.parametrize("start, piece", [
    (b"", b""), (b"", b"0"), (b"60000:K", b"x"), (b"3:Kok,", b"")])
def test_qmtp_never_takes_for_ever(tmp_path, start, piece):
    def script(link):
        link.fill()
        link.socket.sendall(start)
        trickle(link, piece)
    make_home(tmp_path, timeout=1)
    begin = time.monotonic()
    with Peer(script) as peer:
        report = send(tmp_path, peer.port, variable="QMTPROUTE",
                      recipients=TWO)
    assert report.letters == ("rsK" if b"," in start else "rrZ")
    assert time.monotonic() - begin < NOT_FOR_EVER_S


# -- everything together

def chance_of(seed):
    """A host that keeps in step, refuses by chance, and may end anywhere."""
    chance = random.Random(seed)
    extensions = chance.choice(EXTENSIONS)
    if chance.random() < 0.4:
        extensions += (f"LIMITS RCPTMAX={chance.randrange(1, 5)}",)
    told = {}  # by recipient: the last reply's first digit

    def say(link, step, usual):
        at = chance.random()
        if at < 0.03:
            raise EOFError
        answer = usual
        if at < 0.15 and usual != NO and step not in (
                "greeting", "EHLO", "RSET"):
            answer = chance.choice(
                [b"550 5.1.1 no\r\n", b"450 later\r\n", b"550-a\r\n550 b\r\n",
                 b"452 4.5.3 many\r\n", b"452 full\r\n", b"421 bye\r\n",
                 b"x\r\n", b"\377\r\n"])
        if step.startswith("RCPT"):
            name = link.commands[-1].split("<")[1].split(">")[0]
            told[name] = answer[:1].decode('latin-1')
        elif answer[:1] == b"5" and usual != NO:
            told.setdefault("all", "5")
        for piece in re.findall(rb"(?s).{1,7}", answer):
            link.socket.sendall(piece)
        if answer[:1] not in b"2345" or answer[:3] == b"421":
            raise EOFError
        if step == "." and answer == usual != NO:
            link.given = getattr(link, "given", set()) | set(link.taken[-1])
        return answer
    recipients = [f"r{i}@example.net" for i in range(chance.randrange(1, 12))]
    return server(extensions, say=say), recipients, told


@pytest.mark.parametrize("turn", range(8))
def test_each_result_is_of_its_recipient(home, turn):
    for seed in range(turn * 25, turn * 25 + 25):
        script, recipients, told = chance_of(seed)
        with Peer(script) as peer:
            report = send(home, peer.port, recipients=recipients)
        given = getattr(peer.links[0], "given", set())
        # Without a letter for each of them the session did not come to RCPT.
        letters = dict(zip(recipients, report.letters[:-1]))
        for name in recipients:
            is_taken = letters.get(name) == "r" and report.verdict == "K"
            assert is_taken == (name in given), (seed, name, report.letters)
            if letters.get(name) == "h":
                assert "5" in (told.get(name), told.get("all")), (seed, name)
        if report.verdict == "D":
            assert "5" in told.values(), seed


# -- a whole node

@pytest.fixture(scope="module")
def name_server():
    made = NameServer({"peer.test": ZONE})
    yield made
    made.close()


@pytest.fixture
def world(make_node, name_server):
    made = World(make_node, name_server)
    made.node.up()
    yield made
    made.close()
    for service in ("remote", "queue1", "queue2"):
        assert "Sanitizer" not in made.node.log(service)


class Rude(Host):
    """Greets, and then has something else to say."""

    rest = b""

    def talk(self, connection, file):
        connection.sendall(b"220 peer\r\n")
        file.readline()
        connection.sendall(b"250-peer\r\n250 PIPELINING\r\n" + self.rest)
        if self.rest:
            file.readline()


def rude(world, number, rest):
    made = Rude(f"127.0.0.{number}", world.port)
    made.rest = rest
    world.hosts.append(made)
    return made


RUDE = pytest.mark.parametrize("rest", [b"", OK, b"421 closing\r\n", b"\0"])


@RUDE
def test_one_that_greets_and_goes_rests(world, rest):
    """As one that does not answer: it is not asked again and again."""
    one = rude(world, 2, rest)
    for i in range(5):
        assert world.node.inject(f"u{i}@one.peer.test", sender=LOCAL) == 0
    world.wait_log(r"lane one\.peer\.test: rests")
    assert one.connections <= 5  # the first ones, side by side
    assert world.node.messages("alice") == []
    wait_until(lambda: world.node.backlog() == 5, "all are left")


@RUDE
def test_the_next_host_takes_what_such_a_one_does_not(world, rest):
    one, other = world.host(2), rude(world, 4, rest)
    assert world.node.inject("a@both.peer.test") == 0
    one.wait(1)
    world.node.wait_empty()
    assert other.connections <= 2


def open_things(pid):
    """Of a process: bodies, and connections to hosts."""
    inodes = set()
    with open("/proc/net/tcp", encoding="ascii") as file:
        inodes = {f"socket:[{line.split()[9]}]" for line in file}
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            path = os.readlink(f"/proc/{pid}/fd/{name}")
            if path in inodes or re.search(r"/mess/\d+/\d|memfd:", path):
                found.append(path)
    return found


def test_nothing_stays_open(world):
    """Whatever hosts do: bodies and connections go with the messages."""
    chance = random.Random(3)

    def answer(usual):
        return lambda _: chance.choice(
            [usual, usual, "450 later", "550 no", "421 bye", "x", None])
    hosts = [world.host(2), world.host(3)]
    for host in hosts:
        host.answers.update({verb: answer("250 ok")
                             for verb in ("MAIL", "RCPT", ".")})
    for i in range(60):
        assert world.node.inject(
            f"u{i}@d{i % 7}.peer.test", f"v{i}@d{i % 5}.peer.test",
            sender=LOCAL,
            text="Subject: x\n\n" + "body\n" * chance.choice([1, 5000, 40000])
        ) == 0
    world.node.retry_until(
        lambda: sum(host.connections for host in hosts) > 40, "they go wrong")
    for host in hosts:
        host.answers.clear()
    world.node.retry_until(lambda: world.node.backlog() == 0, "all are over",
                           60 * SLOW)
    for pid in world.node.processes():
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            if file.read() not in ("qmail-rspawn\n", "qmail-send\n"):
                continue
        wait_until(lambda: not open_things(pid),
                   lambda: f"{pid}: {open_things(pid)}")


def test_a_blank_does_not_end_a_domain(world):
    """No part of it is looked up for the whole, and its mail is answered."""
    one = world.host(2)
    assert world.node.inject("a@one.peer.test x.peer.test",
                             "b@one.peer.test", sender=LOCAL) == 0
    report = world.node.wait_messages("alice", 1)[0].decode()
    assert "one.peer.test x.peer.test" in report
    assert [to for _, to, _ in one.wait(1)] == [["b@one.peer.test"]]
    world.node.wait_empty()


def test_what_a_bounce_says_is_safe(world):
    one = world.host(2)
    one.answers["RCPT"] = "550 5.1.1 \033[2J\0\x9b1m\r<FORGED>: \x7f no"
    assert world.node.inject("a@one.peer.test", sender=LOCAL) == 0
    report = world.node.wait_messages("alice", 1)[0]
    assert b"FORGED" in report
    assert re.search(rb"[^\n\t -~]", report) is None
    world.node.wait_empty()


def test_trouble_of_ours_is_not_the_hosts(world):
    """With a source address that we do not have no host is found bad."""
    one = world.host(2)
    routes = world.node.control / "bindroutes"
    routes.write_text("one.peer.test:203.0.113.7\n")
    world.node.reread_remote()
    assert world.node.inject("a@one.peer.test") == 0
    world.wait_log(r"lane one\.peer\.test: rests .*assign_requested_address")
    assert "127.0.0.2" not in world.node.run("qmail-tcpto").stdout
    routes.unlink()
    world.service("-h")
    world.node.retry_until(lambda: one.messages, "it is sent")
    world.node.wait_empty()
