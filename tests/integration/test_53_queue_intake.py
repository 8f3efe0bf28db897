# SPDX-License-Identifier: ISC
"""The intake against clients that are not our own programs."""
import os
import signal
import socket
import subprocess
import time
import uuid

import pytest

import journal
from node import SLOW, wait_until
from queue_peer import DOMAIN, Intake, envelope_record

TO = (f"u@{DOMAIN}",)


def start_as_strangers(queue, code):
    """A client in a process group, as root at first; it has `at` and Intake."""
    if os.getuid() != 0:
        pytest.skip("needs root, to be another user")
    for name in ("", "queue", "queue/queue1", "queue/queue1/lock"):
        (queue.home / name).chmod(0o755)
    queue.home.parent.chmod(0o755)
    return subprocess.Popen(
        ["/usr/bin/python3", "-c", f"""
import os, pathlib, socket, struct, sys, time, uuid
sys.path.insert(0, {os.path.dirname(__file__)!r})
from queue_peer import Intake
class at: dir = pathlib.Path({str(queue.dir)!r})
{code}"""], stdout=subprocess.PIPE, text=True, start_new_session=True)


def run_as_nobody(queue, code):
    """What code prints in a client of another user; it has `at` and Intake."""
    with start_as_strangers(
            queue, f"os.setgid(65534)\nos.setuid(65534)\n{code}") as client:
        said, _ = client.communicate()
    assert client.returncode == 0
    return said


@pytest.mark.parametrize("record", [
    b"u4242\0Fs@x\0Tb@x\0", b"Fs@x\0p1\0Tb@x\0", b"Fs@x\0Tb@x\0\0",
    b"Fs@x\0Tb@x", b"Fs@x\0T\0", b"", b"Fs@x\0Db@x\0", b"b7\0Fs@x\0Tb@x\0"])
def test_a_client_sends_h_f_and_t_only(queue, record):
    queue.start()
    client = Intake(queue)
    assert client.commit(b"x\n", record=record)[0] == 79
    # And goes on.
    assert client.commit(b"x\n", TO)[0] == 0
    client.close()


@pytest.mark.parametrize("size", [0, 10, 49000, 131072, 131073, 3000000])
def test_bodies_of_any_size_arrive(queue, size):
    """In one packet, in pieces, in the journal, and in a file."""
    queue.start()
    worker = queue.worker()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    client = Intake(queue)
    assert client.commit(body, TO)[0] == 0
    assert worker.wait_jobs(1)[0].message == body
    queue.wait_done()


def test_a_message_is_queued_once(queue):
    """Whoever sends it again, or asks, hears the same; another user does not."""
    queue.start()
    worker = queue.worker()
    ident = uuid.uuid4()
    client = Intake(queue)
    assert client.ask(ident) == Intake.ABSENT
    assert client.commit(b"one\n", TO, ident=ident)[0] == 0
    first = client.id
    again = Intake(queue)
    assert again.ask(ident) == 0 and again.id == first
    assert again.commit(b"two\n", TO, ident=ident)[0] == 0
    assert again.id == first
    queue.wait_done()
    assert [job.message for job in worker.jobs] == [b"one\n"]
    # Known although it is over, and after a start.
    assert again.ask(ident) == 0
    if os.getuid() == 0:
        said = run_as_nobody(queue, f"""
client, ident = Intake(at), uuid.UUID({str(ident)!r})
print(client.ask(ident))
print(client.commit(b"three\\n", ["v@{DOMAIN}"], ident=ident)[0])
print(client.ask(ident))
""").split()
        assert said == ["255", "0", "0"]
        worker.wait_jobs(2)
    queue.stop(signal.SIGKILL)
    queue.start()
    assert Intake(queue).ask(ident) == 0


def test_a_large_message_is_known_while_its_file_is_synced(queue):
    """Who asks for it meanwhile is told the truth, when it is decided."""
    queue.start("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
                "trace=fdatasync", "-e",
                "inject=fdatasync:delay_enter=1500000:when=2")
    queue.worker()
    ident = uuid.uuid4()
    lost = Intake(queue)
    lost.send(b"x" * 200000, TO, ident=ident)
    wait_until(lambda: queue.files("mess"), "the file is written")
    lost.close()
    client = Intake(queue)
    assert client.ask(ident) == 0
    queue.wait_done()


