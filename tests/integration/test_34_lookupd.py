# SPDX-License-Identifier: ISC
"""lookupd with a real PostgreSQL, and what becomes of it when that fails."""
import contextlib
import json
import os
import shutil
import signal
import smtplib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

import ports
import postgres as server
from lookup_peer import (Client, add_domain, add_user, answers, make_schema,
                         one, question, request, stats, use_database,
                         wait_stats)
from node import BIN, NO_LEAKS, ROOT, SLOW, wait_until
from postgres import Pooler, Postgres

pytestmark = pytest.mark.skipif(server.programs() is None,
                                reason="no PostgreSQL")
FAST = {"MQMAIL_TEST_TIMES": "LOOKUP_LOOK_MS=200",
        "TSAN_OPTIONS": ":".join(
            [*os.environ.get("TSAN_OPTIONS", "").split(":"),
             f"suppressions={ROOT}/tests/integration/tsan.supp"])}

AT_ONCE_S = 2.8 * SLOW  # less than lookuptimeout


@pytest.fixture(scope="module")
def database():
    postgres = Postgres("wal_level = replica\nmax_wal_senders = 4")
    make_schema(postgres)
    yield postgres
    postgres.remove()


@pytest.fixture
def users(database):
    """The database, running and with two domains of one user."""
    if database.process is None:
        database.start()
    database.sql("TRUNCATE mq.domains CASCADE")
    for domain in ("a.test", "b.test"):
        add_domain(database, domain)
        add_user(database, "alice", domain, f"/m/{domain}")
    yield database
    if database.process is not None:
        database.go_on()


class Lookupd:
    def __init__(self, node, conninfo, environment=None, **settings):
        self.node, self.home, self.process = node, node.home, None
        self.environment = environment or {}
        use_database(node, conninfo, **settings)
        (self.home / "run/lookupd").mkdir(exist_ok=True)
        self.start()

    def start(self):
        self.log = open(self.home / "lookupd.log", "ab+")
        self.process = subprocess.Popen(
            [BIN / "lookupd"], stderr=self.log,
            env={**self.node.environment(), **NO_LEAKS, **FAST,
                 **self.environment})
        wait_until(lambda: (self.home / "run/lookup").exists() and
                   "status: ready" in self.text(), self.text)

    def text(self):
        return (self.home / "lookupd.log").read_text()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        code = self.process.wait(timeout=20 * SLOW)
        if code != 0:
            print(self.text())
        self.log.close()
        (self.home / "lookupd.log").unlink()
        return code

    def wait_up(self):
        wait_stats(self.home, lambda s: s["database"] == "up" and
                   s["followed"], "up")

    def tool(self, *words):
        done = subprocess.run(
            [BIN / "lookup", *words], capture_output=True, text=True,
            env=self.node.environment(), timeout=60)
        return done


@pytest.fixture
def make_lookupd(make_node, users):
    running = []

    def make(conninfo=None, **settings):
        node = make_node("--init-only")
        lookupd = Lookupd(node, conninfo or users.conninfo(), **settings)
        running.append(lookupd)
        return lookupd

    yield make
    for lookupd in running:
        assert lookupd.process.poll() is None or lookupd.log.closed, \
            lookupd.text()
        if lookupd.process.poll() is None:
            assert lookupd.end() == 0


@pytest.fixture
def lookupd(make_lookupd):
    made = make_lookupd()
    made.wait_up()
    return made


def ask(lookupd, name="alice", kind="user", domain="a.test"):
    return one(lookupd.home, kind, name, domain)[:2]


def test_answers_each_kind(lookupd, users):
    users.sql("INSERT INTO mq.aliases (domain_id, name, line) SELECT id, "
              "'team', unnest(ARRAY['&alice@a.test', '|prog']) "
              "FROM mq.domains WHERE name = 'a.test'")
    users.sql("INSERT INTO mq.filters SELECT id, 'alice', 1, 'spam', 2, 3, "
              "'word', 'Junk', '0' FROM mq.domains WHERE name = 'a.test'")
    users.sql("INSERT INTO mq.limits (domain_id, disable_pop) SELECT id, 1 "
              "FROM mq.domains WHERE name = 'a.test'")
    users.sql("INSERT INTO mq.domain_aliases SELECT 'other.test', id "
              "FROM mq.domains WHERE name = 'a.test'")
    users.sql("UPDATE mq.users SET scram = '{SCRAM-SHA-256}4096,c2FsdA==,a,b',"
              " secret = 's'")

    def told(*words, code=0):
        done = lookupd.tool("--json", *words)
        assert done.returncode == code, done
        return json.loads(done.stdout)

    user = told("user", "Alice@A.test")
    assert user["dir"] == "/m/a.test/alice" and user["active"]
    password = told("password", "alice@a.test")
    assert password["limits_flags"] == 2 and password["has_secret"]
    assert password["scram"].startswith("{SCRAM-SHA-256}4096")
    assert told("alias", "team@a.test")["lines"] == ["&alice@a.test", "|prog"]
    assert told("filters", "alice@a.test")["filters"][0]["keyword"] == "word"
    assert told("limits", "a.test")["disable_pop"] == 1
    assert told("domain", "other.test")["real_domain"] == "a.test"
    assert told("user", "bob@a.test", code=1)["state"] == "absent"
    assert told("relay", "alice@a.test", "::1", code=1)["state"] == "absent"
    # What was changed above may just have been heard of.
    wait_until(lambda: "from cache" in lookupd.tool(
        "user", "alice@a.test").stdout, "an answer from the cache")
    done = subprocess.run([BIN / "inquerytest", "-q", "3", "alice@a.test"],
                          capture_output=True, text=True,
                          env=lookupd.node.environment(), timeout=60)
    assert done.stdout == (
        "PWSTRUCT=alice@a.test:{SCRAM-SHA-256}4096,c2FsdA==,a,b,*:0:0::"
        "/m/a.test/alice:NOQUOTA:0\n")


