# SPDX-License-Identifier: ISC
"""One queue of its own, and qmail-send's peers: a delivery worker whose answers
a test chooses, and an intake client that may misbehave.

Packets are those of queue/job.h and queue/intake_packet.h (docs/protocol.md).
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
from pathlib import Path

import journal
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


class Job:
    """One delivery that qmail-send asked for."""

    def __init__(self, packet, message):
        kind, self.delivery, self.message_id = struct.unpack_from(
            "<BIQ", packet)
        assert kind == 2
        at = 13
        fields = []
        for form in "tttnntttt":
            if form == "n":
                fields.append(struct.unpack_from("<I", packet, at)[0])
                at += 4
                continue
            length, = struct.unpack_from("<I", packet, at)
            fields.append(os.fsdecode(packet[at + 4:at + 3 + length]))
            at += 4 + length
        (self.sender, self.recipient, self.user, self.uid, self.gid, self.home,
         self.dash, self.extension, self.header) = fields
        self.message = message


class Worker(threading.Thread):
    """Answers each job with what decide(job) says: (outcome, text).

    None keeps the job until answer() is called for it.
    """

    def __init__(self, queue, decide=lambda job: ("K", "did 1+0+0\n"),
                 channel="v"):
        super().__init__(daemon=True)
        self.decide = decide
        self.jobs = []
        self.held = []
        self.connection = connect(queue.dir / "lock/workers")
        self.connection.settimeout(None)
        self.connection.send(struct.pack("<BIB", 1, 2, ord(channel)))
        self.start()

    def run(self):
        while True:
            try:
                packet, fds, _, _ = socket.recv_fds(self.connection, 60000, 1)
            except OSError:
                return
            if not packet:
                return
            with os.fdopen(fds[0], "rb") as file:
                job = Job(packet, file.read())
            said = self.decide(job)
            if said is None:
                self.held.append(job)
            else:
                self.answer(job, *said)
            self.jobs.append(job)

    def answer(self, job, outcome, text):
        if job in self.held:
            self.held.remove(job)
        self.connection.send(struct.pack("<BIB", 3, job.delivery,
                                         ord(outcome)) + _text(text))

    def wait_jobs(self, count):
        wait_until(lambda: len(self.jobs) >= count,
                   lambda: f"{count} jobs, had {len(self.jobs)}")
        return self.jobs[:count]

    def recipients(self):
        return [job.recipient for job in self.jobs]

    def close(self):
        self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()
        self.join(DEADLINE_S)


def envelope_record(sender, recipients):
    """Its F and T part, as the intake wants it."""
    return b"F" + os.fsencode(sender) + b"\0" + b"".join(
        b"T" + os.fsencode(name) + b"\0" for name in recipients)


class Intake:
    """A client of lock/intake."""

    def __init__(self, queue):
        self.connection = connect(queue.dir / "lock/intake")

    def open(self, version=2):
        """The id and the descriptor; asserts that there is one."""
        self.connection.send(struct.pack("<BI", 1, version))
        packet, fds, _, _ = socket.recv_fds(self.connection, 2048, 1)
        assert packet[0] == 2, packet
        return struct.unpack_from("<Q", packet, 1)[0], fds[0]

    @staticmethod
    def commit_packet(size, sender="s@example.net", recipients=()):
        """A COMMIT with the whole envelope."""
        record = envelope_record(sender, recipients)
        return struct.pack("<BQQBI", 5, size, 1, 0, len(record)) + record

    def commit(self, size, sender="s@example.net", recipients=(),
               record=None):
        """The code and text of the answer."""
        if record is None:
            record = envelope_record(sender, recipients)
        while len(record) > 40000:
            self.connection.send(struct.pack("<BI", 4, 40000) +
                                 record[:40000])
            record = record[40000:]
        self.connection.send(struct.pack("<BQQBI", 5, size, 1, 0,
                                         len(record)) + record)
        return self.committed()

    def committed(self):
        packet = self.connection.recv(2048)
        assert packet[0] == 6, packet
        _, code, length = struct.unpack_from("<QII", packet, 1)
        return code, packet[17:16 + length].decode()

    def close(self):
        self.connection.close()


class Queue:
    """A home with one queue and the virtual domain example.test."""

    def __init__(self, home, queue_dir=None):
        self.home = Path(home)
        self.dir = Path(queue_dir or self.home / "queue/queue1")
        self.log_path = self.home / "send.log"
        self.process = None
        self.workers = []
        self.user = pwd.getpwuid(os.getuid()).pw_name
        for name in ("control", "users", "run"):
            (self.home / name).mkdir(exist_ok=True)
        self.set("me", "mail.example.test")
        self.set("locals", "")
        self.set("virtualdomains", f"{DOMAIN}:{DOMAIN}")
        self.set("min_free", "0")
        self.assign(f"+{DOMAIN}-:{DOMAIN}:{os.getuid()}:{os.getgid()}:"
                    f"{self.home}:-::\n.\n")
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

    def start(self, *wrapper, **env):
        ran = self.log().count("running\n")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, BIN / "qmail-send", self.dir],
                env=self.environment(**env), stderr=log, stdout=log,
                stdin=subprocess.DEVNULL)
        wait_until(
            lambda: self.log().count("running\n") > ran or
            self.process.poll() is not None,
            lambda: f"qmail-send runs\n{self.log()}")
        assert self.process.poll() is None, self.log()

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Ends qmail-send and the workers; its exit code."""
        if self.process is None:
            return None
        self.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self.process = None
        for worker in self.workers:
            worker.close()
        self.workers = []
        return code

    def worker(self, *arguments, **options):
        worker = Worker(self, *arguments, **options)
        self.workers.append(worker)
        return worker

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

    def spares(self):
        """The numbers of spare pairs."""
        return {name[:-2] for name in self.files("pid")
                if name.endswith(".e")} - set(journal.live(self.dir))

    def messages(self):
        """The numbers of messages: mess/ without spare files."""
        return set(self.files("mess")) - self.spares()

    def wait_done(self):
        """Waits until no message is left."""
        self.wait_files(todo=0, info=0, local=0, remote=0, bounce=0)
        wait_until(lambda: not self.messages(),
                   lambda: f"no message files\n{self.log()}")

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
