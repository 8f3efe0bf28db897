# SPDX-License-Identifier: ISC
"""The recipes of docs/users-system.md: NSS and PAM, in a copy of /etc that only
the processes of the test see."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from lookup_peer import add_domain, add_user, make_schema
from node import BIN, ROOT, SLOW
from postgres import Postgres
from smtp_peer import shared_node
from test_48_roles import why_not

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)

PASSWORD = "correct horse"
# mounts pairs "FROM TO" and runs the rest
MOUNT = ('while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 99; '
         'shift 2; done; shift; exec "$@"')


def recipe(heading, number):
    """An example of the manual, as it stands there."""
    text = (ROOT / "docs/users-system.md").read_text()
    text = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)(?:^(?:    .*)?\n)*", text, re.M)
    lines = blocks[number].rstrip("\n").split("\n")
    return "".join(line[4:] + "\n" for line in lines)


class Host:
    """A copy of /etc, and what else is another there."""

    def __init__(self, base):
        self.base, self.etc = base, base / "etc"
        shutil.copytree("/etc", self.etc, symlinks=True,
                        ignore_dangling_symlinks=True)
        self.mounts = [self.etc, "/etc"]

    def run(self, *words, code=0, **options):
        options.setdefault("text", True)
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", MOUNT, "sh",
             *map(str, self.mounts), "--", *map(str, words)],
            capture_output=True, timeout=120 * SLOW, **options)
        assert code is None or done.returncode == code, done
        return done


@pytest.fixture
def host():
    base = Path(tempfile.mkdtemp(prefix="mq"))
    base.chmod(0o755)
    yield Host(base)
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        made.run("vpasswd", f"alice@{made.domain}", PASSWORD)
        yield made


@pytest.fixture
def account(host):
    """An account of the host, with mail, and PAM's file."""
    home = host.base / "home"
    host.run("useradd", "-M", "-d", home, "-s", "/bin/sh", "mqtester")
    host.run("chpasswd", input=f"mqtester:{PASSWORD}\n")
    for part in ("new", "cur", "tmp"):
        (home / "Maildir" / part).mkdir(parents=True)
    (home / "Maildir/new/1.M1P1.host").write_bytes(b"Subject: mine\n\nx\n")
    uid = int(host.run("id", "-u", "mqtester").stdout)
    for path in (home, *home.rglob("*")):
        os.chown(path, uid, uid)
    (host.etc / "pam.d/mqmail").write_text(
        recipe("Accounts of the host log in", 0))
    return "mqtester"


def check(host, node, program, name, password, *words, code):
    """Runs a checkpassword program with name and password on descriptor 3."""
    return host.run(
        "bash", "-c", 'exec 3< <(printf "%s\\0%s\\0\\0" "$1" "$2"); shift 2; '
        'exec "$@"', "bash", name, password, BIN / program,
        *(words or ("sh", "-c", "id -un; pwd")), code=code,
        env={**node.environment(), "TCPREMOTEIP": "192.0.2.1"})


def test_sys_checkpwd(host, node, account):
    done = check(host, node, "sys-checkpwd", account, PASSWORD, code=0)
    assert done.stdout.split("\n")[:2] == [account, str(host.base / "home")]
    check(host, node, "sys-checkpwd", account, "wrong", code=1)
    check(host, node, "sys-checkpwd", account, "", code=1)
    check(host, node, "sys-checkpwd", "nobody-at-all", PASSWORD, code=1)
    host.run("chpasswd", input=f"root:{PASSWORD}\n")
    check(host, node, "sys-checkpwd", "root", PASSWORD, code=1)


def test_vchkpw_falls_back_where_asked(host, node, account):
    check(host, node, "vchkpw", account, PASSWORD, code=1)
    (node.control / "systemlogins").write_text("1\n")
    try:
        done = check(host, node, "vchkpw", account, PASSWORD, code=0)
        assert done.stdout.startswith(account)
        check(host, node, "vchkpw", account, "wrong", code=1)
        # A name with a domain is a user's alone, and users come first.
        check(host, node, "vchkpw", f"{account}@{node.domain}", PASSWORD,
              code=1)
        check(host, node, "vchkpw", f"alice@{node.domain}", PASSWORD, code=0)
        # Failures count as those of users do.
        (node.control / "loginfailures").write_text("2\n")
        done = check(host, node, "vchkpw", account, "wrong", code=1)
        assert f"user <{account}@> refused: no such user" in done.stderr
        done = check(host, node, "vchkpw", account, PASSWORD, code=1)
        assert f"user <{account}@> locked out" in done.stderr
    finally:
        (node.control / "systemlogins").unlink()
        (node.control / "loginfailures").unlink(missing_ok=True)
        os.truncate(node.home / "run/logins", 0)


