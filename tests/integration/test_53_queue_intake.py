# SPDX-License-Identifier: ISC
"""The intake against clients that are not our own programs."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from node import wait_until
from queue_peer import DOMAIN, Intake


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
    b"Fs@x\0Tb@x", b"Fs@x\0T\0", b""])
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


def test_strangers_have_100000_recipients_in_a_message(queue):
    """Millions of short ones took all memory, again after each start."""
    queue.set("holdlocal", "1")
    queue.start()
    said = run_as_nobody(queue, """
for count in 100000, 100001:
    client = Intake(at)
    _, fd = client.open()
    os.close(fd)
    print(client.commit(0, recipients=["u"] * count))
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
sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 20))
client = Intake(at)
try:
    socket.send_fds(client.connection, [b"\\xff"], [sender.fileno()])
    print("sent")
except PermissionError:
    print("refused")
sender.close()
import time
start = time.monotonic()
client = Intake(at)
_, fd = client.open()
print(time.monotonic() - start)
"""


@pytest.mark.parametrize("wrapper", [(), OLD_KERNEL])
def test_a_stranger_cannot_make_us_wait_for_his_descriptor(queue, wrapper):
    """Closing a TCP socket that lingers stopped qmail-send for seconds."""
    queue.start(*wrapper)
    said = run_as_nobody(queue, LINGER).splitlines()
    assert said[0] == "sent" if wrapper else said[0] in ("sent", "refused")
    assert float(said[1]) < 8, said


def test_strangers_have_32_connections_of_a_user(queue):
    queue.start()
    said = run_as_nobody(queue, """
clients = [Intake(at) for _ in range(60)]
clients[31].open()
open_ones = 0
for client in clients:
    client.connection.settimeout(0.2)
    try:
        client.connection.recv(1)
        continue
    except TimeoutError:
        open_ones += 1
    except ConnectionResetError:
        pass
print(open_ones)
""").split()
    assert said == ["32"]
    Intake(queue).open()


def hold_over_commit(client, hold_s):
    """Commits with a copy of the descriptor open for hold_s.

    The answer's code, and for how long the copy really was open.
    """
    _, fd = client.open()
    os.write(fd, b"x\n")
    copy = os.dup(fd)
    os.close(fd)
    start = time.monotonic()
    client.connection.send(client.commit_packet(
        2, recipients=[f"u@{DOMAIN}"]))
    time.sleep(hold_s)
    os.close(copy)
    held_s = time.monotonic() - start
    return client.committed()[0], held_s


def test_a_file_that_is_closed_in_a_moment_is_taken(queue):
    """A client that starts a program just then has a copy until its exec."""
    queue.start()
    client = Intake(queue)
    for _ in range(10):
        code, held_s = hold_over_commit(client, 0.05)
        if held_s < 0.15:  # else this machine is busy: it says nothing
            break
    assert code == 0
    assert len(queue.envelopes()) >= 1
    # Nothing else waits for the one that waits.
    slow, other = Intake(queue), Intake(queue)
    _, fd = slow.open()
    slow.connection.send(slow.commit_packet(0, recipients=[f"u@{DOMAIN}"]))
    start = time.monotonic()
    _, other_fd = other.open()
    os.close(other_fd)
    assert other.commit(0, recipients=[f"u@{DOMAIN}"])[0] == 0
    other_s = time.monotonic() - start
    code, text = slow.committed()
    assert code == 62 and "still open" in text
    slow_s = time.monotonic() - start
    assert other_s < slow_s
    os.close(fd)
    # Both connections, and the file's number, serve on.
    for client in (slow, other):
        assert hold_over_commit(client, 0)[0] == 0


def test_what_is_said_while_the_file_is_open_ends_the_connection(queue):
    queue.start()
    for packet in (b"\x07", b"\x01\x02\0\0\0", b""):
        client = Intake(queue)
        number, fd = client.open()
        client.connection.send(client.commit_packet(
            0, recipients=[f"u@{DOMAIN}"]))
        if packet:
            client.connection.send(packet)
            assert client.connection.recv(100) == b""
        client.close()
        wait_until(lambda: not queue.path("mess", number).exists(),
                   "the shared file is taken away")
        os.close(fd)
    assert not queue.envelopes()


def test_strangers_have_64_mib_of_envelopes(queue):
    queue.start()
    said = run_as_nobody(queue, """
