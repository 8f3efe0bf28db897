# SPDX-License-Identifier: ISC
"""What befalls a cluster's hosts under load: no accepted message is lost.

make check runs the main cases, make check-cluster all of them.
"""
import json
import time

import pytest

import clustered
from cluster_ledger import ClusterLedger, Load, queued
from clustered import ALL, at_length
from node import DEADLINE_S, SLOW, wait_until

LEASE_S = 15
# That a node is away is to be known after so long; a host that runs all other
# tests, too, is only to be quicker than its lease is over.
SEEN_S = (5 if ALL else 10) * SLOW

REASON = clustered.why_not() or clustered.why_no_routing()
pytestmark = [pytest.mark.skipif(REASON is not None, reason=str(REASON)),
              pytest.mark.xdist_group("test_97_cluster_failures")]


@pytest.fixture(scope="module")
def three_nodes():
    with clustered.running(nodes=3, users=27) as made:
        yield made


@pytest.fixture
def cluster(three_nodes):
    """All live, before the test and behind it."""
    yield three_nodes
    three_nodes.heal()


def more(ledger, count=30):
    """Waits until so many more were accepted."""
    wanted = ledger.count("acknowledged") + count
    wait_until(lambda: ledger.count("acknowledged") >= wanted,
               lambda: f"{count} more\n" + "\n".join(
                   node.logs() for node in ledger.cluster.nodes))


def settled(ledger):
    """What was sent is in the mailboxes, when all is well again."""
    ledger.cluster.wait_quiet()
    account = ledger.check()
    assert account.queued == 0
    return account


def others(cluster, node):
    return [other for other in cluster.nodes if other is not node]


def see_dead(cluster, node):
    """The others see it within the time."""
    begun = time.monotonic()
    for other in others(cluster, node):
        wait_until(lambda other=other: node.name not in other.sees_alive(),
                   lambda other=other: f"{other.name} sees that {node.name} "
                   f"is away\n{other.log('cluster')}", SEEN_S)
    print(f"{node.name} was seen to be away after "
          f"{time.monotonic() - begun:.1f} s")


def lease_is_over(cluster, node):
    return cluster.sql("SELECT lease_until < clock_timestamp() FROM mq.nodes "
                       f"WHERE name = '{node.name}'") == [["t"]]


def epoch(cluster, node):
    return int(cluster.sql("SELECT epoch FROM mq.nodes "
                           f"WHERE name = '{node.name}'")[0][0])


def wait_tried(node, sender):
    """Waits until it was tried and put off."""
    wait_until(lambda: any(row["tries"] > 0 for row in json.loads(node.svctool(
        "queue", "list", "--sender", sender, "--json").stdout)), node.logs)


def wait_deferred(node, sender, other):
    """Waits until it is kept, in the lane of the other node, which rests."""
    wait_until(lambda: json.loads(node.svctool(
        "queue", "list", "--sender", sender, "--json").stdout) and any(
            f"lane @{other.name}: rests" in node.log(f"queue{i}")
            for i in (1, 2)), node.logs)


def test_every_node_takes_mail_for_every_user(cluster):
    """And none of it is anywhere but in its user's mailbox."""
    place = cluster.place()
    assert set(place.values()) == {node.name for node in cluster.nodes}
    users = [cluster.users_of(node)[0] for node in cluster.nodes]
    for node in cluster.nodes:
        for user in users:
            node.send(user, subject=f"from {node.name}")
    for node, user in zip(cluster.nodes, users):
        texts = node.wait_messages(user, len(cluster.nodes))
        for other in cluster.nodes:
            assert any(f"Subject: from {other.name}\n".encode() in text
                       for text in texts)
        assert not any(other.messages(user)
                       for other in others(cluster, node))
        for file in node.messages(user):
            file.unlink()
    cluster.wait_quiet()


def test_an_unknown_user_is_refused_everywhere(cluster):
    for node in cluster.nodes:
        with node.smtp() as client:
            client.ehlo()
            client.mail("sender@example.net")
            assert client.rcpt(f"nobody@{cluster.domain}")[0] == 550


def test_a_node_dies_and_comes_back(cluster):
    """It is seen; mail for its users waits at the others, and no bounce is
    made; then it arrives."""
    victim = cluster.nodes[2]
    ledger = ClusterLedger(cluster)
    before = epoch(cluster, victim)
    with Load(ledger):
        more(ledger)
        victim.kill()
        see_dead(cluster, victim)
        # Its users' are taken now, too.
        ledger.nodes = others(cluster, victim)
        more(ledger)
    ledger.nodes = ledger.nodes[:1]
    user = cluster.users_of(victim)[0]
    waiting = ClusterLedger(cluster, users=[user], nodes=ledger.nodes)
    waiting.rows, waiting.first = ledger.rows, ledger.first  # numbers go on
    for _ in range(5):
        waiting.send(lambda: True)
    number = max(waiting.rows)
    wait_deferred(ledger.nodes[0], ledger.sender(number), victim)
    assert number in queued(ledger.nodes[0])
    account = ledger.check()
    assert account.queued >= 5
    victim.start()
    cluster.wait_all_alive()
    settled(ledger)
    assert epoch(cluster, victim) == before + 1


