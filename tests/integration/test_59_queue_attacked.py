# SPDX-License-Identifier: ISC
"""What senders can make a queue do: its memory, its turns, its files."""
import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time

import pytest

from node import SLOW, wait_until
from queue_peer import DOMAIN, Intake

TO = (f"u@{DOMAIN}",)
# An eighth of the files may be messages in memory, beside fresh ones.
FEW_FILES = ("prlimit", "--nofile=1024:1024")


def memory_mib(queue):
    status = open(f"/proc/{queue.process.pid}/status").read()
    return int(re.search(r"^VmRSS:\s+(\d+)", status, re.M)[1]) // 1024


@pytest.mark.skipif(SLOW > 1, reason="a sanitizer keeps what was freed")
def test_mail_that_is_faster_than_deliveries_waits_on_disk(make_queue):
    """All of it stayed in memory as long as it was not delivered."""
    queue = make_queue(in_memory=True)
    queue.set("concurrencylocal", "1")
    queue.start(*FEW_FILES)
    worker = queue.worker(lambda job: None)
    clients = [Intake(queue) for _ in range(20)]
    for _ in range(75):
        for client in clients:
            client.send(b"x" * 60000, TO)
        assert {client.answer()[0] for client in clients} == {0}
    queue.wait_files(info=1500)
    assert memory_mib(queue) < 60
    worker.decide = lambda job: ("K", "did 1+0+0\n")
    for job in list(worker.held):
        worker.answer(job, "K", "did 1+0+0\n")
    queue.wait_done()
    assert len(worker.jobs) == 1500


@pytest.mark.skipif(SLOW > 1, reason="a sanitizer keeps what was freed")
def test_envelopes_too_large_for_the_journal_wait_on_disk(queue):
    """Each took ten times its size, as many as came."""
    queue.set("concurrencylocal", "1")
    queue.start(*FEW_FILES)
    worker = queue.worker(lambda job: None)
    client = Intake(queue)
    to = [f"{'u' * 20}@{DOMAIN}"] * 10000
    for _ in range(200):
        assert client.commit(b"x", to)[0] == 0
    assert memory_mib(queue) < 350
    assert len(re.findall("^new msg ", queue.log(), re.M)) < 200
    worker.close()
    assert queue.stop() == 0
    assert len(queue.names("todo")) + len(queue.names("info")) == 200


# It ends its field and its line, and clears the screen of who reads the log.
FORGED = (b"a> qp 1 uid 0 uuid none\nend msg 7\x9b2J\xc2\x9b2J "
          b"status: local 0/0 <b@x")
WORD = "a__qp_1_uid_0_uuid_none_end_msg_7_2J_2J_status:_local_0/0__b@x"


def test_a_senders_bytes_stay_in_their_field(queue):
    """Fresh, and read again from todo/."""
    queue.set("concurrencylocal", "1")
    queue.start()
    worker = queue.worker(lambda job: ("Z", "later\n"))
    record = b"F" + FORGED + b"\0Tu" + FORGED + b"@" + DOMAIN.encode() + b"\0"
    assert Intake(queue).commit(b"x\n", record=record)[0] == 0
    worker.wait_jobs(1)
    queue.stop()
    queue.inject(envelope=record + b"\0")
    queue.start()
    queue.wait_log("^info msg ", 2)
    worker = queue.worker()
    worker.back_off("virtual", 1, "two\nlines \x9b")
    queue.wait_log("^lane ")
    queue.stop()
    lines = queue.log_path.read_bytes().decode().splitlines()
    infos = [line for line in lines if line.startswith("info ")]
    assert len(infos) == 2
    for line in infos:
        assert f" from <{WORD}> qp " in line
    assert any(line.endswith(f"-u{WORD}@{DOMAIN}") for line in lines)
    assert "lane virtual: rests for 1 s: two/lines___" in lines
    assert not any(line.startswith("end msg 7") for line in lines)
    assert all(line.isprintable() for line in lines)


