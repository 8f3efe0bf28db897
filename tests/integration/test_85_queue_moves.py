# SPDX-License-Identifier: ISC
"""svctool queue: each verb with each filter, and moves whose queues and svctool
are killed under load: no recipient is lost, and none has a message twice."""
import collections
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

import ports
from node import BIN, SLOW, wait_until
from test_74_remote_delivery import Host
from test_75_queue_operations import go_on, held, listed, put

__all__ = ["held"]
VERBS = ["list", "show", "hold", "release", "retry", "delete", "bounce",
         "move"]


def words(verb):
    return {"move": ["--to", "2"], "bounce": ["--text", "No. (#5.7.1)"]}.get(
        verb, [])


def run_json(node, verb, *filters, code=0):
    done = node.svctool("queue", verb, "--json", *words(verb), *filters,
                        code=code)
    return json.loads(done.stdout)


# -- filters

def make_failed(node, local):
    """One with a failure that is told later: another recipient waits."""
    node.svctool("queue", "hold", "queue1", "--remote")
    node.svctool("queue", "release", "queue1", "--local")
    row = put(node, f"{local}@{node.domain}", f"x@{local}.far.example",
              sender=f"bob@{node.domain}")
    wait_until(lambda: listed(node, "--id", row["id"])[0]["recipients"] ==
               [f"x@{local}.far.example"], node.logs)
    node.svctool("queue", "hold", "queue1")
    return row


def match_of(node, name, turn):
    """A message that a filter of its own finds; the filter."""
    tag = f"{name}{turn}"
    if name == "sender":
        return put(node, "x@far.example", sender=f"{tag}@one.example"), \
            ["--sender", f"{tag}@*"]
    if name == "recipient":
        return put(node, "x@far.example", f"{tag}@far.example"), \
            ["--recipient", f"{tag}@FAR.example"]
    if name == "domain":
        return put(node, f"x@{tag}.example"), ["--domain", f"{tag}.*"]
    if name == "lane":
        return put(node, f"x@{tag}.example"), ["--lane", f"{tag}.example",
                                               "--all"]
    if name == "larger":
        return put(node, "x@far.example", text="Subject: x\n\n" + "x" * 9000), \
            ["--larger", "8k"]
    if name == "older":
        row = put(node, "x@far.example")
        path, = node.queue_dir("queue1").glob(f"info/*/{row['id']}")
        os.utime(path, (time.time() - 90000, time.time() - 90000))
        return row, ["--older", "1d"]
    if name == "reason":
        return make_failed(node, tag), ["--reason", f"*{tag}*"]
    row = put(node, "x@far.example")
    return row, ["--id", row[name]]


def rows(node):
    """What list says, without what time changes."""
    return [{**row, "age": 0} for row in listed(node)]


def before_of(before, row):
    return next(one for one in before if one["uuid"] == row["uuid"])


@pytest.mark.parametrize("name", ["sender", "recipient", "domain", "lane",
                                  "larger", "older", "reason", "id", "uuid"])
def test_each_verb_with_each_filter(held, name):
    """Dry, nothing changes; then this message alone is meant by all of them."""
    other = put(held, f"alice@{held.domain}", "x@near.example")

    def others():
        return [row for row in rows(held) if row["id"] == other["id"]]
    for last in ("delete", "bounce"):
        row, chosen = match_of(held, name, last)
        if name == "lane":
            chosen = chosen[:2]
        before = rows(held)
        for verb in VERBS:
            is_lane = name == "lane" and verb in ("hold", "release", "retry")
            dry = [] if verb in ("list", "show") else ["--dry-run"]
            found = run_json(held, verb, *chosen, *dry)
            if is_lane:
                assert {one["lane"] for one in found} == {chosen[1]}
                assert len(found) == 2
            else:
                assert [one["id"] for one in found] == [row["id"]], verb
            assert not any(one.get("done") for one in found)
        assert rows(held) == before
        if name != "lane":
            run_json(held, "hold", *chosen)
            assert [one["id"] for one in listed(held) if one["held"]] == [
                row["id"]]
            run_json(held, "retry", *chosen, code=1)
            run_json(held, "release", *chosen)
            assert not any(one["held"] for one in listed(held))
            run_json(held, "retry", *chosen)
        if name in ("id", "uuid"):
            chosen = ["--id", row["uuid"]]
        moved, = run_json(held, "move", *chosen)
        assert moved["done"] and moved["uuid"] == row["uuid"]
        now, = listed(held, "--queue", "2", "--id", row["uuid"])
        assert now["recipients"] == before_of(before, row)["recipients"]
        assert others() == [one for one in before if one["id"] == other["id"]]
        run_json(held, last, *chosen)
        wait_until(lambda: listed(held, "--id", row["uuid"]) == [], "it ends")
        # The report of it is held, too.
        for report in listed(held, "--queue", "2"):
            held.svctool("queue", "delete", "--id", report["id"])
        assert [one["uuid"] for one in others()] == [other["uuid"]]


