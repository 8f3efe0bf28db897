# SPDX-License-Identifier: ISC
"""make install: a node of the installed programs, without the build folder."""
import os
import smtplib
import subprocess
from pathlib import Path

import pytest

from installed import install
import ports
from node import BUILD, SLOW, Node


@pytest.fixture(scope="module")
def sbin(tmp_path_factory):
    return install(tmp_path_factory.mktemp("installed"))


def test_programs_are_the_builds_own(sbin):
    built = {path.name for path in (BUILD / "bin").iterdir()}
    assert {path.name for path in sbin.iterdir()} == built
    for path in sbin.iterdir():
        mode = path.stat().st_mode
        assert mode & 0o7777 == 0o755, path  # nothing is setuid
        assert path.stat().st_ino != (BUILD / "bin" / path.name).stat().st_ino


def executables(node):
    """The programs of the node that run, by path."""
    found = set()
    for pid in node.processes():
        try:
            found.add(Path(os.readlink(f"/proc/{pid}/exe")))
        except OSError:
            pass  # it has just ended
    return found


@pytest.fixture
def installed_node(sbin, make_node):
    """Made by installed programs that are found by PATH, and not started."""
    place = make_node("--init-only").home.parent  # which ends with the test
    node = Node.__new__(Node)
    node.home = place / "installed"
    node.domain = "example.test"
    node.env = {"PATH": f"{sbin}:/usr/bin:/bin", "MQMAIL_HOME": str(node.home)}
    for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
                 "UBSAN_OPTIONS"):
        if name in os.environ:
            node.env[name] = os.environ[name]
    node.port = ports.take()
    user = ["--user", "root"] if os.getuid() == 0 else []
    if user:
        node.env["MQMAIL_USER"] = "root"
    run(node, "svctool", "init", "--home", node.home, "--me",
        "mail.example.test", "--domain", node.domain, "--queues", "1",
        "--address", "127.0.0.1", "--port", str(node.port), *user)
    run(node, "vadduser", "-n", "carol@example.test")
    yield node
    run(node, "svctool", "stop", "--home", node.home)
    assert node.processes() == []


def run(node, program, *words):
    """As an operator types it, in a folder that is nobody's."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@"', program, *map(str, words)], cwd="/",
        env=node.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=120 * SLOW)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_an_installed_node_delivers(sbin, installed_node):
    node = installed_node
    run(node, "svctool", "start", "--home", node.home)
    with smtplib.SMTP("127.0.0.1", node.port, timeout=30 * SLOW) as client:
        client.sendmail("s@example.net", ["carol@example.test"],
                        "Subject: installed\n\nHello.\n")
    (message,) = node.wait_messages("carol", 1)
    assert b"Subject: installed" in message
    assert "0 errors" in run(node, "svctool", "check", "--home", node.home)
    assert "messages in queue: 0" in run(node, "qmail-qstat")
    # All of it runs from there, and a rebuild of the tree changes nothing.
    ours = {path for path in executables(node) if path.name.startswith("qmail")}
    assert {path.name for path in ours} >= {"qmail-smtpd", "qmail-start",
                                            "qmail-send", "qmail-vdeliver"}
    assert {path.parent for path in ours} == {sbin.resolve()}


def test_install_twice_replaces(sbin, tmp_path):
    first = install(tmp_path / "d")
    (first / "svctool").write_text("old")
    install(tmp_path / "d")
    assert (first / "svctool").stat().st_size > 1000
