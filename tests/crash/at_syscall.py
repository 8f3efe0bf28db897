# SPDX-License-Identifier: ISC
"""One queue whose qmail-send is killed in front of a chosen system call.

strace kills it (-e inject=CALL:signal=KILL:when=N), so nothing in the product
knows of these tests.  A scenario walks every arrow of docs/queue.md: delivered
at once, deferred and then delivered, failed and reported, some of several
recipients done, small and large.
"""
import contextlib
import itertools
import re
import signal
import subprocess
import time

import pytest

from node import DEADLINE_S
from queue_peer import DOMAIN
from queue_states import states

# Each recipient belongs to one message; the name says what a worker answers.
MESSAGES = {
    "first": ["ok-1"],
    "some": ["ok-2", "later-1"],
    "failed": ["gone-1", "ok-3"],
    "deferred": ["later-2"],
    "large": ["ok-4"],
}
AFTERWARDS = {"next": ["ok-5"], "next-too": ["ok-6", "later-3"]}
SENDER = f"reports@{DOMAIN}"


def body(name):
    text = f"Subject: {name}\n\nThis is for the recipients of {name}.\n"
    return text * 2000 if name == "large" else text


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
        queue.spawn("strace", "-D", "-f", "-qq", "-o", "/dev/null",
                    "-e", f"trace={call}",
                    "-e", f"inject={call}:signal=KILL:when={when}")
        if not self.is_dead():
            with contextlib.suppress(OSError):
                queue.worker(self.decide)

    def is_dead(self, wait_s=0):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.queue.process.wait(wait_s)
        return self.queue.process.poll() is not None

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
        queue.start()  # which makes the journal
        queue.stop()
        self.start_to_die(call, when)
        self.inject(MESSAGES)
        self.wait_over(lambda: self.outcomes("Z") == 2 and
                       self.outcomes("D") == 1)

        def is_over():
            if not self.is_dead():
                queue.send_signal(signal.SIGALRM)
            return not queue.files("info") and not queue.envelopes()

        self.wait_over(is_over)
        if not self.is_dead():
            queue.send_signal(signal.SIGTERM)
        return queue.ended() == -signal.SIGKILL

    def give_up(self):
        """Ends what a failed scenario left running."""
        if self.queue.process is not None:
            self.queue.stop(signal.SIGKILL)

    def outcomes(self, wanted):
        return len({name for name, _, outcome in self.jobs
                    if outcome == wanted})

    # -- what the kill left

    def look(self):
        """Holds the files against the table of docs/queue.md."""
        pending = set()
        for found in states(self.queue).values():
            self.states.add(found.state)
            pending |= {address.partition("@")[0].removeprefix(f"{DOMAIN}-")
                        for address in found.pending}
        self.settled = {user for name in self.accepted
                        for user in MESSAGES[name]} - pending
        self.tried_before = len(self.jobs)

    # -- the end

    def recover(self):
        """Three more processes, with more mail."""
        queue = self.queue
        for names in ({}, AFTERWARDS, {}):
            queue.start()
            queue.worker(self.decide)
            self.inject(names)
            end = time.monotonic() + DEADLINE_S
            while any(queue.names(folder) for folder in
                      ("todo", "info", "local", "remote", "bounce", "todo")):
                assert time.monotonic() < end, (
                    f"messages stay in the queue: "
                    f"{[vars(one) for one in states(queue).values()]}\n"
                    f"{queue.log()}")
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
