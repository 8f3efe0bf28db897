# SPDX-License-Identifier: ISC
"""What the logs of the queues say of messages that were delivered twice.

Every message has an envelope sender of its own: it tells whose lines these are,
since numbers of messages are used again.  A kill may repeat what it fell into,
and nothing else:

- after its `end msg` line a message never comes again;
- a recipient whose `success` line is there comes again only if qmail-send was
  killed within the time that an end may be in memory only;
- a copy is there for each delivery that may have made one, and no other.

A killed qmail-send takes the last lines that it gathered with it, so the log
may say less than what was done; never more.
"""
import collections
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
# From a job that the log does not have, to its file in new/.
UNLOGGED_S = 3 * SLOW

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
        self.succeeded = {}  # (sender, user): when, the last time
        self.ended = set()   # senders
        self.copies = collections.Counter()  # that may be, by (sender, user)
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
        if sender in self.ended:
            self.faults.append(f"{sender} is in {self.queue} again, at {at}, "
                               "after its end")

    def start(self, at, delivery, number, address):
        sender = self.names.get(number)
        if not sender:  # a report, or the line is lost
            return
        key = sender, address.partition("-")[2].partition("@")[0]
        self.deliveries[delivery] = key
        self.copies[key] += 1
        if sender in self.ended:
            self.faults.append(f"{key} is tried in {self.queue} at {at}, "
                               "after the message's end")
        elif key in self.succeeded and not self.may_forget(
                self.succeeded[key], at):
            self.faults.append(
                f"{key} is tried in {self.queue} at {at}, after its success "
                f"at {self.succeeded[key]}; kills: {self.kills}")

    def may_forget(self, success, again):
        return any(success - SLACK_S <= kill <= min(
            success + REMEMBERED_S, again) + SLACK_S for kill in self.kills)

    def result(self, at, delivery, outcome, text):
        key = self.deliveries.pop(delivery, None)
        if key is None:
            return
        if outcome == "success":
            self.succeeded[key] = at
        elif "delivery_worker_ended" not in text:
            self.copies[key] -= 1  # its worker says that it made none

    def end(self, _, number):
        if self.names.get(number):
            self.ended.add(self.names[number])

    def may_be_unlogged(self, times):
        """How many copies a kill may have taken out of the log."""
        return sum(any(abs(when - kill) <= UNLOGGED_S for when in times)
                   for kill in self.kills)


def find_faults(node, kills, copies):
    """What no kill explains; and how many messages' ends the logs have.

    copies: when each file came, by (envelope sender, user).
    """
    logs = [QueueLog(folder.name, kills).read(
        read_log(node.home / "log" / folder.name))
        for folder in sorted((node.home / "queue").iterdir())]
    faults = [fault for log in logs for fault in log.faults]
    for key, times in copies.items():
        if len(times) < 2:
            continue
        mine = [log for log in logs if key[0] in log.names.values() or
                log.copies[key]] or logs
        known = sum(log.copies[key] for log in mine)
        if len(times) > known + sum(log.may_be_unlogged(times)
                                    for log in mine):
            faults.append(f"{key} has {len(times)} copies, at {times}, of "
                          f"{known} deliveries")
    return faults, sum(len(log.ended) for log in logs)
