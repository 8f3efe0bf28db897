# SPDX-License-Identifier: ISC
"""The journal (docs/queue.md): where envelopes are before they have a file.

Whatever happens to it, and whoever is killed on the way, each message is
delivered to its own recipients, and only what was in flight is repeated.
"""
import os
import re
import shutil
import signal
import subprocess

import pytest

import journal
from node import BIN, NO_LEAKS, wait_until
from queue_peer import DOMAIN, Intake


def body(name):
    return f"Subject: {name}\n\nThis is for {name}.\n".encode()


def inject(queue, *names):
    for name in names:
        queue.inject([f"{name}@{DOMAIN}"], body=body(name))


def name_of(job):
    return job.recipient.partition("-")[2].partition("@")[0]


def check_jobs(worker, *names):
    """Each of these, and nobody else, got their own message."""
    assert sorted(map(name_of, worker.jobs)) == sorted(names)
    for job in worker.jobs:
        assert job.message.endswith(body(name_of(job))), job.recipient


def killed_with(queue, *names):
    """A queue whose messages are in the journal only."""
    queue.start()
    worker = queue.worker(lambda job: None)
    inject(queue, *names)
    worker.wait_jobs(len(names))
    assert len(journal.live(queue.dir)) == len(names)
    assert not queue.files("todo")
    queue.stop(signal.SIGKILL)


def delivered_by_the_next(queue, *names):
    queue.start()
    worker = queue.worker()
    queue.wait_done()
    check_jobs(worker, *names)
    assert queue.stop() == 0
    assert queue.fix("-N") == ""


def test_delivered_at_once_it_never_has_a_file(queue):
    queue.start()
    worker = queue.worker()
    before = (queue.dir / "todo").stat().st_mtime_ns
    inject(queue, "a", "b", "c")
    queue.wait_done()
    check_jobs(worker, "a", "b", "c")
    assert (queue.dir / "todo").stat().st_mtime_ns == before
    # Files serve again, for others.
    inject(queue, "d", "e")
    queue.wait_done()
    check_jobs(worker, "a", "b", "c", "d", "e")


def test_one_that_stays_gets_its_file(queue):
    queue.start()
    worker = queue.worker(lambda job: None)
    inject(queue, "slow")
    number, = journal.live(queue.dir)
    wait_until(lambda: queue.files("todo"), "it has a file in todo/")
    wait_until(lambda: not journal.live(queue.dir),
               "it has left the journal")
    assert number in queue.files("todo") and not queue.spares()
    worker.wait_jobs(1)
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_done()
    check_jobs(worker, "slow")
    assert number in queue.spares()


def test_killed_the_next_process_delivers(queue):
    killed_with(queue, "a", "b", "c")
    delivered_by_the_next(queue, "a", "b", "c")
    assert "took 3 envelopes from lock/journal to todo/" in queue.log()


def test_killed_and_only_looked_at(queue):
    killed_with(queue, "a", "b")
    assert b"messages in queue: 2\n" in queue.run("qmail-qstat").stdout
    listed = queue.run("qmail-qread").stdout.decode()
    assert re.findall(r"\ttodo\t(\w)@", listed) == ["a", "b"]
    delivered_by_the_next(queue, "a", "b")


def test_killed_and_repaired(queue):
    """queue-fix leaves what another system's qmail-send understands."""
    killed_with(queue, "a", "b")
    said = queue.fix("-N", code=1)
    assert "would take the envelopes out of lock/journal" in said
    assert not queue.files("todo")
    assert "take the envelopes out of lock/journal" in queue.fix()
    assert len(queue.files("todo")) == 2 and not journal.live(queue.dir)
    delivered_by_the_next(queue, "a", "b")


