# SPDX-License-Identifier: ISC
"""qmail-remote and hosts of every kind."""
import base64
import hashlib
import hmac
import os
import socket
import subprocess
import time

import pytest

from node import SLOW
from remote_peer import Peer, make_home, send

ALL = ["PIPELINING", "SIZE 1000000", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES"]
TWO = ("a@example.net", "b@example.net")


@pytest.fixture
def home(tmp_path):
    return make_home(tmp_path)


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A certificate that nobody vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=peer", "-days",
         "2", "-keyout", folder / "key", "-out", folder / "cert"],
        check=True, stderr=subprocess.DEVNULL)
    path = folder / "both.pem"
    path.write_bytes((folder / "key").read_bytes() +
                     (folder / "cert").read_bytes())
    return path


def plain(*extensions, recipients=1):
    def script(link):
        link.hello(*extensions)
        link.transaction(recipients)
        link.at_end()
    return script


# -- what is sent

def test_pipelined(home):
    """MAIL, RCPT and DATA are there before anything is answered."""
    def script(link):
        link.hello(*ALL)
        lines = [link.line() for _ in range(4)]
        assert lines == [
            "MAIL FROM:<s@example.org> SIZE=22",
            "RCPT TO:<a@example.net>", "RCPT TO:<b@example.net>", "DATA"]
        link.say("250 ok", "250 ok", "250 ok", "354 go")
        link.take_message("250 taken")
        assert link.take("QUIT")
    with Peer(script) as peer:
        report = send(home, peer.port, recipients=TWO)
    assert report.letters == "rrK"
    assert report.text == ("127.0.0.1 accepted message.\n"
                           "Remote host said: 250 taken\n")
    assert peer.links[0].message == b"Subject: x\r\n\r\nHello.\r\n"
    assert peer.links[0].commands[0] == "EHLO mail.example.org"


def test_in_steps(home):
    def script(link):
        link.hello("SIZE")
        for command, answer in [("MAIL", "250 ok"), ("RCPT", "250 ok"),
                                ("RCPT", "250 ok"), ("DATA", "354 go")]:
            link.take(command)
            link.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                link.fill()  # it waits
            link.socket.settimeout(20)
            link.say(answer)
        link.take_message("250 taken")
    with Peer(script) as peer:
        assert send(home, peer.port, recipients=TWO).letters == "rrK"


def test_hello_falls_back(home):
    def script(link):
        link.say("220 old")
        link.take("EHLO", "502 what?")
        link.take("HELO", "250 old")
        link.transaction()
    with Peer(script) as peer:
        assert send(home, peer.port).letters == "rK"
    assert peer.links[0].commands[2] == "MAIL FROM:<s@example.org>"


@pytest.mark.parametrize("stored, sent", [
    (b"", b""),
    (b"a", b"a\r\n"),
    (b".\n..\n.a\na.\n", b"..\r\n...\r\n..a\r\na.\r\n"),
    (b"a\r\nb\rc\n\r.\n", b"a\r\nb c\r\n .\r\n"),
    (b"a\n.\r\nb\n", b"a\r\n..\r\nb\r\n"),
    (b"x" * 100000 + b"\n.", b"x" * 100000 + b"\r\n..\r\n"),
    (b"line\n." * 40000, b"line\r\n.." * 40000 + b"\r\n"),
])
def test_lines_and_dots(home, stored, sent):
    with Peer(plain(*ALL)) as peer:
        assert send(home, peer.port, stored).letters == "rK"
    assert peer.links[0].message == sent


def test_a_chunk_saves_a_round_trip(home):
    def script(link):
        link.hello(*ALL, "CHUNKING")
        link.take("MAIL")
        link.take("RCPT")
        words = link.take("BDAT").split()
        assert words[2] == "LAST"
        link.message = link.take_bytes(int(words[1]))
        link.say("250 ok", "250 ok", "250 taken")
        link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port, b"a\n.b\nc")
    assert report.letters == "rK"
    assert peer.links[0].message == b"a\r\n.b\r\nc\r\n"


def test_no_chunk_without_pipelining_or_for_a_large_message(home):
    with Peer(plain("CHUNKING"), plain("CHUNKING", *ALL)) as peer:
        assert send(home, peer.port).letters == "rK"
        assert send(home, peer.port, b"0123456\n" * 10000).letters == "rK"


