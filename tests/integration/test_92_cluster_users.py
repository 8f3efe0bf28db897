# SPDX-License-Identifier: ISC
"""Users of clustered domains: stores, placement, tasks, moves."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import ports
import postgres as server
from node import BIN, SLOW, wait_until

pytestmark = pytest.mark.skipif(server.programs() is None,
                                reason="no PostgreSQL server on this host")

ONE_USER = ["--user", "root"] if os.getuid() == 0 else []


class Node:
    """A node without daemons: its commands act, its lease is the test's."""

    def __init__(self, cluster, name, role="all"):
        self.cluster, self.name = cluster, name
        self.home = cluster.folder / name
        self.env = {**os.environ, "MQMAIL_HOME": str(self.home),
                    "MQMAIL_USER": "root" if os.getuid() == 0 else "",
                    "MQMAIL_TEST_TIMES": "TASK_WAIT_MS=300"}
        if os.getuid() != 0:
            del self.env["MQMAIL_USER"]
        self.run("svctool", "init", "--me", f"{name}.example.test",
                 "--queues", "1", "--port", f"127.0.0.1:{ports.take(1)}",
                 *ONE_USER, "--home", self.home)

    def run(self, program, *words, code=0, **options):
        done = subprocess.run([BIN / program, *map(str, words)], text=True,
                              capture_output=True, timeout=60 * SLOW,
                              env=self.env, **options)
        assert code is None or done.returncode == code, done
        return done.stdout if done.returncode == 0 else done.stderr

    def svctool(self, *words, **options):
        return self.run("svctool", "cluster", *words, "--home", self.home,
                        **options)

    def tasks(self):
        return json.loads(self.svctool("run-tasks", "--json"))

    def user(self, address):
        return json.loads(self.run("vuserinfo", "--json", address))


class Cluster:
    """Two nodes that live, and a database."""

    def __init__(self, postgres, folder):
        self.postgres, self.folder = postgres, folder
        self.a = Node(self, "a")
        self.conninfo = postgres.fresh_database(self.a.home)
        self.database = self.conninfo.split("dbname=")[1].split()[0]
        self.a.svctool("init", "--host", "127.0.0.1")
        self.b = Node(self, "b")
        token = self.a.svctool("token").strip()
        self.b.svctool("join", "--db", "-", "--token", "-", "--host",
                       "127.0.0.2", input=f"{self.conninfo}\n{token}\n")
        self.alive("a", "b")

    def sql(self, text):
        return self.postgres.sql(text, self.database)

    def alive(self, *names):
        for name in names:
            self.sql("UPDATE mq.nodes SET lease_until = now() + '1 h' "
                     f"WHERE name = '{name}'")

    def dead(self, name):
        self.sql("UPDATE mq.nodes SET lease_until = now() - interval '1 s' "
                 f"WHERE name = '{name}'; UPDATE mq.stores SET "
                 "lease_until = now() - interval '1 s' "
                 f"WHERE node = '{name}'")

    def store(self, name, node="a", *words):
        path = self.folder / f"store-{name}"
        owner = self.a if node == "a" else self.b
        owner.svctool("store", "add", name, "--path", path, *words)
        return path

    def states(self):
        return [row[0] for row in self.sql(
            "SELECT kind || ' ' || state FROM mq.tasks ORDER BY id")]


@pytest.fixture
def bare(postgres, memory_path):
    return Cluster(postgres, memory_path)


@pytest.fixture
def cluster(bare):
    """With a clustered domain, whose postmaster is on the first node."""
    bare.a.run("vadddomain", "--cluster", "-n", "-H", "a", "c.test")
    return bare


def test_each_node_has_a_store(bare):
    stores = json.loads(bare.a.svctool("store", "list", "--json"))
    assert [(s["store"], s["node"], s["path"], s["is_alive"])
            for s in stores] == [
        ("a", "a", str(bare.a.home / "domains"), True),
        ("b", "b", str(bare.b.home / "domains"), True)]
    front = Node(bare, "f")
    token = bare.a.svctool("token").strip()
    front.svctool("join", "--db", "-", "--token", "-", "--role", "front",
                  input=f"{bare.conninfo}\n{token}\n")
    assert len(json.loads(bare.a.svctool("store", "list", "--json"))) == 2
    assert "of role front" in bare.a.svctool(
        "store", "add", "x", "--node", "f", "--path", "/x", code=1)
    assert "has no node" in bare.a.svctool(
        "store", "add", "x", "--node", "z", "--path", "/x", code=1)


