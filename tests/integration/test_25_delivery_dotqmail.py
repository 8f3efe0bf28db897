# SPDX-License-Identifier: ISC
"""Aliases, .qmail files of virtual users, forwards and programs."""
import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from node import wait_until


@pytest.fixture
def node(make_node):
    """With one queue: alice, bob."""
    return make_node("--queues", 1)


def home(node, user):
    return node.maildir(user).parent


def own(path, like):
    """A node made by root has a user for virtual domains."""
    found = os.stat(like)
    os.chown(path, found.st_uid, found.st_gid)


def dotqmail(node, user, text):
    """The user's own .qmail, as one step."""
    put(node, home(node, user) / ".qmail", text)


def alias(node, name, text):
    put(node, node.home / "domains" / node.domain / f".qmail-{name}", text)


def put(node, path, text):
    new = path.with_name("new-" + path.name)
    new.write_text(text)
    new.chmod(0o600)
    own(new, node.home / "domains" / node.domain / "vpasswd")
    new.rename(path)


def inject(node, *names, **options):
    assert node.inject(*(f"{name}@{node.domain}" for name in names),
                       **options) == 0


def wait_log(node, text):
    wait_until(lambda: text in node.log("queue1"),
               lambda: f"{text}\n{node.logs()}")


def test_a_users_file_forwards_and_keeps_a_copy(node):
    dotqmail(node, "alice", f"# copies\n&bob@{node.domain}\n./Maildir/\n")
    inject(node, "alice")
    kept = node.wait_messages("alice", 1)[0]
    sent_on = node.wait_messages("bob", 1)[0]
    node.wait_empty()
    line = f"Delivered-To: {node.domain}-alice@{node.domain}\n".encode()
    assert kept.startswith(b"Return-Path: <sender@example.net>\n" + line)
    assert sent_on.startswith(
        b"Return-Path: <sender@example.net>\n"
        b"Delivered-To: %s-bob@%s\nReceived: (qmail "
        % (node.domain.encode(), node.domain.encode()))
    assert line in sent_on and b"Subject: injected" in sent_on
    wait_log(node, "success: did_1+1+0/")


def test_a_program_has_its_environment_and_decides(node):
    out = home(node, "alice") / "out"
    dotqmail(node, "alice",
             "|env > out; pwd >> out; cat > message\n")
    inject(node, "alice-some.Thing")
    wait_log(node, "success: did_0+0+1/")
    words = dict(line.partition("=")[::2]
                 for line in out.read_text().splitlines())
    assert words["SENDER"] == words["NEWSENDER"] == "sender@example.net"
    assert words["RECIPIENT"] == f"{node.domain}-alice-some.Thing@{node.domain}"
    assert words["LOCAL"] == f"{node.domain}-alice-some.Thing"
    assert words["EXT"] == "alice-some.Thing"
    assert words["EXT2"] == words["DEFAULT"] == "some.Thing"
    assert words["HOST"] == node.domain
    assert words["HOST2"] == node.domain.rpartition(".")[0]
    assert words["HOME"] == str(home(node, "alice"))
    assert words["DTLINE"] == \
        f"Delivered-To: {node.domain}-alice-some.Thing@{node.domain}"
    assert words["RPLINE"] == "Return-Path: <sender@example.net>"
    assert words["UFLINE"].startswith("From sender@example.net ")
    assert str(home(node, "alice")) in words  # the folder it runs in
    assert b"Subject: injected\n" in \
        (home(node, "alice") / "message").read_bytes()


@pytest.mark.parametrize("line, wanted", [
    ("|echo no such; exit 100", "failure: no_such/"),
    ("|echo later; exit 111", "deferral: later/"),
    ("|exit 75", "deferral: A_program_of_the_.qmail_file_exited_with_75."),
    ("|kill -9 $$", "deferral: Aack,_child_crashed._(#4.3.0)/"),
    ("|exit 99\n|echo no; exit 100", "success: did_0+0+1/"),
    ("./Mailbox", "success: did_1+0+0/"),
    ("./Maildir/.Lists/", "success: did_1+0+0/"),
    ("# nothing", "success: did_0+0+0/"),
    ("/etc/Maildir/", "deferral: Unable_to_deliver_to_maildir_"),
    ("no address", "is_neither_an_address_nor_a_path"),
    ("+list\n|true", "deferral: Uh-oh:_.qmail_has_prog_delivery"),
])
def test_what_a_line_does(node, line, wanted):
    dotqmail(node, "alice", line + "\n")
    inject(node, "alice")
    wait_log(node, wanted)
    if line == "./Mailbox":
        text = (home(node, "alice") / "Mailbox").read_text()
        assert text.startswith("From sender@example.net ")
        assert text.endswith("\nHello.\n\n")
    if ".Lists" in line:
        assert len(list((node.maildir("alice") / ".Lists/new").iterdir())) == 1