def test_8bit_and_utf8(home):
    with Peer(plain(*ALL), plain(*ALL, "SMTPUTF8")) as peer:
        assert send(home, peer.port, "é\n".encode()).letters == "rK"
        assert send(home, peer.port, sender="é@example.org").letters == "rK"
    assert peer.links[0].commands[1].endswith(" SIZE=4 BODY=8BITMIME")
    assert peer.links[1].commands[1].endswith(" BODY=8BITMIME SMTPUTF8")


@pytest.mark.parametrize("extensions, options, code", [
    (["PIPELINING"], {"message": "é\n".encode()}, "#5.6.3"),
    (ALL, {"sender": "é@example.org"}, "#5.6.7"),
    (ALL, {"sender": "a\nRCPT TO:<evil@example.org>@b"}, "#5.1.3"),
    (["SIZE 10"], {}, "#5.3.4"),
])
def test_what_a_host_cannot_take_is_not_tried(home, extensions, options, code):
    def script(link):
        link.hello(*extensions)
        assert link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port, **options)
    assert report.letters == "D"
    assert code in report.text


def test_one_address_that_cannot_be_sent(home):
    with Peer(plain(*ALL)) as peer:
        report = send(home, peer.port, recipients=("é@example.net", TWO[0]))
    assert report.letters == "hrK"
    assert "#5.6.7" in report.recipients[0]


@pytest.mark.parametrize("given, sent", [
    ("", "<>"), ("#@[]", "<>"), ("a b@c", '<"a b"@c>'),
    ('a"b@c', '<"a\\"b"@c>'),
])
def test_paths(home, given, sent):
    with Peer(plain()) as peer:
        assert send(home, peer.port, sender=given).letters == "rK"
    assert peer.links[0].commands[1] == f"MAIL FROM:{sent}"


def test_limits(home):
    """Two recipients a transaction, two transactions a connection."""
    def script(link):
        link.hello(*ALL, "LIMITS MAILMAX=2 RCPTMAX=2")
        link.transaction(2)
        link.transaction(2)
        assert link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port,
                      recipients=[f"{i}@example.net" for i in range(5)])
    assert report.letters == "rrrrsK"


def test_too_many_recipients_are_sent_again(home):
    def script(link):
        link.hello(*ALL)
        link.take("MAIL", "250 ok")
        link.take("RCPT", "250 ok")
        link.take("RCPT", "452 4.5.3 too many")
        link.take("DATA", "354 go")
        link.take_message("250 first")
        link.transaction()
    with Peer(script) as peer:
        report = send(home, peer.port, recipients=TWO)
    assert report.letters == "rrK"
    assert peer.links[0].commands.count("RCPT TO:<b@example.net>") == 2


# -- what is answered

@pytest.mark.parametrize("extensions", [ALL, [], [*ALL, "CHUNKING"]])
def test_recipients_differ(home, extensions):
    def script(link):
        link.hello(*extensions)
        link.take("MAIL", "250 ok")
        link.take("RCPT", "550 5.1.1 no")
        link.take("RCPT", "250 ok")
        link.take("RCPT", "450 later")
        if "CHUNKING" in extensions:
            link.take_bytes(int(link.take("BDAT").split()[1]))
            link.say("250 taken")
        else:
            link.take("DATA", "354 go")
            link.take_message("250 taken")
        link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port, recipients=("x@y", *TWO))
    assert report.letters == "hrsK"
    assert report.recipients[0] == ("h127.0.0.1 does not like recipient.\n"
                                    "Remote host said: 550 5.1.1 no\n")


@pytest.mark.parametrize("go", ["354 go", "503 no recipients"])
def test_nobody_is_wanted(home, go):
    """A host may ask for the message all the same: a dot alone."""
    def script(link):
        link.hello(*ALL)
        link.take("MAIL", "250 ok")
        link.take("RCPT", "550 no")
        link.take("DATA", go)
        if go[0] == "3":
            assert link.take_message("554 nothing") == b""
        assert link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port)
    assert report.letters == "hD"
    assert report.text == "Giving up on example.net.\n"


