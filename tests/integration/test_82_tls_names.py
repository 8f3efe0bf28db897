# SPDX-License-Identifier: ISC
"""DANE and MTA-STS at their own ports, 25 and 443, in a network namespace."""
import ctypes
import hashlib
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

from name_server import CONFIG, HEAD
from node import SLOW, Node, wait_until
from remote_peer import Peer, Report
from test_76_remote_tls import SignedRoot, run, with_tls

pytestmark = [
    pytest.mark.xdist_group("tls_names"),
    pytest.mark.skipif(os.geteuid() != 0,
                       reason="only root makes a network namespace")]

CLONE_NEWNET = 0x40000000
ZEROS = "00" * 32
# {good}: the key of self.pem; {ca}: the certificate of ca.pem.
TLSA = {"ee": ["3 1 1 {good}"],
        "ta": ["2 0 1 {ca}"],
        "taother": ["2 0 1 {ca}"],      # its certificate has another name
        "tawrong": ["2 0 1 " + ZEROS],
        "mixed": ["1 1 1 {good}", f"3 1 1 {ZEROS}", "3 1 1 {good}"],
        "again": ["3 1 1 {good}"],
        "againtoo": ["1 1 1 {good}", "3 1 1 {good}"],
        "short": ["3 1 1 00", "3 1 7 " + ZEROS, "9 1 1 " + ZEROS],
        "pkix": ["0 0 1 {ca}", "1 1 1 {good}"],
        "bogus": ["3 1 1 " + "ab" * 32]}
VALID = "version: STSv1\nmode: enforce\nmx: mx.{}.zz\nmax_age: 86400\n"
PAD = "x: " + "y" * 900 + "\n"


def policy(text=VALID, code=200, kind="text/plain", **headers):
    return lambda domain: (code, kind, text.format(domain), headers)


STS = {"fine": policy(),
       "full": policy(VALID + PAD * 70),         # 63 KiB
       "large": policy(VALID + PAD * 73),        # 65 KiB
       "moved": policy(code=302, Location="https://mta-sts.fine.zz/"
                                          ".well-known/mta-sts.txt"),
       "html": policy(kind="text/html"),
       "missing": policy(code=404),
       "failing": policy(code=500),
       "kept": policy(code=500),
       "keptold": policy(code=500),
       "changed": policy(),
       "cut": policy("version: STSv1\nmode: enforce\nmx: mx.cut.zz\n"),
       "wild": policy(VALID.replace("mx.{}", "*.{}")),
       "deep": policy(VALID.replace("mx.{}", "*.{}")),
       "badcert": policy(),                      # its name is in none
       "twice": policy()}
HOSTS = {"deep": "a.mx.deep.zz"}


def host_of(name):
    return HOSTS.get(name, f"mx.{name}.zz")


class Names(SignedRoot):
    """The signed root, and below it insecure.zz, which is not signed."""

    def start(self):
        folder = self.folder
        (folder / "insecure.zone").write_text(
            HEAD.format(zone="insecure.zz") + "@ IN MX 10 mx\n"
            f"mx IN A 127.0.0.1\n_25._tcp.mx IN TLSA 3 1 1 {ZEROS}\n")
        (folder / "nsd.conf").write_text(
            CONFIG.format(port=self.port, folder=folder)
            + 'zone:\n  name: "."\n  zonefile: root.signed\n'
            "zone:\n  name: insecure.zz\n  zonefile: insecure.zone\n"
            # SERVFAIL, as there is no such file
            "zone:\n  name: _tcp.mx.servfail.zz\n  zonefile: none\n")
        super().start()


class Policies(http.server.ThreadingHTTPServer):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            host = self.headers["Host"]
            self.server.asked.append((host, self.path))
            name = host.split(".")[1]
            code, kind, text, headers = STS[name](name)
            self.send_response(code)
            self.send_header("Content-Type", kind)
            for each in headers.items():
                self.send_header(*each)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

        def handle_one_request(self):
            try:
                super().handle_one_request()
            except (ConnectionError, ssl.SSLError):  # it had enough
                self.close_connection = True

    def __init__(self, pem):
        super().__init__(("127.0.0.1", 443), self.Handler)
        self.asked = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def handle_error(self, *_):
        pass  # a client that does not like the certificate

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Host(Peer):
    def __init__(self, *scripts):
        super().__init__(*scripts)
        self.listener.close()
        self.listener = socket.create_server(("127.0.0.1", 25))
        self.listener.settimeout(30 * SLOW)