def test_stores(bare):
    path = bare.store("fast", "a", "--group", "ssd", "--weight", "300",
                      "--max-users", "5")
    assert path.is_dir()
    assert str(path) in (bare.a.home / "control/homeroots").read_text()
    assert "fast' already" in bare.a.svctool(
        "store", "add", "fast", "--path", path, code=1)
    bare.a.svctool("store", "set", "fast", "--weight", "7", "--close")
    bare.a.svctool("store", "group", "ssd", "--takeover")
    store, = [s for s in json.loads(bare.b.svctool("store", "list", "--json"))
              if s["store"] == "fast"]
    assert (store["weight"], store["max_users"], store["is_accepting"],
            store["group"], store["has_takeover"]) == (7, 5, False, "ssd",
                                                       True)
    assert "closed, group ssd" in bare.b.svctool("store", "list")
    bare.a.svctool("store", "remove", "fast")
    assert "no store" in bare.a.svctool("store", "remove", "fast", code=1)
    assert path.is_dir()


def test_a_domain_of_all_nodes(cluster):
    """No file of a node names it, and each has its folder."""
    for node in (cluster.a, cluster.b):
        assert "c.test" in node.run("vdominfo", "-n")
        info, = json.loads(node.run("vdominfo", "--json", "c.test"))
        assert info["is_clustered"] and info["users"] == 1
        assert info["stores"] == [{"store": "a", "node": "a", "users": 1}]
        assert (node.home / "domains/c.test/.qmail-default").exists()
        for name in ("users/assign", "control/virtualdomains",
                     "control/rcpthosts"):
            path = node.home / name
            assert not path.exists() or "c.test" not in path.read_text()
    refused = cluster.b.run("vadddomain", "--cluster", "-n", "c.test",
                            code=100)
    assert "exists already" in refused
    assert "of the cluster" in cluster.b.run("vadddomain", "-n", "c.test",
                                             code=100)
    cluster.b.run("vaddaliasdomain", "alias.test", "c.test")
    assert "alias.test" in cluster.a.run("vdominfo", "c.test")
    cluster.a.run("vadduser", "-n", "--store", "a", "al@alias.test")
    assert cluster.b.user("al@c.test")["store"] == "a"
    assert "keep their names" in cluster.a.run(
        "vrenamedomain", "c.test", "d.test", code=100)
    # What belongs to it is in the database: each node shows and changes it.
    cluster.b.run("valias", "-i", "&al@c.test", "info@c.test")
    assert "al@c.test" in cluster.a.run("valias", "-s", "info@c.test")
    cluster.a.run("vlimit", "-P", "1", "c.test")
    assert "maxpopaccounts" in cluster.b.run("vadduser", "-n", "--store", "b",
                                     "too@c.test", code=100)


def test_a_domain_of_one_node_stays_so(bare):
    bare.a.run("vadddomain", "-n", "own.test")
    assert "one node alone" in bare.b.run("vadddomain", "--cluster", "-n",
                                          "own.test", code=100)
    assert "this node alone" in bare.a.run("vadddomain", "--cluster", "-n",
                                           "own.test", code=100)
    assert "for domains of the cluster" in bare.a.run(
        "vadduser", "-n", "--store", "a", "x@own.test", code=100)
    bare.a.run("vadduser", "-n", "x@own.test")
    assert "store" not in bare.a.user("x@own.test")
    assert bare.sql("SELECT store_id FROM mq.users WHERE name = 'x'") == [[""]]


def test_placement_by_weight(cluster):
    for name, weight in (("s1", 300), ("s2", 100)):
        cluster.store(name, "a", "--weight", weight)
    for name in ("a", "b"):
        cluster.a.svctool("store", "set", name, "--weight", "0")
    names = "".join(f"u{i}@c.test\n" for i in range(40))
    cluster.a.run("vadduser", "-i", "-n", input=names)
    assert cluster.sql(
        "SELECT s.name, count(*) FROM mq.users u JOIN mq.stores s "
        "ON s.id = u.store_id WHERE u.name <> 'postmaster' GROUP BY 1 "
        "ORDER BY 1") == [["s1", "30"], ["s2", "10"]]
    for i in range(40):
        user = cluster.a.user(f"u{i}@c.test")
        assert user["dir"].startswith(
            str(cluster.folder / f"store-{user['store']}/c.test/"))
        assert (Path(user["dir"]) / "Maildir/new").is_dir()
    # One that is given to a store by name gets there, weight or not.
    cluster.a.run("vadduser", "-n", "--store", "a", "named@c.test")
    assert cluster.a.user("named@c.test")["node"] == "a"


