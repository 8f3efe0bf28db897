# SPDX-License-Identifier: ISC
"""adminsrv, with a database and users, and a client that says what it likes."""
import os
import re
import signal
import socket
import ssl
import subprocess

import ports
from node import BIN, DEADLINE_S, SLOW, wait_until

PASSWORD = "pass word\"1"


class AdminServer:
    """adminsrv, on a node's folders whose users are in the database."""

    def __init__(self, path, postgres, **settings):
        self.path, self.postgres = path, postgres
        for name in ("control", "users", "domains", "run", "tls"):
            (path / name).mkdir(parents=True)
        (path / "run/adminlogins").touch()
        self.port = ports.take(2)
        self.api = self.port + 1
        self.control = path / "control"
        self.env = dict(os.environ, MQMAIL_HOME=str(path), MQMAIL_USER="root")
        (self.control / "me").write_text("mail.example.test\n")
        self.conninfo = postgres.fresh_database(path)
        self.database = self.conninfo.split("dbname=")[1].split()[0]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             "/CN=mail.example.test", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", path / "tls/key.pem", "-out", path / "tls/cert.pem"],
            check=True, stderr=subprocess.DEVNULL, timeout=60 * SLOW)
        (path / "tls/servercert.pem").write_text(
            (path / "tls/cert.pem").read_text() +
            (path / "tls/key.pem").read_text())
        for name, value in {"logindelay": 0,
                            "adminlisten": f"127.0.0.1:{self.port}",
                            "adminapi": f"127.0.0.1:{self.api}",
                            **settings}.items():
            (self.control / name).write_text(f"{value}\n")
        self.process = None

    def run(self, program, *args, code=0, stdin="", env=None):
        done = subprocess.run([BIN / program, *map(str, args)], input=stdin,
                              text=True, capture_output=True,
                              env={**self.env, **(env or {})},
                              timeout=120 * SLOW)
        assert done.returncode == code, (program, args, done)
        return done.stdout + done.stderr

    def sql(self, text):
        return self.postgres.sql(text, self.database)

    def add_admin(self, name, *rights, domains=None, password=PASSWORD):
        """rights: programs, or (program, pattern)."""
        self.run("mgmtpass", "-u", name, "-a", "-", stdin=password + "\n")
        for right in rights:
            program, pattern = (right, "*") if isinstance(right, str) else right
            self.run("vpriv", "-i", name, program, pattern)
        if domains:
            self.run("mgmtpass", "-u", name, "-D", domains)

    def start(self, times=""):
        self.log_file = open(self.path / "log.txt", "ab")
        self.process = subprocess.Popen(
            [BIN / "adminsrv"], env={**self.env, "MQMAIL_TEST_TIMES": times},
            stderr=self.log_file, start_new_session=True)
        wait_until(lambda: "Ready" in self.log() or self.listens(),
                   self.log)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            assert self.process.poll() is None, self.log()
            return False

    def log(self):
        return (self.path / "log.txt").read_text(errors="replace")

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(DEADLINE_S) in (0, -signal.SIGTERM), \
                self.log()
        finally:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.log_file.close()

    def client(self, *args, user="root", password=PASSWORD, command="",
               stdin="", env=None):
        """What adminclient says, and its exit status."""
        return subprocess.run(
            [BIN / "adminclient", "-h", "127.0.0.1", "-p", str(self.port),
             "-u", user, "-C", self.path / "tls/cert.pem", *args, "-c",
             command], input=stdin, text=True, capture_output=True,
            env={**self.env, "ADMIN_PASS": password, **(env or {})},
            timeout=120 * SLOW)

    def audit(self):
        return self.sql("SELECT who, from_ip, what, args, result FROM mq.audit"
                        " ORDER BY id")


class RawClient:
    """A connection, with what comes in each TLS record of its own."""

    def __init__(self, server):
        context = ssl.create_default_context(
            cafile=server.path / "tls/cert.pem")
        self.socket = context.wrap_socket(
            socket.create_connection(("127.0.0.1", server.port), DEADLINE_S),
            server_hostname="localhost")
        self.socket.suppress_ragged_eofs = False

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def records(self):
        """All until the end; recv() never joins two records."""
        found = []
        while data := self.socket.recv(65536):
            found.append(data)
        return found

    def expect(self, wanted):
        got = b""
        while len(got) < len(wanted):
            data = self.socket.recv(len(wanted) - len(got))
            if not data:
                break
            got += data
        assert got == wanted

    def log_in(self, user="root", password=PASSWORD):
        self.expect(b"Login: ")
        self.send(user.encode() + b"\n")
        self.expect(b"Password: ")
        self.send(password.encode() + b"\n")
        self.expect(b"OK\n")

    def status(self):
        """What a command said, and its status."""
        data = b"".join(self.records())
        match = re.fullmatch(rb"(.*)RETURNSTATUS(\d+)", data, re.DOTALL)
        assert match, data
        return match[1].decode(), int(match[2])
