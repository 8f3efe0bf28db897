# SPDX-License-Identifier: ISC
"""POP3: poplib and curl, hostile clients, logins, a kill in the middle."""
import base64
import hashlib
import json
import os
import poplib
import signal
import smtplib
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lookup_peer import add_domain, add_user, make_schema, use_database
from node import BIN, SLOW, wait_until
from postgres import Postgres
from smtp_peer import any_certificate, shared_node

PASSWORD = "correct horse"
MESSAGE = b"Subject: one\n\n.dot\nlast without an end"


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1, "--pop3s", "--users", 6) as made:
        (made.control / "logindelay").write_text("100\n")
        (made.control / "loginfailuresip").write_text("0\n")
        hangup(made)
        for user in ("alice", "bob", "u0", "u1", "u2", "u3", "u4", "u5"):
            made.run("vpasswd", f"{user}@{made.domain}", PASSWORD)
        share_secret(made, "u0")
        made.run("vmoduser", "-p", f"u1@{made.domain}")
        made.run("vmoduser", "-n", f"u2@{made.domain}")
        yield made


def share_secret(node, user):
    """The user's secret in the clear, for APOP, is "shared"."""
    passwd = node.home / "domains" / node.domain / "vpasswd"
    passwd.write_text("".join(
        f"{line}:shared\n" if line.startswith(f"{user}:") else f"{line}\n"
        for line in passwd.read_text().splitlines()))
    node.run("vmkpasswd", node.domain)


def service(node):
    return f"qmail-pop3d.{node.info['pop3']}"


def hangup(node):
    """Has the listener read its settings again."""
    before = node.log(service(node)).count("settings reread")
    subprocess.run(["svc", "-h", node.home / "service" / service(node)],
                   check=True)
    wait_until(lambda: node.log(service(node)).count("settings reread") >
               before, "settings reread")


class setting:
    """A setting for the time of a block."""

    def __init__(self, node, name, value):
        self.node, self.file, self.value = node, node.control / name, value

    def __enter__(self):
        self.old = self.file.read_text() if self.file.exists() else None
        self.file.write_text(f"{self.value}\n")
        hangup(self.node)

    def __exit__(self, *what):
        if self.old is None:
            self.file.unlink()
        else:
            self.file.write_text(self.old)
        hangup(self.node)


def pop3(node):
    return poplib.POP3("127.0.0.1", int(node.info["pop3"]), timeout=30 * SLOW)


def login(node, user="alice", password=PASSWORD):
    client = pop3(node)
    client.user(user if set(user) & set("@%") else f"{user}@{node.domain}")
    client.pass_(password)
    return client


def refusal(node, user, password=PASSWORD):
    """What the server says to it."""
    client = pop3(node)
    client.user(user)
    with pytest.raises(poplib.error_proto) as caught:
        client.pass_(password)
    client.close()
    return caught.value.args[0].decode()


