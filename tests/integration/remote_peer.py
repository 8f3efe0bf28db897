# SPDX-License-Identifier: ISC
"""Hosts that qmail-remote sends to, each a script of a test."""
import base64
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from node import BIN, SLOW


class Link:
    """One connection, from the host's side."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(20 * SLOW)
        self.buffer = b""
        self.commands = []  # all lines that came outside of a message
        self.message = None

    def fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        assert line.endswith(b"\r"), line
        self.commands.append(line[:-1].decode())
        return self.commands[-1]

    def say(self, *lines):
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def take(self, start, *answer):
        """The next command, which begins so, and the answer to it."""
        line = self.line()
        assert line.upper().startswith(start), (line, start)
        if answer:
            self.say(*answer)
        return line

    def take_bytes(self, count):
        while len(self.buffer) < count:
            self.fill()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def take_message(self, *answer):
        """As sent, with dots, without the final one."""
        while not (self.buffer.startswith(b".\r\n")
                   or b"\r\n.\r\n" in self.buffer):
            self.fill()
        if self.buffer.startswith(b".\r\n"):
            self.message, self.buffer = b"", self.buffer[3:]
        else:
            self.message, self.buffer = self.buffer.split(b"\r\n.\r\n", 1)
            self.message += b"\r\n"
        if answer:
            self.say(*answer)
        return self.message

    def hello(self, *extensions, verb="EHLO", greeting="220 peer ESMTP"):
        """The greeting (unless None), EHLO and its answer."""
        if greeting:
            self.say(greeting)
        lines = ["peer", *extensions]
        self.take(verb, *[f"250-{each}" for each in lines[:-1]],
                  f"250 {lines[-1]}")

    def transaction(self, recipients=1):
        """All of it accepted."""
        self.take("MAIL", "250 ok")
        for _ in range(recipients):
            self.take("RCPT", "250 ok")
        self.take("DATA", "354 go")
        return self.take_message("250 taken")

    def start_tls(self, pem, wants_certificate=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        if wants_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(pem)
        assert self.buffer == b""
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def at_end(self):
        """Nothing more comes but QUIT."""
        try:
            while True:
                assert self.line() == "QUIT"
        except (EOFError, OSError):
            return True

    def secret(self):
        """A line in base64."""
        return base64.b64decode(self.line())


class Peer:
    """Serves one connection after the other, each with the next script."""

    def __init__(self, *scripts):
        self.scripts = scripts
        self.links = []
        self.failures = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30 * SLOW)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)

    def serve(self):
        for script in self.scripts:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            link = Link(connection)
            self.links.append(link)
            try:
                script(link)
            except (EOFError, ConnectionError, ssl.SSLError) as error:
                link.ended = error
            except Exception as error:  # a test's failure, told at the end
                self.failures.append(error)
            link.socket.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(60 * SLOW)
        assert not self.thread.is_alive()
        if kind is None and self.failures:
            raise self.failures[0]


class Report:
    """What qmail-remote said."""

    def __init__(self, output):
        assert output.endswith(b"\0"), output
        reports = output[:-1].decode().split("\0")
        self.recipients, last = reports[:-1], reports[-1]
        self.verdict, self.text = last[0], last[1:]
        assert self.verdict in "KZD", output
        assert self.text.endswith("\n")
        assert all(report[0] in "rhs" for report in self.recipients)

    @property
    def letters(self):
        return "".join(each[0] for each in self.recipients) + self.verdict


def make_home(folder, timeout=10, **settings):
    control = Path(folder) / "control"
    control.mkdir(exist_ok=True)
    values = {"me": "mail.example.org", "timeoutremote": timeout,
              "timeoutconnect": timeout, **settings}
    for name, value in values.items():
        (control / name).write_text(f"{value}\n")
    return Path(folder)


def start_remote(home, port, recipients, sender, stdin, route="", secret="",
                 variable="SMTPROUTE"):
    environment = {"MQMAIL_HOME": str(home),
                   variable: f":[127.0.0.1]{route}:{port}{secret}"}
    return subprocess.Popen(
        [BIN / "qmail-remote", "example.net", sender, *recipients],
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment)


def send(home, port, message=b"Subject: x\n\nHello.\n",
         recipients=("a@example.net",), sender="s@example.org", **options):
    process = start_remote(home, port, recipients, sender, subprocess.PIPE,
                           **options)
    output, errors = process.communicate(message, timeout=60 * SLOW)
    assert (process.returncode, errors) == (0, b"")
    return Report(output)
