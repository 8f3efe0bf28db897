# SPDX-License-Identifier: ISC
"""A queue full of mail for other hosts: how fast it leaves, and what hosts
cost that do not answer, or that only put off.

The messages lie in the queue before the node is started (hold), and smtp-sink
counts those that left.  Each destination is an address of 127/8 of its own.
"""

import contextlib
import socket
import threading
import time

from . import relay
from .node import fill

DESTINATIONS = 1000
GOOD_MESSAGES = 20000
DRAIN_MESSAGES = 100_000
DRAIN_LIMIT = 15  # connections
DEAD_MESSAGES, DEAD_DESTINATIONS = 100_000, 10_000
DEAD_SETTLE_S, DEAD_WATCH_S = 90, 60
CASES = ("out-drain", "out-mixed", "out-dead")


def _address(i):
    return f"127.1.{i // 250}.{i % 250 + 1}"


class Deaf:
    """A port that takes no connection and refuses none: it is full."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("0.0.0.0", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.clients = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(("127.0.0.1", self.port))
            self.clients.append(client)

    def stop(self):
        for one in (self.listener, *self.clients):
            one.close()


class Connections:
    """How many the sink has at most, by the kernel's table, each 20 ms."""

    def __init__(self, port):
        self.most = 0
        self.port = f":{port:04X}"
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self):
        while not self.is_over.wait(0.02):
            with open("/proc/net/tcp", encoding="ascii") as file:
                rows = [line.split() for line in file]
            self.most = max(self.most, sum(
                row[1].endswith(self.port) and row[3] == "01"
                for row in rows))

    def stop(self):
        self.is_over.set()
        self.thread.join()


def _route(server, port_of, domains):
    with open(f"{server.folder}/control/smtproutes", "w",
              encoding="ascii") as file:
        for i in range(domains):
            file.write(f"d{i}.test:[{_address(i)}]:{port_of(i)}\n")


def _drain(make, program, count, domains, port_of, wanted, sink, limit=None):
    """Messages a second that leave a node with count of them."""
    server = make(False)
    try:
        server.start()
        server.halt()
        _route(server, port_of, domains)
        if limit is not None:
            with open(f"{server.folder}/control/destinationlimits", "w",
                      encoding="ascii") as file:
                file.write(f"d0.test:{limit}\n")
        fill(server, program, count, "0", str(domains))
        before, began = sink.count(), time.monotonic()
        server.up()
        return wanted / (sink.wait(before + wanted) - began)
    finally:
        server.stop()


def _out_drain(make, program, folder):
    sink = relay.Sink(folder)
    connections = Connections(sink.port)
    try:
        rate = _drain(make, program, DRAIN_MESSAGES, 1, lambda i: sink.port,
                      DRAIN_MESSAGES, sink, DRAIN_LIMIT)
    finally:
        connections.stop()
        sink.stop()
    return (f"out-drain   {DRAIN_MESSAGES} messages to one destination: "
            f"{rate:.0f} msg/s, its start included, by at most "
            f"{connections.most} connections (limit {DRAIN_LIMIT})"), rate


def _out_mixed(make, program, folder):
    good = DESTINATIONS * 8 // 10
    rates = {}
    for name in ("alone", "mixed"):
        sink, deaf = relay.Sink(folder), Deaf()
        later = relay.Sink(folder, "-r", "RCPT")
        ports = {8: deaf.port, 9: later.port}
        try:
            if name == "alone":
                rates[name] = _drain(
                    make, program, GOOD_MESSAGES, good, lambda i: sink.port,
                    GOOD_MESSAGES, sink)
            else:
                rates[name] = _drain(
                    make, program, GOOD_MESSAGES * 10 // 8, DESTINATIONS,
                    lambda i: ports.get(i % 10, sink.port), GOOD_MESSAGES,
                    sink)
        finally:
            for one in (sink, later, deaf):
                one.stop()
    share = rates["mixed"] / rates["alone"]
    return (f"out-mixed   {good} good destinations alone {rates['alone']:.0f} "
            f"msg/s, with {DESTINATIONS // 10} dead and as many that put off "
            f"{rates['mixed']:.0f} msg/s: {share:.2f}"), share


def _out_dead(make, program, _):
    deaf, server = Deaf(), make(False)
    try:
        server.start()
        server.halt()
        _route(server, lambda i: deaf.port, DEAD_DESTINATIONS)
        fill(server, program, DEAD_MESSAGES, "0", str(DEAD_DESTINATIONS))
        server.up()
        time.sleep(DEAD_SETTLE_S)
        cpu = server.processes.cpu_s()
        time.sleep(DEAD_WATCH_S)
        share = (server.processes.cpu_s() - cpu) / DEAD_WATCH_S
    finally:
        deaf.stop()
        server.stop()
    return (f"out-dead    {DEAD_MESSAGES} messages for {DEAD_DESTINATIONS} "
            f"destinations that do not answer: {share * 100:.2f} % of a core"
            ), share


def measure(make, names, program, folder, say):
    """(lines for people, {case: figure}) of mqmail, which make makes."""
    lines, found = [], {}
    for name, case in zip(CASES, (_out_drain, _out_mixed, _out_dead)):
        if name in names:
            say(name)
            line, found[name] = case(make, program, folder)
            say(line)
            lines.append(line)
    return lines, found