def test_full_and_closed_stores(cluster):
    path = cluster.store("s1", "a", "--max-users", "2")
    for name in ("a", "b"):
        cluster.a.svctool("store", "set", name, "--close")
    cluster.a.run("vadduser", "-n", "one@c.test")
    refused = cluster.a.run("vadduser", "-i", "-n", code=100,
                            input="two@c.test\nthree@c.test\n")
    assert "1 of 2 users have room" in refused
    cluster.a.run("vadduser", "-n", "two@c.test")
    assert "no store takes users" in cluster.a.run(
        "vadduser", "-n", "three@c.test", code=100)
    assert "it is full" in cluster.a.run(
        "vadduser", "-n", "--store", "s1", "three@c.test", code=100)
    assert sorted(p.name for p in (path / "c.test").iterdir()) == [
        "one", "two"]
    # Bytes, as they were counted last.
    cluster.a.svctool("store", "set", "s1", "--max-users", "0",
                      "--max-bytes", "1000")
    cluster.sql("INSERT INTO mq.usage (user_id, bytes) SELECT id, 1000 FROM "
                "mq.users WHERE name = 'one'")
    cluster.a.run("vadduser", "-n", "three@c.test", code=100)
    cluster.a.svctool("store", "set", "s1", "--max-bytes", "1001")
    cluster.a.run("vadduser", "-n", "three@c.test")
    assert "has 3 users" in cluster.a.svctool("store", "remove", "s1", code=1)


def test_on_a_node(cluster):
    """By name or host; the home is made by the node that serves it."""
    assert "not yet" not in cluster.b.run("vadduser", "-n", "-H", "127.0.0.2",
                                          "xi@c.test")
    assert cluster.a.user("xi@c.test")["node"] == "b"
    said = cluster.a.run("vadduser", "-n", "-H", "b", "yo@c.test", code=111)
    assert "is added, but has no home yet" in said
    assert "has not done it yet" in said
    home = cluster.b.home / "domains/c.test/yo"
    assert not home.exists()
    assert cluster.a.tasks()["done"] == 0
    assert cluster.b.tasks() == {"done": 1, "failed": 0, "retried": 0}
    assert sorted(p.name for p in home.iterdir()) == ["Maildir"]
    assert cluster.b.tasks()["done"] == 0
    # A list, not waited for: one task of the store.
    cluster.a.run("vadduser", "-i", "-n", "--store", "b", "--no-wait",
                  input="".join(f"l{i}@c.test\n" for i in range(5)))
    assert cluster.states() == ["make done", "make waiting"]
    cluster.b.tasks()
    assert all((cluster.b.home / f"domains/c.test/l{i}/Maildir/tmp").is_dir()
               for i in range(5))
    assert "no store of node 'z'" in cluster.a.run(
        "vadduser", "-n", "-H", "z", "zoe@c.test", code=100)


def test_a_node_that_is_away(cluster):
    cluster.dead("b")
    said = cluster.a.run("vadduser", "-n", "--store", "b", "yo@c.test",
                         code=111)
    assert "node 'b', which is away: it is done when the node is back" in said
    # Nobody is given to it who is not asked to be there.
    cluster.a.run("vadduser", "-i", "-n",
                  input="".join(f"u{i}@c.test\n" for i in range(4)))
    assert cluster.sql("SELECT count(*) FROM mq.users u JOIN mq.stores s "
                       "ON s.id = u.store_id WHERE s.name = 'b'") == [["1"]]
    assert "(away)" in cluster.a.run("vuserinfo", "yo@c.test")
    # A node whose lease is over does nothing in its store.
    assert cluster.b.tasks()["done"] == 0
    cluster.alive("b")
    cluster.sql("UPDATE mq.stores SET lease_until = now() + '1 h'")
    assert cluster.b.tasks()["done"] == 1
    assert (cluster.b.home / "domains/c.test/yo/Maildir/new").is_dir()


