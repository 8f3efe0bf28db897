# SPDX-License-Identifier: ISC
"""What belongs to users, from the command to the Maildir, in either store; and
what RCPT knows of their quotas."""
import os
import poplib
import smtplib

import pytest

from node import SLOW, wait_until
from test_25_delivery_dotqmail import inject, put


@pytest.fixture(params=("cdb", "pgsql"))
def node(request, make_node):
    if request.param == "pgsql":
        request.getfixturevalue("postgres")  # is there one?
    made = make_node("--queues", 1, "--store", request.param, "--init-only")
    if request.param == "pgsql":
        made.svctool("init")  # makes the service lookup
    made.up()
    made.store = request.param
    return made


def home(node, user):
    return node.home / "domains" / node.domain / user


def new(node, user, folder=""):
    path = home(node, user) / "Maildir" / folder / "new"
    return sorted(path.iterdir()) if path.is_dir() else []


def wait_new(node, user, count, folder=""):
    wait_until(lambda: len(new(node, user, folder)) >= count, node.logs)
    node.wait_empty()
    files = new(node, user, folder)
    assert len(files) == count
    return [file.read_bytes() for file in files]


def address(node, user):
    return f"{user}@{node.domain}"


def test_aliases_filters_and_answers(node):
    node.run("valias", "-i", f"&{address(node, 'alice')}",
             address(node, "sales"))
    node.run("valias", "-i", f"&{address(node, 'bob')}",
             address(node, "sales"))
    node.run("vcfilter", "-i", "-t", "junk", "-h", "2", "-c", "1", "-k",
             "spam", "-f", "Junk", "-b", "0", address(node, "alice"))
    # A change is heard of a moment later.
    node.retry_until(lambda: "junk" in node.run(
        "lookup", "filters", address(node, "alice"), code=None).stdout, "it")
    inject(node, "sales", text="Subject: both\n\nx\n")
    wait_new(node, "alice", 1)
    wait_new(node, "bob", 1)
    inject(node, "alice", text="Subject: spam\n\nx\n")
    wait_new(node, "alice", 1, ".Junk")
    inject(node, "alice-lists", text="Subject: list\n\nx\n")
    wait_new(node, "alice", 2)
    # A forward of the user's own, and his answer.
    put(node, home(node, "bob") / ".qmail",
        f"&{address(node, 'alice')}\n./Maildir/\n")
    inject(node, "bob")
    wait_new(node, "bob", 2)
    wait_new(node, "alice", 3)
    (home(node, "bob") / ".qmail").unlink()
    node.run("vmoduser", "-l", "+", address(node, "bob"), input="Away.\n")
    inject(node, "bob", sender=address(node, "alice"),
           text=f"To: {address(node, 'bob')}\nSubject: Lunch?\n\nx\n")
    wait_new(node, "bob", 3)
    assert any(b"Away." in text for text in wait_new(node, "alice", 4))


def test_limits_and_bulletins(node):
    node.run("vlimit", "-P", "2", node.domain)
    node.run("vadduser", "-n", address(node, "carl"), code=100)
    (node.home / "text").write_text("Subject: all\n\nAll\n")
    node.run("vbulletin", "-h", "-f", node.home / "text", node.domain)
    files = new(node, "alice") + new(node, "bob")
    assert len(files) == 2
    assert len({file.stat().st_ino for file in files}) == 1


def rcpt(node, user, size=0):
    with smtplib.SMTP("127.0.0.1", node.smtp_port, timeout=60) as client:
        client.ehlo("client.test")
        client.mail("a@example.net", [f"size={size}"] if size else [])
        return client.rcpt(address(node, user))


def fill(node, user, size, sender="bob"):
    """A delivery finds no room for a message."""
    before = node.log("queue1").count("has_insufficient_quota")
    inject(node, user, text=f"Subject: x\n\n{'x' * size}\n",
           sender=address(node, sender))
    wait_until(lambda: node.log("queue1").count("has_insufficient_quota") >
               before, node.logs)
    node.wait_empty()


