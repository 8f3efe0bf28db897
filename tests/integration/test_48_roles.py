# SPDX-License-Identifier: ISC
"""A node that root starts: each kind of process is a user of its own.

The users are made by `svctool init --create-users` in a copy of /etc, which
only the processes of the test have mounted (their own mount namespace), so
that the host's users stay as they are.
"""
import os
import poplib
import shutil
import smtplib
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

import ports
from node import BIN, SLOW, Node, wait_until
from queue_peer import Intake
from remote_peer import Link
from smtp_peer import any_certificate
from test_01_node import may_reach

USERS = ("qmaild", "qmailq", "vmail", "qmaill", "qmailr", "mqresolve",
         "mqlookup", "mqcluster", "mqadmin", "mqproxy")
GROUPS = ("qmail", "nofiles", "vmail", "qcerts", "mqlookup", "mqcluster",
          "mqadmin")
IN_COPY = 'mount --bind "$0" /etc && exec "$@"'


def why_not():
    """The reason why this cannot run here, or ""."""
    if os.getuid() != 0:
        return "not root"
    for program in ("unshare", "useradd", "groupadd"):
        if shutil.which(program) is None:
            return f"no {program}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", IN_COPY, "/etc", "true"],
        stderr=subprocess.PIPE, text=True, timeout=60)
    return done.stderr


REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)


class RoleNode(Node):
    """A node whose programs see a copy of /etc."""

    def __init__(self, base):
        self.base, self.home = base, base / "n"
        self.etc = base / "etc"
        shutil.copytree("/etc", self.etc, symlinks=True,
                        ignore_dangling_symlinks=True)
        self.host = {}
        for name in ("passwd", "shadow", "group", "gshadow"):
            file = self.etc / name
            if file.exists():
                self.host[name] = file.read_text()
                file.write_text("".join(
                    line for line in file.read_text().splitlines(True)
                    if line.split(":")[0] not in USERS + GROUPS))
        self.bin = BIN
        if not may_reach(BIN):  # the build may lie in a closed place
            self.bin = base / "bin"
            shutil.copytree(BIN, self.bin)
        port = ports.take(5)
        self.info = {"smtp": port, "smtps": port + 1, "lmtp": port + 2,
                     "pop3": port + 3, "pop3s": port + 4}
        self.domain = "example.test"

    def environment(self):
        environment = {name: value for name, value in os.environ.items()
                       if name != "MQMAIL_USER"}
        return {**environment, "MQMAIL_HOME": str(self.home)}

    def run(self, program, *words, code=0, **options):
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", IN_COPY, self.etc,
             self.bin / program, *map(str, words)], env=self.environment(),
            capture_output=True, text=True, timeout=120 * SLOW, **options)
        assert code is None or done.returncode == code, done
        return done

    def init(self, *words, code=0):
        return self.run(
            "svctool", "init", "--me", "mail.example.test", "--domain",
            "example.test", "--address", "127.0.0.1", "--port",
            self.smtp_port, "--smtps", self.smtps_port, "--lmtp",
            self.lmtp_port, "--pop3", self.info["pop3"], "--pop3s",
            self.info["pop3s"], *words, code=code)

    def read_ids(self):
        """Numbers of the users and groups, from the copy."""
        def ids(name, wanted):
            lines = (self.etc / name).read_text().splitlines()
            return {fields[0]: int(fields[2]) for fields in
                    (line.split(":") for line in lines)
                    if fields[0] in wanted}

        self.uids, self.gids = ids("passwd", USERS), ids("group", GROUPS)
        self.uids["root"] = self.gids["root"] = 0


@pytest.fixture(scope="module")
def node():
    base = Path(tempfile.mkdtemp(prefix="mq"))
    base.chmod(0o755)
    node = RoleNode(base)
    try:
        node.init("--create-users")
        node.read_ids()
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                (node.control / "global_vars" / name).write_text(
                    os.environ[name])
        node.run("vadduser", "-n", "alice@example.test")
        node.run("svctool", "start")
        yield node
    finally:
        node.run("svctool", "stop", code=None)
        left = node.processes()
        shutil.rmtree(base)
        assert left == []


