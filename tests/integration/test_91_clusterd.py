# SPDX-License-Identifier: ISC
"""clusterd: leases, the files of run/cluster, the bus, and what it answers.

The daemons alone, of several nodes of one host with one database.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
import zmq

import ports
import postgres as server
from node import BIN, wait_until
from test_90_cluster_nodes import Bare, Cluster

pytestmark = pytest.mark.skipif(server.programs() is None,
                                reason="no PostgreSQL server on this host")

LEASE_S = 15


def read_cdb(path):
    """The records of a cdb file."""
    data = path.read_bytes()
    end = int.from_bytes(data[0:4], "little")
    for i in range(256):
        table = int.from_bytes(data[i * 8:i * 8 + 4], "little")
        end = min(end, table)
    records, at = {}, 2048
    while at < end:
        key, value = (int.from_bytes(data[at + i:at + i + 4], "little")
                      for i in (0, 4))
        at += 8
        records[data[at:at + key].decode()] = \
            data[at + key:at + key + value].decode().split("\0")
        at += key + value
    return records


class Daemon:
    """clusterd of a node."""

    def __init__(self, node):
        self.node, self.home, self.process = node, node.home, None
        self.log = node.home / "clusterd.log"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BIN / "clusterd"], stdout=log, stderr=log,
                start_new_session=True,
                env={**os.environ, "MQMAIL_HOME": str(self.home),
                     "MQMAIL_USER": "root"} if os.getuid() == 0 else
                {**os.environ, "MQMAIL_HOME": str(self.home)})
        wait_until(lambda: b"status: ready" in self.log.read_bytes(),
                   self.words)
        return self

    def words(self):
        return self.log.read_text()

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def ask(self, request='{"ask": "status"}'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(20)
            client.connect(str(self.home / "run/clusterd"))
            client.send(request.encode())
            status = json.loads(client.recv(65536))
            if "nodes" in status:
                status["nodes"] = {
                    node["name"]: node for node in
                    (json.loads(client.recv(65536))
                     for _ in range(status["nodes"]))}
            return status

    def node_of(self, name):
        return self.ask()["nodes"].get(name, {})

    def nodes(self):
        return read_cdb(self.home / "run/cluster/nodes.cdb")

    def domains(self):
        return read_cdb(self.home / "run/cluster/domains.cdb")

    def sees(self, name):
        """As programs of the node do."""
        path = self.home / "run/cluster/nodes.cdb"
        return path.exists() and self.nodes().get(name, ["0"])[-1] == "1"

    def leases(self):
        """The epoch of the node, and those of stores, that are held now."""
        path = self.home / "run/cluster/leases"
        if not path.exists():
            return {}
        now = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
        held = {}
        for line in path.read_text().splitlines():
            words = line.split(" ")
            if words[0] == "node" and "node" not in held:
                words = words[1:]
                words[0] = "node"
            if int(words[2]) > now:
                held[words[0]] = int(words[1])
        return held


class Running(Cluster):
    """A cluster whose nodes' daemons can run."""

    def __init__(self, postgres, folder):
        super().__init__(postgres, folder)
        self.daemons = []

    def begin(self):
        self.first.cluster("init", "--no-store", "--host", "127.0.0.1",
                           "--bus", f"127.0.0.1:{ports.take(1)}")
        return self.daemon(self.first)

    def daemon(self, node):
        daemon = Daemon(node)
        self.daemons.append(daemon)
        return daemon

    def add(self, name):
        node = self.bare(f"{name}.example.test")
        self.join(node, "--no-store", "--host", "127.0.0.1", "--bus",
                  f"127.0.0.1:{ports.take(1)}")
        return self.daemon(node)

    def end(self):
        for daemon in self.daemons:
            daemon.stop(signal.SIGKILL)


@pytest.fixture
def cluster(postgres, memory_path):
    cluster = Running(postgres, memory_path)
    try:
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def pair(cluster):
    """Two nodes that see each other."""
    first, second = cluster.begin(), cluster.add("mail2")
    first.start()
    second.start()
    wait_until(lambda: first.sees("mail2") and second.sees("mail1"),
               lambda: first.words() + second.words())
    for one, other in ((first, "mail2"), (second, "mail1")):
        wait_until(lambda: one.node_of(other)["received"] > 1,
                   lambda: one.words())
    return cluster, first, second


