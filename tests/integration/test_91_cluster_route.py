# SPDX-License-Identifier: ISC
"""Mail for a domain of the cluster: who serves the user, this node or another
one; what is deferred, and what is never written."""
import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

import postgres as server
from cluster_files import ClusterFiles
from node import wait_until
from worker_peer import Remote, Worker

pytestmark = pytest.mark.skipif(server.programs() is None,
                                reason="no PostgreSQL server on this host")

DOMAIN = "c.test"


class World:
    """A node of a cluster: s1 is its store, s2 is node2's."""

    def __init__(self, node):
        self.node, self.home = node, node.home
        self.files = ClusterFiles(self.home, "node1")
        (node.control / "nodename").write_text("node1\n")
        node.svctool("init")  # makes the service lookup
        node.up()
        self.folder = self.home / "domains" / DOMAIN
        self.folder.mkdir()
        (self.folder / ".qmail-default").write_text(
            "| vdelivermail '' bounce-no-mailbox\n")
        for user in ("here", "away"):
            for name in ("new", "cur", "tmp"):
                (self.folder / user / "Maildir" / name).mkdir(parents=True)
        owner = os.stat(self.home / "domains")
        for path in (self.folder, *self.folder.glob("**/*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        self.sql(
            "INSERT INTO mq.nodes (name, host) VALUES ('node1', '127.0.0.1'), "
            "('node2', '127.0.0.2'); "
            "INSERT INTO mq.stores (name, node, epoch) VALUES "
            "('s1', 'node1', 3), ('s2', 'node2', 5), ('s3', NULL, 1); "
            "INSERT INTO mq.domains (name, is_clustered) VALUES "
            f"('{DOMAIN}', true)")
        self.add("here", "s1")
        self.add("away", "s2")
        self.files.leases(s1=3)
        self.files.domains(DOMAIN, aliases={"alias.test": DOMAIN})

    def sql(self, text):
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d",
             (self.node.control / "pgsql").read_text().strip(), "-c", text],
            capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add(self, name, store):
        self.sql("INSERT INTO mq.users (domain_id, name, dir, store_id) "
                 f"SELECT d.id, '{name}', '{self.folder}/{name}', s.id FROM "
                 "mq.domains d LEFT JOIN mq.stores s ON "
                 f"s.name = '{store}' WHERE d.name = '{DOMAIN}'")

    def place(self, address, code=0):
        return json.loads(self.node.run(
            "lookup", "--json", "place", address, code=code).stdout)

    def wait_place(self, local, **wanted):
        """A change is heard of a moment later."""
        wait_until(lambda: wanted.items() <= json.loads(self.node.run(
            "lookup", "--json", "place", f"{local}@{DOMAIN}",
            code=None).stdout).items(), lambda: wanted)

    def inject(self, *names, domain=DOMAIN):
        assert self.node.inject(*(f"{name}@{domain}" for name in names)) == 0

    def new(self, user):
        path = self.folder / user / "Maildir/new"
        return len(list(path.iterdir())) if path.is_dir() else 0

    def wait_new(self, user, count):
        wait_until(lambda: self.new(user) == count, self.node.logs)

    def log(self):
        return self.node.log("queue1")

    def wait_log(self, text):
        wait_until(lambda: text in self.log(),
                   lambda: f"{text}\n{self.node.logs()}")

    def rcpt(self, address):
        with self.node.smtp() as client:
            client.ehlo()
            client.mail("sender@example.net")
            return client.rcpt(address)[0]

    @contextlib.contextmanager
    def peer(self, decide=lambda job: ("K", "node2 took it\n")):
        """Who stands for qmail-rspawn, and asks no names."""
        service = self.home / "service/remote"
        subprocess.run(["svc", "-d", service], check=True, timeout=60)
        wait_until(lambda: "down" in subprocess.run(
            ["svstat", service], capture_output=True, text=True,
            timeout=60).stdout, "remote is down")
        worker = Worker(Remote(self.home), decide, "r")
        try:
            yield worker
        finally:
            worker.close()


@pytest.fixture
def world(make_node):
    made = World(make_node("--queues", 1, "--store", "pgsql", "--init-only"))
    yield made
    made.files.close()


