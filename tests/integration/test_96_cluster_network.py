# SPDX-License-Identifier: ISC
"""tests/cluster: hosts in network namespaces, and what befalls them."""
import os
import shutil
import smtplib
import subprocess

import pytest

import clustered
import netns
from cluster_ledger import ClusterLedger, Load
from ledger import SENT
from node import ROOT, SLOW, wait_until

REASON = clustered.why_not()
pytestmark = [pytest.mark.skipif(REASON is not None, reason=str(REASON)),
              pytest.mark.xdist_group("test_96_cluster_network")]
LOCAL = "local.test"  # a domain of the first node alone


@pytest.fixture(scope="module")
def cluster():
    with clustered.running(nodes=2) as made:
        made.first.run("vadddomain", LOCAL, "secret")
        made.first.run("vadduser", "-n", "-i",
                       input=f"carol@{LOCAL}\ndave@{LOCAL}\n")
        yield made


def command(*words, code=0):
    done = subprocess.run([ROOT / "tests/cluster", *map(str, words)],
                          capture_output=True, text=True, timeout=300 * SLOW)
    assert code is None or done.returncode == code, done
    return done


def namespaces(token):
    return [name for name in os.listdir(netns.NAMED) if f"mq{token}-" in name]


def test_two_commands(cluster, memory_path):
    """Beside another cluster, which has the same addresses."""
    folder = memory_path / "c"
    done = command("up", folder, "--nodes", 2)
    try:
        info = dict(line.split("=", 1) for line in done.stdout.splitlines())
        made = clustered.Cluster(folder)
        assert info["node2.home"] == str(folder / "node2")
        assert info["node2.netns"] == made.nodes[1].namespace
        assert info["node2.smtp"] == "10.77.0.2:2500"
        assert made.nodes[1].smtp().ehlo()[0] == 250
        assert made.sql("SELECT name, host FROM mq.nodes ORDER BY name") == [
            ["node1", "10.77.0.1"], ["node2", "10.77.0.2"]]
        assert made.token != cluster.token
        # Again: what is there.
        assert command("up", folder).stdout == done.stdout
        asked = command("run", folder, "node2", "svctool", "showctl")
        assert "node2.example.test" in asked.stdout
        command("kill", folder, "node2")
        command("pause", folder, "node1")
        command("stop-db", folder)
    finally:
        command("down", folder)
    assert namespaces(made.token) == []
    left = subprocess.run(["pgrep", "-f", f"{folder}/"], capture_output=True,
                          text=True, check=False).stdout
    assert left == ""
    assert cluster.first.smtp().ehlo()[0] == 250
    assert "there is no cluster" in command(
        "down", memory_path / "none", code=1).stderr


def test_an_up_that_fails_leaves_nothing(memory_path):
    (memory_path / "node2").write_text("in the way")
    done = command("up", memory_path, code=1)
    assert "cannot make a cluster" in done.stderr
    made = clustered.Cluster(memory_path)
    assert made.primary.is_made
    assert namespaces(made.token) == []
    command("down", memory_path)


@clustered.at_length
def test_demo(memory_path):
    build = clustered.BIN.parent

    def demo(word):
        return subprocess.run(
            [ROOT / "tests/cluster-demo", word, build], timeout=300 * SLOW,
            capture_output=True, text=True, check=True,
            env={**os.environ, "DEMO_DIR": str(memory_path / "d")}).stdout

    try:
        text = demo("start")
        made = clustered.Cluster(memory_path / "d-cluster")
        assert f"ip netns exec {made.network.client} swaks" in text
        assert made.first.smtp().ehlo()[0] == 250
        if clustered.why_no_routing() is None:
            wait_until(lambda: sum(len(node.mailboxes())
                                   for node in made.nodes) > 5, "a load")
    finally:
        text = demo("stop")
    assert "is stopped" in text
    assert ("lost 0;" in text) == (clustered.why_no_domain() is None)
    assert namespaces(made.token) == []


def can_connect(node):
    with netns.inside(node.cluster.network.client):
        try:
            smtplib.SMTP(node.address, node.smtp_port, timeout=1).close()
        except OSError:
            return False
    return True


def test_a_link_is_cut(cluster):
    node = cluster.nodes[1]
    assert can_connect(node)
    node.cut()
    assert not can_connect(node)
    assert can_connect(cluster.first)
    with netns.inside(node.namespace):  # it lives, and knows of nothing
        smtplib.SMTP(node.address, node.smtp_port, timeout=20).close()
    node.join()
    wait_until(lambda: can_connect(node), "it is there again")


def test_a_node_is_paused(cluster):
    node = cluster.nodes[1]
    pids = set(node.processes())
    node.pause()
    try:
        assert not can_connect(node)
    finally:
        node.go_on()
    assert can_connect(node)
    assert pids <= set(node.processes())


def writes(cluster):
    """Asked from a node, as its programs ask: who takes what is written."""
    with netns.inside(cluster.nodes[1].namespace):
        done = subprocess.run(
            [cluster.primary.bin / "psql", "-X", "-A", "-t", "-d",
             cluster.conninfo + " connect_timeout=5", "-c",
             "SELECT inet_server_addr()"], capture_output=True, text=True,
            timeout=60, check=False)
    return done.stdout.strip()


def test_a_node_is_killed_under_load(cluster):
    """And every message is accounted for, by what is in the files."""
    first = cluster.first
    ledger = ClusterLedger(cluster, ["carol", "dave"], [first], LOCAL)
    with Load(ledger, 4):
        wait_until(lambda: ledger.count("acknowledged") >= 30, "mail")
        first.kill()
        assert first.processes() == []
        before = ledger.check()
        first.start()
        wait_until(lambda: ledger.count("acknowledged") >=
                   before.accepted + 30, first.logs)
    cluster.wait_quiet()
    account = ledger.check()
    assert account.delivered == account.accepted
    assert (account.queued, account.duplicated) == (0, [])
    # It sees what it is to see.
    carol, dave = (
        [file for user, file in first.mailboxes(LOCAL) if user == name and
         ledger.state_of(file) == SENT] for name in ("carol", "dave"))
    shutil.copy(carol[0], carol[0].parent / "copy")
    carol[1].rename(dave[0].parent / carol[1].name)
    carol[2].unlink()
    carol[3].write_bytes(carol[3].read_bytes() + b"more\n")
    account = ledger.account()
    assert (len(account.duplicated), len(account.misplaced),
            len(account.lost)) == (1, 1, 1), account
    assert any("is changed" in text for text in account.faults)
    assert not account.is_good


def test_the_database_goes_and_comes(cluster):
    assert writes(cluster) == cluster.primary.address
    cluster.primary.stop()
    assert writes(cluster) == ""
    cluster.primary.start()
    assert writes(cluster) == cluster.primary.address
    # What was told to be written is at the replica; it takes the place.
    cluster.sql("INSERT INTO mq.settings VALUES ('of_a_test', '1')")
    gone = cluster.primary.host
    cluster.fail_over()
    wait_until(lambda: writes(cluster) == cluster.primary.address, "promoted")
    assert cluster.primary.host != gone
    assert cluster.sql("DELETE FROM mq.settings WHERE name = 'of_a_test' "
                       "RETURNING value") == [["1"]]
