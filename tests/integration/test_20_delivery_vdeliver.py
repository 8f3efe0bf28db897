# SPDX-License-Identifier: ISC
"""qmail-vdeliver as a process, its qmail-send played by delivery_peer."""

import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import uuid

import pytest

from delivery_peer import BIN, TIMEOUT, Node, Send, message_file
from node import SLOW

# Of version 7, made at 1700000000.
UUID = uuid.UUID(int=(1700000000123 << 80) | (7 << 76) | (2 << 62) | 12345)
MESSAGE = b"Received: from x by y\nSubject: hello\n\nbody\n"


@pytest.fixture
def folder():
    """A short path, as names of sockets are short."""
    path = tempfile.mkdtemp(prefix="mq")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def node(folder):
    return Node(folder, users=("alice", "bob"))


@pytest.fixture
def send(node):
    peer = Send(node)
    yield peer
    peer.down()


def test_it_says_hello_and_what_it_takes(send):
    assert send.up() == (5, "v")
    assert send.take == (500, 32 * 1024 * 1024)
    assert send.hang_up() == 0


def test_it_is_not_started_by_hand(node, send):
    for stdin in (subprocess.DEVNULL, subprocess.PIPE):
        done = subprocess.Popen(
            [os.path.join(BIN, "qmail-vdeliver"), send.queue], stdin=stdin,
            stderr=subprocess.PIPE, env=node.environment)
        _, text = done.communicate(timeout=TIMEOUT)
        assert done.returncode == 111
        assert b"descriptor 0 is no connection of qmail-send" in text


