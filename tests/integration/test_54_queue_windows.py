# SPDX-License-Identifier: ISC
"""Moments between two steps of a message's life, held open by strace."""
import os
import shutil
import signal
import subprocess

import pytest

import queue_peer
from node import wait_until

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
    A message that is killed while it is being remembered has info/ and local/
    beside todo/.  It ends at the next try, and its files serve a message for
    somebody else, who must not share it with the first one's recipients.
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
    wait_until(lambda: queue.files("local") and queue.files("info"),
               "info and local are there")
    kill(queue)
    tracer.wait()
    assert queue.envelopes() and queue.files("info")

    queue.start()
    queue.worker()
    queue.wait_log("^end msg ", 1)
    queue.inject((f"carol@{D}",), body=b"Subject: for carol\n\nSECRET\n")
    queue.wait_log("^end msg ", 2)
    queue.stop()
    for folder in ("todo", "info", "local", "remote", "bounce"):
        assert not queue.files(folder), folder


def test_nothing_is_delivered_before_it_is_accepted(queue):
    """A scan looks at the queue while the envelope is still being synced."""
    queue.start()
    worker = queue.worker()
    # The message's file is synced, its envelope is not.
    tracer = inject_into(
        queue, "fdatasync", "fdatasync:error=EIO:delay_enter=2000000",
        [queue.dir / "lock/journal"])
    client = queue_peer.Intake(queue)
    client.connection.settimeout(30)
    _, fd = client.open()
    body = b"Subject: never accepted\n\nx\n"
    os.write(fd, body)
    os.close(fd)
    client.connection.send(client.commit_packet(
        len(body), recipients=(f"bob@{D}",)))
    wait_until(queue.envelopes, "the envelope is written")
    pull_trigger(queue)
    code, _ = client.committed()
    let_go(tracer)
    assert code != 0
    assert [job.recipient for job in worker.jobs
            if b"never accepted" in job.message] == []
    wait_until(lambda: not queue.envelopes(), "nothing is queued")


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
    tracer = inject_into(queue, "unlinkat",
                         "unlinkat:delay_exit=1500000")
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
    wait_until(lambda: b"Dexample.test-gone@" in
               queue.path("local", number).read_bytes(), "its mark")
    for job in list(worker.held):
        worker.answer(job, "Z", "later\n")
    queue.wait_log("deferral: later", 2 if is_first else 1)
    queue.stop()
    notes = queue.path("bounce", number).read_text()
    assert notes.count("no such user") == 1, notes
    assert notes.count("was gone before") == (0 if is_first else 1), notes


def test_term_does_not_wait_for_a_step_that_failed(queue):
    """What was delivered was repeated after a stop within these ten seconds."""
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject()
    worker.wait_jobs(1)
    wait_until(lambda: queue.files("todo"), "it has a file in todo/")
    tracer = inject_into(queue, "renameat", "renameat:error=EIO")
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_log("alert: cannot take away .* will try again")
    let_go(tracer)
    assert queue.stop() == 0
    assert not queue.files("todo")


def test_a_channel_that_cannot_be_told_is_looked_at_again(queue):
    """The message was left to the other channel, which had nothing for it."""
    queue.put_remembered(local=[f"{D}-u@{D}"])
    queue.start()
    worker = queue.worker(lambda job: None)
    worker.wait_jobs(1)
    # The first look is for local/ID, which has been removed.
    tracer = inject_into(queue, "faccessat,faccessat2",
                         "faccessat,faccessat2:error=EIO:when=2")
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_files(local=0)
    queue.wait_done()
    let_go(tracer)
