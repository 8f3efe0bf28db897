# SPDX-License-Identifier: ISC
"""A private PostgreSQL server for tests, from Debian's package."""
import os
import pwd
import shutil
import signal
import subprocess
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

    def sql(self, text, database="mqmail"):
        """Runs SQL by psql; the rows, each a list of texts."""
        done = subprocess.run(
            [self.bin / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v",
             "ON_ERROR_STOP=1", "-d", self.conninfo(database), "-c", text],
            capture_output=True, text=True, timeout=DEADLINE_S * 3)
        assert done.returncode == 0, done
        return [line.split("\t") for line in done.stdout.splitlines()]


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