def test_a_message_is_delivered(node, send, tmp_path):
    send.up()
    message = message_file(tmp_path, MESSAGE)
    send.job(7, "Alice", message, header="X-Extra: yes\n", uuid=UUID)
    os.close(message)
    assert send.result() == (7, "K", "did 1+0+0\n")
    # The worker has closed its descriptor: nobody else has the file open.
    with open(tmp_path / "message", "r+b") as again:
        fcntl.fcntl(again, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    assert node.messages("alice") == [
        b"Return-Path: <a@example.org>\n"
        b"Delivered-To: example.test-Alice@example.test\n"
        b"X-Extra: yes\n" + MESSAGE
    ]
    name, = os.listdir(node.maildir("alice") + "/new")
    size = len(node.messages("alice")[0])
    assert re.fullmatch(
        r"1700000000\.M%sR[0-9a-f]{16}\.[^,:/]+,S=%d" % (UUID.hex, size), name)
    assert os.stat(node.maildir("alice") + "/new/" + name).st_mode & \
        0o777 == 0o600
    assert node.messages("alice", "tmp") == []
    assert send.hang_up() == 0


def test_outcomes(node, send, tmp_path):
    node.add_user("small", quota="300S")
    message = message_file(tmp_path, MESSAGE)
    send.up()
    for delivery, local in enumerate(("nobody", "small", "small", "small")):
        send.job(delivery, local, message)
    send.job(4, "alice", message, home="/etc")
    looping = message_file(
        tmp_path, b"Delivered-To: example.test-bob@example.test\n\n", "loop")
    send.job(5, "bob", looping)
    with open(os.path.join(node.dir, ".qmail-bob"), "w") as own:
        own.write("&x@example.org\n")
    send.job(6, "bob", message)
    results = send.results(7)
    assert results[0] == (
        "D", "no account nobody@example.test here by that name. (#5.1.1)\n")
    assert results[1][0] == "K"
    assert results[2][0] == "K"
    size = len(node.messages("small")[0])
    assert results[3] == (
        "D", "account small@example.test has insufficient quota. "
        "%d/%d/2:0/300. (bytes of this message/bytes kept/messages kept:"
        "most messages/most bytes; 0 is no limit) (#5.2.2)\n"
        % (size, 2 * size))
    assert results[4][0] == "Z" and "(#4.3.5)" in results[4][1]
    assert results[6][0] == "Z" and "Unable to forward" in results[6][1]
    assert len(node.messages("small")) == 2
    os.unlink(os.path.join(node.dir, ".qmail-bob"))
    send.job(7, "bob", looping)
    outcome, text = send.results(1)[7]
    assert outcome == "D" and "(#5.4.6)" in text
    assert node.messages("bob") == []


def test_a_quota_that_cannot_be_read_stops_no_mail(node, send, tmp_path):
    for user, quota in (("free", "unlimited"), ("large", "50M"),
                        ("odd", "50X"), ("odder", "much")):
        node.add_user(user)
        with open(node.dir + "/vpasswd", encoding="utf-8") as vpasswd:
            text = vpasswd.read()
        with open(node.dir + "/vpasswd", "w", encoding="utf-8") as vpasswd:
            vpasswd.write(text.removesuffix("NOQUOTA\n") + quota + "\n")
    node.add_user("last")  # makes the cdb of what was changed by hand
    message = message_file(tmp_path, MESSAGE)
    send.up()
    for delivery, user in enumerate(("free", "large", "odd", "odder")):
        send.job(delivery, user, message)
    assert {text for _, text in send.results(4).values()} == {"did 1+0+0\n"}
    for user in ("free", "large", "odd", "odder"):
        assert len(node.messages(user)) == 1
    with open(send.log, encoding="utf-8") as log:
        assert log.read().count("alert: a user has no readable quota") == 1


def test_rules_and_users_change_while_it_runs(node, send, tmp_path):
    message = message_file(tmp_path, MESSAGE)
    send.up()
    send.job(1, "carol", message)
    assert send.result()[1] == "D"
    node.add_user("carol")
    send.job(2, "carol", message)
    assert send.result()[1] == "K"
    node.rule("| /usr/sbin/vdelivermail '' delete")
    send.job(3, "dave", message)
    assert send.result()[1:] == (
        "K", "deleted: no account dave@example.test here by that name\n")
    node.rule("| /usr/sbin/vdelivermail '' carol@example.test")
    send.job(4, "dave", message)
    assert send.result()[1] == "K"
    assert len(node.messages("carol")) == 2
    # A user who is removed and made again is another one.
    node.run("vdeluser", "-f", "carol@example.test")
    node.add_user("carol")
    send.job(5, "carol", message)
    assert send.result()[1] == "K"
    assert len(node.messages("carol")) == 1


def test_many_in_batches_to_a_slow_reader(node, send, tmp_path):
    """Nothing is read before both directions are full.

    Two jobs in three are for a user who does not exist, with a long text for
    an answer.
    """
    absent = "n" * 300
    users = ["u%d" % i for i in range(20)]
    for user in users:
        node.add_user(user)
    send.up()
    bodies = {
        d: b"Subject: %d\n\n" % d + b"x" * (d * 331 % 99999)
        for d in range(700)
    }
    jobs = [(d, users[d % 20], body) for d, body in bodies.items()]
    jobs += [(1000 + i, absent, b"") for i in range(1400)]
    jobs.sort(key=lambda job: job[0] * 7919 % 2400)
    results = {}
    is_full = False
    for delivery, user, body in jobs:
        message = message_file(tmp_path, body)
        os.unlink(tmp_path / "message")
        while not send.job(delivery, user, message):
            if is_full or not send.can_send(2):
                is_full = True
                results.update(send.results(1, is_all=False))
        os.close(message)
    assert is_full
    results.update(send.results(2100 - len(results)))
    assert {(delivery >= 1000, outcome)
            for delivery, (outcome, _) in results.items()} == {
                (False, "K"), (True, "D")}
    for i, user in enumerate(users):
        found = sorted(m.split(b"\n", 2)[2] for m in node.messages(user))
        assert found == sorted(bodies[d] for d in range(i, 700, 20))
        assert node.messages(user, "tmp") == []


def test_two_queues_deliver_to_the_same_users(node, send, tmp_path):
    node.add_user("limited", quota="1000000S,1000C")
    message = message_file(tmp_path, MESSAGE)
    other = Send(node, "queue2")
    try:
        send.up()
        other.up()
        for delivery in range(60):
            for peer in (send, other):
                assert peer.job(delivery, "limited", message)
        for peer in (send, other):
            assert {o for o, _ in peer.results(60).values()} == {"K"}
        messages = node.messages("limited")
        assert len(messages) == 120
        with open(node.maildir("limited") + "/maildirsize") as lines:
            sizes = [line.split() for line in list(lines)[1:]]
        assert sum(int(count) for _, count in sizes) == 120
        assert sum(int(size) for size, _ in sizes) == \
            sum(len(m) for m in messages)
    finally:
        other.down()


@pytest.mark.parametrize("signal_number", (signal.SIGTERM, signal.SIGINT))
def test_a_signal_ends_it_between_batches(node, send, tmp_path,
                                          signal_number):
    message = message_file(tmp_path, MESSAGE)
    send.up()
    for delivery in range(60):
        assert send.job(delivery, "alice", message)
    first = send.result()
    assert first is not None
    send.worker.send_signal(signal_number)
    answered = 1
    while send.result() is not None:
        answered += 1
    assert send.worker.wait(TIMEOUT) == 0
    # What it took it finished and answered; the rest it never began.
    assert len(node.messages("alice")) == answered
    assert node.messages("alice", "tmp") == []


def test_short_of_memory_it_ends_what_it_has_begun(node, send, tmp_path):
    if SLOW > 1:
        pytest.skip("sanitizers need all addresses")
    message = message_file(tmp_path, MESSAGE)

    def fill():
        """How many were answered: none, when it had begun none."""
        send.up()
        send.job(0, "alice", message)
        assert send.result()[1] == "K"
        pid = send.worker.pid
        with open("/proc/%d/statm" % pid) as sizes:
            size = int(sizes.read().split()[0]) * resource.getpagesize()
        resource.prlimit(
            pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        # As many as the socket holds, so that they are one batch.
        send.worker.send_signal(signal.SIGSTOP)
        given = 0
        while send.job(given + 1, "bob", message,
                       header="X-Long: " + "y" * 50000 + "\n"):
            given += 1
        send.worker.send_signal(signal.SIGCONT)
        for answered in range(given):
            answer = send.result()
            if answer is None:
                assert send.worker.wait(TIMEOUT) == 111
                return answered
            assert answer[1] == "K"
        return given

    answered = 0
    for _ in range(5):
        answered = fill()
        assert len(node.messages("bob")) == answered
        if answered > 0:
            break
    assert answered > 0
    with open(send.log) as log:
        assert "memory is short" in log.read()


def test_killed_it_loses_nothing_and_doubles_nothing(node, send, tmp_path):
    """kill -9 again and again; unanswered jobs are given to the next one."""
    wanted = {
        delivery: b"Subject: %d\n\n" % delivery + b"y" * 20000 + b"\nend\n"
        for delivery in range(600)
    }
    waiting = dict(wanted)
    kills = 0
    while waiting:
        send.up()
        given = list(waiting.items())[:60]
        for delivery, body in given:
            message = message_file(tmp_path, body)
            os.unlink(tmp_path / "message")
            assert send.job(delivery, "alice", message,
                            uuid=uuid.UUID(int=UUID.int + delivery))
            os.close(message)
        answers = 0
        while answers < len(given):
            if kills < 10 and answers == kills * 5:
                send.worker.kill()
                kills += 1
            answer = send.result()
            if answer is None:
                break
            answers += 1
            assert answer[1] == "K"
            del waiting[answer[0]]
        send.connection.close()
        send.worker.wait(TIMEOUT)
    assert kills == 10
    found = [m.split(b"\n", 2)[2] for m in node.messages("alice")]
    # None is lost, none truncated, none there twice; none half-written.
    assert sorted(found) == sorted(wanted.values())
    assert node.messages("alice", "tmp") == []


def test_a_delivery_made_again_makes_no_second_file(node, send, tmp_path):
    node.add_user("limited", quota="1000000S")
    send.up()
    for local, kwargs in (
            ("alice", {"uuid": UUID}), ("limited", {"uuid": UUID}),
            # A message of another system's queue has no UUID.
            ("bob", {"uuid": uuid.UUID(int=0), "message_id": 77})):
        for delivery in (1, 2):
            send.job(delivery, local, MESSAGE, attempt=delivery, **kwargs)
            assert send.result()[1] == "K"
        assert len(node.messages(local)) == 1
    with open(node.maildir("limited") + "/maildirsize") as lines:
        text = list(lines)
    assert sum(int(line.split()[1]) for line in text[1:]) == 1
    assert send.hang_up() == 0
    send.up()  # and not after a restart
    send.job(3, "alice", MESSAGE, uuid=UUID)
    assert send.result()[1] == "K"
    assert len(node.messages("alice")) == 1
    # Other messages, other numbers, and other queues are others.
    send.job(4, "bob", MESSAGE, uuid=uuid.UUID(int=0), message_id=78)
    assert send.result()[1] == "K"
    other = Send(node, "queue2")
    try:
        other.up()
        other.job(1, "bob", MESSAGE, uuid=uuid.UUID(int=0), message_id=77)
        assert other.result()[1] == "K"
    finally:
        other.down()
    assert len(node.messages("bob")) == 3


def test_names_of_files_end_in_the_nodes_name(node, send):
    with open(node.root + "/control/me", "w") as me:
        me.write("node.example\n")
    send.up()
    send.job(1, "alice", MESSAGE)
    assert send.result()[1] == "K"
    name, = os.listdir(node.maildir("alice") + "/new")
    assert ".node.example,S=" in name


def test_a_message_that_is_shorter_than_committed_is_deferred(
        node, send, tmp_path):
    send.up()
    message = message_file(tmp_path, MESSAGE)
    for delivery, size in enumerate((len(MESSAGE) + 1, 5000000)):
        send.job(delivery, "alice", message, size=size)
        assert send.result() == (
            delivery, "Z", "Unable to read message: it ends after %d of %d "
            "bytes. (#4.3.0)\n" % (len(MESSAGE), size))
    read_end, write_end = os.pipe()
    os.write(write_end, MESSAGE)
    send.job(3, "alice", read_end, size=len(MESSAGE))
    assert send.result()[1:] == (
        "Z", "Unable to read message: at byte 0: Illegal seek. (#4.3.0)\n")
    # What is behind its end does not belong to it.
    send.job(4, "alice", message, size=len(MESSAGE) - 5)
    assert send.result()[1] == "K"
    assert [m.split(b"\n", 2)[2] for m in node.messages("alice")] == \
        [MESSAGE[:-5]]
    assert node.messages("alice", "tmp") == []


def test_many_recipients_and_a_shared_position(node, send, tmp_path):
    """Nobody's reading moves the place where another one reads."""
    body = b"Subject: x\n\n" + b"line\n" * 300000  # a large one
    message = message_file(tmp_path, body)
    os.lseek(message, 1000, os.SEEK_SET)
    send.up()
    send.job([1, 2, 3, 4], ["alice", "bob", "nobody", "ALICE"], message)
    send.job(5, "alice", message)
    results = send.results(5)
    assert {d: o for d, (o, _) in results.items()} == {
        1: "K", 2: "K", 3: "D", 4: "K", 5: "K"}
    assert os.lseek(message, 0, os.SEEK_CUR) == 1000
    for user, count in (("alice", 2), ("bob", 1)):
        assert [m.split(b"\n", 2)[2] for m in node.messages(user)] == \
            [body] * count


def test_a_large_message_delays_no_small_one(node, send, tmp_path):
    large = os.open(tmp_path / "large", os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(large, b"Subject: x\n\n", 0)
    os.ftruncate(large, 200 << 20)
    send.up()
    send.job(0, "alice", large)
    for delivery in range(1, 9):
        send.job(delivery, "bob", MESSAGE)
        assert send.result()[0] == delivery
    # It takes as many small ones as without it.
    assert send.take == (501, (32 << 20) + (200 << 20))
    assert send.result() == (0, "K", "did 1+0+0\n")
    size = os.stat(os.path.join(
        node.maildir("alice"), "new",
        os.listdir(node.maildir("alice") + "/new")[0])).st_size
    assert size > 200 << 20


def test_a_full_disk_defers_and_recovers(folder, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small filesystem")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs",
                       str(disk)]).returncode != 0:
        pytest.skip("cannot mount a small filesystem here")
    send = None
    try:
        node = Node(folder, users=("alice", "bob"),
                    environment={"DOMAINDIR": str(disk)})
        send = Send(node)
        send.up()
        large = message_file(tmp_path, b"\n" + b"x" * 400000, "large")
        small = message_file(tmp_path, MESSAGE, "small")
        send.job(1, "alice", large)
        assert send.result()[1] == "K"
        send.job(2, "bob", large)
        send.job(3, "bob", small)
        results = send.results(2)
        assert results[2][0] == "Z" and "(#4.3.1)" in results[2][1]
        assert results[3][0] == "K"
        assert node.messages("bob", "tmp") == []
        new = node.maildir("alice") + "/new"
        for name in os.listdir(new):
            os.unlink(os.path.join(new, name))
        send.job(4, "bob", large)
        assert send.result()[1] == "K"
        assert send.hang_up() == 0
    finally:
        if send is not None:
            send.down()
        subprocess.run(["umount", str(disk)], check=True)


CALLS = ("fdatasync", "fsync", "syncfs", "renameat2", "sendmsg", "openat")


class Traced:
    """A worker under strace."""

    def __init__(self, send, trace, *options):
        if shutil.which("strace") is None:
            pytest.skip("strace is not installed")
        self.send, self.trace = send, trace
        send.up(("strace", "-f", "-o", str(trace), "-e",
                 "trace=" + ",".join(CALLS), *options))
        path = "/proc/%d/task/%d/children" % (send.worker.pid,
                                              send.worker.pid)
        with open(path) as children:
            self.pid = int(children.read().split()[0])

    def calls(self):
        """Those that have returned, in order; openat only of files in tmp."""
        self.send.connection.close()
        self.send.worker.wait(TIMEOUT)
        found, opening = [], set()
        for line in self.trace.read_text().splitlines():
            call = re.match(r"(\d+) +(?:<\.\.\. )?(\w+)", line)
            if call is None or call.group(2) not in CALLS:
                continue
            if "O_EXCL" in line:
                opening.add(call.group(1))
            if "unfinished" in line:
                continue
            if call.group(2) != "openat" or call.group(1) in opening:
                found.append(call.group(2))
            opening.discard(call.group(1))
        return found[found.index("openat"):]


def test_it_is_durable_before_it_is_reported(node, send, tmp_path):
    """The file is synced, renamed, its folder synced; then it is said."""
    traced = Traced(send, tmp_path / "trace")
    for delivery in range(3):
        send.job(delivery, "alice", MESSAGE)
        assert send.result()[1] == "K"
    assert traced.calls() == 3 * [
        "openat", "fdatasync", "renameat2", "fsync", "sendmsg"]


@pytest.mark.parametrize("recipients", [1, 50])
def test_many_are_few_groups(node, send, tmp_path, recipients):
    """Those that wait together share syncs.  One alone has one for its content,
    which parallel syncs of a group also have, and one for its name."""
    users = ["u%d" % i for i in range(10)]
    for user in users:
        node.add_user(user)
    # As long as a disk takes: under strace writing takes longer than a sync that
    # has nothing to do, and then little would wait together.
    traced = Traced(send, tmp_path / "trace", "-e",
                    "inject=fdatasync,fsync,syncfs:delay_enter=20000")
    os.kill(traced.pid, signal.SIGSTOP)
    for first in range(0, 150, recipients):
        deliveries = list(range(first, first + recipients))
        # The rule of the domain, for names that are nobody's.
        assert send.job(deliveries, ["x%d" % d for d in deliveries]
                        if recipients > 1 else
                        [users[d % 10] for d in deliveries], MESSAGE)
    if recipients > 1:
        node.rule("| vdelivermail '' " + node.maildir("u0"))
    os.kill(traced.pid, signal.SIGCONT)
    assert {o for o, _ in send.results(150).values()} == {"K"}
    calls = traced.calls()
    assert calls.count("renameat2") == 150
    assert calls.count("fdatasync") <= 150
    syncs = calls.count("fsync") + calls.count("syncfs")
    assert syncs < 75 * SLOW, syncs


# Makes the sync of a whole filesystem fail while a file is there, and notes
# what became of it.
SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int
syncfs(int fd)
{
	if (access(getenv("SYNCFS_FAILS"), F_OK) == 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_syncfs, fd);
}
"""


def test_a_failed_sync_of_the_filesystem_fails_the_group(
        node, send, tmp_path):
    if SLOW > 1:
        pytest.skip("sanitizers must be loaded first")
    (tmp_path / "shim.c").write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "shim.so",
                    tmp_path / "shim.c"], check=True)
    fails = tmp_path / "fails"
    fails.touch()
    send.up(LD_PRELOAD=str(tmp_path / "shim.so"), SYNCFS_FAILS=str(fails))
    wanted = [b"Subject: %d\n" % i for i in range(100)]

    def deliver():
        send.worker.send_signal(signal.SIGSTOP)
        for delivery, body in enumerate(wanted):
            assert send.job(delivery, "alice", body,
                            uuid=uuid.UUID(int=UUID.int + delivery))
        send.worker.send_signal(signal.SIGCONT)
        return send.results(len(wanted))

    results = deliver()
    if {outcome for outcome, _ in results.values()} == {"K"}:
        pytest.skip("this filesystem is not synced as a whole")
    # A small group, at the start, has a sync for each file.
    failed = [text for outcome, text in results.values() if outcome == "Z"]
    assert all("Input/output error" in text for text in failed)
    assert len(node.messages("alice")) == len(wanted) - len(failed)
    assert node.messages("alice", "tmp") == []
    fails.unlink()
    assert {outcome for outcome, _ in deliver().values()} == {"K"}
    assert len(node.messages("alice")) == len(wanted)
