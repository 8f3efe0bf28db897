# SPDX-License-Identifier: ISC
"""svctool queue destinations, suspend, resume, rebind and reset; lanes that
are told why they rest, and when they do not any more."""
import json
import os
import re
import signal
import threading
import time

import pytest

from name_server import NameServer
from node import SLOW, wait_until
from test_74_remote_delivery import LOCAL, ZONE, Host, World


@pytest.fixture(scope="module")
def names():
    server = NameServer({"peer.test": ZONE})
    yield server
    server.close()


@pytest.fixture
def world(make_node, names):
    made = World(make_node, names)
    yield made
    made.close()
    for service in ("remote", "queue1", "queue2"):
        assert "Sanitizer" not in made.node.log(service)


def destinations(world, *words):
    done = world.node.svctool("queue", "destinations", "--json", *words)
    return json.loads(done.stdout)


def of(world, domain):
    """The one of this domain; of several the first."""
    rows = destinations(world, domain)
    return rows[0] if rows else None


def wait_state(world, domain, state):
    def look():
        row = of(world, domain)
        return row and row["state"] == state and row
    return wait_until(look, lambda: f"{domain} {state}: "
                      f"{destinations(world)}\n{world.node.logs()}", 60 * SLOW)


def resting(world, lane):
    """How often the lane began to rest."""
    return len(re.findall(rf"lane {re.escape(lane)}: rests", world.log()))


# -- retry

class Slow(Host):
    """Ends its first connections without a greeting, when it is told to."""

    def __init__(self, *options):
        self.goes_on = threading.Event()
        self.dropped = 0
        super().__init__(*options)

    def talk(self, connection, file):
        if self.dropped < 1:
            self.goes_on.wait(60 * SLOW)
            self.dropped += 1
        else:
            super().talk(connection, file)


def retry_lane(world, lane):
    world.node.svctool("queue", "retry", "--lane", lane)


def test_retry_of_a_lane_that_rests(world):
    """Its only message is read from disk before the lane asks for room."""
    world.node.up()
    one = world.host(2)
    one.greeting = "421 4.3.2 not now"
    assert world.node.inject("a@one.peer.test") == 0
    world.wait_log(r"lane one\.peer\.test: rests")
    wait_until(lambda: any(
        list(world.node.queue_dir(queue).glob("info/*/*"))
        for queue in ("queue1", "queue2")), "it is on disk")
    one.greeting = "220 now"
    retry_lane(world, "one.peer.test")
    one.wait(1)
    world.node.wait_empty()


def test_retry_while_a_connection_is_made(world):
    """One more is made at once when that one fails."""
    world.node.up()
    one = Slow("127.0.0.2", world.port)
    world.hosts.append(one)
    assert world.node.inject("a@one.peer.test") == 0
    wait_until(lambda: one.connections == 1, "it is tried")
    retry_lane(world, "one.peer.test")
    one.goes_on.set()
    one.wait(1)
    world.node.wait_empty()


def test_retry_while_it_is_being_sent(world):
    """It is sent again at once when it is deferred."""
    world.node.up()
    one = world.host(2)
    one.holds.clear()
    one.answers["."] = lambda line: (
        "451 4.3.0 not now" if one.at_dot == 1 else "250 now")
    assert world.node.inject("a@one.peer.test") == 0
    wait_until(lambda: one.at_dot == 1, "it is being sent")
    retry_lane(world, "one.peer.test")
    one.holds.set()
    one.wait(1)
    assert one.at_dot == 2
    world.node.wait_empty()


# -- what is shown

def test_what_is_known_of_a_destination(world):
    world.node.up()
    assert destinations(world) == []
    one = world.host(2)
    assert world.node.inject("a@one.peer.test", "b@one.peer.test") == 0
    one.wait(1)
    wait_until(lambda: (of(world, "one.peer.test") or {}).get("messages") == 1,
               "it is counted")
    row = of(world, "one.peer.test")
    assert row["domains"] == ["one.peer.test"]
    assert row["hosts"] == [{"host": "h2.peer.test", "ip": "127.0.0.2",
                             "port": world.port, "failures": 0, "rests": 0}]
    assert row["window"] >= 5 and row["delivered"] == 2
    assert row["failed"] == row["deferred"] == row["rests"] == 0
    assert row["tls"] == "plain" and "taken" in row["last_reply"]
    one.answers["RCPT"] = "550 5.1.1 no \x1b[31m such"
    assert world.node.inject("no@one.peer.test", sender=LOCAL) == 0
    wait_until(lambda: of(world, "one.peer.test")["failed"] == 1, "a failure")
    row = of(world, "one.peer.test")
    assert (row["messages"], row["delivered"]) == (2, 2)
    text = world.node.svctool("queue", "destinations", "one.peer.test").stdout
    assert text.startswith("one.peer.test: ")
    assert f"host h2.peer.test 127.0.0.2 port {world.port}\n" in text
    assert "last reply: " in text and "\x1b" not in text
    assert destinations(world, "--domain", "TWO.*") == []
    assert destinations(world, "--domain", "one.*") != []
    assert destinations(world, "two.peer.test") == []


