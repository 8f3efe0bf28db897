# SPDX-License-Identifier: ISC
"""A name server on loopback, nsd, with the zones of a test."""
import contextlib
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import ports
from node import wait_until

CONFIG = """
server:
  ip-address: 127.0.0.1
  port: {port}
  zonesdir: "{folder}"
  username: ""
  pidfile: ""
  xfrdfile: ""
  zonelistfile: "{folder}/zone.list"
  database: ""
  logfile: "{folder}/log"
remote-control:
  control-enable: no
"""

HEAD = """$ORIGIN {zone}.
$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
"""


class NameServer:
    """Serves zones, {"example.test": "lines of records"}, until stopped."""

    def __init__(self, zones):
        self.folder = Path(tempfile.mkdtemp(prefix="mqdns"))
        self.zones = zones
        self.port = ports.take()
        config = CONFIG.format(port=self.port, folder=self.folder)
        for zone, records in zones.items():
            config += f"zone:\n  name: {zone}\n  zonefile: {zone}.zone\n"
            (self.folder / f"{zone}.zone").write_text(
                HEAD.format(zone=zone) + records)
        (self.folder / "nsd.conf").write_text(config)
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/sbin/nsd", "-d", "-c", self.folder / "nsd.conf"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, lambda: "nsd answers: " + self.log())

    def answers(self):
        assert self.process.poll() is None, self.log()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.connect(("127.0.0.1", self.port))
            return True
        return False

    def log(self):
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text()
        return ""

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)

    def close(self):
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def stubs(self):
        """Lines of control/dnsstub."""
        return "".join(f"{zone}:127.0.0.1@{self.port}\n" for zone in self.zones)
