# SPDX-License-Identifier: ISC
"""tests/node: the nodes that the other tests stand on; one message each way."""
import os
import smtplib
import subprocess
from pathlib import Path

import pytest

from node import BIN, NO_LEAKS, ROOT, SLOW, wait_until


def test_a_message_goes_from_smtp_into_the_maildir(node):
    node.send("alice", "hello", "First line.\nSecond line.\n")
    (message,) = node.wait_messages("alice", 1)
    head, _, body = message.partition(b"\n\n")
    assert b"\nSubject: hello" in head
    assert b"Delivered-To: " in head
    assert b"Received: " in head
    assert body.rstrip(b"\n") == b"First line.\nSecond line."
    node.wait_empty()


def test_every_recipient_gets_the_message(node):
    with node.smtp() as client:
        client.sendmail("sender@example.net",
                        ["alice@example.test", "bob@example.test",
                         "postmaster@example.test"],
                        "Subject: to three\n\nHello.\n")
    for user in ("alice", "bob", "postmaster"):
        (message,) = node.wait_messages(user, 1)
        assert b"Subject: to three" in message


@pytest.mark.parametrize("recipient", [
    "postmaster", "postmaster@example.test", "postmaster@mail.example.test",
    "Postmaster@Mail.Example.TEST"])
def test_postmaster_gets_mail_at_every_name(node, recipient):
    """RFC 5321 4.5.1: also at the name that the server greets with."""
    assert node.info["me"] == "mail.example.test"
    with node.smtp() as client:
        client.sendmail("sender@example.net", [recipient],
                        "Subject: to the postmaster\n\nHello.\n")
        code, text = client.docmd("MAIL", "FROM:<sender@example.net>")
        code, text = client.docmd("RCPT", "TO:<nobody@mail.example.test>")
        assert code == 550, text
    (message,) = node.wait_messages("postmaster", 1)
    assert b"Subject: to the postmaster" in message
    node.wait_empty()


def test_lmtp_and_smtps_listen(node):
    with smtplib.SMTP_SSL("127.0.0.1", node.smtps_port,
                          timeout=30 * SLOW) as client:
        client.sendmail("s@example.net", ["alice@example.test"],
                        "Subject: by TLS\n\nHello.\n")
    with smtplib.LMTP("127.0.0.1", node.lmtp_port) as client:
        client.sendmail("s@example.net", ["bob@example.test"],
                        "Subject: by LMTP\n\nHello.\n")
    assert b"by TLS" in node.wait_messages("alice", 1)[0]
    assert b"by LMTP" in node.wait_messages("bob", 1)[0]


def test_up_again_starts_the_node_as_it_is(node):
    info = node.info
    (node.control / "databytes").write_text("12345\n")
    node.send("alice", "before")
    node.wait_messages("alice", 1)
    node.down()
    assert node.processes() == []
    node.up("--queues", "7", "--users", "3")  # of a new node; not of this one
    assert node.info == info
    with node.smtp() as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "12345"
    node.send("alice", "after")
    node.wait_messages("alice", 2)


def test_options_of_a_new_node(make_node):
    node = make_node("--queues", "3", "--domain", "example.org", "--users",
                     "4", "--env", "MAXRECIPIENTS=2")
    assert node.queue_count == 3
    assert len(node.status()["queues"]) == 3
    assert node.domain == "example.org"
    node.send("u3")
    node.wait_messages("u3", 1)
    assert node.info["maildir.alice"] == str(node.maildir("alice"))
    with node.smtp() as client:
        client.ehlo()
        client.mail("s@example.net")
        codes = [client.rcpt(f"u{i}@example.org")[0] for i in range(3)]
    assert codes[:2] == [250, 250] and codes[2] // 100 == 4


@pytest.mark.parametrize("options, wanted", [([], 553), (["--relay"], 250)])
def test_loopback_relays_only_when_asked_to(make_node, options, wanted):
    node = make_node(*options)
    with node.smtp() as client:
        client.ehlo()
        client.mail("s@example.net")
        assert client.rcpt("someone@elsewhere.example")[0] == wanted


@pytest.mark.parametrize("words", [
    [], ["up"], ["down"], ["sideways", "/tmp/x"], ["up", "/tmp/x", "--what"],
    ["up", "/tmp/x", "--queues"]])
def test_wrong_words_are_usage(words):
    done = subprocess.run([ROOT / "tests/node", *words],
                          stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 100
    assert "tests/node up DIR" in done.stderr


def may_reach(path):
    """Can any user get at it?"""
    return all(os.stat(part).st_mode & 0o001 for part in
               [path, *path.parents])


def test_an_ordinary_users_node_is_all_that_users(make_node):
    """Every process runs as the user who started the node, root or not."""
    node = make_node("--init-only")  # for its place, which ends with the test
    home = node.home.parent / "plain"
    uid = os.getuid()
    prefix = []
    if uid == 0 and may_reach(BIN):
        uid = 65534
        home.mkdir()
        os.chown(home, uid, uid)
        prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}",
                  "--clear-groups"]
    done = subprocess.run([*prefix, ROOT / "tests/node", "up", home],
                          stdout=subprocess.PIPE, text=True, check=True,
                          timeout=120 * SLOW)
    info = dict(line.split("=", 1) for line in done.stdout.splitlines())
    with smtplib.SMTP("127.0.0.1", int(info["smtp"])) as client:
        client.sendmail("s@example.net", ["alice@example.test"],
                        "Subject: plain\n\nHello.\n")
    new = Path(info["maildir.alice"]) / "new"
    wait_until(lambda: list(new.iterdir()), "a message in the Maildir")
    node.home = home
    owners = {os.stat(f"/proc/{pid}").st_uid for pid in node.processes()}
    assert owners == {uid}
    assert {path.stat().st_uid for path in new.iterdir()} == {uid}
    done = subprocess.run([*prefix, BIN / "svctool", "check", "--home", home],
                          stdout=subprocess.PIPE, text=True, timeout=60)
    assert "0 errors, 0 warnings" in done.stdout
    if prefix:  # root sees it as its user does, and is warned
        done = node.svctool("check", env={**node.environment(), **NO_LEAKS})
        assert f"the node belongs to user {uid}" in done.stdout
        assert "0 errors, 1 warning\n" in done.stdout
    subprocess.run([*prefix, ROOT / "tests/node", "down", home], check=True,
                   timeout=120 * SLOW)
    assert node.processes() == []