def test_slower_and_why(world):
    """A reply that asks for fewer connections or messages is seen."""
    world.node.up()
    one = world.host(2)
    one.answers["RCPT"] = "452 4.2.2 over quota"
    one.answers["MAIL"] = "421 4.7.0 too many connections from your host"
    assert world.node.inject("a@one.peer.test") == 0
    wait_until(lambda: (of(world, "one.peer.test") or {}).get("deferred"),
               "it is deferred")
    row = of(world, "one.peer.test")
    assert row["window"] < 5 and row["capped"] > 0
    assert "too many connections" in row["last_reply"]


@pytest.mark.parametrize("greeting, column", [
    ("421 4.7.0 too many connections from your host", "capped"),
    ("450 4.7.1 too much mail from you", "rate")])
def test_a_greeting_says_how_fast(world, greeting, column):
    world.node.up()
    one = world.host(2)
    one.greeting = greeting
    assert world.node.inject("a@one.peer.test") == 0
    row = wait_state(world, "one.peer.test", "resting")
    assert row[column] > 0
    world.node.wait_log("remote", "refused connection by h2.peer.test: rate, ")


def test_open_connections_follow_the_window(world):
    """Those that are more than the window go when their message is over."""
    world.node.up()
    one = world.host(2)
    one.holds.clear()
    for i in range(60):
        assert world.node.inject(f"u{i}@one.peer.test") == 0
    wait_until(lambda: one.at_dot >= 5, "the window is open", 20 * SLOW)
    one.answers["RCPT"] = "450 4.3.2 too many concurrent connections"
    one.holds.set()
    wait_until(lambda: of(world, "one.peer.test")["capped"], "it is capped")
    one.holds.clear()
    one.answers.clear()
    world.node.svctool("queue", "retry", "--all")
    window = of(world, "one.peer.test")["window"]
    assert window < 5
    wait_until(lambda: one.at_dot > 5 and len(one.open) <= window,
               lambda: f"{len(one.open)} connections, {one.at_dot}",
               20 * SLOW)
    one.holds.set()
    world.node.retry_until(lambda: world.node.backlog() == 0, "empty queues")


def test_an_operator_limits_a_destination(world):
    """The peer counts; of two domains with one host the smaller limit."""
    limits = world.node.control / "destinationlimits"
    limits.write_text("one.peer.test:0\n")
    assert "domain with a limit" in world.node.svctool(
        "check", code=None).stdout
    limits.write_text("one.peer.test:2\nthere.peer.test:4\n*:3:1000\n")
    world.node.up()
    one = world.host(2)
    seen = []

    def count(_line):
        seen.append(len(one.open))
        return "250 ok"

    one.answers["MAIL"] = count
    one.holds.clear()
    for i in range(20):
        assert world.node.inject(f"u{i}@there.peer.test") == 0
    wait_until(lambda: one.at_dot >= 4, "its window", 60 * SLOW)
    assert of(world, "there.peer.test")["limit"] == 4
    one.holds.set()
    one.wait(20)
    assert max(seen) == 4

    # The domain's own counts from its first message on.
    for i in range(20):
        assert world.node.inject(f"u{i}@one.peer.test") == 0
    one.wait(21)
    row = of(world, "one.peer.test")
    assert (row["limit"], row["rate_limit"]) == (2, 0)
    wait_until(lambda: len(one.open) <= 2, "the others close")
    seen.clear()
    one.wait(40)
    assert max(seen, default=0) <= 2
    assert "; limit 2" in world.node.svctool(
        "queue", "destinations", "one.peer.test").stdout

    limits.write_text("one.peer.test:1:2.5\n")
    world.service("-h")
    wait_until(lambda: not one.open, "connections of the old rules end")
    seen.clear()
    for i in range(4):
        assert world.node.inject(f"v{i}@one.peer.test") == 0
    one.wait(44)
    assert max(seen) == 1
    row, = [row for row in destinations(world, "one.peer.test")
            if not row["ends"]]
    assert (row["limit"], row["rate"], row["rate_for"]) == (1, 2.5, 0)


