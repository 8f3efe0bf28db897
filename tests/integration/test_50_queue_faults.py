# SPDX-License-Identifier: ISC
"""What once went wrong in the queue, one test each."""
import os
import shutil
import signal
import struct
import subprocess
import zlib

import pytest

import journal
from node import wait_until
from queue_peer import DOMAIN, Intake


def names(*numbers):
    return [f"u{number}@{DOMAIN}" for number in numbers]


def test_stop_in_the_middle_repeats_nothing(queue):
    """TERM with recipients done and others waiting forgot who was done."""
    queue.set("concurrencylocal", "2")
    queue.start()
    first = queue.worker(lambda job: None)
    queue.inject(names(*range(8)))
    first.wait_jobs(2)
    first.answer(first.held[0], "K", "ok\n")
    first.answer(first.held[0], "K", "ok\n")
    first.wait_jobs(4)
    queue.send_signal(signal.SIGTERM)
    queue.wait_log("exitasap")
    for job in list(first.held):
        first.answer(job, "K", "ok\n")
    code = queue.process.wait(20)
    assert code == 0
    queue.stop() if queue.process.poll() is None else None
    queue.process = None
    queue.workers = []
    first.close()
    queue.start()
    second = queue.worker()
    queue.wait_done()
    done = sorted(first.recipients() + second.recipients())
    assert done == sorted(f"{DOMAIN}-{name}" for name in names(*range(8)))