def test_many_questions_are_one_statement(lookupd, users):
    changes = stats(lookupd.home)["changes"]
    users.sql("INSERT INTO mq.users (domain_id, name, dir) SELECT id, "
              "'u' || n, '/m/u' || n FROM mq.domains, "
              "generate_series(1, 256) n WHERE name = 'a.test'")
    wait_stats(lookupd.home, lambda s: s["changes"] >= changes + 256, "changes")
    before = stats(lookupd.home)["statements"]
    with Client(lookupd.home) as client:
        found = client.ask(*(question("user", f"u{i}", "a.test")
                             for i in range(1, 257)))
        assert {answer[:2] for answer in found} == {("found", "database")}
        assert stats(lookupd.home)["statements"] - before < 10
        found = client.ask(*(question("user", f"u{i}", "a.test")
                             for i in range(1, 257)))
        assert {answer[:2] for answer in found} == {("found", "cache")}


def test_changes_are_seen_at_once(lookupd, users):
    assert ask(lookupd) == ("found", "database")
    assert ask(lookupd) == ("found", "cache")
    users.sql("UPDATE mq.users SET dir = '/m/new'")
    wait_until(lambda: b"/m/new" in one(
        lookupd.home, "user", "alice", "a.test")[3], "the new folder")
    assert ask(lookupd, "bob") == ("absent", "database")
    assert ask(lookupd, "bob") == ("absent", "cache")
    add_user(users, "bob", "a.test", "/m")
    wait_until(lambda: ask(lookupd, "bob")[0] == "found", "bob")
    users.sql("DELETE FROM mq.domains WHERE name = 'a.test'")
    wait_until(lambda: ask(lookupd, "bob")[0] == "absent", "no bob")


def drop_connections(users):
    users.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
              "WHERE application_name = 'lookupd'")


def test_lost_notification(lookupd, users):
    """The log alone tells."""
    assert ask(lookupd, "bob") == ("absent", "database")
    users.sql(
        "SET session_replication_role = replica; "
        "INSERT INTO mq.users (domain_id, name, dir) SELECT id, 'bob', '/m/b' "
        "FROM mq.domains; INSERT INTO mq.changes (kind, domain, name) VALUES "
        "('user', 'a.test', 'bob')")
    wait_until(lambda: ask(lookupd, "bob")[0] == "found", "bob")