def test_killed_and_copied(queue):
    """Copied, all inodes are others."""
    killed_with(queue, "a", "b", "c")
    copy = queue.home / "queue/copy"
    subprocess.run(["cp", "-a", queue.dir, copy], check=True)
    shutil.rmtree(queue.dir)
    copy.rename(queue.dir)
    queue.fix()
    delivered_by_the_next(queue, "a", "b", "c")


def test_stopped_it_is_empty(queue):
    queue.set("concurrencylocal", "1")
    queue.start()
    worker = queue.worker(lambda job: None)
    inject(queue, "a", "waits")
    worker.wait_jobs(1)
    queue.send_signal(signal.SIGTERM)
    worker.answer(worker.held[0], "K", "ok\n")
    assert queue.process.wait(20) == 0
    queue.stop()
    assert not journal.live(queue.dir) and len(queue.files("todo")) == 1
    delivered_by_the_next(queue, "waits")


def many(count):
    """Recipients whose addresses fill an envelope."""
    return [f"{'x' * 900}{number}@{DOMAIN}" for number in range(count)]


def test_goes_round_and_round(queue):
    """More than both halves hold, with some that stay all the time."""
    queue.set("concurrencylocal", "60")
    queue.start()
    worker = queue.worker(
        lambda job: None if "stays" in job.recipient else ("K", "ok\n"))
    client = Intake(queue)

    def send(name, recipients):
        _, fd = client.open()
        os.write(fd, body(name))
        os.close(fd)
        code, text = client.commit(len(body(name)), recipients=recipients)
        assert code == 0, text

    for turn in range(30):
        send(f"stays{turn}", [f"stays{turn}@{DOMAIN}"])
        for number in range(30):
            send("full", many(8))
    wait_until(lambda: len(worker.held) == 30, "those that stay")
    wait_until(lambda: len(queue.files("todo")) +
               len(queue.files("info")) == 30, "all others are over")
    queue.stop(signal.SIGKILL)
    queue.start()
    worker = queue.worker()
    queue.wait_done()
    check_jobs(worker, *(f"stays{turn}" for turn in range(30)))


# Of what is done when a message stays: into pid/ID.e, then to todo/ID.
STEPS = [("openat", "{number}.e"), ("write", "{pid}/{number}.e"),
         ("fdatasync", "{pid}/{number}.e"), ("renameat", "{number}.e"),
         ("fsync", "{todo}"), ("pwrite64", "{journal}"),
         ("fdatasync", "{journal}")]


@pytest.mark.skipif(shutil.which("strace") is None,
                    reason="strace is not installed")
@pytest.mark.parametrize("call, path", STEPS)
@pytest.mark.parametrize("what", ["signal=KILL", "error=EIO"])
def test_a_step_to_its_file_fails(queue, call, path, what):
    queue.start()
    worker = queue.worker(lambda job: None)
    inject(queue, "slow")
    worker.wait_jobs(1)
    number, = journal.live(queue.dir)
    path = path.format(pid=queue.dir / "pid", todo=queue.dir / "todo",
                       journal=queue.dir / "lock/journal", number=number)
    strace = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", queue.home / "strace", "-p",
         str(queue.process.pid), "-e", f"trace={call}", "-P", path,
         "-e", f"inject={call}:{what}:when=1"])
    if what == "signal=KILL":
        assert queue.process.wait(20) == -signal.SIGKILL
        assert queue.envelopes().keys() == {number}
        queue.stop(signal.SIGKILL)
        strace.wait()
        delivered_by_the_next(queue, "slow")
        return
    wait_until(lambda: queue.files("todo") and not journal.live(queue.dir),
               lambda: f"it has a file in todo/ alone\n{queue.log()}")
    queue.wait_log("^alert: cannot ")
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_done()
    strace.terminate()
    strace.wait()
    check_jobs(worker, "slow")
    assert queue.stop() == 0


@pytest.mark.skipif(shutil.which("strace") is None,
                    reason="strace is not installed")
@pytest.mark.parametrize("call", ["openat", "write", "fdatasync", "renameat",
                                  "fsync", "pwrite64"])