class World:
    def __init__(self, folder):
        self.folder = folder
        self.make_certificates()
        self.names = Names(folder, self.records())
        self.policies = Policies(folder / "signed.pem")
        self.node = Node(folder / "n", "--init-only", "--queues", "1",
                         "--port-base", "2525")
        for name, text in {
                "dnsforward": f"127.0.0.1@{self.names.port}",
                "dnsanchor": self.names.anchor, "notipme": "127.0.0.0/8",
                "tlscafile": folder / "ca.pem", "queue_slice": 1,
                "remoteidle": 1}.items():
            (self.node.control / name).write_text(f"{text}\n")
        self.node.up()
        wait_until(lambda: ": ready" in self.node.log("remote"),
                   self.node.logs)

    def certificate(self, name, *names):
        path = self.folder / f"{name}.pem"
        signed = name not in ("ca", "self")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            f"/CN={name}.zz", "-keyout", self.folder / f"{name}.key", "-out",
            path, *(["-CA", self.folder / "ca.pem", "-CAkey",
                     self.folder / "ca.key", "-addext", "subjectAltName="
                     + ",".join(f"DNS:{each}" for each in names)]
                    if signed else []))
        if name == "ca":
            return
        with path.open("a") as file:
            if signed:  # RFC 7672 3.1.2: the authority is in the chain
                file.write((self.folder / "ca.pem").read_text())
            file.write((self.folder / f"{name}.key").read_text())

    def make_certificates(self):
        self.certificate("ca")
        self.certificate("self")
        self.certificate("signed", "ta.zz", "mx.fine.zz", "mx.wild.zz",
                         *(f"mta-sts.{name}.zz" for name in STS
                           if name != "badcert"))
        self.certificate("other", "mx.elsewhere.zz")

    def digest(self, name, is_key):
        command = ["openssl", "x509", "-in", self.folder / f"{name}.pem"]
        if is_key:
            key = subprocess.run([*command, "-pubkey", "-noout"], check=True,
                                 stdout=subprocess.PIPE).stdout
            command = ["openssl", "pkey", "-pubin"]
        else:
            key = None
        der = subprocess.run([*command, "-outform", "DER"], input=key,
                             check=True, stdout=subprocess.PIPE).stdout
        return hashlib.sha256(der).hexdigest()

    def records(self):
        digests = {"good": self.digest("self", True),
                   "ca": self.digest("ca", False)}
        lines = ["insecure.zz. IN NS ns.zz.",
                 "_tcp.mx.servfail.zz. IN NS ns.zz.",
                 # The name is there, and has no such record.
                 '_25._tcp.mx.nodata.zz. IN TXT "x"',
                 '_mta-sts.twice.zz. IN TXT "v=STSv1; id=2"']
        for name in (*TLSA, *STS, "servfail", "nodata", "none"):
            lines += [f"{name}.zz. IN MX 10 {host_of(name)}.",
                      f"{host_of(name)}. IN A 127.0.0.1"]
        for name, records in TLSA.items():
            lines += [f"_25._tcp.mx.{name}.zz. IN TLSA "
                      + record.format(**digests) for record in records]
        for name in STS:
            lines += [f'_mta-sts.{name}.zz. IN TXT "v=STSv1; id=1;"',
                      f"mta-sts.{name}.zz. IN A 127.0.0.1"]
        return "\n".join(lines) + "\n"

    def close(self):
        self.node.down()
        self.policies.close()
        self.names.stop()

    def tls(self, name, is_refused=False):
        done = self.node.svctool("route", f"{name}.zz", "--json",
                                 code=111 if is_refused else 0)
        host, = json.loads(done.stdout)["tls"]["hosts"]
        assert host["refused"] == is_refused
        return host["level"], host["why"]

    def keep(self, name, age_s, host, ident="1"):
        """As if the policy had been fetched so long ago."""
        folder = self.node.home / "run/mta-sts"
        (folder / f"{name}.zz").write_text(
            f"{ident} {int(time.time()) - age_s}\n"
            + VALID.replace("mx.{}.zz", host))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    # This thread's, and that of threads and processes it will make.
    if libc.unshare(CLONE_NEWNET) == -1:
        os.close(before)
        pytest.skip("a network namespace cannot be made: "
                    + os.strerror(ctypes.get_errno()))
    made = None
    try:
        run("ip", "link", "set", "lo", "up")
        made = World(tmp_path_factory.mktemp("w"))
        yield made
    finally:
        if made is not None:
            made.close()
        assert libc.setns(before, CLONE_NEWNET) == 0
        os.close(before)


# -- what is wanted

@pytest.mark.parametrize("name, level, why", [
    ("ee", "verify", "DANE"), ("ta", "verify", "DANE"),
    ("mixed", "verify", "DANE"), ("tawrong", "verify", "DANE"),
    ("short", "encrypt", "no TLSA record that can be used"),
    ("pkix", "encrypt", "no TLSA record that can be used"),
    ("none", "may", "nothing asks"),      # NXDOMAIN
    ("nodata", "may", "nothing asks"),
    ("insecure", "may", "nothing asks"),  # its TLSA record is not proven
])
def test_dane(world, name, level, why):
    assert world.tls(name)[0] == level
    assert why in world.tls(name)[1]


