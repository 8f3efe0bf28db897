# SPDX-License-Identifier: ISC
"""How messages come into a queue: qmail-queue, files, and the intake socket."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from node import BIN, NO_LEAKS, SLOW, wait_until
from queue_peer import DOMAIN, Intake


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
    queue.inject(code=56, QUEUE_BASE=str(queue.home / "none"))
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
        received, rest = job.message.split(b"\n", 1)
        assert re.fullmatch(rb"Received: \(qmail \d+ invoked by uid \d+\); "
                            rb".* \+0000", received)
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
        _, fd = client.open()
        os.write(fd, b"Subject: never\n\n")
        client.connection.send(b"\x04\x03\0\0\0Fs\0")
        client.close()
        os.close(fd)
    client = Intake(queue)
    _, fd = client.open()
    client.connection.send(b"\x07")  # ABORT, and the connection goes on
    os.close(fd)
    _, fd = client.open()
    os.write(fd, b"x\n")
    os.close(fd)
    assert client.commit(2, recipients=[f"u@{DOMAIN}"])[0] == 0
    queue.wait_done()
    assert [job.message for job in worker.jobs] == [b"x\n"]


def test_kept_descriptor_is_refused(queue):
    """Every way of keeping the file open."""
    queue.start()
    worker = queue.worker()
    client = Intake(queue)
    number, fd = client.open()
    os.write(fd, b"x\n")
    copy = os.dup(fd)
    os.close(fd)
    code, text = client.commit(2, recipients=[f"u@{DOMAIN}"])
    assert code == 62 and "open" in text
    os.close(copy)
    assert not queue.path("mess", number).exists()
    number, fd = client.open()
    child = subprocess.Popen(["sleep", "1000"], pass_fds=[fd])
    os.write(fd, b"x\n")
    os.close(fd)
    assert client.commit(2, recipients=[f"u@{DOMAIN}"])[0] == 62
    child.kill()
    child.wait()
    _, fd = client.open()
    os.write(fd, b"good\n")
    os.close(fd)
    assert client.commit(5, recipients=[f"u@{DOMAIN}"])[0] == 0
    worker.wait_jobs(1)
    assert worker.jobs[0].message == b"good\n"


@pytest.mark.parametrize("name, packets", [
    ("another version", [b"\x01\x63\0\0\0"]),
    ("commit without open", [b"\x05" + b"\0" * 21]),
    ("envelope without open", [b"\x04\0\0\0\0"]),
    ("abort without open", [b"\x07"]),
    ("open twice", [b"\x01\x02\0\0\0", b"\x01\x02\0\0\0"]),
    ("an answer", [b"\x02" + b"\0" * 8]),
    ("no packet", [b"\xff"]),
    ("too large", [b"\x01" * 70000]),
])
def test_bad_packets_end_only_their_connection(queue, name, packets):
    queue.start()
    client = Intake(queue)
    try:
        for packet in packets:
            client.connection.send(packet)
    except ConnectionError:
        pass
    try:
        while client.connection.recv(2048):
            pass
    except ConnectionError:
        pass
    queue.worker()
    queue.inject()
    queue.wait_done()


def test_synced_before_the_answer(queue):
    """strace sees the syncs before COMMITTED is sent, the message's first: who
    finds the envelope finds it whole."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    trace = queue.home / "trace"
    queue.start("strace", "-D", "-f", "-y", "-o", trace, "-e",
                "trace=fsync,fdatasync,sendmsg,rename,renameat,renameat2")
    queue.inject()
    queue.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "exiting" in queue.log(), "qmail-send stops")
    lines = trace.read_text().splitlines()
    sent = [i for i, line in enumerate(lines) if "sendmsg(" in line]
    answer = sent[-1]  # the first is OPENED
    before = "\n".join(lines[:answer])
    named = before[before.rindex("renameat"):]
    message = re.search(r"fdatasync\(\d+<[^>]*/mess/\d+/\d+>", named)
    assert message, before
    assert re.search(r"fsync\(\d+<[^>]*/mess/\d+>", named), before
    assert re.search(r"fdatasync\(\d+<[^>]*/lock/journal>",
                     named[message.end():]), before
    queue.process.wait(20)
    queue.process = None


def test_a_hundred_clients_at_once(queue):
    queue.start()
    worker = queue.worker()
    clients = [Intake(queue) for _ in range(100)]
    for i, client in enumerate(clients):
        _, fd = client.open()
        os.write(fd, b"%03d\n" % i)
        os.close(fd)
    for client in clients:
        record = b"Fs@x\0Tu@" + DOMAIN.encode() + b"\0"
        client.connection.send(
            b"\x05" + (4).to_bytes(8, "little") + bytes(9) +
            len(record).to_bytes(4, "little") + record)
    assert {client.committed()[0] for client in clients} == {0}
    jobs = worker.wait_jobs(100)
    assert sorted(job.message for job in jobs) == [
        b"%03d\n" % i for i in range(100)]
    queue.wait_done()


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
    queue.wait_log("^info msg .* uid 64005$", 2)


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
        assert done.returncode in (56, 63)
        assert b"will not write into" in done.stderr
    assert victim.read_text() == "precious"
    assert not any((evil / "todo").iterdir())
    assert not queue.files("todo")
    assert call().returncode == 0
