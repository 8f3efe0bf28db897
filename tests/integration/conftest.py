# SPDX-License-Identifier: ISC
"""Fixtures of the integration tests: nodes of their own, made by tests/node.

A test that takes `node` has a running node with two queues and the users alice
and bob; one that takes `make_node` calls it with options of tests/node.  Both
end with the test, and no process may be left.
"""
import shutil
import subprocess
import sys

import pytest

import ports
from node import ROOT, SLOW, Node, make_folder
from queue_peer import Queue
from smtp_peer import smtpd


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "store(name): about the files or tables of one user store")


# Fixtures of a module that take seconds to make.
COSTLY = {"database", "installed", "node", "postgres", "saved", "sbin", "world"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The tests of a file that share what takes long to make go to one worker,
    which makes it once; all others to any."""
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs
        shared = [name for name in sorted(COSTLY & set(item.fixturenames))
                  if fixtures[name][-1].scope == "module"]
        if shared and item.get_closest_marker("xdist_group") is None:
            values = getattr(item, "callspec", None)
            which = [str(values.params[name]) for name in shared
                     if values is not None and name in values.params]
            item.add_marker(pytest.mark.xdist_group(
                "-".join([item.path.stem, *which])))


@pytest.fixture(scope="module", autouse=True)
def held_ports():
    """The ports that a module's tests take are its own until its end."""
    yield
    ports.give_back()


@pytest.fixture
def memory_path():
    """As tmp_path, in memory."""
    folder = make_folder(in_memory=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_node(request):
    """Makes nodes that end with the test."""
    nodes = []
    # The commands that make one wait for dozens of syncs.
    base = make_folder(in_memory="crash" not in request.path.name)

    def make(*options):
        node = Node(base / f"n{len(list(base.iterdir()))}", *options)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.end_services()
    for folder in sorted(base.iterdir()):
        subprocess.run([ROOT / "tests/node", "down", folder],
                       stderr=sys.stderr, check=False, timeout=120 * SLOW)
    left = [pid for node in nodes for pid in node.processes()]
    shutil.rmtree(base, ignore_errors=True)
    assert left == [], "processes were left running"


@pytest.fixture(scope="module")
def postgres(held_ports):
    """A PostgreSQL server of the module's own."""
    import postgres as server  # pylint: disable=import-outside-toplevel

    if server.programs() is None:
        pytest.skip("no PostgreSQL server on this host")
    started = server.Postgres()
    yield started
    started.remove()


@pytest.fixture
def node(make_node):
    """A running node with two queues, alice and bob."""
    return make_node()


@pytest.fixture(scope="module")
def server(node):
    """A qmail-smtpd of the node that a module makes for all its tests."""
    with smtpd(node) as started:
        yield started


@pytest.fixture
def client(server):
    """Connected to the module's server, and greeted."""
    with server.client() as connected:
        yield connected


@pytest.fixture
def make_queue():
    """Makes queues of their own (queue_peer.Queue), ended with the test."""
    bases = []
    queues = []

    def make(in_memory=False, **options):
        bases.append(make_folder(in_memory))
        home = bases[-1] / f"q{len(queues)}"
        home.mkdir()
        queues.append(Queue(home, **options))
        return queues[-1]

    yield make
    for queue in queues:
        if queue.process is not None:
            queue.process.kill()
            queue.process.wait(20 * SLOW)
    for base in bases:
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def queue(make_queue):
    """A queue whose qmail-send is not started yet."""
    return make_queue()