@pytest.mark.parametrize("name", ["bogus", "servfail"])
def test_dane_that_cannot_be_told(world, name):
    """RFC 7672 2.1.1: such a host is left out, and mail waits."""
    assert "cannot be told" in world.tls(name, is_refused=True)[1]


@pytest.mark.parametrize("name", ["fine", "full", "wild"])
def test_policy(world, name):
    assert world.tls(name) == ("verify", "MTA-STS")
    assert (f"mta-sts.{name}.zz", "/.well-known/mta-sts.txt") in (
        world.policies.asked)


@pytest.mark.parametrize("name", ["large", "moved", "html", "missing",
                                  "failing", "cut", "badcert", "twice"])
def test_policy_that_does_not_count(world, name):
    """RFC 8461 5.1: as if there were none."""
    asked = len(world.policies.asked)
    assert world.tls(name)[0] == "may"
    assert not (world.node.home / f"run/mta-sts/{name}.zz").exists()
    seen = [host for host, _ in world.policies.asked[asked:]]
    assert seen == ([] if name in ("badcert", "twice")
                    else [f"mta-sts.{name}.zz"])


def test_a_wildcard_is_one_label(world):
    assert "does not name it" in world.tls("deep", is_refused=True)[1]


def test_a_kept_policy_outlives_its_server(world):
    """Also when the record has another id (RFC 8461 3.3, 5.1)."""
    for ident in ("1", "old"):
        world.keep("kept", 80000, "mx.kept.zz", ident)
        assert world.tls("kept") == ("verify", "MTA-STS")
        world.keep("kept", 80000, "mx.other.zz", ident)
        assert "does not name it" in world.tls("kept", is_refused=True)[1]


@pytest.mark.parametrize("age_s", [86400 + 60, -3600], ids=["old", "ahead"])
def test_a_kept_policy_expires(world, age_s):
    """Also one that a clock which was ahead has kept."""
    world.keep("keptold", age_s, "mx.other.zz")
    assert world.tls("keptold")[0] == "may"


def test_another_id_means_another_policy(world):
    world.keep("changed", 60, "mx.other.zz")
    assert "does not name it" in world.tls("changed", is_refused=True)[1]
    assert "mta-sts.changed.zz" not in dict(world.policies.asked)
    world.keep("changed", 60, "mx.other.zz", "old")
    assert world.tls("changed") == ("verify", "MTA-STS")


# -- what is done

def forget_mail(world):
    """What was not delivered would come to another test's host."""
    world.node.svctool("queue", "delete", "--all", code=None)
    world.node.wait_empty()


def deliver(world, name, script):
    with Host(script) as host:
        assert world.node.inject(f"joe@{name}.zz") == 0
        host.thread.join(60 * SLOW)
    return host


@pytest.mark.parametrize("name, pem, reached", [
    ("ee", "self", "verified by dane"),
    ("ta", "signed", "verified by dane"),  # it names the domain alone
    ("mixed", "self", "verified by dane"),
    ("short", "self", "not verified"),
    ("insecure", "self", "not verified"),
    ("fine", "signed", "verified by authorities"),
    ("wild", "signed", "verified by authorities"),
])
def test_delivered(world, name, pem, reached):
    host = deliver(world, name, with_tls(world.folder / f"{pem}.pem"))
    assert b"Hello." in host.links[0].message
    wait_until(lambda: any(
        f"tls mx.{name}.zz " in line and line.endswith(reached)
        for line in world.node.log("remote").splitlines()), world.node.logs)


@pytest.mark.parametrize("name, pem", [
    ("ta", "other"),       # a certificate for another name
    ("taother", "other"),
    ("tawrong", "signed"),  # of another authority
    ("ee", "signed"),
    ("fine", "other"),
])
def test_not_delivered(world, name, pem):
    def script(link):
        link.hello("STARTTLS")
        link.take("STARTTLS", "220 go")
        link.start_tls(world.folder / f"{pem}.pem")
        link.line()

    def count():
        return sum(f"tls mx.{name}.zz " in line
                   and "does not prove the host" in line
                   for line in world.node.log("remote").splitlines())
    before = count()
    # A session that succeeded before is not resumed: the host has new keys.
    world.node.reread_remote()
    host = deliver(world, name, script)
    assert host.links[0].message is None
    wait_until(lambda: count() > before, world.node.logs)
    forget_mail(world)


