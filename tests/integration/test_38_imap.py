# SPDX-License-Identifier: ISC
"""IMAP by Dovecot over the node's users, of either store: imaplib, curl, mutt."""
import imaplib
import itertools
import json
import os
import poplib
import pwd
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import ports
import test_48_roles
from node import BIN, ROOT, SLOW, wait_until
from smtp_peer import any_certificate, shared_node

PASSWORD = "correct horse"
DOVECOT = "/usr/lib/dovecot/modules/auth/libauthdb_lua.so"
SIEVE = "/usr/lib/dovecot/modules/lib90_sieve_plugin.so"
USERS = ("alice", "bob", *(f"u{number}" for number in range(8)))

pytestmark = pytest.mark.skipif(not os.path.exists(DOVECOT),
                                reason="no dovecot-auth-lua")


@pytest.fixture(scope="module", params=["cdb", "pgsql"])
def node(request):
    with shared_node("--queues", 1, "--imap", "--users", 8, "--store",
                     request.param) as made:
        made.store = request.param
        for user in USERS:
            made.run("vpasswd", address(made, user), PASSWORD)
        yield made


def address(node, user):
    return f"{user}@{node.domain}"


class From(imaplib.IMAP4):
    """A client with an address of its own: Dovecot makes the next logins of one
    that failed wait, those of others too."""

    numbers = itertools.count(1)

    def __init__(self, port, address):
        self.address = address
        super().__init__("127.0.0.1", port, timeout=60 * SLOW)

    def _create_socket(self, timeout):
        return socket.create_connection(
            (self.host, self.port), timeout, source_address=(self.address, 0))


def imap(node, source=None):
    number = next(From.numbers)
    client = From(int(node.info["imap"]),
                  source or f"127.9.{number // 250}.{number % 250 + 1}")
    client.starttls(any_certificate())
    return client


def login(node, user="alice", password=PASSWORD):
    client = imap(node)
    client.login(user if set(user) & set("@%") else address(node, user),
                 password)
    return client


def is_refused(node, user, password=PASSWORD, source=None):
    """By a reply that is for good."""
    client = imap(node, source)
    try:
        client.login(user, password)
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
        return True
    finally:
        client.shutdown()
    return False


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def used(client):
    """Bytes and messages of the quota (kibibytes, as IMAP has them)."""
    text = ok(client.getquotaroot("INBOX"))[1][0].decode()
    return {kind: (int(now), int(limit)) for kind, now, limit in
            re.findall(r"(STORAGE|MESSAGE) (\d+) (\d+)", text)}


def maildirsize(node, user):
    """Bytes and messages, as deliveries count them."""
    text = (node.maildir(user) / "maildirsize").read_text()
    pairs = [line.split() for line in text.splitlines()[1:]]
    return tuple(sum(int(pair[at]) for pair in pairs) for at in (0, 1))


def test_mail_is_seen_at_once(node):
    client = login(node)
    before = int(ok(client.select())[0])
    node.send("alice", subject="seen at once")
    wait_until(lambda: ok(client.noop()) is not None and
               int(ok(client.select())[0]) == before + 1, "the message")
    text = ok(client.fetch(str(before + 1), "(BODY[HEADER.FIELDS (SUBJECT)])"))
    assert b"seen at once" in text[0][1]
    client.logout()


def test_flags_stay_over_pop3(node):
    node.send("u0", subject="flagged")
    client = login(node, "u0")
    wait_until(lambda: int(ok(client.select())[0]) == 1, "the message")
    ok(client.store("1", "+FLAGS", r"(\Flagged \Answered Work)"))
    uid = ok(client.fetch("1", "(UID)"))
    client.logout()
    pop = poplib.POP3("127.0.0.1", int(node.info["pop3"]), timeout=60 * SLOW)
    pop.user(address(node, "u0"))
    pop.pass_(PASSWORD)
    assert b"Subject: flagged" in pop.retr(1)[1]
    pop.quit()
    client = login(node, "u0")
    ok(client.select())
    flags = ok(client.fetch("1", "(FLAGS)"))[0]
    assert all(flag in flags for flag in
               (b"\\Flagged", b"\\Answered", b"Work")), flags
    assert ok(client.fetch("1", "(UID)")) == uid
    client.logout()


