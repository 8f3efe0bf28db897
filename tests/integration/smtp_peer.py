# SPDX-License-Identifier: ISC
"""A qmail-smtpd of a test's own on a node's queues, and a raw client."""
import os
import re
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager

from node import BIN, ROOT, SLOW, Node, make_folder, wait_until


@contextmanager
def shared_node(*options):
    """A node for all tests of a file, in memory."""
    base = make_folder(in_memory=True)
    node = None
    try:
        node = Node(base / "n", *options)
        yield node
    finally:
        if node is not None:
            node.end_services()
        subprocess.run([ROOT / "tests/node", "down", base / "n"],
                       stderr=sys.stderr, check=False, timeout=120 * SLOW)
        shutil.rmtree(base, ignore_errors=True)


class Reply:
    """The lines of one reply, each checked: short, ASCII, well-formed."""

    def __init__(self, lines):
        self.lines = []
        for line in lines:
            assert len(line) <= 512, line
            assert re.fullmatch(rb"[2-5][0-9][0-9][ -][ -~]*\r\n", line), line
            self.lines.append(line.decode()[:-2])
        assert len({line[:3] for line in self.lines}) == 1, self.lines
        self.code = int(self.lines[0][:3])
        self.text = "\n".join(line[4:] for line in self.lines)

    def __repr__(self):
        return "\n".join(self.lines)


class Client:
    """Says exactly what the test says."""

    def __init__(self, port, context=None, greet=True):
        self.socket = socket.create_connection(("127.0.0.1", port),
                                               timeout=30 * SLOW)
        if context is not None:
            self.socket = context.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")
        if greet:
            assert self.read().code == 220

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.close()

    def write(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else
                            data.encode())

    def read(self):
        lines = []
        while True:
            line = self.file.readline(2000)
            assert line, f"connection closed after {lines}"
            lines.append(line)
            if line[3:4] != b"-":
                return Reply(lines)

    def say(self, line):
        # One write: the second of two would wait for the first one's ACK.
        self.write((line if isinstance(line, bytes) else line.encode()) +
                   b"\r\n")
        return self.read()

    def ok(self, line):
        reply = self.say(line)
        assert 200 <= reply.code < 400, f"{line}: {reply}"
        return reply

    def hello(self, verb="EHLO"):
        return self.ok(f"{verb} client.example.net")

    def begin(self, *recipients, sender="sender@example.net", verb="EHLO"):
        """Up to DATA."""
        self.hello(verb)
        self.ok(f"MAIL FROM:<{sender}>")
        for recipient in recipients or ("alice@example.test",):
            self.ok(f"RCPT TO:<{recipient}>")

    def data(self, message):
        assert self.say("DATA").code == 354
        self.write(message)
        return self.read()

    def start_tls(self, context=None):
        assert self.say("STARTTLS").code == 220
        self.file.close()
        self.socket = (context or any_certificate()).wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")

    def is_closed(self):
        """Waits for the end of the connection; nothing may come before."""
        try:
            rest = self.file.read()
        except ConnectionResetError:
            return True
        assert rest == b"", rest
        return True


def any_certificate():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Smtpd:
    """One qmail-smtpd --listen; `log` has what it wrote so far."""

    def __init__(self, node, *options, port=0, files=None, **env):
        # Who waits for a log line need not wait longer.
        environment = node.environment() | {
            "MQMAIL_TEST_TIMES": "LOG_TICK_MS=50 " + env.pop("times", "")}
        for name, value in env.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = str(value)

        def limit():
            if files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        self.log = ""
        self.process = subprocess.Popen(
            [BIN / "qmail-smtpd", "--listen", f"127.0.0.1:{port}", *options],
            env=environment, stderr=subprocess.PIPE, text=True,
            errors="replace", preexec_fn=limit)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = int(self.wait_log(r"listening on 127\.0\.0\.1:(\d+)")[1])

    def _read(self):
        for line in self.process.stderr:
            self.log += line

    def wait_log(self, pattern):
        def found():
            assert self.process.poll() is None or re.search(
                pattern, self.log), f"it ended:\n{self.log}"
            return re.search(pattern, self.log)

        return wait_until(found, lambda: f"/{pattern}/ in the log:\n{self.log}")

    def client(self, **options):
        return Client(self.port, **options)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self):
        """TERM; gives the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(60 * SLOW)
        self.reader.join(10 * SLOW)
        self.process.stderr.close()
        return code


@contextmanager
def smtpd(node, *options, **env):
    """A server for one test; it must end in good order (sanitizers, too)."""
    server = Smtpd(node, *options, **env)
    try:
        yield server
    finally:
        code = server.stop()
    assert code == 0, server.log
