# SPDX-License-Identifier: ISC
"""AUTH by SMTP: smtplib, swaks, curl and gsasl, and clients that lie."""
import base64
import email
import email.policy
import hashlib
import hmac
import os
import poplib
import re
import shutil
import smtplib
import ssl
import subprocess
import time

import pytest

from node import BIN, SLOW, wait_until
from smtp_peer import Client, any_certificate, shared_node, smtpd

PASSWORD = "correct horse"
MECHANISMS = ("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256-PLUS "
              "OAUTHBEARER XOAUTH2")
SALT = b"salt of alice"


def verifier(password, iterations=4096):
    """RFC 5803, as vpasswd(5) has it."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    texts = [base64.b64encode(data).decode() for data in (
        SALT, hashlib.sha256(client).digest(),
        hmac.digest(salted, b"Server Key", "sha256"))]
    return "{SCRAM-SHA-256}" + f"{iterations},{','.join(texts)}"


def change_users(node):
    """alice alone has a verifier, u0 a secret in the clear."""
    passwd = node.home / "domains" / node.domain / "vpasswd"
    lines = passwd.read_text().splitlines()
    for i, line in enumerate(lines):
        name, crypted, rest = line.split(":", 2)
        crypted = crypted.rsplit(",", 1)[-1]
        lines[i] = f"{name}:{crypted}:{rest}"
        if name == "alice":
            lines[i] = f"{name}:{verifier(PASSWORD)},{crypted}:{rest}"
        if name == "u0":
            lines[i] += ":" + PASSWORD
    passwd.write_text("".join(f"{line}\n" for line in lines))
    node.run("vmkpasswd", node.domain)


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1, "--users", 5) as made:
        (made.control / "logindelay").write_text("100\n")
        (made.control / "loginfailuresip").write_text("0\n")
        (made.control / "authmechanisms").write_text(MECHANISMS + "\n")
        program = made.home / "introspect"
        program.write_text(
            "#!/usr/bin/python3\n"
            "import os, sys\n"
            "name, token, mechanism, _ = os.fdopen(3, 'rb').read()."
            "split(b'\\0')\n"
            "assert sys.argv[1:] == [], sys.argv\n"
            "if token == b'trouble': sys.exit(111)\n"
            f"if not name: print('bob@{made.domain}')\n"
            "sys.exit(0 if token == b'good' * 700 else 1)\n")
        program.chmod(0o755)
        (made.control / "oauthprogram").write_text(f"{program}\n")
        for user in ("alice", "bob", "u0", "u1", "u2"):
            made.run("vpasswd", f"{user}@{made.domain}", PASSWORD)
        made.run("vmoduser", "-r", f"u1@{made.domain}")  # no relaying
        change_users(made)
        yield made


@pytest.fixture(scope="module")
def server(node):
    with smtpd(node) as made:
        yield made


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else
                            text.encode()).decode()


def plain(name, password=PASSWORD, other=""):
    return b64(f"{other}\0{name}\0{password}")


def smtplib_client(server):
    client = smtplib.SMTP("127.0.0.1", server.port, timeout=30 * SLOW)
    client.starttls(context=any_certificate())
    client.ehlo("client.example.net")
    return client


@pytest.mark.parametrize("user, mechanism", [
    ("alice", "PLAIN"), ("alice", "LOGIN"), ("u0", "CRAM-MD5")])
def test_smtplib(node, server, user, mechanism):
    address = f"{user}@{node.domain}"
    before = len(node.messages("bob"))
    with smtplib_client(server) as client:
        client.user, client.password = address, PASSWORD
        name = "auth_" + mechanism.lower().replace("-", "_")
        assert client.auth(mechanism, getattr(client, name))[0] == 235
        client.sendmail(address, [f"bob@{node.domain}"],
                        f"Subject: by {mechanism}\n\n")
        # What is not ours is taken: who has logged in may relay.
        client.mail(address)
        assert client.rcpt("else@where.example")[0] == 250
    server.wait_log(rf"RCPT <bob@{node.domain}> AUTH <{address}: "
                    rf"AUTH {mechanism}> Size")
    server.wait_log(rf"login: smtp from 127\.0\.0\.1 user <{address}> ok")
    found = node.wait_messages("bob", before + 1)
    text = [t for t in found if f"by {mechanism}".encode() in t][0]
    assert b" with ESMTPSA (TLSv1.3 " in text
    assert f" ({address}@127.0.0.1)\n".encode() in text


def gsasl(server, mechanism, user, password, *options):
    """What it says, and its exit code."""
    done = subprocess.run(
        ["gsasl", "--client", "--smtp", "--starttls",
         f"--connect=127.0.0.1:{server.port}", f"--mechanism={mechanism}",
         f"--authentication-id={user}", f"--authorization-id=",
         f"--password={password}", "--quality-of-protection=qop-auth",
         "--x509-ca-file=", "--verbose", *options], input="", text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=60 * SLOW)
    return done.stdout, done.returncode


@pytest.mark.skipif(shutil.which("gsasl") is None, reason="no gsasl")
@pytest.mark.parametrize("mechanism", [
    "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN"])
@pytest.mark.parametrize("user, password, is_right", [
    ("alice", PASSWORD, True), ("u0", PASSWORD, True),
    ("alice", "wrong", False), ("nobody", PASSWORD, False),
    ("bob", PASSWORD, None)])
def test_gsasl(node, server, mechanism, user, password, is_right):
    said, code = gsasl(server, mechanism, f"{user}@{node.domain}", password,
                       *(["--no-cb"] if mechanism == "SCRAM-SHA-256" else []))
    if is_right is None:  # bob has a hash alone, which is not enough for SCRAM
        is_right = mechanism == "PLAIN"
    assert ("235 2.7.0" in said) == is_right, said
    assert is_right or "535 5.7.8 authorization failure" in said, said
    assert (code == 0) == is_right


def tls_client(server):
    client = server.client()
    client.hello()
    client.start_tls()
    client.hello()
    return client


def auth(client, mechanism, *answers):
    """The last reply, after as many challenges as there are answers."""
    reply = client.say(f"AUTH {mechanism}")
    for answer in answers:
        assert reply.code == 334, reply
        reply = client.say(answer)
    return reply


def test_mechanisms_are_offered_where_they_can_be(node):
    with smtpd(node) as server, server.client() as client:
        assert "\nAUTH PLAIN" not in client.hello("HELO").text
        # On loopback a password may go in the clear; there is no binding.
        text = client.hello().text
        assert f"\nAUTH SCRAM-SHA-256 CRAM-MD5 OAUTHBEARER XOAUTH2 PLAIN LOGIN\n" in text
        client.start_tls()
        assert "\nAUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 CRAM" in client.hello().text
    with smtpd(node, AUTHMECHANISMS="SCRAM-SHA-256-PLUS", DISABLE_CRAM_MD5="",
               OAUTHPROGRAM="") as server, server.client() as client:
        assert "\nAUTH" not in client.hello().text
        assert client.say(f"AUTH PLAIN {plain('x')}").code == 503


@pytest.mark.parametrize("mechanism, answers, code", [
    ("PLAIN " + plain("alice@example.test"), (), 235),
    ("plain", (plain("alice@example.test"),), 235),
    ("PLAIN", (plain("ALICE%example.test"),), 235),
    ("PLAIN " + plain("alice@example.test", other="alice@example.test"), (),
     235),
    ("PLAIN " + plain("alice@example.test", other="bob@example.test"), (),
     535),
    ("LOGIN", (b64("alice@example.test"), b64(PASSWORD)), 235),
    ("LOGIN " + b64("alice@example.test"), (b64(PASSWORD),), 235),
    ("LOGIN", (b64("alice@example.test"), b64("wrong")), 535),
    ("LOGIN", (b64("alice@example.test"), "*"), 501),
    ("LOGIN", ("*",), 501),
    ("LOGIN", ("",), 501),
    ("PLAIN", ("=",), 501), ("PLAIN =", (), 501), ("PLAIN", ("",), 501),
    ("PLAIN", ("%%%%",), 501), ("PLAIN", (b64("no zeros"),), 501),
    ("PLAIN", (b64("\0a\0b\0c"),), 501), ("PLAIN", (b64("\0\0"),), 535),
    ("PLAIN", (b64("\0a@example.test\0" + "x" * 8000),), 535),
    ("PLAIN", ("A" * 12300,), 500),
    ("PLAIN " + "A" * 12300, (), 553),
    ("SCRAM-SHA-256", (b64("nonsense"),), 501),
    ("SCRAM-SHA-256", (b64("n,,n=alice@example.test"),), 501),
    ("SCRAM-SHA-256", (b64("p=tls-exporter,,n=alice@example.test,r=abc"),), 501),
    # y: the client believes that there is no binding, and there is.
    ("SCRAM-SHA-256", (b64("y,,n=alice@example.test,r=abcdefgh"),), 535),
    ("SCRAM-SHA-256-PLUS", (b64("n,,n=alice@example.test,r=abcdefgh"),), 535),
    ("CRAM-MD5 " + b64("alice@example.test x"), (), 501),
    ("CRAM-MD5", (b64("alice@example.test " + "0" * 32),), 535),
    ("GSSAPI", (), 504), ("X" * 30, (), 504), ("DIGEST-MD5", (), 504),
])
def test_answers(server, mechanism, answers, code):
    with tls_client(server) as client:
        reply = auth(client, mechanism, *answers)
        assert reply.code == code, reply
        # The session goes on, and is let in or not.
        again = client.say("AUTH PLAIN " + plain("bob@example.test"))
        assert again.code == (503 if code == 235 else 235)


def salt(client, name):
    """What the server says of the name before any proof."""
    reply = client.say("AUTH SCRAM-SHA-256-PLUS " +
                       b64(f"p=tls-exporter,,n={name},r=fyko+d2lbbFgONRv9q"))
    assert client.say("*").code == 501
    fields = base64.b64decode(reply.text).decode().split(",")
    assert fields[2] == "i=4096"
    return base64.b64decode(fields[1].removeprefix("s="))


def test_salts_do_not_tell_who_is_there(node, server):
    """Neither by their length, nor by another spelling of the name."""
    domain, found = node.domain, {}
    node.run("vaddaliasdomain", "salt.test", domain)
    node.run("vadduser", "-r", 12, f"fresh@{domain}")
    with tls_client(server) as client:
        for user in ("fresh", "nobody"):
            names = (f"{user}@{domain}", f"{user.upper()}@{domain}",
                     f"{user}@salt.test", f"{user}%{domain.upper()}")
            salts = {salt(client, name) for name in names}
            assert len(salts) == 1, user
            found[user] = salts.pop()
    assert len(found["fresh"]) == len(found["nobody"])
    assert found["fresh"] != found["nobody"]
    node.run("vdeldomain", "-f", "salt.test")


def test_a_binding_of_another_connection_is_refused(node, server):
    """Somebody between hands on what a client says to him by TLS."""
    name, nonce = f"alice@{node.domain}", "fyko+d2lbbFgONRv9qkxdawL"
    head = f"n={name},r={nonce}"
    with tls_client(server) as client:
        reply = client.say("AUTH SCRAM-SHA-256-PLUS " +
                           b64("p=tls-exporter,," + head))
        first = base64.b64decode(reply.text).decode()
        fields = dict(f.split("=", 1) for f in first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(),
                                     base64.b64decode(fields["s"]),
                                     int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        last = ("c=" + b64(b"p=tls-exporter,," + os.urandom(32)) +
                ",r=" + fields["r"])
        signed = hmac.digest(hashlib.sha256(key).digest(),
                             f"{head},{first},{last}".encode(), "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signed))
        assert client.say(b64(f"{last},p={b64(proof)}")).code == 535


def scram_salt(server, name):
    with tls_client(server) as client:
        reply = client.say("AUTH SCRAM-SHA-256 " +
                           b64(f"n,,n={name},r=abcdefgh"))
        return re.search(r"s=([^,]+)", base64.b64decode(
            reply.text).decode())[1]


def test_who_is_not_there_has_one_salt(node, server):
    """At each listener, and after a restart, as who has a verifier."""
    nobody, alice = f"nobody@{node.domain}", f"alice@{node.domain}"
    salt = scram_salt(server, nobody)
    assert salt == scram_salt(server, nobody.upper())
    assert salt != scram_salt(server, f"nobody2@{node.domain}")
    with smtpd(node) as other:
        assert scram_salt(other, nobody) == salt
        assert scram_salt(other, alice) == scram_salt(server, alice)


def test_no_binding_before_tls_1_3(node, server):
    """Where the exporter does not hold for this connection alone (RFC 9266 4.2)
    it is not offered, nor taken."""
    context = any_certificate()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with smtplib.SMTP("127.0.0.1", server.port, timeout=30 * SLOW) as client:
        client.starttls(context=context)
        assert client.sock.version() == "TLSv1.2"
        client.ehlo("client.example.net")
        offered = client.esmtp_features["auth"].split()
        assert "SCRAM-SHA-256" in offered
        assert "SCRAM-SHA-256-PLUS" not in offered
        assert client.docmd("AUTH", "SCRAM-SHA-256-PLUS " + b64(
            f"p=tls-exporter,,n=alice@{node.domain},r=abcdefgh"))[0] == 504


@pytest.mark.parametrize("mechanism, text, code", [
    ("OAUTHBEARER", "n,a=alice@{d},\1host=h\1auth=Bearer {t}\1\1", 235),
    ("OAUTHBEARER", "n,,\1auth=Bearer {t}\1\1", 235),
    ("XOAUTH2", "user=alice@{d}\1auth=Bearer {t}\1\1", 235),
    ("XOAUTH2", "user=nobody@{d}\1auth=Bearer {t}\1\1", 334),
    ("XOAUTH2", "user=alice@{d}\1auth=Bearer bad\1\1", 334),
    ("XOAUTH2", "user=alice@{d}\1auth=Bearer trouble\1\1", 454),
    ("OAUTHBEARER", "n,a=alice@{d},\1auth=Bearer bad\1\1", 334),
    ("OAUTHBEARER", "p,a=alice@{d},\1auth=Bearer {t}\1\1", 501),
    ("OAUTHBEARER", "n,a=al=ice@{d},\1auth=Bearer {t}\1\1", 501),
    ("XOAUTH2", "user=alice@{d}\1auth=Bearer {t}\1", 501),
    ("XOAUTH2", "user=alice@{d}\1\1", 501), ("XOAUTH2", "\0\1\1", 501)])
def test_tokens(node, server, mechanism, text, code):
    text = text.format(d=node.domain, t="good" * 700)
    with tls_client(server) as client:
        reply = client.say(f"AUTH {mechanism} {b64(text)}")
        if code == 334:
            assert base64.b64decode(reply.text) == b'{"status":"invalid_token"}'
            assert client.say("AQ==").code == 535
        else:
            assert reply.code == code


def test_who_may_not(node):
    """Locked out, without the right, inactive; and never by the plain net."""
    node.run("vmoduser", "-s", f"u3@{node.domain}")
    node.run("vpasswd", f"u3@{node.domain}", PASSWORD)
    with smtpd(node) as server:
        with tls_client(server) as client:
            reply = client.say("AUTH PLAIN " + plain(f"u3@{node.domain}"))
            assert (reply.code, reply.text[:6]) == (535, "5.7.13")
        with tls_client(server) as client:
            for _ in range(3):
                reply = client.say("AUTH PLAIN " + plain("nobody", "x"))
                assert reply.code == 535
            assert client.read().code == 421
            assert client.is_closed()
        server.wait_log(r"from 127.0.0.1  AUTH USER \[nobody\] status=\[1\] "
                        r"AUTH PLAIN TLS=TLSv1.3 auth failure")
    (node.control / "loginfailures").write_text("2\n")
    try:
        with smtpd(node) as server, tls_client(server) as client:
            codes = [client.say("AUTH PLAIN " + plain("u4", "x")).code
                     for _ in range(3)]
            assert codes == [535, 535, 454]
    finally:
        (node.control / "loginfailures").unlink()


def test_wrong_users_take_as_long(node):
    def one(server, name):
        with tls_client(server) as client:
            start = time.monotonic()
            reply = client.say("AUTH PLAIN " + plain(name, "wrong"))
            return str(reply), time.monotonic() - start

    names = ("alice", "nobody") * 4
    with smtpd(node) as server:
        texts, times = zip(*[one(server, f"{name}@{node.domain}")
                             for name in names])
    assert len(set(texts)) == 1
    # A host with much to do makes some longer, none shorter.
    assert min(times[1::2]) > min(times[::2]) / 4


def test_auth_in_its_place(server):
    with tls_client(server) as client:
        client.ok("MAIL FROM:<a@b> AUTH=<>")
        assert client.say("AUTH PLAIN").code == 503
        client.ok("RSET")
        client.ok("MAIL FROM:<a@b> AUTH=e+3Dmc2@example.com")
        client.ok("RSET")
        assert client.say("MAIL FROM:<a@b> AUTH=x+3").code == 501
        assert client.say("MAIL FROM:<a@b> AUTH").code == 501
        assert client.say("AUTH").code == 501
        assert client.hello("HELO").code == 250
        assert client.say("AUTH PLAIN").code == 503
        # A line of another verb may not be as long as one of AUTH.
        client.hello()
        assert client.say("NOOP " + "x" * 2000).code == 553


def test_plain_network(node):
    """Elsewhere a password needs TLS."""
    rules = {"MQMAIL_TEST": "1"}
    env = node.environment() | {"TCPREMOTEIP": "192.0.2.9"} | rules
    done = subprocess.run(
        [BIN / "qmail-smtpd"], input="EHLO x\r\nAUTH PLAIN\r\nQUIT\r\n",
        env=env, stdout=subprocess.PIPE, text=True, timeout=60)
    assert "AUTH" not in done.stdout
    assert "538 5.7.11 Encryption required" in done.stdout
    done = subprocess.run(
        [BIN / "qmail-smtpd"], input=f"EHLO x\r\nAUTH PLAIN "
        f"{plain('alice@' + node.domain)}\r\nSTARTTLS\r\nQUIT\r\n",
        env=env | {"SMTPAUTHPLAIN": "1"}, stdout=subprocess.PIPE, text=True,
        timeout=60)
    assert "235 2.7.0" in done.stdout and "\n503 " in done.stdout


def test_relaying_is_for_who_may(node, server):
    with tls_client(server) as client:
        assert auth(client, "PLAIN " + plain(f"u1@{node.domain}")).code == 235
        client.ok(f"MAIL FROM:<u1@{node.domain}>")
        assert client.say("RCPT TO:<x@where.example>").code == 553
        client.ok(f"RCPT TO:<bob@{node.domain}>")


def test_senders(node, server):
    domain = node.domain
    node.run("vaddaliasdomain", "alias.test", domain)
    folder = node.home / "domains" / domain
    (folder / ".qmail-sales").write_text(f"&alice@{domain}\n")
    (folder / ".qmail-other").write_text(f"&bob@{domain}\n")
    # Of alice's extensions these are other people's.
    (folder / ".qmail-alice-boss").write_text(f"&bob@{domain}\n")
    (folder / ".qmail-alice-list-default").write_text(f"&bob@{domain}\n")
    node.run("vadduser", "-r", 12, f"alice-jane@{domain}")
    with tls_client(server) as client:
        auth(client, "PLAIN " + plain(f"alice@{domain}"))
        for sender, code in (
                (f"alice@{domain}", 250), (f"ALICE@{domain}", 250), ("", 250),
                ("alice@alias.test", 250), (f"alice-x@{domain}", 250),
                (f"sales@{domain}", 250), (f"other@{domain}", 553),
                (f"bob@{domain}", 553), ("alice@else.example", 553),
                (f"alicex@{domain}", 553), (f"nobody@{domain}", 553),
                (f"alice-x-y@{domain}", 250), (f"alice-boss@{domain}", 553),
                (f"alice-list-x@{domain}", 553),
                (f"alice-jane@{domain}", 553),
                ("Alice", 250), ("bob", 553),  # at me, an alias domain
                (f"alice-jane-x@alias.test", 553),
                (f"Alice-Boss@alias.test", 553)):
            reply = client.say(f"MAIL FROM:<{sender}>")
            assert reply.code == code, sender
            client.ok("RSET")
    server.wait_log(r"Invalid masquerade: MAIL from <bob@\S+> Auth <alice@")
    with smtpd(node, MASQUERADE="") as other, tls_client(other) as client:
        auth(client, "PLAIN " + plain(f"alice@{domain}"))
        client.ok("MAIL FROM:<anybody@else.example>")
    (node.control / "userextension").write_text("\n")
    (node.control / "envnoathost").write_text("else.example\n")
    try:
        with smtpd(node) as other, tls_client(other) as client:
            auth(client, "PLAIN " + plain(f"alice@{domain}"))
            assert client.say(f"MAIL FROM:<alice-x@{domain}>").code == 553
            client.ok(f"MAIL FROM:<sales@{domain}>")
            client.ok("RSET")
            assert client.say("MAIL FROM:<alice>").code == 553
    finally:
        (node.control / "userextension").unlink()
        (node.control / "envnoathost").unlink()
    (node.control / "auth.envrules").write_text(
        f"alice@{domain}:MASQUERADE=1,DATABYTES=1000\n")
    (node.control / "authdomains").write_text("own.example\n")
    try:
        with smtpd(node) as other, tls_client(other) as client:
            client.ok("MAIL FROM:<x@else.example>")
            client.ok("RSET")
            assert client.say("MAIL FROM:<x@own.example>").code == 530
            auth(client, "PLAIN " + plain(f"alice@{domain}"))
            client.ok("MAIL FROM:<x@own.example>")
            client.ok("RSET")
            assert client.say("MAIL FROM:<> SIZE=1001").code == 552
    finally:
        (node.control / "auth.envrules").unlink()
        (node.control / "authdomains").unlink()


def test_checkpassword_program(node):
    script = node.home / "check"
    script.write_text(
        "#!/usr/bin/python3\n"
        "import os, sys\n"
        "name, password, stamp, _ = os.fdopen(3, 'rb').read().split(b'\\0')\n"
        "if password == b'trouble': sys.exit(111)\n"
        "if (name, password) != (b'carol', b'pw'): sys.exit(1)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n")
    script.chmod(0o755)
    with smtpd(node, "host.example", str(script), "/bin/true") as server:
        with tls_client(server) as client:
            assert "\nAUTH PLAIN LOGIN\n" in client.hello().text
            assert auth(client, "PLAIN " + plain("carol", "no")).code == 535
            assert auth(client, "PLAIN " + plain("carol", "trouble")).code == 454
            assert auth(client, "LOGIN", b64("carol"), b64("pw")).code == 235
            assert client.say("MAIL FROM:<x@else.example>").code == 553
            client.ok("MAIL FROM:<carol@mail.example.test>")
            client.ok("RCPT TO:<a@where.example>")
    # vchkpw is such a program, for the same users.
    with smtpd(node, "host.example", "vchkpw", "/bin/true") as server:
        with tls_client(server) as client:
            name = f"alice@{node.domain}"
            assert auth(client, "PLAIN " + plain(name)).code == 235
            client.ok(f"MAIL FROM:<{name}>")
    with smtpd(node, "host.example", "/does/not/exist", "/bin/true") as server:
        with tls_client(server) as client:
            assert auth(client, "PLAIN " + plain("carol")).code == 454


@pytest.mark.skipif(shutil.which("swaks") is None, reason="no swaks")
@pytest.mark.parametrize("mechanism, user", [
    ("PLAIN", "alice"), ("LOGIN", "alice"), ("CRAM-MD5", "u0")])
def test_swaks(node, server, mechanism, user):
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(server.port),
         "--auth", mechanism, "--auth-user", f"{user}@{node.domain}",
         "--auth-password", PASSWORD, "--from", f"{user}@{node.domain}",
         "--to", f"bob@{node.domain}", "--body", "x"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=60 * SLOW)
    if "not available" in done.stdout.lower():
        pytest.skip(f"swaks has no {mechanism} here")
    assert done.returncode == 0, done.stdout
    assert "235 2.7.0" in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_curl_at_the_submission_ports(node, service, tmp_path):
    message = tmp_path / "message"
    message.write_bytes(f"Subject: curl {service}\r\n\r\nx\r\n".encode())
    before = len(node.messages("bob"))
    scheme = "smtps" if service == "submissions" else "smtp"
    done = subprocess.run(
        ["curl", "-sS", "-k", "--ssl-reqd",
         f"{scheme}://127.0.0.1:{node.info[service]}/client.example.net",
         "--user", f"u0@{node.domain}:{PASSWORD}", "--mail-from",
         f"u0@{node.domain}", "--mail-rcpt", f"bob@{node.domain}",
         "--upload-file", message], stderr=subprocess.PIPE, text=True,
        timeout=60 * SLOW)
    assert done.returncode == 0, done.stderr + node.log(f"qmail-smtpd.{node.info[service]}")
    found = node.wait_messages("bob", before + 1)
    assert any(f"curl {service}".encode() in text for text in found)


def submit(node, text, *recipients, sender=None, verbs=()):
    """By the node's port for submission, as alice; what bob gets of it."""
    before = len(node.messages("bob"))
    with smtplib.SMTP("127.0.0.1", int(node.info["submission"]),
                      timeout=30 * SLOW) as client:
        client.starttls(context=any_certificate())
        client.ehlo("client.example.net")
        client.docmd("AUTH", "PLAIN " + plain(f"alice@{node.domain}"))
        client.sendmail(sender or f"alice@{node.domain}",
                        recipients or [f"bob@{node.domain}"], text)
    return node.wait_messages("bob", before + 1)


