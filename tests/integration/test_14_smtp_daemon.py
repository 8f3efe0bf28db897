# SPDX-License-Identifier: ISC
"""The listener and the program under tcpserver: start, limits, stop."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from node import BIN, SLOW, wait_until
from smtp_peer import Client, Smtpd, shared_node, smtpd


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        yield made


def test_a_busy_port_is_a_clear_error(node):
    with smtpd(node) as server:
        done = node.run("qmail-smtpd", "--listen",
                        f"127.0.0.1:{server.port}", code=111)
        assert str(server.port) in done.stderr
        assert "in use" in done.stderr


@pytest.mark.parametrize("options", [
    ["--listen"], ["--listen", "x"], ["--listen", "127.0.0.1"],
    ["--listen", "127.0.0.1:99999"], ["--listen", "localhost:25"],
    ["--listen", "::1:25"], ["--what"], ["x"]])
def test_bad_options(node, options):
    done = node.run("qmail-smtpd", *options, code=100)
    assert done.stderr.startswith("qmail-smtpd: fatal: ")
    assert "usage: qmail-smtpd" in done.stderr


def test_a_bad_setting_is_named(node):
    (node.control / "databytes").write_text("much\n")
    try:
        done = node.run("qmail-smtpd", "--listen", "127.0.0.1:0", code=100)
        assert "databytes" in done.stderr and "much" in done.stderr
    finally:
        (node.control / "databytes").unlink()


def test_ipv6(node):
    server = subprocess.Popen(
        [BIN / "qmail-smtpd", "--listen", "[::1]:0"],
        env=node.environment(), stderr=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r"listening on \[::1\]:(\d+)",
                             server.stderr.readline())[1])
        with socket.create_connection(("::1", port)) as connection:
            assert connection.recv(100).startswith(b"220 ")
            lines = [server.stderr.readline() for _ in range(3)]
            assert re.fullmatch(r"tcpserver: pid \d+ from ::1\n", lines[1])
    finally:
        server.terminate()
        assert server.wait(60) == 0
        server.stderr.close()


def test_hup_rereads_and_a_bad_reread_keeps_the_old(node):
    file = node.control / "databytes"
    try:
        with smtpd(node) as server:
            for text, log, size in [
                    ("1000\n", "settings reread", "SIZE 1000"),
                    ("oops\n", "alert: the old settings stay: .*oops", "SIZE 1000"),
                    ("2000\n", "(?s)reread.*reread", "SIZE 2000")]:
                file.write_text(text)
                server.signal(signal.SIGHUP)
                server.wait_log(log)
                with server.client() as client:
                    assert size in str(client.hello())
    finally:
        file.unlink()


@pytest.mark.parametrize("name, text", [
    ("smtpgreeting", ""), ("tlsserverciphers", "no-such-cipher\n"),
    ("from.envrules", "junk\n")])
def test_hup_refuses_what_a_start_would(node, name, text):
    """With an alert that names the file, and nobody is cut off."""
    file = node.control / name
    try:
        with smtpd(node) as server, server.client() as old:
            old.hello()
            file.write_text(text)
            server.signal(signal.SIGHUP)
            server.wait_log(f"alert: the old settings stay: {file}")
            with server.client() as client:
                assert "STARTTLS" in str(client.hello())
            assert old.say("NOOP").code == 250
    finally:
        file.unlink()


def test_term_ends_idle_sessions_and_lets_others_finish(node):
    server = Smtpd(node)
    idle, busy, late = [server.client() for _ in range(3)]
    idle.hello()
    busy.begin()
    assert busy.say("DATA").code == 354
    late.begin()
    server.process.terminate()
    assert idle.read().code == 421
    assert idle.is_closed()
    with pytest.raises(OSError):
        Client(server.port)
    busy.write("done in time\r\n.\r\n")
    assert busy.read().code == 250
    assert busy.read().code == 421
    assert server.process.poll() is None
    assert late.data("me too\r\n.\r\n").code == 250
    assert server.process.wait(60 * SLOW) == 0
    server.stop()
    assert "exiting" in server.log
    texts = b"".join(node.wait_messages("alice", 2))
    assert b"done in time\n" in texts and b"me too\n" in texts


def test_connection_lines_are_tcpservers(node):
    with smtpd(node, MAXDAEMONS="7") as server:
        with server.client() as client:
            port = client.socket.getsockname()[1]
            client.ok("QUIT")
        server.wait_log("status: 0/7")
        log = server.log
    number = re.search(r"tcpserver: pid (\d+) from 127\.0\.0\.1\n", log)[1]
    assert (f"tcpserver: status: 1/7\ntcpserver: pid {number} from 127.0.0.1\n"
            f"tcpserver: ok {number} mail.example.test:127.0.0.1:{server.port} "
            f":127.0.0.1::{port}\n") in log
    assert (f"tcpserver: end {number} status 0\ntcpserver: status: 0/7\n"
            ) in log


def test_lines_of_a_session_are_one_write(node):
    """A pipe of packets shows what each write was."""
    ours, theirs = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
    process = subprocess.Popen([BIN / "qmail-smtpd", "--listen", "127.0.0.1:0"],
                               env=node.environment(), stderr=theirs)
    os.close(theirs)
    try:
        port = int(re.search(rb"listening on 127\.0\.0\.1:(\d+)\n",
                             os.read(ours, 4096))[1])
        whole = re.compile(rb"tcpserver: status: \d+/.*\ntcpserver: pid .*\n"
                           rb"tcpserver: ok .*\nqmail-smtpd: pid .* qp .*\n"
                           rb"tcpserver: end .*\ntcpserver: status: \d+/.*\n")
        for turn in range(20):  # one of them is quick enough
            with Client(port) as client:
                client.begin()
                assert client.data("x\r\n.\r\n").code == 250
                client.ok("QUIT")
            lines = b""
            while lines.count(b"tcpserver: status: ") < 2:
                packet = os.read(ours, 4096)
                assert packet.endswith(b"\n")
                lines += packet
            assert whole.fullmatch(lines), lines
            if whole.fullmatch(packet):
                break
        assert whole.fullmatch(packet), packet
        # those of a long session do not wait for its end
        with Client(port) as client:
            client.hello()
            assert os.read(ours, 4096).startswith(b"tcpserver: status: ")
            process.terminate()
            assert client.read().code == 421
        rest = b""
        while packet := os.read(ours, 4096):
            rest += packet
        assert b"tcpserver: end " in rest and b"exiting\n" in rest
    finally:
        process.terminate()
        assert process.wait(60 * SLOW) == 0
        os.close(ours)


def greeting(server):
    with server.client(greet=False) as client:
        return client.read().code


def test_limits_of_connections(node):
    with smtpd(node, MAXPERIP="2") as server:
        first, second = server.client(), server.client()
        with server.client(greet=False) as third:
            assert str(third.read()).startswith(
                "421 too many connections from your address")
            assert third.is_closed()
        first.close()
        wait_until(lambda: greeting(server) == 220, "a place is free again")
        second.close()
    with smtpd(node, MAXDAEMONS="1") as server:
        with server.client():
            with server.client(greet=False) as other:
                assert str(other.read()).startswith(
                    "421 too many connections, try")


@pytest.mark.parametrize("name", ["maxperip", "maxdaemons"])
def test_limits_change_with_hup(node, name):
    file = node.control / name
    file.write_text("1\n")
    try:
        with smtpd(node) as server, server.client():
            with server.client(greet=False) as client:
                assert client.read().code == 421
            file.write_text("5\n")
            server.signal(signal.SIGHUP)
            server.wait_log("reread")
            server.client().close()
    finally:
        file.unlink()


def test_a_slow_client_times_out_alone(node):
    (node.control / "timeoutsmtpd").write_text("1\n")
    try:
        with smtpd(node) as server, server.client() as slow:
            slow.begin()
            slow.ok("DATA")
            slow.write("half")
            with server.client() as quick:
                quick.begin()
                assert quick.data("x\r\n.\r\n").code == 250
            assert str(slow.read()) == (
                "451 4.4.2 Sorry, I reached a timeout reading from client "
                "(#4.4.2)")
            assert slow.is_closed()
            server.wait_log("timeout reached reading data from client")
    finally:
        (node.control / "timeoutsmtpd").unlink()


def test_a_client_that_does_not_read_times_out(node):
    (node.control / "timeoutsmtpd").write_text("1\n")
    try:
        with smtpd(node) as server, server.client() as deaf:
            deaf.socket.settimeout(20 * SLOW)
            with pytest.raises(OSError):
                for _ in range(2000):
                    deaf.write("HELP\r\n" * 2000)
            server.wait_log(r"tcpserver: end \d+ status 0")
            server.client().close()
    finally:
        (node.control / "timeoutsmtpd").unlink()


def test_emfile_passes(node):
    """Out of descriptors, clients wait; nobody is lost when it is over."""
    with smtpd(node, files=40) as server:
        clients = []
        for _ in range(60):
            clients.append(Client(server.port, greet=False))
        greeted = [clients.pop(0) for _ in range(10)]
        for client in greeted:
            assert client.read().code == 220
        for client in greeted:
            client.close()
        while clients:
            client = clients.pop(0)
            assert client.read().code == 220
            client.close()
        wait_until(lambda: takes_mail(server), "descriptors are free again")


def takes_mail(server):
    """One message; False when it is put off, as while descriptors lack."""
    with server.client() as client:
        client.hello()
        client.ok("MAIL FROM:<a@b>")
        if client.say("RCPT TO:<alice@example.test>").code == 451:
            return False
        assert client.data("after all\r\n.\r\n").code == 250
        return True


def test_a_restart_of_the_queue_is_no_451(node):
    """RCPT waits for it, as the end of DATA does."""
    control = node.home / "service/queue1/supervise/control"
    with smtpd(node) as server, server.client() as client:
        client.hello()
        client.ok("MAIL FROM:<a@b>")
        control.open("w").write("d")
        try:
            wait_until(lambda: node.queue("queue1")["state"] == "down",
                       "it is down")
            client.write("RCPT TO:<alice@example.test>\r\n")
            client.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.socket.recv(1, socket.MSG_PEEK)
            client.socket.settimeout(60)
        finally:
            control.open("w").write("u")
        assert client.read().code == 250
        assert client.data("after all\r\n.\r\n").code == 250


def test_sessions_run_side_by_side(node):
    before = len(node.messages("bob"))
    failures = []

    def send(server, number):
        try:
            with server.client() as client:
                client.hello()
                for turn in range(5):
                    client.ok("MAIL FROM:<a@b>")
                    client.ok("RCPT TO:<bob@example.test>")
                    assert client.data(f"{number} {turn}\r\n.\r\n").code == 250
        except BaseException as failure:
            failures.append(failure)
            raise

    with smtpd(node) as server:
        threads = [threading.Thread(target=send, args=(server, number))
                   for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    texts = node.wait_messages("bob", before + 100)
    assert {text.split(b"\n")[-2] for text in texts} >= {
        f"{number} {turn}".encode() for number in range(20)
        for turn in range(5)}


def test_under_tcpserver(node):
    rules = node.control / "tcp.smtp.cdb"
    done = subprocess.Popen(
        ["tcpserver", "-v", "-HRl", "server.example", "-x", rules, "-1",
         "127.0.0.1", "0", BIN / "qmail-smtpd"],
        env=node.environment(), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(done.stdout.readline())
        before = len(node.messages("alice"))
        with Client(port) as client:
            client.begin(verb="HELO")
            assert client.data("by tcpserver\r\n.\r\n").code == 250
            assert client.say("QUIT").code == 221
        text = [text for text in node.wait_messages("alice", before + 1)
                if b"by tcpserver" in text][0]
        assert (b"Received: from unknown (HELO client.example.net) (127.0.0.1)"
                b"\n  by server.example with SMTP\n") in text
    finally:
        done.terminate()
        done.wait(30)
        done.stdout.close()


def run_on_pair(node, *options, **env):
    """The program as inetd runs it: one socket as fd 0 and 1."""
    ours, theirs = socket.socketpair()
    environment = {**node.environment(), **env}
    process = subprocess.Popen([BIN / "qmail-smtpd", *options], stdin=theirs,
                               stdout=theirs, stderr=subprocess.PIPE,
                               env=environment, text=True)
    theirs.close()
    return ours, process


def test_under_inetd(node):
    ours, process = run_on_pair(node)
    file = ours.makefile("rb")
    assert file.readline() == b"220 mail.example.test ESMTP\r\n"
    ours.sendall(b"QUIT\r\n")
    assert file.readline() == b"221 mail.example.test\r\n"
    assert file.read() == b""
    assert process.wait(30 * SLOW) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    ours.close()


def test_a_bad_setting_under_inetd(node):
    ours, process = run_on_pair(node, DATABYTES="x")
    assert ours.recv(1000) == (
        b"421 Sorry, I'm unable to read controls (#4.3.0)\r\n")
    assert process.wait(30 * SLOW) == 111
    assert "DATABYTES" in process.stderr.read()
    process.stderr.close()
    ours.close()


def test_idle_sessions_are_cheap(node):
    """Measured for the bench; here only that it is not a regression."""
    if SLOW > 1:
        pytest.skip("sanitizers' memory is not ours")

    def resident_kb(server):
        text = open(f"/proc/{server.process.pid}/status").read()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1])

    with smtpd(node) as server:
        server.client().close()
        before = resident_kb(server)
        clients = [server.client() for _ in range(400)]
        for client in clients:
            client.hello()
        wait_until(lambda: "status: 400/" in server.log, "400 connections")
        each = (resident_kb(server) - before) / len(clients)
        for client in clients:
            client.close()
    assert each < 40, f"{each} KiB for an idle session"


def test_term_cuts_off_what_does_not_end(node):
    """After a while; no client was told 250 for what is lost."""
    server = Smtpd(node, times="DRAIN_MS=1500")
    with server.client() as client:
        client.begin()
        client.ok("DATA")
        client.write("never ended")
        started = time.monotonic()
        server.process.terminate()
        # Who waits for it is told for what.
        server.wait_log("stopping, 1 session")
        assert "cut off" not in server.log
        assert server.stop() == 0
        assert time.monotonic() - started < 30
        assert "1 session cut off" in server.log
    assert os.path.exists(node.home)
    node.wait_empty()
