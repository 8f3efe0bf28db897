# SPDX-License-Identifier: ISC
"""qmail-send: its log, retries, signals, holds, and damaged files."""
import re
import signal
import struct
import time
import zlib

import pytest

import journal
from node import SLOW, wait_until
from queue_peer import DOMAIN

# Reference 9.1, the classic column: log tools count on these.
LOG_LINES = [
    r"running", r"exiting",
    r"new msg \d+",
    r"info msg \d+: bytes \d+ from <[^>]*> qp \d+ uid \d+ uuid [0-9a-f-]{36}",
    r"starting delivery \d+: msg \d+ to (local|remote) \S+",
    r"status: local \d+/\d+ remote \d+/\d+( exitasap)?",
    r"delivery \d+: (success|failure|deferral): \S*",
    r"bounce msg \d+ qp \d+",
    r"(double|triple) bounce: discarding bounce/\d+",
    r"end msg \d+",
]


def test_an_odd_line_of_virtualdomains_is_told(queue):
    """It counts as it stands, as in qmail, and stops no start."""
    queue.set("virtualdomains", f"<x>:odd\n{DOMAIN}:{DOMAIN}")
    queue.start()
    queue.wait_log(r"^warning: \S+/virtualdomains: '<x>:odd' is not a virtual")
    queue.worker()
    queue.inject([f"u@{DOMAIN}"])
    queue.wait_log("^end msg")


def test_every_line_has_qmail_form(queue):
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.start()
    queue.worker(lambda job: {
        "bad": ("D", "two words\nand lines\t(#5.1.1)\n"),
        "late": ("Z", "wait\n")}.get(job.extension, ("K", "did 1+0+0\n")))
    queue.inject([f"u@{DOMAIN}", f"bad@{DOMAIN}", f"late@{DOMAIN}"])
    queue.inject([f"bad@{DOMAIN}"], sender="#@[]")
    queue.wait_log("^bounce msg|^triple", 1)
    queue.wait_log("^end msg")
    assert queue.stop() == 0
    lines = queue.log().splitlines()
    for line in lines:
        assert any(re.fullmatch(form, line) for form in LOG_LINES), line
    assert "delivery 1: success: did_1+0+0/" in lines or \
        any(line.endswith(": success: did_1+0+0/") for line in lines)
    assert any(line.endswith(": failure: two_words/and_lines_(#5.1.1)/")
               for line in lines)
    assert lines[0] == "running" and lines[-1] == "exiting"
    # matchup's positions: info [2] msg, [4] bytes, [6] <sender>, [8], [10]
    fields = next(line for line in lines if line.startswith("info")).split()
    assert fields[1] == "msg" and fields[3] == "bytes"
    assert fields[6].startswith("<") and fields[7] == "qp"


def test_deferral_is_remembered_and_tried_by_the_table(queue):
    queue.start()
    queue.worker(lambda job: ("Z", "later\n") if job.extension == "b"
                 else ("K", "ok\n"))
    queue.inject([f"a@{DOMAIN}", f"b@{DOMAIN}", "c@remote.example"])
    queue.wait_files(todo=0, info=1, local=1, remote=1)
    number = next(iter(queue.files("info")))
    a, b = f"{DOMAIN}-a@{DOMAIN}", f"{DOMAIN}-b@{DOMAIN}"
    assert queue.path("info", number).read_bytes().startswith(
        b"Fs@example.net\0A000001\0W00\0I")
    assert queue.path("local", number).read_bytes() == \
        f"D{a}\0T{b}\0".encode()
    assert queue.path("remote", number).read_bytes() == \
        b"Tc@remote.example\0"
    birth = queue.path("info", number).stat().st_mtime
    due = queue.path("local", number).stat().st_mtime
    # n = 10, or 11 when the try took its second
    assert due - int(birth) in (100, 121)


