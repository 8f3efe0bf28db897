# SPDX-License-Identifier: ISC
"""Each arrow of the state table (docs/queue.md): kill -9, or EIO, at each of its
calls; and the message is where the table says.

A row is a call of qmail-send in the order in which they come, the file or folder
it is for ("mess/" is the folder), which of several such, and the state in which
a kill just before it leaves the message.
"""
import contextlib
import contextlib
import os
import shutil
import signal
import uuid

import pytest

import journal
from node import NO_LEAKS, wait_until
from queue_peer import DOMAIN, Intake
from queue_states import states
from syscalls import Tracer

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed")

LARGE = b"Subject: large\n\n" + b"x" * 99 * 1024
SMALL = b"Subject: small\n\nbody\n"
SENDER = f"reports@{DOMAIN}"
NAMES = ["gone", "later", "ok"]
MIXED = {"gone": "D", "later": "Z"}
MANY = ["x" * 900 + str(number) for number in range(300)]
KILL = "signal=KILL"

# A new message: into the journal, into mess/ and the journal, and into files,
# as its envelope has no room in a segment.
COMMIT = [("pwritev2", "journal", 1, "S1"), ("sendmsg", None, 1, "F")]
COMMIT_LARGE = [
    ("openat", "name", 1, "S1"),
    ("write", "mess", 1, "S2"),
    ("fdatasync", "mess", 1, "S2"),
    ("fsync", "mess/", 1, "S2"),
    ("pwritev2", "journal", 1, "S2"),
    ("sendmsg", None, 1, "F large")]
COMMIT_FILES = [
    ("openat", "name", 1, "S1"),
    ("pwrite64", "pid", 1, "S2"),
    ("fdatasync", "mess", 1, "S2"),
    ("fsync", "mess/", 1, "S2"),
    ("renameat", "name", 1, "S2"),
    ("fsync", "todo/", 1, "S4"),
    ("sendmsg", None, 1, "S4")]

# All are done: it ends in the journal.
END = [("pwritev2", "journal", 1, "F")]
END_LARGE = [("pwritev2", "journal", 1, "F large"),
             ("unlinkat", "name", 1, "S2")]

# One has failed, one waits: it is kept.
KEEP = [
    ("openat", "name", 1, "F"),
    ("pwrite64", "pid", 1, "F"),
    ("pwrite64", "mess", 1, "F"),
    ("pwrite64", "local", 1, "F"),
    ("utimensat", "local", 1, "F"),
    ("pwrite64", "bounce", 1, "F"),
    ("fdatasync", "mess", 1, "F"),
    ("fsync", "mess/", 1, "F"),
    ("fsync", "local/", 1, "F"),
    ("renameat", "name", 1, "F"),
    ("fsync", "info/", 1, "S5"),
    ("pwritev2", "journal", 1, "S5")]
KEEP_LARGE = [
    ("pwrite64", "local", 1, "F large"),
    ("renameat", "name", 1, "F large"),
    ("fsync", "info/", 1, "S5"),
    ("pwritev2", "journal", 1, "S5")]
S4_TO_S5 = [
    ("openat", "name", 1, "S4"),
    ("pwrite64", "local", 1, "S4"),
    ("fsync", "bounce/", 1, "S4"),
    ("renameat", "name", 1, "S4"),
    ("fsync", "info/", 1, "S4"),
    ("renameat", "name", 2, "S4"),
    ("fsync", "todo/", 1, "S5")]

# All are done.  Files that are not there are removed, too.
S4_TO_S1 = [
    ("unlinkat", "name", 1, "S4"),
    ("unlinkat", "name", 7, "S4"),
    ("fsync", "todo/", 1, "S2"),
    ("unlinkat", "name", 8, "S2")]
S5_TO_S1 = [
    ("unlinkat", "name", 1, "S5"),
    ("pwritev2", "journal", 1, "S5"),
    ("unlinkat", "name", 2, "S5"),
    ("fsync", "bounce/", 1, "S5"),
    ("unlinkat", "name", 6, "S5"),
    ("fsync", "info/", 1, "S2"),
    ("unlinkat", "name", 8, "S2")]