def parsed(messages, subject):
    found = [email.message_from_bytes(text, policy=email.policy.default)
             for text in messages]
    return [m for m in found if m["Subject"] == subject][0]


def test_submission_needs_a_login(node):
    with Client(int(node.info["submission"])) as client:
        client.hello()
        assert client.say("MAIL FROM:<a@b>").code == 530
    with Client(int(node.info["submissions"]), any_certificate()) as client:
        assert re.search("\nAUTH .*PLAIN", client.hello().text)
        assert client.say("MAIL FROM:<a@b>").code == 530


def test_what_is_missing_is_added(node):
    domain = node.domain
    message = parsed(submit(node, "Subject: nothing else\r\n\r\nx\r\n"),
                     "nothing else")
    assert message["From"].addresses[0].addr_spec == f"alice@{domain}"
    sent = message["Date"].datetime.timestamp()
    assert abs(sent - time.time()) < 100
    assert re.fullmatch(r"<[0-9a-f-]{36}@mail\.example\.test>",
                        message["Message-ID"])
    assert message["Cc"].groups[0].display_name == "recipient list not shown"
    assert message.get_content() == "x\n"


def test_what_is_there_stays_and_bcc_goes(node):
    domain = node.domain
    text = ("Received: from a by b\r\nBCC: secret@x.example,\r\n"
            " more@x.example\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
            "Message-ID: <own@id.example>\r\nFrom: \"A. Lice\" <alice>,\r\n"
            "\tbob@host (comment, b), carol\r\n"
            "To: friends: dave, \"e. e\"@x.example;, <@r.example:f@g>\r\n"
            "Return-Path: <forged@x.example>\r\nSubject: all there\r\n"
            "\r\nBcc: of the body\r\n")
    (node.control / "defaultdomain").write_text("default.example\n")
    try:
        reload(node)
        found = [m for m in submit(node, text) if b"all there" in m][0]
    finally:
        (node.control / "defaultdomain").unlink()
        reload(node)
    message = email.message_from_bytes(found, policy=email.policy.default)
    assert b"secret" not in found and b"more@x" not in found
    assert found.endswith(b"Bcc: of the body\n")
    assert message.get_all("Date") == ["Tue, 14 Nov 2023 22:13:20 +0000"]
    assert message.get_all("Message-ID") == ["<own@id.example>"]
    assert message.get_all("Return-Path") == [f"<alice@{domain}>"]
    assert [a.addr_spec for a in message["From"].addresses] == [
        f"alice@{domain}", "bob@host.default.example", f"carol@{domain}"]
    assert [a.addr_spec for a in message["To"].addresses] == [
        f"dave@{domain}", '"e. e"@x.example', "f@g.default.example"]


