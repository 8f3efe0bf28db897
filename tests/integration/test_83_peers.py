# SPDX-License-Identifier: ISC
"""A whole node between other people's servers: by each peer out and back in.

What the node sends to a peer's domain the peer sends back, to the node's users,
so that one message shows both directions.
"""
import email
import email.policy
import json
import re
import smtplib
import subprocess

import pytest

import exim_peer
import postfix_peer
from node import SLOW, wait_until
from smtp_peer import shared_node
from test_57_postfix import Arrivals, lines_of, message
from test_72_remote_peers import dovecot

__all__ = ["dovecot"]
SENDER = "sender@example.net"
NAMES = ["postfix", "exim"]
HOSTNAMES = {"postfix": postfix_peer.HOSTNAME, "exim": exim_peer.HOSTNAME}

POSTFIX = """\
smtpd_tls_security_level = may
smtpd_tls_chain_files = {pem}
smtp_line_length_limit = 0
virtual_alias_domains = peer.test
virtual_alias_maps = regexp:{folder}/aliases
smtpd_recipient_restrictions =
    check_recipient_access inline:{{ {{ no@peer.test = REJECT }},
    {{ later@peer.test = DEFER }} }}, permit_mynetworks, reject
"""


@pytest.fixture(scope="module")
def node():
    with shared_node("--relay", "--users", 20) as made:
        yield made


def route(node, port, options=""):
    """What is for peer.test goes there from now on."""
    (node.control / "smtproutes").write_text(
        f"peer.test:[127.0.0.1]{options}:{port}\n")
    node.reread_remote()