def status_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in
            (line.partition(":") for line in lines)}


def test_the_hosts_users_are_not_touched(node):
    """Those of the node are in the copy alone."""
    assert set(node.uids) == {*USERS, "root"}
    assert set(node.gids) == {*GROUPS, "root"}
    assert {name: Path("/etc", name).read_text()
            for name in node.host} == node.host


# Program, its user, its group, and the groups that it may have besides.
ROLES = {
    "svscan": ("root", "root", None),
    "supervise": ("root", "root", None),
    "multilog": ("qmaill", "nofiles", set()),
    "qmail-start": ("root", "root", None),
    "qmail-send": ("qmailq", "qmail", set()),
    "qmail-vdeliver": ("vmail", "vmail", set()),
    "qmail-smtpd": ("qmaild", "nofiles", {"qcerts", "vmail"}),
    "qmail-pop3d": ("vmail", "vmail", {"qcerts"}),
    "resolverd": ("mqresolve", "nofiles", set()),
    "qmail-rspawn": ("qmailr", "qmail", {"qcerts"}),
}


def test_every_process_is_its_roles_user(node):
    node.send("alice", "a message, so that every worker runs")
    seen = set()
    for pid in node.processes():
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        user, group, others = ROLES[name]
        seen.add(name)
        for task in Path(f"/proc/{pid}/task").iterdir():
            status = status_of(f"{pid}/task/{task.name}")
            assert set(status["Uid"]) == {str(node.uids[user])}, name
            assert set(status["Gid"]) == {str(node.gids[group])}, name
            if user == "root":
                continue
            allowed = {str(node.gids[other]) for other in others | {group}}
            assert set(status["Groups"]) <= allowed, name
            assert int(status["CapEff"][0], 16) == 0, name
            assert int(status["CapPrm"][0], 16) == 0, name
            if name != "multilog":
                assert status["NoNewPrivs"] == ["1"], name
    assert seen == set(ROLES)


def test_mail_goes_every_way(node):
    node.send("alice", "by SMTP")
    with smtplib.SMTP_SSL("127.0.0.1", node.smtps_port,
                          timeout=30 * SLOW) as client:
        client.sendmail("s@example.net", ["alice@example.test"],
                        "Subject: by TLS\n\nHello.\n")
    with smtplib.LMTP("127.0.0.1", node.lmtp_port) as client:
        client.sendmail("s@example.net", ["alice@example.test"],
                        "Subject: by LMTP\n\nHello.\n")
    ways = (b"by SMTP", b"by TLS", b"by LMTP")

    def have_all_come():
        # Counting is not enough: another test's may come only now.
        texts = [path.read_bytes() for path in node.messages("alice")]
        return all(any(b"Subject: " + way in text for text in texts)
                   for way in ways)

    wait_until(have_all_come, f"all of {ways}")
    with node.smtp() as client:
        client.ehlo()
        assert "starttls" in client.esmtp_features
        client.mail("s@example.net")
        assert client.rcpt("nobody@example.test")[0] == 550
        assert client.rcpt("postmaster@mail.example.test")[0] == 250
    node.run("vpasswd", "alice@example.test", "secret")
    client = poplib.POP3_SSL("127.0.0.1", node.info["pop3s"],
                             context=any_certificate())
    client.user("alice@example.test")
    client.pass_("secret")
    assert client.stat()[0] >= 3
    assert b"Subject: by " in b"\n".join(client.retr(2)[1])
    client.close()
    for path in node.messages("alice"):
        assert path.stat().st_uid == node.uids["vmail"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_remote_delivery_reads_passwords_by_its_group(node):
    (node.control / "remote_auth").write_text("a@example.test joe secret\n")
    (node.control / "moresmtproutes").write_text("x.test:[127.0.0.1]:2\n")
    try:
        for name in ("remote_auth", "moresmtproutes"):
            node.run("qmail-cdb", name)
            found = (node.control / f"{name}.cdb").stat()
            assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (
                node.gids["qmail"], 0o640)
        subprocess.run(["svc", "-h", node.home / "service/remote"],
                       check=True)
        wait_until(lambda: "settings were read again" in node.log("remote"),
                   lambda: node.log("remote"))
    finally:
        for file in node.control.glob("*smtproutes*"):
            file.unlink()
        for file in node.control.glob("remote_auth*"):
            file.unlink()


def test_a_bounce_is_delivered(node):
    """Made by qmail-send, to a user of the node."""
    before = len(node.messages("alice"))
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", IN_COPY + ' 1<"$ENVELOPE"', node.etc,
         node.bin / "qmail-queue"], input=b"Subject: to nobody\n\nHello.\n",
        env={**node.environment(), "ENVELOPE": str(envelope(node))},
        timeout=60 * SLOW)
    assert done.returncode == 0
    assert any(b"nobody@example.test" in message for message in
               node.wait_messages("alice", before + 1))


