# SPDX-License-Identifier: ISC
"""svctool queue: the collection grows and shrinks, and no mail is lost."""
import subprocess
import threading
import time

import pytest

from node import SLOW, wait_until


def accepted(node):
    return {queue["name"]: queue["accepted"]
            for queue in node.status()["queues"]}


def test_add_and_remove_under_load(node):
    """Mail goes on while a third queue comes and goes."""
    stop = threading.Event()
    sent = []

    def load():
        while not stop.is_set():
            node.send("alice", f"message {len(sent)}")
            sent.append(1)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        node.svctool("queue", "add", "3")
        assert (node.control / "queue_count").read_text() == "3\n"
        wait_until(lambda: accepted(node)["queue3"] > 0,
                   "queue3 gets mail")
        node.svctool("queue", "remove", "3")
        assert (node.control / "queue_count").read_text() == "2\n"
    finally:
        stop.set()
        thread.join()
    assert not node.queue_dir("queue3").exists()
    assert not (node.home / "service/queue3").exists()
    node.wait_messages("alice", len(sent))
    assert node.status()["ok"]
    assert "0 errors, 0 warnings" in node.svctool("check").stdout


def test_an_extra_queue_is_not_counted(node):
    node.svctool("queue", "add", "slowq")
    assert node.queue("slowq")["ok"]
    assert (node.control / "queue_count").read_text() == "2\n"
    node.svctool("queue", "remove", "slowq")
    assert not node.queue_dir("slowq").exists()


def test_numbers_have_no_gap(node):
    done = node.svctool("queue", "add", "5", code=1)
    assert "the next one is queue3" in done.stderr
    done = node.svctool("queue", "remove", "1", code=1)
    assert "remove queue2 first" in done.stderr


@pytest.mark.parametrize("words", [("add", "3"), ("add", "7"),
                                   ("remove", "2"), ("remove", "1")])
def test_a_wrong_queue_start_is_said(make_node, words):
    """Else queue2 would count as an extra queue, and go."""
    node = make_node("--init-only")
    (node.control / "queue_start").write_text("5\n")
    done = node.svctool("queue", *words, code=1)
    assert f"begin with queue5, as {node.control}/queue_start" in done.stderr
    assert "while queue1 is: is the number wrong?" in done.stderr
    assert {path.name for path in (node.home / "queue").iterdir()} == {
        "queue1", "queue2"}


def test_check_names_a_wrong_queue_start(make_node):
    """It said "svctool queue remove queue1", of a queue with mail."""
    node = make_node("--init-only")
    (node.control / "queue_start").write_text("5\n")
    done = node.svctool("check", code=1)
    assert "/queue/queue5', which does not exist: write the first queue's" in (
        done.stdout)
    assert "queue remove" not in done.stdout
    assert "queue add" not in done.stdout


def test_the_only_queue_stays(make_node):
    node = make_node("--queues", "1")
    done = node.svctool("queue", "remove", "1", code=1)
    assert "only queue" in done.stderr
    assert node.queue("queue1")["ok"]


def test_an_unknown_queue_is_said(node):
    for what in ("remove", "hold", "release", "fix"):
        done = node.svctool("queue", what, "9", code=1)
        assert "no queue" in done.stderr


def test_hold_keeps_mail_and_release_delivers_it(node):
    for name in ("queue1", "queue2"):
        node.svctool("queue", "hold", name, "--local")
        queue = node.queue(name)
        assert queue["held_local"] and not queue["held_remote"]
    assert "local" in node.svctool("status").stdout
    for number in range(3):
        node.send("alice", f"message {number}")
    assert node.backlog() == 3
    assert node.messages("alice") == []
    for name in ("1", "2"):
        done = node.svctool("queue", "release", name)
        assert (f"queue{name}: local deliveries go on, remote deliveries go on"
                in done.stdout)
    node.wait_messages("alice", 3)
    assert not (node.control / "holdlocal.queue1").exists()


def test_release_says_what_still_holds(node):
    """control/holdremote is for every queue, and is not taken away for one."""
    (node.control / "holdremote").write_text("1\n")
    node.svctool("queue", "hold", "1")
    done = node.svctool("queue", "release", "1", code=1)
    assert "local deliveries go on, remote deliveries are held" in done.stdout
    assert f"still held, by '{node.control}/holdremote'" in done.stderr
    node.svctool("queue", "release", "1", "--local")
    (node.control / "holdremote").unlink()
    node.svctool("queue", "release", "1")


@pytest.mark.parametrize("how", ["held", "down"])
def test_an_empty_queue_goes_whatever_it_does(node, how):
    """Nothing in it waits for a delivery.  Its log stays, and that is said."""
    log = node.home / "log/queue2"
    if how == "held":
        node.svctool("queue", "hold", "2")
    else:
        subprocess.run(["svc", "-d", node.home / "service/queue2"],
                       check=True, timeout=60)
        wait_until(lambda: node.queue("queue2")["state"] == "down",
                   "queue2 is down")
    done = node.svctool("queue", "remove", "2")
    assert f"kept     {log}: the log of what it delivered" in done.stdout
    assert (log / "current").exists()
    assert not node.queue_dir("queue2").exists()
    assert [path.name for path in node.control.glob("hold*")] == []
    assert node.status()["ok"]


def test_a_down_queue_with_messages_is_not_removed(node):
    node.svctool("queue", "hold", "2")
    assert node.inject("alice@example.test", queue="queue2") == 0
    node.svctool("queue", "release", "1")
    subprocess.run(["svc", "-d", node.home / "service/queue2"], check=True,
                   timeout=60)
    wait_until(lambda: node.queue("queue2")["state"] == "down", "it is down")
    begin = time.monotonic()
    done = node.svctool("queue", "remove", "2", code=1)
    assert time.monotonic() - begin < 20 * SLOW
    assert "queue2 holds 1 messages" in done.stderr
    assert (node.control / "queue_count").read_text() == "2\n"
    assert node.held("queue2") == 1


def test_a_held_queue_with_messages_is_not_removed(node):
    node.svctool("queue", "hold", "2")
    assert node.inject("alice@example.test", queue="queue2") == 0
    done = node.svctool("queue", "remove", "2", code=1)
    assert "queue2 holds 1 messages" in done.stderr
    assert (node.control / "queue_count").read_text() == "2\n"
    assert node.queue("queue2")["ok"]
    node.svctool("queue", "release", "2")
    node.wait_messages("alice", 1)
    node.svctool("queue", "remove", "2")


def test_a_queue_that_does_not_drain_is_counted_again(node):
    assert node.inject("nobody@elsewhere.example", queue="queue2") == 0
    assert node.held("queue2") == 1  # remote: nothing delivers it here
    done = node.svctool("queue", "remove", "2", "--timeout", "1", code=1)
    assert "queue2 holds 1 messages" in done.stderr
    assert (node.control / "queue_count").read_text() == "2\n"
    assert node.queue("queue2")["ok"]


def test_fix_of_a_running_queue_keeps_its_mail(node):
    node.svctool("queue", "hold", "1")
    node.svctool("queue", "hold", "2")
    for number in range(3):
        node.send("alice", f"message {number}")
    for name in ("1", "2"):
        node.svctool("queue", "fix", name)
    assert node.status()["ok"]
    assert node.backlog() == 3
    for name in ("1", "2"):
        node.svctool("queue", "release", name)
    node.wait_messages("alice", 3)


def test_hold_of_a_stopped_queue_holds_from_its_start(node):
    node.svctool("stop")
    done = node.svctool("queue", "hold", "1")
    assert "is down" in done.stdout
    node.svctool("start")
    assert node.queue("queue1")["held_local"]
