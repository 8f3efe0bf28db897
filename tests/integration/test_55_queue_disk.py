# SPDX-License-Identifier: ISC
"""A full disk: new mail is refused, nothing is lost, and it recovers; on each of
the filesystems that servers have."""
import os
import shutil
import signal
import subprocess
import time

import pytest

import journal
from node import wait_until
from queue_peer import DOMAIN, Intake
from queue_states import states
from smtp_peer import smtpd

PAD = b"A line of a message that fills a segment.\n" * 1200  # 50 KB
BIG = b"Subject: big\n\n" + b"x" * 300000
# As small as their programs make them; the images have holes.
FILESYSTEMS = {"ext4": (16, ["-q", "-m", "0"]), "xfs": (320, ["-q"]),
               "btrfs": (128, ["-q"])}


def mount_new(kind, image, mount):
    """Why it is not mounted, or None."""
    size_mb, options = FILESYSTEMS[kind]
    if os.getuid() != 0:
        return "needs root, to mount a filesystem"
    if shutil.which(f"mkfs.{kind}") is None:
        return f"mkfs.{kind} is not installed"
    with open(image, "wb") as file:
        file.truncate(size_mb << 20)
    for command in ([f"mkfs.{kind}", *options, image],
                    ["mount", "-o", "loop", image, mount]):
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            return f"{command[0]}: {done.stderr}"
    return None


@pytest.fixture(params=FILESYSTEMS)
def small(request, make_queue, tmp_path):
    """A queue on a filesystem of its own."""
    image, mount = tmp_path / "image", tmp_path / "m"
    mount.mkdir()
    reason = mount_new(request.param, image, mount)
    if reason is not None:
        pytest.skip(reason)
    queue = None
    try:
        queue = make_queue(queue_dir=mount / "queue1")
        queue.set("queue_base", str(mount))
        queue.mount = mount
        yield queue
    finally:
        if queue is not None:
            queue.stop(signal.SIGKILL)
        subprocess.run(["umount", mount], check=True)
        image.unlink()


def fill(queue):
    """Takes all the space there is."""
    with open(queue.mount / "filler", "ab", buffering=0) as file:
        for size in (16 << 20, 1 << 20, 64 << 10, 4096):
            try:
                while True:
                    os.posix_fallocate(file.fileno(), os.fstat(
                        file.fileno()).st_size, size)
            except OSError:
                pass
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass
        os.fsync(file.fileno())


def make_room(queue):
    (queue.mount / "filler").unlink()
    os.sync()  # some filesystems give it back only then


def commit_until_refused(queue):
    """How many small messages there was room for."""
    client = Intake(queue)
    for count in range(400):
        code, text = client.commit(PAD, [f"m{count}@{DOMAIN}"])
        if code != 0:
            assert (code, text) == (53, "the journal is full")
            return count
    raise AssertionError("it takes all")


def test_filled_killed_and_started(small):
    """Nothing of what was accepted is lost; the health file ends nobody."""
    small.start()
    worker = small.worker(lambda job: None)
    for number in range(3):
        small.inject([f"before{number}@{DOMAIN}"])
    worker.wait_jobs(3)
    fill(small)
    count = commit_until_refused(small)
    worker.wait_jobs(3 + count)
    # Delivered while it is full; and what was not is there after a kill.
    for job in worker.held[:2]:
        worker.answer(job, "K", "ok\n")
    small.wait_log("^end msg", 2)
    wait_until(lambda: len(small.names("todo") | small.names("info")) ==
               1 + count, "their ends are noted")
    small.stop(signal.SIGKILL)
    fill(small)
    assert {one.state for one in states(small).values()} <= {"F", "S5"}
    small.start()
    worker = small.worker()
    worker.wait_jobs(1 + count)
    small.wait_log("^delivery .*: success: did", 1 + count)
    make_room(small)
    assert small.stop() == 0  # what had no room is done at once
    assert states(small) == {}, small.log()
    assert len(worker.jobs) == 1 + count
    small.start()
    worker = small.worker()
    small.inject(body=BIG)
    small.wait_done()
    assert len(worker.jobs) == 1


def test_full_disk_refuses_and_recovers(small):
    small.start()
    worker = small.worker()
    small.inject()
    small.wait_done()
    fill(small)
    for _ in range(3):
        small.inject(body=BIG, code=53)
    wait_until(lambda: not small.messages(), "what was begun is removed")
    assert not small.files("todo")
    assert small.process.poll() is None
    make_room(small)
    small.inject(body=BIG)
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
        make_room(small)
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
    small.wait_files(info=20)
    wait_until(lambda: not journal.live(small.dir), "all are kept")
    fill(small)
    small.set("holdlocal", "0")
    small.send_signal(signal.SIGHUP)
    worker.wait_jobs(20)
    small.wait_log("^delivery .*: success: ", 20)
    # Where a file cannot even be written over, their ends wait for room.
    make_room(small)
    assert small.stop() == 0
    assert states(small) == {}, small.log()
    assert len(worker.jobs) == 20


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
    make_room(small)
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
