# SPDX-License-Identifier: ISC
"""qmail-qstat and qmail-qread."""
import json
import os
import re
import signal
import subprocess

import pytest

import journal
from node import BIN, wait_until
from queue_peer import DOMAIN

UUID = "0190163d-8694-739b-aea5-966c26f8ad91"


def lines(done):
    return done.stdout.decode().splitlines()


def counted(queue):
    said = json.loads(queue.run("qmail-qstat", "--json").stdout)
    return said["messages"], said["fresh"], said["not_preprocessed"]


def read(queue):
    """What qmail-qread knows, by number."""
    return {message["id"]: message for message in
            json.loads(queue.run("qmail-qread", "--json").stdout)}


def test_counts_messages_fresh_and_kept(queue):
    assert lines(queue.run("qmail-qstat")) == [
        "messages in queue: 0", "messages in queue but not yet preprocessed: 0"]
    queue.put_remembered(remote=["x@elsewhere.example"])
    queue.start()
    worker = queue.worker()
    queue.inject()
    wait_until(lambda: counted(queue) == (1, 0, 0), "the first one is over")
    worker.decide = lambda job: None
    queue.inject()
    worker.wait_jobs(2)
    assert lines(queue.run("qmail-qstat", "-v")) == [
        "queue1: messages in queue: 2",
        "queue1: messages in queue but not yet preprocessed: 1",
        "messages in queue: 2", "messages in queue but not yet preprocessed: 1"]
    said = json.loads(queue.run("qmail-qstat", "--json").stdout)
    assert said["messages"] == 2 and said["not_preprocessed"] == 1
    (of_queue,) = said["queues"]
    assert of_queue["name"] == "queue1" and of_queue["path"] == str(queue.dir)
    assert of_queue["messages"] == 2


def test_a_killed_queue_shows_what_it_holds(queue):
    """Its newest mail has no file: it is in the journal alone."""
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject([f"u@{DOMAIN}", "r@example.org"], sender="a@example.net",
                 body=b"Subject: fresh\n\nbody\n")
    worker.wait_jobs(1)
    queue.stop(signal.SIGKILL)
    assert counted(queue) == (1, 1, 1)
    ((number, message),) = read(queue).items()
    assert journal.live(queue.dir).keys() == {str(number)}
    held = journal.messages(queue.dir)[str(number)]
    assert message == {
        "id": number, "queue": "queue1", "state": "fresh",
        "uuid": str(held.uuid), "size": held.size, "birth": held.birth,
        "age": message["age"], "tries": 0, "sender": "a@example.net",
        "preprocessed": False, "bouncing": False, "recipients": [
            {"channel": "todo", "done": False, "address": f"u@{DOMAIN}"},
            {"channel": "todo", "done": False, "address": "r@example.org"}]}
    assert 0 <= message["age"] < 1000
    # Repaired it has files, and is the same message.
    assert "into files, mail of 1 message" in queue.fix()
    assert counted(queue) == (1, 0, 1)
    assert read(queue) == {number: message | {
        "state": "kept", "age": read(queue)[number]["age"]}}
    assert journal.live(queue.dir) == {}


def test_collection_and_queuedir(queue):
    second = queue.home / "queue/queue2"
    queue.run("queue-fix", second)
    queue.inject()
    queue.set("queue_count", "2")
    assert lines(queue.run("qmail-qstat"))[0] == "messages in queue: 1"
    assert lines(queue.run("qmail-qstat", env={"QUEUEDIR": str(second)}))[
        0] == "messages in queue: 0"
    assert lines(queue.run("qmail-qstat", env={
        "QUEUE_START": "2", "QUEUE_COUNT": "1"}))[0] == "messages in queue: 0"
    done = queue.run("qmail-qstat", code=111, env={"QUEUE_COUNT": "3"})
    assert b"queue3" in done.stderr and b"queue-fix" in done.stderr
    assert done.stdout == b"", "a sum without a queue"