def test_over_quota_is_said_at_rcpt(node):
    node.run("vpasswd", address(node, "alice"), "secret")
    node.run("vsetuserquota", address(node, "alice"), "3000S")
    inject(node, "alice", text=f"Subject: x\n\n{'x' * 1500}\n")
    wait_new(node, "alice", 1)
    # It is not known before a delivery has seen it.
    assert rcpt(node, "alice", 5000)[0] == 250
    fill(node, "alice", 2500)
    code, text = rcpt(node, "alice", 2500)
    assert code == 550
    assert text == (f"5.2.2 sorry, a@example.net mailbox <{address(node, 'alice')}> "
                    "is overquota on this domain (#5.2.2)").encode()
    # What fits, and what may fit, is taken.
    assert rcpt(node, "alice", 500)[0] == 250
    assert rcpt(node, "alice")[0] == 250
    assert rcpt(node, "alice-x", 2500)[0] == 550
    assert rcpt(node, "bob", 2500)[0] == 250
    # Who removes mail by POP3 gets more at once.
    client = poplib.POP3("127.0.0.1", int(node.info["pop3"]),
                         timeout=30 * SLOW)
    client.user(address(node, "alice"))
    client.pass_("secret")
    client.dele(1)
    client.quit()
    assert rcpt(node, "alice", 2500)[0] == 250
    fill(node, "alice", 4000)
    assert rcpt(node, "alice", 4000)[0] == 550
    # And who gets another quota.
    node.run("vsetuserquota", address(node, "alice"), "9000S")
    wait_until(lambda: rcpt(node, "alice", 4000)[0] == 250, node.logs)
    assert os.stat(node.home / "run/overquota").st_size <= 65536 * 64


def test_over_quota_lets_small_mail_in(make_node):
    node = make_node("--queues", 1, "--env", "OVERQUOTA_MAILSIZE=1000")
    node.run("vsetuserquota", address(node, "alice"), "10S")
    fill(node, "alice", 2000)
    assert rcpt(node, "alice", 2000)[0] == 550
    assert rcpt(node, "alice", 900)[0] == 250
    assert rcpt(node, "alice")[0] == 250
    # Without the file nobody is known to be over quota.
    (node.home / "run/overquota").write_bytes(b"")
    assert rcpt(node, "alice", 2000)[0] == 250


def test_who_defers_wants_the_mail(make_node):
    node = make_node("--queues", 1, "--env", "HOLDOVERQUOTA=1")
    node.run("vsetuserquota", address(node, "alice"), "10S")
    inject(node, "alice")
    wait_until(lambda: "has_insufficient_quota" in node.log("queue1"),
               node.logs)
    assert rcpt(node, "alice", 2000)[0] == 250




def test_a_program_is_told_who_is_over_quota(make_node):
    """By a delivery, and at a POP3 login; not again a moment later."""
    node = make_node("--queues", 1, "--init-only")
    program = node.home / "over"
    program.write_text('#!/bin/sh\necho "$SERVICE $USER $*" >> "$HOME/over"\n')
    program.chmod(0o755)
    (node.control / "overquotacmd").write_text(f"{program}\n")
    node.up()

    def told(user):
        file = home(node, user) / "over"
        return file.read_text().splitlines() if file.exists() else []

    node.run("vpasswd", address(node, "bob"), "secret")
    node.run("vsetuserquota", address(node, "bob"), "1C")
    for user in ("alice", "bob"):
        inject(node, user)
        wait_new(node, user, 1)
    node.run("vsetuserquota", address(node, "alice"), "100S,7C")
    size = new(node, "alice")[0].stat().st_size
    for _ in range(2):
        fill(node, "alice", 2000, "postmaster")
    name = address(node, "alice")
    wait_until(lambda: told("alice"), node.logs)
    assert told("alice") == [f"delivery {name} {name} {size} 1 100 7"]
    size = new(node, "bob")[0].stat().st_size
    for _ in range(2):
        client = poplib.POP3("127.0.0.1", int(node.info["pop3"]),
                             timeout=30 * SLOW)
        client.user(address(node, "bob"))
        client.pass_("secret")
        client.quit()
    name = address(node, "bob")
    assert told("bob") == [f"pop3 {name} {name} {size} 1 0 1"]
    assert len(told("alice")) == 1
