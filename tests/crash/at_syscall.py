# SPDX-License-Identifier: ISC
"""One queue whose qmail-send is killed in front of a chosen system call.

strace kills it (-e inject=CALL:signal=KILL:when=N), so nothing in the product
knows of these tests.  A scenario walks every arrow of docs/queue.md: delivered
at once, deferred and then delivered, failed and reported, some of several
recipients done, a file used again.
"""
import itertools
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from node import BIN, DEADLINE_S, wait_until
from queue_peer import DOMAIN

# Each recipient belongs to one message; the name says what a worker answers.
MESSAGES = {
    "first": ["ok-1"],
    "some": ["ok-2", "later-1"],
    "failed": ["gone-1", "ok-3"],
    "deferred": ["later-2"],
    "again": ["ok-4"],
}
AFTERWARDS = {"reused": ["ok-5"], "reused-too": ["ok-6", "later-3"]}
SENDER = f"reports@{DOMAIN}"


def body(name):
    return f"Subject: {name}\n\nThis is for the recipients of {name}.\n"


class Scenario:
    """What happened to a queue's messages, over several processes."""

    def __init__(self, queue):
        self.queue = queue
        self.accepted = set()  # names of messages with exit code 0
        self.jobs = []         # (recipient, message name, outcome)
        self.states = set()    # those that were found after kills
        self.settled = set()   # recipients that no process may try again
        self.tried_before = 0  # jobs answered before the kill

    # -- the worker

    def decide(self, job):
        name = job.recipient.partition("-")[2].partition("@")[0]
        tried = [outcome for recipient, _, outcome in self.jobs
                 if recipient == name]
        outcome = "K"
        if name.startswith("gone"):
            outcome = "D"
        elif name.startswith("later") and not tried:
            outcome = "Z"
        subject = re.search(rb"^Subject: (.*)$", job.message, re.M)
        subject = subject.group(1).decode()
        if name != "reports":
            whole = job.message.endswith(body(subject).encode())
            assert whole, f"{name} got a damaged message: {job.message!r}"
        elif b"gone-1@" in job.message:
            subject = "report"
        self.jobs.append((name, subject, outcome))
        return outcome, f"answer {outcome}\n"

    # -- a qmail-send that is to die

    def start_to_die(self, call, when):
        """Under strace; it may die before it is ready."""
        queue = self.queue
        ran = queue.log().count("running\n")
        with open(queue.log_path, "ab") as log:
            queue.process = subprocess.Popen(
                ["strace", "-f", "-qq", "-o", queue.home / "strace",
                 "-e", f"trace={call}",
                 "-e", f"inject={call}:signal=KILL:when={when}",
                 BIN / "qmail-send", queue.dir], env=queue.environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.is_dead() or
                   queue.log().count("running\n") > ran,
                   "qmail-send runs, or is killed")
        if not self.is_dead():
            try:
                queue.worker(self.decide)
            except OSError:
                assert self.is_dead(5)

    def is_dead(self, wait_s=0):
        if wait_s:
            try:
                self.queue.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                return False
        return self.queue.process.poll() is not None

    def tracee(self):
        """The pid of the qmail-send below strace."""
        parent = self.queue.process.pid
        path = Path(f"/proc/{parent}/task/{parent}/children")
        return int(path.read_text().split()[0])

    def inject(self, names):
        for name, users in names.items():
            done = self.queue.inject(
                [f"{user}@{DOMAIN}" for user in users], sender=SENDER,
                body=body(name).encode(), code=None)
            if done.returncode == 0:
                self.accepted.add(name)
            # Some of the messages meet in one batch, others do not.
            time.sleep(0.02)

    def wait_over(self, is_over):
        end = time.monotonic() + DEADLINE_S
        while not self.is_dead() and not is_over():
            if time.monotonic() > end:
                raise AssertionError(f"is not over\n{self.queue.log()}")
            time.sleep(0.02)

    def until_killed(self, call, when):
        """Runs it all; True if it was killed on the way."""
        queue = self.queue
        self.start_to_die(call, when)
        self.inject(MESSAGES)
        self.wait_over(lambda: self.outcomes("Z") == 2 and
                       self.outcomes("D") == 1)
        time.sleep(0.05)
        if not self.is_dead():
            self.signal(signal.SIGALRM)
            self.wait_over(lambda: not queue.files("info") and
                           not queue.envelopes())
        is_killed = self.is_dead(0.1)
        if not is_killed:
            self.signal(signal.SIGTERM)
            queue.process.wait(DEADLINE_S)
        self.end_process()
        return is_killed

    def signal(self, number):
        try:
            subprocess.run(["kill", f"-{number}", str(self.tracee())],
                           check=False, stderr=subprocess.DEVNULL)
        except (OSError, IndexError):
            assert self.is_dead(5)

    def give_up(self):
        """Ends what a failed scenario left running."""
        process = self.queue.process
        if process is not None and process.poll() is None:
            if process.args[0] == "strace":
                self.signal(signal.SIGKILL)
            process.kill()
            process.wait()
        self.end_process()

    def end_process(self):
        for worker in self.queue.workers:
            worker.close()
        self.queue.workers = []
        self.queue.process = None

    def outcomes(self, wanted):
        return len({name for name, _, outcome in self.jobs
                    if outcome == wanted})

    # -- what the kill left

    def look(self):
        """Holds the files against the table of docs/queue.md."""
        queue = self.queue
        files = {folder: queue.files(folder) for folder in
                 ("mess", "intd", "info", "local", "remote", "bounce")}
        files["todo"] = queue.envelopes()
        spares = queue.spares()
        pending = set()
        for number in set().union(*files.values()):
            has = {folder for folder, names in files.items()
                   if number in names}
            if "todo" in has:
                assert "mess" in has, f"{number} is in {has}"
                self.states.add("S4")
                pending |= self._recipients(files["todo"][number], b"T")
            elif "info" in has:
                assert "mess" in has, f"{number} is in {has}"
                self.states.add("S5")
                for folder in has & {"local", "remote"}:
                    record = files[folder][number].read_bytes()
                    assert record.endswith(b"\0"), (
                        f"{folder}/{number} is cut short: {record!r}")
                    pending |= self._recipients(record, b"T")
            elif has == {"mess"}:
                self.states.add("S1" if number in spares else "S2")
            else:
                raise AssertionError(
                    f"no state of the table: {number} is in {has}")
        self.settled = {user for name in self.accepted
                        for user in MESSAGES[name]} - pending
        self.tried_before = len(self.jobs)

    @staticmethod
    def _recipients(record, kind):
        return {field[1:].decode().partition("@")[0].removeprefix(
            f"{DOMAIN}-") for field in record.split(b"\0")
            if field.startswith(kind)}

    # -- the end

    def recover(self):
        """Two more processes, the second after files were used again."""
        queue = self.queue
        for names in ({}, AFTERWARDS, {}):
            queue.start()
            queue.worker(self.decide)
            self.inject(names)
            end = time.monotonic() + DEADLINE_S
            while any(queue.names(folder) for folder in
                      ("todo", "info", "local", "remote", "bounce")):
                assert time.monotonic() < end, (
                    f"messages stay in the queue\n{queue.log()}")
                queue.send_signal(signal.SIGALRM)
                time.sleep(0.05)
            queue.stop()

    def account(self):
        everything = {**MESSAGES, **AFTERWARDS}
        owner = {user: name for name, users in everything.items()
                 for user in users}
        for user, subject, _ in self.jobs:
            if user == "reports":
                assert subject == "report", f"reports got '{subject}'"
            else:
                assert subject == owner[user], (
                    f"the message '{subject}' went to {user}")
        done = {user for user, _, outcome in self.jobs if outcome in "KD"}
        for name in self.accepted:
            for user in everything[name]:
                assert user in done, f"{name} for {user} is lost"
            if name == "failed":
                assert "reports" in done, "no report of gone-1"
        assert set(AFTERWARDS) <= self.accepted
        repeated = {user for user, _, _ in self.jobs[self.tried_before:]}
        assert not repeated & self.settled, (
            f"delivered again after its end: {repeated & self.settled}")


def run(queue, call, when):
    """One kill; (whether it came, the states that it left)."""
    scenario = Scenario(queue)
    is_killed = scenario.until_killed(call, when)
    scenario.look()
    scenario.recover()
    scenario.account()
    return is_killed, scenario.states


# Calls of one kind that are killed in front of, at most.
WHEN_MAX = 40


def walk(make_queue, call, step=1):
    """Kills in front of each step-th call, from the first until none is left;
    gives the states that were found."""
    seen, failures = set(), []
    for when in itertools.count(1, step):
        queue = make_queue()
        try:
            is_killed, states = run(queue, call, when)
        except (AssertionError, pytest.fail.Exception) as error:
            failures.append(f"call {when}: {error}")
            Scenario(queue).give_up()
            is_killed, states = True, set()
        seen |= states
        if not is_killed or when >= WHEN_MAX:
            break
    assert not failures, "\n\n".join(failures)
    return seen
