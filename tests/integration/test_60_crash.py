# SPDX-License-Identifier: ISC
"""The short form of tests/crash, of whose tests these are: fewer kills.

MQMAIL_CRASH_ROUNDS (default 1; make crash says more) is how often.
"""
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crash"))

import at_syscall
from traffic import kill_at_random, kill_each

ROUNDS = int(os.environ.get("MQMAIL_CRASH_ROUNDS", "1"))


def test_each_process_in_turn(make_node):
    kill_each(make_node("--users", 10), rounds=ROUNDS)


def test_processes_at_random(make_node):
    kill_at_random(make_node("--users", 10), kills=15 * ROUNDS)


@pytest.mark.skipif(shutil.which("strace") is None,
                    reason="strace is not installed")
@pytest.mark.parametrize("call, wanted", [
    ("pwritev2", {"F"}), ("unlinkat", {"S5"}), ("renameat", {"F"})])
def test_killed_in_front_of_some_calls(make_queue, call, wanted):
    """tests/crash has all of them, and other calls."""
    found = at_syscall.walk(make_queue, call, step=2)
    assert found >= wanted
