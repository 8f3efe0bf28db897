# SPDX-License-Identifier: ISC
"""Nodes become a cluster: svctool cluster init, token, join, leave, revoke."""
import hashlib
import json
import os
import shutil
import stat
import subprocess

import pytest

import ports
import postgres as server
from node import BIN, ROOT, wait_until

pytestmark = pytest.mark.skipif(server.programs() is None,
                                reason="no PostgreSQL server on this host")


def old_database(postgres, name):
    """One with the first version of the schema; its connection string."""
    postgres.sql(f"CREATE DATABASE {name}", database="postgres")
    postgres.command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d",
                     postgres.conninfo(name), "-f",
                     ROOT / "lookupd/schema/001.sql")
    postgres.sql("INSERT INTO mq.schema_version (version) VALUES (1)", name)
    return postgres.conninfo(name)


def test_the_schema_is_upgraded_with_its_rows(make_node, postgres):
    node = make_node("--init-only")
    (node.control / "pgsql").write_text(old_database(postgres, "old") + "\n")
    postgres.sql("INSERT INTO mq.domains (name) VALUES ('example.test'); "
                 "INSERT INTO mq.users (domain_id, name, dir) "
                 "VALUES (1, 'postmaster', '/d/postmaster')", "old")
    done = node.svctool("db", "check", code=1)
    assert "svctool db upgrade" in done.stderr
    done = node.svctool("db", "upgrade")
    last = len(list((ROOT / "lookupd/schema").glob("*.sql")))
    assert f"from version 1 to {last}" in done.stdout
    assert "as it should be" in node.svctool("db", "check").stdout
    assert postgres.sql("SELECT pw_name, host FROM hostcntrl", "old") == [
        ["postmaster", ""]]


def test_where_users_are(make_node, postgres):
    """The views of the reference, what is counted, and what is noted."""
    node = make_node("--init-only")
    conninfo = postgres.fresh_database(node.home)
    name = conninfo.split("dbname=")[1].split()[0]
    postgres.sql(
        "INSERT INTO mq.nodes (name, host, smtp_port) "
        "VALUES ('mail1', '192.0.2.1', 2525), ('mail2', '192.0.2.2', 2526); "
        "INSERT INTO mq.stores (name, node) VALUES ('s1', 'mail1'); "
        "INSERT INTO mq.domains (name, is_clustered, default_place) "
        "VALUES ('example.test', true, 's1'), ('own.test', false, ''); "
        "INSERT INTO mq.users (domain_id, name, dir, store_id) "
        "VALUES (1, 'postmaster', '/d/p', 1), (1, 'alice', '/d/a', 1), "
        "(2, 'postmaster', '/o/p', NULL)", name)
    assert postgres.sql("SELECT pw_name, pw_domain, host FROM hostcntrl "
                        "ORDER BY 2, 1", name) == [
        ["*", "example.test", "mail1"], ["alice", "example.test", "mail1"],
        ["postmaster", "example.test", "mail1"],
        ["postmaster", "own.test", ""]]
    assert postgres.sql("SELECT host, ipaddr FROM host_table ORDER BY 1",
                        name) == [["mail1", "192.0.2.1"],
                                  ["mail2", "192.0.2.2"]]
    assert postgres.sql("SELECT host, domain, port FROM smtp_port ORDER BY 1",
                        name) == [["mail1", "example.test", "2525"],
                                  ["mail2", "example.test", "2526"]]
    assert postgres.sql("SELECT domain, distributed, mdahost, dbname FROM "
                        "dbinfo ORDER BY 3", name) == [
        ["example.test", "1", "192.0.2.1", name],
        ["example.test", "1", "192.0.2.2", name]]
    assert "as it should be" in node.svctool("db", "check").stdout
    postgres.sql("UPDATE mq.users SET store_id = NULL WHERE name = 'alice'; "
                 "DELETE FROM mq.domains WHERE name = 'own.test'", name)
    assert postgres.sql("SELECT users FROM mq.store_users", name) == [["1"]]
    # A lease that goes on is no change; what others must know is one.
    postgres.sql("DELETE FROM mq.changes; UPDATE mq.nodes SET "
                 "lease_until = now() + '15 s'; "
                 "UPDATE mq.stores SET lease_until = now()", name)
    assert postgres.sql("SELECT kind FROM mq.changes", name) == []
    postgres.sql("UPDATE mq.nodes SET is_revoked = true WHERE name = 'mail2'; "
                 "UPDATE mq.stores SET node = NULL", name)
    assert postgres.sql("SELECT kind, domain, name FROM mq.changes "
                        "ORDER BY 1", name) == [["node", "", "mail2"],
                                                ["store", "", "s1"]]
    assert postgres.sql("SELECT name, is_alive FROM mq.live_nodes "
                        "ORDER BY 1", name) == [["mail1", "t"],
                                                ["mail2", "f"]]


