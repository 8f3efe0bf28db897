# SPDX-License-Identifier: ISC
"""Users in a PostgreSQL of the test's own, and lookupd asked by packets."""
import json
import socket
import struct

from node import ROOT, wait_until

KINDS = {"user": 1, "password": 2, "alias": 3, "limits": 4, "filters": 5,
         "domain": 6, "relay": 7, "login": 8, "stats": 9}
STATES = {1: "found", 2: "absent", 3: "unknown"}
SOURCES = ("nowhere", "cache", "database", "snapshot", "spool")
VERSION = 1


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<I", len(data) + 1) + data + b"\0"


def question(kind, local="", domain="", ip="", number=0, service="",
             relay=False):
    data = struct.pack("<B", KINDS[kind]) + text(local) + text(domain)
    if kind in ("relay", "login"):
        data += text(ip) + struct.pack("<Q", number)
    if kind == "login":
        data += text(service) + struct.pack("<B", relay)
    return data


def request(*questions, number=1, deadline_ms=0):
    return struct.pack("<BIQI", VERSION, number, deadline_ms,
                       len(questions)) + b"".join(questions)


def answers(packet):
    """Of one packet: state, source, age in ms, record."""
    version, number, first, total, count = struct.unpack_from("<BIIII", packet)
    assert version == VERSION
    at, found = 17, []
    for _ in range(count):
        state, source, age, length = struct.unpack_from("<BBQI", packet, at)
        at += 14
        found.append((STATES[state], SOURCES[source], age,
                      packet[at:at + length]))
        at += length
    assert at == len(packet)
    return number, first, total, found


class Client:
    """A connection to lookupd."""

    def __init__(self, home, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(str(home / "run/lookup"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *questions, **options):
        self.socket.send(request(*questions, **options))

    def receive(self):
        found, total = [], 1
        while len(found) < total:
            packet = self.socket.recv(60000)
            assert packet, "lookupd ended the connection"
            _, first, total, some = answers(packet)
            assert first == len(found)
            found += some
        return found

    def ask(self, *questions, **options):
        self.send(*questions, **options)
        return self.receive()


def one(home, *arguments, **options):
    """The answer to one question."""
    with Client(home) as client:
        return client.ask(question(*arguments, **options))[0]


def make_schema(postgres):
    for file in sorted((ROOT / "lookupd/schema").glob("*.sql")):
        postgres.command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d",
                         postgres.conninfo(), "-f", file)


def add_domain(postgres, domain):
    postgres.sql(f"INSERT INTO mq.domains (name) VALUES ('{domain}')")


def add_user(postgres, name, domain, folder, **columns):
    columns = {"hash": "*", **columns}
    names = "".join(f", {column}" for column in columns)
    values = "".join(f", '{value}'" for value in columns.values())
    postgres.sql(
        f"INSERT INTO mq.users (domain_id, name, dir{names}) SELECT id, "
        f"'{name}', '{folder}/{name}'{values} FROM mq.domains "
        f"WHERE name = '{domain}'")


def use_database(node, conninfo, **settings):
    """Makes a node's users those of the database."""
    for name, value in {"userstore": "pgsql", "pgsql": conninfo,
                        "lookuptimeout": 1, **settings}.items():
        file = node.control / name
        file.write_text(f"{value}\n")
        file.chmod(0o640 if name.startswith("pgsql") else 0o644)


def stats(home):
    return json.loads(one(home, "stats")[3])


def wait_stats(home, check, what):
    return wait_until(lambda: check(stats(home)),
                      lambda: f"{what}: {stats(home)}")


