# SPDX-License-Identifier: ISC
"""How messages come into a queue: qmail-queue, files, and the intake socket."""
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid

import pytest

from node import BIN, NO_LEAKS, SLOW, wait_until
from queue_peer import DOMAIN, FakeQueue, Intake


def text(ident):
    """A UUID's 16 bytes as in headers and logs."""
    return str(uuid.UUID(bytes=ident)).encode()


@pytest.mark.parametrize("name, envelope, code", [
    ("no end", b"Fs@x\0Tu@x\0", 79),
    ("no sender", b"Tu@x\0\0", 79),
    ("garbage", b"garbage\0\0", 79),
    ("nothing", b"", 79),
    ("more behind the end", b"Fs\0Tu@x\0\0Tv@x\0", 79),
    ("an identity of its own", b"u0\0Fs\0Tu@x\0\0", 79),
    ("empty recipient", b"Fs@x\0Tu@x\0T\0\0", 79),
    ("long address", b"Fs@x\0T" + b"a" * 1003 + b"\0\0", 11),
    ("long sender", b"F" + b"a" * 1003 + b"\0Tu@x\0\0", 11),
    ("longest address", b"F" + b"a" * 1002 + b"\0Tu@" + DOMAIN.encode() +
     b"\0\0", 0),
])
@pytest.mark.parametrize("is_up", [True, False])
def test_exit_codes_of_envelopes(queue, name, envelope, code, is_up):
    if is_up:
        queue.start()
    queue.inject(envelope=envelope, code=code)
    if code != 0:
        assert not queue.messages(), name
        assert not queue.files("todo") and not queue.files("intd")


def test_other_exit_codes(queue):
    queue.inject(code=55, QUEUE_COUNT="0")
    queue.inject(code=71, QUEUE_BASE=str(queue.home / "none"))
    queue.inject(code=63, QUEUEDIR=str(queue.home / "none"))
    queue.inject(code=0, NULLQUEUE="1")
    assert not queue.messages()
    done = queue.run("qmail-multi", code=120,
                     env={"QUEUEPROG": "/nonexistent"})
    assert b"/nonexistent" in done.stderr


@pytest.mark.parametrize("closed, name", [("<&-", "message"),
                                          (">&-", "envelope")])
def test_a_closed_descriptor_is_no_empty_message(queue, closed, name):
    queue.start()
    envelope = queue.home / "envelope"
    envelope.write_bytes(b"Fs@x\0Tu@" + DOMAIN.encode() + b"\0\0")
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" </dev/null 1<>"$1" {closed}',
         BIN / "qmail-queue", envelope], env=queue.environment(),
        stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 54
    assert b"cannot read the " + name.encode() in done.stderr
    assert not queue.messages() and not queue.files("todo")


def test_no_log_line_in_a_message(queue):
    """Without descriptor 2 the next file would get what is logged."""
    envelope = queue.home / "envelope"
    envelope.write_bytes(b"Fs@x\0Tu@" + DOMAIN.encode() + b"\0\0")
    trace = queue.home / "trace"
    subprocess.run(
        ["strace", "-o", trace, "sh", "-c",
         'exec "$0" </dev/null 1<>"$1" 2>&-', BIN / "qmail-queue", envelope],
        env=queue.environment(**NO_LEAKS), check=True, timeout=60 * SLOW)
    opened = re.findall(r'^openat\([^"\n]*"([^"\n]*)".* = 2$',
                        trace.read_text(), re.M)
    assert opened[-1] == "/dev/null"  # the others are libraries


def test_multi_and_nullqueue(queue):
    queue.start()
    worker = queue.worker()
    for env in ({}, {"QUEUEPROG": str(BIN / "qmail-queue")}):
        with open(queue.home / "envelope", "wb+") as envelope:
            envelope.write(b"Fs@x\0Tu@" + DOMAIN.encode() + b"\0\0")
            envelope.seek(0)  # and so is written
            subprocess.run([BIN / "qmail-multi"], check=True, timeout=60,
                           stdin=subprocess.DEVNULL, stdout=envelope,
                           env=queue.environment(**env))
    worker.wait_jobs(2)
    assert subprocess.run(
        [BIN / "qmail-multi", BIN / "qmail-nullqueue"], check=False,
        input=b"x", stdout=os.open("/dev/null", os.O_WRONLY), timeout=60).returncode == 54
    assert subprocess.run(
        [BIN / "qmail-nullqueue"], check=False, timeout=60,
        stdin=subprocess.DEVNULL,
        stdout=os.open("/dev/null", os.O_RDONLY)).returncode == 0