def test_a_refusal_is_logged_with_its_class(world):
    world.node.up()
    one = world.host(2)
    one.answers["RCPT"] = "550 5.1.1 no \x1b[31m such <user>"
    assert world.node.inject("a@one.peer.test", "b@one.peer.test",
                             sender=LOCAL) == 0
    found = wait_until(
        lambda: re.findall(r"refused (\S+) by h2\.peer\.test: unknown user: "
                           r"550_5\.1\.1_no__?_?\[31m_such__user_+$",
                           world.node.log("remote"), re.M),
        lambda: world.node.log("remote"))
    assert len(found) == 1
    lines = world.node.svctool("log", "--json", "--id", found[0]).stdout
    assert {json.loads(line)["service"] for line in lines.splitlines()} > {
        "remote"}


def test_a_dead_destination_and_its_reset(world):
    world.node.up()
    assert world.node.inject("a@dead.peer.test") == 0
    row = wait_state(world, "dead.peer.test", "resting")
    assert 0 < row["rests"] <= 3600 and "127.0.0.4" in row["reason"]
    assert row["hosts"][0]["failures"] > 0
    wait_until(lambda: world.node.backlog() == 1, "it is kept")

    # Other commands say why its mail waits.
    row = json.loads(
        world.node.svctool("queue", "list", "--json").stdout)[0]
    assert row["rests"][0]["domain"] == "dead.peer.test"
    assert "127.0.0.4" in row["rests"][0]["reason"]
    assert "a@dead.peer.test rests " in world.node.svctool(
        "queue", "list", "--reason", "*127.0.0.4*").stdout
    assert world.node.svctool("queue", "list", "--reason", "x*").stdout == ""
    assert re.search(r"dead\.peer\.test rests \d+s: .*127\.0\.0\.4",
                     world.node.svctool("queue", "ages").stdout)
    assert "127.0.0.4" in world.node.run("qmail-tcpto").stdout

    # The lane is told at once, whatever the rest was; and tcpto forgets.
    host = world.host(4)
    would = world.node.svctool("queue", "reset", "dead.peer.test", "--dry-run")
    assert "dead.peer.test: resting" in would.stdout
    assert of(world, "dead.peer.test")["state"] == "resting"
    world.node.svctool("queue", "reset", "Dead.Peer.Test")
    host.wait(1)
    world.node.wait_empty()
    assert "127.0.0.4" not in world.node.run("qmail-tcpto").stdout
    world.node.wait_log("remote", "reset dead.peer.test by uid")


def test_messages_by_the_reason_of_their_deferral(world):
    world.node.up()
    one, two = world.host(2), world.host(3)
    one.answers["RCPT"] = "450 4.2.1 Come again later"
    two.answers["RCPT"] = "451 4.3.0 Something else"
    assert world.node.inject("a@one.peer.test", queue="queue1") == 0
    assert world.node.inject("b@two.peer.test", queue="queue1") == 0
    world.wait_log(r"deferral: ", 2)
    wait_until(lambda: world.node.backlog() == 2, "both are kept")

    def listed(reason):
        done = world.node.svctool(
            "queue", "list", "--json", "--reason", reason)
        return [row["recipients"] for row in json.loads(done.stdout)]

    assert listed("*come again*") == [["a@one.peer.test"]]
    assert listed("*come_again*") == [["a@one.peer.test"]]
    assert listed("*something else*") == [["b@two.peer.test"]]
    assert listed("*nothing*") == [] and len(listed("*4.?.?*")) == 2
    world.node.svctool("queue", "delete", "--reason", "*come again*")
    assert listed("*") == [["b@two.peer.test"]]


def test_hup_wakes_lanes(world):
    """What was forgotten is told: nobody needs to be told to ask again."""
    world.node.up()
    for queue in ("queue1", "queue2"):
        assert world.node.inject("a@dead.peer.test", queue=queue) == 0
    world.wait_log(r"lane dead\.peer\.test: rests", 2)
    host = world.host(4)
    (world.node.control / "tcptopenalty").write_text("0\n")
    world.service("-h")
    host.wait(2)
    world.node.wait_empty()


def test_a_killed_rspawn_wakes_lanes(world):
    world.node.up()
    assert world.node.inject("a@dead.peer.test") == 0
    world.wait_log(r"lane dead\.peer\.test: rests")
    host = world.host(4)
    os.kill(world.rspawn(), signal.SIGKILL)
    host.wait(1)
    world.node.wait_empty()