# One has failed, one is done, one waits: how many are still to do.
MARK = [
    ("openat", "name", 1, 3),
    ("write", "bounce", 1, 3),
    ("fdatasync", "bounce", 1, 3),
    ("fsync", "bounce/", 1, 3),
    ("pwrite64", "local", 1, 3),
    ("pwrite64", "local", 2, 2),
    ("fdatasync", "local", 1, 1)]


class Bench:
    """A queue, and the message that something happens to."""

    def __init__(self, queue):
        self.queue = queue
        self.worker = None
        self.held = False  # the worker keeps its jobs
        self.first_job = self.first_line = 0  # of the message
        self.reports = set()  # UUIDs of those that came

    # -- processes

    def start(self, is_held=False):
        self.held = is_held
        self.queue.start()
        self.worker = self.queue.worker(self.decide)
        self.first_job = 0

    def decide(self, job):
        if job.extension == "reports":
            self.reports.add(job.uuid)
        is_ours = job.extension not in ("before", "reports")
        return None if self.held and is_ours else ("K", "ok\n")

    def inject(self, call, where, when, number, what):
        """strace, that will do so; it follows all threads when it is back."""
        queue, number = self.queue, str(number)
        self.first_line = len(queue.log())
        if where == "journal":
            paths = [queue.dir / f"lock/journal.{place}" for place in range(4)]
        elif where == "name":
            paths = [number]
        elif where is None:
            paths = []
        elif where.endswith("/"):
            paths = [queue.path(where[:-1], number).parent]
        else:
            paths = [queue.path(where, number)]
        return Tracer(
            queue.process.pid, call, f"{call}:{what}:when={when}", paths)

    def killed(self):
        """The state of what the kill has left, and who is to do; by number."""
        assert self.queue.ended() == -signal.SIGKILL
        return {int(number): (found.state, sorted(map(name_of, found.pending)))
                for number, found in states(self.queue).items()
                if found.state != "S1"}

    def stopped(self):
        """After an error: nothing but files is left."""
        queue = self.queue
        assert queue.stop() == 0, queue.log()
        found = states(queue)
        assert {one.state for one in found.values()} <= {"S4", "S5"}
        assert not journal.messages(queue.dir)
        return found

    def finish(self):
        """A next process ends everything; who got something from it."""
        self.start()
        queue = self.queue

        # S2 is left for hours.
        queue.hurry(lambda: not any(queue.names(folder) for folder in (
            "todo", "info", "local", "remote", "bounce", "todo")),
            "all is over")
        return self.names()

    def drop_garbage(self):
        """S2 and S3 go when they are old."""
        for folder in ("mess", "pid", "intd"):
            for path in self.queue.files(folder).values():
                # Its end may just be coming to it.
                path.unlink(missing_ok=True)

    # -- messages

    def next_number(self):
        client = Intake(self.queue)
        assert client.commit(b"x", [f"before@{DOMAIN}"])[0] == 0
        client.close()
        self.queue.wait_done()
        self.first_job = len(self.worker.jobs)
        return client.id + 1

    def log(self):
        return self.queue.log()[self.first_line:]

    def names(self):
        """Who got something, but reports, since the message is there."""
        names = [job.extension for job in self.worker.jobs[self.first_job:]]
        return sorted(name for name in names if name != "reports")

    def hold(self, body):
        """A fresh message whose deliveries are under way."""
        self.held = True
        number = self.next_number()
        client = Intake(self.queue)
        assert client.commit(
            body, [f"{name}@{DOMAIN}" for name in NAMES], SENDER)[0] == 0
        client.close()
        wait_until(lambda: len(self.worker.held) == 3, "three jobs")
        return number

    def hold_files(self):
        """The same, in S4."""
        if self.queue.process is not None:
            assert self.queue.stop() == 0
        self.queue.inject([f"{name}@{DOMAIN}" for name in NAMES], SENDER)
        number, = self.queue.files("todo")
        self.start(is_held=True)
        wait_until(lambda: len(self.worker.held) == 3, "three jobs")
        return number

    def hold_remembered(self):
        """The same, in S5."""
        if self.queue.process is not None:
            assert self.queue.stop() == 0
        number = self.queue.put_remembered(
            local=[f"{DOMAIN}-{name}@{DOMAIN}" for name in NAMES],
            info=f"F{SENDER}\0I{uuid.uuid4()}\0".encode())
        self.start(is_held=True)
        wait_until(lambda: len(self.worker.held) == 3, "three jobs")
        return number

    def answer(self, **outcomes):
        for job in sorted(self.worker.held, key=lambda job: job.extension):
            self.worker.answer(job, outcomes.get(job.extension, "K"), "as \n")


