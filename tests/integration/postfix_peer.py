# SPDX-License-Identifier: ISC
"""A Postfix of a test's own that sends what it takes to a node."""
import os
import re
import smtplib
import subprocess
import sys
import tempfile
from contextlib import contextmanager

import pytest

import ports
from node import ROOT, SLOW, wait_until

sys.path.append(str(ROOT / "tests"))

import postfix

HOSTNAME = "peer.example.net"
# debug_peer_list: the log has each line of its conversations with the node.
RELAY_CF = """\
relayhost = [127.0.0.1]:{port}
smtp_tls_security_level = may
smtp_dns_support_level = disabled
maillog_file_prefixes = {folder}
maillog_file = {folder}/log
debug_peer_list = 127.0.0.1
"""


class Peer(postfix.Postfix):
    def __init__(self, folder, relay_port, settings=""):
        super().__init__(folder, ports.take(), HOSTNAME, RELAY_CF.format(
            port=relay_port, folder=folder) + settings)

    def run(self, command):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, timeout=60 * SLOW)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{self.log()}"
        return done.stdout

    def start(self):
        self.run(self.command("start"))

    def stop(self):
        """By the pid of its master, which ends its children."""
        pid = int(self.read("queue/pid/master.pid"))
        self.run(self.command("stop"))
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"),
                   f"end of Postfix's master, {pid}")

    def read(self, name):
        with open(f"{self.folder}/{name}", encoding="utf-8",
                  errors="replace") as file:
            return file.read()

    def log(self):
        return self.read("log") if os.path.exists(
            f"{self.folder}/log") else ""

    def wait_log(self, pattern):
        return wait_until(lambda: re.search(pattern, self.log()),
                          lambda: f"/{pattern}/ in the log:\n{self.log()}")

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=30 * SLOW,
                            local_hostname="client.example.net")

    def send(self, sender, recipients, message, *options):
        """Gives it the bytes of one message."""
        with self.smtp() as client:
            client.sendmail(sender, recipients, message, list(options))

    def queued(self):
        """What postqueue says of the messages that it holds."""
        return self.run(["postqueue", "-c", self.conf, "-p"])

    def flush(self):
        """Tries all that waits now."""
        self.run(["postqueue", "-c", self.conf, "-f"])

    def said(self, since=0):
        """The lines that it and the node exchanged, as "> MAIL FROM:..."."""
        return [f"{arrow} {text}" for arrow, text in re.findall(
            r"postfix/smtp\[\d+\]: ([<>]) \S+?\]:\d+: (.*)",
            self.log()[since:])]


@contextmanager
def relaying(port, settings=""):
    """A running Postfix whose relayhost is the port; skips without one."""
    reason = postfix.missing()
    if reason is not None:
        pytest.skip(f"Postfix: {reason}")
    with tempfile.TemporaryDirectory(prefix="mq") as folder:
        os.chmod(folder, 0o755)  # for Postfix's own users
        peer = Peer(folder, port, settings)
        peer.start()
        try:
            yield peer
        finally:
            peer.stop()
