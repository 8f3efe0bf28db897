# SPDX-License-Identifier: ISC
"""Trouble in the middle of things: disks that fail at some step, clients that
come back, and what other threads, or the other side, have in hand meanwhile."""
import array
import fcntl
import os
import resource
import signal
import subprocess
import termios
import time
import uuid

import pytest

import journal

from injected import injected, journals, needs_strace, parts
from node import NO_LEAKS, SLOW, wait_until
from queue_peer import DOMAIN, Intake

pytestmark = needs_strace


def large(name=b"large"):
    """Too large for the journal's records, in a journal of 1 MiB."""
    return b"Subject: " + name + b"\n\n" + b"x" * 70 * 1024 + b"\n"


def many(count=300):
    """Recipients whose envelope is too large for such a journal."""
    return [f"{number}{'x' * 890}@{DOMAIN}" for number in range(count)]


def pull_trigger(queue):
    trigger = os.open(queue.dir / "lock/trigger", os.O_WRONLY | os.O_NONBLOCK)
    os.write(trigger, b"x")
    os.close(trigger)


def unread(client):
    """Is there a packet that the queue has not read yet?"""
    count = array.array("i", [0])
    fcntl.ioctl(client.connection, termios.TIOCOUTQ, count)
    return count[0] > 0


def test_what_could_not_be_committed_is_not_known(queue):
    """
    A client comes back and asks while the commit is under way, which fails: it
    was told that the message is there, so that nobody sent it again.
    """
    queue.times["COMMIT_FULL_MS"] = 2000
    queue.start()
    ident = uuid.uuid4()
    client, again = Intake(queue), Intake(queue)
    with injected(queue, "pwritev2:error=EIO:delay_enter=1500000",
                  paths=journals(queue)):
        client.send(b"x\n", [f"u@{DOMAIN}"], ident=ident)
        # It is taken before the question is.
        wait_until(lambda: not unread(client), "COMMIT is read")
        assert again.ask(ident) == Intake.ABSENT
    assert client.answer()[0] != 0



def test_a_large_one_that_is_refused_leaves_nothing(queue):
    """Its file stayed in mess/ for 36 hours, and most likely the disk was
    full."""
    queue.times["COMMIT_FULL_MS"] = 1000
    queue.start()
    client = Intake(queue)
    with injected(queue, "pwritev2:error=ENOSPC", paths=journals(queue)):
        assert client.commit(large(), [f"u@{DOMAIN}"])[0] == 53
    queue.wait_files(mess=0)
    queue.worker()
    ident = uuid.uuid4()
    assert client.commit(large(), [f"u@{DOMAIN}"], ident=ident)[0] == 0
    # The same once more, as one whose answer was lost.
    assert client.commit(large(), [f"u@{DOMAIN}"], ident=ident)[0] == 0
    queue.wait_files(mess=0)


def name_of(job):
    return job.recipient.partition("-")[2].partition("@")[0]


def names(worker):
    return [name_of(job) for job in worker.jobs]


def test_an_end_that_could_not_be_written_is_not_the_end(queue):
    """
    Everybody has got an S4 message, whose files could not be removed: it was
    taken for over, found by the next scan, and delivered to all again.
    """
    number = "77777"
    queue.path("mess", number).write_bytes(b"Subject: x\n\nx\n")
    queue.path("todo", number).write_bytes(
        b"u0\0p1\0Fs@example.net\0T" + f"u@{DOMAIN}".encode() + b"\0")
    queue.start()
    worker = queue.worker(lambda job: None)
    worker.wait_jobs(1)
    with injected(queue, "unlinkat:error=EIO", paths=[number]):
        worker.answer(worker.held[0], "K", "ok\n")
        queue.wait_log("^alert: cannot remove")
    worker.decide = lambda job: ("K", "ok\n")
    pull_trigger(queue)
    queue.inject([f"next@{DOMAIN}"])
    worker.wait_jobs(2)
    assert queue.stop() == 0
    assert names(worker) == ["u", "next"]
    assert not queue.files("todo") and not queue.files("mess")


def fail_report(queue, worker):
    """A fresh message whose report cannot be written, nor read for."""
    client = Intake(queue)
    assert client.commit(large(), [f"u@{DOMAIN}"],
                         sender=f"s@{DOMAIN}")[0] == 0
    worker.wait_jobs(1)
    assert not queue.files("info")
    return injected(queue, "openat:error=EIO", paths=parts(queue, "mess"))