def test_a_commit_that_failed_is_not_known(queue):
    """Whoever asked meanwhile was told that the message was queued."""
    queue.start()
    ident = uuid.uuid4()
    first, second = Intake(queue), Intake(queue)
    assert first.commit(b"x\n", TO)[0] == 0
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(queue.process.pid), "-o", "/dev/null",
         "-P", str(queue.dir / "lock/journal.1"), "-e", "trace=pwritev2",
         "-e", "inject=pwritev2:error=EIO:delay_enter=1000000"],
        stderr=subprocess.PIPE, text=True)
    assert "attached" in tracer.stderr.readline()
    first.send(b"y\n", TO, ident=ident)
    time.sleep(0.2)
    known = second.ask(ident)
    code, _ = first.answer()
    tracer.send_signal(signal.SIGINT)
    tracer.wait(60)
    tracer.stderr.close()
    assert (code, known) == (64, Intake.ABSENT)


def test_what_is_not_committed_leaves_nothing(queue):
    queue.start()
    large = Intake.body(b"x" * 50000)
    for end in (lambda client: client.close(),
                lambda client: client.connection.send(b"\x06"),
                lambda client: client.connection.send(b"\xff")):
        client = Intake(queue)
        for _ in range(5):
            client.connection.send(large)
        wait_until(lambda: queue.files("mess"), "the file is there")
        end(client)
        wait_until(lambda: not queue.files("mess"), "the file has gone")
        client.close()
    assert not queue.envelopes()


def test_a_full_disk_is_the_answer(queue):
    """Of a message whose body needs a file; others go on."""
    queue.start()
    client = Intake(queue)
    assert client.commit(b"x\n", TO)[0] == 0  # the journal is open
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(queue.process.pid), "-o", "/dev/null",
         "-e", "trace=openat", "-e", "inject=openat:error=ENOSPC"],
        stderr=subprocess.PIPE, text=True)
    assert "attached" in tracer.stderr.readline()
    code, text = client.commit(b"x" * 200000, TO)
    small, _ = client.commit(b"x\n", TO)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(60)
    tracer.stderr.close()
    assert code == 53 and "No space" in text
    assert small == 0
    assert client.commit(b"x" * 200000, TO)[0] == 0


@pytest.mark.parametrize("size", [3, 5])
def test_a_size_that_is_not_true(queue, size):
    queue.start()
    client = Intake(queue)
    code, text = client.commit(b"four", TO, size=size)
    assert code == 81 and f"4 bytes of {size}" in text
    assert not queue.envelopes()


def test_strangers_do_not_import(queue):
    queue.start()
    said = run_as_nobody(queue, """
print(Intake(at).commit(b"x", record=b"a3\\0Fs\\0Tu\\0", is_import=True))
""")
    assert said.startswith("(31,"), said


def test_an_import_keeps_what_it_was(queue):
    queue.start()
    worker = queue.worker()
    client = Intake(queue)
    birth = int(time.time()) - 5000
    assert client.commit(
        b"x\n", record=b"b%d\0a3\0Fs@x\0Ddone@%s\0Tu@%s\0" % (
            birth, DOMAIN.encode(), DOMAIN.encode()), is_import=True)[0] == 0
    job, = worker.wait_jobs(1)
    assert (job.birth, job.attempt) == (birth, 4)
    queue.wait_done()
    assert [job.extension for job in worker.jobs] == ["u"]


def test_strangers_have_100000_recipients_in_a_message(queue):
    """Millions of short ones took all memory, again after each start."""
    queue.set("holdlocal", "1")
    queue.start()
    said = run_as_nobody(queue, """
for count in 100000, 100001:
    print(Intake(at).commit(b"", ["u"] * count))
""").splitlines()
    assert said[0].startswith("(0,"), said
    assert said[1].startswith("(31,") and "100000" in said[1], said


def test_files_alone_take_only_what_will_be_read(queue):
    """qmail-queue took a record that qmail-send then set aside."""
    queue.inject(QQEH="X: " + "y" * 40000, code=79)
    assert not queue.files("todo") and not queue.files("mess")
    queue.inject(QQEH="X: " + "y" * 30000)
    assert len(queue.files("todo")) == 1


# An older kernel, which cannot refuse descriptors.
OLD_KERNEL = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
              "trace=setsockopt", "-e",
              "inject=setsockopt:error=ENOPROTOOPT:when=1")
