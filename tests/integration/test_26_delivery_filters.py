# SPDX-License-Identifier: ISC
"""Filters, answers in absence, folders, what a day and a quota let in."""
import email
import time

import pytest

from node import wait_until
from test_25_delivery_dotqmail import (
    dotqmail, home, inject, node, own, put, wait_log)

__all__ = ["node"]


def set_variables(node, **variables):
    for name, value in variables.items():
        (node.control / "global_vars" / name).write_text(value + "\n")
    node.svctool("restart")


def folder(node, user, name):
    new = node.maildir(user) / f".{name}" / "new"
    return list(new.iterdir()) if new.exists() else []


def vfilter(node, user, *rows):
    """Rows: header, comparison, keyword, destination, bounce action."""
    put(node, home(node, user) / ".vfilter", "".join(
        f"{number}\tf{number}\t" + "\t".join(map(str, row)) + "\n"
        for number, row in enumerate(rows, 1)))


SUBJECT, FROM, TO = 2, 1, 3
EQUALS, CONTAINS, CONTAINS_NOT, STARTS, ENDS, _, NOT_TO_ME, NUMBER, REGEX = \
    range(9)
TEXT = ("From: Bob <bob@example.net>\nTo: alice@example.test\n"
        "Subject: Offer number 7\nX-Spam-Level: 12\n\nHello.\n")


@pytest.mark.parametrize("row, is_met", [
    ((SUBJECT, EQUALS, "offer number 7", "Lists", "0"), True),
    ((SUBJECT, EQUALS, "offer", "Lists", "0"), False),
    ((SUBJECT, CONTAINS, "number", "Lists", "0"), True),
    ((SUBJECT, CONTAINS_NOT, "number", "Lists", "0"), False),
    ((SUBJECT, CONTAINS_NOT, "absent", ".Lists", "0"), True),
    ((SUBJECT, STARTS, "OFFER", "Maildir/.Lists", "0"), True),
    ((SUBJECT, ENDS, "r 7", "Lists", "0"), True),
    ((0, CONTAINS, "sender@example.net", "Lists", "0"), True),
    ((FROM, NOT_TO_ME, "", "Lists", "0"), False),
    ((63, NUMBER, "%p > 10", "Lists", "0"), True),
    ((63, NUMBER, "%p > 12", "Lists", "0"), False),
    ((SUBJECT, REGEX, "numb?er [0-9]$", "Lists", "0"), True),
    ((SUBJECT, REGEX, "(", "Lists", "0"), False),
])
def test_a_filter_is_met_or_not(node, row, is_met):
    vfilter(node, "alice", row)
    inject(node, "alice", text=TEXT)
    node.wait_empty()
    assert len(folder(node, "alice", "Lists")) == is_met
    assert len(node.messages("alice")) == 1 - is_met


def test_what_a_filter_does(node):
    vfilter(node, "alice",
            (SUBJECT, EQUALS, "drop", "/NoDeliver", "0"),
            (SUBJECT, EQUALS, "refuse", "/NoDeliver", "1"),
            (SUBJECT, EQUALS, "copy", "Inbox", f"2&bob@{node.domain}"),
            (SUBJECT, EQUALS, "run", "/NoDeliver", "2|cat > seen"),
            (SUBJECT, EQUALS, "both", "/NoDeliver", f"3bob@{node.domain}"))
    for word in ("drop", "refuse", "copy", "run", "both", "none"):
        inject(node, "alice", text=f"Subject: {word}\n\n{word}\n",
               sender=f"bob@{node.domain}")
    wait_until(lambda: node.log("queue1").count("does_not_accept") == 2,
               node.logs)
    node.wait_empty()
    kept = sorted(text.split()[-1] for text in node.messages("alice")
                  and node.wait_messages("alice", 2))
    assert kept == [b"copy", b"none"]
    assert (home(node, "alice") / "seen").read_text().endswith("\nrun\n")
    # Two forwards, and the bounces of "refuse" and "both".
    got = node.wait_messages("bob", 4)
    assert sum(b"failure notice" in text for text in got) == 2


