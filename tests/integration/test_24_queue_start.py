# SPDX-License-Identifier: ISC
"""qmail-start, with programs of the test's own in place of a queue's."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from node import BIN, wait_until

TIMEOUT = 60
USER = pwd.getpwuid(os.getuid()).pw_name

# Hands its descriptor 0 to the test.
SEND = f"""#!{sys.executable}
import os, signal, socket
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's is inherited
peer = socket.socket(socket.AF_UNIX)
peer.connect(os.environ["TEST_SOCKET"])
socket.send_fds(peer, [b"%d" % os.getpid()], [0])
signal.pause()
"""

# Answers each packet with its process id and the arguments.
WORKER = f"""#!{sys.executable}
import os, socket, sys
queue = socket.socket(fileno=0)
while queue.recv(100):
    queue.send(("%d %s" % (os.getpid(), sys.argv[1])).encode())
"""


class Queue:
    def __init__(self, folder):
        self.folder = Path(folder)
        (self.folder / "bin").mkdir()
        (self.folder / "control").mkdir()
        (self.folder / "run").mkdir()
        shutil.copy(BIN / "qmail-start", self.folder / "bin")
        for name, text in (("qmail-send", SEND), ("qmail-vdeliver", WORKER)):
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)
        self.log = self.folder / "log"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.folder / "socket"))
        self.listener.listen(5)
        self.listener.settimeout(TIMEOUT)
        self.process = self.control = self.send_pid = None
        self.sockets = [self.listener]

    def start(self, is_taken=True, **environment):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.folder / "bin/qmail-start", "/the/queue1"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=dict(os.environ, MQMAIL_HOME=str(self.folder),
                         MQMAIL_USER=USER,
                         TEST_SOCKET=str(self.folder / "socket"),
                         **environment))
        if is_taken:
            self.take_control()

    def take_control(self):
        peer, _ = self.listener.accept()
        pid, (fd,), _, _ = socket.recv_fds(peer, 100, 1)
        peer.close()
        self.send_pid = int(pid)
        self.control = socket.socket(fileno=fd)
        self.control.settimeout(TIMEOUT)
        self.sockets.append(self.control)

    def worker(self):
        """The next worker's connection, and its process id."""
        data, fds, flags, _ = socket.recv_fds(self.control, 100, 2)
        assert (data, len(fds), flags & socket.MSG_CTRUNC) == (b"v", 1, 0)
        connection = socket.socket(fileno=fds[0])
        connection.settimeout(TIMEOUT)
        self.sockets.append(connection)
        assert connection.type == socket.SOCK_SEQPACKET
        connection.send(b"who?")
        pid, argument = connection.recv(100).decode().split()
        assert argument == "/the/queue1"
        return connection, int(pid)

    def down(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(TIMEOUT)
        for each in self.sockets:
            each.close()


@pytest.fixture
def queue():
    folder = tempfile.mkdtemp(prefix="mq")
    queue = Queue(folder)
    yield queue
    queue.down()
    shutil.rmtree(folder)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().split(")")[1].split()[0] == "Z"


def test_a_workers_connection_comes_to_qmail_send(queue):
    queue.start()
    _, pid = queue.worker()
    assert Path(f"/proc/{pid}/stat").read_text().split()[3] == str(
        queue.process.pid)
    pid_file = queue.folder / "run/qmail-send.queue1.pid"
    assert pid_file.read_text() == f"{queue.send_pid}\n"
    # Nobody else holds the pair or the control socket.
    open_there = [os.readlink(path) for path in
                  Path(f"/proc/{queue.process.pid}/fd").iterdir()]
    assert sum("socket" in name for name in open_there) == 1
    for each in (pid, queue.send_pid):
        names = [os.readlink(path)
                 for path in Path(f"/proc/{each}/fd").iterdir()]
        assert sum("signalfd" in name for name in names) == 0


@pytest.mark.parametrize("setting", [
    {"file": "3"}, {"VDELIVER_WORKERS": "3"},
    {"file": "2", "VDELIVER_WORKERS": "3"}])
def test_several_workers(queue, setting):
    setting = dict(setting)
    if "file" in setting:
        (queue.folder / "control/vdeliverworkers").write_text(
            setting.pop("file") + "\n")
    queue.start(**setting)
    assert len({queue.worker()[1] for _ in range(3)}) == 3


@pytest.mark.parametrize("value", ["0", "17", "many"])
def test_a_number_of_workers_that_is_none(queue, value):
    queue.start(is_taken=False, VDELIVER_WORKERS=value)
    assert queue.process.wait(TIMEOUT) == 111
    assert "VDELIVER_WORKERS" in queue.log.read_text()


def test_a_worker_that_dies_is_started_again(queue):
    queue.start(VDELIVER_WORKERS="2")
    first, pid = queue.worker()
    _, other = queue.worker()
    os.kill(pid, signal.SIGKILL)
    assert first.recv(100) == b""
    _, again = queue.worker()
    assert again not in (pid, other)
    assert "alert: qmail-vdeliver was killed by signal 9" in \
        queue.log.read_text()


def test_a_worker_whose_connection_is_closed_is_started_again(queue):
    queue.start()
    connection, pid = queue.worker()
    connection.close()
    assert queue.worker()[1] != pid
    assert "alert" not in queue.log.read_text()


def test_qmail_send_that_does_not_take_workers_stops_nobody(queue):
    """More connections than the control socket holds are dropped, and told."""
    (queue.folder / "bin/qmail-vdeliver").write_text("#!/bin/sh\nexit 7\n")
    queue.start(VDELIVER_WORKERS="16")
    wait_until(lambda: queue.log.read_text().count("exited with 7") >= 48,
               "workers that end at once, three times")
    queue.process.send_signal(signal.SIGTERM)
    assert queue.process.wait(TIMEOUT) == 111


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_qmail_send_is_the_queues_end(queue, signal_number):
    queue.start(VDELIVER_WORKERS="2")
    pids = [queue.worker()[1] for _ in range(2)]
    os.kill(queue.send_pid, signal_number)
    assert queue.process.wait(TIMEOUT) == 111
    assert all(map(is_gone, pids))


def test_all_end_with_qmail_start(queue):
    queue.start()
    _, pid = queue.worker()
    queue.process.kill()
    queue.process.wait(TIMEOUT)
    for each in (pid, queue.send_pid):
        wait_until(lambda each=each: is_gone(each), f"the end of {each}")


def test_signals_go_to_qmail_send(queue):
    queue.start()
    _, pid = queue.worker()
    queue.process.send_signal(signal.SIGHUP)  # ends it: it is no real one
    assert queue.process.wait(TIMEOUT) == 111
    assert "qmail-send was killed by signal 1" in queue.log.read_text()
    assert is_gone(pid)


def test_without_standard_descriptors(queue):
    """No socket takes the place of one that was closed."""
    queue.process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" "$1" 0<&- 1>&- 2>&-',
         queue.folder / "bin/qmail-start", "/the/queue1"],
        env=dict(os.environ, MQMAIL_HOME=str(queue.folder),
                 MQMAIL_USER=USER,
                 TEST_SOCKET=str(queue.folder / "socket")))
    queue.take_control()
    queue.worker()
