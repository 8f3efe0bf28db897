# SPDX-License-Identifier: ISC
"""The journal (docs/queue.md): where new messages are until they have files.

Whatever happens to it, and whoever is killed on the way, each message is
delivered to its own recipients, and only what was in flight is repeated.
test_57_queue_states.py has the kills at each step of a message's life.
"""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import uuid

import pytest

import journal
from node import BIN, NO_LEAKS, wait_until
from queue_peer import DOMAIN, Intake
from queue_states import states
from syscalls import Tracer

needs_strace = pytest.mark.skipif(shutil.which("strace") is None,
                                  reason="strace is not installed")
PAD = b"A line of a message that fills a segment.\n" * 1200  # 50 KB
LARGE = b"A line of a message that gets a file.\n" * 3000


def body(name, more=b""):
    return f"Subject: {name}\n\nThis is for {name}.\n".encode() + more


def commit(queue, *names, more=b""):
    """The numbers that they got."""
    client = Intake(queue)
    numbers = []
    for name in names:
        code, text = client.commit(body(name, more), [f"{name}@{DOMAIN}"])
        assert code == 0, f"{text}\n{queue.log()}"
        numbers.append(str(client.id))
    client.close()
    return numbers


def check_jobs(worker, *names):
    """Each of these, and nobody else, got their own message."""
    assert sorted(job.extension for job in worker.jobs) == sorted(names)
    for job in worker.jobs:
        assert job.message.startswith(body(job.extension)), job.extension


def killed_with(queue, *names, large=()):
    """A queue whose messages are in the journal only; their numbers."""
    queue.start()
    worker = queue.worker(lambda job: None)
    numbers = commit(queue, *names)
    numbers += commit(queue, *large, more=LARGE)
    worker.wait_jobs(len(numbers))
    queue.stop(signal.SIGKILL)
    found = states(queue)
    assert set(found) == set(numbers)
    assert sorted(one.state for one in found.values()) == \
        ["F"] * len(names) + ["F large"] * len(large)
    return numbers


def delivered_by_the_next(queue, *names):
    queue.start()
    worker = queue.worker()
    queue.wait_done()
    check_jobs(worker, *names)
    assert queue.stop() == 0
    assert queue.fix("-N") == ""


def changed_at(queue):
    return {folder: (queue.dir / folder).stat().st_mtime_ns
            for folder in ("pid", "todo", "intd", "bounce")} | {
        path: path.stat().st_mtime_ns for path in
        queue.dir.glob("[milr]*/[0-9]*")}


# -- what never has a file, and what gets some

def test_delivered_at_once_it_never_has_a_file(queue):
    queue.start()
    worker = queue.worker()
    before = changed_at(queue)
    numbers = commit(queue, "a", "b", "c")
    queue.wait_done()
    check_jobs(worker, "a", "b", "c")
    assert changed_at(queue) == before
    assert len(set(numbers)) == 3


def test_one_that_stays_gets_its_files(queue):
    queue.times["STAY_MS"] = 1500
    queue.start()
    worker = queue.worker(lambda job: None)
    number, = commit(queue, "slow")
    worker.wait_jobs(1)
    assert states(queue)[number].state == "F"
    wait_until(lambda: number not in journal.live(queue.dir), "it is kept")
    found = states(queue)[number]
    assert found.state == "S5" and found.has == {"mess", "info", "local"}
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_done()
    check_jobs(worker, "slow")


def many(count):
    """Recipients whose addresses fill an envelope."""
    return [f"{'x' * 900}{number}@{DOMAIN}" for number in range(count)]


def test_too_large_an_envelope_gets_files_at_once(queue):
    queue.set("holdlocal", "1")
    queue.start()
    client = Intake(queue)
    assert client.commit(body("x"), many(300))[0] == 0
    queue.stop(signal.SIGKILL)
    assert states(queue)[str(client.id)].state in ("S4", "S5")
    assert not journal.live(queue.dir)


# -- a process that was killed

def test_killed_the_next_process_delivers(queue):
    numbers = killed_with(queue, "a", "b", "c", large=["d"])
    delivered_by_the_next(queue, "a", "b", "c", "d")
    for number in numbers:  # their names for life
        assert f"end msg {number}\n" in queue.log()