@pytest.mark.parametrize("step, answer, letters, text", [
    ("MAIL", "550 5.7.1 go away", "D",
     "Connected to 127.0.0.1 but sender was rejected.\n"
     "Remote host said: 550 5.7.1 go away\n"),
    ("MAIL", "451 later", "Z",
     "Connected to 127.0.0.1 but sender was rejected.\n"
     "Remote host said: 451 later\n"),
    ("MAIL", "354 what", "Z", "Connected to 127.0.0.1 but sender"),
    ("DATA", "554 no", "rD", "127.0.0.1 failed on DATA command.\n"),
    ("DATA", "250 what", "rZ", "Connected to 127.0.0.1 but its answer"),
    (".", "554 spam", "rD", "127.0.0.1 failed after I sent the message.\n"),
    (".", "452 full", "rZ", "127.0.0.1 failed after I sent the message.\n"),
    (".", "354 what", "rZ", "127.0.0.1 failed after I sent the message.\n"),
])
@pytest.mark.parametrize("extensions", [ALL, []])
def test_refused(home, extensions, step, answer, letters, text):
    def script(link):
        link.hello(*extensions)
        link.take("MAIL", answer if step == "MAIL" else "250 ok")
        if step != "MAIL" or extensions:
            link.take("RCPT", "250 ok" if step != "MAIL" else "503 no")
            link.take("DATA", answer if step == "DATA" else
                      "354 go" if step == "." else "503 no")
        if step == ".":
            link.take_message(answer)
        link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port)
    assert (report.letters, report.text[:len(text)]) == (letters, text)


def test_recipients_without_a_sender_get_nothing(home):
    """A host that answers nonsense is not given a message to go on with."""
    def script(link):
        link.hello(*ALL)
        link.take("MAIL", "550 no")
        link.take("RCPT", "250 ok")
        link.take("DATA", "354 go")
        with pytest.raises(EOFError):
            link.fill()
    with Peer(script) as peer:
        assert send(home, peer.port).letters == "D"


@pytest.mark.parametrize("greeting, letters, text", [
    ("554 go away", "Z", "Connected to 127.0.0.1 but greeting failed.\n"),
    ("421 busy", "Z", "Connected to 127.0.0.1 but greeting failed.\n"),
    ("SSH-2.0-OpenSSH_9.2", "Z", "Connected to 127.0.0.1 but its answer"),
    ("220-a\r\n220-b\r\nxyz", "Z", "Connected to 127.0.0.1 but its answer"),
    ("220-" + "x" * 100000, "Z", "Connected to 127.0.0.1 but its answer"),
    ("\r\n".join(["220-x"] * 300), "Z",
     "Connected to 127.0.0.1 but its answer"),
])
def test_greetings(home, greeting, letters, text):
    def script(link):
        link.say(greeting)
        link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port)
    assert (report.letters, report.text[:len(text)]) == (letters, text)


def test_nothing_but_printable_bytes_is_reported(home):
    def script(link):
        link.say("220 x")
        link.take("EHLO")
        link.socket.sendall(b"550 a\0b\033[1m\377\tc\r\n")
        link.take("HELO")
        link.socket.sendall(b"550 a\0b\033[1m\377\tc\r\n")
        link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port)
    assert report.text == ("Connected to 127.0.0.1 but my name was rejected.\n"
                           "Remote host said: 550 a b [1m  c\n")


def test_421_ends_it(home):
    """Nothing is said after it, and all who wait have its text."""
    def script(link):
        link.hello()
        link.take("MAIL", "250 ok")
        link.take("RCPT", "250 ok")
        link.take("RCPT", "421 4.3.2 closing")
        with pytest.raises(EOFError):
            link.fill()
    with Peer(script) as peer:
        report = send(home, peer.port, recipients=TWO)
    assert report.letters == "ssZ"
    assert all("421 4.3.2 closing" in each for each in report.recipients)


# -- ends and stalls

STEPS = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."]


def broken(step, extensions, end):
    """Everything is fine until the answer to a step."""
    def script(link):
        if step == "greeting":
            return end(link)
        link.say("220 x")
        link.take("EHLO")
        if step == "EHLO":
            return end(link)
        link.say("250-x", *[f"250-{each}" for each in extensions], "250 HELP")
        for verb, answer in [("MAIL", "250 ok"), ("RCPT", "250 ok"),
                             ("DATA", "354 go")]:
            link.take(verb)
            if step == verb:
                return end(link)
            link.say(answer)
        link.take_message()
        return end(link)
    return script


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("extensions", [ALL, []])
def test_closed_anywhere(home, step, extensions):
    with Peer(broken(step, extensions, lambda link: None)) as peer:
        report = send(home, peer.port)
    assert report.verdict == "Z"
    texts = "".join([*report.recipients, report.text])
    assert "connection died" in texts
    assert ("Possible duplicate!" in texts) == (step == ".")