def name_of(address):
    return address.partition("@")[0].removeprefix(f"{DOMAIN}-")


def check_after_kill(bench, number, state):
    """
    The message is where the table says, and the next process does what is left
    to do: that, and no more.
    """
    found = bench.killed()
    was, left = found.get(number, ("S1", []))
    assert state in (was, len(left)), (state, found)
    names = bench.finish()
    assert names == left
    return left


def hold_and_answer(bench, row, what, hold, outcomes):
    """A message whose deliveries are under way: their ends set it going."""
    call, where, when, _ = row
    number = hold()
    bench.reports = set()
    with bench.inject(call, where, when, number, what):
        bench.answer(**outcomes)
        wait_until(lambda: bench.queue.process.poll() is not None or
                   "alert: " in bench.log(), lambda: f"{row}\n{bench.log()}")
    return number


def walk(bench, rows, what, hold, outcomes):
    bench.start()
    has_failed = "D" in outcomes.values()
    again = [name for name in NAMES if outcomes.get(name) == "Z"]
    for row in rows:
        try:
            number = hold_and_answer(bench, row, what, hold, outcomes)
            if what == KILL:
                left = check_after_kill(bench, int(number), row[-1])
                assert len(bench.reports) <= has_failed
                is_reported = has_failed and "gone" not in left
            else:
                tried = bench.names()
                bench.stopped()
                # Once more at the stop; and nobody gets it twice.
                assert sorted(tried + bench.finish()) == sorted(NAMES + again)
                is_reported = has_failed
            assert bench.reports or not is_reported
            bench.drop_garbage()
        except AssertionError as error:
            pytest.fail(f"{row}: {error}\n{bench.queue.log()}")


def is_queued(state):
    return state in ("F", "F large", "S4")


def walk_commit(bench, rows, what, body, names):
    bench.start()
    for row in rows:
        call, where, when, state = row
        if where is None and what != KILL:
            continue  # the connection's end; its client asks
        number = bench.next_number()
        ident = uuid.uuid4()
        client = Intake(bench.queue)
        try:
            with bench.inject(call, where, when, number, what):
                with contextlib.suppress(BrokenPipeError):
                    client.send(body, [f"{name}@{DOMAIN}" for name in names],
                                ident=ident)
                if what == KILL:
                    bench.queue.process.wait(60)
                else:
                    assert client.answer()[0] not in (0, Intake.ABSENT)
            if what == KILL:
                left = check_after_kill(bench, number, state)
                assert left == (sorted(names) if is_queued(state) else [])
            else:
                assert client.commit(SMALL, [f"after@{DOMAIN}"])[0] == 0
                bench.queue.wait_done()
                assert bench.stopped() == {}
                assert bench.names() == ["after"]
                assert bench.finish() == []
            if state != "S4":
                assert Intake(bench.queue).ask(ident) == (
                    0 if what == KILL and is_queued(state) else Intake.ABSENT)
            bench.drop_garbage()
        except AssertionError as error:
            pytest.fail(f"{row}: {error}\n{bench.queue.log()}")


@pytest.fixture
def bench(queue):
    return Bench(queue)


what = pytest.mark.parametrize("what", [KILL, "error=EIO"],
                               ids=["kill", "error"])


@what
@pytest.mark.parametrize("rows, body, names", [
    (COMMIT, SMALL, ["u"]), (COMMIT_LARGE, LARGE, ["u"]),
    (COMMIT_FILES, SMALL, MANY)], ids=["fresh", "large", "files"])
def test_commit(bench, rows, body, names, what):
    walk_commit(bench, rows, what, body, names)


@what
@pytest.mark.parametrize("rows, body", [
    (END, SMALL), (END_LARGE, LARGE)], ids=["fresh", "large"])
def test_end(bench, rows, body, what):
    # A text that cannot be removed is S2, and goes when it is old.
    walk(bench, rows if what == KILL else rows[:1], what, lambda: bench.hold(body), {})