def reload(node):
    name = f"qmail-smtpd.{node.info['submission']}"
    before = node.log(name).count("settings reread")
    subprocess.run(["svc", "-h", node.home / "service" / name], check=True)
    wait_until(lambda: node.log(name).count("settings reread") > before,
               "settings reread")


@pytest.mark.parametrize("header, code", [
    ("Subject: none", 250),
    ("From: alice", 250), ("From: <ALICE@{d}>", 250),
    ("From: \"A, lice\" <alice+x@{d}>", 550),
    ("From: Alice <alice-x@{d}>", 250),
    ("From: bob@{d}", 550), ("From: ceo@corp.example", 550),
    ("from : alice@{d},\r\n  ceo@corp.example", 550),
    ("From: alice@{d}\r\nFrom: ceo@corp.example", 550),
    ("From: alice@{d}\r\nSender: ceo@corp.example", 550),
    ("From: alice@{d}\r\nReply-To: ceo@corp.example", 250),
    ("From: \"ceo@corp.example\\\r\nFrom: \" <alice@{d}>", 550),
    ("From: ceo@corp.example <alice@{d}>", 550),
    ("From: alice@{d}" + ",\r\n alice@{d}" * 2000, 550)])
def test_header_from(node, header, code):
    """With checkfrom the header's authors are who has logged in."""
    text = f"{header}\r\n\r\nFrom: of the body\r\n".replace("{d}", node.domain)
    (node.control / "checkfrom").write_text("1\n")
    try:
        with smtpd(node, "--submission") as server, \
                tls_client(server) as client:
            auth(client, "PLAIN " + plain(f"alice@{node.domain}"))
            client.ok(f"MAIL FROM:<alice@{node.domain}>")
            client.ok(f"RCPT TO:<bob@{node.domain}>")
            client.write(b"DATA\r\n")
            assert client.read().code == 354
            client.write(text.encode() + b".\r\n")
            assert client.read().code == code
            # It is the header alone that was wrong.
            client.ok("NOOP")
    finally:
        (node.control / "checkfrom").unlink()


