# SPDX-License-Identifier: ISC
"""Mail for a domain's postmaster: taken, and delivered or deferred, never
bounced for what is wrong with the account (RFC 5321 4.5.1)."""
import re

from node import wait_until


def change_user(node, name, change):
    """As an editor would, and vmkpasswd then."""
    vpasswd = node.home / "domains" / node.domain / "vpasswd"
    lines = vpasswd.read_text().splitlines(keepends=True)
    vpasswd.write_text("".join(
        change(line) if line.startswith(f"{name}:") else line
        for line in lines))
    node.run("vmkpasswd", node.domain)


def logs(node):
    return node.log("queue1") + node.log("queue2")


def test_an_absent_postmaster_is_deferred(node):
    sender = f"alice@{node.domain}"  # a bounce would come here
    change_user(node, "postmaster", lambda line: "")
    assert node.svctool("check", code=1).stdout.count("postmaster@") == 2
    node.send("postmaster", sender=sender)
    wait_until(lambda: re.search(
        r"deferral: there_is_no_account_postmaster@example\.test,_but_every_"
        r"domain's_postmaster_gets_mail:_'vadduser_-n_postmaster@example\.test'"
        r"_mends_it\._\(#4\.3\.5\)/", logs(node)), lambda: node.logs())
    assert node.backlog() == 1 and node.messages("alice") == []
    node.run("vadduser", "-n", f"postmaster@{node.domain}")
    node.retry_until(lambda: node.messages("postmaster"), "its mail")
    node.wait_empty()
    assert node.messages("alice") == []


def test_a_postmaster_over_quota_gets_mail(node):
    for user in ("postmaster", "bob"):
        node.run("vmoduser", "-q", "10S", f"{user}@{node.domain}")
    for user in ("postmaster", "Postmaster", "bob"):
        node.send(user, sender=f"alice@{node.domain}")
    node.wait_messages("postmaster", 2)
    (bounce,) = node.wait_messages("alice", 1)
    assert b"account bob@example.test has insufficient quota" in bounce
    node.wait_empty()
    assert node.messages("bob") == []