def test_killed_and_only_looked_at(queue):
    killed_with(queue, "a", "b", large=["c"])
    assert b"messages in queue: 3\n" in queue.run("qmail-qstat").stdout
    listed = queue.run("qmail-qread").stdout.decode()
    assert re.findall(r"\s(\w)@", listed) == ["a", "b", "c"]
    delivered_by_the_next(queue, "a", "b", "c")


def test_killed_and_repaired(queue):
    """queue-fix leaves what another system's qmail-send understands."""
    numbers = killed_with(queue, "a", "b", large=["c"])
    said = queue.fix("-N", code=1)
    assert "would take out of lock/journal, into files, mail of 3" in said
    assert {one.state for one in states(queue).values()} == {"F", "F large"}
    assert "take out of lock/journal" in queue.fix()
    assert not journal.live(queue.dir)
    assert {number: one.state for number, one in states(queue).items()} == {
        number: "S4" for number in numbers}
    delivered_by_the_next(queue, "a", "b", "c")


def test_killed_and_copied(queue):
    """Copied, all inodes are others."""
    killed_with(queue, "a", "b", large=["c"])
    copy = queue.home / "queue/copy"
    subprocess.run(["cp", "-a", queue.dir, copy], check=True)
    shutil.rmtree(queue.dir)
    copy.rename(queue.dir)
    delivered_by_the_next(queue, "a", "b", "c")


# What a start does before it takes up anything, and when it has.
START = ["openat", "pread64", "fdatasync", "fsync", "write", "renameat",
         "pwritev2"]


@needs_strace
@pytest.mark.parametrize("call", START)
def test_killed_while_it_starts(queue, call):
    """However often: the next one finds the same."""
    numbers = killed_with(queue, "a", "b", large=["c"])
    paths = [queue.dir / f"lock/journal.{place}" for place in range(4)]
    paths += [queue.dir / "lock", queue.dir / "lock/journal.new"]
    found, when = states(queue), 1
    while True:
        (queue.dir / "lock/journal.3").unlink(missing_ok=True)  # is made anew
        queue.spawn(
            "strace", "-D", "-f", "-qq", "-o", "/dev/null",
            *(f"-P{path}" for path in paths), "-e", f"trace={call}",
            "-e", f"inject={call}:signal=KILL:when={when}", **NO_LEAKS)
        if call == "pwritev2":  # the first of the segment that it begins
            Intake(queue).send(body("never"), [f"never@{DOMAIN}"])
        try:
            queue.process.wait(0.3)
        except subprocess.TimeoutExpired:
            queue.stop(signal.SIGKILL)
            break
        assert queue.ended() == -signal.SIGKILL
        again = states(queue)
        assert {number: one.state for number, one in again.items()} == {
            number: one.state for number, one in found.items()}, when
        if call == "pwritev2":
            break
        when += 3
    assert when > 1 or call == "pwritev2"
    assert set(journal.live(queue.dir)) >= set(numbers)
    delivered_by_the_next(queue, "a", "b", "c")


# -- a clean stop

def as_qmail_reads(queue, number):
    """Who is not done, as qmail-send and qmail-qread find it, and the text."""
    mess = queue.path("mess", number).read_bytes()
    if queue.path("todo", number).exists():  # it was not routed yet
        fields = queue.path("todo", number).read_bytes().split(b"\0")
        assert [field[:1] for field in fields] == [b"u", b"p", b"F", b"T", b""]
        return mess, [fields[3][1:].decode()]
    sender = queue.path("info", number).read_bytes().partition(b"\0")[0]
    assert sender == b"Fs@example.net"
    fields = queue.path("local", number).read_bytes().split(b"\0")
    assert [field[:1] for field in fields] == [b"T", b""]
    return mess, [fields[0][1:].decode().removeprefix(f"{DOMAIN}-")]