def test_senders_of_our_domains_log_in(node):
    for variables in ({"CHECKSENDER": "1"}, {"ANTISPOOFING": "1"}):
        with smtpd(node, **variables) as server, tls_client(server) as client:
            client.ok("MAIL FROM:<x@else.example>")
            client.ok("RSET")
            client.ok("MAIL FROM:<>")
            client.ok("RSET")
            reply = client.say(f"MAIL FROM:<alice@{node.domain}>")
            assert reply.code == 530
            auth(client, "PLAIN " + plain(f"alice@{node.domain}"))
            client.ok(f"MAIL FROM:<alice@{node.domain}>")


def test_limits(node):
    with smtpd(node, "--submission", MAXRECIPIENTS=7) as server:
        with server.client() as client:
            assert "\nLIMITS RCPTMAX=7\n" in client.hello().text
    with smtpd(node) as server, server.client() as client:
        assert "LIMITS" not in client.hello().text


def test_recipients_cdb(node):
    file = node.home / "users/recipients"
    file.write_text(f"# ours\nListed@{node.domain}\n@all.example\n")
    node.run("qmail-cdb", "recipients")
    (node.control / "rcpthosts").write_text(f"{node.domain}\nall.example\n"
                                            "own.example\n")

    def codes(server):
        with server.client() as client:
            client.hello()
            client.ok("MAIL FROM:<>")
            return [client.say(f"RCPT TO:<{name}>").code for name in (
                f"listed@{node.domain}", f"bob@{node.domain}",
                f"nobody@{node.domain}", "x@all.example", "x@own.example")]

    try:
        with smtpd(node, CHECKRECIPIENT=1) as server:
            assert codes(server) == [550, 250, 550, 250, 250]
        with smtpd(node, CHECKRECIPIENT=2) as server:
            assert codes(server) == [250, 250, 550, 250, 250]
        with smtpd(node, CHECKRECIPIENT=3) as server:
            assert codes(server) == [250, 550, 550, 250, 550]
            (node.home / "users/recipients.cdb").unlink()
            time.sleep(1.1)  # it may be as old
            assert codes(server) == [451] * 5
        file.write_text("no address\n")
        done = node.run("qmail-cdb", "recipients", code=100)
        assert ":1: " in done.stderr
    finally:
        (node.control / "rcpthosts").write_text(f"{node.domain}\n")
        file.unlink()


