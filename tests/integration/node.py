# SPDX-License-Identifier: ISC
"""A node for a test, made by tests/node, and what a test asks of it."""
import contextlib
import json
import os
import shutil
import signal
import smtplib
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import journal
import ports

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MQMAIL_BUILD", ROOT / "build/plain")).resolve()
BIN = BUILD / "bin"
SLOW = 1 if BUILD.name == "plain" else 5  # sanitizers take their time
DEADLINE_S = 60 * SLOW
# The sanitizer cannot look for leaks in a program that is traced, or that has
# changed its user.
NO_LEAKS = {"ASAN_OPTIONS": ":".join(
    [*os.environ.get("ASAN_OPTIONS", "").split(":"), "detect_leaks=0"]
).strip(":")}
MEMORY = Path("/dev/shm")


def make_folder(in_memory):
    """A new folder: in memory for a test that waits for hundreds of syncs, or has
    many files, and whose matter is not the disk."""
    has_room = in_memory and os.access(MEMORY, os.W_OK) and \
        shutil.disk_usage(MEMORY).free > 1 << 30
    # Short: paths of sockets.
    folder = Path(tempfile.mkdtemp(prefix="mq",
                                   dir=MEMORY if has_room else None))
    folder.chmod(0o755)
    return folder


def wait_until(check, what, timeout=DEADLINE_S):
    """Calls check until it gives something true, and returns that.

    what says in a failure what did not happen; it may be a function.  A check
    that takes long is not made all the time: what it waits for runs, too.
    """
    end = time.monotonic() + timeout
    while True:
        begun = time.monotonic()
        value = check()
        if value:
            return value
        now = time.monotonic()
        if now >= end:
            text = what() if callable(what) else what
            pytest.fail(f"did not happen within {timeout} s: {text}")
        time.sleep(max(0.02, min(now - begun, 0.5)))


