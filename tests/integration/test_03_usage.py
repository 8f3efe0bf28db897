# SPDX-License-Identifier: ISC
"""What every program says of itself, and to arguments that it has not got."""
import os
import re
import subprocess

import pytest

from node import BIN, ROOT, SLOW

PROGRAMS = sorted(path.name for path in BIN.iterdir())
VERSION = re.search(r'MQMAIL_VERSION "(.*)"',
                    (ROOT / "base/usage.h").read_text())[1]


def run(program, *words):
    return subprocess.run(
        [BIN / program, *words], stdin=subprocess.DEVNULL,
        env={"MQMAIL_HOME": "/nonexistent"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=10 * SLOW)


def test_there_are_programs():
    assert len(PROGRAMS) > 20


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version(program):
    """At once, without a node."""
    done = run(program, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert program in done.stdout.splitlines()[0]
    done = run(program, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{program} (mqmail) {VERSION}\n"


def test_the_version_is_that_of_the_news():
    assert re.search(r"^(\d+\.\d+\S*)", (ROOT / "NEWS").read_text(),
                     re.MULTILINE)[1] == VERSION


@pytest.mark.parametrize("program", PROGRAMS)
def test_unknown_options_are_errors(program):
    done = run(program, "--no-such-option")
    # Commands in .qmail defer, whatever is wrong with their lines;
    # qmail-multi takes it for a program; the others' codes are qmail-queue's.
    wanted = {"vdelivermail": 111, "autoresponder": 111, "qmail-multi": 120, "qmail-queue": 87,
              "qmail-nullqueue": 87, "qmail-qmqpc": 87}.get(program, 100)
    assert done.returncode == wanted
    assert "usage" in done.stdout + done.stderr or program == "qmail-multi"


@pytest.mark.parametrize("program", ["qmail-queue", "qmail-nullqueue"])
@pytest.mark.parametrize("word", ["--help", "--version", "", "queue1"])
def test_an_argument_never_means_queued(program, word):
    """Descriptor 1 is an envelope: nothing can be printed there."""
    done = subprocess.run(
        [BIN / program, word], stdin=subprocess.DEVNULL,
        stdout=os.open("/dev/null", os.O_RDONLY), stderr=subprocess.PIPE,
        text=True, timeout=10 * SLOW)
    assert done.returncode == (111 if word.startswith("--") else 87)
    assert done.stderr.startswith(f"{program}: fatal: ")


def test_help_of_svctools_commands():
    done = run("svctool", "start", "--help")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        line for line in run("svctool", "--help").stdout.splitlines()
        if line.startswith("usage: svctool start ")]


@pytest.mark.parametrize("words", [[], ["-x"], [""], ["a", "b"]])
def test_the_worker_does_not_wait_for_a_wrong_queue(words):
    assert run("qmail-vdeliver", *words).returncode == 100


def test_the_worker_is_started_by_qmail_start_alone(node):
    done = subprocess.run(
        [BIN / "qmail-vdeliver", node.home / "queue/queue1"],
        env=node.environment(), stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL, timeout=10 * SLOW)
    assert done.returncode == 111
    assert "it is qmail-start that starts this program" in done.stderr
