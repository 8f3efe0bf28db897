# SPDX-License-Identifier: ISC
"""What the logs of the queues say of messages that were tried again.

Every message has an envelope sender of its own: it tells whose lines these are.
A recipient whose `success` line is there, and a message whose `end msg` line is
there, comes again only if qmail-send was killed within the time that an end may
be in memory only.  Whoever looks into the Maildir does not see that: a delivery
that is repeated finds its own file.

A killed qmail-send takes the last lines that it gathered with it, so the log
may say less than what was done; never more.
"""
import contextlib
import os
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

from node import SLOW

# docs/known-issues.md, Surprises: then an end is remembered.
REMEMBERED_S = 2
# multilog, the committer, and whoever noted the kill, on a busy machine.
SLACK_S = 1 * SLOW

STAMP = re.compile(r"@([0-9a-f]{16})([0-9a-f]{8}) (.*)")
TAI_0 = (1 << 62) + 10
LINES = [(kind, re.compile(pattern)) for kind, pattern in [
    ("restart", r"running"),
    ("info", r"info msg (\d+): bytes \d+ from <(.*)> qp .*"),
    ("start", r"starting delivery (\d+): msg (\d+) to local (.*)"),
    ("result", r"delivery (\d+): (success|failure|deferral): (.*)"),
    ("end", r"end msg (\d+)"),
]]


class Kill(NamedTuple):
    at: float
    program: str
    queue: str  # "" for one that has none


def part(node, pid):
    """(program, queue) of a process; ("", "") when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            words = file.read().split("\0")
    except OSError:
        return "", ""
    queue = next((Path(word).name for word in words[1:]
                  if Path(word).parent == node.home / "queue"), "")
    return os.path.basename(words[0]), queue


def kill(node, pids):
    """Kills them all with -9; what was killed."""
    kills = []
    for pid, what in [(pid, part(node, pid)) for pid in pids]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            kills.append(Kill(time.time(), *what))
    return kills


def read_log(folder):
    """(time, text) of each line, the oldest first."""
    for path in [*sorted(folder.glob("@*")), folder / "current"]:
        if path.exists():
            for line in path.read_text(errors="replace").splitlines():
                match = STAMP.fullmatch(line)
                if match:
                    yield (int(match[1], 16) - TAI_0 + int(match[2], 16) / 1e9,
                           match[3])


class QueueLog:
    """One queue's deliveries, line by line."""

    def __init__(self, queue, kills):
        self.queue = queue
        self.kills = [kill.at for kill in kills if kill.queue == queue and
                      kill.program == "qmail-send"]
        self.names = {}      # message's number: its envelope sender
        self.deliveries = {} # of this qmail-send, by number: (sender, user)
        self.over = {}       # when, of a sender, or (sender, user)
        self.ended = 0
        self.faults = []

    def read(self, lines):
        for at, text in lines:
            for kind, pattern in LINES:
                match = pattern.fullmatch(text)
                if match:
                    getattr(self, kind)(at, *match.groups())
                    break
        return self

    def restart(self, _):
        self.deliveries = {}

    def info(self, at, number, sender):
        self.names[number] = sender
        self._check(at, sender)

    def start(self, at, delivery, number, address):
        sender = self.names.get(number)
        if not sender:  # a report, or the line is lost
            return
        key = sender, address.partition("-")[2].partition("@")[0]
        self.deliveries[delivery] = key
        self._check(at, sender)
        self._check(at, key)

    def _check(self, at, what):
        over = self.over.get(what)
        if over is not None and not any(
                over - SLACK_S <= kill <= min(over + REMEMBERED_S, at) +
                SLACK_S for kill in self.kills):
            self.faults.append(f"{what} is in {self.queue} again, at {at}, "
                               f"after its end at {over}; kills: {self.kills}")

    def result(self, at, delivery, outcome, _):
        key = self.deliveries.pop(delivery, None)
        if key is not None and outcome == "success":
            self.over[key] = at

    def end(self, at, number):
        if self.names.get(number):
            self.over[self.names[number]] = at
            self.ended += 1


def find_faults(node, kills):
    """What no kill explains; and how many messages' ends the logs have."""
    logs = [QueueLog(folder.name, kills).read(
        read_log(node.home / "log" / folder.name))
        for folder in sorted((node.home / "queue").iterdir())]
    return ([fault for log in logs for fault in log.faults],
            sum(log.ended for log in logs))