def envelope(node):
    path = node.base / "envelope"
    path.write_bytes(b"Falice@example.test\0Tnobody@example.test\0\0")
    return path


def owners(node):
    """Below the home, who should own what: (glob, user)."""
    return [
        (".", "root"), ("control/**/*", "root"), ("users/[!l]*", "root"),
        ("service", "root"), ("service/*/run", "root"),
        ("service/*/log/run", "root"), ("service/*/variables/*", "root"),
        ("run", "root"), ("run/lookupd", "mqlookup"),
        ("run/cluster", "mqcluster"), ("log", "root"), ("log/*/**/*", "qmaill"),
        ("log/queue1", "qmaill"), ("tls", "root"), ("tls/*", "root"),
        ("queue", "root"), ("queue/*/**/*", "qmailq"),
        ("queue/queue1", "qmailq"), ("domains/**/*", "vmail"),
        ("domains", "vmail")]


def test_every_file_is_its_roles_users(node):
    node.send("alice", "so that there are files of every kind")
    wait_until(lambda: node.log("queue1") + node.log("queue2"), "a log")
    for pattern, user in owners(node):
        paths = [node.home] if pattern == "." else list(
            node.home.glob(pattern))
        assert paths, pattern
        for path in paths:
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue  # a message that has been delivered meanwhile
            assert found.st_uid == node.uids[user], path
            if not stat.S_ISLNK(found.st_mode) and not stat.S_ISSOCK(
                    found.st_mode) and not stat.S_ISFIFO(found.st_mode):
                assert found.st_mode & 0o022 == 0, path
    key = (node.home / "tls/servercert.pem").stat()
    assert (key.st_gid, stat.S_IMODE(key.st_mode)) == (
        node.gids["qcerts"], 0o640)


def test_check_and_status_find_nothing(node):
    done = node.run("svctool", "check")
    assert "0 errors, 0 warnings" in done.stdout
    assert node.run("svctool", "status").stdout.startswith(
        f"node {node.home}: up")


def test_queues_and_domains_come_while_it_runs(node):
    node.run("svctool", "queue", "add", "3")
    assert (node.queue_dir("queue3").stat().st_uid ==
            node.uids["qmailq"])
    node.run("vadddomain", "-n", "example.org")
    folder = node.home / "domains/example.org"
    assert {path.stat().st_uid for path in [folder, *folder.rglob("*")]} == {
        node.uids["vmail"]}

    def taken():
        with node.smtp() as client:
            client.ehlo()
            client.mail("s@example.net")
            return client.rcpt("postmaster@example.org")[0] == 250

    wait_until(taken, "the new domain is known")
    node.run("vdeldomain", "-f", "example.org")
    node.run("svctool", "queue", "remove", "3")
    assert not folder.exists()