def test_folders_are_maildir_folders(node):
    client = login(node, "u1")
    ok(client.create("Sent.2026"))
    ok(client.append("Sent.2026", r"(\Seen)", None, b"Subject: x\r\n\r\nx\r\n"))
    client.logout()
    folder = node.maildir("u1") / ".Sent.2026"
    assert (folder / "maildirfolder").exists()
    assert sum(len(list((folder / part).iterdir()))
               for part in ("new", "cur")) == 1


def test_quota_is_one(node):
    """What IMAP stores counts for deliveries, and the other way round."""
    node.run("vmoduser", "-q", "40000S,100C", address(node, "u2"))
    client = login(node, "u2")
    message = b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 600
    ok(client.append("INBOX", None, None, message))
    ok(client.create("Trash"))
    ok(client.append("Trash", None, None, message))  # does not count
    assert used(client)["STORAGE"] == (10, 40)
    node.send("u2", body="line\n" * 2000)
    wait_until(lambda: int(ok(client.select())[0]) == 2, "the delivery")
    size = sum(int(part) for part in re.findall(
        r"RFC822.SIZE (\d+)", str(ok(client.fetch("1:*", "(RFC822.SIZE)")))))
    # A delivery is counted after it is there to see.
    wait_until(lambda: maildirsize(node, "u2")[1] == 2, "its count")
    stored = maildirsize(node, "u2")
    assert used(client)["MESSAGE"][0] == 2
    assert -(-stored[0] // 1024) == used(client)["STORAGE"][0]
    assert abs(stored[0] - size) < 4000  # line ends
    answer = [client.append("INBOX", None, None, message)
              for _ in range(3)][-1]
    assert answer[0] == "NO" and b"OVERQUOTA" in answer[1][0], answer
    # Full for us, too.
    before = int(ok(client.select())[0])
    node.send("u2", subject="too much", body="line\n" * 4000)
    wait_until(lambda: "has_insufficient_quota" in node.logs(),
               lambda: f"the refusal\n{node.logs()}")
    assert int(ok(client.select())[0]) == before
    # Expunged by IMAP is free for us.
    ok(client.store("1:*", "+FLAGS", r"\Deleted"))
    ok(client.expunge())
    node.send("u2", subject="fits again")
    wait_until(lambda: int(ok(client.select())[0]) == 1, "the delivery")
    client.logout()


def test_rights(node):
    client = login(node, "u3")
    client.logout()
    node.run("vmoduser", "-i", address(node, "u3"))
    wait_until(lambda: is_refused(node, address(node, "u3")), "no IMAP")
    wait_until(lambda: "forbidden: may not use imap" in node.log("imap"),
               "its log line")
    node.run("vmoduser", "-x", address(node, "u3"))
    wait_until(lambda: not is_refused(node, address(node, "u3")), "IMAP again")
    node.run("vmoduser", "-n", address(node, "u3"))
    wait_until(lambda: is_refused(node, address(node, "u3")), "inactive")
    wait_until(lambda: "forbidden: inactive" in node.log("imap"),
               "its log line")


def test_changes_count_at_once(node):
    """A new user, another password, a user who is no more."""
    new = address(node, "fresh")
    node.run("vadduser", new, PASSWORD)
    wait_until(lambda: not is_refused(node, new), "the new user")
    node.run("vpasswd", new, "another")
    wait_until(lambda: is_refused(node, new), "the old password")
    assert not is_refused(node, new, "another")
    node.run("vdeluser", "-f", new)
    wait_until(lambda: is_refused(node, new, "another"), "no user")


def test_names(node):
    (node.control / "defaultlogindomain").write_text(f"{node.domain}\n")
    node.run("vaddaliasdomain", node.domain, "alias.test")
    for name in (f"Alice%{node.domain.upper()}", "ALICE@alias.test"):
        client = login(node, name)
        ok(client.select())
        client.logout()
    client = imap(node)
    client.login("alice", PASSWORD)
    ok(client.select())
    client.logout()
    (node.control / "defaultlogindomain").unlink()


@pytest.mark.parametrize("name", [
    "a'$(touch {0})'@example.test", "`touch {0}`", "\\\\000@example.test",
    "%s%n%u@example.test", "ä@example.test", "x" * 300 + "@example.test"],
    ids=["dollar", "backtick", "octal", "percent", "utf8", "long"])
def test_hostile_names(node, name, tmp_path):
    """They come to a shell as bytes of printf, and to vchkpw by a pipe."""
    mark = tmp_path / "mark"
    client = imap(node)
    client._encoding = "utf-8"
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.authenticate("PLAIN", lambda _: (
            f"\0{name.format(mark)}\0$(touch {mark})").encode())
    client.shutdown()
    assert not mark.exists()
    with smtplib.LMTP(str(node.home / "run/imap/lmtp")) as lmtp:
        lmtp.ehlo("client")
        lmtp.mail("x@example.net")
        code = lmtp.docmd("RCPT", f'TO:<"a\'`touch {mark}`"@example.test>')[0]
        assert code >= 500
    assert not mark.exists()


def test_wrong_password_is_slow(node):
    """The first by vchkpw and Dovecot, the next ones by its penalty for the
    address, and they are in the log as fail2ban wants them."""
    took = []
    # On a busy host the first may take as long as a later one.
    while len(took) < 3 or (took[-1] < took[0] + 1 and len(took) < 5):
        begun = time.monotonic()
        assert is_refused(node, address(node, "u4"), "wrong", "127.8.0.1")
        took.append(time.monotonic() - begun)
    assert took[0] > 0.9 and took[-1] > took[0] + 1, took
    assert re.search(r"login: imap from 127\.8\.0\.1 user <u4@\S+> refused",
                     node.log("imap"))
    assert not is_refused(node, address(node, "u4"))  # slow, not locked


def test_lock_out_is_one_for_all_protocols(node):
    """Failures by IMAP lock a name out, there and at the listener of POP3."""
    limit = node.control / "loginfailures"
    user = address(node, "u6")
    limit.write_text("3\n")
    try:
        assert not [None for _ in range(3)
                    if not is_refused(node, user, "wrong")]
        assert is_refused(node, user)
        assert f"user <{user}> locked out" in node.log("imap")
        client = poplib.POP3("127.0.0.1", int(node.info["pop3"]),
                             timeout=60 * SLOW)
        client.user(user)
        with pytest.raises(poplib.error_proto, match="too many failed"):
            client.pass_(PASSWORD)
        client.close()
    finally:
        limit.unlink()
        os.truncate(node.home / "run/logins", 0)
    login(node, "u6").logout()


def test_interval_between_logins(node):
    interval = node.control / "minlogininterval"
    interval.write_text("60\n")
    try:
        login(node, "u7").logout()
        assert is_refused(node, address(node, "u7"))
    finally:
        interval.unlink()
    login(node, "u7").logout()


def test_last_login_is_noted(node):
    login(node, "u5").logout()
    if node.store == "cdb":
        found = list((node.home / "users/logins").rglob("u5"))
        assert len(found) == 1 and "imap 127.9." in found[0].read_text()
    else:
        wait_until(lambda: "imap" in psql(
            node, "SELECT service FROM mq.last_auth JOIN mq.users ON "
            "user_id = id WHERE name = 'u5'"), "the last login")


def psql(node, statement):
    conninfo = (node.control / "pgsql").read_text().strip()
    done = subprocess.run(
        ["setuidgid", "mail", "psql", "-At", "-c", statement, conninfo]
        if os.getuid() == 0 else ["psql", "-At", "-c", statement, conninfo],
        capture_output=True, text=True, timeout=60 * SLOW)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_the_database(node):
    """lookupd remembers; who is not remembered is not refused for good."""
    if node.store == "cdb":
        pytest.skip("there is none")
    login(node, "alice").logout()
    service = node.home / "service/pgsql"
    subprocess.run(["svc", "-d", service], check=True)
    try:
        socket_file = node.home / "run/pgsql/.s.PGSQL.5432"
        wait_until(lambda: not socket_file.exists(), "no server")
        client = login(node, "alice")
        ok(client.select())
        client.logout()
        client = imap(node)
        with pytest.raises(imaplib.IMAP4.error) as caught:
            client.login(f"nobody@{node.domain}", PASSWORD)
        assert "AUTHENTICATIONFAILED" not in str(caught.value)
        client.shutdown()
    finally:
        subprocess.run(["svc", "-u", service], check=True)
        wait_until(lambda: node.run(
            "lookup", "user", f"nobody@{node.domain}",
            code=None).returncode == 1, "answers from the database")


def test_tls(node):
    client = imaplib.IMAP4_SSL("127.0.0.1", int(node.info["imaps"]),
                               ssl_context=any_certificate(),
                               timeout=60 * SLOW)
    client.login(address(node, "alice"), PASSWORD)
    client.logout()
    client = From(int(node.info["imap"]), "127.9.9.9")
    with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
        client.login(address(node, "alice"), PASSWORD)
    client.logout()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(socket.create_connection(
            ("127.0.0.1", int(node.info["imaps"]))))


def test_curl(node):
    node.send("u6", subject="by curl")
    wait_until(lambda: node.messages("u6"), "the message")
    for scheme in ("imap", "imaps"):
        done = subprocess.run(
            ["curl", "-sk", "--user", f"{address(node, 'u6')}:{PASSWORD}",
             f"{scheme}://127.0.0.1:{node.info[scheme]}/INBOX;MAILINDEX=1"],
            capture_output=True, text=True, timeout=60 * SLOW)
        assert "Subject: by curl" in done.stdout, done


@pytest.mark.skipif(shutil.which("mutt") is None, reason="no mutt")
def test_mutt(node, tmp_path):
    """A real client copies its message into a folder."""
    node.send("u7", subject="by mutt")
    wait_until(lambda: node.messages("u7"), "the message")
    login(node, "u7").create("Saved")
    folder = f"imap://127.0.0.1:{node.info['imap']}/"
    (tmp_path / "muttrc").write_text(
        f'set imap_user="{address(node, "u7")}" imap_pass="{PASSWORD}"\n'
        'set ssl_starttls=no ssl_force_tls=no\n'
        f'set folder="{folder}" spoolfile="{folder}INBOX" record=""\n'
        'set confirmappend=no delete=yes move=no quit=yes wait_key=no\n'
        'push "<tag-pattern>~A<enter><tag-prefix><copy-message>=Saved<enter>'
        '<quit>"\n')
    done = subprocess.run(
        ["script", "-qec", f"mutt -F {tmp_path}/muttrc", "/dev/null"],
        env={**os.environ, "TERM": "vt100", "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=120 * SLOW)
    client = login(node, "u7")
    assert int(ok(client.select("Saved"))[0]) == 1, done.stdout[-2000:]
    client.logout()


def lmtp_send(node, user, text):
    with smtplib.LMTP(str(node.home / "run/imap/lmtp")) as lmtp:
        lmtp.sendmail("sender@example.net", address(node, user), text)


def test_lmtp_and_sieve(node):
    lmtp_send(node, "bob", "Subject: by lmtp\r\n\r\nx\r\n")
    client = login(node, "bob")
    assert int(ok(client.select())[0]) >= 1
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        lmtp_send(node, "nobody", "Subject: x\r\n\r\nx\r\n")
    assert list(caught.value.recipients.values())[0][0] == 550
    if not os.path.exists(SIEVE):
        pytest.skip("no dovecot-sieve")
    script = node.maildir("bob").parent / ".dovecot.sieve"
    script.write_text('require ["fileinto", "mailbox"];\n'
                      'fileinto :create "Lists";\n')
    shutil.chown(script, node.maildir("bob").stat().st_uid,
                 node.maildir("bob").stat().st_gid)
    lmtp_send(node, "bob", "Subject: by sieve\r\n\r\nx\r\n")
    assert int(ok(client.select("Lists"))[0]) == 1
    client.logout()


def from_manual(heading):
    """The examples under a heading of docs/imap.md."""
    text = (ROOT / "docs/imap.md").read_text().split(f"## {heading}\n")[1]
    blocks = re.findall(r"(?:^    .*\n)+", text.split("\n## ")[0], re.M)
    return ["".join(line[4:] for line in block.splitlines(True))
            for block in blocks]


def login_when_known(node, user):
    """None while it says that it cannot tell."""
    try:
        return login(node, user)
    except imaplib.IMAP4.error as failure:
        assert "UNAVAILABLE" in str(failure), failure
        return None


def test_sql(node):
    """What the manual says of a Dovecot that asks the database itself."""
    if node.store == "cdb":
        pytest.skip("no database")
    local, sql = (text.replace("/var/mqmail", str(node.home))
                  for text in from_manual("SQL"))
    owner = node.maildir("alice").stat()
    (node.home / "imap/sql.conf").write_text(
        sql.replace("5000 AS uid", f"{owner.st_uid} AS uid")
        .replace("5000 AS gid", f"{owner.st_gid} AS gid"))
    conf = node.home / "imap/dovecot.conf"
    conf.write_text(re.sub(r"(?m)^(pass|user)db {\n(  .*\n)+}\n", "",
                           conf.read_text()) +
                    "".join(f"service {name} {{\n  user = {pwd.getpwuid(owner.st_uid).pw_name}\n}}\n"
                            for name in ("auth", "auth-worker")))
    (node.home / "imap/local.conf").write_text(local)
    service = node.home / "service/imap"

    def restart():
        before = node.log("imap").count("starting up")
        subprocess.run(["svc", "-t", service], check=True)
        wait_until(lambda: node.log("imap").count("starting up") > before,
                   "Dovecot again")
        wait_until(lambda: is_up(node, "imap"),
                   lambda: f"it greets {node.log('imap')[-2000:]}"
                   f"{node.svctool('status', code=None).stdout}")

    node.run("vmoduser", "-x", "-i", address(node, "u1"))
    restart()
    try:
        client = wait_until(
            lambda: login_when_known(node, "ALICE@" + node.domain),
            "Dovecot has its connection to the database")
        ok(client.select())
        client.logout()
        assert is_refused(node, address(node, "alice"), "wrong")
        assert is_refused(node, address(node, "u1"))
    finally:
        (node.home / "imap/local.conf").unlink()
        node.svctool("init")
        restart()


def is_up(node, name):
    row = next(row for row in node.status()["services"]
               if row["name"] == name)
    return row["state"] == "up"


def test_service(node):
    """status, check and init know it."""
    assert is_up(node, "imap")
    listens = {service["name"]: service.get("listen") for service in json.loads(
        node.svctool("status", "--json").stdout)["services"]}
    assert listens["imap"].split()[0] == f"127.0.0.1:{node.info['imap']}"
    node.svctool("check")
    assert "nothing to do" in node.svctool("init").stdout
    conf = node.home / "imap/dovecot.conf"
    text = conf.read_text()
    local = conf.parent / "local.conf"
    local.write_text("no_such_setting = yes\n")
    checked = node.svctool("check", code=None)
    local.unlink()
    assert checked.returncode != 0 and "dovecot.conf" in checked.stdout
    conf.write_text(text.replace("separator = .", "separator = /"))
    assert "changed" in node.svctool("init").stdout
    assert conf.read_text() == text


def test_a_pid_file_from_before_the_power_went(node):
    """Its number is another process's now: Dovecot would not start."""
    file = node.home / "run/imap/master.pid"
    old = int(file.read_text())
    file.write_text(f"{os.getpid()}\n")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: file.exists() and
               file.read_text().strip() not in ("", str(os.getpid())),
               lambda: node.log("imap")[-2000:])
    wait_until(lambda: is_up(node, "imap"), lambda: node.log("imap")[-2000:])


@pytest.fixture
def role_node():
    """A node with a user for each role, in a copy of /etc."""
    base = Path(tempfile.mkdtemp(prefix="mq"))
    base.chmod(0o755)
    made = test_48_roles.RoleNode(base)
    made.info["imap"] = ports.take(1)
    try:
        made.init("--create-users", "--imap", f"127.0.0.1:{made.info['imap']}")
        made.read_ids()
        made.run("vadduser", "alice@example.test", PASSWORD)
        made.run("svctool", "start")
        yield made
    finally:
        made.run("svctool", "stop", code=None)
        left = made.processes()
        shutil.rmtree(base)
        assert left == []


@pytest.mark.skipif(bool(test_48_roles.REASON), reason=test_48_roles.REASON)
def test_roles(role_node):
    """Mail is vmail's, whose process Dovecot is then; first with the files, then
    with the node's own database."""
    node = role_node
    for store in ("cdb", "pgsql"):
        node.send("alice", subject=store)
        client = login(node)
        wait_until(lambda: int(ok(client.select())[0]) ==
                   1 + (store == "pgsql"), "the message")
        mailbox = node.home / "domains/example.test/alice/Maildir"
        assert {file.stat().st_uid for file in mailbox.rglob("*")} == \
            {node.uids["vmail"]}
        client.logout()
        assert is_refused(node, address(node, "alice"), "wrong")
        assert node.run("svctool", "check", code=None).returncode == 0
        if store == "pgsql":
            break
        node.run("svctool", "db", "local")
        node.run("svctool", "restart")
        wait_until(lambda: node.run(
            "svctool", "db", "status", code=None).returncode == 0, "the server")
        node.run("vconvert", "--to", "pgsql")
        (node.control / "userstore").write_text("pgsql\n")
        node.run("svctool", "init")
        node.run("svctool", "restart")
        # Until lookupd has found the database RCPT is 451.
        wait_until(lambda: node.run(
            "lookup", "user", address(node, "alice"),
            code=None).returncode == 0, "lookupd and its database")


def test_a_taken_port_is_said(make_node):
    """Before the node starts, as the package's own Dovecot has the usual one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = make_node("--imap", "--init-only")
        conf = node.home / "imap/dovecot.conf"
        conf.write_text(conf.read_text().replace(
            f"port = {node.info['imap']}", f"port = {port}"))
        checked = node.svctool("check", code=None)
        assert checked.returncode != 0
        assert f"port {port} on 127.0.0.1 is taken by" in checked.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="not root")
def test_node_of_an_ordinary_user():
    """Dovecot runs as that user as a whole; and a node of root's is refused."""
    base = Path(tempfile.mkdtemp(prefix="mq"))
    base.chmod(0o755)
    shutil.chown(base, "games", "games")
    node = ["setuidgid", "games", ROOT / "tests/node"]
    try:
        done = subprocess.run([*node, "up", base / "n", "--imap"],
                              capture_output=True, text=True,
                              timeout=120 * SLOW)
        assert done.returncode == 0, done.stderr
        info = dict(line.split("=", 1) for line in done.stdout.splitlines())
        done = subprocess.run(
            ["setuidgid", "games", BIN / "vpasswd", "alice@example.test",
             PASSWORD], env={**os.environ, "MQMAIL_HOME": str(base / "n")},
            timeout=60 * SLOW)
        client = From(int(info["imap"]), "127.0.0.1")
        client.login("alice@example.test", PASSWORD)
        ok(client.select())
        client.logout()
        refused = subprocess.run(
            [BIN / "svctool", "init", "--home", base / "m", "--user", "root",
             "--imap", "1143"], capture_output=True, text=True,
            timeout=60 * SLOW)
        assert refused.returncode != 0 and "root's mail" in refused.stderr
    finally:
        subprocess.run([*node, "down", base / "n"], check=False,
                       timeout=120 * SLOW)
        shutil.rmtree(base)