def test_users_elsewhere_change_and_go(cluster):
    node = cluster.b
    node.run("vadduser", "-n", "--store", "b", "yo@c.test")
    home = node.home / "domains/c.test/yo"
    (home / "Maildir/new/1.mail").write_text("kept\n")
    (home / "Maildir/maildirsize").write_text("1S\n")
    cluster.a.run("vsetuserquota", "yo@c.test", "1000S", code=111)
    node.tasks()
    assert not (home / "Maildir/maildirsize").exists()
    assert "of node 'b': run this there" in cluster.a.run(
        "vrenameuser", "yo@c.test", "zoe@c.test", code=100)
    said = cluster.a.run("vdeluser", "--yes", "yo@c.test", code=111)
    assert "is removed, but not yet the mail" in said
    assert (home / "Maildir/new/1.mail").exists()
    # Whoever gets the name gets neither the old mail nor loses his own.
    said = cluster.a.run("vadduser", "-n", "--store", "b", "yo@c.test",
                         code=111)
    assert "waits to be removed" in said
    node.tasks()
    assert not home.exists()
    cluster.a.run("vadduser", "-n", "--store", "b", "--no-wait", "yo@c.test")
    node.tasks()
    assert list((home / "Maildir/new").iterdir()) == []


def test_a_task_twice(cluster):
    """Killed behind its work, before the row says so."""
    cluster.a.run("vadduser", "-n", "--store", "b", "--no-wait", "yo@c.test")
    home = cluster.b.home / "domains/c.test/yo"
    task, = cluster.sql("SELECT id FROM mq.tasks")[0]
    cluster.b.tasks()
    # As it was when the work was done and mail came.
    (home / ".made-by").write_text(task)
    (home / "Maildir/new/1.mail").write_text("first\n")
    cluster.sql("UPDATE mq.tasks SET state = 'running', claimed_by = 'b', "
                "claimed_epoch = 0, ended = NULL")
    assert cluster.b.tasks()["done"] == 1
    assert (home / "Maildir/new/1.mail").exists()
    # Another's task in the same folder is refused: files of someone else.
    cluster.sql("UPDATE mq.tasks SET state = 'waiting', not_before = now()")
    assert cluster.b.tasks()["failed"] == 1
    assert "files of an earlier user" in cluster.sql(
        "SELECT result FROM mq.tasks")[0][0]


def test_a_task_is_tried_again(cluster):
    path = cluster.store("s1", "b")
    cluster.a.run("vadduser", "-n", "--store", "s1", "--no-wait", "yo@c.test")
    shutil.move(path, f"{path}.away")
    assert cluster.b.tasks()["retried"] == 1
    assert cluster.sql("SELECT state, attempts, not_before > now(), "
                       "result ~ 'cannot find' FROM mq.tasks") == [
        ["waiting", "1", "t", "t"]]
    assert cluster.b.tasks()["retried"] == 0
    shutil.move(f"{path}.away", path)
    cluster.sql("UPDATE mq.tasks SET not_before = now()")
    assert cluster.b.tasks()["done"] == 1


def test_nothing_but_the_stores(cluster):
    """A row that names another folder, whoever wrote it."""
    victim = cluster.folder / "victim"
    victim.mkdir()
    for path in (victim, f"{cluster.b.home}/domains/x/../../control",
                 f"{cluster.b.home}/domains"):
        cluster.sql("INSERT INTO mq.tasks (kind, store_id, args) SELECT "
                    "'remove', id, jsonb_build_object('dirs', "
                    f"ARRAY['{path}']) FROM mq.stores WHERE name = 'b'")
    assert cluster.b.tasks() == {"done": 0, "failed": 3, "retried": 0}
    assert victim.is_dir() and (cluster.b.home / "control/me").exists()


def test_the_service_of_tasks(cluster):
    """Commands wait for what the other node does, and it does it at once."""
    service = subprocess.Popen([BIN / "cluster-task"], env=cluster.b.env,
                               stderr=subprocess.PIPE, text=True)
    cluster.a.env["MQMAIL_TEST_TIMES"] = "TASK_WAIT_MS=60000"
    try:
        assert "status: ready" in service.stderr.readline()
        cluster.a.run("vadduser", "-n", "--store", "b", "yo@c.test")
        home = cluster.b.home / "domains/c.test/yo"
        assert (home / "Maildir/new").is_dir()
        fill(home, 3)
        before = tree(home)
        cluster.a.run("vmoveuser", "yo@c.test", "a")
        assert tree(cluster.a.home / "domains/c.test/yo") == before
        cluster.a.run("vmoveuser", "yo@c.test", "b")
        cluster.a.run("vdeluser", "--yes", "yo@c.test")
        assert not home.exists()
        # It outlives the database.
        cluster.postgres.stop()
        assert any("warning" in service.stderr.readline() for _ in range(9))
        cluster.postgres.start()
        cluster.a.run("vadduser", "-n", "--store", "b", "ya@c.test")
    finally:
        service.kill()
        service.wait()
    refused = subprocess.run(
        [BIN / "cluster-task"], capture_output=True, text=True, timeout=60,
        env={**cluster.b.env, "MQMAIL_HOME": str(cluster.folder)})
    assert refused.returncode == 111