@pytest.fixture(scope="module")
def postfix(node, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aliases")
    for each in (folder, folder.parent):
        each.chmod(0o755)
    (folder / "aliases").write_text("/^(.*)@peer\\.test$/ $1@example.test\n")
    pem = node.home / "tls/servercert.pem"
    pem.chmod(0o644)
    settings = POSTFIX.format(pem=pem, folder=folder)
    with postfix_peer.relaying(node.smtp_port, settings) as running:
        yield running


@pytest.fixture(scope="module")
def exim(node):
    with exim_peer.exim(node) as running:
        yield running


@pytest.fixture(scope="module", params=NAMES)
def peer(request, node):
    running = request.getfixturevalue(request.param)
    running.hostname = HOSTNAMES[request.param]
    route(node, running.port)
    return running


def send(node, recipients, text, sender=SENDER, mail=(), rcpt=()):
    """By SMTP, with parameters of MAIL and of each RCPT."""
    with node.smtp() as client:
        client.ehlo()
        if "SMTPUTF8" in mail:
            client.command_encoding = "utf-8"
        assert client.mail(sender, list(mail))[0] == 250
        for recipient in recipients:
            code, said = client.rcpt(recipient, list(rcpt))
            assert code == 250, said
        code, said = client.data(text)
        assert code == 250, said


def reports(arrival, count=1):
    """Reports that came for a user, as Python's email reads them."""
    wait_until(lambda: len(arrival.files()) >= count,
               lambda: f"{count} reports for {arrival.user}")
    made = []
    for file in arrival.files():
        report = email.message_from_bytes(file.read_bytes(),
                                          policy=email.policy.default)
        assert report.get_content_type() == "multipart/report"
        status = next(part for part in report.walk() if
                      part.get_content_type() == "message/delivery-status")
        made.append((report, status.get_payload()))
    assert len(made) == count
    return made


# -- what arrives is what was sent

BODIES = {
    "empty": b"", "short": b"Hello.\n", "dots": b".\n..\n.a\n. \nend\n",
    "8bit": "Grüße\n".encode() + bytes(range(128, 256)) + b"\n",
    "998": b"x" * 998 + b"\n" + b"." * 998 + b"\n",
    "30k": b"0123456\n" * 3800, "64k": b"0123456\n" * 8300,
    "128k": b"0123456\n" * 16500, "any": lines_of(300, "peers"),
    "5m": lines_of(12000, "large"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(node, peer, name):
    arrival = Arrivals(node, "alice")
    send(node, ["alice@peer.test"], message(BODIES[name]),
         mail=["BODY=8BITMIME"])
    (header, body), = arrival.wait()
    assert body == BODIES[name]
    assert header.startswith(f"Return-Path: <{SENDER}>\n".encode())
    # Each of three Received by whom it says, and TLS on both ways.
    hops = re.findall(rb"^\s+by (\S+) .*?with (\w+)", header,
                      re.MULTILINE | re.DOTALL)
    assert len(re.findall(rb"^Received: ", header, re.MULTILINE)) == 3
    assert hops[0] == (b"mail.example.test", b"ESMTPS")
    assert hops[1][0] == peer.hostname.encode()
    assert hops[1][1].lower() == b"esmtps"


def test_long_lines(node, exim, postfix):
    """Longer than any standard allows: no byte is lost, none added."""
    body = b"x" * 5000 + b"\n." + b"y" * 70000 + b"\nend\n"
    arrival = Arrivals(node, "bob")
    route(node, postfix.port)
    send(node, ["bob@peer.test"], message(body))
    (_, arrived), = arrival.wait()
    assert arrived == body
    # Exim does not send such lines, and says so to the sender.
    sender, arrival = Arrivals(node, "alice"), Arrivals(node, "bob")
    route(node, exim.port)
    send(node, ["bob@peer.test"], message(body),
         sender=f"alice@{node.domain}")
    wait_until(sender.files, "Exim's report")
    assert b"lines too long" in sender.files()[0].read_bytes()
    assert arrival.files() == []


def test_many_messages_and_recipients(node, peer):
    """Several at once over kept connections; each has its own, once."""
    users = [f"u{number}" for number in range(20)]
    arrivals = {user: Arrivals(node, user) for user in users}
    for number in range(30):
        send(node, [f"{user}@peer.test" for user in users],
             message(b"number %d\n" % number))
    for arrival in arrivals.values():
        wait_until(lambda: len(arrival.files()) >= 30,
                   lambda: f"30 for {arrival.user}", 60 * SLOW)
    node.wait_empty(60 * SLOW)
    for arrival in arrivals.values():
        assert sorted(body for _, body in arrival.wait(30)) == sorted(
            b"number %d\n" % number for number in range(30))


# -- refusals

def test_one_of_several_is_refused(node, peer):
    sender, good = Arrivals(node, "bob"), Arrivals(node, "alice")
    send(node, ["no@peer.test", "alice@peer.test", "later@peer.test"],
         message(b"for one\n"), sender=f"bob@{node.domain}")
    wait_until(lambda: len(good.files()) == 1, "it came for the good one")

    def left():
        return json.loads(node.svctool("queue", "list", "--json").stdout)
    wait_until(lambda: [row["recipients"] for row in left()] ==
               [["later@peer.test"]], lambda: str(left()))
    # It is told at the message's end, which comes sooner so.
    assert sender.files() == []
    node.svctool("queue", "delete", "--recipient", "later@peer.test")
    (_, (head, group)), = reports(sender)
    assert head["Reporting-MTA"] == "dns; mail.example.test"
    assert group["Final-Recipient"] == "rfc822; no@peer.test"
    assert group["Action"] == "failed"
    assert re.fullmatch(r"5\.[17]\.1", group["Status"])
    assert re.match(r"smtp; 55[04] ", group["Diagnostic-Code"])
    assert group["Remote-MTA"] == "dns; [127.0.0.1]"
    node.wait_empty()
    assert len(good.files()) == 1


def test_a_peer_refuses_what_is_too_large(node, exim):
    """Its SIZE is believed: nothing is sent, and the sender knows."""
    sender = Arrivals(node, "bob")
    route(node, exim.port)
    body = b"0123456789abcde\n" * (22 << 16)
    at = len(exim.log())
    assert node.inject("alice@peer.test", sender=f"bob@{node.domain}",
                       text=f"Subject: x\n\n{body.decode()}") == 0
    (_, (_, group)), = reports(sender)
    assert group["Status"] == "5.3.4"
    assert "<=" not in exim.log()[at:].replace("<= <>", "")


def test_a_peer_that_was_away(node):
    """It waits meanwhile, and comes once."""
    arrival = Arrivals(node, "alice")
    with exim_peer.exim(node) as brief:
        port = brief.port
        settings = brief
    route(node, port)
    send(node, ["alice@peer.test"], message(b"patient\n"))
    wait_until(lambda: any(
        "127.0.0.1" in line and ("rests" in line or "deferral" in line)
        for line in (node.log("queue1") + node.log("queue2")).splitlines()),
        node.logs)
    assert arrival.files() == [] and settings.process.poll() is not None
    with exim_peer.exim(node) as back:
        route(node, back.port)
        node.retry_until(arrival.files, "it is sent")
        assert [body for _, body in arrival.wait()] == [b"patient\n"]


# -- what senders want to be told

def check_success(node, peer, sender, envids, orcpt):
    """What was asked for went out: the peer has it, as it tells itself that it
    gave the mail to another address (RFC 3461 5.2.7.3); and nobody else does.
    Exim shows an xtext as it came.
    """
    (_, (head, group)), = reports(sender)
    assert head["Reporting-MTA"] == f"dns; {peer.hostname}"
    assert head["Original-Envelope-Id"] in envids
    assert group["Original-Recipient"].replace(" ", "").replace(
        "+2D", "-") == f"rfc822;{orcpt}"
    assert group["Final-Recipient"].endswith("alice@peer.test")
    assert group["Action"] in ("expanded", "delivered", "relayed")
    assert group["Status"] == "2.0.0"
    node.wait_empty()
    assert len(sender.files()) == 1


def test_success_is_asked_of_a_peer(node, peer):
    sender = Arrivals(node, "bob")
    send(node, ["alice@peer.test"], message(b"told\n"),
         sender=f"bob@{node.domain}", mail=["RET=HDRS", "ENVID=A+2B1"],
         rcpt=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first+2Dx@example.org"])
    check_success(node, peer, sender, ("A+1", "A+2B1"), "first-x@example.org")


@pytest.mark.parametrize("notify, count", [
    ("SUCCESS", 1), ("NEVER", 0), ("FAILURE,DELAY", 0)])
def test_a_peer_asks_to_be_told(node, peer, notify, count):
    """It is not at the end, and hands on what its client has said."""
    sender = Arrivals(node, "bob")
    arrival = Arrivals(node, "alice")
    with peer.smtp() as client:
        client.sendmail(
            f"bob@{node.domain}", [f"alice@{node.domain}"], message(b"x\n"),
            ["ENVID=P+2B1", "RET=HDRS"],
            [f"NOTIFY={notify}", "ORCPT=rfc822;first+2Dx@example.org"])
    arrival.wait()
    node.wait_empty()
    if count == 0:
        assert sender.files() == []
        return
    (_, (head, group)), = reports(sender)
    assert head["Original-Envelope-Id"] == "P+1"
    assert group["Original-Recipient"] == "rfc822; first-x@example.org"
    assert (head["Reporting-MTA"], group["Action"]) == (
        "dns; mail.example.test", "delivered")


def test_failure_is_told_by_the_peer(node, peer):
    """Whom we refuse, the peer reports; with what it was told."""
    sender = Arrivals(node, "bob")
    send(node, ["nobody@peer.test"], message(b"secret\n"),
         sender=f"bob@{node.domain}", mail=["RET=HDRS", "ENVID=QQ7"],
         rcpt=["NOTIFY=FAILURE", "ORCPT=rfc822;him@example.org"])
    (report, (head, group)), = reports(sender)
    assert peer.hostname in head["Reporting-MTA"]
    assert head["Original-Envelope-Id"] == "QQ7"
    assert group["Action"] == "failed" and group["Status"][0] == "5"
    assert b"secret" not in sender.files()[0].read_bytes()


def test_never_is_told_to_nobody(node, peer):
    sender = Arrivals(node, "bob")
    after = Arrivals(node, "alice")
    # Exim forgets it with a new address.
    is_postfix = peer.hostname == postfix_peer.HOSTNAME
    for each in ("no", "nobody") if is_postfix else ("no",):
        send(node, [f"{each}@peer.test"], message(b"x\n"),
             sender=f"bob@{node.domain}", rcpt=["NOTIFY=NEVER"])
    send(node, ["alice@peer.test"], message(b"after\n"))
    after.wait()
    wait_until(lambda: not peer.queued() or "empty" in peer.queued(),
               "the peer has nothing left")
    node.wait_empty()
    assert sender.files() == []


def test_a_peer_without_dsn_is_reported_as_relayed(node):
    sender, arrival = Arrivals(node, "bob"), Arrivals(node, "alice")
    with exim_peer.exim(node, dsn=False) as plain:
        route(node, plain.port)
        send(node, ["alice@peer.test"], message(b"x\n"),
             sender=f"bob@{node.domain}", rcpt=["NOTIFY=SUCCESS"])
        (_, (_, group)), = reports(sender)
        assert group["Action"] == "relayed"
        assert group["Final-Recipient"] == "rfc822; alice@peer.test"
        arrival.wait()


# -- addresses that are not ASCII

def test_smtputf8(node, peer):
    arrival = Arrivals(node, "alice")
    send(node, ["alice@peer.test"], message("Grüße\n".encode(), "Grüße"),
         sender="jörg@exämple.example", mail=["SMTPUTF8", "BODY=8BITMIME"])
    (header, body), = arrival.wait()
    assert body == "Grüße\n".encode()
    assert header.startswith("Return-Path: <jörg@exämple.example>\n".encode())
    assert b" with UTF8SMTPS " in header and "Grüße".encode() in header


# -- how it is said

@pytest.mark.parametrize("size", [100, 50_000, 300_000])
def test_chunks(node, exim, size):
    """BDAT both ways, of what is in one chunk and of what is not."""
    route(node, exim.port)
    arrival = Arrivals(node, "alice")
    at = len(exim.log())
    body = b"0123456\n" * (size // 8)
    send(node, ["alice@peer.test"], message(body))
    (_, arrived), = arrival.wait()
    assert arrived == body
    log = exim.log()[at:]
    if size < 64 << 10:  # a larger one goes by DATA
        assert re.search(r" <= .* K S=", log), log
    assert re.search(r" => alice@example\.test .* K C=", log), log


def test_no_chunks(node):
    """The same by DATA, for who does not offer it."""
    with exim_peer.exim(node, chunking=False) as plain:
        route(node, plain.port)
        arrival = Arrivals(node, "alice")
        send(node, ["alice@peer.test"], message(b".\n..\nx\n"))
        (_, arrived), = arrival.wait()
        assert arrived == b".\n..\nx\n"
        assert " K " not in plain.log()


def test_exim_says_helo(node):
    arrival = Arrivals(node, "alice")
    with exim_peer.exim(node, smtp="hosts_avoid_esmtp = *") as plain:
        plain.send(SENDER, [f"alice@{node.domain}"], message(b"old\n"))
        (header, arrived), = arrival.wait()
    assert arrived == b"old\n" and b" with SMTP\n" in header


def test_exim_keeps_a_connection(node):
    """Its queue goes over one session, one transaction after the other."""
    arrival = Arrivals(node, "alice")
    with exim_peer.exim(node, settings="queue_only\n", runs=False) as slow:
        for number in range(10):
            slow.send(SENDER, [f"alice@{node.domain}"],
                      message(b"%d\n" % number))
        assert len(slow.queued()) == 10
        slow.run("-qq")
        assert sorted(body for _, body in arrival.wait(10)) == [
            b"%d\n" % number for number in range(10)]
        # "=>" of each after the first has "*": the connection was there.
        log = slow.log()
        assert len(re.findall(r" => alice.* H=127\.0\.0\.1 \[127\.0\.0\.1\]\*",
                              log)) >= 5, log


# -- Dovecot's LMTP by a route

def test_dovecot(node, dovecot):
    port, folder = dovecot
    route(node, port, "/l")
    sender = Arrivals(node, "bob")
    for name in ("short", "dots", "8bit", "any", "5m"):
        send(node, ["alice@peer.test"], message(BODIES[name], name),
             mail=["BODY=8BITMIME"])
    send(node, ["alice@peer.test", "nobody@peer.test"], message(b"two\n"),
         sender=f"bob@{node.domain}", rcpt=["NOTIFY=SUCCESS,FAILURE"])
    (report, (head, *groups)), = reports(sender)
    assert sorted((group["Final-Recipient"], group["Action"])
                  for group in groups) == [
        ("rfc822; alice@peer.test", "relayed"),
        ("rfc822; nobody@peer.test", "failed")]
    node.wait_empty()
    texts = [file.read_bytes().split(b"\n\n", 1)[1]
             for file in (folder / "mail/alice/new").iterdir()]
    assert sorted(texts) == sorted(
        [*(BODIES[name] for name in ("short", "dots", "8bit", "any", "5m")),
         b"two\n"])


# -- swaks

def swaks(*options, code=0):
    done = subprocess.run(
        ["swaks", "--helo", "swaks.example.net", *map(str, options)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=60 * SLOW)
    assert code is None or done.returncode == code, done.stdout
    return done.stdout


def server(node, *options):
    return ("--server", f"127.0.0.1:{node.smtp_port}", *options)


# swaks has no options for these; its closing ">" is a byte of an xtext.
DSN = ("--from", "bob@example.test> RET=HDRS ENVID=swaks1",
       "--header-From", "bob@example.test", "--header-To", "x@example.test")


def test_swaks_dsn(node):
    sender = Arrivals(node, "bob")
    swaks(*server(node, "--tls"), *DSN, "--to", "alice@example.test> "
          "NOTIFY=SUCCESS ORCPT=rfc822;one@example.org")
    (_, (head, group)), = reports(sender)
    assert head["Original-Envelope-Id"] == "swaks1>"
    assert group["Original-Recipient"] == "rfc822; one@example.org>"
    assert group["Action"] == "delivered"
    for bad in ("NOTIFY=NEVER,SUCCESS ORCPT=rfc822;a", "NOTIFY=SUCCESS X=1"):
        said = swaks(*server(node), *DSN, "--to",
                     f"alice@example.test> {bad}", code=24)
        assert "<** 5" in said


def test_swaks_dsn_through_a_peer(node, peer):
    """Out and back: from swaks to the report."""
    sender = Arrivals(node, "bob")
    swaks(*server(node, "--tls"), *DSN, "--to", "alice@peer.test> "
          "NOTIFY=SUCCESS ORCPT=rfc822;one@example.org")
    check_success(node, peer, sender, ("swaks1>",), "one@example.org>")


@pytest.mark.parametrize("options, wanted", [
    (["--tls", "--tls-protocol", "tlsv1_2"], "TLSv1.2"),
    (["--tls", "--tls-protocol", "tlsv1_3"], "TLSv1.3"),
    (["--tls", "--pipeline"], "TLSv1.3"),
    (["--tls-optional"], "TLSv1.3"),
    (["--tlsc"], "TLSv1.3")], ids=lambda each: str(each))
def test_swaks_tls(node, options, wanted):
    arrival = Arrivals(node, "alice")
    port = node.smtps_port if "--tlsc" in options else node.smtp_port
    said = swaks("--server", f"127.0.0.1:{port}", "--from", SENDER, "--to",
                 f"alice@{node.domain}", *options)
    assert f"TLS started with cipher {wanted}" in said
    (header, _), = arrival.wait()
    assert f"with ESMTPS ({wanted} ".encode() in header


def test_swaks_old_tls_is_refused(node):
    said = swaks(*server(node, "--tls", "--tls-protocol", "tlsv1"),
                 "--from", SENDER, "--to", f"alice@{node.domain}", code=29)
    assert "TLS startup failed" in said


def test_swaks_verifies_the_certificate(node):
    """Of the node itself, which is self-signed: with it alone it is good."""
    pem = node.home / "tls/servercert.pem"
    to = ("--from", SENDER, "--to", f"alice@{node.domain}", "--quit-after",
          "EHLO")
    swaks(*server(node, "--tls", "--tls-verify", "--tls-ca-path", pem), *to)
    swaks(*server(node, "--tls", "--tls-verify"), *to, code=29)


def test_swaks_lmtp(node):
    arrival = Arrivals(node, "alice")
    swaks("--server", f"127.0.0.1:{node.lmtp_port}", "--protocol", "LMTP",
          "--from", SENDER, "--to", f"alice@{node.domain}")
    (header, _), = arrival.wait()
    assert b" with LMTP" in header


def test_smtplib_is_told_what_swaks_is(node):
    """EHLO after STARTTLS offers the same but STARTTLS."""
    with smtplib.SMTP("127.0.0.1", node.smtp_port) as client:
        client.ehlo()
        plain = set(client.esmtp_features)
        client.starttls()
        client.ehlo()
        assert set(client.esmtp_features) == plain - {"starttls"}
        assert {"dsn", "chunking", "8bitmime", "smtputf8"} <= plain
