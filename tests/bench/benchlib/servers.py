# SPDX-License-Identifier: ISC
"""The servers that are compared, each in a folder of its own.

All take mail for load.DOMAIN, whose users are 1 to load.USERS, and deliver to
Maildirs below that folder.
"""

import glob
import contextlib
import json
import os
import pwd
import socket
import subprocess
import tempfile
import time

import postfix

from . import load
from .cpu import Processes


class ServerError(Exception):
    pass


def far_apart(folder):
    """Makes ext4 put what is made in it into places far from each other.

    Else the first server would get the inodes that others have freed lately,
    which takes a filesystem without a journal long.
    """
    subprocess.run(["chattr", "+T", folder], stderr=subprocess.DEVNULL,
                   check=False)


def new_folder(parent, name):
    """An empty folder, whose place does not come from its name."""
    folder = tempfile.mkdtemp(prefix=f"{name}-", dir=parent)
    os.chmod(folder, 0o755)
    return folder


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for_greeting(port, timeout_s=30):
    """Seconds until the server greets."""
    began = time.monotonic()
    while time.monotonic() - began < timeout_s:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                if sock.recv(3) == b"220":
                    sock.sendall(b"QUIT\r\n")
                    return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.005)
    raise ServerError(f"no greeting on port {port} within {timeout_s} s")


class Server:
    """folder is empty; preload: variables for its processes' environment."""

    # Its processes that need not have them: they make no mail durable.
    without_preload = ()

    def __init__(self, name, folder, preload):
        self.name, self.folder, self.preload = name, folder, preload
        self.port = None
        self.processes = None

    def start(self):
        self.port = free_port()
        self.processes = Processes(os.path.basename(self.folder))
        self.launch()
        wait_for_greeting(self.port)
        self.check_preload()

    def check_preload(self):
        """That each process has the library, which some drop on their way."""
        library = self.preload.get("LD_PRELOAD")
        if library is None:
            return
        for pid in self.processes.pids():
            try:
                with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                    name = file.read().strip()
                with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
                    is_there = library in file.read()
            except OSError:
                continue  # it has ended
            if not is_there and name not in self.without_preload:
                raise ServerError(f"{name} runs without '{library}'")

    def stop(self):
        """Ends it, also when it has only half started."""
        if self.processes is None:
            return
        try:
            self.halt()
        except (ServerError, subprocess.SubprocessError):
            pass  # what is left is ended below
        self.processes.end()
        self.processes = None

    def run(self, command, **options):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.STDOUT, timeout=120,
                              preexec_fn=self.processes.enter, **options)
        if done.returncode != 0:
            raise ServerError(f"{' '.join(command)}: {done.stdout.strip()}")
        return done.stdout


