# SPDX-License-Identifier: ISC
"""FUTURERELEASE (RFC 4865): a message is held until the time that its sender has
said, whatever is killed, stopped or tried meanwhile; and an operator releases it."""
import contextlib
import json
import os
import shutil
import signal
import smtplib
import time
import uuid

import pytest

import queue_states
from node import SLOW, wait_until
from queue_peer import DOMAIN, Intake
from smtp_peer import any_certificate
from syscalls import Tracer

FAR = 100000  # seconds
RECIPIENT = f"held@{DOMAIN}"


def record(hold, *recipients):
    """An envelope with a hold; hold is the text of HOLD=."""
    return (f"e HOLD={hold}\0Fs@example.net\0".encode() +
            b"".join(b"T" + name.encode() + b"\0"
                     for name in recipients or (RECIPIENT,)))


class Bench:
    """A queue whose worker takes what it gets, and notes when."""

    def __init__(self, queue):
        self.queue = queue
        self.tried = []
        self.outcome = "K"

    def start(self):
        self.queue.start()
        self.queue.worker(self.decide)

    def decide(self, job):
        self.tried.append((job.recipient.removeprefix(f"{DOMAIN}-"),
                           time.time()))
        return (self.outcome, "as planned\n")

    def put(self, hold, *recipients):
        client = Intake(self.queue)
        assert client.commit(b"Subject: x\n\nbody\n",
                             record=record(hold, *recipients))[0] == 0
        client.close()
        return client.id

    def others_pass(self):
        """Mail that came later is delivered: what is due was tried."""
        name = f"other{len(self.tried)}@{DOMAIN}"
        client = Intake(self.queue)
        assert client.commit(b"x", [name])[0] == 0
        client.close()
        wait_until(lambda: name in self.names(), "other mail passes")

    def names(self):
        return [name for name, _ in self.tried]

    def operate(self, action, number, lane=""):
        """Its text; waits until the queue has read what there is."""
        def asked():
            client = Intake(self.queue)
            answer = client.operate(action, number, lane)
            client.close()
            return "starting" not in answer[1] and answer

        return wait_until(asked, "an answer")

    def retry(self, number):
        assert self.operate(Intake.RETRY, number)[0] == 0, self.queue.log()

    def wait_kept(self):
        self.queue.wait_files(info=1, local=1, mess=1, todo=0)


@pytest.fixture
def bench(queue):
    return Bench(queue)


def test_its_time_comes(bench):
    """With the seconds that it was to wait; all that is known then is on disk."""
    bench.start()
    until = int(time.time()) + 3
    number = bench.put(until)
    bench.wait_kept()
    assert bench.queue.path("local", number).stat().st_mtime == until
    wait_until(lambda: bench.tried, "the first try")
    assert bench.tried[0][1] >= until
    bench.queue.wait_done()
    assert f"wait msg {number} until {until}\n" in bench.queue.log()


# The second record of the journal is its end there.
KEEP = [("pwritev2", "journal", 1), ("openat", "name", 1),
        ("pwrite64", "pid", 1), ("pwrite64", "local", 1),
        ("utimensat", "local", 1), ("fsync", "local/", 1),
        ("renameat", "name", 1), ("fsync", "info/", 1),
        ("pwritev2", "journal", 2)]


@pytest.mark.skipif(shutil.which("strace") is None,
                    reason="strace is not installed")