ONE_USER = ["--user", "root"] if os.getuid() == 0 else []


class Bare:
    """A node without domains, made by svctool init, that is not started."""

    def __init__(self, home, me):
        self.home, self.control = home, home / "control"
        self.svctool("init", "--me", me, "--queues", "1", "--port",
                     f"127.0.0.1:{ports.take(1)}", *ONE_USER)

    def svctool(self, command, *words, code=0, **options):
        environment = {**os.environ, "MQMAIL_HOME": str(self.home),
                       "MQMAIL_TEST_TIMES": "KEYS_KNOWN_MS=10"}
        done = subprocess.run(
            [BIN / "svctool", command, *map(str, words), "--home", self.home],
            capture_output=True, text=True, timeout=120, env=environment,
            **options)
        assert code is None or done.returncode == code, done
        return done

    def cluster(self, *words, **options):
        return self.svctool("cluster", *words, **options)

    def json(self, *words, **options):
        return json.loads(self.cluster(*words, "--json", **options).stdout)

    def pin(self):
        """Of the certificate that it shows, counted by openssl."""
        key = subprocess.run(
            ["openssl", "x509", "-in", self.home / "tls/nodecert.pem",
             "-noout", "-pubkey"], capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"],
                             input=key, capture_output=True, check=True).stdout
        return hashlib.sha256(der).hexdigest()

    def key(self):
        return (self.home / "tls/cluster.key").read_text().splitlines()[1]


class Cluster:
    """A database, and its first node."""

    def __init__(self, postgres, folder):
        self.postgres, self.folder, self.count = postgres, folder, 0
        self.first = self.bare("mail1.example.test")
        self.conninfo = postgres.fresh_database(self.first.home)
        self.name = self.conninfo.split("dbname=")[1].split()[0]

    def bare(self, me):
        self.count += 1
        return Bare(self.folder / f"c{self.count}", me)

    def sql(self, text):
        return self.postgres.sql(text, self.name)

    def token(self, *words):
        return self.first.cluster("token", *words).stdout.strip()

    def join(self, node, *words, token=None, **options):
        """By the standard input, as an operator should."""
        return node.cluster(
            "join", "--db", "-", "--token", "-", *words,
            input=f"{self.conninfo}\n{token or self.token()}\n", **options)

    def row(self, name):
        rows = self.sql("SELECT row_to_json(n) FROM mq.nodes n "
                        f"WHERE name = '{name}'")
        return json.loads(rows[0][0]) if rows else None


@pytest.fixture
def fresh(postgres, memory_path):
    return Cluster(postgres, memory_path)