@contextlib.contextmanager
def traced(queue, *options):
    """The queue's calls meet what strace is told."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(queue.process.pid), "-o", "/dev/null",
         *options], stderr=subprocess.PIPE, text=True)
    assert "attached" in tracer.stderr.readline()
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(60)
        tracer.stderr.close()


SLOW_S = 4


def has_answer(client):
    return bool(select.select([client.connection], [], [], 0)[0])


def test_a_large_messages_syncs_hold_up_no_small_one(make_queue):
    """The committer waited for its folder, and everybody for the committer."""
    queue = make_queue(in_memory=True)  # no disk but strace's is slow
    queue.start()
    queue.worker()
    large, small = Intake(queue), Intake(queue)
    assert small.commit(b"x", TO)[0] == 0
    folders = [option for number in range(23)
               for option in ("-P", queue.dir / f"mess/{number}")]
    with traced(queue, *folders, "-e", "trace=fsync", "-e",
                f"inject=fsync:delay_enter={SLOW_S}000000"):
        start = time.monotonic()
        large.send(b"x" * 200000, TO)
        slowest = 0
        while not has_answer(large):
            before = time.monotonic()
            assert small.commit(b"x", TO)[0] == 0
            slowest = max(slowest, time.monotonic() - before)
        assert large.answer()[0] == 0
        assert time.monotonic() - start >= SLOW_S
    assert slowest < SLOW_S / 2


def test_large_messages_hold_up_no_delivery_of_kept_ones(queue):
    """They had all helpers, who read what is to be delivered, too."""
    queue.start()
    worker = queue.worker(lambda job: ("Z", "later\n"))
    assert Intake(queue).commit(b"x", TO)[0] == 0
    queue.wait_files(info=1)
    clients = [Intake(queue) for _ in range(8)]
    with traced(queue, "-e", "trace=fdatasync", "-e",
                f"inject=fdatasync:delay_enter={SLOW_S}000000"):
        for client in clients:
            client.send(b"x" * 200000, TO)
        wait_until(lambda: len(queue.files("mess")) > 4, "they are written")
        queue.hurry(lambda: len(worker.jobs) > 1, "the kept one is tried")
        assert not any(has_answer(client) for client in clients)
        for client in clients:
            assert client.answer()[0] == 0


def test_a_trigger_that_is_pulled_for_ever_costs_little(queue):
    """Each byte was a look into todo/: all of a processor."""
    queue.start()
    worker = queue.worker()
    with open(queue.dir / "lock/trigger", "wb") as trigger, \
            subprocess.Popen(["cat", "/dev/zero"], stdout=trigger) as writer:
        try:
            before = queue.cpu_s()
            time.sleep(2)
            assert queue.cpu_s() - before < 0.5 * SLOW
            (queue.dir / "lock/intake").unlink()
            queue.inject()
            worker.wait_jobs(1)
        finally:
            writer.kill()
    queue.wait_done()


def as_nobody(queue, code):
    """Starts a client of another user; it has `path` of lock/intake."""
    if os.getuid() != 0:
        pytest.skip("needs root, to be another user")
    for name in ("", "queue", "queue/queue1", "queue/queue1/lock"):
        (queue.home / name).chmod(0o755)
    queue.home.parent.chmod(0o755)
    return subprocess.Popen(
        ["/usr/bin/python3", "-c", "import os, socket, struct\n"
         "os.setgid(65534)\nos.setuid(65534)\n"
         f"path = {str(queue.dir / 'lock/intake')!r}\n{code}"])


FLOOD = """
def connect():
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.connect(path)
    client.setblocking(False)
    return client
pair = socket.socketpair()
hello, body = b"\\1\\3\\0\\0\\0", b"\\2" + struct.pack("<I", 50000) + b"x" * 50000
huge = b"\\4" + b"u" * 16 + struct.pack("<QQBI", 1, 1 << 60, 0, 0xffffffff)
while True:
    clients = []
    for packets in ((), (b"\\377" * 60000,), (hello, huge), (b"\\1",),
                    (hello, body, body, body, body, b"\\6"), (hello, body),
                    (hello,) + (b"\\5" + b"u" * 16,) * 50, (hello, hello)):
        try:
            clients.append(connect())
            for packet in packets:
                clients[-1].send(packet)
            socket.send_fds(clients[-1], [body], [pair[0].fileno()])
        except OSError:
            pass
    for client in clients:
        client.close()