def test_pop_before_smtp(node):
    def relay(server, sender):
        with server.client() as client:
            client.hello()
            client.ok(f"MAIL FROM:<{sender}>")
            return client.say("RCPT TO:<x@where.example>").code

    u2 = f"u2@{node.domain}"
    with smtpd(node, CHECKRELAY="1") as server:
        assert relay(server, u2) == 553
        client = poplib.POP3("127.0.0.1", int(node.info["pop3"]))
        client.user(u2)
        client.pass_(PASSWORD)
        client.quit()
        assert relay(server, u2) == 250
        assert relay(server, u2.upper()) == 250
        assert relay(server, "x@else.example") == 553
        # A login by SMTP is noted, too; that of who may not relay opens nothing.
        for user, code in (("u0", 250), ("u1", 553)):
            name = f"{user}@{node.domain}"
            with tls_client(server) as client:
                auth(client, "PLAIN " + plain(name))
            assert relay(server, name) == code
    with smtpd(node) as server:
        assert relay(server, u2) == 553


def hold(maildir, *subjects, domain):
    for folder in ("new", "cur", "tmp"):
        (maildir / folder).mkdir(parents=True, exist_ok=True)
    for i, subject in enumerate(subjects):
        (maildir / "new" / f"{time.time_ns()}.{i}.x").write_text(
            f"Return-Path: <from@else.example>\n"
            f"Delivered-To: held-to@{domain}\nSubject: {subject}\n\n.\n")


