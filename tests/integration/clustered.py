# SPDX-License-Identifier: ISC
"""Nodes of one cluster, each in a network namespace, and what befalls them.

tests/cluster makes the same for who is at a terminal.  Everything is in one
folder; what runs is found by its namespace, so that whoever comes later can end
it, and a Cluster of a folder that another process made is as good as its own.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import smtplib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import netns
from node import BIN, DEADLINE_S, SLOW, Node, make_folder, wait_until
from postgres import Postgres, programs, user

DOMAIN = "example.test"
DATABASE = "mqmail"
OWNER = "mail"  # of all that a node has and runs; root may have no mail
NODE_ADDRESS, DATABASE_ADDRESS = 0, 100  # the first node is PREFIX1
PORTS = {"smtp": 2500, "smtps": 2465, "lmtp": 2424, "pop3": 2110,
         "pop3s": 2995, "submission": 2587, "submissions": 2466}
IMAP_PORTS = {"imap": 2143, "imaps": 2993}
ADMIN_PORTS = {"admin": 4000, "api": 4443}
ALL = "MQMAIL_TEST_ALL" in os.environ  # make check-cluster
at_length = pytest.mark.skipif(not ALL, reason="make check-cluster runs it")
SANITIZERS = ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")


def why_not():
    """Why there can be no cluster on this host; None: there can."""
    if programs() is None:
        return "no PostgreSQL server on this host"
    return netns.why_not()


def has(*names):
    """Are these programs built?"""
    return all((BIN / name).exists() for name in names)


def says(program, *words):
    """Do these words stand in the program: what it can do, without a node."""
    path = BIN / program
    data = path.read_bytes() if path.exists() else b""
    return all(word.encode() in data for word in words)


def why_no_domain():
    """Why no domain can be all nodes' in this build; None: one can."""
    if not has("clusterd"):
        return "clusterd is not built"
    if not says("vadddomain", "--cluster"):
        return "vadddomain makes no clustered domains (no --cluster)"
    return None


def why_no_routing():
    """Why mail does not find its node in this build; None: it does."""
    if not (says("qmail-smtpd", "XNODE") and says("qmail-rspawn", "XNODE")):
        return "mail is not handed from node to node (no XNODE)"
    return why_no_domain()


@contextlib.contextmanager
def running(nodes=3, users=0):
    """A cluster within it, in a folder of its own."""
    folder = make_folder(in_memory=True)
    cluster = None
    try:
        cluster = Cluster.make(folder, nodes, users)
        yield cluster
    finally:
        if cluster is None and (folder / Cluster.STATE).exists():
            cluster = Cluster(folder)
        if cluster is not None:
            cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