@pytest.fixture
def cluster(fresh):
    fresh.first.cluster("init", "--host", "192.0.2.1")
    return fresh


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_node(fresh):
    node = fresh.first
    done = node.json("init", "--host", "192.0.2.1", "--imap", "993")
    row = fresh.row("mail1")
    assert (done["node"], done["smtp_port"], done["bus_port"]) == (
        "mail1", 2525, 5571)
    assert (row["host"], row["role"], row["smtp_port"], row["bus_port"],
            row["imap_port"], row["epoch"], row["lease_until"]) == (
        "192.0.2.1", "all", 2525, 5571, 993, 0, None)
    assert row["tls_pins"] == [node.pin()] == [done["pin"]]
    assert row["curve_keys"] == [node.key()] == [done["key"]]
    assert mode(node.home / "tls/nodecert.pem") == 0o640
    assert mode(node.home / "tls/cluster.key") == 0o600
    assert (node.control / "nodename").read_text() == "mail1\n"
    assert "/clusterd'" in (node.home / "service/cluster/run").read_text()
    assert (node.home / "service/lookup/run").exists()
    listener = node.home / "service/qmail-smtpd.2525/variables"
    assert (listener / "LISTEN").read_text() == "0.0.0.0:2525\n"
    assert (listener / "OPTIONS").read_text() == "--node\n"
    # Again: the same keys, the same row.
    assert node.json("init", "--host", "192.0.2.1") == done
    assert fresh.row("mail1")["epoch"] == 0
    done = fresh.bare("mail2.example.test")
    (done.control / "pgsql").write_text(fresh.conninfo + "\n")
    (done.control / "userstore").write_text("pgsql\n")
    done = done.cluster("init", code=1)
    assert "has a cluster already, with node 'mail1'" in done.stderr
    assert len(fresh.sql("SELECT name FROM mq.nodes")) == 1


def test_two_commands_to_a_second_node(cluster):
    second = cluster.bare("mail2.example.test")
    done = cluster.join(second, "--host", "192.0.2.2", "--role", "front",
                        "--listen", "192.0.2.2:2600", "--bus", "5600")
    assert cluster.conninfo not in done.stdout + done.stderr
    row = cluster.row("mail2")
    assert (row["host"], row["role"], row["smtp_port"], row["bus_port"]) == (
        "192.0.2.2", "front", 2600, 5600)
    assert row["tls_pins"] == [second.pin()]
    assert (second.control / "pgsql").read_text() == cluster.conninfo + "\n"
    assert mode(second.control / "pgsql") == 0o640
    assert (second.control / "userstore").read_text() == "pgsql\n"
    assert (second.control / "clusterlisten").read_text() == "0.0.0.0:5600\n"
    assert (second.control / "nodelisten").read_text() == "192.0.2.2:2600\n"
    assert second.svctool("db", "status").returncode == 0
    # It can invite others now.
    assert len(second.cluster("token").stdout.strip()) == 48


def test_what_all_nodes_begin_with(cluster):
    cluster.sql("INSERT INTO mq.settings VALUES ('databytes', E'1000\\n'), "
                "('maxhops', E'50\\n'), ('of_the_future', '1')")
    second = cluster.bare("mail2.example.test")
    (second.control / "maxhops").write_text("20\n")
    cluster.join(second)
    assert (second.control / "databytes").read_text() == "1000\n"
    assert (second.control / "maxhops").read_text() == "20\n"
    assert not (second.control / "of_the_future").exists()


def test_a_run_that_was_killed_is_ended_by_another(cluster):
    """Before the name was written, the token was used."""
    second = cluster.bare("mail2.example.test")
    token = cluster.token()
    cluster.join(second, token=token)
    pin = second.pin()
    (second.control / "nodename").unlink()
    (second.control / "userstore").unlink()
    cluster.join(second, token=token)
    assert (second.control / "nodename").read_text() == "mail2\n"
    assert cluster.row("mail2")["tls_pins"] == [pin]


def refused(cluster, node, words, *options, code=1, **more):
    done = cluster.join(node, *options, code=code, **more)
    assert words in done.stderr, done
    # Nothing of it is there.
    assert not (node.control / "nodename").exists()
    assert not (node.control / "userstore").exists()
    assert not (node.home / "service/cluster").exists()
    assert not (node.home / "service/qmail-smtpd.2525").exists()