def test_mail_for_other_hosts(node):
    """qmail-rspawn serves the queues of qmailq."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(60 * SLOW)
    routes = node.control / "smtproutes"
    routes.write_text(f":[127.0.0.1]:{listener.getsockname()[1]}\n")
    (node.control / "tlspolicy").write_text("*:none\n")  # no DNS is asked
    node.run("svctool", "restart")
    try:
        assert node.inject("x@far.example", queue="queue1") == 0
        link, _ = listener.accept()
        peer = Link(link)
        peer.hello()
        assert b"Subject: injected" in peer.transaction()
        peer.socket.close()
        wait_until(lambda: node.backlog() == 0, "it has left the queue")
    finally:
        listener.close()
        routes.unlink()
        (node.control / "tlspolicy").unlink()
        node.run("svctool", "restart")


def test_qmaild_retries_what_etrnhosts_allows(node):
    """... and has no other say in what becomes of a queue's mail."""
    class Queue:
        dir = node.queue_dir("queue1")

    (node.control / "etrnhosts").write_text(
        "held.example 192.0.2.0/24 -\n")
    node.run("svctool", "restart")
    orders = [
        (Intake.RETRY, 0, "held.example", "192.0.2.7", 255),  # has no mail
        (Intake.RETRY, 0, "held.example", "192.0.3.7", 31),
        (Intake.RETRY, 0, "held.example", "", 31),
        (Intake.RETRY, 0, "HELD.example", "192.0.2.7", 31),
        (Intake.RETRY, 0, "other.example", "192.0.2.7", 31),
        (Intake.RETRY, 7, "", "192.0.2.7", 31),
        (Intake.HOLD, 0, "held.example", "192.0.2.7", 31),
        (Intake.RELEASE, 0, "held.example", "192.0.2.7", 31),
        (Intake.DELETE, 7, "", "192.0.2.7", 31)]
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(node.gids["nofiles"])
            os.setuid(node.uids["qmaild"])
            client = Intake(Queue)
            codes = [client.operate(action, number, lane=lane, text=text)[0]
                     for action, number, lane, text, _ in orders]
            os._exit(0 if codes == [order[-1] for order in orders] else 1)
        finally:
            os._exit(2)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        with node.smtp() as client:
            client.ehlo()
            assert client.docmd("ETRN", "held.example")[0] == 459
    finally:
        (node.control / "etrnhosts").unlink()
        node.run("svctool", "restart")


def test_only_root_and_qmailr_ask_for_destinations(node):
    """A queue's user has the mail of his queue sent, and no more."""
    assert node.run("svctool", "queue", "destinations").stdout == ""
    node.run("svctool", "queue", "suspend", "a.example")
    assert "a.example: suspended until resume" in node.run(
        "svctool", "queue", "destinations").stdout
    node.run("svctool", "queue", "resume", "a.example")
    answers = {}
    for user in ("qmailr", "qmailq", "qmaild"):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(node.gids["qmail"])
                os.setuid(node.uids[user])
                link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                link.settimeout(60)
                link.connect(str(node.home / "run/remote"))
                link.send(b"o\x01\x01\0\0\0\0")
                packet = link.recv(60000)
                while packet and packet[:1] != b"e":
                    packet = link.recv(60000)
                os.write(write, packet[1:2] or b"-")
                os._exit(0)
            except OSError:
                os.write(write, b"-")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        answers[user] = os.read(read, 1)
        os.close(read)
        os.close(write)
    assert answers == {"qmailr": b"\0", "qmailq": b"\2", "qmaild": b"-"}


def test_init_again_keeps_the_roles(node):
    assert "nothing to do" in node.init().stdout
    done = node.init("--user", "root", code=1)
    assert "one user for each kind of process" in done.stderr
    for user in ("vmail", "nobody"):
        done = node.init("--user", user, code=1)
        assert f"leave '{user}'" in done.stderr