def test_stopped_it_is_empty(queue):
    """And its files are any qmail's; queue-fix can name them by inodes."""
    queue.set("concurrencylocal", "1")
    queue.start()
    worker = queue.worker(lambda job: None)
    commit(queue, "first")
    worker.wait_jobs(1)
    numbers = commit(queue, "small") + commit(queue, "large", more=LARGE)
    queue.send_signal(signal.SIGTERM)
    worker.answer(worker.held[0], "K", "ok\n")
    assert queue.ended() == 0
    assert journal.messages(queue.dir) == {}
    assert set(states(queue)) == set(numbers)
    for number, name, more in zip(numbers, ("small", "large"), (b"", LARGE)):
        assert as_qmail_reads(queue, number) == (
            body(name, more), [f"{name}@{DOMAIN}"])
    queue.fix("-I")
    for number, path in queue.files("mess").items():
        assert number == str(path.stat().st_ino)
    delivered_by_the_next(queue, "small", "large")


# -- segments

def start_without(queue, place):
    """Its file is of another size, so that it is made when it is wanted."""
    queue.start()
    queue.stop()
    os.truncate(queue.dir / f"lock/journal.{place}", 4096)
    queue.start()


def fill_segment(queue, *names):
    """So that the next message needs the next one; with some of these names."""
    return commit(queue, *names, *["full"] * (4 - len(names)), more=PAD)


def test_goes_round_and_round(queue):
    """More than all hold, with some that stay all the time."""
    queue.start()
    worker = queue.worker(
        lambda job: None if "stays" in job.extension else ("K", "ok\n"))
    stays = [f"stays{turn}" for turn in range(10)]
    for name in stays:
        fill_segment(queue, name)
    wait_until(lambda: len(worker.held) == 10 and len(
        set(journal.live(queue.dir)) | set(queue.files("info"))) == 10,
        "those that stay, and the others' ends")
    queue.stop(signal.SIGKILL)
    found = states(queue)
    assert {one.state for one in found.values()} == {"F", "S5"}
    assert len(found) == 10
    queue.start()
    worker = queue.worker()
    queue.wait_done()
    check_jobs(worker, *stays)


CHANGE = [("openat", "journal.new"), ("write", "lock/journal.new"),
          ("fsync", "lock/journal.new"), ("renameat", "journal.new"),
          ("fsync", "lock"), ("openat", "journal.2"),
          ("pwritev2", "lock/journal.2")]


@needs_strace
def test_killed_while_a_segment_is_made(make_queue):
    for call, path in CHANGE:
        queue = make_queue()
        start_without(queue, 2)
        worker = queue.worker(lambda job: None if job.extension == "stays"
                              else ("K", "ok\n"))
        number, *_ = fill_segment(queue, "stays")
        worker.wait_jobs(4)
        ident = uuid.uuid4()
        client = Intake(queue)
        with Tracer(queue.process.pid, call, f"{call}:signal=KILL",
                    [path if path.startswith("journal") else
                     queue.dir / path]):
            client.send(body("never", PAD), [f"never@{DOMAIN}"], ident=ident)
            assert queue.ended() == -signal.SIGKILL
        found = states(queue)
        # The ends may have been in that batch.
        assert found.pop(number).state == "F", path
        assert {one.state for one in found.values()} <= {"F"}, path
        queue.start()
        worker = queue.worker()
        assert Intake(queue).ask(ident) == Intake.ABSENT
        queue.wait_done()
        assert "stays" in [job.extension for job in worker.jobs]
        assert set(job.extension for job in worker.jobs) <= {"stays", "full"}


@needs_strace
@pytest.mark.parametrize("call, path", CHANGE[:-1])
def test_a_segment_that_cannot_be_made_is_made_later(queue, call, path):
    """New mail waits a second for it."""
    start_without(queue, 2)
    worker = queue.worker()
    fill_segment(queue)
    with Tracer(queue.process.pid, call, f"{call}:error=EIO:when=1",
                [path if path.startswith("journal") else queue.dir / path]):
        commit(queue, "waits", more=PAD)
    queue.wait_log(r"^alert: cannot (make|open) .*/lock/journal\.2'.*new mail "
                   "waits")
    queue.wait_done()
    check_jobs(worker, "waits", *["full"] * 4)


@needs_strace
@pytest.mark.parametrize("what", ["signal=KILL", "error=EIO"],
                         ids=["kill", "error"])
