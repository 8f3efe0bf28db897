# SPDX-License-Identifier: ISC
"""strace, attached to a process that runs: it kills it in front of a chosen call,
or delays or fails the call.  So the product knows nothing of these tests."""
import os
import signal
import subprocess

from node import SLOW, wait_until


class Tracer:
    """Follows every thread from the beginning on; lets go at the end."""

    def __init__(self, pid, calls, inject, paths=()):
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid),
             "-e", f"trace={calls}", "-e", f"inject={inject}",
             *(f"-P{path}" for path in paths)], stderr=subprocess.DEVNULL)
        self.tasks = f"/proc/{pid}/task"
        wait_until(self._is_traced, "strace follows every thread")

    def _is_traced(self):
        try:
            for task in os.listdir(self.tasks):
                with open(f"{self.tasks}/{task}/status") as file:
                    if "TracerPid:\t0\n" in file.read():
                        return False
        except OSError:
            return True  # killed already
        return True

    def let_go(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10 * SLOW)
        except subprocess.TimeoutExpired:
            # It hangs now and then when what it follows was killed.
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.let_go()
