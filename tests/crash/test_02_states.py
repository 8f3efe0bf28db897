# SPDX-License-Identifier: ISC
"""qmail-send killed in front of each of its system calls, one after the other.

After each kill the files must be a row of docs/queue.md's table, and two
further processes must end every message: none lost, none given to another's
recipient, nothing repeated that had ended.
"""
import itertools
import os
import shutil
import signal
import subprocess

import pytest

import at_syscall
from node import BIN, wait_until
from queue_peer import DOMAIN

pytestmark = pytest.mark.skipif(shutil.which("strace") is None,
                                reason="strace is not installed")

# Calls, and the states that kills there must have been seen to leave.
CALLS = [
    ("pwritev2", {"F", "S5"}),
    ("renameat", {"F", "S5"}),
    ("unlinkat", {"S2", "S5"}),
    ("pwrite64", {"F", "S5"}),
    ("utimensat", {"F"}),
    ("fdatasync", {"S4"}),  # at its start alone: new segments
    ("fsync", {"F", "S2"}),
    ("sync_file_range", {"F"}),
    ("sendmsg,sendto", {"F", "S5"}),
    ("recvmsg,recvfrom", {"F"}),
    ("write", {"F"}),
    ("openat", {"S4"}),  # at its start alone: it opens very much then
]


@pytest.mark.parametrize("call,wanted", CALLS, ids=[c for c, _ in CALLS])
def test_killed_in_front_of(make_queue, call, wanted):
    assert at_syscall.walk(make_queue, call) >= wanted


# -- qmail-queue alone, while no qmail-send runs: S2 and S3

QUEUE_CALLS = ["openat", "write", "fsync", "renameat"]


def names(queue, folder):
    return set(queue.files(folder))


def test_qmail_queue_killed_while_it_writes_alone(make_queue):
    seen = set()
    for call in QUEUE_CALLS:
        for when in itertools.count(1):
            queue = make_queue()
            with open(queue.home / "mess", "wb+") as mess, \
                    open(queue.home / "envelope", "wb+") as envelope:
                mess.write(at_syscall.body("alone").encode())
                envelope.write(b"F\0T" + f"ok@{DOMAIN}".encode() + b"\0\0")
                mess.seek(0)
                envelope.seek(0)
                code = subprocess.run(
                    ["strace", "-f", "-qq", "-o", queue.home / "strace",
                     "-e", f"trace={call}",
                     "-e", f"inject={call}:signal=KILL:when={when}",
                     BIN / "qmail-queue"], stdin=mess,
                    stdout=envelope, env=queue.environment(),
                    check=False).returncode
            mess, intd, todo = (names(queue, folder)
                                for folder in ("mess", "intd", "todo"))
            state = ("S4" if todo else "S3" if intd else
                     "S2" if mess else "S1")
            assert todo <= mess and intd <= mess, state
            if code == 0:
                assert state == "S4"
            seen.add(state)
            check_after(queue, state)
            if code == 0:
                break
            assert code == -signal.SIGKILL
    assert seen == {"S1", "S2", "S3", "S4"}


def check_after(queue, state):
    """A message is delivered if it is in S4, and garbage goes when old."""
    for path in queue.files("mess").values():
        os.utime(path, (1, 1))  # long ago
    queue.start()
    worker = queue.worker()
    queue.inject([f"next@{DOMAIN}"])
    wait_until(lambda: any("next" in name for name in worker.recipients()),
               "the next message is delivered")
    if state == "S4":
        wait_until(lambda: len(worker.jobs) == 2, "the message is delivered")
    queue.wait_done()
    delivered = [job for job in worker.jobs if "-ok@" in job.recipient]
    assert len(delivered) == (state == "S4"), state
    for job in delivered:
        assert job.message.endswith(at_syscall.body("alone").encode())
    queue.stop()