@pytest.mark.parametrize("call, where, when", KEEP, ids=str)
def test_killed_while_it_becomes_kept(bench, call, where, when):
    """Killed at each step: not lost if it was acknowledged, and never early."""
    queue = bench.queue
    bench.start()
    bench.others_pass()
    queue.wait_done()
    client = Intake(queue)
    assert client.commit(b"x", [f"before@{DOMAIN}"])[0] == 0
    queue.wait_done()
    number = client.id + 1
    paths = {"journal": [queue.dir / f"lock/journal.{i}" for i in range(4)],
             "name": [str(number)],
             "pid": [queue.path("pid", number)],
             "local": [queue.path("local", number)],
             "local/": [queue.path("local", number).parent],
             "info/": [queue.path("info", number).parent]}
    until = int(time.time()) + FAR
    is_acknowledged = False
    with Tracer(queue.process.pid, call, f"{call}:signal=KILL:when={when}",
                paths[where]):
        with contextlib.suppress(OSError, AssertionError):
            client.send(b"Subject: x\n\nbody\n", record=record(until))
            is_acknowledged = client.answer()[0] == 0
        assert queue.ended() == -signal.SIGKILL
    found = [one.state for one in queue_states.states(queue).values()
             if one.pending]
    assert found in (["F"], ["S5"]) or not is_acknowledged
    bench.tried.clear()
    bench.start()
    bench.others_pass()
    if found:
        queue.wait_files(info=1)
        assert bench.operate(Intake.RELEASE, number)[0] == 0
        bench.others_pass()
        assert RECIPIENT not in bench.names()
        bench.retry(number)
        wait_until(lambda: RECIPIENT in bench.names(), "it is released")
    # Garbage of what was not acknowledged goes when it is old.
    queue.wait_files(info=0, local=0, todo=0)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_its_files_say_is_not_all(bench, end):
    """Times of files that are wrong, ALRM and a lane's retry change nothing."""
    bench.start()
    until = int(time.time()) + FAR
    number = bench.put(until)
    bench.wait_kept()
    for when in (1, until + 10 * FAR):
        bench.queue.stop(end)
        os.utime(bench.queue.path("local", number), (when, when))
        bench.start()
        bench.others_pass()
        bench.queue.send_signal(signal.SIGALRM)
        bench.operate(Intake.RETRY, 0, "virtual")
        bench.operate(Intake.HOLD, number)
        bench.operate(Intake.RELEASE, number)
        bench.others_pass()
    assert RECIPIENT not in bench.names()
    bench.retry(number)
    bench.queue.wait_done()
    assert bench.names().count(RECIPIENT) == 1


def test_a_clock_that_was_ahead(bench):
    """HOLDFOR lasts as long as it says; the next process does not begin anew."""
    bench.start()
    year = int(time.time()) + 31536000
    number = bench.put(f"{year}/4")
    bench.wait_kept()
    due = bench.queue.path("local", number).stat().st_mtime
    assert due <= time.time() + 5
    bench.queue.stop(signal.SIGKILL)
    os.utime(bench.queue.path("local", number), (year, year))
    bench.start()
    wait_until(lambda: bench.queue.path("local", number).stat().st_mtime !=
               year, "its time is set anew")
    due = bench.queue.path("local", number).stat().st_mtime
    bench.queue.stop(signal.SIGKILL)
    bench.start()
    wait_until(lambda: bench.tried, "the first try")
    assert due <= bench.tried[0][1] < due + 10 * SLOW
    bench.queue.wait_done()


def test_without_a_process(bench):
    """qmail-queue has written files; they wait, too."""
    bench.queue.inject(envelope=record(int(time.time()) + FAR) + b"\0")
    number, = bench.queue.files("todo")
    bench.start()
    bench.wait_kept()
    bench.others_pass()
    assert RECIPIENT not in bench.names()
    bench.retry(int(number))
    bench.queue.wait_done()


def test_recipients_of_both_kinds(bench):
    bench.start()
    number = bench.put(int(time.time()) + FAR, RECIPIENT, "a@far.example",
                       "b@near.example")
    bench.queue.wait_files(info=1, local=1, remote=1)
    bench.others_pass()
    worker = bench.queue.worker(bench.decide, channel="r")
    bench.others_pass()
    assert not {RECIPIENT, "a@far.example"} & set(bench.names())
    bench.retry(number)
    wait_until(lambda: {RECIPIENT, "a@far.example", "b@near.example"} <=
               set(bench.names()), "all are released")
    bench.queue.wait_done()
    worker.close()