def test_note_that_cannot_be_written_does_not_end_the_message(queue):
    """A failure's note met a full disk, and the message ended without it."""
    number = queue.put_remembered(local=[f"{DOMAIN}-gone@{DOMAIN}"])
    if shutil.which("chattr") is None or subprocess.run(
            ["chattr", "+i", queue.dir / "bounce"],
            stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("cannot make a folder immutable")
    try:
        queue.start()
        worker = queue.worker(lambda job: ("D", "no such user (#5.1.1)\n"))
        worker.wait_jobs(1)
        queue.wait_log("alert: cannot .*bounce")
        assert queue.path("info", number).exists()
        assert queue.path("mess", number).exists()
    finally:
        subprocess.run(["chattr", "-i", queue.dir / "bounce"], check=True)
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.send_signal(signal.SIGHUP)
    wait_until(lambda: any(b"Hi. This is the" in job.message
                           for job in worker.jobs),
               lambda: f"the report\n{queue.log()}")


def test_bounce_line_names_the_message_that_failed(queue):
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.start()
    queue.worker(lambda job: ("D", "no (#5.1.1)\n") if "gone" in
                 job.recipient else ("K", "ok\n"))
    queue.inject([f"gone@{DOMAIN}"])
    queue.wait_log(r"^bounce msg \d+ qp \d+$")
    queue.wait_done()
    lines = queue.log().splitlines()
    failed = next(line for line in lines if line.startswith("info msg"))
    bounce = next(line for line in lines if line.startswith("bounce msg"))
    report = [line for line in lines if line.startswith("info msg")][1]
    assert bounce.split()[2] == failed.split()[2].rstrip(":")
    assert bounce.split()[4] == report.split()[report.split().index("qp") + 1]


@pytest.mark.parametrize("local", [b"", b"Tx@y", b"garbage\0"])
def test_damaged_list_keeps_the_message(queue, local):
    """An empty local/ID was a message with all its recipients done."""
    number = queue.put_remembered(local=["x"])
    queue.path("local", number).write_bytes(local)
    queue.start()
    worker = queue.worker()
    queue.wait_log(f"alert: cannot use local/{number}")
    assert queue.path("mess", number).exists()
    assert queue.path("info", number).exists()
    assert queue.path("local", number).read_bytes() == local
    queue.inject()
    worker.wait_jobs(1)
    assert worker.jobs[0].message_id != number


@pytest.mark.parametrize("info", [b"", b"Fs@exam", b"garbage\0"])
def test_damaged_info_keeps_the_message(queue, info):
    """A sender that was cut off would have got the report."""
    number = queue.put_remembered(local=[f"{DOMAIN}-u@{DOMAIN}"], info=info)
    queue.start()
    worker = queue.worker()
    queue.wait_log(f"alert: cannot (use|read) info/{number}")
    assert queue.path("mess", number).exists()
    assert queue.path("local", number).exists()
    queue.inject()
    worker.wait_jobs(1)
    assert worker.jobs[0].message_id != number


def test_header_too_large_for_a_worker_is_refused(queue):
    """It ended the worker, and everybody else's deliveries, at each try."""
    queue.start()
    queue.worker()
    client = Intake(queue)
    record = b"H" + b"X-A: " + b"a" * 70000 + b"\n\0Fs@e.test\0Tu@" + \
        DOMAIN.encode() + b"\0"
    code, text = client.commit(b"Subject: x\n\n", record=record)
    assert code == 79, text


def test_min_free_counts_for_a_named_queue_too(queue):
    queue.start()
    queue.inject(code=53, QUEUEDIR=str(queue.dir), MIN_FREE=str(1 << 60))
    queue.inject(code=53, MIN_FREE=str(1 << 60))


def test_root_injects_while_the_queue_is_down(make_queue):
    """Its files were root's, and qmail-send, another user, could not read."""
    if os.getuid() != 0:
        pytest.skip("needs root")
    queue = make_queue()
    queue.user = "nobody"
    shutil.chown(queue.home, "nobody")
    queue.fix()
    queue.inject()
    owners = {path.owner() for folder in ("mess", "todo")
              for path in queue.files(folder).values()}
    assert owners == {"nobody"}


def test_worker_of_its_own_user_is_let_in(queue):
    """qmail-send, qmailq by then, took qmailq for the workers' user too."""
    if os.getuid() != 0:
        pytest.skip("needs root, to be several users")
    passwd = queue.home / "passwd"
    passwd.write_text("root:x:0:0::/root:/bin/sh\n"
                      "qmailq:x:64001:65534::/:/bin/false\n"
                      "qmaild:x:64002:65534::/:/bin/false\n"
                      "vmail:x:64003:65534::/:/bin/false\n")
    names = ["unshare", "-m", "sh", "-c", f"mount --bind {passwd} /etc/passwd"
             ' && exec "$@"', "sh"]
    if subprocess.run([*names, "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("cannot make a mount namespace")
    for path in [queue.dir, *queue.dir.rglob("*")]:
        os.chown(path, 64001, 65534)
    queue.start(*names, "setpriv", "--reuid=64001", "--regid=65534",
                "--clear-groups", MQMAIL_USER="")
    old = os.geteuid()
    os.seteuid(64003)
    try:
        worker = queue.worker()
    finally:
        os.seteuid(old)
    queue.inject(MQMAIL_USER="")
    worker.wait_jobs(1)


def change_record(queue, old, new):
    """
    The first one in the journal of a killed queue, as a newer release might
    write it.
    """
    path = next(path for path in (queue.dir / "lock").glob("journal.?")
                if journal.generation(path.read_bytes()) != 0)
    data = bytearray(path.read_bytes())
    at = data.index(old, journal.PAGE)
    data[at:at + len(old)] = new
    length, = struct.unpack_from("<I", data, journal.PAGE + 4)
    struct.pack_into("<I", data, journal.PAGE, zlib.crc32(
        data[journal.PAGE + 4:journal.PAGE + 8 + length]))
    path.write_bytes(data)


def send_rounds(queue):
    """Twice what the journal has room for."""
    client = Intake(queue)
    for _ in range((2 << 20) // 40000):
        assert client.commit(b"x" * 40000, [f"u@{DOMAIN}"])[0] == 0
    client.close()


def test_a_damaged_envelope_does_not_fill_the_journal(queue):
    """It stayed there, and its segment could never be used again: the queue
    took no mail any more."""
    queue.start()
    queue.inject()  # fresh, while there is no worker
    queue.stop(signal.SIGKILL)
    number, = journal.messages(queue.dir)
    change_record(queue, b"\0Fs@example.net\0", b"\0Qs@example.net\0")
    queue.start()
    queue.worker()
    queue.wait_log(f"^alert: cannot use message {number} of the journal: "
                   "unknown record type 81 in envelope; it is kept")
    send_rounds(queue)
    wait_until(lambda: list(queue.files("todo")) == [number], "it has files")
    assert b"\0Qs@example.net\0" in queue.files("todo")[number].read_bytes()
    assert queue.path("mess", number).read_bytes().endswith(b"body\n")
    assert queue.stop() == 0
    assert journal.messages(queue.dir) == {}
    told = queue.run("qmail-qread", env={"QUEUEDIR": str(queue.dir)},
                     code=111)
    assert f"message {number} in queue1 cannot be delivered".encode() in \
        told.stderr
    # And it is told once, however often somebody has todo/ looked at.
    queue.start()
    worker = queue.worker()
    queue.wait_log(f"^alert: cannot use todo/{number}")
    (queue.dir / "lock/intake").unlink()
    for count in (1, 2):
        queue.inject()  # pulls the trigger
        worker.wait_jobs(count)
    assert queue.log().count(f"alert: cannot use todo/{number}") == 1


def test_a_record_of_a_newer_release_is_kept_for_people(queue):
    """As the journal's last thing it was passed over, and lost without a word
    when its segment was used again."""
    queue.start()
    queue.inject()
    queue.stop(signal.SIGKILL)
    number, = journal.messages(queue.dir)
    identity = struct.pack("<Q", int(number))
    change_record(queue, b"+" + identity, b"*" + identity)
    queue.start()
    queue.worker()
    queue.wait_log("^alert: .*lock/journal.1' .*newer release.*damaged.1")
    send_rounds(queue)
    assert queue.stop() == 0
    assert journal.messages(queue.dir) == {}
    assert b"*" + identity in (
        queue.dir / "lock/journal.damaged.1").read_bytes()
    assert b"*" + identity not in (
        queue.dir / "lock/journal.1").read_bytes()