def test_message_arrives_whole(queue):
    queue.start()
    worker = queue.worker()
    body = b"Subject: x\n\n" + bytes(range(256)) * 3000 + b"no end"
    queue.inject([f"u@{DOMAIN}", f"v@{DOMAIN}"], sender="", body=body,
                 QQEH="X-Extra: yes\n", EXTRAQUEUE=f"all@{DOMAIN}")
    jobs = worker.wait_jobs(3)
    assert sorted(job.extension for job in jobs) == ["all", "u", "v"]
    for job in jobs:
        received, ident, rest = job.message.split(b"\n", 2)
        assert re.fullmatch(rb"Received: \(qmail \d+ invoked by uid \d+\)",
                            received)
        assert re.fullmatch(b"  id %s; .* \\+0000" % text(job.uuid), ident)
        assert rest == body
        assert (job.sender, job.header) == ("", "X-Extra: yes\n")
        assert job.recipient == f"{DOMAIN}-{job.extension}@{DOMAIN}"
    queue.wait_done()


def test_extraqueue_of_a_control_file(queue):
    queue.set("extraqueue", f"all@{DOMAIN}")
    queue.start()
    worker = queue.worker()
    queue.inject([f"u@{DOMAIN}"])
    queue.inject([f"v@{DOMAIN}"], EXTRAQUEUE=f"other@{DOMAIN}")
    jobs = worker.wait_jobs(4)
    queue.wait_done()
    assert sorted(job.extension for job in jobs) == ["all", "other", "u", "v"]


def test_injected_while_down_is_delivered_after_start(queue):
    queue.inject(body=b"first\n")
    assert len(queue.files("todo")) == 1 and not queue.files("intd")
    queue.start()
    worker = queue.worker()
    assert worker.wait_jobs(1)[0].message.endswith(b"first\n")
    queue.wait_done()


def test_trigger_makes_it_look_at_once(queue):
    queue.start()
    worker = queue.worker()
    (queue.dir / "lock/intake").unlink()
    queue.inject()
    worker.wait_jobs(1)
    queue.wait_done()


def test_client_that_goes_leaves_nothing(queue):
    queue.start()
    worker = queue.worker()
    for _ in range(3):
        client = Intake(queue)
        client.connection.send(Intake.body(b"Subject: never\n\n"))
        client.connection.send(Intake.envelope(b"Fs\0"))
        client.close()
    client = Intake(queue)
    client.connection.send(Intake.body(b"Subject: never\n\n"))
    client.connection.send(b"\x06")  # ABORT, and the connection goes on
    assert client.commit(b"x\n", [f"u@{DOMAIN}"])[0] == 0
    queue.wait_done()
    assert [job.message for job in worker.jobs] == [b"x\n"]


HELLO = Intake.hello()


@pytest.mark.parametrize("name, packets", [
    ("another version", [Intake.hello(2)]),
    ("commit without hello", [Intake.commit_packet(b"Fs\0")]),
    ("envelope without hello", [Intake.envelope(b"Fs\0")]),
    ("abort without hello", [b"\x06"]),
    ("hello twice", [HELLO, HELLO]),
    ("an answer", [HELLO, b"\x07" + b"\0" * 12 + b"\1\0\0\0\0"]),
    ("commit without a UUID",
     [HELLO, Intake.commit_packet(b"Fs\0", ident=uuid.UUID(int=0))]),
    ("no packet", [HELLO, b"\xff"]),
    ("too large", [HELLO, Intake.body(b"x" * 70000)]),
])
def test_bad_packets_end_only_their_connection(queue, name, packets):
    queue.start()
    client = Intake(queue, version=None)
    try:
        for packet in packets:
            client.connection.send(packet)
    except ConnectionError:
        pass
    assert client.is_over(), name
    queue.worker()
    queue.inject()
    queue.wait_done()


