# SPDX-License-Identifier: ISC
"""A private PostgreSQL server for tests, from Debian's package."""
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import ports
from node import BIN, DEADLINE_S, make_folder, wait_until

USERS = ("postgres", "nobody")  # whom root lets it run as


def programs():
    """The folder of the newest server's programs; None: there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"),
                   key=lambda path: float(path.parent.parent.name))
    return found[-1].parent if found else None


def user():
    """The unprivileged user that it runs as."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    for name in USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError(f"none of the users {USERS} is there")


class Postgres:
    """A server of its own folder, socket and port; ended by stop().

    The database is "mqmail", the superuser "mqmail"; both need no password, by
    the socket and by the port.
    """

    @classmethod
    def standby_of(cls, primary):
        """One that follows a primary, until pg_promote()."""
        return cls("hot_standby = on\nhot_standby_feedback = on", primary)

    def __init__(self, settings="", primary=None):
        self.bin = programs()
        self.user = user()
        self.folder = make_folder(in_memory=True)
        self.data = self.folder / "data"
        self.port = ports.take(1)
        self.process = None
        self.count = 0  # databases of fresh_database()
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        if primary is not None:
            self.command("pg_basebackup", "-D", self.data, "-R", "-X",
                         "stream", "-c", "fast", "--no-sync", "-h",
                         primary.folder, "-p", primary.port, "-U", "mqmail")
            self.configure(settings)
            self.start()
            return
        self.command("initdb", "-D", self.data, "-U", "mqmail", "-A", "trust",
                     "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.configure(settings)
        self.start()
        self.sql("CREATE DATABASE mqmail", database="postgres")

    def configure(self, settings):
        with open(self.data / "postgresql.conf", "a", encoding="utf8") as conf:
            conf.write(
                f"unix_socket_directories = '{self.folder}'\n"
                "listen_addresses = '127.0.0.1'\n"
                f"port = {self.port}\n"
                "fsync = off\nfull_page_writes = off\nmax_connections = 50\n"
                f"shared_buffers = 32MB\n{settings}\n")

    def as_user(self):
        """How subprocess starts something as the server's user."""
        if os.geteuid() != 0:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid,
                "extra_groups": []}

    def command(self, name, *arguments):
        done = subprocess.run([self.bin / name, *map(str, arguments)],
                              capture_output=True, text=True, cwd=self.folder,
                              timeout=DEADLINE_S * 6, **self.as_user())
        assert done.returncode == 0, done

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data], stdout=log,
                stderr=log, cwd=self.folder, start_new_session=True,
                **self.as_user())
        wait_until(self.is_ready, self.log)

    def is_ready(self):
        return subprocess.run(
            [self.bin / "pg_isready", "-q", "-h", self.folder, "-p",
             str(self.port)], check=False).returncode == 0

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def stop(self):
        """Ends it, whatever clients do; start() begins it again."""
        if self.process is not None:
            self.send(signal.SIGCONT)
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(DEADLINE_S)
            self.process = None

    def pids(self):
        """The server and its children."""
        found = [self.process.pid]
        children = Path(f"/proc/{found[0]}/task/{found[0]}/children")
        found += [int(word) for word in children.read_text().split()]
        return found

    def send(self, number):
        """A signal to the server and each of its children, by pid."""
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def pause(self):
        self.send(signal.SIGSTOP)

    def go_on(self):
        self.send(signal.SIGCONT)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def conninfo(self, database="mqmail", by_port=False):
        """A connection string, by the socket or the port."""
        host = "127.0.0.1" if by_port else self.folder
        return f"host={host} port={self.port} dbname={database} user=mqmail"

    def sql(self, text, database="mqmail", timeout=DEADLINE_S * 3):
        """Runs SQL by psql; the rows, each a list of texts."""
        done = subprocess.run(
            [self.bin / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v",
             "ON_ERROR_STOP=1", "-d", self.conninfo(database), "-c", text],
            capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done
        return [line.split("\t") for line in done.stdout.splitlines()]

    def pooler(self):
        """A pgbouncer before it; whoever makes it ends it."""
        return Pooler(self)

    def fresh_database(self, home):
        """A database with an empty schema for a node's folder, which it makes the
        node's store; the connection string."""
        self.count += 1
        name = f"n{self.count}"
        if self.count == 1:
            self.sql("CREATE DATABASE made", database="postgres")
            (home / "control/pgsql").write_text(self.conninfo("made") + "\n")
            done = subprocess.run(
                [BIN / "svctool", "db", "init", "--home", home],
                capture_output=True, text=True, timeout=DEADLINE_S)
            assert done.returncode == 0, done
        self.sql(f"CREATE DATABASE {name} TEMPLATE made", database="postgres")
        (home / "control/pgsql").write_text(self.conninfo(name) + "\n")
        (home / "control/pgsql").chmod(0o640)
        (home / "control/userstore").write_text("pgsql\n")
        return self.conninfo(name)


class Pooler:
    """A pgbouncer that gives a server to each transaction anew."""

    PROGRAM = Path("/usr/sbin/pgbouncer")

    def __init__(self, server):
        self.server = server
        self.folder = Path(tempfile.mkdtemp(prefix="mqpb"))
        self.port = ports.take(1)
        (self.folder / "users").write_text('"mqmail" ""\n')
        self.write(server)
        for path in (self.folder, *self.folder.iterdir()):
            if os.geteuid() == 0:
                shutil.chown(path, server.user)
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.PROGRAM, self.folder / "ini"], stdout=log, stderr=log,
                cwd=self.folder, start_new_session=True, **server.as_user())
        wait_until(lambda: self.leads_to() == str(server.port),
                   lambda: (self.folder / "log").read_text())

    def write(self, server):
        (self.folder / "ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={server.port}\n"
            "[pgbouncer]\npool_mode = transaction\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            f"unix_socket_dir =\nauth_type = trust\n"
            f"auth_file = {self.folder}/users\nserver_login_retry = 1\n")

    def lead_to(self, server):
        """Clients' sessions go on, with this server."""
        self.write(server)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.leads_to() == str(server.port),
                   "pgbouncer leads to the other server")

    def leads_to(self):
        done = subprocess.run(
            [self.server.bin / "psql", "-X", "-A", "-t", "-d",
             self.conninfo(), "-c", "SELECT inet_server_port()"],
            capture_output=True, text=True, timeout=DEADLINE_S)
        return done.stdout.strip()

    def conninfo(self, database="mqmail"):
        return (f"host=127.0.0.1 port={self.port} dbname={database} "
                "user=mqmail")

    def remove(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_S)
        shutil.rmtree(self.folder, ignore_errors=True)
