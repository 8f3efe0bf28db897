# SPDX-License-Identifier: ISC
"""New mail over the queues of a collection, on the clock: in one slice all of it
goes to one queue, and they take turns.  That it is even then is a matter of
tests/unit/test_mux.c."""
import re
import subprocess
import time

import pytest

from node import wait_until

QUEUES = 5
SLICE_MS = 250
TURNS = 2  # of each queue
A_SLICE = 3  # messages


def now_ms():
    return time.time_ns() // 1000000


class Spread:
    """Messages that are told apart by their senders."""

    def __init__(self, node, send):
        self.node = node
        self.send = send
        self.sent = 0

    def takers(self):
        """The queue that has taken each message, by its number."""
        found = {}
        for folder in (self.node.home / "log").glob("queue*"):
            # What multilog has put aside, too.
            for file in folder.glob("[@c]*"):
                for number in re.findall(r" from <s(\d+)@",
                                         file.read_text(errors="replace")):
                    found[int(number)] = folder.name
        return found

    def expect_turns(self, names):
        """Each of these queues gets all of its slices, and no other gets any.

        A message that took longer than its slice may be the next queue's.
        """
        # Who chooses looks at the queues' health ten times a second.
        first, wanted, slices = now_ms() + 200, {}, set()

        def go_on():
            before = now_ms()
            slot = before // SLICE_MS
            of_slot = [told for told in wanted.values() if told[1] == slot]
            if before < first or len(of_slot) == A_SLICE:
                return False
            self.send(self.sent)
            if now_ms() // SLICE_MS == slot:
                wanted[self.sent] = (names[slot % len(names)], slot)
                slices.add(wanted[self.sent])
            self.sent += 1
            turns = [name for name, _ in slices]
            return all(turns.count(name) >= TURNS for name in names)

        wait_until(go_on, lambda: f"{TURNS} slices of each queue: {slices}")
        wait_until(lambda: len(self.takers()) == self.sent,
                   lambda: f"{self.sent} are logged: {self.takers()}")
        takers = self.takers()
        assert {number: takers[number] for number in wanted} == {
            number: name for number, (name, _) in wanted.items()}
        return takers


@pytest.fixture
def spread_node(make_node):
    return make_node("--queues", str(QUEUES),
                     "--env", f"MQMAIL_TEST_TIMES=SLICE_MS={SLICE_MS}")


def test_all_take_turns_and_so_does_the_rest(spread_node):
    """Through the SMTP server: all healthy, and then without queue 3."""
    node = spread_node
    names = [f"queue{number}" for number in range(1, QUEUES + 1)]
    with node.smtp() as client:
        spread = Spread(node, lambda number: client.sendmail(
            f"s{number}@example.net", [f"alice@{node.domain}"],
            f"Subject: {number}\n\nx\n"))
        before = spread.expect_turns(names)
        subprocess.run(["svc", "-d", node.home / "service/queue3"],
                       check=True, timeout=60)
        wait_until(lambda: node.queue("queue3")["state"] == "down",
                   "queue3 is down")
        names.remove("queue3")
        after = spread.expect_turns(names)
        assert list(before.values()).count("queue3") == \
            list(after.values()).count("queue3") > 0
    node.wait_messages("alice", spread.sent)


def test_programs_take_turns(spread_node):
    """qmail-queue, each time a new process; one queue is held: it takes all
    the same."""
    node = spread_node
    node.svctool("queue", "hold", "2")

    def send(number):
        assert node.inject(f"alice@{node.domain}",
                           sender=f"s{number}@example.net",
                           text=f"Subject: {number}\n\nx\n") == 0

    spread = Spread(node, send)
    takers = spread.expect_turns([f"queue{number}"
                                  for number in range(1, QUEUES + 1)])
    assert node.held("queue2") == list(takers.values()).count("queue2") > 0
    node.svctool("queue", "release", "2")
    node.wait_messages("alice", spread.sent)
