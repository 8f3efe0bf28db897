# SPDX-License-Identifier: ISC
"""Processes killed with -9 under load: the short form of tests/crash."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crash"))

from traffic import kill_at_random, kill_each


def test_each_process_in_turn(make_node):
    kill_each(make_node("--users", 10), rounds=1)


def test_processes_at_random(make_node):
    kill_at_random(make_node("--users", 10), kills=15)
