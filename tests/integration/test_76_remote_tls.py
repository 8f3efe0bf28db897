# SPDX-License-Identifier: ISC
"""TLS with other hosts: tlspolicy, DANE, MTA-STS, and the report."""
import hashlib
import http.server
import json
import re
import socket
import ssl
import subprocess
import threading

import pytest

import ports
from name_server import CONFIG, NameServer
from node import SLOW, Node, wait_until
from remote_peer import Peer

# One world for all, and the last ones look at what the others have done in it.
pytestmark = pytest.mark.xdist_group("remote_tls")

# Names below a top-level domain that only the signed root of the test has.
ROOT = """$ORIGIN .
$TTL 300
@ IN SOA ns.zz. hostmaster.zz. 1 3600 600 86400 60
@ IN NS ns.zz.
ns.zz. IN A 127.0.0.1
"""
TLSA = {"good": "3 1 1 {good}", "wrong": "3 1 1 " + "00" * 32,
        "useless": "1 1 1 " + "00" * 32, "bogus": "3 1 1 " + "ab" * 32}
POLICIES = {"sts": ("enforce", "mx.sts.zz"),
            "stsbad": ("enforce", "mx.other.zz"),
            "ststest": ("testing", "*.ststest.zz"),
            "stsoff": ("none", "mx.stsoff.zz")}
PLAIN = ("plain", "only", "verify", "encrypt", "off", "nohost")


def run(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60 * SLOW, **options)


class SignedRoot(NameServer):
    """The root, signed; anchor is its key.  One record's signature is bad."""

    def __init__(self, folder, records):
        self.folder, self.zones, self.process = folder, {}, None
        self.port = ports.take()
        (folder / "root").write_text(ROOT + records)
        name = subprocess.run(
            ["ldns-keygen", "-k", "-a", "ECDSAP256SHA256", "."], cwd=folder,
            stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        run("ldns-signzone", "-o", ".", "-f", "root.signed", "root", name,
            cwd=folder)
        signed = (folder / "root.signed").read_text()
        assert "ab" * 32 in signed.lower()
        (folder / "root.signed").write_text(
            re.sub("ab" * 32, "ac" * 32, signed, flags=re.I))
        self.anchor = folder / f"{name}.key"
        (folder / "nsd.conf").write_text(
            CONFIG.format(port=self.port, folder=folder)
            + 'zone:\n  name: "."\n  zonefile: root.signed\n')
        self.start()


class PolicyServer(http.server.ThreadingHTTPServer):
    """https://mta-sts.DOMAIN/.well-known/mta-sts.txt"""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            domain = self.headers["Host"].split(":")[0].split(".")[1]
            self.server.asked.append(domain)
            mode, mx = POLICIES[domain]
            text = (f"version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\n"
                    "max_age: 86400\r\n").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    def __init__(self, pem):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.asked = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


class World:
    """Certificates, names, policies, and a node that delivers to all that."""

    def __init__(self, folder):
        self.folder = folder
        self.port = ports.take()
        self.make_certificates()
        self.names = SignedRoot(folder, self.records())
        self.policies = PolicyServer(folder / "signed.pem")
        self.node = Node(folder / "n", "--init-only", "--queues", "1")
        for name, text in {
                "dnsforward": f"127.0.0.1@{self.names.port}",
                "dnsanchor": self.names.anchor, "notipme": "127.0.0.0/8",
                "smtproutes": f"::{self.port}",
                "tlscafile": folder / "ca.pem", "queue_slice": 1,
                "mtastsport": self.policies.server_address[1],
                "notlshosts": "mx.nohost.zz",
                "tlspolicy": "only.zz:dane-only\nverify.zz:verify\n"
                             "encrypt.zz:encrypt\noff.zz:none"}.items():
            (self.node.control / name).write_text(f"{text}\n")
        self.node.up()
        self.start()

    def make_certificates(self):
        folder = self.folder
        names = [f"mx.{name}.zz" for name in (*PLAIN, *POLICIES)] + [
            f"mta-sts.{name}.zz" for name in POLICIES]
        for name in ("ca", "self", "signed"):
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                f"/CN={name}.zz", "-keyout", folder / f"{name}.key", "-out",
                folder / f"{name}.pem",
                *(["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                   "-addext", "subjectAltName=" + ",".join(
                       f"DNS:{each}" for each in names)]
                  if name == "signed" else []))
        for name in ("self", "signed"):
            with (folder / f"{name}.pem").open("a") as file:
                file.write((folder / f"{name}.key").read_text())

    def key_digest(self):
        text = (self.folder / "self.pem").read_bytes()
        key = subprocess.run(
            ["openssl", "x509", "-pubkey", "-noout"], input=text,
            stdout=subprocess.PIPE, check=True).stdout
        der = subprocess.run(
            ["openssl", "pkey", "-pubin", "-outform", "DER"], input=key,
            stdout=subprocess.PIPE, check=True).stdout
        return hashlib.sha256(der).hexdigest()

    def records(self):
        lines = []
        for name in (*TLSA, *POLICIES, *PLAIN):
            lines += [f"{name}.zz. IN MX 10 mx.{name}.zz.",
                      f"mx.{name}.zz. IN A 127.0.0.1"]
        for name, record in TLSA.items():
            record = record.format(good=self.key_digest())
            lines.append(
                f"_{self.port}._tcp.mx.{name}.zz. IN TLSA {record}")
        for name in POLICIES:
            lines += [f'_mta-sts.{name}.zz. IN TXT "v=STSv1; id=1;"',
                      f"mta-sts.{name}.zz. IN A 127.0.0.1"]
        return "\n".join(lines) + "\n"

    def start(self, before=0):
        wait_until(lambda: self.read_log().count(": ready") > before,
                   lambda: "qmail-rspawn is ready: " + self.read_log())

    def read_log(self):
        return self.node.log("remote")

    def wait_log(self, text):
        wait_until(lambda: text in self.read_log(),
                   lambda: f"{text!r} in {self.read_log()}{self.node.logs()}")

    def restart(self):
        before = self.read_log().count(": ready")
        run("svc", "-t", self.node.home / "service/remote")
        self.start(before)

    def close(self):
        self.node.down()
        self.policies.close()
        self.names.stop()

    def route(self, domain, code=0):
        done = self.node.svctool("route", domain, "--json", code=code)
        return json.loads(done.stdout)

    def report(self):
        done = self.node.svctool("tls-report", "--json")
        return {(row["domain"], row["policy"], row["result"]):
                row["sessions"] for row in json.loads(done.stdout)["rows"]}