"""


def test_a_flood_of_strangers_stops_nobody(queue):
    """Who connects, sends all kinds of packets and descriptors, reads nothing
    and goes, again and again, gets his threads' time and leaves nothing."""
    queue.start()
    queue.worker()
    threads = os.listdir(f"/proc/{queue.process.pid}/task")
    floods = [as_nobody(queue, FLOOD) for _ in range(2)]
    try:
        pooled, slowest = Intake(queue), 0
        for _ in range(100):
            before = time.monotonic()
            assert pooled.commit(b"x", TO)[0] == 0
            client = Intake(queue)
            assert client.commit(b"x", TO)[0] == 0
            client.close()
            slowest = max(slowest, time.monotonic() - before)
        assert all(flood.poll() is None for flood in floods)
        assert slowest < 2 * SLOW
        assert memory_mib(queue) < 200 or SLOW > 1
    finally:
        for flood in floods:
            flood.kill()
            flood.wait()
    wait_until(lambda: len(os.listdir(f"/proc/{queue.process.pid}/task")) <=
               len(threads), "their threads are gone")
    queue.wait_done()
    before = queue.cpu_s()
    time.sleep(1)
    assert queue.cpu_s() - before < 0.2 * SLOW
    assert Intake(queue).commit(b"x", TO)[0] == 0


def test_what_is_durable_is_answered_so_whatever_fails_behind_it(queue):
    """No descriptor is needed for an answer, and none goes with it."""
    queue.start()
    worker = queue.worker()
    client = Intake(queue)
    assert client.commit(b"x", TO)[0] == 0  # the journal is open
    calls = "openat,accept4,memfd_create,dup,fcntl,eventfd2,socket"
    with traced(queue, "-e", f"trace={calls}", "-e",
                f"inject={calls}:error=EMFILE"):
        for size in (10, 20000, 60000):
            client.send(b"x" * size, TO)
            packet, fds, _, _ = socket.recv_fds(client.connection, 2048, 8)
            assert packet[0] == Intake.ANSWER and packet[9:13] == bytes(4)
            assert fds == []
    queue.hurry(lambda: not queue.envelopes() and not queue.files("info"),
                "all is delivered")
    assert sorted(len(job.message) for job in worker.jobs) == [
        1, 10, 20000, 60000]


def test_a_message_without_its_info_is_told(queue):
    """At the start, and when it is lost later; and it goes on when mended."""
    number = queue.put_remembered(local=[f"{DOMAIN}-u@{DOMAIN}"])
    info = queue.path("info", number)
    text = info.read_bytes()
    info.unlink()
    queue.start()
    worker = queue.worker()
    queue.wait_log(f"^alert: message {number} has recipients, but "
                   f"info/{number} is missing")
    queue.stop()
    assert worker.jobs == [] and queue.path("mess", number).exists()
    info.write_bytes(text)
    queue.path("local", number).touch()
    queue.set("holdlocal", "1")
    queue.start()
    worker = queue.worker()
    queue.wait_log("^running", 2)
    info.unlink()  # before it is found, or later
    queue.set("holdlocal", "0")
    queue.send_signal(signal.SIGHUP)
    queue.wait_log(f"^alert: (cannot use info/{number}: the file is missing|"
                   f"message {number} has recipients)", 2)
    assert worker.jobs == [] and queue.path("mess", number).exists()


def test_names_of_files_do_nothing_to_a_terminal(queue):
    """Whoever runs queue-fix read them as they were."""
    (queue.dir / "mess/3/a\x1b[2J\x9bb\nline").touch()
    said = queue.fix("-s", "5")  # it has to move, or to be left
    assert "a?[2J?b?line" in said
    assert "\x1b" not in said