def test_aliases_of_the_domain(node):
    alias(node, "sales", f"&alice@{node.domain}\n{'bob@' + node.domain}\n")
    alias(node, "list-default", f"|echo $DEFAULT > default; exit 0\n")
    alias(node, "owned", f"&alice@{node.domain}\n")
    alias(node, "owned-owner", f"&bob@{node.domain}\n")
    inject(node, "Sales")
    node.wait_messages("alice", 1)
    node.wait_messages("bob", 1)
    inject(node, "list-one-two")
    wait_log(node, "did_0+0+1/")
    assert (node.home / "domains" / node.domain / "default").read_text() == \
        "one-two\n"
    inject(node, "owned")
    second = node.wait_messages("alice", 2)
    assert any(f"Return-Path: <owned-owner@{node.domain}>\n".encode() in text
               for text in second)


def test_a_list_has_a_sender_for_each_recipient(node):
    alias(node, "list", f"+list\nalice@{node.domain}\nbob@{node.domain}\n")
    alias(node, "list-owner", "# thrown away\n")
    alias(node, "list-owner-default", "# thrown away\n")
    inject(node, "list")
    for user in ("alice", "bob"):
        assert node.wait_messages(user, 1)[0].startswith(
            f"Return-Path: <list-owner-{user}={node.domain}@{node.domain}>\n"
            .encode())


def test_a_loop_of_forwards_bounces(node):
    dotqmail(node, "alice", f"&bob@{node.domain}\n")
    dotqmail(node, "bob", f"&alice@{node.domain}\n")
    inject(node, "alice", sender=f"carol@{node.domain}")
    wait_log(node, "failure: This_message_is_looping")


def test_an_extension_goes_to_the_user_in_front_of_it(node):
    node.run("vadduser", "-n", f"alice-work@{node.domain}")
    inject(node, "alice-lists")
    inject(node, "alice-work")
    inject(node, "alice-work-more")
    node.wait_messages("alice", 1)
    node.wait_messages("alice-work", 2)
    # RCPT knows them too.
    with node.smtp() as client:
        client.sendmail("s@example.net", [f"alice-x@{node.domain}"],
                        "Subject: x\n\nx\n")
    node.wait_messages("alice", 2)
    (node.control / "userextension").write_text("\n")
    node.svctool("restart")
    inject(node, "alice-lists")
    wait_log(node, "failure: no_account_alice-lists@")


def test_others_go_on_while_a_program_hangs(node):
    """One user's programs take two processes, and hold up nobody's mail."""
    dotqmail(node, "alice", "|echo x >> began; sleep 600\n")
    for _ in range(6):
        inject(node, "alice")
    began = home(node, "alice") / "began"
    wait_until(lambda: began.exists() and began.read_text() == "x\nx\n",
               node.logs)
    dotqmail(node, "bob", f"|true\n./Maildir/\n")
    for _ in range(5):
        inject(node, "bob")
    node.wait_messages("bob", 5)
    assert began.read_text() == "x\nx\n"