def test_a_failure_that_cannot_be_reported_yet_is_kept(queue):
    """
    It stayed fresh, and its place in the journal was never free again: neither
    for new mail, nor for the report that it waited for.
    """
    queue.times["STAY_MS"] = 500
    queue.start()
    worker = queue.worker(lambda job: None)
    with fail_report(queue, worker):
        worker.answer(worker.held[0], "D", "no such user (#5.1.1)\n")
        queue.wait_log("for a bounce: .* will try again")
        wait_until(lambda: queue.files("info") and queue.files("bounce"),
                   queue.log)
        worker.decide = lambda job: ("K", "ok\n")
    worker.wait_jobs(2)
    assert b"no such user" in worker.jobs[1].message
    queue.wait_done()


def test_a_stop_does_not_wait_for_a_report(queue):
    """A report that could not be written was tried once a second for ever."""
    queue.start(**NO_LEAKS)
    worker = queue.worker(lambda job: None)
    with fail_report(queue, worker):
        queue.send_signal(signal.SIGTERM)
        queue.wait_log("exitasap")
        worker.answer(worker.held[0], "D", "no such user (#5.1.1)\n")
        assert queue.process.wait(20) == 0
    queue.stop()
    assert queue.files("bounce") and queue.files("info")
    queue.start()
    again = queue.worker()
    again.wait_jobs(1)
    assert names(again) == ["s"]
    assert b"no such user" in again.jobs[0].message
    queue.wait_done()


def test_a_stop_does_not_wait_for_files_that_do_not_go(queue):
    """
    A fresh message got files but not its name, ended, and the files could not
    be removed: that was tried once a second for ever.
    """
    queue.times["STAY_MS"] = 500
    queue.start(**NO_LEAKS)
    worker = queue.worker(lambda job: None)
    queue.inject()
    number = worker.wait_jobs(1)[0].message_id
    with injected(queue, "unlinkat:error=EIO", paths=[number]):
        queue.wait_log("^alert: cannot remove .* will try again")
        worker.answer(worker.held[0], "K", "ok\n")
        queue.send_signal(signal.SIGTERM)
        assert queue.process.wait(20) == 111
    queue.stop()


def test_a_stop_does_not_wait_for_the_journal(queue):
    """Files are there; that the journal does not count could not be written."""
    queue.times["COMMIT_FULL_MS"] = 1000
    queue.times["STAY_MS"] = 500
    queue.start(**NO_LEAKS)
    worker = queue.worker(lambda job: None)
    queue.inject([f"u@{DOMAIN}", f"v@{DOMAIN}"])
    worker.wait_jobs(2)
    with injected(queue, "pwritev2:error=EIO", paths=journals(queue)):
        queue.wait_files(info=1)
        queue.send_signal(signal.SIGTERM)
        for job in list(worker.held):
            worker.answer(job, "Z", "later\n")
        assert queue.process.wait(20) == 111
    queue.stop()
    queue.start()
    again = queue.worker()
    queue.hurry(lambda: not queue.messages(), "an end")
    assert sorted(names(again)) == ["u", "v"]


def test_kept_and_in_the_journal_it_is_delivered_once(queue):
    """
    Killed between its files and the note that the journal does not count, the
    message was delivered by the next process, which noted that only with the
    next new mail: killed again, it was fresh again, and delivered once more.
    """
    queue.times["STAY_MS"] = 500
    queue.start()
    queue.worker(lambda job: None)
    queue.inject()
    with injected(queue, "pwritev2:error=EIO", paths=journals(queue)):
        queue.wait_files(info=1)
        queue.stop(signal.SIGKILL)
    queue.start()
    queue.worker().wait_jobs(1)
    queue.wait_files(info=0, mess=0)
    queue.stop(signal.SIGKILL)
    queue.start()
    again = queue.worker()
    queue.inject([f"next@{DOMAIN}"])
    queue.wait_done()
    assert names(again) == ["next"]


def test_the_name_of_a_large_file_is_synced(queue):
    """
    With an envelope too large for the journal, a large message was answered
    before the folder of its file was synced: the power cut would have left an
    envelope without its message.
    """
    trace = queue.home / "trace"
    queue.start("strace", "-D", "-f", "-y", "-o", trace, "-e",
                "trace=fsync,sendmsg,renameat,renameat2")
    assert Intake(queue).commit(large(), many())[0] == 0
    number, = queue.files("mess")
    queue.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "exiting" in queue.log(), "qmail-send stops")
    queue.process.wait(20)
    queue.process = None
    before = trace.read_text().partition("sendmsg(")[0]
    placed = before.index("/todo>")
    folder = f"/mess/{int(number) % 23}>"
    assert folder in before[:placed], before