def test_vdeldomain(cluster):
    for node in (cluster.a, cluster.b):
        node.run("vadduser", "-n", "--store", node.name,
                 f"u{node.name}@c.test")
    said = cluster.a.run("vdeldomain", "--yes", "c.test", code=111)
    assert "is removed, but not yet all its mail" in said
    assert not (cluster.a.home / "domains/c.test").exists()
    assert (cluster.b.home / "domains/c.test/ub").exists()
    assert "no virtual domain" in cluster.b.run("vuserinfo", "-D", "c.test",
                                                code=100)
    cluster.b.tasks()
    assert not (cluster.b.home / "domains/c.test").exists()
    assert cluster.sql("SELECT users FROM mq.store_users") == [["0"], ["0"]]
    assert not [s for s in cluster.states() if not s.endswith("done")]
    cluster.b.run("vadddomain", "--cluster", "-n", "-H", "b", "c.test")


def test_takeover(cluster):
    path = cluster.store("shared", "b", "--group", "nfs")
    cluster.sql("UPDATE mq.stores SET lease_until = now() + '10 s', "
                "epoch = 4 WHERE name = 'shared'")
    cluster.b.run("vadduser", "-n", "--store", "shared", "yo@c.test")
    cluster.a.run("vadduser", "-n", "--store", "shared", "--no-wait",
                  "zoe@c.test")
    assert "its lease lives" in cluster.a.svctool(
        "takeover", "shared", "--to", "a", code=111)
    cluster.dead("b")
    assert "has no node" in cluster.a.svctool("takeover", "shared", "--to",
                                              "x", code=1)
    cluster.a.svctool("takeover", "shared", "--to", "a")
    assert cluster.sql("SELECT node, epoch FROM mq.stores "
                       "WHERE name = 'shared'") == [["a", "5"]]
    assert str(path) in (cluster.a.home / "control/homeroots").read_text()
    assert cluster.a.tasks()["done"] == 1
    assert (path / "c.test/zoe/Maildir").is_dir()
    assert cluster.a.user("yo@c.test")["node"] == "a"
    assert "serves store 'shared' already" in cluster.a.svctool(
        "takeover", "shared", "--to", "a", code=1)
    assert "no store" in cluster.a.svctool("takeover", "x", "--to", "a",
                                           code=1)


def test_under_the_reference_s_names(cluster):
    """hostcntrl, vhostid, vsmtp, dbinfo: the same rows, as others know them."""
    node = cluster.a
    node.run("vadduser", "-n", "--store", "a", "al@c.test")
    lines = [line.split() for line in node.run("hostcntrl", "-l").splitlines()]
    assert lines[0] == ["User", "Domain", "Host", "Timestamp"]
    assert [line[:3] for line in lines[1:]] == [
        ["al", "c.test", "a"], ["postmaster", "c.test", "a"]]
    assert "no such user" in node.run("hostcntrl", "-s", "no@c.test",
                                      code=100)
    assert "vmoveuser moves" in node.run("hostcntrl", "-m", "b", "al@c.test",
                                         code=100)
    node.run("vhostid", "-i", "192.0.2.9", "old")
    assert "already" in node.run("vhostid", "-i", "192.0.2.9", "old", code=100)
    node.run("hostcntrl", "-i", "192.0.2.9", "*@c.test")
    assert cluster.sql("SELECT default_place FROM mq.domains") == [["old"]]
    assert node.run("hostcntrl", "-s", "*@c.test").splitlines()[1].split()[
        :3] == ["*", "c.test", "old"]
    assert "mail goes to" in node.run("vhostid", "-d", "old", code=100)
    node.run("hostcntrl", "-d", "old", "*@c.test")
    node.run("vhostid", "-u", "192.0.2.8", "old")
    assert node.run("vhostid", "-s", "old").splitlines()[1].split() == [
        "old", "192.0.2.8", "legacy"]
    node.run("vsmtp", "-u", "26", "old")
    assert ["old", "*", "c.test", "26"] in [
        line.split() for line in node.run("vsmtp", "-s").splitlines()]
    node.run("vhostid", "-d", "old")
    assert "cannot be changed" not in node.run("vhostid", "-s")
    assert node.run("vhostid", "-d", "b", code=100)
    blocks = node.run("dbinfo", "-s", "-d", "c.test").split("\n\n")
    assert len(blocks) == 2 and blocks[0].startswith("domain   c.test 1\n")
    assert "mdahost  127.0.0.1\n" in blocks[0]
    assert node.run("dbinfo", "-l").split()[:2] == ["Domain", "Server"]