@pytest.mark.parametrize("step", STEPS)
def test_stalled_anywhere(tmp_path, step):
    def wait(link):
        with pytest.raises(EOFError):
            while True:
                link.fill()
    make_home(tmp_path, timeout=1)
    with Peer(broken(step, ALL, wait)) as peer:
        report = send(tmp_path, peer.port)
    assert report.verdict == "Z"
    assert "no answer in time" in "".join([*report.recipients, report.text])


@pytest.mark.parametrize("drop", [b"250-x\r\n", b"2"])
def test_a_trickle_ends(tmp_path, drop):
    """A byte or a line now and then: twice the time-out, not for ever."""
    def trickle(link):
        try:
            while True:
                link.socket.sendall(drop)
                time.sleep(0.2)
        except OSError:
            pass
    make_home(tmp_path, timeout=1)
    begin = time.monotonic()
    with Peer(broken("EHLO", [], trickle)) as peer:
        assert send(tmp_path, peer.port).letters == "Z"
    assert time.monotonic() - begin < 20 * SLOW


def test_who_does_not_read(tmp_path):
    def deaf(link):
        link.say("354 go")
        time.sleep(3)
    make_home(tmp_path, timeout=1)
    with Peer(broken("DATA", [], deaf)) as peer:
        assert send(tmp_path, peer.port, b"x\n" * 5000000).verdict == "Z"


def test_nobody_listens(home):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        report = send(home, held.getsockname()[1])
    assert report.letters == "Z"
    assert report.text.startswith(
        "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n")
    assert "Connection refused" in report.text


@pytest.mark.parametrize("answer, letters", [
    ("552 5.3.4 too large", "rD"), ("451 later", "rZ"), ("250 taken", "rZ")])
def test_a_last_word_within_the_message(home, answer, letters):
    """The host does not wait for the end, and what it says counts; but it
    cannot have taken what it has not read."""
    def script(link):
        link.hello("SIZE")
        link.take("MAIL", "250 ok")
        link.take("RCPT", "250 ok")
        link.take("DATA", "354 go")
        link.fill()
        link.say(answer)
    with Peer(script) as peer:
        report = send(home, peer.port, b"0123456\n" * 5000000)
    assert report.letters == letters
    assert "Possible duplicate!" not in report.text
    assert (answer in report.text) == (answer[0] != "2")


# -- TLS

def test_starttls(home, pem):
    """What the host says before TLS is forgotten, also what it can do."""
    def script(link):
        link.hello("STARTTLS", "PIPELINING", "SIZE 1")
        link.take("STARTTLS", "220 go")
        link.start_tls(pem)
        link.hello("8BITMIME", greeting=None)
        link.take("MAIL", "250 ok")
        assert link.buffer == b""
        link.take("RCPT", "250 ok")
        link.take("DATA", "354 go")
        link.take_message("250 taken")
        link.at_end()
    with Peer(script) as peer:
        assert send(home, peer.port).letters == "rK"


def test_injected_before_tls(home, pem):
    """RFC 3207: replies that came in plain are none to what is asked later."""
    def script(link):
        link.hello("STARTTLS")
        link.take("STARTTLS", "220 go", "250-evil", "250 SIZE 1",
                  "550 go away")
        link.start_tls(pem)
        link.hello(*ALL, greeting=None)
        link.transaction()
        link.at_end()
    with Peer(script) as peer:
        assert send(home, peer.port).letters == "rK"


def refuse_tls(link):
    link.hello("STARTTLS")
    link.take("STARTTLS", "454 not now")
    link.transaction()


def test_starttls_refused(home):
    with Peer(refuse_tls) as peer:
        assert send(home, peer.port).letters == "rK"


@pytest.mark.parametrize("answer", [b"", b"220 go\r\n",
                                    b"220 go\r\nno tls at all\r\n" * 100],
                         ids=["closed", "closed later", "nonsense"])
def test_starttls_broken(home, answer):
    """Once more, in plain."""
    def script(link):
        link.hello("STARTTLS")
        link.take("STARTTLS")
        link.socket.sendall(answer)
        if answer:
            link.fill()

    def again(link):
        link.hello("STARTTLS")
        link.transaction()
        link.at_end()
    with Peer(script, again) as peer:
        assert send(home, peer.port).letters == "rK"
    assert "STARTTLS" not in peer.links[1].commands


def test_our_own_certificate(home, pem):
    """For a host that asks for one."""
    def script(link):
        link.start_tls(pem, wants_certificate=True)
        link.hello(*ALL)
        assert link.socket.getpeercert()["subject"] == (
            (("commonName", "peer"),),)
        link.transaction()
        link.at_end()
    (home / "tls").mkdir()
    (home / "tls/clientcert.pem").write_bytes(pem.read_bytes())
    with Peer(script) as peer:
        assert send(home, peer.port, route="/s").letters == "rK"


