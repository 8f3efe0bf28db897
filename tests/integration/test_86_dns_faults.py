# SPDX-License-Identifier: ISC
"""Name servers that answer nonsense or nothing, and a resolver that goes: mail
waits, and never comes back to its sender."""
import json
import os
import signal
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

import faulty_dns as dns
from name_server import NameServer
from node import wait_until
from smtp_peer import shared_node
from test_74_remote_delivery import LOCAL, ZONE, World

Z = "fault.test"
IP = socket.inet_aton("203.0.113.1")


def host(name):
    return f"{name}.{Z}"


def nodata(query):
    return query.reply(authority=[dns.soa(Z)])


def no_name(query):
    return query.reply(code=dns.NXDOMAIN, authority=[dns.soa(Z)])


def chain(query, length):
    """c0 is an alias of c1, and so on; the last one has an address."""
    at = int(query.name.split(".")[0].split("-")[1])
    if at < length:
        return query.reply(dns.record(
            query.name, dns.CNAME,
            dns.wire_name(query.name.replace(f"-{at}.", f"-{at + 1}."))))
    if query.type == dns.A:
        return query.reply(dns.record(query.name, dns.A, IP))
    return nodata(query)


def truncated(query, is_tcp, tcp_works):
    if is_tcp:
        return mx_to_good(query, True) if tcp_works else None
    return query.reply(truncated=True)


def mx_to(name, *others):
    def answer(query, _):
        if query.type != dns.MX:
            return nodata(query)
        return query.reply(*[dns.mx(query.name, i, host(each))
                             for i, each in enumerate((name, *others))])
    return answer


mx_to_good = mx_to("good")


def good(query, _):
    if query.type == dns.A:
        return query.reply(dns.record(query.name, dns.A, IP))
    return nodata(query)


def swapped(query, _):
    """The answer to another question."""
    other = dns.wire_name(host("other")) + struct.pack(">HH", query.type, 1)
    return query.reply(dns.record(host("other"), dns.A, IP), question=other)


def only_mx_works(query, _):
    if query.type == dns.MX:
        return nodata(query)
    return query.reply(code=dns.SERVFAIL)


def cut(query, _):
    return mx_to_good(query, False)[:-7]


def short_record(query, _):
    return query.reply(dns.record(query.name, query.type, b"\0"))


# By the first label of a name: what is answered.
ANSWERS = {
    "good": good,
    "mx": mx_to_good,
    "servfail": lambda query, _: query.reply(code=dns.SERVFAIL),
    "refused": lambda query, _: query.reply(code=dns.REFUSED),
    "notimp": lambda query, _: query.reply(code=dns.NOTIMP),
    "silent": lambda query, _: None,
    "garbage": lambda query, _: os.urandom(40),
    "header": lambda query, _: query.reply()[:12],
    "cut": cut,
    "id": lambda query, _: query.reply(id=query.id ^ 1),
    "swapped": swapped,
    "short": short_record,
    "truncated": lambda query, is_tcp: truncated(query, is_tcp, False),
    "large": lambda query, is_tcp: truncated(query, is_tcp, True),
    "lame": lambda query, _: query.reply(code=dns.REFUSED, flags=0x8000),
    "mxonly": only_mx_works,
    "toservfail": mx_to("servfail"),
    "tosilent": mx_to("silent"),
    "tosome": mx_to("servfail", "nothing", "good"),
    "tonothing": mx_to("nothing"),
    "toalias": mx_to("c-0"),
    "toloop": mx_to("self"),
    "tomany": mx_to(*[f"nothing{i}" for i in range(60)]),
    "torest": mx_to(*[f"nothing{i}" for i in range(40)], "good"),
    "self": lambda query, _: query.reply(dns.record(
        query.name, dns.CNAME, dns.wire_name(query.name))),
    "empty": lambda query, _: nodata(query),
    "c": lambda query, _: chain(query, 8),
    "long": lambda query, _: chain(query, 40),
    "endless": lambda query, _: chain(query, 10 ** 9),
}