def test_an_mcd_file(cluster):
    path = cluster.folder / "mcdinfo"
    path.write_text(
        "# central\ndomain c.test 1\nserver 192.0.2.1\nmdahost 127.0.0.1\n"
        "port 3306\nuse_ssl 0\ndatabase indimail\nuser indimail\n"
        "pass secret\n\ndomain\told.test\t1\nserver 192.0.2.5\n"
        "mdahost 192.0.2.5\npass secret\n\ndomain local.test 0\n"
        "mdahost 192.0.2.6\n")
    said = cluster.a.run("dbinfo", "--import", path)
    assert said == ("legacy server 192.0.2.5: missing\n"
                    "domain old.test: no clustered domain yet: vadddomain "
                    "--cluster old.test, then vconvert --from indimail\n")
    assert "192.0.2.5: added" in cluster.a.run("dbinfo", "--import", path,
                                               "--repair")
    assert "legacy" not in cluster.a.run("dbinfo", "--import", path)
    assert cluster.sql("SELECT role FROM mq.nodes WHERE host = '192.0.2.5'"
                       ) == [["legacy"]]
    assert cluster.sql("SELECT count(*) FROM mq.nodes "
                       "WHERE host = '192.0.2.6'") == [["0"]]


def test_hostsync(cluster):
    for name in ("al", "bo"):
        cluster.a.run("vadduser", "-n", "--store", "a", f"{name}@c.test")
    cluster.a.run("vadduser", "-n", "--store", "b", "--no-wait", "cy@c.test")
    assert cluster.a.run("hostsync") == "0 differences\n"
    folder = cluster.a.home / "domains/c.test"
    shutil.rmtree(folder / "al")
    (folder / "lost/Maildir/new").mkdir(parents=True)
    (folder / "lost/Maildir/new/1.mail").write_text("kept\n")
    said = cluster.a.run("hostsync")
    assert f"al@c.test: no home '{folder}/al'\n" in said
    assert f"'{folder}/lost': no user's\n" in said
    assert said.endswith("2 differences\n") and not (folder / "al").exists()
    cluster.a.run("hostsync", "--repair", "-d", "c.test")
    assert (folder / "al/Maildir/tmp").is_dir()
    assert "adopted" in cluster.a.run("hostsync", "--adopt")
    assert cluster.b.user("lost@c.test")["store"] == "a"
    assert cluster.a.run("hostsync") == "0 differences\n"
    # A home that is to be made, or removed, is no difference.
    assert cluster.b.run("hostsync") == "0 differences\n"


# -- moves

def fill(home, count=20):
    """A mailbox with what must stay as it is."""
    maildir = Path(home) / "Maildir"
    sub = maildir / ".Sent"
    for part in ("tmp", "new", "cur"):
        (sub / part).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (maildir / f"cur/c{i}.host:2,S").write_text(f"read {i}\n")
        (maildir / f"new/n{i}.host").write_text(f"new {i}\n")
        (sub / f"cur/s{i}.host:2,S").write_text(f"sent {i}\n")
    (maildir / "dovecot-uidlist").write_text("3 V1234567 N99 G0123\n1 :c0\n")
    (maildir / "maildirsize").write_text("1000S\n60 60\n")
    (Path(home) / ".vfilter").write_text("x\n")


def tree(home):
    return {str(p.relative_to(home)): (p.read_bytes(), p.stat().st_mtime_ns)
            for p in Path(home).rglob("*") if p.is_file()}