def test_init_gives_owners_that_a_killed_init_did_not(node):
    """Killed between making a folder and giving it away."""
    for name in ("domains", "log/queue1"):
        os.chown(node.home / name, 0, 0)
    done = node.init()
    assert f"owner    {node.home}/domains: vmail" in done.stdout
    assert (node.home / "domains").stat().st_uid == node.uids["vmail"]
    assert (node.home / "log/queue1").stat().st_uid == node.uids["qmaill"]
    os.chown(node.home / "log/queue1", 65534, 65534)
    done = node.init(code=1)
    assert "belongs to user 65534, and should to 'qmaill'" in done.stderr
    os.chown(node.home / "log/queue1", node.uids["qmaill"],
             node.gids["nofiles"])


def test_restart_and_stop_reach_every_user(node):
    before = set(node.processes())
    node.run("svctool", "restart")
    assert before.isdisjoint(node.processes())
    node.run("svctool", "stop")
    assert node.processes() == []
    node.run("svctool", "start")
    node.send("alice", "after the restart")


def test_a_node_of_a_cluster(postgres):
    """clusterd is a user of its own, and svctool knows its service."""
    base = Path(tempfile.mkdtemp(prefix="mq"))
    base.chmod(0o755)
    node = RoleNode(base)
    port = ports.take(3)
    try:
        node.run("svctool", "init", "--me", "mail.example.test", "--queues",
                 "1", "--port", f"127.0.0.1:{port}", "--create-users")
        node.read_ids()
        postgres.fresh_database(node.home)
        os.chown(node.control / "pgsql", 0, node.gids["mqlookup"])
        node.run("svctool", "cluster", "init", "--host", "127.0.0.1",
                 "--bus", f"127.0.0.1:{port + 1}", "--listen",
                 f"127.0.0.1:{port + 2}")
        node.run("svctool", "start")
        leases = node.home / "run/cluster/leases"
        nodes = node.home / "run/cluster/nodes.cdb"
        wait_until(lambda: leases.exists() and nodes.exists(),
                   lambda: node.log("cluster"))
        for path in (leases, nodes):
            assert path.stat().st_uid == node.uids["mqcluster"]
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
        pid = next(pid for pid in node.processes() if Path(
            f"/proc/{pid}/comm").read_text().strip() == "clusterd")
        for task in Path(f"/proc/{pid}/task").iterdir():
            status = status_of(f"{pid}/task/{task.name}")
            assert set(status["Uid"]) == {str(node.uids["mqcluster"])}
            assert set(status["Gid"]) == {str(node.gids["mqcluster"])}
            assert set(status["Groups"]) <= {
                str(node.gids[name]) for name in ("qcerts", "mqcluster")}
            assert int(status["CapPrm"][0], 16) == 0
            assert status["Seccomp"] == ["2"] or "ASAN_OPTIONS" in os.environ \
                or "TSAN_OPTIONS" in os.environ
        wait_until(lambda: node.run("svctool", "cluster", "status", code=None)
                   .stdout.startswith("fine: node mail of a cluster of 1"),
                   lambda: node.run("svctool", "cluster", "status",
                                    code=None).stdout)
        status = node.run("svctool", "status").stdout
        assert "cluster" in status
        # Its keys are read without root.
        node.run("svctool", "cluster", "rotate-keys")
        wait_until(lambda: "keys were read again" in node.log("cluster"),
                   lambda: node.log("cluster"))
        wait_until(lambda: node.run("svctool", "cluster", "status", code=None)
                   .stdout.startswith("fine"), lambda: node.log("cluster"))
        done = node.run("svctool", "check", code=None)
        assert "0 errors, 0 warnings" in done.stdout
    finally:
        node.run("svctool", "stop", code=None)
        left = node.processes()
        shutil.rmtree(base)
        assert left == []
