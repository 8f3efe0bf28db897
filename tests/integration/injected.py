# SPDX-License-Identifier: ISC
"""Calls of a running qmail-send that strace delays, or has fail."""
import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from node import wait_until

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed")


def journals(queue):
    """The paths of the journal's segments."""
    return [queue.dir / f"lock/journal.{place}" for place in range(4)]


def parts(queue, folder):
    """The paths of a split folder's parts."""
    return [queue.dir / folder / str(part) for part in range(23)]


@contextlib.contextmanager
def injected(queue, *what, paths=()):
    """
    Within it: what is strace's, "pwritev2:error=EIO:delay_enter=1000000",
    on these paths only, if any (a name in a folder counts by itself).
    """
    calls = ",".join(one.partition(":")[0] for one in what)
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-p",
         str(queue.process.pid), "-e", "trace=" + calls,
         *(f"-einject={one}" for one in what),
         *(f"-P{path}" for path in paths)], stderr=subprocess.DEVNULL)
    tasks = f"/proc/{queue.process.pid}/task"

    def is_traced():
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/status") as status:
                if "TracerPid:\t0\n" in status.read():
                    return False
        return True

    try:
        wait_until(is_traced, "strace follows every thread")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
