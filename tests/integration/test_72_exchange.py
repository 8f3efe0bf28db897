# SPDX-License-Identifier: ISC
"""Where mail for a domain goes: the DNS, routes, and our own addresses."""
import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from name_server import NameServer
from node import wait_until
from smtp_peer import shared_node

ZONE = """
@ IN MX 10 mx1
@ IN MX 20 mx2
mx1 IN A 127.0.0.2
mx1 IN AAAA 2001:db8::2
mx2 IN A 127.0.0.3
equal IN MX 5 e1
equal IN MX 5 e2
equal IN MX 5 e3
e1 IN A 203.0.113.1
e1 IN AAAA 2001:db8::1
e2 IN A 203.0.113.2
e2 IN AAAA 2001:db8::2
e3 IN A 203.0.113.3
null IN MX 0 .
implicit IN A 203.0.113.9
implicit IN AAAA 2001:db8::9
text IN TXT "no address"
alias IN CNAME equal
nowhere IN MX 10 text
nowhere IN MX 20 nothing
half IN MX 10 nothing
half IN MX 20 e1
broken IN MX 10 host.broken.test.
halfbroken IN MX 10 host.broken.test.
halfbroken IN MX 20 e3
first IN MX 10 own
first IN MX 20 e1
middle IN MX 10 e1
middle IN MX 20 own
middle IN MX 20 e2
middle IN MX 30 e3
byname IN MX 10 e1
byname IN MX 20 mail.example.test.
more IN MX 10 e2
own IN A 198.51.100.1
xn--bcher-kva IN MX 5 e3
loop IN CNAME loop2
loop2 IN CNAME loop
""" + "".join(f"many IN MX {i} m{i}\n" for i in range(500)) + "".join(
    f"m{i} IN A 203.0.113.{i % 250 + 1}\n" for i in range(500))


@pytest.fixture(scope="module")
def name_server():
    server = NameServer({"peer.test": ZONE,
                         "example.test": "mail IN A 203.0.113.44\n"})
    yield server
    server.close()


@pytest.fixture(scope="module")
def node(name_server):
    with shared_node("--init-only", "--dnsstub", name_server.stubs(),
                     "--dnsstub", f"broken.test:127.0.0.1@{dead_port()}"
                     ) as made:
        (made.control / "notipme").write_text("127.0.0.2\n127.0.0.3\n")
        (made.control / "moreipme").write_text("198.51.100.0/24\n")
        made.up()
        yield made