def test_read_shows_every_message_in_qmail_form(queue):
    number = queue.put_remembered(
        sender="a@example.net", body=b"x" * 1234, age=0,
        local=b"T" + b"x-u@x\0" + b"Dx-v@x\0", remote=["r@example.org"],
        info=b"Fa@example.net\0A000012\0I" + UUID.encode() + b"\0S1234\0")
    os.utime(queue.path("info", number), (86400, 86400))
    queue.path("bounce", number).write_bytes(b"<v@x>:\nno\n\n")
    queue.inject([f"u@{DOMAIN}", "q@example.org"], sender="")
    todo = next(iter(queue.files("todo")))
    found = lines(queue.run("qmail-qread"))
    assert re.fullmatch(r"\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT  "
                        rf"#{todo}  \d+  <> ", found[0])
    assert found[1:] == [
        f"\ttodo\tu@{DOMAIN}", "\ttodo\tq@example.org",
        f"2 Jan 1970 00:00:00 GMT  #{number}  1234  <a@example.net>  bouncing",
        "\tlocal\tx-u@x", "  done\tlocal\tx-v@x", "\tremote\tr@example.org"]
    verbose = lines(queue.run("qmail-qread", "-v"))
    assert [line for line in verbose if not line.startswith("  uuid ")] == found
    assert re.fullmatch(rf"  uuid {UUID}  age \d+  state kept  tries 12",
                        verbose[5])
    assert re.fullmatch(
        r"  uuid ([0-9a-f-]{36})  age \d+  state kept  tries 0", verbose[1])
    said = read(queue)
    assert set(said) == {int(todo), number}
    assert said[number] == {
        "id": number, "queue": "queue1", "state": "kept", "uuid": UUID,
        "size": 1234, "birth": 86400, "age": said[number]["age"], "tries": 12,
        "sender": "a@example.net", "preprocessed": True, "bouncing": True,
        "recipients": [
            {"channel": "local", "done": False, "address": "x-u@x"},
            {"channel": "local", "done": True, "address": "x-v@x"},
            {"channel": "remote", "done": False, "address": "r@example.org"}]}


def test_addresses_do_nothing_to_a_terminal(queue):
    """Control characters, those of C1 too, and marks of direction."""
    bad = b"a\x1b[2Jb\xc2\x9b1mc\xe2\x80\xaed\x9bz>\xc3\xa9@example.net"
    queue.put_remembered(info=b"F" + bad + b"\0", local=b"T" + bad + b"\0")
    shown = "a_[2Jb_1mc_d_z_\u00e9@example.net"
    first, second = lines(queue.run("qmail-qread"))
    assert first.endswith(f"  <{shown}> ") and second == f"\tlocal\t{shown}"
    assert queue.run("qmail-qread", "--json").stdout.isascii()


def test_damage_is_said_and_hides_nothing(queue):
    bad = [queue.put_remembered(info=b"garbage\0", local=["x"])]
    lists = [queue.put_remembered(local=b"Tu@x\0" + rest)
             for rest in (b"\0", b"Tcut", b"no record\0")]
    short = queue.put_remembered(
        info=b"Fs@x\0A000001\0S99999\0", local=["x"])
    queue.put_remembered(sender="good@example.net", local=["x"])
    (queue.dir / "todo/77").write_bytes(b"no envelope")
    queue.path("mess", 77).write_bytes(b"x")
    bad += lists + [short, 77]
    done = queue.run("qmail-qread", code=111)
    assert b"<good@example.net>" in done.stdout
    for number in bad:
        assert f"message {number} in queue1 cannot be delivered: ".encode() \
            in done.stderr
        assert f"  #{number}  ".encode() in done.stdout
    for number in lists:
        assert f"/local/{number}': ".encode() in done.stderr
    assert b"99999 when it was accepted" in done.stderr
    assert done.stderr.count(b"\n") == len(bad)
    done = queue.run("qmail-qread", "--json", code=111)
    said = json.loads(done.stdout)
    assert {message["id"] for message in said
            if "problem" in message} == set(bad)
    assert len(said) == len(bad) + 1


@pytest.mark.parametrize("program", ["qmail-qstat", "qmail-qread"])
def test_errors_say_what_to_do(queue, program):
    assert queue.run(program, "--no-such", code=100).stderr
    queue.set("queue_count", "many")
    done = queue.run(program, code=111)
    assert b"queue_count" in done.stderr
    queue.set("queue_count", "1")
    if os.getuid() != 0:
        pytest.skip("needs root, to be another user")
    queue.home.chmod(0o755)
    done = subprocess.run(
        [BIN / program], env=queue.environment(), stderr=subprocess.PIPE,
        preexec_fn=lambda: os.setuid(65534), check=False)
    assert done.returncode == 111
    assert b"Permission denied" in done.stderr and b"root" in done.stderr
