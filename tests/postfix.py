# SPDX-License-Identifier: ISC
"""Debian's Postfix, with configuration, queue and data in a folder of its own.

Whoever uses it starts and ends it: command("start"), command("stop").  It
listens on one port of 127.0.0.1 and, unless settings say otherwise, relays for
loopback and has no local users.
"""

import os
import pwd
import shutil
import subprocess

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {command_directory}
daemon_directory = {daemon_directory}
mail_owner = postfix
setgid_group = postdrop
myhostname = {hostname}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
"""

MASTER_CF = """\
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def missing():
    """Why it cannot run here; None if it can."""
    if shutil.which("postfix") is None:
        return "not installed"
    if os.getuid() != 0:
        return "needs root"
    return None


class Postfix:
    """One instance; folder exists, and users may go through it."""

    def __init__(self, folder, port, hostname, settings):
        self.folder, self.port = str(folder), port
        self.conf = f"{self.folder}/conf"
        for name in ("conf", "queue", "data"):
            os.mkdir(f"{self.folder}/{name}")
        owner = pwd.getpwnam("postfix")
        os.chown(f"{self.folder}/data", owner.pw_uid, owner.pw_gid)
        values = {"folder": self.folder, "hostname": hostname}
        for name in ("command_directory", "daemon_directory"):
            values[name] = subprocess.check_output(
                ["postconf", "-d", "-h", name], text=True).strip()
        self.write("main.cf", MAIN_CF.format(**values) + settings)
        self.write("master.cf", MASTER_CF.format(port=port))
        # Debian has its maps of other kinds in files that this names.
        if os.path.exists("/etc/postfix/dynamicmaps.cf"):
            shutil.copy("/etc/postfix/dynamicmaps.cf", self.conf)
            shutil.copytree("/etc/postfix/dynamicmaps.cf.d",
                            f"{self.conf}/dynamicmaps.cf.d")

    def write(self, name, text):
        """A file of the configuration."""
        with open(f"{self.conf}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def command(self, action):
        """The words of a postfix(1) command."""
        return ["postfix", "-c", self.conf, action]