def test_places(world):
    here = world.place(f"Here@{DOMAIN}")
    assert (here["place"], here["store"], here["epoch"], here["node"],
            here["user"]) == ("here", "s1", 3, "node1", "here")
    assert here["dir"] == f"{world.folder}/here"
    away = world.place("away@alias.test")
    assert (away["place"], away["node"], away["store"], away["epoch"]) == (
        "node", "node2", "s2", 5)
    assert world.place(f"away-list-x@{DOMAIN}")["user"] == "away"
    assert world.place(f"nobody@{DOMAIN}", code=1)["state"] == "absent"
    # A local domain's are here, and nothing is asked.
    assert world.place(f"alice@{world.node.domain}")["place"] == "here"
    # An alias is here, before a user in front of a dash.
    world.sql("INSERT INTO mq.aliases (domain_id, name, line) SELECT id, "
              f"'away-team', '&here@{DOMAIN}' FROM mq.domains "
              f"WHERE name = '{DOMAIN}'")
    world.wait_place("away-team", place="here", user="")
    # He moves; his store is another node's; nobody's; he has none.
    world.sql("UPDATE mq.users SET is_moving = true WHERE name = 'away'")
    world.wait_place("away", place="moving")
    world.sql("UPDATE mq.users SET is_moving = false, store_id = "
              "(SELECT id FROM mq.stores WHERE name = 's1') "
              "WHERE name = 'away'")
    world.wait_place("away", place="here", store="s1")
    world.sql("UPDATE mq.stores SET node = 'node2', epoch = 4 "
              "WHERE name = 's1'")
    world.wait_place("away", place="node", node="node2", epoch=4)
    # One that many serve is here, if this is one of them.
    world.sql("UPDATE mq.stores SET is_many_served = true WHERE name = 's1'")
    world.wait_place("away", place="node", node="node2", epoch=4)
    world.files.leases(s1=4)
    world.wait_place("away", place="here", node="node2", epoch=4)
    world.files.leases()
    world.sql("UPDATE mq.stores SET node = NULL WHERE name = 's1'")
    world.wait_place("away", place="nobody")
    world.sql("UPDATE mq.users SET store_id = NULL WHERE name = 'away'")
    world.wait_place("away", place="nobody", store="")
    # The domain's place for others.
    world.sql("UPDATE mq.domains SET default_place = 'old' "
              f"WHERE name = '{DOMAIN}'")
    for name in ("away", "nobody"):
        world.wait_place(name, place="node", node="old")
    assert world.place(f"away-x@{DOMAIN}")["user"] == "away"
    assert world.rcpt(f"anybody@{DOMAIN}") == 250
    world.sql("UPDATE mq.domains SET default_place = 's2' "
              f"WHERE name = '{DOMAIN}'")
    world.wait_place("nobody", place="node", node="node2", store="s2",
                     epoch=5, user="")
    done = world.node.run("inquerytest", "-q", "4", f"nobody@{DOMAIN}")
    assert done.stdout == "node2\n"
    done = world.node.run("lookup", "place", DOMAIN)
    assert "node2" in done.stdout


def test_without_the_database(world):
    """What was known goes on; nobody is absent."""
    for name in ("here", "away"):
        world.place(f"{name}@{DOMAIN}")
    world.place(f"nobody@{DOMAIN}", code=1)
    subprocess.run(["svc", "-d", world.home / "service/pgsql"], check=True,
                   timeout=60)
    wait_until(lambda: world.node.run(
        "lookup", "user", f"nobody@{DOMAIN}", code=None).returncode == 111,
        world.node.logs)
    assert world.place(f"away@{DOMAIN}")["node"] == "node2"
    assert world.node.run("lookup", "place", f"nobody@{DOMAIN}",
                          code=None).returncode == 111
    assert world.rcpt(f"nobody@{DOMAIN}") == 451
    world.inject("nobody", "here")
    world.wait_new("here", 1)
    world.wait_log("deferral: It_cannot_be_told_now_where_this_mailbox_is.")
    assert "alert: cannot tell where a mailbox is" in world.log()


def test_mail_is_routed(world):
    # At once: no file of this node but the cluster's has the domain.
    assert world.rcpt(f"here@{DOMAIN}") == 250
    assert world.rcpt("away-x@alias.test") == 250
    assert world.rcpt(f"nobody@{DOMAIN}") == 550
    assert world.rcpt("here@other.test") == 553
    with world.peer() as peer:
        world.inject("here", "away", "away-list", "here-x")
        jobs = peer.wait_jobs(2)
        world.wait_new("here", 2)
        world.node.wait_empty()
    assert {job.lane for job in jobs} == {"@node2"}
    assert sorted(job.recipient for job in jobs) == [
        f"away-list@{DOMAIN}", f"away@{DOMAIN}"]
    assert all(job.home == job.user == "" for job in jobs)
    assert f"to remote away@{DOMAIN}" in world.log()
    assert f"to local {DOMAIN}-here@{DOMAIN}" in world.log()
    assert "success: node2_took_it/" in world.log()


def test_bounces_and_delivery_reports_name_the_address(world):
    sender = f"here@{DOMAIN}"
    with world.peer(lambda job: ("D", "550 no such user\n")):
        assert world.node.inject(f"away@{DOMAIN}", sender=sender) == 0
        world.wait_new("here", 1)
        world.node.wait_empty()
    report = next((world.folder / "here/Maildir/new").iterdir()).read_text()
    assert f"<away@{DOMAIN}>:\n550 no such user" in report
    assert f"{DOMAIN}-away" not in report.split("\n\n", 1)[1].split(
        "Message/rfc822")[0]