def test_tokens(cluster):
    second = cluster.bare("mail2.example.test")
    third = cluster.bare("mail3.example.test")
    expired = cluster.token()
    cluster.sql("UPDATE mq.join_tokens SET expires = now()")
    refused(cluster, second, "the token has expired", token=expired)
    refused(cluster, second, "did not give out this token", token="x" * 48)
    named = cluster.token("--name", "mail3")
    refused(cluster, second, "is for a node named 'mail3', not 'mail2'",
            token=named)
    assert cluster.row("mail2") is None
    cluster.join(third, token=named)
    refused(cluster, second, "the token is used: node 'mail3' joined",
            token=named)
    made = cluster.first.json("token", "--for", "10m")
    assert cluster.sql(
        "SELECT expires - created < '11 min' FROM mq.join_tokens WHERE "
        f"hash = '{hashlib.sha256(made['token'].encode()).hexdigest()}'") == [
        ["t"]]
    assert second.cluster("token", code=1).stderr.startswith(
        "svctool: this node is in no cluster")
    assert "--token is missing" in second.cluster("join", code=100).stderr


def test_a_name_belongs_to_who_lives(cluster):
    second = cluster.bare("mail2.example.test")
    other = cluster.bare("mail2.example.test")
    cluster.join(second)
    cluster.sql("UPDATE mq.nodes SET epoch = 3, instance = gen_random_uuid(), "
                "lease_until = now() + '1 min' WHERE name = 'mail2'")
    refused(cluster, other, "a node named 'mail2' lives")
    assert cluster.row("mail2")["tls_pins"] == [second.pin()]
    refused(cluster, other, "is no role of a node", "--role", "back")
    refused(cluster, other, "is not a node's name", "--name", "Mail_2")
    # The living one may run join again, and keeps what it holds.
    instance = cluster.row("mail2")["instance"]
    cluster.join(second)
    assert (cluster.row("mail2")["epoch"],
            cluster.row("mail2")["instance"]) == (3, instance)
    # Of a dead one another takes the place, with keys of its own.
    cluster.sql("UPDATE mq.nodes SET lease_until = now() "
                "WHERE name = 'mail2'")
    cluster.join(other)
    row = cluster.row("mail2")
    assert row["tls_pins"] == [other.pin()]
    assert (row["epoch"], row["instance"]) == (4, None)
    cluster.sql("INSERT INTO mq.nodes (name, host, role) "
                "VALUES ('old', '192.0.2.9', 'legacy')")
    third = cluster.bare("old.example.test")
    refused(cluster, third, "is a legacy server")


def test_an_odd_clock(cluster):
    """The database's is ten seconds off, for who asks as this node does."""
    second = cluster.bare("mail2.example.test")
    cluster.sql("CREATE SCHEMA odd; CREATE FUNCTION odd.clock_timestamp() "
                "RETURNS timestamptz LANGUAGE sql AS "
                "'SELECT pg_catalog.clock_timestamp() - interval ''10 s'''")
    conninfo = cluster.conninfo
    cluster.conninfo += " options='-c search_path=odd,pg_catalog'"
    refused(cluster, second, "the clock of this host is 10.0 seconds ahead")
    cluster.sql("CREATE OR REPLACE FUNCTION odd.clock_timestamp() "
                "RETURNS timestamptz LANGUAGE sql AS "
                "'SELECT pg_catalog.clock_timestamp() + interval ''1 h'''")
    refused(cluster, second, "seconds behind that of the database")
    cluster.sql("CREATE OR REPLACE FUNCTION odd.clock_timestamp() "
                "RETURNS timestamptz LANGUAGE sql AS "
                "'SELECT pg_catalog.clock_timestamp() + interval ''4 s'''")
    cluster.join(second)
    assert conninfo in (second.control / "pgsql").read_text()


def test_other_versions(cluster, postgres):
    second = cluster.bare("mail2.example.test")
    cluster.sql("UPDATE mq.nodes SET protocol = 3, version = '9.9'")
    refused(cluster, second, "node 'mail1' has mqmail 9.9")
    # One release apart is understood.
    cluster.sql("UPDATE mq.nodes SET protocol = 2")
    cluster.sql("INSERT INTO mq.schema_version (version) VALUES (99)")
    done = second.cluster("join", "--db", cluster.conninfo, "--token", "x",
                          code=1)
    assert "has version 99 of the schema" in done.stderr
    assert "upgrade mqmail on this node" in done.stderr
    cluster.sql("DELETE FROM mq.schema_version WHERE version = 99")
    cluster.join(second)
    third = cluster.bare("mail3.example.test")
    done = third.cluster("join", "--db", old_database(postgres, "older"),
                         "--token", "x", code=1)
    assert "run 'svctool db upgrade'" in done.stderr