def dead_port():
    """A port on which nothing answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def control(node):
    """Its settings, put back afterwards."""
    before = {file: file.read_bytes() for file in node.control.iterdir()
              if file.is_file()}
    yield node.control
    for file in node.control.iterdir():
        if file.is_file() and file not in before:
            file.unlink()
    for file, text in before.items():
        file.write_bytes(text)


def route(node, *words, code=0):
    done = node.svctool("route", *words, "--json", code=code)
    return json.loads(done.stdout)


def addresses(answer):
    assert answer["state"] == "found", answer["reason"]
    return [row["address"] for row in answer["addresses"]]


def test_the_better_preference_first(node):
    answer = route(node, "peer.test")
    assert (answer["state"], answer["transport"]) == ("found", "smtp")
    assert [(row["host"], row["preference"], row["address"], row["port"])
            for row in answer["addresses"]] == [
        ("mx1.peer.test", 10, "2001:db8::2", 25),
        ("mx1.peer.test", 10, "127.0.0.2", 25),
        ("mx2.peer.test", 20, "127.0.0.3", 25)]


def test_equal_ones_by_chance_and_families_in_turns(node):
    firsts = set()
    for _ in range(40):
        found = addresses(route(node, "equal.peer.test"))
        assert sorted(found) == ["2001:db8::1", "2001:db8::2", "203.0.113.1",
                                 "203.0.113.2", "203.0.113.3"]
        assert [":" in one for one in found] == [True, False, True, False,
                                                 False]
        firsts.add(tuple(found))
    assert len(firsts) > 3


@pytest.mark.parametrize("domain,wanted", [
    ("implicit.peer.test", ["2001:db8::9", "203.0.113.9"]),
    ("IMPLICIT.Peer.Test.", ["2001:db8::9", "203.0.113.9"]),
    ("half.peer.test", ["2001:db8::1", "203.0.113.1"]),
    ("middle.peer.test", ["2001:db8::1", "203.0.113.1"]),
    ("byname.peer.test", ["2001:db8::1", "203.0.113.1"]),
    ("bücher.peer.test", ["203.0.113.3"]),
    ("xn--bcher-kva.peer.test", ["203.0.113.3"]),
    ("[203.0.113.77]", ["203.0.113.77"]),
    ("[IPv6:2001:db8::77]", ["2001:db8::77"]),
])
def test_found(node, domain, wanted):
    answer = route(node, domain)
    assert (answer["state"], addresses(answer)) == ("found", wanted)


def test_behind_an_alias(node):
    assert len(addresses(route(node, "alias.peer.test"))) == 5


@pytest.mark.parametrize("domain,code", [
    ("none.peer.test", "#5.1.2"),        # no such name
    ("text.peer.test", "#5.1.2"),        # neither MX nor address
    ("null.peer.test", "#5.1.10"),       # RFC 7505
    ("nowhere.peer.test", "#5.4.4"),     # MX hosts without an address
    ("first.peer.test", "#5.4.6"),       # we are the best
    ("own.peer.test", "#5.4.6"),         # it is we
    ("[127.0.0.1]", "#5.4.6"),
    ("[198.51.100.9]", "#5.4.6"),
    ("[300.1.1.1]", "#5.1.2"),
    ("[203.0.113.1", "#5.1.2"),
    ("mail.example.test", "#5.4.6"),
    ("a" * 260, "#5.1.2"),
])
def test_none_for_certain(node, domain, code):
    answer = route(node, domain)
    assert answer["state"] == "none" and code in answer["reason"]
    assert answer["addresses"] == []


def test_what_cannot_be_told_is_no_absence(node):
    unknown = ["broken.peer.test", "loop.peer.test", "host.broken.test"]
    with ThreadPoolExecutor() as pool:  # each waits for its time-outs
        found = pool.submit(route, node, "halfbroken.peer.test")
        answers = list(pool.map(
            lambda domain: route(node, domain, code=111), unknown))
    assert addresses(found.result()) == ["203.0.113.3"]
    for answer in answers:
        assert answer["state"] == "unknown" and "#4.4.3" in answer["reason"]


def test_many_hosts_are_bounded(node):
    found = addresses(route(node, "many.peer.test"))
    assert found == [f"203.0.113.{i + 1}" for i in range(50)]


def test_routes_come_first(node, control):
    (control / "smtproutes").write_text(
        "peer.test:e3.peer.test:2525\n.peer.test:[127.0.0.1]:2626\n"
        "implicit.peer.test:\n!@:e2.peer.test\n")
    (control / "qmtproutes").write_text("q.peer.test:[2001:db8::5]\n")

    def told(*words):
        answer = route(node, *words)
        return (answer["transport"], answer["routed"], [
            (row["address"], row["port"]) for row in answer["addresses"]])

    assert told("peer.test") == ("smtp", True, [("203.0.113.3", 2525)])
    # Loopback on another port is no loop.
    assert told("x.peer.test", "a@b.c") == (
        "smtp", True, [("127.0.0.1", 2626)])
    assert told("implicit.peer.test") == (
        "smtp", False, [("2001:db8::9", 25), ("203.0.113.9", 25)])
    assert told("q.peer.test") == ("qmtp", True, [("2001:db8::5", 209)])
    assert told("peer.test", "")[2][0][0] == "2001:db8::2"


def test_a_route_to_the_mx_by_another_port(node, control):
    (control / "smtproutes").write_text("::2525\n")
    answer = route(node, "peer.test")
    assert not answer["routed"]
    assert {row["port"] for row in answer["addresses"]} == {2525}
    assert "#5.4.6" in route(node, "first.peer.test")["reason"]


def test_a_route_to_nowhere_is_our_mistake(node, control):
    (control / "smtproutes").write_text(":none.peer.test\n")
    answer = route(node, "peer.test", code=111)
    assert answer["state"] == "unknown" and "#4.4.3" in answer["reason"]


def test_a_bad_route_is_named(node, control):
    (control / "smtproutes").write_text("a.test:h\n:h:99999 user secret\n")
    done = node.svctool("route", "peer.test", code=1)
    assert "smtproutes:2: '99999' is not a port" in done.stderr
    found = json.loads(node.svctool("check", "--json", code=1).stdout)
    found = [one for one in found if one["file"].endswith("smtproutes")]
    # It may also be told that remote delivery has not read the file yet.
    assert [one["line"] for one in found if one["severity"] == "error"] == [2]
    assert "secret" not in str(found)


def test_passwords_are_not_shown(node, control):
    (control / "smtproutes").write_text(":relay.test:587 user secret\n")
    for words in ([], ["--json"]):
        shown = node.run("qmail-showctl", *words).stdout
        assert "relay.test" in shown and "secret" not in shown


def test_source_and_name(node, control):
    (control / "bindroutes").write_text("peer.test:203.0.113.200\n")
    (control / "helohostbyip").write_text("203.0.113.200:out.example.test\n")
    rows = route(node, "peer.test")["addresses"]
    assert [(row["source"], row["helo"]) for row in rows] == [
        ("", node.info["me"]), ("203.0.113.200", "out.example.test"),
        ("203.0.113.200", "out.example.test")]


def test_people_see_it_too(node):
    text = node.svctool("route", "peer.test").stdout
    assert "10 mx1.peer.test 127.0.0.2 port 25 from any address" in text
    assert "#5.1.10" in node.svctool("route", "null.peer.test").stdout


def test_the_resolver_is_a_service(node):
    services = {row["name"]: row for row in node.status()["services"]}
    assert services["resolver"]["state"] == "up"
    node.wait_log("resolver", "status: ready")


def test_without_the_resolver_nothing_bounces(node):
    folder = node.home / "service/resolver"

    def state():
        return next(row["state"] for row in node.status()["services"]
                    if row["name"] == "resolver")

    subprocess.run(["svc", "-d", folder], check=True, timeout=60)
    wait_until(lambda: state() == "down", "the resolver is down")
    answer = route(node, "none.peer.test", code=111)
    assert answer["state"] == "unknown" and "#4.4.3" in answer["reason"]
    subprocess.run(["svc", "-u", folder], check=True, timeout=60)
    wait_until(lambda: state() == "up", "the resolver is up again")
    assert "#5.1.2" in route(node, "none.peer.test")["reason"]