def test_each_try_asks_anew(world):
    """It waits for node2, and another node, this one, has the user then."""
    with world.peer(lambda job: ("Z", "node2 is busy\n")) as peer:
        world.inject("away")
        peer.wait_jobs(1)
        world.wait_log("deferral: node2_is_busy/")
        wait_until(lambda: list((world.home / "queue").glob("*/local/*/*")),
                   world.node.logs)
        files = list((world.home / "queue").glob("*/local/*/*"))
        assert files[0].read_bytes() == (
            f"T{DOMAIN}-away@{DOMAIN}\0".encode())
        assert not list((world.home / "queue").glob("*/remote/*/*"))
        shown = world.node.svctool("queue", "list").stdout
        assert f"away@{DOMAIN}" in shown
        world.sql("UPDATE mq.users SET is_moving = true WHERE name = 'away'")
        world.wait_place("away", place="moving")
        world.node.retry_until(
            lambda: "deferral: This_mailbox_is_being_moved." in world.log(),
            "it is moving")
        world.sql("UPDATE mq.users SET is_moving = false, store_id = "
                  "(SELECT id FROM mq.stores WHERE name = 's1') "
                  "WHERE name = 'away'")
        world.wait_place("away", place="here")
        world.node.retry_until(lambda: world.new("away") == 1, "it is here")
        world.node.wait_empty()
        assert len(peer.jobs) < 5


def test_without_a_way_to_the_node(world):
    """Nobody takes the lane's mail: it waits, and no one's else does."""
    with world.peer() as peer:
        peer.back_off("@node2", 1000)  # nothing is there yet: no matter
    # Not together: what is asked for together is believed for 200 ms.
    world.inject("away")
    world.inject("here")
    world.wait_new("here", 1)
    wait_until(lambda: list((world.home / "queue").glob("*/local/*/*")),
               world.node.logs)
    world.sql("UPDATE mq.stores SET node = NULL WHERE name = 's2'")
    world.wait_place("away", place="nobody")
    world.inject("away")
    world.wait_log("deferral: No_node_serves_this_mailbox_now.")
    with world.peer() as peer:
        world.sql("UPDATE mq.stores SET node = 'node2' WHERE name = 's2'")
        world.wait_place("away", place="node")
        world.node.retry_until(lambda: len(peer.jobs) == 2, "both")
        world.node.wait_empty()


def test_aliases_and_catch_all_are_this_nodes(world):
    world.sql("INSERT INTO mq.aliases (domain_id, name, line) SELECT id, "
              f"'team', unnest(ARRAY['&here@{DOMAIN}', '&away@{DOMAIN}']) "
              f"FROM mq.domains WHERE name = '{DOMAIN}'")
    world.wait_place("team", place="here")
    with world.peer() as peer:
        world.inject("team")
        world.wait_new("here", 1)
        assert peer.wait_jobs(1)[0].recipient == f"away@{DOMAIN}"
        world.node.wait_empty()
        (world.folder / ".qmail-default").write_text(
            f"| vdelivermail '' here@{DOMAIN}\n")
        world.inject("nobody")
        world.wait_new("here", 2)
        world.node.wait_empty()


def test_a_lost_lease_stops_deliveries(world):
    world.inject("here")
    world.wait_new("here", 1)
    # Another epoch: somebody else may serve it.
    world.files.leases(s1=4)
    world.inject("here")
    world.wait_log("store_'s1'_is_served_under_epoch_4,_not_3")
    # The lookup has heard of it, too.
    world.sql("UPDATE mq.stores SET epoch = 4 WHERE name = 's1'")
    world.wait_place("here", epoch=4)
    world.node.retry_until(lambda: world.new("here") == 2, "epoch 4")
    world.files.leases()
    world.inject("here")
    world.wait_log("this_node_does_not_serve_store_'s1'")
    # By a process of his own: his file is not even looked at.
    (world.folder / "here/.qmail").write_text("./Maildir/\n")
    before = world.log().count("does_not_serve")
    world.inject("here")
    wait_until(lambda: world.log().count("does_not_serve") > before,
               world.node.logs)
    world.files.leases(s1=4)
    world.node.retry_until(lambda: world.new("here") == 4, "it is back")
    (world.folder / "here/.qmail").unlink()
    world.files.lapse()
    world.inject("here")
    world.wait_log("the_lease_of_store_'s1'_has_ended")
    assert world.new("here") == 4
    assert not list((world.folder / "here/Maildir/tmp").iterdir())


def test_a_lookupd_that_hangs_holds_up_no_other_mail(world):
    pid, = [pid for pid in world.node.processes()
            if Path(f"/proc/{pid}/comm").read_text() == "lookupd\n"]
    with world.peer() as peer:
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(10):
                world.inject("here")
            world.inject("a", domain="far.test")
            assert peer.wait_jobs(1)[0].recipient == "a@far.test"
            assert "deferral" not in world.log()
        finally:
            os.kill(pid, signal.SIGCONT)
        world.node.retry_until(lambda: world.new("here") == 10, "all")
        world.node.wait_empty()


def test_a_domain_comes_and_goes(world):
    """Without a signal to anybody."""
    world.files.domains()
    assert world.rcpt(f"here@{DOMAIN}") == 553
    world.files.domains(DOMAIN)
    assert world.rcpt(f"here@{DOMAIN}") == 250
    world.inject("here")
    world.wait_new("here", 1)
