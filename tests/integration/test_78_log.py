# SPDX-License-Identifier: ISC
"""svctool log: the logs of all services in one order."""
import contextlib
import json
import os
import resource
import subprocess
import threading

from node import BIN, SLOW, wait_until

TAI_0 = (1 << 62) + 10


def stamp(seconds):
    return f"@{TAI_0 + int(seconds):016x}{int(seconds % 1 * 1e9):08x}"


def entries(node, *options):
    done = node.svctool("log", "--json", *options)
    return [json.loads(line) for line in done.stdout.splitlines()]


def texts(node, *options):
    return [entry["text"] for entry in entries(node, *options)]


def accepted(node, sender):
    """(UUID, queue, number), as the listener's line says it."""
    lines = wait_until(
        lambda: [entry for entry in entries(node, "--address", sender)
                 if entry["service"].startswith("qmail-smtpd")],
        "a line of the listener")
    return lines[0]["uuid"], lines[0]["queue"], lines[0]["msg"]


def is_over(node, uuid):
    return [text for text in texts(node, "--id", uuid)
            if text.startswith("end msg ")]


def test_a_message_is_followed(node):
    sender = "wanted@example.net"
    for other in ("before", "after"):
        with node.smtp() as client:
            client.sendmail(sender if other == "after" else "x@example.net",
                            [f"alice@{node.domain}", f"bob@{node.domain}"],
                            "Subject: x\n\nHello.\n")
    node.send(sender="x@example.net")
    uuid, queue, number = accepted(node, sender)
    wait_until(lambda: is_over(node, uuid), "its end in the log")
    found = entries(node, "--id", uuid)
    assert found == entries(node, "--id", number)
    assert {entry["service"] for entry in found} == {
        queue, f"qmail-smtpd.{node.smtp_port}"}
    own = [entry["text"] for entry in found if entry["service"] == queue]
    assert own[0] == f"new msg {number}"
    assert own[1].startswith(f"info msg {number}: ") and uuid in own[1]
    assert own[-1] == f"end msg {number}"
    assert [text.split(":")[0] for text in own
            if text.startswith("starting delivery")] == [
                text.split(":")[0].replace("delivery", "starting delivery", 1)
                for text in sorted(own) if text.startswith("delivery ")]
    assert len(own) == 7
    assert [entry["tai64n"] for entry in found] == sorted(
        entry["tai64n"] for entry in found)
    # Of its two recipients one; of its queue, and of the other one.
    assert len(texts(node, "--id", uuid, "--address",
                     f"bob@{node.domain}")) == 3
    assert len(texts(node, "--id", uuid, "--queue", queue[5:])) == 9
    other = "queue1" if queue == "queue2" else "queue2"
    assert texts(node, "--id", uuid, "--queue", other) == []
    assert len(texts(node, "--id", uuid, "--service", queue)) == 7
    assert texts(node, "--id", uuid, "--until", "1h") == []
    # The same when nothing runs.
    node.down()
    assert entries(node, "--id", uuid) == found
    assert texts(node, "--id", uuid, "--since", "2000-01-01") == [
        entry["text"] for entry in found]


def test_what_people_read(node):
    folder = node.home / "log/extra"
    folder.mkdir()
    (folder / "current").write_bytes(
        b"@400000006b0d2995075bca15 \x1b[2Jhello\xff\n")
    environment = {**node.environment(), "TZ": "XXX-1"}
    ask = ("--service", "extra")
    assert node.svctool("log", *ask, env=environment).stdout == \
        "2026-11-30 08:45:15.123456 extra: ?[2Jhello?\n"
    assert node.svctool("log", *ask, "--utc").stdout == \
        "2026-11-30T07:45:15.123456Z extra: ?[2Jhello?\n"
    assert node.svctool("log", *ask, "--since", "2026-11-30 08:45:16",
                        env=environment).stdout == ""
    for options in (["--id", "x"], ["--since", "yesterday"],
                    ["--follow", "--until", "08:00"],
                    ["--service", "../x"], ["queue1"]):
        assert "svctool:" in node.svctool("log", *options, code=100).stderr
    assert "no log 'x'" in node.svctool("log", "--service", "x",
                                        code=1).stderr


@contextlib.contextmanager
def following(node, *options):
    """The lines that svctool log --follow has printed so far."""
    process = subprocess.Popen(
        [BIN / "svctool", "log", "--follow", *options, "--home", node.home],
        stdout=subprocess.PIPE, text=True, env=node.environment())
    lines = []
    thread = threading.Thread(target=lambda: [
        lines.append(line) for line in process.stdout])
    thread.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait(20 * SLOW)
        thread.join(20 * SLOW)
        process.stdout.close()


def test_followed_over_rotation(node):
    """Each line once, while real multilogs begin new files again and again."""
    folder = node.home / "log/busy"
    with following(node, "--queue", "1") as of_queue, \
            following(node) as lines:
        wait_until(lambda: of_queue and "queue1: running" in of_queue[0],
                   lambda: of_queue)
        logger = subprocess.Popen(
            ["multilog", "t", "s4096", "n100", folder], stdin=subprocess.PIPE,
            text=True)
        try:
            for number in range(2000):
                logger.stdin.write(f"line number {number:06}\n")
                if number % 100 == 0:
                    logger.stdin.flush()
        finally:
            logger.stdin.close()
            logger.wait(20 * SLOW)

        def found():
            return [int(line.split()[-1]) for line in list(lines)
                    if " busy: line number " in line]
        wait_until(lambda: len(found()) >= 2000, lambda: len(found()))
        assert found() == list(range(2000))
        assert len(list(folder.glob("@*"))) > 10
        node.inject(f"alice@{node.domain}", queue="queue1")
        wait_until(lambda: any(" queue1: end msg " in line
                               for line in list(of_queue)), lambda: of_queue)
        assert all(" queue1: " in line for line in of_queue)
    assert [entry["text"] for entry in entries(node, "--service", "busy")] == [
        f"line number {number:06}" for number in range(2000)]


def test_large_logs_take_no_memory(make_node):
    """70 MB of four services, in files of multilog's size."""
    node = make_node("--init-only")
    begin = 1_700_000_000
    filler = "x" * 900
    for service in range(4):
        folder = node.home / f"log/big{service}"
        folder.mkdir()
        for file in range(10):
            first = begin + file * 10_000
            text = "".join(
                f"{stamp(first + at)} {service} {file} {at} {filler}\n"
                for at in range(service, 2000))
            name = "current" if file == 9 else f"{stamp(first + 9999)}.s"
            (folder / name).write_text(text)

    def limit():
        resource.setrlimit(resource.RLIMIT_DATA, (16 << 20, 16 << 20))

    options = {"preexec_fn": limit} if SLOW == 1 else {}
    last = 0
    count = 0
    with subprocess.Popen(
            [BIN / "svctool", "log", "--utc", "--home", node.home],
            stdout=subprocess.PIPE, env=node.environment(),
            **options) as process:
        for line in process.stdout:
            when = line[:27]
            assert count == 0 or last <= when
            last = when
            count += 1
    assert process.returncode == 0
    assert count == 10 * (2000 * 4 - 6)
    # What ended before is not read at all.
    before = os.times().children_user
    found = entries(node, "--since", stamp(begin + 91_990))
    assert len(found) == 4 * 10
    assert os.times().children_user - before < 1 * SLOW