@pytest.fixture
def mover(cluster):
    """A user with mail, and where she shall go."""
    cluster.path = cluster.store("s2", "b")
    cluster.a.run("vadduser", "-n", "--store", "a", "al@c.test")
    cluster.al = cluster.a.home / "domains/c.test/al"
    cluster.to = cluster.path / "c.test/al"
    fill(cluster.al)
    return cluster


def is_clean(cluster, folder):
    """Nothing of a move is left in a domain's folder."""
    return not [p.name for p in Path(folder).iterdir()
                if p.name.startswith(".mov")]


def test_a_move(mover):
    before = tree(mover.al)
    done = json.loads(mover.a.run("vmoveuser", "--json", "al@c.test", "s2"))
    assert done["moved"] == 1 and done["is_done"]
    assert tree(mover.to) == before
    assert not mover.al.exists()
    user = mover.a.user("al@c.test")
    assert (user["store"], user["node"], user["dir"]) == (
        "s2", "b", str(mover.to))
    assert mover.sql("SELECT place_epoch, is_moving FROM mq.users "
                     "WHERE name = 'al'") == [["1", "f"]]
    assert mover.sql("SELECT count(*) FROM mq.moves") == [["0"]]
    assert is_clean(mover, mover.to.parent)
    assert is_clean(mover, mover.al.parent)
    # Again it is there; and back, which is the other node's to do.
    mover.a.run("vmoveuser", "al@c.test", "s2")
    assert "nothing to resume" in mover.a.run(
        "vmoveuser", "--resume", "al@c.test", "s2", code=100)
    said = mover.a.run("vmoveuser", "al@c.test", "a", code=111)
    assert "node 'b', which has not done it yet" in said
    assert mover.b.tasks()["done"] == 1
    assert tree(mover.al) == before


def test_what_cannot_be_moved(mover):
    assert "no store 'x'" in mover.a.run("vmoveuser", "al@c.test", "x",
                                         code=100)
    assert "no user" in mover.a.run("vmoveuser", "no@c.test", "s2", code=100)
    mover.to.mkdir(parents=True)
    assert "is there already" in mover.a.run("vmoveuser", "al@c.test", "s2",
                                             code=100)
    mover.to.rmdir()
    mover.dead("b")
    assert "is away" in mover.a.run("vmoveuser", "al@c.test", "s2", code=100)
    mover.alive("b")
    mover.path.rename(f"{mover.path}.x")
    said = mover.a.run("vmoveuser", "al@c.test", "s2", code=100)
    assert "cannot be reached on this node" in said
    assert mover.sql("SELECT count(*) FROM mq.moves") == [["0"]]
    assert mover.al.is_dir()


@pytest.mark.parametrize("call,when", [
    ("mkdir,mkdirat", 2), ("rename,renameat,renameat2", 1),
    ("rename,renameat,renameat2", 30), ("rename,renameat,renameat2", 63),
    ("rename,renameat,renameat2", 64), ("rename,renameat,renameat2", 70),
    ("rename,renameat,renameat2", 84), ("rename,renameat,renameat2", 85),
    ("rename,renameat,renameat2", 87), ("rename,renameat,renameat2", 88),
    ("rmdir", 1), ("rmdir", 2), ("rmdir", 4), ("syncfs", 1),
    ("unlink,unlinkat", 30), ("unlink,unlinkat", 80),
    ("unlink,unlinkat", 140)])
def test_a_move_that_is_killed(mover, call, when):
    """At any step; the same again, or another node's task, ends it."""
    before = tree(mover.al)
    killed = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
         f"inject={call}:signal=KILL:when={when}", BIN / "vmoveuser",
         "al@c.test", "s2"], env=mover.a.env, capture_output=True,
        timeout=60 * SLOW)
    states = mover.sql("SELECT state FROM mq.moves")
    if states:
        assert killed.returncode != 0
        assert "on the way to store 's2'" in mover.a.run(
            "vdeluser", "--yes", "al@c.test", code=100)
        mover.a.run("vmoveuser", "--resume", "al@c.test", "s2")
    else:
        mover.a.run("vmoveuser", "al@c.test", "s2")
    assert tree(mover.to) == before
    assert not mover.al.exists()
    assert mover.sql("SELECT count(*) FROM mq.moves") == [["0"]]
    assert is_clean(mover, mover.to.parent)
    assert is_clean(mover, mover.al.parent)