class Host(Peer):
    """A peer at the port that the records are about."""

    def __init__(self, port, *scripts):
        super().__init__(*scripts)
        self.listener.close()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(30 * SLOW)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("w"))
    yield made
    made.close()


def with_tls(pem):
    def script(link):
        link.hello("STARTTLS")
        link.take("STARTTLS", "220 go")
        link.start_tls(pem)
        link.hello(greeting=None)
        link.transaction()
        link.at_end()
    return script


def in_plain(link):
    link.hello()
    link.transaction()
    link.at_end()


@pytest.mark.parametrize("domain,policy,level,why", [
    ("good", "default", "verify", "DANE"),
    ("useless", "default", "encrypt", "no TLSA record that can be used"),
    ("plain", "default", "may", "nothing asks"),
    ("verify", "verify.zz:verify", "verify", "tlspolicy"),
    ("encrypt", "encrypt.zz:encrypt", "encrypt", "tlspolicy"),
    ("off", "off.zz:none", "none", "tlspolicy"),
    ("nohost", "default", "none", "notlshosts"),
    ("sts", "default", "verify", "MTA-STS"),
    ("ststest", "default", "may", "MTA-STS, which is being tested"),
    ("stsoff", "default", "may", "nothing asks"),
])
def test_what_is_wanted(world, domain, policy, level, why):
    answer = world.route(f"{domain}.zz")
    assert answer["state"] == "found"
    assert answer["tls"]["policy"] == policy
    host = answer["tls"]["hosts"][0]
    assert (host["level"], host["refused"]) == (level, False)
    assert why in host["why"]
    assert answer["addresses"][0]["tls"] == level