# -- who does not answer

def test_without_rspawn(world):
    world.node.up()
    pid = world.rspawn()
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        done = world.node.svctool("queue", "destinations", code=1)
        assert "does not answer" in done.stderr
        assert time.monotonic() - begun < 30 * SLOW
        done = world.node.svctool("queue", "suspend", "a.test", code=1)
        assert "was not told" in done.stderr
        world.node.svctool("queue", "list")
    finally:
        os.kill(pid, signal.SIGCONT)
    world.service("-d")
    wait_until(lambda: "does not run" in world.node.svctool(
        "queue", "destinations", code=None).stderr, "it has ended")
    assert "does not run" in world.node.svctool(
        "queue", "reset", "a.test", code=1).stderr
    done = world.node.svctool("queue", "resume", "a.test")
    assert "from its next start" in done.stdout
    world.service("-u")


def test_wrong_words(world):
    world.node.up()
    for words in (["suspend"], ["reset"], ["suspend", "a@b"],
                  ["suspend", "a.test", "--for", "x"],
                  ["suspend", "a.test", "--for", "0"],
                  ["suspend", "a.test", "--reason", "a\nb"],
                  ["resume", "a.test", "--reason", "x"],
                  ["rebind", "a.test", "--for", "1h"],
                  ["list", "--for", "1h"],
                  ["resume", "a.test", "--domain", "x"]):
        world.node.svctool("queue", *words, code=100)
    for verb in ("reset", "rebind"):
        assert "nothing is known" in world.node.svctool(
            "queue", verb, "never.test", code=1).stderr
    assert "not suspended" in world.node.svctool(
        "queue", "resume", "never.test", code=1).stderr


# -- suspend, resume

def test_suspend_and_resume(world):
    world.node.up()
    one, two = world.host(2), world.host(3)
    assert world.node.inject("a@one.peer.test") == 0
    one.wait(1)
    world.node.svctool("queue", "suspend", "One.peer.test", "--dry-run")
    assert not (world.node.control / "suspended").exists()
    world.node.svctool("queue", "suspend", "One.peer.test",
                       "--reason", "they move")
    assert (world.node.control / "suspended").read_text() == \
        "one.peer.test - they move\n"
    # Another takes its place, and says so.
    said = world.node.svctool("queue", "suspend", "one.peer.test", "--for",
                              "1h", "--reason", "they rest").stdout
    assert ("this takes the place of what one.peer.test was suspended for, "
            "until it is resumed: they move\n") in said
    said = world.node.svctool("queue", "suspend", "one.peer.test",
                              "--reason", "they move").stdout
    assert re.search(r"for, until \d{4}-\d\d-\d\d [\d:]{8}: they rest\n", said)
    for queue in ("queue1", "queue2"):
        assert world.node.inject("b@one.peer.test", "c@two.peer.test",
                                 queue=queue) == 0
    two.wait(2)
    world.wait_log(r"lane one\.peer\.test: rests for \d+ s: .*they_move", 2)
    wait_until(lambda: world.node.backlog() == 2, "both are kept")
    text = world.node.svctool("queue", "list").stdout
    assert text.count("\tb@one.peer.test suspended : ") + text.count(
        "\tb@one.peer.test suspended ") >= 2 and "they move" in text
    assert "suspended" in world.node.svctool("queue", "ages").stdout
    rows = [row for row in destinations(world, "one.peer.test")
            if row["state"] == "suspended"]
    assert rows[0]["reason"] == "they move" and rows[0]["rests"] is None

    # It outlives rspawn, and the node.
    os.kill(world.rspawn(), signal.SIGKILL)
    wait_until(lambda: resting(world, "one.peer.test") >= 4,
               lambda: f"told again\n{world.node.logs()}", 60 * SLOW)
    world.node.svctool("restart")
    world.wait_log(r"lane one\.peer\.test: rests", 5)
    assert len(one.messages) == 1

    world.node.svctool("queue", "resume", "one.peer.test")
    one.wait(3)
    world.node.wait_empty()
    assert "resumed" in world.node.svctool(
        "queue", "suspend", "x.test").stdout.replace("suspended", "resumed")