def test_filters_and_files_come_and_go(node):
    """The worker sees that a user has become another kind, and is so no more."""
    inject(node, "alice", text=TEXT)
    node.wait_messages("alice", 1)
    time.sleep(3)  # his folder has not changed for long: that is remembered
    inject(node, "alice", text=TEXT)
    node.wait_messages("alice", 2)
    vfilter(node, "alice", (SUBJECT, CONTAINS, "offer", "Lists", "0"))
    inject(node, "alice", text=TEXT)
    node.wait_empty()
    assert len(folder(node, "alice", "Lists")) == 1
    (home(node, "alice") / ".vfilter").unlink()
    inject(node, "alice", text=TEXT)
    node.wait_messages("alice", 3)


def vacation(node):
    (home(node, "alice") / "vacation").mkdir()
    put(node, home(node, "alice") / "vacation/.vacation.msg",
        "From: Alice <alice@example.test>\n\nI am away.\n")
    own(home(node, "alice") / "vacation", node.maildir("alice"))
    dotqmail(node, "alice", "| autoresponder -q -t 604800 "
             "vacation/.vacation.msg vacation/answered\n./Maildir/\n")


def test_an_absence_is_answered_once(node):
    vacation(node)
    text = (f"To: alice@{node.domain}\nSubject: Lunch?\n"
            "Message-ID: <1@example.net>\n\nToday?\n")
    for _ in range(3):
        inject(node, "alice", text=text, sender=f"bob@{node.domain}")
    node.wait_messages("alice", 3)
    node.wait_empty()
    answer = email.message_from_bytes(node.wait_messages("bob", 1)[0])
    assert answer["Return-Path"] == "<>"
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["From"] == "Alice <alice@example.test>"
    assert answer["To"] == f"bob@{node.domain}"
    assert answer["Subject"] == "Re: Lunch?"
    assert answer["In-Reply-To"] == answer["References"] == "<1@example.net>"
    assert answer["Date"] and answer["Message-ID"]
    assert answer.get_payload() == "I am away.\n"


def test_a_filter_answers_as_long_as_there_is_a_text(node):
    """Without one the message waits for nothing, and bounces never."""
    text = f"To: alice@{node.domain}\nSubject: Lunch?\n\nToday?\n"
    vfilter(node, "alice", (SUBJECT, CONTAINS, "lunch", "/Vacation", "0"))
    inject(node, "alice", text=text, sender=f"bob@{node.domain}")
    node.wait_messages("alice", 1)
    node.wait_empty()
    assert node.messages("bob") == []
    message = home(node, "alice") / "vacation/.vacation.msg"
    message.parent.mkdir()
    put(node, message, "I am away.\n")
    own(message.parent, node.maildir("alice"))
    inject(node, "alice", text=text, sender=f"bob@{node.domain}")
    node.wait_messages("alice", 2)
    assert b"I am away." in node.wait_messages("bob", 1)[0]


@pytest.mark.parametrize("sender, fields", [
    ("", ""),
    ("owner-list@example.test", ""),
    ("list-request@example.test", ""),
    ("MAILER-DAEMON@example.test", ""),
    ("bob@example.test", "Auto-Submitted: auto-generated\n"),
    ("bob@example.test", "Precedence: bulk\n"),
    ("bob@example.test", "List-Id: <x.example.test>\n"),
    ("bob@example.test", "X-Auto-Response-Suppress: OOF\n"),
    ("bob@example.test", "To: somebody@example.test\n"),
])
def test_who_gets_no_answer(node, sender, fields):
    vacation(node)
    to = "" if fields.startswith("To:") else f"To: alice@{node.domain}\n"
    inject(node, "alice", text=f"{to}{fields}Subject: x\n\nx\n",
           sender=sender)
    node.wait_messages("alice", 1)
    node.wait_empty()
    node.wait_log("queue1", " end msg ")
    assert node.log("queue1").count("new msg") == 1


def test_a_message_that_came_before_is_dropped(node):
    set_variables(node, ELIMINATE_DUPS="1")
    for ident in ("<1@x>", "<1@x>", "<2@x>"):
        inject(node, "alice", text=f"Message-ID: {ident}\n\n{ident}\n")
        node.wait_empty()
    assert len(node.wait_messages("alice", 2)) == 2
    wait_log(node, "success: did_0+0+0:_a_message_with_this_Message-ID")
    inject(node, "bob", text="Message-ID: <1@x>\n\n")
    node.wait_messages("bob", 1)