def answer_query(query, is_tcp):
    label = query.name.split(".")[0].split("-")[0]
    return ANSWERS.get(label, lambda q, _: no_name(q))(query, is_tcp)


@pytest.fixture(scope="module")
def node():
    server = dns.FaultyDns(answer_query)
    with shared_node("--dnsstub", f"{Z}:127.0.0.1@{server.port}") as made:
        yield made
    server.close()


def route(node, name):
    done = node.svctool("route", host(name), "--json", code=None)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["mx", "good", "large", "tosome", "torest",
                                  "toalias", "c-0"])
def test_what_can_be_found_is(node, name):
    answer = route(node, name)
    assert [row["address"] for row in answer["addresses"]] == [
        "203.0.113.1"], answer["reason"]


@pytest.mark.parametrize("name, code", [
    ("none", "#5.1.2"), ("empty", "#5.1.2"), ("tonothing", "#5.4.4")])
def test_what_is_not_there_is_none(node, name, code):
    answer = route(node, name)
    assert answer["state"] == "none" and code in answer["reason"]


UNKNOWN = ["servfail", "refused", "notimp", "silent", "garbage", "header",
           "cut", "id", "swapped", "short", "truncated", "lame", "mxonly",
           "toservfail", "tosilent", "toloop", "tomany", "self", "long-0",
           "endless-0"]


def test_what_no_server_says_is_unknown(node):
    """The last one of the server: it is not trusted after that."""
    with ThreadPoolExecutor(len(UNKNOWN)) as pool:
        answers = dict(zip(UNKNOWN, pool.map(
            lambda name: route(node, name), UNKNOWN)))
    wrong = {name: answer for name, answer in answers.items()
             if answer["state"] != "unknown" or "#4.4.3" not in
             answer["reason"]}
    assert wrong == {}


# -- with mail

@pytest.fixture(scope="module")
def name_server():
    made = NameServer({"peer.test": ZONE})
    yield made
    made.close()


@pytest.fixture
def world(make_node, name_server):
    made = World(make_node, name_server)
    made.node.up()
    yield made
    made.close()


def resolver(world):
    """Its pid."""
    rows = world.node.status()["services"]
    return next(row["pid"] for row in rows if row["name"] == "resolver")


def inject(world):
    assert world.node.inject("a@one.peer.test", "b@none.peer.test",
                             sender=LOCAL) == 0


def asked(world):
    """Connections to resolverd, those that it did not take yet included."""
    path = str(world.node.home / "run/resolver")
    with open("/proc/net/unix", encoding="ascii") as file:
        return sum(line.split()[-1] == path for line in file) - 1


def ask_in_vain(world, pid):
    """Mail for two domains, while resolverd stands still."""
    before = asked(world)
    os.kill(pid, signal.SIGSTOP)
    inject(world)
    wait_until(lambda: asked(world) >= before + 2, "somebody asks")


def test_a_resolver_that_stands_still(world):
    """What it was asked meanwhile it answers when it goes on."""
    one, pid = world.host(2), resolver(world)
    try:
        ask_in_vain(world, pid)
        assert one.messages == [] and world.node.backlog() == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    one.wait(1)
    assert b"b@none.peer.test" in world.node.wait_messages("alice", 1)[0]
    world.node.wait_empty()
    assert "deferral" not in world.log()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_resolver_that_is_ended_with_questions_open(world, number):
    """They are asked again; nothing bounces that the DNS did not deny."""
    one, pid = world.host(2), resolver(world)
    ask_in_vain(world, pid)
    os.kill(pid, number)
    if number != signal.SIGKILL:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: resolver(world) not in (0, pid), "another one")
    world.node.retry_until(lambda: one.messages, "it is sent")
    report = world.node.wait_messages("alice", 1)[0].decode()
    assert "b@none.peer.test" in report and "Status: 5.1.2" in report
    assert "a@one.peer.test" not in report
    world.node.wait_empty()