def test_pop3_of_an_account(host, node, account):
    ours, theirs = socket.socketpair()
    popup = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", MOUNT, "sh", *map(str, host.mounts),
         "--", BIN / "qmail-popup", "host", BIN / "sys-checkpwd",
         BIN / "qmail-pop3d", "Maildir"], stdin=theirs, stdout=theirs,
        env={**node.environment(), "POP3PLAIN": "1"})
    theirs.close()
    with ours, ours.makefile("rb") as file:
        def say(line):
            ours.sendall(line + b"\r\n")
            return file.readline()

        assert file.readline().startswith(b"+OK")
        assert say(b"USER " + account.encode()).startswith(b"+OK")
        assert say(b"PASS " + PASSWORD.encode()).startswith(b"+OK")
        assert say(b"STAT").startswith(b"+OK 1 ")
        assert say(b"QUIT").startswith(b"+OK")
    assert popup.wait(timeout=60 * SLOW) == 0


@pytest.mark.skipif(shutil.which("pamtester") is None, reason="no pamtester")
def test_users_by_pam_exec(host, node):
    heading = "Users log in to the host's services"
    program = host.base / "mqmail-pam"
    program.write_text(recipe(heading, 0).replace(
        "exec 4", f"export MQMAIL_HOME={node.home} MQMAIL_USER=root "
        f"PATH={BIN}:$PATH\nexec 4"))
    program.chmod(0o755)
    (host.etc / "pam.d/mqmail-web").write_text(recipe(heading, 1).replace(
        "/usr/local/sbin/mqmail-pam", str(program)))

    def ask(name, password):
        return host.run("pamtester", "mqmail-web", name, "authenticate",
                        "acct_mgmt", input=password + "\n", code=None)

    user = f"alice@{node.domain}"
    done = ask(user, PASSWORD)
    assert done.returncode == 0, done
    assert ask(user, "wrong").returncode != 0
    assert ask(f"'; touch {host.base}/mark '@x", "y").returncode != 0
    assert not (host.base / "mark").exists()
    node.run("vmoduser", "-w", user)  # no webmail
    try:
        assert ask(user, PASSWORD).returncode != 0
    finally:
        node.run("vmoduser", "-x", user)


def switch(host, number):
    """The recipe's line in place of that of the copy."""
    file = host.etc / "nsswitch.conf"
    file.write_text(re.sub(
        r"(?m)^passwd:.*\n", lambda _: recipe(
            "Users are accounts of the host", number), file.read_text()))


@pytest.mark.skipif(not Path("/usr/lib/libnss_extrausers.so.2").exists(),
                    reason="no libnss-extrausers")
def test_users_by_extrausers(host, node):
    extra = host.base / "extrausers"
    extra.mkdir()
    Path("/var/lib/extrausers").mkdir(exist_ok=True)
    host.mounts += [extra, "/var/lib/extrausers"]
    host.run("sh", "-c", recipe("Users are accounts of the host", 2).replace(
        "/var/mqmail", str(node.home)).replace("example.org", node.domain))
    switch(host, 3)
    fields = host.run("getent", "passwd", "alice").stdout.strip().split(":")
    assert fields[1:4] == ["*", "5000", "5000"]
    assert fields[5] == str(node.maildir("alice").parent)
    assert host.run("getent", "passwd", "root").stdout.startswith("root:")
    host.run("getent", "passwd", "nobody-at-all", code=2)


@pytest.fixture
def database():
    postgres = Postgres()
    make_schema(postgres)
    yield postgres
    postgres.remove()


@pytest.mark.skipif(not Path("/lib/libnss_pgsql.so.2").exists(),
                    reason="no libnss-pgsql2")
def test_users_by_libnss_pgsql(host, database):
    add_domain(database, "example.org")
    add_user(database, "dora", "example.org", "/var/mail", hash="secret")
    add_domain(database, "example.net")
    add_user(database, "else", "example.net", "/var/mail", hash="secret")
    (host.etc / "nss-pgsql.conf").write_text(re.sub(
        r"(?m)^connectionstring = .*$", lambda _:
        f"connectionstring = {database.conninfo()}",
        recipe("Users are accounts of the host", 0)))
    switch(host, 1)
    assert host.run("getent", "passwd", "dora").stdout == \
        "dora:*:5000:5000::/var/mail/dora:/bin/false\n"
    assert host.run("getent", "passwd", "5000").stdout.startswith("dora:")
    host.run("getent", "passwd", "else", code=2)
    assert host.run("id", "-un", "root").stdout == "root\n"