@pytest.mark.parametrize("size", [10, 200000])
def test_synced_before_the_answer(queue, size):
    """strace sees the syncs before the ANSWER is sent: of the journal, and
    before that of a large message's file and its folder."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    trace = queue.home / "trace"
    queue.start("strace", "-D", "-f", "-y", "-o", trace, "-e",
                "trace=fsync,fdatasync,sendmsg,pwritev2")
    assert Intake(queue).commit(b"x" * size, [f"u@{DOMAIN}"])[0] == 0
    queue.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "exiting" in queue.log(), "qmail-send stops")
    lines = trace.read_text().splitlines()
    answer = next(i for i, line in enumerate(lines) if "sendmsg(" in line)
    before = "\n".join(lines[:answer])
    journal = re.search(r"(fdatasync\(\d+<[^>]*/lock/journal\.\d>|"
                        r"pwritev2\(\d+<[^>]*/lock/journal\.\d>.*DSYNC)",
                        before)
    assert journal, before
    if size > 131072:
        message = re.search(r"fdatasync\(\d+<[^>]*/mess/\d+/\d+>", before)
        assert message and message.start() < journal.start(), before
        assert re.search(r"fsync\(\d+<[^>]*/mess/\d+>", before), before
    queue.process.wait(20)
    queue.process = None


def test_a_hundred_clients_at_once(queue):
    queue.start()
    worker = queue.worker()
    clients = [Intake(queue) for _ in range(100)]
    for i, client in enumerate(clients):
        client.send(b"%03d\n" % i, [f"u@{DOMAIN}"], sender="s@x")
    assert {client.answer()[0] for client in clients} == {0}
    jobs = worker.wait_jobs(100)
    assert sorted(job.message for job in jobs) == [
        b"%03d\n" % i for i in range(100)]
    queue.wait_done()


def inject_into_fake(queue, *arguments, **options):
    """Runs qmail-queue beside, with a fake queue in place; both, at the end."""
    fake = FakeQueue(queue.dir, *arguments)
    return fake, queue.inject(**options)


@pytest.mark.parametrize("plan, code, packets", [
    ([0], 0, [1, 4]),
    ([None, 0], 0, [1, 4, 1, 5]),            # the answer is lost; it is there
    ([None, 255, 0], 0, [1, 4, 1, 5, 4]),    # it is not: again
    ([None, None, 255, 0], 0, [1, 4, 1, 5, 1, 5, 4]),
    ([53], 53, [1, 4]),
    ([31], 31, [1, 4]),
])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_lost_answer_is_asked_for(queue, plan, code, packets, is_restarted):
    """Nothing is sent twice that is queued; the queue may be away a while."""
    fake, _ = inject_into_fake(queue, plan, is_restarted, code=code)
    assert fake.packets == packets
    assert len(set(fake.uuids)) == 1
    assert fake.body.endswith(b"body\n")
    assert not queue.files("todo")


def test_a_large_message_that_was_not_queued_is_deferred(queue):
    """It is not kept by the client: who sent it has to send it again."""
    fake, done = inject_into_fake(queue, [None, 255], body=b"x" * 200000,
                                  code=71)
    assert fake.packets[-2:] == [1, 5]
    assert b"too large" in done.stderr


def test_a_queue_that_is_killed_while_mail_comes_in(queue):
    """Of what was accepted all is delivered, once; nothing is lost."""
    queue.start()
    worker = queue.worker()
    codes = []

    def send(first):
        for number in range(first, first + 10):
            codes.append(queue.inject(
                body=b"%d\n" % number, code=None).returncode)

    threads = [threading.Thread(target=send, args=(10 * i,))
               for i in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.3)
        queue.stop(signal.SIGKILL)
        queue.start()
        worker = queue.worker(lambda job: None)
    for thread in threads:
        thread.join()
    assert codes == [0] * 40
    queue.stop(signal.SIGKILL)
    queue.start()
    worker = queue.worker()
    queue.wait_done()
    numbers = [job.message.splitlines()[-1] for job in worker.jobs]
    assert len(numbers) == len(set(numbers))


def test_which_queues_are_down_is_said(queue):
    """It was trouble with the network, and of the last one only."""
    base = queue.home / "queue"
    for number in (2, 3):
        (base / f"queue{number}").mkdir()
    done = queue.inject(code=71, QUEUE_START="2", QUEUE_COUNT="2")
    assert b"all queues are down" in done.stderr
    assert b"/queue2' (" in done.stderr and b"/queue3' (" in done.stderr
    assert b"network" not in done.stderr


def test_a_filter_tells_which_message_it_is(queue):
    """What it queues has the same time in its UUID, but no UUID is two's."""
    queue.start()
    worker = queue.worker()
    outer = "0190163d-8694-739b-aea5-966c26f8ad91"
    queue.inject(MQMAIL_UUID=outer)
    queue.inject(MQMAIL_UUID=outer)
    queue.inject(MQMAIL_UUID="nonsense")
    idents = [text(job.uuid).decode() for job in worker.wait_jobs(3)]
    assert len(set(idents)) == 3 and outer not in idents
    assert [ident[:15] == outer[:15] for ident in idents] == [
        True, True, False]


def test_files_alone_have_the_uuid_too(queue):
    queue.inject()
    (path,) = queue.files("todo").values()
    record = path.read_bytes()
    ident = re.search(rb"\0p\d+ ([0-9a-f-]{36}) \d+\0F", record).group(1)
    (message,) = queue.files("mess").values()
    assert b"  id " + ident in message.read_bytes()
    queue.start()
    worker = queue.worker()
    assert text(worker.wait_jobs(1)[0].uuid) == ident