def test_a_day_has_its_limits(node):
    set_variables(node, MAILCOUNT_LIMIT="2")
    for _ in range(3):
        inject(node, "alice")
        inject(node, "bob")
    wait_until(lambda: node.log("queue1").count(
        "deferral: account_") == 2, node.logs)
    wait_log(node, "has_had_as_much_mail_today_as_it_may_have")
    assert len(node.messages("alice")) == len(node.messages("bob")) == 2
    for user in ("alice", "bob"):  # yesterday
        (node.maildir(user) / "maildirday").write_text("20200101 99999 99\n")
    node.retry_until(lambda: len(node.messages("alice")) == 3 and
                     len(node.messages("bob")) == 3, "the next day")


def test_a_folder_for_all_mail(node):
    set_variables(node, MAILDIRFOLDER="New.Mail")
    inject(node, "alice")
    wait_until(lambda: len(folder(node, "alice", "New.Mail")) == 1, node.logs)
    assert (node.maildir("alice") / ".New.Mail/maildirfolder").exists()
    assert node.messages("alice") == []


def test_a_full_maildir_is_said(node):
    """Once to the user; to senders with the domain's words."""
    domains = node.home / "domains"
    put(node, domains / ".quotawarn.msg", "From: us\nSubject: Warning\n\nFull!\n")
    put(node, domains / ".over-quota.msg", "never seen\n")
    put(node, domains / node.domain / ".over-quota.msg", "Ask us\n\nat 12345.\n")
    put(node, domains / ".no-user.msg", "Nobody there.\n")
    node.run("vmoduser", "-q", "3300S",
             f"alice@{node.domain}")
    text = "Subject: x\n\n" + "x" * 800 + "\n"
    for _ in range(3):
        inject(node, "alice", text=text)
        node.wait_empty()
    warnings = [t for t in (p.read_bytes() for p in node.messages("alice"))
                if b"Subject: Warning\n\nFull!\n" in t]
    assert len(warnings) == 1
    inject(node, "alice", text=text)
    inject(node, "nobody")
    wait_log(node, "Ask_us/at_12345./")
    wait_log(node, "here_by_that_name._(#5.1.1)/Nobody_there./")


def test_a_domain_has_a_quota(node):
    """The first mail has it counted; what was there before counts."""
    put(node, node.home / "domains" / node.domain / ".domain_limits",
        "maxmsgcount 3\n")
    for user in ("alice", "bob"):
        inject(node, user)
        node.wait_messages(user, 1)
    # Another worker finds what is there.
    node.svctool("restart")
    inject(node, "alice")
    node.wait_messages("alice", 2)

    def refused():
        return node.log("queue1").count(
            f"failure: domain_{node.domain}_has_insufficient_quota.")

    def is_refused():  # counted by a thread, a moment after the first mail
        ends = node.log("queue1").count(" end msg ")
        inject(node, "alice")
        wait_until(lambda: node.log("queue1").count(" end msg ") > ends, "end")
        return refused()

    wait_until(is_refused, node.logs)
    inject(node, "bob")
    wait_until(lambda: refused() >= 2, node.logs)
    before = refused()
    # It holds for who has a process of his own, too; forwards go on.
    dotqmail(node, "alice", "./Maildir/\n")
    vfilter(node, "bob", (SUBJECT, EQUALS, "drop", "/NoDeliver", "0"))
    for user in ("alice", "bob"):
        inject(node, user)
    wait_until(lambda: refused() == before + 2, node.logs)
    dotqmail(node, "alice", "|exit 0\n")
    inject(node, "alice")
    wait_log(node, "success: did_0+0+1/")


def test_what_a_process_delivers_counts_for_the_domain(node):
    put(node, node.home / "domains" / node.domain / ".domain_limits",
        "maxmsgcount 2\n")
    dotqmail(node, "alice", "./Maildir/\n")

    def is_full():
        """It is counted once in this time, at the first message."""
        inject(node, "alice")
        return (f"failure: domain_{node.domain}_has_insufficient_quota." in
                node.log("queue1"))

    wait_until(is_full, node.logs)
