# SPDX-License-Identifier: ISC
"""The intake against clients that are not our own programs, and against time."""
import os
import socket
import struct
import subprocess

import pytest

from node import wait_until
from queue_peer import DOMAIN, Intake, connect


def run_as_nobody(queue, code):
    """What code prints in a client of another user; it has `at` and Intake."""
    if os.getuid() != 0:
        pytest.skip("needs root, to be another user")
    for name in ("", "queue", "queue/queue1", "queue/queue1/lock"):
        (queue.home / name).chmod(0o755)
    queue.home.parent.chmod(0o755)
    return subprocess.run(
        ["/usr/bin/python3", "-c", f"""
import os, pathlib, socket, struct, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from queue_peer import Intake
class at: dir = pathlib.Path({str(queue.dir)!r})
os.setgid(65534)
os.setuid(65534)
{code}"""], check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize("record", [
    b"u4242\0Fs@x\0Tb@x\0", b"Fs@x\0p1\0Tb@x\0", b"Fs@x\0Tb@x\0\0",
    b"Fs@x\0Tb@x", b""])
def test_a_client_sends_h_f_and_t_only(queue, record):
    queue.start()
    client = Intake(queue)
    _, fd = client.open()
    os.write(fd, b"x\n")
    os.close(fd)
    code, _ = client.commit(2, record=record)
    assert code == 79
    client.close()


def test_a_file_with_holes_is_refused(queue):
    queue.start()
    said = run_as_nobody(queue, """
client = Intake(at)
_, fd = client.open()
os.ftruncate(fd, 10000000)
os.close(fd)
print(client.commit(10000000, recipients=["u@example.test"]))
client = Intake(at)
_, fd = client.open()
os.write(fd, b"x" * 1000000)
os.close(fd)
print(client.commit(1000000, recipients=["u@example.test"]))
""").splitlines()
    assert said[0].startswith("(62,"), said
    assert said[1].startswith("(0,"), said


def test_files_alone_take_only_what_will_be_read(queue):
    """qmail-queue took a record that qmail-send then set aside."""
    queue.inject(QQEH="X: " + "y" * 40000, code=79)
    assert not queue.files("todo") and not queue.files("mess")
    queue.inject(QQEH="X: " + "y" * 30000)
    assert len(queue.files("todo")) == 1