@pytest.mark.parametrize("size", [0, 10, 2000])
def test_a_message_that_changes_in_todo_is_not_delivered(queue, size):
    """todo/ID said nothing of its length: what was left was delivered."""
    queue.inject(body=b"x" * 1000 + b"\n")
    number = next(iter(queue.files("todo")))
    os.truncate(queue.path("mess", number), size)
    told = queue.run("qmail-qread", code=111)
    assert f"mess/{number} has {size} bytes, and had ".encode() in told.stderr
    queue.start()
    worker = queue.worker()
    queue.wait_log(f"^alert: cannot use todo/{number}: mess/{number} has")
    queue.inject(body=b"other\n")
    worker.wait_jobs(1)
    assert worker.jobs[0].message_id != int(number)
    assert number in queue.files("todo")


def make_set_user_id(queue):
    """
    A queue of nobody's, and nobody's qmail-queue; a function that calls it as
    somebody else.
    """
    if os.getuid() != 0:
        pytest.skip("needs root, to be several users")
    if SLOW > 1:
        pytest.skip("a sanitizer looks for leaks, which set-user-id forbids")
    program = queue.home / "qmail-queue"
    shutil.copy(BIN / "qmail-queue", program)
    shutil.chown(program, "nobody")
    program.chmod(0o4755)
    shutil.chown(queue.home, "nobody")
    queue.user = "nobody"
    queue.fix()

    def call(**env):
        with open(queue.home / "envelope", "wb+") as envelope:
            envelope.write(b"Fs@x\0Tu@" + DOMAIN.encode() + b"\0\0")
            envelope.seek(0)  # and so is written
            return subprocess.run(
                [program], check=False, timeout=60, stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL, stdout=envelope,
                env=queue.environment(**env),
                preexec_fn=lambda: os.setuid(64005))

    return call


def test_set_user_id_is_for_the_files_alone(queue):
    """Settings are read, and the queue asked, as the caller."""
    call = make_set_user_id(queue)
    secret = queue.home / "secret"
    secret.write_text("somebody's first line\n")
    secret.chmod(0o600)
    shutil.chown(secret, "nobody")
    control = queue.home / "mine"
    control.mkdir()
    (control / "queue_count").symlink_to(secret)
    done = call(CONTROLDIR=str(control))
    assert done.returncode == 55
    assert b"somebody" not in done.stderr
    assert call().returncode == 0  # the queue is down: files of its user
    owners = {path.owner() for path in queue.files("todo").values()}
    assert owners == {"nobody"}
    assert b"u64005\0" in next(iter(
        queue.files("todo").values())).read_bytes()
    for path in queue.dir.rglob("*"):
        os.chown(path, 0, 0)
    queue.user = "root"
    queue.start()
    assert call().returncode == 0
    queue.wait_log("^info msg .* uid 64005 uuid ", 2)
    # The Received field and the log name it alike: a stranger's, and ours.
    for number, ident in re.findall("^info msg (\\d+): .* uuid (.*)$",
                                    queue.log(), re.M):
        wait_until(lambda number=number: queue.path("mess", number).exists(),
                   "it is kept")
        assert f"  id {ident}; " in queue.path("mess", number).read_text()


def test_set_user_id_is_not_led_astray(queue):
    """
    A queue that the caller made, of links to what is the queue user's: a file
    got a NUL for its first byte, and an envelope could be removed.
    """
    call = make_set_user_id(queue)
    victim = queue.home / "victim"
    victim.write_text("precious")
    victim.chmod(0o600)
    shutil.chown(victim, "nobody")
    evil = queue.home / "evil"
    for part in range(3):
        for folder in ("mess", "info", "local", "remote"):
            (evil / folder / str(part)).mkdir(parents=True)
    for folder in ("pid", "bounce", "todo", "lock"):
        (evil / folder).mkdir()
    (evil / "intd").symlink_to(queue.dir / "todo")
    (evil / "lock/trigger").symlink_to(victim)
    for path in [evil, *evil.rglob("*")]:
        os.chown(path, 64005, 64005, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o777)
    for env in ({"QUEUEDIR": str(evil)},
                {"QUEUE_BASE": str(evil / "base"), "QUEUE_COUNT": "1"}):
        (evil / "base").mkdir(exist_ok=True)
        if not (evil / "base/queue1").exists():
            (evil / "base/queue1").symlink_to(evil)
        done = call(**env)
        assert done.returncode in (63, 71)
        assert b"will not write into" in done.stderr
    assert victim.read_text() == "precious"
    assert not any((evil / "todo").iterdir())
    assert not queue.files("todo")
    assert call().returncode == 0