def test_a_lane_in_json(held):
    put(held, "x@far.example")
    assert [(row["queue"], row["lane"], row["done"]) for row in
            run_json(held, "hold", "--lane", "far.example")] == [
        ("queue1", "far.example", True), ("queue2", "far.example", True)]
    for row in run_json(held, "retry", "--lane", "none.example"):
        assert not row["done"] and "nothing waits" in row["problem"]
    run_json(held, "release", "--lane", "far.example", "--queue", "1")
    assert (held.queue_dir("queue2") / "lock/held").read_text() == (
        "lane far.example\n")


# -- the log

def log_of(node, *options):
    done = node.svctool("log", "--json", *options)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_log_follows_a_move(held):
    """By the UUID through both queues; by a number in its own."""
    alice = f"alice@{held.domain}"
    row = put(held, alice, sender="moved@example.net")
    put(held, f"bob@{held.domain}", queue="queue2")
    held.svctool("queue", "move", "--sender", "moved@*", "--to", "2")
    now, = listed(held, "--id", row["uuid"])
    go_on(held)
    held.wait_messages("alice", 1)
    held.wait_messages("bob", 1)

    def lines(*options):
        return [(line["service"], line["text"].split(":")[0].split(" ")[0])
                for line in log_of(held, *options)]

    wait_until(lambda: ("queue2", "end") in lines("--id", now["id"]), "its end")
    whole = lines("--id", row["uuid"])
    assert [one for one in whole if one[0] == "queue1"] == [
        ("queue1", word) for word in
        ("new", "info", "hold", "forget", "end")]
    assert [one for one in whole if one[0] == "queue2"] == [
        ("queue2", word) for word in
        ("new", "info", "starting", "delivery", "end")]
    assert lines("--id", now["id"]) == [
        one for one in whole if one[0] == "queue2"]
    assert lines("--id", row["uuid"], "--queue", "1") == [
        one for one in whole if one[0] == "queue1"]
    # Of the other message nothing, whatever is asked by.
    assert lines("--address", alice.upper(), "--queue", "2") == [
        ("queue2", "starting"), ("queue2", "delivery")]
    assert {one[0] for one in lines("--address", "Moved@Example.net")} == {
        "queue1", "queue2"}
    assert lines("--id", row["uuid"], "--since", "1h") == whole
    assert lines("--id", row["uuid"], "--until", "1h") == []


# -- moves that are cut short