class Server(Postgres):
    """A PostgreSQL of a host of the network, at its port 5432."""

    def __init__(self, network, host, folder):
        # Not that of a server on loopback, which is made and started there.
        # pylint: disable=super-init-not-called
        self.network, self.host, self.folder = network, host, folder
        self.bin, self.user = programs(), user()
        self.data, self.port = folder / "data", 5432
        self.process = None
        self.count = 0

    @property
    def namespace(self):
        return self.network.namespace(self.host)

    @property
    def address(self):
        return self.network.address(self.host)

    @property
    def is_made(self):
        return (self.data / "PG_VERSION").exists()

    @property
    def is_standby(self):
        return (self.data / "standby.signal").exists()

    def make(self, primary=None):
        """Of its own, or as another's replica; starts it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        shutil.chown(self.folder, self.user)
        if primary is not None:
            with netns.inside(self.namespace):
                self.command("pg_basebackup", "-D", self.data, "-R", "-X",
                             "stream", "-c", "fast", "--no-sync", "-h",
                             primary.address, "-p", primary.port, "-U",
                             "mqmail")
            self.configure("hot_standby_feedback = on\n"
                           "synchronous_standby_names = ''")
            self.start()
            return
        self.command("initdb", "-D", self.data, "-U", "mqmail", "-A", "trust",
                     "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        with open(self.data / "pg_hba.conf", "a", encoding="utf8") as rules:
            for what in ("all", "replication"):
                rules.write(f"host {what} all {self.network.PREFIX}0/24 "
                            "trust\n")
        self.configure("wal_sender_timeout = 5s")
        self.start()
        self.sql(f"CREATE DATABASE {DATABASE}", database="postgres")

    def configure(self, settings):
        super().configure(f"{settings}\nlisten_addresses = '{self.address}'\n"
                          "max_connections = 100")

    def start(self):
        with netns.inside(self.namespace):
            super().start()

    def pids(self):
        return netns.pids(self.namespace)

    def send(self, number):
        netns.signal_all(self.namespace, number)

    def stop(self):
        """As pulled out; start() begins it again."""
        self.send(signal.SIGCONT)
        file = self.data / "postmaster.pid"
        if not self.pids() or not file.exists():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
        wait_until(lambda: not self.pids(), f"{self.host} ends")
        if self.process is not None:
            self.process.wait(DEADLINE_S)
            self.process = None

    def promote(self):
        """A replica becomes what others write to."""
        self.sql("SELECT pg_promote()")


class ClusterNode(Node):
    """A node with its namespace; started and stopped as a host is."""

    def __init__(self, cluster, name):
        # Not that of tests/node.  pylint: disable=super-init-not-called
        self.cluster, self.name = cluster, name
        self.home = cluster.folder / name
        self.domain = cluster.domain
        self.queue_count = 2
        self.info = {key: str(port) for key, port in cluster.ports().items()}

    @property
    def namespace(self):
        return self.cluster.network.namespace(self.name)

    @property
    def address(self):
        return self.cluster.network.address(self.name)

    def run(self, program, *arguments, code=0, **options):
        with netns.inside(self.namespace):
            return super().run(program, *arguments, code=code, **options)

    def environment(self):
        found = super().environment() if (
            self.control / "global_vars").exists() else dict(os.environ)
        return {**found, "MQMAIL_HOME": str(self.home), "MQMAIL_USER": OWNER}

    def cluster_tool(self, *words, code=0, **options):
        """svctool cluster."""
        return self.svctool("cluster", *words, code=code, **options)

    def cluster_status(self):
        """What this node sees of all; None while it cannot tell."""
        done = self.cluster_tool("status", "--json", code=None)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def sees_alive(self):
        """The names of those who live, as this node sees it; its own: it has
        its lease."""
        status = self.cluster_status() or {"nodes": []}
        return {row["name"] for row in status["nodes"]
                if row["is_alive"]}

    def hears(self):
        """Of whom it hears by the bus; of another that lives it may know by the
        lease alone, and then learns as late that it died."""
        status = self.cluster_status() or {"nodes": []}
        return {row["name"] for row in status["nodes"] if row["is_self"] or
                (row["heard_ms_ago"] is not None and
                 row["heard_ms_ago"] < 3000)}

    def make(self):
        words = []
        for name, port in self.cluster.ports().items():
            if name not in ADMIN_PORTS:
                words += ["--port" if name == "smtp" else f"--{name}", port]
        self.svctool("init", "--me", f"{self.name}.{DOMAIN}", "--queues",
                     self.queue_count, "--address", self.address, *words,
                     "--user", OWNER)
        (self.control / "journalsize").write_text("1048576\n")
        for name in SANITIZERS:
            if name in os.environ:
                (self.control / "global_vars" / name).write_text(
                    os.environ[name] + "\n")

    def is_running(self):
        return bool(netns.pids(self.namespace))

    def start(self):
        self.svctool("start")

    def stop(self):
        self.svctool("stop", "--timeout", 30)

    def kill(self):
        """All its processes at once, as when the power goes; the disk stays."""
        netns.signal_all(self.namespace, signal.SIGKILL)

    def pause(self):
        """None of its processes runs, but the clock does."""
        netns.signal_all(self.namespace, signal.SIGSTOP)

    def go_on(self):
        netns.signal_all(self.namespace, signal.SIGCONT)

    def cut(self):
        self.cluster.network.cut(self.name)

    def join(self):
        self.cluster.network.join(self.name)

    def processes(self):
        return netns.pids(self.namespace)

    def smtp(self, port=None):
        with netns.inside(self.cluster.network.client):
            return smtplib.SMTP(self.address, port or self.smtp_port,
                                local_hostname="client.example.net",
                                timeout=30 * SLOW)

    def mailboxes(self, domain=None, kinds=("new", "cur")):
        """Stored messages of a domain (the clustered one): (user, file)."""
        found = []
        for root, folders, _ in os.walk(
                self.home / "domains" / (domain or self.domain)):
            box = Path(root)
            if box.name != "Maildir":
                continue
            folders.clear()
            for kind in kinds:
                with contextlib.suppress(FileNotFoundError):
                    found += [(box.parent.name, file)
                              for file in (box / kind).iterdir()]
        return found

    def messages(self, user):
        return sorted(file for name, file in self.mailboxes(kinds=("new",))
                      if name == user)


class Cluster:
    """Nodes node1, node2 ... and the databases db1, a primary, and db2, its
    replica, to which all wait to be written (docs/cluster.md: where leases may
    not be lost)."""

    STATE = "cluster.json"

    def __init__(self, folder):
        """Of a folder where make() was, also in another process."""
        self.folder = Path(folder).resolve()
        state = json.loads((self.folder / self.STATE).read_text())
        self.users = state["users"]
        self.domain = DOMAIN
        self.primary_name = state["primary"]
        self.token = state["token"]
        names = [f"node{i + 1}" for i in range(state["nodes"])]
        hosts = {name: NODE_ADDRESS + i + 1 for i, name in enumerate(names)}
        hosts |= {f"db{i}": DATABASE_ADDRESS + i for i in (1, 2)}
        self.network = netns.Network(self.token, hosts)
        self.databases = {name: Server(self.network, name, self.folder / name)
                          for name in ("db1", "db2")}
        self.nodes = [ClusterNode(self, name) for name in names]

    @classmethod
    def make(cls, folder, nodes=3, users=0):
        """A new one, or the one that is there; started.  After a failure the
        caller calls down()."""
        folder = Path(folder).resolve()
        assert len(str(folder)) <= 60, "too long a path for sockets in it"
        if not (folder / cls.STATE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
            cls._write(folder, {"token": os.urandom(3).hex(), "nodes": nodes,
                                "users": users, "primary": "db1"})
        cluster = cls(folder)
        cluster.up()
        return cluster

    @classmethod
    def _write(cls, folder, state):
        file = folder / (cls.STATE + ".tmp")
        file.write_text(json.dumps(state) + "\n")
        file.rename(folder / cls.STATE)

    @staticmethod
    def ports():
        found = dict(PORTS)
        if shutil.which("dovecot"):
            found |= IMAP_PORTS
        if has("adminsrv"):
            found |= ADMIN_PORTS
        return found

    @property
    def primary(self):
        return self.databases[self.primary_name]

    @property
    def replica(self):
        return self.databases["db2" if self.primary_name == "db1" else "db1"]

    @property
    def first(self):
        return self.nodes[0]

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    @property
    def conninfo(self):
        """For the nodes: whichever takes what is written."""
        hosts = ",".join(server.address for server in self.databases.values())
        return (f"host={hosts} port=5432 dbname={DATABASE} user=mqmail "
                "target_session_attrs=read-write")

    def sql(self, text):
        return self.primary.sql(text, DATABASE)

    def up(self):
        self.network.up()
        if not self.primary.is_made:
            self.primary.make()
        elif not self.primary.pids():
            self.primary.start()
        if not self.replica.is_made or not self.replica.is_standby:
            self.replica.make(self.primary)
        elif not self.replica.pids():
            self.replica.start()
        self._be_synchronous("*")
        for node in self.nodes:
            if not (node.control / "nodename").exists():
                self._make_first() if node is self.first else self._join(node)
        if not has("clusterd"):
            for node in self.nodes:
                shutil.rmtree(node.home / "service/cluster",
                              ignore_errors=True)
        # svctool start leaves alone who is up.
        self.each(ClusterNode.start)
        if has("clusterd"):
            self.wait_all_alive()
        if why_no_domain() is None:
            self._make_domain()

    def _be_synchronous(self, names):
        # Not in the file: a primary that starts alone must not wait.
        self.primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = "
                         f"'{names}'", "postgres")
        self.primary.sql("SELECT pg_reload_conf()", "postgres")

    def _make_first(self):
        node = self.first
        node.make()
        file = node.control / "pgsql"
        file.write_text(self.conninfo + "\n")
        file.chmod(0o640)
        shutil.chown(file, OWNER)
        node.svctool("db", "init")
        (node.control / "userstore").write_text("pgsql\n")
        node.cluster_tool("init", "--host", node.address, *self._more())

    def _join(self, node):
        """By the standard input, as an operator should."""
        node.make()
        token = self.first.cluster_tool("token").stdout.strip()
        node.cluster_tool("join", "--db", "-", "--token", "-", "--host",
                          node.address, *self._more(),
                          input=f"{self.conninfo}\n{token}\n")

    def _more(self):
        """Where the other nodes' proxies find mailboxes."""
        ports = self.ports()
        words = ["--pop3", ports["pop3"]]
        return words + (["--imap", ports["imap"]] if "imap" in ports else [])

    def _make_domain(self):
        """The domain, and users over all nodes: each has a store of its name,
        in its own folder of domains."""
        if self.sql("SELECT 1 FROM mq.domains "
                    f"WHERE name = '{self.domain}'"):
            return
        self.first.run("vadddomain", "--cluster", self.domain, "secret")
        names = ["alice", "bob", *(f"u{i}" for i in range(self.users))]
        self.first.run("vadduser", "-n", "-i", input="".join(
            f"{name}@{self.domain}\n" for name in names))

    def each(self, act):
        """For each node, at the same time."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            return list(pool.map(act, self.nodes))

    def heal(self):
        """All that runs in a cluster runs, and knows of each other."""
        for node in self.nodes:
            node.go_on()
            node.join()
        for server in self.databases.values():
            server.go_on()
        self.up()

    def down(self):
        """Ends everything, whatever is there and in whatever state."""
        for server in self.databases.values():
            server.send(signal.SIGCONT)
        for node in self.nodes:
            node.go_on()
        running = [node for node in self.nodes if node.is_running()]
        with ThreadPoolExecutor(max(1, len(running))) as pool:
            list(pool.map(lambda node: node.svctool(
                "stop", "--timeout", 30, code=None), running))
        for server in self.databases.values():
            server.stop()
        self.network.down()

    def place(self):
        """The node that serves each user of the domain."""
        return dict(self.sql(
            "SELECT u.name, s.node FROM mq.users u JOIN mq.domains d "
            "ON d.id = u.domain_id JOIN mq.stores s ON s.id = u.store_id "
            f"WHERE d.name = '{self.domain}' AND s.node IS NOT NULL"))

    def homes(self, domain=None):
        """The folder of each user of a domain (the clustered one)."""
        return {name: Path(folder) for name, folder in self.sql(
            "SELECT u.name, u.dir FROM mq.users u JOIN mq.domains d "
            "ON d.id = u.domain_id "
            f"WHERE d.name = '{domain or self.domain}'")}

    def users_of(self, node):
        """Names of those whom the node serves, in order."""
        return sorted(name for name, place in self.place().items()
                      if place == node.name)

    def wait_all_alive(self, of=None, timeout=DEADLINE_S):
        """Waits until each of them (all) sees and hears all of them."""
        nodes = of or self.nodes
        names = {node.name for node in nodes}
        wait_until(lambda: all(names <= node.sees_alive() & node.hears()
                               for node in nodes),
                   lambda: f"{names} live\n" + "\n".join(
                       f"{node.name} sees {node.sees_alive()}\n"
                       f"{node.log('cluster')[-1000:]}" for node in nodes),
                   timeout)

    def fail_over(self):
        """The primary is gone for good, and its replica takes its place."""
        self.primary.stop()
        self.replica.promote()
        self.primary_name = self.replica.host
        state = json.loads((self.folder / self.STATE).read_text())
        self._write(self.folder, {**state, "primary": self.primary_name})

    def wait_quiet(self, timeout=DEADLINE_S * 3):
        """Waits until no queue holds a message, while deferred ones are tried
        at once."""
        def look():
            if all(node.backlog() == 0 for node in self.nodes):
                return True
            for node in self.nodes:
                services = [node.home / "service" / folder.name
                            for folder in (node.home / "queue").iterdir()]
                subprocess.run(["svc", "-a", *services], check=False,
                               stderr=subprocess.DEVNULL, timeout=60)
            time.sleep(0.5)  # a try takes its time
            return False

        wait_until(look, lambda: "empty queues\n" + "\n".join(
            f"=== {node.name}\n{node.logs()}" for node in self.nodes
            if node.backlog()), timeout)

    def lines(self):
        """What tests/cluster prints."""
        yield f"dir={self.folder}"
        yield f"bin={BIN}"
        for node in self.nodes:
            yield f"{node.name}.netns={node.namespace}"
            yield f"{node.name}.home={node.home}"
            for kind, port in self.ports().items():
                yield f"{node.name}.{kind}={node.address}:{port}"
        yield f"client.netns={self.network.client}"
        for role, server in (("primary", self.primary),
                             ("replica", self.replica)):
            yield f"db.{role}={server.address}:{server.port}"
            yield f"db.{role}.netns={server.namespace}"
            yield f"db.{role}.socket={server.folder}"
        yield f"db.conninfo={self.conninfo}"
        yield f"domain={self.domain if why_no_domain() is None else ''}"
        for name, place in sorted(self._placed().items()):
            yield f"user.{name}={place}"

    def _placed(self):
        """Of a few users."""
        found = {} if why_no_domain() else self.place()
        return {name: place for name, place in found.items()
                if not re.fullmatch(r"u\d\d+", name)}