def test_a_large_one_without_its_file_is_not_known(queue):
    """
    Its commit failed, its file went, and the process was killed before the
    journal said so: its client, who asks the next one, was told that it is
    there.
    """
    queue.start()
    ident, small = uuid.uuid4(), uuid.uuid4()
    client = Intake(queue)
    for body, name in ((large(), ident), (b"x\n", small)):
        assert client.commit(body, [f"u@{DOMAIN}"], ident=name)[0] == 0
    file, = queue.files("mess").values()
    queue.stop(signal.SIGKILL)
    file.unlink()
    queue.start()
    again = Intake(queue)
    assert again.ask(small) == 0
    assert again.ask(ident) == Intake.ABSENT
    assert again.commit(large(), [f"u@{DOMAIN}"], ident=ident)[0] == 0
    queue.worker().wait_jobs(2)
    queue.wait_done()


def test_without_descriptors_for_a_worker_the_next_one_is_taken(queue):
    """A connection that found no descriptor free ended the control connection:
    there were no deliveries until a restart."""
    queue.start()
    pid = queue.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    free = min(set(range(len(used) + 1)) - used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, limits[1]))
    lost = queue.control.add_worker("v")
    lost.settimeout(20)
    assert lost.recv(100) == b""
    lost.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    worker = queue.worker()
    queue.inject()
    worker.wait_jobs(1)


def test_lanes_that_rest_together_are_left_alone(queue):
    """A message for two lanes that both rest was read from disk again and again,
    as fast as the disk is."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nother.test:{DOMAIN}")
    queue.set("virtuallanes", "1")
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject([f"u@{DOMAIN}", "u@other.test"])
    worker.wait_jobs(2)
    for lane in {job.lane for job in worker.jobs}:
        worker.back_off(lane, 3)
    queue.wait_log("^lane .*: rests", 2)
    worker.decide = lambda job: ("K", "ok\n")
    for job in list(worker.held):
        worker.answer(job, "K", "ok\n")
    queue.inject([f"v@{DOMAIN}", "v@other.test"])
    queue.wait_files(info=1)
    file, = queue.files("local").values()
    changes = set()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        changes.add(file.stat().st_ctime_ns)
        time.sleep(0.01)
    assert len(changes) < 5
    worker.wait_jobs(4)
    queue.wait_done()


def resident_bytes(queue):
    with open(f"/proc/{queue.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(SLOW > 1, reason="sanitizers take memory of their own")
def test_more_new_mail_than_is_delivered_waits_on_disk(make_queue):
    """Messages that had got files stayed in memory with their bodies, whatever
    their number, if a worker was there that was slower than new mail."""
    queue = make_queue(in_memory=True)
    # Then 64 messages are read from disk, and 256 of new mail stay.
    queue.start("prlimit", "--nofile=512:512")
    worker = queue.worker(take=0)
    client = Intake(queue)
    for count in range(600):
        code, text = client.commit(b"x" * 60000, [f"u{count}@{DOMAIN}"])
        assert code == 0, text
    queue.wait_files(info=600)
    wait_until(lambda: resident_bytes(queue) < 30e6,
               lambda: f"{resident_bytes(queue)} bytes in memory")
    worker.take(1000)
    worker.wait_jobs(600)
    queue.wait_done()
    assert len(set(names(worker))) == 600


@pytest.mark.parametrize("count", [1, 300])
def test_an_imports_history_outlives_a_stop(queue, count):
    """
    A message from another queue that was stopped before it was routed, or whose
    envelope is too large for the journal, was an S4 message: its failures of
    before, and how often it was tried, were forgotten.
    """
    queue.start(**NO_LEAKS)
    record = b"b1700000000\0a7\0n<gone@e.test>:\nno such user\n\n\0Fs@" + \
        DOMAIN.encode() + b"\0Dgone@e.test\0" + b"".join(
            b"T" + name.encode() + b"\0" for name in many(count))
    router = [queue.home / "users/cdb"]
    (queue.home / "users/cdb").unlink()
    (queue.home / "users/assign").write_text("")
    queue.assign(f"+{DOMAIN}-:{DOMAIN}:{os.getuid()}:{os.getgid()}:"
                 f"{queue.home}/domains/{DOMAIN}:-::\n.\n")
    with injected(queue, "pread64:delay_enter=3000000", paths=router):
        client = Intake(queue)
        assert client.commit(b"x\n", record=record, is_import=True)[0] == 0
        queue.send_signal(signal.SIGTERM)
        assert queue.process.wait(20) == 0
    queue.stop()
    assert queue.files("mess")
    queue.start()
    worker = queue.worker()
    worker.wait_jobs(count + 1)
    assert worker.jobs[0].attempt == 8
    assert worker.jobs[0].birth == 1700000000
    assert "gone" not in names(worker)
    report = worker.jobs[-1]
    assert report.recipient.endswith(f"s@{DOMAIN}")
    assert b"no such user" in report.message


def test_many_large_ones_are_taken_up_with_few_descriptors(make_queue):
    """Each of those that the journal had kept its file open, and there was no
    descriptor left to start with."""
    queue = make_queue(in_memory=True)
    queue.set("journalsize", "16777216")
    queue.set("journalmessage", "1000")
    queue.start()
    client = Intake(queue)
    with injected(queue, "openat:error=EIO", paths=[queue.dir / "pid"]):
        for count in range(600):
            code, text = client.commit(b"x" * 2000, [f"u{count}@{DOMAIN}"])
            assert code == 0, text
        queue.stop(signal.SIGKILL)
    assert not queue.files("info")
    queue.start("prlimit", "--nofile=512:512")
    worker = queue.worker()
    for count in (200, 400, 600):
        worker.wait_jobs(count)
    queue.wait_done()
    assert len(set(names(worker))) == len(worker.jobs) == 600


AHEAD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
time_t time(time_t *out)
{
	time_t (*real)(time_t *) = (time_t (*)(time_t *))dlsym(RTLD_NEXT, "time");
	time_t now = real(NULL) + 86400 * 365;
	if (out != NULL)
		*out = now;
	return now;
}
"""