def test_a_cut_move_is_not_released_by_a_filter(held):
    """It may be in the other queue, and would be delivered by both."""
    row = put(held, "x@far.example", sender=f"bob@{held.domain}")
    third = "queue1"
    # Its socket is taken away when the message is held, and before it is
    # handed over: the queue is stopped, but does not know it yet.
    pid = held.queue("queue2")["pid"]
    os.kill(pid, signal.SIGSTOP)
    process = subprocess.Popen(
        [BIN / "svctool", "queue", "move", "--all", "--to", "2", "--home",
         held.home], env=held.environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listed(held)[0]["held"], "it is held")
    finally:
        process.kill()
        process.wait(20 * SLOW)
        os.kill(pid, signal.SIGCONT)
    assert listed(held, "--queue", third)[0]["moving_to"] == "queue2"
    assert "held: to queue2" in held.svctool("queue", "list").stdout
    assert (held.queue_dir("queue1") / "lock/held").read_text() == (
        f"msg {row['id']} queue2\n")
    for verb in (["release", "--all"],
                 ["bounce", "--all", "--text", "no"]):
        done = held.svctool("queue", *verb, code=1)
        assert "its move to queue2 was cut short" in done.stderr
    # Held once more, and after a restart, it is still so.
    held.svctool("queue", "hold", "--all")
    kill(held, "queue1")
    held.svctool("queue", "release", "--all", code=1)
    held.svctool("queue", "move", "--all", "--to", "2")
    assert [(one["queue"], one["held"]) for one in listed(held)] == [
        ("queue2", False)]
    assert (held.queue_dir("queue1") / "lock/held").read_text() == ""


def kill(node, name):
    """Its qmail-send; waits for the next one."""
    pid = node.queue(name)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: node.queue(name)["pid"] not in (None, pid) and
               node.queue(name)["ok"], node.logs, 60 * SLOW)


def test_it_may_return_after_a_kill(held):
    """The queue that it had left took it for one that had ended there."""
    row = put(held, f"alice@{held.domain}", "x@far.example")
    for turn in range(3):
        here, there = ("queue1", "queue2")[::-1 if turn % 2 else 1]
        held.svctool("queue", "move", row["uuid"], "--to", there)
        kill(held, here)
        assert [(one["queue"], one["uuid"]) for one in listed(held)] == [
            (there, row["uuid"])]
    go_on(held)
    held.wait_messages("alice", 1)