def test_two_nodes_see_each_other(pair):
    cluster, first, second = pair
    row = cluster.row("mail2")
    assert first.nodes()[""] == ["mail1"]
    assert first.nodes()["mail2"] == [
        "127.0.0.1", str(row["smtp_port"]), ",".join(row["tls_pins"]), "all",
        "0", "0", "1"]
    assert first.nodes()["mail1"][-1] == "1"
    assert first.leases() == {"node": 1}
    status = first.ask()
    assert status["lease"] == "held"
    assert status["database"]["state"] == "up"
    assert abs(status["database"]["clock_ahead_ms"]) < 2000
    heard = status["nodes"]["mail2"]
    assert heard["is_alive"] and heard["heard_ms_ago"] < 4000
    assert heard["health"]["free_bytes"] > 0
    assert heard["health"]["database"] == "up"
    assert set(status["bus"]["dropped"].values()) == {0}
    # A clean end is seen, too; and its successor does not wait.
    begun = time.monotonic()
    assert second.stop() == 0
    wait_until(lambda: not first.sees("mail2"), first.words)
    assert time.monotonic() - begun < 6
    assert second.leases() == {}
    second.start()
    wait_until(lambda: second.leases() == {"node": 2}, second.words)
    wait_until(lambda: first.sees("mail2"), first.words)


def test_domains_and_stores_are_followed(pair):
    cluster, first, second = pair
    cluster.sql("INSERT INTO mq.domains (name, is_clustered) VALUES "
                "('a.test', true), ('own.test', false); "
                "INSERT INTO mq.domain_aliases SELECT 'alias.test', id FROM "
                "mq.domains WHERE name = 'a.test'; "
                "INSERT INTO mq.stores (name, node, path) VALUES "
                "('s1', 'mail1', ''), ('s2', 'mail2', '/srv/mail s2')"
                .replace("mail s2", "s2"))
    begun = time.monotonic()
    value = ["a.test", f"{first.home}/domains/a.test", str(os.getuid()),
             str(os.getgid()), ""]
    wait_until(lambda: first.domains() ==
               {"a.test": value, "alias.test": value}, first.words)
    wait_until(lambda: first.leases().get("s1") == 1, first.words)
    wait_until(lambda: second.leases().get("s2") == 1, second.words)
    assert time.monotonic() - begun < 2
    assert "s2" not in first.leases()
    assert f" {first.home}/domains\n" in (
        first.home / "run/cluster/leases").read_text()
    # Given to the other: it takes the store once the lease has ended.
    cluster.sql("UPDATE mq.stores SET node = 'mail2', lease_until = now() "
                "WHERE name = 's1'")
    wait_until(lambda: "s1" not in first.leases(), first.words)
    wait_until(lambda: second.leases().get("s1") == 2, second.words)
    # Killed: what it held is its successor's at once, under other epochs.
    second.stop(signal.SIGKILL)
    begun = time.monotonic()
    second.start()
    wait_until(lambda: second.leases() == {"node": 2, "s1": 3, "s2": 2},
               second.words)
    assert time.monotonic() - begun < 5


def test_one_that_dies_is_away_within_five_seconds(pair):
    _, first, second = pair
    begun = time.monotonic()
    second.stop(signal.SIGKILL)
    wait_until(lambda: not first.sees("mail2"), first.words)
    assert time.monotonic() - begun < 5.5
    assert not first.node_of("mail2")["is_alive"]
    assert "node mail2 is away" in first.words()
    done = first.node.cluster("status", code=1)
    assert "worst: node mail2 is away" in done.stdout
    assert "next: on node mail2: svctool status" in done.stdout


def test_one_that_is_paused_for_longer_than_its_lease(pair):
    cluster, first, second = pair
    cluster.sql("INSERT INTO mq.stores (name, node) VALUES ('s2', 'mail2')")
    wait_until(lambda: second.leases().get("s2") == 1, second.words)
    second.send(signal.SIGSTOP)
    begun = time.monotonic()
    wait_until(lambda: not first.sees("mail2"), first.words)
    assert time.monotonic() - begun < 5.5
    # By the file it has ended, though nobody could write it.
    wait_until(lambda: second.leases() == {}, second.words, LEASE_S + 5)
    wait_until(lambda: cluster.sql(
        "SELECT lease_until < now() FROM mq.nodes WHERE name = 'mail2'") ==
        [["t"]], "the lease's end", LEASE_S + 5)
    second.send(signal.SIGCONT)
    wait_until(lambda: second.leases() == {"node": 2, "s2": 2}, second.words)
    assert "passed its deadline" in second.words()
    assert "served under epoch 1 is over" in second.words()
    wait_until(lambda: first.sees("mail2"), first.words)


