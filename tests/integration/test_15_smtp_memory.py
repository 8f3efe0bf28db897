# SPDX-License-Identifier: ISC
"""What one client uses of memory is not at the cost of the others."""
import re
import resource
import signal

import pytest

from node import SLOW, wait_until
from smtp_peer import Client, shared_node, smtpd

SESSION = 32 * 1024
LEAST = 512 * 1024
NO_MEMORY = "4.3.1 sorry, I am short of memory, try again later (#4.3.1)"


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        yield made


def flood(client, recipients=5000):
    """Asks for long recipients until one is refused; gives that reply."""
    line = "RCPT TO:<" + "x" * 230 + "@example.test>\r\n"
    for _ in range(recipients // 50):
        client.write(line * 50)
        replies = [client.read() for _ in range(50)]
        if replies[-1].code != 250:
            return replies[-1]
    return replies[-1]


def begin(client):
    client.hello()
    client.ok("MAIL FROM:<a@b>")


def test_connections_over_the_limit_are_refused(node):
    with smtpd(node, SESSIONMEMORY=LEAST) as server:
        clients = [server.client() for _ in range(LEAST // SESSION)]
        with server.client(greet=False) as client:
            assert str(client.read()) == (
                "421 too many connections, try again later (#4.3.2)")
            assert client.is_closed()
        server.wait_log(r"pid \d+ from 127\.0\.0\.1 out of memory for sessions "
                        rf"\(sessionmemory {LEAST} bytes\)")
        # those that are there go on, and end what they can do
        begin(clients[0])
        assert str(clients[0].say("RCPT TO:<alice@example.test>")) == (
            f"452 {NO_MEMORY}")
        for client in clients[1:9]:
            client.close()

        def is_taken():
            clients[0].ok("RSET")
            begin(clients[0])
            if clients[0].say("RCPT TO:<alice@example.test>").code == 452:
                return False
            reply = clients[0].say("DATA")
            assert reply.code == 354 or str(reply) == f"452 {NO_MEMORY}"
            return reply.code == 354

        wait_until(is_taken, "memory of the sessions that ended")
        clients[0].write("x\r\n.\r\n")
        assert clients[0].read().code == 250
        for client in clients[9:] + clients[:1]:
            client.close()


def test_recipients_over_the_limit_are_refused(node):
    with smtpd(node, SESSIONMEMORY=LEAST, CHECKRECIPIENT="0") as server:
        with server.client() as greedy, server.client() as other:
            begin(greedy)
            assert str(flood(greedy)) == f"452 {NO_MEMORY}"
            begin(other)
            assert other.say("RCPT TO:<bob@example.test>").code == 452
            assert other.ok("NOOP")
            greedy.ok("RSET")
            other.ok("RCPT TO:<bob@example.test>")
            assert other.data("x\r\n.\r\n").code == 250
            # what a message took is there again, every time
            for _ in range(20):
                begin(other)
                other.ok("RCPT TO:<bob@example.test>")
                assert other.say("BDAT 3 LAST\r\nx").code == 250
            begin(greedy)
            assert flood(greedy).code == 452
            assert greedy.say("DATA").code == 452
            assert greedy.say("DATA").code == 503  # that transaction is over
            begin(greedy)
            greedy.ok("RCPT TO:<bob@example.test>")


def test_a_chunk_that_finds_no_memory_is_read(node):
    with smtpd(node, SESSIONMEMORY=LEAST, CHECKRECIPIENT="0") as server:
        with server.client() as client:
            begin(client)
            flood(client)
            assert str(client.say("BDAT 6 LAST\r\nQUIT")) == f"452 {NO_MEMORY}"
            assert client.ok("NOOP")


def test_the_limit_changes_with_hup(node):
    file = node.control / "sessionmemory"
    try:
        file.write_text(f"{LEAST}\n")
        with smtpd(node, CHECKRECIPIENT="0") as server:
            with server.client() as client:
                begin(client)
                assert flood(client, 2000).code == 452
                for text, log in [("1000\n", "the old settings stay: .*1000"),
                                  (f"{LEAST * 9}\n", "settings reread")]:
                    file.write_text(text)
                    server.signal(signal.SIGHUP)
                    server.wait_log(log)
                client.ok("RSET")
                client.ok("MAIL FROM:<>")
                assert flood(client, 2000).code == 250
    finally:
        file.unlink()


def test_a_limit_for_less_than_a_session_is_told(node):
    done = node.run("qmail-smtpd", "--listen", "127.0.0.1:0", code=100,
                    env={**node.environment(), "SESSIONMEMORY": "1000"})
    assert "SESSIONMEMORY" in done.stderr and str(LEAST) in done.stderr


def test_the_process_survives_without_memory(node):
    """The limit is the kernel's, and nobody has counted."""
    if SLOW > 1:
        pytest.skip("sanitizers need all addresses")
    with smtpd(node, SESSIONMEMORY=2 ** 62, CHECKRECIPIENT="0") as server:
        old, sender = server.client(), server.client()
        begin(old)
        old.ok("RCPT TO:<alice@example.test>")
        sender.begin()
        sender.ok("DATA")
        sender.write("begun\r\n")
        with server.client() as first:
            begin(first)
        pid = server.process.pid
        status = open(f"/proc/{pid}/status").read()
        size = int(re.search(r"VmSize:\s+(\d+) kB", status)[1]) * 1024
        limit = size + (24 << 20)
        before = resource.prlimit(pid, resource.RLIMIT_AS, (
            limit, resource.RLIM_INFINITY))
        greedy, refused = [], 0
        while len(greedy) < 100 and refused < 10:
            client = server.client(greet=False)
            greedy.append(client)
            if client.read().code == 421:
                refused += 1
                continue
            begin(client)
            refused += flood(client, 3000).code == 452
        assert refused >= 10, "there was memory for all"
        assert server.process.poll() is None
        server.wait_log("memory is short|cannot start a thread")
        # who was there is there still, and what has begun can end
        assert old.say("NOOP").code == 250
        assert old.say("DATA").code in (354, 452)
        sender.write("ended\r\n.\r\n")
        assert sender.read().code == 250
        for client in greedy:
            client.close()

        def is_served():
            with Client(server.port, greet=False) as client:
                if client.read().code != 220:
                    return False
                begin(client)
                return client.say(
                    "RCPT TO:<alice@example.test>").code == 250

        wait_until(is_served, "memory is free again")
        resource.prlimit(pid, resource.RLIMIT_AS, before)
        old.close()
        sender.close()