def test_overlapping_commits(lookupd, users):
    """A change with a lower number is committed after one with a higher."""
    for name in ("early", "late"):
        assert ask(lookupd, name) == ("absent", "database")
    slow = subprocess.Popen(
        [users.bin / "psql", "-X", "-q", "-d", users.conninfo(), "-c",
         "BEGIN; INSERT INTO mq.users (domain_id, name, dir) SELECT id, "
         "'early', '/m/e' FROM mq.domains; SELECT pg_sleep(1.5); COMMIT"],
        stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    add_user(users, "late", "a.test", "/m")
    wait_until(lambda: ask(lookupd, "late")[0] == "found", "late")
    assert slow.wait(20) == 0
    wait_until(lambda: ask(lookupd, "early")[0] == "found", "early")


def test_lost_connection(lookupd, users):
    assert ask(lookupd, "bob") == ("absent", "database")
    drop_connections(users)
    add_user(users, "bob", "a.test", "/m")
    wait_until(lambda: ask(lookupd, "bob")[0] == "found", "bob")
    assert ask(lookupd)[0] == "found"


def test_ended_connections_fail_no_question(lookupd, users):
    """A server that was shut down says so in each connection, and ends it."""
    for i in range(20):
        assert ask(lookupd, f"early{i}") == ("absent", "database")
    drop_connections(users)
    wait_until(lambda: "is not followed for now" in lookupd.text(),
               lookupd.text)
    lookupd.wait_up()
    for i in range(20):
        assert ask(lookupd, f"late{i}") == ("absent", "database")


def test_pruned_log(lookupd, users):
    assert ask(lookupd) == ("found", "database")
    lookupd.process.send_signal(signal.SIGSTOP)
    users.sql("UPDATE mq.users SET dir = '/m/new'")
    users.sql("UPDATE mq.changes SET at = now() - interval '1 day'")
    assert users.sql("SELECT mq.prune_changes('1 hour')") != [["0"]]
    drop_connections(users)
    lookupd.process.send_signal(signal.SIGCONT)
    wait_until(lambda: b"/m/new" in one(
        lookupd.home, "user", "alice", "a.test")[3], "the new folder")
    wait_until(lambda: "cannot be followed" in lookupd.text(), lookupd.text)


def test_away_is_never_absent(lookupd, users):
    assert ask(lookupd) == ("found", "database")
    assert ask(lookupd, "bob") == ("absent", "database")
    lookupd.wait_up()
    users.stop()
    wait_stats(lookupd.home, lambda s: s["database"] == "away", "away")
    assert ask(lookupd) == ("found", "cache")
    assert ask(lookupd, "bob")[0] == "unknown"
    assert ask(lookupd, "never.asked")[0] == "unknown"
    assert ask(lookupd, domain="nowhere.test")[0] == "unknown"
    assert lookupd.tool("user", "bob@a.test").returncode == 111
    users.start()
    lookupd.wait_up()
    assert ask(lookupd, "bob")[0] == "absent"


def test_snapshot_answers_at_once_after_a_start(make_lookupd, users):
    lookupd = make_lookupd()
    wait_stats(lookupd.home, lambda s: "snapshot" in s, "a snapshot")
    users.stop()
    assert lookupd.end() == 0
    lookupd.start()
    begun = time.monotonic()
    assert ask(lookupd) == ("found", "snapshot")
    assert time.monotonic() - begun < AT_ONCE_S
    assert ask(lookupd, kind="password") == ("found", "snapshot")
    assert ask(lookupd, "bob")[0] == "unknown"
    assert ask(lookupd, "", "domain") == ("found", "snapshot")
    users.start()
    lookupd.wait_up()
    wait_until(lambda: ask(lookupd) == ("found", "database"), "the database")


def test_paused_database(lookupd, users):
    """SIGSTOP: connections stand, and nothing answers."""
    assert ask(lookupd) == ("found", "database")
    users.sql("UPDATE mq.users SET gecos = 'x'")  # nothing is remembered
    wait_stats(lookupd.home, lambda s: s["changes"] >= 2 and "snapshot" in s,
               "changes")
    users.pause()
    begun = time.monotonic()
    assert ask(lookupd) == ("found", "snapshot")
    assert time.monotonic() - begun < AT_ONCE_S
    assert ask(lookupd, "bob")[0] == "unknown"
    wait_stats(lookupd.home, lambda s: s["database"] == "away", "away")
    users.go_on()
    lookupd.wait_up()
    assert ask(lookupd, "bob")[0] == "absent"


def test_stampede_is_one_question(make_lookupd, users):
    lookupd = make_lookupd(lookuptimeout=20, lookupsnapshot=0)
    lookupd.wait_up()
    lock = subprocess.Popen(
        [users.bin / "psql", "-X", "-q", "-d", users.conninfo(), "-c",
         "BEGIN; LOCK mq.users; SELECT pg_sleep(1.5); COMMIT"],
        stdout=subprocess.DEVNULL)
    wait_until(lambda: users.sql(
        "SELECT 1 FROM pg_locks WHERE relation = 'mq.users'::regclass AND "
        "mode = 'AccessExclusiveLock'"), "a lock")
    before = stats(lookupd.home)
    clients = [Client(lookupd.home) for _ in range(30)]
    for client in clients:
        client.send(question("user", "alice", "b.test"))
    assert {client.receive()[0][:2] for client in clients} == {
        ("found", "database")}
    for client in clients:
        client.socket.close()
    assert lock.wait(20) == 0
    after = stats(lookupd.home)
    assert after["joined"] - before["joined"] == 29
    assert after["statements"] - before["statements"] == 1


def test_expired_questions_are_dropped(lookupd):
    with Client(lookupd.home) as client:
        client.send(question("user", "alice", "a.test"), number=1,
                    deadline_ms=1)
        client.send(question("user", "alice", "a.test"), number=2)
        assert client.receive()[0][0] == "found"
    assert stats(lookupd.home)["expired"] == 1


def login(**options):
    return question("login", "alice", **{
        "domain": "a.test", "ip": "192.0.2.7", "service": "pop3",
        "relay": True, **options})


def last_login(users):
    return users.sql("SELECT service, remote_ip FROM mq.last_auth")


def test_logins(lookupd, users):
    with Client(lookupd.home) as client:
        assert client.ask(login())[0][:2] == ("found", "database")
        relay = question("relay", "alice", "a.test", ip="192.0.2.7",
                         number=60)
        assert client.ask(relay)[0][0] == "found"
        assert last_login(users) == [["pop3", "192.0.2.7"]]
        users.sql("UPDATE mq.relay SET at = now() - interval '2 minutes'")
        assert client.ask(relay)[0][0] == "absent"


def test_logins_wait_for_the_database(lookupd, users):
    users.stop()
    wait_stats(lookupd.home, lambda s: s["database"] == "away", "away")
    with Client(lookupd.home) as client:
        assert client.ask(login(number=1700000000))[0][:2] == (
            "found", "spool")
    assert lookupd.end() == 0
    lookupd.start()
    users.start()
    wait_until(lambda: last_login(users) == [["pop3", "192.0.2.7"]],
               lookupd.text)
    assert users.sql("SELECT extract(epoch FROM at)::bigint FROM "
                     "mq.last_auth") == [["1700000000"]]
    wait_stats(lookupd.home, lambda s: s["spool_bytes"] == 0, "no spool")


HOSTILE = ("'; DROP TABLE mq.users; --", '"', "\\", "a\\\"b", "{a,b}", "%s",
           "NULL", "é", "ａlice", "аlice", "a" * 64)


def test_hostile_names(lookupd, users):
    with Client(lookupd.home) as client:
        for name in HOSTILE + (b"\xff\xfe", b"\xc0\xaf", b"a\n\t"):
            if len(name) > 64:
                continue
            for kind in ("user", "password", "alias", "filters", "limits"):
                found = client.ask(question(kind, name, "a.test"))[0]
                assert found[0] == "absent", (name, kind, found)
            found = client.ask(question("user", "alice", name[:60]))[0]
            assert found[0] == "absent", (name, found)
        # A batch with a bad one is answered for the others.
        found = client.ask(question("user", b"\xff", "a.test"),
                           question("user", "alice", "a.test"))
        assert [answer[0] for answer in found] == ["absent", "found"]
    for packet in (b"", b"\2" + request(question("user", "a", "b"))[1:],
                   request(question("user", b"a\0b", "a.test")),
                   request(question("user", "a" * 300, "a.test")),
                   request(*[question("user", "a", "b")] * 300)):
        if packet:
            with Client(lookupd.home) as client:
                client.socket.send(packet)
                assert client.socket.recv(100) == b""
    assert ask(lookupd)[0] == "found"


def test_no_client_ends_what_others_hear(lookupd, users):
    """Logins that no database takes, which would be tried again for ever."""
    for bad in (question("relay", "alice", "a.test", ip=b"\xff", number=60),
                login(ip=b"\xc0\xaf"), login(ip=""), login(ip="here"),
                login(service=b"\xff"), login(service="Pop 3"),
                login(service=""), login(number=2**63),
                login(number=2**62), login(domain="a.test\tx\t")):
        with Client(lookupd.home) as client:
            client.send(bad)
            assert client.socket.recv(100) == b"", bad
    with Client(lookupd.home) as client:
        assert client.ask(login())[0][:2] == ("found", "database")
    found = stats(lookupd.home)
    assert (found["database"], found["spool_bytes"]) == ("up", 0)
    assert last_login(users) == [["pop3", "192.0.2.7"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_strangers_are_told_nothing(lookupd):
    os.chmod(lookupd.home, 0o755)
    done = subprocess.run(
        ["/usr/bin/python3", "-c", "if True:\n"
         " import socket, sys\n"
         " s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
         f" s.connect('{lookupd.home}/run/lookup')\n"
         " try:\n  s.send(b'x')\n  print(len(s.recv(10)))\n"
         " except OSError:\n  print(0)\n"],
        capture_output=True, text=True, user=65534, group=65534, timeout=20)
    assert done.stdout == "0\n", done


@pytest.mark.skipif(SLOW != 1, reason="sanitizers need calls of their own")
def test_it_is_confined(make_lookupd, users):
    """Every thread has the filter of system calls, and may get no rights."""
    lookupd = make_lookupd(users.conninfo())
    wait_stats(lookupd.home, lambda s: "snapshot" in s, "a snapshot")
    threads = Path(f"/proc/{lookupd.process.pid}/task")
    states = [(thread / "status").read_text() for thread in threads.iterdir()]
    assert len(states) > 6
    for state in states:
        assert "\nSeccomp:\t2\n" in state and "\nNoNewPrivs:\t1\n" in state


def test_tls(make_node, tmp_path):
    """By name and certificate, also when root's home is in the environment."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
         "/CN=localhost", "-keyout", tmp_path / "key", "-out",
         tmp_path / "cert"], check=True, capture_output=True, timeout=60)
    tls = Postgres("ssl = off")
    try:
        for name in ("key", "cert"):
            shutil.copy(tmp_path / name, tls.data / name)
            if os.geteuid() == 0:
                shutil.chown(tls.data / name, tls.user)
        (tls.data / "key").chmod(0o600)
        make_schema(tls)
        add_domain(tls, "a.test")
        add_user(tls, "alice", "a.test", "/m")
        tls.stop()
        tls.configure("ssl = on\nssl_cert_file = 'cert'\n"
                      "ssl_key_file = 'key'")
        tls.start()
        shutil.copy(tmp_path / "cert", tls.folder / "cert")
        (tls.folder / "cert").chmod(0o644)
        closed = tmp_path / "root"
        closed.mkdir(mode=0o700)
        node = make_node("--init-only")
        user = {}
        if os.geteuid() == 0:
            user = {"MQMAIL_USER": "nobody"}
            (node.home / "run/lookupd").mkdir(exist_ok=True)
            shutil.chown(node.home / "run/lookupd", "nobody")
            for folder in (node.home, node.home / "run"):
                folder.chmod(0o755)
        lookupd = Lookupd(
            node, f"host=localhost port={tls.port} dbname=mqmail user=mqmail "
            f"sslmode=verify-full sslrootcert={tls.folder}/cert",
            environment={"HOME": str(closed), **user})
        try:
            lookupd.wait_up()
            assert ask(lookupd) == ("found", "database")
            assert tls.sql("SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN "
                           "pg_stat_activity a USING (pid) WHERE "
                           "application_name = 'lookupd'") == [["t"]]
        finally:
            assert lookupd.end() == 0
    finally:
        tls.remove()


def test_hup_forgets(lookupd):
    assert ask(lookupd) == ("found", "database")
    lookupd.process.send_signal(signal.SIGHUP)
    wait_stats(lookupd.home, lambda s: s["cached"] == 0, "nothing")
    assert ask(lookupd) == ("found", "database")


def test_fail_over(make_lookupd, users):
    """The primary goes, a standby takes over, and users are added there."""
    standby = Postgres.standby_of(users)
    try:
        both = (f"host=127.0.0.1,127.0.0.1 port={users.port},{standby.port} "
                "dbname=mqmail user=mqmail")
        lookupd = make_lookupd(both)
        lookupd.wait_up()
        assert ask(lookupd) == ("found", "database")
        assert ask(lookupd, "bob")[0] == "absent"
        wait_until(lambda: standby.sql(
            "SELECT count(*) FROM mq.users") == [["2"]], "the standby")
        users.stop()
        wait_stats(lookupd.home, lambda s: not s["followed"], "not followed")
        assert ask(lookupd) == ("found", "cache")
        # The standby says who is there, and nobody who is not.
        wait_until(lambda: ask(lookupd, domain="b.test") == (
            "found", "database"), lookupd.text)
        assert ask(lookupd, "bob")[0] == "unknown"
        assert stats(lookupd.home)["database"] == "up"
        standby.sql("SELECT pg_promote()")
        add_user(standby, "bob", "a.test", "/m")
        wait_until(lambda: ask(lookupd, "bob")[0] == "found", lookupd.text)
        add_user(standby, "carol", "a.test", "/m")
        wait_until(lambda: ask(lookupd, "carol")[0] == "found", lookupd.text)
    finally:
        standby.remove()


def test_standby_that_is_behind(make_lookupd, users):
    """Nobody is absent, and no change unseen, because a standby is behind."""
    standby = Postgres.standby_of(users)
    try:
        wait_until(lambda: standby.sql(
            "SELECT count(*) FROM mq.users") == [["2"]], "the standby")
        lookupd = make_lookupd(pgsqlread=standby.conninfo())
        lookupd.wait_up()
        assert ask(lookupd) == ("found", "database")
        standby.sql("SELECT pg_wal_replay_pause()")
        users.sql("UPDATE mq.users SET dir = '/m/new'")
        add_user(users, "bob", "a.test", "/m")
        wait_until(lambda: b"/m/new" in one(
            lookupd.home, "user", "alice", "a.test")[3], "the new folder")
        wait_until(lambda: ask(lookupd, "bob")[0] == "found", "bob")
        standby.sql("SELECT pg_wal_replay_resume()")
        standby.stop()
        add_user(users, "carol", "a.test", "/m")
        wait_until(lambda: ask(lookupd, "carol")[0] == "found", "carol")
        assert lookupd.end() == 0
        lookupd.start()
        wait_until(lambda: ask(lookupd) == ("found", "database"), "alice")
    finally:
        standby.remove()


def test_standby_in_the_one_string_that_is_behind(make_lookupd, users):
    """Readers prefer a standby, also where pgsqlread does not name one."""
    with ExitStack() as ends:
        standby = Postgres.standby_of(users)
        ends.callback(standby.remove)
        wait_until(lambda: standby.sql(
            "SELECT count(*) FROM mq.users") == [["2"]], "the standby")
        lookupd = make_lookupd(
            f"host=127.0.0.1,127.0.0.1 port={standby.port},{users.port} "
            "dbname=mqmail user=mqmail")
        lookupd.wait_up()
        standby.sql("SELECT pg_wal_replay_pause()")
        assert ask(lookupd) == ("found", "database")
        users.sql("UPDATE mq.users SET dir = '/m/new'")
        add_user(users, "bob", "a.test", "/m")
        wait_until(lambda: b"/m/new" in one(
            lookupd.home, "user", "alice", "a.test")[3], "the new folder")
        assert ask(lookupd, "bob")[0] == "found"
        standby.sql("SELECT pg_wal_replay_resume()")


@pytest.mark.skipif(not Pooler.PROGRAM.exists(), reason="no pgbouncer")
def test_pooler(make_lookupd, users):
    """pgbouncer before all but LISTEN, which leads to a standby, then the new
    primary, while its clients' sessions go on."""
    with ExitStack() as ends:
        standby = Postgres.standby_of(users)
        ends.callback(standby.remove)
        pooler = users.pooler()
        ends.callback(pooler.remove)
        lookupd = make_lookupd(
            pooler.conninfo(), pgsqllisten=f"host=127.0.0.1,127.0.0.1 "
            f"port={users.port},{standby.port} dbname=mqmail user=mqmail")
        lookupd.wait_up()
        assert ask(lookupd) == ("found", "database")
        assert ask(lookupd) == ("found", "cache")
        users.sql("UPDATE mq.users SET dir = '/m/new'")
        wait_until(lambda: b"/m/new" in one(
            lookupd.home, "user", "alice", "a.test")[3], "the new folder")
        with Client(lookupd.home) as client:
            assert client.ask(login())[0][:2] == ("found", "database")
        wait_until(lambda: standby.sql(
            "SELECT count(*) FROM mq.last_auth") == [["1"]], "the standby")
        pooler.lead_to(standby)
        add_user(users, "bob", "a.test", "/m")
        standby.sql("SELECT pg_wal_replay_pause()")
        add_user(users, "carol", "a.test", "/m")
        assert ask(lookupd, "carol")[0] in ("found", "unknown")
        assert ask(lookupd, "nobody")[0] == "unknown"
        with Client(lookupd.home) as client:
            assert client.ask(login(number=1900000000))[0][:2] == (
                "found", "spool")
        standby.sql("SELECT pg_wal_replay_resume()")
        users.stop()
        standby.sql("SELECT pg_promote()")
        add_user(standby, "dave", "a.test", "/m")
        wait_until(lambda: ask(lookupd, "dave")[0] == "found", lookupd.text)
        wait_until(lambda: ask(lookupd, "nobody")[0] == "absent", lookupd.text)
        wait_until(lambda: standby.sql(
            "SELECT extract(epoch FROM at)::bigint FROM mq.last_auth")
            == [["1900000000"]], lookupd.text)


@contextlib.contextmanager
def slow_users(users, seconds):
    """The connection string of a role for whom each look at users takes so
    long."""
    users.sql("CREATE ROLE slow LOGIN; GRANT USAGE ON SCHEMA mq TO slow; "
              "GRANT SELECT ON ALL TABLES IN SCHEMA mq TO slow; "
              "ALTER TABLE mq.users ENABLE ROW LEVEL SECURITY; "
              "CREATE POLICY slow ON mq.users TO slow USING "
              f"(pg_sleep({seconds}) IS NOT NULL)")
    try:
        yield f"host={users.folder} port={users.port} dbname=mqmail user=slow"
    finally:
        users.sql("DROP POLICY slow ON mq.users; "
                  "ALTER TABLE mq.users DISABLE ROW LEVEL SECURITY; "
                  "DROP OWNED BY slow; DROP ROLE slow")


def test_slow_database(make_lookupd, users):
    """What takes longer than 250 ms is answered by what is known."""
    with slow_users(users, 1) as conninfo:
        lookupd = make_lookupd(conninfo, lookuptimeout=20)
        lookupd.wait_up()
        wait_stats(lookupd.home, lambda s: "snapshot" in s, "a snapshot")
        begun = time.monotonic()
        assert ask(lookupd) == ("found", "snapshot")
        assert time.monotonic() - begun < SLOW
        # It was remembered when it came.
        wait_until(lambda: ask(lookupd) == ("found", "cache"), "the answer")
        assert ask(lookupd, domain="nowhere.test") == ("absent", "database")
        assert lookupd.end() == 0


def test_too_slow_database(make_lookupd, users):
    """Nobody is absent, and no statement goes on for nobody."""
    with slow_users(users, 60) as conninfo:
        lookupd = make_lookupd(conninfo, lookupsnapshot=0)
        lookupd.wait_up()
        assert ask(lookupd)[0] == "unknown"
        assert ask(lookupd, domain="b.test")[0] == "unknown"
        wait_until(lambda: users.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'slow' AND "
            "state = 'active'") == [["0"]], "the statements have ended")
        assert lookupd.end() == 0


def test_stuck_connection(lookupd, users):
    """One session stands still, the server does not."""
    assert ask(lookupd) == ("found", "database")
    stuck = [int(pid) for pid, in users.sql(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'lookupd' "
        "AND query NOT LIKE '%mq.changes%'")]
    assert stuck
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: ask(lookupd, "bob")[0] == "absent", lookupd.text)
        add_user(users, "bob", "a.test", "/m")
        wait_until(lambda: ask(lookupd, "bob")[0] == "found", lookupd.text)
    finally:
        for pid in stuck:
            os.kill(pid, signal.SIGCONT)


# -- other nodes


class Peer:
    """Another node: a DEALER with a key."""

    def __init__(self, zmq, address, server_key, pair):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.curve_serverkey = server_key
        self.socket.curve_publickey, self.socket.curve_secretkey = pair
        self.socket.connect(f"tcp://{address}")

    def ask(self, name, *questions, wait_ms=20000, **options):
        """The answers, or None."""
        self.socket.send_multipart([name, request(*questions, **options)])
        if not self.socket.poll(wait_ms):
            return None
        return answers(self.socket.recv())

    def end(self):
        self.socket.close()
        self.context.term()


def test_other_nodes(make_lookupd, users, tmp_path):
    zmq = pytest.importorskip("zmq")
    if not zmq.has("curve"):
        pytest.skip("ZeroMQ without CURVE")
    port = ports.take(2)
    addresses = [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]
    keys = []
    for number in range(2):
        done = subprocess.run(
            [BIN / "lookupd", "--make-key", tmp_path / f"key{number}"],
            capture_output=True, check=True, timeout=20)
        keys.append(done.stdout.strip())
    assert (tmp_path / "key0").stat().st_mode & 0o777 == 0o600
    known, unknown = zmq.curve_keypair(), zmq.curve_keypair()
    lookupd = make_lookupd(
        lookuplisten="\n".join(f"{address} {tmp_path}/key{number}"
                               for number, address in enumerate(addresses)),
        lookuppeers=f"other.test {known[0].decode()}")
    lookupd.wait_up()
    user = question("user", "alice", "a.test")
    ends = []

    def peer(number, pair, key=None):
        ends.append(Peer(zmq, addresses[number], key or keys[number], pair))
        return ends[-1]

    try:
        for number in range(2):  # both keys are good
            good = peer(number, known)
            for asked in range(3):
                got = good.ask(b"other.test", user, user, number=100 + asked)
                assert got[0] == 100 + asked
                assert [answer[0] for answer in got[3]] == ["found"] * 2
        # Packets and names that are none get no answer, and hurt nobody.
        assert good.ask(b"third.test", user, wait_ms=500) is None
        good.socket.send_multipart([b"other.test"])
        good.socket.send_multipart([b"other.test", b"x" * 50000, b"y"])
        good.socket.send_multipart([b"other.test", b"\0" * 1000])
        assert good.ask(b"other.test", user)[3][0][0] == "found"
        assert peer(0, unknown).ask(b"other.test", user, wait_ms=1000) is None
        assert peer(0, known, keys[1]).ask(
            b"other.test", user, wait_ms=1000) is None
        # Many at once.
        for number in range(150):
            good.socket.send_multipart(
                [b"other.test", request(user, number=number)])
        got = set()
        while len(got) < 150:
            assert good.socket.poll(20000), sorted(got)
            got.add(answers(good.socket.recv())[0])
    finally:
        for one_end in ends:
            one_end.end()


# -- a whole node


@pytest.fixture
def mail(make_node, users):
    """A node whose users are the database's."""
    node = make_node()
    folder = node.home / "domains" / node.domain
    add_domain(users, node.domain)
    for name in ("alice", "bob"):
        add_user(users, name, node.domain, folder)
    use_database(node, users.conninfo())
    node.svctool("init")
    node.svctool("restart")
    wait_stats(node.home, lambda s: s["database"] == "up" and
               "snapshot" in s, "up")
    return node


def rcpt(node, name):
    with smtplib.SMTP("127.0.0.1", node.smtp_port, timeout=60) as client:
        client.ehlo("client.test")
        client.mail("sender@client.test")
        return client.rcpt(f"{name}@{node.domain}")[0]


def send(node, name, number):
    """The reply code of a message."""
    try:
        with smtplib.SMTP("127.0.0.1", node.smtp_port, timeout=60) as client:
            client.sendmail("sender@client.test", [f"{name}@{node.domain}"],
                            f"Subject: {number}\r\n\r\ntext\r\n")
        return 250
    except smtplib.SMTPRecipientsRefused as error:
        return next(iter(error.recipients.values()))[0]
    except smtplib.SMTPResponseException as error:
        return error.smtp_code


def ask_mail(node, name):
    return one(node.home, "user", name, node.domain)[0] == "found"


def test_mail_by_lookupd(mail, users):
    assert send(mail, "alice", 1) == 250
    mail.wait_messages("alice", 1)
    assert rcpt(mail, "nobody") == 550
    add_user(users, "new", mail.domain, "/m")
    wait_until(lambda: rcpt(mail, "new") == 250, "the new user")
    users.sql("UPDATE mq.users SET is_active = false WHERE name = 'bob'")
    wait_until(lambda: rcpt(mail, "bob") >= 500, "bob is inactive")
    status = mail.status()
    assert status["lookup"]["database"] == "up"


def test_a_job_is_one_question(mail, users):
    """Of a message for many plain users the worker asks once, and not again
    for those whom it has asked for a moment ago."""
    names = [f"u{number}" for number in range(12)]
    addresses = [f"{name}@{mail.domain}" for name in names]
    folder = mail.home / "domains" / mail.domain
    for name in names:
        subprocess.run(["cp", "-a", folder / "bob", folder / name], check=True)
        add_user(users, name, mail.domain, folder)

    def arrived(name):
        return len(list((folder / name / "Maildir/new").glob("*")))

    wait_until(lambda: ask_mail(mail, names[-1]), "the users")
    # It asks for the domain's limits, too.
    assert mail.inject(f"bob@{mail.domain}") == 0
    wait_until(lambda: arrived("bob") == 1, mail.logs)
    before = stats(mail.home)
    assert mail.inject(*addresses) == 0
    wait_until(lambda: all(arrived(name) == 1 for name in names), mail.logs)
    after = stats(mail.home)
    assert after["queries"]["user"] - before["queries"]["user"] == len(names)
    assert after["queries"]["filters"] == before["queries"]["filters"]
    assert after["packets"] - before["packets"] <= 2  # one is that of stats


def test_a_new_filter_is_seen(mail, users):
    """Also when it was known that there was none."""
    new = mail.home / "domains" / mail.domain / "alice/Maildir/.Junk/new"
    assert send(mail, "alice", 1) == 250
    mail.wait_messages("alice", 1)
    users.sql("INSERT INTO mq.filters SELECT id, 'alice', 1, 'spam', 2, 1, "
              "'spam', 'Junk', '0' FROM mq.domains "
              f"WHERE name = '{mail.domain}'")
    wait_until(lambda: one(mail.home, "user", "alice", mail.domain)[3][7] < 128,
               "the filter")
    assert send(mail, "alice", "spam") == 250
    wait_until(lambda: new.is_dir() and len(list(new.iterdir())) == 1,
               mail.logs)


def test_mail_without_the_database(mail, users):
    assert send(mail, "alice", 1) == 250
    users.stop()
    wait_stats(mail.home, lambda s: s["database"] == "away", "away")
    assert send(mail, "alice", 2) == 250
    assert send(mail, "bob", 3) == 250  # by the snapshot
    assert rcpt(mail, "nobody") == 451
    mail.wait_messages("alice", 2)
    mail.wait_messages("bob", 1)
    users.start()
    wait_until(lambda: rcpt(mail, "nobody") == 550, "the database is back")


def test_killed_under_load(mail):
    """No mail is lost, none bounces, and none is refused for good."""
    def deliver(number):
        return send(mail, "alice", number)

    with ThreadPoolExecutor(6) as pool:
        codes = []
        for begin in range(0, 120, 30):
            done = [pool.submit(deliver, begin + i) for i in range(30)]
            pid = next(service["pid"] for service in mail.status()["services"]
                       if service["name"] == "lookup")
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            codes += [item.result() for item in done]
    assert set(codes) <= {250, 451}, codes
    assert codes.count(250) > 60
    mail.wait_messages("alice", codes.count(250))
    mail.wait_empty()


def test_paused_under_load(mail):
    pid = next(service["pid"] for service in mail.status()["services"]
               if service["name"] == "lookup")
    os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(6) as pool:
            done = [pool.submit(send, mail, "alice", i) for i in range(12)]
            time.sleep(1)
            os.kill(pid, signal.SIGCONT)
            codes = [item.result() for item in done]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert codes == [250] * 12
    mail.wait_messages("alice", 12)