@pytest.fixture
def odmr(node):
    """A server for ATRN, with mail for two domains of u2."""
    held = {name: node.home / f"held-{name}" for name in ("one", "two")}
    for name, folder in held.items():
        hold(folder, name, name + " again", domain=f"{name}.example")
    (node.control / "etrnhosts").write_text("".join(
        f"{name}.example 127.0.0.2 {folder} held-\n"
        for name, folder in held.items()) + "empty.example 127.0.0.2 /\n")
    (node.control / "atrnaccess").write_text(
        f"u2@{node.domain}:one.example, two.example,empty.example\n")
    try:
        with smtpd(node, "--odmr") as server:
            yield server, held
    finally:
        for name in ("etrnhosts", "atrnaccess"):
            (node.control / name).unlink()
        for folder in held.values():
            shutil.rmtree(folder)


class Turned:
    """What a client says and hears after ATRN: he is the server."""

    def __init__(self, client, refuses=""):
        self.file = client.socket.makefile("rwb")
        self.subjects = []
        self.say("220 customer.example ESMTP")
        recipient = None
        while True:
            line = self.file.readline().decode().strip()
            verb = line[:4].upper()
            if line == "" or verb == "QUIT":
                self.say("221 bye")
                break
            if verb == "RCPT":
                recipient = line.split("<")[1].split(">")[0]
            if verb == "DATA":
                self.say("354 go on")
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    text += self.file.readline()
                subject = re.search(rb"Subject: (.*)\r\n", text)[1].decode()
                self.subjects.append((recipient, subject))
                self.say("451 not now" if subject == refuses else "250 taken")
            else:
                self.say("250 ok")

    def say(self, line):
        self.file.write(line.encode() + b"\r\n")
        self.file.flush()