def test_alarm_tries_everything_now(queue):
    queue.start()
    worker = queue.worker(lambda job: ("Z", "later\n"))
    for name in "abc":
        queue.inject([f"{name}@{DOMAIN}"])
    queue.wait_files(todo=0, info=3, local=3)
    assert len(worker.jobs) == 3
    worker.decide = lambda job: ("K", "ok\n")
    queue.hurry(lambda: len(worker.jobs) == 6, "a try of all")
    queue.wait_done()
    assert len(worker.jobs) == 6


def test_remembered_is_tried_again_after_restart(queue):
    queue.start()
    queue.worker(lambda job: ("Z", "later\n"))
    queue.inject()
    queue.wait_files(todo=0, info=1, local=1)
    number = next(iter(queue.files("info")))
    assert queue.stop() == 0
    due = queue.path("local", number).stat().st_mtime
    queue.start()
    worker = queue.worker()
    queue.inject([f"other@{DOMAIN}"])
    worker.wait_jobs(1)
    assert worker.recipients() == [f"{DOMAIN}-other@{DOMAIN}"]  # not due
    assert queue.path("local", number).stat().st_mtime == due
    queue.hurry(queue.is_empty, "a try of it")


def test_term_finishes_what_is_in_flight(queue):
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject()
    worker.wait_jobs(1)
    queue.send_signal(signal.SIGTERM)
    queue.wait_log("^status: .* exitasap$")
    assert queue.process.poll() is None
    queue.inject([f"v@{DOMAIN}"])  # is written as files, for the next start
    worker.answer(worker.held[0], "K", "ok\n")
    assert queue.process.wait(20) == 0
    assert queue.log().rstrip().endswith("exiting")
    assert len(worker.jobs) == 1 and len(queue.files("todo")) == 1


def test_kill_repeats_only_what_was_in_flight(queue):
    queue.start()
    worker = queue.worker(lambda job: None if job.extension == "slow"
                          else ("K", "ok\n"))
    queue.inject([f"slow@{DOMAIN}", f"quick@{DOMAIN}"])
    worker.wait_jobs(2)
    queue.wait_files(info=1, todo=0)  # quick's end is on disk in a second
    wait_until(lambda: any(b"Dexample" in path.read_bytes()
                           for path in queue.files("local").values()),
               "the mark of the one that is done")
    queue.stop(signal.SIGKILL)
    queue.start()
    again = queue.worker()
    queue.wait_done()
    assert again.recipients() == [f"{DOMAIN}-slow@{DOMAIN}"]


def test_hup_rereads_and_keeps_the_old_when_it_is_bad(queue):
    queue.start()
    worker = queue.worker()
    queue.set("virtualdomains", "no colon here")
    queue.send_signal(signal.SIGHUP)
    queue.wait_log("^alert: unable to reread controls: .*virtualdomains")
    queue.inject([f"u@{DOMAIN}"])
    worker.wait_jobs(1)
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nnew.example:{DOMAIN}")
    queue.send_signal(signal.SIGHUP)

    def routed():
        queue.inject(["w@new.example"])
        return f"{DOMAIN}-w@new.example" in worker.recipients()

    wait_until(routed, "the new domain")


def test_held_mail_is_taken_and_kept(queue):
    queue.set("holdlocal", "1")
    queue.start()
    worker = queue.worker()
    queue.inject()
    queue.wait_files(mess=1)
    assert not worker.jobs
    queue.set("holdlocal", "0")
    queue.send_signal(signal.SIGHUP)
    worker.wait_jobs(1)
    queue.wait_done()


def test_concurrency_of_one_queue(queue):
    queue.set("concurrencylocal", "7")
    queue.set("concurrencyl.queue1", "3")
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject([f"u{n}@{DOMAIN}" for n in range(9)])
    worker.wait_jobs(3)
    queue.wait_log("^status: local 3/3 remote")
    assert len(worker.held) == 3
    worker.answer(worker.held[0], "K", "ok\n")
    worker.wait_jobs(4)
    assert "local 4/3" not in queue.log()