def test_a_program_that_takes_too_long_is_ended(node):
    (node.control / "programtimeout").write_text("1\n")
    node.svctool("restart")
    dotqmail(node, "alice", "|echo $$ > pid; sleep 600\n")
    inject(node, "alice")
    wait_log(node, "deferral: ")
    pid = int((home(node, "alice") / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "it ends")


def vdelivermails(node):
    found = []
    for pid in node.processes():
        with contextlib.suppress(OSError):
            if b"vdelivermail" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_killed_in_the_middle_nothing_is_lost_or_doubled(node):
    """Behind the forward and the copy, before their end is known."""
    gate = home(node, "alice") / "gate"
    dotqmail(node, "alice", f"./Maildir/\n|test -e gate || sleep 600\n"
             f"&bob@{node.domain}\n")
    inject(node, "alice")
    node.wait_messages("alice", 1)
    for pid in wait_until(lambda: vdelivermails(node), "a process"):
        os.kill(pid, signal.SIGKILL)
    wait_log(node, "deferral: vdelivermail_crashed")
    gate.write_text("")
    node.retry_until(lambda: len(node.messages("bob")) == 1, "the forward")
    node.wait_empty()
    assert len(node.messages("alice")) == len(node.messages("bob")) == 1


def test_a_killed_worker_takes_its_processes_with_it(node):
    dotqmail(node, "alice", f"./Maildir/\n|test -e gate || sleep 600\n"
             f"&bob@{node.domain}\n")
    inject(node, "alice")
    node.wait_messages("alice", 1)
    wait_until(lambda: vdelivermails(node), "a process")
    for pid in node.processes():
        with contextlib.suppress(OSError):
            if b"qmail-vdeliver" in \
                    Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not vdelivermails(node), "its end")
    (home(node, "alice") / "gate").write_text("")
    node.retry_until(lambda: len(node.messages("bob")) == 1, "the forward")
    node.wait_empty()
    assert len(node.messages("alice")) == len(node.messages("bob")) == 1


def test_a_forward_that_was_committed_is_not_made_twice(node):
    """Its UUID is made of the message, the recipient and the line."""
    environment = dict(
        node.environment(), EXT="alice", HOST=node.domain,
        SENDER="a@example.org", RECIPIENT=f"x-alice@{node.domain}",
        MQMAIL_UUID="0190163d-8694-739b-aea5-966c26f8ad91",
        QUEUEDIR=str(node.queue_dir("queue1")))
    dotqmail(node, "alice", f"&bob@{node.domain}\n")
    for _ in range(2):
        node.run("vdelivermail", "", "delete", env=environment,
                 input="Subject: once\n\n")
    node.wait_messages("bob", 1)
    node.wait_empty()
    time.sleep(0.2)
    assert len(node.messages("bob")) == 1


@pytest.mark.parametrize("default", [
    b"| vdelivermail '' bounce-no-mailbox\r\n", b"", b"# nothing\n",
    b"| vdelivermail '' bounce-no-mailbx\n", b"| vdelivermial '' delete\n",
    b"vdelivermail '' delete\n", None])
def test_users_get_their_mail_whatever_the_default_says(node, default):
    path = node.home / "domains" / node.domain / ".qmail-default"
    if default is None:
        path.unlink()
    else:
        path.write_bytes(default)
    inject(node, "alice")
    node.wait_messages("alice", 1)
    inject(node, "nobody")
    is_read = default is not None and default.endswith(b"\r\n")
    wait_log(node, "failure: no_account_nobody@" if is_read else
             "deferral: There_is_no_account_nobody@")
    said = node.svctool("check", code=None).stdout
    assert (".qmail-default" in said) == (not is_read), said


def test_a_default_that_means_something_else_is_followed(node):
    path = node.home / "domains" / node.domain / ".qmail-default"
    path.write_text(f"|cat > /dev/null\nbob@{node.domain}\n")
    alias(node, "bob", f"| vdelivermail '' delete\n")
    inject(node, "alice", "nobody")
    node.wait_messages("bob", 2)
    assert node.messages("alice") == []


def test_catch_all(node):
    path = node.home / "domains" / node.domain / ".qmail-default"
    path.write_text(f"| vdelivermail '' bob@{node.domain}\n")
    inject(node, "nobody")
    node.wait_messages("bob", 1)
    path.write_text("| vdelivermail '' someone@elsewhere.example\n")
    inject(node, "nobody")
    wait_until(lambda: "someone@elsewhere.example" in node.svctool(
        "queue", "list").stdout, node.logs)


def test_an_alias_domain(node):
    node.run("vaddaliasdomain", "alias.example", node.domain)
    alias(node, "sales", f"&alice@{node.domain}\n")
    dotqmail(node, "bob", "|env > out\n./Maildir/\n")
    node.retry_until(lambda: True, "")
    assert node.inject("sales@alias.example", "bob@alias.example") == 0
    node.retry_until(lambda: node.messages("alice") and node.messages("bob"),
                     "both")
    out = (home(node, "bob") / "out").read_text()
    assert "\nHOST=alias.example\n" in out