class Mover(threading.Thread):
    """Moves all mail to and fro until it is told to stop; kills svctool."""

    def __init__(self, node, kills):
        super().__init__()
        self.node, self.kills = node, kills
        self.is_over = threading.Event()
        self.moved = self.killed = 0
        self.start()

    def run(self):
        chance = random.Random("moves")
        queue = 1
        while not self.is_over.is_set():
            process = subprocess.Popen(
                [BIN / "svctool", "queue", "move", "--all", "--queue",
                 str(queue), "--to", str(3 - queue), "--home",
                 self.node.home], env=self.node.environment(),
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            if self.kills and chance.random() < 0.6:
                time.sleep(chance.random() * 0.3)
                process.kill()
                self.killed += 1
            self.moved += process.communicate(timeout=120 * SLOW)[0].count(
                "moved queue")
            queue = 3 - queue

    def stop(self):
        self.is_over.set()
        self.join(200 * SLOW)


def finish_moves(node, verb):
    """As an operator does: where each was to go, it goes.  What is over there
    has the verb here, by what the log says."""
    for _ in range(20):
        rests = [row for row in listed(node) if row["held"]]
        if not rests:
            return
        for row in rests:
            done = node.svctool(
                "queue", "move", row["uuid"], "--queue", row["queue"], "--to",
                row["moving_to"], code=None)
            if "has it no more" in done.stderr:
                assert not is_there(node, row["moving_to"], row["uuid"])
                node.svctool("queue", verb, "--id", row["id"], "--queue",
                             row["queue"])


def is_there(node, queue, uuid):
    return listed(node, "--queue", queue, "--id", uuid) != []


@pytest.fixture
def world(make_node):
    node = make_node("--queues", "2", "--no-listeners")
    port = ports.take()
    host = Host("127.0.0.2", port)
    (node.control / "smtproutes").write_text(f":[127.0.0.2]:{port}\n")
    node.reread_remote()
    yield node, host
    host.close()


def users(count):
    return [f"{kind}{number}" for number in range(count)
            for kind in ("a", "b")]


def inject(node, count, first=0):
    for number in range(first, first + count):
        assert node.inject(
            f"alice@{node.domain}", f"bob@{node.domain}",
            f"a{number}@far.example", f"b{number}@far.example",
            queue=f"queue{1 + number % 2}", text=(
                f"Subject: {number}\n\n" + "x\n" * (number % 7 * 3000))) == 0


def account(node, host, count):
    """Each recipient once: by the Maildirs, and by what the host took."""
    node.retry_until(lambda: node.backlog() == 0, "empty queues", 90 * SLOW)
    for user in ("alice", "bob"):
        subjects = collections.Counter(
            re.search(rb"^Subject: (\d+)", path.read_bytes(), re.M)[1]
            for path in node.messages(user))
        assert subjects == {b"%d" % number: 1 for number in range(count)}, user
    taken = collections.Counter(
        recipient for _, recipients, _ in host.messages
        for recipient in recipients)
    assert taken == {f"{user}@far.example": 1 for user in users(count)}


def test_moves_while_both_deliver(world):
    """svctool is killed again and again; nobody gets anything twice."""
    node, host = world
    chance = random.Random("host")
    mover = Mover(node, kills=True)
    # Something is left until some was moved.
    host.answers["RCPT"] = lambda line: (
        "450 4.2.1 later" if not mover.moved or chance.random() < 0.5
        else "250 ok")
    try:
        for turn in range(15):
            inject(node, 4, 4 * turn)
            subprocess.run(["svc", "-a", node.home / "service/queue1",
                            node.home / "service/queue2"], check=True)
        wait_until(lambda: mover.moved and mover.killed, "both have happened")
    finally:
        mover.stop()
    host.answers.clear()
    finish_moves(node, "delete")
    account(node, host, 60)


def test_moves_while_queues_are_killed(world):
    """Nothing is taken meanwhile, so that no reply can be lost: then each once,
    whatever was killed where."""
    node, host = world
    host.answers["RCPT"] = "450 4.2.1 later"
    chance = random.Random("kills")
    mover = Mover(node, kills=True)
    try:
        for turn in range(8):
            inject(node, 5, 5 * turn)
            name = f"queue{1 + turn % 2}"
            time.sleep(chance.random() * 0.5)
            kill(node, name)
        wait_until(lambda: mover.moved, "some were moved")
    finally:
        mover.stop()
    finish_moves(node, "release")  # nothing was delivered
    host.answers.clear()
    account(node, host, 40)


SENDS = 10  # of svctool for one message: more than there are


def cut_move(node, sends, *words):
    """svctool queue move, killed after so many packets; false: it was over."""
    return subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto,sendmsg",
         "-e", f"inject=sendto,sendmsg:signal=KILL:when={sends}",
         BIN / "svctool", "queue", "move", *words, "--home", node.home],
        env=node.environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, timeout=120 * SLOW).returncode != 0


def test_back_after_a_move_that_was_cut(world):
    """What was done where it went is not forgotten with that copy."""
    node, host = world
    is_open = False
    host.answers["RCPT"] = lambda line: (
        "250 ok" if is_open and "<a" in line else "450 4.2.1 later")
    cuts = 0
    for sends in range(1, SENDS):
        assert node.inject(f"a{sends}@far.example", f"b{sends}@far.example",
                           queue="queue1") == 0
    wait_until(lambda: len(listed(node)) == SENDS - 1, "all are there")
    for sends, row in enumerate(listed(node), 1):
        cuts += cut_move(node, sends, "--id", row["uuid"], "--to", "queue2")
    assert 2 < cuts < SENDS - 1
    is_open = True
    moved = listed(node, "--queue", "queue2")
    assert moved
    node.retry_until(
        lambda: len(host.messages) >= sum(not row["held"] for row in moved),
        "those that were handed over are tried")
    node.svctool("queue", "move", "--all", "--queue", "queue2", "--to",
                 "queue1", code=None)
    finish_moves(node, "delete")
    host.answers.clear()
    node.retry_until(lambda: node.backlog() == 0, "empty queues", 90 * SLOW)
    taken = collections.Counter(
        recipient for _, recipients, _ in host.messages
        for recipient in recipients)
    assert taken == {f"{kind}{number}@far.example": 1
                     for number in range(1, SENDS) for kind in "ab"}