LINGER = """
server = socket.create_server(("127.0.0.1", 0))
sender = socket.create_connection(server.getsockname())
peer, _ = server.accept()
sender.setblocking(False)
try:
    while True:
        sender.send(b"x" * 65536)
except BlockingIOError:
    pass
sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 6))
client = Intake(at)
try:
    socket.send_fds(client.connection, [b"\\xff"], [sender.fileno()])
    print("sent")
except PermissionError:
    print("refused")
sender.close()
start = time.monotonic()
print(Intake(at).commit(b"x", ["u@example.test"])[0])
print(time.monotonic() - start)
"""


@pytest.mark.parametrize("wrapper", [(), OLD_KERNEL])
def test_a_stranger_cannot_make_us_wait_for_his_descriptor(queue, wrapper):
    """Closing a TCP socket that lingers stopped qmail-send for seconds."""
    queue.start(*wrapper)
    said = run_as_nobody(queue, LINGER).splitlines()
    assert said[0] == "sent" if wrapper else said[0] in ("sent", "refused")
    assert said[1] == "0"
    assert float(said[2]) < 4, said


@pytest.mark.parametrize("wrapper", [(), OLD_KERNEL])
def test_strangers_have_32_connections_of_a_user(queue, wrapper):
    queue.start(*wrapper)
    said = run_as_nobody(queue, """
clients = []
open_ones = 0
for _ in range(60):
    try:
        clients.append(Intake(at))
    except ConnectionError:
        pass  # refused before it has said hello
for client in clients:
    try:
        open_ones += client.ask(uuid.uuid4()) == Intake.ABSENT
    except (AssertionError, ConnectionError):
        pass
print(open_ones)
""").split()
    assert said == ["32"]
    assert Intake(queue).commit(b"x", TO)[0] == 0


def test_a_stranger_leaves_min_free(queue):
    """He need not ask for it, and could fill the disk."""
    queue.set("min_free", str(1 << 60))
    queue.start()
    code = f"""
client = Intake(at)
print(client.commit(b"x", {TO})[0], client.commit(b"x" * 300000, {TO})[0])
"""
    assert run_as_nobody(queue, code).split() == ["53", "53"]
    assert len(queue.files("mess")) == 0
    queue.wait_log("^warning: message refused: less than min_free, "
                   f"{1 << 60} bytes, would be left")
    assert Intake(queue).commit(b"x", TO)[0] == 0  # who is trusted has asked
    queue.set("min_free.queue1", "1")
    queue.send_signal(signal.SIGHUP)
    wait_until(lambda: run_as_nobody(queue, code).split() == ["0", "0"],
               "it is reread")


MANY_USERS = """
clients = []
for uid in range(100000, 100020):
    if os.fork() == 0:
        os.setgid(uid)
        os.setuid(uid)
        for _ in range(32):
            try:
                clients.append(Intake(at))
                for _ in range(4):  # so much gets a file
                    clients[-1].connection.send(Intake.body(b"x" * 50000))
            except ConnectionError:
                pass
            except OSError:
                break  # nobody accepts
        os.write(1, b"there\\n")
        time.sleep(600)
        os._exit(0)
time.sleep(600)
"""


def test_strangers_leave_room_for_trusted_clients(queue):
    """Of 512 open files those of 20 users with 640 connections took all."""
    queue.start("prlimit", "--nofile=512:512", "--")
    strangers = start_as_strangers(queue, MANY_USERS)
    try:
        for _ in range(20):
            assert strangers.stdout.readline() == "there\n"
        clients = [Intake(queue) for _ in range(100)]
        for client in clients:
            assert client.commit(b"x", TO)[0] == 0
    finally:
        os.killpg(strangers.pid, signal.SIGKILL)
        strangers.wait()
        strangers.stdout.close()


def test_a_stranger_has_32_mib_of_memory(queue):
    queue.start()
    said = run_as_nobody(queue, """
piece = Intake.envelope(b"x" * 50000)
clients = [Intake(at) for _ in range(5)]
taken = 0
try:
    while True:
        # Little by little, each waiting for its turn: all are alive.
        for client in clients:
            client.connection.send(piece)
            taken += 50000
except (BrokenPipeError, ConnectionResetError):
    print(taken)
""")
    # What one has sent may not be read yet: one socket's buffer each.
    assert 32 << 20 <= int(said) <= (32 << 20) + 5 * (1 << 20), said
    assert Intake(queue).commit(b"", TO * 50000)[0] == 0