def test_its_lifetime_begins_at_its_release(bench):
    """An old message has a second try; and then the hold is over for good."""
    queue = bench.queue
    queue.set("queuelifetime", "100")
    until = int(time.time()) + 2
    number = queue.put_remembered(
        local=[f"{DOMAIN}-{RECIPIENT}"], age=1000,
        info=f"Fs@example.net\0I{uuid.uuid4()}\0E HOLD={until}\0".encode())
    bench.outcome = "Z"
    bench.start()
    wait_until(lambda: bench.tried, "the first try")
    assert bench.tried[0][1] >= until
    queue.hurry(lambda: len(bench.tried) > 1, "a second try")
    assert queue.path("info", number).exists()
    assert not queue.files("bounce")


def test_delete(bench):
    bench.start()
    number = bench.put(int(time.time()) + FAR)
    bench.wait_kept()
    assert bench.operate(Intake.DELETE, number)[0] == 0
    bench.queue.wait_done()
    assert not bench.tried


# -- by SMTP

PASSWORD = "correct horse"


@contextlib.contextmanager
def submission(node):
    with smtplib.SMTP("127.0.0.1", int(node.info["submission"]),
                      timeout=30 * SLOW) as client:
        client.starttls(context=any_certificate())
        client.ehlo("client.example.net")
        client.login(f"alice@{node.domain}", PASSWORD)
        yield client


def listed(node):
    return json.loads(node.svctool("queue", "list", "--json").stdout)


def test_submission(make_node):
    node = make_node("--queues", "1")
    alice, bob = f"alice@{node.domain}", f"bob@{node.domain}"
    node.run("vpasswd", alice, PASSWORD)
    with submission(node) as client:
        longest, latest = client.esmtp_features["futurerelease"].split()
        assert longest == "2592000"
        latest = time.mktime(time.strptime(latest + " GMT",
                                           "%Y-%m-%dT%H:%M:%SZ %Z"))
        before = time.time()
        client.sendmail(alice, bob, "Subject: soon\r\n\r\nx\r\n",
                        mail_options=["HOLDFOR=3"])
        until = int(time.time()) + 7000
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
        client.sendmail(alice, bob, "Subject: late\r\n\r\nx\r\n",
                        mail_options=[f"HOLDUNTIL={date}"])
        for words in ("HOLDFOR=2592001", "HOLDUNTIL=2199-01-01T00:00:00Z"):
            assert client.docmd(f"MAIL FROM:<{alice}> {words}")[0] == 554
        assert client.docmd(f"MAIL FROM:<{alice}> HOLDFOR=x")[0] == 501
        client.sendmail(alice, bob, "Subject: now\r\n\r\nx\r\n",
                        mail_options=["HOLDUNTIL=2020-01-01T00:00:00Z"])
    assert b"Subject: now" in node.wait_messages("bob", 1)[0]
    messages = node.wait_messages("bob", 2)
    assert any(b"Subject: soon" in text for text in messages)
    assert time.time() >= before + 3
    row, = wait_until(lambda: len(listed(node)) == 1 and listed(node),
                      "one is left")
    assert row["hold_until"] == row["next_try"] == until
    shown = node.svctool("queue", "show", row["id"]).stdout
    assert f" sender-holds-until {date} from <{alice}>" in shown
    # A stop and a start of everything change nothing.
    node.svctool("stop")
    node.svctool("start")
    assert listed(node)[0]["hold_until"] == until
    node.retry_until(lambda: "running" in node.log("queue1"), "it runs")
    assert len(node.messages("bob")) == 2
    node.svctool("queue", "retry", row["id"])
    messages = node.wait_messages("bob", 3)
    assert any(b"Subject: late" in text for text in messages)
    node.wait_empty()
    with smtplib.SMTP("127.0.0.1", node.smtp_port) as client:
        client.ehlo("client.example.net")
        assert "futurerelease" not in client.esmtp_features
        assert client.docmd(f"MAIL FROM:<{alice}> HOLDFOR=1")[0] == 555
