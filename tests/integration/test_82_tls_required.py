# SPDX-License-Identifier: ISC
"""REQUIRETLS (RFC 8689), from a client through the queue to another host."""
import subprocess

import pytest

import ports
from node import SLOW, wait_until
from smtp_peer import Client
from test_76_remote_tls import Host

AWAY = "joe@away.zz"


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("required")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=x", "-addext", "subjectAltName=DNS:mx.away.zz", "-keyout",
         folder / "key", "-out", folder / "cert.pem"],
        check=True, stderr=subprocess.DEVNULL)
    both = folder / "both.pem"
    both.write_bytes((folder / "cert.pem").read_bytes()
                     + (folder / "key").read_bytes())
    return both


@pytest.fixture
def node(make_node, pem):
    made = make_node("--init-only", "--queues", "1", "--relay")
    made.port = ports.take()
    for name, text in {
            "requiretls": "1", "smtproutes": f":[127.0.0.1]:{made.port}",
            "tlspolicy": "away.zz:verify:mx.away.zz", "tlscafile": pem,
            "dnsanchor": "", "queue_slice": 1}.items():
        (made.control / name).write_text(f"{text}\n")
    made.up()
    return made


def submit(node, option=" REQUIRETLS", header=""):
    with Client(node.smtp_port) as client:
        client.hello()
        client.start_tls()
        assert any("REQUIRETLS" in line for line in client.hello().lines)
        client.ok(f"MAIL FROM:<alice@{node.domain}>{option}")
        client.ok(f"RCPT TO:<{AWAY}>")
        assert client.data(f"{header}Subject: x\r\n\r\nsecret\r\n.\r\n"
                           ).code == 250


def script(pem, *extensions, takes_mail=True):
    def talk(link):
        link.hello("STARTTLS", "REQUIRETLS")
        link.take("STARTTLS", "220 go")
        link.start_tls(pem)
        link.hello(*extensions, greeting=None)
        if takes_mail:
            link.transaction()
        link.at_end()
    return talk


def test_refused_in_plain(node):
    with Client(node.smtp_port) as client:
        assert not any("REQUIRETLS" in line for line in client.hello().lines)
        assert client.say("MAIL FROM:<a@b.zz> REQUIRETLS").code == 555
        client.ok("MAIL FROM:<a@b.zz>")


def test_kept_over_a_restart(node, pem):
    """Nobody answers; the node stops and starts; it still is required."""
    submit(node)
    wait_until(lambda: "deferral" in node.log("queue1") or
               "rests" in node.log("remote"), node.logs)
    node.down()
    node.up()
    with Host(node.port, script(pem, "PIPELINING", "REQUIRETLS")) as host:
        node.retry_until(lambda: node.backlog() == 0, "it is delivered")
        host.thread.join(60 * SLOW)
    link, = host.links
    mail = next(line for line in link.commands if line.startswith("MAIL"))
    assert " REQUIRETLS" in mail
    assert b"secret" in link.message
    assert node.messages("alice") == []


def test_a_host_that_does_not_have_it(node, pem):
    """RFC 8689 5: nothing of the body comes back."""
    with Host(node.port, script(pem, "PIPELINING", takes_mail=False)):
        submit(node)
        report, = node.wait_messages("alice", 1)
    assert b"5.7.30" in report and b"secret" not in report


def test_a_host_that_is_not_verified(node, pem):
    (node.control / "tlspolicy").write_text("away.zz:may\n")
    node.reread_remote()
    with Host(node.port, script(pem, "REQUIRETLS", takes_mail=False)):
        submit(node)
        report, = node.wait_messages("alice", 1)
    assert b"5.7.30" in report and b"secret" not in report