def test_worker_that_dies_defers_its_deliveries(queue):
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject()
    worker.wait_jobs(1)
    worker.close()
    queue.workers.remove(worker)
    queue.wait_log(r"deferral: The_delivery_worker_ended")
    queue.wait_files(todo=0, info=1, local=1)
    again = queue.worker()
    queue.hurry(lambda: again.jobs, "a try of all")
    queue.wait_done()


@pytest.mark.parametrize("packet", [
    b"\x03\xff\0\0\0K\x03\0\0\0ok\0",   # a delivery it does not have
    b"\x03\x01\0\0\0X\x03\0\0\0ok\0",   # no outcome
    b"\xff", b"\x03", b"\x01" * 1000,
])
def test_mangled_results_end_the_worker(queue, packet):
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject()
    worker.wait_jobs(1)
    worker.connection.send(packet)
    queue.wait_log("deferral: ")
    again = queue.worker()
    queue.hurry(lambda: again.jobs, "a try of all")
    queue.wait_done()


@pytest.mark.parametrize("todo", [b"", b"u1\0p2\0Fs@x", b"garbage\0",
                                  b"u1\0p2\0Tu@x\0Fs\0"])
def test_damaged_todo_is_told_and_kept(queue, todo):
    queue.inject()
    number = next(iter(queue.files("todo")))
    queue.path("todo", number).write_bytes(todo)
    (queue.dir / "todo/notes").write_text("not a message")
    queue.start()
    worker = queue.worker()
    queue.wait_log(f"^alert: cannot use todo/{number}: ")
    queue.wait_log("'notes' in todo/ is not a message")
    assert queue.path("mess", number).exists()
    assert queue.path("todo", number).read_bytes() == todo
    queue.inject()
    worker.wait_jobs(1)
    assert str(worker.jobs[0].message_id) != number


def test_todo_without_message_is_removed(queue):
    (queue.dir / "todo/4711").write_bytes(b"u1\0p2\0Fs@x\0Tu@x\0")
    queue.start()
    queue.wait_log("todo/4711 has no message.*removed")
    wait_until(lambda: not queue.files("todo"), "todo/ is empty")


def test_many_remembered_do_not_delay_intake(make_queue):
    """50,000 messages in S5: new mail is taken and delivered at once."""
    queue = make_queue(in_memory=True)
    first = queue.put_remembered(local=[f"{DOMAIN}-x@{DOMAIN}"])
    far = first + (1 << 40)  # of no inode that the test will see
    for number in range(far, far + 50000):
        for name, content in (("info", b"Fs@x\0"), ("mess", b"x"),
                              ("remote", b"Tr@remote.example\0")):
            queue.path(name, number).write_bytes(content)
    queue.start()
    worker = queue.worker()
    queue.inject()
    worker.wait_jobs(1)
    assert queue.cpu_s() < 5 * SLOW
    queue.wait_files(todo=0)


def test_a_long_list_is_read_again(queue):
    """One over 64 MiB stayed in the queue for ever."""
    done = b"D" + b"a" * 1000 + b"\0"
    queue.put_remembered(local=done * (65 << 10) + b"T" + DOMAIN.encode() +
                         b"-u@" + DOMAIN.encode() + b"\0")
    queue.start()
    worker = queue.worker()
    queue.wait_done()
    assert worker.recipients() == [f"{DOMAIN}-u@{DOMAIN}"]