def fill(node, user, *texts):
    """Messages in a Maildir with nothing else in it; their files."""
    maildir = node.maildir(user)
    for part in ("new", "cur", "tmp"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
        for file in (maildir / part).iterdir():
            file.unlink()
    files = []
    for number, text in enumerate(texts):
        name = f"{1700000000 + number}.M{number}P1.host,S={len(text)}"
        files.append(maildir / "new" / name)
        files[-1].write_bytes(text)
    return files


def remaining(node, user):
    maildir = node.maildir(user)
    return sorted(path.name.split(":")[0] for part in ("new", "cur")
                  for path in (maildir / part).iterdir())


def raw(node, data=b"", timeout=30 * SLOW):
    """A connection that has said data, and its file to read from."""
    sock = socket.create_connection(
        ("127.0.0.1", int(node.info["pop3"])), timeout=timeout)
    file = sock.makefile("rb")
    assert file.readline().startswith(b"+OK")
    sock.sendall(data)
    return sock, file


def test_poplib(node):
    files = fill(node, "alice", MESSAGE, b"Subject: two\n\n1\n2\n3\n")
    client = login(node)
    assert client.stat() == (2, sum(file.stat().st_size for file in files))
    assert client.retr(1)[1] == [b"Subject: one", b"", b".dot",
                                 b"last without an end"]
    assert client.top(2, 1)[1] == [b"Subject: two", b"", b"1"]
    uids = client.uidl()[1]
    assert uids == [b"%d %s" % (number + 1, file.name.encode())
                    for number, file in enumerate(files)]
    client.dele(1)
    with pytest.raises(poplib.error_proto, match="deleted"):
        client.retr(1)
    assert client.list()[1] == [b"2 20"]
    client.rset()
    client.dele(2)
    client.quit()
    assert remaining(node, "alice") == [files[0].name]
    # The same name when it is not new any more.
    assert not list((node.maildir("alice") / "new").iterdir())
    client = login(node)
    assert client.uidl()[1] == uids[:1]
    client.quit()


def test_delivered_by_smtp(node):
    fill(node, "bob")
    node.send("bob", body="Hello.\n.\n..\nend\n")
    node.wait_messages("bob", 1)
    client = login(node, "bob")
    text = client.retr(1)[1]
    assert text[-4:] == [b"Hello.", b".", b"..", b"end"]
    uid = client.uidl(1).split()[2]
    assert 0 < len(uid) <= 70
    client.dele(1)
    client.quit()
    assert remaining(node, "bob") == []


def test_tls(node):
    fill(node, "alice", MESSAGE)
    context = any_certificate()
    client = poplib.POP3_SSL("127.0.0.1", int(node.info["pop3s"]),
                             context=context)
    assert "STLS" not in client.capa()
    client.user(f"alice@{node.domain}")
    client.pass_(PASSWORD)
    assert client.stat()[0] == 1
    client.quit()
    client = pop3(node)
    assert "STLS" in client.capa()
    client.stls(context)
    assert "STLS" not in client.capa()
    client.user(f"alice@{node.domain}")
    client.pass_(PASSWORD)
    assert client.stat()[0] == 1
    client.quit()


def test_what_came_before_tls_is_forgotten(node):
    sock, file = raw(node, b"USER alice@%s\r\nSTLS\r\nPASS %s\r\nSTAT\r\n" %
                     (node.domain.encode(), PASSWORD.encode()))
    assert file.readline().startswith(b"+OK")
    assert file.readline().startswith(b"+OK")
    # The lines behind STLS are no handshake, or dropped with what came along.
    sock.settimeout(5)
    try:
        context = any_certificate()
        with context.wrap_socket(sock) as wrapped:
            wrapped.sendall(b"PASS x\r\n")
            assert b"USER first" in wrapped.recv(1000)
    except (OSError, ValueError):
        pass  # it saw them as a broken handshake, and closed


@pytest.mark.parametrize("scheme", ["pop3", "pop3s", "stls"])
def test_curl(node, scheme):
    fill(node, "alice", MESSAGE)
    url = f"pop3s://127.0.0.1:{node.info['pop3s']}" if scheme == "pop3s" \
        else f"pop3://127.0.0.1:{node.info['pop3']}"
    options = ["--ssl-reqd"] if scheme == "stls" else []
    done = subprocess.run(
        ["curl", "-sSk", *options, "-u", f"alice@{node.domain}:{PASSWORD}",
         f"{url}/1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=60 * SLOW)
    assert done.returncode == 0, done.stderr
    assert done.stdout == MESSAGE.replace(b"\n", b"\r\n") + b"\r\n"


def test_wrong_user_and_wrong_password_have_one_answer(node):
    times = []
    answers = set()
    for user in (f"u5@{node.domain}", f"nobody@{node.domain}",
                 "alice@nowhere.test"):
        start = time.monotonic()
        answers.add(refusal(node, user, "wrong"))
        times.append(time.monotonic() - start)
    assert answers == {"-ERR [AUTH] authorization failed"}
    assert min(times) >= 0.1
    # On a busy server lines are written a moment later.
    wait_until(lambda: f"from 127.0.0.1 user <nobody@{node.domain}> refused: "
               "no such user" in node.log(service(node)), "its log line")
    log = node.log(service(node))
    assert "wrong" not in log.replace("wrong password", "")


def test_names(node):
    fill(node, "alice", MESSAGE)
    login(node, f"ALICE%{node.domain}").quit()
    assert "[AUTH]" in refusal(node, "alice")
    with setting(node, "defaultlogindomain", node.domain):
        login(node, f"alice@{node.domain}").quit()
        client = pop3(node)
        client.user("alice")
        client.pass_(PASSWORD)
        client.quit()
    with setting(node, "vipmap", f"127.0.0.1 {node.domain}"):
        client = pop3(node)
        client.user("alice")
        client.pass_(PASSWORD)
        client.quit()


def test_rights(node):
    assert "[SYS/PERM]" in refusal(node, f"u1@{node.domain}")
    assert "[AUTH]" in refusal(node, f"u1@{node.domain}", "wrong")
    assert "[SYS/PERM]" in refusal(node, f"u2@{node.domain}")


def test_a_login_ends_being_away(node):
    """Who is inactive for not having logged in, and for nothing else."""
    passwd = node.home / "domains" / node.domain / "vpasswd"
    text = passwd.read_text()
    away = "".join(":".join([*line.split(":")[:2], "48", *line.split(":")[3:]])
                   if line.startswith("bob:") else line
                   for line in text.splitlines(keepends=True))
    try:
        passwd.write_text(away)
        node.run("vmkpasswd", node.domain)
        with smtplib.SMTP("127.0.0.1", node.smtp_port,
                          timeout=30 * SLOW) as smtp:
            smtp.ehlo()
            smtp.mail("a@example.org")
            assert b"inactive" in smtp.rcpt(f"bob@{node.domain}")[1]
        assert "[AUTH]" in refusal(node, f"bob@{node.domain}", "wrong")
        login(node, "bob").quit()
        assert "bob@" in node.run("vdeloldusers", "-i").stdout
        assert "-active" in node.run(
            "vuserinfo", "-u", f"bob@{node.domain}").stdout
    finally:
        passwd.write_text(text)
        node.run("vmkpasswd", node.domain)


def test_lock_out(node):
    with setting(node, "loginfailures", 3):
        # Once from here, so that this address stays: another user's not.
        for _ in range(3):
            assert "[AUTH]" in refusal(node, f"u3@{node.domain}", "wrong")
        assert "too many failed" in refusal(node, f"u3@{node.domain}")
        login(node, "alice").quit()
        for _ in range(4):
            refusal(node, f"alice@{node.domain}", "wrong")
        login(node, "alice").quit()
    # Of all processes, and not what other tests are about.
    os.truncate(node.home / "run/logins", 0)


def test_login_delay(node):
    with setting(node, "minlogininterval", 60):
        assert pop3(node).capa()["LOGIN-DELAY"] == ["60"]
        login(node, "u4").quit()
        assert "[LOGIN-DELAY]" in refusal(node, f"u4@{node.domain}")


def test_could_not_tell(node):
    """Without the users' file nobody is refused for good."""
    file = node.home / "domains" / node.domain / "vpasswd.cdb"
    hidden = file.with_suffix(".hidden")
    file.rename(hidden)
    try:
        assert "[SYS/TEMP]" in refusal(node, f"alice@{node.domain}")
    finally:
        hidden.rename(file)
    login(node).quit()


def test_sasl_plain(node):
    import base64
    good = base64.b64encode(
        f"\0alice@{node.domain}\0{PASSWORD}".encode()).decode()
    for lines, wanted in (
            ([f"AUTH PLAIN {good}"], "+OK"),
            (["AUTH PLAIN", good], "+OK"),
            (["AUTH PLAIN", "*"], "-ERR"),
            (["AUTH PLAIN", "x"], "-ERR"),
            (["AUTH PLAIN ="], "-ERR"),
            (["AUTH CRAM-MD4"], "-ERR"),
            (["AUTH PLAIN " + base64.b64encode(
                f"bob\0alice@{node.domain}\0{PASSWORD}".encode()).decode()],
             "-ERR")):
        sock, file = raw(node)
        for line in lines[:-1]:
            sock.sendall(line.encode() + b"\r\n")
            assert file.readline() == b"+ \r\n"
        sock.sendall(lines[-1].encode() + b"\r\n")
        assert file.readline().startswith(wanted.encode()), lines
        sock.close()


def test_sasl_token(node):
    """The program is asked here, too, and knows who asks."""
    import base64
    program = node.home / "introspect"
    program.write_text(
        "#!/usr/bin/python3\n"
        "import os, sys\n"
        "token = os.fdopen(3, 'rb').read().split(b'\\0')[1]\n"
        "assert os.environ['TCPREMOTEIP'] == '127.0.0.1'\n"
        "sys.exit(0 if token == b'good' else 1)\n")
    program.chmod(0o755)
    token = base64.b64encode(f"user=alice@{node.domain}\1auth=Bearer good\1\1"
                             .encode())
    with setting(node, "oauthprogram", program), \
            setting(node, "authmechanisms", "PLAIN XOAUTH2"):
        sock, file = raw(node, b"AUTH XOAUTH2 " + token + b"\r\n")
        assert file.readline().startswith(b"+OK")
        sock.close()
        compiled = node.control / "tcp.pop3.cdb"
        old = compiled.read_bytes() if compiled.exists() else None
        subprocess.run(["tcprules", compiled, f"{compiled}.tmp"], text=True,
                       input=':allow,DISABLE_OAUTH2="1"\n', check=True)
        try:
            wait_until(lambda: pop3(node).capa()["SASL"] == ["PLAIN"], "rules")
        finally:
            compiled.unlink()
            if old is not None:
                compiled.write_bytes(old)


def test_apop(node):
    fill(node, "u0", MESSAGE)
    with setting(node, "pop3apop", 1):
        client = pop3(node)
        client.apop(f"u0@{node.domain}", "shared")
        assert client.stat()[0] == 1
        client.quit()
        for user, secret in ((f"u0@{node.domain}", "other"),
                             (f"alice@{node.domain}", ""),
                             (f"alice@{node.domain}", PASSWORD)):
            client = pop3(node)
            with pytest.raises(poplib.error_proto, match="AUTH"):
                client.apop(user, secret)
            client.close()
    assert b"<" not in pop3(node).getwelcome()


def test_messages_that_others_move_and_remove(node):
    files = fill(node, "alice", *(b"Subject: %d\n\n" % i for i in range(4)))
    client = login(node)
    maildir = node.maildir("alice")
    files[0].rename(maildir / "cur" / f"{files[0].name}:2,RS")
    files[1].unlink()
    assert client.retr(1)[1] == [b"Subject: 0", b""]
    with pytest.raises(poplib.error_proto, match="gone"):
        client.retr(2)
    client.dele(1)
    client.dele(2)
    client.dele(3)
    client.quit()
    assert remaining(node, "alice") == [files[3].name]


def test_quota_is_less_after_deletes(node):
    files = fill(node, "alice", b"x" * 100, b"y" * 50)
    size = node.maildir("alice") / "maildirsize"
    size.write_text("1000S\n150 2\n")
    client = login(node)
    client.dele(1)
    client.quit()
    assert size.read_text() == "1000S\n150 2\n-100 -1\n"
    assert remaining(node, "alice") == [files[1].name]
    size.unlink()


def test_closed_anywhere_removes_nothing(node):
    def open_sessions():
        """Also those that an earlier test has left."""
        log = node.log(service(node))
        return log.count("tcpserver: ok ") - log.count("tcpserver: end ")

    before = open_sessions()
    files = fill(node, "alice", MESSAGE, MESSAGE)
    script = (f"USER alice@{node.domain}\r\nPASS {PASSWORD}\r\nSTAT\r\n"
              "DELE 1\r\nRETR 2\r\nUIDL\r\nDELE 2\r\nQUIT\r").encode()
    for end in range(0, len(script) + 1, 3):
        sock, _ = raw(node, script[:end])
        sock.close()
    # With an end of what it says, it hears all answers.
    sock, file = raw(node, script)
    sock.shutdown(socket.SHUT_WR)
    assert b"last without an end" in file.read()
    wait_until(lambda: open_sessions() <= before, "end of all sessions")
    assert remaining(node, "alice") == [file.name for file in files]


@pytest.mark.parametrize("data", [
    b"x" * 100000 + b"\r\n", b"\0" * 5000 + b"\r\n", b"\r\n" * 100,
    b"USER " + b"a" * 8000 + b"\r\nPASS x\r\n" * 30, b"\xff\xfe\r\n" * 50,
    b"RETR 1\r\n" * 50, b"AUTH\r\n" * 30 + b"PASS\r\n" * 30,
    b"USER a@b\r\nPASS " + b"p" * 8000 + b"\r\nQUIT\r\n"],
    ids=["long", "nul", "empty", "name", "bytes", "early", "auth", "password"])
def test_hostile_input(node, data):
    sock, file = raw(node)
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = file.read()
    except ConnectionError:
        answer = b""
    for line in answer.splitlines():
        assert len(line) <= 512
    login(node).quit()


def test_line_that_never_ends(node):
    """It costs the server no memory, and ends with the session."""
    pid = int(next(line.split()[2] for line in
                   node.svctool("status").stdout.splitlines()
                   if line.startswith(service(node))))

    def resident():
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    before = resident()
    sock, _ = raw(node)
    for _ in range(200):
        sock.sendall(b"x" * 65536)
    assert resident() < before + 4000 * SLOW
    sock.close()


def test_pipelining(node):
    fill(node, "alice", MESSAGE, MESSAGE)
    count = 5000
    sock, file = raw(node, (
        f"USER alice@{node.domain}\r\nPASS {PASSWORD}\r\n").encode())

    def ask():
        sock.sendall(b"RETR 1\r\n" * count + b"QUIT\r\n")

    asker = threading.Thread(target=ask)
    asker.start()
    answer = file.read()
    asker.join()
    assert answer.count(b"last without an end\r\n.\r\n") == count
    assert answer.endswith(b"+OK bye\r\n")


def test_idle_session_is_ended(node):
    with setting(node, "timeoutpop3d", 1):
        sock, file = raw(node)
        assert b"timeout" in file.read()
        sock.close()


def test_many_sessions(node):
    fill(node, "alice", MESSAGE)
    clients = [login(node) for _ in range(60)]
    assert {client.stat()[0] for client in clients} == {1}
    for client in clients:
        client.quit()


def test_stop_does_not_wait_for_idle_sessions(node):
    fill(node, "alice", MESSAGE)
    client = login(node)
    client.dele(1)
    subprocess.run(["svc", "-t", node.home / "service" / service(node)],
                   check=True)
    start = time.monotonic()
    assert b"going down" in client.file.read()
    assert time.monotonic() - start < 10 * SLOW
    client.close()
    wait_until(lambda: _serves(node), "the listener again")
    assert len(remaining(node, "alice")) == 1


def _serves(node):
    try:
        pop3(node).close()
        return True
    except OSError:
        return False


def test_killed_in_the_middle_of_quit(node):
    """What was removed is, what was not is still there, and whole."""
    count = 20000
    files = fill(node, "bob", *[b"Subject: x\n\n"] * count)
    sock, file = raw(node, (
        f"USER bob@{node.domain}\r\nPASS {PASSWORD}\r\n").encode())
    file.readline()
    assert file.readline().startswith(b"+OK")
    lines = b"".join(b"DELE %d\r\n" % (i + 1) for i in range(count - 1))
    asker = threading.Thread(target=sock.sendall, args=(lines,))
    asker.start()
    for _ in range(count - 1):
        assert file.readline().startswith(b"+OK")
    asker.join()
    folder = node.maildir("bob") / "new"
    sock.sendall(b"QUIT\r\n")
    wait_until(lambda: not files[100].exists(), "messages removed")
    subprocess.run(["svc", "-k", node.home / "service" / service(node)],
                   check=True)
    file.read()
    wait_until(lambda: _serves(node), "the listener again")
    names = remaining(node, "bob")
    assert files[-1].name in names
    client = login(node, "bob")
    assert [line.split()[1].decode() for line in client.uidl()[1]] == names
    client.quit()
    assert folder.exists()
    fill(node, "bob")


class Popup:
    """qmail-popup on a socket, with programs of a test's choice."""

    def __init__(self, node, *arguments, **variables):
        self.own, other = socket.socketpair()
        environment = dict(node.environment(), MQMAIL_HOME=str(node.home),
                           **{"TCPREMOTEIP": "127.0.0.1", **variables})
        self.process = subprocess.Popen(
            [BIN / "qmail-popup", "mail.example.test", *arguments],
            stdin=other, stdout=other, stderr=subprocess.PIPE,
            env=environment)
        other.close()

    def talk(self, data):
        self.own.settimeout(60 * SLOW)
        self.own.sendall(data)
        with self.own.makefile("rb") as file:
            answer = file.read()
        self.own.close()
        self.error = self.process.communicate(timeout=60 * SLOW)[1].decode()
        return answer


def test_popup_chain(node):
    files = fill(node, "alice", MESSAGE, MESSAGE)
    popup = Popup(node, "vchkpw", BIN / "qmail-pop3d", "Maildir")
    answer = popup.talk(
        (f"STAT\r\nUSER alice@{node.domain}\r\nPASS {PASSWORD}\r\nSTAT\r\n"
         "RETR 1\r\nDELE 2\r\nQUIT\r\nSTAT\r\n").encode())
    assert popup.process.returncode == 0
    assert b"+OK 2 " in answer and b"last without an end\r\n.\r\n" in answer
    assert answer.endswith(b"+OK bye\r\n")
    assert remaining(node, "alice") == [files[0].name]
    popup = Popup(node, "vchkpw", BIN / "qmail-pop3d", "Maildir")
    answer = popup.talk((f"USER alice@{node.domain}\r\nPASS wrong\r\n"
                         f"USER alice@{node.domain}\r\nPASS {PASSWORD}\r\n"
                         "STAT\r\nQUIT\r\n").encode())
    assert b"-ERR [AUTH]" in answer and b"+OK 1 " in answer


def test_popup_needs_tls_for_passwords_of_others(node):
    popup = Popup(node, "vchkpw", "/bin/true", TCPREMOTEIP="192.0.2.1")
    answer = popup.talk(b"CAPA\r\nUSER x@y\r\nAUTH PLAIN eA==\r\nQUIT\r\n")
    assert answer.count(b"STLS first") == 2 and b"USER\r\n" not in answer
    popup = Popup(node, "vchkpw", "/bin/true", TCPREMOTEIP="192.0.2.1",
                  POP3PLAIN="1")
    assert b"STLS first" not in popup.talk(b"USER x@y\r\nQUIT\r\n")


@pytest.mark.parametrize("script, wanted", [
    ("exit 1", b"-ERR [AUTH]"), ("exit 111", b"-ERR [SYS/TEMP]"),
    ("kill -9 $$", b"-ERR [SYS/TEMP]"), ("exit 0", b"-ERR [SYS/TEMP]"),
    ("echo +OK; read line; echo $line", b"+OK\nQUIT\r\n"),
    ("tr '\\0' . <&3 >&2; exit 1", b"-ERR [AUTH]")])
def test_popup_with_any_program(node, script, wanted):
    popup = Popup(node, "sh", "-c", script)
    answer = popup.talk(b"USER a\r\nPASS b c\r\nQUIT\r\n")
    assert wanted in answer, answer
    if ">&2" in script:
        assert "a.b c.." in popup.error


def test_popup_without_such_a_program(node):
    popup = Popup(node, "no-such-program")
    assert b"[SYS/TEMP]" in popup.talk(b"USER a\r\nPASS b\r\nQUIT\r\n")


def vchkpw(node, data, *program, code, **variables):
    """vchkpw with data on descriptor 3."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" 3<&{reader} {reader}<&-', "bash",
         BIN / "vchkpw", *program], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, pass_fds=[reader],
        env=dict(node.environment(), MQMAIL_HOME=str(node.home), **variables),
        timeout=60 * SLOW)
    os.close(reader)
    assert done.returncode == code, done
    return done.stdout


def test_vchkpw(node):
    user = f"alice@{node.domain}"
    good = f"{user}\0{PASSWORD}\0\0".encode()
    home = node.maildir("alice").parent
    out = vchkpw(node, good, "sh", "-c", "pwd; echo $USER $HOME $MAILDIR; "
                 "[ -e /proc/self/fd/3 ] && echo open", code=1)
    assert out == f"{home}\n{user} {home} {home}/Maildir\n"
    vchkpw(node, f"{user}\0wrong\0\0".encode(), "true", code=1)
    vchkpw(node, f"{user}\0".encode(), "true", code=2)
    vchkpw(node, b"a" * 513, "true", code=2)
    vchkpw(node, good, code=2)
    vchkpw(node, good, "/no/such", code=111)
    # The third may be missing.
    vchkpw(node, good[:-1], "true", code=0)
    # Rights are those of the service.
    user = f"u1@{node.domain}"
    good = f"{user}\0{PASSWORD}\0\0".encode()
    vchkpw(node, good, "true", code=1, TCPLOCALPORT="110")
    vchkpw(node, good, "true", code=0, TCPLOCALPORT="25")
    vchkpw(node, good, "true", code=1, SERVICE="pop3")


def test_vchkpw_apop(node):
    timestamp = "<1.2@host>"
    digest = hashlib.md5(f"{timestamp}shared".encode()).hexdigest()
    vchkpw(node, f"u0@{node.domain}\0{digest}\0{timestamp}\0".encode(), "true",
           code=0)
    vchkpw(node, f"u0@{node.domain}\0{digest[::-1]}\0{timestamp}\0".encode(),
           "true", code=1)


def test_vchkpw_for_dovecot(node):
    data = f"alice@{node.domain}\0\0".encode()
    out = vchkpw(node, data, "sh", "-c", "echo $AUTHORIZED $EXTRA",
                 code=0, AUTHORIZED="1", NATIVE_CHECKPASSWORD="1")
    assert out == "2 userdb_uid userdb_gid\n"
    vchkpw(node, f"nobody@{node.domain}\0\0".encode(), "true", code=3,
           AUTHORIZED="1", NATIVE_CHECKPASSWORD="1")
    # That word alone lets nobody in.
    vchkpw(node, data, "true", code=1, AUTHORIZED="1")


def smtp_auth(node, user, password):
    """The reply to AUTH at the node's SMTP listener."""
    with smtplib.SMTP("127.0.0.1", node.smtp_port, timeout=60 * SLOW) as client:
        client.starttls(context=any_certificate())
        client.ehlo("client.example.net")
        text = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return client.docmd("AUTH", f"PLAIN {text}")[0]


def test_failures_count_for_all_processes(node):
    """By POP3, SMTP and vchkpw, each a process of its own, and after restarts."""
    user = f"u5@{node.domain}"
    good = f"{user}\0{PASSWORD}\0\0".encode()
    elsewhere = {"SERVICE": "pop3", "TCPREMOTEIP": "192.0.2.70"}
    table = node.home / "run/logins"
    with setting(node, "loginfailures", 3):
        vchkpw(node, good, "true", code=0, **elsewhere)
        assert smtp_auth(node, user, "wrong") == 535
        assert "[AUTH]" in refusal(node, user, "wrong")
        assert "too many failed" not in refusal(node, user, "wrong")
        for _ in range(2):
            assert "too many failed" in refusal(node, user)
            vchkpw(node, good, "true", code=1, SERVICE="imap",
                   TCPREMOTEIP="192.0.2.71")
            # Who has logged in from there is not locked out by others.
            vchkpw(node, good, "true", code=0, **elsewhere)
            subprocess.run(["svc", "-t", node.home / "service" /
                            service(node)], check=True)
            node.svctool("start")
        # A user who is locked out is a user all the same.
        vchkpw(node, f"{user}\0\0".encode(), "true", code=0,
               AUTHORIZED="1", NATIVE_CHECKPASSWORD="1", **elsewhere)
        os.truncate(table, 0)
        login(node, "u5").quit()


def test_interval_holds_for_all_processes(node):
    data = f"u5@{node.domain}\0{PASSWORD}\0\0".encode()
    with setting(node, "minlogininterval", 60):
        vchkpw(node, data, "true", code=0, SERVICE="pop3")
        vchkpw(node, data, "true", code=1, SERVICE="pop3")
        assert "[LOGIN-DELAY]" in refusal(node, f"u5@{node.domain}")
        vchkpw(node, data, "true", code=0, SERVICE="imap")
        vchkpw(node, data, "true", code=1, SERVICE="imap")
        os.truncate(node.home / "run/logins", 0)


def test_last_login_is_noted(node):
    login(node, "alice").quit()
    found = [path for path in (node.home / "users/logins").rglob("alice")]
    assert len(found) == 1 and "pop3 127.0.0.1 " in found[0].read_text()


def test_postauth(node, tmp_path):
    """An operator's program is told of each login, and may forbid it."""
    tmp_path.chmod(0o755)
    notes, program = tmp_path / "notes", tmp_path / "program"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$1 $USER $HOME $SERVICE $TCPREMOTEIP" >>{notes}\n'
        f"exit $(cat {tmp_path}/code)\n")
    program.chmod(0o755)
    with setting(node, "postauth", program):
        for code in ("0", "1", "111"):  # its own trouble forbids nothing
            (tmp_path / "code").write_text(code)
            login(node).quit()
        user = f"alice@{node.domain}"
        assert notes.read_text().splitlines() == 3 * [
            f"{user} {user} {node.maildir('alice').parent} pop3 127.0.0.1"]
        for code in ("2", "3"):
            (tmp_path / "code").write_text(code)
            assert "[SYS/PERM]" in refusal(node, user)
        wait_until(lambda: "forbidden: by postauth" in node.log(service(node)),
                   "its log line")
        refusal(node, user, "wrong")
        assert len(notes.read_text().splitlines()) == 5
    with setting(node, "postauth", tmp_path / "missing"):
        login(node).quit()
    wait_until(lambda: "postauth failed: " in node.log(service(node)),
               "its log line")


@pytest.fixture
def database():
    postgres = Postgres()
    make_schema(postgres)
    yield postgres
    postgres.remove()


def looked_up(node):
    return json.loads(node.run(
        "lookup", "--json", "user", f"alice@{node.domain}").stdout)


def test_users_in_a_database(make_node, database):
    """By lookupd; without it nobody is refused for good."""
    node = make_node()
    node.run("vpasswd", f"alice@{node.domain}", PASSWORD)
    line = next(line for line in (
        node.home / "domains" / node.domain / "vpasswd").read_text()
        .splitlines() if line.startswith("alice:"))
    add_domain(database, node.domain)
    add_user(database, "alice", node.domain,
             node.maildir("alice").parent.parent, hash=line.split(":")[1])
    fill(node, "alice", MESSAGE)
    use_database(node, database.conninfo())
    (node.home / "run/lookupd").mkdir(exist_ok=True)
    lookupd = subprocess.Popen([BIN / "lookupd"], env=node.environment(),
                               stderr=subprocess.DEVNULL)
    try:
        wait_until((node.home / "run/lookup").exists, "lookupd")
        old = node.log(service(node)).count("listening on")
        subprocess.run(["svc", "-t", node.home / "service" / service(node)],
                       check=True)
        wait_until(lambda: node.log(service(node)).count("listening on") >
                   old, "the listener again")
        client = login(node)
        assert client.stat()[0] == 1
        client.quit()
        assert "[AUTH]" in refusal(node, f"alice@{node.domain}", "wrong")
        # bob is in the files alone.
        assert "[AUTH]" in refusal(node, f"bob@{node.domain}", "wrong")
        wait_until(lambda: "pop3" in str(database.sql(
            "SELECT service FROM mq.last_auth")), "the last login")
        # Inactive for being away: the login ends it; otherwise not.
        database.sql("UPDATE mq.users SET uid_flags = 48")
        wait_until(lambda: not looked_up(node)["active"], "inactive")
        login(node).quit()
        wait_until(lambda: database.sql(
            "SELECT uid_flags, is_active FROM mq.users") == [["32", "t"]],
            "active again")
        wait_until(lambda: looked_up(node)["active"], "mail again")
        database.sql("UPDATE mq.users SET uid_flags = 48; "
                     "UPDATE mq.domains SET is_active = false")
        wait_until(lambda: "[SYS/PERM]" in refusal(
            node, f"alice@{node.domain}"), "the domain's state")
        database.sql("UPDATE mq.domains SET is_active = true; "
                     "UPDATE mq.users SET uid_flags = 16")
        wait_until(lambda: looked_up(node)["uid_flags"] == 16, "inactive")
        assert "[SYS/PERM]" in refusal(node, f"alice@{node.domain}")
        assert database.sql("SELECT uid_flags FROM mq.users") == [["16"]]
    finally:
        lookupd.terminate()
        lookupd.wait(timeout=60 * SLOW)
    assert "[SYS/TEMP]" in refusal(node, f"alice@{node.domain}")