def test_strangers_that_stay_do_not_hold_up_a_stop(queue):
    """In the midst of a body, and of nothing."""
    queue.start()
    started = queue.home / "started"
    started.touch()
    started.chmod(0o666)
    if os.getuid() != 0:
        pytest.skip("needs root, to be another user")
    for name in ("", "queue", "queue/queue1", "queue/queue1/lock"):
        (queue.home / name).chmod(0o755)
    queue.home.parent.chmod(0o755)
    script = f"""
import os, pathlib, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from queue_peer import Intake
class at: dir = pathlib.Path({str(queue.dir)!r})
os.setgid(65534)
os.setuid(65534)
clients = [Intake(at) for _ in range(20)]
for client in clients[:10]:
    for _ in range(4):
        client.connection.send(Intake.body(b"x" * 50000))
open({str(started)!r}, "w").write("x")
print([client.is_over() for client in clients].count(True))
"""
    stranger = subprocess.Popen(["/usr/bin/python3", "-c", script],
                                stdout=subprocess.PIPE, text=True)
    wait_until(lambda: started.read_text() and len(queue.files("mess")) == 10,
               "they are there")
    start = time.monotonic()
    assert queue.stop() == 0
    assert time.monotonic() - start < 20 * SLOW
    assert stranger.communicate(timeout=60)[0].strip() == "20"


def test_a_stop_takes_nothing_new_and_ends_what_was_asked_for(queue):
    queue.start("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
                "trace=fdatasync", "-e",
                "inject=fdatasync:delay_enter=1000000:when=2+")
    first, second = Intake(queue), Intake(queue)
    first.send(b"x" * 200000, TO)
    # The last piece comes with what asks for the commit.
    wait_until(lambda: [path for path in queue.files("mess").values()
                        if path.stat().st_size >= 200000],
               "it is being written")
    time.sleep(0.2)
    queue.send_signal(signal.SIGTERM)
    queue.wait_log("exitasap")
    try:
        code, _ = second.commit(b"y", TO)
    except (AssertionError, ConnectionError):
        code = 71  # the end of the connection says it, too
    assert code == 71
    assert first.answer()[0] == 0
    queue.stop()
    queue.start()
    worker = queue.worker()
    worker.wait_jobs(1)
    queue.wait_done()


def test_clients_leave_files_to_deliveries(queue):
    """Sessions of the SMTP server took all: nothing could be handed out."""
    queue.set("concurrencylocal", "1")
    queue.start("prlimit", "--nofile=512:512")
    worker = queue.worker(lambda job: None)
    alive = []
    for client in [Intake(queue, version=None) for _ in range(600)]:
        try:
            client.connection.send(Intake.hello())
            client.ask(uuid.uuid4())
            alive.append(client)
        except (AssertionError, ConnectionError):
            client.close()
    assert 200 < len(alive) < 300
    # A large message is handed out as a descriptor.
    assert alive[0].commit(b"x" * 200000, [f"u@{DOMAIN}", f"v@{DOMAIN}"])[
        0] == 0
    worker.wait_jobs(1)
    worker.answer(worker.held[0], "Z", "later\n")
    worker.wait_jobs(2)
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_files(info=1, todo=0)
    assert "Too many open files" not in queue.log()
    for client in alive:
        client.close()
    queue.inject()


def test_a_record_is_what_it_was(queue):
    """The journal has the user, the number, UUID and length in front."""
    queue.set("holdlocal", "1")
    queue.start()
    ident = uuid.uuid4()
    record = envelope_record("s@x", TO)
    client = Intake(queue)
    assert client.commit(b"x", record=record, ident=ident)[0] == 0
    # Also when it has become kept meanwhile.
    found = journal.messages(queue.dir, also_over=True).values()
    assert [message.envelope for message in found] == [
        b"u%d\0p1 %s 1\0" % (os.getuid(), str(ident).encode()) + record]


def test_descriptors_of_trusted_clients_end_their_connection(queue):
    queue.start(*OLD_KERNEL)
    client = Intake(queue)
    with open("/dev/null", "rb") as file:
        socket.send_fds(client.connection, [b"\x06"], [file.fileno()])
    assert client.is_over()
    assert Intake(queue).commit(b"x", TO)[0] == 0