def test_suspended_for_a_while(world):
    world.node.up()
    one = world.host(2)
    world.node.svctool("queue", "suspend", "one.peer.test", "--for", "4s")
    begun = time.monotonic()
    assert world.node.inject("a@one.peer.test") == 0
    one.wait(1)
    assert time.monotonic() - begun > 2
    world.node.wait_empty()
    # What is over is swept out with the next change; comments stay.
    file = world.node.control / "suspended"
    file.write_text(file.read_text() + "# a comment\n")
    world.node.svctool("queue", "suspend", "b.test", "c.test")
    assert file.read_text() == "# a comment\nb.test - \nc.test - \n"
    world.node.svctool("check")


def test_resumed_while_nobody_ran(world):
    world.node.up()
    one = world.host(2)
    world.node.svctool("queue", "suspend", "one.peer.test")
    assert world.node.inject("a@one.peer.test") == 0
    world.wait_log(r"lane one\.peer\.test: rests")
    world.service("-d")
    wait_until(lambda: "does not run" in world.node.svctool(
        "queue", "destinations", code=None).stderr, "it has ended")
    world.node.svctool("queue", "resume", "one.peer.test")
    world.service("-u")
    one.wait(1)
    world.node.wait_empty()


def test_a_suspension_in_the_middle_of_a_transaction(world):
    """What is being sent ends; what waits is kept."""
    world.node.up()
    one = world.host(2)
    one.holds.clear()
    for i in range(20):
        assert world.node.inject(f"u{i}@one.peer.test") == 0
    wait_until(lambda: one.at_dot > 0, "a message is there to the dot")
    world.node.svctool("queue", "suspend", "one.peer.test")
    one.holds.set()
    wait_until(lambda: one.open == set(), "the connections end", 60 * SLOW)
    sent = len(one.messages)
    assert sent == one.at_dot < 20
    world.node.svctool("queue", "resume", "one.peer.test")
    world.node.retry_until(lambda: len(one.messages) == 20, "all arrive")
    world.node.wait_empty()
    assert sorted(r for _, all_, _ in one.messages for r in all_) == sorted(
        f"u{i}@one.peer.test" for i in range(20))


# -- rebind

def test_rebind(world):
    """A route counts for the domain alone, and at once; no connection of the
    old way is used again."""
    (world.node.control / "remoteidle").write_text("60\n")
    world.node.up()
    one, two = world.host(2), world.host(3)
    assert world.node.inject("a@one.peer.test") == 0
    one.wait(1)
    one.holds.clear()
    assert world.node.inject("b@one.peer.test") == 0
    wait_until(lambda: one.at_dot == 2, "a message is there to the dot")
    (world.node.control / "smtproutes").write_text(
        f"one.peer.test:[127.0.0.3]:{world.port}\n::{world.port}\n")
    world.node.svctool("queue", "rebind", "one.peer.test")
    assert world.node.inject("c@one.peer.test") == 0
    two.wait(1)
    one.holds.set()
    wait_until(lambda: one.open == set(), "the connection ends")
    assert [r for _, all_, _ in one.messages for r in all_] == [
        "a@one.peer.test", "b@one.peer.test"]
    world.node.wait_empty()
    (world.node.control / "smtproutes").write_text("one.peer.test:x:y:z:0\n")
    assert "smtproutes" in world.node.svctool(
        "queue", "rebind", "one.peer.test", code=1).stderr


# -- routes by sender

def test_lanes_by_sender_rest(world):
    """The relay of the null sender does not answer: its mail rests, as one, and that of
    others goes out."""
    (world.node.control / "smtproutes").write_text(
        f"!@:[127.0.0.4]:{world.port}\n::{world.port}\n")
    world.node.up()
    one = world.host(2)
    assert world.node.inject("x@one.peer.test", sender="joe@live.example",
                             queue="queue1") == 0
    one.wait(1)
    for i in range(10):
        assert world.node.inject(f"u{i}@one.peer.test", queue="queue1",
                                 sender="") == 0
        assert world.node.inject(f"v{i}@one.peer.test", queue="queue1",
                                 sender="joe@live.example") == 0
    one.wait(11)
    world.wait_log(r"lane one\.peer\.test_: rests")
    wait_until(lambda: world.node.backlog() == 10, "the others are left",
               60 * SLOW)
    log = world.log()
    tried = re.findall(r"starting delivery (\d+): msg \d+ to remote u\d@", log)
    assert len(tried) <= 2, log  # a lane that rests begins nothing
    host = world.host(4)
    world.node.svctool("queue", "reset", "one.peer.test")
    world.node.retry_until(lambda: len(host.messages) == 10, "they arrive")
    assert {sender for sender, _, _ in host.messages} == {""}
    assert {sender for sender, _, _ in one.messages} == {"joe@live.example"}
    world.node.wait_empty()