def test_killed_while_it_takes_over(queue, call):
    """The next start does what is left, however often that is killed."""
    names = ["a", "b", "c", "d", "e", "f"]
    killed_with(queue, *names)
    accepted = set(queue.envelopes())
    paths = [queue.dir / "lock/journal", queue.dir / "todo"]
    paths += [f"{number}.e" for number in accepted]
    paths += [queue.dir / f"pid/{number}.e" for number in accepted]
    when = 1
    while True:
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", queue.home / "strace",
             *(f"-P{path}" for path in paths), "-e", f"trace={call}", "-e",
             f"inject={call}:signal=KILL:when={when}", "timeout", "1",
             BIN / "qmail-send", queue.dir], check=False,
            env=queue.environment(**NO_LEAKS), stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=60)
        assert set(queue.envelopes()) == accepted, when
        if done.returncode != -signal.SIGKILL:
            break
        when += 1
    assert when > 1
    delivered_by_the_next(queue, *names)


def test_a_damaged_place_hides_nothing_behind_it(queue):
    killed_with(queue, "a", "b", "c")
    path = queue.dir / "lock/journal"
    data = bytearray(path.read_bytes())
    at = data.index(f"Tb@{DOMAIN}".encode())
    data[at] ^= 1
    path.write_bytes(data)
    queue.start()
    worker = queue.worker()
    worker.wait_jobs(2)
    check_jobs(worker, "a", "c")
    queue.wait_log("^alert: .*lock/journal' was damaged")
    assert f"b@{DOMAIN}"[1:].encode() in (
        queue.dir / "lock/journal.damaged.1").read_bytes()


def test_another_message_with_the_number_is_not_delivered(queue):
    killed_with(queue, "a", "b")
    numbers = {envelope.split(b"\0T")[1].partition(b"@")[0].decode(): number
               for number, envelope in journal.live(queue.dir).items()}
    path = queue.path("mess", numbers["a"])
    path.write_bytes(b"Subject: of somebody else\n\nsecret\n")
    os.utime(path, (2 ** 31, 2 ** 31))
    queue.start()
    worker = queue.worker()
    worker.wait_jobs(1)
    check_jobs(worker, "b")
    queue.wait_log(f"alert: mess/{numbers['a']} is not the message")
    aside = queue.dir / f"lock/envelope.{numbers['a']}"
    assert f"Ta@{DOMAIN}".encode() in aside.read_bytes()
    queue.stop()
    queue.start()
    assert queue.log().count("is not the message") == 1


def test_without_room_for_a_journal_there_are_files(queue):
    shutil.rmtree(queue.dir / "lock/journal.new", ignore_errors=True)
    (queue.dir / "lock/journal.new").mkdir()
    queue.start()
    worker = queue.worker(lambda job: None)
    inject(queue, "a")
    worker.wait_jobs(1)
    assert len(queue.files("todo")) == 1
    assert "warning: cannot make" in queue.log()
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_done()


def test_envelopes_that_cannot_be_read_stop_the_queue(queue):
    """To go on without them would use their files for others."""
    killed_with(queue, "a", "b")
    path = queue.dir / "lock/journal"
    aside = queue.home / "journal"
    path.rename(aside)
    path.mkdir()
    done = subprocess.run([BIN / "qmail-send", queue.dir], check=False,
                          env=queue.environment(), stderr=subprocess.PIPE,
                          timeout=60)
    assert done.returncode == 111
    assert b"lock/journal" in done.stderr
    path.rmdir()
    aside.rename(path)
    delivered_by_the_next(queue, "a", "b")


def test_too_large_for_the_journal(queue):
    queue.start()
    queue.worker(lambda job: None)
    queue.inject(many(10))
    wait_until(lambda: queue.files("todo") or queue.files("info"),
               "it has its file at once")
    assert not journal.live(queue.dir)
