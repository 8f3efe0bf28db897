# SPDX-License-Identifier: ISC
"""qmail-remote and other people's servers."""
import getpass
import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

import ports
from node import SLOW, wait_until
from postfix_peer import HOSTNAME, relaying
from remote_peer import make_home, send
from smtp_peer import shared_node

SETTINGS = """\
smtpd_tls_security_level = may
smtpd_tls_chain_files = {pem}
smtpd_recipient_restrictions =
    check_recipient_access inline:{{ {{ no@example.net = REJECT }},
    {{ later@example.net = DEFER }} }}, permit_mynetworks, reject
"""


@pytest.fixture(scope="module")
def node():
    with shared_node() as made:
        yield made


@pytest.fixture(scope="module")
def postfix(node):
    """A relay to the node."""
    settings = SETTINGS.format(pem=node.home / "tls/servercert.pem")
    os.chmod(node.home / "tls/servercert.pem", 0o644)
    with relaying(node.smtp_port, settings) as running:
        yield running


@pytest.fixture
def home(tmp_path):
    return make_home(tmp_path)


BODIES = [b"Subject: x\n\nHello.\n", b"Subject: x\n\n.\n..\n.a\nend",
          b"Subject: x\n\n" + b"0123456\n" * 50000,
          "Subject: x\n\nGrüße\n".encode()]


@pytest.mark.parametrize("body", BODIES,
                         ids=["short", "dots", "large", "8bit"])
def test_through_postfix(home, node, postfix, body):
    """By TLS, as a chunk or by DATA, and back to a node of ours."""
    before = set(node.messages("alice"))
    at = len(postfix.log())
    report = send(home, postfix.port, body, recipients=(
        f"alice@{node.domain}", "no@example.net", "later@example.net"))
    assert report.letters == "rhsK", report.text
    wait_until(lambda: len(node.messages("alice")) > len(before),
               lambda: postfix.log()[at:])
    new, = set(node.messages("alice")) - before
    text = new.read_bytes()
    wanted = body.split(b"\n\n", 1)[1]
    assert text.split(b"\n\n", 1)[1] == wanted + (
        b"" if wanted.endswith(b"\n") else b"\n")
    assert f"by {HOSTNAME} (Postfix)".encode() in text


def test_to_our_own_server(home, node):
    before = len(node.messages("bob"))
    report = send(home, node.smtp_port, recipients=(
        f"bob@{node.domain}", f"nobody@{node.domain}"))
    assert report.letters == "rhK"
    assert "550" in report.recipients[1]
    node.wait_messages("bob", before + 1)


def test_to_our_own_lmtp(home, node):
    before = len(node.messages("bob"))
    report = send(home, node.lmtp_port, route="/l", recipients=(
        f"bob@{node.domain}", f"alice@{node.domain}"))
    assert report.letters == "rrK"
    node.wait_messages("bob", before + 1)


@pytest.mark.parametrize("options", [
    [], ["-8"], ["-e"], ["-N"], ["-p"], ["-E"]], ids=str)
def test_smtp_sink(home, options):
    """Postfix's sink, with and without what it may offer."""
    program = shutil.which("smtp-sink")
    if program is None:
        pytest.skip("smtp-sink is not installed")
    port = ports.take()
    user = [] if os.getuid() else ["-u", "postfix"]
    process = subprocess.Popen(
        [program, *user, *options, f"127.0.0.1:{port}", "10"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def is_there():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        wait_until(is_there, "smtp-sink")
        report = send(home, port, b"x\n" * 100000)
        assert report.letters == "rK", report.text
    finally:
        process.terminate()
        process.wait(20 * SLOW)


DOVECOT = """\
protocols = lmtp
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = no
mail_location = maildir:{folder}/mail/%u
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
mail_uid = {uid}
mail_gid = {uid}
first_valid_uid = 0
first_valid_gid = 0
postmaster_address = postmaster@example.net
auth_username_format = %Ln
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service lmtp {{
  chroot =
  user = {user}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
"""


@pytest.fixture
def dovecot():
    if shutil.which("dovecot") is None or \
            not os.path.exists("/usr/lib/dovecot/lmtp"):
        pytest.skip("Dovecot's LMTP server is not installed")
    port = ports.take()
    user = "mail" if os.getuid() == 0 else getpass.getuser()
    entry = pwd.getpwnam(user)
    with tempfile.TemporaryDirectory(prefix="mq") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for name in ("run", "state", "mail"):
            (folder / name).mkdir()
        os.chown(folder / "mail", entry.pw_uid, entry.pw_gid)
        (folder / "users").write_text(f"alice:{{plain}}x:{entry.pw_uid}:"
                                      f"{entry.pw_gid}::{folder}/mail::\n")
        (folder / "conf").write_text(DOVECOT.format(
            folder=folder, port=port, user=user, uid=entry.pw_uid,
            group=grp.getgrgid(entry.pw_gid).gr_name))
        process = subprocess.Popen(["dovecot", "-F", "-c", folder / "conf"],
                                   stderr=subprocess.PIPE, text=True)

        def is_there():
            assert process.poll() is None, process.stderr.read()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        try:
            wait_until(is_there, "Dovecot")
            yield port, folder
        finally:
            process.terminate()
            process.wait(20 * SLOW)


def test_dovecot_lmtp(home, dovecot):
    port, folder = dovecot
    report = send(home, port, b"Subject: x\n\n.\nHello.\n", route="/l",
                  recipients=("alice", "nobody"))
    log = (folder / "log").read_text() if (folder / "log").exists() else ""
    assert report.letters == "rhK", (report.recipients, report.text, log)
    message, = (folder / "mail/alice/new").iterdir()
    assert message.read_bytes().endswith(b"Subject: x\n\n.\nHello.\n")