@pytest.mark.parametrize("when", [1, 2], ids=["header", "batch"])
def test_the_place_of_a_segment_is_used_again(queue, what, when):
    """
    Nothing that its place has held counts again, nor does what its client was
    told of a failure, when the new one's first writes fail.
    """
    queue.start()
    worker = queue.worker()
    for _ in range(4):
        fill_segment(queue)
    queue.wait_done()
    client = Intake(queue)
    with Tracer(queue.process.pid, "pwritev2", f"pwritev2:{what}:when={when}",
                [queue.dir / "lock/journal.1"]):
        client.send(body("never", PAD), [f"never@{DOMAIN}"])
        if what == "signal=KILL":
            assert queue.ended() == -signal.SIGKILL
        else:
            # Without a header it waits, and goes into the next one.
            assert (client.answer()[0] == 0) == (when == 1)
            queue.wait_log("^alert: cannot write .*lock/journal.1'")
            commit(queue, "after", more=PAD)
            queue.wait_done()
            assert worker.jobs[-1].extension == "after"
            queue.stop(signal.SIGKILL)
    assert states(queue) == {}
    delivered_by_the_next(queue)


@needs_strace
def test_after_a_failed_write_ends_go_into_the_next_segment(queue):
    """Nothing of a batch that failed counts, and what had ended stays so."""
    queue.start()
    worker = queue.worker(lambda job: None)
    commit(queue, "over", "stays")
    worker.wait_jobs(2)
    with Tracer(queue.process.pid, "pwritev2", "pwritev2:error=EIO:when=1",
                [queue.dir / "lock/journal.1"]):
        job, = [job for job in worker.held if job.extension == "over"]
        worker.answer(job, "K", "ok\n")
        queue.wait_log("^end msg")
        queue.wait_log("^alert: cannot write .*lock/journal.1'")
    wait_until(lambda: len(journal.live(queue.dir)) == 1, "the end is noted")
    queue.stop(signal.SIGKILL)
    delivered_by_the_next(queue, "stays")


# -- damage

def test_a_damaged_place_hides_nothing_behind_it(queue):
    killed_with(queue, "a", "b", "c")
    path = queue.dir / "lock/journal.1"
    data = bytearray(path.read_bytes())
    data[data.index(b"This is for b.")] ^= 1
    path.write_bytes(data)
    queue.start()
    worker = queue.worker()
    queue.wait_done()
    check_jobs(worker, "a", "c")
    queue.wait_log("^alert: .*lock/journal.1' was damaged.*journal.damaged.1")
    assert f"Tb@{DOMAIN}".encode() in (
        queue.dir / "lock/journal.damaged.1").read_bytes()
    # It stays, and another one beside it.
    for _ in range(6):
        fill_segment(queue)
    queue.wait_done()
    assert queue.stop() == 0
    assert f"Tb@{DOMAIN}".encode() in (
        queue.dir / "lock/journal.damaged.1").read_bytes()
    queue.start()
    queue.stop()
    assert queue.log().count(" was damaged") == 1


@needs_strace
@pytest.mark.parametrize("calls, lost", [
    # The header's; then the whole segment, its first pages, and so on: twice.
    ("3..5", {"a", "b"}),
    ("1+", {"a", "b", "c"})], ids=["some pages", "all of it"])
def test_what_cannot_be_read_hides_nothing_behind_it(queue, calls, lost):
    """Sectors of the disk, of the first segment."""
    queue.start()
    worker = queue.worker(lambda job: None if job.extension in "abcd" else
                          ("K", "ok\n"))
    commit(queue, "a", "b", "c")
    commit(queue, *["full"] * 4, "d", more=PAD)
    worker.wait_jobs(8)
    queue.stop(signal.SIGKILL)
    queue.spawn("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
                "trace=pread64", f"-P{queue.dir / 'lock/journal.1'}", "-e",
                f"inject=pread64:error=EIO:when={calls}", **NO_LEAKS)
    worker = queue.worker()
    queue.wait_log("^alert: .*lock/journal.1' was damaged")
    worker.wait_jobs(4 - len(lost))
    assert queue.stop() == 0
    assert {job.extension for job in worker.jobs} >= {"a", "b", "c", "d"} - lost
    for job in worker.jobs:
        assert job.message.startswith(body(job.extension))
    kept = (queue.dir / "lock/journal.damaged.1").read_bytes()
    assert all(f"T{name}@{DOMAIN}".encode() in kept for name in "abc")