def test_without_a_database(fresh, make_node):
    node = fresh.bare("mail2.example.test")
    done = node.cluster("init", code=1)
    assert "userstore' does not say pgsql" in done.stderr
    done = node.cluster("join", "--token", "x", code=1)
    assert "there is no database: --db CONNINFO" in done.stderr
    done = node.cluster("join", "--db", "host=127.0.0.1 port=1", "--token",
                        "x", code=111)
    assert "Connection refused" in done.stderr
    done = node.cluster("join", "--db", fresh.conninfo, "--token", "x", code=1)
    assert "has no cluster yet" in done.stderr
    done = node.cluster("join", "--db", "-", "--token", "x", code=100,
                        input="")
    assert "no such line on standard input" in done.stderr
    # A node whose users are in files would lose them.
    fresh.first.cluster("init")
    full = make_node("--init-only")
    done = full.svctool("cluster", "join", "--db", fresh.conninfo, "--token",
                        "x", code=1)
    assert "the users of 'example.test' are in files" in done.stderr
    # It is one database for all.
    (node.control / "pgsql").write_text("host=192.0.2.1\n")
    done = node.cluster("join", "--db", fresh.conninfo, "--token", "x", code=1)
    assert "names another database" in done.stderr


def test_secrets_leave_the_arguments(cluster, postgres):
    """ps shows them no longer than it takes to read them."""
    second = cluster.bare("mail2.example.test")
    postgres.pause()
    try:
        with subprocess.Popen(
                [BIN / "svctool", "cluster", "join", "--home", second.home,
                 "--db", cluster.conninfo, "--token", "secrettoken"],
                stderr=subprocess.DEVNULL) as process:
            line = f"/proc/{process.pid}/cmdline"
            wait_until(lambda: b"secrettoken" not in open(line, "rb").read(),
                       "the arguments")
            assert cluster.conninfo.encode() not in open(line, "rb").read()
            process.kill()
    finally:
        postgres.go_on()


def test_leave(cluster):
    second = cluster.bare("mail2.example.test")
    cluster.join(second)
    done = second.cluster("init", "--name", "other", code=1)
    assert "is 'mail2' in a cluster already" in done.stderr
    cluster.sql("INSERT INTO mq.domains (name, is_clustered) "
                "VALUES ('c.test', true); INSERT INTO mq.users (domain_id, "
                "name, dir, store_id) SELECT 1, 'al', '/d/al', id "
                "FROM mq.stores WHERE name = 'mail2'")
    done = second.cluster("leave", code=1)
    assert "serves the store 'mail2', which has 1 users" in done.stderr
    assert cluster.row("mail2") is not None
    cluster.sql("UPDATE mq.stores SET node = 'mail1'")
    assert second.json("leave") == {"node": "mail2", "has_left": True}
    assert cluster.row("mail2") is None
    for name in ("control/nodename", "tls/nodecert.pem", "tls/cluster.key",
                 "service/cluster"):
        assert not (second.home / name).exists()
    assert "in no cluster" in second.cluster("leave", code=1).stderr
    # Whose name another has taken leaves without that one.
    other = cluster.bare("mail2.example.test")
    cluster.join(second)
    cluster.join(other)
    cluster.sql("UPDATE mq.stores SET node = 'mail2'")
    assert "gone" in second.cluster("leave").stdout
    assert cluster.row("mail2")["tls_pins"] == [other.pin()]
    cluster.sql("UPDATE mq.stores SET node = 'mail1'")
    # With new keys it comes back.
    cluster.join(second)
    assert cluster.row("mail2")["tls_pins"] == [second.pin()]