@at_length
def test_a_link_is_cut(cluster):
    """Until the lease of who is alone is over: then it writes no mail."""
    victim = cluster.nodes[2]
    ledger = ClusterLedger(cluster)
    with Load(ledger):
        more(ledger)
        victim.cut()
        see_dead(cluster, victim)
        wait_until(lambda: lease_is_over(cluster, victim), "the lease's end")
        # What it does by itself now is seen at its own address.
        stored = len(victim.mailboxes())
        own = cluster.users_of(victim)[0]
        victim.inject(f"{own}@{cluster.domain}", sender="alone@example.net")
        wait_tried(victim, "alone@example.net")
        assert len(victim.mailboxes()) == stored
        victim.join()
        cluster.wait_all_alive()
        more(ledger)
    cluster.wait_quiet()
    # That one is no row of the account.
    for user, file in victim.mailboxes():
        if user == own and b"Subject: injected" in file.read_bytes():
            file.unlink()
    settled(ledger)


@at_length
def test_a_node_is_paused_for_longer_than_its_lease(cluster):
    """It cannot know; what it was about to write under the old epoch it does
    not write."""
    victim = cluster.nodes[1]
    ledger = ClusterLedger(cluster)
    before = epoch(cluster, victim)
    with Load(ledger, 9):
        more(ledger)
        victim.pause()
        try:
            see_dead(cluster, victim)
            ledger.nodes = others(cluster, victim)
            wait_until(lambda: lease_is_over(cluster, victim), "its end")
            more(ledger)
        finally:
            victim.go_on()
        cluster.wait_all_alive()
        ledger.nodes = cluster.nodes
        more(ledger)
    settled(ledger)
    assert epoch(cluster, victim) == before + 1


@at_length
@pytest.mark.parametrize("seconds", [5, 20, 60])
def test_the_database_is_away(cluster, seconds):
    """For less than the leases' time, or more: mail is taken all the while."""
    ledger = ClusterLedger(cluster)
    with Load(ledger, pause=0.1):
        more(ledger)
        cluster.primary.stop()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            more(ledger, 5)
        cluster.primary.start()
        cluster.wait_all_alive()
        more(ledger)
    settled(ledger)


@at_length
def test_the_replica_takes_the_place_of_the_database(cluster):
    """No epoch is given twice."""
    ledger = ClusterLedger(cluster)
    before = [epoch(cluster, node) for node in cluster.nodes]
    with Load(ledger, pause=0.1):
        more(ledger)
        cluster.fail_over()
        wait_until(lambda: not any(lease_is_over(cluster, node)
                                   for node in cluster.nodes),
                   lambda: "all hold leases there\n" + "\n".join(
                       node.log("cluster") for node in cluster.nodes))
        cluster.wait_all_alive()
        more(ledger)
    settled(ledger)
    assert all(epoch(cluster, node) >= old
               for node, old in zip(cluster.nodes, before))


@at_length
def test_all_nodes_die_at_once(cluster):
    ledger = ClusterLedger(cluster)
    with Load(ledger):
        more(ledger)
        cluster.each(clustered.ClusterNode.kill)
        ledger.check()
        cluster.each(clustered.ClusterNode.start)
        cluster.wait_all_alive(timeout=DEADLINE_S + LEASE_S)
        more(ledger)
    settled(ledger)


@pytest.mark.skipif(not clustered.has("vmoveuser"),
                    reason="vmoveuser is not built")
def test_users_move_under_load(cluster):
    """There and back; each message follows."""
    first, second = cluster.nodes[:2]
    users = cluster.users_of(first)
    there = set(cluster.users_of(second))
    ledger = ClusterLedger(cluster)
    with Load(ledger, pause=0.05):
        more(ledger)
        first.run("vmoveuser", f"{users[0]}@{cluster.domain}", second.name)
        if ALL:
            first.run("vmoveuser", "--from", first.name, "--all", second.name)
            assert cluster.users_of(first) == []
        assert users[0] in cluster.users_of(second)
        more(ledger)
        for user in set(cluster.users_of(second)) - there:
            second.run("vmoveuser", f"{user}@{cluster.domain}", first.name)
        more(ledger)
    assert cluster.users_of(first) == users
    settled(ledger)


@pytest.mark.skipif(not clustered.says("svctool", "svctool cluster takeover"),
                    reason="no store is taken over in this build")
@at_length
def test_a_dead_nodes_store_is_taken_over(cluster):
    """All hosts reach all folders here, as on shared storage."""
    victim, heir = cluster.nodes[2], cluster.nodes[0]
    users = set(cluster.users_of(victim))
    ledger = ClusterLedger(cluster)

    def take(store, by):
        return by.cluster_tool("takeover", store, "--to", by.name, code=None)

    assert "lease lives" in take(victim.name, heir).stderr
    with Load(ledger, pause=0.05):
        more(ledger)
        victim.pause()  # it will not know
        ledger.nodes = others(cluster, victim)
        wait_until(lambda: take(victim.name, heir).returncode == 0,
                   heir.logs, DEADLINE_S + LEASE_S)
        heir.svctool("restart")  # control/homeroots
        assert users <= set(cluster.users_of(heir.name))
        more(ledger)
        victim.go_on()
        cluster.wait_all_alive()
        ledger.nodes = cluster.nodes
        more(ledger)
        assert users <= set(cluster.users_of(heir.name))
    settled(ledger)
    # And back, from one that is dead now.
    with Load(ledger, pause=0.05):
        more(ledger)
        heir.kill()
        ledger.nodes = others(cluster, heir)
        wait_until(lambda: take(victim.name, victim).returncode == 0,
                   victim.logs, DEADLINE_S + LEASE_S)
        more(ledger)
        heir.start()
        cluster.wait_all_alive()
        ledger.nodes = cluster.nodes
        more(ledger)
    settled(ledger)
    assert set(cluster.users_of(victim)) == users