@pytest.mark.parametrize("domain,why", [
    ("bogus", "its TLSA records cannot be told"),
    ("only", "tlspolicy wants DANE"),
    ("stsbad", "MTA-STS policy does not name it"),
])
def test_a_host_that_may_not_be_used(world, domain, why):
    answer = world.route(f"{domain}.zz", code=111)
    assert answer["state"] == "unknown"
    assert "(#4.7.5)" in answer["reason"] and why in answer["reason"]
    assert answer["tls"]["hosts"][0]["refused"]


def deliver(world, domain, *scripts):
    with Host(world.port, *scripts) as host:
        assert world.node.inject(f"joe@{domain}") == 0
        host.thread.join(60 * SLOW)
    return host


@pytest.mark.parametrize("domain,pem,line", [
    ("good.zz", "self.pem", "wanted verify (DANE); TLSv1.3 "),
    ("sts.zz", "signed.pem", "wanted verify (MTA-STS); TLSv1.3 "),
    ("verify.zz", "signed.pem", "wanted verify (tlspolicy); TLSv1.3 "),
    ("useless.zz", "self.pem", "wanted encrypt (DANE, "),
    ("ststest.zz", "self.pem", "wanted may (MTA-STS, "),
])
def test_delivered(world, domain, pem, line):
    host = deliver(world, domain, with_tls(world.folder / pem))
    assert b"Hello." in host.links[0].message
    world.wait_log(f"tls mx.{domain} 127.0.0.1: {line}")
    proof = {"good.zz": "verified by dane", "sts.zz": "verified by authorities",
             "verify.zz": "verified by authorities"}.get(
                 domain, "not verified")
    last = [each for each in world.read_log().splitlines()
            if f"tls mx.{domain} " in each][-1]
    assert last.endswith(proof)


@pytest.mark.parametrize("domain", ["off.zz", "nohost.zz"])
def test_delivered_in_plain(world, domain):
    host = deliver(world, domain, in_plain)
    assert b"Hello." in host.links[0].message
    world.wait_log(f"tls mx.{domain} 127.0.0.1: wanted none")


@pytest.mark.parametrize("domain,pem", [
    ("wrong.zz", "self.pem"),   # not the certificate of its TLSA record
    ("sts.zz", "self.pem"),     # no authority has signed it
])
def test_not_delivered(world, domain, pem):
    before = world.read_log().count("does not prove the host")

    def script(link):
        link.hello("STARTTLS")
        link.take("STARTTLS", "220 go")
        link.start_tls(world.folder / pem)
        link.line()
    host = deliver(world, domain, script)
    assert host.links[0].message is None
    wait_until(lambda: world.read_log().count("does not prove the host")
               > before, "the failure is logged")


def test_a_policy_is_kept_and_the_report_is_written(world):
    kept = world.node.home / "run/mta-sts/sts.zz"
    assert "mode: enforce" in kept.read_text()
    asked = world.policies.asked.count("sts")
    assert world.route("sts.zz")["tls"]["hosts"][0]["level"] == "verify"
    assert world.policies.asked.count("sts") == asked
    world.restart()  # which writes what was counted
    report = world.report()
    assert report["good.zz", "tlsa", ""] >= 1
    assert report["wrong.zz", "tlsa", "validation-failure"] >= 1
    assert report["sts.zz", "sts", ""] >= 1
    assert report["sts.zz", "sts", "certificate-not-trusted"] >= 1
    assert report["ststest.zz", "sts", "certificate-not-trusted"] >= 1
    assert ("off.zz", "no-policy-found", "") not in report


def test_check_judges_lines(world):
    path = world.node.control / "tlspolicy"
    before = path.read_text()
    path.write_text("a.zz:perhaps\n")
    done = world.node.svctool("check", code=None)
    path.write_text(before)
    assert "is not a TLS policy" in done.stdout + done.stderr
