# SPDX-License-Identifier: ISC
"""Mail that only passes through: in by smtp-source, out to smtp-sink.

The sink counts what it took; the rate is that from the first connection of the
source until the sink has all.
"""

import os
import re
import statistics
import subprocess
import time

from . import load
from .servers import ServerError, free_port, wait_for_greeting

DOMAIN = "relay.test"
SESSIONS = 20
CASES = {"relay-4k": 4, "relay-100k": 100}
MESSAGES = {4: 8000, 100: 1500}
ARRIVAL_TIMEOUT_S = 120


class Sink:
    """smtp-sink, which says after each message how many came."""

    def __init__(self, folder, *options):
        self.port = free_port()
        self.path = f"{folder}/sink.{self.port}"
        with open(self.path, "wb") as output:
            self.process = subprocess.Popen(
                ["smtp-sink", "-u", "nobody", "-c", "-m", "2000", *options,
                 f"0.0.0.0:{self.port}", "1000"], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT)
        wait_for_greeting(self.port)

    def count(self):
        with open(self.path, "rb") as file:
            file.seek(max(0, os.path.getsize(self.path) - 200))
            found = re.findall(rb"mesg=(\d+)", file.read())
        return int(found[-1]) if found else 0

    def wait(self, count):
        """When the count was reached (CLOCK_MONOTONIC, s)."""
        end = time.monotonic() + ARRIVAL_TIMEOUT_S
        while self.count() < count:
            if time.monotonic() > end:
                raise ServerError(f"{self.count()} of {count} messages left "
                                  f"within {ARRIVAL_TIMEOUT_S} s")
            time.sleep(0.002)
        return time.monotonic()

    def stop(self):
        self.process.kill()
        self.process.wait()


def _measure(server, sink, messages, size_kb):
    """(messages per second, CPU milliseconds per message)."""
    os.sync()
    before, cpu = sink.count(), server.processes.cpu_s()
    began = time.monotonic()
    load.send(server.port, messages, SESSIONS, size_kb * 1024, True, DOMAIN)
    ended = sink.wait(before + messages)
    time.sleep(0.2)
    cpu = server.processes.cpu_s() - cpu
    return messages / (ended - began), cpu / messages * 1000


def measure(makers, names, folder, rounds, say):
    """(lines for people, {case: {server: (rate, cpu)}}); medians of rounds."""
    sink = Sink(folder)
    servers, found = [], {}
    try:
        for make in makers.values():
            servers.append(make(False))
            servers[-1].relay(DOMAIN, sink.port)
            servers[-1].start()
            _measure(servers[-1], sink, 500, 4)
        for name in names:
            size_kb = CASES[name]
            rates = {server.name: [] for server in servers}
            for turn in range(rounds):
                for server in servers[turn % len(servers):] + \
                        servers[:turn % len(servers)]:
                    rate, cpu = _measure(server, sink, MESSAGES[size_kb],
                                         size_kb)
                    rates[server.name].append((rate, cpu))
                    say(f"{name} {server.name}: {rate:.0f} msg/s, "
                        f"{cpu:.2f} ms CPU")
            found[name] = {
                server: tuple(map(statistics.median, zip(*results)))
                for server, results in rates.items()}
    finally:
        for server in servers:
            server.stop()
        sink.stop()
    lines = []
    for name, by_server in found.items():
        first = by_server[next(iter(by_server))]
        for server, (rate, cpu) in by_server.items():
            lines.append(f"{name:<12}{server:<14}{rate:>8.0f} msg/s "
                         f"{cpu:>7.3f} ms CPU; {next(iter(by_server))} has "
                         f"{first[0] / rate:.2f} times the rate, "
                         f"{first[1] / cpu:.2f} times the CPU")
    return lines, found
