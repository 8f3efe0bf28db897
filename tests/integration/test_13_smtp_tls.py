# SPDX-License-Identifier: ISC
"""STARTTLS and implicit TLS."""
import re
import shutil
import signal
import smtplib
import ssl
import subprocess

import pytest

from smtp_peer import Client, any_certificate, shared_node, smtpd


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        yield made


def version(number):
    context = any_certificate()
    with pytest.warns() if number < ssl.TLSVersion.TLSv1_2 else nothing():
        context.minimum_version = context.maximum_version = number
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


class nothing:
    def __enter__(self):
        return self

    def __exit__(self, *what):
        return None


@pytest.mark.parametrize("number, name", [
    (ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")])
def test_starttls(node, client, server, number, name):
    assert "STARTTLS" in str(client.hello())
    client.start_tls(version(number))
    assert client.socket.version() == name
    assert "STARTTLS" not in str(client.hello())
    assert client.say("STARTTLS").code == 503
    client.ok("MAIL FROM:<a@b>")
    client.ok("RCPT TO:<alice@example.test>")
    reply = client.data("x\r\n.\r\n")
    cipher, _, bits = client.socket.cipher()
    qp = re.search(r"qp (\d+)", reply.text)[1]
    line = server.wait_log(rf"TLS={name} qp {qp} id (\S+)")
    ident = f"  id {line[1]};".encode()
    found = [text for text in node.wait_messages(
        "alice", len(node.messages("alice")) or 1) if ident in text]
    if not found:  # it was not delivered yet
        node.wait_empty()
        found = [file.read_bytes() for file in node.messages("alice")
                 if ident in file.read_bytes()]
    assert (f"\n  by mail.example.test with ESMTPS ({name} {cipher} "
            f"{bits}/{bits})\n").encode() in found[0]


@pytest.mark.parametrize("number", [ssl.TLSVersion.TLSv1,
                                    ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(client, number):
    client.hello()
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        client.start_tls(version(number))


def test_the_session_is_forgotten(client):
    client.begin()
    client.start_tls()
    assert client.say("RCPT TO:<alice@example.test>").code == 503
    assert client.say("MAIL FROM:<a@b>").code == 503  # no hello yet
    assert "(#5.5.4)" in client.say("MAIL FROM:<a@b>").text
    client.hello()
    assert "MAIL first" in client.say("RCPT TO:<alice@example.test>").text


def test_commands_behind_starttls_are_dropped(client):
    """Injected in the clear, they must not be taken for the client's."""
    client.hello()
    client.write("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x.example>\r\n")
    assert client.read().code == 220
    client.file.close()
    client.socket = any_certificate().wrap_socket(client.socket)
    client.file = client.socket.makefile("rb")
    client.write("NOOP\r\n")
    assert client.read().code == 250
    client.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.socket.recv(1)


def test_no_tls_after_220(client, server):
    client.hello()
    assert client.say("STARTTLS").code == 220
    client.write("MAIL FROM:<a@b>\r\n" * 100)
    while client.socket.recv(1000):  # at most an alert
        pass
    server.wait_log("STARTTLS failed: ")


def test_pipelining_inside_tls(client):
    client.hello()
    client.start_tls()
    client.write("EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<alice@example.test>\r\n"
                 "BDAT 3\r\na\r\nBDAT 200000 LAST\r\n" + "b" * 199998 + "\r\nQUIT\r\n")
    assert [client.read().code for _ in range(6)] == [250] * 5 + [221]


def test_smtplib_over_tls(node, server):
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.starttls(context=any_certificate())
        client.sendmail("a@b.example", ["bob@example.test"], "over TLS\n")
    node.wait_messages("bob", 1)


def has_swaks_with_tls():
    """swaks speaks TLS only with a Perl library, which it can do without."""
    if shutil.which("swaks") is None:
        return False
    done = subprocess.run(["swaks", "--support"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    return "TLS supported" in done.stdout


@pytest.mark.skipif(not has_swaks_with_tls(),
                    reason="no swaks, or no Net::SSLeay for its TLS")
@pytest.mark.parametrize("options, by_tls", [
    ([], ["--tls"]), (["--smtps"], ["--tls-on-connect"])])
def test_swaks_over_tls(node, options, by_tls):
    before = len(node.messages("bob"))
    with smtpd(node, *options) as server:
        done = subprocess.run(
            ["swaks", "--server", "127.0.0.1", "--port", str(server.port),
             *by_tls, "--ehlo", "client.example.net", "--from", "a@b.example",
             "--to", "bob@example.test", "--body", "by swaks"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60)
        assert done.returncode == 0, done.stdout
        assert "=== TLS started with cipher TLSv1.3:" in done.stdout
        # What follows is said inside TLS ("~>").
        assert " ~> DATA" in done.stdout and " -> DATA" not in done.stdout
    node.wait_messages("bob", before + 1)


def test_implicit_tls(node):
    with smtpd(node, "--smtps") as server:
        with Client(server.port, context=any_certificate()) as client:
            assert "STARTTLS" not in str(client.hello())
            assert client.say("STARTTLS").code == 503
        with smtplib.SMTP_SSL("127.0.0.1", server.port,
                              context=any_certificate()) as client:
            assert client.noop()[0] == 250
        with Client(server.port, greet=False) as client:
            client.write("EHLO x\r\n" * 50)
            while client.socket.recv(1000):
                pass
        server.wait_log("TLS failed: ")
    with smtpd(node, SMTPS="1") as server:
        Client(server.port, context=any_certificate()).close()


def certificate_of(server):
    with server.client() as client:
        client.hello()
        client.start_tls()
        return client.socket.getpeercert(binary_form=True)


def test_hup_takes_a_new_certificate(node, tmp_path):
    pem = tmp_path / "cert.pem"
    shutil.copy(node.home / "tls/servercert.pem", pem)
    with smtpd(node, SERVERCERT=pem) as server:
        first = certificate_of(server)
        with server.client() as old:
            old.hello()
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                 "-subj", "/CN=new.example", "-days", "2", "-keyout",
                 tmp_path / "key", "-out", tmp_path / "new"], check=True,
                stderr=subprocess.DEVNULL)
            pem.write_bytes((tmp_path / "key").read_bytes() +
                            (tmp_path / "new").read_bytes())
            server.signal(signal.SIGHUP)
            server.wait_log("settings reread")
            second = certificate_of(server)
            assert second != first
            pem.write_text("damaged")
            server.signal(signal.SIGHUP)
            server.wait_log(r"the old settings stay: .*cert\.pem")
            assert certificate_of(server) == second
            old.start_tls()  # began before: with what it was offered then
            assert old.socket.getpeercert(binary_form=True) == first


def test_without_a_certificate_there_is_no_starttls(node):
    with smtpd(node, CERTDIR="/nonexistent") as server:
        with server.client() as client:
            assert "STARTTLS" not in str(client.hello())
            assert client.say("STARTTLS").code == 502
    done = node.run("qmail-smtpd", "--listen", "127.0.0.1:0", "--smtps",
                    env={**node.environment(), "CERTDIR": "/nonexistent"},
                    code=100)
    assert "no certificate '/nonexistent/servercert.pem'" in done.stderr


def test_hup_without_the_certificate_keeps_it(node):
    pem = node.home / "tls/servercert.pem"
    away = pem.with_suffix(".away")
    with smtpd(node) as server:
        first = certificate_of(server)
        pem.rename(away)
        try:
            server.signal(signal.SIGHUP)
            server.wait_log(f"alert: the old settings stay: no certificate "
                            f"'{pem}': put the chain and the key there")
            assert certificate_of(server) == first
        finally:
            away.rename(pem)
        server.signal(signal.SIGHUP)
        server.wait_log("settings reread")
