# SPDX-License-Identifier: ISC
"""An Exim of a test's own, beside a node.

It takes all mail from loopback and sends it to the node; local parts at
peer.test become those of the node's domain.
"""
import os
import pwd
import re
import shutil
import smtplib
import subprocess
import tempfile
from contextlib import contextmanager

import pytest

import ports
from node import SLOW, wait_until

HOSTNAME = "exim.example.net"
USER = "Debian-exim"  # Debian's Exim does not run without
# Where tests/packages unpacks it: its package conflicts with Postfix's.
UNPACKED = "/var/lib/mqmail-tests/exim4/usr/sbin/exim4"

CONFIG = """\
exim_path = {program}
primary_hostname = {hostname}
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/pid
log_selector = +all_parents +smtp_protocol_error +tls_cipher +received_recipients
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment =
deliver_drop_privilege
message_size_limit = 20M
accept_8bitmime
dsn_advertise_hosts = {dsn}
smtputf8_advertise_hosts = *
chunking_advertise_hosts = {chunking}
tls_advertise_hosts = *
tls_certificate = {pem}
tls_privatekey = {pem}
acl_smtp_mail = accept
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = accept
{settings}
begin acl
acl_rcpt:
  deny local_parts = no
       message = 5.1.1 nobody of that name
  defer local_parts = later
       message = 4.2.1 come again
  accept
begin routers
to_node:
  driver = redirect
  domains = peer.test
  data = ${{quote_local_part:$local_part}}@{domain}
send:
  driver = manualroute
  transport = smtp
  route_list = * 127.0.0.1
  self = send
begin transports
smtp:
  driver = smtp
  port = {relay_port}
  helo_data = {hostname}
  hosts_try_chunking = {chunking}
  {smtp}
begin retry
* * F,1h,1s
"""


def find_exim():
    for program in (shutil.which("exim4"), UNPACKED):
        if program is not None and os.path.exists(program):
            return program
    return None


class Exim:
    def __init__(self, folder, node, chunking=True, dsn=True, settings="",
                 smtp="", runs=True):
        self.folder, self.port = folder, ports.take()
        self.program = find_exim()
        self.config = f"{folder}/config"
        owner = pwd.getpwnam(USER)
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/spool")
        for name in (folder, f"{folder}/spool"):
            os.chown(name, owner.pw_uid, owner.pw_gid)
        pem = f"{folder}/pem"
        shutil.copy(node.home / "tls/servercert.pem", pem)
        os.chown(pem, owner.pw_uid, owner.pw_gid)
        with open(self.config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(
                program=self.program, hostname=HOSTNAME, folder=folder,
                port=self.port, relay_port=node.smtp_port, pem=pem,
                domain=node.domain, chunking="*" if chunking else ":",
                dsn="*" if dsn else "", settings=settings, smtp=smtp))
        self.process = subprocess.Popen(
            [self.program, "-C", self.config, "-bdf",
             *(["-q1s"] if runs else [])],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_until(self.is_up, lambda: f"Exim\n{self.log()}")

    def is_up(self):
        assert self.process.poll() is None, self.process.stdout.read()
        try:
            with self.smtp():
                return True
        except OSError:
            return False

    def log(self):
        try:
            with open(f"{self.folder}/mainlog", encoding="utf-8",
                      errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern):
        return wait_until(lambda: re.search(pattern, self.log()),
                          lambda: f"/{pattern}/ in the log:\n{self.log()}")

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=30 * SLOW,
                            local_hostname="client.example.net")

    def send(self, sender, recipients, message, *options):
        with self.smtp() as client:
            client.sendmail(sender, recipients, message, list(options))

    def queued(self):
        """The ids of the messages that it holds."""
        return [name[:-2] for _, _, names in os.walk(
            f"{self.folder}/spool/input") for name in names
            if name.endswith("-H")]

    def run(self, *options):
        """Another of its processes, to its end."""
        subprocess.run([self.program, "-C", self.config, *options],
                       check=True, timeout=60 * SLOW)

    def stop(self):
        """The daemon, and what it started: all have its config's name."""
        self.process.terminate()
        self.process.wait(20 * SLOW)
        self.process.stdout.close()

        def left():
            found = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as file:
                        if self.config.encode() in file.read().split(b"\0"):
                            found.append(pid)
                except OSError:
                    pass
            return found
        wait_until(lambda: left() == [], lambda: f"the end of {left()}")


@contextmanager
def exim(node, **options):
    """A running Exim that relays to the node; skips without one.

    chunking and dsn: it has these; settings are lines of its configuration, smtp
    one of its transport's; with runs it looks each second for what waits.
    """
    if find_exim() is None:
        pytest.skip("Exim: not installed")
    if os.getuid() != 0:
        pytest.skip("Exim: needs root")
    with tempfile.TemporaryDirectory(prefix="mq") as folder:
        peer = Exim(folder, node, **options)
        try:
            yield peer
        finally:
            peer.stop()
