# SPDX-License-Identifier: ISC
"""qmail-qstat and qmail-qread."""
import json
import os
import re
import subprocess

import pytest

from node import BIN
from queue_peer import DOMAIN, Intake


def lines(done):
    return done.stdout.decode().splitlines()


def test_counts_messages_and_no_spare_files(queue):
    assert lines(queue.run("qmail-qstat")) == [
        "messages in queue: 0", "messages in queue but not yet preprocessed: 0"]
    queue.start()
    worker = queue.worker()
    queue.inject()
    queue.wait_done()
    assert queue.files("mess"), "no spare file was kept"
    client = Intake(queue)
    client.open()
    assert lines(queue.run("qmail-qstat")) == [
        "messages in queue: 0", "messages in queue but not yet preprocessed: 0"]
    worker.decide = lambda job: None
    queue.inject()
    queue.put_remembered(local=[f"{DOMAIN}-u@{DOMAIN}"])
    assert lines(queue.run("qmail-qstat", "-v")) == [
        "queue1: messages in queue: 2",
        "queue1: messages in queue but not yet preprocessed: 1",
        "messages in queue: 2", "messages in queue but not yet preprocessed: 1"]
    said = json.loads(queue.run("qmail-qstat", "--json").stdout)
    assert said == {
        "messages": 2, "not_preprocessed": 1,
        "queues": [{"name": "queue1", "path": str(queue.dir), "messages": 2,
                    "not_preprocessed": 1}]}


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
        local=b"T" + b"x-u@x\0" + b"Dx-v@x\0", remote=["r@example.org"])
    os.utime(queue.path("info", number), (86400, 86400))
    queue.path("bounce", number).write_bytes(b"<v@x>:\nno\n\n")
    queue.inject([f"u@{DOMAIN}", "q\r@example.org"], sender="")
    todo = next(iter(queue.files("todo")))
    found = lines(queue.run("qmail-qread"))
    assert re.fullmatch(r"\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT  "
                        rf"#{todo}  \d+  <> ", found[0])
    assert found[1:] == [
        f"\ttodo\tu@{DOMAIN}", "\ttodo\tq?@example.org",
        f"2 Jan 1970 00:00:00 GMT  #{number}  1234  <a@example.net>  bouncing",
        "\tlocal\tx-u@x", "  done\tlocal\tx-v@x", "\tremote\tr@example.org"]
    said = json.loads(queue.run("qmail-qread", "--json").stdout)
    assert [message["id"] for message in said] == [int(todo), number]
    assert said[1] == {
        "id": number, "queue": "queue1", "size": 1234, "birth": 86400,
        "sender": "a@example.net", "preprocessed": True, "bouncing": True,
        "recipients": [
            {"channel": "local", "done": False, "address": "x-u@x"},
            {"channel": "local", "done": True, "address": "x-v@x"},
            {"channel": "remote", "done": False, "address": "r@example.org"}]}


def test_damage_is_said_and_hides_nothing(queue):
    queue.put_remembered(info=b"garbage\0", local=["x"])
    lists = [queue.put_remembered(local=b"Tu@x\0" + rest)
             for rest in (b"\0", b"Tcut", b"no record\0")]
    queue.put_remembered(sender="good@example.net", local=["x"])
    (queue.dir / "todo/77").write_bytes(b"no envelope")
    queue.path("mess", 77).write_bytes(b"x")
    done = queue.run("qmail-qread", code=111)
    assert b"todo/77" in done.stderr and b"info/" in done.stderr
    for number in lists:
        assert f"/local/{number}': ".encode() in done.stderr
    assert b"<good@example.net>" in done.stdout


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
