# SPDX-License-Identifier: ISC
"""kill -9 under load, with clients that send again what was not acknowledged:
every acknowledged message is there, whole, and once; and nothing that was
answered with "later" is.

MQMAIL_CRASH_ROUNDS (default 1; make crash says more) is how often.
"""
import contextlib
import os
import random
import time

import pytest

from ledger import LATER, SENT, Ledger, Load
from node import wait_until

ROUNDS = int(os.environ.get("MQMAIL_CRASH_ROUNDS", "1"))
USERS = 12
PROGRAMS = ["qmail-send", "qmail-start", "qmail-vdeliver", "qmail-smtpd",
            "supervise", "multilog", "svscan"]


def processes(node):
    """[pid, name] of all processes of the node."""
    found = []
    for pid in node.processes():
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                found.append((pid, comm.read().strip()))
    return found


def more_mail(ledger, count=20):
    """Waits until so many more messages were acknowledged."""
    before = ledger.count(SENT)
    wait_until(lambda: ledger.count(SENT) >= before + count,
               lambda: f"{count} more messages\n{ledger.node.logs()}")


def come_up(node):
    """As an operator would, who finds the node in any state."""
    node.svctool("restart")
    assert node.status()["ok"]


def settle(node):
    """Waits until all is delivered."""
    node.retry_until(lambda: node.backlog() == 0, "empty queues", 60)


def check_no_451(node, ledger):
    """
    The other queue takes it, or the same one when it is there again; but for
    what is too large to be kept by the session meanwhile.
    """
    later = [row.body for row in ledger.rows.values() if row.state == LATER]
    assert all(len(body) > 128 * 1024 for body in later), "\n".join(
        line for log in node.home.glob("log/*/current")
        for line in log.read_text().splitlines() if "warning" in line)


@pytest.fixture
def crash_node(make_node):
    return make_node("--users", str(USERS))


def users():
    return [f"u{number}" for number in range(USERS)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_in_turn(crash_node, program):
    ledger = Ledger(crash_node, users())
    with Load(ledger):
        for _ in range(3 * ROUNDS):
            more_mail(ledger)
            victims = [pid for pid, name in processes(crash_node)
                       if name == program]
            if not victims:  # of svscan and its like, once is enough
                break
            ledger.kill(random.choice(victims))
        # What is left of the node still takes mail.
        more_mail(ledger)
    come_up(crash_node)
    settle(crash_node)
    ledger.check()
    if program in ("qmail-send", "qmail-vdeliver"):
        check_no_451(crash_node, ledger)


def test_all_at_once(crash_node):
    """As a power cut would, but for what the kernel still holds."""
    ledger = Ledger(crash_node, users())
    for _ in range(3 * ROUNDS):
        with Load(ledger):
            more_mail(ledger, 50)
            ledger.kill(*(pid for pid, _ in processes(crash_node)))
        wait_until(lambda: not crash_node.processes(), "all are dead")
        come_up(crash_node)
    settle(crash_node)
    ledger.check()


def test_at_random(crash_node):
    """Workers and daemons die at any moment, several a second."""
    ledger = Ledger(crash_node, users())
    until = time.monotonic() + 10 * ROUNDS
    with Load(ledger):
        more_mail(ledger)
        while time.monotonic() < until:
            victims = [pid for pid, name in processes(crash_node)
                       if name.startswith("qmail-")]
            if victims:
                ledger.kill(random.choice(victims))
            time.sleep(random.uniform(0, 0.8))
        more_mail(ledger)
    come_up(crash_node)
    settle(crash_node)
    ledger.check()
    assert ledger.count(SENT) > 50