def test_tls_from_the_first_byte(home, pem):
    def script(link):
        link.start_tls(pem)
        link.hello(*ALL)
        link.transaction()
        link.at_end()
    with Peer(script) as peer:
        assert send(home, peer.port, route="/s").letters == "rK"


def test_tls_from_the_first_byte_is_never_plain(home):
    with Peer(lambda link: link.say("220 x")) as peer:
        report = send(home, peer.port, route="/s")
    assert report.letters == "Z"
    assert "TLS failed" in report.text


# -- AUTH

def auth(link, pem, offered):
    link.hello("STARTTLS", "AUTH PLAIN LOGIN")
    link.take("STARTTLS", "220 go")
    link.start_tls(pem)
    link.hello(f"AUTH {offered}", greeting=None)


def accept(link):
    link.say("235 fine")
    link.transaction()
    link.at_end()


def test_auth_plain(home, pem):
    def script(link):
        auth(link, pem, "LOGIN PLAIN")
        line = link.take("AUTH PLAIN ")
        assert base64.b64decode(line.split()[2]) == b"\0joe\0secret"
        accept(link)
    with Peer(script) as peer:
        assert send(home, peer.port, secret=" joe secret").letters == "rK"


def test_auth_login(home, pem):
    def script(link):
        auth(link, pem, "LOGIN")
        link.take("AUTH LOGIN", "334 VXNlcm5hbWU6")
        assert link.secret() == b"joe"
        link.say("334 UGFzc3dvcmQ6")
        assert link.secret() == b"secret"
        accept(link)
    with Peer(script) as peer:
        assert send(home, peer.port, secret=" joe secret").letters == "rK"


def test_auth_cram_md5_without_tls(home):
    def script(link):
        link.hello("AUTH PLAIN CRAM-MD5")
        link.take("AUTH CRAM-MD5",
                  "334 " + base64.b64encode(b"<1.2@peer>").decode())
        digest = hmac.new(b"secret", b"<1.2@peer>", hashlib.md5).hexdigest()
        assert link.secret() == b"joe " + digest.encode()
        accept(link)
    with Peer(script) as peer:
        assert send(home, peer.port, secret=" joe secret").letters == "rK"


def scram(link, password, pretends=False):
    """The server's side of RFC 7677."""
    first = base64.b64decode(
        link.take("AUTH SCRAM-SHA-256 ").split()[2]).decode()
    bare = first.split(",", 2)[2]
    nonce = bare.split("r=")[1] + "server"
    salt, rounds = b"0123456789abcdef", 4096
    challenge = f"r={nonce},s={base64.b64encode(salt).decode()},i={rounds}"
    link.say("334 " + base64.b64encode(challenge.encode()).decode())
    final = link.secret().decode()
    if pretends:
        return
    without = final.rsplit(",p=", 1)[0]
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, rounds)
    message = f"{bare},{challenge},{without}".encode()

    def sign(key, text):
        return hmac.new(key, text, hashlib.sha256).digest()
    client = sign(salted, b"Client Key")
    proof = bytes(a ^ b for a, b in zip(
        client, sign(hashlib.sha256(client).digest(), message)))
    assert base64.b64decode(final.rsplit(",p=", 1)[1]) == proof
    server = base64.b64encode(sign(sign(salted, b"Server Key"), message))
    link.say("334 " + base64.b64encode(b"v=" + server).decode())
    assert link.line() == ""


def test_auth_scram_comes_first(home):
    def script(link):
        link.hello("AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256")
        scram(link, b"secret")
        accept(link)
    with Peer(script) as peer:
        assert send(home, peer.port, secret=" joe secret").letters == "rK"


def test_auth_scram_server_must_prove_itself(home):
    def script(link):
        link.hello("AUTH SCRAM-SHA-256")
        scram(link, b"", pretends=True)
        link.say("235 welcome")
        with pytest.raises(EOFError):
            link.fill()
    with Peer(script) as peer:
        report = send(home, peer.port, secret=" joe secret")
    assert report.letters == "Z"
    assert "did not prove" in report.text


def test_auth_never_shows_the_secret_without_tls(home):
    def script(link):
        link.hello("AUTH PLAIN LOGIN")
        assert link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port, secret=" joe secret")
    assert (report.letters, "#4.7.4" in report.text) == ("Z", True)