@pytest.mark.skipif(SLOW > 1, reason="sanitizers want to be loaded first")
def test_a_clock_set_back_gives_no_number_twice(queue, tmp_path):
    """What never was in the journal, since its envelope is too large, had a
    number that the next process gave to another message."""
    (tmp_path / "ahead.c").write_text(AHEAD)
    shim = tmp_path / "ahead.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim,
                    tmp_path / "ahead.c"], check=True)
    queue.start(LD_PRELOAD=str(shim))
    client = Intake(queue)
    assert client.commit(b"small\n", [f"u@{DOMAIN}"])[0] == 0
    assert client.commit(b"large\n", many())[0] == 0
    used = client.id
    assert queue.stop() == 0
    queue.start()
    client = Intake(queue)
    assert client.commit(b"another\n", [f"u@{DOMAIN}"])[0] == 0
    assert client.id > used


@pytest.mark.parametrize("form, order", [
    ("small", "KDZ"), ("large", "ZKD"), ("large envelope", "DZK")])
def test_results_before_during_and_after_a_step_to_files(queue, form, order):
    """
    Each recipient has its own end, whatever the keeper is at when its result
    comes; the failures are reported once, all of them.
    """
    queue.set("concurrencylocal", "1000")
    queue.start()
    worker = queue.worker(lambda job: None)
    wanted = {f"{stage}{what}": what for stage in ("before", "during", "after")
              for what in order}
    rest = many() if form == "large envelope" else []
    body = large() if form == "large" else b"Subject: small\n\nx\n"
    client = Intake(queue)
    assert client.commit(body, [f"{name}@{DOMAIN}" for name in wanted] + rest,
                         sender=f"sender@{DOMAIN}")[0] == 0
    worker.wait_jobs(len(wanted) + len(rest))
    jobs = {name_of(job): job for job in worker.held}

    def answer(stage):
        for name, what in wanted.items():
            if name.startswith(stage):
                worker.answer(jobs.pop(name), what, f"{name} says so\n")

    with injected(queue, "fdatasync:delay_enter=1500000"):
        answer("before")
        wait_until(lambda: queue.files("local"), "files are being written")
        assert not queue.files("info")
        answer("during")
        queue.wait_files(info=1, todo=0)
    worker.decide = lambda job: ("K", "ok\n")
    answer("after")
    for job in jobs.values():
        worker.answer(job, "K", "ok\n")
    # Deferred: at once, please.
    queue.wait_log(": deferral: ", 3)
    queue.hurry(lambda: "sender" in names(worker), "a report")
    queue.wait_done()
    again = names(worker)[len(wanted) + len(rest):]
    assert sorted(again) == sorted(
        [name for name, what in wanted.items() if what == "Z"] + ["sender"])
    report = worker.jobs[-1].message.decode().partition(
        "--- Below this line")[0]
    for name, what in wanted.items():
        assert report.count(f"{name} says so") == (what == "D"), report


