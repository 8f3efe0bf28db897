# SPDX-License-Identifier: ISC
"""New mail over the queues of a collection, on the clock: slices of a second."""
import subprocess
import time

import pytest

from node import wait_until

QUEUES = 5
SLICES = 20
A_SLICE = 8  # messages
TRIES = 3  # on a machine that is too busy to send in time


def accepted(node):
    """How many messages each queue has taken since its start."""
    return {queue["name"]: queue.get("accepted", 0)
            for queue in node.status()["queues"]}


def send_steadily(send):
    """As many messages in each of SLICES slices, one after the other.

    How many did not end in their slice: the queue that took them may be
    that of the next one.
    """
    start = int(time.time()) + 1
    late = 0
    for number in range(SLICES * A_SLICE):
        # With a pause at each slice's end, for those that take long.
        due = start + number // A_SLICE + (
            number % A_SLICE + 1) / A_SLICE * 0.7
        time.sleep(max(0, due - time.time()))
        send(number)
        late += int(time.time()) > int(due)
    return late


def spread(node, send):
    """What each queue got of SLICES slices' messages; and of all tries."""
    sent = 0
    for _ in range(TRIES):
        before = accepted(node)
        late = send_steadily(send)
        sent += SLICES * A_SLICE
        total = sum(before.values()) + SLICES * A_SLICE
        wait_until(lambda: sum(accepted(node).values()) == total,
                   lambda: f"all are counted: {accepted(node)}, {total}")
        after = accepted(node)
        if late == 0:
            break
    return {name: after[name] - before[name] for name in after}, sent, late


def expect_even(got, names, late):
    share = SLICES * A_SLICE / len(names)
    for name, count in got.items():
        if name in names:
            assert abs(count - share) <= 0.1 * share, (got, late)
        else:
            assert count == 0, got


@pytest.fixture
def spread_node(make_node):
    return make_node("--queues", str(QUEUES))


def test_even_over_all_and_over_the_rest(spread_node):
    """Through the SMTP server: all healthy, and then without queue 3."""
    node = spread_node
    names = [f"queue{number}" for number in range(1, QUEUES + 1)]
    with node.smtp() as client:
        def send(number):
            client.sendmail("s@example.net", [f"alice@{node.domain}"],
                            f"Subject: {number}\n\nx\n")

        got, sent, late = spread(node, send)
        expect_even(got, names, late)
        subprocess.run(["svc", "-d", node.home / "service/queue3"],
                       check=True, timeout=60)
        wait_until(lambda: node.queue("queue3")["state"] == "down",
                   "queue3 is down")
        names.remove("queue3")
        got, more, late = spread(node, send)
        expect_even(got, names, late)
    node.wait_messages("alice", sent + more)


def test_even_for_programs(spread_node):
    """qmail-queue, each time a new process; one queue is held: it takes all
    the same."""
    node = spread_node
    node.svctool("queue", "hold", "2")

    def send(number):
        assert node.inject(f"alice@{node.domain}",
                           text=f"Subject: {number}\n\nx\n") == 0

    got, sent, late = spread(node, send)
    expect_even(got, [f"queue{number}" for number in range(1, QUEUES + 1)],
                late)
    assert node.held("queue2") >= got["queue2"] > 0
    node.svctool("queue", "release", "2")
    node.wait_messages("alice", sent)
