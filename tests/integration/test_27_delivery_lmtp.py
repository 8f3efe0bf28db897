# SPDX-License-Identifier: ISC
"""A domain whose mail goes to Dovecot by LMTP, for Sieve."""
import smtplib

import pytest

from node import wait_until
from test_72_remote_peers import dovecot

__all__ = ["dovecot"]


def test_a_domain_of_dovecots(make_node, dovecot):
    """Users are still known at RCPT; their mail is Dovecot's."""
    port, folder = dovecot
    users = folder / "users"
    users.write_text(users.read_text().replace("alice:", "alice@example.test:"))
    node = make_node("--queues", 1)
    control = node.control
    lines = (control / "virtualdomains").read_text().splitlines()
    (control / "virtualdomains").write_text("".join(
        f"{node.domain}:\n" if line.startswith(node.domain + ":")
        else line + "\n" for line in lines))
    (control / "smtproutes").write_text(
        f"{node.domain}:[127.0.0.1]/l:{port}\n")
    said = node.svctool("check", code=None).stdout
    node.svctool("restart")
    with node.smtp() as client:
        client.sendmail("s@example.net", [f"alice@{node.domain}"],
                        "Subject: by LMTP\n\nHello.\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("s@example.net", [f"nobody@{node.domain}"], "x")
    wait_until(lambda: any("by LMTP" in path.read_text(errors="replace")
                           for path in folder.rglob("*") if path.is_file()),
               node.logs)
    node.wait_empty()
    assert node.messages("alice") == []
    assert "virtualdomains" not in said, said
