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
    process = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-p",
         str(queue.process.pid), "-e", "trace=fsync,fdatasync", "-e",
         "inject=" + inject])
    tasks = f"/proc/{queue.process.pid}/task"

    def is_traced():
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/status") as status:
                if "TracerPid:\t0\n" in status.read():
                    return False
        return True

    wait_until(is_traced, "strace follows every thread")
    return process


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
    assert queue.files("todo") and queue.files("info")

    queue.start()
    queue.worker()
    queue.wait_log("^end msg ", 1)
    queue.inject((f"carol@{D}",), body=b"Subject: for carol\n\nSECRET\n")
    queue.wait_log("^end msg ", 2)
    queue.stop()
    for folder in ("todo", "info", "local", "remote", "bounce"):
        assert not queue.files(folder), folder


def test_nothing_is_delivered_before_it_is_accepted(queue):
    """A scan of todo/ sees a message whose folders are still being synced."""
    queue.start()
    worker = queue.worker()
    queue.inject((f"alice@{D}",), body=b"Subject: first\n\nx\n")
    queue.wait_log("^end msg ", 1)
    tracer = slow_syncs(queue, "fsync:error=EIO:delay_enter=2000000")
    client = queue_peer.Intake(queue)
    client.connection.settimeout(30)
    _, fd = client.open()
    body = b"Subject: never accepted\n\nx\n"
    os.write(fd, body)
    os.close(fd)
    client.connection.send(client.commit_packet(
        len(body), recipients=(f"bob@{D}",)))
    wait_until(lambda: queue.files("todo"), "the envelope is placed")
    trigger = os.open(queue.dir / "lock/trigger", os.O_WRONLY | os.O_NONBLOCK)
    os.write(trigger, b"x")
    os.close(trigger)
    code, _ = client.committed()
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    assert code != 0
    assert [job.recipient for job in worker.jobs
            if b"never accepted" in job.message] == []
    wait_until(lambda: not queue.files("todo"), "nothing is queued")