def assign_many(queue):
    """More users than are copied into memory at once."""
    queue.assign("".join(
        f"+d{i}.test-:d{i}.test:{os.getuid()}:{os.getgid()}:/:-::\n"
        for i in range(2000)) + (queue.home / "users/assign").read_text())


def test_slow_lookups_do_not_fill_the_journal(queue):
    """Messages whose recipients were not looked up yet could not be kept: when
    users/cdb was slow the journal was full soon, and no new mail came in."""
    assign_many(queue)
    queue.start()
    worker = queue.worker()
    client = Intake(queue)
    with injected(queue, "pread64:delay_enter=8000000",
                  paths=[queue.home / "users/cdb"]):
        for count in range(60):
            code, text = client.commit(b"x" * 60000, [f"u{count}@{DOMAIN}"])
            assert code == 0, text
        assert len(worker.jobs) < 60
    worker.wait_jobs(60)
    queue.wait_done()
    assert len(set(names(worker))) == len(worker.jobs) == 60


def test_kept_before_it_was_looked_up_it_goes_on(queue):
    """
    A message that had got its files before its recipients were looked up, while
    the journal could not be written, noted its end there for ever once that
    could be written again: it was never tried again, and a processor was busy.
    """
    assign_many(queue)
    queue.start()
    worker = queue.worker(lambda job: None)
    with injected(queue, "pread64:delay_enter=2000000",
                  "pwritev2:error=EIO:when=3+",
                  paths=[queue.home / "users/cdb", *journals(queue)]):
        queue.inject()
        wait_until(lambda: queue.files("todo"), "it has files")
        queue.wait_log("^alert: cannot write .*journal")
    worker.wait_jobs(1)
    worker.answer(worker.held[0], "Z", "later\n")
    queue.wait_files(info=1, todo=0)
    queue.hurry(lambda: len(worker.jobs) > 1, "a second try")
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_files(info=0, mess=0)


@pytest.mark.parametrize("is_kept", [False, True])
def test_what_cannot_be_told_at_the_start_is_told_later(queue, is_kept):
    """
    Whether a message of the journal has files could not be read at the start:
    it waited for the next one, and its place in the journal was never free
    again, so that no new mail came in after a while.
    """
    queue.times["STAY_MS"] = 500
    queue.start()
    queue.worker(lambda job: None)
    queue.inject()
    number, = journal.live(queue.dir)
    with injected(queue, "pwritev2:error=EIO", paths=journals(queue)):
        if is_kept:
            queue.wait_files(info=1)
        queue.stop(signal.SIGKILL)
    # Only the first thread, which is there at the start.
    queue.start("strace", "-D", "-qq", "-o", "/dev/null", "-P", number,
                "-e", "trace=faccessat2,faccessat", "-e",
                "inject=faccessat2,faccessat:error=EIO")
    queue.wait_log("^alert: cannot tell whether message")
    worker = queue.worker()
    worker.wait_jobs(1)
    queue.wait_done()
    assert names(worker) == ["u"]


def test_a_time_before_1970_is_long_ago(queue):
    """It was taken for one in 2106."""
    number = queue.put_remembered(local=[f"{DOMAIN}-u@{DOMAIN}"])
    os.utime(queue.path("local", number), (-100, -100))
    queue.start()
    queue.worker().wait_jobs(1)
    queue.wait_done()


def test_what_a_client_is_sending_is_no_garbage(queue):
    """A large body on its way in was removed by a scan if its file looked old:
    the clock was set ahead meanwhile, as at a boot without a battery."""
    queue.start("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
                "trace=getdents64", "-P", queue.dir / "mess/0", "-e",
                "inject=getdents64:error=EIO:when=1")
    queue.wait_log("could not be looked through")
    client = Intake(queue)
    body = large()
    for at in range(0, len(body), 40000):
        client.connection.send(client.body(body[at:at + 40000]))
    wait_until(lambda: [path.stat().st_size for path in
                        queue.files("mess").values()] == [len(body)],
               "its file")
    (queue.dir / "mess/22/22").write_bytes(b"garbage\n")  # the last part
    for path in queue.files("mess").values():
        os.utime(path, (86400, 86400))
    pull_trigger(queue)  # and the scan is done again, whole
    wait_until(lambda: "22" not in queue.files("mess"), queue.log)
    client.connection.send(client.commit_packet(
        b"Fs@e.test\0T" + f"u@{DOMAIN}".encode() + b"\0", size=len(body)))
    assert client.answer()[0] == 0
    worker = queue.worker()
    worker.wait_jobs(1)
    assert worker.jobs[0].message == body
