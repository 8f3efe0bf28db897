# SPDX-License-Identifier: ISC
"""One queue of its own, and qmail-send's peers: delivery workers
(worker_peer.py), and an intake client that may misbehave.

Packets are those of queue/intake_packet.h (docs/protocol.md).
"""
import contextlib
import os
import pwd
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

import journal
import worker_peer
from node import BIN, DEADLINE_S, SLOW, wait_until

DOMAIN = "example.test"
FOLDERS = ("mess", "todo", "intd", "info", "local", "remote", "bounce", "pid")


def _text(value):
    data = os.fsencode(value)
    return struct.pack("<I", len(data) + 1) + data + b"\0"


def connect(path):
    """A SEQPACKET connection; named by a descriptor, since paths are short."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        client.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    except OSError:
        client.close()
        raise
    finally:
        os.close(folder)
    client.settimeout(DEADLINE_S)
    return client


def envelope_record(sender, recipients):
    """Its F and T part, as the intake wants it."""
    return b"F" + os.fsencode(sender) + b"\0" + b"".join(
        b"T" + os.fsencode(name) + b"\0" for name in recipients)


class Intake:
    """A client of lock/intake, whose packets may be wrong."""

    VERSION = 4
    HELLO, BODY, ENVELOPE, COMMIT, ASK, ABORT, ANSWER, OPERATE = range(1, 9)
    HOLD, RELEASE, RETRY, DELETE, BOUNCE, FORGET = range(1, 7)
    ABSENT = 255
    PIECE = 50000

    def __init__(self, queue, version=VERSION):
        self.connection = connect(queue.dir / "lock/intake")
        self.id = None  # of the last answer
        if version is not None:
            self.connection.send(self.hello(version))

    @classmethod
    def hello(cls, version=VERSION):
        return struct.pack("<BI", cls.HELLO, version)

    @classmethod
    def body(cls, piece):
        return struct.pack("<BI", cls.BODY, len(piece)) + piece

    @classmethod
    def envelope(cls, piece):
        return struct.pack("<BI", cls.ENVELOPE, len(piece)) + piece

    @classmethod
    def commit_packet(cls, record, body=b"", ident=None, size=None,
                      is_import=False):
        """With the last pieces of both."""
        return struct.pack(
            "<B16sQQBI", cls.COMMIT, (ident or uuid.uuid4()).bytes, 1,
            len(body) if size is None else size, is_import, len(body)
        ) + body + struct.pack("<I", len(record)) + record

    def send(self, body=b"", recipients=(), sender="s@example.net",
             record=None, ident=None, size=None, is_import=False):
        """A whole transaction, in pieces where it has to be."""
        if record is None:
            record = envelope_record(sender, recipients)
        size = len(body) if size is None else size
        while len(body) + len(record) > self.PIECE and body:
            self.connection.send(self.body(body[:self.PIECE]))
            body = body[self.PIECE:]
        while len(record) > self.PIECE:
            self.connection.send(self.envelope(record[:self.PIECE]))
            record = record[self.PIECE:]
        self.connection.send(self.commit_packet(
            record, body, ident, size, is_import))

    def commit(self, *arguments, **options):
        """The code and text of the answer."""
        self.send(*arguments, **options)
        return self.answer()

    def ask(self, ident):
        """The code of the answer."""
        self.connection.send(struct.pack("<B16s", self.ASK, ident.bytes))
        return self.answer()[0]

    def send_operate(self, action, number, lane="", text=""):
        self.connection.send(struct.pack(
            "<BBQ", self.OPERATE, action, number) + _text(lane) + _text(text))

    def operate(self, *arguments, **options):
        """The code and text of the answer."""
        self.send_operate(*arguments, **options)
        return self.answer()

    def answer(self):
        packet = self.connection.recv(2048)
        assert packet, "the connection is over"
        assert packet[0] == self.ANSWER, packet
        self.id, code, length = struct.unpack_from("<QII", packet, 1)
        return code, packet[17:16 + length].decode()

    def is_over(self):
        """Has the queue ended the connection?  Waits for what comes."""
        try:
            return self.connection.recv(2048) == b""
        except ConnectionError:
            return True

    def close(self):
        self.connection.close()


class FakeQueue:
    """
    In qmail-send's place: plan says for each COMMIT and ASK what is answered, a
    code or None to end the connection, and then also its listening socket if
    is_restarted; there is a new one half a second later.
    """

    def __init__(self, directory, plan, is_restarted=False):
        self.path = directory / "lock/intake"
        self.plan = list(plan)
        self.is_restarted = is_restarted
        self.packets = []  # their types
        self.body = b""
        self.uuids = []    # of COMMIT and ASK
        self._listen()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _listen(self):
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(os.path.relpath(self.path))
        self.path.chmod(0o666)
        self.socket.listen()

    def _run(self):
        while self.plan:
            connection, _ = self.socket.accept()
            with connection:
                while self._serve(connection):
                    pass
            if self.is_restarted and self.plan:
                self.socket.close()
                time.sleep(0.5)
                self._listen()
        self.socket.close()

    def _serve(self, connection):
        packet = connection.recv(70000)
        if not packet:
            self.body = b""
            return False
        self.packets.append(packet[0])
        if packet[0] == Intake.BODY:
            self.body += packet[5:]
        if packet[0] not in (Intake.COMMIT, Intake.ASK):
            return True
        self.uuids.append(packet[1:17])
        if packet[0] == Intake.COMMIT:
            length, = struct.unpack_from("<I", packet, 34)
            self.body += packet[38:38 + length]
        code = self.plan.pop(0)
        if code is None:
            return False
        connection.send(struct.pack("<BQI", Intake.ANSWER, 4711, code) +
                        _text("as planned"))
        return bool(self.plan)


class Queue:
    """A home with one queue and the virtual domain example.test."""

    def __init__(self, home, queue_dir=None):
        self.home = Path(home)
        self.dir = Path(queue_dir or self.home / "queue/queue1")
        self.log_path = self.home / "send.log"
        self.process = None
        self.control = None
        self.workers = []
        # Built-in times (base/test_time.h): nobody waits for a second try.
        self.times = {"SETTLE_AGAIN_MS": 1000, "LOOK_AGAIN_MS": 1000}
        self.user = pwd.getpwuid(os.getuid()).pw_name
        for name in ("control", "users", "run"):
            (self.home / name).mkdir(exist_ok=True)
        self.set("me", "mail.example.test")
        self.set("locals", "")
        self.set("virtualdomains", f"{DOMAIN}:{DOMAIN}")
        self.set("min_free", "0")
        self.set("journalsize", "1048576")
        self.assign(f"+{DOMAIN}-:{DOMAIN}:{os.getuid()}:{os.getgid()}:"
                    f"{self.home}/domains/{DOMAIN}:-::\n.\n")
        self.fix()

    def set(self, name, value):
        (self.home / "control" / name).write_text(f"{value}\n" if value
                                                  else "")

    def assign(self, text):
        (self.home / "users/assign").write_text(text)
        self.run("qmail-newu")

    def environment(self, **more):
        environment = dict(os.environ, MQMAIL_HOME=str(self.home),
                           MQMAIL_USER=self.user)
        environment.pop("QUEUEDIR", None)
        environment["MQMAIL_TEST_TIMES"] = " ".join(
            f"{name}={value}" for name, value in self.times.items())
        environment.update(more)
        return environment

    def run(self, program, *arguments, code=0, env=None, **options):
        done = subprocess.run(
            [BIN / program, *map(str, arguments)],
            env=self.environment(**(env or {})), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60 * SLOW, **options)
        assert code is None or done.returncode == code, (
            f"{program}: exit code {done.returncode}\n{done.stdout}"
            f"{done.stderr}")
        return done

    def fix(self, *options, code=0):
        return self.run("queue-fix", *options, self.dir,
                        code=code).stdout.decode()

    # -- qmail-send

    def spawn(self, *wrapper, **env):
        """Starts qmail-send; waits until it runs, or has ended."""
        ran = self.log().count("running\n")
        self.control = worker_peer.Control()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, BIN / "qmail-send", self.dir],
                env=self.environment(**env), stderr=log, stdout=log,
                stdin=self.control.theirs)
        self.control.started()
        wait_until(
            lambda: self.log().count("running\n") > ran or
            self.process.poll() is not None,
            lambda: f"qmail-send runs\n{self.log()}")

    def start(self, *wrapper, **env):
        self.spawn(*wrapper, **env)
        assert self.process.poll() is None, self.log()

    def send_signal(self, number):
        self.process.send_signal(number)

    def hurry(self, check, what):
        """Waits like wait_until, while all that is deferred is tried at once;
        what is on its way to be remembered does not hear of a SIGALRM."""
        def ring():
            self.send_signal(signal.SIGALRM)
            return check()

        wait_until(ring, lambda: f"{what}\n{self.log()}")

    def stop(self, number=signal.SIGTERM):
        """Ends qmail-send and the workers; its exit code."""
        if self.process is None:
            return None
        self.send_signal(number)
        return self.ended()

    def ended(self):
        """Waits for the end of qmail-send, and ends the workers."""
        code = self.process.wait(DEADLINE_S)
        self.process = None
        for worker in self.workers:
            worker.close()
        self.workers = []
        if self.control is not None:
            self.control.close()
            self.control = None
        return code

    def worker(self, *arguments, **options):
        control = (worker_peer.Remote(self.home)
                   if options.get("channel") == "r" else self.control)
        worker = worker_peer.Worker(control, *arguments, **options)
        self.workers.append(worker)
        return worker

    def cpu_s(self):
        """What all threads of qmail-send have used, whatever else runs."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        used = stat.rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")

    def log(self):
        return (self.log_path.read_text(errors="replace")
                if self.log_path.exists() else "")

    def wait_log(self, text, count=1):
        wait_until(lambda: len(re.findall(text, self.log(), re.M)) >= count,
                   lambda: f"log line '{text}', log:\n{self.log()}")

    # -- mail

    def inject(self, recipients=(f"u@{DOMAIN}",), sender="s@example.net",
               body=b"Subject: x\n\nbody\n", code=0, envelope=None, **env):
        """Runs qmail-queue; gives the CompletedProcess."""
        if envelope is None:
            envelope = b"F" + os.fsencode(sender) + b"\0" + b"".join(
                b"T" + os.fsencode(name) + b"\0"
                for name in recipients) + b"\0"
        with tempfile.TemporaryFile() as mess, \
                tempfile.TemporaryFile() as envelope_file:
            mess.write(body)
            envelope_file.write(envelope)
            mess.flush()
            envelope_file.flush()
            mess.seek(0)
            envelope_file.seek(0)
            done = subprocess.run(
                [BIN / "qmail-queue"], stdin=mess, stdout=envelope_file,
                stderr=subprocess.PIPE, env=self.environment(**env),
                timeout=60 * SLOW)
        assert code is None or done.returncode == code, (
            f"exit code {done.returncode}\n{done.stderr}\n{self.log()}")
        return done

    # -- files

    def files(self, folder):
        """The paths of the files of a folder, by name."""
        found = {}
        for path in (self.dir / folder).rglob("*"):
            if path.is_file():
                found[path.name] = path
        return found

    def path(self, folder, number):
        if folder in ("mess", "info", "local", "remote"):
            return self.dir / folder / str(int(number) % 23) / str(number)
        return self.dir / folder / str(number)

    def wait_files(self, **counts):
        """Waits until the folders hold so many files."""
        wait_until(
            lambda: all(len(self.names(name)) == count
                        for name, count in counts.items()),
            lambda: f"{counts}; is "
            f"{ {name: sorted(self.names(name)) for name in FOLDERS} }\n"
            f"{self.log()}")

    def names(self, folder):
        """What has a file in a folder; of todo also what will have one."""
        if folder == "todo":
            return set(self.envelopes())
        return set(self.files(folder))

    def envelopes(self):
        """The envelopes of S4, by number: in the journal or in todo/."""
        found = journal.live(self.dir)
        for number, path in self.files("todo").items():
            with contextlib.suppress(FileNotFoundError):
                found[number] = path.read_bytes()
        return found

    def messages(self):
        """The numbers of messages that have files."""
        return set(self.files("mess"))

    def is_empty(self):
        """No message is left; one may move on while we look, from the journal
        to files, or from files to its report in the journal."""
        return not any(self.names(folder) for folder in (
            "todo", "info", "local", "remote", "bounce", "mess", "todo"))

    def wait_done(self):
        """Waits until no message is left."""
        wait_until(self.is_empty, lambda: f"no message is left; is "
                   f"{ {name: sorted(self.names(name)) for name in FOLDERS} }\n"
                   f"{self.log()}")

    def put_remembered(self, sender="s@example.net", local=(), remote=(),
                       body=b"Subject: held\n\nheld\n", age=0, info=None,
                       bounce=None):
        """Writes a message in S5, as another qmail-send left it; its id."""
        first = self.dir / "pid/by-test"
        first.write_bytes(body)
        number = first.stat().st_ino
        first.rename(self.path("mess", number))
        if info is None:
            info = b"F" + os.fsencode(sender) + b"\0"
        self.path("info", number).write_bytes(info)
        for name, lines in (("local", local), ("remote", remote)):
            if lines:
                self.path(name, number).write_bytes(
                    lines if isinstance(lines, bytes) else
                    b"".join(b"T" + os.fsencode(line) + b"\0"
                             for line in lines))
        if bounce is not None:
            self.path("bounce", number).write_bytes(bounce)
        for name in ("info", "local", "remote"):
            path = self.path(name, number)
            if path.exists():
                when = path.stat().st_mtime - age
                os.utime(path, (when, when))
        return number