def test_a_name_that_is_taken(pair):
    """A copy of a node, as of a virtual machine that was cloned."""
    cluster, first, second = pair
    home = cluster.folder / "copy"
    shutil.copytree(second.home, home, ignore=shutil.ignore_patterns(
        "clusterd", "trigger", "leases", "*.log", "ok", "control"))
    shutil.copytree(second.home / "control", home / "control")
    (home / "control/clusterlisten").write_text(
        f"127.0.0.1:{ports.take(1)}\n")
    copy = Bare.__new__(Bare)
    copy.home, copy.control = home, home / "control"
    other = cluster.daemon(copy).start()
    wait_until(lambda: other.ask()["lease"] == "refused", other.words)
    assert "another process holds the lease of node 'mail2'" in \
        other.ask()["reason"]
    assert other.leases() == {}
    assert second.leases() == {"node": 1}
    assert "this node is refused" in copy.cluster("status", code=1).stdout
    # Two of one folder do not even begin.
    done = subprocess.run([BIN / "clusterd"], env={
        **os.environ, "MQMAIL_HOME": str(second.home)}, capture_output=True,
        text=True, timeout=30)
    assert done.returncode == 111 and "another clusterd runs" in done.stderr
    # When the first is dead, the other has the name once the lease ended.
    second.stop(signal.SIGKILL)
    wait_until(lambda: other.leases() == {"node": 2}, other.words,
               LEASE_S + 10)


def test_the_database_goes_and_comes(pair, postgres):
    cluster, first, second = pair
    cluster.sql("INSERT INTO mq.domains (name, is_clustered) VALUES "
                "('a.test', true); INSERT INTO mq.stores (name, node) "
                "VALUES ('s1', 'mail1')")
    wait_until(lambda: "a.test" in first.domains() and
               first.leases() == {"node": 1, "s1": 1}, first.words)
    postgres.stop()
    try:
        wait_until(lambda: first.ask()["database"]["state"] == "away",
                   first.words)
        assert "the database is away" in first.words()
        assert "worst: the database is away" in first.node.cluster(
            "status", code=1).stdout
        assert "a.test" in first.domains()
        wait_until(lambda: first.leases() == {}, first.words, LEASE_S + 5)
        assert first.ask()["lease"] == "waiting"
        # The nodes still hear each other, and who dies is away.
        assert first.sees("mail2")
        second.stop(signal.SIGKILL)
        wait_until(lambda: not first.sees("mail2"), first.words, 6)
    finally:
        postgres.start()
    wait_until(lambda: first.leases() == {"node": 2, "s1": 2}, first.words)
    wait_until(lambda: first.ask()["database"]["state"] == "up", first.words)
    cluster.sql("INSERT INTO mq.domains (name, is_clustered) VALUES "
                "('b.test', true)")
    wait_until(lambda: "b.test" in first.domains(), first.words)


def test_a_node_that_is_revoked(pair):
    _, first, second = pair
    first.node.cluster("revoke", "mail2")
    wait_until(lambda: not first.sees("mail2"), first.words, 5)
    assert first.nodes()["mail2"][2] == ""
    wait_until(lambda: second.ask()["lease"] == "refused", second.words)
    assert "is revoked" in second.ask()["reason"]
    assert second.leases() == {}
    # Nor does it hear anything from now on.
    wait_until(lambda: second.node_of("mail1")["heard_ms_ago"] > 3000,
               second.words)
    assert "a key that no node has" in first.words()


def test_keys_are_changed_without_a_gap(pair):
    cluster, first, second = pair
    times = []
    second.node.cluster("rotate-keys")
    second.send(signal.SIGHUP)
    wait_until(lambda: "keys were read again" in second.words(), second.words)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        times.append(first.node_of("mail2")["heard_ms_ago"])
        assert first.sees("mail2")
        time.sleep(0.2)
    assert max(times) < 4000
    heard = second.node_of("mail1")["received"]
    wait_until(lambda: second.node_of("mail1")["received"] > heard + 1,
               second.words)
    assert second.leases() == {"node": 1}


def test_what_svctool_shows(pair):
    cluster, first, second = pair
    wait_until(lambda: first.node_of("mail2").get("health"), first.words)
    done = first.node.cluster("status", code=None)
    lines = done.stdout.splitlines()
    assert len(lines) <= 10
    assert "node mail1 of a cluster of 2, of which 2 are here" in lines[0]
    assert lines[1].startswith("worst: ") and lines[2].startswith("next: ")
    assert lines[3].startswith("lease held, epoch 1, 0 stores, 0 domains")
    assert [line.split()[:4] for line in lines[4:]][0][:3] == [
        "*", "mail1", "all"]
    status = json.loads(first.node.cluster("status", "--json",
                                           code=None).stdout)
    assert [node["name"] for node in status["nodes"]] == ["mail1", "mail2"]
    with subprocess.Popen(
            [BIN / "svctool", "cluster", "status", "--watch", "--home",
             first.home], stdout=subprocess.PIPE, text=True) as process:
        seen = 0
        for line in process.stdout:
            seen += line.startswith(("fine", "TROUBLE"))
            if seen == 2:
                break
        process.terminate()
    assert "error" in first.ask("no json")
    assert "error" in first.ask('{"ask": "other"}')
    first.stop()
    done = first.node.cluster("status", code=1)
    assert "the service 'cluster' of this node is not up" in done.stderr


