# SPDX-License-Identifier: ISC
"""Mail to other hosts, with a whole node: names, queues, qmail-rspawn."""
import contextlib
import json
import os
import re
import select
import signal
import socket
import threading

import pytest

import ports
from name_server import NameServer
from node import SLOW, wait_until

# All hosts are on loopback and on one port; the address is what differs.
ZONE = """
one IN MX 10 h2
two IN MX 10 h3
both IN MX 10 h4
both IN MX 20 h2
there IN MX 10 h2
there IN MX 20 h3
back IN MX 10 h3
back IN MX 20 h2
dead IN MX 10 h4
mute IN MX 10 h5
equal IN MX 10 h2
equal IN MX 10 h3
null IN MX 0 .
h2 IN A 127.0.0.2
h3 IN A 127.0.0.3
h4 IN A 127.0.0.4
h5 IN A 127.0.0.5
""" + "".join(f"d{i} IN MX 10 h{2 + i % 2}\n" for i in range(40))
LOCAL = "alice@example.test"


class Host:
    """An SMTP server whose answers a test may change at any time.

    answers: {"RCPT": "450 later"}, or a function of the line that gives one;
    None ends the connection.
    """

    def __init__(self, address, port, extensions=("PIPELINING", "8BITMIME")):
        self.extensions = extensions
        self.answers = {}
        self.greeting = "220 host ESMTP"
        self.connections = 0
        self.limit = 1000  # at a time; more are sent away
        self.messages = []  # (sender, recipients, data)
        self.holds = threading.Event()  # set: nothing waits at the final dot
        self.holds.set()
        self.at_dot = 0
        self.open = set()
        self.lock = threading.Lock()
        self.listener = socket.create_server((address, port), backlog=100)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.add(connection)
            threading.Thread(
                target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        file = connection.makefile("rb")
        with contextlib.suppress(OSError, EOFError, ValueError):
            connection.settimeout(60 * SLOW)
            self.talk(connection, file)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.open.discard(connection)
        file.close()
        connection.close()

    def answer(self, line, usual):
        verb = line.split()[0].upper() if line.split() else ""
        answer = self.answers.get(verb, usual)
        return answer(line) if callable(answer) else answer

    def talk(self, connection, file):
        def say(text):
            if text is None:
                raise EOFError
            connection.sendall(text.encode() + b"\r\n")

        sender, recipients = None, []
        if len(self.open) > self.limit:
            say("421 4.7.0 too many connections")
            return
        say(self.greeting)
        while True:
            line = file.readline().decode()
            if not line:
                return
            verb = line.split()[0].upper()
            if verb == "EHLO":
                lines = ["host", *self.extensions]
                say("\r\n".join(
                    f"250{' ' if each is lines[-1] else '-'}{each}"
                    for each in lines))
            elif verb == "MAIL":
                say(self.answer(line, "250 ok"))
                sender, recipients = line.split("<")[1].split(">")[0], []
            elif verb == "RCPT":
                answer = self.answer(line, "250 ok")
                say(answer)
                if answer[0] == "2":
                    recipients.append(line.split("<")[1].split(">")[0])
            elif verb == "DATA":
                if not recipients:
                    say("554 no valid recipients")
                    continue
                say(self.answer(line, "354 go"))
                lines = []
                while not lines or lines[-1] != b".\r\n":
                    lines.append(file.readline())
                    if not lines[-1]:
                        return
                with self.lock:
                    self.at_dot += 1
                self.holds.wait(60 * SLOW)
                answer = self.answer(".", "250 taken")
                if answer and answer[0] == "2":
                    with self.lock:
                        self.messages.append((sender, recipients,
                                              b"".join(lines[:-1])))
                say(answer)
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok" if verb in ("RSET", "NOOP") else "502 what")

    def wait(self, count):
        wait_until(lambda: len(self.messages) >= count,
                   lambda: f"{count} messages, not {len(self.messages)}",
                   60 * SLOW)
        return self.messages

    def close(self):
        self.holds.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(20 * SLOW)


class World:
    """A node, its name server, and the hosts."""

    def __init__(self, make_node, name_server):
        self.names = name_server
        self.port = ports.take()
        self.hosts = []
        self.node = make_node("--init-only", "--queues", "2",
                              "--no-listeners", "--dnsstub", name_server.stubs().strip())
        control = self.node.control
        (control / "smtproutes").write_text(f"::{self.port}\n")
        (control / "notipme").write_text("127.0.0.0/8\n")
        (control / "timeoutconnect").write_text("10\n")
        (control / "timeoutremote").write_text("20\n")
        (control / "concurrencyremote").write_text("200\n")

    def close(self):
        """Ends all; the logs stay."""
        for host in self.hosts:
            host.close()
        self.node.end_services()
        self.node.down()

    def host(self, number, **options):
        made = Host(f"127.0.0.{number}", self.port, **options)
        self.hosts.append(made)
        return made

    def log(self):
        return self.node.log("queue1") + self.node.log("queue2")

    def wait_log(self, pattern, count=1):
        # The resolver gives up a dead name server after 20 s or so.
        return wait_until(
            lambda: len(re.findall(pattern, self.log(), re.M)) >= count,
            lambda: f"{count} times {pattern}\n{self.node.logs()}", 90 * SLOW)

    def service(self, *options):
        """svc for the service remote."""
        self.node.run("/usr/bin/env", "svc", *options,
                      self.node.home / "service/remote")

    def rspawn(self):
        """Its pid."""
        rows = self.node.status()["services"]
        return next(row["pid"] for row in rows if row["name"] == "remote")


@pytest.fixture(scope="module")
def name_server():
    server = NameServer({"peer.test": ZONE})
    yield server
    if server.process.poll() is None:
        server.close()


@pytest.fixture
def world(make_node, name_server):
    made = World(make_node, name_server)
    made.node.up()
    yield made
    made.close()
    for service in ("remote", "queue1", "queue2"):
        assert "Sanitizer" not in made.node.log(service)


def text_of(data):
    return data.decode().replace("\r\n", "\n")


# -- the ordinary way

def test_two_hosts_by_their_mx(world):
    one, two = world.host(2), world.host(3)
    assert world.node.inject("a@one.peer.test", "b@two.peer.test",
                             sender=LOCAL) == 0
    sender, recipients, data = one.wait(1)[0]
    assert (sender, recipients) == (LOCAL, ["a@one.peer.test"])
    assert "Hello.\n" in text_of(data)
    assert two.wait(1)[0][1] == ["b@two.peer.test"]
    world.node.wait_empty()
    world.wait_log("success")


def test_the_same_hosts_in_another_order(world):
    """Two domains, each of which is the other's second choice."""
    one, two = world.host(2), world.host(3)
    for _ in range(2):
        assert world.node.inject("a@there.peer.test", queue="queue1") == 0
        one.wait(1)
        assert world.node.inject("b@back.peer.test", queue="queue1") == 0
        two.wait(1)
    world.node.wait_empty()
    assert {r for _, all_, _ in one.messages for r in all_} == {
        "a@there.peer.test"}
    assert {r for _, all_, _ in two.messages for r in all_} == {
        "b@back.peer.test"}


def test_recipients_share_a_transaction_and_messages_a_connection(world):
    one = world.host(2)
    everybody = [f"u{i}@one.peer.test" for i in range(30)]
    assert world.node.inject(*everybody, sender=LOCAL, queue="queue1") == 0
    assert sorted(one.wait(1)[0][1]) == sorted(everybody)
    assert world.node.inject("x@one.peer.test", queue="queue1") == 0
    one.wait(2)
    assert world.node.inject("y@one.peer.test", queue="queue2") == 0
    one.wait(3)
    world.node.wait_empty()
    assert one.connections == 1


def test_the_null_sender(world):
    one = world.host(2)
    assert world.node.inject("a@one.peer.test", sender="") == 0
    assert one.wait(1)[0][0] == ""
    world.node.wait_empty()


@pytest.mark.parametrize("sender", ["", "#@[]"])
def test_the_route_of_the_null_sender(world, sender):
    """Also of double bounces, whose sender is null for all but qmail."""
    two = world.host(3)
    (world.node.control / "smtproutes").write_text(
        f"!@:[127.0.0.3]:{world.port}\n::{world.port}\n")
    world.node.reread_remote()
    assert world.node.inject("a@one.peer.test", sender=sender) == 0
    assert two.wait(1)[0][0] == ""
    world.node.wait_empty()


@pytest.mark.parametrize("size", [15 * 1024, 17 * 1024, 130 * 1024,
                                  3 * 1024 * 1024])
def test_bodies_are_the_same_bytes(world, size):
    one = world.host(2)
    line = ".a line with a dot, number %d\n"
    body = "".join(line % i for i in range(size // len(line)))
    text = f"Subject: large\n\n{body}.\n"
    assert world.node.inject("a@one.peer.test", text=text) == 0
    data = text_of(one.wait(1)[0][2])
    assert re.sub(r"(?m)^\.", "", data).endswith(text)
    world.node.wait_empty()


def test_many_domains_and_messages(world):
    one, two = world.host(2), world.host(3)
    for i in range(40):
        assert world.node.inject(f"a@d{i}.peer.test", f"b@d{i}.peer.test",
                                 f"c@d{(i + 1) % 40}.peer.test") == 0
    world.node.wait_empty(60 * SLOW)
    got = sorted(r for host in (one, two) for _, all_, _ in host.messages
                 for r in all_)
    assert got == sorted(f"{u}@d{i}.peer.test" for i in range(40)
                         for u in "abc")


# -- what hosts refuse

def test_the_next_host_takes_it(world):
    one = world.host(2)  # nobody is at h4
    assert world.node.inject("a@both.peer.test") == 0
    one.wait(1)
    world.node.wait_empty()


def test_hosts_of_one_preference_share_the_connections(world):
    one, two = world.host(2), world.host(3)
    one.holds.clear()
    two.holds.clear()
    for i in range(20):
        assert world.node.inject(f"u{i}@equal.peer.test") == 0
    wait_until(lambda: one.at_dot >= 2 and two.at_dot >= 2,
               lambda: f"{one.at_dot}, {two.at_dot}", 20 * SLOW)
    one.holds.set()
    two.holds.set()
    world.node.wait_empty()


def test_another_host_knows_utf8(world):
    """RFC 6531: no bounce while another host may know what this one lacks."""
    worse = world.host(4)
    assert world.node.inject("é@both.peer.test", "b@both.peer.test",
                             sender=LOCAL) == 0
    world.wait_log(r"delivery \d+: deferral: .*127\.0\.0\.2")
    assert worse.wait(1)[0][1] == ["b@both.peer.test"]
    better = world.host(2, extensions=("8BITMIME", "SMTPUTF8"))
    world.node.run("qmail-tcpok")
    world.node.retry_until(lambda: better.messages, "the other host has it")
    assert better.messages[0][1] == ["é@both.peer.test"]
    world.node.wait_empty()
    assert world.node.messages("alice") == []
    assert len(worse.messages) == 1
    done = world.node.run("qmail-remote", "both.peer.test", LOCAL,
                          "é@both.peer.test", input="Subject: x\n\n")
    assert "\0K" in done.stdout and len(better.messages) == 2
    better.extensions = ()
    assert world.node.inject("é@both.peer.test", sender=LOCAL) == 0
    world.wait_log(r"delivery \d+: failure: .*5\.6\.7")


def test_a_refusal_for_now_is_tried_again(world):
    one = world.host(2)
    one.answers["RCPT"] = "450 4.2.1 come again"
    assert world.node.inject("a@one.peer.test", sender=LOCAL) == 0
    world.wait_log(r"deferral.*come_again")
    assert world.node.backlog() == 1
    one.answers.clear()
    world.node.retry_until(lambda: one.messages, "it is sent again")
    world.node.wait_empty()
    assert world.node.messages("alice") == []


def test_a_refusal_for_good_bounces(world):
    one = world.host(2)
    one.answers["RCPT"] = lambda line: (
        "550 5.1.1 nobody of that name" if "<no@" in line else "250 ok")
    assert world.node.inject("no@one.peer.test", "a@one.peer.test",
                             sender=LOCAL) == 0
    report = world.node.wait_messages("alice", 1)[0].decode()
    assert "nobody of that name" in report
    assert "no@one.peer.test" in report
    assert "Status: 5.1.1" in report
    assert "Diagnostic-Code: smtp; 550 5.1.1" in report
    assert one.wait(1)[0][1] == ["a@one.peer.test"]
    world.node.wait_empty()


@pytest.mark.parametrize("domain, status", [
    ("none.peer.test", "5.1.2"), ("null.peer.test", "5.1.10")])
def test_a_domain_that_takes_no_mail_bounces(world, domain, status):
    assert world.node.inject(f"a@{domain}", sender=LOCAL) == 0
    report = world.node.wait_messages("alice", 1)[0].decode()
    assert f"Status: {status}" in report
    world.node.wait_empty()


def test_without_the_dns_nothing_bounces(make_node):
    names = NameServer({"peer.test": ZONE})
    world = World(make_node, names)
    world.node.up()
    names.stop()
    try:
        one = world.host(2)
        assert world.node.inject("a@one.peer.test", "b@none.peer.test",
                                 sender=LOCAL) == 0
        world.wait_log(r"lane one\.peer\.test: rests")
        world.wait_log(r"lane none\.peer\.test: rests")
        assert world.node.messages("alice") == [] and one.messages == []
        names.start()
        world.node.run("/usr/bin/env", "svc", "-t",
                       world.node.home / "service/resolver")
        world.service("-h")  # forgets how long it is to rest
        world.node.retry_until(lambda: one.messages, "it is sent")
        report = world.node.wait_messages("alice", 1)[0].decode()
        assert "b@none.peer.test" in report
        world.node.wait_empty()
    finally:
        names.close()
        for host in world.hosts:
            host.close()


def test_a_dead_destination_rests_and_others_go_on(world):
    one = world.host(2)
    for _ in range(20):
        assert world.node.inject("a@dead.peer.test", "b@one.peer.test") == 0
    world.wait_log(r"lane dead\.peer\.test: rests for \d+ s: .*127\.0\.0\.4")
    one.wait(20)
    assert len(one.messages) == 20
    world.node.wait_log("remote", "rests")
    assert "127.0.0.4" in world.node.run("qmail-tcpto").stdout
    wait_until(lambda: world.node.backlog() == 20, "the others are left")


def test_few_wait_for_a_greeting(world):
    """A quarter of the slots; the others are for hosts that answer."""
    (world.node.control / "remoteslots").write_text("8\n")
    world.node.svctool("restart")
    silent = [socket.create_server((f"127.0.0.{i}", world.port))
              for i in (3, 4, 5)]
    try:
        for domain in ("two", "dead", "mute"):
            assert world.node.inject(f"a@{domain}.peer.test") == 0
        ready = set()
        wait_until(lambda: ready.update(select.select(silent, [], [], 0)[0])
                   or len(ready) == 2, "two of them are called")
        waiting = [each.accept()[0] for each in ready]
        row = json.loads(world.node.svctool(
            "queue", "destinations", "--json").stdout)
        assert sum(each.get("connections", 0) for each in row) == 2
        assert not select.select(silent, [], [], 1)[0]
        # One gives up, and the third has its turn.
        waiting.pop().close()
        wait_until(lambda: select.select(silent, [], [], 0)[0], "the third is")
        waiting.pop().close()
    finally:
        for each in silent:
            each.close()


def test_expiry_while_a_lane_rests(world):
    (world.node.control / "queuelifetime").write_text("8\n")
    world.node.svctool("restart")
    assert world.node.inject("a@dead.peer.test", sender=LOCAL) == 0
    world.wait_log(r"lane dead\.peer\.test: rests")
    report = world.node.wait_messages("alice", 1, 60 * SLOW)[0].decode()
    assert "a@dead.peer.test" in report
    assert "127.0.0.4" in report or "h4.peer.test" in report
    world.node.wait_empty()


def test_expiry_of_a_domain_while_a_lane_rests(world):
    """It is not the week of others that its lane looks again after."""
    (world.node.control / "queuelifetimes").write_text("dead.peer.test:8\n")
    world.node.svctool("restart")
    assert world.node.inject("a@dead.peer.test", sender=LOCAL) == 0
    world.wait_log(r"lane dead\.peer\.test: rests")
    report = world.node.wait_messages("alice", 1, 60 * SLOW)[0].decode()
    assert "a@dead.peer.test" in report
    world.node.wait_empty()


def test_a_host_that_wants_to_be_left_alone(world):
    one, two = world.host(2), world.host(3)
    one.answers["RCPT"] = "550 5.7.28 too much of your mail"
    assert world.node.inject("a@one.peer.test", sender=LOCAL) == 0
    assert b"too much" in world.node.wait_messages("alice", 1)[0]
    wait_until(lambda: re.search(r"destination .*: rests for 3\d\d\d s",
                                 world.node.log("remote")), "it rests")
    one.answers.clear()
    assert world.node.inject("b@one.peer.test", "b@two.peer.test") == 0
    world.wait_log(r"lane one\.peer\.test: rests for 3\d\d\d s: .*too")
    two.wait(1)
    assert one.messages == []


def test_a_host_that_takes_few_connections(world):
    """A greeting of 421 halves the window; all mail arrives all the same."""
    one = world.host(2)
    one.limit = 2
    for i in range(30):
        assert world.node.inject(f"u{i}@one.peer.test") == 0
    world.node.retry_until(lambda: len(one.messages) >= 30, "all arrive",
                           60 * SLOW)
    world.node.wait_empty()
    assert world.node.messages("alice") == []


# -- processes that end

def test_killed_in_a_transaction(world):
    one = world.host(2)
    one.holds.clear()
    for i in range(8):
        assert world.node.inject(f"u{i}@one.peer.test") == 0
    wait_until(lambda: one.at_dot > 0, "a message is there to the dot")
    os.kill(world.rspawn(), signal.SIGKILL)
    one.holds.set()
    world.node.retry_until(
        lambda: {r for _, all_, _ in one.messages for r in all_} ==
        {f"u{i}@one.peer.test" for i in range(8)}, "all are delivered")
    world.node.retry_until(lambda: world.node.backlog() == 0, "empty queues")


def test_stopped_in_a_transaction(world):
    """TERM: what is being sent is sent once."""
    one = world.host(2)
    one.holds.clear()
    for i in range(8):
        assert world.node.inject(f"u{i}@one.peer.test") == 0
    wait_until(lambda: one.at_dot > 0, "a message is there to the dot")
    os.kill(world.rspawn(), signal.SIGTERM)
    world.wait_log("rests for .*is_being_restarted|is being restarted")
    one.holds.set()
    world.node.retry_until(lambda: world.node.backlog() == 0, "empty queues")
    assert sorted(r for _, all_, _ in one.messages for r in all_) == sorted(
        f"u{i}@one.peer.test" for i in range(8))


def test_qmail_send_is_restarted_with_jobs_in_hand(world):
    one = world.host(2)
    one.holds.clear()
    for i in range(8):
        assert world.node.inject(f"u{i}@one.peer.test", queue="queue1") == 0
    wait_until(lambda: one.at_dot > 0, "a message is there to the dot")
    world.node.run("/usr/bin/env", "svc", "-t",
                   world.node.home / "service/queue1")
    one.holds.set()
    world.node.retry_until(
        lambda: {r for _, all_, _ in one.messages for r in all_} ==
        {f"u{i}@one.peer.test" for i in range(8)}, "all are delivered")
    world.node.retry_until(lambda: world.node.backlog() == 0, "empty queues")


def test_a_kept_connection_that_has_gone_costs_nothing(world):
    one = world.host(2)
    assert world.node.inject("a@one.peer.test") == 0
    one.wait(1)
    with one.lock:
        for connection in one.open:
            connection.shutdown(socket.SHUT_RDWR)
    assert world.node.inject("b@one.peer.test") == 0
    one.wait(2)
    world.node.wait_empty()
    assert "deferral" not in world.log()


def test_hup_rereads_routes(world):
    one, two = world.host(2), world.host(3)
    assert world.node.inject("a@one.peer.test") == 0
    one.wait(1)
    (world.node.control / "smtproutes").write_text(
        f"one.peer.test:[127.0.0.3]:{world.port}\n::{world.port}\n")
    world.node.reread_remote()
    assert world.node.inject("b@one.peer.test") == 0
    two.wait(1)
    world.node.wait_empty()
    assert len(one.messages) == 1