class Yardstick(Server):
    """One program, called with PORT QUEUES and what else it wants."""

    def __init__(self, name, folder, preload, command, news):
        """In the words of command {port} and {folder} are filled in.

        news is a pattern of the new/ folders, below the folder.
        """
        super().__init__(name, folder, preload)
        self.command, self.news = command, news
        self.process = None

    def launch(self):
        self.process = subprocess.Popen(
            [word.format(port=self.port, folder=self.folder)
             for word in self.command], preexec_fn=self.processes.enter,
            env={**os.environ, **self.preload})
        self.processes.root = self.process.pid

    def halt(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    def new_folders(self):
        return glob.glob(f"{self.folder}/{self.news}", recursive=True)


VIRTUAL_CF = """\
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = hash:{folder}/conf/users
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
"""


# What its documents name for such a load.
POSTFIX_TUNED_CF = """\
in_flow_delay = 0
default_process_limit = 200
virtual_destination_concurrency_limit = 100
initial_destination_concurrency = 20
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
"""


def relay_settings(domain, port):
    return (f"relay_domains = {domain}\n"
            f"relay_transport = smtp:[127.0.0.1]:{port}\n"
            "smtp_dns_support_level = disabled\n")


class Postfix(Server):
    """Debian's Postfix, as installed but for virtual users; logs to nobody."""

    def __init__(self, name, folder, preload, settings=""):
        super().__init__(name, folder, preload)
        self.settings = settings
        self.instance = None

    def launch(self):
        user = pwd.getpwnam("nobody")
        if self.preload:
            # Its programs drop all other variables.
            names = subprocess.check_output(
                ["postconf", "-d", "-h", "import_environment"],
                text=True).strip()
            self.settings += f"import_environment = {names}" + "".join(
                f" {name}={value}"
                for name, value in self.preload.items()) + "\n"
        self.instance = postfix.Postfix(
            self.folder, self.port, "bench.example.test", VIRTUAL_CF.format(
                folder=self.folder, domain=load.DOMAIN, uid=user.pw_uid,
                gid=user.pw_gid) + self.settings)
        self.instance.write("users", "".join(
            f"{i}@{load.DOMAIN} {i}/\n" for i in range(1, load.USERS + 1)))
        for i in range(1, load.USERS + 1):
            for part in ("", "/tmp", "/new", "/cur"):
                path = f"{self.folder}/mail/{i}{part}"
                os.makedirs(path, 0o700)
                os.chown(path, user.pw_uid, user.pw_gid)
        conf = self.instance.conf
        self.run(["postmap", "-c", conf, f"hash:{conf}/users"])
        self.run(self.instance.command("start"))

    def halt(self):
        if self.instance is not None:
            self.run(self.instance.command("stop"))

    def relay(self, domain, port):
        """Before it is started: takes mail for the domain, for that port."""
        self.settings += relay_settings(domain, port)

    def new_folders(self):
        return [f"{self.folder}/mail/{i}/new"
                for i in range(1, load.USERS + 1)]


class Mqmail(Server):
    """A node of tests/node: two queues, all checks on, users with a quota."""

    quota = "1000000000S"
    without_preload = ("svscan", "supervise", "multilog")

    def __init__(self, name, folder, preload, root, build):
        super().__init__(name, folder, preload)
        self.root, self.build = root, build
        self.environment = dict(os.environ, MQMAIL_BUILD=build,
                                MQMAIL_HOME=folder)
        self.maildirs = []
        self.route = None

    def relay(self, domain, port):
        """Before it is started: takes mail for the domain, for that port."""
        self.route = domain, port

    def node(self, *arguments):
        return self.run([f"{self.root}/tests/node", *arguments],
                        env=self.environment)

    def launch(self):
        self.node("up", self.folder, "--queues", "2", "--domain", load.DOMAIN,
                  "--init-only", *self.node_options())
        # tests/node makes it small; the default is measured.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.folder}/control/journalsize")
        if self.route is not None:
            domain, port = self.route
            with open(f"{self.folder}/control/rcpthosts", "a",
                      encoding="ascii") as file:
                file.write(f"{domain}\n")
            with open(f"{self.folder}/control/smtproutes", "w",
                      encoding="ascii") as file:
                file.write(f"{domain}:[127.0.0.1]:{port}\n")
        self.add_users()
        self.up()

    def add_users(self):
        users = "".join(f"{i}@{load.DOMAIN}\n"
                        for i in range(1, load.USERS + 1))
        done = subprocess.run(
            [f"{self.build}/bin/vadduser", "-n", "-i", "-q", self.quota],
            input=users, text=True, env=self.environment, check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise ServerError(f"vadduser: {done.stderr.strip()}")
        self.maildirs = [f"{home}/Maildir" for name, home in self.homes()
                         if name.isdigit()]

    def homes(self):
        """(name, folder) of each user."""
        with open(f"{self.folder}/domains/{load.DOMAIN}/vpasswd",
                  encoding="ascii") as file:
            return [(line.split(":")[0], line.split(":")[5])
                    for line in file]

    def node_options(self):
        # The only setting that differs from the default: 5,000 may connect.
        options = ["--env", "MAXDAEMONS=6000"]
        for name, value in self.preload.items():
            options += ["--env", f"{name}={value}"]
        return options

    def up(self):
        """Starts the node that is there."""
        answer = self.node("up", self.folder)
        values = dict(line.split("=", 1) for line in answer.splitlines()
                      if "=" in line)
        self.port = int(values["smtp"])

    def halt(self):
        self.node("down", self.folder)

    def new_folders(self):
        return [f"{maildir}/new" for maildir in self.maildirs]


class MqmailPgsql(Mqmail):
    """The same with its users in a PostgreSQL of its own, which is one of its
    processes, as lookupd is."""

    def node_options(self):
        return [*super().node_options(), "--store", "pgsql"]

    def add_users(self):
        self.up()  # the database, too
        super().add_users()

    def homes(self):
        users = json.loads(self.run(
            [f"{self.build}/bin/vuserinfo", "--json", "-D", load.DOMAIN],
            env=self.environment))
        return [(user["name"], user["dir"]) for user in users]
