# SPDX-License-Identifier: ISC
"""make demo: what a newcomer sees, the first time and later."""
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

import ports
from node import BUILD, ROOT, SLOW, Node, make_folder
from test_01_node import may_reach

pytestmark = pytest.mark.skipif(shutil.which("swaks") is None,
                                reason="no swaks")


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Demo(Node):
    """The node of make demo, in a folder of its own."""

    def __init__(self, folder):
        self.home = Path(folder) / "demo-node"
        self.domain = "example.test"

    def demo(self, action, port=None, code=0):
        environment = {name: value for name, value in os.environ.items()
                       if name != "DEMO_PORT"}
        environment["DEMO_DIR"] = str(self.home)
        if port is not None:
            environment["DEMO_PORT"] = str(port)
        done = subprocess.run(
            [ROOT / "tests/demo", action, BUILD], env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120 * SLOW)
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.fixture
def demo():
    folder = make_folder(in_memory=True)
    demo = Demo(folder)
    yield demo
    demo.demo("stop")
    left = demo.processes()
    shutil.rmtree(folder)
    assert left == []


def test_demo_twice_moved_and_stopped(demo):
    port, other = ports.take(7), ports.take(7)
    text = demo.demo("start", port)
    assert "Subject: demo of" in text and "== delivered:" in text
    assert f"SMTP  port {port} (with STARTTLS)" in text
    assert f"POP3  port {port + 3}\n" in text
    assert "make demo-stop" in text and "rm -r demo-node" in text
    before = sorted(demo.processes())
    for same in (port, None):  # again, also without saying where
        assert "== delivered:" in demo.demo("start", same)
        assert sorted(demo.processes()) == before
    text = demo.demo("start", other)
    assert f"moves to port {other}" in text
    assert f"SMTP  port {other} (with STARTTLS)" in text
    assert not any(listens(port + i) for i in range(3))
    assert all(listens(other + i) for i in range(3))
    assert len(demo.messages("alice")) == 4  # the mail stayed
    demo.demo("stop")
    assert demo.processes() == []
    assert f"SMTP  port {other} " in demo.demo("start")


@pytest.mark.parametrize("busy", [0, 2])
def test_a_busy_port_leaves_nothing_behind(demo, busy):
    port = ports.take(7)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port + busy))
        taken.listen()
        text = demo.demo("start", port, code=1)
        assert f"port {port + busy} of 127.0.0.1 is in use" in text
        assert "make demo DEMO_PORT=3525" in text
        assert not demo.home.exists()
    demo.demo("start", port)
    demo.demo("stop")
    with socket.socket() as taken:  # of a node that is there, and stopped
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port + busy))
        taken.listen()
        for words in ((None,), (port,)):
            text = demo.demo("start", *words, code=1)
            assert f"port {port + busy} of 127.0.0.1 is in use" in text
            assert demo.processes() == []


def test_a_move_to_a_busy_port_leaves_the_node_as_it_is(demo):
    port, other = ports.take(7), ports.take(7)
    demo.demo("start", port)
    before = sorted(demo.processes())
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", other + 1))
        taken.listen()
        text = demo.demo("start", other, code=1)
        assert f"port {other + 1} of 127.0.0.1 is in use" in text
    assert sorted(demo.processes()) == before
    assert "== delivered:" in demo.demo("start")


def test_a_node_that_fails_to_start_is_not_left_half(make_node):
    node = make_node("--init-only")
    (node.home / "service" / f"qmail-smtpd.{node.smtp_port}" /
     "variables/OPTIONS").write_text("--no-such-option\n")
    done = subprocess.run([ROOT / "tests/node", "up", node.home],
                          capture_output=True, text=True, timeout=120 * SLOW)
    assert done.returncode == 1
    assert "did not start" in done.stderr
    assert node.processes() == []


@pytest.mark.skipif(BUILD.parent != ROOT / "build", reason="another build")
def test_make_says_nothing_when_there_is_nothing_to_do():
    """make demo again printed "make[2]: Nothing to be done for 'all'."."""
    variant = "" if BUILD.name == "plain" else BUILD.name.replace("-", ",")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("MAKE") and name != "MFLAGS"}
    for target in ("all", "units", "libs"):  # -n: other tests need the build
        done = subprocess.run(
            ["make", "-n", f"SANITIZE={variant}", target], cwd=ROOT,
            env=environment, capture_output=True, text=True,
            timeout=300 * SLOW)
        assert done.returncode == 0
        assert "Nothing to be done" not in done.stdout + done.stderr


def test_a_folder_removed_while_its_node_runs(demo):
    """demo-stop said "there is no node" and left 27 processes."""
    port = ports.take(7)
    demo.demo("start", port)
    shutil.rmtree(demo.home)
    assert demo.processes()
    text = demo.demo("stop")
    assert f"the node at {demo.home} is stopped" in text
    assert demo.processes() == []
    assert not listens(port)
    assert "there is no node in" in demo.demo("stop")


def test_a_folder_removed_and_the_demo_started_again(demo):
    """Its own processes kept the ports from it."""
    port = ports.take(7)
    demo.demo("start", port)
    before = set(demo.processes())
    shutil.rmtree(demo.home)
    text = demo.demo("start", port)
    assert f"the node at {demo.home} is stopped" in text
    assert "== delivered:" in text
    assert before.isdisjoint(demo.processes())


@pytest.mark.skipif(os.getuid() != 0 or not may_reach(ROOT / "tests/demo"),
                    reason="needs root, and a tree that others may read")
def test_the_demo_of_another_user(demo):
    """It was "port 2525 is in use", by nobody that ss shows to a user."""
    os.chmod(demo.home.parent, 0o755)
    demo.home.mkdir()
    for action in ("start", "stop"):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             ROOT / "tests/demo", action, BUILD], text=True, timeout=60,
            env=dict(os.environ, DEMO_DIR=str(demo.home)),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert done.returncode == 1
        assert "is that of the user root" in done.stderr
        assert "DEMO_DIR=" in done.stderr


def test_the_demo_says_how_to_use_it(demo):
    """Without MQMAIL_HOME the user commands look for /var/mqmail."""
    text = demo.demo("start", ports.take(7))
    lines = [line.partition(":    ")[2] or line for line in text.splitlines()]
    export = next(line for line in lines if "export MQMAIL_HOME" in line)
    command = lines[lines.index(export) + 1]
    subprocess.run(["sh", "-ec", f"{export.strip()}\n{command}"], check=True,
                   timeout=60 * SLOW)
    assert demo.maildir("carol").parent.exists()
