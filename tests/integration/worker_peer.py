# SPDX-License-Identifier: ISC
"""What qmail-start and a delivery worker are to qmail-send: a control
connection over which workers' connections are passed, and a worker whose
answers a test chooses (queue/job.h, docs/protocol.md, Deliveries)."""
import fcntl
import os
import socket
import struct
import threading

from node import DEADLINE_S, wait_until

VERSION = 5


def _text(value):
    data = os.fsencode(value)
    return struct.pack("<I", len(data) + 1) + data + b"\0"


class Reader:
    """The fields of a packet, one after the other."""

    def __init__(self, packet):
        self.packet = packet
        self.at = 0

    def number(self, form):
        value, = struct.unpack_from("<" + form, self.packet, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def raw(self, length):
        self.at += length
        return self.packet[self.at - length:self.at]

    def bytes(self):
        return self.raw(self.number("I"))

    def text(self):
        return os.fsdecode(self.bytes()[:-1])


class Job:
    """One delivery that qmail-send asked for: a recipient of a job."""

    def __init__(self, common, recipient):
        self.__dict__.update(common)
        self.__dict__.update(recipient)


def check_read_only(fd):
    """A worker must not be able to change what others will get."""
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        wanted = (fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK |
                  fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & wanted == wanted


def parse_job(packet, fds):
    """The deliveries of one job packet."""
    reader = Reader(packet)
    assert reader.raw(1) == b"j", packet
    common = {"message_id": reader.number("Q"), "uuid": reader.raw(16),
              "lane": reader.text(), "birth": reader.number("Q"),
              "attempt": reader.number("I"), "size": reader.number("Q"),
              "sender": reader.text(), "header": reader.text(),
              "dsn": reader.text(), "needs_tls": reader.number("B")}
    recipients = [
        {"delivery": reader.number("I"), "recipient": reader.text(),
         "user": reader.text(), "home": reader.text(), "dash": reader.text(),
         "extension": reader.text(), "rcpt_dsn": reader.text()}
        for _ in range(reader.number("I"))]
    if reader.number("B"):
        common["message"] = reader.bytes()
    else:
        common["message"] = os.pread(fds[0], common["size"] + 1, 0)
    for fd in fds:
        check_read_only(fd)
        os.close(fd)
    assert reader.at == len(packet)
    assert len(common["message"]) <= common["size"]
    return [Job(common, one) for one in recipients]


class Control:
    """qmail-start's end of the control connection of a qmail-send."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def started(self):
        self.theirs.close()

    def add_worker(self, channel):
        """The worker's end of a new connection."""
        worker, queue = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(self.ours, [channel.encode()], [queue.fileno()])
        queue.close()
        return worker

    def close(self):
        self.ours.close()


class Remote:
    """qmail-rspawn's end of its socket, run/remote, for one qmail-send."""

    def __init__(self, home):
        path = home / "run/remote"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(DEADLINE_S)

    def add_worker(self, _):
        with self.listener:
            connection, _ = self.listener.accept()
        connection.settimeout(None)
        return connection


class Worker(threading.Thread):
    """Answers each delivery with what decide(job) says: (outcome, text).

    A third, True, says that the next hop reports to the sender.  None keeps the
    job until answer() is called for it.
    """

    def __init__(self, control, decide=lambda job: ("K", "did 1+0+0\n"),
                 channel="v", take=1000, take_bytes=1 << 30):
        super().__init__(daemon=True)
        self.decide = decide
        self.lock = threading.RLock()
        self._jobs = []
        self.held = []
        self.packets = 0  # jobs as they came, with several recipients each
        self.connection = control.add_worker(channel)
        self.connection.send(struct.pack("<BIB", ord("h"), VERSION,
                                         ord(channel)))
        self.take(take, take_bytes)
        self.start()

    def take(self, recipients, size=1 << 30):
        self.connection.send(struct.pack("<BIQB", ord("t"), recipients,
                                         size, 0))

    def back_off(self, lane, seconds, reason="it said so"):
        self.connection.send(b"b" + _text(lane) + struct.pack("<I", seconds) +
                             _text(reason))

    def run(self):
        while True:
            try:
                packet, fds, _, _ = socket.recv_fds(self.connection, 60000, 1)
            except OSError:
                return
            if not packet:
                return
            if packet[:1] == b"a":  # a lane asks: there is room for it
                lane = packet[5:-2]
                self.connection.send(b"n" + _text(os.fsdecode(lane)) +
                                     struct.pack("<I", 1000))
                continue
            self.packets += 1
            for job in parse_job(packet, fds):
                is_whole = len(job.message) == job.size
                said = (self.decide(job) if is_whole else
                        ("Z", "cannot read the whole message\n"))
                with self.lock:
                    if said is None:
                        self.held.append(job)
                    else:
                        self.answer(job, *said)
                    self._jobs.append(job)

    @property
    def jobs(self):
        """Those that came.  Whoever sees what an answer has done sees its job,
        and the other way round."""
        with self.lock:
            return self._jobs

    def answer(self, job, outcome, text, is_dsn_passed=False):
        if job in self.held:
            self.held.remove(job)
        self.connection.send(struct.pack("<BIBB", ord("r"), job.delivery,
                                         ord(outcome), is_dsn_passed) +
                             _text(text))

    def wait_jobs(self, count):
        wait_until(lambda: len(self.jobs) >= count,
                   lambda: f"{count} jobs, had {len(self.jobs)}")
        return self.jobs[:count]

    def recipients(self):
        return [job.recipient for job in self.jobs]

    def close(self):
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side has gone
        self.connection.close()
        self.join(DEADLINE_S)