piece = struct.pack("<BI", 4, 50000) + b"x" * 50000
clients = [Intake(at) for _ in range(5)]
for client in clients:
    client.open()
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
    assert 64 << 20 <= int(said) <= (64 << 20) + 5 * (1 << 20), said
    client = Intake(queue)
    _, fd = client.open()
    os.close(fd)
    assert client.commit(0, recipients=[f"u@{DOMAIN}"] * 50000)[0] == 0


def files_at_hand(node):
    """The message files that qmail-smtpd has open."""
    found = []
    for pid in node.processes():
        fds = Path(f"/proc/{pid}/fd")
        try:
            if Path(f"/proc/{pid}/comm").read_text() == "qmail-smtpd\n":
                found += [link for link in map(os.readlink, fds.iterdir())
                          if "/mess/" in link]
        except FileNotFoundError:
            continue
    return found


def restart_queue(node):
    """Kills the one qmail-send; waits until the next one takes mail."""
    before = node.queue("queue1")["pid"]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: node.queue("queue1")["state"] == "up" and
               node.queue("queue1")["pid"] != before, "it runs again")


@pytest.mark.parametrize("when", ["idle", "held"])
def test_a_next_file_of_a_queue_that_died_is_not_used(make_node, when):
    """
    With each answer a listener gets the file of its next message.  It is no
    use any more when the queue's process has ended, whether the file waits
    in the pool (idle) or a transaction has it already (held).
    """
    node = make_node("--queues", "1")
    with node.smtp() as smtp:
        smtp.ehlo()

        def send(between=lambda: None):
            assert smtp.mail("s@example.net")[0] == 250
            assert smtp.rcpt(f"alice@{node.domain}")[0] == 250
            between()
            return smtp.data(b"Subject: x\r\n\r\nx\r\n")[0]

        assert send() == 250
        at_hand = files_at_hand(node)
        assert len(at_hand) == 1
        if when == "idle":
            restart_queue(node)
            assert send() == 250
        else:
            assert send(lambda: restart_queue(node)) == 250
        # The dead one's file is let go; there is a new one.
        assert len(files_at_hand(node)) == 1
        assert not any(file.endswith("(deleted)")
                       for file in files_at_hand(node))
        assert send() == 250
    node.wait_messages("alice", 3)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_without_a_next_file_a_listener_asks_for_one(make_node):
    """A queue that cannot open one more file still takes what is written."""
    node = make_node("--queues", "1")
    with node.smtp() as smtp:
        def send(subject):
            smtp.sendmail("s@example.net", [f"alice@{node.domain}"],
                          f"Subject: {subject}\n\nx\n")

        send("one")
        assert len(files_at_hand(node)) == 1
        pid = node.queue("queue1")["pid"]
        tracer = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", "/dev/null", "-e",
             "trace=openat", "-e", "inject=openat:error=EMFILE"],
            stderr=subprocess.PIPE, text=True)
        assert "attached" in tracer.stderr.readline()
        send("two")
        assert files_at_hand(node) == []
        tracer.send_signal(signal.SIGINT)
        tracer.wait(60)
        tracer.stderr.close()
        send("three")
        assert len(files_at_hand(node)) == 1
    # Deliveries could open nothing meanwhile, and wait.
    node.retry_until(lambda: len(node.messages("alice")) == 3,
                     "all are delivered")


def test_clients_leave_files_to_deliveries(queue):
    """Sessions of the SMTP server took all: nothing could be handed out."""
    queue.set("concurrencylocal", "1")
    queue.start("prlimit", "--nofile=512:512")
    worker = queue.worker(lambda job: None)
    queue.inject([f"u@{DOMAIN}", f"v@{DOMAIN}"])
    worker.wait_jobs(1)
    clients, codes = [], []
    while not codes and len(clients) < 600:
        clients.append(Intake(queue))
        connection = clients[-1].connection
        connection.send(struct.pack("<BI", 1, 2))
        packet, fds, _, _ = socket.recv_fds(connection, 2048, 1)
        for fd in fds:
            os.close(fd)
        assert packet, queue.log()
        if packet[0] == 3:
            codes.append(struct.unpack_from("<I", packet, 1)[0])
    assert codes == [51]
    worker.answer(worker.held[0], "Z", "later\n")
    worker.wait_jobs(2)
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_files(info=1, todo=0)
    assert "EMFILE" not in queue.log()
    assert "Too many open files" not in queue.log()
    for client in clients:
        client.close()
    queue.inject()
