# SPDX-License-Identifier: ISC
"""Moments between two steps of a message's life, held open by strace."""
import os
import shutil
import signal
import subprocess

import pytest

import journal
import queue_peer
from node import NO_LEAKS, wait_until
from queue_states import states

D = "example.test"

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs strace")


def slow_syncs(queue, inject):
    """Delays, or fails, the syncs of qmail-send from now on."""
    return inject_into(queue, "fsync,fdatasync", inject)


def inject_into(queue, calls, inject, only=()):
    """Has strace delay or fail calls of qmail-send, on these paths, from now
    on."""
    process = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-p",
         str(queue.process.pid), "-e", "trace=" + calls, "-e",
         "inject=" + inject, *(f"-P{path}" for path in only)])
    tasks = f"/proc/{queue.process.pid}/task"

    def is_traced():
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/status") as status:
                if "TracerPid:\t0\n" in status.read():
                    return False
        return True

    wait_until(is_traced, "strace follows every thread")
    return process


def let_go(tracer):
    tracer.send_signal(signal.SIGINT)
    tracer.wait()


def pull_trigger(queue):
    trigger = os.open(queue.dir / "lock/trigger", os.O_WRONLY | os.O_NONBLOCK)
    os.write(trigger, b"x")
    os.close(trigger)


def kill(queue):
    os.kill(queue.process.pid, signal.SIGKILL)
    queue.process.wait()
    queue.process = None
    for worker in queue.workers:
        worker.close()
    queue.workers = []


def test_an_interrupted_s5_is_not_the_next_messages(queue):
    """
    A message that is killed while it is being remembered has mess/, local/ and
    pid/ beside its record in the journal.  They do not count, and go with it.
    """
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject((f"alice@{D}", f"bob@{D}"),
                 body=b"Subject: for alice\n\nA\n")
    wait_until(lambda: len(worker.held) == 2, "both jobs")
    tracer = slow_syncs(queue, "fsync,fdatasync:delay_enter=4000000")
    for job in list(worker.held):
        worker.answer(job, *(("Z", "later\n") if "alice" in job.recipient
                             else ("K", "ok\n")))
    wait_until(lambda: queue.files("local") and queue.files("mess"),
               "its files are there")
    kill(queue)
    tracer.wait()
    found, = states(queue).values()
    assert found.state == "F" and {"pid", "local", "mess"} <= found.has

    queue.start()
    worker = queue.worker()
    queue.wait_log("^end msg ", 1)
    queue.inject((f"carol@{D}",), body=b"Subject: for carol\n\nSECRET\n")
    queue.wait_log("^end msg ", 2)
    queue.stop()
    assert sorted(job.extension for job in worker.jobs) == [
        "alice", "bob", "carol"]
    assert states(queue) == {}


def test_nothing_is_delivered_before_it_is_accepted(queue):
    """A scan looks at the queue while the envelope is still being synced."""
    queue.start()
    worker = queue.worker()
    queue.inject()
    queue.wait_done()
    tracer = inject_into(
        queue, "pwritev2", "pwritev2:error=EIO:delay_enter=2000000:when=1",
        [queue.dir / "lock/journal.1"])
    client = queue_peer.Intake(queue)
    client.connection.settimeout(30)
    client.send(b"Subject: never accepted\n\nx\n", [f"bob@{D}"])
    pull_trigger(queue)
    code, _ = client.answer()
    let_go(tracer)
    assert code != 0
    # And nobody who asks, and no next process, finds it.
    assert client.commit(b"Subject: accepted\n\nx\n", [f"bob@{D}"])[0] == 0
    queue.wait_done()
    kill(queue)
    assert [message for message in worker.jobs[1:]
            if b"Subject: accepted" not in message.message] == []
    assert states(queue) == {}


def test_a_number_that_serves_again_before_its_end_is_known(queue):
    """
    The committer has removed a message, its inode serves one that qmail-queue
    alone writes, and only then the loop hears of the first one's end.  The
    scan that the trigger asked for took the file for the first one's, and the
    message waited for the next scan, in 25 minutes.
    """
    number = queue.put_remembered(local=[f"{D}-first@{D}"])
    queue.start()
    worker = queue.worker(
        lambda job: None if "first" in job.recipient else ("K", "ok\n"))
    wait_until(lambda: worker.held, "the first one's job")
    # The one of mess/: others look for files that are not there.
    tracer = inject_into(queue, "unlinkat",
                         "unlinkat:delay_exit=1500000:when=8")
    worker.answer(worker.held[0], "K", "ok\n")
    wait_until(lambda: not queue.path("mess", number).exists(),
               "the message is removed")
    queue.path("mess", number).write_bytes(b"Subject: second\n\nx\n")
    queue.path("todo", number).write_bytes(
        b"u0\0p1\0Fs@example.net\0Tsecond@example.test\0")
    pull_trigger(queue)
    assert "end msg" not in queue.log()
    wait_until(lambda: len(worker.jobs) == 2, lambda: "the second one's job\n"
               + queue.log())
    assert worker.jobs[1].message == b"Subject: second\n\nx\n"
    let_go(tracer)
    queue.wait_done()


