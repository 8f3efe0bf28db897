# SPDX-License-Identifier: ISC
"""resolverd: what a real name server says, and what it does not say."""
import json
import pathlib
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from name_server import NameServer
from node import BIN, NO_LEAKS, SLOW, wait_until

ZONE = """
@ IN MX 10 mx1
@ IN MX 20 mx2
mx1 IN A 127.0.0.2
mx1 IN AAAA ::1
mx2 IN A 127.0.0.3
null IN MX 0 .
txt IN TXT "v=spf1 " "-all"
evil IN TXT "a\\027[2Jb"
alias IN CNAME mx1
loop IN CNAME loop2
loop2 IN CNAME loop
_25._tcp.mx1 IN TLSA 3 1 1 00112233
xn--bcher-kva IN MX 5 mx1
odd IN MX 10 a\\032b
odd IN MX 20 mx1
""" + "".join(f"many IN MX {i} mx{i}\n" for i in range(500)) + "".join(
    f"flood IN TXT {'x' * 250}{i}\n" for i in range(240))


class Resolver:
    def __init__(self, node, *servers, **settings):
        self.node = node
        (node.control / "dnsstub").write_text(
            "".join(server.stubs() for server in servers))
        (node.control / "dnsanchor").write_text("")
        for name, text in settings.items():
            (node.control / name).write_text(text)
        self.path = node.home / "run/resolver"
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [BIN / "resolverd"], stderr=subprocess.PIPE, text=True,
            env={**self.node.environment(), **NO_LEAKS})
        line = self.process.stderr.readline()
        assert line == "resolverd: status: ready\n"

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(timeout=20 * SLOW)
        self.process.stderr.close()
        return self.process.returncode

    def ask(self, kind, name):
        done = subprocess.run(
            [BIN / "svctool", "dns", kind, name, "--json", "--home",
             self.node.home],
            stdout=subprocess.PIPE, text=True, check=False, timeout=90)
        answer = json.loads(done.stdout)
        assert done.returncode == (111 if answer["state"] == "unknown" else 0)
        return answer


@pytest.fixture(scope="module")
def name_server():
    server = NameServer({"example.test": ZONE})
    yield server
    server.close()


@pytest.fixture
def resolver(make_node, name_server):
    started = Resolver(make_node("--init-only"), name_server)
    yield started
    if started.process.poll() is None:
        assert started.end() == 0


@pytest.mark.parametrize("kind,name,records", [
    ("mx", "example.test", ["10 mx1.example.test", "20 mx2.example.test"]),
    ("mx", "EXAMPLE.test.", ["10 mx1.example.test", "20 mx2.example.test"]),
    ("a", "mx1.example.test", ["127.0.0.2"]),
    ("aaaa", "alias.example.test", ["::1"]),
    ("mx", "null.example.test", ["0 ."]),
    ("mx", "bücher.example.test", ["5 mx1.example.test"]),
    ("txt", "txt.example.test", ["v=spf1 -all"]),
    ("tlsa", "_25._tcp.mx1.example.test", ["3 1 1 00112233"]),
    ("ptr", "127.0.0.1", ["localhost"]),
])
def test_found(resolver, kind, name, records):
    answer = resolver.ask(kind, name)
    assert (answer["state"], sorted(answer["records"])) == ("found", records)


def test_absent(resolver):
    answer = resolver.ask("a", "none.example.test")
    assert (answer["state"], answer["no_name"]) == ("absent", True)
    answer = resolver.ask("mx", "mx1.example.test")
    assert (answer["state"], answer["no_name"]) == ("absent", False)


@pytest.mark.skipif(SLOW != 1, reason="sanitizers need calls of their own")
def test_it_is_confined(resolver):
    """Every thread has the filter of system calls, and none may get rights."""
    resolver.ask("a", "mx1.example.test")
    threads = pathlib.Path(f"/proc/{resolver.process.pid}/task")
    states = [(thread / "status").read_text() for thread in threads.iterdir()]
    assert len(states) > 1
    for state in states:
        assert "\nSeccomp:\t2\n" in state and "\nNoNewPrivs:\t1\n" in state