def test_a_clock_that_was_ahead_made_the_journal(queue):
    """Its mail was told to be of next year, and was never too old."""
    queue.start()
    queue.inject()  # fresh for three seconds, while there is no worker
    queue.stop(signal.SIGKILL)
    number, = journal.messages(queue.dir)
    path, segment = next(
        (path, path.read_bytes()) for path in queue.files("lock").values()
        if path.name.startswith("journal.") and
        journal.generation(path.read_bytes()) != 0)
    data = bytearray(segment)
    ahead = int(time.time()) + 365 * 86400
    at = journal.PAGE + journal.HEAD.size + 16  # behind the UUID
    data[at:at + 8] = struct.pack("<q", ahead)
    length, = struct.unpack_from("<I", data, journal.PAGE + 4)
    end = journal.PAGE + 8 + length
    struct.pack_into("<I", data, journal.PAGE,
                     zlib.crc32(data[journal.PAGE + 4:end]))
    path.write_bytes(data)
    assert journal.messages(queue.dir)[number].birth == ahead
    queue.start()
    worker = queue.worker(lambda job: ("Z", "later\n"))
    job, = worker.wait_jobs(1)
    assert job.birth <= time.time()
    queue.wait_files(info=1)
    assert queue.path("info", number).stat().st_mtime <= time.time()
    assert queue.path("local", number).stat().st_mtime < time.time() + 120


def test_tries_do_not_make_a_message_younger(queue):
    """Noting a try changed the time of info/ID, which is the birth: no mail
    was ever too old, and each try was the first one's step behind the last."""
    queue.start()
    queue.worker(lambda job: ("Z", "later\n"))
    number = queue.put_remembered(
        local=[f"{DOMAIN}-u@{DOMAIN}"], age=10000,
        info=b"Fs@example.net\0A000003\0")
    info, local = queue.path("info", number), queue.path("local", number)
    birth = int(info.stat().st_mtime)
    queue.stop()
    queue.start()
    worker = queue.worker(lambda job: ("Z", "later\n"))
    worker.wait_jobs(1)
    assert worker.jobs[0].attempt == 4
    wait_until(lambda: b"A000004" in info.read_bytes(), "it is noted")
    # The square of 100 and 10, or a second later.
    wait_until(lambda: local.stat().st_mtime > time.time(), "it has its time")
    assert int(info.stat().st_mtime) == birth
    assert local.stat().st_mtime - birth in (12100, 12321)


@pytest.mark.parametrize("change", ["short", "long"])
def test_the_committed_length_decides(queue, change):
    """What became of a kept message's file is not what was accepted."""
    queue.start()
    queue.worker(lambda job: ("Z", "later\n"))
    queue.inject(body=b"Subject: x\n\n" + b"whole\n" * 5000)
    queue.wait_files(info=1)
    queue.stop()
    number, = queue.files("info")
    mess = queue.path("mess", number)
    whole = mess.read_bytes()
    assert b"\0S%d\0" % len(whole) in queue.path("info", number).read_bytes()
    mess.write_bytes(whole[:-7] if change == "short" else whole + b"more\n")
    queue.start()
    worker = queue.worker()
    queue.hurry(lambda: f"alert: cannot use info/{number}: mess/{number} has "
                in queue.log(), "an alert")
    queue.stop()
    assert worker.jobs == []
    mess.write_bytes(whole)
    queue.start()
    worker = queue.worker()
    queue.hurry(lambda: worker.jobs, "a try")
    assert worker.jobs[0].message == whole
    queue.wait_done()


def test_files_that_a_clock_ahead_has_made(queue):
    """Kept mail of next year waited for a year."""
    number = queue.put_remembered(
        local=[f"{DOMAIN}-u@{DOMAIN}"], age=-365 * 86400,
        info=b"Fs@example.net\0A000003\0")
    queue.start()
    queue.worker(lambda job: ("Z", "later\n")).wait_jobs(1)
    info = queue.path("info", number)
    wait_until(lambda: b"A000004" in info.read_bytes(), "it is noted")
    wait_until(lambda: info.stat().st_mtime <= time.time(),
               "it was born now")
    wait_until(lambda: queue.path("local", number).stat().st_mtime <
               time.time() + 130, "it is tried again soon")