class Deliveries(threading.Thread):
    """As a worker delivers: Maildirs kept open, the place looked up before."""

    def __init__(self, cluster, count):
        super().__init__()
        self.cluster, self.count = cluster, count
        self.done, self.deferred, self.errors = [], 0, []

    def place(self):
        row, = self.cluster.sql("SELECT dir, is_moving FROM mq.users "
                                "WHERE name = 'al'")
        return row[0], row[1] == "t"

    def deliver(self, number):
        """True when it is reported as delivered."""
        home, is_moving = self.place()
        if is_moving:
            return False
        try:
            maildir = os.open(f"{home}/Maildir", os.O_DIRECTORY)
        except FileNotFoundError:
            return False
        fds = [maildir]
        try:
            for part in ("tmp", "new"):
                fds.append(os.open(part, os.O_DIRECTORY, dir_fd=maildir))
            name = f"d{number}.host"
            with open(os.open(name, os.O_WRONLY | os.O_CREAT,
                              dir_fd=fds[1]), "w", encoding="ascii") as file:
                file.write(f"delivered {number}\n")
            time.sleep(0.01 * (number % 4))
            os.rename(name, name, src_dir_fd=fds[1], dst_dir_fd=fds[2])
            return True
        except FileNotFoundError:
            return False
        finally:
            for fd in fds:
                os.close(fd)

    def run(self):
        try:
            for number in range(self.count):
                until = time.monotonic() + 30 * SLOW
                while not self.deliver(number):
                    self.deferred += 1
                    assert time.monotonic() < until
                self.done.append(number)
        except Exception as error:  # told by the test
            self.errors.append(error)


def test_a_move_while_mail_arrives(mover):
    """Nothing is lost, nothing is there twice."""
    threads = [Deliveries(mover, 0) for _ in range(3)]
    for i, thread in enumerate(threads):
        thread.count = 60
        thread.deliver = (lambda number, t=thread, base=1000 * i:
                          Deliveries.deliver(t, base + number))
    for thread in threads:
        thread.start()
    wait_until(lambda: all(len(t.done) > 5 for t in threads), "deliveries")
    for to in ("s2", "a", "s2"):
        node = mover.a if to == "s2" else mover.b
        node.run("vmoveuser", "al@c.test", to)
    for thread in threads:
        thread.join()
        assert thread.errors == []
    names = [p.name for p in (mover.to / "Maildir/new").iterdir()
             if p.name.startswith("d")]
    assert sorted(names) == sorted(
        f"d{1000 * i + n}.host" for i in range(3) for n in range(60))
    assert list((mover.to / "Maildir/tmp").iterdir()) == []
    assert is_clean(mover, mover.al.parent)


def test_a_store_is_emptied(mover):
    mover.a.run("vadduser", "-i", "-n", "--store", "a",
                input="".join(f"m{i}@c.test\n" for i in range(20)))
    done = json.loads(mover.a.run("vmoveuser", "--json", "--from", "a",
                                  "--all", "s2"))
    assert (done["moved"], done["failed"]) == (22, 0)
    assert mover.sql("SELECT users FROM mq.store_users c JOIN mq.stores s "
                     "ON s.id = c.store_id WHERE s.name = 'a'") == [["0"]]
    assert len([p for p in (mover.path / "c.test").iterdir()]) == 22
    # A store that others think to be theirs is not moved from.
    mover.sql("UPDATE mq.stores SET epoch = epoch + 1 WHERE name = 's2'")
    mover.b.run("vmoveuser", "m1@c.test", "b")


def test_an_older_epoch_is_refused(mover):
    """Another node has taken the store while this one was paused."""
    process = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
         "inject=syncfs:signal=STOP:when=1", BIN / "vmoveuser", "al@c.test",
         "s2"], env=mover.a.env, stderr=subprocess.PIPE, text=True,
        start_new_session=True)
    wait_until(lambda: mover.sql("SELECT state FROM mq.moves") == [["held"]],
               "mail is held")
    mover.sql("UPDATE mq.stores SET epoch = epoch + 1 WHERE name = 'a'")

    def go_on():
        os.killpg(process.pid, signal.SIGCONT)
        return process.poll() is not None
    wait_until(go_on, "the end")
    assert process.returncode == 111
    assert "has another epoch" in process.stderr.read()
    assert mover.sql("SELECT store_id = (SELECT id FROM mq.stores WHERE "
                     "name = 'a') FROM mq.users WHERE name = 'al'") == [["t"]]
    mover.a.run("vmoveuser", "--resume", "al@c.test", "s2")
    assert (mover.to / "Maildir/new/n1.host").exists()