@pytest.mark.parametrize("challenge", ["334 not base64!", "334 "])
def test_auth_challenges_that_are_none(home, challenge):
    def script(link):
        link.hello("AUTH CRAM-MD5 SCRAM-SHA-256")
        link.take("AUTH", challenge)
        if link.line() == "*":
            link.say("501 cancelled")
        else:
            link.say("535 no")
        link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port, secret=" joe secret")
    assert report.letters == "Z"
    assert "authentication was rejected" in report.text


def test_auth_has_an_end(home):
    def script(link):
        link.hello("AUTH CRAM-MD5")
        while True:
            link.line()
            link.say("334 eA==")
    with Peer(script) as peer:
        assert send(home, peer.port, secret=" joe secret").letters == "Z"


# -- LMTP, QMTP

def test_lmtp(home):
    """Each recipient has its own end."""
    def script(link):
        link.hello(*ALL, "CHUNKING", verb="LHLO")
        link.take("MAIL", "250 ok")
        for answer in ("250 ok", "550 no", "250 ok", "250 ok"):
            link.take("RCPT", answer)
        link.take("DATA", "354 go")
        link.take_message("250 first", "452 4.2.2 full", "250 third")
        link.at_end()
    with Peer(script) as peer:
        report = send(home, peer.port, route="/l", recipients=[
            f"{i}@example.net" for i in range(4)])
    assert report.letters[:3] == "rhs"
    assert report.verdict == "K"
    assert "452 4.2.2 full" in report.recipients[2]


def test_lmtp_closed_between_answers(home):
    def script(link):
        link.hello(*ALL, verb="LHLO")
        link.take("MAIL", "250 ok")
        link.take("RCPT", "250 ok")
        link.take("RCPT", "250 ok")
        link.take("DATA", "354 go")
        link.take_message("250 first")
    with Peer(script) as peer:
        report = send(home, peer.port, route="/l", recipients=TWO)
    assert report.letters == "rsK"
    assert "Possible duplicate!" in report.recipients[1]


def netstring(link):
    while b":" not in link.buffer:
        link.fill()
    length, link.buffer = link.buffer.split(b":", 1)
    data = link.take_bytes(int(length) + 1)
    assert data[-1:] == b","
    return data[:-1]


def test_qmtp(home):
    def script(link):
        assert netstring(link) == b"\nSubject: x\n\nHello.\n"
        assert netstring(link) == b"s@example.org"
        assert netstring(link) == b"13:a@example.net,13:b@example.net,"
        link.socket.sendall(b"3:Kok,7:Dno way,")
    with Peer(script) as peer:
        report = send(home, peer.port, variable="QMTPROUTE", recipients=TWO)
    assert report.letters == "rhK"
    assert "no way" in report.recipients[1]


@pytest.mark.parametrize("answer", [
    b"", b"3:Kok", b"3:Kok;", b"999999999:K", b"K", b":", b"0:,", b"2:Xy,",
    b"2:\0y,"])
def test_qmtp_nonsense(home, answer):
    def script(link):
        for _ in range(3):
            netstring(link)
        link.socket.sendall(answer)
    with Peer(script) as peer:
        report = send(home, peer.port, variable="QMTPROUTE")
    assert report.verdict == "Z"
    assert "Possible duplicate!" in report.text


# -- the message

def test_a_message_from_a_pipe_and_its_header(home, monkeypatch):
    with Peer(plain(*ALL)) as peer:
        assert send(home, peer.port, b"a\n").letters == "rK"
    assert peer.links[0].message == b"a\r\n"


def test_a_file_that_shrinks_is_not_sent(tmp_path):
    """Its committed size counts: no final dot for less."""
    from remote_peer import Report, start_remote
    make_home(tmp_path)
    path = tmp_path / "message"
    path.write_bytes(b"0123456\n" * 100000)

    def script(link):
        link.hello("SIZE")
        link.take("MAIL", "250 ok")
        link.take("RCPT")
        os.truncate(path, 400000)
        link.say("250 ok")
        link.take("DATA", "354 go")
        with pytest.raises(EOFError):
            while True:
                link.fill()
                assert b"\r\n.\r\n" not in link.buffer
    with Peer(script) as peer, open(path, "rb") as message:
        process = start_remote(tmp_path, peer.port, ["a@b"], "s@b", message)
        report = Report(process.communicate(timeout=60)[0])
    assert report.letters == "rZ"
    assert report.text == "Unable to read message. (#4.3.0)\n"
