# SPDX-License-Identifier: ISC
"""A full disk: new mail is refused, nothing is lost, and it recovers."""
import os
import subprocess
import time

import pytest

from node import wait_until
from queue_peer import DOMAIN
from smtp_peer import smtpd


@pytest.fixture
def small(make_queue, tmp_path):
    """A queue on an ext4 of its own, of 16 MB."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a filesystem")
    image, mount = tmp_path / "image", tmp_path / "m"
    mount.mkdir()
    with open(image, "wb") as file:
        file.truncate(16 << 20)
    done = subprocess.run(
        ["mkfs.ext4", "-q", "-m", "0", image], check=False,
        stderr=subprocess.PIPE)
    if done.returncode != 0 or subprocess.run(
            ["mount", "-o", "loop", image, mount], check=False,
            stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("cannot mount a filesystem of a file")
    queue = make_queue(queue_dir=mount / "queue1")
    queue.set("queue_base", str(mount))
    queue.mount = mount
    yield queue
    if queue.process is not None:
        queue.stop(9)
    subprocess.run(["umount", mount], check=True)


def fill(queue):
    """Takes all the space there is."""
    with open(queue.mount / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
        os.fsync(file.fileno())


def test_full_disk_refuses_and_recovers(small):
    small.start()
    worker = small.worker()
    small.inject()
    small.wait_done()
    fill(small)
    big = b"Subject: big\n\n" + b"x" * 300000
    for _ in range(3):
        small.inject(body=big, code=53)
    wait_until(lambda: not small.messages(), "what was begun is removed")
    assert not small.files("todo")
    assert small.process.poll() is None
    (small.mount / "filler").unlink()
    small.inject(body=big)
    small.wait_done()
    assert len(worker.jobs) == 2
    assert worker.jobs[1].message.endswith(b"x" * 300000)


def test_smtp_data_on_a_full_disk(small):
    small.set("rcpthosts", DOMAIN)
    small.start()
    worker = small.worker()
    big = "Subject: big\r\n\r\n" + ("x" * 70 + "\r\n") * 5000 + ".\r\n"

    def send(message):
        client.begin(f"postmaster@{DOMAIN}")
        return client.data(message)

    with smtpd(small) as server, server.client() as client:
        assert send("Subject: small\r\n\r\nx\r\n.\r\n").code == 250
        small.wait_done()
        fill(small)
        for _ in range(3):
            reply = send(big)
            assert reply.code == 452, reply
        wait_until(lambda: not small.messages(), "what was begun is removed")
        assert not small.files("todo")
        (small.mount / "filler").unlink()
        assert send(big).code == 250
    small.wait_done()
    assert len(worker.jobs) == 2
    assert worker.jobs[1].message.endswith(b"x" * 70 + b"\n")


def test_deliveries_go_on_while_it_is_full(small):
    small.set("holdlocal", "1")
    small.start()
    worker = small.worker()
    for _ in range(20):
        small.inject()
    fill(small)
    small.set("holdlocal", "0")
    small.send_signal(1)
    worker.wait_jobs(20)
    small.wait_done()


def test_failure_on_a_full_disk_is_reported_later(small):
    small.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    number = small.put_remembered(local=[f"{DOMAIN}-gone@{DOMAIN}"])
    fill(small)
    small.start()
    worker = small.worker(lambda job: ("D", "no (#5.1.1) " + "x" * 9000)
                          if job.sender else ("K", "ok\n"))
    worker.wait_jobs(1)
    small.wait_log("alert: .*No space left")
    assert small.path("mess", number).exists()
    small.stop()  # which cannot write it, either
    assert small.path("mess", number).exists()
    (small.mount / "filler").unlink()
    small.start()
    worker = small.worker(lambda job: ("D", "no (#5.1.1) " + "x" * 9000)
                          if job.sender else ("K", "ok\n"))
    small.wait_done()
    assert b"gone@" in worker.jobs[-1].message


def test_min_free(small):
    small.start()
    small.worker()
    small.inject(code=53, MIN_FREE=str(1 << 30))
    small.set("min_free", str(1 << 30))
    small.inject(code=53)
    small.set("min_free", "1000")
    begin = time.monotonic()
    small.inject()
    assert time.monotonic() - begin < 20
    small.wait_done()