def test_the_name_behind_an_alias(resolver):
    assert resolver.ask("a", "alias.example.test")["name"] == "mx1.example.test"


def test_many_records(resolver):
    assert len(resolver.ask("mx", "many.example.test")["records"]) == 500


@pytest.mark.parametrize("kind,name", [
    ("a", "loop.example.test"),        # servers answer, never to the point
    ("txt", "flood.example.test"),     # more than a packet holds
])
def test_unknown(resolver, kind, name):
    answer = resolver.ask(kind, name)
    assert answer["state"] == "unknown"
    assert answer["reason"] != ""


def test_bytes_of_a_peer_stay_text(resolver):
    done = subprocess.run(
        [BIN / "svctool", "dns", "txt", "evil.example.test", "--home",
         resolver.node.home], stdout=subprocess.PIPE, check=True)
    assert b"\x1b" not in done.stdout


def test_a_silent_server_is_unknown_and_comes_back(make_node):
    server = NameServer({"example.test": ZONE})
    resolver = Resolver(make_node("--init-only"), server)
    server.stop()
    assert resolver.ask("a", "mx1.example.test")["state"] == "unknown"
    server.start()
    wait_until(lambda: resolver.ask("a", "mx2.example.test")["state"] == "found",
               "the server is asked again")
    server.stop()
    # What is remembered holds without it.
    assert resolver.ask("a", "mx2.example.test")["state"] == "found"
    assert resolver.end() == 0
    server.close()


def test_many_ask_at_once(resolver):
    names = [f"n{i}.example.test" for i in range(200)]
    with ThreadPoolExecutor(16) as pool:
        states = {a["state"] for a in pool.map(
            lambda name: resolver.ask("a", name), names)}
    assert states == {"absent"}


def test_garbage_ends_only_its_sender(resolver):
    for packet in (b"", b"x", b"\xff" * 511, b"\x01" * 40):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.connect(str(resolver.path))
            peer.settimeout(20 * SLOW)
            peer.send(packet or b"\0")
            assert peer.recv(100) == b""
    assert resolver.ask("a", "mx1.example.test")["state"] == "found"


def test_no_resolver_is_unknown(resolver):
    assert resolver.end() == 0
    answer = resolver.ask("a", "mx1.example.test")
    assert answer["state"] == "unknown"
    assert "run/resolver" in answer["reason"]
    resolver.start()


def test_a_killed_one_is_replaced(resolver):
    resolver.end(signal.SIGKILL)
    resolver.start()  # its socket is in the way
    assert resolver.ask("a", "mx1.example.test")["state"] == "found"


def test_a_second_one_refuses(resolver):
    done = subprocess.run(
        [BIN / "resolverd"], stderr=subprocess.PIPE, text=True, check=False,
        env=resolver.node.environment())
    assert done.returncode == 111
    assert "another resolverd serves" in done.stderr


@pytest.mark.parametrize("name,text,wrong", [
    ("dnsforward", "name.example\n", "is not an IP address"),
    ("dnsstub", "127.0.0.1\n", "is not a zone with a name server"),
    ("dnsstub", "example.test:127.0.0.1@99999\n", "is not a zone with"),
    ("dnsanchor", "/nonexistent\n", "dns-root-data"),
    ("dnscache", "5\n", "out of range"),
])
def test_a_wrong_setting(make_node, name, text, wrong):
    node = make_node("--init-only")
    (node.control / name).write_text(text)
    done = subprocess.run(
        [BIN / "resolverd"], stderr=subprocess.PIPE, text=True, check=False,
        timeout=20 * SLOW, env=node.environment())
    assert done.returncode == 111
    assert wrong in done.stderr and name in done.stderr