def test_revoke(cluster):
    second = cluster.bare("mail2.example.test")
    cluster.join(second)
    cluster.sql("UPDATE mq.nodes SET instance = gen_random_uuid(), "
                "lease_until = now() + '1 min' WHERE name = 'mail2'")
    first = cluster.first
    assert "has no node 'mail9'" in first.cluster(
        "revoke", "mail9", code=1).stderr
    assert "is this node" in first.cluster("revoke", "mail1", code=1).stderr
    done = first.cluster("revoke", "mail2", "--forget", code=111)
    assert "may act until its lease ends" in done.stderr
    row = cluster.row("mail2")
    assert (row["is_revoked"], row["epoch"], row["instance"]) == (
        True, 1, None)
    # Nobody takes its keys for good, and nobody its stores before its time.
    assert cluster.sql("SELECT tls_pins, curve_keys, is_alive FROM "
                       "mq.live_nodes WHERE name = 'mail2'") == [
        ["{}", "{}", "f"]]
    assert row["lease_until"] is not None
    assert "lives" in cluster.join(
        cluster.bare("mail2.example.test"), code=1).stderr
    cluster.sql("UPDATE mq.nodes SET lease_until = now() "
                "WHERE name = 'mail2'")
    done = first.json("revoke", "mail2", "--forget")
    assert done == {"node": "mail2", "is_revoked": True, "is_forgotten": True}
    assert cluster.row("mail2") is None


def good(cluster):
    """Pins and keys that others take, the one in use first."""
    rows = cluster.sql("SELECT to_json(tls_pins), to_json(curve_keys) FROM "
                       "mq.live_nodes WHERE name = 'mail1'")
    return [json.loads(text) for text in rows[0]]


def test_rotate_keys(cluster):
    node = cluster.first
    pin, key = node.pin(), node.key()
    done = node.json("rotate-keys")
    assert (done["pin"], done["key"]) == (node.pin(), node.key())
    assert node.pin() != pin and node.key() != key
    assert good(cluster) == [[node.pin(), pin], [node.key(), key]]
    assert mode(node.home / "tls/nodecert.pem") == 0o640
    assert mode(node.home / "tls/cluster.key") == 0o600
    # After an hour the old ones are over, whether or not anybody does a thing.
    cluster.sql("UPDATE mq.nodes SET old_keys_until = now()")
    assert good(cluster) == [[node.pin()], [node.key()]]
    second = node.json("rotate-keys")
    assert good(cluster)[0] == [second["pin"], done["pin"]]


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_a_rotation_that_is_killed(cluster, when):
    """What it shows is what others take, and the next run ends it."""
    node = cluster.first
    command = [BIN / "svctool", "cluster", "rotate-keys", "--home", node.home]
    done = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-e", "trace=rename",
         "-e", f"inject=rename:signal=KILL:when={when}", *command],
        env={**os.environ, "MQMAIL_TEST_TIMES": "KEYS_KNOWN_MS=10"},
        capture_output=True, timeout=120)
    assert done.returncode != 0, done
    assert node.pin() in good(cluster)[0]
    assert node.key() in good(cluster)[1]
    done = node.json("rotate-keys")
    assert (done["pin"], done["key"]) == (node.pin(), node.key())
    assert [kind[0] for kind in good(cluster)] == [node.pin(), node.key()]
    assert not list((node.home / "tls").glob("*.next"))


def test_keys_that_another_has_taken_over(cluster):
    node = cluster.first
    cluster.sql("UPDATE mq.nodes SET tls_pins = ARRAY[repeat('0', 64)], "
                "curve_keys = ARRAY[repeat('x', 40)]")
    done = node.cluster("rotate-keys", code=1)
    assert "has another taken its name?" in done.stderr
    assert cluster.row("mail1")["tls_pins"] == ["0" * 64]
    cluster.sql(f"UPDATE mq.nodes SET tls_pins = ARRAY['{node.pin()}'], "
                "is_revoked = true")
    assert "was it revoked" in node.cluster("rotate-keys", code=1).stderr
