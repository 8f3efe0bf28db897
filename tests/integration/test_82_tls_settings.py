# SPDX-License-Identifier: ISC
"""What settings say of TLS with other hosts, against OpenSSL's own server."""
import contextlib
import subprocess
import threading

import pytest

import ports
from node import SLOW, wait_until
from remote_peer import Peer, make_home, send


def certificate(folder, name, *options):
    """NAME.pem and NAME.key; gives the former."""
    path = folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", path,
         *options], check=True, stderr=subprocess.DEVNULL, timeout=60 * SLOW)
    return path


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    for name in ("ca", "stranger"):
        certificate(folder, name)
    certificate(folder, "peer", "-CA", folder / "ca.pem", "-CAkey",
                folder / "ca.key", "-addext",
                "subjectAltName=DNS:mx.peer.zz,DNS:*.wild.zz")
    client = certificate(folder, "client", "-CA", folder / "ca.pem", "-CAkey",
                         folder / "ca.key")
    with client.open("a") as file:
        file.write((folder / "client.key").read_text())
    return folder


class Server:
    """openssl s_server, TLS from the first byte, which takes one message."""

    ANSWERS = {"EHLO": "250 peer", "DATA": "354 go", "QUIT": "221 bye"}

    def __init__(self, pki, *options):
        self.port = ports.take()
        self.verbs = []
        self.log = (pki / "server.log").open("w+")
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}",
             "-cert", pki / "peer.pem", "-key", pki / "peer.key", "-quiet",
             *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, bufsize=0)
        self.say("220 peer")  # it is read when somebody has connected
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        # No connection to see whether it is there: that would be the one.
        wait_until(self.listens, "s_server listens")

    def listens(self):
        with open("/proc/net/tcp") as file:
            return f"0100007F:{self.port:04X} 00000000:0000 0A" in file.read()

    def say(self, line):
        with contextlib.suppress(BrokenPipeError):  # after QUIT
            self.process.stdin.write(f"{line}\r\n".encode())

    def serve(self):
        is_data = False
        for line in self.process.stdout:
            line = line.decode().rstrip("\r\n")
            if is_data:
                is_data = line != "."
                if not is_data:
                    self.say("250 taken")
                continue
            verb = line[:4].upper()
            self.verbs.append(verb)
            is_data = verb == "DATA"
            self.say(self.ANSWERS.get(verb, "250 ok"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=20 * SLOW)
        self.thread.join(20 * SLOW)
        self.log.close()
        self.process.stdin.close()
        self.process.stdout.close()


def attempt(tmp_path, pki, server_options, files=(), **settings):
    home = make_home(tmp_path, **{
        name: text.format(pki=pki) for name, text in settings.items()})
    (home / "tls/tlshosts").mkdir(parents=True)
    for name, source in files:
        (home / "tls" / name).write_bytes((pki / source).read_bytes())
    with Server(pki, *map(str, server_options)) as server:
        report = send(home, server.port, route="/s")
    assert (report.letters == "rK") == ("DATA" in server.verbs)
    return report


SUITE = "TLS_AES_128_GCM_SHA256"
OTHER_SUITE = "TLS_CHACHA20_POLY1305_SHA256"
CIPHER = "ECDHE-ECDSA-AES128-GCM-SHA256"
OTHER_CIPHER = "ECDHE-ECDSA-CHACHA20-POLY1305"


@pytest.mark.parametrize("options, setting, good, bad", [
    (("-ciphersuites", SUITE), "tlsclientsuites", SUITE, OTHER_SUITE),
    (("-tls1_2", "-cipher", CIPHER), "tlsclientciphers", CIPHER,
     OTHER_CIPHER),
    (("-groups", "P-384"), "tlsclientgroups", "X25519:P-384", "X25519:P-256"),
])
def test_what_is_agreed(tmp_path, pki, options, setting, good, bad):
    """A server that takes nothing else shows what was offered."""
    folders = [tmp_path / name for name in ("good", "bad")]
    for folder in folders:
        folder.mkdir()
    assert attempt(folders[0], pki, options,
                   **{setting: good}).letters == "rK"
    report = attempt(folders[1], pki, options, **{setting: bad})
    assert report.letters == "Z" and "TLS failed" in report.text


@pytest.mark.parametrize("setting, value", [
    ("tlsclientsuites", "TLS_PERHAPS"), ("tlsclientgroups", "X25518"),
    ("tlsclientciphers", "NO-SUCH")])
def test_a_value_that_is_none(tmp_path, pki, setting, value):
    home = make_home(tmp_path, **{setting: value})
    report = send(home, 9, route="/s")
    assert report.letters == "Z" and value in report.text


ASKS = ("-Verify", "1", "-verify_return_error")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("files, letters", [
    ((("clientcert.pem", "client.pem"),), "rK"), ((), "Z")])
def test_a_certificate_of_ours(tmp_path, pki, version, files, letters):
    report = attempt(tmp_path, pki, (*ASKS, "-CAfile", pki / "ca.pem",
                                     version), files)
    assert report.letters == letters


@pytest.mark.parametrize("policy, authorities, letters", [
    ("verify:mx.peer.zz", "ca", "rK"),
    ("verify:mx.other.zz,mx.peer.zz", "ca", "rK"),
    ("verify:a.wild.zz", "ca", "rK"),
    ("verify:a.b.wild.zz", "ca", "Z"),
    ("verify:wild.zz", "ca", "Z"),
    ("verify:peer", "ca", "Z"),  # its common name, which does not count
    ("verify", "ca", "Z"),       # it does not have its address
    ("verify:mx.peer.zz", "stranger", "Z"),
    ("encrypt", "stranger", "rK"),
])
def test_names(tmp_path, pki, policy, authorities, letters):
    report = attempt(tmp_path, pki, (), tlspolicy=f"example.net:{policy}",
                     tlscafile=f"{{pki}}/{authorities}.pem")
    assert report.letters == letters
    if letters == "Z":
        assert "(#4.7.5)" in report.text


@pytest.mark.parametrize("source, others, letters", [
    ("ca.pem", "stranger", "rK"), ("stranger.pem", "ca", "Z"),
    ("ca.key", "ca", "Z")])
def test_authorities_of_one_host(tmp_path, pki, source, others, letters):
    """tls/tlshosts/HOST.pem counts, and the others do not."""
    report = attempt(tmp_path, pki, (),
                     (("tlshosts/127.0.0.1.pem", source),),
                     tlspolicy="example.net:verify:mx.peer.zz",
                     tlscafile=f"{{pki}}/{others}.pem")
    assert report.letters == letters


# -- a host that breaks STARTTLS

def not_offered(link):
    link.hello()
    link.line()


def refused(link):
    link.hello("STARTTLS")
    link.take("STARTTLS", "454 not now")
    link.line()


def closed(link):
    link.hello("STARTTLS")
    link.take("STARTTLS")


def nonsense(link):
    link.hello("STARTTLS")
    link.take("STARTTLS", *["220 go", "no tls at all"] * 100)
    link.fill()


@pytest.mark.parametrize("policy", ["encrypt", "verify"])
@pytest.mark.parametrize("script, code", [
    (not_offered, "4.7.10"), (refused, ""), (closed, "4.4.2"),
    (nonsense, "4.7.5")])
def test_never_in_plain(tmp_path, policy, script, code):
    home = make_home(tmp_path, tlspolicy=f"example.net:{policy}")
    with Peer(script) as peer:
        report = send(home, peer.port)
    assert report.letters == "Z" and code in report.text
    commands = [line for link in peer.links for line in link.commands]
    assert not any(line.startswith("MAIL") for line in commands)
