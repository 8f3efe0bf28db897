# SPDX-License-Identifier: ISC
"""Who is neither root nor the node's owner changes nothing of it."""
import os
import shutil
import subprocess

import pytest

from node import BIN, SLOW
from smtp_peer import shared_node
from test_01_node import may_reach

pytestmark = pytest.mark.skipif(os.getuid() != 0,
                                reason="not root: there is nobody else to be")
STRANGER = 65534


@pytest.fixture(scope="module")
def node():
    with shared_node() as made:
        yield made


@pytest.fixture
def stranger(node):
    """Runs programs on the node as another user; gives what they said."""
    folder = BIN
    if not may_reach(BIN):  # the build may lie in a closed place
        folder = node.home.parent / "bin"
        shutil.copytree(BIN, folder)

    def run(program, *words):
        return subprocess.run(
            [folder / program, *words], stdin=subprocess.DEVNULL, text=True,
            capture_output=True, timeout=60 * SLOW, env=node.environment(),
            user=STRANGER, group=STRANGER, extra_groups=[])

    yield run
    if folder != BIN:
        shutil.rmtree(folder)


def owned(node):
    """Every file with owner and content, without what daemons write."""
    return {path: (path.lstat().st_uid, path.lstat().st_mtime_ns)
            for part in ("control", "users", "domains", "service/queue1/run",
                         "tls")
            for path in [node.home / part, *(node.home / part).rglob("*")]}


@pytest.mark.parametrize("words", [
    ["stop"], ["restart"], ["start"], ["status"], ["check"],
    ["queue", "add", "3"], ["queue", "remove", "2"], ["queue", "hold", "1"],
    ["queue", "release", "1"], ["queue", "fix", "1"],
    ["init", "--me", "mail.example.test"]], ids=" ".join)
def test_svctool_is_the_owners(node, stranger, words):
    before = sorted(node.processes()), owned(node)
    done = stranger("svctool", *words, "--home", node.home)
    assert done.returncode == 1, done
    assert "user 0" in done.stderr
    assert "run this as that user" in done.stderr
    assert (sorted(node.processes()), owned(node)) == before
    assert node.status()["ok"]


@pytest.mark.parametrize("words", [
    ["vadddomain", "-n", "example.org"],
    ["vdeldomain", "-f", "example.test"],
    ["vaddaliasdomain", "example.org", "example.test"],
    ["vadduser", "-n", "carol@example.test"],
    ["vdeluser", "-f", "alice@example.test"],
    ["vpasswd", "alice@example.test", "secret"],
    ["vmoduser", "-q", "1000S", "alice@example.test"]],
    ids=lambda words: words[0])
def test_users_and_domains_are_the_owners(node, stranger, words):
    before = owned(node)
    done = stranger(*words)
    assert done.returncode == 100, done
    assert "run this as that user or as root" in (
        done.stderr.replace(", or", " or"))
    assert owned(node) == before


def test_a_stranger_sees_no_password(node, stranger):
    done = stranger("vuserinfo", "alice@example.test")
    assert (done.returncode, done.stdout) == (100, "")
    assert "run this as that user or as root" in done.stderr
