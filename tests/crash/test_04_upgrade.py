# SPDX-License-Identifier: ISC
"""A node whose queues the first release has filled is taken over by this one:
stopped, or killed in the middle, as NEWS says."""
import contextlib
import importlib.machinery
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ports
from node import BIN, BUILD, ROOT, SLOW, Node, wait_until

HELD = 200
TRIED = 20


@pytest.fixture(scope="module")
def first_release():
    """Its tree, built."""
    if SLOW > 1:
        pytest.skip("the first release is not built with sanitizers")
    path = ROOT / "tests/bench/bench"
    sys.path.insert(0, str(path.parent))
    try:
        loader = importlib.machinery.SourceFileLoader("bench", str(path))
        bench = importlib.util.module_from_spec(
            importlib.util.spec_from_loader("bench", loader))
        loader.exec_module(bench)
    finally:
        sys.path.remove(str(path.parent))
    commit = bench.parse([str(BUILD)]).part1
    try:
        return Path(bench.build_part1(commit, str(BUILD)))
    except bench.MissingError as reason:
        pytest.skip(str(reason))


def install(programs, folder):
    for program in programs.iterdir():
        new = folder / f".{program.name}"
        shutil.copy(program, new)
        new.rename(folder / program.name)


class Upgraded(Node):
    """A node whose programs are in a folder of its own, the older ones first."""

    def __init__(self, folder, old):
        self.programs = folder.parent / "installed/bin"
        self.old = old
        self.programs.mkdir(parents=True)
        install(old / "build/plain/bin", self.programs)
        super().__init__(folder, "--users", "1", "--queues", "1",
                         "--port-base", ports.take(9))
        self.queue1 = self.queue_dir("queue1")

    def up(self, *options):
        done = subprocess.run(
            [self.old / "tests/node", "up", self.home, *map(str, options)],
            env={**os.environ, "MQMAIL_BUILD": str(self.programs.parent)},
            stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        self.info = dict(line.split("=", 1) for line in
                         done.stdout.splitlines())
        self.domain = self.info["domain"]

    def installed(self, program, *arguments):
        return subprocess.run(
            [self.programs / program, *arguments], env=self.environment(),
            check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=120)

    def installed_svctool(self, *arguments):
        done = self.installed("svctool", *arguments, "--home", self.home)
        assert done.returncode == 0, done.stdout

    def kill(self):
        """All of it at once, as far as that is possible."""
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def text_of(number):
    return f"number {number} " * (1, 10, 300, 20000)[number % 4] + "\n"


def fill(node):
    """Mail that was tried, delivered to alice but not to u0; and mail for alice
    and bob that was not."""
    (node.maildir("u0").parent / ".qmail").write_text("./elsewhere/\n")
    with node.smtp() as client:
        for number in range(TRIED):
            client.sendmail("s@example.net",
                            [f"{user}@{node.domain}" for user in
                             ("alice", "u0")],
                            f"X-Number: {number}\n\n{text_of(number)}")
    node.wait_messages("alice", TRIED)
    wait_until(lambda: len(list(node.queue1.glob("info/*/*"))) == TRIED,
               "what was deferred is remembered")
    node.installed_svctool("queue", "hold", "queue1")
    with node.smtp() as client:
        for number in range(TRIED, TRIED + HELD):
            client.sendmail("s@example.net",
                            [f"{user}@{node.domain}" for user in
                             ("alice", "bob")],
                            f"X-Number: {number}\n\n{text_of(number)}")


def numbers(node, user):
    """Of the user's messages, each of which has its own text."""
    found = []
    for file in node.messages(user):
        head, _, body = file.read_bytes().decode().partition("\n\n")
        number = int(re.search(r"^X-Number: (\d+)$", head, re.M)[1])
        assert body == text_of(number), (user, file)
        found.append(number)
    return sorted(found)


@pytest.mark.parametrize("is_killed", [False, True])
def test_its_mail_is_delivered_once(memory_path, first_release, is_killed):
    node = Upgraded(memory_path / "node", first_release)
    try:
        fill(node)
        if is_killed:
            node.kill()
            said = node.run("queue-fix", node.queue1, code=111).stderr
            assert "older release" in said
            node.installed_svctool("start")
        node.installed_svctool("stop")
        install(BIN, node.programs)
        (node.maildir("u0").parent / ".qmail").unlink()
        node.installed_svctool("start")
        assert node.queue("queue1")["backlog"] == TRIED + HELD
        found = node.svctool("check", code=None)
        assert found.returncode == 0, found.stdout
        node.installed_svctool("queue", "release", "queue1")
        node.retry_until(lambda: node.backlog() == 0, "the queue is empty")
        held = list(range(TRIED, TRIED + HELD))
        assert numbers(node, "alice") == list(range(TRIED + HELD))
        assert numbers(node, "bob") == held
        assert numbers(node, "u0") == list(range(TRIED))
        for pattern in ("lock/journal", "lock/workers", "pid/*", "mess/*/*"):
            assert not list(node.queue1.glob(pattern)), pattern
    finally:
        node.down()
