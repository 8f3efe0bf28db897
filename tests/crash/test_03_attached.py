# SPDX-License-Identifier: ISC
"""A running node's processes killed in front of chosen system calls."""
import shutil
import time

import pytest

from delivery_log import Kill
from node import SLOW, wait_until
from syscalls import Tracer
from traffic import Traffic, Victims, part_of, settle

pytestmark = pytest.mark.skipif(shutil.which("strace") is None,
                                reason="strace is not installed")

# Where a message changes hands or place; the first, and some later call.
CALLS = {
    "qmail-smtpd": ["recvmsg", "sendmsg", "sendto"],
    "qmail-vdeliver queue1": ["openat", "writev", "fdatasync,syncfs",
                              "renameat2", "fsync", "sendmsg"],
    "qmail-send queue1": ["pwritev2", "sendmsg", "write"],
}
CASES = [(name, call, when) for name, calls in CALLS.items()
         for call in calls for when in (1, 2, 7)]


def kill_at(victims, name, call, when, traffic):
    pid = victims.pid(name)
    with Tracer(pid, call, f"{call}:signal=KILL:when={when}"):
        wait_until(lambda: victims.pid(name) != pid,
                   f"{name} comes to {call} number {when}", 60 * SLOW)
    traffic.kills.append(Kill(time.time(), *part_of(name)))
    victims.wait_again(name, pid)


def test_killed_at_calls(make_node):
    node = make_node("--users", 10)
    victims, traffic = Victims(node), Traffic(node)
    try:
        for name, call, when in CASES:
            traffic.wait_accepted(10)
            kill_at(victims, name, call, when, traffic)
        traffic.wait_accepted(20)
    finally:
        traffic.stop()
    settle(node, traffic)