@pytest.mark.parametrize("size", [0, 100, 4096, 9000])
def test_a_segment_that_is_cut_short(queue, size):
    """Another one's messages are delivered, and new mail is taken."""
    queue.start()
    worker = queue.worker(lambda job: None if job.extension == "stays"
                          else ("K", "ok\n"))
    commit(queue, "cut", more=PAD)
    commit(queue, "cut", "cut", "cut", more=PAD)
    commit(queue, "stays", more=PAD)  # in the second one
    worker.wait_jobs(5)
    queue.stop(signal.SIGKILL)
    os.truncate(queue.dir / "lock/journal.1", size)
    queue.start()
    worker = queue.worker()
    commit(queue, "new")
    queue.wait_done()
    check_jobs(worker, "stays", "new")


def test_a_large_message_whose_file_has_gone(queue):
    """Or is too short: it is told, and waits."""
    killed_with(queue, "a", large=["gone", "short"])
    for path in queue.files("mess").values():
        if b"for gone." in path.read_bytes():
            path.unlink()
        else:
            os.truncate(path, 4096)
    queue.start()
    worker = queue.worker()
    queue.wait_log("^alert: mess/.* cannot be read whole")
    worker.wait_jobs(1)
    queue.wait_log("^delivery .*: deferral: cannot_read_the_whole")
    worker.wait_jobs(2)
    assert sorted(job.extension for job in worker.jobs) == ["a", "short"]
    queue.stop()
    assert {one.state for one in states(queue).values()} == {"S5"}


# -- no room

def status(queue):
    done = queue.run("svctool", "status", "--json", "--home", queue.home,
                     code=None)
    return json.loads(done.stdout)["queues"][0]


def send_until_it_waits(queue):
    """As many as there is room for, their names; and the client that waits."""
    client = Intake(queue)
    names = []
    while True:
        client.send(body(f"m{len(names)}", PAD), [f"m{len(names)}@{DOMAIN}"])
        if not select.select([client.connection], [], [], 1.5)[0]:
            return names, client
        assert client.answer() == (0, "")
        names.append(f"m{len(names)}")
        assert len(names) < 40, queue.log()


@needs_strace
def test_a_full_journal_refuses_and_goes_on(queue):
    """What counts cannot be kept, since there is no room for files."""
    queue.start()
    worker = queue.worker(lambda job: None)
    with Tracer(queue.process.pid, "openat", "openat:error=ENOSPC",
                [queue.dir / "pid"]):
        names, client = send_until_it_waits(queue)
        assert 10 < len(names) < 20
        wait_until(lambda: status(queue)["journal_full"], "its health says so")
        assert client.answer() == (53, "the journal is full")
        # Nothing is lost, and what is over makes room.
        for job in list(worker.held):
            worker.answer(job, "K", "ok\n")
        queue.wait_log("^end msg", len(names))
        commit(queue, "new", more=PAD)
    worker.wait_jobs(len(names) + 1)
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_done()
    check_jobs(worker, *names, "new")
    wait_until(lambda: not status(queue)["journal_full"], "its health says so")


@needs_strace
def test_without_room_for_a_segment_it_starts(queue):
    """And delivers; new mail waits until there is room."""
    killed_with(queue, "a", "b")
    (queue.dir / "lock/journal.2").unlink()
    queue.times["JOURNAL_AGAIN_MS"] = 300
    queue.spawn("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
                "trace=write", f"-P{queue.dir / 'lock/journal.new'}", "-e",
                "inject=write:error=ENOSPC:when=1..3", **NO_LEAKS)
    queue.wait_log("^alert: cannot make .*journal.2'.*new mail waits")
    worker = queue.worker()
    worker.wait_jobs(2)
    check_jobs(worker, "a", "b")
    commit(queue, "c")
    queue.wait_done()


@pytest.mark.parametrize("name", ["journal.0", "journal.3"])
def test_a_journal_that_cannot_be_opened_stops_the_queue(queue, name):
    """To go on without it could lose mail."""
    killed_with(queue, "a", "b")
    path = queue.dir / "lock" / name
    aside = queue.home / "journal"
    if path.exists():
        path.rename(aside)
    path.symlink_to("/dev/null")
    done = queue.run("qmail-send", queue.dir, code=111)
    assert f"lock/{name}".encode() in done.stderr
    path.unlink()
    if aside.exists():
        aside.rename(path)
    delivered_by_the_next(queue, "a", "b")