class Stranger:
    """Who speaks on the bus in the name of a node, with its keys."""

    def __init__(self, daemon, name):
        self.context = zmq.Context()
        secret, public = (daemon.home / "tls/cluster.key").read_bytes().split()
        self.socket = self.context.socket(zmq.PUB)
        self.socket.curve_secretkey, self.socket.curve_publickey = \
            secret, public
        self.socket.curve_server = True
        self.socket.linger = 0
        self.socket.bind("tcp://" + (
            daemon.node.control / "clusterlisten").read_text().strip())
        self.name, self.sequence = name, 0
        self.instance = uuid7()

    def message(self, **changes):
        self.sequence += 1
        return {"v": 1, "node": self.name, "instance": self.instance,
                "epoch": 0, "seq": self.sequence, "at": 1,
                "health": {"load": [1]}, **changes}

    def say(self, **changes):
        self.send(json.dumps(self.message(**changes)).encode())

    def send(self, *frames):
        self.socket.send_multipart(frames)

    def end(self):
        self.socket.close()
        self.context.term()


def uuid7(ahead_ms=60000):
    now = int(time.time() * 1000) + ahead_ms
    return f"{now >> 16:08x}-{now & 0xffff:04x}-7000-8000-{os.getpid():012x}"


def test_messages_that_count_for_nothing(pair):
    _, first, second = pair
    old = second.ask()
    second.stop()
    peer = Stranger(second, "mail2")
    try:
        def heard():
            peer.say()
            time.sleep(0.1)
            return first.node_of("mail2")["health"].get("load") == [1]

        wait_until(heard, first.words)

        def dropped(name):
            return first.ask()["bus"]["dropped"][name]

        last = peer.sequence
        for name, frames in (
                ("replayed", [json.dumps(peer.message(seq=last)).encode()]),
                ("old", [json.dumps(peer.message(
                    instance=old["instance"], seq=9999)).encode()]),
                ("other_node", [json.dumps(
                    peer.message(node="mail1")).encode()]),
                ("other_version", [json.dumps(peer.message(v=9)).encode()]),
                ("incomplete", [b"{\"v\":1}"]),
                ("not_json", [json.dumps(peer.message()).encode()[:-5]]),
                ("not_json", [b"{}", b"{}"]),
                ("too_large", [b" " * 70000])):
            before = first.ask()
            peer.send(*frames)
            wait_until(lambda: dropped(name) ==
                       before["bus"]["dropped"][name] + 1, name)
            now = first.node_of("mail2")
            assert now["received"] == before["nodes"]["mail2"]["received"]
        # So large that the connection ends; then it goes on.
        peer.send(b" " * 2000000)
        received = first.node_of("mail2")["received"]

        def goes_on():
            peer.say()
            time.sleep(0.1)
            return first.node_of("mail2")["received"] > received

        wait_until(goes_on, first.words)
        # A gap is counted, and all is known with the next.
        missed = first.node_of("mail2")["missed"]
        peer.sequence += 10
        peer.say(health={"load": [7]})
        wait_until(lambda: first.node_of("mail2")["health"] ==
                   {"load": [7]}, first.words)
        assert first.node_of("mail2")["missed"] >= missed + 10
        # A node of the next release is understood.
        peer.say(v=2, more=[1], health={"load": [8], "more": 1})
        wait_until(lambda: first.node_of("mail2")["health"]["load"] == [8],
                   first.words)
    finally:
        peer.end()
    assert first.leases()["node"] == 1


def test_a_bus_that_is_lost(pair):
    """Nothing is heard of a node whose lease goes on: it is not dead."""
    cluster, first, second = pair
    cluster.sql("UPDATE mq.nodes SET bus_port = "
                f"{ports.take(1)} WHERE name = 'mail2'")
    wait_until(lambda: first.node_of("mail2")["heard_ms_ago"] > 9000,
               first.words, 20)
    wait_until(lambda: first.sees("mail2"), first.words, 10)
    assert "nothing is heard of node mail2" in first.node.cluster(
        "status", code=1).stdout
    second.stop(signal.SIGKILL)
    wait_until(lambda: not first.sees("mail2"), first.words, LEASE_S + 5)