def files(folder):
    return sorted(re.search("Subject: (.*)", file.read_text())[1]
                  for file in folder.glob("*/*"))


def test_atrn(node, odmr):
    server, held = odmr
    with tls_client(server) as client:
        assert "\nATRN\n" in client.hello().text
        assert client.say("ATRN").code == 530
        assert client.say("MAIL FROM:<>").code == 530
        auth(client, "PLAIN " + plain(f"u2@{node.domain}"))
        assert client.say("ATRN other.example").code == 553
        assert client.say("ATRN one.example,other.example").code == 553
        assert client.say("ATRN two.example").code == 250
        turned = Turned(client, refuses="two")
        assert sorted(turned.subjects) == [
            ("to@two.example", "two"), ("to@two.example", "two again")]
    server.wait_log(rf"ATRN <u2@{node.domain}> done status 0")
    assert files(held["two"]) == ["two"] and len(files(held["one"])) == 2
    with tls_client(server) as client:
        auth(client, "PLAIN " + plain(f"u2@{node.domain}"))
        assert client.say("ATRN one.example,TWO.example").code == 250
        assert len(Turned(client).subjects) == 3
    wait_until(lambda: not files(held["one"]) + files(held["two"]), "empty")
    with tls_client(server) as client:
        auth(client, "PLAIN " + plain(f"u2@{node.domain}"))
        assert client.say("ATRN two.example").code == 453
        assert client.say("ATRN").code == 451  # "/" is no Maildir
    with tls_client(server) as client:
        auth(client, "PLAIN " + plain(f"alice@{node.domain}"))
        assert client.say("ATRN").code == 553


def test_atrn_client_that_goes_away(node, odmr):
    server, held = odmr
    with tls_client(server) as client:
        auth(client, "PLAIN " + plain(f"u2@{node.domain}"))
        assert client.say("ATRN one.example").code == 250
        client.write("220 here\r\n")
        client.file.readline()
    server.wait_log(rf"ATRN <u2@{node.domain}> done status [1-9]")
    assert len(files(held["one"])) == 2


def test_atrn_is_for_odmr_alone(server):
    with tls_client(server) as client:
        assert "ATRN" not in client.hello().text
        assert client.say("ATRN").code == 502
