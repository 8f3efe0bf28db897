# SPDX-License-Identifier: ISC
"""Fixtures of the integration tests: nodes of their own, made by tests/node.

A test that takes `node` has a running node with two queues and the users alice
and bob; one that takes `make_node` calls it with options of tests/node.  Both
end with the test, and no process may be left.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import ports
from node import ROOT, SLOW, Node
from queue_peer import Queue
from smtp_peer import smtpd


@pytest.fixture(scope="module", autouse=True)
def held_ports():
    """The ports that a module's tests take are its own until its end."""
    yield
    ports.give_back()


def _folder_of_nodes(name):
    """In memory, as a node's commands wait for dozens of syncs; but on the disk
    where processes are killed.  What the disk does is the matter of tests that
    have queues or a home of their own."""
    memory = Path("/dev/shm")
    has_room = "crash" not in name and os.access(memory, os.W_OK) and \
        shutil.disk_usage(memory).free > 1 << 30
    # Short: paths of sockets.
    return Path(tempfile.mkdtemp(prefix="mq", dir=memory if has_room else None))


@pytest.fixture
def make_node(request):
    """Makes nodes that end with the test."""
    nodes = []
    base = _folder_of_nodes(request.path.name)
    base.chmod(0o755)

    def make(*options):
        node = Node(base / f"n{len(list(base.iterdir()))}", *options)
        nodes.append(node)
        return node

    yield make
    for folder in sorted(base.iterdir()):
        subprocess.run([ROOT / "tests/node", "down", folder],
                       stderr=sys.stderr, check=False, timeout=120 * SLOW)
    left = [pid for node in nodes for pid in node.processes()]
    shutil.rmtree(base, ignore_errors=True)
    assert left == [], "processes were left running"


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
    base = Path(tempfile.mkdtemp(prefix="mq"))
    base.chmod(0o755)
    queues = []

    def make(**options):
        home = base / f"q{len(queues)}"
        home.mkdir()
        queues.append(Queue(home, **options))
        return queues[-1]

    yield make
    for queue in queues:
        if queue.process is not None:
            queue.process.kill()
            queue.process.wait(20 * SLOW)
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def queue(make_queue):
    """A queue whose qmail-send is not started yet."""
    return make_queue()