@pytest.mark.parametrize("syncs, is_first", [
    ("fsync", True), ("fdatasync", False)])
def test_a_failures_note_is_written_once(queue, syncs, is_first):
    """A sync fails, and the note was added again with the next attempt."""
    names = [f"{D}-{name}@{D}" for name in ("gone", "later", "early")]
    number = queue.put_remembered(local=names)
    queue.start()
    worker = queue.worker(lambda job: None)
    wait_until(lambda: len(worker.jobs) == 3, "three jobs")
    jobs = {job.recipient.split("-")[1].split("@")[0]: job
            for job in worker.held}
    if not is_first:
        worker.answer(jobs["early"], "D", "was gone before (#5.1.1)\n")
        wait_until(lambda: b"Dexample.test-early@" in
                   queue.path("local", number).read_bytes(), "its mark")
    tracer = slow_syncs(queue, f"{syncs}:error=EIO")
    worker.answer(jobs["gone"], "D", "no such user (#5.1.1)\n")
    queue.wait_log("alert: cannot sync")
    let_go(tracer)
    for job in list(worker.held):
        worker.answer(job, "Z", "later\n")
    queue.wait_log("deferral: later", 2 if is_first else 1)
    assert queue.stop() == 0  # which tries it once more, at once
    assert b"Dexample.test-gone@" in queue.path("local", number).read_bytes()
    notes = queue.path("bounce", number).read_text()
    assert notes.count("no such user") == 1, notes
    assert notes.count("was gone before") == (0 if is_first else 1), notes


@pytest.mark.parametrize("call, said", [
    ("renameat", "alert: cannot place 'info/.* will try again"),
    ("unlinkat", "alert: cannot remove .* will try again")])
def test_term_does_not_wait_for_a_step_that_failed(queue, call, said):
    """What was delivered was repeated after a stop within these ten seconds."""
    if call == "unlinkat":
        queue.times["STAY_MS"] = 500
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject()
    worker.wait_jobs(1)
    if call == "unlinkat":
        wait_until(lambda: not journal.live(queue.dir), "it is kept")
    tracer = inject_into(queue, call, f"{call}:error=EIO",
                         queue.dir.glob("*/*") if call == "unlinkat" else ())
    worker.answer(worker.held[0], "K" if call == "unlinkat" else "Z", "x\n")
    queue.wait_log(said)
    let_go(tracer)
    assert queue.stop() == 0
    assert not queue.files("todo") and not journal.live(queue.dir)
    assert len(queue.files("info")) == (0 if call == "unlinkat" else 1)


def test_a_step_that_fails_at_the_stop_is_tried_once_more(queue):
    """It was under way then: what was delivered was delivered again."""
    number = queue.put_remembered(local=[f"{D}-u@{D}"])
    queue.start(**NO_LEAKS)
    worker = queue.worker(lambda job: None)
    worker.wait_jobs(1)
    tracer = inject_into(
        queue, "pwrite64", "pwrite64:error=EIO:delay_enter=1000000:when=1",
        [queue.path("local", number)])
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_log("^delivery 1: success")
    queue.send_signal(signal.SIGTERM)
    assert queue.ended() == 0
    let_go(tracer)
    assert "alert: cannot mark" in queue.log()
    assert states(queue) == {}


@pytest.mark.parametrize("when", [1, 2])
def test_a_file_that_cannot_be_told_is_looked_for_again(queue, when):
    """
    The message was left to the other channel, which had nothing for it; or its
    end was told, and a next process delivered it again.
    """
    queue.put_remembered(local=[f"{D}-u@{D}"])
    queue.start(**NO_LEAKS)
    worker = queue.worker(lambda job: None)
    worker.wait_jobs(1)
    # The looks are for the other channel, and whether it is S4.
    tracer = inject_into(queue, "faccessat,faccessat2",
                         f"faccessat,faccessat2:error=EIO:when={when}")
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_log("alert: cannot look for")
    assert "end msg" not in queue.log()
    assert queue.stop() == 0  # it does not wait ten seconds
    let_go(tracer)
    assert states(queue) == {}
