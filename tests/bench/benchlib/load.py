# SPDX-License-Identifier: ISC
"""The load, Postfix's smtp-source, and the moment its last message arrived.

smtp-source can only count its recipients up from 1 (-N), so the users are
named 1 to USERS and each process sends at most USERS messages.  Up to four
processes run at a time, each again and again; their first turns have different
lengths, so that they are at different users at any moment.
"""

import os
import subprocess
import threading
import time

USERS = 1000
DOMAIN = "example.test"
PROCESSES = 4
TURN_TIMEOUT_S = 240
ARRIVAL_TIMEOUT_S = 120


class LoadError(Exception):
    pass


def _turns(messages, first):
    turns = []
    while messages > 0:
        turns.append(min(messages, USERS if turns else first))
        messages -= turns[-1]
    return turns


class _Chain(threading.Thread):
    """One smtp-source after the other."""

    def __init__(self, command, turns):
        super().__init__()
        self.command, self.turns, self.error = command, turns, None

    def run(self):
        for messages in self.turns:
            command = self.command + ["-m", str(messages), self.address]
            try:
                done = subprocess.run(command, timeout=TURN_TIMEOUT_S,
                                      stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True,
                                      check=False)
            except subprocess.TimeoutExpired:
                self.error = f"smtp-source took over {TURN_TIMEOUT_S} s"
                return
            if done.returncode != 0:
                self.error = done.stderr.strip().splitlines()[-1]
                return

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


def send(port, messages, sessions, size, kept, domain=DOMAIN):
    """Sends messages; returns when the last one was answered."""
    processes = min(PROCESSES, sessions)
    chains = []
    for i in range(processes):
        part = messages // processes + (i < messages % processes)
        command = ["smtp-source", "-N", "-s",
                   str(sessions // processes + (i < sessions % processes)),
                   "-l", str(size), "-f", "bench@example.org",
                   "-t", f"@{domain}", "-M", "bench.example.org"]
        if kept:
            command.append("-d")
        chain = _Chain(command, _turns(part, USERS * (i + 1) // processes))
        chain.port = port
        chains.append(chain)
    for chain in chains:
        chain.start()
    for chain in chains:
        chain.join()
    for chain in chains:
        if chain.error is not None:
            raise LoadError(chain.error)


class Watcher:
    """Runs watch over the new/ folders of a server."""

    def __init__(self, program, folders):
        self.process = subprocess.Popen(
            [program, str(ARRIVAL_TIMEOUT_S)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.process.stdin.write("\n".join(folders) + "\n\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "ready\n":
            raise LoadError("cannot watch the Maildirs")

    def wait(self, count):
        """When the last of count messages came (CLOCK_MONOTONIC, s)."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        self.process.wait()
        if len(answer) != 2:
            come = answer[0] if answer else "an unknown number"
            raise LoadError(f"{come} of {count} messages came within "
                            f"{ARRIVAL_TIMEOUT_S} s of the last 250")
        if int(answer[0]) != count:
            raise LoadError(f"{answer[0]} messages came, {count} were sent")
        return int(answer[1]) / 1e9

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(server, watch, messages, sessions, size, kept):
    """(messages per second, CPU milliseconds per message) of one run."""
    os.sync()
    watcher = Watcher(watch, server.new_folders())
    try:
        cpu = server.processes.cpu_s()
        began = time.monotonic()
        send(server.port, messages, sessions, size, kept)
        ended = watcher.wait(messages)
        time.sleep(0.2)  # what a server does after the last delivery counts
        cpu = server.processes.cpu_s() - cpu
    finally:
        watcher.close()
    return messages / (ended - began), cpu / messages * 1000