@what
@pytest.mark.parametrize("rows, body", [
    (KEEP, SMALL), (KEEP_LARGE, LARGE)], ids=["fresh", "large"])
def test_keep(bench, rows, body, what):
    walk(bench, rows, what, lambda: bench.hold(body), MIXED)


@what
@pytest.mark.parametrize("rows, outcomes", [
    (S4_TO_S5, MIXED), (S4_TO_S1, {})], ids=["to_S5", "to_S1"])
def test_s4(bench, rows, outcomes, what):
    walk(bench, rows, what, bench.hold_files, outcomes)


@what
@pytest.mark.parametrize("rows, outcomes", [
    (MARK, MIXED), (S5_TO_S1, {"gone": "D"})], ids=["marks", "to_S1"])
def test_s5(bench, rows, outcomes, what):
    walk(bench, rows, what, bench.hold_remembered, outcomes)


def test_s2_and_s3_are_swept(queue):
    """Killed on the way, however often, what was never queued goes."""
    number = 4711
    for when, wanted in [(1, "S3"), (5, "S2"), (0, None)]:
        if wanted is not None:
            queue.path("mess", number).write_bytes(b"half")
            queue.path("intd", number).write_bytes(b"u0\0p1\0Fs")
            os.utime(queue.path("mess", number), (1, 1))
            queue.spawn("strace", "-D", "-f", "-qq", "-o", "/dev/null",
                        "-e", "trace=unlinkat", f"-P{number}", "-e",
                        f"inject=unlinkat:{KILL}:when={when}")
            assert queue.ended() == -signal.SIGKILL
            assert states(queue)[str(number)].state == wanted
        else:
            queue.start()
            queue.wait_files(mess=0, intd=0)


def test_a_kill_while_a_try_is_noted_makes_no_message_younger(queue):
    """Between the two calls that note it, info/ID is as old as that try."""
    queue.set("holdlocal", "1")
    queue.start()
    number = queue.put_remembered(local=[f"{DOMAIN}-u@{DOMAIN}"], age=10000)
    info = queue.path("info", number)
    birth = int(info.stat().st_mtime)
    info.write_bytes(b"Fs@example.net\0A000003\0B%d\0" % birth)
    os.utime(info, (birth, birth))
    queue.stop()
    queue.set("holdlocal", "0")
    queue.start()
    with Tracer(queue.process.pid, "utimensat", f"utimensat:{KILL}", [info]):
        queue.worker(lambda job: ("Z", "later\n"))
        assert queue.ended() == -signal.SIGKILL
    assert b"A000004" in info.read_bytes()
    assert int(info.stat().st_mtime) > birth
    queue.start()
    worker = queue.worker(lambda job: ("Z", "later\n"))
    queue.hurry(lambda: worker.jobs, "a try")
    job = worker.jobs[0]
    assert (job.birth, job.attempt) == (birth, 5)
    wait_until(lambda: int(info.stat().st_mtime) == birth, "it is mended")


def test_an_end_that_was_not_noted_is_noted_first(bench):
    """
    A message that was kept, and still counts in the journal, was delivered and
    removed; only new mail had its end noted.  So the next process that was
    killed before left it to be delivered again.
    """
    queue = bench.queue
    bench.start()
    number = bench.hold(SMALL)
    with bench.inject("pwritev2", "journal", 1, number, KILL):
        bench.answer(**MIXED)
        queue.process.wait(60)
    wanted = ("S5", ["later"])
    assert bench.killed()[number] == wanted
    assert str(number) in journal.live(queue.dir)
    started = queue.log().count("starting delivery")
    journals = [f"-P{queue.dir}/lock/journal.{place}" for place in range(4)]
    queue.spawn("strace", "-D", "-f", "-qq", "-o", "/dev/null", *journals,
                "-e", "trace=pwritev2", "-e", f"inject=pwritev2:{KILL}",
                **NO_LEAKS)
    with contextlib.suppress(OSError):
        queue.worker()  # it may be dead already
    queue.process.wait(60)
    assert queue.log().count("starting delivery") == started
    assert bench.killed()[number] == wanted
    assert str(number) in journal.live(queue.dir)
    bench.start()
    wait_until(lambda: not journal.live(queue.dir), "its end is noted")
    assert bench.stopped()[str(number)].state == "S5"
    assert bench.finish() == ["later"]