def test_starttls_that_is_gone(world):
    """It stops mail only where a policy is enforced."""
    def script(link):
        link.hello()
        link.line()
    host = deliver(world, "none", lambda link: (
        link.hello(), link.transaction(), link.at_end()))
    assert b"Hello." in host.links[0].message
    world.node.reread_remote()
    host = deliver(world, "wild", script)
    assert host.links[0].message is None
    wait_until(lambda: "offers no TLS" in world.node.log("remote"),
               world.node.logs)
    forget_mail(world)


# -- TLS-Required: No (RFC 8689), by qmail-remote

def remote(world, name, message):
    done = world.node.run(
        "qmail-remote", f"{name}.zz", "s@example.org", f"joe@{name}.zz",
        input=message)
    return Report(done.stdout.encode())


def in_plain(link):
    link.hello()
    link.transaction()
    link.at_end()


@pytest.mark.parametrize("name", ["ee", "servfail", "wild", "deep"])
def test_what_a_domain_publishes_does_not_count(world, name):
    text = "TLS-Required: No\nSubject: x\n\nHello.\n"
    with Host(in_plain) as host:
        assert remote(world, name, text).letters == "rK"
        host.thread.join(60 * SLOW)
    assert b"TLS-Required: No" in host.links[0].message

    def script(link):
        link.hello()
        link.line()
    with Host(script):
        assert remote(world, name, text.replace("No", "Perhaps")
                      ).letters == "Z"


@pytest.mark.parametrize("name, is_offered", [
    ("bogus", False), ("tawrong", True), ("deep", False)])
def test_the_queue_sends_it_on_its_own(world, name, is_offered):
    """Whatever waits for the domain; the other mail waits on."""
    def refuses(link):
        link.hello("STARTTLS")
        link.start_tls(world.folder / "self.pem")
        link.line()

    node, plain = world.node, "Subject: waits\n\n"
    with Host(*[refuses] * is_offered):
        assert node.inject(f"joe@{name}.zz", text=plain) == 0
        wait_until(lambda: f"lane {name}.zz: rests" in node.log("queue1"),
                   node.logs)
    with Host(in_plain) as host:
        assert node.inject(f"joe@{name}.zz",
                           text="TLS-Required: No\n" + plain) == 0
        host.thread.join(60 * SLOW)
        assert not host.thread.is_alive(), node.logs()
    assert host.links[0].message.count(b"TLS-Required: No") == 1
    wait_until(lambda: len(json.loads(node.svctool(
        "queue", "list", "--json").stdout)) == 1, node.logs)
    shown = node.svctool("queue", "show", json.loads(node.svctool(
        "queue", "list", "--json").stdout)[0]["id"]).stdout
    assert "TLS-Required" not in shown and "Subject: waits" in shown
    forget_mail(world)


def test_the_queue_sends_it_by_its_sender(world):
    """Where lanes are by sender, too; one that was made before they were."""
    def reread():
        before = world.node.log("remote").count("were read again")
        run("svc", "-h", world.node.home / "service/remote")
        wait_until(lambda: world.node.log("remote").count("were read again")
                   > before, "settings are read")

    node = world.node
    routes = node.control / "smtproutes"
    try:
        for _ in range(2):
            with Host(in_plain) as host:
                assert node.inject("joe@bogus.zz", sender="s@example.org",
                                   text="TLS-Required: No\n\nx\n") == 0
                host.thread.join(60 * SLOW)
                assert not host.thread.is_alive(), node.logs()
            routes.write_text("!other@example.org:[127.0.0.9]:1\n")
            reread()
    finally:
        routes.unlink(missing_ok=True)
        reread()
    forget_mail(world)


def test_what_the_operator_wants_counts(world):
    lines = world.node.control / "tlspolicy"
    lines.write_text("none.zz:encrypt\n")
    try:
        with Host(lambda link: (link.hello(), link.line())):
            report = remote(world, "none", "TLS-Required: No\n\nx\n")
    finally:
        lines.unlink()
    assert report.letters == "Z" and "(#4.7.10)" in report.text


# -- resumption

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
def test_resumed(world, version):
    """By the next connection for the same proofs, until HUP."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.load_cert_chain(world.folder / "self.pem")
    reused = []

    def script(link):
        link.hello("STARTTLS")
        link.take("STARTTLS", "220 go")
        link.socket = context.wrap_socket(link.socket, server_side=True)
        reused.append(link.socket.session_reused)
        link.hello(greeting=None)
        link.transaction()
        link.at_end()

    world.node.reread_remote()
    for name in ("again", "again", "againtoo", "again", "againtoo"):
        deliver(world, name, script)
    assert reused == [False, True, False, True, True]
    world.node.wait_log("remote", " (resumed) verified by dane")
    world.node.reread_remote()
    deliver(world, "again", script)
    assert not reused[-1]