class Node:
    """A node made by tests/node in a folder of its own."""

    def __init__(self, folder, *options):
        self.home = Path(folder)
        self.up(*options)

    def up(self, *options):
        """Makes or starts it; what tests/node prints becomes `info`."""
        if not (self.home / "control/me").exists() and \
                "--port-base" not in options:
            options += ("--port-base", ports.take(9))
        done = subprocess.run(
            [ROOT / "tests/node", "up", self.home, *map(str, options)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=120 * SLOW)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        self.info = dict(line.split("=", 1) for line in lines)
        self.domain = self.info["domain"]
        self.queue_count = int(self.info["queues"])

    def down(self):
        done = subprocess.run(
            [ROOT / "tests/node", "down", self.home], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120 * SLOW)
        assert done.returncode == 0, done.stdout

    def end_services(self):
        """Tells all to end at once, before down(): supervise takes an order a
        second after it has started something, or two, and a test is over
        sooner."""
        names = {}
        for pid in self.processes():
            with contextlib.suppress(OSError):
                names[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
        # First those that would start the others again; multilog ends with
        # what it reads.
        for program, number in (("svscan", signal.SIGKILL),
                                ("supervise", signal.SIGKILL),
                                ("qmail-", signal.SIGTERM)):
            for pid, name in names.items():
                if name.startswith(program):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)

    @property
    def smtp_port(self):
        return int(self.info["smtp"])

    @property
    def smtps_port(self):
        return int(self.info["smtps"])

    @property
    def lmtp_port(self):
        return int(self.info["lmtp"])

    @property
    def control(self):
        return self.home / "control"

    def environment(self):
        """As the node's services have it."""
        environment = dict(os.environ)
        for file in (self.control / "global_vars").iterdir():
            environment[file.name] = file.read_text().split("\n")[0]
        return environment

    def run(self, program, *arguments, code=0, **options):
        """Runs a program of the build for this node; checks its exit code.

        code None: any.  Gives the CompletedProcess, with text output.
        """
        options.setdefault("env", self.environment())
        options.setdefault("text", True)
        done = subprocess.run(
            [BIN / program, *map(str, arguments)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=120 * SLOW, **options)
        assert code is None or done.returncode == code, (
            f"{program} {arguments}: exit code {done.returncode}\n"
            f"{done.stdout}{done.stderr}")
        return done

    def svctool(self, command, *arguments, code=0, **options):
        return self.run("svctool", command, *arguments, "--home", self.home,
                        code=code, **options)

    def status(self):
        """What svctool status --json says (whatever its exit code)."""
        return json.loads(self.svctool("status", "--json", code=None).stdout)

    def queue(self, name):
        """The status of one queue."""
        return next(queue for queue in self.status()["queues"]
                    if queue["name"] == name)

    def queue_dir(self, name):
        return self.home / "queue" / name

    def held(self, name):
        """Messages that a queue holds, by its files (docs/queue.md).

        The queue's health, in its status, is up to a second old.
        """
        folder = self.queue_dir(name)
        # In the order in which a message goes from one to the next.
        found = set(journal.live(folder))
        for pattern in ("todo/*", "info/*/*"):
            found |= {path.name for path in folder.glob(pattern)}
        return len(found)

    def backlog(self):
        """Messages that all queues hold."""
        return sum(self.held(folder.name)
                   for folder in (self.home / "queue").iterdir())

    def maildir(self, user):
        passwd = self.home / "domains" / self.domain / "vpasswd"
        for line in passwd.read_text().splitlines():
            fields = line.split(":")
            if fields[0] == user:
                return Path(fields[5]) / "Maildir"
        raise KeyError(user)

    def messages(self, user):
        """The files in new/, in the order of their names."""
        folder = self.maildir(user) / "new"
        return sorted(folder.iterdir()) if folder.exists() else []

    def wait_messages(self, user, count, timeout=DEADLINE_S):
        """Waits until there are count messages in new/; gives their bytes."""
        wait_until(lambda: len(self.messages(user)) >= count,
                   lambda: f"{count} messages for {user}\n{self.logs()}",
                   timeout)
        messages = [file.read_bytes() for file in self.messages(user)]
        assert len(messages) == count
        return messages

    def wait_empty(self, timeout=DEADLINE_S):
        """Waits until no queue holds a message."""
        wait_until(lambda: self.backlog() == 0,
                   lambda: f"empty queues\n{self.logs()}", timeout)

    def log(self, service):
        file = self.home / "log" / service / "current"
        return file.read_text(errors="replace") if file.exists() else ""

    def wait_log(self, service, text):
        """Waits for a line: it comes a moment after what it tells of."""
        wait_until(lambda: text in self.log(service),
                   lambda: f"'{text}' of {service}\n{self.logs()}")

    def reread_remote(self):
        """HUP for remote delivery, and waits until it has acted on it."""
        text = "settings were read again"
        before = self.log("remote").count(text)
        subprocess.run(["svc", "-h", self.home / "service/remote"],
                       check=True, timeout=60 * SLOW)
        wait_until(lambda: self.log("remote").count(text) > before, self.logs)

    def logs(self):
        """The ends of all logs, for a failure's text."""
        return "\n".join(
            f"--- {folder.name}\n{self.log(folder.name)[-2000:]}"
            for folder in sorted((self.home / "log").iterdir())
            if folder.is_dir())

    def smtp(self, port=None):
        """A connected smtplib.SMTP."""
        return smtplib.SMTP("127.0.0.1", port or self.smtp_port,
                            local_hostname="client.example.net",
                            timeout=30 * SLOW)

    def send(self, user="alice", subject="test", body="Hello.\n",
             sender="sender@example.net"):
        """One message by SMTP; gives its text as sent."""
        text = (f"From: <{sender}>\nTo: <{user}@{self.domain}>\n"
                f"Subject: {subject}\n\n{body}")
        with self.smtp() as client:
            client.sendmail(sender, [f"{user}@{self.domain}"], text)
        return text

    def inject(self, *recipients, queue=None, sender="sender@example.net",
               text="Subject: injected\n\nHello.\n"):
        """One message by qmail-queue (into this queue); its exit code."""
        environment = self.environment()
        if queue is not None:
            environment["QUEUEDIR"] = str(self.queue_dir(queue))
        with tempfile.TemporaryFile() as message, \
                tempfile.TemporaryFile() as envelope:
            message.write(text.encode())
            envelope.write(b"F%s\0%s\0" % (sender.encode(), b"".join(
                b"T%s\0" % recipient.encode() for recipient in recipients)))
            message.seek(0)
            envelope.seek(0)
            return subprocess.run([BIN / "qmail-queue"], stdin=message,
                                  stdout=envelope, stderr=subprocess.DEVNULL,
                                  env=environment, timeout=120).returncode

    def retry_until(self, check, what, timeout=DEADLINE_S):
        """Waits like wait_until, while deferred mail is tried at once."""
        services = [self.home / "service" / folder.name
                    for folder in (self.home / "queue").iterdir()]

        def look():
            if check():
                return True
            subprocess.run(["svc", "-a", *services], check=True, timeout=60)
            time.sleep(0.3)  # a try takes its time
            return False

        wait_until(look, lambda: f"{what}\n{self.logs()}", timeout)

    def processes(self):
        """Pids of processes that were started for this node."""
        found = []
        wanted = f"MQMAIL_HOME={self.home}".encode()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                values = (folder / "environ").read_bytes().split(b"\0")
                if wanted not in values:
                    continue
                state = (folder / "stat").read_text().rpartition(") ")[2][0]
                if state not in "ZX":
                    found.append(int(folder.name))
        return found
