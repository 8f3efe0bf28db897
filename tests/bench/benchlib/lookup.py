# SPDX-License-Identifier: ISC
"""Users in PostgreSQL, asked for by 50 clients of lookupd.

BENCH_USERS (default 100000) users in a 200th as many domains.  Once each when
nothing is remembered (cold), then from memory, one question in a packet and 16;
the memory of a user, and the snapshot.
"""

import contextlib
import getpass
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = ("lookup",)
USERS = int(os.environ.get("BENCH_USERS", "100000"))
CLIENTS, SECONDS = 50, 5
COLD_MOST = 200_000  # of them are asked for when nothing is remembered
FILL_S = 60 + USERS // 5000


def _fill(database, root, folder):
    """By COPY, as a provider's first import would."""
    domains = max(1, USERS // 200)
    for schema in sorted((root / "lookupd/schema").glob("*.sql")):
        database.command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d",
                         database.conninfo(), "-f", schema)
    file = Path(database.folder) / "users"
    with open(file, "w", encoding="ascii") as out:
        for i in range(USERS):
            domain = i % domains
            out.write(f"{domain + 1}\tu{i}\t$6$saltsalt$"
                      f"{'h' * 86}\t/var/mqmail/domains/d{domain}.test/"
                      f"{i % 62}/u{i}\t52428800S\n")
    file.chmod(0o644)
    database.sql(
        "SET session_replication_role = replica; "
        "INSERT INTO mq.domains (name) SELECT 'd' || n || '.test' FROM "
        f"generate_series(0, {domains - 1}) n; "
        "COPY mq.users (domain_id, name, hash, dir, quota) "
        f"FROM '{file}'", timeout=FILL_S)
    file.unlink()
    database.sql("VACUUM ANALYZE", timeout=FILL_S)
    return domains


class Lookupd:
    def __init__(self, build, folder, conninfo):
        self.build, self.folder = build, folder
        for name in ("control", "run/lookupd", "users"):
            os.makedirs(f"{folder}/{name}")
        for name, value in {"me": "bench.test", "userstore": "pgsql",
                            "pgsql": conninfo,
                            "lookupcache": 4 << 30}.items():
            Path(folder, "control", name).write_text(f"{value}\n")
        self.environment = {**os.environ, "MQMAIL_HOME": folder,
                            "MQMAIL_USER": getpass.getuser()}
        self.start()

    def start(self):
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [f"{self.build}/bin/lookupd"], stderr=subprocess.PIPE,
            env=self.environment, text=True)
        for line in self.process.stderr:
            if line.endswith("ready\n"):
                return
        raise OSError("lookupd does not start")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)

    def stats(self):
        done = subprocess.run(
            [f"{self.build}/bin/lookup", "--json", "stats"], check=True,
            stdout=subprocess.PIPE, env=self.environment)
        return json.loads(done.stdout)

    def wait(self, check):
        while not check(self.stats()):
            time.sleep(0.1)

    def ask(self, seconds, users, domains, batch=1):
        """Answers a second."""
        done = subprocess.run(
            [f"{self.build}/tests/bench/lookups", f"{self.folder}/run/lookup",
             str(CLIENTS), str(seconds), "0", str(users), str(domains),
             str(batch)], check=True, stdout=subprocess.PIPE, text=True)
        count, took, missing = done.stdout.split()
        if int(missing):
            raise OSError(f"{missing} of {count} users were not found")
        return int(count) / max(float(took), 0.001)

    def cpu(self):
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(
            ")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text(
        ).splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0


def _figures(build, root, folder, postgres, say):
    database = postgres.Postgres("shared_buffers = 512MB")
    with contextlib.ExitStack() as ends:
        ends.callback(database.remove)
        say(f"{USERS} users into PostgreSQL")
        domains = _fill(database, root, folder)
        lookupd = Lookupd(build, folder, database.conninfo())
        ends.callback(lambda: lookupd.process.poll() is None and
                      lookupd.stop())
        lookupd.wait(lambda stats: "snapshot" in stats and
                     stats["database"] == "up")
        figures = {"users": USERS, "domains": domains,
                   "snapshot_s":
                   lookupd.stats()["snapshot"]["took_ms"] / 1000,
                   "snapshot_bytes": sum(
                       file.stat().st_size for file in
                       Path(folder, "run/lookupd").iterdir())}
        empty = lookupd.memory()
        cold = min(USERS, COLD_MOST)
        figures["cold"] = lookupd.ask(0, cold, domains)
        before = lookupd.stats()["cached"]
        figures["bytes_a_user"] = (lookupd.memory() - empty) / before
        lookupd.ask(0, USERS, domains, 16)
        used = lookupd.cpu()
        figures["cached"] = lookupd.ask(SECONDS, USERS, domains)
        figures["cached_us"] = (lookupd.cpu() - used) * 1e6 / (
            figures["cached"] * SECONDS)
        figures["cached_16"] = lookupd.ask(SECONDS, USERS, domains, 16)
        database.stop()
        lookupd.stop()
        lookupd.start()
        lookupd.ask(0, 1, domains)
        figures["start_ms"] = (time.monotonic() - lookupd.began) * 1000
        figures["snapshot"] = lookupd.ask(SECONDS, USERS, domains)
    return figures


def measure(build, root, folder, say):
    """The lines to print, and the figures."""
    sys.path.insert(1, f"{root}/tests/integration")
    import postgres  # pylint: disable=import-outside-toplevel
    if postgres.programs() is None:
        raise OSError("no PostgreSQL is installed")
    home = tempfile.mkdtemp(prefix="lookup-", dir=folder)
    figures = _figures(build, Path(root), home, postgres, say)
    return [
        f"lookup      {figures['users']} users in {figures['domains']} "
        f"domains, {CLIENTS} clients: {figures['cached']:.0f} answers/s from "
        f"memory, {figures['cached_us']:.1f} us of lookupd's CPU each ({figures['cached_16']:.0f} with 16 in a packet), "
        f"{figures['cold']:.0f} cold, {figures['snapshot']:.0f} from the "
        "snapshot",
        f"            {figures['bytes_a_user']:.0f} bytes a user remembered; "
        f"snapshot of {figures['snapshot_bytes'] / 1e6:.0f} MB in "
        f"{figures['snapshot_s']:.1f} s, first answer from it "
        f"{figures['start_ms']:.0f} ms after the start"], figures
